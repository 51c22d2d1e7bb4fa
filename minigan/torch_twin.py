"""A minigan network as PyTorch would write it, for the benchmark: its layers, and where each parameter's numbers lie.

PyTorch's images are (N, C, H, W), its weights (O, I, h, w), or (I, O, h, w) where they are transposed.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from minigan.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, Layer, LeakyReLU, ReLU, Reshape
from minigan.layers.base import Shape
from minigan.network import Sequential


def torchs_layer(layer: Layer) -> Any:
    """The layer in PyTorch, where images are (N, C, H, W)."""
    from torch import nn

    bias = "b" in layer.params
    match layer:
        case Dense():
            return nn.Linear(layer.n_in, layer.n_out, bias)
        case Conv(windows=w):
            pad = [before for before, _ in w.padding]
            return nn.Conv2d(layer.c_in, layer.c_out, w.kernel, w.stride, pad, bias=bias)
        case ConvTranspose(windows=w, output_padding=odd):
            pad = [before for before, _ in w.padding]
            return nn.ConvTranspose2d(layer.c_in, layer.c_out, w.kernel, w.stride, pad, odd, bias=bias)
        case BatchNorm():
            return nn.BatchNorm2d(layer.channels, layer.eps, 1 - layer.decay)
        case Reshape(shape=(h, w, c)):
            return nn.Unflatten(1, (c, h, w))
        case ReLU():
            return nn.ReLU(inplace=True)
        case LeakyReLU():
            return nn.LeakyReLU(layer.slope, inplace=True)
    return getattr(nn, type(layer).__name__)()


TORCHS_AXES = {  # of PyTorch's weight, in the order of minigan's W
    Dense: (4, 5, 3, 1, 2, 0),  # (O, I), which are images: (c, h, w, c, h, w) -> (h, w, c, h, w, c)
    Conv: (2, 3, 1, 0),  # (O, I, h, w) -> (h, w, I, O)
    ConvTranspose: (2, 3, 0, 1),  # (I, O, h, w) -> (h, w, I, O)
}


def torchs_order(net: Sequential, shape: Shape) -> list[tuple[str, Shape, Shape, Shape]]:
    """How PyTorch's parameters come to lie as minigan's do: (name, minigan's shape, PyTorch's sizes, order of axes).

    shape: that of one sample of x.
    """
    shapes = [*accumulate(net.layers, lambda shape, layer: layer.output_shape(shape), initial=shape)]
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Flatten | Reshape):  # what lies flat on one side of it is the image on the other
            shapes[i] = shapes[i + 1] = max(shapes[i : i + 2], key=len)
    orders = []
    for i, layer in enumerate(net.layers):
        for name, p in layer.params.items():
            seen, axes = p.shape, TORCHS_AXES[type(layer)] if name == "W" else (0,)
            if name == "W" and isinstance(layer, Dense):
                given, drawn = ((1, 1, *s)[-3:] for s in shapes[i : i + 2])  # (I,) -> (1, 1, I)
                seen = given + drawn
            sizes = tuple(n for _, n in sorted(zip(axes, seen)))
            orders.append((f"{i}.{name}", p.shape, sizes, axes))
    return orders
