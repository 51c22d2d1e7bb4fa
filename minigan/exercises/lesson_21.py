"""Lesson 21, "A content studio by hand": its exercises.

I rows, O columns of a weight matrix; N texts, V words of a vocabulary.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 21.rounded -----------------------------------------------------------------------------------------------


def make_weights(rng, N):
    """W (I, O) whose columns are of very different size, with one column of zeros."""
    rows, columns = (size + 3 for size in sizes(rng, N, 2))
    W = draw(rng, (rows, columns)) * 10.0 ** np.linspace(-2, 1, columns)
    W[0] += 0.05 * np.sign(W[0])  # no number lies half-way between two levels by accident
    W[:, 1] = 0
    return {"W": W}


def rounded(W):
    s = np.abs(W).max(axis=0) / 127
    s[s == 0] = 1
    return np.rint(W / s), s


def _one_scale(W):
    s = np.full(W.shape[1], np.abs(W).max() / 127, W.dtype)
    return np.rint(W / s), s


def _cut(W):
    _, s = rounded(W)
    return np.trunc(W / s), s


def _signed(W):
    s = W.max(axis=0) / 127
    s[s == 0] = 1
    return np.rint(W / s), s


def _unguarded(W):
    s = np.abs(W).max(axis=0) / 127
    return np.rint(W / s), s


def _rows(W):
    s = np.abs(W).max(axis=1) / 127
    s[s == 0] = 1
    return np.rint(W / s[:, None]), s


ROUNDED = Exercise(
    name="21.rounded",
    asked="whole numbers q (I, O) from -127 to 127 and scales s (O,), so that q s is next to W (I, O); s = 1 where a "
    "column is all zeros",
    make=make_weights,
    solution=rounded,
    returns=("q", "s"),
    wrong=(
        Wrong(
            _one_scale,
            "one scale for all columns",
            "this is one scale for all columns: a column of small weights gets a few levels, or none; take the "
            "maximum over the rows alone, axis=0",
        ),
        Wrong(
            _cut,
            "cut off, not rounded",
            "these are cut off, not rounded: every weight moves towards zero, by half a level on average: np.rint",
        ),
        Wrong(
            _signed,
            "largest weight with its sign",
            "this is the largest weight with its sign: a weight of -3 counts less than one of 1; take np.abs first",
        ),
        Wrong(
            _unguarded,
            "divided by zero",
            "a column of zeros has the scale 0, and W was divided by zero: where s is 0, set it to 1",
        ),
        Wrong(
            _rows,
            "for each row",
            "this is a scale for each row; there is to be one for each column, a maximum over axis=0",
        ),
    ),
)


# ---- 21.next_word ---------------------------------------------------------------------------------------------


def make_logits(rng, N):
    """Logits (N, V) whose exponentials overflow, a temperature that is not 1, and N numbers between 0 and 1."""
    (V,) = sizes(rng, N, 1)
    logits = 900 + 2 * draw(rng, (N, V + 4))
    u = 0.05 + 0.9 * rng.random(N)
    u[0] = 0.97 if logits[0].argmax() < V else 0.03  # here the likeliest word is not the one
    return {"logits": logits, "temperature": 1.5 + rng.random(), "u": u}


def next_word(logits, temperature, u):
    e = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    p = e / e.sum(axis=1, keepdims=True)
    return p, (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)


def _by_hand(logits, temperature, u, word):
    """The right probabilities, and another word."""
    p, _ = next_word(logits, temperature, u)
    return p, word(p)


def _overflows(logits, temperature, u):
    e = np.exp(logits)  # the temperature would not help
    p = e / e.sum(axis=1, keepdims=True)
    return p, (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)


def _across(logits, temperature, u):
    e = np.exp((logits - logits.max(axis=0)) / temperature)
    p = e / e.sum(axis=0)
    return p, (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)


NEXT_WORD = Exercise(
    name="21.next_word",
    asked="p (N, V) = softmax(logits / temperature) of each row, and the words (N,) that the numbers u (N,) in "
    "(0, 1) choose: the first whose cumulated probability is above u",
    make=make_logits,
    solution=next_word,
    returns=("p", "words"),
    float32=False,  # a cumulated probability next to u would choose another word in it
    wrong=(
        Wrong(
            lambda logits, temperature, u: next_word(logits, 1 / temperature, u),
            "multiplied by the temperature",
            "the logits are multiplied by the temperature: so a high temperature makes sure of itself; divide",
        ),
        Wrong(
            lambda logits, temperature, u: next_word(logits, 1.0, u),
            "of temperature 1",
            "these are those of temperature 1: the argument is not used",
        ),
        Wrong(
            lambda logits, temperature, u: _by_hand(logits, temperature, u, lambda p: p.argmax(axis=1)),
            "always the likeliest word",
            "this is always the likeliest word, whatever u is: nothing is drawn, and every poem is the same",
        ),
        Wrong(
            lambda logits, temperature, u: _by_hand(
                logits, temperature, u, lambda p: (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1) + 1
            ),
            "one word too far",
            "this is one word too far: words are counted from 0, so the number of words whose cumulated "
            "probability is not above u is the word",
        ),
        Wrong(
            _across,
            "over the batch",
            "this is a softmax over the batch: each column adds up to 1; the words lie along axis 1",
        ),
        Wrong(
            _overflows,
            "exp overflows",
            "exp overflows where logits are large: take the row's maximum off first; softmax does not change by it",
        ),
    ),
)

EXERCISES = (ROUNDED, NEXT_WORD)
