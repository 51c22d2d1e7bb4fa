"""How fast is minigan? One full training step beside PyTorch eager, on the same cores, in fair alternation.

    python -m minigan.bench mlp --torch-python ~/torch/bin/python

Every contestant runs in a process of its own, one after the other, round after round: in one process, two libraries
disturb each other's threads and memory. All compute with the same number of threads, from the same weights, under
an allocator that keeps its memory instead of handing it back to the kernel after every step. The very first step of
each is taken on one given batch and its gradients are compared, so that it is seen that all do the same work.

A new case is one more entry of CASES: the count of its products, its start, a small function for each contestant.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import rng, to_device, to_host, use, xp
from minigan.layers import Dense, LeakyReLU, ReLU, Tanh, he
from minigan.losses import non_saturating
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.steps import d_step, g_step, stacked_d_step

MINIGAN, TUTORIAL, BEST = "minigan", "PyTorch as tutorials write it", "PyTorch best"
WARM_UP = 30  # steps before the clock counts
QUIET_ALLOCATOR = {  # settings of glibc's malloc; they mean nothing elsewhere
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
Start = dict[str, np.ndarray]  # weights as "G.0.W", data, and what a player's first step is given, as "first.G.0"


class Player(NamedTuple):
    """One player's part of a training step, which is `step(*draw())` for each player in turn."""

    draw: Callable[[], tuple]  # fresh inputs
    step: Callable[..., Any]
    gradients: Callable[[], dict[str, np.ndarray]]  # of the last step, under minigan's names, in minigan's shapes


class Case(NamedTuple):
    """What is measured: a training step, as each contestant writes it."""

    flop: Callable[[int], float]  # of a batch: the products that no way of writing the step can spare
    start: Callable[[int], Start]  # of a batch
    contestants: dict[str, Callable[[Start, int, str], dict[str, Player]]]  # name: make(start, batch, device)


# ---- mlp: a GAN of Dense layers for images of 784 pixels ---------------------------------------------------------

G_SIZES, D_SIZES = (100, 256, 512, 1024, 784), (784, 1024, 512, 256, 1)


def mlp_flop(batch: int) -> float:
    g, d = (sum(n * m for n, m in pairwise(sizes)) for sizes in (G_SIZES, D_SIZES))
    of_d_step = g + 2 * (3 * d - D_SIZES[0] * D_SIZES[1])  # 3: forward, dW, dx; but nobody wants the first dx
    of_g_step = 3 * g - G_SIZES[0] * G_SIZES[1] + 2 * d  # through D: forward, dx
    return 2.0 * batch * (of_d_step + of_g_step)


def mlp_start(batch: int) -> Start:
    r = np.random.default_rng(0)
    images = r.integers(0, 256, (10_000, 784), "uint8")  # noise: speed does not depend on what they show
    start = {"images": images.astype("float32") / 127.5 - 1}
    for player, sizes in (("G", G_SIZES), ("D", D_SIZES)):
        for i, (n, m) in enumerate(pairwise(sizes)):
            start |= {f"{player}.{2 * i}.W": he(r, (n, m)), f"{player}.{2 * i}.b": np.zeros(m, "float32")}
    z_d, z_g = r.standard_normal((2, batch, 100), "float32")
    x_real = start["images"][r.integers(0, 10_000, batch)]
    return start | {"first.D.0": x_real, "first.D.1": z_d, "first.G.0": z_g}


def mlp_minigan(start: Start, batch: int, device: str, d_step: Callable) -> dict[str, Player]:
    r, images = rng(1), to_device(start["images"])

    def network(name, sizes, hidden, *last):
        layers = [layer for n, m in pairwise(sizes) for layer in (Dense(n, m, rng=r), hidden())]
        net = Sequential(*layers[:-1], *last)
        for key, p in net.params.items():
            p[...] = to_device(start[f"{name}.{key}"])
        net.changed()
        return net, Adam(net, 2e-4, 0.5, 0.999)

    G, adam_G = network("G", G_SIZES, ReLU, Tanh())
    D, adam_D = network("D", D_SIZES, lambda: LeakyReLU(0.2))
    step_D = lambda x_real, z: d_step(G, D, adam_D, non_saturating, x_real, z)
    step_G = lambda z: g_step(G, D, adam_G, non_saturating, z)
    real = lambda: images[r.integers(0, len(images), batch)]
    noise = lambda: r.standard_normal((batch, 100), dtype="float32")
    gradients = lambda net: {key: to_host(g).copy() for key, g in net.grads.items()}
    return {
        "D": Player(lambda: (real(), noise()), step_D, lambda: gradients(D)),
        "G": Player(lambda: (noise(),), step_G, lambda: gradients(G)),
    }


