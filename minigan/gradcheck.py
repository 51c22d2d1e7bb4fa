"""Is this backward pass right, and if not, what is wrong with it?

A backward pass claims that d<y, r>/dv = v's gradient, for every variable v (the input x and each parameter) and a
random upstream gradient r. Here the claim is held against central differences, (L(v + h) - L(v - h)) / 2h, in
float64. Where it fails, the usual mistakes are tried against the same numbers, and the one that fits is named.

L: the scalar <y, r>.  N: samples in the batch.  "yours": the gradient under test.  "numeric": the difference.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigan.backend import to_device, to_host

H = 1e-5  # the step: cutting off the series costs H^2 = 1e-10, rounding 1e-16 / H = 1e-11
TOLERANCE = 1e-6  # the relative error that is still right
ROUNDING = 100 * np.finfo(float).eps  # of one evaluation of L, relative to the sum of |y r|


class GradientError(AssertionError):
    """A gradient is wrong; the message is the report's table."""


@dataclass
class Row:
    """One variable's verdict. `yours`, `numeric` and `error` are arrays of its shape, NaN where not looked at."""

    name: str
    mode: str
    yours: np.ndarray | None = None
    numeric: np.ndarray | None = None
    error: np.ndarray | None = None
    worst: tuple[int, ...] | None = None
    relative_error: float = np.nan
    order: str = ""
    diagnosis: str = ""  # empty when right
    note: str = ""

    @property
    def wrong(self) -> bool:
        return bool(self.diagnosis)


@dataclass
class Report:
    """The outcome of a check: prints as a table, is true when all is right, plots, and raises.

    rows: a Row for each variable and mode. contract: name -> what is wrong, "" when right.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    contract: dict[str, str] = field(default_factory=dict)

    @property
    def diagnoses(self) -> list[str]:
        """What is wrong, a sentence each; empty when all is right."""
        found = [f"{row.name} ({row.mode}): {row.diagnosis}" for row in self.rows if row.wrong]
        found += [f"{name}: {message}" for name, message in self.contract.items() if message]
        if not found and self.rows and all(row.note.startswith("zero everywhere") for row in self.rows):
            found.append("every gradient is zero, so this check proves nothing: take other inputs or a larger batch")
        return found

    @property
    def ok(self) -> bool:
        return not self.diagnoses

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        cells = [("variable", "mode", "worst entry", "yours", "numeric", "rel. error", "order", "verdict")]
        for row in self.rows:
            at = row.worst
            values = ("", "") if at is None else (f"{row.yours[at]:.6g}", f"{row.numeric[at]:.6g}")
            where = "" if at is None else "[" + ", ".join(map(str, at)) + "]"
            error = "" if np.isnan(row.relative_error) else f"{row.relative_error:.0e}"
            verdict = f"WRONG: {row.diagnosis}" if row.wrong else "right" + (f" ({row.note})" if row.note else "")
            cells.append((row.name, row.mode, where, *values, error, row.order, verdict))
        widths = [max(len(line[k]) for line in cells) for k in range(7)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(line, widths)), line[7]]).rstrip() for line in cells]
        kept = [name for name, message in self.contract.items() if not message]
        broken = [f"WRONG: {name}: {message}" for name, message in self.contract.items() if message]
        end = [f"also right: {', '.join(kept)}"] if kept else []
        empty = self.diagnoses[-1:] if not self.ok and not any(r.wrong for r in self.rows) and not broken else []
        return "\n".join([self.title, *lines, *broken, *end, *empty])

    __repr__ = __str__

    def raise_if_wrong(self) -> Report:
        """Raises GradientError with the report's table as its message; returns the report when all is right."""
        if not self.ok:
            raise GradientError(f"\n{self}")
        return self

    def plot(self, path: str | None = None) -> Any:
        """Heat maps of the relative error, a panel for each variable; returns the matplotlib Figure."""
        from minigan import viz

        panels = [(f"{row.name} ({row.mode})", row.error, row.wrong) for row in self.rows if row.error is not None]
        return viz.error_maps(panels, path)


