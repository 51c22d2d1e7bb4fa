# %% [markdown]
# # 05. Can two MLPs learn a distribution?
#
# In lesson 00 you pressed two buttons, "D moves" and "G moves". In lessons 01 to 04 you took apart what is inside:
# gradients, layers, losses, and the turns of the game. Now you put it together. Two small multilayer perceptrons
# (MLPs), a batch of noise, a batch of real points, and no framework: you write the training loop yourself, and at
# the end you measure whether G draws what the data are.
#
# **You need** lessons 01 to 03, and the picture of lesson 04. **Time** about 55 minutes. **You will write** the
# gradients of D's step, the gradients of G's step through D, and a whole round of training. **After it** you can say
# where every number in a GAN's gradient comes from, what "freezing" a network means and what it does not, and why a
# fake seldom goes where it wants to.

# %%
import copy
import inspect
import math
import os
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from minigan import losses, viz
from minigan.board import normal_grid
from minigan.data import toy
from minigan.dynamics import Still
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, ReLU, Tanh, he
from minigan.layers.activations import sigmoid
from minigan.metrics.modes import energy_distance, modes, perfect_modes
from minigan.network import Sequential
from minigan.optim import SGD, Adam
from minigan.steps import d_gradients, d_step, g_step

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"  # blue is real, orange is fake
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# When G moves, D must stand still. "Freeze D", say the tutorials. G's step makes fakes, asks D about them, and moves
# G so that D will like them better. Some of what D could compute is not needed for that. What can be left out, and G
# still learns exactly the same?
#
# 1. Everything: D is frozen, so it computes nothing.
# 2. D's whole backward pass: D does not learn, so it needs no gradients.
# 3. The gradients on D's weights, and nothing else.
# 4. Nothing can be left out.
#
# Write your answer down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. G never sees a real point. All it is ever told is dx, the gradient on its fakes, and that is what D's backward
#    pass hands down at its lower end. To freeze D is not to *apply* its gradients. It is not to stop computing them.
#    Section 5 shows what comes of 2.
#
# </details>

# %% [markdown]
# ## 1. The table
#
# The data are eight round islands on a circle of radius 1, each with a standard deviation of 0.1. G turns noise
# z (N, 2) from a normal distribution into points x (N, 2). D turns points (N, 2) into logits (N, 1). Each is three
# dense layers with 64 hidden units.

# %%
data = toy.ring(8, radius=1.0, sd=0.1)
N = 256  # samples of each kind in a batch
LOSS = losses.non_saturating


def new_players(seed):
    """An untaught G: z (N, 2) -> x (N, 2), and an untaught D: x (N, 2) -> logit (N, 1)."""
    kind = {"rng": np.random.default_rng(seed), "init": he}
    G = Sequential(Dense(2, 64, **kind), ReLU(), Dense(64, 64, **kind), ReLU(), Dense(64, 2, **kind))
    D = Sequential(Dense(2, 64, **kind), LeakyReLU(0.2), Dense(64, 64, **kind), LeakyReLU(0.2), Dense(64, 1, **kind))
    return G, D


noise = lambda rng, n=N: rng.standard_normal((n, 2)).astype(np.float32)

G, D = new_players(0)
z = noise(np.random.default_rng(1))
x_fake = G(z)
print("z", z.shape, "-> x_fake", x_fake.shape, "-> logits", D(x_fake).shape)
print(f"G has {G.theta.size:,} weights in one vector theta, D has {D.theta.size:,}")
assert x_fake.shape == (N, 2) and D(x_fake).shape == (N, 1)

# %% [markdown]
# ## 2. D's step
#
# D is shown N real points and N fakes. Call its logits a_n on the real ones and b_n on the fakes; D's probability of
# "real" is σ of the logit. D pays (lesson 03)
#
# $$L_D = -\frac{1}{N} \sum_n \log \sigma(a_n) - \frac{1}{N} \sum_n \log (1 - \sigma(b_n))$$
#
# and the gradients that start its two backward passes are
#
# $$\frac{\partial L_D}{\partial a_n} = \frac{\sigma(a_n) - 1}{N} \qquad
# \frac{\partial L_D}{\partial b_n} = \frac{\sigma(b_n)}{N}$$

# %%
rng = np.random.default_rng(2)
a, b = 2 * rng.standard_normal((6, 1)), 2 * rng.standard_normal((6, 1))  # six logits of each kind


