"""Embedding: a vector for each entry of a vocabulary, words or labels; backward adds up what came to each.

N samples, V entries, E features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import Array, to_device, xp
from minigan.layers.base import Layer, Shape


class Embedding(Layer):
    """y = W[ids]        ids (N, ...) integers in [0, V)   W (V, E)   y (N, ..., E)

    dW: each row gets the sum of the dy of all places where its id stood. There is no dx: ids have no neighbours.
    Ids given as NumPy arrays are checked before the device sees them: raises IndexError outside [0, V), TypeError
    for other than integers. W starts as N(0, 1).
    """

    def __init__(self, vocabulary: int, features: int, *, rng: Any) -> None:
        super().__init__()
        if vocabulary < 1 or features < 1:
            raise ValueError(f"Embedding takes at least one entry and feature, but got {vocabulary} and {features}.")
        self.vocabulary, self.features = vocabulary, features
        self.add_param("W", rng.standard_normal((vocabulary, features), dtype="float32"))

    def forward(self, x, train=True):
        ids = to_device(checked(x, self.vocabulary)) if isinstance(x, np.ndarray) else x
        return xp.take(self.params["W"], ids, axis=0), ids

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        ids = cache
        if param_grads:
            xp.add.at(self.grads["W"], ids, dy)  # += would keep one of several equal ids
        return None

    def output_shape(self, shape: Shape | None) -> Shape | None:
        return None if shape is None else (*shape, self.features)

    def __repr__(self) -> str:
        return f"Embedding({self.vocabulary}, {self.features})"


def checked(ids: Array, vocabulary: int) -> Array:
    """The ids, if all of them lie in [0, vocabulary)."""
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f"Ids are integers, but got {ids.dtype}.")
    if ids.size and not 0 <= (low := ids.min()) <= (high := ids.max()) < vocabulary:
        bad = low if low < 0 else high
        raise IndexError(f"Id {bad} lies outside the vocabulary of {vocabulary}: ids run from 0 to {vocabulary - 1}.")
    return ids
