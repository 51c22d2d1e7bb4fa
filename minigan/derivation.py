"""The derivation, executable: what the papers prove about the game, as functions of two densities on a line.

p is the density of real samples, q that of G's. Both are given by their values on a grid x, which stands for the
whole line: an odd number of points in equal steps, wide enough to hold both densities. Integrals are composite
Simpson sums over it. D is optimal wherever it is not given: no network, nothing trained, so that a trained one can
be held against the truth. Everything here is host NumPy in float64; logarithms are natural.

    toy = minigan.data.toy.mixture_1d([-1, 1], 0.5)
    x = np.linspace(-8, 8, 4001)
    p = toy.density(x[:, None])

n points of the grid, N real samples, M fake ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minigan import losses
from minigan.backend import to_device, to_host, xp
from minigan.losses import Loss

# ---- integrals --------------------------------------------------------------------------------------------------


def integrate(f: np.ndarray, x: np.ndarray) -> float:
    """The integral of f (n,) over the grid x (n,) by composite Simpson: step/3 (1 4 2 4 ... 4 1).

    Raises ValueError when x does not rise in equal steps, has an even number of points, or is not as long as f.
    """
    f, x = np.asarray(f, dtype=np.float64), _grid(x)
    if f.shape != x.shape:
        raise ValueError(f"The function has shape {f.shape}, but the grid has {x.shape}: evaluate it at its points.")
    weights = np.full(len(x), 2.0)
    weights[1::2] = 4
    weights[[0, -1]] = 1
    return float(weights @ f * (x[-1] - x[0]) / (len(x) - 1) / 3)


def cdf(p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """F(x) = integral of p up to x, (n,): trapezoids, and Euler-Maclaurin's h^2/12 p' for what they leave."""
    x, p = _densities(x, p=p)
    h = x[1] - x[0]
    slope = np.gradient(p, h, edge_order=2)
    trapezoids = np.concatenate([[0.0], np.cumsum((p[1:] + p[:-1]) * h / 2)])
    return trapezoids - h**2 / 12 * (slope - slope[0])


# ---- the best D, and what the game is worth then ----------------------------------------------------------------


def optimal_discriminator(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D* = p / (p + q)        (Goodfellow et al. 2014, proposition 1)

    What D learns is the ratio of two densities. Where both are 0 every D is as good, and this one says 1/2.
    Raises ValueError for negative densities or different shapes.
    """
    p, q = _values(p=p, q=q)
    return np.divide(p, p + q, out=np.full(p.shape, 0.5), where=p + q > 0)


