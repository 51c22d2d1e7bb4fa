"""Nearest neighbours against the plain double loop."""

import numpy as np
import pytest

from minigan.metrics.neighbours import class_shares, nearest, precision_recall, vote


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
