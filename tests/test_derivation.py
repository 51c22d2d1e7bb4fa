"""The theory's formulas against a quadrature of the tests' own, closed forms and brute force."""

import itertools
import math

import numpy as np
import pytest

from minigan import losses
from minigan.data.toy import mixture_1d
from minigan.derivation import (
    best_response,
    cdf,
    critic,
    critic_samples,
    expected_losses,
    gradient_factors,
    integrand,
    integrate,
    jsd,
    kl,
    least_squares_objective,
    optimal_discriminator,
    optimal_logits,
    pearson,
    saddle,
    shift_gradient,
    total_variation,
    two_points,
    value,
    value_at_optimum,
    wasserstein,
    wasserstein_samples,
)

X = np.linspace(-12, 12, 8001)
P = mixture_1d([-1.0, 1.5], [0.6, 0.9], [0.4, 0.6])
Q = mixture_1d([-2.0, 0.3, 2.5], [0.7, 1.1, 0.8], [0.2, 0.5, 0.3])
PAIRS = {
    "mixtures": (P, Q),
    "swapped": (Q, P),
    "shifted": (mixture_1d([0], 1), mixture_1d([1], 1)),
    "apart": (mixture_1d([-5], 0.5), mixture_1d([4], 0.7)),
}


@pytest.fixture(params=PAIRS)
def pair(request):
    return PAIRS[request.param]


def on(mixture, x=X):
    return mixture.density(x[:, None])


def log_on(mixture, x=X):
    return mixture.log_density(x[:, None])


def normal(mean, sd=1.0, x=X):
    """The Gaussian's density as the textbook writes it."""
    return np.exp(-((x - mean) ** 2) / (2 * sd**2)) / (sd * math.sqrt(2 * math.pi))


NODE, WEIGHT = np.polynomial.legendre.leggauss(6)
EDGES = np.linspace(-14, 14, 3001)
POINTS = ((EDGES[:-1, None] + EDGES[1:, None] + np.diff(EDGES)[:, None] * NODE) / 2).ravel()
WEIGHTS = (np.diff(EDGES)[:, None] / 2 * WEIGHT).ravel()


def gauss(f, p, q):
    """The integral of f(p, q) by Gauss-Legendre, 6 nodes on each of 3,000 panels: nothing of the module's."""
    return float(WEIGHTS @ f(on(p, POINTS), on(q, POINTS)))


def exact_cdf(mixture, x):
    z = (x[:, None] - mixture.means[:, 0]) / (np.asarray(mixture.sd) * math.sqrt(2))  # (n, K)
    return (1 + np.vectorize(math.erf)(z)) / 2 @ mixture.weights


# ---- integrals ----------------------------------------------------------------------------------------------------


def test_simpson_is_exact_for_cubics_and_right_for_a_density():
    x = np.linspace(-1, 3, 5)
    assert integrate(4 * x**3 - 3 * x**2 + 1, x) == pytest.approx(80 - 28 + 4, abs=1e-12)
    x = np.linspace(0, 3, 13)
    errors = [abs(integrate(np.exp(x), x) - math.expm1(3)) for x in (x, np.linspace(0, 3, 25))]
    assert 14 < errors[0] / errors[1] < 18  # fourth order: 16 times less for half the step
    assert integrate(on(P), X) == pytest.approx(1, abs=1e-12)


def test_distribution_function():
    np.testing.assert_allclose(cdf(on(P), X), exact_cdf(P, X), atol=1e-9)


# ---- the best D ---------------------------------------------------------------------------------------------------


def test_optimal_discriminator_and_its_logits(pair):
    p, q = pair
    logits = optimal_logits(log_on(p), log_on(q))
    np.testing.assert_allclose(optimal_discriminator(on(p), on(q)), 1 / (1 + np.exp(-logits)), atol=1e-12)
    assert optimal_discriminator([3.0, 0.0, 2.0, 0.0], [1.0, 5.0, 0.0, 0.0]).tolist() == [0.75, 0.0, 1.0, 0.5]
    assert optimal_logits([-np.inf, -np.inf, 0.0], [-np.inf, 1.0, -np.inf]).tolist() == [0, -np.inf, np.inf]


