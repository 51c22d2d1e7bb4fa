"""The training of the video GANs: MoCoGAN, with a critic for frames and one for clips, and VGAN, with one for clips.

M clips, T frames each, (M, T, H, W, C) uint8; N clips a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import losses
from minigan.backend import Array, rng, to_device, to_host
from minigan.models import video
from minigan.models.vgan import VideoGenerator3d, masked_g_step
from minigan.optim import Adam
from minigan.steps import d_step
from minigan.training import Players, check_batch

BASE = 16  # channels next to the picture, in all networks


class ClipTraining(Players):
    """Everything that the next step depends on: the networks, their optimizers, the clips, the noise, the step.

    model: "video" (MoCoGAN) or "video-vgan". base: channels next to the picture, in all networks.
    Its losses are the sums of the critics'; D(x) and D(G(z)) are the clip critic's. Other options: as in a Training.
    """

    pixels = (-1.0, 1.0)

    def __init__(
        self,
        model: str,
        clips: np.ndarray,
        *,
        base: int = BASE,
        batch: int = 8,
        lr: float = 2e-4,
        lr_d: float | None = None,
        seed: int = 0,
        average: float = 0.0,
        workers: int = 1,
    ) -> None:
        if clips.ndim != 5 or clips.dtype != "uint8":
            raise ValueError(f"{model} is trained on clips (M, T, H, W, C) uint8, not {clips.shape} {clips.dtype}.")
        check_batch(batch, workers, len(clips), "clips")
        self.clips, random = to_device(clips), rng(seed)
        _, self.frames, size, _, channels = clips.shape
        shape = {"size": size, "channels": channels, "base": base, "rng": random}
        networks = {"G": generator(model, clips.shape[1:], base, random)}
        networks["D"] = video.ClipCritic(frames=self.frames, **shape)
        if model == "video":
            networks["D_image"] = video.FrameCritic(**shape)
        optimizers = {who: Adam(network, lr if who == "G" else lr_d or lr) for who, network in networks.items()}
        shared = {"count": len(clips), "batch": batch, "seed": seed, "average": average, "workers": workers}
        self.begin(model, networks, optimizers, random, **shared)

    def _play(self) -> None:
        # every worker draws the noise for all, so that the numbers do not depend on how many there are
        rows = to_device(self._share(self.epochs.rows(self.step)))
        x_real = self.clips[rows].astype("float32") * (2 / 255) - 1
        self.trace = {}
        if self.name == "video":
            critics = self.networks["D_image"], self.D
            both = self.optimizers["D_image"], self.optimizers["D"]
            video.d_step(self.G, *critics, both, x_real, self._noise(), self._at(), trace=self.trace)
            video.g_step(self.G, *critics, self.optimizers["G"], self._noise(), self._at(), trace=self.trace)
        else:
            game = losses.non_saturating
            d_step(self.G, self.D, self.optimizers["D"], game, x_real, self._noise(), self.trace)
            masked_g_step(self.G, self.D, self.optimizers["G"], self._noise(), game, trace=self.trace)
        self.step += 1

    def _noise(self) -> Any:
        z = draw_noise(self.G, self.rng, self.batch, self.frames)
        return video.ClipNoise(*map(self._share, z)) if isinstance(z, tuple) else self._share(z)

    def _at(self) -> Array:
        return self._share(video.draw_frames(self.rng, self.batch, self.frames))

    def sample(self, n: int, seed: int = 1) -> np.ndarray:
        """n clips that G draws, (n, T, H, W, C) in [-1, 1], on the host."""
        return to_host(self.G_average(draw_noise(self.G, rng((self.seed, seed)), n, self.frames)))

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"frames": self.frames}


def generator(model: str, clip_shape: tuple[int, ...], base: int, random: Any) -> Any:
    """The G of "video" or "video-vgan" for clips (T, H, W, C). Raises ShapeError for sizes it does not draw."""
    frames, size, width, channels = clip_shape
    if size != width:
        raise ValueError(f"{model} draws square frames, but the clips are {size}x{width}.")
    shape = {"size": size, "channels": channels, "base": base, "rng": random}
    return video.MoCoGenerator(**shape) if model == "video" else VideoGenerator3d(frames=frames, **shape)


def draw_noise(G: Any, random: Any, n: int, frames: int) -> Any:
    """What G draws n clips from: a ClipNoise, or z (n, 100)."""
    if isinstance(G, video.MoCoGenerator):
        return video.clip_noise(random, n, frames, G.content, G.motion)
    return random.standard_normal((n, G.noise), dtype="float32")
