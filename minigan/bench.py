"""How fast is minigan? One full training step beside PyTorch eager, on the same cores, in fair alternation.

    python -m minigan.bench mlp --torch-python ~/torch/bin/python

Every contestant runs in a process of its own, one after the other, round after round: in one process, two libraries
disturb each other's threads and memory. All compute with the same number of threads, from the same weights, under
an allocator that keeps its memory instead of handing it back to the kernel after every step. Before, each takes one
step on one given batch and the gradients are compared, so that it is seen that all do the same work. That is done in
float64: in float32, a rounding that carries one number over ReLU's kink shows as much as a small mistake would.

A new GAN is one more entry of CASES: its networks, written once in minigan's layers, and who takes part; PyTorch's
are translated from them. Any other case gives its count of products, its start and a function for each contestant.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import rng, to_device, to_host, use, xp
from minigan.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, Layer, LeakyReLU, ReLU, Reshape, Tanh, he
from minigan.layers import dcgan as normal
from minigan.layers.base import Shape
from minigan.losses import non_saturating, wasserstein
from minigan.models.seqgan import Writer
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.penalty import gradient_penalty
from minigan.steps import d_step, g_step, stacked_d_step, wgan_gp_d_step
from minigan.torch_twin import torchs_layer, torchs_order
from minigan.workers import Workers, usable

MINIGAN, WORKERS, TUTORIAL, BEST = "minigan", "minigan, two workers", "PyTorch as tutorials write it", "PyTorch best"
WARM_UP = 30  # steps before the clock counts, or fewer if they take longer than what is counted
NOISE = 100  # numbers in z
QUIET_ALLOCATOR = {  # settings of glibc's malloc; they mean nothing elsewhere
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
Start = dict[str, np.ndarray]  # weights as "G.0.W", images, first inputs as "first.x_real"; all in one dtype
Networks = Callable[[Any], tuple[Sequential, Sequential]]  # G and D from a random generator
Sizes = tuple[tuple[int, int], ...]  # (side, channels) of an image on its way through a network


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


# ---- the networks, images (N, H, W, C) ----------------------------------------------------------------------------


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


def products(net: Sequential, shape: Shape) -> list[int]:
    """For each layer with a W, how often a sample's forward pass multiplies: by every weight, at every place."""
    counts = []
    for layer in net.layers:
        given, shape = shape, layer.output_shape(shape)
        if "W" in layer.params:
            *places, _ = given if isinstance(layer, ConvTranspose) else shape
            counts.append(layer.params["W"].size * math.prod(places))
    return counts


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
    G, D = networks(r)
    if images.dtype != G.theta.dtype:
        G, D = G.astype(images.dtype), D.astype(images.dtype)
    nets = {"G": G, "D": D}
    for name, net in nets.items():
        for key, p in net.params.items():
            p[...] = to_device(start[f"{name}.{key}"])
        net.changed()
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


# ---- a writer: maximum likelihood of words (N, T), one LSTM --------------------------------------------------------


class WriterSizes(NamedTuple):
    vocabulary: int
    features: int
    hidden: int
    length: int


def writer_flop(s: WriterSizes, batch: int) -> float:
    each = 4 * s.hidden * (s.features + s.hidden) + s.hidden * s.vocabulary
    return 3 * 2.0 * batch * s.length * each  # forward, dW, dx


def writer_start(s: WriterSizes, batch: int) -> Start:
    words = np.random.default_rng(0).integers(0, s.vocabulary, (2048, s.length))
    net = Writer(s.vocabulary, s.features, s.hidden, rng=rng(0))
    return {
        "words": words,
        "first.words": words[:batch],
        **{f"G.{key}": to_host(p) for key, p in net.params.items()},
    }


def writer_in_minigan(s: WriterSizes, start: Start, batch: int, device: str, processes: int = 1) -> dict[str, Player]:
    words, r = to_device(start["words"].astype("int64")), np.random.default_rng(1)
    net = Writer(s.vocabulary, s.features, s.hidden, rng=rng(0)).astype(start["G.0.W"].dtype)
    for key, p in net.params.items():
        p[...] = to_device(start[f"G.{key}"])
    net.changed()
    adam = Adam(net, 1e-3, 0.9)
    workers = Workers(processes, adam) if processes > 1 else None

    def step(some):
        net.zero_grad()
        net.learn(workers.rows(some) if workers else some)
        adam.step()

    if workers:
        workers.start(step)

    gradients = lambda: {key: to_host(g).copy() for key, g in net.grads.items()}
    draw = lambda: (words[to_device(r.integers(0, len(words), batch))],)
    return {"G": Player((words[:batch],), draw, workers or step, gradients)}


