"""Lesson 05, "Can two MLPs learn a distribution?": its exercises.

N samples of each kind. The small players are two layers each:

    G: x = tanh(z V1 + c1) V2 + c2        z (N, K), x (N, I)
    D: s = tanh(x W1 + b1) W2 + b2        x (N, I), s (N, 1), the logit
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.exercises.lesson_03 import sigmoid
from minigan.gradcheck import draw
from minigan.layers import Dense, Tanh
from minigan.losses import non_saturating
from minigan.network import Sequential
from minigan.optim import SGD


def mlp(x, W1, b1, W2, b2):
    """The hidden values h (N, H) and the output (N, O)."""
    h = np.tanh(x @ W1 + b1)
    return h, h @ W2 + b2


def mlp_backward(dy, x, h, W1, W2):
    """dx, dW1, db1, dW2, db2: lesson 02's chain."""
    da = (dy @ W2.T) * (1 - h**2)
    return da @ W1.T, x.T @ da, da.sum(axis=0), h.T @ dy, dy.sum(axis=0)


def make_mlp(rng, n_in, n_hidden, n_out):
    """Weights that keep tanh away from +-1, where its slope is nothing and hides mistakes."""
    W1, W2 = 0.5 * draw(rng, (n_in, n_hidden)), draw(rng, (n_hidden, n_out))
    return W1, 0.3 * draw(rng, (n_hidden,)), W2, 0.3 * draw(rng, (n_out,))


# ---- 05.d_step_gradients --------------------------------------------------------------------------------------


def make_judged(rng, N):
    n_in, n_hidden = sizes(rng, N, 2)
    weights = dict(zip(("W1", "b1", "W2", "b2"), make_mlp(rng, n_in, n_hidden, 1)))
    return {"x_real": draw(rng, (N, n_in)), "x_fake": draw(rng, (N, n_in)), **weights}


def _d_step(x_real, x_fake, W1, b1, W2, b2, at_real, at_fake, one_slot=False):
    """The gradients of both batches, added up, for logit gradients at_real(s) and at_fake(s)."""
    (h_real, s_real), (h_fake, s_fake) = (mlp(x, W1, b1, W2, b2) for x in (x_real, x_fake))
    kept = (x_fake, h_fake) if one_slot else (x_real, h_real)
    real = mlp_backward(at_real(s_real) / len(s_real), *kept, W1, W2)[1:]
    fake = mlp_backward(at_fake(s_fake) / len(s_fake), x_fake, h_fake, W1, W2)[1:]
    return tuple(r + f for r, f in zip(real, fake))


def d_step_gradients(x_real, x_fake, W1, b1, W2, b2):
    return _d_step(x_real, x_fake, W1, b1, W2, b2, lambda s: sigmoid(s) - 1, sigmoid)


def _ascending(x_real, x_fake, W1, b1, W2, b2):
    return tuple(-gradient for gradient in d_step_gradients(x_real, x_fake, W1, b1, W2, b2))


def _fakes_labelled_real(x_real, x_fake, W1, b1, W2, b2):
    return _d_step(x_real, x_fake, W1, b1, W2, b2, lambda s: sigmoid(s) - 1, lambda s: sigmoid(s) - 1)


def _overwritten(x_real, x_fake, W1, b1, W2, b2):
    return _d_step(x_real, x_fake, W1, b1, W2, b2, np.zeros_like, sigmoid)


def _one_slot(x_real, x_fake, W1, b1, W2, b2):
    return _d_step(x_real, x_fake, W1, b1, W2, b2, lambda s: sigmoid(s) - 1, sigmoid, one_slot=True)


def _on_probabilities(x_real, x_fake, W1, b1, W2, b2):
    return _d_step(x_real, x_fake, W1, b1, W2, b2, lambda s: -1 / sigmoid(s), lambda s: 1 / sigmoid(-s))


def _over_all(x_real, x_fake, W1, b1, W2, b2):
    return tuple(gradient / 2 for gradient in d_step_gradients(x_real, x_fake, W1, b1, W2, b2))


