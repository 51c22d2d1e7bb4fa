# %% [markdown]
# # 03. Why minimax?
#
# A generator G makes samples out of noise. A discriminator D looks at a sample and says how likely it is that the
# sample is real. D is trained to tell the two kinds apart, and G is trained against D. In the paper of 2014 this
# is one line, a minimum over G of a maximum over D. Why should such a quarrel teach G anything? What does D know
# when it is as good as it can be? And what do the numbers in the loss curves mean?
#
# **You need** lessons 01 and 02, and what a probability density is. **Time** about 55 minutes. **You will write**
# D's loss with its gradient, the best D against a given G, and the gradients of G's two losses. **After it** you
# know what D learns, what G is made to minimise, what the line at log 4 in loss curves means, and why G is seldom
# trained with the loss that the theory is about.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import derivation, losses
from minigan.data.toy import mixture_1d
from minigan.exercises import check
from minigan.gradcheck.problems import LossProblem, numeric_gradient
from minigan.layers.activations import sigmoid, softplus

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer steps, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"  # blue is real, orange is fake, dark is D
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# D is given real samples and fakes, as many of the one as of the other, and pays for each kind the mean of -log of
# the probability that it gave to the truth (in nats: the logarithm is the natural one). Its loss is the sum of the
# two means. Now suppose that G is perfect: fakes have exactly the distribution of real samples. What is the loss
# of the best possible D?
#
# 1. 0, for D is the best possible.
# 2. log 2 = 0.693.
# 3. log 4 = 1.386.
# 4. Infinite, for D can tell nothing.
#
# Write your answer down, with what D then says about a sample. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. A sample carries no trace of where it came from, so the honest answer is 1/2 for each. That costs -log(1/2) =
#    log 2 on real samples and log 2 on fakes, together log 4. Any other constant costs more: section 8 has the
#    picture.
#
# </details>

# %% [markdown]
# ## 1. A price for every answer
#
# D ends in one number s per sample, the **logit**, anywhere between minus and plus infinity. The probability is
# D = σ(s) = 1 / (1 + e^-s): 1/2 at s = 0, near 1 for large s. A real sample has the label t = 1, a fake has t = 0.
# The price of an answer is the **binary cross-entropy**, minus the log of the probability that D gave to the label:
#
# $$\ell = -t \log D - (1 - t) \log(1 - D)$$
#
# One of the two terms is zero. Being sure and right costs almost nothing, being sure and wrong costs a lot.


# %%
def price(D, t):
    return -t * np.log(D) - (1 - t) * np.log(1 - D)


for D in (0.99, 0.5, 0.01):
    print(f"D = {D:<5g} costs {price(D, 1):.3f} nats on a real sample and {price(D, 0):.3f} on a fake")
assert np.isclose(price(0.5, 1), np.log(2)) and price(0.01, 1) > 100 * price(0.99, 1)

# %% [markdown]
# Why the logarithm? Because honesty pays. If a sample at x is real with probability r, then the mean price of the
# answer D is -r log D - (1 - r) log(1 - D), and it is least at D = r. You will show that yourself in section 5.
#
# ## 2. Never compute D
#
# **Predict.** D is very sure, s = 40, and the sample is a fake. The price is -log(1 - σ(40)). Which number does
# float64 give?
#
# <details><summary>The answer</summary>
#
# Infinity. σ(40) differs from 1 by 4e-18, and a float64 near 1 has steps of 1e-16. So σ(40) rounds to 1, and log 0
# is minus infinity. The right price is 40 nats. In float32, in which networks are trained, it happens at s = 17.
#
# </details>
#
# Put σ into the logarithms and simplify on paper before anything is computed. With softplus(s) = log(1 + e^s),
#
# $$-\log \sigma(s) = \text{softplus}(-s) = \text{softplus}(s) - s, \qquad -\log(1 - \sigma(s)) = \text{softplus}(s)$$
#
# and both labels at once:
#
# $$\ell(s, t) = \text{softplus}(s) - t\,s$$

# %%
s = np.linspace(-5, 5, 11)
for t in (0, 1):
    assert np.allclose(softplus(s) - t * s, price(sigmoid(s), t), rtol=1e-12)
print("softplus(s) - t s is the price, for both labels")

with np.errstate(divide="ignore"):
    print(f"a fake with s = 40, by D:           {price(1 / (1 + np.exp(-40.0)), 0)}")
print(f"a fake with s = 40, by softplus(s): {softplus(40.0)}")
for dtype in (np.float32, np.float64):
    first = next(k for k in range(100) if 1 / (1 + np.exp(-dtype(k))) == 1)
    print(f"{dtype.__name__}: from s = {first} on, sigma(s) is exactly 1")
assert softplus(40.0) == 40

# %% [markdown]
# One danger is left: e^s overflows at s = 710 (float32: 89). For s > 0 take the e^s out, log(1 + e^s) = s +
# log(e^-s + 1). Then no exponent is ever positive:
#
# $$\text{softplus}(s) = \max(s, 0) + \log(1 + e^{-|s|})$$
#
# For σ the same trick gives 1 / (1 + e^-s) where s is positive and e^s / (1 + e^s) where it is not.
#
# Many tutorials write log(1 - D + 1e-8) instead. It stops the crash, and puts a wrong number in its place: no
# sample can then cost more than -log 1e-8 = 18.4 nats, and where the price is capped its slope is zero. A D that
# is sure and wrong gets no gradient that would bring it back. (And to be right costs a little less than nothing.)

