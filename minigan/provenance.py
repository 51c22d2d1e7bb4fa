"""Where a sample comes from: a record in its file, or beside it, of what made it; and whether both still agree.

A record is a note, not a signature. It finds the accident (a file edited, cut short, mixed up) and lets an honest
file be made again; it proves nothing about a dishonest one, for anyone can rewrite the file and the record together.
"Agrees" therefore means: this file holds what it held when this record was put to it, and no more.

    PNG     a text chunk (tEXt) named "minigan"             GIF     a comment
    MIDI    a text message at the start of the first track  NPZ     one more entry, minigan.json
    others  (text, WAV, MP4) FILE.json beside FILE

A format is told by a file's first bytes, so a renamed picture keeps its record. Compared is the content: pixels,
events, arrays; a picture packed tighter without loss still agrees. Nothing that comes from a file is trusted: sizes
are limited, types are checked, nothing is evaluated. Pillow and mido are imported where they are used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from minigan import __version__
from minigan.files import write_whole

FORMAT = 1  # of the records
MARK = '{"minigan record": '  # how each begins: a GIF's and a MIDI file's other remarks do not
PNG_NAME = b"minigan\0"  # of the chunk, with the zero that ends a name
ENTRY = "minigan.json"  # in an NPZ
LONGEST = 2**16  # characters of a record
LARGEST = {"PNG": 2**28, "GIF": 2**26, "MIDI": 2**20, "NPZ": 2**30, "bytes": 2**30}  # bytes; an NPZ's unpacked too
MOST_PIXELS = 2**28  # of all frames
CONTENT = {"PNG": "pixels", "GIF": "frames", "MIDI": "events", "NPZ": "arrays", "bytes": "bytes"}
STARTS = {b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"MThd": "MIDI", b"PK\x03\x04": "NPZ"}
TEXTS = {  # a record's texts: what each looks like, and what that is called
    "model": (".{1,100}", "a name"),
    "checkpoint": ("[0-9a-f]{64}", "a sha256, 64 hex digits"),
    "run": (r"(?!\.\.?$)[^/\\:]{0,255}", "a folder's name"),
    "minigan": (".{1,100}", "a version"),
    "time": ("[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}([.][0-9]+)?([+]00:00|Z)", "an ISO 8601 time in UTC"),
    "content": ("([0-9a-f]{64})?", "a sha256, 64 hex digits"),
    "format": ("|".join([*CONTENT, ""]), f"one of {', '.join(CONTENT)}"),
}


class RecordError(ValueError):
    """A record, or the file that it is in, cannot be read; the message is one sentence. state: see `Verdict`."""

    def __init__(self, text: str, state: str) -> None:
        super().__init__(text)
        self.state = state


@dataclass(frozen=True)
class Record:
    """How a sample file was made. Raises ValueError, in one sentence, for a value that no record may have.

    model       its name, as "mlp"                      checkpoint  `sha256_of` the checkpoint file
    seed        of the random numbers                   index       the first sample's place among those of this seed
    options     what else `minigan sample` was told: {"n": 64, "label": 3, "temperature": 1.0}; texts, numbers, flags,
                None, and lists of these
    run         the run folder's name, no path; "" when it has none
    minigan     the version                             time        ISO 8601, UTC
    content     sha256 of what the file holds; and format, a key of CONTENT: `stamp` fills in both
    """

    model: str
    checkpoint: str
    seed: int
    index: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    run: str = ""
    minigan: str = __version__
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    content: str = ""
    format: str = ""

    def __post_init__(self) -> None:
        for name, (pattern, what) in TEXTS.items():
            value = getattr(self, name)  # printable: a terminal obeys some characters that are not
            _require(type(value) is str and value.isprintable() and re.fullmatch(pattern, value), name, what, value)
        for name in ("seed", "index"):
            value = getattr(self, name)
            _require(type(value) is int and 0 <= value < 2**63, name, "a whole number from 0 to 2^63 - 1", value)
        _require(type(self.options) is dict, "options", "a dict", self.options)
        options = {}
        for name, value in self.options.items():
            _require(type(name) is str and name.isidentifier(), "an option's name", "a word", name)
            each = [*value] if type(value) in (list, tuple) else [value]
            _require(all(map(_is_plain, each)), f"option {name!a}", "a text, number, flag or None", value)
            options[name] = each if type(value) is tuple else value  # JSON has lists only
        object.__setattr__(self, "options", options)

    def text(self) -> str:
        """The record as JSON in ASCII. Raises ValueError when it is longer than LONGEST characters."""
        values = asdict(self)
        text = json.dumps({"minigan record": FORMAT, **values, "check": _check(values)})
        if len(text) > LONGEST:
            raise ValueError(f"A record has at most {LONGEST:,} characters, but this one has {len(text):,}.")
        return text

    def __str__(self) -> str:
        run = f" of run {self.run}" if self.run else ""
        made = f"{self.model}{run}, checkpoint {self.checkpoint[:12]}, seed {self.seed}, from sample {self.index}"
        return f"{made}, by minigan {self.minigan} at {self.time}"


@dataclass(frozen=True)
class Verdict:
    """What `verify` found: a state, one sentence that says it, and the record where there is a whole one.

    state   "agrees", "made again", "no record", "changed", "damaged record", "damaged file", "differs" (the file
            agrees with its record, but another came out when it was made again) or "not made again" (none came out)
    """

    state: str
    text: str
    record: Record | None = None

    @property
    def good(self) -> bool:
        return self.state in ("agrees", "made again")


# ---- stamp, read, verify -----------------------------------------------------------------------------------------


def stamp(path: str | os.PathLike, record: Record) -> Record:
    """Put a record to the file at path, in place of one that it has; returns it with content and format filled in.

    A picture's other bytes, and what any file holds, stay as they are; each file written is whole or as it was. A
    FILE that is written anew needs its FILE.json made anew. Raises ValueError for a file that cannot be read
    (RecordError) or is too large, and for a record that is too long; OSError where the folder cannot be written to.
    """
    path = Path(path)
    kind, data = _load(path)
    with _reading(path, kind):
        record = replace(record, content=_digest(kind, data), format=kind)
    text = record.text()
    if kind == "bytes":
        write_whole(sidecar(path), f"{text}\n".encode())
        return record
    with _reading(path, kind):
        data = _stamped(kind, data, text)
    write_whole(path, data)
    return record


def read(path: str | os.PathLike) -> Record | None:
    """The record of a file, None where there is none. It may be untrue: `verify` compares it with the file.

    Raises RecordError when the record or the file is damaged; ValueError when there is no such file.
    """
    path = Path(path)
    return _record(path, *_load(path))


def verify(path: str | os.PathLike, regenerate: Callable[[Record], bytes] | None = None) -> Verdict:
    """Do a file and its record agree? And does the record, followed, give the same file?

    regenerate: makes the sample again and returns the bytes of a file like it, stamped or not; to be given when the
    checkpoint is at hand, that is when its `sha256_of` is record.checkpoint. The record's values come from the file:
    regenerate is to check them as it would check a stranger's. It is not called unless file and record agree.
    Raises ValueError when there is no such file, or it is too large.
    """
    path = Path(path)
    kind, data = _load(path)
    what = CONTENT[kind]
    try:
        with _reading(path, kind):
            content = _digest(kind, data)
        record = _record(path, kind, data)
    except RecordError as error:
        return Verdict(error.state, str(error))
    if record is None:
        return Verdict("no record", f"{path} has no record: minigan did not make it, or the record was taken out.")
    if (record.format, record.content) != (kind, content):
        text = f"{path} has other {what} than its record says: it was changed, or the record is another file's."
        return Verdict("changed", text, record)
    agrees = f"{path} agrees with its record"
    if regenerate is None:
        return Verdict("agrees", f"{agrees}: {record}.", record)
    try:
        again = regenerate(record)
        found = _kind(again), _digest(_kind(again), again)
    except Exception as error:  # its values are a stranger's; whatever they lead to, file and record agree
        reason = ascii(str(error) or type(error).__name__)[1:200].rstrip("'\".")
        return Verdict("not made again", f"{agrees}, but could not be made again ({reason}).", record)
    if found == (kind, content):
        return Verdict("made again", f"{agrees}, and its {what} were made again bit for bit: {record}.", record)
    why = "another version or machine can do that, and so can a record that is not true"
    return Verdict("differs", f"{agrees}, but made again it has other {what} ({why}): {record}.", record)


def sha256_of(file: str | os.PathLike) -> str:
    """The sha256 of a file's bytes, as 64 hex digits: what a record calls its checkpoint. Raises OSError."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sidecar(path: str | os.PathLike) -> Path:
    """Where the record of a file stands that has no room for one: FILE.json."""
    return Path(path).with_name(Path(path).name + ".json")


