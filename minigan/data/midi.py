"""MIDI files: your own tunes in, as bars with their chords, and tunes out, for any player to open.

A folder's files are untidy (a download cut short, a waltz, drums alone), so what cannot be used is skipped and the
reason handed back, and nothing of mido's own errors is seen.

A bar is 4/4, 16 steps; times in a file are in ticks. B bars of one tune; forms of melody and chord as in music.py.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan.data.music import PITCHES, STEPS, Melodies, as_melodies
from minigan.files import write_whole

TICKS = 480  # of a quarter note in the files written here
MAX_BARS = 2000  # of a file read here: an hour and a half; a damaged file may claim millions
MELODY_NAMES = ("melody", "soprano", "vocal", "lead")
DRUMS = 9  # the channel that General MIDI keeps for percussion
PROGRAMS = {"melody": 73, "chords": 0}  # General MIDI, counted from 0: flute, piano


class _Voice(NamedTuple):
    """What one channel plays in one track."""

    name: str  # the track's
    notes: list[tuple[int, int, int]]  # first tick, last tick, pitch


class _Midi(NamedTuple):
    """What a MIDI file holds, times in ticks."""

    ticks: int  # of a quarter note
    length: int  # of the longest track, with the silence at its end
    metres: list[tuple[int, int, int]]  # tick, numerator, denominator
    voices: list[_Voice]


class _UnusableError(Exception):
    """Why a file cannot be used, to be read after its name."""


def load_midi(folder: str | Path) -> tuple[Melodies, list[tuple[Path, str]]]:
    """Every .mid and .midi file directly in `folder`, sorted by name: the bars, and what was skipped, (path, reason).

    - The melody is the track with "melody", "soprano", "vocal" or "lead" in its name; else, of the tracks that play
      one note at a time in nine tenths of their steps and sound in a quarter of the piece's, the highest on average.
      A format 0 file has its channels for tracks. Where notes overlap the later one is heard, of a chord the top one.
    - Only 4/4 (or 2/2), the whole file long; without a time signature a file is in 4/4. An upbeat is left out if the
      file marks it, by a first bar with a time signature of its own. Onsets and ends go to the nearest sixteenth.
    - The bars run from the first in which the melody sounds to the last; a silent one between is kept.
    - The chord is that of all other tracks but the percussion (`chords`); in a bar where they are silent, or where
      there is none, the melody's own notes decide.

    `tune` counts the files that were used. Raises ValueError without such a folder or if no file could be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: check its name.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".mid", ".midi") and not p.is_dir())
    tunes, skipped = [], []
    for path in paths:
        try:
            tunes.append(_tune(_parse(path)))
        except _UnusableError as reason:
            skipped.append((path, str(reason)))
    if not tunes:
        first = f": the first of {len(skipped)}, {skipped[0][0].name}, {skipped[0][1]}" if skipped else ""
        raise ValueError(f"No MIDI file (.mid .midi) in {folder} could be used{first}.")
    return as_melodies(tunes, np.arange(len(tunes))), skipped


