"""The training of the video GANs: MoCoGAN, with a critic for frames and one for clips, and VGAN, with one for clips.

The networks have the published forms, but their critics are bounded in another way, for two cores and minutes: by
spectral normalization, in the hinge game, and Adam is without momentum (Miyato et al. 2018). On single frames of the
moving shapes, after 1,000 steps, the Frechet distance in random features is then 0.76 and 0.98 (two seeds), and 2.12
and 2.13 with beta1 = 0.5 (real frames: 0.12): tests/full/stills_and_momentum.py. The clip critic halves the time as
well as the space. MoCoGAN begins with single frames, which cost little: first what a shape looks like, then how it
moves. And its content adds the same to all places of the first map (`WhatAndWhere`): where content could say where,
it did, and a fixed motion kept no path.

M clips, T frames each, (M, T, H, W, C) uint8; N clips a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import losses
from minigan.backend import Array, rng, to_device, to_host
from minigan.checkpoint import CheckpointError
from minigan.models import video
from minigan.models.vgan import VideoGenerator3d, masked_g_step
from minigan.optim import Adam
from minigan.steps import d_step, g_step
from minigan.training import Epochs, Players, check_batch

BASE = 16  # channels next to the picture, in all networks
GAME = losses.hinge
STILLS = 8  # times as many frames as clips in a batch, where single frames are learned


class ClipTraining(Players):
    """Everything that the next step depends on: the networks, their optimizers, the clips, the noise, the step.

    model: "video" (MoCoGAN) or "video-vgan". base: channels next to the picture, in all networks. pretrain: steps at
    the beginning in which MoCoGAN's G.picture and its frame critic play with single frames alone.
    Its losses are the sums of the critics'; D(x) and D(G(z)) are the clip critic's, at first the frame critic's.
    Other options: as in a Training.
    """

    pixels = (-1.0, 1.0)

    def __init__(
        self,
        model: str,
        clips: np.ndarray,
        *,
        base: int = BASE,
        batch: int = 8,
        lr: float = 1e-3,
        lr_d: float | None = None,
        pretrain: int = 0,
        seed: int = 0,
        average: float = 0.0,
        workers: int = 1,
    ) -> None:
        if clips.ndim != 5 or clips.dtype != "uint8":
            raise ValueError(f"{model} is trained on clips (M, T, H, W, C) uint8, not {clips.shape} {clips.dtype}.")
        check_batch(batch, workers, len(clips), "clips")
        self.clips, random = to_device(clips), rng(seed)
        _, self.frames, size, _, channels = clips.shape
        shape = {"size": size, "channels": channels, "base": base, "spectral": True, "rng": random}
        networks = {"G": generator(model, clips.shape[1:], base, random)}
        networks["D"] = video.ClipCritic(frames=self.frames, halving=True, **shape)
        if model == "video":
            networks["D_image"] = video.FrameCritic(**shape)
        rates = {who: lr if who == "G" else lr_d or lr for who in networks}
        optimizers = {who: Adam(network, rates[who], 0.0, 0.9) for who, network in networks.items()}
        shared = {"count": len(clips), "batch": batch, "seed": seed, "average": average, "workers": workers}
        self.begin(model, networks, optimizers, random, **shared)
        self.pretrain = pretrain if model == "video" else 0
        stills = min(STILLS * batch, len(clips) // workers * workers)
        self.of_stills = Epochs(len(clips), stills, seed)

    def _play(self) -> None:
        # every worker draws the noise for all, so that the numbers do not depend on how many there are
        self.trace = {}
        if self.step < self.pretrain:
            self._play_stills()
        else:
            self._play_clips()
        self.step += 1

    def _play_stills(self) -> None:
        """A step with single frames: G.picture against the frame critic. The cell gives codes and does not learn."""
        D, of_G, of_D = self.networks["D_image"], self.optimizers["G"], self.optimizers["D_image"]
        n = self.of_stills.batch
        rows, at = to_device(self._share(self.of_stills.rows(self.step))), self._at(n)
        x_real = self.clips[rows, at].astype("float32") * (2 / 255) - 1
        codes = lambda: self.G.codes(self._noise(n), self._at(n))
        d_step(self.G.picture, D, of_D, GAME, x_real, codes(), self.trace)
        g_step(self.G.picture, D, of_G, GAME, codes(), self.trace)

    def _play_clips(self) -> None:
        rows = to_device(self._share(self.epochs.rows(self.step)))
        x_real, n = self.clips[rows].astype("float32") * (2 / 255) - 1, self.batch
        if self.name == "video":
            critics = self.networks["D_image"], self.D
            both = self.optimizers["D_image"], self.optimizers["D"]
            video.d_step(self.G, *critics, both, x_real, self._noise(n), self._at(n), GAME, self.trace)
            video.g_step(self.G, *critics, self.optimizers["G"], self._noise(n), self._at(n), GAME, self.trace)
        else:
            d_step(self.G, self.D, self.optimizers["D"], GAME, x_real, self._noise(n), self.trace)
            masked_g_step(self.G, self.D, self.optimizers["G"], self._noise(n), GAME, trace=self.trace)

    def _noise(self, n: int) -> Any:
        z = draw_noise(self.G, self.rng, n, self.frames)
        return video.ClipNoise(*map(self._share, z)) if isinstance(z, tuple) else self._share(z)

    def _at(self, n: int) -> Array:
        return self._share(video.draw_frames(self.rng, n, self.frames))

    def sample(self, n: int, seed: int = 1) -> np.ndarray:
        """n clips that G draws, (n, T, H, W, C) in [-1, 1], on the host."""
        return to_host(self.G_average(draw_noise(self.G, rng((self.seed, seed)), n, self.frames)))

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"frames": self.frames}

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """As of all Players; and G, which draws clips of any length, may have been trained on others."""
        if facts.get("frames", self.frames) != self.frames:
            raise CheckpointError(f"This checkpoint is of clips of {facts['frames']} frames, not of {self.frames}.")
        super().load(arrays, facts)


def generator(model: str, clip_shape: tuple[int, ...], base: int, random: Any) -> Any:
    """The G of "video" or "video-vgan" for clips (T, H, W, C). Raises ShapeError for sizes it does not draw."""
    frames, size, width, channels = clip_shape
    if size != width:
        raise ValueError(f"{model} draws square frames, but the clips are {size}x{width}.")
    shape = {"size": size, "channels": channels, "base": base, "rng": random}
    if model == "video":
        G = video.MoCoGenerator(init=video.he_doubling, apart=True, **shape)
        G.lstm.params["b"][G.motion : 2 * G.motion] = 1  # it begins with a memory that keeps: motion is smooth
        return G
    return VideoGenerator3d(frames=frames, **shape)


def draw_noise(G: Any, random: Any, n: int, frames: int) -> Any:
    """What G draws n clips from: a ClipNoise, or z (n, 100)."""
    if isinstance(G, video.MoCoGenerator):
        return video.clip_noise(random, n, frames, G.content, G.motion)
    return random.standard_normal((n, G.noise), dtype="float32")
