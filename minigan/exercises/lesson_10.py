"""Lesson 10, "Has it collapsed?": its exercises.

n points x (n, 2), K modes of one standard deviation sd, means (K, 2); s draws from K equally likely things.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes

# ---- 10.mode_numbers ------------------------------------------------------------------------------------------


def make_points(rng, N):
    """Points on some of the modes, in the corners of a mode's square, and far off, nearest to a mode without any.

    A batch of one is a point that lies near no mode.
    """
    K = 1 + sizes(rng, N, 1)[0]
    means = 2.0 * np.arange(K)[:, None] + 0.3 * rng.standard_normal((K, 2))  # along a diagonal, some 2.8 apart
    sd = 0.1 + 0.05 * rng.random()
    if N == 1:
        return {"x": means[:1] + 6 * sd, "means": means, "sd": sd}
    on = np.arange(1, K - 1).repeat(rng.integers(1, 9, K - 2))  # modes 0 and K - 1 get none
    angle = 2 * np.pi * rng.random(len(on))
    away = sd * rng.uniform(0, 2.9, len(on))[:, None]
    near = means[on] + away * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    corner = means[1:] + 2.6 * sd  # each coordinate within 3 sd, the distance 3.7 sd
    far = means[:1] - sd * rng.uniform(5, 9, (N, 1))
    return {"x": rng.permutation(np.concatenate([near, corner, far])), "means": means, "sd": sd}


def _numbers(x, means, sd, near=None, kl=None):
    """near(offsets (n, K, 2), sd) -> which points count (n,);  kl(histogram without zeros, K) -> a number."""
    offsets = x[:, None, :] - means  # (n, K, 2)
    distances = np.sqrt((offsets**2).sum(axis=2))
    good = distances.min(axis=1) < 3 * sd if near is None else near(offsets, sd)
    counts = np.bincount(distances[good].argmin(axis=1), minlength=len(means))
    p = counts[counts > 0] / max(counts.sum(), 1)
    if not len(p):
        return 0, 0.0, np.log(len(means))
    return (counts > 0).sum(), good.mean(), _kl(p, len(means)) if kl is None else kl(p, len(means))


def _kl(p, K):
    return (p * np.log(K * p)).sum()


def mode_numbers(x, means, sd):
    return _numbers(x, means, sd)


def _empty_is_nan(x, means, sd):
    covered, share, kl = _numbers(x, means, sd)
    return covered, share, kl if covered else np.nan


MODE_NUMBERS = Exercise(
    name="10.mode_numbers",
    asked="the modes reached, the share of points within 3 sd of a mode, and log K minus the entropy of these points'"
    " histogram over the modes in nats, from x (n, 2), means (K, 2) and sd",
    make=make_points,
    solution=mode_numbers,
    returns=("covered", "high_quality", "reverse_kl"),
    float32=False,  # counts come out, and a point at a mode's rim may fall to either side
    wrong=(
        Wrong(
            lambda x, means, sd: _numbers(x, means, sd, lambda o, sd: np.ones(len(o), bool)),
            "every point is counted",
            "every point is counted on its nearest mode, however far off; only those closer than 3 sd count",
        ),
        Wrong(
            lambda x, means, sd: _numbers(x, means, sd, lambda o, sd: (np.abs(o) < 3 * sd).all(axis=2).any(axis=1)),
            "a square",
            "this is a square of 3 sd to each side, and its corners lie farther off: take the distance, the root of "
            "the sum of both squares",
        ),
        Wrong(
            lambda x, means, sd: _numbers(x, means, sd, kl=lambda p, K: (p * np.log2(K * p)).sum()),
            "in bits",
            "this is in bits, from log2; nats are asked, from the natural logarithm",
        ),
        Wrong(
            lambda x, means, sd: _numbers(x, means, sd, kl=lambda p, K: np.nan if len(p) < K else _kl(p, K)),
            "0 log 0",
            "it is NaN, from 0 log 0: a mode without any point adds nothing, so leave it out of the sum",
        ),
        Wrong(
            lambda x, means, sd: _numbers(x, means, sd, kl=lambda p, K: _kl(p, len(p))),
            "the log of the modes reached",
            "this is the log of the modes reached, minus the entropy, so a generator of one mode would score a "
            "perfect 0; K counts all modes",
        ),
        Wrong(
            _empty_is_nan,
            "no point is near any mode",
            "it is NaN where no point is near any mode: the histogram is empty, and the answer asked for is log K",
        ),
    ),
)


# ---- 10.collision_probability ---------------------------------------------------------------------------------


def make_draws(rng, N):
    """3 to 20 draws out of 30 to 200 things. A batch of 4: more draws than things. A batch of one: one draw."""
    K, s = int(rng.integers(30, 200)), int(rng.integers(3, 21))
    if N == 4:
        K = s - 2
    return {"K": K, "s": 1 if N == 1 else s}


def collision_probability(K, s):
    return 1 - np.prod(1 - np.arange(s) / K)


COLLISION_PROBABILITY = Exercise(
    name="10.collision_probability",
    asked="the probability that at least two of s draws from K equally likely things are the same, a number",
    make=make_draws,
    solution=collision_probability,
    returns=("the probability",),
    float32=False,  # two whole numbers come in
    wrong=(
        Wrong(
            lambda K, s: 1 - (1 - 1 / K) ** (s - 1),
            "with the first",
            "this is the probability that somebody is the same as one given draw, say with the first; any two may be",
        ),
        Wrong(
            lambda K, s: np.prod(1 - np.arange(s) / K),
            "all are different",
            "this is the probability that all are different; subtract it from 1",
        ),
        Wrong(
            lambda K, s: 1 - np.prod(1 - np.arange(s + 1) / K),
            "one factor too many",
            "there is one factor too many: the first draw is free, and the last of s must miss s - 1 things",
        ),
        Wrong(
            lambda K, s: s * (s - 1) / (2 * K),
            "the expected number of equal pairs",
            "this is the expected number of equal pairs, s (s - 1) / 2 of them, each with probability 1/K: near the "
            "probability where that is small, but it goes beyond 1",
        ),
        Wrong(
            lambda K, s: 1 - (1 - 1 / K) ** (s * (s - 1) // 2),
            "as if the pairs were independent",
            "this takes the pairs as if the pairs were independent; they are not, or 400 people could be without a "
            "common birthday: multiply up draw by draw",
        ),
        Wrong(
            lambda K, s: 1 - np.exp(-s * (s - 1) / (2 * K)),
            "the approximation for large K",
            "this is 1 - exp(-s (s - 1) / (2 K)), the approximation for large K; the exact product is asked",
        ),
    ),
)


# ---- 10.precision_recall --------------------------------------------------------------------------------------


def make_two_kinds(rng, N):
    """Fakes (n, 2) and real points (m, 2) in three groups of very unequal spread, one of them nearly empty.

    Drawn again until no two of the planted answers share a number: these are fractions of small denominators.
    """
    centres, spread = rng.permutation([[0.0, 0.0], [3.0, 1.0], [-1.0, 4.0]]), np.array([0.1, 0.5, 2.0])
    drawn = {"k": int(rng.integers(2, 5))}
    for _ in range(100):
        for name, shares, n in (("fakes", [0.5, 0.1, 0.4], 30 + 30 * N), ("real", [0.1, 0.6, 0.3], 45 + 25 * N)):
            g = rng.choice(3, n, p=shares)
            drawn[name] = centres[g] + spread[g, None] * rng.standard_normal((n, 2))
        answers = [precision_recall(**drawn), *(wrong.answer(**drawn) for wrong in PRECISION_RECALL.wrong)]
        if all(len(set(shares)) == len(answers) for shares in zip(*answers)):
            break
    return drawn


def _table(a, b):
    """The distances (n, m) between points a (n, d) and b (m, d)."""
    return np.sqrt(((a[:, None, :] - b) ** 2).sum(axis=2))


def _radii(a, k):
    return np.sort(_table(a, a), axis=1)[:, k]  # number 0 is the point itself


def _both(fakes, real, k, radii=_radii, inside=None):
    """Precision and recall: the same question asked twice. inside(distances (n, m), radii (m,)) -> (n,) bool."""
    inside = inside or (lambda d, r: (d < r).any(axis=1))
    d = _table(fakes, real)
    return inside(d, radii(real, k)).mean(), inside(d.T, radii(fakes, k)).mean()


def precision_recall(fakes, real, k):
    return _both(fakes, real, k)


def _across(fakes, real, k):
    d = _table(fakes, real)
    of_real, of_fakes = np.sort(d, axis=0)[k - 1], np.sort(d, axis=1)[:, k - 1]
    return (d < of_real).any(axis=1).mean(), (d < of_fakes[:, None]).any(axis=0).mean()


def _nearest_ball(d, r):
    at = d.argmin(axis=1)
    return d.min(axis=1) < r[at]


PRECISION_RECALL = Exercise(
    name="10.precision_recall",
    asked="the share of fakes (n, 2) that lie in a ball of a real point (m, 2), and the share of real points that "
    "lie in a ball of a fake; a ball reaches to the k-th nearest of the point's own kind",
    make=make_two_kinds,
    solution=precision_recall,
    returns=("precision", "recall"),
    float32=False,  # counts come out, and a point at a ball's rim may fall to either side
    wrong=(
        Wrong(
            lambda fakes, real, k: _both(fakes, real, k)[::-1],
            "exchanged",
            "the two are exchanged: precision is about the fakes, in balls around real points",
        ),
        Wrong(
            lambda fakes, real, k: _both(fakes, real, k, lambda a, k: _radii(a, k - 1)),
            "its own nearest neighbour",
            "the balls are too small: each point is counted as its own nearest neighbour, at distance 0, so that the "
            "k-th is really number k - 1; sort the distances and take number k, from 0",
        ),
        Wrong(
            lambda fakes, real, k: _both(fakes, real, k, inside=_nearest_ball),
            "only the ball of the nearest",
            "this looks into only the ball of the nearest point; a larger ball, farther off, may hold it as well",
        ),
        Wrong(
            lambda fakes, real, k: _both(fakes, real, k, lambda a, k: np.full(len(a), _radii(a, k).mean())),
            "one radius for all",
            "this is one radius for all, their mean; each point has a ball of its own size",
        ),
        Wrong(
            _across,
            "the other kind",
            "the balls reach to the k-th nearest of the other kind; each reaches to the k-th of its own kind",
        ),
    ),
)

EXERCISES = (MODE_NUMBERS, COLLISION_PROBABILITY, PRECISION_RECALL)