# %%
far = np.array([-1000.0, -40.0, 0.0, 40.0, 1000.0])
stable = np.maximum(far, 0) + np.log1p(np.exp(-np.abs(far)))  # log1p(u) is log(1 + u), exact for tiny u
capped = -np.log(1 - sigmoid(far) + 1e-8)
for row in zip(far, stable, capped):
    print("a fake with s = {:5g} costs {:.3g}; with the 1e-8 inside {:.3g}".format(*row))
assert np.array_equal(stable, softplus(far)) and np.isfinite(stable).all()
assert capped[3] == capped[4] == -np.log(1e-8), "capped: the slope is 0"

# %% [markdown]
# ## 3. The gradient, long and short
#
# The loss of a batch is the mean over its N samples. In the **long form**, backward undoes forward line by line,
# one line back for each line forward. The logits have the shape (N, 1).


# %%
def long_form(s, t):
    """The mean cost of logits s (N, 1) with labels t (N, 1), and the gradient on s."""
    # forward
    D = 1 / (1 + np.exp(-s))  # (N, 1)
    cost = -t * np.log(D) - (1 - t) * np.log(1 - D)  # (N, 1)
    loss = cost.mean()  # a number
    # backward, from the last line to the first
    dcost = np.ones_like(cost) / cost.size  # loss = mean of cost: each has the share 1/N
    dD = dcost * (-t / D + (1 - t) / (1 - D))  # log' = 1/D, and the inner derivative of 1 - D is -1
    ds = dD * D * (1 - D)  # sigma' = sigma (1 - sigma)
    return loss, ds


rng = np.random.default_rng(3)
s, t = 2 * rng.standard_normal((6, 1)), np.array([[1.0], [1], [1], [0], [0], [0]])  # three real samples, three fakes
numeric = numeric_gradient(LossProblem(lambda s: long_form(s, t), {"s": s}), "s", s, np.arange(6)).reshape(6, 1)
print("long form = central differences:", np.allclose(long_form(s, t)[1], numeric, rtol=1e-7, atol=1e-9))
assert np.allclose(long_form(s, t)[1], numeric, rtol=1e-7, atol=1e-9) and np.abs(numeric).max() > 0.01

# %% [markdown]
# Put the last two lines of backward into each other: -t (1 - D) + (1 - t) D = D - t, everything else cancels. The
# **short form** is what D said minus what it should have said:
#
# $$\frac{\partial L}{\partial s_n} = \frac{\sigma(s_n) - t_n}{N}$$
#
# It is not only shorter. At s = 40 the long form divides by 1 - D = 0 and multiplies by D (1 - D) = 0, which gives
# NaN; the short form is exact. And it is never more than 1/N in size, however wrong D may be.

# %%
print("long form = short form:", np.allclose(long_form(s, t)[1], (sigmoid(s) - t) / 6, rtol=1e-12))
assert np.allclose(long_form(s, t)[1], (sigmoid(s) - t) / 6, rtol=1e-12)
with np.errstate(all="ignore"):
    sure = long_form(np.full((1, 1), 40.0), np.zeros((1, 1)))[1].item()
print(f"a fake with s = 40: long form {sure}, short form {sigmoid(40.0) - 0:.1f}")

# %% [markdown]
# Your first hole. Labels may lie between 0 and 1, and logits may be large. N stands for the number of logits,
# `s.size`. You may use `np` and the two functions `softplus` and `sigmoid` of the header, or write these yourself.


# %% exercise="03.bce_with_logits"
def bce_with_logits(s, t):
    """The mean cross-entropy of logits s with labels t of the same shape, a number, and its gradient ds."""
    ### BEGIN SOLUTION
    loss = (softplus(s) - t * s).mean()
    ds = (sigmoid(s) - t) / s.size
    return loss, ds
    ### END SOLUTION


# %% check="03.bce_with_logits"
check("03.bce_with_logits", bce_with_logits).raise_if_wrong()

# %% [markdown]
# ## 4. The game
#
# Let p be the density of real samples and q the density of G's samples. With batches replaced by expectations, D
# *minimises* -E log D(x) over real x, plus -E log(1 - D(x)) over fakes. Turn the sign and call it V, the **value**
# of the game:
#
# $$V(D, G) = \mathbb{E}_{x \sim p}\left[\log D(x)\right] + \mathbb{E}_{x \sim q}\left[\log(1 - D(x))\right]$$
#
# G sits only in q. D wants V large, G wants it small: min over G of max over D. It is a zero-sum game.
#
# For this lesson x is a number, so expectations are integrals that we can compute: p and q are mixtures of
# Gaussians on a line. Below, a D that nobody trained is scored in two ways, by your loss on a batch of 20,000
# samples of each kind, and by the integral.

# %%
real = mixture_1d([-2.0, 1.5], [0.6, 0.8], [0.4, 0.6])  # means, standard deviations, weights
fake = mixture_1d([0.5], 1.5)  # a G that covers both with one wide Gaussian
x = np.linspace(-14, 14, 2801)  # the grid (n,), in the unit of x
p, q = real.density(x[:, None]), fake.density(x[:, None])


def integral(f):
    """A plain sum is as good as any rule for smooth functions that are 0 at both ends of the grid."""
    return f.sum() * (x[1] - x[0])


def logit_of_some_d(x):
    return 1.5 - x**2 / 2


def V(s, p, q):
    """V of the D with the logits s (n,) on the grid."""
    return integral(-p * softplus(-s) - q * softplus(s))


