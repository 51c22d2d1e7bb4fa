"""Convolution and its transpose against loops, matrices and each other; what they refuse."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_layer
from minigan.layers import BatchNorm, Conv, ConvTranspose, Flatten, MaxPool, ReLU, ShapeError
from minigan.layers import conv as module
from minigan.layers.conv import Windows, correlate, spread, weight_gradient
from minigan.network import Sequential


@st.composite
def windows_and_sizes(draw, dimensions=None):
    """A kernel with its stride, padding and dilation, and sizes of x into which it fits."""
    dims = dimensions or draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))
    kernel, stride, dilation = each(1, 4 if dims < 3 else 3), each(1, 3), each(1, 2)
    pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.one_of(st.just("same"), st.just("valid"), st.tuples(*[pairs] * dims)))
    windows, sizes = Windows(kernel, stride, padding, dilation), each(1, 9 if dims < 3 else 5)
    assume(min(windows.count(sizes)) >= 1)
    return windows, sizes


def random(seed, *shapes):
    r = np.random.default_rng(seed)
    return [r.standard_normal(shape) for shape in shapes]


def six_loops(x, W, windows):
    """The definition, one number at a time: y[n, o, c] = sum of x[n, o s + k d - p, i] W[k, i, c] over k and i."""
    sides, places = windows.sides(x.shape[1:-1]), windows.count(x.shape[1:-1])
    y = np.zeros((len(x), *places, W.shape[-1]))
    for n, c in itertools.product(range(len(x)), range(W.shape[-1])):
        for place in itertools.product(*map(range, places)):
            for tap in itertools.product(*map(range, windows.kernel)):
                at = [o * s + k * d - p[0]
                      for o, s, k, d, p in zip(place, windows.stride, tap, windows.dilation, sides)]  # fmt: skip
                if all(0 <= a < size for a, size in zip(at, x.shape[1:-1])):
                    for i in range(W.shape[-2]):
                        y[(n, *place, c)] += x[(n, *at, i)] * W[(*tap, i, c)]
    return y


def matrix(function, shape):
    """The matrix of a linear function of one sample: its columns are what it makes of the unit vectors."""
    units = np.eye(math.prod(shape)).reshape(-1, *shape)
    return np.stack([function(unit[None]).ravel() for unit in units], axis=1)


# ---- three ways to say the same -----------------------------------------------------------------------------------


@given(windows_and_sizes(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_the_products_are_those_of_the_six_loops(drawn, n, n_in, n_out, seed):
    windows, sizes = drawn
    x, W = random(seed, (n, *sizes, n_in), (*windows.kernel, n_in, n_out))
    places = windows.count(sizes)
    expected = six_loops(x, W, windows)
    np.testing.assert_allclose(correlate(x, W, windows, places), expected, rtol=1e-10, atol=1e-10)


@given(windows_and_sizes(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_spread_and_weight_gradient_are_adjoints(drawn, n, n_in, n_out, seed):
    """<correlate(x; W), y> = <x, spread(y; W)> = <W, weight_gradient(x, y)>, and <unfold x, c> = <x, fold c>."""
    windows, sizes = drawn
    places = windows.count(sizes)
    x, W, y, columns = random(seed, (n, *sizes, n_in), (*windows.kernel, n_in, n_out), (n, *places, n_out),
                              (n, *places, *windows.kernel, n_in))  # fmt: skip
    one = (correlate(x, W, windows, places) * y).sum()
    size = abs(x).sum() * abs(W).sum()
    assert abs(one - (x * spread(y, W, windows, sizes)).sum()) <= 1e-12 * size
    assert abs(one - (W * weight_gradient(x, y, windows)).sum()) <= 1e-12 * size
    folded = (x * windows.fold(columns, sizes)).sum()
    assert abs((windows.unfold(x, places) * columns).sum() - folded) <= 1e-11 * abs(columns).sum()


@given(windows_and_sizes(), st.integers(1, 2), st.integers(1, 2), st.integers(0, 99))
@settings(max_examples=50)
def test_the_transpose_is_the_transposed_matrix(drawn, n_in, n_out, seed):
    windows, sizes = drawn
    assume(math.prod(sizes) <= 100)
    places = windows.count(sizes)
    (W,) = random(seed, (*windows.kernel, n_in, n_out))
    forward = matrix(lambda x: correlate(x, W, windows, places), (*sizes, n_in))
    back = matrix(lambda y: spread(y, W, windows, sizes), (*places, n_out))
    np.testing.assert_allclose(back, forward.T, rtol=1e-12, atol=1e-12)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(1, 6), st.data())
def test_the_layers_are_these_products(dims, kernel, stride, dilation, size, data):
    """Conv is correlate + b. ConvTranspose takes a Conv's dy to the dx that its backward gives."""
    padding = data.draw(st.one_of(st.just("same"), st.integers(0, 2)))
    r = rng(0)
    conv = Conv(2, 3, (kernel,) * dims, stride, padding, dilation, rng=r).astype("float64")
    sizes = (size,) * dims
    assume(min(conv.windows.count(sizes)) >= 1)
    conv.params["b"][...] = [1.0, -2.0, 0.5]
    x, dy = random(1, (2, *sizes, 2), (2, *conv.windows.count(sizes), 3))
    y, cache = conv.forward(x)
    np.testing.assert_allclose(y, six_loops(x, conv.params["W"], conv.windows) + conv.params["b"], atol=1e-10)
    dx = conv.backward(dy, cache)

    if padding == "same":
        assume(size % stride == 0)
        extra = 0
    else:
        extra = (size + 2 * padding - dilation * (kernel - 1) - 1) % stride
    back = ConvTranspose(3, 2, (kernel,) * dims, stride, padding, extra, dilation=dilation, rng=r).astype("float64")
    back.params["W"][...] = conv.params["W"].swapaxes(-1, -2)
    again, _ = back.forward(dy)
    assert back.output_shape(dy.shape[1:]) == x.shape[1:] == again.shape[1:]
    np.testing.assert_allclose(again, dx, rtol=1e-12, atol=1e-12)


