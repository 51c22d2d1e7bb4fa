"""The numbers of collapse against closed forms, plain loops and simulation; the floors against perfect samplers."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.data.toy import grid, ring
from minigan.metrics.modes import (
    Modes,
    ball_share,
    birthday,
    bootstrap,
    collision_probability,
    energy_distance,
    floor,
    histogram_kl,
    histogram_kl_floor,
    median_scales,
    mmd,
    modes,
    perfect_band,
    perfect_modes,
    support_size,
    table,
    wilson,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def within_4_se(values, truth):
    values = np.asarray(values)
    se = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return bool((np.abs(values.mean(axis=0) - truth) <= 4 * se + 1e-12).all())


# Known modes


def test_modes_by_hand():
    """Three modes on a line, sd 0.5: good within 1.5. Two points at the first, one at the second, four bad ones."""
    means = np.array([[0.0], [10.0], [20.0]])
    x = np.array([[0.0], [1.4], [10.1], [1.5], [5.0], [np.nan], [np.inf]])  # 1.5 is not closer than 3 sd
    covered, high_quality, reverse_kl = modes(x, means, 0.5)
    assert (covered, high_quality) == (2, 3 / 7)
    assert reverse_kl == pytest.approx(math.log(3) + 2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3), rel=1e-12)
    assert modes(x, means, 0.5, within=3.001).high_quality == 4 / 7
    assert modes(x, means, 0.25, within=3.0).high_quality == 2 / 7


def test_modes_by_the_plain_loop():
    toy, x = grid(3, 1.0, 0.3), 1.5 * rng().standard_normal((200, 2))  # modes that overlap
    counts = np.zeros(9)
    for point in x:
        lengths = [np.linalg.norm(point - mean) / 0.3 for mean in toy.means]
        if min(lengths) < 2:
            counts[np.argmin(lengths)] += 1
    p = counts[counts > 0] / counts.sum()
    found = modes(x, toy.means, toy.sd, within=2)
    assert found.covered == (counts > 0).sum() and found.high_quality == counts.sum() / 200
    assert found.reverse_kl == pytest.approx(math.log(9) + (p * np.log(p)).sum(), rel=1e-12)


def test_no_point_of_high_quality_scores_as_one_mode_does():
    means = ring().means
    for x in (np.full((5, 2), np.nan), np.full((5, 2), 1e200), np.zeros((5, 2), np.float32)):
        assert modes(x, means, 0.01) == Modes(0, 0, pytest.approx(math.log(8)))
    assert modes(means[:1], means, 0.01) == Modes(1, 1, pytest.approx(math.log(8)))
    assert modes(means, means, 0.01) == Modes(8, 1, 0)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 400), st.floats(0.01, 100))
def test_modes_do_not_hang_on_blocks_order_units_or_place(seed, block, unit):
    r = rng(seed)
    toy = grid(3, 1.0, 0.2)
    x = toy.sample(60, r)[:50] + 0.1
    found = modes(x, toy.means, toy.sd)
    assert modes(x, toy.means, toy.sd, block=block) == found
    assert modes(x[r.permutation(50)], toy.means[r.permutation(9)], toy.sd) == pytest.approx(found, abs=1e-12)
    x = np.asarray(x, np.float64)
    assert modes(unit * x + 3, unit * toy.means + 3, unit * toy.sd) == pytest.approx(found, abs=1e-12)


def test_pacgans_numbers_for_a_perfect_sampler():
    """Science.md 2.2: 2,500 samples, high quality 98.889 %, 8 and 25 modes, KL near (K - 1) / (2 N)."""
    for toy, K in ((ring(), 8), (grid(), 25)):
        perfect = perfect_modes(K, 2500)
        assert (
            perfect.high_quality == pytest.approx(1 - math.exp(-4.5), rel=1e-14) == pytest.approx(0.98889, abs=1e-5)
        )
        assert perfect.covered == pytest.approx(K, abs=1e-9)
        assert perfect.reverse_kl == pytest.approx((K - 1) / (2 * 2500 * 0.98889), rel=1e-5)
        r = rng(K)
        found = [modes(toy.sample(2500, r), toy.means, toy.sd) for _ in range(200)]
        assert all(run.covered == K for run in found)
        assert within_4_se(found, (K, *perfect[1:]))


def test_perfect_modes_where_not_all_modes_are_reached():
    toy, r = grid(), rng(1)
    found = np.array([modes(toy.sample(40, r), toy.means, toy.sd) for _ in range(500)])
    expected = perfect_modes(25, 40)
    assert 19 < expected.covered < 21
    assert within_4_se(found[:, :2], expected[:2])
    assert expected.reverse_kl == pytest.approx(found[:, 2].mean(), rel=0.25)  # first order, at 1.6 points a mode
    assert perfect_modes(25, 2).reverse_kl == math.log(25)  # not 6
    far = perfect_modes(10, 100, dim=1200, within=10)  # in 1200 dimensions no point lies within 10 sd
    assert far == pytest.approx((0, 0, math.log(10)), abs=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 8, 33])
def test_the_ball_holds_the_integral_of_the_chi_density(dim):
    for within in (0.5, 3.0, 7.0):
        node, weight = np.polynomial.legendre.leggauss(200)
        radius = within * (1 + node) / 2
        log_density = (dim - 1) * np.log(radius) - radius**2 / 2 - (dim / 2 - 1) * math.log(2) - math.lgamma(dim / 2)
        expected = (np.exp(log_density) * weight).sum() * within / 2
        assert ball_share(dim, within) == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_the_band_holds_perfect_samplers_and_no_collapsed_one():
    toy, r = grid(), rng(2)
    low, high = perfect_band(toy.means, toy.sd, 100, r, repeats=200, level=0.9)
    expected = perfect_modes(25, 100)
    assert all(a < b < c for a, b, c in zip(low[1:], expected[1:], high[1:]))
    assert low.covered <= expected.covered <= high.covered == 25
    kl = np.array([modes(toy.sample(100, r), toy.means, toy.sd).reverse_kl for _ in range(300)])
    assert abs((kl < low.reverse_kl).mean() - 0.05) < 0.045 and abs((kl > high.reverse_kl).mean() - 0.05) < 0.045
    x = toy.sample(400, r)
    collapsed = modes(x[x[:, 0] < 3][:100], toy.means, toy.sd)  # without the grid's last row
    assert collapsed.covered < low.covered and collapsed.reverse_kl > high.reverse_kl
    wide, _ = perfect_band(np.array([[0.0], [1.0]]), 1.0, 400, r, repeats=50)  # overlapping: more than the ball holds
    assert wide.high_quality > perfect_modes(2, 400, dim=1).high_quality - 0.01


def test_histogram_kl():
    assert histogram_kl([5, 5, 5, 5]) == 0
    assert histogram_kl([9, 0, 0, 0]) == pytest.approx(math.log(4)) == histogram_kl([0, 0, 0, 0])
    assert histogram_kl([3, 1]) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-12)
    assert histogram_kl(np.ones((10, 10, 10))) == pytest.approx(0, abs=1e-13)
    r = rng()
    found = [histogram_kl(r.multinomial(26_000, np.full(1000, 1e-3)).reshape(10, 10, 10)) for _ in range(50)]
    assert histogram_kl_floor(1000, 26_000) == pytest.approx(0.0192, abs=5e-5)  # stacked MNIST, science.md 2.3
    assert np.mean(found) == pytest.approx(0.0193, abs=5e-5)
    assert within_4_se(found, 999 / 52_000 + 999_999 / (12 * 26_000**2))  # with the second order


def test_the_table_puts_the_floor_beside_each_number():
    """PacGAN's Table 1, GAN on the grid, had it been one run."""
    text = table(Modes(17, 0.948, 0.70), perfect_modes(25, 2500), 25)
    assert text.splitlines() == [
        "modes         17 of 25      (perfect sampler: 25.0)",
        "high quality  94.8 %        (98.9 %)",
        "reverse KL    0.70          (0.0049)",
    ]


