"""The game board: six panels that show a GAN in the plane at one moment. It knows arrays; `minigan.board` fills it.

1 layers     what D believes of every place, over real and fake points, and the best that any D could believe
2 sheet      the plane of z as G bends it: where it is dense, and where it is folded over
3 arrows     where each fake would like to go, and where G's next move takes it
4 plane      the path of both players through the space of their parameters
5 numbers    over time, each beside its floor: a perfect sampler's score, or that of a D that cannot tell
6 ledger     whose move it was, the shapes it saw, and how far each layer went

Blue rings are real points and orange crosses fakes, in all panels. Every place is fixed: frames do not jump.

N points of each kind   M arrows   H, W the heat map's rows and columns   n cells along a side of the sheet
T moments that are recorded
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigan.viz.figures import BLUE, FAINT, INK, ORANGE, _figure, _finish, _tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PURPLE = "#A0307A"  # the best D
GREEN = "#009E73"  # how G really moves; told from blue and orange by every kind of colour vision
FOLD, GREYS = "#F2C4A0", ("#E9E9E9", "#DDDDDD", "#C4C4C4")
SIZE = (9.2, 6.1)  # inches; at 120 dots an inch 1104 x 732 pixels
WIDE = 1.28  # the width of a map over its height
DOTS, ARROWS = 200, 60  # at most so many points are drawn, and so many have arrows

Extent = tuple[float, float, float, float]  # x from, x to, y from, y to


class Strip(NamedTuple):
    """One number over time: values (T,) at Scene.moments, now at the moment shown, and the floor it is held against.

    floor   (low, high): where a perfect sampler's number lies, or (level, level); in words: floor_name
    """

    name: str
    values: np.ndarray
    now: float
    floor: tuple[float, float]
    floor_name: str
    log: bool = False


class Ledger(NamedTuple):
    """The last move: lines of (text, whether it is the one just executed), facts, and a table with a row a layer."""

    algorithm: Sequence[tuple[str, bool]]
    facts: Sequence[str]
    table: Sequence[str]


@dataclass(frozen=True)
class Scene:
    """One moment of the game, in arrays.

    t, last           the moment shown, and the last that is recorded
    title             the game and its rules
    extent            the part of the plane that panels 1 to 3 show
    x_real, x_fake    (N, 2)
    verdict           (H, W) over the extent, row 0 lowest: D from 0, fake, to 1, real; at `middle` it cannot tell
    best              (., .) over the extent: p / (p + q), what the best D says (Goodfellow et al. 2014, prop. 1);
                      NaN where neither density is known
    gap               mean |D - D*| at the real points and at the fakes; None where D is no probability
    sheet             (n + 1, n + 1, 2): G at the corners of cells of z that hold equal shares of its mass
    start             (M, 2) fakes; wanted: -dL_G/dx there, of each alone; got: how far G's next move moves each
    moments, path     (T,) and (T, 2): when, and where the players then stood in the plane of panel 4
    here, axes        (2,): where they stand now; what the plane's axes are
    field             xs (a,), ys (b,) and arrows (b, a, 2) over that plane, where it is the whole game
    """

    t: int
    last: int
    title: str
    extent: Extent
    x_real: np.ndarray
    x_fake: np.ndarray
    verdict: np.ndarray
    middle: float
    best: np.ndarray
    gap: tuple[float, float] | None
    sheet: np.ndarray
    start: np.ndarray
    wanted: np.ndarray
    got: np.ndarray
    moments: np.ndarray
    path: np.ndarray
    here: np.ndarray
    axes: tuple[str, str]
    field: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    strips: Sequence[Strip]
    ledger: Ledger

    @property
    def cosine(self) -> float:
        """The mean cosine between what the fakes wanted and what they got; NaN where none moves."""
        lengths = np.linalg.norm(self.wanted, axis=1) * np.linalg.norm(self.got, axis=1)
        moving = np.isfinite(lengths) & (lengths > 0)
        products = (self.wanted * self.got).sum(axis=1)
        return float((products[moving] / lengths[moving]).mean()) if moving.any() else float("nan")

    @property
    def folded_share(self) -> float:
        """The share of the fakes that lies on the sheet's back, at most one half."""
        return float(folded(self.sheet).mean())


