# %% [markdown]
# # 18. Is it good, or did it memorise?
#
# Two generators draw fine digits. One has learned what digits look like. The other one has stored its training set
# and hands it out. No eye tells them apart, and most published numbers do not either. This lesson derives the
# numbers, measures what each of them is blind to, and ends with a test that finds the copier.
#
# **You need** lessons 02 and 10, covariance matrices, eigenvalues. **Time** about 55 minutes. **You will write** the
# Fréchet distance, an unbiased kernel distance, and a rank test. **After it** you can read an FID table, know which
# two of its numbers must not be compared, and can tell a good generator from a copier.

# %%
import inspect
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan.data import load_digits
from minigan.detect import blurred, fakes
from minigan.exercises import check
from minigan.metrics import frechet as library
from minigan.metrics import neighbours
from minigan.models.classifier import load_classifier
from minigan.shipped import find

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer images and fewer draws, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# The Fréchet distance, known as FID, is the number that most papers on GANs report. Smaller is better. We compute it
# between 1,000 samples and 1,000 held-out real digits, for two "generators". The first one draws 1,000 other held-out
# digits: it is perfect. The second one draws 1,000 images of its training set. Which gets the better number?
#
# 1. The perfect one gets 0, the copier more.
# 2. The perfect one gets a little above 0, the copier far more.
# 3. Both get the same number above 0, up to chance.
#
# <details><summary>The answer</summary>
#
# 3. Both kinds of images are real digits, and all that this number asks is whether two sets look like draws from one
#    distribution. And it is not 0 for a perfect generator: sections 3 and 6 say how much it is, and sections 6 and 7
#    show the copier pass and then fail.
#
# </details>

# %% [markdown]
# ## 1. Six systems of which we know the truth
#
# A measure that does not tell known systems apart is not to be believed about unknown ones. So we plant five: a
# perfect one, a copier, one that blurs, one that draws a single digit, and noise. The sixth is the DCGAN that ships
# with minigan. All draw N images. The reference is another N held-out digits, which nobody was trained on.

# %%
N = 300 if FAST else 1000
train, _ = load_digits("train")  # (10000, 28, 28, 1), uint8
test, test_labels = load_digits("test")  # (2000, 28, 28, 1)
rng = np.random.default_rng(18)
order = rng.permutation(len(test))
reference, held_out = order[:N], order[-N:]  # no image is in both
threes = held_out[test_labels[held_out] == 3]

dcgan, _ = find("dcgan").load()
SYSTEMS = {
    "real, held out": test[held_out],
    "copier": train[rng.choice(len(train), N, replace=False)],
    "blurred": blurred(test[held_out], 1.0),  # by a Gaussian of 1 pixel
    "DCGAN": fakes(dcgan, N, 1),
    "only threes": test[rng.choice(threes, N)],  # one class, and each image several times
    "noise": rng.integers(0, 256, (N, 28, 28, 1)).astype(np.uint8),
}
strips = [np.hstack(images[:14, :, :, 0]) for images in SYSTEMS.values()]
figure, axes = plt.subplots(figsize=(8, 3.5))
axes.imshow(np.vstack(strips), cmap="gray_r")
axes.set(yticks=14 + 28 * np.arange(6), yticklabels=list(SYSTEMS), xticks=[])
axes.set_title("Who copies? The first two rows look alike", loc="left")
axes.tick_params(left=False)
figure.tight_layout()

# %% [markdown]
# Pixels are a poor space for comparing distributions: a stroke moved by one pixel is another image altogether. FID
# takes the last hidden layer of a network named Inception, trained on photographs. We take that of a digit
# classifier: d = 64 numbers an image. *Numbers from two feature networks are never compared*, so ours is called
# Fréchet distance and not FID.

# %%
classifier = load_classifier()
test_features = classifier.features(test).astype(np.float64)  # (2000, 64)
FEATURES = {name: classifier.features(images).astype(np.float64) for name, images in SYSTEMS.items()}
REFERENCE = test_features[reference]  # (N, 64)
right = classifier.predict(test) == test_labels
print("shape of the features:", REFERENCE.shape[1:], "   digits read rightly, above 98 %:", right.mean() > 0.98)
assert right.mean() > 0.98 and REFERENCE.shape == (N, 64)

