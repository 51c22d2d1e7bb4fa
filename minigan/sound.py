"""A tune as notes, and as sound: a few sine waves a note, so that it can be heard without a player or a soundfont.

A note of frequency f is the sum of its harmonics f, 2f, 3f, ..., the higher the softer and the sooner gone, as on a
plucked string. It swells in a few milliseconds and is let go in a few more: a wave that jumps is heard as a click.

B bars   S steps in a bar, 16 (sixteenth notes)   M notes
"""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan.files import write_whole

HARMONICS = np.array([1.0, 0.45, 0.3, 0.15, 0.1, 0.06])  # how loud f, 2f, ... are when the note is struck
FADES = np.array([0.9, 1.4, 2.0, 2.8, 3.8, 5.0])  # and how fast they fade: exp(-fade t), t in seconds
ATTACK, RELEASE = 0.008, 0.04  # seconds from silence to full, and from there to silence
MELODY, CHORD = 0.5, 0.11  # the largest value a note can reach: 0.5 and four times 0.11 stay below 1 together
BASS, MIDDLE = 36, 48  # a chord is its root from C2 up, and its three tones from C3 up: below most melodies


class Notes(NamedTuple):
    """M notes of one tune, or of several: in which tune (M,), from which step (M,), how many (M,), and MIDI pitch."""

    tune: np.ndarray
    start: np.ndarray
    length: np.ndarray
    pitch: np.ndarray


def notes(melody: np.ndarray) -> Notes:
    """The notes that a melody (..., B, S) is: consecutive equal pitches are one, also across a bar line; 0 is none.

    Raises ValueError for what is no melody (`check_melody`).
    """
    melody = check_melody(melody)
    steps = melody.shape[-2] * melody.shape[-1]
    tunes = melody.reshape(-1, steps)  # (N, B S): a tune's bars in a row
    change = np.ones(tunes.shape, dtype=bool)  # and nothing is held from one tune into the next
    change[:, 1:] = tunes[:, 1:] != tunes[:, :-1]
    tune, start = np.nonzero(change)
    length = np.diff(tune * steps + start, append=tunes.size)
    pitch = tunes[change]
    return Notes(*(column[pitch > 0] for column in (tune, start, length, pitch)))


def triads(chords: np.ndarray) -> np.ndarray:
    """The pitch classes of each chord: (..., 13), 12 roots and the minor bit, -> bool (..., 12), True at its three.

    A chord of zeros is no chord, and has none. Raises ValueError for what are no chords.
    """
    chords = np.asarray(chords)
    if chords.shape[-1:] != (13,) or not np.isin(chords, (0, 1)).all() or (chords[..., :12].sum(axis=-1) > 1).any():
        raise ValueError(
            f"A chord is 13 numbers, one 1 among 12 roots and then 1 for minor or 0 for major, "
            f"but these chords, of shape {chords.shape}, are not."
        )
    root, minor = chords[..., :12].astype(bool), chords[..., 12:].astype(bool)
    third = np.where(minor, np.roll(root, 3, axis=-1), np.roll(root, 4, axis=-1))
    return root | third | np.roll(root, 7, axis=-1)


