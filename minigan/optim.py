"""Optimizers: a few lines each on the vector theta, in place.

theta, its gradient g and every moment are vectors (P,). The definitions are PyTorch's. The lines below work on
pieces of the vectors that stay in the CPU's cache while all of an update's lines run over them; on a GPU the one
piece is the whole vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minigan.backend import Array, on_host, to_device, xp
from minigan.network import Network

PIECE = 2**15  # numbers: five vectors of this length in float32 are 640 KB, and fit a core's second-level cache


class Optimizer:
    """What all share: the step count, clipping, and a state that saves and loads.

    clip: the largest norm that the whole gradient may have, or None. The gradient is scaled in place.
    """

    moments: tuple[str, ...] = ()  # names of the vectors that the optimizer keeps beside theta

    def __init__(self, network: Network, lr: float, clip: float | None = None) -> None:
        if not lr > 0:
            raise ValueError(f"The learning rate must be positive, but got {lr}.")
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is the largest gradient norm, a positive number, but got {clip}.")
        self.network, self.lr, self.clip = network, lr, clip
        self.steps = 0
        self.workers: Any = None  # minigan.workers, where several processes share the step
        for name in self.moments:
            setattr(self, name, xp.zeros_like(network.theta))

    def step(self) -> None:
        """theta <- theta - update(grad), and every cache made before is out of date."""
        self.steps += 1
        if self.workers is not None:
            self.workers.mean_gradient(self.network)
        if self.clip is not None:
            clip_gradient(self.network, self.clip)
        self.update()
        if self.workers is not None:
            self.workers.updated()
        self.network.changed()

    def update(self) -> None:
        raise NotImplementedError

    def pieces(self) -> Iterator[tuple[Array, ...]]:
        """theta, its gradient and the moments, piece by piece: views. With workers, this one's part of them."""
        vectors = [self.network.theta, self.network.grad, *(getattr(self, name) for name in self.moments)]
        if self.workers is not None:
            vectors = [vector[self.workers.part(len(vector))] for vector in vectors]
        size = PIECE if on_host() else max(1, len(vectors[0]))
        for start in range(0, len(vectors[0]), size):
            yield tuple(vector[start : start + size] for vector in vectors)

    def state(self) -> dict[str, Any]:
        """Copies of all that the next step depends on, beside theta: {"steps": int, moment: (P,), ...}."""
        return {"steps": self.steps, **{name: getattr(self, name).copy() for name in self.moments}}

    def load(self, state: dict[str, Any]) -> None:
        """Take up a saved state. Raises ValueError when it belongs to another optimizer or network."""
        if set(state) != {"steps", *self.moments}:
            raise ValueError(
                f"{type(self).__name__} keeps {['steps', *self.moments]}, but this state has {sorted(state)}."
            )
        for name in self.moments:
            if tuple(state[name].shape) != tuple(self.network.theta.shape):
                raise ValueError(
                    f"This state's {name} has shape {tuple(state[name].shape)}, "
                    f"but theta has {tuple(self.network.theta.shape)}: it belongs to another network."
                )
        self.steps = int(state["steps"])
        for name in self.moments:
            getattr(self, name)[...] = to_device(state[name])


class SGD(Optimizer):
    """theta <- theta - lr g"""

    def update(self):
        for theta, g in self.pieces():
            theta -= self.lr * g


class Momentum(Optimizer):
    """m <- momentum m + g        theta <- theta - lr m        (Polyak 1964)"""

    moments = ("m",)

    def __init__(self, network: Network, lr: float, momentum: float = 0.9, clip: float | None = None) -> None:
        super().__init__(network, lr, clip)
        self.momentum = momentum

    def update(self):
        for theta, g, m in self.pieces():
            m *= self.momentum
            m += g
            theta -= self.lr * m


class RMSProp(Optimizer):
    """v <- decay v + (1 - decay) g^2        theta <- theta - lr g / (sqrt(v) + eps)        (Hinton 2012)"""

    moments = ("v",)

    def __init__(
        self,
        network: Network,
        lr: float,
        decay: float = 0.99,
        eps: float = 1e-8,
        clip: float | None = None,
    ) -> None:
        super().__init__(network, lr, clip)
        self.decay, self.eps = decay, eps

    def update(self):
        for theta, g, v in self.pieces():
            v *= self.decay
            v += (1 - self.decay) * g * g
            theta -= self.lr * g / (xp.sqrt(v) + self.eps)


class Adam(Optimizer):
    """m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
    theta <- theta - lr (m / c1) / (sqrt(v / c2) + eps),  c1 = 1 - beta1^t, c2 = 1 - beta2^t at step t

    (Kingma and Ba 2015, algorithm 1. beta1 = 0.5 is DCGAN's: less momentum suits a game.)
    """

    moments = ("m", "v")

    def __init__(
        self,
        network: Network,
        lr: float = 2e-4,
        beta1: float = 0.5,
        beta2: float = 0.999,
        eps: float = 1e-8,
        clip: float | None = None,
    ) -> None:
        super().__init__(network, lr, clip)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps

    def update(self):
        c1 = 1 - self.beta1**self.steps  # m and v start at zero; c1 and c2 undo that
        c2 = 1 - self.beta2**self.steps
        root = math.sqrt(c2)  # taken out of the fraction, so that one division is left for each number
        for theta, g, m, v in self.pieces():
            m *= self.beta1
            m += (1 - self.beta1) * g
            step = g * g  # from here on one array serves all: memory is what the update waits for
            step *= 1 - self.beta2
            v *= self.beta2
            v += step
            xp.sqrt(v, out=step)
            step += self.eps * root
            xp.divide(m, step, out=step)
            step *= self.lr * root / c1
            theta -= step


def clip_gradient(network: Network, largest: float) -> Array:
    """grad <- grad min(1, largest / |grad|), in place; returns |grad| as it was, a 0-d array.

    The factor is computed on the device: no number comes back to decide anything (Pascanu et al. 2013).
    """
    norm = gradient_norm(network)
    network.grad *= xp.minimum(1, largest / (norm + 1e-6))
    return norm


def gradient_norm(network: Network) -> Array:
    """|grad|, a 0-d array."""
    return xp.sqrt(network.grad @ network.grad)
