"""Lesson 12, "How do you differentiate a gradient?": its exercises.

N samples, I inputs, H hidden units. g (N, ...) are the slopes dD/dx of a critic D, u = dP/dg those of a penalty P.

    D: s = tanh(x W1 + b1) W2 + b2        x (N, I), W1 (I, H), b1 (H,), W2 (H, 1), s (N, 1)
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 12.between -----------------------------------------------------------------------------------------------


def make_two_batches(rng, N):
    """Real and fake images (N, height, width, C), all sizes unequal, and a generator in a state of its own."""
    shape = (N, *sizes(rng, N, 3))
    return {
        "x_real": draw(rng, shape),
        "x_fake": draw(rng, shape),
        "rng": np.random.default_rng(int(rng.integers(10**6))),
    }


def _mixed(x_real, x_fake, t):
    return t * x_real + (1 - t) * x_fake


def _one_each(x):
    """(N, 1, ..., 1): one number for each sample."""
    return (len(x), *(1 for _ in x.shape[1:]))


def between(x_real, x_fake, rng):
    return _mixed(x_real, x_fake, rng.random(_one_each(x_real)))


BETWEEN = Exercise(
    name="12.between",
    asked="t x_real + (1 - t) x_fake, with one t from rng.random for each sample, an array of x_real's shape",
    make=make_two_batches,
    solution=between,
    returns=("x_hat",),
    float32=False,  # the numbers that rng.random draws are float64
    wrong=(
        Wrong(
            lambda x_real, x_fake, rng: _mixed(x_real, x_fake, rng.random(x_real.shape)),
            "a t of its own for each number",
            "there is a t of its own for each number of x: such a point lies on no line from a real to a fake sample",
        ),
        Wrong(
            lambda x_real, x_fake, rng: _mixed(x_real, x_fake, rng.random()),
            "one t for the whole batch",
            "there is one t for the whole batch: all samples sit at the same share of their lines; draw N of them",
        ),
        Wrong(
            lambda x_real, x_fake, rng: _mixed(x_real, x_fake, rng.standard_normal(_one_each(x_real))),
            "t from the normal distribution",
            "this is t from the normal distribution: two of three points then lie outside, beyond the real sample or "
            "the fake; take rng.random, which is uniform on [0, 1)",
        ),
        Wrong(
            lambda x_real, x_fake, rng: between(x_fake, x_real, rng),
            "t is given to the fake sample",
            "t is given to the fake sample: as good a point, but another one than asked for; t goes to x_real",
        ),
        Wrong(
            lambda x_real, x_fake, rng: _mixed(x_real, x_fake, rng.random(len(x_real))),
            "raised ValueError: operands could not be broadcast",
        ),
    ),
)


# ---- 12.slope_penalty -----------------------------------------------------------------------------------------

EPS = 1e-6


def make_slopes(rng, N):
    """Slopes g (N, height, width, C), some shorter and some longer than 1, and in a larger batch one that is zero."""
    g = draw(rng, (N, *sizes(rng, N, 3)))
    lengths = rng.choice([0.3, 0.7, 1.6, 2.5], N)
    g *= (lengths / np.sqrt((g**2).sum(axis=(1, 2, 3))))[:, None, None, None]
    if N > 1:
        g[N // 2] = 0
    return {"g": g, "weight": 3.0}


def _penalty(g, weight, axes=(1, 2, 3), power=0.5, unit=True, mean=True, eps=EPS):
    """P and u; the words name what can be wrong with it."""
    length = (g * g).sum(axis=axes, keepdims=True) ** power
    samples = length.size if mean else 1
    direction = g / (np.maximum(length, eps) if unit else 1)
    return weight * ((length - 1) ** 2).sum() / samples, 2 * weight / samples * (length - 1) * direction


def slope_penalty(g, weight):
    return _penalty(g, weight)


SLOPE_PENALTY = Exercise(
    name="12.slope_penalty",
    asked="P = weight * mean over the samples of (|g_n| - 1)^2, a number, and u = dP/dg, an array of g's shape",
    make=make_slopes,
    solution=slope_penalty,
    returns=("P", "u"),
    wrong=(
        Wrong(
            lambda g, weight: _penalty(g, weight, axes=(3,)),
            "over the last axis only",
            "the length is taken over the last axis only, one for each pixel: it is one for each sample, over all of "
            "its axes",
        ),
        Wrong(
            lambda g, weight: _penalty(g, weight, axes=(0, 1, 2, 3)),
            "one length for the whole batch",
            "there is one length for the whole batch: each sample has its own",
        ),
        Wrong(
            lambda g, weight: _penalty(g, weight, mean=False),
            "the sum over the samples where their mean stands",
            "this is the sum over the samples where their mean stands: a factor of N",
        ),
        Wrong(
            lambda g, weight: _penalty(g, weight, unit=False),
            "the derivative of the length is missing",
            "the derivative of the length is missing: by the chain rule, (|g| - 1)^2 gives 2 (|g| - 1) times the "
            "derivative of |g|, which is g / |g|",
        ),
        Wrong(
            lambda g, weight: _penalty(g, weight, power=1.0),
            "the squared length",
            "this is the squared length where the length stands: the square root is missing",
        ),
        Wrong(
            lambda g, weight: _penalty(g, weight, eps=0.0),
            "0 / 0 where a slope is zero",
            "it is NaN, from 0 / 0 where a slope is zero: divide by no less than 1e-6, so that u is 0 there",
        ),
    ),
)


# ---- 12.double_backward ---------------------------------------------------------------------------------------


def make_slope(rng, N):
    """A critic, a batch and u; `dy` is u under the name by which the diagnosis knows an upstream gradient."""
    n_in, n_hidden = sizes(rng, N, 2)
    x, u = draw(rng, (N, n_in)), draw(rng, (N, n_in))
    W1, b1, W2 = 0.5 * draw(rng, (n_in, n_hidden)), 0.3 * draw(rng, (n_hidden,)), draw(rng, (n_hidden, 1))
    return {"u": u, "x": x, "h": np.tanh(x @ W1 + b1), "W1": W1, "W2": W2, "b1": b1, "dy": u.copy()}


def slope(x, W1, b1, W2):
    """g (N, I): the critic's slope at each x."""
    h = np.tanh(x @ W1 + b1)
    return ((1 - h**2) * W2.T) @ W1.T


