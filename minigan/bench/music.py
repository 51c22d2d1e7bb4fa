"""MidiNet: D's step and G's two, as minigan.composing plays them.

The bars are random: speed does not depend on what they sound like. They follow one another, so that the bar before
number i is number i - 1. N bars a batch: minigan's (N, 16, 128, 1), PyTorch's (N, 1, 16, 128); chords (N, 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigan.backend import rng, to_device, to_host
from minigan.bench.case import (
    BEST,
    MINIGAN,
    TUTORIAL,
    WORKERS,
    Case,
    Player,
    Start,
    channels_first,
    give_weights,
    torchs_places,
    twins_gradients,
    with_weights,
)
from minigan.layers import Conv
from minigan.models.midinet import CHORD, NOISE, PITCHES, STEPS, Composer, Listener, d_step, g_step
from minigan.optim import Adam
from minigan.workers import Workers

BARS = 2048
FEATURE_WEIGHT, BAR_WEIGHT, REAL = 0.1, 0.01, 0.9  # minigan.models.midinet's
# For each W, at how many places it meets x, and how many channels of x are the chord's.
IN_COMPOSER = [*((n, CHORD) for n in (1, 1, 2, 4, 8, 16)), *((n, 0) for n in (16, 8, 4, 2))]  # last the conditioner
IN_LISTENER = [(n, CHORD) for n in (8, 3, 1, 1)]


def music_case() -> Case:
    contestants: dict[str, Callable] = {
        MINIGAN: music_in_minigan,
        WORKERS: partial(music_in_minigan, processes=2),
        TUTORIAL: partial(music_in_torch, best=False),
        BEST: partial(music_in_torch, best=True),
    }
    return Case((72,), music_flop, music_start, contestants)


def music_flop(batch: int) -> float:
    """A chord is the same at all places of a bar: its share of a layer counts once, there and to dW.

    Nobody wants the gradient on a chord, on noise or on the bar before, nor D's on a bar in D's step. And both steps
    of G need but once what D, which stands still, sees in the real bars.
    """
    g, g_back = bars_products(Composer(rng=rng(0)), IN_COMPOSER)
    d, d_back = bars_products(Listener(rng=rng(0)), IN_LISTENER)
    of_d_step = sum(g) + 2 * (2 * sum(d) + sum(d_back[1:]))  # there, to dW, back
    of_g_step = 2 * sum(g) + sum(g_back) - g_back[0] - g_back[6] + sum(d) + sum(d_back)  # 6: the bar before
    return 2.0 * batch * (of_d_step + 2 * of_g_step + d[0])


def bars_products(net: Any, meets: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """For each W, how often one bar multiplies: there (and to dW as often), and back to x without the chord."""
    there, back = [], []
    layers = [layer for layer in net.layers if "W" in layer.params]
    for layer, (n, chord) in zip(layers, meets, strict=True):
        *taps, c_in, c_out = layer.params["W"].shape
        each = math.prod(taps) * c_out
        same = c_out if isinstance(layer, Conv) else each  # a window's taps all meet the same chord: one sum of W's
        there.append((c_in - chord) * each * n + chord * same)
        back.append((c_in - chord) * each * n)
    return there, back


def music_start(batch: int) -> Start:
    r = np.random.default_rng(0)
    bars = np.eye(PITCHES, dtype="float32")[r.integers(0, PITCHES, (BARS, STEPS)), :, None]
    roots = np.eye(CHORD - 1, dtype="float32")[r.integers(0, CHORD - 1, BARS)]
    start = {"bars": bars, "chords": np.concatenate([roots, r.integers(0, 2, (BARS, 1))], axis=1, dtype="float32")}
    for name, net in (("G", Composer(rng=rng(0))), ("D", Listener(rng=rng(1)))):
        start |= {f"{name}.{key}": to_host(p) for key, p in net.params.items()}
    noise = {f"first.{z}": r.standard_normal((batch, NOISE), "float32") for z in ("z_D", "z_G", "z_G2")}
    return start | noise | {"first.rows": r.integers(0, BARS, batch)}


def music_players(
    start: Start,
    put: Callable,  # what brings an array to where it is used
    rows: Callable,
    noise: Callable,
    step_D: Callable,
    step_G: Callable,
    gradients: Callable,  # of "D" or "G"
) -> dict[str, Player]:
    """D draws bars and noise, G bars and noise for two steps; G's gradients are those of the second."""
    at, z_D, z_G, z_G2 = (put(start[f"first.{name}"]) for name in ("rows", "z_D", "z_G", "z_G2"))
    return {
        "D": Player((at, z_D), lambda: (rows(), noise()), step_D, lambda: gradients("D")),
        "G": Player((at, z_G, z_G2), lambda: (rows(), noise(), noise()), step_G, lambda: gradients("G")),
    }


