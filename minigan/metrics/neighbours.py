"""The nearest real image to each drawn one, by Euclidean distance on pixels.

N drawn samples, M real ones, P numbers a sample.
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
