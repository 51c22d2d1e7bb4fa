"""Holding one gradient against differences: entry by entry, along directions, past kinks, and as the step falls."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.gradcheck.diagnosis import explain, explain_shape
from minigan.gradcheck.problems import H, numeric_gradient, slope, unit
from minigan.gradcheck.report import Row

TOLERANCE = 1e-6  # the relative error that is still right
ROUNDING = 100 * np.finfo(float).eps  # of one evaluation of L, relative to the sum of |y r|


def _relative(yours: Any, numeric: Any, noise: float) -> Any:
    """|yours - numeric| over the larger of the two; a difference that rounding explains counts as small."""
    return np.abs(yours - numeric) / (np.maximum(np.abs(yours), np.abs(numeric)) + noise / TOLERANCE + 1e-300)


def compare(
    name: str,
    mode: str,
    yours: np.ndarray | None,
    at: np.ndarray,
    problem: Any,
    rng: np.random.Generator,
    entries: int,
    smooth: bool,
) -> Row:
    """Hold one variable's gradient against differences, and explain it where it is wrong."""
    row = Row(name, mode)
    noise = ROUNDING * problem.size / H
    chosen = np.arange(at.size) if at.size <= entries else np.sort(rng.choice(at.size, entries, replace=False))
    if yours is None:
        row.diagnosis = "missing: backward returned no gradient for it"
        return row
    if yours.shape != at.shape:
        numeric = numeric_gradient(problem, name, at, np.arange(at.size)) if at.size <= 10_000 else None
        row.diagnosis = explain_shape(yours, at.shape, numeric)
        return row
    if not np.isfinite(yours).all():
        row.diagnosis = f"{int((~np.isfinite(yours)).sum())} of {yours.size} entries are NaN or infinite"
        return row

    numeric = numeric_gradient(problem, name, at, chosen)
    error = _relative(yours.flat[chosen], numeric, noise)
    for k in np.flatnonzero(error > TOLERANCE):
        numeric[k] = _past_kink(problem, name, at, chosen[k], yours.flat[chosen[k]], numeric[k], noise)
    error = _relative(yours.flat[chosen], numeric, noise)

    directions = [v / np.linalg.norm(v) for v in rng.standard_normal((2, *at.shape))]
    if at.size > entries and not np.nanmax(error, initial=0) > TOLERANCE:
        for v in directions:  # nothing wrong among those looked at: random directions see all the others
            if _direction_wrong(problem, name, at, yours, v, noise):
                i = _locate(problem, name, at, yours, v)
                chosen, numeric = np.append(chosen, i), np.append(numeric, numeric_gradient(problem, name, at, [i]))
                error = _relative(yours.flat[chosen], numeric, noise)
                break

    row.yours = yours
    row.numeric, row.error = np.full(at.shape, np.nan), np.full(at.shape, np.nan)
    row.numeric.flat[chosen], row.error.flat[chosen] = numeric, error
    at_kinks = int(np.isnan(error).sum())
    if at_kinks == len(error):
        row.note = "every entry is at a kink, not checked"
        return row
    k = int(np.nanargmax(error))
    row.worst = tuple(int(i) for i in np.unravel_index(chosen[k], at.shape))
    row.relative_error = float(error[k])
    row.note = f"left out at a kink: {at_kinks}" if at_kinks else ""
    if not np.abs(np.nan_to_num(numeric)).max() > noise and not np.abs(yours).max() > noise:
        row.note = "zero everywhere"
    row.order, stays = _fall(problem, name, at, yours, directions[0])
    if row.relative_error > TOLERANCE:
        sure = ~np.isnan(numeric)
        row.diagnosis = explain(yours, chosen[sure], numeric[sure], name, at, problem)
    elif smooth and stays and not at_kinks:
        row.diagnosis = f"slightly wrong: the error does not fall with the step ({row.order} a decade, not x100)"
    return row


def _past_kink(problem: Any, name: str, at: np.ndarray, i: int, yours: float, numeric: float, noise: float) -> float:
    """A better value where a kink lies within the step; NaN at the kink itself, if `yours` is a subgradient."""
    e = unit(at.shape, i)
    for h in (H / 10, H / 100):
        closer = slope(problem, name, at, e, h)
        moved = abs(closer - numeric) > 0.5 * abs(yours - numeric)  # a wrong gradient's numeric value stays
        if moved and _relative(yours, closer, noise * H / h) < TOLERANCE:
            return closer
    middle = problem.value(name, at)
    right = (problem.value(name, at + h * e) - middle) / h
    left = (middle - problem.value(name, at - h * e)) / h
    slack = 1e-3 * abs(right - left)
    jump = abs(right - left) > 1e-2 * (abs(right) + abs(left)) and abs(right - left) > 100 * noise
    return np.nan if jump and min(left, right) - slack <= yours <= max(left, right) + slack else numeric


def _direction_wrong(problem: Any, name: str, at: np.ndarray, yours: np.ndarray, v: np.ndarray, noise: float) -> bool:
    """Does <yours, v> miss the slope along v, at the usual step and at a tenth of it (kinks are rarely so near)?"""
    scale = np.linalg.norm(yours) / np.sqrt(yours.size)  # a typical <yours, v>, which may itself be near zero
    claim = float((yours * v).sum())
    return all(
        abs(claim - slope(problem, name, at, v, h)) > 10 * TOLERANCE * max(scale, abs(claim)) + noise * H / h
        for h in (H, H / 10)
    )


def _locate(problem: Any, name: str, at: np.ndarray, yours: np.ndarray, v: np.ndarray) -> int:
    """The flat index of an entry that is wrong, found by halving the direction in which `yours` misses most."""
    low, high = 0, at.size
    while high - low > 1:
        middle = (low + high) // 2
        misses = []
        for part in (slice(low, middle), slice(middle, high)):
            u = np.zeros(at.size)
            u[part] = v.flat[part]
            u = u.reshape(at.shape)
            misses.append(abs(float((yours * u).sum()) - slope(problem, name, at, u)))
        low, high = (low, middle) if misses[0] >= misses[1] else (middle, high)
    return low


def _fall(problem: Any, name: str, at: np.ndarray, yours: np.ndarray, v: np.ndarray) -> tuple[str, bool]:
    """The order test along v: by how much the error falls when the step falls tenfold, and whether it does not.

    A right gradient's error falls 100 times; a wrong one's stays. "exact": at the level of rounding from the first
    step on, as for a function without curvature. "kinks": it falls, but not smoothly.
    """
    steps = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
    claim = float((yours * v).sum())
    errors = np.array([abs(slope(problem, name, at, v, h) - claim) for h in steps])
    floors = 10 * ROUNDING * problem.size / steps + 1e-300
    stays = errors[3] > floors[3] and errors[2:].min() > errors[3] / 3  # still there at a thousandth of the step
    falls = [errors[k] / max(errors[k + 1], floors[k + 1] / 10) for k in range(3) if errors[k] > floors[k]]
    if not falls:
        return "exact", False
    fall = falls[-1] if stays else min(falls, key=lambda fall: abs(np.log(fall / 100)))
    return (f"x{fall:.0f}" if stays or 30 < fall < 300 else "kinks"), bool(stays)
