"""What an exhibit is: a bug, its mend, and the check that tells them apart; and what every exhibit is made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigan.layers import Dense, Layer, LeakyReLU, Tanh
from minigan.losses import non_saturating as game
from minigan.network import Sequential
from minigan.optim import SGD


@dataclass(frozen=True)
class Exhibit:
    """One bug seen in the wild.

    name      a slug
    title     what goes wrong, in a line
    wrong     the formula that is broken, in a sentence or two
    symptom   what one would see
    seen_in   where this class of bug was met, with thanks to who reported it
    lesson    the lesson that explains it, 0 to 19
    silent    does a program with the bug run without an exception, on finite numbers alone?
    which     the check that exposes it, in a few words
    bug, mend functions or classes with the same arguments
    check     check(bug) raises AssertionError, a sentence with a number or a place; check(mend) does nothing
    use       use(bug) does what a program does with it, and returns the numbers that the program would print
    """

    name: str
    title: str
    wrong: str
    symptom: str
    seen_in: str
    lesson: int
    silent: bool
    which: str
    bug: Callable[..., Any]
    mend: Callable[..., Any]
    check: Callable[[Any], None]
    use: Callable[[Any], Any]


@dataclass(frozen=True)
class Finding:
    """What came of an exhibit: what the check says of the bug and of the mend, and what a program notices of each."""

    exhibit: Exhibit
    bug_says: str
    mend_says: str
    bug_raises: str
    mend_raises: str

    @property
    def behaves(self) -> bool:
        """Is the bug exposed, the mend passed, and is the bug as silent or as loud as its record says?"""
        heard = bool(self.bug_raises) != self.exhibit.silent
        return bool(self.bug_says) and not self.mend_says and heard and not self.mend_raises


def examine(exhibit: Exhibit) -> Finding:
    """Run the bug and the mend as a program would, and hand both to the check."""
    things = (exhibit.bug, exhibit.mend)
    return Finding(exhibit, *(verdict(exhibit.check, t) for t in things), *(noticed(exhibit.use, t) for t in things))


def verdict(check: Callable[[Any], None], thing: Any) -> str:
    """What the check says, "" where it passes. Anything but an AssertionError is a fault of the check: it goes on."""
    try:
        check(thing)
    except AssertionError as error:
        return str(error)
    return ""


def noticed(use: Callable[[Any], Any], thing: Any) -> str:
    """What a program with this thing would notice: an exception, numbers that are not finite, or nothing, ""."""
    try:
        numbers = np.asarray(use(thing), dtype=np.float64)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    return "" if np.isfinite(numbers).all() else "NaN or infinity in what it prints"


# ---- what the exhibits are made with ------------------------------------------------------------------------------


def need(right: bool, sentence: str) -> None:
    """Raises AssertionError with the sentence unless it is right. (`assert` would be gone under python -O.)"""
    if not right:
        raise AssertionError(sentence)


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def numeric(f: Callable[[np.ndarray], float], x: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The gradient of f at x by central differences, in x's shape (lesson 01)."""
    steps = h * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(f(x + e) - f(x - e)) / (2 * h) for e in steps]).reshape(x.shape)


def off(yours: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, by the size of the right one's largest number."""
    return float(np.abs(yours - right).max() / np.abs(right).max())


def players(seed: int = 0) -> tuple[Sequential, Sequential]:
    """A small G: z (N, 2) -> x (N, 2), and a small D: x (N, 2) -> logits (N, 1), both in float64."""
    rng = np.random.default_rng(seed)
    G = Sequential(Dense(2, 8, rng=rng), Tanh(), Dense(8, 2, rng=rng))
    D = Sequential(Dense(2, 8, rng=rng), LeakyReLU(), Dense(8, 1, rng=rng))
    return G.astype("float64"), D.astype("float64")


def batches(seed: int = 1, N: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Real points (N, 2) around (2, 1), and noise z (N, 2)."""
    rng = np.random.default_rng(seed)
    return np.array([2.0, 1.0]) + 0.5 * rng.standard_normal((N, 2)), rng.standard_normal((N, 2))


def d_gradient(D, x_real, x_fake):
    """Adds the gradient of L_D to D.grad; the value, and the gradient on the fakes."""
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    value, d_real, d_fake = game.discriminator(real_logits, fake_logits)
    D.backward(d_real, real_cache)
    return float(value), D.backward(d_fake, fake_cache)


def g_gradient(D, x_fake):
    """The value of L_G, and its gradient on the fakes; D.grad is left alone."""
    logits, cache = D.forward(x_fake)
    value, d_fake = game.generator(logits)
    return float(value), D.backward(d_fake, cache, param_grads=False)


def losses_of(layers: Sequence[Layer], x: np.ndarray, steps: int = 20) -> list[float]:
    """A D of these layers learns to tell x (2N, ...), the first half real, for some steps: its losses."""
    D = Sequential(*layers).astype("float64")
    optimizer, n, found = SGD(D, 0.1), len(x) // 2, []
    for _ in range(steps):
        logits, caches = zip(*(D.forward(part.copy()) for part in (x[:n], x[n:])))
        value, d_real, d_fake = game.discriminator(*logits)
        D.zero_grad()
        for dlogits, cache in zip((d_real, d_fake), caches):
            D.backward(dlogits, cache, input_grad=False)
        optimizer.step()
        found.append(float(value))
    return found
