"""Toy distributions in one or two dimensions whose density is known, so that a GAN can be marked against the truth.

A mixture of Gaussians (`ring`, `grid`, `mixture_1d`) has a density in closed form. Points spread along a curve with
Gaussian noise (`swiss_roll`, `two_moons`) have an integral over the curve, which a fine quadrature turns into a
mixture of very many Gaussians: one function, `_log_mixture`, serves both.

n points, d dimensions, K components. Samples are float32 (n, d) host arrays; densities are float64 (n,).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Mixture:
    """sum_k weights_k Normal(means_k, sd_k^2 I)        means (K, d)   sd a number or (K,)   weights (K,), sum 1"""

    means: np.ndarray
    sd: float | np.ndarray
    weights: np.ndarray

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent points, float32 (n, d)."""
        k = rng.choice(len(self.means), size=n, p=self.weights)
        sd = np.broadcast_to(self.sd, len(self.means))[k, None]  # (n, 1)
        return (self.means[k] + sd * rng.standard_normal((n, self.dim))).astype(np.float32)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """log p(x), float64 (n,), of points x (n, d); exact. Raises ValueError if x has another shape."""
        return _log_mixture(x, self.means, self.sd, self.weights)

    def density(self, x: np.ndarray) -> np.ndarray:
        """p(x), float64 (n,), of points x (n, d), per unit length or area."""
        return np.exp(self.log_density(x))


@dataclass(frozen=True, eq=False)
class Curve:
    """curve(t) + Normal(0, sd^2 I)   with t uniform on [low, high)        curve: t (n,) -> points (n, 2)

    `speed` is the largest |d curve / dt|; a jump of the curve is allowed in the middle of the interval only.
    """

    curve: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    speed: float
    sd: float
    dim: int = 2

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent points, float32 (n, 2)."""
        points = self.curve(rng.uniform(self.low, self.high, n))
        return (points + self.sd * rng.standard_normal((n, 2))).astype(np.float32)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """log p(x), float64 (n,), of points x (n, 2). Raises ValueError if x has another shape.

        The quadrature's relative error is below 1e-9 within 8 sd of the curve, where all but 1e-14 of the mass is.
        """
        nodes, weights = self._quadrature
        return _log_mixture(x, nodes, self.sd, weights)

    def density(self, x: np.ndarray) -> np.ndarray:
        """p(x), float64 (n,), of points x (n, 2), per unit area."""
        return np.exp(self.log_density(x))

    @cached_property
    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points on the curve (K, 2) and weights (K,) with p(x) = sum_k weights_k Normal(x; points_k, sd^2 I).

        Gauss-Legendre with 16 nodes on each of many equal panels, none of them longer than four sd on the curve.
        """
        length = self.speed * (self.high - self.low)
        panels = 2 * int(np.ceil(length / (8 * self.sd)))  # an even number, so that a jump falls between two
        edges = np.linspace(self.low, self.high, panels + 1)
        node, weight = np.polynomial.legendre.leggauss(16)  # on [-1, 1], where the weights sum to 2
        t = (edges[:-1, None] + edges[1:, None] + np.diff(edges)[:, None] * node) / 2  # (panels, 16)
        return self.curve(t.ravel()), np.tile(weight / (2 * panels), panels)


def ring(modes: int = 8, radius: float = 1.0, sd: float = 0.01) -> Mixture:
    """Equal Gaussians evenly on a circle, mean k at angle 2 pi k / K: the "2D-ring" of PacGAN (Lin et al. 2018).

    Raises ValueError if modes < 1, or if radius or sd is not positive.
    """
    _check_count("modes", modes)
    _check_positive("radius", radius)
    angle = 2 * np.pi * np.arange(modes) / modes
    return _equal_mixture(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), sd)


def grid(side: int = 5, spacing: float = 2.0, sd: float = 0.05) -> Mixture:
    """side x side equal Gaussians centred on 0, {-4, -2, 0, 2, 4}^2: the "2D-grid" of PacGAN (Lin et al. 2018).

    Raises ValueError if side < 1, or if spacing or sd is not positive.
    """
    _check_count("side", side)
    _check_positive("spacing", spacing)
    at = spacing * (np.arange(side) - (side - 1) / 2)
    return _equal_mixture(np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(side * side, 2), sd)


