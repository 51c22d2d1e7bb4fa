"""What a run shows: the files that each kind of training leaves in its folder beside the log and the checkpoint.

A gallery is asked three times: `frame` at the animation's steps, `save` with each checkpoint, `finish` at the end.
All that it writes is made from the training and the log's rows, so that a run that was stopped leaves the same files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigan import viz
from minigan.backend import to_host
from minigan.coding import TERMS, CodingTraining
from minigan.composing import MusicTraining
from minigan.data.midi import write_midi
from minigan.data.text import as_lines
from minigan.files import read_rows, write_rows, write_whole
from minigan.filming import ClipTraining
from minigan.layers import Conv
from minigan.metrics import music, video
from minigan.metrics.text import bleu, copies, distinct
from minigan.models import ConditionalGAN
from minigan.network import Network
from minigan.plane import PlaneTraining
from minigan.provenance import Record, sha256_of, stamp
from minigan.training import MEASURES, Training
from minigan.writing import PHASES, WritingTraining

OF_CODING = (  # panels of curves.png
    ("Terms of the bound, nats an image", ("reconstruction", "reconstruction"), ("kl", "KL")),
    ("Loss", ("encoder_loss", "encoder"), ("g_loss", "G")),
    viz.PANELS[1],
)
FRAMES = 60  # pictures kept for training.gif
Rows = list[dict[str, float]]


def gallery_of(training: Any, folder: Path, steps: int, reference: float | None) -> ImageGallery:
    """The gallery for this kind of training. steps: of the whole run. reference: D's loss when it is at a loss."""
    if isinstance(training, MusicTraining | ClipTraining | CodingTraining):
        reference = None  # their losses have several terms
    kinds = {
        CodingTraining: CodingGallery,
        PlaneTraining: PlaneGallery,
        WritingTraining: WordGallery,
        MusicTraining: TuneGallery,
        ClipTraining: ClipGallery,
    }
    return kinds.get(type(training), ImageGallery)(training, folder, steps, reference)