M = 2_000 if FAST else 20_000
s_real, s_fake = (logit_of_some_d(source.sample(M, rng).astype(np.float64)) for source in (real, fake))  # (M, 1)
loss_real, _ = bce_with_logits(s_real, np.ones_like(s_real))
loss_fake, _ = bce_with_logits(s_fake, np.zeros_like(s_fake))
by_samples, by_integral = -(loss_real + loss_fake), V(logit_of_some_d(x), p, q)
error_bar = np.sqrt((softplus(-s_real).var() + softplus(s_fake).var()) / M)
print(f"V by the integral: {by_integral:.4f}")
print("V by samples is within four standard errors of it:", bool(abs(by_samples - by_integral) < 4 * error_bar))
assert abs(by_samples - by_integral) < 4 * error_bar
assert abs(integral(p) - 1) < 1e-12 and abs(integral(q) - 1) < 1e-12, "the grid is wide and fine enough"

# %% [markdown]
# ## 5. The best D: your second hole
#
# Hold G still, so q is fixed. Which D makes V largest? Write V as one integral,
#
# $$V = \int \left[\, p(x) \log D(x) + q(x) \log(1 - D(x)) \,\right] dx$$
#
# D may be any function with values between 0 and 1, and at each x it is free to say what it likes. So the best D
# is found **one point at a time**: for two numbers p and q, find the D that makes f(D) = p log D + q log(1 - D)
# largest. Its slope and curvature are
#
# $$f'(D) = \frac{p}{D} - \frac{q}{1 - D}, \qquad f''(D) = -\frac{p}{D^2} - \frac{q}{(1 - D)^2} < 0$$

# %%
one_p, one_q = 0.3, 0.1  # densities at some x, per unit of x
f, slope, curvature = derivation.integrand(np.array([0.2, 0.5, 0.9]), one_p, one_q)  # at three answers D
h = 1e-4
above, middle, below = (derivation.integrand(np.array([0.2, 0.5, 0.9]) + d, one_p, one_q)[0] for d in (h, 0, -h))
print("f'  at D = 0.2, 0.5, 0.9:", np.round(slope, 3))
print("f'' at D = 0.2, 0.5, 0.9:", np.round(curvature, 2))
assert np.allclose(slope, (above - below) / (2 * h), rtol=1e-5)
assert np.allclose(curvature, (above - 2 * middle + below) / h**2, rtol=1e-4)
assert np.isclose(integral(p * np.log(0.3) + q * np.log(0.7)), V(np.full_like(x, np.log(0.3 / 0.7)), p, q))

# %% [markdown]
# f is curved downwards everywhere, so where the slope is 0 there is the one maximum. Solve f'(D) = 0 for D, and
# write the answer for arrays p and q. Where both are 0 no sample ever falls and any D is as good; give 1/2 there.


# %% exercise="03.optimal_discriminator"
def optimal_discriminator(p, q):
    """The D that makes p log D + q log(1 - D) largest, at each of n points. p, q and the result: (n,)."""
    ### BEGIN SOLUTION
    D = np.full_like(p, 0.5)
    somewhere = p + q > 0
    D[somewhere] = p[somewhere] / (p + q)[somewhere]
    return D
    ### END SOLUTION


# %% check="03.optimal_discriminator"
check("03.optimal_discriminator", optimal_discriminator).raise_if_wrong()

# %% [markdown]
# So D* is the probability that a sample found at x is real, if both kinds are equally many. Its logit is simpler
# still. From p / D = q / (1 - D) follows D / (1 - D) = p / q, and the log of D / (1 - D) is the logit:
#
# $$s^*(x) = \log p(x) - \log q(x)$$
#
# Nobody gives D a density. It sees samples and answers yes or no, and what it learns is the **ratio of two
# densities**. That is all that G will ever hear about the data.

# %%
log_p, log_q = real.log_density(x[:, None]), fake.log_density(x[:, None])
best, best_logit = optimal_discriminator(p, q), log_p - log_q
overlap = (p > 1e-100) & (q > 1e-100)
print("sigma(log p - log q) is your D*:", np.allclose(sigmoid(best_logit)[overlap], best[overlap], atol=1e-12))
assert np.allclose(sigmoid(best_logit)[overlap], best[overlap], atol=1e-12)
assert np.allclose(best[overlap], derivation.optimal_discriminator(p, q)[overlap])

points = {"o": -2.0, "s": -0.5, "^": 3.0}  # marker: x
answers = np.linspace(0.01, 0.99, 197)
figure, axes = plt.subplot_mosaic([["densities", "f"], ["D", "f"]], width_ratios=(6, 5), figsize=(8, 4))
axes["densities"].fill_between(x, p, color=BLUE, alpha=0.35, label="p, real")
axes["densities"].fill_between(x, q, color=ORANGE, alpha=0.35, label="q, fake")
axes["densities"].legend(loc="upper right", fontsize=9)
axes["densities"].set(xlim=(-5, 5), xticklabels=[], ylabel="density\n(1 / unit of x)")
axes["densities"].set_title("Where blue is higher, D* is above 1/2", loc="left", fontsize=10)
axes["D"].plot(x, best, color=INK)
axes["D"].axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
axes["D"].set(xlim=(-5, 5), ylim=(0, 1), xlabel="x", ylabel="D*(x)")
for (marker, at), colour in zip(points.items(), (BLUE, INK, ORANGE)):
    i = int(np.abs(x - at).argmin())
    curve = derivation.integrand(answers, p[i : i + 1].repeat(197), q[i : i + 1].repeat(197))[0]
    top = p[i] * np.log(best[i]) + q[i] * np.log(1 - best[i])
    axes["f"].plot(answers, curve, color=colour, linewidth=1)
    axes["f"].plot(best[i], top, marker, color=colour, label=f"x = {at:g}: D* = {best[i]:.2f}")
    axes["D"].plot(at, best[i], marker, color=colour)
    assert (curve <= top).all() and abs(answers[curve.argmax()] - best[i]) < 0.006