def numeric(f, v, h=1e-5):
    """The gradient of f at v by central differences (lesson 01)."""
    steps = [h * e.reshape(v.shape) for e in np.eye(v.size)]
    return np.array([(f(v + e) - f(v - e)) / (2 * h) for e in steps]).reshape(v.shape)


loss_D = lambda a, b: -np.log(sigmoid(a)).mean() - np.log(1 - sigmoid(b)).mean()
value, d_real, d_fake = LOSS.discriminator(a, b)
by_formula = (sigmoid(a) - 1) / 6, sigmoid(b) / 6
right = np.isclose(value, loss_D(a, b)), np.allclose(d_real, by_formula[0]), np.allclose(d_fake, by_formula[1])
print(f"L_D = {value:.3f} nats. The library's loss and both its gradients are the formulas':", all(right))
assert all(right)
assert np.allclose(numeric(lambda v: loss_D(v, b), a), d_real, atol=1e-9)
assert np.allclose(numeric(lambda v: loss_D(a, v), b), d_fake, atol=1e-9)

# %% [markdown]
# Real logits are pushed up, fake ones down. The same weights θ_D made both, so by the chain rule gradients add up:
#
# $$\frac{\partial L_D}{\partial \theta_D} =
# \sum_n \frac{\partial a_n}{\partial \theta_D} \frac{\partial L_D}{\partial a_n} +
# \sum_n \frac{\partial b_n}{\partial \theta_D} \frac{\partial L_D}{\partial b_n}$$
#
# The fakes are numbers here, as given as the real points are. That they came out of G does not matter: D's step
# stops at x, and no gradient goes on into G. (In PyTorch one must say so: `x_fake.detach()`.)
#
# To see every array, take a D of two layers, s = tanh(x W1 + b1) W2 + b2. The cell has its forward, and its backward
# from lesson 02. It evaluates the formula for the last weights, where ∂a_n/∂W2 is the hidden h_n.


# %%
def mlp(x, W1, b1, W2, b2):
    """The hidden h (N, H) and the output (N, O) of two layers."""
    h = np.tanh(x @ W1 + b1)
    return h, h @ W2 + b2


def mlp_backward(dy, x, h, W1, W2):
    """dx, dW1, db1, dW2, db2 from dy (N, O), for the x (N, I) and h (N, H) of the same forward."""
    da = (dy @ W2.T) * (1 - h**2)
    return da @ W1.T, x.T @ da, da.sum(axis=0), h.T @ dy, dy.sum(axis=0)


W1, b1, W2, b2 = (0.8 * rng.standard_normal(shape) for shape in ((2, 5), (5,), (5, 1), (1,)))  # D: 2 - 5 - 1
some_real, some_fake = rng.standard_normal((6, 2)) + 1, rng.standard_normal((6, 2)) - 1  # (6, 2) each

(h_real, s_real), (h_fake, s_fake) = mlp(some_real, W1, b1, W2, b2), mlp(some_fake, W1, b1, W2, b2)
dW2 = h_real.T @ ((sigmoid(s_real) - 1) / 6) + h_fake.T @ (sigmoid(s_fake) / 6)
truth = numeric(lambda v: loss_D(*(mlp(x, W1, b1, v, b2)[1] for x in (some_real, some_fake))), W2)
print("dW2, real part plus fake part, is the numeric one:", np.allclose(dW2, truth))
assert np.allclose(dW2, truth, atol=1e-9)

# %% [markdown]
# Write it for all four. You may use `mlp`, `mlp_backward` and `sigmoid`.


# %% exercise="05.d_step_gradients"
def d_step_gradients(x_real, x_fake, W1, b1, W2, b2):
    """dW1, db1, dW2 and db2 of L_D, for D: s = tanh(x W1 + b1) W2 + b2, on x_real (N, I) and x_fake (N, I)."""
    ### BEGIN SOLUTION
    h_real, s_real = mlp(x_real, W1, b1, W2, b2)
    h_fake, s_fake = mlp(x_fake, W1, b1, W2, b2)
    d_real = (sigmoid(s_real) - 1) / len(x_real)
    d_fake = sigmoid(s_fake) / len(x_fake)
    real = mlp_backward(d_real, x_real, h_real, W1, W2)[1:]
    fake = mlp_backward(d_fake, x_fake, h_fake, W1, W2)[1:]
    return tuple(r + f for r, f in zip(real, fake))
    ### END SOLUTION


# %% check="05.d_step_gradients"
check("05.d_step_gradients", d_step_gradients).raise_if_wrong()

# %% [markdown]
# The library's layers do the same. `backward` *adds* to `grad`, so two calls give the sum. That is also why `grad`
# must be set to zero before: it still holds the last step's.

