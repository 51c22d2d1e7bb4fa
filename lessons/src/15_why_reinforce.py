# %% [markdown]
# # 15. GANs for words: why REINFORCE?
#
# A GAN for images learns because D can tell each pixel which way to move. Words do not move. A word is chosen from a
# list, D reads what was chosen, and between word 7 and word 8 of the list there is nothing. So the way back from D
# to G, on which the last nine lessons walked, is cut. SeqGAN repairs it with an idea of 1992 that needs no way back:
# try, see what it was worth, and make good tries more probable.
#
# **You need** lessons 01 to 03; of lesson 14, that an LSTM writes one word after another. **Time** about 55 minutes.
# **You will write** the policy gradient, a baseline that does not bias it, and rollouts. **After it** you can prove
# an estimator right by counting all sentences, you know what its noise costs, and you know the control without
# which no gain of such a GAN means anything.

# %%
import inspect
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import losses
from minigan.backend import rng
from minigan.data import as_lines, load_quatrains
from minigan.dynamics import Still
from minigan.exercises import check
from minigan.metrics.text import bleu, distinct
from minigan.models.seqgan import Reader, Writer, probability_real, read_step, rewards, write_step
from minigan.optim import Adam
from minigan.shipped import load
from minigan.writing import WritingTraining

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer samples and a shorter game, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# G writes sentences. Each gets a reward, and G is made to write it again a little more if the reward is high and a
# little less if it is low. Now D is replaced by a judge who says 1/2 to everything, and G goes on learning for a long
# time. What becomes of G?
#
# 1. Nothing: where all sentences are worth the same, there is nothing to learn, and G stays where it is.
# 2. It trembles around where it is.
# 3. It wanders off, and ends with one sentence that it writes nearly every time.
#
# Write your answer down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. Answer 1 is true of the mean over all that G might write, which section 4 proves to be zero. But a step is made
# from what G *did* write, and makes that more probable. Section 6 measures where the walk ends, and section 8 what it
# does to a game.
#
# </details>

# %% [markdown]
# ## 1. A choice has no slope
#
# G gives each word i of the list a logit s_i. Lesson 14 drew a word from softmax(s); here is a way to do it in one
# line. Add noise g_i = -log E_i, with E_i exponentially distributed, and take the largest: w = argmax(s + g) is a
# draw from softmax(s) (the **Gumbel-max trick**). Let f_i be D's verdict on word i.
#
# **Predict.** With the noise held fixed, what is the derivative of f_w by a logit?
#
# <details><summary>The answer</summary>
#
# Zero. A logit that moves by a millionth does not change which one is the largest. In the rare case that it does,
# f jumps, and has no derivative.
#
# </details>
#
# $$\frac{\partial}{\partial s_i} f_{\mathrm{argmax}(s + g)} = 0 \qquad \text{for almost every } g$$

# %%
draws = np.random.default_rng(0)
M = 20_000 if FAST else 200_000
s = draws.standard_normal(5)  # (V,): the logits of five words
a = 2 * draws.standard_normal(5)
f = 1 / (1 + np.exp(-a))  # (V,): D's verdict on each
g = -np.log(draws.exponential(size=(M, 5)))  # (M, V)


def slopes(h):
    """Central differences of D's verdict on the chosen word, by each logit, for each noise: (M, V)."""
    return np.stack([f[(s + h * e + g).argmax(1)] - f[(s - h * e + g).argmax(1)] for e in np.eye(5)], 1) / (2 * h)


tiny = slopes(1e-4)
print(f"{(tiny == 0).mean():.3%} of the slopes are exactly zero; the largest is above 1000: {tiny.max() > 1000}")
assert (tiny == 0).mean() > 0.9995 and tiny.max() > 1000

# %% [markdown]
# So backpropagation has nothing to say. Tutorials that stack `D(argmax(G(z)))`, or feed a softmax row where D wants
# the number of a word, train nothing.
#
# But look at those few large slopes. *On average* over the noise the verdict is Σ p_i f_i with p = softmax(s), and
# that is as smooth as one could wish:
#
# $$E[f_w] = \sum_j p_j f_j \qquad \frac{\partial}{\partial s_i} E[f_w] = p_i \left(f_i - \sum_j p_j f_j\right)$$

# %%
softmax = lambda s: np.exp(s) / np.exp(s).sum(axis=-1, keepdims=True)
p = softmax(s)
exact = p * (f - p @ f)
chosen = (s + g).argmax(axis=1)
share = np.bincount(chosen) / M
print("share of each word:", share.round(2), " softmax:", p.round(2))
assert (np.abs(share - p) < 4 * np.sqrt(p * (1 - p) / M)).all()
for h in (0.5, 0.05, 0.005):
    d = slopes(h)
    print(f"h = {h:<6g}mean slope {d.mean(axis=0).round(2)}   spread of a single one {d.std(axis=0).mean():.1f}")
    assert (np.abs(d.mean(axis=0) - exact) < 4 * d.std(axis=0) / np.sqrt(M) + 0.05 * h).all()
print(f"exact       mean slope {exact.round(2)}")

# %% [markdown]
# The gradient of the mean is there, and the mean of the gradients is not: it is zero. Differences can find the
# first, but they need two verdicts for each weight, and their spread grows as h shrinks. There is a better way.
#
# ## 2. The score function
#
# Let p(x) be the probability that G writes the sentence x, and R(x) any number that we give it. Differentiate the
# mean, and use ∇p = p ∇log p:
#
# $$\nabla E[R] = \sum_x R(x)\, \nabla p(x) = \sum_x p(x)\, R(x)\, \nabla \log p(x) = E[R\, \nabla \log p]$$
#
# The last form is a mean over what G writes. So write some sentences, and average R ∇log p. Nothing is differentiated
# but G's own log-probability. R may be D's verdict, a rule, or somebody's opinion. ∇log p is called the **score**;
# for one word drawn from softmax(s) it is
#
# $$\frac{\partial \log p_w}{\partial s_i} = [i = w] - p_i$$