def test_logits_are_right_where_the_densities_are_zero_in_floats():
    p, q = mixture_1d([0], 1), mixture_1d([1], 1)
    far = np.array([-60.0, 60.0])
    assert on(p, far).tolist() == [0, 0]
    np.testing.assert_allclose(optimal_logits(log_on(p, far), log_on(q, far)), 0.5 - far, rtol=1e-12)


def test_the_integrand_has_its_maximum_at_the_optimal_discriminator():
    x = np.linspace(-3, 3, 61)
    p, q = on(P, x), on(Q, x)
    best = optimal_discriminator(p, q)
    top, slope, curvature = integrand(best, p, q)
    assert abs(slope).max() < 1e-12 and (curvature < 0).all()
    np.testing.assert_allclose(curvature, -((p + q) ** 3) / (p * q), rtol=1e-9)
    for D in np.linspace(0.02, 0.98, 25):
        f, slope, curvature = integrand(np.full(61, D), p, q)
        assert (f <= top).all()
        (up, up_slope, _), (down, down_slope, _) = (integrand(np.full(61, D + h), p, q) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(curvature, (up_slope - down_slope) / 2e-6, rtol=1e-5)


def test_value_at_the_optimal_discriminator(pair):
    p, q = pair
    expected = gauss(lambda p, q: p * np.log(p / (p + q) + 1e-300) + q * np.log(q / (p + q) + 1e-300), p, q)
    best = optimal_logits(log_on(p), log_on(q))
    assert value(best, on(p), on(q), X) == pytest.approx(expected, abs=1e-6)
    assert value_at_optimum(on(p), on(q), X) == pytest.approx(expected, abs=1e-6)
    r = np.random.default_rng(0)
    margin = 1e-6 if p is not PAIRS["apart"][0] else -1e-12
    for _ in range(5):  # any other D is worth less, and it shows where p and q overlap
        other = best + r.normal() * np.sin(X + r.normal())
        assert value(other, on(p), on(q), X) < expected - margin


def test_value_with_logits_at_infinity_where_they_have_no_weight():
    x = np.linspace(-2, 2, 4001)
    p, q = (abs(x + 1) < 0.5) * 1.0, (abs(x - 1) < 0.5) * 1.0
    with np.errstate(divide="ignore"):
        logits = optimal_logits(np.log(p), np.log(q))
    assert value(logits, p, q, x) == 0
    assert value(-logits, p, q, x) == -np.inf


def test_where_p_is_q_the_best_discriminator_is_one_half():
    p = on(P)
    assert value(0.0, p, p, X) == pytest.approx(-math.log(4), abs=1e-9) == value_at_optimum(p, p, X)
    for c in (-2.0, -0.1, 0.1, 2.0):
        D = 1 / (1 + math.exp(-c))
        assert value(c, p, p, X) == pytest.approx(math.log(D) + math.log(1 - D), abs=1e-9)
        assert value(c, p, p, X) < -math.log(4)


# ---- the saddle ---------------------------------------------------------------------------------------------------


def shifts(t):
    return log_on(mixture_1d([t], 1.0), SHORT)


def weights(t):
    """p has its second mode at weight 0.6; here at 0.6 + t."""
    return log_on(mixture_1d([-1.0, 1.5], [0.6, 0.9], [0.4 - t, 0.6 + t]), SHORT)


SHORT = np.linspace(-9, 9, 601)


@pytest.mark.parametrize("family, reach", [(shifts, 2.0), (weights, 0.3)])
def test_saddle(family, reach):
    t = np.linspace(-reach, reach, 21)
    V, d, g = saddle(family(0.0), family, SHORT, t, t)
    assert V.shape == (21, 21) and abs(d) < 1e-12 and abs(g) < 1e-12
    assert V[10] == pytest.approx(-math.log(4), abs=1e-9)  # D = 1/2: V does not depend on G
    assert (V.argmax(axis=0) == np.arange(21)).all()  # against each G the best D is the one made for it
    p = np.exp(family(0.0))
    diagonal = [value_at_optimum(p, np.exp(family(g)), SHORT) for g in t]
    np.testing.assert_allclose(V.diagonal(), diagonal, atol=1e-9)
    assert (np.diff(V.diagonal()[:11]) < 0).all() and (np.diff(V.diagonal()[10:]) > 0).all()
    assert (np.diff(V[:11, 10]) > 0).all() and (np.diff(V[10:, 10]) < 0).all()


def test_saddle_tells_ds_parameter_from_gs():
    V, d, g = saddle(shifts(0.5), shifts, SHORT, np.array([0.0, 0.5, 1.0]), np.array([0.5, 2.0]))
    assert V.shape == (3, 2) and (d, g) == (0.5, 0.5)
    expected = value(shifts(0.5) - shifts(1.0), np.exp(shifts(0.5)), np.exp(shifts(2.0)), SHORT)
    assert V[2, 1] == pytest.approx(expected, abs=1e-12)


# ---- divergences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m1, s1, m2, s2", [(0, 1, 1, 1), (0, 1, 0, 2), (-1, 0.8, 0.5, 1.3)])
def test_kl_of_two_gaussians(m1, s1, m2, s2):
    expected = math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 1 / 2
    assert kl(normal(m1, s1), normal(m2, s2), X) == pytest.approx(expected, abs=1e-6)


def test_divergences_by_another_quadrature(pair):
    p, q = pair
    if p is not PAIRS["apart"][0]:  # there q falls below the smallest float
        assert kl(on(p), on(q), X) == pytest.approx(gauss(lambda p, q: p * np.log(p / q), p, q), abs=1e-6)
    log = lambda r: np.log(r + 1e-300)
    m_form = gauss(lambda p, q: p * log(2 * p / (p + q)) / 2 + q * log(2 * q / (p + q)) / 2, p, q)
    assert jsd(on(p), on(q), X) == pytest.approx(m_form, abs=1e-6)
    assert pearson(on(p), on(q), X) == pytest.approx(gauss(lambda p, q: (p - q) ** 2 / (p + q), p, q), abs=1e-6)
    overlap = gauss(np.minimum, p, q)
    assert total_variation(on(p), on(q), X) == pytest.approx(1 - overlap, abs=1e-6)


def test_total_variation_of_shifted_gaussians():
    for t in (0.5, 1.0, 3.0):
        expected = math.erf(t / (2 * math.sqrt(2)))
        assert total_variation(normal(0), normal(t), X) == pytest.approx(expected, abs=1e-6)


def test_the_smallest_floats_do_no_harm():
    x = np.linspace(-1, 45, 46_001)
    p, q = normal(3, 0.5, x), normal(4, 0.5, x)  # both pass through 5e-324 on their way to 0
    assert ((q > 0) & (q < 1e-323)).any() and q[-1] == 0
    assert jsd(p, q, x) == pytest.approx(jsd(normal(0), normal(2), X), abs=1e-6)  # only the ratio to sd counts


def test_no_divergence_between_equals():
    for divergence in (kl, jsd, total_variation, pearson, wasserstein):
        assert abs(divergence(on(P), on(P), X)) < 1e-12


# ---- where JSD is blind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [-2.0, 1e-9, 0.5, 7.0])
def test_two_points(t):
    assert two_points(t) == {"jsd": math.log(2), "kl": math.inf, "total_variation": 1, "wasserstein": abs(t)}
    assert two_points(0) == {"jsd": 0, "kl": 0, "total_variation": 0, "wasserstein": 0}


@pytest.mark.parametrize("t", [-2.0, 1.0, 4.0])
def test_narrow_densities_are_as_two_points(t):
    x = np.linspace(-5, 5, 20001)
    p, q = normal(0, 0.01, x), normal(t, 0.01, x)
    assert jsd(p, q, x) == pytest.approx(math.log(2), abs=1e-6)
    assert kl(p, q, x) == math.inf  # in floats: q has underflowed to 0 where p is
    assert total_variation(p, q, x) == pytest.approx(1, abs=1e-6)
    assert pearson(p, q, x) == pytest.approx(2, abs=1e-6)
    assert wasserstein(p, q, x) == pytest.approx(abs(t), abs=1e-6)


# ---- the generator's gradient -------------------------------------------------------------------------------------


def test_saturating_and_non_saturating_factors(backend):
    b = np.linspace(-30, 30, 41)
    minimax, non_saturating, ratio = gradient_factors(b)
    np.testing.assert_allclose(minimax, -1 / (1 + np.exp(-b)), rtol=1e-12)
    np.testing.assert_allclose(non_saturating, -1 / (1 + np.exp(b)), rtol=1e-12)
    np.testing.assert_allclose(ratio, np.exp(b), rtol=1e-12)
    assert [f.shape for f in gradient_factors(b.reshape(41, 1))] == [(41, 1)] * 3
    assert [f.item() for f in gradient_factors(np.array([-6.0]))[:2]] == pytest.approx(
        [-0.002472623, -0.997527377], abs=1e-9
    )
    assert [f.tolist() for f in gradient_factors(np.array([-1e3, 1e3]))] == [[0, -1], [-1, 0], [0, np.inf]]


def derivative(f, h=1e-3):
    """f'(0), to the fourth order in h."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


@pytest.mark.parametrize("t", [-0.7, 0.0, 1.2])
def test_what_g_descends_at_the_optimal_discriminator(t):
    """Arjovsky and Bottou 2017, theorem 2.5, on a family that shifts: q_t(x) = q(x - t)."""
    p, q = on(P), on(Q, X - t)
    logits = log_on(P) - log_on(Q, X - t)
    moved = lambda h: on(Q, X - t - h)
    d_jsd = derivative(lambda h: jsd(p, moved(h), X))
    d_kl = derivative(lambda h: kl(moved(h), p, X))
    assert min(abs(d_jsd), abs(d_kl)) > 1e-3  # a test of nothing otherwise
    assert shift_gradient(losses.minimax, logits, q, X) == pytest.approx(2 * d_jsd, abs=1e-6)
    assert shift_gradient(losses.non_saturating, logits, q, X) == pytest.approx(d_kl - 2 * d_jsd, abs=1e-6)


def test_theorem_2_5_to_the_sixth_digit_where_the_logits_are_straight():
    """Gaussians of one width: D*'s logits are a line, and the difference quotient is exact."""
    for t in (-1.5, 0.4, 3.0):
        logits = t**2 / 2 - t * X
        d_jsd = derivative(lambda h: jsd(normal(0), normal(t + h), X))  # noqa: B023
        assert shift_gradient(losses.minimax, logits, normal(t), X) == pytest.approx(2 * d_jsd, abs=1e-8)
        expected = t - 2 * d_jsd  # KL is t^2 / 2
        assert shift_gradient(losses.non_saturating, logits, normal(t), X) == pytest.approx(expected, abs=1e-8)


def test_far_away_minimax_is_silent_and_the_critic_is_not():
    p, q = normal(-6, 0.4), normal(6, 0.4)
    logits = optimal_logits(log_on(mixture_1d([-6], 0.4)), log_on(mixture_1d([6], 0.4)))
    assert abs(shift_gradient(losses.minimax, logits, q, X)) < 1e-12
    assert shift_gradient(losses.non_saturating, logits, q, X) == pytest.approx(12 / 0.4**2)  # KL's
    assert shift_gradient(losses.wasserstein, critic(p, q, X), q, X) == pytest.approx(1, abs=1e-6)  # W1's
    assert shift_gradient(losses.wasserstein, critic(q, p, X), p, X) == pytest.approx(-1, abs=1e-6)


# ---- Wasserstein --------------------------------------------------------------------------------------------------


def test_w1_of_gaussians():
    for shift in (-2.0, 0.3, 5.0):
        assert wasserstein(normal(0), normal(shift), X) == pytest.approx(abs(shift), abs=1e-6)
    for s in (0.5, 1.6):
        expected = abs(1 - s) * math.sqrt(2 / math.pi)
        assert wasserstein(normal(0), normal(0, s), X) == pytest.approx(expected, abs=1e-6)


def test_w1_by_another_quadrature_and_by_its_dual(pair):
    p, q = pair
    expected = float(WEIGHTS @ abs(exact_cdf(p, POINTS) - exact_cdf(q, POINTS)))
    assert wasserstein(on(p), on(q), X) == pytest.approx(expected, abs=1e-6)
    f = critic(on(p), on(q), X)
    assert abs(np.diff(f)).max() <= (X[1] - X[0]) * (1 + 1e-9)  # 1-Lipschitz
    assert (f[X < -11] == 0).all()  # flat where no mass is to be moved
    assert integrate(f * (on(p) - on(q)), X) == pytest.approx(expected, abs=1e-6)
    r = np.random.default_rng(1)
    for _ in range(20):  # and no other 1-Lipschitz f reaches further
        slope = np.interp(X, np.linspace(-12, 12, 30), r.uniform(-1, 1, 30))
        other = np.concatenate([[0], np.cumsum(slope[1:] * np.diff(X))])
        assert integrate(other * (on(p) - on(q)), X) < expected


@pytest.mark.parametrize("order", [1, 2, 3])
def test_sorting_is_the_cheapest_assignment(order):
    r = np.random.default_rng(order)
    for _ in range(5):
        a, b = r.normal(size=6), 2 * r.normal(size=6) + 1
        cost = min((abs(a - b[list(p)]) ** order).mean() for p in itertools.permutations(range(6)))
        assert wasserstein_samples(a, b, order) == pytest.approx(cost ** (1 / order), abs=1e-12)


@pytest.mark.parametrize("N, M", [(1, 4), (6, 4), (5, 7), (30, 12)])
@pytest.mark.parametrize("order", [1, 2])
def test_samples_of_unequal_sizes_are_as_copies_of_equal_size(N, M, order):
    r = np.random.default_rng(N)
    a, b = r.normal(size=N), r.normal(size=M) + 0.3
    copies = abs(np.sort(np.repeat(a, M)) - np.sort(np.repeat(b, N)))  # N M of each
    expected = (copies**order).mean() ** (1 / order)
    assert wasserstein_samples(a, b, order) == pytest.approx(expected, abs=1e-12)
    assert wasserstein_samples(b, a, order) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("N, M", [(1, 1), (40, 40), (40, 25), (3, 200)])
def test_primal_is_dual_for_samples(N, M):
    r = np.random.default_rng(N + M)
    a, b = r.normal(size=N), r.normal(size=M) - 0.5
    b[0] = a[0]  # a tie
    points, f = critic_samples(a, b)
    assert points.shape == f.shape == (N + M,)
    assert (abs(np.diff(f)) <= np.diff(points) + 1e-12).all()
    dual = np.interp(a, points, f).mean() - np.interp(b, points, f).mean()
    assert dual == pytest.approx(wasserstein_samples(a, b), abs=1e-12)
    assert dual > 0 or N == M == 1


def test_samples_come_close_to_their_densities():
    r = np.random.default_rng(2)
    distance = wasserstein_samples(P.sample(40_000, r)[:, 0], Q.sample(30_000, r)[:, 0])
    assert distance == pytest.approx(wasserstein(on(P), on(Q), X), abs=0.03)


def test_w2_of_shifted_samples_is_the_shift():
    a = np.random.default_rng(3).normal(size=50)
    assert wasserstein_samples(a, a[::-1] + 0.7, 2) == pytest.approx(0.7, abs=1e-12)


# ---- which divergence each game leaves for G ----------------------------------------------------------------------

# f of the f-divergence, integral of q f(p/q), that each loss leaves, as Nowozin et al. 2016 (table 1) write them
F = {
    "cross_entropy": lambda u: u * np.log(u) - (1 + u) * np.log((1 + u) / 2),  # 2 JSD
    "least_squares": lambda u: (u - 1) ** 2 / (u + 1) / 8,
    "hinge": lambda u: abs(u - 1),  # 2 TV
}
LEFT = {
    "non_saturating": (math.log(4), F["cross_entropy"]),
    "minimax": (math.log(4), F["cross_entropy"]),
    "least_squares": (1 / 4, F["least_squares"]),
    "hinge": (2, F["hinge"]),
}


@pytest.mark.parametrize("names", ["mixtures", "shifted"])
@pytest.mark.parametrize("game", losses.GAMES, ids=lambda game: game.name)
def test_what_the_best_response_leaves_for_g(game, names):
    p, q = PAIRS[names]
    x = X if game in (losses.hinge, losses.wasserstein) else X[::5]  # the absolute values in TV and W1 have kinks
    scores, least = best_response(game, on(p, x), on(q, x), x)
    assert expected_losses(game, scores, on(p, x), on(q, x), x)[0] == pytest.approx(least, abs=1e-6)
    if game is losses.wasserstein:
        expected = -float(WEIGHTS @ abs(exact_cdf(p, POINTS) - exact_cdf(q, POINTS)))
    else:
        constant, f = LEFT[game.name]
        expected = constant - gauss(lambda p, q: q * f(p / q), p, q)
    assert least == pytest.approx(expected, abs=1e-6)


COARSE = np.linspace(-10, 10, 401)


@pytest.mark.parametrize("game", losses.GAMES[:4], ids=lambda game: game.name)
def test_no_other_response_is_better(game):
    p, q = on(P, COARSE), on(Q, COARSE)
    scores, _ = best_response(game, p, q, COARSE)
    least = expected_losses(game, scores, p, q, COARSE)[0]
    r = np.random.default_rng(4)
    for _ in range(4):
        assert expected_losses(game, scores + r.normal() * np.cos(r.normal() * COARSE), p, q, COARSE)[0] > least


def test_expected_losses_are_those_of_minigan_losses(backend):
    """On both backends: the integral of the formulas, with scores that are nobody's best."""
    p, q, s = on(P, COARSE), on(Q, COARSE), np.sin(COARSE) + 0.3
    mean = lambda density, f: integrate(density * f, COARSE)
    expected = {
        "minimax": (mean(p, np.log1p(np.exp(-s))) + mean(q, np.log1p(np.exp(s))), -mean(q, np.log1p(np.exp(s)))),
        "least_squares": (mean(p, (s - 1) ** 2) / 2 + mean(q, s**2) / 2, mean(q, (s - 1) ** 2) / 2),
        "hinge": (mean(p, np.maximum(0, 1 - s)) + mean(q, np.maximum(0, 1 + s)), -mean(q, s)),
    }
    for name, both in expected.items():
        assert expected_losses(getattr(losses, name), s, p, q, COARSE) == pytest.approx(both, abs=1e-9)
    assert expected_losses(losses.minimax, s, p, q, COARSE)[0] == pytest.approx(-value(s, p, q, COARSE), abs=1e-9)


def test_gs_own_loss_at_the_best_discriminator():
    """For one, the non-saturating: KL(q || p) - KL(q || m) + log 2."""
    cases = {
        "minimax": lambda p, q: q * np.log(q / (p + q)),
        "non_saturating": lambda p, q: q * np.log(q / p) - q * np.log(2 * q / (p + q)) + math.log(2) * q,
        "least_squares": lambda p, q: q**3 / (p + q) ** 2 / 2,
    }
    x = np.linspace(-12, 12, 1201)
    for name, formula in cases.items():
        game = getattr(losses, name)
        scores, _ = best_response(game, on(P, x), on(Q, x), x)
        of_g = expected_losses(game, scores, on(P, x), on(Q, x), x)[1]
        assert of_g == pytest.approx(gauss(formula, P, Q), abs=1e-6)


def test_least_squares_is_pearson_for_both_choices_of_labels(pair):
    p, q = pair
    chi2 = gauss(lambda p, q: (2 * q - (p + q)) ** 2 / (p + q), p, q)
    assert least_squares_objective(on(p), on(q), X) == pytest.approx(chi2, abs=1e-6)
    assert least_squares_objective(on(p), on(q), X, 0, 1, 1) == pytest.approx(1 / 2 + chi2 / 4, abs=1e-6)
    a, b, c = 0.2, 1.5, 0.4
    general = gauss(lambda p, q: ((b - c) * p + (a - c) * q) ** 2 / (p + q), p, q)  # Mao et al. 2017, eq. 7
    assert least_squares_objective(on(p), on(q), X, a, b, c) == pytest.approx(general, abs=1e-6)


# ---- bad input ----------------------------------------------------------------------------------------------------

p, q = on(P), on(Q)
BAD = {
    "negative density": (lambda: kl(p - 0.01, q, X), "p is a density, finite and never negative.*-0.01"),
    "density with nan": (lambda: jsd(p, q * np.nan, X), "q is a density, finite"),
    "unequal lengths": (lambda: jsd(p[:-2], q, X), r"different shapes.*p \(7999,\)"),
    "unequal pointwise": (lambda: optimal_discriminator(p, q[:-2]), "different shapes"),
    "negative pointwise": (lambda: optimal_discriminator([0.5], [-0.5]), "q is a density"),
    "unequal logs": (lambda: optimal_logits(p, q[:-2]), "same points"),
    "D of 1": (lambda: integrand(np.ones(8001), p, q), "strictly between 0 and 1"),
    "falling grid": (lambda: cdf(p[::-1], X[::-1]), "rise in equal steps"),
    "unsorted grid": (lambda: integrate(p, np.random.default_rng(0).permutation(X)), "rise in equal steps"),
    "unequal steps": (lambda: integrate(p, X**3), "rise in equal steps"),
    "even grid": (lambda: integrate(p[:-1], X[:-1]), "odd number of points"),
    "two-dimensional grid": (lambda: integrate(p, X[:, None]), "rise in equal steps"),
    "function of another length": (lambda: integrate(p[:-2], X), r"shape \(7999,\), but the grid has \(8001,\)"),
    "another grid": (lambda: jsd(p, q, X[1000:-1000]), "different shapes"),
    "mass outside": (lambda: wasserstein(p[3200:-1600], q[3200:-1600], X[3200:-1600]), "integrates to 0.9.*wider"),
    "logits of another length": (lambda: value(p[:-2], p, q, X), "one number a point"),
    "logits with nan": (lambda: value(p * np.nan, p, q, X), "not finite"),
    "infinite scores": (lambda: expected_losses(losses.hinge, p / 0.0, p, q, X), "clip it"),
    "no samples": (lambda: wasserstein_samples([], [1.0]), "at least one each"),
    "samples in columns": (lambda: critic_samples(np.ones((3, 1)), np.ones(3)), "numbers on a line"),
    "order": (lambda: wasserstein_samples([0.0], [1.0], 0.5), "at least 1, but got 0.5"),
    "smoothed game": (lambda: best_response(losses.smooth(losses.minimax), p, q, X), "minigan.losses.GAMES"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_refused_in_a_sentence(case):
    call, sentence = BAD[case]
    with pytest.raises(ValueError, match=sentence):
        call()
