"""The nearest real image to each drawn one: how far the two kinds cover each other, and what was learned by heart.

    precision_recall    are the samples like real images, and do they reach all of them?    perfect_coverage
    memorisation        are they nearer to the training set than new real images are?       mann_whitney
    nearest, vote, class_shares     which real image, and of which class, is a sample nearest to?

N drawn samples, M real ones, P numbers a sample; distances are Euclidean. At most `block` rows of a table of
distances exist at once, fewer where a row is long, so that no table takes more than 32 MB (MOST).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

MOST = 4_000_000  # distances that exist at once


# ---- the nearest -------------------------------------------------------------------------------------------------


def nearest(samples: np.ndarray, real: np.ndarray, block: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """For each sample the index of its nearest real one, and the distance: (N, ...), (M, ...) -> (N,) int, (N,).

    Both are on one scale. In float64 where both are, else in float32.
    Raises ValueError when the two do not hold the same numbers a sample, and for NaN and infinity.
    """
    index, distance = _nearest(*two_samples(samples, real, least=1, dtype=_precision(samples, real)), 1, block)
    return index[:, 0], distance[:, 0]


def _nearest(a: np.ndarray, b: np.ndarray, count: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of b (M, P) to each of a (N, P), the nearest first: index and distance, (N, count)."""
    b_squares = (b * b).sum(axis=1)
    index, distance = np.empty((len(a), count), dtype=np.int64), np.empty((len(a), count), dtype=a.dtype)
    for rows in _blocks(len(a), len(b), block):
        part = a[rows]
        squares = b_squares - 2 * (part @ b.T)  # |a - b|^2 without |a|^2, the same for all b: (block, M)
        for j in range(count):
            best = squares.argmin(axis=1)
            squares[np.arange(len(part)), best] = np.inf  # next time, the next
            index[rows, j] = best
            distance[rows, j] = np.linalg.norm(part - b[best], axis=1)  # exactly 0 for a copy
    return index, distance


def class_shares(samples: np.ndarray, real: np.ndarray, labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """The share of samples whose nearest real image is of each class, (classes,): it sums to 1."""
    index, _ = nearest(samples, real)
    return np.bincount(labels[index], minlength=classes) / len(samples)


def vote(samples: np.ndarray, real: np.ndarray, labels: np.ndarray, k: int = 5, block: int = 1000) -> np.ndarray:
    """The label that most of a sample's k nearest real images have, (N,); of equals, the smallest."""
    if not 0 < k <= len(real):
        raise ValueError(f"k = {k} neighbours are not to be had among {len(real)} real images.")
    a, b = two_samples(samples, real, least=1, dtype=_precision(samples, real))
    found, classes = np.empty(len(a), dtype=np.int64), labels.max() + 1
    for rows in _blocks(len(a), len(b), block):
        near = np.argpartition(distances(a[rows], b), k - 1, axis=1)[:, :k]  # (block, k)
        counts = (labels[near][..., None] == np.arange(classes)).sum(axis=1)  # (block, classes)
        found[rows] = counts.argmax(axis=1)
    return found


# ---- how far the two kinds cover each other ----------------------------------------------------------------------


def precision_recall(
    samples: np.ndarray, real: np.ndarray, k: int = 5, block: int = 1000, closed: bool = False
) -> dict[str, float]:
    """How good the samples are, and how much of the real data they reach: four shares, each 1 at its best.

    A ball around each image reaches to its k-th nearest neighbour among its own kind.
    precision   samples that lie in some real image's ball         (Kynkaanniemi et al. 2019, section 2)
    recall      real images that lie in some sample's ball
    density     real balls that a sample lies in, over k; may exceed 1       (Naeem et al. 2020, section 3)
    coverage    real images whose ball holds a sample: unlike recall, no outlier among the samples helps it

    Naeem et al. take k = 5 and leave the ball's surface out (distance < radius), and so does their package `prdc`,
    whose numbers these are in float64 to the last digit. Kynkaanniemi et al. take k = 3 and the surface in
    (distance <= radius): closed=True. It matters where images repeat, such as copies of training images.

    A perfect generator scores density 1 and `perfect_coverage` on average. Its precision and recall have no formula
    and are below 1: hold them against two halves of the real data. A memoriser scores as well as a perfect one.
    Raises ValueError for k below 1, for no more than k of either, other shapes, NaN and infinity.
    """
    _check_k(k, samples, real)
    a, b = two_samples(samples, real)
    radius_a, radius_b = radii(a, k, block), radii(b, k, block)
    within = np.less_equal if closed else np.less
    inside, recalled = np.zeros(len(a), np.int64), np.zeros(len(b), bool)
    covered = np.zeros(len(b), bool)
    for rows in _blocks(len(a), len(b), block):
        distance = distances(a[rows], b)  # (block, M)
        in_real = within(distance, radius_b)
        inside[rows] = in_real.sum(axis=1)
        covered |= in_real.any(axis=0)
        recalled |= within(distance, radius_a[rows, None]).any(axis=0)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(1 / k * inside.mean()),
        "coverage": float(covered.mean()),
    }