# %%
small_D = Sequential(Dense(2, 5, rng=rng), Tanh(), Dense(5, 1, rng=rng)).astype(np.float64)
small_D.theta = np.concatenate([v.ravel() for v in (W1, b1, W2, b2)])
d_gradients(small_D, LOSS, some_real, some_fake)  # two forwards, zero_grad, two backwards
yours = np.concatenate([v.ravel() for v in d_step_gradients(some_real, some_fake, W1, b1, W2, b2)])
print("yours = the library's, all", yours.size, "numbers:", np.allclose(yours, small_D.grad, rtol=1e-12))
assert np.allclose(yours, small_D.grad, rtol=1e-12)

# %% [markdown]
# ## 3. G's step: the way back through D
#
# G wants its fakes to be called real. With the loss that is used in practice (lesson 03),
#
# $$L_G = -\frac{1}{N} \sum_n \log \sigma(b_n) \qquad
# \frac{\partial L_G}{\partial b_n} = -\frac{1 - \sigma(b_n)}{N}$$
#
# D is not moved. But b_n = s(x_n) is a function of the fake x_n, with D's weights as constants. How would the loss
# change if the fake moved a little? D's backward pass answers, in the long form, a line back for each line forward:

# %%
x = some_fake  # (6, 2), made by some G

# forward through D
u = x @ W1 + b1  # (N, H)
h = np.tanh(u)  # (N, H)
s = h @ W2 + b2  # (N, 1): the logits b_n
value = -np.log(sigmoid(s)).mean()  # L_G

# backward through D, from the last line to the first
ds = -(1 - sigmoid(s)) / len(s)  # (N, 1): the formula above
dh = ds @ W2.T  # (N, H): s = h W2 + b2, by h. Nobody asks for dW2 and db2 here
du = dh * (1 - h**2)  # (N, H): tanh' = 1 - tanh^2
dx = du @ W1.T  # (N, 2): u = x W1 + b1, by x. Nobody asks for dW1 and db1 here

loss_G = lambda x: -np.log(sigmoid(mlp(x, W1, b1, W2, b2)[1])).mean()
print("dx", dx.shape, "is the numeric gradient on the fakes:", np.allclose(dx, numeric(loss_G, x), atol=1e-9))
print("the library's ds:", np.allclose(ds, LOSS.generator(s)[1]))
assert np.isclose(value, loss_G(x)) and np.allclose(dx, numeric(loss_G, x), atol=1e-9)
assert np.allclose(ds, LOSS.generator(s)[1], rtol=1e-12)

# %% [markdown]
# Put the lines together. All but the first of them are the slope of D's logit, so the **short form** is
#
# $$dx_n = -\frac{1 - D(x_n)}{N}\, \nabla s(x_n)$$
#
# Read it. A fake wants to go along -dx_n: *uphill on D's logit*, and the more, the less D believes in it. It is told
# nothing else. No real point stands in this formula.

# %%
slope_of_s = np.array([numeric(lambda v: mlp(v[None], W1, b1, W2, b2)[1][0, 0], point) for point in x])  # (6, 2)
short = -(1 - sigmoid(s)) / 6 * slope_of_s
library_dx = small_D.backward(ds, small_D.forward(x)[1], param_grads=False)
print("short form = long form:", np.allclose(short, dx, atol=1e-9))
print("long form = the library's, without gradients on D's weights:", np.allclose(dx, library_dx, rtol=1e-12))
assert np.allclose(short, dx, atol=1e-9) and np.allclose(dx, library_dx, rtol=1e-12)

# %% [markdown]
# Now G stands before D: x_n = G(z_n; θ_G). What is dx for D's backward pass is dy for G's:
#
# $$\frac{\partial L_G}{\partial \theta_G} = \sum_n \left(\frac{\partial x_n}{\partial \theta_G}\right)^T dx_n$$
#
# Take G's last bias c2 in x = tanh(z V1 + c1) V2 + c2. It moves every fake alike, ∂x_n/∂c2 = 1. So its gradient is
# the sum of what all fakes want, with the opposite sign.

