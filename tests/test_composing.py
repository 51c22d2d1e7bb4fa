"""MidiNet's runs: D once, then G twice, gone on with bit for bit, on chorales and on any folder of MIDI files."""

import mido
import numpy as np
import pytest

from minigan import checkpoint, cli
from minigan.backend import rng, use
from minigan.composing import MusicTraining
from minigan.data import load_chorales, load_midi, read_midi, write_midi
from minigan.data.music import Melodies, stretches
from minigan.models.midinet import Composer, Listener, compose, d_step, g_step
from minigan.optim import Adam
from minigan.provenance import read
from minigan.run import Run, Settings
from minigan.training import MEASURES
from minigan.workers import usable

TWO = pytest.mark.skipif(usable() < 2, reason="workers need Linux, x86, two cores and NumPy")


def call(*arguments):
    """The exit status of a command, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    finally:
        use("numpy")


@pytest.fixture(scope="module")
def melodies():
    """The bars of five chorales."""
    bars = load_chorales("test")
    few = np.isin(bars.tune, np.unique(bars.tune)[:5])
    return Melodies(*(a[few] for a in bars))


def training(melodies, **options):
    return MusicTraining(melodies, melodies, **({"batch": 8} | options))


def copied(state):
    arrays, facts = state
    return {name: a.copy() for name, a in arrays.items()}, facts


def assert_same(one, other):
    """Two states, bit for bit."""
    assert one[1] == other[1] and one[0].keys() == other[0].keys()
    for name, array in one[0].items():
        assert np.array_equal(array, other[0][name]), name


# ---- the steps ---------------------------------------------------------------------------------------------------


def test_a_step_is_one_of_D_and_two_of_G_on_an_epochs_bars(melodies):
    """Two steps by hand, bit for bit. The bar before a tune's first is all zeros."""
    play = training(melodies, lr_d=1e-4)
    r = rng(0)
    G, D = Composer(rng=r), Listener(rng=r)
    of_G, of_D = Adam(G, 2e-4), Adam(D, 1e-4)
    order = np.random.default_rng((0, 0)).permutation(len(melodies.melody))
    table = np.eye(128, dtype="float32")
    for k in range(2):
        rows = order[8 * k : 8 * k + 8]
        x_real, before = (table[pitches[rows]][..., None] for pitches in (melodies.melody, melodies.previous))
        before[~melodies.previous[rows].any(axis=1)] = 0
        bars = x_real, melodies.chord[rows], before
        z = [r.standard_normal((8, 100), dtype="float32") for _ in range(3)]
        d_value = d_step(G, D, of_D, *bars, z[0])
        g_step(G, D, of_G, *bars, z[1])
        g_value = g_step(G, D, of_G, *bars, z[2])
        was = play.G.theta.copy(), play.D.theta.copy()
        play.advance()
        assert (play.G.theta != was[0]).any() and (play.D.theta != was[1]).any()
    assert not melodies.previous[order[:16]].any(axis=1).all()
    assert np.array_equal(play.G.theta, G.theta) and np.array_equal(play.D.theta, D.theta)
    row = play.measures()
    assert row.keys() == {"step", *MEASURES} and row["step"] == 2
    assert (row["d_loss"], row["g_loss"]) == (d_value, g_value) and 0 < row["d_fake"] < 1 and 0 < row["d_real"] < 1
    assert (play.D_optimizer.steps, play.G_optimizer.steps) == (2, 4)
    play = training(melodies, g_steps=1)
    play.advance()
    assert (play.D_optimizer.steps, play.G_optimizer.steps) == (1, 1)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=TWO)])
