"""What training needs to know of a model: the two networks, their noise, and the pixels they speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigan.backend import Array
from minigan.layers import ShapeError
from minigan.layers.base import batch_of
from minigan.network import Network


@dataclass(frozen=True)
class GAN:
    """A generator and a discriminator that fit each other.

    noise: the length of z, drawn from N(0, I).  pixels: the least and the largest value that data are scaled to.
    Raises ShapeError when D does not take what G draws.
    """

    name: str
    G: Network
    D: Network
    noise: int
    pixels: tuple[float, float]

    def __post_init__(self) -> None:
        drawn = self.G.output_shape((self.noise,))
        try:
            self.D.output_shape(drawn)
        except ShapeError as error:
            raise ShapeError(f"G and D do not meet: G draws {batch_of(drawn)}, but in D {error}") from None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one sample that G draws."""
        return self.G.output_shape((self.noise,))

    def draw_noise(self, rng: Any, n: int) -> Array:
        """z (n, noise) from N(0, I), float32, drawn on the device."""
        return rng.standard_normal((n, self.noise), dtype="float32")
