"""Lesson 11, "When JS is blind: the Wasserstein distance": its exercises.

N samples of each kind, n points of a line, H hidden units.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong
from minigan.gradcheck import draw

# ---- 11.w1_sorted ---------------------------------------------------------------------------------------------


def make_samples(rng, N):
    """Two samples x, y (N,) on a line, unsorted, with mass that must go to the right and mass that must go left."""
    x, y = 3 * draw(rng, (N,)), 3 * draw(rng, (N,)) + 0.5
    if N > 1:
        x[:2], y[:2] = (-4, 4), (5, -5)  # as they come, these two cross; in order, one goes right and one goes left
    return {"x": x, "y": y}


def w1_sorted(x, y):
    return np.abs(np.sort(x) - np.sort(y)).mean()


def _sorts_in_place(x, y):
    x.sort()
    y.sort()
    return np.abs(x - y).mean()


W1_SORTED = Exercise(
    name="11.w1_sorted",
    asked="W1, a number, between two samples x (N,) and y (N,) on a line, each point with the mass 1/N",
    make=make_samples,
    solution=w1_sorted,
    returns=("W1",),
    float32=False,  # one number: whether it is NumPy's or Python's does not matter
    wrong=(
        Wrong(
            lambda x, y: np.abs(x - y).mean(),
            "the pairs as they came",
            "these are the pairs as they came, one of N! plans; the cheapest pairs the smallest with the smallest: "
            "sort both",
        ),
        Wrong(
            lambda x, y: np.abs(x.mean() - y.mean()),
            "the difference of the means",
            "this is the difference of the means: mass that goes to the right cancels mass that goes to the left; "
            "take |x - y| of each pair first, and the mean then",
        ),
        Wrong(
            lambda x, y: np.abs(x[:, None] - y).mean(),
            "a little of every x to every y",
            "this sends a little of every x to every y: a plan, too, but the cheapest keeps the order",
        ),
        Wrong(
            lambda x, y: np.abs(np.sort(x) - np.sort(y)).sum(),
            "carries the mass 1/N",
            "each pair carries the mass 1/N, so divide by N: the mean stands where you took the sum",
        ),
        Wrong(
            lambda x, y: np.sqrt(((np.sort(x) - np.sort(y)) ** 2).mean()),
            "this is W2",
            "this is W2, whose price is the distance squared; W1 takes |x - y|",
        ),
        Wrong(_sorts_in_place, "leaves its input x changed"),
    ),
)


# ---- 11.w1_and_critic -----------------------------------------------------------------------------------------


def make_masses(rng, N):
    """n = N + 4 points x in order, at unequal distances, and two sets of masses p, q on them, each with the sum 1."""
    n = N + 4
    p, q = rng.random(n) + 0.1, rng.random(n) + 0.1
    p[:3], q[:3], p[-2] = (3, 0.3, 0.2), (0.3, 0.8, 5), 2  # Fq - Fp changes its sign, and not where q - p does
    return {"x": np.cumsum(0.2 + 2 * rng.random(n)) - n, "p": p / p.sum(), "q": q / q.sum()}


def w1_and_critic(x, p, q):
    gap = np.cumsum(q - p)[:-1]
    f = np.zeros_like(x)
    f[1:] = np.cumsum(np.sign(gap) * np.diff(x))
    return (np.abs(gap) * np.diff(x)).sum(), f


def _with_slopes(x, p, q, slopes):
    """The right W1, and an f with these slopes (n - 1,)."""
    f = np.zeros_like(x)
    f[1:] = np.cumsum(slopes)
    return w1_and_critic(x, p, q)[0], f


def _float64(x, p, q):
    """Right, but [0.0] is a list of float64, and so is what it is joined to."""
    W1, f = w1_and_critic(x, p, q)
    return W1, np.concatenate([[0.0], f[1:]])


W1_AND_CRITIC = Exercise(
    name="11.w1_and_critic",
    asked="W1, a number, of the masses p (n,) and q (n,) on the rising points x (n,), and the best critic f (n,), "
    "with f[0] = 0",
    make=make_masses,
    solution=w1_and_critic,
    returns=("W1", "f"),
    wrong=(
        Wrong(
            lambda x, p, q: _with_slopes(x, p, q, np.sign(np.cumsum(p - q)[:-1]) * np.diff(x)),
            "upside down",
            "it is upside down: f is to rise towards the real mass, so f' = sign(Fq - Fp), not sign(Fp - Fq)",
        ),
        Wrong(
            lambda x, p, q: _with_slopes(x, p, q, np.sign(p - q)[:-1] * np.diff(x)),
            "each point by itself",
            "its slopes are signs of p - q, so it judges each point by itself; what counts is the mass that has to "
            "pass, Fq - Fp, a sum over all points up to here",
        ),
        Wrong(
            lambda x, p, q: _with_slopes(x, p, q, np.sign(np.cumsum(q - p)[:-1])),
            "rises or falls by 1 from point to point",
            "it rises or falls by 1 from point to point, but its slope is to be 1: multiply by the distances "
            "between the points, np.diff(x)",
        ),
        Wrong(
            lambda x, p, q: (np.abs(p - q).sum() / 2, w1_and_critic(x, p, q)[1]),
            "the total variation",
            "this is the total variation, which knows how much mass is out of place and not how far: sum |Fp - Fq| "
            "times the distances between the points",
        ),
        Wrong(
            lambda x, p, q: (np.abs((p - q) @ x), w1_and_critic(x, p, q)[1]),
            "the bars stand outside of the sum",
            "this is the difference of the means: the bars stand outside of the sum, and mass that goes to the right "
            "cancels mass that goes to the left",
        ),
        Wrong(_float64, "float32 in gives float64 out"),
    ),
)


# ---- 11.clipped_step ------------------------------------------------------------------------------------------


def make_critic(rng, N):
    """A critic before its first step: some of each kind of weight will lie outside of the box |weight| <= c."""
    hidden = 7
    V, b, w = (rng.uniform(-0.8, 0.8, shape) for shape in ((1, hidden), (hidden,), (hidden, 1)))
    V[0, :2], b[:3], w[:2, 0] = (0.7, -0.7), (0.1, -0.1, 0.6), (1.5, -1.5)  # the first two: one kind each
    return {
        "x_real": -np.abs(draw(rng, (N, 1))) - 0.5,
        "x_fake": np.abs(draw(rng, (N, 1))) + 0.5,
        "V": V,
        "b": b,
        "w": w,
        "lr": 0.4,
        "c": 0.3,
    }


def critic_gradients(x_real, x_fake, V, b, w):
    """Of L = mean f(x_fake) - mean f(x_real): dV, db, dw."""
    total = [np.zeros_like(V), np.zeros_like(b), np.zeros_like(w)]
    for x, df in ((x_real, -1 / len(x_real)), (x_fake, 1 / len(x_fake))):
        u = x @ V + b
        du = df * (u > 0) * w[:, 0]
        for gradient, more in zip(total, (x.T @ du, du.sum(axis=0), df * np.maximum(u, 0).sum(axis=0)[:, None])):
            gradient += more
    return total


def clipped_step(x_real, x_fake, V, b, w, lr, c):
    gradients = critic_gradients(x_real, x_fake, V, b, w)
    return tuple(np.clip(old - lr * g, -c, c) for old, g in zip((V, b, w), gradients))


def _step(make):
    """A wrong answer that differs in what it makes of each weight array and its gradient."""

    def answer(x_real, x_fake, V, b, w, lr, c):
        gradients = critic_gradients(x_real, x_fake, V, b, w)
        return tuple(make(old, g, lr, c, len(x_real)) for old, g in zip((V, b, w), gradients))

    return answer


def _bias_is_free(x_real, x_fake, V, b, w, lr, c):
    new_V, _, new_w = clipped_step(x_real, x_fake, V, b, w, lr, c)
    return new_V, b - lr * critic_gradients(x_real, x_fake, V, b, w)[1], new_w


CLIPPED_STEP = Exercise(
    name="11.clipped_step",
    asked="the new V (1, H), b (H,) and w (H, 1) of the critic f(x) = relu(x V + b) w after a step against the "
    "gradient of L = mean f(x_fake) - mean f(x_real), x_real and x_fake (N, 1), each weight then clipped to [-c, c]",
    make=make_critic,
    solution=clipped_step,
    returns=("V", "b", "w"),
    wrong=(
        Wrong(
            _step(lambda old, g, lr, c, N: old - lr * np.clip(g, -c, c)),
            "the gradient is clipped",
            "here the gradient is clipped, which bounds one step and not the critic's slope; clip the weights, after "
            "the step",
        ),
        Wrong(
            _step(lambda old, g, lr, c, N: np.clip(old, -c, c) - lr * g),
            "clipped before the step",
            "the weights are clipped before the step, and leave the box with it: step first",
        ),
        Wrong(
            _step(lambda old, g, lr, c, N: np.clip(old + lr * g, -c, c)),
            "raises the fakes",
            "this critic raises the fakes: it is to descend on L = mean f(x_fake) - mean f(x_real)",
        ),
        Wrong(
            _step(lambda old, g, lr, c, N: np.clip(old - lr * N * g, -c, c)),
            "a sum over the samples",
            "there is a sum over the samples where L has two means: start with -1/N on real samples and 1/N on fakes",
        ),
        Wrong(
            _step(lambda old, g, lr, c, N: (old - lr * g) * np.minimum(1, c / np.abs(old - lr * g).max())),
            "shrunk until the largest fits",
            "all weights are shrunk until the largest fits; clipping leaves those alone that lie between -c and c",
        ),
        Wrong(
            _bias_is_free,
            "the biases are not clipped",
            "the biases are not clipped: in the paper's algorithm the whole vector of weights lies in the box",
        ),
    ),
)

EXERCISES = (W1_SORTED, W1_AND_CRITIC, CLIPPED_STEP)
