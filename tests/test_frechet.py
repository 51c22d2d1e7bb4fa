"""Distances of features against closed forms, published goldens and other routes; and what each of them sees.

At the end the Parzen window, and five planted generators ordered by every measure.
"""

import math

import numpy as np
import pytest

from minigan.metrics.frechet import (
    bootstrap,
    class_histogram,
    class_kl,
    classifier_score,
    frechet,
    frechet_floor,
    frechet_of,
    kid,
    mmd2,
    moments,
)
from minigan.metrics.modes import histogram_kl_floor
from minigan.metrics.neighbours import memorisation, precision_recall
from minigan.metrics.parzen import SIGMAS, log_likelihoods, parzen


def within(values, expected, errors=3.0):
    """The mean of `values` is `expected` but for that many of its standard errors."""
    values = np.asarray(values)
    error = values.std(ddof=1) / math.sqrt(len(values))
    print(f"{values.mean():.6g} +- {error:.2g}, expected {expected:.6g}")
    return abs(values.mean() - expected) < errors * error


# ---- Frechet distance ----------------------------------------------------------------------------------------------


def test_the_golden_of_compare_gan():
    """google/compare_gan, fid_score_test: both covariances are singular."""
    real, fake = np.ones((100, 2)), 9 * np.ones((100, 2))
    real[:50, 0], fake[50:, 0] = 2, 2
    assert frechet(real, fake) == pytest.approx(89.091, abs=1e-4)


