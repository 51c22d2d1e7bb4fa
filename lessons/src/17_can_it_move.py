# %% [markdown]
# # 17. Can it move?
#
# You can draw a picture (lesson 09) and write a sequence (lesson 14). A film is both: a sequence of pictures, in
# which the same thing is seen over and over, each time a little further. A generator of single frames, however good,
# does not make one. This lesson splits the code in two, *what is seen* and *what it does*, lets two critics judge,
# and finds out how to measure motion without fooling yourself.
#
# **You need** lesson 02 (backward passes), lesson 05 (the two steps of the game), lesson 07 (convolution) and from
# lesson 14 the idea of a recurrent cell. **Time** about 55 minutes. **You will write** a measure of motion, the
# backward of a code that all frames share, and the place where the gradients of two critics meet. **After it** you
# have trained a generator of tiny films in which content and motion come apart, and looked closely at a larger one.

# %%
import inspect
import os
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from minigan import viz
from minigan.backend import rng
from minigan.data import moving_shapes
from minigan.exercises import check
from minigan.filming import draw_noise
from minigan.layers import GRU, Conv, Dense, Flatten, LeakyReLU, ReLU, Reshape, Sigmoid, SpectralNorm
from minigan.losses import hinge
from minigan.metrics import video
from minigan.models.video import ClipCritic, ClipNoise, FrameCritic, MoCoGenerator, clip_noise, fixed, g_step
from minigan.network import Network, Sequential
from minigan.optim import SGD, Adam
from minigan.shipped import load

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training and fewer clips, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Somebody hands you a perfect generator of single frames. Of a frame that it draws, nobody can tell whether it comes
# from a real film. You run it 16 times and play the 16 frames one after the other. What do you see?
#
# 1. A film that is nearly right, as every frame is right.
# 2. A film with the right things in it, but they jerk.
# 3. Another thing at another place in each frame: flicker.
#
# And a second question. Somebody takes real films and *shuffles* the frames of each. Can a critic of single frames,
# trained for as long as it likes, tell them from real films?
#
# Write both answers down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. The 16 frames are drawn independently: each shows a thing of its own, at a place of its own.
#
# And no. Shuffling changes no frame, so to this critic the two are the same set of frames. Whatever looks at frames
# one at a time cannot know about motion. Sections 2 and 6 show both with numbers.
#
# </details>

# %% [markdown]
# ## 1. A clip is an array
#
# A batch of clips has the shape (N, T, H, W, C): N clips, T frames in time, H rows, W columns, C channels. The
# library draws moving shapes: one disc or square of one colour crosses a black frame, up, down, left or right. Beside
# the real ones we make three controls out of *real frames only*.
#
# - **flicker**: the perfect frame generator of the question. Frame t comes from another clip for each t.
# - **shuffled**: the frames of each clip in another order.
# - **still**: the first frame, T times.

# %%
real = moving_shapes(64, seed=1).clips  # uint8
N, T, H, W, C = real.shape
order = np.random.default_rng(0).permuted(np.tile(np.arange(N)[:, None], T), axis=0)  # each column: another order
films = {
    "real": real,
    "flicker": real[order, np.arange(T)],
    "shuffled": video.shuffled(real, seed=0),
    "still": np.repeat(real[:, :1], T, axis=1),
}
print("a batch of clips (N, T, H, W, C):", real.shape)

reach = np.ptp(video.track(real)[..., 1], axis=1)  # (N,) pixels, along the columns
farthest = reach.argmax()
figure, axes = plt.subplots(figsize=(8, 2.5))
strips = viz.film_strips(np.stack([clips[farthest] for clips in films.values()]), value_range=(0, 255))
axes.imshow(strips)
axes.set(xticks=16.5 + 33 * np.arange(T), xticklabels=range(1, T + 1), xlabel="frame t")
axes.set(yticks=16.5 + 33 * np.arange(4), yticklabels=films)
axes.set_title("Every one of these frames is real", loc="left")
figure.tight_layout()

same_frames = np.array_equal(np.sort(films["flicker"], axis=0), np.sort(real, axis=0))
print("flicker has at each t the frames of the real clips, and no others:", same_frames)
assert same_frames

# %% [markdown]
# ## 2. What is motion? Your first hole
#
# Let p_t = (row, column) be the middle of the shape in frame t, in pixels. The first difference p_{t+1} - p_t is the
# step, the second is how the step changes. In smooth motion the step is about the same for a while, so the second
# difference is small *beside the first*. The **roughness** of a path:
#
# $$R = \frac{\frac{1}{T-2} \sum_t |p_{t+2} - 2 p_{t+1} + p_t|}{\frac{1}{T-1} \sum_t |p_{t+1} - p_t|}$$
#
# |.| is the length of a vector of two numbers. R has no unit: it depends neither on the speed nor on the size of the
# frame. Uniform motion has R = 0. `path` is (N, T, 2); give one R for each clip, (N,).


