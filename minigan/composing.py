"""The training of MidiNet: bars of real tunes, each with its chord and the bar before; D once, then G twice.

M bars of real tunes, N bars a batch, 16 steps a bar.
"""

from __future__ import annotations

import numpy as np

from minigan.backend import rng, to_device, to_host
from minigan.data.music import Melodies, stretches
from minigan.models.midinet import NOISE, Composer, Listener, bar_before, compose, d_step, g_step, one_hot
from minigan.optim import Adam
from minigan.training import Players, check_batch

BARS = 8  # of a tune, as in the paper


class MusicTraining(Players):
    """Everything that the next step depends on: G and D, their optimizers, the bars, the noise, the step.

    melodies: what is trained on; test: tunes that lend their chords to samples. A step is one of D and `g_steps` of
    G, with the weights of feature matching that `minigan.models.midinet.g_step` has.
    conditions: False is the control, networks that are told neither the chord nor the bar before.
    Other options mean what they mean in a Training.
    """

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
        check_batch(batch, workers, len(melodies.melody), "bars")
        self.test, self.g_steps, random = test, g_steps, rng(seed)
        G, D = Composer(rng=random, conditions=conditions), Listener(rng=random, conditions=conditions)
        self.melody, self.previous = (to_device(a.astype("int64")) for a in (melodies.melody, melodies.previous))
        self.chord = to_device(melodies.chord)
        name, optimizers = "midinet" if conditions else "midinet-deaf", {"G": Adam(G, lr), "D": Adam(D, lr_d or lr)}
        shared = {"count": len(self.chord), "batch": batch, "seed": seed, "average": average, "workers": workers}
        self.begin(name, {"G": G, "D": D}, optimizers, random, **shared)

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
