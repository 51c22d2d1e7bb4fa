"""BLEU against nltk's numbers and a plain loop from its definition; copies, lines, distinct n-grams by hand."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.metrics.text import Copied, bleu, copied_lines, copies, distinct, perplexity, self_bleu, table

NLTK = json.loads((Path(__file__).parent / "fixtures" / "bleu_nltk.json").read_text(encoding="utf-8"))


def rng(seed=0):
    return np.random.default_rng(seed)


def ngrams(sequence, k):
    return [tuple(sequence[i : i + k]) for i in range(len(sequence) - k + 1)]


def plain_bleu(sample, references, n):
    """One sample's BLEU-n from the definition, one n-gram at a time."""
    logs = []
    for k in range(1, n + 1):
        matches, counts = 0, Counter(ngrams(sample, k))
        for gram, count in counts.items():
            matches += min(count, max(ngrams(reference, k).count(gram) for reference in references))
        if k == 1 and matches == 0:
            return 0.0
        logs.append(math.log((matches or 0.1) / max(1, sum(counts.values()))))
    _, r = min((abs(len(reference) - len(sample)), len(reference)) for reference in references)
    return min(1.0, math.exp(1 - r / len(sample))) * math.exp(sum(logs) / n)


sequences = st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=5)

# BLEU


@pytest.mark.parametrize("case", NLTK["cases"], ids=lambda case: case["name"])
def test_bleu_is_nltks(case):
    found = bleu(case["samples"], case["references"], n=5, each=True)
    truth = np.array(case["bleu"])  # (M, 4)
    for column, n in enumerate(NLTK["orders"]):
        np.testing.assert_allclose(found[n], truth[:, column], rtol=0, atol=1e-12)
        mean = bleu(case["samples"], case["references"], n=n)[n]
        assert isinstance(mean, float) and mean == pytest.approx(truth[:, column].mean(), rel=0, abs=1e-12)


def test_the_fixture_asks_about_every_rule():
    """Zeros, ones, smoothed and penalised scores, ties, samples longer and shorter than every reference."""
    scores = np.concatenate([case["bleu"] for case in NLTK["cases"]])
    assert len(scores) > 100 and (scores == 0).any() and (scores == 1).any()
    assert ((scores > 0) & (scores < 0.05)).any()
    lengths = [
        (len(sample), sorted(map(len, case["references"]))) for case in NLTK["cases"] for sample in case["samples"]
    ]
    assert any(0 < c < theirs[0] for c, theirs in lengths) and any(c > theirs[-1] for c, theirs in lengths)
    assert any(c not in theirs and {c - 1, c + 1} <= set(theirs) for c, theirs in lengths)
    assert NLTK["versions"]["nltk"] == "3.10.4"


@settings(max_examples=60)
@given(sequences, sequences, st.integers(1, 6))
def test_bleu_by_the_plain_loop(samples, references, n):
    found = bleu(samples, references, n, each=True)
    assert list(found) == list(range(1, n + 1))
    for k, scores in found.items():
        truth = [plain_bleu(sample, references, k) for sample in samples]
        np.testing.assert_allclose(scores, truth, rtol=0, atol=1e-12)


def test_bleu_by_hand():
    """The first sample has 0 twice, the references once or, in one of them, twice: "clipped" is by that one."""
    references = [[0, 1, 0], [0, 2]]
    found = bleu([[0, 0, 0, 1], [0, 2, 5]], references, n=2, each=True)
    assert found[1] == pytest.approx([3 / 4, 2 / 3], rel=1e-14)
    assert found[2] == pytest.approx([math.sqrt(3 / 4 * 1 / 3), math.sqrt(2 / 3 * 1 / 2)], rel=1e-14)
    assert bleu([[0, 1]], [[0, 1, 2, 3]], n=1)[1] == pytest.approx(math.exp(-1), rel=1e-14)


def test_an_array_and_a_list_are_the_same_sequences():
    samples, references = rng().integers(4, size=(6, 8)), rng(1).integers(4, size=(9, 8))
    whole = bleu(samples, references)
    assert whole == bleu(samples.tolist(), list(references))
    assert whole == bleu(samples.astype(np.uint8), references.astype(np.int32))
    assert whole == bleu(samples[::-1].copy()[::-1], np.asfortranarray(references))
    assert whole == bleu(-7 * samples, -7 * references)  # a token's number is only its name