# %% exercise="17.roughness"
def roughness(path):
    """Mean length of the second differences over that of the first, for each path (T, 2): (N,)."""
    ### BEGIN SOLUTION
    first = np.diff(path, axis=1)  # (N, T - 1, 2)
    second = np.diff(first, axis=1)  # (N, T - 2, 2)
    return np.linalg.norm(second, axis=2).mean(axis=1) / np.linalg.norm(first, axis=2).mean(axis=1)
    ### END SOLUTION


# %% check="17.roughness"
check("17.roughness", roughness).raise_if_wrong()

# %% [markdown]
# What is R where there is no motion at all, only places drawn anew for each frame? Let each coordinate have variance
# σ². Variances of independent numbers add, with the squares of their factors:
#
# $$\mathrm{Var}(p_{t+1} - p_t) = 2 σ^2 \qquad \mathrm{Var}(p_{t+2} - 2 p_{t+1} + p_t) = (1 + 4 + 1)\, σ^2 = 6 σ^2$$
#
# So for Gaussian places R is near √(6/2) = √3 = 1.73. That is the number to stay away from.

# %%
noise = np.random.default_rng(1).normal(0, 3, (20_000, 16, 2))
print(f"second over first variance: {np.diff(noise, 2, axis=1).var() / np.diff(noise, axis=1).var():.2f}")
print(f"roughness of independent places: {roughness(noise).mean():.2f}")
assert abs(np.diff(noise, 2, axis=1).var() / np.diff(noise, axis=1).var() - 3) < 0.05
assert abs(roughness(noise).mean() - 3**0.5) < 0.03

# %% [markdown]
# Now the four films. `video.follow` finds the shape in each frame: its middle (N, T, 2) and its mean colour, 0 to 255
# (N, T, 3). Beside roughness stand two measures that **do not see the order**. The *content distance* is the mean
# distance in RGB of the shape's colours, over all pairs of frames of a clip. The *reach* is how far the path extends,
# in pixels; it is here as a bad measure of motion.

# %%
print(f"{'':10}{'content distance, RGB':>23}{'reach, pixels':>15}{'roughness':>11}")
table = {}
for name, clips in films.items():
    found = video.follow(clips)
    content, reach = video.average_content_distance(found).mean(), np.ptp(found.path, axis=1).max(axis=1).mean()
    rough = roughness(found.path).mean() if name != "still" else np.nan  # 0 / 0: no motion is not smooth motion
    table[name] = content, reach, rough
    print(f"{name:10}{content:>23.1f}{reach:>15.1f}{rough:>11.2f}")
    if name != "still":
        assert np.allclose(roughness(found.path), video.roughness(found), rtol=1e-10), "the library's is the same"

assert table["real"][0] < 1 and table["flicker"][0] > 100
assert np.allclose(table["real"][:2], table["shuffled"][:2]), "what does not see order cannot tell these two apart"
assert table["real"][2] < 0.2 < 1.5 < min(table["flicker"][2], table["shuffled"][2])
assert table["still"][0] == 0, "a perfect content distance, and nothing moves"

# %% [markdown]
# Read the rows as a warning. *Flicker* is what 16 runs of a perfect frame generator give. *Shuffled* has the reach of
# the real films to the last digit: a measure that does not see order is worth nothing for motion, and "our clips move
# as far as real ones" says nothing. *Still* has the best content distance there is. No number does alone, and the
# shuffled frames are the control against which a measure of motion has to be held.
#
# ## 3. Two codes: your second hole
#
# MoCoGAN (Tulyakov et al. 2018) draws every frame with the **same** network F, from a code in two parts. The content
# z_C is drawn once for a clip. The motion m_t comes from a recurrent cell, a new one for each frame:
#
# $$x_t = F([z_C, m_t]) \qquad m_t = \mathrm{cell}(m_{t-1}, e_t) \qquad e_t \sim N(0, I),\; m_0 \sim N(0, I)$$
#
# z_C (N, Z) cannot change within a clip, so what depends on it alone cannot flicker. The e_t are independent, but the
# cell *remembers*, so the m_t need not be. The paper's cell is a GRU, a cousin of lesson 14's LSTM with one state in
# place of two: m_t = (1 - u) n + u m_{t-1} with an update gate u and a candidate n.
#
# The code of all frames is one array (N, T, Z + M): the content written T times, beside the motion.


# %%
def codes_forward(content, m):
    """[z_C, m_t] for every t: content (N, Z), m (N, T, M) -> (N, T, Z + M)."""
    written = np.broadcast_to(content[:, None], (*m.shape[:2], content.shape[1]))  # (N, T, Z), the same for all t
    return np.concatenate([written, m], axis=2)


draw = np.random.default_rng(2)
content, e, start = draw.standard_normal((4, 3)), draw.standard_normal((4, 6, 2)), draw.standard_normal((4, 2))
cell = GRU(2, 2, rng=rng(2)).astype("float64")
m, _ = cell.forward(e, state=start)  # (N, T, M), all steps at once
codes = codes_forward(content, m)
F = draw.standard_normal((5, 7))  # any network will do: here a matrix
x = codes @ F  # (N, T, 7)
x_3 = np.concatenate([content, m[:, 3]], axis=1) @ F
print("codes:", codes.shape, "  frame 3 is F([z_C, m_3]):", np.allclose(x[:, 3], x_3))
print("m_3 is a step from m_2 and e_3:", np.allclose(m[:, 3], cell.step(e[:, 3], m[:, 2])))
assert np.allclose(x[:, 3], x_3) and np.allclose(m[:, 3], cell.step(e[:, 3], m[:, 2]))

