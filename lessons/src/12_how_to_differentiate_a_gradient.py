# %% [markdown]
# # 12. How do you differentiate a gradient?
#
# Lesson 11 needed a critic whose slope is nowhere above 1, and clipped its weights to get one. That is crude. Why not
# tell the critic what is wanted: "your slope shall have length 1", and make it pay for every difference? Then a
# gradient stands *inside* the loss. To train with it, one needs the gradient of a gradient. Frameworks do it behind
# a flag (`create_graph=True`). Here you do it by hand, and it turns out to need nothing that you do not have.
#
# **You need** lesson 01 (the gradient check), lesson 02 (backward passes) and lesson 11 (W1, the critic). **Time**
# about 60 minutes. **You will write** the points where the slope is looked at, the price of a slope with its
# derivative, and the backward of a backward. **After it** you can train a WGAN-GP without any framework, you know
# which mistakes its penalty invites, and you know what it means, and what it does not, that a critic has slope 1.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from minigan import penalty
from minigan.data import toy
from minigan.exercises import check
from minigan.layers import Conv, Dense, Flatten, LeakyReLU, Tanh, he
from minigan.layers.base import Diagonal
from minigan.losses import wasserstein
from minigan.network import Sequential
from minigan.optim import SGD, Adam
from minigan.penalty import gradient_penalty, straight_critic

FAST = os.environ.get("MINIGAN_FAST") == "1"  # shorter trainings, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"  # blue is real, orange is fake, dark is the critic
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# A critic of dense layers and LeakyReLU is made of flat pieces. Seen from x it has no second derivative: on each
# piece its slope g = dD/dx is constant. A penalty P is a function of g. What is the gradient of P on the critic's
# weights W and biases b?
#
# 1. Zero on all of them: P consists of slopes, and to move a slope takes a second derivative.
# 2. Something on the weights, exactly zero on the biases.
# 3. Something on the weights and on the biases.
#
# Write your answer down, and also: can P be *lowered* by moving a bias? Then unfold.
#
# <details><summary>The answer</summary>
#
# 2. On a piece, g is a product of weights, so it changes with them. A bias only moves the border of the piece. Yet
#    moving a border across a sample changes P: so P can be lowered by a bias, and no gradient says how. Section 5
#    has the picture.
#
# </details>

# %% [markdown]
# ## 1. The points: your first hole
#
# The best critic of lesson 11 has slope 1 along the lines on which real mass and fake mass are carried to each
# other. Gulrajani and others (2017) therefore ask for it on lines from a real to a fake sample. Each sample n gets
# one number t_n, uniform between 0 and 1:
#
# $$\hat{x}_n = t_n\, x_n^{real} + (1 - t_n)\, x_n^{fake}$$
#
# x may be points (N, I), images (N, height, width, C), or have any number of axes. Draw all t_n with one call of
# `rng.random`; float64 is fine.


# %% exercise="12.between"
def between(x_real, x_fake, rng):
    """t x_real + (1 - t) x_fake with one t, uniform on [0, 1), for each sample: an array of x_real's shape."""
    ### BEGIN SOLUTION
    t = rng.random((len(x_real), *(1 for _ in x_real.shape[1:])))  # (N, 1, ..., 1)
    return t * x_real + (1 - t) * x_fake
    ### END SOLUTION


# %% check="12.between"
check("12.between", between).raise_if_wrong()

# %% [markdown]
# Two mistakes from teaching code, measured. In the first, t comes from a normal distribution. In the second, each
# pixel has its own t. Let t' be the place of such a point along the line, the share that its projection has:
#
# $$t'_n = \frac{\langle \hat{x}_n - x_n^{fake},\; x_n^{real} - x_n^{fake} \rangle}{|x_n^{real} - x_n^{fake}|^2}$$

# %%
rng = np.random.default_rng(0)
x_real, x_fake = rng.standard_normal((2, 4000, 8, 8, 1))  # (N, 8, 8, 1), images of noise


def place(x_hat):
    """t' (N,), and how far from its line each point lies, in lengths of the line."""
    d, v = (x_real - x_fake).reshape(4000, -1), (x_hat - x_fake).reshape(4000, -1)  # (N, 64)
    t = (v * d).sum(axis=1) / (d * d).sum(axis=1)
    return t, np.linalg.norm(v - t[:, None] * d, axis=1) / np.linalg.norm(d, axis=1)


pixel, normal = rng.random(x_real.shape), rng.standard_normal((4000, 1, 1, 1))
mix = lambda t: t * x_real + (1 - t) * x_fake
for name, x_hat in (("uniform", between(x_real, x_fake, rng)), ("normal", mix(normal)), ("per pixel", mix(pixel))):
    t, away = place(x_hat)
    outside, middle = np.mean((t < 0) | (t > 1)), np.mean(abs(t - 0.5) < 1 / 6)
    print(f"{name:<10}outside {outside:.2f}   in the middle third {middle:.2f}   off the line {away.mean():.2f}")
    expected = {"uniform": (0, 1 / 3, 0), "normal": (0.66, 0.12, 0), "per pixel": (0, 0.98, 0.29)}[name]
    assert np.allclose((outside, middle, away.mean()), expected, atol=0.03)

# %% [markdown]
# With the normal distribution two thirds of all points lie beyond a real or a fake sample. With a t for each pixel
# the many t average out: every point is about halfway, and beside its line.
#
# ## 2. The price of a slope: your second hole
#
# Let g_n be the slope of D at the n-th point: an array of the sample's shape. Its length |g_n| is the root of the
# sum of squares over **all axes** of the sample. The penalty, with the weight λ, is a mean over samples:
#
# $$P = \frac{\lambda}{N} \sum_n (|g_n| - 1)^2$$
#
# Its derivative on g_n takes the chain rule once: |g| has the derivative g/|g|, the direction of g.
#
# $$u_n = \frac{\partial P}{\partial g_n} = \frac{2 \lambda}{N} \, (|g_n| - 1) \, \frac{g_n}{|g_n|}$$
#
# Where g_n is zero it has no direction, and the formula is 0/0. Divide by max(|g_n|, 1e-6) there: u_n is then 0.
# The cell evaluates both for one sample with g = (3, 4).