class ImageGallery:
    """samples.png, interpolation.png, filters.png where D begins with a convolution, training.gif, curves.png."""

    columns: tuple[str, ...] = ("step", *MEASURES)
    samples: tuple[str, ...] = ("samples.png", "interpolation.png")  # the files that a checkpoint alone makes again

    def __init__(self, training: Training, folder: Path, steps: int, reference: float | None) -> None:
        self.training, self.folder, self.steps, self.reference = training, folder, steps, reference

    def sign(self, checkpoint: Path, *names: str) -> None:
        """Put a record of how it was made to each sample file of the checkpoint, or to these files."""
        made_by = {"model": self.training.name, "checkpoint": sha256_of(checkpoint), "seed": self.training.seed}
        for path in (self.folder / name for name in names or self.samples):
            if path.exists():
                options = {"file": path.name}  # of the run's own: none that `minigan sample` was told of
                stamp(path, Record(**made_by, options=options, run=self.folder.resolve().name))

    def frame(self) -> None:
        """A picture for the animation. Raises FloatingPointError where G draws numbers that are none."""
        large = max(self.training.model.image_shape[:2]) > 32  # of these, fewer: or three frames would fill the GIF
        images, columns = self._samples(16 if large else 64)
        if not np.isfinite(images).all():
            raise FloatingPointError
        viz.save_grid(images, self._frame(self.training.step), columns, value_range=self.training.model.pixels)

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        """What belongs to this step."""
        walks = self.training.interpolate(8, 8), 8
        for name, (images, columns) in (("samples", self._samples(64)), ("interpolation", walks)):
            path = self.folder / f"{name}.png"
            viz.save_grid(images, path, columns=columns, scale=2, value_range=self.training.model.pixels)
        if self.training.D is not None and (filters := first_filters(self.training.D)) is not None:
            viz.save_grid(filters, self.folder / "filters.png", scale=4)

    def finish(self, rows: Rows) -> None:
        """What belongs to the whole run: curves.png from the log, training.gif from the frames up to its end."""
        from PIL import Image

        if rows and set(MEASURES) <= set(self.columns):
            log = {name: np.array([row[name] for row in rows]) for name in self.columns}
            viz.curves(log, self.folder / "curves.png", reference=self.reference)
        last = rows[-1]["step"] if rows else 0
        steps = [step for step in sorted(frames_at(self.steps)) if step <= last and self._frame(step).exists()]
        frames = [np.asarray(Image.open(self._frame(step))) for step in steps]
        if len(frames) > 1:
            viz.save_animation(frames, self.folder / "training.gif", [f"step {step:,}" for step in steps])

    def brief(self, row: dict[str, float]) -> str:
        """For the progress bar."""
        return "D {d_loss:.2f}  G {g_loss:.2f}  D(x) {d_real:.2f}  D(G(z)) {d_fake:.2f}".format(**row)

    def _frame(self, step: int) -> Path:
        return self.folder / "frames" / f"step_{step:06d}.png"

    def _samples(self, n: int) -> tuple[np.ndarray, int]:
        """What a frame shows, and in how many columns: a column for each class where the model knows classes."""
        if isinstance(self.training.model, ConditionalGAN):
            return self.training.table(n // 8), self.training.model.classes
        return self.training.sample(n), math.isqrt(n)


class PlaneGallery(ImageGallery):
    """board.png and board.gif, the game board, and curves.png."""

    samples = ()  # the board is a diagram of the game

    def frame(self) -> None:
        """Nothing: the board shows every moment, and is drawn at the end."""

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        self.training.board.draw(self.folder / "board.png")

    def finish(self, rows: Rows) -> None:
        super().finish(rows)
        self.training.board.animate(self.folder / "board.gif")


class WordGallery(ImageGallery):
    """samples.txt, vocabulary.txt, curves.png and scores.csv (BLEU, ...); a few samples are told on the way."""

    samples = ("samples.txt",)
    columns = ("step", "phase", "nll", "nll_test", "nll_oracle", "d_loss", "reward")

    def frame(self) -> None:
        """Nothing: words are read, not looked at."""

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        training = self.training
        words, vocabulary = training.sample(500), training.corpus.vocabulary
        found = scores(words, training)
        # a stopped run makes later ones again
        kept = [row for row in read_rows(self.folder / "scores.csv") if row["step"] < training.step]
        write_rows(self.folder / "scores.csv", ["step", *found], [*kept, {"step": training.step, **found}])
        measured = f"step {training.step:,} ({PHASES[training.phase]}): " + "  ".join(
            f"{name} {value:.3f}" for name, value in found.items()
        )
        if vocabulary is None:
            say(measured)
            return
        vocabulary.save(self.folder / "vocabulary.txt")
        texts = [readable(vocabulary.decode(row)) for row in words[:100]]
        write_whole(self.folder / "samples.txt", ("\n\n".join(texts) + "\n").encode())
        say("\n".join([measured, *(f"{text}\n" for text in texts[:2])]))

    def finish(self, rows: Rows) -> None:
        if rows:
            log = {name: np.array([row[name] for row in rows]) for name in self.columns}
            rows = read_rows(self.folder / "scores.csv")
            scores = {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}
            viz.word_curves(log, self.folder / "curves.png", scores)

    def brief(self, row: dict[str, float]) -> str:
        return self.training.brief(row)


class CodingGallery(ImageGallery):
    """As of images, and reconstructions.png: beside each image what G draws of its code."""

    columns = ("step", *TERMS)
    samples = (*ImageGallery.samples, "reconstructions.png")

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        super().save(rows, say)
        pairs = self.training.reconstructions(32)
        path = self.folder / "reconstructions.png"
        viz.save_grid(pairs, path, columns=8, scale=2, value_range=self.training.model.pixels)

    def finish(self, rows: Rows) -> None:
        super().finish(rows)
        if rows:
            log = {name: np.array([row[name] for row in rows]) for name in self.columns}
            if self.training.D is None:
                log = {name: column for name, column in log.items() if name not in ("d_real", "d_fake")}
            viz.curves(log, self.folder / "curves.png", reference=None, panels=OF_CODING)

    def brief(self, row: dict[str, float]) -> str:
        return "reconstruction {reconstruction:.1f}  KL {kl:.1f}  encoder {encoder_loss:.1f}".format(**row)


class TuneGallery(ImageGallery):
    """samples.png, the piano rolls of three tunes; tune.mid, the first of them; curves.png."""

    samples = ("samples.png", "tune.mid")

    def frame(self) -> None:
        """Nothing: one tune is heard after another."""

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        training = self.training
        tunes, lenders = training.sample(64)
        chords = lenders.chord.reshape(*tunes.shape[:2], -1)  # (n, 8, 13)
        keys = lenders.key.reshape(*tunes.shape[:2], -1)[:, 0]  # (n, 2)
        viz.save_piano_roll(self.folder / "samples.png", tunes[:3], chords[:3], title=f"step {training.step:,}")
        write_midi(self.folder / "tune.mid", tunes[0], chords[0])
        found = music.measures(tunes, chords, keys[:, 0], keys[:, 1])
        say(f"step {training.step:,}: " + "  ".join(f"{name} {value:.2f}" for name, value in found.items()))


class ClipGallery(ImageGallery):
    """clips.gif, a grid of nine; strips.png, the frames of four side by side; curves.png."""

    samples = ("clips.gif", "strips.png")

    def frame(self) -> None:
        """Nothing: the clips move by themselves."""

    def save(self, rows: Rows, say: Callable[[str], None]) -> None:
        clips = self.training.sample(64)
        if not np.isfinite(clips).all():
            raise FloatingPointError
        viz.save_clips(self.folder / "clips.gif", clips[:9])
        viz.save_film_strips(self.folder / "strips.png", clips[:4], scale=2)
        found = video.measures((clips + 1) * 127.5)
        say(f"step {self.training.step:,}: " + "  ".join(f"{name} {value:.2f}" for name, value in found.items()))


def scores(words: np.ndarray, training: WritingTraining) -> dict[str, float]:
    """What can be said of G's words (M, T): its NLL on held-out text, and against that text BLEU; variety; copies."""
    test = training.corpus.test
    found = {"NLL test": float(-to_host(training.G.log_likelihood(test[:500]).mean()))}
    if training.corpus.oracle is not None:
        return found | {"NLL oracle": float(-to_host(training.corpus.oracle.log_likelihood(words).mean()))}
    found |= {f"BLEU-{n}": score for n, score in bleu(words, test, n=4).items() if n > 1}
    return found | {"distinct-2": distinct(words, 2), "copies": copies(words, training.words)}


def readable(text: str) -> str:
    """Twenty characters as the four lines of a quatrain; any other text as it is."""
    return as_lines(text) if len(text) == 20 else text


def frames_at(steps: int) -> set[int]:
    """The steps after which a frame is kept: close together at first, where the pictures change fast."""
    return {round(steps * (k / FRAMES) ** 1.5) for k in range(FRAMES + 1)}


def first_filters(D: Network) -> np.ndarray | None:
    """What D's first convolution looks for, (O, k, k, I), each filter stretched to [-1, 1]; None without one.

    Where images have neither one channel nor three, the first channel alone.
    """
    layer = next((layer for layer in D.layers if layer.params), None)
    if not isinstance(layer, Conv) or len(layer.windows.kernel) != 2:
        return None
    W = to_host(layer.params["W"]).transpose(3, 0, 1, 2)  # (k, k, I, O) -> (O, k, k, I)
    W = W if W.shape[-1] in (1, 3) else W[..., :1]
    return W / abs(W).max(axis=(1, 2, 3), keepdims=True).clip(min=1e-12)
