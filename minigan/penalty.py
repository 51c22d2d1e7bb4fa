"""Gradient penalties, and their gradient by hand: a derivative of a derivative, with two more sweeps through D.

The penalty looks at g_n = dD/dx at each sample x_n, (...) as x_n, and its length |g_n| over all axes of the sample:

    wgan-gp    P = weight mean_n (|g_n| - 1)^2        (Gulrajani et al. 2017, at points between real and fake)
    r1, r2     P = weight / 2 mean_n |g_n|^2          (Mescheder et al. 2018, at real ones: r1; at fakes: r2)

P depends on theta through g. With u_n = dP/dg_n, held constant, dP/dtheta = d/dtheta sum_n <u_n, g_n>, and <u_n, g_n>
is D's slope along u_n: what the tangent sweep computes. So four sweeps give it, each a map of every layer:

    forward             x -> logits          the activations
    backward            1 -> g               the gradients at x; then u
    tangent             u -> slopes          how the logits move when x moves along u
    tangent_backward    1 -> dP/dtheta       backward through the first and the third at once
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.backend import Array, xp
from minigan.network import Network

KINDS = ("wgan-gp", "r1", "r2")
EPS = 1e-12  # under the root: |g_n| has no slope at g_n = 0


def gradient_penalty(D: Network, x: Array, kind: str = "wgan-gp", weight: float = 10.0) -> Array:
    """Adds dP/dtheta to `D.grad` and returns P, 0-d.        x (N, ...)

    Raises ValueError for another kind, and from a batch norm in D: it mixes samples, and g_n would be of them all.
    """
    if kind not in KINDS:
        raise ValueError(f'There is no penalty "{kind}"; there are {", ".join(KINDS)}.')
    logits, cache = D.forward(x)
    ones = xp.ones_like(logits)
    g = D.backward(ones, cache, param_grads=False)
    axes = tuple(range(1, g.ndim))
    squares = (g * g).sum(axis=axes, keepdims=True)  # (N, 1, ...)
    if kind == "wgan-gp":
        length = xp.sqrt(squares + EPS)
        value = weight * ((length - 1) ** 2).mean()
        u = 2 * weight / len(x) * (1 - 1 / length) * g
    else:
        value = weight / 2 * squares.mean()
        u = weight / len(x) * g
    _, tangent_caches = D.tangent(u, cache)
    D.tangent_backward(None, ones, cache, tangent_caches)
    return value


def between(x_real: Array, x_fake: Array, rng: Any) -> Array:
    """A point on the line from each real sample to a fake one, uniformly drawn: (N, ...), (N, ...) -> (N, ...)."""
    t = rng.random((len(x_real), *(1 for _ in x_real.shape[1:])), dtype="float32")
    return t * x_real + (1 - t) * x_fake


# ---- as steps.d_step takes them ------------------------------------------------------------------------------------

Penalty = Callable[[Network, Array, Array], Array]


def wgan_gp(rng: Any, weight: float = 10.0) -> Penalty:
    """Slopes of length 1 between real and fake, at points that `rng` draws; goes with the loss wasserstein."""
    return lambda D, x_real, x_fake: gradient_penalty(D, between(x_real, x_fake, rng), "wgan-gp", weight)


def r1(weight: float = 10.0) -> Penalty:
    """Flat at the real samples; goes with any loss."""
    return lambda D, x_real, x_fake: gradient_penalty(D, x_real, "r1", weight)


def r2(weight: float = 10.0) -> Penalty:
    """Flat at the fake samples; goes with any loss."""
    return lambda D, x_real, x_fake: gradient_penalty(D, x_fake, "r2", weight)