# %%
g_one, lam = np.array([3.0, 4.0]), 10.0
price = lambda g: lam * (np.linalg.norm(g) - 1) ** 2
u_one = 2 * lam * (np.linalg.norm(g_one) - 1) * g_one / np.linalg.norm(g_one)


def numeric(f, v, h=1e-5):
    """The gradient of f at v by central differences (lesson 01)."""
    steps = [h * e.reshape(v.shape) for e in np.eye(v.size)]
    return np.array([(f(v + e) - f(v - e)) / (2 * h) for e in steps]).reshape(v.shape)


def off(a, b):
    """The largest difference of two arrays, over the largest number of the second."""
    return np.abs(a - b).max() / np.abs(b).max()


print("P =", price(g_one), "  u =", u_one, "  numeric:", numeric(price, g_one).round(6))
assert off(u_one, numeric(price, g_one)) < 1e-9


# %% exercise="12.slope_penalty"
def slope_penalty(g, weight):
    """P, a number, and u = dP/dg of g's shape, for the slopes g (N, ...) of N samples."""
    ### BEGIN SOLUTION
    length = np.sqrt((g * g).sum(axis=tuple(range(1, g.ndim)), keepdims=True))  # (N, 1, ..., 1)
    P = weight * ((length - 1) ** 2).mean()
    u = 2 * weight / len(g) * (length - 1) * g / np.maximum(length, 1e-6)
    return P, u
    ### END SOLUTION


# %% check="12.slope_penalty"
check("12.slope_penalty", slope_penalty).raise_if_wrong()

# %% [markdown]
# **Predict.** D(x) = sum of w * x for images (N, 8, 8, 3), with |w| = 1. What is P? And what is it when the length is
# taken over the channel axis only, one length for each pixel? (So in published PyTorch code, by `norm(2, dim=1)` on
# slopes of shape (N, C, height, width).)
#
# <details><summary>The answer</summary>
#
# The slope is w everywhere, its length is 1, so P = 0. A pixel's part of w has a length of about 1/8, so the wrong
# penalty is large. It is 0 where each of the 64 pixels has length 1, and there the critic's slope is sqrt(64) = 8.
#
# </details>

# %%
w = rng.standard_normal((8, 8, 3))
w /= np.linalg.norm(w)
per_pixel = w / np.linalg.norm(w, axis=-1, keepdims=True)
for name, slope in (("|w| = 1", w), ("each pixel 1", per_pixel)):
    g = np.repeat(slope[None], 5, axis=0)  # (5, 8, 8, 3): the same at every sample
    wrong = 10 * np.mean((np.linalg.norm(g, axis=-1) - 1) ** 2)
    print(f"{name:<14}length {np.linalg.norm(slope):.0f}   P {slope_penalty(g, 10)[0]:.2f}   by channels {wrong:.2f}")
assert slope_penalty(np.repeat(w[None], 5, axis=0), 10)[0] < 1e-25 and np.isclose(np.linalg.norm(per_pixel), 8)
assert 10 * np.mean((np.linalg.norm(w, axis=-1) - 1) ** 2) > 5 > 1e-25 > wrong

# %% [markdown]
# The mistake crashes nothing, and its penalty falls nicely to 0, at a critic eight times too steep. A linear critic
# with |w| = 1 is the quickest test of any gradient penalty.
#
# ## 3. The slope, line by line
#
# The critic is s = φ(x W1 + b1) W2 + b2, with W1 (I, H) and W2 (H, 1). Its slope is what lesson 02's backward pass
# gives when it starts from ds = 1 at every sample and nobody asks for the gradients of the weights. (Samples do not
# mix, so the slope of the sum of all s is each sample's own. Batch norm would mix them: no slope of one sample.)
#
# $$g_n = \left(\varphi'(a_n) * w_2\right) W_1^T$$
#
# with a_n = x_n W1 + b1, w2 the numbers of W2 as a row, and * entry by entry. As a program, for tanh, it has five
# lines:

# %%
W1, b1, W2, b2 = (0.8 * rng.standard_normal(shape) for shape in ((3, 5), (5,), (5, 1), (1,)))  # D: 3 - 5 - 1
x = rng.standard_normal((6, 3))  # (N, I)

a = x @ W1 + b1  # 1  (N, H)   forward
h = np.tanh(a)  # 2  (N, H)
p = 1 - h**2  # 3  (N, H)   tanh' at a
eta = p * W2.T  # 4  (N, H)   backward from ds = 1: the gradient on a
g = eta @ W1.T  # 5  (N, I)   ... and on x: the slope

s = lambda x: np.tanh(x @ W1 + b1) @ W2 + b2
print("g", g.shape, "is the numeric slope:", bool(off(g, numeric(lambda v: s(v).sum(), x)) < 1e-8))
assert off(g, numeric(lambda v: s(v).sum(), x)) < 1e-8

# %% [markdown]
# ## 4. The backward of that backward: your third hole
#
# Now forget that lines 3 to 5 were a backward pass. The five lines make g out of x, W1, b1 and W2, as any layer makes
# y out of its inputs. So go back through them, a line back for each line, from u = dP/dg:
#
# - line 5 is a dense layer without bias, with W1^T in the place of W. It gives deta = u W1, and a first part of dW1:
#   the product u^T eta.
# - line 4 is a product. It gives dp = deta * w2, and dW2: the sum of deta * p over the samples.
# - line 3 and line 2 lead from p to a. Together they are the derivative of φ' by a, the **second** derivative of φ:
#
# $$da = \varphi''(a) * dp \qquad \varphi''(a) = -2\,h\,(1 - h^2) \quad \text{for tanh}$$
#
# - line 1 is a dense layer. It gives dx = da W1^T, db1, and x^T da: a second part of dW1, since W1 stands in two
#   lines.
#
# b2 stands in none of them: its gradient is zero for every penalty. First the second derivative:

