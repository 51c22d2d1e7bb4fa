"""The backend: nothing crosses between host and device unasked, and every backend gives the same numbers.

The tripwire (minigan/tripwire.py) is only worth something if it catches what people write by mistake, and if it lets
what they write rightly pass: both are tested here, the second with every layer, loss, optimizer and step.
"""

import copy
import importlib.util
import json
import math
import os
import pickle
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigan import layers, losses, optim, tripwire
from minigan.backend import (
    BackendError,
    backend_name,
    rng,
    rng_state,
    set_rng_state,
    to_device,
    to_host,
    use,
    xp,
)
from minigan.layers import (
    GRU,
    LSTM,
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalMaxPool,
    Highway,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    MinibatchStd,
    Pack,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    SpectralNorm,
    Tanh,
    Upsample,
)
from minigan.models import dcgan, mlp
from minigan.network import Sequential
from minigan.steps import d_step, g_step, stacked_d_step
from minigan.tripwire import Leak, TripArray


@pytest.fixture
def trip():
    """The tripwire for one test, and an array on it."""
    use(tripwire.BACKEND)
    yield to_device(numbers(0, 3, 4))
    use("numpy")


def switch(backend):
    """Back to the backend that the fixture `backend` names."""
    use(tripwire.BACKEND if backend == "tripwire" else backend)


def numbers(seed, *shape):
    """The same float32 numbers on every backend: drawn on the host."""
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# ---- planted leaks: what someone writes by mistake, and NumPy never minds -----------------------------------------


def leak_float(x):
    loss = (x * x).mean()
    return float(loss)


def leak_int(x):
    return int((x > 0).sum())  # how many are right


def leak_complex(x):
    return complex(x.sum())


def leak_bool(x):
    return bool((x > 0).all())


def leak_item(x):
    return {"loss": (x * x).mean().item()}


def leak_tolist(x):
    return x.mean(axis=0).tolist()


def leak_round(x):
    return round(x.mean(), 3)


def leak_branch(x):
    y = xp.exp(x)
    if y.max() > 1:  # clip only where it must be
        y = xp.minimum(y, 1)
    return y


def leak_branch_on_equality(x):
    return x if x.sum() == 0 else x / x.sum()


def leak_and(x):
    return x.max() < 100 and x.min() > -100


def leak_assert(x):
    assert xp.isfinite(x).all()
    return x


def leak_allclose(x):
    return 1 if xp.allclose(x, x) else 0


def leak_while(x):
    while abs(x).max() > 1:
        x = x / 2
    return x


def leak_loop(x):
    return [row.sum() for row in x]


def leak_sum(x):
    return sum(x)


def leak_max(x):
    return max(x[0])


def leak_unpack(x):
    i, f, g = x
    return i * f * g


def leak_in(x):
    return 0 in x


def leak_range(x):
    return list(range((x > -9).sum()))


def leak_index(x):
    return [10, 11, 12, 13][x[0].argmax()]


def leak_size(x):
    return xp.zeros((len(x), x.argmax()))


def leak_arange(x):
    return xp.arange((x > -9).sum())


def leak_math(x):
    return math.sqrt((x * x).sum())


def leak_numpy_array(x):
    return np.asarray(x)


def leak_numpy_list(x):
    return np.array([x.mean(), x.max()])


def leak_numpy_ufunc(x):
    return np.tanh(x)  # np, where xp was meant


def leak_numpy_function(x):
    return np.concatenate([x, x])


def leak_numpy_method(x):
    return np.add.reduce(x)


def leak_plain_on_the_right(x):
    return x + np.ones(4, "float32")


def leak_plain_on_the_left(x):
    return np.ones(4, "float32") * x


def leak_plain_in_place(x):
    x = x.copy()
    x -= np.ones(4, "float32")
    return x


def leak_into_plain_in_place(x):
    total = np.zeros(4, "float32")
    total += x.sum(axis=0)
    return total


def leak_into_plain_slice(x):
    log = np.zeros((10, 4))
    log[0:1] = x.sum(axis=0)
    return log


