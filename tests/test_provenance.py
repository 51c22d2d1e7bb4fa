"""A record comes back as it was put and changes nothing else; a damaged file never gives more than a sentence."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import asdict, replace

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence, PngImagePlugin

from minigan import __version__, provenance
from minigan.data.midi import read_midi, write_midi
from minigan.provenance import Record, RecordError, read, sha256_of, sidecar, stamp, verify
from minigan.sound import save_wav
from minigan.viz.film import save_clips
from minigan.viz.grids import save_grid

CHECKPOINT = hashlib.sha256(b"a checkpoint").hexdigest()
RECORD = Record(
    "mlp", CHECKPOINT, seed=3, index=5, options={"n": 6, "label": None, "prompt": "明月", "t": 0.7}, run="a"
)
rng = np.random.default_rng(0)
IMAGES = rng.uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
CLIPS = rng.integers(0, 256, (2, 5, 8, 8, 3), dtype=np.uint8)
MELODY = rng.integers(50, 80, (2, 16), dtype=np.uint8)


def write_npz(path):
    np.savez_compressed(path, images=IMAGES, labels=np.array(["a", "b"]), step=7)


WRITERS = {
    "png": lambda path: save_grid(IMAGES, path),
    "gif": lambda path: save_clips(path, CLIPS, fps=5),
    "mid": lambda path: write_midi(path, MELODY, np.tile(np.eye(13)[4], (2, 1))),
    "npz": write_npz,
    "txt": lambda path: path.write_text("明月\n山\n", encoding="utf-8"),
    "wav": lambda path: save_wav(path, np.sin(np.arange(500))),
    "mp4": lambda path: path.write_bytes(b"\0\0\0\x18ftypmp42"),
}
INSIDE = ("png", "gif", "mid", "npz")
FORMATS = {"png": "PNG", "gif": "GIF", "mid": "MIDI", "npz": "NPZ"}


@pytest.fixture(params=WRITERS)
def plain(request, tmp_path):
    """A file of each kind as minigan writes it, without a record."""
    path = tmp_path / f"sample.{request.param}"
    WRITERS[request.param](path)
    return path


def stamped(folder, suffix, record=RECORD):
    path = folder / f"sample.{suffix}"
    WRITERS[suffix](path)
    return path, stamp(path, record)


def said(path, state, *parts, regenerate=None):
    verdict = verify(path, regenerate)
    assert verdict.state == state, verdict
    assert verdict.text.endswith(".") and verdict.text.isprintable() and str(path) in verdict.text
    assert not [part for part in parts if part not in verdict.text], verdict.text
    assert verdict.good == (state in ("agrees", "made again"))
    return verdict


def frames(path):
    with Image.open(path) as file:
        shown = [
            (np.asarray(f.convert("RGB")).tolist(), f.info.get("duration")) for f in ImageSequence.Iterator(file)
        ]
        return shown, file.info.get("loop"), file.info


# Each format


def test_the_record_comes_back_and_agrees(plain):
    assert read(plain) is None
    said(plain, "no record", "was taken out")
    before = plain.read_bytes()
    record = stamp(plain, RECORD)
    kind = plain.suffix[1:]
    assert record == replace(RECORD, content=record.content, format=FORMATS.get(kind, "bytes"))
    assert read(plain) == record
    assert said(plain, "agrees", "mlp of run a", CHECKPOINT[:12], "seed 3", "sample 5", __version__).record == record
    if kind in INSIDE:
        assert os.listdir(plain.parent) == [plain.name]
    else:
        assert plain.read_bytes() == before and sorted(plain.parent.iterdir()) == [plain, sidecar(plain)]
        assert record.content == hashlib.sha256(before).hexdigest() == sha256_of(plain)


def test_a_second_stamp_takes_the_place_of_the_first(plain):
    first = stamp(plain, RECORD)
    once = plain.read_bytes()
    second = stamp(plain, replace(RECORD, seed=4))
    assert read(plain) == second == replace(first, seed=4)
    said(plain, "agrees", "seed 4")
    stamp(plain, RECORD)
    assert plain.read_bytes() == once  # and the same record gives the same bytes


def test_a_png_is_the_same_but_for_one_chunk(tmp_path):
    path = tmp_path / "a.png"
    save_grid(IMAGES, path, text={"step": "7"})
    before = path.read_bytes()
    text = stamp(path, RECORD).text().encode()
    after = path.read_bytes()
    chunk = b"tEXtminigan\0" + text
    whole = struct.pack(">I", len(text) + 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert after == before[:33] + whole + before[33:]
    with Image.open(path) as image:  # Pillow, which checks the checksum, finds it too
        assert image.info["minigan"].encode() == text and image.info["step"] == "7"


def test_the_digest_of_a_png_is_that_of_its_pixels(tmp_path):
    """Computed here by hand; packed otherwise, or with a palette, the same picture agrees."""
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(path)
    record = stamp(path, RECORD)
    rgba = bytes([0, 0, 0, 255, 255, 255, 255, 255])
    assert record.content == hashlib.sha256(b"loop None\nRGBA (2, 1) None\n" + rgba).hexdigest()
    for mode in ("RGB", "P", "1"):
        info = PngImagePlugin.PngInfo()
        info.add_text("minigan", record.text())
        Image.fromarray(np.array([[0, 255]], np.uint8)).convert(mode).save(path, pnginfo=info, compress_level=0)
        said(path, "agrees")


def test_a_gif_keeps_its_frames_durations_and_loop(tmp_path):
    path = tmp_path / "a.gif"
    colours = [Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)) for _ in range(4)]
    durations = [100, 30, 250, 1000]
    colours[0].save(
        path, save_all=True, append_images=colours[1:], duration=durations, loop=3, comment=b"by hand", disposal=2
    )
    before, (shown, loop, info) = path.read_bytes(), frames(path)
    assert [duration for _, duration in shown] == durations and loop == 3 and info["comment"] == b"by hand"
    text = stamp(path, replace(RECORD, options={"prompt": "x" * 700})).text().encode()  # a comment of many pieces
    after = frames(path)
    assert after[:2] == (shown, loop)
    assert after[2]["comment"] == b"by hand\n" + text
    pieces = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
    assert path.read_bytes().replace(b"!\xfe" + pieces + b"\0", b"") == before
    assert b"NETSCAPE" in path.read_bytes()[:900]  # still first
    said(path, "agrees")


def test_a_gif_of_1987_becomes_one_that_may_have_comments(tmp_path):
    path = tmp_path / "a.gif"
    Image.fromarray(np.eye(4, dtype=np.uint8) * 200).save(path)
    before = path.read_bytes()
    assert before.startswith(b"GIF87a")
    pixels = frames(path)[0]
    stamp(path, RECORD)
    assert path.read_bytes().startswith(b"GIF89a") and frames(path)[0] == pixels
    said(path, "agrees")


def test_a_midi_file_plays_the_same(tmp_path):
    path = tmp_path / "a.mid"
    WRITERS["mid"](path)
    before, tune = mido.MidiFile(path), read_midi(path)
    record = stamp(path, RECORD)
    after = mido.MidiFile(path)
    first = after.tracks[0].pop(0)
    assert first == mido.MetaMessage("text", text=record.text(), time=0)
    assert after.tracks == before.tracks and after.ticks_per_beat == before.ticks_per_beat
    assert all(np.array_equal(a, b) for a, b in zip(tune, read_midi(path)))
    after.tracks[0].insert(0, first.copy(time=5))  # it moves the notes, so it is no mere remark
    after.save(path)
    assert read(path) is None


def test_an_npz_has_the_same_arrays(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path)
    with np.load(path) as file:
        before = {name: file[name] for name in file.files}
    record = stamp(path, RECORD)
    with np.load(path) as file:
        assert {*file.files} == {*before, "minigan.json"} and json.loads(file["minigan.json"])["seed"] == 3
        for name, array in before.items():
            assert np.array_equal(array, file[name]) and array.dtype == file[name].dtype
    with zipfile.ZipFile(path) as file:  # no time of day in it: the same record gives the same bytes
        assert file.getinfo("minigan.json").date_time == (1980, 1, 1, 0, 0, 0)
    np.savez(path, **{name: before[name] for name in reversed(before)})  # not packed, in another order
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("minigan.json", record.text())
    said(path, "agrees")


def test_a_renamed_picture_keeps_its_record(tmp_path):
    for suffix in INSIDE:
        path, record = stamped(tmp_path, suffix)
        assert read(path.rename(tmp_path / f"{suffix} without a suffix")) == record


# What happens to files


def one_thing_changed(path, record):
    """The smallest change there is to a file's content; its record stays."""
    kind = path.suffix[1:]
    if kind == "png":
        with Image.open(path) as image:
            pixels = np.asarray(image).copy()
        pixels[2, 3, 1] ^= 1
        info = PngImagePlugin.PngInfo()
        info.add_text("minigan", record.text())
        Image.fromarray(pixels).save(path, pnginfo=info)
    elif kind == "gif":
        with Image.open(path) as image:
            shown = [frame.copy() for frame in ImageSequence.Iterator(image)]
        shown = [frame.convert("RGB") for frame in shown]
        shown[3].putpixel((4, 4), (1, 2, 3))
        shown[0].save(
            path, save_all=True, append_images=shown[1:], duration=200, loop=0, comment=record.text().encode()
        )
    elif kind == "mid":
        midi = mido.MidiFile(path)
        at, note = next((k, m) for k, m in enumerate(midi.tracks[1]) if m.type == "note_on")
        midi.tracks[1][at] = note.copy(velocity=note.velocity - 1)
        midi.save(path)
    elif kind == "npz":
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "minigan.json"}
        arrays["images"] = arrays["images"].copy()
        arrays["images"][0, 0, 0, 0] = np.nextafter(arrays["images"][0, 0, 0, 0], np.float32(2))
        np.savez(path, **arrays)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("minigan.json", record.text())
    else:
        path.write_bytes(path.read_bytes() + b" ")


