"""Networks that take pairs (x, label): their gradients by central differences, and the game over pairs."""

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.layers import Conv, Dense, Embedding, Flatten, ShapeError, Softplus, Tanh
from minigan.models.conditional import (
    ConditionalGAN,
    Joined,
    LabelledGenerator,
    Projection,
    conditional,
    conditional_joined,
)
from minigan.network import Sequential, StaleCacheError
from minigan.optim import SGD, Adam
from minigan.steps import d_step, g_step


def joined(r):
    body = Sequential(Conv(1 + 2, 3, (3, 3), 2, rng=r), Softplus(), Flatten(), Dense(12, 1, rng=r))
    return Joined(Embedding(4, 2, rng=r), body), (4, 4, 1)


def projection(r):
    body = Sequential(Flatten(), Dense(16, 5, rng=r), Tanh())
    return Projection(Embedding(4, 5, rng=r), body, Dense(5, 1, rng=r)), (4, 4, 1)


def generator(r):
    return LabelledGenerator(Embedding(4, 2, rng=r), Sequential(Dense(6, 5, rng=r), Tanh(), Dense(5, 3, rng=r))), (4,)


def value(net, x, labels, dy):
    y, _ = net.forward((to_device(x), to_device(labels)))
    return float(to_host(((y[0] if isinstance(y, tuple) else y) * dy).sum()))


@pytest.mark.parametrize("make", [joined, projection, generator])
def test_gradients_against_central_differences(make, backend):
    """theta and x, in random directions; labels repeat, so that the embedding's rows add up."""
    net, shape = make(rng(0))
    net = net.astype("float64")
    r = np.random.default_rng(1)
    x, labels = r.standard_normal((6, *shape)), np.array([0, 1, 1, 3, 1, 0])
    y, cache = net.forward((to_device(x), to_device(labels)))
    y = y[0] if isinstance(y, tuple) else y
    dy = to_device(r.standard_normal(y.shape))
    dx = to_host(net.backward(dy, cache))
    grad, theta, h = to_host(net.grad).copy(), to_host(net.theta).copy(), 1e-6
    assert dx.shape == x.shape
    for _ in range(3):
        way = r.standard_normal(x.shape)
        slope = (value(net, x + h * way, labels, dy) - value(net, x - h * way, labels, dy)) / (2 * h)
        assert slope == pytest.approx((dx * way).sum(), rel=1e-6)
        way, ends = r.standard_normal(theta.shape), []
        for sign in (1, -1):
            net.theta = to_device(theta + sign * h * way)
            ends.append(value(net, x, labels, dy))
        net.theta = to_device(theta)
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(grad @ way, rel=1e-6)
    assert (to_host(net.embedding.grads["W"])[2] == 0).all()  # nobody has label 2
    assert all(np.abs(to_host(net.embedding.grads["W"])[k]).max() > 0 for k in (0, 1, 3))


@pytest.mark.parametrize("make", [joined, projection, generator])
def test_flags_and_stale_caches(make):
    net, shape = make(rng(0))
    x, labels = np.ones((2, *shape), "float32"), np.array([0, 1])
    y, cache = net.forward((x, labels))
    dy = np.ones_like(y[0] if isinstance(y, tuple) else y)
    net.backward(dy, cache, param_grads=False)
    assert (net.grad == 0).all()
    assert net.backward(dy, cache, input_grad=False) is None
    assert np.abs(net.grad).max() > 0
    SGD(net, 0.1).step()
    with pytest.raises(StaleCacheError):
        net.backward(dy, cache)


def test_a_network_within_a_network_is_a_piece_of_its_theta():
    net, _ = projection(rng(0))
    net.theta = np.arange(len(net.theta), dtype="float32")
    inner = net.body.theta
    assert np.shares_memory(inner, net.theta) and inner[0] == net.embedding.params["W"].size
    assert np.shares_memory(net.body.grads["1.W"], net.grad)
    twin = net.copy().astype("float64")
    assert np.shares_memory(twin.body.theta, twin.theta) and twin.body.theta.dtype == "float64"
    assert not np.shares_memory(twin.theta, net.theta)
    twin.theta = 0 * twin.theta
    assert (twin.body.theta == 0).all() and net.theta[-1] == len(net.theta) - 1
    with pytest.raises(ValueError, match="belongs to another network"):
        Projection(net.embedding, net.body, net.body.layers[1])


