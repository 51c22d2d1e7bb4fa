"""The video GANs' runs: a step of each critic and one of G, gone on with bit for bit, on shapes, digits and GIFs."""

import os

import numpy as np
import pytest
from PIL import Image

import minigan.data
from minigan import checkpoint, cli, losses
from minigan.backend import rng, use
from minigan.data import moving_digits, moving_shapes
from minigan.filming import ClipTraining, generator
from minigan.layers import ShapeError
from minigan.models import video
from minigan.models.vgan import VideoGenerator3d, masked_g_step
from minigan.optim import Adam
from minigan.provenance import read
from minigan.run import Run, Settings, TrainingError, run
from minigan.steps import d_step, g_step
from minigan.training import MEASURES
from minigan.workers import usable

TWO = pytest.mark.skipif(usable() < 2, reason="workers need Linux, x86, two cores and NumPy")
BOTH = pytest.mark.parametrize("model", ["video", "video-vgan"])


def call(*arguments):
    """The exit status of a command, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    finally:
        use("numpy")


@pytest.fixture(scope="module")
def clips():
    return moving_shapes(12).clips


def training(model, clips, **options):
    return ClipTraining(model, clips, **({"base": 2, "batch": 4} | options))


def copied(state):
    arrays, facts = state
    return {name: a.copy() for name, a in arrays.items()}, facts


def assert_same(one, other):
    """Two states, bit for bit."""
    assert one[1] == other[1] and one[0].keys() == other[0].keys()
    for name, array in one[0].items():
        assert np.array_equal(array, other[0][name]), name


# ---- the steps ---------------------------------------------------------------------------------------------------


def scaled(clips, k):
    """The k-th batch of an epoch, in [-1, 1]."""
    rows = np.random.default_rng((0, 0)).permutation(len(clips))[4 * k : 4 * k + 4]
    return clips[rows].astype("float32") * (2 / 255) - 1


def assert_alike(play, by_hand):
    """Networks, by their names."""
    assert play.networks.keys() == by_hand.keys() and play.D is play.networks["D"] and play.G is play.networks["G"]
    for who, network in by_hand.items():
        np.testing.assert_allclose(play.networks[who].theta, network.theta, rtol=1e-3, atol=1e-6, err_msg=who)


def clip_critic(r):
    return video.ClipCritic(base=2, spectral=True, halving=True, rng=r)


def test_at_first_mocogan_learns_single_frames(clips):
    """G.picture and the frame critic, by ordinary steps on codes; the cell and the clip critic wait."""
    play = training("video", clips, pretrain=1, batch=1)  # eight frames a step
    r = rng(0)
    G = generator("video", clips.shape[1:], 2, r)
    clip_critic(r)
    D = video.FrameCritic(base=2, spectral=True, rng=r)
    real = clips[np.random.default_rng((0, 0)).permutation(12)[:8], at_of(r)].astype("float32") * (2 / 255) - 1
    of_G, of_D = Adam(G.picture, 1e-3, 0, 0.9), Adam(D, 1e-3, 0, 0.9)
    cell, clip = play.G.lstm.params["Wx"].copy(), play.D.theta.copy()
    d_step(G.picture, D, of_D, losses.hinge, real, G.codes(video.clip_noise(r, 8), at_of(r)))
    g_step(G.picture, D, of_G, losses.hinge, G.codes(video.clip_noise(r, 8), at_of(r)))
    play.advance()
    assert_alike(play, {"G": G, "D": play.D, "D_image": D})
    assert np.array_equal(play.G.lstm.params["Wx"], cell) and np.array_equal(play.D.theta, clip)
    assert play.measures().keys() == {"step", *MEASURES} and play.measures()["d_loss"] > 0
    play.advance()
    assert (play.G.lstm.params["Wx"] != cell).any() and (play.D.theta != clip).any()


def at_of(r):
    return video.draw_frames(r, 8, 16)


def test_a_step_of_mocogan_moves_both_critics_and_then_G(clips):
    play = training("video", clips, lr_d=1e-4)
    r = rng(0)
    G = generator("video", clips.shape[1:], 2, r)
    D_clip, D_image = clip_critic(r), video.FrameCritic(base=2, spectral=True, rng=r)
    of_G, of_both = Adam(G, 1e-3, 0, 0.9), (Adam(D_image, 1e-4, 0, 0.9), Adam(D_clip, 1e-4, 0, 0.9))
    for k in range(2):
        noise, at = video.clip_noise(r, 4), video.draw_frames(r, 4, 16)
        d_values = video.d_step(G, D_image, D_clip, of_both, scaled(clips, k), noise, at, losses.hinge)
        noise, at = video.clip_noise(r, 4), video.draw_frames(r, 4, 16)
        g_value = video.g_step(G, D_image, D_clip, of_G, noise, at, losses.hinge)
        was = {who: network.theta.copy() for who, network in play.networks.items()}
        play.advance()
        assert all((network.theta != was[who]).any() for who, network in play.networks.items())
    assert_alike(play, {"G": G, "D": D_clip, "D_image": D_image})
    row = play.measures()
    assert row.keys() == {"step", *MEASURES} and row["step"] == 2
    np.testing.assert_allclose([row["d_loss"], row["g_loss"]], [sum(d_values), g_value], rtol=1e-4)
    assert 0 < row["d_real"] < 1 and 0 < row["d_fake"] < 1  # sigma of the scores: the hinge game has no probabilities


def test_a_step_of_vgan_moves_its_critic_and_then_G(clips):
    play = training("video-vgan", clips, lr_d=1e-4)
    r = rng(0)
    G, D = VideoGenerator3d(base=2, rng=r), clip_critic(r)
    of_G, of_D = Adam(G, 1e-3, 0, 0.9), Adam(D, 1e-4, 0, 0.9)
    for k in range(2):
        z = [r.standard_normal((4, 100), dtype="float32") for _ in range(2)]
        d_value = d_step(G, D, of_D, losses.hinge, scaled(clips, k), z[0])
        g_value = masked_g_step(G, D, of_G, z[1], losses.hinge)
        was = play.G.theta.copy(), play.D.theta.copy()
        play.advance()
        assert (play.G.theta != was[0]).any() and (play.D.theta != was[1]).any()
    assert_alike(play, {"G": G, "D": D})
    row = play.measures()
    assert row.keys() == {"step", *MEASURES}
    np.testing.assert_allclose([row["d_loss"], row["g_loss"]], [d_value, g_value], rtol=1e-4)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=TWO)])
@BOTH
def test_resumed_equals_never_stopped(model, workers, clips):
    whole, later = (training(model, clips, workers=workers, average=0.9, pretrain=2) for _ in range(2))
    whole.advance()
    saved = copied(whole.state())
    later.advance()
    later.advance()  # it stands elsewhere, and so do its workers, who must start anew
    later.G_average.theta += 1
    later.load(*saved)
    assert_same(later.state(), saved)
    for play in (whole, later):
        play.advance()
        play.advance()
        if play.workers is not None:
            play.workers.stop()
    assert_same(later.state(), whole.state())
    assert later.measures() == whole.measures()


@TWO
@pytest.mark.parametrize("model, pretrain", [("video", 0), ("video", 1), ("video-vgan", 0)])
def test_two_workers_learn_what_one_does(model, pretrain, clips):
    """The gradients, in Adam's first moments; theta would show rounding, where a gradient is nearly zero."""
    one, two = (training(model, clips, workers=workers, pretrain=pretrain) for workers in (1, 2))
    one.advance()
    two.advance()
    two.workers.stop()
    for who, optimizer in one.optimizers.items():
        gap = np.linalg.norm(two.optimizers[who].m - optimizer.m)
        assert gap <= 1e-4 * np.linalg.norm(optimizer.m), who
    assert np.abs(one.optimizers["D_image" if pretrain else "D"].m).max() > 0
    for name, mean in one.G.statistics.items():
        np.testing.assert_allclose(two.G.statistics[name], mean, rtol=1e-3, atol=1e-6, err_msg=name)


