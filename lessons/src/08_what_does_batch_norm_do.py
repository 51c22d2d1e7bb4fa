# %% [markdown]
# # 08. What does batch norm do to a GAN?
#
# Every layer that you have met treats each sample on its own. Batch norm does not: it gives each number its place
# *within its batch*. That keeps deep networks alive, and it made the first deep convolutional GANs possible. But a
# GAN deals with batches as no other network does: all real, all fake, one, two, a frozen D between G and its
# loss. Each of these meets batch norm, and each goes wrong in a way of its own.
#
# **You need** lesson 01 (the gradient check), lesson 02 (backward passes) and lesson 05 (the game). **Time** about
# 55 minutes. **You will write** batch norm's backward in training, its running statistics, and its backward in
# inference. **After it** you know what D sees of a batch, why a frozen D still needs the right backward, and why
# one z can have many images.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from minigan import gradcheck, losses
from minigan.backend import rng
from minigan.data import load_digits
from minigan.exercises import check
from minigan.layers import BatchNorm, Dense, Layer, LayerNorm, LeakyReLU, ReLU, he
from minigan.models import dcgan
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.training import Training

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Real numbers come from N(0, 1), fake ones from N(3, 1). D is a small network that begins with a batch norm. In
# each step it sees a batch of real numbers, then a batch of fake ones, as most GAN code does it. The best judge of
# single numbers, "fake if x > 1.5", is right in 93 % of all cases. How often is D right after training?
#
# 1. In 93 % or a little less.
# 2. In 50 %: it cannot tell at all.
# 3. In 100 %: better than the best judge.
#
# And when a dense layer with a LeakyReLU stands before its batch norm? Write down two answers; section 7 trains
# both.
#
# <details><summary>The answer</summary>
#
# 2 for the first D, 3 for the second. The first batch norm takes the mean from each batch, and the mean is all in
# which the two differ. The second D can read from what is left *which batch it has before it*, and so judges the
# batch instead of the number. Neither is what the theory of lesson 03 calls D(x).
#
# </details>

# %% [markdown]
# ## 1. Forward
#
# x has N rows and C columns, called channels. Each channel gets the batch's mean taken away and is divided by the
# batch's standard deviation:
#
# $$m = \frac{1}{N} \sum_n x_n \qquad v = \frac{1}{N} \sum_n (x_n - m)^2$$
#
# $$\hat{x}_n = \frac{x_n - m}{\sqrt{v + \varepsilon}} \qquad y_n = \gamma\, \hat{x}_n + \beta$$
#
# γ and β are learned, one of each for a channel, so that the layer can still have any mean and spread. ε, usually
# 1e-5, keeps a channel that never varies from 0 / 0. (For images the rows are all places of all samples: N then
# stands for N H W.) Six lines; you will walk them backwards.

# %%
EPS = 1e-5


def batch_norm(x, gamma, beta, eps=EPS):
    """x (N, C) -> y (N, C), in training: by the batch's own mean and variance."""
    mean = x.mean(axis=0)  # 1  (C,)
    centred = x - mean  # 2  (N, C)
    var = (centred**2).mean(axis=0)  # 3  (C,)
    s = np.sqrt(var + eps)  # 4  (C,)
    xhat = centred / s  # 5  (N, C)
    return gamma * xhat + beta  # 6  (N, C)


random = np.random.default_rng(0)
x = random.normal([100, -2, 0], [1, 0.1, 5], size=(8, 3))  # (N, C), channels of very unequal mean and spread
gamma, beta = np.array([1.0, 1.0, 2.0]), np.array([0.0, 0.0, 3.0])
y = batch_norm(x, gamma, beta)
print("means of y:", np.abs(y.mean(axis=0)).round(2), " standard deviations:", y.std(axis=0).round(2))
assert np.allclose(y.mean(axis=0), beta) and np.allclose(y.std(axis=0), gamma, rtol=5e-3)

# %% [markdown]
# ## 2. What it is for: ten layers
#
# DCGAN draws its first weights from N(0, 0.02²). What does that do to a signal? A dense layer with n inputs makes z
# = Σ w_i x_i, whose mean square is n σ² times that of x, with σ the spread of the weights. ReLU sets half of a
# symmetric z to 0, and with it half of the mean square. So for each layer
#
# $$\frac{\mathrm{rms}(\mathrm{out})}{\mathrm{rms}(\mathrm{in})} = \sigma \sqrt{n / 2}$$
#
# which is 1 for σ = sqrt(2/n) alone (He's rule). The gradient is multiplied by the same factor on its way back. With
# n = 256 and σ = 0.02 it is 0.23, and ten layers leave 3e-7.
#
# Batch norm after each dense layer makes every z as large as the last one, whatever σ is. Let us measure both.

# %%
WIDTH, DEPTH = 256, 10


def spreads(sigma, norm):
    """The rms of x before each of ten layers and after the last, and of the gradient at the same places."""
    draws, stages = rng(0), []
    for _ in range(DEPTH):
        dense = Dense(WIDTH, WIDTH, bias=False, rng=draws, init=lambda r, s: sigma * r.standard_normal(s, "float32"))
        stages += [dense, *([BatchNorm(WIDTH)] if norm else []), ReLU()]
    a = np.random.default_rng(1).standard_normal((256, WIDTH)).astype("float32")
    forward, caches = [a], []
    for layer in stages:
        a, cache = layer.forward(a)
        caches.append(cache)
        if isinstance(layer, ReLU):
            forward.append(a)
    da = np.random.default_rng(2).standard_normal(a.shape).astype("float32")
    backward = [da]
    for layer, cache in zip(stages[::-1], caches[::-1]):
        da = layer.backward(da, cache)
        if isinstance(layer, Dense):
            backward.append(da)
    rms = lambda arrays: np.array([np.sqrt(np.mean(np.square(v, dtype="float64"))) for v in arrays])
    return rms(forward), rms(backward[::-1])


