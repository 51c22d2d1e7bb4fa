"""`minigan train dcgan --data FOLDER --size 64` on a folder of colour pictures, one of them damaged.

    python tests/full/pictures_folder.py [--steps 300] [--pictures 4000] [--out FOLDER]

The pictures are MNIST's digits, enlarged, each in a colour of its own on another: files as a user has them (PNG and
JPEG, of several sizes), and more than `--memory` allows, so that they are streamed. Shown: the run's peak memory
against that limit and against the run's length, the skipped file, and whether samples come closer to the data.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from minigan.data import load_digits
from minigan.data.images import load_folder
from minigan.metrics.neighbours import precision_recall

TRAIN = (
    "import sys; from minigan.data import images; images.load_folder.__defaults__ = (True, int(sys.argv.pop(1))); "
)
TRAIN += "from minigan.cli import main; sys.exit(main(sys.argv[1:]))"


def make_pictures(folder, n):
    r = np.random.default_rng(0)
    digits, _ = load_digits("train")
    for i, digit in enumerate(digits[:n, :, :, 0]):
        size = int(r.integers(64, 120))
        ink = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC))[..., None] / 255
        front, back = r.integers(128, 256, 3), r.integers(0, 128, 3)
        picture = Image.fromarray((ink * front + (1 - ink) * back).astype("uint8"))
        picture.save(folder / f"{i:05d}{'.jpg' if i % 2 else '.png'}")
    (folder / "broken.png").write_bytes((folder / "00000.png").read_bytes()[:300])


def peak_mib():
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--pictures", type=int, default=4000)
    options.add_argument("--memory", type=int, default=2**20, help="bytes of pictures held in memory")
    options.add_argument("--out", type=Path)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder, out = Path(home, "pictures"), options.out or Path(home, "run")
        folder.mkdir()
        make_pictures(folder, options.pictures)
        train = [sys.executable, "-c", TRAIN, str(options.memory), "train", "dcgan", "--data", str(folder)]
        train += ["--size", "64", "--out", str(out), "--quiet"]
        real = load_folder(folder, 64)[0][:1000] / 255
        for steps in (20, options.steps):
            more = ["--resume"] if steps > 20 else []
            done = subprocess.run([*train, "--steps", str(steps), *more], capture_output=True, text=True, check=True)
            print(f"{done.stderr.strip()}\n{steps} steps: peak {peak_mib():,.0f} MiB", flush=True)
            draw = ["sample", str(out), "-n", "500", "-o", f"{home}/{steps}.npz"]
            subprocess.run([sys.executable, "-m", "minigan", *draw], check=True, capture_output=True)
            samples = (np.load(f"{home}/{steps}.npz")["images"] + 1) / 2
            found = precision_recall(samples, real)
            print("  ".join(f"{name} {value:.2f}" for name, value in found.items()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
