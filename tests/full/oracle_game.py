"""Does the game teach what maximum likelihood does not? SeqGAN on its synthetic benchmark, made small, and a control.

    python tests/full/oracle_game.py [--seeds 0 1 2] [--processes 2]

The benchmark of Yu et al. 2017 at a size for two cores: an oracle LSTM with weights from N(0, 1), 32 hidden units,
and 50 words; 20,000 sequences of 10. G has 8 hidden units: it cannot say all that the oracle says, and must choose
what to leave out. Maximum likelihood spreads it over everything; D punishes what no real text has. Batches of 256; 50
epochs of maximum likelihood, the last quarter at a tenth of the rate; D alone; then rounds of one step of G (8
rollouts for each word, a rate of 0.003) and five of D. Two ways to play:

    SeqGAN        D's verdicts are the rewards, less the others' mean at the same place
    constant      every reward is 1/2, and none is taken off: nothing that D knows reaches G

Measured on 10,000 sequences that G writes: the oracle's mean -log p of a word (lower: the oracle finds them more
likely), their own under G (its entropy), the share of different runs of four words, and G's NLL of 2,000 held-out
sequences. The plateau is the lowest value that the same seed reached in maximum likelihood.
Ends with status 1 unless SeqGAN falls below it by more than three standard errors over the seeds.
"""

import argparse
import multiprocessing
import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads: runs go side by side, one core each

import numpy as np

from minigan.backend import rng
from minigan.metrics.text import distinct
from minigan.models.seqgan import oracle
from minigan.run import keep_memory
from minigan.writing import Corpus, WritingTraining

VOCABULARY, LENGTH, COUNT, HELD_OUT, BATCH = 50, 10, 20_000, 2000, 256
MLE, PRETRAIN, ROUNDS, LOOK = 50 * (COUNT // BATCH), 1500, 200, 40
SETTINGS = {"hidden": 8, "batch": BATCH, "filters": {2: 50, 3: 50, 4: 50}, "lr": 1e-2, "lr_game": 3e-3, "lr_d": 1e-3}
WAYS = {
    "SeqGAN": {"baseline": True, "d_steps": 5, "copies": 8},
    "constant": {"baseline": False, "d_steps": 1, "copies": 1, "constant": True},
}


def play(job):
    """One run: (way, seed) -> what was measured, by step: (NLL oracle, entropy, distinct-4, NLL test)."""
    way, seed = job
    keep_memory()
    truth = oracle(rng(1), VOCABULARY, 32, 32)
    words = truth.write(rng((seed, 7)), COUNT + HELD_OUT, LENGTH)
    corpus = Corpus(words[COUNT:], oracle=truth)
    pretrain = 1 if way == "constant" else PRETRAIN  # it has no use for D
    training = WritingTraining(
        words[:COUNT], corpus, VOCABULARY, mle=MLE, pretrain=pretrain, seed=seed, **SETTINGS, **WAYS[way]
    )

    def look():
        written = training.sample(10_000)
        nll = -truth.log_likelihood(written).mean()
        own = -training.G.log_likelihood(written).mean()
        return nll, own, distinct(written.tolist(), 4), -training.G.log_likelihood(words[COUNT:]).mean()

    begun, seen = time.perf_counter(), {}
    while training.step < MLE + pretrain + ROUNDS:
        if training.step == MLE * 3 // 4:
            training.optimizers["MLE"].lr /= 10
        training.advance()
        rounds = training.step - MLE - pretrain
        if training.step <= MLE and training.step % (MLE // 10) == 0:
            seen[training.step - MLE] = look()  # 0 or less: maximum likelihood
        elif rounds > 0 and rounds % LOOK == 0:
            seen[rounds] = look()
    print(f"{way}, seed {seed}: {time.perf_counter() - begun:.0f} s", flush=True)
    return way, seed, {step: tuple(map(float, row)) for step, row in seen.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=["SeqGAN", "constant"], choices=WAYS)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    begun = time.perf_counter()
    jobs = [(way, seed) for way in args.ways for seed in args.seeds]
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        found = {(way, seed): seen for way, seed, seen in pool.imap_unordered(play, jobs, chunksize=1)}
    print(f"\n{time.perf_counter() - begun:.0f} s for all, {args.processes} processes. Mean +- standard error:")
    print(" " * 10 + "  round         NLL oracle      below plateau  entropy distinct-4  NLL test")
    good = True
    for way in args.ways:
        runs = [found[way, seed] for seed in args.seeds]
        plateaus = np.array([min(row[0] for step, row in seen.items() if step <= 0) for seen in runs])
        for rounds in [0, *range(LOOK, ROUNDS + 1, LOOK)]:
            rows = np.array([seen[rounds] for seen in runs])  # (seeds, 4)
            falls = plateaus - rows[:, 0]
            error = lambda a: a.std(ddof=1) / np.sqrt(len(a)) if len(a) > 1 else np.nan
            nll = f"{rows[:, 0].mean():.4f} +- {error(rows[:, 0]):.4f}"
            fall = f"{falls.mean():.4f} +- {error(falls):.4f}"
            print(f"{way:10} {rounds:6} {nll:>18} {fall:>18} " + "{1:8.3f} {2:10.3f} {3:9.3f}".format(*rows.mean(0)))
        if way == "SeqGAN":
            good = falls.mean() > 3 * error(falls) and falls.mean() > 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
