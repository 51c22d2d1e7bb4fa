"""Detectors: the numbers against brute force and closed forms, training separates, pictures hold what they get."""

import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from PIL import Image

from minigan import checkpoint, detect
from minigan.backend import rng
from minigan.checkpoint import CheckpointError
from minigan.data import load_digits, unscale
from minigan.detect import blurred, examine, fakes, load_gan, logits_of, main, table, through_jpeg, train_detector
from minigan.metrics.detector import auc, calibration, roc
from minigan.metrics.neighbours import mann_whitney
from minigan.models import MODELS
from minigan.training import network_arrays
from minigan.viz.roc import detectors


def brute(real, fake):
    """The share of all pairs in which the real image scores higher, ties half, and DeLong's standard error."""
    wins = np.array([[(a > b) + 0.5 * (a == b) for b in fake] for a in real], dtype=float)  # (M, N)
    M, N = wins.shape
    of_real = sum((row.mean() - wins.mean()) ** 2 for row in wins) / (M - 1) / M
    of_fake = sum((column.mean() - wins.mean()) ** 2 for column in wins.T) / (N - 1) / N
    return wins.mean(), math.sqrt(of_real + of_fake)


def some_scores(seed, M=23, N=17, ties=True):
    r = np.random.default_rng(seed)
    real, fake = r.normal(0.7, 1, M), r.normal(0, 1, N)
    return (real.round(), fake.round()) if ties else (real, fake)


# ---- AUC -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_auc_is_the_share_of_pairs_and_the_interval_is_delongs(seed, ties):
    real, fake = some_scores(seed, ties=ties)
    value, error = brute(real, fake)
    found = auc(real, fake)
    assert found.value == pytest.approx(value, abs=1e-14)
    assert found.low == pytest.approx(max(value - 1.959964 * error, 0), abs=1e-6)
    assert found.high == pytest.approx(min(value + 1.959964 * error, 1), abs=1e-6)
    narrow = auc(real, fake, level=0.5)
    assert narrow.high - value == pytest.approx(NormalDist().inv_cdf(0.75) * error, abs=1e-12)
    assert found.value == pytest.approx(mann_whitney(real, fake)[2], abs=1e-14)  # by ranks
    assert auc(fake, real).value == pytest.approx(1 - value, abs=1e-14)
    assert auc(np.arctan(real), np.arctan(fake)) == found  # of the order alone


@pytest.mark.parametrize("d", [0.0, 0.5, 2.0])
def test_auc_of_two_gaussians(d):
    """P(x + d > y) for x, y from N(0, 1): Phi(d / sqrt 2)."""
    r = np.random.default_rng(4)
    real, fake = r.normal(d, 1, 20_000), r.normal(0, 1, 30_000)
    found = auc(real, fake)
    error = (found.high - found.low) / (2 * 1.959964)
    assert abs(found.value - NormalDist().cdf(d / math.sqrt(2))) < 4 * error < 0.015
    if d == 0:  # then v and w are uniform, of variance 1/12
        assert error == pytest.approx(math.sqrt((1 / 20_000 + 1 / 30_000) / 12), rel=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    r, truth = np.random.default_rng(0), NormalDist().cdf(1 / math.sqrt(2))
    intervals = [auc(r.normal(1, 1, 60), r.normal(0, 1, 90), level=0.8) for _ in range(600)]
    held = np.mean([low <= truth <= high for _, low, high in intervals])
    assert abs(held - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 600)


def test_perfect_reversed_and_blind_detectors():
    good, bad = np.arange(10.0, 50.0), np.arange(-20.0, 10.0)
    c = 0.025 ** (1 / 30)  # 30 pairs that share no image, all alike
    assert auc(good, bad) == pytest.approx((1, c, 1))
    assert auc(bad, good) == pytest.approx((0, 0, 1 - c))
    assert auc(np.ones(40), np.ones(30)) == pytest.approx((0.5, c / 2, 1 - c / 2))
    assert auc([np.inf, 1.0], [0.0, -np.inf]).value == 1
    assert auc([1.0, 2.0], [1.0, 2.0]).value == 0.5
    assert auc([2.0, 3.0], [1.0, 2.0]).value == 3.5 / 4  # one tie among four pairs


# ---- ROC -----------------------------------------------------------------------------------------------------------


def test_roc_by_hand():
    fpr, tpr = roc([3.0, 2.0, 2.0, 0.0], [2.0, 1.0])
    np.testing.assert_allclose(fpr, [0, 0, 0.5, 1, 1])  # thresholds 3, 2, 1, 0
    np.testing.assert_allclose(tpr, [0, 0.25, 0.75, 0.75, 1])


@pytest.mark.parametrize("ties", [False, True])
def test_roc_rises_from_corner_to_corner_over_an_area_that_is_the_auc(ties):
    real, fake = some_scores(5, 300, 200, ties)
    fpr, tpr = roc(real, fake)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert (np.diff(fpr) >= 0).all() and (np.diff(tpr) >= 0).all() and (np.diff(fpr) + np.diff(tpr) > 0).all()
    assert len(fpr) == len({*real, *fake}) + 1
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc(real, fake).value, abs=1e-12)
    for t in (real[0], fake[0]):
        assert any(np.isclose(fpr, (fake >= t).mean()) & np.isclose(tpr, (real >= t).mean()))


