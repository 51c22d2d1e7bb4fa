"""DCGAN: the generator unfolds z with transposed convolutions, the discriminator folds images with strided ones.

N samples, z (N, noise), images (N, H, W, C). Weights start as N(0, 0.02^2). What comes before a batch norm has no
bias, as the norm would take it away again. (Radford, Metz and Chintala 2016.)
"""

from __future__ import annotations

from typing import Any

from minigan.layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    ShapeError,
    Tanh,
)
from minigan.layers import dcgan as normal
from minigan.models.gan import GAN
from minigan.network import Sequential


def dcgan(
    rng: Any,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    noise: int = 100,
    width: int = 64,
    kernel: int | None = None,
) -> GAN:
    """Convolutions: 28x28 from 7x7 with 5x5 kernels; 32x32, 64x64, 128x128 from 4x4 with 4x4 kernels.

    The paper's 64x64 network is width=128, kernel=5.
    width: channels next to the image; there are twice as many with each halving. Pixels in [-1, 1].
    Raises ShapeError for images of other sizes.
    """
    height, across, channels = image_shape
    size = 28 if height == 28 else next((s for s in (32, 64, 128) if s == height), None)
    if size is None or across != height:
        raise ShapeError(f"dcgan draws 28x28, 32x32, 64x64 or 128x128 images, not {height}x{across}.")
    if size == 28:
        G, D = _digits(rng, channels, noise, width, kernel or 5)
    else:
        G, D = _pictures(rng, size, channels, noise, width, kernel or 4)
    return GAN("dcgan", G, D, noise, pixels=(-1.0, 1.0))


def _digits(rng: Any, channels: int, noise: int, width: int, kernel: int) -> tuple[Sequential, Sequential]:
    k, w = (kernel, kernel), width
    conv = {"rng": rng, "init": normal}
    G = Sequential(
        Dense(noise, 7 * 7 * 4 * w, bias=False, **conv),
        Reshape((7, 7, 4 * w)),
        *(BatchNorm(4 * w), ReLU()),
        *(ConvTranspose(4 * w, 2 * w, k, 2, bias=False, **conv), BatchNorm(2 * w), ReLU()),  # 14 x 14
        *(ConvTranspose(2 * w, w, k, 2, bias=False, **conv), BatchNorm(w), ReLU()),  # 28 x 28
        *(ConvTranspose(w, channels, k, **conv), Tanh()),
    )
    D = Sequential(
        *(Conv(channels, w, k, 2, **conv), LeakyReLU()),  # 14 x 14; no batch norm where D first meets the pixels
        *(Conv(w, 2 * w, k, 2, bias=False, **conv), BatchNorm(2 * w), LeakyReLU()),  # 7 x 7
        *(Flatten(), Dense(7 * 7 * 2 * w, 1, **conv)),
    )
    return G, D


def _pictures(
    rng: Any, size: int, channels: int, noise: int, width: int, kernel: int
) -> tuple[Sequential, Sequential]:
    k, conv = (kernel, kernel), {"rng": rng, "init": normal}
    halvings = (size // 4).bit_length() - 1  # 64 -> 32 -> 16 -> 8 -> 4: four
    widths = [width * 2**i for i in range(halvings)]  # of the layers at size / 2, size / 4, ...: 64, 128, 256, 512
    top = widths[-1]
    up: list[Layer] = [Dense(noise, 4 * 4 * top, bias=False, **conv), Reshape((4, 4, top)), BatchNorm(top), ReLU()]
    for wide, narrow in zip(widths[::-1], widths[-2::-1]):
        up += [ConvTranspose(wide, narrow, k, 2, bias=False, **conv), BatchNorm(narrow), ReLU()]
    up += [ConvTranspose(width, channels, k, 2, **conv), Tanh()]
    down: list[Layer] = [Conv(channels, width, k, 2, **conv), LeakyReLU()]
    for narrow, wide in zip(widths, widths[1:]):
        down += [Conv(narrow, wide, k, 2, bias=False, **conv), BatchNorm(wide), LeakyReLU()]
    return Sequential(*up), Sequential(*down, Flatten(), Dense(4 * 4 * top, 1, **conv))