# ---- the public checks -------------------------------------------------------------------------------------------


def check_layer(
    layer: Any, x: Any, *, train: bool | None = None, seed: int = 0, entries: int = 200, smooth: bool = True
) -> Report:
    """Check a layer's backward at x: every gradient, in training and in inference, and the layer contract.

    layer    anything with forward(x, train) -> (y, cache), backward(dy, cache) -> dx, and the dicts params, grads;
             it is copied to float64 and its parameters are stirred, so that no 0 or 1 hides a missing term
    x        a batch (N, ...), or its shape: then numbers are drawn that keep 0.1 away from zero, where kinks are
    train    True or False for one mode only
    entries  up to so many entries of a variable are compared one by one, and beyond that random directions too
    smooth   False leaves out the order test

    The layer itself is not changed. Returns a Report; wrong gradients raise nothing until `raise_if_wrong()`.
    """
    rng = np.random.default_rng(seed)
    x = draw(rng, x) if _is_shape(x) else np.array(to_host(x), dtype=np.float64)
    report = Report(f"{_brief(layer)}, x {x.shape}, float64")
    layer = _stirred(layer, rng)
    outputs = []
    for mode in (True, False) if train is None else (train,):
        name = "training" if mode else "inference"
        try:
            problem = _LayerProblem(layer, x, mode, rng)
            outputs.append(problem.y)
            gradients = problem.gradients()
        except Exception as error:
            report.rows.append(Row("all", name, diagnosis=_explain_exception(error, len(x))))
            return report
        for variable, at in problem.variables.items():
            report.rows.append(_compare(variable, name, gradients.get(variable), at, problem, rng, entries, smooth))
        _check_contract(report.contract, problem, rng)
    if len(outputs) == 2 and np.array_equal(*outputs):  # the same function in both modes: say it once
        half = len(report.rows) // 2
        said = {(row.name, row.diagnosis) for row in report.rows[:half]}
        for row in report.rows[:half]:
            row.mode = "both"
        report.rows[half:] = [row for row in report.rows[half:] if (row.name, row.diagnosis) not in said]
    return report


def check_network(network: Any, x: Any, **options: Any) -> Report:
    """`check_layer` for a network: x and every layer's parameters ("0.W", "2.b"), and that stale caches are refused.

    Options are those of `check_layer`.
    """
    report = check_layer(network, x, **options)
    if report.rows and report.rows[-1].name != "all":
        other = network.copy()
        start = draw(np.random.default_rng(0), x) if _is_shape(x) else to_host(x)
        y, cache = other.forward(to_device(start.astype(other.theta.dtype)))
        other.theta -= 0.1 * other.theta
        try:
            other.backward(y, cache)
            report.contract["stale caches refused"] = "backward took a cache made before theta changed"
        except RuntimeError:
            report.contract["stale caches refused"] = ""
    return report