# ---- records as text ---------------------------------------------------------------------------------------------


def _parse(text: bytes) -> Record:
    """A record from what stands in a file. Raises ValueError with the reason."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST:,} characters.")
    try:
        values = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError):  # brackets nested without end
        raise ValueError("it is no JSON.") from None
    if type(values) is not dict or "minigan record" not in values:
        raise ValueError("it is JSON, but no record.")
    if (version := values.pop("minigan record")) != FORMAT:
        raise ValueError(f"it is of format {_short(version)}, and this minigan reads format {FORMAT}.")
    check = values.pop("check", None)
    if {*values} != {f.name for f in fields(Record)} or not values["content"]:
        raise ValueError("something is missing in it, or there is too much.")
    record = Record(**values)
    if check != _check(values):
        raise ValueError("it was changed after it was written.")
    return record


def _check(values: dict[str, Any]) -> str:
    """A sum over a record, for a flipped bit or a slip of the hand; whoever means to change it can sum again."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _require(holds: Any, name: str, what: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"In a record, {name} is {what}, but this is {_short(value)}.")


def _short(value: Any) -> str:
    if type(value) is str:
        return ascii(value[:40]) + ("..." if len(value) > 40 else "")
    return str(value) if type(value) in (int, float) and abs(value) < 2**64 else f"of type {type(value).__name__}"


