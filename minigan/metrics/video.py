"""Does one thing keep its colour over a clip, and does it move as a thing moves? Numbers to hold against real clips'.

For clips of one bright shape on a darker ground (data/clips.py): `follow` finds the shape in each frame, and what it
found is measured. Every measure takes clips, or what `follow` found in them, which spares the search.

    average_content_distance            how far does the colour wander within a clip?
    motion_axis, motion_control_score   along which axis does the shape move, and is it the one asked for?
    speed, roughness                    how far from frame to frame, and how unevenly?
    same_colour, same_path              in groups of clips that share a code: do they share what it should govern?

No number will do alone: a generator of one still red square has a content distance of 0. So `measures` gives them
together, with the spread of colours over clips, and with the shares of clips that are blank or still.

A frame is blank where no shape is found, and a clip is blank if one of its frames is. Blank clips are never good:
each measure of a clip is NaN for them, a share counts them as failures, and a mean over the others stands beside the
share of blank ones.

N clips of T frames, (N, T, H, W, C), uint8 or floats from 0 to 255. Places are (row, column) in pixels, colours 0 to
255. G groups of M clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

THRESHOLD = 40.0  # of 255: a pixel of the shape is so much brighter than the ground in one of its channels
LEAST = 4  # pixels: fewer are speckle, not a shape
STILL = 1.0  # pixel: a path that stays within so much along both axes is no motion
STRAIGHT = 0.25  # a path is along one axis if it extends at most so much of that across it
BLOCK = 4_000_000  # values searched at a time: some 50 MB


class Found(NamedTuple):
    """The shape in each frame, as `follow` found it; NaN in path and colour where the frame is blank."""

    path: np.ndarray  # float64 (N, T, 2), its centroid
    colour: np.ndarray  # float64 (N, T, C), the mean of its pixels
    area: np.ndarray  # float64 (N, T), in pixels; 0 where the frame is blank

    @property
    def blank(self) -> np.ndarray:
        """bool (N,): the clips in which a frame is blank."""
        return (self.area == 0).any(axis=1)

    @property
    def still(self) -> np.ndarray:
        """bool (N,): the clips, not blank, whose shape does not move (STILL)."""
        return ~self.blank & (np.ptp(self.path, axis=1) <= STILL).all(axis=1)


Clips = np.ndarray | Found


def follow(clips: np.ndarray, threshold: float = THRESHOLD) -> Found:
    """Find the shape in each frame of clips (N, T, H, W, C): centroid, mean colour, area.

    The ground is the frame's median in each channel; a pixel's excess is how much brighter it is, in the channel
    where that is most. The shape is where the excess is over `threshold`, if that is LEAST pixels or more.
    path     centroid of the excess over the shape and the pixels that touch it: its edge, thinned by antialiasing,
             belongs to it, and a place between pixels is found as such
    colour   mean over the shape's core, or over all of it where it has none. The core are the pixels that have, like
             their eight neighbours, more than half of the frame's largest excess: none of them is partly ground
    Two shapes in one frame count as one, in their middle.
    Raises ValueError for another shape, NaN, or values outside 0 to 255.
    """
    clips = np.asarray(clips)
    if clips.ndim != 5 or 0 in clips.shape:
        raise ValueError(f"clips must be an array (N, T, H, W, C) that is not empty, but its shape is {clips.shape}.")
    N, T, H, W, C = clips.shape
    path, colour, area = np.empty((N, T, 2)), np.empty((N, T, C)), np.empty((N, T))
    step = max(1, BLOCK // (T * H * W * C))
    for start in range(0, N, step):
        part = slice(start, start + step)
        x = clips[part].astype(np.float32)
        if not (np.min(x) >= 0 and np.max(x) <= 255):  # False for NaN
            raise ValueError(
                "clips must hold numbers from 0 to 255: no NaN, and no floats from -1 to 1 (unscale them)."
            )
        excess = (x - np.median(x, axis=(2, 3), keepdims=True)).max(axis=4)  # (b, T, H, W)
        inside = excess > threshold
        area[part] = inside.sum(axis=(2, 3))
        dim = excess <= np.maximum(excess.max(axis=(2, 3), keepdims=True) / 2, threshold)
        core = ~_grown(dim, beyond=True)
        core = np.where(core.any(axis=(2, 3), keepdims=True), core, inside)
        weight = np.where(_grown(inside), np.maximum(excess, 0), 0).astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 in a black frame
            colour[part] = np.einsum("nthw,nthwc->ntc", core, x, dtype=np.float64) / core.sum(axis=(2, 3))[..., None]
            mass = weight.sum(axis=(2, 3))
            path[part, :, 0] = weight.sum(axis=3) @ np.arange(H) / mass
            path[part, :, 1] = weight.sum(axis=2) @ np.arange(W) / mass
    blank = area < LEAST
    path[blank], colour[blank], area[blank] = np.nan, np.nan, 0
    return Found(path, colour, area)


def track(clips: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """The path of the shape, (N, T, 2), in pixels: `follow(clips).path`."""
    return follow(clips, threshold).path


def average_content_distance(clips: Clips) -> np.ndarray:
    """Each clip's content distance (N,), 0 to 442: the mean L2 distance of the shape's mean RGB over pairs of frames.

    0 is one colour throughout; the mean over clips is the published number (Tulyakov et al. 2018, MoCoGAN, section 4,
    "Shape motion": the data 0, MoCoGAN 1.79, TGAN 2.08, VGAN 5.02). Raises ValueError for fewer than two frames.
    """
    colour = _found(clips).colour
    T = _check_frames(colour, 2)
    gaps = sum(np.linalg.norm(colour[:, t + 1 :] - colour[:, t, None], axis=2).sum(axis=1) for t in range(T - 1))
    return gaps / (T * (T - 1) / 2)


def motion_axis(clips: Clips) -> np.ndarray:
    """The axis along which each clip's path extends further, int64 (N,): 0 rows, 1 columns; -1 if blank or still."""
    found = _found(clips)
    return np.where(found.blank | found.still, -1, _extent(found).argmax(axis=1))