D_STEP_GRADIENTS = Exercise(
    name="05.d_step_gradients",
    asked="dW1 (I, H), db1 (H,), dW2 (H, 1), db2 (1,) of D's loss, the mean over real x (N, I) plus that over fakes",
    make=make_judged,
    solution=d_step_gradients,
    returns=("dW1", "db1", "dW2", "db2"),
    wrong=(
        Wrong(_ascending, "opposite sign"),
        Wrong(
            _fakes_labelled_real,
            "labelled real",
            "the fakes are labelled real: their loss is -log(1 - D), and its gradient on the logit sigmoid(s) / N",
        ),
        Wrong(
            _overwritten,
            "only the fakes count",
            "only the fakes count: the second backward has overwritten the first; add the gradients of both batches",
        ),
        Wrong(
            _one_slot,
            "the real batch's own",
            "the real batch went back with the fake batch's activations; it needs the real batch's own x and h",
        ),
        Wrong(
            _on_probabilities,
            "the gradient on D's probability",
            "this starts with the gradient on D's probability; backward needs that on the logit, which is "
            "(sigmoid(s) - 1) / N for real samples and sigmoid(s) / N for fakes",
        ),
        Wrong(
            _over_all,
            "divided by 2 N",
            "this is divided by 2 N: each kind has its own mean, over its own N samples",
        ),
    ),
)


# ---- 05.g_step_gradients --------------------------------------------------------------------------------------


def make_players(rng, N):
    n_noise, n_G, n_in, n_D = sizes(rng, N, 4)
    G = dict(zip(("V1", "c1", "V2", "c2"), make_mlp(rng, n_noise, n_G, n_in)))
    return {"z": draw(rng, (N, n_noise)), **G, **dict(zip(("W1", "b1", "W2", "b2"), make_mlp(rng, n_in, n_D, 1)))}


def _g_step(z, V1, c1, V2, c2, W1, b1, W2, b2, at_fake, stops=False, straight=False):
    """G's gradients for the logit gradient at_fake(s); stops at D's output; straight: D without tanh's slope."""
    g, x = mlp(z, V1, c1, V2, c2)
    h, s = mlp(x, W1, b1, W2, b2)
    ds = at_fake(s) / len(s)
    dx = mlp_backward(ds, x, np.zeros_like(h) if straight else h, W1, W2)[0]
    return mlp_backward(np.repeat(ds, x.shape[1], axis=1) if stops else dx, z, g, V1, V2)[1:]


def g_step_gradients(z, V1, c1, V2, c2, W1, b1, W2, b2):
    return _g_step(z, V1, c1, V2, c2, W1, b1, W2, b2, lambda s: -sigmoid(-s))


G_STEP_GRADIENTS = Exercise(
    name="05.g_step_gradients",
    asked="dV1 (K, H'), dc1 (H',), dV2 (H', I), dc2 (I,) of G's loss mean(-log D(G(z))), from z (N, K), through D",
    make=make_players,
    solution=g_step_gradients,
    returns=("dV1", "dc1", "dV2", "dc2"),
    wrong=(
        Wrong(
            lambda *inputs: _g_step(*inputs, lambda s: -sigmoid(-s), stops=True),
            "stops at D",
            "the gradient stops at D: this hands G the gradient on D's logits; carry it back through D to x first",
        ),
        Wrong(
            lambda *inputs: _g_step(*inputs, lambda s: -sigmoid(-s), straight=True),
            "D's tanh",
            "the slope of D's tanh is missing: D stands still, but the gradient still crosses it, times 1 - h^2",
        ),
        Wrong(lambda *inputs: tuple(-gradient for gradient in g_step_gradients(*inputs)), "opposite sign"),
        Wrong(
            lambda *inputs: _g_step(*inputs, sigmoid),
            "labelled fake",
            "the fakes are labelled fake, so G is made to help D; G's loss is -log D, as if they were real",
        ),
        Wrong(
            lambda *inputs: _g_step(*inputs, lambda s: -sigmoid(s)),
            "the saturating loss",
            "this is the gradient of the saturating loss, mean(log(1 - D)); asked is mean(-log D), lesson 03",
        ),
        Wrong(
            lambda *inputs: _g_step(*inputs, lambda s: -sigmoid(-s) * len(s)),
            "the 1/N",
            "the 1/N of the mean is missing: it comes in with the loss, and the layers only add up",
        ),
    ),
)


# ---- 05.train_round -------------------------------------------------------------------------------------------


def make_game(rng, N):
    """A game in float64 that has been played for a round already, with SGD: Adam would hide a wrong factor."""
    n_noise, n_G, n_in, n_D = sizes(rng, N, 4)
    draws = np.random.default_rng(int(rng.integers(2**31)))
    G = Sequential(Dense(n_noise, n_G, rng=draws), Tanh(), Dense(n_G, n_in, rng=draws)).astype(np.float64)
    D = Sequential(Dense(n_in, n_D, rng=draws), Tanh(), Dense(n_D, 1, rng=draws)).astype(np.float64)
    game = SimpleNamespace(G=G, D=D, G_optimizer=SGD(G, 0.3), D_optimizer=SGD(D, 0.3), loss=non_saturating)
    x_real, z_d, z_g = draw(rng, (N, n_in)), draw(rng, (N, n_noise)), draw(rng, (N, n_noise))
    train_round(game, 1 + x_real[::-1], z_g, z_d)
    return {"game": game, "x_real": x_real, "z_d": z_d, "z_g": z_g}