def test_one_pixel_or_note_or_bit_that_changed_is_said(plain):
    record = stamp(plain, RECORD)
    one_thing_changed(plain, record)
    what = provenance.CONTENT[record.format]
    assert said(plain, "changed", f"other {what}").record == record


def test_other_durations_and_times_are_another_content(tmp_path):
    path, _ = stamped(tmp_path, "gif")
    data = path.read_bytes()
    control = data.index(b"!\xf9\x04") + 4
    path.write_bytes(data[:control] + struct.pack("<H", 77) + data[control + 2 :])
    assert frames(path)[0][0][1] == 770
    said(path, "changed")
    path, _ = stamped(tmp_path, "mid")
    midi = mido.MidiFile(path)
    midi.tracks[0][-1].time += 1
    midi.save(path)
    said(path, "changed")


def test_arrays_under_other_names_types_and_shapes_are_other_arrays(tmp_path):
    zeros = np.zeros(4, np.float32)
    contents = set()
    for arrays in ({"a": zeros}, {"b": zeros}, {"a": zeros.view(np.int32)}, {"a": zeros.reshape(2, 2)}):
        np.savez(tmp_path / "a.npz", **arrays)
        contents.add(stamp(tmp_path / "a.npz", RECORD).content)
    assert len(contents) == 4


