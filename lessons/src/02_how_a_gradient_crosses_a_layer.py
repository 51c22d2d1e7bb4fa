# %% [markdown]
# # 02. How does a gradient cross a layer?
#
# A network is a row of layers. Each turns an array x into an array y and hands it on. Behind the last one stands a
# loss, one number. Learning needs the slope of that number along every weight. No layer knows the loss. It is told
# the gradient on its own y, and works out two more: the gradient on its weights, and the gradient on its x, which is
# the y of the layer before. This lesson is about that step.
#
# **You need** lesson 01 (what a backward pass is, and how it is checked) and matrix products. **Time** about 55
# minutes. **You will write** the backward passes of a dense layer, of LeakyReLU, and of two layers in a row. **After
# it** you can derive a backward pass from its forward, you know why a dead unit stays dead, and you know a mistake
# in GANs that passes lesson 01's check and looks like convergence.

# %%
import inspect
import math
import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from minigan import gradcheck
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.layers.activations import sigmoid, softplus
from minigan.layers.init import he
from minigan.network import Sequential

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer points, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# The discriminator D of a GAN is shown a batch of real samples and a batch of fakes: two forward passes. One loss is
# made of both results. Then come two backward passes, first for the real batch, then for the fake one.
#
# Suppose that each layer keeps its input in `self.x` during forward, and uses it in backward. Many tutorials do.
# Every formula is right, and every layer passes the check of lesson 01. What happens?
#
# 1. Both gradients are right.
# 2. It stops with an error.
# 3. The gradient of the fake batch is right, that of the real batch is wrong, and nothing is said.
# 4. Both are wrong, and D's loss does not fall.
#
# Write your answer down, and draw the loss curve that you expect. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. The second forward overwrites `self.x`. The backward pass of the real batch then joins the gradient of the real
#    batch with the activations of the fake one. All shapes fit. The loss does fall, and then it stands still at just
#    the value of a D that cannot tell real from fake. In a GAN this looks like success. Section 7 measures it.
#
# </details>

# %% [markdown]
# ## 1. The dense layer, forward
#
# N samples of I numbers each lie in the rows of x (N, I). The layer has weights W (I, O) and a bias b (O,), and
# gives y (N, O). Every output is a weighted sum of every input of the same sample:
#
# $$y_{no} = \sum_i x_{ni}\, W_{io} + b_o \qquad\text{that is}\qquad y = x W + b$$
#
# The sizes below all differ. That is on purpose, and the next section says why.

# %%
rng = np.random.default_rng(0)
N, I, O = 6, 4, 3  # noqa: E741 (samples, inputs, outputs)
x, W, b = rng.standard_normal((N, I)), rng.standard_normal((I, O)), rng.standard_normal(O)

y = x @ W + b
by_hand = [[sum(x[n, i] * W[i, o] for i in range(I)) + b[o] for o in range(O)] for n in range(N)]
print("x", x.shape, " W", W.shape, " b", b.shape, " y", y.shape)
assert np.allclose(y, by_hand)

# %% [markdown]
# ## 2. The dense layer, backward
#
# Backward is handed dy (N, O), the gradient of the loss L on y: dy_no = ∂L/∂y_no. A d before a name always means the
# gradient of L on that name, an array of the same shape. So dx, dW and db are wanted.
#
# Take one entry x_ni. It acts on the outputs y_n1 ... y_nO of its own sample, on each with the slope W_io. The chain
# rule adds up all the ways by which x_ni reaches the loss:
#
# $$dx_{ni} = \sum_o \frac{\partial y_{no}}{\partial x_{ni}}\, dy_{no} = \sum_o W_{io}\, dy_{no}$$

# %%
dy = rng.standard_normal((N, O))
dx = np.array([[sum(W[i, o] * dy[n, o] for o in range(O)) for i in range(I)] for n in range(N)])
print("dx", dx.shape, "  as a matrix product:", np.allclose(dx, dy @ W.T))
assert np.allclose(dx, dy @ W.T)

# %% [markdown]
# W_io acts on output o of *every* sample, with the slope x_ni. And b_o acts on the same ones, with the slope 1. All
# samples go through the same weights, so both sums run over the batch:
#
# $$dW_{io} = \sum_n x_{ni}\, dy_{no} \qquad\qquad db_o = \sum_n dy_{no}$$

# %%
dW = np.array([[sum(x[n, i] * dy[n, o] for n in range(N)) for o in range(O)] for i in range(I)])
db = np.array([sum(dy[n, o] for n in range(N)) for o in range(O)])
print("dW", dW.shape, "  as a matrix product:", np.allclose(dW, x.T @ dy))
print("db", db.shape, "    as a sum over rows:", np.allclose(db, dy.sum(axis=0)))
assert np.allclose(dW, x.T @ dy) and np.allclose(db, dy.sum(axis=0))

