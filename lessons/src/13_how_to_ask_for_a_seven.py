# %% [markdown]
# # 13. How do I ask for a 7?
#
# Press the button of the generators of lessons 05 to 09, and you get *a* digit. Which one, chance decides. For
# content creation that is rarely enough: we want this digit, this expression on a face, this chord under a tune. So
# the networks are told a **label**, and what they play is a *conditional* GAN. Two questions have to be answered: how
# does a label, which is a name and no number, get into a network? And who sees to it that G listens?
#
# **You need** lessons 03 (the best D), 05 (the loop) and 06 (the digits). **Time** about 50 minutes. **You will
# write** the backward passes of a label's vector, of joining it to an input, and of a projection discriminator.
# **After it** you can order a 7 from a generator of your own, and you can prove that it is no accident.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan.data import digits
from minigan.data.faces import EXPRESSIONS
from minigan.exercises import check
from minigan.layers import Dense, Embedding, LeakyReLU, ReLU, Tanh, he
from minigan.layers.activations import sigmoid
from minigan.losses import non_saturating
from minigan.metrics.neighbours import vote
from minigan.models.classifier import load_classifier
from minigan.models.conditional import ConditionalGAN, LabelledGenerator, Projection
from minigan.network import Cache, Network, Sequential
from minigan.optim import Adam
from minigan.shipped import load
from minigan.steps import d_gradients, d_step, g_step
from minigan.viz import grid

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# G gets z and a label y, and half of the numbers that it sees are about y. D gets an image, real or fake, and says
# which it is. D is *not* told y. The game is trained until the fakes are good digits. Then you ask for a hundred 7s.
# How many do you get?
#
# 1. Nearly a hundred. The real 7s are labelled 7, and G is told 7.
# 2. About ten.
# 3. None that can be read: G is confused by a label that D does not know.
#
# <details><summary>The answer</summary>
#
# 2. G learns from D alone, and D has nothing to say about labels. The fakes are digits, but what G makes of "7" is
#    anybody's guess; it uses the label as some more noise. Section 6 trains this game, and shows that it cannot be
#    otherwise.
#
# </details>

# %% [markdown]
# ## 1. A game of pairs
#
# What the data have is not images but **pairs** (x, y), an image and its label, with a joint distribution p(x, y).
# The generator makes pairs, too: it draws a label y, each as often as the data have it, and z, and gives (G(z, y),
# y). Call their distribution q(x, y). Then all of lesson 03 holds with "pair" for "sample". The best D has the logit
#
# $$s^*(x, y) = \log \frac{p(x, y)}{q(x, y)} \qquad\text{and a D that sees x alone}\qquad
# s^*(x) = \log \frac{\sum_y p(x, y)}{\sum_y q(x, y)}$$
#
# Take a world of three images, "a clear 1", "a clear 7", "in between", and two labels. This G draws perfect images
# and has the labels exchanged.

# %%
p = np.array([[0.75, 0.05, 0.20], [0.05, 0.75, 0.20]]) / 2  # (labels 1 and 7, images): p(x, y)
q = p[::-1]  # asked for a 1, it draws what the data call a 7


def best_loss(p, q):
    """What the best D pays, nats: log 4 where p = q."""
    D = p / (p + q)
    return -(p * np.log(D)).sum() - (q * np.log(1 - D)).sum()


images_p, images_q = p.sum(axis=0), q.sum(axis=0)
print("s*(x, y), for label 1:", np.round(np.log(p / q)[0], 2), " for label 7:", np.round(np.log(p / q)[1], 2))
print("s*(x):", np.abs(np.log(images_p / images_q)))
print(f"the best D pays {best_loss(p, q):.2f} nats if it sees pairs, {best_loss(images_p, images_q):.2f} if images")
assert (
    np.allclose(images_p, images_q) and best_loss(p, q) < 1 and np.isclose(best_loss(images_p, images_q), np.log(4))
)

# %% [markdown]
# For the blind D this G is perfect: its loss is log 4, and no gradient asks G for anything. The D of pairs finds it
# out. So **D must see the label**. What is left is how to show it one.
#
# ## 2. A label becomes a vector
#
# A network computes with numbers, and 7 is a name here: it is not nearer to 6 than to 0. So each of the K labels gets
# a vector of E numbers of its own, a row of a table W (K, E), and these are learned like any weights. Looking up is
# the same as multiplying a **one-hot** matrix O (N, K), with O_nk = 1 where k is sample n's label, by the table. So
# we know its backward from lesson 02:
#
# $$e = W[y] = O\,W \qquad dW = O^T de, \quad\text{that is}\quad dW_k = \sum_{n:\, y_n = k} de_n$$

# %%
rng = np.random.default_rng(0)
W = rng.standard_normal((4, 3))  # (K, E)
y = np.array([2, 0, 2, 3, 2])  # (N,)
de = rng.standard_normal((5, 3))  # (N, E), the upstream gradient
one_hot = np.eye(4)[y]  # (N, K)
print("looked up = multiplied:", np.array_equal(W[y], one_hot @ W))
dW = one_hot.T @ de
print("row 2 is the sum over samples 0, 2, 4:", np.allclose(dW[2], de[0] + de[2] + de[4]))
print("row 1, whose label did not come:", dW[1])
assert np.array_equal(W[y], one_hot @ W) and np.allclose(dW[2], de[[0, 2, 4]].sum(axis=0)) and not dW[1].any()

