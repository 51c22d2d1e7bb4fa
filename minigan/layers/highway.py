"""Highway: a layer that learns, for each feature, how much of x to change and how much to let through.

N samples, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.backend import Array, xp
from minigan.layers.activations import sigmoid
from minigan.layers.base import Layer, Shape, ShapeError, batch_of
from minigan.layers.init import glorot


class Highway(Layer):
    """y = t r + (1 - t) x        x, y (N, F)   Wh, Wt (F, F)   bh, bt (F,)

        r = relu(x Wh + bh)                     what x becomes
        t = sigmoid(x Wt + bt)                  how much of it

        dt = dy (r - x)                         da_t = dt t (1 - t)
        dr = dy t                               da_h = dr where r > 0, else 0
        dx = dy (1 - t) + da_h Wh^T + da_t Wt^T

    bh starts at zero and bt at `gate_bias`: the further below zero, the more of x passes unchanged at first.
    `init(rng, shape)` draws Wh and Wt. Raises ShapeError when x is not (N, F). (Srivastava et al. 2015.)
    """

    def __init__(
        self, features: int, *, rng: Any, gate_bias: float = 0.0, init: Callable[..., Array] = glorot
    ) -> None:
        super().__init__()
        if features < 1:
            raise ShapeError(f"Highway needs at least one feature, but got Highway({features}).")
        self.features = features
        for name, bias in (("h", 0.0), ("t", gate_bias)):
            self.add_param(f"W{name}", init(rng, (features, features)))
            self.add_param(f"b{name}", xp.full(features, bias, dtype="float32"))

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        p = self.params
        r = xp.maximum(x @ p["Wh"] + p["bh"], 0)
        t = sigmoid(x @ p["Wt"] + p["bt"])
        return x + t * (r - x), (x, r, t)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x, r, t = cache
        da_h = dy * t * (r > 0)
        da_t = dy * (r - x) * t * (1 - t)
        if param_grads:
            for name, da in (("h", da_h), ("t", da_t)):
                self.grads[f"W{name}"] += x.T @ da  # (F, N) (N, F) -> (F, F)
                self.grads[f"b{name}"] += da.sum(axis=0)
        if not input_grad:
            return None
        return dy * (1 - t) + da_h @ self.params["Wh"].T + da_t @ self.params["Wt"].T

    def output_shape(self, shape: Shape | None) -> Shape:
        if shape is not None and tuple(shape) != (self.features,):
            raise ShapeError(f"{self!r} takes (N, {self.features}), not {batch_of(shape)}")
        return (self.features,)

    def __repr__(self) -> str:
        return f"Highway({self.features})"
