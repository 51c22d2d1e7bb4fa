"""`minigan evaluate`: is a run's generator good, did it collapse, did it memorise? A table, and a page to read.

No number says anything by itself. So each stands beside those of a floor, real data, which no generator can be
expected to beat, and of generators that are bad in a known way, all from as many samples.

    images   minigan.image_measures: distances, copies, classes
    points   how they fall on the mixture's modes         text    n-grams, beside held-out text's
    tunes    minigan.metrics.music, beside real tunes'    clips   minigan.metrics.video, beside real clips'
"""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minigan import __version__, checkpoint, viz
from minigan.backend import rng, to_device, to_host
from minigan.composing import BARS
from minigan.data import toy
from minigan.data.music import stretches
from minigan.files import write_whole
from minigan.filming import draw_noise
from minigan.gallery import readable
from minigan.image_measures import are_digits, count_of, of_digits, of_images, share
from minigan.metrics import music, video
from minigan.metrics.modes import Interval, Modes, modes, perfect_band, perfect_modes
from minigan.metrics.text import bleu, copies, distinct, self_bleu
from minigan.models.midinet import NOISE, compose
from minigan.provenance import sha256_of
from minigan.report import Column, Found, Picture, Row, alone, drawn, measure_chart, page, png, table
from minigan.run import CLIPS, PLANE, TUNES, WRITERS, Load, Run, Settings
from minigan.training import drawn as samples_of

REDRAWS = 100  # of a bootstrap


