"""How far apart are drawn and real images, by their features? Frechet distance, KID, and the classifier's score.

    frechet             the distance of two Gaussians fitted to the features    frechet_floor
    kid, mmd2           the distance of the distributions, by a cubic kernel    0, unbiased
    classifier_score    are the samples sure of their class, and the classes even?     1 to C
    class_kl            how far the classes are from even                       metrics.modes.histogram_kl_floor
    bootstrap           the interval of any of these

Neither number sees copying: a generator that draws the training set scores as a perfect one. Ask
`minigan.metrics.neighbours.memorisation` as well. And each depends on the feature space: numbers of one network's
features are never compared with another's.

N and M samples, d features, C classes; everything is in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minigan.metrics.modes import Interval, histogram_kl
from minigan.metrics.neighbours import two_samples

BLOCK = 2_000_000  # kernel values that exist at once, 16 MB
SEED = 2020  # torch-fidelity's


class Spread(NamedTuple):
    """A number's mean and standard deviation over subsets of the samples."""

    mean: float
    sd: float


# ---- Frechet distance ----------------------------------------------------------------------------------------------


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance of two Gaussians fitted to features a (N, d) and b (M, d), squared: 0 if they agree.

    |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), mu the means and S the covariances with N - 1. With Inception's
    features this is the FID (Heusel et al. 2017, equation 6); with others it is not to be compared with it.

    It is biased: two samples of one distribution lie `frechet_floor` apart, which grows with d^2 / N. So compare at
    one N, and keep N far above d. Raises ValueError below two of either, for other shapes, NaN and infinity.
    """
    a, b = _features(a, b)
    return frechet_of(*moments(a), *moments(b))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of features (N, d), the latter with N - 1."""
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False, ddof=1))


def frechet_of(mu1: np.ndarray, S1: np.ndarray, mu2: np.ndarray, S2: np.ndarray) -> float:
    """The same of Gaussians given by their means (d,) and covariances (d, d).

    S1 S2 is not symmetric, and the root of such a matrix is a delicate thing. S1^(1/2) S2 S1^(1/2) is, and has the
    same eigenvalues, none negative but by rounding: the trace of the root is the sum of their roots.
    (Dowson and Landau 1982.)  Raises ValueError for other shapes, matrices that are not symmetric, and NaN.
    """
    mu1, S1, mu2, S2 = (np.asarray(x, dtype=np.float64) for x in (mu1, S1, mu2, S2))
    d = len(mu1) if mu1.ndim == 1 else 0
    if not d or mu2.shape != (d,) or not S1.shape == S2.shape == (d, d):
        raise ValueError(
            f"Means (d,) and covariances (d, d) are needed, "
            f"but their shapes are {mu1.shape}, {S1.shape} and {mu2.shape}, {S2.shape}."
        )
    if not all(np.isfinite(x).all() for x in (mu1, S1, mu2, S2)):
        raise ValueError("The means or covariances hold NaN or infinity: check the features that they come from.")
    if not (np.allclose(S1, S1.T) and np.allclose(S2, S2.T)):
        raise ValueError("A covariance must be a symmetric matrix, but one of these is not.")
    values, vectors = np.linalg.eigh(S1)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    product = np.linalg.eigvalsh(root @ S2 @ root)
    gap = mu1 - mu2
    distance = gap @ gap + np.trace(S1) + np.trace(S2) - 2 * np.sqrt(np.maximum(product, 0)).sum()
    return float(max(distance, 0.0))  # 0, not -1e-14


