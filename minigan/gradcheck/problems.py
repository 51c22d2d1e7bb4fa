"""What is differentiated: L as a function of one variable at a time, and its slopes by central differences.

A problem has `variables` (name -> float64 array on the host), `value(name, v)`, `gradients()` (those under test)
and `size`, the scale of L that rounding is relative to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.backend import to_device, to_host

H = 1e-5  # the step: cutting off the series costs H^2 = 1e-10, rounding 1e-16 / H = 1e-11


class LayerProblem:
    """L = <forward(x), r> as a function of one variable at a time; forward is repeatable, dropout included."""

    def __init__(self, layer: Any, x: np.ndarray, train: bool, rng: np.random.Generator) -> None:
        self.layer, self.x, self.train = layer, x, train
        self.single = cast(layer, np.float32)
        if not train:  # running statistics away from their first values, where they would hide a missing term
            layer.forward(device_copy(x + 0.5), True)
            self.single.forward(device_copy(x + 0.5, np.float32), True)
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
        return host_copy(self.fresh().forward(device_copy(self.x), self.train)[0])

    def value(self, name: str, v: np.ndarray, r: np.ndarray | None = None, train: bool | None = None) -> float:
        r, mode = self.r if r is None else r, self.train if train is None else train
        # the other mode may leave marks, as training does on running statistics
        layer = self.fresh() if mode == self.train else copy.deepcopy(self.layer)
        if name == "x":
            y = layer.forward(device_copy(v), mode)[0]
        else:
            layer.params[name][...] = to_device(v)
            y = layer.forward(device_copy(self.x), mode)[0]
            layer.params[name][...] = to_device(self.variables[name])
        return float((to_host(y) * r).sum())

    def gradients(self) -> dict[str, Any]:
        """The gradients under test, by variable."""
        layer = self.fresh()
        zero(layer)
        _, cache = layer.forward(device_copy(self.x), self.train)
        dx = layer.backward(device_copy(self.r), cache)
        return {"x": host_copy(dx), **{name: host_copy(g) for name, g in layer.grads.items()}}


class LossProblem:
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
        return {name: host_copy(g) for name, g in zip(self.variables, gradients)}


def slope(problem: Any, name: str, at: np.ndarray, v: np.ndarray, h: float = H, **how: Any) -> float:
    """The central difference of L at `at` along v."""
    return (problem.value(name, at + h * v, **how) - problem.value(name, at - h * v, **how)) / (2 * h)


def unit(shape: tuple[int, ...], i: int) -> np.ndarray:
    e = np.zeros(shape)
    e.flat[i] = 1
    return e


def numeric_gradient(problem: Any, name: str, at: np.ndarray, chosen: np.ndarray, **how: Any) -> np.ndarray:
    """The numeric gradient at the chosen flat indices, in a vector."""
    return np.array([slope(problem, name, at, unit(at.shape, i), **how) for i in chosen])


def is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(isinstance(n, int) for n in x)


def device_copy(a: np.ndarray, dtype: Any = np.float64) -> Any:
    """A copy on the device, so that whoever writes into it does not write into ours."""
    return to_device(np.array(a, dtype))


def host_copy(g: Any) -> np.ndarray | None:
    return None if g is None else np.array(to_host(g))


def _draws(layer: Any) -> bool:
    """Does the layer, or one inside it, hold a random generator?"""
    own = any(hasattr(value, "standard_normal") for value in vars(layer).values())
    return own or any(_draws(inner) for inner in getattr(layer, "layers", []))


def zero(layer: Any) -> None:
    for gradient in layer.grads.values():
        gradient[...] = 0


def cast(layer: Any, dtype: Any) -> Any:
    """A copy of a layer, ours or a student's, that computes in this dtype."""
    if hasattr(layer, "astype"):
        return layer.astype(dtype)
    layer = copy.deepcopy(layer)
    for arrays in (layer.params, layer.grads):
        for name in arrays:
            arrays[name] = arrays[name].astype(dtype)
    return layer


def stirred(layer: Any, rng: np.random.Generator) -> Any:
    """A float64 copy whose parameters are all random: a bias of 0 or a scale of 1 hides a missing term."""
    layer = cast(layer, np.float64)
    for p in layer.params.values():
        size = 0.3 * float(np.std(to_host(p))) if p.ndim > 1 else 0.3  # weights by their own scale, vectors by 0.3
        p[...] = p + to_device(size * rng.standard_normal(p.shape))
    return layer


def brief(layer: Any) -> str:
    text = repr(layer)
    return text if len(text) <= 70 and " object at " not in text else type(layer).__name__
