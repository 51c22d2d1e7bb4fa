"""Lesson 14, "What flows through time?": its exercises.

N sequences, T steps, I inputs, H hidden units. h[:, t] is the state before step t, h[:, t + 1] the one after it.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 14.rnn_backward ------------------------------------------------------------------------------------------


def rnn_forward(x, h0, Wx, Wh, b):
    """All states, (N, T + 1, H), the first one included."""
    h = [h0]
    for t in range(x.shape[1]):
        h.append(np.tanh(x[:, t] @ Wx + h[-1] @ Wh + b))
    return np.stack(h, axis=1)


def make_rnn(rng, N):
    """A batch x (N, T, I), weights at which tanh keeps its slope, and the states h (N, T + 1, H) of forward."""
    T, n_in, H = sizes(rng, N, 3)
    shapes = {"x": (N, T, n_in), "h0": (N, H), "Wx": (n_in, H), "Wh": (H, H), "b": (H,)}
    made = {name: draw(rng, shape) for name, shape in shapes.items()}
    made["Wx"] *= 0.4
    made["Wh"] /= np.sqrt(H)
    made["b"] *= 0.3
    return {"dy": draw(rng, (N, T, H)), **made, "h": rnn_forward(**made)}


def _backward(dy, x, h, Wx, Wh, *, later=True, twice=False, forwards=False, after=False, dense=None):
    """Backpropagation through time, with the mistakes that can be made in it."""
    dx, dWx, dWh, db = np.empty_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
    sent = np.zeros_like(h[:, 0])
    steps = range(x.shape[1])
    for t in steps if forwards else reversed(steps):
        slope = 1 - (np.tanh(h[:, t + 1]) if twice else h[:, t + 1]) ** 2
        da = (dy[:, t] + sent) * slope
        dx[:, t] = (da if later else dy[:, t] * slope) @ Wx.T
        dWx += x[:, t].T @ da
        dWh += h[:, t + after].T @ da
        db += da.sum(axis=0)
        sent = da @ (Wh.T if dense is None else dense)
    return dx, sent, dWx, dWh, db


def rnn_backward(dy, x, h, Wx, Wh):
    return _backward(dy, x, h, Wx, Wh)


def _dh0_of_the_first_step(dy, x, h, Wx, Wh):
    dx, _, *rest = _backward(dy, x, h, Wx, Wh)
    after = _backward(dy[:, 1:], x[:, 1:], h[:, 1:], Wx, Wh)[1]
    return dx, dy[:, 0] + after, *rest


RNN_BACKWARD = Exercise(
    name="14.rnn_backward",
    asked="dx (N, T, I), dh0 (N, H), dWx (I, H), dWh (H, H) and db (H,) of h_t = tanh(x_t Wx + h_(t-1) Wh + b), from "
    "dy (N, T, H), x (N, T, I) and all states h (N, T + 1, H)",
    make=make_rnn,
    solution=rnn_backward,
    returns=("dx", "dh0", "dWx", "dWh", "db"),
    forward=lambda x, h0, Wx, Wh, b: rnn_forward(x, h0, Wx, Wh, b)[:, 1:],
    wrong=(
        Wrong(
            lambda dy, x, h, Wx, Wh: _backward(dy, x, h, Wx, Wh, later=False),
            "ignores the later steps",
            "it ignores the later steps: x_t moves h_t and with it all later states, so what they send back must be "
            "in the gradient before it meets Wx",
        ),
        Wrong(
            lambda dy, x, h, Wx, Wh: _backward(dy, x, h, Wx, Wh, twice=True),
            "tanh is taken twice",
            "tanh is taken twice: h is tanh's output already, so its slope is 1 - h^2, not 1 - tanh(h)^2",
        ),
        Wrong(
            lambda dy, x, h, Wx, Wh: _backward(dy, x, h, Wx, Wh, forwards=True),
            "runs forwards in time",
            "the loop runs forwards in time: the last step comes first, for each step needs what the next sends back",
        ),
        Wrong(
            lambda dy, x, h, Wx, Wh: _backward(dy, x, h, Wx, Wh, after=True),
            "the state after the step",
            "this takes the state after the step, h[:, t + 1], but Wh was multiplied with the one before, h[:, t]",
        ),
        Wrong(
            lambda dy, x, h, Wx, Wh: _backward(dy, x, h, Wx, Wh, dense=Wh),
            "Wh is not transposed",
            "Wh is not transposed on the way back: the state before the step gets da Wh^T",
        ),
        Wrong(
            _dh0_of_the_first_step,
            "the state after the first step",
            "this is the gradient on the state after the first step, h[:, 1]; one more step, through tanh and Wh, "
            "leads to h[:, 0]",
        ),
    ),
)


# ---- 14.lstm_cell_backward ------------------------------------------------------------------------------------


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def make_cell(rng, N):
    """One step of an LSTM as forward left it, and the gradients on both halves of the state after it."""
    (H,) = sizes(rng, N, 1)
    i, f, o = (sigmoid(2 * draw(rng, (N, H))) for _ in range(3))
    g = np.tanh(draw(rng, (N, H)))
    c = draw(rng, (N, H))
    return {
        "dh": draw(rng, (N, H)),
        "dc": draw(rng, (N, H)),
        "gates": np.concatenate([i, f, g, o], axis=1),
        "c": c,
        "c_next": f * c + i * g,
    }


def _cell(dh, dc, gates, c, c_next, *, of_later=1, of_shown=1, tanh_slope=True, old=True, g_tanh=True, faded=True):
    """The cell's backward, with the mistakes that can be made in it."""
    i, f, g, o = np.split(gates, 4, axis=1)
    tanh_c = np.tanh(c_next)
    slope = 1 - (tanh_c if tanh_slope else c_next) ** 2
    d = of_later * dc + of_shown * dh * o * slope
    da_i = d * g * i * (1 - i)
    da_f = d * (c if old else c_next) * f * (1 - f)
    da_g = d * i * (1 - g**2 if g_tanh else g * (1 - g))
    da_o = dh * tanh_c * o * (1 - o)
    return np.concatenate([da_i, da_f, da_g, da_o], axis=1), d * f if faded else d


