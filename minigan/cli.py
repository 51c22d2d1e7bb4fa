"""The command line: `minigan train | sample | evaluate | verify | models | data | info | check | lessons | mark`.

Each command is one function. Bad input ends in one sentence and the exit status 1, never in a traceback
(MINIGAN_DEBUG=1 brings it back).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minigan.run import Settings


FACES = 10_000  # icons to learn from
NAMED = ("digits", "mnist", "faces", "quatrains", "chorales", "shapes")  # --data that is no path


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        options = parser().parse_args(arguments)
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `minigan ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, RuntimeError, OSError, ImportError, MemoryError) as error:
        if os.environ.get("MINIGAN_DEBUG"):
            raise
        print(f"minigan: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from minigan import __version__
    from minigan.data.faces import EXPRESSIONS
    from minigan.losses import GAMES
    from minigan.penalty import KINDS
    from minigan.run import EVERY_MODEL, Settings
    from minigan.shipped import SHIPPED

    default, dcgan = Settings(), Settings.of("dcgan")
    top = argparse.ArgumentParser(
        prog="minigan",
        description="Generative adversarial networks by hand: train them, look at what they draw, check gradients.",
        epilog="Start with: minigan train mlp. Each command has its own --help.",
    )
    top.add_argument("--version", action="version", version=f"minigan {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name, function, help, **options):
        command = commands.add_parser(name, help=help, description=help, **options)
        command.set_defaults(command=function)
        return command

    p = add("train", train, "Train a model and leave a folder with its pictures, curves, log and checkpoint.")
    p.add_argument("model", choices=EVERY_MODEL, help="which model (minigan models tells about them)")
    p.add_argument(
        "--steps",
        type=int,
        help=f"how many steps, each of D and of G (default {default.steps}; dcgan {dcgan.steps})",
    )
    p.add_argument("--batch", type=int, help=f"images a step (default {default.batch}; dcgan {dcgan.batch})")
    p.add_argument("--seed", type=int, help=f"the same seed gives the same run (default {default.seed})")
    p.add_argument("--lr", type=float, help=f"learning rate of both players (default {default.lr}; dcgan {dcgan.lr})")
    p.add_argument(
        "--loss", choices=[g.name for g in GAMES], help=f"the game (default {default.loss}; dcgan {dcgan.loss})"
    )
    p.add_argument("--penalty", choices=["none", *KINDS], help="what bounds D's slope (default none)")
    p.add_argument("--penalty-weight", type=float, help=f"its weight (default {default.penalty_weight:g})")
    p.add_argument("--clip", type=float, help="cut D's weights to [-CLIP, CLIP] after each step (default off)")
    p.add_argument("--d-steps", type=int, help=f"steps of D for one of G (default {default.d_steps})")
    p.add_argument("--lr-d", type=float, help="D's own learning rate (default: that of --lr)")
    p.add_argument("--lr-g", type=float, help="seqgan, oracle: G's learning rate in the game")
    p.add_argument("--mle", type=int, help="seqgan, oracle: steps of maximum likelihood before the game, of --steps")
    pretrain = "of --steps, before the game: seqgan, oracle: steps of D alone; video: steps on single frames"
    p.add_argument("--pretrain", type=int, help=pretrain)
    p.add_argument("--copies", type=int, help="seqgan, oracle: rollouts for each word")
    p.add_argument("--beta1", type=float, help=f"Adam's share of the old mean kept (default {default.beta1})")
    p.add_argument("--beta2", type=float, help=f"and of the old mean square (default {default.beta2})")
    p.add_argument("--optimizer", choices=["adam", "rmsprop"], help=f"of both players (default {default.optimizer})")
    p.add_argument(
        "--average",
        type=float,
        help=f"samples come from G's running average; the share kept a step (default {default.average}; 0: off)",
    )
    p.add_argument(
        "--data",
        help="digits (shipped, the default), faces (icons drawn by rule), mnist (after `minigan data mnist`), or a "
        "folder of MNIST's IDX files or of pictures (PNG, JPEG, ...); seqgan: quatrains (shipped), or a text file "
        "with one sample a line; midinet: chorales (shipped), or a folder of .mid files; video: shapes, digits, or a "
        "folder of animated GIFs",
    )
    p.add_argument(
        "--size",
        type=int,
        help="of faces or a folder's pictures (default 28; dcgan: 32, 64, 128 too), or of clips (32 or 64)",
    )
    p.add_argument("--grey", action="store_true", help="make faces or a folder's pictures grey")
    p.add_argument("--out", type=Path, help="the run folder (default runs/MODEL, or the next free runs/MODEL-2, ...)")
    p.add_argument("--resume", action="store_true", help="go on with the run in --out (default: the newest of MODEL)")
    p.add_argument("--every", type=int, help=f"steps between checkpoints ({default.every}; dcgan {dcgan.every})")
    p.add_argument(
        "--workers",
        type=int,
        help=f"processes that share each step (default {default.workers}; dcgan {dcgan.workers})",
    )
    _add_backend(p)
    p.add_argument("--quiet", action="store_true", help="no progress bar")

    p = add("sample", sample, "Let a trained generator draw pictures, write, play or film.")
    p.add_argument("run", help="a run folder, or one that comes with minigan: " + ", ".join(SHIPPED))
    p.add_argument("-n", type=int, help="how many (default 64 images, 8 texts, 1 tune, 9 clips)")
    p.add_argument(
        "-o",
        "--output",
        type=Path,
        help="images: .png or .npz; text: .txt (default: printed); tunes: .mid, with a .png beside it; clips: .gif, "
        ".mp4, .png (film strips) or .npz",
    )
    p.add_argument("--seed", type=int, default=0, help="the same seed draws the same (default 0)")
    p.add_argument("--label", type=int, help="conditional models: draw this class (default: all of them)")
    p.add_argument(
        "--interpolate",
        action="store_true",
        default=None,
        help="each row walks from one z to another, 8 images a row",
    )
    p.add_argument("--scale", type=int, help="each pixel becomes SCALE x SCALE (default 2; clips 3)")
    p.add_argument("--prompt", help="text: how it begins")
    p.add_argument("--temperature", type=float, help="text: below 1 bolder, above 1 wilder (default 1)")
    p.add_argument("--bars", type=int, help="tunes: how long (default 8)")
    p.add_argument("--tempo", type=float, help="tunes: quarter notes a minute (default 90)")
    p.add_argument("--wav", action="store_true", default=None, help="tunes: a recording beside the .mid")
    p.add_argument("--fix", choices=["content", "motion"], help="video: all clips show, or do, the same")
    p.add_argument("--force", action="store_true", help="overwrite the output file if it exists")
    _add_backend(p)

    p = add(
        "evaluate", evaluate, "Measure a run beside real data and planted failures: a table, a page, a JSON file."
    )
    p.add_argument("run", type=Path, help="a run folder")
    p.add_argument("-n", type=int, help="samples (default: as many as there are held-out digits, or 1,000)")
    p.add_argument(
        "-o", "--output", type=Path, help="where to put report.html and evaluation.json (default: the run)"
    )
    p.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    _add_backend(p)

    p = add("verify", verify, "Say whether a sample file and its record agree, and make it again from its run.")
    p.add_argument("file", type=Path, help="a file that minigan sample wrote")
    p.add_argument(
        "--run", type=Path, help="the run it came from (default: the folder in runs/ that the record names)"
    )

    p = add("models", models, "List the models, their networks and their sizes.")
    p.add_argument("model", nargs="?", choices=EVERY_MODEL, help="show one model, layer by layer")

    p = add("data", data, "Fetch the whole of MNIST, or check the files that you have.")
    p.add_argument("name", choices=["mnist"], help="mnist: 60,000 + 10,000 digits, 11 MB")
    p.add_argument("--from", dest="source", type=Path, help="read and check the IDX files in this folder instead")
    p.add_argument("--to", type=Path, help="where to put the files (default: the user's cache folder)")

    p = add("info", info, "Show versions, backend, BLAS and threads: what to send with a question.")
    _add_backend(p)

    p = add("check", check, "Check the gradient of every layer and loss against differences; the table tells.")
    p.add_argument("--full", action="store_true", help="show the whole report of each, with worst entries")
    _add_backend(p)

    p = add("studio", studio, "Digits, a face, a tune, a quatrain and a clip on one sheet, from shipped generators.")
    p.add_argument("-o", "--output", type=Path, default=Path("sheet"), help="a folder (default sheet)")
    p.add_argument("--seed", type=int, default=0, help="the same seed draws the same (default 0)")
    p.add_argument("--face", choices=EXPRESSIONS, default="laugh", help="default laugh", metavar="EXPRESSION")
    p.add_argument("--prompt", help="how the quatrain begins, as 明月")
    p.add_argument("--force", action="store_true", help="overwrite files that exist")

    p = add("lessons", lessons, "Copy the course's notebooks into a folder of yours and open JupyterLab on it.")
    p.add_argument("folder", nargs="?", type=Path, default=Path("minigan-lessons"), help="default ./minigan-lessons")
    p.add_argument("--lesson", help='copy one, as "03" (default: all)')
    p.add_argument("--no-open", action="store_true", help="copy only")

    p = add("mark", mark, "Mark returned notebooks by cases that nobody has seen: a table, and a CSV file.")
    p.add_argument("folder", type=Path, help="it holds STUDENT.ipynb or STUDENT/NAME.ipynb")
    p.add_argument("-o", "--output", type=Path, default=Path("marks.csv"), help="default marks.csv")
    p.add_argument("--seed", type=int, help="the same seed draws the same cases (default: one that nobody knows)")
    p.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="of one notebook (default 120)")
    p.add_argument("--memory", type=int, default=2048, metavar="MB", help="of one notebook (default 2048)")
    p.add_argument("--workers", type=int, default=1, help="notebooks at a time (default 1)")
    p.add_argument("--force", action="store_true", help="overwrite the output file if it exists")
    return top


def _add_backend(p: argparse.ArgumentParser) -> None:
    p.add_argument("--backend", choices=["numpy", "cupy"], help="compute on the CPU, or on an NVIDIA GPU with CuPy")


def _use(name: str | None) -> None:
    if name:
        from minigan.backend import use

        use(name)


# ---- train -------------------------------------------------------------------------------------------------------


def train(options: argparse.Namespace) -> None:
    from minigan.backend import backend_name
    from minigan.run import Run, Settings, run

    where = Run(options.out or _default_folder(options.model, options.resume))
    given = _given(options)
    if options.resume and where.exists():
        settings = _resumed(where.settings(), given, where.folder)
        shape = settings.image_shape  # of points and words, it has one number
        size, grey = (shape[-2], shape[-1] == 1) if len(shape) > 2 else (None, False)
        if options.size not in (None, size) or options.grey > grey:
            raise ValueError(
                f"The run in {where.folder} draws images {settings.image_shape}: leave --size and --grey out."
            )
        _use(settings.backend)
    else:
        _use(options.backend)
        settings = Settings.of(**{**given, "backend": backend_name()})
        size, grey = options.size, options.grey
    images, beside = load_data(settings, size, grey)
    settings = replace(settings, image_shape=images.shape[1:])
    where = run(settings, images, where.folder, beside=beside, resume=options.resume, progress=not options.quiet)
    pictures = [
        f"{name}.png"
        for name in ("samples", "interpolation", "reconstructions", "filters", "board", "strips", "curves")
    ]
    films = [f"{name}.gif" for name in ("training", "board", "clips")]
    made = ["samples.txt", *pictures, *films, "tune.mid", "log.csv", "checkpoint.safetensors"]
    print(f"In {where.folder}: " + ", ".join(name for name in made if (where.folder / name).exists()))


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that stand on the command line."""
    from minigan.run import Settings

    names = [f.name for f in fields(Settings)]
    given = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    if "data" in given and given["data"] not in NAMED:
        given["data"] = str(Path(given["data"]).expanduser().resolve())  # a resumed run may start elsewhere
    return given