def test_a_record_that_was_taken_out_is_missed(tmp_path):
    path, _ = stamped(tmp_path, "png")
    with Image.open(path) as image:
        image.load()
        Image.fromarray(np.asarray(image)).save(path)
    said(path, "no record")
    path, _ = stamped(tmp_path, "txt")
    sidecar(path).unlink()
    said(path, "no record")


@pytest.mark.parametrize("suffix", INSIDE)
def test_a_file_cut_short_anywhere_is_a_sentence(suffix, tmp_path):
    """Never does it agree, but where all the content is left: a last byte or two say only that nothing follows."""
    path, _ = stamped(tmp_path, suffix)
    data, agreed = path.read_bytes(), []
    for length in {*range(0, len(data), max(1, len(data) // 20)), *range(0, 30, 3), len(data) - 1, len(data) - 5}:
        path.write_bytes(data[:length])
        verdict = verify(path)
        assert verdict.state in ("damaged file", "damaged record", "changed", "no record", "agrees")
        assert "\n" not in verdict.text and verdict.text.endswith(".")
        agreed += [length] if verdict.good else []
    assert all(len(data) - length <= 5 for length in agreed)
    path.write_bytes(data[: len(data) // 2])
    said(path, "damaged file", "cut short")


@pytest.mark.parametrize("suffix", INSIDE)
def test_a_flipped_bit_is_never_worse_than_a_sentence(suffix, tmp_path):
    path, record = stamped(tmp_path, suffix)
    data = path.read_bytes()
    random = np.random.default_rng(1)
    for at, bit in zip(random.integers(0, len(data), 60).tolist(), random.integers(0, 8, 60).tolist()):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
        verdict = verify(path)
        assert "\n" not in verdict.text and verdict.text.endswith(".")
        assert verdict.state != "agrees" or verdict.record == record  # what it says, the true record says


def test_no_file_and_large_files_are_one_sentence(tmp_path, monkeypatch):
    for path in (tmp_path / "none.png", tmp_path):
        for function in (read, verify, lambda path: stamp(path, RECORD)):
            with pytest.raises(ValueError, match="There is no file"):
                function(path)
    path, _ = stamped(tmp_path, "mid")
    path.write_bytes(path.read_bytes().ljust(2**20 + 1, b"\0"))
    with pytest.raises(ValueError, match="is larger than 1 MB"):
        read(path)
    path.write_bytes(b"MThd" + bytes(50))
    with pytest.raises(RecordError, match="its events cannot be read"):
        stamp(path, RECORD)
    assert path.read_bytes() == b"MThd" + bytes(50)


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setitem(provenance.LARGEST, "NPZ", 2**20)
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros(2**21, np.uint8))
    said(tmp_path / "a.npz", "damaged file", "too large")
    monkeypatch.setattr(provenance, "MOST_PIXELS", 2**16)
    Image.new("L", (400, 400)).save(tmp_path / "a.png")
    said(tmp_path / "a.png", "damaged file", "too large")
    # a time of a million bytes: mido would work on it for hours
    track = b"\xff" * 1_000_000
    (tmp_path / "a.mid").write_bytes(b"MThd\0\0\0\6\0\1\0\1\1\xe0MTrk" + struct.pack(">I", len(track)) + track)
    said(tmp_path / "a.mid", "damaged file")
    # nor is anything unpickled
    np.savez(tmp_path / "b.npz", a=np.array([{}], dtype=object))
    said(tmp_path / "b.npz", "damaged file")


def test_a_stop_while_writing_leaves_the_file_as_it_was(plain, monkeypatch):
    before = plain.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        stamp(plain, RECORD)
    assert plain.read_bytes() == before and list(plain.parent.iterdir()) == [plain]


# Records that were not written by this code


def forged(folder, text):
    """A text file with a record as given, a str or the values of one."""
    path, _ = stamped(folder, "txt")
    if isinstance(text, dict):
        text = {"minigan record": 1, **text, "check": provenance._check(text)}
        text = json.dumps(text)
    sidecar(path).write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"seed": "3"}, "seed is a whole number"),
        ({"seed": True}, "seed is a whole number"),
        ({"seed": 3.0}, "seed is a whole number"),
        ({"seed": -1}, "but this is -1"),
        ({"index": 2**63}, "index is a whole number"),
        ({"index": 10**400}, "of type int"),
        ({"model": ["mlp"]}, "model is a name, but this is of type list"),
        ({"model": "\x1b[2J"}, r"'\x1b[2J'"),
        ({"model": "x" * 5000}, "'xxxxx"),
        ({"run": "../../etc"}, "run is a folder's name"),
        ({"run": ".."}, "run is a folder's name"),
        ({"run": "a\\b"}, "run is a folder's name"),
        ({"time": "yesterday"}, "time is an ISO 8601 time in UTC"),
        ({"time": "2026-01-01T00:00:00+02:00"}, "time is an ISO 8601 time in UTC"),
        ({"checkpoint": "g" * 64}, "checkpoint is a sha256"),
        ({"content": CHECKPOINT + "\n"}, "content is a sha256"),
        ({"content": ""}, "something is missing"),
        ({"format": "EXE"}, "format is one of PNG"),
        ({"minigan": None}, "minigan is a version"),
        ({"options": [1]}, "options is a dict"),
        ({"options": {"n": {}}}, "option 'n' is a text, number"),
        ({"options": {"n": [[1]]}}, "option 'n' is a text, number"),
        ({"options": {"n": float("nan")}}, "option 'n' is a text, number"),
        ({"options": {"n": "\ud800"}}, "option 'n' is a text, number"),
        ({"options": {"a b": 1}}, "an option's name is a word"),
        ({"extra": 1}, "there is too much"),
    ],
)
def test_a_record_with_a_wrong_value_is_named(values, part, tmp_path):
    good = asdict(stamped(tmp_path, "txt")[1])
    said(forged(tmp_path, good), "agrees")
    path = forged(tmp_path, {**good, **values})
    assert said(path, "damaged record", part).record is None
    with pytest.raises(RecordError) as error:
        read(path)
    assert str(error.value) == verify(path).text and len(str(error.value)) < len(str(path)) + 250


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "it is no JSON"),
        ("__import__('os')", "it is no JSON"),
        ('"明月"', "it is no JSON"),
        ("[" * 60_000, "it is no JSON"),
        ("9" * 6000, "it is no JSON"),
        ("[1]", "but no record"),
        ("{}", "but no record"),
        ('{"minigan record": {"a": 1}}', "format of type dict"),
        ('{"minigan record": 2}', "this minigan reads format 1"),
        ('{"minigan record": 1}', "something is missing"),
        (" " * 70_000, "longer than 65,536"),
    ],
)
def test_what_is_no_record_is_a_sentence(text, part, tmp_path):
    said(forged(tmp_path, text), "damaged record", part)


