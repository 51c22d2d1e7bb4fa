"""The toy densities are exact, integrate to one, and are the densities of their own samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.data.toy import grid, mixture_1d, ring, swiss_roll, two_moons

# Each with the box that holds all but 1e-6 of its mass.
PLANE = {
    "ring": (ring(), [(-1.06, 1.06), (-1.06, 1.06)]),
    "grid": (grid(), [(-4.3, 4.3), (-4.3, 4.3)]),
    "swiss_roll": (swiss_roll(), [(-2.1, 2.1), (-2.1, 2.1)]),
    "two_moons": (two_moons(), [(-1.6, 2.6), (-1.1, 1.6)]),
}


@pytest.fixture(params=PLANE)
def plane(request):
    return PLANE[request.param]


def midpoints(box, step):
    """The centres (n, 2) of a grid of cells over the box, and the area of a cell."""
    counts = [int(np.ceil((high - low) / step)) for low, high in box]
    axes = [low + (high - low) * (np.arange(m) + 0.5) / m for (low, high), m in zip(box, counts)]
    area = np.prod([(high - low) / m for (low, high), m in zip(box, counts)])
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2), area


def normal(x, mean, sd):
    """The Gaussian's density as the textbook writes it."""
    d = len(mean)
    return np.exp(-((x - mean) ** 2).sum(axis=1) / (2 * sd**2)) / (2 * np.pi * sd**2) ** (d / 2)


def test_samples(plane):
    toy, box = plane
    x = toy.sample(1000, np.random.default_rng(3))
    assert x.shape == (1000, 2) and x.dtype == np.float32 and toy.dim == 2
    assert all(((low < x[:, j]) & (x[:, j] < high)).all() for j, (low, high) in enumerate(box))
    np.testing.assert_array_equal(x, toy.sample(1000, np.random.default_rng(3)))
    assert (x != toy.sample(1000, np.random.default_rng(4))).any()
    assert toy.sample(0, np.random.default_rng(3)).shape == (0, 2)
    p = toy.density(x)
    assert p.shape == (1000,) and p.dtype == np.float64
    np.testing.assert_allclose(p, np.exp(toy.log_density(x)), rtol=1e-12)


def test_density_integrates_to_one(plane):
    toy, box = plane
    x, area = midpoints(box, toy.sd)  # for a Gaussian, midpoints one sd apart are already right to 1e-8
    assert toy.density(x).sum() * area == pytest.approx(1, abs=2e-6)


def test_samples_have_this_density(plane):
    """Pearson's chi-square of a histogram against the density's integrals over its cells, each 2 sd wide."""
    toy, box = plane
    n, (node, weight) = 100_000, np.polynomial.legendre.leggauss(3)
    edges = [np.arange(low, high, 2 * toy.sd) for low, high in box]
    axes = [(e[:-1, None] + toy.sd * (1 + node)).ravel() for e in edges]  # 3 Gauss-Legendre nodes in each cell
    p = toy.density(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2))
    p = p.reshape(len(edges[0]) - 1, 3, len(edges[1]) - 1, 3)
    expected = n * toy.sd**2 * np.einsum("aibj,i,j->ab", p, weight, weight)
    seen = np.histogram2d(*toy.sample(n, np.random.default_rng(5)).T, bins=edges)[0]
    enough = expected > 20
    assert expected[enough].sum() > 0.95 * n  # nearly everything is compared
    chi2, freedom = ((seen - expected)[enough] ** 2 / expected[enough]).sum(), enough.sum()
    assert abs(chi2 - freedom) < 4 * np.sqrt(2 * freedom)


def test_far_points_neither_underflow_nor_warn(plane):
    toy, _ = plane
    x = np.array([[50.0, -50], [1e6, 0], [np.inf, 0], [1e300, 1e300], [np.nan, 0]])
    log_p = toy.log_density(x)
    assert log_p[0] == pytest.approx(-((50 * np.sqrt(2)) ** 2) / (2 * toy.sd**2), rel=0.2)
    assert -np.inf < log_p[1] < log_p[0] and (log_p[2:4] == -np.inf).all() and np.isnan(log_p[4])
    assert (toy.density(x[:4]) == 0).all()


def test_wrong_shape_of_points(plane):
    for bad in (np.zeros(2), np.zeros((4, 3)), np.zeros((4, 1))):
        with pytest.raises(ValueError, match=r"^Points must be an array \(n, 2\), but .*\.$"):
            plane[0].log_density(bad)


# Mixtures