# %% [markdown]
# Backward. Each m_t stands in one frame, so dm_t is its part of that frame's d_codes. But z_C stands in *all* T
# frames. The loss depends on it along T ways, and the chain rule adds them up:
#
# $$dz_C = \sum_{t=1}^{T} \frac{\partial L}{\partial\, \mathrm{codes}_t}\Big|_{\text{first } Z} \qquad
# dm_t = \frac{\partial L}{\partial\, \mathrm{codes}_t}\Big|_{\text{last } M}$$
#
# It is the rule of lesson 02's bias, which is shared by the samples, and of lesson 14's weights, which are shared by
# the steps: **what is used T times receives the sum of T gradients.**


# %% exercise="17.codes_backward"
def codes_backward(d_codes, Z):
    """d_content (N, Z) and dm (N, T, M) from d_codes (N, T, Z + M)."""
    ### BEGIN SOLUTION
    d_content = d_codes[..., :Z].sum(axis=1)
    dm = d_codes[..., Z:]
    return d_content, dm
    ### END SOLUTION


# %% check="17.codes_backward"
check("17.codes_backward", codes_backward).raise_if_wrong()

# %% [markdown]
# ## 4. Two critics, one gradient: your third hole
#
# Who judges? A **frame critic** D_I looks at single frames, drawn at random from each clip: is this a picture? A
# **clip critic** D_V looks at whole clips: is this a film? The generator's loss is the sum of both,
#
# $$L = L_I\big(D_I(x_{a_1}), \ldots, D_I(x_{a_K})\big) + L_V\big(D_V(x_1, \ldots, x_T)\big)$$
#
# where a_1, ..., a_K are the frames of the clip that D_I was shown. Frame t is in L_V always, and in L_I once for
# each k with a_k = t. So the gradients **meet in the frames**, and meeting means adding:
#
# $$dx_t = \frac{\partial L_V}{\partial x_t} + \sum_{k:\, a_k = t} \frac{\partial L_I}{\partial x_{a_k}}$$
#
# From there one backward pass goes through G, not two. `d_clip` is (N, T, W, C), `d_frames` (N, K, W, C) and `at`
# (N, K), with frames drawn *with replacement*: one may come up twice. Do not write into `d_clip`.


# %% exercise="17.meet"
def meet(d_clip, d_frames, at):
    """The gradient on the clips, (N, T, W, C): d_clip, and on top of it d_frames[n, k] at frame at[n, k]."""
    ### BEGIN SOLUTION
    dclips = d_clip.copy()
    for n, k in np.ndindex(at.shape):
        dclips[n, at[n, k]] += d_frames[n, k]
    return dclips
    ### END SOLUTION


# %% check="17.meet"
check("17.meet", meet).raise_if_wrong()

# %% [markdown]
# The check compares with a solution. Here is one that nobody wrote down: a whole small generator with two critics in
# float64, and central differences (lesson 01) of L by all three kinds of noise. `backward_state` is the way back
# through the cell, as you wrote it in lesson 14; it also gives the gradient on the first state.

# %%
r = rng(3)
cell, F = GRU(2, 4, rng=r).astype("float64"), Dense(3 + 4, 5, rng=r).astype("float64")
D_I, D_V = (Dense(n, 1, rng=r).astype("float64") for n in (5, 6 * 5))
at = np.array([[0, 2], [4, 4], [5, 1]])  # clip 2 shows frame 4 twice
rows = np.arange(3)[:, None]
z = {
    "content": draw.standard_normal((3, 3)),
    "e": draw.standard_normal((3, 6, 2)),
    "start": draw.standard_normal((3, 4)),
}


def small_loss(content, e, start, back=False):
    m, m_cache = cell.forward(e, state=start)
    codes = codes_forward(content, m)
    x, x_cache = F.forward(codes.reshape(18, 7))
    x = np.sin(3 * x).reshape(3, 6, 5)  # curved, so that no gradient is a constant
    s_I, I_cache = D_I.forward(x[rows, at].reshape(6, 5))
    s_V, V_cache = D_V.forward(x.reshape(3, 30))
    if not back:
        return np.tanh(s_I).sum() + np.tanh(s_V).sum()
    d_frames = D_I.backward(1 - np.tanh(s_I) ** 2, I_cache).reshape(3, 2, 5, 1)
    d_clip = D_V.backward(1 - np.tanh(s_V) ** 2, V_cache).reshape(3, 6, 5, 1)
    dx = meet(d_clip, d_frames, at).reshape(18, 5)
    dx = dx * 3 * np.cos(3 * F.forward(codes.reshape(18, 7))[0])
    d_content, dm = codes_backward(F.backward(dx, x_cache).reshape(3, 6, 7), 3)
    de, d_start = cell.backward_state(dm, m_cache)
    return {"content": d_content, "e": de, "start": d_start}


