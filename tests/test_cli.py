"""The command line as a person uses it: what works, and what bad input says."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minigan import cli
from minigan.backend import use
from minigan.models.gan import walk

COMMANDS = ["train", "sample", "models", "data", "info", "check", "lessons", "mark"]


def call(*arguments):
    """The exit status of a command, in this process; argparse's own exits too."""
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        return stop.code
    finally:
        use("numpy")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run on the shipped digits."""
    out = tmp_path_factory.mktemp("cli") / "run"
    assert call("train", "mlp-sigmoid", "--steps", 20, "--every", 10, "--batch", 32, "--out", out, "--quiet") == 0
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert call(command, "--help") == 0
    assert "usage: minigan" in capsys.readouterr().out


def test_help_lists_every_command(capsys):
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_python_m_minigan_works():
    done = subprocess.run([sys.executable, "-m", "minigan", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("minigan ")


def test_train_says_what_it_leaves(trained, capsys):
    names = {path.name for path in trained.iterdir()}
    assert {"samples.png", "training.gif", "curves.png", "log.csv", "config.json", "checkpoint.safetensors"} <= names
    assert call("train", "mlp-sigmoid", "--out", trained, "--resume", "--quiet") == 0
    out = capsys.readouterr().out
    assert "Going on with" in out and "training.gif" in out


def test_the_bar_shows_losses_and_verdicts(tmp_path):
    command = [sys.executable, "-m", "minigan", "train", "mlp-sigmoid", "--steps", "20", "--out", str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for piece in ("20/20", "step/s", "D ", "G ", "D(x)", "D(G(z))"):
        assert piece in done.stderr


def test_a_second_run_takes_a_free_folder_and_resume_the_newest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert call("train", "mlp-sigmoid", "--steps", 10, "--quiet") == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"mlp-sigmoid", "mlp-sigmoid-2"}
    assert call("train", "mlp-sigmoid", "--resume", "--steps", 12, "--quiet") == 0
    assert "runs/mlp-sigmoid-2" in capsys.readouterr().out.splitlines()[-1].replace(os.sep, "/")


def test_samples_as_picture_and_as_numbers(trained, tmp_path):
    assert call("sample", trained, "-n", 10, "-o", tmp_path / "a.png", "--scale", 1) == 0
    assert call("sample", trained, "-n", 10, "-o", tmp_path / "a.npz") == 0
    assert call("sample", trained, "-n", 10, "-o", tmp_path / "b.npz") == 0
    assert call("sample", trained, "-n", 10, "--seed", 5, "-o", tmp_path / "c.npz") == 0
    a, b, c = (np.load(tmp_path / name) for name in ("a.npz", "b.npz", "c.npz"))
    assert a["images"].shape == (10, 28, 28, 1) and a["z"].shape == (10, 100) and int(a["step"]) == 20
    assert np.array_equal(a["images"], b["images"]) and not np.array_equal(a["images"], c["images"])
    from minigan import viz

    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    assert np.array_equal(picture, viz.grid(a["images"], value_range=(0, 1)))


def test_interpolation_walks_from_one_z_to_another(trained, tmp_path):
    assert call("sample", trained, "-n", 16, "--interpolate", "-o", tmp_path / "walk.npz") == 0
    z = np.load(tmp_path / "walk.npz")["z"].reshape(2, 8, 100)
    steps = np.linalg.norm(np.diff(z, axis=1), axis=-1)
    assert np.allclose(steps, steps.mean(axis=1, keepdims=True), rtol=0.2)  # even steps
    assert np.linalg.norm(z, axis=-1).min() > 7  # and never through the empty middle: |z| is about 10
    assert call("sample", trained, "-n", 16, "--interpolate", "-o", tmp_path / "walk.png") == 0


def test_walk_meets_both_ends_and_survives_equal_ones():
    start, end = np.eye(3)[:1] * 2, np.eye(3)[1:2]
    path = walk(start, end, 5)
    assert path.shape == (1, 5, 3) and np.allclose(path[:, 0], start) and np.allclose(path[:, -1], end)
    assert np.allclose(path[0, 2], 1.5 * np.sqrt(0.5) * np.array([1, 1, 0]))
    assert np.allclose(walk(start, start, 4), start)


def test_training_on_a_folder_of_pictures_skips_what_is_no_picture(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in range(12):
        Image.fromarray(np.full((40, 30, 3), 20 * k, np.uint8)).save(folder / f"{k:02}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "run"
    assert call("train", "mlp-sigmoid", "--data", folder, "--steps", 3, "--batch", 4, "--out", out, "--quiet") == 0
    assert "Skipped broken.png" in capsys.readouterr().err
    assert call("train", "mlp-sigmoid", "--steps", 4, "--out", out, "--resume", "--quiet") == 0


def test_models_and_info_and_check(capsys):
    assert call("models") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("mlp:", "mlp-linear:", "mlp-sigmoid:", "1,486,352"))
    assert call("models", "mlp") == 0
    assert "Dense(784, 1024)" in capsys.readouterr().out
    assert call("info") == 0
    text = capsys.readouterr().out
    assert "backend numpy" in text and "BLAS" in text and "threads" in text
    assert call("check") == 0
    assert "29 right, 0 wrong" in capsys.readouterr().out


def test_check_fails_when_a_layer_is_wrong(monkeypatch, capsys):
    from minigan.layers import Tanh

    monkeypatch.setattr(Tanh, "backward", lambda self, dy, y, param_grads=True, input_grad=True: -dy * (1 - y * y))
    assert call("check") == 1
    assert "WRONG: x (both): opposite sign" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["sample", "nowhere"], "nowhere does not exist; with minigan come dcgan"),
        (["sample", "{run}", "-n", "0"], "-n is a number of at least 1"),
        (["sample", "{run}", "-o", "grid.jpg"], "ends in .png or .npz"),
        (["sample", "{run}", "-o", "{run}/samples.png"], "exists already: choose another -o, or add --force"),
        (["train", "mlp", "--data", "nowhere"], "--data is digits, mnist, faces or a folder, and there is no folder"),
        (["train", "mlp", "--batch", "20000"], "A batch of 20000 cannot be taken from 10000 images"),
        (["train", "mlp", "--lr", "-1"], "--lr is a positive number"),
        (["train", "mlp", "--resume", "--out", "{run}"], "was started with model mlp-sigmoid, not mlp"),
        (["train", "mlp-sigmoid", "--resume", "--out", "{run}", "--lr", "1"], "was started with lr 0.0002, not 1.0"),
        (["train", "mlp-sigmoid", "--out", "{run}"], "holds a run already"),
        (["train", "mlp-sigmoid", "--resume"], "There is no run of mlp-sigmoid"),
        (["data", "mnist", "--from", "nowhere"], "nowhere"),
        (["train", "mlp", "--loss", "wasserstein"], "add --penalty wgan-gp, or --clip 0.01"),
        (["train", "dcgan", "--penalty", "r1"], "mixes the samples of a batch"),
        (["train", "mlp", "--penalty", "r1", "--clip", "0.1"], "choose one of them"),
        (["train", "mlp", "--d-steps", "0"], "--d-steps is at least 1, but got 0"),
        (["train", "mlp", "--batch", "9", "--workers", "2"], "cannot be shared out evenly to 2 workers"),
        (["train", "seqgan", "--penalty", "r1"], "seqgan has no --penalty: leave it out"),
        (["train", "seqgan", "--workers", "5"], "cannot be shared out evenly to 5 workers"),
        (["train", "mlp", "--mle", "5"], "mlp has no --mle"),
        (["sample", "{run}", "--label", "7"], "knows no labels: leave --label out"),
        (["sample", "{run}", "--wav"], "mlp-sigmoid draws images, which take no --wav: leave it out"),
        (["sample", "{run}", "--scale", "0"], "--scale is a number of at least 1, but got 0"),
        (["train", "midinet", "--penalty", "r1"], "midinet has no --penalty: leave it out"),
        (["train", "midinet", "--resume"], "There is no run of midinet"),
        (["train", "midinet-deaf", "--data", "nowhere"], "There is no folder"),
        (["train", "seqgan", "--size", "28"], "seqgan has no --size and no --grey: leave them out"),
        (["train", "ring", "--grey"], "ring has no --size and no --grey: leave them out"),
        (["train", "video", "--size", "48"], "Video models draw frames of 32x32 or 64x64, not 48x48"),
        (["train", "video-vgan", "--clip", "0.1"], "video-vgan has no --clip: leave it out"),
        (["train", "video", "--data", "nowhere"], "There is no folder"),
        (["lessons", "--lesson", "77"], 'There is no lesson "77"; there are 0'),
        (["mark", "nowhere"], "There is no folder nowhere."),
        (["mark", "{run}/config.json"], "config.json is a file: name the folder that holds the notebooks."),
        (["mark", "{run}"], "it is to hold STUDENT.ipynb or STUDENT/NAME.ipynb"),
        (["mark", "{run}", "-o", "{run}/log.csv"], "log.csv exists already: choose another -o, or add --force"),
        (["mark", "{run}", "-o", "{run}/none/m.csv"], "to write m.csv to"),
        (["mark", "{run}", "--timeout", "0"], "--timeout is a positive number of seconds, but got 0"),
        (["mark", "{run}", "--memory", "100"], "--memory is a number of at least 256, but got 100"),
        (["mark", "{run}", "--workers", "0"], "--workers is a number of at least 1, but got 0"),
        (["mark", "{run}", "--seed", "-1"], "--seed is a number of at least 0, but got -1"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [a.replace("{run}", str(trained)) for a in arguments]
    assert call(*arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("minigan: ") and error.count("\n") == 1


def test_a_damaged_checkpoint_is_one_sentence(trained, tmp_path, capsys):
    (tmp_path / "config.json").write_text((trained / "config.json").read_text())
    (tmp_path / "checkpoint.safetensors").write_bytes((trained / "checkpoint.safetensors").read_bytes()[:1000])
    assert call("sample", tmp_path, "-o", tmp_path / "x.png") == 1
    assert "is damaged" in capsys.readouterr().err


def test_without_cupy_one_sentence_says_what_to_install(monkeypatch, capsys):
    try:
        import cupy  # noqa: F401

        pytest.skip("CuPy is installed")
    except ImportError:
        pass
    assert call("train", "mlp", "--backend", "cupy") == 1
    assert 'pip install "minigan[cupy13]"' in capsys.readouterr().err


# ---- pictures of one's own ---------------------------------------------------------------------------------------


def test_dcgan_on_a_folder_of_pictures_one_of_them_damaged(tmp_path, capsys):
    r = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for i in range(8):
        Image.fromarray(r.integers(0, 256, (50, 40, 3), "uint8")).save(tmp_path / "faces" / f"{i}.png")
    (tmp_path / "faces" / "half.png").write_bytes((tmp_path / "faces" / "0.png").read_bytes()[:100])
    run = tmp_path / "run"
    few = ("--steps", 2, "--batch", 4, "--quiet", "--out", run)
    assert call("train", "dcgan", "--data", tmp_path / "faces", "--size", 32, *few) == 0
    assert "Skipped half.png" in capsys.readouterr().err
    with Image.open(run / "filters.png") as picture:
        assert picture.mode == "RGB"
    assert call("train", "dcgan", "--steps", 3, "--resume", "--quiet", "--out", run) == 0
    assert call("sample", run, "-n", 3, "-o", tmp_path / "three.npz") == 0
    assert np.load(tmp_path / "three.npz")["images"].shape == (3, 32, 32, 3)
    capsys.readouterr()
    assert call("train", "dcgan", "--size", 64, "--resume", "--quiet", "--out", run) == 1
    assert "draws images (32, 32, 3)" in capsys.readouterr().err
    assert call("train", "dcgan", "--data", tmp_path / "faces", "--size", 50, "--quiet", "--out", tmp_path / "x") == 1
    assert "not 50x50" in capsys.readouterr().err
    assert call("train", "dcgan", "--size", 64, "--quiet", "--out", tmp_path / "y") == 1
    assert "--size is for a folder of pictures" in capsys.readouterr().err


def test_conditional_draws_the_label_it_is_asked_for(tmp_path, capsys):
    run, few = tmp_path / "run", ("--steps", 2, "--batch", 4, "--quiet")
    assert call("train", "conditional", *few, "--out", run) == 0
    with Image.open(run / "samples.png") as picture:
        assert picture.size == (2 * (10 * 30 + 2), 2 * (8 * 30 + 2))  # a column for each digit, a row for each z
    assert call("sample", run, "-n", 3, "--label", 7, "-o", tmp_path / "sevens.npz") == 0
    file = np.load(tmp_path / "sevens.npz")
    assert file["images"].shape == (3, 28, 28, 1) and file["labels"].tolist() == [7, 7, 7]
    assert call("sample", run, "-n", 12, "--interpolate", "-o", tmp_path / "walks.npz") == 0
    assert np.load(tmp_path / "walks.npz")["labels"].tolist() == 8 * [0] + 4 * [1]
    capsys.readouterr()
    assert call("sample", run, "--label", 10, "-o", tmp_path / "ten.png") == 1
    assert "--label is one of 0 to 9, but got 10" in capsys.readouterr().err
    Image.new("L", (28, 28)).save(tmp_path / "a.png")
    assert call("train", "conditional", "--data", tmp_path, "--out", tmp_path / "x", "--quiet") == 1
    assert "needs labelled images" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ("--loss", "wasserstein", "--clip", 0.01, "--d-steps", 5, "--optimizer", "rmsprop"),
        ("--loss", "wasserstein", "--penalty", "wgan-gp", "--d-steps", 2),
        ("--penalty", "r1", "--penalty-weight", 0.1, "--lr-d", 4e-4),
        ("--penalty", "r2", "--loss", "least_squares"),
    ],
)
def test_variants_of_the_game_train_and_go_on(flags, tmp_path):
    few = ("train", "mlp-sigmoid", *flags, "--batch", 8, "--quiet", "--every", 2)
    assert call(*few, "--steps", 6, "--out", tmp_path / "whole") == 0
    assert call(*few, "--steps", 4, "--out", tmp_path / "run") == 0
    assert call("train", "mlp-sigmoid", "--steps", 6, "--resume", "--quiet", "--out", tmp_path / "run") == 0
    whole, resumed = (tmp_path / name / "checkpoint.safetensors" for name in ("whole", "run"))
    assert whole.read_bytes() == resumed.read_bytes()


# ---- lessons -----------------------------------------------------------------------------------------------------


def test_lessons_are_copied_and_a_learners_notebook_is_kept(tmp_path, capsys):
    assert call("lessons", tmp_path / "all", "--no-open") == 0
    copied = sorted((tmp_path / "all" / "student").iterdir())
    originals = sorted((cli.lessons_folder() / "student").glob("*.ipynb"))
    assert [path.name for path in copied] == [path.name for path in originals]
    assert all(copy.read_bytes() == path.read_bytes() for copy, path in zip(copied, originals))
    for name in re.findall(r"\.\./pictures/[\w.-]+", "".join(path.read_text(encoding="utf-8") for path in copied)):
        assert (tmp_path / "all" / "student" / name).exists()
    copied[0].write_text("my work")
    capsys.readouterr()
    assert call("lessons", tmp_path / "all", "--no-open") == 0
    assert copied[0].read_text() == "my work"
    assert f"Kept {copied[0]}, which was there already." in capsys.readouterr().out


def test_one_lesson_and_the_pictures_that_it_shows(tmp_path, monkeypatch, capsys):
    for name in ("student/01_a.ipynb", "student/02_b.ipynb", "pictures/one.gif", "pictures/two.gif"):
        path = tmp_path / "lessons" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("![it](../pictures/one.gif)" if "01" in name else "")
    monkeypatch.setattr(cli, "lessons_folder", lambda: tmp_path / "lessons")
    monkeypatch.chdir(tmp_path)
    assert call("lessons", "--lesson", "01", "--no-open") == 0
    made = {str(path.relative_to(tmp_path)) for path in (tmp_path / "minigan-lessons").rglob("*.*")}
    assert made == {"minigan-lessons/student/01_a.ipynb", "minigan-lessons/pictures/one.gif"}
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_lessons_are_found_where_pip_has_put_them(tmp_path, monkeypatch, capsys):
    class File(type(tmp_path)):
        def locate(self):
            return tmp_path / self

    monkeypatch.setattr(cli, "__file__", str(tmp_path / "lib" / "minigan" / "cli.py"))
    monkeypatch.setattr("importlib.metadata.files", lambda name: [File("share/minigan/lessons/student/01_a.ipynb")])
    assert call("lessons", tmp_path / "x", "--no-open") == 1
    assert "they are in the folder lessons of minigan's source" in capsys.readouterr().err
    (tmp_path / "share/minigan/lessons/student").mkdir(parents=True)
    (tmp_path / "share/minigan/lessons/student/01_a.ipynb").write_text("")
    assert cli.lessons_folder() == (tmp_path / "share/minigan/lessons").resolve()


def test_jupyterlab_is_opened_or_named(tmp_path, monkeypatch, capsys):
    class Lab:
        started, asked = [], 0

        def __init__(self, command):
            Lab.started.append(command[1:])

        def poll(self):
            return 0 if Lab.asked == 2 else None

        def wait(self):
            Lab.asked += 1
            raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen", Lab)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert call("lessons", tmp_path / "x", "--lesson", "01") == 0
    assert 'pip install "minigan[lessons]"' in capsys.readouterr().out and Lab.started == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert call("lessons", tmp_path / "x", "--lesson", "01") == 0
    assert Lab.started == [["-m", "jupyterlab", str(tmp_path / "x")]] and Lab.asked == 2