def _resumed(saved: Settings, given: dict[str, Any], folder: Path) -> Settings:
    """The run's own settings; only its length and the checkpoints' distance may change on the way."""
    for name, value in given.items():
        if name not in ("steps", "every") and value != getattr(saved, name):
            raise ValueError(
                f"The run in {folder} was started with {name} {getattr(saved, name)}, not {value}: "
                f"leave --{name} out to go on with it, or start a new run with another --out."
            )
    return replace(saved, **{name: value for name, value in given.items() if name in ("steps", "every")})


def _default_folder(model: str, resume: bool) -> Path:
    """The newest run of this model, or the first folder runs/MODEL, runs/MODEL-2, ... that is free."""
    number, free, newest = 1, None, None
    while free is None:
        folder = Path("runs", model if number == 1 else f"{model}-{number}")
        newest, free = (folder, None) if folder.exists() else (newest, folder)
        number += 1
    if resume and newest is None:
        raise ValueError(
            f"There is no run of {model} in runs/ to go on with: leave --resume out, or name it by --out."
        )
    return newest if resume else free


def load_data(settings: Settings, size: int | None = None, grey: bool = False) -> tuple[np.ndarray, Any]:
    """What a model is trained on, and what stands beside it (see `minigan.run.run`)."""
    from minigan.data import toy
    from minigan.run import CLIPS, PLANE, TUNES, WRITERS

    if (size is not None or grey) and settings.model in (*WRITERS, *TUNES, *PLANE):
        raise ValueError(f"{settings.model} has no --size and no --grey: leave them out.")
    if settings.model in WRITERS:
        return load_words(settings)
    if settings.model in TUNES:
        return load_tunes(settings)
    if settings.model in CLIPS:
        return load_films(settings, 32 if size is None else size, grey), None
    if settings.model in PLANE:
        if settings.data != "digits":
            raise ValueError(f"{settings.model} brings its own points: leave --data out.")
        return getattr(toy, settings.model)().sample(100_000, np.random.default_rng(settings.seed)), None
    images, labels = load_images(settings.data, size, grey)
    if not settings.model.startswith("conditional"):
        return images, None
    if labels is None:
        raise ValueError(
            f"{settings.model} needs labelled images: digits, mnist, faces, or a folder of MNIST's IDX files."
        )
    return images, labels


