"""SeqGAN's synthetic benchmark, the part before the game: how near maximum likelihood comes to the oracle.

    python tests/full/oracle_mle.py [--epochs 50] [--oracle ORACLE.npz] [--seed 0]

Settings of the published code: 5,000 words, 32 features, 32 hidden units, 10,000 sequences of 20 words, batches of 64
and Adam with a rate of 0.01. The measure: the oracle's mean -log p of a word, over 9,984 sequences that G wrote.
Without --oracle, the arrays of the published oracle, minigan's own is taken, drawn from a seed.
Ends with status 1 where the curve stays above 9.15.
"""

import argparse
import sys
import time

import numpy as np

from minigan.backend import rng
from minigan.models.seqgan import oracle, oracle_from
from minigan.run import keep_memory
from minigan.workers import usable
from minigan.writing import Corpus, WritingTraining

PUBLISHED = {0: 10.1716, 5: 9.4294, 10: 9.2388, 15: 9.1190, 50: 9.1068, 100: 9.0744, 115: 9.0706}  # epoch: NLL
GOAL = 9.15


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--oracle")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keep_memory()
    truth = oracle_from(np.load(args.oracle)) if args.oracle else oracle(rng(1))
    words = truth.write(rng(2), 10_000 + 1_000, 20)
    training = WritingTraining(
        words[:10_000],
        Corpus(words[10_000:], oracle=truth),
        5000,
        mle=1 + args.epochs * (10_000 // 64),
        pretrain=0,
        seed=args.seed,
        workers=min(2, usable()),
    )
    own = -truth.log_likelihood(words[10_000:]).mean()
    print(f"The oracle's own entropy, of 1,000 sequences: {own:.3f}. Workers: {min(2, usable())}.")
    print(f"{'epoch':>5} {'seconds':>8} {'NLL oracle':>18} {'published':>10} {'NLL test':>9}")
    spent, best = 0.0, np.inf
    for epoch in range(args.epochs + 1):
        if epoch % 5 == 0:
            written = -truth.log_likelihood(training.sample(9_984)).mean(axis=1)
            nll, error = written.mean(), written.std() / np.sqrt(len(written))
            test = -training.G.log_likelihood(words[10_000:]).mean()
            best = min(best, nll)
            known = f"{PUBLISHED[epoch]:.4f}" if epoch in PUBLISHED else ""
            print(f"{epoch:5} {spent:8.1f} {nll:10.4f} +- {error:.4f} {known:>10} {test:9.3f}", flush=True)
        begun = time.perf_counter()
        for _ in range(10_000 // 64 if epoch < args.epochs else 0):
            training.advance()
        spent += time.perf_counter() - begun
    if training.workers:
        training.workers.stop()
    print(f"Lowest: {best:.4f} (at most {GOAL} is asked). Seconds are of training, without the measuring.")
    return 0 if best <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
