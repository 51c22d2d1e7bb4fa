"""Lesson 02, "How does a gradient cross a layer?": its exercises.

N samples, I inputs, H hidden units, O outputs.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 02.dense_backward ----------------------------------------------------------------------------------------


def make_dense(rng, N):
    n_in, n_out = sizes(rng, N, 2)
    shapes = {"dy": (N, n_out), "x": (N, n_in), "W": (n_in, n_out), "b": (n_out,)}
    return {name: draw(rng, shape) for name, shape in shapes.items()}


def dense_backward(dy, x, W):
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)


def _sample_by_sample(dy, x, W):
    """Right, but its zeros are float64 whatever comes in."""
    dW = np.zeros(W.shape)
    for n in range(len(x)):
        dW += np.outer(x[n], dy[n])
    return dy @ W.T, dW, dy.sum(axis=0)


DENSE_BACKWARD = Exercise(
    name="02.dense_backward",
    asked="dx (N, I), dW (I, O) and db (O,) of y = x W + b, from dy (N, O), x (N, I) and W (I, O)",
    make=make_dense,
    solution=dense_backward,
    returns=("dx", "dW", "db"),
    forward=lambda x, W, b: x @ W + b,
    wrong=(
        Wrong(lambda dy, x, W: (dy @ W.T, x.T @ dy, dy), "db is wrong: it has shape"),
        Wrong(
            lambda dy, x, W: (dy @ W.T, x.T @ dy / len(x), dy.mean(axis=0)),
            "the mean over the batch where its sum stands",
        ),
        Wrong(lambda dy, x, W: (dy @ W.T, dy.T @ x, dy.sum(axis=0)), "transposed"),
        Wrong(lambda dy, x, W: (dy @ W, x.T @ dy, dy.sum(axis=0)), "raised ValueError: matmul"),
        Wrong(lambda dy, x, W: (dy @ W.T, np.outer(x[-1], dy[-1]), dy.sum(axis=0)), "only the last sample counts"),
        Wrong(_sample_by_sample, "float32 in gives float64 out"),
    ),
)


# ---- 02.leaky_relu_backward -----------------------------------------------------------------------------------


def make_leaky(rng, N):
    shape = (N, sizes(rng, N, 1)[0])
    x = draw(rng, shape)
    x.flat[:2] = 0.7, -0.7  # both pieces are there, however few the numbers
    return {"dy": draw(rng, shape), "x": x, "slope": 0.2}


def leaky_relu_backward(dy, x, slope):
    return np.where(x > 0, dy, slope * dy)


def _in_place(dy, x, slope):
    dy[x < 0] *= slope
    return dy


LEAKY_RELU_BACKWARD = Exercise(
    name="02.leaky_relu_backward",
    asked="dx (N, I) of y = x where x > 0 and slope * x elsewhere, from dy (N, I), x (N, I) and the slope, a number",
    make=make_leaky,
    solution=leaky_relu_backward,
    returns=("dx",),
    forward=lambda x, slope: np.where(x > 0, x, slope * x),
    wrong=(
        Wrong(lambda dy, x, slope: dy * (x > 0), "zero where it should not be"),
        Wrong(lambda dy, x, slope: dy.copy(), "dx is dy itself"),
        Wrong(
            lambda dy, x, slope: np.where(x > 0, 1.0, slope),
            "the upstream gradient is missing",
            "the upstream gradient is missing: this is dy/dx, and the chain rule multiplies it by dy",
        ),
        Wrong(
            lambda dy, x, slope: np.where(dy > 0, dy, slope * dy),
            "the sign of dy",
            "the piece is chosen by the sign of dy, but it is the sign of x that forward went by",
        ),
        Wrong(_in_place, "leaves its input dy changed"),
        Wrong(lambda dy, x, slope: dy * np.where(x > 0, 1.0, slope), "float32 in gives float64 out"),
    ),
)


# ---- 02.chain_backward ----------------------------------------------------------------------------------------


def make_chain(rng, N):
    n_in, n_hidden, n_out = sizes(rng, N, 3)
    shapes = {"dy": (N, n_out), "x": (N, n_in), "W1": (n_in, n_hidden), "b1": (n_hidden,), "W2": (n_hidden, n_out)}
    made = {name: draw(rng, shape) for name, shape in shapes.items()}
    made["W1"] *= 0.5  # tanh stays away from +-1, where its slope is nothing and hides mistakes
    return {**made, "b2": draw(rng, (n_out,)), "h": np.tanh(made["x"] @ made["W1"] + made["b1"])}


def chain_backward(dy, x, h, W1, W2):
    dh, dW2, db2 = dense_backward(dy, h, W2)
    da = dh * (1 - h**2)
    dx, dW1, db1 = dense_backward(da, x, W1)
    return dx, dW1, db1, dW2, db2


def _no_slope(dy, x, h, W1, W2):
    dh, dW2, db2 = dense_backward(dy, h, W2)
    return *dense_backward(dh, x, W1), dW2, db2


def _tanh_twice(dy, x, h, W1, W2):
    dh, dW2, db2 = dense_backward(dy, h, W2)
    return *dense_backward(dh * (1 - np.tanh(h) ** 2), x, W1), dW2, db2


def _x_for_both(dy, x, h, W1, W2):
    dx, dW1, db1, _, db2 = chain_backward(dy, x, h, W1, W2)
    return dx, dW1, db1, x.T @ dy, db2


def _stops_halfway(dy, x, h, W1, W2):
    _, *rest = chain_backward(dy, x, h, W1, W2)
    return (dy @ W2.T) * (1 - h**2), *rest


def _slope_first(dy, x, h, W1, W2):
    da = (dy * (1 - h**2)) @ W2.T
    return *dense_backward(da, x, W1), *dense_backward(dy, h, W2)[1:]


def _mean(dy, x, h, W1, W2):
    dx, *rest = chain_backward(dy, x, h, W1, W2)
    return dx, *(gradient / len(x) for gradient in rest)


CHAIN_BACKWARD = Exercise(
    name="02.chain_backward",
    asked="dx (N, I), dW1 (I, H), db1 (H,), dW2 (H, O) and db2 (O,) of y = h W2 + b2 with h = tanh(x W1 + b1) (N, H)",
    make=make_chain,
    solution=chain_backward,
    returns=("dx", "dW1", "db1", "dW2", "db2"),
    forward=lambda x, W1, b1, W2, b2: np.tanh(x @ W1 + b1) @ W2 + b2,
    wrong=(
        Wrong(
            _no_slope,
            "tanh's own slope is missing",
            "tanh's own slope is missing: between the two Dense layers the gradient crosses tanh, times 1 - h^2",
        ),
        Wrong(
            _tanh_twice,
            "tanh is taken twice",
            "tanh is taken twice: h is tanh's output already, so its slope is 1 - h^2, not 1 - tanh(h)^2",
        ),
        Wrong(
            _x_for_both,
            "the second layer was fed h",
            "this is x^T dy, but the second layer was fed h: each layer's dW takes that layer's own input",
        ),
        Wrong(
            _stops_halfway,
            "the gradient on a = x W1 + b1",
            "this is the gradient on a = x W1 + b1: one more step, through W1, leads to x",
        ),
        Wrong(_slope_first, "raised ValueError: operands could not be broadcast"),
        Wrong(_mean, "the mean over the batch where its sum stands"),
    ),
)

EXERCISES = (DENSE_BACKWARD, LEAKY_RELU_BACKWARD, CHAIN_BACKWARD)