figure, (left, right) = plt.subplots(1, 2, sharex=True)
measured = {}
for sigma, mark in ((0.02, "o"), (0.2, "s")):
    for norm, colour in ((False, ORANGE), (True, BLUE)):
        out, back = measured[sigma, norm] = spreads(sigma, norm)
        label = f"σ = {sigma}, {'batch norm' if norm else 'plain'}"
        look = {"color": colour, "linewidth": 1, "label": label, "fillstyle": "none" if mark == "o" else "full"}
        for axes, values in ((left, out), (right, back)):
            axes.semilogy(values, mark + "-", markersize=8 if mark == "o" else 4, **look)
left.set(
    xlabel="after layer", ylabel="rms of the activations", title="plain: they fade or explode", xticks=range(0, 11, 2)
)
right.set(xlabel="after layer", ylabel="rms of the gradient", title="plain: so do the gradients")
right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

for sigma in (0.02, 0.2):
    out, back = measured[sigma, False]
    factors = (out[-1] / out[1]) ** (1 / (DEPTH - 1)), (back[0] / back[-1]) ** (1 / DEPTH)
    print(
        f"plain, σ = {sigma}: a layer's factor is {factors[0]:.2f}, by the formula {sigma * np.sqrt(WIDTH / 2):.2f}"
    )
    assert np.allclose(factors, sigma * np.sqrt(WIDTH / 2), rtol=0.06)
for a, b in zip(measured[0.02, True], measured[0.2, True]):
    assert np.allclose(a[1:-1], b[1:-1], rtol=0.01), "with batch norm, ten times larger weights change nothing"
print("with batch norm, activations of layer 10 and layer 1 differ by less than 2 %:", end=" ")
print(bool(abs(measured[0.02, True][0][-1] / measured[0.02, True][0][1] - 1) < 0.02))
assert abs(measured[0.02, True][0][-1] / measured[0.02, True][0][1] - 1) < 0.02

# %% [markdown]
# The blue curves for the two σ lie on each other: with batch norm the size of the weights does not matter. Yet look
# at blue on the right: the gradient grows a little with each layer that it goes back. It is often said that batch
# norm keeps gradients from exploding; for a plain stack with ReLU that is not so. After batch norm z is N(0, 1).
# ReLU makes of it numbers of mean square 1/2 and mean 1/sqrt(2π), hence of variance 1/2 - 1/(2π). The next batch
# norm divides by their spread, so the gradient is divided by it too; ReLU lets half of its mean square pass:
#
# $$\frac{\mathrm{rms}(\mathrm{gradient\ before})}{\mathrm{rms}(\mathrm{gradient\ after})}
# = \sqrt{\frac{1/2}{1/2 - 1/(2\pi)}} = \sqrt{\frac{\pi}{\pi - 1}}$$

# %%
growth = np.sqrt(np.pi / (np.pi - 1))
for sigma in (0.02, 0.2):
    back = measured[sigma, True][1]
    found = (back[1] / back[-2]) ** (1 / (DEPTH - 2))  # between the first and the last batch norm
    print(f"batch norm, σ = {sigma}: the gradient grows by {found:.2f} a layer, by the formula {growth:.2f}")
    assert abs(found / growth - 1) < 0.04

# %% [markdown]
# Ten layers make 7 of it, a hundred would make 2e8. DCGANs have some five, and there batch norm does what is
# claimed. Now its own gradient.

# %% [markdown]
# ## 3. Backward: your first hole
#
# **Predict.** Let dy be 1 for one sample and 0 for all others. For which samples is dx not 0?
#
# <details><summary>The answer</summary>
#
# For all of them, as a rule. Move any sample, and mean and variance move, and with them everybody's y.
#
# </details>
#
# So x reaches y by three ways: directly (line 5), through the variance (line 3), through the mean (line 1). Do
# not think of all three at once. Walk the six lines from the last to the first, and add up. Two rules serve for
# every line:
#
# - a number that N rows share (s, mean, gamma, beta) gathers the gradients of all N: a sum over axis 0;
# - a mean over N rows gives each row 1/N of its gradient.
#
# Line 6 in formulas, as a start: y = γ xhat + β, so
#
# $$d\gamma = \sum_n dy_n\, \hat{x}_n \qquad d\beta = \sum_n dy_n \qquad d\hat{x}_n = \gamma\, dy_n$$
#
# `centred` is used in line 3 and in line 5. It gets a gradient from both.


# %% exercise="08.batch_norm_backward"
def batch_norm_backward(dy, x, gamma, eps):
    """dx (N, C), dgamma (C,), dbeta (C,) of batch_norm, from dy (N, C)."""
    ### BEGIN SOLUTION
    # forward once more
    centred = x - x.mean(axis=0)  # 1, 2
    var = (centred**2).mean(axis=0)  # 3
    s = np.sqrt(var + eps)  # 4
    xhat = centred / s  # 5

    # backward, from the last line to the first
    dgamma, dbeta, dxhat = (dy * xhat).sum(axis=0), dy.sum(axis=0), gamma * dy  # 6
    dcentred = dxhat / s  # 5, by centred
    ds = -(dxhat * centred).sum(axis=0) / s**2  # 5, by s
    dvar = ds / (2 * s)  # 4
    dcentred = dcentred + 2 * centred * dvar / len(x)  # 3, on top of what is there
    dmean = -dcentred.sum(axis=0)  # 2, by mean
    dx = dcentred + dmean / len(x)  # 2, by x, and 1
    return dx, dgamma, dbeta
    ### END SOLUTION


# %% check="08.batch_norm_backward"
check("08.batch_norm_backward", batch_norm_backward).raise_if_wrong()

# %% [markdown]
# Now put the lines into each other. Write g = γ dy, and a bar for the mean over the batch. Line 5 by s and line 4
# give dvar = -N mean(g xhat) / (2 s²). Line 3 then adds 2 centred dvar / N = -xhat mean(g xhat) / s. In line 2 the
# centred sum to 0, so dmean is -N mean(g) / s and nothing else. Together
#
# $$dx_n = \frac{1}{s} \left( g_n - \overline{g} - \hat{x}_n\, \overline{g \hat{x}} \right), \qquad g = \gamma\, dy$$
#
# One line. The first term is the direct way, the second the mean's, the third the variance's.

