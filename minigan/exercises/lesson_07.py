"""Lesson 07, "What is a transposed convolution?": its exercises.

N images; x (N, h, w, I) pixels and channels, W (kh, kw, I, O) a kernel, y (N, oh, ow, O) what the convolution makes.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw


def _drawn(rng, N):
    """Windows that overlap in both directions, zeros around x; in one direction they leave a rest at its end."""
    stride = int(rng.integers(2, 4))
    padding = stride + 1  # more than a step: with fewer, zeros forgotten on one side look like a window forgotten
    kernel = [stride + int(n) for n in rng.permutation([2, 3])]
    windows = [int(n) for n in rng.permutation([3, 4])]
    rest = [int(n) for n in rng.permutation([0, rng.integers(1, stride)])]
    h, w = ((o - 1) * stride + k - 2 * padding + r for o, k, r in zip(windows, kernel, rest))
    n_in, n_out = sizes(rng, N, 2)
    return {
        "x": draw(rng, (N, h, w, n_in)),
        "W": draw(rng, (*kernel, n_in, n_out)),
        "y": draw(rng, (N, *windows, n_out)),
        "columns": draw(rng, (N, *windows, *kernel, n_in)),
        "x_shape": (N, h, w, n_in),
        "stride": stride,
        "padding": padding,
        "output_padding": tuple(rest),
    }


def _only(*names):
    def make(rng, N):
        everything = _drawn(rng, N)
        return {name: everything[name] for name in names}

    return make


# ---- 07.conv_sizes --------------------------------------------------------------------------------------------


def conv_sizes(x, W, stride, padding):
    return _sizes(x, W, lambda n, k: (n + 2 * padding - k) // stride + 1, stride, padding)


def _sizes(x, W, windows, stride, padding):
    (N, *pixels, _), (*kernel, _, n_out) = x.shape, W.shape
    rest = tuple((n + 2 * padding - k) % stride for n, k in zip(pixels, kernel))
    return (N, *(windows(n, k) for n, k in zip(pixels, kernel)), n_out), rest


CONV_SIZES = Exercise(
    name="07.conv_sizes",
    asked="the shape (N, oh, ow, O) of a convolution's y, and the rows and columns that no window reaches",
    make=_only("x", "W", "stride", "padding"),
    solution=conv_sizes,
    returns=("shape", "rest"),
    float32=False,  # whole numbers come out, whatever goes in
    wrong=(
        Wrong(
            lambda x, W, s, p: _sizes(x, W, lambda n, k: (n + 2 * p - k) / s + 1, s, p),
            "the floor is forgotten",
            "the floor is forgotten: there are no halves of windows, so divide with //",
        ),
        Wrong(
            lambda x, W, s, p: _sizes(x, W, lambda n, k: -(-(n + 2 * p - k) // s) + 1, s, p),
            "hangs over the edge",
            "it is rounded up: the last window then hangs over the edge, and only whole windows count",
        ),
        Wrong(
            lambda x, W, s, p: _sizes(x, W, lambda n, k: (n + 2 * p - k) // s, s, p),
            "the first window",
            "one too few: (n + 2 p - k) // s counts the steps, and before the first step there is the first window",
        ),
        Wrong(
            lambda x, W, s, p: _sizes(x, W, lambda n, k: (n + p - k) // s + 1, s, p),
            "on one side only",
            "the padding is counted on one side only: x has zeros before it and after it, 2 p in all",
        ),
        Wrong(
            lambda x, W, s, p: _sizes(x, W, lambda n, k: n + 2 * p - k + 1, s, p),
            "the stride is left out",
            "the stride is left out: only every s-th place has a window",
        ),
        Wrong(
            lambda x, W, s, p: (conv_sizes(x, W, s, p)[0], (0, 0)),
            "no window reaches",
            "there is a rest: no window reaches the last rows and columns of the padded x, as many as the division "
            "leaves over",
        ),
    ),
)


# ---- 07.fold --------------------------------------------------------------------------------------------------


def fold(columns, x_shape, stride, padding):
    (h, w), p = x_shape[1:3], padding
    return _stamped(columns, x_shape, stride, padding)[:, p : p + h, p : p + w]


def _stamped(columns, x_shape, stride, padding):
    """The windows added up, with the zeros around x still there."""
    _, oh, ow, kh, kw, _ = columns.shape
    N, h, w, n_in = x_shape
    x = np.zeros((N, h + 2 * padding, w + 2 * padding, n_in), columns.dtype)
    for u in range(kh):
        for v in range(kw):
            x[:, u : u + stride * oh : stride, v : v + stride * ow : stride] += columns[:, :, :, u, v]
    return x


def _overwriting(columns, x_shape, stride, padding):
    _, oh, ow, kh, kw, _ = columns.shape
    N, h, w, n_in = x_shape
    x = np.zeros((N, h + 2 * padding, w + 2 * padding, n_in), columns.dtype)
    for r in range(oh):
        for c in range(ow):
            x[:, r * stride : r * stride + kh, c * stride : c * stride + kw] = columns[:, r, c]
    return x[:, padding : padding + h, padding : padding + w]


def _averaging(columns, x_shape, stride, padding):
    hits = fold(np.ones_like(columns), x_shape, stride, padding)
    return fold(columns, x_shape, stride, padding) / np.maximum(hits, 1)


def _cut_at_the_end(columns, x_shape, stride, padding):
    return _stamped(columns, x_shape, stride, padding)[:, : x_shape[1], : x_shape[2]]


def _side_by_side(columns, x_shape, stride, padding):
    """The windows one pixel apart."""
    _, h, w, _ = x_shape
    p = padding
    return _stamped(columns, x_shape, 1, padding)[:, p : p + h, p : p + w]


def _in_float64(columns, x_shape, stride, padding):
    return fold(columns.astype(np.float64), x_shape, stride, padding)


FOLD = Exercise(
    name="07.fold",
    asked="x (N, h, w, I) of the given shape, every number of the columns added to the pixel that it came from",
    make=_only("columns", "x_shape", "stride", "padding"),
    solution=fold,
    returns=("x",),
    wrong=(
        Wrong(
            _overwriting,
            "overwritten",
            "where windows overlap, the earlier one is overwritten; a pixel that stands in several windows gets the "
            "sum: += and not =",
        ),
        Wrong(
            _averaging,
            "this is their mean",
            "where windows overlap, this is their mean; that undoes unfold, but the transpose of copying is adding: "
            "take the sum",
        ),
        Wrong(
            _cut_at_the_end,
            "cut from the wrong side",
            "the padding is cut from the wrong side: x begins at row p and column p of what you have added up",
        ),
        Wrong(
            _stamped,
            "the padding is still there",
            "the padding is still there: x has h rows and w columns, so cut off the zeros around it",
        ),
        Wrong(
            _side_by_side,
            "one pixel apart",
            "the windows lie one pixel apart here, but the stride says how far: window r begins at row r s",
        ),
        Wrong(_in_float64, "float32 in gives float64 out"),
    ),
)


# ---- 07.transposed_conv ---------------------------------------------------------------------------------------


def transposed_conv(y, W, stride, padding, output_padding):
    columns, shape = _columns(y, W), _shape(y, W, stride, padding, output_padding)
    return fold(columns, shape, stride, padding)


def _columns(y, W):
    """Every window's y W^T: (N, oh, ow, kh, kw, I)."""
    kh, kw, n_in, n_out = W.shape
    return (y @ W.reshape(-1, n_out).T).reshape(*y.shape[:3], kh, kw, n_in)


