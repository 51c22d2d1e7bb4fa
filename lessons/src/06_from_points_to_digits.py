# %% [markdown]
# # 06. From points to digits
#
# The loop of lesson 05 learned a cloud of points in the plane. Nothing in it knows that points have two numbers. In
# this lesson they have 196: each point is a picture of a handwritten digit. The loop stays as it is. What is new
# stands around it: how pixels are scaled, how large the first weights are, what the loss curves say and what they
# leave out, and how a training is saved so that it can go on as if it had never stopped.
#
# **You need** lessons 02, 03 and 05. **Time** about 55 minutes. **You will write** the scaling of pixels both ways,
# the size of first weights, and a step of Adam that goes on from a saved one. **After it** you have a generator of
# digits that draws all ten of them, and you can read its loss curves without being fooled.

# %%
import inspect
import math
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np

from minigan import checkpoint, optim, training
from minigan.backend import rng_state, set_rng_state
from minigan.data import digits
from minigan.exercises import check
from minigan.layers import Dense, LeakyReLU, ReLU, Tanh, dcgan, glorot, he
from minigan.losses import non_saturating
from minigan.metrics.neighbours import class_shares, nearest, perfect_coverage, precision_recall
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.steps import d_step, g_step
from minigan.viz import grid

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer steps, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# You train a GAN on digits. After 1000 steps its pictures are blots, after 4000 most of them are digits. Which of
# the loss curves tells, between these two moments, that the pictures have become better?
#
# 1. G's loss: it falls.
# 2. D's loss: it rises to log 4, for D is fooled more and more.
# 3. Neither. Both stay where they are.
#
# <details><summary>The answer</summary>
#
# 3. A loss in this game is measured against the other player, and the other player has become better, too. Section 6
#    has the curves, and beside them a number that does tell.
#
# </details>

# %% [markdown]
# ## 1. The digits
#
# The library ships 12,000 digits of the MNIST collection, 28 x 28 pixels each, bytes from 0 (paper) to 255 (ink). So
# that this lesson takes less than a minute of computing we make them 14 x 14: each new pixel is the mean of 2 x 2
# old ones, rounded. A picture is then a row of P = 196 numbers.


# %%
def small(images):
    """Bytes (N, 28, 28, 1) -> grey values (N, 196), whole numbers from 0 to 255 in float32."""
    blocks = images[..., 0].reshape(-1, 14, 2, 14, 2).astype(np.float32)
    return np.rint(blocks.mean(axis=(2, 4))).reshape(-1, 196)


images, labels = digits.load_digits("train")
test_images, test_labels = digits.load_digits("test")
TRAIN, TEST = small(images), small(test_images)
print("train", TRAIN.shape, "test", TEST.shape, f"; paper, 0, are {(TRAIN == 0).mean():.0%} of all pixels")
assert np.array_equal(np.bincount(labels), [1000] * 10)

# %% [markdown]
# ## 2. Scaling: the first hole
#
# The last layer of G is tanh, so what G draws lies between -1 and 1. The data have to live in the same place. With a
# grey value p, and y what G draws, the way there and the way back are
#
# $$x = \frac{p}{127.5} - 1 \qquad\qquad p = \text{round}(127.5\,(y + 1)), \text{ clipped to } 0 \ldots 255$$
#
# Rounding, because a byte made of 254.9 by cutting off is 254. Clipping, because not every G ends in tanh, and 257
# as a byte is 1: a black dot in the middle of the ink. Write both ways in one function, so that they stay together.


# %% exercise="06.both_ways"
def both_ways(pixels, y):
    """x in [-1, 1] for grey values pixels (N, P), 0 to 255; and the picture, whole numbers 0 to 255, of y (N, P)."""
    ### BEGIN SOLUTION
    x = pixels / 127.5 - 1
    picture = np.clip(np.rint((y + 1) * 127.5), 0, 255)
    return x, picture
    ### END SOLUTION


# %% check="06.both_ways"
check("06.both_ways", both_ways).raise_if_wrong()