# %%
dy = random.standard_normal(x.shape)
dx, dgamma, dbeta = batch_norm_backward(dy, x, gamma, EPS)
s = np.sqrt(x.var(axis=0) + EPS)
xhat, g = (x - x.mean(axis=0)) / s, gamma * dy
short = (g - g.mean(axis=0) - xhat * (g * xhat).mean(axis=0)) / s

layer = BatchNorm(3, eps=EPS).astype("float64")
layer.params["gamma"], layer.params["beta"] = gamma, beta
_, cache = layer.forward(x)
library_dx = layer.backward(dy, cache)
print("long form = short form:", np.allclose(dx, short, rtol=1e-9))
print("short form = the library's:", np.allclose(short, library_dx, rtol=1e-9))
assert np.allclose(dx, short, rtol=1e-9) and np.allclose(short, library_dx, rtol=1e-9)
assert np.allclose(dgamma, layer.grads["gamma"]) and np.allclose(dbeta, layer.grads["beta"])

# %% [markdown]
# What does the line say? The subtracted terms take out of g what is constant over the batch, and (but for ε) what is
# proportional to xhat. They must: adding a constant to x changes no y, and scaling x hardly any. A gradient along
# such a direction would promise a change that never comes. The first of the two is exact, in each channel:
#
# $$\sum_n dx_n = 0$$

# %%
print("sum of dx, each channel:", np.allclose(dx.sum(axis=0), 0), " sum of dx xhat, nearly:", end=" ")
along = np.abs((dx * xhat).sum(axis=0)) / (np.abs(dx) * np.abs(xhat)).sum(axis=0)
print(bool(along.max() < 0.01))
assert np.allclose(dx.sum(axis=0), 0) and along.max() < 0.01

# %% [markdown]
# Remember the first: *the gradients that leave a batch norm towards G sum to zero over the batch.* It comes back in
# section 7.
#
# ## 4. One sample, and two
#
# With N = 1 the mean is the sample itself, xhat is 0 and y = β, whatever x is. All gradients on x are 0. A gradient
# check then compares 0 with 0, and any backward passes it, as you saw in lesson 01; a widely read book
# does just that with its batch norm.
#
# And two samples? Let d = (x_1 - x_2)/2. Then centred is d and -d, and xhat is d/s and -d/s with s = sqrt(d² + ε):
# almost 1 and -1, whatever x is. The derivative of d/s by d is ε/s³, hence
#
# $$dx_1 = -dx_2 = \frac{\gamma}{s} \cdot \frac{dy_1 - dy_2}{2} \cdot \frac{\varepsilon}{d^2 + \varepsilon}$$

# %%
one = batch_norm_backward(dy[:1], x[:1], gamma, EPS)[0]
print("N = 1: every dx is 0:", bool((one == 0).all()))
d = np.array([1, 0.1, 0.01])  # three channels, whose two samples lie 2 d apart
two = batch_norm_backward(dy[:2], np.stack([5 + d, 5 - d]), gamma, EPS)[0]
by_formula = gamma / np.sqrt(d**2 + EPS) * (dy[0] - dy[1]) / 2 * EPS / (d**2 + EPS)
print("N = 2: the formula holds:", np.allclose(two, [by_formula, -by_formula], rtol=1e-6))
for apart, factor in zip(d, EPS / (d**2 + EPS)):
    print(f"N = 2, d = {apart:<4g} the last factor is {factor:.0e}")
assert (one == 0).all() and np.allclose(two, [by_formula, -by_formula], rtol=1e-6)

# %% [markdown]
# With two samples a network trains, the loss is a finite number, and the layers below batch norm learn next to
# nothing. Larger batches lose less: of the N directions in which g can point, two are taken out. On average, for
# small ε and a random dy,
#
# $$\frac{\overline{(s\, dx)^2}}{\overline{g^2}} = \frac{N - 2}{N}$$

# %%
for N in (2, 3, 4, 8, 32):
    some_x, some_dy = random.standard_normal((2, N, 4000))  # 4000 channels: as many batches at once
    some_dx = batch_norm_backward(some_dy, some_x, np.ones(4000), 1e-12)[0] * some_x.std(axis=0)
    kept = (some_dx**2).mean() / (some_dy**2).mean()
    print(f"N = {N:<3} part of the gradient that passes: {kept:.2f}   by the formula {(N - 2) / N:.2f}")
    assert abs(kept - (N - 2) / N) < 0.03

# %% [markdown]
# ## 5. Two modes: your second hole
#
# A finished G shall draw one image, and a batch of one is all zeros. So batch norm keeps **running statistics**: a
# mean and a variance that follow those of the batches. In training it uses the batch's own, and updates the running
# ones on the side; in inference (train=False, "eval mode") it uses the running ones and changes nothing. After each
# batch, with a decay such as 0.9,
#
# $$\mathrm{mean} \leftarrow \mathrm{decay} \cdot \mathrm{mean} + (1 - \mathrm{decay})\, m$$
#
# $$\mathrm{var} \leftarrow \mathrm{decay} \cdot \mathrm{var} + (1 - \mathrm{decay})\, \frac{N}{N-1}\, v$$
#
# Why N/(N-1)? The batch's mean lies in the middle of its own samples, so v is too small by (N-1)/N on average. In
# training that is how forward is defined; the running one shall estimate the variance of all data. Work on new
# arrays: whoever calls you still needs the old ones.


# %% exercise="08.running_statistics"
def running_statistics(mean, var, x, decay):
    """The running mean (C,) and var (C,) after the batch x (N, C)."""
    ### BEGIN SOLUTION
    new_mean = decay * mean + (1 - decay) * x.mean(axis=0)
    new_var = decay * var + (1 - decay) * x.var(axis=0, ddof=1)
    return new_mean, new_var
    ### END SOLUTION


# %% check="08.running_statistics"
check("08.running_statistics", running_statistics).raise_if_wrong()

# %% [markdown]
# Two things decide about the decay. What is left of the start (mean 0, var 1) after k batches is decay^k. And the
# mean of one batch scatters by σ/sqrt(N); in the running mean the weights of the batches are (1 - decay) decay^j, and
# the sum of their squares leaves of the scatter
#
# $$\mathrm{std}(\mathrm{mean}) = \sqrt{\frac{1 - \mathrm{decay}}{1 + \mathrm{decay}}} \cdot \frac{\sigma}{\sqrt{N}}$$