def check_loss(loss: Any, *inputs: Any, seed: int = 0, entries: int = 200) -> Report:
    """Check a loss: the gradient on each of its inputs, and that logits of +-1000 give finite numbers.

    loss    a pair with .discriminator(real, fake) and .generator(fake), or one function f(*inputs) that returns
            (value, a gradient for each input)
    inputs  arrays or shapes; for a pair they may be left out (5 real and 7 fake logits: unequal, to tell the two
            means apart)
    """
    if hasattr(loss, "discriminator"):
        title = f"{getattr(loss, 'name', type(loss).__name__)} game, float64"
        real, fake = inputs if inputs else ((5, 1), (7, 1))
        parts = [
            ("discriminator", loss.discriminator, {"real logits": real, "fake logits": fake}),
            ("generator", loss.generator, {"fake logits": fake}),
        ]
    else:
        title = f"{getattr(loss, '__name__', 'loss')}, float64"
        if not inputs:
            raise ValueError("check_loss needs the shape of each input of a plain function: check_loss(f, (8, 1)).")
        names = list(inspect.signature(loss).parameters)
        parts = [("loss", loss, dict(zip(names, inputs)))]
    report, rng = Report(title), np.random.default_rng(seed)
    for mode, function, given in parts:
        variables = {k: draw(rng, v) * 2 if _is_shape(v) else np.array(v, np.float64) for k, v in given.items()}
        try:
            problem = _LossProblem(function, variables)
            gradients = problem.gradients()
            extreme = function(*(to_device(1000 * np.sign(v).astype(np.float32)) for v in variables.values()))
        except Exception as error:
            report.rows.append(Row("all", mode, diagnosis=_explain_exception(error, 0)))
            continue
        for name, at in variables.items():
            report.rows.append(_compare(name, mode, gradients.get(name), at, problem, rng, entries, True))
        finite = all(np.isfinite(to_host(v)).all() for v in extreme)
        report.contract[f"{mode} finite at +-1000"] = "" if finite else "overflows; use the stable form of softplus"
        kept = all(v.dtype == np.float32 for v in extreme)
        report.contract[f"{mode} keeps float32"] = "" if kept else "float32 logits give another dtype"
    return report


def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign between 0.1 and 1.1 in size: random, and away from the kink at zero. float64."""
    return rng.choice([-1.0, 1.0], size=shape) * (0.1 + rng.random(shape))


# ---- what is differentiated --------------------------------------------------------------------------------------


class _LayerProblem:
    """L = <forward(x), r> as a function of one variable at a time; forward is repeatable, dropout included."""

    def __init__(self, layer: Any, x: np.ndarray, train: bool, rng: np.random.Generator) -> None:
        self.layer, self.x, self.train = layer, x, train
        self.single = _cast(layer, np.float32)
        if not train:  # running statistics away from their first values, where they would hide a missing term
            layer.forward(_device(x + 0.5), True)
            self.single.forward(_device(x + 0.5, np.float32), True)
        self.random = _draws(layer)
        self.y = self.run()
        self.r = rng.standard_normal(self.y.shape)  # with r = 1, batch norm's gradient is zero and proves nothing
        self.size = float(np.abs(self.y * self.r).sum())
        params = {name: np.array(to_host(p)) for name, p in layer.params.items()}
        self.variables = {"x": x, **params}
        self.factors = params

    def fresh(self) -> Any:
        """The layer as it was at first: a copy where a forward leaves it changed (a random generator)."""
        return copy.deepcopy(self.layer) if self.random else self.layer

    def run(self) -> np.ndarray:
        return _host(self.fresh().forward(_device(self.x), self.train)[0])

    def value(self, name: str, v: np.ndarray, r: np.ndarray | None = None, train: bool | None = None) -> float:
        layer, r = self.fresh(), self.r if r is None else r
        mode = self.train if train is None else train
        if name == "x":
            y = layer.forward(_device(v), mode)[0]
        else:
            layer.params[name][...] = to_device(v)
            y = layer.forward(_device(self.x), mode)[0]
            layer.params[name][...] = to_device(self.variables[name])
        return float((to_host(y) * r).sum())

    def gradients(self) -> dict[str, Any]:
        """The gradients under test, by variable."""
        layer = self.fresh()
        _zero(layer)
        _, cache = layer.forward(_device(self.x), self.train)
        dx = layer.backward(_device(self.r), cache)
        return {"x": _host(dx), **{name: _host(g) for name, g in layer.grads.items()}}


class _LossProblem:
    """L = the loss's value as a function of one input at a time."""

    train, r, factors, layer = True, None, {}, None

    def __init__(self, function: Callable[..., Any], variables: dict[str, np.ndarray]) -> None:
        self.function, self.variables = function, variables
        self.size = abs(self.value("", np.zeros(0))) + 1

    def value(self, name: str, v: np.ndarray, r: Any = None, train: Any = None) -> float:
        return float(
            to_host(self.function(*(to_device(u) for u in {**self.variables, name: v}.values() if u.size))[0])
        )

    def gradients(self) -> dict[str, Any]:
        _, *gradients = self.function(*(to_device(v) for v in self.variables.values()))
        return {name: _host(g) for name, g in zip(self.variables, gradients)}


