"""The fully connected layer: every output is a weighted sum of every input.

N samples, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.backend import Array, xp
from minigan.layers.base import Layer, Shape, ShapeError, batch_of
from minigan.layers.init import glorot
from minigan.layers.norm import column_sums


class Dense(Layer):
    """y = x W + b        x (N, I)   W (I, O)   b (O,)   y (N, O)

    `init(rng, shape)` draws W (`minigan.layers.init`: he, glorot, dcgan); b starts at zero.
    Raises ShapeError when x is not (N, I); put a Flatten before it where x has more axes.
    """

    def __init__(
        self, n_in: int, n_out: int, *, rng: Any, bias: bool = True, init: Callable[..., Array] = glorot
    ) -> None:
        super().__init__()
        if n_in < 1 or n_out < 1:
            raise ShapeError(f"Dense needs at least one input and one output, but got Dense({n_in}, {n_out}).")
        self.n_in, self.n_out = n_in, n_out
        self.add_param("W", init(rng, (n_in, n_out)))
        if bias:
            self.add_param("b", xp.zeros(n_out, dtype="float32"))

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        y = x @ self.params["W"]  # (N, I) (I, O) -> (N, O)
        if "b" in self.params:
            y += self.params["b"]
        return y, x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x = cache
        if param_grads:
            self.grads["W"] += x.T @ dy  # (I, N) (N, O) -> (I, O)
            if "b" in self.params:
                self.grads["b"] += column_sums(dy)  # (N, O) -> (O,)
        return dy @ self.params["W"].T if input_grad else None  # (N, O) (O, I) -> (N, I)

    def tangent(self, x_dot, cache):
        return x_dot @ self.params["W"], x_dot

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        x, x_dot, W = cache, tangent_cache, self.params["W"]
        self.grads["W"] += x_dot.T @ eta
        if y_bar is None:
            return None
        self.grads["W"] += x.T @ y_bar
        if "b" in self.params:
            self.grads["b"] += y_bar.sum(axis=0)  # b is in y, not in y_dot
        return y_bar @ W.T

    def output_shape(self, shape: Shape | None) -> Shape:
        if shape is not None and tuple(shape) != (self.n_in,):
            advice = "; put Flatten() before it" if len(shape) > 1 else ""
            raise ShapeError(f"{self!r} takes (N, {self.n_in}), not {batch_of(shape)}{advice}")
        return (self.n_out,)

    def __repr__(self) -> str:
        return f"Dense({self.n_in}, {self.n_out}{'' if 'b' in self.params else ', bias=False'})"