def game_board(scene: Scene, path: str | os.PathLike | None = None) -> Figure:
    """Draw the six panels of a moment. Returns the figure; writes a PNG where a path is given."""
    figure = _figure(*SIZE)
    figure.set_layout_engine("none")  # every place is given here
    figure.text(0.012, 0.967, f"t = {scene.t:,}", fontsize=13, color=INK, weight="bold", va="center")
    figure.text(0.988, 0.967, scene.title, fontsize=9, color=INK, va="center", ha="right")
    width, left, (upper, lower) = 0.306, (0.012, 0.347, 0.682), (0.552, 0.072)  # of the figure
    height = width * SIZE[0] / SIZE[1] / WIDE
    for x, draw in zip(left, (_layers, _sheet, _arrows)):
        axes = figure.add_axes((x, upper, width, height))
        axes.set(xlim=scene.extent[:2], ylim=scene.extent[2:], xticks=[], yticks=[], autoscale_on=False)
        axes.spines[:].set_color(FAINT)
        draw(axes, scene)
    _plane(figure.add_axes((left[0] + 0.045, lower, width - 0.045, height)), scene)
    _strips(figure.add_axes((left[1], lower, width, height)), scene)
    _ledger(figure.add_axes((left[2], lower, width, height)), scene)
    return _finish(figure, path)


def folded(sheet: np.ndarray) -> np.ndarray:
    """Which cells of a sheet lie on their back, (n + 1, n + 1, 2) -> bool (n, n).

    A cell's signed area has the sign of G's Jacobian determinant there. A sheet that is turned over as a whole has
    no fold, so what counts is a sign other than that of all areas' sum, which is the sense in which the sheet's rim
    runs around it. Cells without an area lie on neither side.
    """
    rising, falling = sheet[1:, 1:] - sheet[:-1, :-1], sheet[:-1, 1:] - sheet[1:, :-1]  # the diagonals, (n, n, 2)
    area = (rising[..., 0] * falling[..., 1] - rising[..., 1] * falling[..., 0]) / 2
    face = 1 if area.sum() >= 0 else -1
    return np.sign(area) == -face


def pixels(figure: Figure, dpi: float) -> np.ndarray:
    """A board as an image of few flat colours, uint8 (H, W, 3): a GIF of such frames is small and keeps them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    white, pens = np.ones(3), (INK, FAINT, BLUE, ORANGE, GREEN, PURPLE)
    inks = [np.array(to_rgb(pen)) for pen in pens]
    mixed = [(1 - share) * white + share * ink for ink in inks for share in (0.33, 0.67, 1)]
    flat = [*mixed, white, *_pale()(np.linspace(0.05, 0.95, 10))[:, :3], *map(to_rgb, GREYS)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.rint(255 * np.array(flat)).astype(np.uint8).tobytes())
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    return np.asarray(image.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB"))


# ---- the panels ----------------------------------------------------------------------------------------------------


def _head(axes: Axes, title: str, *captions: str, drop: float = 4) -> None:
    """A title above the panel and lines of small print below it, `drop` points down."""
    axes.set_title(title, loc="left", fontsize=9.5, color=INK, weight="bold", pad=4)
    for line, text in enumerate(captions):
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(text, (0, 0), (0, -drop - 10.5 * line), va="top", fontsize=7.5, color=INK, **place)


def _points(axes: Axes, real: np.ndarray, fake: np.ndarray | None = None) -> None:
    axes.scatter(*real[:DOTS].T, s=45, facecolors="none", edgecolors=BLUE, linewidths=0.5, zorder=3)
    if fake is not None:
        axes.scatter(*fake[:DOTS].T, s=10, marker="x", color=ORANGE, linewidths=0.8, zorder=4)


def _pale() -> Any:
    """From fake to real, with white where D cannot tell; pale, so that points stand out."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("verdict", [FOLD, "#FFFFFF", "#A3CBE6"])