# %%
some_z = rng.standard_normal((6, 3))  # (6, 3): three numbers of noise each
V1, c1, V2, c2 = (0.8 * rng.standard_normal(shape) for shape in ((3, 4), (4,), (4, 2), (2,)))  # G: 3 - 4 - 2
game_loss = lambda *G: loss_G(mlp(some_z, *G)[1])  # of the two networks in a row: z -> x -> s
x = mlp(some_z, V1, c1, V2, c2)[1]
h, s = mlp(x, W1, b1, W2, b2)
dx = mlp_backward(-(1 - sigmoid(s)) / 6, x, h, W1, W2)[0]
truth = numeric(lambda v: game_loss(V1, c1, V2, v), c2)
print("dc2 is the sum of dx over the fakes:", np.allclose(dx.sum(axis=0), truth))
assert np.allclose(dx.sum(axis=0), truth, atol=1e-9)

# %% [markdown]
# Write the gradients on all of G's weights: forward through G and D, back through D and G.


# %% exercise="05.g_step_gradients"
def g_step_gradients(z, V1, c1, V2, c2, W1, b1, W2, b2):
    """dV1, dc1, dV2, dc2 of L_G, for G: x = tanh(z V1 + c1) V2 + c2 and D: s = tanh(x W1 + b1) W2 + b2."""
    ### BEGIN SOLUTION
    g, x = mlp(z, V1, c1, V2, c2)
    h, s = mlp(x, W1, b1, W2, b2)
    ds = -(1 - sigmoid(s)) / len(s)
    dx = mlp_backward(ds, x, h, W1, W2)[0]  # D's weights' gradients are left where they fall
    return mlp_backward(dx, z, g, V1, V2)[1:]
    ### END SOLUTION


# %% check="05.g_step_gradients"
check("05.g_step_gradients", g_step_gradients).raise_if_wrong()

# %%
yours = g_step_gradients(some_z, V1, c1, V2, c2, W1, b1, W2, b2)
weights = [V1, c1, V2, c2]
for k, name in enumerate(("dV1", "dc1", "dV2", "dc2")):
    truth = numeric(lambda v, k=k: game_loss(*weights[:k], v, *weights[k + 1 :]), weights[k])
    print(f"{name} {yours[k].shape}: yours is the numeric gradient of the whole game: {np.allclose(yours[k], truth)}")
    assert np.allclose(yours[k], truth, atol=1e-9)

# %% [markdown]
# ## 4. A round
#
# Now with the library's parts, for networks of any depth. You have:
#
# - `y, cache = net.forward(x)`, and `dx = net.backward(dy, cache)`, which also adds to the gradients of net's weights
#   (`param_grads=False` leaves these out, `input_grad=False` leaves dx out);
# - `net.zero_grad()`, and `optimizer.step()`, which moves the optimizer's own network;
# - `value, d_real, d_fake = game.loss.discriminator(real_logits, fake_logits)`;
# - `value, d_fake = game.loss.generator(fake_logits)`.
#
# `game` holds G, D, G_optimizer, D_optimizer and loss. Play one round: D's step with `x_real` and fakes from `z_d`,
# then G's step with *new* fakes from `z_g`, judged by the D that has just moved.


# %% exercise="05.train_round"
def train_round(game, x_real, z_d, z_g):
    """D's step with x_real (N, I) and G(z_d), then G's with z_g (N, K). Returns D's theta and G's."""
    G, D = game.G, game.D
    ### BEGIN SOLUTION
    x_fake, _ = G.forward(z_d)  # no cache is kept: nothing flows into G
    real_logits, real_cache = D.forward(x_real)
    fake_logits, fake_cache = D.forward(x_fake)
    _, d_real, d_fake = game.loss.discriminator(real_logits, fake_logits)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    game.D_optimizer.step()

    x_fake, g_cache = G.forward(z_g)
    fake_logits, d_cache = D.forward(x_fake)
    _, d_fake = game.loss.generator(fake_logits)
    dx_fake = D.backward(d_fake, d_cache, param_grads=False)
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    game.G_optimizer.step()
    ### END SOLUTION
    return D.theta, G.theta


# %% check="05.train_round"
check("05.train_round", train_round).raise_if_wrong()

# %% [markdown]
# The library has the two halves as functions. They are meant to be read:

# %%
for function in (d_step, g_step):
    print(inspect.getsource(function))

# %% [markdown]
# `trace` collects what one may want to look at, `penalty` is for lesson 12. The rest is yours. Ten rounds of both:


# %%
def new_game(seed, dtype=np.float32, optimizer=Adam, lr=1e-3):
    G, D = (player.astype(dtype) for player in new_players(seed))
    return SimpleNamespace(G=G, D=D, G_optimizer=optimizer(G, lr), D_optimizer=optimizer(D, lr), loss=LOSS)