def _is_plain(value: Any) -> bool:
    if type(value) is str:
        return not any("\ud800" <= letter <= "\udfff" for letter in value)  # half a character: it cannot be printed
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or type(value) is bool or (type(value) is float and math.isfinite(value))


# ---- files -------------------------------------------------------------------------------------------------------


def _load(path: Path) -> tuple[str, bytes]:
    """The kind of a file, a key of CONTENT, and its bytes. Raises ValueError."""
    if not path.is_file():  # opening a pipe would wait for ever
        raise ValueError(f"There is no file {path}.")
    try:
        with open(path, "rb") as file:
            data = file.read(max(LARGEST.values()) + 1)
    except OSError as error:
        raise ValueError(f"{path} may not be read ({error.strerror}).") from None
    kind = _kind(data)
    if len(data) > LARGEST[kind]:
        raise ValueError(f"{path} is larger than {LARGEST[kind] // 2**20:,} MB: a record is for smaller files.")
    return kind, data


def _kind(data: bytes) -> str:
    return next((kind for start, kind in STARTS.items() if data.startswith(start)), "bytes")


@contextlib.contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    """What Pillow, mido, zipfile and NumPy raise on a damaged file, nearly anything, becomes RecordError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is too large: the limits here are our own
            yield
    except ImportError:
        raise
    except Exception:
        text = f"{path} is cut short, damaged or too large: its {CONTENT[kind]} cannot be read."
        raise RecordError(text, "damaged file") from None


def _record(path: Path, kind: str, data: bytes) -> Record | None:
    with _reading(path, kind):
        texts = _texts(kind, data)
    if kind == "bytes" and sidecar(path).is_file():
        with open(sidecar(path), "rb") as file:
            texts = [file.read(LONGEST + 2).removesuffix(b"\n")]
    try:
        if len(texts) > 1:
            raise ValueError("there is more than one.")
        return _parse(texts[0]) if texts else None
    except ValueError as reason:
        raise RecordError(f"{path} has a record, but it cannot be used: {reason}", "damaged record") from None


def _texts(kind: str, data: bytes) -> list[bytes]:
    """The records in a file: one, or none."""
    if kind == "PNG":
        return _split_png(data)[0]
    if kind == "GIF":
        return _split_gif(data)[1]
    if kind == "MIDI":
        return [message.text.encode("latin1") for message in _midi(data).tracks[0] if _is_record(message)]
    if kind == "NPZ":
        with zipfile.ZipFile(
            io.BytesIO(data)
        ) as file:  # of gigabytes packed small, no more than shows it is too long
            return [file.open(info).read(LONGEST + 1) for info in file.infolist() if info.filename == ENTRY]
    return []


def _digest(kind: str, data: bytes) -> str:
    """sha256 of what a file holds besides its record."""
    if kind in ("PNG", "GIF"):
        return _digest_of_frames(kind, _split_png(data)[1] if kind == "PNG" else b"".join(_split_gif(data)[::2]))
    if kind == "MIDI":
        return _digest_of_events(data)
    return _digest_of_arrays(data) if kind == "NPZ" else hashlib.sha256(data).hexdigest()


def _digest_of_frames(kind: str, data: bytes) -> str:
    """Each frame's pixels, and how long it is shown; a palette's colours, not its numbers."""
    from PIL import Image, ImageSequence

    digest, pixels = hashlib.sha256(), 0
    with Image.open(io.BytesIO(data), formats=(kind,)) as file:
        digest.update(f"loop {file.info.get('loop')}\n".encode())
        for frame in ImageSequence.Iterator(file):
            pixels += frame.width * frame.height
            if pixels > MOST_PIXELS:
                raise ValueError
            deep = frame.mode.startswith(("I", "F"))  # 16 bits would not fit into RGBA
            shown = frame if deep else frame.convert("RGBA")
            digest.update(f"{shown.mode} {shown.size} {frame.info.get('duration')}\n".encode())
            digest.update(shown.tobytes())
    return digest.hexdigest()


def _digest_of_events(data: bytes) -> str:
    """Each message of each track with its time, in ticks since the one before."""
    midi = _midi(data)
    digest = hashlib.sha256(f"{midi.type} {midi.ticks_per_beat}\n".encode())
    for number, track in enumerate(midi.tracks):
        for message in track:
            if number or not _is_record(message):
                digest.update(f"{number} {message.time} {message.hex()}\n".encode())
    return digest.hexdigest()


def _digest_of_arrays(data: bytes) -> str:
    """Each array's name, type, shape and numbers, in the names' order."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        if sum(info.file_size for info in file.infolist()) > LARGEST["NPZ"]:
            raise ValueError
    digest = hashlib.sha256()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        for name in sorted({*arrays.files} - {ENTRY}):
            array = np.asarray(arrays[name])
            digest.update(f"{name!a} {array.dtype.descr} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def _stamped(kind: str, data: bytes, text: str) -> bytes:
    """The file with this record, and with no other."""
    if kind == "PNG":  # after the first chunk, the header: 8 + 25 bytes
        bare, chunk = _split_png(data)[1], b"tEXt" + PNG_NAME + text.encode()
        length, checksum = (struct.pack(">I", number) for number in (len(chunk) - 4, zlib.crc32(chunk)))
        return bare[:33] + length + chunk + checksum + bare[33:]
    if kind == "GIF":  # its text comes in pieces of up to 255 bytes, each after its length; GIF87a has no comments
        before, _, after = _split_gif(data)
        pieces = [text[i : i + 255].encode() for i in range(0, len(text), 255)]
        comment = b"".join(bytes([len(piece)]) + piece for piece in pieces)
        return b"GIF89a" + before[6:] + b"!\xfe" + comment + b"\0" + after
    content = io.BytesIO()
    if kind == "MIDI":
        import mido

        midi = _midi(data)
        kept = [message for message in midi.tracks[0] if not _is_record(message)]
        midi.tracks[0][:] = [mido.MetaMessage("text", text=text, time=0), *kept]
        midi.save(file=content)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w") as new:
            for info in old.infolist():
                if info.filename != ENTRY:
                    new.writestr(info, old.read(info))
            new.writestr(zipfile.ZipInfo(ENTRY), text)  # of the year 1980, so that equal contents give equal bytes
    return content.getvalue()


def _split_png(data: bytes) -> tuple[list[bytes], bytes]:
    """The records, and the file without. After 8 bytes come chunks: length, type, that many bytes, and a checksum."""
    texts, kept, at, kind = [], [data[:8]], 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + length + 12]
        if kind == b"tEXt" and chunk.startswith(PNG_NAME, 8):
            texts.append(chunk[8 + len(PNG_NAME) : -4])
        else:
            kept.append(chunk)
        at += length + 12
    return texts, b"".join(kept)


def _split_gif(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """What stands before the records' place, the records, and what stands after.

    The place is behind the header, its colour table and what says how often the film loops: some players look for
    that first. A block's bytes come in pieces, each after its length; the last is empty.
    """
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    before, texts = [data[:at]], []
    while (block := data[at : at + 2]) in (b"!\xff", b"!\xfe"):  # an application's, or a comment
        start, at, pieces = at, at + 2, []
        while size := data[at]:
            pieces.append(data[at + 1 : at + 1 + size])
            at += 1 + size
        at += 1
        ours = block == b"!\xfe" and b"".join(pieces).startswith(MARK.encode())
        texts += [b"".join(pieces)] if ours else []
        before += [] if ours else [data[start:at]]
    return b"".join(before), texts, data[at:]


def _midi(data: bytes) -> Any:
    import mido

    # mido reads a number of many bytes in time that grows with their square; a true one has four at most
    if max(map(len, re.split(rb"[\x00-\x7f]", data))) > 4096:
        raise ValueError
    return mido.MidiFile(file=io.BytesIO(data))


def _is_record(message: Any) -> bool:
    return message.type == "text" and message.time == 0 and message.text.startswith(MARK)
