"""Convolution and its transpose in one, two and three dimensions, from one pair of helpers: `unfold` and `fold`.

A convolution looks at x through a small window at many places, and takes the same weighted sums at each. Lay every
window out as a row, and all of it is one matrix product: y = unfold(x) W. The rest follows from linear algebra:

    y  = unfold(x) W        correlate        Conv forward        ConvTranspose input gradient
    dx = fold(dy W^T)       spread           Conv input gradient ConvTranspose forward
    dW = unfold(x)^T dy     weight_gradient  both

`fold` is `unfold` transposed: where one copies a number into several windows, the other adds what the windows hold.

N samples; n... places of x in each dimension, o... places of the window; k... taps of the kernel; channels last,
I of x and O of y. (Dumoulin and Visin 2016, "A guide to convolution arithmetic for deep learning".)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from minigan.backend import Array, on_host, xp
from minigan.layers.base import Layer, Shape, ShapeError, batch_of
from minigan.layers.init import glorot

Numbers = int | tuple[int, ...]
Padding = str | int | tuple[int | tuple[int, int], ...]

COLUMNS = 2**20  # numbers that `unfold` makes at once on the CPU: they are multiplied while still in its cache


class Windows:
    """Where the windows lie: kernel, stride, padding and dilation, one number each per dimension.

    padding: zeros around x. "same": so many that there are ceil(n / stride) windows. "valid": none. A number: as many
    on each side; (before, after) pairs: one for each dimension.
    """

    def __init__(self, kernel: Numbers, stride: Numbers, padding: Padding, dilation: Numbers = 1) -> None:
        self.kernel = (kernel,) if isinstance(kernel, int) else tuple(kernel)
        if len(self.kernel) not in (1, 2, 3):
            raise ShapeError(f"A kernel has one, two or three dimensions, but got {kernel}.")
        self.stride = self.each("stride", stride)
        self.dilation = self.each("dilation", dilation)
        for name in ("kernel", "stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise ShapeError(f"{name} takes numbers of at least 1, but got {getattr(self, name)}.")
        if not isinstance(padding, str):
            padding = tuple((p, p) if isinstance(p, int) else tuple(p) for p in self.each("padding", padding))
            if any(len(pair) != 2 or min(pair) < 0 for pair in padding):
                raise ShapeError(f"padding takes numbers of at least 0, or (before, after) pairs, but got {padding}.")
        elif padding not in ("same", "valid"):
            raise ShapeError(f'padding is "same", "valid", a number or pairs of numbers, but got "{padding}".')
        self.padding = padding
        self.reach = tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))  # from first tap to last

    def each(self, name: str, value: Any) -> tuple:
        """One number for each dimension."""
        value = (value,) * len(self.kernel) if isinstance(value, int) else tuple(value)
        if len(value) != len(self.kernel):
            raise ShapeError(f"kernel {self.kernel} has {len(self.kernel)} dimensions, but {name} is {value}.")
        return value

    def sides(self, sizes: Shape) -> tuple[tuple[int, int], ...]:
        """The zeros before and after x in each dimension."""
        if self.padding == "valid":
            return ((0, 0),) * len(sizes)
        if self.padding == "same":  # an odd one goes to the end, as in TensorFlow
            missing = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, self.stride, self.reach)]
            return tuple((p // 2, p - p // 2) for p in missing)
        return self.padding

    def count(self, sizes: Shape) -> tuple[int, ...]:
        """o..., how many windows x of n... places has in each dimension; at most 0 where it is too small."""
        spans = zip(sizes, self.sides(sizes), self.reach, self.stride)
        return tuple((n + before + after - r) // s + 1 for n, (before, after), r, s in spans)

    def view(self, x: Array, places: Shape) -> Array:
        """x with its zeros, seen window by window, nothing copied: (N, o..., k..., I). Windows may share numbers.

        Raises ShapeError where windows would reach past x: as_strided itself would read whatever lies there.
        """
        for size, o, s, r in zip(x.shape[1:-1], places, self.stride, self.reach):
            if (o - 1) * s + r > size:
                raise ShapeError(f"{o} windows {s} apart that reach over {r} places do not fit into {size}.")
        sample, *steps, channel = x.strides
        strides = (sample, *(n * s for n, s in zip(steps, self.stride)),
                   *(n * d for n, d in zip(steps, self.dilation)), channel)  # fmt: skip
        return xp.lib.stride_tricks.as_strided(x, (len(x), *places, *self.kernel, x.shape[-1]), strides)

    def unfold(self, x: Array, places: Shape) -> Array:
        """Every window of x: (N, n..., I) -> (N, o..., k..., I). Places outside x hold 0."""
        return xp.ascontiguousarray(self.view(self.pad(x), places))

    def fold(self, columns: Array, sizes: Shape) -> Array:
        """The transpose of `unfold`: (N, o..., k..., I) -> (N, n..., I), each number added to the place it came from.

        Windows that share places must be added one after the other: so every m-th at a time, m far enough apart.
        """
        places = columns.shape[1 : 1 + len(sizes)]
        shape = self.padded(columns.shape[0], sizes, columns.shape[-1])
        if self.reach == self.stride == self.kernel and all(
            o * r == n for o, r, n in zip(places, self.reach, shape[1:])
        ):
            x = xp.empty(shape, dtype=columns.dtype)  # windows lie side by side: nothing is added up
            self.view(x, places)[...] = columns
            return x[self.inside(sizes)]
        x = xp.zeros(shape, dtype=columns.dtype)
        windows, apart = self.view(x, places), [-(-r // s) for r, s in zip(self.reach, self.stride)]
        for first in itertools.product(*map(range, apart)):
            disjoint = (slice(None), *(slice(f, None, m) for f, m in zip(first, apart)))
            windows[disjoint] += columns[disjoint]
        return x[self.inside(sizes)]

    def pad(self, x: Array, value: float = 0.0) -> Array:
        """x with its borders, contiguous."""
        sizes = x.shape[1:-1]
        if not any(map(any, self.sides(sizes))):
            return xp.ascontiguousarray(x)
        padded = xp.full(self.padded(len(x), sizes, x.shape[-1]), value, dtype=x.dtype)
        padded[self.inside(sizes)] = x
        return padded

    def padded(self, n: int, sizes: Shape, channels: int) -> tuple[int, ...]:
        """The shape of n samples with their borders."""
        return (n, *(size + before + after for size, (before, after) in zip(sizes, self.sides(sizes))), channels)

    def inside(self, sizes: Shape) -> tuple[slice, ...]:
        """Where x lies in x with its zeros, as slices."""
        return (slice(None), *(slice(before, before + n) for n, (before, _) in zip(sizes, self.sides(sizes))))


# ---- the three products: W (k..., I, O), x (N, n..., I), y (N, o..., O) -------------------------------------------


def correlate(x: Array, W: Array, windows: Windows, places: Shape) -> Array:
    """y = unfold(x) W: the convolution, which strictly speaking is a correlation: the kernel is not turned round."""
    W = W.reshape(-1, W.shape[-1])  # (k I, O)
    y = xp.empty((len(x), *places, W.shape[1]), dtype=x.dtype)
    for part in parts(len(x), math.prod(places) * len(W)):
        columns = windows.unfold(x[part], places).reshape(-1, len(W))
        y[part] = (columns @ W).reshape(y[part].shape)  # (N o, k I) (k I, O) -> (N o, O)
    return y


def spread(y: Array, W: Array, windows: Windows, sizes: Shape) -> Array:
    """x = fold(y W^T): the transpose of `correlate`, <correlate(x), y> = <x, spread(y)>."""
    n_in, n_out = W.shape[-2:]
    places = y.shape[1:-1]
    WT = xp.moveaxis(W, -1, 0).reshape(n_out, -1)  # (O, k I), laid out once for all parts: BLAS is faster so
    x = xp.empty((len(y), *sizes, n_in), dtype=y.dtype)
    for part in parts(len(y), math.prod(places) * WT.shape[1]):
        columns = y[part].reshape(-1, n_out) @ WT  # (N o, O) (O, k I) -> (N o, k I)
        x[part] = windows.fold(columns.reshape(-1, *places, *windows.kernel, n_in), sizes)
    return x


def weight_gradient(x: Array, dy: Array, windows: Windows) -> Array:
    """dW = unfold(x)^T dy, (k..., I, O)."""
    n_in, n_out, places = x.shape[-1], dy.shape[-1], dy.shape[1:-1]
    rows = math.prod(windows.kernel) * n_in
    dW = xp.zeros((rows, n_out), dtype=x.dtype)
    for part in parts(len(x), math.prod(places) * rows):
        columns = windows.unfold(x[part], places).reshape(-1, rows)
        dW += columns.T @ dy[part].reshape(-1, n_out)  # (k I, N o) (N o, O) -> (k I, O)
    return dW.reshape(*windows.kernel, n_in, n_out)


def transpose_gradients(dy: Array, x: Array, W: Array, windows: Windows) -> tuple[Array, Array]:
    """correlate(dy, W) and weight_gradient(dy, x), the two gradients of `spread`, from one unfolding of dy."""
    places, shape, W = x.shape[1:-1], W.shape, W.reshape(-1, W.shape[-1])  # (k O, I)
    dx, dW = xp.empty_like(x), xp.zeros_like(W)
    for part in parts(len(x), math.prod(places) * len(W)):
        columns = windows.unfold(dy[part], places).reshape(-1, len(W))
        dx[part] = (columns @ W).reshape(dx[part].shape)
        dW += columns.T @ x[part].reshape(-1, W.shape[1])
    return dx, dW.reshape(shape)


def parts(n: int, each: int) -> list[slice]:
    """The batch in parts whose columns, so many numbers a sample, fit the CPU's cache; on a GPU, its memory."""
    step = max(1, (COLUMNS if on_host() else 2**28) // max(each, 1))
    return [slice(start, start + step) for start in range(0, n, step)]


# ---- the two layers -----------------------------------------------------------------------------------------------


class _Convolution(Layer):
    """What both share: y = A x + b, A linear in x and in W. Each says what A x, A^T dy and dW are."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Numbers,
        stride: Numbers,
        padding: Padding,
        dilation: Numbers,
        bias: bool,
        rng: Any,
        init: Callable[..., Array],
    ) -> None:
        super().__init__()
        if c_in < 1 or c_out < 1:
            raise ShapeError(f"{type(self).__name__} needs at least one channel in and out, got {c_in} and {c_out}.")
        self.c_in, self.c_out = c_in, c_out
        self.windows = Windows(kernel, stride, padding, dilation)
        self.add_param("W", init(rng, (*self.windows.kernel, c_in, c_out)))
        if bias:
            self.add_param("b", xp.zeros(c_out, dtype="float32"))

    def apply(self, x: Array, sizes: Shape) -> Array:
        """A x, with so many places in each dimension."""
        raise NotImplementedError

    def transposed(self, dy: Array, sizes: Shape) -> Array:
        """A^T dy, with so many places in each dimension."""
        raise NotImplementedError

    def weights(self, x: Array, dy: Array) -> Array:
        """The gradient of <A x, dy> on W."""
        raise NotImplementedError

    def gradients(self, dy: Array, x: Array) -> tuple[Array, Array]:
        """Both, A^T dy and the gradient on W."""
        return self.transposed(dy, x.shape[1:-1]), self.weights(x, dy)

    def forward(self, x, train=True):
        *sizes, _ = self.output_shape(x.shape[1:])
        y = self.apply(x, sizes)
        if "b" in self.params:
            y += self.params["b"]
        return y, x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x = cache
        if dy.shape[1:] != (expected := self.output_shape(x.shape[1:])):
            raise ShapeError(f"{self!r} gave {batch_of(expected)}, so dy cannot be {batch_of(dy.shape[1:])}")
        if param_grads and "b" in self.params:
            self.grads["b"] += dy.reshape(-1, self.c_out).sum(axis=0)  # over samples and places: (O,)
        if param_grads and input_grad:
            dx, dW = self.gradients(dy, x)
            self.grads["W"] += dW
            return dx
        if param_grads:
            self.grads["W"] += self.weights(x, dy)
        return self.transposed(dy, x.shape[1:-1]) if input_grad else None

    def tangent(self, x_dot, cache):
        *sizes, _ = self.output_shape(x_dot.shape[1:])
        return self.apply(x_dot, sizes), x_dot

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        x, x_dot = cache, tangent_cache
        self.grads["W"] += self.weights(x_dot, eta)
        return None if y_bar is None else self.backward(y_bar, x)

    def sizes(self, given: Shape) -> tuple[int, ...]:
        """The places of y in each dimension for those of x."""
        raise NotImplementedError

    def arithmetic(self, given: Shape) -> str:
        """How the first dimension that does not fit comes to its size, for the message."""
        raise NotImplementedError

    def output_shape(self, shape: Shape | None) -> Shape:
        w = self.windows
        if shape is not None and (len(shape) != len(w.kernel) + 1 or shape[-1] not in (self.c_in, None)):
            letters = ", ".join("DHW"[3 - len(w.kernel) :])
            raise ShapeError(f"{self!r} takes (N, {letters}, {self.c_in}), not {batch_of(shape)}")
        if shape is None or None in shape[:-1]:
            return (*(None for _ in w.kernel), self.c_out)
        sizes = self.sizes(shape[:-1])
        if min(sizes) < 1:
            raise ShapeError(f"{self!r} cannot take {batch_of(shape)}: {self.arithmetic(shape[:-1])}")
        return (*sizes, self.c_out)

    def __repr__(self) -> str:
        w = self.windows
        plain = lambda numbers: numbers[0] if len(set(numbers)) == 1 else numbers
        shown = [f"stride={plain(w.stride)}"] if set(w.stride) != {1} else []
        if w.padding != "same":
            pairs = w.padding if isinstance(w.padding, str) else plain(w.padding)
            both = isinstance(pairs, tuple) and pairs[0] == pairs[-1] and isinstance(pairs[0], int)
            shown.append(f"padding={pairs[0] if both else pairs!r}")
        shown += [f"dilation={plain(w.dilation)}"] if set(w.dilation) != {1} else []
        shown += [] if "b" in self.params else ["bias=False"]
        return f"{type(self).__name__}({', '.join([f'{self.c_in}, {self.c_out}, {w.kernel}', *shown])})"


class Conv(_Convolution):
    """y = unfold(x) W + b        x (N, n..., I)   W (k..., I, O)   b (O,)   y (N, o..., O)

    o = (n + before + after - dilation (k - 1) - 1) // stride + 1; with "same" padding o = ceil(n / stride).
    kernel (5,) is one-, (5, 5) two-, (3, 5, 5) three-dimensional; the other numbers are one, or one a dimension.
    Raises ShapeError when no window fits into x, or x has other axes or channels.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Numbers,
        stride: Numbers = 1,
        padding: Padding = "same",
        dilation: Numbers = 1,
        bias: bool = True,
        *,
        rng: Any,
        init: Callable[..., Array] = glorot,
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding, dilation, bias, rng, init)

    def apply(self, x, sizes):
        return correlate(x, self.params["W"], self.windows, sizes)

    def transposed(self, dy, sizes):
        return spread(dy, self.params["W"], self.windows, sizes)

    def weights(self, x, dy):
        return weight_gradient(x, dy, self.windows)

    def sizes(self, given):
        return self.windows.count(given)

    def arithmetic(self, given):
        w, sizes = self.windows, self.sizes(given)
        i = next(i for i, o in enumerate(sizes) if o < 1)
        n, (before, after) = given[i], w.sides(given)[i]
        return (
            f"({n} + {before} + {after} - {w.dilation[i]} ({w.kernel[i]} - 1) - 1) // {w.stride[i]} + 1 = "
            f"{sizes[i]}, but at least one window must fit"
        )