def test_resumed_equals_never_stopped(melodies, workers):
    whole, later = (training(melodies, workers=workers, average=0.9) for _ in range(2))
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
def test_two_workers_learn_what_one_does(melodies):
    """The gradients, in Adam's first moments; theta would show rounding, where a gradient is nearly zero.

    Mean features and mean bars are matched by a squared gap, and the mean of two gaps' squares is no gap's square.
    """
    one, two = training(melodies, g_steps=1), training(melodies, g_steps=1, workers=2)
    one.advance()
    two.advance()
    two.workers.stop()
    for of in ("D_optimizer", "G_optimizer"):
        expected, found = getattr(one, of).m, getattr(two, of).m
        assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected), of


def test_a_batch_that_cannot_be_taken_or_shared_out_is_refused(melodies):
    n = len(melodies.melody)
    for batch in (0, n + 1):
        with pytest.raises(ValueError, match=f"^A batch of {batch} cannot be taken from {n} bars.$"):
            training(melodies, batch=batch)
    with pytest.raises(ValueError, match=r"^A batch of 9 cannot be shared out evenly to 2 workers\.$"):
        training(melodies, batch=9, workers=2)
    assert training(melodies, batch=n).batch == n


@pytest.mark.parametrize("of_control", [False, True])
def test_a_checkpoint_of_another_model_is_refused(melodies, of_control):
    """The control's arrays have the same names and shapes: its name tells it apart."""
    play, other = (training(melodies, conditions=given) for given in (not of_control, of_control))
    other.advance()
    before = copied(play.state())
    with pytest.raises(checkpoint.CheckpointError, match=f"of the model {other.name}, not of {play.name}.$"):
        play.load(*other.state())
    arrays, facts = other.state()
    arrays["G.0.W"] = arrays["G.0.W"][:, :512]
    with pytest.raises(checkpoint.CheckpointError, match=rf"not of the model {play.name}: its G\.0\.W has shape"):
        play.load(arrays, facts)
    del arrays["G.0.W"]
    with pytest.raises(checkpoint.CheckpointError, match=r"its G\.0\.W is missing"):
        play.load(arrays, facts)
    assert_same(play.state(), before)


# ---- what is composed --------------------------------------------------------------------------------------------


def test_samples_are_tunes_over_borrowed_chords(melodies):
    play = training(melodies)
    play.advance()
    before = copied(play.state())
    tunes, lenders = play.sample(7)
    rows = stretches(melodies, 8)
    rows = np.concatenate([rows] * 3)[:7]  # by turns
    assert tunes.shape == (7, 8, 16) and tunes.min() >= 0 and tunes.max() < 128
    for lent, given in zip(lenders, melodies):
        assert np.array_equal(lent, given[rows.ravel()])
    z = rng((0, 1)).standard_normal((7, 8, 100), dtype="float32")
    assert np.array_equal(tunes, compose(play.G, z, melodies.chord[rows]))
    assert np.array_equal(tunes, play.sample(7)[0])
    assert not np.array_equal(tunes, play.sample(7, seed=2)[0])
    assert_same(play.state(), before)  # looking does not change the run


def test_where_all_tunes_are_short_their_chords_begin_again(melodies):
    short = np.concatenate([np.flatnonzero(melodies.tune == tune)[:bars] for tune, bars in zip(*tunes_of(melodies))])
    short = Melodies(*(a[short] for a in melodies))
    assert not len(stretches(short, 8))
    tunes, lenders = MusicTraining(melodies, short, batch=8).sample(3)
    assert tunes.shape == (3, 8, 16)
    first, second = (short.chord[short.tune == tune] for tune in tunes_of(short)[0])
    expected = [first[[0, 1, 2, 3, 4, 0, 1, 2]], second[[0, 1, 2, 0, 1, 2, 0, 1]], first[[0, 1, 2, 3, 4, 0, 1, 2]]]
    assert np.array_equal(lenders.chord.reshape(3, 8, 13), expected)


def tunes_of(melodies):
    """The first two tunes, and how many bars are kept of them."""
    return np.unique(melodies.tune)[:2], (5, 3)