def test_ring_is_pacgans():
    toy = ring()
    assert toy.sd == 0.01
    half = np.sqrt(0.5)
    expected = [[1, 0], [half, half], [0, 1], [-half, half], [-1, 0], [-half, -half], [0, -1], [half, -half]]
    np.testing.assert_allclose(toy.means, expected, atol=1e-15)
    np.testing.assert_allclose(ring(3, radius=2.0).means, [[2, 0], [-1, 3**0.5], [-1, -(3**0.5)]], atol=1e-14)


def test_grid_is_pacgans():
    toy = grid()
    assert toy.sd == 0.05
    assert {tuple(mean) for mean in toy.means.tolist()} == {
        (a, b) for a in (-4, -2, 0, 2, 4) for b in (-4, -2, 0, 2, 4)
    }
    np.testing.assert_allclose(grid(2, spacing=1.0).means, [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])


@pytest.mark.parametrize("toy", [ring(5, 3.0, 0.2), grid(3, 1.0, 0.3)])
def test_mixture_density_is_the_sum_of_its_gaussians(toy):
    x = np.random.default_rng(0).normal(size=(50, 2))
    expected = sum(normal(x, mean, toy.sd) for mean in toy.means) / len(toy.means)
    np.testing.assert_allclose(toy.density(x), expected, rtol=1e-10)


@pytest.mark.parametrize("toy", [ring(), grid()])
def test_modes_are_equally_frequent_with_the_right_spread(toy):
    n, K = 50_000, len(toy.means)
    x = toy.sample(n, np.random.default_rng(1))
    offsets = x[:, None] - toy.means  # (n, K, 2)
    nearest = (offsets**2).sum(axis=2).argmin(axis=1)
    seen = np.bincount(nearest, minlength=K)
    assert abs(seen - n / K).max() < 4.5 * np.sqrt(n / K)
    noise = offsets[np.arange(n), nearest] / toy.sd
    assert abs(noise.mean(axis=0)).max() < 4.5 / np.sqrt(n)
    assert abs((noise**2).mean(axis=0) - 1).max() < 4.5 * np.sqrt(2 / n)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3), st.floats(0.05, 1)), min_size=1, max_size=6))
def test_mixture_1d(components):
    means, sds, weights = np.array(components).T
    weights /= weights.sum()
    toy = mixture_1d(list(means), list(sds), list(weights))
    x = np.linspace(-30, 30, 6001)[:, None]
    expected = sum(w * normal(x, [m], s) for m, s, w in components) / sum(w for *_, w in components)
    np.testing.assert_allclose(toy.density(x), expected, rtol=1e-9, atol=1e-300)
    assert toy.density(x).sum() * 0.01 == pytest.approx(1, abs=1e-9)
    assert toy.dim == 1 and toy.means.shape == (len(means), 1) and np.shape(toy.sd) == (len(means),)


def test_mixture_1d_samples_have_its_cumulative_distribution():
    """Kolmogorov-Smirnov: at n = 100,000 the largest gap exceeds 1.95 / sqrt(n) once in a thousand seeds."""
    n, toy = 100_000, mixture_1d([-2, 1, 4], [0.2, 1.0, 0.5], [0.5, 0.2, 0.3])
    x = toy.sample(n, np.random.default_rng(2))
    assert x.shape == (n, 1) and x.dtype == np.float32
    at = np.linspace(-8, 12, 200_001)
    cumulative = np.cumsum(toy.density(at[:, None])) * 1e-4
    expected = np.interp(np.sort(x[:, 0]), at, cumulative)
    assert abs(expected - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)


def test_mixture_1d_defaults():
    toy = mixture_1d([0, 1], 0.5)
    assert toy.sd == 0.5 and toy.weights.tolist() == [0.5, 0.5]
    assert toy.sample(5, np.random.default_rng(0)).shape == (5, 1)


# Curves, against Simpson's rule on the formulas written down again


def simpson(curve, low, high, sd, x, n=400_000):
    """log of the mean over t in [low, high] of Normal(x; curve(t), sd^2 I), for one point x."""
    t = np.linspace(low, high, n + 1)
    weight = np.full(n + 1, 2.0)
    weight[1::2], weight[[0, -1]] = 4, 1
    exponent = -sum((x[j] - c) ** 2 for j, c in enumerate(curve(t))) / (2 * sd**2)
    top = exponent.max()
    return np.log((weight * np.exp(exponent - top)).sum() / (3 * n)) + top - np.log(2 * np.pi * sd**2)