# %% [markdown]
# So there are four products, one forward and three backward. **1** is a column of N ones:
#
# $$y = x\,W + \mathbf{1}\,b \qquad dx = dy\,W^T \qquad dW = x^T dy \qquad db = \mathbf{1}^T dy$$
#
# The picture draws them to scale: a cell is a number. The orange cells make the blue one, and the orange letter is
# the axis that is summed.

# %%
SIZES = {"N": N, "I": I, "O": O, "1": 1}
i, n, o = 2, 2, 1  # the entry that is shown
column = np.s_[:, o]
products = {
    "y = x W + b: a sum over I, the inputs": [
        ("", "y", "NO", np.s_[n, o]), ("=", "x", "NI", np.s_[n, :]), ("", "W", "IO", column),
        ("+", "b", "1O", column),
    ],
    "dx = dy $W^T$: a sum over O, the outputs": [
        ("", "dx", "NI", np.s_[n, i]), ("=", "dy", "NO", np.s_[n, :]), ("", "$W^T$", "OI", np.s_[:, i]),
    ],
    "dW = $x^T$ dy: a sum over N, the batch": [
        ("", "dW", "IO", np.s_[i, o]), ("=", "$x^T$", "IN", np.s_[i, :]), ("", "dy", "NO", column),
    ],
    "db = $1^T$ dy: a sum over N, the batch": [
        ("", "db", "1O", column), ("=", "$1^T$", "1N", np.s_[0, :]), ("", "dy", "NO", column),
    ],
}  # fmt: skip
figure, axes = plt.subplots(2, 2, figsize=(8, 4.9))
for panel, (title, parts) in zip(axes.flat, products.items()):
    left = 0
    for sign, name, (rows, columns), orange in parts:
        cells = np.zeros((SIZES[rows], SIZES[columns]))
        cells[orange] = 1
        middle = len(cells) / 2
        across, down = left + np.arange(cells.shape[1] + 1), middle - np.arange(len(cells) + 1)
        colours = ListedColormap(["w", BLUE if left == 0 else ORANGE])
        panel.pcolormesh(across, down, cells, cmap=colours, vmin=0, vmax=1, edgecolors=INK, linewidth=0.7)
        panel.text(left - 1.9, 0, sign, ha="center", va="center", fontsize=14)
        for letter, spot in ((rows, (left - 0.7, 0)), (columns, (across.mean(), middle + 0.8))):
            summed = letter not in parts[0][2] + "1"  # the result does not have it
            panel.text(*spot, letter, ha="center", va="center", weight="bold", color=ORANGE if summed else INK)
        panel.text(across.mean(), -3.4, f"{name}\n{len(cells)} x {cells.shape[1]}", ha="center", va="top", fontsize=9)
        left += cells.shape[1] + 2.6
    panel.set(xlim=(-1.5, 21), ylim=(-5.6, 4.4), aspect="equal")
    panel.set_title(title, loc="left", fontsize=10)
    panel.axis("off")
figure.tight_layout()

assert np.isclose(y[n, o], x[n, :] @ W[:, o] + b[o]) and np.isclose(dx[n, i], dy[n, :] @ W.T[:, i])
assert np.isclose(dW[i, o], x.T[i, :] @ dy[:, o]) and np.isclose(db[o], np.ones(N) @ dy[:, o])

# %% [markdown]
# The axis that both factors share disappears; it is the letter that the result does not have. This is a way to
# remember the products. Some tutorials make it the derivation: "match the shapes". It is a good check while N, I and
# O differ. Where they are equal, every wrong product fits as well.

# %%
A, B = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))  # W and dy with N = I = O = 4
same_shape, same_numbers = (B @ A).shape == (B @ A.T).shape, np.allclose(B @ A, B @ A.T)
print("dy W and dy W^T: same shape", same_shape, "  same numbers", same_numbers)
assert same_shape and not same_numbers

# %% [markdown]
# So test with sizes that differ. The check below does. Write the backward pass:


# %% exercise="02.dense_backward"
def dense_backward(dy, x, W):
    """dx (N, I), dW (I, O) and db (O,) of y = x W + b, from dy (N, O), x (N, I) and W (I, O)."""
    ### BEGIN SOLUTION
    return dy @ W.T, x.T @ dy, dy.sum(axis=0)
    ### END SOLUTION


# %% check="02.dense_backward"
check("02.dense_backward", dense_backward).raise_if_wrong()

# %% [markdown]
# The same comes out without any thinking about indices, in the **long form**: break forward into the smallest steps,
# and undo each. Only two kinds of step change a shape: *copying* one number to many places (NumPy calls it
# broadcasting), and *adding* many numbers into one. Each is the other's backward. A number that was copied gets the
# sum of what its copies get; numbers that were added all get a copy.