axes["f"].legend(loc="lower center", fontsize=9)
axes["f"].set(xlim=(0, 1), ylim=(-0.85, 0.02), xlabel="the answer D", ylabel="f(D), nats per unit of x")
axes["f"].set_title("f has its top at D*, at every x", loc="left", fontsize=10)
figure.tight_layout()

others = [V(best_logit + a * np.sin(k * x), p, q) for a in (-1, 0.1, 1) for k in (0.5, 1, 3)]
print("every one of nine other D is worth less:", bool(max(others) < V(best_logit, p, q)))
assert max(others) < V(best_logit, p, q)

# %% [markdown]
# ## 6. Does training find it?
#
# The proof let D be any function. The nearest thing to "any function" is a **table**: cut the line into bins and
# give each bin a logit of its own. Forward looks up, s_n = table[bin of x_n]. Backward puts each sample's gradient
# back to where it was looked up, and adds where several samples share a bin. That is all of this D; no network.

# %%
edges = np.linspace(-6, 6, 25)  # 24 bins, half a unit of x wide
fine = (np.arange(2400) + 0.5) / 2400 * 12 - 6  # 100 points inside of each bin


def masses(source):
    """The probability of each bin, (24,)."""
    share = source.density(fine[:, None]).reshape(24, 100).mean(axis=1) * (edges[1] - edges[0])
    return share / share.sum()  # next to nothing lies outside


def bins(source, n, rng):
    """n samples as numbers of bins, (n, 1)."""
    return np.digitize(np.clip(source.sample(n, rng), -5.99, 5.99), edges) - 1


def table_loss(table, real_bins, fake_bins):
    """D's loss on a batch, and its gradient on the table (24,). Bins are (N, 1)."""
    # forward
    s_real = table[real_bins]  # (N, 1)
    s_fake = table[fake_bins]  # (N, 1)
    loss_real, ds_real = bce_with_logits(s_real, np.ones_like(s_real))
    loss_fake, ds_fake = bce_with_logits(s_fake, np.zeros_like(s_fake))
    # backward
    dtable = np.zeros_like(table)
    np.add.at(dtable, fake_bins, ds_fake)  # and not dtable[fake_bins] += ds_fake: that adds only once to each bin
    np.add.at(dtable, real_bins, ds_real)
    return loss_real + loss_fake, dtable


few_real, few_fake = bins(real, 1000, rng), bins(fake, 1000, rng)
table = rng.standard_normal(24)
loss, dtable = table_loss(table, few_real, few_fake)
problem = LossProblem(lambda table: table_loss(table, few_real, few_fake), {"table": table})
numeric = numeric_gradient(problem, "table", table, np.arange(24))
print("the table's gradient = central differences:", np.allclose(dtable, numeric, atol=1e-8))
assert np.allclose(dtable, numeric, atol=1e-8) and np.abs(numeric).max() > 0.01
assert np.isclose(loss, losses.minimax.discriminator(table[few_real], table[few_fake])[0], rtol=1e-12)

# %% [markdown]
# All real samples of a bin get the same gradient, and so do all fakes. Let P_j and Q_j be the shares of the real
# samples and of the fakes that fall into bin j. Adding up gives P_j (σ(s_j) - 1) + Q_j σ(s_j), or
#
# $$\frac{\partial L}{\partial s_j} = (P_j + Q_j)\left(\sigma(s_j) - \frac{P_j}{P_j + Q_j}\right)$$
#
# Read it. The gradient is zero where D says P / (P + Q), and nowhere else: that is D* with bins for x. And the
# factor in front is how much traffic there is: **D learns slowly where samples are rare**, and nothing where there
# are none.

# %%
share_real, share_fake = (np.bincount(b[:, 0], minlength=24) / len(b) for b in (few_real, few_fake))


def short_form(table, P, Q):
    return (P + Q) * sigmoid(table) - P  # multiplied out: no division by 0 in an empty bin


traffic = share_real + share_fake
busy = traffic > 0
read = traffic[busy] * (sigmoid(table[busy]) - share_real[busy] / traffic[busy])
print("short form = long form:", np.allclose(short_form(table, share_real, share_fake), dtable, atol=1e-14))
assert np.allclose(short_form(table, share_real, share_fake), dtable, atol=1e-14)
assert np.allclose(read, dtable[busy], atol=1e-14)

# %% [markdown]
# Now train it twice by plain gradient descent: once with the true masses of the bins, as if batches were endless,
# and once with the 1000 + 1000 samples that we happened to draw.


# %%
def trained(P, Q, steps, rate=8.0, keep=()):  # so large a rate because a bin's gradient is so small
    """A table after so many steps, D's loss before each step, and the tables after the steps to keep."""
    table, curve, kept = np.zeros(24), [], {}
    for k in range(steps):
        curve.append(P @ softplus(-table) + Q @ softplus(table))
        table = table - rate * short_form(table, P, Q)
        if k + 1 in keep:
            kept[k + 1] = table
    return table, np.array(curve), kept


steps = 20_000 if FAST else 50_000
P, Q = masses(real), masses(fake)
best_table = P / (P + Q)
endless, curve, kept = trained(P, Q, steps, keep=(1, 10, 100))
finite, _, _ = trained(share_real, share_fake, steps)

often, seen = P + Q > 0.01, traffic > 0.01
error = np.abs(sigmoid(endless) - best_table)
print(f"bins with more than 1 % of traffic: {often.sum()} of 24")
print("endless batches: there D is D* to 1e-6:", bool(error[often].max() < 1e-6))
print("the other bins, at worst:", f"{error[~often].max():.2f}")
own = np.abs(sigmoid(finite) - share_real / np.maximum(traffic, 1e-9))
print("1000 samples of each: D is the ratio of these samples to 1e-2:", bool(own[seen].max() < 1e-2))
print(f"and its distance from D* is up to {np.abs(sigmoid(finite) - best_table)[seen].max():.2f}")

