"""Spotting fakes: how well a GAN's own D, and a network trained for nothing else, tell drawn digits from real ones.

    python -m minigan.detect RUN OTHER_RUN

Two detectors of RUN's fakes: its D as training left it, in inference mode, and a fresh convolutional network,
trained here on real digits against RUN's fakes while G stands still. Each is asked about held-out digits and fresh
fakes; then about OTHER_RUN's fakes, and about held-out digits slightly blurred, or saved as JPEG once.

What a good number means: these fakes, of this generator, differ from these real images in a way that this network
has found. What it cannot mean:

- that fakes are spotted. Another generator leaves other traces; no detector was told of them, and the second row
  shows how much of the skill remains. (Wang et al. 2020, "CNN-generated images are surprisingly easy to spot... for
  now", get across generators by training on blurred and JPEG images: a choice about the data, made by hand.)
- that what is not spotted is real. An AUC of 1/2 says that this detector sees nothing, not that nothing is there:
  against one DCGAN's fakes the fresh network had an AUC of 0.70 after 600 steps, and 0.83 after 2,000.
- that it knows why. If sharpness is the trace that it goes by, a blur that no eye minds makes real digits "fake".
- that what is called fake most likely is. Half of the images here are fake. Where one in a thousand is, a detector
  that finds them all, and calls 5 % of real images fake, is wrong in 50 of 51 cases.
- that D failed or won. D was trained against a G that answered each of its steps, and saw all the G's on the way;
  samples are drawn with G's average, which it never saw. At the game's end D is to know nothing: AUC 1/2. Only with a
  cross-entropy loss is the sigmoid of its logit meant to be a probability; with hinge it is a score.

Everything is judged as 8-bit images, as a file would hold it. Real digits come from files: without the rounding,
pixels that are no whole number of 255ths would give every fake away.

M real and K drawn images, N of each in a batch; H rows, W columns, C channels.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan import checkpoint, losses
from minigan.backend import rng, to_device, to_host, xp
from minigan.checkpoint import CheckpointError
from minigan.data import load_digits, load_mnist, scale, unscale
from minigan.layers import Conv, Dense, Flatten, LeakyReLU, he
from minigan.layers.activations import sigmoid
from minigan.metrics.detector import Calibration, auc, calibration, roc
from minigan.metrics.modes import Interval
from minigan.models import GAN, MODELS, ConditionalGAN
from minigan.network import Network, Sequential
from minigan.optim import Adam
from minigan.training import drawn, load_network
from minigan.viz.roc import detectors as picture

DIGIT = (28, 28, 1)
STEPS, SEED, N, RATE = 2000, 0, 64, 1e-3
PIECE = 250  # images that go through a network at once
PASS = 0.95  # the share of held-out digits that the threshold lets pass

Scorer = Callable[[np.ndarray], np.ndarray]  # images uint8 (M, 28, 28, 1) -> logits (M,)


# ---- the two detectors ---------------------------------------------------------------------------------------------


def train_detector(real: np.ndarray, fake: np.ndarray, steps: int = STEPS, seed: int = SEED) -> Sequential:
    """A fresh network whose logit says how likely an image is real: sigmoid(logit) = P(real), both kinds as frequent.

    real (M, H, W, C), fake (K, H, W, C), uint8. Two convolutions of stride 2 and a dense layer, no batch norm, so
    that no image depends on the others. Each step takes 64 images of each kind and lowers D's loss in the game of
    Goodfellow et al. 2014, but there is no game: G does not move. Adam's rate falls in a straight line to zero.
    Raises ValueError for images that are not uint8, not of one shape, or missing, and for no step.
    """
    one_kind = real.dtype == fake.dtype == np.uint8 and real.ndim == 4 and real.shape[1:] == fake.shape[1:]
    if not one_kind or not real.size or not fake.size:
        raise ValueError(
            f"A detector is trained on real and fake uint8 images (number, H, W, C) of one size, but got "
            f"{real.dtype} {real.shape} and {fake.dtype} {fake.shape}: minigan.data.unscale makes uint8 of floats."
        )
    if steps < 1 or seed < 0:
        raise ValueError(f"Training takes at least 1 step and a seed of at least 0, but got {steps} and {seed}.")
    height, across, channels = real.shape[1:]
    new = {"rng": rng(seed), "init": he}
    network = Sequential(
        *(Conv(channels, 16, (5, 5), 2, **new), LeakyReLU()),  # 14 x 14
        *(Conv(16, 32, (5, 5), 2, **new), LeakyReLU()),  # 7 x 7
        *(Flatten(), Dense(-(-height // 4) * -(-across // 4) * 32, 1, **new)),
    )
    optimizer, order = Adam(network, RATE, beta1=0.9), np.random.default_rng(seed)
    real, fake = to_device(real), to_device(fake)  # once; batches are gathered there
    for step in range(steps):
        batch = xp.concatenate([images[to_device(order.integers(len(images), size=N))] for images in (real, fake)])
        logits, cache = network.forward(batch.astype("float32") * (2 / 255) - 1)  # (2N, 1): real above fake
        _, d_real, d_fake = losses.minimax.discriminator(logits[:N], logits[N:])
        network.zero_grad()
        network.backward(xp.concatenate([d_real, d_fake]), cache, input_grad=False)
        optimizer.lr = RATE * (1 - step / steps)
        optimizer.step()
    return network


def logits_of(network: Network, images: np.ndarray, pixels: tuple[float, float] = (-1.0, 1.0)) -> np.ndarray:
    """The network's logits of uint8 images (M, H, W, C), in inference mode: (M,) float64, on the host.

    pixels: what 0 and 255 are to the network. No image depends on the others: batch norm has its running statistics.
    """
    parts = np.split(images, range(PIECE, len(images), PIECE))
    logits = [to_host(network(to_device(scale(part, *pixels)))).reshape(len(part)) for part in parts]
    return np.concatenate(logits).astype(np.float64)


# ---- images --------------------------------------------------------------------------------------------------------


def load_gan(folder: str | os.PathLike) -> tuple[GAN, dict[str, Any], int]:
    """The GAN of a run's last checkpoint, G the averaged one where there is one; the run's settings; its step.

    Raises ValueError, in one sentence, where there is no run or it draws no digits, CheckpointError as `checkpoint`.
    """
    config = Path(folder) / "config.json"
    if not config.is_file():
        raise ValueError(f"{folder} holds no minigan run (no config.json): `minigan train` makes one.")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))["settings"]
        name, shape = settings["model"], tuple(settings.get("image_shape") or DIGIT)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{config} is damaged ({error!r}): restore it, or train anew.") from None
    if name not in MODELS or shape != DIGIT:
        raise ValueError(f"{folder} is a run of {name} and draws no 28x28 digits, and here only these are judged.")
    arrays, facts = checkpoint.load(Path(folder) / "checkpoint.safetensors")
    model = MODELS[name](rng(0), image_shape=DIGIT)
    load_network(model.G, "G_average" if settings.get("average") else "G", arrays)
    if model.D is not None:
        load_network(model.D, "D", arrays)
    return model, settings, facts["step"]


def fakes(model: GAN, n: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """n images that G draws, as a file would hold them: uint8 (n, H, W, C)."""
    random, parts = rng(seed), []
    for start in range(0, n, PIECE):
        x = drawn(model.G, model.draw_noise(random, min(PIECE, n - start)))
        if not np.isfinite(x).all():
            raise ValueError(f"The generator of {model.name} draws numbers that are none: this run has diverged.")
        parts.append(unscale(x, *model.pixels))
    return np.concatenate(parts)


def blurred(images: np.ndarray, sd: float = 0.5) -> np.ndarray:
    """uint8 images (M, H, W, C) under a Gaussian of `sd` pixels, first down, then across; paper, 0, around them."""
    if not 0 < sd <= 5:
        raise ValueError(f"A blur has a width of more than 0 and up to 5 pixels, but got {sd}.")
    reach = int(np.ceil(4 * sd))
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sd**2))
    y = images.astype(np.float32)
    for axis in (1, 2):
        wide = np.pad(y, [(reach, reach) if a == axis else (0, 0) for a in range(4)])
        windows = np.lib.stride_tricks.sliding_window_view(wide, len(weights), axis)  # (M, H, W, C, taps)
        y = windows @ (weights / weights.sum()).astype(np.float32)
    return np.clip(np.round(y), 0, 255).astype(np.uint8)


def through_jpeg(images: np.ndarray, quality: int = 75) -> np.ndarray:
    """uint8 images (M, H, W, C), C 1 or 3, saved as 8-bit JPEG with Pillow, and opened again."""
    from PIL import Image

    found = np.empty_like(images)
    for image, place in zip(images, found):
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "JPEG", quality=quality)
        place[...] = np.asarray(Image.open(file)).reshape(image.shape)
    return found


# ---- asking them ---------------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What a detector makes of one set of real images and one of fakes, alike in number or not.

    called_fake: the share of the set in question, fakes or changed reals, below the threshold that 95 % of the
    held-out digits pass; unchanged digits would have 0.05.
    """

    auc: Interval
    calibration: Calibration
    called_fake: float
    curve: tuple[np.ndarray, np.ndarray]