for name, gradient in small_loss(**z, back=True).items():
    numeric = np.zeros_like(gradient)
    for i in np.ndindex(gradient.shape):
        e = np.zeros_like(gradient)
        e[i] = 1e-5
        numeric[i] = (small_loss(**z | {name: z[name] + e}) - small_loss(**z | {name: z[name] - e})) / 2e-5
    error = (np.abs(gradient - numeric) / np.maximum(np.maximum(abs(gradient), abs(numeric)), 1e-4)).max()
    print(f"d{name} {gradient.shape}: {'right' if error < 1e-5 else 'wrong'}")
    assert error < 1e-5 and np.abs(numeric).max() > 0.1, name

# %% [markdown]
# ## 5. A convolution in three dimensions
#
# How does a clip critic look at a film? With the convolution of lesson 07 and one more axis: its window is a *block*
# of some frames, rows and columns. With stride s in each direction and no padding,
#
# $$y_{t,r,c,j} = \sum_{a,u,v,i} x_{s_t t + a,\; s_r r + u,\; s_c c + v,\; i}\; W_{a,u,v,i,j}$$
#
# W is (k_t, k_r, k_c, I, O). Written as loops, against the library's `Conv`, which takes a kernel of three numbers:

# %%
x = draw.standard_normal((2, 5, 6, 6, 2))  # (N, T, H, W, I)
conv = Conv(2, 3, (3, 2, 2), stride=(1, 2, 2), padding="valid", bias=False, rng=rng(4)).astype("float64")
kernel = conv.params["W"]
y = np.zeros((2, 3, 3, 3, 3))
for t, row, column in np.ndindex(3, 3, 3):
    block = x[:, t : t + 3, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]  # (N, 3, 2, 2, I)
    y[:, t, row, column] = np.tensordot(block, kernel, axes=4)  # over frames, rows, columns and channels
print("W:", kernel.shape, "  y:", y.shape, "  loops = the library's:", np.allclose(y, conv.forward(x)[0]))
assert np.allclose(y, conv.forward(x)[0], rtol=1e-10)

# %% [markdown]
# Why can such a critic see motion? Because a weight can differ from frame to frame within the block. Take a kernel of
# two frames and one pixel, with W = -1 for the earlier frame and +1 for the later one:
#
# $$y_t = x_{t+1} - x_t$$
#
# That is 0 on everything that stands still, and where a bright thing leaves or arrives it is negative or positive. A
# critic of single frames that takes the mean of its scores over the clip is another matter. For any order π of the
# frames,
#
# $$s(x) = \frac{1}{T} \sum_t D_I(x_t) = \frac{1}{T} \sum_t D_I(x_{π(t)})$$
#
# Both formulas in the next cell, the second with the library's critics, untrained: no training can change that.

# %%
difference = Conv(3, 1, (2, 1, 1), padding="valid", bias=False, rng=rng(5))
difference.params["W"][0], difference.params["W"][1] = -1, 1
sees = {name: float(np.abs(difference.forward(clips / np.float32(255))[0]).mean()) for name, clips in films.items()}
print("mean |y|:", {name: round(value, 3) for name, value in sees.items()})
assert sees["still"] < 1e-6 < sees["real"] < sees["shuffled"], "shuffled frames jump further than moving ones"

frame_critic, clip_critic = (
    FrameCritic(spectral=True, rng=rng(6)),
    ClipCritic(spectral=True, halving=True, rng=rng(6)),
)
scores = {}
for name in ("real", "shuffled"):
    x = films[name][:8].astype("float32") / 127.5 - 1
    by_frame = frame_critic.forward(x.reshape(-1, H, W, C), train=False)[0]
    by_clip = clip_critic.forward(x, train=False)[0]
    scores[name] = by_frame.reshape(8, -1).mean(axis=1), by_clip[:, 0]
moved = [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(scores["real"], scores["shuffled"])]
print("frame critic, the same score for shuffled clips:", moved[0] < 1e-4)
print("clip critic, the same score for shuffled clips:", moved[1] < 1e-4)
assert moved[0] < 1e-4 < 1e-3 < moved[1]

# %% [markdown]
# ## 6. A game of your own
#
# Now train one. To keep it to seconds, the films are as small as films can be: a frame is a *strip* of 12 pixels in
# one row, RGB, and a clip has 8 of them, (N, 8, 12, 3). A spot of one colour crosses it to the right or to the left.
# A whole film then fits into one picture: time runs down, and motion is a slanted line.


# %%
T, W = 8, 12


def strips(random, n):
    """n films (n, T, W, 3) in 0..1: a spot of a random colour crosses the strip, one half of them each way."""
    u = random.random((n, 6))
    colour = u[:, :3] / u[:, :3].max(axis=1, keepdims=True)
    begin, end = 1.5 + 2 * u[:, 3:4], W - 2.5 - 2 * u[:, 4:5]
    p = begin + (end - begin) * np.linspace(0, 1, T)  # (n, T), pixels
    p = np.where(u[:, 5:] < 0.5, p, W - 1 - p)
    spot = np.exp(-0.5 * ((np.arange(W) - p[..., None]) / 0.8) ** 2)  # (n, T, W)
    return (spot[..., None] * colour[:, None, None]).astype("float32")