centres = (edges[1:] + edges[:-1]) / 2
figure, axes = plt.subplots()
for (k, snapshot), grey in zip(kept.items(), ("#CCCCCC", "#AAAAAA", "#777777")):
    axes.stairs(sigmoid(snapshot), edges, color=grey, baseline=None, linewidth=1.5, label=f"table, step {k}")
axes.stairs(sigmoid(endless), edges, color=INK, baseline=None, linewidth=1.5, label=f"table, step {steps}")
axes.plot(centres, best_table, "o", color=BLUE, markersize=5, label="D* = P / (P + Q)")
axes.plot(centres[seen], sigmoid(finite)[seen], "x", color=ORANGE, markersize=7, label="trained on 1000 + 1000")
axes.set(xlabel="x", ylabel="D(x)", ylim=(-0.03, 1))
axes.set_title("The table finds D*, first where samples are many", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
assert error[often].max() < 1e-6 and own[seen].max() < 1e-2

# %% [markdown]
# The dark steps go through the blue dots; the grey ones show the middle of the line learning first. The bins at
# both ends are still on their way: hardly anything falls there. The orange crosses are what a D learns in
# practice, the ratio of the samples it was shown. In a bin where only fakes fell, its best logit is minus infinity,
# and it creeps there for ever. With fewer samples and finer bins it would know each single sample by heart.
#
# ## 7. What the best D leaves for G
#
# Now the outer half of the game. G's position q is worth V(D*, q). Put D* = p / (p + q) into V. With the average of
# the two densities, m = (p + q) / 2,
#
# $$\log D^* = \log\frac{p}{p + q} = \log\frac{p}{m} - \log 2$$
#
# and the same for 1 - D* with q. Each log 2 comes out of its integral whole, because p and q each integrate to 1.
# What is left are two Kullback-Leibler divergences, KL(p || m) = ∫ p log(p / m) dx. Half their sum has a name, the
# **Jensen-Shannon divergence**, JSD(p, q) = KL(p || m) / 2 + KL(q || m) / 2, and so
#
# $$V(D^*, q) = -\log 4 + 2\,\text{JSD}(p, q)$$
#
# A formula with a constant in it deserves a check that could fail. If we integrated both sides with the same sum,
# we would only see that we can rearrange terms. So take the left side as D is scored, from logits, by our sum; and
# the right side from **entropies**: with H(p) = -∫ p log p dx, JSD = H(m) - H(p)/2 - H(q)/2, by Simpson's rule on
# another grid. For a single Gaussian of standard deviation sd, H = log(2 π e sd²) / 2 needs no grid at all.

# %%
m = (p + q) / 2
assert np.allclose(np.log(best[overlap]), np.log((p / m)[overlap]) - np.log(2), atol=1e-12)

pairs = {  # real, fake
    "equal": (real, real),
    "two Gaussians, shifted by 1": (mixture_1d([0], 1), mixture_1d([1], 1)),
    "two Gaussians, sd 1 and 2": (mixture_1d([0], 1), mixture_1d([0.5], 2)),
    "two modes and one": (real, fake),
    "one mode dropped": (real, mixture_1d([1.5], 0.8)),
    "far apart": (mixture_1d([-5], 0.5), mixture_1d([5], 0.7)),
}
other_x = np.linspace(-16, 17, 5001)


def entropy(source):
    if len(source.means) == 1:
        return np.log(2 * np.pi * np.e * source.sd**2) / 2  # closed form
    log_density = source.log_density(other_x[:, None])
    return derivation.integrate(-np.exp(log_density) * log_density, other_x)


def jsd_by_entropies(one, other):
    log_m = np.logaddexp(one.log_density(other_x[:, None]), other.log_density(other_x[:, None])) - np.log(2)
    return derivation.integrate(-np.exp(log_m) * log_m, other_x) - entropy(one) / 2 - entropy(other) / 2


print(f"{'':<30}V(D*)      -log 4 + 2 JSD   JSD")
for name, (one, other) in pairs.items():
    star = one.log_density(x[:, None]) - other.log_density(x[:, None])  # D*'s logit
    on_p, on_q = one.density(x[:, None]), other.density(x[:, None])
    left, JSD = V(star, on_p, on_q), jsd_by_entropies(one, other)
    row = np.round([left, -np.log(4) + 2 * JSD, JSD], 6) + 0.0  # so that no zero has a sign
    print(f"{name:<30}{row[0]:<11.6f}{row[1]:<17.6f}{row[2]:.6f}")
    assert abs(left - (-np.log(4) + 2 * JSD)) < 1e-6
    assert abs(left - derivation.value_at_optimum(on_p, on_q, x)) < 1e-6
    assert -1e-9 < JSD < np.log(2) + 1e-9

# %% [markdown]
# All six agree to 1e-6. Look at the first row and at the last one. Why is JSD between 0 and log 2?
#
# - **Not above.** p is never more than p + q = 2m, so log(p / m) is at most log 2. It is reached when at each x only
#   one of p and q lives: then D* is never wrong, and V = 0.
# - **Not below.** V(D*) is the *largest* value that D can reach, and the D that always says 1/2 reaches log(1/2) +
#   log(1/2) = -log 4. So 2 JSD is never negative. It is 0 only if this D is the best one. Where samples fall there
#   is just one best answer (f has one maximum), so D* = 1/2 there, which means p = q.
#
# So the maximum over D measures how far q is from p, and the minimum over G brings q to p. **That is why
# minimax.** A classifier's loss becomes a distance between distributions, and G needs no density and no
# likelihood to make it small: it needs an opponent.

# %%
log_ratio = np.log((p / m)[overlap])
print("log(p / m) is never above log 2:", bool(log_ratio.max() <= np.log(2)))
print(f"the D that always says 1/2 has V = {V(0 * x, p, q):.4f}, whatever p and q are; -log 4 = {-np.log(4):.4f}")
assert log_ratio.max() <= np.log(2) and np.isclose(V(0 * x, p, q), -np.log(4), atol=1e-12)
print("where p = q, your D* is 1/2 everywhere:", bool((optimal_discriminator(p, p) == 0.5).all()))
assert (optimal_discriminator(p, p) == 0.5).all() and np.isclose(V(0 * x, p, p), -np.log(4), atol=1e-12)

# %% [markdown]
# ## 8. The line at log 4
#
# D's loss is -V. So it starts at log 4 = 1.386 if D starts with logits near 0, and a D that learns all there is
# ends at
#
# $$L_D = \log 4 - 2\,\text{JSD}(p, q)$$
#
# **Predict.** Three tables are trained against three fixed generators: one perfect, one that overlaps with the
# data, one that is far away. Draw their three loss curves, each with the level where it ends. Then run the cell.

# %%
right_of_it = mixture_1d([3.6], 0.45)
curves, ends = {}, {}
for name, source in (("perfect", real), ("overlapping", fake), ("far away", right_of_it)):
    from_q = masses(source)
    _, curves[name], _ = trained(P, from_q, 3000)
    mix = (P + from_q) / 2
    JSD = (P @ np.log(P / mix) + from_q @ np.log(from_q / mix)) / 2  # of bins, sums for integrals
    ends[name] = np.log(4) - 2 * JSD

wide = np.linspace(-5, 5, 201)
figure, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2))
for (name, curve), colour, style, up in zip(curves.items(), (BLUE, ORANGE, INK), ("-", "--", "-."), (1, -1, 1)):
    left.plot(np.arange(1, 3001), curve, style, color=colour)
    left.axhline(ends[name], color=colour, linewidth=0.8, linestyle=":")
    where = {"ha": "right", "va": "bottom" if up > 0 else "top"}
    left.text(
        2500, ends[name] + 0.03 * up, f"G is {name}: ends at {ends[name]:.2f}", color=colour, fontsize=9, **where
    )
