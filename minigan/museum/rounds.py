"""Rounds of the game in which a loss reaches the wrong network, or no network at all.

D's step    theta_D <- theta_D - lr dL_D/dtheta_D        and G stays as it is, bit for bit
G's step    theta_G <- theta_G - lr dL_G/dtheta_G        and D stays
"""

from __future__ import annotations

import numpy as np

from minigan.museum.exhibit import Exhibit, batches, d_gradient, g_gradient, need, players
from minigan.optim import SGD


def rounds(play) -> list[float]:
    """The losses of ten rounds: play(G, D, G_optimizer, D_optimizer, x_real, z) -> (D's loss, G's)."""
    (G, D), (x_real, z) = players(), batches()
    optimizers = SGD(G, 0.1), SGD(D, 0.1)
    return [value for _ in range(10) for value in play(G, D, *optimizers, x_real, z)]


# ---- D's step moves G ---------------------------------------------------------------------------------------------


def one_optimizer_for_all_variables(G, D, G_optimizer, D_optimizer, x_real, z):
    x, cache = G.forward(z)
    G.zero_grad()
    D.zero_grad()
    value, dx = d_gradient(D, x_real, x)
    G.backward(dx, cache)
    D_optimizer.step()
    G_optimizer.step()  # minimize(L_D) over all variables that L_D depends on
    return value, g_gradient(D, G(z))[0]


def an_optimizer_for_each(G, D, G_optimizer, D_optimizer, x_real, z):
    D.zero_grad()
    value, _ = d_gradient(D, x_real, G(z))
    D_optimizer.step()
    return value, g_gradient(D, G(z))[0]


def d_step_leaves_g(play):
    (G, D), (x_real, z) = players(), batches()
    before = G.theta.copy()
    play(G, D, SGD(G, 0.1), SGD(D, 0.1), x_real, z)
    moved = np.abs(G.theta - before).max()
    need(moved == 0, f"D's step moves a weight of G by {moved:.3f}.")


BOTH_MOVE = Exhibit(
    name="d-step-moves-g",
    title="D's optimizer moves G as well",
    wrong="D's step is theta_D <- theta_D - lr dL_D/dtheta_D. L_D depends on theta_G too, through the fakes, and an "
    "optimizer that was given no list of variables goes down L_D with all of them.",
    symptom="D's loss falls fast. G is moved to where D finds it out, then back by its own step.",
    seen_in="seen in many first GANs in TensorFlow 1 (var_list was left out); described in a comment at ganhacks, "
    "issue 29",
    lesson=5,
    silent=True,
    which="a D step leaves G bit-identical",
    bug=one_optimizer_for_all_variables,
    mend=an_optimizer_for_each,
    check=d_step_leaves_g,
    use=rounds,
)


# ---- one optimizer for the sum ------------------------------------------------------------------------------------


def team_gradients(G, D, x_real, z):
    x, cache = G.forward(z)
    G.zero_grad()
    D.zero_grad()
    d_value, dx_from_d = d_gradient(D, x_real, x)
    g_value, dx_from_g = g_gradient(D, x)
    G.backward(dx_from_d + dx_from_g, cache)  # minimize(d_loss + g_loss)
    return d_value + g_value


def game_gradients(G, D, x_real, z):
    x, cache = G.forward(z)
    G.zero_grad()
    D.zero_grad()
    d_value, _ = d_gradient(D, x_real, x)  # d_loss for D alone
    g_value, dx_from_g = g_gradient(D, x)
    G.backward(dx_from_g, cache)  # and g_loss for G alone
    return d_value + g_value


def g_goes_down_its_own_loss(gradients):
    (G, D), (x_real, z) = players(), batches()
    gradients(G, D, x_real, z)
    found = G.grad.copy()
    x, cache = G.forward(z)
    G.zero_grad()
    G.backward(g_gradient(D, x)[1], cache)
    share = float(found @ G.grad / (G.grad @ G.grad))
    need(
        abs(share - 1) < 1e-9,
        f"Along its own loss's gradient G gets {share:.2f} of it, because d_loss pulls back.",
    )


def team_steps(gradients):
    (G, D), (x_real, z), found = players(), batches(), []
    optimizers = SGD(G, 0.1), SGD(D, 0.1)
    for _ in range(10):
        found.append(gradients(G, D, x_real, z))
        for optimizer in optimizers:
            optimizer.step()
    return found


TEAM = Exhibit(
    name="one-optimizer-for-the-sum",
    title="One optimizer goes down d_loss + g_loss",
    wrong="Of a fake with the logit b the sum holds -log(1 - D) - log D, with the slope sigmoid(b) - sigmoid(-b). "
    "It is 0 at D = 1/2: the two networks are a team that agrees on saying nothing, and no longer a game.",
    symptom="The sum falls towards log 4 = 1.39 nats, the least it can be, with D(G(z)) = 1/2 wherever the samples "
    "are.",
    seen_in="seen in a tutorial on GANs for film, in TensorFlow 1",
    lesson=4,
    silent=True,
    which="each goes down its own loss",
    bug=team_gradients,
    mend=game_gradients,
    check=g_goes_down_its_own_loss,
    use=team_steps,
)


