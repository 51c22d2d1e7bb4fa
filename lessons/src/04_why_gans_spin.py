# %% [markdown]
# # 04. Why do GANs spin?
#
# "GAN training is unstable because it gets stuck in local optima." You can read this in many places. In this lesson
# we play the smallest GAN there is, with one weight for G and one for D. It has no local optima at all, and still
# it does not train. The two players run around each other in circles. The eigenvalues of a 2 x 2 matrix say so
# before the first step is made: how fast it turns, and whether the circle grows.
#
# **You need** partial derivatives, matrix products, complex numbers a + bi, and lesson 03 for what G and D want.
# **Time** about 55 minutes without sections 8 and 9, which can wait. **You will write** the growth and the turn that
# a matrix predicts, the matrix of alternating steps, and the extragradient step. **After it** you can say of a
# training method whether it spirals in or out before you run it, why a low β1 of Adam suits a GAN, and what a
# gradient penalty has to do with it.

# %%
import inspect
import math
import os
from functools import partial

import matplotlib.pyplot as plt
import numpy as np

from minigan.dynamics import DiracGAN, eigenvalues, jacobian, trajectory
from minigan.exercises import check
from minigan.losses import minimax, non_saturating, wasserstein
from minigan.optim import Adam, Momentum, Optimizer
from minigan.penalty import r1

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer points, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Two players share one number, θ w. G owns θ and wants the number small; D owns w and wants it large. Both start
# at θ = w = 1, both know their gradient, and both step by it at the same time with the learning rate 0.1. The
# only point at which neither wants to move is (0, 0). After 200 steps, where are they?
#
# 1. At (0, 0), or nearly.
# 2. On a circle around (0, 0), as far away as at the start.
# 3. Farther away than at the start.
#
# And if you answered 2 or 3: would a smaller learning rate end it?
#
# <details><summary>The answer</summary>
#
# 3. They are 2.7 times as far away as at the start. A smaller learning rate does not end it: each step multiplies
# the distance by sqrt(1 + h^2), which is above 1 for every h. Section 3 derives it.
#
# </details>

# %% [markdown]
# ## 1. A game is a field of arrows
#
# Let the data be one point, x = 0. G draws one point, θ. D gives a place x the score w x: how much it takes x for a
# fake. D wants the score of G's point high above that of the data, w θ - w 0 = θ w; G wants it low:
#
# $$\min_\theta \max_w \; \theta w$$
#
# This is the **bilinear game**. A state of play is a point p = (θ, w) of the plane. G goes against its gradient, D
# along its own. Together these are an arrow at each point, the **field**
#
# $$v(\theta, w) = \left(-\frac{\partial (\theta w)}{\partial \theta}, \;
# +\frac{\partial (\theta w)}{\partial w}\right) = (-w, \; \theta)$$
#
# The library plays this game with its real layers, losses and training steps: `DiracGAN(wasserstein)`. Its D is
# positive where it takes x for *real*, so its weight is -w. The cell turns that sign, and compares.

# %%
TURNED = np.array([1.0, -1.0])  # (theta, w) is (theta, -w) in the library, and back
bilinear = DiracGAN(wasserstein)


def field(game, p):
    """The library's field at points p (..., 2), in our (theta, w)."""
    return game.field(p * TURNED) * TURNED


def play(game, steps, h, start=(1.0, 0.0), **how):
    """The library's trajectory from start in our (theta, w): (steps + 1, 2)."""
    return trajectory(game, np.array(start) * TURNED, steps, h, **how) * TURNED


def shown(roots):
    """Complex numbers with three digits, and without a minus before a zero."""
    return ", ".join(f"{root:.3f}" for root in np.round(roots, 3) + 0)


def v(p):
    """The bilinear game's field at points p (..., 2)."""
    return np.stack([-p[..., 1], p[..., 0]], axis=-1)


rng = np.random.default_rng(0)
points = rng.standard_normal((6, 2))
by_difference = [
    [-((t + 1e-6) * w - (t - 1e-6) * w) / 2e-6, (t * (w + 1e-6) - t * (w - 1e-6)) / 2e-6] for t, w in points
]
print("v is (-d/dtheta, +d/dw) of theta w:", np.allclose(v(points), by_difference, atol=1e-9))
print("v is the library's field:", np.allclose(v(points), field(bilinear, points), atol=1e-12))
assert np.allclose(v(points), by_difference, atol=1e-9) and np.allclose(v(points), field(bilinear, points))

# %% [markdown]
# The arrow vanishes at (0, 0) and nowhere else, so there is one equilibrium. And at every other point the arrow is
# perpendicular to p. Whoever follows the arrows in infinitely small steps keeps the distance to (0, 0):
#
# $$\frac{d}{dt} \frac{|p|^2}{2} = p \cdot v(p) = -\theta w + w \theta = 0$$

# %%
print("p . v at six points:", [f"{abs(dot):.0f}" for dot in (points * v(points)).sum(axis=1)])
assert np.abs((points * v(points)).sum(axis=1)).max() < 1e-15
assert np.allclose(np.linalg.norm(v(points), axis=1), np.linalg.norm(points, axis=1))  # |v| = 0 only where p = 0

# %% [markdown]
# ## 2. Why one network cannot spin, and two can
#
# Near an equilibrium any smooth field is v(p) ≈ J p, with J its **Jacobian**, the matrix of all ∂v_i/∂p_j. For a
# game with the value f(θ, w):
#
# $$J = \begin{pmatrix} -f_{\theta\theta} & -f_{\theta w} \\ +f_{\theta w} & +f_{ww} \end{pmatrix}$$
#
# Look at the two corners: the same number with opposite signs, because one player descends and the other climbs.
# If instead both descended, a team with one loss f, both corners would have the same sign. That matrix is
# symmetric, minus the Hessian, and a symmetric matrix has real eigenvalues: it stretches and shrinks, but turns
# nothing. In a game the eigenvalues may be complex.
#
# The cell evaluates the formula on some f first. **Predict** both pairs of eigenvalues for f = θ w, before you read
# them there. (Solve det(J - λ I) = 0; J is 2 x 2.)


