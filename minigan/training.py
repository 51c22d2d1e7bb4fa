"""A run: the loop, and what it leaves on the disk.

`train` is the game alone, a generator that a notebook steps through. `run` is what the command line does with it:
a folder with pictures, curves, a log and a checkpoint, from which a stopped run goes on bit for bit.

N samples a batch, M images in the data set.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigan import __version__, checkpoint, losses
from minigan.backend import Array, rng, rng_state, set_rng_state, to_device, to_host
from minigan.files import write_whole
from minigan.layers.activations import sigmoid
from minigan.models import GAN, MODELS
from minigan.optim import Adam, gradient_norm
from minigan.steps import g_step, stacked_d_step

LOG_EVERY = 10  # steps; only then do numbers cross from the device to the host
FRAMES = 60  # pictures in training.gif
COLUMNS = ("step", "d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm")


class TrainingError(RuntimeError):
    """A run cannot start or go on; the message says why, and what is left."""


# ---- the game ----------------------------------------------------------------------------------------------------


class Training:
    """Everything that the next step depends on: the networks, their optimizers, the data, the noise, the step.

    trace: what the last step computed, under the names used in `minigan.steps` (x_real, real_logits, g_value, ...).
    """

    def __init__(
        self,
        model: GAN,
        images: np.ndarray,
        *,
        batch: int = 64,
        lr: float = 2e-4,
        loss: losses.Loss = losses.non_saturating,
        seed: int = 0,
        random: Any = None,
    ) -> None:
        if images.shape[1:] != model.image_shape:
            raise ValueError(f"{model.name} draws images {model.image_shape}, but the data are {images.shape[1:]}.")
        if images.dtype != np.uint8:
            raise ValueError(f"Images are given as uint8 from 0 to 255, not as {images.dtype}.")
        if not 0 < batch <= len(images):
            raise ValueError(f"A batch of {batch} cannot be taken from {len(images)} images.")
        self.model, self.G, self.D = model, model.G, model.D
        self.images = to_device(images)  # (M, H, W, C) uint8: to the device once
        self.batch, self.loss, self.seed = batch, loss, seed
        self.rng = rng(seed) if random is None else random
        self.G_optimizer, self.D_optimizer = Adam(self.G, lr), Adam(self.D, lr)
        self.step = 0
        self.trace: dict[str, Any] = {}
        self._epoch, self._order = -1, None

    def real_batch(self) -> Array:
        """The images of the next step, (N, H, W, C) float32: each epoch has its order, given by seed and epoch."""
        epoch, place = divmod(self.step, len(self.images) // self.batch)
        if epoch != self._epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.images))
            self._epoch, self._order = epoch, to_device(order)
        rows = self._order[place * self.batch : (place + 1) * self.batch]
        low, high = self.model.pixels
        return self.images[rows].astype("float32") * ((high - low) / 255) + low

    def advance(self) -> None:
        """One step of the game: D learns, then G."""
        z_d = self.model.draw_noise(self.rng, self.batch)
        z_g = self.model.draw_noise(self.rng, self.batch)
        self.trace = {}
        stacked_d_step(self.G, self.D, self.D_optimizer, self.loss, self.real_batch(), z_d, self.trace)
        g_step(self.G, self.D, self.G_optimizer, self.loss, z_g, self.trace)
        self.step += 1

    def sample(self, n: int, seed: int = 1) -> np.ndarray:
        """n images that G draws, on the host, (n, H, W, C) in the model's pixel range; a seed stands for one z."""
        return to_host(self.G(self.model.draw_noise(rng((self.seed, seed)), n)))

    def measures(self) -> dict[str, float]:
        """The last step in numbers on the host: both losses, D(x), D(G(z)) and both gradient norms."""
        trace = self.trace
        values = (
            trace["d_value"],
            trace["g_value"],
            sigmoid(trace["real_logits"]).mean(),
            sigmoid(trace["fake_logits"]).mean(),
            gradient_norm(self.D),
            gradient_norm(self.G),
        )
        return {"step": self.step, **dict(zip(COLUMNS[1:], (float(to_host(v)) for v in values)))}

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        arrays, facts = {}, {"step": self.step, "rng": rng_state(self.rng), "model": self.model.name}
        for who, network, optimizer in self._players():
            arrays |= {f"{who}.{name}": to_host(p) for name, p in network.params.items()}
            kept = optimizer.state()
            facts[f"{who}_optimizer.steps"] = kept.pop("steps")
            arrays |= {f"{who}_optimizer.{name}": to_host(m) for name, m in kept.items()}
        return arrays, facts

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it is another model's; then nothing has changed."""
        expected, _ = self.state()
        for name in sorted(expected.keys() | arrays.keys()):
            ours, theirs = expected.get(name), arrays.get(name)
            if ours is None or theirs is None or ours.shape != theirs.shape:
                raise checkpoint.CheckpointError(
                    f"This checkpoint is not of the model {self.model.name}: its {name} "
                    f"{'is missing' if theirs is None else f'has shape {theirs.shape}'}, "
                    f"here it {'does not exist' if ours is None else f'has shape {ours.shape}'}."
                )
        for who, network, optimizer in self._players():
            load_network(network, who, arrays)
            moments = {name: arrays[f"{who}_optimizer.{name}"] for name in optimizer.moments}
            optimizer.load({"steps": facts[f"{who}_optimizer.steps"], **moments})
        set_rng_state(self.rng, facts["rng"])
        self.step = facts["step"]

    def _players(self):
        return (("G", self.G, self.G_optimizer), ("D", self.D, self.D_optimizer))


