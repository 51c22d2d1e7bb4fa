"""The games: the formula of each docstring is evaluated, and extremes stay finite."""

import math
import re

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_loss

# the words of the formulas, in plain float64
WORDS = {
    "mean": np.mean,
    "log": np.log,
    "exp": np.exp,
    "maximum": np.maximum,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}

FUNCTIONS = [
    losses.cross_entropy_discriminator,
    losses.minimax_generator,
    losses.non_saturating_generator,
    losses.least_squares_discriminator,
    losses.least_squares_generator,
    losses.hinge_discriminator,
    losses.wasserstein_discriminator,
    losses.wasserstein_generator,
]


def formula(function):
    """The line "L = ..." of a docstring."""
    (line,) = re.findall(r"^ *L = (.+)$", function.__doc__, re.MULTILINE)
    return line


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_docstrings_formula_gives_the_value(function, backend):
    r = np.random.default_rng(0)
    a, b = 3 * r.standard_normal((5, 1)), 3 * r.standard_normal((7, 1))
    logits = (a, b) if "discriminator" in function.__name__ else (b,)
    options = {"t": 1.0}
    expected = eval(formula(function), {"__builtins__": {}}, {**WORDS, "a": a, "b": b, **options})
    value = to_host(function(*map(to_device, logits))[0])
    assert value.shape == ()
    assert abs(float(value) - expected) < 1e-12
    if "real_target" in function.__code__.co_varnames:
        expected = eval(formula(function), {"__builtins__": {}}, {**WORDS, "a": a, "b": b, "t": 0.8})
        assert abs(float(to_host(function(*map(to_device, logits), 0.8)[0])) - expected) < 1e-12


def test_every_loss_function_of_the_module_is_evaluated():
    named = {f for game in losses.GAMES for f in (game.discriminator, game.generator)}
    assert named == set(FUNCTIONS)


def test_the_games_are_what_they_are_called():
    assert [game.name for game in losses.GAMES] == [
        "non_saturating",
        "minimax",
        "least_squares",
        "hinge",
        "wasserstein",
    ]
    assert losses.minimax.generator is not losses.non_saturating.generator
    assert losses.minimax.discriminator is losses.non_saturating.discriminator


@pytest.mark.parametrize("game", losses.GAMES, ids=lambda game: game.name)
def test_gradients(game, backend):
    check_loss(game).raise_if_wrong()


@pytest.mark.parametrize("game", [losses.non_saturating, losses.minimax, losses.least_squares], ids=lambda g: g.name)
def test_smoothed_gradients(game, backend):
    check_loss(losses.smooth(game, 0.9)).raise_if_wrong()


@pytest.mark.parametrize("game", losses.GAMES, ids=lambda game: game.name)
def test_logits_of_a_thousand_are_finite_and_point_the_right_way(game):
    big = np.array([[1000.0], [-1000.0]], dtype="float32")
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, d_real, d_fake = game.discriminator(big, big)
        g_value, d_g = game.generator(big)
    for v in (value, d_real, d_fake, g_value, d_g):
        assert np.isfinite(v).all() and v.dtype == np.float32
    assert d_real[1] < 0 < d_fake[0] or (game.name == "least_squares" and d_real[1] < 0 < d_fake[0])
    if game.name == "minimax":
        assert d_g[1] == 0 and d_g[0] == -0.5  # saturates where D is sure
    else:
        assert d_g[1] < 0


def test_saturating_and_non_saturating_gradients_at_minus_six():
    """Where D is sure of a fake, minimax gives sigma(-6) = 0.0025 and non-saturating 1 - 0.0025."""
    b = np.array([[-6.0]])
    assert abs(-losses.minimax.generator(b)[1].item() - 0.002472623) < 1e-8
    assert abs(-losses.non_saturating.generator(b)[1].item() - 0.997527377) < 1e-8


def test_at_even_odds_the_discriminators_loss_is_log_4():
    zeros = np.zeros((8, 1))
    assert abs(losses.minimax.discriminator(zeros, zeros)[0] - math.log(4)) < 1e-12


def test_smoothing_moves_the_optimum_to_the_label():
    """One-sided: with p_g = 0 the best D(x) on real samples is the label, and the fakes' term is as before."""
    game = losses.smooth(losses.non_saturating, 0.9)
    best = np.array([[math.log(0.9 / 0.1)]])
    _, d_real, d_fake = game.discriminator(best, best)
    assert abs(d_real.item()) < 1e-12
    assert d_fake == losses.non_saturating.discriminator(best, best)[2]
    assert "0.9" in game.name


def test_games_without_labels_refuse_smoothing():
    for game in (losses.hinge, losses.wasserstein):
        with pytest.raises(ValueError, match="no labels to smooth"):
            losses.smooth(game)
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        losses.smooth(losses.minimax, 1.2)


def test_cross_entropy_formula_weights_and_gradient(backend):
    r = np.random.default_rng(1)
    s, y, w = 3 * r.standard_normal((4, 3, 5)), r.integers(0, 5, (4, 3)), r.random((4, 3))
    terms = {**WORDS, "w": w, "s_y": np.take_along_axis(s, y[..., None], -1)[..., 0], "s_c": s}
    terms["sum_c"] = lambda v: v.sum(axis=-1)
    expected = eval(formula(losses.softmax_cross_entropy), {"__builtins__": {}}, terms)
    value = losses.softmax_cross_entropy(to_device(s), to_device(y), to_device(w))[0]
    assert abs(float(to_host(value)) - expected) < 1e-12

    def loss(logits):
        return losses.softmax_cross_entropy(logits, to_device(y), to_device(w))

    check_loss(loss, (4, 3, 5)).raise_if_wrong()


def test_cross_entropy_at_extreme_logits():
    logits = np.array([[1000.0, -1000.0], [1000.0, -1000.0]], dtype="float32")
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, d = losses.softmax_cross_entropy(logits, np.array([0, 1]))
    assert value == 1000 and d.tolist() == [[0, 0], [0.5, -0.5]] and d.dtype == np.float32


def test_losses_do_not_write_into_the_logits():
    logits = rng(0).standard_normal((4, 1), dtype="float32")
    logits.flags.writeable = False
    for game in losses.GAMES:
        game.discriminator(logits, logits)
        game.generator(logits)