def test_a_record_that_was_edited_is_said(tmp_path):
    path, _ = stamped(tmp_path, "txt")
    text = sidecar(path).read_text(encoding="ascii")
    assert '"seed": 3' in text
    sidecar(path).write_text(text.replace('"seed": 3', '"seed": 4'), encoding="ascii")
    said(path, "damaged record", "changed after it was written")
    path, _ = stamped(tmp_path, "gif")
    path.write_bytes(path.read_bytes().replace(b'"seed": 3', b'"seed": 4'))
    said(path, "damaged record", "changed after it was written")


def test_two_records_are_one_too_many(tmp_path):
    for suffix in ("png", "gif", "mid"):
        path, record = stamped(tmp_path, suffix)
        data = path.read_bytes()
        if suffix == "png":
            end = 33 + 12 + 8 + len(record.text())
            path.write_bytes(data[:end] + data[33:])
        elif suffix == "gif":
            start, end = data.index(b"!\xfe"), data.index(b"\0!\xf9") + 1
            path.write_bytes(data[:end] + data[start:])
        else:
            midi = mido.MidiFile(path)
            midi.tracks[0].insert(3, midi.tracks[0][0])
            midi.save(path)
        said(path, "damaged record", "more than one")
        stamp(path, RECORD)
        said(path, "agrees")
    path, record = stamped(tmp_path, "npz")
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("minigan.json", record.text())
    said(path, "damaged record", "more than one")


