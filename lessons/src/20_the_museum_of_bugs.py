# %% [markdown]
# # 20. Bugs found in the wild
#
# You have written every gradient of a GAN by hand, and checked it. Other people have, too, and some of their code has
# bugs: in libraries, in course pages, in tutorials. This lesson is a museum of such bugs. Each stands there with its
# mend and with the check that tells the two apart. Nobody is laughed at here. The code was written for others to
# learn from, and most of these bugs were found by its readers. All of them could have happened to us, and some did.
#
# **You need** lessons 01 to 05 and 08; 11, 12 and 15 for single exhibits. **Time** about 50 minutes. **You will
# write** two checks and a mend: a judge for layers, a judge for steps, and a divergence that is one. **After it** you
# do not ask of a GAN that fails "which learning rate?" but "which check has it not passed?"

# %%
import inspect
import math
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan.data import toy
from minigan.data.digits import load_digits, scale
from minigan.dynamics import DiracGAN, eigenvalues
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, ReLU, he
from minigan.layers.activations import sigmoid, softplus
from minigan.losses import minimax, non_saturating, wasserstein
from minigan.metrics.modes import energy_distance
from minigan.metrics.neighbours import memorisation
from minigan.museum import EXHIBITS, Exhibit, backward, catalogue, examine, exhibit_named, g_steps, penalties, rounds
from minigan.museum.exhibit import d_gradient, noticed, numeric
from minigan.network import Sequential
from minigan.optim import SGD, Adam
from minigan.penalty import r1
from minigan.shipped import load

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training and fewer draws, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# The museum has 34 exhibits: wrong signs, forgotten factors, mixed-up labels, sizes that do not fit. Take each as a
# program would use it. Call it **loud** if the program stops with an exception or prints NaN or infinity, and
# **silent** if it runs to its end on finite numbers. How many of the 34 are loud?
#
# Write your number down. Then unfold.
#
# <details><summary>The answer</summary>
#
# Four. Thirty are silent. Section 9 runs them all and counts.
#
# </details>

# %% [markdown]
# ## 1. Four loss curves
#
# The ring of lesson 05, and four GANs of the same size, the same seed and the same optimizer. One of them is healthy.
# The other three have a bug each, which stays in the code from the first round to the last.


# %%
def new_players(seed):
    kind = {"rng": np.random.default_rng(seed), "init": he}
    G = Sequential(Dense(2, 64, **kind), ReLU(), Dense(64, 64, **kind), ReLU(), Dense(64, 2, **kind))
    D = Sequential(Dense(2, 64, **kind), LeakyReLU(0.2), Dense(64, 64, **kind), LeakyReLU(0.2), Dense(64, 1, **kind))
    return G, D


def d_step_then(g_step):
    """A round: D's step, which is right, and then this step of G."""

    def play(G, D, G_optimizer, D_optimizer, x_real, z):
        D.zero_grad()
        value, _ = d_gradient(D, x_real, G(z))
        D_optimizer.step()
        return value, g_step(G, D, G_optimizer, z)

    return play


ring = toy.ring(8, radius=1.0, sd=0.1)
plays = {
    "A": rounds.round_without_detach,
    "B": d_step_then(g_steps.flush_then_backward),
    "C": d_step_then(g_steps.helps_to_be_found_out),
    "D": rounds.round_with_detach,
}
curves, drawn = {}, {}
for name, play in plays.items():
    G, D = new_players(1)
    optimizers, rng, values = (Adam(G, 1e-3), Adam(D, 1e-3)), np.random.default_rng(101), []
    for _ in range(600 if FAST else 1500):
        x_real = ring.sample(256, rng).astype(np.float32)
        values.append(play(G, D, *optimizers, x_real, rng.standard_normal((256, 2)).astype(np.float32)))
    curves[name] = np.array(values)  # (rounds, 2): D's loss and G's
    drawn[name] = G(np.random.default_rng(5).standard_normal((1000, 2)).astype(np.float32))