# %%
N, CHANNELS = 16, 400
for decay in (0.1, 0.9, 0.99):
    mean, var = np.full(CHANNELS, 5.0), np.ones(CHANNELS)
    batches = 150 if decay < 0.95 else 1200
    for _ in range(batches):
        mean, var = running_statistics(mean, var, random.standard_normal((N, CHANNELS)), decay)
    scatter = np.sqrt((1 - decay) / (1 + decay)) / np.sqrt(N)
    left_over = f"{decay**10:.0%} of the start left after 10 batches"
    print(f"decay {decay:<5} scatter {mean.std():.3f}, by the formula {scatter:.3f}; {left_over}")
    assert abs(mean.std() / scatter - 1) < 0.15 and abs(var.mean() - 1) < 0.02

# %% [markdown]
# So 0.9 remembers some 1/(1 - 0.9) = 10 batches. Now a trap. Frameworks call this number *momentum*, and do not
# agree on whose share it is:
#
# | | its default | share of the old value |
# |---|---|---|
# | minigan | `decay = 0.9` | 0.9 |
# | Keras | `momentum = 0.99` | 0.99 |
# | ONNX, TensorFlow | `momentum = 0.9`, 0.99 | 0.9, 0.99 |
# | PyTorch | `momentum = 0.1` | 0.9: **one minus** what the others write |
#
# Who carries 0.9 from Keras to PyTorch has decay 0.1: the first line above, nearly the noise of a single batch.
# (They also differ in N/(N-1): PyTorch has it, as we do, and ONNX does not.)
#
# It can be worse. Keras' `BatchNormalization(momentum=0.8)` has been ported to PyTorch as `BatchNorm1d(n, 0.8)`, in a
# collection of GANs that thousands have learned from. The second argument there is ε. The output is then no
# longer of spread 1, but
#
# $$\mathrm{std}(\hat{x}) = \sqrt{\frac{v}{v + \varepsilon}}$$

# %%
some_x = np.sqrt(0.1) * random.standard_normal((2000, 1))  # variance 0.1
for eps in (1e-5, 0.8):
    out = batch_norm(some_x, 1.0, 0.0, eps).std()
    print(f"eps = {eps:<6g} input variance {some_x.var():.2f}, output std {out:.2f}, ", end="")
    print(f"by the formula {np.sqrt(some_x.var() / (some_x.var() + eps)):.2f}")
    assert np.isclose(out, np.sqrt(some_x.var() / (some_x.var() + eps)))
library = BatchNorm(1, eps=0.8).astype("float64").forward(some_x)[0].std()
assert abs(library - np.sqrt(0.1 / 0.9)) < 0.01

# %% [markdown]
# Nothing crashes: a third of the spread, in every layer, and G still learns something. The check that finds it is
# one line: *the standard deviation of a batch norm's output is 1.*
#
# ## 6. A frozen D needs the right backward: your third hole
#
# In inference mean and var are constants, so each y depends on its own x alone:
#
# $$y_n = \gamma\, \frac{x_n - \mathrm{mean}}{\sqrt{\mathrm{var} + \varepsilon}} + \beta \qquad
# dx_n = \frac{\gamma\, dy_n}{\sqrt{\mathrm{var} + \varepsilon}}$$
#
# Write it, with dγ and dβ; xhat is now made with the running statistics.


# %% exercise="08.eval_backward"
def eval_backward(dy, x, gamma, mean, var, eps):
    """dx (N, C), dgamma (C,), dbeta (C,) in inference; mean (C,) and var (C,) are the running statistics."""
    ### BEGIN SOLUTION
    s = np.sqrt(var + eps)
    xhat = (x - mean) / s
    return gamma * dy / s, (dy * xhat).sum(axis=0), dy.sum(axis=0)
    ### END SOLUTION


# %% check="08.eval_backward"
check("08.eval_backward", eval_backward).raise_if_wrong()

# %% [markdown]
# Your three functions are a layer. Here they are put together in the form that the library's layers have, and
# checked in **both** modes.


# %%
class MyBatchNorm(Layer):
    mixes_samples = True

    def __init__(self, channels, decay=0.9, eps=EPS):
        super().__init__()
        self.decay, self.eps = decay, eps
        self.add_param("gamma", np.ones(channels, "float32"))
        self.add_param("beta", np.zeros(channels, "float32"))
        self.statistics |= {"mean": np.zeros(channels, "float32"), "var": np.ones(channels, "float32")}

    def forward(self, x, train=True):
        gamma, beta, mean, var = (*self.params.values(), *self.statistics.values())
        if train:
            y = batch_norm(x, gamma, beta, self.eps)
            self.statistics["mean"], self.statistics["var"] = running_statistics(mean, var, x, self.decay)
        else:
            y = gamma * (x - mean) / np.sqrt(var + self.eps) + beta
        return y, (x, mean, var, train)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x, mean, var, train = cache
        if train:
            dx, dgamma, dbeta = batch_norm_backward(dy, x, self.params["gamma"], self.eps)
        else:
            dx, dgamma, dbeta = eval_backward(dy, x, self.params["gamma"], mean, var, self.eps)
        if param_grads:
            self.grads["gamma"] += dgamma
            self.grads["beta"] += dbeta
        return dx if input_grad else None

    def __repr__(self):
        return f"{type(self).__name__}({len(self.params['gamma'])})"


report = gradcheck.check_layer(MyBatchNorm(3), (6, 3))
print("right:", ", ".join(f"{row.name} ({row.mode})" for row in report.rows if not row.wrong))
assert report

# %% [markdown]
# Why both modes? In G's step D is frozen: it shall not change. Some code says so by running D in inference, with
# running statistics. That is a legitimate choice, and so is D in training mode, which the steps of minigan
# take. But frozen means *not moved*; it does not mean *without a gradient*: G learns through D.
#
# A well-liked library written from scratch ran the frozen layer's forward with the running statistics and its
# backward with the formula of training. Three lines reproduce it:


