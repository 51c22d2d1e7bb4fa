"""`minigan train` at its defaults, in three seeds: how long it takes, which digits it draws, and how well.

    python tests/full/class_coverage.py [--seeds 0 1 2] [--models mlp dcgan] [-- flags for minigan train]

Each run is timed from the command's start to its end. Of 2,000 samples, each gets the label of the nearest of the
10,000 training digits; every class should have at least 3 %. Precision, recall, density and coverage are against the
2,000 test digits, which no run has seen (k = 5, on pixels). Beside them the same for 2,000 training digits.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minigan.data import load_digits
from minigan.metrics.neighbours import class_shares, precision_recall


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--models", nargs="+", default=["mlp"])
    options.add_argument("flags", nargs="*", help="flags for minigan train, after --")
    options = options.parse_args()
    images, labels = load_digits("train")
    print(f"{'':<12}  seconds  least  prec.  rec.  dens.  cov.   share of each digit 0..9, %")
    some = np.random.default_rng(0).permutation(len(images))[:2000]
    report("real digits", "", measured(images[some], images, labels))
    good = True
    for model in options.models:
        for seed in options.seeds:
            seconds, samples = made_by(model, seed, options.flags)
            found = measured(samples, images, labels)
            report(f"{model} {seed}", f"{seconds:.1f}", found)
            good &= found["shares"].min() >= 0.03
    print("every class has at least 3 %" if good else "a class has less than 3 %")
    return 0 if good else 1


def made_by(model, seed, flags):
    """How long a run took, and 2,000 of its samples, uint8."""
    with tempfile.TemporaryDirectory() as home:
        minigan = [sys.executable, "-m", "minigan"]
        began = time.perf_counter()
        flags = ["--out", "run", "--seed", str(seed), "--quiet", *flags]
        subprocess.run([*minigan, "train", model, *flags], cwd=home, check=True, capture_output=True)
        seconds = time.perf_counter() - began
        draw = ["sample", "run", "-n", "2000", "-o", "s.npz"]
        subprocess.run([*minigan, *draw], cwd=home, check=True, capture_output=True)
        images = np.load(Path(home, "s.npz"))["images"]
    low = 0.0 if model == "mlp-sigmoid" else -1.0
    return seconds, np.clip(np.rint((images - low) / (1 - low) * 255), 0, 255).astype("uint8")


def measured(samples, images, labels):
    test = load_digits("test")[0]
    return {"shares": class_shares(samples, images, labels), **precision_recall(samples / 255, test / 255)}


def report(name, seconds, found):
    digits = " ".join(f"{100 * share:4.1f}" for share in found["shares"])
    parts = " ".join(f"{found[key]:5.2f}" for key in ("precision", "recall", "density", "coverage"))
    print(f"{name:<12}  {seconds:>7}  {100 * found['shares'].min():5.1f}  {parts}   {digits}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
