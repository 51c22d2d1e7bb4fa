"""What training needs to know of a model: the two networks, their noise, and the pixels they speak of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.backend import Array, to_device, to_host
from minigan.layers import ShapeError
from minigan.layers.base import batch_of
from minigan.network import Network


@dataclass(frozen=True)
class GAN:
    """A generator and a discriminator that fit each other.

    noise: the length of z, drawn from N(0, I).  pixels: the least and the largest value that data are scaled to.
    D is None where only samples are to be drawn. Raises ShapeError when D does not take what G draws.
    """

    name: str
    G: Network
    D: Network | None
    noise: int
    pixels: tuple[float, float] | None

    def __post_init__(self) -> None:
        drawn = self.G.output_shape((self.noise,))
        if self.D is None:
            return
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

    def draw_walks(self, rng: Any, walks: int, n: int) -> Array:
        """n points of z on the way from one drawn z to another, for each walk: (walks n, noise)."""
        ends = to_host(GAN.draw_noise(self, rng, 2 * walks)).reshape(2, walks, -1)
        return to_device(walk(*ends, n).reshape(walks * n, -1))


def walk(start: np.ndarray, end: np.ndarray, n: int) -> np.ndarray:
    """n points from each start to each end along a great circle, (K, Z), (K, Z) -> (K, n, Z).

    In many dimensions N(0, I) lies near a sphere; a straight line would pass through its empty middle
    (White 2016). The length runs evenly from the one's to the other's.
    """
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (start, end)]
    a, b = start / lengths[0], end / lengths[1]
    t = np.linspace(0, 1, n, dtype=start.dtype)[None, :, None]  # (1, n, 1)
    angle = np.arccos(np.clip((a * b).sum(-1), -1, 1))[:, None, None]  # (K, 1, 1)
    a, b = a[:, None], b[:, None]
    near = np.sin(angle) < 1e-6
    arc = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.where(near, 1, np.sin(angle))
    direction = np.where(near, (1 - t) * a + t * b, arc)
    return direction * ((1 - t) * lengths[0][:, None] + t * lengths[1][:, None])