def _contour(axes: Axes, values: np.ndarray, extent: Extent, level: float, **style) -> None:
    if np.nanmin(values) < level < np.nanmax(values):  # else there is no line, and Matplotlib would warn
        axes.contour(*_ticks(values, extent), values, [level], zorder=5, **style)


def _ticks(values: np.ndarray, extent: Extent) -> tuple[np.ndarray, np.ndarray]:
    """The x of a table's columns and the y of its rows."""
    return np.linspace(*extent[:2], values.shape[1]), np.linspace(*extent[2:], values.shape[0])


def _layers(axes: Axes, s: Scene) -> None:
    shown = np.interp(np.nan_to_num(s.verdict, nan=s.middle), (0, s.middle, 1), (0, 0.5, 1))
    steps = np.linspace(0, 1, 11) + 1e-9 * np.r_[-1, np.zeros(9), 1]  # the ends belong to them
    axes.contourf(*_ticks(shown, s.extent), shown, steps, cmap=_pale(), antialiased=False, zorder=0)
    _points(axes, s.x_real, s.x_fake)
    _contour(axes, shown, s.extent, 0.5, linewidths=1.5, colors=INK)
    _contour(axes, s.best, s.extent, 0.5, linewidths=1.4, colors=PURPLE)
    inside = (s.x_fake >= s.extent[::2]).all(axis=1) & (s.x_fake <= s.extent[1::2]).all(axis=1)
    outside = f" ({1 - inside.mean():.0%} outside)" if inside.mean() < 0.995 else ""
    if s.gap is None:
        below = (
            "black: mid-score; purple: p = q (q by kernels)",
            "D is a score: no p / (p + q) to hold it against",
        )
    else:
        below = (
            "black: D = 1/2; purple: p = q (q by kernels)",
            f"D misses p / (p + q) by {s.gap[0]:.2f} (real), {s.gap[1]:.2f} (fake)",
        )
    _head(axes, "1  D believes: blue real, orange fake", f"rings: real; crosses: fake{outside}", *below)


def _sheet(axes: Axes, s: Scene) -> None:
    from matplotlib.collections import PolyCollection

    back = folded(s.sheet)
    quads = np.stack([s.sheet[:-1, :-1], s.sheet[1:, :-1], s.sheet[1:, 1:], s.sheet[:-1, 1:]], axis=2)  # (n, n, 4, 2)
    front = {"facecolors": GREYS[0], "edgecolors": "#777777"}
    for cells, style in ((~back, front), (back, {"facecolors": FOLD, "edgecolors": ORANGE, "hatch": "///"})):
        axes.add_collection(PolyCollection(quads[cells], linewidths=0.45, **style))
    _points(axes, s.x_real)
    _head(
        axes,
        "2  The sheet: z's plane, bent by G",
        "equally many fakes in each cell: small is dense",
        f"hatched: folded over, {back.mean():.0%} of the fakes",
        "it can bend, stretch and fold, but never tear",
    )


def _arrows(axes: Axes, s: Scene) -> None:
    _points(axes, s.x_real, s.start[:ARROWS])
    reach = 0.14 * (s.extent[3] - s.extent[2])
    factors, medians = [], []
    for arrows, style in (
        (s.got, {"color": GREEN, "width": 0.01, "headwidth": 2.6}),
        (s.wanted, {"color": INK, "width": 0.0045}),
    ):
        lengths = np.linalg.norm(arrows[np.isfinite(arrows).all(axis=1)], axis=1)
        long = np.quantile(lengths, 0.9) if len(lengths) else 0.0
        factors.append(_readable(reach / long) if long > 0 else 1.0)
        medians.append(np.median(lengths) if len(lengths) else 0.0)
        axes.quiver(
            *s.start[:ARROWS].T,
            *(factors[-1] * arrows[:ARROWS]).T,
            angles="xy",
            scale_units="xy",
            scale=1,
            zorder=5,
            **style,
        )
    _head(
        axes,
        "3  What fakes want, and get",
        f"black: −dL_G/dx × {factors[1]:g} (median {medians[1]:.2g})",
        f"green: G's next move × {factors[0]:g} (median {medians[0]:.2g})",
        f"one G moves them all: mean cosine {s.cosine:+.2f}",
    )


