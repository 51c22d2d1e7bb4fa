"""The measuring: one contestant in a process of its own, all of them in alternation, and the table.

A job says what one process does; it goes there as JSON, and the times come back the same way.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigan.backend import use, xp
from minigan.bench import CASES
from minigan.bench.case import BEST, TUTORIAL, Player

WARM_UP = 30  # steps before the clock counts, or fewer if they take longer than what is counted
QUIET_ALLOCATOR = {  # settings of glibc's malloc; they mean nothing elsewhere
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}


# ---- one contestant, in a process of its own ---------------------------------------------------------------------


def prepare(name: str, device: str, threads: int) -> Callable[[], Any]:
    """Sets device, threads and precision; returns what waits for the device."""
    if name.startswith("PyTorch"):
        import torch

        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = name == BEST
        wait = torch.cuda.synchronize
    else:
        use("cupy" if device == "cuda" else "numpy")
        wait = lambda: xp.cuda.runtime.deviceSynchronize()
    return wait if device == "cuda" else lambda: None


def peak_mib() -> float | None:
    """The most memory, not a GPU's, that this process has held, in MiB; None where the system does not tell.

    Its workers' are added: what they share counts several times.
    """
    if sys.platform == "linux":  # getrusage would not do: ru_maxrss starts at the peak of the process that started us
        ids = ["self", *(process.pid for process in multiprocessing.active_children())]
        found = [re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{i}/status").read_text()) for i in ids]
        return sum(int(peak[1]) for peak in found) / 1024 if all(found) else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


def work(job: dict[str, Any]) -> None:
    """What the job asks for: a file of gradients, or the times, printed as JSON."""
    wait = prepare(job["name"], job["device"], job["threads"])
    file, dtype = job["gradients"], "float64" if job["gradients"] else "float32"
    with np.load(job["start"]) as arrays:
        start = {key: a if a.dtype.kind == "i" else a.astype(dtype, copy=False) for key, a in arrays.items()}
    players = CASES[job["case"]].contestants[job["name"]](start, job["batch"], job["device"])
    del start  # or it would count among what is needed at the peak
    if file:
        np.savez(file, **first_gradients(players))
    else:
        timed_steps(players, wait, job["seconds"], WARM_UP)
        print(json.dumps({"ms": timed_steps(players, wait, job["seconds"]), "peak_mib": peak_mib()}))


def first_gradients(players: dict[str, Player]) -> dict[str, np.ndarray]:
    gradients = {}
    for name, player in players.items():
        player.step(*player.first)
        gradients |= {f"{name}.{key}": g for key, g in player.gradients().items()}
    return gradients


def timed_steps(players: dict[str, Player], wait: Callable, seconds: float, most: float = math.inf) -> list[float]:
    """The ms of each step, for so many seconds: at least three steps, and not more than `most`."""
    ms, end = [], time.perf_counter() + seconds
    while len(ms) < 3 or (len(ms) < most and time.perf_counter() < end):
        before = time.perf_counter()
        for player in players.values():
            player.step(*player.draw())
        wait()
        ms.append(1000 * (time.perf_counter() - before))
    return ms


# ---- all of them, in alternation ---------------------------------------------------------------------------------


def run_worker(python: str, folder: Path, job: dict[str, Any]) -> str:
    """What one contestant prints. Ends the program with its last words when it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    fixed = {"PYTHONPATH": str(folder), "MINIGAN_BACKEND": "numpy", "CUPY_TF32": "0"}
    command = [python, "-m", "minigan.bench", "--worker", json.dumps(job)]
    env = os.environ | QUIET_ALLOCATOR | threads | fixed
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or f"it ended with code {done.returncode}").splitlines()[-1]
        sys.exit(f"bench: {job['name']} could not run at batch {job['batch']}: {words}")
    return done.stdout