def test_samples_that_are_references_score_1():
    text = rng().integers(50, size=(20, 7))
    assert bleu(text, text, n=5) == {n: 1.0 for n in range(1, 6)}


def test_large_vocabularies_do_not_overflow():
    """(10^6)^5 is far above 2^63, and numbers near its end are names like others."""
    references = rng().integers(10**6, size=(50, 12))
    samples = references[rng(1).integers(50, size=30)].copy()
    samples[rng(2).random(samples.shape) < 0.15] = 10**6 - 1
    truth = [plain_bleu(sample.tolist(), references.tolist(), 5) for sample in samples]
    found = bleu(samples, references, n=5, each=True)[5]
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)
    assert len(np.unique(found)) > 5
    shift = np.iinfo(np.int64).max - 10**6
    assert np.array_equal(bleu(samples + shift, references + shift, n=5, each=True)[5], found)
    assert self_bleu(samples + shift, n=5) == self_bleu(samples, n=5)


# Self-BLEU and distinct n-grams


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 2), max_size=8), min_size=2, max_size=6))
def test_self_bleu_is_bleu_against_the_others(samples):
    found = self_bleu(samples, n=5, each=True)
    for i, sample in enumerate(samples):
        alone = bleu([sample], samples[:i] + samples[i + 1 :], n=5)
        assert {n: scores[i] for n, scores in found.items()} == pytest.approx(alone, rel=0, abs=1e-12)


def test_self_bleu_leaves_out_one_copy_only():
    """Of two that share the largest count each still meets the other's; the only one is held against the second."""
    found = self_bleu([[0, 0, 0], [0, 0, 0], [0, 1, 2], [3, 3, 4], [3, 5, 6]], n=1, each=True)[1]
    assert found == pytest.approx([1, 1, 1 / 3, 1 / 3, 1 / 3], rel=1e-14)


def test_equal_samples_have_self_bleu_1_and_strangers_0():
    assert self_bleu(np.tile(np.arange(8), (5, 1)), n=5) == {n: 1.0 for n in range(1, 6)}
    assert self_bleu(np.arange(40).reshape(5, 8), n=5) == {n: 0.0 for n in range(1, 6)}


def test_self_bleu_of_a_random_subset():
    samples = rng().integers(6, size=(40, 8))
    chosen = np.sort(rng(3).permutation(40)[:10])
    assert self_bleu(samples, subset=10, rng=rng(3)) == self_bleu(samples[chosen])
    assert self_bleu(samples, subset=10, rng=rng(3)) != self_bleu(samples, subset=10, rng=rng(4))
    assert self_bleu(samples, subset=40, rng=rng(3)) == self_bleu(samples)


def test_distinct_by_hand():
    samples = [[0, 1, 0, 1], [0, 1], [2]]  # seven tokens; 01 10 01, 01
    assert distinct(samples, 1) == 3 / 7
    assert distinct(samples, 2) == 2 / 4
    assert distinct(samples, 3) == 1.0
    assert distinct(np.zeros((10, 5), int), 2) == 1 / 40
    x = rng().integers(4, size=(30, 9))
    for n in (1, 2, 3, 4):
        grams = [gram for row in x.tolist() for gram in ngrams(row, n)]
        assert distinct(x, n) == len(set(grams)) / len(grams)


# Copies


def test_copies():
    training = [[1, 2, 3], [1, 2], [300]]
    samples = [[1, 2, 3], [1, 2, 4], [2, 3], [300], [1], []]
    assert copies(samples, training) == 2 / 6
    assert copies([[], [1]], [[]]) == 1 / 2
    whole = rng().integers(9, size=(10, 4))
    assert copies(whole.astype(np.uint8), whole) == 1  # by value, whatever the type
    assert copies([[1]], [[257]]) == copies([[0, 1]], [[1]]) == 0