# ---- what is refused ---------------------------------------------------------------------------------------------


@BOTH
def test_clips_and_batches_that_cannot_be_taken_are_refused(model, clips):
    for batch in (0, 13):
        with pytest.raises(ValueError, match=f"^A batch of {batch} cannot be taken from 12 clips.$"):
            training(model, clips, batch=batch)
    with pytest.raises(ValueError, match=r"^A batch of 9 cannot be shared out evenly to 2 workers\.$"):
        training(model, clips, batch=9, workers=2)
    for wrong in (clips[0], clips.astype("float32")):
        with pytest.raises(ValueError, match=rf"^{model} is trained on clips \(M, T, H, W, C\) uint8, not"):
            training(model, wrong)
    with pytest.raises(ValueError, match=f"^{model} draws square frames, but the clips are 32x24.$"):
        training(model, clips[:, :, :, :24])
    with pytest.raises(ShapeError, match="32x32 or 64x64, not 24x24"):
        training(model, clips[:, :, :24, :24])
    few = {"video": "clips of at least 8 frames, but got 7", "video-vgan": "a multiple of 8, but got 7"}
    with pytest.raises(ShapeError, match=few[model]):
        training(model, clips[:, :7])


@BOTH
def test_a_checkpoint_of_another_model_or_size_is_refused(model, clips):
    play = training(model, clips)
    before = copied(play.state())
    large = np.zeros((4, 16, 64, 64, 3), "uint8")
    others = (
        training("video-vgan" if model == "video" else "video", clips),
        training(model, clips[..., :1]),
        training(model, large),
        training(model, clips, base=4),
    )
    for other in others:
        with pytest.raises(checkpoint.CheckpointError, match=f"^This checkpoint is not of the model {model}: its "):
            play.load(*other.state())
    if model == "video":  # its G is the same for clips of any length
        longer = training(model, np.concatenate([clips, clips[:, -1:]], axis=1))  # and so are its critics, for 17
        with pytest.raises(
            checkpoint.CheckpointError, match=r"^This checkpoint is of clips of 17 frames, not of 16\.$"
        ):
            play.load(*longer.state())
    assert_same(play.state(), before)