# ---- a GAN that trains, without its detach ------------------------------------------------------------------------


def round_without_detach(G, D, G_optimizer, D_optimizer, x_real, z):
    G.zero_grad()
    D.zero_grad()  # all gradients at the start of the round
    x, cache = G.forward(z)
    d_value, dx = d_gradient(D, x_real, x)
    G.backward(dx, cache)  # no detach: D's loss goes back into G, and stays in G.grad
    D_optimizer.step()
    g_value, dx = g_gradient(D, x)
    G.backward(dx, cache)
    G_optimizer.step()
    return d_value, g_value


def round_with_detach(G, D, G_optimizer, D_optimizer, x_real, z):
    G.zero_grad()
    D.zero_grad()
    x, cache = G.forward(z)
    d_value, _ = d_gradient(D, x_real, x)  # x as numbers: nothing goes back into G
    D_optimizer.step()
    g_value, dx = g_gradient(D, x)
    G.backward(dx, cache)
    G_optimizer.step()
    return d_value, g_value


def g_gradient_is_of_its_loss_alone(play):
    (G, D), (x_real, z) = players(), batches()
    there = G.copy()
    play(G, D, SGD(G, 1e-3), SGD(D, 1e-3), x_real, z)
    x, cache = there.forward(z)
    there.backward(g_gradient(D, x)[1], cache)  # D has moved, and G's step was made against this one
    extra = float(np.linalg.norm(G.grad - there.grad) / np.linalg.norm(there.grad))
    need(extra < 1e-9, f"G's gradient holds a second one, of D's loss, {extra:.2f} times as long as its own.")


NO_DETACH = Exhibit(
    name="detach-forgotten",
    title="A healthy GAN loses its detach",
    wrong="D's step ends at x: x.detach(). Without it, dL_D/dtheta_G is added to G's gradient, and where gradients "
    "are set to zero once a round it is still there when G steps.",
    symptom="G learns slowly or not at all, at the losses of a GAN in balance. With zero_grad right before G's "
    "backward it costs time alone.",
    seen_in="the mend is a tutorial's GAN on MNIST in PyTorch, the healthy one of six; the bug is what learners "
    "make of it",
    lesson=5,
    silent=True,
    which="G's gradient is that of its loss",
    bug=round_without_detach,
    mend=round_with_detach,
    check=g_gradient_is_of_its_loss_alone,
    use=rounds,
)


# ---- a D that nobody trains ---------------------------------------------------------------------------------------


def frozen_inside_the_stack(G, D, G_optimizer, D_optimizer, x_real, z):
    x, cache = G.forward(z)
    g_value, dx = g_gradient(D, x)  # the stack: G, then D, which was set to "not trainable" before
    G.zero_grad()
    G.backward(dx, cache)
    G_optimizer.step()  # the stack is compiled, D alone is not: there is no step that moves it
    return d_gradient(D, x_real, x)[0], g_value


def trained_outside_the_stack(G, D, G_optimizer, D_optimizer, x_real, z):
    x, cache = G.forward(z)
    D.zero_grad()
    d_value, _ = d_gradient(D, x_real, x)
    D_optimizer.step()
    g_value, dx = g_gradient(D, x)
    G.zero_grad()
    G.backward(dx, cache)
    G_optimizer.step()
    return d_value, g_value


def both_networks_learn(play):
    (G, D), (x_real, z) = players(), batches()
    before = G.theta.copy(), D.theta.copy()
    play(G, D, SGD(G, 0.1), SGD(D, 0.1), x_real, z)
    moved = [np.abs(net.theta - old).max() for net, old in zip((G, D), before)]
    need(min(moved) > 0, f"After a round G's weights have moved by {moved[0]:.3f} and D's by {moved[1]:.3f}.")


NEVER_TRAINED = Exhibit(
    name="frozen-for-good",
    title="D is frozen for G's step, and for its own",
    wrong="A round is a step of D and a step of G. D is set to frozen before the stack of both is compiled, and "
    "nothing else is ever compiled: theta_D stays as it was drawn.",
    symptom="G's loss falls quickly to nothing, against a D that has never seen a sample.",
    seen_in="seen in a tutorial on faces by a DCGAN, in Keras",
    lesson=5,
    silent=True,
    which="weights of both move",
    bug=frozen_inside_the_stack,
    mend=trained_outside_the_stack,
    check=both_networks_learn,
    use=rounds,
)


EXHIBITS = (BOTH_MOVE, TEAM, NO_DETACH, NEVER_TRAINED)