class ConvTranspose(_Convolution):
    """y = fold(x W^T) + b        x (N, o..., I)   W (k..., I, O)   b (O,)   y (N, n..., O)

    The input gradient of a convolution from O to I channels, as a layer: it goes from o... places back to n...
    n = (o - 1) stride - before - after + dilation (k - 1) + 1 + output_padding; with "same" padding n = o stride.
    Several n lead to one o where stride > 1; output_padding says which is meant.
    Raises ShapeError as Conv does, and for an output_padding of stride or more.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Numbers,
        stride: Numbers = 1,
        padding: Padding = "same",
        output_padding: Numbers = 0,
        bias: bool = True,
        dilation: Numbers = 1,
        *,
        rng: Any,
        init: Callable[..., Array] = glorot,
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, padding, dilation, bias, rng, init)
        self.output_padding = self.windows.each("output_padding", output_padding)
        if padding == "same" and any(self.output_padding):
            raise ShapeError('With padding="same" n = o stride is settled: leave output_padding out.')
        for p, s, d in zip(self.output_padding, self.windows.stride, self.windows.dilation):
            if not 0 <= p < max(s, d):
                raise ShapeError(f"output_padding {p} must be less than the stride {s} (or the dilation {d}).")

    def apply(self, x, sizes):
        return spread(x, self.params["W"].swapaxes(-1, -2), self.windows, sizes)

    def transposed(self, dy, sizes):
        return correlate(dy, self.params["W"].swapaxes(-1, -2), self.windows, sizes)

    def weights(self, x, dy):
        return weight_gradient(dy, x, self.windows).swapaxes(-1, -2)

    def gradients(self, dy, x):
        dx, dW = transpose_gradients(dy, x, self.params["W"].swapaxes(-1, -2), self.windows)
        return dx, dW.swapaxes(-1, -2)

    def sizes(self, given):
        w = self.windows
        if w.padding == "same":
            return tuple(o * s for o, s in zip(given, w.stride))
        sides = w.sides(given)
        return tuple(
            (o - 1) * s - before - after + r + p
            for o, s, (before, after), r, p in zip(given, w.stride, sides, w.reach, self.output_padding)
        )

    def arithmetic(self, given):
        w, sizes = self.windows, self.sizes(given)
        i = next(i for i, n in enumerate(sizes) if n < 1)
        o, (before, after) = given[i], w.sides(given)[i]
        return (
            f"({o} - 1) {w.stride[i]} - {before} - {after} + {w.dilation[i]} ({w.kernel[i]} - 1) + 1 + "
            f"{self.output_padding[i]} = {sizes[i]}, but at least one place must be left"
        )

    def __repr__(self) -> str:
        shown = super().__repr__()
        extra = self.output_padding if len(set(self.output_padding)) > 1 else self.output_padding[0]
        return f"{shown[:-1]}, output_padding={extra})" if any(self.output_padding) else shown
