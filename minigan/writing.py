"""The training of SeqGAN: maximum likelihood first, then D alone, then the game; one step after another.

N sequences a batch, T words each, M sequences of real text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigan import losses
from minigan.backend import Array, rng, to_device, to_host
from minigan.data.text import Vocabulary
from minigan.models.seqgan import Reader, Writer, probability_real, read_step, rewards, write_step
from minigan.optim import Adam
from minigan.training import Players, check_batch

LOOK = 256  # held-out sequences whose likelihood is taken for the log
PHASES = ("maximum likelihood", "D alone", "the game")


class Corpus(NamedTuple):
    """What there is beside the training sequences: held-out ones (M, T); the words, or the oracle that made them."""

    test: np.ndarray
    vocabulary: Vocabulary | None = None
    oracle: Writer | None = None


class WritingTraining(Players):
    """Everything that the next step depends on: G and D, their optimizers, the text, the noise, the step.

    words (M, T) integers below `vocabulary`. Steps 1 to `mle` raise the likelihood of real text; the next `pretrain`
    ones teach D to tell it from G's; from then on, G writes N sequences and is rewarded for each word by D's verdict
    on `copies` rollouts, and D reads `d_steps` batches. Each of the three has its own Adam.
    baseline: whether what the others got at the same place is taken off each reward; the paper takes nothing off.
    constant: a control, where every reward is 1/2, and so nothing that D knows reaches G.
    workers: processes that share each step of maximum likelihood (minigan.workers).
    """

    def __init__(
        self,
        words: np.ndarray,
        corpus: Corpus,
        vocabulary: int,
        *,
        mle: int,
        pretrain: int,
        features: int = 32,
        hidden: int = 32,
        filters: dict[int, int] | None = None,
        batch: int = 64,
        lr: float = 0.01,
        lr_game: float = 0.01,
        lr_d: float = 1e-3,
        d_steps: int = 3,
        copies: int = 4,
        baseline: bool = False,
        constant: bool = False,
        seed: int = 0,
        workers: int = 1,
    ) -> None:
        check_batch(batch, workers, len(words), "sequences")
        self.words, self.corpus, self.mle, self.pretrain = words, corpus, mle, pretrain
        self.d_steps, self.copies, self.baseline, self.constant = d_steps, copies, baseline, constant
        random = rng(seed)
        G = Writer(vocabulary, features, hidden, rng=random)
        D = Reader(vocabulary, filters=filters, rng=random)
        # the paper clips at a norm of 5 and uses Adam's usual 0.9
        optimizers = {
            "MLE": Adam(G, lr, 0.9, clip=5.0),
            "G": Adam(G, lr_game, 0.9, clip=5.0),
            "D": Adam(D, lr_d, 0.9),
        }
        shared = {"count": len(words), "batch": batch, "seed": seed, "workers": workers}
        self.begin("seqgan", {"G": G, "D": D}, optimizers, random, **shared, shared=("MLE",) if mle else ())
        self.last = {"nll": 0.0, "d_loss": 0.0, "reward": 0.0}  # what a phase does not compute keeps its last value

    @property
    def length(self) -> int:
        """T, the words of a sequence."""
        return self.words.shape[1]

    @property
    def phase(self) -> int:
        """0, 1 or 2: that of the next step."""
        return (self.step >= self.mle) + (self.step >= self.mle + self.pretrain)

    def real_batch(self) -> Array:
        """The sequences of the next step, (N, T)."""
        return to_device(self.words[self.epochs.rows(self.step)])

    def advance(self) -> None:
        """One step of the phase it falls into."""
        if self.phase == 0 and self.workers is None:
            self._learn(self.step)
        elif self.phase == 0:
            self.workers.start(self._learn)
            self.workers(self.step)
        elif self.phase == 1:
            self._read()
        else:
            written = self.G.write(self.rng, self.batch, self.length)
            judge = (lambda words: 0.5 + 0.0 * words[:, 0]) if self.constant else probability_real(self.D)
            reward = rewards(self.G, judge, self.rng, written, self.copies)
            write_step(self.G, self.optimizers["G"], written, reward, self.baseline)
            self.last["reward"] = reward[:, -1].mean()
            for _ in range(self.d_steps):
                self._read()
        self.step += 1

        if self.phase and self.workers is not None:
            self.workers.stop()  # what comes now is one process's: D's dropout and G's choices draw in one order

    def _learn(self, step: int) -> None:
        self.step = step  # a worker knows no other
        batch = self.real_batch()
        self.G.zero_grad()
        self.last["nll"] = self.G.learn(batch if self.workers is None else self.workers.rows(batch))
        self.optimizers["MLE"].step()

    def _read(self) -> None:
        rows = np.random.default_rng((self.seed, self.step, 1)).integers(0, len(self.words), self.batch)
        written = self.G.write(self.rng, self.batch, self.length)
        real = to_device(self.words[rows])
        self.last["d_loss"] = read_step(self.D, self.optimizers["D"], losses.non_saturating, real, written, 0.2)

    def sample(self, n: int, seed: int = 1, temperature: float = 1.0) -> np.ndarray:
        """n sequences that G writes, on the host, (n, T)."""
        return to_host(self.G.write(rng((self.seed, seed)), n, self.length, temperature=temperature))

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host. All nll are means over words, in nats.

        nll: of the batch, under G (with workers: of the first one's share); nll_test: of held-out text; nll_oracle:
        of G's text under the oracle, where there is one, else 0; d_loss: D's; reward: D's mean verdict on sequences.
        """
        row = {"step": self.step, "phase": float(self.phase), **{k: float(to_host(v)) for k, v in self.last.items()}}
        row["nll_test"] = float(-to_host(self.G.log_likelihood(self.corpus.test[:LOOK]).mean()))
        written = None if self.corpus.oracle is None else self.sample(LOOK)
        oracle = self.corpus.oracle
        row["nll_oracle"] = 0.0 if oracle is None else float(-to_host(oracle.log_likelihood(written).mean()))
        return row

    def brief(self, row: dict[str, float]) -> str:
        """For the progress bar."""
        oracle = "" if self.corpus.oracle is None else f"  oracle {row['nll_oracle']:.3f}"
        return f"{PHASES[self.phase]}: NLL test {row['nll_test']:.3f}{oracle}  D {row['d_loss']:.2f}"

    def facts(self) -> dict[str, Any]:
        last = {name: float(to_host(value)) for name, value in self.last.items()}
        return super().facts() | {"length": self.length, "last": last}

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        super().load(arrays, facts)
        self.last = dict(facts["last"])
