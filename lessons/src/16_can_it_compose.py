# %% [markdown]
# # 16. Can it compose?
#
# A melody is a sequence, as a text is (lesson 15). MidiNet makes it in another way: a bar at a time, each bar a small
# picture of 16 steps by 128 pitches, drawn by a generator that is told two things, the bar's chord and the bar
# before. This lesson looks at how music becomes numbers, down to the bytes of a file, at how a generator is told
# something, and at the question in the title, with controls.
#
# **You need** lessons 02 (backward passes), 05 (the two steps of a GAN) and 07 (transposed convolutions). **Time**
# about 55 minutes. **You will write** the backward of joining a chord to every place of a feature map, feature
# matching with its gradient, and the loop that turns bars into a tune. **After it** you can read a MIDI file byte by
# byte, you know what a condition costs in backward, and you can say which part of a "good" number is earned.

# %%
import inspect
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from minigan.backend import rng
from minigan.data import music, read_midi, write_midi
from minigan.exercises import check
from minigan.layers import Conv
from minigan.metrics import music as measure
from minigan.models import midinet
from minigan.models.midinet import Composer, ConvBeside, Listener, bar_before, compose, one_hot
from minigan.optim import Adam
from minigan.shipped import load
from minigan.sound import triads
from minigan.viz import piano_roll

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter training and fewer tunes, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Bach's chorales: hymn tunes for four voices. For each bar, take the chord (three of the 12 pitch classes) that fits
# the three lower voices best. In what share of its time is the melody on one of these three?
#
# 1. Nearly always: that is what harmony means.
# 2. About 60 %.
# 3. About 25 %, three of twelve.
#
# And a generator's melodies reach 100 %. Is it better than Bach? Write your answers down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 2. Section 7 measures 60 %. Melodies step through notes between the chord's, and a bar here often has more than one
# chord. Whoever holds each chord's root for a whole bar reaches 100 %, and has composed nothing. So a measure like
# this is a distance from the corpus, never a score. And 25 % is not what chance gives either: tunes and chords that
# come from *different* chorales agree in a third of the time, because neither uses the pitches evenly.
#
# </details>

# %% [markdown]
# ## 1. A tune as an array
#
# A bar of 4/4 has 16 steps, sixteenths. At each step one pitch sounds, as a MIDI number: 60 is middle C, and one more
# is a semitone higher; 0 is silence. A tune of B bars is melody (B, 16). Twelve semitones double the frequency, and
# pitches that differ by 12 share a **pitch class**, p mod 12, with C = 0.
#
# What the networks see is the **piano roll**: the same bar as 16 rows of 128 zeros with one 1 each.
#
# $$X_{s,p} = 1 \text{ where } p = m_s, \text{ else } 0 \qquad m_s = \arg\max_p X_{s,p}$$

# %%
test = music.load_chorales("test")
rows = music.stretches(test, 8)  # where 8 bars of one tune lie, (34, 8)
melody, chords, keys = test.melody[rows], test.chord[rows].astype(np.float32), test.key[rows[:, 0]]
tune = melody[3]
roll = one_hot(tune[0])  # (16, 128, 1)
print("melodies", melody.shape, "  chords", chords.shape, "  a bar for the networks", roll.shape)
print("a bar:", *tune[0])
assert (roll.sum(axis=1) == 1).all() and np.array_equal(roll[..., 0].argmax(axis=1), tune[0])

# %% [markdown]
# Equal pitches in a row are one note. So this form cannot say "the same note again", which real tunes do say; that
# is MidiNet's form, and its price. A chord is 13 numbers: a one-hot root and a 1 for minor. Its tones are the root
# r, the third and the fifth above it:
#
# $$\{r,\; r + 4 - \text{minor},\; r + 7\} \bmod 12$$

# %%
NAMES = "C C# D Eb E F F# G Ab A Bb B".split()
for chord in chords[3, :3]:
    root, minor = int(chord[:12].argmax()), int(chord[12])
    tones = [(root + up) % 12 for up in (0, 4 - minor, 7)]
    print(chord.astype(int), NAMES[root] + ("m" if minor else ""), "=", *(NAMES[t] for t in tones))
    assert sorted(tones) == np.flatnonzero(triads(chord)).tolist()

# %% [markdown]
# ## 2. Inside the bytes of a .mid file
#
# A MIDI file holds no sound. It is a list of "press this key, wait, let it go". `write_midi` makes one (with the
# library mido). Two bars, and we read the bytes ourselves. First 14 bytes of header: the letters MThd, the length of
# what follows (6), then three numbers of two bytes: format, tracks, and the **division**, how many ticks a quarter
# note has.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "two_bars.mid"
    write_midi(path, tune[:2], chords[3, :2])
    data = path.read_bytes()
    again, chords_again = read_midi(path)

