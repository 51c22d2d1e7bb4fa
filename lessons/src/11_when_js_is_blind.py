# %% [markdown]
# # 11. When JS is blind: the Wasserstein distance
#
# Against the best D, G minimises the Jensen-Shannon divergence (lesson 03). All real samples lie on one line, all
# fakes on a parallel line at the distance t. How should G know that t = 1 is better than t = 8? It needs a distance
# between distributions that knows the distance between points. There is one, older than two hundred years
# (Monge 1781): how far must one heap of sand be carried to become the other?
#
# **You need** lessons 01, 03 and 05. **Time** about 55 minutes. **You will write** the distance by sorting, the best
# critic on a line, and a critic's step with clipped weights. **After it** you can compute the distance in four ways,
# you know why a "critic" may stand where D stood, why its weights must be held, and what is wrong with holding them
# by clipping.

# %%
import inspect
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import derivation, losses
from minigan.data.toy import mixture_1d
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, ReLU, he
from minigan.network import Sequential
from minigan.optim import SGD, Adam, RMSProp, clip_gradient
from minigan.steps import clipped_d_step

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer trials and steps, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"  # blue is real, orange is fake, dark is the critic
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Every real sample is the number 0. Every fake is the number t, and G makes progress: t = 8, then 4, then 1, then
# 0.01. Which of these numbers tell it so?
#
# 1. the Jensen-Shannon divergence JSD (nats)
# 2. the Kullback-Leibler divergence KL(p || q) (nats)
# 3. the share of samples that the best D gets right
#
# Write down three yes or no, and the four values of each. Then unfold.
#
# <details><summary>The answer</summary>
#
# None. JSD is log 2 = 0.693 four times, KL is infinite four times, and the best D is right every time: at t = 0.01 it
# says "above 0.005" where it said "above 4" before. All three compare how much mass p and q have at the *same* point,
# and as long as there is no such point, they cannot see how far apart the points are.
#
# </details>

# %% [markdown]
# ## 1. Two points, two lines
#
# Put all of p on one point and all of q on another: p = (1, 0) and q = (0, 1). The average m is (1/2, 1/2), so
#
# $$\text{JSD} = \tfrac12 \cdot 1 \cdot \log \frac{1}{1/2} + \tfrac12 \cdot 1 \cdot \log\frac{1}{1/2} = \log 2$$
#
# The distance t does not occur in it. For the two lines we do it in earnest: samples (0, u) and (t, u) with u uniform
# on [0, 1], counted in bins of 0.1 x 0.1. (So at t = 0 a little noise of sampling is left.)

# %%
rng = np.random.default_rng(11)


def f_divergences(p, q):
    """JSD and KL(p || q), in nats, of masses p and q on the same points."""

    def kl(a, b):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(a > 0, a * np.log(a / b), 0).sum()

    m = (p + q) / 2
    return (kl(p, m) + kl(q, m)) / 2, kl(p, q)


def in_bins(x, u):
    return np.histogram2d(x, u, bins=(np.linspace(-0.05, 8.05, 82), np.linspace(0, 1, 11)))[0] / len(x)


for t in (8.0, 4.0, 1.0, 0.1, 0.0):
    points = f_divergences(np.array([1.0, 0.0]), np.array([0.0, 1.0] if t else [1.0, 0.0]))
    lines = f_divergences(in_bins(np.zeros(5000), rng.random(5000)), in_bins(np.full(5000, t), rng.random(5000)))
    print(f"t = {t:<4g} points: JSD {points[0]:.3f}, KL {points[1]:g}   lines: JSD {lines[0]:.3f}, KL {lines[1]:.2g}")
    assert np.isclose(points[0], np.log(2) if t else 0) and np.isclose(lines[0], np.log(2) if t else 0, atol=1e-2)
    assert np.isinf(points[1]) == np.isinf(lines[1]) == (t > 0)

# %% [markdown]
# Is that far-fetched? Images of 28 x 28 are points in a space of 784 dimensions, and G's images come from 100 numbers
# of noise: a thin sheet in that space. Two thin sheets in a large space have, as a rule, next to nothing in common.
#
# ## 2. Carrying sand
#
# Take p as a heap and q as a hole of the same volume. To carry mass π from x to y costs π |x - y|. A **plan** says
# how much goes from each x_i to each y_j. All that lies at x_i must leave, and y_j must be filled: the rows of π add
# up to p and its columns to q. The **Wasserstein distance** is the cost of the cheapest plan:
#
# $$W_1(p, q) = \min_{\pi \ge 0} \sum_{ij} \pi_{ij}\, |x_i - y_j| \qquad
# \text{with} \quad \sum_j \pi_{ij} = p_i, \quad \sum_i \pi_{ij} = q_j$$
#
# Cost and conditions are linear in π: a **linear program**. A linear function on such a body is least at a corner.
# With N points on each side and masses 1/N the corners are the N! ways to pair them (Birkhoff 1946), so for N = 3 we
# try all six. Unit of W1: that of x, for the masses have none.

# %%
x, y = np.array([0.0, 3.0, 7.0]), np.array([5.0, 2.0, 1.0])
cost = np.abs(x[:, None] - y)  # (3, 3)
corners = [np.eye(3)[list(pairing)] / 3 for pairing in itertools.permutations(range(3))]
costs = np.array([(plan * cost).sum() for plan in corners])
plan, W1 = corners[costs.argmin()], costs.min()
print("three times the costs of the six pairings:", np.round(3 * costs).astype(int).tolist())
print(f"W1 = {3 * W1:.0f}/3. The cheapest plan, times 3, x downwards and y to the right:")
for x_i, row in zip(x, 3 * plan):
    print(f"  x = {x_i:g}  ", "  ".join(f"to y = {y_j:g}: {mass:.0f}" for y_j, mass in zip(y, row)))