def perfect_coverage(samples: int, real: int, k: int = 5) -> float:
    """The coverage of a perfect generator on average, from the two counts: 1 - 2^-k for many of both alike.

    1 - prod_i (M - i) / (N + M - i), i = 1..k: the k nearest of a real image, among all others, are real themselves.
    (Naeem et al. 2020, section 3.3.)  Raises ValueError for k below 1 and for no more than k of either.
    """
    _check_k(k, range(samples), range(real))
    i = np.arange(1, k + 1)
    return float(1 - ((real - i) / (samples + real - i)).prod())


def radii(x: np.ndarray, k: int, block: int = 1000) -> np.ndarray:
    """The distance from each of x (N, P) to its k-th nearest among the others, (N,)."""
    found = np.empty(len(x), dtype=x.dtype)
    for rows in _blocks(len(x), len(x), block):
        found[rows] = np.partition(distances(x[rows], x), k, axis=1)[:, k]  # the nearest of all is itself
    return found


# ---- learned by heart --------------------------------------------------------------------------------------------


class Memorisation(NamedTuple):
    """How much nearer the samples are to the training set than new real images are, and what to look at.

    z              Mann-Whitney's U as a z-score: far below 0, the samples are nearer; far above, they are farther off
    p_value        how often a perfect generator's z is as low or lower
    nearer         the chance that a sample is nearer to the training set than a test image: 1/2 for a perfect one
    copied         the share of samples three times nearer to one training image than to any other
    copied_test    and of test images: what is to be expected
    distance       each sample's to its nearest training image, (N,);  test_distance: each test image's, (T,)
    pairs          the closest (sample, training image), by index, the closest first, (pairs, 2)
    """

    z: float
    p_value: float
    nearer: float
    copied: float
    copied_test: float
    distance: np.ndarray
    test_distance: np.ndarray
    pairs: np.ndarray

    def __str__(self) -> str:
        return (
            f"z = {self.z:.1f} (p = {self.p_value:.2g}): a sample is nearer to the training set than a test image in "
            f"{self.nearer:.0%} of all pairs (perfect generator: 50%); "
            f"copies: {self.copied:.1%} of the samples, {self.copied_test:.1%} of the test images"
        )


def memorisation(
    samples: np.ndarray, train: np.ndarray, test: np.ndarray, pairs: int = 16, block: int = 1000
) -> Memorisation:
    """Did the generator learn the training set by heart? Samples (N, ...), train (M, ...), test (T, ...) in one unit.

    Test images come from where the training images come from, and the generator has not seen them. Their distances to
    the nearest training image are those of a perfect generator's samples. A generator that copies draws nearer ones,
    one that misses the data draws farther ones. Mann and Whitney's test says if the difference is more than chance:

        U = sum over samples s and test images t of [d(s) > d(t)]    d: to the nearest training image; 1/2 for equals
        Z_U = (U - N T / 2) / sqrt(N T (N + T + 1) / 12)

    (Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in generative models": their
    Z_U over the whole space. They go on to cut it into cells and average Z_U over these: copies in one region can
    hide behind samples that are far off in another.)

    A low z alone is no proof. Blurred or collapsed samples lie in the middle of the data, near to many training
    images. `copied` tells these apart: the second nearest to a copy is far away (Yoon et al. 2023, "Diffusion
    probabilistic models generalize when they fail to memorize", whose factor is 1/3). Where training images come in
    pairs alike, `copied` misses them. Look at the pairs. And in pixels a copy that is shifted by one of them is no
    copy; in the features of a network it is (lesson 18).

    Raises ValueError below two of either, for other shapes, NaN and infinity.
    """
    dtype = _precision(samples, train, test)
    a, b = two_samples(samples, train, ("samples", "train"), dtype=dtype)
    c, _ = two_samples(test, train, ("test", "train"), dtype=dtype)
    index, near = _nearest(a, b, 2, block)  # (N, 2)
    _, test_near = _nearest(c, b, 2, block)  # (T, 2)
    z, p_value, farther = mann_whitney(near[:, 0], test_near[:, 0])
    closest = near[:, 0].argsort(kind="stable")[:pairs]
    copied, copied_test = (float((3 * d[:, 0] <= d[:, 1]).mean()) for d in (near, test_near))
    return Memorisation(
        z,
        p_value,
        1 - farther,
        copied,
        copied_test,
        near[:, 0],
        test_near[:, 0],
        np.column_stack([closest, index[closest, 0]]),
    )