print(data[:14].hex(" "))
file_format, tracks, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
print(f"{data[:4]}: format {file_format}, {tracks} tracks, division {division}")
ticks = division // 4  # of a sixteenth
track = data[22 : 22 + int.from_bytes(data[18:22], "big")]  # after MTrk and its length
print(f"\n{data[14:18]}, {len(track)} bytes:\n{track.hex(' ')}")
assert data[:4] == b"MThd" and (file_format, tracks, division) == (1, 2, 480) and data[14:18] == b"MTrk"
assert np.array_equal(again, tune[:2]) and np.array_equal(chords_again, chords[3, :2])

# %% [markdown]
# Before each event stands how many ticks after the last one it comes, its **delta time**, in as many bytes as it
# needs. Each byte gives 7 bits, and its highest bit says "one more follows". From K bytes b_1 to b_K,
#
# $$\text{delta} = \sum_{k=1}^{K} (b_k \bmod 128) \cdot 128^{K-k}$$
#
# In the line above find `83 60`: 3 · 128 + 96 = 480 ticks, a quarter note.


# %%
def variable_length(data, at):
    """The number that begins at byte `at`, and where the next thing begins."""
    number = 0
    while True:
        number = 128 * number + data[at] % 128
        at += 1
        if data[at - 1] < 128:
            return number, at


for example in ("00", "7f", "81 70", "83 60", "8f 00"):
    raw = bytes.fromhex(example)
    number, _ = variable_length(raw, 0)
    assert number == sum(b % 128 * 128 ** (len(raw) - 1 - k) for k, b in enumerate(raw))
    print(f"{example:<6} {number:>5} ticks, {number / ticks:g} sixteenths")

# %% [markdown]
# Then the event. Its first byte is at least 128, the *status*: `9c` presses a key in channel c, `8c` lets it go, each
# with two bytes (pitch, force); `cc` chooses an instrument, one byte; `ff` is a remark, with its kind and a length.
# Where a byte below 128 stands instead, the last status goes on: a chord needs it once for three keys. That is all we
# need to read both tracks. (Other programs also write `9c` with force 0 for "let go"; a full reader must know it.)


