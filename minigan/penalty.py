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
from minigan.layers import Conv, ConvTranspose, Dense, Flatten, LeakyReLU, ReLU, Reshape
from minigan.network import Network, Sequential

KINDS = ("wgan-gp", "r1", "r2")
EPS = 1e-6  # the least length that counts: where g_n = 0 it has no direction


def gradient_penalty(D: Network, x: Array, kind: str = "wgan-gp", weight: float = 10.0) -> Array:
    """Adds dP/dtheta to `D.grad` and returns P, 0-d.        x (N, ...)

    Raises ValueError for another kind, and from a batch norm in D: it mixes samples, and g_n would be of them all.
    """
    if kind not in KINDS:
        raise ValueError(f'There is no penalty "{kind}"; there are {", ".join(KINDS)}.')
    logits, cache = D.forward(x)
    ones = xp.ones_like(logits)
    etas: list[Array] = []
    g = D.backward(ones, cache, param_grads=False, seen=etas)
    value, u = slope_penalty(g, kind, weight)
    _, tangent_caches = D.tangent(u, cache)
    D.tangent_backward(None, etas, cache, tangent_caches)
    return value


def slope_penalty(g: Array, kind: str, weight: float) -> tuple[Array, Array]:
    """P of the gradients g (N, ...), 0-d, and u = dP/dg, (N, ...)."""
    squares = (g * g).sum(axis=tuple(range(1, g.ndim)), keepdims=True)  # (N, 1, ...)
    if kind != "wgan-gp":
        return weight / 2 * squares.mean(), weight / len(g) * g
    length = xp.maximum(xp.sqrt(squares), EPS)
    return weight * ((length - 1) ** 2).mean(), 2 * weight / len(g) * (1 - 1 / length) * g


def between(x_real: Array, x_fake: Array, rng: Any) -> Array:
    """A point on the line from each real sample to a fake one, uniformly drawn: (N, ...), (N, ...) -> (N, ...)."""
    t = rng.random((len(x_real), *(1 for _ in x_real.shape[1:])), dtype="float32")
    return t * x_real + (1 - t) * x_fake


STRAIGHT = (Dense, Conv, ConvTranspose, ReLU, LeakyReLU, Flatten, Reshape)  # layers of straight pieces


def is_straight(D: Network) -> bool:
    """Is D a chain of layers that nowhere bend, so that `straight_critic` holds for it?"""
    return isinstance(D, Sequential) and all(isinstance(layer, STRAIGHT) for layer in D.layers)


def straight_critic(
    D: Sequential, x_real: Array, x_fake: Array, x_between: Array, weight: float = 10.0
) -> tuple[Array, Array, Array]:
    """All of WGAN-GP's critic loss at once: adds its gradient, and returns it with both logits, (N, 1).

    L = mean(D(x_fake)) - mean(D(x_real)) + weight mean_n (|g_n| - 1)^2, g at x_between; each (N, ...)

    For a D of straight pieces, the gradient of the penalty on a layer's W is x_dot^T eta, and that of the rest is
    x^T dy: so real, fake and between go forward and back as one batch, and when the rows between have their tangent
    x_dot in the place of x, one product [x_real; x_fake; x_dot]^T [dy_real; dy_fake; eta] gives both.
    Raises ValueError for a D that bends: there, the gradient has another part (`gradient_penalty` has it).
    """
    if not is_straight(D):
        raise ValueError(f"This D is not a chain of straight layers: take d_step with a penalty. It is {D!r}.")
    n = len(x_real)
    logits, cache = D.forward(xp.concatenate([x_real, x_fake, x_between]))  # (3N, 1)
    seed = xp.concatenate(
        [xp.full_like(logits[:n], -1 / n), xp.full_like(logits[:n], 1 / n), xp.ones_like(logits[:n])]
    )
    between = lambda its_cache: its_cache[2 * n :] if hasattr(its_cache, "dtype") else its_cache  # or a shape
    first = next(i for i, layer in enumerate(D.layers) if layer.params)
    etas, dy = [], seed
    for i in reversed(range(len(D.layers))):
        etas.insert(0, dy)
        if i > first:
            dy = D.layers[i].backward(dy, cache.layers[i], param_grads=False)
        else:  # below here, nobody asks for more than the gradient at the points between
            dy = D.layers[i].backward(dy[-n:], between(cache.layers[i]), param_grads=False)
    penalty, x_dot = slope_penalty(dy, "wgan-gp", weight)
    for layer, its_cache, eta in zip(D.layers, cache.layers, etas):
        if layer.params:
            its_cache[2 * n :] = x_dot  # the cache is x, and no layer after this one looks at its rows between
            layer.backward(eta, its_cache, input_grad=False)
            if "b" in layer.params:  # b moves no slope: take away what the rows between have brought
                layer.grads["b"] -= eta[2 * n :].reshape(-1, eta.shape[-1]).sum(axis=0)
            x_dot, _ = layer.tangent(x_dot, None)
        else:
            x_dot, _ = layer.tangent(x_dot, between(its_cache))
    return logits[n : 2 * n].mean() - logits[:n].mean() + penalty, logits[:n], logits[n : 2 * n]


# ---- as steps.d_step takes them ------------------------------------------------------------------------------------

Penalty = Callable[[Network, Array, Array], Array]


def of_kind(kind: str, weight: float, rng: Any) -> Penalty:
    """One of the three below by its name. Raises ValueError for another."""
    made = {"wgan-gp": lambda: wgan_gp(rng, weight), "r1": lambda: r1(weight), "r2": lambda: r2(weight)}
    if kind not in made:
        raise ValueError(f'There is no penalty "{kind}"; there are {", ".join(KINDS)}.')
    return made[kind]()


def wgan_gp(rng: Any, weight: float = 10.0) -> Penalty:
    """Slopes of length 1 between real and fake, at points that `rng` draws; goes with the loss wasserstein."""
    return lambda D, x_real, x_fake: gradient_penalty(D, between(x_real, x_fake, rng), "wgan-gp", weight)


def r1(weight: float = 10.0) -> Penalty:
    """Flat at the real samples; goes with any loss."""
    return lambda D, x_real, x_fake: gradient_penalty(D, x_real, "r1", weight)


def r2(weight: float = 10.0) -> Penalty:
    """Flat at the fake samples; goes with any loss."""
    return lambda D, x_real, x_fake: gradient_penalty(D, x_fake, "r2", weight)