mine, theirs, draws = new_game(0, np.float64), new_game(0, np.float64), np.random.default_rng(3)
for _ in range(10):
    x_real, z_d, z_g = data.sample(N, draws), noise(draws), noise(draws)
    train_round(mine, x_real, z_d, z_g)
    d_step(theirs.G, theirs.D, theirs.D_optimizer, theirs.loss, x_real, z_d)
    g_step(theirs.G, theirs.D, theirs.G_optimizer, theirs.loss, z_g)
for who in "GD":
    off = np.abs(getattr(mine, who).theta - getattr(theirs, who).theta).max()
    print(f"{who}: your ten rounds are the library's to the last digits: {bool(off < 1e-10)}")
    assert off < 1e-10 and getattr(mine, f"{who}_optimizer").steps == 10

# %% [markdown]
# ## 5. Freezing
#
# Your round is the library's two steps, so take each of them alone. A player stands still for one reason only: its
# optimizer is not called. And does G's step help G? To first order, for plain gradient descent with a small learning
# rate η, the loss on the same z must fall by
#
# $$\Delta L_G \approx \frac{\partial L_G}{\partial \theta_G} \cdot \Delta \theta_G =
# -\eta \left| \frac{\partial L_G}{\partial \theta_G} \right|^2$$

# %%
verdict = lambda D, x: sigmoid(D(x))[:, 0]  # what D says of points x (N, 2): its probability of "real", (N,)

game = new_game(0, np.float64, SGD, lr=1e-3)
x_real, z_d, z_g = data.sample(N, draws), noise(draws), noise(draws)
moves = {
    "D": lambda: d_step(game.G, game.D, game.D_optimizer, LOSS, x_real, z_d),
    "G": lambda: g_step(game.G, game.D, game.G_optimizer, LOSS, z_g),
}
for mover, move in moves.items():
    before = copy.deepcopy(game)
    move()
    moved = {who: not np.array_equal(getattr(game, who).theta, getattr(before, who).theta) for who in "DG"}
    print(f"{mover}'s step moves D: {moved['D']}, moves G: {moved['G']}. (False: bit-identical)")
    assert moved == {"D": mover == "D", "G": mover == "G"}

fell = LOSS.generator(game.D(game.G(z_g)))[0] - LOSS.generator(game.D(before.G(z_g)))[0]  # by G's step
ratio = fell / (-1e-3 * (game.G.grad @ game.G.grad))
liked, liked_more = verdict(game.D, before.G(z_g)).mean(), verdict(game.D, game.G(z_g)).mean()
print(f"L_G falls, over the formula: {ratio:.2f}.  mean D(G(z)) rises: {bool(liked_more > liked)}")
assert abs(ratio - 1) < 0.05
assert liked_more > liked, "one G step with D frozen raises the mean of D(G(z))"

# %% [markdown]
# **Predict.** Two ways to misread "freeze D", both seen in teaching code. (a) D's backward is left out, and G is
# handed the gradient on D's logits, one number for each fake, as if it were dx. (b) D is not frozen: G's step moves
# both. We teach D for 60 steps, then play 40 rounds of each, and of the right game. Where does G's loss fall most?
#
# <details><summary>The answer</summary>
#
# (b). G's step then makes D, too, call fakes real. A falling G loss proves nothing about the fakes.
#
# </details>


# %%
def misread_round(game, x_real, z_d, z_g, how):
    """A round with one of the mistakes, or "right". Returns G's loss."""
    d_step(game.G, game.D, game.D_optimizer, game.loss, x_real, z_d)
    x_fake, g_cache = game.G.forward(z_g)
    fake_logits, d_cache = game.D.forward(x_fake)
    value, d_fake = game.loss.generator(fake_logits)
    game.D.zero_grad()
    dx_fake = game.D.backward(d_fake, d_cache)
    game.G.zero_grad()
    game.G.backward(np.repeat(d_fake, 2, axis=1) if how == "a: no dx" else dx_fake, g_cache)
    game.G_optimizer.step()
    if how == "b: D moves, too":
        game.D_optimizer.step()
    return float(value)


taught = new_game(0)
for _ in range(60):
    d_step(taught.G, taught.D, taught.D_optimizer, taught.loss, data.sample(N, draws), noise(draws))
loss_at, energy_at = {}, {}
for how in ("right", "a: no dx", "b: D moves, too"):
    game, draws = copy.deepcopy(taught), np.random.default_rng(4)
    values = [misread_round(game, data.sample(N, draws), noise(draws), noise(draws), how) for _ in range(40)]
    loss_at[how] = np.mean(values[-10:])
    energy_at[how] = energy_distance(game.G(noise(draws, 512)), data.sample(512, draws))
    print(f"{how:<16}L_G {values[0]:.2f} -> {loss_at[how]:.2f}   energy distance {energy_at[how]:.1f}")
