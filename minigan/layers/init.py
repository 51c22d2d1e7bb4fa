"""Initial weights, under their names from the literature.

Weights are (..., n_in, n_out): the fans are n_in and n_out times the number of positions a kernel covers.
All are float32 and drawn where the backend computes.
"""

from __future__ import annotations

import math
from typing import Any

from minigan.backend import Array


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    positions = math.prod(shape[:-2])
    return positions * shape[-2], positions * shape[-1]


def he(rng: Any, shape: tuple[int, ...]) -> Array:
    """N(0, 2 / fan_in): keeps the variance through layers with ReLU (He et al. 2015, eq. 10)."""
    fan_in, _ = _fans(shape)
    return rng.standard_normal(shape, dtype="float32") * math.sqrt(2 / fan_in)


def glorot(rng: Any, shape: tuple[int, ...]) -> Array:
    """U(-a, a), a = sqrt(6 / (fan_in + fan_out)): for tanh and sigmoid (Glorot and Bengio 2010, eq. 16)."""
    fan_in, fan_out = _fans(shape)
    return (2 * rng.random(shape, dtype="float32") - 1) * math.sqrt(6 / (fan_in + fan_out))


def dcgan(rng: Any, shape: tuple[int, ...]) -> Array:
    """N(0, 0.02^2), whatever the fans (Radford et al. 2016, section 4)."""
    return rng.standard_normal(shape, dtype="float32") * 0.02