# %%
X = both_ways(TRAIN, TRAIN)[0]  # (10000, 196): what the networks see
back = both_ways(TRAIN, X)[1]
print("paper is", X.min(), "and ink is", X.max(), "; all grey values come back:", np.array_equal(back, TRAIN))
print("the library's scale and unscale agree:", np.allclose(digits.scale(TRAIN.astype(np.uint8)), X, atol=1e-6))
assert X.min() == -1 and X.max() == 1 and np.array_equal(back, TRAIN) and np.array_equal(digits.unscale(X), TRAIN)
assert np.allclose(digits.scale(TRAIN.astype(np.uint8)), X, atol=1e-6)

# %% [markdown]
# ## 3. The first weights
#
# A weight matrix must start at something, and not at zero: then all units of a layer would be alike for ever. So it
# starts at random numbers, and the question is how large. Take one output of a dense layer, y_j = Σ_i x_i W_ij, over
# n inputs. The weights are independent of each other and of x, with mean 0. Square the sum. All mixed terms have the
# mean 0, and what is left is
#
# $$\text{Var}(y) = E[y^2] = n\,\text{Var}(w)\,E[x^2]$$
#
# Some tutorials write Var(x) for E[x²]. That is right where the mean of x is 0, and wrong for our pixels, whose mean
# is nearly paper, and behind every ReLU. Next comes LeakyReLU with the slope s (ReLU is s = 0). The y_j are as often
# negative as positive. The positive half of E[y²] passes, and of the negative half the part s². So the two layers
# together multiply E[x²] by
#
# $$g = \frac{1 + s^2}{2}\, n\, \text{Var}(w)$$

# %%
rng = np.random.default_rng(0)
W = 0.05 * rng.standard_normal((196, 2000))
x, n_var = X[:500], 196 * 0.05**2
y = x @ W
by_formula, by_variance = n_var * (x**2).mean(), n_var * x.var()
print(f"E[y²] is {(y**2).mean():.2f}; n Var(w) E[x²] = {by_formula:.2f}; with Var(x) for E[x²] {by_variance:.2f}")
assert abs((y**2).mean() / by_formula - 1) < 0.1
for s in (0.0, 0.2):
    gain = (np.maximum(y, s * y) ** 2).mean() / (x**2).mean()
    print(f"slope {s}: E[x²] is multiplied by {gain:.3f}; formula {(1 + s**2) / 2 * n_var:.3f}")
    assert abs(gain / ((1 + s**2) / 2 * n_var) - 1) < 0.1

# %% [markdown]
# After ten layers it is g^10, so g had better be 1. Solve for the standard deviation of w: this is He's
# initialisation. Your second hole. You get numbers from N(0, 1), which only have to be multiplied by it. (Take
# `math.sqrt`. `np.sqrt` of a number gives a float64, and a float64 turns float32 weights into float64.)


# %% exercise="06.first_weights"
def first_weights(noise, slope):
    """Weights (I, O), noise (I, O) from N(0, 1) times what keeps E[x^2] through Dense and LeakyReLU(slope)."""
    ### BEGIN SOLUTION
    return noise * math.sqrt(2 / ((1 + slope**2) * noise.shape[0]))
    ### END SOLUTION


# %% check="06.first_weights"
check("06.first_weights", first_weights).raise_if_wrong()

# %% [markdown]
# On the way back the same happens to gradients. With h = ReLU(x W), half of dh passes the ReLU, and dx is a sum over
# the m *outputs*:
#
# $$E[dx^2] = \frac{m}{2}\,\text{Var}(w)\,E[dh^2]$$
#
# Where n = m, one variance serves both ways. Where not, He keeps the values, and **Glorot**'s 2 / (n + m) is a
# compromise, for layers with tanh, where no half is lost. And DCGAN's paper draws all weights from N(0, 0.02²),
# whatever n may be. The cell sends 500 samples through eight layers of 256 units with ReLU, and a gradient of size 1
# back, in the long form: a line back for each line forward. It prints by what a layer multiplies the root of E.

# %%
WIDTH, DEPTH = 256, 8


def yours(slope):
    return lambda rng, shape: first_weights(rng.standard_normal(shape, dtype="float32"), slope)


def through(init):
    """The weights, the values before and behind each layer, and the gradients at the same places: lists of arrays."""
    rng = np.random.default_rng(1)
    weights = [init(rng, (WIDTH, WIDTH)) for _ in range(DEPTH)]
    h = rng.standard_normal((500, WIDTH), dtype="float32")  # (N, n)
    d = rng.standard_normal((500, WIDTH), dtype="float32")  # (N, n): the gradient at the end
    values, gradients = [h], [d]
    for W in weights:  # forward
        a = values[-1] @ W
        values.append(np.maximum(a, 0))
    for W, h in zip(weights[::-1], values[:0:-1]):  # backward, from the last line to the first
        da = gradients[0] * (h > 0)
        gradients.insert(0, da @ W.T)
    return weights, values, gradients


