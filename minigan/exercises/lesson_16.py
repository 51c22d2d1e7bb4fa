"""Lesson 16, "Can it compose?": its exercises.

N samples, S steps and P pitches or places, I channels, K numbers of a condition, B bars.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 16.join_backward -----------------------------------------------------------------------------------------


def join(x, c):
    """[x, c at every place] on the last axis."""
    everywhere = np.broadcast_to(c[:, None, None], (*x.shape[:3], c.shape[1]))
    return np.concatenate([x, everywhere], axis=3)


def make_join(rng, N):
    S, P, n_in, K = sizes(rng, N, 4)
    shapes = {"dy": (N, S, P, n_in + K), "x": (N, S, P, n_in), "c": (N, K)}
    return {**{name: draw(rng, shape) for name, shape in shapes.items()}, "channels": n_in}


def join_backward(dy, channels):
    return dy[..., :channels], dy[..., channels:].sum(axis=(1, 2))


JOIN_BACKWARD = Exercise(
    name="16.join_backward",
    asked="dx (N, S, P, I) and dc (N, K) of y = [x, c at every place], from dy (N, S, P, I + K) and I, the channels",
    make=make_join,
    solution=join_backward,
    returns=("dx", "dc"),
    forward=join,
    wrong=(
        Wrong(
            lambda dy, channels: (dy[..., :channels], dy[..., channels:].mean(axis=(1, 2))),
            "the mean over the places",
            "this is the mean over the places where their sum stands: c was copied to every place, and each copy "
            "moves the loss",
        ),
        Wrong(
            lambda dy, channels: (dy[..., :channels], dy[:, 0, 0, channels:]),
            "only the first place counts",
            "only the first place counts here: c stands at every place, and what comes back from all of them adds up",
        ),
        Wrong(
            lambda dy, channels: (dy[..., -channels:], dy[..., :-channels].sum(axis=(1, 2))),
            "the channels are split from the wrong end",
            "the channels are split from the wrong end: x's come first, c's after them",
        ),
        Wrong(lambda dy, channels: (dy[..., :channels], dy[..., channels:]), "dc is wrong: it has shape"),
        Wrong(
            lambda dy, channels: (dy[..., :channels], dy[..., channels:].sum(axis=(0, 1, 2))),
            "the batch is summed, too",
            "the batch is summed, too: each sample has its own c, so its gradient keeps the axis N",
        ),
    ),
)


# ---- 16.feature_matching --------------------------------------------------------------------------------------


def make_features(rng, N):
    S, C = sizes(rng, N, 2)
    made = {"f_fake": draw(rng, (N, S, C)), "f_real": draw(rng, (N, S, C)) + 0.5}
    return {**made, "weight": float(0.2 + rng.random())}


def _match(f_fake, f_real, weight, *, of_value=0.5, of_gradient=1.0, sign=1):
    """The loss and its gradient, with the mistakes that can be made in them."""
    gap = f_fake.mean(axis=0) - f_real.mean(axis=0)
    d_fake = np.broadcast_to(sign * of_gradient * weight / len(f_fake) * gap, f_fake.shape)
    return of_value * weight * (gap**2).sum(), d_fake


def feature_matching(f_fake, f_real, weight):
    return _match(f_fake, f_real, weight)


def _pairs(f_fake, f_real, weight):
    n, apart = len(f_fake), f_fake - f_real
    return weight / 2 / n * (apart**2).sum(), weight / n * apart


FEATURE_MATCHING = Exercise(
    name="16.feature_matching",
    asked="the value of weight / 2 |mean f_fake - mean f_real|^2, means over the batch, and d_fake, its gradient on "
    "f_fake; f_fake and f_real are (N, S, C)",
    make=make_features,
    solution=feature_matching,
    returns=("value", "d_fake"),
    wrong=(
        Wrong(
            _pairs,
            "with the real one beside it",
            "each fake is compared with the real one beside it, but they have nothing to do with each other: take "
            "both means over the batch first, then their difference",
        ),
        Wrong(
            lambda f_fake, f_real, weight: _match(f_fake, f_real, weight, of_gradient=len(f_fake)),
            "the share 1/N is missing",
            "the share 1/N is missing: one sample moves the mean by a N-th of its own move",
        ),
        Wrong(
            lambda f_fake, f_real, weight: _match(f_fake, f_real, weight, sign=-1),
            "d_fake is wrong: opposite sign",
        ),
        Wrong(
            lambda f_fake, f_real, weight: _match(f_fake, f_real, weight, of_value=1, of_gradient=2),
            "the 1/2 of weight / 2",
            "the 1/2 of weight / 2 is missing, here or in the other part",
        ),
        Wrong(
            lambda f_fake, f_real, weight: _match(f_fake, f_real, weight / f_fake[0].size),
            "averaged over the features",
            "this is averaged over the features, but |gap|^2 is the sum over all of them",
        ),
        Wrong(
            lambda f_fake, f_real, weight: (_match(f_fake, f_real, weight)[0], _match(f_fake, f_real, weight)[1][0]),
            "one row for the whole batch",
            "this is one row for the whole batch: every sample gets it, so d_fake has f_fake's shape",
        ),
    ),
)


# ---- 16.compose_tune ------------------------------------------------------------------------------------------


def make_tune(rng, N):
    """bar_of, a small random generator of bars, and what it needs for B of them."""
    B, n_z, K, S, P = sizes(rng, N, 5)
    Wz, Wc, Wp = (rng.standard_normal((n, S * P)) for n in (n_z, K, S * P))

    def bar_of(z, chord, previous):
        a = z @ Wz + 2 * chord @ Wc + 2 * previous.reshape(len(z), S * P) @ Wp
        return (1 / (1 + np.exp(-0.3 * a))).reshape(len(z), S, P)

    drawn = {"z": rng.standard_normal((N, B, n_z)), "chords": rng.standard_normal((N, B, K))}
    return {"bar_of": bar_of, **drawn, "previous": np.zeros((N, S, P))}


def _compose(bar_of, z, chords, previous, *, listens=True, sharp=True, own_chord=True, own_z=True, axis=1):
    """The tune, with the mistakes that can be made in it."""
    tune, bar = [], previous
    for b in range(z.shape[1]):
        soft = bar_of(z[:, b if own_z else 0], chords[:, b if own_chord else 0], bar)
        pitches = soft.argmax(axis=2)
        tune.append(pitches)
        if listens:
            bar = np.eye(soft.shape[2])[pitches] if sharp else soft
    return np.stack(tune, axis=axis)


def compose_tune(bar_of, z, chords, previous):
    return _compose(bar_of, z, chords, previous)


COMPOSE_TUNE = Exercise(
    name="16.compose_tune",
    asked="the pitches (N, B, S) of N tunes, bar by bar: bar_of(z_b, chord_b, bar before) is (N, S, P), its largest "
    "entry of each step is the pitch, and the one-hot roll of these pitches is the next bar's bar before",
    make=make_tune,
    solution=compose_tune,
    returns=("tune",),
    float32=False,  # pitches are whole numbers of any kind
    wrong=(
        Wrong(
            lambda bar_of, z, chords, previous: _compose(bar_of, z, chords, previous, listens=False),
            "is told the same bar before",
            "every bar is told the same bar before, the one that was given: hand on the bar that was just made",
        ),
        Wrong(
            lambda bar_of, z, chords, previous: _compose(bar_of, z, chords, previous, sharp=False),
            "handed on soft",
            "the bar before is handed on soft, as bar_of gave it: it is to be one-hot, like the bars that G was "
            "trained on",
        ),
        Wrong(
            lambda bar_of, z, chords, previous: _compose(bar_of, z, chords, previous, own_chord=False),
            "the first bar's chord",
            "all bars are made to the first bar's chord: bar b has chords[:, b]",
        ),
        Wrong(
            lambda bar_of, z, chords, previous: _compose(bar_of, z, chords, previous, own_z=False),
            "the first bar's noise",
            "all bars are made from the first bar's noise: bar b has z[:, b]",
        ),
        Wrong(
            lambda bar_of, z, chords, previous: _compose(bar_of, z, chords, previous, axis=0),
            "the bars came first",
            "the bars came first here, (B, N, S): stack them on axis 1, for a tune's bars belong together",
        ),
        Wrong(
            lambda bar_of, z, chords, previous: np.eye(previous.shape[2])[_compose(bar_of, z, chords, previous)],
            "these are rolls",
            "these are rolls (N, B, S, P), one-hot; what is asked are the pitches, argmax's own numbers (N, B, S)",
        ),
    ),
)

EXERCISES = (JOIN_BACKWARD, FEATURE_MATCHING, COMPOSE_TUNE)
