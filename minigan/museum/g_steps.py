"""Steps of G that move nothing, or by a gradient that is not G's.

    theta_G <- theta_G - lr (dx/dtheta_G)^T dL_G/dx,    dL_G/dx = (dlogits/dx)^T dL_G/dlogits: back through D

z (N, 2), x (N, 2), logits (N, 1).
"""

from __future__ import annotations

import numpy as np

from minigan.layers.activations import sigmoid
from minigan.losses import non_saturating as game
from minigan.museum.exhibit import Exhibit, batches, g_gradient, need, players
from minigan.optim import SGD


def g_steps(step) -> list[float]:
    """G's losses over ten of its steps: step(G, D, optimizer, z) -> value."""
    (G, D), (_, z) = players(), batches()
    optimizer = SGD(G, 0.1)
    return [float(step(G, D, optimizer, z)) for _ in range(10)]


# ---- caches thrown away before they are used ----------------------------------------------------------------------


def flush_then_backward(G, D, optimizer, z):
    x, caches = z, []
    for layer in G.layers:
        x, cache = layer.forward(x)
        caches.append(cache)
    value, dx = g_gradient(D, x)
    G.zero_grad()
    caches.clear()  # "flush" was to mean zero_grad, and it empties this list as well
    for layer, cache in zip(G.layers[::-1], caches[::-1]):  # runs zero times, and says nothing
        dx = layer.backward(dx, cache)
    optimizer.step()
    return value


def backward_then_flush(G, D, optimizer, z):
    x, caches = z, []
    for layer in G.layers:
        x, cache = layer.forward(x)
        caches.append(cache)
    value, dx = g_gradient(D, x)
    G.zero_grad()
    for layer, cache in zip(G.layers[::-1], caches[::-1], strict=True):
        dx = layer.backward(dx, cache)
    caches.clear()
    optimizer.step()
    return value


def weights_move(step):
    (G, D), (_, z) = players(), batches()
    before, optimizer = G.theta.copy(), SGD(G, 0.1)
    for _ in range(10):
        step(G, D, optimizer, z)
    moved = np.abs(G.theta - before).max()
    need(moved > 0, f"After ten of G's steps its weights have moved by {moved:.1f} at most.")


FLUSHED = Exhibit(
    name="flushed-before-backward",
    title="G's caches are cleared before its backward",
    wrong="theta_G <- theta_G - lr dL_G/dtheta_G, with a gradient of 0: a loop over an emptied list runs zero "
    "times, and nothing complains.",
    symptom="Both losses move, because D learns. G draws at the end what it drew at the start.",
    seen_in="seen in numpy-ml's WGAN-GP, where 300 of G's steps moved no weight; thanks for the open code that let "
    "this be measured",
    lesson=5,
    silent=True,
    which="weights move",
    bug=flush_then_backward,
    mend=backward_then_flush,
    check=weights_move,
    use=g_steps,
)


# ---- a gradient that goes around the critic -----------------------------------------------------------------------


def around_the_critic(G, D, optimizer, z):
    x, cache = G.forward(z)
    logits, _ = D.forward(x)
    value, d_fake = game.generator(logits)
    G.zero_grad()
    G.backward(np.broadcast_to(d_fake, x.shape), cache)  # the gradient on the logits, where that on x belongs
    optimizer.step()
    return value


def through_the_critic(G, D, optimizer, z):
    x, cache = G.forward(z)
    logits, d_cache = D.forward(x)
    value, d_fake = game.generator(logits)
    G.zero_grad()
    G.backward(D.backward(d_fake, d_cache, param_grads=False), cache)
    optimizer.step()
    return value


def direction_depends_on_d(step):
    """A D that judges by s(-x), the mirror image of s(x), wants the fakes elsewhere."""
    (G, D), (_, z), found = players(), batches(), []
    for sign in (1, -1):
        D.params["0.W"][...] *= sign
        step(G, D, SGD(G, 1e-12), z)
        found.append(G.grad / np.linalg.norm(G.grad))
    turned = float(np.degrees(np.arccos(np.clip(found[0] @ found[1], -1, 1))))
    need(turned > 45, f"Under a D that judges by -x instead of x, G's gradient turns by {turned:.0f} degrees.")


AROUND = Exhibit(
    name="around-the-critic",
    title="G gets the gradient on D's output, not on D's input",
    wrong="dL_G/dx = (ds/dx)^T dL_G/ds. The factor of D is missing: what D computes plays no part in where G goes.",
    symptom="G drifts off in one direction, D finds it out, G's loss grows, and one blames D for being too strong.",
    seen_in="seen in numpy-ml's WGAN-GP, beside the exhibit before; and in learners' first loops",
    lesson=5,
    silent=True,
    which="another D, another gradient",
    bug=around_the_critic,
    mend=through_the_critic,
    check=direction_depends_on_d,
    use=g_steps,
)


# ---- fakes labelled fake in G's step ------------------------------------------------------------------------------


def helps_to_be_found_out(G, D, optimizer, z):
    x, cache = G.forward(z)
    logits, d_cache = D.forward(x)
    d_fake = sigmoid(logits) / len(logits)  # down -log(1 - D): the label 0, as in D's own step
    G.zero_grad()
    G.backward(D.backward(d_fake, d_cache, param_grads=False), cache)
    optimizer.step()
    return -np.log(1 - sigmoid(logits)).mean()


def wants_to_pass(G, D, optimizer, z):
    x, cache = G.forward(z)
    logits, d_cache = D.forward(x)
    d_fake = (sigmoid(logits) - 1) / len(logits)  # down -log D: the label 1
    G.zero_grad()
    G.backward(D.backward(d_fake, d_cache, param_grads=False), cache)
    optimizer.step()
    return -np.log(sigmoid(logits)).mean()


def one_step_raises_d_of_fakes(step):
    (G, D), (_, z) = players(), batches()
    before = sigmoid(D(G(z))).mean()
    step(G, D, SGD(G, 0.3), z)
    after = sigmoid(D(G(z))).mean()
    need(after > before, f"One step of G takes the mean of D(G(z)) from {before:.3f} down to {after:.3f}.")


WRONG_LABEL = Exhibit(
    name="fakes-labelled-fake",
    title="G's loss gives its fakes the label 0",
    wrong="G descends -log D(G(z)). With the label of D's step it descends -log(1 - D(G(z))) and helps to be found "
    "out.",
    symptom="Both losses fall, which looks like two networks that learn. Both learn the same thing.",
    seen_in="seen in two tutorials, for social media and for film, whose text says that G wants a low probability; "
    "and asked about in a collection of GANs (Zeleni9's, issue 51)",
    lesson=5,
    silent=True,
    which="one G step raises D(G(z))",
    bug=helps_to_be_found_out,
    mend=wants_to_pass,
    check=one_step_raises_d_of_fakes,
    use=g_steps,
)


EXHIBITS = (FLUSHED, AROUND, WRONG_LABEL)
