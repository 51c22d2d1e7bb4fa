"""How GANs move: the smallest game there is, played by minigan's own layers, losses, penalties, steps and optimizers.

In the Dirac-GAN (Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", section 2) the
data are one point, x_real = 0. G draws one point, G(z) = theta, and D is a straight line, D(x) = psi x. So the game
is a plane, a training method is a field of arrows on it, and whether play ends at the solution (0, 0) can be seen,
and computed from eigenvalues. With the loss wasserstein this is the bilinear game, theta psi. No game's gradient is
typed here: all come from d_step and g_step, so the small game also proves the code of the large ones.

    python -m minigan.dynamics        ours beside the end points of that paper's own code

point: (theta, psi), psi being the one weight of D's Dense; the logit psi x is positive where D takes x for real.
v: the field, the players' gradient descent directions.  h: learning rate.  N: samples in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigan.backend import Array, rng, to_device, to_host, xp
from minigan.layers import Dense
from minigan.layers.base import Diagonal, Layer
from minigan.losses import Loss, minimax, non_saturating, wasserstein
from minigan.network import Network, Sequential
from minigan.optim import SGD, Optimizer
from minigan.penalty import Penalty, gradient_penalty, r1
from minigan.steps import d_step, g_step

PLAYS = ("simultaneous", "alternating", "extragradient")
NODES = 32  # of the Gauss-Hermite quadrature, for instance noise

# ---- the two networks ----------------------------------------------------------------------------------------------


class Point(Layer):
    """y = theta, whatever z is        z (N, ...)   theta (1,)   y (N, 1)        the generator of the Dirac-GAN"""

    def __init__(self) -> None:
        super().__init__()
        self.add_param("theta", xp.zeros(1, dtype="float32"))

    def forward(self, x, train=True):
        theta = self.params["theta"]
        return xp.zeros((len(x), 1), dtype=theta.dtype) + theta, x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["theta"] += dy.sum(axis=0)  # (N, 1) -> (1,): every sample is theta
        return xp.zeros_like(cache) if input_grad else None

    def output_shape(self, shape):
        return (1,)


class Shift(Diagonal):
    """y_n = x_n + eps_n        x, eps (N, 1)        instance noise of D's input, with noise values that are given"""

    def __init__(self, eps: Array) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x, train=True):
        return x + self.eps.astype(x.dtype), None

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy if input_grad else None


def weighted(loss: Loss, weights: Sequence[float]) -> Loss:
    """The same game, where sample n of the batch counts weights[n] instead of 1 / N.

    Each sample goes through the loss alone, so this is right for every loss that is a mean over samples.
    """
    rows = [slice(n, n + 1) for n in range(len(weights))]

    def total(parts):  # (value, gradient on a logit, ...) of each sample
        values, *gradients = zip(*([w * a for a in part] for w, part in zip(weights, parts)))
        return sum(values), *(xp.concatenate(g) for g in gradients)

    return Loss(
        f"{loss.name}, weighted",
        lambda real_logits, fake_logits: total([loss.discriminator(real_logits[r], fake_logits[r]) for r in rows]),
        lambda fake_logits: total([loss.generator(fake_logits[r]) for r in rows]),
    )


def slope_penalty(gamma: float, target: float = 1.0) -> Penalty:
    """P = gamma / 2 (|psi| - target)^2, as Mescheder et al. 2018 write WGAN-GP's.

    The library's penalty is weight (|g| - 1)^2, and |psi| - t = t (|psi / t| - 1): it is asked about D / t.
    Raises ValueError unless target > 0; with target 0 it would be `r1(gamma)`.
    """
    if not target > 0:
        raise ValueError(f"The target slope is positive, but got {target}; for a flat D take r1.")

    def penalty(D: Network, x_real: Array, x_fake: Array) -> Array:
        scaled = D.copy()
        scaled.theta = D.theta / target
        scaled.zero_grad()
        value = gradient_penalty(scaled, x_real, "wgan-gp", gamma / 2 * target**2)
        D.grad += scaled.grad / target  # dP/dpsi = dP/d(psi / t) / t
        return value

    return penalty


# ---- the game ------------------------------------------------------------------------------------------------------


class Still(Optimizer):
    """Makes no step: d_step and g_step then leave their gradients in `grad`, and the networks where they are."""

    def __init__(self) -> None:
        pass

    def step(self) -> None:
        pass


