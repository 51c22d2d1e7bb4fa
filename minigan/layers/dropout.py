"""Dropout: in training each number is set to zero with probability p, and the others grow by 1 / (1 - p).

The mean stays what it was, so inference needs no correction (inverted dropout; Srivastava et al. 2014, section 10).
"""

from __future__ import annotations

from typing import Any

from minigan.layers.base import Diagonal


class Dropout(Diagonal):
    """train: y = x m, m = 0 with probability p, else 1 / (1 - p); dx = dy m        inference: y = x        any shape

    p is the probability to DROP a number, as in PyTorch. Raises ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float, *, rng: Any) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout's p is the probability to drop a number, in [0, 1), but got {p}.")
        self.p, self.rng = p, rng

    def forward(self, x, train=True):
        if not train:
            return x, None
        m = (self.rng.random(x.shape, dtype="float32") >= self.p).astype(x.dtype)
        m *= 1 / (1 - self.p)
        return x * m, m

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        m = cache
        if not input_grad:
            return None
        return dy if m is None else dy * m

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
