"""Time and peak memory of every measure on 10,000 against 10,000 features of 64 dimensions, beside prdc and sklearn.

    python tests/full/measures_compared.py [--rival-python PATH] [-n 10000] [-d 64] [--rounds 3]

The rivals run in an environment of their own, which has numpy, prdc and scikit-learn. Each call is a process of its
own, so that the peak is its alone; all of them alternate, and the middle one of the rounds is shown. The features are
standard normal, float64, on all cores. Below the table: do the rivals' numbers agree with ours?
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

CALL = """
import json, re, sys, time
import numpy as np
n, d = {n}, {d}
r = np.random.default_rng(0)
a, b = r.standard_normal((n, d)), r.standard_normal((n, d)) + 0.1
{setup}
began = time.perf_counter()
found = {call}
seconds = time.perf_counter() - began
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([seconds, peak, {number}]))
"""
OURS = {  # what is imported, what is timed, and numbers of it to be compared
    "precision, recall, density, coverage": (
        "from minigan.metrics.neighbours import precision_recall",
        "precision_recall(a, b, k=5)",
        "[found[k] for k in ('precision', 'recall', 'density', 'coverage')]",
    ),
    "nearest neighbour": (
        "from minigan.metrics.neighbours import nearest",
        "nearest(a, b)",
        "[float(found[1].sum()), float(found[0].sum())]",
    ),
    "memorisation": (
        "from minigan.metrics.neighbours import memorisation\nc = r.standard_normal((n, d))",
        "memorisation(a, b, c)",
        "[float(found.z)]",
    ),
    "Frechet distance": ("from minigan.metrics.frechet import frechet", "frechet(a, b)", "[found]"),
    "KID, 100 subsets of 1,000": ("from minigan.metrics.frechet import kid", "kid(a, b)", "[found.mean]"),
    "energy distance": ("from minigan.metrics.modes import energy_distance", "energy_distance(a, b)", "[found]"),
    "Parzen log-likelihood": (
        "from minigan.metrics.parzen import parzen\nc = r.standard_normal((1000, d))",
        "parzen(a, b, c)",
        "[float(found[0])]",
    ),
}
RIVALS = {
    "precision, recall, density, coverage": (
        "prdc",
        "from prdc import compute_prdc",
        "compute_prdc(real_features=b, fake_features=a, nearest_k=5)",
        "[float(found[k]) for k in ('precision', 'recall', 'density', 'coverage')]",
    ),
    "nearest neighbour": (
        "scikit-learn, brute force",
        "from sklearn.neighbors import NearestNeighbors",
        "NearestNeighbors(n_neighbors=1, algorithm='brute').fit(b).kneighbors(a)",
        "[float(found[0].sum()), float(found[1].sum())]",
    ),
    "nearest neighbour, by a tree": (
        "scikit-learn, k-d tree",
        "from sklearn.neighbors import NearestNeighbors",
        "NearestNeighbors(n_neighbors=1, algorithm='kd_tree').fit(b).kneighbors(a)",
        "[float(found[0].sum()), float(found[1].sum())]",
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival-python", type=Path, help="an environment with prdc and scikit-learn")
    parser.add_argument("-n", type=int, default=10_000)
    parser.add_argument("-d", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    jobs = {("minigan", name): (sys.executable, *job) for name, job in OURS.items()}
    if args.rival_python:
        jobs |= {(who, name): (args.rival_python, *job) for name, (who, *job) in RIVALS.items()}
    found = {key: [] for key in jobs}
    for _ in range(args.rounds):
        for key, (python, setup, call, number) in jobs.items():
            code = CALL.format(n=args.n, d=args.d, setup=setup, call=call, number=number)
            out = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
            found[key].append(json.loads(out.splitlines()[-1]))  # prdc prints, too

    print(f"| {args.n:,} against {args.n:,}, {args.d} dimensions | | seconds | peak memory, MiB |\n|---|---|---|---|")
    for (who, name), runs in found.items():
        seconds, peak, _ = sorted(runs)[len(runs) // 2]
        print(f"| {name} | {who} | {seconds:.2f} | {peak:.0f} |")
    good = True
    for who, name in jobs:
        if who == "minigan":
            continue
        ours, theirs = found["minigan", name.split(", by")[0]][0][2], found[who, name][0][2]
        same = max(abs(x - y) / max(abs(y), 1e-300) for x, y in zip(ours, theirs))
        print(f"{name}: {who} {'agrees' if same < 1e-9 else 'DIFFERS'} (largest relative difference {same:.0e})")
        good &= same < 1e-9
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
