# %% [markdown]
# # 10. Has it collapsed?
#
# A generator can make perfect sevens and nothing else. Each of its pictures fools you, and each fools D. What is
# wrong can only be seen in many pictures at once: G has left out nine tenths of the data. This is **mode collapse**,
# the best known illness of GANs. A *mode* is a hill of the data's density: a digit, a style, an island in the plane.
# To find it, and to know whether a remedy helped, you need numbers. And a number alone says nothing: you need to
# know what a *perfect* generator scores, with as few samples as you took.
#
# **You need** lesson 01 (the gradient check), lesson 03 (log 4) and lesson 05 (the game); of probability, the mean
# and the variance. **Time** about 55 minutes. **You will write** three numbers for known modes, the birthday
# problem, and precision and recall. **After it** you can tell how many modes a generator covers, how evenly, how
# sharply, and how many different things it draws at all; you know each number's floor, and why the loss tells none
# of this.

# %%
import inspect
import math
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import gradcheck, losses
from minigan.data import toy
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, MinibatchStd, ReLU, he
from minigan.metrics import modes as library
from minigan.metrics import neighbours
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.steps import d_step, g_step

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer and shorter games, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Three games were played with the same data, eight islands on a circle, and the same G. These are their mean losses
# in nats over the second half of the training. When D can tell nothing, its loss is log 4 = 1.39, and G's is
# log 2 = 0.69 (lesson 03).
#
# | game | D's loss | G's loss |
# |---|---|---|
# | X | 1.38 | 0.71 |
# | Y | 1.36 | 0.71 |
# | Z | 1.26 | 0.89 |
#
# Which game's generator covers all eight islands, and which one does not? Write it down. Sections 8 and 9 play them.
#
# <details><summary>The answer</summary>
#
# X, with the losses of the textbook, covers three islands at a time. Y and Z cover all eight. D's loss says how well
# *this* D tells *these* samples apart, one by one. It does not say on how many islands the fakes are.
#
# </details>

# %% [markdown]
# ## 1. Five generators, by eye
#
# The data: K = 8 islands on a circle of radius 1, each a round Gaussian with the standard deviation sd = 0.05. Here
# are five generators of such points. One is perfect: it is the data's own sampler. One leaves out an island. One
# visits the islands unevenly. One blurs them: its sd is 0.065. One has learned 200 real points by heart and repeats
# them. They are shuffled, so you cannot know which is which.

# %%
data = toy.ring(8, radius=1.0, sd=0.05)
MEANS, SD, K = data.means, data.sd, len(data.means)
N = 500  # points of each

random = np.random.default_rng(6)
HEART = data.sample(200, random).astype(float)  # (200, 2): what the memoriser knows


def islands(shares, sd):
    """A sampler of n points (n, 2) that visits the islands with these shares (K,)."""
    shares = np.array(shares) / sum(shares)
    return lambda n: MEANS[random.choice(K, n, p=shares)] + sd * random.standard_normal((n, 2))


SAMPLERS = {
    "perfect": islands([1] * 8, SD),
    "one missing": islands([1, 1, 1, 0, 1, 1, 1, 1], SD),
    "uneven": islands([15, 6, 13, 8, 14, 7, 12, 5], SD),
    "blurred": islands([1] * 8, 0.065),
    "by heart": lambda n: HEART[random.integers(len(HEART), size=n)],
}
TRUTH = dict(zip("ABCDE", random.permutation(list(SAMPLERS))))  # do not print it yet
REAL = data.sample(N, random).astype(float)  # (500, 2)
drawn = {letter: SAMPLERS[kind](N) for letter, kind in TRUTH.items()}  # (500, 2) each

