"""Nearest neighbours against the plain double loop, prdc, SciPy and closed forms (fixtures/make_prdc.py)."""

import itertools
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigan.metrics import neighbours
from minigan.metrics.neighbours import (
    class_shares,
    mann_whitney,
    memorisation,
    nearest,
    perfect_coverage,
    precision_recall,
    vote,
)

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = json.loads((FIXTURES / "prdc.json").read_text())


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_nearest_is_what_the_double_loop_finds(block):
    r = np.random.default_rng(0)
    samples, real = r.standard_normal((20, 3, 2)), r.standard_normal((30, 3, 2))
    index, distance = nearest(samples, real, block)
    table = np.array([[np.linalg.norm(a - b) for b in real] for a in samples])
    assert np.array_equal(index, table.argmin(axis=1))
    assert np.allclose(distance, table.min(axis=1), atol=1e-5)


def test_a_real_image_is_its_own_neighbour_and_shares_sum_to_one():
    real = np.random.default_rng(0).standard_normal((40, 5))
    labels = np.arange(40) % 4
    index, distance = nearest(real[::2], real)
    assert np.array_equal(index, np.arange(0, 40, 2)) and not distance.any()
    shares = class_shares(real[labels == 3], real, labels, classes=4)
    assert shares.tolist() == [0, 0, 0, 1]


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        nearest(np.zeros((2, 3)), np.zeros((2, 4)))


@pytest.mark.parametrize("block", [7, 1000])
def test_precision_and_recall_by_the_plain_loops(block):
    r, k = np.random.default_rng(0), 3
    samples, real = r.standard_normal((25, 2)) + 0.5, r.standard_normal((40, 2))
    table = np.array([[np.linalg.norm(a - b) for b in real] for a in samples])  # (N, M)
    reach = lambda x: np.array([sorted(np.linalg.norm(a - b) for b in x)[k] for a in x])
    in_real = table <= reach(real)
    found = precision_recall(samples, real, k, block)
    assert found["precision"] == pytest.approx(in_real.any(axis=1).mean())
    assert found["recall"] == pytest.approx((table <= reach(samples)[:, None]).any(axis=0).mean())
    assert found["density"] == pytest.approx(in_real.sum() / k / len(samples))
    assert found["coverage"] == pytest.approx(in_real.any(axis=0).mean())


def test_what_precision_and_recall_say_of_a_perfect_a_collapsed_and_a_noisy_generator():
    r = np.random.default_rng(0)
    real, again = r.standard_normal((2, 500, 8))
    perfect = precision_recall(again, real)
    collapsed = precision_recall(0.01 * again, real)
    noisy = precision_recall(5 * again, real)
    assert perfect["precision"] > 0.8 and perfect["recall"] > 0.8 and 0.9 < perfect["density"] < 1.1
    assert (
        perfect["coverage"] > 0.9
    )  # for k = 5 and equal counts 1 - 2^-5 = 0.97 is expected (Naeem et al., section 3.3)
    assert collapsed["precision"] == 1 and collapsed["recall"] < 0.1 and collapsed["coverage"] < 0.5
    assert noisy["precision"] < 0.2
    with pytest.raises(ValueError, match="more than 5"):
        precision_recall(real[:5], real)


def test_the_vote_of_the_nearest_names_the_class():
    """Against a sort of all distances; and of equals, the smallest label."""
    r = np.random.default_rng(3)
    real, samples = r.standard_normal((60, 4)), r.standard_normal((25, 2, 2))
    labels = r.integers(0, 5, 60)
    order = np.linalg.norm(samples.reshape(25, 1, 4) - real, axis=2).argsort(axis=1)[:, :7]
    expected = [np.bincount(labels[row]).argmax() for row in order]
    assert vote(samples.reshape(25, 4), real, labels, k=7, block=10).tolist() == expected
    assert vote(np.zeros((1, 1)), np.array([[1.0], [-1.0]]), np.array([2, 1]), k=2).tolist() == [1]
    with pytest.raises(ValueError, match="k = 61 neighbours"):
        vote(samples.reshape(25, 4), real, labels, k=61)


