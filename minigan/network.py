"""Layers in a row, and all their parameters in one vector theta.

So the code says what the maths says, D(x; theta): an optimizer, clipping, averaging or a checkpoint is a line or
two on a vector. Each layer's `params` and `grads` are views into `theta` and `grad`.
"""

from __future__ import annotations

import copy
from typing import Any, Self

from minigan.backend import Array, xp
from minigan.layers.base import Layer, Shape, ShapeError, batch_of


class StaleCacheError(RuntimeError):
    """A cache was handed to `backward` after theta had changed, or to another network than made it."""


class Cache:
    """What one forward pass leaves for its backward: a cache for each layer, and when theta was last changed."""

    def __init__(self, network: Network, layers: list[Any]) -> None:
        self.network, self.layers, self.updates = network, layers, network.updates

    def __repr__(self) -> str:
        def brief(c):
            if isinstance(c, tuple | list) and not all(isinstance(n, int) for n in c):
                return "(" + ", ".join(brief(part) for part in c) + ")"
            return f"{c.dtype}{tuple(c.shape)}" if hasattr(c, "dtype") else repr(c)

        rows = [f"  {i} {layer!r}: {brief(c)}" for i, (layer, c) in enumerate(zip(self.network.layers, self.layers))]
        return "\n".join([f"Cache of {type(self.network).__name__} at update {self.updates}", *rows])


class Network:
    """Packs the parameters of its parts, layers or networks; one that is no chain adds its own forward and backward.

    layers: all layers, those of the parts that are networks among them.
    theta, grad: vectors of all parameters and of their gradients, (P,). updates: how often theta has changed.
    """

    def __init__(self, *parts: Layer | Network) -> None:
        self.parts = list(parts)
        self.layers: list[Layer] = []
        self.updates = 0
        for part in parts:
            if getattr(part, "packed", False):
                raise ValueError(f"{part!r} belongs to another network already: make a new one.")
            for layer in part.layers if isinstance(part, Network) else [part]:
                if any(layer is other for other in self.layers):
                    number = len(self.layers)
                    raise ValueError(
                        f"Layer {number}, {layer!r}, stands in the network twice: make one for each place."
                    )
                self.layers.append(layer)
        self._pack()

    def _pack(self) -> None:
        """Move every layer's params and grads into the two vectors, and leave views in their place."""
        slots = self._slots()
        dtypes = {layer.params[name].dtype for layer, name in slots}
        if len(dtypes) > 1:
            raise ValueError(f"The layers' parameters are of different dtypes, {sorted(map(str, dtypes))}.")
        size = sum(layer.params[name].size for layer, name in slots)
        dtype = dtypes.pop() if dtypes else "float32"
        self.move(xp.zeros(size, dtype=dtype), xp.zeros(size, dtype=dtype))

    def move(self, theta: Array, grad: Array) -> None:
        """Keep the parameters and their gradients in these two vectors (P,) from here on, in the layers' order."""
        start = 0
        for layer, name in self._slots():
            value, gradient = layer.params[name], layer.grads[name]
            piece = slice(start, start + value.size)
            start = piece.stop
            for arrays, vector, old in ((layer.params, theta, value), (layer.grads, grad, gradient)):
                arrays[name] = vector[piece].reshape(old.shape)
                arrays[name][...] = old
            layer.packed = True
        self._hold(theta, grad)

    def _hold(self, theta: Array, grad: Array) -> None:
        """Take the vectors that the layers' arrays are views into; parts that are networks take pieces of them."""
        self._theta, self.grad = theta, grad
        start = 0
        for part in self.parts:
            piece = slice(start, start + sum(p.size for p in part.params.values()))
            start = piece.stop
            if isinstance(part, Network):
                part._hold(theta[piece], grad[piece])
                part.packed = True

    def _slots(self) -> list[tuple[Layer, str]]:
        """The parameters in the order in which they lie in theta, each as its layer and its name there."""
        return [(layer, name) for layer in self.layers for name in layer.params]

    @property
    def theta(self) -> Array:
        """All parameters, (P,). `net.theta -= lr * net.grad` and `net.theta = v` change it in place."""
        return self._theta

    @theta.setter
    def theta(self, value: Array) -> None:
        if value is not self._theta:
            self._theta[...] = value
        self.changed()

    def changed(self) -> None:
        """Say that theta has been changed in place: caches made before are of no use any more."""
        self.updates += 1

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to zero."""
        self.grad.fill(0)

    @property
    def params(self) -> dict[str, Array]:
        """Every parameter under its layer's number and its own name: "0.W", "0.b", "2.W", ...: views into theta."""
        return {f"{i}.{name}": p for i, layer in enumerate(self.layers) for name, p in layer.params.items()}

    @property
    def grads(self) -> dict[str, Array]:
        """The gradients, under the same names as `params`: views into grad."""
        return {f"{i}.{name}": g for i, layer in enumerate(self.layers) for name, g in layer.grads.items()}

    @property
    def statistics(self) -> dict[str, Array]:
        """What layers keep beside their parameters, batch norm's statistics: "1.mean", "1.var", ..."""
        return {f"{i}.{name}": a for i, layer in enumerate(self.layers) for name, a in layer.statistics.items()}

    @property
    def mixes_samples(self) -> bool:
        """Does a sample's y depend on the other samples of its batch, as batch norm's does?"""
        return any(layer.mixes_samples for layer in self.layers)

    def astype(self, dtype: Any) -> Self:
        """A copy of the network, with its own theta, that computes in this dtype."""
        other = self.copy()
        for layer in other.layers:
            for arrays in (layer.params, layer.grads, layer.statistics):
                for name, array in arrays.items():
                    arrays[name] = array.astype(dtype)
        other._pack()
        return other

    def copy(self) -> Self:
        """A copy of the network with its own theta and grad."""
        return copy.deepcopy(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After copying or unpickling, the layers' arrays stand alone: make them views again."""
        self.__dict__.update(state)
        self._pack()

    def summary(self, shape: Shape | int | None = None) -> Summary:
        """A table of layers, output shapes and parameter counts; it prints itself.

        shape: that of one sample of x, such as (784,) or (28, 28, 1); it can be left out where the layers tell.
        """
        given = shape = (shape,) if isinstance(shape, int) else shape
        rows = []
        for i, layer in enumerate(self.layers):
            shape = layer.output_shape(shape) if isinstance(self, Sequential) else None  # others are no chain
            count = sum(p.size for p in layer.params.values())
            rows.append((f"{i}  {layer!r}", "?" if shape is None else batch_of(shape), f"{count:,}"))
        head = ("layer", "output shape", "parameters")
        widths = [max(len(row[k]) for row in [head, *rows]) for k in range(3)]

        def line(row):
            return f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}".rstrip()

        rule = "-" * (sum(widths) + 4)
        total = line(("total", "", f"{self.theta.size:,}"))
        size = f"theta: {self.theta.dtype}, {self.theta.nbytes / 2**20:.1f} MiB"
        start = [] if given is None else [f"input {batch_of(given)}"]
        return Summary("\n".join([*start, line(head), rule, *map(line, rows), rule, total, size]))

    def __call__(self, x: Array) -> Array:
        """y for inference: no cache, dropout off, running statistics."""
        return self.forward(x, train=False)[0]