def lstm_cell_backward(dh, dc, gates, c, c_next):
    return _cell(dh, dc, gates, c, c_next)


LSTM_CELL_BACKWARD = Exercise(
    name="14.lstm_cell_backward",
    asked="da (N, 4H), for the gates i, f, g, o side by side, and dc_before (N, H), of c' = f c + i g and "
    "h' = o tanh(c'), from dh and dc, the gradients on h' and on c' (N, H), gates (N, 4H), c and c_next (N, H)",
    make=make_cell,
    solution=lstm_cell_backward,
    returns=("da", "dc_before"),
    wrong=(
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, of_later=0),
            "what later steps send along the memory is lost",
            "what later steps send along the memory is lost: the gradient on c' is dc and the share through h' = o "
            "tanh(c'), added",
        ),
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, of_shown=0),
            "the way from h' into the memory is missing",
            "the way from h' into the memory is missing: h' = o tanh(c'), so c' gets dh o (1 - tanh(c')^2) beside dc",
        ),
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, tanh_slope=False),
            "c' is not yet tanh's output",
            "c' is not yet tanh's output: the slope is 1 - tanh(c')^2, not 1 - c'^2",
        ),
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, old=False),
            "f has met the new memory",
            "f has met the new memory here, but in c' = f c + i g it multiplies the old one, c",
        ),
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, g_tanh=False),
            "g is given sigmoid's slope",
            "g is given sigmoid's slope g (1 - g), but g is a tanh: 1 - g^2",
        ),
        Wrong(
            lambda dh, dc, gates, c, c_next: _cell(dh, dc, gates, c, c_next, faded=False),
            "the memory before the step is handed all of it",
            "the memory before the step is handed all of it, but only the share f of c came through: times f",
        ),
    ),
)


# ---- 14.clip_by_norm ------------------------------------------------------------------------------------------


def make_gradients(rng, N):
    """The gradients of an RNN's three parameters: in two of the four cases too long, in two short enough."""
    n_in, H = sizes(rng, N, 2)
    made = {"dWx": draw(rng, (n_in, H)), "dWh": draw(rng, (H, H)), "db": draw(rng, (H,))}
    norm = np.sqrt(sum((g**2).sum() for g in made.values()))
    return {**made, "largest": float(norm * (0.04 + 0.02 * rng.random() if N % 2 else 1.5 + rng.random()))}


def _norm(*gradients):
    return np.sqrt(sum((g**2).sum() for g in gradients))


def _scaled(gradients, factor):
    return tuple(g * factor for g in gradients)


def clip_by_norm(dWx, dWh, db, largest):
    return _scaled((dWx, dWh, db), min(1, largest / _norm(dWx, dWh, db)))


def _in_place(dWx, dWh, db, largest):
    factor = min(1, largest / _norm(dWx, dWh, db))
    dWx *= factor
    dWh *= factor
    db *= factor
    return dWx, dWh, db


CLIP_BY_NORM = Exercise(
    name="14.clip_by_norm",
    asked="dWx, dWh and db, all three times one number, so that the norm of all their entries is at most `largest`",
    make=make_gradients,
    solution=clip_by_norm,
    returns=("dWx", "dWh", "db"),
    wrong=(
        Wrong(
            lambda dWx, dWh, db, largest: tuple(g * min(1, largest / _norm(g)) for g in (dWx, dWh, db)),
            "clipped by its own norm",
            "each array is clipped by its own norm, which turns the gradient's direction; take one norm, of all "
            "entries of all three",
        ),
        Wrong(
            lambda dWx, dWh, db, largest: tuple(np.clip(g, -largest, largest) for g in (dWx, dWh, db)),
            "clipped by value",
            "each entry is clipped by value, which turns the gradient's direction; multiply all by one number",
        ),
        Wrong(
            lambda dWx, dWh, db, largest: _scaled((dWx, dWh, db), largest / _norm(dWx, dWh, db)),
            "short gradients are made longer",
            "short gradients are made longer: the factor is at most 1",
        ),
        Wrong(
            lambda dWx, dWh, db, largest: _scaled((dWx, dWh, db), min(1, largest / _norm(dWx, dWh, db) ** 2)),
            "the square of the norm",
            "this divides by the square of the norm: take the root of the sum of squares",
        ),
        Wrong(
            lambda dWx, dWh, db, largest: _scaled((dWx, dWh, db), max(1, _norm(dWx, dWh, db) / largest)),
            "upside down",
            "the factor is upside down: long gradients get longer still; it is largest / norm",
        ),
        Wrong(_in_place, "leaves its input dWx changed"),
    ),
)

EXERCISES = (RNN_BACKWARD, LSTM_CELL_BACKWARD, CLIP_BY_NORM)
