"""The gradient penalties' gradient, by hand, against two other routes to the same numbers, to 1e-8 in float64."""

import math
from pathlib import Path

import numpy as np
import pytest

from minigan.backend import rng, to_device, to_host
from minigan.layers import (
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalMaxPool,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    Noise,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    SpectralNorm,
    Tanh,
    Upsample,
)
from minigan.network import Sequential
from minigan.penalty import KINDS, between, gradient_penalty

CRITICS = {  # layers from a random generator, and the shape of a sample
    "dense, straight": (
        lambda r: [Dense(5, 7, rng=r), LeakyReLU(), Dense(7, 6, rng=r), ReLU(), Dense(6, 1, rng=r)],
        (5,),
    ),
    "dense, smooth": (
        lambda r: [
            *(Dense(5, 7, rng=r), Tanh(), Dense(7, 6, rng=r), Sigmoid(), Dense(6, 6, rng=r), Softplus()),
            *(Dense(6, 4, rng=r), Softmax(), Dense(4, 1, rng=r)),
        ],
        (5,),
    ),
    "conv": (
        lambda r: [
            *(Conv(2, 3, (3, 3), 2, rng=r), Softplus(), Conv(3, 4, (2, 3), rng=r), LeakyReLU(), Flatten()),
            *(Dense(24, 5, rng=r), LayerNorm(5), Tanh(), Dense(5, 3, rng=r), Sigmoid(), Dense(3, 1, rng=r)),
        ],
        (5, 4, 2),
    ),
    "transposed conv": (
        lambda r: [
            *(
                Noise(0.0, rng=r),
                Reshape((2, 2, 1)),
                ConvTranspose(1, 2, (3, 3), 2, rng=r),
                Tanh(),
                Upsample(2),
                AveragePool((2, 2), 1),
            ),
            *(LayerNorm((7, 7, 2)), Softplus(), Flatten(), Dense(98, 1, rng=r)),
        ],
        (4,),
    ),
    "maxout": (
        lambda r: [
            *(Dense(5, 12, rng=r), Reshape((3, 4)), GlobalMaxPool(), Dense(4, 6, rng=r), Tanh()),
            *(Dense(6, 6, rng=r), Reshape((2, 3)), GlobalMaxPool(), Dense(3, 1, rng=r)),
        ],
        (5,),
    ),
    "spectral norm": (
        lambda r: [
            *(SpectralNorm(Conv(1, 3, (3,), bias=False, rng=r), rng=r), Tanh(), Flatten()),
            *(SpectralNorm(Dense(12, 4, bias=False, rng=r), rng=r), Softplus(), Dense(4, 1, rng=r)),
        ],
        (4, 1),
    ),
}


def critic(name, seed=0):
    make, shape = CRITICS[name]
    D = Sequential(*make(rng(seed))).astype("float64")
    D.theta += to_device(0.3 * np.random.default_rng(seed).standard_normal(D.theta.shape))  # biases and gammas, too
    for layer in D.layers:
        if isinstance(layer, SpectralNorm):
            layer.iterations = 300  # u and v at their end, where to first order they do not move with W
    return D, to_device(np.random.default_rng(seed + 1).standard_normal((4, *shape)))


def slopes(D, x):
    """g and |g_n|, on the host."""
    logits, cache = D.forward(x)
    g = to_host(D.backward(logits * 0 + 1, cache, param_grads=False))
    return g, np.sqrt((g**2).sum(axis=tuple(range(1, g.ndim))))


def penalty(D, x, kind, weight):
    """P by its definition."""
    _, length = slopes(D, x)
    return weight * ((length - 1) ** 2).mean() if kind == "wgan-gp" else weight / 2 * (length**2).mean()


def derivative(f, h=2e-3):
    """f'(0) by central differences at h, h / 2 and h / 4, extrapolated: the error falls with h^6."""
    d = [(f(s) - f(-s)) / (2 * s) for s in (h, h / 2, h / 4)]
    first = [(4 * b - a) / 3 for a, b in zip(d, d[1:])]
    return (16 * first[1] - first[0]) / 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CRITICS)
def test_three_routes_to_one_number(name, kind, backend):
    D, x = critic(name)
    value = gradient_penalty(D, x, kind, weight=3.0)
    by_hand = to_host(D.grad).copy()
    assert value.shape == () and float(to_host(value)) == pytest.approx(penalty(D, x, kind, 3.0), rel=1e-9)

    # the second: u held, the ordinary gradients of sum D at x +- h u
    g, length = slopes(D, x)
    length = length.reshape(-1, *(1 for _ in g.shape[1:]))
    u = 3.0 / len(g) * (2 * (1 - 1 / length) * g if kind == "wgan-gp" else g)

    def gradient_at(h):
        logits, cache = D.forward(x + to_device(h * u))
        D.zero_grad()
        D.backward(logits * 0 + 1, cache)
        return to_host(D.grad).copy()

    size = abs(by_hand).max()
    h = 1e-4 if "straight" in name else 2e-3  # so short a way that no kink lies on it
    assert abs(derivative(gradient_at, h) - by_hand).max() <= 1e-8 * size

    # the third: P itself, along random directions of theta
    theta = to_host(D.theta).copy()
    for seed in range(2):
        v = np.random.default_rng(seed).standard_normal(theta.shape)
        v /= np.linalg.norm(v)

        def moved(h, v=v):
            D.theta = to_device(theta + h * v)
            return penalty(D, x, kind, 3.0)

        assert abs(derivative(moved, h) - by_hand @ v) <= 1e-8 * max(size, 1)