def truth(toy_name, sd, x):
    if toy_name == "swiss_roll":
        return simpson(lambda t: (t * np.cos(t) / 7.5, t * np.sin(t) / 7.5), 1.5 * np.pi, 4.5 * np.pi, sd, x)
    upper = simpson(lambda t: (np.cos(t), np.sin(t)), 0, np.pi, sd, x)
    lower = simpson(lambda t: (1 - np.cos(t), 0.5 - np.sin(t)), 0, np.pi, sd, x)
    return np.logaddexp(upper, lower) - np.log(2)


@pytest.mark.parametrize("name, make", [("swiss_roll", swiss_roll), ("two_moons", two_moons)])
@pytest.mark.parametrize("sd", [0.03, None, 0.5])
def test_curve_density_is_its_integral(name, make, sd):
    """The promise of 1e-9 within 8 sd, on the curve and worst of all straight off its ends."""
    toy = make() if sd is None else make(sd)
    rng = np.random.default_rng(0)
    ends = [[0, -1.5 * np.pi / 7.5], [0, 4.5 * np.pi / 7.5]] if name == "swiss_roll" else [[1, 0], [2, 0.5]]
    off_ends = [np.array(end) + 8 * toy.sd * np.array(v) for end in ends for v in ([0, 1], [0, -1], [1, 0], [-1, 0])]
    for x in [*off_ends, *toy.sample(3, rng), *(toy.sample(2, rng) + 5 * toy.sd)]:
        x = x.astype(np.float64)
        assert toy.log_density(x[None])[0] == pytest.approx(truth(name, toy.sd, x), abs=1e-9)


def test_curves_have_their_published_scale():
    assert swiss_roll().sd == pytest.approx(1 / 30) and two_moons().sd == 0.1
    roll = swiss_roll(1e-4).sample(5000, np.random.default_rng(0)).astype(np.float64)
    t = 7.5 * np.hypot(*roll.T)  # the radius is the angle
    assert t.min() == pytest.approx(1.5 * np.pi, abs=0.02) and t.max() == pytest.approx(4.5 * np.pi, abs=0.02)
    np.testing.assert_allclose(7.5 * roll, np.stack([t * np.cos(t), t * np.sin(t)], axis=1), atol=0.05)
    moons = two_moons(1e-4).sample(5000, np.random.default_rng(0)).astype(np.float64)
    upper = abs(np.hypot(*moons.T) - 1) < 1e-3
    lower = abs(np.hypot(*(moons - [1, 0.5]).T) - 1) < 1e-3
    assert (upper | lower).all() and abs(upper.mean() - 0.5) < 0.03
    assert moons[upper & ~lower, 1].min() > -1e-3 and moons[lower & ~upper, 1].max() < 0.5 + 1e-3


def test_many_points_are_worked_on_in_blocks():
    toy = swiss_roll()
    x = toy.sample(2500, np.random.default_rng(0))  # 2,144 nodes: three blocks
    np.testing.assert_allclose(toy.log_density(x)[::100], [toy.log_density(p[None])[0] for p in x[::100]], rtol=1e-12)


@pytest.mark.parametrize(
    "call, what",
    [
        (lambda: ring(modes=0), "modes"),
        (lambda: ring(modes=2.5), "modes"),
        (lambda: ring(radius=-1), "radius"),
        (lambda: ring(sd=0), "sd"),
        (lambda: grid(side=0), "side"),
        (lambda: grid(spacing=0), "spacing"),
        (lambda: grid(sd=float("nan")), "sd"),
        (lambda: mixture_1d([], 1), "means"),
        (lambda: mixture_1d([[0, 1]], 1), "means"),
        (lambda: mixture_1d([0, float("inf")], 1), "means"),
        (lambda: mixture_1d([0, 1], [1, 2, 3]), "2 means"),
        (lambda: mixture_1d([0, 1], 1, [1]), "2 means"),
        (lambda: mixture_1d([0, 1], [1, -1]), "sds"),
        (lambda: mixture_1d([0, 1], 1, [0, 1]), "weights"),
        (lambda: mixture_1d([0, 1], 1, [0.5, 0.6]), "weights must sum to 1, but they sum to 1.1"),
        (lambda: swiss_roll(sd=0), "sd"),
        (lambda: two_moons(sd=-1), "sd"),
        (lambda: two_moons(sd=float("inf")), "sd"),
    ],
)
def test_bad_arguments(call, what):
    with pytest.raises(ValueError) as error:
        call()
    text = str(error.value)
    assert what in text and text.endswith(".") and "\n" not in text
