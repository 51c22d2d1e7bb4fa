# %% [markdown]
# # 09. DCGAN: why does it work?
#
# In 2016 Radford, Metz and Chintala published a recipe: five guidelines, one distribution for the first weights, two
# settings of Adam. With it deep convolutional GANs trained, which they had seldom done before, and it has been copied
# ever since. Which part of it does what? We build a small DCGAN, count it, take parts away, and measure.
#
# **You need** lessons 04 (momentum in a game), 06 (an MLP GAN on digits), 07 (transposed convolutions) and 08 (batch
# norm). **Time** about 50 minutes. **You will write** the shapes through a generator, the number of a layer's
# parameters, and the interpolation between two z. **After it** you can put a DCGAN together for any size, and you
# know what each guideline is for, and which of them you can see at work in a small network.

# %%
import functools
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import models
from minigan.backend import rng
from minigan.data import load_digits, scale
from minigan.exercises import check
from minigan.layers import BatchNorm, Conv, ConvTranspose, Dense, Flatten, LeakyReLU, ReLU, Reshape, Tanh, he
from minigan.layers import dcgan as normal
from minigan.losses import non_saturating
from minigan.metrics.frechet import mmd2
from minigan.metrics.modes import median_scales, mmd
from minigan.models.classifier import load_classifier
from minigan.models.dcgan import _digits
from minigan.models.gan import walk
from minigan.models.mlp import chain
from minigan.network import Sequential
from minigan.optim import Adam
from minigan.steps import d_step
from minigan.training import Training
from minigan.viz import grid

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a few steps of training, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Two GANs learn to draw digits of 28 x 28 pixels. One has dense layers and 241,297 parameters, the other
# convolutions and 46,874. Both see 12,800 images, 400 steps of 32. We measure how far their samples are from real
# digits. Then the dense one goes on until it has seen five times as many. Which one is closer?
#
# 1. The dense one: it has five times as many parameters.
# 2. The convolutions at first; the dense one after its 64,000 images.
# 3. The convolutions, both times.
#
# And of four parts of the recipe, batch norm, LeakyReLU in D, beta1 = 0.5 in Adam, and the 5 x 5 kernel: which two
# would you leave out, if you had to?
#
# <details><summary>The answer</summary>
#
# 3: by a factor of thirty and more the first time, narrowly the second. And of the four parts, beta1 and batch norm
# count most. LeakyReLU or ReLU in D makes no difference that three trainings of each could show, and neither does the
# kernel. Sections 6 and 7 measure it.
#
# </details>

# %% [markdown]
# ## 1. The contract of shapes
#
# G turns z (N, Z) into images (N, h, w, C). It starts with a small image of many channels, and each transposed
# convolution of stride 2 doubles height and width and halves the channels. With L doublings, start size h_0, and
# `width` channels next to the image, after k doublings:
#
# $$h_k = h_0\, 2^k \qquad c_k = \begin{cases} \text{width} \cdot 2^{L-1-k} & k < L \\ C & k = L \end{cases}$$
#
# Why do the channels halve? Twice the height and width is four times the places. Half the channels still leave twice
# the numbers, and the work of a layer, k^2 times channels in times channels out times places, stays the same.
#
# Write the shapes down: from `start` x `start` to the images x (N, h, h, C), the batch in front, as a list of tuples.