def rms(a):
    return math.sqrt((a**2).mean())


stacks = {"yours (He)": through(yours(0)), "Glorot": through(glorot), "N(0, 0.02²)": through(dcgan)}
for name, (weights, values, gradients) in stacks.items():
    factor = math.sqrt(WIDTH * weights[0].var() / 2)
    forward = (rms(values[-1]) / rms(values[0])) ** (1 / DEPTH)
    back = (rms(gradients[0]) / rms(gradients[-1])) ** (1 / DEPTH)
    print(f"{name:<12} formula {factor:.2f}   values {forward:.2f}   gradients {back:.2f}   after 8: {factor**8:.0e}")
    assert abs(forward / factor - 1) < 0.1 and abs(back / factor - 1) < 0.1

weights, values, gradients = stacks["yours (He)"]
as_he = np.allclose(*(init(np.random.default_rng(7), (196, 50)) for init in (yours(0), he)))
print("your weights = the library's he:", as_he)
assert as_he and weights[0].dtype == np.float32
net = Sequential(*(layer for _ in range(DEPTH) for layer in (Dense(WIDTH, WIDTH, bias=False, rng=rng), ReLU())))
net.theta = np.concatenate([W.ravel() for W in weights])
y, cache = net.forward(values[0])
seen = []
dx = net.backward(gradients[-1], cache, seen=seen)
print("long form = the library's:", np.allclose(y, values[-1], atol=1e-5), np.allclose(dx, gradients[0], atol=1e-5))
assert np.allclose(y, values[-1], atol=1e-5) and np.allclose(dx, gradients[0], atol=1e-5)
assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(seen[1::2], gradients[1:]))

# %%
figure, rows = plt.subplots(2, 3, figsize=(8.4, 4.6), sharex=True, sharey=True)
for column, (name, (_, values, gradients)) in zip(rows.T, stacks.items()):
    for axes, arrays in zip(column, (values[1:], gradients[:-1])):
        for layer, style in ((1, "-"), (4, "--"), (8, ":")):
            numbers = arrays[layer - 1][arrays[layer - 1] != 0]
            share, edges = np.histogram(np.log10(np.abs(numbers)), bins=np.linspace(-8, 2, 81))
            colour = {1: BLUE, 4: INK, 8: ORANGE}[layer]
            axes.plot(10 ** edges[:-1], share / share.sum(), style, color=colour, label=f"layer {layer}")
        axes.set(xscale="log", xlim=(1e-8, 1e2), xticks=[1e-8, 1e-6, 1e-4, 1e-2, 1])
    column[0].set_title(name, fontsize=10)
    column[1].set_xlabel("size of a number")
rows[0, 0].set_ylabel("values:\nshare of numbers")
rows[1, 0].set_ylabel("gradients:\nshare of numbers")
rows[0, 0].legend(loc="upper left", fontsize=9)
figure.suptitle("The right size keeps its place; any other drifts from layer to layer", fontsize=11)
figure.tight_layout()

# %% [markdown]
# Values go from layer 1 to layer 8, gradients from 8 down to 1. With He all three lines lie on each other. With 0.02
# eight layers leave a hundred-thousandth. (In DCGAN a batch norm behind nearly every layer sets the size right
# again: lesson 08. Without it, 0.02 has no such excuse.)
#
# ## 4. The game
#
# Lesson 05's loop, and other sizes: G goes 32 - 128 - 256 - 196 with ReLU and tanh at its end, D 196 - 256 - 128 - 1
# with LeakyReLU(0.2). All random numbers come from one generator, `rng`. That will matter in section 8.

# %%
NOISE, N, LR = 32, 64, 5e-4
B1, B2, EPS = 0.5, 0.999, 1e-8  # Adam's, as the library and DCGAN have them


def chain(sizes, activation, init, rng):
    """Dense layers through these sizes with the activation between them, and none behind the last."""
    layers = []
    for n_in, n_out in zip(sizes, sizes[1:]):
        layers += [Dense(n_in, n_out, rng=rng, init=init), activation()]
    return layers[:-1]