def follow(x):
    """The spot's place (N, T, 1) in pixels, and its colour (N, T, 3)."""
    light = x.max(axis=3) * (x.max(axis=3) > 0.15) + 1e-6  # (N, T, W); 1e-6: an empty frame has a place, too
    place = (light * np.arange(W)).sum(axis=2) / light.sum(axis=2)
    colour = (x * light[..., None]).sum(axis=2) / light.sum(axis=2)[..., None]
    return place[..., None], colour


def told(x):
    """What is measured of films (N, T, W, 3): roughness, the share that crosses, the share of these to the right."""
    place, colour = follow(x)
    way = place[:, -1, 0] - place[:, 0, 0]
    apart = np.linalg.norm(colour[:, :, None] - colour[:, None], axis=3).sum(axis=(1, 2)) / (T * (T - 1))
    return {
        "roughness": roughness(place).mean(),
        "crosses": (abs(way) > 3).mean(),
        "to the right": (way > 3).mean(),
        "content distance": apart.mean(),
    }


some = strips(np.random.default_rng(9), 64)
print("a batch of films (N, T, W, C):", some.shape, f"  roughness {told(some)['roughness']:.1f}")


# %% [markdown]
# G is section 3, from the library's layers. The critics are dense: in so small a world a convolution has nothing to
# save. They are bounded by spectral normalization, and the game is the hinge game: `hinge` gives its loss and
# gradients as `non_saturating` gave those of lesson 05. One step is lesson 05's two: the critics learn on real and
# fake, then G learns from both, where your `meet` and `codes_backward` stand. `critics` says who plays: the frame
# critic "I", the clip critic "V", or both.

# %%
Z, M, E, K = 3, 8, 2, 2  # numbers of content, of motion, of noise in each frame; frames that D_I sees of a clip


def players(seed):
    r = rng(seed)
    bounded = lambda n_in, n_out: SpectralNorm(Dense(n_in, n_out, bias=False, rng=r), rng=r)
    cell = GRU(E, M, rng=r)
    layers = Dense(Z + M, 64, rng=r), ReLU(), Dense(64, 64, rng=r), ReLU(), Dense(64, W * 3, rng=r), Sigmoid()
    F = Sequential(*layers, Reshape((W, 3)))
    critic = lambda n: Sequential(
        Flatten(), bounded(n, 128), LeakyReLU(0.2), bounded(128, 128), LeakyReLU(0.2), bounded(128, 1)
    )
    return SimpleNamespace(cell=cell, F=F, G=Network(cell, F), I=critic(W * 3), V=critic(T * W * 3), rng=r)


def noise_of(r, n):
    return tuple(r.standard_normal(shape, dtype="float32") for shape in ((n, Z), (n, T, E), (n, M)))


def film(of, content, e, start):
    """Films (N, T, W, 3) from content (N, Z), e (N, T, E), start (N, M); and the caches."""
    m, m_cache = of.cell.forward(e, state=start)
    x, x_cache = of.F.forward(codes_forward(content, m).reshape(-1, Z + M))
    return x.reshape(*m.shape[:2], W, 3), (m_cache, x_cache)


def film_backward(of, dx, caches):
    """The gradients on G's weights, from dx (N, T, W, 3)."""
    m_cache, x_cache = caches
    d_codes = of.F.backward(dx.reshape(-1, W, 3), x_cache).reshape(*dx.shape[:2], Z + M)
    _, dm = codes_backward(d_codes, Z)  # d_content would go to the noise, which does not learn
    of.cell.backward_state(dm, m_cache, None, True, False)


def train(seed, steps, critics, n=64):
    of, random = players(seed), np.random.default_rng(seed)
    adam = {who: Adam(getattr(of, who), 2e-3, 0.0, 0.9) for who in ("G", *critics)}
    rows = np.arange(n)[:, None]
    for _ in range(steps):
        at = random.integers(0, T, (n, K))
        shown = {"I": lambda x, at=at: x[rows, at].reshape(n * K, W, 3), "V": lambda x: x}
        x_real, (x_fake, _) = strips(random, n), film(of, *noise_of(of.rng, n))
        for who in critics:
            D = getattr(of, who)
            (s_real, c_real), (s_fake, c_fake) = D.forward(shown[who](x_real)), D.forward(shown[who](x_fake))
            _, d_real, d_fake = hinge.discriminator(s_real, s_fake)
            D.zero_grad()
            D.backward(d_real, c_real, input_grad=False)
            D.backward(d_fake, c_fake, input_grad=False)
            adam[who].step()
        x_fake, caches = film(of, *noise_of(of.rng, n))
        sent = {"I": np.zeros((n * K, W, 3), "float32"), "V": np.zeros_like(x_fake)}
        for who in critics:
            D = getattr(of, who)
            s, cache = D.forward(shown[who](x_fake))
            sent[who] = D.backward(hinge.generator(s)[1], cache, param_grads=False)
        of.G.zero_grad()
        film_backward(of, meet(sent["V"], sent["I"].reshape(n, K, W, 3), at), caches)
        adam["G"].step()
    return of


