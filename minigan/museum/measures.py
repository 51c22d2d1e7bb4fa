"""Measures and checks that measure something else: who watches them?

a check proves something when the right answer passes, mutants of it fail, and the gradient is not zero
KL(p || q) = sum p log2(p / q), in bits, is at least 0, for p and q that each sum to 1
"""

from __future__ import annotations

import numpy as np

from minigan.gradcheck import draw
from minigan.museum.exhibit import Exhibit, need, numeric, off

# ---- a check that cannot fail -------------------------------------------------------------------------------------


def norm(x, eps=1e-5):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def norm_backward(dy, x, eps=1e-5):
    xhat = norm(x, eps)
    return (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def checked_with_one_sample(backward):
    x, dy = draw(np.random.default_rng(0), (1, 4)), draw(np.random.default_rng(1), (1, 4))
    right = numeric(lambda v: float((norm(v) * dy).sum()), x)
    return np.abs(backward(dy, x) - right).mean() < 1e-3  # 0 = 0: x minus its mean is 0 for every x


def checked_with_a_batch(backward):
    x, dy = draw(np.random.default_rng(0), (8, 4)), draw(np.random.default_rng(1), (8, 4))
    right = numeric(lambda v: float((norm(v) * dy).sum()), x)
    return np.abs(right).max() > 0.1 and off(backward(dy, x), right) < 1e-6


def mutants_fail(check):
    need(check(norm_backward), "It refuses the right backward, 1 times itself.")
    for factor in (-7, 0):
        wrong = lambda dy, x, factor=factor: factor * norm_backward(dy, x)
        need(not check(wrong), f"It passes a backward that is {factor} times the right one.")


VACUOUS = Exhibit(
    name="vacuous-check",
    title="Batch norm is checked with a batch of one",
    wrong="With one sample, x - mean(x) = 0 whatever x is: the output is constant and every gradient is 0. A mean "
    "of absolute errors compares 0 with 0, and with small numbers where they are not.",
    symptom="The check is green, for any backward whatever.",
    seen_in="seen in a good book on deep learning from scratch (its chapter 6), and easily done",
    lesson=1,
    silent=True,
    which="mutants must fail",
    bug=checked_with_one_sample,
    mend=checked_with_a_batch,
    check=mutants_fail,
    use=lambda check: check(norm_backward),
)


# ---- a divergence that is none ------------------------------------------------------------------------------------


def divergence_of_a_third(bins, truth):
    left = bins[: len(bins) // 3 + 1]  # the loop that counts removes what it has counted, and steps over the rest
    mass = np.bincount(left, minlength=len(truth)) / len(bins)
    return mass, float((mass * np.log2(np.maximum(mass, 1e-12) / truth)).sum())


def divergence_of_all(bins, truth):
    mass = np.bincount(bins, minlength=len(truth)) / len(bins)
    return mass, float((mass * np.log2(np.maximum(mass, 1e-12) / truth)).sum())


def divergence_is_one(divergence):
    """450 points on 9 bins that are filled evenly: a perfect sampler."""
    bins = np.random.default_rng(0).permutation(np.arange(450) % 9)
    mass, kl = divergence(bins, np.full(9, 1 / 9))
    need(
        abs(mass.sum() - 1) < 1e-9 and kl > -1e-9,
        f"The masses sum to {mass.sum():.3f}, and a perfect sampler's divergence is {kl:.2f} bits.",
    )


NO_KL = Exhibit(
    name="kl-below-zero",
    title="A KL divergence over a third of the points",
    wrong="KL(p || q) >= 0 needs p and q that sum to 1. Here 151 of 450 points are counted and divided by 450, so p "
    "sums to 0.336, and the least value is 0.336 log2 0.336 = -0.53 bits.",
    symptom="The curve falls as it should. Its zero means nothing, and its floor is never told.",
    seen_in="seen in GAN Lab, the interactive page to which this course owes its board",
    lesson=10,
    silent=True,
    which="masses sum to 1, KL >= 0",
    bug=divergence_of_a_third,
    mend=divergence_of_all,
    check=divergence_is_one,
    use=lambda divergence: divergence(np.arange(450) % 7, np.full(9, 1 / 9))[1],
)

EXHIBITS = (VACUOUS, NO_KL)