def new_D(rng, init=None):
    return Sequential(*chain([196, 256, 128, 1], LeakyReLU, init or yours(0.2), rng))


class Game:
    """Both players with their optimizers, on digits in [low, 1], and what they paid at each step."""

    def __init__(self, low=-1.0, init=None, seed=6):
        self.low, self.rng, self.losses, self.film = low, np.random.default_rng(seed), [], {}
        self.data = (X + 1) / 2 * (1 - low) + low
        self.G = Sequential(*chain([NOISE, 128, 256, 196], ReLU, init or yours(0), self.rng), Tanh())
        self.D = new_D(self.rng, init)
        self.G_optimizer, self.D_optimizer = Adam(self.G, LR), Adam(self.D, LR)

    def noise(self):
        return self.rng.standard_normal((N, NOISE), dtype="float32")

    def play(self, steps):
        for _ in range(steps):
            x_real = self.data[self.rng.integers(len(self.data), size=N)]
            d_value = d_step(self.G, self.D, self.D_optimizer, non_saturating, x_real, self.noise())
            g_value = g_step(self.G, self.D, self.G_optimizer, non_saturating, self.noise())
            self.losses.append((float(d_value), float(g_value)))
        return self

    def drawn(self, z):
        """The pictures (n, 196), grey values 0 to 255, that G draws of z (n, 32)."""
        return both_ways(z, 2 * (self.G(z) - self.low) / (1 - self.low) - 1)[1]


Z = np.random.default_rng(99).standard_normal((1000, NOISE), dtype="float32")  # always the same noise, for looking


def show(axes, pictures, columns, title):
    axes.imshow(grid(pictures.reshape(-1, 14, 14) / 255, columns, value_range=(0, 1)), cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, loc="left", fontsize=10)


game = Game()  # data in [-1, 1]
print("G draws", game.G(Z).shape, "from", Z.shape, "; weights:", f"{game.G.theta.size:,} and {game.D.theta.size:,}")

# %% [markdown]
# ## 5. Data that do not fit tanh
#
# **Predict.** Somebody forgets the last step of the scaling, and the data lie in [0, 1]. G still ends in tanh. Can
# tanh not draw numbers from 0 to 1 just as well?
#
# <details><summary>The answer</summary>
#
# It can, but paper is now 0, the middle of tanh. G would have to hit 0 from above in some 146 paper pixels of each
# picture, where tanh is steepest. One minus sign, and the picture is a proven fake.
#
# </details>
#
# How far does a pixel scatter when the number before tanh does? With y = tanh(a),
#
# $$\Delta y \approx (1 - y^2)\, \Delta a$$

# %%
for y in (0.0, -0.99):
    moved = np.tanh(np.arctanh(y) + 1e-3) - y
    print(f"paper at {y:5.2f}: a pixel moves by {moved / 1e-3:.2f} of what the number before tanh does")
    assert abs(moved / 1e-3 - (1 - y**2)) < 1e-3

# %% [markdown]
# At -1 tanh itself presses the paper flat; at 0 every tremor shows. And a tremor at 0 has two signs. The cell plays
# two games to their end, one with each scaling: most of this lesson's computing. Besides the losses it looks at
# **coverage**: the share of 1000 test digits that have a fake nearby, nearer than their own fifth neighbour among
# these test digits. G has never seen them. For a perfect generator it is known, near 1 - 2^-5.

# %%
LOOKS = [0, 25, 75, 150, 600] if FAST else [0, 100, 400, 1000, 2000, 4000]
early, end, late = LOOKS[-1] // 4, LOOKS[-1], slice(-LOOKS[-1] // 4, None)
M = 500 if FAST else 1000  # fakes and test digits for coverage