def _second(u, x, h, W1, W2, bend=1, twice=True, by_h=False):
    """The backward of the slope's five lines, of which parts can be left out."""
    p = 1 - h**2
    eta = p * W2.T
    deta = u @ W1
    dp = deta * W2.T
    da = -2 * h * dp * (1 if by_h else p) * bend
    dW1 = x.T @ da + (u.T @ eta if twice else 0)
    return da @ W1.T, dW1, da.sum(axis=0), (deta * p).sum(axis=0)[:, None]


def double_backward(u, x, h, W1, W2):
    return _second(u, x, h, W1, W2)


def _the_first(u, x, h, W1, W2):
    """What the first backward gives: the gradients of sum s."""
    eta = (1 - h**2) * W2.T
    return eta @ W1.T, x.T @ eta, eta.sum(axis=0), h.sum(axis=0)[:, None]


def _flat(u, x, h, W1, W2):
    dx, dW1, db1, dW2 = _second(u, x, h, W1, W2)
    return dx, dW1, db1, dW2[:, 0]


DOUBLE_BACKWARD = Exercise(
    name="12.double_backward",
    asked="dx (N, I), dW1 (I, H), db1 (H,) and dW2 (H, 1) of the slope g = ((1 - h^2) * W2^T) W1^T with "
    "h = tanh(x W1 + b1) (N, H), from u = dP/dg (N, I)",
    make=make_slope,
    solution=double_backward,
    returns=("dx", "dW1", "db1", "dW2"),
    forward=slope,
    wrong=(
        Wrong(
            lambda u, x, h, W1, W2: _second(u, x, h, W1, W2, bend=0),
            "the term with phi'' is missing",
            "the term with phi'' is missing: p = 1 - h^2 depends on h, so from line 3 the gradient goes on to line 2 "
            "and 1; to stop there is right for LeakyReLU only",
        ),
        Wrong(
            lambda u, x, h, W1, W2: _second(u, x, h, W1, W2, twice=False),
            "W1 stands in line 5, too",
            "W1 stands in line 5, too: g = eta W1^T adds u^T eta to what comes back to line 1",
        ),
        Wrong(
            lambda u, x, h, W1, W2: _second(u, x, h, W1, W2, by_h=True),
            "line 2 was not crossed",
            "line 2 was not crossed: -2 h is the derivative of p by h; by a, there is a further tanh' = 1 - h^2",
        ),
        Wrong(
            _the_first,
            "the first backward once more",
            "this is the first backward once more, the gradients of the sum of s; asked is the backward of g, and it "
            "starts from u",
        ),
        Wrong(_flat, "a reshape is missing"),
        Wrong(
            lambda u, x, h, W1, W2: _second(u, x, h, W1, W2, bend=-1),
            "the sign of phi'' is turned",
            "the sign of phi'' is turned: p = 1 - h^2 falls where h^2 grows, so its derivative by h is -2 h",
        ),
    ),
)

EXERCISES = (BETWEEN, SLOPE_PENALTY, DOUBLE_BACKWARD)
