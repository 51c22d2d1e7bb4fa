"""Backward passes that are wrong, of layers that train all the same.

Dense         dW = x^T dy, with the x of the same forward
softmax       dx_i = y_i (dy_i - sum_j y_j dy_j)
batch norm    dx = gamma / s (dy - mean(dy) - xhat mean(dy xhat)) in training, gamma / s dy in inference
tanh          dx = (1 - y^2) dy, with the y that forward gave
"""

from __future__ import annotations

import numpy as np

from minigan.gradcheck import check_layer
from minigan.layers import BatchNorm, Dense, Layer, LeakyReLU, Softmax, Tanh
from minigan.museum.exhibit import Exhibit, losses_of, need, numeric, off
from minigan.network import Sequential


def points(N: int, features: int, seed: int = 3) -> np.ndarray:
    """(2N, features): the first half around 1, the second around -1."""
    rng = np.random.default_rng(seed)
    return np.repeat([1.0, -1.0], N)[:, None] + 0.5 * rng.standard_normal((2 * N, features))


def gradients_are_right(layer: Layer, x: np.ndarray) -> None:
    """`gradcheck.check_layer` in a sentence: the variable that is wrong, where, by how much, and why."""
    wrong = [row for row in check_layer(layer, x).rows if row.wrong]
    if wrong:
        row = max(wrong, key=lambda row: row.relative_error)
        raise AssertionError(
            f"The gradient on {row.name} is wrong at entry {list(row.worst)}, by a relative error of "
            f"{row.relative_error:.2f}: {row.diagnosis}."
        )


# ---- one slot for the cache ---------------------------------------------------------------------------------------


class OneSlotDense(Dense):
    def forward(self, x, train=True):
        self.x = x  # the next forward overwrites it
        return x @ self.params["W"] + self.params["b"], None

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        self.grads["W"] += self.x.T @ dy
        self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T


class CachingDense(Dense):
    def forward(self, x, train=True):
        return x @ self.params["W"] + self.params["b"], x  # a cache for each call

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        self.grads["W"] += cache.T @ dy
        self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T


def two_batches_in_flight(dense):
    """D sees real and fake before any backward; so does this check."""
    layer = dense(3, 1, rng=np.random.default_rng(0)).astype(np.float64)
    x, dy = points(6, 3), np.random.default_rng(1).standard_normal((12, 1))
    caches = [layer.forward(part)[1] for part in (x[:6], x[6:])]
    for part, cache in zip((dy[:6], dy[6:]), caches):
        layer.backward(part, cache)
    right = numeric(lambda W: float((x @ W * dy).sum()), layer.params["W"])
    found = off(layer.grads["W"], right)
    need(found < 1e-6, f"After two forwards and two backwards dW is wrong by a relative error of {found:.2f}.")


ONE_SLOT = Exhibit(
    name="one-slot-cache",
    title="The layer keeps one batch's activations",
    wrong="dW = x^T dy needs the x of the same forward. The layer keeps x on itself, D runs on real and on fake "
    "before any backward, and so the real batch's gradient is made of the fake batch's x.",
    symptom="D still tells apart what lies far apart. In a game its loss climbs, and one tries other learning rates.",
    seen_in="seen in several from-scratch libraries and in GANs of plain NumPy (scratchML, gan_numpy), which are "
    "otherwise good to read; thanks to their authors",
    lesson=2,
    silent=True,
    which="gradient check, two batches",
    bug=OneSlotDense,
    mend=CachingDense,
    check=two_batches_in_flight,
    use=lambda dense: losses_of([dense(3, 1, rng=np.random.default_rng(0))], points(16, 3)),
)


# ---- softmax, the diagonal alone ----------------------------------------------------------------------------------


class DiagonalSoftmax(Softmax):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return dy * y * (1 - y)


class FullSoftmax(Softmax):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


DIAGONAL = Exhibit(
    name="diagonal-softmax",
    title="Softmax goes back as if it were a sigmoid",
    wrong="Each output of softmax depends on every input of its row: dx_i = y_i (dy_i - sum_j y_j dy_j). Here "
    "stands dx_i = y_i (1 - y_i) dy_i, the diagonal of that. With an elementwise cross-entropy behind it, two "
    "wrongs cancel to y - target, and it trains.",
    symptom="None, until the layer meets another loss.",
    seen_in="seen in several teaching repositories, among them ML-From-Scratch, from which many have learned",
    lesson=1,
    silent=True,
    which="gradient check of the layer",
    bug=DiagonalSoftmax,
    mend=FullSoftmax,
    check=lambda softmax: gradients_are_right(softmax(), points(3, 4)),
    use=lambda softmax: losses_of(
        [Dense(3, 4, rng=np.random.default_rng(0)), softmax(), Dense(4, 1, rng=np.random.default_rng(1))],
        points(16, 3),
    ),
)


# ---- batch norm, frozen in one direction --------------------------------------------------------------------------


class HalfFrozenNorm(BatchNorm):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        super().backward(dy, cache, param_grads, input_grad=False)  # adds dgamma and dbeta
        centred, scale, _ = cache
        dx = dy - dy.mean(axis=0) - centred * scale**2 * (dy * centred).mean(axis=0)
        return self.params["gamma"] * scale * dx