def coverage(pictures):
    return precision_recall(pictures[:M], TEST[:: len(TEST) // M], k=5)["coverage"]


unfit = Game(low=0.0)
for name, each in (("[-1, 1]", game), ("[0, 1]", unfit)):
    for step in LOOKS:
        each.film[step] = each.play(step - len(each.losses)).drawn(Z)
    paid = [np.array(each.losses)[:step, 0][late].mean() for step in (early, end)]
    below = (each.G(Z) < each.low).any(axis=1).mean()
    print(f"{name:<8} D's loss up to step {early} {paid[0]:.1f} nats, up to {end} {paid[1]:.1f};", end=" ")
    print(f"coverage {coverage(each.film[early]):.2f}, {coverage(each.film[end]):.2f};", end=" ")
    print(f"fakes with a pixel below all data {below:.0%}")
    assert below == (name == "[0, 1]")
assert np.mean(unfit.losses[late], axis=0)[0] < np.mean(game.losses[late], axis=0)[0] - 0.1
assert FAST or coverage(unfit.film[end]) < coverage(game.film[end])

# %% [markdown]
# In [0, 1] every fake still has a minus sign somewhere at the end, and no real digit has one. Real and fake do not
# overlap, so the best D's loss is 0 (lesson 03), whatever G has learned. What does a D go by that learns from such
# fakes? The cell stops G, teaches a *new* D, and then turns every minus sign in the fakes into a plus, and nothing
# else.

# %%
judge, alone = new_D(np.random.default_rng(5)), []
optimizer, rng = Adam(judge, LR), np.random.default_rng(5)
for _ in range(150 if FAST else 300):
    x, z = unfit.data[rng.integers(len(X), size=N)], rng.standard_normal((N, NOISE), dtype="float32")
    alone.append(float(d_step(unfit.G, judge, optimizer, non_saturating, x, z)))
fakes, called_fake = unfit.G(Z), []
for name, shown in (("as drawn", fakes), ("with + for -", np.abs(fakes)), ("with 0 for -", np.maximum(fakes, 0))):
    called_fake.append((judge(shown) < 0).mean())
    print(f"the new D: of the fakes {name}, {called_fake[-1]:.0%} are called fake")
assert called_fake[0] > 0.95 and (FAST or called_fake[1] < 0.3)

# %% [markdown]
# It goes by the sign: with the signs turned it takes these fakes for digits. (It is not blind to the rest: with 0 in
# these pixels it still finds some.) Tutorials say that the wrong scaling "does not train". Look at the numbers: it
# does, and by coverage it is even ahead at first, for clipping takes half of its dust away. But D's lead grows, and
# then this G is overtaken by the other.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.6))
show(left, game.film[end][:32], 8, f"[-1, 1], step {end}: clean paper")
show(right, unfit.film[end][:32], 8, f"[0, 1], step {end}: dust on the paper")
figure.tight_layout()

paper = TRAIN.mean(axis=0) < 0.5  # places where hardly any digit has ink
dust = [255 * np.abs(g.G(Z)[:, paper] - g.low).mean() / (1 - g.low) for g in (game, unfit)]
print(f"dust at the {paper.sum()} places that are always paper, [0, 1] over [-1, 1]: {dust[1] / dust[0]:.0f} times")
assert dust[1] > 1.5 * dust[0]

# %% [markdown]
# ## 6. Reading loss curves
#
# From lesson 03: if D says 1/2 to everything, then
#
# $$L_D = -\log \tfrac12 - \log \tfrac12 = \log 4 = 1.386 \qquad\qquad L_G = -\log \tfrac12 = \log 2 = 0.693$$

# %%
value, _, _ = non_saturating.discriminator(np.zeros((N, 1)), np.zeros((N, 1)))
assert np.isclose(value, math.log(4)) and np.isclose(non_saturating.generator(np.zeros((N, 1)))[0], math.log(2))
covered = {step: coverage(pictures) for step, pictures in game.film.items()}
d_paid, g_paid = np.array(game.losses).T
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
losses_of = (
    (left, "healthy", d_paid, BLUE, "-"),
    (left, "data in [0, 1]", np.array(unfit.losses)[:, 0], ORANGE, "--"),
    (left, "G stands still: D wins", np.array(alone), INK, "-."),
    (right, "D's loss", d_paid, BLUE, "-"),
    (right, "G's loss", g_paid, "#56B4E9", "--"),
)
for axes, name, values, colour, style in losses_of:
    mean = np.convolve(values, np.ones(50) / 50, mode="valid")
    axes.plot(np.arange(len(mean)) + 25, mean, style, color=colour, linewidth=1.2, label=name)
right.plot(list(covered), list(covered.values()), "o-", color=ORANGE, label="coverage (a share)")
left.set(xlabel="step", ylabel="loss, nats (mean of 50 steps)", ylim=(0, 2.6))
right.set_xlabel("step")
left.set_title("D's loss: healthy, ahead, won", loc="left", fontsize=10)
right.set_title("Flat losses, while G gets better", loc="left", fontsize=10)
for axes in (left, right):
    axes.legend(loc="upper right", fontsize=9, ncols=2)
    axes.axhline(math.log(4), color=INK, linewidth=0.8, linestyle=":")
    axes.text(axes.get_xlim()[1], math.log(4) + 0.02, "log 4 ", ha="right", fontsize=9)
figure.tight_layout()

d_then, d_now = d_paid[early // 2 : early].mean(), d_paid[late].mean()
assert covered[end] > 2 * covered[early] and (FAST or abs(d_now - d_then) < 0.25)
assert 0.9 < d_now < math.log(4), "below log 4: D sees a difference, and does not win"
assert alone[-1] < 0.1, "a G that stands still is found out"

# %% [markdown]
# - **Healthy**: after some hundred steps D's loss lies a little below log 4 and stays there, and it wobbles. So does
#   G's, a little above log 2. A loss that falls all the time belongs to a player that wins.
# - **D wins**: its loss goes to 0 and G's rises. Look for a reason why real and fake are told apart without looking
#   at the picture, like a scale, a border, a row of zeros; or for a G that gets no gradient and stands still.
# - **What they do not tell**: whether the pictures are good, and whether there are ten digits or one. D's loss was
#   the same early and late, and coverage has more than doubled.
#
# So watch the losses for disasters, and the pictures for progress. Each column below is one z, always the same.

# %%
figure, axes = plt.subplots(figsize=(8.4, 4.6))
table = np.concatenate([*(game.film[step][:16] for step in LOOKS), TEST[:16]])
show(axes, table, 16, "Each column is one z; the last row is real")
axes.set_yticks([16 * k + 9 for k in range(len(LOOKS) + 1)], [*(f"step {step}" for step in LOOKS), "test set"])
figure.tight_layout()
shown = "  ".join(f"{step}: {share:.2f}" for step, share in covered.items())
print(f"coverage at step {shown}; of a perfect G: {perfect_coverage(M, M, k=5):.2f}")

# %% [markdown]
# ## 7. Are all ten there?
#
# A fake has no label. We let the nearest of the 10,000 training digits vote, and count the classes, with a
# **floor**: what do real digits get, 1000 that were not in the vote? And with a **control**: the vote names a class
# for every blot, so what does a G get that has learned nothing? With all classes alike each has a tenth. Let us call
# a class covered if it has at least half of that, 5 %.

# %%
mean_digit = np.repeat(TRAIN.mean(axis=0, keepdims=True), M, axis=0)
tested = {"test digits": TEST[1::2], "G": game.film[end], "G, untaught": game.film[0], "the mean digit": mean_digit}
found = {name: class_shares(pictures, TRAIN, labels) for name, pictures in tested.items()}
print("share of      " + "".join(f"{digit:>5}" for digit in range(10)) + "   classes  coverage  distance")
far = {name: nearest(pictures[:500] / 255, TRAIN / 255) for name, pictures in tested.items()}  # indices, distances
for name, shares in found.items():
    cells = "".join(f"{100 * share:4.0f}%" for share in shares)
    print(f"{name:<14}{cells}{(shares >= 0.05).sum():>10}{coverage(tested[name]):10.2f}{far[name][1].mean():10.1f}")
right_votes = (labels[far["test digits"][0]] == test_labels[1::2][:500]).mean()
print(f"the vote is right for {right_votes:.0%} of the test digits")
assert (found["test digits"] >= 0.05).sum() == 10 and right_votes > 0.9
NEEDED = 5 if FAST else 8  # classes
assert (found["G"] >= 0.05).sum() >= NEEDED
assert (found["G, untaught"] >= 0.05).sum() < 8 and (found["the mean digit"] >= 0.05).sum() == 1

# %% [markdown]
# No column is enough alone. The vote counts blots, too. Coverage is 0 for the untaught G, but a single picture in
# the middle of all digits, their mean, has some of it. And the distance to the nearest training digit likes that
# blur as well as our digits: a coward is near to everyone. Lesson 10 is about such numbers.
#
# Does the size of the first weights matter in this game, of three layers only? One more game, with N(0, 0.02²):

# %%
RACE = LOOKS[2] if FAST else 1000
tiny = Game(init=dcgan)
spread = [rms(g.G(Z) - g.G(Z).mean(axis=0)) for g in (Game(), tiny)]
print(f"before the first step the fakes differ from each other by {spread[0]:.2f} (He) and {spread[1]:.5f} (0.02)")
tiny.play(RACE)
reached = [(class_shares(pictures, TRAIN, labels) >= 0.05).sum() for pictures in (game.film[RACE], tiny.drawn(Z))]
print(f"after {RACE} steps, classes covered: {reached[0]} (He) and {reached[1]} (0.02)")
assert spread[1] < 0.01 * spread[0] and (FAST or reached[1] < reached[0])

# %% [markdown]
# With 0.02 all fakes begin as the same grey, whatever z is. Adam makes steps of its own size and gets out of it, but
# G has begun with the habit of not listening to z.
#
# ## 8. Saving and going on
#
# **Predict.** You stop a training and save G's and D's weights. Tomorrow you load them into new networks, make new
# optimizers, and go on. What have you lost?
#
# <details><summary>The answer</summary>
#
# Adam's moments and step counts, and the place in the stream of random numbers: which batches and which noise come
# next. How bad that is depends on *which* part is missing, and the worst is to lose half.
#
# </details>
#
# Adam keeps two means for each weight, and its step number t corrects for their start at zero (lesson 04):
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1) g, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2) g^2, \qquad
# \theta_t = \theta_{t-1} - \eta\, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}$$
#
# Write the step that goes on from a saved state; t there is the number of steps *done* when it was saved. It is held
# against the library's in the cell after the next.


# %% exercise="06.adam_resume"
def adam_resume(theta, g, m, v, t, lr):
    """theta, m and v (P,) after the next step of Adam with the gradient g (P,); saved after t steps. B1, B2, EPS."""
    ### BEGIN SOLUTION
    t = t + 1
    m = B1 * m + (1 - B1) * g
    v = B2 * v + (1 - B2) * g**2
    theta = theta - lr * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)
    return theta, m, v
    ### END SOLUTION


