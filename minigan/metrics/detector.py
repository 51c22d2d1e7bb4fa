"""How well does a detector tell real images from drawn ones? Its ROC curve, the area under it, and its calibration.

    roc             which share of either kind passes, at every threshold
    auc             the chance that a real image scores higher than a fake     1/2 knows nothing; an interval
    calibration     are 80 of 100 images real where it says 0.8?               a floor: what chance alone gives

A detector gives each image a score, and a high one says real: so D's logit is one. Positive is real throughout: a
true positive is a real image that passes, a false positive a fake that passes. The first two measures look at the
order of the scores alone, and are the same for logits and for probabilities; calibration needs probabilities.

M scores of real images and N of fakes; K images of both kinds, B bins. Everything is in float64.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from minigan.metrics.modes import Interval


class Reliability(NamedTuple):
    """The reliability table: what was said and what was seen, in each of B bins of the probability, (B,) each.

    A bin is low <= p < high (the last one has its high, 1, in it). said: its mean probability; seen: the share of its
    images that is real; both NaN where count is 0.
    """

    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    said: np.ndarray
    seen: np.ndarray


class Calibration(NamedTuple):
    """The reliability table, the expected calibration error, what chance alone makes of it, and the Brier score."""

    table: Reliability
    error: float
    floor: float
    brier: float


# ---- order: ROC and the area under it ------------------------------------------------------------------------------


def roc(scores_real: np.ndarray, scores_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The false and the true positive rate, (T + 1,) each, from (0, 0) to (1, 1), for the T distinct scores.

    The threshold falls from above all scores to the least of them, and what reaches it passes. Equal scores pass
    together, so where a real image and a fake tie, the curve has a slanted piece; its trapezoids' area is `auc`.
    (Fawcett 2006, "An introduction to ROC analysis", algorithm 1.)
    Raises ValueError where scores are not 1-D, are missing, or hold NaN; infinities have their place in the order.
    """
    real, fake = _scores(scores_real, scores_fake)
    thresholds = np.unique(np.concatenate([real, fake]))[::-1]  # (T,), falling
    rates = []
    for scores in (fake, real):
        passed = len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")  # those >= the threshold
        rates.append(np.concatenate([[0.0], passed / len(scores)]))
    return rates[0], rates[1]


def auc(scores_real: np.ndarray, scores_fake: np.ndarray, level: float = 0.95) -> Interval:
    """P(a real image scores higher than a fake) + P(equal) / 2, over all M N pairs, and an interval for it.

    The area under `roc`, and Mann and Whitney's U / (M N): exact, ties included. The interval is DeLong's: with v_i
    the share of fakes below real i, and w_j the share of reals above fake j (equal ones half),

        var AUC = var(v) / M + var(w) / N        variances with M - 1 and N - 1

    and AUC +- z sqrt(var), cut to [0, 1]. (DeLong, DeLong and Clarke-Pearson 1988, section 2.) It is for these two
    detected distributions, and does not say how a detector trained with another seed would do.

    Where no pair is like no other (all fakes below all reals, say) that variance is 0, though the truth need not be
    1. Among the pairs are k = min(M, N) that share no image, so are independent: and k of k alike says that at least
    c = ((1 - level) / 2)^(1/k) of all pairs are (Clopper and Pearson 1934). The interval then reaches that far.

    Raises ValueError as `roc`, below two of either, and for a level that is not between 0 and 1.
    """
    real, fake = _scores(scores_real, scores_fake, least=2)
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1, but it is {level}.")
    M, N = len(real), len(fake)
    below_real, above_fake = _twice_below(real, fake), 2 * M - _twice_below(fake, real)  # whole numbers: exact
    value = int(below_real.sum()) / (2 * M * N)
    if np.ptp(below_real) == 0 and np.ptp(above_fake) == 0:  # every pair is like every other
        c = ((1 - level) / 2) ** (1 / min(M, N))
        return Interval(value, value * c, 1 - (1 - value) * c)
    variance = (below_real / (2 * N)).var(ddof=1) / M + (above_fake / (2 * M)).var(ddof=1) / N
    reach = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return Interval(value, max(value - reach, 0.0), min(value + reach, 1.0))


def _twice_below(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """For each of a how many of b are less, twice, and how many equal, once: integers (len(a),)."""
    b = np.sort(b)
    return np.searchsorted(b, a, side="left") + np.searchsorted(b, a, side="right")


# ---- probabilities: calibration ------------------------------------------------------------------------------------


def calibration(probabilities: np.ndarray, is_real: np.ndarray, bins: int = 10) -> Calibration:
    """Does a detector's p = P(real) mean what it says? probabilities (K,) from 0 to 1, is_real (K,) bool.

    table     p and the share of real images in `bins` bins of equal width
    error     sum over bins of count / K |seen - said|: the expected calibration error      0 at best
              (Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, equation 3)
    floor     what the error of a perfectly calibrated detector with these p would be, on average: in a bin, seen -
              said then has the standard deviation sqrt(sum p (1 - p)) / count, and near a Gaussian |.| has the mean
              sqrt(2 / pi) of it, so floor = sqrt(2 / pi) / K sum over bins of sqrt(sum p (1 - p))
    brier     mean (p - is_real)^2        0 at best, 1/4 for p = 1/2 always; bad order raises it as well (Brier 1950)

    All three hold for the share of real images that was tested. A detector that was trained on as many fakes as
    reals says what is true where half of the images are real; where one in a thousand is fake, its p is far off.
    Raises ValueError for other shapes, for p outside [0, 1], for is_real that is not true or false, and no bin.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(is_real)
    if p.ndim != 1 or p.shape != y.shape or not len(p):
        raise ValueError(
            f"Each probability (K,) goes with one label (K,), K at least 1, but the shapes are {p.shape}, {y.shape}."
        )
    if not ((p >= 0) & (p <= 1)).all():  # "not", so that NaN is refused too
        raise ValueError(
            f"Probabilities lie in [0, 1], but these go from {p.min():g} to {p.max():g}: of logits take the sigmoid."
        )
    if not ((y == 0) | (y == 1)).all():
        raise ValueError("is_real is True (1) for a real image and False (0) for a fake, but it holds other values.")
    if not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"The number of bins must be a whole number of at least 1, but it is {bins}.")
    y = y.astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], p, side="right")  # p = 1 belongs to the last bin

    def sums(weights):
        return np.bincount(place, weights, minlength=bins)  # (B,)

    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin is NaN
        table = Reliability(edges[:-1], edges[1:], count, sums(p) / count, sums(y) / count)
    error = np.abs(sums(y) - sums(p)).sum() / len(p)  # count cancels
    floor = math.sqrt(2 / math.pi) * np.sqrt(sums(p * (1 - p))).sum() / len(p)
    return Calibration(table, float(error), float(floor), float(((p - y) ** 2).mean()))


# ---- input that makes no sense -------------------------------------------------------------------------------------


def _scores(real: np.ndarray, fake: np.ndarray, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    real, fake = np.asarray(real, dtype=np.float64), np.asarray(fake, dtype=np.float64)
    for name, scores in (("real images", real), ("fakes", fake)):
        if scores.ndim != 1 or len(scores) < least:
            raise ValueError(
                f"The scores of {name} must be one number an image, at least {least}, not of shape {scores.shape}."
            )
        if np.isnan(scores).any():
            raise ValueError(f"The scores of {name} hold NaN, which has no place in an order: find where it arose.")
    return real, fake
