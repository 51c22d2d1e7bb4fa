"""Small trained generators that come with the package, so that `minigan sample dcgan` answers at once.

Each is a run folder (`minigan.run.Run`) without logs: config.json, and a checkpoint that holds the generator alone,
its weights rounded (`minigan.checkpoint.rounded`), with the command that made it among its facts.

    python -m minigan.shipped                       a table of them
    python -m minigan.shipped RUN NAME [--folder]   make one from a run of `minigan train`
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan import checkpoint
from minigan.data.text import Vocabulary
from minigan.files import write_whole
from minigan.network import Network
from minigan.provenance import sha256_of
from minigan.run import CLIPS, TUNES, WRITERS, Run, Settings

FOLDER = Path(__file__).parent / "data" / "shipped"
SHIPPED = {  # name: what its generator makes
    "dcgan": "digits, 28x28",
    "faces": "face icons to order, 28x28 in colour (the model conditional; labels as in minigan.data.faces)",
    "seqgan": "Chinese quatrains of five characters a line",
    "midinet": "tunes, bar by bar, to given chords",
    "video": "clips of moving shapes, 16 frames of 32x32 in colour",
}


class ShippedRun(Run):
    """A run that comes with the package."""

    def __str__(self) -> str:
        return f"the shipped {self.folder.name}"


class Shipped(NamedTuple):
    """A generator that comes with the package, and what it was made with."""

    G: Network
    settings: Settings
    facts: dict[str, Any]  # of the checkpoint: "step", "command", ...
    vocabulary: Vocabulary | None  # of text
    run: Run


def load(name: str) -> Shipped:
    """The generator of this name, a key of SHIPPED. Raises ValueError for another."""
    where = find(name)
    if where is None:
        raise ValueError(f'No generator "{name}" comes with minigan; there are {", ".join(SHIPPED)}.')
    settings, vocabulary = where.settings(), None
    if settings.model in WRITERS:
        G, vocabulary, facts = where.load_writer()
    elif settings.model in TUNES:
        G, facts = where.load_composer()
    elif settings.model in CLIPS:
        G, facts = where.load_clips()
    else:
        model, facts = where.load()
        G = model.G
    return Shipped(G, settings, facts, vocabulary, where)


def find(name: str) -> Run | None:
    """The run of this name that comes with the package, None where there is none."""
    return ShippedRun(FOLDER / name) if name in SHIPPED else None


def command(name: str) -> str:
    """The command that trained the generator of this name, a key of SHIPPED."""
    return checkpoint.load(find(name).checkpoint)[1]["command"]


def with_checkpoint(digest: str) -> Run | None:
    """The run whose checkpoint file has this sha256, None where none comes with the package."""
    return next((run for run in map(find, SHIPPED) if run.exists() and sha256_of(run.checkpoint) == digest), None)


def pack(where: Run, name: str, folder: Path = FOLDER) -> int:
    """Write what `load` needs of a run into folder/name; returns its size in bytes.

    Raises TrainingError and CheckpointError where there is no whole run.
    """
    settings = where.settings()
    arrays, facts = checkpoint.load(where.checkpoint)
    kept = {n: a for n, a in arrays.items() if n.startswith(f"{settings.drawer}.")}
    kept = {n: a.astype(np.float32) if a.dtype.kind == "f" else a for n, a in kept.items()}
    plain = {n: value for n, value in facts.items() if n in ("model", "step", "length", "frames")}
    plain |= {"command": command_of(settings), "of": sha256_of(where.checkpoint)}
    out = Run(folder / name)
    out.folder.mkdir(parents=True, exist_ok=True)
    write_whole(out.config, where.config.read_bytes())
    checkpoint.save(out.checkpoint, checkpoint.rounded(kept), plain)
    words = where.folder / "vocabulary.txt"
    if words.exists():
        write_whole(out.folder / words.name, words.read_bytes())
    return sum(path.stat().st_size for path in out.folder.iterdir())


def command_of(settings: Settings) -> str:
    """The command that trains such a run: its model, and what differs from the model's defaults."""
    usual = asdict(Settings.of(settings.model)) | {"seed": None}  # always said; and how many share the work is not
    given = {n: v for n, v in asdict(settings).items() if v != usual[n]}
    for name in ("model", "image_shape", "workers", "backend"):
        given.pop(name, None)
    flags = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items()]
    return " ".join(["minigan train", settings.model, *flags])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run folder")
    parser.add_argument("name", choices=[*SHIPPED], nargs="?")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    if options.run is not None:
        if options.name is None:
            parser.error(f"name what it is to be: {', '.join(SHIPPED)}")
        try:
            size = pack(Run(options.run), options.name, options.folder)
        except (RuntimeError, OSError) as error:  # TrainingError and CheckpointError among them
            print(f"shipped: {error}", file=sys.stderr)
            return 1
        print(f"{size:,} bytes in {options.folder / options.name}")
        return 0
    for name, what in SHIPPED.items():
        size = sum(path.stat().st_size for path in (FOLDER / name).iterdir())
        print(f"{name:8} {size / 1e6:5.2f} MB   {command(name)}\n{'':19} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
