"""Lesson 06, "From points to digits": its exercises.

N images of P pixels; a layer has I inputs and O outputs.
"""

from __future__ import annotations

import math

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 06.both_ways ---------------------------------------------------------------------------------------------


def make_pictures(rng, N):
    """Grey values (N, P), and outputs of a G (N, P), between two grey values each; some lie beyond 0 and 255."""
    shape = (N, sizes(rng, N, 1)[0])
    pixels, drawn = (rng.integers(1, 255, shape).astype(float) for _ in range(2))
    drawn += rng.choice([-1, 1], shape) * (0.1 + 0.3 * rng.random(shape))  # never halfway: that rounds as it likes
    drawn.flat[:2] = 257.3, 20.7
    if drawn.size > 2:
        pixels.flat[:3], drawn.flat[2] = (0, 255, 128), -3.2
    return {"pixels": pixels, "y": drawn / 127.5 - 1}


def both_ways(pixels, y):
    return pixels / 127.5 - 1, np.clip(np.rint((y + 1) * 127.5), 0, 255)


def _to_pixels(convert):
    """The right scaling, and this way back."""
    return lambda pixels, y: (pixels / 127.5 - 1, convert(y))


BOTH_WAYS = Exercise(
    name="06.both_ways",
    asked="x (N, P) in [-1, 1] for the grey values `pixels` (N, P), 0 to 255; and the picture, whole grey values "
    "from 0 to 255, of a G's output y (N, P)",
    make=make_pictures,
    solution=both_ways,
    returns=("x", "the picture"),
    wrong=(
        Wrong(
            lambda pixels, y: (pixels / 255, both_ways(pixels, y)[1]),
            "this is [0, 1]",
            "this is [0, 1]: tanh reaches from -1 to 1, so multiply by 2 and take off 1",
        ),
        Wrong(
            lambda pixels, y: (pixels / 127.5, both_ways(pixels, y)[1]),
            "this is [0, 2]",
            "this is [0, 2]: the range has the right length and begins at 0; take off 1",
        ),
        Wrong(
            _to_pixels(lambda y: np.clip((y + 1) * 127.5, 0, 255)),
            "not rounded",
            "it is not rounded: grey values are whole numbers",
        ),
        Wrong(
            _to_pixels(lambda y: np.clip(np.floor((y + 1) * 127.5), 0, 255)),
            "cut off",
            "the fraction is cut off, so that 254.9 becomes 254 and all pictures come out half a step too dark; "
            "round with np.rint",
        ),
        Wrong(
            _to_pixels(lambda y: np.rint((y + 1) * 127.5)),
            "beyond 0 and 255",
            "it has numbers beyond 0 and 255, and as bytes 257 is 1 and -3 is 253, black dots in white and white "
            "ones in black; clip with np.clip",
        ),
        Wrong(
            _to_pixels(lambda y: np.clip(np.rint(y * 255), 0, 255)),
            "as if y were",
            "it is computed as if y were in [0, 1]: half of G's range then turns black; add 1 first, and take 127.5",
        ),
    ),
)


# ---- 06.first_weights -----------------------------------------------------------------------------------------


def make_noise(rng, N):
    """Numbers from N(0, 1), (I, O), and a slope; no two of the planted formulas agree on these sizes."""
    n_in = n_out = 0
    while n_out == 2 * n_in:
        n_in, n_out = sizes(rng, N, 2)
    return {"noise": draw(rng, (n_in, n_out)), "slope": float(rng.choice([0.1, 0.2, 0.3]))}


def first_weights(noise, slope):
    return noise * math.sqrt(2 / ((1 + slope**2) * noise.shape[0]))


def _scaled(sd):
    return lambda noise, slope: noise * float(sd(*noise.shape, slope))