assert loss_at["b: D moves, too"] < loss_at["right"]
assert energy_at["a: no dx"] > 10 * energy_at["right"] and energy_at["b: D moves, too"] > 2 * energy_at["right"]

# %% [markdown]
# The energy distance to real points (lesson 00) has the truth. In (a) the fakes fly off: their gradient no longer
# knows which way D's ground rises. (b) has G's best loss and worse fakes. The right game's D is still an opponent.
#
# ## 6. The game
#
# Now the real thing, with *your* round. Both players have Adam. D's learning rate is twice G's, so that D keeps up.
# Lesson 04 showed that steps of a fixed length keep circling a goal, so in the second half of the training both
# rates fall to zero in a straight line.
#
# To judge the end we need a **floor**. The energy distance of two crowds of one distribution is 0 on average, but it
# scatters. So we take what 19 of 20 pairs of *real* crowds of 512 points stay below. No G can be asked for less.
#
# **Predict.** A D that can tell nothing has the loss log 4 (lesson 03). When D's loss comes within 0.1 nats of log 4
# for the first time, how good is G?

# %%
LOOK = 512  # points of each kind in all numbers below
ROUNDS = 600 if FAST else 4000
draws = np.random.default_rng(5)
Z, REAL = noise(draws, LOOK), data.sample(LOOK, draws)  # (512, 2) each, always the same
floor = np.quantile([energy_distance(data.sample(LOOK, draws), data.sample(LOOK, draws)) for _ in range(40)], 0.95)

game = new_game(0)
moments, film = [], []
for t in range(ROUNDS + 1):
    if t % (ROUNDS // 50) == 0:
        seen = {}
        d_step(game.G, game.D, Still(), game.loss, REAL, Z, seen)  # a look: nobody moves
        moments.append((t, energy_distance(seen["x_fake"], REAL), float(seen["d_value"])))
        film.append(copy.deepcopy(game))
    if t < ROUNDS:
        share = min(1, 2 * (1 - t / ROUNDS))
        game.G_optimizer.lr, game.D_optimizer.lr = 1e-3 * share, 2e-3 * share
        train_round(game, data.sample(N, draws), noise(draws), noise(draws))
rounds, energy, d_loss = np.array(moments).T

figure, (left, right) = plt.subplots(1, 2)
left.semilogy(rounds, np.maximum(energy, floor / 5), "o-", color=ORANGE, markersize=3)  # lower ones are drawn there
left.axhspan(floor / 5, floor, color="#E4E4E4", linewidth=0)
left.text(0, floor / 1.15, "two real crowds", va="top", fontsize=9)
left.set(xlabel="rounds", ylabel="energy distance (plane's unit)", title="G comes down to the floor")
right.plot(rounds, d_loss, "s-", color=BLUE, markersize=3)
right.axhline(math.log(4), color=INK, linewidth=0.8, linestyle=":")
right.text(ROUNDS, math.log(4) + 0.005, "log 4", ha="right", va="bottom")
right.set(xlabel="rounds", ylabel="D's loss (nats)", title="D's loss: near log 4 early and late")
figure.tight_layout()

score, perfect = modes(game.G(Z), data.means, data.sd), perfect_modes(len(data.means), LOOK)
first = np.flatnonzero(np.abs(d_loss - math.log(4)) < 0.1)[0]
print(f"energy distance over the floor: {energy[0] / floor:.0f} at the start, {energy[-1] / floor:.1f} at the end")
print(f"islands covered: {score.covered:.0f} of {len(data.means)}")
print(f"fakes within 3 sd of an island: {score.high_quality:.2f}; of real points {perfect.high_quality:.2f}")
print(f"first within 0.1 of log 4 at round {rounds[first]:.0f}, energy over the floor {energy[first] / floor:.0f}")
assert energy[first] > 3 * energy[-1], "log 4 was no sign of success"
if FAST:
    assert energy[-1] < energy[0] / 3, "a short game: much nearer, and not there yet"
else:
    assert energy[-1] < 2 * floor, "as near to the data as another real crowd, up to a factor of 2"
    assert score.covered == len(data.means) and score.high_quality < perfect.high_quality

# %% [markdown]
# Two MLPs can. For 512 points the fakes are as near to the data as another real crowd would be, up to a factor of
# 2. And log 4 is met twice: early, when D has learned nothing yet, and late, when little is left to tell. The loss
# does not say which of the two it is. Nor is G perfect: fewer fakes lie on the islands than real points. The film
# shows why.
#
# ![D's ground, and beside it the sheet of noise that G pulls onto eight islands](pictures/05_training.gif)
#
# On the right is the **sheet**: the plane of z, cut into cells that hold equal shares of the noise, as G bends it. G
# is continuous. It can stretch the sheet thin between two islands, but it cannot tear it, and some fakes lie on the
# threads.

# %%
COLOURS = LinearSegmentedColormap.from_list("verdict", ["#F2C4A0", "#FFFFFF", "#A3CBE6"])
side = np.linspace(-1.7, 1.7, 70)
PLACES = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2).astype(np.float32)  # (4900, 2)