# %% [markdown]
# ## 2. The distance of two Gaussians
#
# How far is one heap of sand from another? Carry each grain somewhere, pay the squared way, and do it as cheaply as
# possible: the least mean of |x - y|^2 over all ways to pair x's with y's. In one dimension the cheapest way keeps
# the order. For Gaussians, pair x = μ1 + σ1 u with y = μ2 + σ2 u, with the *same* standard normal u:
#
# $$F = E(x-y)^2 = (\mu_1 - \mu_2)^2 + (\sigma_1 - \sigma_2)^2$$

# %%
u, v = np.sort(rng.standard_normal((2, 20_000)), axis=1)  # two samples, each in order
x, y = 1 + 2 * u, -0.5 + 0.5 * v
in_order = ((x - y) ** 2).mean()
at_random = ((x - rng.permutation(y)) ** 2).mean()
print(f"formula {1.5**2 + 1.5**2:.2f}   paired in order {in_order:.1f}   paired at random {at_random:.1f}")
assert abs(in_order - 4.5) < 0.2 and at_random > in_order + 1

# %% [markdown]
# In d dimensions x has mean μ1 and covariance S1 (d, d), y has μ2 and S2. Expand the square. With C the covariances
# of x's entries with y's,
#
# $$E|x-y|^2 = |\mu_1 - \mu_2|^2 + \mathrm{tr}\,S_1 + \mathrm{tr}\,S_2 - 2\,\mathrm{tr}\,C$$
#
# Only C depends on the pairing, and we want tr C large. Let R1 and R2 be the symmetric roots, R1 R1 = S1. Then x = μ1
# + R1 u has the right covariance, and so has y = μ2 + R2 Q u for any orthogonal Q. (Noise of its own in y only makes
# C smaller.) Hence C = R1 Q^T R2, and tr C = tr(Q^T R2 R1). Write R2 R1 = U Σ V^T, its singular value decomposition.
# No Q beats Q = U V^T, which leaves the sum of the singular values. Their squares are the eigenvalues of (R2 R1)^T
# (R2 R1) = R1 S2 R1:
#
# $$\max_Q \mathrm{tr}(R_1 Q^T R_2) = \mathrm{tr}\,(R_1 S_2 R_1)^{1/2}$$


# %%
def root(S):
    """The symmetric R with R R = S: the same eigenvectors, the roots of the eigenvalues. S, R (d, d)."""
    values, vectors = np.linalg.eigh(S)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # a 0 may come out as -1e-17


A, B = rng.standard_normal((2, 4, 4))
S1, S2 = A @ A.T, B @ B.T
R1, R2 = root(S1), root(S2)
U, singular, Vt = np.linalg.svd(R2 @ R1)
best = np.trace(R1 @ (U @ Vt).T @ R2)
tries = [np.trace(R1 @ np.linalg.qr(rng.standard_normal((4, 4)))[0].T @ R2) for _ in range(2000)]
T = R1 @ (U @ Vt).T @ R2  # the C of the best pairing
joint = rng.multivariate_normal(np.zeros(8), np.block([[S1, T], [T.T, S2]]), 20_000, method="eigh")
paid = ((joint[:, :4] - joint[:, 4:]) ** 2).sum(axis=1).mean()
by_formula = np.trace(S1) + np.trace(S2) - 2 * np.trace(root(R1 @ S2 @ R1))
print("R1 R1 = S1:", np.allclose(R1 @ R1, S1), "   best Q gives the formula:", np.isclose(best, singular.sum()))
print(f"2000 random rotations, the best of them: {max(tries) / best:.2f} of the maximum")
print(f"paid for 20,000 pairs, over the formula: {paid / by_formula:.1f}")
assert np.allclose(R1 @ R1, S1) and np.isclose(best, np.trace(root(R1 @ S2 @ R1))) and max(tries) < best
assert abs(paid / by_formula - 1) < 0.05

# %% [markdown]
# Put it together. With means and covariances estimated from features a (N, d) and b (M, d), this is the Fréchet
# distance (a squared one, and never written so):
#
# $$F = |\mu_1 - \mu_2|^2 + \mathrm{tr}\,S_1 + \mathrm{tr}\,S_2 - 2\,\mathrm{tr}\,(S_1^{1/2} S_2 S_1^{1/2})^{1/2}$$
#
# Write it, with `np.cov(a, rowvar=False)`, which divides by N - 1. `root` above is yours to use. The trace of a root
# is the sum of the roots of the eigenvalues (`np.linalg.eigvalsh`).


