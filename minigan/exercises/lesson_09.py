"""Lesson 09, "DCGAN: why does it work?": its exercises.

N images (h, w, C), noise z (N, Z), T points on a path.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 09.shapes ------------------------------------------------------------------------------------------------


def make_images(rng, N):
    """Images x (N, h, h, C) that lie two to four doublings above the start."""
    start, channels, width = sizes(rng, N, 3)
    size = start * 2 ** int(rng.integers(2, 5))
    return {"x": np.zeros((N, size, size, channels)), "start": start, "width": 8 * width}


def shapes(x, start, width):
    return _chain(x, start, width)


def _chain(x, start, width, channels=None, size=None, last=None, N=None):
    """channels(k), size(k) with k doublings still to come; of the image itself, last channels."""
    N, left = len(x) if N is None else N, _doublings(x, start)
    channels = channels or (lambda k: width * 2 ** (k - 1))
    size = size or (lambda k: start * 2 ** (left - k))
    last = x.shape[3] if last is None else last
    hidden = [(N, size(k), size(k), channels(k)) for k in range(left, 0, -1)]
    return [*hidden, (N, size(0), size(0), last)]


def _doublings(x, start):
    return round(np.log2(x.shape[1] / start))


SHAPES = Exercise(
    name="09.shapes",
    asked="the shapes (N, h, w, channels) through G, from start x start to the images x, each a doubling of the last",
    make=make_images,
    solution=shapes,
    returns=("the list of shapes",),
    float32=False,  # whole numbers come out, whatever goes in
    wrong=(
        Wrong(
            lambda x, start, width: _chain(x, start, width, lambda k: width * 2 ** (_doublings(x, start) - k)),
            "the wrong way round",
            "the channels run the wrong way round: many where the image is small, and `width` next to the image",
        ),
        Wrong(
            lambda x, start, width: _chain(x, start, width, lambda k: width * 2**k),
            "twice too many channels",
            "twice too many channels: the layer next to the image has `width`, so that k doublings away from the "
            "image there are width 2^(k-1)",
        ),
        Wrong(
            lambda x, start, width: _chain(x, start, width, last=width),
            "is to be the image",
            "the last shape is to be the image's: it has as many channels as the data, one or three, not `width`",
        ),
        Wrong(
            lambda x, start, width: _chain(x, start, width, lambda k: width),
            "the same at every size",
            "the channels are the same at every size: they halve where height and width double",
        ),
        Wrong(
            lambda x, start, width: _chain(x, start, width, size=lambda k: start + 2 * (_doublings(x, start) - k)),
            "two pixels are added",
            "two pixels are added where the size doubles: a transposed convolution of stride 2 makes o into 2 o",
        ),
        Wrong(
            lambda x, start, width: _chain(x, start, width, N=1),
            "the batch is lost",
            "the batch is lost: N images go through the network together, and the first number of each shape is N",
        ),
    ),
)


# ---- 09.parameters --------------------------------------------------------------------------------------------


def make_layer(rng, N):
    """What a layer is given, x (N, h, w, I), a kernel of unequal sides, and O."""
    kh, kw, *channels = sizes(rng, N, 4)
    n_in, n_out = sorted(channels)  # with more in than out, 2 I could be 3 O: one mistake would look like another
    h, w = (10 + s for s in sizes(rng, N, 2))
    return {"x": np.zeros((N, h, w, n_in)), "kernel": (kh, kw), "n_out": n_out}


def parameters(x, kernel, n_out):
    weights = kernel[0] * kernel[1] * x.shape[3] * n_out
    return weights + n_out, weights + 2 * n_out


def _counted(x, kernel, n_out, taps=None, bias=1, behind=2):
    """bias, behind: how many numbers for each channel out, without and with batch norm."""
    weights = (kernel[0] * kernel[1] if taps is None else taps) * x.shape[3] * n_out
    return weights + bias * n_out, weights + behind * n_out


def _in_for_out(x, kernel, n_out):
    weights, n_in = kernel[0] * kernel[1] * x.shape[3] * n_out, x.shape[3]
    return weights + n_in, weights + 2 * n_in


PARAMETERS = Exercise(
    name="09.parameters",
    asked="how many parameters a convolution has alone, with its bias, and together with a batch norm behind it",
    make=make_layer,
    solution=parameters,
    returns=("alone", "with a batch norm"),
    float32=False,
    wrong=(
        Wrong(
            lambda x, kernel, n_out: _counted(x, kernel, n_out, behind=3),
            "a bias where batch norm follows",
            "there is a bias where batch norm follows: the norm subtracts each channel's mean, and the bias with it, "
            "so the convolution has none",
        ),
        Wrong(
            lambda x, kernel, n_out: _counted(x, kernel, n_out, taps=1),
            "the kernel's area is forgotten",
            "the kernel's area is forgotten: each channel in has a weight for each of the kh kw taps",
        ),
        Wrong(
            lambda x, kernel, n_out: _counted(x, kernel, n_out, taps=kernel[0]),
            "one side of the kernel",
            "only one side of the kernel counts: it has kh kw taps",
        ),
        Wrong(
            _in_for_out,
            "in and out are exchanged",
            "in and out are exchanged: bias, gamma and beta belong to the channels that come out",
        ),
        Wrong(
            lambda x, kernel, n_out: _counted(x, kernel, n_out, behind=4),
            "running mean and variance",
            "running mean and variance are counted, but no gradient changes them: the parameters are gamma and beta",
        ),
        Wrong(
            lambda x, kernel, n_out: _counted(x, kernel, n_out, taps=kernel[0] * kernel[1] * x.shape[1] * x.shape[2]),
            "for every pixel",
            "weights are counted for every pixel, but one kernel serves all places: that is what a convolution is",
        ),
    ),
)


# ---- 09.interpolate -------------------------------------------------------------------------------------------


def make_ends(rng, N):
    """Two points for each path, a and b (N, Z), of unequal length and neither near to nor opposite each other."""
    Z, T = (size + 3 for size in sizes(rng, N, 2))
    u = draw(rng, (N, Z))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = rng.standard_normal((N, Z))
    v -= (v * u).sum(axis=1, keepdims=True) * u
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    angle = rng.permutation(np.linspace(0.7, 2.2, N) + 0.2 * rng.random(N))[:, None]
    a, b = (2 + rng.random((N, 1))) * u, (4 + rng.random((N, 1))) * (np.cos(angle) * u + np.sin(angle) * v)
    return {"a": a, "b": b, "t": np.sort(rng.random(T))}


def interpolate(a, b, t):
    u, v, lengths, t = _polar(a, b, t)
    return _on_the_arc(u, v, t) * lengths


def _polar(a, b, t):
    """Directions u, v (N, 1, Z), the lengths on the way (N, T, 1), and t (1, T, 1)."""
    t = t[None, :, None]
    of_a, of_b = (np.linalg.norm(end, axis=1)[:, None, None] for end in (a, b))
    return a[:, None] / of_a, b[:, None] / of_b, (1 - t) * of_a + t * of_b, t


def _on_the_arc(u, v, t, angle=None):
    angle = np.arccos((u * v).sum(axis=2, keepdims=True)) if angle is None else angle
    return (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)


def _straight(a, b, t):
    t = t[None, :, None]
    return (1 - t) * a[:, None] + t * b[:, None]


def _pushed_out(a, b, t):
    """The straight line's directions, at the right lengths."""
    u, v, lengths, t = _polar(a, b, t)
    chord = (1 - t) * u + t * v
    return chord / np.linalg.norm(chord, axis=2, keepdims=True) * lengths


