"""Figures of a run, a density, a gradient check, and what all figures share.

Nothing touches pyplot: a figure belongs to its caller, needs no display and leaks nothing.

T entries in a log   M samples in the plane   P points of a grid over it   H, W the sides of that grid
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

BLUE, ORANGE, RED = "#0072B2", "#D55E00", "#B00020"  # blue and orange differ for every kind of colour vision
INK, FAINT = "#333333", "#999999"


PANELS = (  # of curves(): title, then (column, label) of the blue line and of the orange one
    ("Loss", ("d_loss", "discriminator"), ("g_loss", "generator")),
    ("How real D finds them, from 0 to 1", ("d_real", "real: D(x)"), ("d_fake", "fake: D(G(z))")),
    ("Size of the gradient", ("d_grad_norm", "discriminator"), ("g_grad_norm", "generator")),
)


def curves(
    log: Mapping[str, np.ndarray],
    path: str | os.PathLike | None = None,
    reference: float | None = math.log(4),
    panels: tuple = PANELS,
) -> Figure:
    """Draw a run in three panels over the step: losses, D's verdicts, gradient norms (log axis).

    log        columns (T,) by name: step, d_loss, g_loss, d_real and d_fake (means of sigmoid(logit) on real
               and on fake samples), d_grad_norm, g_grad_norm. Any may be missing, others are not looked at. A
               panel without a finite value is left out; without "step" the entries are counted.
    reference  a level marked in the panel of losses: log 4 is the minimax discriminator's loss when D answers
               1/2 to everything (Goodfellow et al. 2014, theorem 1). None for a loss that has no such level.
    panels     others than these: for each its title, and the column and label of its two lines

    The values are light, their moving average over about a fortieth of the run is strong; a gap is a value that
    was not finite. Returns the figure; writes a PNG where a path is given. Raises ValueError for columns of
    unequal length and where there is nothing to draw.
    """
    known = ["step"] + [column for _, *pair in panels for column, _ in pair]
    table = {name: np.asarray(log[name], dtype=float) for name in known if name in log}
    if len({values.shape for values in table.values()}) > 1 or any(v.ndim != 1 for v in table.values()):
        lengths = ", ".join(f"{name} {values.shape}" for name, values in table.items())
        raise ValueError(f"the columns of a log are 1-D and equally long, not {lengths}")
    drawn = {name for name, values in table.items() if np.isfinite(values).any()} - {"step"}
    if not drawn:
        raise ValueError(f"nothing to draw: the log has no finite value under {', '.join(known[1:])}")
    panels = [panel for panel in panels if drawn & {column for column, _ in panel[1:]}]

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


def word_curves(
    log: Mapping[str, np.ndarray],
    path: str | os.PathLike | None = None,
    scores: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Draw a SeqGAN's run over the step: likelihoods, BLEU, D's loss, the reward; its phases parted by lines.

    log        columns (T,): step, phase (0, 1, 2), nll of the training batch, nll_test, nll_oracle (all 0: none),
               d_loss, reward
    scores     columns (S,): step, BLEU-2 and BLEU-3, of some samples at fewer steps; without these names no panel

    Returns the figure; writes a PNG where a path is given.
    """
    step, phase = np.asarray(log["step"]), np.asarray(log["phase"])
    panels: list[tuple[str, list[tuple[str, str, np.ndarray]]]] = [
        (
            "Negative log-likelihood of a word, in nats",
            [("nll", "training batch", phase == 0), ("nll_test", "held-out text", phase >= 0)],
        ),
        ("D's loss; log 4 when it can tell nothing", [("d_loss", "discriminator", np.asarray(log["d_loss"]) != 0)]),
        ("Mean verdict on G's texts", [("reward", "reward", phase == 2)]),
    ]
    if np.any(log["nll_oracle"]):
        panels.insert(1, ("Of G's text under the oracle", [("nll_oracle", "NLL_oracle", phase >= 0)]))
    panels = [panel for panel in panels if any(shown.any() for _, _, shown in panel[1])]
    with_bleu = scores is not None and "BLEU-2" in scores
    count = len(panels) + with_bleu
    figure = _figure(7.2, 0.6 + 1.8 * count)
    all_axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    if with_bleu:
        _tidy(all_axes[-1], "BLEU of G's text against held-out text")
        for column, colour, dash in (("BLEU-2", BLUE, "-"), ("BLEU-3", ORANGE, (0, (4, 1.2)))):
            line = {"color": colour, "linestyle": dash, "linewidth": 1.2, "marker": ".", "label": column}
            all_axes[-1].plot(scores["step"], scores[column], **line)
        all_axes[-1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    for axes, (title, lines) in zip(all_axes, panels):
        _tidy(axes, title)
        for (column, label, shown), colour, dash in zip(lines, (BLUE, ORANGE), ("-", (0, (4, 1.2)))):
            axes.plot(
                step[shown],
                np.asarray(log[column])[shown],
                color=colour,
                linestyle=dash,
                linewidth=1.2,
                label=label,
                marker="." if shown.sum() < 30 else None,
            )
        for later in (1, 2):
            if (phase == later).any():
                axes.axvline(step[phase == later][0], color=FAINT, linewidth=0.9, linestyle=":")
        if column == "d_loss":
            _level(axes, math.log(4), "log 4")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=8)
    all_axes[-1].set_xlabel("step; dotted: D alone begins, the game begins", fontsize=9, color=INK)
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


def _write(path: str | os.PathLike, data: bytes, suffix: str) -> None:
    """Write a picture, whole or not at all, under a name that says what it is."""
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise ValueError(f"this picture is written as {suffix}; {path.name!r} would promise something else")
    write_whole(path, data)
