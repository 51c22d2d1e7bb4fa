"""How good are a generator's images, and were they learned by heart? Measured beside generators known to be bad.

No number says anything by itself. So all rows are made the same way and from as many images: the generator's; a
floor, other real images, which no generator can be expected to beat; one that copies the training set, one that draws
a single class, one that blurs, and noise. A measure that does not tell these apart is not to be believed about it.

    of_digits    held-out test digits, in the features of the digit classifier
    of_images    other images: one half of the training images, in the features of a random network

N samples, M training images, T test images, d features, K classes. Images are uint8 (N, H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan import viz
from minigan.backend import rng, to_device, to_host
from minigan.data import load_digits, load_mnist, unscale
from minigan.data.digits import mnist_folder
from minigan.layers import Softmax
from minigan.metrics.frechet import (
    bootstrap,
    class_histogram,
    class_kl,
    classifier_score,
    frechet,
    frechet_floor,
    kid,
)
from minigan.metrics.modes import Interval, histogram_kl_floor, wilson
from minigan.metrics.neighbours import distances, memorisation, nearest, perfect_coverage, precision_recall, radii
from minigan.models import GAN
from minigan.models.classifier import Classifier, FeatureNetwork, load_classifier, random_features
from minigan.report import Column, Found, Picture, Row, alone, class_chart, drawn, png
from minigan.training import drawn as samples_of

LEAST = 100  # images: below, a covariance of 64 features is of no use
REDRAWS = 100  # of a bootstrap
LOOK = 2000  # images that are looked up in the training set: enough to tell, and the search is long
BALL = 5  # neighbours, as Naeem et al. have it
PART = 500  # images that G draws at once
ONE = 3  # the class of the generator that draws a single one
SURE = 3.0  # standard errors from which the memorisation check speaks of copies
REACH = 1.96  # standard errors to either end of an interval of 95 %

IMAGES = {
    "frechet": Column("Frechet", ".3g", "low", "Distance, squared, of the features' Gaussian from real images'."),
    "kid": Column("KID", ".3g", "low", "The same by a cubic kernel, without a Gaussian; perfect: 0 on average."),
    "precision": Column("precision", ".3f", "high", "Samples that lie where real images lie."),
    "recall": Column("recall", ".3f", "high", "Real images that lie where samples lie."),
    "density": Column("density", ".3f", "high", "How densely real images lie around the samples; perfect: 1."),
    "coverage": Column("coverage", ".3f", "high", "Real images with a sample nearby; low after a collapse."),
}
DIGITS = IMAGES | {
    "score": Column(
        "score", ".2f", "high", "Is the classifier sure, are the classes even? 1 to 10; blind to copies."
    ),
    "class_kl": Column("class KL", ".2g", "low", "How uneven the classes are, in nats; 2.3 if there is only one."),
    "z": Column("copies z", ".1f", "near 0", "Below -3: nearer to the training set than new digits. See copied."),
    "copied": Column("copied", ".1%", "low", "Samples three times nearer to one training digit than to any other."),
}
INTERVALS = (
    "Intervals: Frechet, score and class KL by bootstrap, KID from its spread over subsets, shares by Wilson's "
    "formula, density from its spread over samples. They hold for this checkpoint; another training seed scores "
    "otherwise, by more than that. Numbers in other features (as the FID, in Inception's) are not to be compared."
)


class Against(NamedTuple):
    """What images are held against: real ones' features (N, d), and the balls around them (N,)."""

    network: FeatureNetwork
    features: np.ndarray
    radii: np.ndarray

    @classmethod
    def of(cls, network: FeatureNetwork, images: np.ndarray) -> Against:
        features = network.features(images).astype(np.float64)
        return cls(network, features, radii(features, BALL))