# %%
some = np.linspace(-2, 2, 5)
bend = -2 * np.tanh(some) * (1 - np.tanh(some) ** 2)
by_difference = (np.tanh(some - 1e-5) ** 2 - np.tanh(some + 1e-5) ** 2) / 2e-5  # of 1 - tanh^2
print("phi'' at", some, "is", bend.round(3))
assert off(bend, by_difference) < 1e-8

# %% [markdown]
# Write it, with p and eta computed anew from h and W2. Everything you need stands in the list above.


# %% exercise="12.double_backward"
def double_backward(u, x, h, W1, W2):
    """dx (N, I), dW1 (I, H), db1 (H,) and dW2 (H, 1) of sum(u * g), for the g of lines 1 to 5, u (N, I) held."""
    ### BEGIN SOLUTION
    p = 1 - h**2
    eta = p * W2.T
    deta = u @ W1  # line 5
    dp = deta * W2.T  # line 4
    da = -2 * h * p * dp  # lines 3 and 2
    dW1 = u.T @ eta + x.T @ da  # lines 5 and 1
    dW2 = (deta * p).sum(axis=0)[:, None]  # line 4
    return da @ W1.T, dW1, da.sum(axis=0), dW2
    ### END SOLUTION


# %% check="12.double_backward"
check("12.double_backward", double_backward).raise_if_wrong()

# %% [markdown]
# The proof: with your u of your P, these are the gradients of the penalty on the critic's weights.


# %%
LEAKY = (lambda a: np.where(a > 0, a, 0.2 * a), lambda a: np.where(a > 0, 1, 0.2), np.zeros_like)  # phi, phi', phi''
TANH = (np.tanh, lambda a: 1 - np.tanh(a) ** 2, lambda a: -2 * np.tanh(a) * (1 - np.tanh(a) ** 2))


def penalty_of(x, W1, b1, W2, phi=TANH):
    return slope_penalty((phi[1](x @ W1 + b1) * W2.T) @ W1.T, 10.0)[0]


P, u = slope_penalty(g, 10.0)
given = [x, W1, b1, W2]
for k, (name, yours) in enumerate(zip(("dx", "dW1", "db1", "dW2"), double_backward(u, x, h, W1, W2))):
    truth = numeric(lambda v, k=k: penalty_of(*given[:k], v, *given[k + 1 :]), given[k])
    print(f"{name:<4}{yours.shape!s:<7} is P's by central differences, to 1e-6:", bool(off(yours, truth) < 1e-6))
    assert off(yours, truth) < 1e-6 and np.abs(truth).max() > 0.1

# %% [markdown]
# ## 5. Straight pieces
#
# LeakyReLU has φ' = 1 or 0.2, and φ'' = 0 on each piece. So lines 3, 2 and 1 get nothing, and all that is left is
#
# $$dW_1 = u^T \eta \qquad dW_2 = \sum_n (u_n W_1) * p_n \qquad db_1 = 0$$
#
# A critic that nowhere bends learns all the same: its weights are its slope. The cell compares with differences of P,
# and then moves one single bias from -4 to 4, for LeakyReLU and for tanh.

# %%
p = LEAKY[1](x @ W1 + b1)
eta = p * W2.T
u = slope_penalty(eta @ W1.T, 10.0)[1]
by_weight, by_bias, by_W2 = (
    numeric(lambda v: penalty_of(x, v, b1, W2, LEAKY), W1),
    numeric(lambda v: penalty_of(x, W1, v, W2, LEAKY), b1),
    numeric(lambda v: penalty_of(x, W1, b1, v, LEAKY), W2),
)
dW1, dW2 = u.T @ eta, (u @ W1 * p).sum(axis=0)[:, None]
right = off(dW1, by_weight) < 1e-6 and off(dW2, by_W2) < 1e-6
print("LeakyReLU: dW1 and dW2 are P's differences:", bool(right), "  those by b1 are exactly 0:", not by_bias.any())
assert right and not by_bias.any()