# %% [markdown]
# A row whose label is not in the batch gets no gradient. And there is no dx: a label cannot be moved a little.
#
# **Predict.** The product makes a large matrix of zeros only to add some rows. Without it one is tempted to write
# `dW[y] += de`, with dW all zeros before. What is in row 2 after that?
#
# <details><summary>The answer</summary>
#
# de of sample 4 alone. NumPy reads `dW[y]` as a copy of five rows, adds, and writes five rows back. Three of them go
# to row 2, and the last one stays. No error, no warning. `np.add.at(dW, y, de)` adds them one after the other.
#
# </details>
#
# How bad is it? Each label of the batch keeps one of its samples' gradients. Of N labels drawn from K, a given one is
# absent with probability (1 - 1/K)^N, so the share of the samples that count is on average
#
# $$\frac{K}{N} \left(1 - \left(1 - \frac{1}{K}\right)^N\right)$$

# %%
lost = np.zeros_like(W)
lost[y] += de
print("row 2 is sample 4 alone:", np.array_equal(lost[2], de[4]))
share = 10 / 64 * (1 - 0.9**64)
measured = np.mean([len(np.unique(rng.integers(10, size=64))) / 64 for _ in range(500)])
print(f"K = 10, N = 64: {share:.3f} of the samples count, measured {measured:.3f}")
assert np.array_equal(lost[2], de[4]) and abs(measured - share) < 0.005

# %% [markdown]
# A sixth. The table would still learn, slowly, and nobody would look for the reason here. Your first hole: take
# either of the two right ways, and give dW the dtype of W.


# %% exercise="13.embedding_backward"
def embedding_backward(de, labels, W):
    """dW (K, E) of e = W[labels], from de (N, E) and the labels (N,), integers from 0 to K - 1."""
    ### BEGIN SOLUTION
    dW = np.zeros_like(W)
    np.add.at(dW, labels, de)
    return dW
    ### END SOLUTION


# %% check="13.embedding_backward"
check("13.embedding_backward", embedding_backward).raise_if_wrong()

# %% [markdown]
# ## 3. Joining
#
# The oldest way in (Mirza and Osindero 2014): put the vector behind what the network sees anyway. For G that is z (N,
# Z), and [z, e] is (N, Z + E). For a convolution it is an image (N, H, W, C); there e stands behind the channels at
# *every* place, (N, H, W, C + E). So on the way back a label's row gathers over the places r, too:
#
# $$dx_{nr} = dxe_{nr,\, :C} \qquad dW_k = \sum_{n:\, y_n = k}\ \sum_r\, dxe_{nr,\, C:}$$
#
# The long form has one line back for each line forward:

# %%
x, table = rng.standard_normal((5, 2, 3, 2)), rng.standard_normal((4, 3))  # (N, H, W, C) and (K, E)

# forward
e = table[y]  # 1  (N, E)
wide = np.broadcast_to(e[:, None, None, :], (5, 2, 3, 3))  # 2  (N, H, W, E): the same at all places
xe = np.concatenate([x, wide], axis=-1)  # 3  (N, H, W, C + E)

# backward, from the last line to the first
dxe = rng.standard_normal(xe.shape)
dx, dwide = dxe[..., :2], dxe[..., 2:]  # 3: cut where it was joined
de = dwide.sum(axis=(1, 2))  # 2: one number went to all places, so it gathers from all
dtable = one_hot.T @ de  # 1

formula = np.array([dxe[y == k][..., 2:].sum(axis=(0, 1, 2)) for k in range(4)])
print("long form = formula:", np.allclose(dtable, formula))
assert np.allclose(dtable, formula) and dx.shape == x.shape

# %% [markdown]
# Write it for any number of places: dxe is (N, C + E) without any, or (N, H, W, C + E). A sum over `tuple(range(1,
# a.ndim - 1))` is a sum over all axes between the first and the last, and over none where there are none. You may use
# `embedding_backward`.


# %% exercise="13.join_backward"
def join_backward(dxe, labels, W):
    """dx (N, ..., C) and dW (K, E) of [x, W[labels]], the vector at every place, from dxe (N, ..., C + E)."""
    ### BEGIN SOLUTION
    C = dxe.shape[-1] - W.shape[1]
    de = dxe[..., C:].sum(axis=tuple(range(1, dxe.ndim - 1)))
    return dxe[..., :C], embedding_backward(de, labels, W)
    ### END SOLUTION


# %% check="13.join_backward"
check("13.join_backward", join_backward).raise_if_wrong()