def draw_ground(axes, game):
    """D's verdict on every place (black: 1/2), real points and fakes."""
    says = verdict(game.D, PLACES).reshape(70, 70)
    axes.contourf(side, side, says, np.linspace(0, 1, 11), cmap=COLOURS, antialiased=False)
    if says.min() < 0.5 < says.max():
        axes.contour(side, side, says, [0.5], colors=INK, linewidths=1)
    axes.scatter(*REAL[:250].T, s=14, facecolors="none", edgecolors=BLUE, linewidths=0.7)
    axes.scatter(*game.G(Z)[:250].T, s=9, marker="x", color=ORANGE, linewidths=0.8)


def draw_sheet(axes, game):
    """The lines of 24 x 24 cells of z that hold equal shares of the noise, where G puts them, and real points."""
    sheet = game.G(normal_grid(24).reshape(-1, 2)).reshape(25, 25, 2)
    axes.add_collection(LineCollection([*sheet, *sheet.transpose(1, 0, 2)], colors="#777777", linewidths=0.6))
    axes.scatter(*REAL[:250].T, s=14, facecolors="none", edgecolors=BLUE, linewidths=0.7)


folder = os.environ.get("MINIGAN_PICTURES")  # the film is drawn anew only where this names a folder to write it to
if folder:
    frames, square = [], {"xlim": (-1.7, 1.7), "ylim": (-1.7, 1.7), "aspect": "equal", "xticks": [], "yticks": []}
    for moment, t, distance in zip(film, rounds, energy):
        picture = Figure(figsize=(6.4, 3.5))
        for axes, draw in zip(picture.subplots(1, 2), (draw_ground, draw_sheet)):
            draw(axes, moment)
            axes.set(**square)
        picture.suptitle(f"round {t:>4.0f}    energy distance {distance:.3f}", fontsize=10)
        picture.subplots_adjust(left=0.01, right=0.99, top=0.92, bottom=0.01, wspace=0.03)
        frames.append(viz.pixels(picture, 80))
    viz.save_animation(frames, Path(folder) / "05_training.gif", seconds=8)

# %% [markdown]
# ## 7. What fakes want, and what they get
#
# One network makes all fakes. Let J_n = ∂x_n/∂θ_G (2, P) be G's Jacobian matrix at z_n. For plain gradient descent
# with a small learning rate η, and with section 3's gradient,
#
# $$\Delta x_n \approx J_n \Delta\theta_G = -\eta \sum_m J_n J_m^T\, dx_m$$
#
# A fake does not move by its own wish -dx_n. It moves by *everybody's*, weighed with how much G ties it to the
# others: the 2 x 2 matrices J_n J_m^T, the neural tangent kernel. Is it true, and how much does its own wish count?

# %%
some_G, some_D = film[25].G.astype(np.float64), film[25].D.astype(np.float64)
z_some, eta = Z[:64].astype(np.float64), 1e-4
J = np.empty((64, 2, some_G.theta.size))  # (N, 2, P)
for n, i in np.ndindex(64, 2):
    _, cache = some_G.forward(z_some[n : n + 1])
    some_G.zero_grad()
    some_G.backward(np.eye(2)[i : i + 1], cache, input_grad=False)
    J[n, i] = some_G.grad

seen, x = {}, some_G(z_some)
g_step(some_G, some_D, SGD(some_G, eta), LOSS, z_some, seen)
got, dx = some_G(z_some) - x, seen["dx_fake"]  # (N, 2) both
formula = -eta * np.einsum("nip,mjp,mj->ni", J, J, dx, optimize=True)
own = -eta * np.einsum("nip,njp,nj->ni", J, J, dx, optimize=True)
print("the formula gives the movement:", bool(np.linalg.norm(formula - got) < 0.02 * np.linalg.norm(got)))
share = np.linalg.norm(own) / np.linalg.norm(got)
print(f"alone, the 64 fakes' own wishes would move them {share:.0%} as far")
assert np.linalg.norm(formula - got) < 0.02 * np.linalg.norm(got) and share < 0.5

