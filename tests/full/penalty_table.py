"""The gradient of a gradient penalty by three routes, as a table: each layer in a critic, each penalty.

    python tests/full/penalty_table.py

"by hand" is minigan.penalty: forward, backward, tangent, and one sweep back through both. Beside it, in float64:
  ordinary   central differences of ordinary gradients, at x + h u and x - h u: needs no second derivative of a layer
  of P       central differences of the penalty itself along a random direction of theta: needs no gradient at all
The numbers are relative differences from the one by hand; the largest over three directions for the third route.
"""

import sys

import numpy as np

from minigan.backend import rng
from minigan.layers import (
    AveragePool,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalMaxPool,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    SpectralNorm,
    Tanh,
    Upsample,
)
from minigan.network import Sequential
from minigan.penalty import KINDS, gradient_penalty, slope_penalty

SMOOTH = {
    name: (lambda r, layer=layer: [Dense(5, 6, rng=r), layer(), Dense(6, 1, rng=r)], (5,))
    for name, layer in {
        "ReLU": ReLU,
        "LeakyReLU": LeakyReLU,
        "Tanh": Tanh,
        "Sigmoid": Sigmoid,
        "Softplus": Softplus,
        "Softmax": Softmax,
        "LayerNorm": lambda: LayerNorm(6),
    }.items()
}
IMAGES = {
    "Conv": (lambda r: [Conv(2, 3, (3, 3), 2, rng=r), Tanh(), Flatten(), Dense(18, 1, rng=r)], (5, 4, 2)),
    "ConvTranspose": (
        lambda r: [ConvTranspose(1, 2, (3, 3), 2, rng=r), Softplus(), Flatten(), Dense(64, 1, rng=r)],
        (2, 4, 1),
    ),
    "Upsample, AveragePool": (
        lambda r: [
            *(Conv(1, 2, (3, 3), rng=r), Tanh(), Upsample(2), AveragePool((3, 3), 1), Tanh()),
            *(Flatten(), Dense(16, 1, rng=r)),
        ],
        (2, 3, 1),
    ),
    "SpectralNorm": (
        lambda r: [SpectralNorm(Dense(5, 6, bias=False, rng=r), rng=r), Tanh(), Dense(6, 1, rng=r)],
        (5,),
    ),
    "GlobalMaxPool (maxout)": (
        lambda r: [Dense(5, 12, rng=r), Reshape((3, 4)), GlobalMaxPool(), Tanh(), Dense(4, 1, rng=r)],
        (5,),
    ),
    "a network of all kinds": (
        lambda r: [
            *(Conv(2, 3, (3, 3), 2, rng=r), Softplus(), Conv(3, 4, (2, 3), rng=r), LeakyReLU(), Flatten()),
            *(Dense(24, 5, rng=r), LayerNorm(5), Tanh(), Dense(5, 3, rng=r), Sigmoid(), Dense(3, 1, rng=r)),
        ],
        (5, 4, 2),
    ),
}


def critic(make, shape):
    D = Sequential(*make(rng(0))).astype("float64")
    D.theta += 0.3 * np.random.default_rng(0).standard_normal(D.theta.shape)
    for layer in D.layers:
        if isinstance(layer, SpectralNorm):
            layer.iterations = 300  # u and v at their end, where they do not move with W
    return D, np.random.default_rng(1).standard_normal((4, *shape))


def slopes(D, x):
    logits, cache = D.forward(x)
    return D.backward(np.ones_like(logits), cache, param_grads=False)


def by_hand(D, x, kind):
    D.zero_grad()
    value = float(gradient_penalty(D, x, kind, 10.0))
    return value, D.grad.copy()


def ordinary(D, x, kind):
    _, u = slope_penalty(slopes(D, x), kind, 10.0)
    h = 1e-5 / np.abs(u).max()
    ends = []
    for sign in (1, -1):
        logits, cache = D.forward(x + sign * h * u)
        D.zero_grad()
        D.backward(np.ones_like(logits), cache)
        ends.append(D.grad.copy())
    return (ends[0] - ends[1]) / (2 * h)


def of_the_penalty(D, x, kind, way, h=1e-6):
    theta, ends = D.theta.copy(), []
    for sign in (1, -1):
        D.theta = theta + sign * h * way
        ends.append(float(slope_penalty(slopes(D, x), kind, 10.0)[0]))
    D.theta = theta
    return (ends[0] - ends[1]) / (2 * h)


def main():
    print(f"{'critic with':<24}{'penalty':<10}{'P':>12}{'ordinary':>12}{'of P':>12}")
    worst = 0.0
    for name, (make, shape) in (SMOOTH | IMAGES).items():
        for kind in KINDS:
            D, x = critic(make, shape)
            value, grad = by_hand(D, x, kind)
            size = np.abs(grad).max()
            first = np.abs(ordinary(D, x, kind) - grad).max() / size
            second = 0.0
            for seed in range(3):
                way = np.random.default_rng(seed).standard_normal(grad.shape)
                apart = abs(of_the_penalty(D, x, kind, way) - grad @ way)
                second = max(second, apart / (np.linalg.norm(grad) * np.linalg.norm(way)))
            worst = max(worst, first, second)
            print(f"{name:<24}{kind:<10}{value:>12.6f}{first:>12.0e}{second:>12.0e}")
    print(f"\nlargest relative difference: {worst:.0e}")
    return 0 if worst < 1e-8 else 1


if __name__ == "__main__":
    sys.exit(main())
