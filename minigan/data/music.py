"""Tunes as bars of sixteenths: Bach's chorales, which ship with the package. (Your own files: midi.py.)

MidiNet (Yang, Chou and Yang 2017) makes a tune bar by bar: each bar given its chord and the bar before. Its data were
the melodies of 526 pop songs; here they are chorales, known in music models since Boulanger-Lewandowski, Bengio
and Vincent 2012. The soprano is the melody; the three voices below it say the chord. Source and licence: SOURCES.md.

A bar is 4/4, 16 steps; a pitch is MIDI's number (60 is C4) and 0 is silence. Equal pitches in a row are one note:
this form cannot tell a repeated note from a held one.

M bars, B bars of one tune, 16 steps, 128 pitches, 12 pitch classes (0 is C), 13 places of a chord: the root one-hot,
then 1 for minor and 0 for major.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHIPPED = Path(__file__).with_name("chorales.npz")
STEPS, PITCHES = 16, 128
FOLD = np.eye(12, dtype=np.int64)[np.arange(PITCHES) % 12]  # (128, 12): pitches to pitch classes
# (24, 12), twelve major triads and then twelve minor ones: root, third, fifth
TRIADS = np.array([FOLD[[r, r + third, r + 7]].sum(axis=0) for third in (4, 3) for r in range(12)])
# How well each pitch class fits a key, from the tonic up: the probe-tone ratings of Krumhansl and Kessler 1982
# (Krumhansl 1990, "Cognitive Foundations of Musical Pitch", chapter 2).
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


class Melodies(NamedTuple):
    """M bars, the bars of a tune one after another, each with its conditions."""

    melody: np.ndarray  # (M, 16) uint8: pitches, 0 silent
    previous: np.ndarray  # (M, 16) uint8: the bar before in the same tune; all 0 for a tune's first
    chord: np.ndarray  # (M, 13) float32: root one-hot, then minor
    tune: np.ndarray  # (M,) int64: the number of the tune; of a chorale, its place in chorale_names()
    key: np.ndarray  # (M, 2) uint8: the tonic, 0 to 11, and the mode, 0 major or 1 minor, of the whole tune


# ---- the chorales --------------------------------------------------------------------------------------------------


def load_chorales(split: str = "train") -> Melodies:
    """The shipped chorales' bars: M is 3,590 of 288 tunes ("train"), 388 of 32 ("test") or 3,978 of 320 ("all").

    The metre, the length of the upbeat and the bar lines were read from the scores (SOURCES.md) and lie in the file.
    Of 365 chorales 320 are taken: 36 are in 3/4, one in 3/2, two change their metre, and in six a bar of odd length
    shifts the bar lines. Bar 0 begins after the upbeat; the upbeat (in 231 tunes) and the incomplete bar at the end
    (in 218) are left out, so every step comes from the score. Repeats are not played out.

    The chord is one for the bar, from alto, tenor and bass (`chords`). A bar here often has four chords, so it is a
    summary: its triad covers 65 % of these voices' time. It is ambiguous in 901 of the 3,978 bars, 22.6 %, where two
    or more triads weigh the most; in 232 of them the third of the one chosen does not sound. The bass decides 438,
    the melody 352, and the order of the list the last 111. The tonic of `key` is the last bass note in 210 tunes.

    Pitches are 57 to 81 (A3 to A5); MidiNet's were 60 to 83, two octaves from C4.

    The split is by tune. Many chorales share a hymn, so the 32 test tunes are spread evenly over the 110 unlike all
    others: of the two-bar stretches of a melody, heard on the beats and at any pitch, less than a quarter are in any
    other melody, where the one with fewer counts. Raises ValueError for any other split.
    """
    if split not in ("train", "test", "all"):
        raise ValueError(f'split must be "train", "test" or "all", but it is {split!r}.')
    bars, test = _chorales()
    wanted = (split == "all") | (test[bars.tune] == (split == "test"))
    return Melodies(*(array[wanted] for array in bars))


def chorale_names() -> tuple[str, ...]:
    """The names of the 365 shipped chorales, by the numbers of the Bach catalogue, as "bwv253"."""
    with np.load(SHIPPED) as shipped:
        return tuple(shipped["names"].tolist())


@cache
def _chorales() -> tuple[Melodies, np.ndarray]:
    """The bars of all tunes that are used, and which chorales are for testing, (365,) bool."""
    with np.load(SHIPPED) as shipped:
        parts = {name: shipped[name] for name in shipped.files}
    ends = parts["lengths"].astype(np.int64).cumsum()
    tunes, numbers = [], np.flatnonzero((parts["metre"] == "4/4") & parts["regular"])
    for i in numbers:
        voices = parts["voices"][:, ends[i] - parts["lengths"][i] + parts["upbeat"][i] : ends[i]]  # (4, T)
        B = voices.shape[1] // STEPS
        bars = voices[:, : B * STEPS].reshape(4, B, STEPS)
        tunes.append((bars[0], sum(one_hot(voice) for voice in bars[1:])))
    return as_melodies(tunes, numbers), parts["test"]


def as_melodies(tunes: list[tuple[np.ndarray, np.ndarray]], numbers: np.ndarray) -> Melodies:
    """Tunes, each a melody (B, 16) and how many other voices sound each pitch, (B, 16, 128), as one record."""
    columns = []
    for number, (melody, others) in zip(numbers, tunes):
        everything = (others + one_hot(melody)).sum(axis=(0, 1)) @ FOLD  # (12,)
        key = key_of(everything)
        previous = np.concatenate([np.zeros_like(melody[:1]), melody[:-1]])
        B = len(melody)
        columns.append((melody, previous, chords(melody, others, key), np.full(B, number), np.tile(key, (B, 1))))
    kinds = (np.uint8, np.uint8, np.float32, np.int64, np.uint8)
    return Melodies(*(np.concatenate(column).astype(kind) for column, kind in zip(zip(*columns), kinds)))


# ---- chord and key -------------------------------------------------------------------------------------------------


def chords(melody: np.ndarray, others: np.ndarray, key: tuple[int, int] = (0, 0)) -> np.ndarray:
    """One triad for each bar of a tune, float32 (B, 13).

    `others` (B, 16, 128) counts the voices beside the melody (B, 16) that sound each pitch at each step. Each pitch
    class weighs the time it sounds in them, and of the 24 triads the heaviest is taken; of equal ones that whose
    root is longest in the bass (the lowest of them at a step), then the one with more of the melody, then major
    before minor, then the lower root. Where the others are silent for a bar the melody stands in for them; a bar in
    which nothing sounds keeps the chord of the bar before, and a first one has the triad of the key, (tonic, mode).
    """
    sung = one_hot(melody).sum(axis=1) @ FOLD  # (B, 12) steps of each pitch class
    sounds = others.sum(axis=1) @ FOLD
    weights = np.where(sounds.any(axis=1, keepdims=True), sounds, sung)
    lowest = one_hot((others > 0).argmax(axis=2)).sum(axis=1) @ FOLD  # (B, 12): 0, where none sounds, is no pitch
    # all three are counts; the second and third are at most 16, so the sum ranks by the first, then by the next
    rank = (weights @ TRIADS.T) * 32 * 32 + np.tile(lowest, 2) * 32 + sung @ TRIADS.T  # (B, 24)
    best = rank.argmax(axis=1)
    before = int(key[0]) + 12 * int(key[1])
    for b in np.flatnonzero(~weights.any(axis=1)):
        best[b] = best[b - 1] if b else before
    return np.concatenate([np.eye(12)[best % 12], best[:, None] >= 12], axis=1).astype(np.float32)


def key_of(weights: np.ndarray) -> tuple[int, int]:
    """The tonic, 0 to 11, and the mode, 0 major or 1 minor, of a tune whose pitch classes sound for `weights` (12,).

    It is the key whose profile correlates best with them (Krumhansl 1990, chapter 4: the Krumhansl-Schmuckler
    algorithm, on the ratings of Krumhansl and Kessler 1982). A tune in which nothing sounds is in C major.
    """
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR, MINOR) for tonic in range(12)])
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    fit = centred @ (weights - np.mean(weights)) / np.linalg.norm(centred, axis=1)  # times a number, the correlation
    mode, tonic = divmod(int(np.argmax(fit)), 12)
    return tonic, mode


# ---- other keys, other forms ---------------------------------------------------------------------------------------


def transposed(melodies: Melodies, semitones: int) -> Melodies:
    """The same bars so many semitones higher: melody, previous, chord roots and tonic; silence stays silence.

    Raises ValueError if a pitch would leave 1 to 127.
    """
    for pitches_ in (melodies.melody, melodies.previous):
        moved = pitches_[pitches_ > 0].astype(np.int64) + semitones
        if moved.size and not 0 < moved.min() <= moved.max() < PITCHES:
            raise ValueError(f"{semitones:+d} semitones move a pitch out of 1 to 127: take fewer.")
    up = lambda p: np.where(p > 0, p.astype(np.int64) + semitones, 0).astype(np.uint8)
    chord, key = melodies.chord.copy(), melodies.key.copy()
    chord[:, :12] = np.roll(chord[:, :12], semitones, axis=1)
    key[:, 0] = (key[:, 0].astype(np.int64) + semitones) % 12
    return melodies._replace(melody=up(melodies.melody), previous=up(melodies.previous), chord=chord, key=key)


def all_keys(melodies: Melodies) -> Melodies:
    """The bars in 12 keys, -5 to +6 semitones, M x 12 of them, one key after another: MidiNet's augmentation.

    The chorales then reach from 52 to 87 (E3 to D#6), and 1.2 % of the sounding steps lie outside MidiNet's 60 to 83.
    They are left there: to fold them into two octaves would break up the tunes.
    """
    return Melodies(*(np.concatenate(arrays) for arrays in zip(*(transposed(melodies, s) for s in range(-5, 7)))))


def stretches(melodies: Melodies, bars: int = 8) -> np.ndarray:
    """The rows of `bars` successive bars of one tune, (S, bars) int64; `melodies.chord[rows]` are their chords.

    Each tune gives as many as fit one after another from its start; what is left at its end is not used.
    """
    same = (np.diff(melodies.tune) == 0) & (np.diff(melodies.key.astype(np.int64), axis=0) == 0).all(axis=1)
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    ends = np.append(starts[1:], len(melodies.tune))
    rows = [np.arange(bars) + a for start, end in zip(starts, ends) for a in range(start, end - bars + 1, bars)]
    return np.array(rows, dtype=np.int64).reshape(-1, bars)


def rolls(melody: np.ndarray) -> np.ndarray:
    """Pitches (..., 16) as a piano roll, float32 (..., 16, 128): one-hot, and all zero where a step is silent.

    A bar takes 8 KB: make the rolls of a batch, not of all the bars.
    """
    return one_hot(melody, np.float32)


def pitches(rolls: np.ndarray) -> np.ndarray:
    """The inverse of `rolls`: the strongest pitch of each step, uint8 (..., 16); where all are equal, silence.

    (MidiNet's output is made binary in this way, with one note a step.)
    """
    return np.asarray(rolls).argmax(axis=-1).astype(np.uint8)


def one_hot(melody: np.ndarray, dtype: type = np.int64) -> np.ndarray:
    """Pitches (...) to (..., 128), all zero where a step is silent."""
    table = np.eye(PITCHES, dtype=dtype)
    table[0] = 0
    return table[melody]
