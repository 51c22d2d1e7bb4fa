"""The command line of the benchmark: `python -m minigan.bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from minigan import bench
from minigan.bench import CASES
from minigan.bench.case import WORKERS
from minigan.bench.measuring import measure, print_table, work
from minigan.workers import usable


def machine(torch_python: str) -> dict[str, Any]:
    """What the numbers depend on; "torch" is None where that interpreter cannot import torch and numpy."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts = {"system": f"{platform.system()} {platform.machine()}", "CPUs": os.cpu_count(), "threads": threads}
    facts |= {"Python": platform.python_version(), "NumPy": np.__version__}
    facts |= {"BLAS": f"{blas.get('name')} {blas.get('version')}"}
    try:
        code = "import numpy, torch; print(torch.__version__)"
        done = subprocess.run([torch_python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"bench: {torch_python} cannot be started: {error.strerror}.")
    return facts | {"torch": done.stdout.strip() or None}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m minigan.bench", description=bench.__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("case", nargs="?", default="mlp", choices=CASES, help="the system whose training step is timed")
    usual = "; ".join(f"{name}: {' '.join(map(str, case.batches))}" for name, case in CASES.items())
    add("--batch", nargs="+", type=int, metavar="N", help=f"batch sizes ({usual})")
    add("--rounds", type=int, default=4, help="how often the contestants take turns (4)")
    add("--seconds", type=float, default=4.0, help="how long each is timed in a round (4)")
    add("--torch-python", metavar="PATH", help="a Python (3.11 or newer) that has torch and numpy, if not this one")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: CuPy against torch.cuda, without TF32")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--worker", type=json.loads, help=argparse.SUPPRESS)  # the job of one contestant's process
    args = parser.parse_args(arguments)
    if args.worker:
        return work(args.worker)
    batches = args.batch or CASES[args.case].batches
    if min(*batches, args.rounds) < 1 or not 0 < args.seconds < float("inf"):
        parser.error("--batch, --rounds and --seconds take positive numbers.")
    if args.json and not args.json.resolve().parent.is_dir():
        parser.error(f"There is no folder {args.json.resolve().parent} to write {args.json.name} into.")
    torch_python = os.path.abspath(shutil.which(args.torch_python or sys.executable) or args.torch_python)
    facts = machine(torch_python)
    print(f"{args.case} on {args.device}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    if facts["torch"] is None:
        print(f"There is no PyTorch in {torch_python}, so minigan runs alone; to compare, pip install torch==2.13.0")
        print("numpy in an environment of its own, and name the python of that environment with --torch-python.")
    names = [name for name in CASES[args.case].contestants if facts["torch"] or not name.startswith("PyTorch")]
    if args.device == "cuda" or usable() == 1:
        names = [name for name in names if name != WORKERS]
    pythons = {name: torch_python if name.startswith("PyTorch") else sys.executable for name in names}
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        # The other interpreter finds minigan in this folder, and nothing else of this one's packages.
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parents[1], Path(folder) / "minigan", ignore=ignored)
        for batch in batches:
            tables.append(measure(args, batch, facts["threads"], pythons, Path(folder)))
            print_table(tables[-1])
    if args.json:
        settings = {"case": args.case, "device": args.device, "rounds": args.rounds, "seconds": args.seconds}
        args.json.write_text(json.dumps({"machine": facts, "settings": settings, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