# %%
one_hot = np.eye(5)
identity = sum(p[w] * f[w] * (one_hot[w] - p) for w in range(5))  # E[R score], all words counted
print("E[R score] is section 1's gradient of the mean:", np.allclose(identity, exact, rtol=1e-12))
assert np.allclose(identity, exact, rtol=1e-12)
estimates = f[chosen][:, None] * (one_hot[chosen] - p)  # (M, V): one word each, no differences
off = np.abs(estimates.mean(axis=0) - exact) / (estimates.std(axis=0) / np.sqrt(M))
print(f"mean of the estimates: at most {off.max():.1f} standard errors off; a single one spreads by", end=" ")
print(f"{estimates.std(axis=0).mean():.2f}")
assert off.max() < 4

# %% [markdown]
# Where does [i = w] - p_i come from? From the way back through log softmax. The **long form**, for N words at once,
# of the loss L = -mean(R log p_w), which falls when E[R] rises:

# %%
S, w = draws.standard_normal((6, 5)), draws.integers(0, 5, 6)  # (N, V) logits and (N,) words
R = draws.random(6)  # (N,) rewards
rows = np.arange(6)

# forward
e = np.exp(S)  # (N, V)
z = e.sum(axis=1, keepdims=True)  # (N, 1)
q = e / z  # (N, V): softmax
log_q = np.log(q[rows, w])  # (N,): log p of the words that were chosen
L = -(R * log_q).mean()  # a number

# backward, from the last line to the first
dlog = -R / 6  # L = -mean(R log_q). R is a number that was given: no gradient goes into it
dq = np.zeros_like(q)
dq[rows, w] = dlog / q[rows, w]  # log_q = log q at the chosen words
de = dq / z  # q = e / z, by e
dz = -(dq * e / z**2).sum(axis=1, keepdims=True)  # q = e / z, by z
de += dz  # z = sum of e
dS = de * e  # e = exp(S)

short = -R[:, None] / 6 * (np.eye(5)[w] - softmax(S))  # the short form: -R/N times the score
value, theirs = losses.softmax_cross_entropy(S, w, R)
print("long form = short form:", np.allclose(dS, short), "   short form = the library's:", np.allclose(short, theirs))
assert np.allclose(dS, short, rtol=1e-12) and np.allclose(short, theirs, rtol=1e-12) and np.isclose(L, value)

# %% [markdown]
# This is cross-entropy with a weight. With R = 1 and words of real text it is maximum likelihood, lesson 14.
# REINFORCE is the same step on G's *own* words, each weighted by what it earned. (R. J. Williams gave it that name in
# 1992.)
#
# ## 3. All sentences, counted
#
# Now sentences. To have an exact answer, take the smallest writer that there is: a table θ (V, V). Row v has the
# logits of the word that comes after word v; what stands before the first word is word 0, as in the library. With
# V = 3 words and T = 4 places there are 3^4 = 81 sentences, and log p of each is a sum:
#
# $$\log p(x) = \sum_{t=1}^{T} \log \mathrm{softmax}(\theta_{x_{t-1}})_{x_t}$$

# %%
V, T = 3, 4
ALL = np.array(list(itertools.product(range(V), repeat=T)))  # (81, T)
theta = np.random.default_rng(0).standard_normal((V, V))


def before(words):
    """The word before each word, (N, T): 0 before the first."""
    return np.concatenate([np.zeros_like(words[:, :1]), words[:, :-1]], axis=1)


def probability(theta, words=ALL):
    """p of each sentence, (N,)."""
    return np.take_along_axis(softmax(theta[before(words)]), words[..., None], axis=2)[..., 0].prod(axis=1)


P = probability(theta)
VERDICT = 0.4 + 0.4 * (ALL[:, 1:] != ALL[:, :-1]).all(axis=1) + 0.1 * (ALL[:, -1] == 2)  # (81,)
print(f"81 sentences, their p add up to {P.sum():.6f}; E[R] = {P @ VERDICT:.3f}")
assert np.isclose(P.sum(), 1, rtol=1e-12)

# %% [markdown]
# The judge is a rule with no slope anywhere: 0.4, and 0.4 more if no word stands twice in a row, and 0.1 more if word
# 2 is the last. Like D's, its verdicts lie between 0 and 1.
#
# Write the estimate. Each word's score goes to *its* row of the table, weighted by *its* reward (for now all words
# of a sentence have the same), added up over the T places and averaged over the N sentences:
#
# $$\hat{G} = \frac{1}{N} \sum_n \sum_t r_{n,t}\, \nabla \log p(x_{n,t} \mid x_{n,t-1})$$
#
# You may use `before` and `softmax`. A row can come up many times: `np.add.at(a, rows, values)` adds all of them.


# %% exercise="15.policy_gradient"
def policy_gradient(theta, words, reward):
    """The estimate (V, V) of the gradient of E[R], from G's words (N, T), whole numbers, and the reward (N, T)."""
    ### BEGIN SOLUTION
    given = before(words)  # (N, T): whose row
    score = np.eye(len(theta), dtype=theta.dtype)[words] - softmax(theta[given])  # (N, T, V)
    gradient = np.zeros_like(theta)
    np.add.at(gradient, given, reward[..., None] * score)
    return gradient / len(words)
    ### END SOLUTION


# %% check="15.policy_gradient"
check("15.policy_gradient", policy_gradient).raise_if_wrong()

# %% [markdown]
# First without chance: each of the 81 sentences once, weighted by its p, against central differences of Σ p R.

# %%
sentence_reward = np.repeat(VERDICT[:, None], T, axis=1)  # (81, T)
EXACT = sum(P[k] * policy_gradient(theta, ALL[k : k + 1], sentence_reward[k : k + 1]) for k in range(81))
steps = 1e-5 * np.eye(V * V).reshape(V * V, V, V)
numeric = np.array([(probability(theta + e) - probability(theta - e)) @ VERDICT / 2e-5 for e in steps]).reshape(V, V)
print("E[R grad log p], counted, is the numeric gradient of E[R]:", np.allclose(EXACT, numeric, atol=1e-9))
print(EXACT.round(3))
assert np.allclose(EXACT, numeric, atol=1e-9) and np.abs(EXACT).max() > 0.05

