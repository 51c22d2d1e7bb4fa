"""A run: what it leaves, that it goes on bit for bit, and that nothing already made is lost."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigan.run
from minigan import checkpoint, losses, provenance
from minigan.backend import rng, to_host
from minigan.checkpoint import CheckpointError
from minigan.data import load_digits
from minigan.files import read_rows, write_whole
from minigan.layers import BatchNorm, ShapeError
from minigan.models import GAN, MODELS, dcgan, mlp, mlp_sigmoid
from minigan.models.mlp import chain
from minigan.network import Sequential
from minigan.run import PLANE, Run, Settings, TrainingError, run
from minigan.steps import d_step, stacked_d_step
from minigan.training import MEASURES, Training, train

SMALL = Settings(model="mlp-sigmoid", steps=40, batch=16, every=10)


@pytest.fixture(scope="module")
def images():
    return load_digits("test")[0][:200]


def quiet(settings, images, out, **options):
    return run(settings, images, out, progress=False, say=lambda text: None, **options)


def fingerprint(folder):
    """Of every file of a run but config.json, sha256 of what it holds besides the record of when it was made."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.name != "config.json"]
    return {str(path.relative_to(folder)): content(path) for path in files}


def content(path):
    record = provenance.read(path)
    if record is None:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    made_by = record.model, record.checkpoint, record.seed, record.options, record.content
    return made_by if provenance.verify(path).good else None


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    """A run of 40 steps, never stopped."""
    return quiet(SMALL, images, tmp_path_factory.mktemp("whole") / "run")


# ---- the game ----------------------------------------------------------------------------------------------------


def test_train_gives_the_state_after_each_step(images):
    model = mlp_sigmoid(rng(0))
    seen = []
    for state in train(model, images, steps=3, batch=16, loss=losses.hinge):
        assert state.G is model.G and state.trace["x_real"].shape == (16, 28, 28, 1)
        assert state.trace["real_logits"].shape == state.trace["fake_logits"].shape == (16, 1)
        assert {"d_value", "g_value", "g_cache", "dx_fake"} <= state.trace.keys()
        seen.append((state.step, state.measures()))
    assert [step for step, _ in seen] == [1, 2, 3]
    assert seen[-1][1].keys() == {"step", *MEASURES}


def test_real_batches_are_scaled_to_the_models_pixels_and_visit_every_image_once_an_epoch(images):
    numbered = np.zeros((32, 28, 28, 1), dtype=np.uint8)
    numbered[:, 0, 0, 0] = np.arange(32) * 8
    for name, (low, high) in {"mlp": (-1, 1), "mlp-sigmoid": (0, 1)}.items():
        state = Training(MODELS[name](rng(0)), numbered, batch=8)
        epochs = []
        for _ in range(2):
            batches = []
            for _ in range(4):
                batches.append(state.real_batch())
                state.step += 1
            values = np.concatenate(batches)[:, 0, 0, 0]
            epochs.append(values)
            assert sorted(((values - low) * 255 / (high - low)).round().astype(int)) == list(range(0, 256, 8))
        assert not np.array_equal(*epochs)
        assert values.dtype == np.float32


def test_the_same_seed_gives_the_same_run_and_another_seed_another(images):
    thetas = []
    for seed in (0, 0, 1):
        random = rng(seed)
        *_, state = train(mlp_sigmoid(random), images, steps=3, batch=16, seed=seed, random=random)
        thetas.append(to_host(state.G.theta).copy())
    assert np.array_equal(thetas[0], thetas[1]) and not np.array_equal(thetas[0], thetas[2])


