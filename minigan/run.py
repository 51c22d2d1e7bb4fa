"""A run on the disk: a folder with pictures, curves, a log and a checkpoint, from which it goes on bit for bit.

What a stop at any moment leaves: files are whole or not there, and the checkpoint is written last, so that all it
counts is on the disk by then. What lies beyond it (a log's rows, a picture) is made again, the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import platform
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minigan import __version__, checkpoint, losses
from minigan.backend import rng
from minigan.coding import CodingTraining
from minigan.composing import MusicTraining
from minigan.data import toy
from minigan.data.text import Vocabulary
from minigan.files import read_rows, write_rows, write_whole
from minigan.filming import BASE, ClipTraining, generator
from minigan.gallery import ImageGallery, frames_at, gallery_of
from minigan.models import GAN, MODELS
from minigan.models.midinet import Composer
from minigan.models.seqgan import Writer
from minigan.network import Network
from minigan.optim import Adam, RMSProp
from minigan.penalty import KINDS
from minigan.plane import PlaneTraining
from minigan.training import Training, load_network
from minigan.workers import usable
from minigan.writing import WritingTraining

LOG_EVERY = 10  # steps; only then do numbers cross from the device to the host
PLANE = ("ring", "grid")  # models of points in the plane, each named as its data
CODERS = ("vae", "vae-gan")  # models with an encoder
WRITERS = {  # models of text
    "seqgan": "SeqGAN: words one after another, rewarded by D; Tang and Song quatrains, or your text",
    "oracle": "The same on its benchmark: text that an LSTM with random weights wrote",
}
OF_WRITING = {  # what their networks are made with
    "seqgan": {"features": 64, "hidden": 128, "filters": {1: 50, 2: 100, 3: 100, 4: 50, 5: 100, 10: 50}},
    "oracle": {"features": 32, "hidden": 32, "filters": {1: 50, 2: 100, 3: 100, 4: 100, 5: 100, 10: 50, 20: 50}},
}
TUNES = {  # models of music
    "midinet": "MidiNet: tunes bar by bar, given a chord and the bar before",
    "midinet-deaf": "The same networks, told neither chord nor bar: a control",
}
CLIPS = {  # models of video
    "video": "MoCoGAN: content and motion apart, a critic for frames and one for clips",
    "video-vgan": "VGAN: 3-D transposed convolutions, a moving foreground before a still picture",
}
# reads what a run was trained on: the data, and what stands beside them
Load = Callable[["Settings"], tuple[Any, Any]]
EVERY_MODEL = (*MODELS, *WRITERS, *TUNES, *CLIPS)
GAMES = {game.name: game for game in losses.GAMES}
# D's loss when it can tell nothing apart, a line in curves.png: D(x) = 1/2, logit 0 for hinge, 1/2 for least squares
REFERENCES = {"minimax": math.log(4), "non_saturating": math.log(4), "hinge": 2.0, "least_squares": 0.25}


class TrainingError(RuntimeError):
    """A run cannot start or go on; the message says why, and what is left."""


# Settings that mean nothing to the others.
OF_WRITERS = ("lr_g", "mle", "pretrain", "copies")
OF_GAMES = ("optimizer", "beta1", "beta2", "clip", "penalty", "penalty_weight", "loss")
FOREIGN = dict.fromkeys(MODELS, OF_WRITERS) | dict.fromkeys(WRITERS, (*OF_GAMES, "average"))
FOREIGN |= dict.fromkeys((*CODERS, *TUNES, *CLIPS), (*OF_WRITERS, *OF_GAMES, "d_steps"))
FOREIGN["video"] = tuple(name for name in FOREIGN["video"] if name != "pretrain")

OWN_GAME = {"loss": "non_saturating"}  # of models that play no other
OF_CLIPS = {
    **{"data": "shapes", "steps": 8000, "batch": 8, "every": 500, "average": 0.997, "workers": 2},
    **{"lr": 1e-3, "loss": "hinge", "beta1": 0.0, "beta2": 0.9},  # see minigan.filming
}
# What suits a model better than the defaults below.
DEFAULTS: dict[str, dict[str, Any]] = {
    # small batches and a high rate, for many useful steps in few minutes
    "conditional": {"steps": 2500, "lr": 1e-3, "loss": "hinge", "every": 250, "workers": 2},
    "conditional-joined": {"steps": 2500, "lr": 1e-3, "loss": "hinge", "every": 250, "workers": 2},
    "seqgan": {
        "data": "quatrains",
        # after some 30 rounds of the game BLEU falls again
        **{"steps": 2580, "mle": 2250, "pretrain": 300, "every": 250, "lr": 5e-3, "lr_g": 2e-3, "lr_d": 1e-3},
        **{"d_steps": 4, "average": 0.0, "loss": "non_saturating", "workers": 2},
    },
    "oracle": {
        "data": "oracle",
        **{"steps": 8700, "mle": 8000, "pretrain": 600, "every": 500, "lr": 1e-2, "lr_g": 1e-2, "lr_d": 1e-4},
        **{"d_steps": 15, "copies": 16, "average": 0.0, "loss": "non_saturating", "workers": 2},
    },
    "ring": {"steps": 5000, "batch": 256, "lr": 1e-3, "loss": "non_saturating", "average": 0.0},
    "grid": {"steps": 5000, "batch": 256, "lr": 1e-3, "loss": "non_saturating", "average": 0.0},
    "vae": {"steps": 1500, "batch": 32, "lr": 1e-3, "every": 250, "workers": 2, **OWN_GAME},
    "vae-gan": {"steps": 1500, "batch": 32, "lr": 5e-4, "lr_d": 2.5e-4, "every": 250, "workers": 2, **OWN_GAME},
    "midinet": {"data": "chorales", "steps": 4000, "batch": 72, "every": 500, "average": 0.999, **OWN_GAME},
    "midinet-deaf": {"data": "chorales", "steps": 4000, "batch": 72, "every": 500, "average": 0.999, **OWN_GAME},
    "video": OF_CLIPS | {"pretrain": 750},
    "video-vgan": OF_CLIPS,
    "dcgan": {"steps": 1500, "batch": 32, "lr": 1e-3, "loss": "non_saturating", "every": 250, "workers": 2},
}


@dataclass(frozen=True)
class Settings:
    """What makes a run this run; kept in its config.json. image_shape: (H, W, C) of the data.

    lr_d: D's own learning rate, where it has one; lr_g: a writer's G's in the game, after maximum likelihood.
    mle, pretrain: a writer's first steps, and those of its D alone; copies: rollouts for each word.
    pretrain of video: its first steps, on single frames.
    penalty: "none", or one of minigan.penalty. clip: 0 for none.
    """

    model: str = "mlp"
    data: str = "digits"
    image_shape: tuple[int, int, int] = (28, 28, 1)
    steps: int = 3000
    batch: int = 64
    seed: int = 0
    lr: float = 2e-4
    loss: str = "hinge"
    average: float = 0.995
    every: int = 500
    backend: str = "numpy"
    workers: int = 1
    d_steps: int = 1
    lr_d: float | None = None
    optimizer: str = "adam"
    beta1: float = 0.5
    beta2: float = 0.999
    clip: float = 0.0
    penalty: str = "none"
    penalty_weight: float = 10.0
    lr_g: float | None = None
    mle: int = 0
    pretrain: int = 0
    copies: int = 4

    @classmethod
    def of(cls, model: str, **given: Any) -> Settings:
        """A model's own defaults, and what is given. Workers by default only where they can be had."""
        default = DEFAULTS.get(model, {})
        return cls(**{"model": model, **default, "workers": min(default.get("workers", 1), usable()), **given})

    def build(self, random: Any) -> GAN:
        """The model, with weights drawn from `random`. Raises ShapeError when it does not draw such images."""
        if self.model in PLANE:
            return MODELS[self.model](random)
        return MODELS[self.model](random, image_shape=self.image_shape)

    @property
    def drawer(self) -> str:
        """Which of a checkpoint's networks samples are drawn with."""
        return "G_average" if self.average else "G"

    def train(self, data: Any, beside: Any = None) -> Any:
        """The training, at its beginning, on the data (M, ...) and what stands beside them (see `run`)."""
        names = ("batch", "lr", "lr_d", "seed", "average", "workers")
        rates = {name: getattr(self, name) for name in names}
        if self.model in TUNES:
            return MusicTraining(*beside, conditions=self.model == "midinet", **rates)
        if self.model in CLIPS:
            return ClipTraining(self.model, data, pretrain=self.pretrain, **rates)
        if self.model in WRITERS:
            size = beside.oracle.vocabulary if beside.oracle is not None else len(beside.vocabulary)
            names = ("mle", "pretrain", "batch", "lr", "d_steps", "copies", "seed", "workers")
            options = {name: getattr(self, name) for name in names} | OF_WRITING[self.model]
            rates = {"lr_game": self.lr_g or self.lr, "lr_d": self.lr_d or self.lr}
            return WritingTraining(data, beside, size, **options, **rates)
        random = rng(self.seed)
        if self.model in CODERS:
            return CodingTraining(self.build(random), data, random=random, **rates)
        names = ("batch", "lr", "lr_d", "seed", "average", "workers", "d_steps", "clip", "penalty_weight")
        options = {name: getattr(self, name) for name in names}
        options |= {"random": random, "loss": GAMES[self.loss], "optimizer": RMSProp}
        if self.optimizer == "adam":
            options["optimizer"] = partial(Adam, beta1=self.beta1, beta2=self.beta2)
        options["penalty"] = None if self.penalty == "none" else self.penalty
        if self.model in PLANE:
            moments = max(1, self.steps * (self.d_steps + 1) // 240)  # between two of those that the board keeps
            return PlaneTraining(self.build(random), getattr(toy, self.model)(), data, every=moments, **options)
        return Training(self.build(random), data, labels=beside, **options)

    def __post_init__(self) -> None:
        if self.model not in EVERY_MODEL:
            raise ValueError(f'There is no model "{self.model}"; there are {", ".join(EVERY_MODEL)}.')
        if self.loss not in GAMES:
            raise ValueError(f'There is no loss "{self.loss}"; there are {", ".join(GAMES)}.')
        object.__setattr__(self, "image_shape", tuple(self.image_shape))  # JSON has lists only
        if self.penalty not in ("none", *KINDS):
            raise ValueError(f'There is no penalty "{self.penalty}"; there are none, {", ".join(KINDS)}.')
        if self.optimizer not in ("adam", "rmsprop"):
            raise ValueError(f'There is no optimizer "{self.optimizer}"; there are adam and rmsprop.')
        if self.loss == "wasserstein" and self.penalty == "none" and not self.clip:
            raise ValueError(
                "In the wasserstein game D's slope must be bounded: add --penalty wgan-gp, or --clip 0.01 as in the "
                "first WGAN."
            )
        self._require(("clip", "penalty_weight"), lambda value: 0 <= value < math.inf, "a number of at least 0")
        self._require(
            ("steps", "batch", "every", "workers", "d_steps", "copies"), lambda value: value >= 1, "at least 1"
        )
        self._require(("beta1", "beta2"), lambda value: 0 <= value < 1, "a number from 0 to below 1")
        self._require(("mle", "pretrain"), lambda value: value >= 0, "at least 0")
        self._require(
            ("lr", "lr_d", "lr_g"), lambda value: value is None or 0 < value < math.inf, "a positive number"
        )
        if not 0 <= self.average < 1:
            raise ValueError(f"--average is a number from 0 (none) to below 1, but got {self.average}.")
        if self.seed < 0:
            raise ValueError(f"--seed is a number of at least 0, but got {self.seed}.")

        for name in FOREIGN[self.model]:
            if getattr(self, name) != DEFAULTS.get(self.model, {}).get(name, getattr(type(self), name)):
                raise ValueError(f"{self.model} has no --{name.replace('_', '-')}: leave it out.")

    def _require(self, names: tuple[str, ...], holds: Callable[[Any], bool], what: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"--{name.replace('_', '-')} is {what}, but got {value}.")


class Run:
    """A run folder: config.json, checkpoint.safetensors, log.csv, frames/, and the pictures made of them."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.json"
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.log = self.folder / "log.csv"
        self.frames = self.folder / "frames"

    def __str__(self) -> str:
        return str(self.folder)

    def exists(self) -> bool:
        return self.config.is_file()

    def settings(self) -> Settings:
        """The run's settings. Raises TrainingError when there is no run, or its config.json is damaged."""
        if not self.exists():
            what = "does not exist" if not self.folder.exists() else "holds no minigan run (no config.json)"
            raise TrainingError(f"{self.folder} {what}.")
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
            return Settings(**config["settings"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{self.config} is damaged ({error}): restore it, or start a new run.") from None

    def prepare(self, settings: Settings) -> None:
        """Make the folder and its config.json. Raises TrainingError where that cannot be done or would mix runs."""
        try:
            if self.folder.exists() and not self.exists() and any(self.folder.iterdir()):
                raise TrainingError(f"{self.folder} is not empty and holds no minigan run: choose another --out.")
            self.frames.mkdir(parents=True, exist_ok=True)
            for piece in self.folder.rglob(".*.part"):  # of a file that a kill cut short
                piece.unlink()
            versions = {"minigan": __version__, "numpy": np.__version__, "python": platform.python_version()}
            config = {"settings": asdict(settings), "made with": versions}
            write_whole(self.config, (json.dumps(config, indent=2) + "\n").encode())
        except OSError as error:
            raise TrainingError(f"Cannot write to {self.folder}: {error.strerror or error}.") from None

    def load(self) -> tuple[GAN, dict[str, Any]]:
        """The model of the last checkpoint, its G the averaged one where an average was kept, and the facts.

        D is None where the checkpoint has none, as in those that come with the package.
        """
        arrays, facts = checkpoint.load(self.checkpoint)
        settings = self.settings()
        model = settings.build(rng(0))
        load_network(model.G, settings.drawer, arrays)
        if not any(name.startswith("D.") for name in arrays):
            model = replace(model, D=None)
        elif model.D is not None:
            load_network(model.D, "D", arrays)
        return model, facts

    def load_composer(self) -> tuple[Composer, dict[str, Any]]:
        """The network that makes tunes, and the facts."""
        arrays, facts = checkpoint.load(self.checkpoint)
        G = Composer(rng=rng(0), conditions=facts["model"] == "midinet")
        load_network(G, self.settings().drawer, arrays)
        return G, facts

    def load_clips(self) -> tuple[Network, dict[str, Any]]:
        """The network that draws clips, and the facts."""
        arrays, facts = checkpoint.load(self.checkpoint)
        settings = self.settings()
        G = generator(settings.model, settings.image_shape, BASE, rng(0))
        load_network(G, settings.drawer, arrays)
        return G, facts

    def load_writer(self) -> tuple[Writer, Vocabulary | None, dict[str, Any]]:
        """The writer of the last checkpoint, its vocabulary (None for the oracle's game), and the facts."""
        arrays, facts = checkpoint.load(self.checkpoint)
        file = self.folder / "vocabulary.txt"
        vocabulary = Vocabulary.load(file) if file.exists() else None
        size, features = arrays["G.0.W"].shape
        G = Writer(size, features, arrays["G.1.Wh"].shape[0], rng=rng(0))
        load_network(G, "G", arrays)
        return G, vocabulary, facts


def run(
    settings: Settings,
    images: np.ndarray,
    out: str | os.PathLike,
    *,
    beside: Any = None,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Run:
    """Train into the folder `out`, or go on with the run that is there.

    images, and what stands beside them: uint8 (M, H, W, C), beside their labels (M,) for a conditional model; points
    (M, 2), for a model of the plane; words (M, T) beside a Corpus; bars (M, 16) beside two Melodies, for training and
    for testing; or clips (M, T, H, W, C) uint8.
    Leaves log.csv, config.json, checkpoint.safetensors, curves.png, and the samples of its gallery (minigan.gallery).
    A checkpoint is written every `settings.every` steps, at the end, and on Ctrl-C. Raises TrainingError.
    """
    from tqdm import tqdm

    keep_memory()
    where = Run(out)
    if where.exists() and not resume:
        raise TrainingError(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    training = settings.train(images, beside)
    if resume and where.checkpoint.exists():
        training.load(*checkpoint.load(where.checkpoint))
        say(f"Going on with {out} from step {training.step:,}.")
    elif resume:
        say(f"{out} has no checkpoint yet: starting from the beginning.")
    where.prepare(settings)
    rows = [row for row in read_rows(where.log) if row["step"] <= training.step] if resume else []
    gallery = gallery_of(training, where.folder, settings.steps, REFERENCES.get(settings.loss))
    frame_steps = frames_at(settings.steps)
    if training.step == 0:
        _frame(where, training, gallery)

    bar = tqdm(
        total=settings.steps, initial=training.step, unit="step", disable=not progress, smoothing=0.05, leave=True
    )
    told = (lambda text: bar.write(text)) if progress else say  # above the bar, not through it
    try:
        with _StopSignal() as stop, bar, np.errstate(all="ignore"):  # numbers that overflow are reported below
            while training.step < settings.steps and not stop:
                training.advance()
                bar.update()
                if training.step % LOG_EVERY == 0 or training.step == settings.steps:
                    rows.append(training.measures())
                    bar.set_postfix_str(gallery.brief(rows[-1]), refresh=False)
                    _stop_if_diverged(rows[-1], where)
                if training.step in frame_steps:
                    _frame(where, training, gallery)
                if training.step % settings.every == 0 or training.step == settings.steps:
                    _save(where, training, gallery, rows, told)
            if stop:
                _save(where, training, gallery, rows, told)
    finally:
        if training.workers is not None:
            training.workers.stop()
    if stop:
        say(f"Stopped at step {training.step:,}; nothing is lost. To go on: {resume_command(settings, out)}")
    gallery.finish(rows)
    gallery.sign(where.checkpoint, "training.gif")  # it stays a note: the frames were drawn on the way
    return where


def _frame(where: Run, training: Any, gallery: ImageGallery) -> None:
    try:
        gallery.frame()
    except FloatingPointError:
        raise _diverged(training.step, where) from None
    except OSError as error:
        raise _cannot_write(where, error) from None


def keep_memory() -> None:
    """Ask glibc's malloc to keep what is freed: by default it hands large blocks back to the system after each step
    and fetches them again, page by page, an eighth of DCGAN's step. Elsewhere nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no mallopt, or no C library to be opened
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**30)
        mallopt(mmap_threshold, 2**25)


def resume_command(settings: Settings, out: str | os.PathLike) -> str:
    return f"minigan train {settings.model} --out {out} --resume"


def _save(
    where: Run, training: Any, gallery: ImageGallery, rows: list[dict[str, float]], say: Callable[[str], None]
) -> None:
    """The log, the samples and the checkpoint. The checkpoint comes last: what it counts is on the disk by then."""
    arrays, facts = training.state()
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise _diverged(training.step, where)
    try:
        write_rows(where.log, gallery.columns, rows)
        gallery.save(rows, say)
        checkpoint.save(where.checkpoint, arrays, facts)
        gallery.sign(where.checkpoint)
    except FloatingPointError:
        raise _diverged(training.step, where) from None
    except OSError as error:
        raise _cannot_write(where, error) from None


def _cannot_write(where: Run, error: OSError) -> TrainingError:
    return TrainingError(f"Cannot write to {where.folder}: {error.strerror or error}; {_last_good(where)}.")


def _stop_if_diverged(row: dict[str, float], where: Run) -> None:
    if not all(math.isfinite(value) for value in row.values()):
        raise _diverged(row["step"], where)


def _diverged(step: int, where: Run) -> TrainingError:
    return TrainingError(
        f"The numbers became infinite or NaN by step {step:,}: try a smaller --lr or another --loss; "
        f"{_last_good(where)}."
    )


def _last_good(where: Run) -> str:
    try:
        _, facts = checkpoint.load(where.checkpoint)
        return f"the last good checkpoint, of step {facts['step']:,}, is kept"
    except checkpoint.CheckpointError:
        return "there is no checkpoint yet"


class _StopSignal:
    """True once Ctrl-C (or a polite kill) has come: the step in progress is finished first. A second one kills."""

    def __init__(self) -> None:
        self.came = False

    def __enter__(self) -> _StopSignal:
        self.before = {}
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not in the main thread: the usual KeyboardInterrupt then
                self.before[name] = signal.signal(name, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.came = True
        for name, handler in self.before.items():
            signal.signal(name, handler)

    def __exit__(self, *exception: Any) -> None:
        for name, handler in self.before.items():
            signal.signal(name, handler)

    def __bool__(self) -> bool:
        return self.came