def test_it_adds_to_the_gradient_and_needs_no_other(backend):
    D, x = critic("conv")
    gradient_penalty(D, x, "r1", 1.0)
    once = to_host(D.grad).copy()
    gradient_penalty(D, x, "r1", 2.0)
    np.testing.assert_allclose(to_host(D.grad), 3 * once, rtol=1e-12, atol=1e-15)


def test_dropouts_mask_is_the_same_in_all_four_sweeps():
    """In a straight D every layer is a matrix; with the mask written down, P is a formula."""
    r = rng(0)
    D = Sequential(Dense(3, 40, rng=r), Dropout(0.5, rng=rng(1)), Dense(40, 1, rng=r)).astype("float64")
    x = np.random.default_rng(0).standard_normal((2, 3))
    m = D.copy().forward(x)[1].layers[1]
    value = gradient_penalty(D, x, "r1", 2.0)
    W, V = D.params["0.W"], D.params["2.W"][:, 0]
    g = np.stack([W @ (mask * V) for mask in m])
    assert float(value) == pytest.approx((g**2).sum() / 2)
    expected = sum(np.outer(g_n, mask * V) for g_n, mask in zip(g, m))
    np.testing.assert_allclose(D.grads["0.W"], expected, rtol=1e-12)


def test_a_straight_critic_takes_the_short_way():
    """Where nothing bends, no gradient comes to the biases, and y_bar is never made."""
    D, x = critic("dense, straight")
    logits, cache = D.forward(x)
    _, caches = D.tangent(x, cache)
    etas = []
    D.backward(np.ones_like(logits), cache, param_grads=False, seen=etas)
    assert len(etas) == len(D.layers) and etas[0].shape == (4, 7) and etas[-1].shape == (4, 1)
    assert D.tangent_backward(None, etas, cache, caches) is None
    assert all((g == 0).all() for name, g in D.grads.items() if name.endswith("b"))


def test_a_flat_critic_gives_a_number_and_no_gradient():
    D, x = critic("dense, straight")
    D.theta = 0 * D.theta
    assert float(gradient_penalty(D, x, "wgan-gp", 10.0)) == pytest.approx(10, rel=1e-5)
    assert np.isfinite(D.grad).all()


def test_float32_stays_float32(backend):
    D = Sequential(*CRITICS["conv"][0](rng(0)))
    x = rng(1).standard_normal((4, 5, 4, 2), dtype="float32")
    assert gradient_penalty(D, x).dtype == D.grad.dtype == np.float32


@pytest.mark.parametrize(
    "layer, error, message",
    [(BatchNorm(2), ValueError, "mixes the samples"), (MaxPool((2, 2)), NotImplementedError, "no second derivative")],
)
def test_what_has_no_second_derivative_says_so(layer, error, message):
    D = Sequential(
        Conv(1, 2, (2, 2), rng=rng(0)), layer, Flatten(), Dense(8 if layer.params == {} else 32, 1, rng=rng(0))
    )
    with pytest.raises(error, match=message):
        gradient_penalty(D, np.ones((2, 4, 4, 1), "float32"))
    with pytest.raises(ValueError, match='no penalty "gp"'):
        gradient_penalty(D, np.ones((2, 4, 4, 1), "float32"), "gp")


def test_between_lies_between(backend):
    real, fake = to_device(np.zeros((50, 2, 3), "float32")), to_device(np.ones((50, 2, 3), "float32"))
    t = to_host(between(real, fake, rng(0)))
    assert t.dtype == np.float32 and (t >= 0).all() and (t <= 1).all()
    assert (t == t[:, :1, :1]).all() and t.std() > 0.2 and math.isclose(t.mean(), 0.5, abs_tol=0.15)


@pytest.mark.parametrize("kind", ["wgan-gp", "r1"])
def test_against_pytorchs_double_backward(kind, backend):
    """Stored numbers, made by tests/fixtures/make_penalty.py."""
    with np.load(Path(__file__).parent / "fixtures" / "torch_penalty.npz") as file:
        torchs = dict(file)
    r = rng(0)
    D = Sequential(
        *(Conv(2, 3, (3, 3), 2, 1, rng=r), Softplus(), ConvTranspose(3, 2, (4, 4), 2, 1, rng=r), LeakyReLU()),
        *(Flatten(), Dense(48, 7, rng=r), LayerNorm(7), Tanh(), Dense(7, 5, rng=r), Sigmoid(), Dense(5, 1, rng=r)),
    ).astype("float64")
    for name, p in D.params.items():
        p[...] = to_device(torchs[name])
    D.changed()
    value = gradient_penalty(D, to_device(torchs["x"]), kind, 10.0)
    assert float(to_host(value)) == pytest.approx(float(torchs[f"{kind}/value"]), rel=1e-10)
    for name, g in D.grads.items():
        theirs = torchs[f"{kind}/{name}"]
        # 1e-9: ours has 1e-12 under the root of the length, PyTorch's norm has not
        assert abs(to_host(g) - theirs).max() <= 1e-9 * max(abs(theirs).max(), 1e-3), name