def test_the_average_of_g_is_the_mean_of_its_steps_and_later_a_moving_one(images):
    """By the definition of the averages, from G's theta after each tenth step; and the game does not notice."""
    thetas, averages = [], []
    for state in train(mlp_sigmoid(rng(0)), images, steps=60, batch=16, average=0.95):
        if state.step % 10 == 0:
            thetas.append(state.G.theta.copy())
            averages.append(state.G_average.theta.copy())
    np.testing.assert_allclose(averages[1], (thetas[0] + thetas[1]) / 2, rtol=1e-5, atol=1e-7)
    kept = 0.95**10  # 0.6, so after two there are more than the window
    expected = kept * averages[4] + (1 - kept) * thetas[5]
    np.testing.assert_allclose(averages[5], expected, rtol=1e-5, atol=1e-7)
    z = state.model.draw_noise(rng((0, 1)), 4)
    np.testing.assert_array_equal(state.sample(4), to_host(state.G_average(z)))
    *_, plain = train(mlp_sigmoid(rng(0)), images, steps=60, batch=16)
    np.testing.assert_array_equal(plain.G.theta, state.G.theta)
    with pytest.raises(ValueError, match="average is a number"):
        Training(mlp_sigmoid(rng(0)), images, average=1.0)


def test_looking_does_not_change_the_run(images):
    thetas = []
    for look in (False, True):
        for state in train(mlp_sigmoid(rng(0)), images, steps=4, batch=16):
            if look:
                state.sample(5)
                state.measures()
        thetas.append(state.G.theta.copy())
    assert np.array_equal(*thetas)


@pytest.mark.parametrize("name", MODELS)
def test_models_meet_and_draw_in_their_range(name):
    model = MODELS[name](rng(0))
    x = model.G(model.draw_noise(rng(1), 3))
    assert model.D is None or model.D(x).shape == (3, 1)
    x = x[0] if isinstance(x, tuple) else x
    assert x.shape == ((3, 2) if name in PLANE else (3, 28, 28, 1)) == (3, *model.image_shape)
    if name not in ("mlp-linear", *PLANE):
        assert model.pixels[0] <= x.min() and x.max() <= model.pixels[1]


def test_the_default_model_is_the_tutorials():
    model = mlp(rng(0))
    sizes = [(layer.n_in, layer.n_out) for layer in model.G.layers if hasattr(layer, "n_in")]
    assert sizes == [(100, 256), (256, 512), (512, 1024), (1024, 784)]
    sizes = [(layer.n_in, layer.n_out) for layer in model.D.layers if hasattr(layer, "n_in")]
    assert sizes == [(784, 1024), (1024, 512), (512, 256), (256, 1)]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 64, 1), (128, 128, 3)])
def test_dcgan_halves_and_doubles(shape):
    model = dcgan(rng(0), shape, width=2)
    assert model.image_shape == shape and model.D.output_shape(shape) == (1,)
    images = model.G(model.draw_noise(rng(0), 2))
    assert images.shape == (2, *shape) and abs(images).max() <= 1
    sizes = [layer.channels for layer in model.G.layers if isinstance(layer, BatchNorm)]
    assert sizes == ([8, 4, 2] if shape[0] == 28 else [2 * 2**i for i in range(len(sizes))][::-1])
    with pytest.raises(ShapeError, match="not 30x30"):
        dcgan(rng(0), (30, 30, 1))


def test_dcgan_is_the_issues():
    """7x7x256, 128, 64, 1 with 5x5 kernels; 64 and 128 in D."""
    model = dcgan(rng(0))
    shapes = [layer.params["W"].shape for net in (model.G, model.D) for layer in net.layers if "W" in layer.params]
    assert shapes == [
        (100, 12544),
        (5, 5, 256, 128),
        (5, 5, 128, 64),
        (5, 5, 64, 1),
        (5, 5, 1, 64),
        (5, 5, 64, 128),
        (6272, 1),
    ]


def test_batch_norm_in_d_sees_real_and_fake_apart(images):
    assert Training(dcgan(rng(0), width=2), images, batch=8).d_step is d_step
    assert Training(mlp_sigmoid(rng(0)), images, batch=8).d_step is stacked_d_step