left.set(xscale="log", xlim=(1, 3000), ylim=(-0.05, 1.6), xlabel="step of D", ylabel="D's loss, nats")
left.set_title("D's loss falls from log 4 by 2 JSD", loc="left", fontsize=10)
right.plot(wide, softplus(-wide) + softplus(wide), color=INK)
right.plot(0, np.log(4), "o", color=BLUE, label="log 4, D = 1/2")
right.set(xlabel="logit s, the same for all x", ylabel="D's loss, nats")
right.set_title("A constant D: log 4 at best", loc="left", fontsize=10)
right.legend(loc="upper center")
figure.tight_layout()

for name, curve in curves.items():
    print(f"{name}: from {curve[0]:.4f} to {curve[-1]:.4f}, predicted {ends[name]:.4f}")
    assert np.isclose(curve[0], np.log(4)) and abs(curve[-1] - ends[name]) < 5e-3
assert (softplus(-wide) + softplus(wide) >= np.log(4) - 1e-12).all()

# %% [markdown]
# Three rules for reading a loss curve of this game:
#
# - **Below log 4** D sees a difference. On fresh samples it cannot fall by more than 2 JSD; on samples that it has
#   learned by heart it can.
# - **At log 4** D sees none. Either there is none to see, or D is too weak, too new or broken; the number does not
#   say which. A falling or rising loss of D says nothing about quality by itself.
# - **Above log 4** for long, D is worse than silence. Look for a bug: the labels of one batch exchanged, a sign, a
#   learning rate that is too high.
#
# ## 9. The order matters
#
# **Predict.** Train D well, then freeze it, and let G minimise V to the end against the frozen D. What does the
# best G do?
#
# <details><summary>The answer</summary>
#
# It puts everything at the one point where D is most easily fooled: a spike, nothing like p.
#
# </details>
#
# For a fixed D, V depends on q through an average of log(1 - D), and an average is never below the least of what
# is averaged:
#
# $$\mathbb{E}_{x \sim q}[\log(1 - D(x))] \ge \min_x \log(1 - D(x))$$
#
# with equality for a q that sits at the minimum. Max over D of min over G is another game, and a G trained too
# long between D's steps plays it. It is one road to **mode collapse** (lesson 10).

# %%
term = -softplus(best_logit)  # log(1 - D*), (n,), of the D that is best against q
spike = mixture_1d([x[term.argmin()]], 0.03).density(x[:, None])
for name, density in (("the present G", q), ("a perfect G", p), ("a spike", spike)):
    print(f"frozen D, {name + ':':<15} E log(1 - D) = {integral(density * term):.3f}")
print(f"the least of log(1 - D): {term.min():.3f}")
assert integral(spike * term) < integral(p * term) < integral(q * term)
assert abs(integral(spike * term) - term.min()) < 0.01

# %% [markdown]
# ## 10. What G descends: your third hole
#
# G's samples come out of a network, so G gets its gradient through D: from the loss to D's logit s of each fake,
# through D to its input x, through G to the weights. Everything begins with ∂L/∂s. By the theory so far G
# minimises the mean of log(1 - D). This is the **minimax** or **saturating** loss:
#
# $$\log(1 - \sigma(s)) = -\text{softplus}(s), \qquad \frac{d}{ds} = -\sigma(s)$$
#
# The paper that proves the theory advises against this loss before the proof begins. Let G minimise the mean of
# -log D instead, the **non-saturating** loss:
#
# $$-\log \sigma(s) = \text{softplus}(-s), \qquad \frac{d}{ds} = -(1 - \sigma(s)) = -\sigma(-s)$$
#
# Both slopes are negative: G, stepping against its gradient, raises the logits of its fakes either way.
#
# **Predict.** Early in training the fakes are poor, and D is sure of them: s = -6, D = 0.0025. How hard does each
# loss pull? And which loss is near 0 there?
#
# <details><summary>The answer</summary>
#
# Minimax pulls with 0.0025, non-saturating with 0.9975: 403 = e^6 times as hard. And it is the *minimax* loss that
# is near 0, at its upper end, when G is at its *worst*.
#
# </details>

