"""Layers that draw at random in training, and let everything pass in inference: dropout and noise."""

from __future__ import annotations

from typing import Any

from minigan.layers.base import Diagonal, Rearranging


class Dropout(Diagonal):
    """train: y = x m, m = 0 with probability p, else 1 / (1 - p); dx = dy m        inference: y = x        any shape

    The mean stays what it was, so inference needs no correction (inverted dropout; Srivastava et al. 2014, section
    10). p is the probability to DROP a number, as in PyTorch. Raises ValueError unless 0 <= p < 1.
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


class Noise(Rearranging):
    """train: y = x + sd e, e from N(0, I); dx = dy        inference: y = x        any shape

    As D's first layer it is instance noise: real and fake overlap, and D has something to say everywhere. Lower `sd`
    while training goes on. Raises ValueError for a negative sd. (Sonderby et al. 2017; Arjovsky and Bottou 2017.)
    """

    def __init__(self, sd: float, *, rng: Any) -> None:
        super().__init__()
        if not sd >= 0:
            raise ValueError(f"Noise has a standard deviation of at least 0, but got {sd}.")
        self.sd, self.rng = sd, rng

    def forward(self, x, train=True):
        if not train:
            return x, None
        return x + (self.rng.standard_normal(x.shape, dtype="float32") * self.sd).astype(x.dtype), None

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy if input_grad else None

    def tangent(self, x_dot, cache):
        return x_dot, None

    def __repr__(self) -> str:
        return f"Noise({self.sd})"