def test_copied_lines_by_hand():
    """Lines of two: 12 34, 56 78. A line counts at any place in a poem, but not across two lines."""
    training = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    samples = np.array([[3, 4, 9, 9], [2, 3, 6, 7], [5, 6, 1, 2]])
    assert copied_lines(samples, training, length=2) == Copied(3 / 6, None)
    held_out = [[7, 8], [1, 1, 2, 2, 4, 3]]
    assert copied_lines(samples, training, length=2, held_out=held_out) == Copied(3 / 6, 1 / 4)
    assert copied_lines(samples, training, length=4).share == 0
    quatrains = rng().integers(1000, size=(5, 20))
    mixed = quatrains.reshape(20, 5)[rng(1).permutation(20)].reshape(5, 20)
    assert copied_lines(mixed, quatrains).share == 1 and copies(mixed, quatrains) == 0


# Likelihood, the table


def test_perplexity():
    assert perplexity(math.log(50)) == pytest.approx(50, rel=1e-14)
    assert perplexity(-np.log([[0.5, 0.25], [0.125, 1.0]])) == pytest.approx(2 ** (6 / 4), rel=1e-14)
    assert perplexity(np.float32(0)) == 1 and perplexity(-1e-7) == pytest.approx(1)
    assert perplexity([0.0, math.inf]) == math.inf == perplexity(1e4)


def test_the_table_prints_each_number_beside_real_texts():
    assert table({"BLEU-2": 0.73891, "copied lines": 0.5}, {"copied lines": 0.125, "BLEU-2": 0.746}).split("\n") == [
        "                 samples  held-out text",
        "BLEU-2            0.7389          0.746",
        "copied lines         0.5          0.125",
    ]


# Input that makes no sense

GOOD = [[1, 2], [3]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bleu([], GOOD), "samples must hold at least one sequence"),
        (lambda: bleu(GOOD, np.zeros((0, 3), int)), "references must hold at least one sequence"),
        (lambda: bleu(np.ones((2, 3)), GOOD), r"but samples\[0\] has shape \(3,\) and type float64"),
        (lambda: bleu(np.ones((2, 3), bool), GOOD), "type bool"),
        (lambda: bleu(GOOD, [[1], [1.5]]), r"but references\[1\] has shape \(1,\) and type float64"),
        (lambda: bleu([1, 2, 3], GOOD), r"a list of integer sequences, but samples\[0\] has shape \(\)"),
        (lambda: bleu(np.ones((2, 3, 4), int), GOOD), r"samples\[0\] has shape \(3, 4\)"),
        (lambda: bleu(["ab"], GOOD), r"samples\[0\] has shape \(\) and type <U2"),
        (lambda: bleu(GOOD, GOOD, n=0), "n must be a whole number of at least 1, but it is 0"),
        (lambda: self_bleu(GOOD, n=2.0), "n must be a whole number"),
        (lambda: self_bleu([[1, 2]]), "at least two, but got one"),
        (
            lambda: self_bleu(GOOD, subset=1, rng=rng()),
            "two to all 2 of the samples, drawn by an rng, but subset is 1",
        ),
        (lambda: self_bleu(GOOD, subset=3, rng=rng()), "but subset is 3"),
        (lambda: self_bleu(GOOD, subset=2), "and rng None"),
        (lambda: distinct(GOOD, 3), "All samples are shorter than 3 tokens"),
        (lambda: copies(GOOD, [[0.5]]), r"but training\[0\] has shape"),
        (lambda: copied_lines(GOOD, GOOD), r"training\[0\] has 2 tokens, which are no whole lines of 5"),
        (lambda: copied_lines([[1, 2], [3]], [[1, 2]], 2), r"samples\[1\] has 1 tokens"),
        (lambda: copied_lines([[1, 2]], [[1, 2]], 2, held_out=GOOD), r"held_out\[1\] has 1 tokens"),
        (lambda: copied_lines([[]], [[1, 2]], 2), "samples has only empty sequences"),
        (lambda: copied_lines(GOOD, GOOD, length=0), "length must be a whole number of at least 1, but it is 0"),
        (lambda: perplexity([-1.0]), "none below 0"),
        (lambda: perplexity([1.0, math.nan]), "no NaN"),
        (lambda: perplexity([]), "at least one token"),
        (lambda: table({"BLEU-2": 1, "a": 2}, {"BLEU-2": 1}), r"but \['a'\] stand on one side"),
    ],
)
def test_bad_input_gets_one_clear_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