def motion_control_score(clips: Clips, axis: np.ndarray | None = None) -> float:
    """The share of clips that move as they should, 0 to 1; blank and still ones do not.

    axis   (N,) integers, the axis asked of each clip (0 rows, 1 columns): the share whose `motion_axis` is that one
           (MoCoGAN's motion control score; for shapes no classifier is needed). Or None: the share that moves along
           one axis at all, which is at most STRAIGHT as far across it as along it.
    Raises ValueError where axis does not fit.
    """
    found = _found(clips)
    moves = motion_axis(found)
    if axis is not None:
        axis = np.asarray(axis)
        if axis.shape != moves.shape or not np.isin(axis, (0, 1)).all():
            raise ValueError(f"axis must be {len(moves)} numbers 0 or 1, one a clip, but its shape is {axis.shape}.")
        return float((moves == axis).mean())
    extent = _extent(found)
    return float(((moves >= 0) & (extent.min(axis=1) <= STRAIGHT * extent.max(axis=1))).mean())


def speed(clips: Clips) -> np.ndarray:
    """How far each clip's shape goes from frame to frame, (N,), in pixels: the mean over the clip."""
    return _mean_length(_found(clips), 1)


def roughness(clips: Clips) -> np.ndarray:
    """How unevenly each clip's shape moves, (N,): mean |second difference| of the path / mean |first difference|.

    0 is uniform motion. Independent Gaussian places have sqrt(3): p_t+1 - p_t has twice their variance, and
    p_t+2 - 2 p_t+1 + p_t six times. To and fro has 2. Being a ratio it depends on neither the speed nor the frame's
    size. NaN also for still clips: they are not smooth motion but none. Hold it against `shuffled` clips.
    Raises ValueError for fewer than three frames.
    """
    found = _found(clips)
    bend, length = _mean_length(found, 2), _mean_length(found, 1)
    return np.where(found.still, np.nan, bend / np.where(found.still, 1, length))


