"""The variants of the step: each against what its formula says, and the layers that let D see several samples."""

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_layer
from minigan.layers import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    MinibatchStd,
    Noise,
    Pack,
    ReLU,
    Reshape,
    ShapeError,
    Softplus,
    Tanh,
)
from minigan.network import Sequential
from minigan.optim import SGD, Adam, RMSProp
from minigan.penalty import gradient_penalty, is_straight, wgan_gp
from minigan.steps import (
    clipped_d_step,
    d_gradients,
    d_step,
    feature_matching_g_step,
    g_step,
    simultaneous_step,
    stacked_d_step,
    unrolled_g_step,
    wgan_gp_d_step,
)


def players(dtype="float64"):
    r = rng(0)
    G = Sequential(Dense(3, 6, rng=r), Tanh(), Dense(6, 2, rng=r))
    D = Sequential(Dense(2, 5, rng=r), Tanh(), Dense(5, 4, rng=r), Softplus(), Dense(4, 1, rng=r))
    return G.astype(dtype), D.astype(dtype)


@pytest.fixture
def batch():
    r = np.random.default_rng(1)
    return to_device(r.standard_normal((8, 2)) + 1), to_device(r.standard_normal((8, 3)))


# ---- layers that see several samples


@pytest.mark.parametrize("layer, shape", [(Pack(2), (4, 3)), (Pack(3), (6, 2, 4, 1)), (MinibatchStd(), (4, 3)),
                                          (MinibatchStd(), (3, 2, 2, 2)), (Noise, (4, 3))])  # fmt: skip
def test_gradients(layer, shape, backend):
    layer = Noise(0.5, rng=rng(3)) if layer is Noise else layer
    report = check_layer(layer, shape)
    assert report.ok, str(report)


def test_pack_joins_neighbours_on_the_channel_axis():
    x = np.arange(24.0).reshape(4, 3, 2)
    y, _ = Pack(2).forward(x)
    assert y.shape == (2, 3, 4)
    np.testing.assert_array_equal(y[1], np.concatenate([x[2], x[3]], axis=-1))
    with pytest.raises(ShapeError, match="batches of 3, 6"):
        Pack(3).forward(x)


def test_minibatch_std_is_what_it_says():
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    y, _ = MinibatchStd().forward(x)
    np.testing.assert_allclose(y[..., -1], x.std(axis=0).mean(), rtol=1e-6)
    np.testing.assert_array_equal(y[..., :-1], x)
    with pytest.raises(ValueError, match="at least two"):
        MinibatchStd().forward(x[:1])


def test_noise_is_there_in_training_only():
    layer, x = Noise(0.5, rng=np.random.default_rng(0)), np.zeros((4000, 2), "float32")
    y, _ = layer.forward(x)
    assert y.dtype == "float32" and abs(y.std() - 0.5) < 0.02
    np.testing.assert_array_equal(layer.forward(x, train=False)[0], x)


def test_packed_discriminators_take_the_same_steps(batch):
    """A D with Pack gives one logit a pack, and both forms of D's step agree on it."""
    thetas = []
    for step in (d_step, stacked_d_step):
        r = rng(0)
        G, _ = players()
        D = Sequential(Pack(2), Dense(4, 5, rng=r), LeakyReLU(), Dense(5, 1, rng=r)).astype("float64")
        trace = {}
        step(G, D, SGD(D, 0.1), losses.non_saturating, *batch, trace)
        assert trace["real_logits"].shape == trace["fake_logits"].shape == (4, 1)
        thetas.append(to_host(D.theta).copy())
    np.testing.assert_allclose(*thetas, rtol=1e-12)


# ---- steps