@pytest.mark.parametrize("make", [conditional, conditional_joined])
def test_the_steps_of_the_game_take_pairs(make):
    r = rng(0)
    model = make(r, width=2)
    G, D = model.G, model.D
    x = r.standard_normal((4, 28, 28, 1), dtype="float32"), np.array([1, 1, 2, 9])
    before = [net.theta.copy() for net in (G, D)]
    d_step(G, D, Adam(D), losses.non_saturating, x, model.draw_noise(r, 4))
    assert np.array_equal(G.theta, before[0]) and (D.theta != before[1]).mean() > 0.5
    after = D.theta.copy()
    g_step(G, D, Adam(G), losses.non_saturating, model.draw_noise(r, 4))
    assert np.array_equal(D.theta, after) and (G.theta != before[0]).mean() > 0.5


def test_labels_given_drawn_and_in_a_table():
    model = conditional(rng(0), width=2)
    z, labels = model.draw_noise(rng(1), 2000)
    assert z.shape == (2000, 100) and set(labels) == set(range(10))
    assert abs(np.bincount(labels) / 2000 - 0.1).max() < 0.03
    assert (model.draw_noise(rng(1), 5, label=7)[1] == 7).all()
    np.testing.assert_array_equal(model.draw_noise(rng(1), 5, label=7)[0], z[:5])
    z, labels = model.draw_table(rng(1), 3)
    assert (z[:10] == z[0]).all() and (z[10] != z[0]).any() and labels.tolist() == 3 * list(range(10))
    walks, labels = model.draw_walks(rng(2), 12, 4)
    assert walks.shape == (48, 100) and labels.reshape(12, 4)[:, 0].tolist() == [*range(10), 0, 1]
    assert (labels.reshape(12, 4) == labels.reshape(12, 4)[:, :1]).all()
    z, labels = model.draw_table(rng(1), 3)
    (x, same), _ = model.G.forward((z, labels), train=False)
    assert x.shape == (30, 28, 28, 1) and same is labels
    with pytest.raises(ValueError, match="--label is one of 0 to 9, but got 10"):
        model.draw_noise(rng(1), 5, label=10)
    with pytest.raises(ShapeError, match="28x28 images, not 32x32"):
        conditional(rng(0), image_shape=(32, 32, 1))
    with pytest.raises(ShapeError, match="the projection has 3 features"):
        r = rng(0)
        wrong = Projection(Embedding(10, 3, rng=r), Sequential(Flatten(), Dense(784, 4, rng=r)), Dense(4, 1, rng=r))
        ConditionalGAN("wrong", model.G, wrong, 100, (-1.0, 1.0))


def test_embedding_adds_up_and_refuses_unknown_ids(backend):
    layer = Embedding(5, 3, rng=rng(0))
    ids = np.array([[1, 1], [4, 1]])
    y, cache = layer.forward(ids)
    W = to_host(layer.params["W"])
    np.testing.assert_array_equal(to_host(y), W[ids])
    dy = np.random.default_rng(0).standard_normal((2, 2, 3)).astype("float32")
    assert layer.backward(to_device(dy), cache) is None
    expected = np.zeros((5, 3))
    for i, row in zip(ids.ravel(), dy.reshape(-1, 3)):
        expected[i] += row
    np.testing.assert_allclose(to_host(layer.grads["W"]), expected, rtol=1e-6)
    for wrong in (np.array([0, 5]), np.array([-1, 2])):
        with pytest.raises(IndexError, match=r"outside the vocabulary of 5: ids run from 0 to 4"):
            layer.forward(wrong)
    with pytest.raises(TypeError, match="Ids are integers, but got float64"):
        layer.forward(np.array([0.0]))