# %%
def some_field(p):
    """The field of the game f = w sin(theta) + 0.2 theta^2 - 0.3 w^2."""
    theta, w = p
    return np.array([-(w * math.cos(theta) + 0.4 * theta), math.sin(theta) - 0.6 * w])


theta, w = 0.3, -0.5
formula = [[w * math.sin(theta) - 0.4, -math.cos(theta)], [math.cos(theta), -0.6]]
numeric = jacobian(some_field, (theta, w))  # central differences, from the library
print("some game: J is as the formula says:", np.allclose(numeric, formula, atol=1e-9))
assert np.allclose(numeric, formula, atol=1e-9)


def team(p):
    """The same function theta w, but both players descend."""
    return -p[..., ::-1]


J = jacobian(v, (0, 0))
for name, matrix in (("team", jacobian(team, (0, 0))), ("game", J)):
    roots = np.sort_complex(np.linalg.eigvals(matrix))
    print(f"{name}: J = {np.round(matrix).astype(int).tolist()}   eigenvalues {shown(roots)}")
assert np.allclose(J, [[0, -1], [1, 0]], atol=1e-9)
assert np.allclose(np.sort_complex(np.linalg.eigvals(J)), [-1j, 1j])

# %% [markdown]
# ## 3. From the field to a step: your first hole
#
# One **simultaneous** step adds h v(p), both players at once, with the learning rate h. For v = J p it is a matrix:
#
# $$p_{k+1} = p_k + h J p_k = M p_k, \qquad M = I + h J$$
#
# If J x = λ x, then M x = (1 + h λ) x: the eigenvalues of M are μ = 1 + h λ. And k steps multiply the part of p
# along x by μ^k. A complex μ = |μ| e^{iφ} comes with its conjugate, and the two together multiply lengths by |μ| and
# turn by φ. (In suitable coordinates. In others the circle is an ellipse, but in the long run the growth per step is
# |μ| and the turn is φ.) After many steps only the largest |μ| counts, the **spectral radius** ρ of M:
#
# - ρ > 1: play runs away. ρ = 1: it keeps its distance. ρ < 1: it converges.
#
# Write it: ρ, and the angle of that eigenvalue, between 0 and π. `np.linalg.eigvals(M)` gives the eigenvalues.


# %% exercise="04.radius_and_angle"
def radius_and_angle(M):
    """Of M's eigenvalue with the largest modulus: its modulus, and its angle in [0, pi]. M (n, n) is real."""
    ### BEGIN SOLUTION
    mu = np.linalg.eigvals(M)
    largest = mu[np.abs(mu).argmax()]
    return np.abs(largest), np.abs(np.angle(largest))
    ### END SOLUTION


# %% check="04.radius_and_angle"
check("04.radius_and_angle", radius_and_angle).raise_if_wrong()

# %% [markdown]
# For the bilinear game λ = ±i, so μ = 1 ± ih, and
#
# $$\rho = \sqrt{1 + h^2}, \qquad \varphi = \arctan h$$
#
# Now let the library play, and see whether the distance after k steps is ρ^k times that at the start, and the
# angle k φ. Answer the question of the beginning, too.

# %%
for h in (0.3, 0.1, 0.01):
    rho, phi = radius_and_angle(np.eye(2) + h * J)
    path = play(bilinear, 200, h, start=(1.0, 1.0))
    distance = np.linalg.norm(path, axis=1) / math.sqrt(2)
    angle = np.unwrap(np.arctan2(path[:, 1], path[:, 0])) - math.pi / 4
    print(
        f"h = {h:<5g}rho = {rho:.5f}   after 200 steps: distance x {distance[-1]:.4g}, turns {angle[-1] / 6.2832:.2f}"
    )
    assert math.isclose(rho, math.sqrt(1 + h**2)) and math.isclose(phi, math.atan(h))
    assert np.allclose(distance, rho ** np.arange(201)) and np.allclose(angle, phi * np.arange(201))

# %% [markdown]
# Every one of the 201 points is where the eigenvalue puts it. With a small h it takes longer, but one full turn of
# 2π/h steps multiplies the distance by about e^{πh}: always more than 1.
#
# Many texts look at the real parts of λ, here 0, and say "it circles". That is right for infinitely small steps. A
# program makes finite ones, and for those the modulus of μ counts.
#
# ## 4. Taking turns: your second hole
#
# **Predict.** Algorithm 1 of the first GAN paper does not step with both at once. One player moves, and then the
# other one, who already sees the move. Does that do better, worse, or the same? (There D begins, here G. The
# eigenvalues are the same: those of AB are those of BA.)
#
# <details><summary>The answer</summary>
#
# Better: the distance no longer grows. But it does not shrink either. Below.
#
# </details>
#
# Let us do it for weights of any number at once. G has θ (n,), D has w (m,), and the game is θ^T A w with a matrix
# A (n, m). (Near an equilibrium, each game of two networks has such a part: A_ij = ∂²f/∂θ_i∂w_j.) G moves first:
#
# $$\theta' = \theta - h A w, \qquad w' = w + h A^T \theta'$$
#
# The prime in the second formula is what makes it alternating. Put the first into it, collect what stands before θ
# and before w, and you have M with (θ', w') = M (θ, w). Write it with `np.block`. `np.eye(n, dtype=A.dtype)` keeps
# float32.


# %% exercise="04.alternating_matrix"
def alternating_matrix(A, h):
    """M (n + m, n + m) of one turn in the game theta^T A w, A (n, m): G descends first, then D climbs."""
    ### BEGIN SOLUTION
    n, m = A.shape
    of_theta, of_w = np.eye(n, dtype=A.dtype), np.eye(m, dtype=A.dtype)
    return np.block([[of_theta, -h * A], [h * A.T, of_w - h**2 * A.T @ A]])
    ### END SOLUTION


# %% check="04.alternating_matrix"
check("04.alternating_matrix", alternating_matrix).raise_if_wrong()