# %% [markdown]
# The rest is the crowd. How well do wish and movement agree in the real game, with Adam? For each fake, with its
# wish w_n = -N dx_n (its own gradient, without the 1/N of the mean) and its movement g_n in G's next step,
#
# $$\cos_n = \frac{w_n \cdot g_n}{|w_n|\,|g_n|}$$
#
# is +1 where a fake gets what it wants, 0 where it is carried across, and -1 where it is carried back.


# %%
figure, panels = plt.subplots(3, 3, figsize=(9.6, 9.9), sharex=True, sharey=True)
panels[0, 0].set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7))  # shared by all
agreement = []
for row, k in zip(panels, (2, 12, 50)):
    ahead, seen = copy.deepcopy(film[k]), {}  # a copy makes G's next step; the game itself stands still
    g_step(ahead.G, ahead.D, ahead.G_optimizer, LOSS, Z, seen)
    x, wanted = seen["g_x_fake"], -LOOK * seen["dx_fake"]
    got = ahead.G(Z) - x
    lengths = np.linalg.norm(wanted, axis=1), np.linalg.norm(got, axis=1)
    cosine = (wanted * got).sum(axis=1) / (lengths[0] * lengths[1])
    agreement.append(cosine.mean())
    draw_ground(row[0], film[k])
    draw_sheet(row[1], film[k])
    for arrows, length, colour, width in ((got, lengths[1], "#009E73", 0.011), (wanted, lengths[0], INK, 0.005)):
        style = {"angles": "xy", "scale_units": "xy", "scale": np.quantile(length, 0.9) / 0.35, "width": width}
        row[2].quiver(*x[:60].T, *arrows[:60].T, color=colour, **style)
    row[2].scatter(*x[:60].T, s=9, marker="x", color=ORANGE, linewidths=0.8)
    titles = f"round {rounds[k]:.0f}: D's ground", "the sheet", f"black: wants, green: gets, cos {cosine.mean():+.2f}"
    for axes, title in zip(row, titles):
        axes.set(title=title, aspect="equal", xlabel="x" if k == 50 else "", ylabel="y" if axes is row[0] else "")
    print(f"round {rounds[k]:>4.0f}: {(cosine < 0).mean():.0%} carried back, median wish {np.median(lengths[0]):.2f}")
figure.tight_layout()
assert 0 < agreement[0] < 0.9, "on average a fake gets some of what it wants, and not all"

# %% [markdown]
# Read a row from left to right. Black arrows point uphill on D's ground, as section 3's short form says. Green ones
# go in streams: neighbours on the sheet move together. (Each kind has its own scale in each row.) At the end most
# wishes are nearly nothing, those of the few decide, and the crowd is carried any way. `minigan.board.Board` draws
# these panels for any game in the plane, move by move.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `train_round`, leave out `D.zero_grad()`. What does the check say? Go on without the check: Adam hides a wrong
#    length of the gradient. Does it hide this mistake?
# 2. In `train_round`, move `game.D_optimizer.step()` one line up. Which error stops you, and from what?
# 3. In section 6, let the learning rates stay where they are (`share = 1`). Look at the last ten moments of the left
#    picture, and think of lesson 04.
# 4. In section 6, let D learn as fast as G, or five times as fast. Where does its loss lie, and where does G end?
# 5. Take `toy.ring(8, sd=0.02)`, or `toy.ring(16)`. How many islands are covered at the end? Lesson 10 is about that.
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("05.d_step_gradients", d_step_gradients)
assert check("05.g_step_gradients", g_step_gradients)
assert check("05.train_round", train_round)
print("A GAN without a framework: D's step, G's step through D, and a distribution learned.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 06**: the same loop on pictures of digits.
# - I. Goodfellow and others, "Generative adversarial nets", *Advances in Neural Information Processing Systems* 27,
#   2014: algorithm 1 is your `train_round`, and proposition 2 says what it would need to converge.
# - M. Heusel and others, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium",
#   *Advances in Neural Information Processing Systems* 30, 2017: why D's learning rate may be larger than G's.
# - A. Jacot, F. Gabriel and C. Hongler, "Neural tangent kernel: convergence and generalization in neural networks",
#   *Advances in Neural Information Processing Systems* 31, 2018: the matrices J_n J_m^T.