def load_network(network: Any, who: str, arrays: dict[str, np.ndarray]) -> None:
    """Copy "who.0.W", "who.0.b", ... into the network's parameters."""
    for name, p in network.params.items():
        p[...] = to_device(arrays[f"{who}.{name}"])
    network.changed()


def train(model: GAN, images: np.ndarray, *, steps: int, **options: Any) -> Iterator[Training]:
    """Play the game for so many steps, and give the whole state after each: networks, caches, logits, losses.

    images (M, H, W, C) uint8. Options: batch, lr, loss, seed, random (a generator), as for `Training`.
    """
    training = Training(model, images, **options)
    while training.step < steps:
        training.advance()
        yield training


# ---- a run on the disk -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What makes a run this run; kept in its config.json."""

    model: str = "mlp"
    data: str = "digits"
    steps: int = 4000
    batch: int = 64
    seed: int = 0
    lr: float = 2e-4
    loss: str = "non_saturating"
    every: int = 500
    backend: str = "numpy"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f'There is no model "{self.model}"; there are {", ".join(MODELS)}.')
        if self.loss not in GAMES:
            raise ValueError(f'There is no loss "{self.loss}"; there are {", ".join(GAMES)}.')
        for name in ("steps", "batch", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} is a number of at least 1, but got {getattr(self, name)}.")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise ValueError(f"--lr is a positive number, but got {self.lr}.")
        if self.seed < 0:
            raise ValueError(f"--seed is a number of at least 0, but got {self.seed}.")


GAMES = {game.name: game for game in losses.GAMES}


class Run:
    """A run folder: config.json, checkpoint.safetensors, log.csv, frames/, and the pictures made of them."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.config = self.folder / "config.json"
        self.checkpoint = self.folder / "checkpoint.safetensors"
        self.log = self.folder / "log.csv"
        self.frames = self.folder / "frames"

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

    def network(self, who: str = "G") -> tuple[GAN, dict[str, Any]]:
        """The model with the networks of the last checkpoint, and the checkpoint's facts."""
        arrays, facts = checkpoint.load(self.checkpoint)
        model = MODELS[self.settings().model](rng(0))
        for name in ("G", "D"):
            network = getattr(model, name)
            for key, p in network.params.items():
                saved = arrays.get(f"{name}.{key}")
                if saved is None or saved.shape != p.shape:
                    raise checkpoint.CheckpointError(f"{self.checkpoint} is not of the model {model.name}.")
            load_network(network, name, arrays)
        return model, facts