biases = np.linspace(-4, 4, 1601)
stairs, smooth = (
    np.array([penalty_of(x, W1, np.append(b, b1[1:]), W2, phi) for b in biases]) for phi in (LEAKY, TANH)
)
borders = -(x @ W1)[:, 0]  # here the first unit's kink lies on a sample
figure, axes = plt.subplots()
axes.plot(biases, smooth, color=BLUE, label="tanh")
axes.plot(biases, stairs, color=ORANGE, label="LeakyReLU")
axes.plot(borders, np.full(6, stairs.min() - 0.5), "^", color=INK, markersize=6, label="the kink is on a sample")
axes.set(xlabel="one bias of the first layer", ylabel="penalty P")
axes.set_title("A bias moves P in steps: the derivative is 0 on every step", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
levels = np.unique(stairs.round(9)).size
print("levels of the staircase:", levels, " samples:", len(x))
assert levels == 1 + len(x)

# %% [markdown]
# The gradient of the staircase is right, and it is blind to the steps. (Nobody minds much: the biases are moved by
# the rest of the critic's loss.) A difference that straddles a step is not the derivative either, as in lesson 01.
#
# **On the kink** itself the backward pass must say something, and `x > 0` says 0.2. That seems to be an academic
# case: no real number hits the kink. But biases start at zero, and an image that is all zeros then lies on *every*
# kink of the first layer.

# %%
start = Sequential(Dense(3, 8, rng=rng), LeakyReLU(0.2), Dense(8, 1, rng=rng)).astype(np.float64)  # biases are 0
black = np.zeros((1, 3))
says = start.backward(np.ones((1, 1)), start.forward(black)[1], param_grads=False)
across = numeric(lambda v: start(v).sum(), black)
flat = (start.params["0.W"] @ start.params["2.W"]).T  # (1, 3): the slope if all units had slope 1
print(f"slope at 0, in parts of W1 W2: backward {(says / flat).mean():.1f}, difference {(across / flat).mean():.1f}")
assert np.allclose(says, 0.2 * flat) and np.allclose(across, 0.6 * flat)

# %% [markdown]
# Neither is wrong, for there is no derivative. But the two penalties there differ; do not check a gradient at x = 0.
#
# ## 6. Any depth: a backward run backward is a forward
#
# Look at your deta = u W1 again. You went back through a backward pass, and met forward's own product. That is no
# accident. With u held, what you differentiated is the sum of <u_n, g_n>, and that is a slope: how fast the critic's
# outputs rise when every x_n moves along u_n.
#
# $$\sum_n \langle u_n, g_n \rangle = \frac{d}{d\varepsilon} \sum_n D(x_n + \varepsilon u_n) \Big|_{\varepsilon = 0}$$
#
# The cell evaluates it for a deeper critic of the library, 3 - 5 - 4 - 1.


# %%
def deep(activation):
    """A critic with weights and biases of ordinary size, float64."""
    made = {"rng": np.random.default_rng(3), "init": he}
    D = Sequential(Dense(3, 5, **made), activation(), Dense(5, 4, **made), activation(), Dense(4, 1, **made))
    D = D.astype(np.float64)
    D.theta += 0.3 * np.random.default_rng(4).standard_normal(D.theta.shape)
    return D


def slopes(D, x):
    """g of x's shape: the slope of D at each sample."""
    y, cache = D.forward(x)
    return D.backward(np.ones_like(y), cache, param_grads=False)


def on_theta(D, f):
    """The gradient of f(), a number that depends on D, by central differences of all of D's weights."""
    theta = D.theta.copy()

    def at(v):
        D.theta = v
        return f()

    found = numeric(at, theta)
    D.theta = theta
    return found


D = deep(Tanh)
P, u = slope_penalty(slopes(D, x), 10.0)
rises = (D(x + 1e-5 * u).sum() - D(x - 1e-5 * u).sum()) / 2e-5
print("the sum of <u, g> is the slope along u:", bool(np.isclose(rises, (u * slopes(D, x)).sum(), rtol=1e-8)))
assert np.isclose(rises, (u * slopes(D, x)).sum(), rtol=1e-8)

# %% [markdown]
# So instead of going back through the backward pass, follow the movement through the layers. A dot is a speed: x
# moves along u, x_dot = u, and every later number moves as the **tangent** says. Then go back through both, numbers
# and speeds; a bar is the gradient on a number. (The gradient on a speed need not be computed: it is the eta of the
# first backward.) For a dense layer y = x W + b and for an activation y = φ(a):
#
# $$\dot{y} = \dot{x} W, \qquad dW = \dot{x}^T \eta + x^T \bar{y}, \qquad db = \sum_n \bar{y}_n, \qquad
# \bar{x} = \bar{y} W^T$$
#
# $$\dot{y} = \varphi'(a)\, \dot{a}, \qquad \bar{a} = \varphi'(a)\, \bar{y} + \varphi''(a)\, \dot{a}\, \eta$$
#
# Four sweeps, each a loop over the layers, and together about as costly as the passes of real and fake samples:


# %%
def four_sweeps(layers, x, phi, weight):
    """P, the gradients [(dW, db), ...] of it, and all arrays; layers [(W, b), ...] with phi between them."""
    inputs, a = [x], []
    for W, b in layers:  # 1: forward
        a.append(inputs[-1] @ W + b)
        inputs.append(phi[0](a[-1]))  # the last one is not used: D ends with a dense layer
    eta, below = [np.ones_like(a[-1])], []
    for (W, _), a_below in zip(layers[:0:-1], a[-2::-1]):  # 2: backward
        below.insert(0, eta[0] @ W.T)  # the gradient on phi(a)
        eta.insert(0, phi[1](a_below) * below[0])
    g = eta[0] @ layers[0][0].T
    P, u = slope_penalty(g, weight)
    speeds, a_dot = [u], []
    for (W, _), a_here in zip(layers, a):  # 3: tangent
        a_dot.append(speeds[-1] @ W)
        speeds.append(phi[1](a_here) * a_dot[-1])
    bars, grads = [np.zeros_like(a[-1])], []  # P depends on slopes alone: no gradient on D's output
    for k in reversed(range(len(layers))):  # 4: backward through 1 and 3
        grads.insert(0, (speeds[k].T @ eta[k] + inputs[k].T @ bars[0], bars[0].sum(axis=0)))
        x_bar = bars[0] @ layers[k][0].T
        if k:
            bars.insert(0, phi[1](a[k - 1]) * x_bar + phi[2](a[k - 1]) * a_dot[k - 1] * below[k - 1])
    return P, grads, ([x, *a], [g, *eta], [u, *a_dot], [x_bar, *bars])


rows = {}
for activation, phi in ((Tanh, TANH), (LeakyReLU, LEAKY)):
    D = deep(activation)
    layers = [(layer.params["W"], layer.params["b"]) for layer in D.layers if layer.params]
    P, grads, rows[activation] = four_sweeps(layers, x, phi, 10.0)
    mine = np.concatenate([part.ravel() for pair in grads for part in pair])
    truth = on_theta(D, lambda D=D: slope_penalty(slopes(D, x), 10.0)[0])
    D.zero_grad()
    same = np.isclose(gradient_penalty(D, x, weight=10.0), P, rtol=1e-12) and off(mine, D.grad) < 1e-12
    print(f"{activation.__name__:<10} P's differences: {off(mine, truth) < 1e-6}   the library's: {bool(same)}")
    assert off(mine, truth) < 1e-6 and same

# %% [markdown]
# All arrays of the four sweeps, six samples down and units across (blue is negative, orange positive, each array on
# its own scale). The third row is the first one's road, taken by u. The fourth row is what φ'' adds: with LeakyReLU
# it is empty, and that is why the biases get nothing. (A pale line in row 3 is a sample whose slope is near 1.)

# %%
BLUE_ORANGE = LinearSegmentedColormap.from_list("signs", [BLUE, "#FFFFFF", ORANGE])
figure, panels = plt.subplots(5, 4, figsize=(7.6, 6.6), width_ratios=(3, 5, 4, 1.6))
shown = [*rows[Tanh], rows[LeakyReLU][3]]
titles = "1 forward →", "2 backward ←", "3 tangent →", "4 back ←, tanh", "4 back ←, LeakyReLU"
names = (
    ("x", "a1", "a2", "s"), ("g", "eta1", "eta2", "1"), ("u", "a1_dot", "a2_dot", "s_dot"),
    ("x_bar", "a1_bar", "a2_bar", "0"), ("x_bar", "a1_bar", "a2_bar", "0"),
)  # fmt: skip
for row, arrays, title, labels in zip(panels, shown, titles, names):
    row[0].set_ylabel(title, rotation=0, ha="right", va="center")
    for axes, array, label in zip(row, arrays, labels):
        largest = np.abs(array).max() or 1
        axes.imshow(array, cmap=BLUE_ORANGE, vmin=-largest, vmax=largest, aspect="auto")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{label} {array.shape}", fontsize=9)
figure.suptitle("A backward, run backward, is a forward (row 3)", fontsize=11)
figure.tight_layout()
assert all(not array.any() for array in rows[LeakyReLU][3]) and rows[Tanh][3][1].any()

# %% [markdown]
# A convolution is a dense layer that is used at many places, so its rules are those of the dense layer: the speed
# goes through the same convolution without bias, and dW has two parts.

# %%
draws = np.random.default_rng(6)
parts = Conv(1, 3, (3, 3), 2, rng=draws), LeakyReLU(0.2), Conv(3, 4, (3, 3), 2, rng=draws), Tanh(), Flatten()
D = Sequential(*parts, Dense(16, 1, rng=draws)).astype(np.float64)
D.theta += 0.2 * draws.standard_normal(D.theta.shape)
images = draws.standard_normal((4, 6, 6, 1))  # (N, 6, 6, 1) -> (N, 3, 3, 3) -> (N, 2, 2, 4) -> (N, 16) -> (N, 1)
value = gradient_penalty(D, images, weight=10.0)
by_hand = D.grad.copy()
truth = on_theta(D, lambda: slope_penalty(slopes(D, images), 10.0)[0])
print(f"two convolutions, {D.theta.size} weights, to 1e-6 right:", bool(off(by_hand, truth) < 1e-6))
assert off(by_hand, truth) < 1e-6 and np.isclose(value, slope_penalty(slopes(D, images), 10.0)[0])

# %% [markdown]
# ## 7. The whole critic loss
#
# The critic of WGAN-GP descends on
#
# $$L = \frac{1}{N} \sum_n D(x_n^{fake}) - \frac{1}{N} \sum_n D(x_n^{real}) + P$$
#
# Gradients add up, so its gradient is two ordinary backward passes and one penalty. A mistake from teaching code is
# to compute P, to print it, and to add it to the printed loss alone. So check the *whole* loss, and that λ matters:


# %%
def critic_loss(D, x_real, x_fake, x_hat, weight):
    """L, with its gradient in D.grad."""
    (on_real, real_cache), (on_fake, fake_cache) = D.forward(x_real), D.forward(x_fake)
    value, d_real, d_fake = wasserstein.discriminator(on_real, on_fake)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    return value + gradient_penalty(D, x_hat, weight=weight)


D = deep(LeakyReLU)
some_real, some_fake = rng.standard_normal((6, 3)) + 1, rng.standard_normal((6, 3)) - 1
x_hat = between(some_real, some_fake, rng)


def by_definition(weight=10.0):
    return D(some_fake).mean() - D(some_real).mean() + slope_penalty(slopes(D, x_hat), weight)[0]


value = critic_loss(D, some_real, some_fake, x_hat, 10.0)
whole, truth = D.grad.copy(), on_theta(D, by_definition)
critic_loss(D, some_real, some_fake, x_hat, 0.0)
print("the whole loss's gradient, to 1e-6 right:", bool(off(whole, truth) < 1e-6))
print(f"without the penalty, off by {off(D.grad, truth):.0%} of its largest number")
assert np.isclose(value, by_definition()) and off(whole, truth) < 1e-6 < 0.1 < off(D.grad, truth)

# %% [markdown]
# Straight pieces allow a trick. Two terms make up dW of a layer: x^T dy of the ordinary passes, and x_dot^T eta of
# the penalty. Both are a product of *what came in* and *what came back*. So let real, fake and between go through D
# as one batch of 3N rows, and exchange the rows between for their speeds before the last product:
#
# $$dW = \begin{pmatrix} x^{real} \\ x^{fake} \\ \dot{x} \end{pmatrix}^T
# \begin{pmatrix} dy^{real} \\ dy^{fake} \\ \eta \end{pmatrix}$$

# %%
stacked = np.concatenate([some_real, some_fake, x_hat])  # (3N, 3)
y, cache = D.forward(stacked)
etas = []
g = D.backward(np.repeat([-1 / 6, 1 / 6, 1], 6)[:, None], cache, param_grads=False, seen=etas)[12:]
stacked[12:] = slope_penalty(g, 10.0)[1]  # x_dot = u
first_dW = stacked.T @ etas[0]
print("dW of the first layer, in one product:", bool(off(first_dW, whole[:15].reshape(3, 5)) < 1e-12))
D.zero_grad()
straight_critic(D, some_real, some_fake, x_hat, 10.0)
print("the library's straight_critic, all layers:", bool(off(D.grad, whole) < 1e-12))
assert off(first_dW, whole[:15].reshape(3, 5)) < 1e-12 and off(D.grad, whole) < 1e-12

# %% [markdown]
# With tanh there would be a part x^T y_bar more, and the trick fails.
#
# ## 8. What the penalty buys, on a line
#
# Is the slope 1 then? Take one real point at d and one fake at 0, and the critic D = w x. Its L = -d w + λ (w - 1)²
# is least at
#
# $$w = 1 + \frac{d}{2\lambda}$$
#
# The critic pays a little for a little more. Now any densities on a line, with the distribution functions F_p of real
# and F_q of fake, and the density ρ of the points between. By parts (lesson 11), E_p D - E_q D is the integral of D'
# (F_q - F_p). So L is an integral over x of -D' (F_q - F_p) + λ ρ (|D'| - 1)², and it is least where that is least at
# every x:
#
# $$|D'(x)| = 1 + \frac{|F_q(x) - F_p(x)|}{2 \lambda\, \rho(x)}$$
#
# wherever there are points between; the critic's value is W1 and a few per cent. We take lesson 11's pair, for which
# the best critic is a W.


# %%
def linear_critic(w, d, steps, lam=10.0):
    """The w (I,) of D = w * x after descent from w, for a real point at d (I,) and a fake at 0."""
    D = Sequential(Dense(len(w), 1, bias=False, rng=rng)).astype(np.float64)
    D.theta = np.array(w, dtype=float)
    optimizer, real, fake = SGD(D, 0.02), np.array([d], dtype=float), np.zeros((1, len(w)))
    for _ in range(steps):
        critic_loss(D, real, fake, between(real, fake, rng), lam)
        optimizer.step()
    return D.theta


print("w, d = 1:", linear_critic([0.5], [1], 100).round(6), " by the formula:", 1 + 1 / 20)
assert np.allclose(linear_critic([0.5], [1], 100), 1 + 1 / 20)

data = np.random.default_rng(12)
real = toy.mixture_1d([-3, 0, 3], 0.3).sample(3000, data)  # (3000, 1)
fake = toy.mixture_1d([-1.5, 1.5], 0.3).sample(3000, data)
W1_true = np.abs(np.sort(real[:, 0]) - np.sort(fake[:, 0])).mean()  # by sorting, lesson 11
pairs = real[data.integers(3000, size=200_000)], fake[data.integers(3000, size=200_000)]
edges = np.linspace(-5, 5, 401)
z, dz = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
gap = np.array([np.mean(fake <= at) - np.mean(real <= at) for at in z])  # F_q - F_p
rho = np.histogram(between(*pairs, data), edges)[0] / len(pairs[0]) / dz
steep = 1 + np.abs(gap) / (20 * np.maximum(rho, 1e-3))
expected = (np.abs(gap) * steep).sum() * dz / W1_true
print(f"W1 by sorting {W1_true:.2f};  expected value of the critic, over W1: {expected:.2f}")
assert np.isclose(np.abs(gap).sum() * dz, W1_true, rtol=1e-3) and 1.05 < expected < 1.12

# %% [markdown]
# **Predict.** We train a critic (1 - 64 - 64 - 1, LeakyReLU) with λ = 10. At the end |D'| is near 1 wherever there
# are points. Is the critic's value near W1?
#
# <details><summary>The answer</summary>
#
# Mostly not even half of it. Slope 1 has two signs, and a network starts with some pieces of either. To turn a piece
# from +1 to -1 the slope has to pass 0, where the penalty is a hill of height λ. On a line there is no way round it.
#
# </details>
#
# Watch it with D = w x and fakes on the *other* side, d = -1, from w = 1. Descent ends on the wrong side of the hill,
# at w = 1 - |d|/(2λ), for every |d| < 2λ. In the plane it does not: there the slope can turn *around* zero.

# %%
line, plane = linear_critic([1.0], [-1], 600), linear_critic([1.0, 0.1], [-1, 0], 600)
print("on a line: from 1 to", line.round(3), "  in the plane: from (1, 0.1) to", plane.round(3) + 0.0)
assert np.allclose(line, 1 - 1 / 20) and np.allclose(plane, [-1 - 1 / 20, 0], atol=1e-3)

# %% [markdown]
# Petzka and others (2018) drop the hill: only a slope *above* 1 shall pay, which is all that lesson 11 asks of a
# critic. The sweeps do not care what the price is; nothing changes but P and u:
#
# $$P = \frac{\lambda}{N} \sum_n \max(0, |g_n| - 1)^2$$


# %%
def one_sided(g, weight):
    """P and u where only slopes above 1 pay."""
    length = np.sqrt((g * g).sum(axis=tuple(range(1, g.ndim)), keepdims=True))
    over = np.maximum(length - 1, 0)
    return weight * (over**2).mean(), 2 * weight / len(g) * over * g / np.maximum(length, 1e-6)


def priced(D, x, price, weight):
    """Adds the gradient of any price of slopes to D.grad, with the library's four sweeps. Returns P."""
    y, cache = D.forward(x)
    etas = []
    g = D.backward(np.ones_like(y), cache, param_grads=False, seen=etas)
    P, u = price(g, weight)
    _, tangent_caches = D.tangent(u, cache)
    D.tangent_backward(None, etas, cache, tangent_caches)
    return P


def trained(real, fake, price, points, seed, weight=10.0, steps=500 if FAST else 1000):
    """A critic I - 64 - 64 - 1 after steps of Adam with batches of 128; `points` says where slopes are priced."""
    draws = np.random.default_rng(seed)
    made = {"rng": draws, "init": he}
    sizes = (real.shape[1], 64), (64, 64), (64, 1)
    dense = [Dense(*size, **made) for size in sizes]
    D = Sequential(dense[0], LeakyReLU(0.2), dense[1], LeakyReLU(0.2), dense[2])
    optimizer = Adam(D, 2e-3, beta1=0.5, beta2=0.9)
    for t in range(steps):
        optimizer.lr = 2e-3 * min(1, 2 * (1 - t / steps))
        a, b = real[draws.integers(len(real), size=128)], fake[draws.integers(len(fake), size=128)]
        _, cache = D.forward(np.concatenate([a, b]))
        D.zero_grad()
        D.backward(np.repeat(np.float32([-1 / 128, 1 / 128]), 128)[:, None], cache, input_grad=False)
        priced(D, points(a, b, draws).astype(np.float32), price, weight)
        optimizer.step()
    return D


some_g = 2 * rng.standard_normal((5, 3))
assert off(one_sided(some_g, 10.0)[1], numeric(lambda v: one_sided(v, 10.0)[0], some_g)) < 1e-6
worth = lambda D: float(D(real).mean() - D(fake).mean()) / W1_true
lengths = lambda D, x: np.linalg.norm(slopes(D, x.astype(np.float32)), axis=1)
inside = between(real, fake, data)
SEEDS = range(2 if FAST else 4)
hill = [trained(real, fake, slope_penalty, between, seed) for seed in SEEDS]
no_hill = [trained(real, fake, one_sided, between, seed) for seed in SEEDS]
for name, critics in (("(|g| - 1)^2", hill), ("max(0, |g| - 1)^2", no_hill)):
    near = np.array([np.mean(np.abs(lengths(D, inside) - 1) < 0.2) for D in critics])
    values = " ".join(f"{worth(D):5.1f}" for D in critics)
    print(f"{name:<18} value over W1: {values}   slopes near 1 at more than 80 % of the points: {(near > 0.8).all()}")
    assert (near > (0.6 if FAST else 0.8)).all()
assert min(worth(D) for D in hill) < 0.6, "slopes of length 1 everywhere, and not half of W1"
assert all(abs(worth(D) - 1) < 0.15 and abs(worth(D) - expected) < 0.07 for D in no_hill), "without the hill: W1"

# %%
points = z[:, None].astype(np.float32)  # (400, 1)
best = np.cumsum(np.sign(gap)) * dz  # lesson 11: its slope is the sign of F_q - F_p
figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.8))
worst = min(hill, key=worth)
middle = np.abs(z) < 4
for values, colour, style, label in (
    (best, INK, "--", "best critic"),
    (worst(points)[:, 0], ORANGE, "-", "(|g| - 1)²"),
    (no_hill[0](points)[:, 0], BLUE, "-", "max(0, |g| - 1)²"),
):
    left.plot(z[middle], (values - values[middle].mean())[middle], style, color=colour, label=label, linewidth=1.6)
    if colour != INK:
        right.plot(z[middle], np.abs(np.gradient(values, z))[middle], color=colour, label=label, linewidth=1.2)