# %% [markdown]
# In the plane, A is the 1 x 1 matrix (1). The determinant of M is then 1 - h² + h² = 1 and its trace 2 - h². The
# eigenvalues solve μ² - (2 - h²) μ + 1 = 0. For h < 2 they are a conjugate pair with the product 1, and so lie *on*
# the unit circle:
#
# $$\mu = 1 - \frac{h^2}{2} \pm i h \sqrt{1 - \frac{h^2}{4}}, \qquad |\mu| = 1$$
#
# So nothing grows and nothing shrinks. The circle is a slightly tilted ellipse, θ² + w² - h θ w = constant.

# %%
h = 0.3
M = alternating_matrix(np.array([[1.0]]), h)
mu = 1 - h**2 / 2 + 1j * h * math.sqrt(1 - h**2 / 4)
assert np.allclose(np.sort_complex(np.linalg.eigvals(M)), [mu.conjugate(), mu])
path = play(bilinear, 300, h, play="alternating")
by_matrix = [np.linalg.matrix_power(M, k) @ path[0] for k in range(301)]
theta, w = path.T
ellipse = theta**2 + w**2 - h * theta * w
print("your M^k p_0 is the library's k-th point:", np.allclose(by_matrix, path, atol=1e-10))
print(
    f"rho = {radius_and_angle(M)[0]:.6f}; distance after 300 steps between {np.linalg.norm(path, axis=1).min():.2f} "
    f"and {np.linalg.norm(path, axis=1).max():.2f}; on the ellipse: {np.allclose(ellipse, ellipse[0])}"
)
assert np.allclose(by_matrix, path, atol=1e-10) and np.allclose(ellipse, ellipse[0])

# %% [markdown]
# And with many weights? Let A = U S V^T be the singular value decomposition, with the singular values σ_k. Turn θ
# by U and w by V, and the game falls apart into bilinear games in planes of their own, each with σ_k in the place of
# 1, and h σ_k in the place of h:
#
# $$\lambda = \pm i \sigma_k \quad \text{and one } 0 \text{ for each weight that has no opponent}$$

# %%
A = rng.standard_normal((5, 3))  # five weights of G, three of D
large = np.block([[np.zeros((5, 5)), -A], [A.T, np.zeros((3, 3))]])
sigma = np.linalg.svd(A, compute_uv=False)
found = np.sort(np.linalg.eigvals(large).imag)
print("singular values of A:   ", np.round(sigma, 3))
print("imaginary parts of J's: ", np.round(found, 3) + 0.0)
assert np.allclose(found, np.sort([*sigma, *-sigma, 0, 0])) and np.abs(np.linalg.eigvals(large).real).max() < 1e-12
for h_sigma in (1.99, 2.01):
    rho = radius_and_angle(alternating_matrix(A, h_sigma / sigma[0]))[0]
    print(f"alternating play with h = {h_sigma} / sigma_1: rho = {rho:.3f}")
    assert (rho < 1 + 1e-9) == (h_sigma < 2)

# %% [markdown]
# So a large GAN spins in many planes at once, each at its own speed, and what one plane teaches holds in each. The
# fastest decides how large h may be.
#
# ## 5. Momentum: old arrows
#
# Momentum steps along a sum of all past arrows, m ← β m + g. Since θ_k - θ_{k-1} is the last step, it is the same as
#
# $$p_{k+1} = p_k + \beta (p_k - p_{k-1}) + h v$$
#
# The step now depends on two points, so the state is (θ, w, θ_before, w_before), and M is 4 x 4: one line for each
# player's move, one that remembers. In alternating play M is a product, first G's lines and then D's.