# %% [markdown]
# What does a joined label *do*? The next layer is dense (or a convolution), with weights A. Cut A where [z, e] was
# joined, A_z above A_e. Then
#
# $$[z, e]\,A + b = z A_z + (b + e A_e)$$
#
# The label gives each class **a bias of its own**, and nothing else. For G that is plenty: the ReLUs behind it turn
# biases into other strokes. Now think of a D that is this one layer, with a single output, the logit. Its verdicts on
# one image with two labels differ by (W[y] - W[y']) A_e. *The image is not in it.* Such a D cannot find that a 7 is
# called a 1. With hidden layers it can, but the layers have to make image and label meet.

# %%
z, A, b = rng.standard_normal((5, 6)), rng.standard_normal((9, 1)), 0.3  # Z = 6, E = 3
own_bias = b + table @ A[6:]  # (K, 1), one for each class
together = np.concatenate([z, table[y]], axis=1) @ A + b
print("a joined label is a bias for each class:", np.allclose(together, z @ A[:6] + own_bias[y]))
as_0, as_1 = (np.concatenate([z, table[np.full(5, k)]], axis=1) @ A for k in (0, 1))
print("as class 0 minus as class 1, five inputs:", np.round(as_0 - as_1, 2).ravel())
assert np.allclose(together, z @ A[:6] + own_bias[y]) and np.ptp(as_0 - as_1) < 1e-12

# %% [markdown]
# ## 4. What form has the best D?
#
# Miyato and Koyama (2018) asked lesson 03's formula instead of trying designs. Write p(x, y) = p(y | x) p(x), and q
# the same way. Then section 1's best logit is a sum,
#
# $$s^*(x, y) = \log \frac{p(y \mid x)}{q(y \mid x)} + \log \frac{p(x)}{q(x)}$$
#
# "is this the right label for such an image?" plus "is this a real image?". Now p(y | x) is what a classifier
# computes, and classifiers end in a softmax of inner products with features h(x) of the image: log p(y | x) = <a_y,
# h> - log Z_p(h), where Z_p, the softmax's denominator, does not depend on y. Suppose the same of q, with vectors
# c_y. Put v_y = a_y - c_y, and all that has no y in it goes into one function r:
#
# $$s^*(x, y) = \langle v_y, h(x) \rangle + r(x)$$
#
# The classes need vectors, the image needs features, and they meet in a product. Let r, too, be linear in h, and we
# have the **projection discriminator**, s = h w + b + <V[y], h>.
#
# Is it true? In a plane, let each class y be a normal distribution, N(m_y, I) in the data and N(n_y, I) in the fakes,
# four classes, all alike often. Both parts can be computed, and with h = (x, 1) the derivation should be exact.

# %%
m, n = rng.normal(0, 0.7, (2, 4, 2))  # real and fake means, (K, 2) each
points = rng.normal(0, 1.5, (6, 2))


def log_joint(x, means):
    """log p(x, y) for all y: (N, K)."""
    return -((x[:, None] - means) ** 2).sum(axis=2) / 2 - np.log(2 * np.pi * len(means))


def log_sum(a):
    return np.log(np.exp(a).sum(axis=1, keepdims=True))


log_p, log_q = log_joint(points, m), log_joint(points, n)
of_label = (log_p - log_sum(log_p)) - (log_q - log_sum(log_q))  # log p(y|x) / q(y|x), (N, K)
of_image = log_sum(log_p) - log_sum(log_q)  # log p(x) / q(x), (N, 1)
print("the two parts add up:", np.allclose(of_label + of_image, log_p - log_q))

V_true = np.concatenate([m - n, (n**2 - m**2).sum(axis=1, keepdims=True) / 2], axis=1)  # v_y, (K, 3)
h = np.concatenate([points, np.ones((6, 1))], axis=1)  # (N, 3)
print("s* = <v_y, h> + r, here with r = 0:", np.allclose(log_p - log_q, h @ V_true.T))
assert np.allclose(of_label + of_image, log_p - log_q) and np.allclose(log_p - log_q, h @ V_true.T)

# %% [markdown]
# Here v_y is the arrow from the fakes' mean of class y to the real one: the way in which this class has to move. Your
# third hole is the backward. Forward, line by line:
#
#     e = V[labels]                              # 1  (N, E)
#     a = (e * h).sum(axis=1, keepdims=True)     # 2  (N, 1)
#     s = h @ w + b + a                          # 3  (N, 1)
#
# h is in line 2 and in line 3, and gets a gradient from both. Line 2 is a product: by one factor, the other one is
# the slope. With ds (N, 1) that makes
#
# $$dh_n = ds_n\,(w + v_{y_n}) \qquad dV_k = \sum_{n:\, y_n = k} ds_n\, h_n$$
#
# and dw, db as in any dense layer. The cell holds both formulas against central differences along a random direction
# (lesson 01).

# %%
V, w, b, s_bar = rng.standard_normal((4, 3)), rng.standard_normal((3, 1)), 0.1, rng.standard_normal((6, 1))
names = np.array([3, 1, 1, 0, 3, 3])
total = lambda h, V: ((h @ w + b + (V[names] * h).sum(axis=1, keepdims=True)) * s_bar).sum()