mixed = rng.dirichlet(np.ones(6), 1000) @ np.reshape(corners, (6, 9))  # 1000 plans that split the mass
print("one of 1000 plans in between is cheaper:", bool((mixed @ cost.ravel() < W1 - 1e-12).any()))
assert np.isclose(W1, 4 / 3) and (mixed @ cost.ravel() >= W1 - 1e-12).all()
assert np.allclose(mixed.reshape(-1, 3, 3).sum(axis=1), 1 / 3), "all of them are plans"

# %% [markdown]
# ## 3. On a line, sort: your first hole
#
# Look at the cheapest plan: the smallest x goes to the smallest y, and so on. That is no accident. If two paths
# cross, exchange their ends: for a ≤ b and c ≤ d
#
# $$|a - c| + |b - d| \le |a - d| + |b - c|$$
#
# So no crossing is ever worth its price, and without crossings only the order is left.

# %%
(a, b), (c, d) = np.sort(rng.standard_normal((2, 2, 10_000)), axis=1)
uncrossed, crossed = np.abs(a - c) + np.abs(b - d), np.abs(a - d) + np.abs(b - c)
print(f"of 10,000 pairs, crossing is cheaper in {np.sum(uncrossed > crossed + 1e-12)}")
assert (uncrossed <= crossed + 1e-12).all() and (uncrossed < crossed - 0.1).any()

# %% [markdown]
# For two samples of N numbers each, with x_(k) the k-th smallest, the linear program is done in a line:
#
# $$W_1 = \frac{1}{N} \sum_k |x_{(k)} - y_{(k)}|$$


# %% exercise="11.w1_sorted"
def w1_sorted(x, y):
    """W1 between two samples x (N,) and y (N,) on a line, each point with the mass 1/N: a number."""
    ### BEGIN SOLUTION
    return np.abs(np.sort(x) - np.sort(y)).mean()
    ### END SOLUTION


# %% check="11.w1_sorted"
check("11.w1_sorted", w1_sorted).raise_if_wrong()

# %%
for N in (3, 6):
    orders = np.array(list(itertools.permutations(range(N))))  # (N!, N)
    one, other = rng.standard_normal(N), rng.standard_normal(N) + 0.5
    right = np.isclose(w1_sorted(one, other), np.abs(one - other[orders]).mean(axis=1).min())
    print(f"N = {N}: sorting gives the best of {len(orders)} pairings: {right}")
    assert right
far = [float(w1_sorted(np.zeros(5), np.full(5, t))) for t in (8, 1, 0.01)]
print("all real samples at 0 and all fakes at t = 8, 1, 0.01: W1 =", far)
assert np.allclose(far, [8, 1, 0.01])

# %% [markdown]
# There is the number that G was missing: W1 = |t|, with the slope 1 however far it is.
#
# ## 4. Two sides of one number
#
# D never sees a plan, it gives marks f(x). What have marks to do with carrying? Let f be **1-Lipschitz**: between any
# two points its values differ by no more than their distance, |f(x) - f(y)| ≤ |x - y|. (On a line: no slope beyond
# ±1.) Take any plan π. Because its rows add up to p and its columns to q,
#
# $$\mathbb{E}_p f - \mathbb{E}_q f = \sum_{ij} \pi_{ij} \left(f(x_i) - f(y_j)\right)
# \le \sum_{ij} \pi_{ij}\, |x_i - y_j|$$
#
# Done: **no f is worth more than any plan costs**. This is weak duality. Think of f as the price of sand: who buys at
# y and sells at x earns f(x) - f(y) on each unit, never more than a carrier takes for the way. And both sides meet:
# the best f is worth what the best plan costs. That is the theorem of Kantorovich and Rubinstein (1958), and the
# whole reason why a network can measure W1:
#
# $$W_1(p, q) = \max_{f \text{ 1-Lipschitz}} \left(\mathbb{E}_p f - \mathbb{E}_q f\right)$$
#
# The cell checks both by brute force, for three points on each side, in the plane, with unequal masses. A corner of
# the linear program uses at most 3 + 3 - 1 = 5 of the 9 paths; of the 126 choices of five, 81 can be solved, and the
# cheapest without negative mass is the best plan. Against it stand two f:
#
# - a random one, f(z) = min_k (h_k + |z - z_k|): cones stood upon random points, so it is 1-Lipschitz;
# - and prices that fit the plan. Let every *used* path earn its cost, u_i + v_j = |x_i - y_j|: five equations, and
#   v_3 = 0. Then f(z) = min_j (|z - y_j| - v_j): cones again.

# %%
CONDITIONS = np.array([np.eye(3).repeat(3, axis=1)[i] for i in range(3)] + [np.tile(np.eye(3), 3)[j] for j in (0, 1)])
TREES = [list(k) for k in itertools.combinations(range(9), 5) if abs(np.linalg.det(CONDITIONS[:, k])) > 0.5]


def distances(one, other):
    return np.linalg.norm(one[:, None] - other, axis=2)


