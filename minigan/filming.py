"""The training of the video GANs: MoCoGAN, with a critic for frames and one for clips, and VGAN, with one for clips.

M clips, T frames each, (M, T, H, W, C) uint8; N clips a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import losses
from minigan.backend import Array, rng, rng_state, set_rng_state, to_device, to_host
from minigan.models import video
from minigan.models.vgan import VideoGenerator3d, masked_g_step
from minigan.optim import Adam, Optimizer
from minigan.steps import d_step
from minigan.training import (
    Epochs,
    Training,
    check_fits,
    load_network,
    load_optimizers,
    measured,
    network_arrays,
    optimizer_state,
)
from minigan.workers import Workers

BASE = 16  # channels next to the picture, in all networks


class ClipTraining(Training):
    """Everything that the next step depends on: the networks, their optimizers, the clips, the noise, the step.

    model: "video" (MoCoGAN) or "video-vgan". base: channels next to the picture, in all networks.
    networks: by their names in a checkpoint. Other options mean what they mean in a Training.
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
        if not 0 < batch <= len(clips):
            raise ValueError(f"A batch of {batch} cannot be taken from {len(clips)} clips.")
        if batch % workers:
            raise ValueError(f"A batch of {batch} cannot be shared out evenly to {workers} workers.")
        self.name, self.clips, self.batch, self.seed = model, to_device(clips), batch, seed
        _, self.frames, size, _, channels = clips.shape
        self.rng = rng(seed)
        shape = {"size": size, "channels": channels, "base": base, "rng": self.rng}
        self.G = generator(model, clips.shape[1:], base, self.rng)
        self.networks = {"G": self.G, "D": video.ClipCritic(frames=self.frames, **shape)}
        if model == "video":
            self.networks["D_image"] = video.FrameCritic(**shape)
        self.D = self.networks["D"]
        self.optimizers: dict[str, Optimizer] = {
            who: Adam(network, lr if who == "G" else lr_d or lr) for who, network in self.networks.items()
        }
        self.average, self.G_average = average, self.G.copy() if average else self.G
        self.epochs = Epochs(len(clips), batch, seed)
        self.workers = Workers(workers, *self.optimizers.values()) if workers > 1 else None
        self.step = 0
        self.trace: dict[str, Any] = {}

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

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host: both losses, and D(x), D(G(z)), gradient norms of the clip critic's
        game. (With two critics, d_loss and g_loss are the sums of theirs.)
        """
        return {"step": self.step, **measured(self.trace, self.D, self.G)}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        facts = {"step": self.step, "rng": rng_state(self.rng), "model": self.name, "frames": self.frames}
        arrays, steps = optimizer_state(self.optimizers)
        if self.average:
            arrays |= network_arrays(self.G_average, "G_average")
        for who, network in self.networks.items():
            arrays |= network_arrays(network, who)
        return arrays, facts | steps

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is another model's; then nothing has changed."""
        check_fits(arrays, self.state()[0], self.name)
        if self.workers is not None:
            self.workers.stop()  # the others would go on from where they are; they start anew with the next step
        if self.average:
            load_network(self.G_average, "G_average", arrays)
        for who, network in self.networks.items():
            load_network(network, who, arrays)
        load_optimizers(self.optimizers, arrays, facts)
        set_rng_state(self.rng, facts["rng"])
        self.step = facts["step"]


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
