# %% [markdown]
# # 14. What flows through time?
#
# So far a network saw its whole input at once. A text, a melody or a film comes step by step, and what is right now
# may depend on what came long ago. A recurrent network reads one step at a time and carries a state from each to
# the next. Forward, the state carries what was read. Backward, a gradient walks the same way against time, and it
# may die on the way, or blow up. What gets through decides what the network can learn.
#
# **You need** lesson 01 (the gradient check) and lesson 02 (backward passes). **Time** about 60 minutes. **You will
# write** backpropagation through time for a plain recurrent network, the backward of an LSTM's cell, and gradient
# clipping. **After it** you have a network that writes sentences with the right grammar, you know how far its
# perplexity is from the best possible one, and you have what lesson 15 plays against a discriminator.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan.backend import rng
from minigan.exercises import check
from minigan.layers import LSTM, Embedding
from minigan.layers.activations import sigmoid
from minigan.losses import softmax_cross_entropy
from minigan.metrics.text import perplexity
from minigan.models.seqgan import Writer
from minigan.network import Sequential
from minigan.optim import Adam, clip_gradient

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# "LSTMs solve the problem of vanishing gradients" stands in many tutorials. Take a fresh LSTM, with the forget bias
# at 1, as Keras sets it. Hand a gradient of norm 1 to its state after step 50. Which norm arrives at the
# state before step 1?
#
# 1. Nearly 1: that is what an LSTM is for.
# 2. About 0.1.
# 3. Less than 0.001.
#
# Write your answer down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. What passes along the memory is multiplied by the forget gate at every step. With a bias of 1 that is σ(1) =
# 0.73, and 0.73^50 is 2e-7. Other ways through the cell carry some more: section 4 measures 1e-4 to 6e-4. A plain
# network can do as well. What an LSTM can do, and a plain network cannot, is *learn* to hold that gate open for as
# long as it matters. Section 10 looks at one that did.
#
# </details>

# %% [markdown]
# ## 1. A step, again and again
#
# There are N sequences of T steps with I numbers each: x (N, T, I). The state h has H numbers for each sequence.
# The plain recurrent network (RNN) makes the next state from the last one and the step's input, with the same
# weights at every step:
#
# $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b) \qquad t = 1, \ldots, T$$
#
# Wx is (I, H), Wh (H, H), b (H,). In the arrays `h[:, t]` is h_t, so h has T + 1 entries, of which `h[:, 0]` is the
# state to begin with, and `x[:, t]` is what leads from `h[:, t]` to `h[:, t + 1]`.


# %%
def rnn_forward(x, h0, Wx, Wh, b):
    """All states, (N, T + 1, H), the first one included."""
    h = np.empty((len(x), x.shape[1] + 1, len(Wh)), x.dtype)
    h[:, 0] = h0
    for t in range(x.shape[1]):
        h[:, t + 1] = np.tanh(x[:, t] @ Wx + h[:, t] @ Wh + b)
    return h


random = np.random.default_rng(0)
N, T, n_in, H = 3, 6, 4, 5
at = {"x": random.normal(size=(N, T, n_in)), "h0": random.normal(size=(N, H))}
at |= {"Wx": random.normal(0, 0.5, (n_in, H)), "Wh": random.normal(0, 0.5, (H, H)), "b": random.normal(0, 0.3, H)}
h = rnn_forward(**at)
two = rnn_forward(at["x"][:, 4:], h[:, 4], at["Wx"], at["Wh"], at["b"])  # go on where four steps have led
print("six steps are four steps and two more:", np.array_equal(two, h[:, 4:]))
assert np.array_equal(two, h[:, 4:])

# %% [markdown]
# ## 2. Backpropagation through time: your first hole
#
# Unroll the loop: T layers one above the other, which happen to share their weights. So nothing new is needed.
# Layer t is a dense layer with a tanh, and its output h_t is used **twice**: it is the output y_t, with an upstream
# gradient dy_t of its own, and it goes into step t + 1. Write a_t for what goes into the tanh. From the last step to
# the first, beginning with da_{T+1} = 0,
#
# $$dh_t = dy_t + da_{t+1} W_h^T \qquad da_t = dh_t\, (1 - h_t^2)$$
#
# and since all steps share the weights, each gradient on them is a sum over all steps:
#
# $$dx_t = da_t W_x^T \qquad dW_x = \sum_t x_t^T da_t \qquad dW_h = \sum_t h_{t-1}^T da_t \qquad db = \sum_t da_t$$
#
# (db sums over the batch, too.) What leaves the first step, da_1 Wh^T, is dh0.


