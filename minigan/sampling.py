"""`minigan sample`: what a trained generator draws, writes, plays or films, in a file that other programs open."""

from __future__ import annotations

import io
import tempfile
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minigan import checkpoint, viz
from minigan.backend import rng, to_device, to_host
from minigan.composing import BARS
from minigan.data import music, toy
from minigan.files import write_whole
from minigan.filming import draw_noise
from minigan.gallery import gallery_of, readable
from minigan.models import ConditionalGAN
from minigan.models.midinet import NOISE, compose
from minigan.models.video import MoCoGenerator, fixed
from minigan.provenance import Record, sha256_of, stamp
from minigan.run import CLIPS, TUNES, WRITERS, Load, Run
from minigan.shipped import SHIPPED, find
from minigan.training import drawn

DEFAULTS = {"n": None, "label": None, "interpolate": None, "scale": None, "prompt": None, "temperature": None}
DEFAULTS |= {"bars": None, "tempo": None, "wav": None, "fix": None}
MOST = {"n": 100_000, "bars": 10_000, "scale": 64, "tempo": 1000}  # that a record may ask to be made again


def sample(options: Namespace) -> None:
    """Draw what the run's model draws. Raises ValueError for options that are not its kind's, each with its name.

    Every file has a record of how it was made (minigan.provenance).
    """
    where = Run(options.run)
    if not where.exists() and not where.folder.exists():
        where = find(str(options.run))
        if where is None:
            raise ValueError(f"{options.run} does not exist; with minigan come {', '.join(SHIPPED)}.")
    model = where.settings().model
    kind = "text" if model in WRITERS else "tunes" if model in TUNES else "clips" if model in CLIPS else "images"
    of_kind = {
        "images": ("label", "interpolate", "scale"),
        "text": ("prompt", "temperature"),
        "tunes": ("bars", "wav", "tempo"),
        "clips": ("fix", "scale"),
    }
    for name in sorted({name for names in of_kind.values() for name in names} - set(of_kind[kind])):
        if getattr(options, name) is not None:
            raise ValueError(f"{model} draws {kind}, which take no --{name}: leave it out.")
    options.n = {"images": 64, "text": 8, "tunes": 1, "clips": 9}[kind] if options.n is None else options.n
    if options.n < 1:
        raise ValueError(f"-n is a number of at least 1, but got {options.n}.")
    if options.scale is not None and options.scale < 1:
        raise ValueError(f"--scale is a number of at least 1, but got {options.scale}.")
    {"images": draw, "text": write, "tunes": play, "clips": film}[kind](options, where)


def output(options: Namespace, default: str | None, *suffixes: str) -> Path | None:
    """The file to be written. Raises ValueError for another suffix, or where it exists and --force is not given."""
    path = options.output or (None if default is None else Path(default))
    if path is not None and path.suffix not in suffixes:
        raise ValueError(f"The output ends in {' or '.join(suffixes)}, but got {path}.")
    require_free(path, options.force)
    return path


def require_free(path: Path | None, force: bool) -> None:
    if path is not None and path.exists() and not force:
        raise ValueError(f"{path} exists already: choose another -o, or add --force to overwrite it.")


def sign(path: Path, options: Namespace, where: Run, index: int = 0) -> None:
    """Put a record to a file that was just written."""
    given = {name: getattr(options, name) for name in DEFAULTS if getattr(options, name) is not None}
    made_by = {"model": where.settings().model, "checkpoint": sha256_of(where.checkpoint), "seed": options.seed}
    stamp(path, Record(**made_by, index=index, options=given, run=where.folder.resolve().name))


