"""Several processes that take each step of the game together, each on its share of the batch.

A matrix product of BLAS runs on all cores, but all that stands between two products runs on one. Here every worker
runs the whole step, on one core each, and three things make the result that of one process and one batch:

    theta, and the optimizers' moments, lie in memory that all share
    before an optimizer's step, every gradient is the mean of the workers' (a loss is a mean over its samples)
    batch norm's means are taken over all workers' samples

The rest of the library knows of it as `workers.mean(a)` in batch norm and in the optimizers. P parameters, W workers.
(Data-parallel training; Goyal et al. 2017, section 2.3, for what has to be a mean over what.)
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import platform
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.backend import backend_name
from minigan.optim import Optimizer

LOOKS = 200_000  # how often a waiting worker looks before it asks whether the others are still there: some 10 ms


class WorkersError(RuntimeError):
    """The workers cannot start, or one of them has ended before its time."""


class Workers:
    """`count` processes for the networks of these optimizers; this one is the first of them.

    Call `start(function)` once, then `workers(*arguments)` runs the function in every process, with the same
    arguments, and returns what it returns here. In it, `rows(batch)` are this worker's samples.
    Raises WorkersError where processes cannot share memory, ValueError for layers whose batch cannot be shared out.
    """

    def __init__(self, count: int, *optimizers: Optimizer) -> None:
        if count < 2:
            raise ValueError(f"Workers are two or more processes, but got {count}.")
        if usable() == 1:
            raise WorkersError(
                "Workers need Linux on an x86 processor with two cores, and the NumPy backend: use one here."
            )
        self.count, self.rank, self.optimizers = count, 0, optimizers
        self.networks = [optimizer.network for optimizer in optimizers]
        layers = [layer for network in self.networks for layer in network.layers]
        for layer in layers:
            if hasattr(layer, "rng") or (layer.mixes_samples and not hasattr(layer, "workers")):
                raise ValueError(f"{layer!r} needs the whole batch in one place: train without workers.")
        self._sharing = [layer for layer in layers if layer.mixes_samples] + list(optimizers)

        size = 2 * max([1, *(a.size for layer in layers for a in layer.statistics.values())])
        self._means, self._turn = _shared((2, count, size), "float64"), 0
        self._arrived = memoryview(mmap.mmap(-1, 64 * count)).cast("q")  # a count each, on a cache line of its own
        self._grads = []
        for optimizer, network in zip(optimizers, self.networks):
            theta = _shared(network.theta.shape, network.theta.dtype)
            self._grads.append(_shared((count, len(theta)), theta.dtype))
            network.move(theta, self._grads[-1][0])
            for name in optimizer.moments:
                moment = _shared(theta.shape, theta.dtype)
                moment[...] = getattr(optimizer, name)
                setattr(optimizer, name, moment)
        self._pipes: list[Any] = []
        self._processes: list[Any] = []

    # ---- what a step uses

    def rows(self, batch: np.ndarray) -> np.ndarray:
        """This worker's samples of a batch (N, ...): (N / W, ...)."""
        share = len(batch) // self.count
        return batch[self.rank * share : (self.rank + 1) * share]

    def part(self, size: int) -> slice:
        """This worker's part of a vector of so many numbers."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def mean(self, a: np.ndarray) -> np.ndarray:
        """The mean over the workers of a small array, the same bits for all."""
        self._turn ^= 1  # two places by turns: nobody writes where a slower worker may still be reading
        means = self._means[self._turn, :, : a.size]
        means[self.rank] = a.ravel()
        self._meet()
        return means.mean(axis=0).reshape(a.shape).astype(a.dtype)

    def mean_gradient(self, network: Any) -> None:
        """The mean of the workers' gradients, (P,), in the place of each of them."""
        grads = self._grads[self.networks.index(network)]  # (W, P)
        self._meet()
        mine = grads[:, self.part(grads.shape[1])]
        mine[...] = mine.mean(axis=0)
        self._meet()

    def updated(self) -> None:
        """Wait until every worker has updated its part of theta."""
        self._meet()

    def _meet(self) -> None:
        """Wait for all others, looking into shared memory: to be put to sleep and woken takes 1,000 times as long."""
        self._arrived[8 * self.rank] += 1
        goal = self._arrived[8 * self.rank]
        for other in range(self.count):
            looks = 0
            while self._arrived[8 * other] < goal:
                looks += 1
                if looks % LOOKS == 0:
                    self._check()

    def _check(self) -> None:
        if self.rank and os.getppid() != self._parent:
            os._exit(1)
        for process in self._processes:
            if not process.is_alive():
                raise WorkersError(f"A worker has ended with code {process.exitcode} in the middle of a step.")

    # ---- the processes

    def start(self, function: Callable[..., Any]) -> None:
        """Copy this process, as it stands, into the other workers, where the function waits to be called.

        Where they wait already, nothing happens.
        """
        from threadpoolctl import ThreadpoolController

        if self._processes:
            return
        self._arrived[:] = memoryview(bytes(64 * self.count)).cast("q")
        self._blas = ThreadpoolController()
        self._function, self._parent = function, os.getpid()
        fork = multiprocessing.get_context("fork")
        for rank in range(1, self.count):
            ours, theirs = fork.Pipe()
            self._pipes.append(ours)
            process = fork.Process(target=self._follow, args=(rank, theirs), daemon=True)
            with warnings.catch_warnings():  # that other threads are not copied: none of them is needed there
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._processes.append(process)

    def __call__(self, *arguments: Any) -> Any:
        try:
            for pipe in self._pipes:
                pipe.send(arguments)
            return self._play(arguments)
        except BaseException as error:  # the others wait at a point that this one has left
            self.stop()
            if isinstance(error, BrokenPipeError):
                raise WorkersError("A worker has ended between two steps.") from None
            raise

    def _play(self, arguments: tuple) -> Any:
        for part in self._sharing:  # only in here: elsewhere, no other worker takes part in what they do
            part.workers = self
        try:
            with self._blas.limit(limits=1):  # of its products, a worker has one core
                return self._function(*arguments)
        finally:
            for part in self._sharing:
                part.workers = None

    def _follow(self, rank: int, pipe: Any) -> None:
        """What the other workers do until the first one hangs up."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first one decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # this is how Python ends its children
        for ours in self._pipes:
            ours.close()
        self.rank, self._pipes, self._processes = rank, [], []
        for network, grads in zip(self.networks, self._grads):
            network.move(network.theta, grads[rank])
        np.seterr(all="ignore")  # the first one warns
        try:
            while True:
                self._play(pipe.recv())
        except EOFError:
            os._exit(0)
        except Exception as error:
            print(f"minigan: a worker ended: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    def stop(self) -> None:
        """End the other processes; what they shared stays with this one, which goes on alone."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(0.2)
            process.kill()
            process.join()
        self._pipes, self._processes = [], []


def usable() -> int:
    """How many workers this machine has cores for.

    One, where a process cannot be copied, where writes to memory do not arrive in order as x86's do, or on a GPU.
    """
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64") or backend_name() != "numpy":
        return 1
    return len(os.sched_getaffinity(0))


def _shared(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that a copy of this process sees and changes, too."""
    count = int(np.prod(shape))
    memory = mmap.mmap(-1, max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count).reshape(shape)
