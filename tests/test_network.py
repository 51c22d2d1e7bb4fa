"""Sequential: one theta, layers that fit, caches that go stale, a summary to read."""

import copy
import pickle

import numpy as np
import pytest

from minigan.backend import rng, to_device, to_host
from minigan.layers import (
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    ShapeError,
    Softmax,
    Tanh,
    dcgan,
    glorot,
    he,
)
from minigan.network import Sequential, StaleCacheError
from minigan.optim import SGD


def net(seed=0):
    r = rng(seed)
    return Sequential(Dense(6, 5, rng=r), LeakyReLU(), Dense(5, 3, rng=r), Tanh())


def test_layers_hold_views_into_theta_and_grad(backend):
    network = net()
    assert network.theta.size == 6 * 5 + 5 + 5 * 3 + 3
    network.theta = to_device(np.arange(network.theta.size, dtype="float32"))
    assert to_host(network.layers[0].params["W"]).tolist() == np.arange(30).reshape(6, 5).tolist()
    assert to_host(network.params["2.b"]).tolist() == [50, 51, 52]
    x = to_device(np.ones((2, 6), dtype="float32"))
    y, cache = network.forward(x)
    network.backward(y, cache)
    flat = np.concatenate([to_host(network.grads[name]).ravel() for name in ("0.W", "0.b", "2.W", "2.b")])
    assert np.array_equal(flat, to_host(network.grad))
    network.zero_grad()
    assert not to_host(network.layers[2].grads["W"]).any()


def test_packing_keeps_the_initial_weights():
    r = rng(3)
    layer = Dense(4, 2, rng=r)
    before = layer.params["W"].copy()
    network = Sequential(layer)
    assert np.array_equal(network.params["0.W"], before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: n.copy(), lambda n: pickle.loads(pickle.dumps(n))])
def test_a_copy_has_its_own_theta(duplicate):
    network = net()
    other = duplicate(network)
    assert np.array_equal(other.theta, network.theta)
    other.theta += 1
    assert other.params["0.W"].base is not None
    assert np.allclose(other.params["0.W"], network.params["0.W"] + 1)
    assert np.shares_memory(other.params["0.W"], other.theta)
    assert not np.shares_memory(other.theta, network.theta)


def test_astype_copies_into_another_dtype():
    network = net()
    double = network.astype("float64")
    assert double.theta.dtype == double.grad.dtype == np.float64 and network.theta.dtype == np.float32
    assert np.array_equal(double.theta, network.theta)
    x = rng(1).standard_normal((3, 6))
    assert double(x).dtype == np.float64
    assert np.allclose(double(x), network(x.astype("float32")), atol=1e-6)


def test_calling_is_inference():
    r = rng(0)
    network = Sequential(Dense(6, 6, rng=r), Dropout(0.5, rng=r))
    x = r.standard_normal((4, 6), dtype="float32")
    assert np.array_equal(network(x), network(x))
    assert not np.array_equal(network.forward(x)[0], network(x))


def test_neighbours_that_do_not_fit_are_named():
    r = rng(0)
    with pytest.raises(ShapeError) as raised:
        Sequential(Dense(4, 5, rng=r), ReLU(), Dense(6, 1, rng=r))
    message = str(raised.value)
    assert "layers 1 and 2 do not fit" in message and "ReLU()" in message and "Dense(6, 1)" in message
    with pytest.raises(
        ShapeError, match=r"layers 0 and 1 do not fit: Reshape\(\(7, 7\)\) .* put Flatten\(\) before it"
    ):
        Sequential(Reshape((7, 7)), Dense(49, 1, rng=r))
    with pytest.raises(ShapeError, match="50 numbers a sample"):
        Sequential(Dense(4, 49, rng=r), Reshape((5, 10)))


def test_a_wrong_input_is_refused_with_the_layer_named():
    with pytest.raises(ShapeError, match=r"layer 0: Dense\(6, 5\) takes \(N, 6\), not \(N, 7\)"):
        net()(np.ones((2, 7), dtype="float32"))


def test_a_layer_stands_in_one_place_only():
    r = rng(0)
    shared = Dense(3, 3, rng=r)
    with pytest.raises(ValueError, match="twice"):
        Sequential(shared, ReLU(), shared)
    Sequential(shared)
    with pytest.raises(ValueError, match="another network"):
        Sequential(shared)
    with pytest.raises(ValueError, match="at least one layer"):
        Sequential()


@pytest.mark.parametrize(
    "change",
    [
        lambda n: SGD(n, lr=0.1).step(),
        lambda n: setattr(n, "theta", n.theta * 0.9),
        lambda n: n.changed(),
    ],
    ids=["optimizer", "assignment", "said so"],
)
def test_a_cache_older_than_the_last_update_is_refused(change):
    network = net()
    y, cache = network.forward(np.ones((2, 6), dtype="float32"))
    network.backward(y, cache)
    change(network)
    with pytest.raises(StaleCacheError, match="older than the last parameter update"):
        network.backward(y, cache)
    y, cache = network.forward(np.ones((2, 6), dtype="float32"))
    network.backward(y, cache)


