"""kill -9 at 30 random moments of a short run, each resumed to the end: 30 identical final checkpoints.

    python tests/full/kill_resume.py [--times 30] [--seed 0]

Each run is killed once at a random moment between its start and the time that an undisturbed run takes, then
resumed. The checkpoint, the log and every picture must be, byte for byte, those of the undisturbed run.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minigan import provenance

FLAGS = ["--steps", "200", "--every", "20", "--batch", "32", "--quiet", "--resume"]


def start(folder):
    command = [sys.executable, "-m", "minigan", "train", "mlp-sigmoid", "--out", str(folder), *FLAGS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def fingerprint(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "config.json")
    return {str(path.relative_to(folder)): content(path) for path in files}


def content(path):
    """sha256 of what a file holds; a sample's record has the time and the run's name besides."""
    record = provenance.read(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if record is None else record.content


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--times", type=int, default=30)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as home:
        whole = Path(home, "whole")
        began = time.perf_counter()
        assert start(whole).wait() == 0
        length = time.perf_counter() - began
        expected = fingerprint(whole)
        print(f"undisturbed: {length:.1f} s, checkpoint {expected['checkpoint.safetensors'][:16]}")
        same = 0
        for k in range(options.times):
            folder = Path(home, f"killed-{k}")
            process = start(folder)
            moment = moments.uniform(0, length)
            time.sleep(moment)
            process.kill()
            killed = process.wait() == -9
            reached = "after the end" if not killed else "no checkpoint yet"
            if killed and (folder / "checkpoint.safetensors").exists():
                from minigan import checkpoint

                reached = f"checkpoint of step {checkpoint.load(folder / 'checkpoint.safetensors')[1]['step']}"
            assert start(folder).wait() == 0
            equal = fingerprint(folder) == expected
            same += equal
            print(f"{k + 1:>2}. killed at {moment:5.2f} s ({reached}): {'identical' if equal else 'DIFFERENT'}")
        print(f"{same} of {options.times} identical")
    return 0 if same == options.times else 1


if __name__ == "__main__":
    sys.exit(main())