# ---- gradients, and every backend ---------------------------------------------------------------------------------

CASES = [
    (lambda r: Conv(2, 3, (3,), rng=r), (3, 5, 2)),
    (lambda r: Conv(2, 3, (4,), 2, ((2, 1),), dilation=2, rng=r), (2, 8, 2)),
    (lambda r: Conv(1, 2, (5, 5), 2, rng=r), (2, 7, 6, 1)),
    (lambda r: Conv(2, 3, (3, 2), (1, 2), "valid", bias=False, rng=r), (2, 4, 5, 2)),
    (lambda r: Conv(2, 2, (2, 3, 2), (1, 2, 1), 1, rng=r), (2, 2, 3, 3, 2)),
    (lambda r: ConvTranspose(2, 3, (3,), 2, rng=r), (3, 4, 2)),
    (lambda r: ConvTranspose(2, 3, (2,), 3, rng=r), (3, 4, 2)),
    (lambda r: ConvTranspose(3, 2, (5, 4), 2, 1, 1, rng=r), (2, 3, 3, 3)),
    (lambda r: ConvTranspose(2, 2, (3, 3), (2, 1), (0, 1), (1, 0), False, 2, rng=r), (2, 2, 3, 2)),
    (lambda r: ConvTranspose(2, 1, (2, 2, 2), 2, rng=r), (2, 2, 1, 2, 2)),
]


@pytest.mark.parametrize("make, shape", CASES, ids=[repr(make(rng(0))) for make, _ in CASES])
def test_gradients_in_both_modes(make, shape, backend):
    check_layer(make(rng(0)), shape).raise_if_wrong()


def test_parts_of_the_batch_change_nothing(backend, monkeypatch):
    """One sample at a time, or all at once: the same numbers, and results that do not share memory."""
    r = rng(0)
    x, dy = random(0, (5, 6, 6, 2), (5, 3, 3, 4))
    results = []
    for size in (1, 2**40):
        monkeypatch.setattr(module, "COLUMNS", size)
        layer = Conv(2, 4, (3, 3), 2, rng=r).astype("float64")
        layer.params["W"][...] = to_device(np.linspace(-1, 1, layer.params["W"].size).reshape(3, 3, 2, 4))
        y, cache = layer.forward(to_device(x))
        other, _ = layer.forward(to_device(x + 1))
        dx = layer.backward(to_device(dy), cache)
        results.append([to_host(a) for a in (y, dx, layer.grads["W"], layer.grads["b"])])
        assert not np.shares_memory(to_host(y), to_host(other))
    for one, all_ in zip(*results):
        np.testing.assert_allclose(one, all_, rtol=1e-12)


