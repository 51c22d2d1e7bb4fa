"""GANs of images: a step of D and one of G, or the critic's step of WGAN-GP alone.

The networks are written once, in minigan's layers; PyTorch's are translated from them. N images (N, H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from minigan.backend import rng, to_device, to_host
from minigan.bench.case import BEST, TUTORIAL, Case, Player, Start, products, with_weights
from minigan.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, Layer, LeakyReLU, ReLU, Reshape, Tanh, he
from minigan.layers import dcgan as normal
from minigan.losses import non_saturating, wasserstein
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.penalty import gradient_penalty
from minigan.steps import d_step, g_step
from minigan.torch_twin import torchs_layer, torchs_order
from minigan.workers import Workers

NOISE = 100  # numbers in z
Networks = Callable[[Any], tuple[Sequential, Sequential]]  # G and D from a random generator
Sizes = tuple[tuple[int, int], ...]  # (side, channels) of an image on its way through a network


# ---- the networks -------------------------------------------------------------------------------------------------


def mlp(r: Any) -> tuple[Sequential, Sequential]:
    """Dense layers for images of 784 pixels."""

    def chain(sizes, hidden, *last):
        layers = [layer for n, m in pairwise(sizes) for layer in (Dense(n, m, rng=r, init=he), hidden())]
        return Sequential(*layers[:-1], *last)

    return chain((NOISE, 256, 512, 1024, 784), ReLU, Tanh()), chain((784, 1024, 512, 256, 1), LeakyReLU)


def dcgan(r: Any, kernel: int, up: Sizes, down: Sizes, critic: bool = False) -> tuple[Sequential, Sequential]:
    """The networks of minigan.models.dcgan for gray images, but with as many zeros before x as after, as PyTorch has.

    ("same" puts an odd zero at the end.) up: in G, from the first image to the last. down: in D.
    critic: a D without batch norm, for a gradient penalty.
    """
    k, pad, of_all = (kernel, kernel), (kernel - 1) // 2, {"rng": r, "init": normal}
    low, n = up[0]
    G: list[Layer] = [Dense(NOISE, low * low * n, bias=False, **of_all), Reshape((low, low, n))]
    for (low, n), (high, m) in pairwise(up):
        stride = high // low
        odd = stride + 2 * pad - kernel
        G += [BatchNorm(n), ReLU(), ConvTranspose(n, m, k, stride, pad, odd, bias=m == 1, **of_all)]
    D: list[Layer] = []
    for (high, n), (low, m) in pairwise(down):
        D += [Conv(n, m, k, high // low, pad, bias=n == 1 or critic, **of_all)]
        D += [LeakyReLU()] if n == 1 or critic else [BatchNorm(m), LeakyReLU()]
    return Sequential(*G, Tanh()), Sequential(*D, Flatten(), Dense(low * low * m, 1, **of_all))


# ---- a GAN: D learns from images and noise, G from noise ----------------------------------------------------------


def gan_flop(networks: Networks, batch: int) -> float:
    G, D = networks(rng(0))
    g, d = products(G, (NOISE,)), products(D, G.output_shape((NOISE,)))
    of_d_step = sum(g) + 2 * (3 * sum(d) - d[0])  # 3: forward, dW, dx; but nobody wants the first dx
    of_g_step = 3 * sum(g) - g[0] + 2 * sum(d)  # through D: forward, dx
    return 2.0 * batch * (of_d_step + of_g_step)


def critic_flop(networks: Networks, batch: int) -> float:
    """Of D's step with a penalty: images, fakes and points between forward and to dW; these along a tangent, too."""
    G, D = networks(rng(0))
    g, d = products(G, (NOISE,)), products(D, G.output_shape((NOISE,)))
    return 2.0 * batch * (sum(g) + 10 * sum(d) - 2 * d[0])


