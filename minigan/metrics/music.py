"""Is a generated melody like real ones, in key, and at one with its chords? Numbers beside the corpus's own.

No number here is better the higher it is: a melody that stays on the tonic is always in key and in chord, and dull.
So measure real tunes of the same number of bars, and put both in one `table`.

    empty_bars, note_count, qualified_notes                            is anything played, and is it more than crumbs?
    pitch_classes_per_bar, pitch_range, pitch_entropy, ...             how varied is it?
    in_key, scale_consistency, in_chord, tonal_distance                is it in harmony?
    groove_consistency                                                 is the rhythm steady?

Each takes one tune, melody (B, S), or several, (..., B, S), and gives one number a tune, (...); NaN where it means
nothing, as a share of no notes. Melodies are MIDI pitches, 0 is silent; equal pitches in a row are one note.

B bars   S steps in a bar, 16 (sixteenths)   N tunes   M notes   12 pitch classes, C = 0
"""

# The measures are MuseGAN's (Dong et al. 2018, objective metrics) and muspy's (Dong et al. 2020), mostly by muspy's
# names. MuseGAN's own code (v1/musegan/eval/metrics.py) has what must be bugs, and they are avoided here: to_chroma
# folds the pitches as (12, n / 12), which adds up neighbouring pitches and not octaves, where pitch mod 12 is meant;
# one silent beat is 0/0, and takes its whole bar out of the tonal distance; and the later version returns the share
# of bars that are not empty as that of the empty ones.

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from minigan.sound import check_melody, notes, triads

MAJOR = (0, 2, 4, 5, 7, 9, 11)  # steps above the tonic
MINOR = (0, 2, 3, 5, 7, 8, 10)  # natural minor


# ---- is anything played ------------------------------------------------------------------------------------------


def empty_bars(melody: np.ndarray) -> np.ndarray:
    """The share of bars in which no step sounds, 0 to 1."""
    return (check_melody(melody) == 0).all(axis=-1).mean(axis=-1)


def note_count(melody: np.ndarray) -> np.ndarray:
    """The number of notes in a bar, on average; a note held into the next bar counts in the first."""
    return onsets(melody).sum(axis=(-2, -1)) / np.shape(melody)[-2]


def qualified_notes(melody: np.ndarray, shortest: int = 2) -> np.ndarray:
    """The share of notes that are at least `shortest` steps long, of 2 sixteenths: fewer means a melody in crumbs.

    (MuseGAN asks for at least a thirty-second, which our grid cannot undercut.)
    """
    found = notes(melody)
    count = lambda tune: np.bincount(tune, minlength=_tunes(melody))  # (N,)
    return _by_tune(melody, _ratio(count(found.tune[found.length >= shortest]), count(found.tune)))


def onsets(melody: np.ndarray) -> np.ndarray:
    """True at the steps where a note begins, bool (..., B, S)."""
    found, begins = notes(melody), np.zeros(np.shape(melody), dtype=bool)
    steps = begins.shape[-2] * begins.shape[-1]
    begins.reshape(-1)[found.tune * steps + found.start] = True
    return begins


# ---- how varied is it --------------------------------------------------------------------------------------------


def pitch_classes_per_bar(melody: np.ndarray) -> np.ndarray:
    """How many of the 12 pitch classes a bar has, on average over the bars that are not empty (MuseGAN's UPC)."""
    used = (_chroma(melody) > 0).sum(axis=-1)  # (..., B)
    return _ratio(used.sum(axis=-1), (used > 0).sum(axis=-1))


def pitches_used(melody: np.ndarray) -> np.ndarray:
    """How many different pitches a tune has."""
    return _by_tune(melody, (_histogram(melody, 128) > 0).sum(axis=-1))


def pitch_classes_used(melody: np.ndarray) -> np.ndarray:
    """How many of the 12 pitch classes a tune has."""
    return _by_tune(melody, (_histogram(melody, 12) > 0).sum(axis=-1))


