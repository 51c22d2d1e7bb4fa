"""GANs from dense layers alone: the three that tutorials show first, each by name.

N samples, z (N, noise), images (N, H, W, C).
"""

from __future__ import annotations

import math
from typing import Any

from minigan.layers import Dense, Flatten, LeakyReLU, ReLU, Reshape, Sigmoid, Tanh, he
from minigan.layers.base import Layer
from minigan.models.gan import GAN
from minigan.network import Sequential

DIGIT = (28, 28, 1)


def mlp(rng: Any, image_shape: tuple[int, int, int] = DIGIT, noise: int = 100) -> GAN:
    """G noise-256-512-1024-pixels, ReLU and tanh; D pixels-1024-512-256-1, LeakyReLU(0.2). Pixels in [-1, 1]."""
    pixels = math.prod(image_shape)
    G = Sequential(*chain([noise, 256, 512, 1024, pixels], ReLU, rng), Tanh(), Reshape(image_shape))
    D = Sequential(Flatten(), *chain([pixels, 1024, 512, 256, 1], LeakyReLU, rng))
    return GAN("mlp", G, D, noise, pixels=(-1.0, 1.0))


def mlp_linear(rng: Any, image_shape: tuple[int, int, int] = DIGIT, noise: int = 100) -> GAN:
    """G and D with two hidden layers of 128; G ends linear, so it must learn the range of the pixels, [-1, 1]."""
    pixels = math.prod(image_shape)
    G = Sequential(*chain([noise, 128, 128, pixels], ReLU, rng), Reshape(image_shape))
    D = Sequential(Flatten(), *chain([pixels, 128, 128, 1], LeakyReLU, rng))
    return GAN("mlp-linear", G, D, noise, pixels=(-1.0, 1.0))


def mlp_sigmoid(rng: Any, image_shape: tuple[int, int, int] = DIGIT, noise: int = 100) -> GAN:
    """G and D with two hidden layers of 128; G ends in a sigmoid, for pixels in [0, 1]."""
    pixels = math.prod(image_shape)
    G = Sequential(*chain([noise, 128, 128, pixels], ReLU, rng), Sigmoid(), Reshape(image_shape))
    D = Sequential(Flatten(), *chain([pixels, 128, 128, 1], LeakyReLU, rng))
    return GAN("mlp-sigmoid", G, D, noise, pixels=(0.0, 1.0))


def chain(sizes: list[int], activation: type[Layer], rng: Any) -> list[Layer]:
    """Dense layers through these sizes with the activation between them, and none after the last."""
    layers: list[Layer] = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        layers += [Dense(n_in, n_out, rng=rng, init=he), activation()]
    return layers[:-1]