# %%
def long_form(dy, x, W, b):
    # forward
    x_copies = np.broadcast_to(x[:, :, None], (N, I, O))  # every input is copied, once for each output
    W_copies = np.broadcast_to(W[None, :, :], (N, I, O))  # every weight is copied, once for each sample
    terms = x_copies * W_copies  # (N, I, O)
    sums = terms.sum(axis=1)  # (N, O)
    b_copies = np.broadcast_to(b[None, :], (N, O))  # every bias is copied, once for each sample
    y = sums + b_copies  # (N, O)

    # backward, from the last line to the first
    dsums, db_copies = dy, dy  # a plus hands dy to both
    db = db_copies.sum(axis=0)  # copied over samples: summed over samples
    dterms = np.broadcast_to(dsums[:, None, :], (N, I, O))  # summed over inputs: copied over inputs
    dx_copies, dW_copies = dterms * W_copies, dterms * x_copies  # a product: times the other factor
    dW = dW_copies.sum(axis=0)  # copied over samples: summed over samples
    dx = dx_copies.sum(axis=2)  # copied over outputs: summed over outputs
    return y, dx, dW, db


layer = Dense(I, O, rng=rng).astype(np.float64)
layer.params["W"][...], layer.params["b"][...] = W, b
library_y, cache = layer.forward(x)
library = layer.backward(dy, cache), layer.grads["W"], layer.grads["b"]
yours, (long_y, *long) = dense_backward(dy, x, W), long_form(dy, x, W, b)
print("long form = yours:", all(map(np.allclose, long, yours)))
print("yours = the library's:", all(map(np.allclose, yours, library)))
assert np.allclose(long_y, y) and np.allclose(library_y, y)
assert all(map(np.allclose, long, yours)) and all(map(np.allclose, yours, library))

# %% [markdown]
# The library's, below, returns what it must remember, its **cache**, beside y; section 7 says why. It *adds* to
# `grads`, because a second batch may come. `column_sums` is a fast `sum(axis=0)`. And a caller without use for one
# of the gradients can leave it out.

# %%
for method in (Dense.forward, Dense.backward):
    print(inspect.getsource(method))

# %% [markdown]
# ## 3. Sum or mean?
#
# **Predict.** "The gradient is averaged over the batch", says a tutorial, and its dense layer divides dW and db by
# N. Its loss is the mean over the batch. By which factor is dW wrong?
#
# <details><summary>The answer</summary>
#
# By 1/N. The mean is part of the loss, and its 1/N is in dy already. The layer divides again.
#
# </details>
#
# In formulas, with the loss a mean over the samples, each with a loss ℓ of its own:
#
# $$L = \frac{1}{N} \sum_n \ell_n(y_n) \quad\Rightarrow\quad
# dy_{no} = \frac{1}{N} \frac{\partial \ell_n}{\partial y_{no}}$$
#
# The 1/N comes in here, and only here. In the cell, ℓ is half the squared distance to a target.

# %%
target = rng.standard_normal((N, O))


def numeric(f, v, h=1e-5):
    """The gradient of f at v by central differences (lesson 01)."""
    steps = [h * e.reshape(v.shape) for e in np.eye(v.size)]
    return np.array([(f(v + e) - f(v - e)) / (2 * h) for e in steps]).reshape(v.shape)


truth = numeric(lambda v: 0.5 * ((x @ v + b - target) ** 2).sum() / N, W)
summed = dense_backward((y - target) / N, x, W)[1]
print("the layer adds up: right", np.allclose(summed, truth, atol=1e-8))
print(f"the layer divides by N = {N}: too small by a factor of {(truth / (summed / N)).mean():.1f}")
assert np.allclose(summed, truth, atol=1e-8)

pieces = [dense_backward(dy[k], x[k], W)[1] for k in (slice(0, 4), slice(4, 6))]
print("dW of 4 samples + dW of 2 others = dW of all 6:", np.allclose(pieces[0] + pieces[1], dW))
one_by_one = sum(np.outer(x[n], dy[n]) for n in range(N))
assert np.allclose(pieces[0] + pieces[1], dW) and np.allclose(one_by_one, dW)

# %% [markdown]
# With plain gradient descent a network that divides twice learns N times too slowly. With Adam, which divides the
# size of a gradient away, nothing is seen, until a term is added to the loss that does not go through the layer: it
# weighs N times too much. And sums have what means have not: pieces of a batch, of any size, add up to the whole.
#
# ## 4. Activations
#
# Dense layers in a row are one dense layer: (x V) W = x (V W). So between them stands a function s that bends. It
# works on each number alone, each output depends on one input, and nothing is summed. (⊙: entry by entry.)
#
# $$y = s(x) \qquad\Longrightarrow\qquad dx = s'(x) \odot dy$$
#
# | s(x) | s'(x) | what backward needs |
# |---|---|---|
# | ReLU: x where x > 0, else 0 | 1 where x > 0, else 0 | the sign of x |
# | LeakyReLU: x where x > 0, else 0.2 x | 1 where x > 0, else 0.2 | the sign of x |
# | tanh x | 1 - y^2 | y |
# | sigmoid σ(x) = 1 / (1 + e^-x) | y (1 - y) | y |

