"""Lesson 02, "How does a gradient cross a layer?": its exercises.

N samples, I inputs, O outputs.
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
    ),
)

EXERCISES = (DENSE_BACKWARD, LEAKY_RELU_BACKWARD)