def linear_program(p, q, cost):
    """The cheapest plan (3, 3) from masses p (3,) to q (3,), by all corners, and v (3,) of the prices that fit."""
    found = {}
    for paths in TREES:
        mass = np.linalg.solve(CONDITIONS[:, paths], np.concatenate([p, q[:2]]))
        if mass.min() >= -1e-12:
            found[mass @ cost.ravel()[paths]] = mass, paths
    mass, paths = found[min(found)]
    plan = np.zeros(9)
    plan[paths] = mass
    return plan.reshape(3, 3), np.append(np.linalg.solve(CONDITIONS[:, paths].T, cost.ravel()[paths])[3:], 0)


random_f, best_f = [], []  # the cheapest plan's cost minus what f is worth
for _ in range(30 if FAST else 200):
    (xs, ys, tips), (p, q) = rng.standard_normal((3, 3, 2)), rng.dirichlet(np.ones(3), 2)
    plan_pq, v = linear_program(p, q, distances(xs, ys))
    for margins, stood_on, heights in ((random_f, tips, rng.standard_normal(3)), (best_f, ys, -v)):
        both = np.concatenate([xs, ys])  # (6, 2)
        f = (distances(both, stood_on) + heights).min(axis=1)  # (6,)
        margins.append((plan_pq * distances(xs, ys)).sum() - (p @ f[:3] - q @ f[3:]))
        assert np.isclose(p @ f[:3] - q @ f[3:], (plan_pq * (f[:3, None] - f[3:])).sum()), "the first equals sign"
        assert (np.abs(f[:, None] - f) <= distances(both, both) + 1e-12).all(), "1-Lipschitz"
print(f"{len(best_f)} pairs; random f worth more than the best plan costs: {np.sum(np.less(random_f, -1e-12))}")
print("the f that fits is worth exactly that, every time:", bool(np.allclose(best_f, 0, atol=1e-12)))
assert len(TREES) == 81 and min(random_f) > -1e-12 and max(random_f) > 0.1 and np.allclose(best_f, 0, atol=1e-12)

# %% [markdown]
# And the two lines? The plan that carries each point straight across costs t. The f that falls by 1 per unit from the
# first line to the second is 1-Lipschitz and worth t. The one says W1 ≤ t, the other W1 ≥ t, and no computation is
# needed. Such a pair, a plan and an f of the same value, is a **certificate**.
#
# ## 5. The best critic on a line: your second hole
#
# Stand at a point x of the line. On your left lies F_p(x) of the heap and F_q(x) of the hole: the **distribution
# functions**. What is too much on the left must pass you, and so must what is missing, in the other direction. So
# |F_p - F_q| is the mass that passes x, and W1 its integral (Vallender 1974). The best f needs no search either:
# integrate by parts.
#
# $$W_1 = \int |F_p - F_q|\, dx \qquad\qquad
# \mathbb{E}_p f - \mathbb{E}_q f = \int f\,(p - q)\, dx = \int f'\,(F_q - F_p)\, dx$$
#
# With |f'| ≤ 1 the last integral is largest for f' = sign(F_q - F_p), and then it is the first one. WGAN's authors
# call f the **critic**: it gives marks, no probabilities.
#
# Write both for masses on n points that rise. Between x_k and x_{k+1} the distribution functions are constant.


# %% exercise="11.w1_and_critic"
def w1_and_critic(x, p, q):
    """W1 of the masses p (n,) and q (n,) on rising points x (n,), and the best critic f (n,) with f[0] = 0."""
    ### BEGIN SOLUTION
    gap = np.cumsum(q - p)[:-1]  # F_q - F_p between x_k and x_{k+1}
    f = np.zeros_like(x)
    f[1:] = np.cumsum(np.sign(gap) * np.diff(x))
    return np.abs(gap) @ np.diff(x), f
    ### END SOLUTION


# %% check="11.w1_and_critic"
check("11.w1_and_critic", w1_and_critic).raise_if_wrong()

# %%
N = 8
x_real, x_fake = np.sort(rng.standard_normal(N)), rng.standard_normal(N) + 1


def of_samples(x_real, x_fake):
    """W1 of two samples, (N,) and (M,), and their best critic as a function."""
    points = np.concatenate([x_real, x_fake])
    order = points.argsort()
    is_real = (np.arange(len(points)) < len(x_real))[order]
    value, f = w1_and_critic(points[order], is_real / len(x_real), ~is_real / len(x_fake))
    return value, lambda z: np.interp(z, points[order], f)


value, marks = of_samples(x_real, x_fake)
print("W1 by what passes = W1 by sorting:  ", bool(np.isclose(value, w1_sorted(x_real, x_fake))))
print("your critic is worth W1:            ", bool(np.isclose(marks(x_real).mean() - marks(x_fake).mean(), value)))
print("the three points of section 2: W1 = ", f"{3 * of_samples(x, y)[0]:.0f}/3")
assert np.isclose(value, w1_sorted(x_real, x_fake)) and np.isclose(of_samples(x, y)[0], W1)
assert np.isclose(marks(x_real).mean() - marks(x_fake).mean(), value)

# %% [markdown]
# ## 6. What G hears
#
# Now the gradient on the fakes. First without any critic, through the sorting, in the **long form**. Then by the
# critic: G minimises L_G = -mean f(fake), which gives each fake
#
# $$\frac{\partial L_G}{\partial y_n} = -\frac{1}{N} f'(y_n)$$
#
# The critic stands still in this formula. Is it, all the same, the slope of W1, whose critic changes with every
# fake? Yes: f is at its maximum, where small changes of f change nothing. (The envelope theorem. At a fake f has a
# kink; the sign of f just right of it minus f just left of it is the slope that counts.)

