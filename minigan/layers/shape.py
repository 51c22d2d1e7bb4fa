"""Layers that move numbers and change none: Reshape and Flatten."""

from __future__ import annotations

import math

from minigan.layers.base import Rearranging, Shape, ShapeError, batch_of


class Reshape(Rearranging):
    """x (N, ...) -> y (N, *shape), the same numbers in the same (row-major) order

    Raises ShapeError when a sample of x does not hold as many numbers as `shape`.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(int(n) for n in ([shape] if isinstance(shape, int) else shape))
        if min(self.shape, default=1) < 1:
            raise ShapeError(f"Reshape takes the positive sizes of one sample, but got {self.shape}.")

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        return x.reshape(len(x), *self.shape), x.shape[1:]

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy.reshape(len(dy), *cache) if input_grad else None

    def output_shape(self, shape: Shape | None) -> Shape:
        if shape is not None and None not in shape and math.prod(shape) != math.prod(self.shape):
            raise ShapeError(
                f"{self!r} makes {math.prod(self.shape)} numbers a sample, "
                f"but {batch_of(shape)} has {math.prod(shape)}"
            )
        return self.shape

    def __repr__(self) -> str:
        return f"Reshape({self.shape})"


class Flatten(Rearranging):
    """x (N, ...) -> y (N, M), M the product of the other axes"""

    def forward(self, x, train=True):
        return x.reshape(len(x), -1), x.shape[1:]

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy.reshape(len(dy), *cache) if input_grad else None

    def output_shape(self, shape: Shape | None) -> Shape | None:
        return None if shape is None or None in shape else (math.prod(shape),)
