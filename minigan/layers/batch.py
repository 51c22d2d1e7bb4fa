"""Layers that let D see several samples at once, so that a generator that always draws the same is found out.

N samples, m samples a pack, C channels (last).
"""

from __future__ import annotations

from minigan.backend import xp
from minigan.layers.base import Layer, Rearranging, Shape, ShapeError, batch_of


class Pack(Rearranging):
    """m samples as one, joined on the channel axis        x (N, ..., C)   y (N / m, ..., m C)

    D judges packs instead of samples: two fakes that are too much alike show, as two real ones seldom are. As D's
    first layer it is all that PacGAN changes. Raises ShapeError when N is no multiple of m. (Lin et al. 2018.)
    """

    mixes_samples = True

    def __init__(self, m: int) -> None:
        super().__init__()
        if m < 1:
            raise ValueError(f"Pack joins at least one sample, but got {m}.")
        self.m = m

    def forward(self, x, train=True):
        if len(x) % self.m:
            raise ShapeError(f"{self!r} takes batches of {self.m}, {2 * self.m}, ... samples, not of {len(x)}")
        packs = x.reshape(len(x) // self.m, self.m, *x.shape[1:])  # (N / m, m, ..., C)
        packs = xp.moveaxis(packs, 1, -2)  # (N / m, ..., m, C)
        return packs.reshape(*packs.shape[:-2], self.m * x.shape[-1]), x.shape

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        packs = dy.reshape(*dy.shape[:-1], self.m, dy.shape[-1] // self.m)  # (N / m, ..., m, C)
        return xp.moveaxis(packs, -2, 1).reshape(cache)

    def output_shape(self, shape: Shape | None) -> Shape | None:
        if shape is None or shape[-1] is None:
            return shape
        return (*shape[:-1], self.m * shape[-1])

    def __repr__(self) -> str:
        return f"Pack({self.m})"


class MinibatchStd(Layer):
    """One more channel, that tells how much the batch varies        x (N, ..., C)   y (N, ..., C + 1)

    s = mean over the numbers of a sample of sqrt(var + eps), var over the N samples; every place of every sample
    gets the same s. With xc = x - mean over the batch and std = sqrt(var + eps), M numbers a sample:

        dx = dy without the last channel + ds xc / (M N std),  ds = the sum of dy's last channel

    Raises ValueError for a batch of one, which does not vary. (Karras et al. 2018, section 3; one group.)
    """

    mixes_samples = True

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x, train=True):
        if len(x) < 2:
            raise ValueError("MinibatchStd() measures how samples differ: give it at least two.")
        centred = x - x.mean(axis=0)
        std = xp.sqrt((centred * centred).mean(axis=0) + self.eps)  # (..., C)
        y = xp.empty((*x.shape[:-1], x.shape[-1] + 1), dtype=x.dtype)
        y[..., :-1] = x
        y[..., -1] = std.mean()
        return y, (centred, std)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        centred, std = cache
        ds = dy[..., -1].sum()
        return dy[..., :-1] + ds / centred.size * centred / std  # size: M N; the mean moves, too, but sums to nothing

    def output_shape(self, shape: Shape | None) -> Shape | None:
        if shape is not None and not shape:
            raise ShapeError(f"{self!r} takes (N, ..., C), not {batch_of(shape)}")
        return None if shape is None or shape[-1] is None else (*shape[:-1], shape[-1] + 1)