both, frames_only = train(0, 150 if FAST else 2000, "IV"), train(0, 100 if FAST else 600, "I")
test = strips(np.random.default_rng(99), 512)
swapped = test[np.arange(512)[:, None], np.random.default_rng(98).random((512, T)).argsort(axis=1)]
shows = {"real": test, "shuffled": swapped}
shows |= {
    "both critics": film(both, *noise_of(rng(7), 512))[0],
    "frame critic": film(frames_only, *noise_of(rng(7), 512))[0],
}
print(f"{'':14}" + "".join(f"{name:>18}" for name in told(test)))
results = {name: told(x) for name, x in shows.items()}
for name, row in results.items():
    print(f"{name:14}" + "".join(f"{value:>18.2f}" for value in row.values()))

# %% [markdown]
# Before you believe a number, look. Each picture is a film, time downwards.

# %%
figure, axes = plt.subplots(3, 1, figsize=(8, 3.6))
for panel, name in zip(axes, ("real", "both critics", "frame critic")):
    panel.imshow(viz.grid(shows[name][:8] * 2 - 1, columns=8, pad=1))
    panel.set(xticks=[], yticks=[], ylabel="frames")
    panel.set_title(f"{name}: 8 films, each of 8 strips of 12 pixels", loc="left", fontsize=10)
axes[-1].set_xlabel("place, pixels")
figure.tight_layout()

if not FAST:
    moves, alone = results["both critics"], results["frame critic"]
    assert moves["roughness"] < 0.7 < 1.4 < results["shuffled"]["roughness"]
    assert moves["crosses"] > 0.8 and 0.2 < moves["to the right"] < 0.8
    assert alone["crosses"] < 0.5 and alone["roughness"] > 1
print("slanted lines need the critic of clips")

# %% [markdown]
# The frame critic never sees an order, so the order of its frames is left to chance: its spots tremble where they
# are, and next to none crosses. (It trained for fewer steps; no number of steps would show it an order.) With both
# critics nearly all spots cross, some to the right and some to the left, far below the roughness of shuffled films.
# Honestly: in so small a world the clip critic alone does as well, see "Break it". In the paper's ablation, on films
# of faces, the content wanders further without the frame critic.
#
# ## 7. Do content and motion come apart?
#
# Nobody *told* G to put the colour into z_C and the path into m. The architecture only says that z_C cannot change
# within a clip. Test it: take 6 contents and 8 motions, and draw all 48 pairs. For each code, the mean distance of
# two films that share it, over the mean distance of two films that do not: 0 is "it decides", 1 is "no effect".

# %%
contents, (_, e, start) = noise_of(rng(11), 6)[0], noise_of(rng(12), 8)
pairs = film(both, np.repeat(contents, 8, axis=0), np.tile(e, (6, 1, 1)), np.tile(start, (6, 1)))[0]
place, colour = (a.reshape(6, 8, T, -1) for a in follow(pairs))


def ratio(a):
    """Within a row (G, M, ...) over between rows: mean distances of pairs."""
    gaps = np.linalg.norm(a[:, :, None, None] - a[None, None], axis=-1).mean(axis=-1)  # (G, M, G, M)
    one_row = np.eye(len(a), dtype=bool)[:, None, :, None] & np.ones_like(gaps, bool)
    one_film = one_row & np.eye(a.shape[1], dtype=bool)[None, :, None, :]
    return gaps[one_row & ~one_film].mean() / gaps[~one_row].mean()


by_content = ratio(colour), ratio(place)
by_motion = ratio(colour.swapaxes(0, 1)), ratio(place.swapaxes(0, 1))
print(f"films of one content: colours {by_content[0]:.1f}, paths {by_content[1]:.1f}")
print(f"films of one motion:  colours {by_motion[0]:.1f}, paths {by_motion[1]:.1f}")

figure, axes = plt.subplots(figsize=(8, 4.1))
axes.imshow(viz.grid(pairs * 2 - 1, columns=8, pad=1))
axes.set(xticks=6.5 + (W + 1) * np.arange(8), xticklabels=[f"motion {k}" for k in range(1, 9)])
axes.set(yticks=4.5 + (T + 1) * np.arange(6), yticklabels=[f"content {k}" for k in range(1, 7)])
axes.tick_params(length=0)
axes.set_title("A row shares its content, a column its motion; in each film time runs down", loc="left", fontsize=10)
figure.tight_layout()

if not FAST:
    assert by_content[0] < 0.5 < 0.75 < by_content[1], "content says which colour, and not where"
    assert by_motion[1] < 0.5 < 0.75 < by_motion[0], "motion says where, and not which colour"

# %% [markdown]
# And the critics? Hand real films and their shuffled twins to the two critics of your game. Neither was trained on
# shuffled films. The frame critic's mean score is the same, as section 5 says. The clip critic should prefer the film
# that is in order.