def load_words(settings: Settings) -> tuple[np.ndarray, Any]:
    """Sequences (M, T) to train a writer on, and what stands beside them (`minigan.writing.Corpus`)."""
    from minigan.backend import rng, to_host
    from minigan.data import load_quatrains, load_text
    from minigan.models.seqgan import oracle
    from minigan.writing import Corpus

    if settings.model == "oracle":
        if settings.data != "oracle":
            raise ValueError("The oracle writes its own text: leave --data out.")
        truth = oracle(rng(1))  # the same for every run
        words = to_host(truth.write(rng((settings.seed, 7)), 12_000, 20))
        return words[:10_000], Corpus(words[10_000:], oracle=truth)
    if settings.data == "quatrains":
        words, vocabulary = load_quatrains("train")
        return words, Corpus(load_quatrains("test")[0], vocabulary)
    words, vocabulary = load_text(settings.data)
    order = np.random.default_rng(settings.seed).permutation(len(words))
    held_out = max(1, len(words) // 10)
    return words[order[held_out:]], Corpus(words[order[:held_out]], vocabulary)


def load_tunes(settings: Settings) -> tuple[np.ndarray, Any]:
    """Bars (M, 16) in all keys, and beside them all of `Melodies` for training, and those of held-out tunes."""
    from minigan.data import load_chorales, load_midi
    from minigan.data.music import Melodies, all_keys

    if settings.data == "chorales":
        train = all_keys(load_chorales("train"))
        return train.melody, (train, load_chorales("test"))
    melodies, skipped = load_midi(settings.data)
    for path, reason in skipped:
        print(f"Skipped {path.name}: {reason}", file=sys.stderr)
    numbers = np.unique(melodies.tune)
    test = np.isin(melodies.tune, numbers[::10] if len(numbers) > 1 else [])  # every tenth tune is held out
    part = lambda rows: Melodies(*(a[rows] for a in melodies))
    train = all_keys(part(~test))
    return train.melody, (train, part(test) if test.any() else melodies)


def load_films(settings: Settings, size: int, grey: bool) -> np.ndarray:
    """Clips (M, 16, H, W, C) uint8. Raises ShapeError for a size that no model draws."""
    from minigan.data import load_clips, moving_digits, moving_shapes
    from minigan.models.video import doublings_to

    doublings_to(size)  # another size is refused here, before clips are made in it
    count = 3000 * 32**2 // size**2
    if settings.data == "shapes":
        return moving_shapes(count, size).clips
    if settings.data == "digits":
        return moving_digits(count, size).clips
    clips, skipped = load_clips(settings.data, size=size)
    for path, reason in skipped:
        print(f"Skipped {path.name}: {reason}", file=sys.stderr)
    return clips.mean(axis=-1, keepdims=True).astype("uint8") if grey else clips


def load_images(data: str, size: int | None = None, grey: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """The images named on the command line, (M, H, W, C) uint8: 28x28 and grey, but for faces and folders.

    And their labels (M,), which pictures in a folder do not have.
    """
    from minigan.data import digits, face_icons

    if data == "faces":
        images, labels, _ = face_icons(FACES, size or 28)
        return np.round(images.mean(-1, keepdims=True)).astype(np.uint8) if grey else images, labels
    folder = None if data in ("digits", "mnist") else Path(data)
    if folder is not None and not folder.is_dir():
        raise ValueError(f"--data is digits, mnist, faces or a folder, and there is no folder {folder}.")
    if folder is None or any("idx" in path.name for path in folder.iterdir()):
        if size not in (None, 28):
            raise ValueError(f"--size is for a folder of pictures; the digits are 28x28, not {size}x{size}.")
        if data == "digits":
            return digits.load_digits("train")
        return digits.load_mnist(digits.mnist_folder() if data == "mnist" else folder, "train")
    from minigan.data.images import load_folder

    images, skipped = load_folder(folder, size or 28, colour=not grey)
    for path, reason in skipped:
        print(f"Skipped {path.name}: {reason}", file=sys.stderr)
    return images, None


# ---- sample ------------------------------------------------------------------------------------------------------


def sample(options: argparse.Namespace) -> None:
    from minigan.sampling import sample

    _use(options.backend)
    options.say = print
    sample(options)


def evaluate(options: argparse.Namespace) -> None:
    from minigan.evaluation import evaluate

    _use(options.backend)
    page = evaluate(options.run, n=options.n, out=options.output, seed=options.seed, load=load_data)
    print(f"The page: {page}")


def verify(options: argparse.Namespace) -> int:
    from minigan.provenance import read, sha256_of, verify
    from minigan.run import Run
    from minigan.sampling import again
    from minigan.shipped import with_checkpoint

    record = read(options.file)
    folder = options.run or (Path("runs", record.run) if record is not None and record.run else None)
    where = None if folder is None else Run(folder)
    if options.run is None and record is not None:
        where = with_checkpoint(record.checkpoint) or where
    at_hand = where is not None and where.checkpoint.exists()
    if options.run and not at_hand:
        raise ValueError(f"{folder} holds no checkpoint.")
    same = at_hand and record is not None and sha256_of(where.checkpoint) == record.checkpoint
    remake = lambda kept: again(kept, where, options.file.suffix, load_data)
    verdict = verify(options.file, remake if same else None)
    print(verdict.text)
    if verdict.good and not same:
        there = f"the checkpoint in {folder} is another" if at_hand else "name the run by --run"
        print(f"To make it again, its checkpoint {record.checkpoint[:12]} is needed: {there}.")
    return 0 if verdict.good else 1


# ---- models, data, info, check -----------------------------------------------------------------------------------


def models(options: argparse.Namespace) -> None:
    from minigan.backend import rng
    from minigan.models import MODELS
    from minigan.run import CLIPS, EVERY_MODEL, TUNES, WRITERS

    for name in [options.model] if options.model else EVERY_MODEL:
        if name not in MODELS:
            print(f"{name}: {(WRITERS | TUNES | CLIPS)[name]}")
            continue
        model = MODELS[name](rng(0))
        print(f"{name}: {' '.join(MODELS[name].__doc__.split())}")
        networks = {"G": (model.G, (model.noise,)), "D": (model.D, model.image_shape)}
        networks["encoder"] = (getattr(model, "encoder", None), model.image_shape)
        networks = {who: pair for who, pair in networks.items() if pair[0] is not None}
        print("    parameters: " + ", ".join(f"{who} {net.theta.size:,}" for who, (net, _) in networks.items()))
        for who, (network, shape) in networks.items() if options.model else ():
            print("", who, network.summary(shape), sep="\n")


def data(options: argparse.Namespace) -> None:
    from minigan.data import digits

    folder = options.source or digits.fetch_mnist(options.to)
    for split in ("train", "test"):
        images, labels = digits.load_mnist(folder, split)
        print(f"{split}: {len(images):,} digits, {np.bincount(labels, minlength=10).tolist()} of each class")
    name = "mnist" if options.source is None and options.to is None else folder
    print(f"All good in {folder}. To train on them: minigan train mlp --data {name}")


def info(options: argparse.Namespace) -> None:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from minigan import __version__
    from minigan.backend import BackendError, backend_name, use

    _use(options.backend)
    print(f"minigan     {__version__}, backend {backend_name()}")
    print(f"python      {platform.python_version()} on {platform.platform()}")
    for package in ("numpy", "cupy", "matplotlib", "pillow", "safetensors", "tqdm", "pooch"):
        try:
            print(f"{package:<11} {version(package)}")
        except PackageNotFoundError:
            if package != "cupy":
                print(f"{package:<11} not installed")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"cores       {cores}")
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    print(f"BLAS        {blas['name']} {blas['version']}")
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        print("threads     unknown (pip install threadpoolctl)")
    else:
        for pool in threadpool_info():
            print(f"threads     {pool['num_threads']} in {pool['internal_api']} ({pool.get('architecture', '?')})")
    if backend_name() == "numpy":
        try:
            use("cupy")
            print("GPU         usable: --backend cupy")
        except BackendError as error:
            print(f"GPU         none ({error})")
        use("numpy")


def check(options: argparse.Namespace) -> int:
    from minigan import layers, losses
    from minigan.backend import rng
    from minigan.gradcheck import check_layer, check_loss, check_network
    from minigan.models.mlp import mlp

    _use(options.backend)
    r = rng(0)
    checked = [
        (layers.Dense(7, 5, rng=r), (4, 7)),
        (layers.ReLU(), (4, 7)),
        (layers.LeakyReLU(0.2), (4, 7)),
        (layers.Tanh(), (4, 7)),
        (layers.Sigmoid(), (4, 7)),
        (layers.Softplus(), (4, 7)),
        (layers.Softmax(), (4, 7)),
        (layers.Reshape((2, 3)), (4, 6)),
        (layers.Flatten(), (4, 2, 3)),
        (layers.Dropout(0.3, rng=r), (4, 7)),
        (layers.Conv(2, 3, (3, 3), 2, rng=r), (2, 5, 4, 2)),
        (layers.ConvTranspose(2, 3, (4, 4), 2, rng=r), (2, 3, 2, 2)),
        (layers.BatchNorm(3), (4, 2, 3)),
        (layers.LayerNorm(7), (4, 7)),
        (layers.MaxPool((2, 2)), (2, 4, 4, 2)),
        (layers.AveragePool((2, 2)), (2, 4, 4, 2)),
        (layers.GlobalMaxPool(), (2, 4, 3)),
        (layers.Upsample(2), (2, 3, 2)),
        (layers.MinibatchStd(), (4, 3, 3, 2)),
        (layers.Highway(5, rng=r), (4, 5)),
        (layers.LSTM(3, 4, rng=r), (2, 5, 3)),
        (layers.GRU(3, 4, rng=r), (2, 5, 3)),
    ]
    tiny = mlp(r, image_shape=(3, 3, 1), noise=5)
    reports = [check_layer(layer, shape) for layer, shape in checked]
    reports += [check_network(tiny.G, (4, 5), entries=40), check_network(tiny.D, (4, 3, 3, 1), entries=40)]
    reports += [check_loss(game) for game in losses.GAMES]
    names = (
        [repr(layer) for layer, _ in checked] + ["G of mlp", "D of mlp"] + [f"{g.name} game" for g in losses.GAMES]
    )

    width = max(map(len, names))
    print(f"{'':<{width}}  gradients  largest rel. error  verdict")
    for name, report in zip(names, reports):
        if options.full:
            print(f"\n{report}")
            continue
        largest = max((row.relative_error for row in report.rows), default=float("nan"))
        verdict = "right" if report.ok else "WRONG: " + "; ".join(report.diagnoses)
        print(f"{name:<{width}}  {len(report.rows):>9}  {largest:>18.0e}  {verdict}")
    wrong = sum(not report.ok for report in reports)
    print(f"\n{len(reports) - wrong} right, {wrong} wrong.")
    return 1 if wrong else 0


# ---- lessons, mark -----------------------------------------------------------------------------------------------


def studio(options: argparse.Namespace) -> None:
    from minigan.studio import make

    made = make(options.output, options.seed, options.face, options.prompt, options.force)
    print(f"In {options.output}: " + ", ".join(path.name for path in made))


def lessons(options: argparse.Namespace) -> None:
    import shutil

    source = lessons_folder()
    every = sorted((source / "student").glob("*.ipynb"))
    notebooks = [path for path in every if options.lesson in (None, path.name[:2])]
    if not notebooks:
        there = ", ".join(path.name[:2] for path in every)
        raise ValueError(f'There is no lesson "{options.lesson}"; there are {there}.')
    shown = {name for path in notebooks for name in re.findall(r"\.\./(pictures/[\w.-]+)", path.read_text("utf-8"))}
    for path in [*notebooks, *(source / name for name in sorted(shown))]:
        copy = options.folder / path.relative_to(source)
        if copy.exists():
            print(f"Kept {copy}, which was there already.")
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        print(f"Copied {copy}")
    if not options.no_open:
        open_lab(options.folder)


def lessons_folder() -> Path:
    """The folder that holds student/ and pictures/: in a checkout beside the package, else where pip has put it."""
    from importlib.metadata import PackageNotFoundError, files

    beside = Path(__file__).parent.parent / "lessons"
    if (beside / "build.py").exists():
        return beside
    try:
        notebooks = [Path(file.locate()) for file in files("minigan") or [] if file.match("lessons/student/*.ipynb")]
    except PackageNotFoundError:
        notebooks = []
    for notebook in notebooks:
        if notebook.exists():  # `pip install --target` has put it elsewhere than it says
            return notebook.resolve().parent.parent
    raise ValueError("The lessons are not installed here: they are in the folder lessons of minigan's source.")


def open_lab(folder: Path) -> None:
    """Run JupyterLab on the folder until it ends, or say how to install it."""
    import subprocess
    from contextlib import suppress
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        print(f'To open it, pip install "minigan[lessons]", and then: jupyter lab {folder}')
        return
    lab = subprocess.Popen([sys.executable, "-m", "jupyterlab", str(folder)])
    while lab.poll() is None:
        with suppress(KeyboardInterrupt):  # Ctrl-C is for JupyterLab, which asks whether to stop
            lab.wait()


def mark(options: argparse.Namespace) -> None:
    import secrets

    from minigan.marking import mark, table, write

    out = options.output
    if out.exists() and not options.force:
        raise ValueError(f"{out} exists already: choose another -o, or add --force to overwrite it.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent} to write {out.name} to.")
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    marks = mark(options.folder, seed, options.timeout, options.memory, options.workers)
    write(out, marks)
    print(table(marks))
    print(f"{out}: {len(marks)} rows. To draw the same cases again: --seed {seed}")


if __name__ == "__main__":
    sys.exit(main())