# %% exercise="14.rnn_backward"
def rnn_backward(dy, x, h, Wx, Wh):
    """dx (N, T, I), dh0 (N, H), dWx (I, H), dWh (H, H), db (H,) from dy (N, T, H), on h[:, 1:]."""
    ### BEGIN SOLUTION
    dx = np.empty_like(x)
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wh[0])
    sent = np.zeros_like(h[:, 0])  # what the step after sends back
    for t in reversed(range(x.shape[1])):
        dh = dy[:, t] + sent
        da = dh * (1 - h[:, t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += h[:, t].T @ da
        db += da.sum(axis=0)
        sent = da @ Wh.T
    return dx, sent, dWx, dWh, db
    ### END SOLUTION


# %% check="14.rnn_backward"
check("14.rnn_backward", rnn_backward).raise_if_wrong()

# %% [markdown]
# The check compares with a solution. Do not believe that either: here are the central differences of lesson 01, for
# each of the five gradients, with a random dy at all steps, in float64.


# %%
def compare(loss, at, gradients):
    """Are the gradients by name those of the loss, by central differences and relative error? (Lesson 01.)"""
    for name, gradient in gradients.items():
        numeric = np.empty_like(gradient)
        for i in np.ndindex(gradient.shape):
            e = np.zeros_like(gradient)
            e[i] = 1e-5
            numeric[i] = (loss(**at | {name: at[name] + e}) - loss(**at | {name: at[name] - e})) / 2e-5
        error = (np.abs(gradient - numeric) / np.maximum(np.maximum(abs(gradient), abs(numeric)), 1e-4)).max()
        print(f"d{name} {'right' if error < 1e-6 else f'wrong, error {error:.2g}'}")
        assert error < 1e-6, name


dy = random.normal(size=(N, T, H))
gradients = dict(zip(("x", "h0", "Wx", "Wh", "b"), rnn_backward(dy, at["x"], h, at["Wx"], at["Wh"])))
compare(lambda **at: (rnn_forward(**at)[:, 1:] * dy).sum(), at, gradients)

# %% [markdown]
# **Predict.** A well-known teaching repository computes dx in its RNN from dy_t alone, without what later steps
# send back; in its weights' gradients they are there. How wrong is dx?
#
# <details><summary>The answer</summary>
#
# That depends on Wh. With small first weights, entries of N(0, 0.01²), it is off by 5 %. That is why nobody notices:
# the loss falls. But the error grows with Wh, to about half of the gradient at N(0, 0.1²). And where only the last
# step has a loss (is this sentence a question?), the wrong dx of all earlier steps is 0.
#
# </details>
#
# For x_t moves all states from t on. With D_s = diag(1 - h_s^2), for one sequence,
#
# $$dx_t = \sum_{s \ge t} dy_s\, D_s \left(W_h^T D_{s-1}\right) \cdots \left(W_h^T D_t\right) W_x^T$$
#
# The first term, s = t, is all that the wrong version has. The cell evaluates the sum term by term, and measures what
# is missing.

# %%
slope = 1 - h[0, 1:] ** 2  # (T, H) of the first sequence
for t in range(T):
    terms = []
    for s in range(t, T):
        v = dy[0, s] * slope[s]
        for r in reversed(range(t, s)):
            v = v @ at["Wh"].T * slope[r]
        terms.append(v @ at["Wx"].T)
    assert np.allclose(sum(terms), gradients["x"][0, t])
print("the sum is dx at every step")
some_x, some_dy = random.normal(size=(8, 20, 16)), random.normal(size=(8, 20, 64))
some_Wx, some_Wh, missing = random.normal(0, 0.25, (16, 64)), random.normal(size=(64, 64)), {}
for spread in (0.01, 0.03, 0.1):
    some_h = rnn_forward(some_x, 0, some_Wx, spread * some_Wh, 0)
    whole = rnn_backward(some_dy, some_x, some_h, some_Wx, spread * some_Wh)[0]
    own_step = (some_dy * (1 - some_h[:, 1:] ** 2)) @ some_Wx.T
    missing[spread] = np.linalg.norm(own_step - whole) / np.linalg.norm(whole)
    print(f"Wh from N(0, {spread:g}²): a dx that ignores later steps is off by {missing[spread]:.0%}")
assert 0.02 < missing[0.01] < 0.1 and missing[0.1] > 0.35

# %% [markdown]
# ## 3. The LSTM, and its cell's backward: your second hole
#
# In the sum above, every step back multiplies by Wh^T and by tanh's slopes. Fifty steps make fifty products. The
# long short-term memory of Hochreiter and Schmidhuber gives the state a second half, the memory c, which goes from
# step to step without either. a_t = x_t Wx + h_{t-1} Wh + b is now (N, 4H): four gates side by side, i, f, g, o,
#
# $$i, f, o = \sigma(a_i, a_f, a_o) \qquad g = \tanh(a_g)$$
#
# $$c_t = f\, c_{t-1} + i\, g \qquad h_t = o\, \tanh(c_t)$$
#
# f says how much is kept (the forget gate, which should be called the keep gate), i how much is written of what is
# new, g, and o how much is shown.


# %%
def lstm_forward(x, h0, c0, Wx, Wh, b):
    """h and c (N, T + 1, H), the first ones included, and the gates i, f, g, o (N, T, 4H)."""
    n, steps, size = len(x), x.shape[1], len(Wh)
    h, c = np.empty((n, steps + 1, size), x.dtype), np.empty((n, steps + 1, size), x.dtype)
    gates = x @ Wx + b  # for all steps at once: only the product with Wh has to wait
    h[:, 0], c[:, 0] = h0, c0
    for t in range(steps):
        gates[:, t] += h[:, t] @ Wh
        i, f, g, o = np.split(gates[:, t], 4, axis=1)  # views: what is written to them stands in gates
        i[...], f[...], g[...], o[...] = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c[:, t + 1] = f * c[:, t] + i * g
        h[:, t + 1] = o * np.tanh(c[:, t + 1])
    return h, c, gates


at = {"x": random.normal(size=(N, T, n_in)), "h0": random.normal(size=(N, H)), "c0": random.normal(size=(N, H))}
at |= {"Wx": random.normal(0, 0.5, (n_in, 4 * H)), "Wh": random.normal(0, 0.5, (H, 4 * H))}
at["b"] = random.normal(0, 0.3, 4 * H)
h, c, gates = lstm_forward(**at)
print("h", h.shape, "  c", c.shape, "  gates", gates.shape)
print("|h| < 1 always:", bool(np.abs(h[:, 1:]).max() < 1), "  c may be larger: ", np.abs(c).max().round(1))

# %% [markdown]
# Now one step back. Given are dh and dc, the gradients on h_t and c_t. (dh holds dy_t and what step t + 1 sent; dc is
# all from step t + 1.) c_t is used twice again, by h_t and by the next step, so first the gradients meet:
#
# $$d = dc + dh\; o\, (1 - \tanh^2 c_t)$$
#
# Then every line of forward gives one line: i, f, g and c_{t-1} stand in c_t, and o in h_t. For instance
#
# $$da_i = d\; g\; i\,(1 - i) \qquad dc_{t-1} = d\; f$$
#
# The other three are yours. σ has the slope y (1 - y), tanh has 1 - y². Return da, the four side by side, and
# dc_{t-1}. There is no Wh and no tanh between dc_t and dc_{t-1}: only f.


# %% exercise="14.lstm_cell_backward"
def lstm_cell_backward(dh, dc, gates, c, c_next):
    """da (N, 4H) and dc_before (N, H), from dh and dc on the state after the step, and c before and c_next after."""
    ### BEGIN SOLUTION
    i, f, g, o = np.split(gates, 4, axis=1)
    tanh_c = np.tanh(c_next)
    d = dc + dh * o * (1 - tanh_c**2)
    da_i = d * g * i * (1 - i)
    da_f = d * c * f * (1 - f)
    da_g = d * i * (1 - g**2)
    da_o = dh * tanh_c * o * (1 - o)
    return np.concatenate([da_i, da_f, da_g, da_o], axis=1), d * f
    ### END SOLUTION


# %% check="14.lstm_cell_backward"
check("14.lstm_cell_backward", lstm_cell_backward).raise_if_wrong()

# %% [markdown]
# The loop around it is section 2's. Central differences again, with a loss that looks at all h and at the last c.


# %%
def lstm_backward(dy, x, h, c, gates, Wx, Wh, dh=0, dc=0):
    """dx, dh0, dc0, dWx, dWh, db from dy (N, T, H), and from dh, dc on the last state beside."""
    da, dh, dc = np.empty_like(gates), dh + np.zeros_like(h[:, 0]), dc + np.zeros_like(c[:, 0])
    for t in reversed(range(x.shape[1])):
        da[:, t], dc = lstm_cell_backward(dh + dy[:, t], dc, gates[:, t], c[:, t], c[:, t + 1])
        dh = da[:, t] @ Wh.T
    rows = da.reshape(-1, da.shape[-1])  # (N T, 4H): the sums over sequences and steps in one product
    dWh = h[:, :-1].reshape(len(rows), -1).T @ rows
    return da @ Wx.T, dh, dc, x.reshape(len(rows), -1).T @ rows, dWh, rows.sum(axis=0)


def loss(**at):
    h, c, _ = lstm_forward(**at)
    return (h[:, 1:] * dy).sum() + (c[:, -1] * dc_last).sum()


dc_last = random.normal(size=(N, H))
found = lstm_backward(dy, at["x"], h, c, gates, at["Wx"], at["Wh"], dc=dc_last)
compare(loss, at, dict(zip(("x", "h0", "c0", "Wx", "Wh", "b"), found)))

# %% [markdown]
# ## 4. Fifty steps back
#
# Hand in a gradient of norm 1 at the last state, and measure what arrives k steps before, the **lag**: that is dh0
# (and dc0) of the last k steps. First where it can be computed: no input, no bias, a state of 0. There all tanh are
# straight. For an RNN with Wh = ρ Q, Q orthogonal, all eigenvalues have the size ρ (the spectral radius), and
#
# $$|dh_{t-k}| = \rho^k\, |dh_t|$$
#
# In an LSTM at the zero state, g = 0 and c = 0, so da_i, da_f and da_o are 0. What remains is d at one step from d at
# the next, by f = σ(forget bias) and by i = o = 1/2, with Wg the part of Wh that makes a_g:
#
# $$d_{t-1} = d_t \left(f\, 1 + \tfrac{1}{4} W_g^T\right)$$
#
# So an LSTM begins as an RNN, whose matrix is a part of the *identity*. That is the good idea in it. But f < 1. The
# cell evaluates both formulas, and then measures again with inputs from N(0, 1).

# %%
n_in, H, T, N = 8, 32, 50, 16
LAGS = [1, 5, 10, 20, 30, 40, 50]
Q = np.linalg.qr(random.normal(size=(H, H)))[0]
some_Wx = random.uniform(-1, 1, (n_in, H)) * np.sqrt(6 / (n_in + H))
u = random.normal(size=(N, 2 * H))
dh, dc = np.split(u / np.linalg.norm(u, axis=1, keepdims=True), 2, axis=1)  # handed in; together of norm 1
at_end = np.zeros((N, T, H))
at_end[:, -1] = dh / np.linalg.norm(dh, axis=1, keepdims=True)


def size(*states):
    """The norm of what arrives, the root of its mean square over the sequences."""
    return np.sqrt(sum((d**2).sum(axis=1) for d in states).mean())


def through_rnn(x, rho):
    h = rnn_forward(x, 0, some_Wx, rho * Q, 0)
    return [size(rnn_backward(at_end[:, -k:], x[:, -k:], h[:, -k - 1 :], some_Wx, rho * Q)[1]) for k in LAGS]


def through_lstm(x, layer):
    Wx, Wh, b = layer.params.values()
    states, back = lstm_forward(x, 0, 0, Wx, Wh, b), []
    for k in LAGS:
        h, c, gates = states[0][:, -k - 1 :], states[1][:, -k - 1 :], states[2][:, -k:]
        back.append(lstm_backward(0 * at_end[:, -k:], x[:, -k:], h, c, gates, Wx, Wh, dh, dc)[1:3])
        if not x.any():  # the formula: d at the last step, then k - 1 times the matrix
            f, Wg = sigmoid(b[H]), Wh[:, 2 * H : 3 * H]
            d = (dc + dh / 2) @ np.linalg.matrix_power(f * np.eye(H) + Wg.T / 4, k - 1)
            assert np.allclose(back[-1], [d @ Wg.T / 2, f * d])
    return [size(*pair) for pair in back]


def fresh(forget_bias):
    layer = LSTM(n_in, H, rng=rng(0)).astype("float64")
    layer.params["b"][H : 2 * H] = forget_bias
    return layer


arrived = {}
figure, panels = plt.subplots(1, 2, sharey=True)
for axes, reads, title in zip(panels, (False, True), ("at rest: straight lines", "reading: tanh's slopes take part")):
    x = reads * np.random.default_rng(1).normal(size=(N, T, n_in))
    for kind, value, mark in zip("RRRLLL", (1.2, 1.0, 0.8, 5, 1, 0), "^soDov"):
        norms = arrived[reads, kind, value] = through_rnn(x, value) if kind == "R" else through_lstm(x, fresh(value))
        label = f"RNN, ρ = {value}" if kind == "R" else f"LSTM, bias {value}"
        axes.semilogy(LAGS, norms, mark + "-", color=ORANGE if kind == "R" else BLUE, markersize=5, label=label)
    axes.set(xlabel="lag, in steps", title=title)
panels[0].set(ylabel="norm of what arrives")
panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

for rho in (0.8, 1.0, 1.2):
    assert np.allclose(arrived[False, "R", rho], rho ** np.array(LAGS))
    print(f"RNN, ρ = {rho}: ρ^50 = {rho**50:.0e}, and so much at rest; reading {arrived[True, 'R', rho][-1]:.0e}")
for bias in (0, 1, 5):
    print(f"LSTM, forget bias {bias}: σ(bias)^50 = {sigmoid(float(bias)) ** 50:.0e},", end=" ")
    print(f"measured {arrived[False, 'L', bias][-1]:.0e} at rest, {arrived[True, 'L', bias][-1]:.0e} reading")
assert arrived[False, "R", 1.2][-1] > 1e3 and arrived[True, "L", 1][-1] < arrived[True, "R", 1.2][-1] < 1e-2
assert max(arrived[reads, "L", 1][-1] for reads in (False, True)) < 1e-3, "the answer to the prediction"
assert min(arrived[reads, "L", 5][-1] for reads in (False, True)) > 0.1

# %% [markdown]
# At rest: powers of ρ, and only ρ = 1 exactly neither dies nor explodes. Reading: tanh's slopes, all below 1, take
# part at every step, and even ρ = 1.2 vanishes. "Choose ρ = 1 and nothing vanishes" holds for a network that does
# nothing.
#
# And the LSTM with the usual bias of 1 is no better than the RNN with ρ = 1.2. With a bias of 5 the gate is 0.993,
# and the gradient lives. (It even grows: the matrix has eigenvalues beyond 1.) Why not begin so? A memory that keeps
# everything fills up with everything. The point is that f is *computed*: the network can learn to keep where it pays.
#
# ## 5. When it explodes: your third hole
#
# Vanishing is quiet. Exploding is not. One unit, one weight: h_t = tanh(2 h_{t-1} + b), fifty steps from h_0 = -0.9,
# and the loss (h_50 + 0.6)². For b < 0.53 the state rests on the negative side. At 0.53 that resting place
# disappears, and the state runs over to +1: the loss has a cliff, with a slope of thousands. A gradient step taken
# there throws b out of the landscape, to where tanh is flat and no gradient leads back.
#
# Pascanu, Mikolov and Bengio's cure is to **clip** the gradient, all parameters as one long vector g:
#
# $$g \leftarrow g \cdot \min\left(1, \frac{\mathrm{largest}}{|g|}\right)$$
#
# The direction stays. Write it for the three gradients of an RNN; |g|² is the sum over all entries of all three.


# %% exercise="14.clip_by_norm"
def clip_by_norm(dWx, dWh, db, largest):
    """The three gradients, all times the same number, such that their common norm is at most `largest`."""
    ### BEGIN SOLUTION
    norm = np.sqrt((dWx**2).sum() + (dWh**2).sum() + (db**2).sum())
    factor = largest / max(norm, largest)
    return dWx * factor, dWh * factor, db * factor
    ### END SOLUTION


# %% check="14.clip_by_norm"
check("14.clip_by_norm", clip_by_norm).raise_if_wrong()


# %%
def cliff(b):
    """The loss at b, and dL/db, (1,), as your backward gives it."""
    x, dy, one = np.zeros((1, 50, 1)), np.zeros((1, 50, 1)), np.ones((1, 1))
    h = rnn_forward(x, -0.9, one, 2 * one, b)
    dy[0, -1] = 2 * (h[0, -1] + 0.6)
    return float((h[0, -1, 0] + 0.6) ** 2), rnn_backward(dy, x, h, one, 2 * one)[4]


edge = max(np.linspace(0.53, 0.545, 100), key=lambda b: abs(cliff(b)[1][0]))  # the steepest place
plain = cliff(edge)[1]
clipped = clip_by_norm(np.zeros((1, 1)), np.zeros((1, 1)), plain, 0.2)[2]
print(f"|dL/db| at b = 0.4: {abs(cliff(0.4)[1][0]):.1f}; at b = {edge:.2f}, more than 1000: {abs(plain[0]) > 1000}")
for name, db in (("plain", plain), ("clipped", clipped)):
    after = edge - 0.1 * db[0]
    lost = cliff(after)[1][0] == 0
    print(
        f"a {name} step with learning rate 0.1 leads {'far away' if abs(after) > 10 else f'to {after:.2f}'},", end=" "
    )
    print("where the gradient is exactly 0" if lost else "where there still is a gradient")
    assert lost == (name == "plain") == (abs(after) > 10)

# %% [markdown]
# Clipping mends steps that are too long. It does nothing for a gradient that has vanished: what is gone is gone.
#
# ## 6. Cutting time into pieces
#
# A text of a million words cannot be one sequence: backward needs all states, T of them. **Truncated**
# backpropagation runs forward all the way, but cuts the gradient every k steps: each piece begins with the state of
# the last, and sends nothing back into it. Often it is said that such a network "sees k steps back". Count the pairs
# of an output and an input that lie ℓ steps apart and that a gradient connects. In each of the T/k pieces,
#
# $$\mathrm{pairs}(\ell) = \frac{T}{k}\,(k - \ell) \qquad 0 \le \ell < k$$
#
# Of all T - ℓ pairs that is a share of about 1 - ℓ/k: the last step of a piece sees k steps, the first only itself.


# %%
def truncated(dy, x, k, layer):
    """dx (N, T, I): forward in pieces of k steps, each begun with the last state, and backward in each alone."""
    Wx, Wh, b = layer.params.values()
    h, c, dx = 0, 0, []
    for start in range(0, x.shape[1], k):
        piece = slice(start, start + k)
        hs, cs, gates = lstm_forward(x[:, piece], h, c, Wx, Wh, b)
        dx.append(lstm_backward(dy[:, piece], x[:, piece], hs, cs, gates, Wx, Wh)[0])
        h, c = hs[:, -1], cs[:, -1]
    return np.concatenate(dx, axis=1)


x, k, pairs = random.normal(size=(N, 24, n_in)), 6, np.zeros(24, int)
for s in range(24):  # one output at a time: which inputs does it reach?
    dy = np.zeros((N, 24, H))
    dy[:, s] = 1
    pairs[s - np.flatnonzero(np.abs(truncated(dy, x, k, fresh(1))).max(axis=(0, 2)))] += 1
by_formula = [24 // k * max(k - lag, 0) for lag in range(24)]
print("pairs at lag 0 to 7, with T = 24 and k = 6:", pairs[:8], " by the formula:", by_formula[:8])
assert pairs.tolist() == by_formula

# %% [markdown]
# The state itself does go over the cut. So what was learned at short lags may still serve at longer ones.
#
# ## 7. A language of which everything is known
#
# Is a network that writes text good? For a real language nobody knows the best possible score. So we make one up:
#
#     the cats near the dog near the cat sleep .
#
# A sentence has a subject; with probability q = 0.6 a phrase "near the ..." follows, and again, and again; then a
# verb, which agrees with the **subject**, whatever animals stand between. A text is one sentence after the other. The
# state of the grammar is known from the words so far; each state gives the next word's probabilities.

# %%
WORDS = ". the cat dog cats dogs near sleeps runs sleep run".split()  # word 0 ends a sentence, and begins every text
NEAR, V = 0.6, len(WORDS)
NOUNS = {"one": ("cat", "dog"), "many": ("cats", "dogs")}
VERBS = {"one": ("sleeps", "runs"), "many": ("sleep", "run")}
rules = {"start": {"the": (1, "subject")}, "end": {".": (1, "start")}}  # state: {word: (p, next state)}
rules["subject"] = {noun: (1 / 4, f"noun, {n}") for n in NOUNS for noun in NOUNS[n]}
for n in NOUNS:  # the subject's number is part of the state until the verb has come
    rules[f"noun, {n}"] = {"near": (NEAR, f"near, {n}")} | {verb: ((1 - NEAR) / 2, "end") for verb in VERBS[n]}
    rules[f"near, {n}"] = {"the": (1, f"the, {n}")}
    rules[f"the, {n}"] = {noun: (1 / 4, f"noun, {n}") for pair in NOUNS.values() for noun in pair}

STATES = list(rules)
chance = np.zeros((9, V))  # p(word | state)
follow = np.full((9, V), -1)  # the next state; -1: the word cannot stand here
for state, words in rules.items():
    for word, (p, after) in words.items():
        chance[STATES.index(state), WORDS.index(word)] = p
        follow[STATES.index(state), WORDS.index(word)] = STATES.index(after)


def grammar_writes(generator, n, length):
    """n texts (n, length) and log p of each word."""
    words, log_p, state = np.zeros((n, length), int), np.zeros((n, length)), np.zeros(n, int)
    for t in range(length):
        words[:, t] = (generator.random((n, 1)) > chance.cumsum(axis=1)[state]).sum(axis=1)
        log_p[:, t] = np.log(chance[state, words[:, t]])
        state = follow[state, words[:, t]]
    return words, log_p


for row in grammar_writes(np.random.default_rng(1), 2, 24)[0]:
    print(" ".join(WORDS[w] for w in row))
assert np.allclose(chance.sum(axis=1), 1) and STATES[0] == "start"

# %% [markdown]
# Its **entropy** is the mean of -log p over all words, in nats: what its words cost one who knows the grammar
# perfectly. By hand: with K phrases a sentence has 4 + 3K words, and E[K] = q/(1 - q) = 1.5. It chooses the subject
# (log 4), K + 1 times between phrase and verb (η(q) = -q log q - (1 - q) log(1 - q)), K times an animal (log 4), and
# one of two verbs (log 2). All else is certain. Per word
#
# $$\mathcal{H} = \frac{(1 + E[K]) (\log 4 + \eta(q)) + \log 2}{4 + 3\,E[K]}$$
#
# **Perplexity** is exp of the mean -log p: 2 is as much doubt as between two equal choices at every word.
#
# To know that a network looks back further than one word, we need the best score for one that does not. All that it
# lacks is the verb's number. The last noun is the subject itself with probability 1 - q (no phrase), and otherwise it
# tells nothing. So the verb agrees with it in a share of (1 - q) + q/2 = 0.7, and each sentence costs η(0.7) more:
#
# $$\mathcal{H}_1 = \mathcal{H} + \frac{\eta(1 - q/2)}{4 + 3\,E[K]}$$


# %%
def eta(q):
    return -q * np.log(q) - (1 - q) * np.log(1 - q)


EK = NEAR / (1 - NEAR)
entropy = ((1 + EK) * (np.log(4) + eta(NEAR)) + np.log(2)) / (4 + 3 * EK)
last_word = entropy + eta(1 - NEAR / 2) / (4 + 3 * EK)

test, test_log_p = grammar_writes(np.random.default_rng(2), 300 if FAST else 600, 100)
floor = -test_log_p.mean()  # the grammar's own score on these words: the entropy, up to the luck of the draw
before = np.concatenate([np.zeros_like(test[:, :1]), test[:, :-1]], axis=1)  # a text begins as after a full stop
counted = np.zeros((V, V))  # how often word w came after word v
np.add.at(counted, (before, test), 1)
share = counted / counted.sum(axis=1, keepdims=True)
by_counting = -(counted * np.log(np.where(counted > 0, share, 1))).sum() / counted.sum()
print(f"entropy {entropy:.4f} nats a word; on {test.size} words the grammar pays {floor:.3f}")
more = by_counting - floor
print(f"from the last word alone {last_word - entropy:.4f} more; by counting pairs of these words, {more:.4f} more")
print(f"perplexities: {np.exp(entropy):.3f} and {np.exp(last_word):.3f}")
assert abs(floor - entropy) < 0.01 and abs(more - (last_word - entropy)) < 0.004

# %% [markdown]
# ## 8. Maximum likelihood
#
# The network is minigan's `Writer`: a vector for every word (an embedding), an LSTM, and a dense layer that gives the
# V logits of the next word. At each place it reads the **true** last word, and is asked for the true next one:
# *teacher forcing*. All places of all texts are learned at once. The loss is the mean of -log p over all N T words:
#
# $$L = -\frac{1}{N T} \sum_{n,t} \log p(w_{n,t} \mid w_{n,1}, \ldots, w_{n,t-1})$$
#
# With p = softmax of the logits s, ∂(-log p_w)/∂s_v is p_v minus 1 where v = w:
#
# $$ds_{n,t,v} = \frac{1}{N T} \left(p_{n,t,v} - [v = w_{n,t}]\right)$$
#
# From there on it is a dense layer, your LSTM, and a table: each word's row gets the sum of all dx of the places
# where it was read. (That is where a dx without later steps would have gone.)


# %%
def learn(G, words):
    """Adds the gradient of L to G's, through your backward; gives L and ds."""
    read = np.concatenate([np.zeros_like(words[:, :1]), words[:, :-1]], axis=1)  # as above
    e, e_cache = G.embedding.forward(read)  # (N, T, E)
    Wx, Wh, b = G.lstm.params.values()
    h, c, gates = lstm_forward(e, 0, 0, Wx, Wh, b)
    logits, out_cache = G.out.forward(h[:, 1:].reshape(-1, len(Wh)))  # (N T, V)
    value, ds = softmax_cross_entropy(logits, words.reshape(-1))
    dh = G.out.backward(ds, out_cache).reshape(*words.shape, -1)
    dx, _, _, *weights = lstm_backward(dh, e, h, c, gates, Wx, Wh)
    for name, gradient in zip(("Wx", "Wh", "b"), weights):
        G.lstm.grads[name] += gradient
    G.embedding.backward(dx, e_cache)
    return value, ds, logits


def new_writer():
    G = Writer(V, features=8, hidden=24, rng=rng(1))
    G.lstm.params["b"][24:48] = 1
    return G


exact_G, some = new_writer().astype("float64"), test[:5]
value, ds, logits = learn(exact_G, some)
p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
my_gradient = exact_G.grad.copy()
exact_G.zero_grad()
their_value = exact_G.learn(some)
print("your gradient is the library's, all", my_gradient.size, "numbers:", np.allclose(my_gradient, exact_G.grad))
print(f"before training: {value:.2f} nats a word, log V = {np.log(V):.2f}")
assert np.allclose(my_gradient, exact_G.grad) and np.isclose(value, their_value)
assert np.allclose(ds, (p - np.eye(V)[some.reshape(-1)]) / some.size)

# %% [markdown]
# Now train it, on texts of 24 words, and test it on texts of 100.

# %%
STEPS = 300 if FAST else 700
G, draws, seen = new_writer(), np.random.default_rng(3), []
optimizer = Adam(G, 0.03, clip=1.0)
for count in range(STEPS):
    if count % (10 if count < 200 else 50) == 0:
        seen.append((count, -G.log_likelihood(test).mean()))
    if count == 120:
        half_trained = G.copy()
    optimizer.lr = 0.03 if count < 0.7 * STEPS else 0.006
    G.zero_grad()
    learn(G, grammar_writes(draws, 64, 24)[0])
    optimizer.step()
final = float(-G.log_likelihood(test).mean())
seen.append((STEPS, final))

figure, axes = plt.subplots()
axes.semilogx(*np.array(seen[1:]).T, "o-", color=ORANGE, markersize=4, linewidth=1, label="the network")
axes.axhline(last_word, color=INK, linewidth=1, linestyle="--", label="best from the last word alone")
axes.axhline(entropy, color=BLUE, linewidth=1, label="the entropy: the floor")
axes.set(xlabel="training step", ylabel="nats a word, on test texts", ylim=(0.65, 0.95), xlim=(10, STEPS))
axes.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
axes.set_title("First which word follows which, then who the subject was")
axes.legend(loc="upper right")
figure.tight_layout()

most = 0.02 if FAST else 0.01  # nats; from the last word alone it is 0.07
print(f"perplexity: network {perplexity(final):.2f}, exact {np.exp(entropy):.2f}, last word {np.exp(last_word):.2f}")
print(f"less than {most} nats above the grammar on the same words: {0 < final - floor < most}")
assert 0 < final - floor < most < last_word - entropy
assert abs(perplexity(final) / np.exp(entropy) - 1) < 0.02, "within 2 %; the luck of the test's draw is in this one"

# %% [markdown]
# Two stages. Down to the dashed line the network learns pairs of words. There it may stay a while, for the way on
# leads through the state. Then it finds the subject, and comes to the floor. *On average nothing lies below it*: a
# network whose perplexity beats the entropy has seen the test, or the evaluation is wrong.
#
# ## 9. Free running
#
# In training every word before is true. A writer reads its own: it draws a word from softmax(s), reads it, draws on.
# With a grammar one can say exactly when a text has gone wrong. Let v_t be the chance that the network, after t - 1
# *true* words, writes one that cannot stand there. If its own words, while they are right, are like true ones, then
#
# $$P(\text{no mistake in } t \text{ words}) \approx \prod_{s=1}^{t} (1 - v_s)$$


# %%
def followed(words):
    """The grammar's state before each word (0 after a mistake), and whether all is right up to it: (n, length)."""
    state, right = np.zeros(len(words), int), np.ones(len(words), bool)
    states, rights = [], []
    for word in words.T:
        states.append(state)
        right = right & (follow[state, word] >= 0)
        state = np.where(right, follow[state, word], 0)
        rights.append(right)
    return np.stack(states, axis=1), np.stack(rights, axis=1)


true_texts = grammar_writes(np.random.default_rng(4), 400 if FAST else 1000, 60)[0]
states = followed(true_texts)[0]
for name, writer, margin in (("after 120 steps", half_trained, 0.15), ("at the end", G, 0.05)):
    s = writer.forward(true_texts)[0]
    p = np.exp(s) / np.exp(s).sum(axis=2, keepdims=True)
    v = np.where(chance[states] > 0, 0, p).sum(axis=2)  # (n, 60): on words that cannot stand there
    product = np.cumprod(1 - v.mean(axis=0))
    free = followed(writer.write(rng(5), 1000 if FAST else 4000, 60))[1].mean(axis=0)
    above = np.exp(float(-writer.log_likelihood(test).mean() - floor)) - 1
    print(f"{name}: perplexity {above:.1%} above the grammar's; texts of 60 words without a mistake", end=" ")
    print(f"{free[-1]:.0%}, by the product {product[-1]:.0%}")
    assert np.abs(free - product).max() < margin

# %% [markdown]
# A perplexity one per cent above the best one sounds like perfection. Yet mistakes add up, and whoever reads 60 words
# notices. That is no fault of teacher forcing, it is arithmetic. What is called *exposure bias* comes on top: after a
# mistake the network reads what it never read in training, and where the measured share falls below the product you
# see its beginning. It is often given as the reason for GANs that write. Here it is small; measure before you mend.
#
# ## 10. The gates over a sentence
#
# Two sentences that differ in one letter, the subject's s. Somewhere the network must keep that letter over nine
# words. Look for the unit of c in which the two sentences stay farthest apart.

# %%
read = [f". the {subject} near the dog near the cats near the dog".split() for subject in ("cat", "cats")]
ids = np.array([[WORDS.index(word) for word in text] for text in read])
h, c, gates = lstm_forward(G.embedding.forward(ids)[0], 0, 0, *G.lstm.params.values())
best = int(np.abs(c[0] - c[1])[3:].min(axis=0).argmax())  # c[:, 3] is after the subject
i, f, _, o = (gates[..., best + 24 * gate] for gate in range(4))  # (2, 12) each
curves = {"f, keep": f, "i, write": i, "o, show": o, "c, memory": c[:, 1:, best]}

figure, panels = plt.subplots(4, 1, figsize=(8, 5), sharex=True, height_ratios=(1, 1, 1, 1.8))
for axes, (name, values) in zip(panels, curves.items()):
    for row, colour, mark, label in zip(values, (BLUE, ORANGE), "ox", ("the cat near ...", "the cats near ...")):
        axes.plot(row, mark + "-", color=colour, markersize=6, linewidth=1, fillstyle="none", label=label)
    axes.set_ylabel(name)
for axes in panels[:3]:
    axes.set(ylim=(-0.15, 1.15), yticks=[0, 1])
panels[3].axhline(0, color=INK, linewidth=0.6)
panels[3].set_xticks(range(12), ["cat(s)" if k == 2 else word for k, word in enumerate(read[0])])
panels[3].set_xlabel("word just read")
panels[0].set_title("One unit of the memory keeps the subject's number")
panels[0].legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

p = np.exp(G.out.forward(h[:, -1])[0].astype("float64"))  # of the word after the last noun, but for a factor
one, many = (p[:, [WORDS.index(verb) for verb in VERBS[n]]].sum(axis=1) for n in NOUNS)
for text, chance_of_many in zip(read, many / (one + many)):
    print(" ".join(text[1:]), f"...: if a verb comes, it is one of many animals with {chance_of_many:.0%}")
apart, kept = np.abs(c[0] - c[1])[3:, best].min(), f[:, 3:].mean(axis=1).max()
print(f"after the subject c differs by more than 1 all the way: {apart > 1}; the mean of f there is {kept:.2f}")
assert many[0] < one[0] / 9 and many[1] > 9 * one[1] and apart > 1 and kept > 0.75

# %% [markdown]
# Read it against the grammar. At the subject the memory is written, with one sign or the other, or cleared and
# written. Over the phrases c keeps apart what began apart, whatever animals come by: that takes an f near 1. (Which
# unit it is, and what else it counts, differs by seed.) Where is the vanishing of section 4? It was there at the
# start. f was 0.73 everywhere, and is now near 1 *where it pays*.
#
# ## 11. How the library does it
#
# `minigan.layers.LSTM` is your LSTM. Its backward has your lines; `dstate` is the gradient on the last state, and
# `truncate` cuts. The four slopes are one product, (1 - y)(y + k), with k = 0 for σ and 1 for tanh:

# %%
print(inspect.getsource(LSTM.backward_state))

layer, x, dy = fresh(1), random.normal(size=(N, 24, n_in)), random.normal(size=(N, 24, H))
h0, c0, dh, dc = random.normal(size=(4, N, H))
h, c, gates = lstm_forward(x, h0, c0, *layer.params.values())
mine = lstm_backward(dy, x, h, c, gates, layer.params["Wx"], layer.params["Wh"], dh, dc)
y, cache = layer.forward(x, state=(h0, c0))
dx, first = layer.backward_state(dy, cache, dstate=(dh, dc))
same = [np.allclose(a, b) for a, b in zip((h[:, 1:], *mine), (y, dx, *first, *layer.grads.values()))]
cut = np.allclose(truncated(dy, x, 6, layer), layer.backward(dy, layer.forward(x)[1], truncate=6))
net = Sequential(LSTM(3, 4, rng=rng(0))).astype("float64")
net.grad[...] = random.normal(size=net.grad.shape)
mine = clip_by_norm(*net.layers[0].grads.values(), 0.5)  # new arrays; the library's are clipped in place
clip_gradient(net, 0.5)
clip = all(np.allclose(a, b, rtol=1e-5) for a, b in zip(mine, net.layers[0].grads.values()))
print(f"the same: y, dx, dh0, dc0, dWx, dWh, db {all(same)}, truncated {cut}, clipped {clip}")
assert all(same) and len(same) == 7 and cut and clip

# %% [markdown]
# Beside it stands `GRU` (Cho et al. 2014): two gates instead of three, no c, the same arguments. Last, two pieces of
# the writer: the table's backward, and its training. With all weights w = 1 it is maximum likelihood, your `learn`.
# Lesson 15 puts a reward there instead, and changes nothing else.

# %%
print(inspect.getsource(Embedding.backward))
print(inspect.getsource(Writer.learn))

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `lstm_backward`, set `dh = 0 * dh` at the end of the loop: only c carries a gradient now. Which cells notice?
#    Leave out their assertions. Does the training of section 8 notice?
# 2. In `new_writer`, set the forget bias to -3. How long does the network stay at the dashed line? And with 5?
# 3. In section 9, put a wrong verb into each true text, at its first verb, and look at v after it. Does the network
#    recover? When?
# 4. Let NEAR be 0.9. What is the entropy now, what does the last word alone give, and where does the network stop?
#    Give it longer texts to learn from.
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("14.rnn_backward", rnn_backward)
assert check("14.lstm_cell_backward", lstm_cell_backward)
assert check("14.clip_by_norm", clip_by_norm)
assert 0 < final - floor < most < last_word - entropy
print("Gradients through time, right to the first state, and a writer as good as its language allows.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 15**: no gradient passes through a chosen word. SeqGAN, and what stands in for the gradient.
# - S. Hochreiter and J. Schmidhuber, "Long short-term memory", *Neural Computation* 9(8), 1997; F. Gers, J.
#   Schmidhuber and F. Cummins, "Learning to forget: continual prediction with LSTM", *Neural Computation* 12(10),
#   2000, which adds the forget gate.
# - Y. Bengio, P. Simard and P. Frasconi, "Learning long-term dependencies with gradient descent is difficult", *IEEE
#   Transactions on Neural Networks* 5(2), 1994.
# - R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", *ICML* 2013: our
#   sections 4 and 5, with a picture of the cliff.
# - R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration of recurrent network architectures", *ICML*
#   2015: what a forget bias of 1 is good for.
# - R. Williams and D. Zipser, "A learning algorithm for continually running fully recurrent neural networks",
#   *Neural Computation* 1(2), 1989, has teacher forcing.
# - C. Shannon, "Prediction and entropy of printed English", *Bell System Technical Journal* 30, 1951: the entropy of
#   a language that nobody made up.
