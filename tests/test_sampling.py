"""`minigan sample` on each kind of run: the files hold exactly what G made, and nothing else is touched."""

import json
import os
import wave
from dataclasses import replace

import mido
import numpy as np
import pytest
from PIL import Image

import minigan.data
from minigan import checkpoint, cli
from minigan.backend import rng, use
from minigan.data import load_chorales, moving_shapes, read_midi
from minigan.filming import BASE, generator
from minigan.models.midinet import Composer, compose
from minigan.models.video import ClipNoise, clip_noise
from minigan.provenance import verify
from minigan.run import Run, Settings
from minigan.sampling import borrowed_chords
from minigan.sound import render
from minigan.training import load_network


def call(*arguments):
    """The exit status of a command, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    finally:
        use("numpy")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of each kind after two steps, each named as its model; without their pictures."""
    folder = tmp_path_factory.mktemp("runs")
    text = "\n".join("".join(np.roll(list("山水明月花風雨雲天地"), k)) for k in range(40))
    (folder / "poems.txt").write_text(text, encoding="utf-8")
    of_writer = {"data": str(folder / "poems.txt"), "mle": 2, "pretrain": 0}
    models = {
        "midinet": {},
        "midinet-deaf": {},
        "video": {},
        "video-vgan": {},
        "seqgan": of_writer,
        "mlp-sigmoid": {},
    }
    few = {"load_chorales": load_chorales("test"), "moving_shapes": moving_shapes(8)}  # instead of all
    with pytest.MonkeyPatch.context() as patch:
        for name, data in few.items():
            patch.setattr(minigan.data, name, lambda *size, data=data: data)
        for model, own in models.items():
            settings = Settings.of(model, steps=2, batch=4, workers=1, **own)
            data, beside = cli.load_data(settings)
            settings = replace(settings, image_shape=data.shape[1:])
            training = settings.train(data, beside)
            training.advance()
            training.advance()
            where = Run(folder / model)
            where.prepare(settings)
            arrays, facts = training.state()
            checkpoint.save(where.checkpoint, awake(arrays), facts)
            if model == "seqgan":
                beside.vocabulary.save(where.folder / "vocabulary.txt")
    return folder