# %%
points, everywhere = np.array([-3.0, -0.7, 0.4, 2.0]), np.linspace(-4.05, 4.05, 82)
activations = {
    "ReLU": (ReLU(), lambda x, y: 1.0 * (x > 0)),
    "LeakyReLU": (LeakyReLU(0.2), lambda x, y: np.where(x > 0, 1.0, 0.2)),
    "tanh": (Tanh(), lambda x, y: 1 - y**2),
    "sigmoid": (Sigmoid(), lambda x, y: y * (1 - y)),
}
steepest = {}
for name, (s, slope) in activations.items():
    value, cache = s.forward(everywhere)
    difference = (s.forward(everywhere + 1e-5)[0] - s.forward(everywhere - 1e-5)[0]) / 2e-5
    assert np.allclose(slope(everywhere, value), difference, atol=1e-9)
    assert np.allclose(s.backward(np.full(82, 10.0), cache), 10 * difference, atol=1e-8)  # dy = 10
    steepest[name] = difference.max()
    print(f"{name:<10} s' at {points}:", np.round(slope(points, s.forward(points)[0]), 2))
at_most = steepest["sigmoid"]
print(f"sigmoid's slope is at most {at_most:.2f}, and ten in a row leave at most {at_most**10:.0e} of dy")
assert all(0.99 < steepest[name] < 1.01 for name in ("ReLU", "LeakyReLU", "tanh")) and steepest["sigmoid"] <= 0.25

# %% [markdown]
# Ten sigmoids leave a millionth of the gradient. (Weights between them may make up for it, or make it worse.) So
# hidden layers use the other three; the sigmoid's place is after the last layer, where a probability is wanted.
#
# tanh and the sigmoid can say their slope with y, which is there already. So the library keeps y and
# lets x go. For the sigmoid, by the chain rule through 1/u and u = 1 + e^-x:
#
# $$\sigma' = \frac{e^{-x}}{(1 + e^{-x})^2} = \frac{1}{1 + e^{-x}} \cdot \frac{e^{-x}}{1 + e^{-x}} = y\,(1 - y)$$

# %%
layer, e = Sigmoid(), np.exp(-x)
p, cache = layer.forward(x)
library_dx = layer.backward(np.ones_like(x), cache)
print("both forms = the library's:", np.allclose(e / (1 + e) ** 2, library_dx), np.allclose(p * (1 - p), library_dx))
assert np.allclose(e / (1 + e) ** 2, library_dx) and np.allclose(p * (1 - p), library_dx)

far = np.float32([-100])
with np.errstate(over="ignore", invalid="ignore"):  # e^100 is infinite in float32
    long_slope = np.exp(-far) / (1 + np.exp(-far)) ** 2
short_slope = layer.backward(np.ones_like(far), layer.forward(far)[1])
print("slope at x = -100 in float32: long form", long_slope[0], "  short form finite:", np.isfinite(short_slope[0]))
assert np.isnan(long_slope[0]) and np.isfinite(short_slope[0])

# %% [markdown]
# The short form does not only save work: it stays a number where the long one does not.
#
# Write LeakyReLU's backward. At x = 0 it has no slope; take that of the left side, as most libraries do. Keep
# float32 as float32: `np.where(x > 0, 1.0, slope)` is a float64 array, whatever x is.


# %% exercise="02.leaky_relu_backward"
def leaky_relu_backward(dy, x, slope):
    """dx (N, I) of y = x where x > 0 and slope * x elsewhere, from dy (N, I), x (N, I) and the slope, a number."""
    ### BEGIN SOLUTION
    return np.where(x > 0, dy, slope * dy)
    ### END SOLUTION


# %% check="02.leaky_relu_backward"
check("02.leaky_relu_backward", leaky_relu_backward).raise_if_wrong()

# %% [markdown]
# The library's looks different. It multiplies by a mask of True and False, which is faster in NumPy than `where`. And
# it keeps y, which is positive exactly where x is.

# %%
print(inspect.getsource(LeakyReLU.backward))
leaky = LeakyReLU(0.2)
library_dx = leaky.backward(dy, leaky.forward(y)[1])
print("yours = the library's:", np.allclose(leaky_relu_backward(dy, y, 0.2), library_dx))
assert np.allclose(leaky_relu_backward(dy, y, 0.2), library_dx)

