"""The museum: every check is red on its bug and green on its mend, and every bug is as silent as its record says."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from minigan.museum import EXHIBITS, FAMILIES, catalogue, examine, exhibit_named
from minigan.museum.__main__ import main
from minigan.museum.exhibit import Exhibit, need, noticed, verdict

LESSONS = Path(__file__).parent.parent / "lessons"
each = pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)


@pytest.fixture(scope="module")
def findings():
    return [examine(exhibit) for exhibit in EXHIBITS]


@each
def test_the_check_fails_on_the_bug_in_one_sentence_with_a_number(exhibit):
    with pytest.raises(AssertionError) as caught:
        exhibit.check(exhibit.bug)
    said = str(caught.value)
    assert said[0].isupper() and said.endswith(".") and "\n" not in said
    assert not re.search(r"[.!?] ", said), "one sentence"
    assert re.search(r"\d", said), "with the measured number"
    assert len(said) < 180


@each
def test_the_check_passes_on_the_mend(exhibit):
    exhibit.check(exhibit.mend)


@each
def test_the_bug_is_as_silent_as_its_record_says(exhibit):
    """Run as a program would run it, with every warning an error: it raises nothing, and its numbers are finite."""
    if exhibit.silent:
        assert np.isfinite(np.asarray(exhibit.use(exhibit.bug), dtype=float)).all()
    else:
        with pytest.raises((ValueError, TypeError)):
            exhibit.use(exhibit.bug)
    assert np.isfinite(np.asarray(exhibit.use(exhibit.mend), dtype=float)).all()


@each
def test_a_check_says_the_same_again(exhibit):
    assert verdict(exhibit.check, exhibit.bug) == verdict(exhibit.check, exhibit.bug)


@each
def test_an_exhibit_is_whole(exhibit):
    for field in dataclasses.fields(Exhibit):
        value = getattr(exhibit, field.name)
        assert value != "", field.name
        if field.name in ("wrong", "symptom"):
            assert value.endswith(".")
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", exhibit.name)
    assert len(exhibit.title) <= 60 and len(exhibit.which) <= 36, "or the board has no room for it"
    assert not exhibit.seen_in.endswith(".")
    assert list((LESSONS / "src").glob(f"{exhibit.lesson:02}_*.py")), f"there is no lesson {exhibit.lesson:02}"


def test_there_are_enough_and_each_once():
    assert len(EXHIBITS) >= 26
    names = [exhibit.name for exhibit in EXHIBITS]
    assert len(set(names)) == len(names)
    assert len({exhibit.title for exhibit in EXHIBITS}) == len(names)
    assert sum(len(family) for family in FAMILIES.values()) == len(names)


def test_most_are_silent():
    assert sum(exhibit.silent for exhibit in EXHIBITS) > 0.8 * len(EXHIBITS)
    assert not all(exhibit.silent for exhibit in EXHIBITS)


def test_the_command_prints_every_exhibit_and_ends_well(capsys, tmp_path):
    assert main(["-v", "--board", str(tmp_path / "board.png")]) == 0
    said = capsys.readouterr().out
    for exhibit in EXHIBITS:
        assert exhibit.name in said and verdict(exhibit.check, exhibit.bug) in said
    assert f"{len(EXHIBITS)} exhibits" in said
    assert (tmp_path / "board.png").stat().st_size > 50_000


@pytest.mark.parametrize("fault", ["bug", "mend", "silent", "use"])
def test_an_exhibit_that_does_not_behave_is_told_and_ends_with_1(fault, monkeypatch, capsys):
    first = EXHIBITS[0]

    def breaks(thing):
        raise ValueError("broken")

    changed = {
        "bug": {"bug": first.mend},
        "mend": {"mend": first.bug},
        "silent": {"silent": False},
        "use": {"use": breaks},
    }
    monkeypatch.setattr("minigan.museum.__main__.EXHIBITS", (dataclasses.replace(first, **changed[fault]),))
    assert main([]) == 1
    assert "It does not behave: the " in capsys.readouterr().out


def test_a_board_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("minigan.museum.__main__.EXHIBITS", EXHIBITS[:1])
    assert main(["--board", str(tmp_path / "board.jpg")]) == 1
    assert "museum: this picture is written as .png" in capsys.readouterr().err


def test_a_fault_of_a_check_is_not_taken_for_a_verdict():
    with pytest.raises(ZeroDivisionError):
        verdict(lambda thing: 1 / 0, None)
    with pytest.raises(AssertionError, match="Half of it"):
        need(False, "Half of it.")
    assert noticed(lambda thing: [1.0, np.nan], None) == "NaN or infinity in what it prints"
    assert noticed(lambda thing: {}["a"], None) == "KeyError: 'a'"


def test_an_unknown_exhibit_is_a_sentence():
    assert exhibit_named("sigmoid-twice").lesson == 3
    with pytest.raises(KeyError, match="The museum has no exhibit 'sigmoid'; it has one-slot-cache, "):
        exhibit_named("sigmoid")


def test_the_catalogue_is_what_the_command_would_write(findings):
    committed = (LESSONS / "museum" / "README.md").read_text(encoding="utf-8")
    assert committed == catalogue.page(findings), "run python -m minigan.museum --pages lessons/museum"
    assert (LESSONS / "museum" / "board.png").is_file()


def test_the_catalogue_has_every_source(findings):
    page = catalogue.page(findings)
    for exhibit in EXHIBITS:
        for thing in (exhibit.bug, exhibit.mend):
            assert re.search(rf"^(def|class) {thing.__name__}\(", page, re.M), thing


@each
def test_a_bug_and_its_mend_are_short(exhibit):
    import inspect

    for thing in (exhibit.bug, exhibit.mend):
        assert len(inspect.getsource(thing).splitlines()) <= 17


# ---- the figures that the records quote ---------------------------------------------------------------------------


def test_numbers_that_were_measured_where_the_bugs_were_seen():
    """Of the same class of bug, so the same numbers where they do not depend on the data."""
    said = {exhibit.name: verdict(exhibit.check, exhibit.bug) for exhibit in EXHIBITS}
    assert "0.33" in said["momentum-as-epsilon"]  # sqrt(0.1 / (0.1 + 0.8))
    assert "1.0064" in said["sigmoid-twice"]  # log(1 + 1/e) + log 2
    assert "66 percent" in said["mixing-outside-the-line"]  # P(t < 0) + P(t > 1) of a normal t
    assert "0.336" in said["kl-below-zero"]  # 151 / 450
    assert "+0.2" in said["signs-that-cancel"] and "-0.2" in said["signs-that-cancel"]
    assert "-0.9975" in said["same-gradient-claim"]  # -(1 - sigmoid(-6))