def writer_in_torch(s: WriterSizes, start: Start, batch: int, device: str, best: bool) -> dict[str, Player]:
    import torch
    from torch import nn

    words = torch.from_numpy(start["words"].astype("int64")).to(device)
    dtype = torch.from_numpy(start["G.0.W"]).dtype
    embedding, lstm = nn.Embedding(s.vocabulary, s.features), nn.LSTM(s.features, s.hidden, batch_first=True)
    net = nn.ModuleList([embedding, lstm, nn.Linear(s.hidden, s.vocabulary)]).to(device, dtype)
    out, loss = net[2], nn.CrossEntropyLoss()
    pairs = {  # ours -> theirs; the gates lie in the same order, and of their two biases one stays at zero's gradient
        "0.W": (embedding.weight, False),
        "1.Wx": (lstm.weight_ih_l0, True),
        "1.Wh": (lstm.weight_hh_l0, True),
        "1.b": (lstm.bias_ih_l0, False),
        "2.W": (out.weight, True),
        "2.b": (out.bias, False),
    }
    with torch.no_grad():
        lstm.bias_hh_l0.zero_()
        for key, (p, turned) in pairs.items():
            ours = torch.from_numpy(start[f"G.{key}"])
            p.copy_(ours.T if turned else ours)
    adam = torch.optim.Adam(net.parameters(), 1e-3, **({"fused": True} if best else {}))

    def step(some):
        given = torch.cat([torch.zeros_like(some[:, :1]), some[:, :-1]], dim=1)
        logits = out(lstm(embedding(given))[0])
        adam.zero_grad()
        loss(logits.reshape(-1, s.vocabulary), some.reshape(-1)).backward()
        adam.step()

    def gradients():
        return {key: (p.grad.T if turned else p.grad).cpu().numpy().copy() for key, (p, turned) in pairs.items()}

    draw = lambda: (words[torch.randint(0, len(words), (batch,), device=device)],)
    return {"G": Player((words[:batch],), draw, step, gradients)}


def writer_case(s: WriterSizes) -> Case:
    contestants: dict[str, Callable] = {
        MINIGAN: partial(writer_in_minigan, s),
        WORKERS: partial(writer_in_minigan, s, processes=2),
    }
    contestants |= {name: partial(writer_in_torch, s, best=name == BEST) for name in (TUTORIAL, BEST)}
    return Case((64,), partial(writer_flop, s), partial(writer_start, s), contestants)


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
ALONE, STACKED, MERGED = {"d_step": d_step}, {"d_step": stacked_d_step}, {"d_step": wgan_gp_d_step}
SHARED = {"d_step": d_step, "processes": 2}
CASES = {
    "mlp": gan_case((64, 256), mlp, {MINIGAN: STACKED, "minigan plain": ALONE}),
    "dcgan": gan_case((64,), DIGITS, {MINIGAN: ALONE, WORKERS: SHARED}),
    "dcgan64": gan_case((64,), PICTURES, {MINIGAN: ALONE, WORKERS: SHARED}),
    "lstm": writer_case(WriterSizes(vocabulary=5000, features=32, hidden=32, length=20)),
    "lstm-big": writer_case(WriterSizes(vocabulary=2000, features=128, hidden=256, length=40)),
    "gp": gan_case((64,), mlp, {MINIGAN: MERGED, "minigan plain": {"d_step": plain_critic_step}}, critic=True),
    "gp-conv": gan_case(
        (64,), partial(DIGITS, critic=True), {MINIGAN: MERGED, WORKERS: SHARED | MERGED}, critic=True
    ),
}

# ---- one contestant, in a process of its own ---------------------------------------------------------------------


def prepare(name: str, device: str, threads: int) -> Callable[[], Any]:
    """Sets device, threads and precision; returns what waits for the device."""
    if name.startswith("PyTorch"):
        import torch

        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = name == BEST
        wait = torch.cuda.synchronize
    else:
        use("cupy" if device == "cuda" else "numpy")
        wait = lambda: xp.cuda.runtime.deviceSynchronize()
    return wait if device == "cuda" else lambda: None