right.plot(z[middle], np.where(rho > 0.02, steep, np.nan)[middle], "--", color=INK, label="formula")
for crowd, colour, mark, height in ((real, BLUE, "o", -4.6), (fake, ORANGE, "x", -5.2)):
    left.plot(crowd[:80, 0], np.full(80, height), mark, color=colour, markersize=4, alpha=0.6)
left.set(xlabel="x    (o real, x fake)", ylabel="D(x), mean taken away (unit of x)", ylim=(-5.6, 6.8), xlim=(-4, 4))
left.set_title("One finds the W, the other is stuck", loc="left", fontsize=11)
left.legend(loc="upper center", ncols=3, fontsize=8, columnspacing=1)
right.set(xlabel="x", ylabel="|D'(x)|", ylim=(0, 1.9), xlim=(-4, 4))
right.set_title("Both have slopes near 1", loc="left", fontsize=11)
right.legend(loc="upper center", ncols=3, fontsize=8)
figure.tight_layout()

# %% [markdown]
# (The dips on the right are the corners.) So "the slope is 1 everywhere" is no proof of a good critic, and lesson
# 11's W is found without the hill. In more dimensions slopes can turn, and the penalty as published does well: see
# below.
#
# ## 9. In the plane
#
# Real points on a ring of eight islands, fakes in a heap in the middle. Three critics: without penalty (that is also
# the critic whose penalty is *printed but not added*); with the penalty at real points only, as in some teaching
# code; with the penalty between. **Predict** where each has slopes near 1.
#
# <details><summary>The answer</summary>
#
# Nowhere, slopes grow as long as one trains; on the ring, and elsewhere what happens to come out; nearly everywhere.
# A fake in the middle is moved by the slope *at the fake*, where the second critic has never been asked for anything.
#
# </details>

