"""`evaluate`: planted generators in the right order, and the numbers are the metrics'."""

import json
import math
import shlex
from dataclasses import asdict

import numpy as np
import pytest

from minigan import cli
from minigan.checkpoint import CheckpointError, save
from minigan.data import load_digits, unscale
from minigan.evaluation import bootstrapped, commands, evaluate, mean_of
from minigan.image_measures import (
    Against,
    blurred,
    class_scores,
    copy_scores,
    feature_scores,
    findings,
    images_of,
    memorised,
    share,
)
from minigan.metrics.frechet import classifier_score, frechet, kid
from minigan.metrics.modes import Interval, wilson
from minigan.metrics.neighbours import distances, precision_recall, radii
from minigan.models.classifier import load_classifier
from minigan.run import Run, Settings, TrainingError, run

N = 200


def trained(folder, model="mlp-sigmoid", data="digits", **settings):
    """The checkpoint of a run of 20 steps, without its pictures."""
    settings = Settings.of(model, data=data, **{"steps": 20, "workers": 1, **settings})
    images, beside = cli.load_data(settings) if data in cli.NAMED else (load_digits("test")[0], None)
    training, where = settings.train(images, beside), Run(folder)
    for _ in range(settings.steps):
        training.advance()
    where.prepare(settings)
    save(where.checkpoint, *training.state())
    return folder, beside


SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The folder of a run of digits with some hostile texts, what its evaluation said, and its facts."""
    folder, said = tmp_path_factory.mktemp("runs") / "<script>run", []
    settings = Settings(model="mlp-sigmoid", steps=20, every=20)
    run(settings, load_digits("train")[0], folder, progress=False, say=lambda text: None)
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["backend"] = config["made with"]["numpy"] = SCRIPT
    config["made with"][SCRIPT] = {SCRIPT: [SCRIPT]}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "curves.png").write_text(SCRIPT)
    path = evaluate(folder, N, say=said.append)
    assert path == folder / "report.html"
    return folder, said, json.loads((folder / "evaluation.json").read_text())


# ---- digits --------------------------------------------------------------------------------------------------------


def test_all_that_is_promised_is_there(digits):
    _, said, facts = digits
    assert facts["run"] == "<script>run" and facts["n"] == N and facts["step"] == 20 and facts["seed"] == 0
    assert list(facts["rows"]) == ["run", "in theory", "floor", "memoriser", "one class", "blurred", "noise"]
    for name, row in facts["rows"].items():
        assert name == "in theory" or set(row["values"]) == set(facts["columns"])
        for value in row["values"].values():
            assert all(math.isfinite(number) for number in value.values())
            assert "low" not in value or value["low"] <= value["value"] <= value["high"]
    expected = asdict(Settings(model="mlp-sigmoid", steps=20, every=20, backend=SCRIPT))
    assert facts["settings"] == json.loads(json.dumps(expected))
    assert len(facts["checkpoint"]) == 64 and facts["evaluated_with"]["numpy"] == np.__version__
    assert sum(facts["classes"]["run"]) == sum(facts["classes"]["floor"]) == N
    assert "Frechet ↓" in said[0] and "memoriser" in said[0]


def test_hostile_texts_of_the_run_do_not_reach_the_page(digits):
    """A folder's name, free texts of config.json, and a curves.png that is none: it is left out."""
    text = (digits[0] / "report.html").read_text()
    assert "<script" not in text and text.count("&lt;script&gt;") >= 10
    assert text.count("data:image/gif") == 1  # training.gif
    assert text.count("data:image/png") == 5  # samples, two sheets of pairs, two charts


def test_planted_generators_are_ordered_by_the_right_measure(digits):
    rows = {name: row["values"] for name, row in digits[2]["rows"].items()}
    column = lambda name, *order: [rows[row][name]["value"] for row in order]
    rising = lambda numbers: all(a < b for a, b in zip(numbers, numbers[1:]))
    for name in ("frechet", "kid"):
        assert rising(column(name, "floor", "blurred", "noise")), name
        assert rising(column(name, "memoriser", "one class", "noise")), name
    for name in ("recall", "coverage", "density", "score"):
        assert rising(column(name, "noise", "blurred", "floor")), name
    assert column("precision", "one class")[0] > 0.9 > 0.2 > column("recall", "one class")[0]  # real, but one thing
    assert column("score", "one class")[0] < 1.1 and column("class_kl", "one class")[0] > 2
    assert rows["floor"]["score"]["value"] > 7 and rows["floor"]["class_kl"]["value"] < 0.05
    perfect = rows["in theory"]
    assert rows["floor"]["frechet"]["low"] < perfect["frechet"]["value"] < rows["floor"]["frechet"]["high"]
    assert perfect["coverage"]["value"] == pytest.approx(1 - 2**-5, abs=2e-3)
    assert perfect["class_kl"]["value"] == pytest.approx(9 / (2 * N))


