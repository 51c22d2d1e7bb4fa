"""`minigan studio`: five kinds of things on one sheet, each with a record that makes it again."""

import numpy as np
import pytest
from PIL import Image

from minigan import cli
from minigan.data import read_midi
from minigan.provenance import read
from minigan.studio import ITEMS, make


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    out = tmp_path_factory.mktemp("studio") / "sheet"
    assert cli.main(["studio", "-o", str(out), "--seed", "3", "--face", "tears", "--prompt", "明月"]) == 0
    return out


def test_every_item_is_there_with_its_record(sheet):
    for item in ITEMS:
        for name in item.files:
            record = read(sheet / name)
            assert (record.run, record.seed) == (item.source, 3), name
            assert cli.main(["verify", str(sheet / name)]) == 0


def test_the_items_are_what_was_asked_for(sheet):
    assert (sheet / "poem.txt").read_text().startswith("明月")
    assert read(sheet / "face.png").options["label"] == 8
    melody, chords = read_midi(sheet / "tune.mid")
    assert melody.shape == (4, 16) and melody.any() and chords.any()
    with Image.open(sheet / "clip.gif") as clip:
        assert clip.n_frames == 16


def test_the_sheet_holds_all_of_it_and_asks_for_nothing(sheet):
    html = (sheet / "sheet.html").read_text()
    assert html.count("data:image/") == 5 and html.count("data:audio/wav") == 1
    assert "明月" in html and "http" not in html.replace("http-equiv", "")
    for item in ITEMS:
        record = read(sheet / item.files[0])
        assert record.checkpoint in html
        assert f"--seed 3 -o {item.files[0]}" in html
    with Image.open(sheet / "sheet.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20


def test_a_prompt_that_looks_like_html_is_text(tmp_path, capsys):
    assert cli.main(["studio", "-o", str(tmp_path / "a"), "--prompt", "<b>"]) == 1  # no character of the poems
    assert capsys.readouterr().err.count("\n") == 1
    assert not any((tmp_path / "a").iterdir()), "it is refused before anything is drawn"


def test_nothing_is_overwritten_and_other_words_are_sentences(sheet, capsys):
    before = (sheet / "digits.png").read_bytes()
    assert cli.main(["studio", "-o", str(sheet)]) == 1
    assert "digits.png exists already: choose another -o, or add --force" in capsys.readouterr().err
    assert (sheet / "digits.png").read_bytes() == before
    assert cli.main(["studio", "-o", str(sheet / "digits.png")]) == 1
    assert "digits.png is a file, and the sheet is a folder: choose another -o." in capsys.readouterr().err
    with pytest.raises(ValueError, match=r'^There is no face "sorry"; there are smile, .*\.$'):
        make(sheet, face="sorry")


def test_the_same_seed_makes_the_same_sheet(sheet, tmp_path):
    make(tmp_path / "again", seed=3, face="tears", prompt="明月")
    for name in ("digits.png", "face.png", "clip.gif", "tune.mid", "poem.txt"):
        assert read(tmp_path / "again" / name).content == read(sheet / name).content