def test_a_run_with_batch_norm_resumes_bit_for_bit(images, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "dcgan", partial(dcgan, width=4))
    settings = Settings.of("dcgan", steps=20, batch=8, every=5)
    whole = quiet(settings, images, tmp_path / "whole")
    quiet(replace(settings, steps=5), images, tmp_path / "run")
    monkeypatch.setattr(minigan.run, "frames_at", lambda steps: {0, 20})  # another length keeps other frames
    quiet(settings, images, tmp_path / "run", resume=True)
    ours, theirs = (checkpoint.load(where.checkpoint)[0] for where in (Run(tmp_path / "run"), whole))
    assert "G.2.mean" in ours and "G_average.2.var" in ours
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert (whole.folder / "filters.png").read_bytes() == (tmp_path / "run" / "filters.png").read_bytes()


def test_the_average_of_g_has_averaged_statistics(images):
    training = Training(dcgan(rng(0), width=2), images, batch=8, average=0.9)
    for _ in range(20):
        training.advance()
        if training.step == 10:
            first = {name: a.copy() for name, a in training.G.statistics.items()}
    kept = max(1 - 0.9**10, 10 / 20)  # as for theta
    for name, a in training.G_average.statistics.items():
        expected = first[name] + kept * (training.G.statistics[name] - first[name])
        np.testing.assert_allclose(a, expected, rtol=1e-5, atol=1e-7)


def test_images_in_a_file_train_as_those_in_memory(images, tmp_path):
    there = np.memmap(tmp_path / "images", np.uint8, "w+", shape=images.shape)
    there[:] = images
    thetas = []
    for source in (images, there):
        *_, last = train(mlp_sigmoid(rng(0)), source, steps=3, batch=16)
        thetas.append(last.G.theta)
    assert np.array_equal(*thetas)


def test_a_pair_that_does_not_meet_is_refused():
    r = rng(0)
    with pytest.raises(ValueError, match=r"G and D do not meet: G draws \(N, 9\)"):
        GAN("odd", Sequential(*chain([4, 9], _Nothing, r)), Sequential(*chain([10, 1], _Nothing, r)), 4, (0, 1))


class _Nothing:
    pass


def test_wrong_data_are_refused(images):
    model = mlp_sigmoid(rng(0))
    with pytest.raises(ValueError, match=r"draws images \(28, 28, 1\), but the data are \(14, 14, 1\)"):
        Training(model, images[:, ::2, ::2])
    with pytest.raises(ValueError, match="is trained on uint8 data, not on float64"):
        Training(model, images / 255)
    with pytest.raises(ValueError, match="batch of 500 cannot be taken from 200"):
        Training(model, images, batch=500)


# ---- the folder --------------------------------------------------------------------------------------------------


def test_what_a_run_leaves(finished):
    folder = finished.folder
    names = {
        "samples.png",
        "interpolation.png",
        "training.gif",
        "curves.png",
        "log.csv",
        "config.json",
        "checkpoint.safetensors",
        "frames",
    }
    assert {path.name for path in folder.iterdir()} == names
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    with Image.open(folder / "training.gif") as gif:
        assert gif.n_frames > 10 and (folder / "training.gif").stat().st_size < 600_000
    assert json.loads((folder / "config.json").read_text())["settings"]["model"] == "mlp-sigmoid"
    model, facts = finished.load()
    assert facts["step"] == 40
    drawn = model.G(model.draw_noise(rng((0, 1)), 64))
    from minigan import viz

    shown = np.asarray(Image.open(folder / "samples.png").convert("L"))
    assert np.array_equal(shown, viz.grid(drawn, scale=2, value_range=model.pixels))


def test_two_whole_runs_leave_the_same_bytes(finished, images, tmp_path):
    quiet(SMALL, images, tmp_path / "again")
    assert fingerprint(tmp_path / "again") == fingerprint(finished.folder)
    assert None not in fingerprint(finished.folder).values()


@pytest.mark.parametrize("stop", [1, 10, 17, 39])
def test_resumed_equals_never_stopped(stop, finished, images, tmp_path, monkeypatch):
    """Ctrl-C at any step: the checkpoint is of that very step, and every file comes out the same."""
    advance = Training.advance

    def stopping(self):
        advance(self)
        if self.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Training, "advance", stopping)
    said = []
    stopped = run(SMALL, images, tmp_path / "run", progress=False, say=said.append)
    assert f"Stopped at step {stop}" in said[0] and "--resume" in said[0]
    assert checkpoint.load(stopped.checkpoint)[1]["step"] == stop
    monkeypatch.undo()
    quiet(SMALL, images, tmp_path / "run", resume=True)
    assert fingerprint(tmp_path / "run") == fingerprint(finished.folder)