def pitch_range(melody: np.ndarray) -> np.ndarray:
    """Semitones from the lowest to the highest pitch of a tune; NaN for silence."""
    melody = check_melody(melody)
    highest = melody.max(axis=(-2, -1))
    lowest = np.where(melody > 0, melody, 128).min(axis=(-2, -1))
    return np.where(highest > 0, highest - lowest, np.nan)[()]


def pitch_entropy(melody: np.ndarray) -> np.ndarray:
    """- sum_p P(p) log2 P(p), P(p) the share of the notes that are of pitch p: 0 to 7 bits (0: one pitch)."""
    return _by_tune(melody, _entropy(_histogram(melody, 128)))


def pitch_class_entropy(melody: np.ndarray) -> np.ndarray:
    """The same of the pitch classes: 0 to log2 12 = 3.58 bits; the seven tones of a scale, equally often, have 2.81.

    (Wu and Yang 2020, "The Jazz Transformer on the front line", evaluation.)
    """
    return _by_tune(melody, _entropy(_histogram(melody, 12)))


# ---- is it in harmony --------------------------------------------------------------------------------------------


def in_key(melody: np.ndarray, tonic: int | np.ndarray, minor: bool | np.ndarray = False) -> np.ndarray:
    """The share of the sounding steps whose pitch class is in the scale of a given key, 0 to 1.

    tonic (0 to 11, C is 0) and minor (natural minor) are one for all tunes or one a tune, (...).
    Uniformly random pitches have 7/12. (MuseGAN's SR, by time.)  Raises ValueError for another tonic.
    """
    classes = _chroma(melody).sum(axis=-2)  # (..., 12)
    tonic, minor = np.asarray(tonic), np.asarray(minor)
    if tonic.dtype.kind not in "iu" or (tonic < 0).any() or (tonic > 11).any():
        raise ValueError(f"A tonic is a pitch class, 0 (C) to 11 (B), but it is {tonic}.")
    scale = _scales()[minor.astype(int), tonic]  # (12,) or (..., 12)
    return _ratio((classes * scale).sum(axis=-1), classes.sum(axis=-1))


def scale_consistency(melody: np.ndarray) -> np.ndarray:
    """The largest share of the notes, each counted once, that one of the 24 scales has (Mogren 2016; muspy)."""
    classes = _histogram(melody, 12)  # (N, 12)
    best = (classes @ _scales().reshape(24, 12).T).max(axis=-1)
    return _by_tune(melody, _ratio(best, classes.sum(axis=-1)))


def in_chord(melody: np.ndarray, chords: np.ndarray) -> np.ndarray:
    """The share of the sounding steps whose pitch class is one of the three of their bar's chord, 0 to 1.

    chords (..., B, 13), as minigan.sound.triads takes them; bars without a chord are left out. Uniformly random
    pitches have 1/4. Raises ValueError where the chords are not one a bar.
    """
    classes, tones = _with_chords(melody, chords)
    classes = classes * tones.any(axis=-1, keepdims=True)
    return _ratio((classes * tones).sum(axis=(-2, -1)), classes.sum(axis=(-2, -1)))


def tonal_distance(melody: np.ndarray, chords: np.ndarray, beat: int = 4) -> np.ndarray:
    """How far the melody is from its chords, on average over the beats that have both: 0 where they are the same.

    The distance is Euclid's, between the `tonal_centroid`s of what sounds in a beat (`beat` steps) and of the bar's
    triad. (Harte, Sandler and Gasser 2006; between two instruments: MuseGAN's TD.)  Raises ValueError where the
    chords are not one a bar, and where the bar is no whole number of beats.
    """
    melody = check_melody(melody)
    if beat < 1 or melody.shape[-1] % beat:
        raise ValueError(f"A bar of {melody.shape[-1]} steps is no whole number of beats of {beat}.")
    _, tones = _with_chords(melody, chords)
    beats = _chroma(melody.reshape(*melody.shape[:-1], -1, beat))  # (..., B, S / beat, 12)
    apart = tonal_centroid(beats) - tonal_centroid(tones)[..., None, :]  # NaN where either is silent
    distance = np.sqrt((apart**2).sum(axis=-1))
    return _ratio(np.nansum(distance, axis=(-2, -1)), (~np.isnan(distance)).sum(axis=(-2, -1)))


