"""The nearest real image to each drawn one, and how far the drawn ones and the real ones cover each other.

N drawn samples, M real ones, P numbers a sample; distances are Euclidean.
"""

from __future__ import annotations

import numpy as np


def nearest(samples: np.ndarray, real: np.ndarray, block: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """For each sample the index of its nearest real one, and the distance: (N, ...), (M, ...) -> (N,) int, (N,).

    Both are on one scale. Works on `block` samples at a time, so that only block x M distances exist at once.
    Raises ValueError when the two do not hold the same numbers a sample.
    """
    if samples.shape[1:] != real.shape[1:] or len(real) == 0:
        raise ValueError(f"Samples {samples.shape[1:]} and real data {real.shape} cannot be compared.")
    a, b = (np.asarray(x, dtype=np.float32).reshape(len(x), -1) for x in (samples, real))  # (N, P), (M, P)
    b_squares = (b * b).sum(axis=1)
    index, distance = np.empty(len(a), dtype=np.int64), np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), block):
        part = a[start : start + block]
        squares = b_squares - 2 * (part @ b.T)  # |a - b|^2 without |a|^2, the same for all b: (block, M)
        best = squares.argmin(axis=1)
        index[start : start + block] = best
        distance[start : start + block] = np.linalg.norm(part - b[best], axis=1)
    return index, distance


def class_shares(samples: np.ndarray, real: np.ndarray, labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """The share of samples whose nearest real image is of each class, (classes,): it sums to 1."""
    index, _ = nearest(samples, real)
    return np.bincount(labels[index], minlength=classes) / len(samples)


def vote(samples: np.ndarray, real: np.ndarray, labels: np.ndarray, k: int = 5, block: int = 1000) -> np.ndarray:
    """The label that most of a sample's k nearest real images have, (N,); of equals, the smallest."""
    if not 0 < k <= len(real):
        raise ValueError(f"k = {k} neighbours are not to be had among {len(real)} real images.")
    a, b = (np.asarray(x, dtype=np.float32).reshape(len(x), -1) for x in (samples, real))
    found, classes = np.empty(len(a), dtype=np.int64), labels.max() + 1
    for start in range(0, len(a), block):
        near = np.argpartition(distances(a[start : start + block], b), k - 1, axis=1)[:, :k]  # (block, k)
        counts = (labels[near][..., None] == np.arange(classes)).sum(axis=1)  # (block, classes)
        found[start : start + block] = counts.argmax(axis=1)
    return found


def precision_recall(samples: np.ndarray, real: np.ndarray, k: int = 5, block: int = 1000) -> dict[str, float]:
    """How good the samples are, and how much of the real data they reach: four shares, each 1 at its best.

    A ball around each image reaches to its k-th nearest neighbour among its own kind.
    precision   samples that lie in some real image's ball         (Kynkaanniemi et al. 2019)
    recall      real images that lie in some sample's ball
    density     real balls that a sample lies in, over k; may exceed 1       (Naeem et al. 2020)
    coverage    real images whose ball holds a sample: unlike recall, no outlier among the samples helps it
    Raises ValueError when there are not more than k of each.
    """
    if min(len(samples), len(real)) <= k:
        raise ValueError(f"k = {k} neighbours need more than {k} samples and real images.")
    a, b = (np.asarray(x, dtype=np.float32).reshape(len(x), -1) for x in (samples, real))
    radius_a, radius_b = radii(a, k, block), radii(b, k, block)
    inside, recalled = np.zeros(len(a), np.int64), np.zeros(len(b), bool)
    covered = np.zeros(len(b), bool)
    for start in range(0, len(a), block):
        part = slice(start, start + block)
        distance = distances(a[part], b)  # (block, M)
        in_real = distance <= radius_b
        inside[part] = in_real.sum(axis=1)
        covered |= in_real.any(axis=0)
        recalled |= (distance <= radius_a[part, None]).any(axis=0)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(inside.mean() / k),
        "coverage": float(covered.mean()),
    }


def radii(x: np.ndarray, k: int, block: int = 1000) -> np.ndarray:
    """The distance from each of x (N, P) to its k-th nearest among the others, (N,)."""
    parts = [
        np.partition(distances(x[start : start + block], x), k, axis=1)[:, k]  # the nearest of all is itself
        for start in range(0, len(x), block)
    ]
    return np.concatenate(parts)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, P), (M, P) -> (N, M)."""
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 0))