dh, dV = s_bar * (w.T + V[names]), np.array([(s_bar * h)[names == k].sum(axis=0) for k in range(4)])
by_h, by_V = 1e-5 * rng.standard_normal(h.shape), 1e-5 * rng.standard_normal(V.shape)  # directions
slopes = total(h + by_h, V) - total(h - by_h, V), total(h, V + by_V) - total(h, V - by_V)
right = np.allclose(slopes, [2 * (dh * by_h).sum(), 2 * (dV * by_V).sum()], rtol=1e-6, atol=0)
print("dh and dV by the formulas have the right slope along a random direction:", right)
assert right


# %% exercise="13.projection_backward"
def projection_backward(ds, h, labels, w, V):
    """dh (N, E), dw (E, 1), db (1,), dV (K, E) of s = h w + b + <V[labels], h>, from ds (N, 1)."""
    ### BEGIN SOLUTION
    e = V[labels]  # 1, once more
    dh, dw, db = ds @ w.T, h.T @ ds, ds.sum(axis=0)  # 3
    dh = dh + ds * e  # 2, by h, on top of what is there
    de = ds * h  # 2, by e
    dV = embedding_backward(de, labels, V)  # 1
    return dh, dw, db, dV
    ### END SOLUTION


# %% check="13.projection_backward"
check("13.projection_backward", projection_backward).raise_if_wrong()

# %% [markdown]
# Does gradient descent find the vectors of the derivation? Train w, b and V on samples of the eight normal
# distributions. One thing is free: add a vector to w and take it away from all v_y, and no logit changes. So we look
# at w + v_y, the only thing that s depends on.

# %%
COUNT = 10_000  # of each kind
y_real, y_fake = rng.integers(4, size=(2, COUNT))
x_real, x_fake = m[y_real] + rng.standard_normal((COUNT, 2)), n[y_fake] + rng.standard_normal((COUNT, 2))
h_all = np.concatenate([np.concatenate([x_real, x_fake]), np.ones((2 * COUNT, 1))], axis=1)
y_all, is_real = np.concatenate([y_real, y_fake]), np.repeat([[1.0], [0.0]], COUNT, axis=0)
w, b, V = np.zeros((3, 1)), np.zeros(1), np.zeros((4, 3))
for _ in range(400):
    s = h_all @ w + b + (V[y_all] * h_all).sum(axis=1, keepdims=True)
    _, dw, db, dV = projection_backward((sigmoid(s) - is_real) / COUNT, h_all, y_all, w, V)
    w, b, V = w - 0.5 * dw, b - 0.5 * db, V - 0.5 * dV
found = w.T + V + np.array([0, 0, b[0]])  # (K, 3)

figure, axes = plt.subplots(figsize=(6.6, 3.9))
axes.plot(*m.T, "o", color=BLUE, markersize=8, label="real mean of a class")
axes.plot(*n.T, "x", color=ORANGE, markersize=8, markeredgewidth=2, label="fake mean of a class")
for vectors, colour, width, name in ((V_true, "#BBBBBB", 0.016, "$m_y - n_y$"), (found, INK, 0.005, "$w + v_y$")):
    arrows = {"color": colour, "width": width, "angles": "xy", "scale_units": "xy", "scale": 1}
    axes.quiver(*n.T, *vectors[:, :2].T, label=f"{name}{', learned' if vectors is found else ''}", **arrows)
axes.set(xlabel="first coordinate", ylabel="second coordinate", aspect="equal")
axes.margins(0.1)
axes.set_title("D's vectors say where each class has to go", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
off = np.abs(found - V_true).max() / np.abs(V_true).max()
print(f"learned vectors are off by less than a tenth of the largest number: {bool(off < 0.1)}")
assert off < 0.1

# %% [markdown]
# ## 5. The players
#
# Digits of 14 x 14 pixels as in lesson 06, G joined and D a projection, with *your* backward passes. (The library's
# `Embedding` only keeps the table.) A pair (x, labels) goes in wherever an x went in before; the steps of lesson 05
# do not notice.


# %%
class MyGenerator(Network):
    """(z (N, 16), labels (N,)) -> (x_fake (N, 196), labels)"""

    def __init__(self, rng):
        self.table = Embedding(10, 16, rng=rng)
        self.body = Sequential(*strokes(rng))
        super().__init__(self.table, self.body)

    def forward(self, pair, train=True):
        z, labels = pair
        x, cache = self.body.forward(np.concatenate([z, self.table.params["W"][labels]], axis=1), train)
        return (x, labels), Cache(self, [labels, cache])

    def backward(self, dx, cache, param_grads=True, input_grad=True):
        labels, inner = cache.layers
        dz, dW = join_backward(self.body.backward(dx, inner, param_grads), labels, self.table.params["W"])
        if param_grads:
            self.table.grads["W"] += dW
        return dz


class MyProjection(Network):
    """(x (N, 196), labels (N,)) -> logit (N, 1)"""

    def __init__(self, rng):
        self.table, self.head = Embedding(10, 128, rng=rng), Dense(128, 1, rng=rng)
        self.body = Sequential(*features(rng))
        super().__init__(self.table, self.body, self.head)

    def forward(self, pair, train=True):
        x, labels = pair
        h, cache = self.body.forward(x, train)
        product = (self.table.params["W"][labels] * h).sum(axis=1, keepdims=True)
        return h @ self.head.params["W"] + self.head.params["b"] + product, Cache(self, [h, labels, cache])

    def backward(self, ds, cache, param_grads=True, input_grad=True):
        h, labels, inner = cache.layers
        dh, dw, db, dV = projection_backward(ds, h, labels, self.head.params["W"], self.table.params["W"])
        if param_grads:
            self.head.grads["W"] += dw
            self.head.grads["b"] += db
            self.table.grads["W"] += dV
        return self.body.backward(dh, inner, param_grads, input_grad)


def strokes(rng):
    """G's layers from [z, e] (N, 32) to x (N, 196)."""
    sizes = (32, 128), (128, 256), (256, 196)
    return [layer for size in sizes for layer in (Dense(*size, rng=rng, init=he), ReLU())][:-1] + [Tanh()]


def features(rng):
    """D's layers from x (N, 196) to h (N, 128)."""
    return Dense(196, 256, rng=rng, init=he), LeakyReLU(), Dense(256, 128, rng=rng, init=he), LeakyReLU()


class Blind(Sequential):
    """The D of "Predict first": it is handed the label, and does not look."""

    def forward(self, pair, train=True):
        return super().forward(pair[0], train)


def small(images):
    """Bytes (N, 28, 28, 1) -> x (N, 196) in [-1, 1], each pixel the mean of 2 x 2."""
    return images[..., 0].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype="float32").reshape(-1, 196) / 127.5 - 1


