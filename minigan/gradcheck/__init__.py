"""Is this backward pass right, and if not, what is wrong with it?

A backward pass claims that d<y, r>/dv = v's gradient, for every variable v (the input x and each parameter) and a
random upstream gradient r. Here the claim is held against central differences, (L(v + h) - L(v - h)) / 2h, in
float64. Where it fails, the usual mistakes are tried against the same numbers, and the one that fits is named.

L: the scalar <y, r>.  N: samples in the batch.  "yours": the gradient under test.  "numeric": the difference.
The files, in the order of reading: problems (what is differentiated), compare, diagnosis, contract, report.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from minigan.backend import to_device, to_host
from minigan.gradcheck.compare import compare
from minigan.gradcheck.contract import check_contract
from minigan.gradcheck.diagnosis import explain_exception
from minigan.gradcheck.problems import LayerProblem, LossProblem, brief, is_shape, stirred
from minigan.gradcheck.report import GradientError, Report, Row

__all__ = ["GradientError", "Report", "Row", "check_layer", "check_loss", "check_network", "draw"]


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
    x = draw(rng, x) if is_shape(x) else np.array(to_host(x), dtype=np.float64)
    report = Report(f"{brief(layer)}, x {x.shape}, float64")
    layer = stirred(layer, rng)
    outputs = []
    for mode in (True, False) if train is None else (train,):
        name = "training" if mode else "inference"
        try:
            problem = LayerProblem(layer, x, mode, rng)
            outputs.append(problem.y)
            gradients = problem.gradients()
        except Exception as error:
            report.rows.append(Row("all", name, diagnosis=explain_exception(error, len(x))))
            return report
        for variable, at in problem.variables.items():
            report.rows.append(compare(variable, name, gradients.get(variable), at, problem, rng, entries, smooth))
        check_contract(report.contract, problem, rng)
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
        start = draw(np.random.default_rng(0), x) if is_shape(x) else to_host(x)
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
        variables = {k: draw(rng, v) * 2 if is_shape(v) else np.array(v, np.float64) for k, v in given.items()}
        try:
            problem = LossProblem(function, variables)
            gradients = problem.gradients()
            extreme = function(*(to_device(1000 * np.sign(v).astype(np.float32)) for v in variables.values()))
        except Exception as error:
            report.rows.append(Row("all", mode, diagnosis=explain_exception(error, 0)))
            continue
        for name, at in variables.items():
            report.rows.append(compare(name, mode, gradients.get(name), at, problem, rng, entries, True))
        finite = all(np.isfinite(to_host(v)).all() for v in extreme)
        report.contract[f"{mode} finite at +-1000"] = "" if finite else "overflows; use the stable form of softplus"
        kept = all(v.dtype == np.float32 for v in extreme)
        report.contract[f"{mode} keeps float32"] = "" if kept else "float32 logits give another dtype"
    return report


def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of either sign between 0.1 and 1.1 in size: random, and away from the kink at zero. float64."""
    return rng.choice([-1.0, 1.0], size=shape) * (0.1 + rng.random(shape))
