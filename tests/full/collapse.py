"""Who covers the modes? GAN, PacGAN2, minibatch standard deviation and WGAN-GP on the ring and on the 25-grid.

    python tests/full/collapse.py [--data ring grid] [--seeds 0 1 2 3 4] [--processes 2]

Networks, data, loss, metric and batch of 100 are PacGAN's (Lin et al. 2018, section 4.1), both players move at once.
What differs makes it fit a laptop: STEPS instead of 400,000 steps, weights of He et al. instead of N(0, 0.02^2), a
rate of 3e-4 instead of 1e-4. WGAN-GP plays by rules of its own, near its authors' toy: G and D with two layers of 256
units, batch 256, weight 0.1, a rate that falls evenly from 1e-3 to 0, beta1 0.5, beta2 0.9, five critic steps for
one of G.
Prints modes, share of high quality and reverse KL of 2,500 samples: of each run, the mean over the last quarter (they
swing from one look to the next); of these, the mean and the standard error over the seeds; and a perfect sampler's.
Each run is kept in --out: a second call goes on where it stopped.
"""

import argparse
import json
import multiprocessing
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads: runs go side by side, one core each

import numpy as np

from minigan import losses
from minigan.data import toy
from minigan.metrics.modes import modes, perfect_modes
from minigan.models.plane import pacgan, plane
from minigan.optim import Adam
from minigan.penalty import between
from minigan.steps import g_step, simultaneous_step, wgan_gp_d_step

DATA = {"ring": toy.ring(), "grid": toy.grid()}
METHODS = {
    "GAN": {},
    "PacGAN2": {"pack": 2},
    "minibatch std": {"minibatch_std": True},
    "WGAN-GP": {},
}
STEPS = {  # of G
    "ring": {"GAN": 3000, "PacGAN2": 3000, "minibatch std": 3000, "WGAN-GP": 1000},
    "grid": {"GAN": 10_000, "PacGAN2": 10_000, "minibatch std": 5000, "WGAN-GP": 5000},
}


def play(job):
    """One run: modes, share of high quality and reverse KL, on the way and at the end."""
    data, method, seed, steps, out = job
    file = out / f"{data}_{method.replace(' ', '_')}_{seed}_{steps}.json"
    if file.exists():
        return json.loads(file.read_text())
    mixture, r = DATA[data], np.random.default_rng(seed)
    critic = method == "WGAN-GP"
    model = plane(r, 256) if critic else pacgan(r, **METHODS[method])
    G, D = model.G, model.D
    points = mixture.sample(100_000, r)
    batch = 256 if critic else 100 * METHODS[method].get("pack", 1)  # D is given 100 packs
    real = lambda: points[r.integers(0, len(points), batch)]
    noise = lambda: model.draw_noise(r, batch)
    z_fixed = model.draw_noise(np.random.default_rng(12345), 2500)
    rule = (1e-3, 0.5, 0.9) if critic else (3e-4, 0.8, 0.999)
    of_G, of_D = Adam(G, *rule), Adam(D, *rule)
    history = []
    for step in range(1, steps + 1):
        if critic:
            of_G.lr = of_D.lr = rule[0] * (1 - (step - 1) / steps)
            for _ in range(5):
                wgan_gp_d_step(G, D, of_D, real(), noise(), lambda a, b: between(a, b, r), 0.1)
            g_step(G, D, of_G, losses.wasserstein, noise())
        else:
            simultaneous_step(G, D, of_G, of_D, losses.non_saturating, real(), noise())
        if step % max(1, steps // 20) == 0:
            history.append((step, *map(float, modes(G(z_fixed), mixture.means, mixture.sd))))
    found = {"data": data, "method": method, "seed": seed, "history": history}
    file.write_text(json.dumps(found))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="so many for all, instead of STEPS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/collapse"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (data, method, seed, options.steps or STEPS[data][method], options.out)
        for seed in options.seeds
        for data in options.data
        for method in options.methods
    ]
    with multiprocessing.Pool(options.processes) as pool:
        runs = []
        for found in pool.imap_unordered(play, jobs):
            runs.append(found)
            step, covered, quality, kl = found["history"][-1]
            name = f"{found['data']} {found['method']} seed {found['seed']}"
            print(
                f"{name:<28} step {step:,}: {covered:.0f} modes, {quality:.1%}, KL {kl:.3f}",
                file=sys.stderr,
                flush=True,
            )
    for data in options.data:
        print_table(data, options.methods, [run for run in runs if run["data"] == data])


def print_table(data, methods, runs):
    K = len(DATA[data].means)
    print(f"\n{data}: mean +- standard error over the seeds, 2,500 samples each, the last quarter of every run")
    titles = f"{f'modes of {K}':>16}{'high quality':>18}{'reverse KL':>18}{'most modes':>14}"
    print(f"{'':<16}{'seeds':>6}{'steps of G':>12}{titles}")
    for method in methods:
        quarters = np.array([run["history"][-5:] for run in runs if run["method"] == method])  # (seeds, 5, 4)
        of_runs = quarters.mean(axis=1)
        (_, modes_, quality, kl), error = of_runs.mean(axis=0), of_runs.std(axis=0, ddof=1) / np.sqrt(len(of_runs))
        most = quarters[:, :, 1].max(axis=1)
        print(f"{method:<16}{len(of_runs):>6}{quarters[0, -1, 0]:>12,.0f}{modes_:>9.1f} +- {error[1]:.1f}", end="")
        print(
            f"{quality:>11.1%} +- {error[2]:.1%}{kl:>10.2f} +- {error[3]:.2f}{most.min():>9.0f} to {most.max():.0f}"
        )
    perfect = perfect_modes(K, 2500)
    print(f"{'perfect sampler':<34}{perfect.covered:>9.1f}{perfect.high_quality:>18.1%}{perfect.reverse_kl:>17.3f}")


if __name__ == "__main__":
    main()
