"""Recurrent layers: one cell, the same at every time step, takes the step's input and what it remembers of the past.

Backward walks the steps from the last to the first (backpropagation through time). Only the products with Wh have to
wait for the step before: x meets Wx for all steps in one product, and each weight gradient is one product after the
loop. Inside, arrays are (T, N, ...), so that what belongs to one step lies together.

N sequences, T steps, I inputs, H hidden units. h[t] is the state before step t: h[0] the first, h[T] the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minigan.backend import Array, xp
from minigan.layers.base import Layer, Shape, ShapeError, batch_of
from minigan.layers.init import glorot
from minigan.layers.norm import column_sums

State = tuple[Array | None, Array | None]  # (h, c), each (N, H); None stands for zeros


class Recurrent(Layer):
    """What LSTM and GRU share: the weights, x in the order of time, the products over all steps, what is refused."""

    n_gates: int

    def __init__(self, n_in: int, n_hidden: int, *, rng: Any, init: Callable[..., Array] = glorot) -> None:
        super().__init__()
        self.n_in, self.n_hidden = n_in, n_hidden
        if n_in < 1 or n_hidden < 1:
            raise ShapeError(f"{self!r} cannot be: it needs at least one input and one hidden unit.")
        self.add_param("Wx", init(rng, (n_in, self.n_gates * n_hidden)))
        self.add_param("Wh", init(rng, (n_hidden, self.n_gates * n_hidden)))
        self.add_param("b", xp.zeros(self.n_gates * n_hidden, dtype="float32"))

    def backward(self, dy, cache, param_grads=True, input_grad=True, *, dstate=None, truncate=None):
        """dx (N, T, I); `backward_state` gives the gradient on the first state, too, and says what dstate is.

        truncate=k: no gradient goes from step k, 2k, ... to the step before, as if forward had been called on pieces
        of k steps, each begun with the state but not the gradient of the last. k = T is all of it.
        """
        return self.backward_state(dy, cache, dstate, param_grads, input_grad, truncate)[0]

    def project(self, x: Array) -> Array:
        """x Wx + b, (M, I) -> (M, 4H) (GRU: 3H): a step's share that does not depend on the state.

        `table = lstm.project(embedding.params["W"])` holds it for every word, until the weights change: then
        `advance(table[ids], state)` is a step without a product with Wx.
        """
        if x.ndim != 2 or x.shape[1] != self.n_in:
            raise ShapeError(f"{self!r} takes (N, {self.n_in}) at a single step, not {tuple(x.shape)}")
        return x @ self.params["Wx"] + self.params["b"]

    def step(self, x: Array, state: Any = None) -> Any:
        """One step, for sampling: x (N, I), the state or None for zeros -> the next state, as `final` gives it."""
        return self.advance(self.project(x), state)

    def output_shape(self, shape: Shape | None) -> Shape:
        if shape is not None and (len(shape) != 2 or shape[1] not in (self.n_in, None)):
            raise ShapeError(f"{self!r} takes (N, T, {self.n_in}), not {batch_of(shape)}")
        return (None if shape is None else shape[0], self.n_hidden)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_in}, {self.n_hidden})"

    def _in_time_order(self, x: Array) -> Array:
        """(N, T, I) -> (T, N, I), contiguous."""
        self.output_shape(x.shape[1:])
        return xp.ascontiguousarray(x.swapaxes(0, 1))

    def _projected(self, a: Array) -> None:
        if a.ndim != 2 or a.shape[1] != self.n_gates * self.n_hidden:
            raise ShapeError(f"{self!r} advances by (N, {self.n_gates * self.n_hidden}), not by {tuple(a.shape)}")

    def _split(self, a: Array) -> list[Array]:
        """Views of the gates of one step, each (N, H)."""
        return [a[:, k * self.n_hidden : (k + 1) * self.n_hidden] for k in range(self.n_gates)]

    def _state(self, given: Array | None, n: int, dtype: Any, name: str = "h") -> Array:
        """A state, or the gradient on one, (N, H): the one given, or zeros."""
        if given is None:
            return xp.zeros((n, self.n_hidden), dtype=dtype)
        wanted, shape = (n, self.n_hidden), getattr(given, "shape", type(given).__name__)
        if shape != wanted:
            raise ShapeError(f"{self!r} takes {wanted} for the state {name} of this batch, not {shape}")
        return given

    def _piece(self, dy: Array | None, h: Array, truncate: int | None) -> int:
        """After how many steps the gradient is cut; what does not fit is refused."""
        steps, n = len(h) - 1, h.shape[1]
        if dy is not None and tuple(dy.shape) != (n, steps, self.n_hidden):
            raise ShapeError(f"{self!r} gave y {(n, steps, self.n_hidden)}, but dy is {tuple(dy.shape)}")
        if truncate is not None and truncate < 1:
            raise ValueError(f"{self!r} is truncated after at least one step, but got truncate={truncate}.")
        return truncate or steps

    def _after_the_loop(self, x, h, dax, dah, param_grads: bool, input_grad: bool) -> Array | None:
        """dWx, dWh, db and dx. dax, dah: the gradients on x Wx + b and on h Wh at all steps, (T, N, 4H)."""
        rows = dax.reshape(-1, dax.shape[-1])  # (T N, 4H)
        if param_grads:
            self.grads["Wx"] += x.reshape(-1, self.n_in).T @ rows
            self.grads["Wh"] += h[:-1].reshape(-1, self.n_hidden).T @ dah.reshape(rows.shape)
            self.grads["b"] += column_sums(rows)
        if not input_grad:
            return None
        dx = rows @ self.params["Wx"].T  # (T N, 4H) (4H, I) -> (T N, I)
        return dx.reshape(x.shape).swapaxes(0, 1)  # (N, T, I)


def squash(a: Array, s: Array | float) -> None:
    """a <- s tanh(a) + 1 - s, in place. Of s a it makes tanh(a) with s = 1, and sigmoid(a) with s = 1/2:

    sigmoid(a) = tanh(a / 2) / 2 + 1 / 2. So one tanh serves all gates.
    """
    xp.tanh(a, out=a)
    a *= s
    a += 1 - s


# ---- LSTM: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000 ------------------------------


class LSTMCache(NamedTuple):
    """What `LSTM.forward` leaves for backward, in the order of time."""

    x: Array  # (T, N, I)
    gates: Array  # (T, N, 4H): i, f, g, o
    h: Array  # (T + 1, N, H)
    c: Array  # (T + 1, N, H)
    tanh_c: Array  # (T, N, H), of c after each step


class LSTM(Recurrent):
    """Long short-term memory        x (N, T, I)   y (N, T, H), all hidden states   Wx (I, 4H)   Wh (H, 4H)   b (4H,)

        a = x_t Wx + h Wh + b                    a, and so Wx, Wh and b: the gates i, f, g, o, side by side
        i, f, o = sigmoid(a_i, a_f, a_o)         write, keep, show
        g = tanh(a_g)
        c' = f c + i g                           the memory: what is kept, and what is new
        h' = o tanh(c')                          y_t

    Backward at a step, from dh' (dy_t and what the step after sends) and dc' (the step after's):

        dc' += dh' o (1 - tanh(c')^2)
        da_i = dc' g i (1 - i)        da_f = dc' c f (1 - f)        da_g = dc' i (1 - g^2)
        da_o = dh' tanh(c') o (1 - o)
        dh = da Wh^T                  dc = dc' f                    to the step before

    No peepholes; b starts at zero (to begin with a memory that keeps: `params["b"][H : 2 * H] = 1`). The state is
    (h, c), each (N, H): `forward(x, state=...)` takes the first, `final(cache)` gives the last. `init(rng, shape)`
    draws Wx and Wh. Raises ShapeError for x other than (N, T, I) and for states other than (N, H).
    """

    n_gates = 4

    def forward(self, x, train=True, state: State | None = None):
        """y (N, T, H) and the cache; state: (h, c) before the first step, zeros where None."""
        x = self._in_time_order(x)
        steps, n, _ = x.shape
        s = self._scale()
        Wx, Wh, b = (self.params[name] * s for name in ("Wx", "Wh", "b"))  # squash takes s a
        gates = x.reshape(-1, self.n_in) @ Wx  # (T N, I) (I, 4H) -> (T N, 4H)
        gates += b
        gates = gates.reshape(steps, n, -1)
        h, c = (xp.empty((steps + 1, n, self.n_hidden), dtype=gates.dtype) for _ in range(2))
        tanh_c = xp.empty_like(h[1:])
        h[0], c[0] = self._pair(state, n, gates.dtype)
        for t in range(steps):
            a = gates[t]
            a += h[t] @ Wh
            h[t + 1], c[t + 1], tanh_c[t] = self._cell(a, c[t], s)
        return h[1:].swapaxes(0, 1), LSTMCache(x, gates, h, c, tanh_c)

    def final(self, cache: LSTMCache) -> tuple[Array, Array]:
        """The state (h, c) after the last step: the next piece of the sequence can begin with it."""
        return cache.h[-1], cache.c[-1]

    def advance(self, projected: Array, state: State | None = None) -> tuple[Array, Array]:
        """The next (h, c) from a step's x Wx + b, (N, 4H). (See `project`.)"""
        self._projected(projected)
        s = self._scale()
        h, c = self._pair(state, len(projected), projected.dtype)
        a = projected + h @ self.params["Wh"]
        a *= s
        return self._cell(a, c, s)[:2]

    def backward_state(
        self,
        dy: Array | None,
        cache: LSTMCache,
        dstate: State | None = None,
        param_grads: bool = True,
        input_grad: bool = True,
        truncate: int | None = None,
    ) -> tuple[Array | None, tuple[Array, Array]]:
        """dx and (dh_0, dc_0), the gradient on the first state; `backward` is this without the second.

        dy (N, T, H), on all hidden states, or None where nothing looks at them. dstate: (dh_T, dc_T), each (N, H), on
        what `final` gave, beside the share of h_T that is in dy. Raises ShapeError, and ValueError for truncate < 1.
        """
        x, gates, h, c, tanh_c = cache
        piece = self._piece(dy, h, truncate)
        n, k = h.shape[1], 2 * self._scale() - 1  # k: 0 for the sigmoids, 1 for the tanh
        WhT = xp.ascontiguousarray(self.params["Wh"].T)
        dh, dc = self._pair(dstate, n, gates.dtype)
        da = xp.empty_like(gates)
        for t in reversed(range(len(gates))):
            i, f, g, o = self._split(gates[t])
            if dy is not None:
                dh = dh + dy[:, t]
            dc = dc + dh * o * (1 - tanh_c[t] * tanh_c[t])  # through h' = o tanh(c')
            a = da[t]
            xp.concatenate([dc * g, dc * c[t], dc * i, dh * tanh_c[t]], axis=1, out=a)  # on i, f, g, o
            a *= (1 - gates[t]) * (gates[t] + k)  # through sigmoid, (1 - y) y, and tanh, (1 - y) (1 + y)
            dh, dc = a @ WhT, dc * f
            if t and t % piece == 0:
                dh, dc = xp.zeros_like(dh), xp.zeros_like(dc)
        return self._after_the_loop(x, h, da, da, param_grads, input_grad), (dh, dc)

    def _cell(self, a: Array, c: Array, s: Array) -> tuple[Array, Array, Array]:
        """h', c' and tanh c' from s a, which becomes the gates in place."""
        squash(a, s)
        i, f, g, o = self._split(a)
        c = f * c + i * g
        tanh_c = xp.tanh(c)
        return o * tanh_c, c, tanh_c

    def _scale(self) -> Array:
        """squash's s for the four gates: 1/2 for the sigmoids i, f, o, and 1 for the tanh g."""
        s = xp.full_like(self.params["b"], 0.5)
        s[2 * self.n_hidden : 3 * self.n_hidden] = 1
        return s

    def _pair(self, state: State | None, n: int, dtype: Any) -> tuple[Array, Array]:
        if state is None:
            state = None, None
        if not isinstance(state, tuple | list) or len(state) != 2:
            raise ShapeError(f"{self!r} takes its state as two arrays (h, c), each ({n}, {self.n_hidden})")
        return self._state(state[0], n, dtype, "h"), self._state(state[1], n, dtype, "c")


# ---- GRU: Cho et al. 2014, as PyTorch, cuDNN and Keras have it ----------------------------------------------------


class GRUCache(NamedTuple):
    """What `GRU.forward` leaves for backward, in the order of time."""

    x: Array  # (T, N, I)
    gates: Array  # (T, N, 3H): r, z, n
    m: Array  # (T, N, H)
    h: Array  # (T + 1, N, H)


class GRU(Recurrent):
    """Gated recurrent unit        x (N, T, I)   y (N, T, H), all hidden states   Wx (I, 3H)   Wh (H, 3H)   b (3H,)

        r, z = sigmoid(x_t Wx + h Wh + b)        reset and update; Wx, Wh and b: r, z, n, side by side
        m = h Wh_n + bh                          bh (H,), which r multiplies and b does not
        n = tanh(x_t Wx_n + b_n + r m)           the candidate
        h' = (1 - z) n + z h                     y_t

    Backward at a step, from dh' (dy_t and what the step after sends):

        da_n = dh' (1 - z) (1 - n^2)        da_z = dh' (h - n) z (1 - z)        da_r = da_n m r (1 - r)
        dm = da_n r                         dh = dh' z + [da_r, da_z, dm] Wh^T  to the step before

    The reset comes after the product h Wh_n: PyTorch's form, Keras's reset_after and ONNX's linear_before_reset, with
    one product a step; in Cho et al. it comes before. The state is h (N, H); all else is as in `LSTM`.
    """

    n_gates = 3

    def __init__(self, n_in: int, n_hidden: int, *, rng: Any, init: Callable[..., Array] = glorot) -> None:
        super().__init__(n_in, n_hidden, rng=rng, init=init)
        self.add_param("bh", xp.zeros(n_hidden, dtype="float32"))

    def forward(self, x, train=True, state: Array | None = None):
        """y (N, T, H) and the cache; state: h before the first step, zeros where None."""
        x = self._in_time_order(x)
        steps, n, _ = x.shape
        gates = self.project(x.reshape(-1, self.n_in)).reshape(steps, n, -1)
        h = xp.empty((steps + 1, n, self.n_hidden), dtype=gates.dtype)
        m = xp.empty_like(h[1:])
        h[0] = self._state(state, n, gates.dtype)
        for t in range(steps):
            h[t + 1], m[t] = self._cell(gates[t], h[t])
        return h[1:].swapaxes(0, 1), GRUCache(x, gates, m, h)

    def final(self, cache: GRUCache) -> Array:
        """The state h after the last step."""
        return cache.h[-1]

    def advance(self, projected: Array, state: Array | None = None) -> Array:
        """The next h from a step's x Wx + b, (N, 3H). (See `project`.)"""
        self._projected(projected)
        return self._cell(projected.copy(), self._state(state, len(projected), projected.dtype))[0]

    def backward_state(
        self,
        dy: Array | None,
        cache: GRUCache,
        dstate: Array | None = None,
        param_grads: bool = True,
        input_grad: bool = True,
        truncate: int | None = None,
    ) -> tuple[Array | None, Array]:
        """dx and dh_0, the gradient on the first state. (See `LSTM.backward_state`; dstate is dh_T.)"""
        x, gates, m, h = cache
        piece = self._piece(dy, h, truncate)
        WhT = xp.ascontiguousarray(self.params["Wh"].T)
        dh = self._state(dstate, h.shape[1], gates.dtype)
        dax, dah = xp.empty_like(gates), xp.empty_like(gates)
        for t in reversed(range(len(gates))):
            r, z, n = self._split(gates[t])
            if dy is not None:
                dh = dh + dy[:, t]
            da_n = dh * (1 - z) * (1 - n * n)
            da_z = dh * (h[t] - n) * z * (1 - z)
            da_r = da_n * m[t] * r * (1 - r)
            xp.concatenate([da_r, da_z, da_n], axis=1, out=dax[t])
            xp.concatenate([da_r, da_z, da_n * r], axis=1, out=dah[t])
            dh = dh * z + dah[t] @ WhT
            if t and t % piece == 0:
                dh = xp.zeros_like(dh)
        if param_grads:
            self.grads["bh"] += column_sums(dah.reshape(-1, dah.shape[-1]))[2 * self.n_hidden :]
        return self._after_the_loop(x, h, dax, dah, param_grads, input_grad), dh

    def _cell(self, a: Array, h: Array) -> tuple[Array, Array]:
        """h' and m from x Wx + b, which becomes r, z, n in place."""
        H = self.n_hidden
        hWh = h @ self.params["Wh"]
        rz, (r, z, n) = a[:, : 2 * H], self._split(a)
        rz += hWh[:, : 2 * H]
        rz *= 0.5
        squash(rz, 0.5)
        m = hWh[:, 2 * H :] + self.params["bh"]
        n += r * m
        squash(n, 1)
        return n + z * (h - n), m