def gan_start(networks: Networks, batch: int) -> Start:
    r, (G, D) = np.random.default_rng(0), networks(rng(0))
    shape = G.output_shape((NOISE,))
    count = 7_840_000 // math.prod(shape)
    images = r.integers(0, 256, (count, *shape), "uint8")  # noise: speed does not depend on what they show
    start = {"images": images.astype("float32") / 127.5 - 1}
    start |= {f"{name}.{key}": to_host(p) for name, net in (("G", G), ("D", D)) for key, p in net.params.items()}
    z_D, z_G = r.standard_normal((2, batch, NOISE), "float32")
    x_real = start["images"][r.integers(0, count, batch)]
    between = r.random((batch, *(1 for _ in shape)), "float32")
    return start | {"first.x_real": x_real, "first.z_D": z_D, "first.z_G": z_G, "first.between": between}


def two_players(
    start: Start,
    put: Callable,  # what brings an array to where it is used
    real: Callable,
    noise: Callable,
    step_D: Callable,
    step_G: Callable,
    gradients: Callable,  # of "D" or "G"
) -> dict[str, Player]:
    """D draws images and noise, G noise alone."""
    x_real, z_D, z_G = (put(start[f"first.{name}"]) for name in ("x_real", "z_D", "z_G"))
    return {
        "D": Player((x_real, z_D), lambda: (real(), noise()), step_D, lambda: gradients("D")),
        "G": Player((z_G,), lambda: (noise(),), step_G, lambda: gradients("G")),
    }


def plain_critic_step(G, D, optimizer, x_real, z, between):
    penalty = lambda D, x_real, x_fake: gradient_penalty(D, between(x_real, x_fake))
    return d_step(G, D, optimizer, wasserstein, x_real, z, penalty=penalty)


def one_critic(
    start: Start,
    put: Callable,
    real: Callable,
    noise: Callable,
    between: Callable,
    step_D: Callable,
    gradients: Callable,
) -> dict[str, Player]:
    """D draws images, noise, and where between a real and a fake image each point of the penalty lies."""
    first = tuple(put(start[f"first.{name}"]) for name in ("x_real", "z_D", "between"))
    return {"D": Player(first, lambda: (real(), noise(), between()), step_D, lambda: gradients("D"))}


def in_minigan(
    networks: Networks,
    start: Start,
    batch: int,
    device: str,
    d_step: Callable,
    processes: int = 1,
    critic: bool = False,
) -> dict[str, Player]:
    """critic: D's step of WGAN-GP alone."""
    r, images = rng(1), to_device(start["images"])
    nets = {name: with_weights(net, start, name) for name, net in zip("GD", networks(r))}
    G, D = nets["G"], nets["D"]
    adam_G, adam_D = (Adam(net, 2e-4, 0.5, 0.999) for net in (G, D))
    workers = Workers(processes, adam_G, adam_D) if processes > 1 else None

    def step(name, *batches):
        batches = [workers.rows(a) for a in batches] if workers else batches
        if critic:
            x_real, z, t = batches
            between = lambda x_real, x_fake: t * x_real + (1 - t) * x_fake
            d_step(G, D, adam_D, x_real, z, between)
        elif name == "D":
            d_step(G, D, adam_D, non_saturating, *batches)
        else:
            g_step(G, D, adam_G, non_saturating, *batches)

    if workers:
        workers.start(step)
    step_D, step_G = (partial(workers or step, name) for name in "DG")
    real = lambda: images[r.integers(0, len(images), batch)]
    noise = lambda: r.standard_normal((batch, NOISE), dtype="float32")
    gradients = lambda name: {key: to_host(g).copy() for key, g in nets[name].grads.items()}
    if critic:
        places = lambda: r.random((batch, *(1 for _ in images.shape[1:])), dtype="float32")
        return one_critic(start, to_device, real, noise, places, step_D, gradients)
    return two_players(start, to_device, real, noise, step_D, step_G, gradients)