def music_in_minigan(start: Start, batch: int, device: str, processes: int = 1) -> dict[str, Player]:
    r, bars, chords = rng(1), to_device(start["bars"]), to_device(start["chords"])
    nets = {"G": with_weights(Composer(rng=r), start, "G"), "D": with_weights(Listener(rng=r), start, "D")}
    G, D = nets["G"], nets["D"]
    adam_G, adam_D = Adam(G, 2e-4), Adam(D, 2e-4)
    workers = Workers(processes, adam_G, adam_D) if processes > 1 else None

    def step(name, *drawn):
        at, *noise = [workers.rows(a) for a in drawn] if workers else drawn
        x_real, y, previous = bars[at], chords[at], bars[at - 1]
        for z in noise:
            if name == "D":
                d_step(G, D, adam_D, x_real, y, previous, z)
            else:
                g_step(G, D, adam_G, x_real, y, previous, z, FEATURE_WEIGHT, BAR_WEIGHT)

    if workers:
        workers.start(step)
    step_D, step_G = (partial(workers or step, name) for name in "DG")
    rows = lambda: r.integers(0, BARS, batch)
    noise = lambda: r.standard_normal((batch, NOISE), dtype="float32")
    gradients = lambda name: {key: to_host(g).copy() for key, g in nets[name].grads.items()}
    return music_players(start, to_device, rows, noise, step_D, step_G, gradients)


# ---- the same in PyTorch -------------------------------------------------------------------------------------------