def test_the_memoriser_is_flagged_by_the_check_alone_and_the_report_says_so(digits):
    _, _, facts = digits
    rows = {name: row["values"] for name, row in facts["rows"].items()}
    memoriser, floor = rows["memoriser"], rows["floor"]
    assert memoriser["frechet"]["low"] < floor["frechet"]["value"] < memoriser["frechet"]["high"]
    assert memoriser["z"]["value"] < -15 and memoriser["copied"]["value"] == 1
    assert abs(floor["z"]["value"]) < 4 and floor["copied"]["value"] < 0.05
    assert [name for name, flag in facts["flagged"].items() if flag] == ["memoriser"]
    sentence = next(s for s in facts["said"] if "hands out training digits" in s)
    assert "does not tell it from other real digits" in sentence and "check flags it (z = -" in sentence
    assert f"{memoriser['frechet']['value']:.3g}" in sentence and "no proof that anything was learned" in sentence


def test_the_sentences_follow_the_numbers(digits):
    """With a memoriser that Frechet sees and the check does not, the sentence says the opposite."""
    as_row = lambda values: {
        k: Interval(v["value"], v.get("low", v["value"]), v.get("high", v["value"])) for k, v in values.items()
    }
    rows = {name: as_row(row["values"]) for name, row in digits[2]["rows"].items()}
    flagged = digits[2]["flagged"]
    swapped = findings(
        rows | {"memoriser": rows["noise"], "run": rows["floor"]},
        flagged | {"memoriser": False, "run": True},
        np.array([10, 10, 0, 10, 10, 10, 10, 10, 10, 20]),
    )
    assert "does not tell them from real" in swapped[0] and "flags this run" in swapped[1]
    assert "which tells it from" in swapped[2] and "does not flag it" in swapped[2] and "proof" not in swapped[2]
    assert swapped[3] == "Hardly drawn, of ten classes that are equally frequent in the data: 2 (0.0%)."
    assert findings(rows, flagged, np.array([9] + 9 * [10]))[3].startswith(
        "All ten classes are drawn; the rarest is 0"
    )


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(digits, tmp_path):
    folder, _, _ = digits
    evaluate(folder, N, tmp_path / "again", say=lambda text: None)
    for name in ("evaluation.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    model, _ = Run(folder).load()
    first, again, other = (images_of(model, 5, seed) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
    assert not list(tmp_path.rglob("*.part"))


# ---- the numbers ---------------------------------------------------------------------------------------------------


def test_the_rows_are_the_metrics_numbers():
    images, labels = load_digits("test")
    network = load_classifier()
    real, some = images[:400], images[400:700]
    a, b = (network.features(x).astype(np.float64) for x in (some, real))
    row = feature_scores(network.features(some), Against.of(network, real))
    assert row["frechet"].value == frechet(a, b)
    spread = kid(a, b, size=150)
    assert row["kid"].value == spread.mean
    assert row["kid"].high - row["kid"].low == pytest.approx(2 * 1.96 * spread.sd / math.sqrt(2))  # 300 / 150
    shares = precision_recall(a, b)
    assert {name: row[name].value for name in shares} == shares
    assert row["precision"][1:] == wilson(round(300 * shares["precision"]), 300)
    assert row["recall"][1:] == wilson(round(400 * shares["recall"]), 400)
    inside = (distances(a, b) < radii(b, 5)).sum(axis=1) / 5
    assert inside.mean() == pytest.approx(row["density"].value)
    assert row["density"].high - inside.mean() == pytest.approx(1.96 * inside.std(ddof=1) / math.sqrt(300))

    row, seen = class_scores(network.features(some), network, labels)
    assert (seen == network.predict(some)).all()
    assert row["score"].value == pytest.approx(classifier_score(network.probabilities(some)).mean, rel=1e-5)
    shares = np.bincount(seen, minlength=10) / 300
    assert row["class_kl"].value == pytest.approx((shares * np.log(10 * shares)).sum())  # all ten occur


def test_copies_are_found_and_counted():
    """40 % of the samples are training images, the others new ones."""
    images, _ = load_digits("test")
    train, test, new = images[:1000], images[1000:1500], images[1500:1800]
    row, copied_test, pairs = copy_scores(np.concatenate([new, train[:200]]), train, test)
    assert row["copied"].value == pytest.approx(0.4, abs=0.03) and copied_test < 0.03
    assert row["z"].value < -5 and memorised(row, copied_test, 500)
    assert (pairs[:200, 0] - 300 == pairs[:200, 1]).all()  # the copies come first, each beside its original
    row, copied_test, _ = copy_scores(new, train, test)
    assert not memorised(row, copied_test, 300)
    assert not memorised({"z": row["z"]._replace(value=-9.0), "copied": share(0.0, 300)}, 0.0, 300)  # near, no copies
    assert not memorised({"z": row["z"]._replace(value=9.0), "copied": share(0.9, 300)}, 0.0, 300)


def test_blur():
    point = np.zeros((1, 21, 21, 1), np.uint8)
    point[0, 10, 10] = 255
    y, x = np.mgrid[-10:11, -10:11]
    bell = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    assert abs(blurred(point)[0, ..., 0] - 255 * bell / bell.sum()).max() <= 0.6
    flat = np.full((2, 9, 8, 3), 77, np.uint8)
    assert (blurred(flat) == flat).all()


def test_samples_are_those_of_minigan_sample(digits, tmp_path):
    cli.main(["sample", str(digits[0]), "-n", "600", "-o", str(tmp_path / "s.npz"), "--seed", "3"])
    model, _ = Run(digits[0]).load()
    theirs = unscale(np.load(tmp_path / "s.npz")["images"], *model.pixels)
    ours = images_of(model, 600, 3)
    assert (abs(ours.astype(int) - theirs) <= 1).all() and (ours == theirs).mean() > 0.999  # another batch may round
    assert ours.std() > 0


def test_intervals_of_means():
    values = np.random.default_rng(0).standard_normal(400) + 5
    found, by_hand = bootstrapped(lambda rows: {"mean": values[rows].mean()}, 400)["mean"], mean_of(values)
    assert found.value == by_hand.value == values.mean()
    assert by_hand.high - by_hand.value == pytest.approx(1.96 * values.std(ddof=1) / 20)
    assert found.high - found.low == pytest.approx(by_hand.high - by_hand.low, rel=0.25)
    assert found.low < found.value < found.high
    missing = bootstrapped(lambda rows: {"nothing": math.nan}, 4)["nothing"]
    assert all(math.isnan(number) for number in missing)


def test_the_commands_make_the_same_settings(tmp_path):
    settings = Settings.of("mlp", steps=70, loss="wasserstein", clip=0.01, average=0.0, data="/a folder/of digits")
    train, again = commands(settings, tmp_path / "my run", 500, 3)
    assert again == "minigan evaluate 'my run' -n 500 --seed 3"
    options = cli.parser().parse_args(shlex.split(train)[1:])
    assert Settings.of(**cli._given(options)) == settings and str(options.out) == "my run"


# ---- other kinds of runs -------------------------------------------------------------------------------------------


def test_points(tmp_path):
    trained(tmp_path / "ring", "ring")
    evaluate(tmp_path / "ring", 200, say=lambda text: None)
    facts = json.loads((tmp_path / "ring" / "evaluation.json").read_text())
    rows = {name: row["values"] for name, row in facts["rows"].items()}
    assert rows["floor"]["covered"]["value"] == pytest.approx(8) and rows["one mode"]["covered"]["value"] == 1
    assert rows["one mode"]["reverse_kl"]["value"] == pytest.approx(math.log(8))
    assert rows["run"]["high_quality"]["value"] < rows["floor"]["high_quality"]["low"]  # 20 steps teach nothing


def test_text(tmp_path):
    folder, corpus = trained(tmp_path / "poems", "seqgan", "quatrains", mle=5, pretrain=0, batch=16, steps=5)
    corpus.vocabulary.save(folder / "vocabulary.txt")
    evaluate(folder, 40, say=lambda text: None, load=cli.load_data)
    facts = json.loads((folder / "evaluation.json").read_text())
    rows = {name: row["values"] for name, row in facts["rows"].items()}
    assert rows["memoriser"]["copies"]["value"] == 1 > 0.1 > rows["floor"]["copies"]["value"]
    assert rows["floor"]["bleu2"]["value"] > rows["shuffled"]["bleu2"]["value"]
    assert len(facts["texts"]) == 6 and facts["nll_test"]["value"] > 3


def test_other_images_in_random_features(tmp_path):
    folder, _ = trained(tmp_path / "pictures", data=str(tmp_path / "gone"))
    evaluate(folder, 120, say=lambda text: None, load=lambda settings: (load_digits("test")[0], None))
    facts = json.loads((folder / "evaluation.json").read_text())
    values = {name: row["values"]["frechet"]["value"] for name, row in facts["rows"].items()}
    assert values["floor"] < values["blurred"] < values["noise"] and values["floor"] < values["run"]
    assert "RANDOM" in facts["notes"][0] and "z" not in facts["columns"]
    with pytest.raises(ValueError, match=r"^A run of mlp-sigmoid on .*gone needs load, to read what"):
        evaluate(folder, 120)


# ---- what cannot be measured ---------------------------------------------------------------------------------------


def test_one_clear_sentence(digits, tmp_path):
    folder, _, _ = digits
    with pytest.raises(TrainingError, match=r"nowhere does not exist\.$"):
        evaluate(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match=r"holds no minigan run \(no config.json\)\.$"):
        evaluate(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"^There is no checkpoint .*checkpoint.safetensors\.$"):
        evaluate(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"^50 samples are too few to measure: take -n 100 or more\.$"):
        evaluate(folder, 50)
    for wrong in ({"n": 0}, {"n": 200, "seed": -1}):
        with pytest.raises(ValueError, match="n is at least 1 and seed at least 0"):
            evaluate(folder, **wrong)