figure, axes = plt.subplots(1, 4, figsize=(10, 2.6))
for axis, (name, values) in zip(axes, curves.items()):
    axis.plot(values[:, 0], color=BLUE, linewidth=0.9, label="D's loss")
    axis.plot(values[:, 1], color=ORANGE, linewidth=0.9, linestyle="--", label="G's loss")
    axis.axhline(math.log(4), color=INK, linewidth=0.7, linestyle=":")
    axis.set(title=f"GAN {name}", xlabel="round", ylim=(-0.1, 4))
axes[0].set_ylabel("nats")
axes[0].text(len(values), math.log(4) + 0.08, "log 4", fontsize=9, ha="right")
axes[0].legend(loc="upper right", fontsize=9)
figure.suptitle("Which of them is healthy?", x=0.01, ha="left")
figure.tight_layout()
finite = all(np.isfinite(values).all() for values in curves.values())
print("all four ran to the end, on finite numbers:", finite)
assert finite

# %% [markdown]
# **Predict.** Which one is healthy? And what is wrong with the other three?
#
# <details><summary>The answer</summary>
#
# D. Its losses lie near log 4 = 1.39 and log 2 = 0.69, where lesson 03 puts the end of the game. A is nearly as calm:
# its fakes are not detached in D's step, so D's gradient is added to G's own. In B the caches are emptied before G's
# backward, and G has never moved. C has the loveliest curves of all. Its G learns to be found out, and so both losses
# fall to 0.
#
# </details>
#
# The samples tell. Under each stands the energy distance to fresh data (lesson 10), 0 for a perfect generator.