# %% [markdown]
# Then with chance: many batches of 16 sentences that G wrote. An estimator is **unbiased** if its mean is the exact
# gradient. The mean of K estimates scatters by their spread over √K, the standard error; four of those are a generous
# allowance for nine numbers.

# %%
K = 400 if FAST else 3000


def estimates(reward_of, N=16, seed=1):
    """K estimates from N sentences each, (K, V, V). reward_of(k): the reward (N, T) of the sentences ALL[k]."""
    random = np.random.default_rng(seed)
    batches = [random.choice(len(ALL), N, p=P) for _ in range(K)]
    return np.array([policy_gradient(theta, ALL[k], reward_of(k)) for k in batches])


def standard_errors(found):
    """How far the mean is from the exact gradient, at the worst of the weights."""
    return (np.abs(found.mean(axis=0) - EXACT) / (found.std(axis=0) / np.sqrt(len(found)))).max()


spread = lambda found: found.var(axis=0).sum()  # the variance of all weights together
size = (EXACT**2).sum()
plain = estimates(lambda k: sentence_reward[k])
print(f"mean of {K} estimates: at most {standard_errors(plain):.1f} standard errors off")
print(f"variance of one estimate, over the square of what it estimates: {spread(plain) / size:.0f}")
assert standard_errors(plain) < 4 and spread(plain) > 3 * size

# %% [markdown]
# Right on average, and nearly all noise. The rest of the craft is to lower the noise without moving the mean.
#
# ## 4. A baseline
#
# All verdicts lie between 0.4 and 0.9. So everything that G writes is pushed up, good sentences a little more than
# bad ones, and only the difference is information. Take a number b away from every reward. Does that change the mean?
#
# $$E[b\, \nabla \log p] = b \sum_x p(x) \frac{\nabla p(x)}{p(x)} = b\, \nabla \sum_x p(x) = b\, \nabla 1 = 0$$

# %%
constant = sum(P[k] * policy_gradient(theta, ALL[k : k + 1], np.full((1, T), 0.5)) for k in range(81))
print("E[1/2 grad log p], counted, is zero:", bool(np.abs(constant).max() < 1e-15))
assert np.abs(constant).max() < 1e-14

# %% [markdown]
# It does not, *if b does not depend on the word that it is taken from*. A good b is what G earns on average. It can
# be had for nothing from the same batch: for sentence n take the mean of the **others**,
#
# $$A_{n,t} = r_{n,t} - \frac{1}{N - 1} \sum_{m \neq n} r_{m,t}$$
#
# **Predict.** Many programs write `reward - reward.mean()`, which has r_n in its own baseline. What does that do?
#
# <details><summary>The answer</summary>
#
# r_n - mean is exactly (N-1)/N times A_n: with four sentences, a quarter of the gradient's mean is lost. (Under Adam,
# whose steps do not see the gradient's length, nobody will notice. Under a fixed learning rate it is a smaller one.)
#
# </details>


# %% exercise="15.leave_one_out"
def leave_one_out(reward):
    """Each reward of (N, T) less the mean of what the other sentences got at the same place, (N, T)."""
    ### BEGIN SOLUTION
    others = (reward.sum(axis=0) - reward) / (len(reward) - 1)  # (N, T)
    return reward - others
    ### END SOLUTION


# %% check="15.leave_one_out"
check("15.leave_one_out", leave_one_out).raise_if_wrong()

# %%
based = estimates(lambda k: leave_one_out(sentence_reward[k]))
print(f"with the others' mean: at most {standard_errors(based):.1f} standard errors off,", end=" ")
print(f"variance {spread(based) / spread(plain):.2f} of what it was")
assert standard_errors(based) < 4 and spread(based) < 0.2 * spread(plain)

others = estimates(lambda k: leave_one_out(sentence_reward[k]), N=4)
own = estimates(lambda k: sentence_reward[k] - sentence_reward[k].mean(axis=0), N=4)
ratio = (own.mean(axis=0) * EXACT).sum() / (others.mean(axis=0) * EXACT).sum()
print(f"four sentences, r - mean of all: {standard_errors(own):.0f} standard errors off, {ratio:.2f} of the gradient")
assert np.isclose(ratio, 3 / 4, rtol=1e-9) and standard_errors(others) < 4
assert FAST or standard_errors(own) > 8

# %% [markdown]
# The same mean with a tenth of the variance, for one line of code: to reach this without a baseline, each batch would
# have to be ten times as large. Yet SeqGAN's published code takes none.
#
# ## 5. Which word was it?
#
# In "0 1 1 2" the fault is the second 1. The sentence's verdict blames all four words alike. What is a single word
# worth? What comes of it on average, if G goes on as it does:
#
# $$Q_t(x_1 \ldots x_t) = E[R \mid x_1 \ldots x_t] \qquad
# V_t(x_1 \ldots x_{t-1}) = \sum_{x_t} p(x_t \mid x_{t-1})\, Q_t(x_1 \ldots x_t)$$
#
# Q is the worth of a beginning *with* its last word, V without it. Their difference says what the word changed.
# Given the beginning, R's mean is Q, so E[R ∇log p(x_t)] = E[Q_t ∇log p(x_t)]: Q may stand for R, and does not bias.
# (Where rewards come after each word and not only at the end, Q is the mean of what is still to come. That is the
# name **reward-to-go**: what came before a word, it cannot have caused.)