def torchs_midinet(best: bool) -> tuple[Any, Any]:
    """G and D, with their parameters in the order of minigan's.

    best: in D, the chord's share of a convolution is one product and no image of 13 channels, as in minigan.
    """
    import torch
    from torch import nn

    def everywhere(y, h):
        return y[:, :, None, None].expand(-1, -1, *h.shape[2:])

    class TorchComposer(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Sequential(nn.Linear(113, 1024, bias=False), nn.BatchNorm1d(1024), nn.ReLU(True))
            self.second = nn.Sequential(nn.Linear(1037, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(True))
            double = lambda: (nn.ConvTranspose2d(157, 128, (2, 1), (2, 1), bias=False), nn.BatchNorm2d(128))
            keys = nn.ConvTranspose2d(157, 1, (1, 128))
            self.grow = nn.ModuleList(nn.Sequential(*double(), nn.ReLU(True)) for _ in range(3))
            self.grow.append(nn.Sequential(keys, nn.Sigmoid()))
            read = nn.Conv2d(1, 16, (1, 128), bias=False)
            halve = lambda: nn.Conv2d(16, 16, (2, 1), (2, 1), bias=False)
            self.conditioner = nn.ModuleList(
                nn.Sequential(conv, nn.BatchNorm2d(16), nn.LeakyReLU(0.2, True))
                for conv in (read, halve(), halve(), halve())
            )

        def forward(self, z, y, previous):
            maps = [previous]
            for layer in self.conditioner:
                maps.append(layer(maps[-1]))
            h = self.first(torch.cat([z, y], 1))
            h = self.second(torch.cat([h, y], 1)).view(-1, 128, 2, 1)
            for layer, c in zip(self.grow, maps[:0:-1]):
                h = layer(torch.cat([h, everywhere(y, h), c], 1))
            return h

    class TorchListener(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(14, 14, (2, 128), (2, 2))
            self.second = nn.Conv2d(27, 77, (4, 1), (2, 1), bias=False)
            self.norm = nn.BatchNorm2d(77)
            self.third = nn.Sequential(
                nn.Linear(244, 1024, bias=False), nn.BatchNorm1d(1024), nn.LeakyReLU(0.2, True)
            )
            self.last = nn.Linear(1037, 1)

        def told(self, conv, x, y):
            """The convolution of x and, beside it, y at every place."""
            if not best:
                return conv(torch.cat([x, everywhere(y, x)], 1))
            W_x, W_y = conv.weight.split([x.shape[1], y.shape[1]], dim=1)
            share = nn.functional.linear(y, W_y.sum((2, 3)), conv.bias)
            return nn.functional.conv2d(x, W_x, stride=conv.stride) + share[:, :, None, None]

        def features(self, x, y):
            return nn.functional.leaky_relu(self.told(self.first, x, y), 0.2)

        def forward(self, x, y):
            f = self.features(x, y)
            h = nn.functional.leaky_relu(self.norm(self.told(self.second, f, y)), 0.2)
            h = self.third(torch.cat([h.flatten(1), y], 1))
            return self.last(torch.cat([h, y], 1)), f

    return TorchComposer(), TorchListener()


def torchs_midinet_places(our_G: Composer, our_D: Listener) -> dict[str, dict[str, np.ndarray]]:
    """Where PyTorch's numbers lie in minigan's: images lie flat as (c, h, w) after `second`, before `third`."""
    flat = lambda axis: lambda a: channels_first(a, axis, 2, 1, 128)

    def before_third(W):  # (231 + 13, O): three places of 77 channels, and the chord
        return np.concatenate([channels_first(W[:231], 0, 3, 1, 77), W[231:]])

    in_G = {"3.W": flat(1), "4.gamma": flat(0), "4.beta": flat(0)}
    return {"G": torchs_places(our_G, in_G), "D": torchs_places(our_D, {"6.W": before_third})}


def music_in_torch(start: Start, batch: int, device: str, best: bool) -> dict[str, Player]:
    import torch
    from torch import nn

    layout = torch.channels_last if best else torch.contiguous_format

    def put(a):
        t = torch.from_numpy(a).to(device)
        return t.permute(0, 3, 1, 2).clone(memory_format=layout) if t.ndim == 4 else t

    bars, chords = put(start["bars"]), put(start["chords"])
    ours = {"G": Composer(rng=rng(0)), "D": Listener(rng=rng(0))}
    places = torchs_midinet_places(ours["G"], ours["D"])
    nets = dict(zip("GD", torchs_midinet(best)))
    for name, net in nets.items():
        net.to(device, bars.dtype)
        give_weights(net, places[name], start, name)
        net.to(memory_format=layout)
    G, D = nets["G"], nets["D"]
    adam_G, adam_D = (
        torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), **({"fused": True} if best else {})) for net in (G, D)
    )
    bce = nn.BCEWithLogitsLoss()
    ones = torch.ones(batch, 1, device=device, dtype=bars.dtype)
    smooth, zeros = REAL * ones, torch.zeros_like(ones)

    def update(adam, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    def step_D(at, z):
        x_real, y, previous = bars[at], chords[at], bars[at - 1]
        with torch.set_grad_enabled(not best):
            x_fake = G(z, y, previous).detach()
        update(adam_D, bce(D(x_real, y)[0], smooth) + bce(D(x_fake, y)[0], zeros))

    def step_G(at, *noise):
        x_real, y, previous = bars[at], chords[at], bars[at - 1]
        D.requires_grad_(not best)
        with torch.no_grad():
            f_mean, x_mean = D.features(x_real, y).mean(0), x_real.mean(0)
        for z in noise:
            x_fake = G(z, y, previous)
            logits, f = D(x_fake, y)
            loss = bce(logits, ones)
            loss = loss + FEATURE_WEIGHT / 2 * ((f.mean(0) - f_mean) ** 2).sum()
            loss = loss + BAR_WEIGHT / 2 * ((x_fake.mean(0) - x_mean) ** 2).sum()
            update(adam_G, loss)
        D.requires_grad_(True)

    rows = lambda: torch.randint(0, BARS, (batch,), device=device)
    noise = lambda: torch.randn(batch, NOISE, device=device)
    gradients = lambda name: twins_gradients(nets[name], places[name], ours[name])
    return music_players(start, put, rows, noise, step_D, step_G, gradients)