@pytest.mark.parametrize("delay", [0.25, 0.45, 0.7, 1.0])
def test_kill_9_then_resume_equals_never_stopped(delay, finished, images, tmp_path):
    """In small; tests/full/kill_resume.py does it thirty times, at random moments."""
    np.save(tmp_path / "images.npy", images)
    code = (
        "import numpy as np; from minigan.run import run, Settings\n"
        f"run({SMALL!r}, np.load('images.npy'), 'run', progress=False, resume=True, say=lambda t: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    time.sleep(delay)
    process.kill()
    process.wait()
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert fingerprint(tmp_path / "run") == fingerprint(finished.folder)


def test_pieces_of_a_killed_write_are_swept_away(images, tmp_path):
    quiet(replace(SMALL, steps=10), images, tmp_path / "run")
    for name in (".checkpoint.safetensors.x1.part", "frames/.step_000010.png.x2.part"):
        (tmp_path / "run" / name).write_bytes(b"half")
    quiet(SMALL, images, tmp_path / "run", resume=True)
    assert not list((tmp_path / "run").rglob(".*.part"))


def test_where_malloc_cannot_be_told_to_keep_memory_nothing_happens(monkeypatch):
    def no_library(name):
        raise OSError("no such library")

    minigan.run.keep_memory()
    monkeypatch.setattr(minigan.run.ctypes, "CDLL", no_library)
    minigan.run.keep_memory()
    monkeypatch.setattr(minigan.run.ctypes, "CDLL", lambda name: object())  # a C library without mallopt
    minigan.run.keep_memory()


def test_a_longer_run_goes_on_from_a_shorter_one(images, tmp_path):
    quiet(replace(SMALL, steps=20), images, tmp_path / "run")
    where = quiet(SMALL, images, tmp_path / "run", resume=True)
    assert checkpoint.load(where.checkpoint)[1]["step"] == 40
    assert [row["step"] for row in read_rows(where.log)] == [10, 20, 30, 40]


def test_a_run_is_not_overwritten(finished, images):
    before = fingerprint(finished.folder)
    with pytest.raises(TrainingError, match="holds a run already: add --resume"):
        quiet(SMALL, images, finished.folder)
    assert fingerprint(finished.folder) == before


def test_a_folder_with_other_things_is_left_alone(images, tmp_path):
    (tmp_path / "samples.png").write_text("mine")
    with pytest.raises(TrainingError, match="not empty and holds no minigan run"):
        quiet(SMALL, images, tmp_path)
    assert (tmp_path / "samples.png").read_text() == "mine"


def test_a_log_cut_short_is_read_up_to_the_cut(finished, tmp_path):
    text = finished.log.read_text()
    (tmp_path / "log.csv").write_text(text[:-20])
    assert [row["step"] for row in read_rows(tmp_path / "log.csv")] == [10, 20, 30]
    lines = text.splitlines(keepends=True)  # and nothing after a torn line counts
    (tmp_path / "log.csv").write_text("".join([*lines[:2], lines[2][:9] + "\n", *lines[3:]]))
    assert [row["step"] for row in read_rows(tmp_path / "log.csv")] == [10]


# ---- what can go wrong -------------------------------------------------------------------------------------------


def spoil(path, how):
    data = bytearray(path.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "one bit":
        data[-100] ^= 1
    elif how == "empty":
        data.clear()
    elif how == "other bytes":
        data[:] = b"not a checkpoint at all" * 10
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "one bit", "empty", "other bytes"])
def test_a_damaged_checkpoint_is_one_sentence_and_is_kept(how, finished, images, tmp_path):
    quiet(replace(SMALL, steps=10), images, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    spoil(path, how)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors is damaged") as raised:
        quiet(SMALL, images, tmp_path / "run", resume=True)
    assert "\n" not in str(raised.value) and path.read_bytes() == before


def test_a_foreign_checkpoint_is_refused(finished, images, tmp_path):
    from safetensors.numpy import save_file

    where = quiet(replace(SMALL, steps=10), images, tmp_path / "run")
    save_file({"weight": np.zeros(3, np.float32)}, where.checkpoint)
    with pytest.raises(CheckpointError, match="minigan did not write it"):
        quiet(SMALL, images, tmp_path / "run", resume=True)
    arrays, facts = checkpoint.load(finished.checkpoint)
    alike = Training(MODELS["mlp-linear"](rng(0)), images, batch=16, average=SMALL.average)  # the same shapes
    big = Training(mlp(rng(0)), images, batch=16)
    for state, sentence in ((alike, "of the model mlp-sigmoid, not of mlp-linear"), (big, "not of the model mlp")):
        before = state.G.theta.copy()
        with pytest.raises(CheckpointError, match=sentence):
            state.load(arrays, facts)
        assert np.array_equal(state.G.theta, before)


def test_a_later_format_is_refused(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="format 1, and this minigan reads format 2"):
        checkpoint.load(finished.checkpoint)


def test_checkpoints_open_elsewhere_and_are_deterministic(finished, tmp_path):
    from safetensors.numpy import load_file

    arrays = load_file(finished.checkpoint)
    assert arrays["G.0.W"].shape == (100, 128) and "D_optimizer.m" in arrays
    loaded, facts = checkpoint.load(finished.checkpoint)
    facts.pop("sha256"), facts.pop("format")
    checkpoint.save(tmp_path / "again", loaded, facts)
    assert (tmp_path / "again").read_bytes() == finished.checkpoint.read_bytes()


def test_a_full_disk_keeps_the_last_checkpoint(finished, images, tmp_path):
    """The file size limit stands in for a full disk: writing fails in the middle, with an OSError."""
    pytest.importorskip("resource")
    quiet(replace(SMALL, steps=10), images, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    np.save(tmp_path / "images.npy", images)
    code = (
        "import numpy as np, resource; from minigan.run import run, Settings, TrainingError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "try:\n"
        f"    run({SMALL!r}, np.load('images.npy'), 'run', progress=False, resume=True, say=lambda t: None)\n"
        "except TrainingError as error:\n    print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert "Cannot write to run" in said and "the last good checkpoint, of step 10, is kept" in said
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_folder_that_cannot_be_made_is_one_sentence(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="Cannot write to .*file"):
        quiet(SMALL, images, tmp_path / "file" / "run")


def test_infinite_numbers_stop_the_run_and_keep_the_checkpoint(images, tmp_path, monkeypatch):
    advance = Training.advance

    def poisoned(self):
        advance(self)
        if self.step == 15:
            self.G.theta[0] = np.inf

    monkeypatch.setattr(Training, "advance", poisoned)
    with pytest.raises(
        TrainingError, match=r"infinite or NaN by step \d+.*last good checkpoint, of step 10, is kept"
    ):
        quiet(SMALL, images, tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "checkpoint.safetensors")[1]["step"] == 10


def test_a_learning_rate_that_diverges_is_told_before_any_checkpoint(images, tmp_path):
    with pytest.raises(TrainingError, match=r"try a smaller --lr .* there is no checkpoint yet"):
        quiet(replace(SMALL, lr=1e30), images, tmp_path / "run")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"model": "stylegan"}, 'no model "stylegan"'),
        ({"loss": "log"}, 'no loss "log"'),
        ({"steps": 0}, "--steps is at least 1"),
        ({"lr": float("nan")}, "--lr is a positive number"),
        ({"seed": -1}, "--seed is a number of at least 0"),
    ],
)
def test_bad_settings_are_one_sentence(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_a_damaged_config_is_one_sentence(finished, tmp_path):
    with pytest.raises(TrainingError, match="does not exist"):
        Run(tmp_path / "nowhere").settings()
    with pytest.raises(TrainingError, match="holds no minigan run"):
        Run(tmp_path).settings()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TrainingError, match=r"config\.json is damaged"):
        Run(tmp_path).settings()


def test_write_whole_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
