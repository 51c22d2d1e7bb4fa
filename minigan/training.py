"""The game, step after step, as a generator that a notebook steps through: everything is reachable after each.

N samples a batch, M samples in the data set: images (M, H, W, C), or points (M, d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigan import losses
from minigan.backend import Array, rng, rng_state, set_rng_state, to_device, to_host
from minigan.checkpoint import CheckpointError
from minigan.layers.activations import sigmoid
from minigan.models import GAN, ConditionalGAN
from minigan.network import Network
from minigan.optim import Adam, Optimizer, gradient_norm
from minigan.penalty import of_kind
from minigan.steps import clipped_d_step, d_step, g_step, stacked_d_step
from minigan.workers import Workers

AVERAGE_EVERY = 10  # steps from one update of the averaged G to the next: a tenth of the work, the same average
MEASURES = ("d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm")


class Epochs:
    """Which samples a batch takes: every epoch goes through all M, in an order given by seed and epoch."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self._epoch, self._order = -1, np.arange(0)

    def rows(self, k: int) -> np.ndarray:
        """The indices of the k-th batch, (N,), on the host."""
        epoch, place = divmod(k, self.count // self.batch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
        return self._order[place * self.batch : (place + 1) * self.batch]


class Players:
    """What every training shares: networks and optimizers by their names, workers, an averaged G, and the checkpoint.

    A training calls `begin` once, says in `_play` what a step is, and adds to `facts` what else the next step
    depends on. name: the model's, in a checkpoint. networks: "G", where there is one "D", and others. optimizers:
    by name, too.
    trace: what the last step computed.
    """

    def begin(
        self,
        name: str,
        networks: dict[str, Any],
        optimizers: dict[str, Optimizer],
        random: Any,
        *,
        count: int,
        batch: int,
        seed: int,
        average: float = 0.0,
        workers: int = 1,
        shared: tuple[str, ...] | None = None,
    ) -> None:
        """The state before the first step, on `count` samples. shared: the optimizers whose steps workers take."""
        self.name, self.networks, self.optimizers, self.rng = name, networks, optimizers, random
        self.G, self.D = networks["G"], networks.get("D")
        self.batch, self.seed, self.average = batch, seed, average
        taken = [optimizers[who] for who in (optimizers if shared is None else shared)]
        self.workers = Workers(workers, *taken) if workers > 1 and taken else None
        self.G_average = self.G.copy() if average else self.G
        self.epochs = Epochs(count, batch, seed)
        self.step = 0
        self.trace: dict[str, Any] = {}

    @property
    def G_optimizer(self) -> Optimizer:
        return self.optimizers["G"]

    @property
    def D_optimizer(self) -> Optimizer:
        return self.optimizers["D"]

    def advance(self) -> None:
        """One step, by all workers."""
        if self.workers is None:
            self._play()
        else:
            self.workers.start(self._play)
            self.workers()
        if self.average and self.step % AVERAGE_EVERY == 0:
            self._update_average()

    def _play(self) -> None:
        """One step, or this worker's share of it."""
        raise NotImplementedError

    def _share(self, batch: Any) -> Any:
        if self.workers is None:
            return batch
        return tuple(map(self.workers.rows, batch)) if isinstance(batch, tuple) else self.workers.rows(batch)

    def _update_average(self) -> None:
        # at first the plain mean of all so far, so that the noise of the start is soon forgotten
        weight = max(1 - self.average**AVERAGE_EVERY, AVERAGE_EVERY / self.step)
        self.G_average.theta += weight * (self.G.theta - self.G_average.theta)
        for name, mean in self.G_average.statistics.items():
            mean += weight * (self.G.statistics[name] - mean)

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host: both losses, D(x), D(G(z)) and both gradient norms."""
        return {"step": self.step, **measured(self.trace, self.D, self.G)}

    def facts(self) -> dict[str, Any]:
        """What the next step depends on besides arrays, as JSON has it."""
        return {"step": self.step, "rng": rng_state(self.rng), "model": self.name}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        arrays, steps = optimizer_state(self.optimizers)
        if self.average:
            arrays |= network_arrays(self.G_average, "G_average")
        for who, network in self.networks.items():
            arrays |= network_arrays(network, who)
        return arrays, self.facts() | steps

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is another model's; then nothing has changed."""
        check_fits(arrays, self.state()[0], self.name)
        if facts["model"] != self.name:  # another may have arrays of the same shapes
            raise CheckpointError(f"This checkpoint is of the model {facts['model']}, not of {self.name}.")
        if self.workers is not None:
            self.workers.stop()  # the others would go on from where they are; they start anew with the next step
        if self.average:
            load_network(self.G_average, "G_average", arrays)
        for who, network in self.networks.items():
            load_network(network, who, arrays)
        load_optimizers(self.optimizers, arrays, facts)
        set_rng_state(self.rng, facts["rng"])
        self.step = facts["step"]


def check_batch(batch: int, workers: int, count: int, samples: str) -> None:
    """Raises ValueError unless a batch can be taken from so many samples, and shared out."""
    if not 0 < batch <= count:
        raise ValueError(f"A batch of {batch} cannot be taken from {count} {samples}.")
    if batch % workers:
        raise ValueError(f"A batch of {batch} cannot be shared out evenly to {workers} workers.")


class Training(Players):
    """Everything that the next step depends on: the networks, their optimizers, the data, the noise, the step.

    average: A in theta_average <- A theta_average + (1 - A) theta, the mean over some 1 / (1 - A) steps.
    A game circles around its goal, and the mean of a circle is its centre (Yazici et al. 2019). 0: none is kept.
    G_average: the generator that samples are drawn with: the averaged one, or G itself.
    workers: processes that share each step (minigan.workers); they start with the first, and know what stood then.
    labels: of the images, (M,), for a conditional model: batches are then pairs (x, labels).
    d_steps, clip, penalty: D takes so many steps for one of G; its weights are cut to [-clip, clip]; what is added to
    its loss ("wgan-gp", "r1" or "r2", times penalty_weight).
    lr_d: D's own learning rate (two time scales). optimizer: of (network, lr), for both players.
    trace: what the last step computed, under the names used in `minigan.steps` (x_real, real_logits, g_value, ...);
    with workers, for the first one's share of the batch.
    """

    def __init__(
        self,
        model: GAN,
        images: np.ndarray,
        *,
        batch: int = 64,
        lr: float = 2e-4,
        loss: losses.Loss = losses.non_saturating,
        seed: int = 0,
        average: float = 0.0,
        random: Any = None,
        workers: int = 1,
        labels: np.ndarray | None = None,
        d_steps: int = 1,
        clip: float = 0.0,
        penalty: str | None = None,
        penalty_weight: float = 10.0,
        lr_d: float | None = None,
        optimizer: Callable[[Network, float], Optimizer] = Adam,
    ) -> None:
        if not 0 <= average < 1:
            raise ValueError(f"average is a number from 0 (none) to below 1, but got {average}.")
        if images.shape[1:] != model.image_shape:
            raise ValueError(f"{model.name} draws images {model.image_shape}, but the data are {images.shape[1:]}.")
        expected = "uint8" if model.pixels else "float32"
        if images.dtype != expected:
            raise ValueError(f"{model.name} is trained on {expected} data, not on {images.dtype}.")
        if isinstance(model, ConditionalGAN) != (labels is not None):
            raise ValueError(f"{model.name} is {'' if labels is None else 'not '}trained on labelled images.")
        check_batch(batch, workers, len(images), "images")
        self.model = model
        # (M, H, W, C) uint8, to the device once; what does not fit into memory stays in its file
        self.images = images if isinstance(images, np.memmap) else to_device(images)
        self.labels = None if labels is None else to_device(labels.astype("int64"))
        self.loss, random = loss, rng(seed) if random is None else random
        self.d_steps, self.d_step = d_steps, d_step if model.D.mixes_samples or labels is not None else stacked_d_step
        self.d_options: dict[str, Any] = {}
        if (penalty is not None) + bool(clip) + (labels is not None) > 1:
            raise ValueError("A penalty, clipping and labels are not combined here: choose one of them.")
        if penalty is not None and model.D.mixes_samples:
            raise ValueError(
                f"The D of {model.name} mixes the samples of a batch (batch norm does), but a penalty looks at its "
                "slope at one sample: take a model without it, such as mlp, or another way to bound D."
            )
        if penalty is not None:
            self.d_options["penalty"] = of_kind(penalty, penalty_weight, random)
        if clip:
            self.d_step, self.d_options = clipped_d_step, {"clip": clip}
        optimizers = {"G": optimizer(model.G, lr), "D": optimizer(model.D, lr_d or lr)}
        shared = {"count": len(images), "batch": batch, "seed": seed, "average": average, "workers": workers}
        self.begin(model.name, {"G": model.G, "D": model.D}, optimizers, random, **shared)

    def real_batch(self, i: int = 0) -> Array:
        """What D sees in its i-th turn of the next step, (N, ...) float32: each epoch has its order.

        It is given by seed and epoch. For a conditional model, a pair with the labels (N,).
        """
        rows = self._share(self.epochs.rows(self.step * self.d_steps + i))
        x = to_device(self.images[rows if isinstance(self.images, np.memmap) else to_device(rows)])
        if self.model.pixels:
            low, high = self.model.pixels
            x = x.astype("float32") * ((high - low) / 255) + low
        return x if self.labels is None else (x, self.labels[to_device(rows)])

    def _play(self) -> None:
        # every worker draws the noise for all, so that the numbers do not depend on how many there are
        self.trace = {}
        for i in range(self.d_steps):
            z_d = self._share(self.model.draw_noise(self.rng, self.batch))
            x_real = self.real_batch(i)
            self.d_step(self.G, self.D, self.D_optimizer, self.loss, x_real, z_d, self.trace, **self.d_options)
        z_g = self._share(self.model.draw_noise(self.rng, self.batch))
        g_step(self.G, self.D, self.G_optimizer, self.loss, z_g, self.trace)
        self.step += 1

    def sample(self, n: int, seed: int = 1) -> np.ndarray:
        """n samples that G draws, on the host, (n, ...) in the model's pixel range; a seed stands for one z."""
        return drawn(self.G_average, self.model.draw_noise(rng((self.seed, seed)), n))

    def table(self, rows: int, seed: int = 1) -> np.ndarray:
        """A conditional model's images, a row for each z, a column for each class."""
        return drawn(self.G_average, self.model.draw_table(rng((self.seed, seed)), rows))

    def interpolate(self, walks: int, n: int, seed: int = 2) -> np.ndarray:
        """Walks from one z to another, n images each, (walks n, H, W, C) on the host: a row for each in a grid."""
        return drawn(self.G_average, self.model.draw_walks(rng((self.seed, seed)), walks, n))


def drawn(G: Network, z: Any) -> np.ndarray:
    """What G makes of z, on the host; of pairs (x, labels), x."""
    x = G(z)
    return to_host(x[0] if isinstance(x, tuple) else x)


def network_arrays(network: Any, who: str) -> dict[str, np.ndarray]:
    """A network's parameters and statistics on the host, as "who.0.W", "who.0.b", "who.1.mean", ..."""
    return {f"{who}.{name}": to_host(a) for name, a in (network.params | network.statistics).items()}


def check_fits(arrays: dict[str, np.ndarray], expected: dict[str, np.ndarray], model: str) -> None:
    """Raises CheckpointError, naming the first array that is not as expected, unless all are."""
    for name in sorted(expected.keys() | arrays.keys()):
        ours, theirs = expected.get(name), arrays.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            raise CheckpointError(
                f"This checkpoint is not of the model {model}: its {name} "
                f"{'is missing' if theirs is None else f'has shape {theirs.shape}'}, "
                f"here it {'does not exist' if ours is None else f'has shape {ours.shape}'}."
            )


def load_network(network: Any, who: str, arrays: dict[str, np.ndarray]) -> None:
    """Copy `network_arrays` back into the network. Raises CheckpointError when they do not fit."""
    for name, p in (network.params | network.statistics).items():
        saved = arrays.get(f"{who}.{name}")
        if saved is None or saved.shape != p.shape:
            has = "has none" if saved is None else f"has shape {saved.shape}"
            raise CheckpointError(f"This checkpoint is of another model: for {who}.{name} {p.shape} it {has}.")
        p[...] = to_device(saved)
    network.changed()


def optimizer_state(optimizers: dict[str, Optimizer]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What a checkpoint keeps of optimizers, each with its name: their moments on the host, and their steps."""
    arrays, facts = {}, {}
    for who, optimizer in optimizers.items():
        kept = optimizer.state()
        facts[f"{who}_optimizer.steps"] = kept.pop("steps")
        arrays |= {f"{who}_optimizer.{name}": to_host(moment) for name, moment in kept.items()}
    return arrays, facts


def load_optimizers(optimizers: dict[str, Optimizer], arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Give `optimizer_state` back to the optimizers."""
    for who, optimizer in optimizers.items():
        moments = {name: arrays[f"{who}_optimizer.{name}"] for name in optimizer.moments}
        optimizer.load({"steps": facts[f"{who}_optimizer.steps"], **moments})


def measured(trace: dict[str, Any], D: Any, G: Any) -> dict[str, float]:
    """A step's trace in numbers on the host: both losses, D(x), D(G(z)) and both gradient norms (MEASURES)."""
    values = (
        trace["d_value"],
        trace["g_value"],
        sigmoid(trace["real_logits"]).mean(),
        sigmoid(trace["fake_logits"]).mean(),
        gradient_norm(D),
        gradient_norm(G),
    )
    return dict(zip(MEASURES, (float(to_host(v)) for v in values)))


def train(model: GAN, images: np.ndarray, *, steps: int, **options: Any) -> Iterator[Training]:
    """Play the game for so many steps, and give the whole state after each: networks, caches, logits, losses.

    images (M, H, W, C) uint8. Options as for `Training`.
    """
    training = Training(model, images, **options)
    while training.step < steps:
        training.advance()
        yield training
