"""Lesson 19, "From NumPy to CuPy": its exercises.

T operations, times in microseconds; N samples of I numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import tripwire
from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 19.timeline ----------------------------------------------------------------------------------------------


def make_operations(rng, N):
    """T operations, some shorter to compute than to launch and some longer; after some of them the host waits."""
    T = 3 * N + 4
    waits, compute = rng.random(T) < 0.25, rng.uniform(0.5, 12, T)
    waits[:6], waits[-1] = [False, True, False, False, True, False], False
    compute[[0, 1, 2, 4]] = 13, 0.5, 0.5, 9  # the host runs ahead and waits; then the device does
    return {"launch": rng.uniform(2, 6, T), "compute": compute, "waits": waits}


def timeline(launch, compute, waits):
    return _timeline(launch, compute, waits)


def _timeline(launch, compute, waits, start=lambda called, before, began: max(called, before), free=None):
    """start(called, before, began): when the device begins; called: the launch's end, before: the device's last."""
    free = free or (lambda called, done, before, w: done if w else called)
    host, device = np.zeros_like(launch), np.zeros_like(launch)
    now = before = launch.dtype.type(0)
    for i in range(len(launch)):
        called = now + launch[i]
        done = start(called, before, now) + compute[i]
        now, before = free(called, done, before, waits[i]), done
        host[i], device[i] = now, done
    return host, device


TIMELINE = Exercise(
    name="19.timeline",
    asked="when the host is free again after each operation and when the device has computed it, two arrays (T,)",
    make=make_operations,
    solution=timeline,
    returns=("host", "device"),
    wrong=(
        Wrong(
            lambda launch, compute, waits: _timeline(launch, compute, np.ones_like(waits)),
            "after every operation",
            "the host waits after every operation, as with NumPy; on a GPU it goes on, except where waits[i] is True",
        ),
        Wrong(
            lambda launch, compute, waits: _timeline(launch, compute, np.zeros_like(waits)),
            "nobody waits",
            "nobody waits: where waits[i] is True, the host goes on only when the device has computed operation i",
        ),
        Wrong(
            lambda launch, compute, waits: _timeline(launch, compute, waits, lambda called, before, began: before),
            "before it is asked",
            "the device computes before it is asked: an operation can start only when its launch has ended",
        ),
        Wrong(
            lambda launch, compute, waits: _timeline(launch, compute, waits, lambda called, before, began: called),
            "two operations at once",
            "the device computes two operations at once: one starts only when the one before it is done",
        ),
        Wrong(
            lambda launch, compute, waits: _timeline(
                launch, compute, waits, lambda called, before, began: max(began, before)
            ),
            "together with its launch",
            "an operation starts together with its launch; it can start only when the launch has ended",
        ),
        Wrong(
            lambda launch, compute, waits: _timeline(
                launch, compute, waits, free=lambda called, done, before, w: max(called, before) if w else called
            ),
            "the operation before",
            "where the host waits, it waits for the operation before; it needs the value of operation i itself",
        ),
    ),
)


# ---- 19.step_time ---------------------------------------------------------------------------------------------


class Machine:
    """A host and a device, simulated: `step` launches n operations, `wait` waits for them, `now` is the clock in s.

    The first step is slow, as on a GPU, where it compiles; and the device is still busy with something else.
    """

    def __init__(self, n: int, launch: float, compute: float, first: float, busy: float, clock: float) -> None:
        self.n, self.launch, self.compute, self.first = n, launch, compute, first
        self.host, self.device = clock, clock + busy

    def step(self) -> None:
        self.host, self.first = self.host + self.first, 0.0
        for _ in range(self.n):
            self.host += self.launch
            self.device = max(self.device, self.host) + self.compute

    def wait(self) -> None:
        self.host = max(self.host, self.device)

    def now(self) -> float:
        return self.host


def make_machine(rng, N):
    launch = 1e-5 * (1 + rng.random())
    machine = Machine(
        n=int(rng.integers(3, 12)),
        launch=launch,
        compute=launch * (1.5 + 2 * rng.random()),
        first=0.01 * (1 + rng.random()),
        busy=0.03 * (1 + rng.random()),
        clock=int(rng.integers(10, 99)),
    )
    return {"machine": machine, "repeats": N + 2}


def step_time(machine, repeats):
    machine.step()
    machine.wait()
    return 1000 * _seconds(machine, repeats) / repeats


def _seconds(machine, repeats, after_each=False, at_the_end=True):
    began = machine.now()
    for _ in range(repeats):
        machine.step()
        if after_each:
            machine.wait()
    if at_the_end:
        machine.wait()
    return machine.now() - began


def _prepared(machine, repeats, step=True, wait=True, unit=1000, each=True, **how):
    if step:
        machine.step()
    if wait:
        machine.wait()
    return unit * _seconds(machine, repeats, **how) / (repeats if each else 1)


STEP_TIME = Exercise(
    name="19.step_time",
    asked="the milliseconds of one step, from `repeats` steps in a row, after one that does not count",
    make=make_machine,
    solution=step_time,
    returns=("the time",),
    float32=False,
    wrong=(
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, at_the_end=False),
            "only the launches",
            "this is only the launches: the device is still computing when the clock is read; wait before that",
        ),
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, wait=False),
            "work from before",
            "it contains work from before the clock was started: wait for the device first, then read the clock",
        ),
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, step=False),
            "first step",
            "it contains the first step, which is slow on any GPU (it compiles): take one step that does not count",
        ),
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, after_each=True),
            "no launch hides",
            "you wait after each of the steps, so that no launch hides behind the computing of the step before; wait "
            "once, at the end",
        ),
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, each=False),
            "all steps together",
            "this is the time of all steps together: divide by `repeats`",
        ),
        Wrong(
            lambda machine, repeats: _prepared(machine, repeats, unit=1),
            "in seconds",
            "this is the time in seconds, which is what machine.now() gives; milliseconds are asked for",
        ),
    ),
)


# ---- 19.mended ------------------------------------------------------------------------------------------------


class Device:
    """A backend whose arrays raise `Leak` at every hidden transfer, and that allows a few open ones and no more."""

    module = tripwire.BACKEND.module

    def __init__(self, allowed: int = 6) -> None:
        self.allowed, self.transfers = allowed, 0

    def to_device(self, a: Any) -> Any:
        self.count()
        return tripwire.to_device(a)

    def to_host(self, a: Any) -> np.ndarray:
        self.count()
        return tripwire.to_host(a)

    def count(self) -> None:
        self.transfers += 1
        if self.transfers > self.allowed:
            raise tripwire.Leak(
                f"this is transfer number {self.transfers}, in a loop: let x, y and w go over once before it, and "
                f"the losses and w once after it"
            )


def make_fit(rng, N):
    """Samples x (N, I), a label 0 or 1 for each, and weights w (I,) so bad that the first gradients are clipped."""
    (n_in,) = sizes(rng, N, 1)
    y = (np.arange(N) % 2).astype(float)
    w = draw(rng, (n_in,))
    x = draw(rng, (N, n_in)) - 1.5 * np.outer(2 * y - 1, w)
    return {"x": 2 * x, "y": y, "w": w, "steps": 9, "lr": 0.2, "backend": Device()}


def mended(x, y, w, steps, lr, backend):
    return _fit(x, y, w, steps, lr, backend)


def _clipped(dw, xp):
    return dw / xp.maximum(1, xp.abs(dw).max())


def _clipped_by_a_branch(dw, xp):
    return dw / xp.abs(dw).max() if xp.abs(dw).max() > 1 else dw


def _fit(x, y, w, steps, lr, backend, exp=None, keep=lambda loss: loss, clip=_clipped):
    xp = backend.module
    exp = exp or xp.exp
    x, y, w = (backend.to_device(a) for a in (x, y, w))
    losses = []
    for _ in range(steps):
        s = x @ w
        losses.append(keep(xp.logaddexp(0, s) - y * s))
        ds = (1 / (1 + exp(-s)) - y) / len(y)
        w = w - lr * clip(x.T @ ds, xp)
    if isinstance(losses[0], tripwire.TripArray):
        losses = backend.to_host(xp.stack(losses).mean(axis=1))
    return np.asarray(losses), backend.to_host(w)


MENDED = Exercise(
    name="19.mended",
    asked="the loss before each step (steps,) and the last w (I,), with no transfer inside the loop",
    make=make_fit,
    solution=mended,
    returns=("losses", "w"),
    wrong=(
        Wrong(
            lambda x, y, w, steps, lr, backend: _fit(
                x, y, w, steps, lr, backend, keep=lambda each: float(each.mean())
            ),
            "Leak: float() needs the values",
        ),
        Wrong(lambda x, y, w, steps, lr, backend: _fit(x, y, w, steps, lr, backend, exp=np.exp), "Leak: np.exp"),
        Wrong(
            lambda x, y, w, steps, lr, backend: _fit(x, y, w, steps, lr, backend, clip=_clipped_by_a_branch),
            "Leak: a branch (if, while",
        ),
        Wrong(
            lambda x, y, w, steps, lr, backend: _fit(
                x, y, w, steps, lr, backend, keep=lambda each: float(backend.to_host(each.mean()))
            ),
            "Leak: this is transfer number 7",
        ),
        Wrong(
            lambda x, y, w, steps, lr, backend: _fit(
                x, y, w, steps, lr, backend, clip=lambda dw, xp: xp.clip(dw, -1, 1)
            ),
            "each number of dw is clipped on its own",
            "each number of dw is clipped on its own, which turns the gradient; divide all of it by one number",
        ),
        Wrong(
            lambda x, y, w, steps, lr, backend: _fit(
                x, y, w, steps, lr, backend, clip=lambda dw, xp: dw / xp.abs(dw).max()
            ),
            "small gradients, too",
            "small gradients, too, are scaled to 1; divide by no less than 1",
        ),
    ),
)

EXERCISES = (TIMELINE, STEP_TIME, MENDED)
