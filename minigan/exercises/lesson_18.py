"""Lesson 18, "Is it good, or did it memorise?": its exercises.

N and M samples, d features. Measures are computed in float64, so float32 is not asked for.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 18.frechet -----------------------------------------------------------------------------------------------


def make_features(rng, N):
    """a (N, d) and b (M, d), all features growing together, and N, M > d: so both covariances are of full rank."""
    d, M = int(rng.integers(2, min(N, 4))), N + int(rng.integers(1, 4))
    made = []
    for n in (N, M):
        together = np.linspace(-1, 1, n)[:, None] * (1 + rng.random(d))
        made.append(together + 0.3 * draw(rng, (n, d)) + draw(rng, (d,)))
    return {"a": made[0], "b": made[1]}


def _distance(a, b, *, ddof=1, root=None, twice=2, squared=True):
    """The distance, with the mistakes that can be made in it; root: what is taken for tr (S1 S2)^1/2."""
    S1, S2 = (np.cov(x, rowvar=False, ddof=ddof) for x in (a, b))
    gap = a.mean(axis=0) - b.mean(axis=0)
    apart = (gap**2).sum() if squared else np.sqrt((gap**2).sum())
    return apart + np.trace(S1) + np.trace(S2) - twice * (root or _trace_of_root)(S1, S2)


def _trace_of_root(S1, S2):
    values, vectors = np.linalg.eigh(S1)
    R1 = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(R1 @ S2 @ R1), 0)).sum()


def frechet(a, b):
    return _distance(a, b)


FRECHET = Exercise(
    name="18.frechet",
    asked="|mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2 of features a (N, d) and b (M, d), a number",
    make=make_features,
    solution=frechet,
    returns=("the distance",),
    single=False,  # one sample has no covariance
    float32=False,
    wrong=(
        Wrong(
            lambda a, b: _distance(a, b, root=lambda S1, S2: np.trace(np.sqrt(S1 @ S2))),
            "root of each entry",
            "this takes the root of each entry: the root of a matrix R R = S is another thing; take the roots of "
            "eigenvalues",
        ),
        Wrong(
            lambda a, b: _distance(
                a, b, root=lambda S1, S2: np.sqrt(np.maximum(np.linalg.eigvalsh(S1 @ S2), 0)).sum()
            ),
            "S1 S2 is not symmetric",
            "S1 S2 is not symmetric, and eigh and eigvalsh read one half of a matrix and never say so: give them "
            "S1^1/2 S2 S1^1/2",
        ),
        Wrong(
            lambda a, b: _distance(a, b, ddof=0),
            "divided by N",
            "the covariances are divided by N, where N - 1 makes them unbiased: np.cov does so by itself",
        ),
        Wrong(
            lambda a, b: _distance(a, b, squared=False),
            "the means' distance is not squared",
            "the means' distance is not squared: the whole is a squared distance, |mu1 - mu2|^2 + ...",
        ),
        Wrong(
            lambda a, b: _distance(a, b, twice=1),
            "the root counts twice",
            "the root counts twice, - 2 tr (...)^1/2: else two equal Gaussians would not be at distance 0",
        ),
    ),
)


# ---- 18.mmd2 --------------------------------------------------------------------------------------------------


def make_unequal(rng, N):
    d, M = sizes(rng, N, 2)
    return {"a": draw(rng, (N, d)), "b": 0.7 * draw(rng, (M, d)) + 0.3}


def _mmd2(a, b, *, itself=False, of_pairs=True, crossed=2, over_d=True, power=3):
    """The estimate, with the mistakes that can be made in it."""

    def k(x, y):
        return (x @ y.T / (x.shape[1] if over_d else 1) + 1) ** power

    def same(x):
        n, K = len(x), k(x, x)
        return (K.sum() - (0 if itself else np.trace(K))) / (n * (n - 1) if of_pairs else n * n)

    return same(a) + same(b) - crossed * k(a, b).mean()


def mmd2(a, b):
    return _mmd2(a, b)


MMD2 = Exercise(
    name="18.mmd2",
    asked="the unbiased MMD^2 with the kernel (x.y / d + 1)^3 of features a (N, d) and b (M, d), a number",
    make=make_unequal,
    solution=mmd2,
    returns=("MMD^2",),
    single=False,  # one sample makes no pair
    float32=False,
    wrong=(
        Wrong(
            lambda a, b: _mmd2(a, b, itself=True, of_pairs=False),
            "biased",
            "this is the biased one: each sample is paired with itself; leave the diagonals out, divide by N (N - 1)",
        ),
        Wrong(
            lambda a, b: _mmd2(a, b, of_pairs=False),
            "N (N - 1) pairs are left",
            "the diagonals are out, and so N (N - 1) pairs are left, but the sum is divided by N^2",
        ),
        Wrong(
            lambda a, b: _mmd2(a, b, crossed=1),
            "counts once",
            "the mixed term counts once here: |p - q|^2 = p.p + q.q - 2 p.q",
        ),
        Wrong(
            lambda a, b: _mmd2(a, b, over_d=False),
            "without 1/d",
            "the kernel is without 1/d: x.y is a sum over d features, and the kernel takes their mean",
        ),
        Wrong(
            lambda a, b: _mmd2(a, b, power=2),
            "a square",
            "the kernel is a square and not a cube: it does not see third moments",
        ),
    ),
)


# ---- 18.rank_z ------------------------------------------------------------------------------------------------


def make_distances(rng, N):
    """Distances without equals: x (N,), and y (M,), mostly larger."""
    M = N + int(rng.integers(2, 6))
    return {"x": rng.random(N) + 0.1, "y": rng.random(M) + 0.3}


def _z(x, y, *, sign=1, half=0.5, more=1, root=True):
    """z, with the mistakes that can be made in it."""
    n, m = len(x), len(y)
    U = (x[:, None] > y).sum()
    variance = n * m * (n + m + more) / 12
    return sign * (U - half * n * m) / (np.sqrt(variance) if root else variance)


def rank_z(x, y):
    return _z(x, y)


RANK_Z = Exercise(
    name="18.rank_z",
    asked="z = (U - n m / 2) / sqrt(n m (n + m + 1) / 12), U the pairs with x > y, of x (n,) and y (m,), a number",
    make=make_distances,
    solution=rank_z,
    returns=("z",),
    float32=False,
    wrong=(
        Wrong(
            lambda x, y: _z(x, y, sign=-1),
            "pairs with x < y",
            "this counts the pairs with x < y: then copies, whose distances are small, come out above 0",
        ),
        Wrong(
            lambda x, y: _z(x, y, half=1),
            "half of all pairs",
            "if x and y are alike, x is larger in half of all pairs: subtract n m / 2",
        ),
        Wrong(
            lambda x, y: _z(x, y, root=False),
            "the variance itself",
            "it is divided by the variance itself: take its root, the standard deviation",
        ),
        Wrong(lambda x, y: _z(x, y, more=0), "the 1 is missing", "the 1 is missing from the variance's n + m + 1"),
        Wrong(
            lambda x, y: (x[:, None] > y).mean(),
            "share of pairs",
            "this is the share of pairs with x > y, between 0 and 1: it says how much nearer, and not how sure",
        ),
    ),
)

EXERCISES = (FRECHET, MMD2, RANK_Z)