# %%
class FrozenWrong(BatchNorm):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        centred, scale, _ = cache
        return super().backward(dy, (centred, scale, True), param_grads, input_grad)  # always as in training


in_training, in_inference = (gradcheck.check_layer(FrozenWrong(3), (6, 3), train=mode) for mode in (True, False))
print("training: ", "right" if in_training else in_training.diagnoses)
print("inference:", "right" if in_inference else in_inference.diagnoses[0].split(":")[0] + " is wrong")
assert in_training, "a check in training mode alone finds nothing"
assert in_inference.rows[0].name == "x" and in_inference.rows[0].wrong

# %% [markdown]
# How much does it matter for G? Let D meet a batch of fakes that lie a step beside the reals. We compare the two
# dx by their relative error |wrong - right| / |right|, and by their sum over the batch, which says where *all* fakes
# should go: how much of the right sum is in the wrong one? For 12 randomly drawn D.


# %%
def frozen_gradient(norm, seed):
    """dx_fake (N, 2) of G's loss through a frozen D in inference, and G's loss along a direction by differences."""
    draws = rng(seed)
    stages = Dense(2, 32, rng=draws, init=he), norm(32), LeakyReLU(), Dense(32, 1, rng=draws, init=he)
    D = Sequential(*stages).astype("float64")
    numbers = np.random.default_rng(4)
    for _ in range(50):  # D's running statistics: of reals around (0, 0) and fakes around (2, 1)
        D.forward(numbers.standard_normal((64, 2)))
        D.forward(numbers.standard_normal((64, 2)) + [2, 1])
    x_fake, direction = numbers.standard_normal((2, 64, 2))
    x_fake = x_fake + [2, 1]
    logits, cache = D.forward(x_fake, train=False)
    dx = D.backward(losses.non_saturating.generator(logits)[1], cache, param_grads=False)
    value = lambda h: losses.non_saturating.generator(D.forward(x_fake + h * direction, train=False)[0])[0]
    return dx, (dx * direction).sum(), (value(1e-5) - value(-1e-5)) / 2e-5


errors, common = [], []
for seed in range(12):
    (right_dx, slope, numeric), (wrong_dx, wrong_slope, _) = (
        frozen_gradient(n, seed) for n in (BatchNorm, FrozenWrong)
    )
    assert np.isclose(slope, numeric, rtol=1e-5) and not np.isclose(wrong_slope, numeric, rtol=0.01)
    assert np.allclose(frozen_gradient(MyBatchNorm, seed)[0], right_dx)
    errors.append(np.linalg.norm(wrong_dx - right_dx) / np.linalg.norm(right_dx))
    right_sum, wrong_sum = right_dx.sum(axis=0), wrong_dx.sum(axis=0)
    common.append(wrong_sum @ right_sum / (right_sum @ right_sum))
print("inference's backward agrees with differences, yours too; training's does not")
print(f"relative error of its dx: {min(errors):.1f} to {max(errors):.1f}, median {np.median(errors):.1f}")
print(f"all fakes are sent the opposite way by {sum(c < 0 for c in common)} of 12 D")
assert np.median(errors) > 0.5 and sum(c < 0 for c in common) > 6

# %% [markdown]
# An error of 1 is as bad as no gradient at all. What goes wrong is the common part. "All of you, to the left" is
# what G needs most when its fakes lie beside the reals. The term of the mean takes it out. And the term of the
# variance, whose sum is zero in training, no longer sums to zero with the running xhat: it pushes the batch back.
# Such a G trains, badly, and nothing says why.
#
# ## 7. Real and fake: apart or together?
#
# Now the prediction. D sees N reals and N fakes. With a batch norm in it there are two ways to show them: two
# batches (*apart*), or one batch of 2N (*together*). For every other layer the numbers are the same.
#
# Let D be a batch norm and a dense layer, logit = w xhat + b. Apart, the mean of xhat is 0 in each batch, so the
# logits of reals and of fakes have one and the same mean b. softplus is convex, so by Jensen's inequality
#
# $$L_D = \overline{\mathrm{softplus}(-a)} + \overline{\mathrm{softplus}(a')}
# \ge \mathrm{softplus}(-b) + \mathrm{softplus}(b) \ge 2 \log 2$$
#
# with a for real, a' for fake logits, in nats. 2 log 2 = 1.386 is the loss of a D that says 1/2 to everything.


# %%
def seen(D, real, fake, how):
    """D's logits for reals and for fakes, and the caches: "apart", "together", or in "inference"."""
    if how == "together":
        logits, cache = D.forward(np.concatenate([real, fake]))
        return logits[: len(real)], logits[len(real) :], cache
    (a, real_cache), (b, fake_cache) = (D.forward(batch, train=how != "inference") for batch in (real, fake))
    return a, b, (real_cache, fake_cache)


def softplus(v):
    return np.logaddexp(0, v)


def two_batches(n):
    """n reals from N(0, 1), n fakes from N(3, 1), (n, 1)."""
    return random.standard_normal((n, 1)), 3 + random.standard_normal((n, 1))


least = np.inf
for _ in range(200):
    D = Sequential(BatchNorm(1), Dense(1, 1, rng=rng(0))).astype("float64")
    D.theta = 3 * random.standard_normal(D.theta.shape)  # gamma, beta, W, b
    a, b, _ = seen(D, *two_batches(64), "apart")
    least = min(least, losses.non_saturating.discriminator(a, b)[0])
    assert np.isclose(a.mean(), b.mean())
    bound = softplus(-a.mean()) + softplus(b.mean())
    assert losses.non_saturating.discriminator(a, b)[0] >= bound - 1e-12 >= 2 * np.log(2) - 1e-9
print(f"the least loss of 200 random D: {least:.2f}, never below 2 log 2 = {2 * np.log(2):.2f}")

# %% [markdown]
# Now train four D that have hidden layers. They differ in where the batch norm stands, and in how the batches are
# shown; then we ask each on fresh numbers. The reference is the best D of single numbers: its logit is log p/q = 4.5
# - 3x.


