"""Detectors as pictures: how well each orders real images and fakes, and if its probabilities mean what they say.

A column for each detector: above, its ROC curves, below, its reliability diagram. One colour and dash stands for one
set of images throughout. T + 1 points of a curve, B bins of the probability.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minigan.viz.figures import BLUE, FAINT, INK, ORANGE, _figure, _finish, _tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, PINK = (
    "#009E73",
    "#CC79A7",
)  # differ from BLUE and ORANGE, and from each other, for every kind of colour vision
LINES = ((BLUE, "-"), (ORANGE, (0, (4, 1.2))), (GREEN, (0, (1, 1.2))), (PINK, (0, (5, 1, 1, 1))))
BIGGEST = 200  # the area of a marker, in points^2, for a bin that holds all images

Curve = tuple[np.ndarray, np.ndarray]  # false and true positive rate, (T + 1,) each
Bins = tuple[np.ndarray, np.ndarray, np.ndarray]  # said, seen and count, (B,) each


def detectors(
    curves: Mapping[str, Mapping[str, Curve]],
    reliability: Mapping[str, Mapping[str, Bins]],
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draw the ROC curves and reliability diagrams of detectors, each named, on sets of images, each named.

    curves         of each detector, of each set: `minigan.metrics.detector.roc`; on the dotted diagonal a detector
                   knows nothing. The area under each, by trapezoids, is told beside its name.
    reliability    of each detector, of each set: said, seen and count of `calibration`'s table; on the diagonal a
                   probability means what it says. A dot's area is its bin's share of the images; empty bins: none.

    Returns the figure; writes a PNG where a path is given. Raises ValueError without a detector, where the two are
    not of the same detectors, and for more than four sets.
    """
    if not curves or list(curves) != list(reliability):
        raise ValueError(
            f"Curves and reliability must be of the same detectors, at least one, but they are of "
            f"{list(curves)} and {list(reliability)}."
        )
    names = list(dict.fromkeys(name for sets in (*curves.values(), *reliability.values()) for name in sets))
    if len(names) > len(LINES):
        raise ValueError(f"A picture of detectors shows up to {len(LINES)} sets of images, but got {len(names)}.")
    styles = dict(zip(names, LINES))
    figure = _figure(0.3 + 4.1 * len(curves), 9.0)
    all_axes = figure.subplots(2, len(curves), squeeze=False)
    for (above, below), detector in zip(all_axes.T, curves):
        _square(above, detector, "fakes that pass for real", "real images that pass")
        for name, (fpr, tpr) in curves[detector].items():
            colour, dash = styles[name]
            label = f"{name}: {np.trapezoid(tpr, fpr):.3f}"
            above.plot(fpr, tpr, color=colour, linestyle=dash, linewidth=1.6, label=label)
        place = {
            "loc": "upper left",
            "bbox_to_anchor": (-0.02, -0.14),
        }  # below the panel: there it can never cover data
        above.legend(**place, title="area under the curve", title_fontsize=8, frameon=False, fontsize=8)
        says = "it says: real with probability (dots: how many images)"
        _square(below, "Are its probabilities right?", says, "share that is real")
        for name, (said, seen, count) in reliability[detector].items():
            colour, dash = styles[name]
            there = np.asarray(count) > 0
            said, seen, share = (np.asarray(a)[there] for a in (said, seen, count / np.sum(count)))
            below.plot(said, seen, color=colour, linestyle=dash, linewidth=1.0, alpha=0.6, label=name)
            below.scatter(said, seen, s=BIGGEST * share, color=colour, linewidths=0)
    return _finish(figure, path)


def _square(axes: Axes, title: str, x: str, y: str) -> None:
    """A panel from 0 to 1 in both directions, with its diagonal."""
    _tidy(axes, title)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":", zorder=0)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