# ---- comparing ---------------------------------------------------------------------------------------------------


def _slope(problem: Any, name: str, at: np.ndarray, v: np.ndarray, h: float = H, **how: Any) -> float:
    """The central difference of L at `at` along v."""
    return (problem.value(name, at + h * v, **how) - problem.value(name, at - h * v, **how)) / (2 * h)


def _unit(shape: tuple[int, ...], i: int) -> np.ndarray:
    e = np.zeros(shape)
    e.flat[i] = 1
    return e


def _numeric(problem: Any, name: str, at: np.ndarray, chosen: np.ndarray, **how: Any) -> np.ndarray:
    """The numeric gradient at the chosen flat indices, in a vector."""
    return np.array([_slope(problem, name, at, _unit(at.shape, i), **how) for i in chosen])


def _relative(yours: Any, numeric: Any, noise: float) -> Any:
    """|yours - numeric| over the larger of the two; a difference that rounding explains counts as small."""
    return np.abs(yours - numeric) / (np.maximum(np.abs(yours), np.abs(numeric)) + noise / TOLERANCE + 1e-300)


def _compare(
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
        numeric = _numeric(problem, name, at, np.arange(at.size)) if at.size <= 10_000 else None
        row.diagnosis = _explain_shape(yours, at.shape, numeric)
        return row
    if not np.isfinite(yours).all():
        row.diagnosis = f"{int((~np.isfinite(yours)).sum())} of {yours.size} entries are NaN or infinite"
        return row

    numeric = _numeric(problem, name, at, chosen)
    error = _relative(yours.flat[chosen], numeric, noise)
    for k in np.flatnonzero(error > TOLERANCE):
        numeric[k] = _past_kink(problem, name, at, chosen[k], yours.flat[chosen[k]], numeric[k], noise)
    error = _relative(yours.flat[chosen], numeric, noise)

    directions = [v / np.linalg.norm(v) for v in rng.standard_normal((2, *at.shape))]
    if at.size > entries and not np.nanmax(error, initial=0) > TOLERANCE:
        for v in directions:  # nothing wrong among those looked at: random directions see all the others
            if _direction_wrong(problem, name, at, yours, v, noise):
                i = _locate(problem, name, at, yours, v)
                chosen, numeric = np.append(chosen, i), np.append(numeric, _numeric(problem, name, at, [i]))
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
        row.diagnosis = _explain(yours, chosen[sure], numeric[sure], name, at, problem)
    elif smooth and stays and not at_kinks:
        row.diagnosis = f"slightly wrong: the error does not fall with the step ({row.order} a decade, not x100)"
    return row


def _past_kink(problem: Any, name: str, at: np.ndarray, i: int, yours: float, numeric: float, noise: float) -> float:
    """A better value where a kink lies within the step; NaN at the kink itself, if `yours` is a subgradient."""
    e = _unit(at.shape, i)
    for h in (H / 10, H / 100):
        closer = _slope(problem, name, at, e, h)
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
        abs(claim - _slope(problem, name, at, v, h)) > 10 * TOLERANCE * max(scale, abs(claim)) + noise * H / h
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
            misses.append(abs(float((yours * u).sum()) - _slope(problem, name, at, u)))
        low, high = (low, middle) if misses[0] >= misses[1] else (middle, high)
    return low


def _fall(problem: Any, name: str, at: np.ndarray, yours: np.ndarray, v: np.ndarray) -> tuple[str, bool]:
    """The order test along v: by how much the error falls when the step falls tenfold, and whether it does not.

    A right gradient's error falls 100 times; a wrong one's stays. "exact": at the level of rounding from the first
    step on, as for a function without curvature. "kinks": it falls, but not smoothly.
    """
    steps = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
    claim = float((yours * v).sum())
    errors = np.array([abs(_slope(problem, name, at, v, h) - claim) for h in steps])
    floors = 10 * ROUNDING * problem.size / steps + 1e-300
    stays = errors[3] > floors[3] and errors[2:].min() > errors[3] / 3  # still there at a thousandth of the step
    falls = [errors[k] / max(errors[k + 1], floors[k + 1] / 10) for k in range(3) if errors[k] > floors[k]]
    if not falls:
        return "exact", False
    fall = falls[-1] if stays else min(falls, key=lambda fall: abs(np.log(fall / 100)))
    return (f"x{fall:.0f}" if stays or 30 < fall < 300 else "kinks"), bool(stays)


# ---- explaining --------------------------------------------------------------------------------------------------


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    scale = np.abs(b).max(initial=0)
    return bool(scale > 0 and np.abs(a - b).max() <= 1e-4 * scale)


def _explain(yours: np.ndarray, chosen: np.ndarray, n: np.ndarray, name: str, at: np.ndarray, problem: Any) -> str:
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
        if _close(a, _numeric(problem, name, at, chosen, train=not problem.train)):
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
                if _close(a, _numeric(problem, name, at, chosen, r=r)):
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
                diagonal = [_slope(problem, name, at, _unit(at.shape, i), r=_unit(at.shape, i)) for i in chosen]
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


def _explain_shape(yours: np.ndarray, shape: tuple[int, ...], numeric: np.ndarray | None) -> str:
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


def _explain_exception(error: Exception, N: int) -> str:
    """One sentence for what forward or backward raised, with a guess where a batch axis is left over."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if "non-broadcastable output operand" in text and f"({N}," in text.split("broadcast shape")[-1]:
        return f"missing sum over the batch: a gradient still has the batch axis ({text})"
    return f"it raised {text}"


# ---- the contract ------------------------------------------------------------------------------------------------


def _check_contract(found: dict[str, str], problem: _LayerProblem, rng: np.random.Generator) -> None:
    """What no single gradient shows: caches kept apart, gradients added up, inputs left alone, flags, dtype."""
    x1, x2, dy1, dy2 = problem.x, problem.x[::-1] * 0.9, problem.r, rng.standard_normal(problem.r.shape)

    def backward(layer, dy, cache, **flags):
        _zero(layer)
        dx = layer.backward(_device(dy), cache, **flags)
        return {"x": _host(dx), **{name: _host(g) for name, g in layer.grads.items()}}

    def forward(layer, x):
        return layer.forward(_device(x), problem.train)[1]

    def same(a, b):
        return all(_equal(a[name], b[name]) for name in a)

    layer = copy.deepcopy(problem.layer)  # each forward followed by its own backward
    alone = [backward(layer, dy1, forward(layer, x1)), backward(layer, dy2, forward(layer, x2))]
    for order in ((0, 1), (1, 0)):
        layer = copy.deepcopy(problem.layer)
        caches = [forward(layer, x1), forward(layer, x2)]
        got = {k: backward(layer, (dy1, dy2)[k], caches[k]) for k in order}
        if not all(same(got[k], alone[k]) for k in (0, 1)):
            right_last = same(got[1], alone[1])
            _note(
                found,
                "two caches kept apart",
                "only the last of several caches is right: the layer keeps activations on self, not in the cache"
                if right_last
                else "after two forwards, neither backward is right: the layer keeps the state of a call on self",
            )
    _note(found, "two caches kept apart")

    layer = problem.fresh()
    device_x, device_dy = _device(x1), _device(dy1)
    _zero(layer)
    _, cache = layer.forward(device_x, problem.train)
    first_dx = _host(layer.backward(device_dy, cache))
    once = {name: _host(g) for name, g in layer.grads.items()}
    second_dx = _host(layer.backward(device_dy, cache))
    untouched = _equal(to_host(device_x), x1) and _equal(to_host(device_dy), dy1) and _equal(first_dx, second_dx)
    _note(found, "x, dy and cache left alone", "" if untouched else "a call writes into its x, its dy or its cache")
    for name, g in layer.grads.items():
        if _equal(_host(g), once[name]) and np.abs(once[name]).max(initial=0) > 0:
            _note(found, "gradients add up", f"{name}'s gradient is overwritten by a second backward: use +=")
        elif not _equal(_host(g), 2 * once[name]):
            _note(
                found, "gradients add up", f"a second backward does not add to {name}'s gradient what the first did"
            )
    if layer.grads:
        _note(found, "gradients add up")

    flags = inspect.signature(layer.backward).parameters
    if "param_grads" in flags and "input_grad" in flags:
        layer = problem.fresh()
        cache = forward(layer, x1)
        through = backward(layer, dy1, cache, param_grads=False)
        only = backward(layer, dy1, cache, input_grad=False)
        if any(np.any(through[name]) for name in layer.grads):
            _note(found, "flags obeyed", "param_grads=False still changes the parameters' gradients")
        if not _equal(through["x"], first_dx):
            _note(found, "flags obeyed", "dx differs with param_grads=False")
        if only["x"] is not None:
            _note(found, "flags obeyed", "input_grad=False still returns a gradient")
        if not all(_equal(only[name], once[name]) for name in layer.grads):
            _note(found, "flags obeyed", "the parameters' gradients differ with input_grad=False")
        _note(found, "flags obeyed")

    layer = problem.single
    _zero(layer)
    y, cache = layer.forward(_device(x1, np.float32), problem.train)
    dx = layer.backward(_device(dy1, np.float32), cache)
    dtypes = [y.dtype, *([] if dx is None else [dx.dtype]), *(g.dtype for g in layer.grads.values())]
    _note(found, "float32 kept", "" if all(d == np.float32 for d in dtypes) else "float32 in gives another dtype out")


def _note(found: dict[str, str], name: str, message: str = "") -> None:
    """Keep the first complaint under this name, or a blank when there is none."""
    found[name] = found.get(name) or message


def _equal(a: Any, b: Any) -> bool:
    """Equal up to the rounding of another order of summation."""
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


# ---- small things ------------------------------------------------------------------------------------------------


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(isinstance(n, int) for n in x)


def _device(a: np.ndarray, dtype: Any = np.float64) -> Any:
    """A copy on the device, so that whoever writes into it does not write into ours."""
    return to_device(np.array(a, dtype))


def _host(g: Any) -> np.ndarray | None:
    return None if g is None else np.array(to_host(g))


def _draws(layer: Any) -> bool:
    """Does the layer, or one inside it, hold a random generator?"""
    own = any(hasattr(value, "standard_normal") for value in vars(layer).values())
    return own or any(_draws(inner) for inner in getattr(layer, "layers", []))


def _zero(layer: Any) -> None:
    for gradient in layer.grads.values():
        gradient[...] = 0


def _cast(layer: Any, dtype: Any) -> Any:
    """A copy of a layer, ours or a student's, that computes in this dtype."""
    if hasattr(layer, "astype"):
        return layer.astype(dtype)
    layer = copy.deepcopy(layer)
    for arrays in (layer.params, layer.grads):
        for name in arrays:
            arrays[name] = arrays[name].astype(dtype)
    return layer


def _stirred(layer: Any, rng: np.random.Generator) -> Any:
    """A float64 copy whose parameters are all random: a bias of 0 or a scale of 1 hides a missing term."""
    layer = _cast(layer, np.float64)
    for p in layer.params.values():
        size = 0.3 * float(np.std(to_host(p))) if p.ndim > 1 else 0.3  # weights by their own scale, vectors by 0.3
        p[...] = p + to_device(size * rng.standard_normal(p.shape))
    return layer


def _brief(layer: Any) -> str:
    text = repr(layer)
    return text if len(text) <= 70 and " object at " not in text else type(layer).__name__
