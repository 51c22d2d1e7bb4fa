"""Does Adam's momentum harm the game of the video models? Single frames, with beta1 0.5 and 0, otherwise alike.

    python tests/full/stills_and_momentum.py [--steps 1000] [--seeds 0 1]

MoCoGAN's first part alone: G.picture and the frame critic on frames of the moving shapes. The number is the Frechet
distance in random features of 1,500 frames that it draws from as many real ones that it has not seen; the floor is
that of other real frames. Ends with status 1 unless beta1 = 0 is closer for every seed.
"""

import argparse
import sys

import numpy as np

from minigan.backend import rng
from minigan.data import moving_shapes
from minigan.data.digits import unscale
from minigan.filming import ClipTraining
from minigan.metrics.frechet import frechet
from minigan.models.classifier import random_features
from minigan.models.video import clip_noise, draw_frames

BETAS = {"0.5, 0.999": (0.5, 0.999), "0, 0.9": (0.0, 0.9)}
N = 1500


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    args = parser.parse_args()
    clips, network = moving_shapes(4096).clips, random_features((32, 32, 3))
    unseen = moving_shapes(2 * N, seed=9).clips[np.arange(2 * N), np.random.default_rng(1).integers(0, 16, 2 * N)]
    features = network.features(unseen).astype(np.float64)
    real = features[:N]
    print(f"other real frames: {frechet(features[N:], real):.2f}")
    good = True
    for seed in args.seeds:
        found = {name: frechet(drawn(clips, args.steps, seed, betas, network), real) for name, betas in BETAS.items()}
        print(f"seed {seed}: " + "  ".join(f"betas {name}: {value:.2f}" for name, value in found.items()), flush=True)
        good &= found["0, 0.9"] < found["0.5, 0.999"]
    return 0 if good else 1


def drawn(clips, steps, seed, betas, network):
    """Features (N, d) of the frames that are drawn after so many steps."""
    training = ClipTraining("video", clips, pretrain=steps, seed=seed, average=0.99)
    for who in ("G", "D_image"):
        training.optimizers[who].beta1, training.optimizers[who].beta2 = betas
    for _ in range(steps):
        training.advance()
    G, random = training.G_average, rng((seed, 7))
    codes = G.codes(clip_noise(random, N, 16, G.content, G.motion), draw_frames(random, N, 16))
    return network.features(unscale(G.picture(codes))).astype(np.float64)


if __name__ == "__main__":
    sys.exit(main())