# %% check="06.adam_resume"
check("06.adam_resume", adam_resume).raise_if_wrong()

# %% [markdown]
# Now save the game: weights, moments, step counts, and the state of the random generator. `checkpoint.save` writes
# one file with a fingerprint (sha256) of all arrays. A *new* game, from another seed, then loads it.


# %%
def saved(game):
    """Arrays and facts: all that the next step depends on."""
    arrays, facts = training.optimizer_state({"G": game.G_optimizer, "D": game.D_optimizer})
    for who, network in (("G", game.G), ("D", game.D)):
        arrays |= training.network_arrays(network, who)
    return arrays, facts | {"rng": rng_state(game.rng)}


def resumed(path, forget=""):
    """A new game that goes on from the file, or from what is left of it."""
    arrays, facts = checkpoint.load(path)
    game = Game(seed=12345)
    for who, network in (("G", game.G), ("D", game.D)):
        training.load_network(network, who, arrays)
    training.load_optimizers({"G": game.G_optimizer, "D": game.D_optimizer}, arrays, facts)
    if "random state" not in forget:
        set_rng_state(game.rng, facts["rng"])
    for optimizer in (game.G_optimizer, game.D_optimizer):
        if "counts" in forget:
            optimizer.steps = 0
        if "moments" in forget:
            optimizer.m[...], optimizer.v[...] = 0, 0
    return game