images, labels = digits.load_digits("train")
test_images, test_labels = digits.load_digits("test")
X, X_TEST = small(images), small(test_images)
print("train", X.shape, labels.shape, " test", X_TEST.shape, test_labels.shape)

# %% [markdown]
# ## 6. Three games
#
# - **the game**: pairs, and a D that sees them;
# - **shuffled labels**, the control: the same images, but their labels are dealt out at random. If any part of our
#   measurement gives G points that it did not earn, it will give them here, too;
# - **blind D**: true labels, which D does not see.
#
# Samples are drawn with an average of G's weights over the last few hundred steps, for the players circle (lesson
# 04), and the middle of a circle is a better place than any on it.
#
# The judge: we ask for 100 of each digit, and let each fake's five nearest training digits **vote** on what it is.
# The share of fakes that are seen as what was asked for is the **label accuracy**. It needs a floor and a ceiling:
# the floor is chance, 10 %; the ceiling is what the same vote says of 2,000 test digits, for a judge who errs on real
# digits will err on drawn ones.

# %%
STEPS, NOISE, N = 200 if FAST else 4000, 16, 64
KEEP = 0.97 if FAST else 0.997  # of the old average at each step
LOOK = STEPS // (5 if FAST else 10)  # steps from one look at the numbers to the next
ASKED = np.repeat(np.arange(10), 100)  # (1000,)
Z = np.random.default_rng(99).standard_normal((1000, NOISE), dtype="float32")  # always the same


def accuracy(G, every=1):
    """The share of asked fakes that the vote sees as asked."""
    z, asked = Z[::every], ASKED[::every]
    return (vote(G((z, asked))[0], X, labels) == asked).mean()


def told(D, every=1):
    """D's logits of test digits (N, 10), column k for the label that is off by k (9 + 1 is 0): section 8."""
    x, y = X_TEST[::every], test_labels[::every]
    return np.concatenate([D((x, (y + k) % 10)) for k in range(10)], axis=1)


class Game:
    def __init__(self, labels, blind=False, seed=13):
        self.labels, self.rng = labels, np.random.default_rng(seed)
        self.G = MyGenerator(self.rng)
        self.D = Blind(*features(self.rng), Dense(128, 1, rng=self.rng)) if blind else MyProjection(self.rng)
        self.G_optimizer, self.D_optimizer = Adam(self.G, 1e-3), Adam(self.D, 1e-3)
        self.mean_G, self.looks = self.G.copy(), {}

    def noise(self):
        return self.rng.standard_normal((N, NOISE), dtype="float32"), self.rng.integers(10, size=N)

    def play(self, steps):
        for t in range(steps + 1):
            if t % LOOK == 0:
                self.looks[t] = accuracy(self.mean_G, every=2), told(self.D, every=4).mean(axis=0)
            if t == steps:
                return self
            rows = self.rng.integers(len(X), size=N)
            real = X[rows], self.labels[rows]
            d_step(self.G, self.D, self.D_optimizer, non_saturating, real, self.noise())
            g_step(self.G, self.D, self.G_optimizer, non_saturating, self.noise())
            self.mean_G.theta = KEEP * self.mean_G.theta + (1 - KEEP) * self.G.theta


