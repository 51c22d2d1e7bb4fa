"""The generators that come with the package: small, whole, drawn from at once, and their samples made again."""

import re
import shlex

import numpy as np
import pytest

from minigan import checkpoint, cli, shipped
from minigan.backend import rng, to_host
from minigan.data import face_icons, unscale
from minigan.metrics.neighbours import vote
from minigan.provenance import read
from minigan.run import Run, Settings
from minigan.shipped import SHIPPED, command_of, find, load, pack

OUTPUTS = {
    "dcgan": "grid.png",
    "faces": "faces.png",
    "seqgan": "poems.txt",
    "midinet": "tune.mid",
    "video": "clips.gif",
}


def test_they_fit_into_five_megabytes():
    files = [path for path in shipped.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 5e6
    assert {path.parent.name for path in files} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_a_generator_alone_and_says_what_made_it(name):
    it = load(name)
    arrays, facts = checkpoint.load(it.run.checkpoint)
    assert {key.split(".")[0] for key in arrays} == {it.settings.drawer}
    assert facts["command"] == command_of(it.settings)
    assert re.fullmatch("[0-9a-f]{64}", facts["of"])
    options = cli.parser().parse_args(shlex.split(facts["command"])[1:])  # a command that minigan takes
    assert options.model == it.settings.model and options.seed == it.settings.seed
    assert facts["step"] == it.settings.steps
    assert (it.vocabulary is not None) == (it.settings.model == "seqgan")
    assert np.isfinite(to_host(it.G.theta)).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_sampled_by_its_name_and_the_sample_made_again(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sample", name, "-n", "2", "-o", OUTPUTS[name]]) == 0
    assert f"of the shipped {name} (step" in capsys.readouterr().out
    assert read(OUTPUTS[name]).run == name
    assert cli.main(["verify", OUTPUTS[name]]) == 0
    assert "made again bit for bit" in capsys.readouterr().out


def test_a_folder_of_that_name_goes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack(find("midinet"), "video", tmp_path)  # a run folder that is named as a shipped one
    assert cli.main(["sample", "video", "-o", "tune.mid"]) == 0
    assert "of video (step" in capsys.readouterr().out


def test_another_name_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'^No generator "nobody" comes with minigan; there are dcgan, .*\.$'):
        load("nobody")
    assert cli.main(["sample", "nobody"]) == 1
    assert capsys.readouterr().err == (f"minigan: nobody does not exist; with minigan come {', '.join(SHIPPED)}.\n")


def test_packing_keeps_the_drawer_and_no_more(tmp_path):
    arrays, facts = checkpoint.load(find("video").checkpoint)
    size = pack(find("video"), "video", tmp_path)
    assert size < 100_000
    again, told = checkpoint.load(Run(tmp_path / "video").checkpoint)
    assert arrays.keys() == again.keys() and facts["step"] == told["step"]
    for name, a in arrays.items():
        assert np.allclose(a, again[name], atol=1e-6 * max(1, np.abs(a).max())), (
            name
        )  # rounding twice is rounding once


def test_the_command_packs_prints_a_table_and_refuses_in_a_sentence(tmp_path, capsys):
    assert shipped.main([str(find("video").folder), "video", "--folder", str(tmp_path)]) == 0
    assert re.fullmatch(r"\d\d,\d{3} bytes in .*video\n", capsys.readouterr().out)
    assert shipped.main([]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[::2]] == list(SHIPPED)
    assert shipped.main([str(tmp_path / "nothing"), "dcgan", "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"shipped: {tmp_path / 'nothing'} does not exist.\n"
    assert not (tmp_path / "dcgan").exists()


@pytest.mark.parametrize("shape", [(64, 64), (5, 5, 16, 32), (8192, 1)])
def test_rounding_is_off_by_half_a_level_at_most(shape):
    a = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    a[..., 0] = 0  # a column of zeros has no scale of its own
    arrays = {"G.W": a, "G.b": a.reshape(-1)[:7], "G.steps": np.arange(3)}
    small = checkpoint.rounded(arrays)
    assert small["G.W"].dtype == np.int8
    back = checkpoint.unrounded(small)
    assert back.keys() == arrays.keys()
    level = np.abs(a).reshape(-1, shape[-1]).max(0) / 127
    assert (np.abs(back["G.W"] - a) <= 0.5001 * level + 1e-30).all()
    assert back["G.W"].dtype == np.float32
    assert np.array_equal(back["G.b"], arrays["G.b"]) and np.array_equal(back["G.steps"], arrays["G.steps"])


def test_the_command_says_what_differs_from_the_defaults():
    assert command_of(Settings.of("video")) == "minigan train video --seed 0"
    asked = Settings.of("conditional", data="a b", seed=3, workers=1, steps=7)
    assert command_of(asked) == "minigan train conditional --data 'a b' --steps 7 --seed 3"


def test_faces_are_drawn_to_order():
    model, _ = find("faces").load()
    assert model.D is None
    images, labels = model.G(model.draw_table(rng(0), 30))
    drawn, known, grey = unscale(to_host(images)), face_icons(3000), lambda x: x.astype(np.float32).mean(-1)
    seen = vote(grey(drawn), grey(known.images), known.label)
    assert (seen == to_host(labels)).mean() > 0.45  # real icons reach 0.54, chance 0.1