def test_simultaneous_play_is_both_players_gradients_at_one_point(batch, backend):
    x, z = to_device(np.asarray(to_host(batch[0]))), to_device(np.asarray(to_host(batch[1])))
    G, D = players()
    one_G, one_D = G.copy(), D.copy()
    values = simultaneous_step(G, D, SGD(G, 0.1), SGD(D, 0.1), losses.non_saturating, x, z)
    expected_d = d_step(one_G, one_D, SGD(one_D, 0.1), losses.non_saturating, x, z)
    np.testing.assert_allclose(to_host(D.theta), to_host(one_D.theta), rtol=1e-12)
    _, old_D = players()
    expected_g = g_step(one_G, old_D, SGD(one_G, 0.1), losses.non_saturating, z)
    np.testing.assert_allclose(to_host(G.theta), to_host(one_G.theta), rtol=1e-12)
    np.testing.assert_allclose([to_host(v) for v in values], [to_host(expected_d), to_host(expected_g)])


def test_clipping_keeps_every_weight_within_its_bounds(batch):
    G, D = players()
    free_G, free_D = players()
    for _ in range(5):
        value = clipped_d_step(G, D, RMSProp(D, 5e-2), losses.wasserstein, *batch, clip=0.3)
    assert np.isfinite(to_host(value))
    assert abs(to_host(D.theta)).max() <= 0.3 and (abs(to_host(D.theta)) == 0.3).any()
    d_step(free_G, free_D, RMSProp(free_D, 5e-2), losses.wasserstein, *batch)
    assert abs(to_host(free_D.theta)).max() > 0.3


@pytest.mark.parametrize("penalty", [None, lambda: wgan_gp(np.random.default_rng(7), 10.0)])
def test_stacked_and_plain_steps_agree_with_a_penalty(batch, penalty):
    thetas = []
    for step in (d_step, stacked_d_step):
        G, D = players()
        step(G, D, SGD(D, 0.1), losses.wasserstein, *batch, penalty=penalty and penalty())
        thetas.append(to_host(D.theta).copy())
    np.testing.assert_allclose(*thetas, rtol=1e-10)


def numerical_step(G, objective, h=1e-6):
    """-dL/dtheta of G by central differences: where SGD of rate 1 would go."""
    start, slope = to_host(G.theta).copy(), []
    for i in range(len(start)):
        ends = []
        for sign in (1, -1):
            theta = start.copy()
            theta[i] += sign * h
            G.theta = theta
            ends.append(float(objective()))
        slope.append((ends[0] - ends[1]) / (2 * h))
    G.theta = start
    return start - np.array(slope)


def test_feature_matching_descends_on_the_distance_of_mean_features(batch):
    x_real, z = batch
    G, D = players()

    def objective():
        f_real, f_fake = (D.forward(x, upto=2)[0] for x in (x_real, G.forward(z)[0]))
        return ((f_fake.mean(0) - f_real.mean(0)) ** 2).sum()

    expected, before = numerical_step(G, objective), D.theta.copy()
    value = feature_matching_g_step(G, D, SGD(G, 1.0), x_real, z, upto=2)
    np.testing.assert_allclose(G.theta, expected, rtol=1e-7, atol=1e-9)
    assert float(value) > 0 and np.array_equal(D.theta, before)


@pytest.mark.parametrize("game", [losses.non_saturating, losses.minimax, losses.least_squares])
def test_unrolled_steps_differentiate_through_the_answers_of_d(batch, game):
    """Against central differences of the whole: unroll D's gradient descent anew for every change of G."""
    x_real, z = batch
    G, D = players()
    start = D.theta.copy()

    def objective():
        x_fake = G.forward(z)[0]
        D.theta = start
        for _ in range(3):
            d_gradients(D, game, x_real, x_fake)
            D.theta = D.theta - 0.5 * D.grad
        value = game.generator(D.forward(x_fake)[0])[0]
        D.theta = start
        return value

    expected = numerical_step(G, objective)
    blind = G.copy()  # the direct part alone, at D's answer, is another direction
    unrolled_g_step(G, D, SGD(G, 1.0), game, x_real, z, steps=3, lr=0.5)
    np.testing.assert_allclose(G.theta, expected, rtol=1e-6, atol=1e-8)
    assert np.array_equal(D.theta, start)
    g_step(blind, D, SGD(blind, 1.0), game, z)
    assert np.abs(blind.theta - expected).max() > 1e-3