def _shape(y, W, stride, padding, output_padding):
    h, w = (
        (o - 1) * stride - 2 * padding + k + extra for o, k, extra in zip(y.shape[1:3], W.shape[:2], output_padding)
    )
    return len(y), h, w, W.shape[2]


def _by(folding):
    """The transposed convolution with another fold."""
    return lambda y, W, s, p, extra: folding(_columns(y, W), _shape(y, W, s, p, extra), s, p)


def _zeros_for_output_padding(y, W, stride, padding, output_padding):
    x = transposed_conv(y, W, stride, padding, (0, 0))
    return np.pad(x, ((0, 0), *((0, extra) for extra in output_padding), (0, 0)))


def _padding_added(y, W, stride, padding, output_padding):
    x = transposed_conv(y, W, stride, 0, output_padding)
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))


TRANSPOSED_CONV = Exercise(
    name="07.transposed_conv",
    asked="x (N, h, w, I), the transposed convolution of y (N, oh, ow, O); W (kh, kw, I, O) is the convolution's",
    make=_only("y", "W", "stride", "padding", "output_padding"),
    solution=transposed_conv,
    returns=("x",),
    wrong=(
        Wrong(
            lambda y, W, s, p, extra: transposed_conv(y, W[::-1, ::-1], s, p, extra),
            "turned by 180 degrees",
            "the kernel is turned by 180 degrees: each number of y lays the kernel down as it is; turning it belongs "
            "to another way of computing the same, in section 7",
        ),
        Wrong(
            _by(_overwriting),
            "overwritten",
            "where the kernels overlap, the earlier one is overwritten; they are to be added up",
        ),
        Wrong(
            _by(_side_by_side),
            "one pixel apart",
            "the kernels are laid down one pixel apart, but the stride says how far: y[r, c] lays its own at row "
            "r s and column c s",
        ),
        Wrong(
            _by(_cut_at_the_end),
            "cut from the wrong side",
            "the padding is cut from the wrong side: p rows go at the top and p columns on the left, too",
        ),
        Wrong(
            _zeros_for_output_padding,
            "rows of zeros",
            "the output padding is rows of zeros here, but it only says that less is cut off: kernels may well reach "
            "those pixels",
        ),
        Wrong(
            _padding_added,
            "padding makes x larger here",
            "padding makes x larger here: in a convolution it enlarges what the windows see, so in the transposed "
            "one it is cut off, 2 p in each direction",
        ),
    ),
)

EXERCISES = (CONV_SIZES, FOLD, TRANSPOSED_CONV)