# Two samples


def naive(f, x, y):
    """2 E f(x, y) - E f(x, x') - E f(y, y') by double loops."""
    between = np.mean([f(a, b) for a in x for b in y])
    inside = [np.mean([f(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return 2 * between - sum(inside)


def test_both_distances_by_double_loops():
    x, y = rng().standard_normal((9, 3)), rng(1).standard_normal((6, 3)) + 0.5
    assert energy_distance(x, y) == pytest.approx(naive(lambda a, b: np.linalg.norm(a - b), x, y), rel=1e-12)
    kernel = lambda a, b: (math.exp(-np.sum((a - b) ** 2) / 2 / 0.49) + math.exp(-np.sum((a - b) ** 2) / 2 / 9)) / 2
    assert mmd(x, y, scales=[0.7, 3]) == pytest.approx(-naive(kernel, x, y), rel=1e-12)
    pooled = np.concatenate([x, y])
    median = np.median([np.linalg.norm(pooled[i] - pooled[j]) for i in range(15) for j in range(i)])
    np.testing.assert_allclose(median_scales(x, y), median * np.array([0.25, 0.5, 1, 2, 4]), rtol=1e-12)
    assert mmd(x, y) == mmd(x, y, scales=median_scales(x, y))


def folded(mean, variance):
    """E |Normal(mean, variance)|"""
    return math.sqrt(2 * variance / math.pi) * math.exp(-(mean**2) / 2 / variance) + mean * math.erf(
        mean / math.sqrt(2 * variance)
    )


@pytest.mark.parametrize("mean, sd", [(0.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
def test_energy_distance_of_two_gaussians(mean, sd):
    """Small samples, where a biased form would be far off: of five points by a fifth of E |x - x'|."""
    r = rng(3)
    found = [energy_distance(r.standard_normal((5, 1)), mean + sd * r.standard_normal((7, 1))) for _ in range(1500)]
    truth = 2 * folded(mean, 1 + sd**2) - folded(0, 2) - folded(0, 2 * sd**2)
    assert truth == 0 if (mean, sd) == (0, 1) else truth > 0.1
    assert within_4_se(found, truth)


@pytest.mark.parametrize("shift, sd, dim", [(0.0, 1.0, 2), (1.0, 1.0, 2), (0.5, 2.0, 3)])
def test_mmd_of_two_gaussians(shift, sd, dim):
    """E k = (s^2 / (s^2 + v))^(d/2) exp(-|a - b|^2 / (2 (s^2 + v))) with v the sum of the two variances."""
    r, scales = rng(4), (0.5, 2.0)

    def kernel(mean, v):
        s2 = np.square(scales)
        return np.mean((s2 / (s2 + v)) ** (dim / 2) * np.exp(-dim * mean**2 / 2 / (s2 + v)))

    truth = kernel(0, 2) + kernel(0, 2 * sd**2) - 2 * kernel(shift, 1 + sd**2)
    draw = lambda: (r.standard_normal((5, dim)), shift + sd * r.standard_normal((7, dim)))
    found = [mmd(*draw(), scales=scales) for _ in range(1500)]
    assert truth == pytest.approx(0, abs=1e-15) if shift == 0 else truth > 0.05
    assert within_4_se(found, truth)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 500), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_distances_do_not_hang_on_blocks_order_turn_or_place(seed, block, unit, shift):
    r = rng(seed)
    x, y = r.standard_normal((20, 3)), r.standard_normal((13, 3)) + 1
    turn = np.linalg.qr(r.standard_normal((3, 3)))[0]
    energy, gap = energy_distance(x, y), mmd(x, y)
    assert energy_distance(x, y, block=block) == pytest.approx(energy, rel=1e-12)
    assert mmd(x, y, block=block) == pytest.approx(gap, abs=1e-13)
    assert energy_distance(y, x[r.permutation(20)]) == pytest.approx(energy, rel=1e-10)
    assert mmd(y[r.permutation(13)], x) == pytest.approx(gap, abs=1e-12)
    moved = [unit * (a @ turn) + shift for a in (x, y)]
    assert energy_distance(*moved) == pytest.approx(unit * energy, rel=1e-6)  # a length, in the data's unit
    assert mmd(*moved) == pytest.approx(gap, abs=1e-7)  # a pure number: the scales follow the data
    images = [a.reshape(-1, 1, 3, 1).astype(np.float32) for a in (x, y)]
    assert energy_distance(*images) == pytest.approx(energy, rel=1e-4)


def test_equal_samples_lie_below_zero():
    """Two copies: 2 E|x - x'| over all pairs falls short of that over distinct ones by a share 1/n, twice."""
    x = rng().standard_normal((10, 2))
    inside = sum(np.linalg.norm(a - b) for a in x for b in x) / 90
    assert energy_distance(x, x) == pytest.approx(-2 * inside / 10, rel=1e-9)


def test_both_tell_of_lost_modes():
    r = rng(5)
    x, y = ring().sample(300, r), ring().sample(300, r)
    lost = y[y[:, 0] < 0.5]  # without the three modes on the right
    for distance in (energy_distance, partial(mmd, scales=[0.1, 1])):
        assert floor(distance, x, y, r, repeats=40).p_value > 0.05
        found = floor(distance, x, lost, r, repeats=40)
        assert found.value > found.high and found.p_value == 1 / 41


# Intervals and floors


def test_the_interval_covers_the_truth_at_its_level():
    """Energy distance of N(0, 1) and N(1.5, 1), 60 and 41 points."""
    r, truth = rng(6), 2 * folded(1.5, 2) - 2 * folded(0, 2)
    intervals, halves = [], []

    def distance(x, y):
        halves.append(energy_distance(x, y))
        return halves[-1]

    for _ in range(120):
        x, y = r.standard_normal((60, 1)), 1.5 + r.standard_normal((41, 1))
        intervals.append(bootstrap(distance, x, y, r, repeats=60, level=0.9))
    value, low, high = np.array(intervals).T
    assert ((low < value) & (value < high)).all()
    assert abs(((low < truth) & (truth < high)).mean() - 0.9) < 0.075  # 3 standard errors
    assert np.mean(high - low) == pytest.approx(2 * 1.645 * value.std(), rel=0.15)
    assert within_4_se(value, truth)
    off = np.reshape(halves, (120, 61))[:, 1:].mean(axis=1) - value
    assert within_4_se(off, 0)  # with replacement it would be off by E|x - x'| / 60 + E|y - y'| / 41 = 0.05


def test_the_interval_of_a_difference_of_means_is_the_textbooks():
    """S^2 (1/b - 1/n) at b = n/2 is S^2 / n: the standard error of a mean, to the noise of 4,000 halves."""
    r = rng(7)
    x, y = r.standard_normal(200), 3 * r.standard_normal(101) + 5
    found = bootstrap(lambda a, b: a.mean() - b.mean(), x, y, r, repeats=4000, level=0.95)
    half = 1.96 * math.sqrt(x.var(ddof=1) * (1 / 100 - 1 / 200) + y.var(ddof=1) * (1 / 50 - 1 / 101))
    assert found.value == x.mean() - y.mean()
    assert found.high - found.value == pytest.approx(half, rel=0.06)
    assert found.value - found.low == pytest.approx(half, rel=0.06)


def test_the_permutation_test_is_uniform_without_a_difference_and_small_with_one():
    r = rng(8)
    gap = lambda a, b: abs(a.mean() - b.mean())
    p = np.array(
        [floor(gap, r.exponential(size=12), r.exponential(size=7), r, repeats=39).p_value for _ in range(400)]
    )
    assert p.min() >= 1 / 40
    for level in (0.05, 0.25, 0.5):  # exact: the given deal is one of 40 alike
        assert abs((p <= level + 1e-9).mean() - level) < 3.5 * math.sqrt(level * (1 - level) / 400)
    found = floor(gap, r.normal(size=30), 2 + r.normal(size=30), r, repeats=99)
    assert found.p_value == 1 / 100 and found.value > found.high > found.mean > 0
    tied = floor(gap, np.array([0.1, 0.3]), np.array([0.1, 0.3]), r, repeats=20)
    assert tied.p_value == 1  # no deal falls below zero


def test_the_floor_is_what_fresh_samples_of_one_distribution_score():
    r = rng(9)
    x, y = ring(sd=0.2).sample(40, r), ring(sd=0.2).sample(50, r)
    found = floor(energy_distance, x, y, r, repeats=300)
    fresh = [energy_distance(ring(sd=0.2).sample(40, r), ring(sd=0.2).sample(50, r)) for _ in range(300)]
    assert found.high == pytest.approx(np.quantile(fresh, 0.95), rel=0.3)
    assert abs(found.mean) < 0.01 and found.p_value > 0.02
    assert floor(partial(mmd, scales=[0.5]), x, 0.1 * y, r, repeats=30).p_value == 1 / 31


# Birthdays


def test_the_birthday_formula():
    assert collision_probability(365, 23) == pytest.approx(0.5072972343, abs=1e-10)  # the well-known number
    assert collision_probability(365, 22) == pytest.approx(0.4756953077, abs=1e-10)
    assert collision_probability(2, 2) == 0.5 and collision_probability(4, 5) == 1
    days = rng().integers(50, size=(4000, 8))
    alike = [len(set(row)) < 8 for row in days.tolist()]
    assert within_4_se(alike, collision_probability(50, 8))
    assert support_size(0.5072972343, 23) == pytest.approx(365, abs=1e-5)
    for share in (1e-4, 0.2, 0.999):
        assert collision_probability(support_size(share, 30), 30) == pytest.approx(share, rel=1e-9)
    assert support_size(0, 30) == math.inf and support_size(1, 30) == 29


def test_wilsons_interval():
    """Solves |p - hits/n| = z sqrt(p (1 - p) / n) for p."""
    for hits, n in ((3, 10), (50, 300), (1, 4)):
        for p in wilson(hits, n, 0.95):
            assert abs(p - hits / n) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / n), rel=1e-6)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1
    assert wilson(0, 10)[1] == pytest.approx(0.2775, abs=1e-4)


def things(support, n, r, sd=0.01):
    """n draws from `support` equally likely points of the plane's integer grid, with a little noise."""
    k = r.integers(support, size=n)
    return np.stack([k // 20, k % 20], axis=1) + sd * r.standard_normal((n, 2))


def test_a_support_of_400_is_found():
    r = rng(10)
    covered = []
    for _ in range(100):
        found = birthday(things(400, 200 * 24, r), near=0.2, batch=24)
        assert found.low < found.support < found.high
        covered.append(found.low < 400 < found.high)
    assert sum(covered) >= 88
    assert found.support == pytest.approx(400, rel=0.3)
    low, high = wilson(round(200 * found.share), 200)
    assert collision_probability(found.low, 24) == pytest.approx(high)
    assert collision_probability(found.high, 24) == pytest.approx(low)
    assert str(found) == f"about {found.support:,.0f} points ({found.low:,.0f} to {found.high:,.0f})"


def test_without_a_pair_it_says_at_least_and_with_one_everywhere_at_most():
    r = rng(11)
    none = birthday(r.random((2000, 3)), near=1e-4, batch=100)
    assert none.share == 0 and none.support == none.high == math.inf
    assert collision_probability(none.low, 100) == pytest.approx(wilson(0, 20)[1])
    assert none.low > 20_000 and str(none) == f"at least {none.low:,.0f} points (no batch holds a near pair)"
    sure = birthday(things(5, 2000, r), near=0.2, batch=100)
    assert (sure.share, sure.low) == (1, 1) and 5 < sure.high < 10_000
    assert str(sure) == f"at most {sure.high:,.0f} points (every batch holds a near pair)"


def test_birthday_counts_the_batches_with_a_pair():
    x = np.array([[0.0], [5.0], [5.5], [9.0], [1.0], [2.0], [3.0], [3.4], [4.0], [4.0], [4.0]])
    for block in (1, 3, 100):
        assert (
            birthday(x, near=0.6, batch=4, block=block).share == 1
        )  # (5, 5.5) and (3, 3.4); the last three left over
        assert birthday(x, near=0.45, batch=4, block=block).share == 1 / 2
        assert birthday(x, near=0.3, batch=4, block=block).share == 0  # nobody is his own pair
        assert birthday(x[::-1].reshape(11, 1, 1), near=0.3, batch=3, block=block).share == 1 / 3


# What is refused


ONE, TWO = np.zeros((1, 2)), np.eye(2)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: modes(np.zeros((4, 3)), TWO, 0.1), r"^Points must be an array \(n, 2\) like .* shape \(4, 3\)\.$"),
        (lambda: modes(np.zeros((0, 2)), TWO, 0.1), r"n at least 1, but x has shape \(0, 2\)"),
        (lambda: modes(TWO, np.zeros(2), 0.1), r"^means must be finite numbers \(K, d\), .* shape is \(2,\)\.$"),
        (lambda: modes(TWO, np.nan * TWO, 0.1), "means must be finite"),
        (lambda: modes(TWO, TWO, [0.1, 0.1]), r"^sd must be one positive, finite number, but it is \[0.1, 0.1\]\.$"),
        (lambda: modes(TWO, TWO, 0.1, within=0), "^within must be one positive"),
        (lambda: perfect_modes(0, 10), "^The number of modes must be a whole number of at least 1, but it is 0"),
        (lambda: perfect_modes(8, 10.5), "^The number of points, n, must be a whole number"),
        (lambda: perfect_modes(8, 10, dim=0), "^The number of dimensions, dim, must be"),
        (lambda: perfect_band(TWO, 0.1, 10, rng(), repeats=0), "^repeats must be a whole number"),
        (lambda: perfect_band(TWO, 0.1, 10, rng(), level=95), "^level is a probability between 0 and 1, .* is 95"),
        (lambda: histogram_kl([]), "^counts must be a histogram"),
        (lambda: histogram_kl([3, -1]), "none negative"),
        (lambda: energy_distance(TWO, np.zeros((4, 3))), r"alike in shape, are compared; not \(2, 2\), \(4, 3\)\.$"),
        (lambda: energy_distance(TWO, ONE), "at least two points"),
        (lambda: mmd(np.nan * TWO, TWO), "^The first sample holds NaN or infinity"),
        (lambda: mmd(TWO, TWO / 0.0), "^The second sample holds NaN or infinity"),
        (lambda: mmd(TWO, TWO, scales=[1, 0]), r"^scales are lengths, .* but they are \[1.0, 0.0\]\.$"),
        (lambda: mmd(TWO, TWO, scales=[]), "at least one"),
        (lambda: mmd(0 * TWO, 0 * TWO), "the same point, .*: give scales"),
        (lambda: bootstrap(energy_distance, TWO, TWO, rng()), "^Halves of two samples need at least four points"),
        (lambda: floor(energy_distance, TWO, np.zeros((4, 3)), rng()), "^Samples of one shape can be pooled"),
        (lambda: floor(energy_distance, TWO, TWO, rng(), level=0), "^level is a probability"),
        (
            lambda: birthday(TWO, 0.1, batch=3),
            r"^A batch holds at least two .* batch is 3 and x has shape \(2, 2\)\.$",
        ),
        (lambda: birthday(TWO, 0.1, batch=1), "batch is 1"),
        (lambda: birthday(np.nan * TWO, 0.1, batch=2), "^The points hold NaN or infinity"),
        (lambda: birthday(TWO, 0, batch=2), "^near must be one positive"),
        (lambda: birthday(TWO, 0.1, batch=2, level=1), "^level is a probability"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(ValueError, match=sentence):
        call()