# ---- calibration ---------------------------------------------------------------------------------------------------


def test_a_calibrated_detector_errs_as_much_as_chance_and_no_more():
    r, errors, briers = np.random.default_rng(1), [], []
    for _ in range(200):
        p = r.random(2000)
        found = calibration(p, r.random(2000) < p)
        errors.append(found.error - found.floor)
        briers.append(found.brier)
    # p even in [0, 1]: a bin from a to a + 0.1 has some 200 images, of mean p (1 - p) = 10 times its integral
    variances = [10 * (x**2 / 2 - x**3 / 3) @ [-1, 1] for a in range(10) for x in [np.array([a, a + 1]) / 10]]
    assert found.floor == pytest.approx(
        math.sqrt(2 / math.pi) / 2000 * np.sqrt(200 * np.array(variances)).sum(), rel=0.02
    )
    assert abs(np.mean(errors)) < 4 * np.std(errors) / math.sqrt(200) < 0.08 * found.floor
    assert abs(np.mean(briers) - 1 / 6) < 4 * np.std(briers) / math.sqrt(200)  # E p (1 - p), p even in [0, 1]


@pytest.mark.parametrize("p, share", [(0.8, 0.5), (0.3, 0.6), (1.0, 0.25), (0.0, 0.25), (0.5, 0.5)])
def test_a_constant_answer(p, share):
    y = np.arange(200) < 200 * share
    found = calibration(np.full(200, p), y)
    assert found.error == pytest.approx(abs(p - share), abs=1e-12)
    assert found.brier == pytest.approx(share * (1 - p) ** 2 + (1 - share) * p**2, abs=1e-12)
    assert found.floor == pytest.approx(math.sqrt(2 / math.pi * p * (1 - p) / 200), abs=1e-12)
    table = found.table
    assert table.count.sum() == 200 and (table.count > 0).sum() == 1 == np.isfinite(table.seen).sum()
    assert np.nanmax(table.said) == pytest.approx(p) and np.nanmax(table.seen) == pytest.approx(share)