class Sequential(Network):
    """y = layer_n(... layer_1(x)): the layer contract once more, for layers in a row.

    Raises ShapeError at construction when two neighbours do not fit, naming both, and ValueError when a layer
    is used twice.
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__(*layers)
        if not layers:
            raise ValueError("A Sequential needs at least one layer.")
        self.output_shape(None)

    def forward(self, x: Array, train: bool = True, upto: int | None = None) -> tuple[Array, Cache]:
        """y and the cache for `backward`. Raises ShapeError, naming the layer, when x does not fit.

        upto: run so many layers only; y is then what the next one would be given: features. Backward begins there.
        """
        caches = []
        for i, layer in enumerate(self.layers[:upto]):
            try:
                x, cache = layer.forward(x, train)
            except ShapeError as error:
                raise ShapeError(f"layer {i}: {error}") from None
            caches.append(cache)
        return x, Cache(self, caches)

    def backward(
        self,
        dy: Array,
        cache: Cache,
        param_grads: bool = True,
        input_grad: bool = True,
        seen: list[Array] | None = None,
    ) -> Array | None:
        """Adds dtheta to `grad` and returns dx. Raises StaleCacheError when theta has changed since forward.

        A list given as `seen` receives the dy of every layer, from the first to the last.
        """
        check_cache(self, cache)
        first = 0
        if not input_grad:  # stop at the lowest layer that has parameters, or do nothing at all
            first = next((i for i, layer in enumerate(self.layers) if layer.params and param_grads), None)
            if first is None:
                return None
        for i in range(len(cache.layers) - 1, first - 1, -1):
            if seen is not None:
                seen.insert(0, dy)
            dy = self.layers[i].backward(dy, cache.layers[i], param_grads, input_grad or i > first)
        return dy

    def tangent(self, x_dot: Array, cache: Cache) -> tuple[Array, list[Any]]:
        """y_dot, how y moves when x moves along x_dot, and the tangents' caches. (See Layer.tangent.)"""
        check_cache(self, cache)
        caches = []
        for layer, its_cache in zip(self.layers, cache.layers):
            x_dot, tangent_cache = layer.tangent(x_dot, its_cache)
            caches.append(tangent_cache)
        return x_dot, caches

    def tangent_backward(
        self, y_bar: Array | None, etas: list[Array], cache: Cache, tangent_caches: list[Any]
    ) -> Array | None:
        """Adds the gradient of <eta, y_dot> + <y_bar, y> to `grad`; returns x_bar. (See Layer.)

        etas: what `backward` was given for each layer when it carried eta back; it collects them in `seen`.
        """
        check_cache(self, cache)
        for layer, eta, its_cache, tangent_cache in list(zip(self.layers, etas, cache.layers, tangent_caches))[::-1]:
            y_bar = layer.tangent_backward(y_bar, eta, its_cache, tangent_cache)
        return y_bar

    def output_shape(self, shape: Shape | None = None) -> Shape | None:
        """The shape of one sample of y for that of one sample of x (None: not known, as for a Layer)."""
        for i, layer in enumerate(self.layers):
            before = shape
            try:
                shape = layer.output_shape(shape)
            except ShapeError as error:
                if i == 0:
                    raise ShapeError(f"layer 0: {error}") from None
                raise ShapeError(
                    f"layers {i - 1} and {i} do not fit: {self.layers[i - 1]!r} gives {batch_of(before)}, but {error}"
                ) from None
        return shape

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


class Summary(str):
    """Text that a notebook shows as it is, line by line."""

    __repr__ = str.__str__


def check_cache(network: Network, cache: Cache) -> None:
    """Raises StaleCacheError unless this network made the cache and theta is as it was then."""
    if not isinstance(cache, Cache) or cache.network is not network:
        raise StaleCacheError(
            "This cache was not made by this network: hand backward the second value of its own forward."
        )
    if cache.updates != network.updates:
        raise StaleCacheError(
            f"This cache is older than the last parameter update (made at update {cache.updates}, theta is at "
            f"{network.updates}): its activations belong to weights that are gone. Run forward again."
        )