def frechet_floor(features: np.ndarray, n: int, m: int | None = None) -> float:
    """`frechet` of n and m (n, if not given) samples of one Gaussian, on average: what a perfect generator scores.

    With l the eigenvalues of the features' (N, d) covariance S, and n = m:

        E = 2 tr(S) / n + 1/n sum_ij (1 + [i = j]) l_i l_j / (l_i + l_j)          d (d + 5) / (2 n) for S = I

    The means stray by S / n each, and the covariances by Wishart's law; second-order expansion of the distance
    around 0 (science.md 4.3), so good for n far above d. For features that are not Gaussian it is a guide: distances
    of halves of the real features are the measurement. Raises ValueError as `frechet`, and for n below two.
    """
    features, _ = _features(features, features)
    m = n if m is None else m
    if min(n, m) < 2:
        raise ValueError(f"A covariance takes at least two samples, but n and m are {n} and {m}.")
    values = np.maximum(np.linalg.eigvalsh(moments(features)[1]), 0)  # l
    sums, products = np.add.outer(values, values), np.multiply.outer(values, values)
    terms = products / np.where(sums > 0, sums, 1) * (1 + np.eye(len(values)))  # a feature that is constant adds 0
    return float((1 / n + 1 / m) * (values.sum() + terms.sum() / 2))


# ---- kernel distance -----------------------------------------------------------------------------------------------


def mmd2(a: np.ndarray, b: np.ndarray, block: int = BLOCK) -> float:
    """MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = (x.y / d + 1)^3, of features a (N, d) and b (M, d).

    Of all pairs, x' and y' being other points: unbiased at any N, and below zero by chance. The cubic kernel compares
    the first three moments. (Binkowski et al. 2018, section 4.)  Raises ValueError as `frechet`.
    """
    a, b = _features(a, b)
    N, M = len(a), len(b)
    same_a = (_kernel_sum(a, a, block) - _diagonal(a)) / (N * (N - 1))
    same_b = (_kernel_sum(b, b, block) - _diagonal(b)) / (M * (M - 1))
    return same_a + same_b - 2 * _kernel_sum(a, b, block) / (N * M)


def kid(a: np.ndarray, b: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = SEED) -> Spread:
    """The kernel inception distance of features a (N, d) and b (M, d): `mmd2` of `subsets` pairs of random subsets.

    Each subset has `size` features of a and as many of b, without repeats; mean and standard deviation (with N) over
    subsets, with the same draws as torch-fidelity. The standard deviation is that of one subset and not the mean's
    error: subsets overlap, and for that there is `bootstrap`. (Binkowski et al. 2018.)
    Raises ValueError as `frechet`, and where a subset does not fit.
    """
    a, b = _features(a, b)
    if not 2 <= size <= min(len(a), len(b)) or subsets < 1:
        raise ValueError(
            f"{subsets} subsets of size {size} are not to be had from {len(a)} and {len(b)} features: "
            f"take at least one, of size 2 to {min(len(a), len(b))}."
        )
    rng = np.random.RandomState(seed)  # its stream never changes
    found = [
        mmd2(*(x[rng.choice(len(x), size, replace=False)] for x in (a, b)))  # a's draw comes first
        for _ in range(subsets)
    ]
    return Spread(float(np.mean(found)), float(np.std(found)))