def leak_plain_product(x):
    return x @ np.ones((4, 2), "float32")


def leak_plain_product_on_the_left(x):
    return np.ones((2, 3), "float32") @ x


def leak_plain_compared(x):
    return x > np.zeros(4, "float32")


def leak_plain_argument(x):
    return xp.maximum(x, np.zeros(4, "float32"))


def leak_plain_keyword(x):
    return xp.clip(x, -1, 1, out=np.empty((3, 4), "float32"))


def leak_plain_in_a_list(x):
    return xp.concatenate([x, np.ones((1, 4), "float32")])


def leak_plain_assigned(x):
    y = xp.zeros_like(x)
    y[0] = np.ones(4, "float32")
    return y


def leak_plain_index(x):
    return x[np.array([2, 0])]


def leak_list_index(x):
    return x[[2, 0]]


def leak_numpy_index(x):
    return x[np.argmax([1, 2, 0])]


def leak_index_of_plain(x):
    labels = np.arange(12)
    return labels[x.argmax(axis=1)]


def leak_asarray(x):
    return xp.asarray(np.ones(4, "float32")) + x  # to_device says it; this hides it


def leak_numpy_scalar(x):
    return x * np.float32(0.5)


def leak_numpy_scalar_on_the_left(x):
    return np.sqrt(2.0) * x  # math.sqrt gives a Python number


def leak_mask_read(x):
    return x[x > 0].mean()


def leak_nonzero(x):
    return xp.nonzero(x > 0)


def leak_where(x):
    return xp.where(x > 0)


def leak_print(x):
    print(x)


def leak_f_string(x):
    return f"loss {x.mean():.3f}"


def leak_percent(x):
    return "loss %.3f" % x.mean()  # noqa: UP031


LEAKS = [function for name, function in list(globals().items()) if name.startswith("leak_")]


@pytest.mark.parametrize("leak", LEAKS, ids=[leak.__name__[5:] for leak in LEAKS])
def test_a_planted_leak_is_caught(leak, trip):
    with pytest.raises(Leak, match="."):
        leak(trip)


@pytest.mark.parametrize("leak", LEAKS, ids=[leak.__name__[5:] for leak in LEAKS])
def test_a_planted_leak_passes_on_numpy(leak):
    leak(numbers(0, 3, 4))  # otherwise the test before would prove something else


SAYS = {
    "float()": lambda x: float(x.sum()),
    "int()": lambda x: int(x.sum()),
    "complex()": lambda x: complex(x.sum()),
    "`in`": lambda x: 0 in x,
    ".tobytes()": lambda x: x.tobytes(),
    ".tofile()": lambda x: x.tofile("nowhere"),
    ".get()": lambda x: x.get(),
    "np.tanh": lambda x: np.tanh(x),
    "np.mean": lambda x: np.mean(x),
    "to_device": lambda x: x + np.ones(4),
    "TripArray(float32, (3, 4))": lambda x: x.tolist(),
}


@pytest.mark.parametrize("words", SAYS)
def test_the_message_says_what_leaked(words, trip):
    with pytest.raises(Leak) as caught:
        SAYS[words](trip)
    assert words in str(caught.value)


def test_a_number_put_into_a_plain_array_is_caught(trip):
    log = np.zeros(10)
    with pytest.raises(ValueError) as caught:  # NumPy puts an error of its own over ours
        log[0] = trip.mean()
    assert isinstance(caught.value.__cause__ or caught.value.__context__, Leak)


def test_a_leaky_layer_is_caught_inside_a_network(trip):
    class Clipped(ReLU):
        def forward(self, x, train=True):
            return (x, x) if abs(x).max() < 1 else super().forward(x, train)

    network = Sequential(Dense(4, 2, rng=rng(0)), Clipped())
    with pytest.raises(Leak, match="branch"):
        network(trip)


@pytest.mark.parametrize("name", ["permutation", "choice", "shuffle", "normal", "multivariate_normal"])
def test_draws_that_cupy_lacks_are_refused(name, trip):
    with pytest.raises(AttributeError, match=f"no {name}"):
        getattr(rng(0), name)


