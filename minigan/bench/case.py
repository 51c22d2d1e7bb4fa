"""What a case of the benchmark is, and what the families of cases share.

A case is a training step, written once for each contestant. PyTorch is imported where it takes part, and not before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import to_device
from minigan.layers import LSTM, Conv, ConvTranspose, Dense
from minigan.layers.base import Shape
from minigan.network import Network, Sequential

MINIGAN, WORKERS, TUTORIAL, BEST = "minigan", "minigan, two workers", "PyTorch as tutorials write it", "PyTorch best"
Start = dict[str, np.ndarray]  # weights as "G.0.W", data, first inputs as "first.x_real"; all in one dtype


class Player(NamedTuple):
    """One player's part of a training step, which is `step(*draw())` for each player in turn."""

    first: tuple  # inputs of the step whose gradients are compared
    draw: Callable[[], tuple]  # fresh inputs, float32
    step: Callable[..., Any]
    gradients: Callable[[], dict[str, np.ndarray]]  # of the last step, under minigan's names, in minigan's shapes


class Case(NamedTuple):
    """What is measured: a training step, as each contestant writes it."""

    batches: tuple[int, ...]  # where --batch names no others
    flop: Callable[[int], float]  # of a batch: the products that no way of writing the step can spare
    start: Callable[[int], Start]  # of a batch
    contestants: dict[str, Callable[[Start, int, str], dict[str, Player]]]  # name: make(start, batch, device)


def products(net: Sequential, shape: Shape) -> list[int]:
    """For each layer with a W, how often a sample's forward pass multiplies: by every weight, at every place."""
    counts = []
    for layer in net.layers:
        given, shape = shape, layer.output_shape(shape)
        if "W" in layer.params:
            *places, _ = given if isinstance(layer, ConvTranspose) else shape
            counts.append(layer.params["W"].size * math.prod(places))
    return counts


def with_weights(net: Any, start: Start, player: str) -> Any:
    """The network with the start's weights, "G.0.W" for the player "G", and computing in their dtype."""
    weights = {key: to_device(start[f"{player}.{key}"]) for key in net.params}
    dtype = next(iter(weights.values())).dtype
    net = net if net.theta.dtype == dtype else net.astype(dtype)
    for key, p in net.params.items():
        p[...] = weights[key]
    net.changed()
    return net


# ---- PyTorch's order of a network's weights ------------------------------------------------------------------------


def channels_first(a: np.ndarray, axis: int, *image: int) -> np.ndarray:
    """An axis along which images (h, w, c) lie flat, so that they lie as PyTorch's (c, h, w) do."""
    apart = a.reshape(*a.shape[:axis], *image, *a.shape[axis + 1 :])
    return np.moveaxis(apart, axis + len(image) - 1, axis).reshape(a.shape)


TURNED = {  # minigan's W as PyTorch's weight
    Dense: np.transpose,  # (I, O) -> (O, I)
    LSTM: np.transpose,  # (I, 4H) -> (4H, I), the gates in the same order
    Conv: lambda W: np.moveaxis(W, (-1, -2), (0, 1)),  # (k..., I, O) -> (O, I, k...)
    ConvTranspose: lambda W: np.moveaxis(W, (-2, -1), (0, 1)),  # (k..., I, O) -> (I, O, k...)
}


def torchs_places(net: Network, flat: dict[str, Callable[[np.ndarray], np.ndarray]]) -> dict[str, np.ndarray]:
    """For each of minigan's parameters: an array as PyTorch's, that says where in minigan's each number lies.

    flat: what happens to a parameter before it is turned, because images lie flat along one of its axes.
    """
    places = {}
    for i, layer in enumerate(net.layers):
        turn = next((turn for kind, turn in TURNED.items() if isinstance(layer, kind)), None)
        for name, p in layer.params.items():
            key, at = f"{i}.{name}", np.arange(p.size).reshape(p.shape)
            at = flat[key](at) if key in flat else at
            places[key] = turn(at) if turn and name.startswith("W") else at
    return places


def give_weights(twin: Any, places: dict[str, np.ndarray], start: Start, player: str) -> None:
    """Put the start's weights into a PyTorch network whose parameters come in the order of minigan's."""
    import torch

    with torch.no_grad():
        for p, (key, at) in zip(own_parameters(twin), places.items(), strict=True):
            p.copy_(torch.from_numpy(start[f"{player}.{key}"].ravel()[at]))


def twins_gradients(twin: Any, places: dict[str, np.ndarray], net: Network) -> dict[str, np.ndarray]:
    """A PyTorch network's gradients, under minigan's names, in minigan's shapes."""
    found = {}
    for p, (key, at) in zip(own_parameters(twin), places.items(), strict=True):
        theirs = p.grad.cpu().numpy()
        found[key] = np.empty(net.params[key].shape, theirs.dtype)
        found[key].ravel()[at] = theirs
    return found


def own_parameters(twin: Any) -> list[Any]:
    """All but the second bias of an LSTM, which minigan's has not."""
    return [p for name, p in twin.named_parameters() if "bias_hh" not in name]