def test_7_to_14_to_28_and_back():
    r = rng(0)
    up = [ConvTranspose(8, 4, (5, 5), 2, rng=r), ConvTranspose(4, 1, (4, 4), 2, rng=r)]
    down = [Conv(1, 4, (5, 5), 2, rng=r), Conv(4, 8, (5, 5), 2, rng=r)]
    shape = (7, 7, 8)
    for layer, expected in zip(up + down, [(14, 14, 4), (28, 28, 1), (14, 14, 4), (7, 7, 8)]):
        shape = layer.output_shape(shape)
        assert shape == expected
        assert layer.forward(np.zeros((1, *layer_input(layer, shape)), "float32"))[0].shape[1:] == shape


def layer_input(layer, shape):
    sizes = [n // 2 if isinstance(layer, ConvTranspose) else n * 2 for n in shape[:-1]]
    return (*sizes, layer.c_in)


# ---- what does not fit --------------------------------------------------------------------------------------------

CONV = lambda *args, **options: Conv(2, 3, *args, rng=rng(0), **options)
BACK = lambda *args, **options: ConvTranspose(2, 3, *args, rng=rng(0), **options)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: CONV((3, 3, 3, 3)), "one, two or three dimensions"),
        (lambda: CONV((3, 3), stride=(2,)), r"kernel \(3, 3\) has 2 dimensions, but stride is \(2,\)"),
        (lambda: CONV((3, 0)), "kernel takes numbers of at least 1"),
        (lambda: CONV((3, 3), stride=0), "stride takes numbers of at least 1"),
        (lambda: CONV((3, 3), padding=-1), "padding takes numbers of at least 0"),
        (lambda: CONV((3, 3), padding="full"), 'but got "full"'),
        (lambda: Conv(0, 3, (3,), rng=rng(0)), "at least one channel"),
        (lambda: BACK((3, 3), 2, "same", 1), "leave output_padding out"),
        (lambda: BACK((3, 3), 2, 1, 2), "output_padding 2 must be less than the stride 2"),
        (
            lambda: CONV((5, 5), 2, "valid").output_shape((4, 9, 2)),
            r"\(4 \+ 0 \+ 0 - 1 \(5 - 1\) - 1\) // 2 \+ 1 = 0",
        ),
        (lambda: CONV((3, 3)).output_shape((4, 2)), r"takes \(N, H, W, 2\), not \(N, 4, 2\)"),
        (lambda: CONV((3,)).output_shape((4, 3)), r"takes \(N, W, 2\), not \(N, 4, 3\)"),
        (lambda: BACK((1, 1), 1, 1).output_shape((2, 2, 2)), r"\(2 - 1\) 1 - 1 - 1 \+ 1 \(1 - 1\) \+ 1 \+ 0 = 0"),
        (lambda: CONV((3, 3)).forward(np.zeros((1, 4, 4, 5), "float32")), "takes"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_arithmetic(make, message):
    with pytest.raises(ShapeError, match=message):
        make()


@pytest.mark.parametrize("make, shape", [(CONV, (2, 6, 6, 2)), (BACK, (2, 3, 3, 2))])
def test_a_gradient_of_another_shape_is_refused_and_not_read_past_the_end(make, shape):
    layer = make((3, 3), 2, 1)
    y, cache = layer.forward(np.ones(shape, "float32"))
    for bigger in (np.ones((2, y.shape[1] + 4, y.shape[2], 3), "float32"), np.ones((2, 1, y.shape[2], 3), "float32")):
        with pytest.raises(ValueError, match="dy|do not fit"):
            layer.backward(bigger, cache)


def test_a_network_refuses_channels_that_do_not_meet_before_it_knows_the_sizes():
    r = rng(0)
    for second in (CONV((3, 3)), BACK((3, 3)), Conv(4, 3, (3,), rng=r)):
        with pytest.raises(ShapeError, match=r"layers 1 and 2 do not fit: ReLU\(\) gives \(N, \?, \?, 4\)"):
            Sequential(Conv(1, 4, (3, 3), rng=r), ReLU(), second)
    Sequential(Conv(1, 4, (3, 3), rng=r), MaxPool((2, 2)), BatchNorm(4), Conv(4, 2, (3, 3), rng=r), Flatten())


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(CONV((5, 5), 2)) == "Conv(2, 3, (5, 5), stride=2)"
    assert repr(CONV((3,), 1, 1, bias=False)) == "Conv(2, 3, (3,), padding=1, bias=False)"
    assert repr(CONV((3, 3), (1, 2), ((0, 1), (2, 2)), 2)) == (
        "Conv(2, 3, (3, 3), stride=(1, 2), padding=((0, 1), (2, 2)), dilation=2)"
    )
    assert repr(BACK((3, 3), 2, 1, 1)) == "ConvTranspose(2, 3, (3, 3), stride=2, padding=1, output_padding=1)"
