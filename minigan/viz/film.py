"""Clips to look at: a grid of them that moves (GIF or MP4), and film strips that stand still (PNG).

A GIF needs nothing but Pillow and plays everywhere. An MP4 has all colours, and needs ffmpeg on the machine. Both
appear whole or not at all. Pillow is imported where it is used.

N clips of T frames, clips (N, T, h, w, C) or (N, T, h, w), C = 1 or 3: uint8 as they are, or floats, of which
value_range is mapped to 0..255.
"""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from minigan.viz.figures import _write
from minigan.viz.grids import grid, save_grid

COLOURS = 128  # in a GIF's palette: those of some ten clips and of their edges


def save_clips(
    path: str | os.PathLike,
    clips: np.ndarray,
    rows: int | None = None,
    columns: int | None = None,
    scale: int = 3,
    fps: float = 8,
    pad: int = 2,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> None:
    """Write a grid of clips that all play at once as an animated GIF that loops, `fps` frames a second.

    rows, columns   how many clips are laid out: the first rows * columns of them, row by row (all, about in a square,
                    when both are None); pad and scale are those of `grid`

    All frames share one palette, chosen from all of them and not dithered, so that a colour that stays does not
    flicker. A GIF counts hundredths of a second: fps becomes 100 over a whole number. The same clips give the same
    bytes. Raises ValueError for another suffix than .gif, another shape, NaN, or fps outside 1 to 50 (faster ones are
    slowed down by browsers); TypeError for another dtype.
    """
    from PIL import Image

    if not 1 <= fps <= 50:
        raise ValueError(f"a GIF plays at 1 to 50 frames a second, not at {fps}")
    if scale < 1:
        raise ValueError(f"scale must be at least 1, not {scale}")
    frames = _frames(clips, rows, columns, 1, pad, value_range)  # small: pixels are repeated once they have an index
    if frames.ndim == 3:
        frames = frames[..., None].repeat(3, axis=3)  # grey
    T, H, W, _ = frames.shape
    # median cut would spend the palette on a noisy ground, which has most of the pixels, and not on small shapes
    palette = Image.fromarray(frames.reshape(T * H, W, 3)).quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1)
    images = []
    for frame in frames:
        image = Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        images.append(image.resize((scale * W, scale * H), Image.Resampling.NEAREST))
    file = io.BytesIO()
    each = 10 * round(100 / fps)  # in ms
    images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=each, loop=0)
    _write(path, file.getvalue(), ".gif")


def save_mp4(
    path: str | os.PathLike,
    clips: np.ndarray,
    rows: int | None = None,
    columns: int | None = None,
    scale: int = 3,
    fps: float = 8,
    pad: int = 2,
    value_range: tuple[float, float] = (-1.0, 1.0),
    times: int = 4,
) -> None:
    """Write a grid of clips as an MP4, played `times` times (players do not loop), by the ffmpeg on PATH.

    The other arguments are those of `save_clips`. Where width or height is odd, the last column or row
    is doubled, as the usual codec needs. Raises RuntimeError where there is no ffmpeg, or where it fails, with its
    reason; ValueError and TypeError as `save_clips` does.
    """
    if Path(path).suffix.lower() != ".mp4":
        raise ValueError(f"this film is written as .mp4; {Path(path).name!r} would promise something else")
    if fps <= 0 or times < 1:
        raise ValueError(f"fps must be more than 0 and times at least 1, not {fps} and {times}")
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise RuntimeError(f"{path} needs ffmpeg, which is not on the PATH of this machine: name it .gif instead.")
    frames = _frames(clips, rows, columns, scale, pad, value_range)
    if frames.ndim == 3:
        frames = frames[..., None].repeat(3, axis=3)
    frames = np.pad(frames, [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)], mode="edge")
    H, W = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "film.mp4")  # ffmpeg goes back in it at the end, so it cannot be a pipe
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{W}x{H}", "-r", f"{fps:g}", "-i", "-"]
        command = [ffmpeg, "-loglevel", "error", *raw, "-an", "-pix_fmt", "yuv420p", str(made)]
        done = subprocess.run(command, input=frames.tobytes() * times, capture_output=True)
        if done.returncode or not made.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise RuntimeError(f"ffmpeg could not write {path} ({said[-1]}): write a .gif instead.")
        _write(path, made.read_bytes(), ".mp4")


def film_strips(
    clips: np.ndarray, pad: int = 1, scale: int = 1, value_range: tuple[float, float] = (-1.0, 1.0)
) -> np.ndarray:
    """One clip a row, its frames side by side: uint8 (H, W) or (H, W, 3), as `grid` makes it and with its errors."""
    clips = _check(clips)
    return grid(clips.reshape(-1, *clips.shape[2:]), clips.shape[1], pad, scale, value_range)


def save_film_strips(
    path: str | os.PathLike,
    clips: np.ndarray,
    pad: int = 1,
    scale: int = 1,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> None:
    """Write `film_strips(clips, ...)` as a PNG."""
    clips = _check(clips)
    save_grid(clips.reshape(-1, *clips.shape[2:]), path, clips.shape[1], pad, scale, value_range)


def _frames(
    clips: np.ndarray,
    rows: int | None,
    columns: int | None,
    scale: int,
    pad: int,
    value_range: tuple[float, float],
) -> np.ndarray:
    """The grid of clips at each time: uint8 (T, H, W) or (T, H, W, 3)."""
    clips = _check(clips)
    if (rows is not None and rows < 1) or (columns is not None and columns < 1):
        raise ValueError(f"rows {rows} and columns {columns} must be at least 1")
    if columns is None:
        columns = math.ceil(math.sqrt(len(clips)) if rows is None else len(clips) / rows)
    clips = clips[: None if rows is None else rows * columns]
    return np.stack([grid(clips[:, t], columns, pad, scale, value_range) for t in range(clips.shape[1])])


def _check(clips: np.ndarray) -> np.ndarray:
    clips = np.asarray(clips)
    if clips.ndim == 4:
        clips = clips[..., None]  # (N, T, h, w) -> (N, T, h, w, 1)
    if clips.ndim != 5 or clips.shape[4] not in (1, 3) or clips.size == 0:
        raise ValueError(f"clips are arrays (N, T, h, w), or (N, T, h, w, C) with C 1 or 3, not {clips.shape}")
    return clips
