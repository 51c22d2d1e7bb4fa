"""Every picture: grids of samples, an animation of training, curves of a run, densities, gradient checks.

A GAN's loss says little about its samples, so one looks: at the samples, at D(x) and D(G(z)), at gradients.
This file knows arrays and nothing of training. It never touches pyplot: a figure belongs to its caller, needs
no display and leaks nothing. Matplotlib and Pillow are imported where they are used. A stop never leaves half
a picture.

N images in a grid   h, w the size of one of them   C channels (1 or 3)   H, W the size of the whole picture
K frames in an animation   T entries in a log   M samples in the plane   P points of a grid over it
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minigan.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEPARATOR = 40  # of 255: black images stay apart, and the frame does not compete with white strokes
BLUE, ORANGE, RED = "#0072B2", "#D55E00", "#B00020"  # blue and orange differ for every kind of colour vision
INK, FAINT = "#333333", "#999999"


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


PANELS = (  # of curves(): title, then (column, label) of the blue line and of the orange one
    ("Loss", ("d_loss", "discriminator"), ("g_loss", "generator")),
    ("How real D finds them, from 0 to 1", ("d_real", "real: D(x)"), ("d_fake", "fake: D(G(z))")),
    ("Size of the gradient", ("d_grad_norm", "discriminator"), ("g_grad_norm", "generator")),
)


def curves(
    log: Mapping[str, np.ndarray],
    path: str | os.PathLike | None = None,
    reference: float | None = math.log(4),
) -> Figure:
    """Draw a run in three panels over the step: losses, D's verdicts, gradient norms (log axis).

    log        columns (T,) by name: step, d_loss, g_loss, d_real and d_fake (means of sigmoid(logit) on real
               and on fake samples), d_grad_norm, g_grad_norm. Any may be missing, others are not looked at. A
               panel without a finite value is left out; without "step" the entries are counted.
    reference  a level marked in the panel of losses: log 4 is the minimax discriminator's loss when D answers
               1/2 to everything (Goodfellow et al. 2014, theorem 1). None for a loss that has no such level.

    The values are light, their moving average over about a fortieth of the run is strong; a gap is a value that
    was not finite. Returns the figure; writes a PNG where a path is given. Raises ValueError for columns of
    unequal length and where there is nothing to draw.
    """
    known = ["step"] + [column for _, *pair in PANELS for column, _ in pair]
    table = {name: np.asarray(log[name], dtype=float) for name in known if name in log}
    if len({values.shape for values in table.values()}) > 1 or any(v.ndim != 1 for v in table.values()):
        lengths = ", ".join(f"{name} {values.shape}" for name, values in table.items())
        raise ValueError(f"the columns of a log are 1-D and equally long, not {lengths}")
    drawn = {name for name, values in table.items() if np.isfinite(values).any()} - {"step"}
    if not drawn:
        raise ValueError(f"nothing to draw: the log has no finite value under {', '.join(known[1:])}")
    panels = [panel for panel in PANELS if drawn & {column for column, _ in panel[1:]}]

    T = len(next(iter(table.values())))
    step = table.get("step", np.arange(1, T + 1))
    figure = _figure(7.2, 0.6 + 1.8 * len(panels))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, *pair) in zip(all_axes, panels):
        _tidy(axes, title)
        first = pair[0][0]
        for (column, label), colour, dash in zip(pair, (BLUE, ORANGE), ("-", (0, (4, 1.2)))):
            if column not in drawn:
                continue
            values = table[column]
            # With few entries a dot each, so that even a log of one entry shows.
            axes.plot(step, values, color=colour, alpha=0.25, linewidth=0.8, marker="." if T < 30 else None)
            smooth = _moving_average(values, T // 80, geometric=first == "d_grad_norm")
            axes.plot(step, smooth, color=colour, linestyle=dash, linewidth=1.6, label=label)
        if first == "d_loss" and reference is not None:
            _level(axes, reference, "log 4" if math.isclose(reference, math.log(4)) else f"{reference:.3g}")
        elif first == "d_real":
            axes.set(ylim=(-0.03, 1.03), yticks=(0, 0.25, 0.5, 0.75, 1))
            _level(axes, 0.5, "1/2")
        elif first == "d_grad_norm" and any((table[column] > 0).any() for column, _ in pair if column in drawn):
            axes.set_yscale("log")
        # Above the panel, on the title's line: there a legend can never cover data.
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    all_axes[-1].set_xlabel("step" if "step" in table else "entry of the log", fontsize=9, color=INK)
    all_axes[-1].xaxis.set_major_formatter("{x:,.0f}")
    return _finish(figure, path)


def density_2d(
    density: np.ndarray | Callable[[np.ndarray], np.ndarray],
    samples: np.ndarray,
    path: str | os.PathLike | None = None,
    extent: tuple[float, float, float, float] | None = None,
    title: str = "",
) -> Figure:
    """Draw a density in the plane as a heat map (darker is denser), and samples as points over it.

    density    (H, W) values on a grid, row 0 at the smallest y and column 0 at the smallest x; or a function
               from points (P, 2) to values (P,), which is then evaluated on a grid of 300 x 300
    samples    (M, 2)
    extent     (x from, x to, y from, y to), the outer edges; for a function None is a square about the samples

    Returns the figure; writes a PNG where a path is given. Raises ValueError for other shapes, and for an array
    without extent.
    """
    samples = np.asarray(samples, dtype=float)
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise ValueError(f"samples in the plane are (M, 2), not {samples.shape}")
    samples = samples[np.isfinite(samples).all(axis=1)]  # a generator that diverged has nothing to show there
    if extent is None:
        if not callable(density) or len(samples) == 0:
            raise ValueError("say where the density lies: extent=(x from, x to, y from, y to)")
        low, high = samples.min(axis=0), samples.max(axis=0)  # (2,), (2,)
        centre, half = (low + high) / 2, 0.6 * max(*(high - low), 1e-6)
        extent = (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)
    if callable(density):
        middles = (np.arange(300) + 0.5) / 300  # of the grid's cells, in 0..1
        x, y = (a + (b - a) * middles for a, b in (extent[:2], extent[2:]))
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)  # (300, 300, 2) -> (P, 2)
        density = np.asarray(density(points)).reshape(300, 300)
    density = np.asarray(density, dtype=float)
    if density.ndim != 2:
        raise ValueError(f"a density on a grid is (H, W), not {density.shape}")

    figure = _figure(4.4, 4.4)
    axes = figure.subplots()
    _tidy(axes, title)
    axes.imshow(density, origin="lower", extent=extent, cmap="Blues", vmin=0, interpolation="bilinear")
    axes.scatter(*samples.T, s=7, color=ORANGE, alpha=0.6, linewidths=0)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    return _finish(figure, path)


def error_maps(panels: Sequence[tuple[str, np.ndarray, bool]], path: str | os.PathLike | None = None) -> Figure:
    """Draw a gradient check as a heat map a parameter: the place of an error often says what is wrong.

    panels    (title, error, flagged): the relative error of every entry of a parameter (any shape; not its
              logarithm; NaN, drawn grey, where it was not checked), and whether to print the title in red

    Colour runs with log10 from 1e-12 (blue) to 1 (red), the same in every panel; a ring and the line below show
    the worst entry. 1-D errors are a row; those of more than two axes are drawn as (first axis, all others).
    Where there are more entries than pixels, each pixel shows the worst of its block. Returns the figure;
    writes a PNG where a path is given. Raises ValueError for no panels, for no entries, for a negative error.
    """
    import matplotlib
    from matplotlib.colors import LogNorm
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    if not panels:
        raise ValueError("a map of errors needs at least one panel")
    columns = min(len(panels), 4)
    rows = math.ceil(len(panels) / columns)
    figure = _figure(0.9 + 2.5 * columns, 0.3 + 2.2 * rows)
    all_axes = figure.subplots(rows, columns, squeeze=False)
    cmap = matplotlib.colormaps["RdYlBu_r"].with_extremes(bad="#C4C4C4")  # yellow, in the middle, is 1e-6
    for axes, (title, error, flagged) in zip(all_axes.flat, panels):
        error = np.asarray(error, dtype=float)
        if error.size == 0 or (error < 0).any():
            raise ValueError(f"{title}: errors are numbers from 0 up (not their logarithms), at least one")
        table = error.reshape(error.shape[0] if error.ndim > 1 else 1, -1)  # (first axis, all others)
        _tidy(axes, title, RED if flagged else INK)
        height, width = table.shape
        blocks = _worst_of_blocks(np.clip(table, 1e-12, 1))  # clipped: imshow takes an infinity for a NaN
        edges = (-0.5, width - 0.5, height - 0.5, -0.5)
        image = axes.imshow(blocks, cmap, LogNorm(1e-12, 1), aspect="auto", interpolation="nearest", extent=edges)
        axes.set_box_aspect(min(max(height / width, 0.12), 0.8))
        axes.set_anchor("NW")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True))
        if height == 1:
            axes.set_yticks([])
        below = "not checked"
        if not np.isnan(error).all():
            worst = int(np.nanargmax(error))
            where = ", ".join(str(i) for i in np.unravel_index(worst, error.shape))
            below = f"worst {error.flat[worst]:.1g} at [{where}]"
            ring = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": INK, "clip_on": False}
            halo = [withStroke(linewidth=3, foreground="white")]
            axes.plot(worst % width, worst // width, "o", path_effects=halo, **ring)
        axes.set_xlabel(below, fontsize=8, color=RED if flagged else INK)
    for axes in all_axes.flat[len(panels) :]:
        axes.remove()
    bar = figure.colorbar(image, ax=figure.axes, ticks=[1e-12, 1e-9, 1e-6, 1e-3, 1], panchor=False, aspect=25)
    bar.set_label("relative error", fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, length=0)
    bar.outline.set_visible(False)
    return _finish(figure, path)


def _write(path: str | os.PathLike, data: bytes, suffix: str) -> None:
    """Write a picture, whole or not at all, under a name that says what it is."""
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ValueError(f"this picture is written as {suffix}; {path.name!r} would promise something else")
    write_whole(path, data)


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


def _moving_average(values: np.ndarray, half: int, geometric: bool = False) -> np.ndarray:
    """The mean over up to 2 half + 1 neighbours, (T,) -> (T,); NaN where the value itself is not finite.

    At the ends the window is cut and the mean is over what is left of it: padding with zeros or with the last
    value would bend the curve there. The geometric mean is the one that lies in the middle on a log axis.
    """
    values = np.where(values > 0, values, np.nan) if geometric else values
    finite = np.isfinite(values)
    terms = np.where(finite, values, 1.0)
    terms = np.where(finite, np.log(terms) if geometric else terms, 0.0)
    window = np.ones(2 * half + 1)
    total, count = (np.convolve(a, window)[half : half + len(values)] for a in (terms, finite))
    mean = np.divide(total, count, out=np.full(len(values), np.nan), where=finite)
    return np.exp(mean) if geometric else mean


def _worst_of_blocks(table: np.ndarray, most: int = 200) -> np.ndarray:
    """The largest of every block, NaN only where all are: (a, b) -> (min(a, most), min(b, most))."""
    for axis, n in enumerate(table.shape):
        table = np.fmax.reduceat(table, np.arange(min(n, most)) * n // min(n, most), axis=axis)
    return table


def _figure(width: float, height: float) -> Figure:
    """A figure of that many inches that belongs to no pyplot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.08)  # inches
    # A notebook shows a Figure by itself only once pyplot or %matplotlib was used in it; this serves before that.
    figure._repr_png_ = lambda: _png(figure)
    return figure


def _tidy(axes: Axes, title: str, colour: str = INK) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=colour)
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(which="both", labelsize=8, labelcolor=INK, color=FAINT)


def _level(axes: Axes, y: float, label: str) -> None:
    """A thin line across the panel with its name in the right margin, where no data are."""
    axes.axhline(y, color=FAINT, linewidth=0.9, linestyle=":", zorder=0)
    place = {"xycoords": ("axes fraction", "data"), "xytext": (5, 0), "textcoords": "offset points"}
    axes.annotate(label, (1, y), va="center", fontsize=8, color=INK, annotation_clip=False, **place)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")  # a canvas-less Figure is drawn by Agg
    return file.getvalue()


def _finish(figure: Figure, path: str | os.PathLike | None) -> Figure:
    if path is not None:
        _write(path, _png(figure), ".png")
    return figure
