"""MoCoGAN: a step of both critics and one of G, as minigan.filming plays them, on clips of 16 x 32 x 32.

The clips are noise: speed does not depend on what they show. N clips a batch, T frames: minigan's (N, T, H, W, C),
PyTorch's (N, C, T, H, W), of which a frame is (N, C, H, W).
"""

from __future__ import annotations

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
    products,
    torchs_places,
    twins_gradients,
    with_weights,
)
from minigan.models import video
from minigan.optim import Adam
from minigan.workers import Workers

FRAMES, SIZE, CHANNELS, BASE = 16, 32, 3, 16
CONTENT, MOTION = 50, 10
CLIPS = 160  # so many numbers as the other cases' images have
PLAYERS = {"G": "G", "image": "D.image", "clip": "D.clip"}  # a network's name, and the start's for its weights


def clips_case() -> Case:
    contestants: dict[str, Callable] = {
        MINIGAN: clips_in_minigan,
        WORKERS: partial(clips_in_minigan, processes=2),
        TUTORIAL: partial(clips_in_torch, best=False),
        BEST: partial(clips_in_torch, best=True),
    }
    return Case((8,), clips_flop, clips_start, contestants)


def networks(r: Any) -> dict[str, Any]:
    shape: dict[str, Any] = {"size": SIZE, "channels": CHANNELS, "base": BASE, "rng": r}
    return {
        "G": video.MoCoGenerator(content=CONTENT, motion=MOTION, **shape),
        "image": video.FrameCritic(**shape),
        "clip": video.ClipCritic(frames=FRAMES, **shape),
    }


def clips_flop(batch: int) -> float:
    """The content is the same in all frames of a clip: its share of their first layer counts once, there and to dW.

    Nobody wants the gradient on noise, nor a critic's on what it sees in its own step.
    """
    G, image, clip = networks(rng(0)).values()
    first, *others = products(G.picture, (CONTENT + MOTION,))
    wide = first // (CONTENT + MOTION)
    content, motion, others = CONTENT * wide, FRAMES * MOTION * wide, FRAMES * sum(others)
    Wx, Wh = (G.lstm.params[name].size for name in ("Wx", "Wh"))
    there = content + motion + others + FRAMES * (Wx + Wh)  # and to dW as often
    back = motion + others + (FRAMES - 1) * Wh  # to the frames' motion codes, and from step to step
    of_d_step, of_g_step = there, 2 * there + back
    for D, shape in ((image, (SIZE, SIZE, CHANNELS)), (clip, (FRAMES, SIZE, SIZE, CHANNELS))):
        d = products(D, shape)
        of_d_step += 2 * (3 * sum(d) - d[0])
        of_g_step += 2 * sum(d)
    return 2.0 * batch * (of_d_step + of_g_step)


def clips_start(batch: int) -> Start:
    r = np.random.default_rng(0)
    clips = r.integers(0, 256, (CLIPS, FRAMES, SIZE, SIZE, CHANNELS), "uint8")
    start = {"clips": clips.astype("float32") / 127.5 - 1}
    for name, net in networks(rng(0)).items():
        start |= {f"{PLAYERS[name]}.{key}": to_host(p) for key, p in net.params.items()}
    start["first.rows"] = r.integers(0, CLIPS, batch)
    for player in "DG":
        start[f"first.content_{player}"] = r.standard_normal((batch, CONTENT), "float32")
        start[f"first.motion_{player}"] = r.standard_normal((batch, FRAMES, MOTION), "float32")
        start[f"first.start_{player}"] = r.standard_normal((batch, MOTION), "float32")
        start[f"first.at_{player}"] = r.integers(0, FRAMES, batch)
    return start


def clips_players(
    start: Start,
    put: Callable,  # what brings an array to where it is used
    rows: Callable,
    noise: Callable,  # content, motion, the cell's start, and which frames the image critic sees
    step_D: Callable,
    step_G: Callable,
    gradients: Callable,  # of "G", "image" or "clip"
) -> dict[str, Player]:
    """The critics draw clips and noise, G noise alone."""
    of = lambda player: [put(start[f"first.{name}_{player}"]) for name in ("content", "motion", "start", "at")]
    at = put(start["first.rows"])
    critics = lambda: {f"{name}.{key}": g for name in ("image", "clip") for key, g in gradients(name).items()}
    return {
        "D": Player((at, *of("D")), lambda: (rows(), *noise()), step_D, critics),
        "G": Player((*of("G"),), noise, step_G, lambda: gradients("G")),
    }


def clips_in_minigan(start: Start, batch: int, device: str, processes: int = 1) -> dict[str, Player]:
    r, clips = rng(1), to_device(start["clips"])
    nets = {name: with_weights(net, start, PLAYERS[name]) for name, net in networks(r).items()}
    G, *critics = nets.values()
    adam_G, *adams = (Adam(net, 2e-4) for net in nets.values())
    workers = Workers(processes, adam_G, *adams) if processes > 1 else None

    def step(name, *drawn):
        *rows, content, motion, first, at = [workers.rows(a) for a in drawn] if workers else drawn
        noise = video.ClipNoise(content, motion, first)
        if name == "D":
            video.d_step(G, *critics, adams, clips[rows[0]], noise, at)
        else:
            video.g_step(G, *critics, adam_G, noise, at)

    if workers:
        workers.start(step)
    step_D, step_G = (partial(workers or step, name) for name in "DG")
    rows = lambda: r.integers(0, CLIPS, batch)
    noise = lambda: (*video.clip_noise(r, batch, FRAMES, CONTENT, MOTION), video.draw_frames(r, batch, FRAMES))
    gradients = lambda name: {key: to_host(g).copy() for key, g in nets[name].grads.items()}
    return clips_players(start, to_device, rows, noise, step_D, step_G, gradients)