def test_a_long_record_is_refused_in_each_format(plain):
    before = plain.read_bytes()
    with pytest.raises(ValueError, match="at most 65,536 characters"):
        stamp(plain, replace(RECORD, options={"prompt": "x" * 70_000}))
    assert plain.read_bytes() == before and not sidecar(plain).exists()


# Made again


@pytest.mark.parametrize("suffix", WRITERS)
def test_made_again_or_not(suffix, tmp_path):
    path, record = stamped(tmp_path, suffix)
    asked = []

    def same(record):
        asked.append(record)
        WRITERS[suffix](tmp_path / f"again.{suffix}")
        return (tmp_path / f"again.{suffix}").read_bytes()

    what = provenance.CONTENT[record.format]
    said(path, "made again", f"its {what} were made again bit for bit", regenerate=same)
    assert asked == [record]

    def other(record):
        twin = tmp_path / f"other.{suffix}"
        WRITERS[suffix](twin)
        one_thing_changed(twin, stamp(twin, RECORD))
        return twin.read_bytes()

    said(path, "differs", f"it has other {what}", "not true", regenerate=other)
    said(path, "differs", regenerate=lambda record: b"of another format")
    if suffix in INSIDE:  # stamped or not is all the same
        said(path, "made again", regenerate=lambda record: path.read_bytes())