# %%
same = np.array([[(ALL[:, :t] == x[:t]).all(axis=1) for t in range(T + 1)] for x in ALL])  # (81, T + 1, 81)
mean_verdict = (same @ (P * VERDICT)) / (same @ P)  # (81, T + 1): E[R | first t words], by counting
Q, before_it = mean_verdict[:, 1:], mean_verdict[:, :-1]  # (81, T): Q_t and V_t
k = int(np.flatnonzero((ALL == [0, 1, 1, 2]).all(axis=1))[0])
print("words     ", "    ".join(map(str, ALL[k])))
print("Q        ", " ".join(f"{v:.2f}" for v in Q[k]))
print("Q - V    ", " ".join(f"{v:+.2f}" for v in Q[k] - before_it[k]))
assert (Q - before_it)[k].argmin() == 2, "the second 1 is to blame"
next_Q = [Q[(ALL[:, :3] == [0, 1, v]).all(axis=1)][0, 2] for v in range(V)]  # of the third word, after 0 1
assert np.isclose(softmax(theta[1]) @ next_Q, before_it[k, 2]), "V is the mean of Q over the next word"

# %% [markdown]
# Counting takes V^T sentences. With 6,000 characters and 20 places that is out of the question, but Q is a mean, and
# a mean can be sampled. A **rollout** takes the beginning x_1 ... x_t, lets G write the rest, and asks the judge
# about the whole; the mean verdict of a few rollouts stands for Q. Given the words, its noise has mean
# zero, so nothing is biased. D must see whole sentences in any case: it has never seen a half one.
#
# Write it. `finish(beginning, copies)` takes the words (t,) of a beginning and gives `copies` whole sentences
# (copies, T); `judge(sentences)` takes (M, T) and gives (M,). A beginning that is already whole comes back as it is.


# %% exercise="15.rollout_rewards"
def rollout_rewards(words, finish, judge, copies):
    """Q (N, T) of each word of G's sentences (N, T): the mean verdict on `copies` ends of what is there up to it."""
    ### BEGIN SOLUTION
    N, T = words.shape
    worth = np.zeros((N, T))
    for n in range(N):
        for t in range(T):
            worth[n, t] = judge(finish(words[n, : t + 1], copies)).mean()
    return worth
    ### END SOLUTION


# %% check="15.rollout_rewards"
check("15.rollout_rewards", rollout_rewards).raise_if_wrong()

# %%
random = np.random.default_rng(3)


def finish(beginning, copies):
    """The table's own ends, (copies, T): the Gumbel-max trick, word after word."""
    words = np.tile(np.append(0, beginning), (copies, 1))  # word 0 before the first
    while words.shape[1] < T + 1:
        noise = -np.log(random.exponential(size=(copies, V)))
        words = np.column_stack([words, (theta[words[:, -1]] + noise).argmax(axis=1)])
    return words[:, 1:]


def judge(sentences):
    return VERDICT[sentences @ V ** np.arange(T)[::-1]]  # a sentence's number, read in base V


copies = 300 if FAST else 3000
sampled = rollout_rewards(ALL[k : k + 1], finish, judge, copies)[0]
ends = [judge(finish(ALL[k, : t + 1], copies)).std() for t in range(T)]
print("Q sampled", " ".join(f"{v:.2f}" for v in sampled), "  counted", " ".join(f"{v:.2f}" for v in Q[k]))
assert (np.abs(sampled - Q[k]) <= 4 * np.array(ends) / np.sqrt(copies) + 1e-12).all()

# %% [markdown]
# Now all ways beside each other, with 16 sentences each. Q - V is the best of them, but V would need rollouts of its
# own; the mean of the others at the same place is nearly as good.

# %%
ways = {
    "the sentence's R": plain,
    "Q": estimates(lambda k: Q[k]),
    "R - others": based,
    "Q - others": estimates(lambda k: leave_one_out(Q[k])),
    "Q - V": estimates(lambda k: (Q - before_it)[k]),
}
figure, (left, right) = plt.subplots(1, 2, width_ratios=(1, 1.1))
for name, colour, mark, ring in (("the sentence's R", ORANGE, "x", 15), ("Q - others", BLUE, ".", 9)):
    cloud, mean = ways[name][:300, 0], ways[name].mean(axis=0)[0]  # the row of word 0
    left.plot(cloud[:, 0], cloud[:, 2], mark, color=colour, markersize=4, alpha=0.5, label=name)
    left.plot(mean[0], mean[2], "o", color="none", markeredgecolor="white", markersize=ring, markeredgewidth=4)
    left.plot(mean[0], mean[2], "o", color="none", markeredgecolor=colour, markersize=ring, markeredgewidth=2)
left.axvline(EXACT[0, 0], color=INK, linewidth=1, label="exact")
left.axhline(EXACT[0, 2], color=INK, linewidth=1)
left.set(xlabel="gradient on θ[0, 0]", ylabel="gradient on θ[0, 2]", xlim=(-0.36, 0.26), ylim=(-0.33, 0.66))
left.set_title("300 estimates each, and their means (rings)", loc="left", fontsize=10)
left.legend(loc="upper right", handletextpad=0.4, fontsize=9, borderaxespad=0.2)
heights = [spread(found) / size for found in ways.values()]
right.barh(list(ways)[::-1], heights[::-1], color=[BLUE, BLUE, BLUE, ORANGE, ORANGE], height=0.6)
for i, value in enumerate(heights[::-1]):
    right.text(value, i, f" {value:.2g}", va="center")
right.set(xlabel="variance / squared gradient", xlim=(0, 1.15 * max(heights)))
right.set_title("All have the same mean", loc="left", fontsize=10)
figure.tight_layout()

for name, found in ways.items():
    print(f"{name:<18}{standard_errors(found):.1f} standard errors off, variance {spread(found) / spread(plain):.3f}")
    assert standard_errors(found) < 4
assert spread(ways["Q - V"]) < spread(ways["Q - others"]) < 0.7 * spread(based) < 0.2 * spread(plain)

# %% [markdown]
# Look at the rings: both means sit where the lines of the exact gradient cross. And look at the bars. Rollouts alone
# gain next to nothing while the rewards are all positive; with the baseline they halve what is left.
#
# ## 6. The control: a reward that knows nothing
#
# Your prediction. Every reward is 1/2, and no baseline is taken. The mean gradient is zero (section 4). A step of
# ascent with rate η on the batch's estimate moves the logits by η/2 (shares of the words in the batch - p). How does
# that change G's **entropy** H = -Σ p log p, its undecidedness in nats? Where G is undecided, p = 1/V, H is at its
# top, flat, with second derivatives -(δ_ij - 1/V)/V. The variance of the move is (η/2)² (δ_ij - 1/V)/(V N). So
#
# $$E[\Delta H] \approx -\frac{(\eta / 2)^2 (V - 1)}{2 V^2 N}$$
#
# Negative. Chance alone makes G surer.