def mlp_torch(start: Start, batch: int, device: str, best: bool) -> dict[str, Player]:
    import torch
    from torch import nn

    minigans = lambda key: key.replace("weight", "W").replace("bias", "b")

    def network(name, sizes, hidden, *last):
        layers = [layer for n, m in pairwise(sizes) for layer in (nn.Linear(n, m), hidden())]
        net = nn.Sequential(*layers[:-1], *last)
        for key, p in net.named_parameters():
            p.data.copy_(torch.from_numpy(start[f"{name}.{minigans(key)}"].T))  # torch's weights are (out, in)
        net.to(device)
        return net, torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), **({"fused": True} if best else {}))

    G, adam_G = network("G", G_SIZES, nn.ReLU, nn.Tanh())
    D, adam_D = network("D", D_SIZES, lambda: nn.LeakyReLU(0.2))
    bce, images = nn.BCEWithLogitsLoss(), torch.from_numpy(start["images"]).to(device)
    ones, zeros = torch.ones(batch, 1, device=device), torch.zeros(batch, 1, device=device)
    ones_above_zeros = torch.cat([ones, zeros])

    def update(adam, loss):
        adam.zero_grad()  # which by now means set_to_none=True
        loss.backward()
        adam.step()

    def tutorial_D(x_real, z):
        x_fake = G(z)
        update(adam_D, bce(D(x_real), ones) + bce(D(x_fake.detach()), zeros))

    def tutorial_G(z):
        update(adam_G, bce(D(G(z)), ones))

    def best_D(x_real, z):
        with torch.no_grad():
            x_fake = G(z)
        update(adam_D, 2 * bce(D(torch.cat([x_real, x_fake])), ones_above_zeros))  # 2: the mean is over twice as many

    def best_G(z):
        D.requires_grad_(False)
        update(adam_G, bce(D(G(z)), ones))
        D.requires_grad_(True)

    real = lambda: images[torch.randint(0, len(images), (batch,), device=device)]
    noise = lambda: torch.randn(batch, 100, device=device)
    gradients = lambda net: {minigans(key): p.grad.cpu().numpy().T.copy() for key, p in net.named_parameters()}
    return {
        "D": Player(lambda: (real(), noise()), best_D if best else tutorial_D, lambda: gradients(D)),
        "G": Player(lambda: (noise(),), best_G if best else tutorial_G, lambda: gradients(G)),
    }


MLP = {MINIGAN: partial(mlp_minigan, d_step=stacked_d_step), "minigan plain": partial(mlp_minigan, d_step=d_step)}
MLP |= {TUTORIAL: partial(mlp_torch, best=False), BEST: partial(mlp_torch, best=True)}
CASES = {"mlp": Case(mlp_flop, mlp_start, MLP)}

# ---- one contestant, in a process of its own ---------------------------------------------------------------------


def prepare(name: str, device: str, threads: int) -> tuple[Callable, Callable]:
    """Sets device, threads and precision; returns what puts an array on the device, and what waits for the device."""
    if name.startswith("PyTorch"):
        import torch

        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        put, wait = lambda a: torch.from_numpy(a).to(device), torch.cuda.synchronize
    else:
        use("cupy" if device == "cuda" else "numpy")
        put, wait = to_device, lambda: xp.cuda.runtime.deviceSynchronize()
    return put, wait if device == "cuda" else lambda: None


def work(job: dict[str, Any]) -> None:
    """First step on the given batch, its gradients to a file; warm up; time every step and print the ms as JSON."""
    put, wait = prepare(job["name"], job["device"], job["threads"])
    with np.load(job["start"]) as file:
        start = dict(file)
    players = CASES[job["case"]].contestants[job["name"]](start, job["batch"], job["device"])
    gradients = {}
    for name, player in players.items():
        player.step(*(put(start[key]) for key in sorted(start) if key.startswith(f"first.{name}.")))
        gradients |= {f"{name}.{key}": g for key, g in player.gradients().items()}
    np.savez(job["gradients"], **gradients)

    def timed_step() -> float:
        before = time.perf_counter()
        for player in players.values():
            player.step(*player.draw())
        wait()
        return 1000 * (time.perf_counter() - before)

    for _ in range(WARM_UP):
        timed_step()
    ms, end = [], time.perf_counter() + job["seconds"]
    while time.perf_counter() < end or len(ms) < 3:
        ms.append(timed_step())
    print(json.dumps({"ms": ms}))


# ---- all of them, in alternation ---------------------------------------------------------------------------------