# %%
# forward
into_order = x_fake.argsort()
y_sorted = x_fake[into_order]  # (N,)
gap = y_sorted - x_real  # (N,), x_real is in order
carried = np.abs(gap)  # (N,)
value = carried.mean()

# backward, from the last line to the first
dcarried = np.full(N, 1 / N)  # value = mean of carried
dgap = dcarried * np.sign(gap)  # |gap|, by gap
dy_sorted = dgap  # gap = y_sorted - x_real, by y_sorted
dy = np.zeros(N)
dy[into_order] = dy_sorted  # each gradient goes back to where its number came from

h = 1e-6
numeric = [(w1_sorted(x_real, x_fake + h * e) - w1_sorted(x_real, x_fake - h * e)) / (2 * h) for e in np.eye(N)]
short = -np.sign(marks(x_fake + h) - marks(x_fake - h)) / N
print("long form = central differences:   ", np.allclose(dy, numeric))
print("long form = -f'/N, by your critic: ", np.allclose(dy, short))
assert np.allclose(dy, numeric) and np.allclose(dy, short) and np.abs(dy).min() > 0

# %% [markdown]
# Every fake gets the same size, 1/N, and the direction in which mass is missing, however far it is.
#
# Now spread the points a little: real samples from N(0, sd²), fakes from N(t, sd²). W1 is |t|, for every sd: shift by
# t. And the slopes that G hears, with the best D of lesson 03 and with the best critic:
#
# $$\frac{d}{dt}\, 2\,\text{JSD} = \mathbb{E}_q\!\left[-\sigma(s)\, s'\right], \quad s = \log p - \log q \qquad
# \frac{d}{dt} W_1 = \mathbb{E}_q\!\left[-f'\right] = 1$$

# %%
line = np.linspace(-6, 12, 3601)  # a grid, in the unit of x
SDS = {1.0: "--", 0.3: "-.", 0.1: ":"}


def heaps(t, sd):
    """log p, log q, p and q on the grid."""
    logs = [mixture_1d([mean], sd).log_density(line[:, None]) for mean in (0, t)]
    return *logs, *map(np.exp, logs)


def heard(t, sd):
    """The slopes of 2 JSD and of W1 that a G step sees, by lesson 03's integral over the fakes."""
    log_p, log_q, p, q = heaps(t, sd)
    f = w1_and_critic(line, p / p.sum(), q / q.sum())[1]
    games = (losses.minimax, log_p - log_q), (losses.wasserstein, f)
    return [derivation.shift_gradient(loss, marks, q, line) for loss, marks in games]


def jsd_at(t, sd):
    return derivation.jsd(*heaps(t, sd)[2:], line)


for sd in (1.0, 0.3):
    slopes = [heard(t, sd) for t in (1.0, 3.0)]
    print(f"sd = {sd:g}: the slope of 2 JSD is {slopes[0][0]:.2g} at t = 1 and {slopes[1][0]:.1g} at t = 3; ", end="")
    print("that of W1 is", [round(float(w), 2) for _, w in slopes])
    assert all(abs(w - 1) < 0.02 for _, w in slopes) and slopes[1][0] < slopes[0][0]
    assert abs(slopes[0][0] - (jsd_at(1 + h, sd) - jsd_at(1 - h, sd)) / h) < 1e-4  # 2 JSD, by a central difference

distances_t = np.linspace(0, 6, 31 if FAST else 121)
jsd_curves = {sd: [jsd_at(t, sd) for t in distances_t] for sd in SDS}
w1_curves = {sd: [derivation.wasserstein(*heaps(t, sd)[2:], line) for t in distances_t] for sd in SDS}
walks = np.full((2, 61), 5.0)  # G at t = 5, sd 0.3: steps of 0.1 against each slope
for k in range(60):
    walks[:, k + 1] = [t - 0.1 * heard(t, 0.3)[which] for which, t in enumerate(walks[:, k])]

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.3))
for sd, style in SDS.items():
    left.plot(distances_t, jsd_curves[sd], style, color=ORANGE, label=f"sd {sd:g}")
    middle.plot(distances_t, w1_curves[sd], style, color=BLUE, label=f"sd {sd:g}")
left.plot([0, 6], [np.log(2)] * 2, color=INK, linewidth=1, label="points")
left.plot(0, 0, "o", color=INK, markersize=4)
middle.plot([0, 6], [0, 6], color=INK, linewidth=1, label="points")
left.set(xlabel="distance t (unit of x)", ylabel="JSD (nats)", ylim=(-0.03, 0.78))
left.set_title("JSD: a ceiling", loc="left", fontsize=10)
left.legend(loc="lower right", fontsize=9)
middle.set(xlabel="distance t (unit of x)", ylabel="W1 (unit of x)")
middle.set_title("W1: a slope, the same for all", loc="left", fontsize=10)
middle.legend(loc="lower right", fontsize=9)
right.plot(walks[0], "--", color=ORANGE, label="down 2 JSD")
right.plot(walks[1], color=BLUE, label="down W1")
right.set(xlabel="step of G, each 0.1 x slope", ylabel="where the fakes are, t", ylim=(-0.3, 5.6))
right.set_title("G at t = 5, sd 0.3", loc="left", fontsize=10)
right.legend(loc="center right", fontsize=9, bbox_to_anchor=(1, 0.72))
figure.tight_layout()