# %%
def momentum_matrix(beta, h, alternating=True):
    """M (4, 4) of the bilinear game with momentum; the state is (theta, w, theta before, w before)."""
    G_moves = np.array([[1 + beta, -h, -beta, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    D_moves = np.array([[1, 0, 0, 0], [h, 1 + beta, 0, -beta], [0, 0, 1, 0], [0, 1, 0, 0]])
    if alternating:
        return D_moves @ G_moves
    both = G_moves.copy()
    both[[1, 3]] = D_moves[[1, 3]]
    return both


assert np.allclose(momentum_matrix(0, h)[:2, :2], M), "without momentum it is your matrix"
for kind, alternating in (("simultaneous", False), ("alternating", True)):
    path = play(bilinear, 50, h, play=kind, optimizer=partial(Momentum, momentum=-0.3))
    states = np.hstack([path[1:], path[:-1]])  # (50, 4): now, before
    assert np.allclose(states[1:], states[:-1] @ momentum_matrix(-0.3, h, alternating).T)
    if not alternating:
        now, before = path[1:-1], path[:-2]
        assert np.allclose(path[2:], now - 0.3 * (now - before) + h * v(now))
for beta in (0.9, 0.5, 0.3, 0, -0.3, -0.5):
    kinds = [radius_and_angle(momentum_matrix(beta, 0.1, alternating))[0] for alternating in (True, False)]
    print(f"beta = {beta:>4}   rho, alternating {kinds[0]:.4f}   simultaneous {kinds[1]:.4f}")
    assert kinds[1] > 1 and np.sign(round(kinds[0] - 1, 9)) == np.sign(beta)

# %% [markdown]
# What helps when one network learns alone hurts here: with 0.9, the usual choice, the distance grows by a fifth at
# each step. *Negative* momentum pulls play inward, if the players take turns. For simultaneous play no β in this
# table helps, and Gidel et al. (2019) prove that none does.
#
# ## 6. Looking ahead: your third hole
#
# If old arrows push outward, take the arrow of the future. The **extragradient** step looks where the plain step
# would lead, and steps from p by the arrow it finds *there*:
#
# $$p' = p + h \, v(p), \qquad p_{k+1} = p + h \, v(p')$$
#
# Write it for any field v, a function from points to arrows of the same shape.


# %% exercise="04.extragradient_step"
def extragradient_step(v, p, h):
    """Where one extragradient step of length h takes p in the field v; p and v(p) have one shape."""
    ### BEGIN SOLUTION
    ahead = p + h * v(p)
    return p + h * v(ahead)
    ### END SOLUTION


# %% check="04.extragradient_step"
check("04.extragradient_step", extragradient_step).raise_if_wrong()

# %% [markdown]
# With v = J p it is p + h J (p + h J p), and J² = -I in the bilinear game:
#
# $$M = I + hJ + h^2 J^2, \qquad |\mu|^2 = (1 - h^2)^2 + h^2 = 1 - h^2 + h^4$$
#
# That is below 1 for all h < 1: play converges, without any penalty.

# %%


def extragradient_matrix(h):
    return np.eye(2) + h * J + h**2 * J @ J


rho = radius_and_angle(extragradient_matrix(h))[0]
path = play(bilinear, 60, h, play="extragradient")
mine = [path[0]]
for _ in range(60):
    mine.append(extragradient_step(v, mine[-1], h))
print("your step is the library's:", np.allclose(mine, path))
print(f"rho = {rho:.5f}; distance after 60 steps {np.linalg.norm(path[-1]):.4f}")
assert np.allclose(mine, path) and math.isclose(rho**2, 1 - h**2 + h**4)
assert np.allclose(np.linalg.norm(path, axis=1), rho ** np.arange(61))

# %% [markdown]
# It costs two gradients a step. The **optimistic** step guesses the arrow ahead from the last two: it goes on
# changing as it has just changed, v + (v - v_before). Then one gradient is enough:
#
# $$p_{k+1} = p_k + h \,(2 v(p_k) - v(p_{k-1})), \qquad M = \begin{pmatrix} I + 2hJ & -hJ \\ I & 0 \end{pmatrix}$$
#
# The library does not have it, so we write it as one of its optimizers. `pieces()` gives the weights, their
# gradient, and the vectors named in `moments`.


# %%
class Optimistic(Optimizer):
    """theta <- theta - lr (2 g - g_last)"""

    moments = ("last",)

    def update(self):
        for theta, g, last in self.pieces():
            if self.steps == 1:
                last[...] = g  # nothing came before: the first step is a plain one
            theta -= self.lr * (2 * g - last)
            last[...] = g


def optimistic_matrix(h):
    """M (4, 4); the state is (theta, w, theta before, w before)."""
    return np.block([[np.eye(2) + 2 * h * J, -h * J], [np.eye(2), np.zeros((2, 2))]])


M = optimistic_matrix(h)
path = play(bilinear, 60, h, optimizer=Optimistic)
states = np.hstack([path[1:], path[:-1]])  # (60, 4): now, before
print("M gives each state from the one before:", np.allclose(states[1:], states[:-1] @ M.T))
print(f"rho = {radius_and_angle(M)[0]:.5f}; distance after 60 steps {np.linalg.norm(path[-1]):.4f}")
assert np.allclose(states[1:], states[:-1] @ M.T)
assert math.isclose(radius_and_angle(M)[0] ** 2, (1 + math.sqrt(1 - 4 * h**2)) / 2)  # for h < 1/2: Break it, 1

# %% [markdown]
# ## 7. Predicted and played
#
# Now all of them. On the left what the eigenvalues say, on the right what the library's trajectories do: straight
# lines are fitted to the logarithm of the distance and to the angle, over the last half of 300 steps. We assert that
# each state is M times the one before, that growth and turn agree, and that the verdict does.

# %%
H = 0.3
turns = {"play": "alternating"}
METHODS = {  # M, and how the library plays it
    "simultaneous": (np.eye(2) + H * J, {}),
    "alternating": (alternating_matrix(np.array([[1.0]]), H), turns),
    "alternating, momentum 0.3": (momentum_matrix(0.3, H), {**turns, "optimizer": partial(Momentum, momentum=0.3)}),
    "alternating, momentum -0.3": (
        momentum_matrix(-0.3, H),
        {**turns, "optimizer": partial(Momentum, momentum=-0.3)},
    ),
    "extragradient": (extragradient_matrix(H), {"play": "extragradient"}),
    "optimistic": (optimistic_matrix(H), {"optimizer": Optimistic}),
}


def measured(path):
    """Factor of the distance and turn, per step, over the last half of a path (K + 1, 2)."""
    k = np.arange(len(path))[len(path) // 2 :]
    distance = np.linalg.norm(path, axis=1)[k]
    angle = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))[k]
    return np.exp(np.polyfit(k, np.log(distance), 1)[0]), np.polyfit(k, angle, 1)[0]


def verdict(rho):
    return "stays" if abs(rho - 1) < 1e-3 else "grows" if rho > 1 else "shrinks"


paths = {name: play(bilinear, 300, H, start=(1.5, 0.0), **how) for name, (_, how) in METHODS.items()}
print(f"{'':<28}{'predicted':<27}played")
for name, (M, _) in METHODS.items():
    path, (rho, phi) = paths[name], radius_and_angle(M)
    states = path if len(M) == 2 else np.hstack([path[1:], path[:-1]])
    assert np.allclose(states[1:], states[:-1] @ M.T, rtol=1e-9, atol=1e-12), name
    factor, turn = measured(path)
    print(f"{name:<28}x {rho:.3f}, {phi:.3f}  {verdict(rho):<9}x {factor:.3f}, {turn:.3f}  {verdict(factor)}")
    assert abs(factor - rho) < 1e-3 and abs(turn - phi) < 1e-3 and verdict(factor) == verdict(rho), name
assert [verdict(radius_and_angle(M)[0]) for M, _ in METHODS.values()] == [
    "grows",
    "stays",
    "grows",
    "shrinks",
    "shrinks",
    "shrinks",
]

# %%
COLOURS = {"grows": ORANGE, "stays": INK, "shrinks": BLUE}
MARKERS = dict(zip(METHODS, "os^vDP"))
grid = np.stack(np.meshgrid(np.linspace(-2.7, 2.7, 10), np.linspace(-2.7, 2.7, 10)), axis=-1)
arrows = v(grid)

figure, all_axes = plt.subplots(2, 3, figsize=(8, 6.4), sharex=True, sharey=True, layout="constrained")
for axes, (name, (M, _)) in zip(all_axes.flat, METHODS.items()):
    rho = radius_and_angle(M)[0]
    axes.quiver(*grid.T.swapaxes(1, 2), *arrows.T.swapaxes(1, 2), angles="xy", color="#BBBBBB", width=0.006, scale=45)
    axes.plot(*paths[name][:45].T, "-", color=COLOURS[verdict(rho)], marker=MARKERS[name], markersize=3, linewidth=1)
    axes.plot(1.5, 0, "s", color="white", markeredgecolor=INK, markersize=7)
    axes.plot(0, 0, "+", color=INK, markersize=9)
    axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    axes.set_title(f"{name}\nρ = {rho:.3f}: {verdict(rho)}", fontsize=10)
for axes in all_axes[1]:
    axes.set_xlabel("θ, G's weight")
for axes in all_axes[:, 0]:
    axes.set_ylabel("w, D's weight")
figure.suptitle("One field, six methods, h = 0.3: □ start, + the only equilibrium")
outward = [name for name in METHODS if np.linalg.norm(paths[name][44]) > 2]
print("after 44 steps more than a third farther out than the start:", "; ".join(outward))
assert outward == ["simultaneous", "alternating, momentum 0.3"]

# %% [markdown]
# All six turn the same way, once in 16 to 27 steps. What parts them is ρ, a few hundredths more or less than 1.
# Here are the eigenvalues beside the unit circle.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.8), width_ratios=(1.1, 1), layout="constrained")
circle = np.exp(1j * np.linspace(0, 2 * np.pi, 721))
for axes in (left, right):
    axes.plot(circle.real, circle.imag, color="#999999", linewidth=1)
    for name, (M, _) in METHODS.items():
        mu = np.linalg.eigvals(M)
        style = {"color": COLOURS[verdict(np.abs(mu).max())], "markerfacecolor": "none", "label": name}
        axes.plot(mu.real, mu.imag, MARKERS[name], markersize=5 if axes is left else 8, **style)
    axes.set(aspect="equal", xlabel="real part of μ")
left.add_patch(plt.Rectangle((0.82, 0.18), 0.22, 0.27, fill=False, color=INK, linewidth=0.8))
left.set(title="all eigenvalues, h = 0.3", ylabel="imaginary part of μ", xlim=(-1.15, 1.15), ylim=(-1.15, 1.15))
right.set(title="the frame, enlarged", xlim=(0.82, 1.04), ylim=(0.18, 0.45), xticks=(0.85, 0.9, 0.95, 1))
right.text(0.952, 0.365, "outside:\ngrows", fontsize=9)
right.text(0.885, 0.24, "inside:\nshrinks", fontsize=9)
right.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9)
outside = [name for name, (M, _) in METHODS.items() if np.abs(np.linalg.eigvals(M)).max() > 1 + 1e-9]
print("outside the unit circle:", "; ".join(outside))
assert outside == outward, "who has an eigenvalue outside is who ran away"

# %% [markdown]
# The eigenvalues deep inside the circle belong to the methods with a memory: parts of the state that are soon
# forgotten. Now the distance over the steps. On a logarithmic axis ρ^k is a straight line. The markers are played;
# each line has the slope log ρ that its matrix predicts, and the height that fits its markers.

# %%
figure, axes = plt.subplots(figsize=(8, 4))
steps = np.arange(61)
for name, (M, _) in METHODS.items():
    rho = radius_and_angle(M)[0]
    distance = np.linalg.norm(paths[name], axis=1)[:61]
    level = np.exp(np.mean(np.log(distance[20:]) - steps[20:] * np.log(rho)))
    axes.semilogy(steps, level * rho**steps, "-", color=COLOURS[verdict(rho)], linewidth=1)
    axes.semilogy(
        steps[::3],
        distance[::3],
        MARKERS[name],
        color=COLOURS[verdict(rho)],
        markerfacecolor="none",
        markersize=5,
        label=name,
    )
    off = np.abs(np.log(distance[20:] / (level * rho ** steps[20:]))).max()
    print(f"{name:<28}largest distance from the line: a factor {np.exp(off):.2f}")
    assert np.exp(off) < 1.25
axes.set(xlabel="step", ylabel="distance from (0, 0)")
axes.set_title("Markers: played. Lines: the slope that the eigenvalue predicts", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

# %% [markdown]
# The markers of the alternating methods wave about their lines: that is the ellipse, twice a turn.
#
# ## 8. One number behind all of them: the age of the arrow
#
# Why does memory push outward, and foresight inward? Say that you step by the arrow of a place that you passed a
# while ago, when you were an angle δ behind. That arrow is the present one turned back by δ: it points a little
# outward, by sin δ of its length. With steps of length s (in units of the distance), an arrow that is a steps old has
# δ = s a. So per step, for small s,
#
# $$\log \rho \approx s^2 a$$
#
# and all that counts is a, the **age** of the arrow at the middle of the step:
#
# | method | step s | age a, in steps |
# |---|---|---|
# | simultaneous | h | 1/2: the arrow of the start of the step |
# | alternating | h | 0: G's arrow is half a step old, D's comes from half a step ahead |
# | extragradient, optimistic | h | -1/2: the arrow of the end |
# | with momentum β | h / (1 - β) | β / (1 - β) more: the mean age when an arrow fades by β a step |

# %%
s = 0.005
tests = [
    ("simultaneous", np.eye(2) + s * J, 1 / 2),
    ("alternating", alternating_matrix(np.array([[1.0]]), s), 0),
    ("extragradient", extragradient_matrix(s), -1 / 2),
    ("optimistic", optimistic_matrix(s), -1 / 2),
]
for beta in (-0.5, -0.3, 0.5, 0.9):
    M = momentum_matrix(beta, s * (1 - beta))
    tests.append((f"alternating, {beta}", M, beta / (1 - beta)))
tests.append(("simultaneous, 0.5", momentum_matrix(0.5, s * 0.5, alternating=False), 0.5 + 1))
for name, M, age in tests:
    by_eigenvalue = math.log(radius_and_angle(M)[0]) / s**2
    print(f"{name:<20}log ρ / s^2 = {by_eigenvalue + 0.0:6.3f}   age {age:6.3f}")
    assert abs(by_eigenvalue - age) < 1e-2 + 0.05 * abs(age)

# %% [markdown]
# ## 9. Adam
#
# Adam does not fit a matrix: it divides by a root of past squares. But that root changes slowly (β2 = 0.999
# remembers a thousand steps). Hold it still for a moment, and Adam is momentum, with the age β1/(1 - β1) and a step
# that depends on the place. On a circle of radius r the mean square of a player's gradient is r²/2, so Adam steps by
# h/(r/√2), and in units of r:
#
# $$s = \frac{\sqrt{2}\, h}{r}, \qquad \log \rho \approx \frac{2 h^2}{r^2} \cdot \frac{\beta_1}{1 - \beta_1}$$
#
# Two things follow. With β1 = 0.9 the age is 9 steps, with DCGAN's 0.5 it is 1 step, with 0 it is none. And the
# larger the circle, the slower it grows. In the cell, the frozen matrix confirms the formula.

# %%
lr, beta2 = 0.01, 0.999
for beta1, r in ((0.9, 3.0), (0.5, 3.0), (0.5, 1.0)):
    frozen = momentum_matrix(beta1, (1 - beta1) * lr / (r / math.sqrt(2)))
    by_formula = 2 * lr**2 / r**2 * beta1 / (1 - beta1)
    by_matrix = math.log(radius_and_angle(frozen)[0])
    print(f"beta1 = {beta1}, r = {r:.0f}: log rho of the frozen matrix {by_matrix:.1e}, formula {by_formula:.1e}")
    assert abs(by_matrix / by_formula - 1) < 0.03

# %% [markdown]
# But the root does not hold quite still. At the angle φ the square of G's gradient is w² = r²/2 (1 - cos 2φ). A
# running mean over T = 1/(1 - β2) steps lets such a wave through a quarter of its period late and weakened to
# 1/(2 s T). So G's divisor is smallest not where G's gradient is smallest, at φ = 0, but an eighth of a turn later,
# where θ is on its way to 0: G is fast while it approaches, and slow while it leaves. The same holds for D. Put
# the waves into p · v and take the mean over a turn:
#
# $$\overline{\log \rho}_{\text{divisor}} = -\frac{1 - \beta_2}{8}$$
#
# The cell sends a point around a circle at constant speed and lets Adam's running means look on.

# %%
speed = 0.02  # radians a step; the radius is 1, so lr would be speed / sqrt(2)
phase = speed * np.arange(20_000)
theta, w = np.cos(phase), np.sin(phase)
mean_square = np.empty((2, len(phase)))
running = np.array([0.5, 0.5])
for k, squares in enumerate(np.stack([w**2, theta**2], axis=1)):  # the gradients are w for G and theta for D
    running = beta2 * running + (1 - beta2) * squares
    mean_square[:, k] = running
outward = speed / math.sqrt(2) * (theta * -w / np.sqrt(mean_square[0]) + w * theta / np.sqrt(mean_square[1]))
whole = slice(-int(10 * 2 * np.pi / speed), None)  # the last ten turns
print(f"mean growth of log r by the moving divisor: {outward[whole].mean():.2e}   formula {-(1 - beta2) / 8:.2e}")
assert abs(outward[whole].mean() / (-(1 - beta2) / 8) - 1) < 0.02

# %% [markdown]
# Where both are equal, play neither grows nor shrinks. So Adam on this game ends on a circle, and we know which:
#
# $$r^* = 4 h \sqrt{\frac{\beta_1}{(1 - \beta_1)(1 - \beta_2)}}$$
#
# **Predict**: how many times larger is the circle with β1 = 0.9 than with 0.5? And what happens with β1 = 0?
#
# <details><summary>The answer</summary>
#
# sqrt(9 / 1) = 3 times. With β1 = 0 the age is 0, r* = 0, and it spirals in.
#
# </details>


# %%
def adam_path(steps, lr, beta1, beta2, start):
    """Alternating Adam on the bilinear game with plain floats, for speed: (steps + 1, 2)."""
    p, m, u, path = list(start), [0.0, 0.0], [0.0, 0.0], [start]
    for k in range(1, steps + 1):
        for i in (0, 1):
            g = p[1] if i == 0 else -p[0]  # D descends on -theta w, and sees G's move
            m[i] = beta1 * m[i] + (1 - beta1) * g
            u[i] = beta2 * u[i] + (1 - beta2) * g * g
            p[i] -= lr * (m[i] / (1 - beta1**k)) / (math.sqrt(u[i] / (1 - beta2**k)) + 1e-8)
        path.append(tuple(p))
    return np.array(path)


figure, axes = plt.subplots(figsize=(8, 3.8))
final = {}
for beta1, colour, marker in ((0.9, ORANGE, "^"), (0.5, BLUE, "o"), (0.0, INK, "s")):
    theirs = play(bilinear, 200, lr, start=(2.0, 0.0), play="alternating", optimizer=partial(Adam, beta1=beta1))
    path = adam_path(20_000, lr, beta1, beta2, (2.0, 0.0))
    assert np.allclose(path[:201], theirs, rtol=1e-6), "it is the library's Adam"
    distance = np.linalg.norm(path, axis=1)
    r_star = 4 * lr * math.sqrt(beta1 / (1 - beta1) / (1 - beta2))
    final[beta1] = math.sqrt((distance[-2000:] ** 2).mean())
    print(f"beta1 = {beta1}: circle predicted {r_star:.2f}, played {final[beta1]:.2f}")
    axes.plot(np.arange(0, 20_001, 20), distance[::20], color=colour, linewidth=1)
    axes.plot(np.arange(0, 20_001, 1250), distance[::1250], marker, color=colour, label=f"β1 = {beta1:g}")
    if beta1:
        axes.axhline(r_star, color=colour, linewidth=0.9, linestyle=":")
        assert abs(final[beta1] / r_star - 1) < 0.02
axes.set(xlabel="step", ylabel="distance from (0, 0)", yscale="log")
axes.set_title("Adam goes to a circle; dotted: predicted", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
print(f"0.9 against 0.5: a circle {final[0.9] / final[0.5]:.1f} times as large")
assert abs(final[0.9] / final[0.5] - 3) < 0.1 and final[0.0] < 0.4

# %% [markdown]
# GAN papers found it by trial: they set β1 to 0.5 (DCGAN) or 0 (WGAN-GP) and not to the usual 0.9. It also says what
# a smaller learning rate does for Adam: the circle shrinks in proportion, and stays a circle.
#
# ## 10. A GAN with a sigmoid, and its one equilibrium
#
# The **Dirac-GAN** of Mescheder et al. (2018) has the same two weights and the minimax loss of lesson 03. D's logit
# is -w x, positive for real. Here are forward and backward, one line for each.

# %%
theta, w = 0.7, -0.4

# forward
x = theta  # G's one sample; the data's sample is 0
logit = -w * x
D_loss = math.log(1 + math.exp(logit)) + math.log(2)  # -log(1 - D(x)) - log D(0): D descends
G_loss = -math.log(1 + math.exp(logit))  # log(1 - D(x)): G descends

# backward for D, and then for G
d_logit = 1 / (1 + math.exp(-logit))  # dD_loss / dlogit
dw = d_logit * -x  # logit = -w x, by w
d_logit_too = -1 / (1 + math.exp(-logit))  # dG_loss / dlogit: the opposite, so far
dx = d_logit_too * -w  # logit = -w x, by x
dtheta = dx  # x = theta

dirac = DiracGAN(minimax)
print("long form = the library's:", np.allclose([-dtheta, -dw], field(dirac, np.array([theta, w]))))
assert np.allclose([-dtheta, -dw], field(dirac, np.array([theta, w])))

# %% [markdown]
# Put together, with σ(t) = 1/(1 + e^-t), the field is the bilinear one times a number that is never zero:
#
# $$v(\theta, w) = \sigma(-\theta w) \, (-w, \theta), \qquad \lambda = \pm \frac{i}{2} \text{ at } (0, 0)$$
#
# So again the arrow vanishes at one point only. Everywhere else at least one player wants to move on: there is no
# local optimum to be stuck in. The cell counts, and lets it play.

# %%
side = np.linspace(-2, 2, 21 if FAST else 41)
places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
there = field(dirac, places)
assert np.allclose(there, v(places) / (1 + np.exp(places.prod(axis=1, keepdims=True))))
lengths = np.linalg.norm(there, axis=1) / np.maximum(np.linalg.norm(places, axis=1), 1e-300)
still = (np.linalg.norm(there, axis=1) < 1e-9).sum()
lam = eigenvalues(dirac.field)  # turning w's sign does not change them
path = play(dirac, 500, 0.2, start=(1.0, 1.0), play="alternating")
turned = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
distance = np.linalg.norm(path, axis=1)
print(f"places at which neither player wants to move: {still} of {len(places)}")
print(f"eigenvalues there: {shown(lam)}")
print(
    f"500 alternating steps: {(turned[-1] - turned[0]) / (2 * math.pi):.1f} turns around it, "
    f"distance from {distance.min():.1f} to {distance.max():.1f}"
)
assert still == 1 and lengths[np.linalg.norm(places, axis=1) > 1e-9].min() > 0.01
assert np.allclose(lam, [-0.5j, 0.5j], atol=1e-9) and distance.min() > 1 and turned[-1] - turned[0] > 12

# %% [markdown]
# "Training is unstable because of local optima": here the number of equilibria is **one**, there is no other place to
# be stuck in, and play goes around it seven times in 500 steps without coming nearer. It rotates.
#
# ## 11. What a gradient penalty does to the eigenvalues
#
# R1 adds γ/2 times the squared slope of D at the data to D's loss. The slope of -w x is -w, so D's arrow gets -γ w: a
# brake. With c = 1/2 for the Dirac-GAN (1 for the bilinear game):
#
# $$J = \begin{pmatrix} 0 & -c \\ c & -\gamma \end{pmatrix}, \qquad
# \lambda = -\frac{\gamma}{2} \pm \sqrt{\frac{\gamma^2}{4} - c^2}$$
#
# The real part is negative for every γ > 0. Now small enough steps converge, even simultaneous ones.

# %%
for gamma in (0.1, 0.3, 0.6, 1.5):
    root = np.emath.sqrt(gamma**2 / 4 - 1 / 4)
    formula = np.sort_complex([-gamma / 2 - root, -gamma / 2 + root])
    library = eigenvalues(DiracGAN(minimax, penalty=r1(gamma)).field)
    print(f"gamma = {gamma}: {shown(library)}")
    assert np.allclose(library, formula, atol=1e-8)

# %% [markdown]
# How small is small enough? Write μ = 1 + hλ and multiply out |μ|². While λ is complex, |λ|² is its product with
# the conjugate, the determinant c²:
#
# $$|\mu|^2 = 1 + 2h \operatorname{Re}\lambda + h^2 |\lambda|^2 = 1 - h\gamma + h^2 c^2$$
#
# That is below 1 for h < γ/c². The cell reads the eigenvalues off one turn of the library's play, on both sides of
# that h.

# %%
damped = DiracGAN(minimax, penalty=r1(0.3))
for step in (0.2, 1.19, 1.21):
    one_turn = lambda p, step=step: trajectory(damped, p, 1, step)[-1]
    rho = np.abs(eigenvalues(one_turn)).max()
    print(f"gamma = 0.3, h = {step}: rho = {rho:.4f}")
    assert math.isclose(rho**2, 1 - step * 0.3 + step**2 / 4, rel_tol=1e-6) and (rho < 1) == (step < 0.3 * 4)

# %% [markdown]
# **Predict.** If γ = 0.3 is good, is 3 better?
#
# <details><summary>The answer</summary>
#
# No. From γ = 2c = 1 on the eigenvalues are real: nothing turns any more, but one of them goes back towards 0. D is
# braked so hard that G hears little from it. The best is in between, like a door closer that is set right.
#
# </details>

# %%
gammas = np.linspace(0, 3, 301)
roots = np.emath.sqrt(gammas**2 / 4 - 1 / 4)
both = np.stack([-gammas / 2 + roots, -gammas / 2 - roots])
predicted = np.abs(1 + 0.2 * both).max(axis=0)

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8), width_ratios=(1, 1.25))
left.axvline(0, color="#999999", linewidth=1)
left.plot(both.real.T[:, 0], both.imag.T[:, 0], color=BLUE, linewidth=1.5)
left.plot(both.real.T[:, 1], both.imag.T[:, 1], color=BLUE, linewidth=1.5)
for gamma, marker in ((0, "s"), (0.3, "o"), (1.0, "D"), (2.0, "^")):
    pair = both[:, np.abs(gammas - gamma).argmin()]
    left.plot(pair.real, pair.imag, marker, color=ORANGE if gamma == 0 else BLUE, label=f"γ = {gamma:g}")
left.set(xlabel="real part of λ", ylabel="imaginary part of λ", xlim=(-2.1, 0.3), title="R1 pulls λ to the left")
left.legend(loc="lower left", fontsize=9)
right.plot(gammas, predicted, color=INK, linewidth=1, label="largest |1 + hλ|")
right.axhline(1, color="#999999", linewidth=1)
played = {}
for gamma in (0.0, 0.1, 0.3, 0.6, 1.5, 2.5):
    game = DiracGAN(minimax, penalty=r1(gamma) if gamma else None)
    played[gamma], turn = measured(play(game, 400, 0.2, start=(0.01, 0.01)))
    at = np.abs(gammas - gamma).argmin()
    right.plot(gamma, played[gamma], "o", color=BLUE if gamma else ORANGE, label="played" if gamma == 0.1 else None)
    off = played[gamma] - predicted[at], turn - np.angle(1 + 0.2 * both[0, at])
    assert max(np.abs(off)) < 1e-3, (gamma, off)
right.set(
    xlabel="weight γ of the penalty", ylabel="factor of the distance per step", title="best where the turning ends"
)
right.legend(loc="center right")
figure.tight_layout()
print({gamma: round(float(factor), 3) for gamma, factor in played.items()})
assert played[0.0] > 1 > played[0.1] > played[0.3] > played[0.6] and played[2.5] > played[1.5]
assert abs(gammas[predicted.argmin()] - 1) < 0.011

# %% [markdown]
# ## 12. Where the eigenvalues stop
#
# They speak of the neighbourhood of the equilibrium. The non-saturating loss of lesson 03 has the same λ = ±i/2, so
# simultaneous steps grow by
#
# $$\rho = \sqrt{1 + h^2 / 4}$$
#
# near (0, 0). Farther out its field is another one, and play comes nearer. So it must end in between, on a circle
# that no eigenvalue at (0, 0) knows of. All three are asserted.

# %%
game = DiracGAN(non_saturating)
near = np.linalg.norm(play(game, 1500, 0.2, start=(0.01, 0.0)), axis=1)
far = np.linalg.norm(play(game, 1500, 0.2, start=(1.4, 0.0)), axis=1)
print(f"from 0.01, 200 steps:  x {near[200] / near[0]:.2f}, predicted x {math.sqrt(1 + 0.2**2 / 4) ** 200:.2f}")
print(f"from 1.4, 200 steps:   x {far[200] / far[0]:.2f}")
print(f"after 1500 steps both are at a distance of {near[-1]:.1f} and {far[-1]:.1f}")
assert np.allclose(eigenvalues(game.field), [-0.5j, 0.5j], atol=1e-9)
assert abs(near[200] / near[0] / math.sqrt(1 + 0.2**2 / 4) ** 200 - 1) < 0.01
assert far[200] < 0.5 * far[0] and max(near[-1], far[-1]) < 1.05 * min(near[-1], far[-1])

# %% [markdown]
# So: all eigenvalues inside the unit circle promise that play converges *if it starts near enough*. One outside
# says that play leaves the neighbourhood, and not where it goes. And with the largest *on* the circle, what is left
# out of J decides.
#
# ## 13. How the library does it
#
# `minigan.dynamics` types no gradient of a game. It lets the training steps of the large networks compute them for
# two networks of one weight each. Its field, its Jacobian and its eigenvalues, and the optimizer of section 5:

# %%
for thing in (DiracGAN._descent, jacobian, eigenvalues, Momentum):
    print(inspect.getsource(thing))

# %% [markdown]
# `python -m minigan.dynamics` plays seven methods beside the end points of the published code of Mescheder et al.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `METHODS`, take H = 0.6. One of the methods that shrink now grows. Which, and at what h does it begin? (Its
#    formula in section 6 is for h < 1/2; solve the quadratic again for larger h.)
# 2. In `extragradient_step`, step by the mean of both arrows, h/2 (v(p) + v(p')). What is |μ|² now? What age is
#    that?
# 3. Section 10: give D five steps for each of G's, `play(dirac, ..., play="alternating", n_d=5)`. Does it converge
#    now? Does it turn faster?
# 4. Average the points of a path of the alternating game over one full turn. Where is the mean? (Large GANs
#    keep such a running mean of G's weights, and show its pictures.)
# 5. In section 9, take beta2 = 0.99. The prediction for β1 = 0.5 still holds to 1 %, that for 0.9 is off by more.
#    How long is one turn now, and how long does the divisor remember?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("04.radius_and_angle", radius_and_angle)
assert check("04.alternating_matrix", alternating_matrix)
assert check("04.extragradient_step", extragradient_step)
for name, (M, _) in METHODS.items():
    assert verdict(radius_and_angle(M)[0]) == verdict(measured(paths[name])[0]), name
print("The eigenvalues said of six methods, before a step was made, which of them grow, stay and shrink.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 05**, where both players become networks with thousands of weights.
# - L. Mescheder, A. Geiger and S. Nowozin, "Which training methods for GANs do actually converge?", ICML 2018: the
#   Dirac-GAN, and the eigenvalues of many methods on it.
# - G. Gidel, R. Askari Hemmat, M. Pezeshki, R. Le Priol, G. Huang, S. Lacoste-Julien and I. Mitliagkas, "Negative
#   momentum for improved game dynamics", AISTATS 2019.
# - G. Gidel, H. Berard, G. Vignoud, P. Vincent and S. Lacoste-Julien, "A variational inequality perspective on
#   generative adversarial networks", ICLR 2019: extragradient for GANs, and averaging.
# - C. Daskalakis, A. Ilyas, V. Syrgkanis and H. Zeng, "Training GANs with optimism", ICLR 2018.
# - G. M. Korpelevich, "The extragradient method for finding saddle points and other problems", *Matecon* 12, 1976.
# - L. Mescheder, S. Nowozin and A. Geiger, "The numerics of GANs", NeurIPS 2017: the Jacobian of the game, and
#   consensus optimization.