def test_what_goes_wrong_on_the_way_is_a_sentence(tmp_path):
    path, record = stamped(tmp_path, "png")

    def fails(error):
        def regenerate(record):
            raise error

        return regenerate

    said(path, "not made again", "(no label 99)", regenerate=fails(ValueError("no label 99.")))
    said(path, "not made again", "(MemoryError)", regenerate=fails(MemoryError()))
    said(path, "not made again", r"\x1b", regenerate=fails(RuntimeError("\x1b[2J\n" * 500)))
    said(path, "not made again", regenerate=lambda record: None)
    said(path, "not made again", regenerate=lambda record: path.read_bytes()[:1000])
    one_thing_changed(path, record)
    said(path, "changed", regenerate=fails(AssertionError("it is not asked")))


# Records


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "b")


def test_a_record_knows_version_and_time_and_keeps_its_own_options():
    options = {"labels": (1, 2)}
    record = Record("mlp", CHECKPOINT, 0, options=options)
    options["n"] = 5
    assert record.options == {"labels": [1, 2]} and record.minigan == __version__
    assert record.time.endswith("+00:00") and len(record.time) == len("2026-01-01T00:00:00+00:00")
    for wrong in ({"seed": np.int64(3)}, {"run": "runs/mlp"}, {"options": {"n": np.float32(1)}}):
        with pytest.raises(ValueError, match=r"^In a record, .*\.$"):
            replace(record, **wrong)


plain_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
names = st.text(st.characters(categories=["L", "Nd", "P"], exclude_characters="/\\:."), min_size=1, max_size=40)
records = st.builds(
    Record,
    model=names,
    checkpoint=st.binary(max_size=9).map(lambda b: hashlib.sha256(b).hexdigest()),
    seed=st.integers(0, 2**63 - 1),
    index=st.integers(0, 2**63 - 1),
    options=st.dictionaries(
        st.sampled_from(["n", "label", "prompt", "temperature", "bars", "größe"]),
        plain_values | st.lists(plain_values, max_size=4),
    ),
    run=names | st.just(""),
    time=st.datetimes().map(lambda time: time.isoformat(timespec="seconds") + "Z"),
)


@given(records)
@settings(max_examples=40)
def test_every_record_comes_back_from_its_text(record):
    record = replace(record, content=CHECKPOINT, format="PNG")
    text = record.text()
    assert text.isascii() and text.startswith(provenance.MARK)
    back = provenance._parse(text.encode())
    assert back == record and repr(back) == repr(record)  # 1 is not 1.0, and True is not 1


@given(records, st.sampled_from(INSIDE))
@settings(max_examples=10)
def test_every_record_comes_back_from_a_file(tmp_path_factory, record, suffix):
    path, record = stamped(tmp_path_factory.mktemp("files"), suffix, record)
    assert repr(read(path)) == repr(record)
    said(path, "agrees")


def test_the_module_needs_numpy_alone():
    code = "import sys, minigan.provenance; print(sorted({'PIL', 'mido', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