def test_in_place_arithmetic_on_theta_is_noticed():
    network = net()
    y, cache = network.forward(np.ones((2, 6), dtype="float32"))
    network.theta -= 0.1 * network.theta
    with pytest.raises(StaleCacheError):
        network.backward(y, cache)


def test_another_networks_cache_is_refused():
    network, other = net(), net()
    y, cache = other.forward(np.ones((2, 6), dtype="float32"))
    for wrong in (cache, y, None):
        with pytest.raises(StaleCacheError, match="not made by this network"):
            network.backward(y, wrong)


def test_input_grad_false_stops_at_the_first_layer_with_parameters():
    class Counting(Flatten):
        calls = 0

        def backward(self, dy, cache, param_grads=True, input_grad=True):
            self.calls += 1
            return super().backward(dy, cache, param_grads, input_grad)

    r = rng(0)
    flatten, dense = Counting(), Dense(6, 2, rng=r)
    network = Sequential(flatten, dense)
    x = r.standard_normal((3, 2, 3), dtype="float32")
    y, cache = network.forward(x)
    assert network.backward(y, cache, input_grad=False) is None and flatten.calls == 0
    once = network.grad.copy()
    assert once.any()
    assert network.backward(y, cache).shape == x.shape and flatten.calls == 1
    assert np.allclose(network.grad, 2 * once)
    assert network.backward(y, cache, param_grads=False, input_grad=False) is None


def test_summary_reads_like_a_table():
    text = str(Sequential(Flatten(), Dense(784, 10, rng=rng(0)), Softmax()).summary((28, 28, 1)))
    lines = text.splitlines()
    assert lines[0] == "input (N, 28, 28, 1)"
    assert [line.split()[-1] for line in lines if line.startswith("1  Dense")] == ["7,850"]
    assert "(N, 10)" in text and lines[-2].split() == ["total", "7,850"]
    assert repr(net().summary()).startswith("layer")
    with pytest.raises(ShapeError):
        net().summary((7,))


def test_the_cache_prints():
    _, cache = net().forward(np.ones((2, 6), dtype="float32"))
    assert "0 Dense(6, 5): float32(2, 6)" in str(cache)


@pytest.mark.parametrize(
    "init, deviation",
    [(he, np.sqrt(2 / 400)), (glorot, np.sqrt(2 / 1000)), (dcgan, 0.02)],
    ids=["he", "glorot", "dcgan"],
)
def test_initial_weights_have_the_spread_of_the_literature(init, deviation, backend):
    W = to_host(init(rng(0), (400, 600)))
    assert W.dtype == np.float32 and W.shape == (400, 600)
    assert abs(W.std() / deviation - 1) < 0.01 and abs(W.mean()) < 0.01 * deviation
    kernel = to_host(init(rng(0), (3, 3, 400, 600)))  # fans count the kernel's positions too
    assert abs(kernel.std() / (deviation if init is dcgan else deviation / 3) - 1) < 0.01
    if init is glorot:
        assert abs(W).max() <= np.sqrt(6 / 1000)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Dense(0, 3, rng=rng(0)), "at least one input"),
        (lambda: LeakyReLU(1.5), r"slope lies in \[0, 1\)"),
        (lambda: Dropout(1.0, rng=rng(0)), "probability to drop"),
        (lambda: Reshape((3, -1)), "positive sizes"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dropout_drops_with_probability_p_and_keeps_the_mean():
    p = 0.3
    layer = Dropout(p, rng=rng(0))
    y, mask = layer.forward(np.ones((500, 400), dtype="float32"))
    assert set(np.unique(y).round(5)) == {0, np.float32(1 / (1 - p)).round(5)}
    assert abs((y == 0).mean() - p) < 4 * np.sqrt(p * (1 - p) / y.size)
    assert abs(y.mean() - 1) < 0.01
    assert np.array_equal(layer.backward(np.ones_like(y), mask), mask)


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(), Tanh(), Softmax()], ids=repr)
def test_no_layer_writes_into_its_input(layer):
    x = rng(0).standard_normal((3, 4), dtype="float32")
    x.flags.writeable = False
    y, cache = layer.forward(x)
    y.flags.writeable = False
    assert np.isfinite(layer.backward(y, cache)).all()


def test_the_convention_at_the_kink():
    x = np.zeros((1, 2), dtype="float32")
    one = np.ones_like(x)
    for layer, slope in ((ReLU(), 0.0), (LeakyReLU(0.2), 0.2)):
        _, cache = layer.forward(x)
        assert np.allclose(layer.backward(one, cache), slope)


def test_softmax_and_sigmoid_at_extremes():
    from minigan.layers.activations import sigmoid, softplus

    x = np.array([-1000.0, -90.0, 0.0, 90.0, 1000.0], dtype="float32")
    with np.errstate(over="raise", invalid="raise"):
        assert np.allclose(sigmoid(x), [0, 0, 0.5, 1, 1])
        assert np.allclose(softplus(x), [0, 0, np.log(2), 90, 1000])
        y, _ = Softmax().forward(np.array([[1000.0, 0.0, -1000.0]], dtype="float32"))
    assert y.tolist() == [[1, 0, 0]]
    deep = np.array([-30.0], dtype="float32")
    assert abs(sigmoid(deep)[0] / np.exp(-30.0) - 1) < 1e-5  # small values keep their relative precision