def _parse(path: Path) -> _Midi:
    """Read a file with mido. Raises _UnusableError."""
    import mido  # here, so that importing minigan.data needs numpy alone

    if not path.is_file():  # opening a pipe would wait for ever
        raise _UnusableError("is not a file (a broken link, perhaps)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _UnusableError(f"may not be read ({error.strerror})") from None
    if not content:
        raise _UnusableError("is empty")
    if not content.startswith(b"MThd"):
        raise _UnusableError("is not a MIDI file (one begins with MThd)")
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
    except Exception:  # a damaged file makes mido raise nearly anything, often without a word
        raise _UnusableError("is cut short or damaged") from None
    if file.ticks_per_beat < 1:
        raise _UnusableError("counts time in film frames (SMPTE) and not in beats")
    if file.type == 2:
        raise _UnusableError("holds patterns with a time of their own (MIDI format 2) and not one piece")
    length, metres, voices = 0, [], []
    for track in file.tracks:
        name, now, sounding, notes = track.name, 0, {}, {}
        for message in track:
            now += message.time
            if message.type == "time_signature":
                metres.append((now, message.numerator, message.denominator))
            if message.type in ("note_on", "note_off") and message.channel != DRUMS and message.note > 0:
                starts = sounding.setdefault((message.channel, message.note), [])
                if message.type == "note_on" and message.velocity > 0:
                    starts.append(now)
                elif starts:  # struck twice before it is let go: the first one ends first
                    notes.setdefault(message.channel, []).append((starts.pop(0), now, message.note))
        for (channel, pitch), starts in sounding.items():  # never let go
            notes.setdefault(channel, []).extend((start, now, pitch) for start in starts)
        voices += [_Voice(name, sorted(notes[channel])) for channel in sorted(notes)]
        length = max(length, now)
    if length > MAX_BARS * 4 * file.ticks_per_beat:
        raise _UnusableError(f"is longer than {MAX_BARS:,} bars")
    return _Midi(file.ticks_per_beat, length, sorted(metres), voices)


def _tune(midi: _Midi) -> tuple[np.ndarray, np.ndarray]:
    """The melody (B, 16) of a file and how many other voices sound each pitch (B, 16, 128). Raises _UnusableError."""
    start = _first_bar(midi)
    B = -(-max(midi.length - start, 0) // (4 * midi.ticks)) + 1  # one more, for what rounding moves past the end
    counts = [_counts(voice, midi.ticks, start, B) for voice in midi.voices]
    chosen = _choose(midi.voices, counts)
    melody = np.zeros(B * STEPS, np.uint8)
    for first, last, pitch in midi.voices[chosen].notes:  # sorted, so the later and the higher ones prevail
        a, b = _steps(first, last, midi.ticks, start)
        melody[max(a, 0) : max(b, 0)] = pitch
    melody = melody.reshape(B, STEPS)
    others = sum((c for i, c in enumerate(counts) if i != chosen), np.zeros_like(counts[0]))
    bars = np.flatnonzero(melody.any(axis=1))
    used = slice(bars[0], bars[-1] + 1)
    return melody[used], others[used]


def _first_bar(midi: _Midi) -> int:
    """The tick at which the first whole bar begins. Raises _UnusableError unless the metre is 4/4 from there on."""
    bar = 4 * midi.ticks
    metres = midi.metres or [(0, 4, 4)]
    whole = [tick for tick, numerator, denominator in metres if numerator == denominator]
    start = whole[0] if whole and whole[0] < bar else 0
    for tick, numerator, denominator in metres:
        if tick >= start and numerator != denominator:
            raise _UnusableError(f"is in {numerator}/{denominator}, at least in part, and only 4/4 is read")
        if (tick - start) % bar and tick > start:
            raise _UnusableError("has a time signature in the middle of a bar")
    return start


def _choose(voices: list[_Voice], counts: list[np.ndarray]) -> int:
    """Which voice is the melody: see load_midi. Raises _UnusableError."""
    if not any(count.any() for count in counts):
        raise _UnusableError("has no notes besides percussion")
    many = np.array([count.sum(axis=2).reshape(-1) for count in counts])  # (voices, T): notes at each step
    sounds = (many > 0).sum(axis=1)
    height = [np.mean([pitch for _, _, pitch in voice.notes]) for voice in voices]
    named = [any(word in voice.name.lower() for word in MELODY_NAMES) for voice in voices]
    single = (many == 1).sum(axis=1) >= 0.9 * sounds
    often = sounds >= 0.25 * (many > 0).any(axis=0).sum()
    for fit in (np.array(named) & (sounds > 0), single & often & (sounds > 0)):
        if fit.any():
            return int(np.argmax(np.where(fit, height, -1)))
    raise _UnusableError(
        'has no track that plays one note at a time through the piece (name one "melody" to choose it)'
    )


def _counts(voice: _Voice, ticks: int, start: int, B: int) -> np.ndarray:
    """How often a voice sounds each pitch at each step from tick `start`, (B, 16, 128) int16."""
    counts = np.zeros((B * STEPS, PITCHES), np.int16)
    for first, last, pitch in voice.notes:
        a, b = _steps(first, last, ticks, start)
        counts[max(a, 0) : max(b, 0), pitch] += 1
    return counts.reshape(B, STEPS, PITCHES)


def _steps(first: int, last: int, ticks: int, start: int) -> tuple[int, int]:
    """The sixteenths that a note takes, [a, b), one at least."""
    a, b = ((8 * (tick - start) + ticks) // (2 * ticks) for tick in (first, last))  # round(4 (tick - start) / ticks)
    return a, max(b, a + 1)


def write_midi(path: str | Path, melody: np.ndarray, chords: np.ndarray | None = None, tempo: float = 90) -> None:
    """Write a tune, melody (B, 16) and, where given, chords (B, 13), as a MIDI file of format 1.

    The track "melody" (flute) has equal pitches in a row as one note, over bar lines too; the track "chords" (piano)
    strikes each bar's triad, its root from C3 up, and holds it for the bar; a chord of zeros is a rest. `tempo` is in
    quarter notes a minute. The file is whole or not there. Raises ValueError for other shapes, pitches outside 0 to
    127, a chord that is not a root and a mode, or a tempo outside 4 to 1,000.
    """
    import mido

    melody = np.asarray(melody)
    if melody.ndim != 2 or melody.shape[1] != STEPS or not len(melody):
        raise ValueError(f"A melody is (bars, {STEPS}), one bar or more, but this one is {melody.shape}.")
    if not np.issubdtype(melody.dtype, np.integer) or melody.min() < 0 or melody.max() >= PITCHES:
        raise ValueError(
            "A melody holds whole numbers from 0 (silent) to 127: for a piano roll call pitches() first."
        )
    if not 4 <= tempo <= 1000:
        raise ValueError(f"tempo must be from 4 to 1,000 quarter notes a minute, but it is {tempo}.")
    line = melody.ravel()
    edges = np.flatnonzero(np.diff(line, prepend=-1, append=-1))  # where a note or a rest begins, and the end
    notes = {"melody": [(a, b, int(line[a])) for a, b in zip(edges.tolist(), edges[1:].tolist()) if line[a]]}
    if chords is not None:
        notes["chords"] = _triads(np.asarray(chords), len(melody))
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    for channel, (name, played) in enumerate(notes.items()):
        track = file.add_track(name)
        if name == "melody":  # the first track is the one that players take the time from
            track.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / tempo)))
            track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
        track.append(mido.Message("program_change", channel=channel, program=PROGRAMS[name]))
        # at one time, ends (0) before starts (1)
        events = sorted((step, on, pitch) for a, b, pitch in played for step, on in ((a, 1), (b, 0)))
        now = 0
        for step, on, pitch in events:
            kind = "note_on" if on else "note_off"
            velocity = 64 if not on or name == "chords" else 96
            track.append(
                mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=(step - now) * TICKS // 4)
            )
            now = step
        rest = melody.size - now  # the silence at the end belongs to the tune
        track.append(mido.MetaMessage("end_of_track", time=rest * TICKS // 4))
    content = io.BytesIO()
    file.save(file=content)
    write_whole(path, content.getvalue())


def _triads(chords: np.ndarray, B: int) -> list[tuple[int, int, int]]:
    """The notes of chords (B, 13): first step, last step, pitch. Raises ValueError."""
    if chords.shape != (B, 13):
        raise ValueError(f"The chords of {B} bars are ({B}, 13), but these are {chords.shape}.")
    if not np.isin(chords, (0, 1)).all() or (chords[:, :12].sum(axis=1) != chords.any(axis=1)).any():
        raise ValueError("A chord is one root of 12, and 1 for minor or 0 for major; or all 13 are 0.")
    notes = []
    for b in np.flatnonzero(chords.any(axis=1)).tolist():
        root, minor = 48 + int(chords[b, :12].argmax()), int(chords[b, 12])
        notes += [(b * STEPS, (b + 1) * STEPS, pitch) for pitch in (root, root + 4 - minor, root + 7)]
    return notes


def read_midi(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """What write_midi wrote: melody uint8 (B, 16) and chords float32 (B, 13), all zeros where no chord sounds.

    For any other file see load_midi. Raises ValueError if the file cannot be read or write_midi did not write it.
    """
    path = Path(path)
    try:
        midi = _parse(path)
    except _UnusableError as reason:
        raise ValueError(f"{path} {reason}.") from None
    bar, notes = STEPS * TICKS // 4, {voice.name: voice.notes for voice in midi.voices}
    triads: dict[int, list[int]] = {}  # the pitches struck at each time, lowest first
    for first, _, pitch in notes.get("chords", []):
        triads.setdefault(first, []).append(pitch)
    on_grid = all(t % (TICKS // 4) == 0 for played in notes.values() for note in played for t in note[:2])
    whole = midi.length > 0 and midi.length % bar == 0 and midi.ticks == TICKS
    of_three = all(first % bar == 0 and len(struck) == 3 for first, struck in triads.items())
    if not (on_grid and whole and of_three and {*notes} <= {*PROGRAMS}):
        raise ValueError(f"{path} was not written by write_midi: put it into a folder and call load_midi.")
    B = midi.length // bar
    line, chords = np.zeros(B * STEPS, np.uint8), np.zeros((B, 13), np.float32)
    for first, last, pitch in notes.get("melody", []):
        line[first * 4 // TICKS : last * 4 // TICKS] = pitch
    for first, (root, third, _) in triads.items():
        chords[first // bar, [root % 12, 12]] = 1, third - root == 3
    return line.reshape(B, STEPS), chords