assert all(np.allclose(w1_curves[sd], distances_t, atol=1e-6) for sd in SDS), "W1 = t for every sd"
assert all(np.diff(jsd_curves[sd]).min() > -1e-9 and jsd_curves[sd][-1] < np.log(2) + 1e-9 for sd in SDS)
print(f"after 60 steps: by JSD at t = {walks[0, -1]:.3f}, by W1 within a step of 0:", bool(abs(walks[1, -1]) < 0.11))
assert walks[0, -1] > 4.999 and abs(walks[1, -1]) < 0.11

# %% [markdown]
# On the left the curves reach the ceiling the sooner the thinner the heaps; the dark one is the limit, a step at 0.
# In the middle all four lie upon each other. (Near 0 W1 has a kink: a G with steps of fixed length ends by stepping
# to and fro. JSD is smooth there. Nothing is free.)
#
# ## 7. When nobody can sort
#
# In more dimensions there is no order, and a linear program with N² unknowns is slow. A common way out pays the plan
# a little for spreading, ε times its entropy (Cuturi 2013). The best plan then has the form
#
# $$\pi_{ij} = e^{(f_i + g_j - |x_i - y_j|) / \varepsilon}$$
#
# and f and g are found by turns: f such that the rows add up to p, then g such that the columns add up to q, and
# again. f_i and -g_j are the prices of section 4, a little softened. The plan is not the cheapest one, so its cost is
# too high. By how much? Cost minus ε times entropy is least for π; compare it with the cheapest plan, and use that
# entropies of plans with masses 1/N lie between log N and 2 log N:
#
# $$0 \;\le\; \sum_{ij} \pi_{ij} |x_i - y_j| - W_1 \;\le\; \varepsilon \log N$$
#
# Compute with logarithms. Many programs store K = e^(-cost/ε) itself, which is 0 for small ε, and then divide by it.


# %%
def sinkhorn(p, q, cost, eps, rounds=2000):
    """The plan (N, M) between masses p (N,) and q (M,) with entropy, by turns, in logarithms."""
    f, g = np.zeros(len(p)), np.zeros(len(q))
    for _ in range(rounds):
        f = eps * (np.log(p) - np.logaddexp.reduce((g - cost) / eps, axis=1))
        g = eps * (np.log(q) - np.logaddexp.reduce((f[:, None] - cost) / eps, axis=0))
    return np.exp((f[:, None] + g - cost) / eps)


thirds = np.full(3, 1 / 3)
too_much = {eps: (sinkhorn(thirds, thirds, cost, eps) * cost).sum() - W1 for eps in (10, 3, 1, 0.3, 0.1)}
for eps, bias in too_much.items():
    print(f"eps = {eps:<4g} cost - W1 = {bias:.4f}   bound eps log 3 = {eps * np.log(3):.4f}")
    assert 0 < bias < eps * np.log(3)
assert (np.diff(list(too_much.values())) < 0).all() and too_much[0.1] < 1e-3
found = sinkhorn(thirds, thirds, cost, 0.001)
with np.errstate(all="ignore"):
    K = np.exp(-cost / 0.001)
    plain = thirds / (K @ (thirds / (K.T @ np.ones(3))))
print("eps = 0.001 is the plan of section 2 in logarithms:", np.allclose(found, plan), "  with K itself:", plain)
assert np.allclose(found, plan) and np.allclose(found.sum(axis=0), thirds) and np.isnan(plain).any()

# %% [markdown]
# ## 8. A critic that is trained, and held
#
# Let a network be the critic, f(x) = relu(x V + b) w with H hidden units. (A last bias would move all marks alike and
# cancel.) It descends on
#
# $$L = \frac{1}{N} \sum_n f(\text{fake}_n) - \frac{1}{N} \sum_n f(\text{real}_n)$$
#
# and if it were the best 1-Lipschitz function, L would be -W1. But who keeps it 1-Lipschitz? Left alone it makes its
# weights ten times larger and L a hundred times lower: L has no minimum. WGAN (Arjovsky et al. 2017) **clips** every
# weight to [-c, c] after each step. A slope of f is a sum of products of two weights, so
#
# $$|f'(x)| \le \sum_h |V_h\, w_h| \le H c^2$$
#
# The box makes f K-Lipschitz with *some* K, and -L an estimate of K W1, from below.

# %%
H, C = 64, 0.1
real, fake = mixture_1d([-3, 0, 3], 0.3), mixture_1d([-1.5, 1.5], 0.3)  # G has two modes, and the data three
z = np.linspace(-6, 6, 1201)[:, None]  # another grid, (n, 1)


def critic(x, V, b, w):
    """The marks (N, 1) of x (N, 1)."""
    return np.maximum(x @ V + b, 0) @ w


def batch(n=256):
    """Real samples and fakes, (n, 1) each."""
    return [source.sample(n, rng).astype(np.float64) for source in (real, fake)]


x_real, x_fake = batch()
V, b, w = weights = [rng.uniform(-C, C, shape) for shape in ((1, H), (H,), (H, 1))]
L = critic(x_fake, *weights).mean() - critic(x_real, *weights).mean()
steepest = np.abs(np.gradient(critic(z, *weights)[:, 0], z[:, 0])).max()
print("largest slope within both bounds:", bool(steepest <= np.abs(V[0] * w[:, 0]).sum() <= H * C**2))
assert steepest <= np.abs(V[0] * w[:, 0]).sum() <= H * C**2
assert np.isclose(L, losses.wasserstein.discriminator(critic(x_real, *weights), critic(x_fake, *weights))[0])
assert np.isclose(
    critic(x_fake, 10 * V, 10 * b, 10 * w).mean() - critic(x_real, 10 * V, 10 * b, 10 * w).mean(), 100 * L
)

