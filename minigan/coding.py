"""The training of a VAE, or of a VAE-GAN: images are coded and drawn again, and samples come from the prior.

N images a batch, M in the data set: (M, H, W, C) uint8; Z numbers of a code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import to_device, to_host
from minigan.layers.activations import sigmoid
from minigan.models.vae import VAE, reconstruct, vae_gan_step, vae_step
from minigan.optim import Adam
from minigan.training import Training, check_batch

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
        check_batch(batch, workers, len(images), "images")
        self.model, self.encoder, self.d_steps = model, model.encoder, 1
        self.images, self.labels = images if isinstance(images, np.memmap) else to_device(images), None
        networks = {"encoder": model.encoder, "G": model.G} | ({} if model.D is None else {"D": model.D})
        optimizers = {who: Adam(network, lr_d or lr if who == "D" else lr) for who, network in networks.items()}
        shared = {"count": len(images), "batch": batch, "seed": seed, "average": average, "workers": workers}
        self.begin(model.name, networks, optimizers, random, **shared)

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