# %% exercise="18.frechet"
def frechet(a, b):
    """The Fréchet distance of features a (N, d) and b (M, d): a number."""
    ### BEGIN SOLUTION
    S1, S2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(axis=0) - b.mean(axis=0)
    R1 = root(S1)
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(R1 @ S2 @ R1), 0))
    return gap @ gap + np.trace(S1) + np.trace(S2) - 2 * roots.sum()
    ### END SOLUTION


# %% check="18.frechet"
check("18.frechet", frechet).raise_if_wrong()

# %% [markdown]
# Many write tr (S1 S2)^1/2. That is the same number, as S1 S2 and R1 S2 R1 have the same eigenvalues. But S1 S2 is
# not symmetric. A general matrix root of it gives complex numbers by rounding, which code then throws away unseen,
# and `eigh` of it reads one half of the matrix and answers for another one:

# %%
same = np.allclose(np.sort(np.linalg.eigvals(S1 @ S2).real), np.linalg.eigvalsh(R1 @ S2 @ R1))
print("S1 S2 and R1 S2 R1 have the same eigenvalues:", same)
trap = np.sqrt(np.maximum(np.linalg.eigvalsh(S1 @ S2), 0)).sum()
print("eigvalsh(S1 @ S2) agrees:", np.isclose(trap, singular.sum()))
assert same and not np.isclose(trap, singular.sum())
one, other = np.ones((100, 2)), 9 * np.ones((100, 2))
one[:50, 0], other[50:, 0] = 2, 2
print(f"a number from elsewhere, 89.091 in a test of Google's compare_gan: {frechet(one, other):.3f}")
assert abs(frechet(one, other) - 89.091) < 1e-3

# %% [markdown]
# ## 3. The floor
#
# Let both samples come from *one* distribution, n each. The truth is 0, but estimates stray, and F is never negative.
# So its mean is above 0. The means stray by S/n each, which adds 2 tr(S)/n. The covariances differ by a small matrix
# E, and around zero the rest of F is, in the basis of the eigenvectors of S, with eigenvalues l,
#
# $$F \approx \frac{1}{2} \sum_{ij} \frac{E_{ij}^2}{l_i + l_j}$$
#
# (In one dimension: E = σ1² - σ2² is about 2σ(σ1 - σ2), so (σ1 - σ2)² is about E²/4σ².)

# %%
eigen = np.array([0.5, 1, 2, 4])
E = 1e-3 * (A + A.T)
base = np.diag(eigen)
S_root = root(base)
true = np.trace(2 * base + E) - 2 * np.trace(root(S_root @ (base + E) @ S_root))
ratio = true / ((E**2 / np.add.outer(eigen, eigen)).sum() / 2)
print(f"true over second order: {ratio:.2f}")
assert abs(ratio - 1) < 0.02

# %% [markdown]
# For Gaussian samples the mean of E_ij² is 2/n (1 + [i = j]) l_i l_j: twice what one covariance has by Wishart's law,
# as two stray. Together:
#
# $$E\,F \approx \frac{2\,\mathrm{tr}\,S}{n} + \frac{1}{n} \sum_{ij} (1 + [i=j]) \frac{l_i l_j}{l_i + l_j}$$
#
# For S = I this is
#
# $$E\,F \approx \frac{d(d+5)}{2n}$$


# %%
def floor(eigen, n):
    """What a perfect generator scores on average. eigen (d,): eigenvalues of the features' covariance."""
    pairs = np.multiply.outer(eigen, eigen) / np.add.outer(eigen, eigen) * (1 + np.eye(len(eigen)))
    return (2 * eigen.sum() + pairs.sum()) / n


d, n = 10, 500
for name, eigen in (("all eigenvalues 1", np.ones(d)), ("from 1 to 2^-9", 0.5 ** np.arange(d))):
    draws = [frechet(*(rng.standard_normal((2, n, d)) * np.sqrt(eigen))) for _ in range(100 if FAST else 300)]
    error = np.std(draws, ddof=1) / np.sqrt(len(draws))
    off = np.mean(draws) / floor(eigen, n) - 1
    print(f"{name:<20} formula {floor(eigen, n):.3f}   simulated within 10 %: {abs(off) < 0.1}")
    assert abs(off) < 4 * error / floor(eigen, n) + 0.03
