"""Batch norm, layer norm and spectral norm; pooling and upsampling."""

import numpy as np
import pytest

from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_layer
from minigan.layers import (
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    GlobalMaxPool,
    LayerNorm,
    MaxPool,
    ShapeError,
    SpectralNorm,
    Upsample,
)
from minigan.network import Sequential

LAYERS = [
    (lambda: BatchNorm(4), (6, 4)),
    (lambda: BatchNorm(3), (2, 5, 3)),
    (lambda: BatchNorm(2), (3, 2, 2, 2)),
    (lambda: BatchNorm(2), (1, 3, 2, 2, 2)),
    (lambda: LayerNorm(5), (4, 5)),
    (lambda: LayerNorm(3), (2, 4, 3)),
    (lambda: LayerNorm((2, 3, 2)), (2, 2, 3, 2)),
    (lambda: MaxPool((2,)), (2, 6, 3)),
    (lambda: MaxPool((3, 2), (2, 1), 1), (2, 5, 4, 2)),
    (lambda: MaxPool((2, 2, 2)), (1, 4, 2, 3, 2)),
    (lambda: AveragePool((2, 2)), (2, 4, 5, 2)),
    (lambda: AveragePool((3,), 1, "same"), (2, 5, 2)),
    (lambda: GlobalMaxPool(), (3, 4, 2)),
    (lambda: GlobalMaxPool(), (2, 3, 3, 2)),
    (lambda: Upsample(2), (2, 3, 2)),
    (lambda: Upsample(3), (1, 2, 2, 2)),
]


@pytest.mark.parametrize("make, shape", LAYERS, ids=[f"{make()!r} {shape}" for make, shape in LAYERS])
def test_gradients_in_both_modes(make, shape, backend):
    check_layer(make(), distinct(shape)).raise_if_wrong()


def distinct(shape):
    """No two numbers nearer than 0.02, and none near zero: a maximum stays the maximum under small steps."""
    n = int(np.prod(shape))
    return (np.random.default_rng(0).permutation(2 * n)[:n].reshape(shape) - n + 0.5) * (2 / n + 0.02)


# ---- batch norm ---------------------------------------------------------------------------------------------------


def test_batch_norm_normalises_every_channel_over_all_other_axes(backend):
    layer = BatchNorm(3)
    x = np.random.default_rng(0).normal([1, -2, 30], [1, 0.1, 5], size=(8, 4, 5, 3)).astype("float32")
    y = to_host(layer.forward(to_device(x))[0])
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, atol=1e-3)
    statistics = {name: to_host(value) for name, value in layer.statistics.items()}
    np.testing.assert_allclose(statistics["mean"], 0.1 * x.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(statistics["var"], 0.9 + 0.1 * x.var(axis=(0, 1, 2), ddof=1), rtol=1e-4)


def test_batch_norm_uses_running_statistics_for_inference(backend):
    layer, r = BatchNorm(2), np.random.default_rng(0)
    for _ in range(200):
        layer.forward(to_device(r.normal([3, -1], [2, 0.5], size=(64, 2)).astype("float32")))
    x = to_device(np.array([[3, -1], [5, -0.5]], "float32"))
    y = to_host(layer.forward(x, train=False)[0])
    np.testing.assert_allclose(y, [[0, 0], [1, 1]], atol=0.1)
    before = to_host(layer.statistics["mean"]).copy()
    layer.forward(x, train=False)
    np.testing.assert_array_equal(to_host(layer.statistics["mean"]), before)


def test_batch_norms_gradient_is_blind_to_a_shift_and_nearly_to_a_scale():
    """Adding a constant to x changes nothing, so dx sums to zero; scaling x hardly does, so <dx, xhat> is near it."""
    layer, r = BatchNorm(4).astype("float64"), np.random.default_rng(0)
    x, dy = r.standard_normal((2, 16, 4))
    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * y).sum(axis=0), 0, atol=1e-3)


def test_batch_norm_keeps_its_digits_where_x_hardly_varies():
    """E[x^2] - mean^2 in float32 would lose them all: 100 +- 0.01 has a variance of 1e-4 beside squares of 1e4."""
    x = (100 + 0.01 * np.random.default_rng(0).standard_normal((256, 3))).astype("float32")
    layer = BatchNorm(3, eps=1e-12)
    y = layer.forward(x)[0]
    x = x.astype("float64")
    np.testing.assert_allclose(y, (x - x.mean(axis=0)) / x.std(axis=0), atol=5e-3)


def test_batch_norm_refuses_one_number_a_channel():
    layer = BatchNorm(3)
    with pytest.raises(ValueError, match="cannot train on one number a channel"):
        layer.forward(np.ones((1, 3), "float32"))
    layer.forward(np.ones((1, 3), "float32"), train=False)
    layer.forward(np.ones((1, 2, 3), "float32"))
    with pytest.raises(ShapeError, match=r"takes \(N, ..., 3\), not \(N, 4\)"):
        layer.forward(np.ones((2, 4), "float32"))
    with pytest.raises(ValueError, match="decay"):
        BatchNorm(3, decay=1.0)


def test_running_statistics_are_copied_and_named_by_the_network():
    network = Sequential(Dense(3, 4, rng=rng(0)), BatchNorm(4))
    assert sorted(network.statistics) == ["1.mean", "1.var"] and network.mixes_samples
    twin = network.copy()
    network.forward(np.random.default_rng(0).standard_normal((8, 3)).astype("float32"))
    assert (twin.statistics["1.mean"] == 0).all() and (network.statistics["1.mean"] != 0).all()
    assert network.astype("float64").statistics["1.var"].dtype == np.float64


