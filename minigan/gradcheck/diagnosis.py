"""From a wrong gradient to the usual mistake behind it: each is tried against the same numbers.

yours: the gradient under test.  n: the numeric one, at the chosen flat indices.  N: samples in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigan.gradcheck.problems import numeric_gradient, slope, unit


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    scale = np.abs(b).max(initial=0)
    return bool(scale > 0 and np.abs(a - b).max() <= 1e-4 * scale)


def explain(yours: np.ndarray, chosen: np.ndarray, n: np.ndarray, name: str, at: np.ndarray, problem: Any) -> str:
    """The usual mistake that turns the numeric gradient n into yours; both are compared at the chosen entries."""
    for message in _candidates(yours, chosen, n, name, at, problem):
        return message
    wrong = np.abs(yours.flat[chosen] - n) > 1e-4 * np.abs(n).max(initial=0)
    if wrong.mean() < 0.5:
        return f"wrong in {int(wrong.sum())} of {len(n)} entries, right in the others"
    return "wrong, and none of the usual mistakes fits: a term of the derivation is missing or too many"


def _candidates(
    yours: np.ndarray, chosen: np.ndarray, n: np.ndarray, name: str, at: np.ndarray, problem: Any
) -> Iterator[str]:
    a = yours.flat[chosen]
    N = len(problem.x) if problem.layer is not None else len(at)
    last = name.split(".")[-1]
    parameter = problem.layer is not None and name != "x"

    if not np.abs(a).max() > 1e-12 * np.abs(n).max():
        if last in ("b", "beta", "bias"):
            yield "bias forgotten: its gradient is never added"
        yield "zero where it should not be: the gradient never arrives here"
    if _close(-a, n):
        yield "opposite sign"
    c = float((a * n).sum() / (n * n).sum())
    if c != 0 and _close(a, c * n) and (n.size > 1 or _factor(abs(c), N, n.size)):
        sign = "opposite sign, and " if c < 0 else ""
        yield sign + (_factor(abs(c), N, at.size) or f"a constant factor of {abs(c):.4g} too large")
    if at.ndim == 2 and at.shape[0] == at.shape[1] and _close(yours.T.flat[chosen], n):
        yield "transposed: rows and columns are exchanged"
    if problem.layer is not None:
        if _close(a, numeric_gradient(problem, name, at, chosen, train=not problem.train)):
            if problem.train:
                yield "inference-mode formula used in training mode"
            yield "training-mode formula used in eval mode"
        ratio = a / np.where(n == 0, 1, n)
        scale = ratio.max()
        if name == "x" and 0 in ratio and abs(scale - 1) > 1e-3 and _close(ratio, scale * (ratio != 0)):  # dropout's
            if problem.train:
                yield "a mask is applied that is not the one forward used"
            yield "training-mode formula used in eval mode: a mask that inference does not apply"
        if parameter and problem.r.ndim > 1:
            for i, which in ((-1, "last"), (0, "first")):
                r = np.zeros_like(problem.r)
                r[i] = problem.r[i]
                if _close(a, numeric_gradient(problem, name, at, chosen, r=r)):
                    yield f"only the {which} sample counts: missing sum over the batch"
        for other, factor in problem.factors.items():
            if other != name and factor.ndim == 1 and at.shape[-1] == len(factor):
                if _close((yours * factor).flat[chosen], n):
                    yield f"the factor {other} is missing"
                if _close(a, (np.ones_like(at) * factor).flat[chosen] * n):
                    yield f"the factor {other} is one too many"
        if name == "x" and problem.r.shape == at.shape:
            if _close(yours, problem.r):
                yield "dx is dy itself: the layer's own derivative is missing"
            if at.size <= 400:
                diagonal = [slope(problem, name, at, unit(at.shape, i), r=unit(at.shape, i)) for i in chosen]
                if _close(a, np.array(diagonal) * problem.r.flat[chosen]):
                    yield "only the diagonal of the Jacobian: each output is taken to depend on its own input alone"
    if len(chosen) == at.size and at.size > 3 and _close(np.sort(a), np.sort(n)):
        yield "the right numbers in the wrong places: a reshape where a transpose should stand, or the reverse"
    zero = (np.abs(a) <= 1e-12 * np.abs(n).max()) & (np.abs(n) > 1e-4 * np.abs(n).max())
    if zero.any() and _close(a[~zero], n[~zero]):
        yield f"zero where it should not be, in {int(zero.sum())} of {len(n)} entries; the others are right"


def _factor(c: float, N: int, size: int) -> str:
    """What a constant factor c probably means, or "" for a factor that says nothing."""

    def is_(value):
        return abs(c - value) <= 1e-4 * value

    also = {2: " (which is also 2)", 0.5: " (which is also 1/2)"}
    if N > 1 and is_(N):
        return (
            f"a constant factor of N = {N}{also.get(N, '')} too large: the sum over the batch where its mean stands"
        )
    if N > 1 and is_(1 / N):
        return f"a constant factor of 1/N, N = {N}{also.get(1 / N, '')}: the mean over the batch where its sum stands"
    if size > N > 1 and is_(size):
        return f"a constant factor of {size}, the number of its entries, too large: a sum where a mean stands"
    if size > N > 1 and is_(1 / size):
        return f"a constant factor of 1/{size}, the number of its entries: a mean where a sum stands"
    if is_(2):
        return "a constant factor of 2 too large: a derivative of a square, or added twice"
    if is_(0.5):
        return "a constant factor of 1/2: the 2 of a square's derivative is missing, or half of the terms"
    return ""


def explain_shape(yours: np.ndarray, shape: tuple[int, ...], numeric: np.ndarray | None) -> str:
    start = f"its gradient has shape {yours.shape}, but it has shape {shape}"

    def fits(a):
        return numeric is None or (a.shape == shape and _close(a.ravel(), numeric))

    if yours.shape == shape[::-1]:
        return f"{start}: transposed" + ("" if fits(yours.T) else ", and its numbers are wrong too")
    if yours.ndim == len(shape) + 1 and yours.shape[1:] == shape:
        right = fits(yours.sum(axis=0))
        return f"{start}: missing sum over the batch" + ("" if right else ", and its numbers are wrong too")
    if yours.size == int(np.prod(shape)):
        return f"{start}: a reshape is missing"
    return start


def explain_exception(error: Exception, N: int) -> str:
    """One sentence for what forward or backward raised, with a guess where a batch axis is left over."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if "non-broadcastable output operand" in text and f"({N}," in text.split("broadcast shape")[-1]:
        return f"missing sum over the batch: a gradient still has the batch axis ({text})"
    return f"it raised {text}"
