"""The digits' systems at their defaults, three seeds each: one table of `minigan evaluate`, as Markdown.

    python tests/full/evaluation_table.py FOLDER [--seeds 0 1 2] [--systems mlp dcgan ...] [-n N]

Trains and evaluates what is not yet in FOLDER, so that it can be stopped and called again. A cell is the mean over
the seeds and its standard error. The planted rows, in italics, take no run: they are the same in every evaluation.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

SYSTEMS = {
    "mlp": ["mlp"],
    "dcgan": ["dcgan"],
    "conditional": ["conditional"],
    "wgan-gp": ["mlp", "--loss", "wasserstein", "--penalty", "wgan-gp", "--d-steps", "5"],
    "vae": ["vae"],
    "vae-gan": ["vae-gan"],
}
BESIDE = ("floor", "memoriser", "one class", "blurred", "noise")
COLUMNS = ("frechet", "kid", "precision", "recall", "density", "coverage", "score", "class_kl", "z", "copied")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--workers", type=int, help="processes of a training (default: the model's own)")
    parser.add_argument("-n", type=int, help="samples of each run (default: as minigan evaluate has it)")
    args = parser.parse_args()
    found = {}
    for seed in args.seeds:
        for system in args.systems:
            found[system, seed] = evaluated(args.folder / f"{system}-{seed}", system, seed, args)
            print(f"{system} {seed} done", file=sys.stderr, flush=True)

    some = next(iter(found.values()))
    columns = [name for name in COLUMNS if name in some["columns"]]
    print(f"| {some['n']:,} samples | " + " | ".join(some["columns"][name]["heading"] for name in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for system in args.systems:
        row([found[system, seed]["rows"]["run"] for seed in args.seeds], system, columns)
    for name in BESIDE:
        row([found[args.systems[0], args.seeds[0]]["rows"][name]], f"*{name}*", columns)


def evaluated(folder, system, seed, args):
    """The evaluation.json of a run, which is trained and evaluated if it was not before."""
    if not (folder / "evaluation.json").exists():
        minigan = [sys.executable, "-m", "minigan"]
        flags = ["--seed", str(seed), "--out", str(folder), "--quiet"]
        flags += [] if args.workers is None else ["--workers", str(args.workers)]
        flags += ["--resume"] if (folder / "config.json").exists() else []
        subprocess.run([*minigan, "train", *SYSTEMS[system], *flags], check=True)
        count = [] if args.n is None else ["-n", str(args.n)]
        subprocess.run([*minigan, "evaluate", str(folder), *count], check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def row(rows, title, columns):
    cells = []
    for name in columns:
        values = np.array([row["values"][name]["value"] for row in rows], dtype=float)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        cells.append(cell(name, values.mean(), error))
    print(f"| {title} | " + " | ".join(cells) + " |")


def cell(name, mean, error):
    """A mean and its standard error, to the digit that the error has, as far as the measure is worth it."""
    if name == "copied":
        return f"{100 * mean:.1f} %"
    digits = {"frechet": 1, "kid": 3, "z": 1}.get(name, 2)
    return f"{mean:.{digits}f}" if np.isnan(error) else f"{mean:.{digits}f} ± {error:.{digits}f}"


if __name__ == "__main__":
    main()
