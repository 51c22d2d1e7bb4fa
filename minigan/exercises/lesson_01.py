"""Lesson 01, "How do I know that my gradient is right?": its exercises."""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 01.central_difference ------------------------------------------------------------------------------------


def make_function(rng, N):
    """f: (N, M) -> a number, different in every entry of x and curved; a step large enough to tell h from h^2."""
    shape = (N, sizes(rng, N, 1)[0])
    weights, waves = draw(rng, shape), 1 + rng.random(shape)

    def f(x):
        return float((weights * np.sin(waves * x) + np.exp(0.3 * x)).sum())

    return {"f": f, "x": draw(rng, shape), "h": 1e-2}


def central_difference(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (f(x + e) - f(x - e)) / (2 * h)
    return gradient


def _entry_by_entry(x, quotient):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = 1
        gradient[i] = quotient(e)
    return gradient


def _one_sided(f, x, h):
    return _entry_by_entry(x, lambda e: (f(x + h * e) - f(x)) / h)


def _over_h(f, x, h):
    return _entry_by_entry(x, lambda e: (f(x + h * e) - f(x - h * e)) / h)


def _backwards(f, x, h):
    return _entry_by_entry(x, lambda e: (f(x - h * e) - f(x + h * e)) / (2 * h))


def _all_at_once(f, x, h):
    return np.full_like(x, (f(x + h) - f(x - h)) / (2 * h))


def _rows(f, x, h):
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (f(x + e) - f(x - e)) / (2 * h)
    return gradient


def _not_put_back(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        x[i] += h
        above = f(x)
        x[i] -= 2 * h
        gradient[i] = (above - f(x)) / (2 * h)
    return gradient


CENTRAL_DIFFERENCE = Exercise(
    name="01.central_difference",
    asked="the gradient of f at x by central differences with the step h, an array of x's shape",
    make=make_function,
    solution=central_difference,
    returns=("the gradient",),
    float32=False,  # in float32 a difference has no six digits to compare: the lesson shows it
    wrong=(
        Wrong(
            _one_sided,
            "one-sided",
            "this is the one-sided difference (f(x + h) - f(x)) / h, whose error only falls like h; step both ways",
        ),
        Wrong(_over_h, "2 h apart", "twice too large: x + h and x - h are 2 h apart, so divide by 2 h"),
        Wrong(_backwards, "opposite sign"),
        Wrong(
            _all_at_once,
            "all entries of x move at once",
            "all entries of x move at once, so the slopes of all are added; move one entry at a time",
        ),
        Wrong(
            _rows,
            "a whole row",
            "a whole row of x moves at once: x may have several axes, so go through np.ndindex(x.shape)",
        ),
        Wrong(_not_put_back, "leaves its input x changed"),
    ),
)


# ---- 01.relative_error ----------------------------------------------------------------------------------------


def make_pair(rng, N):
    """Two gradients a, b (N, M) of very unequal numbers: b is a, a little off, and most at a middling entry."""
    shape = (N, sizes(rng, N, 1)[0])
    a = -draw(rng, shape) * 10.0 ** rng.integers(-3, 4, shape)
    b = a * (1 + 1e-3 * rng.random(shape))
    order = np.argsort(np.abs(a), axis=None)
    a.flat[order[0]], b.flat[order[0]] = 0, 0  # a weight that nothing depends on: both say 0, and both are right
    if a.size > 2:
        a.flat[order[1]], b.flat[order[1]] = 0, 3e-11  # and here the other one is nothing but rounding
    middle = order[(a.size + 1) // 2]  # neither the largest nor the smallest: no shortcut finds it
    a.flat[middle] = 0.03 + 0.03 * rng.random()
    b.flat[middle] = (1.3 + 0.6 * rng.random()) * a.flat[middle]  # no two cases have one answer
    return {"a": a, "b": b, "floor": 1e-4}


def relative_error(a, b, floor):
    return (np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)).max()


def _size(a, b):
    return np.maximum(np.abs(a), np.abs(b))


RELATIVE_ERROR = Exercise(
    name="01.relative_error",
    asked="the largest of |a - b| / max(|a|, |b|, floor) over the entries, a number",
    make=make_pair,
    solution=relative_error,
    returns=("the error",),
    float32=False,
    wrong=(
        Wrong(
            lambda a, b, floor: np.abs(a - b).max(),
            "absolute error",
            "this is the absolute error: divide by the larger of |a| and |b|, entry by entry",
        ),
        Wrong(
            lambda a, b, floor: (np.abs(a - b) / np.maximum(_size(a, b), floor)).mean(),
            "the mean",
            "this is the mean over the entries, in which one wrong entry drowns; take the largest",
        ),
        Wrong(
            lambda a, b, floor: (np.abs(a - b) / _size(a, b)).max(),
            "0 / 0",
            "it is NaN, from 0 / 0, where both entries are 0: divide by no less than the floor",
        ),
        Wrong(
            lambda a, b, floor: (np.abs(a - b) / (_size(a, b) + 1e-30)).max(),
            "the floor is missing",
            "the floor is missing: 0 against a rounding error of 3e-11 then counts as wrong by 100 %",
        ),
        Wrong(
            lambda a, b, floor: (np.abs(a - b) / np.maximum(np.abs(a), floor)).max(),
            "divided by |a| alone",
            "the difference is divided by |a| alone, so exchanging a and b changes the error; divide by the larger",
        ),
        Wrong(
            lambda a, b, floor: ((a - b) / np.maximum(_size(a, b), floor)).max(),
            "lost its bars",
            "|a - b| has lost its bars: without the absolute value, errors of one sign do not count",
        ),
    ),
)


# ---- 01.verdicts ----------------------------------------------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, x):
    y = softmax(x)
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


LAYERS = (  # forward(x) -> y, backward(dy, x) -> dx, is it right?
    (np.tanh, lambda dy, x: dy * (1 - np.tanh(x) ** 2), True),
    (lambda x: x - x.mean(axis=0), lambda dy, x: dy - dy.mean(axis=0), True),
    (lambda x: np.maximum(x, 0.2 * x), lambda dy, x: dy * np.where(x > 0, 1, 0.2), True),
    (lambda x: 1 / (1 + np.exp(-x)), lambda dy, x: dy / (1 + np.exp(-x)), False),  # y, where y (1 - y) should stand
    (softmax, lambda dy, x: 2 * softmax_backward(dy, x), False),  # with dy = 1 it is 2 times 0
    (lambda x: np.log1p(np.exp(x)), lambda dy, x: 1.001 * dy / (1 + np.exp(-x)), False),  # wrong by a thousandth
)


def make_layers(rng, N):
    """Six layers in random order as pairs (forward, backward), a batch x (N, M), a random generator."""
    layers = [LAYERS[k][:2] for k in rng.permutation(len(LAYERS))]
    return {
        "layers": layers,
        "x": draw(rng, (N, sizes(rng, N, 1)[0])),
        "rng": np.random.default_rng(int(rng.integers(99))),
    }


def judged(layers, x, dy, h=1e-5, tolerance=1e-5):
    """Is each backward right at this upstream gradient dy?"""
    right = []
    for forward, backward in layers:
        numeric = central_difference(lambda v, f=forward: (f(v) * dy).sum(), x, h)
        right.append(bool(relative_error(backward(dy, x), numeric, floor=1e-4) < tolerance))
    return right


def verdicts(layers, x, rng):
    return judged(layers, x, rng.standard_normal(x.shape))


VERDICTS = Exercise(
    name="01.verdicts",
    asked="of each layer (forward, backward), is its backward right? A list of True and False",
    make=make_layers,
    solution=verdicts,
    returns=("the list",),
    single=False,  # a batch of one minus its mean is zero, whatever backward says
    float32=False,
    wrong=(
        Wrong(
            lambda layers, x, rng: judged(layers, x, np.ones_like(x)),
            "upstream gradient of ones",
            "this is what comes of an upstream gradient of ones: softmax's gradient is then zero, and any multiple "
            "of zero passes; draw dy at random",
        ),
        Wrong(
            lambda layers, x, rng: judged(layers, x, rng.standard_normal(x.shape), tolerance=1e-2),
            "too wide a tolerance",
            "this is what comes of too wide a tolerance: a right gradient in float64 agrees to 1e-6 or so, and a "
            "backward that is wrong by a thousandth is wrong",
        ),
        Wrong(
            lambda layers, x, rng: judged(layers, x, rng.standard_normal(x.shape), h=1e-13),
            "right backwards are called wrong",
            "right backwards are called wrong too: h is so small that rounding is all that is left, or the tolerance "
            "is below rounding; take h = 1e-5 and a tolerance of 1e-5",
        ),
        Wrong(
            lambda layers, x, rng: [True] * len(layers),
            "everything passes",
            "everything passes: a check that never fails proves nothing",
        ),
        Wrong(
            lambda layers, x, rng: [not right for right in verdicts(layers, x, rng)],
            "the other way round",
            "it is the other way round: True stands for a right backward",
        ),
    ),
)

EXERCISES = (CENTRAL_DIFFERENCE, RELATIVE_ERROR, VERDICTS)