def examine(
    detector: Scorer,
    real: np.ndarray,
    fake: np.ndarray,
    other_fakes: Mapping[str, np.ndarray],
    changed: Mapping[str, np.ndarray],
) -> dict[str, Verdict]:
    """A detector on held-out reals against fresh fakes, then with something in the place of either.

    All images are uint8 (number, H, W, C); other_fakes and changed (real images) have names, which the answer has
    too, after "fresh fakes". Raises ValueError for fewer than two images of a kind, and for logits that are NaN.
    """
    a, b = detector(real), detector(fake)
    least = np.quantile(a, 1 - PASS)
    cases = {"fresh fakes": (a, b, b)}
    for name, images in other_fakes.items():
        scores = detector(images)
        cases[name] = a, scores, scores
    for name, images in changed.items():
        scores = detector(images)
        cases[name] = scores, b, scores
    found = {}
    for name, (of_real, of_fake, asked) in cases.items():
        p = to_host(sigmoid(to_device(np.concatenate([of_real, of_fake]))))
        is_real = np.arange(len(p)) < len(of_real)
        called_fake = float((asked < least).mean())
        found[name] = Verdict(auc(of_real, of_fake), calibration(p, is_real), called_fake, roc(of_real, of_fake))
    return found


def table(name: str, verdicts: Mapping[str, Verdict]) -> str:
    """One detector's answers as text, a row for each set of images."""
    width = max(map(len, verdicts))
    lines = [name, f"  {'':<{width}}  AUC    95 % interval    calibration error (chance)  Brier  called fake"]
    for images, (area, trust, called_fake, _) in verdicts.items():
        lines.append(
            f"  {images:<{width}}  {area.value:.3f}  {area.low:.3f} to {area.high:.3f}   "
            f"{trust.error:.3f} ({trust.floor:.3f})              {trust.brier:.3f}  {100 * called_fake:6.1f} %"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m minigan.detect", description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="the run whose D and whose fakes are examined")
    parser.add_argument("other", type=Path, metavar="OTHER_RUN", help="a run whose fakes neither detector has seen")
    parser.add_argument("-o", "--output", type=Path, default=Path("detector.png"), help="the picture (detector.png)")
    parser.add_argument("--force", action="store_true", help="overwrite the picture where it exists")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of the fresh network's training ({STEPS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of that training and of the fakes ({SEED})")
    parser.add_argument("--mnist", metavar="FOLDER", help="all of MNIST, instead of the digits that ship here")
    args = parser.parse_args(arguments)
    try:
        if args.output.suffix != ".png" or (args.output.exists() and not args.force):
            raise ValueError(
                f"{args.output} cannot be the picture: choose an -o that ends in .png and does not exist, or --force."
            )
        if args.steps < 1 or args.seed < 0:
            raise ValueError("--steps takes a number of at least 1, --seed one of at least 0.")
        found, facts = compare(args.run, args.other, args.steps, args.seed, args.mnist)
        picture(
            {name: {of: verdict.curve for of, verdict in sets.items()} for name, sets in found.items()},
            {name: {of: _bins(verdict) for of, verdict in list(sets.items())[:2]} for name, sets in found.items()},
            args.output,
        )
    except (OSError, ValueError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n\n".join([facts, *(table(name, sets) for name, sets in found.items()), f"The curves: {args.output}"]))
    return 0


def _bins(verdict: Verdict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = verdict.calibration.table
    return table.said, table.seen, table.count


def compare(
    run: Path, other: Path, steps: int, seed: int, mnist: str | None = None
) -> tuple[dict[str, dict[str, Verdict]], str]:
    """Both detectors' verdicts, each detector with its name, and what was compared, as text."""
    model, settings, step = load_gan(run)
    if isinstance(model, ConditionalGAN) or model.D is None:
        why = "has no D" if model.D is None else "has a D that judges an image together with its label"
        raise ValueError(f"{run} is a run of {model.name}, which {why}: give it as OTHER_RUN, or take another RUN.")
    stranger, _, other_step = load_gan(other)
    (train, _), (real, _) = (load_mnist(mnist, split) if mnist else load_digits(split) for split in ("train", "test"))
    fresh = train_detector(train, fakes(model, len(train), (seed, 1)), steps, seed)
    fake, strange = (fakes(which, len(real), (seed, 2)) for which in (model, stranger))
    changed = {"digits blurred by half a pixel": blurred(real), "digits through JPEG": through_jpeg(real)}
    scorers: dict[str, Scorer] = {
        f"D of {model.name}, as training left it": lambda images: logits_of(model.D, images, model.pixels),
        f"fresh network, {steps:,} steps": lambda images: logits_of(fresh, images),
    }
    others = {f"other fakes, of {stranger.name}": strange}
    found = {name: examine(score, real, fake, others, changed) for name, score in scorers.items()}
    facts = (
        f"{len(real):,} held-out digits against as many fakes. RUN: {run}, {model.name} with {settings.get('loss')}, "
        f"step {step:,}.\nOTHER_RUN: {other}, {stranger.name}, step {other_step:,}. AUC 0.5 knows nothing.\n"
        f"Fakes stand against held-out digits; changed digits, in their place, against RUN's fresh fakes.\n"
        f"called fake: below the score that {100 * PASS:g} % of the unchanged held-out digits reach."
    )
    return found, facts


if __name__ == "__main__":
    sys.exit(main())