# %%
ring_real = toy.ring(8, radius=1.0, sd=0.1).sample(2000, data)
ring_fake = (0.35 * data.standard_normal((2000, 2))).astype(np.float32)
free = lambda g, weight: (0.0, 0 * g)
at_real = lambda a, b, draws: a
cases = {
    "no penalty": trained(ring_real, ring_fake, free, between, 0),
    "at real points only": trained(ring_real, ring_fake, slope_penalty, at_real, 0),
    "between": trained(ring_real, ring_fake, slope_penalty, between, 0),
}
side = np.linspace(-1.6, 1.6, 81)
places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)  # (6561, 2)
ring_inside, near = between(ring_real, ring_fake, data), {}
figure, panels = plt.subplots(2, 3, figsize=(9.4, 6), sharex=True, sharey=True)
for column, (name, D) in zip(panels.T, cases.items()):
    surface, steepness = D(places).reshape(81, 81), lengths(D, places).reshape(81, 81)
    heights = column[0].contourf(side, side, surface - surface.min(), 12, cmap="Greys_r")
    figure.colorbar(heights, ax=column[0], format="%.3g")
    shades = column[1].pcolormesh(side, side, np.clip(np.log2(steepness), -1, 1), cmap=BLUE_ORANGE, vmin=-1, vmax=1)
    figure.colorbar(shades, ax=column[1], ticks=[-1, 0, 1]).ax.set_yticklabels(["≤ 1/2", "1", "≥ 2"])
    for axes, title in zip(column, (f"{name}: D(x)", "length of its slope")):
        axes.plot(*ring_real[:150].T, "o", color=BLUE, markersize=3, fillstyle="none", markeredgewidth=0.7)
        axes.plot(*ring_fake[:100].T, "x", color="#7A3300", markersize=3, markeredgewidth=0.7)
        axes.set(aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
        axes.set_title(title, fontsize=10)
    column[1].set_xlabel("x")
    near[name] = [np.mean(np.abs(lengths(D, crowd) - 1) < 0.15) for crowd in (ring_real, ring_inside)]
    print(f"{name:<20} slope within 15 % of 1 at {near[name][0]:4.0%} of the real points, ", end="")
    print(f"{near[name][1]:4.0%} of those between")
panels[0, 0].set_ylabel("y")
panels[1, 0].set_ylabel("y")
figure.suptitle("White is slope 1: nowhere, at the real points, nearly everywhere    (o real, x fake)", fontsize=11)
figure.tight_layout()

assert np.median(lengths(cases["no penalty"], ring_real)) > 50 and max(near["no penalty"]) == 0
assert near["at real points only"][0] > 0.75 > near["at real points only"][1] + 0.1
assert min(near["between"]) > 0.9
turned = trained(ring_real, ring_fake, one_sided, between, 0)
values = [float(D(ring_real).mean() - D(ring_fake).mean()) for D in (cases["between"], turned)]
print("here both penalties give one value, to 5 %:", bool(abs(values[0] / values[1] - 1) < 0.05))
assert abs(values[0] / values[1] - 1) < 0.05

# %% [markdown]
# ## 10. R1 and R2
#
# Mescheder and others (2018) want the slope to be *zero*, and only at the real points (R1) or only at the fakes (R2):
#
# $$P = \frac{\gamma}{2N} \sum_n |g_n|^2 \qquad u_n = \frac{\gamma}{N}\, g_n$$
#
# No length, no root, no hill; the sweeps are the same. It goes with any loss, above all with the ones of lesson 03.
# It does not hold slopes at 1: it is the brake that lets the game come to rest at the data (lesson 04: the
# Dirac-GAN's eigenvalues). Mind the 1/2. The paper has it, and the authors' own training code leaves it out: its "10"
# is the paper's 20.

# %%
squared = lambda g, weight: (weight / 2 * (g * g).sum() / len(g), weight / len(g) * g)
D = deep(Tanh)
for kind, where in (("r1", some_real), ("r2", some_fake)):
    D.zero_grad()
    priced(D, where, squared, 3.0)
    mine = D.grad.copy()
    D.zero_grad()
    gradient_penalty(D, where, kind, 3.0)
    truth = on_theta(D, lambda where=where: squared(slopes(D, where), 3.0)[0])
    print(f"{kind}: the library's: {off(mine, D.grad) < 1e-12}   P's differences: {off(mine, truth) < 1e-6}")
    assert off(mine, D.grad) < 1e-12 and off(mine, truth) < 1e-6
brake = Sequential(Dense(1, 1, bias=False, rng=rng)).astype(np.float64)  # D = w x, as in lesson 04
gradient_penalty(brake, np.zeros((1, 1)), "r1", 0.3)
print("R1 of D = w x pulls at w with gamma w:", np.allclose(brake.grad, 0.3 * brake.theta))
assert np.allclose(brake.grad, 0.3 * brake.theta)

# %% [markdown]
# ## 11. How the library does it
#
# `minigan.penalty` has the four sweeps; each layer has its two rules, `tangent` and `tangent_backward`.

# %%
for function in (gradient_penalty, Sequential.tangent_backward, Dense.tangent_backward, Diagonal, Tanh.bend):
    print(inspect.getsource(function))

# %%
g = rng.standard_normal((4, 5, 5, 2))
yours, theirs = slope_penalty(g, 10.0), penalty.slope_penalty(g, "wgan-gp", 10.0)
print("price and u: yours = the library's:", np.isclose(yours[0], theirs[0]), bool(off(yours[1], theirs[1]) < 1e-12))
assert np.isclose(yours[0], theirs[0]) and off(yours[1], theirs[1]) < 1e-12

# %% [markdown]
# A whole game with this critic, on the eight islands of section 9:
#
#     minigan train ring --loss wasserstein --penalty wgan-gp --d-steps 5
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back. An assertion that fails is an answer, too.
#
# 1. In `four_sweeps`, leave out the term with `phi[2]`. Which of the two printed lines notices, and why not the
#    other?
# 2. In section 6, draw the convolutions with the seed 5. The library is said to be wrong by 100 %. Make the step of
#    `numeric` ten times smaller. Which lesson explains it?
# 3. In section 8, train with `weight=0.1`, as the authors did for their toy data. What does the formula say (its 20
#    is 2λ), and what comes of the hill? Then let λ grow from 0.1 to 10 during the training.
# 4. In section 9, take one t for the whole batch, or t from the normal distribution. Does any number notice?
# 5. Compute dP/dθ with two ordinary backward passes and no second derivative: the gradients of the sum of D(x + ε u)
#    and of D(x - ε u) on θ, their difference over 2ε. How many digits are right, in float64 and in float32?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("12.between", between)
assert check("12.slope_penalty", slope_penalty)
assert check("12.double_backward", double_backward)
print("A gradient of a gradient, by hand: a backward, a movement, and a backward through both.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 13**: asking for a 7.
# - I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville, "Improved training of Wasserstein GANs",
#   *NeurIPS* 2017: the penalty, why between, and why no batch norm in the critic.
# - L. Mescheder, A. Geiger and S. Nowozin, "Which training methods for GANs do actually converge?", *ICML* 2018: R1,
#   R2, and why WGAN-GP's game does not come to rest.
# - H. Petzka, A. Fischer and D. Lukovnicov, "On the regularization of Wasserstein GANs", *ICLR* 2018: the one-sided
#   penalty.
# - B. Pearlmutter, "Fast exact multiplication by the Hessian", *Neural Computation* 6(1), 1994: the dots and bars of
#   section 6, for any network.