# %% [markdown]
# ## 5. Dead units
#
# A unit is one output of a dense layer, with its ReLU. **Predict.** For none of the samples is its input to ReLU
# positive. How many steps of gradient descent does it take to come back?
#
# <details><summary>The answer</summary>
#
# It does not come back. ReLU's slope is 0 for every sample, so its column of dW and its db are sums of zeros. As
# long as the data and the layers before it stay, its weights never move again. One says: the unit is *dead*.
#
# </details>
#
# When does this happen? Let the inputs be independent standard normal numbers and w a unit's weights. Then w·x + b
# is normal with mean b and standard deviation |w|. With Φ the normal distribution function, one sample leaves the
# unit silent with the probability Φ(-b/|w|), and N independent samples all do with
#
# $$P(\text{dead}) = \Phi\left(-\frac{b}{|w|}\right)^N$$

# %%
BATCH, INPUTS, UNITS = 256, 32, 100 if FAST else 300
draws = np.random.default_rng(5)
data = draws.standard_normal((BATCH, INPUTS))
Phi = np.vectorize(lambda t: 0.5 * (1 + math.erf(t / math.sqrt(2))))


def units(scale, bias):
    """A layer with |w| near `scale`: weights, activations, and which units are dead, with the formula's share."""
    weights = draws.standard_normal((INPUTS, UNITS)) * scale / math.sqrt(INPUTS)
    a = data @ weights + bias
    return weights, a, (a <= 0).all(axis=0), (Phi(-bias / np.linalg.norm(weights, axis=0)) ** BATCH).mean()


weights, a, dead, share = units(scale=1, bias=-3)
print("|w| = 1, b = -3: dead as the formula says, to a tenth of all units:", bool(abs(dead.mean() - share) < 0.1))
assert abs(dead.mean() - share) < 0.1 and 0.5 < share < 0.8
upstream = draws.standard_normal(a.shape)
for slope in (0.0, 0.2):  # ReLU is LeakyReLU with slope 0
    _, dweights, dbias = dense_backward(leaky_relu_backward(upstream, a, slope), data, weights)
    stuck = (dweights == 0).all(axis=0) & (dbias == 0)
    print(f"slope {slope}: {dead.sum()} of {UNITS} units never fire, {stuck.sum()} have a gradient of exactly 0")
    assert np.array_equal(stuck, dead) if slope == 0 else not stuck.any()

# %% [markdown]
# The formula knows only the ratio b/|w|. So a map over both should be cut by a straight line through the origin. For
# N = 256 half of the units are dead where Φ(-b/|w|)^256 = 1/2, which is b = -2.78 |w|.
#
# Biases start at 0, where the share is 2^-256. How do they get there? By steps that are too long. For the right
# picture a small D learns to tell a ring of real points from a cloud of fakes, by 100 steps of gradient descent, and
# we count its dead units. (The loss in `train` is the logistic one; section 7 needs it, and lesson 03 derives it.)
# Where all are dead, we also look at dx at D's input, from which a generator learns.


# %%
def points_of(draws, n):
    """A real batch, on a ring, and a fake one, a cloud at its centre: (n, 2) each."""
    angle = draws.random(n) * 2 * math.pi
    real = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * draws.standard_normal((n, 2))
    return real.astype(np.float32), (0.4 * draws.standard_normal((n, 2))).astype(np.float32)


def train(dense, activation, lr, steps, seed=1, N=64):
    """A D with one hidden layer, and its loss before each step of gradient descent."""
    draws, losses = np.random.default_rng(seed), []
    D = Sequential(dense(2, 64, rng=draws, init=he), activation, dense(64, 1, rng=draws, init=he))
    for _ in range(steps):
        real, fake = points_of(draws, N)
        s_real, cache_real = D.forward(real)
        s_fake, cache_fake = D.forward(fake)
        losses.append(softplus(-s_real).mean() + softplus(s_fake).mean())
        D.zero_grad()
        D.backward((sigmoid(s_real) - 1) / N, cache_real, input_grad=False)
        D.backward(sigmoid(s_fake) / N, cache_fake, input_grad=False)  # added to that of the real batch
        D.theta -= lr * D.grad
    return D, np.array(losses)


biases, scales = np.linspace(-5, 1, 13 if FAST else 37), np.linspace(0.1, 2, 8 if FAST else 20)
cells = [[units(scale, bias)[2:] for bias in biases] for scale in scales]
measured, formula = (np.array([[np.mean(cell[k]) for cell in row] for row in cells]) for k in (0, 1))
rates, seeds = (np.array([0.25, 2, 16]), (1, 2, 3)) if FAST else (2.0 ** np.arange(-2, 5), (1, 2, 3, 4, 5))
seen = np.concatenate(points_of(np.random.default_rng(9), 500))
nets = [[train(Dense, ReLU(), rate, 100, seed)[0].params for seed in seeds] for rate in rates]
shares = np.array([[(seen @ D["0.W"] + D["0.b"] <= 0).all(axis=0).mean() for D in row] for row in nets])

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), width_ratios=(6, 5))
image = left.pcolormesh(biases, scales, measured, cmap="Greys", vmin=0, vmax=1)
left.plot(-2.78 * scales, scales, "--", color=ORANGE, linewidth=2)
left.text(-3.6, 1.5, "b = -2.78 |w|", color=ORANGE, fontsize=10, weight="bold")
left.set(xlabel="bias b", ylabel="size of the weights |w|", xlim=(-5, 1), title="Dead by bias: a straight border")
figure.colorbar(image, ax=left, label="share of dead units")
right.semilogx(np.repeat(rates, shares.shape[1]), shares.ravel(), "o", color=BLUE, markersize=5, alpha=0.5)
right.semilogx(rates, np.median(shares, axis=1), color=BLUE)
right.set(xlabel="learning rate", ylabel="share of dead units", ylim=(-0.05, 1.05), title="Dead by long steps")
right.set_xticks(rates, [f"{rate:g}" for rate in rates])
right.minorticks_off()
figure.tight_layout()