class DiracGAN:
    """G(z) = theta against D(x) = psi x at x_real = 0, in float64, as a field of arrows on the plane (theta, psi).

    loss       any of minigan.losses: minimax ("GAN" in the literature on the Dirac-GAN), non_saturating, wasserstein
    penalty    of minigan.penalty, as for d_step: r1(gamma), r2(gamma), wgan_gp(rng, weight); or slope_penalty
    noise      sd of instance noise on all that D sees: the expectation over x + eps, eps ~ N(0, noise^2), by
               Gauss-Hermite quadrature: the batch is its nodes, weighted in the loss, and nothing is drawn. With
               32 nodes v is right to 1e-11 where noise |psi| < 1, to 1e-6 where it is 2 (Sønderby et al. 2017)
    consensus  gamma: v becomes v - gamma grad(|v|^2 / 2) = v - gamma J^T v (Mescheder et al. 2017, section 4)
    clip       psi is clipped to [-clip, clip] after each step (Arjovsky et al. 2017, algorithm 1); None: it is not

    Raises ValueError when noise or consensus is negative, or clip not positive.
    """

    def __init__(
        self,
        loss: Loss,
        penalty: Penalty | None = None,
        noise: float = 0.0,
        consensus: float = 0.0,
        clip: float | None = None,
    ) -> None:
        if noise < 0 or consensus < 0:
            raise ValueError(f"noise and consensus cannot be negative, but got {noise} and {consensus}.")
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is the largest |psi|, a positive number, but got {clip}.")
        self.loss, self.penalty, self.consensus, self.clip = loss, penalty, consensus, clip
        layers = [Dense(1, 1, bias=False, rng=rng(0))]
        self.x_real = to_device(np.zeros((1, 1)))
        if noise:
            nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
            layers.insert(0, Shift(to_device(noise * nodes[:, None])))  # (N, 1)
            self.loss = weighted(loss, (weights / weights.sum()).tolist())
            self.x_real = to_device(np.zeros((NODES, 1)))
        self.z = self.x_real  # G does not look at it
        self.G = Sequential(Point()).astype("float64")
        self.D = Sequential(*layers).astype("float64")

    @property
    def point(self) -> np.ndarray:
        """(theta, psi), where the two networks stand. Assigning moves them there."""
        return np.concatenate([to_host(self.G.theta), to_host(self.D.theta)])

    @point.setter
    def point(self, value: np.ndarray) -> None:
        if value.shape != (2,):
            raise ValueError(f"A point is (theta, psi), two numbers, but got an array of shape {value.shape}.")
        self.G.theta, self.D.theta = to_device(value[:1]), to_device(value[1:])

    def field(self, points: Any) -> np.ndarray:
        """v at each of the points, (..., 2) -> (..., 2); the networks stay where they are.

        Raises ValueError when the last axis is not (theta, psi).
        """
        points = np.asarray(points, dtype=np.float64)
        if points.shape[-1:] != (2,):
            raise ValueError(f"A point is (theta, psi), so points are (..., 2), but got {points.shape}.")
        here = self.point
        v = [self._arrow(point) for point in points.reshape(-1, 2)]
        self.point = here
        return np.reshape(v, points.shape)

    def _arrow(self, point: np.ndarray) -> np.ndarray:
        """v at one point, whatever the method."""
        v = self._descent(point)
        if self.consensus:
            v = v - self.consensus * jacobian(self._descent, point).T @ v
        return v

    def _descent(self, point: np.ndarray) -> np.ndarray:
        """(-dL_G/dtheta, -dL_D/dpsi), from the steps that train the large networks."""
        self.point = point
        g_step(self.G, self.D, Still(), self.loss, self.z)
        d_step(self.G, self.D, Still(), self.loss, self.x_real, self.z, penalty=self.penalty)
        return -np.concatenate([to_host(self.G.grad), to_host(self.D.grad)])


def jacobian(f: Callable[[np.ndarray], np.ndarray], point: Any, h: float = 2e-3) -> np.ndarray:
    """J[i, j] = df_i / dpoint_j of a map of the plane, (2,) -> (2,), such as `game.field`: (2, 2).

    Central differences at h and h / 2, extrapolated, so that the error falls with h^4: some 1e-12 for a smooth f.
    """
    point = np.asarray(point, dtype=np.float64)

    def difference(step):  # step (2,)
        return (f(point + step) - f(point - step)) / (2 * abs(step).sum())

    return np.stack([(4 * difference(e / 2) - difference(e)) / 3 for e in h * np.eye(2)], axis=1)


def eigenvalues(f: Callable[[np.ndarray], np.ndarray], point: Any = (0.0, 0.0)) -> np.ndarray:
    """The two eigenvalues of f's Jacobian at a point, complex, sorted by real part: (2,).

    Of `game.field` at the solution (0, 0): from nearby, play with small enough steps ends there if both real parts
    are negative. Of one turn of play, `lambda point: trajectory(game, point, 1, h)[-1]`: play with this h ends there
    if both lie inside the unit circle (Mescheder et al. 2018, section 2).
    """
    return np.sort_complex(np.linalg.eigvals(jacobian(f, point)))