# %% exercise="09.shapes"
def shapes(x, start, width):
    """The shapes through G for images like x (N, h, h, C): [(N, start, start, ...), ..., (N, h, h, C)]."""
    ### BEGIN SOLUTION
    N, h, _, C = x.shape
    doublings = int(np.log2(h // start))
    sizes = [start * 2**k for k in range(doublings + 1)]
    channels = [width * 2 ** (doublings - 1 - k) for k in range(doublings)] + [C]
    return [(N, size, size, c) for size, c in zip(sizes, channels)]
    ### END SOLUTION


# %% check="09.shapes"
check("09.shapes", shapes).raise_if_wrong()

# %% [markdown]
# With it both networks can be put together. D goes the same way back: a convolution of stride 2 halves, and a dense
# layer at the end gives one number, the logit.

# %%
images, _ = load_digits()  # (10000, 28, 28, 1), bytes
Z = 50  # numbers in z


def small_dcgan(random, kernel=5, norm=True, activation=LeakyReLU, width=8):
    """7 x 7 -> 14 x 14 -> 28 x 28 and back."""
    (_, start, _, c0), (*_, c1), (*_, C) = shapes(images[:1], 7, width)
    k, drawn = (kernel, kernel), {"rng": random, "init": normal}
    bare = {"bias": not norm, **drawn}  # no bias where a norm follows: section 2

    def normed(channels):
        return [BatchNorm(channels)] if norm else []

    G = Sequential(
        *(Dense(Z, start * start * c0, **bare), Reshape((start, start, c0)), *normed(c0), ReLU()),
        *(ConvTranspose(c0, c1, k, 2, **bare), *normed(c1), ReLU()),
        *(ConvTranspose(c1, C, k, 2, **drawn), Tanh()),
    )
    D = Sequential(
        *(Conv(C, c1, k, 2, **drawn), activation()),
        *(Conv(c1, c0, k, 2, **bare), *normed(c0), activation()),
        *(Flatten(), Dense(start * start * c0, 1, **drawn)),
    )
    return models.GAN("small dcgan", G, D, Z, pixels=(-1.0, 1.0))


model = small_dcgan(rng(0))
print(model.G.summary((Z,)), "\n")
print(model.D.summary((28, 28, 1)))


def shapes_of(network, shape, kinds):
    """The shapes of one sample behind the layers of these kinds."""
    found = []
    for layer in network.layers:
        shape = layer.output_shape(shape)
        found += [shape] if isinstance(layer, kinds) else []
    return found


assert shapes_of(model.G, (Z,), (Reshape, ConvTranspose)) == [(7, 7, 16), (14, 14, 8), (28, 28, 1)]
assert shapes_of(model.D, (28, 28, 1), (Conv, Flatten, Dense)) == [(14, 14, 8), (7, 7, 16), (784,), (1,)]
for size, channels in ((32, 1), (64, 3), (128, 3)):  # the library's, and your list
    theirs = shapes_of(models.dcgan(rng(0), (size, size, channels), width=8).G, (100,), (Reshape, ConvTranspose))
    assert theirs == [shape[1:] for shape in shapes(np.zeros((1, size, size, channels)), 4, 8)]

# %% [markdown]
# What if they do not fit? Two mistakes from real tutorials, both with a D of 64 x 64: a G that draws 28 x 28, and one
# that starts at 7 x 7 and doubles three times, which gives 56.

# %%
D64 = models.dcgan(rng(0), (64, 64, 1), width=8).D
three = [ConvTranspose(i, o, (5, 5), 2, rng=rng(0)) for i, o in ((32, 16), (16, 8), (8, 1))]
G56 = Sequential(Dense(Z, 7 * 7 * 32, rng=rng(0)), Reshape((7, 7, 32)), *three, Tanh())
for G, size in ((model.G, 28), (G56, 56)):
    try:
        Training(models.GAN("a GAN", G, D64, Z, pixels=(-1.0, 1.0)), np.zeros((8, 64, 64, 1), "uint8"), batch=4)
    except ValueError as error:  # a ShapeError is one
        complaint = str(error)
    print(complaint)
    assert f"{size}, {size}, 1)" in complaint

# %% [markdown]
# The first complaint comes from D's last layer: a convolution takes any image, only the dense layer at the end has
# counted on a size. And the second G gets by D: halved with rounding up, 56, 28, 14, 7, 4 ends where 64 ends. The two
# networks fit; it takes the data to see that something is wrong.
#
# ## 2. How many parameters?
#
# A convolution has a weight for each tap of its kernel, each channel in and each channel out, and a bias for each
# channel out. Batch norm has γ and β, two for each channel. And what stands before a batch norm has no bias:
#
# $$P_{\text{alone}} = k_h\, k_w\, I\, O + O \qquad P_{\text{with norm}} = k_h\, k_w\, I\, O + 2\,O$$
#
# A transposed convolution has the same number, and the number of pixels is in neither.


# %% exercise="09.parameters"
def parameters(x, kernel, n_out):
    """(alone, with a batch norm behind it): parameters of a convolution of x (N, h, w, I), kernel (kh, kw)."""
    ### BEGIN SOLUTION
    n_in = x.shape[3]
    weights = kernel[0] * kernel[1] * n_in * n_out
    return weights + n_out, weights + 2 * n_out
    ### END SOLUTION


# %% check="09.parameters"
check("09.parameters", parameters).raise_if_wrong()

# %% [markdown]
# We count D by it. Its dense layer sees an image of 7 x 7 x 16 and gives one number: that is a convolution with a
# kernel as large as the image. Why no bias before a batch norm? Because the norm takes each channel's mean away, and
# a constant with it:
#
# $$\text{BN}(Wx + b) = \text{BN}(Wx)$$

# %%
first = parameters(np.zeros((1, 28, 28, 1)), (5, 5), 8)[0]
second = parameters(np.zeros((1, 14, 14, 8)), (5, 5), 16)[1]
last = parameters(np.zeros((1, 7, 7, 16)), (7, 7), 1)[0]
print(f"D by the formula: {first} + {second} + {last} = {first + second + last}, summary() said {model.D.theta.size}")
assert first + second + last == model.D.theta.size == 4225

draws = np.random.default_rng(9)
Wx = draws.standard_normal((64, 6)).astype("float32")  # (N, C): what comes out of a layer
shifted, plain = (BatchNorm(6).forward(values)[0] for values in (Wx + draws.standard_normal(6, "float32"), Wx))
print("the bias makes no difference:", np.allclose(shifted, plain, atol=1e-5))
assert np.allclose(shifted, plain, atol=1e-5)

# %% [markdown]
# ## 3. The first weights
#
# DCGAN draws every weight from N(0, 0.02^2), whatever the layer. He's rule asks the layer for its **fan-in** n, the
# number of inputs that one output sums up (for a convolution k^2 I), and takes the variance 2/n. A sum of n
# independent terms of variance σ^2 E[x^2] has the variance
#
# $$\mathrm{E}[y^2] = n\,\sigma^2\,\mathrm{E}[x^2]$$
#
# so a layer multiplies the root mean square (rms) by σ √n. With He's σ that is √2, which a ReLU behind it brings
# back to 1: it puts half of the numbers to zero. With σ = 0.02 it depends on n. The two agree where
#
# $$0.02^2 = \frac{2}{n} \quad\Longleftrightarrow\quad n = \frac{2}{0.02^2} = 5000$$


# %%
def rms(values):
    return float(np.sqrt((values**2).mean()))


print(f"{'layer':<34}{'fan-in':>7}{'0.02 sqrt(n)':>14}{'measured':>10}{'He, measured':>14}")
for n_in, n_out, what in ((1, 8, "ours, first"), (8, 16, "ours, second"), (64, 128, "full size"), (200, 32, "")):
    x, n = draws.standard_normal((8, 14, 14, n_in)).astype("float32"), 25 * n_in
    normals, hes = (
        rms(Conv(n_in, n_out, (5, 5), padding="valid", rng=rng(3), init=init).forward(x)[0]) for init in (normal, he)
    )
    predicted = 0.02 * np.sqrt(n)
    print(f"{f'5 x 5, {n_in} to {n_out}  {what}':<34}{n:>7}{predicted:>14.2f}{normals:>10.2f}{hes:>14.2f}")
    assert abs(normals / predicted - 1) < 0.15 and abs(hes / np.sqrt(2) - 1) < 0.15
assert round(2 / 0.02**2) == 25 * 200 and abs(normals / hes - 1) < 0.01, "the last row: 0.02 is He's"

# %% [markdown]
# So 0.02 is nothing mysterious: it is He's rule for the middle layers of the published network, whose 5 x 5 kernels
# over 128 to 256 channels have fan-ins of 3,200 to 6,400. In a narrow network like ours each layer makes its signal
# three to ten times smaller. Why does it train all the same? Because of batch norm, which takes any factor c > 0 away
# again, too (up to its ε):
#
# $$\text{BN}(c\,Wx) = \text{BN}(Wx)$$

# %%
scaled = BatchNorm(6).forward(0.1 * Wx)[0]
print("a factor makes no difference:", np.allclose(scaled, plain, atol=1e-2))

real = scale(images[:256])
for norm in (True, False):
    D = small_dcgan(rng(0), norm=norm).D
    ends = [i + 1 for i, layer in enumerate(D.layers) if isinstance(layer, LeakyReLU | Dense)]
    signals = [rms(D.forward(real, upto=end)[0]) for end in ends]
    print(f"D {'with' if norm else 'without'} batch norm, rms layer by layer:", *(f"{size:.3f}" for size in signals))
    assert np.allclose(scaled, plain, atol=1e-2) and (signals[1] > 0.6 if norm else signals[1] < 0.02)


fresh = small_dcgan(rng(0))
loss = d_step(fresh.G, fresh.D, Adam(fresh.D), non_saturating, real[:64], fresh.draw_noise(rng(1), 64))
print(f"D's loss at the start {float(loss):.2f}, log 4 = {np.log(4):.2f}")
assert abs(float(loss) - np.log(4)) < 0.25

# %% [markdown]
# One thing is left for σ to decide. Where no norm stands, at D's logit, small weights make D start out undecided:
# D(x) near 1/2, and the loss near log 4 (lesson 03), so that nobody has won before the game begins.
#
# ## 4. The five guidelines, and what each is for
#
# 1. **No pooling: strided convolutions in D, transposed ones in G.** The network learns how to shrink and to enlarge.
# 2. **Batch norm in both, but not at G's output nor at D's input.** Signals keep their size however deep the network
#    is. At the two exceptions the pixels stand, and how bright an image is shall stay visible.
# 3. **No dense hidden layers.** Fewer parameters, and what is learned at one place holds at all places.
# 4. **ReLU in G, tanh at its end.** tanh keeps pixels in [-1, 1], the range of the data.
# 5. **LeakyReLU in D.** G learns only from what passes back through D, and a ReLU that is off lets nothing pass.
#
# Does the library's DCGAN keep them? We ask its layers.

# %%
print(inspect.getsource(_digits))
for size in (28, 32, 64):
    full = models.dcgan(rng(0), (size, size, 1), width=8)
    G, D = full.G.layers, full.D.layers
    dense = [[i for i, layer in enumerate(net) if isinstance(layer, Dense)] for net in (G, D)]
    normed = [net[i - 1] for net in (G, D) for i, layer in enumerate(net) if isinstance(layer, BatchNorm)]
    of_D = {type(layer) for layer in D}
    kept = (
        all(layer.windows.stride == (2, 2) for layer in D if isinstance(layer, Conv)),
        len(normed) >= 4 and not isinstance(G[-2], BatchNorm) and not isinstance(D[1], BatchNorm),
        dense == [[0], [len(D) - 1]],
        isinstance(G[-1], Tanh) and any(isinstance(layer, ReLU) for layer in G),
        LeakyReLU in of_D and of_D <= {Conv, BatchNorm, LeakyReLU, Flatten, Dense},  # no pooling either
    )
    print(f"{size} x {size}, guidelines 1 to 5 kept:", *kept)
    assert all(kept) and not any("b" in layer.params for layer in normed)

# %% [markdown]
# Two of them in numbers. **Guideline 3**: behind the last convolution of the full-size D there are 7 x 7 x 128
# numbers. A dense hidden layer of 1,024 would hold some thirty times as many parameters as all of D.
# **Guideline 5**: many tutorials say that LeakyReLU lets more gradient through. How much more? Through a slope s' the
# mean square of a gradient is multiplied by E[s'^2]. If half of the inputs are positive, with slope a elsewhere,
#
# $$\mathrm{E}[s'(x)^2] = \frac{1 + a^2}{2}$$

# %%
dense = parameters(np.zeros((1, 7, 7, 128)), (7, 7), 1024)[0]
whole = models.dcgan(rng(0)).D.theta.size
print(f"one dense hidden layer {dense:,} parameters, all of D {whole:,}: {dense / whole:.0f} times as many")
assert dense > 25 * whole

x = (draws.standard_normal((2, 200_000)) - [[0], [3]]).astype("float32")  # around 0, and around -3
for layer, a in ((LeakyReLU(0.2), 0.2), (ReLU(), 0)):
    passed = (layer.backward(np.ones_like(x), layer.forward(x)[1]) ** 2).mean(axis=1)
    print(f"{layer}: passes {passed[0]:.2f} around 0, formula {(1 + a**2) / 2:.2f}; {passed[1]:.2f} around -3")
    assert abs(passed[0] - (1 + a**2) / 2) < 0.01

# %% [markdown]
# 0.52 instead of 0.50: at the start that is nothing. The leak counts where a unit has slid far below zero for all
# images: with ReLU it is then off for good. But batch norm puts each channel back around its mean before every
# activation, so that such units hardly come about. Whoever keeps guideline 2 may not need guideline 5. We shall see.
#
# ## 5. A judge that does not look
#
# Samples are usually compared by eye, and the eye finds what it hopes for. We take the features f of the library's
# digit classifier, 64 numbers an image from its last hidden layer, and compare the two distributions by a kernel:
#
# $$\text{MMD}^2 = \mathrm{E}\,k(f, f') + \mathrm{E}\,k(g, g') - 2\,\mathrm{E}\,k(f, g), \qquad
# k(f, g) = \left(\tfrac{f \cdot g}{64} + 1\right)^3$$
#
# f and f' are features of different samples, g and g' of different real digits that no training has seen. With
# Inception's features this is the kernel inception distance, KID. Of equal distributions it is 0 on average, for any
# number of images. So we can cut the images into ten blocks, take the ten values, and have an honest interval from
# their standard deviation s (2.26 is Student's t for 95 % and 9 degrees of freedom):
#
# $$\overline{\text{MMD}^2} \pm 2.26\; \frac{s}{\sqrt{10}}$$

# %%
classifier = load_classifier()
test = draws.permutation(load_digits("test")[0])  # (2000, 28, 28, 1), in random order
held_out = classifier.features(test)  # (2000, 64)
N_SAMPLES = 200 if FAST else 500


def in_blocks(measure, a, b):
    """The mean over ten blocks, and half the width of its 95 % interval."""
    values = [measure(f, g) for f, g in zip(np.array_split(a, 10), np.array_split(b, 10))]
    return float(np.mean(values)), float(2.26 * np.std(values, ddof=1) / np.sqrt(10))


def distance(pictures):
    return in_blocks(mmd2, classifier.features(pictures), held_out)


def show(table, digits=1):
    for name, of in table.items():
        print(f"{name:<26}", *(f"{middle:8.{digits}f} +- {half:<5.{digits}f}" for middle, half in of))


few, fewer = classifier.features(images[:40]).astype(float), held_out[:30].astype(float)
kff, kgg, kfg = ((a @ b.T / 64 + 1) ** 3 for a, b in ((few, few), (fewer, fewer), (few, fewer)))
others = (k[~np.eye(len(k), dtype=bool)].mean() for k in (kff, kgg))  # no sample is compared with itself
same = np.isclose(sum(others) - 2 * kfg.mean(), mmd2(few, fewer))
print("by hand = the library's:", same)
assert same

some = images[draws.integers(len(images), size=N_SAMPLES)]
sevens = images[load_digits()[1] == 7][:N_SAMPLES]
speckle = draws.integers(0, 256, some.shape, dtype="uint8")
yardsticks = {"other real digits": some, "at half the ink": some // 2, "only sevens": sevens, "noise": speckle}
found = {name: [distance(pictures)] for name, pictures in yardsticks.items()}
show(found, 2)
assert abs(found["other real digits"][0][0]) < 0.2 and found["only sevens"][0][0] > 3

# %% [markdown]
# The first line is what a perfect generator scores: nothing but chance. The others are a scale for what follows.
#
# ## 6. Dense against convolutions
#
# Three trainings of each, because a GAN's result depends on its seed more than on most settings. The interval covers
# the draw of the samples and not the seed, so we ask for more: the worst of three DCGANs shall beat the best of three
# MLPs, intervals included.
#
# G's learning rate is 1e-3, as we have 400 steps and not the paper's many thousands (it takes 2e-4). D's is the only
# thing that we tuned, for each by itself: 2.5e-4 for the DCGAN, whose D runs ahead of its G with more, and 1e-3 for
# the MLP, which learns more slowly with less.

# %%
BATCH, STEPS, SEEDS = (16, 4, (0,)) if FAST else (32, 200, (0, 1, 2))


def small_mlp(random):
    """Lesson 06's kind, for 28 x 28 pixels."""
    G = Sequential(*chain([Z, 128, 128, 784], ReLU, random), Tanh(), Reshape((28, 28, 1)))
    D = Sequential(Flatten(), *chain([784, 128, 128, 1], LeakyReLU, random))
    return models.GAN("small mlp", G, D, Z, pixels=(-1.0, 1.0))


def begun(model, seed, lr_d=2.5e-4, beta1=0.5):
    optimizer = functools.partial(Adam, beta1=beta1)
    return Training(model, images, batch=BATCH, lr=1e-3, lr_d=lr_d, seed=seed, optimizer=optimizer)


def drawn(trainings, steps):  # train each on to so many steps, and draw
    for training in trainings:
        while training.step < steps:
            training.advance()
    return [training.sample(N_SAMPLES) for training in trainings]


def tiles(at, pictures, columns, title, pad=2):
    at.imshow(grid(pictures, columns, pad), cmap="gray", vmin=0, vmax=255)
    at.set_title(title, fontsize=10)
    at.axis("off")


def apart(better, worse):
    """Is every interval of `better` below every interval of `worse`?"""
    return max(middle + half for middle, half in better) < min(middle - half for middle, half in worse)


dcgans = [begun(small_dcgan(rng(seed)), seed) for seed in SEEDS]
mlps = [begun(small_mlp(rng(seed)), seed, lr_d=1e-3) for seed in SEEDS]
early = drawn(dcgans, STEPS)  # for section 7
samples = {"DCGAN": drawn(dcgans, 2 * STEPS), "MLP": drawn(mlps, 2 * STEPS), "MLP, 5 x": drawn(mlps, 10 * STEPS)}
found = {name: [distance(pictures) for pictures in sets] for name, sets in samples.items()}


show(found)
print("parameters:", *(f"{m.G.theta.size + m.D.theta.size:,}" for m in (dcgans[0].model, mlps[0].model)))
if not FAST:
    assert apart(found["DCGAN"], found["MLP"])
    for name in ("MLP", "MLP, 5 x"):
        print(f"the worst DCGAN is closer than the best {name}:", apart(found["DCGAN"], found[name]))

# %%
figure, axes = plt.subplots(1, 4, figsize=(8.6, 3.7))
titles = ("real", "DCGAN, 12,800 images", "MLP, 12,800 images", "MLP, 64,000 images")
for at, title, pictures in zip(axes, titles, (scale(test), *(sets[0] for sets in samples.values()))):
    tiles(at, pictures[:24], 4, title)
figure.suptitle("Convolutions have strokes early; dense layers must learn which pixels are neighbours", fontsize=11)
figure.tight_layout()

pixels = scale(test).reshape(len(test), -1)
scales = median_scales(pixels[:500], pixels[500:1000])
opinion = {
    name: [in_blocks(functools.partial(mmd, scales=scales), x.reshape(len(x), -1), pixels) for x in sets]
    for name, sets in samples.items()
}
print("a second opinion, a Gaussian kernel on the pixels themselves:")
show(opinion, 3)
assert FAST or apart(opinion["DCGAN"], opinion["MLP"])

# %% [markdown]
# The eye and the numbers do not quite agree. The MLP with 64,000 images draws more whole digits, in speckles; the
# DCGAN draws clean strokes, which often make no digit yet. No real digit has speckles. Both distances say so, on
# features and on pixels, and by both every DCGAN is closer than every MLP.
#
# Five times as many images is about what the MLP gets through in the time of the DCGAN. Why are convolutions ahead?
# A dense layer has to learn a stroke once for every place at which it may stand, a convolution once for all places,
# and it knows from the start which pixels are neighbours. So D does with 4,225 parameters what the dense one needs
# 117,121 for. What is saved is *images*: on digits as small as these the MLP gets there, too, later.
#
# ## 7. One part at a time
#
# Now the ablation, after 200 steps. All else is equal: data, seeds, rates.

# %%
variants = {
    "without batch norm": ({"norm": False}, 0.5),
    "beta1 = 0.9, not 0.5": ({}, 0.9),
    "ReLU in D, not LeakyReLU": ({"activation": ReLU}, 0.5),
    "kernel 4, not 5": ({"kernel": 4}, 0.5),
}
drawings = {"DCGAN": early}
for name, (parts, beta1) in variants.items():
    drawings[name] = drawn([begun(small_dcgan(rng(seed), **parts), seed, beta1=beta1) for seed in SEEDS], STEPS)
ablation = {name: [distance(pictures) for pictures in sets] for name, sets in drawings.items()}
show(ablation)

figure, axes = plt.subplots(figsize=(8, 3.6))
for row, of in enumerate(ablation.values()):
    for k, (middle, half) in enumerate(of):
        colour, marker = (ORANGE, "s") if row else (BLUE, "o")
        axes.errorbar(middle, row + 0.2 * (k - 1), xerr=half, fmt=marker, color=colour, markersize=5, capsize=3)
whole = ablation["DCGAN"]
axes.set(xscale="log", yticks=range(len(ablation)), yticklabels=ablation, xlabel="kernel distance to held-out digits")
axes.invert_yaxis()
axes.set_title("Three seeds each, with 95 % intervals: two of the four parts are missed", loc="left", fontsize=11)
figure.tight_layout()

if not FAST:
    middle_one = [sorted(whole)[1]]  # of three trainings
    assert apart(middle_one, ablation["without batch norm"]) and apart(whole, ablation["beta1 = 0.9, not 0.5"])
    for name in ("ReLU in D, not LeakyReLU", "kernel 4, not 5"):
        assert not apart(whole, ablation[name]) and not apart(ablation[name], whole)

# %% [markdown]
# **beta1** and **batch norm** are missed in every training. With beta1 = 0.9 Adam follows the mean of some 10
# gradients, with 0.5 of two (1 / (1 - beta1)), and within ten steps the opponent has moved on: lesson 04's spinning.
# Without the norm the seeds scatter, too, the worst fifty times as far off as the best. Section 3 names one reason,
# signals seventy times too small at the start; "Break it" 2 asks whether it is the only one.
#
# **LeakyReLU** and the **kernel** make no difference here. For the leak section 4 expected it: batch norm already
# keeps units alive. For lesson 07's checkerboard this distance may have no eye. And what is idle in two layers of
# eight channels may count in four layers of a thousand. But take the second training with kernel 4, or of the DCGAN,
# for the only one, and you would have "found" a difference: no ablation without seeds.
#
# ## 8. What D's first layer looks at
#
# The first convolution of D has 8 filters of 5 x 5 taps, the only weights of a DCGAN that are pictures. Textbooks
# show edges and strokes there, from classifiers that have seen a million photographs. We look at ours, and at how
# they have changed. For a number, we correlate each tap with the one below: of independent weights that is 0, and of
# anything wider than a pixel it is more.


# %%
first, last = small_dcgan(rng(0)).D.params["0.W"], dcgans[0].D.params["0.W"]  # (5, 5, 1, 8) each
filters = {"at first": first, f"after {2 * STEPS} steps": last, "the difference": last - first}
figure, axes = plt.subplots(3, 1, figsize=(8, 3.8))
for at, (title, W) in zip(axes, filters.items()):
    below = np.corrcoef(W[1:].ravel(), W[:-1].ravel())[0, 1]
    stretched = (W / np.abs(W).max(axis=(0, 1, 2))).transpose(3, 0, 1, 2)
    tiles(at, stretched, 8, f"{title}: a tap and the one below correlate with {abs(below):.1f}", pad=1)
figure.tight_layout()
kept = np.corrcoef(first.ravel(), last.ravel())[0, 1]
print(f"correlation of the filters with what they were at first: {kept:.1f}")
assert FAST or (kept > 0.4 and below > 0.1)

# %% [markdown]
# The filters look like noise, because for the most part they still are their first weights; what training has added
# is a little smoother. A judge needs no beautiful filters, if its second layer learns to read eight random ones.
#
# ## 9. From one z to another
#
# If G has learned more than a list of pictures, images change smoothly on the way from one z to another. Most people
# take the straight line, through (a + b)/2. How likely is a z as short as that ever to be drawn in training?
#
# |z|^2 is a sum of Z squares with mean 1 each, and the mean of two independent numbers has half their variance:
#
# $$\mathrm{E}|z|^2 = Z, \quad \text{sd}(|z|) \approx \frac{1}{\sqrt 2} \qquad\qquad
# \mathrm{E}\left|\tfrac{a+b}{2}\right|^2 = \frac{Z}{2}$$

# %%
a, b = draws.standard_normal((2, 100_000, Z))
lengths, halfway = np.linalg.norm(a, axis=1), np.linalg.norm((a + b) / 2, axis=1)
print(f"mean |z|^2 / Z: {(lengths**2).mean() / Z:.2f}, of (a + b)/2: {(halfway**2).mean() / Z:.2f}", end="   ")
print(f"sd of |z|: {lengths.std():.2f}   z shorter than √(Z/2): {(lengths < np.sqrt(Z / 2)).mean():.4f} of all")
assert abs((lengths**2).mean() / Z - 1) < 0.01 and abs((halfway**2).mean() / Z - 0.5) < 0.01
assert abs(lengths.std() - np.sqrt(0.5)) < 0.02 and (lengths < np.sqrt(Z / 2)).mean() < 0.005

# %% [markdown]
# N(0, I) in many dimensions is a shell of radius √Z and thickness 1/√2. The straight line leaves it. The great circle
# stays inside: with the directions u = a/|a| and v = b/|b| and the angle Ω between them,
#
# $$z(t) = \frac{\sin((1-t)\,\Omega)\, u + \sin(t\,\Omega)\, v}{\sin \Omega}\,\big((1-t)\,|a| + t\,|b|\big),
# \qquad \cos\Omega = u \cdot v$$
#
# Write it, for N pairs at once, each with its own angle.


# %% exercise="09.interpolate"
def interpolate(a, b, t):
    """Points on the great circles from a to b (N, Z), at the times t (T,) between 0 and 1: (N, T, Z)."""
    ### BEGIN SOLUTION
    of_a, of_b = (np.linalg.norm(end, axis=1, keepdims=True)[:, None] for end in (a, b))  # (N, 1, 1)
    u, v, t = a[:, None] / of_a, b[:, None] / of_b, t[None, :, None]  # (N, 1, Z) and (1, T, 1)
    angle = np.arccos((u * v).sum(axis=2, keepdims=True))
    direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return direction * ((1 - t) * of_a + t * of_b)
    ### END SOLUTION


# %% check="09.interpolate"
check("09.interpolate", interpolate).raise_if_wrong()

# %%
print(inspect.getsource(walk))  # the library's, behind GAN.draw_walks
times = np.linspace(0, 1, 9)
ends = np.random.default_rng(4).standard_normal((2, 3, Z)).astype("float32")
straight = (1 - times[:, None]) * ends[0][:, None] + times[:, None] * ends[1][:, None]
paths = {"great circle": interpolate(*ends, times), "straight line": straight}
print("yours = the library's:", np.allclose(paths["great circle"], walk(*ends, 9), atol=1e-4))
assert np.allclose(paths["great circle"], walk(*ends, 9), atol=1e-4)

figure, axes = plt.subplot_mosaic([["shell", path] for path in paths], figsize=(8.6, 3.9), width_ratios=(2, 3))
for values, colour, style, name in ((lengths, BLUE, "-", "|z|"), (halfway, ORANGE, "--", "|(a + b)/2|")):
    axes["shell"].hist(values, 60, density=True, histtype="step", color=colour, linestyle=style, label=name)
axes["shell"].set(xlabel="length", ylabel="density", ylim=(0, 1.1))
axes["shell"].set_title("Midpoints lie inside the shell", fontsize=10)
axes["shell"].legend(loc="upper right")
for name, path in paths.items():
    tiles(axes[name], dcgans[0].G(path.reshape(-1, Z).astype("float32")), 9, f"{name}: three walks, left to right")
figure.tight_layout()

a, b = np.random.default_rng(5).standard_normal((2, N_SAMPLES, Z)).astype("float32")
for name, middles in (("great circle", interpolate(a, b, np.array([0.5]))[:, 0]), ("straight line", (a + b) / 2)):
    middle, half = distance(dcgans[0].G(middles.astype("float32")))
    print(f"images halfway, {name:<14} kernel distance {middle:.1f} +- {half:.1f}")

# %% [markdown]
# On the straight line the images fade a little in the middle, but at this size the distance does not tell the two
# apart. The argument about the shell is right, and its effect may be small: measure before you repeat it.
#
# ## 10. At full size
#
# `minigan train dcgan` trains the network of section 4, with 64 channels next to the image, for 1,500 steps of 32.
# That takes six to seven minutes on two cores, too long for a notebook. This is what comes out:
#
# ![64 digits drawn by the DCGAN of full size: clean strokes, nearly all of them digits](pictures/09_full_size.png)
#
# In three such runs precision was 0.74 to 0.75 (drawn images that lie where real ones lie) and recall 0.80 to 0.82
# (real images that lie where drawn ones lie); for the library's large MLP, after 3,000 steps of 64, 0.95 and 0.24 to
# 0.27: average digits, a quarter of the variety. Both are measured on raw pixels, where a sharp stroke at a wrong
# place costs more than a blurred one. Which is "better" depends on the measure, so name the measure.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. Let the MLP go on to 3,000 steps, and then to 6,000. Does it catch up, and by which of the two distances?
# 2. Take `"init": he` in `small_dcgan`, with batch norm and without. Does it make up for the missing norm?
# 3. Train with `lr_d=1e-3`. Look at `training.measures()` every 20 steps: who wins, and for how long?
# 4. Take `ReLU` in D *and* no batch norm. Section 4 says that now the leak should matter.
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
for name, answer in (("shapes", shapes), ("parameters", parameters), ("interpolate", interpolate)):
    assert check(f"09.{name}", answer)
assert FAST or apart(found["DCGAN"], found["MLP"])
print("A DCGAN with a fifth of its rival's parameters that beats it, and what each part of it adds, measured.")

# %% [markdown]
# ## What to read next
#
# - A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep convolutional generative
#   adversarial networks", *ICLR* 2016: the recipe, in sections 3 and 4; bedrooms, faces, and arithmetic with z.
# - K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: surpassing human-level performance on ImageNet
#   classification", *ICCV* 2015: the variance 2/n.
# - T. White, "Sampling generative networks", arXiv:1609.04468, 2016: interpolation on the great circle.
# - M. Bińkowski, D. Sutherland, M. Arbel and A. Gretton, "Demystifying MMD GANs", *ICLR* 2018: the kernel inception
#   distance, unbiased where the Fréchet distance is not.
# - **Lesson 10**: has it collapsed? A small distance does not say that all digits are there.