# %%
words_in_list, N, eta = 10, 8, 0.2
shares = np.random.default_rng(0).multinomial(N, np.full(words_in_list, 1 / words_in_list), size=20_000) / N
p = softmax(eta / 2 * (shares - 1 / words_in_list))
dH = (-(p * np.log(p)).sum(axis=1)).mean() - np.log(words_in_list)
by_formula = -((eta / 2) ** 2) * (words_in_list - 1) / (2 * words_in_list**2 * N)
print(f"one step from full undecidedness: {dH:.1e} nats; measured over the formula's: {dH / by_formula:.2f}")
assert abs(dH / by_formula - 1) < 0.06

# %% [markdown]
# And many steps? The move is largest where G is undecided, and dies where p is near 0 or 1: whoever has got there
# stays for long. Two hundred writers of one word out of ten, each with N = 1 and η = 1:

# %%
logits, walkers, walk = np.zeros((200, 10)), [], []
random = np.random.default_rng(1)
for _ in range(100 if FAST else 500):
    p = softmax(logits)
    walkers.append(-(p * np.log(p)).sum(axis=1))
    walk.append(p[2])
    w = (logits - np.log(random.exponential(size=p.shape))).argmax(axis=1)
    logits += 0.5 * (np.eye(10)[w] - p)

figure, (left, right) = plt.subplots(1, 2)
left.plot(np.array(walk), color="#BBBBBB", linewidth=1)
left.plot(np.array(walk)[:, p[2].argmax()], color=ORANGE)
left.set(xlabel="step", ylabel="p of each of ten words", ylim=(0, 1))
left.set_title("One writer, paid 1/2 for anything", loc="left")
low, high = np.quantile(walkers, (0.1, 0.9), axis=1)
right.fill_between(range(len(low)), low, high, color=ORANGE, alpha=0.2, linewidth=0, label="80 % of the writers")
right.plot(np.mean(walkers, axis=1), color=ORANGE, label="mean of 200")
right.axhline(np.log(10), color=BLUE, linestyle="--", label="with a baseline: 1/2 - 1/2 = 0")
right.set(xlabel="step", ylabel="entropy (nats)", ylim=(0, 3.8))
right.set_title("Chance makes sure", loc="left")
right.legend(loc="upper right")
figure.tight_layout()

end = np.mean(walkers[-1])
print(f"mean entropy at the end: {end:.1f} of {np.log(10):.1f} nats")
print("mean p of each word over the writers:", p.mean(axis=0).round(2))
assert end < (1.4 if FAST else 0.5) and np.abs(p.mean(axis=0) - 0.1).max() < 4 * p.std(axis=0).max() / np.sqrt(200)

# %% [markdown]
# No word is preferred: over all writers each still has its tenth. But nearly every writer has settled on one. So a
# run with a judge who knows nothing *changes G*, and it makes it surer, and many measures of text like a G that is
# sure of itself. **Whoever says that D taught G something must show what a constant reward does.** (With the baseline
# of section 4 a constant reward does nothing at all, which is one more reason to take it.)
#
# ## 7. One step of SeqGAN
#
# A language to learn: seven places, two nouns, each with a number, singular or plural. The words before a noun take
# its number. The verb takes that of the *first* noun, four words earlier:

# %%
LISTS = {  # singular, plural
    "the": ("a this", "two these"),
    "noun": ("dog cat bird", "dogs cats birds"),
    "verb": ("sleeps sings waits", "sleep sing wait"),
    "near": ("near behind with",) * 2,
    "now": ("here now again",) * 2,
}
PLACES = "the noun near the noun verb now".split()
OWNER = (0, 0, 0, 1, 1, 0, 0)  # whose number each place takes, the first noun's or the second's
WORDS = ["start", *dict.fromkeys(" ".join(" ".join(pair) for pair in LISTS.values()).split())]
IDS = {kind: np.array([[WORDS.index(w) for w in half.split()] for half in pair]) for kind, pair in LISTS.items()}
V, T = len(WORDS), len(PLACES)
POSSIBLE = (2 * 2 * 3) ** 2 * 3**3  # the, noun; twice; and three places with three words each


def real(random, n):
    """n sentences of the language, every one as likely as any other, (n, T)."""
    number = random.integers(0, 2, (n, 2))
    return np.stack(
        [IDS[k][number[:, o], random.integers(0, IDS[k].shape[1], n)] for k, o in zip(PLACES, OWNER)], axis=1
    )


def grammatical(words):
    """Is each sentence one of the language? (N,)"""
    fits = np.array([(words[:, t, None, None] == IDS[k]).any(axis=2) for t, k in enumerate(PLACES)])  # (T, N, 2)
    numbers = [[fits[t, :, pair[o]] for t, o in enumerate(OWNER)] for pair in itertools.product((0, 1), repeat=2)]
    return np.any(np.all(numbers, axis=1), axis=0)


def spelled(words):
    return " ".join(WORDS[i] for i in words)


text = np.random.default_rng(0)
sample = real(text, 2000)
print("real:     ", spelled(sample[0]), "|", spelled(sample[1]))
shuffled = text.permuted(sample, axis=1)
print("shuffled: ", spelled(shuffled[0]))
print(f"{V} words, {POSSIBLE:,} sentences; grammatical: real {grammatical(sample).mean():.0%}, ", end="")
print(f"shuffled {grammatical(shuffled).mean():.1%}")
wrong = sample[grammatical(sample)].copy()
wrong[:, 5] = np.where(np.isin(wrong[:, 5], IDS["verb"][0]), IDS["verb"][1, 0], IDS["verb"][0, 0])  # the other number
assert grammatical(sample).all() and not grammatical(wrong).any()

