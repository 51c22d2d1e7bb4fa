"""The likelihood of test images under a Parzen window: how the first GANs were scored, and why no longer.

Put a Gaussian of width sigma on each of N drawn samples, and ask how likely the test images are under the mixture:

    LL(x) = log 1/N sum_n exp(-|x - s_n|^2 / (2 sigma^2)) - P log(sigma sqrt(2 pi))

sigma is the one that makes 1,000 validation images most likely. (Goodfellow et al. 2014, section 5; the protocol and
the ten sigmas are those of their parzen_ll.py.)

A warning. In hundreds of dimensions 10,000 samples are far too few: the number is not the likelihood of the
generator, not even close, and does not rank generators. On MNIST the training images themselves score 243 nats and
k-means centroids 313, which are no generator at all, better than any GAN (225). A blurred generator beats the
truth, since sigma blurs once more. So use it to learn how it fails, or to compare with old papers, and for nothing
else. (Theis, van den Oord and Bethge 2016, "A note on the evaluation of generative models", table 1.)

N samples s, M images x, P numbers an image, S sigmas; everything is in float64, and nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minigan.metrics.neighbours import two_samples

SIGMAS = np.logspace(-1, 0, 10)
BLOCK = 2_000_000  # distances that exist at once, 16 MB


class Parzen(NamedTuple):
    """The mean log-likelihood of the test images in nats, its standard error, and the sigma that validation chose."""

    mean: float
    error: float
    sigma: float


def parzen(
    samples: np.ndarray,
    test: np.ndarray,
    validation: np.ndarray,
    sigmas: Sequence[float] | np.ndarray = SIGMAS,
    most: int = 1000,
    block: int = BLOCK,
) -> Parzen:
    """Samples (N, ...), test (M, ...), validation (V, ...), whose first `most` choose sigma. Read the warning above.

    Published numbers have pixels in [0, 1], N = 10,000, and validation images that are not in the training set. A
    density depends on the unit: in [-1, 1] every number is lower by P log 2, which is 543 nats for 28 x 28.
    The error is that of the M test images alone, not of the samples or of the method.
    Raises ValueError for fewer than two of each, other shapes, NaN, infinity, and sigmas that are not positive.
    """
    means = log_likelihoods(samples, np.asarray(validation)[:most], sigmas, block).mean(axis=1)  # (S,)
    sigma = float(np.asarray(sigmas, dtype=np.float64)[means.argmax()])
    found = log_likelihoods(samples, test, [sigma], block)[0]  # (M,)
    return Parzen(float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found))), sigma)


def log_likelihoods(
    samples: np.ndarray, x: np.ndarray, sigmas: Sequence[float] | np.ndarray, block: int = BLOCK
) -> np.ndarray:
    """LL of each image x (M, ...) under each sigma, in nats: (S, M). Raises ValueError as `parzen` does."""
    s, x = two_samples(samples, x, ("samples", "images"))
    sigmas = np.asarray(sigmas, dtype=np.float64)
    if sigmas.ndim != 1 or not len(sigmas) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise ValueError(f"sigmas are widths, at least one, all positive and finite, but they are {sigmas.tolist()}.")
    P = s.shape[1]
    s_squares, found = (s * s).sum(axis=1), np.empty((len(sigmas), len(x)))
    rows = max(1, block // len(s))
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        squares = np.maximum((part * part).sum(axis=1)[:, None] + s_squares - 2 * (part @ s.T), 0)  # (rows, N)
        nearest = squares.min(axis=1)  # taken out of the exponential: some term is then 1, and the log is finite
        squares -= nearest[:, None]
        for row, sigma in zip(found, sigmas):
            mean = np.exp(squares / (-2 * sigma**2)).mean(axis=1)
            row[start : start + rows] = np.log(mean) - nearest / (2 * sigma**2)
    return found - P * np.log(sigmas * math.sqrt(2 * math.pi))[:, None]