assert np.isclose(floor(np.ones(d), n), d * (d + 5) / (2 * n))

# %% [markdown]
# It falls like 1/n and grows like d². Inception's features have d = 2048: with S = I and n = 10,000 the floor would
# be some 210. (Real features have few large eigenvalues, and so it is a few units there. It is still not 0.)
#
# ## 4. A distance without bias: MMD
#
# Map each point to many features φ(x) and compare the means: MMD² = |E φ(x) - E φ(y)|². Expand the square. Only inner
# products k(x, y) = φ(x).φ(y) remain. With x' and y' independent draws of the same kinds,
#
# $$\mathrm{MMD}^2 = E\,k(x,x') + E\,k(y,y') - 2\,E\,k(x,y)$$
#
# Take the cubic kernel
#
# $$k(x, y) = \left(\tfrac{1}{d}\, x \cdot y + 1\right)^3$$
#
# For d = 1 this is 1 + 3xy + 3x²y² + x³y³, so φ(x) = (1, √3 x, √3 x², x³): it compares the first three moments.


# %%
def k(x, y):
    """The kernel of each of x (N, d) with each of y (M, d): (N, M)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def phi(x):
    return np.hstack([np.ones_like(x), np.sqrt(3) * x, np.sqrt(3) * x**2, x**3])


P, Q = np.array([[-1.0], [0.0], [2.0]]), np.array([[0.0], [1.0], [1.5]])  # populations of three equally likely points
truth = k(P, P).mean() + k(Q, Q).mean() - 2 * k(P, Q).mean()  # exact: x and x' may be the same point of three
print("k = φ.φ:", np.allclose(k(P, Q), phi(P) @ phi(Q).T))
print("MMD² = |E φ(x) - E φ(y)|²:", np.isclose(truth, ((phi(P).mean(0) - phi(Q).mean(0)) ** 2).sum()))
assert np.allclose(k(P, Q), phi(P) @ phi(Q).T) and np.isclose(truth, ((phi(P).mean(0) - phi(Q).mean(0)) ** 2).sum())

# %% [markdown]
# Now from samples a (N, d) and b (M, d). x' must be a draw of its own: a sample paired with itself does not count.
# Leave the diagonal out, and N (N - 1) pairs remain:
#
# $$\frac{1}{N(N-1)} \sum_{i \ne j} k(a_i, a_j) + \frac{1}{M(M-1)} \sum_{i \ne j} k(b_i, b_j)
#   - \frac{2}{NM} \sum_{i,j} k(a_i, b_j)$$


# %% exercise="18.mmd2"
def mmd2(a, b):
    """The unbiased MMD² of features a (N, d) and b (M, d) with the cubic kernel: a number, at times below 0."""

    ### BEGIN SOLUTION
    def same(x):
        K = k(x, x)
        return (K.sum() - np.trace(K)) / (len(x) * (len(x) - 1))

    return same(a) + same(b) - 2 * k(a, b).mean()
    ### END SOLUTION


# %% check="18.mmd2"
check("18.mmd2", mmd2).raise_if_wrong()

# %% [markdown]
# Is it unbiased? On populations of three points we need not simulate. Samples of n = 2 can come out in 9 ways each,
# 81 together, all equally likely: take the mean over all 81. The biased one, with the diagonals, is off by
#
# $$\frac{E\,k(x,x) - E\,k(x,x')}{n} + \frac{E\,k(y,y) - E\,k(y,y')}{n}$$


# %%
def biased(a, b):
    return k(a, a).mean() + k(b, b).mean() - 2 * k(a, b).mean()


ways = list(itertools.product(range(3), repeat=2))  # all samples of two, with repeats
both = [(P[list(i)], Q[list(j)]) for i in ways for j in ways]
mean_unbiased = np.mean([mmd2(a, b) for a, b in both])
mean_biased = np.mean([biased(a, b) for a, b in both])
excess = sum(np.diag(k(x, x)).mean() - k(x, x).mean() for x in (P, Q)) / 2
print("mean over all 81 is the truth:", np.isclose(mean_unbiased, truth))
print("the biased one's excess is the formula:", np.isclose(mean_biased - truth, excess))
assert np.isclose(mean_unbiased, truth, rtol=1e-12) and np.isclose(mean_biased - truth, excess, rtol=1e-12)
assert excess > 0.5

# %% [markdown]
# Exactly, and not just for many samples. **KID** is this number, as a mean over random subsets of the features.
#
# ## 5. Two numbers from different n
#
# **Predict.** Real digits against real digits, with n = 100 of each. And digits blurred by half a pixel, which no eye
# minds, against real digits with n = 1,000 of each. Which Fréchet distance is smaller?
#
# <details><summary>The answer</summary>
#
# That of the blurred ones, by far. The real digits pay for their n.
#
# </details>
#
# Each repeat below shuffles the 2,000 test digits and takes two sets without a common image.

# %%
soft_features = classifier.features(blurred(test, 0.5)).astype(np.float64)
sizes = [100, 150, 250, 500, 1000]


def once(n):
    """Fréchet of real and of soft digits, MMD² of both, and the biased MMD² of real ones, all against real ones."""
    p = rng.permutation(len(test))
    a, b, soft = test_features[p[:n]], test_features[p[n : 2 * n]], soft_features[p[n : 2 * n]]
    return frechet(b, a), frechet(soft, a), mmd2(b, a), mmd2(soft, a), biased(b, a)


draws = [[once(n) for _ in range((6000 if FAST else 20_000) // n)] for n in sizes]  # the larger n, the less it strays
F_real, F_soft, K_real, K_soft, K_biased = np.array([np.mean(each, axis=0) for each in draws]).T  # (5,) each
error = np.array([np.std(each, axis=0, ddof=1) / np.sqrt(len(each)) for each in draws])  # (5, 5), the means'
eigen = np.maximum(np.linalg.eigvalsh(np.cov(test_features, rowvar=False)), 0)
floors = np.array([floor(eigen, n) for n in sizes])

figure, (left, right_axes) = plt.subplots(1, 2, figsize=(8, 3.6))
left.loglog(sizes, F_soft, "s-", color=ORANGE, label="blurred by ½ pixel")
left.loglog(sizes, F_real, "o-", color=BLUE, label="real digits")
left.loglog(sizes, floors, "--", color=INK, linewidth=1, label="floor, by formula")
left.set_title("Fréchet: n decides", loc="left")
right_axes.errorbar(sizes, K_soft, 2 * error[:, 3], fmt="s-", color=ORANGE, label="blurred by ½ pixel")
right_axes.errorbar(sizes, K_real, 2 * error[:, 2], fmt="o-", color=BLUE, label="real digits")
right_axes.plot(sizes, K_biased, "x:", color=BLUE, label="real, biased estimate")
right_axes.axhline(0, color=INK, linewidth=0.8)
right_axes.set_title("MMD², unbiased: n does not", loc="left")
for axes, what in ((left, "Fréchet distance"), (right_axes, "MMD² (bars: 2 standard errors)")):
    axes.set(xlabel="n, images of each", ylabel=what, xscale="log", xticks=sizes, xticklabels=sizes)
    axes.minorticks_off()
    axes.legend(fontsize=9)
left.set(yticks=[0.5, 1, 2, 5], yticklabels=[0.5, 1, 2, 5])
figure.tight_layout()

print("measured over floor, n = 100 and n = 1000:", np.round(F_real[[0, -1]] / floors[[0, -1]], 1))
print("real at n = 100 over blurred at n = 1000, more than 3:", F_real[0] > 3 * F_soft[-1])
print("unbiased: all within 4 standard errors of 0:", (np.abs(K_real) < 4 * error[:, 2]).all())
assert (np.abs(F_real / floors - 1) < 0.25).all() and (F_soft > F_real).all() and F_real[0] > 3 * F_soft[-1]
assert (np.abs(K_real) < 4 * error[:, 2]).all() and (K_biased[:3] > 8 * error[:3, 4]).all()

# %% [markdown]
# On the left, a flat line would be right, and there is none. Two Fréchet distances can be compared only at one n,
# with one feature network, against one reference. State all three beside the number, and the floor. On the right,
# KID's mean does not depend on n, only its scatter does.
#
# ## 6. Six systems, measured
#
# Precision and recall are lesson 10's, with k = 5 neighbours in feature space.

# %%
found = {}
print(f"{'':<16}{'Fréchet':>8}{'MMD²':>9}{'precision':>11}{'recall':>8}")
for name, features in FEATURES.items():
    covers = neighbours.precision_recall(features, REFERENCE, 5)
    found[name] = frechet(features, REFERENCE), mmd2(features, REFERENCE), covers["precision"], covers["recall"]
    print("{:<16}{:>8.2g}{:>9.2f}{:>11.1f}{:>8.1f}".format(name, *found[name]))
F, K, precision, recall = (dict(zip(found, column)) for column in zip(*found.values()))
print(f"{'floor':<16}{floor(eigen, N):>8.2g}{0:>9.2f}")
assert all(0.5 < F[name] / floor(eigen, N) < 2 for name in ("real, held out", "copier"))
assert max(F["real, held out"], F["copier"]) * 3 < min(F["blurred"], F["DCGAN"])
assert 3 * max(F["blurred"], F["DCGAN"]) < F["only threes"] < F["noise"] / 2
assert max(abs(K["real, held out"]), abs(K["copier"])) < 0.1 < 0.25 < min(K["blurred"], K["DCGAN"])
assert 4 * max(K["blurred"], K["DCGAN"]) < K["only threes"] < K["noise"] / 4
assert recall["only threes"] < 0.1 < 0.8 < precision["only threes"] and precision["noise"] == 0
assert min(precision["copier"], recall["copier"]) > 0.85

# %% [markdown]
# The floor is a mean, and a single pair of sets may lie below it. Every fault is seen but one. Blur, a single class
# and noise stand in this order, and the single class has the precision of real digits and no recall. The DCGAN's
# recall is that of real digits, which flatters it: a sample far off the data has a large ball, and many real images
# lie in that. The copier is perfect in every column. None of these numbers looks at the training set, so none *can*
# see copying.
#
# ## 7. Did it memorise?
#
# Find for each sample its nearest training image, in pixels. A small distance alone proves nothing: how near is near?
# What we need is a control, and we have one. Held-out digits come from the same source, and nobody copied them. *Are
# samples nearer to the training set than held-out digits are?*


# %%
def nearest(samples, images):
    """For each of samples (N, P) the index of its nearest of images (M, P) and the distance, (N,) each."""
    squares = (images**2).sum(axis=1) - 2 * samples @ images.T  # |s - i|² without |s|²: (N, M)
    index = squares.argmin(axis=1)
    return index, np.sqrt(((samples - images[index]) ** 2).sum(axis=1))


def pixels(images):
    """uint8 (N, 28, 28, 1) to (N, 784) from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


