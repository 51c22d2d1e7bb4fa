"""GANs for points in the plane, where every mode can be counted: the networks of PacGAN's synthetic experiments.

N samples, z (N, noise), points (N, 2). (Lin et al. 2018, section 4.1 and their code.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.layers import BatchNorm, Dense, GlobalMaxPool, LeakyReLU, MinibatchStd, Pack, ReLU, Reshape, he
from minigan.models.gan import GAN
from minigan.network import Sequential


def plane(rng: Any, width: int = 64, noise: int = 2) -> GAN:
    """Small enough to watch: G noise-width-width-2 with ReLU, D 2-width-width-1 with LeakyReLU(0.2)."""
    dense = {"rng": rng, "init": he}
    G = Sequential(
        Dense(noise, width, **dense), ReLU(), Dense(width, width, **dense), ReLU(), Dense(width, 2, **dense)
    )
    D = Sequential(
        *(Dense(2, width, **dense), LeakyReLU(), Dense(width, width, **dense), LeakyReLU(), Dense(width, 1, **dense))
    )
    return GAN("plane", G, D, noise, pixels=None)


def pacgan(
    rng: Any, pack: int = 1, minibatch_std: bool = False, noise: int = 2, init: Callable[..., Any] = he
) -> GAN:
    """G: four times 400 units without bias, batch norm, ReLU; D: three times maxout with 200 units of 5 pieces.

    pack: D judges so many samples at once. minibatch_std: D is told how much the batch varies.
    """
    dense = {"rng": rng, "init": init}
    sizes = [noise, 400, 400, 400, 400]
    hidden = [
        layer
        for n_in, n_out in zip(sizes, sizes[1:])
        for layer in (Dense(n_in, n_out, bias=False, **dense), BatchNorm(n_out, decay=0.95), ReLU())
    ]
    G = Sequential(*hidden, Dense(400, 2, **dense))
    see = [Pack(pack)] if pack > 1 else [MinibatchStd()] if minibatch_std else []
    n_in = 2 * pack + minibatch_std
    D = Sequential(
        *see,
        *maxout(n_in, 200, 5, **dense),
        *maxout(200, 200, 5, **dense),
        *maxout(200, 200, 5, **dense),
        Dense(200, 1, **dense),
    )
    return GAN("pacgan", G, D, noise, pixels=None)


def maxout(n_in: int, units: int, pieces: int, **dense: Any) -> tuple:
    """Each unit is the largest of several linear functions (Goodfellow et al. 2013)."""
    return (Dense(n_in, pieces * units, **dense), Reshape((pieces, units)), GlobalMaxPool())