# %%
at, h = np.array([-6.0, 0.0, 6.0]), 1e-5
print("   s       D    log(1 - D)   slope    -log D   slope")
for s in at:
    minimax_slope = (-softplus(s + h) + softplus(s - h)) / (2 * h)
    other_slope = (softplus(-s - h) - softplus(-s + h)) / (2 * h)
    assert np.isclose(minimax_slope, -sigmoid(s), rtol=1e-6) and np.isclose(other_slope, -sigmoid(-s), rtol=1e-6)
    row = (-softplus(s), minimax_slope, softplus(-s), other_slope)
    print(f"{s:4.0f}  {sigmoid(s):.4f}  {row[0]:11.4f} {row[1]:8.4f}  {row[2]:7.4f} {row[3]:8.4f}")
assert round(sigmoid(-6.0), 4) == 0.0025 and round(1 - sigmoid(-6.0), 4) == 0.9975
print(f"at s = -6 non-saturating pulls {sigmoid(6.0) / sigmoid(-6.0):.0f} times as hard; e^6 = {np.exp(6):.0f}")
assert np.isclose(sigmoid(6.0) / sigmoid(-6.0), np.exp(6))

# %% [markdown]
# In several texts, good ones among them, saturation is told the other way round: that a generator which does a
# perfect job, with D near 1, has a loss near 0 and therefore no gradient. The table says otherwise. At D = 0.9975,
# log(1 - D) is -6.0, and its slope is -0.9975; it never gets stronger than -1. The loss near 0 and the slope near
# 0 stand in the first row, D = 0.0025. Saturation is not the reward of a G that wins. It is the trouble of a G that
# loses, so it comes at the beginning, when a gradient is needed most.
#
# Write both gradients for a batch. The losses are means over the logits, of which there are `s.size`.


# %% exercise="03.generator_gradients"
def generator_gradients(s):
    """The gradients on the fakes' logits s of mean log(1 - D) and of mean -log D: two arrays of s's shape."""
    ### BEGIN SOLUTION
    d_minimax = -sigmoid(s) / s.size
    d_non_saturating = -sigmoid(-s) / s.size
    return d_minimax, d_non_saturating
    ### END SOLUTION


# %% check="03.generator_gradients"
check("03.generator_gradients", generator_gradients).raise_if_wrong()

# %% [markdown]
# ## 11. What G feels, from far away
#
# Give G one parameter: its samples are x = z + t, z from N(0, 1), and the data are N(0, 1) themselves. So t is how
# far G still has to go. D is the best one, s(x) = log p - log q = t²/2 - t x, and it stands still during G's step.
# Moving t moves every fake, and so its logit:
#
# $$\frac{dL_G}{dt} = \mathbb{E}_{x \sim q}\left[\frac{\partial L_G}{\partial s}\,\frac{ds}{dx}\right],
# \qquad \frac{ds}{dx} = -t$$
#
# The cell evaluates it for your two gradients and compares with two slopes that nobody told them: those of
# 2 JSD(p, q_t), which the theory of section 7 promises to minimax, and of KL(q_t || p) - 2 JSD(p, q_t), which
# Arjovsky and Bottou found for the other loss. KL between these two Gaussians is t²/2.

# %%
unit = mixture_1d([0], 1)


def felt(t):
    """dL_G/dt by both losses, at the best D."""
    density = mixture_1d([t], 1).density(x[:, None])
    logits = t**2 / 2 - t * x
    return [integral(density * d * len(x) * -t) for d in generator_gradients(logits)]  # without the 1/N of the mean


def jsd_at(t):
    return jsd_by_entropies(unit, mixture_1d([t], 1))


for t in (0.5, 2.0, 4.0):
    minimax_slope, other_slope = felt(t)
    slope_of_jsd = (jsd_at(t + 1e-4) - jsd_at(t - 1e-4)) / 2e-4
    assert abs(minimax_slope - 2 * slope_of_jsd) < 1e-6
    assert abs(other_slope - (t - 2 * slope_of_jsd)) < 1e-6
    print(f"t = {t:g}: minimax {minimax_slope:.5f} = slope of 2 JSD; non-saturating {other_slope:.5f}")

s = np.linspace(-10, 10, 201)
d_minimax, d_non_saturating = (np.abs(d) * s.size for d in generator_gradients(s))
distances = np.linspace(0.1, 9, 30 if FAST else 90)
slopes = np.array([felt(t) for t in distances])

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
left.semilogy(s, d_minimax, "--", color=ORANGE, label="minimax, $\\sigma(s)$")
left.semilogy(s, d_non_saturating, color=BLUE, label="non-saturating, $1 - \\sigma(s)$")
left.plot(-6, sigmoid(-6.0), "s", color=ORANGE)
left.plot(-6, sigmoid(6.0), "o", color=BLUE)
left.annotate("0.0025", (-6, sigmoid(-6.0)), xytext=(6, -9), textcoords="offset points", fontsize=9)
left.annotate("0.9975", (-6, sigmoid(6.0)), xytext=(-14, 7), textcoords="offset points", fontsize=9)
left.set(xlabel="D's logit s on a fake", ylabel="size of the slope", ylim=(1e-5, 40))
left.set_title("Where D is sure, minimax is silent", loc="left", fontsize=10)
left.legend(loc="lower center", fontsize=9)
right.semilogy(distances, slopes[:, 0], "--", color=ORANGE, label="minimax")
right.semilogy(distances, slopes[:, 1], color=BLUE, label="non-saturating")
right.set(xlabel="G's distance t (standard deviations)")
right.set_title("And with the best D, where G is far off", loc="left", fontsize=10)
right.legend(loc="lower left", fontsize=9)
figure.tight_layout()

