"""A piano roll: time runs to the right, pitch goes up, a bar of colour is a note; above, each bar's chord.

The rows of a bar's chord tones are tinted in the chord's colour: a note on tint belongs to its chord. Chords near to
each other in harmony have near colours: the hues go round the circle of fifths, a major chord and its relative minor
(C and Am) share one, and minor is darker.

N tunes   B bars   S steps in a bar, 16 (sixteenths)   M notes
"""

from __future__ import annotations

import colorsys
import os
from typing import TYPE_CHECKING

import numpy as np

from minigan.sound import check_melody, notes, triads
from minigan.viz.figures import BLUE, FAINT, INK, ORANGE, _figure, _finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")  # the commoner spelling of each class
BLACK = (1, 3, 6, 8, 10)  # keys of the piano
MARGIN = 2  # semitones free below the lowest note and above the highest
BAND, REST = 2.2, 0.7  # heights of the chords' band and of the strip of rests, in semitones


def piano_roll(
    melody: np.ndarray,
    chords: np.ndarray | None = None,
    key: tuple[int, bool] | None = None,
    path: str | os.PathLike | None = None,
    title: str | list[str] = "",
) -> Figure:
    """Draw a tune, melody (B, S), or several above each other, (N, B, S).

    melody    MIDI pitches, a step a sixteenth; 0 is silent, and grey below the notes; equal ones in a row are a note
    chords    (B, 13) or (N, B, 13), 12 roots and the minor bit: named above their bars; zeros are no chord
    key       (tonic, minor), as (9, True) for A minor: notes outside its scale are orange (in minor the raised
              sixth and seventh belong to it, too: an A minor tune has G sharp)
    title     of the picture, or one for each tune

    Returns the figure; writes a PNG where a path is given. Raises ValueError for other shapes, and for chords that
    are not one a bar.
    """
    tunes = check_melody(melody)
    if tunes.ndim not in (2, 3):
        raise ValueError(
            f"A piano roll is of one tune (bars, steps) or of some (tunes, bars, steps), not {tunes.shape}"
        )
    if chords is not None and np.shape(chords) != (*tunes.shape[:-1], 13):
        raise ValueError(f"Every bar needs a chord: melody {tunes.shape} does not go with chords {np.shape(chords)}")
    scale = _scale(*key) if key is not None else np.ones(12, dtype=bool)
    tunes = tunes.reshape(-1, *tunes.shape[-2:])  # (N, B, S)
    N, B, _ = tunes.shape
    all_chords = [None] * N if chords is None else np.asarray(chords).reshape(N, B, 13)
    titles = [title] + [""] * (N - 1) if isinstance(title, str) else list(title)
    if len(titles) != N:
        raise ValueError(f"{N} tunes need {N} titles, not {len(titles)}")

    ranges = [_range(tune) for tune in tunes]
    heights = [top - bottom + REST + (BAND if chords is not None else 0) for bottom, top in ranges]
    row = 0.1 if N == 1 else 0.075  # inches a semitone
    figure = _figure(min(max(0.9 * B, 4.0), 14.0), row * sum(heights) + 0.32 * N + 0.25)
    all_axes = figure.subplots(N, 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, tune, its_chords, its_range, its_title in zip(all_axes, tunes, all_chords, ranges, titles):
        _draw(axes, tune, its_chords, scale, its_range, its_title)
        axes.set_yticks(*_pitch_names(*its_range, roomy=N == 1))
    said = "bar"
    if chords is not None:
        said += "; tinted rows: the chord's tones"
    if key is not None:
        said += f"; orange: outside {_chord_name(*key, long=True)}"
    all_axes[-1].set_xlabel(said, fontsize=8, color=INK)
    return _finish(figure, path)


def save_piano_roll(
    path: str | os.PathLike,
    melody: np.ndarray,
    chords: np.ndarray | None = None,
    key: tuple[int, bool] | None = None,
    title: str | list[str] = "",
) -> None:
    """Write `piano_roll(melody, chords, key)` as a PNG, whole or not at all. Raises ValueError as it does."""
    piano_roll(melody, chords, key, path, title)


def _draw(
    axes: Axes, tune: np.ndarray, chords: np.ndarray | None, scale: np.ndarray, ends: tuple[int, int], title: str
) -> None:
    """One tune (B, S), its chords (B, 13) or None; x counts steps, y is the pitch, a semitone high."""
    B, S = tune.shape
    bottom, top = ends  # the edges of the lowest row and of the highest
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_facecolor("white")
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0, labelsize=7, labelcolor=INK)

    for pitch in range(bottom, top):
        if pitch % 12 in BLACK:
            axes.axhspan(pitch, pitch + 1, color="#F4F4F4", linewidth=0, zorder=0)
    if chords is not None:
        for bar, (chord, tones) in enumerate(zip(chords, triads(chords))):
            if not tones.any():
                continue
            root, minor = int(np.argmax(chord[:12])), bool(chord[12])
            strong, tint = _colours(root, minor)
            for pitch in (p for p in range(bottom, top) if tones[p % 12]):
                axes.broken_barh([(bar * S, S)], (pitch, 1), facecolor=tint, linewidth=0, zorder=1)
            axes.broken_barh([(bar * S, S)], (top, BAND), facecolor=strong, linewidth=0, zorder=1)
            name = _chord_name(root, minor)
            axes.text((bar + 0.5) * S, top + BAND / 2, name, ha="center", va="center_baseline", fontsize=8, color=INK)

    found = notes(tune)
    for start, length, pitch in zip(found.start, found.length, found.pitch):
        colour = BLUE if scale[pitch % 12] else ORANGE
        # a little shorter than it sounds, so that two notes of neighbouring pitches stay two
        axes.broken_barh([(start, length - 0.15)], (pitch + 0.08, 0.84), facecolor=colour, linewidth=0, zorder=4)
    for step in np.flatnonzero(tune.reshape(-1) == 0):
        axes.broken_barh([(step, 1)], (bottom - REST, REST), facecolor=FAINT, linewidth=0, zorder=2)

    for bar in range(B + 1):
        axes.axvline(bar * S, color=INK, linewidth=0.8, zorder=3)
    for beat in range(0, B * S, max(S // 4, 1)):
        axes.axvline(beat, color=FAINT, linewidth=0.4, alpha=0.5, zorder=2)
    axes.axhline(bottom, color=FAINT, linewidth=0.6, zorder=3)
    axes.set(xlim=(-0.1, B * S + 0.1), ylim=(bottom - REST, top + (BAND if chords is not None else 0)))
    axes.set_xticks((np.arange(B) + 0.5) * S, [str(bar + 1) for bar in range(B)])


def _range(tune: np.ndarray) -> tuple[int, int]:
    """The edges of the rows to show: the used ones and a margin; an octave from C4 where nothing sounds."""
    used = tune[tune > 0]
    if not used.size:
        return 60, 72
    return max(int(used.min()) - MARGIN, 0), min(int(used.max()) + 1 + MARGIN, 128)


def _pitch_names(bottom: int, top: int, roomy: bool) -> tuple[list[float], list[str]]:
    """Where names stand, in the middle of their rows, and what they are: the white keys, or only C, E, G and A."""
    classes = [c for c in range(12) if c not in BLACK] if roomy else [0, 4, 7, 9]
    named = [p for p in range(bottom, top) if p % 12 in classes]
    return [p + 0.5 for p in named], [f"{NAMES[p % 12]}{p // 12 - 1}" for p in named]  # C4 is pitch 60


def _chord_name(root: int, minor: bool, long: bool = False) -> str:
    return NAMES[root] + ((" minor" if minor else " major") if long else ("m" if minor else ""))


def _colours(root: int, minor: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A chord's colour for its name's ground, and the lighter one for its rows."""
    relative = root + 3 if minor else root  # Am is coloured by C
    hue = (relative * 7 % 12) / 12  # 7 semitones, a fifth, are one step round the wheel
    value = 0.80 if minor else 0.95
    strong = colorsys.hsv_to_rgb(hue, 0.36, value)
    return strong, tuple(1 - 0.5 * (1 - c) for c in strong)


def _scale(tonic: int, minor: bool) -> np.ndarray:
    """Which pitch classes belong to the key, bool (12,): in minor also the raised sixth and seventh."""
    steps = (0, 2, 3, 5, 7, 8, 9, 10, 11) if minor else (0, 2, 4, 5, 7, 9, 11)
    return np.isin(np.arange(12), (np.array(steps) + tonic) % 12)