figure, panels = plt.subplots(2, 3, figsize=(8, 5.6), sharex=True, sharey=True)
for axes, (name, points) in zip(panels.flat, {"real": REAL, **drawn}.items()):
    axes.plot(*points.T, "o" if name == "real" else "x", color=BLUE if name == "real" else ORANGE, markersize=2)
    axes.set(title=name, aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
figure.supxlabel("x", fontsize=10)
figure.supylabel("y", fontsize=10)
figure.suptitle("Which is the perfect one, and what ails the others?", x=0.02, ha="left", fontsize=11)
figure.tight_layout()

# %% [markdown]
# Rank them: put your order, the best first, between the quotation marks, and run the cell. The hole in one of them
# is plain to see. Be honest about the others.

# %%
by_eye = "ABCDE"
assert sorted(by_eye) == list("ABCDE"), "each letter once"
print("your order by eye:", " ".join(by_eye))

# %% [markdown]
# ## 2. Modes covered, high quality, evenness
#
# For islands that are known, papers report three numbers. A point is of **high quality** if it is closer than 3 sd to
# an island's mean. What share of *real* points is? Around the mean, in units of sd, the density at distance r is
# e^(-r²/2)/(2π), and a ring of radius r has the length 2πr:
#
# $$q = \int_0^3 r\, e^{-r^2/2}\, dr = 1 - e^{-9/2}$$
#
# So a perfect generator scores 98.9 %, and not 100. (The 99.7 % that many remember for "3 sd" is for one dimension.)
# A generator with 100 % is *too narrow*.
#
# An island is **covered** if at least one such point is on it. One point hits a given island with probability q/K,
# and n points miss it with (1 - q/K)^n. So a perfect generator covers on average
#
# $$E[\mathrm{covered}] = K \left(1 - (1 - q/K)^n\right)$$

# %%
r = (np.arange(3000) + 0.5) / 1000  # the middles of 3000 strips
by_sum, q = (r * np.exp(-(r**2) / 2)).sum() / 1000, 1 - math.exp(-4.5)
away = np.linalg.norm(data.sample(100_000, random)[:, None] - MEANS, axis=2).min(axis=1)  # to the nearest mean
print(f"q by the integral {by_sum:.4f}, by the formula {q:.4f}, of 100,000 real points {(away < 3 * SD).mean():.3f}")
assert abs(by_sum - q) < 1e-6 and abs((away < 3 * SD).mean() - q) < 0.002

covered = lambda K, n, q=q: K * (1 - (1 - q / K) ** n)
tried = [len(set(random.integers(K, size=20)[random.random(20) < q])) for _ in range(4000)]
print(f"20 perfect points cover {covered(8, 20):.2f} of 8 islands by the formula, {np.mean(tried):.2f} when tried")
print(f"2,500 perfect samples of 1000 classes cover {covered(1000, 2500, 1):.0f} of them")
assert abs(np.mean(tried) - covered(8, 20)) < 0.05

# %% [markdown]
# Look at the last line. Who draws 2,500 samples where there are 1000 modes and reports "918 modes" has measured the
# number of samples.
#
# The third number asks for evenness. Let p_k be the share of the high-quality points that are on island k. The
# Kullback-Leibler divergence of this histogram from the even one is, in nats,
#
# $$\mathrm{KL} = \sum_k p_k \log \frac{p_k}{1/K} = \log K - H(p), \qquad H(p) = -\sum_k p_k \log p_k$$
#
# It is 0 for an even histogram and log K for a single island. An empty island adds nothing (p log p goes to 0 as p
# does). It is called the *reverse* KL because the generator stands first. The other way round, an empty island
# would make it infinite.

# %%
for reached in (8, 7, 1):
    p = np.full(reached, 1 / reached)
    by_sum, by_entropy = (p * np.log(p * 8)).sum(), math.log(8) - -(p * np.log(p)).sum()
    print(f"{reached} of 8 islands, evenly: reverse KL {by_sum:.3f} nats")
    assert np.allclose([by_sum, by_entropy], math.log(8 / reached), atol=1e-12)

# %% [markdown]
# Write all three. If no point is near any island, let the reverse KL be log K, the worst.


# %% exercise="10.mode_numbers"
def mode_numbers(x, means, sd):
    """Of points x (n, 2) and means (K, 2): covered (0 to K), high_quality (0 to 1), reverse_kl (0 to log K)."""
    ### BEGIN SOLUTION
    distances = np.linalg.norm(x[:, None] - means, axis=2)  # (n, K)
    good = distances.min(axis=1) < 3 * sd  # (n,)
    counts = np.bincount(distances[good].argmin(axis=1), minlength=len(means))  # (K,)
    if not good.any():
        return 0, 0.0, math.log(len(means))
    p = counts[counts > 0] / counts.sum()
    return len(p), good.mean(), math.log(len(means)) + (p * np.log(p)).sum()
    ### END SOLUTION


# %% check="10.mode_numbers"
check("10.mode_numbers", mode_numbers).raise_if_wrong()

# %% [markdown]
# ## 3. The floor of the reverse KL
#
# **Predict.** A perfect generator visits the eight islands evenly. You draw 100 points and compute the reverse KL.
# What comes out?
#
# <details><summary>The answer</summary>
#
# Never 0, for 100 points do not fall evenly: there would have to be 12.5 on each island. On average 0.035. So "our
# KL is 0.03" from 100 samples is a perfect score, and from 10,000 samples a bad one.
#
# </details>
#
# How much? Let n points fall evenly on K islands, and write p_k = (1 + e_k)/K. All p_k sum to 1, so the e_k sum to
# 0. Taylor's formula (1 + e) log(1 + e) ≈ e + e²/2 gives KL ≈ Σ e_k² / (2K). The count n p_k is binomial with the
# variance n (1/K)(1 - 1/K), so e_k has the mean square (K - 1)/n. The sum of K of these:
#
# $$E[\mathrm{KL}] \approx \frac{K - 1}{2 n}$$
#
# The cell draws perfect histograms, and takes their mean and what 19 of 20 stay below.

# %%
sizes, tries = (25, 50, 100, 250, 500, 1000, 2500), 400 if FAST else 2000


def histogram_kls(shares, n):
    """The reverse KL of many histograms of n points, (tries,)."""
    p = random.multinomial(n, shares, size=tries) / n
    return (p * np.log(np.where(p > 0, p, 1) * len(shares))).sum(axis=1)


floor = {n: histogram_kls([1 / 8] * 8, n) for n in sizes}
mean, high = (np.array([f(floor[n]) for n in sizes]) for f in (np.mean, lambda v: np.quantile(v, 0.95)))
one_missing = np.array([histogram_kls([1 / 7] * 7 + [0], n).mean() for n in sizes])
slightly = np.array([histogram_kls(np.array([5, 4] * 4) / 36, n).mean() for n in sizes])

figure, axes = plt.subplots(figsize=(8, 3.6))
axes.fill_between(sizes, 7e-4, high, color="#E4E4E4", linewidth=0, label="perfect: 19 of 20 runs lie here")
axes.loglog(sizes, mean, "o", color=BLUE, label="perfect: the mean")
axes.loglog(sizes, 7 / (2 * np.array(sizes)), color=INK, linewidth=1, label="(K - 1) / (2 n)")
axes.loglog(sizes, one_missing, "x-", color=ORANGE, label="one island of 8 missing")
axes.loglog(sizes, slightly, "s--", color=ORANGE, markersize=4, label="shares 5 : 4 : 5 : 4 ...")
axes.set(xlabel="points n", ylabel="reverse KL (nats)", ylim=(7e-4, 0.5))
axes.set_title("Inside the grey, a number tells no fault", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

for n in (100, 2500):
    print(f"n = {n}: perfect {floor[n].mean():.4f}, formula {7 / (2 * n):.4f}")
    assert abs(floor[n].mean() / (7 / (2 * n)) - 1) < 0.15
enough = next(n for n, a, b in zip(sizes, slightly, high) if a > b)
print(f"the slightly uneven one leaves the grey between {sizes[sizes.index(enough) - 1]} and {enough} points")
assert one_missing[2] > high[2] and slightly[2] < high[2], "at 100 points one fault shows, and the other does not"

# %% [markdown]
# The missing island shows with 100 points. The slightly uneven generator needs many times as many, and no
# formula can find it in 100: a perfect one scores the same. **A number without its floor is no result.**
#
# ## 4. The birthday test
#
# Known islands are a luxury. How many different *things* does a generator of faces draw? Nobody can count them. But
# two alike can be seen.
#
# **Predict.** There are 23 people in a room. How likely do two of them share a birthday? How likely does somebody
# share *yours*, if you are one of them?
#
# <details><summary>The answer</summary>
#
# 51 % and 6 %. For the first, any of 253 pairs will do, for the second only your 22.
#
# </details>
#
# Draw s times from K equally likely things. The second draw misses the first with probability 1 - 1/K, the third
# misses both with 1 - 2/K, and so on. So the probability of at least one pair is
#
# $$P(K, s) = 1 - \prod_{i=0}^{s-1} \left(1 - \frac{i}{K}\right)$$


# %% exercise="10.collision_probability"
def collision_probability(K, s):
    """The probability that at least two of s draws from K equally likely things are the same; 1 if s > K."""
    ### BEGIN SOLUTION
    return 1 - np.prod(1 - np.arange(s) / K)
    ### END SOLUTION


# %% check="10.collision_probability"
check("10.collision_probability", collision_probability).raise_if_wrong()

# %% [markdown]
# Now backwards: draw many batches of s, count in how many there is a pair alike, and look for the K that explains
# it. P falls as K grows, so halving an interval will find it. The answer is the generator's **support size**.
#
# In a continuous space, no two points are equal, and "alike" must mean "nearer than some ρ". Then real points make
# pairs by chance, too, and that is the floor. Two points are on the same island with probability 1/K. Their
# difference is then a Gaussian with the standard deviation √2 sd in each coordinate, and section 2's integral, to
# ρ/(√2 sd), gives
#
# $$P(|x - x'| < \rho) = \frac{1}{K} \left(1 - e^{-\rho^2 / (4\, \mathrm{sd}^2)}\right)$$
#
# One over this is the support size of a perfect generator, as this test sees it.

# %%
RHO, BATCH = 0.005, 20  # "alike": a tenth of sd


def support_size(share, s, low=1.0, high=1e9):
    """The K at which collision_probability(K, s) is `share`."""
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if collision_probability(max(middle, s), s) > share else (low, middle)
    return low


classroom = collision_probability(365, 23)
print(f"23 people: {classroom:.3f}, and back: {support_size(classroom, 23):.1f} days")
assert abs(classroom - 0.507) < 5e-4 and abs(support_size(classroom, 23) - 365) < 1e-6

many = data.sample(4000, random).astype(float)
apart = neighbours.distances(many, many)[np.triu_indices(4000, k=1)]  # all pairs: some 8 million
near = (1 - math.exp(-(RHO**2) / (4 * SD**2))) / K
print(f"near pairs of real points, over the formula's: {(apart < RHO).mean() / near:.2f}")
print(f"so a perfect generator seems to have {1 / near:,.0f} points")
assert abs((apart < RHO).mean() / near - 1) < 0.1

for letter in "ABCDE":
    print(f"{letter}: {library.birthday(drawn[letter], RHO, BATCH)}")
heart = [letter for letter in "ABCDE" if library.birthday(drawn[letter], RHO, BATCH).high < 0.5 / near]
print("certainly fewer than half as many as a perfect one:", *heart)
assert [TRUTH[letter] for letter in heart] == ["by heart"]

# %% [markdown]
# The library's `birthday` cuts the 500 points into 25 batches of 20, and gives an interval beside the number: 25 coin
# tosses do not say more. One of the five stands out. Two warnings. It sees that things are few, and not that they are
# bad. And a generator that draws some things more often than others has more of them than the test says: the frequent
# ones meet.
#
# ## 5. Precision and recall
#
# Two questions that need no modes at all. Are the fakes like real points (**precision**)? Do the fakes reach all of
# what is real (**recall**)? "Like" is made precise by balls: around each point, a ball reaches to its k-th nearest
# *of its own kind*. Where points are dense, balls are small. With r_k the radius,
#
# $$\mathrm{precision} = \frac{1}{n} \sum_i \left[\, |x_i - y_j| < r_k(y_j) \text{ for some real } y_j \right]$$
#
# $$\mathrm{recall} = \frac{1}{m} \sum_j \left[\, |y_j - x_i| < r_k(x_i) \text{ for some fake } x_i \right]$$
#
# where [...] is 1 if true and 0 if not. Fakes x (n, 2), real points y (m, 2).


# %% exercise="10.precision_recall"
def precision_recall(fakes, real, k):
    """The share of fakes (n, 2) in a ball of a real point (m, 2), and of real points in a ball of a fake."""
    ### BEGIN SOLUTION
    distances = lambda a, b: np.linalg.norm(a[:, None] - b, axis=2)
    radii = lambda a: np.sort(distances(a, a), axis=1)[:, k]  # number 0 is the point itself, at distance 0
    precision = (distances(fakes, real) < radii(real)).any(axis=1).mean()  # (n, m), (m,)
    recall = (distances(real, fakes) < radii(fakes)).any(axis=1).mean()  # (m, n), (n,)
    return precision, recall
    ### END SOLUTION


# %% check="10.precision_recall"
check("10.precision_recall", precision_recall).raise_if_wrong()

# %% [markdown]
# What does a perfect generator score? Not 1, for some of its points lie outside all balls. There is no formula. One
# measures it with another crowd of real points, and that is how the next section finds the range of every number.
#
# ## 6. Five generators, by seven numbers
#
# Now all of it, for all five, at the same n = 500. The seventh number is lesson 05's energy distance. Above each
# column stands its range: the least and the greatest that perfect generators score against the same real points.
# What lies outside is marked.

# %%
NAMES = "covered", "high quality", "reverse KL", "near pairs", "precision", "recall", "energy"


def all_numbers(x):
    """The seven numbers of points x (n, 2), against REAL."""
    near_pairs = library.birthday(x, RHO, BATCH).share  # of batches that hold one
    likeness = precision_recall(x, REAL, 5)
    return np.array([*mode_numbers(x, MEANS, SD), near_pairs, *likeness, library.energy_distance(x, REAL)])


perfect = np.array([all_numbers(data.sample(N, random).astype(float)) for _ in range(10 if FAST else 60)])
low, high = perfect.min(axis=0), perfect.max(axis=0)
found = {letter: all_numbers(points) for letter, points in drawn.items()}
caught = {letter: (numbers < low) | (numbers > high) for letter, numbers in found.items()}

figure, axes = plt.subplots(figsize=(9.6, 3.6))
shown = lambda value, j: f"{value:.0f}" if j == 0 else f"{value:.3f}"
for i, letter in enumerate("ABCDE"):
    for j in range(7):
        bad = caught[letter][j]
        axes.plot(j - 0.33, i, "x" if bad else "o", color=ORANGE if bad else BLUE, markersize=8, fillstyle="none")
        weight = "bold" if bad else "normal"
        axes.text(j - 0.2, i, shown(found[letter][j], j), va="center", fontsize=9, weight=weight)
for j in range(7):
    text = "8" if j == 0 else f"{max(low[j], 0):.3f}-{high[j]:.3f}"
    axes.text(j - 0.03, -0.95, text, ha="center", va="center", fontsize=8)
axes.set(xlim=(-0.6, 6.6), ylim=(4.6, -1.5), xticks=range(7), xticklabels=NAMES)
axes.set_yticks([-0.95, *range(5)], ["perfect", *"ABCDE"])
axes.set_title("No column finds every fault (cross: outside what perfect generators score)", loc="left")
axes.tick_params(length=0)
figure.tight_layout()

for letter in "ABCDE":
    print(f"{letter}  {TRUTH[letter]:<12} caught by: {', '.join(np.array(NAMES)[caught[letter]]) or 'nothing'}")
faulty = {letter for letter in "ABCDE" if TRUTH[letter] != "perfect"}
best = next(letter for letter in "ABCDE" if TRUTH[letter] == "perfect")
print(f"by eye you put the perfect one in place {by_eye.index(best) + 1} of 5")
if not FAST:  # ten runs make too narrow a range
    assert not caught[best].any(), "the perfect one lies in every range"
    assert all(caught[letter].any() for letter in faulty), "together the numbers find every fault"
assert not any(all(caught[letter][j] for letter in faulty) for j in range(7)), "none alone does"

# %% [markdown]
# Read it by columns. "Covered" is blind to all but an empty island. High quality and precision see the blur, and
# nothing of what is missing. The reverse KL sees unevenness. It also sees that the memoriser's 200 points are a
# sample themselves, with the floor 7/400; it would not, had they been chosen evenly. The birthday test sees the
# memoriser, and nothing else. Recall sees a missing island, and the gaps that 200 points leave. It even calls the
# blurred one *better* than perfect, for the blurred one's balls are larger: too good is a fault as well. The energy
# distance is a good all-round number, and misses what is small in the plane's unit.
#
# So one needs several, and "which generator is the best?" has no answer: it depends on which fault costs you most.
#
# ## 7. Why they collapse
#
# D judges one sample at a time. Let D stand still, and let G be free to put its mass where it likes: the share
# q_j on island j. Its loss is an average, and an average is never below its least member:
#
# $$\min_q \sum_j q_j\, (-\log D_j) = \min_j\, (-\log D_j)$$
#
# The best answer to a D that stands still is **one** island, the one that D likes most. Variety pays nothing. Only
# D's next move can punish it.
#
# Play it on islands alone: G moves all its mass to the best island, then D answers with the best D there is,
# D_j = p_j/(p_j + q_j) with p_j = 1/8 (lesson 03).

# %%
D_of = random.uniform(0.2, 0.8, 8)
tried = random.dirichlet(np.ones(8), 10_000) @ -np.log(D_of)  # ten thousand ways of sharing the mass
print("no way of sharing the mass beats one island:", bool(tried.min() > -np.log(D_of).max()))
assert tried.min() > -np.log(D_of).max()

visits = np.zeros(8)
for _ in range(1000):
    one = random.choice(np.flatnonzero(D_of == D_of.max()))  # of equals, any
    visits[one] += 1
    D_of = (1 / 8) / (1 / 8 + np.eye(8)[one])
d_loss = -np.log(D_of).sum() / 8 - math.log(1 - D_of[one])
together = library.histogram_kl(visits)
print(f"reverse KL at each moment: log 8 = {math.log(8):.2f}; of all 1000 together: {together:.3f}")
print(f"a D that keeps up has the loss {d_loss:.2f}; log 4 is {math.log(4):.2f}")
assert together < 0.02 and abs(d_loss - (math.log(9) / 8 + math.log(9 / 8))) < 1e-9

# %% [markdown]
# G flees from island to island for ever. At each moment it covers one of eight; over time, all of them evenly. This D
# sees it at once: its loss lies far below log 4. Real networks move in small steps, and then it matters how fast D
# follows.
#
# ## 8. The loss looks fine
#
# G and D are lesson 05's networks with 64 hidden units. Game X: D learns 20 times as slowly as G. That is a setting
# in which G is sure to run ahead. Game Z: both learn at the same rate. Game Y comes in section 9. Every 100 rounds
# we score 1000 points.

# %%
BATCH_SIZE, ROUNDS, SEEDS = 64, 900 if FAST else 2400, range(2, 4 if FAST else 7)
LATE = slice(-ROUNDS // 200, None)  # the looks of the second half
Z_LOOK = np.random.default_rng(9).standard_normal((1000, 2)).astype(np.float32)


def play(seed, d_rate, told=False):
    """One game: a row each 100 rounds, (looks, 5): three mode numbers, D's and G's mean loss; the fakes (1000, 2).

    told: D is told how much the batch varies (section 9).
    """
    draws = np.random.default_rng(seed)
    kind = {"rng": draws, "init": he}
    G = Sequential(Dense(2, 64, **kind), ReLU(), Dense(64, 64, **kind), ReLU(), Dense(64, 2, **kind))
    see = [MinibatchStd(), Dense(3, 64, **kind)] if told else [Dense(2, 64, **kind)]
    D = Sequential(*see, LeakyReLU(), Dense(64, 64, **kind), LeakyReLU(), Dense(64, 1, **kind))
    G_optimizer, D_optimizer = Adam(G, 2e-3, 0.5), Adam(D, d_rate, 0.5)
    noise = lambda: draws.standard_normal((BATCH_SIZE, 2)).astype(np.float32)
    rows, paid, fakes = [], [], []
    for t in range(1, ROUNDS + 1):
        d_value = d_step(G, D, D_optimizer, losses.non_saturating, data.sample(BATCH_SIZE, draws), noise())
        paid.append((d_value, g_step(G, D, G_optimizer, losses.non_saturating, noise())))
        if t % 100 == 0:
            fakes.append(G(Z_LOOK))
            rows.append([*mode_numbers(fakes[-1], MEANS, SD), *np.mean(paid, axis=0)])
            paid = []
    return np.array(rows), fakes


(X_first, fakes), *others = [play(seed, 1e-4) for seed in SEEDS]
X = np.array([X_first, *(rows for rows, _ in others)])  # (games, looks, 5)
Z = np.array([play(seed, 2e-3)[0] for seed in SEEDS[: 1 if FAST else 3]])

t = 100 * np.arange(1, len(X_first) + 1)
figure = plt.figure(figsize=(9.6, 6.6))
top, below = figure.subfigures(2, 1, height_ratios=(4, 5))
for axes, look in zip(top.subplots(1, 4, sharey=True), range(-4, 0)):
    axes.plot(*REAL[:200].T, "o", color=BLUE, markersize=3, fillstyle="none")
    axes.plot(*fakes[look][:300].T, "x", color=ORANGE, markersize=3)
    axes.set(title=f"round {t[look]}", aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), xlabel="x")
top.suptitle("Game X: fakes (crosses) run from island to island", x=0.02, ha="left", fontsize=11)
top.subplots_adjust(left=0.06, right=0.99, bottom=0.16, top=0.83)
loss, count = below.subplots(2, 1, sharex=True)
loss.plot(t, X_first[:, 3], "s-", color=BLUE, markersize=4, label="D's loss")
loss.plot(t, X_first[:, 4], "x-", color=ORANGE, markersize=5, label="G's loss")
count.plot(t, X_first[:, 0], "x-", color=ORANGE)
for axes, value, text in ((loss, math.log(4), "log 4"), (loss, math.log(2), "log 2"), (count, 8, "perfect")):
    axes.axhline(value, color=INK, linewidth=0.8, linestyle=":")
    axes.text(ROUNDS * 1.055, value, text, va="center")
loss.set(ylabel="loss (nats)", ylim=(0.3, 2.8), title="The losses look fine ...")
loss.legend(loc="upper right", ncols=2)
count.set(xlabel="rounds", ylabel="islands covered", ylim=(-0.5, 8.8), yticks=range(0, 9, 2))
count.set_title("... while most islands are empty")
below.subplots_adjust(left=0.08, right=0.9, bottom=0.14, top=0.93, hspace=0.35)

X_late, Z_late = X[:, LATE].mean(axis=1), Z[:, LATE].mean(axis=1)  # (games, 5)
for name, late in (("X", X_late), ("Z", Z_late)):
    print(f"{name}: D's loss {late[:, 3].mean():.2f}, G's {late[:, 4].mean():.2f}; islands", *late[:, 0].round(1))
off = [abs(late[:, 3].mean() - math.log(4)) for late in (X_late, Z_late)]
print("D's loss is nearer to log 4 in the collapsed game:", bool(off[0] < off[1]))
assert off[0] < 0.06 and off[0] < off[1], "the loss is fine"
assert X_late[:, 0].max() < 5.5 and X_late[:, 2].min() > 0.6, "and G has collapsed"
assert FAST or Z_late[:, 0].min() > 7

# %% [markdown]
# G runs from island to island, as in section 7. It is never all on one: it cannot tear the sheet of z (lesson 05) and
# drags threads behind it. And a warning about "covered": one point on a thread that crosses an island is enough for
# it. The reverse KL is harder to please.
#
# ## 9. A mend: tell D about the crowd
#
# In game Z a faster D is all it took. With images it often is not, and one would like D to *see* a collapse. D sees
# one sample at a time, and each sample of a collapsed G is fine. So give it one more number, the same for all
# samples of a batch: how much the batch varies. **Minibatch standard deviation** (Karras and others, 2018):
#
# $$s = \frac{1}{M} \sum_c \sqrt{\frac{1}{N} \sum_n (x_{nc} - \bar{x}_c)^2 + \varepsilon}, \qquad y_n = (x_n, s)$$
#
# N samples in the batch, M numbers in each: 2 in the game, 3 in this cell. Forward it is five lines. You have walked
# such lines backwards in lesson 08. Here is the long form.

# %%
EPS = 1e-8
x = random.standard_normal((6, 3))  # (N, M)
dy = random.standard_normal((6, 4))  # (N, M + 1)

# forward
centred = x - x.mean(axis=0)  # (N, M)
variance = (centred**2).mean(axis=0)  # (M,)
std = np.sqrt(variance + EPS)  # (M,)
s = std.mean()  # a number
y = np.concatenate([x, np.full((6, 1), s)], axis=1)  # (N, M + 1)

# backward, from the last line to the first
dx, ds = dy[:, :3], dy[:, 3].sum()  # y = (x, s), and all N samples share s
dstd = np.full(3, ds / 3)  # s = mean of std
dvariance = dstd / (2 * std)  # std = sqrt(variance + eps)
dcentred = 2 * centred * dvariance / 6  # variance = mean of centred^2
dx = dx + dcentred - dcentred.mean(axis=0)  # centred = x - mean, on top of what is there

layer = MinibatchStd(EPS)
library_y, cache = layer.forward(x)
print("forward is the library's:", np.allclose(y, library_y))
print("long form = the library's:", np.allclose(dx, layer.backward(dy, cache), rtol=1e-12))
assert np.allclose(y, library_y) and np.allclose(dx, layer.backward(dy, cache), rtol=1e-12)
assert gradcheck.check_layer(MinibatchStd(), (6, 3)), "and it is the numeric gradient"

# %% [markdown]
# Put together, and since the centred numbers sum to 0 over the batch, the **short form** is
#
# $$dx_{nc} = dy_{nc} + \frac{ds}{N M} \cdot \frac{x_{nc} - \bar{x}_c}{\mathrm{std}_c}$$
#
# Read the last term. In it a fake hears of the *other* fakes, as no plain D lets it: where D would like the batch to
# vary more, each fake is pushed away from the batch's mean. And what s does not see, it cannot mend: the second half
# of the cell.

# %%
short = dy[:, :3] + ds / (6 * 3) * centred / std
print("short form = long form:", np.allclose(short, dx, rtol=1e-12))
assert np.allclose(short, dx, rtol=1e-12)

seen_s = lambda points: MinibatchStd().forward(points)[0][0, -1]
four = islands([1, 0, 1, 0, 1, 0, 1, 0], SD)(4000)
for name, points in (("real", many), ("every second island", four), ("one island", four[four[:, 0] > 0.7])):
    print(f"s of {name:<22}{seen_s(points):.2f}")
assert abs(seen_s(four) - seen_s(many)) < 0.03 < 0.5 < seen_s(many) - seen_s(four[four[:, 0] > 0.7])

# %% [markdown]
# Game Y is game X, with the same slow D, but with this layer in front of D. By how much must the number of islands
# move before you believe it? A single game proves nothing: the number swings from look to look, and from seed to
# seed. So we play each game with several seeds.

# %%
Y = np.array([play(seed, 1e-4, told=True)[0] for seed in SEEDS])
Y_late = Y[:, LATE].mean(axis=1)  # (games, 5)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.8), width_ratios=(3, 2))
for games, colour, mark, name in ((X, ORANGE, "x", "X: D is not told"), (Y, BLUE, "o", "Y: D is told s")):
    left.plot(t, games[:, :, 0].T, color=colour, linewidth=0.6)
    left.plot(t, games[:, :, 0].mean(axis=0), mark + "-", color=colour, markersize=5, label=f"{name} (mean)")
left.axhline(8, color=INK, linewidth=0.8, linestyle=":")
left.set(xlabel="rounds", ylabel="islands covered", ylim=(-0.3, 9.9), title="Thin: one game each")
left.legend(loc="upper left", ncols=2, fontsize=9)
perfect_kl = library.histogram_kl_floor(8, 1000 * q)
for place, (late, colour, mark) in enumerate(((X_late, ORANGE, "x"), (Y_late, BLUE, "o"), (Z_late, BLUE, "s"))):
    right.semilogy(np.full(len(late), place), late[:, 2], mark, color=colour, fillstyle="none", markersize=7)
right.axhline(perfect_kl, color=INK, linewidth=0.8, linestyle=":")
right.text(-0.4, perfect_kl * 1.1, "perfect", va="bottom")
right.set(xticks=range(3), xticklabels=["X", "Y", "Z"], xlim=(-0.5, 2.5), ylim=(2e-3, 3), ylabel="reverse KL (nats)")
right.set_title("The second half of each game")
figure.tight_layout()

for name, late in (("X", X_late), ("Y", Y_late)):
    middle, error = late.mean(axis=0), late.std(axis=0, ddof=1) / math.sqrt(len(late))
    print(f"{name}: islands {middle[0]:.1f} +- {error[0]:.1f}, reverse KL {middle[2]:.2f} +- {error[2]:.2f}", end="")
    print(f", D's loss {middle[3]:.2f}, G's {middle[4]:.2f}   (mean +- standard error over {len(late)} games)")
deals = math.comb(2 * len(SEEDS), len(SEEDS))
apart = Y_late[:, 0].min() > X_late[:, 0].max() and Y_late[:, 2].max() < X_late[:, 2].min()
print(f"every game of Y covers more than every game of X: {apart}; by chance that happens once in {deals} times")
assert apart if not FAST else Y_late[:, 0].mean() > X_late[:, 0].mean()
assert abs(X_late[:, 3].mean() - Y_late[:, 3].mean()) < 0.06, "the losses are nearly the same"

# %% [markdown]
# With one layer more the number moves far beyond its noise. Had the layer done nothing, the games of X and Y would be
# draws of one kind, and so clean a separation of five from five would come once in 252 times. The losses are
# nearly the same.
#
# Is G now perfect? The dotted line says no. Here is one game of each kind, as the library prints it, every number
# beside its floor.

# %%
for name, games in (("X", X), ("Y", Y), ("Z", Z)):
    last = library.Modes(*games[0, -1, :3])
    print(f"game {name}, 1000 points\n{library.table(last, library.perfect_modes(8, 1000), 8)}\n")
assert Y_late[:, 1].max() < 0.95 and Y_late[:, 2].min() > perfect_kl, "mended is not perfect"

# %% [markdown]
# The mended G covers the islands, but many of its fakes are off them. (D is as slow as before.) Who reports
# only "8 of 8 modes" tells a truth that hides this.
#
# ## 10. How the library does it
#
# `modes` is yours, in blocks, so that a million points fit into memory. The layer's backward is the short form.

# %%
for function in (library.modes, MinibatchStd.backward):
    print(inspect.getsource(function))

# %% [markdown]
# Yours and the library's are equal:

# %%
for points in drawn.values():
    share = library.birthday(points, RHO, BATCH).share or 0.5
    theirs = neighbours.precision_recall(points, REAL, 5)
    assert np.allclose(mode_numbers(points, MEANS, SD), library.modes(points, MEANS, SD), atol=1e-12)
    assert np.allclose(precision_recall(points, REAL, 5), [theirs["precision"], theirs["recall"]])
    assert math.isclose(support_size(share, BATCH), library.support_size(share, BATCH), rel_tol=1e-9)
assert math.isclose(classroom, library.collision_probability(365, 23))
print("the same: mode numbers, precision and recall, collision probability, support size")

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back. An assertion that fails is part of the answer.
#
# 1. In section 1, take N = 100, and then N = 1000. Which crosses in section 6's picture go, and which come?
# 2. In section 1, let the memoriser know 2000 points instead of 200. Which number still finds it, and what would you
#    change about ρ and the batch to find it again?
# 3. In section 4, take ρ = 0.05. What does the test say of the memoriser now, and why?
# 4. In section 8, let game X's D learn at 5e-4, and at 2e-5. Where does it stop collapsing? Does D's loss tell?
# 5. In `play`, put `Pack(2)` (from minigan.layers; 4 inputs instead of 3) in the place of `MinibatchStd()`: PacGAN,
#    where D judges two samples at once. It sees every second island where s does not. Is it better here?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("10.mode_numbers", mode_numbers)
assert check("10.collision_probability", collision_probability)
assert check("10.precision_recall", precision_recall)
print("Seven numbers with their floors, a collapse that the loss does not show, and a mend that moves the number.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 11**: a loss that, unlike D's here, falls when the fakes come nearer.
# - Z. Lin, A. Khetan, G. Fanti and S. Oh, "PacGAN: the power of two samples in generative adversarial networks",
#   *Advances in Neural Information Processing Systems* 31, 2018: section 2's numbers. On a
#   grid of 25 islands their GAN covers 17.3 of them, and 23.8 where D judges two samples at once (table 1).
# - S. Arora and Y. Zhang, "Do GANs actually learn the distribution? An empirical study", 2017, arXiv:1706.08224: the
#   birthday test on faces, by eye.
# - T. Kynkäänniemi and others, "Improved precision and recall metric for assessing generative models", *Advances in
#   Neural Information Processing Systems* 32, 2019; and M. F. Naeem and others, "Reliable fidelity and diversity
#   metrics for generative models", *International Conference on Machine Learning*, 2020: density and coverage.
# - T. Karras, T. Aila, S. Laine and J. Lehtinen, "Progressive growing of GANs for improved quality, stability, and
#   variation", *International Conference on Learning Representations*, 2018, section 3: minibatch standard deviation.
# - L. Metz, B. Poole, D. Pfau and J. Sohl-Dickstein, "Unrolled generative adversarial networks", *International
#   Conference on Learning Representations*, 2017: another mend, in which G looks at D's next moves.