# ---- precision, recall, density and coverage against others' numbers ---------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["prdc"], ids=lambda case: f"{case['name']}, k = {case['k']}")
def test_the_package_prdc_finds_the_same_to_the_last_digit(case):
    """Cases 4 and 5 lie on a grid: there many distances equal a radius, and < differs from <=."""
    with np.load(FIXTURES / "prdc.npz") as features:
        real, fake = features[f"real{case['case']}"], features[f"fake{case['case']}"]
    found = precision_recall(fake, real, case["k"], block=37)
    assert found == {key: case[key] for key in ("precision", "recall", "density", "coverage")}
    closed = precision_recall(fake, real, case["k"], closed=True)
    on_a_grid = case["case"] >= 4
    assert (closed["density"] > found["density"]) == on_a_grid


def test_the_closed_balls_of_kynkaanniemi_by_the_plain_loops():
    """On a grid, so that surfaces matter; a grid's squares are whole numbers, and so exact."""
    r = np.random.default_rng(4)
    real, fake = r.integers(0, 5, (40, 3)) * 1.0, r.integers(0, 6, (30, 3)) * 1.0
    square = lambda x, y: ((x - y) ** 2).sum()

    def share_within(points, centres):  # equation 2 of the paper
        reach = [sorted(square(c, other) for other in centres)[3] for c in centres]
        return np.mean([any(square(p, c) <= rr for c, rr in zip(centres, reach)) for p in points])

    found = precision_recall(fake, real, k=3, closed=True)
    assert found["precision"] == share_within(fake, real) and found["recall"] == share_within(real, fake)
    assert found["precision"] > precision_recall(fake, real, k=3)["precision"]


@pytest.mark.parametrize("M, N, k", [(200, 200, 5), (200, 100, 3), (80, 200, 2)])
def test_a_perfect_generator_scores_density_1_and_the_coverage_that_the_formula_says(M, N, k):
    r = np.random.default_rng(1)
    found = [precision_recall(r.standard_normal((N, 4)), r.standard_normal((M, 4)), k) for _ in range(60)]
    for key, expected in (("density", 1.0), ("coverage", perfect_coverage(N, M, k))):
        values = np.array([row[key] for row in found])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert error < 0.02 and abs(values.mean() - expected) < 3 * error, key


def test_the_coverage_formula_in_numbers():
    assert perfect_coverage(500, 500, 5) == pytest.approx(0.96922, abs=5e-6)
    assert perfect_coverage(250, 500, 3) == pytest.approx(0.7049, abs=5e-5)
    assert perfect_coverage(10**7, 10**7, 5) == pytest.approx(1 - 2**-5, abs=1e-6)


def test_a_long_row_makes_the_block_smaller_and_changes_nothing(monkeypatch):
    r = np.random.default_rng(0)
    samples, real = r.standard_normal((50, 3)), r.standard_normal((70, 3))
    expected, sizes, distances = precision_recall(samples, real), [], neighbours.distances
    monkeypatch.setattr(neighbours, "MOST", 500)
    monkeypatch.setattr(neighbours, "distances", lambda a, b: sizes.append(len(a) * len(b)) or distances(a, b))
    assert precision_recall(samples, real) == expected
    assert max(sizes) <= 500


# ---- memorisation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["mannwhitneyu"])
def test_mann_whitney_is_scipys_and_the_pairs_counted_one_by_one(case):
    x, y = np.array(case["x"]), np.array(case["y"])
    z, p_value, share = mann_whitney(x, y)
    assert p_value == pytest.approx(case["p"], rel=1e-12)
    assert share * len(x) * len(y) == pytest.approx(case["U"], rel=1e-12)
    counted = sum((a > b) + 0.5 * (a == b) for a in x for b in y)
    assert case["U"] == counted and (z < 0) == (counted < len(x) * len(y) / 2)


def test_the_variance_of_u_is_that_over_all_deals():
    values, n = np.array([0, 0, 1, 2, 2, 2, 5, 7, 7.5]), 4
    deals, scores = [], []
    for chosen in itertools.combinations(range(len(values)), n):
        x, y = values[list(chosen)], np.delete(values, chosen)
        deals.append(((x[:, None] > y) + 0.5 * (x[:, None] == y)).sum())
        scores.append(mann_whitney(x, y)[0])
    assert np.std(deals) * np.array(scores) == pytest.approx(np.array(deals) - np.mean(deals), abs=1e-12)
    assert mann_whitney(np.zeros(5), np.zeros(8)) == (0, 0.5, 0.5)