# %% [markdown]
# G is the library's `Writer`, an LSTM; D its `Reader`, which slides small filters over the words (of width 2, 3 and
# 5; the last sees noun and verb at once). One step, by hand and with what you wrote: G writes; each word gets its Q
# by rollouts; the others' mean is taken off; and the words are made as much more probable as they were better than
# that. With h (N, T, H) the LSTM's output and A the advantage,
#
# $$L = -\frac{1}{N T} \sum_{n,t} A_{n,t} \log p(x_{n,t}) \qquad
# \frac{\partial L}{\partial s_{n,t}} = \frac{A_{n,t}}{N T} (p_{n,t} - \text{one-hot}(x_{n,t}))$$
#
# (The library divides by T as well, so that L is the loss of a word.)

# %%
random = rng(0)
G, D = Writer(V, 8, 4, rng=random), Reader(V, 16, {2: 20, 3: 20, 5: 40}, rng=random)
G, judge = G.astype(np.float64), probability_real(D)
words = G.write(random, 6, T)  # (N, T): G writes
copies = 100 if FAST else 400
ends_of = lambda beginning, copies: G.write(random, copies, T, np.tile(beginning, (copies, 1)))
Q = rollout_rewards(words, ends_of, judge, copies)  # (N, T)
A = leave_one_out(Q)

h, cache = G.hidden(words)  # forward: embedding and LSTM
weights = G.out.params
logits = h @ weights["W"] + weights["b"]  # (N, T, V)
dlogits = A[..., None] / words.size * (softmax(logits) - np.eye(V)[words])  # the formula
G.zero_grad()
G.out.grads["W"] += np.einsum("nth,ntv->hv", h, dlogits)
G.out.grads["b"] += dlogits.sum(axis=(0, 1))
G.hidden_backward(dlogits @ weights["W"].T, cache)  # backward through time, lesson 14
by_hand = G.grad.copy()

write_step(G, Still(), words, Q, baseline=True)  # the library's, with an optimizer that does not move
print("by hand = the library's write_step, all", G.grad.size, "numbers:", np.allclose(by_hand, G.grad, rtol=1e-9))
theirs = rewards(G, judge, random, words, copies)
noise = judge(G.write(random, 2000, T)).std() * np.sqrt(2 / copies)
print("your rollouts = the library's, up to their noise:", bool(np.abs(Q - theirs).max() < 5 * noise))
assert np.allclose(by_hand, G.grad, rtol=1e-9, atol=1e-14) and np.abs(by_hand).max() > 1e-6
assert np.abs(Q - theirs).max() < 5 * noise

# %% [markdown]
# The library's `rewards` does all copies of the batch at once, and starts each rollout from the LSTM's state at t
# instead of reading the beginning again: T calls in place of N T.
#
# ## 8. A game, and its controls
#
# As in the paper: first maximum likelihood, then D alone, then the game, where after each step of G D reads a batch.
# Maximum likelihood is *stopped early* here, when half of G's sentences are right. From there five ways part:
#
# - **SeqGAN**: 160 rounds, D's verdicts by rollouts, less the others' mean;
# - **D stands still**: the same, but D learns nothing after the game has begun;
# - **constant**: 160 rounds with the same optimizer, and every reward is 1/2;
# - **more likelihood**: 160 more steps of maximum likelihood, at the same learning rate;
# - **cooler**: no training at all; G's logits are divided by 0.8 when it writes.
#
# Measured on 2,000 sentences: the share that is grammatical; how many *different* grammatical ones there are, also as
# a share of 2,000; and distinct-3, the share of different runs of three words in 200 sentences. Each has its floor
# or ceiling. A perfect writer repeats itself by chance: of n = 2,000 draws from m = 3,888 sentences, the share
#
# $$\frac{m}{n} \left(1 - \left(1 - \frac{1}{m}\right)^n\right)$$
#
# are different ones.


# %%
def measures(words):
    """Of 2,000 sentences: grammatical, different grammatical ones, distinct-3 of the first 200."""
    good = grammatical(words)
    return good.mean(), len(np.unique(words[good], axis=0)) / len(words), distinct(words[:200], 3)


FLOORS = {"real": measures(sample), "real, words shuffled": measures(shuffled)}
m, n = POSSIBLE, 2000
ceiling = m / n * (1 - (1 - 1 / m) ** n)
print(f"different ones of a perfect writer: {ceiling:.3f} by the formula, {FLOORS['real'][1]:.3f} measured")
assert abs(FLOORS["real"][1] - ceiling) < 0.02

# %%
SEEDS, LEVEL, ROUNDS, BATCH = ((0,), 0.02, 8, 64) if FAST else ((0, 1, 2), 0.5, 160, 128)
WAYS = ("SeqGAN", "D stands still", "constant", "more likelihood")


def taught(seed):
    """A G of ten hidden units, after maximum likelihood until a share LEVEL of its sentences is grammatical."""
    text, G = np.random.default_rng(seed), Writer(V, 8, 10, rng=rng(seed))
    optimizer = Adam(G, 1e-2, 0.9, clip=5.0)
    while grammatical(G.write(rng(9), 1000, T)).mean() < LEVEL:
        for _ in range(10):
            G.zero_grad()
            G.learn(real(text, BATCH))
            optimizer.step()
    return G