# %%
prefers = (both.V.forward(test, train=False)[0] > both.V.forward(swapped, train=False)[0]).mean()
per_frame = [
    both.I.forward(x.reshape(-1, W, 3), train=False)[0].reshape(512, T).mean(axis=1) for x in (test, swapped)
]
tied = np.abs(per_frame[0] - per_frame[1]).max() < 1e-4
print(f"the clip critic scores the real order higher in {100 * prefers:.0f} % of the pairs")
print("the frame critic's two scores are equal:", bool(tied))
assert tied and (FAST or prefers > 0.9)

# %% [markdown]
# ## 8. How the library does it
#
# `minigan.models.video` is this lesson at 16 frames of 32 x 32 or 64 x 64: F is a DCGAN (lesson 09), the cell an
# LSTM, the clip critic 3-D convolutions with kernel 4 x 4 x 4. Its generator's backward, and its step of G:

# %%
print(inspect.getsource(MoCoGenerator.backward))
print(inspect.getsource(g_step).split('"""')[2])

# %% [markdown]
# The frame critic sees one frame a clip there, so no place comes up twice and `+=` will do. Your two functions give
# the same numbers, on the library's own networks:

# %%
r = rng(13)
G = MoCoGenerator(base=2, rng=r)
D_I, D_V = FrameCritic(base=2, rng=r), ClipCritic(base=2, rng=r)
z, at = clip_noise(r, 2), np.array([3, 15])
trace = {}
g_step(G, D_I, D_V, SGD(G, 1e-9), z, at, hinge, trace)
s, cache = D_V.forward(trace["g_x_fake"])
d_clip = D_V.backward(hinge.generator(s)[1], cache, param_grads=False)
mine = meet(d_clip, trace["d_frames"][:, None], at[:, None])
x, cache = G.forward(z)
d_codes = G.picture.backward(mine.reshape(-1, 32, 32, 3), cache.layers[1]).reshape(2, 16, -1)
d_content, dm = codes_backward(d_codes, G.content)
theirs = G.backward(mine, cache)
close = lambda a, b: bool(np.abs(a - b).max() < 1e-4 * np.abs(b).max())
print("meet:", close(mine, trace["dx_fake"]), "  d_content:", close(d_content, theirs.content))
assert close(mine, trace["dx_fake"]) and close(d_content, theirs.content)
assert close(G.lstm.backward(dm, cache.layers[0]), theirs.motion)

# %% [markdown]
# ## 9. The full size, and what it did not learn
#
# With the library comes such a generator, trained with `minigan train video` for 8,000 steps on the moving shapes of
# section 1. In this film every row has one content, and every column one motion (chosen to differ):
#
# ![Sixteen clips that play at once: colours agree within each row, paths within each column](pictures/17_clips.gif)
#
# In the picture below are 4 clips of one content, then 4 of one motion.

# %%
G = load("video").G
drawn = lambda z: np.clip((G(z) + 1) * 127.5, 0, 255)  # (N, T, H, W, C), 0..255
groups = {}
size = 8
for what in ("content", "motion"):
    each = [drawn(fixed(ClipNoise(*draw_noise(G, rng((14, k)), size, 16)), what)) for k in range(size)]
    groups[what] = np.stack(each)  # (groups, clips, T, H, W, C)

figure, axes = plt.subplots(figsize=(8, 4.6))
axes.imshow(
    viz.film_strips(np.concatenate([groups["content"][0, :4], groups["motion"][1, :4]]), value_range=(0, 255))
)
axes.axhline(4 * 33, color="white", linewidth=3)
axes.set(xticks=16.5 + 33 * np.arange(16), xticklabels=range(1, 17), xlabel="frame t")
axes.set(yticks=[66, 198], yticklabels=["one content,\nfour motions", "four contents,\none motion"])
axes.set_title("Eight generated clips, a row each", loc="left")
figure.tight_layout()

for what, clips in groups.items():
    in_colour, path = video.same_colour(clips), video.same_path(clips)
    print(
        f"one {what}: colours {in_colour.within:.0f} apart, of different {what}s {in_colour.between:.0f} (RGB); "
        f"paths {path.within:.1f}, {path.between:.1f} (pixels)"
    )
    near, far = (in_colour, path) if what == "content" else (path, in_colour)
    assert near.ratio < 0.5 < 0.7 < far.ratio

# %% [markdown]
# It comes apart, though not wholly: clips of one content lie some 30 apart in RGB (of 442 at most), and the path
# of one motion shifts by some 4 pixels. Now the motion by itself: where do the shapes go?

# %%
n = 96 if FAST else 192
names = ["up", "down", "left", "right"]


def directions(found):
    """The share of clips that go up, down, left, right, of those that move."""
    axis, way = video.motion_axis(found), found.path[:, -1] - found.path[:, 0]
    went = np.where(axis == 0, way[:, 0] > 0, 2 + (way[:, 1] > 0))[axis >= 0]
    return np.bincount(went, minlength=4) / len(went)