# %%
def mlp(first, second, seed):
    """A D of one input: `first` and `second` stand before the first dense layer and after the second."""
    draws = {"rng": rng(seed), "init": he}
    hidden = [Dense(1, 16, **draws), LeakyReLU(), Dense(16, 16, **draws), *second, LeakyReLU()]
    return Sequential(*first, *hidden, Dense(16, 1, **draws)).astype("float64")


def trained(D, how):
    optimizer = Adam(D, lr=0.01)
    for _ in range(400):
        a, b, caches = seen(D, *two_batches(128), how)
        _, da, db = losses.non_saturating.discriminator(a, b)
        D.zero_grad()
        if how == "together":
            D.backward(np.concatenate([da, db]), caches, input_grad=False)
        else:
            for dlogits, cache in zip((da, db), caches):
                D.backward(dlogits, cache, input_grad=False)
        optimizer.step()
    return D


def judged(a, b):
    """D's loss and the share of its right verdicts."""
    return float(losses.non_saturating.discriminator(a, b)[0]), float(((a > 0).mean() + (b < 0).mean()) / 2)


players = {
    "no batch norm": (trained(mlp([], [], 1), "apart"), "apart"),
    "batch norm first, together": (trained(mlp([BatchNorm(1)], [], 1), "together"), "together"),
    "batch norm first, apart": (trained(mlp([BatchNorm(1)], [], 1), "apart"), "apart"),
    "batch norm after LeakyReLU, apart": (trained(mlp([], [BatchNorm(16)], 1), "apart"), "apart"),
}
test = [two_batches(128) for _ in range(50)]
best = np.mean([judged(4.5 - 3 * real, 4.5 - 3 * fake) for real, fake in test], axis=0)
print(f"{'':<36}{'loss':>6}{'right':>8}    in inference")
print(f"{'the best D of single numbers':<36}{best[0]:>6.2f}{best[1]:>8.0%}")
results = {}
for name, (D, how) in players.items():
    usual, alone = (
        np.mean([judged(*seen(D, *pair, way)[:2]) for pair in test], axis=0) for way in (how, "inference")
    )
    results[name] = (*usual, *alone)
    print(f"{name:<36}{usual[0]:>6.2f}{usual[1]:>8.0%}{alone[0]:>10.2f}{alone[1]:>8.0%}")
plain, together, blind, knowing = results.values()
assert max(plain[1], together[1]) <= best[1] + 0.01 and min(plain[1], together[1]) > best[1] - 0.02
assert blind[0] > 2 * np.log(2) - 0.01 and abs(blind[1] - 0.5) < 0.05, "apart: it cannot tell"
assert knowing[0] < 0.7 * best[0] and knowing[1] > 0.97, "better than the best judge of single numbers"
assert knowing[2] > best[0] + 0.2 and knowing[3] < best[1], "and no good at single numbers"

# %% [markdown]
# Look at the last line: it beats the best possible judge of single numbers. It can, for it is no judge of single
# numbers: in inference, where it must be one, it is far worse than the best. The picture shows why: D's logit for
# each x of one real and one fake batch.

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True)
some = two_batches(128)
names = ("no batch norm", "batch norm first, apart", "batch norm after LeakyReLU, apart")
titles = (
    "no batch norm:\none logit for each x",
    "batch norm first:\nlogits say nothing",
    "after LeakyReLU:\none x, two logits",
)
for panel, name, title in zip(panels, names, titles):
    a, b, _ = seen(players[name][0], *some, "apart")
    panel.plot(some[0], a, "o", color=BLUE, markersize=4, label="in the real batch")
    panel.plot(some[1], b, "x", color=ORANGE, markersize=5, label="in the fake batch")
    panel.axhline(0, color=INK, linewidth=0.8, linestyle=":")
    panel.set(xlabel="x", title=title)
panels[0].set_ylabel("D's logit (above 0: real)")
panels[1].set_ylim(-1, 1)
panels[0].legend(loc="lower left", fontsize=8)
figure.tight_layout()

everywhere = {}
for name in names:
    D = players[name][0]
    probes = np.linspace(0.5, 2.5, 9)[:, None]  # the same x, put into a real and into a fake batch
    everywhere[name] = [D.forward(np.concatenate([probes, batch]))[0][:9] for batch in some]
    gap = float((everywhere[name][0] - everywhere[name][1]).mean())
    print(f"{name}: one x in the real and in the fake batch, logits differ by {abs(gap):.1f}")
assert np.allclose(*everywhere["no batch norm"])
assert (everywhere[names[2]][0] - everywhere[names[2]][1]).min() > 1, "every x looks real beside reals"

# %% [markdown]
# On the right, x = 1.5 is "real" in a real batch and "fake" in a fake batch. LeakyReLU has turned the shift of the
# batch into a change of its *shape*, and batch norm removes shifts and scales but no shapes. So D reads from the
# batch what it is, and says so of each sample.
#
# For G that means: it is judged by its batch. That need not be bad: it punishes a G whose fakes are all alike, and
# a layer of lesson 10 does it on purpose. But D's loss then says nothing about single samples, and log 4 - 2 JSD
# (lesson 03) is no bound for it. In the middle, G is not told to shift at all. Section 3's first
# sum says so, for a D that begins with a batch norm, or with a dense layer and then a batch norm:
#
# $$\sum_n dx_{\mathrm{fake}, n} = 0$$

# %%
for name in names:
    D, _ = players[name]
    logits, cache = D.forward(some[1])
    dx_fake = D.backward(losses.non_saturating.generator(logits)[1], cache, param_grads=False)
    share = abs(dx_fake.sum()) / np.abs(dx_fake).sum()
    print(f"{name}: |sum of dx_fake| is {share:.0%} of the sum of |dx_fake|")
    assert (share < 1e-9) == (name == "batch norm first, apart")

# %% [markdown]
# DCGAN has **no batch norm where D first meets the pixels**, and none at G's output. Its authors give experience as
# the reason (training oscillated otherwise); the line of 0 % above is a good one. In between they kept it, and
# minigan's `dcgan` does the same. `Training` asks D whether it `mixes_samples`: if so, it shows the batches apart,
# and otherwise together, which is faster and gives the same numbers.
#
# Does it matter on images? Train a small DCGAN on digits for a few steps and show one D the same images in three
# ways.