# %%
fresh = ring.sample(1000, np.random.default_rng(6))
distance = {name: energy_distance(points, fresh) for name, points in drawn.items()}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9))
for axis, (name, points) in zip(axes, drawn.items()):
    axis.plot(*fresh[:300].T, "o", color=BLUE, markersize=2, label="real")
    axis.plot(*points[:300].T, "x", color=ORANGE, markersize=3, label="fake")
    axis.set(title=f"GAN {name}", aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
    axis.set_xlabel(f"distance {'above 10' if distance[name] > 10 else f'{distance[name]:.2f}'}")
    if (np.abs(points).max(axis=1) > 2).all():
        axis.text(0, 0, "all fakes\nlie\noutside", ha="center", va="center", fontsize=9)
axes[0].legend(loc="upper right", fontsize=8, handletextpad=0.1, borderaxespad=0.1)
figure.suptitle("The losses did not say so", x=0.01, ha="left")
figure.tight_layout()
for name in "ABC":
    assert distance[name] > 2 * distance["D"], name
print("each of A, B and C is more than twice as far from the data as D")

# %% [markdown]
# ## 2. What an exhibit is
#
# A record, with the bug, its mend, the check, and a `use` that does what a program does with either:

# %%
for thing in (Exhibit, examine, noticed):
    print(inspect.getsource(thing))


def show(name):
    """The bug alone: look at it, and predict."""
    print(inspect.getsource(exhibit_named(name).bug))


def visit(name):
    """What a program notices of the bug, what the check says of it, the mend, and what the check says of that."""
    found = examine(exhibit_named(name))
    print("A program with the bug:", found.bug_raises or "runs to its end, on finite numbers.")
    print("The check:", found.bug_says, "\n")
    print(inspect.getsource(found.exhibit.mend))
    print("The check:", found.mend_says or "passes.")
    assert found.behaves


# %% [markdown]
# ## 3. A loud one, and a loss of 0
#
# A transposed convolution of stride 2 doubles the sides (lesson 07). After k of them,
#
# $$n_{out} = 2^k \, n_{in}$$
#
# **Predict** of the next bug: `doubled(start=7, times=3)` is G, `judge_of_64` takes images of 64 x 64. Silent or
# loud? When could it be noticed at the earliest?

# %%
show("fifty-six-for-sixty-four")
for start in (7, 8):
    print(f"{start} x {start} becomes {2**3 * start} x {2**3 * start}")
assert 2**3 * 8 == 64 != 2**3 * 7

# %%
visit("fifty-six-for-sixty-four")

# %% [markdown]
# Loud, and that is a kindness. The program stops in its first step. The shape contract knows it earlier, when G and D
# are put together and no number has been computed.
#
# Now a discriminator with one logit s, and softmax cross-entropy. Over one logit,
#
# $$\text{softmax}(s) = \frac{e^s}{e^s} = 1 \qquad L = -\log 1 = 0 \qquad \frac{\partial L}{\partial s} = 1 - 1 = 0$$
#
# **Predict**: what do the curves of such a GAN look like?

# %%
s = np.array([[-3.0], [0.5], [9.0]])  # (3, 1): three samples, one logit each
p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
value, ds = exhibit_named("softmax-of-one-logit").bug(s, np.ones((3, 1)))
print("p:", p.ravel(), "  loss:", abs(value), "  gradient:", np.abs(ds).ravel())
assert (p == 1).all() and value == 0 and (ds == 0).all()
visit("softmax-of-one-logit")

# %% [markdown]
# Both losses are 0 from the first step on. It looks like success, and no weight has moved. A loss that cannot be
# wrong is one; its check asks for the least that a loss must do, to be another number at another logit.
#
# ## 4. Backward passes
#
# You know the first one from lesson 01: softmax that goes back by its diagonal alone. It has trained networks for
# years, since it never came without an elementwise cross-entropy, L = -Σ t log p + (1 - t) log(1 - p):
#
# $$\frac{\partial L}{\partial s_i} = \underbrace{p_i (1 - p_i)}_{\text{the diagonal}} \cdot
# \underbrace{\frac{p_i - t_i}{p_i (1 - p_i)}}_{\partial L / \partial p_i} = p_i - t_i$$
#
# Two wrongs cancel, to the gradient of softmax with the cross-entropy that belongs to it, -Σ t log p. **Predict**:
# which check sees it, one of the network or one of the layer?

# %%
show("diagonal-softmax")
s, t = np.random.default_rng(0).standard_normal((5, 4)), np.eye(4)[[0, 1, 2, 3, 1]]  # (N, C) each
p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
both_wrong = backward.DiagonalSoftmax().backward((p - t) / (p * (1 - p)), p)
joint = numeric(lambda s: -(t * (s - np.log(np.exp(s).sum(axis=1, keepdims=True)))).sum(), s)
print("two wrongs give p - t, the right gradient:", np.allclose(both_wrong, p - t), np.allclose(joint, p - t))
assert np.allclose(both_wrong, p - t, atol=1e-12) and np.allclose(joint, p - t, atol=1e-8)
visit("diagonal-softmax")

# %% [markdown]
# So check layers, each alone. Another layer, Dense, and a D that sees real and fake before any backward:
#
# $$dW = x_{real}^T \, dy_{real} + x_{fake}^T \, dy_{fake}$$
#
# **Predict**: this layer passes every gradient check with one batch. What is its dW in D's step?

# %%
show("one-slot-cache")
rng = np.random.default_rng(2)
x_real, x_fake, dy_real, dy_fake = rng.standard_normal((4, 8, 3))  # (N, 3) each; the layer is Dense(3, 3)
layer = backward.OneSlotDense(3, 3, rng=rng).astype(np.float64)
caches = [layer.forward(x)[1] for x in (x_real, x_fake)]
for dy, cache in zip((dy_real, dy_fake), caches):
    layer.backward(dy, cache)
right = x_real.T @ dy_real + x_fake.T @ dy_fake
print("its dW is x_fake^T (dy_real + dy_fake):", np.allclose(layer.grads["W"], x_fake.T @ (dy_real + dy_fake)))
assert np.allclose(layer.grads["W"], x_fake.T @ (dy_real + dy_fake), rtol=1e-12)
assert not np.allclose(layer.grads["W"], right)
visit("one-slot-cache")

# %% [markdown]
# The third one knows two modes. In inference batch norm's mean m and deviation d are constants (lesson 08), so
# y = γ (x - m) / d + β is a straight line, and
#
# $$dx = \frac{\gamma}{d} \, dy$$
#
# This layer goes back as in training, always. D is often put into inference form while G learns through it.

# %%
show("half-frozen-batch-norm")
norm = backward.HalfFrozenNorm(3).astype(np.float64)
for part in (x_real, x_fake):
    norm.forward(part)  # the running statistics have seen something
dx = norm.backward(dy_real, norm.forward(x_real, train=False)[1])
line = norm.params["gamma"] / np.sqrt(norm.statistics["var"] + norm.eps) * dy_real
numbers = numeric(lambda x: (norm.forward(x, train=False)[0] * dy_real).sum(), x_real)
print(
    "the straight line's gradient is right:", np.allclose(line, numbers), "  the layer's:", np.allclose(dx, numbers)
)
assert np.allclose(line, numbers, atol=1e-8) and not np.allclose(dx, numbers, atol=0.01)
visit("half-frozen-batch-norm")

# %% [markdown]
# ### Your first check
#
# Write the judge that none of these escapes. Each of `layers` has `forward(x, train)`, which returns y and a cache,
# and `backward(dy, cache)`, which returns dx. Among them are one with one slot, one half frozen, one that is twice
# too large where lesson 01's lazy check cannot see it, and some right ones; their order is your own.
#
# For each layer, and for both modes: run both batches forward, `x1` and `x2` (N, M), *then* both backwards, with
# random dy (`rng.standard_normal`). Compare each dx with `numeric(f, x)`, the gradient of a function f at x: right
# means that no entry differs by 1e-5 or more.


# %% exercise="20.layer_verdicts"
def layer_verdicts(layers, x1, x2, rng):
    """For each layer: is its dx right in both modes, with two batches in flight? A list of True and False."""
    ### BEGIN SOLUTION
    dys = [rng.standard_normal(x.shape) for x in (x1, x2)]
    verdicts = []
    for layer in layers:
        right = True
        for train in (True, False):
            caches = [layer.forward(x, train)[1] for x in (x1, x2)]
            dxs = [layer.backward(dy, cache) for dy, cache in zip(dys, caches)]
            for x, dy, dx in zip((x1, x2), dys, dxs):
                true = numeric(lambda v, f=layer.forward, mode=train, dy=dy: (f(v, mode)[0] * dy).sum(), x)
                right = right and bool(np.abs(dx - true).max() < 1e-5)
        verdicts.append(right)
    return verdicts
    ### END SOLUTION


# %% check="20.layer_verdicts"
check("20.layer_verdicts", layer_verdicts).raise_if_wrong()

# %% [markdown]
# Now hand it the museum's own. **Predict** the five verdicts; one of them is a surprise.

# %%
kinds = (backward.DiagonalSoftmax, backward.FullSoftmax, backward.HalfFrozenNorm, backward.ModalNorm)
patients = [kind() if "Softmax" in kind.__name__ else kind(4).astype(np.float64) for kind in kinds]
patients.append(backward.OneSlotDense(4, 4, rng=np.random.default_rng(0)).astype(np.float64))
some_x = np.random.default_rng(3).standard_normal((2, 6, 4))
verdicts = layer_verdicts(patients, *some_x, np.random.default_rng(4))
for patient, right in zip(patients, verdicts):
    print(f"{type(patient).__name__:<16}{'right' if right else 'wrong'}")
assert verdicts == [False, True, False, True, True]

# %% [markdown]
# OneSlotDense passes! Your judge looks at dx, and dx = dy W^T does not need x. The fault is in dW. A check sees what
# it looks at; `gradcheck.check_layer` looks at every parameter, too.
#
# ## 5. The game
#
# A tutorial adds both losses and gives the sum to one optimizer. Look at a fake with the logit b. D's part is
# -log(1 - σ(b)), G's part is -log σ(b), and the slope of their sum is
#
# $$\sigma(b) - \sigma(-b) = \tanh \frac{b}{2}$$
#
# Downhill is towards b = 0 from both sides. The two are a team, which agrees that D shall say 1/2. (Lesson 04: a team
# has a symmetric Jacobian and real eigenvalues. It cannot spin, and it is no game.)

# %%
b = np.linspace(-4, 4, 9)
slopes = numeric(lambda b: (softplus(b) + softplus(-b)).sum(), b)
print("at b = -4 to 4:", np.round(slopes, 2) + 0.0)
assert np.allclose(slopes, sigmoid(b) - sigmoid(-b), atol=1e-8) and np.allclose(slopes, np.tanh(b / 2), atol=1e-8)
visit("one-optimizer-for-the-sum")

# %% [markdown]
# Two more of the kind. The first hands G the gradient on D's *output*; the second was given no list of variables.
# **Predict** a check for each before you run the cell after.

# %%
show("around-the-critic")
show("d-step-moves-g")

# %%
visit("around-the-critic")
print("-" * 60)
visit("d-step-moves-g")

# %% [markdown]
# ### Your second check
#
# Each of `steps` is a function step(G, D, x_real, z) that claims to be D's step. It changes the two networks in
# place. A right one moves D, and leaves *every* weight of G as it was, bit for bit. Some move G, some so little that
# one may overlook it, some move nothing. Judge each from where the players stand now: `G.copy()` is a network of its
# own, and `G.theta` is the vector of its weights.


# %% exercise="20.step_verdicts"
def step_verdicts(steps, G, D, x_real, z):
    """For each step: does it move D, and leave every weight of G as it was? A list of True and False."""
    ### BEGIN SOLUTION
    verdicts = []
    for step in steps:
        its_G, its_D = G.copy(), D.copy()
        step(its_G, its_D, x_real, z)
        still, moved = np.array_equal(its_G.theta, G.theta), not np.array_equal(its_D.theta, D.theta)
        verdicts.append(still and moved)
    return verdicts
    ### END SOLUTION


# %% check="20.step_verdicts"
check("20.step_verdicts", step_verdicts).raise_if_wrong()

# %%
G, D = (player.astype(np.float64) for player in new_players(0))
x_real, z = ring.sample(16, np.random.default_rng(7)), np.random.default_rng(8).standard_normal((16, 2))
candidates = rounds.one_optimizer_for_all_variables, rounds.an_optimizer_for_each, rounds.frozen_inside_the_stack
optimizers = lambda *players: (SGD(player, 0.1) for player in players)
as_steps = [lambda G, D, x, z, play=play: play(G, D, *optimizers(G, D), x, z) for play in candidates]
verdicts = step_verdicts(as_steps, G, D, x_real, z)
for play, right in zip(candidates, verdicts):
    print(f"{play.__name__:<34}{'a step of D alone' if right else 'no step of D alone'}")
assert verdicts == [False, True, False]

# %% [markdown]
# ## 6. A number whose value is known
#
# WGAN's penalty wants slopes of length 1. The length of g_n runs over all axes of a sample:
#
# $$P = \frac{1}{N} \sum_n (|g_n| - 1)^2 \qquad |g_n|^2 = \sum_{h,w,c} g_{nhwc}^2$$
#
# The bug takes the length over the channels, at each pixel. How would one notice? Ask for a penalty that is known.
# D(x) = <w, x> with |w| = 1 has the slope 1 everywhere and owes nothing. If w is the same at all 8 x 8 pixels, a
# pixel's part of it is 1/8 long, and the bug charges (1/8 - 1)^2 = 0.766.

# %%
w = np.full((8, 8, 1), 1 / 8)  # |w| = 1
g = np.broadcast_to(w, (5, 8, 8, 1))  # dD/dx of five samples
wrong, right = float(penalties.length_over_channels(g)), float(penalties.length_over_the_sample(g))
print(f"charged: {wrong:.3f} at each pixel, {right:.3f} over the sample")
assert np.isclose(wrong, (1 / 8 - 1) ** 2) and right < 1e-12
visit("norm-over-one-axis")

# %% [markdown]
# Text can have bugs, too. "Where G does a perfect job, log(1 - D) is near 0 and its gradients are too small to
# learn from": so the saturating loss is explained in places. Evaluate it:
#
# $$L = \log(1 - \sigma(b)) \qquad \frac{\partial L}{\partial b} = -\sigma(b)$$
#
# **Predict** L and its slope for a D that takes a fake for real, b = 6, and for one that is sure of a fake, b = -6.

# %%
for b in (6.0, -6.0):
    value, slope = minimax.generator(np.array([[b]]))
    print(f"b = {b:+.0f}   D = {sigmoid(b):.4f}   L = {value:+.4f}   slope {slope[0, 0]:+.4f}")
    assert np.isclose(value, np.log(1 - sigmoid(b))) and np.isclose(slope[0, 0], -sigmoid(b))
visit("saturation-backwards")

# %% [markdown]
# It is the other way round: small gradients are at the *start*, where D is sure of the fakes.
#
# ## 7. Words, and files
#
# Two more silent ones, from the far ends of the course. In the first D reads one-hot words, and G's logits become
# words by argmax (lesson 15). In the second a run is saved and taken up again (lesson 06). **Predict** both checks.

# %%
show("argmax-between")
show("moments-lost")

# %%
visit("argmax-between")
print("-" * 60)
visit("moments-lost")

# %% [markdown]
# ## 8. Who watches the measures?
#
# A divergence on a grid: count the points in each bin, divide by their number, and compare. It is at least 0 if the
# shares p and q each sum to 1. In one much loved tool a loop removed points from the list that it was walking
# through. A third was counted, and the sum divided by the number of all. With p = c q,
#
# $$\sum_k c\, q_k \log_2 \frac{c\, q_k}{q_k} = c \log_2 c$$

# %%
c, q = 151 / 450, np.full(9, 1 / 9)
value = (c * q * np.log2(c * q / q)).sum()
print(f"the divergence of a perfect sample: {value:.2f} bits, below zero")
assert np.isclose(value, c * np.log2(c)) and value < -0.5
visit("kl-below-zero")

# %% [markdown]
# ### Your mend
#
# Write it for two samples of numbers, `real` (n,) and `fake` (m,), on bins with the given `edges`
# (`np.histogram(x, edges)[0]` counts). No fake may lie in a bin where there are real points, and log(p/0) is
# infinite; so add 1/2 to every count, of real and of fake, before you divide by their sum. Then, in bits,
#
# $$KL(p \,\|\, q) = \sum_k p_k \log_2 \frac{p_k}{q_k}$$


# %% exercise="20.grid_kl"
def grid_kl(real, fake, edges):
    """KL(p || q) in bits; p the shares of real (n,) and q of fake (m,) on the bins, 1/2 added to every count."""
    ### BEGIN SOLUTION
    p, q = (np.histogram(x, edges)[0] + 0.5 for x in (real, fake))
    p, q = p / p.sum(), q / q.sum()
    return (p * np.log2(p / q)).sum()
    ### END SOLUTION


# %% check="20.grid_kl"
check("20.grid_kl", grid_kl).raise_if_wrong()

# %% [markdown]
# It is never below 0 now, and yet a perfect generator does not get 0. Two samples of the same distribution differ by
# chance. To first order, with K bins (lesson 10),
#
# $$E[KL] \approx \frac{K - 1}{2 \ln 2} \left(\frac{1}{n} + \frac{1}{m}\right)$$
#
# This is the floor. A number is good or bad only beside it.

# %%
rng, edges = np.random.default_rng(9), np.linspace(0, 1, 10)
scores = np.array([grid_kl(rng.random(450), rng.random(450), edges) for _ in range(200 if FAST else 1000)])
floor = 8 / (2 * math.log(2)) * (2 / 450)
print(f"perfect generators score {scores.mean():.3f} bits on average; the formula says {floor:.3f}")
assert scores.min() >= 0 and abs(scores.mean() / floor - 1) < 0.15

# %% [markdown]
# ## 9. The board
#
# All exhibits. Every bug is used as a program would use it, and handed to its check; so is every mend.

# %%
findings = [examine(exhibit) for exhibit in EXHIBITS]
assert all(f.bug_says for f in findings), "every check is red on its bug"
assert not any(f.mend_says for f in findings), "and green on its mend"
assert all(f.behaves for f in findings)
board = catalogue.board(findings, figure=plt.figure(figsize=(9.6, 10.5), layout="constrained"))

loud = [f.exhibit.name for f in findings if f.bug_raises]
print(catalogue.total(findings))
print("loud:", ", ".join(loud))
silent = len(findings) - len(loud)
print(f"silent: {100 * silent / len(findings):.0f} percent")
assert (len(findings), len(loud)) == (34, 4), "what the first page of this lesson says"

# %% [markdown]
# Look down the second column: that is the moral. The loud ones have to do with shapes and names, and cost a minute.
# The silent ones cost a week: the pictures are a little worse, and one tries another learning rate. An exception is a
# check that somebody else wrote for you. For a wrong number nobody has.
#
# Look at the third column as well. Few checks are clever. Most belong to one of five kinds: a *gradient check* (of
# each layer, in each mode, with two batches), a *contract* (what must move moves, and nothing else), a *known
# answer* (a case whose result one can say before), a *control* (change what must matter, and what must not), and
# *mutants* for the check itself.
#
# ## 10. Two claims, each answered with a number
#
# **"GANs copy their training data."** Take a digit that G has drawn and look for the nearest training image. It will
# look alike; that proves nothing, as a new digit from the same writers looks alike as well. So compare: are G's
# digits *nearer* to the training set than test images are, which G has never seen? The share of pairs (a drawn digit,
# a test image) in which the drawn one is nearer is 1/2 for a perfect generator and 1 for a copier. A *copy* is a
# sample three times nearer to one training image than to any other. `memorisation` counts both (lesson 18). Its z is
# the distance from 1/2 in standard deviations; below -3 would speak for copying.
#
# **Predict** for the DCGAN that ships with minigan, trained on these 10,000 digits; and for a planted copier, which
# takes training images and adds a little noise.

# %%
train, test = (scale(load_digits(split)[0]) for split in ("train", "test"))
G, n = load("dcgan").G, 100 if FAST else 300
z = np.random.default_rng(0).standard_normal((n, 100)).astype(np.float32)
rng = np.random.default_rng(1)
copier = train[rng.integers(0, len(train), n)] + 0.02 * rng.standard_normal((n, 28, 28, 1)).astype(np.float32)
found = {"DCGAN": memorisation(G(z), train, test[::4]), "copier": memorisation(copier, train, test[::4])}
for name, m in found.items():
    verdict = "copies" if m.z < -3 else "does not copy"
    print(f"{name:<7}{100 * m.copied:>4.0f} % copies   nearer than test images: {m.nearer:.1f} of pairs   {verdict}")
assert found["DCGAN"].copied < 0.02 and found["DCGAN"].z > -3
assert found["copier"].copied > 0.98 and found["copier"].z < -3

# %% [markdown]
# This GAN does not copy. If anything its digits lie farther off than real ones, since it does not draw perfectly. Is
# the claim false, then? It is too general. A G with many weights, few images and a long training can learn images by
# heart, and it takes a measurement to tell. That holds for this G only, and for these distances in pixels.
#
# **"Training is unstable because it gets stuck in local optima."** Lesson 04 answered that; here is the number once
# more. The Dirac-GAN has one weight for each player and one equilibrium, (0, 0). Near it the players move by
# p' = J p, with the eigenvalues
#
# $$\lambda = \pm \frac{i}{2} \qquad\text{and with an R1 penalty}\qquad
# \lambda = -\frac{\gamma}{2} \pm \sqrt{\frac{\gamma^2}{4} - \frac{1}{4}}$$
#
# A local optimum in which one is stuck would have negative real parts, and be somewhere else. Here there is no
# somewhere else: the arrows vanish nowhere but at (0, 0). And they do not lead there. The real part is 0 and the
# imaginary part is not: play *rotates*. What helps is no better search, but friction.

# %%
gamma = 0.3
plain, damped = eigenvalues(DiracGAN(non_saturating).field), eigenvalues(DiracGAN(non_saturating, r1(gamma)).field)
root = np.sqrt(complex(gamma**2 / 4 - 1 / 4))
print("GAN:        ", ", ".join(f"{abs(v.real):.2f} {v.imag:+.2f}i" for v in plain))
print("GAN with R1:", ", ".join(f"{v.real:.2f} {v.imag:+.2f}i" for v in damped))
assert np.allclose(plain, [-0.5j, 0.5j], atol=1e-8)
assert np.allclose(np.sort_complex([-gamma / 2 - root, -gamma / 2 + root]), damped, atol=1e-8)
grid = np.stack(np.meshgrid(*2 * [np.linspace(-2, 2, 41)]), axis=-1).reshape(-1, 2)
grid = grid[np.abs(grid).max(axis=1) > 0.01]
for loss in (non_saturating, wasserstein):
    shortest = np.linalg.norm(DiracGAN(loss).field(grid), axis=1).min()
    print(f"{loss.name}: at {len(grid)} other points no arrow is shorter than {math.floor(1000 * shortest) / 1000}")
    assert shortest > 0.04

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In section 1, give A a `G.zero_grad()` before G's backward (copy `round_without_detach` and change it). What is
#    left of the bug?
# 2. In `layer_verdicts`, move the backward of x1 before the forward of x2. Which layer passes now?
# 3. Make `layer_verdicts` see OneSlotDense: compare `layer.grads["W"]` as well, for layers that have `params`.
# 4. Plant a bug of your own in `rounds.round_with_detach`. Is it silent? Which of the five kinds of check finds it?
# 5. Let the copier of section 10 add noise of 0.1, 0.3 and 1. When does `copied` fall, and when does z?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("20.layer_verdicts", layer_verdicts)
assert check("20.step_verdicts", step_verdicts)
assert check("20.grid_kl", grid_kl)
print(f"{len(EXHIBITS)} bugs, {len(EXHIBITS)} checks, and two checks and a mend of yours.")

# %% [markdown]
# ## What to read next
#
# - The catalogue of the museum, `lessons/museum/README.md`: all exhibits with both sources, and where each class of
#   bug was met. `python -m minigan.museum -v` runs them.
# - M. Lucic, K. Kurach, M. Michalski, S. Gelly and O. Bousquet, "Are GANs created equal? A large-scale study",
#   *NeurIPS* 2018: with the same budget for tuning, most variants came out alike.
# - C. Meehan, K. Chaudhuri and S. Dasgupta, "A non-parametric test to detect data-copying in generative models",
#   *AISTATS* 2020: the test of section 10.
# - L. Mescheder, A. Geiger and S. Nowozin, "Which training methods for GANs do actually converge?", *ICML* 2018: the
#   eigenvalues of section 10.
# - R. DeMillo, R. Lipton and F. Sayward, "Hints on test data selection: help for the practicing programmer", *IEEE
#   Computer* 11(4), 1978: where mutants for tests come from.
