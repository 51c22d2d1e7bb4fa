"""Lesson 03, "Why minimax?": its exercises.

N samples, each with M logits.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 03.bce_with_logits ---------------------------------------------------------------------------------------


def make_labelled(rng, N):
    """Logits s (N, M) and labels t (N, M), hard and smoothed; some logits are far off and on the wrong side."""
    shape = (N, sizes(rng, N, 1)[0])
    s, t = 6 * draw(rng, shape), rng.choice([0.0, 0.9, 1.0], size=shape)
    s.flat[:2], t.flat[:2] = (800, -800), (0, 1)
    if s.size > 4:
        s.flat[2:5], t.flat[2:5] = (60, -2, 2), (0, 0.9, 1)
    return {"s": s, "t": t}


def sigmoid(s):
    e = np.exp(-np.abs(s))
    return np.where(s > 0, 1 / (1 + e), e / (1 + e))


def softplus(s):
    return np.maximum(s, 0) + np.log1p(np.exp(-np.abs(s)))


def bce_with_logits(s, t):
    return (softplus(s) - t * s).mean(), (sigmoid(s) - t) / s.size


def _log_of_d(s, t, epsilon=0.0):
    D = 1 / (1 + np.exp(-s))
    return -(t * np.log(D + epsilon) + (1 - t) * np.log(1 - D + epsilon)).mean(), (D - t) / s.size


def _slope_twice(s, t):
    D = sigmoid(s)
    return bce_with_logits(s, t)[0], (D - t) * D * (1 - D) / s.size


BCE_WITH_LOGITS = Exercise(
    name="03.bce_with_logits",
    asked="the mean cross-entropy of logits s (N, M) with labels t (N, M), a number, and its gradient ds (N, M)",
    make=make_labelled,
    solution=bce_with_logits,
    returns=("the loss", "ds"),
    wrong=(
        Wrong(
            lambda s, t: bce_with_logits(sigmoid(s), t),
            "sigmoid twice",
            "this is what comes of sigmoid twice: s is a logit, and softplus(s) - t s has the sigmoid in it",
        ),
        Wrong(
            _log_of_d,
            "log 0, or e to a large number",
            "it is infinite, from log 0, or e to a large number: at |s| = 800 sigmoid rounds to 0 or 1 and e^s "
            "overflows; take max(s, 0) + log(1 + e^-|s|) for softplus",
        ),
        Wrong(
            lambda s, t: _log_of_d(s, t, 1e-12),
            "an epsilon",
            "this is what comes of an epsilon inside the logarithm: no sample can then cost more than -log of the "
            "epsilon, but the one with s = 800 and t = 0 costs 800 nats",
        ),
        Wrong(
            lambda s, t: ((softplus(s) - t * s).sum(), sigmoid(s) - t),
            "the mean is forgotten",
            "the mean is forgotten: divide by s.size, the number of logits, in the loss and so in its gradient",
        ),
        Wrong(lambda s, t: (bce_with_logits(s, t)[0], (t - sigmoid(s)) / s.size), "opposite sign"),
        Wrong(
            _slope_twice,
            "D (1 - D) too many",
            "there is a factor D (1 - D) too many: sigmoid(s) - t already is the gradient on the logit, in which "
            "this factor has cancelled",
        ),
    ),
)


# ---- 03.optimal_discriminator ---------------------------------------------------------------------------------


def make_densities(rng, N):
    """Two densities at N + 3 points; at the last three only one of them lives, or none."""
    p, q = np.abs(draw(rng, (N + 3,))), np.abs(draw(rng, (N + 3,)))
    p[-2:], q[-3], q[-1] = 0, 0, 0
    return {"p": p, "q": q}


def optimal_discriminator(p, q):
    D = np.full_like(p, 0.5)
    np.divide(p, p + q, out=D, where=p + q > 0)
    return D


OPTIMAL_DISCRIMINATOR = Exercise(
    name="03.optimal_discriminator",
    asked="the D that makes p log D + q log(1 - D) largest, at each of n points, from p (n,) and q (n,); 1/2 where "
    "both are 0",
    make=make_densities,
    solution=optimal_discriminator,
    returns=("D",),
    wrong=(
        Wrong(
            lambda p, q: 1 - optimal_discriminator(p, q),
            "upside down",
            "it is upside down: D is to be near 1 where real samples are many and fakes are few",
        ),
        Wrong(
            lambda p, q: p / q,
            "the ratio of the densities",
            "this is the ratio of the densities, which is D / (1 - D) and not D: solve p / D = q / (1 - D) for D",
        ),
        Wrong(
            lambda p, q: (p > q).astype(p.dtype),
            "a decision",
            "this is a decision, 0 or 1, and no probability: wherever the other kind lives as well, it costs an "
            "infinite loss",
        ),
        Wrong(
            lambda p, q: p / (p + q),
            "0 / 0",
            "it is NaN, from 0 / 0, where neither real samples nor fakes live; any D is as good there: give 1/2",
        ),
        Wrong(
            lambda p, q: np.log(p) - np.log(q),
            "this is its logit",
            "this is its logit, log p - log q: asked is the probability",
        ),
        Wrong(lambda p, q: p / (p + q + 1e-12), "zero where it should not be, in 1 of"),
    ),
)


# ---- 03.generator_gradients -----------------------------------------------------------------------------------


def make_fakes(rng, N):
    """The logits of fakes, (N, M): about as many far below 0, where D is sure, as above."""
    s = 6 * draw(rng, (N, sizes(rng, N, 1)[0]))
    s.flat[:2] = -6, 3
    return {"s": s}


def generator_gradients(s):
    return -sigmoid(s) / s.size, -sigmoid(-s) / s.size


GENERATOR_GRADIENTS = Exercise(
    name="03.generator_gradients",
    asked="the gradients (N, M) on the fakes' logits s (N, M) of mean log(1 - D) and of mean -log D",
    make=make_fakes,
    solution=generator_gradients,
    returns=("d_minimax", "d_non_saturating"),
    wrong=(
        Wrong(
            lambda s: generator_gradients(s)[::-1],
            "the other loss's",
            "this is the other loss's: where D is sure of a fake, at s = -6, minimax is nearly 0 and non-saturating "
            "nearly -1",
        ),
        Wrong(lambda s: tuple(-d for d in generator_gradients(s)), "opposite sign"),
        Wrong(lambda s: (-sigmoid(s), -sigmoid(-s)), "a sum where a mean stands"),
        Wrong(
            lambda s: (-1 / (1 - sigmoid(s)) / s.size, -1 / sigmoid(s) / s.size),
            "the derivative by D",
            "this is the derivative by D: the chain rule goes on to the logit, times dD/ds = D (1 - D)",
        ),
        Wrong(
            lambda s: (-sigmoid(s) / s.size, sigmoid(s) / s.size),
            "the label 0",
            "this is the gradient for fakes with the label 0, which is what D wants: G wants D to say 1",
        ),
    ),
)

EXERCISES = (BCE_WITH_LOGITS, OPTIMAL_DISCRIMINATOR, GENERATOR_GRADIENTS)