def _one_angle(a, b, t):
    u, v, lengths, t = _polar(a, b, t)
    return _on_the_arc(u, v, t, np.arccos((u * v).sum(axis=2).mean())) * lengths


def _unit(a, b, t):
    u, v, _, t = _polar(a, b, t)
    return _on_the_arc(u, v, t)


def _no_sine(a, b, t):
    u, v, lengths, t = _polar(a, b, t)
    return _on_the_arc(u, v, t) * np.sin(np.arccos((u * v).sum(axis=2, keepdims=True))) * lengths


INTERPOLATE = Exercise(
    name="09.interpolate",
    asked="for each pair of a and b (N, Z) the points at t (T,) on the great circle between them, (N, T, Z)",
    make=make_ends,
    solution=interpolate,
    returns=("the path",),
    wrong=(
        Wrong(
            _straight,
            "the straight line",
            "this is the straight line from a to b, which cuts through the empty inside of the sphere",
        ),
        Wrong(
            _pushed_out,
            "not even",
            "the lengths are right, but the steps are not even: a straight line pushed out to the sphere runs faster "
            "in its middle; weigh the ends with sines of the angle",
        ),
        Wrong(
            lambda a, b, t: interpolate(a, b, 1 - t),
            "from b to a",
            "it runs from b to a: at t = 0 the path is at a",
        ),
        Wrong(
            _unit,
            "on the unit sphere",
            "all points lie on the unit sphere: multiply the direction by the length, (1 - t) |a| + t |b|",
        ),
        Wrong(
            _no_sine,
            "divide by the sine",
            "the lengths are too small: divide by the sine of the whole angle",
        ),
        Wrong(
            _one_angle,
            "an angle of its own",
            "one angle serves all pairs, but each pair has an angle of its own: sum over the last axis alone",
        ),
    ),
)

EXERCISES = (SHAPES, PARAMETERS, INTERPOLATE)