def test_memorisation_by_the_plain_loops():
    r = np.random.default_rng(5)
    train, test, samples = r.standard_normal((40, 2, 3)), r.standard_normal((25, 2, 3)), r.standard_normal((30, 2, 3))
    samples[4], samples[9] = train[17], train[3] + 1e-3
    found = memorisation(samples, train, test, pairs=5, block=7)
    table = np.array([[np.linalg.norm(s - t) for t in train] for s in samples])
    held = np.array([[np.linalg.norm(s - t) for t in train] for s in test])
    assert np.allclose(found.distance, table.min(axis=1)) and np.allclose(found.test_distance, held.min(axis=1))
    assert found.distance[4] == 0
    assert found.pairs.tolist()[:2] == [[4, 17], [9, 3]] and found.pairs.shape == (5, 2)
    assert found.pairs[:, 1].tolist() == table.argmin(axis=1)[found.pairs[:, 0]].tolist()
    assert (np.diff(table[tuple(found.pairs.T)]) >= 0).all()
    U = (table.min(axis=1)[:, None] > held.min(axis=1)).sum()
    assert found.z == pytest.approx((U - 30 * 25 / 2) / np.sqrt(30 * 25 * 56 / 12))
    assert found.nearer == pytest.approx(1 - U / 750)
    for share, d in ((found.copied, table), (found.copied_test, held)):
        first, second = np.sort(d, axis=1)[:, :2].T
        assert share == np.mean(first <= second / 3)
    assert found.copied >= 2 / 30
    assert str(found).startswith(f"z = {found.z:.1f} (p = ")


def test_memorisation_finds_no_copies_where_there_are_none():
    """z is close to standard normal: over 200 perfect generators its mean is 0 and its deviation 1."""
    r = np.random.default_rng(0)
    z = [memorisation(*(r.standard_normal((n, 3)) for n in (40, 60, 30))).z for _ in range(200)]
    assert abs(np.mean(z)) < 3 / np.sqrt(200)
    assert abs(np.std(z) - 1) < 3 / np.sqrt(400)


def test_a_copy_is_known_from_a_near_miss():
    """A copy's distance is 0 far from 0, too; and one copy in ten is seen in `copied`, though not in z."""
    r = np.random.default_rng(2)
    train, test, fresh = 1e4 + r.standard_normal((3, 300, 8))
    assert not memorisation(train[::-1], train, test).distance.any()
    half = np.concatenate([train[:30], 1e4 + 3 * (fresh[:270] - 1e4)])  # a tenth copied, the rest far off
    found = memorisation(half, train, test)
    assert found.z > 5 and found.copied >= 0.1 and found.copied_test < 0.01


# ---- input that makes no sense -------------------------------------------------------------------------------------


def test_bad_input_gets_one_clear_sentence():
    x = np.random.default_rng(0).standard_normal((20, 3))
    broken = x.copy()
    broken[3, 1] = np.nan
    for call in (nearest, precision_recall, lambda a, b: memorisation(a, b, x), lambda a, b: memorisation(x, a, b)):
        with pytest.raises(ValueError, match="cannot be compared"):
            call(x, x[:, :2])
        with pytest.raises(ValueError, match="NaN or infinity"):
            call(broken, x)
        with pytest.raises(ValueError, match="NaN or infinity"):
            call(x, broken)
    with pytest.raises(ValueError, match="At least 2 of train are needed"):
        memorisation(x, x[:1], x)
    with pytest.raises(ValueError, match="At least 2 of test are needed"):
        memorisation(x, x, x[:1])
    for k, message in ((20, "more than 20"), (0, "at least 1"), (2.5, "whole number")):
        with pytest.raises(ValueError, match=message):
            precision_recall(x, x, k=k)
        with pytest.raises(ValueError, match=message):
            perfect_coverage(20, 20, k)


def test_no_whole_table_of_distances_is_ever_kept():
    """A view of a block keeps the block: 2,000 x 2,000 distances would be 32 MB."""
    x = np.random.default_rng(0).standard_normal((2000, 4))
    tracemalloc.start()
    try:
        precision_recall(x, x[::-1], block=50)
        memorisation(x, x, x, block=50)
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()
