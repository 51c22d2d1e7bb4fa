"""Lesson 00, "What does a GAN do?": its exercises. None needs calculus.

N points of each kind, x (N, 2).   A verdict is D's, from 0 (fake) to 1 (real).
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong

# ---- 00.share_right -------------------------------------------------------------------------------------------


def share_right(real_verdicts, fake_verdicts):
    right = (real_verdicts > 0.5).sum() + (fake_verdicts < 0.5).sum()
    return right / (len(real_verdicts) + len(fake_verdicts))


def _share_called_real(real_verdicts, fake_verdicts):
    return ((real_verdicts > 0.5).mean() + (fake_verdicts > 0.5).mean()) / 2


def _real_only(real_verdicts, fake_verdicts):
    return (real_verdicts > 0.5).mean()


def _count(real_verdicts, fake_verdicts):
    return (real_verdicts > 0.5).sum() + (fake_verdicts < 0.5).sum()


def _two_shares_added(real_verdicts, fake_verdicts):
    return (real_verdicts > 0.5).mean() + (fake_verdicts < 0.5).mean()


def _no_threshold(real_verdicts, fake_verdicts):
    return (real_verdicts.mean() + (1 - fake_verdicts).mean()) / 2


def _share_wrong(real_verdicts, fake_verdicts):
    return 1 - share_right(real_verdicts, fake_verdicts)


def make_verdicts(rng, N):
    """Two times N verdicts, so drawn that every planted answer gives another number."""
    answers = (share_right, _share_called_real, _real_only, _count, _two_shares_added, _no_threshold, _share_wrong)
    while True:
        verdicts = {"real_verdicts": rng.random(N), "fake_verdicts": rng.random(N)}
        numbers = sorted(float(answer(**verdicts)) for answer in answers)
        if N < 4 or min(np.diff(numbers)) > 1e-3:
            return verdicts


SHARE_RIGHT = Exercise(
    name="00.share_right",
    asked="the share of D's verdicts that are right, from 0 to 1: real points above 1/2, fakes below",
    make=make_verdicts,
    solution=share_right,
    returns=("the share",),
    float32=False,  # a share is a count over a count: it has no dtype to keep
    wrong=(
        Wrong(
            _share_called_real,
            "points that D calls real",
            "this is the share of points that D calls real; of a fake, D is right when it says fake, below 1/2",
        ),
        Wrong(
            _real_only,
            "the fakes are missing",
            "the fakes are missing: D judges both kinds, and can be wrong about each",
        ),
        Wrong(_count, "a count", "this is a count; divide it by the number of all verdicts, real and fake"),
        Wrong(
            _two_shares_added,
            "two shares are added",
            "two shares are added, so the sum can be above 1; divide by the number of all verdicts",
        ),
        Wrong(
            _no_threshold,
            "how sure D is",
            "this averages how sure D is; a verdict is right or wrong, so first ask whether it is above 1/2",
        ),
        Wrong(_share_wrong, "verdicts that are wrong", "this is the share of verdicts that are wrong"),
    ),
)


# ---- 00.which_way ---------------------------------------------------------------------------------------------


def which_way(D, x, h):
    signs = np.zeros_like(x)
    for axis in (0, 1):
        step = np.zeros(2)
        step[axis] = h
        signs[:, axis] = np.sign(D(x + step) - D(x - step))
    return signs


def _differences(D, x, h):
    right, up = np.array([h, 0]), np.array([0, h])
    return np.stack([D(x + right) - D(x - right), D(x + up) - D(x - up)], axis=1)


def _downhill(D, x, h):
    return -np.sign(_differences(D, x, h))


def _up_first(D, x, h):
    return np.sign(_differences(D, x, h))[:, ::-1]


def _both_at_once(D, x, h):
    return np.repeat(np.sign(D(x + h) - D(x - h))[:, None], 2, axis=1)


def _one_way_for_all(D, x, h):
    return np.sign(_differences(D, x, h).mean(axis=0))


def _not_put_back(D, x, h):
    signs = np.zeros_like(x)
    for axis in (0, 1):
        x[:, axis] += h
        above = D(x)
        x[:, axis] -= 2 * h
        signs[:, axis] = np.sign(above - D(x))
    return signs


def make_landscape(rng, N):
    """A D with hills and valleys and N points on its slopes, where the planted answers are all different."""
    while True:
        tilt, waves, start = rng.standard_normal(2), rng.standard_normal((2, 2)), rng.standard_normal(2)

        def D(x, tilt=tilt, waves=waves, start=start):
            return 1 / (1 + np.exp(-(x @ tilt + 2 * np.sin(x @ waves + start).sum(axis=-1))))

        x, h = 2 * rng.standard_normal((N, 2)), 0.01
        answers = {f(D, x, h).tobytes() for f in (which_way, _downhill, _up_first, _both_at_once)}
        if abs(_differences(D, x, h)).min() > 1e-4 and (N < 4 or len(answers) == 4):
            return {"D": D, "x": x, "h": h}


WHICH_WAY = Exercise(
    name="00.which_way",
    asked="for each fake, the way in which D's verdict rises: right +1 or left -1, up +1 or down -1, an array (N, 2)",
    make=make_landscape,
    solution=which_way,
    returns=("the array",),
    float32=False,
    wrong=(
        Wrong(
            _downhill,
            "the way in which the verdict falls",
            "this is the way in which the verdict falls: take the verdict on the right minus that on the left",
        ),
        Wrong(
            _differences,
            "the differences themselves",
            "these are the differences themselves; of each, only the sign is asked: np.sign",
        ),
        Wrong(
            _up_first,
            "exchanged",
            "the two columns are exchanged: column 0 is right or left, column 1 is up or down",
        ),
        Wrong(
            _both_at_once,
            "right and up at once",
            "each fake is moved right and up at once, which tells neither; add h to one coordinate at a time",
        ),
        Wrong(
            _one_way_for_all,
            "one way for the whole crowd",
            "this is one way for the whole crowd; each of the N fakes has its own, so return an array (N, 2)",
        ),
        Wrong(_not_put_back, "leaves its input x changed"),
    ),
)


# ---- 00.play_round --------------------------------------------------------------------------------------------


class PaperGame:
    """The smallest game: D's verdict is a tilted plane, G stretches and shifts the noise. Same moves as the board."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.tilt, self.stretch, self.shift = self.rng.standard_normal((3, 2))

    def noise(self, N):
        return self.rng.standard_normal((N, 2))

    def G(self, noise):
        return self.stretch * noise + self.shift

    def teach_D(self, real, fake):
        self.tilt = self.tilt + real.mean(axis=0) - fake.mean(axis=0)

    def teach_G(self, noise):
        self.stretch = self.stretch + 0.3 * self.tilt * noise.mean(axis=0)
        self.shift = self.shift + 0.3 * self.tilt

    def weights(self):
        return self.tilt, np.concatenate([self.stretch, self.shift])