# ---- what is filmed ----------------------------------------------------------------------------------------------


@BOTH
def test_samples_are_reproducible_and_change_nothing(model, clips):
    play = training(model, clips)
    play.advance()
    before = copied(play.state())
    films = play.sample(3)
    assert films.shape == (3, 16, 32, 32, 3) and films.dtype == np.float32 and abs(films).max() <= 1
    r = rng((0, 1))
    z = video.clip_noise(r, 3) if model == "video" else r.standard_normal((3, 100), dtype="float32")
    assert np.array_equal(films, play.G(z))
    assert np.array_equal(films, play.sample(3)) and not np.array_equal(films, play.sample(3, seed=2))
    assert not np.array_equal(films, training(model, clips, seed=1).sample(3))
    assert_same(play.state(), before)


def test_clips_that_are_no_numbers_end_the_run_in_one_sentence(clips, tmp_path, monkeypatch):
    """Weights may be finite, and what is made of them not."""
    monkeypatch.setattr(ClipTraining, "sample", lambda self, n: np.full((n, 16, 32, 32, 3), np.nan, "float32"))
    settings = Settings.of("video", steps=1, batch=2, workers=1)
    with pytest.raises(TrainingError, match="became infinite or NaN by step 1: .* there is no checkpoint yet"):
        run(settings, clips, tmp_path / "run", progress=False, say=lambda text: None)
    assert not (tmp_path / "run" / "clips.gif").exists()


# ---- the command line --------------------------------------------------------------------------------------------

FEW = ("--batch", 2, "--workers", 1, "--quiet")
LEFT = {"checkpoint.safetensors", "config.json", "curves.png", "frames", "log.csv", "clips.gif", "strips.png"}


