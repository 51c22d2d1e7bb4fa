"""One step of the game, in plain sight.

Data flows one way: z, x_fake, logits, dlogits, dx, grads. N samples a batch. Nothing is frozen and nothing is
detached: a player's step just does not ask for the other's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.backend import Array, xp
from minigan.losses import Loss
from minigan.network import Network, Sequential
from minigan.optim import Optimizer
from minigan.penalty import straight_critic

Trace = dict[str, Any]  # what a step leaves to look at, under the names used below


def d_step(
    G: Network,
    D: Network,
    optimizer: Optimizer,
    loss: Loss,
    x_real: Array,
    z: Array,
    trace: Trace | None = None,
    penalty: Callable[[Network, Array, Array], Array] | None = None,
) -> Array:
    """D learns to tell x_real (N, ...) from G(z), z (N, ...); G does not move. Returns D's loss, 0-d.

    (Goodfellow et al. 2014, algorithm 1, the inner step.) A dict given as `trace` receives every intermediate value.
    A `penalty` adds its gradient to D's, and its value to the loss.
    """
    x_fake, _ = G.forward(z)  # no cache kept: nothing flows into G
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    value, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    if penalty is not None:  # minigan.penalty: wgan_gp, r1, r2
        value = value + penalty(D, x_real, x_fake)
    optimizer.step()
    if trace is not None:
        trace.update(x_real=x_real, x_fake=x_fake, real_logits=real_logits, fake_logits=fake_logits)
        trace.update(d_value=value, d_real=d_real, d_fake=d_fake, real_cache=real_cache, fake_cache=fake_cache)
    return value


def stacked_d_step(
    G: Network,
    D: Network,
    optimizer: Optimizer,
    loss: Loss,
    x_real: Array,
    z: Array,
    trace: Trace | None = None,
    penalty: Callable[[Network, Array, Array], Array] | None = None,
) -> Array:
    """`d_step` in fewer, larger products: D sees real and fake in one batch of 2N rows.

    The numbers are d_step's, for every D that treats each sample on its own. Batch norm mixes samples, and real
    and fake together are another batch than each alone: with it, use d_step.
    """
    x_fake, _ = G.forward(z)
    logits, cache = D.forward(xp.concatenate([x_real, x_fake]))  # (2N, ...): real above fake
    n = len(logits) // 2
    value, d_real, d_fake = loss.discriminator(logits[:n], logits[n:])
    D.zero_grad()
    D.backward(xp.concatenate([d_real, d_fake]), cache, input_grad=False)
    if penalty is not None:
        value = value + penalty(D, x_real, x_fake)
    optimizer.step()
    if trace is not None:
        trace.update(x_real=x_real, x_fake=x_fake, real_logits=logits[:n], fake_logits=logits[n:])
        trace.update(d_value=value, d_real=d_real, d_fake=d_fake, cache=cache)
    return value


def g_step(G: Network, D: Network, optimizer: Optimizer, loss: Loss, z: Array, trace: Trace | None = None) -> Array:
    """G learns to pass for real at D, which does not move. Returns G's loss, 0-d.

    The gradient passes through D to its input and from there into G (algorithm 1, the outer step).
    """
    x_fake, g_cache = G.forward(z)
    fake_logits, d_cache = D.forward(x_fake)
    value, d_fake = loss.generator(fake_logits)
    dx_fake = D.backward(d_fake, d_cache, param_grads=False)
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(z=z, g_x_fake=x_fake, g_fake_logits=fake_logits, g_value=value)
        trace.update(g_d_fake=d_fake, dx_fake=dx_fake, g_cache=g_cache, d_cache=d_cache)
    return value


# ---- variants: what differs from the two steps above, and no more ----------------------------------------------


def simultaneous_step(
    G: Network, D: Network, G_optimizer: Optimizer, D_optimizer: Optimizer, loss: Loss, x_real: Array, z: Array
) -> tuple[Array, Array]:
    """Both players move at once, each from where the other stood: one forward pass serves both. Returns both losses.

    (Simultaneous gradient descent; Mescheder et al. 2018, section 3.)
    """
    x_fake, g_cache = G.forward(z)
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    d_value, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    g_value, g_fake = loss.generator(fake_logits)
    dx_fake = D.backward(g_fake, fake_cache, param_grads=False)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    D_optimizer.step()
    G_optimizer.step()
    return d_value, g_value


def clipped_d_step(
    G: Network,
    D: Network,
    optimizer: Optimizer,
    loss: Loss,
    x_real: Array,
    z: Array,
    trace: Trace | None = None,
    clip: float = 0.01,
) -> Array:
    """d_step, and then every weight of D lies in [-clip, clip]: a crude way to bound D's slope.

    (WGAN: Arjovsky et al. 2017, algorithm 1, with the loss wasserstein, RMSProp and five such steps for each of G's.)
    """
    value = d_step(G, D, optimizer, loss, x_real, z, trace)
    D.theta = xp.clip(D.theta, -clip, clip)
    return value


def wgan_gp_d_step(
    G: Network,
    D: Sequential,
    optimizer: Optimizer,
    x_real: Array,
    z: Array,
    between: Callable[[Array, Array], Array],
    weight: float = 10.0,
    trace: Trace | None = None,
) -> Array:
    """d_step with the loss wasserstein and the penalty wgan_gp, for a D of straight pieces, in larger products.

    between: of x_real and x_fake, where the penalty is taken. The numbers are d_step's. (Gulrajani et al. 2017.)
    """
    x_fake, _ = G.forward(z)
    D.zero_grad()
    value, real_logits, fake_logits = straight_critic(D, x_real, x_fake, between(x_real, x_fake), weight)
    optimizer.step()
    if trace is not None:
        trace.update(x_real=x_real, x_fake=x_fake, real_logits=real_logits, fake_logits=fake_logits, d_value=value)
    return value


def feature_matching_g_step(
    G: Network, D: Network, optimizer: Optimizer, x_real: Array, z: Array, upto: int, trace: Trace | None = None
) -> Array:
    """G's fakes shall have the real samples' mean features, D's values after its first `upto` layers.

    L = |mean_n f(G(z_n)) - mean_n f(x_n)|^2        (Salimans et al. 2016, section 3.1)
    """
    x_fake, g_cache = G.forward(z)
    real_features, _ = D.forward(x_real, upto=upto)
    fake_features, d_cache = D.forward(x_fake, upto=upto)
    gap = fake_features.mean(axis=0) - real_features.mean(axis=0)  # (...)
    value = (gap * gap).sum()
    d_features = xp.broadcast_to(2 / len(fake_features) * gap, fake_features.shape)
    dx_fake = D.backward(d_features, d_cache, param_grads=False)
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(z=z, g_x_fake=x_fake, g_value=value, dx_fake=dx_fake, g_cache=g_cache, d_cache=d_cache)
    return value


def unrolled_g_step(
    G: Network,
    D: Network,
    optimizer: Optimizer,
    loss: Loss,
    x_real: Array,
    z: Array,
    steps: int = 5,
    lr: float = 0.1,
    trace: Trace | None = None,
) -> Array:
    """G learns against the D that would answer: D after `steps` steps of gradient descent; then D is put back.

    theta_{k+1} = theta_k - lr dL_D/dtheta(theta_k, x_fake), and G's loss L_G is taken at theta_K. It depends on
    x_fake directly, and through every theta_k. Backward through the steps, with pull_K = dL_G/dtheta_K:

        dx_fake -= lr d<pull, dL_D/dtheta>/dx_fake        pull <- pull - lr d<pull, dL_D/dtheta>/dtheta

    Both are derivatives of L_D's gradient in the direction pull, here a central difference of two ordinary backward
    passes. With steps=0 it is g_step. (Metz et al. 2017, equations 7 to 11.)
    """
    x_fake, g_cache = G.forward(z)
    path = [D.theta.copy()]
    for _ in range(steps):
        d_gradients(D, loss, x_real, x_fake)
        D.theta = D.theta - lr * D.grad
        path.append(D.theta.copy())
    fake_logits, d_cache = D.forward(x_fake)
    value, d_fake = loss.generator(fake_logits)
    D.zero_grad()
    dx_fake = D.backward(d_fake, d_cache)
    pull = D.grad.copy()
    for theta in path[-2::-1]:
        # so far that neither rounding nor curvature matters: eps^(1/3) of theta's length
        h = xp.finfo(theta.dtype).eps ** (1 / 3) * xp.sqrt((theta @ theta) / (pull @ pull + 1e-30))
        D.theta = theta + h * pull
        dx_after, after = d_gradients(D, loss, x_real, x_fake), D.grad.copy()
        D.theta = theta - h * pull
        dx_before, before = d_gradients(D, loss, x_real, x_fake), D.grad
        dx_fake = dx_fake - lr / (2 * h) * (dx_after - dx_before)
        pull = pull - lr / (2 * h) * (after - before)
    D.theta = path[0]
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(z=z, g_x_fake=x_fake, g_value=value, dx_fake=dx_fake, g_cache=g_cache, g_fake_logits=fake_logits)
    return value


def d_gradients(D: Network, loss: Loss, x_real: Array, x_fake: Array) -> Array:
    """D's loss, differentiated by theta into `D.grad` and by x_fake, which is returned."""
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    _, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    return D.backward(d_fake, fake_cache)