def in_torch(
    networks: Networks, start: Start, batch: int, device: str, best: bool, critic: bool = False
) -> dict[str, Player]:
    import torch
    from torch import nn

    layout = torch.channels_last if best else torch.contiguous_format
    our_G, our_D = networks(rng(0))
    orders = {"G": torchs_order(our_G, (NOISE,)), "D": torchs_order(our_D, our_G.output_shape((NOISE,)))}

    def put(a):
        t = torch.from_numpy(a).to(device)
        return t.permute(0, 3, 1, 2).clone(memory_format=layout) if t.ndim == 4 else t

    def network(name, ours):
        net = nn.Sequential(*map(torchs_layer, ours.layers)).to(device, images.dtype)
        for p, (key, _, sizes, axes) in zip(net.parameters(), orders[name]):
            p = p.data.reshape(sizes).permute(axes)  # a view
            p.copy_(torch.from_numpy(start[f"{name}.{key}"]).reshape(p.shape))
        net.to(memory_format=layout)
        return net, torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), **({"fused": True} if best else {}))

    images = put(start["images"])
    (G, adam_G), (D, adam_D) = network("G", our_G), network("D", our_D)
    bce, nets = nn.BCEWithLogitsLoss(), {"G": G, "D": D}
    ones = torch.ones(batch, 1, device=device, dtype=images.dtype)
    zeros = torch.zeros_like(ones)
    ones_above_zeros = torch.cat([ones, zeros])

    def update(adam, loss):
        adam.zero_grad()  # which by now means set_to_none=True
        loss.backward()
        adam.step()

    def apart(x_real, x_fake):
        return bce(D(x_real), ones) + bce(D(x_fake), zeros)

    def stacked(x_real, x_fake):
        return 2 * bce(D(torch.cat([x_real, x_fake])), ones_above_zeros)  # 2: the mean is over twice as many

    best_loss = apart if our_D.mixes_samples else stacked

    def tutorial_D(x_real, z):
        x_fake = G(z)
        update(adam_D, apart(x_real, x_fake.detach()))

    def tutorial_G(z):
        update(adam_G, bce(D(G(z)), ones))

    def best_D(x_real, z):
        with torch.no_grad():
            x_fake = G(z)
        update(adam_D, best_loss(x_real, x_fake))

    def best_G(z):
        D.requires_grad_(False)
        tutorial_G(z)
        D.requires_grad_(True)

    def critic_D(x_real, z, t):
        with torch.set_grad_enabled(not best):
            x_fake = G(z).detach()
        x = (t * x_real + (1 - t) * x_fake).requires_grad_(True)
        (g,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
        penalty = 10 * ((g.flatten(1).norm(dim=1) - 1) ** 2).mean()
        update(adam_D, D(x_fake).mean() - D(x_real).mean() + penalty)

    real = lambda: images[torch.randint(0, len(images), (batch,), device=device)]
    noise = lambda: torch.randn(batch, NOISE, device=device)

    def gradients(name):
        pairs = zip(nets[name].parameters(), orders[name])
        turned = ((key, shape, p.grad.reshape(sizes).permute(axes)) for p, (key, shape, sizes, axes) in pairs)
        return {key: g.cpu().numpy().reshape(shape).copy() for key, shape, g in turned}

    if critic:
        between = lambda: torch.rand(batch, *(1 for _ in images.shape[1:]), device=device)
        return one_critic(start, put, real, noise, between, critic_D, gradients)
    step_D, step_G = (best_D, best_G) if best else (tutorial_D, tutorial_G)
    return two_players(start, put, real, noise, step_D, step_G, gradients)


def gan_case(
    batches: tuple[int, ...], networks: Networks, ours: dict[str, dict[str, Any]], critic: bool = False
) -> Case:
    """ours: the contestants that are minigan, and how they take a step. critic: D's step of WGAN-GP alone."""
    contestants = {name: partial(in_minigan, networks, critic=critic, **how) for name, how in ours.items()}
    for name in (TUTORIAL, BEST):
        contestants[name] = partial(in_torch, networks, best=name == BEST, critic=critic)
    flop = critic_flop if critic else gan_flop
    return Case(batches, partial(flop, networks), partial(gan_start, networks), contestants)


DIGITS = partial(dcgan, kernel=5, up=((7, 256), (14, 128), (28, 64), (28, 1)), down=((28, 1), (14, 64), (7, 128)))
TO_64 = ((4, 512), (8, 256), (16, 128), (32, 64), (64, 1))
PICTURES = partial(dcgan, kernel=4, up=TO_64, down=TO_64[::-1])