def _kernel_sum(a: np.ndarray, b: np.ndarray, block: int) -> float:
    rows, total = max(1, block // len(b)), 0.0
    for start in range(0, len(a), rows):
        base = a[start : start + rows] @ b.T / a.shape[1] + 1  # (rows, M)
        total += float((base * base * base).sum())
    return total


def _diagonal(a: np.ndarray) -> float:
    """The sum of k(x, x)."""
    return float((((a * a).sum(axis=1) / a.shape[1] + 1) ** 3).sum())


# ---- what a classifier says ----------------------------------------------------------------------------------------


def classifier_score(p: np.ndarray, splits: int = 10, seed: int = SEED) -> Spread:
    """exp E KL(p(y|x) || p(y)) from class probabilities p (N, C): from 1 to C, C if all are sure and classes even.

    Mean and standard deviation over `splits` parts of the samples, shuffled first. With Inception's classes this is
    the Inception score (Salimans et al. 2016, section 4), with a digit classifier's the MNIST score. It does not look
    at real data: one image a class, repeated, scores C. Real test images' score is the one to hold it against.
    Raises ValueError where rows are no probabilities, or there are fewer samples than splits.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 2 or not p.size or not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1, rtol=0, atol=1e-3):
        raise ValueError(
            f"p must be class probabilities (N, C), none negative and each row of sum 1, but its shape is {p.shape}"
            f"{', and some are not' if p.ndim == 2 and p.size else ''}: a softmax makes them from logits."
        )
    N = len(p)
    if not 1 <= splits <= N:
        raise ValueError(f"{splits} splits need as many samples, and at least one, but there are {N} samples.")
    p = p[np.random.RandomState(seed).permutation(N)]
    scores = []
    for i in range(splits):
        part = p[i * N // splits : (i + 1) * N // splits]
        ratio = np.divide(part, part.mean(axis=0), out=np.ones_like(part), where=part > 0)  # 0 log 0 = 0
        scores.append(np.exp((part * np.log(ratio)).sum(axis=1).mean()))
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def class_histogram(labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """How many of labels (N,), integers from 0, are of each class: (classes,). Raises ValueError for other labels."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers (N,), but they are of shape {labels.shape} and {labels.dtype}.")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels of {classes} classes are 0 to {classes - 1}, not {labels.min()} to {labels.max()}.")
    return np.bincount(labels, minlength=classes)


def class_kl(labels: np.ndarray, classes: int = 10, real: np.ndarray | None = None) -> float:
    """KL(histogram of labels (N,) || that of `real` labels, or the even one), in nats.

    Without `real` 0 is even and log(classes) is one class, and a perfect generator of even classes scores
    (classes - 1) / (2 N): `minigan.metrics.modes.histogram_kl_floor`. inf if `real` lacks a class that labels have.
    """
    counts = class_histogram(labels, classes)
    if real is None:
        return histogram_kl(counts)
    q, p = counts / counts.sum(), class_histogram(real, classes) / len(real)
    there = q > 0
    if (p[there] == 0).any():
        return float("inf")
    return float(max((q[there] * np.log(q[there] / p[there])).sum(), 0.0))


# ---- how sure is the number? ---------------------------------------------------------------------------------------


def bootstrap(
    fn: Callable[..., float], *samples: np.ndarray, n: int = 200, seed: int = 0, level: float = 0.95
) -> Interval:
    """fn(*samples), and an interval for it, by computing it again on n redraws of every sample, with repeats.

    fn: such as `frechet`, `mmd2` or `lambda p: classifier_score(p).mean`; samples: (N, ...) each, of its own size.
    Repeats move these numbers: a redraw is a sample of the sample, so `frechet` lies higher by its floor once more.
    So only the redraws' spread around their mean is laid around the value. The interval is for the number at this
    sample size, floor included, and does not cover how another training seed would score. (Efron and Tibshirani 1993,
    chapters 6 and 10; where the two distributions agree it is too wide.)  Raises ValueError below two of a sample.
    """
    samples = [np.asarray(x) for x in samples]
    if not samples or any(x.ndim < 1 or len(x) < 2 for x in samples):
        raise ValueError(f"A bootstrap needs samples of at least two, not of shapes {[x.shape for x in samples]}.")
    if n < 2 or not 0 < level < 1:
        raise ValueError(f"A bootstrap needs n >= 2 redraws and a level between 0 and 1, not {n} and {level}.")
    rng, value = np.random.default_rng(seed), float(fn(*samples))
    redraws = np.array([fn(*(x[rng.integers(len(x), size=len(x))] for x in samples)) for _ in range(n)])
    low, high = value + np.quantile(redraws, [(1 - level) / 2, (1 + level) / 2]) - redraws.mean()
    return Interval(value, float(low), float(high))


# ---- input that makes no sense -------------------------------------------------------------------------------------


def _features(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"Features are arrays (N, d), but their shapes are {a.shape} and {b.shape}: flatten them.")
    return two_samples(a, b, ("first features", "second features"))