# ---- the same in PyTorch -------------------------------------------------------------------------------------------

FLAT = {"1.W": lambda W: channels_first(W, 1, 4, 4, 64)}  # of G: images lie flat behind it, (c, h, w) in PyTorch


def torchs_mocogan() -> dict[str, Any]:
    """The networks, with their parameters in the order of minigan's."""
    import torch
    from torch import nn

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(MOTION, MOTION, batch_first=True)
            nn.init.zeros_(self.lstm.bias_hh_l0)  # minigan's cell has one bias
            up = lambda n, m: nn.ConvTranspose2d(n, m, 4, 2, 1, bias=False)
            self.picture = nn.Sequential(
                nn.Linear(CONTENT + MOTION, 64 * 4 * 4, bias=False),
                nn.Unflatten(1, (64, 4, 4)),
                *(nn.BatchNorm2d(64), nn.ReLU(True), up(64, 32)),
                *(nn.BatchNorm2d(32), nn.ReLU(True), up(32, 16)),
                *(nn.BatchNorm2d(16), nn.ReLU(True), up(16, CHANNELS)),
                nn.Tanh(),
            )

        def forward(self, content, motion, start):
            steps = motion.shape[1]
            m, _ = self.lstm(motion, (start[None], torch.zeros_like(start)[None]))
            codes = torch.cat([content[:, None].expand(-1, steps, -1), m], 2)  # (N, T, 50 + 10)
            frames = self.picture(codes.flatten(0, 1))  # (N T, C, H, W)
            return frames.unflatten(0, (-1, steps)).transpose(1, 2)  # (N, C, T, H, W)

    def critic(down, norm, last):
        return nn.Sequential(
            *(down(CHANNELS, 16), nn.LeakyReLU(0.2, True)),
            *(down(16, 32), norm(32), nn.LeakyReLU(0.2, True)),
            *(down(32, 64), norm(64), nn.LeakyReLU(0.2, True)),
            *(last, nn.Flatten()),
        )

    of_frames = lambda n, m: nn.Conv2d(n, m, 4, 2, 1, bias=False)
    of_clips = lambda n, m: nn.Conv3d(n, m, 4, (1, 2, 2), (0, 1, 1), bias=False)
    return {
        "G": Generator(),
        "image": critic(of_frames, nn.BatchNorm2d, of_frames(64, 1)),
        "clip": critic(of_clips, nn.BatchNorm3d, nn.Conv3d(64, 1, 4, bias=False)),
    }


def clips_in_torch(start: Start, batch: int, device: str, best: bool) -> dict[str, Player]:
    """best: channels last, where G's frames (N T, C, H, W) become clips (N, C, T, H, W) without being moved."""
    import torch
    from torch import nn

    of_frames, of_clips = torch.channels_last, torch.channels_last_3d
    if not best:
        of_frames = of_clips = torch.contiguous_format

    def put(a):
        t = torch.from_numpy(a).to(device)
        return t.movedim(-1, 1).clone(memory_format=of_clips) if t.ndim == 5 else t

    clips, ours, nets = put(start["clips"]), networks(rng(0)), torchs_mocogan()
    places = {name: torchs_places(net, FLAT if name == "G" else {}) for name, net in ours.items()}
    adams = {}
    for name, net in nets.items():
        net.to(device, clips.dtype)
        give_weights(net, places[name], start, PLAYERS[name])
        net.to(memory_format=of_clips if name == "clip" else of_frames)
        how = {"fused": True} if best else {}
        adams[name] = torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), **how)
    G, image, clip = nets.values()
    bce = nn.BCEWithLogitsLoss()
    each = torch.arange(batch, device=device)

    def real(logits):
        return bce(logits, torch.ones_like(logits))

    def fake(logits):
        return bce(logits, torch.zeros_like(logits))

    def update(adam, loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    def step_D(rows, content, motion, first, at):
        x_real = clips[rows]
        with torch.set_grad_enabled(not best):
            x_fake = G(content, motion, first).detach()
        update(adams["image"], real(image(x_real[each, :, at])) + fake(image(x_fake[each, :, at])))
        update(adams["clip"], real(clip(x_real)) + fake(clip(x_fake)))

    def step_G(content, motion, first, at):
        for D in (image, clip):
            D.requires_grad_(not best)
        x_fake = G(content, motion, first)
        update(adams["G"], real(image(x_fake[each, :, at])) + real(clip(x_fake)))
        for D in (image, clip):
            D.requires_grad_(True)

    def noise():
        shapes = (batch, CONTENT), (batch, FRAMES, MOTION), (batch, MOTION)
        drawn = [torch.randn(shape, device=device) for shape in shapes]
        return *drawn, torch.randint(0, FRAMES, (batch,), device=device)

    rows = lambda: torch.randint(0, CLIPS, (batch,), device=device)
    gradients = lambda name: twins_gradients(nets[name], places[name], ours[name])
    return clips_players(start, put, rows, noise, step_D, step_G, gradients)