# %% [markdown]
# Your third hole: a step of this critic by plain gradient descent, and the clipping. The backward pass is that of
# lesson 02. Its upstream gradients are the simplest there are: -1/N for each real mark and 1/N for each fake one.


# %% exercise="11.clipped_step"
def clipped_step(x_real, x_fake, V, b, w, lr, c):
    """V (1, H), b (H,), w (H, 1) after a step on L with x_real, x_fake (N, 1), and clipping to [-c, c]."""
    ### BEGIN SOLUTION
    dV, db, dw = np.zeros_like(V), np.zeros_like(b), np.zeros_like(w)
    for x, share in ((x_real, -1 / len(x_real)), (x_fake, 1 / len(x_fake))):
        # forward
        u = x @ V + b  # (N, H)
        h = np.maximum(u, 0)  # (N, H)
        # backward, from the marks f = h w down
        df = np.full_like(x, share)  # (N, 1): L is a mean of marks
        dw += h.T @ df
        du = (df @ w.T) * (u > 0)  # (N, H)
        dV += x.T @ du
        db += du.sum(axis=0)
    return tuple(np.clip(old - lr * d, -c, c) for old, d in ((V, dV), (b, db), (w, dw)))
    ### END SOLUTION


# %% check="11.clipped_step"
check("11.clipped_step", clipped_step).raise_if_wrong()

# %% [markdown]
# **Predict.** Real samples lie around -3, 0 and 3, fakes around -1.5 and 1.5. The best critic is a W: from each fake
# heap it rises to both sides. What does the clipped critic look like after training, and where are its weights?
#
# <details><summary>The answer</summary>
#
# It is a V with a blunt tip: "outwards is better". The inner third of the fakes should go to 0, and nearly all of it
# is sent to -3 and 3. And most of the weights are exactly c or -c.
#
# </details>
#
# Why at ±c? As a function of w alone L is linear, and a linear function on a box is least in a corner:
#
# $$\min_{|w_h| \le c} L = -c \sum_h \left|\mathbb{E}_p h - \mathbb{E}_q h\right| \qquad
# \text{at} \quad w_h = c\, \text{sign}(\mathbb{E}_p h - \mathbb{E}_q h)$$
#
# In each other weight alone L is made of straight pieces. As a rule nothing stops it before the wall.

# %%
h_real, h_fake = (np.maximum(x @ V + b, 0).mean(axis=0) for x in (x_real, x_fake))  # (H,) each
corner = C * np.sign(h_real - h_fake)  # (H,)
others = (h_fake - h_real) @ rng.uniform(-C, C, (H, 1000))  # L of 1000 other w
lowest = critic(x_fake, V, b, corner[:, None]).mean() - critic(x_real, V, b, corner[:, None]).mean()
print("L in that corner is the formula's, and 1000 other w have a higher one:", bool(lowest < others.min()))
assert np.isclose(lowest, -C * np.abs(h_real - h_fake).sum()) and lowest < others.min()

for _ in range(300 if FAST else 800):
    weights = clipped_step(*batch(), *weights, lr=0.05, c=C)

p, q, dz = real.density(z), fake.density(z), 0.01
W1_true, best = w1_and_critic(z[:, 0], p * dz, q * dz)


def examined(f):
    """Of marks f (n, 1) on the grid: the largest slope, their worth at slope 1, and the share of fakes misled."""
    slope, true = np.gradient(np.float64(f[:, 0]), dz), np.gradient(best, dz)
    largest = np.abs(slope).max()
    return largest, (p - q) @ f[:, 0] * dz / largest, q[slope * true < 0].sum() * dz


def at_the_wall(theta, c):
    return float(np.mean(np.abs(theta) > 0.999 * c))


f = critic(z, *weights)
theta = np.concatenate([part.ravel() for part in weights])
K, worth, misled = examined(f)
print(f"weights at +-c: {at_the_wall(theta, C):.0%}; before the first step: 0 %")
print(f"worth, at slope 1: {worth:.2f}; W1 = {W1_true:.2f}; fakes sent the wrong way: {misled:.0%}")
assert at_the_wall(theta, C) > 0.5 and worth < 0.8 * W1_true and 0.22 < misled < 0.45

# %% [markdown]
# Or can a network simply not do better? Take one without a box, and fit it to the best critic by regression. (This is
# no way to train a critic: who knows the best one needs no other. It asks what such a network *could* do.)


# %%
def network(depth, seed, width=64):
    made = {"rng": np.random.default_rng(seed), "init": he}
    layers = [Dense(1, width, **made), LeakyReLU(0.2)]
    for _ in range(depth - 2):
        layers += [Dense(width, width, **made), LeakyReLU(0.2)]
    return Sequential(*layers, Dense(width, 1, **made))


z32 = z.astype(np.float32)
fitted = network(3, seed=0)
optimizer = Adam(fitted, 2e-3)
for _ in range(600 if FAST else 1500):
    rows = rng.integers(0, len(z), 256)
    says, cache = fitted.forward(z32[rows])
    fitted.zero_grad()
    fitted.backward((says - best[rows, None].astype(np.float32)) / 256, cache, input_grad=False)
    optimizer.step()
f_fitted = fitted(z32)
print("it misleads less than 20 % of the fakes:", bool(examined(f_fitted)[2] < 0.2))
assert examined(f_fitted)[2] < 0.2 < misled

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(3, 2))
for curve, colour, style, label in (
    (best, INK, "-", "best critic"),
    (f[:, 0] / K, BLUE, "--", "clipped, divided by its largest slope"),
    (f_fitted[:, 0], "#888888", ":", "a network without a box"),
):
    left.plot(z, curve - curve[300:901].mean(), style, color=colour, label=label)  # marks have no zero: middle them