def test_unrolled_by_no_step_is_the_plain_step(batch):
    G, D = players()
    plain = G.copy()
    unrolled_g_step(G, D, Adam(G), losses.non_saturating, *batch, steps=0)
    g_step(plain, D, Adam(plain), losses.non_saturating, batch[1])
    np.testing.assert_array_equal(G.theta, plain.theta)


def test_features_stop_where_they_are_asked_to(batch):
    _, D = players()
    x = batch[0]
    features, cache = D.forward(x, upto=2)
    assert features.shape == (8, 5) and len(cache.layers) == 2
    r = rng(5)
    inner = Sequential(Dense(2, 5, rng=r), Tanh()).astype("float64")
    inner.theta = D.theta[: inner.theta.size]
    dy = np.random.default_rng(0).standard_normal((8, 5))
    expected, its_cache = inner.forward(x)
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(D.backward(dy, cache), inner.backward(dy, its_cache))


CRITICS = {
    "dense": (lambda r: [Dense(5, 7, rng=r), LeakyReLU(), Dense(7, 6, rng=r), ReLU(), Dense(6, 1, rng=r)], (5,)),
    "conv": (
        lambda r: [
            *(Conv(2, 3, (3, 3), 2, rng=r), LeakyReLU(), Conv(3, 4, (2, 3), bias=False, rng=r), ReLU(), Flatten()),
            *(
                Dense(24, 16, rng=r),
                LeakyReLU(),
                Reshape((2, 2, 4)),
                ConvTranspose(4, 1, (3, 3), 2, rng=r),
                LeakyReLU(),
            ),
            *(Flatten(), Dense(16, 1, rng=r)),
        ],
        (5, 4, 2),
    ),
}


@pytest.mark.parametrize("name", CRITICS)
def test_the_merged_critic_step_is_the_plain_one(name, backend):
    """Real, fake and between in one batch: the same loss, logits and gradient of every parameter, in float64."""
    make, shape = CRITICS[name]
    r = np.random.default_rng(2)
    x_real, z, t = r.standard_normal((6, *shape)), r.standard_normal((6, 3)), r.random((6, *(1 for _ in shape)))
    x_real, z, t = map(to_device, (x_real, z, t))
    between = lambda a, b: t * a + (1 - t) * b
    found = []
    for merged in (False, True):
        G = Sequential(Dense(3, int(np.prod(shape)), rng=rng(0)), Reshape(shape)).astype("float64")
        D = Sequential(*make(rng(1))).astype("float64")
        D.theta += to_device(0.1 * np.random.default_rng(3).standard_normal(D.theta.shape))
        before, trace = G.theta.copy(), {}
        if merged:
            value = wgan_gp_d_step(G, D, SGD(D, 0.1), x_real, z, between, 7.0, trace)
        else:
            penalty = lambda D, a, b: gradient_penalty(D, between(a, b), "wgan-gp", 7.0)
            value = d_step(G, D, SGD(D, 0.1), losses.wasserstein, x_real, z, trace, penalty)
        assert np.array_equal(to_host(G.theta), to_host(before)) and is_straight(D)
        found.append([to_host(a) for a in (value, D.grad, D.theta, trace["real_logits"], trace["fake_logits"])])
    for plain, fast in zip(*found):
        np.testing.assert_allclose(fast, plain, rtol=1e-9, atol=1e-12)


def test_critics_that_bend_are_told_apart():
    r = rng(0)
    assert not is_straight(Sequential(Dense(2, 3, rng=r), Tanh(), Dense(3, 1, rng=r)))
    assert is_straight(Sequential(Dense(2, 3, rng=r), LeakyReLU(), Dense(3, 1, rng=r)))
    G, D = players()  # its D has tanh and softplus: the short way would leave out what they bend
    before = D.theta.copy()
    with pytest.raises(ValueError, match="not a chain of straight layers: take d_step with a penalty"):
        wgan_gp_d_step(G, D, SGD(D, 0.1), np.ones((2, 2)), np.ones((2, 3)), lambda a, b: a)
    assert np.array_equal(D.theta, before)
