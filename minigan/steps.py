"""One step of the game, in plain sight.

Data flows one way: z, x_fake, logits, dlogits, dx, grads. N samples a batch. Nothing is frozen and nothing is
detached: a player's step just does not ask for the other's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigan.backend import Array, xp
from minigan.losses import Loss
from minigan.network import Network
from minigan.optim import Optimizer

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
) -> Array:
    """`d_step` in fewer, larger products: D sees real and fake in one batch of 2N rows.

    The numbers are d_step's, for every D that treats each sample on its own. Batch norm mixes samples, and real
    and fake together are another batch than each alone: with it, use d_step.
    """
    x_fake, _ = G.forward(z)
    n = len(x_real)
    logits, cache = D.forward(xp.concatenate([x_real, x_fake]))  # (2N, ...): real above fake
    value, d_real, d_fake = loss.discriminator(logits[:n], logits[n:])
    D.zero_grad()
    D.backward(xp.concatenate([d_real, d_fake]), cache, input_grad=False)
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
