"""SeqGAN's runs: three phases, stopped and gone on with bit for bit, on the command line as on any text."""

import numpy as np
import pytest

from minigan import checkpoint, cli
from minigan.backend import rng, use
from minigan.data.text import Vocabulary
from minigan.models.seqgan import oracle
from minigan.workers import usable
from minigan.writing import Corpus, WritingTraining


def call(*arguments):
    """The exit status of a command, in this process."""
    try:
        return cli.main([str(a) for a in arguments])
    finally:
        use("numpy")


FEW = dict(mle=4, pretrain=3, batch=8, hidden=5, features=3, filters={1: 2, 3: 2}, copies=2, d_steps=2)


@pytest.fixture
def words():
    return (np.random.default_rng(0).integers(1, 6, (60, 1)) + np.arange(6)) % 6


def training(words, **options):
    corpus = Corpus(words[:10], Vocabulary.build(["abcde"]))
    return WritingTraining(words[10:], corpus, 6, **(FEW | options))


def test_each_phase_moves_who_it_should(words):
    play = training(words)
    moved = []
    for _ in range(9):
        before = play.phase, play.G.theta.copy(), play.D.theta.copy()
        play.advance()
        moved.append((before[0], bool((play.G.theta != before[1]).any()), bool((play.D.theta != before[2]).any())))
    assert moved == [(0, True, False)] * 4 + [(1, False, True)] * 3 + [(2, True, True)] * 2
    row = play.measures()
    assert row["step"] == 9 and row["phase"] == 2 and 0 < row["reward"] < 1 and row["nll_test"] > 0
    assert "the game" in play.brief(row)


def test_resumed_equals_never_stopped(words):
    whole = training(words)
    for _ in range(10):
        whole.advance()
    for stop in (2, 5, 8):
        first, second = training(words), training(words, seed=0)
        for _ in range(stop):
            first.advance()
        arrays, facts = first.state()
        second.advance()
        second.load({name: a.copy() for name, a in arrays.items()}, facts)
        for _ in range(10 - stop):
            second.advance()
        for name, array in whole.state()[0].items():
            assert np.array_equal(array, second.state()[0][name]), (stop, name)
        assert second.measures() == whole.measures()


@pytest.mark.skipif(usable() < 2, reason="workers need Linux, x86, two cores and NumPy")
def test_two_workers_learn_what_one_does(words):
    """Through all three phases, and when gone on with; the game is one process's again."""
    one, two, stopped = training(words), training(words, workers=2), training(words, workers=2)
    for _ in range(9):
        one.advance()
        two.advance()
    assert two.workers._processes == []
    for _ in range(2):
        stopped.advance()
    assert len(stopped.workers._processes) == 1
    arrays, facts = stopped.state()
    later = training(words, workers=2)
    later.advance()
    later.load({name: a.copy() for name, a in arrays.items()}, facts)
    for _ in range(7):
        later.advance()
    stopped.workers.stop()
    for name, array in one.state()[0].items():
        np.testing.assert_allclose(two.state()[0][name], array, rtol=1e-3, atol=1e-6, err_msg=name)
        assert np.array_equal(two.state()[0][name], later.state()[0][name]), name
    with pytest.raises(ValueError, match="cannot be shared out evenly to 3 workers"):
        training(words, workers=3)


def test_a_checkpoint_of_other_sizes_is_refused(words):
    arrays, facts = training(words, hidden=4).state()
    play = training(words)
    before = play.G.theta.copy()
    with pytest.raises(checkpoint.CheckpointError, match=r"not of the model seqgan: its \S+ has shape"):
        play.load(arrays, facts)
    assert np.array_equal(play.G.theta, before)


def test_likelihood_falls_towards_the_oracles_own(words):
    truth = oracle(rng(0), 12, 4, 4)
    words = truth.write(np.random.default_rng(0), 400, 6)
    play = WritingTraining(words[100:], Corpus(words[:100], oracle=truth), 12, **(FEW | {"mle": 200, "hidden": 8}))
    start = play.measures()
    for _ in range(200):
        play.advance()
    end, own = play.measures(), -truth.log_likelihood(words).mean()
    assert own - 0.1 < end["nll_test"] < start["nll_test"] - 0.3
    assert end["nll_oracle"] < start["nll_oracle"]


def test_a_constant_reward_is_the_control(words):
    """REINFORCE of a constant moves G at random around where it is; the reward that it logs is one half."""
    play = training(words, mle=0, pretrain=0, constant=True)
    play.advance()
    assert play.measures()["reward"] == pytest.approx(0.5)


def test_the_command_line_trains_on_any_text_and_writes(tmp_path, capsys):
    r = np.random.default_rng(0)
    long = "\n".join("".join(np.roll(list("山水明月花風雨雲天地"), r.integers(10))) for _ in range(80))
    (tmp_path / "poems.txt").write_text(long, encoding="utf-8")
    run = tmp_path / "run"
    few = ("--mle", 3, "--pretrain", 2, "--batch", 8, "--copies", 2, "--every", 3, "--quiet")
    assert call("train", "seqgan", "--data", tmp_path / "poems.txt", *few, "--steps", 5, "--out", run) == 0
    assert "NLL test" in capsys.readouterr().out
    assert call("train", "seqgan", "--steps", 6, "--resume", "--quiet", "--out", run) == 0
    for name in ("samples.txt", "vocabulary.txt", "curves.png", "log.csv", "scores.csv", "checkpoint.safetensors"):
        assert (run / name).stat().st_size > 0
    capsys.readouterr()
    assert call("sample", run, "-n", 3, "--prompt", "明月") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) == 3 and all(line.startswith("明月") and len(line) == 10 for line in lines)
    assert call("sample", run, "-n", 2, "-o", tmp_path / "two.txt") == 0
    assert len((tmp_path / "two.txt").read_text(encoding="utf-8").split("\n\n")) == 2
    for wrong, sentence in (
        (("--prompt", "x"), "not in the vocabulary"),
        (("--prompt", 11 * "月"), "but this run writes texts of 10"),
        (("--temperature", 0), "temperature is a positive number"),
        (("-o", tmp_path / "a.png"), "ends in .txt"),
        (("-o", tmp_path / "two.txt"), "exists already"),
    ):
        assert call("sample", run, *wrong) == 1
        assert sentence in capsys.readouterr().err


def test_images_and_text_are_told_apart(tmp_path, capsys):
    assert call("train", "seqgan", "--data", tmp_path / "nowhere.txt", "--quiet", "--out", tmp_path / "a") == 1
    assert "nowhere.txt" in capsys.readouterr().err
    assert call("train", "oracle", "--data", "quatrains", "--quiet", "--out", tmp_path / "b") == 1
    assert "writes its own text" in capsys.readouterr().err
