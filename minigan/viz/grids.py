"""Grids of samples, and an animation of a run: pictures made of pixels, without a figure.

Pillow and Matplotlib are imported where they are used.

N images in a grid   h, w the size of one of them   C channels (1 or 3)   H, W the size of the whole picture
K frames in an animation
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from minigan.viz.figures import _write

SEPARATOR = 40  # of 255: black images stay apart, and the frame does not compete with white strokes


def grid(
    images: np.ndarray,
    columns: int | None = None,
    pad: int = 2,
    scale: int = 1,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> np.ndarray:
    """Lay images out row by row on dark grey, `columns` in a row (about a square when None).

    images       (N, h, w, C) or (N, h, w), C = 1 or 3: uint8 as they are, or floats, of which value_range is
                 mapped to 0..255 and what lies outside is clipped
    pad, scale   pixels of grey around every image; then every pixel becomes scale x scale pixels
    returns      uint8 (H, W) or (H, W, 3) with H = scale * (rows * (h + pad) + pad), W likewise

    Raises ValueError for another shape, for no images, for NaN; TypeError for another dtype.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]  # (N, h, w) -> (N, h, w, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.size == 0:
        raise ValueError(f"a grid needs images (N, h, w), or (N, h, w, C) with C 1 or 3, not {images.shape}")
    if (columns is not None and columns < 1) or pad < 0 or scale < 1:
        raise ValueError(f"columns {columns} and scale {scale} must be at least 1, and pad {pad} at least 0")
    images = _to_bytes(images, value_range)
    N, h, w, C = images.shape
    columns = columns or math.ceil(math.sqrt(N))
    rows = math.ceil(N / columns)
    canvas = np.full((rows * (h + pad) + pad, columns * (w + pad) + pad, C), SEPARATOR, np.uint8)
    for n, image in enumerate(images):
        top, left = pad + n // columns * (h + pad), pad + n % columns * (w + pad)
        canvas[top : top + h, left : left + w] = image
    canvas = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    return canvas[..., 0] if C == 1 else canvas


def save_grid(
    images: np.ndarray,
    path: str | os.PathLike,
    columns: int | None = None,
    pad: int = 2,
    scale: int = 1,
    value_range: tuple[float, float] = (-1.0, 1.0),
    text: Mapping[str, str] | None = None,
) -> None:
    """Write `grid(images, ...)` as a PNG, with `text` as its tEXt metadata ({"seed": "0", "step": "1500"})."""
    from PIL import Image, PngImagePlugin

    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    file = io.BytesIO()
    picture = Image.fromarray(grid(images, columns, pad, scale, value_range))
    picture.save(file, format="PNG", pnginfo=info, optimize=True)
    _write(path, file.getvalue(), ".png")


def save_animation(
    frames: Sequence[np.ndarray],
    path: str | os.PathLike,
    captions: Sequence[str] | None = None,
    seconds: float = 6.0,
    max_bytes: int = 600_000,
) -> None:
    """Write frames as a GIF that loops: `seconds` for all of them, then two more on the last one.

    frames     K arrays, all uint8 (H, W) or all uint8 (H, W, 3); grid() makes them
    captions   K lines of text for a strip under the picture ("step 1,500"), or None for no strip

    Grey has 32 levels and colour 64 colours, not dithered: that would cost more bytes than it shows. While the
    file is larger than max_bytes, frames are left out evenly, never the first or the last. The same frames give
    the same bytes. Raises ValueError for frames of unequal or other shapes, for captions that are not one a
    frame, and where even the first and the last frame alone do not fit; TypeError for another dtype.
    """
    frames = [np.asarray(frame) for frame in frames]
    K = len(frames)
    if K == 0 or any(frame.shape != frames[0].shape for frame in frames):
        raise ValueError(f"an animation needs frames of one size, not {sorted({f.shape for f in frames})}")
    if frames[0].ndim not in (2, 3) or frames[0].shape[2:] not in ((), (3,)):
        raise ValueError(f"a frame is (H, W) or (H, W, 3), not {frames[0].shape}")
    if any(frame.dtype != np.uint8 for frame in frames):
        raise TypeError("frames are uint8 arrays: make them with grid()")
    if captions is not None:
        if len(captions) != K:
            raise ValueError(f"{K} frames need {K} captions, not {len(captions)}")
        frames = _with_captions(frames, captions)

    keep = min(K, max(2, int(seconds * 25)))  # browsers do not show many more than 25 frames a second
    data = _gif(_thin(frames, keep), seconds)
    while len(data) > max_bytes:
        if keep <= 2:
            raise ValueError(f"first and last frame alone take {len(data)} bytes, max_bytes is {max_bytes}")
        keep = max(2, min(keep - 1, int(keep * max_bytes / len(data))))
        data = _gif(_thin(frames, keep), seconds)
    _write(path, data, ".gif")