def make_round(rng, N):
    return {"real": 2 + rng.standard_normal((N, 2)), "game": PaperGame(int(rng.integers(2**31)))}


def play_round(real, game):
    noise = game.noise(len(real))
    fake = game.G(noise)
    game.teach_D(real, fake)
    noise = game.noise(len(real))
    game.teach_G(noise)
    return game.weights()


def _g_first(real, game):
    game.teach_G(game.noise(len(real)))
    game.teach_D(real, game.G(game.noise(len(real))))
    return game.weights()


def _labels_exchanged(real, game):
    game.teach_D(game.G(game.noise(len(real))), real)
    game.teach_G(game.noise(len(real)))
    return game.weights()


def _g_forgotten(real, game):
    game.teach_D(real, game.G(game.noise(len(real))))
    return game.weights()


def _noise_again(real, game):
    noise = game.noise(len(real))
    game.teach_D(real, game.G(noise))
    game.teach_G(noise)
    return game.weights()


def _g_from_fakes(real, game):
    fake = game.G(game.noise(len(real)))
    game.teach_D(real, fake)
    game.teach_G(fake)
    return game.weights()


def _g_from_real(real, game):
    game.teach_D(real, game.G(game.noise(len(real))))
    game.teach_G(real)
    return game.weights()


PLAY_ROUND = Exercise(
    name="00.play_round",
    asked="one round of the game: D is taught once with real points and fakes, then G once with new noise",
    make=make_round,
    solution=play_round,
    returns=("D", "G"),
    wrong=(
        Wrong(_g_first, "G has moved first", "G has moved first; D moves first, so that there is something to learn"),
        Wrong(
            _labels_exchanged,
            "the other way round",
            "D was told the truth the other way round: the real points come first, the fakes second",
        ),
        Wrong(_g_forgotten, "still where it was", "it is still where it was: a round has a move of G, too"),
        Wrong(
            _noise_again,
            "the noise of D's move again",
            "it was taught with the noise of D's move again; draw new noise for it, as algorithm 1 does",
        ),
        Wrong(
            _g_from_fakes,
            "was handed fakes",
            "it was handed fakes, and made fakes from fakes; hand it noise, and it makes its own",
        ),
        Wrong(
            _g_from_real,
            "was handed real points",
            "it was handed real points, and in this game it never sees one; hand it noise",
        ),
    ),
)

EXERCISES = (SHARE_RIGHT, WHICH_WAY, PLAY_ROUND)