assert (slopes > 0).all(), "both losses move G towards the data"
assert felt(8)[0] < 1e-3 < 7.9 < felt(8)[1]
print(f"at t = 8: minimax below 1e-3, non-saturating {felt(8)[1]:.2f}")

# %% [markdown]
# On the right stands the price of the theory. JSD is flat where p and q do not overlap, near its ceiling log 2, and
# the orange curve is its slope: the better D is and the farther G, the less G hears. The blue one grows with the
# distance. It is not free of charge either: the sum of both players' losses is no longer 0, so the game is no
# longer zero-sum, and what G descends is not 2 JSD any more. At t near 0 both curves meet, for where D = 1/2 both
# slopes are 1/2 in size.
#
# Both losses have the same zero, D = 1/2 everywhere with q = p. They differ in who is heard: minimax listens to the
# fakes that already pass, non-saturating to those that do not.
#
# ## 12. How the library does it
#
# `minigan.losses` holds the games. D's loss and both of G's are these lines. Its letters: a is D's logit of a real
# sample, b of a fake, t the label of the real ones.

# %%
for function in (
    losses.cross_entropy_discriminator,
    losses.minimax_generator,
    losses.non_saturating_generator,
    softplus,
    sigmoid,
):
    print(inspect.getsource(function))

# %% [markdown]
# Yours are the same, at logits of ordinary size and at absurd ones:

# %%
for size in (1, 300):
    a, b = size * rng.standard_normal((8, 1)), size * rng.standard_normal((5, 1))  # batches may differ in size
    value, da, db = losses.non_saturating.discriminator(a, b)
    (on_real, my_da), (on_fake, my_db) = bce_with_logits(a, np.ones_like(a)), bce_with_logits(b, np.zeros_like(b))
    equal = [np.allclose(on_real + on_fake, value), np.allclose(my_da, da), np.allclose(my_db, db)]
    equal += [
        np.allclose(mine, game.generator(b)[1]) for mine, game in zip(generator_gradients(b), losses.GAMES[1::-1])
    ]
    print(f"logits of size {size}: D's loss and gradients, G's two gradients are the library's:", all(equal))
    assert all(equal) and losses.GAMES[:2] == (losses.non_saturating, losses.minimax)

# %% [markdown]
# And `minigan.derivation` holds the theory: the best D, V, the divergences, the saddle of the game, and which
# divergence each of the library's other losses leaves for G. One of its functions says this lesson in a line:

# %%
print(inspect.getsource(derivation.value_at_optimum))
assert abs(derivation.value_at_optimum(p, q, x) - V(best_logit, p, q)) < 1e-6

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back. An assertion that fails is an answer, too.
#
# 1. In section 4, hand `sigmoid(s_real)` and `sigmoid(s_fake)` to `bce_with_logits`, as code does whose D ends in a
#    sigmoid although its loss wants logits. Between which two numbers must its probabilities lie? What is the least
#    loss it can have, on data that a child could tell apart? (softplus(-1) + softplus(0) = 1.0064.)
# 2. Give real samples the label 0.9: in `short_form`, write `- 0.9 * P`. Where does the table end? Put the label into
#    f(D) and solve f'(D) = 0 again. (0.9 p / (p + q).)
# 3. Draw 20 samples of each kind in section 6 instead of 1000. How low does D's loss on these samples go, `trained(
#    share_real, share_fake, steps)[1][-1]`, and what does this D know about p and q?
# 4. Let the tables start at s = -3: `np.full(24, -3.0)` in `trained`. At which loss do the curves of section 8 begin
#    now? Which of them cross the line at log 4?
# 5. In section 9, take a D that has learned less, with the logits `0.1 * best_logit`. Does the spike move?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("03.bce_with_logits", bce_with_logits)
assert check("03.optimal_discriminator", optimal_discriminator)
assert check("03.generator_gradients", generator_gradients)
assert abs(V(best_logit, p, q) - (-np.log(4) + 2 * jsd_by_entropies(real, fake))) < 1e-6
print("Against the best D, G minimises 2 JSD(p, q) - log 4; where q = p, D says 1/2 and its loss is log 4.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 04**: the theory lets D be perfect before each step of G. In practice both move at once, and then the
#   game goes round in circles.
# - I. Goodfellow et al., "Generative Adversarial Nets", *Advances in Neural Information Processing Systems* 27,
#   2014: section 4 is our sections 5 and 7 in one page, and the end of section 3 our section 10.
# - I. Goodfellow, "NIPS 2016 Tutorial: Generative Adversarial Networks", arXiv:1701.00160: the losses of G side by
#   side, and why minimax is for theory.
# - M. Arjovsky and L. Bottou, "Towards Principled Methods for Training Generative Adversarial Networks", *ICLR*
#   2017: what happens when p and q do not overlap, and the KL - 2 JSD of section 11.
# - S. Nowozin, B. Cseke and R. Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
#   Minimization", *Advances in Neural Information Processing Systems* 29, 2016: other losses, other divergences.
# - J. Lin, "Divergence measures based on the Shannon entropy", *IEEE Transactions on Information Theory* 37(1),
#   1991: where JSD and its bounds come from.
