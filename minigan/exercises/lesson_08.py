"""Lesson 08, "What does batch norm do to a GAN?": its exercises.

N samples, C channels. gamma, beta, and the running mean and var are (C,).
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 08.batch_norm_backward -----------------------------------------------------------------------------------


def make_batch(rng, N):
    """A batch x (N, C) with unequal means and spreads; eps is so large that it cannot be forgotten unseen."""
    (C,) = sizes(rng, N, 1)
    x = draw(rng, (N, C)) * (0.5 + rng.random(C)) + draw(rng, (C,))
    return {"dy": draw(rng, (N, C)), "x": x, "gamma": draw(rng, (C,)), "beta": draw(rng, (C,)), "eps": 0.05}


def normalised(x, eps, ddof=0):
    """xhat (N, C) and sqrt(var + eps) (C,) by the batch's own statistics."""
    s = np.sqrt(x.var(axis=0, ddof=ddof) + eps)
    return (x - x.mean(axis=0)) / s, s


def _backward(dy, x, gamma, eps, of_mean=True, of_var=True, sums=False, ddof=0):
    """The backward pass, of which parts can be left out."""
    xhat, s = normalised(x, eps, ddof)
    g = gamma * dy
    times = len(x) if sums else 1
    dx = g - of_mean * times * g.mean(axis=0) - of_var * times * xhat * (g * xhat).mean(axis=0)
    return dx / s, (dy * xhat).sum(axis=0), dy.sum(axis=0)


def batch_norm_backward(dy, x, gamma, eps):
    return _backward(dy, x, gamma, eps)


def _without_gamma(dy, x, gamma, eps):
    return _backward(dy, x, np.ones_like(gamma), eps)


BATCH_NORM_BACKWARD = Exercise(
    name="08.batch_norm_backward",
    asked="dx (N, C), dgamma (C,) and dbeta (C,) of batch norm in training, from dy (N, C), x (N, C), gamma and eps",
    make=make_batch,
    solution=batch_norm_backward,
    returns=("dx", "dgamma", "dbeta"),
    forward=lambda x, gamma, beta, eps: gamma * normalised(x, eps)[0] + beta,
    single=False,  # x minus its own mean is 0, whatever x is
    wrong=(
        Wrong(
            lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, of_mean=False),
            "the mean's gradient is forgotten",
            "the mean's gradient is forgotten: x also moves the mean of its channel, and with it all other samples",
        ),
        Wrong(
            lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, of_var=False),
            "the variance's gradient is forgotten",
            "the variance's gradient is forgotten: x also moves the variance, by which all samples are divided",
        ),
        Wrong(
            lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, of_mean=False, of_var=False),
            "treated as constants",
            "mean and variance are treated as constants; so it is in inference, but in training they depend on x",
        ),
        Wrong(
            lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, ddof=1),
            "divided by N - 1",
            "the variance is divided by N - 1, but forward divided it by N: backward must use what forward used",
        ),
        Wrong(
            lambda dy, x, gamma, eps: _backward(dy, x, gamma, eps, sums=True),
            "not divided by N",
            "a sum over the batch is not divided by N: mean and variance are means, so each sample gets 1/N",
        ),
        Wrong(_without_gamma, "the factor gamma is missing"),
    ),
)


# ---- 08.running_statistics ------------------------------------------------------------------------------------


def make_running(rng, N):
    """Running statistics, and a batch x (N, C) that is far from them."""
    (C,) = sizes(rng, N, 1)
    x = draw(rng, (N, C)) * (1 + rng.random(C)) + 2 * draw(rng, (C,))
    decay = float(rng.choice([0.8, 0.9, 0.95]))
    return {"mean": draw(rng, (C,)), "var": 0.5 + rng.random(C), "x": x, "decay": decay}


def running_statistics(mean, var, x, decay):
    return decay * mean + (1 - decay) * x.mean(axis=0), decay * var + (1 - decay) * x.var(axis=0, ddof=1)


def _in_place(mean, var, x, decay):
    mean *= decay
    mean += (1 - decay) * x.mean(axis=0)
    return mean, decay * var + (1 - decay) * x.var(axis=0, ddof=1)


def _around_the_running_mean(mean, var, x, decay):
    new_mean, _ = running_statistics(mean, var, x, decay)
    return new_mean, decay * var + (1 - decay) * ((x - new_mean) ** 2).sum(axis=0) / (len(x) - 1)