# ---- layer norm ---------------------------------------------------------------------------------------------------


def test_layer_norm_lets_no_sample_see_another(backend):
    layer, r = LayerNorm((2, 3)), np.random.default_rng(0)
    x = r.normal(5, 3, size=(4, 2, 3)).astype("float32")
    y = to_host(layer.forward(to_device(x))[0])
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(to_host(layer.forward(to_device(x[:1]))[0]), y[:1], atol=1e-6)
    with pytest.raises(ShapeError, match=r"takes \(N, ..., 2, 3\), not \(N, 3, 3\)"):
        layer.forward(to_device(np.ones((1, 3, 3), "float32")))


# ---- spectral norm ------------------------------------------------------------------------------------------------

SPECTRAL = [
    (lambda: Dense(5, 4, rng=rng(1), bias=False), (3, 5)),
    (lambda: Conv(2, 3, (3, 3), 2, bias=False, rng=rng(1)), (2, 5, 4, 2)),
    (lambda: ConvTranspose(2, 3, (3,), 2, bias=False, rng=rng(1)), (2, 4, 2)),
]


@pytest.mark.parametrize("make, shape", SPECTRAL)
def test_spectral_norm_divides_by_the_largest_singular_value(make, shape, backend):
    layer = SpectralNorm(make(), rng=rng(0)).astype("float64")
    x = np.random.default_rng(0).standard_normal(shape)
    for _ in range(500):
        y, _ = layer.forward(to_device(x))
    W = to_host(layer.params["W"])
    sigma = np.linalg.svd(W.reshape(-1, W.shape[-1]), compute_uv=False)[0]
    plain = make().astype("float64")
    plain.params["W"][...] = to_device(W / sigma)
    np.testing.assert_allclose(to_host(y), to_host(plain.forward(to_device(x))[0]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make, shape", SPECTRAL)
def test_spectral_norms_gradient(make, shape, backend):
    """In inference u and v are held. In training they follow W, which to first order changes nothing."""
    layer = SpectralNorm(make(), rng=rng(0))
    check_layer(layer, shape, train=False).raise_if_wrong()
    layer = layer.astype("float64")
    x, r = np.random.default_rng(0).standard_normal(shape), np.random.default_rng(1)
    for _ in range(2000):
        y, cache = layer.forward(to_device(x))
    dy, direction = r.standard_normal(y.shape), r.standard_normal(layer.params["W"].shape)
    layer.backward(to_device(dy), cache)
    h, values = 1e-5, []
    for sign in (1, -1):
        moved = layer.astype("float64")
        moved.params["W"] += to_device(sign * h * direction)
        for _ in range(2000):
            y, _ = moved.forward(to_device(x))
        values.append((to_host(y) * dy).sum())
    claimed = (to_host(layer.grads["W"]) * direction).sum()
    assert abs((values[0] - values[1]) / (2 * h) - claimed) <= 1e-6 * abs(dy).sum()


def test_spectral_norm_in_a_network_trains_the_networks_weights():
    network = Sequential(SpectralNorm(Dense(3, 2, bias=False, rng=rng(0)), rng=rng(1)), Dense(2, 1, rng=rng(2)))
    twin = network.copy()
    x = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    y, cache = network.forward(x)
    network.backward(np.ones_like(y), cache)
    assert (network.grads["0.W"] != 0).all() and (twin.grad == 0).all()
    network.theta = 2 * network.theta
    np.testing.assert_allclose(network(x) - 2 * network.params["1.b"], 2 * (twin(x) - twin.params["1.b"]), rtol=1e-4)
    with pytest.raises(ValueError, match="give it bias=False"):
        SpectralNorm(Dense(2, 2, rng=rng(0)), rng=rng(0))


# ---- pooling ------------------------------------------------------------------------------------------------------


def test_pools_against_loops(backend):
    x = np.random.default_rng(0).standard_normal((2, 5, 7, 3))
    windows = [[x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2] for j in range(3)] for i in range(2)]
    for layer, function in ((MaxPool((3, 2), 2), np.max), (AveragePool((3, 2), 2), np.mean)):
        expected = np.stack([np.stack([function(w, axis=(1, 2)) for w in row], axis=1) for row in windows], axis=1)
        y = to_host(layer.forward(to_device(x))[0])
        assert layer.output_shape((5, 7, 3)) == y.shape[1:]
        np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_of_equal_numbers_the_first_takes_the_gradient():
    layer, x = MaxPool((2, 2)), np.ones((1, 4, 4, 1))
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)
    np.testing.assert_array_equal(dx[0, :, :, 0], np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))
    y, cache = GlobalMaxPool().forward(x)
    assert GlobalMaxPool().backward(np.ones_like(y), cache).ravel().tolist() == [1] + 15 * [0]


def test_upsampling_repeats(backend):
    y = to_host(Upsample(2).forward(to_device(np.array([[[[1.0], [2.0]]]])))[0])
    np.testing.assert_array_equal(y[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


@pytest.mark.parametrize(
    "layer, shape, message",
    [
        (MaxPool((2, 2)), (4, 3), r"takes \(N, H, W, C\)"),
        (AveragePool((5, 5)), (4, 9, 1), "no window of"),
        (GlobalMaxPool(), (3,), "places"),
        (Upsample(), (3,), "places"),
    ],
)
def test_what_does_not_fit_is_refused(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer.output_shape(shape)
    with pytest.raises(ShapeError, match="factor"):
        Upsample(0)