def peak_mib() -> float | None:
    """The most memory, not a GPU's, that this process has held, in MiB; None where the system does not tell.

    Its workers' are added: what they share counts several times.
    """
    if sys.platform == "linux":  # getrusage would not do: ru_maxrss starts at the peak of the process that started us
        ids = ["self", *(process.pid for process in multiprocessing.active_children())]
        found = [re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{i}/status").read_text()) for i in ids]
        return sum(int(peak[1]) for peak in found) / 1024 if all(found) else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def work(job: dict[str, Any]) -> None:
    """What the job asks for: a file of gradients, or the times, printed as JSON."""
    wait = prepare(job["name"], job["device"], job["threads"])
    file, dtype = job["gradients"], "float64" if job["gradients"] else "float32"
    with np.load(job["start"]) as arrays:
        start = {key: a if a.dtype.kind == "i" else a.astype(dtype, copy=False) for key, a in arrays.items()}
    players = CASES[job["case"]].contestants[job["name"]](start, job["batch"], job["device"])
    del start  # or it would count among what is needed at the peak
    if file:
        np.savez(file, **first_gradients(players))
    else:
        timed_steps(players, wait, job["seconds"], WARM_UP)
        print(json.dumps({"ms": timed_steps(players, wait, job["seconds"]), "peak_mib": peak_mib()}))


def first_gradients(players: dict[str, Player]) -> dict[str, np.ndarray]:
    gradients = {}
    for name, player in players.items():
        player.step(*player.first)
        gradients |= {f"{name}.{key}": g for key, g in player.gradients().items()}
    return gradients


def timed_steps(players: dict[str, Player], wait: Callable, seconds: float, most: float = math.inf) -> list[float]:
    """The ms of each step, for so many seconds: at least three steps, and not more than `most`."""
    ms, end = [], time.perf_counter() + seconds
    while len(ms) < 3 or (len(ms) < most and time.perf_counter() < end):
        before = time.perf_counter()
        for player in players.values():
            player.step(*player.draw())
        wait()
        ms.append(1000 * (time.perf_counter() - before))
    return ms


# ---- all of them, in alternation ---------------------------------------------------------------------------------


def run_worker(python: str, folder: Path, job: dict[str, Any]) -> str:
    """What one contestant prints. Ends the program with its last words when it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    fixed = {"PYTHONPATH": str(folder), "MINIGAN_BACKEND": "numpy", "CUPY_TF32": "0"}
    command = [python, "-m", "minigan.bench", "--worker", json.dumps(job)]
    env = os.environ | QUIET_ALLOCATOR | threads | fixed
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or f"it ended with code {done.returncode}").splitlines()[-1]
        sys.exit(f"bench: {job['name']} could not run at batch {job['batch']}: {words}")
    return done.stdout


def measure(args: argparse.Namespace, batch: int, threads: int, pythons: dict[str, str], folder: Path) -> dict:
    """All rounds of one batch. pythons: the interpreter of each contestant. Returns what print_table prints."""
    case, bases = CASES[args.case], [base for base in (TUTORIAL, BEST) if base in pythons]
    job = dict(case=args.case, batch=batch, seconds=args.seconds, device=args.device, threads=threads)
    job |= {"start": str(folder / "start.npz"), "gradients": None}
    np.savez(job["start"], **case.start(batch))
    for name, python in pythons.items() if bases else ():
        print(f"batch {batch}, gradients: {name}", file=sys.stderr)
        run_worker(python, folder, job | {"name": name, "gradients": str(folder / f"{name}.npz")})
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for r in range(args.rounds):
        for name, python in pythons.items():
            print(f"batch {batch}, round {r + 1} of {args.rounds}: {name}", file=sys.stderr)
            runs[name].append(json.loads(run_worker(python, folder, job | {"name": name}).splitlines()[-1]))

    rows, gflop = {}, case.flop(batch) / 1e9
    of_rounds = {name: np.array([np.median(run["ms"]) for run in rounds]) for name, rounds in runs.items()}
    for name, rounds in runs.items():
        median, best_decile = np.quantile(np.concatenate([run["ms"] for run in rounds]), [0.5, 0.1]).tolist()
        row = rows[name] = {
            "ms_median": median,
            "ms_best_decile": best_decile,
            "ms_of_rounds": of_rounds[name].tolist(),
            "peak_mib": max((run["peak_mib"] for run in rounds if run["peak_mib"]), default=None),
        }
        row |= {"steps_per_s": 1000 / median, "gflop_per_s": 1000 * gflop / median, "ratio_to": {}}
        for base in bases:
            ratios = of_rounds[name] / of_rounds[base]  # within a round: a machine that drifts does less harm
            numbers = {"median": np.median(ratios), "lowest": ratios.min(), "highest": ratios.max()}
            row["ratio_to"][base] = {key: float(number) for key, number in numbers.items()}
        row["parity"] = parity(folder / f"{name}.npz", folder / f"{TUTORIAL}.npz") if bases else None
    return {"batch": batch, "gflop": gflop, "contestants": rows}


def parity(our_file: Path, torch_file: Path) -> dict[str, float]:
    """For each player, the largest difference between the first gradients, relative to a gradient's largest entry."""
    worst: dict[str, float] = {}
    with np.load(our_file) as ours, np.load(torch_file) as torchs:
        for key, g in torchs.items():  # "D.0.W"
            size = abs(g).max() if abs(g).max() > 1e-9 else 1.0  # a critic's last bias has none but roundings
            player, apart = key.split(".")[0], float(abs(ours[key] - g).max() / size)
            worst[player] = max(apart, worst.get(player, 0.0))
    return worst


def print_table(table: dict[str, Any]) -> None:
    rows = table["contestants"]
    bases = {"time / tutorial's": TUTORIAL, "time / best's": BEST} if BEST in rows else {}
    print(f"\nbatch {table['batch']}: {table['gflop']:.2f} GFLOP of unavoidable products a step")
    print(f"{'':<29}{'ms/step':>9}{'best decile':>13}{'steps/s':>9}{'GFLOP/s':>9}{'peak MiB':>10}", end="")
    print("".join(f"{title:>20}" for title in bases))
    for name, row in rows.items():
        print(f"{name:<29}{row['ms_median']:>9.2f}{row['ms_best_decile']:>13.2f}", end="")
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        print(f"{row['steps_per_s']:>9.1f}{row['gflop_per_s']:>9.1f}{peak:>10}", end="")
        ratios = [row["ratio_to"][base] for base in bases.values()]
        print("".join(f"{r['median']:>7.2f} ({r['lowest']:.2f}..{r['highest']:.2f})" for r in ratios))
    if bases:
        print("ms/step: the median of all. Ratios: the median (lowest..highest) of the rounds'; below 1 is faster.")
        print(f"Parity: first gradients, in float64, less those of {TUTORIAL}, relative to their largest entry:")
        apart = {name: ", ".join(f"{p} {d:.0e}" for p, d in row["parity"].items()) for name, row in rows.items()}
        print("; ".join(f"{name} {numbers}" for name, numbers in apart.items() if name != TUTORIAL))


# ---- the command line --------------------------------------------------------------------------------------------


def machine(torch_python: str) -> dict[str, Any]:
    """What the numbers depend on; "torch" is None where that interpreter cannot import torch and numpy."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts = {"system": f"{platform.system()} {platform.machine()}", "CPUs": os.cpu_count(), "threads": threads}
    facts |= {"Python": platform.python_version(), "NumPy": np.__version__}
    facts |= {"BLAS": f"{blas.get('name')} {blas.get('version')}"}
    try:
        code = "import numpy, torch; print(torch.__version__)"
        done = subprocess.run([torch_python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"bench: {torch_python} cannot be started: {error.strerror}.")
    return facts | {"torch": done.stdout.strip() or None}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m minigan.bench", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("case", nargs="?", default="mlp", choices=CASES, help="the system whose training step is timed")
    usual = "; ".join(f"{name}: {' '.join(map(str, case.batches))}" for name, case in CASES.items())
    add("--batch", nargs="+", type=int, metavar="N", help=f"batch sizes ({usual})")
    add("--rounds", type=int, default=4, help="how often the contestants take turns (4)")
    add("--seconds", type=float, default=4.0, help="how long each is timed in a round (4)")
    add("--torch-python", metavar="PATH", help="a Python (3.11 or newer) that has torch and numpy, if not this one")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: CuPy against torch.cuda, without TF32")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--worker", type=json.loads, help=argparse.SUPPRESS)  # the job of one contestant's process
    args = parser.parse_args(arguments)
    if args.worker:
        return work(args.worker)
    batches = args.batch or CASES[args.case].batches
    if min(*batches, args.rounds) < 1 or not 0 < args.seconds < float("inf"):
        parser.error("--batch, --rounds and --seconds take positive numbers.")
    if args.json and not args.json.resolve().parent.is_dir():
        parser.error(f"There is no folder {args.json.resolve().parent} to write {args.json.name} into.")
    torch_python = os.path.abspath(shutil.which(args.torch_python or sys.executable) or args.torch_python)
    facts = machine(torch_python)
    print(f"{args.case} on {args.device}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    if facts["torch"] is None:
        print(f"There is no PyTorch in {torch_python}, so minigan runs alone; to compare, pip install torch==2.13.0")
        print("numpy in an environment of its own, and name the python of that environment with --torch-python.")
    names = [name for name in CASES[args.case].contestants if facts["torch"] or not name.startswith("PyTorch")]
    if args.device == "cuda" or usable() == 1:
        names = [name for name in names if name != WORKERS]
    pythons = {name: torch_python if name.startswith("PyTorch") else sys.executable for name in names}
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        # The other interpreter finds minigan in this folder, and nothing else of this one's packages.
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parent, Path(folder) / "minigan", ignore=ignored)
        for batch in batches:
            tables.append(measure(args, batch, facts["threads"], pythons, Path(folder)))
            print_table(tables[-1])
    if args.json:
        settings = {"case": args.case, "device": args.device, "rounds": args.rounds, "seconds": args.seconds}
        args.json.write_text(json.dumps({"machine": facts, "settings": settings, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