def run(
    settings: Settings,
    images: np.ndarray,
    out: str | os.PathLike,
    *,
    resume: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Run:
    """Train into the folder `out`, or go on with the run that is there.

    Leaves samples.png, training.gif, curves.png, log.csv, config.json, checkpoint.safetensors and frames/.
    A checkpoint is written every `settings.every` steps, at the end, and on Ctrl-C. Raises TrainingError.
    """
    from tqdm import tqdm

    where = Run(out)
    if where.exists() and not resume:
        raise TrainingError(f"{out} holds a run already: add --resume to go on with it, or choose another --out.")
    random = rng(settings.seed)
    training = Training(
        MODELS[settings.model](random),
        images,
        batch=settings.batch,
        lr=settings.lr,
        loss=GAMES[settings.loss],
        seed=settings.seed,
        random=random,
    )
    if resume and where.checkpoint.exists():
        training.load(*checkpoint.load(where.checkpoint))
        say(f"Going on with {out} from step {training.step:,}.")
    elif resume:
        say(f"{out} has no checkpoint yet: starting from the beginning.")
    where.prepare(settings)
    rows = [row for row in read_log(where.log) if row["step"] <= training.step] if resume else []
    frame_steps = frames_at(settings.steps)
    if training.step == 0:
        _save_frame(where, training)

    bar = tqdm(
        total=settings.steps, initial=training.step, unit="step", disable=not progress, smoothing=0.05, leave=True
    )
    with _StopSignal() as stop, bar, np.errstate(all="ignore"):  # numbers that overflow are reported below
        while training.step < settings.steps and not stop:
            training.advance()
            bar.update()
            if training.step % LOG_EVERY == 0 or training.step == settings.steps:
                rows.append(training.measures())
                bar.set_postfix_str(_brief(rows[-1]), refresh=False)
                _stop_if_diverged(rows[-1], where)
            if training.step in frame_steps:
                _save_frame(where, training)
            if training.step % settings.every == 0 or training.step == settings.steps:
                _save(where, training, rows)
        if stop:
            _save(where, training, rows)
    if stop:
        say(f"Stopped at step {training.step:,}; nothing is lost. To go on: {resume_command(settings, out)}")
    draw_pictures(where, settings, rows)
    return where


def resume_command(settings: Settings, out: str | os.PathLike) -> str:
    return f"minigan train {settings.model} --out {out} --resume"


def frames_at(steps: int) -> set[int]:
    """The steps after which a frame is kept: close together at first, where the pictures change fast."""
    return {round(steps * (k / FRAMES) ** 1.5) for k in range(FRAMES + 1)}


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a log.csv; a last line that a stop has cut short is left out."""
    if not path.exists():
        return []
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({name: int(row[name]) if name == "step" else float(row[name]) for name in COLUMNS})
            except (KeyError, TypeError, ValueError):
                break
    return rows


def draw_pictures(where: Run, settings: Settings, rows: list[dict[str, float]]) -> None:
    """curves.png from the log, and training.gif from the frames, up to the last step of the log."""
    from PIL import Image

    from minigan import viz

    if rows:
        reference = math.log(4) if settings.loss in ("minimax", "non_saturating") else None
        viz.curves({name: np.array([row[name] for row in rows]) for name in COLUMNS}, where.folder / "curves.png",
                   reference=reference)  # fmt: skip
    last = rows[-1]["step"] if rows else 0
    steps = [step for step in sorted(frames_at(settings.steps)) if step <= last and _frame(where, step).exists()]
    frames = [np.asarray(Image.open(_frame(where, step))) for step in steps]
    if len(frames) > 1:
        viz.save_animation(frames, where.folder / "training.gif", [f"step {step:,}" for step in steps])


def _frame(where: Run, step: int) -> Path:
    return where.frames / f"step_{step:06d}.png"


def _save_frame(where: Run, training: Training) -> None:
    from minigan import viz

    images = training.sample(64)
    if not np.isfinite(images).all():
        raise _diverged(training.step, where)
    try:
        viz.save_grid(images, _frame(where, training.step), value_range=training.model.pixels)
    except OSError as error:
        raise _cannot_write(where, error) from None


def _save(where: Run, training: Training, rows: list[dict[str, float]]) -> None:
    """The log, the samples and the checkpoint. The checkpoint comes last: what it counts is on the disk by then."""
    from minigan import viz

    arrays, facts = training.state()
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise _diverged(training.step, where)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: v if k == "step" else f"{v:.9g}" for k, v in row.items()} for row in rows)
    try:
        write_whole(where.log, text.getvalue().encode())
        viz.save_grid(training.sample(64), where.folder / "samples.png", scale=2, value_range=training.model.pixels)
        checkpoint.save(where.checkpoint, arrays, facts)
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


def _brief(row: dict[str, float]) -> str:
    return "D {d_loss:.2f}  G {g_loss:.2f}  D(x) {d_real:.2f}  D(G(z)) {d_fake:.2f}".format(**row)


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