@pytest.fixture
def few(monkeypatch):
    """Shipped data are made for each run: here, 24 clips instead of 3000. And 12 samples are measured, not 64."""
    for name, make in (("moving_shapes", moving_shapes), ("moving_digits", moving_digits)):
        monkeypatch.setattr(minigan.data, name, lambda count, size, make=make: make(24 * count // 3000, size))
    sample = ClipTraining.sample
    monkeypatch.setattr(ClipTraining, "sample", lambda self, n, seed=1: sample(self, min(n, 12), seed))


def frames_of(path):
    with Image.open(path) as film:
        return film.n_frames, film.size


@BOTH
def test_a_run_resumed_and_never_stopped(model, tmp_path, few, capsys):
    whole, resumed = tmp_path / "whole", tmp_path / "run"
    assert call("train", model, *FEW, "--steps", 2, "--out", whole) == 0
    said = capsys.readouterr().out
    assert "step 2: blank clips" in said
    assert said.endswith(f"In {whole}: strips.png, curves.png, clips.gif, log.csv, checkpoint.safetensors\n")
    assert {path.name for path in whole.iterdir()} == LEFT
    assert call("train", model, *FEW, "--steps", 1, "--out", resumed) == 0
    assert call("train", model, "--steps", 2, "--resume", "--quiet", "--out", resumed) == 0
    assert f"Going on with {resumed} from step 1." in capsys.readouterr().out
    assert (resumed / "checkpoint.safetensors").read_bytes() == (whole / "checkpoint.safetensors").read_bytes()
    for name in ("clips.gif", "strips.png"):  # their records differ in the time, and in the run's name
        assert read(resumed / name).content == read(whole / name).content, name
    capsys.readouterr()
    assert call("verify", resumed / "clips.gif", "--run", resumed) == 0
    assert "made again bit for bit" in capsys.readouterr().out
    assert frames_of(resumed / "clips.gif") == (16, (3 * (3 * 34 + 2), 3 * (3 * 34 + 2)))  # nine clips, scale 3
    with Image.open(resumed / "strips.png") as strips:
        assert strips.size == (2 * (16 * 33 + 1), 2 * (4 * 33 + 1))  # four clips, 16 frames each
    settings, (_, facts) = Run(resumed).settings(), checkpoint.load(resumed / "checkpoint.safetensors")
    assert settings.image_shape == (16, 32, 32, 3) and settings.data == "shapes"
    assert facts["model"] == model and facts["step"] == 2 and facts["frames"] == 16


def test_a_run_on_digits_and_what_it_is_not_gone_on_with(tmp_path, few, capsys):
    """Grey clips; and the run knows it when it is gone on with."""
    out = tmp_path / "run"
    assert call("train", "video", "--data", "digits", *FEW, "--steps", 1, "--out", out) == 0
    assert Run(out).settings().image_shape == (16, 32, 32, 1) and Run(out).settings().data == "digits"
    assert call("train", "video", "--size", 32, "--steps", 2, "--resume", "--quiet", "--out", out) == 0
    with Image.open(out / "strips.png") as strips:
        assert strips.mode == "L"
    kept = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    for model, flags, sentence in (
        ("video-vgan", (), "was started with model video, not video-vgan"),
        ("video", ("--data", "shapes"), "was started with data digits, not shapes"),
        ("video", ("--size", 64), "draws images (16, 32, 32, 1): leave --size and --grey out."),
    ):
        capsys.readouterr()
        assert call("train", model, *flags, "--resume", "--quiet", "--out", out) == 1
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == kept


def animate(path, colours):
    """A GIF of flat frames."""
    frames = [Image.new("RGB", (40, 30), tuple(colour)) for colour in colours]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)


@pytest.mark.parametrize("grey", [False, True])
def test_a_run_on_a_folder_of_gifs(grey, tmp_path, few, capsys):
    folder, out = tmp_path / "films", tmp_path / "run"
    folder.mkdir()
    r = np.random.default_rng(0)
    for k in range(4):
        animate(folder / f"{k}.gif", r.integers(0, 256, (16, 3)).tolist())
    animate(folder / "still.gif", [(255, 0, 0)])
    flags = ("--grey",) if grey else ()
    assert call("train", "video", "--data", folder, *flags, *FEW, "--steps", 1, "--out", out) == 0
    assert "Skipped still.gif: has 1 frame, but a clip needs 16" in capsys.readouterr().err
    assert Run(out).settings().image_shape == (16, 32, 32, 1 if grey else 3)
    assert call("train", "video", "--steps", 2, "--resume", "--quiet", "--out", out) == 0
    assert frames_of(out / "clips.gif")[0] == 16


@pytest.mark.parametrize(
    "model, flags, sentence",
    [
        ("video", ("--size", 48), "Video models draw frames of 32x32 or 64x64, not 48x48."),
        ("video-vgan", ("--data", "digits", "--size", 48), "frames of 32x32 or 64x64, not 48x48."),
        ("video", ("--size", 0), "not 0x0."),
        ("video", ("--data", "{here}/still"), "the first of 1, still.gif, has 1 frame, but a clip needs 16."),
        ("video", ("--data", "{here}/empty"), "No clip (an animated .gif, or a folder of frames) in"),
        ("video", ("--data", "{here}/nowhere"), "There is no folder"),
        ("video", ("--penalty", "r1"), "video has no --penalty: leave it out."),
        ("video-vgan", ("--clip", 0.1), "video-vgan has no --clip: leave it out."),
        ("video", ("--d-steps", 2), "video has no --d-steps: leave it out."),
        ("video", ("--batch", 25), "A batch of 25 cannot be taken from 24 clips."),
        ("video", ("--batch", 9, "--workers", 2), "A batch of 9 cannot be shared out evenly to 2 workers."),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(model, flags, sentence, tmp_path, few, capsys):
    for name in ("still", "empty"):
        (tmp_path / name).mkdir()
    animate(tmp_path / "still" / "still.gif", [(255, 0, 0)])
    flags = [str(flag).replace("{here}", str(tmp_path)) for flag in flags]
    assert call("train", model, "--workers", 1, *flags, "--quiet", "--out", tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("minigan: ") and error.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["empty", "still"]


def test_larger_clips_have_their_networks(few):
    """--size 64, with as many clips as take the same memory."""
    images, beside = cli.load_data(Settings.of("video"), 64)
    assert images.shape == (6, 16, 64, 64, 3) and beside is None
    assert generator("video", images.shape[1:], 2, rng(0)).size == 64
    images, _ = cli.load_data(Settings.of("video-vgan", data="digits"), 64)
    assert images.shape == (6, 16, 64, 64, 1)
    assert isinstance(generator("video-vgan", images.shape[1:], 2, rng(0)), VideoGenerator3d)