def run_worker(python: str, folder: Path, job: dict[str, Any]) -> list[float]:
    """The ms of one contestant's steps. Ends the program with its last words when it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(job["threads"]))
    fixed = {"PYTHONPATH": str(folder), "MINIGAN_BACKEND": "numpy", "CUPY_TF32": "0"}
    command = [python, "-m", "minigan.bench", "--worker", json.dumps(job)]
    env = os.environ | QUIET_ALLOCATOR | threads | fixed
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr.strip() or f"it ended with code {done.returncode}").splitlines()[-1]
        sys.exit(f"bench: {job['name']} could not run at batch {job['batch']}: {words}")
    return json.loads(done.stdout.splitlines()[-1])["ms"]


def measure(args: argparse.Namespace, batch: int, threads: int, pythons: dict[str, str], folder: Path) -> dict:
    """All rounds of one batch. pythons: the interpreter of each contestant. Returns what print_table prints."""
    case, bases = CASES[args.case], [base for base in (TUTORIAL, BEST) if base in pythons]
    job = dict(case=args.case, batch=batch, seconds=args.seconds, device=args.device, threads=threads)
    job["start"] = str(folder / "start.npz")
    np.savez(job["start"], **case.start(batch))
    times: dict[str, list[list[float]]] = {name: [] for name in pythons}
    for r in range(args.rounds):
        for name, python in pythons.items():
            print(f"batch {batch}, round {r + 1} of {args.rounds}: {name}", file=sys.stderr)
            its = {"name": name, "gradients": str(folder / f"{name}.npz")}
            times[name].append(run_worker(python, folder, job | its))

    rows, gflop = {}, case.flop(batch) / 1e9
    of_rounds = {name: np.array([np.median(ms) for ms in rounds]) for name, rounds in times.items()}
    for name, rounds in times.items():
        median, best_decile = np.quantile(np.concatenate(rounds), [0.5, 0.1]).tolist()
        row = rows[name] = {
            "ms_median": median,
            "ms_best_decile": best_decile,
            "ms_of_rounds": of_rounds[name].tolist(),
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
            player, apart = key.split(".")[0], float(abs(ours[key] - g).max() / abs(g).max())
            worst[player] = max(apart, worst.get(player, 0.0))
    return worst


def print_table(table: dict[str, Any]) -> None:
    rows = table["contestants"]
    bases = {"time / tutorial's": TUTORIAL, "time / best's": BEST} if BEST in rows else {}
    print(f"\nbatch {table['batch']}: {table['gflop']:.2f} GFLOP of unavoidable products a step")
    print(f"{'':<29}{'ms/step':>9}{'best decile':>13}{'steps/s':>9}{'GFLOP/s':>9}", end="")
    print("".join(f"{title:>20}" for title in bases))
    for name, row in rows.items():
        print(f"{name:<29}{row['ms_median']:>9.2f}{row['ms_best_decile']:>13.2f}", end="")
        print(f"{row['steps_per_s']:>9.1f}{row['gflop_per_s']:>9.1f}", end="")
        ratios = [row["ratio_to"][base] for base in bases.values()]
        print("".join(f"{r['median']:>7.2f} ({r['lowest']:.2f}..{r['highest']:.2f})" for r in ratios))
    if bases:
        print("ms/step: the median of all. Ratios: the median (lowest..highest) of the rounds'; below 1 is faster.")
        print(f"Parity: distance of the first gradients from those of {TUTORIAL}, relative to their largest entry:")
        apart = {name: ", ".join(f"{p} {d:.0e}" for p, d in row["parity"].items()) for name, row in rows.items()}
        print("; ".join(f"{name} {numbers}" for name, numbers in apart.items() if name != TUTORIAL))


# ---- the command line --------------------------------------------------------------------------------------------


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
    parser = argparse.ArgumentParser(prog="python -m minigan.bench", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("case", nargs="?", default="mlp", choices=CASES, help="the system whose training step is timed")
    add("--batch", nargs="+", type=int, default=[64, 256], metavar="N", help="batch sizes (64 256)")
    add("--rounds", type=int, default=4, help="how often the contestants take turns (4)")
    add("--seconds", type=float, default=4.0, help="how long each is timed in a round (4)")
    add("--torch-python", metavar="PATH", help="a Python (3.11 or newer) that has torch and numpy, if not this one")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: CuPy against torch.cuda, without TF32")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--worker", type=json.loads, help=argparse.SUPPRESS)  # the job of one contestant's process
    args = parser.parse_args(arguments)
    if args.worker:
        return work(args.worker)
    if min(*args.batch, args.rounds) < 1 or not 0 < args.seconds < float("inf"):
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
    pythons = {name: torch_python if name.startswith("PyTorch") else sys.executable for name in names}
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        # The other interpreter finds minigan in this folder, and nothing else of this one's packages.
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(__file__).parent, Path(folder) / "minigan", ignore=ignored)
        for batch in args.batch:
            tables.append(measure(args, batch, facts["threads"], pythons, Path(folder)))
            print_table(tables[-1])
    if args.json:
        settings = {"case": args.case, "device": args.device, "rounds": args.rounds, "seconds": args.seconds}
        args.json.write_text(json.dumps({"machine": facts, "settings": settings, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
