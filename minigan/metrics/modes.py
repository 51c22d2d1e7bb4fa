"""Has the generator collapsed? Numbers, and beside each what a perfect generator scores at the same sample size.

Even a perfect generator's histogram is uneven, and two samples of one distribution lie some way apart: a number
says nothing before it is held against this floor. Three questions, each with its floor or its interval:

    modes, histogram_kl           how many of the known modes are there, how evenly?   perfect_modes, perfect_band
    energy_distance, mmd          how far apart are two samples?                       floor, bootstrap
    birthday                      how many different things does the generator draw?   an interval of its own

n, m points (x, y) of d numbers, K modes; everything is computed in float64. Where many distances are needed, at most
`block` of them (2 million, 16 MB) exist at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from minigan.metrics.neighbours import distances

BLOCK = 2_000_000
Statistic = Callable[[np.ndarray, np.ndarray], float]  # of two samples, (n, ...) and (m, ...)


# ---- known modes ---------------------------------------------------------------------------------------------------


class Modes(NamedTuple):
    """PacGAN's three numbers: modes reached, the share of points near one, unevenness over the modes in nats."""

    covered: float
    high_quality: float
    reverse_kl: float


def modes(x: np.ndarray, means: np.ndarray, sd: float, within: float = 3.0, block: int = BLOCK) -> Modes:
    """How points x (n, d) fall on the modes of an even mixture of Gaussians, means (K, d), all of one `sd`.

    A point is of high quality if it is closer than `within` sd to the mean nearest to it; NaN and infinity never are.
    covered        modes that have at least one point of high quality, 0 to K
    high_quality   the share of all points that are, 0 to 1
    reverse_kl     log K - entropy of these points' histogram over the modes; without any, its worst value, log K
    (Lin et al. 2018, "PacGAN", section 4.)  Raises ValueError when the shapes do not fit.
    """
    means = _check_mixture(means, sd, within)
    x, (K, d) = np.asarray(x), means.shape
    if x.ndim != 2 or x.shape[1] != d or not len(x):
        raise ValueError(f"Points must be an array (n, {d}) like the means, n at least 1, but x has shape {x.shape}.")
    counts = np.zeros(K, dtype=np.int64)
    rows = max(1, block // K)
    for start in range(0, len(x), rows):
        part = x[start : start + rows].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # far off is far off
            squares = sum((part[:, j, None] - means[:, j]) ** 2 for j in range(d))  # (rows, K)
        good = squares.min(axis=1) < (within * sd) ** 2  # False for NaN
        counts += np.bincount(squares[good].argmin(axis=1), minlength=K)
    return Modes(float((counts > 0).sum()), float(counts.sum() / len(x)), histogram_kl(counts))


def perfect_modes(means_count: int, n: int, dim: int = 2, within: float = 3.0) -> Modes:
    """What n points of the mixture itself score on average, its modes being far apart (over 2 `within` sd).

    With q = P(chi_d < within), the share of a Gaussian in the ball: high_quality = q, covered = K (1 - (1 - q/K)^n),
    both exact, and reverse_kl = (K - 1) / (2 n q) to first order: good from a few points a mode on.
    """
    K, q = means_count, ball_share(dim, within)
    _check_count("The number of modes", K)
    _check_count("The number of points, n,", n)
    kl = histogram_kl_floor(K, n * q) if q > 0 else math.log(K)
    return Modes(K * (1 - (1 - q / K) ** n), q, kl)


def perfect_band(
    means: np.ndarray,
    sd: float,
    n: int,
    rng: np.random.Generator,
    repeats: int = 200,
    level: float = 0.95,
    within: float = 3.0,
) -> tuple[Modes, Modes]:
    """Where the numbers of a perfect sampler lie in a share `level` of all runs: low and high of each, as two Modes.

    Draws n points of the even mixture `repeats` times and scores them: right also where modes overlap. A generator
    whose numbers lie outside falls short by more than chance.
    """
    means = _check_mixture(means, sd, within)
    _check_count("The number of points, n,", n)
    found = [
        modes(
            means[rng.integers(len(means), size=n)] + sd * rng.standard_normal((n, means.shape[1])), means, sd, within
        )
        for _ in range(_check_repeats(repeats, level))
    ]
    low, high = np.quantile(found, _tails(level), axis=0)  # (3,) each
    return Modes(*low.tolist()), Modes(*high.tolist())


def ball_share(dim: int, within: float) -> float:
    """P(|z| < within) for z from Normal(0, I_dim): 0.98889 for 3 sd in the plane.

    With t = within^2 / 2 it is the incomplete gamma function P(dim/2, t), by P(a + 1, t) = P(a, t) - t^a e^-t /
    Gamma(a + 1) from P(1/2, t) = erf(sqrt t) or P(1, t) = 1 - e^-t (DLMF 8.8.5). The error is below 1e-12.
    """
    _check_count("The number of dimensions, dim,", dim)
    _check_positive("within", within)
    t = within**2 / 2
    a, share = (0.5, math.erf(math.sqrt(t))) if dim % 2 else (1.0, -math.expm1(-t))
    while a < dim / 2:
        share -= math.exp(a * math.log(t) - t - math.lgamma(a + 1))
        a += 1
    return max(share, 0.0)


def histogram_kl(counts: np.ndarray) -> float:
    """KL(histogram || uniform) = log K - entropy, in nats, of counts over K classes: 0 is even, log K is one class.

    Stacked MNIST has K = 1000 (any shape will do, such as (10, 10, 10)). Counts that are all zero score log K.
    Raises ValueError for a negative count or none at all.
    """
    counts = np.asarray(counts, dtype=np.float64).ravel()
    if not len(counts) or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("counts must be a histogram: at least one number, all finite and none negative.")
    p = counts[counts > 0] / counts.sum()
    return float(max(math.log(len(counts)) + (p * np.log(p)).sum(), 0.0))  # 0, not -1e-16


def histogram_kl_floor(K: int, n: float) -> float:
    """What `histogram_kl` of n points that fall evenly on K classes is on average: (K - 1) / (2 n), at most log K.

    The first order of the entropy's bias (Miller 1955); the next term is (K^2 - 1) / (12 n^2).
    """
    _check_count("The number of modes or classes", K)
    _check_positive("The number of points", n)
    return min((K - 1) / (2 * n), math.log(K))


def table(found: Modes, perfect: Modes, means_count: int) -> str:
    """Each number beside a perfect sampler's (`perfect_modes`), to print."""
    rows = [
        ("modes", f"{found.covered:g} of {means_count}", f"perfect sampler: {perfect.covered:.1f}"),
        ("high quality", f"{100 * found.high_quality:.1f} %", f"{100 * perfect.high_quality:.1f} %"),
        ("reverse KL", f"{found.reverse_kl:#.2g}", f"{perfect.reverse_kl:#.2g}"),
    ]
    return "\n".join(f"{name:<12}  {value:<12}  ({by_chance})" for name, value, by_chance in rows)


# ---- the distance between two samples ------------------------------------------------------------------------------


def energy_distance(x: np.ndarray, y: np.ndarray, block: int = BLOCK) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'|: zero where both come from one distribution, positive elsewhere.

    x (n, ...), y (m, ...), Euclidean distances in the data's unit. x' and y' are other points of the same sample, so
    the number is unbiased (a U-statistic) and falls below zero by chance. (Szekely and Rizzo 2013, "Energy
    statistics".)  Raises ValueError for points that are not finite, other shapes, or fewer than two of either.
    """
    x, y = _two_samples(x, y)
    length = lambda r: r
    return 2 * _mean(length, x, y, block) - _mean(length, x, None, block) - _mean(length, y, None, block)


def mmd(x: np.ndarray, y: np.ndarray, scales: Sequence[float] | None = None, block: int = BLOCK) -> float:
    """MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = mean over scales s of exp(-|x - y|^2 / (2 s^2)).

    x (n, ...), y (m, ...); scales: in the data's unit, `median_scales(x, y)` if not given. Unbiased like the energy
    distance, and below zero by chance; a difference much finer or coarser than every scale goes unseen. (Gretton et
    al. 2012, lemma 6.)  Raises ValueError as `energy_distance` does, and for a bad scale.
    """
    x, y = _two_samples(x, y)
    scales = median_scales(x, y) if scales is None else np.asarray(scales, dtype=np.float64).ravel()
    if not len(scales) or not (np.isfinite(scales) & (scales > 0)).all():
        raise ValueError(
            f"scales are lengths, at least one, all positive and finite, but they are {scales.tolist()}."
        )

    def kernel(r):
        squares = r * r
        return sum(np.exp(squares / (-2 * s * s)) for s in scales) / len(scales)

    return _mean(kernel, x, None, block) + _mean(kernel, y, None, block) - 2 * _mean(kernel, x, y, block)


def median_scales(x: np.ndarray, y: np.ndarray, most: int = 1000) -> np.ndarray:
    """(1/4, 1/2, 1, 2, 4) times the median distance between two points of x and y together, (5,).

    (The median heuristic: Gretton et al. 2012, section 8.) At most `most` points of each are looked at, taken at even
    steps. Raises ValueError when more than half of the distances are zero.
    """
    x, y = _two_samples(x, y)
    pooled = np.concatenate([a[:: math.ceil(len(a) / most)] for a in (x, y)])
    i, j = np.triu_indices(len(pooled), k=1)
    median = float(np.median(distances(pooled, pooled)[i, j]))
    if not median > 0:
        raise ValueError(
            "Most of these points are the same point, so their median distance is no scale: give scales."
        )
    return median * np.array([0.25, 0.5, 1, 2, 4])


def _mean(f: Callable[[np.ndarray], np.ndarray], a: np.ndarray, b: np.ndarray | None, block: int) -> float:
    """The mean of f(|a_i - b_j|) over all pairs, or over the pairs i != j of a itself where b is None."""
    other = a if b is None else b
    rows, total = max(1, block // len(other)), 0.0
    for start in range(0, len(a), rows):
        terms = f(distances(a[start : start + rows], other))  # (rows, m)
        if b is None:
            i = np.arange(len(terms))
            terms[i, start + i] = 0  # a point is no pair with itself
        total += float(terms.sum())
    return total / (len(a) * (len(a) - 1) if b is None else len(a) * len(b))


def _two_samples(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (n, d) and (m, d), moved to around 0, where |x|^2 + |y|^2 - 2xy loses least."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim < 1 or x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"Two samples of at least two points, alike in shape, are compared; not {x.shape}, {y.shape}."
        )
    for name, points in (("first", x), ("second", y)):
        if not np.isfinite(points).all():
            raise ValueError(f"The {name} sample holds NaN or infinity, and no distance to it exists: leave it out.")
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    return x - centre, y - centre


# ---- how sure is the distance? -------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """A statistic of two samples, and where its true value lies."""

    value: float
    low: float
    high: float


class Floor(NamedTuple):
    """A statistic's value, and what it is between two samples of one distribution: mean, upper quantile, p-value."""

    value: float
    mean: float
    high: float
    p_value: float


def bootstrap(
    statistic: Statistic,
    x: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
    repeats: int = 200,
    level: float = 0.95,
) -> Interval:
    """An interval for statistic(x, y), such as `energy_distance`, by computing it again on random halves of both.

    The usual bootstrap draws n of n points with replacement. A point drawn twice meets itself, at distance zero,
    and an unbiased statistic becomes a biased one. So draw half of each sample without replacement. The mean of b out
    of n points strays from that of all n with variance S^2 (1/b - 1/n), which is S^2 / n at b = n/2: just as the
    whole sample strays from the truth. So the halves' quantiles are the interval (Shao and Wu 1989, the delete-half
    jackknife; Politis, Romano and Wolf 1999). For the energy distance of two Gaussians, 40 to 200 points of each,
    some 87 to 90 % of the intervals of level 90 % hold the truth.

    It needs a statistic whose mean does not depend on the sample size; with `mmd`, fix the scales first. If x and y
    come from one distribution, the interval is too wide: ask `floor` whether they differ at all. Raises ValueError
    below four points of either.
    """
    x, y = np.asarray(x), np.asarray(y)
    if min(x.ndim, y.ndim) < 1 or min(len(x), len(y)) < 4:
        raise ValueError(
            f"Halves of two samples need at least four points of each, but they are {x.shape}, {y.shape}."
        )
    value = float(statistic(x, y))
    halves = [
        statistic(*(a[rng.permutation(len(a))[: len(a) // 2]] for a in (x, y)))
        for _ in range(_check_repeats(repeats, level))
    ]
    low, high = np.quantile(halves, _tails(level))
    return Interval(value, float(low), float(high))


def floor(
    statistic: Statistic,
    x: np.ndarray,
    y: np.ndarray,
    rng: np.random.Generator,
    repeats: int = 200,
    level: float = 0.95,
) -> Floor:
    """What statistic(x, y) would be if x and y came from one distribution: they are pooled and dealt out anew.

    high: what a share `level` of the deals stay below. p_value: the share of deals, the given one among them, that
    reach the value, so at least 1 / (repeats + 1). For x and y of one distribution it is p or less with probability p
    at most, at every sample size (Phipson and Smyth 2010). Raises ValueError for other shapes.
    """
    x, y = np.asarray(x), np.asarray(y)
    if min(x.ndim, y.ndim) < 1 or x.shape[1:] != y.shape[1:]:
        raise ValueError(f"Samples of one shape can be pooled, but these are {x.shape} and {y.shape}.")
    value, pooled = float(statistic(x, y)), np.concatenate([x, y])
    deals = np.empty(_check_repeats(repeats, level))
    for k in range(repeats):
        order = rng.permutation(len(pooled))
        deals[k] = statistic(pooled[order[: len(x)]], pooled[order[len(x) :]])
    reached = int((deals >= value - 1e-12 * abs(value)).sum())  # the same deal may round otherwise
    return Floor(value, float(deals.mean()), float(np.quantile(deals, level)), (1 + reached) / (1 + repeats))


# ---- the birthday test ---------------------------------------------------------------------------------------------


class Birthday(NamedTuple):
    """The share of batches with a near pair, and how many equally likely points would give it, with an interval."""

    share: float
    support: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.share == 0:
            return f"at least {self.low:,.0f} points (no batch holds a near pair)"
        if self.share == 1:
            return f"at most {self.high:,.0f} points (every batch holds a near pair)"
        return f"about {self.support:,.0f} points ({self.low:,.0f} to {self.high:,.0f})"


def birthday(x: np.ndarray, near: float, batch: int, level: float = 0.95, block: int = BLOCK) -> Birthday:
    """How many different things does the generator draw? As many as make two of a batch alike as often as here.

    x (n, ...): draws in random order, cut into n // batch batches; a pair is alike if closer than `near`. Among 23
    people two share a birthday in half of all cases, so two alike in half of all batches of 23 tell of 365 things.
    The interval is Wilson's for the share, through the same formula; it is narrowest where some batches hold a pair
    and some do not. Without any pair the support is inf and `low` says how large it is at least; with a pair in every
    batch it is batch - 1 and `high` says how large it is at most.

    Things drawn unequally often meet more often, so there are more of them than this number. And points of a
    continuous distribution come nearer than `near` by chance, too: hold the number against that of real data.
    (Arora and Zhang 2017, "Do GANs actually learn the distribution? An empirical study".)  Raises ValueError for a
    batch below two or above n, points that are not finite, and a `near` that is not positive.
    """
    x = np.asarray(x, dtype=np.float64)
    if not isinstance(batch, (int, np.integer)) or batch < 2 or x.ndim < 1 or len(x) < batch:
        raise ValueError(f"A batch holds at least two of the points, but batch is {batch} and x has shape {x.shape}.")
    if not np.isfinite(x).all():
        raise ValueError("The points hold NaN or infinity, and no distance to them exists: leave them out.")
    _check_positive("near", near)
    _check_repeats(1, level)
    count = len(x) // batch
    points = x.reshape(len(x), -1)[: count * batch]
    points = (points - points.mean(axis=0)).reshape(count, batch, -1)
    hits = sum(_has_pair(points[k], near, block) for k in range(count))
    low_share, high_share = wilson(hits, count, level)
    return Birthday(
        hits / count,
        support_size(hits / count, batch),
        support_size(high_share, batch) if hits < count else 1.0,
        support_size(low_share, batch) if hits else math.inf,
    )


def _has_pair(x: np.ndarray, near: float, block: int) -> bool:
    """Do two of x (s, d) lie closer than `near`?"""
    rows = max(1, block // len(x))
    for start in range(0, len(x), rows):
        distance = distances(x[start : start + rows], x[start:])  # a pair's earlier point is a row
        i, j = np.indices(distance.shape, sparse=True)
        if ((distance < near) & (j > i)).any():
            return True
    return False


def collision_probability(support: float, batch: int) -> float:
    """The chance that two of `batch` draws from `support` equally likely things are the same: 0.507 for 365 and 23.

    1 - (1 - 1/K) (1 - 2/K) ... (1 - (s - 1)/K)        K things, s draws
    """
    if support <= batch - 1:
        return 1.0
    return float(-np.expm1(np.log1p(-np.arange(1, batch) / support).sum()))


def support_size(share: float, batch: int) -> float:
    """The K at which `collision_probability(K, batch)` is `share`, by bisection: inf at 0, batch - 1 at 1."""
    if share <= 0:
        return math.inf
    low, high = batch - 1.0, batch * (batch - 1) / (2 * share)  # share <= (number of pairs) / K
    for _ in range(100):
        middle = (low + high) / 2
        if collision_probability(middle, batch) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2 if share < 1 else batch - 1.0


def wilson(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The interval for a probability that came true `hits` times in `trials` (Wilson 1927): never outside [0, 1]."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, slack = hits / trials, z * z / trials
    middle = (p + slack / 2) / (1 + slack)
    half = math.sqrt(slack * p * (1 - p) + slack * slack / 4) / (1 + slack)
    return max(middle - half, 0.0), min(middle + half, 1.0)


# ---- input that makes no sense -------------------------------------------------------------------------------------


def _check_mixture(means: np.ndarray, sd: float, within: float) -> np.ndarray:
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2 or not means.size or not np.isfinite(means).all():
        raise ValueError(f"means must be finite numbers (K, d), one row a mode, but their shape is {means.shape}.")
    _check_positive("sd", sd)
    _check_positive("within", within)
    return means


def _check_positive(name: str, value: float) -> None:
    if np.ndim(value) != 0 or not 0 < value < np.inf:
        raise ValueError(f"{name} must be one positive, finite number, but it is {value}.")


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but it is {value}.")


def _check_repeats(repeats: int, level: float) -> int:
    _check_count("repeats", repeats)
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, such as 0.95, but it is {level}.")
    return repeats


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2