# %%
images, _ = load_digits()
model = dcgan(rng(0), noise=32, width=4 if FAST else 8)
training = Training(model, images, batch=32, lr=1e-3, seed=0)
for _ in range(40 if FAST else 250):
    training.advance()
G, D = model.G, model.D

x_real, z = training.real_batch(), model.draw_noise(rng(7), 32)
x_fake = G.forward(z)[0]
before = D.theta.copy()
ways = {}
for how in ("apart", "together", "inference"):
    a, b, _ = seen(D, x_real, x_fake, how)
    ways[how] = a.ravel(), b.ravel(), judged(a, b)[0]
    print(f"{how:<10} mean logit of reals {a.mean():+.1f}, of fakes {b.mean():+.1f}, D's loss {ways[how][2]:.2f}")
spread = ways["apart"][0].std()
moved = {how: np.abs(ways[how][0] - ways["apart"][0]).mean() / spread for how in ("together", "inference")}
print("one image's logit moves, in standard deviations of the logits:", end=" ")
print(", ".join(f"{how} {by:.1f}" for how, by in moved.items()))
assert min(moved.values()) > 0.05, "one image, another logit"
assert abs(ways["together"][2] - ways["apart"][2]) > 1e-4, "and another loss"
assert np.array_equal(D.theta, before), "with the same weights"

# %% [markdown]
# One D, the same images, the same weights, three losses. When two papers compare the losses of their D, ask first
# how the batches were shown.
#
# ## 8. The leak: one z, many images
#
# **Predict.** In training mode, is G(z) a function of z?
#
# <details><summary>The answer</summary>
#
# No. Every batch norm in G mixes the z of its batch: G(z) is a function of z and of its neighbours. Their part is
# the smaller the larger the batch is.
#
# </details>
#
# How fast does it shrink? Mean and variance of N independent samples scatter like 1/sqrt(N), and for small changes an
# image follows them in proportion:
#
# $$\mathrm{rms}\left(G(z\,|\,\mathrm{batch}) - \overline{G(z)}\right) \propto \frac{1}{\sqrt{N}}$$
#
# Measure it: one z, in many batches of N. (First the running statistics settle: they follow G ten batches
# behind, and here G stands still for the first time.)

# %%
numbers = np.random.default_rng(11)
for _ in range(40 if FAST else 100):
    G.forward(numbers.standard_normal((64, 32), "float32"))


def in_batch(z, others):
    """G's image of z (1, noise) in training mode, in a batch with other z (N - 1, noise)."""
    return G.copy().forward(np.concatenate([z, others]))[0][0, :, :, 0]  # a copy: the statistics stay


sizes, scatter = np.array([8, 16, 32, 64]), []
for N in sizes:
    variances = []
    for seed in range(4):  # four z, each in so many batches
        z = model.draw_noise(rng(seed), 1)
        drawn = [in_batch(z, numbers.standard_normal((N - 1, 32), "float32")) for _ in range(6 if FAST else 12)]
        variances.append(np.var(drawn, axis=0, ddof=1).mean())
    scatter.append(np.sqrt(np.mean(variances)))
slope = np.polyfit(np.log(sizes), np.log(scatter), 1)[0]
print(f"the scatter falls like N to the power {slope:.1f}")
z = model.draw_noise(rng(6), 1)
alone = G(z)[0, :, :, 0]  # inference: it depends on z only
print("inference, alone and among others, gives one image:", end=" ")
among = G(np.concatenate([z, numbers.standard_normal((7, 32), "float32")]))[0, :, :, 0]
print(np.allclose(alone, among, atol=1e-5))
assert abs(slope + 0.5) < 0.2 and np.allclose(alone, among, atol=1e-5)

# %% [markdown]
# And the picture: one z, six batches. The upper row shows its image, the lower row how it differs from the one in
# inference.

# %%
groups = {
    "N = 64, A": numbers.standard_normal((63, 32), "float32"),
    "N = 64, B": numbers.standard_normal((63, 32), "float32"),
    "N = 4, A": numbers.standard_normal((3, 32), "float32"),
    "N = 4, B": numbers.standard_normal((3, 32), "float32"),
    "N = 64, all\nnear this z": z + 0.05 * numbers.standard_normal((63, 32), "float32"),
}
shown = {"inference": alone} | {label: in_batch(z, others) for label, others in groups.items()}

signed = LinearSegmentedColormap.from_list("signed", [ORANGE, "white", BLUE])
figure, axes = plt.subplots(2, 6, figsize=(9, 3.2), layout="constrained")
for (above, below), (label, image) in zip(axes.T, shown.items()):
    above.imshow(-image, cmap="gray", vmin=-1, vmax=1)
    above.set_title(label, fontsize=10)
    picture = below.imshow(image - alone, cmap=signed, vmin=-0.5, vmax=0.5)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
axes[0, 0].set_ylabel("image of one z")
axes[1, 0].set_ylabel("minus inference")
figure.colorbar(picture, ax=axes, label="difference of a pixel", ticks=[-0.5, 0, 0.5])

distance = {label: float(np.sqrt(((image - alone) ** 2).mean())) for label, image in shown.items()}
labels = list(distance)
small = min(distance[label] for label in labels[3:5]) > max(distance[label] for label in labels[1:3])
print("four in the batch differ more than 64:", bool(small))
apart = distance[labels[-1]] / max(distance[label] for label in labels[1:3])
print(f"64 near z differ {apart:.0f} times as much as 64 others do")
assert small and apart > 2