FIRST_WEIGHTS = Exercise(
    name="06.first_weights",
    asked="weights W (I, O), made of noise (I, O) from N(0, 1), that keep E[x^2] through Dense and LeakyReLU(slope)",
    make=make_noise,
    solution=first_weights,
    returns=("W",),
    wrong=(
        Wrong(
            _scaled(lambda n_in, n_out, s: math.sqrt(2 / ((1 + s**2) * n_out))),
            "the number of outputs",
            "this takes the number of outputs, O: each y is a sum over the I inputs",
        ),
        Wrong(
            _scaled(lambda n_in, n_out, s: 2 / ((1 + s**2) * n_in)),
            "times the variance",
            "this is noise times the variance: a factor on the noise is a standard deviation, so take the root",
        ),
        Wrong(
            _scaled(lambda n_in, n_out, s: math.sqrt(1 / ((1 + s**2) * n_in))),
            "the 2 is missing",
            "the 2 is missing: half of the values are negative and nearly lost in LeakyReLU",
        ),
        Wrong(
            _scaled(lambda n_in, n_out, s: math.sqrt(2 / n_in)),
            "right for ReLU",
            "this is right for ReLU: LeakyReLU also lets slope^2 of each negative value's square through",
        ),
        Wrong(
            _scaled(lambda n_in, n_out, s: math.sqrt(2 / ((1 + s) * n_in))),
            "slope where its square stands",
            "this has the slope where its square stands: what is kept is E[x^2]",
        ),
        Wrong(
            _scaled(lambda n_in, n_out, s: math.sqrt(2 / (n_in + n_out))),
            "Glorot's",
            "this is Glorot's variance, 2 / (I + O), a compromise of forward and backward for tanh",
        ),
    ),
)


# ---- 06.adam_resume -------------------------------------------------------------------------------------------

B1, B2, EPS = 0.5, 0.999, 1e-8


def make_saved(rng, N):
    """Adam's state after t steps: m and v have the size that they have by then."""
    shape, t = (N + 2,), int(rng.integers(3, 30))
    m, v = (1 - B1**t) * draw(rng, shape), (1 - B2**t) * draw(rng, shape) ** 2
    return {"theta": draw(rng, shape), "g": draw(rng, shape), "m": m, "v": v, "t": t, "lr": 0.1}


def adam_resume(theta, g, m, v, t, lr):
    t = t + 1
    m = B1 * m + (1 - B1) * g
    v = B2 * v + (1 - B2) * g**2
    return theta - lr * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS), m, v


def _uncorrected(theta, g, m, v, t, lr):
    _, m, v = adam_resume(theta, g, m, v, t, lr)
    return theta - lr * m / (np.sqrt(v) + EPS), m, v


def _no_root(theta, g, m, v, t, lr):
    _, m, v = adam_resume(theta, g, m, v, t, lr)
    return theta - lr * (m / (1 - B1 ** (t + 1))) / (v / (1 - B2 ** (t + 1)) + EPS), m, v


def _in_place(theta, g, m, v, t, lr):
    m *= B1
    m += (1 - B1) * g
    v *= B2
    v += (1 - B2) * g**2
    theta -= lr * (m / (1 - B1 ** (t + 1))) / (np.sqrt(v / (1 - B2 ** (t + 1))) + EPS)
    return theta, m, v


ADAM_RESUME = Exercise(
    name="06.adam_resume",
    asked="theta, m and v (P,) after Adam's next step with the gradient g (P,), where theta, m and v are as they "
    "were after t steps (b1 = 0.5, b2 = 0.999, eps = 1e-8)",
    make=make_saved,
    solution=adam_resume,
    returns=("theta", "m", "v"),
    wrong=(
        Wrong(
            lambda theta, g, m, v, t, lr: adam_resume(theta, g, m, v, 0, lr),
            "counts from 1 again",
            "this counts from 1 again: with t = 1 Adam takes m and v to be half and a thousandth of their size, and "
            "they are not; the next step is number t + 1",
        ),
        Wrong(
            lambda theta, g, m, v, t, lr: adam_resume(theta, g, m, v, t - 1, lr),
            "done already",
            "this corrects for step number t, which is done already: the next one is number t + 1",
        ),
        Wrong(
            lambda theta, g, m, v, t, lr: adam_resume(theta, g, 0 * m, 0 * v, t, lr),
            "begin at zero",
            "this lets m and v begin at zero: go on from those that were saved",
        ),
        Wrong(
            _uncorrected,
            "bias correction is missing",
            "the bias correction is missing: m / (1 - b1^t) and v / (1 - b2^t), with the t of this step",
        ),
        Wrong(_no_root, "the root is missing", "the root is missing: v is a mean of squares, g^2"),
        Wrong(_in_place, "leaves its input theta changed"),
    ),
)

EXERCISES = (BOTH_WAYS, FIRST_WEIGHTS, ADAM_RESUME)