at_rate, at_seed = np.unravel_index(shares.argmax(), shares.shape)
W1, b1, W2, _ = nets[at_rate][at_seed].values()
a = seen @ W1 + b1
for slope in (0.0, 0.2):
    da = leaky_relu_backward(dense_backward(np.ones((len(seen), 1)), a, W2)[0], a, slope)
    nothing = (dense_backward(da, seen, W1)[0] == 0).all(axis=1)
    print(f"all dead, slope {slope}: dx is exactly zero at {nothing.sum()} of {len(seen)} points")
    assert nothing.all() if slope == 0 else not nothing.any()
assert np.abs(measured - formula).mean() < 0.02 and np.abs(measured - formula).max() < 0.2
assert abs(Phi(2.78) ** 256 - 0.5) < 0.01
assert (shares[0] == 0).all() and (shares[-1] > 0.9).all()

# %% [markdown]
# The generator gets nothing, and D does not come back. With the slope 0.2 in the same place a gradient arrives at
# every point. This is a reason why discriminators use LeakyReLU.
#
# ## 6. Two layers in a row
#
# Backward goes from the loss to the input: the dx of one layer is the dy of the layer before. Take Dense, tanh,
# Dense, with x (N, I), a and h (N, H), y (N, O):
#
# $$a = x W_1 + b_1 \qquad h = \tanh a \qquad y = h W_2 + b_2$$
#
# Three steps lead back, and there is nothing new in them. Each leaves its layer's gradients behind.
#
# $$dh = dy\, W_2^T \qquad da = (1 - h^2) \odot dh \qquad dx = da\, W_1^T$$

# %%
H = 5
W1, b1, W2, b2 = (rng.standard_normal(shape) for shape in ((I, H), (H,), (H, O), (O,)))

a = x @ W1 + b1
h = np.tanh(a)
y = h @ W2 + b2
dh = dy @ W2.T
da = (1 - h**2) * dh
dx = da @ W1.T
truth = numeric(lambda v: ((np.tanh(v @ W1 + b1) @ W2 + b2) * dy).sum(), x)
print("dy", dy.shape, "-> dh", dh.shape, "-> da", da.shape, "-> dx", dx.shape, "  right:", np.allclose(dx, truth))
assert np.allclose(dx, truth, atol=1e-8)

# %% [markdown]
# Write the whole backward pass, with the gradients of all weights. You may use your `dense_backward` twice. Before
# each use, ask: what was *this* layer's input?


# %% exercise="02.chain_backward"
def chain_backward(dy, x, h, W1, W2):
    """dx, dW1, db1, dW2 and db2 of y = h W2 + b2, h = tanh(x W1 + b1), from dy (N, O), x (N, I) and h (N, H)."""
    ### BEGIN SOLUTION
    dh, dW2, db2 = dense_backward(dy, h, W2)
    da = dh * (1 - h**2)
    dx, dW1, db1 = dense_backward(da, x, W1)
    return dx, dW1, db1, dW2, db2
    ### END SOLUTION


# %% check="02.chain_backward"
check("02.chain_backward", chain_backward).raise_if_wrong()

# %% [markdown]
# `Sequential` is this for any number of layers. Its forward collects the caches, and its backward walks the list
# from the end. (`seen`, `first` and the flags are for callers that want more or less than all.)

# %%
net = Sequential(Dense(I, H, rng=rng), Tanh(), Dense(H, O, rng=rng)).astype(np.float64)
for name, value in {"0.W": W1, "0.b": b1, "2.W": W2, "2.b": b2}.items():
    net.params[name][...] = value
library = [net.backward(dy, net.forward(x)[1]), *net.grads.values()]
yours = chain_backward(dy, x, h, W1, W2)
print("yours = the library's, for x,", ", ".join(net.grads), ":", all(map(np.allclose, yours, library)))
assert len(yours) == len(library) and all(map(np.allclose, yours, library))
assert gradcheck.check_network(net, (4, I)), "and the library's is right"

code = inspect.getsource(Sequential.backward)
print(code[code.index("        check_cache") :])