@pytest.mark.parametrize("name", ["frompyfunc", "errstate", "vecdot", "concat", "random", "nditer", "bool"])
def test_functions_that_cupy_lacks_are_refused(name, trip):
    with pytest.raises(AttributeError, match=name):
        getattr(xp, name)


# ---- what the tripwire must let pass, with NumPy's numbers ---------------------------------------------------------


CLEAN = {
    "arithmetic": lambda x, i: 1 - 2 * x / (x * x + 3) ** 2 - -x // 2 % 3,
    "0-d arithmetic": lambda x, i: 1 / (x.mean() + 0.5),
    "mask": lambda x, i: x * ((x > 0) & ~(x > 1) | (x <= -1)),
    "comparison": lambda x, i: (x == x) * (x != 0),
    "matmul": lambda x, i: x @ x.T,
    "functions": lambda x, i: xp.exp(xp.minimum(x, 0)) + xp.maximum(0.5, x) + abs(x),
    "reductions": lambda x, i: x.sum(axis=0) + x.mean() + x.max(axis=1, keepdims=True) - xp.std(x, axis=0),
    "full reduction": lambda x, i: x.sum(),
    "all": lambda x, i: (x > 0).all(axis=0),
    "argmax": lambda x, i: x.argmax(axis=-1),
    "count": lambda x, i: xp.count_nonzero(x > 0),
    "slices": lambda x, i: x[1:, ::-1] + x[None, 0, 1:2],
    "one number": lambda x, i: x[1, 2],
    "gather": lambda x, i: x[i] + x[i, ...] + xp.take(x, i, axis=0),
    "pairs": lambda x, i: x[xp.arange(3), i],
    "shapes": lambda x, i: x.reshape(2, -1).T.ravel()[: len(x)].astype("float64").reshape((x.shape[0], 1)),
    "concatenate": lambda x, i: xp.concatenate([x, x], axis=1) + xp.stack((x, x)).sum(axis=0).mean(),
    "split": lambda x, i: [2 * part for part in xp.split(x, 2, axis=1)][1],
    "where": lambda x, i: xp.where(x > 0, x, 0.1 * x),
    "like": lambda x, i: xp.zeros_like(x) + xp.full_like(x, 3) + xp.ones(4, dtype=x.dtype),
    "one-hot": lambda x, i: (xp.arange(4) == i[:, None]).astype(x.dtype),
    "einsum": lambda x, i: xp.einsum("ij,kj->ik", x, x),
    "norm": lambda x, i: xp.linalg.norm(x, axis=1) + xp.sqrt((x * x).sum(axis=1)),
    "list": lambda x, i: xp.array([1.0, 2.0, 3.0, 4.0], dtype="float32") * x,
    "moveaxis": lambda x, i: xp.moveaxis(x[..., None], 1, -1) * xp.pi,
    "dtype": lambda x, i: x.astype(xp.result_type(x, xp.float64)),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_code_passes(name, backend):
    same_as_numpy(backend, lambda: CLEAN[name](to_device(numbers(1, 3, 4)), to_device(np.array([2, 0, 2]))))


def test_writing_in_place(backend):
    def work():
        x = to_device(numbers(1, 3, 4))
        view, row, number = x.reshape(12)[2:9], x[1], x[2, 3, ...]
        view += 1
        row[...] = row * 2
        x[x > 2] = 2
        number -= 5
        x[0, 0] = 7
        xp.minimum(x[1:], 1.5, out=x[1:])
        kept = x
        kept *= x.mean()
        xp.add.at(x, to_device(np.array([0, 0])), 1)
        assert kept is x
        assert xp.multiply(x, 2, out=x) is x
        x[1].fill(3)
        return x

    same_as_numpy(backend, work)


def test_an_array_is_an_array_of_the_backend(trip):
    assert isinstance(trip, xp.ndarray)
    for value in (trip.sum(), trip[0, 0], trip.argmax(), xp.sqrt(trip.max()), xp.allclose(trip, trip)):
        assert isinstance(value, TripArray) and value.shape == ()  # CuPy has no scalars
    assert repr(trip) == str([trip])[1:-1] == "TripArray(float32, (3, 4))"  # no values
    assert (len(trip), trip.size, trip.nbytes, trip.ndim) == (3, 12, 48, 2)
    assert xp.shape(trip) == (3, 4) and xp.result_type(trip, "float64") == "float64"
    assert not isinstance(trip, np.ndarray)
    trip[0, 1].fill(9)  # a view
    assert to_host(trip)[0, 1] == 9


def test_to_device_and_back(backend):
    host = numbers(0, 3, 4)
    device = to_device(host)
    assert isinstance(device, xp.ndarray)
    np.testing.assert_array_equal(to_host(device), host)
    np.testing.assert_array_equal(to_host(to_device(device)), host)
    assert to_device(device) is device
    np.testing.assert_allclose(to_host(device.mean()), host.mean(), rtol=1e-6)
    if backend != "numpy":  # there the two are one memory, elsewhere they never are
        to_host(device).fill(7)
        before = to_host(device)
        host.fill(8)
        np.testing.assert_array_equal(to_host(device), before)
        assert (before != 7).all()


def test_copies_stand_alone(backend):
    x = to_device(numbers(0, 3, 4))
    before = to_host(x).copy()
    copies = [copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy(), copy.deepcopy({"x": [x[1:]]})["x"][0]]
    x.fill(0)
    for other in copies:
        np.testing.assert_array_equal(to_host(other), before[-len(other) :])


# ---- everything in minigan, on every backend -----------------------------------------------------------------------


def to_host_all(value):
    if isinstance(value, dict):
        return {name: to_host_all(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_host_all(part) for part in value]
    # a value that came back as a NumPy scalar has left the device
    assert isinstance(value, xp.ndarray) or (backend_name() == "numpy" and isinstance(value, np.generic))
    return to_host(value)


def same_as_numpy(backend, work):
    """`work()` gives plain NumPy's numbers here too: the same bits on the tripwire, about the same on a GPU."""
    found = to_host_all(work())
    use("numpy")
    expected = to_host_all(work())
    switch(backend)
    assert_same(found, expected, exact=backend != "cupy")


def assert_same(found, expected, exact, where="result"):
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        for name in expected:
            assert_same(found[name], expected[name], exact, f"{where}: {name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, (a, b) in enumerate(zip(found, expected)):
            assert_same(a, b, exact, f"{where}: {i}")
    else:
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), where
        if exact:
            np.testing.assert_array_equal(found, expected, err_msg=where)
        else:
            error = abs(found.astype("float64") - expected).max(initial=0)
            assert error <= 1e-4 * max(abs(expected.astype("float64")).max(initial=0), 1e-2), where


def test_the_paths_for_a_gpu_make_no_transfer_and_the_same_numbers():
    """What `on_host()` chooses for a GPU (Adam and the convolutions in one piece) runs nowhere else without one."""
    like_a_gpu = SimpleNamespace(**{**vars(tripwire.BACKEND), "name": "cupy"})

    def rounds(backend):
        use(backend)
        made = []
        for make in (mlp, partial(dcgan, width=4)):
            model, random = make(rng(0)), rng(1)
            x = to_device(np.random.default_rng(2).uniform(-1, 1, (3, 28, 28, 1)).astype("float32"))
            optimizers = optim.Adam(model.D, 1e-3), optim.Adam(model.G, 1e-3)
            values = [d_step(model.G, model.D, optimizers[0], losses.hinge, x, model.draw_noise(random, 3))]
            values += [g_step(model.G, model.D, optimizers[1], losses.hinge, model.draw_noise(random, 3))]
            made += [to_host(a) for a in (*values, model.G.theta, model.D.theta)]
        return made

    try:
        for found, expected in zip(rounds(like_a_gpu), rounds("numpy")):
            np.testing.assert_array_equal(found, expected)
    finally:
        use("numpy")


class Rolls:
    """A random generator that draws the same on every backend."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def random(self, shape, dtype):
        return to_device(self.generator.random(shape, dtype=dtype))


class Normals(Rolls):
    """The same for layers that draw at their making and keep no generator."""

    def standard_normal(self, shape, dtype):
        return to_device(self.generator.standard_normal(shape, dtype=dtype))


LAYERS = {  # a layer, and the shape of a batch for it
    "AveragePool": (lambda: AveragePool((2, 2)), (2, 4, 5, 3)),
    "BatchNorm": (lambda: BatchNorm(3), (4, 2, 3)),
    "Conv": (lambda: Conv(2, 3, (3, 2), 2, rng=Rolls(0)), (2, 4, 5, 2)),
    "ConvTranspose": (lambda: ConvTranspose(2, 3, (4, 3), 2, rng=Rolls(0)), (2, 3, 2, 2)),
    "GRU": (lambda: GRU(4, 3, rng=Rolls(0)), (2, 5, 4)),
    "GlobalMaxPool": (GlobalMaxPool, (2, 4, 3)),
    "Highway": (lambda: Highway(5, rng=Rolls(0)), (4, 5)),
    "LSTM": (lambda: LSTM(4, 3, rng=Rolls(0)), (2, 5, 4)),
    "LayerNorm": (lambda: LayerNorm((2, 3)), (4, 2, 3)),
    "MaxPool": (lambda: MaxPool((2, 2), 1, 1), (2, 4, 5, 3)),
    "SpectralNorm": (lambda: SpectralNorm(Dense(5, 3, rng=Rolls(0), bias=False), rng=Normals(1)), (4, 5)),
    "MinibatchStd": (MinibatchStd, (4, 2, 3)),
    "Pack": (lambda: Pack(2), (4, 2, 3)),
    "Upsample": (Upsample, (2, 3, 2)),
    "Dense": (lambda: Dense(5, 3, rng=Rolls(0)), (4, 5)),
    "Dense without bias": (lambda: Dense(5, 3, rng=Rolls(0), bias=False), (4, 5)),
    "Dropout": (lambda: Dropout(0.3, rng=Rolls(0)), (4, 5)),
    "Flatten": (Flatten, (4, 2, 3)),
    "LeakyReLU": (LeakyReLU, (4, 5)),
    "ReLU": (ReLU, (4, 5)),
    "Reshape": (lambda: Reshape((3, 2)), (4, 6)),
    "Sigmoid": (Sigmoid, (4, 5)),
    "Softmax": (Softmax, (4, 2, 5)),
    "Softplus": (Softplus, (4, 5)),
    "Tanh": (Tanh, (4, 5)),
}


def test_every_layer_is_in_the_list():
    public = {getattr(layers, name) for name in layers.__all__}
    all_layers = {c for c in public if isinstance(c, type) and issubclass(c, layers.Layer)} - {layers.Layer}
    # one takes integers, one keeps a generator of normals: test_conditional and test_variants have them on all
    all_layers -= {layers.Embedding, layers.Noise}
    assert {type(make()) for make, _ in LAYERS.values()} == all_layers, "add the new layer to LAYERS, above"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, dtype, backend):
    make, shape = LAYERS[name]

    def work():
        layer = make().astype(dtype)
        x = to_device(numbers(1, *shape).astype(dtype))
        y, cache = layer.forward(x)
        dy = to_device(numbers(2, *y.shape).astype(dtype))
        dx = layer.backward(dy, cache)
        only_dx = layer.backward(dy, cache, param_grads=False)
        assert layer.backward(dy, cache, input_grad=False) is None
        evaluated, cache = layer.forward(x, train=False)
        result = {"y": y, "dx": dx, "only dx": only_dx, "eval": evaluated, "dx, eval": layer.backward(dy, cache)}
        result |= {f"d{name}": gradient.copy() for name, gradient in layer.grads.items()}
        layer.zero_grad()
        return result | {f"{name} zeroed": gradient for name, gradient in layer.grads.items()}

    same_as_numpy(backend, work)


@pytest.mark.parametrize("game", [*losses.GAMES, losses.smooth(losses.minimax)], ids=lambda game: game.name)
def test_losses(game, backend):
    def work():
        real, fake = to_device(5 * numbers(1, 6, 1)), to_device(5 * numbers(2, 6, 1))
        return {"D": game.discriminator(real, fake), "G": game.generator(fake)}

    same_as_numpy(backend, work)


@pytest.mark.parametrize("weighted", [False, True])
def test_softmax_cross_entropy(weighted, backend):
    def work():
        logits, labels = to_device(numbers(1, 2, 3, 4)), to_device(np.array([[0, 1, 3], [3, 3, 2]]))
        weights = to_device(abs(numbers(2, 2, 3))) if weighted else None
        return losses.softmax_cross_entropy(logits, labels, weights)

    same_as_numpy(backend, work)


def nets():
    """G from 3 numbers to 6, D from 6 to a logit."""
    G = Sequential(Dense(3, 8, rng=Rolls(1)), ReLU(), Dense(8, 6, rng=Rolls(2)), Tanh(), Reshape((2, 3)))
    body = Flatten(), Dense(6, 8, rng=Rolls(3)), LeakyReLU(), Dropout(0.2, rng=Rolls(4)), Dense(8, 1, rng=Rolls(5))
    return G, Sequential(*body)


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("kind", [optim.SGD, optim.Momentum, optim.RMSProp, optim.Adam])
def test_optimizers(kind, clip, backend, monkeypatch):
    monkeypatch.setattr(optim, "PIECE", 50)  # theta has 86 numbers: two pieces

    def work():
        def step(network, optimizer, seed):
            network.grad[...] = to_device(numbers(seed, network.grad.size))
            optimizer.step()

        network = nets()[0]
        optimizer = kind(network, lr=0.01, clip=clip)
        for seed in range(3):
            step(network, optimizer, seed)
        state = {name: value if name == "steps" else to_host(value) for name, value in optimizer.state().items()}
        other_network = network.copy()
        other = kind(other_network, lr=0.01, clip=clip)
        other.load(state)  # as from a checkpoint
        step(network, optimizer, 3)
        step(other_network, other, 3)
        moments = {name: getattr(optimizer, name) for name in optimizer.moments}
        resumed = {name: getattr(other, name) for name in optimizer.moments}
        assert_same(to_host_all(resumed), to_host_all(moments), exact=True)
        assert_same(to_host(other_network.theta), to_host(network.theta), exact=True)
        return {"theta": network.theta, "norm": optim.gradient_norm(network), **moments}

    same_as_numpy(backend, work)


@pytest.mark.parametrize("d_step", [d_step, stacked_d_step], ids=["d_step", "stacked_d_step"])
@pytest.mark.parametrize("game", losses.GAMES, ids=lambda game: game.name)
def test_steps(game, d_step, backend):
    def work():
        G, D = nets()
        d_optimizer, g_optimizer = optim.Adam(D, clip=1.0), optim.RMSProp(G, lr=1e-3)
        x_real, values, trace = to_device(numbers(1, 4, 2, 3)), [], {}
        for i in range(3):
            z = to_device(numbers(10 + i, 4, 3))
            values.append(d_step(G, D, d_optimizer, game, x_real, z, trace))
            values.append(g_step(G, D, g_optimizer, game, z, trace))
        assert "Dropout" in repr(trace["g_cache"]) + repr(trace["d_cache"])  # caches print without their values
        seen = {name: value for name, value in trace.items() if not name.endswith("cache")}
        return {"values": values, "G": G.theta, "D": D.theta, "G's gradient": G.grad, **seen}

    same_as_numpy(backend, work)


def test_networks_copy_cast_and_print(backend):
    def work():
        G, _ = nets()
        wide = G.astype("float64")
        again = pickle.loads(pickle.dumps(G))
        G.theta = G.theta * 0.5
        again.theta -= 0.1 * G.theta
        assert "86" in G.summary((3,)) and repr(wide) == repr(G)
        x = to_device(numbers(1, 4, 3))
        return {"half": G(x), "wide": wide(x.astype("float64")), "again": again(x), "layers": G.params}

    same_as_numpy(backend, work)


def test_a_copy_draws_the_same_numbers_from_a_generator_of_its_own(backend):
    network = Sequential(Dense(3, 20, rng=rng(0)), Dropout(0.5, rng=rng(1)))
    x = to_device(numbers(1, 4, 3))
    copies = network.copy(), network.astype("float64")
    first = [to_host(network.forward(x)[0]) for _ in range(2)]
    for other in copies:
        for y in first:
            np.testing.assert_allclose(to_host(other.forward(x.astype(other.theta.dtype))[0]), y, rtol=1e-5)
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize("init", [layers.he, layers.glorot, layers.dcgan])
def test_initial_weights_are_drawn_on_the_device(init, backend):
    weights = init(rng(0), (30, 20))
    assert isinstance(weights, xp.ndarray)
    assert (weights.dtype, weights.shape) == ("float32", (30, 20))


# ---- choosing a backend --------------------------------------------------------------------------------------------


def test_xp_imported_before_a_switch_follows_it(backend):
    use("numpy")
    ours, zeros = xp, xp.zeros(2)
    switch(backend)
    assert isinstance(ours.zeros(2), xp.ndarray)
    assert (type(ours.zeros(2)) is type(zeros)) == (backend == "numpy")
    assert repr(xp) == f"<array functions of {backend}>"


def test_an_unknown_backend_is_one_clear_sentence(backend):
    with pytest.raises(BackendError) as caught:
        use("nonsense")
    assert str(caught.value) == 'There is no backend "nonsense"; choose "numpy" or "cupy".'
    assert backend_name() == backend and isinstance(xp.zeros(2), xp.ndarray)  # nothing has changed


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed here")
def test_a_missing_cupy_is_one_clear_sentence():
    with pytest.raises(BackendError) as caught:
        use("cupy")
    message = str(caught.value)
    assert message.startswith('The backend "cupy" needs CuPy, which is not here: install it with pip install ')
    assert "\n" not in message and message.endswith(".") and "cupy12" in message and "cupy13" in message
    assert caught.value.__suppress_context__  # no second traceback above the sentence
    assert backend_name() == "numpy"


def in_a_new_process(name):
    code = "from minigan.backend import backend_name, xp; print(backend_name(), xp.zeros(1).dtype)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MINIGAN_BACKEND": name},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )


def test_the_environment_chooses_the_backend(backend):
    name = "cupy" if backend == "cupy" else "numpy"
    done = in_a_new_process(name)
    assert done.stdout.split() == [name, "float64"], done.stderr


def test_the_environment_cannot_choose_nonsense():
    done = in_a_new_process("nonsense")
    assert done.returncode != 0
    assert done.stderr.strip().endswith('There is no backend "nonsense"; choose "numpy" or "cupy".')


def test_a_generator_goes_back_to_where_it_was(backend):
    generator = rng(3)
    generator.random((5,), dtype="float32")
    state = json.loads(json.dumps(rng_state(generator)))
    first = generator.standard_normal((4, 2), dtype="float32")
    assert isinstance(first, xp.ndarray) and first.dtype == "float32"
    following = generator.random((3,), dtype="float32")
    for other in (generator, rng(99)):
        set_rng_state(other, state)
        np.testing.assert_array_equal(
            to_host(other.standard_normal((4, 2), dtype="float32")), to_host(first), err_msg="first draw"
        )
        np.testing.assert_array_equal(to_host(other.random((3,), dtype="float32")), to_host(following))
    assert (to_host(rng(4).random((9,))) != to_host(rng(5).random((9,)))).any()


def test_the_tests_have_no_network():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for reach in (
            lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
            lambda: socket.getaddrinfo("example.com", 443),
            lambda: udp.connect(("192.0.2.1", 53)),
            lambda: udp.connect_ex(("2001:db8::1", 53)),
        ):
            with pytest.raises(RuntimeError, match="tests run without one"):
                reach()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