def _readable(x: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that is not above x: it seldom changes from frame to frame."""
    power = 10.0 ** np.floor(np.log10(x))
    return float(f"{power * max(k for k in (1, 2, 5) if k <= x / power * (1 + 1e-9)):.0e}")


def _plane(axes: Axes, s: Scene) -> None:
    _tidy(axes, "")
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=5)
    axes.margins(0.08)
    if s.field is not None:
        xs, ys, arrows = s.field
        axes.quiver(xs, ys, arrows[..., 0], arrows[..., 1], angles="xy", color=FAINT, width=0.004)
    axes.plot(*s.path.T, color=GREYS[2], linewidth=1.0)
    walked = np.concatenate([s.path[s.moments <= s.t], s.here[None]])
    axes.plot(*walked.T, color=INK, linewidth=1.3)
    axes.plot(*walked[0], "s", color="white", markeredgecolor=INK, markersize=6)
    axes.plot(*s.here, "o", color=GREEN, markeredgecolor=INK, markersize=7)
    axes.set_ylabel(s.axes[1], fontsize=7.5, color=INK, labelpad=1)
    axes.set_xlabel(s.axes[0], fontsize=7.5, color=INK, labelpad=2)
    _head(axes, "4  Both players: □ start, ● now")


def _strips(panel: Axes, s: Scene) -> None:
    panel.set_axis_off()
    _head(panel, "5  Numbers, each beside its floor")
    rows = len(s.strips)
    for row, strip in enumerate(s.strips):
        axes = panel.inset_axes((0.085, 1 - (row + 0.9) / rows, 0.6, 0.58 / rows))
        _tidy(axes, "")
        axes.tick_params(labelsize=6.5, pad=1.5, length=2)
        past = s.moments <= s.t
        low = strip.floor[0]
        values = strip.values
        if strip.log:  # what lies far below the floor by chance, or below zero, is drawn at the bottom
            axes.set_yscale("log")
            low = strip.floor[1] / 10
            values = np.maximum(values, low)
        axes.axhspan(low, strip.floor[1], color=GREYS[1], linewidth=0, zorder=0)
        axes.axhline(strip.floor[1], color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=0)
        axes.plot(s.moments, values, color=GREYS[2], linewidth=0.9)
        axes.plot(
            np.append(s.moments[past], s.t),
            np.append(values[past], np.maximum(strip.now, low) if strip.log else strip.now),
            color=INK,
            linewidth=1.2,
        )
        axes.plot(
            s.t, strip.now, "o", color=GREEN, markeredgecolor=INK, markeredgewidth=0.6, markersize=4, clip_on=False
        )
        axes.set_xlim(-0.01 * max(s.last, 1), max(s.last, 1))
        if row < rows - 1:
            axes.set_xticklabels([])
        style = {"xycoords": "axes fraction", "fontsize": 7.5, "color": INK, "annotation_clip": False}
        axes.annotate(strip.name, (0, 1), (0, 2), textcoords="offset points", va="bottom", **style)
        axes.annotate(f"{strip.now:.3g}", (1.05, 0.62), va="center", weight="bold", **style)
        axes.annotate(strip.floor_name, (1.05, 0.12), va="center", **style | {"fontsize": 7})


def _ledger(axes: Axes, s: Scene) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    _head(axes, "6  The ledger of the last move")
    y = 0.97
    style = {"fontsize": 7.5, "family": "monospace", "va": "top"}
    for text, now in s.ledger.algorithm:
        axes.text(0, y, ("> " if now else "  ") + text, color=INK, weight="bold" if now else "normal", **style)
        y -= 0.062
    for text in ("", *s.ledger.facts, "", *s.ledger.table):
        axes.text(0, y, text, color=INK, **style)
        y -= 0.062 if text else 0.035