def feature_scores(features: np.ndarray, real: Against) -> Row:
    """The columns of IMAGES, of features (N, d). Frechet by bootstrap of both sides; KID by its subsets, of which N /
    size do not overlap; shares by Wilson's interval; density from its spread over samples.
    """
    a, b, N = features.astype(np.float64), real.features, len(features)
    size = min(1000, N // 2)
    kernel = kid(a, b, size=size)
    reach = REACH * kernel.sd / math.sqrt(N / size)
    row = {
        "frechet": bootstrap(frechet, a, b, n=REDRAWS),
        "kid": Interval(kernel.mean, kernel.mean - reach, kernel.mean + reach),
    }
    shares = precision_recall(a, b, k=BALL)
    for name, count in (("precision", N), ("recall", len(b)), ("coverage", len(b))):
        row[name] = share(shares[name], count)
    inside = (distances(a[:1000], b) < real.radii).sum(axis=1) / BALL  # of some samples: for the spread alone
    reach = REACH * inside.std(ddof=1) / math.sqrt(N)
    row["density"] = Interval(shares["density"], shares["density"] - reach, shares["density"] + reach)
    return row


def share(value: float, count: int) -> Interval:
    low, high = wilson(round(value * count), count)
    return Interval(value, min(low, value), max(high, value))  # at 0 and 1 an end may lie beside it by rounding


def class_scores(features: np.ndarray, network: Classifier, labels: np.ndarray) -> tuple[Row, np.ndarray]:
    """Classifier score and class KL against the real labels, by bootstrap; and each sample's class, (N,)."""
    logits = to_device(features)
    for layer in network.layers[network.depth :]:
        logits = layer.forward(logits, train=False)[0]
    p = to_host(Softmax().forward(logits)[0])
    seen = p.argmax(axis=1)
    score = bootstrap(lambda p: classifier_score(p).mean, p, n=REDRAWS)
    uneven = bootstrap(lambda seen: class_kl(seen, network.sizes["classes"], labels), seen, n=REDRAWS)
    return {"score": score, "class_kl": uneven._replace(low=max(uneven.low, 0.0))}, seen


def copy_scores(images: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[Row, float, np.ndarray]:
    """z and the share of copies; the share among test images; and all (sample, training image), the closest first."""
    some, others = images[:LOOK], test[:LOOK]
    found = memorisation(*(x.astype(np.float32) / 255 for x in (some, train, others)), pairs=len(some))
    return {"z": alone(found.z), "copied": share(found.copied, len(some))}, found.copied_test, found.pairs


def memorised(row: Row, copied_test: float, n: int) -> bool:
    """Does the check speak of copies? The samples are too near, and more are copies than test images seem to be."""
    return row["z"].value < -SURE and row["copied"].low > share(copied_test, min(n, LOOK)).high


def images_of(model: GAN, n: int, seed: int) -> np.ndarray:
    """n samples of G as bytes: those of `minigan sample RUN -n N --seed SEED`."""
    z = model.draw_noise(rng(seed), n)
    parts = (slice(start, start + PART) for start in range(0, n, PART))
    cut = lambda part: tuple(each[part] for each in z) if isinstance(z, tuple) else z[part]
    return np.concatenate([unscale(samples_of(model.G, cut(part)), *model.pixels) for part in parts])


def are_digits(data: str) -> bool:
    """Is what a run was trained on MNIST's digits, or a folder of IDX files?"""
    folder = Path(data)
    return data in ("digits", "mnist") or (folder.is_dir() and any("idx" in path.name for path in folder.iterdir()))


def digits_of(data: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of the training digits, then of the test digits, that a run's `data` names."""
    for split in ("train", "test"):
        yield (
            load_digits(split) if data == "digits" else load_mnist(mnist_folder() if data == "mnist" else data, split)
        )


def count_of(n: int | None, default: int, most: int, least: int, what: str) -> int:
    """How many samples: n, at most as many as there are real ones. Raises ValueError below the least."""
    if n is not None and n < least:
        raise ValueError(f"{n} samples are too few to measure: take -n {least} or more.")
    if most < least:
        raise ValueError(f"There are only {most} real {what} to hold samples against, but {least} are needed.")
    return min(default if n is None else n, most)


def of_digits(model: GAN, data: str, n: int | None, seed: int) -> Found:
    """The measures of a model that was trained on the digits that `data` names, as Settings has it."""
    (train, labels), (test, _) = digits_of(data)
    held_out = len(test)
    asked, n = n or 10_000, count_of(n, 10_000, min(held_out, len(train) // 2), LEAST, "digits")
    random = np.random.default_rng(seed)
    test = test[random.permutation(held_out)[:n]]
    # Real rows come from one half of the training digits and are looked up in the other, or each would find itself.
    pool, rest = np.array_split(random.permutation(len(train)), 2)
    single = pool[labels[pool] == ONE]
    images = {
        "run": (images_of(model, n, seed), train),
        "floor": (train[pool[:n]], train[rest]),
        "memoriser": (train[rest[:n]], train),
        "one class": (train[np.resize(single, n)], train[rest]),
        "blurred": (blurred(train[pool[:n]]), train[rest]),
        "noise": (random.integers(0, 256, train[:n].shape, dtype=np.uint8), train[rest]),
    }
    about = {
        "run": f"This run's samples: {n:,}, as in every row, held against {n:,} test digits.",
        "floor": "Real digits in place of samples: no generator can be expected to do better.",
        "memoriser": "Training digits, handed out as if they were samples.",
        "one class": f"Real digits, but each is a {ONE} ({min(len(single), n):,} different ones).",
        "blurred": f"The floor's digits, blurred with a standard deviation of {BLUR} pixels.",
        "noise": "Uniform noise in every pixel.",
    }
    real = Against.of(load_classifier(), test)
    rows, flagged, classes = {}, {}, {}
    for name, (some, known) in images.items():
        features = real.network.features(some)
        row, seen = class_scores(features, real.network, labels)
        near, copied_test, pairs = copy_scores(some, known, test)
        rows[name] = (about[name], feature_scores(features, real) | row | near)
        flagged[name], classes[name] = memorised(near, copied_test, n), class_histogram(seen)
        if name == "run":
            rows["in theory"] = (PERFECT, perfect(real.features, copied_test))
            shown = {"Samples": [sheet(some)], "Learned by heart?": pairs_of(some, train, pairs)}
    chart = class_chart(classes["run"], classes["floor"])
    shown["Measures"] = [Picture(drawn(chart), "How often each digit is drawn.", False)]
    why = f": only {held_out:,} digits were held out of training" if n < asked else ""
    notes = [f"All rows have {n:,} images{why}.", INTERVALS]
    said = findings({name: row for name, (_, row) in rows.items()}, flagged, classes["run"])
    counts = {name: classes[name].tolist() for name in ("run", "floor")}
    more = {"features": "penultimate layer of minigan's digit classifier", "flagged": flagged, "classes": counts}
    return Found("digits", n, DIGITS, rows, said, notes, [], shown, more)


def perfect(real: np.ndarray, copied_test: float) -> Row:
    """What a generator whose samples are like new real digits scores on average, N of them against real (N, d)."""
    N = len(real)
    row = {"frechet": frechet_floor(real, N), "kid": 0, "density": 1, "coverage": perfect_coverage(N, N, BALL)}
    row |= {"class_kl": histogram_kl_floor(10, N), "z": 0, "copied": copied_test}
    return {name: alone(value) for name, value in row.items()}


PERFECT = "A perfect generator's average at this number of samples, by formula where there is one."


def findings(rows: dict[str, Row], flagged: dict[str, bool], classes: np.ndarray) -> list[str]:
    """What the numbers say, in sentences; all of it is computed from them."""
    frechet = {name: row["frechet"] for name, row in rows.items()}
    told = {name: f"{each.value:.3g} ({each.low:.3g} to {each.high:.3g})" for name, each in frechet.items()}
    worse = lambda name: frechet[name].low > frechet["floor"].high
    copies = {name: f"z = {row['z'].value:.1f}, copied {row['copied'].value:.1%}" for name, row in rows.items()}
    said = [
        f"Frechet distance {told['run']}; other real digits have {told['floor']}, blurred ones {told['blurred']}: "
        + (
            "the samples are worse than real digits."
            if worse("run")
            else "this number does not tell them from real ones."
        )
    ]
    said.append(
        f"Copies: the memorisation check {'flags' if flagged['run'] else 'does not flag'} this run ({copies['run']}; "
        f"of new digits {rows['in theory']['copied'].value:.1%} seem to be copies)."
    )
    sees, catches = worse("memoriser"), flagged["memoriser"]
    said.append(
        f"A generator that hands out training digits has a Frechet distance of {told['memoriser']}, which "
        f"{'tells it from' if sees else 'does not tell it from'} other real digits. The memorisation check "
        f"{'flags' if catches else 'does not flag'} it ({copies['memoriser']})."
        + (" So a low distance alone is no proof that anything was learned." if catches and not sees else "")
    )
    shares = classes / classes.sum()
    rare = [f"{k} ({shares[k]:.1%})" for k in np.flatnonzero(shares < 0.05)]
    least = int(shares.argmin())
    said.append(
        f"Hardly drawn, of ten classes that are equally frequent in the data: {', '.join(rare)}."
        if rare
        else f"All ten classes are drawn; the rarest is {least}, {shares[least]:.1%} of the samples."
    )
    return said


def sheet(images: np.ndarray) -> Picture:
    some, large = images[:100], max(images.shape[1:3]) > 32
    some = some[:36] if large else some
    grid = viz.grid(some, 6 if large else 10, scale=1 if large else 2)
    return Picture(png(grid), f"The first {len(some)} samples, none left out.")


def pairs_of(images: np.ndarray, train: np.ndarray, pairs: np.ndarray) -> list[Picture]:
    """The closest pairs (sample, training image), and some from the middle; pairs (N, 2), the closest first."""
    beside = lambda rows: np.concatenate([images[rows[:, 0]], train[rows[:, 1]]], axis=2)  # (16, H, 2 W, C)
    middle, scale = max(len(pairs) // 2 - 8, 0), 2 if images.shape[1] <= 32 else 1
    parts = {"The 16 closest pairs": pairs[:16], "16 pairs from the middle": pairs[middle : middle + 16]}
    text = "a sample on the left, the training image nearest to it on the right."
    return [Picture(png(viz.grid(beside(rows), 4, 4, scale)), f"{name}: {text}") for name, rows in parts.items()]


BLUR = 1.5  # pixels


def blurred(images: np.ndarray, sd: float = BLUR) -> np.ndarray:
    """Images uint8 (N, H, W, C) under a Gaussian of `sd` pixels, cut off at three; beyond the edge they go on."""
    reach = math.ceil(3 * sd)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2).astype(np.float32)
    x = images.astype(np.float32)
    for axis in (1, 2):
        wide = np.pad(x, [(reach, reach) if i == axis else (0, 0) for i in range(4)], mode="edge")
        views = (np.take(wide, range(k, k + x.shape[axis]), axis) for k in range(2 * reach + 1))
        x = sum(w * view for w, view in zip(weights / weights.sum(), views))
    return np.rint(x).astype(np.uint8)


# ---- other images --------------------------------------------------------------------------------------------------


def of_images(model: GAN, train: np.ndarray, n: int | None, seed: int) -> Found:
    """The measures of a model that was trained on images (M, H, W, C), none of which were held out."""
    n = count_of(n, 10_000, len(train) // 2, LEAST, "images")
    random = np.random.default_rng(seed)
    real, other = (train[half[:n]] for half in np.array_split(random.permutation(len(train)), 2))
    images = {
        "run": (f"This run's samples: {n:,}, as in every row, held against {n:,} images.", images_of(model, n, seed)),
        "floor": ("As many other images: no generator can be expected to do better.", other),
        "blurred": (f"The floor's images, blurred with a standard deviation of {BLUR} pixels.", blurred(other)),
        "noise": ("Uniform noise in every pixel.", random.integers(0, 256, other.shape, dtype=np.uint8)),
    }
    real = Against.of(random_features(train.shape[1:]), real)
    rows = {name: (told, feature_scores(real.network.features(some), real)) for name, (told, some) in images.items()}
    some = images["run"][1][:LOOK]
    index, distance = nearest(*(x.astype(np.float32) / 255 for x in (some, train)))
    pairs = np.column_stack([np.arange(len(some)), index])[distance.argsort(kind="stable")]
    values = {name: row["frechet"] for name, (_, row) in rows.items()}
    told = {name: f"{each.value:.3g} ({each.low:.3g} to {each.high:.3g})" for name, each in values.items()}
    said = [
        f"Frechet distance {told['run']}; other real images have {told['floor']}, blurred ones {told['blurred']}."
    ]
    notes = [
        "The features are those of a RANDOM convolutional network, which has learned nothing: the numbers order "
        "generators of the same images, and mean nothing beside those of another network.",
        "The run was trained on all images, so none is left to say how near a new one would be: look at the pairs.",
        INTERVALS,
    ]
    shown = {"Samples": [sheet(some)], "Learned by heart?": pairs_of(some, train, pairs)}
    more = {"features": "a random convolutional network, seed 0"}
    return Found("images", n, IMAGES, rows, said, notes, [], shown, more)