# %%
def keys_played(track):
    """Every key event of a track: (tick, pitch, pressed)."""
    at = now = status = 0
    events = []
    while at < len(track):
        delta, at = variable_length(track, at)
        now += delta
        if track[at] >= 128:
            status, at = track[at], at + 1
        if status == 0xFF:
            length, at = variable_length(track, at + 1)
            at += length
        elif status // 16 == 0xC:
            at += 1
        else:
            events.append((now, track[at], status // 16 == 9))
            at += 2
    return events


line, pressed = np.zeros(32, int), {}
for tick, pitch, down in keys_played(track):
    if down:
        pressed[pitch] = tick // ticks
    else:
        line[pressed.pop(pitch) : tick // ticks] = pitch
    if tick < 960:
        print(f"tick {tick:>3}: {pitch} {'pressed' if down else 'let go'}")
print("the melody, from its bytes:", np.array_equal(line.reshape(2, 16), tune[:2]))
assert np.array_equal(line.reshape(2, 16), tune[:2]) and not pressed

second = data[22 + len(track) + 8 :]  # the chords, after another MTrk and its length
struck = [(tick // ticks, pitch) for tick, pitch, down in keys_played(second) if down]
print("the chords,", second[14:23].hex(" "), "... :", struck)
for k, (step, pitch) in enumerate(struck):
    assert step == 16 * (k // 3) and triads(chords[3, k // 3])[pitch % 12] and len(struck) == 6

# %% [markdown]
# ## 3. How to tell a network a chord: your first hole
#
# MidiNet's G is a stack of transposed convolutions, from 2 steps to 16. At each of them the chord is *joined* to the
# feature map: all its 13 numbers at every place, as 13 more channels. With x (N, S, P, I), a chord c (N, K):
#
# $$y_{n,s,p} = [\,x_{n,s,p},\; c_n\,] \qquad \text{shape } (N, S, P, I + K)$$
#
# Backward: y's first I channels are x, untouched. The others are copies of c, one at each place. What is copied in
# forward is summed in backward (lesson 02's bias was copied over the batch):
#
# $$dx = dy_{\ldots,\,:I} \qquad dc_n = \sum_{s,p} dy_{n,s,p,\,I:}$$


# %% exercise="16.join_backward"
def join_backward(dy, channels):
    """dx (N, S, P, I) and dc (N, K) from dy (N, S, P, I + K); channels is I."""
    ### BEGIN SOLUTION
    dx = dy[..., :channels]
    dc = dy[..., channels:].sum(axis=(1, 2))
    return dx, dc
    ### END SOLUTION


# %% check="16.join_backward"
check("16.join_backward", join_backward).raise_if_wrong()

# %% [markdown]
# **Predict.** D's first layer joins the chord to the bar itself: 1 channel of roll, 13 of chord, and a window of 2
# steps and all 128 pitches. Of the numbers that the layer then multiplies, how many say something new?
#
# <details><summary>The answer</summary>
#
# One of 14. The chord is the same in every row and column of every window, so its share of the output is the same at
# every place, and one small matrix product gives it.
#
# </details>
#
# Write W = [W_x, W_c] for the weights, (taps, I + K, O). Then the long form on the left is the short one on the
# right:
#
# $$\text{Conv}([x, c]) = \text{Conv}_x(x) + c \sum_{\text{taps}} W_c \qquad
# dW_c[\text{tap}] = c^T \sum_{\text{places}} dy \quad \text{at every tap}$$
#
# The same two sums give dc = (Σ_places dy)(Σ_taps W_c)^T. The library's layer is the short form.

# %%
short = ConvBeside(1, 13, 5, (2, 12), (2, 12), rng=rng(0)).astype("float64")  # 12 pitches, to keep it small
long = Conv(14, 5, (2, 12), (2, 12), "valid", rng=rng(0)).astype("float64")
long.params["W"][...] = short.params["W"]
random = np.random.default_rng(0)
x, c, dy = (random.standard_normal(shape) for shape in ((3, 16, 12, 1), (3, 13), (3, 8, 1, 5)))

everywhere = np.broadcast_to(c[:, None, None], (3, 16, 12, 13))
y, cache = long.forward(np.concatenate([x, everywhere], axis=3))
dx, dc = join_backward(long.backward(dy, cache), 1)
y_short, cache = short.forward((x, c))
dx_short = short.backward(dy, cache)

W_c = long.params["W"][:, :, 1:]  # (2, 12, 13, 5)
equal = {
    "y": np.allclose(y, y_short),
    "dx": np.allclose(dx, dx_short),
    "dW": np.allclose(long.grads["W"], short.grads["W"]),
    "dW_c, by the formula": np.allclose(long.grads["W"][:, :, 1:], c.T @ dy.sum(axis=(1, 2))),
    "dc, by the formula": np.allclose(dc, dy.sum(axis=(1, 2)) @ W_c.sum(axis=(0, 1)).T),
    "dx, by `apart`": np.array_equal(dx, midinet.apart(np.concatenate([dx, everywhere], axis=3), 1)[0]),
}
print("equal:", equal)
assert all(equal.values())
print(inspect.getsource(midinet.beside))
print(inspect.getsource(midinet.apart))
print(inspect.getsource(ConvBeside.backward))

# %% [markdown]
# `apart` drops dc: the chord is given, and nobody asks how it should change. You would need it as soon as the chord
# came out of another network.
#
# ## 4. How to tell it the bar before
#
# The bar before has places, and where a note stands in it matters. So G reads it with a small convolutional network,
# the **conditioner**, that shrinks it from 16 steps to 2, while G grows from 2 to 16. Where both are of equal length
# they are joined. Call the conditioner's maps c16, c8, c4, c2. Each has two readers: the layer of G beside it, and
# the conditioner's next layer. A value with two readers gets the sum of both gradients:
#
# $$dc_{16} = \underbrace{dc_{16}^{\,G}}_{\text{from the join}} + \underbrace{\text{Conv}_8\text{'s backward}(dc_8)}
# _{\text{from the next map}}$$
#
# and so on down to c2, which has only G. The cell writes this out beside the library and central differences, and
# leaves out the second reader once, to see what it carries.

# %%
G = Composer(rng=rng(1)).astype("float64")
given = (random.standard_normal((6, 100)), test.chord[20:26].astype(float), one_hot(test.melody[20:26], np.float64))


def conditioner_gradients(dy, cache, both=True):
    """What the conditioner's four layers get, from the largest map: the long form of Composer.backward."""
    dh, from_G, dc, found = dy, [], 0, []
    _, _, G_caches, caches = cache.layers
    for layer, its_cache in zip(G.grow[::-1], G_caches[::-1]):  # joins at 16, 8, 4, 2 steps
        d_joined = layer.backward(dh, its_cache, param_grads=False)
        dh = d_joined[..., :128]
        from_G.append(d_joined[..., 128 + 13 :])
    for layer, its_cache, d_map in zip(G.conditioner[::-1], caches[::-1], from_G[::-1]):  # c2, c4, c8, c16
        G.zero_grad()  # backward adds to what is there
        dc = layer.backward(d_map + both * dc, its_cache)
        found.append(layer.layers[0].grads["W"].copy())
    return found[::-1]


bar, cache = G.forward(given)
dy = random.standard_normal(bar.shape)
mine, one_reader = (conditioner_gradients(dy, cache, both) for both in (True, False))
G.zero_grad()
G.backward(dy, cache)
for k, steps in enumerate((16, 8, 4, 2)):
    W = G.conditioner[k].layers[0].params["W"]
    at = np.unravel_index(np.abs(mine[k]).argmax(), W.shape)
    sides = []
    for h in (1e-7, -2e-7):  # up, and from there down; so small, as each LeakyReLU has a kink to step over
        W[at] += h
        sides.append((G.forward(given)[0] * dy).sum())
    W[at] += 1e-7
    right = np.isclose(mine[k][at], (sides[0] - sides[1]) / 2e-7, rtol=1e-4)
    as_library = np.allclose(mine[k], G.conditioner[k].layers[0].grads["W"])
    off = np.linalg.norm(mine[k] - one_reader[k]) / np.linalg.norm(mine[k])
    print(f"c{steps:<2}  right: {right}, the library's: {as_library}, without the second reader off by {off:.0%}")
    assert right and as_library and (off > 0.02) == (steps > 2)

print(f"\n{inspect.getdoc(Composer)}")

# %% [markdown]
# ## 5. One note a step, but only at the end
#
# G ends in a sigmoid, so its bar is soft: a probability for each pitch. A player needs one note a step, the argmax.
# **Predict.** Why not take the argmax inside G, so that D sees proper bars?
#
# <details><summary>The answer</summary>
#
# Because then G learns nothing. A small change of G's weights changes the probabilities a little and the argmax not
# at all, so the gradient is 0 almost everywhere. It is the wall of lesson 15. MidiNet walks round it: D sees the soft
# bar, and the argmax is taken where no gradient is needed, after training.
#
# </details>
#
# $$\frac{\partial}{\partial p}\,\text{one-hot}(\arg\max p) = 0 \quad \text{where no two entries are equally large}$$
#
# The cell moves z a little, with a trained G, and looks at D's logits. The price is in its last line: real bars hold
# only 0 and 1, soft ones do not, and a rule that knows nothing of music tells them apart.

# %%
G = load("midinet").G.astype("float64")  # a MidiNet that comes with the library, trained for 4,000 steps
D = Listener(rng=rng(2)).astype("float64")
n = 32
z, chord = random.standard_normal((n, 100)), test.chord[:n].astype(float)
before = bar_before(test.previous[:n], np.float64)
direction = random.standard_normal((n, 100))


def logits(z, hard):
    soft, _ = G.forward((z, chord, before), train=False)
    bars = one_hot(soft[..., 0].argmax(axis=2), np.float64) if hard else soft
    return D.forward((bars, chord), train=False)[0][:, 0]


for hard in (True, False):
    slopes = (logits(z + 1e-6 * direction, hard) - logits(z - 1e-6 * direction, hard)) / 2e-6
    print(f"{'argmax' if hard else 'soft':<7}bars whose logit moves with z: {np.count_nonzero(slopes)} of {n}")
    assert np.count_nonzero(slopes) == (0 if hard else n)

soft, _ = G.forward((z, chord, before), train=False)
real = one_hot(test.melody[:n])
grey = [((bars > 0.01) & (bars < 0.99)).any(axis=(1, 2, 3)).mean() for bars in (real, soft)]
print(f"bars with an entry between 0.01 and 0.99: real {grey[0]:.0%}, G's {grey[1]:.0%}")
assert grey[0] == 0 and grey[1] == 1

# %% [markdown]
# ## 6. Feature matching: your second hole
#
# With such a clue D has an easy game, and a D that is sure tells G little (lesson 03). MidiNet adds two terms to G's
# loss that do not ask D's opinion. The **features** f are the values of D's first layer; their mean over the batch
# shall be that of real bars. The same is asked of the bars themselves:
#
# $$L_G = \text{mean}(-\log D) + \frac{\lambda_f}{2} |g_f|^2 + \frac{\lambda_x}{2} |g_x|^2 \qquad
# g_f = \frac{1}{N} \sum_n f(\hat x_n) - \frac{1}{N} \sum_n f(x_n)$$
#
# with λ_f = 0.1, λ_x = 0.01 in the authors' code, and |g|² the sum over all entries. One sample moves the mean by 1/N
# of its own move, and |g|²/2 has the gradient g:
#
# $$\frac{\partial}{\partial f(\hat x_n)}\, \frac{\lambda}{2} |g|^2 = \frac{\lambda}{N}\, g
# \qquad \text{the same for every } n$$


# %% exercise="16.feature_matching"
def feature_matching(f_fake, f_real, weight):
    """The value, weight / 2 |mean f_fake - mean f_real|^2, and its gradient on f_fake; both are (N, S, C)."""
    ### BEGIN SOLUTION
    gap = f_fake.mean(axis=0) - f_real.mean(axis=0)
    value = weight / 2 * (gap**2).sum()
    d_fake = np.broadcast_to(weight / len(f_fake) * gap, f_fake.shape)
    return value, d_fake
    ### END SOLUTION


# %% check="16.feature_matching"
check("16.feature_matching", feature_matching).raise_if_wrong()

# %% [markdown]
# By differences first. Then the whole step of G: three gradients meet on the way down, that of the logits and that of
# the features inside D, and what comes of both with that of the bars in the fake bar. Yours must give what the
# library's `g_step` sends into G.

# %%
f_fake, f_real = random.standard_normal((2, 4, 3, 2))
_, gradient = feature_matching(f_fake, f_real, 0.1)
for i in np.ndindex(f_fake.shape):
    e = np.zeros_like(f_fake)
    e[i] = 1e-5
    up, down = (feature_matching(f_fake + s * e, f_real, 0.1)[0] for s in (1, -1))
    assert np.isclose(gradient[i], (up - down) / 2e-5, rtol=1e-6, atol=1e-10)
print("the gradient is right in all", gradient.size, "entries")

G = Composer(rng=rng(3)).astype("float64")
x_real, trace = one_hot(test.melody[:n], np.float64), {}
x_fake, _ = G.forward((z, chord, before))
fake_logits, cache = D.forward((x_fake, chord))
of_d, d_logits = midinet.GAME.generator(fake_logits)
of_features, d_features = feature_matching(cache.layers[0], D.features((x_real, chord))[0], 0.1)
of_bars, d_bars = feature_matching(x_fake, x_real, 0.01)
dx = D.backward(d_logits, cache, param_grads=False, d_features=d_features) + d_bars
value = midinet.g_step(G, D, Adam(G, 2e-4), x_real, chord, before, z, trace=trace)
print("what flows into G is the library's:", np.allclose(dx, trace["dx_fake"]))
print(f"G's loss {value:.2f} = D's opinion {of_d:.2f} + features {of_features:.2f} + bars {of_bars:.2f}")
assert np.allclose(dx, trace["dx_fake"]) and np.isclose(value, of_d + of_features + of_bars)

# %% [markdown]
# **Predict.** Half of the real bars hold C, the other half G. Which fakes have the bar term 0: (a) the same halves,
# (b) bars that are all half C and half G at once, a grey mixture that no instrument plays?
#
# <details><summary>The answer</summary>
#
# Both. Matching means cannot tell variety between bars from greyness within each. And as every bar gets the same
# gradient, this term moves the batch as one; it cannot make two bars different. That remains D's task.
#
# </details>

# %%
halves = one_hot(np.repeat([[60], [67]], [4, 4], axis=0) * np.ones((1, 16), int), np.float64)
mixture = np.broadcast_to(halves.mean(axis=0), halves.shape)
for name, fakes in (("halves, in another order", halves[::-1]), ("grey mixtures", mixture), ("only C", halves[:4])):
    print(f"{name + ':':<26}{feature_matching(fakes, halves, 0.01)[0]:.3f}")
assert feature_matching(mixture, halves, 0.01)[0] == feature_matching(halves[::-1], halves, 0.01)[0] == 0

# %% [markdown]
# What does a fresh G learn first? Its sigmoids begin at 1/2: 64 notes sound at each step. With m the mean real bar,
# whose 2048 entries sum to 16, the gap is predictable before the first step:
#
# $$|g_x|^2 = \sum_{s,p} (\tfrac12 - m_{s,p})^2 = 512 - 16 + \sum_{s,p} m_{s,p}^2$$
#
# Sixty steps of the library's `d_step` and `g_step` (two of G for one of D), on bars of all keys:

# %%
bars = music.all_keys(music.load_chorales("train"))
random = rng(0)
G, D = Composer(rng=random), Listener(rng=random)
G_optimizer, D_optimizer = Adam(G, 2e-4, beta1=0.5), Adam(D, 2e-4, beta1=0.5)
noise = lambda: random.standard_normal((72, 100), dtype="float32")
mean_bar = one_hot(bars.melody[::12]).mean(axis=0)
predicted = 512 - 16 + (mean_bar**2).sum()

STEPS = 20 if FAST else 60
gaps, sounding = [], []
for step in range(STEPS):
    r, trace = random.integers(0, len(bars.melody), 72), {}
    given = one_hot(bars.melody[r]), bars.chord[r], bar_before(bars.previous[r])
    d_loss = midinet.d_step(G, D, D_optimizer, *given, noise())
    for _ in range(2):
        g_loss = midinet.g_step(G, D, G_optimizer, *given, noise(), trace=trace)
    gaps.append(((trace["g_x_fake"].mean(axis=0) - given[0].mean(axis=0)) ** 2).sum())
    sounding.append(trace["g_x_fake"].sum(axis=2).mean())
    if step in (0, STEPS // 3, STEPS - 1):
        losses = f"losses: D {d_loss:.1f}, G {g_loss:.1f}"
        print(f"step {step:>2}: notes at once {sounding[-1]:2.0f}, gap {gaps[-1]:3.0f} of {predicted:.0f}, {losses}")
assert abs(gaps[0] / predicted - 1) < 0.025
assert gaps[-1] < gaps[0] / (1.5 if FAST else 4) and sounding[-1] < sounding[0]

# %% [markdown]
# First of all it learns to be quiet: the mean bar, before any music. Chords and tunes come much later; so from here
# on we use the G that comes with the library, after 4,000 such steps.
#
# ## 7. Bar by bar: your third hole
#
# A tune is a loop. Bar b is G's answer to its own noise, its own chord and the bar made just before, *after* the
# argmax: G has seen only proper bars there. `bar_of(z_b, chord_b, previous)` is a generator of bars: (N, Z), (N,
# 13) and a roll (N, 16, 128) to a soft roll (N, 16, 128).
#
# $$m_b = \arg\max_p\, G(z_b, c_b, X_{b-1}) \qquad X_b = \text{one-hot}(m_b) \qquad X_0 = 0$$


# %% exercise="16.compose_tune"
def compose_tune(bar_of, z, chords, previous):
    """The pitches (N, B, 16) of N tunes from z (N, B, Z), chords (N, B, 13) and X_0, previous (N, 16, 128)."""
    ### BEGIN SOLUTION
    tune = []
    for b in range(z.shape[1]):
        soft = bar_of(z[:, b], chords[:, b], previous)
        pitches = soft.argmax(axis=2)
        previous = (pitches[..., None] == np.arange(soft.shape[2])).astype(soft.dtype)
        tune.append(pitches)
    return np.stack(tune, axis=1)
    ### END SOLUTION


# %% check="16.compose_tune"
check("16.compose_tune", compose_tune).raise_if_wrong()

# %% [markdown]
# Let it play, over the chords of chorales that G has never seen. Beside it the library's `compose`, which also
# hands a bar without any note on as zeros, as it was in training.

# %%
G = load("midinet").G
SHOWN, copies = 8, 1 if FAST else 2
tunes_of = np.tile(np.arange(34), copies)  # twice each, with other noise
lent, key = chords[tunes_of], keys[tunes_of]
z = rng(1).standard_normal((len(lent), 8, 100), dtype="float32")
nothing = np.zeros((len(lent), 16, 128), np.float32)


def bar_of(z, chord, previous):
    heard = previous * previous[:, :, 1:].any(axis=(1, 2))[:, None, None]
    return G.forward((z, chord, heard[..., None]), train=False)[0][..., 0]


made = np.asarray(compose_tune(bar_of, z, lent, nothing)).astype(int)
print(f"{len(made)} tunes of {made.shape[1]} bars; the library's:", np.array_equal(made, compose(G, z, lent)))
with tempfile.TemporaryDirectory() as folder:
    write_midi(Path(folder) / "mine.mid", made[3], lent[3])
    back, _ = read_midi(Path(folder) / "mine.mid")
print("written as MIDI and read back, the same:", np.array_equal(back, made[3]))
assert np.array_equal(made, compose(G, z, lent)) and np.array_equal(back, made[3])
print(inspect.getsource(compose))

# %% [markdown]
# Bach above, MidiNet below, over the same eight chords. A tinted row is a tone of the bar's chord, and a note on tint
# is in chord. Orange is outside the key. What gives MidiNet away are the crumbs, notes of one sixteenth.

# %%
both = np.stack([melody[SHOWN], made[SHOWN]])
shares = measure.in_chord(both, chords[[SHOWN, SHOWN]])
titles = [f"{name}: {share:.0%} of its time in chord" for name, share in zip(("Bach", "MidiNet"), shares)]
piano_roll(both, chords[[SHOWN, SHOWN]], key=tuple(map(int, keys[SHOWN])), title=titles)

# %% [markdown]
# To hear one: `minigan sample midinet --wav -o tune.mid`, or open the .mid with any player.
#
# ## 8. Is it good? A number and its controls
#
# Two measures, both over the steps that sound (m > 0):
#
# $$\text{in chord} = \frac{\sum_{b,s} [m_{b,s} > 0]\,[m_{b,s} \bmod 12 \in \text{triad}(c_b)]}
# {\sum_{b,s} [m_{b,s} > 0]}$$
#
# and *in key* with the key's seven tones instead. A share alone says nothing, so five rows stand beside each other:
# the real tunes; G's; **G's own tunes judged by the chords and the key of another chorale**, the control for what
# any tune gets by luck; random pitches; and a "composer" that holds each chord's root.

# %%
other = np.roll(np.arange(len(made)), 7)
root = np.broadcast_to(60 + lent[..., :12].argmax(axis=2)[..., None], made.shape)
chance = np.random.default_rng(0).integers(57, 82, made.shape)
judged = {
    "Bach": (melody, chords, keys),
    "MidiNet": (made, lent, key),
    "its tunes, other chords": (made, lent[other], key[other]),
    "random pitches": (chance, lent, key),
    "the root, held": (root, lent, key),
}
found = {name: measure.measures(m, c, *k.T) for name, (m, c, k) in judged.items()}
print(f"{'':<25}in chord   in key   notes a bar   of two sixteenths or more")
for name, row in found.items():
    counts = f"{row['note_count']:12.1f}{row['qualified_notes']:14.0%}"
    print(f"{name:<25}{row['in_chord']:7.0%}{row['in_key']:9.0%}{counts}")

tones = triads(lent)[np.arange(len(made))[:, None, None], np.arange(8)[:, None], made % 12]  # is the step in chord?
by_hand = ((made > 0) * tones).sum(axis=(1, 2)) / (made > 0).sum(axis=(1, 2))
assert np.allclose(by_hand, measure.in_chord(made, lent))
bach, ours, control, held = (found[name] for name in ("Bach", "MidiNet", "its tunes, other chords", "the root, held"))
assert 0.58 < bach["in_chord"] < 0.62 and bach["in_key"] > 0.95
assert ours["in_chord"] > 0.5 and ours["in_key"] > 0.8 and ours["empty_bars"] < 0.02
assert ours["in_chord"] - control["in_chord"] > 0.12 and ours["in_key"] - control["in_key"] > 0.05
assert held["in_chord"] == 1 and held["note_count"] < 1 < bach["note_count"]
assert bach["qualified_notes"] > 0.97 and 0.7 < ours["qualified_notes"] < 0.95  # the crumbs

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
rows_shown = (("Bach", INK, "s"), ("MidiNet", BLUE, "o"), ("its tunes, other chords", ORANGE, "^"))
edges = np.linspace(0, 1, 11)
middles = (edges[1:] + edges[:-1]) / 2
for ax, of in zip(axes, ("in chord", "in key")):
    for name, colour, marker in rows_shown:
        m, c, k = judged[name]
        shares = measure.in_chord(m, c) if of == "in chord" else measure.in_key(m, *k.T)
        heights = np.histogram(np.minimum(shares, 0.999), edges)[0] / len(shares)
        ax.plot(middles, heights, color=colour, marker=marker, markersize=5, linewidth=1.2, label=name)
    ax.set(xlabel=f"share of a tune's sounding steps {of}", xlim=(0, 1))
axes[0].set(ylabel="share of the tunes")
axes[0].set_title("MidiNet hears the chord it is given", loc="left", fontsize=10)
axes[1].set_title("and is in key more than luck would be", loc="left", fontsize=10)
axes[1].legend(loc="upper left", fontsize=9)
figure.tight_layout()
luck = measure.measures(melody, np.roll(chords, 7, axis=0))["in_chord"]
print(f"Bach's own tunes, judged by another chorale's chords: {luck:.0%} in chord")
assert luck < 0.4

# %% [markdown]
# MidiNet's lead over its control is what it earned by listening. "In key" without the control would have misled us:
# the same tunes are three quarters in key in a key they were not made for, since two keys share many tones.
#
# ## 9. Which condition does what?
#
# A network can be given a condition and ignore it. So intervene: change one condition, leave the noise as it is,
# and measure against the *original* chords and key. "One scale" asks of each tune how many of its notes lie in the
# scale that fits it best, whichever that is.
#
# **Predict.** G is told silence in place of the bar before, always. It still hears every chord. What suffers?
#
# <details><summary>The answer</summary>
#
# Not the chords. The key does, and more than that, the agreement of the bars with each other: a chord has three
# tones and belongs to several keys, and which of them we are in is said only by the bar before. (Silence there is
# nothing new to G: each tune's first bar has it.)
#
# </details>

# %%
silent = lambda z, chord, previous: bar_of(z, chord, 0 * previous)
played = {
    "as it is": made,
    "another tune's chords": compose_tune(bar_of, z, lent[other], nothing),
    "the bar before silent": compose_tune(silent, z, lent, nothing),
}
heard = {name: measure.measures(np.asarray(m).astype(int), lent, *key.T) for name, m in played.items()}
print(f"{'':<25}in chord   in key   one scale")
for name, row in heard.items():
    print(f"{name:<25}{row['in_chord']:7.0%}{row['in_key']:9.0%}{row['scale_consistency']:11.0%}")
as_it_is, misled, deaf = heard.values()
assert misled["in_chord"] < as_it_is["in_chord"] - 0.12 and abs(misled["scale_consistency"] - 0.95) < 0.05
assert deaf["in_chord"] > 0.48 and deaf["scale_consistency"] < as_it_is["scale_consistency"] - 0.07

# %% [markdown]
# Each condition has its own part, and the two rows tell them apart: the chord decides what fits this bar, the bar
# before keeps the tune in one key. (Networks that are trained without both, `minigan train midinet-deaf`, end where
# random pitches are: 23 % in chord, 57 % in key.)
#
# Can it compose, then? It makes bars that fit their chords and each other. It was
# lent the chords, which are half of the composition; it has no plan beyond one bar; and it never asks where the
# tune ends.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `join_backward`, take the mean in place of the sum (skip its check). Which equality of section 3 fails, and by
#    which factor?
# 2. In `compose_tune`, hand on `soft` itself as the bar before (leave the check's cell out). Which of the three
#    measures of section 9 notices? A small change is an answer, too.
# 3. In section 6's training, call `g_step` with `bar_weight=0`. How fast does G become quiet now, by D alone?
# 4. In section 9, hand G the bar before of another tune: `bar_of(z, chord, np.roll(previous, 7, axis=0))`. What falls
#    that silence did not touch?
# 5. In section 8, judge by `np.roll(..., 1)` instead of 7. Then transpose all G's tunes by a semitone (`made + 1`)
#    and judge them by their own chords. Which is the harder control?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("16.join_backward", join_backward)
assert check("16.feature_matching", feature_matching)
assert check("16.compose_tune", compose_tune)
assert ours["in_chord"] > control["in_chord"] + 0.12
assert deaf["scale_consistency"] < as_it_is["scale_consistency"] - 0.07
print("It hears the chord, it keeps the key by the bar before, and both are more than luck.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 17**: moving pictures, where what stays and what changes get a noise of their own.
# - L.-C. Yang, S.-Y. Chou and Y.-H. Yang, "MidiNet: A convolutional generative adversarial network for
#   symbolic-domain music generation", *ISMIR* 2017.
# - T. Salimans et al., "Improved techniques for training GANs", *Advances in Neural Information Processing Systems*
#   29, 2016: feature matching (3.1) and one-sided label smoothing (3.4).
# - H.-W. Dong, W.-Y. Hsiao, L.-C. Yang and Y.-H. Yang, "MuseGAN: Multi-track sequential generative adversarial
#   networks for symbolic music generation and accompaniment", *AAAI* 2018: several instruments, and measures like
#   ours.
# - H.-W. Dong and Y.-H. Yang, "Convolutional generative adversarial networks with binary neurons for polyphonic music
#   generation", *ISMIR* 2018: hard notes inside G after all, with an estimated gradient (section 5).
# - N. Boulanger-Lewandowski, Y. Bengio and P. Vincent, "Modeling temporal dependencies in high-dimensional
#   sequences", *ICML* 2012: the chorales as a yardstick for models of music.
