"""The training of a VAE, or of a VAE-GAN: images are coded and drawn again, and samples come from the prior.

N images a batch, M in the data set: (M, H, W, C) uint8; Z numbers of a code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import rng_state, set_rng_state, to_device, to_host
from minigan.layers.activations import sigmoid
from minigan.models.vae import VAE, reconstruct, vae_gan_step, vae_step
from minigan.optim import Adam
from minigan.training import (
    Epochs,
    Training,
    check_fits,
    load_network,
    load_optimizers,
    network_arrays,
    optimizer_state,
)
from minigan.workers import Workers

TERMS = ("encoder_loss", "g_loss", "kl", "reconstruction", "d_real", "d_fake")


class CodingTraining(Training):
    """A Training with an encoder: one step of a VAE, or the three of a VAE-GAN, whose D has a rate of its own.

    Options mean what they mean in a Training. trace: the terms of the last step (minigan.models.vae).
    """

    def __init__(
        self,
        model: VAE,
        images: np.ndarray,
        *,
        batch: int = 64,
        lr: float = 1e-3,
        lr_d: float | None = None,
        seed: int = 0,
        average: float = 0.0,
        random: Any = None,
        workers: int = 1,
    ) -> None:
        if images.shape[1:] != model.image_shape or images.dtype != "uint8":
            raise ValueError(
                f"{model.name} draws images {model.image_shape}, but the data are {images.shape[1:]} {images.dtype}."
            )
        if not 0 < batch <= len(images):
            raise ValueError(f"A batch of {batch} cannot be taken from {len(images)} images.")
        if batch % workers:
            raise ValueError(f"A batch of {batch} cannot be shared out evenly to {workers} workers.")
        self.model, self.G, self.D, self.encoder = model, model.G, model.D, model.encoder
        self.images, self.labels = images if isinstance(images, np.memmap) else to_device(images), None
        self.batch, self.seed, self.average, self.d_steps = batch, seed, average, 1
        self.rng = random
        self.networks = {"encoder": self.encoder, "G": self.G} | ({} if self.D is None else {"D": self.D})
        self.optimizers = {
            who: Adam(network, lr_d or lr if who == "D" else lr) for who, network in self.networks.items()
        }
        self.epochs = Epochs(len(images), batch, seed)
        self.workers = Workers(workers, *self.optimizers.values()) if workers > 1 else None
        self.G_average = self.G.copy() if average else self.G
        self.step = 0
        self.trace: dict[str, Any] = {}

    def _play(self) -> None:
        # every worker draws the noise for all, so that the numbers do not depend on how many there are
        x = self.real_batch()
        noise = lambda: self._share(self.model.draw_noise(self.rng, self.batch))
        self.trace = {}
        players = self.networks.values(), self.optimizers.values()
        if self.D is None:
            value = vae_step(*players[0], *players[1], x, noise(), trace=self.trace)
            self.trace.update(encoder_loss=value, g_loss=value)
        else:
            values = vae_gan_step(*players[0], *players[1], x, noise(), noise(), trace=self.trace)
            self.trace.update(zip(("encoder_loss", "g_loss", "d_loss"), values))
            self.trace["reconstruction"] = self.trace["distance"]
        self.step += 1

    def reconstructions(self, n: int) -> np.ndarray:
        """n images and, behind each, what G draws of its code: (2 n, H, W, C) on the host."""
        rows = np.random.default_rng(self.seed).integers(0, len(self.images), n)
        low, high = self.model.pixels
        x = to_device(self.images[rows]).astype("float32") * ((high - low) / 255) + low
        pairs = np.stack([to_host(x), to_host(reconstruct(self.encoder, self.G_average, x))], axis=1)
        return pairs.reshape(2 * n, *pairs.shape[2:])

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host (TERMS): losses and terms in nats; D's verdicts, 0 without D."""
        found = {name: self.trace.get(name, 0.0) for name in TERMS[:4]}
        for name, logits in (("d_real", "real_logits"), ("d_fake", "fake_logits")):
            found[name] = sigmoid(self.trace[logits]).mean() if logits in self.trace else 0.0
        return {"step": self.step, **{name: float(to_host(value)) for name, value in found.items()}}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        arrays, facts = optimizer_state(self.optimizers)
        if self.average:
            arrays |= network_arrays(self.G_average, "G_average")
        for who, network in self.networks.items():
            arrays |= network_arrays(network, who)
        return arrays, facts | {"step": self.step, "rng": rng_state(self.rng), "model": self.model.name}

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is another model's; then nothing has changed."""
        check_fits(arrays, self.state()[0], self.model.name)
        if self.workers is not None:
            self.workers.stop()  # the others would go on from where they are; they start anew with the next step
        if self.average:
            load_network(self.G_average, "G_average", arrays)
        for who, network in self.networks.items():
            load_network(network, who, arrays)
        load_optimizers(self.optimizers, arrays, facts)
        set_rng_state(self.rng, facts["rng"])
        self.step = facts["step"]