game = Game(labels).play(STEPS)
shuffled = Game(np.random.default_rng(97).permutation(labels)).play(2 * STEPS // 5)
blind = Game(labels, blind=True).play(2 * STEPS // 5)

# %%
ceiling = (vote(X_TEST, X, labels) == test_labels).mean()
reached = {"the game": accuracy(game.mean_G), "shuffled": accuracy(shuffled.mean_G), "blind": accuracy(blind.mean_G)}
figure, axes = plt.subplots()
for name, played, style in (
    ("the game", game, {"color": BLUE, "marker": "o"}),
    ("shuffled labels", shuffled, {"color": ORANGE, "marker": "x"}),
    ("blind D", blind, {"color": INK, "marker": "s", "fillstyle": "none"}),
):
    axes.plot(list(played.looks), [look[0] for look in played.looks.values()], label=name, **style)
for level, name in ((ceiling, "test digits"), (0.1, "chance")):
    axes.axhline(level, color=INK, linewidth=0.8, linestyle=":")
    axes.text(STEPS, level + 0.025, name, ha="right", fontsize=9)
axes.set(xlabel="step", ylabel="label accuracy (a share)", ylim=(0, 1.1))
axes.set_title("Only a D that sees true labels makes G listen", loc="left")
axes.legend(loc="center right")
figure.tight_layout()

print(f"the vote is right for {ceiling:.1%} of the test digits: the ceiling")
for name, share in reached.items():
    print(f"{name:<10}{share:.0%} of the fakes are what was asked for")
assert ceiling > 0.94
assert reached["the game"] > (0.6 if FAST else 0.9)
assert reached["shuffled"] < 0.15, "labels that mean nothing: chance"
assert reached["blind"] < 0.5 * reached["the game"]

# %% [markdown]
# The vote is content long before the pictures are good: after 800 steps the game is at the ceiling. A crude 7 is a 7.
#
# The blind game need not lie at exactly 10 %: its G may call some 7s "7" and all 3s "8". But it owes that to luck. To
# see why, give all labels other names, in the fakes only: y becomes y + k, and 9 is followed by 0. The blind D's
# logits do not change, nor its loss, nor any gradient on an image. So every G has nine sisters that are exactly as
# good in the blind game, each with the rows of its table shifted by another k. Each fake is seen as one digit, and so
# is right in exactly one of the ten:
#
# $$\sum_{k=0}^{9} \text{accuracy of the sister } k = 1$$
#
# Whatever the game makes of the images, the mean of ten equally good players is a tenth.

# %%
x_fake, _ = blind.mean_G((Z, ASKED))
seen = vote(x_fake, X, labels)  # what each fake is seen as
sisters = [(seen == (ASKED + k) % 10).mean() for k in range(10)]
print("the ten sisters:", " ".join(f"{100 * share:.0f}%" for share in sisters))
same = all(np.array_equal(blind.D((x_fake, ASKED)), blind.D((x_fake, (ASKED + k) % 10))) for k in range(10))
print("they add up to 1:", bool(np.isclose(sum(sisters), 1)), " the blind D's logits are the same for all ten:", same)
assert np.isclose(sum(sisters), 1) and same

# %% [markdown]
# ## 7. Rows and columns
#
# The picture of a conditional GAN: **a row is one z, a column is one label.**

# %%
pairs = np.repeat(Z[:300], 10, axis=0), np.tile(np.arange(10), 300)  # (3000, 16), (3000,): 300 rows, 6 are shown
moves = {}  # how far a pixel moves within a row, that is, with the label alone
figure, panels = plt.subplots(1, 3, figsize=(11.4, 3.0))
for axes, (title, played) in zip(panels, (("the game", game), ("shuffled labels", shuffled), ("blind D", blind))):
    pictures = played.mean_G(pairs)[0].reshape(300, 10, 14, 14)
    moves[title] = pictures.std(axis=1).mean()
    axes.imshow(grid(pictures[:6].reshape(-1, 14, 14), columns=10), cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[9.5 + 16 * k for k in range(10)], xticklabels=range(10), yticks=[], xlabel="label asked for")
    axes.set_title(f"{title}, step {list(played.looks)[-1]}", fontsize=10)
panels[0].set_ylabel("z, one a row")
figure.suptitle("Only on the left each column is one digit", fontsize=11)
figure.tight_layout()

print("a pixel's spread along a row:", "  ".join(f"{name} {spread:.2f}" for name, spread in moves.items()))
ink = game.mean_G(pairs)[0].mean(axis=1).reshape(300, 10)  # mean grey of each picture: z by label
alike = np.corrcoef(ink.T)[np.triu_indices(10, 1)].mean()  # between two columns, over the z's
print(f"amount of ink in a row, correlation of two labels: {alike:.1f}")
assert alike > 0.2 and (FAST or moves["the game"] > 2 * moves["shuffled labels"])

# %% [markdown]
# Read along a row on the left. A z that makes a bold 0 makes a bold 5 as well. *Nobody asked for that*: no loss
# compares two pictures of one row. It comes of G's form. The label is a bias in the first layer, all weights behind
# it are shared, and what z does there it does for all labels. So z holds what is left when the label is taken away:
# the **style**. In the middle, all columns of a row look much alike: where labels say nothing about images, the best
# G does not listen to them. On the right the label changes the picture, and means nothing.
#
# Is 90 % of label accuracy good, then? It is one number, and a cheat can have it. Ten fixed pictures will do, the
# mean of each class. So we look at the spread, too: the standard deviation of a pixel within a class. And at another
# judge, the digit classifier that comes with the library, a convolutional network for 28 x 28 (lesson 18 uses its
# features). It gets our pictures enlarged.

# %%
judge = load_classifier()
enlarged = lambda x: x.reshape(-1, 14, 14, 1).repeat(2, axis=1).repeat(2, axis=2)
means = np.stack([X[labels == k].mean(axis=0) for k in range(10)])
tested = {
    "test digits": (X_TEST, test_labels),
    "the game": (game.mean_G((Z, ASKED))[0], ASKED),
    "the ten means": (means.repeat(100, axis=0), ASKED),
}
print(f"{'right by:':<16}the vote   the classifier   spread within a class")
for name, (x, y) in tested.items():
    spread = np.mean([x[y == k].std(axis=0).mean() for k in range(10)])
    by_vote, by_classifier = (vote(x, X, labels) == y).mean(), (judge.predict(enlarged(x)) == y).mean()
    print(f"{name:<16}{by_vote:>8.0%}{by_classifier:>17.0%}{spread:>14.2f}")
    if name == "the game":
        assert (FAST or by_classifier > 0.6) and spread > 0.1
    if name == "the ten means":
        assert by_vote > 0.85 and spread < 1e-6

# %% [markdown]
# Name the judge whenever you name an accuracy. The vote forgives the dust that an MLP leaves on the paper; the
# classifier has never seen any, and is put off by it. The ten means get a perfect score from the vote, and for the
# classifier one in ten is right. With no judge at all the spread finds them out. (The game's own is below that of the
# test digits, too.)
#
# ## 8. Does D know a wrong label?
#
# The last check looks at D alone, on test digits that it has never seen: is its logit higher with the right label
# than with a wrong one? In the difference h w + b cancels, and with it all that D thinks of the image as such:
#
# $$s(x, y) - s(x, y') = \langle v_y - v_{y'},\, h(x) \rangle$$
#
# We tell D all ten labels of each test digit, sorted by how far they are off, and call the right label's logit minus
# the mean of the nine wrong ones the **gap**. V began at random, and there are only a hundred pairs of a digit and a
# label, so some gap is there by chance; how much, the scatter of the nine wrong ones tells.

# %%
h, V = game.D.body(X_TEST), game.D.table.params["W"]  # (2000, 128), (10, 128)
logits = {"the game": told(game.D), "shuffled": told(shuffled.D), "blind": told(blind.D)}  # (2000, 10) each
by_formula = ((V[test_labels] - V[(test_labels + 1) % 10]) * h).sum(axis=1)
print("the formula is D(x, y) - D(x, y + 1):", np.allclose(by_formula, -np.diff(logits["the game"])[:, 0], atol=1e-3))
assert np.allclose(by_formula, logits["the game"][:, 0] - logits["the game"][:, 1], atol=1e-3)

gap, scatter = {}, {}
for name, s in logits.items():
    off_by = s.mean(axis=0) - s[:, 1:].mean()  # (10,): by how far the label is off
    gap[name], scatter[name] = off_by[0], off_by[1:].std()
    print(f"{name:<10}gap {round(gap[name], 1) + 0.0:4.1f} nats; wrong labels scatter by {scatter[name]:.1f}")
classified = (logits["the game"].argmax(axis=1) == 0).mean()
print(f"taken as a classifier, D is right for {classified:.0%} of the test digits")
assert gap["the game"] > max(0.5, 3 * scatter["the game"]) and abs(gap["blind"]) < 1e-3
assert FAST or abs(gap["shuffled"]) < 3 * scatter["shuffled"]

figure, axes = plt.subplots()
early = list(game.looks)[2]
for name, s, colour, style in (
    (f"the game, step {early}", game.looks[early][1], "#56B4E9", "^-"),
    (f"the game, step {STEPS}", logits["the game"].mean(axis=0), BLUE, "o-"),
    ("shuffled labels", logits["shuffled"].mean(axis=0), ORANGE, "x-"),
):
    axes.plot(s - s[1:].mean(), style, color=colour, label=name)
axes.axhline(0, color=INK, linewidth=0.8, linestyle=":")
axes.set(xticks=range(10), xlabel="label told, minus the right one", ylabel="logit over the wrong labels' (nats)")
axes.set_title("D prefers the right label, and less so later", loc="left")
axes.legend()
figure.tight_layout()
assert logits["the game"].mean(axis=0).argmax() == 0

# %% [markdown]
# **Predict.** At step 800 the gap was twice as large. Since then G has become better. Is D forgetting what a 7 looks
# like? What would the gap be for a perfect G?
#
# <details><summary>The answer</summary>
#
# Zero. The label's part of the best logit is log p(y | x) / q(y | x), *against this G*. When G's 7s are 7s, q(y | x)
# is p(y | x), and there is nothing to say. D is no classifier and does not become one: it only knows where G errs. To
# train D as a classifier besides is another design (Odena, Olah and Shlens 2017); its G is also paid for images that
# are easy to classify.
#
# </details>
#
# ## 9. How the library does it
#
# `Joined`, `LabelledGenerator` and `Projection` are your classes, and `ConditionalGAN` draws the pairs.

# %%
for piece in (LabelledGenerator, Projection.forward, Projection.backward, ConditionalGAN.draw_table):
    print(inspect.getsource(piece))

# %% [markdown]
# In one line, with the library's names: logit = head(h) + <e, h>, and back, dh = head's + dy e, de = dy h. Is it what
# you wrote? Give the library's networks your weights, and compare a whole step, D's gradient and G's.

# %%
their_D = Projection(Embedding(10, 128, rng=rng), Sequential(*features(rng)), Dense(128, 1, rng=rng))
their_G = LabelledGenerator(Embedding(10, 16, rng=rng), Sequential(*strokes(rng)))
their_D.theta, their_G.theta = game.D.theta, game.G.theta
real, asked = (X[:N], labels[:N]), (Z[::10], ASKED[::10])
gradients = {}
for who, G, D in (("mine", game.G, game.D), ("theirs", their_G, their_D)):
    G, D = G.astype("float64"), D.astype("float64")
    fakes, cache = G.forward(asked)
    dx_fake = d_gradients(D, non_saturating, real, fakes)
    G.zero_grad()
    G.backward(dx_fake, cache)
    gradients[who] = D.grad.copy(), G.grad.copy()
equal = [np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(gradients["mine"], gradients["theirs"])]
print(f"{len(game.D.theta):,} gradients of D equal: {equal[0]};  {len(game.G.theta):,} of G equal: {equal[1]}")
assert all(equal) and np.abs(gradients["mine"][1]).max() > 1e-4

# %% [markdown]
# `minigan train conditional` plays this game with convolutions at 28 x 28, `minigan sample RUN --label 7` orders a 7.
# There 97 % of the fakes are what was asked for by the same vote, and 12 % with shuffled labels. The ceiling is 92 %
# there, and 97 % above it is no miracle: the vote errs on odd digits, and drawn ones are more typical than test
# digits.
#
# ![A row for each z, a column for each of the ten labels](pictures/13_full_size.png)
#
# The label need not be a digit. With the package comes a conditional generator of face icons, trained on icons that
# are drawn by rule, in all colours. Order an expression:

# %%
model = load("faces").G
z = np.random.default_rng(5).standard_normal((4, 100), dtype="float32")
faces, _ = model((np.repeat(z, 10, axis=0), np.tile(np.arange(10), 4)))
figure, axes = plt.subplots(figsize=(8.4, 3.8))
axes.imshow(grid(faces, columns=10), interpolation="nearest")
axes.set(xticks=[16.5 + 30 * k for k in range(10)], yticks=[], ylabel="z, one a row")
axes.set_xticklabels(EXPRESSIONS, fontsize=9)
axes.set_title("Expressions to order: colour and place come from z, the expression from the label", loc="left")
figure.tight_layout()

colours = faces.reshape(4, 10, -1, 3).mean(axis=2)  # (z, label, RGB)
of_z, of_label = colours.mean(axis=1).var(axis=0).sum(), colours.mean(axis=0).var(axis=0).sum()
print(f"the mean colour varies more with z than with the label, by a factor above 3: {bool(of_z > 3 * of_label)}")
assert of_z > 3 * of_label

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `embedding_backward`, write `dW[labels] += de`, and go on without the check. Where do the arrows of section 4
#    point now? Go on without that assertion, too: what does the game reach? Adam hides much of the damage. How?
# 2. In `MyProjection.backward`, leave out the line of `dV`. V stays at its random first rows. Does G listen? (A
#    random vector for each class is still one for each class, and the body of D can learn to meet it.)
# 3. In `Game.noise`, ask only for 0 to 4, `self.rng.integers(5, size=N)`, while the data have all ten. p(y) / q(y) is
#    then 1/2 for these and infinite for the rest. What does D learn of a 7, and what does G draw when asked for one?
# 4. Give D a third kind of pair: real images with wrong labels, called fake (Reed and others 2016). Does the gap
#    still fall? Ours then rose to 6 nats, and the label accuracy to 99 %, above that of real digits. Is that better,
#    or has G learned to avoid every 7 that might be taken for a 1?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("13.embedding_backward", embedding_backward)
assert check("13.join_backward", join_backward)
assert check("13.projection_backward", projection_backward)
assert reached["shuffled"] < 0.15 < 0.6 < reached["the game"] and gap["the game"] > 0.5
print("A generator that draws what it is asked for, a control that does not, and a D that knows why.")

# %% [markdown]
# ## What to read next
#
# - M. Mirza and S. Osindero, "Conditional generative adversarial nets", arXiv:1411.1784, 2014: joining.
# - T. Miyato and M. Koyama, "cGANs with projection discriminator", *ICLR* 2018: the derivation of section 4, and a
#   thousand classes.
# - A. Odena, C. Olah and J. Shlens, "Conditional image synthesis with auxiliary classifier GANs", *ICML* 2017: D as a
#   classifier besides.
# - S. Reed and others, "Generative adversarial text to image synthesis", *ICML* 2016: a sentence as the label, and
#   real images with wrong sentences as a third kind.
# - **Lesson 16**, where the condition of a bar of music is the bar before it and its chord.