def tonal_centroid(chroma: np.ndarray) -> np.ndarray:
    """Where pitch classes of weights (..., 12) lie, on average, on three circles: (..., 6); NaN for no weight.

    zeta = sum_l c_l (sin a_l, cos a_l, sin b_l, cos b_l, sin d_l / 2, cos d_l / 2)        c_l the share of class l
    a_l = 7 pi l / 6, fifths      b_l = 3 pi l / 2, minor thirds      d_l = 2 pi l / 3, major thirds

    Tones a fifth or a third apart are neighbours on one of the circles. (Harte, Sandler and Gasser 2006, "Detecting
    harmonic change in musical audio", the tonal centroid.)
    """
    chroma = np.asarray(chroma, dtype=np.float64)
    l = np.arange(12)[:, None]  # noqa: E741 (the paper's letter)
    angle = np.pi * l * np.array([7 / 6, 3 / 2, 2 / 3])  # (12, 3)
    circles = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * np.array([1, 1, 0.5])[:, None]  # (12, 3, 2)
    return _ratio(chroma @ circles.reshape(12, 6), chroma.sum(axis=-1, keepdims=True))


# ---- is the rhythm steady ----------------------------------------------------------------------------------------


def groove_consistency(melody: np.ndarray) -> np.ndarray:
    """1 - the share of steps at which one of two neighbouring bars has an onset and the other none; NaN for B = 1.

    (Wu and Yang 2020, "grooving pattern similarity", here of neighbours only, as in muspy.) muspy counts one
    bar more, an empty one, where the last note ends with a bar; the bars here are those that the melody has.
    """
    begins = onsets(melody)
    differ = begins[..., 1:, :] != begins[..., :-1, :]  # (..., B - 1, S)
    return 1 - _ratio(differ.sum(axis=(-2, -1)), np.prod(differ.shape[-2:]))


# ---- all together ------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """A measure in the table: its heading, how its numbers are printed, and what they mean."""

    heading: str
    form: str
    meaning: str


COLUMNS = {
    "empty_bars": Column("empty", ".1%", "bars in which nothing sounds"),
    "note_count": Column("notes", ".2f", "notes that begin in a bar"),
    "qualified_notes": Column("long", ".1%", "notes of two sixteenths or more"),
    "pitch_classes_per_bar": Column("classes", ".2f", "different pitch classes in a bar that is not empty"),
    "pitch_range": Column("range", ".1f", "semitones from a tune's lowest pitch to its highest"),
    "pitch_entropy": Column("bits", ".2f", "entropy of a tune's pitches"),
    "pitch_class_entropy": Column(
        "class bits", ".2f", "entropy of its pitch classes; a scale, evenly used, has 2.81"
    ),
    "groove_consistency": Column(
        "groove", ".1%", "steps that begin a note, or none, in both of two neighbouring bars"
    ),
    "scale_consistency": Column("one scale", ".1%", "notes in the scale, of 24, that fits the tune best"),
    "in_key": Column("in key", ".1%", "sounding steps in the scale of the given key; at random 58.3%"),
    "in_chord": Column("in chord", ".1%", "sounding steps on a tone of the bar's chord; at random 25.0%"),
    "tonal_distance": Column("distance", ".3f", "from each beat's pitch classes to the chord's, by Harte's circles"),
}