folder = tempfile.TemporaryDirectory()
path = f"{folder.name}/step.safetensors"
checkpoint.save(path, *saved(game))

optimizer = game.D_optimizer
t, theta, m, v = optimizer.steps, game.D.theta.copy(), optimizer.m.copy(), optimizer.v.copy()
AFTER = 10 if FAST else 100
game.play(1)
mine = adam_resume(theta, game.D.grad, m, v, t, LR)  # D.grad is still what D's step was made with
print("your step is the library's:", np.allclose(mine[0], game.D.theta, atol=1e-6))
assert np.allclose(mine[0], game.D.theta, atol=1e-6) and np.allclose(mine[1], game.D_optimizer.m, atol=1e-6)

game.play(AFTER - 1)
again = resumed(path).play(AFTER)
same = checkpoint.sha256(saved(game)[0]) == checkpoint.sha256(saved(again)[0])
print(f"resume == continue after {AFTER} steps, bit for bit:", same and game.losses[-AFTER:] == again.losses)
assert same and np.array_equal(game.G.theta, again.G.theta) and game.losses[-AFTER:] == again.losses

# %% [markdown]
# What if a part is missing? The first step tells. Let t be the number of the step that comes next, here large.
# Without moments *and* count, m/(1-β1) = g and v/(1-β2) = g²: every weight moves by exactly η, whatever its
# gradient. Without one of the two, the correction does not fit the moments any more:
#
# $$\text{moments lost: } |\Delta\theta| = \eta\, \frac{1 - \beta_1}{1 - \beta_1^t}
# \sqrt{\frac{1 - \beta_2^t}{1 - \beta_2}}
# \qquad \text{count lost: } \Delta\theta = \Delta\theta_\text{right}\, \frac{1 - \beta_1^t}{1 - \beta_1}
# \sqrt{\frac{1 - \beta_2}{1 - \beta_2^t}}$$