TRAIN, TEST = pixels(train), pixels(test[reference])
_, control = nearest(TEST, TRAIN)  # (N,)
NEAR = {name: nearest(pixels(images), TRAIN) for name, images in SYSTEMS.items()}
for name in ("real, held out", "copier", "DCGAN"):
    print(f"{name:<16} median distance over the control's: {np.median(NEAR[name][1]) / np.median(control):.2f}")
assert NEAR["copier"][1].max() == 0 and control.min() > 0

# %% [markdown]
# Is a difference more than chance? Distances are not normal, so compare ranks. Let x be the n samples' distances and
# y the m control's. Count the pairs with x > y:
#
# $$U = \sum_{i,j} [x_i > y_j]$$
#
# If both come from one distribution, every order of the n + m numbers is equally likely. Then U has mean n m / 2 and
# variance n m (n + m + 1) / 12, whatever the distribution is. (Mann and Whitney.) The cell goes through all 56 orders
# of n = 3 and m = 5.

# %%
everyone = set(range(8))
orders = itertools.combinations(range(8), 3)  # the places of the x
counts = [sum(i > j for i in places for j in everyone - set(places)) for places in orders]
print(f"{len(counts)} orders, mean {np.mean(counts):.1f} = 3 x 5 / 2, variance {np.var(counts):.2f} = 3 x 5 x 9 / 12")
assert np.mean(counts) == 3 * 5 / 2 and np.isclose(np.var(counts), 3 * 5 * 9 / 12)

