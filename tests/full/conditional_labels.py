"""Does a conditional generator draw the digit it is asked for? And does it, when the labels mean nothing?

    python tests/full/conditional_labels.py [--models conditional conditional-joined] [--seed 0] [--out FOLDER]

Trains at the defaults, draws 100 images of each digit and asks the 5 nearest of the 10,000 training digits for the
class. The control is trained on the same images with their labels shuffled: the asked digit should come by chance,
10 %. Beside them, the same vote on 1,000 test digits: what the vote itself can tell.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minigan.backend import rng
from minigan.data import load_digits
from minigan.metrics.neighbours import vote
from minigan.run import Settings, run
from minigan.training import drawn

ASKED = np.repeat(np.arange(10), 100)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--models", nargs="+", default=["conditional"])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--steps", type=int)
    options.add_argument("--out", type=Path, help="keep the runs here")
    options = options.parse_args()
    (images, labels), (test, test_labels) = load_digits("train"), load_digits("test")
    real = np.mean(vote(test[:1000], images, labels) == test_labels[:1000])
    print(f"{'1,000 test digits':<32} {'':>7}  {real:.1%} by the vote of 5 neighbours")
    shuffled = np.random.default_rng(0).permutation(labels)
    good = True
    with tempfile.TemporaryDirectory() as home:
        for model in options.models:
            given = {} if options.steps is None else {"steps": options.steps}
            settings = Settings.of(model, seed=options.seed, **given)
            for name, its_labels in ((model, labels), (f"{model}-shuffled", shuffled)):
                began = time.perf_counter()
                where = run(settings, images, (options.out or Path(home)) / name, beside=its_labels, progress=False)
                seconds = time.perf_counter() - began
                gan, _ = where.load()
                z, _ = gan.draw_noise(rng(1), len(ASKED))
                x = drawn(gan.G, (z, ASKED))
                found = vote(np.rint((x + 1) * 127.5), images, labels)
                share = np.mean(found == ASKED)
                each = " ".join(f"{np.mean(found[k == ASKED] == k):4.0%}" for k in range(10))
                print(f"{name:<32} {seconds:6.0f}s  {share:.1%} as asked; of each digit {each}", flush=True)
                good &= share >= 0.9 if its_labels is labels else share < 0.15
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