for source, colour, marker, height in ((real, BLUE, "o", -2.0), (fake, ORANGE, "x", -2.4)):
    left.plot(source.sample(120, rng), np.full(120, height), marker, color=colour, markersize=4, alpha=0.6)
left.set(xlabel="x   (o real samples, x fakes)", ylabel="marks f (unit of x)", ylim=(-2.7, 4.2), xlim=(-4.6, 4.6))
left.set_title("The clipped critic is a V, the best one a W", loc="left", fontsize=10)
left.legend(loc="upper center", fontsize=9)
right.hist(theta / C, np.linspace(-1, 1, 41), color=BLUE)
right.set(xlabel="weight / c", ylabel="how many of the weights")
right.set_title(f"{at_the_wall(theta, C):.0%} of the weights lie at ±c", loc="left", fontsize=10)
figure.tight_layout()

# %% [markdown]
# The V costs G its middle mode: hardly a fake is told to go to 0. And there is a second fault. Each further layer
# brings another factor H c into the bound; for three layers
#
# $$|f'(x)| \le c \cdot (H c) \cdot (H c) = H^2 c^3$$
#
# What arrives at G is f'. So c scales G's gradient, with the *depth* in the exponent. We train a critic of three
# layers as the paper does, with RMSProp, for three c.

# %%
print("c       weights at +-c   largest slope   bound H^2 c^3")
same = Sequential(Dense(1, 1, rng=rng))  # stands in the place of G, and hands on the fakes that it is given
same.theta = np.array([1, 0], dtype=np.float32)
reached = {}
for c in (0.01, 0.03, 0.1):
    D = network(3, seed=1)
    D.theta = np.clip(D.theta, -c, c)
    optimizer = RMSProp(D, c / 20)
    for _ in range(150 if FAST else 600):
        clipped_d_step(same, D, optimizer, losses.wasserstein, *(x.astype(np.float32) for x in batch()), clip=c)
    reached[c] = examined(D(z32))[0]
    print(f"{c:<8g}{at_the_wall(D.theta, c):<17.0%}{reached[c]:<16.1g}{H**2 * c**3:.1g}")
    assert reached[c] < H**2 * c**3 and at_the_wall(D.theta, c) > 0.5
print("ten times the c, more than 200 times the slope:", bool(reached[0.1] > 200 * reached[0.01]))
assert reached[0.1] > 200 * reached[0.01]

# %% [markdown]
# With c = 0.01, the number of the paper, these layers hand G a slope of about 0.001 where 1 would be right, and each
# further layer takes at best another factor H c = 0.64; with c = 0.1 it could *multiply* by 6.4. The paper says so
# itself: "Weight clipping is a clearly terrible way to enforce a Lipschitz constraint."
#
# ## 9. Honest words
#
# So does a GAN with cross-entropy hear nothing from far away? The story of section 1 says: best D, JSD flat, slope 0.
# But no D is ever the best one, and G does not differentiate JSD. It gets
#
# $$\frac{\partial L_G}{\partial t} = \sum_n \frac{\partial L_G}{\partial s_n}\, s'(y_n)$$
#
# and s' is whatever D's logit does *at the fakes*. On two points the best D is no help: it says what s is there, and
# nothing about the way between. What a network puts there is a slope.
#
# **Predict.** Real samples near 0, fakes near t = 4, no overlap. D is trained for 30, 300, 1000 steps. What
# becomes of the gradient on t by the minimax loss, and by the non-saturating one?

# %%
D = network(3, seed=2, width=32)
optimizer = Adam(D, 1e-3)
heard_of = {}
for k in range(1001):
    x_real, x_fake = ((t + 0.1 * rng.standard_normal((64, 1))).astype(np.float32) for t in (0, 4))
    (on_real, real_cache), (on_fake, fake_cache) = D.forward(x_real), D.forward(x_fake)
    value, d_real, d_fake = losses.minimax.discriminator(on_real, on_fake)
    if k in (30, 300, 1000):
        slope_of_s = D.backward(np.ones_like(on_fake), fake_cache, param_grads=False)  # s' at each fake
        heard_of[k] = [float((game.generator(on_fake)[1] * slope_of_s).sum()) for game in losses.GAMES[1::-1]]
        print(f"step {k:<5} D's loss {value:.0e} nats   gradient on t: minimax {heard_of[k][0]:.0e}, ", end="")
        print(f"non-saturating {heard_of[k][1]:.1f}, slope of 2 JSD 0")
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    optimizer.step()
assert losses.GAMES[:2] == (losses.non_saturating, losses.minimax)
assert 0 < heard_of[1000][0] < heard_of[30][0] / 5, "minimax goes silent, as in lesson 03"
assert heard_of[1000][1] > heard_of[30][1] > 0.3, "and the loss in use hears more, not less"

# %% [markdown]
# So "JSD is flat, therefore GANs get no gradient" is about a limit, and about the minimax loss. (Fedus et al. 2018
# train GANs where the theory forbids it, and they learn.) What remains is real all the same: D's loss says nothing
# about the distance, and the slope of a very good D is whatever its network happens to put there. Nor is the other
# side a theorem in practice. A trained critic is not the best one; W1 between two *samples* in many dimensions is far
# from W1 between their distributions (Dudley 1969); and the game need not settle (lesson 04). That WGANs work is a
# fact. That they work because they compute W1 is disputed (Stanczuk et al. 2021).
#
# ## 10. How the library does it
#
# `minigan.derivation` has the theory of this lesson. Its F and G are our F_p and F_q.