def shuffled(clips: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same clips (N, T, ...) with the frames of each in another order: the control for everything about motion.

    Each clip has its own order, never the one it had. What looks at single frames cannot tell them from the clips; a
    discriminator of clips should. Raises ValueError for fewer than two frames.
    """
    clips = np.asarray(clips)
    T = _check_frames(clips, 2)
    order = np.random.default_rng(seed).random((len(clips), T)).argsort(axis=1)
    order[(order == np.arange(T)).all(axis=1)] = np.roll(np.arange(T), 1)
    return clips[np.arange(len(clips))[:, None], order]


# ---- grids made with one code fixed --------------------------------------------------------------------------------


class Spread(NamedTuple):
    """How far two clips lie apart. A ratio of 0 is alike within each group; 1 is no more alike than any two clips."""

    within: float  # mean distance of two clips of one group
    between: float  # mean distance of two clips of different groups
    blank: float  # share of blank clips, which are in neither

    @property
    def ratio(self) -> float:
        return self.within / self.between if self.between else np.nan


def same_colour(clips: np.ndarray) -> Spread:
    """Do clips (G, M, T, H, W, C), M with each content code, share the colour? Distances are L2 in RGB, 0 to 442.

    A clip's colour is its mean over the frames. Distances are those of pairs, not to a mean, so that within and
    between agree where the code has no effect, whatever M is. Raises ValueError for less than two groups of two.
    """
    found, group = _grouped(clips)
    return _spread(found.colour.mean(axis=1, keepdims=True), group, found.blank)


def same_path(clips: np.ndarray) -> Spread:
    """Do clips (G, M, T, H, W, C), M with each motion code, share the path? Distances are in pixels.

    The distance of two paths is that of the two places, averaged over the frames; otherwise as `same_colour`.
    """
    found, group = _grouped(clips)
    return _spread(found.path, group, found.blank)


# ---- the numbers together ------------------------------------------------------------------------------------------


def measures(clips: Clips, axis: np.ndarray | None = None) -> dict[str, float]:
    """Every number of a set of clips by name, for `table`; axis (N,) as for `motion_control_score`, if known.

    Means are over the clips that are not blank, roughness and rows over those that are not still either; NaN if there
    are none. The spread of colours is the mean L2 distance of two clips' mean RGB: near 0, all are of one colour.
    """
    found = _found(clips)
    good = ~found.blank
    colour = found.colour[good].mean(axis=1, keepdims=True)
    moves = motion_axis(found)
    rows = {
        "blank clips": found.blank.mean(),
        "still clips": found.still.mean(),
        "content distance, RGB": _mean(average_content_distance(found)),
        "spread of colours, RGB": _mean(_pairs(colour)[np.triu_indices(len(colour), 1)]),
        "along one axis": motion_control_score(found),
        "of those that move, by rows": _mean(np.where(moves < 0, np.nan, moves == 0)),
        "speed, pixels a frame": _mean(speed(found)),
        "roughness": _mean(roughness(found)),
        "roughness, frames shuffled": _mean(roughness(found._replace(path=shuffled(found.path)))),
    }
    if axis is not None:
        rows["the axis asked for"] = motion_control_score(found, axis)
    return {name: float(value) for name, value in rows.items()}


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """What `measures` found in several sets of clips, a column each, to print: {"real": {...}, "MoCoGAN": {...}}.

    Put the real data's first. Raises ValueError where the sets do not have the same numbers.
    """
    names = list(next(iter(rows.values()), {}))
    for title, found in rows.items():
        if set(found) != set(names):
            raise ValueError(
                f"All need the same numbers, but {sorted(set(found) ^ set(names))} of {title} stand alone."
            )
    cells = [["", *names], *([title, *(f"{found[name]:.4g}" for name in names)] for title, found in rows.items())]
    widths = [max(map(len, column)) for column in cells]
    lines = []
    for name, *values in zip(*cells):
        lines.append("  ".join([f"{name:<{widths[0]}}", *(f"{v:>{w}}" for v, w in zip(values, widths[1:]))]))
    return "\n".join(lines)


# ---- parts ---------------------------------------------------------------------------------------------------------


def _found(clips: Clips) -> Found:
    return clips if isinstance(clips, Found) else follow(clips)


def _grown(mask: np.ndarray, beyond: bool = False) -> np.ndarray:
    """The mask (..., H, W) and the eight neighbours of each of its pixels; `beyond` is the mask outside the frame."""
    wide = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1)] * 2, constant_values=beyond)
    rows = wide[..., :-2, :] | wide[..., 1:-1, :] | wide[..., 2:, :]  # (..., H, W + 2)
    return rows[..., :-2] | rows[..., 1:-1] | rows[..., 2:]


def _extent(found: Found) -> np.ndarray:
    """How far each path reaches along each axis, (N, 2), in pixels; 0 for blank clips."""
    return np.where(found.blank[:, None], 0, np.ptp(found.path, axis=1))


def _mean_length(found: Found, order: int) -> np.ndarray:
    """The mean length of the path's differences of an order, (N,)."""
    _check_frames(found.path, order + 1)
    return np.linalg.norm(np.diff(found.path, n=order, axis=1), axis=2).mean(axis=1)


def _mean(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN where nothing is left."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else np.nan


def _grouped(clips: np.ndarray) -> tuple[Found, np.ndarray]:
    """What is found in clips (G, M, T, H, W, C), as one row of G M clips, and the group of each, (G M,)."""
    clips = np.asarray(clips)
    if clips.ndim != 6 or min(clips.shape[:2]) < 2:
        raise ValueError(
            f"Groups of clips are an array (G, M, T, H, W, C), G and M at least 2, but its shape is {clips.shape}."
        )
    G, M = clips.shape[:2]
    return follow(clips.reshape(G * M, *clips.shape[2:])), np.arange(G).repeat(M)


def _pairs(x: np.ndarray) -> np.ndarray:
    """Distances of all pairs of x (K, T, d), averaged over T: (K, K)."""
    return sum(np.linalg.norm(x[:, None, t] - x[None, :, t], axis=2) for t in range(x.shape[1])) / x.shape[1]


def _spread(x: np.ndarray, group: np.ndarray, blank: np.ndarray) -> Spread:
    """The Spread of x (K, T, d) in groups (K,)."""
    x, group = x[~blank], group[~blank]
    apart, alike = _pairs(x), group[:, None] == group
    pair = np.triu(np.ones_like(alike), 1)
    return Spread(_mean(apart[pair & alike]), _mean(apart[pair & ~alike]), float(blank.mean()))


def _check_frames(x: np.ndarray, least: int) -> int:
    if x.ndim < 2 or x.shape[1] < least:
        raise ValueError(f"Clips of at least {least} frames are needed, (N, T, ...), but the shape is {x.shape}.")
    return x.shape[1]