def optimal_logits(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """log p - log q, D*'s logit: exact where p / (p + q) is already 0 or 1 in floating point.

    It takes log densities (toy.log_density). Where both are minus infinity it is 0. Raises ValueError for
    different shapes.
    """
    log_p, log_q = np.asarray(log_p, dtype=np.float64), np.asarray(log_q, dtype=np.float64)
    if log_p.shape != log_q.shape:
        raise ValueError(f"log p has shape {log_p.shape} and log q {log_q.shape}: evaluate both at the same points.")
    nowhere = np.isneginf(log_p) & np.isneginf(log_q)
    return np.subtract(log_p, log_q, out=np.zeros(log_p.shape), where=~nowhere)


def integrand(D: np.ndarray, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p log D + q log(1 - D), its slope p/D - q/(1 - D) and its curvature -p/D^2 - q/(1 - D)^2, at each point.

    D is free at every x, so V is maximal where each point's integrand is: there the slope is 0, and the curvature
    is negative everywhere (Goodfellow et al. 2014, proof of proposition 1). Raises ValueError unless 0 < D < 1.
    """
    p, q = _values(p=p, q=q)
    D = np.asarray(D, dtype=np.float64)
    if not ((D > 0) & (D < 1)).all():
        raise ValueError("D is a probability strictly between 0 and 1 here; keep away from its ends.")
    return p * np.log(D) + q * np.log(1 - D), p / D - q / (1 - D), -p / D**2 - q / (1 - D) ** 2


def value(logits: np.ndarray | float, p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """V(D, G) = E_p log D + E_q log(1 - D), with D = sigmoid(logits)        (Goodfellow et al. 2014, eq. 1)

    logits (n,), or one number for a D that is the same everywhere. D maximises V and G minimises it. Raises
    ValueError for logits of another length, and for densities that are none.
    """
    x, p, q = _densities(x, p=p, q=q)
    s = _scores(logits, x, finite=False)  # log 0 is allowed where it has no weight
    return integrate(_times(p, -np.logaddexp(0, -s)) + _times(q, -np.logaddexp(0, s)), x)


def value_at_optimum(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """V(D*, G) = -log 4 + 2 JSD(p, q)        (Goodfellow et al. 2014, theorem 1)

    So against the best D, G's task is to bring q to p: the least value, -log 4, is reached there and only there.
    """
    return -math.log(4) + 2 * jsd(p, q, x)


class Saddle(NamedTuple):
    """V (I, J) over D's parameters d (I,) and G's parameters g (J,), and its saddle point (d, g)."""

    V: np.ndarray
    d: float
    g: float


def saddle(
    log_p: np.ndarray, family: Callable[[float], np.ndarray], x: np.ndarray, d: np.ndarray, g: np.ndarray
) -> Saddle:
    """The game as a landscape: min over g of max over d of V(D_d, q_g)        (Goodfellow et al. 2014, eq. 1)

    G has one parameter: family(g) is log q_g on the grid, (n,). So has D: D_d is the best D against q_d, what D
    learned when G stood at d, and V(D*, G) lies on the diagonal. Where the family holds p, the saddle is there, at
    -log 4: D is 1/2, any other D is worth less, and no move of G changes V.
    """
    p, fakes = np.exp(log_p), [np.exp(family(t)) for t in g]
    V = np.array([[value(optimal_logits(log_p, family(t)), p, q, x) for q in fakes] for t in d])
    j = V.max(axis=0).argmin()
    return Saddle(V, float(d[V[:, j].argmax()]), float(g[j]))


# ---- divergences ------------------------------------------------------------------------------------------------


def kl(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """KL(p || q) = integral of p log(p / q)

    Infinite where G misses something real: q = 0 < p. (So it is where q is too small for a float.)
    """
    x, p, q = _densities(x, p=p, q=q)
    return integrate(_kl_integrand(p, q), x)


def jsd(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """JSD(p, q) = KL(p || m) / 2 + KL(q || m) / 2, m = (p + q) / 2: from 0 (p = q) to log 2 (nothing in common)."""
    x, p, q = _densities(x, p=p, q=q)
    return integrate(_jsd_integrand(p, q), x)


def total_variation(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """TV(p, q) = integral of |p - q| / 2: the largest difference that p and q can give to one event, from 0 to 1."""
    x, p, q = _densities(x, p=p, q=q)
    return integrate(abs(p - q) / 2, x)


def pearson(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """chi^2(p + q || 2q) = integral of (p - q)^2 / (p + q): from 0 to 2        (Mao et al. 2017, section 3.2)"""
    x, p, q = _densities(x, p=p, q=q)
    return integrate(np.divide((p - q) ** 2, p + q, out=np.zeros(p.shape), where=p + q > 0), x)


def two_points(t: float) -> dict[str, float]:
    """All of p at 0, all of q at t: what each distance tells G about t        (after Arjovsky et al. 2017, example 1)

    JSD is log 2, KL infinite and TV 1 wherever q is, so their slope is 0 and G learns nothing; W1 is |t|.
    """
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0] if t else [1.0, 0.0])  # on the points 0 and t
    return {
        "jsd": float(_jsd_integrand(p, q).sum()),
        "kl": float(_kl_integrand(p, q).sum()),
        "total_variation": float(abs(p - q).sum() / 2),
        "wasserstein": wasserstein_samples(np.zeros(1), np.array([t])),
    }


# ---- the generator's gradient -----------------------------------------------------------------------------------


def gradient_factors(fake_logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What G's two losses pass back to a fake's logit b, and saturating over non-saturating: each as fake_logits.

    minimax: -sigmoid(b)        non-saturating: -sigmoid(-b)        ratio: exp(b)
    Early on D is sure of the fakes, b is far below 0, and minimax has next to nothing left (Goodfellow et al. 2014,
    section 3). The numbers come from minigan.losses.
    """
    minimax = _slopes(losses.minimax, fake_logits)
    non_saturating = _slopes(losses.non_saturating, fake_logits)
    with np.errstate(divide="ignore"):  # above b = 745 the second is 0, and the ratio infinite
        return minimax, non_saturating, minimax / non_saturating


def shift_gradient(loss: Loss, scores: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """d/dt of G's loss when every fake moves by t and D stays: E_q[l'(s(x)) s'(x)], with s D's output, scores (n,).

    It is what a G step sees: the gradient passes through D to its input, and D is not told. At s = log p - log q
    minimax        gives d/dt 2 JSD(p, q_t)
    non-saturating gives d/dt [KL(q_t || p) - 2 JSD(p, q_t)]        (Arjovsky and Bottou 2017, theorem 2.5)
    There -2 JSD pushes q away from p, and near p = q the KL outweighs it. This KL punishes fakes where p is small
    and forgives a mode that G has dropped.
    """
    x, q = _densities(x, q=q)
    s = _scores(scores, x)
    return integrate(_times(q, _slopes(loss, s) * np.gradient(s, x, edge_order=2)), x)


# ---- Wasserstein: how far the mass must travel ------------------------------------------------------------------


def wasserstein(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """W1(p, q) = integral of |F - G|, with F and G the distribution functions        (Vallender 1974)

    |F - G| at x is the mass that must pass x, whichever way. Its unit is x's.
    """
    return integrate(abs(cdf(p, x) - cdf(q, x)), x)


def critic(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The best 1-Lipschitz f, (n,): f' = sign(G - F), f(x_0) = 0        (the dual: Arjovsky et al. 2017, eq. 2)

    E_p f - E_q f = integral of f' (G - F), by parts; no slope within +-1 makes it more than W1, and this one reaches
    it. Flat where F = G (to 1e-12): no mass passes.
    """
    gap = np.round(cdf(q, x) - cdf(p, x), 12)
    both = abs(gap[1:]) + abs(gap[:-1])
    # a step's mean of sign(gap): +-1, and between where the straight line from one gap to the next crosses 0
    slope = np.divide(gap[1:] + gap[:-1], both, out=np.zeros(both.shape), where=both > 0)
    return np.concatenate([[0.0], np.cumsum(slope * np.diff(x))])


def wasserstein_samples(x_real: np.ndarray, x_fake: np.ndarray, order: float = 1) -> float:
    """W_k of samples (N,) and (M,): (mean of |x_real - x_fake|^k over pairs in sorted order)^(1/k), k the order.

    On a line the cheapest way to move one heap into another keeps the order. For N != M the quantile functions are
    compared, piece by piece where both are constant. Raises ValueError for empty or two-dimensional samples, or an
    order below 1.
    """
    a, b = _sorted_samples(x_real, x_fake)
    if order < 1:
        raise ValueError(f"The order of a Wasserstein distance is at least 1, but got {order}.")
    N, M = len(a), len(b)
    level = np.union1d(M * np.arange(1, N + 1), N * np.arange(1, M + 1))  # of N M: where either quantile jumps
    pieces = np.diff(level, prepend=0) / (N * M)
    gap = abs(a[(level - 1) // M] - b[(level - 1) // N])
    return float((pieces @ gap**order) ** (1 / order))


def critic_samples(x_real: np.ndarray, x_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best 1-Lipschitz f between samples (N,) and (M,): the N + M points in order, and f at each.

    mean f(x_real) - mean f(x_fake) = W1, the dual reaching the primal. np.interp(x, points, f) is f anywhere.
    """
    a, b = _sorted_samples(x_real, x_fake)
    points = np.sort(np.concatenate([a, b]))
    below_a, below_b = (np.searchsorted(s, points[:-1], side="right") for s in (a, b))
    slope = np.sign(below_b * len(a) - below_a * len(b))  # of G - F, in whole numbers: a tie is a tie
    return points, np.concatenate([[0.0], np.cumsum(slope * np.diff(points))])


# ---- which divergence each game leaves for G --------------------------------------------------------------------


def best_response(loss: Loss, p: np.ndarray, q: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """D's best output in this game, (n,), and the least that its loss can be: a constant minus a divergence.

    minimax, non_saturating   log p - log q     log 4 - 2 JSD(p, q)             (Goodfellow et al. 2014, theorem 1)
    least_squares             p / (p + q)       1/4 - chi^2(p + q || 2q) / 8    (after Mao et al. 2017, section 3.2)
    hinge                     sign(p - q)       2 - 2 TV(p, q)                  (the integral of 2 min(p, q))
    wasserstein               the critic        -W1(p, q)                       (Arjovsky et al. 2017, eq. 2)
    To choose a loss is to choose the divergence that G is to make small (Nowozin et al. 2016). The first three are
    f-divergences, integrals of q f(p / q), and blind to how far apart p and q lie once they do not overlap. The
    logits are kept within +-1000. Raises ValueError for a game that is not in minigan.losses.GAMES.
    """
    x, p, q = _densities(x, p=p, q=q)
    if loss.discriminator is losses.cross_entropy_discriminator:
        with np.errstate(divide="ignore"):
            logits = optimal_logits(np.log(p), np.log(q))
        return np.clip(logits, -1000, 1000), math.log(4) - 2 * jsd(p, q, x)
    if loss.discriminator is losses.least_squares_discriminator:
        return optimal_discriminator(p, q), 1 / 4 - pearson(p, q, x) / 8
    if loss.discriminator is losses.hinge_discriminator:
        return np.sign(p - q), 2 - 2 * total_variation(p, q, x)
    if loss.discriminator is losses.wasserstein_discriminator:
        return critic(p, q, x), -wasserstein(p, q, x)
    raise ValueError(f"No divergence is written down for the game {loss.name}; take one of minigan.losses.GAMES.")


def expected_losses(
    loss: Loss, scores: np.ndarray | float, p: np.ndarray, q: np.ndarray, x: np.ndarray
) -> tuple[float, float]:
    """D's and G's loss with the batch's mean replaced by the integral: what training would see in endless batches.

    scores: D's output on the grid, (n,) or one number. The functions of minigan.losses are called at every point.
    """
    x, p, q = _densities(x, p=p, q=q)
    s = to_device(_scores(scores, x))
    zero, each = 0 * s[:1], [s[i : i + 1] for i in range(len(x))]
    both = to_host(loss.discriminator(zero, zero)[0])
    on_real = to_host(xp.stack([loss.discriminator(one, zero)[0] for one in each])) - both
    on_fake = to_host(xp.stack([loss.discriminator(zero, one)[0] for one in each])) - both
    of_g = to_host(xp.stack([loss.generator(one)[0] for one in each]))
    return integrate(p * on_real + q * on_fake, x) + float(both), integrate(q * of_g, x)


def least_squares_objective(
    p: np.ndarray, q: np.ndarray, x: np.ndarray, a: float = -1.0, b: float = 1.0, c: float = 0.0
) -> float:
    """2 C(G) = E_p (D* - c)^2 + E_q (D* - c)^2,  D* = (b p + a q) / (p + q)        (Mao et al. 2017, eq. 6-8)

    a, b: D's labels for fake and real; c: the label that G wants. The first term does not depend on G when D is
    held. With b - c = 1 and b - a = 2, as in (-1, 1, 0), it is chi^2(p + q || 2q); with minigan's labels (0, 1, 1)
    it is 1/2 + chi^2 / 4: the same divergence.
    """
    x, p, q = _densities(x, p=p, q=q)
    D = a + (b - a) * optimal_discriminator(p, q)
    return integrate((p + q) * (D - c) ** 2, x)


# ---- inside -----------------------------------------------------------------------------------------------------


def _kl_integrand(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """p log(p / q): 0 where p is, infinite where q = 0 < p."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # not p > 0: half of the smallest float is 0, and the JSD would be infinite
        return np.where(p > np.finfo(np.float64).tiny, p * (np.log(p) - np.log(q)), 0.0)


def _jsd_integrand(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    m = (p + q) / 2
    return (_kl_integrand(p, m) + _kl_integrand(q, m)) / 2


def _times(p: np.ndarray, f: np.ndarray) -> np.ndarray:
    """p f, and 0 where p = 0, though f may be infinite there."""
    return np.multiply(p, f, out=np.zeros(p.shape), where=p > 0)


def _slopes(loss: Loss, scores: np.ndarray) -> np.ndarray:
    """l'(s) of G's loss at each score: the gradient of the mean, times their number."""
    scores = np.asarray(scores, dtype=np.float64)
    return to_host(loss.generator(to_device(scores))[1]) * scores.size


def _grid(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    steps = np.diff(x) if x.ndim == 1 else np.zeros(1)
    if len(steps) < 2 or len(steps) % 2 or not (steps > 0).all() or np.ptp(steps) > 1e-6 * steps.mean():
        raise ValueError(
            "A grid is an odd number of points, at least 3, that rise in equal steps, as np.linspace(-8, 8, 4001)."
        )
    return x


def _values(**densities: np.ndarray) -> list[np.ndarray]:
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in densities.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"The densities have different shapes, {shapes}: evaluate them at the same points.")
    for name, array in arrays.items():
        wrong = array[~(np.isfinite(array) & (array >= 0))]
        if wrong.size:
            raise ValueError(
                f"{name} is a density, finite and never negative, but one of its values is {wrong[0]:g}."
            )
    return list(arrays.values())


def _densities(x: np.ndarray, **densities: np.ndarray) -> list[np.ndarray]:
    """The grid and the densities, checked: one value a point, and all of the mass on the grid."""
    x = _grid(x)
    arrays = _values(x=np.zeros(x.shape), **densities)[1:]
    for name, array in zip(densities, arrays):
        mass = integrate(array, x)
        if abs(mass - 1) > 1e-3:
            raise ValueError(
                f"{name} integrates to {mass:.4g} over this grid, not to 1: make the grid wider, or its steps finer."
            )
    return [x, *arrays]


def _scores(scores: np.ndarray | float, x: np.ndarray, finite: bool = True) -> np.ndarray:
    s = np.asarray(scores, dtype=np.float64)
    if s.shape not in ((), x.shape):
        raise ValueError(
            f"D's output has shape {s.shape}, but the grid has {x.shape}: one number a point, or just one."
        )
    if np.isnan(s).any() or (finite and np.isinf(s).any()):
        raise ValueError("D's output is not finite everywhere: clip it, np.clip(logits, -1000, 1000).")
    return np.full(x.shape, s)


def _sorted_samples(x_real: np.ndarray, x_fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(x_real, dtype=np.float64), np.asarray(x_fake, dtype=np.float64)
    if a.ndim != 1 or b.ndim != 1 or not a.size or not b.size:
        raise ValueError(
            f"Samples are numbers on a line, (N,) and (M,), at least one each, not {a.shape} and {b.shape}."
        )
    return np.sort(a), np.sort(b)