# %%
t = t + 1
jump = (1 - B1) / (1 - B1**t) * math.sqrt((1 - B2**t) / (1 - B2))
print(f"by the formulas: moments lost {jump:.1f} learning rates a weight; count lost 1/{jump:.1f} of the right step")
moved, after = {}, {}
for name in ("nothing", "random state", "moments and step counts", "step counts", "moments"):
    other = resumed(path, forget=name)
    moved[name] = np.abs(other.play(1).D.theta - theta) / LR
    identical = np.array_equal(other.play(AFTER - 1).G.theta, game.G.theta)
    after[name] = np.array(other.losses)[: AFTER // 2, 0].max(), coverage(other.drawn(Z))
    print(
        f"forgotten: {name:<24} first step {np.median(moved[name]):5.2f} learning rates; D's largest loss "
        f"{after[name][0]:4.1f}; coverage {after[name][1]:.2f}; as if never stopped: {identical}"
    )
    assert identical == (name == "nothing")
assert abs(np.median(moved["moments and step counts"]) - 1) < 1e-2
assert abs(np.median(moved["moments"]) / jump - 1) < 1e-2
assert abs(np.median(moved["nothing"]) / np.median(moved["step counts"]) / jump - 1) < 1e-2
assert after["moments"][0] > 2 * after["nothing"][0] and after["moments"][1] < 0.5 * after["nothing"][1]

# %% [markdown]
# Two halves that do not fit are worse than none: new moments under an old count throw every weight by many learning
# rates, and what G has learned in thousands of steps is gone in one. A fresh optimizer is a small shake. A lost
# random state does no harm, but nobody can repeat the training; and if the generator starts from its seed again, the
# same batches come again in the same order.
#
# ## 9. How the library does it
#
# `minigan.training.Training` is your Game with these parts; `minigan train --resume` goes on from its last file.

# %%
for piece in (he, glorot, dcgan, digits.unscale, optim.Adam.update, training.Players.state):
    print(inspect.getsource(piece))

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back. An assertion that fails is an answer, too.
#
# 1. Take the slope of 1 in `yours(1)` for all layers of the stack in section 3, which keeps E[x²] for layers without
#    any activation. By how much do eight layers with ReLU shrink the values? (By 2^(-1/2) each.)
# 2. In `Game`, write `Sigmoid()` (from `minigan.layers`) for `Tanh()`, and look at the game with `low=0.0` again.
#    What share of its fakes has a pixel below all data now?
# 3. Give D a learning rate of 1e-6 in `Game`. Where does its loss stay, and what do the pictures look like?
# 4. In `resumed`, forget the moments of D only, and then of G only. Which of the two does more damage?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("06.both_ways", both_ways) and check("06.first_weights", first_weights)
assert check("06.adam_resume", adam_resume)
assert (found["G"] >= 0.05).sum() >= NEEDED and same
folder.cleanup()
print("A GAN that draws at least 8 of the 10 digits, and a training that can be taken up again, bit for bit.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 07**, where the pixels get neighbours: convolutions, and the way back up.
# - X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", *AISTATS*
#   2010: the histograms per layer, and 2 / (n + m).
# - K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers", *ICCV* 2015, section 2.2: the 2 of section 3.
# - A. Karpathy, "Building makemore Part 3: Activations & Gradients, BatchNorm", video, 2022: the same histograms.
# - D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", *ICLR* 2015: section 3 is the correction.