def frequency(pitch: float | np.ndarray) -> float | np.ndarray:
    """Hertz of a MIDI pitch in equal temperament: twelve equal steps to the octave, and A4 (69) is 440."""
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def render(melody: np.ndarray, chords: np.ndarray | None = None, tempo: float = 90, rate: int = 22050) -> np.ndarray:
    """A tune as sound: melody (B, S), a step a sixteenth, and chords (B, 13), each held a bar, lower and softer.

    tempo is in quarter notes a minute and rate in samples a second. Returns float32 (samples,), between -1 and 1;
    samples is B S 15 / tempo rate, rounded. Raises ValueError for another shape, and for a tempo or a rate of 0.
    """
    melody = check_melody(melody)
    if melody.ndim != 2:
        raise ValueError(f"One tune at a time is heard, (bars, steps), but melody is {melody.shape}: take melody[0].")
    if not 0 < tempo < np.inf or rate < 1000:
        raise ValueError(f"tempo must be above 0 and rate at least 1000 samples a second, not {tempo} and {rate}.")
    B, S = melody.shape
    edges = np.rint(np.arange(B * S + 1) * 15 / tempo * rate).astype(int)  # the sample where each step begins
    sound = np.zeros(edges[-1])
    for _, start, length, pitch in zip(*notes(melody)):
        begin, end = edges[start], edges[start + length]
        sound[begin:end] += MELODY * _note(pitch, end - begin, rate)
    if chords is not None:
        tones = triads(chords)
        if tones.shape != (B, 12):
            raise ValueError(f"{B} bars need {B} chords, (bars, 13), but chords are {np.shape(chords)}.")
        for bar in np.flatnonzero(tones.any(axis=1)):
            begin, end = edges[bar * S], edges[(bar + 1) * S]
            root = np.argmax(np.asarray(chords)[bar, :12])
            for pitch in (BASS + root, *(MIDDLE + np.flatnonzero(tones[bar]))):
                sound[begin:end] += CHORD * _note(pitch, end - begin, rate)
    return sound.astype(np.float32)


def _note(pitch: int, samples: int, rate: int) -> np.ndarray:
    """One note, (samples,), that begins and ends in silence and stays between -1 and 1."""
    t = np.arange(samples) / rate
    f = frequency(pitch) * np.arange(1, len(HARMONICS) + 1)
    heard = f < rate / 2  # a wave above half the rate would come back as another, lower one
    loud, fade, f = (column[heard, None] for column in (HARMONICS, FADES, f))
    waves = loud * np.exp(-fade * t) * np.sin(2 * np.pi * f * t)  # (harmonics, samples)
    # Half a cosine up and half a cosine down; a note too short for both has them shorter.
    up, down = min(ATTACK, 0.25 * samples / rate), min(RELEASE, 0.5 * samples / rate)
    envelope = np.clip(t / up, 0, 1) * np.pi
    release = np.clip((samples / rate - t) / down, 0, 1) * np.pi
    return (1 - np.cos(envelope)) / 2 * (1 - np.cos(release)) / 2 * waves.sum(axis=0) / HARMONICS.sum()


def save_wav(path: str | os.PathLike, samples: np.ndarray, rate: int = 22050) -> None:
    """Write sound (samples,) as a WAV file, mono, 16 bits; the file is whole or not there.

    Raises ValueError for another shape, for a value outside -1 to 1 (it would be cut off, and heard so), and for a
    name that does not end in .wav.
    """
    path, samples = Path(path), np.asarray(samples)
    if path.suffix.lower() != ".wav":
        raise ValueError(f"Sound is written as .wav; {path.name!r} would promise something else.")
    if samples.ndim != 1 or not (np.abs(samples) <= 1).all():
        raise ValueError(f"Sound is one row of values between -1 and 1, but this is {samples.shape}, or has others.")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.rint(samples * 32767.0).astype("<i2").tobytes())
    write_whole(path, file.getvalue())


def check_melody(melody: np.ndarray) -> np.ndarray:
    """Melody as int64 (..., B, S). Raises ValueError for another shape, no integers, and pitches not 0 to 127."""
    melody = np.asarray(melody)
    if melody.ndim < 2 or not melody.size or melody.dtype.kind not in "iu":
        raise ValueError(
            f"A melody is whole numbers (bars, steps), or (tunes, bars, steps), "
            f"but this has shape {melody.shape} and type {melody.dtype}."
        )
    if melody.min() < 0 or melody.max() > 127:
        raise ValueError(f"MIDI pitches are 0 to 127, but the melody has {melody.min()} to {melody.max()}.")
    return melody.astype(np.int64)
