"""Nearest neighbours against the plain double loop."""

import numpy as np
import pytest

from minigan.metrics.neighbours import class_shares, nearest


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