@pytest.mark.parametrize("conditions", [True, False])
def test_the_control_is_deaf_and_the_other_is_not(melodies, conditions):
    play = training(melodies, conditions=conditions)
    assert play.name == ("midinet" if conditions else "midinet-deaf")
    for _ in range(2):
        play.advance()
    z = rng(3).standard_normal((4, 8, 100), dtype="float32")
    chords = np.zeros((2, 4, 8, 13), "float32")
    chords[0, ..., 0] = chords[1, ..., 6] = chords[1, ..., 12] = 1  # C major, F sharp minor
    bars = np.eye(128, dtype="float32")[np.array([60, 80])[:, None, None].repeat(4, 1).repeat(16, 2)][..., None]
    G = lambda chord, before: play.G((z[:, 0], chords[chord, :, 0], bars[before]))
    D = lambda chord: play.D((bars[0], chords[chord, :, 0]))
    assert np.array_equal(G(0, 0), G(1, 0)) != conditions
    assert np.array_equal(G(0, 0), G(0, 1)) != conditions
    assert np.array_equal(D(0), D(1)) != conditions
    if not conditions:
        assert np.array_equal(compose(play.G, z, chords[0]), compose(play.G, z, chords[1], bars[1]))


# ---- the command line --------------------------------------------------------------------------------------------

FEW = ("--batch", 4, "--workers", 1, "--quiet")
LEFT = {"checkpoint.safetensors", "config.json", "curves.png", "frames", "log.csv", "samples.png", "tune.mid"}


def test_a_run_on_the_chorales_resumed_and_never_stopped(tmp_path, capsys):
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert call("train", "midinet", *FEW, "--steps", 2, "--out", whole) == 0
    said = capsys.readouterr().out
    assert "step 2: empty_bars" in said and said.endswith("curves.png, tune.mid, log.csv, checkpoint.safetensors\n")
    assert {path.name for path in whole.iterdir()} == LEFT
    assert call("train", "midinet", *FEW, "--steps", 1, "--out", run) == 0
    assert call("train", "midinet", "--steps", 2, "--resume", "--quiet", "--out", run) == 0
    assert f"Going on with {run} from step 1." in capsys.readouterr().out
    assert (run / "checkpoint.safetensors").read_bytes() == (whole / "checkpoint.safetensors").read_bytes()
    for name in ("tune.mid", "samples.png"):  # their records differ in the time, and in the run's name
        assert read(run / name).content == read(whole / name).content, name
    capsys.readouterr()
    assert call("verify", run / "tune.mid", "--run", run) == 0
    assert "made again bit for bit" in capsys.readouterr().out
    settings = Run(run).settings()
    assert settings.image_shape == (16,) and settings.data == "chorales"
    assert_its_tune_is_the_first_sample(run, "midinet")


def test_a_run_of_the_control(tmp_path, capsys):
    run = tmp_path / "run"
    assert call("train", "midinet-deaf", *FEW, "--steps", 1, "--out", run) == 0
    assert {path.name for path in run.iterdir()} == LEFT
    assert_its_tune_is_the_first_sample(run, "midinet-deaf")


def assert_its_tune_is_the_first_sample(run, model):
    """By a training that takes up the run's checkpoint."""
    arrays, facts = checkpoint.load(run / "checkpoint.safetensors")
    assert facts["model"] == model
    chorales = load_chorales("test")
    play = MusicTraining(chorales, chorales, batch=4, conditions=model == "midinet", average=0.999)
    play.load(arrays, facts)
    tunes, lenders = play.sample(64)
    melody, chords = read_midi(run / "tune.mid")
    assert np.array_equal(melody, tunes[0]) and np.array_equal(chords, lenders.chord[:8])


@pytest.fixture
def folder(tmp_path):
    """Eleven tunes of four bars, of which two are held out, and two files that are none."""
    folder = tmp_path / "tunes"
    folder.mkdir()
    r = np.random.default_rng(0)
    for k in range(11):
        chord = np.eye(13, dtype=int)[r.integers(0, 12, 4)]
        write_midi(folder / f"{k:02}.mid", r.integers(60, 80, (4, 4)).repeat(4, axis=1), chord)
    whole = (folder / "00.mid").read_bytes()
    (folder / "half.mid").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mid").write_text("Dear diary")
    return folder


