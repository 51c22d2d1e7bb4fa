"""`minigan studio`: digits, a face, a tune, a quatrain and a clip on one sheet, each with how it was made.

All of it is drawn by the generators that come with the package (minigan.shipped), by `minigan sample`; each file has
its record, so that `minigan verify FILE` makes it again. sheet.html holds everything and opens from a folder;
sheet.png is its picture, without the poem: a picture of Chinese needs a font, which not every machine has.
"""

from __future__ import annotations

import base64
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigan.data.faces import EXPRESSIONS
from minigan.files import write_whole
from minigan.provenance import Record, read
from minigan.report import Html, Picture, document, element, figure_of
from minigan.sampling import DEFAULTS, sample
from minigan.shipped import command
from minigan.viz.figures import INK, _figure, _finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Item(NamedTuple):
    """One thing on the sheet: the files that show it, and what it is."""

    heading: str
    about: str
    files: tuple[str, ...]  # the first is the sample; the others show it too
    source: str  # the shipped generator


ITEMS = (
    Item("Digits", "DCGAN, one z each.", ("digits.png",), "dcgan"),
    Item("A face", "A conditional GAN that was asked for this expression.", ("face.png",), "faces"),
    Item(
        "Four bars of music",
        "MidiNet, bar after bar, over the chords of a chorale that it has not heard.",
        ("tune.mid", "tune.png", "tune.wav"),
        "midinet",
    ),
    Item("A quatrain", "SeqGAN, character after character.", ("poem.txt",), "seqgan"),
    Item("A clip", "MoCoGAN: one content, sixteen motions.", ("clip.gif", "clip.png"), "video"),
)


def make(out: Path, seed: int = 0, face: str = "laugh", prompt: str | None = None, force: bool = False) -> list[Path]:
    """Draw all items into the folder `out`, and the sheet; returns the files' paths, the sheet.html last.

    face: a word of minigan.data.faces.EXPRESSIONS. prompt: how the quatrain begins.
    Raises ValueError for other words, and for a file that exists already unless `force`.
    """
    if face not in EXPRESSIONS:
        raise ValueError(f'There is no face "{face}"; there are {", ".join(EXPRESSIONS)}.')
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, and the sheet is a folder: choose another -o.")
    every = [out / name for item in ITEMS for name in item.files] + [out / "sheet.png", out / "sheet.html"]
    there = [path for path in every if path.exists()]
    if there and not force:
        raise ValueError(f"{there[0]} exists already: choose another -o, or add --force to overwrite it.")
    out.mkdir(parents=True, exist_ok=True)
    asked: dict[str, tuple[str, dict[str, Any]]] = {  # the prompt first: a bad one is refused before others are drawn
        "poem.txt": ("seqgan", {"n": 1, "prompt": prompt}),
        "digits.png": ("dcgan", {"n": 49}),
        "face.png": ("faces", {"n": 1, "label": EXPRESSIONS.index(face), "scale": 8}),
        "tune.mid": ("midinet", {"n": 1, "bars": 4, "wav": True}),  # its picture comes with it
        "clip.gif": ("video", {"n": 1, "scale": 6}),
        "clip.png": ("video", {"n": 1, "scale": 2}),
    }
    for name, (source, given) in asked.items():
        options = {**DEFAULTS, **given, "run": source, "output": out / name, "seed": seed}
        sample(Namespace(**options, force=True, say=lambda text: None))
    _finish(_picture(out), out / "sheet.png")
    write_whole(out / "sheet.html", page(out).encode())
    return every


def page(out: Path) -> str:
    """sheet.html: every item, and below it the record of how it was made."""
    body = [
        element("h1", "Made by hand-written gradients"),
        element("p", "Nobody drew, composed or wrote what is on this sheet.", class_="note"),
    ]
    for item in ITEMS:
        body += [element("h2", item.heading), *_shown(out, item), _record(out, item)]
    told = "minigan verify FILE says whether a file still is what its record says, and makes it again, bit for bit."
    return document("minigan studio", [*body, element("p", told, class_="note")])


def _shown(out: Path, item: Item) -> list[Html]:
    """The files of an item as they look or sound; those that a page cannot play are left out."""
    shown = []
    for name in item.files:
        data = (out / name).read_bytes()
        if name.endswith((".png", ".gif")):
            shown.append(figure_of(Picture(data, f"{name}. {item.about}", sharp=name != "tune.png")))
        elif name.endswith(".wav"):
            source = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
            shown.append(element("audio", controls="", src=source))
        elif name.endswith(".txt"):
            shown += [element("pre", data.decode().rstrip(), lang="zh"), element("p", item.about, class_="note")]
    return shown


def _again(record: Record, name: str, source: str) -> str:
    """The command that makes a sample again."""
    flags = {"n": "-n"} | {option: f"--{option}" for option in record.options if option != "n"}
    given = [flags[k] if v is True else f"{flags[k]} {v}" for k, v in record.options.items()]
    return " ".join(["minigan sample", source, *given, f"--seed {record.seed} -o {name}"])


def _record(out: Path, item: Item) -> Html:
    """How an item was made: its record, and the command that trained its generator."""
    name = item.files[0]
    record = read(out / name)
    told = {
        "again": _again(record, name, item.source),
        "trained by": command(item.source),
        "checkpoint (sha256)": record.checkpoint,
        "made": f"{record.time} by minigan {record.minigan}",
    }
    return element("dl", *(element("dt", k) + element("dd", v) for k, v in told.items()))


def _picture(out: Path) -> Figure:
    """The items that are pictures, beside each other, and how all of them were made."""
    from PIL import Image

    figure = _figure(11, 8.4)
    figure.set_layout_engine("none")
    places = {  # left, bottom, width, height in shares of the figure
        "digits.png": (0.03, 0.47, 0.45, 0.47),
        "face.png": (0.53, 0.47, 0.45, 0.47),
        "tune.png": (0.03, 0.12, 0.45, 0.29),
        "clip.png": (0.03, 0.01, 0.94, 0.08),
    }
    titles = {name: item.heading for item in ITEMS for name in item.files}
    for name, place in places.items():
        axes = figure.add_axes(place, anchor="NW")
        with Image.open(out / name) as image:
            axes.imshow(np.asarray(image.convert("RGB")), interpolation=None if name == "tune.png" else "nearest")
        axes.set_title(titles[name], color=INK, loc="left", fontsize=12)
        axes.set_axis_off()
    figure.text(0.53, 0.42, "How each was made", color=INK, fontsize=12, va="top")
    lines = []
    for item in ITEMS:
        record = read(out / item.files[0])
        command = _again(record, item.files[0], item.source)
        prompt = f" --prompt {record.options.get('prompt')}"  # no font for it
        lines += [command.replace(prompt, " --prompt ...") + f"\n    checkpoint {record.checkpoint[:12]}"]
    figure.text(0.53, 0.38, "\n".join(lines), color=INK, fontsize=8, family="monospace", va="top", linespacing=1.5)
    return figure