def awake(arrays):
    """With a tenth of the variance that batch norm knows: after two steps it is near 1 yet, where it began, so that z
    would hardly be seen in the samples.
    """
    variance = lambda name: name.startswith(("G.", "G_average.")) and name.endswith(".var")
    return {name: array / 10 if variance(name) else array for name, array in arrays.items()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    """The one sentence with which a command ends, which leaves everything as it is."""
    kept = {name: (os.stat(name).st_mtime_ns, os.stat(name).st_size) for name in os.listdir()}
    capsys.readouterr()
    assert call(*arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("minigan: ") and error.count("\n") == 1
    assert {name: (os.stat(name).st_mtime_ns, os.stat(name).st_size) for name in os.listdir()} == kept
    return error.removeprefix("minigan: ").rstrip("\n")


# ---- tunes -------------------------------------------------------------------------------------------------------


def composed(run, n, bars, seed=0):
    """The tunes and chords that a run's averaged G composes, by hand."""
    arrays, facts = checkpoint.load(run / "checkpoint.safetensors")
    G = Composer(rng=rng(0), conditions=facts["model"] == "midinet")
    load_network(G, "G_average", arrays)
    chords, _ = borrowed_chords(n, bars, seed)
    return compose(G, rng(seed).standard_normal((n, bars, 100), dtype="float32"), chords), chords


def tempo_of(path):
    """In quarter notes a minute, as any player reads it."""
    return [round(60e6 / message.tempo) for message in mido.MidiFile(path) if message.type == "set_tempo"]


@pytest.mark.parametrize("model", ["midinet", "midinet-deaf"])
def test_a_tune_reads_back_as_what_was_composed(model, runs, here, capsys):
    assert call("sample", runs / model) == 0
    assert capsys.readouterr().out == f"8 bars of {runs / model} (step 2) in .: tune.mid, tune.png\n"
    assert sorted(os.listdir()) == ["tune.mid", "tune.png"]
    tunes, chords = composed(runs / model, 1, 8)
    melody, found = read_midi("tune.mid")
    assert melody.shape == (8, 16) and np.array_equal(melody, tunes[0]) and np.array_equal(found, chords[0])

    file = mido.MidiFile("tune.mid")  # no reader of ours
    assert [track.name for track in file.tracks] == ["melody", "chords"] and tempo_of("tune.mid") == [90]
    struck, now = np.zeros((8, 16), int), 0
    for message in file.tracks[0]:
        now += message.time
        if message.type == "note_on" and message.velocity:
            struck.flat[now * 4 // file.ticks_per_beat] = message.note
    begins = np.diff(tunes[0].ravel(), prepend=-1) != 0
    assert np.array_equal(struck.ravel(), np.where(begins, tunes[0].ravel(), 0))
    assert abs(file.length - 8 * 4 * 60 / 90) < 1e-3  # seconds
    with Image.open("tune.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 100


def test_tunes_with_their_recordings(runs, here, capsys):
    assert call("sample", runs / "midinet", "-n", 2, "--bars", 3, "--tempo", 120, "--wav", "-o", "a/b.mid") == 1
    assert os.listdir() == []  # there is no folder a
    (here / "a").mkdir()
    capsys.readouterr()
    assert call("sample", runs / "midinet", "-n", 2, "--bars", 3, "--tempo", 120, "--wav", "-o", "a/b.mid") == 0
    assert capsys.readouterr().out.endswith("(step 2) in a: b.mid, b.png, b.wav and 1 more\n")
    beside = {f"{name}.wav.json" for name in ("b", "b-2")}  # a WAV has no room for its record
    assert set(os.listdir("a")) == {f"{name}{s}" for name in ("b", "b-2") for s in (".mid", ".png", ".wav")} | beside
    tunes, chords = composed(runs / "midinet", 2, 3)
    for k, name in enumerate(("b", "b-2")):
        for suffix in (".mid", ".png", ".wav"):
            found = verify(f"a/{name}{suffix}")
            assert found.state == "agrees" and (found.record.index, found.record.model) == (k, "midinet")
        melody, found = read_midi(f"a/{name}.mid")
        assert np.array_equal(melody, tunes[k]) and np.array_equal(found, chords[k]) and melody.shape == (3, 16)
        assert tempo_of(f"a/{name}.mid") == [120]
        with wave.open(f"a/{name}.wav", "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22050, 1, 2)
            heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(heard) == 3 * 2 * 22050  # a bar of 4/4 takes two seconds
        assert np.array_equal(heard, np.rint(render(tunes[k], chords[k], 120) * 32767))


def test_a_seed_is_a_tune(runs, here):
    for name, seed in (("a", 0), ("b", 0), ("c", 5)):
        assert call("sample", runs / "midinet", "--bars", 2, "--seed", seed, "-o", f"{name}.mid") == 0
    a, b, c = (np.concatenate(read_midi(f"{name}.mid"), axis=1) for name in "abc")  # not bytes: a record has its time
    assert np.array_equal(a, b) and (a[:, :16] != c[:, :16]).any() and (a[:, 16:] != c[:, 16:]).any()


def test_chords_are_borrowed_from_held_out_tunes():
    """Each tune's from its own start, and again from there where it is shorter; with its key."""
    test = load_chorales("test")
    chords, keys = borrowed_chords(40, 30, seed=3)
    assert chords.shape == (40, 30, 13) and keys.shape == (40, 2)
    lenders = []
    for chord, key in zip(chords, keys):
        for tune in np.unique(test.tune):
            its = test.chord[test.tune == tune]
            if np.array_equal(chord, np.concatenate([its] * 30)[:30]) and (key == test.key[test.tune == tune]).all():
                lenders.append(tune)
                break
    assert len(lenders) == 40 and len(set(lenders[:32])) == 32  # all of the 32, and then again
    assert lenders[32:] == lenders[:8]
    assert not np.array_equal(chords, borrowed_chords(40, 30, seed=4)[0])


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--bars", 0), "--bars is a number of at least 1, but got 0."),
        (("-n", 0), "-n is a number of at least 1, but got 0."),
        (("--tempo", 0), "tempo must be from 4 to 1,000 quarter notes a minute, but it is 0.0."),
        (("--tempo", "nan"), "tempo must be from 4 to 1,000 quarter notes a minute, but it is nan."),
        (("-o", "tune.wav"), "The output ends in .mid, but got tune.wav."),
        (("--fix", "content"), "midinet draws tunes, which take no --fix: leave it out."),
        (("--scale", 2), "midinet draws tunes, which take no --scale: leave it out."),
        (("--prompt", "A"), "midinet draws tunes, which take no --prompt: leave it out."),
    ],
)
def test_bad_input_for_tunes(flags, sentence, runs, here, capsys):
    assert refused(capsys, "sample", runs / "midinet", *flags) == sentence


@pytest.mark.parametrize("name", ["t.mid", "t.png", "t.wav", "t-2.mid", "t-2.png", "t-2.wav"])
def test_what_lies_there_is_kept(name, runs, here, capsys):
    (here / name).write_text("mine")
    two = ("sample", runs / "midinet", "-n", 2, "--bars", 1, "-o", "t.mid", "--wav")
    assert refused(capsys, *two) == f"{name} exists already: choose another -o, or add --force to overwrite it."
    if name == "t-2.wav":
        assert call(*two[:-1]) == 0  # without --wav, it is in nobody's way
        assert (here / name).read_text() == "mine" and read_midi("t-2.mid")[0].shape == (1, 16)
        assert call(*two, "--force") == 0
        assert (here / name).read_bytes()[:4] == b"RIFF"


# ---- clips -------------------------------------------------------------------------------------------------------


def filmer(run):
    """A run's averaged G."""
    G = generator(json.loads(config(run))["settings"]["model"], (16, 32, 32, 3), BASE, rng(0))
    load_network(G, "G_average", checkpoint.load(run / "checkpoint.safetensors")[0])
    return G


def config(run):
    return (run / "config.json").read_text(encoding="utf-8")


def alike(a, b):
    """But for rounding: the number of clips decides how a product is summed up."""
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=3e-5)


@pytest.mark.parametrize("model", ["video", "video-vgan"])
def test_clips_as_film_as_strips_and_as_numbers(model, runs, here, capsys):
    assert call("sample", runs / model) == 0
    assert capsys.readouterr().out == f"9 clips of {runs / model} (step 2) in clips.gif\n"
    with Image.open("clips.gif") as film:
        assert film.n_frames == 16 and film.size == (3 * (3 * 34 + 2), 3 * (3 * 34 + 2))
    assert call("sample", runs / model, "-n", 2, "-o", "a.gif", "--scale", 1) == 0
    with Image.open("a.gif") as film:
        assert film.size == (2 * 34 + 2, 34 + 2)
    assert call("sample", runs / model, "-n", 2, "-o", "a.png") == 0
    assert call("sample", runs / model, "-n", 2, "-o", "a.npz") == 0
    assert call("sample", runs / model, "-n", 2, "-o", "b.npz") == 0
    assert call("sample", runs / model, "-n", 2, "-o", "c.npz", "--seed", 5) == 0
    a, b, c = (np.load(f"{name}.npz") for name in "abc")
    assert a["clips"].shape == (2, 16, 32, 32, 3) and (int(a["seed"]), int(a["step"])) == (0, 2)
    assert np.array_equal(a["clips"], b["clips"]) and not np.array_equal(a["clips"], c["clips"])
    r = rng(5)
    z = clip_noise(r, 2) if model == "video" else r.standard_normal((2, 100), dtype="float32")
    alike(c["clips"], filmer(runs / model)(z))
    with Image.open("a.png") as strips:
        picture = np.asarray(strips)
    assert picture.shape == (3 * (2 * 33 + 1), 3 * (16 * 33 + 1), 3)
    first = np.rint((a["clips"][0, 0] + 1) * 127.5)
    assert abs(picture[4:100:3, 4:100:3] - first).max() <= 1  # behind the edge, a pixel of three


@pytest.mark.parametrize("what", ["content", "motion"])
def test_fixed_codes_are_shared(what, runs, here):
    """The clips are G's, called with the first clip's code in all rows."""
    assert call("sample", runs / "video", "-n", 3, "--fix", what, "-o", "fixed.npz") == 0
    assert call("sample", runs / "video", "-n", 3, "-o", "free.npz") == 0
    fixed, free = np.load("fixed.npz")["clips"], np.load("free.npz")["clips"]
    z = clip_noise(rng(0), 3)
    same = [0, 0, 0]
    if what == "content":
        shared = ClipNoise(z.content[same], z.motion, z.start)
    else:
        shared = ClipNoise(z.content, z.motion[same], z.start[same])
    alike(fixed, filmer(runs / "video")(shared))
    alike(fixed[0], free[0])
    assert all(abs(fixed[k] - free[k]).max() > 3e-3 for k in (1, 2))
    assert abs(fixed[1] - fixed[2]).max() > 3e-3  # the other code is each clip's own


def test_an_mp4_needs_ffmpeg(runs, here, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(here))
    sentence = refused(capsys, "sample", runs / "video", "-n", 2, "-o", "a.mp4")
    assert sentence == "a.mp4 needs ffmpeg, which is not on the PATH of this machine: name it .gif instead."


@pytest.mark.parametrize(
    "model, flags, sentence",
    [
        ("video-vgan", ("--fix", "content"), "video-vgan keeps content and motion in one z: leave --fix out."),
        ("video", ("--prompt", "A"), "video draws clips, which take no --prompt: leave it out."),
        ("video", ("--bars", 3), "video draws clips, which take no --bars: leave it out."),
        ("video", ("--label", 3), "video draws clips, which take no --label: leave it out."),
        ("video", ("-n", 0), "-n is a number of at least 1, but got 0."),
        ("video", ("--scale", 0), "--scale is a number of at least 1, but got 0."),
        ("video", ("-o", "a.mid"), "The output ends in .gif or .mp4 or .png or .npz, but got a.mid."),
    ],
)
def test_bad_input_for_clips(model, flags, sentence, runs, here, capsys):
    assert refused(capsys, "sample", runs / model, *flags) == sentence


@pytest.mark.parametrize("name", ["clips.gif", "a.npz", "a.png", "a.mp4"])
def test_a_film_that_lies_there_is_kept(name, runs, here, capsys):
    (here / name).write_text("mine")
    one = ("sample", runs / "video", "-n", 1, *(() if name == "clips.gif" else ("-o", name)))
    assert refused(capsys, *one) == f"{name} exists already: choose another -o, or add --force to overwrite it."
    if name == "clips.gif":
        assert call(*one, "--force") == 0
        assert (here / name).read_bytes()[:3] == b"GIF"


# ---- text and images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, flags, sentence",
    [
        ("seqgan", ("--wav",), "seqgan draws text, which take no --wav: leave it out."),
        ("seqgan", ("--scale", 2), "seqgan draws text, which take no --scale: leave it out."),
        ("seqgan", ("--interpolate",), "seqgan draws text, which take no --interpolate: leave it out."),
        ("seqgan", ("-o", "a.png"), "The output ends in .txt, but got a.png."),
        ("mlp-sigmoid", ("--temperature", 2), "mlp-sigmoid draws images, which take no --temperature: leave it out."),
        ("mlp-sigmoid", ("--tempo", 90), "mlp-sigmoid draws images, which take no --tempo: leave it out."),
        ("mlp-sigmoid", ("--fix", "motion"), "mlp-sigmoid draws images, which take no --fix: leave it out."),
        ("mlp-sigmoid", ("--scale", 0), "--scale is a number of at least 1, but got 0."),
        ("mlp-sigmoid", ("-o", "a.gif"), "The output ends in .png or .npz, but got a.gif."),
    ],
)
def test_what_is_another_kinds_is_refused(model, flags, sentence, runs, here, capsys):
    assert refused(capsys, "sample", runs / model, *flags) == sentence


def test_how_many_where_none_is_said(runs, here, capsys):
    assert call("sample", runs / "seqgan") == 0
    assert len([line for line in capsys.readouterr().out.splitlines() if line]) == 8
    assert call("sample", runs / "mlp-sigmoid") == 0
    assert capsys.readouterr().out == f"64 images of {runs / 'mlp-sigmoid'} (step 2) in samples.png\n"
    with Image.open("samples.png") as picture:
        assert picture.size == (2 * (8 * 30 + 2), 2 * (8 * 30 + 2))


@pytest.mark.parametrize("model", ["midinet", "video", "seqgan", "mlp-sigmoid"])
def test_a_run_without_a_checkpoint_draws_nothing(model, runs, here, capsys):
    (here / "run").mkdir()
    (here / "run" / "config.json").write_text(config(runs / model), encoding="utf-8")
    assert (
        refused(capsys, "sample", "run") == f"There is no checkpoint {os.path.join('run', 'checkpoint.safetensors')}."
    )
