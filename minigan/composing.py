"""The training of MidiNet: bars of real tunes, each with its chord and the bar before; D once, then G twice.

M bars of real tunes, N bars a batch, 16 steps a bar.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.backend import rng, rng_state, set_rng_state, to_device, to_host
from minigan.checkpoint import CheckpointError
from minigan.data.music import Melodies, stretches
from minigan.models.midinet import NOISE, Composer, Listener, bar_before, compose, d_step, g_step, one_hot
from minigan.optim import Adam
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

BARS = 8  # of a tune, as in the paper


class MusicTraining(Training):
    """Everything that the next step depends on: G and D, their optimizers, the bars, the noise, the step.

    melodies: what is trained on; test: tunes that lend their chords to samples. A step is one of D and `g_steps` of
    G, with the weights of feature matching that `minigan.models.midinet.g_step` has.
    conditions: False is the control, networks that are told neither the chord nor the bar before.
    Other options mean what they mean in a Training.
    """

    pixels = None

    def __init__(
        self,
        melodies: Melodies,
        test: Melodies,
        *,
        conditions: bool = True,
        batch: int = 72,
        lr: float = 2e-4,
        lr_d: float | None = None,
        g_steps: int = 2,
        seed: int = 0,
        average: float = 0.0,
        workers: int = 1,
    ) -> None:
        if not 0 < batch <= len(melodies.melody):
            raise ValueError(f"A batch of {batch} cannot be taken from {len(melodies.melody)} bars.")
        if batch % workers:
            raise ValueError(f"A batch of {batch} cannot be shared out evenly to {workers} workers.")
        self.test, self.batch, self.g_steps, self.seed = test, batch, g_steps, seed
        self.name = "midinet" if conditions else "midinet-deaf"
        self.rng = rng(seed)
        self.G, self.D = Composer(rng=self.rng, conditions=conditions), Listener(rng=self.rng, conditions=conditions)
        self.G_optimizer, self.D_optimizer = Adam(self.G, lr), Adam(self.D, lr_d or lr)
        self.melody, self.previous = (to_device(a.astype("int64")) for a in (melodies.melody, melodies.previous))
        self.chord = to_device(melodies.chord)
        self.average, self.G_average = average, self.G.copy() if average else self.G
        self.epochs = Epochs(len(melodies.melody), batch, seed)
        self.workers = Workers(workers, self.G_optimizer, self.D_optimizer) if workers > 1 else None
        self.step = 0
        self.trace: dict[str, Any] = {}

    def _play(self) -> None:
        # every worker draws the noise for all, so that the numbers do not depend on how many there are
        rows = to_device(self._share(self.epochs.rows(self.step)))
        x_real, previous = one_hot(self.melody[rows]), bar_before(self.previous[rows])
        y = self.chord[rows]
        noise = lambda: self._share(self.rng.standard_normal((self.batch, NOISE), dtype="float32"))
        self.trace = {}
        d_step(self.G, self.D, self.D_optimizer, x_real, y, previous, noise(), trace=self.trace)
        for _ in range(self.g_steps):
            g_step(self.G, self.D, self.G_optimizer, x_real, y, previous, noise(), trace=self.trace)
        self.step += 1

    def sample(self, n: int, seed: int = 1) -> tuple[np.ndarray, Melodies]:
        """n tunes of 8 bars over chords of held-out tunes: pitches (n, 8, 16) and the bars that lent the chords.

        The chords are those of `stretches` of the test tunes, taken by turns; their rows are (n 8) in that order.
        Where all those tunes are shorter, their chords begin again.
        """
        rows = stretches(self.test, BARS)
        if not len(rows):
            one_tune = lambda k: np.resize(np.flatnonzero(self.test.tune == k), BARS)
            rows = np.stack([one_tune(k) for k in np.unique(self.test.tune)])
        rows = rows[np.arange(n) % len(rows)]  # (n, 8)
        z = rng((self.seed, seed)).standard_normal((n, BARS, NOISE), dtype="float32")
        tunes = to_host(compose(self.G_average, z, to_device(self.test.chord[rows])))
        return tunes, Melodies(*(a[rows.ravel()] for a in self.test))

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host: both losses, D(x), D(G(z)) and both gradient norms."""
        return {"step": self.step, **measured(self.trace, self.D, self.G)}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        facts = {"step": self.step, "rng": rng_state(self.rng), "model": self.name}
        moments, steps = optimizer_state({"G": self.G_optimizer, "D": self.D_optimizer})
        arrays = network_arrays(self.G_average, "G_average") if self.average else {}
        return arrays | network_arrays(self.G, "G") | network_arrays(self.D, "D") | moments, facts | steps

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is another model's; then nothing has changed."""
        check_fits(arrays, self.state()[0], self.name)
        if facts["model"] != self.name:  # the control's arrays have the same shapes
            raise CheckpointError(f"This checkpoint is of the model {facts['model']}, not of {self.name}.")
        if self.workers is not None:
            self.workers.stop()  # the others would go on from where they are; they start anew with the next step
        if self.average:
            load_network(self.G_average, "G_average", arrays)
        load_network(self.G, "G", arrays)
        load_network(self.D, "D", arrays)
        load_optimizers({"G": self.G_optimizer, "D": self.D_optimizer}, arrays, facts)
        set_rng_state(self.rng, facts["rng"])
        self.step = facts["step"]