# %% [markdown]
# Measure U in standard deviations:
#
# $$z = \frac{U - nm/2}{\sqrt{nm(n+m+1)/12}}$$
#
# z is about standard normal for a perfect generator. Far below 0, the samples are *nearer* to the training set than
# new digits are. You need not care for equal numbers.


# %% exercise="18.rank_z"
def rank_z(x, y):
    """Mann and Whitney's z of x (n,) against y (m,): below 0 if the x are smaller. A number."""
    ### BEGIN SOLUTION
    n, m = len(x), len(y)
    U = (x[:, None] > y).sum()
    return (U - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    ### END SOLUTION


# %% check="18.rank_z"
check("18.rank_z", rank_z).raise_if_wrong()

# %% [markdown]
# z grows with √n. So look also at U/nm, the share of pairs in which the sample is farther off: 1/2 is perfect.

# %%
z = {name: rank_z(distance, control) for name, (_, distance) in NEAR.items()}
print(f"{'':<16}{'z':>6}{'nearer than the control':>27}")
for name, (_, distance) in NEAR.items():
    print(f"{name:<16}{z[name]:>6.0f}{(distance[:, None] < control).mean():>26.0%}")
scale = np.sqrt(N / 1000)
assert abs(z["real, held out"]) < 3.5 and z["copier"] < -35 * scale
assert z["DCGAN"] > 5 * scale and z["noise"] > 35 * scale
print("Fréchet flags the copier:", F["copier"] > 2 * F["real, held out"], "   the rank test does:", z["copier"] < -5)
assert F["copier"] < 2 * F["real, held out"] and z["copier"] < -5

# %% [markdown]
# The copier is found. But look at the blurred digits, which copy nothing: their z is below 0, too. Blur moves an
# image towards the middle of the data, from where every image is nearer. So z alone is no proof. What a copy has and
# a blurred digit lacks is that its *second* nearest image is far away. And z above 0 is no medal. The DCGAN's digits
# lie farther from the training set than real digits do, since they are a bit off the data, as section 6 says, too. It
# is not a copier; that is all. (Threes have long strokes, and so their nearest images are farther off than those of
# ones.)
#
# Now a copier that hides: some copies among poor samples. Near ones and far ones balance. `memorisation` of the
# library gives `copied`, the share of samples that are three times nearer to one training image than to any other.

# %%
farther = (NEAR["DCGAN"][1][:, None] > control).mean()
part = int(N * (farther - 0.5) / farther)  # so many copies that U is half of all pairs
hidden = np.concatenate([SYSTEMS["copier"][:part], SYSTEMS["DCGAN"][part:]])
z_hidden = rank_z(nearest(pixels(hidden), TRAIN)[1], control)
print(f"copies among the samples: {part / N:.1f}   z is between -5 and 5: {abs(z_hidden) < 5}")
sets = {"hidden": hidden, **{name: SYSTEMS[name] for name in ("copier", "blurred", "DCGAN")}}
shares = {name: neighbours.memorisation(pixels(images), TRAIN, TEST).copied for name, images in sets.items()}
for name, share in shares.items():
    print(f"{name:<10}three times nearer to one training image than to any other: {share:.1f}")
assert abs(z_hidden) < 5 and z["blurred"] < -2.5
assert shares["copier"] > 0.95 and shares["hidden"] > 0.9 * part / N > 50 * max(shares["blurred"], shares["DCGAN"])
assert part / N > 0.2

# %% [markdown]
# So use both, and **look**. Show each sample with its nearest training image, and, as the control, its nearest
# held-out image. The nearest image alone, as many papers print it, leaves the reader to guess what "near" means.

# %%
figure, grids = plt.subplots(1, 2, figsize=(8, 3.1))
for axes, name in zip(grids, ("DCGAN", "copier")):
    some = SYSTEMS[name][:7]
    rows = some, train[NEAR[name][0][:7]], test[reference][nearest(pixels(some), TEST)[0]]
    axes.imshow(np.vstack([np.hstack(row[..., 0]) for row in rows]), cmap="gray_r")
    labels = "sample", "nearest\ntraining", "nearest\nheld-out"
    axes.set(xticks=[], yticks=14 + 28 * np.arange(3), yticklabels=labels)
    axes.tick_params(left=False)
    for line in (28, 56):
        axes.axhline(line - 0.5, color=ORANGE, linewidth=1)
    identical = int((rows[0] == rows[1]).all(axis=(1, 2, 3)).sum())
    axes.set_title(f"{name}: {identical} of 7 are training images", loc="left")
    assert identical == {"DCGAN": 0, "copier": 7}[name]
figure.tight_layout()

# %% [markdown]
# On the right, the first two rows are the same pixels. On the left, no sample is a training image, and the nearest
# held-out image is about as near as the nearest training image. (It has fewer to be found among: N, and not 10,000.)
#
# ## 8. Two more tests you will meet
#
# **Spotting fakes.** Train a classifier to tell samples from real images. If it does better than chance on images
# that it has not seen, the samples differ from real ones. If it does not, then *this* classifier found nothing; it is
# no proof that there is nothing. It knows the fakes of one generator, and another one leaves other traces; and half
# of its test images are fake, which is seldom so in the world. A copier is safe from it as well. `minigan/detect.py`
# measures all this.
#
# **Parzen windows.** The paper that introduced GANs put a small Gaussian around each sample and reported the
# log-likelihood of test images; Theis and others (2016) showed that k-means centres of the training images score
# higher than other real images, so it should not be used.
#
# ## 9. How the library does it

# %%
for function in (library.moments, library.mmd2, neighbours.mann_whitney):
    print(inspect.getsource(function))

# %% [markdown]
# Mann-Whitney there also cares for equal numbers, which share their rank: the copier's distances are all 0, and its z
# is still farther below 0. Without equals it is your number.

# %%
a, b = FEATURES["DCGAN"], REFERENCE
same = {
    "frechet": np.isclose(frechet(a, b), library.frechet(a, b), rtol=1e-9),
    "floor": np.isclose(floor(eigen, N), library.frechet_floor(test_features, N), rtol=1e-9),
    "mmd2": np.isclose(mmd2(a, b), library.mmd2(a, b), rtol=1e-9),
    "rank_z": np.isclose(z["DCGAN"], neighbours.mann_whitney(NEAR["DCGAN"][1], control)[0], rtol=1e-3),
}
print("the same as the library's:", ", ".join(name for name, yes in same.items() if yes))
assert all(same.values())

# %% [markdown]
# `minigan evaluate RUN` (`minigan/evaluation.py`) takes all of them on a run's samples, with a floor and planted bad
# systems beside each, and writes a page to read.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. Take the features of `train[:N]` as `REFERENCE`, as some published FIDs do. What does a generator score that has
#    stored just these images? And new real digits?
# 2. Let the copier move each copy by a pixel (`np.roll(images, 1, axis=2)`). Does the rank test find it? And if
#    `nearest` gets classifier features in place of pixels? A test is as blind as its distance.
# 3. Halve N. What does the copier's z do, and what the Fréchet distance of the real digits?
# 4. Plot `F_real` against 1/n, and draw a line to 1/n = 0. Where does it end? And that of the blurred ones?
# 5. Let a generator draw one perfect new digit of each class, a hundred times each. Which of our numbers see it?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("18.frechet", frechet)
assert check("18.mmd2", mmd2)
assert check("18.rank_z", rank_z)
print("A distance with its floor, a distance without bias, and a test that finds the copier that both let pass.")

# %% [markdown]
# ## What to read next
#
# - M. Heusel and others, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium",
#   *NeurIPS* 2017: the FID. D. Dowson and B. Landau, "The Fréchet distance between multivariate normal
#   distributions", *Journal of Multivariate Analysis* 12(3), 1982: its formula.
# - M. Bińkowski and others, "Demystifying MMD GANs", *ICLR* 2018: KID, and why no unbiased FID exists. A. Gretton and
#   others, "A kernel two-sample test", *Journal of Machine Learning Research* 13, 2012: MMD.
# - M. Chong and D. Forsyth, "Effectively unbiased FID and Inception Score and where to find them", *CVPR* 2020: bias
#   that depends on the generator, so that one n is not enough either.
# - L. Theis, A. van den Oord and M. Bethge, "A note on the evaluation of generative models", *ICLR* 2016.
# - C. Meehan, K. Chaudhuri and S. Dasgupta, "A non-parametric test to detect data-copying in generative models",
#   *AISTATS* 2020: section 7's test, and its refinement in cells of the space.
# - **Lesson 10**, if precision and recall were new; **lesson 20** for bugs, some of them in measures.
