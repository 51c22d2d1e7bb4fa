"""MoCoGAN beside VGAN on the moving shapes: does a shape keep its colour, and do content and motion come apart?

    minigan train video
    minigan train video-vgan
    python tests/full/clips_compared.py runs/video runs/video-vgan [-n 256]

Prints every measure of n clips of each, beside real ones; then of MoCoGAN the spread of colours and of paths within
groups of clips that share their content, or their motion, against that between the groups (1: no effect, 0: all).
Ends with status 1 unless MoCoGAN's content distance is below VGAN's, and what is fixed stays closer than what is not.
"""

import argparse
import sys

import numpy as np

from minigan.backend import rng, to_host
from minigan.data import moving_shapes
from minigan.filming import draw_noise
from minigan.metrics import video
from minigan.models.video import ClipNoise, fixed
from minigan.run import Run


def drawer(folder):
    """The G of a run, and the frames of its clips."""
    G, facts = Run(folder).load_clips()
    return G, facts["frames"]


def drawn(G, noise):
    return np.clip((to_host(G(noise)) + 1) * 127.5, 0, 255)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2)
    parser.add_argument("-n", type=int, default=256)
    args = parser.parse_args()
    (moco, frames), (vgan, _) = map(drawer, args.runs)
    rows = {"real": video.measures(moving_shapes(args.n, seed=99).clips)}
    for name, G in (("MoCoGAN", moco), ("VGAN", vgan)):
        rows[name] = video.measures(drawn(G, draw_noise(G, rng(1), args.n, frames)))
    print(video.table(rows))

    groups = 16
    good = rows["MoCoGAN"]["content distance, RGB"] < rows["VGAN"]["content distance, RGB"]
    for what in ("content", "motion"):
        clips = []
        for _ in range(groups):
            noise = draw_noise(moco, rng((2, len(clips))), groups, frames)
            clips.append(drawn(moco, fixed(ClipNoise(*noise), what)))
        colour, path = video.same_colour(np.stack(clips)), video.same_path(np.stack(clips))
        print(
            f"{what} fixed, {groups} groups of {groups}: colours {colour.within:.1f} within a group, "
            f"{colour.between:.1f} between (RGB, ratio {colour.ratio:.2f}); paths {path.within:.2f} within, "
            f"{path.between:.2f} between (pixels, ratio {path.ratio:.2f}); blank {colour.blank}"
        )
        ratios = (colour.ratio, path.ratio)
        good &= (ratios[0] < ratios[1]) == (what == "content")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