def played(G, way, seed):
    """What is measured after 0, 1/8, ..., 8/8 of the rounds, (9, 3)."""
    G, random, text = G.copy(), rng((seed, 1)), np.random.default_rng((seed, 2))
    D = Reader(V, 16, {2: 20, 3: 20, 5: 40}, rng=random)
    g_optimizer, d_optimizer = Adam(G, 3e-3, 0.9, clip=5.0), Adam(D, 1e-3, 0.9)

    def read():
        read_step(D, d_optimizer, losses.non_saturating, real(text, BATCH), G.write(random, BATCH, T))

    with_D = way in ("SeqGAN", "D stands still")
    for _ in range(min(150, ROUNDS) if with_D else 0):  # D alone
        read()
    seen = [measures(G.write(rng(9), 2000, T))]
    for step in range(1, ROUNDS + 1):
        words = G.write(random, BATCH, T)
        if with_D:
            write_step(G, g_optimizer, words, rewards(G, probability_real(D), random, words, copies=2), baseline=True)
            if way == "SeqGAN":
                read()
        elif way == "constant":
            write_step(G, g_optimizer, words, np.full(words.shape, 0.5, dtype="float32"))
        else:
            G.zero_grad()
            G.learn(real(text, BATCH))
            g_optimizer.step()
        if step % (ROUNDS // 8) == 0:
            seen.append(measures(G.write(rng(9), 2000, T)))
    return seen


begun = [taught(seed) for seed in SEEDS]
curves = {way: np.array([played(G, way, seed) for seed, G in zip(SEEDS, begun)]) for way in WAYS}  # (seeds, 9, 3)
table = {"maximum likelihood": curves["constant"][:, 0], **{way: curves[way][:, -1] for way in WAYS}}
table["cooler: logits / 0.8"] = np.array([measures(G.write(rng(9), 2000, T, temperature=0.8)) for G in begun])
print(f"{'mean over ' + str(len(SEEDS)) + ' seeds':<24}grammatical  different ones  distinct-3")
for name, row in [*((name, found.mean(axis=0)) for name, found in table.items()), *FLOORS.items()]:
    print(f"{name:<24}{row[0]:>11.2f}{row[1]:>16.2f}{row[2]:>12.2f}")

# %%
LOOKS = {  # colour, marker, label
    "SeqGAN": (BLUE, "o", "SeqGAN"),
    "D stands still": ("#56B4E9", "s", "the same, D stands still"),
    "more likelihood": (INK, "^", "more maximum likelihood"),
    "constant": (ORANGE, "x", "control: reward 1/2"),
}
figure, (left, right) = plt.subplots(1, 2, sharex=True, sharey=True)
where = np.linspace(0, ROUNDS, 9)
for way, (colour, mark, label) in LOOKS.items():
    for axes, which in ((left, 0), (right, 1)):
        axes.plot(where, curves[way][:, :, which].T, color=colour, linewidth=0.7, alpha=0.5)
        axes.plot(where, curves[way][:, :, which].mean(axis=0), mark + "-", color=colour, label=label, markersize=5)
right.axhline(ceiling, color=INK, linewidth=0.8, linestyle=":")
right.text(0, ceiling + 0.01, "a perfect writer", ha="left", va="bottom", fontsize=9)
left.axhline(FLOORS["real, words shuffled"][0], color=INK, linewidth=0.8, linestyle=":")
left.text(ROUNDS, 0.02, "real words, shuffled", ha="right", va="bottom", fontsize=9)
left.set(xlabel="round", ylabel="share of grammatical sentences", ylim=(-0.05, 1.05), yticks=np.linspace(0, 1, 6))
right.set(xlabel="round", ylabel="different grammatical ones / 2,000")
left.set_title("D's verdicts teach, 1/2 does not", loc="left")
right.set_title("and a D that stands still is fooled", loc="left")
figure.legend(*left.get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=9, columnspacing=1)
figure.tight_layout(rect=(0, 0.07, 1, 1))

gains = {way: found[:, -1] - found[:, 0] for way, found in curves.items()}  # (seeds, 3) each
for way, found in gains.items():
    print(f"{way:<16} gained on each seed: grammatical {' '.join(f'{v:+.2f}' for v in found[:, 0])}", end="")
    print(f"   different ones {' '.join(f'{v:+.2f}' for v in found[:, 1])}")
if not FAST:
    gain, still, control, longer = (gains[way] for way in WAYS)
    assert (gain[:, 0] > 0.06).all() and gain[:, 1].mean() > 0, "the game makes every G better, and more varied"
    assert (gain[:, 0] > control[:, 0] + 0.12).all(), "and the control does not"
    assert np.abs(control[:, 0]).max() > 0.05, "though it moves G"
    assert still[:, 0].mean() > gain[:, 0].mean() and still[:, 1].max() < -0.2, "a D that stands still is fooled"
    assert longer[:, 0].mean() > gain[:, 0].mean() - 0.03, "and more maximum likelihood does as well as the game"

# %% [markdown]
# What may be said? D's verdicts, numbers without a slope, taught G grammar: on every seed it gained what the control
# did not. Here a constant reward does harm, as there are many more ways to break a sentence than to mend it.
#
# Look at the light blue squares. Where D stands still, grammar rises faster: nine sentences in ten are right. But
# they are the same hundred or so, over and over. G has found what this D likes best, and D never learns that it has
# been had. Whoever measures grammar alone calls it the best way. That is why D must go on reading, and why each
# measure of quality needs one of variety beside it.
#
# And what not? That SeqGAN is the better method. The same 160 steps of maximum likelihood gain no less, at a small
# part of the cost, because G had been stopped early. (Cooling it gains something too, for nothing.) The game's
# place is where maximum likelihood has come to its end and G is too small for the language, so that it must choose
# what to leave out. On the synthetic benchmark of SeqGAN's paper, made small, minigan's README has the game 0.14 nats
# below the plateau of maximum likelihood, and the control 0.06 above.
#
# Distinct-3 alone would be a bad judge: shuffled words have the most. It needs the number for real text beside it.
#
# ## 9. Poems
#
# The package ships a SeqGAN that learned from 14,774 Chinese quatrains: 20 characters each, out of a list of 6,072.
# Four that it writes, as they come:

# %%
it = load("seqgan")
poems = it.G.write(rng(0), 4, 20)
print("\n\n".join(as_lines(it.vocabulary.decode(poem)) for poem in poems))
assert poems.shape == (4, 20) and len(it.vocabulary) == 6073

# %% [markdown]
# BLEU-2 asks which share of a poem's characters and pairs occur in held-out poems. **Predict.** The same G writes
# again, cooler (logits / 0.8). What do BLEU-2 and the share of different pairs do?
#
# <details><summary>The answer</summary>
#
# BLEU-2 rises, above that of real poems; the share of different pairs falls. Nothing was learned in between.
#
# </details>

# %%
test, train = load_quatrains("test")[0], load_quatrains("train")[0]
many = 100 if FAST else 500
rows = {
    "poems of the training set": train[np.random.default_rng(1).permutation(len(train))[:many]],
    "SeqGAN": it.G.write(rng(1), many, 20),
    "SeqGAN, cooler: / 0.8": it.G.write(rng(1), many, 20, temperature=0.8),
    "held-out, shuffled": np.random.default_rng(0).permuted(test[:many], axis=1),
}
scores = {name: (bleu(words, test, n=2)[2], distinct(words, 2)) for name, words in rows.items()}
print(f"{many} poems each             BLEU-2  different pairs")
for name, (score, share) in scores.items():
    print(f"{name:<27}{score:.2f}{share:>14.2f}")
assert scores["SeqGAN, cooler: / 0.8"][0] > scores["poems of the training set"][0] + 0.02
assert scores["SeqGAN, cooler: / 0.8"][1] < scores["SeqGAN"][1] < scores["poems of the training set"][1]
assert scores["held-out, shuffled"][0] < scores["SeqGAN"][0] - 0.05

# %% [markdown]
# Real poems do not have the highest BLEU; being sure of oneself has. The README's table (2,000 poems each) says what
# that means for the game. Maximum likelihood alone: 0.445. After 30 rounds of SeqGAN: 0.485. After 30 rounds with a
# constant reward: **0.490**. So on the quatrains the game's gain in BLEU is no sign that D taught G anything: all
# rewards are positive, no baseline is taken, and section 6 does the rest. The paper reports a gain of this kind,
# 0.667 to 0.739 on a split of its own, and no such control.
#
# ## 10. Another way: let the choice have a slope
#
# **Gumbel-softmax** replaces argmax(s + g) by y = softmax((s + g)/τ), which has a slope; for τ to 0 it becomes the
# choice. **Straight-through** shows D the chosen word, and on the way back pretends that it had been y:
#
# $$\widehat{\frac{\partial f}{\partial s}} = J^T \frac{\partial f}{\partial y} \qquad
# J_{ij} = \frac{y_i (\delta_{ij} - y_j)}{\tau}$$
#
# D's slope by y is taken at the one-hot word. Let f(y) = σ(y·a), which on words is section 1's f, and measure both.

# %%
p = softmax(s)
w_hot = np.eye(5)[chosen]  # (M, V): section 1's words
df = (f * (1 - f))[chosen][:, None] * a  # (M, V): D's slope at them, which REINFORCE never asks for


def told(name, found):
    """Of the mean: how far it is from the exact gradient, and the cosine with it; of one estimate: the spread."""
    length, mean = np.linalg.norm(exact), found.mean(axis=0)
    bias, noise = np.linalg.norm(mean - exact) / length, np.sqrt(found.var(axis=0).sum()) / length
    cosine = mean @ exact / (np.linalg.norm(mean) * length)
    print(f"{name:<27}bias {bias:.2f}, cosine {cosine:.2f}   spread of a single estimate {noise:.2f}")
    return bias, cosine, noise


reinforce = told("REINFORCE, baseline E[f]", (f[chosen] - p @ f)[:, None] * (w_hot - p))
for tau in (1.0, 0.3):
    y = softmax((s + g) / tau)
    through = told(f"straight-through, τ = {tau}", y * (df - (y * df).sum(axis=1, keepdims=True)) / tau)
    assert 0.2 < through[0] < 0.7 and through[1] > 0.95 and (tau < 1 or 0.1 < through[2] < 0.4 * reinforce[2])
assert reinforce[0] < 4 * reinforce[2] / np.sqrt(M)

# %% [markdown]
# A quarter of the noise, and wrong by half of the gradient's length (though nearly in its direction), and no number
# of samples mends that. A low τ trades the one against the other. It needs D's slope, so a rule or a reader's opinion
# cannot be the judge. `minigan.models.gumbel.soft_write_step` does it for whole sentences.
#
# ## 11. How the library does it

# %%
for function in (rewards, write_step, WritingTraining.advance):
    print(inspect.getsource(function))

# %% [markdown]
# `write_step` is your `leave_one_out` and your `policy_gradient`, for an LSTM; `rewards` is your `rollout_rewards`;
# and `advance` is one step of `minigan train seqgan`. In its third part stands the control, `constant`.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `rollout_rewards`, use `words[n, :t]`. Which mean do you now take for Q, and what is left of the gradient?
# 2. In section 5, let the rule punish only the *last* two words. Whose Q - V is then not zero?
# 3. In section 8, take `LEVEL = 0.9`. What does the game add now, and what does it cost?
# 4. In section 8, add a way: SeqGAN's rewards, but handed to the wrong sentences (`reward[::-1]`). It has the
#    same sizes, the same baseline, and knows nothing. Is it the better control?
# 5. In section 6, take a learning rate a tenth as large and ten times as many steps. Does the walk end elsewhere?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("15.policy_gradient", policy_gradient)
assert check("15.leave_one_out", leave_one_out)
assert check("15.rollout_rewards", rollout_rewards)
print("A gradient through a choice: unbiased by counting, calmed by a baseline, and held against a control.")

# %% [markdown]
# ## What to read next
#
# - R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning",
#   *Machine Learning* 8, 1992: REINFORCE, and why a baseline does not bias.
# - L. Yu, W. Zhang, J. Wang and Y. Yu, "SeqGAN: sequence generative adversarial nets with policy gradient", *AAAI*,
#   2017: section 7 is its algorithm 1.
# - M. Caccia and others, "Language GANs falling short", *International Conference on Learning Representations*, 2020:
#   maximum likelihood and a temperature against GANs for text.
# - E. Jang, S. Gu and B. Poole, "Categorical reparameterization with Gumbel-softmax", *International Conference on
#   Learning Representations*, 2017.
# - S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, "Monte Carlo gradient estimation in machine learning", *Journal of
#   Machine Learning Research* 21(132), 2020: all the ways to differentiate a mean.