def again(record: Record, where: Run, suffix: str, load: Load) -> bytes:
    """The file that the record tells of, made anew from the run. Raises ValueError where the record asks too much.

    load reads what a run was trained on, Settings -> (data, what stands beside them): `minigan.cli.load_data`. It is
    asked for the files that a run leaves by itself, which are drawn by its training.
    """
    if "file" in record.options:
        return again_of_run(record.options["file"], where, load)
    for name, value in record.options.items():
        if name not in DEFAULTS or (name in MOST and not 0 < value <= MOST[name]):
            raise ValueError(f"its record asks for {name} {value!r}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"again{suffix}")
        main = path.with_suffix(".mid") if record.model in TUNES else path  # a tune's picture comes with it
        options = {**DEFAULTS, **record.options, "run": where.folder, "seed": record.seed, "output": main}
        sample(Namespace(**options, force=False, say=lambda text: None))
        return (path if record.index == 0 else path.with_stem(f"again-{record.index + 1}")).read_bytes()


def again_of_run(name: str, where: Run, load: Load) -> bytes:
    """One of the files that a run leaves with its checkpoint. Raises ValueError for another."""
    settings = replace(where.settings(), workers=1)
    training = settings.train(*load(settings))
    training.load(*checkpoint.load(where.checkpoint))
    with tempfile.TemporaryDirectory() as folder:
        gallery = gallery_of(training, Path(folder), settings.steps, None)
        if name not in gallery.samples:
            raise ValueError(f"{name!a} is none of the files that a checkpoint alone makes again")
        gallery.save([], say=lambda text: None)
        return Path(folder, name).read_bytes()


# ---- images and points -------------------------------------------------------------------------------------------


def draw(options: Namespace, where: Run) -> None:
    """A grid of images, or all of them and their z as .npz."""
    path = output(options, "samples.png", ".png", ".npz")
    model, facts = where.load()
    random = rng(options.seed)
    given = {} if options.label is None else {"label": options.label}
    if given and not isinstance(model, ConditionalGAN):
        raise ValueError(f"{model.name} knows no labels: leave --label out.")
    if options.interpolate:
        z = model.draw_walks(random, -(-options.n // 8), 8)
    else:
        z = model.draw_noise(random, options.n, **given)
    images = drawn(model.G, z)[: options.n]
    labels = {"labels": to_host(z[1])[: options.n]} if isinstance(z, tuple) else {}
    z = to_host(z[0] if isinstance(z, tuple) else z)[: options.n]
    if images.ndim == 2 and path.suffix == ".png":  # points in the plane
        density = getattr(toy, where.settings().model)().density
        viz.density_2d(density, images, path, title=f"{options.n} points, and the density they are to have")
    elif path.suffix == ".npz":
        save_arrays(path, images=images, z=z, **labels, seed=options.seed, step=facts["step"])
    else:
        columns = 8 if options.interpolate else None
        viz.save_grid(images, path, columns=columns, scale=options.scale or 2, value_range=model.pixels)
    sign(path, options, where)
    kind = "points" if images.ndim == 2 else "images"
    options.say(f"{options.n} {kind} of {where} (step {facts['step']:,}) in {path}")


def save_arrays(path: Path, **arrays: Any) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    write_whole(path, file.getvalue())


# ---- text --------------------------------------------------------------------------------------------------------


def write(options: Namespace, where: Run) -> None:
    """Texts, printed, or one after another in a file."""
    path = output(options, None, ".txt")
    G, vocabulary, facts = where.load_writer()
    if vocabulary is None and options.prompt:
        raise ValueError("The oracle's words are numbers, and take no prompt: leave --prompt out.")
    length, prompt = facts["length"], vocabulary.encode(options.prompt) if options.prompt else np.zeros(0, np.int64)
    if len(prompt) > length:
        raise ValueError(f"The prompt has {len(prompt)} tokens, but this run writes texts of {length}.")
    temperature = 1.0 if options.temperature is None else options.temperature
    prompts = np.tile(prompt, (options.n, 1))
    words = to_host(G.write(rng(options.seed), options.n, length, prompts, temperature=temperature))
    shown = lambda row: " ".join(map(str, row)) if vocabulary is None else readable(vocabulary.decode(row))
    texts = "\n\n".join(map(shown, words)) + "\n"
    if path is None:
        options.say(texts.rstrip("\n"))
    else:
        write_whole(path, texts.encode())
        sign(path, options, where)
        options.say(f"{options.n} texts of {where} (step {facts['step']:,}) in {path}")


# ---- tunes -------------------------------------------------------------------------------------------------------


def play(options: Namespace, where: Run) -> None:
    """Tunes as .mid, each beside a picture of its piano roll and, with --wav, a recording."""
    from minigan.data.midi import write_midi
    from minigan.sound import render, save_wav

    path = output(options, "tune.mid", ".mid")
    paths = [path if k == 0 else path.with_stem(f"{path.stem}-{k + 1}") for k in range(options.n)]
    others = (".png", ".wav") if options.wav else (".png",)
    for each in paths:
        for suffix in (".mid", *others):
            require_free(each.with_suffix(suffix), options.force)
    bars = BARS if options.bars is None else options.bars
    if bars < 1:
        raise ValueError(f"--bars is a number of at least 1, but got {bars}.")
    tempo = 90 if options.tempo is None else options.tempo
    G, facts = where.load_composer()
    random = rng(options.seed)
    chords, keys = borrowed_chords(options.n, bars, options.seed)
    z = random.standard_normal((options.n, bars, NOISE), dtype="float32")
    tunes = to_host(compose(G, z, to_device(chords)))
    for k, (each, tune, harmony, key) in enumerate(zip(paths, tunes, chords, keys)):
        write_midi(each, tune, harmony, tempo)
        viz.save_piano_roll(each.with_suffix(".png"), tune, harmony, key=tuple(map(int, key)))
        if options.wav:
            save_wav(each.with_suffix(".wav"), render(tune, harmony, tempo))
        for suffix in (".mid", *others):
            sign(each.with_suffix(suffix), options, where, index=k)
    made = ", ".join(f"{paths[0].stem}{suffix}" for suffix in (".mid", *others))
    more = f" and {options.n - 1} more" if options.n > 1 else ""
    options.say(f"{bars} bars of {where} (step {facts['step']:,}) in {paths[0].parent}: {made}{more}")


def borrowed_chords(n: int, bars: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Chords of n held-out chorales, (n, bars, 13), begun again where a tune is shorter, and their keys (n, 2)."""
    test = music.load_chorales("test")
    tunes = np.random.default_rng(seed).permutation(np.unique(test.tune))
    rows = [np.resize(np.flatnonzero(test.tune == tunes[k % len(tunes)]), bars) for k in range(n)]
    return test.chord[np.array(rows)], test.key[[row[0] for row in rows]]


# ---- clips -------------------------------------------------------------------------------------------------------


def film(options: Namespace, where: Run) -> None:
    """A grid of clips as .gif or .mp4, their frames side by side as .png, or all of them as .npz."""
    path = output(options, "clips.gif", ".gif", ".mp4", ".png", ".npz")
    G, facts = where.load_clips()
    noise = draw_noise(G, rng(options.seed), options.n, facts["frames"])
    if options.fix and not isinstance(G, MoCoGenerator):
        raise ValueError(f"{where.settings().model} keeps content and motion in one z: leave --fix out.")
    clips = to_host(G(fixed(noise, options.fix) if options.fix else noise))
    scale = options.scale or 3
    if path.suffix == ".gif":
        viz.save_clips(path, clips, scale=scale)
    elif path.suffix == ".mp4":
        viz.save_mp4(path, clips, scale=scale)
    elif path.suffix == ".png":
        viz.save_film_strips(path, clips, scale=scale)
    else:
        save_arrays(path, clips=clips, seed=options.seed, step=facts["step"])
    sign(path, options, where)
    options.say(f"{options.n} clips of {where} (step {facts['step']:,}) in {path}")
