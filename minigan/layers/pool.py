"""Pooling and upsampling: fewer places, or more, without parameters.

Places are those of `Windows` in conv.py: N samples, n... places of x, o... of y, k... taps of the window, C channels.
"""

from __future__ import annotations

import math

from minigan.backend import xp
from minigan.layers.base import Layer, Rearranging, Shape, ShapeError, batch_of
from minigan.layers.conv import Numbers, Padding, Windows


class _Pool(Layer):
    """What max and average share: windows that by default lie side by side."""

    def __init__(self, kernel: Numbers, stride: Numbers | None = None, padding: Padding = "valid") -> None:
        super().__init__()
        self.windows = Windows(kernel, kernel if stride is None else stride, padding)
        dims = len(self.windows.kernel)
        self.taps = tuple(range(1 + dims, 1 + 2 * dims))  # the axes of k... in (N, o..., k..., C)

    def output_shape(self, shape: Shape | None) -> Shape | None:
        w = self.windows
        if shape is None:
            return None
        if len(shape) != len(w.kernel) + 1:
            raise ShapeError(f"{self!r} takes (N, {', '.join('DHW'[3 - len(w.kernel) :])}, C), not {batch_of(shape)}")
        if None in shape[:-1]:
            return (*(None for _ in w.kernel), shape[-1])
        places = w.count(shape[:-1])
        if min(places) < 1:
            raise ShapeError(f"{self!r} cannot take {batch_of(shape)}: no window of {w.kernel} fits into it")
        return (*places, shape[-1])

    def __repr__(self) -> str:
        w = self.windows
        stride = "" if w.stride == w.kernel else f", stride={w.stride}"
        padding = "" if w.padding == "valid" else f", padding={w.padding!r}"
        return f"{type(self).__name__}({w.kernel}{stride}{padding})"


class MaxPool(_Pool, Layer):
    """y = the largest x of each window        x (N, n..., C)   y (N, o..., C)

    dx: dy goes to the place of the largest, to the first of equals. Places outside x never win.
    """

    def forward(self, x, train=True):
        *places, _ = self.output_shape(x.shape[1:])
        y = self.windows.view(self.windows.pad(x, -math.inf), places).max(axis=self.taps)
        return y, (x, y)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        x, y = cache
        places, kernel = y.shape[1:-1], self.windows.kernel
        columns = self.windows.view(self.windows.pad(x, -math.inf), places)  # (N, o..., k..., C)
        order = (*range(len(places) + 1), columns.ndim - 1, *self.taps)
        rows = columns.transpose(order).reshape(*y.shape, -1)  # (N, o..., C, k)
        first = rows.argmax(axis=-1)[..., None]
        hits = (xp.arange(math.prod(kernel)) == first) * dy[..., None]  # (N, o..., C, k)
        back = (*range(len(places) + 1), *range(len(places) + 2, columns.ndim), len(places) + 1)
        hits = hits.reshape(*y.shape, *kernel).transpose(back)  # (N, o..., k..., C)
        return self.windows.fold(hits, x.shape[1:-1])


class AveragePool(_Pool, Rearranging):
    """y = the mean of each window        x (N, n..., C)   y (N, o..., C)

    dx: each of the k places of a window gets dy / k. Places outside x hold 0 and count, as by default in PyTorch.
    """

    def forward(self, x, train=True):
        *places, _ = self.output_shape(x.shape[1:])
        return self.windows.view(self.windows.pad(x), places).mean(axis=self.taps), x.shape[1:-1]

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        sizes, kernel = cache, self.windows.kernel
        share = (dy / math.prod(kernel)).reshape(*dy.shape[:-1], *(1 for _ in kernel), dy.shape[-1])
        columns = xp.broadcast_to(share, (*dy.shape[:-1], *kernel, dy.shape[-1]))  # (N, o..., k..., C)
        return self.windows.fold(columns, sizes)


class GlobalMaxPool(Layer):
    """y = the largest x of each channel        x (N, n..., C)   y (N, C)        dx: dy at the first of the largest

    After a Dense and a Reshape to (pieces, units) it is maxout (Goodfellow et al. 2013).
    """

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        rows = x.reshape(len(x), -1, x.shape[-1])  # (N, n, C)
        return rows.max(axis=1), (x.shape, rows.argmax(axis=1))

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        return (dy[:, None, :] * self._largest(cache)).reshape(cache[0])

    def tangent(self, x_dot, cache):
        here = self._largest(cache)
        return (x_dot.reshape(here.shape) * here).sum(axis=1), None

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        return None if y_bar is None else self.backward(y_bar, cache)

    def _largest(self, cache):
        """Which of the n places is the largest, as a mask (N, n, C)."""
        shape, largest = cache
        return xp.arange(math.prod(shape[1:-1]))[:, None] == largest[:, None, :]

    def output_shape(self, shape: Shape | None) -> Shape | None:
        if shape is not None and len(shape) < 2:
            raise ShapeError(f"GlobalMaxPool() takes (N, places..., C), not {batch_of(shape)}")
        return None if shape is None else (shape[-1],)


class Upsample(Rearranging):
    """Each place becomes `factor` equal ones in every dimension: x (N, n..., C)   y (N, n factor..., C)

    dx: the sum of dy over the places that came of one. (Nearest neighbour.)
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        if factor < 1:
            raise ShapeError(f"Upsample takes a factor of at least 1, but got {factor}.")
        self.factor = factor

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        y = x
        for axis in range(1, x.ndim - 1):
            y = xp.repeat(y, self.factor, axis=axis)
        return y, x.shape

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        n, *sizes, c = cache
        pairs = [number for size in sizes for number in (size, self.factor)]
        axes = tuple(range(2, 2 + 2 * len(sizes), 2))  # (N, n, factor, ..., C)
        return dy.reshape(n, *pairs, c).sum(axis=axes)

    def output_shape(self, shape: Shape | None) -> Shape | None:
        if shape is None:
            return None
        if len(shape) < 2:
            raise ShapeError(f"{self!r} takes (N, places..., C), not {batch_of(shape)}")
        return (*(None if n is None else n * self.factor for n in shape[:-1]), shape[-1])

    def __repr__(self) -> str:
        return f"Upsample({self.factor})"
