"""Runs in the plane: played on the board, with the board in the run folder, and stopped and gone on with like any."""

import numpy as np
import pytest
from PIL import Image

from minigan import checkpoint, cli
from minigan.data import toy
from minigan.run import Run, Settings, TrainingError, run

FEW = {"steps": 12, "batch": 16, "every": 4}


def played(settings, out, **options):
    points = toy.ring().sample(200, np.random.default_rng(0))
    return run(settings, points, out, progress=False, say=lambda text: None, **options)


@pytest.mark.parametrize("rules", [{}, {"loss": "wasserstein", "penalty": "wgan-gp", "d_steps": 2}])
def test_a_run_leaves_the_board_and_goes_on_bit_for_bit(rules, tmp_path):
    settings = Settings.of("ring", **FEW, **rules)
    whole = played(settings, tmp_path / "whole")
    with Image.open(whole.folder / "board.gif") as board:
        assert board.n_frames > 5
    assert (whole.folder / "board.gif").stat().st_size < 600_000
    with Image.open(whole.folder / "board.png") as board:
        assert board.size[0] > 1000

    half = played(Settings.of("ring", **(FEW | {"steps": 8}), **rules), tmp_path / "half")
    assert checkpoint.load(half.checkpoint)[1]["step"] == 8
    played(settings, tmp_path / "half", resume=True)
    for name in ("checkpoint.safetensors", "board.png"):
        assert (half.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_the_players_move_and_the_samples_are_points(tmp_path):
    where = played(Settings.of("grid", **FEW), tmp_path / "run")
    start, _ = Settings.of("grid").train(np.zeros((300, 2), "float32")).state()
    arrays, _ = checkpoint.load(where.checkpoint)
    for name in ("G.0.W", "D.0.W"):
        assert np.abs(arrays[name] - start[name]).max() > 1e-3
    model, facts = Run(where.folder).load()
    assert model.G(np.zeros((3, 2), "float32")).shape == (3, 2) and facts["step"] == 12


def test_a_checkpoint_of_another_model_is_refused_and_nothing_changes(tmp_path):
    training = Settings.of("ring", **FEW).train(np.zeros((200, 2), "float32"))
    before = training.G.theta.copy()
    arrays, facts = training.state()
    arrays["G.0.W"] = arrays["G.0.W"][:1]
    with pytest.raises(checkpoint.CheckpointError, match=r"G\.0\.W has shape \(1, 64\)"):
        training.load(arrays, facts)
    assert np.array_equal(training.G.theta, before)


def test_the_command_line_goes_on_and_draws_points(tmp_path, capsys):
    def call(*arguments):
        return cli.main([str(a) for a in arguments])

    few, run = ("--batch", 8, "--quiet", "--out", tmp_path / "run"), tmp_path / "run"
    assert call("train", "ring", "--steps", 4, *few) == 0
    assert call("train", "ring", "--steps", 6, "--resume", "--quiet", "--out", run) == 0
    assert call("sample", run, "-n", 20, "-o", tmp_path / "points.png") == 0
    assert call("sample", run, "-n", 20, "-o", tmp_path / "points.npz") == 0
    assert np.load(tmp_path / "points.npz")["images"].shape == (20, 2)
    assert "20 points of" in capsys.readouterr().out
    assert call("train", "grid", "--data", "mnist", "--quiet", "--out", tmp_path / "x") == 1
    assert "brings its own points" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"clip": 0.1}, {"average": 0.9}, {"workers": 2}])
def test_what_a_board_does_not_have_is_refused(wrong, tmp_path):
    with pytest.raises((ValueError, TrainingError), match="played on a board, which has no --clip"):
        played(Settings.of("ring", **FEW, **wrong), tmp_path / "run")