def test_the_table_by_hand_and_murphys_sum():
    p, y = np.array([0.0, 0.1, 0.1, 0.25, 0.6, 0.6, 1.0]), np.array([0, 0, 1, 1, 1, 0, 1])
    low, high, count, said, seen = calibration(p, y, bins=4).table
    np.testing.assert_allclose(low, [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(high, [0.25, 0.5, 0.75, 1])
    assert count.tolist() == [3, 1, 2, 1]  # 0.25 begins the second, 1 ends the last
    np.testing.assert_allclose(said, [0.2 / 3, 0.25, 0.6, 1])
    np.testing.assert_allclose(seen, [1 / 3, 1, 0.5, 1])
    found = calibration(p, y, bins=4)
    assert found.error == pytest.approx((0.8 + 0.75 + 0.2 + 0) / 7)
    # where a bin's p are all one number: Brier = reliability - resolution + uncertainty (Murphy 1973)
    r = np.random.default_rng(2)
    p = r.integers(0, 5, 500) / 5 + 0.1
    y = r.random(500) < p**2
    _, _, count, said, seen = (found := calibration(p, y, bins=5)).table
    expected = (count * (said - seen) ** 2 - count * (seen - y.mean()) ** 2).sum() / 500 + y.mean() * (1 - y.mean())
    assert found.brier == pytest.approx(expected, abs=1e-12)


# ---- input that makes no sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "measure, arguments, message",
    [
        (roc, ([], [1.0]), r"scores of real images must be one number an image, at least 1, not of shape \(0,\)"),
        (auc, ([1.0, 2.0], [1.0]), r"scores of fakes must be one number an image, at least 2, not of shape \(1,\)"),
        (auc, ([[1.0, 2.0]], [1.0, 2.0]), r"must be one number an image, at least 2, not of shape \(1, 2\)"),
        (roc, ([1.0], [np.nan]), "scores of fakes hold NaN"),
        (auc, ([1.0, 2.0], [1.0, 2.0], 1.0), "level of an interval lies between 0 and 1, but it is 1.0"),
        (calibration, ([0.5], [True, False]), r"the shapes are \(1,\), \(2,\)"),
        (calibration, ([], []), "K at least 1"),
        (calibration, ([1.5], [True]), r"lie in \[0, 1\], but these go from 1.5 to 1.5: of logits take the sigmoid"),
        (calibration, ([np.nan], [True]), "go from nan"),
        (calibration, ([0.5], [2]), "holds other values"),
        (calibration, ([0.5], [True], 0), "number of bins must be a whole number of at least 1, but it is 0"),
    ],
)
def test_bad_numbers_are_refused_in_one_sentence(measure, arguments, message):
    with pytest.raises(ValueError, match=message):
        measure(*(np.array(a) if isinstance(a, list) else a for a in arguments))


def test_bad_images_are_refused_in_one_sentence():
    digits = np.zeros((4, 28, 28, 1), np.uint8)
    for other in (digits / 255, digits[:, :20], digits[:0], digits[0]):
        for pair in ((digits, other), (other, digits)):
            with pytest.raises(ValueError, match="is trained on real and fake uint8 images"):
                train_detector(*pair)
    for options in ({"steps": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="at least 1 step and a seed of at least 0"):
            train_detector(digits, digits, **options)
    for sd in (0, -1, np.nan, 9):
        with pytest.raises(ValueError, match="A blur has a width"):
            blurred(digits, sd)


# ---- training and asking -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return load_digits("train")[0][:600], load_digits("test")[0][::10]


def noise(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28, 1), dtype=np.uint8)


def test_a_fresh_network_tells_digits_from_noise_and_from_small_changes(digits):
    train, test = digits
    network = train_detector(train, noise(600, 1), steps=12)
    score = lambda images: logits_of(network, images)
    assert auc(score(test), score(noise(200, 2))).value > 0.99 and score(test).mean() > 0 > score(noise(9, 2)).mean()
    network = train_detector(train, blurred(train, 1.0), steps=18)
    assert auc(logits_of(network, test), logits_of(network, blurred(test, 1.0))).value > 0.8  # one pixel is enough


def test_training_is_given_by_its_seed(backend, digits):
    def weights(seed):
        network = train_detector(digits[0][:70], noise(70, 1), steps=2, seed=seed)
        assert len(logits_of(network, digits[1][:3])) == 3
        return checkpoint.sha256(network_arrays(network, "D"))

    assert weights(1) == weights(1) != weights(2)


def test_logits_in_pieces_and_in_the_networks_pixels(digits, monkeypatch):
    model = MODELS["mlp-sigmoid"](rng(0))
    whole = logits_of(model.D, digits[1], model.pixels)
    np.testing.assert_allclose(whole[:5], model.D(digits[1][:5].astype(np.float32) / 255)[:, 0], rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(detect, "PIECE", 7)
    np.testing.assert_allclose(logits_of(model.D, digits[1], model.pixels), whole, rtol=1e-4, atol=1e-6)


def test_a_detector_is_asked_about_what_stands_in_the_place_of_either():
    """A detector whose score is the first pixel: all numbers can be counted."""
    image = lambda values: np.array(values, np.uint8).reshape(-1, 1, 1, 1)
    score = lambda images: images[:, 0, 0, 0].astype(float) - 100
    real, fake = image(range(101, 141)), image(range(61, 101))
    other, dimmed = image(range(91, 131)), image(range(81, 121))
    found = examine(score, real, fake, {"other": other}, {"dimmed": dimmed})
    assert list(found) == ["fresh fakes", "other", "dimmed"]
    assert found["fresh fakes"].auc.value == 1 and found["fresh fakes"].called_fake == 1
    assert found["other"].auc.value == brute(score(real), score(other))[0]
    assert found["dimmed"].auc.value == brute(score(dimmed), score(fake))[0]
    least = np.quantile(np.arange(101, 141), 0.05)  # 102.95
    assert found["other"].called_fake == (np.arange(91, 131) < least).mean() == 0.3
    assert found["dimmed"].called_fake == (np.arange(81, 121) < least).mean() == 0.55
    p = 1 / (1 + np.exp(-np.concatenate([score(dimmed), score(fake)])))
    assert found["dimmed"].calibration.brier == pytest.approx(np.mean((p - (np.arange(80) < 40)) ** 2))
    lines = table("first pixel", found).splitlines()
    assert lines[0] == "first pixel" and len(lines) == 5 and lines[3].split()[:2] == ["other", "0.719"]
    assert lines[3].split()[-2:] == ["30.0", "%"]


def test_blur_is_a_gaussian_that_keeps_the_ink():
    dot = np.zeros((1, 9, 9, 1), np.uint8)
    dot[0, 4, 4] = 255
    one = np.exp(-2.0 * np.arange(-4, 5) ** 2)  # sd 1/2: exp(-i^2 / (2 / 4))
    expected = 255 * np.multiply.outer(one, one) / one.sum() ** 2
    assert np.abs(blurred(dot)[0, :, :, 0] - expected).max() <= 0.51
    even = np.full((2, 12, 11, 3), 200, np.uint8)
    assert (blurred(even)[:, 4:-4, 4:-4] == 200).all() and (blurred(even)[:, 0] < 200).all()


def test_jpeg_changes_digits_a_little(digits):
    changed = through_jpeg(digits[1][:20])
    difference = np.abs(changed.astype(int) - digits[1][:20])
    assert changed.shape == (20, 28, 28, 1) and changed.dtype == np.uint8
    assert 0 < difference.mean() < 10 and difference.max() > 3
    assert np.abs(through_jpeg(digits[1][:5], 100).astype(int) - digits[1][:5]).max() <= 3
    assert through_jpeg(np.zeros((2, 16, 16, 3), np.uint8)).shape == (2, 16, 16, 3)


# ---- runs, the command, the picture --------------------------------------------------------------------------------


def a_run(folder, name="mlp-linear", average=0.9, shape=(28, 28, 1)):
    """A folder as `minigan train` leaves it, with weights that nothing was learned by."""
    folder.mkdir()
    model, mean = MODELS[name](rng(1)), MODELS[name](rng(2))
    arrays = network_arrays(model.G, "G") | network_arrays(model.D, "D") | network_arrays(mean.G, "G_average")
    checkpoint.save(folder / "checkpoint.safetensors", arrays, {"step": 7})
    settings = {"model": name, "image_shape": shape, "average": average, "loss": "hinge"}
    (folder / "config.json").write_text(json.dumps({"settings": settings}))
    return folder, model, mean


def test_a_run_is_read_with_the_generator_that_draws_its_samples(tmp_path):
    for average in (0.0, 0.9):
        folder, model, mean = a_run(tmp_path / f"run{average}", average=average)
        found, settings, step = load_gan(folder)
        assert step == 7 and settings["loss"] == "hinge"
        assert (found.D.theta == model.D.theta).all()
        assert (found.G.theta == (mean if average else model).G.theta).all()
    drawn = fakes(found, 5, 3)
    assert drawn.dtype == np.uint8 and drawn.shape == (5, 28, 28, 1) and (fakes(found, 5, 3) == drawn).all()
    assert (drawn == unscale(mean.G(mean.draw_noise(rng(3), 5)))).all()
    found.G.theta = np.full_like(found.G.theta, np.nan)
    with pytest.raises(ValueError, match="this run has diverged"):
        fakes(found, 5, 3)


def test_the_command(tmp_path, capsys, monkeypatch, digits):
    train, test = digits
    monkeypatch.setattr(detect, "load_digits", lambda split: ({"train": train, "test": test}[split][:120], None))
    a, b = a_run(tmp_path / "a")[0], a_run(tmp_path / "b", "conditional")[0]
    command = [str(a), str(b), "-o", str(tmp_path / "x.png"), "--steps", "20"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("120 held-out digits") and "with hinge, step 7." in out
    names = ("fresh fakes", "other fakes, of conditional", "digits blurred by half a pixel", "digits through JPEG")
    rows = {name: [line.split() for line in out.splitlines() if line.strip().startswith(name)] for name in names}
    assert all(len(found) == 2 for found in rows.values())  # D's, and the fresh network's
    assert float(rows["fresh fakes"][1][2]) > 0.99  # untrained: noise
    with Image.open(tmp_path / "x.png") as picture:
        assert min(picture.size) > 800
    assert main(command) == 1 and "cannot be the picture" in capsys.readouterr().err
    assert main([*command, "--force", "--steps", "0"]) == 1 and "--steps takes" in capsys.readouterr().err
    assert main([str(b), str(a), "-o", str(tmp_path / "y.png")]) == 1
    assert "image together with its label: give it as OTHER_RUN" in capsys.readouterr().err


def test_runs_that_draw_no_digits_are_refused_in_one_sentence(tmp_path, capsys):
    with pytest.raises(ValueError, match="holds no minigan run"):
        load_gan(tmp_path)
    assert main([str(tmp_path), str(tmp_path), "-o", str(tmp_path / "x.png")]) == 1
    assert "holds no minigan run" in capsys.readouterr().err
    folder = a_run(tmp_path / "a", shape=(32, 32, 1))[0]
    with pytest.raises(ValueError, match="run of mlp-linear and draws no 28x28 digits"):
        load_gan(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="config.json is damaged"):
        load_gan(folder)
    folder = a_run(tmp_path / "b")[0]
    (folder / "checkpoint.safetensors").unlink()
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_gan(folder)


def test_the_picture_holds_the_curves_and_the_bins_with_images(tmp_path):
    real, fake = some_scores(1, 300, 200, False)
    curve, bins = roc(real, fake), (np.array([0.1, np.nan, 0.9]), np.array([0.2, np.nan, 0.7]), np.array([30, 0, 70]))
    named = {"one": curve, "two": (np.array([0, 1.0]), np.array([0, 1.0]))}
    figure = detectors({"D": named, "fresh": named}, {"D": {"one": bins}, "fresh": {}}, tmp_path / "a.png")
    above, _, below, _ = figure.axes
    line = next(line for line in above.get_lines() if line.get_label().startswith("one"))
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack(curve))
    assert line.get_label() == f"one: {auc(real, fake).value:.3f}"
    assert [text.get_text() for text in above.get_legend().get_texts()][1] == "two: 0.500"
    dots = below.collections[0]
    np.testing.assert_allclose(dots.get_offsets(), [[0.1, 0.2], [0.9, 0.7]])
    assert dots.get_sizes()[1] > 2 * dots.get_sizes()[0]
    assert (tmp_path / "a.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="must be of the same detectors"):
        detectors({"D": named}, {"E": {}})
    with pytest.raises(ValueError, match="shows up to 4 sets"):
        detectors({"D": dict.fromkeys("abcde", curve)}, {"D": {}})