def test_gaussians_whose_covariances_commute():
    """For diagonal ones |m1 - m2|^2 + sum (s1 - s2)^2; turning both does not change it."""
    r = np.random.default_rng(0)
    m1, m2 = r.standard_normal((2, 6))
    s1, s2 = r.uniform(0, 3, (2, 6))
    s1[0] = s2[3] = 0
    expected = ((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum()
    assert frechet_of(m1, np.diag(s1**2), m2, np.diag(s2**2)) == pytest.approx(expected, rel=1e-7)
    Q, _ = np.linalg.qr(r.standard_normal((6, 6)))
    turned = frechet_of(Q @ m1, Q * s1**2 @ Q.T, Q @ m2, Q * s2**2 @ Q.T)
    assert turned == pytest.approx(expected, rel=1e-6)


def test_any_gaussians_by_the_other_form_of_the_trace():
    """torch-fidelity's: the roots of the eigenvalues of S1 S2, which is not symmetric."""
    r = np.random.default_rng(1)
    a, b = r.standard_normal((80, 5)) @ r.standard_normal((5, 5)), r.standard_normal((60, 5)) + 0.3
    gap, S1, S2 = a.mean(axis=0) - b.mean(axis=0), np.cov(a.T), np.cov(b.T)  # N - 1
    trace = np.sqrt(np.linalg.eigvals(S1 @ S2).astype(complex)).sum().real
    expected = gap @ gap + np.trace(S1) + np.trace(S2) - 2 * trace
    assert frechet(a, b) == pytest.approx(expected, rel=1e-10) == frechet(b, a)
    assert frechet(a.astype(np.float32), b) == pytest.approx(expected, rel=1e-5)


def test_zero_and_one_dimension():
    r = np.random.default_rng(2)
    a = r.standard_normal((50, 4))
    assert 0 <= frechet(a, a[::-1]) < 1e-12
    assert frechet(a + 2, a) == pytest.approx(16)
    x, y = r.standard_normal((2, 30, 1)) * [[[1]], [[3]]]
    by_hand = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet(x, y) == pytest.approx(by_hand)


def spectrum(values, N=200):
    """Features (N, d) whose covariance is exactly diag(values)."""
    z = np.random.default_rng(0).standard_normal((N, len(values)))
    mu, S = moments(z)
    return np.linalg.solve(np.linalg.cholesky(S), (z - mu).T).T * np.sqrt(values)


def test_the_floor_in_numbers():
    assert frechet_floor(spectrum(np.ones(32)), 2000) == pytest.approx(32 * 37 / 4000)  # d (d + 5) / (2 N)
    lam = np.array([3.0, 1.0, 0.25])
    by_hand = 2 * lam.sum() / 50
    for i, j in np.ndindex(3, 3):
        by_hand += (1 + (i == j)) * lam[i] * lam[j] / (lam[i] + lam[j]) / 50
    assert frechet_floor(spectrum(lam), 50) == pytest.approx(by_hand)
    assert frechet_floor(spectrum(lam), 50, 50) == pytest.approx(by_hand)
    with_a_constant = np.column_stack([spectrum(lam), np.ones(200)])
    assert frechet_floor(with_a_constant, 50) == pytest.approx(by_hand)


@pytest.mark.parametrize(
    "values, n, m", [(np.ones(8), 600, 600), (0.6 ** np.arange(8), 600, 600), (np.ones(6), 400, 1200)]
)
def test_two_samples_of_one_gaussian_lie_the_floor_apart(values, n, m):
    r, d = np.random.default_rng(3), len(values)
    draw = lambda count: r.standard_normal((count, d)) * np.sqrt(values)
    found = [frechet(draw(n), draw(m)) for _ in range(200)]
    assert within(found, frechet_floor(spectrum(values), n, m))


# ---- KID -----------------------------------------------------------------------------------------------------------


def plain_mmd2(x, y):
    """As torch-fidelity writes it: three tables of the kernel."""
    table = lambda p, q: (p @ q.T / p.shape[1] + 1) ** 3
    xx, yy, m = table(x, x), table(y, y), len(x)
    off = lambda K: K.sum() - np.trace(K)
    return (off(xx) + off(yy)) / (m * (m - 1)) - 2 * table(x, y).mean()


def test_kid_is_torch_fidelitys():
    r = np.random.default_rng(0)
    a, b = r.standard_normal((60, 5)), r.standard_normal((50, 5)) + 0.4
    state, found = np.random.RandomState(2020), []
    for _ in range(7):
        x = a[state.choice(60, 20, replace=False)]
        y = b[state.choice(50, 20, replace=False)]
        found.append(plain_mmd2(x, y))
    result = kid(a, b, subsets=7, size=20)
    assert result.mean == pytest.approx(np.mean(found), rel=1e-10)
    assert result.sd == pytest.approx(np.std(found), rel=1e-10)
    whole = kid(a[:50], b, subsets=3, size=50)
    assert whole.mean == pytest.approx(mmd2(a[:50], b)) and whole.sd < 1e-12


@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_mmd2_by_the_plain_loops_with_samples_of_two_sizes(block):
    r = np.random.default_rng(1)
    x, y = r.standard_normal((9, 3)), r.standard_normal((13, 3)) + 1
    k = lambda p, q: (p @ q / 3 + 1) ** 3
    xx = np.mean([k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j])
    yy = np.mean([k(p, q) for i, p in enumerate(y) for j, q in enumerate(y) if i != j])
    xy = np.mean([k(p, q) for p in x for q in y])
    assert mmd2(x, y, block) == pytest.approx(xx + yy - 2 * xy)


def test_mmd2_has_no_bias_and_kids_closed_form_is_met():
    """X ~ N(0, identity), Y ~ N(mu, identity), s = |mu|^2: 1.1171875 for d = 8, s = 2 (science.md 4.3)."""
    d, s = 8, 2
    xx, xy = 1 + 3 / d, 1 + 3 * (d + s) / d**2
    yy = 1 + 3 * s / d + 3 * (s**2 + 2 * s + d) / d**2 + (s**3 + 3 * s * (2 * s + d) + 6 * s) / d**3
    assert xx + yy - 2 * xy == pytest.approx(1.1171875)
    r, mu = np.random.default_rng(2), np.full(d, math.sqrt(s / d))
    moved = [mmd2(r.standard_normal((60, d)), r.standard_normal((40, d)) + mu) for _ in range(400)]
    assert within(moved, 1.1171875)
    alike = [mmd2(r.standard_normal((20, d)), r.standard_normal((20, d))) for _ in range(400)]
    assert within(alike, 0) and min(alike) < 0


# ---- classifier score and classes ----------------------------------------------------------------------------------


def test_the_classifier_score_from_1_to_the_number_of_classes():
    sure = np.eye(4)[np.arange(400) % 4]
    assert classifier_score(sure, splits=1).mean == pytest.approx(4)
    assert classifier_score(np.full((100, 4), 0.25)).mean == pytest.approx(1)
    assert classifier_score(np.eye(4)[np.zeros(100, int)]).mean == pytest.approx(1)  # collapsed
    in_order = np.eye(4)[np.arange(4000) // 1000]  # sorted by class: the shuffle makes the parts even
    assert classifier_score(in_order).mean > 3.9


def test_the_classifier_score_by_hand():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=25)
    order, scores = np.random.RandomState(2020).permutation(25), []
    for part in np.array_split(p[order], 5):
        marginal = part.mean(axis=0)
        scores.append(math.exp(np.mean([sum(q * math.log(q / m) for q, m in zip(row, marginal)) for row in part])))
    found = classifier_score(p, splits=5)
    assert found.mean == pytest.approx(np.mean(scores)) and found.sd == pytest.approx(np.std(scores))


def test_class_histogram_and_its_kl():
    labels = np.array([0, 0, 0, 1])
    assert class_histogram(labels, 3).tolist() == [3, 1, 0]
    assert class_kl(labels, 2) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert class_kl(np.zeros(9, int)) == pytest.approx(math.log(10)) and class_kl(np.arange(10)) < 1e-12
    real = np.array([0, 1, 1, 1, 2])
    assert class_kl(labels, 3, real) == pytest.approx(0.75 * math.log(0.75 / 0.2) + 0.25 * math.log(0.25 / 0.6))
    assert class_kl(real, 3, labels) == math.inf and class_kl(labels, 3, labels) == 0
    r = np.random.default_rng(0)
    assert within([class_kl(r.integers(0, 10, 500)) for _ in range(300)], histogram_kl_floor(10, 500))


# ---- the interval --------------------------------------------------------------------------------------------------


def test_the_bootstraps_interval_holds_the_expected_distance():
    """Of intervals of level 90 %, about 90 % hold the mean over all samples of this size; so is the spread."""
    r = np.random.default_rng(0)
    draw = lambda: (r.standard_normal((80, 2)), 1.5 * r.standard_normal((60, 2)) + 1)
    found = [frechet(*draw()) for _ in range(500)]
    intervals = [bootstrap(frechet, *draw(), n=40, seed=i, level=0.9) for i in range(40)]
    held = np.mean([low < np.mean(found) < high for _, low, high in intervals])
    assert 0.75 < held <= 0.98
    widths = [(high - low) / (2 * 1.645) for _, low, high in intervals]
    assert np.mean(widths) == pytest.approx(np.std(found), rel=0.15)
    alike = r.standard_normal((2, 60, 8))
    value, low, high = bootstrap(frechet, *alike, n=100)
    assert low < value < high and abs((low + high) / 2 - value) < 0.3 * (high - low)  # redraws lie a floor higher
    same = draw()
    assert bootstrap(frechet, *same, n=5, seed=1) == bootstrap(frechet, *same, n=5, seed=1)
    assert bootstrap(frechet, *same, n=5).value == frechet(*same)


def test_the_bootstrap_of_a_mean_is_the_textbooks():
    x = np.random.default_rng(1).standard_normal(400)
    value, low, high = bootstrap(np.mean, x, n=2000)
    error = x.std() / 20
    assert value == x.mean()
    assert (low - value, high - value) == (
        pytest.approx(-1.96 * error, rel=0.1),
        pytest.approx(1.96 * error, rel=0.1),
    )


# ---- the Parzen window ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 30, 10**6])
def test_parzen_by_the_plain_loops(block):
    r = np.random.default_rng(0)
    samples, x, sigmas = r.random((7, 2, 3)), r.random((5, 2, 3)), [0.2, 0.7, 1.5]
    density = lambda v, s, sd: math.exp(-((v - s) ** 2).sum() / (2 * sd**2)) / (sd * math.sqrt(2 * math.pi)) ** 6
    expected = [[math.log(np.mean([density(v, s, sd) for s in samples])) for v in x] for sd in sigmas]
    assert np.allclose(log_likelihoods(samples, x, sigmas, block), expected, rtol=1e-12)
    means = np.mean(expected, axis=1)
    result = parzen(samples, x, x, sigmas, block=block)
    assert result.sigma == sigmas[means.argmax()] and result.mean == pytest.approx(means.max())
    assert result.error == pytest.approx(np.std(expected[means.argmax()], ddof=1) / math.sqrt(5))


def test_parzen_far_away_and_with_one_place_is_a_gaussian():
    samples, x = np.zeros((3, 784)), np.full((2, 784), 5.0)
    expected = -784 * 25 / (2 * 0.01) - 784 * math.log(0.1 * math.sqrt(2 * math.pi))  # exp(-980000) is 0 in float64
    assert np.allclose(log_likelihoods(samples, x, [0.1]), expected, rtol=1e-12)


def test_parzen_of_a_gaussian_meets_its_closed_form():
    """Many samples of N(0, 1), smoothed by sigma, are N(0, 1 + sigma^2)."""
    r = np.random.default_rng(0)
    samples, x, sigma = r.standard_normal((20_000, 1)), r.standard_normal((500, 1)), 0.5
    v = 1 + sigma**2
    exact = -0.5 * math.log(2 * math.pi * v) - x[:, 0] ** 2 / (2 * v)
    assert np.abs(log_likelihoods(samples, x, [sigma])[0] - exact).mean() < 0.02
    assert within(log_likelihoods(samples, x, [sigma])[0], -0.5 * math.log(2 * math.pi * v) - 1 / (2 * v))


def test_theis_warning_comes_true_a_shrunk_generator_beats_the_truth():
    """In 20 dimensions the truth's own samples score less than blurred ones, which no one would call better."""
    r = np.random.default_rng(0)
    validation, test, truth = r.standard_normal((3, 300, 20))
    blurred = 0.5 * r.standard_normal((300, 20))
    of_truth, of_blurred = (parzen(s, test, validation) for s in (truth, blurred))
    assert of_blurred.mean > of_truth.mean + 5 * of_truth.error
    true_mean = -10 * math.log(2 * math.pi * math.e)
    assert of_truth.mean < true_mean - 5 * of_truth.error  # and neither is the likelihood
    assert of_truth.sigma in SIGMAS


# ---- planted generators --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted():
    """Features (1000, 8) in four classes: what five generators draw, the training set, and test images."""
    r, count = np.random.default_rng(0), 1000
    centres = 4 * np.eye(8)[:4]
    real = lambda: centres[r.integers(0, 4, count)] + r.standard_normal((count, 8))
    train, test, perfect = real(), real(), real()
    labels = ((perfect[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    generators = {
        "perfect": perfect,
        "blurred": centres[labels] + 0.4 * (perfect - centres[labels]),
        "collapsed": centres[0] + r.standard_normal((count, 8)),
        "memoriser": train[r.permutation(count)] + 0.01 * r.standard_normal((count, 8)),
        "noise": 4 * r.standard_normal((count, 8)),
    }
    return train, test, centres, generators


def test_only_the_copies_look_perfect_to_every_distance(planted):
    train, test, _, generators = planted
    floor = frechet(train, test)
    found = {name: frechet(x, test) for name, x in generators.items()}
    kernel = {name: mmd2(x, test) for name, x in generators.items()}
    assert found["perfect"] < 2 * floor and found["memoriser"] < 2 * floor  # not flagged
    assert min(found[name] for name in ("blurred", "collapsed", "noise")) > 10 * floor
    assert found["blurred"] < found["collapsed"] < found["noise"]
    assert max(abs(kernel[name]) for name in ("perfect", "memoriser")) < 0.1 * kernel["blurred"]
    assert kernel["blurred"] < kernel["collapsed"]


def test_precision_sees_noise_recall_and_coverage_see_the_missing(planted):
    _, test, centres, generators = planted
    found = {name: precision_recall(x, test) for name, x in generators.items()}
    for name in ("perfect", "memoriser"):
        assert min(found[name]["precision"], found[name]["recall"]) > 0.8 and found[name]["coverage"] > 0.93
    assert found["blurred"]["precision"] > 0.99 and found["blurred"]["density"] > 1.3
    assert found["blurred"]["recall"] < 0.3
    assert found["collapsed"]["precision"] > 0.8 and found["collapsed"]["coverage"] < 0.3
    assert found["noise"]["precision"] < 0.3
    labels = {n: ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1) for n, x in generators.items()}
    assert class_kl(labels["collapsed"], 4) > 1.2 and class_kl(labels["perfect"], 4) < 0.01


def test_the_memoriser_is_flagged_by_memorisation_alone(planted):
    train, test, _, generators = planted
    found = {name: memorisation(x, train, test) for name, x in generators.items()}
    copier, perfect = found["memoriser"], found["perfect"]
    assert copier.z < -20 and copier.p_value < 1e-50 and copier.copied > 0.95 and copier.nearer > 0.99
    assert abs(perfect.z) < 3 and perfect.p_value > 0.001 and perfect.nearer == pytest.approx(0.5, abs=0.03)
    assert found["noise"].z > 20
    assert found["blurred"].z < -20  # near to all, a copy of none:
    for name in ("perfect", "blurred", "collapsed", "noise"):
        assert found[name].copied < 0.01
    assert max(f.copied_test for f in found.values()) < 0.01


# ---- input that makes no sense -------------------------------------------------------------------------------------


def test_bad_input_gets_one_clear_sentence():
    x = np.random.default_rng(0).standard_normal((20, 3))
    broken = x.copy()
    broken[0, 0] = np.nan
    for call in (frechet, mmd2, lambda a, b: kid(a, b, size=2), lambda a, b: parzen(a, b, x)):
        for a, b, message in (
            (x, x[:, :2], "cannot be compared"),
            (x[:1], x, "At least 2 of"),
            (x, x[:1], "At least 2 of"),
            (broken, x, "NaN or infinity"),
            (x, broken, "NaN or infinity"),
        ):
            with pytest.raises(ValueError, match=message):
                call(a, b)
    one, zero = np.eye(3), np.zeros(3)
    for call, message in (
        (lambda: frechet(x.reshape(20, 3, 1), x), "flatten"),
        (lambda: frechet_of(zero, one, zero[:2], one), "shapes"),
        (lambda: frechet_of(zero, one, zero, np.eye(2)), "shapes"),
        (lambda: frechet_of(zero, one, zero, one * np.nan), "NaN"),
        (lambda: frechet_of(zero, one, zero, np.triu(np.ones((3, 3)))), "symmetric"),
        (lambda: frechet_floor(x, 1), "at least two"),
        (lambda: kid(x, x), "subsets of size 1000"),
        (lambda: kid(x, x, subsets=0, size=5), "at least one"),
        (lambda: classifier_score(np.ones((5, 2))), "probabilities"),
        (lambda: classifier_score(np.ones(5)), "probabilities"),
        (lambda: classifier_score(np.full((5, 2), np.nan)), "probabilities"),
        (lambda: classifier_score(np.full((5, 2), 0.5)), "10 splits"),
        (lambda: class_kl(np.array([0, 10])), "0 to 9"),
        (lambda: class_kl(np.array([0.0, 1.0])), "integers"),
        (lambda: bootstrap(np.mean), "at least two"),
        (lambda: bootstrap(np.mean, x[:1]), "at least two"),
        (lambda: bootstrap(np.mean, x, level=1), "level"),
        (lambda: parzen(x, x, x, []), "sigmas"),
        (lambda: parzen(x, x, x, [0.1, 0]), "sigmas"),
        (lambda: parzen(x, x, x[:1]), "At least 2 of images"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
