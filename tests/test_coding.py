"""The runs of VAE and VAE-GAN: stopped and gone on with bit for bit, shared by two processes, on the command line."""

import numpy as np
import pytest

from minigan import checkpoint, cli
from minigan.backend import rng
from minigan.coding import TERMS, CodingTraining
from minigan.data import load_digits
from minigan.models.vae import vae, vae_gan
from minigan.workers import usable

MAKERS = {"vae": vae, "vae-gan": vae_gan}


def training(name, **options):
    random = rng(0)
    model = MAKERS[name](random, noise=4, width=2)
    images = load_digits("train")[0][:40]
    return CodingTraining(model, images, random=random, **({"batch": 8} | options))


@pytest.mark.parametrize("name", MAKERS)
def test_every_network_moves_and_the_terms_are_told(name):
    play = training(name, average=0.9)
    before = {who: network.theta.copy() for who, network in play.networks.items()}
    for _ in range(2):
        play.advance()
    assert all((network.theta != before[who]).any() for who, network in play.networks.items())
    row = play.measures()
    assert set(row) == {"step", *TERMS} and row["step"] == 2 and row["kl"] > 0 and row["reconstruction"] > 0
    assert (0 < row["d_real"] < 1) == (name == "vae-gan")
    assert play.sample(3).shape == (3, 28, 28, 1) and play.interpolate(2, 4).shape == (8, 28, 28, 1)
    pairs = play.reconstructions(3)
    assert pairs.shape == (6, 28, 28, 1) and abs(pairs).max() <= 1
    assert pairs[::2].min() == -1 and np.isin(np.round((pairs[::2] + 1) * 127.5), range(256)).all()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", MAKERS)
def test_resumed_equals_never_stopped_and_two_workers_do_what_one_does(name, workers):
    if usable() < workers:
        pytest.skip("workers need Linux, x86, two cores and NumPy")
    whole, first, second = (training(name, average=0.9, workers=workers) for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        first.advance()
    arrays, facts = first.state()
    second.advance()
    second.load({key: a.copy() for key, a in arrays.items()}, facts)
    for _ in range(2):
        second.advance()
    alone = training(name, average=0.9)
    for _ in range(4):
        alone.advance()
    for key, array in whole.state()[0].items():
        assert np.array_equal(array, second.state()[0][key]), key
        np.testing.assert_allclose(array, alone.state()[0][key], rtol=2e-2, atol=2e-4, err_msg=key)
    for play in (whole, first, second):
        if play.workers is not None:
            play.workers.stop()


def test_what_does_not_fit_is_refused():
    arrays, facts = training("vae").state()
    play = training("vae-gan")
    before = play.G.theta.copy()
    with pytest.raises(checkpoint.CheckpointError, match="not of the model vae-gan"):
        play.load(arrays, facts)
    assert np.array_equal(play.G.theta, before)
    with pytest.raises(ValueError, match="cannot be shared out evenly to 3 workers"):
        training("vae", workers=3)
    with pytest.raises(ValueError, match="A batch of 50 cannot be taken from 40 images"):
        training("vae", batch=50)


def test_the_command_line_trains_and_draws(tmp_path, capsys):
    run = tmp_path / "run"
    few = ("--batch", "4", "--every", "1", "--workers", "1", "--quiet", "--out", str(run))
    assert cli.main(["train", "vae-gan", "--steps", "1", *few]) == 0
    assert cli.main(["train", "vae-gan", "--steps", "2", "--resume", "--quiet", "--out", str(run)]) == 0
    for name in ("samples.png", "reconstructions.png", "curves.png", "log.csv"):
        assert (run / name).stat().st_size > 0
    assert cli.main(["sample", str(run), "-n", "4", "-o", str(tmp_path / "four.png")]) == 0
    assert cli.main(["verify", str(tmp_path / "four.png"), "--run", str(run)]) == 0
    assert "made again bit for bit" in capsys.readouterr().out
    for name in ("samples.png", "interpolation.png", "reconstructions.png"):
        assert cli.main(["verify", str(run / name), "--run", str(run)]) == 0
        assert "made again bit for bit" in capsys.readouterr().out
    assert cli.main(["verify", str(run / "training.gif"), "--run", str(run)]) == 1
    assert "none of the files that a checkpoint alone makes again" in capsys.readouterr().out
    assert cli.main(["train", "vae", "--penalty", "r1"]) == 1
    assert "vae has no --penalty: leave it out" in capsys.readouterr().err
    assert cli.main(["models", "vae"]) == 0
    assert "encoder 252,928" in capsys.readouterr().out