def measures(
    melody: np.ndarray,
    chords: np.ndarray | None = None,
    tonic: int | np.ndarray | None = None,
    minor: bool | np.ndarray = False,
) -> dict[str, float]:
    """Every measure of melodies (..., B, S), the mean over the tunes for which it means something (NaN: for none).

    In key only with a tonic, and in chord and tonal distance only with chords (..., B, 13).
    """
    found = {
        "empty_bars": empty_bars(melody),
        "note_count": note_count(melody),
        "qualified_notes": qualified_notes(melody),
        "pitch_classes_per_bar": pitch_classes_per_bar(melody),
        "pitch_range": pitch_range(melody),
        "pitch_entropy": pitch_entropy(melody),
        "pitch_class_entropy": pitch_class_entropy(melody),
        "groove_consistency": groove_consistency(melody),
        "scale_consistency": scale_consistency(melody),
    }
    if tonic is not None:
        found["in_key"] = in_key(melody, tonic, minor)
    if chords is not None:
        found |= {"in_chord": in_chord(melody, chords), "tonal_distance": tonal_distance(melody, chords)}
    return {name: float(_ratio(np.nansum(each), np.isfinite(each).sum())) for name, each in found.items()}


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """`measures` by name ({"chorales": ..., "samples": ...}) as a table to print, and what its columns mean below.

    Raises ValueError where a row is missing, or has other measures than the first.
    """
    if not rows:
        raise ValueError("A table needs at least one row of measures.")
    names = list(next(iter(rows.values())))
    for row, found in rows.items():
        if set(found) != set(names) or not set(names) <= set(COLUMNS):
            raise ValueError(f"All rows need the same measures, of {', '.join(COLUMNS)}, but {row!r} has others.")
    columns = [COLUMNS[name] for name in names]
    cells = [["", *(column.heading for column in columns)]]
    cells += [[row, *(format(found[name], COLUMNS[name].form) for name in names)] for row, found in rows.items()]
    first, *widths = (max(map(len, column)) for column in zip(*cells))
    lines = ["  ".join([f"{row:<{first}}", *(f"{c:>{w}}" for c, w in zip(values, widths))]) for row, *values in cells]
    heading = max(len(column.heading) for column in columns)
    return "\n".join([*lines, "", *(f"{column.heading:<{heading}}  {column.meaning}" for column in columns)])


# ---- what they share ---------------------------------------------------------------------------------------------


def _scales() -> np.ndarray:
    """Every scale's pitch classes, bool (2, 12, 12): major and minor, tonic, class."""
    return np.array([[np.isin(np.arange(12), (np.array(m) + t) % 12) for t in range(12)] for m in (MAJOR, MINOR)])


def _chroma(melody: np.ndarray) -> np.ndarray:
    """How many steps of each bar sound in each pitch class: (..., B, S) -> (..., B, 12)."""
    melody = check_melody(melody)[..., None]
    return ((melody > 0) & (melody % 12 == np.arange(12))).sum(axis=-2)


def _histogram(melody: np.ndarray, classes: int) -> np.ndarray:
    """How many notes each tune has of each pitch (classes = 128) or pitch class (12): (N, classes)."""
    found, counts = notes(melody), np.zeros((_tunes(melody), classes), dtype=np.int64)
    np.add.at(counts, (found.tune, found.pitch % classes), 1)
    return counts


def _entropy(counts: np.ndarray) -> np.ndarray:
    """In bits, of each row of counts (N, K) -> (N,); NaN for a row of zeros."""
    p = _ratio(counts, counts.sum(axis=-1, keepdims=True))
    return -(p * np.log2(np.where(p == 0, 1, p))).sum(axis=-1) + 0.0  # no -0


def _with_chords(melody: np.ndarray, chords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The melody's chroma and the chords' tones, both (..., B, 12)."""
    classes, tones = _chroma(melody), triads(chords)
    if classes.shape != tones.shape:
        raise ValueError(f"Every bar needs a chord: melody {np.shape(melody)} does not go with {np.shape(chords)}.")
    return classes, tones


def _tunes(melody: np.ndarray) -> int:
    return int(np.prod(np.shape(melody)[:-2]))


def _by_tune(melody: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(N,) -> (...), the melody's leading axes: one tune has one number."""
    return np.reshape(values, np.shape(melody)[:-2])[()]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, and NaN where the whole is 0."""
    return part / np.where(np.asarray(whole) == 0, np.nan, whole)