# %% [markdown]
# ### Two traps
#
# **Shapes.** D gives one score for each sample, s (N, 1), and labels t often come as
# (N,). NumPy subtracts a row from a column without a word: it returns the difference of every score and every label.
# The loss is a number, and even falls. But its gradient pulls each score to the mean of *all* labels:
#
# $$\frac{\partial}{\partial s_n} \frac{1}{2N^2} \sum_{n,m} (s_n - t_m)^2 = \frac{1}{N} (s_n - \bar t\,)$$
#
# **float32.** Networks are trained in it: half the memory, and seven digits, which is plenty for a step. One float64
# array on the way turns all that follow into float64. Usual sources are `np.zeros(shape)`, `np.where(mask, 1.0,
# 0.2)`, and random numbers.

# %%
s, t = rng.standard_normal((N, 1)), np.array([1.0, 1, 1, 0, 0, 0])
print("s", s.shape, "- t", t.shape, "->", (s - t).shape, "   s - t[:, None] ->", (s - t[:, None]).shape)
pull = numeric(lambda v: 0.5 * ((v - t) ** 2).mean(), s)
print("every score is pulled to the mean label:", np.allclose(pull, (s - t.mean()) / N))
assert (s - t).shape == (N, N) and np.allclose(pull, (s - t.mean()) / N, atol=1e-9)

x32 = x.astype(np.float32)
masked = x32 * np.where(x32 > 0, 1.0, 0.2)
print("x32 * 0.2:", (x32 * 0.2).dtype, "   x32 * np.where(x32 > 0, 1.0, 0.2):", masked.dtype)
single = chain_backward(*(v.astype(np.float32) for v in (dy, x, h, W1, W2)))
error = max(np.abs(few - many).max() / np.abs(many).max() for few, many in zip(single, yours))
print("your chain in float32:", {g.dtype.name for g in single}, "  right to 5 digits:", bool(error < 1e-5))
assert masked.dtype == np.float64 and {g.dtype.name for g in single} == {"float32"} and error < 1e-5

# %% [markdown]
# ## 7. The cache belongs to the call
#
# Backward needs the x or y of its forward. Where shall they wait? Back to the prediction: a real and a fake batch,
# two forwards, two backwards. With one slot, the real batch's backward finds what the fake batch left. In your
# function:

# %%
real, fake = (rng.standard_normal((64, I)) + shift for shift in (1, -1))
h_real, h_fake = np.tanh(real @ W1 + b1), np.tanh(fake @ W1 + b1)
dy_real = rng.standard_normal((64, O))

right = chain_backward(dy_real, real, h_real, W1, W2)
slot = chain_backward(dy_real, fake, h_fake, W1, W2)  # dy of the real batch, activations of the fake one
for name, good, bad in zip(("dx", "dW1", "db1", "dW2", "db2"), right, slot):
    cosine = (good * bad).sum() / np.linalg.norm(good) / np.linalg.norm(bad)
    print(f"{name:<5} relative error {np.linalg.norm(bad - good) / np.linalg.norm(good):.1f}   cosine {cosine:+.1f}")
    assert cosine < 0.9 or name == "db2"
assert np.array_equal(right[-1], slot[-1]), "db2 is right: it needs no activation"

# %% [markdown]
# A cosine of 1 would be the right direction. Does a gradient check see it? Here are two of the library's layers,
# changed so that they keep their cache on themselves.


# %%
class OneSlot:
    def forward(self, x, train=True):
        y, self.slot = super().forward(x, train)
        return y, None

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return super().backward(dy, self.slot, param_grads, input_grad)


class OneSlotDense(OneSlot, Dense):
    """Dense, and the next forward overwrites what this one's backward needs."""


class OneSlotLeakyReLU(OneSlot, LeakyReLU):
    """LeakyReLU, with the same fault."""


report = gradcheck.check_layer(OneSlotDense(I, O, rng=rng), (5, I))
print("one forward, one backward: every gradient right:", all(not row.diagnosis for row in report.rows))
print("two forwards, then two backwards:", report.contract["two caches kept apart"])
assert all(row.relative_error < 1e-6 for row in report.rows) and not report
assert "only the last of several caches is right" in report.contract["two caches kept apart"]
assert gradcheck.check_layer(Dense(I, O, rng=rng), (5, I)), "with a cache for each call, in either order"

# %% [markdown]
# Every gradient is right, and the layer is wrong. What finds it is **two forwards, then two backwards**, held
# against each pair on its own. `gradcheck` does that for every layer.
#
# Now training, from the same weights, on the same ring and cloud. The logistic loss wants high scores for real
# samples and low ones for fakes:
#
# $$L = \frac{1}{N} \sum_n \log\left(1 + e^{-s^{\text{real}}_n}\right) +
# \frac{1}{N} \sum_n \log\left(1 + e^{s^{\text{fake}}_n}\right)$$
#
# A D that cannot tell the two apart does best with the score 0 for all: L = 2 log 2 = log 4 = 1.386 nats.