def mixture_1d(
    means: Sequence[float], sds: float | Sequence[float], weights: Sequence[float] | None = None
) -> Mixture:
    """Gaussians on a line, points (n, 1): K means, one sd for all or K of them, and K weights (equal if not given).

    Raises ValueError if the lengths differ, an sd or a weight is not positive, or the weights do not sum to 1.
    """
    centres = np.asarray(means, dtype=np.float64)
    if centres.ndim != 1 or not len(centres) or not np.isfinite(centres).all():
        raise ValueError(f"means must be a non-empty list of finite numbers, but it is {means!r}.")
    sd = np.asarray(sds, dtype=np.float64)
    share = np.full(len(centres), 1 / len(centres)) if weights is None else np.asarray(weights, dtype=np.float64)
    if sd.shape not in ((), centres.shape) or share.shape != centres.shape:
        raise ValueError(f"There are {len(centres)} means, so give as many sds (or one) and as many weights.")
    _check_positive("sds", sd)
    _check_positive("weights", share)
    if abs(share.sum() - 1) > 1e-6:
        raise ValueError(f"weights must sum to 1, but they sum to {share.sum():g}.")
    return Mixture(centres[:, None], sd if sd.ndim else float(sd), share / share.sum())


def swiss_roll(sd: float = 0.25 / 7.5) -> Curve:
    """The spiral (t cos t, t sin t) / 7.5, t uniform on [1.5 pi, 4.5 pi): the Swiss roll of WGAN-GP's toy pictures.

    Scaled as in the code of Gulrajani et al. 2017 (scikit-learn's roll from the side, noise 0.25, all over 7.5), it
    reaches to about 2. Raises ValueError if sd is below 0.0001.
    """
    _check_noise(sd)
    low, high = 1.5 * np.pi, 4.5 * np.pi
    return Curve(_spiral, low, high, np.hypot(1, high) / 7.5, sd)


def two_moons(sd: float = 0.1) -> Curve:
    """Two interleaved half circles of radius 1 and equal mass, as in scikit-learn's make_moons.

    The upper is centred on (0, 0), the lower on (1, 0.5). Raises ValueError if sd is below 0.0001.
    """
    _check_noise(sd)
    return Curve(_moons, 0.0, 2 * np.pi, 1.0, sd)


def _spiral(t: np.ndarray) -> np.ndarray:
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 7.5


def _moons(t: np.ndarray) -> np.ndarray:
    """The upper moon for t in [0, pi), the lower for t in [pi, 2 pi): once round the circle, its lower half moved."""
    lower = (t >= np.pi)[:, None]  # (n, 1)
    return np.stack([np.cos(t), np.sin(t)], axis=1) + lower * [1.0, 0.5]


def _equal_mixture(means: np.ndarray, sd: float) -> Mixture:
    _check_positive("sd", sd)
    return Mixture(means, float(sd), np.full(len(means), 1 / len(means)))


def _log_mixture(x: np.ndarray, means: np.ndarray, sd: float | np.ndarray, weights: np.ndarray) -> np.ndarray:
    """log sum_k weights_k Normal(x; means_k, sd_k^2 I), (n,), by a log-sum-exp that no far-off point underflows."""
    x = np.asarray(x, dtype=np.float64)
    K, d = means.shape
    if x.ndim != 2 or x.shape[1] != d:
        raise ValueError(f"Points must be an array (n, {d}), but this one has shape {x.shape}.")
    log_height = np.log(weights) - d * np.log(np.sqrt(2 * np.pi) * sd)  # (K,)
    result = np.empty(len(x))
    rows = max(1, 2_000_000 // K)  # some 16 MB at a time
    for start in range(0, len(x), rows):
        block = x[start : start + rows]  # (m, d)
        with np.errstate(over="ignore", divide="ignore"):  # at infinity the log-density is -inf, as it should be
            squares = sum((block[:, j, None] - means[:, j]) ** 2 for j in range(d))  # (m, K)
            terms = log_height - squares / (2 * np.square(sd))
            top = terms.max(axis=1, keepdims=True)
            top[np.isinf(top)] = 0
            result[start : start + rows] = np.log(np.exp(terms - top).sum(axis=1)) + top[:, 0]
    return result


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but it is {value}.")


def _check_positive(name: str, value: float | np.ndarray) -> None:
    if not np.all(np.isfinite(value) & (np.asarray(value) > 0)):
        raise ValueError(f"{name} must be positive and finite, but it is {value}.")


def _check_noise(sd: float) -> None:
    if not 1e-4 <= sd < np.inf:  # thinner noise would need millions of quadrature nodes
        raise ValueError(f"sd must be finite and at least 0.0001, but it is {sd}.")
