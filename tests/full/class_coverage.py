"""`minigan train mlp` at its defaults, in three seeds: how long it takes, and which digits it draws.

    python tests/full/class_coverage.py [--seeds 0 1 2] [--model mlp] [-- flags for minigan train]

Each run is timed from the command's start to its end. Of 2,000 samples, each gets the label of the nearest of the
10,000 training digits; every class should have at least 3 %. Beside them the same for 2,000 real test digits.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minigan.data import load_digits, scale
from minigan.metrics.neighbours import class_shares


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--model", default="mlp")
    options.add_argument("flags", nargs="*", help="flags for minigan train, after --")
    options = options.parse_args()
    images, labels = load_digits("train")
    low = 0.0 if options.model == "mlp-sigmoid" else -1.0
    real = scale(images, low, 1.0)
    print(f"{'':<12}  seconds  least   share of each digit 0..9, %")
    report("real digits", "", class_shares(scale(load_digits("test")[0], low, 1.0), real, labels))
    good = True
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as home:
            minigan = [sys.executable, "-m", "minigan"]
            began = time.perf_counter()
            flags = ["--out", "run", "--seed", str(seed), "--quiet", *options.flags]
            subprocess.run([*minigan, "train", options.model, *flags], cwd=home, check=True, capture_output=True)
            seconds = time.perf_counter() - began
            subprocess.run(
                [*minigan, "sample", "run", "-n", "2000", "-o", "s.npz"], cwd=home, check=True, capture_output=True
            )
            shares = class_shares(np.load(Path(home, "s.npz"))["images"], real, labels)
        report(f"seed {seed}", f"{seconds:.1f}", shares)
        good &= shares.min() >= 0.03
    print("every class has at least 3 %" if good else "a class has less than 3 %")
    return 0 if good else 1


def report(name, seconds, shares):
    digits = " ".join(f"{100 * share:5.1f}" for share in shares)
    print(f"{name:<12}  {seconds:>7}  {100 * shares.min():5.1f}   {digits}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
