"""The digit classifier: its weights keep their promise, its features are of one image alone, training learns."""

import fnmatch
import tomllib
from pathlib import Path

import numpy as np
import pytest

from minigan import checkpoint, classify
from minigan.backend import rng, to_device, to_host
from minigan.checkpoint import CheckpointError
from minigan.classify import confusion, main, shifted, train, verdict
from minigan.data import load_digits, scale
from minigan.gradcheck import check_network
from minigan.layers import ShapeError
from minigan.losses import softmax_cross_entropy
from minigan.models import classifier
from minigan.models.classifier import SHIPPED, Classifier, load_classifier, random_features, save_classifier
from minigan.optim import Adam

TOP = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def shipped():
    return load_classifier()


@pytest.fixture(scope="module")
def digits():
    return load_digits("test")


# ---- the weights that ship ---------------------------------------------------------------------------------------


def test_the_shipped_weights_read_the_shipped_test_digits(shipped, digits):
    images, labels = digits
    assert (shipped.predict(images) == labels).mean() >= 0.99


def test_the_file_is_small_and_is_packed_with_the_rest():
    assert SHIPPED.stat().st_size < 1_000_000
    patterns = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["minigan"]
    assert any(fnmatch.fnmatch(f"data/{SHIPPED.name}", pattern) for pattern in patterns)
    assert f"## {SHIPPED.name}" in SHIPPED.with_name("SOURCES.md").read_text(encoding="utf-8")


def test_the_file_says_how_it_was_trained():
    """With what the command does when it is given nothing else: so the command makes this file again."""
    _, facts = checkpoint.load(SHIPPED)
    expected = {"epochs": classify.EPOCHS, "seed": classify.SEED, "images": 60_000}
    settings = {"lr": classify.RATE, "batch": classify.N, "reach": classify.REACH}
    assert facts["training"] == {**expected, **settings}


# ---- features, probabilities, predictions --------------------------------------------------------------------------


def test_features_are_float32_and_the_same_every_time(shipped, digits):
    images = digits[0][:300]
    features = shipped.features(images)
    assert features.dtype == np.float32 and features.shape == (300, 64)
    assert (features >= 0).all() and np.isfinite(features).all()
    before = {name: a.copy() for name, a in shipped.statistics.items()}
    assert (shipped.features(images) == features).all()  # dropout is off
    assert all((shipped.statistics[name] == a).all() for name, a in before.items())  # and nothing is learned
    assert (load_classifier().features(images) == features).all()
    for dtype in (np.float32, np.float64):
        np.testing.assert_allclose(shipped.features(scale(images).astype(dtype)), features, rtol=1e-5, atol=1e-5)