RUNNING_STATISTICS = Exercise(
    name="08.running_statistics",
    asked="the running mean (C,) and var (C,) after one more batch x (N, C); decay is the share of the old ones",
    make=make_running,
    solution=running_statistics,
    returns=("the mean", "the var"),
    single=False,  # the unbiased variance of one number is 0 / 0
    wrong=(
        Wrong(
            lambda mean, var, x, decay: running_statistics(mean, var, x, 1 - decay),
            "the wrong way round",
            "the momentum is the wrong way round: decay is the share of the old value, and the batch gets 1 - decay",
        ),
        Wrong(
            lambda mean, var, x, decay: (
                running_statistics(mean, var, x, decay)[0],
                decay * var + (1 - decay) * x.var(axis=0),
            ),
            "the biased variance",
            "this keeps the biased variance, divided by N; the running one takes the unbiased one, divided by N - 1",
        ),
        Wrong(
            lambda mean, var, x, decay: (
                running_statistics(mean, var, x, decay)[0],
                decay * var + (1 - decay) * x.std(axis=0, ddof=1),
            ),
            "standard deviation",
            "the batch's standard deviation is mixed into a running variance: leave out the square root",
        ),
        Wrong(
            lambda mean, var, x, decay: running_statistics(mean, var, x, 0.0),
            "the old value is forgotten",
            "the old value is forgotten: these are the statistics of this batch alone",
        ),
        Wrong(
            _around_the_running_mean,
            "around the running mean",
            "the batch's variance is taken around the running mean, and so holds the distance of the two means as "
            "well; take it around the batch's own mean",
        ),
        Wrong(_in_place, "leaves its input mean changed"),
    ),
)


# ---- 08.eval_backward ------------------------------------------------------------------------------


def make_eval(rng, N):
    """A batch x (N, C), and running statistics of another batch."""
    made = make_batch(rng, N)
    C = len(made["gamma"])
    return made | {"mean": draw(rng, (C,)), "var": 0.5 + rng.random(C)}


def eval_backward(dy, x, gamma, mean, var, eps):
    scale = 1 / np.sqrt(var + eps)
    return dy * gamma * scale, (dy * (x - mean)).sum(axis=0) * scale, dy.sum(axis=0)


def _with_batch_terms(dy, x, gamma, mean, var, eps):
    s = np.sqrt(var + eps)
    xhat, g = (x - mean) / s, gamma * dy
    dx = (g - g.mean(axis=0) - xhat * (g * xhat).mean(axis=0)) / s
    return dx, (dy * xhat).sum(axis=0), dy.sum(axis=0)


def _by_the_batch(dy, x, gamma, mean, var, eps):
    return eval_backward(dy, x, gamma, x.mean(axis=0), x.var(axis=0), eps)


def _without_root(dy, x, gamma, mean, var, eps):
    dx, dgamma, dbeta = eval_backward(dy, x, gamma, mean, var, eps)
    s = np.sqrt(var + eps)
    return dx / s, dgamma / s, dbeta


def _dgamma_of_x(dy, x, gamma, mean, var, eps):
    dx, _, dbeta = eval_backward(dy, x, gamma, mean, var, eps)
    return dx, (dy * x).sum(axis=0), dbeta


def _no_gradient(dy, x, gamma, mean, var, eps):
    dx, dgamma, dbeta = eval_backward(dy, x, gamma, mean, var, eps)
    return 0 * dx, dgamma, dbeta


def _not_summed(dy, x, gamma, mean, var, eps):
    dx, _, dbeta = eval_backward(dy, x, gamma, mean, var, eps)
    return dx, dy * (x - mean) / np.sqrt(var + eps), dbeta


EVAL_BACKWARD = Exercise(
    name="08.eval_backward",
    asked="dx (N, C), dgamma (C,) and dbeta (C,) of batch norm in inference, from dy (N, C), x (N, C), gamma, the "
    "running mean and var, and eps",
    make=make_eval,
    solution=eval_backward,
    returns=("dx", "dgamma", "dbeta"),
    forward=lambda x, gamma, beta, mean, var, eps: gamma * (x - mean) / np.sqrt(var + eps) + beta,
    wrong=(
        Wrong(
            _with_batch_terms,
            "two sums of the training form",
            "dx has the two sums of the training form: here mean and var are constants, so no sample moves another",
        ),
        Wrong(
            _by_the_batch,
            "the batch's own mean and variance",
            "this goes by the batch's own mean and variance, but forward went by the running ones",
        ),
        Wrong(
            _without_root,
            "the square root is missing",
            "the square root is missing: forward divides by sqrt(var + eps)",
        ),
        Wrong(
            _dgamma_of_x,
            "where xhat should stand",
            "dgamma has x where xhat should stand: gamma was multiplied by xhat = (x - mean) / sqrt(var + eps)",
        ),
        Wrong(_no_gradient, "zero where it should not be: the gradient never arrives here"),
        Wrong(_not_summed, "missing sum over the batch"),
    ),
)

EXERCISES = (BATCH_NORM_BACKWARD, RUNNING_STATISTICS, EVAL_BACKWARD)
