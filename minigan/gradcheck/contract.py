"""What no single gradient shows: caches kept apart, gradients added up, inputs left alone, flags, dtype."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from minigan.backend import to_host
from minigan.gradcheck.problems import LayerProblem, device_copy, host_copy, zero


def check_contract(found: dict[str, str], problem: LayerProblem, rng: np.random.Generator) -> None:
    """What no single gradient shows: caches kept apart, gradients added up, inputs left alone, flags, dtype."""
    x1, x2, dy1, dy2 = problem.x, problem.x[::-1] * 0.9, problem.r, rng.standard_normal(problem.r.shape)

    def backward(layer, dy, cache, **flags):
        zero(layer)
        dx = layer.backward(device_copy(dy), cache, **flags)
        return {"x": host_copy(dx), **{name: host_copy(g) for name, g in layer.grads.items()}}

    def forward(layer, x):
        return layer.forward(device_copy(x), problem.train)[1]

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
    device_x, device_dy = device_copy(x1), device_copy(dy1)
    zero(layer)
    _, cache = layer.forward(device_x, problem.train)
    first_dx = host_copy(layer.backward(device_dy, cache))
    once = {name: host_copy(g) for name, g in layer.grads.items()}
    second_dx = host_copy(layer.backward(device_dy, cache))
    untouched = _equal(to_host(device_x), x1) and _equal(to_host(device_dy), dy1) and _equal(first_dx, second_dx)
    _note(found, "x, dy and cache left alone", "" if untouched else "a call writes into its x, its dy or its cache")
    for name, g in layer.grads.items():
        if _equal(host_copy(g), once[name]) and np.abs(once[name]).max(initial=0) > 0:
            _note(found, "gradients add up", f"{name}'s gradient is overwritten by a second backward: use +=")
        elif not _equal(host_copy(g), 2 * once[name]):
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
    zero(layer)
    y, cache = layer.forward(device_copy(x1, np.float32), problem.train)
    dx = layer.backward(device_copy(dy1, np.float32), cache)
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