def mann_whitney(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Are the numbers x (n,) smaller than y (m,)? (z, the p-value for "smaller", the chance U / (n m) that x > y).

    U counts the pairs with x > y, equal ones half. From the ranks R of both together, equal ones sharing theirs,
    U = sum of R over x - n (n + 1) / 2; and for equal numbers, t of a kind,
    var U = n m / 12 (n + m + 1 - sum (t^3 - t) / ((n + m) (n + m - 1))).
    z is close to normal from some ten numbers each on. (Mann and Whitney 1947; for equal ones, Lehmann 1975.)
    """
    n, m = len(x), len(y)
    _, kind, t = np.unique(np.concatenate([x, y]), return_inverse=True, return_counts=True)
    ranks = (t.cumsum() - (t - 1) / 2)[kind]  # 1 to n + m; equals have their mean
    U = float(ranks[:n].sum() - n * (n + 1) / 2)
    t = t.astype(np.float64)  # t^3 is beyond an integer from two million on
    variance = n * m / 12 * (n + m + 1 - (t**3 - t).sum() / ((n + m) * (n + m - 1)))
    z = float((U - n * m / 2) / math.sqrt(variance)) if variance > 1e-9 else 0.0  # all are equal
    return z, math.erfc(-z / math.sqrt(2)) / 2, U / (n * m)


# ---- distances, and input that makes no sense --------------------------------------------------------------------


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, P), (M, P) -> (N, M)."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 0))


def two_samples(
    a: np.ndarray,
    b: np.ndarray,
    names: tuple[str, str] = ("samples", "real data"),
    least: int = 2,
    dtype: type = np.float64,
) -> tuple[np.ndarray, np.ndarray]:
    """Both as (N, P) and (M, P), checked: ValueError for other shapes, fewer than `least`, NaN and infinity."""
    a, b = np.asarray(a), np.asarray(b)
    if min(a.ndim, b.ndim) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"{names[0]} of shape {a.shape} and {names[1]} of shape {b.shape} cannot be compared: "
            f"both are arrays (number, ...), alike but for the number."
        )
    for name, x in zip(names, (a, b)):
        if len(x) < least or not x.size:
            raise ValueError(f"At least {least} of {name} are needed, but the shape is {x.shape}.")
        if not np.isfinite(x).all():
            raise ValueError(
                f"{name}: NaN or infinity among the numbers; leave these out, no distance to them exists."
            )
    return np.asarray(a, dtype=dtype).reshape(len(a), -1), np.asarray(b, dtype=dtype).reshape(len(b), -1)


def _precision(*arrays: np.ndarray) -> type:
    return np.float64 if all(np.asarray(x).dtype == np.float64 for x in arrays) else np.float32


def _blocks(N: int, M: int, block: int) -> Iterator[slice]:
    """The rows 0 to N - 1 of a table N x M, some at a time."""
    rows = max(1, min(block, MOST // M))
    return (slice(start, min(start + rows, N)) for start in range(0, N, rows))


def _check_k(k: int, samples: np.ndarray, real: np.ndarray) -> None:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"The number of neighbours k must be a whole number of at least 1, but it is {k}.")
    if min(len(samples), len(real)) <= k:
        raise ValueError(
            f"k = {k} neighbours need more than {k} samples and real images, not {len(samples)} and {len(real)}."
        )