def evaluate(
    run_folder: str | os.PathLike,
    n: int | None = None,
    out: str | os.PathLike | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
    load: Load | None = None,
) -> Path:
    """Measure the last checkpoint of a run; write evaluation.json and report.html, and return the latter's path.

    n     how many samples (None: 10,000 images, or as many as there are real ones to hold against them)
    out   the folder to write to (None: the run's own). The same run, n and seed write the same bytes
    load  reads what a run was trained on, Settings -> (data, what stands beside them): `minigan.cli.load_data`.
          The digits' runs need none
    Raises TrainingError where there is no run, CheckpointError without a good checkpoint, ValueError for n and seed.
    """
    where = Run(run_folder)
    settings, out = where.settings(), Path(run_folder if out is None else out)
    if (n is not None and n < 1) or seed < 0:
        raise ValueError(f"n is at least 1 and seed at least 0, but they are {n} and {seed}.")
    _, told = checkpoint.load(where.checkpoint)  # before anything is read that takes long
    if settings.model not in (*PLANE, *WRITERS, *TUNES, *CLIPS) and are_digits(settings.data):
        found = of_digits(where.load()[0], settings.data, n, seed)
    elif settings.model in PLANE:
        found = of_points(where, settings, n, seed)
    elif load is None:
        raise ValueError(f"A run of {settings.model} on {settings.data} needs load, to read what it was trained on.")
    elif settings.model in WRITERS:
        found = of_text(where, *load(settings), n, seed)
    elif settings.model in TUNES:
        found = of_tunes(where, load(settings)[1][1], n, seed)
    elif settings.model in CLIPS:
        found = of_clips(where, settings, load(settings)[0], n, seed)
    else:
        found = of_images(where.load()[0], load(settings)[0], n, seed)

    rows = {name: {"about": about, "values": _plain(row)} for name, (about, row) in found.rows.items()}
    made_with = json.loads(where.config.read_text(encoding="utf-8")).get("made with")
    facts = {
        "evaluation": 1,  # the format
        **{"run": where.folder.resolve().name, "model": settings.model, "step": told["step"], "what": found.what},
        **{"n": found.n, "seed": seed, "checkpoint": sha256_of(where.checkpoint)},
        **{"said": found.said, "notes": found.notes, "texts": found.texts},
        **{"columns": {name: column._asdict() for name, column in found.columns.items()}, "rows": rows},
        **found.more,
        "settings": asdict(settings),
        "trained_with": made_with if isinstance(made_with, dict) else {},
        "evaluated_with": {"minigan": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "reproduce": commands(settings, where.folder, found.n, seed),
    }
    chart = Picture(drawn(measure_chart(facts)), CHART, False)
    pictures = {**found.pictures, "Training": kept(where), "Measures": [*found.pictures.get("Measures", []), chart]}
    say(table(facts))
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(out / "evaluation.json", text.encode())
    write_whole(out / "report.html", page(facts, pictures).encode())
    return out / "report.html"


CHART = "Every measure, with its 95 % interval as a bar; the run is orange. Dotted: the floor."


def kept(where: Run) -> list[Picture]:
    """What the training left: its film and its curves, where they are there and are what their names say."""
    told = {
        "training.gif": "From the first step to the last.",
        "board.gif": "The game, from the first step to the last.",
    }
    told |= {"clips.gif": "Clips of the last checkpoint.", "curves.png": "Both players over the steps."}
    files = {where.folder / name: text for name, text in told.items() if (where.folder / name).is_file()}
    pictures = [Picture(path.read_bytes(), text, False) for path, text in files.items()]
    return [picture for picture in pictures if picture.kind]


def commands(settings: Settings, folder: Path, n: int, seed: int) -> list[str]:
    """What to type to train this run again, and to evaluate it."""
    default = Settings.of(settings.model)
    words = ["minigan", "train", settings.model]
    for name, value in asdict(settings).items():
        if name not in ("model", "image_shape") and value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    out = ["--out", folder.name]
    return [
        shlex.join([*words, *out]),
        shlex.join(["minigan", "evaluate", folder.name, "-n", str(n), "--seed", str(seed)]),
    ]


def _plain(row: Row) -> dict[str, dict[str, float]]:
    """A row as JSON has it: without the numbers that are none."""
    kept = {name: each._asdict() for name, each in row.items() if math.isfinite(each.value)}
    return {name: {k: float(v) for k, v in each.items() if math.isfinite(v)} for name, each in kept.items()}


# ---- points in the plane -------------------------------------------------------------------------------------------

MODES = {
    "covered": Column("modes", "g", "high", "Modes that a sample came near to."),
    "high_quality": Column("quality", ".1%", "high", "Samples within three standard deviations of a mode."),
    "reverse_kl": Column("reverse KL", ".2g", "low", "How unevenly these fall on the modes, in nats."),
}


def of_points(where: Run, settings: Settings, n: int | None, seed: int) -> Found:
    """PacGAN's three measures, beside what a perfect sampler of the same mixture scores."""
    n = count_of(n, 2500, n or 2500, 10, "points")
    model, _ = where.load()
    points, mixture = samples_of(model.G, model.draw_noise(rng(seed), n)), getattr(toy, settings.model)()
    K, random = len(mixture.means), np.random.default_rng(seed)
    one = mixture.means[0] + mixture.sd * random.standard_normal((n, 2))
    score = lambda x: lambda rows: modes(x[rows], mixture.means, mixture.sd)._asdict()
    low, high = perfect_band(mixture.means, mixture.sd, n, random, REDRAWS)
    best = map(Interval, perfect_modes(K, n), low, high)
    rows = {
        "run": (f"This run's samples, {n:,}.", bootstrapped(score(points), n)),
        "floor": (
            "A perfect sampler, on average, and where it lies in 95 % of all cases.",
            dict(zip(Modes._fields, best)),
        ),
        "one mode": ("A generator that collapsed to one mode.", bootstrapped(score(one), n)),
    }
    found = rows["run"][1]
    said = [
        f"{found['covered'].value:g} of {K} modes; {found['high_quality'].value:.1%} of the samples are near one."
    ]
    plot = viz.density_2d(mixture.density, points[:1000])
    shown = {"Samples": [Picture(drawn(plot), "Samples, orange, over the density they are to have.", False)]}
    return Found("points", n, MODES, rows, said, [], [], shown)


# ---- text ----------------------------------------------------------------------------------------------------------

WORDS = {
    **{
        f"bleu{k}": Column(f"BLEU-{k}", ".3f", "high", f"Runs of {k} words that held-out text has, too.")
        for k in (2, 3, 4)
    },
    "self": Column("self-BLEU", ".3f", "", "The same against the other samples: 1 if all are alike."),
    "distinct": Column("distinct-2", ".3f", "", "Different pairs of words, of all: near 0 if they repeat."),
    "copies": Column("copies", ".1%", "low", "Samples that are a text of the training set."),
}
ORACLE = {"nll": Column("NLL oracle", ".3f", "", "How little the oracle expects a word, in nats.")}


def of_text(where: Run, train: np.ndarray, corpus: Any, n: int | None, seed: int) -> Found:
    """n-grams shared with one half of the held-out text, beside those of the other half; or the oracle's verdict."""
    G, vocabulary, facts = where.load_writer()
    random, test = np.random.default_rng(seed), corpus.test
    n = count_of(n, 1000, len(test) // 2, 10, "texts")
    test = test[random.permutation(len(test))]
    words, other, length = to_host(G.write(rng(seed), n, facts["length"])), test[n : 2 * n], facts["length"]
    nll = mean_of(-to_host(G.log_likelihood(test[:n])).mean(axis=1))
    found = f"{nll.value:.3f} nats ({nll.low:.3f} to {nll.high:.3f})"
    said = [f"The negative log-likelihood of a word of held-out text is {found} on average."]
    more = {"nll_test": nll._asdict()}
    about = {
        "run": (f"This run's texts, {n:,}, as in every row.", words),
        "floor": ("Other held-out text.", other),
        "shuffled": ("The same, its words in any order.", random.permuted(other.ravel()).reshape(n, length)),
    }
    if corpus.oracle is not None:
        about["shuffled"] = ("Words drawn evenly.", random.integers(G.params["0.W"].shape[0], size=(n, length)))
        score = lambda x: {"nll": mean_of(-to_host(corpus.oracle.log_likelihood(x)).mean(axis=1))}
        rows = {name: (told, score(x)) for name, (told, x) in about.items()}
        return Found("texts", n, ORACLE, rows, said, more=more)
    about["memoriser"] = ("Texts of the training set.", train[random.permutation(len(train))[:n]])
    rows = {}
    for name, (told, x) in about.items():
        shared = bleu(x, test[:n], n=4, each=True)
        row = {f"bleu{k}": mean_of(shared[k]) for k in (2, 3, 4)} | {"self": mean_of(self_bleu(x, 3, each=True)[3])}
        rows[name] = (told, row | {"distinct": alone(distinct(x, 2)), "copies": share(copies(x, train), len(x))})
    texts = [readable(vocabulary.decode(row)) for row in words[:6]]
    return Found("texts", n, WORDS, rows, said, [], texts, more=more)


def mean_of(values: np.ndarray) -> Interval:
    """The mean of one number a sample, and its interval of 95 %."""
    mean, reach = values.mean(), 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(float(mean), float(mean - reach), float(mean + reach))


# ---- tunes and clips -----------------------------------------------------------------------------------------------


def of_tunes(where: Run, test: Any, n: int | None, seed: int) -> Found:
    """Tunes over the chords of held-out ones, beside these, and beside these over each other's chords."""
    lent = stretches(test, BARS)
    n = count_of(n, 200, n or 200, 2, "tunes")
    lent = lent[np.arange(n) % len(lent)]  # (n, 8)
    G, _ = where.load_composer()
    chords, keys = test.chord[lent], test.key[lent[:, 0]]
    tunes = to_host(compose(G, rng(seed).standard_normal((n, BARS, NOISE), dtype="float32"), to_device(chords)))
    real = test.melody[lent]
    score = lambda x: lambda rows: music.measures(x[rows], chords[rows], keys[rows, 0], keys[rows, 1])
    rows = {
        "run": (f"This run's tunes of {BARS} bars, {n:,}.", tunes),
        "real": ("The held-out tunes that lent their chords.", real),
        "astray": ("These tunes over the chords of others.", np.roll(real, 1, axis=0)),
    }
    rows = {name: (told, bootstrapped(score(x), n)) for name, (told, x) in rows.items()}
    columns = {
        name: Column(c.heading, c.form, "", f"{c.meaning[0].upper()}{c.meaning[1:]}.")
        for name, c in music.COLUMNS.items()
    }
    said = ["No number here is the better the higher it is: hold the run beside the real tunes."]
    plot = viz.piano_roll(tunes[:3].astype(np.int64), chords[:3])
    shown = {"Samples": [Picture(drawn(plot), "The first three tunes, and the chords they were given.", False)]}
    return Found("tunes", n, columns, rows, said, [], [], shown)


FILM = {
    "blank clips": Column("blank", ".1%", "low", "Clips with a frame in which nothing is seen."),
    "still clips": Column("still", ".1%", "low", "Clips in which nothing moves."),
    "content distance, RGB": Column("content", ".2f", "low", "How far the colour strays within a clip, 0 to 442."),
    "spread of colours, RGB": Column("colours", ".1f", "", "How far apart the colours of two clips are."),
    "along one axis": Column("one axis", ".1%", "", "Clips that move along one axis alone."),
    "of those that move, by rows": Column("by rows", ".1%", "", "Of those that move, up and down."),
    "speed, pixels a frame": Column("speed", ".2f", "", "Pixels from frame to frame."),
    "roughness": Column("roughness", ".2f", "", "How unevenly they move."),
    "roughness, frames shuffled": Column("shuffled", ".2f", "", "The same with the frames in any order."),
}


def of_clips(where: Run, settings: Settings, clips: np.ndarray, n: int | None, seed: int) -> Found:
    """Content and motion of clips, beside real ones, and beside these with their frames in any order."""
    n = count_of(n, 256, len(clips), 2, "clips")
    G, facts = where.load_clips()
    made = to_host(G(draw_noise(G, rng(seed), n, facts["frames"])))
    real = clips[np.random.default_rng(seed).permutation(len(clips))[:n]]
    rows = {
        "run": (f"This run's clips, {n:,}, as in every row.", np.clip((made + 1) * 127.5, 0, 255)),
        "real": ("Clips it was trained on.", real),
        "shuffled": ("The same, each with its frames in another order.", video.shuffled(real, seed)),
    }
    found = {name: (told, video.follow(x)) for name, (told, x) in rows.items()}
    score = lambda x: lambda rows: video.measures(video.Found(*(a[rows] for a in x)))
    rows = {name: (told, bootstrapped(score(x), n)) for name, (told, x) in found.items()}
    said = [
        "A generator of one still square has a content distance of 0: read all the numbers, beside the real ones."
    ]
    shown = {"Samples": [Picture(png(viz.film_strips(made[:6], scale=2)), "Six clips, frame by frame.")]}
    return Found("clips", n, FILM, rows, said, [], [], shown)


def bootstrapped(measures: Callable[[np.ndarray], Mapping[str, float]], n: int) -> Row:
    """Each measure of all n samples, and its interval by redrawing them: measures(rows) -> {name: value}.

    The redraws' spread is laid around the value, as in `minigan.metrics.frechet.bootstrap`.
    """
    random, value = np.random.default_rng(0), measures(np.arange(n))
    redraws = [measures(random.integers(n, size=n)) for _ in range(REDRAWS)]
    row = {}
    for name, found in value.items():
        again = np.array([each[name] for each in redraws], dtype=np.float64)
        if not np.isfinite(again).all():
            row[name] = alone(found)
            continue
        low, high = found + np.quantile(again, [0.025, 0.975]) - again.mean()
        row[name] = Interval(float(found), float(low), float(high))
    return row