made = video.follow(drawn(draw_noise(G, rng(15), n, 16)))
truth = video.follow(moving_shapes(n, seed=2).clips)
mixed = np.random.default_rng(16).permuted(np.tile(np.arange(16), (n, 1)), axis=1)
good = ~made.blank & ~made.still
R = {
    "real": roughness(truth.path).mean(),
    "generated": roughness(made.path[good]).mean(),
    "generated, shuffled": roughness(made.path[np.arange(n)[:, None], mixed][good]).mean(),
}
print("roughness:", {name: round(float(value), 1) for name, value in R.items()})
share = {"real": directions(truth), "generated": directions(made)}
for name, row in share.items():
    print(f"{name:10}", {where: f"{100 * value:.0f} %" for where, value in zip(names, row)})

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.5, 3.4), width_ratios=(1, 1, 1.2))
for panel, what in ((left, "content"), (middle, "motion")):
    for clips, colour, mark in zip(groups[what][1:3], (BLUE, ORANGE), "ox"):
        for path in video.track(clips)[:6]:
            panel.plot(path[:, 1], path[:, 0], color=colour, linewidth=1)
            panel.plot(path[-1, 1], path[-1, 0], mark, color=colour, markersize=5)
    panel.set(xlim=(0, 31), ylim=(31, 0), aspect="equal", xlabel="column, pixels", ylabel="row, pixels")
    panel.set_title(f"two {what}s, 6 clips of each", fontsize=10)
for k, (name, colour, hatch) in enumerate((("real", BLUE, ""), ("generated", ORANGE, "//"))):
    right.bar(
        np.arange(4) + 0.4 * k - 0.2,
        100 * share[name],
        0.38,
        color=colour,
        hatch=hatch,
        edgecolor="white",
        label=name,
    )
right.set(xticks=range(4), xticklabels=names, ylabel="clips that move, %", ylim=(0, 85))
right.set_title("nearly no vertical motion", fontsize=10)
right.legend(loc="upper left")
figure.suptitle("Paths of the shape's middle (the mark is the end), and where clips go", fontsize=11)
figure.tight_layout()

assert R["real"] < R["generated"] < 0.5 < 1.4 < R["generated, shuffled"]
assert 0.35 < share["real"][:2].sum() < 0.65
assert share["generated"][:2].sum() < 0.2, "a collapse, and it stands in the picture"

# %% [markdown]
# On the left, clips of one content go many ways; in the middle, clips of one motion stay together. And on the right
# stands what no film strip and no mean shows: real shapes go up and down as often as left and right, and this
# generator has **lost nearly all vertical motion**. That is mode collapse in a new place. Its content
# distance, its roughness and its frames are not touched by it. Whoever shows four nice clips does not tell you.
#
# The film above was made by this cell; it is drawn anew only where MINIGAN_PICTURES names a folder to write it to.

# %%
folder = os.environ.get("MINIGAN_PICTURES")
if folder:
    one, other = draw_noise(G, rng(28), 4, 16), draw_noise(G, rng(29), 4, 16)
    crossed = np.repeat(one.content, 4, axis=0), np.tile(other.motion, (4, 1, 1)), np.tile(other.start, (4, 1))
    clips = np.concatenate([G(ClipNoise(*(a[k : k + 4] for a in crossed))) for k in range(0, 16, 4)])
    viz.save_clips(Path(folder) / "17_clips.gif", clips, columns=4, scale=3)

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. Train with the clip critic alone: `train(0, 2000, "V")`. What do the strips lose, if anything? What would change
#    in a world where a single frame is hard to draw?
# 2. In `meet`, write `=` for `+=`. The check names it. Train all the same: how much of the motion is left, now that
#    the clip critic's word does not reach the frames that the frame critic saw?
# 3. In `film`, draw the content anew for each frame: `codes_forward` with content (N, T, Z). What is the content
#    distance before any training, and can training bring it down?
# 4. In `strips`, let a spot turn round in the middle. Is roughness still a fair measure?
# 5. Let `both` draw films of 16 frames, twice as long as any it saw: T is that of the noise. Where do the spots go?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("17.roughness", roughness)
assert check("17.codes_backward", codes_backward)
assert check("17.meet", meet)
print("One content, a motion that remembers, two critics whose gradients add up, and a measure that sees order.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 18**: is it good, or did it memorise? Measures for all of the generators of this course.
# - S. Tulyakov, M.-Y. Liu, X. Yang and J. Kautz, "MoCoGAN: Decomposing motion and content for video generation",
#   *CVPR* 2018: sections 3 and 4. Its recurrent cell is a GRU, and it has a code for categories of motion, too.
# - C. Vondrick, H. Pirsiavash and A. Torralba, "Generating videos with scene dynamics", *NeurIPS* 2016: VGAN, one z
#   for the whole clip, and a mask between a moving foreground and a still background.
# - M. Saito, E. Matsumoto and S. Saito, "Temporal generative adversarial nets with singular value clipping", *ICCV*
#   2017: TGAN, a generator over time that hands a code to each frame.
# - T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida, "Spectral normalization for generative adversarial networks",
#   *ICLR* 2018: how the critics of this lesson are bounded.