class ModalNorm(BatchNorm):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        super().backward(dy, cache, param_grads, input_grad=False)
        centred, scale, train = cache
        dx = dy
        if train:  # in inference mean and variance are constants, whatever x is
            dx = dy - dy.mean(axis=0) - centred * scale**2 * (dy * centred).mean(axis=0)
        return self.params["gamma"] * scale * dx


def right_in_both_modes(norm):
    errors = {}
    for mode, train in (("training", True), ("inference", False)):
        errors[mode] = max(row.relative_error for row in check_layer(norm(4), points(3, 4), train=train).rows)
    worst, best = max(errors, key=errors.get), min(errors, key=errors.get)
    need(
        errors[worst] < 1e-6,
        f"In {worst} the gradient on x has a relative error of {errors[worst]:.2f}, and in {best} of less than 1e-6.",
    )


HALF_FROZEN = Exhibit(
    name="half-frozen-batch-norm",
    title="Forward as in inference, backward as in training",
    wrong="With running statistics, y = gamma (x - m) / s + beta is a straight line and dx = gamma / s dy. The two "
    "means of the training formula belong to statistics that move with the batch, and these do not.",
    symptom="With D frozen for G's step, the gradient that reaches G is another one. Training goes on all the same.",
    seen_in="seen in several from-scratch libraries; ML-From-Scratch's DCGAN shows it, and shows the rest so "
    "clearly that it could be found",
    lesson=8,
    silent=True,
    which="gradient check in both modes",
    bug=HalfFrozenNorm,
    mend=ModalNorm,
    check=right_in_both_modes,
    use=lambda norm: losses_of([norm(3), Dense(3, 1, rng=np.random.default_rng(0))], points(16, 3)),
)


# ---- momentum in the place of epsilon -----------------------------------------------------------------------------


def norm_of_the_other_library(channels, eps=1e-5, momentum=0.1):
    """Batch norm with the arguments, in the order, of the library into which the code was ported."""
    return BatchNorm(channels, decay=1 - momentum, eps=eps)


def ported_by_position(channels):
    return norm_of_the_other_library(channels, 0.8)  # meant: a running mean that keeps 0.8


def ported_by_name(channels):
    return norm_of_the_other_library(channels, momentum=0.2)  # the other library counts what is new


def norm_gives_unit_spread(norm):
    x = np.sqrt(0.1) * np.random.default_rng(0).standard_normal((4000, 4))
    sd = norm(4).astype(np.float64).forward(x)[0].std()
    need(abs(sd - 1) < 0.01, f"Features of variance 0.1 leave batch norm with a standard deviation of {sd:.2f}.")


AS_EPS = Exhibit(
    name="momentum-as-epsilon",
    title="Batch norm's momentum lands in its epsilon",
    wrong="y = (x - m) / sqrt(v + eps) has unit spread when eps is nearly nothing. Ported by position, the 0.8 that "
    "was a momentum becomes eps, and batch norm no longer normalises small features.",
    symptom="Small features stay small, and nothing says why.",
    seen_in="seen in a much used collection of GANs, and reported there by a reader (PyTorch-GAN, issue 116)",
    lesson=8,
    silent=True,
    which="outputs have unit spread",
    bug=ported_by_position,
    mend=ported_by_name,
    check=norm_gives_unit_spread,
    use=lambda norm: losses_of([norm(3), Dense(3, 1, rng=np.random.default_rng(0))], points(16, 3)),
)


# ---- an activation in place ---------------------------------------------------------------------------------------


class InPlaceLeaky(LeakyReLU):
    def forward(self, x, train=True):
        np.maximum(x, self.slope * x, out=x)  # saves memory, and x is the cache of the layer below
        return x, x


class FreshLeaky(LeakyReLU):
    def forward(self, x, train=True):
        y = np.maximum(x, self.slope * x)
        return y, y


def below(leaky):
    rng = np.random.default_rng(0)
    return [Dense(3, 4, rng=rng), Tanh(), leaky(0.2), Dense(4, 1, rng=rng)]


def the_layer_below_is_unharmed(leaky):
    net = Sequential(*below(leaky)).astype(np.float64)
    x, W = 2 * points(4, 3), net.params["0.W"].copy()
    y, cache = net.forward(x)
    net.backward(np.ones_like(y), cache)

    def total(V):
        net.params["0.W"][...] = V
        return float(net.forward(x)[0].sum())

    found = off(net.grads["0.W"], numeric(total, W))
    need(found < 1e-6, f"Below a Tanh whose y was overwritten, dW is off by {100 * found:.0f} percent.")


IN_PLACE = Exhibit(
    name="activation-in-place",
    title="An activation overwrites the cache below it",
    wrong="Tanh goes back by dx = (1 - y^2) dy, with the y that it gave. The activation above works in place and "
    "has turned this y into its own output.",
    symptom="Memory is saved. The gradient is wrong wherever the layer below needs its own output.",
    seen_in="a class of bug that frameworks with automatic differentiation refuse by a version counter; in code by "
    "hand nothing does",
    lesson=2,
    silent=True,
    which="gradient check of the network",
    bug=InPlaceLeaky,
    mend=FreshLeaky,
    check=the_layer_below_is_unharmed,
    use=lambda leaky: losses_of(below(leaky), points(16, 3)),
)

EXHIBITS = (ONE_SLOT, DIAGONAL, HALF_FROZEN, AS_EPS, IN_PLACE)
