"""Clips: shapes and digits that move along paths known to the pixel, or your own animations.

`moving_shapes` is like the Shape Motion data of MoCoGAN (Tulyakov et al. 2018, section 4), whose licence forbids to
ship it: one flat shape on black that moves along one axis. `moving_digits` is moving MNIST (Srivastava et al. 2015,
section 4.1). Both hand back the truth, so that a measure of generated clips can itself be measured. `load_clips`
reads a folder of animated GIFs, or of folders with frames.

n clips of T frames, H rows and W columns (both `size`), D digits in each. Places are (row, column) in pixels; the
middle of the first pixel is (0, 0), so a frame reaches from -0.5 to size - 0.5.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan.data.digits import load_digits
from minigan.data.images import FORMATS, _flatten, _read, _reason

VERTICAL, HORIZONTAL = 0, 1  # the axis of a path: which of (row, column) changes
CIRCLE, SQUARE = 0, 1
WIDTHS = (0.22, 0.34)  # of a shape, as shares of the frame's: 7 to 11 pixels of 32
BRIGHTEST = (160, 255)  # a colour's largest channel: no shape is too dark to be seen on black
BLOCK = 2_000_000  # pixels computed at a time: some 40 MB


class Shapes(NamedTuple):
    """What `moving_shapes` returns: the clips, and the truth about each."""

    clips: np.ndarray  # uint8 (n, T, H, W, 3)
    colour: np.ndarray  # uint8 (n, 3), RGB
    axis: np.ndarray  # int64 (n,), VERTICAL or HORIZONTAL
    shape: np.ndarray  # int64 (n,), CIRCLE or SQUARE
    path: np.ndarray  # float64 (n, T, 2), the shape's middle


class Digits(NamedTuple):
    """What `moving_digits` returns: the clips, and the truth about each."""

    clips: np.ndarray  # uint8 (n, T, H, W, 1)
    label: np.ndarray  # int64 (n, D)
    path: np.ndarray  # float64 (n, T, D, 2), the middle of each digit's box


def moving_shapes(n: int, size: int = 32, frames: int = 16, seed: int = 0) -> Shapes:
    """n clips of one flat circle or square that crosses a black frame, up, down, left or right: see `Shapes`.

    Along its axis the shape goes by a cubic Bezier curve, from the first quarter of its room to the last or back; the
    inner control points lie in order, so it speeds up and slows down but never turns. Across, it stays where it is.
    It is always wholly in the frame. A pixel on its edge has the colour times the share of the pixel that is covered
    (exact for squares; for circles by the distance to the edge).

    Shapes are wider than the original's (10 to 14 pixels of 64): of 5 pixels none is round. The same seed gives
    the same clips, in any size, and the first of many are those of few. Raises ValueError for n < 1, size < 16,
    frames < 2.
    """
    _check_count("n", n, 1)
    _check_count("size", size, 16)
    _check_count("frames", frames, 2)
    u = np.random.default_rng(seed).random((n, 13))  # a row a clip: the first rows do not depend on n
    hue = u[:, 0:3] / u[:, 0:3].max(axis=1, keepdims=True)  # the largest channel is 1
    colour = np.rint(hue * _between(BRIGHTEST, u[:, 3, None])).astype(np.uint8)
    axis = (u[:, 4] < 0.5).astype(np.int64)
    shape = (u[:, 5] < 0.5).astype(np.int64)
    radius = _between(WIDTHS, u[:, 6]) * size / 2  # half the side of a square

    start, end = u[:, 7] / 4, 1 - u[:, 8] / 4
    inner = start[:, None] + (end - start)[:, None] * np.sort(u[:, 9:11], axis=1)  # (n, 2)
    along = _bezier(np.stack([start, *inner.T, end], axis=1), frames)  # (n, T)
    along = np.where(u[:, 11, None] < 0.5, along, 1 - along)
    across = np.broadcast_to(u[:, 12, None], along.shape)
    down = (axis == VERTICAL)[:, None]
    unit = np.stack([np.where(down, along, across), np.where(down, across, along)], axis=2)  # (n, T, 2), 0 to 1
    path = (radius - 0.5)[:, None, None] + unit * (size - 2 * radius)[:, None, None]

    clips = np.empty((n, frames, size, size, 3), np.uint8)
    pixel = np.arange(size)
    for part in _blocks(n, frames * size * size):
        far = abs(pixel - path[part, :, :, None]).astype(np.float32)  # (b, T, 2, size): from the middle
        edge = (radius[part, None, None] + 0.5).astype(np.float32)
        square = np.clip(edge[..., None] - far, 0, 1)  # how much of each row, of each column
        square = square[:, :, 0, :, None] * square[:, :, 1, None, :]  # (b, T, H, W)
        circle = np.hypot(far[:, :, 0, :, None], far[:, :, 1, None, :])
        circle = np.clip(edge[..., None] - circle, 0, 1)
        cover = np.where((shape[part] == CIRCLE)[:, None, None, None], circle, square)
        clips[part] = np.rint(cover[..., None] * colour[part, None, None, None].astype(np.float32))
    return Shapes(clips, colour, axis, shape, path)


def moving_digits(n: int, size: int = 64, frames: int = 16, seed: int = 0, digits: int | None = None) -> Digits:
    """n clips of shipped digits (`load_digits`) that fly straight and bounce off the edges: see `Digits`.

    size     64, with digits of 28 pixels as in the paper, or 32, with digits of 14
    digits   1 or 2 in a clip; None is 2 at size 64, as in the paper, and 1 at size 32. Where they overlap they add
             up, to at most 255

    A digit starts anywhere in its room, in any direction, and goes a tenth of the room's width a frame; it is placed
    between pixels by linear interpolation (the authors' code rounds its place down). The same seed gives the same
    clips, and the first of many are those of few. Raises ValueError for n < 1, frames < 2, another size or number.
    """
    _check_count("n", n, 1)
    _check_count("frames", frames, 2)
    if size not in (32, 64):
        raise ValueError(f"size must be 32 or 64 for moving digits, but it is {size}.")
    D = digits if digits is not None else {32: 1, 64: 2}[size]
    if D not in (1, 2):
        raise ValueError(f"digits is how many move in a clip, 1 or 2, but it is {digits}.")
    images, labels = load_digits()
    side = 28 * size // 64
    small = images.reshape(-1, side, 28 // side, side, 28 // side).mean(
        axis=(2, 4), dtype=np.float32
    )  # (N, side, side)

    u = np.random.default_rng(seed).random((n, D, 4))
    which = (u[:, :, 0] * len(small)).astype(np.int64)  # (n, D)
    angle = 2 * np.pi * u[:, :, 1]
    velocity = 0.1 * np.stack([np.sin(angle), np.cos(angle)], axis=2)  # (n, D, 2), in rooms a frame
    straight = u[:, None, :, 2:] + np.arange(frames)[:, None, None] * velocity[:, None]  # (n, T, D, 2)
    corner = (size - side) * (1 - abs(1 - straight % 2))  # through the wall and back is a bounce: fold it to 0..1

    clips = np.empty((n, frames, size, size, 1), np.uint8)
    places = np.arange(size)[:, None] - np.arange(side)  # (size, side): of a pixel in the frame and one in the digit
    for part in _blocks(n, D * frames * size * size):
        # S = weights[..., 0, :, :] moves the digit's rows, weights[..., 1, :, :] its columns: frame = S_r digit S_c^T
        weights = np.maximum(0, 1 - abs(places - corner[part, ..., None, None].astype(np.float32)))
        moved = weights[:, :, :, 0] @ small[which[part]][:, None] @ weights[:, :, :, 1].swapaxes(-1, -2)
        clips[part] = np.rint(np.minimum(moved.sum(axis=2), 255))[..., None]  # (b, T, D, H, W) -> (b, T, H, W, 1)
    return Digits(clips, labels[which], corner + (side - 1) / 2)


def load_clips(folder: str | Path, frames: int = 16, size: int = 32) -> tuple[np.ndarray, list[tuple[Path, str]]]:
    """Every clip directly in `folder`, sorted by name: clips uint8 (N, frames, size, size, 3), and what was skipped.

    A clip is an animated .gif, or a folder of pictures, which are its frames in the order of their names (2.png comes
    before 10.png). Frames are cropped to the square in their middle and resized with antialiasing; how long each is
    shown is not read. A long animation gives as many clips of `frames` frames as it holds, one after the other.
    `skipped` holds (path, reason) pairs: a file that cannot be read, a clip with too few frames.
    Raises FileNotFoundError without such a folder, ValueError if size < 1, frames < 2, or no clip could be read.
    """
    folder = Path(folder)
    _check_count("size", size, 1)
    _check_count("frames", frames, 2)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: check its name.")
    films = sorted(p for p in folder.iterdir() if (p.is_dir() or p.suffix.lower() == ".gif") and p.name[0] != ".")
    clips, skipped = [], []
    for film in films:
        at = film  # what is being read, to be named if that fails
        try:
            if film.is_dir():
                pictures = []
                for at in _pictures(film):
                    pictures.append(_read(at, size, colour=True))
            else:
                pictures = _animation(film, size)
        except Exception as error:  # Pillow raises nearly anything for a damaged file
            skipped.append((film, ("" if at is film else f"holds {at.name}, which ") + _reason(at, error)))
            continue
        K = len(pictures)
        if frames > K:
            skipped.append((film, f"has {K} frame{'s' * (K != 1)}, but a clip needs {frames}"))
        clips += [np.stack(pictures[k : k + frames]) for k in range(0, K - frames + 1, frames)]
    if not clips:
        why = " (put the frames of each clip into a folder of its own)" if not films and _pictures(folder) else ""
        if skipped:
            why = f": the first of {len(skipped)}, {skipped[0][0].name}, {skipped[0][1]}"
        raise ValueError(f"No clip (an animated .gif, or a folder of frames) in {folder} could be read{why}.")
    return np.stack(clips), skipped


def _animation(path: Path, size: int) -> list[np.ndarray]:
    """The frames of a GIF, each uint8 (size, size, 3)."""
    from PIL import Image, ImageSequence  # here, so that importing minigan.data needs numpy alone

    if not path.is_file():  # opening a pipe would wait for ever
        raise FileNotFoundError(path)
    pictures = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=["GIF"]) as film:
            side = min(film.size)
            left, top = ((k - side) // 2 for k in film.size)
            for frame in ImageSequence.Iterator(film):
                picture = _flatten(frame).convert("RGB").crop((left, top, left + side, top + side))
                pictures.append(np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS)))
    return pictures


def _pictures(folder: Path) -> list[Path]:
    """The picture files in a folder, in the order in which a person would count them."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in FORMATS and not p.is_dir() and p.name[0] != ".")
    return sorted(found, key=lambda p: [(k.isdecimal() and int(k), k) for k in re.split(r"([0-9]+)", p.name)])


def _bezier(control: np.ndarray, frames: int) -> np.ndarray:
    """sum_k binom(3, k) (1 - t)^(3 - k) t^k control_k at `frames` even times t from 0 to 1: (n, 4) -> (n, frames)."""
    t = np.linspace(0, 1, frames)
    return control @ np.stack([(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3])


def _between(limits: tuple[float, float], u: np.ndarray) -> np.ndarray:
    low, high = limits
    return low + (high - low) * u


def _blocks(n: int, pixels: int) -> list[slice]:
    """n clips of so many pixels each, in parts of about BLOCK pixels."""
    step = max(1, BLOCK // pixels)
    return [slice(start, start + step) for start in range(0, n, step)]


def _check_count(name: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, but it is {value}.")