def _d_part(game, x_real, x_fake, swapped=False, zero=True):
    """D's step; returns dx on the fakes."""
    D = game.D
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    if swapped:
        _, d_fake, d_real = game.loss.discriminator(fake_logits, real_logits)
    else:
        _, d_real, d_fake = game.loss.discriminator(real_logits, fake_logits)
    if zero:
        D.zero_grad()
    D.backward(d_real, real_cache)
    dx_fake = D.backward(d_fake, fake_cache)
    game.D_optimizer.step()
    return dx_fake


def _g_part(game, z, zero=True):
    """G's step; D's gradients are left in D.grad, where they do no harm."""
    x_fake, g_cache = game.G.forward(z)
    fake_logits, d_cache = game.D.forward(x_fake)
    _, d_fake = game.loss.generator(fake_logits)
    if zero:
        game.D.zero_grad()
    dx_fake = game.D.backward(d_fake, d_cache)
    if zero:
        game.G.zero_grad()
    game.G.backward(dx_fake, g_cache)
    game.G_optimizer.step()


def train_round(game, x_real, z_d, z_g):
    _d_part(game, x_real, game.G.forward(z_d)[0])
    _g_part(game, z_g)
    return game.D.theta, game.G.theta


def _not_zeroed(game, x_real, z_d, z_g):
    _d_part(game, x_real, game.G.forward(z_d)[0], zero=False)
    _g_part(game, z_g, zero=False)
    return game.D.theta, game.G.theta


def _g_step_moves_d(game, x_real, z_d, z_g):
    train_round(game, x_real, z_d, z_g)
    game.D_optimizer.step()
    return game.D.theta, game.G.theta


def _d_step_moves_g(game, x_real, z_d, z_g):
    x_fake, g_cache = game.G.forward(z_d)
    dx_fake = _d_part(game, x_real, x_fake)
    game.G.zero_grad()
    game.G.backward(dx_fake, g_cache)
    game.G_optimizer.step()
    _g_part(game, z_g)
    return game.D.theta, game.G.theta


def _labels_exchanged(game, x_real, z_d, z_g):
    _d_part(game, x_real, game.G.forward(z_d)[0], swapped=True)
    _g_part(game, z_g)
    return game.D.theta, game.G.theta


def _stale_fakes(game, x_real, z_d, z_g):
    _d_part(game, x_real, game.G.forward(z_d)[0])
    _g_part(game, z_d)
    return game.D.theta, game.G.theta


def _stale_verdicts(game, x_real, z_d, z_g):
    x_fake, g_cache = game.G.forward(z_g)
    fake_logits, d_cache = game.D.forward(x_fake)
    _d_part(game, x_real, game.G.forward(z_d)[0])
    _, d_fake = game.loss.generator(fake_logits)
    game.G.zero_grad()
    game.G.backward(game.D.backward(d_fake, d_cache), g_cache)
    game.G_optimizer.step()
    return game.D.theta, game.G.theta


TRAIN_ROUND = Exercise(
    name="05.train_round",
    asked="D's weights and G's after one round: D's step with x_real (N, I) and G(z_d), then G's with z_g (N, K)",
    make=make_game,
    solution=train_round,
    returns=("D", "G"),
    float32=False,  # the networks of the check are float64 themselves
    wrong=(
        Wrong(
            _not_zeroed,
            "not set to zero",
            "the gradients of the round before are added on top: backward adds to grad, which was not set to zero",
        ),
        Wrong(
            _g_step_moves_d,
            "G's step moves D",
            "G's step moves D as well, towards calling fakes real: step G's optimizer only",
        ),
        Wrong(
            _d_step_moves_g,
            "D's step moves G",
            "D's step moves G as well, and down D's loss, so G helps to be found out: D's step ends at D",
        ),
        Wrong(
            _labels_exchanged,
            "labels are exchanged",
            "the labels are exchanged: loss.discriminator takes the real logits first, then the fake ones",
        ),
        Wrong(
            _stale_fakes,
            "the fakes of D's step again",
            "it was moved with the fakes of D's step again; make new ones, from z_g",
        ),
        Wrong(_stale_verdicts, "raised StaleCacheError"),
    ),
)

EXERCISES = (D_STEP_GRADIENTS, G_STEP_GRADIENTS, TRAIN_ROUND)