def measure(args: argparse.Namespace, batch: int, threads: int, pythons: dict[str, str], folder: Path) -> dict:
    """All rounds of one batch. pythons: the interpreter of each contestant. Returns what print_table prints."""
    case, bases = CASES[args.case], [base for base in (TUTORIAL, BEST) if base in pythons]
    job = dict(case=args.case, batch=batch, seconds=args.seconds, device=args.device, threads=threads)
    job |= {"start": str(folder / "start.npz"), "gradients": None}
    np.savez(job["start"], **case.start(batch))
    for name, python in pythons.items() if bases else ():
        print(f"batch {batch}, gradients: {name}", file=sys.stderr)
        run_worker(python, folder, job | {"name": name, "gradients": str(folder / f"{name}.npz")})
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for r in range(args.rounds):
        for name, python in pythons.items():
            print(f"batch {batch}, round {r + 1} of {args.rounds}: {name}", file=sys.stderr)
            runs[name].append(json.loads(run_worker(python, folder, job | {"name": name}).splitlines()[-1]))

    rows, gflop = {}, case.flop(batch) / 1e9
    of_rounds = {name: np.array([np.median(run["ms"]) for run in rounds]) for name, rounds in runs.items()}
    for name, rounds in runs.items():
        median, best_decile = np.quantile(np.concatenate([run["ms"] for run in rounds]), [0.5, 0.1]).tolist()
        row = rows[name] = {
            "ms_median": median,
            "ms_best_decile": best_decile,
            "ms_of_rounds": of_rounds[name].tolist(),
            "peak_mib": max((run["peak_mib"] for run in rounds if run["peak_mib"]), default=None),
        }
        row |= {"steps_per_s": 1000 / median, "gflop_per_s": 1000 * gflop / median, "ratio_to": {}}
        for base in bases:
            ratios = of_rounds[name] / of_rounds[base]  # within a round: a machine that drifts does less harm
            numbers = {"median": np.median(ratios), "lowest": ratios.min(), "highest": ratios.max()}
            row["ratio_to"][base] = {key: float(number) for key, number in numbers.items()}
        row["parity"] = parity(folder / f"{name}.npz", folder / f"{TUTORIAL}.npz") if bases else None
    return {"batch": batch, "gflop": gflop, "contestants": rows}


def parity(our_file: Path, torch_file: Path) -> dict[str, float]:
    """For each player, the largest difference between the first gradients, relative to a gradient's largest entry."""
    worst: dict[str, float] = {}
    with np.load(our_file) as ours, np.load(torch_file) as torchs:
        for key, g in torchs.items():  # "D.0.W"
            size = abs(g).max() if abs(g).max() > 1e-9 else 1.0  # a critic's last bias has none but roundings
            player, apart = key.split(".")[0], float(abs(ours[key] - g).max() / size)
            worst[player] = max(apart, worst.get(player, 0.0))
    return worst


def print_table(table: dict[str, Any]) -> None:
    rows = table["contestants"]
    bases = {"time / tutorial's": TUTORIAL, "time / best's": BEST} if BEST in rows else {}
    print(f"\nbatch {table['batch']}: {table['gflop']:.2f} GFLOP of unavoidable products a step")
    print(f"{'':<29}{'ms/step':>9}{'best decile':>13}{'steps/s':>9}{'GFLOP/s':>9}{'peak MiB':>10}", end="")
    print("".join(f"{title:>20}" for title in bases))
    for name, row in rows.items():
        print(f"{name:<29}{row['ms_median']:>9.2f}{row['ms_best_decile']:>13.2f}", end="")
        peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        print(f"{row['steps_per_s']:>9.1f}{row['gflop_per_s']:>9.1f}{peak:>10}", end="")
        ratios = [row["ratio_to"][base] for base in bases.values()]
        print("".join(f"{r['median']:>7.2f} ({r['lowest']:.2f}..{r['highest']:.2f})" for r in ratios))
    if bases:
        print("ms/step: the median of all. Ratios: the median (lowest..highest) of the rounds'; below 1 is faster.")
        print(f"Parity: first gradients, in float64, less those of {TUTORIAL}, relative to their largest entry:")
        apart = {name: ", ".join(f"{p} {d:.0e}" for p, d in row["parity"].items()) for name, row in rows.items()}
        print("; ".join(f"{name} {numbers}" for name, numbers in apart.items() if name != TUTORIAL))