# %%
steps = 250 if FAST else 600
runs = {
    "one slot": train(OneSlotDense, OneSlotLeakyReLU(0.2), 0.2, steps),
    "a cache per call": train(Dense, LeakyReLU(0.2), 0.2, steps),
}
grid = np.linspace(-1.6, 1.6, 41)
plane = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float32)
real, fake = points_of(np.random.default_rng(2), 80)
figure, panels = plt.subplots(1, 3, figsize=(8, 3.0), width_ratios=(5, 4, 4.9))
for (name, (D, losses)), colour, dashes, panel in zip(runs.items(), (ORANGE, BLUE), ("--", "-"), panels[:0:-1]):
    panels[0].plot(losses, dashes, color=colour, linewidth=1.2, label=name)
    scores = panel.pcolormesh(grid, grid, D(plane).reshape(41, 41), cmap="PuOr_r", vmin=-4, vmax=4)
    panel.plot(*real.T, "o", color="w", markeredgecolor=INK, markersize=4, markeredgewidth=0.6)
    panel.plot(*fake.T, "x", color=INK, markersize=4)
    panel.set(title=name, xticks=[], yticks=[], aspect="equal")
panels[0].axhline(math.log(4), color=INK, linewidth=0.8, linestyle=":")
panels[0].set(xlabel="step", ylabel="D's loss (nats)", ylim=(0, 2), title="Both fall, one to log 4")
panels[0].legend(loc="center right", bbox_to_anchor=(1, 0.53), fontsize=9)
figure.colorbar(scores, ax=panels[2], label="D's score s", shrink=0.8)
figure.tight_layout()

(_, slot_losses), (D, losses) = runs.values()
undecided = np.log(1 + np.exp(-0.0)) + np.log(1 + np.exp(0.0))  # the formula, with the score 0 for all
print(f"undecided: {undecided:.3f} nats = log 4.  One slot: {slot_losses[:3].mean():.1f} at first, "
      f"{slot_losses[-100:].mean():.2f} at last.  A cache per call: {losses[-100:].mean():.1f} at last.")  # fmt: skip
assert np.isclose(undecided, math.log(4)) and abs(slot_losses[-100:].mean() - undecided) < 0.02
assert slot_losses[:3].mean() > 1.5 and losses[-100:].mean() < 0.7

# %% [markdown]
# White circles are real points, crosses are fakes. The map in the middle finds the ring. The right one has the score
# 0 wherever one looks: its backward pass has never met a real point, and on the fakes it is pulled up as much as
# down. Its loss fell, and rests at log 4. **In the theory of GANs, log 4 is the sign of success**: the generator is
# so good that D cannot tell any more. Here it is the sign of a bug, and nothing in the curve tells the two apart.
#
# Could the real batch's backward come before the fake batch's forward? Here, yes. But not where the loss of one
# batch depends on the scores of the other, as in relativistic GANs, nor with the third batch of a gradient penalty.
# A cache per call has no order to keep. It must only not outlive the weights that made it: this is what
# `check_cache`, the first line of `Sequential.backward`, refuses.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `dense_backward`, return `dy.mean(axis=0)` for db. What does the check say? Go on without the check: which
#    assertion is the first to fail, and does the blue curve of the last picture change?
# 2. In section 5, draw `data` with `draws.random`: positive numbers, as pixels often are. Which units are dead now
#    without any bias, and what have their weights in common?
# 3. Let the fakes lie on the ring, too (in `points_of`). With which loss does the right D end now? Can you still
#    tell the two curves apart?
# 4. In `train`, swap the two backward calls. Then swap the two forward calls instead. Which samples does the backward
#    pass of the one-slot D meet in each case? Does its map change?
# 5. In `train`, draw fewer fakes than real points. What does the one-slot D do now, and why only now?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("02.dense_backward", dense_backward)
assert check("02.leaky_relu_backward", leaky_relu_backward)
assert check("02.chain_backward", chain_backward)
print("Backward passes of a dense layer, an activation and a chain of them, and a cache for each call.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 03**: the loss behind D, where the first dy of all comes from.
# - D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors", *Nature* 323,
#   1986: four pages, with the formulas of this lesson.
# - I. Goodfellow, Y. Bengio and A. Courville, *Deep Learning*, MIT Press 2016, section 6.5: back-propagation through
#   any graph of operations, and why it goes from the end to the start.
# - X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", *AISTATS*
#   2010: what sigmoid and tanh do to activations and gradients, layer by layer.
# - A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network acoustic models", *ICML Workshop
#   on Deep Learning for Audio, Speech and Language Processing*, 2013: where LeakyReLU comes from.
# - A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep convolutional generative
#   adversarial networks", *ICLR* 2016: LeakyReLU with the slope 0.2 in D.