def test_a_run_on_a_folder_of_midi_files_and_what_it_is_not_gone_on_with(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert call("train", "midinet", "--data", folder, *FEW, "--steps", 1, "--out", run) == 0
    error = capsys.readouterr().err
    assert "Skipped half.mid: is cut short or damaged" in error and "Skipped text.mid: is not a MIDI file" in error
    assert call("train", "midinet", "--steps", 2, "--resume", "--quiet", "--out", run) == 0
    melody, chords = read_midi(run / "tune.mid")
    found, _ = load_midi(folder)
    assert melody.shape == (8, 16)
    assert np.array_equal(chords, np.tile(found.chord[:4], (2, 1)))  # of tune 0, which is held out
    assert len(mido.MidiFile(run / "tune.mid").tracks) == 2
    kept = {path: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for model, flags, sentence in (
        ("midinet-deaf", (), "was started with model midinet, not midinet-deaf"),
        ("midinet", ("--lr", 1), "was started with lr 0.0002, not 1.0"),
        ("midinet", ("--size", 32), "leave --size and --grey out"),
    ):
        capsys.readouterr()
        assert call("train", model, *flags, "--resume", "--quiet", "--out", run) == 1
        assert sentence in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == kept


def test_every_tenth_tune_is_held_out_and_the_others_stand_in_all_keys(folder):
    bars, (train, test) = cli.load_data(Settings.of("midinet", data=str(folder)))
    assert np.unique(test.tune).tolist() == [0, 10] and np.unique(train.tune).tolist() == list(range(1, 10))
    assert bars.shape == (12 * 9 * 4, 16) and np.array_equal(bars, train.melody)
    for path in sorted(folder.iterdir())[1:]:
        path.unlink()
    bars, (train, test) = cli.load_data(Settings.of("midinet", data=str(folder)))
    assert len(bars) == 12 * 4 and len(test.melody) == 4  # of one tune, nothing can be held out


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "could be used."),
        (b"Dear diary", "the first of 1, tune.mid, is not a MIDI file"),
        (b"", "the first of 1, tune.mid, is empty"),
        ("half", "the first of 1, tune.mid, is cut short or damaged"),
    ],
)
def test_a_folder_without_a_usable_file_is_one_sentence(content, sentence, tmp_path, capsys):
    folder = tmp_path / "tunes"
    folder.mkdir()
    if content == "half":
        write_midi(folder / "tune.mid", np.full((4, 16), 60), np.eye(13, dtype=int)[:4])
        content = (folder / "tune.mid").read_bytes()
        content = content[: len(content) // 2]
    if content is not None:
        (folder / "tune.mid").write_bytes(content)
    assert call("train", "midinet", "--data", folder, "--quiet", "--out", tmp_path / "run") == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("minigan: No MIDI file") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--penalty", "r1"), "midinet has no --penalty: leave it out."),
        (("--d-steps", 2), "midinet has no --d-steps: leave it out."),
        (("--mle", 5), "midinet has no --mle: leave it out."),
        (("--loss", "least_squares"), "midinet has no --loss: leave it out."),
        (("--size", 32), "midinet has no --size and no --grey: leave them out."),
        (("--grey",), "midinet has no --size and no --grey: leave them out."),
        (("--data", "nowhere"), "There is no folder"),
        (("--batch", 100_000), "A batch of 100000 cannot be taken from 43080 bars."),
        (("--batch", 9, "--workers", 2), "A batch of 9 cannot be shared out evenly to 2 workers."),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(flags, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("train", "midinet", *flags, "--quiet", "--out", "run") == 1
    error = capsys.readouterr().err
    assert sentence in error and error.startswith("minigan: ") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