# %%
for function in (derivation.two_points, derivation.wasserstein, derivation.critic):
    print(inspect.getsource(function))

# %%
some, others = rng.standard_normal(32), rng.standard_normal(16) + 1  # not even as many
value, marks = of_samples(some, others)
points, f = derivation.critic_samples(some, others)
two = derivation.two_points(-3.0)
library = derivation.wasserstein_samples
equal = {
    "W1 by sorting": np.isclose(w1_sorted(some[:16], others), library(some[:16], others)),
    "W1 of 32 and 16 samples": np.isclose(value, library(some, others)),
    "their best critic": np.allclose(marks(points), f),
    "W1 of two densities": np.isclose(W1_true, derivation.wasserstein(p, q, z[:, 0]), atol=1e-4),
}
for what, is_equal in equal.items():
    print(f"{what}: yours = the library's: {bool(is_equal)}")
print("two points, t = -3:", {name: round(number, 3) for name, number in two.items()})
assert all(equal.values()) and np.isclose(two["jsd"], np.log(2)) and np.isinf(two["kl"]) and two["wasserstein"] == 3

# %% [markdown]
# The game is two functions in `minigan.losses`, and the clipping one line in `minigan.steps`. Do not mistake it for
# an optimizer's `clip`, the last of these functions: that shortens a *gradient*, which bounds a step (lesson 14 needs
# it) and leaves the critic's slope free.

# %%
for function in (losses.wasserstein_discriminator, losses.wasserstein_generator, clipped_d_step, clip_gradient):
    print(inspect.getsource(function))

D = Sequential(Dense(1, H, rng=rng), ReLU(), Dense(H, 1, rng=rng)).astype(np.float64)
D.theta = np.append(theta, 0)  # the library's last layer has its bias: it gets no gradient, and stays 0
x_real, x_fake = batch()
clipped_d_step(same.astype(np.float64), D, SGD(D, 0.05), losses.wasserstein, x_real, x_fake, clip=C)
mine = np.concatenate([part.ravel() for part in clipped_step(x_real, x_fake, *weights, lr=0.05, c=C)])
print("a clipped step: yours = the library's:", np.allclose(np.append(mine, 0), D.theta, atol=1e-12))
assert np.allclose(np.append(mine, 0), D.theta, atol=1e-12) and not np.allclose(mine, theta, atol=1e-6)

# %% [markdown]
# The whole game, as its paper plays it, with five steps of D for each of G's:
#
#     minigan train mlp --loss wasserstein --clip 0.01 --optimizer rmsprop --d-steps 5
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back. An assertion that fails is an answer, too.
#
# 1. In section 2, take y = (8, 9, 10), all of it to the right of x. How many of the six plans are the cheapest now?
# 2. In section 8, train with `c=np.inf`. What becomes of L and of the largest slope? Then clip the *gradient* in
#    `clipped_step`, not the weights: does that help?
# 3. Put three fake modes on the three real ones, with the weights 0.6, 0.2 and 0.2 (the third argument of
#    `mixture_1d`). What is the best critic now, and is the clipped one still so bad? (First draw F_q - F_p.)
# 4. Draw 40 numbers twice from *one* normal distribution, and take W1. And 4,000 numbers? When is W1 zero?
# 5. In section 7, give `rounds=5`. For which ε do the columns of the plan, and its rows, still add up to 1/3?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("11.w1_sorted", w1_sorted)
assert check("11.w1_and_critic", w1_and_critic)
assert check("11.clipped_step", clipped_step)
print(
    "W1 knows how far. A critic measures it, if its slope is held. Clipping holds the slope, and makes f too simple."
)

# %% [markdown]
# ## What to read next
#
# - **Lesson 12**: hold the slope itself. The gradient penalty, and the derivative of a derivative that it takes.
# - M. Arjovsky, S. Chintala and L. Bottou, "Wasserstein generative adversarial networks", *ICML* 2017: the two lines
#   are example 1; the quotation stands in section 3.
# - I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville, "Improved training of Wasserstein GANs",
#   *NeurIPS* 2017: section 3 has the histogram of weights, the simple critics, and the gradient by depth.
# - G. Peyré and M. Cuturi, "Computational optimal transport", *Foundations and Trends in Machine Learning* 11, 2019:
#   linear program, duality, sorting, with pictures. Its ε comes from M. Cuturi, "Sinkhorn distances: lightspeed
#   computation of optimal transport", *NeurIPS* 2013.
# - W. Fedus, M. Rosca, B. Lakshminarayanan, A. Dai, S. Mohamed and I. Goodfellow, "Many paths to equilibrium: GANs do
#   not need to decrease a divergence at every step", *ICLR* 2018: our section 9, in earnest.
# - J. Stanczuk, C. Etmann, L. M. Kreusser and C.-B. Schönlieb, "Wasserstein GANs work because they fail (to
#   approximate the Wasserstein distance)", arXiv:2103.01678, 2021.
# - S. S. Vallender, "Calculation of the Wasserstein distance between probability distributions on the line", *Theory
#   of Probability and its Applications* 18, 1974; R. M. Dudley, "The speed of mean Glivenko-Cantelli convergence",
#   *Annals of Mathematical Statistics* 40, 1969.