def _to_bytes(images: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Images of any shape -> uint8."""
    low, high = value_range
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(f"images are uint8 or floats, not {images.dtype}")
    if not low < high:
        raise ValueError(f"value_range goes from low to high, not from {low} to {high}")
    if np.isnan(images).any():
        bad = sorted(set(np.nonzero(np.isnan(images))[0].tolist()))
        raise ValueError(f"{len(bad)} of {len(images)} images hold NaN (the first is number {bad[0]})")
    unit = (np.clip(images.astype(np.float64), low, high) - low) / (high - low)  # 0..1
    return np.rint(255 * unit).astype(np.uint8)


def _with_captions(frames: list[np.ndarray], captions: Sequence[str]) -> list[np.ndarray]:
    """A strip with one line of text under every frame: (H, W, ...) -> (H + strip, W, ...)."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    W = frames[0].shape[1]
    font_file = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")  # comes with matplotlib
    size = min(max(W // 24, 10), 20)
    while size > 6 and max(ImageFont.truetype(font_file, size).getlength(c) for c in captions) > W - size:
        size -= 1  # until the longest line fits: one size for all, or the text would jump
    font = ImageFont.truetype(font_file, size)
    out = []
    for frame, caption in zip(frames, captions):
        strip = Image.new("L", (W, 2 * size), SEPARATOR)
        ImageDraw.Draw(strip).text((size // 2, size), caption, fill=230, font=font, anchor="lm")
        strip = np.asarray(strip).reshape(2 * size, W, *[1] * (frame.ndim - 2))  # (strip, W) or (strip, W, 1)
        out.append(np.concatenate([frame, np.broadcast_to(strip, (2 * size, *frame.shape[1:]))]))
    return out


def _thin(frames: list[np.ndarray], keep: int) -> list[np.ndarray]:
    """`keep` of the frames, spread evenly, with the first and the last."""
    return [frames[k] for k in np.linspace(0, len(frames) - 1, keep).round().astype(int)]


def _gif(frames: list[np.ndarray], seconds: float) -> bytes:
    """Frames, all (H, W) or all (H, W, 3), -> the bytes of a GIF with one palette for all of them."""
    from PIL import Image

    if frames[0].ndim == 2:
        levels = np.rint(np.linspace(0, 255, 32)).astype(np.uint8)
        images = []
        for frame in frames:
            image = Image.fromarray(np.rint(frame * (31 / 255)).astype(np.uint8)).convert("L")
            image.putpalette(np.repeat(levels, 3).tobytes())  # an "L" image becomes a "P" image
            images.append(image)
    else:
        some = np.concatenate(_thin(frames, min(len(frames), 8)))  # enough to choose the colours by
        palette = Image.fromarray(some).quantize(64, method=Image.Quantize.MEDIANCUT)
        images = [Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    each = max(20, round(seconds * 100 / len(frames)) * 10)  # in ms; a GIF counts hundredths of a second
    durations = [each] * (len(frames) - 1) + [each + 2000]
    file = io.BytesIO()
    images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
    return file.getvalue()