def trajectory(
    game: DiracGAN,
    start: Any,
    steps: int,
    lr: float,
    play: str = "simultaneous",
    optimizer: Callable[[Network, float], Optimizer] = SGD,
    n_d: int = 1,
    n_g: int = 1,
) -> np.ndarray:
    """Play from `start`, (theta, psi), for so many turns: the points passed, start included, (steps + 1, 2).

    play       "simultaneous": both step by the arrow at the same point. "alternating": G makes n_g steps, then D
               makes n_d, each seeing the other's last. "extragradient": both step ahead, look at the arrow there,
               go back, and step by that arrow (Korpelevich 1976; Gidel et al. 2019, "A Variational Inequality
               Perspective on GANs", section 3)
    optimizer  a class of minigan.optim, called with (network, lr) for either player; partial(Momentum, momentum=-0.3)
               where it needs more. In extragradient play it steps twice a turn, moments included

    Raises ValueError for another play, for a start that is no point, and for n_d or n_g in other than alternating
    play.
    """
    if play not in PLAYS:
        raise ValueError(f'There is no play "{play}"; there are {", ".join(PLAYS)}.')
    if min(n_d, n_g) < 1 or (play != "alternating" and (n_d, n_g) != (1, 1)):
        raise ValueError(f"n_d and n_g are steps a turn in alternating play, 1 or more, but got {n_d} and {n_g}.")
    optimizers = {network: optimizer(network, lr) for network in (game.G, game.D)}

    def step(network: Network, v: np.ndarray) -> None:
        network.grad[...] = to_device(-v)
        optimizers[network].step()
        if game.clip is not None:
            game.D.theta = xp.clip(game.D.theta, -game.clip, game.clip)

    def step_both(v: np.ndarray) -> None:
        step(game.G, v[:1])
        step(game.D, v[1:])

    game.point = np.asarray(start, dtype=np.float64)
    points = [game.point]
    for _ in range(steps):
        if play == "alternating":
            for _ in range(n_g):
                step(game.G, game.field(game.point)[:1])
            for _ in range(n_d):
                step(game.D, game.field(game.point)[1:])
        else:
            step_both(game.field(game.point))
        if play == "extragradient":
            v_ahead, game.point = game.field(game.point), points[-1]
            step_both(v_ahead)
        points.append(game.point)
    return np.stack(points)


# ---- beside the paper's own code -----------------------------------------------------------------------------------

LR, TURNS, START = 0.2, 500, (1.0, -1.0)
MESCHEDER = {  # method: the game, then theta and psi where simultaneous and alternating play end in their code
    "GAN": (dict(loss=minimax), "-2.161611282 -2.217775397", "0.6868336612 1.244007294"),
    "NSGAN": (dict(loss=non_saturating), "0.548337319 0.3304410558", "0.204888492 0.1965533328"),
    "WGAN, clip 1": (dict(loss=wasserstein, clip=1.0), "-0.06564078219 1", "0.9790762973 0.3003815198"),
    "WGAN-GP 0.7": (
        dict(loss=wasserstein, penalty=slope_penalty(0.7)),
        "-0.1808491943 -1.79269414",
        "-0.132559473 1.213849951",
    ),
    "GAN, R1 0.3": (
        dict(loss=minimax, penalty=r1(0.3)),
        "1.110336749e-06 -2.398079351e-06",
        "-5.167e-08 -2.242e-07",
    ),
    "GAN, consensus 1 (1)": (
        dict(loss=minimax, consensus=1.0),
        "-1.596848472e-10 1.334159766e-10",
        "3.02e-12 1.30e-11",
    ),
    "NSGAN, R1 0.3": (
        dict(loss=non_saturating, penalty=r1(0.3)),
        "2.147384604e-06 -5.305735576e-07",
        "7.395e-08 -1.304e-07",
    ),
}


def end_points() -> Iterator[tuple[str, str, np.ndarray, list[str]]]:
    """Of every method and play: (method, play, our end (2,), theirs as text), both with the sign of their psi."""
    for method, (game, *theirs) in MESCHEDER.items():
        for play, end in zip(PLAYS, theirs):
            theta, psi = trajectory(DiracGAN(**game), START, TURNS, LR, play)[-1]
            yield method, play, np.array([theta, -psi]), end.split()


def main() -> None:
    """Print ours beside theirs."""
    print(
        f"Where the Dirac-GAN ends after {TURNS} turns with h = {LR} from theta = psi = 1: minigan's layers, losses,"
    )
    print("penalties, steps and SGD beside the code of Mescheder et al. 2018 (LMescheder/GAN_stability), to the 3 to")
    print("10 digits that are known of theirs. Their D is positive where it takes x for a fake, minigan's where it")
    print("takes x for real: so psi is shown as theirs, which is minus minigan's.\n")
    line = "{:<21} {:<13} {:>16} {:>16} {:>16} {:>16} {:>10}".format
    print(line("method", "play", "theta, ours", "psi, ours", "theta, theirs", "psi, theirs", "difference"))
    for method, play, ours, theirs in end_points():
        difference = abs(ours - np.array(theirs, dtype=float)).max()
        print(line(method, play, *(f"{number:.10g}" for number in ours), *theirs, f"{difference:.0e}"))
    print(
        "\n(1) In the gradient of |v|^2 / 2, their code counts the term with f'' half. With that half, minigan ends"
    )
    print("    where they do, to all digits. Both go to (0, 0).")


if __name__ == "__main__":
    main()