# %% [markdown]
# Pixels go from -1 (paper) to 1 (ink). Mostly the stroke changes: the same figure is drawn bolder or fainter,
# according to its company. In the last column all z of the batch are neighbours, as in a walk from one z to another.
# All their images are nearly one image, and this one is normalised by itself alone: what makes it bolder or fainter
# than others is taken away. So a walk in training mode is not what G shows in inference. Hence: **draw samples in
# inference**, and let the running statistics settle before. `Training.sample` does the first.
#
# Often all images of one batch share something, a stroke or a tint, because they share their statistics. Do not
# take that for mode collapse: draw another batch first.
#
# ## 9. Norms without a batch
#
# The cure is to take the statistics elsewhere. **Layer norm** takes them over all numbers of one sample, **instance
# norm** over the places of one channel of one image. Both have the formulas of sections 1 and 3 with another
# axis, no running statistics, one mode, and no sample sees another. Each pays by what it forgets: a norm cannot
# see an affine change, a > 0, of what it takes its mean over:
#
# $$\frac{(a x + c) - \overline{(a x + c)}}{\mathrm{std}(a x + c)} = \frac{x - \overline{x}}{\mathrm{std}(x)}$$
#
# Batch norm forgets the scale of a channel, layer norm that of a sample (its contrast), instance norm that of each
# channel of each sample. Measured, with scales a and shifts c of these three shapes:


# %%
def instance_norm(x):
    """x (N, H, W, C): each image alone is a batch to batch norm."""
    return np.concatenate([BatchNorm(x.shape[-1]).astype("float64").forward(image[None])[0] for image in x])


x = random.standard_normal((4, 6, 6, 3))
norms = {
    "batch norm": lambda v: BatchNorm(3).astype("float64").forward(v)[0],
    "layer norm": lambda v: LayerNorm((6, 6, 3)).astype("float64").forward(v)[0],
    "instance norm": instance_norm,
}
shapes = {"channel": (1, 1, 1, 3), "sample": (4, 1, 1, 1), "channel and sample": (4, 1, 1, 3)}
changed = np.concatenate([x[:1], 2 * x[1:] + 1])  # the first sample in other company
table = {}
print(f"{'':<15}{'sees the others':<18}forgets a scale and shift for each")
for name, norm in norms.items():
    leaks = not np.allclose(norm(changed)[0], norm(x)[0])
    scaled = {
        what: norm((0.5 + random.random(shape)) * x + random.standard_normal(shape)) for what, shape in shapes.items()
    }
    forgets = [what for what, out in scaled.items() if np.allclose(out, norm(x), atol=1e-3)]
    table[name] = leaks, forgets
    print(f"{name:<15}{'yes' if leaks else 'no':<18}{'; '.join(forgets)}")
assert table == {
    "batch norm": (True, ["channel"]),
    "layer norm": (False, ["sample"]),
    "instance norm": (False, ["channel", "sample", "channel and sample"]),
}

# %% [markdown]
# A gradient penalty (lesson 12) asks for D's slope *at one sample*. With batch norm there is no such thing: its
# authors took layer norm instead, and minigan's batch norm refuses one with a sentence.
#
# ## 10. How the library does it
#
# `minigan.layers.BatchNorm` is your layer, for any number of axes. Its backward is the one line of section 3; the
# two sums go into one line each, and in inference they are left out.

# %%
for function in (BatchNorm._of_batch, BatchNorm.backward):
    print(inspect.getsource(function))

# %% [markdown]
# Two details. The variance is taken of the centred rows, not as mean(x²) - mean(x)²: that difference loses all
# digits in float32 where a channel hardly varies. And one number a channel is refused in training, with a
# sentence: section 4 says why. Yours and the library's agree, in both modes, statistics and all:

# %%
mine, theirs = MyBatchNorm(5).astype("float64"), BatchNorm(5).astype("float64")
same = []
for train in (True, True, False):
    some_x, some_dy = random.normal(2, 3, (7, 5)), random.standard_normal((7, 5))
    pairs = []
    for one in (mine, theirs):
        y, cache = one.forward(some_x, train)
        pairs.append([y, one.backward(some_dy, cache), *one.grads.values(), *one.statistics.values()])
    same.append(all(np.allclose(a, b, rtol=1e-9) for a, b in zip(*pairs)))
print("the same, in training twice and in inference:", same)
assert same == [True, True, True]

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `batch_norm_backward`, leave out the third term (the variance's). The check names it. Would you have seen
#    it in the loss?
# 2. In section 7, put a dense layer *without* LeakyReLU before the batch norm of the blind D, `mlp([Dense(1, 1,
#    rng=rng(0)), BatchNorm(1)], [], 1)`. Can it tell now? Do its gradients towards G still sum to zero?
# 3. In section 7, train the knowing D (batch norm after LeakyReLU) apart, and look at its verdicts in "inference".
#    Whose statistics are the running ones?
# 4. In section 2, give `BatchNorm(WIDTH)` an `eps=0.8`. What do ten layers leave of the signal now?
# 5. In section 8, let all others in the batch be one and the same z, not yours. What does batch norm divide by?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("08.batch_norm_backward", batch_norm_backward)
assert check("08.running_statistics", running_statistics)
assert check("08.eval_backward", eval_backward)
assert gradcheck.check_layer(MyBatchNorm(4), (8, 4))
print("A batch norm with the right backward in both modes, and five ways in which its batch reaches a GAN.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 09**, where DCGAN is put together, and batch norm is taken out to see what happens.
# - S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
#   Shift", *ICML* 2015. Section 3 has the backward in six lines.
# - A. Radford, L. Metz and S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
#   Adversarial Networks", *ICLR* 2016, section 3: where batch norm stands, and where not.
# - T. Salimans et al., "Improved Techniques for Training GANs", *NeurIPS* 2016, section 3.5: virtual batch norm, by
#   the statistics of a fixed batch.
# - I. Goodfellow, "NIPS 2016 Tutorial: Generative Adversarial Networks", arXiv:1701.00160, section 4.3, has a
#   picture of two batches, each with a look of its own.
# - G. Yang, J. Pennington, V. Rao, J. Sohl-Dickstein and S. Schoenholz, "A Mean Field Theory of Batch
#   Normalization", *ICLR* 2019: the π/(π - 1) of section 2 above, and more.
# - J. L. Ba, J. R. Kiros and G. Hinton, "Layer Normalization", arXiv:1607.06450, 2016; D. Ulyanov, A. Vedaldi and V.
#   Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", arXiv:1607.08022, 2016.
# - Issue 116 of the repository PyTorch-GAN on GitHub, "Infogan batchnorm2d layers have eps=0.8 ?".