def test_the_features_are_what_the_last_layer_decides_on(shipped, digits):
    """logits = features W + b, and the probabilities their softmax, here in float64."""
    images = digits[0][:50]
    W, b = (to_host(shipped.layers[-1].params[name]).astype(np.float64) for name in ("W", "b"))
    logits = shipped.features(images) @ W + b
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    p = shipped.probabilities(images)
    assert p.dtype == np.float32 and p.shape == (50, 10)
    np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-6)
    assert (shipped.predict(images) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_batches_do_not_change_the_features(shipped, digits, monkeypatch, size):
    images = digits[0][:40]
    whole = shipped.features(images)
    monkeypatch.setattr(classifier, "BATCH", size)
    np.testing.assert_allclose(shipped.features(images), whole, rtol=1e-4, atol=1e-5)


def test_no_images_give_no_features(shipped):
    empty = np.empty((0, 28, 28, 1), np.uint8)
    assert shipped.features(empty).shape == (0, 64) and shipped.predict(empty).shape == (0,)
    assert shipped.probabilities(empty).shape == (0, 10)


def test_on_each_backend(backend, digits):
    expected = load_classifier().features(digits[0][:3])
    network = load_classifier()
    np.testing.assert_allclose(network.features(digits[0][:3]), expected, rtol=1e-4, atol=1e-5)
    assert network.probabilities(digits[0][:3]).sum() == pytest.approx(3, rel=1e-5)
    assert random_features((9, 6, 3)).features(np.zeros((2, 9, 6, 3), np.uint8)).shape == (2, 64)
    losses = [to_host(v) for v in train(Classifier(rng(0), width=2), *(a[:8] for a in digits), epochs=2, batch=4)]
    assert len(losses) == 4 and np.isfinite(losses).all()


@pytest.mark.parametrize("shape", [(5, 28, 28), (28, 28, 1), (5, 32, 32, 1), (5, 28, 28, 3), (2, 3, 28, 28, 1)])
def test_other_shapes_are_refused_in_one_sentence(shipped, shape):
    message = r"takes images \(N, 28, 28, 1\), but these have the shape \("
    for method in (shipped.features, shipped.probabilities, shipped.predict):
        with pytest.raises(ShapeError, match=message):
            method(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    "value, dtype, message",
    [
        (0, np.int64, "but these are int64"),
        (255, np.float32, r"these go from 255 to 255: .*minigan\.data\.scale"),
        (-1.1, np.float64, "these go from -1.1"),
        (np.nan, np.float32, "these go from nan"),
    ],
)
def test_other_numbers_are_refused(shipped, value, dtype, message):
    with pytest.raises(ValueError, match=message):
        shipped.features(np.full((2, 28, 28, 1), value, dtype))


# ---- the file ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path, digits):
    images, labels = digits[0][:60], digits[1][:60]
    network = Classifier(rng(3), classes=12, width=2, features=5)
    for _ in train(network, images, labels, epochs=1, batch=20):
        pass
    save_classifier(network, tmp_path / "a.safetensors", {"note": 1})
    again = load_classifier(tmp_path / "a.safetensors")
    assert (again.probabilities(images) == network.probabilities(images)).all()
    assert again.probabilities(images).shape == (60, 12) and again.features(images).shape == (60, 5)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        load_classifier(tmp_path / "none.safetensors")
    checkpoint.save(tmp_path / "run.safetensors", {"G.0.W": np.zeros(3)}, {"step": 1})
    with pytest.raises(CheckpointError, match="holds no classifier"):
        load_classifier(tmp_path / "run.safetensors")
    network = Classifier(rng(0), width=2)
    network.sizes = {**network.sizes, "width": 3}
    save_classifier(network, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="with other layers"):
        load_classifier(tmp_path / "other.safetensors")


# ---- the network and its training ----------------------------------------------------------------------------------


def test_gradients_against_central_differences():
    network = Classifier(rng(0), classes=3, width=2, features=4)
    check_network(network, (4, 28, 28, 1), entries=3, smooth=False).raise_if_wrong()


def test_training_lowers_the_loss_and_reads_digits(digits):
    images, labels = load_digits("train")
    images, labels = images[:600], labels[:600]
    network = Classifier(rng(0), width=8)
    losses = [float(v) for v in train(network, images, labels, epochs=4, batch=20, lr=5e-3, reach=1)]
    assert len(losses) == 120
    assert np.mean(losses[:3]) > np.log(10) and np.mean(losses[-12:]) < 0.4 * np.log(10)  # log 10: it knows nothing
    assert (network.predict(digits[0][::4]) == digits[1][::4]).mean() > 0.75  # digits it has never seen


def test_training_is_this_loop(digits):
    """The same steps written out: scaled pixels, a fresh gradient each, Adam on a line from lr to zero."""
    images, labels = digits[0][:12], digits[1][:12]
    network, other = (Classifier(rng(5), width=2) for _ in range(2))
    losses = [float(v) for v in train(network, images, labels, epochs=2, batch=5, lr=0.01, reach=0, seed=7)]
    optimizer, expected = Adam(other, 0.01, beta1=0.9, beta2=0.999), []
    for step, lr in enumerate([0.01, 0.0075, 0.005, 0.0025]):
        order = np.random.default_rng((7, step // 2)).permutation(12)
        rows = order[:5] if step % 2 == 0 else order[5:10]
        logits, cache = other.forward(scale(images[rows]))
        value, dlogits = softmax_cross_entropy(logits, labels[rows])
        other.grad[...] = 0
        other.backward(dlogits, cache)
        optimizer.lr = lr
        optimizer.step()
        expected.append(float(value))
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(network.theta, other.theta, rtol=1e-3, atol=1e-4)
    assert len({*losses}) == 4


def test_a_run_is_given_by_its_seed(digits):
    images, labels = digits[0][:30], digits[1][:30]

    def losses(seed):
        return [float(v) for v in train(Classifier(rng(0), width=2), images, labels, epochs=1, batch=10, seed=seed)]

    assert losses(1) == losses(1) != losses(2)


def test_training_refuses_what_it_cannot_use(digits):
    images, labels = digits[0][:30], digits[1][:30]
    for given in ((scale(images), labels, 10), (images, labels[:29], 10), (images, labels, 31), (images, labels, 1)):
        with pytest.raises(ValueError, match="Training takes uint8 images, as many labels, and a batch"):
            next(train(Classifier(rng(0), width=2), *given[:2], batch=given[2]))


def test_shifts_move_whole_pixels_and_bring_in_paper(backend):
    r = np.random.default_rng(0)
    images = r.integers(1, 256, (400, 6, 5, 2)).astype(np.uint8)  # no 0: what is 0 afterwards came in
    moved = to_host(shifted(to_device(images), 2, rng(0)))
    assert moved.shape == images.shape and moved.dtype == np.uint8
    counts = {}
    for image, after in zip(images, moved):
        rows, columns = np.flatnonzero(after.any((1, 2))), np.flatnonzero(after.any((0, 2)))
        down = 6 - len(rows) if rows[0] > 0 else len(rows) - 6
        right = 5 - len(columns) if columns[0] > 0 else len(columns) - 5
        expected = np.zeros_like(image)
        for i in range(6):
            for j in range(5):
                if 0 <= i - down < 6 and 0 <= j - right < 5:
                    expected[i, j] = image[i - down, j - right]
        assert (after == expected).all()
        counts[down, right] = counts.get((down, right), 0) + 1
    assert sorted(counts) == [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    assert max(counts.values()) < 40  # 16 expected of each
    assert (to_host(shifted(to_device(images), 0, rng(0))) == images).all()


# ---- random features -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (32, 20, 3), (3, 2, 1), (1, 40, 2)])
def test_random_features_for_any_size(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8)
    features = random_features(shape).features(images)
    assert features.shape == (5, 64) and features.dtype == np.float32 and np.isfinite(features).all()
    assert (random_features(shape).features(images) == features).all()
    assert np.abs(random_features(shape, seed=1).features(images) - features).min(axis=1).max() > 0
    assert np.linalg.matrix_rank(features) == 5  # five images, five points
    assert random_features(shape, features=7).features(images).shape == (5, 7)


def test_random_features_by_hand():
    """A 3 x 4 image: a convolution of stride 2, LeakyReLU, a dense layer; weights N(0, 2 / fan_in) from the seed."""
    x = np.random.default_rng(1).random((2, 3, 4, 2)) * 2 - 1
    r = np.random.default_rng(9)
    W = r.standard_normal((3, 3, 2, 32), dtype=np.float32) * np.sqrt(2 / 18)
    V = r.standard_normal((2 * 2 * 32, 6), dtype=np.float32) * np.sqrt(2 / 128)
    wide = np.zeros((2, 5, 5, 2))
    wide[:, 1:4, 0:4] = x  # "same": 3 places give 2, with one 0 on each side; 4 give 2, with one at the end
    h = np.stack([[np.einsum("nijc,ijco->no", wide[:, i : i + 3, j : j + 3], W) for j in (0, 2)] for i in (0, 2)])
    h = np.moveaxis(np.where(h > 0, h, 0.2 * h), 2, 0).reshape(2, -1)  # (N, 2 2 32)
    np.testing.assert_allclose(random_features((3, 4, 2), 9, 6).features(x), h @ V, rtol=1e-4, atol=1e-5)


def test_random_features_refuse_other_shapes():
    for shape in [(28, 28), (0, 28, 1), (16, 32, 32, 3)]:
        with pytest.raises(ShapeError, match="image_shape is"):
            random_features(shape)
    with pytest.raises(ShapeError, match=r"takes images \(N, 8, 8, 3\)"):
        random_features((8, 8, 3)).features(np.zeros((2, 8, 8, 1), np.uint8))


# ---- the commands --------------------------------------------------------------------------------------------------


def test_verdict_counts_and_names_the_mistakes():
    labels, predicted = np.array([0, 0, 1, 1, 1, 9]), np.array([0, 3, 1, 7, 7, 9])
    table = confusion(labels, predicted)
    assert table.sum() == 6 and table[0, 3] == 1 and table[1, 7] == 2 and np.trace(table) == 3
    text = verdict(labels, predicted)
    assert text.startswith("3 of 6 digits are right: 50.00 %\n  0: 1 of 2\n  1: 1 of 3\n  9: 1 of 1\n")
    assert text.endswith("the most frequent mistakes: 7 for 1 (2), 3 for 0 (1)")
    assert "mistakes" not in verdict(labels, labels)


def test_the_commands(tmp_path, capsys, monkeypatch):
    few = {split: tuple(a[:250] for a in load_digits(split)) for split in ("train", "test")}
    monkeypatch.setattr(classify, "load_digits", few.__getitem__)
    assert main(["test"]) == 0
    assert " of 250 digits are right: " in capsys.readouterr().out
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for file in files:
        assert main(["train", "-o", str(file), "--epochs", "1", "--seed", "4"]) == 0
    out = capsys.readouterr().out
    assert out.count("loss ") == 2 and out.count(" of 250 digits are right: ") == 2
    assert files[0].read_bytes() == files[1].read_bytes()
    _, facts = checkpoint.load(files[0])
    assert facts["training"]["seed"] == 4 and facts["training"]["images"] == 250
    assert main(["test", str(files[0])]) == 0


def test_the_commands_refuse_what_they_cannot_do(tmp_path, capsys):
    assert main(["test", "--mnist", str(tmp_path)]) == 1
    assert "lacks t10k-images-idx3-ubyte" in capsys.readouterr().err
    assert main(["test", str(tmp_path / "none.safetensors")]) == 1
    assert "There is no checkpoint" in capsys.readouterr().err
    save_classifier(Classifier(rng(0), classes=2, width=2), tmp_path / "two.safetensors")
    assert main(["test", str(tmp_path / "two.safetensors")]) == 1
    assert "tells 2 classes apart, but there are 10 digits" in capsys.readouterr().err
    for wrong in (["-o", str(tmp_path / "no" / "x")], ["-o", str(tmp_path / "x"), "--epochs", "0"]):
        with pytest.raises(SystemExit):
            main(["train", *wrong])
