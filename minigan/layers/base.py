"""The layer contract: state that outlives a call lives on the layer, state of one call in the cache it returns.

A GAN runs D on real, on fake and on interpolated batches before any backward. A layer that keeps its activations
on `self` would then silently use those of the wrong batch; so `forward` returns them and `backward` is handed them.
"""

from __future__ import annotations

import copy
from typing import Any

from minigan.backend import Array, copy_rng, xp

Shape = tuple[int | None, ...]  # of one sample, without the batch axis; None where it is not known yet


class ShapeError(ValueError):
    """An array, or the layer before, does not have the shape that a layer takes; the message names both."""


def batch_of(shape: Shape) -> str:
    """A sample's shape as that of a batch, for messages: (28, 28) -> "(N, 28, 28)"."""
    return "(" + ", ".join(["N", *("?" if n is None else str(n) for n in shape)]) + ")"


class Layer:
    """One step of a network: `y = f(x; params)`, and by hand `dx` and `dparams` from `dy`.

    `params` and `grads` hold arrays under the same names. `d` + name is the gradient of the scalar loss.
    `statistics` holds what a layer learns without a gradient: batch norm's statistics. A checkpoint keeps it, too.
    """

    mixes_samples = False  # does a sample's y depend on the other samples of its batch?

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}

    def forward(self, x: Array, train: bool = True) -> tuple[Array, Any]:
        """y and the cache that backward will need; `train=False` is the layer's inference form."""
        raise NotImplementedError

    def backward(self, dy: Array, cache: Any, param_grads: bool = True, input_grad: bool = True) -> Array | None:
        """Adds the parameters' gradients to `grads` and returns dx; neither dy nor the cache is written to.

        param_grads=False: the gradient passes through the layer and leaves `grads` alone (G's step through D).
        input_grad=False: nobody wants dx, so it is not computed and None is returned.
        """
        raise NotImplementedError

    def tangent(self, x_dot: Array, cache: Any) -> tuple[Array, Any]:
        """y_dot = J x_dot, how y moves when x moves along x_dot, and what `tangent_backward` needs of it.

        cache: forward's. For second derivatives (minigan.penalty); layers without one raise NotImplementedError.
        """
        raise NotImplementedError(
            f"{self!r} has no second derivative by hand, so no gradient penalty goes through it."
        )

    def tangent_backward(self, y_bar: Array | None, eta: Array, cache: Any, tangent_cache: Any) -> Array | None:
        """The gradients of <eta, y_dot> + <y_bar, y>: adds those of the parameters, returns x_bar, that on x.

        (That on x_dot is J^T eta: what backward has made of eta already.) y_bar and x_bar = None say zero, as they
        stay in networks of straight pieces. Source of the formulas: Pearlmutter 1994, "Fast exact multiplication by
        the Hessian", worked out for each layer.
        """
        raise NotImplementedError(
            f"{self!r} has no second derivative by hand, so no gradient penalty goes through it."
        )

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for gradient in self.grads.values():
            gradient.fill(0)

    def output_shape(self, shape: Shape | None) -> Shape | None:
        """The shape of one sample of y for that of one sample of x; None means "not known".

        Raises ShapeError, saying what the layer takes, when x cannot have this shape.
        """
        return shape

    def add_param(self, name: str, value: Array) -> None:
        """Register a parameter and its gradient, which starts at zero."""
        self.params[name] = value
        self.grads[name] = xp.zeros_like(value)

    def astype(self, dtype: Any) -> Layer:
        """A copy of the layer that computes in this dtype (gradient checks run in float64)."""
        other = copy.deepcopy(self)
        for arrays in (other.params, other.grads, other.statistics):
            for name, array in arrays.items():
                arrays[name] = array.astype(dtype)
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        """A copy that shares nothing, with a random generator of its own in the same state."""
        other = memo[id(self)] = type(self).__new__(type(self))
        for name, value in vars(self).items():
            if hasattr(value, "standard_normal"):
                if id(value) not in memo:  # layers may draw from one generator, and so do their copies
                    memo[id(value)] = copy_rng(value)
                setattr(other, name, memo[id(value)])
            else:
                setattr(other, name, copy.deepcopy(value, memo))
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Diagonal(Layer):
    """What layers share whose J is symmetric, above all elementwise ones: y_dot = J x_dot is what backward gives."""

    def tangent(self, x_dot, cache):
        return self.backward(x_dot, cache, param_grads=False), x_dot

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        x_bar, bend = None if y_bar is None else self.backward(y_bar, cache), self.bend(tangent_cache, eta, cache)
        if bend is not None:
            x_bar = bend if x_bar is None else x_bar + bend
        return x_bar

    def bend(self, x_dot: Array, eta: Array, cache: Any) -> Array | None:
        """d<eta, J x_dot>/dx: s''(x) x_dot eta for y = s(x); None where it is zero, on straight pieces."""
        return None


class Rearranging(Layer):
    """What layers share that move, copy or add up numbers: y is linear in x, so y_dot is made of x_dot as y of x."""

    def tangent(self, x_dot, cache):
        return self.forward(x_dot)[0], None

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        return None if y_bar is None else self.backward(y_bar, cache)
