# %% [markdown]
# # 21. A content studio by hand
#
# Digits and a face, four bars of music, a quatrain, a moving clip: on one sheet, each made by a network whose every
# gradient you could write down. The course ends with it. What do five such different generators have in common, what
# does it take to ship them, and how does a reader of the sheet know where each thing came from?
#
# **You need** lessons 09, 13, 15, 16 and 17. **Time** about 45 minutes. **You will write** how a network is packed
# into a quarter of its size, and how the next word is drawn. **After it** you have drawn with all five systems, you
# know what of each is your choice and what is chance, and you can show how a file was made.

# %%
import inspect
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minigan import checkpoint, provenance, sampling, studio, viz
from minigan.backend import rng, to_host
from minigan.data import face_icons, load_chorales, unscale
from minigan.data.faces import EXPRESSIONS
from minigan.exercises import check
from minigan.filming import draw_noise
from minigan.metrics.music import in_chord
from minigan.metrics.neighbours import vote
from minigan.models.midinet import NOISE, compose
from minigan.models.video import fixed
from minigan.shipped import SHIPPED, find, load

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer samples, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Five generators: digits (DCGAN), face icons (a conditional GAN), tunes (MidiNet), quatrains (SeqGAN) and clips
# (MoCoGAN).
#
# 1. Which one has the most weights? Which one the fewest?
# 2. To which of them can you say what you want, and what can you say?
# 3. In which of them does the same z always give the same thing?
#
# <details><summary>The answer</summary>
#
# 1. DCGAN has the most, 2.3 million, more than half of them in its first dense layer. MoCoGAN, which makes 16
#    pictures in colour, has the fewest, some 56,000: every frame comes from the same small network.
# 2. Faces: the expression. Tunes: the chord of each bar, and the bar before. Quatrains: how they begin. Clips: keep
#    the content, or the motion. Digits: nothing; DCGAN was told no labels.
# 3. In all but SeqGAN, which has no z at all: its chance enters at every word.
#
# </details>

# %% [markdown]
# ## 1. Five generators
#
# They come with minigan, each with the command that trained it. Nothing else was done to them.

# %%
studio_of = {name: load(name) for name in SHIPPED}
for name, it in studio_of.items():
    size = it.run.checkpoint.stat().st_size
    print(f"{name:<8}{it.G.theta.size:>10,} weights  {size / it.G.theta.size:.2f} bytes each   {it.facts['command']}")
weights = {name: it.G.theta.size for name, it in studio_of.items()}
assert max(weights, key=weights.get) == "dcgan" and min(weights, key=weights.get) == "video"
assert all(it.run.checkpoint.stat().st_size < 1.5 * it.G.theta.size for it in studio_of.values())

# %% [markdown]
# ## 2. A quarter of the bytes: your first hole
#
# A weight in float32 takes 4 bytes, and here it takes little more than one. Training needs the fine digits, because
# each step is small. Drawing does not. So every column of a weight matrix W (I, O) gets a scale, and its weights
# become whole numbers from -127 to 127, which fit into a byte:
#
# $$s_o = \tfrac{1}{127} \max_i |W_{io}| \qquad q_{io} = \text{round}(W_{io} / s_o) \qquad
# W_{io} \approx q_{io}\, s_o$$
#
# Where a whole column is zero, take s = 1.


# %% exercise="21.rounded"
def rounded(W):
    """Whole numbers q (I, O) from -127 to 127 and scales s (O,): W is next to q s."""
    ### BEGIN SOLUTION
    s = np.abs(W).max(axis=0) / 127
    s[s == 0] = 1
    return np.rint(W / s), s
    ### END SOLUTION


# %% check="21.rounded"
check("21.rounded", rounded).raise_if_wrong()

# %% [markdown]
# Rounding moves a weight by half a level at most, and if the weights do not lie on the levels by design, the error is
# spread evenly over that range. A uniform error over [-s/2, s/2] has the standard deviation
#
# $$|W_{io} - q_{io}\, s_o| \le \tfrac{1}{2} s_o \qquad \text{sd} = s_o / \sqrt{12}$$

# %%
W = np.random.default_rng(0).standard_normal((2000, 50)).astype(np.float32)
q, s = rounded(W)
error = W - q * s
print(f"largest error, in levels: {(np.abs(error) / s).max():.2f}")
print(f"sd of the error, in levels: {(error / s).std():.3f}; 1 / sqrt(12) = {12**-0.5:.3f}")
kept = checkpoint.rounded({"W": W})
print("the library keeps the same bytes:", bool(np.array_equal(kept["W"], q) and kept["W"].dtype == np.int8))
assert (np.abs(error) <= 0.5001 * s).all() and abs((error / s).std() - 12**-0.5) < 0.005
assert np.array_equal(kept["W"], q) and np.allclose(kept["W" + checkpoint.SCALE], s)
print(inspect.getsource(checkpoint.rounded))

# %% [markdown]
# Can one see it? Take the digits' generator, round its weights again, to ever coarser levels, and look: 127 on each
# side as before, then 7, which is 4 bits a weight, then 1, where every weight is -s, 0 or s.

# %%
digits, _ = find("dcgan").load()
z = digits.draw_noise(rng(1), 10)
fine, theta = to_host(digits.G(z)), digits.G.theta.copy()
rows, apart = [fine], {}
for levels in (127, 7, 1):
    for p in digits.G.params.values():
        if p.ndim > 1:
            step = np.abs(p).max(axis=tuple(range(p.ndim - 1))) / levels
            p[...] = np.rint(p / np.where(step == 0, 1, step)) * step
    digits.G.changed()
    rows.append(to_host(digits.G(z)))
    apart[levels] = np.abs(rows[-1] - fine).mean() / 2  # pixels lie in [-1, 1]
    digits.G.theta[...] = theta
    digits.G.changed()
print("mean change of a pixel, of its range:", {levels: f"{change:.2%}" for levels, change in apart.items()})
assert apart[127] < 1e-3 < apart[7] < apart[1] / 5

figure, panels = plt.subplots(4, 1, figsize=(8, 3.6))
for axes, images, text in zip(panels, rows, ("as shipped", "127 levels", "7 levels", "1 level")):
    axes.imshow(np.hstack(unscale(images)[..., 0]), cmap="gray")
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(text, rotation=0, ha="right", va="center")
panels[0].set_title("The same z, drawn with ever coarser weights", loc="left")
figure.tight_layout()

# %% [markdown]
# ## 3. A face to order
#
# A row of the picture is one z, a column one expression. The z says colour, place and gaze, and the label the rest:
# two kinds of choice that lesson 13 took apart. Was the order carried out? The nearest five of 3,000 icons that were
# drawn by rule vote. They are no perfect judges: of *real* icons they name about half rightly.

# %%
faces, _ = find("faces").load()
images, labels = faces.G(faces.draw_table(rng(4), 4))
figure, axes = plt.subplots(figsize=(8, 3.6))
axes.imshow(viz.grid(to_host(images), columns=10, scale=2, value_range=(-1, 1)))
axes.set(xticks=(np.arange(10) + 0.5) * 60, yticks=[])
axes.set_xticklabels(EXPRESSIONS, fontsize=9)
axes.set_title("One z in each row, one expression in each column", loc="left")
figure.tight_layout()

icons, unseen = face_icons(1500 if FAST else 3000), face_icons(300, seed=1)
grey = lambda x: x.astype(np.float32).mean(axis=-1)
images, labels = faces.G(faces.draw_table(rng(5), 30))
of_real = (vote(grey(unseen.images), grey(icons.images), icons.label) == unseen.label).mean()
seen = vote(grey(unscale(to_host(images))), grey(icons.images), icons.label)
of_fake = (seen == to_host(labels)).mean()
print(f"the judges name {of_real:.0%} of real icons rightly, and {of_fake:.0%} of G's; chance has 10 %")
assert of_fake > 0.4 > 0.2 > np.mean(seen == np.roll(to_host(labels), 1))

# %% [markdown]
# ## 4. Four bars
#
# MidiNet is told a chord for each bar and makes the bars one after another, each from new noise and the bar before
# (lesson 16). The control: the same tunes, held against chords of other tunes.

# %%
tunes = studio_of["midinet"].G
test, n, bars = load_chorales("test"), 24, 4
at = np.flatnonzero(np.diff(np.r_[-1, test.tune]))[:n]  # where a chorale begins
chords = np.stack([test.chord[k : k + bars] for k in at])  # (n, 4, 13)
noise = np.random.default_rng(2).standard_normal((len(chords), bars, NOISE)).astype("float32")
melody = to_host(compose(tunes, noise, chords))  # (n, 4, 16), MIDI pitches
own, other = in_chord(melody, chords).mean(), in_chord(melody, np.roll(chords, 1, axis=0)).mean()
print(f"{len(melody)} tunes: {own:.0%} of what sounds is in its chord; held against other chords {other:.0%}")
assert own > other + 0.1
key = tuple(map(int, test.key[at[0]]))
viz.piano_roll(melody[0], chords[0], key=key, title="Four bars, and their chords")

# %% [markdown]
# ## 5. A quatrain, word by word: your second hole
#
# SeqGAN's generator says of every word how well it would go on: logits s_v. Chance chooses. With a temperature τ
#
# $$p_v = \frac{e^{s_v / \tau}}{\sum_{v'} e^{s_{v'} / \tau}} \qquad
# \text{word} = \min \Big\{ v : \sum_{v' \le v} p_{v'} > u \Big\}, \quad u \text{ uniform on } (0, 1)$$
#
# The second formula cuts the interval from 0 to 1 into pieces as long as the probabilities, and looks into which u
# falls. Take each row's largest logit off before the exponential, which changes nothing but keeps it finite.


# %% exercise="21.next_word"
def next_word(logits, temperature, u):
    """p (N, V), the softmax of each row of logits (N, V) / temperature, and the words (N,) that u (N,) chooses."""
    ### BEGIN SOLUTION
    e = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    p = e / e.sum(axis=1, keepdims=True)
    return p, (np.cumsum(p, axis=1) <= u[:, None]).sum(axis=1)
    ### END SOLUTION


# %% check="21.next_word"
check("21.next_word", next_word).raise_if_wrong()

# %% [markdown]
# Your function writes; the generator only reads what is there so far. (The library keeps the LSTM's state, so that it
# does not read everything again for every word, and draws with Gumbel noise: the same distribution, and faster.)

# %%
poet = studio_of["seqgan"]
length, uniform = poet.facts["length"], np.random.default_rng(10)


def written(n, begin, temperature):
    """n texts of the shipped writer, as word numbers (n, T), drawn by your next_word."""
    words = np.zeros((n, length), dtype=np.int64)
    words[:, : len(begin)] = begin
    for t in range(len(begin), length):
        logits, _ = poet.G.forward(words[:, : t + 1])  # the logits at t come from the words before t
        words[:, t] = next_word(to_host(logits)[:, t].astype(float), temperature, uniform.random(n))[1]
    return words


begin = poet.vocabulary.encode("明月")
likely = {}
for temperature in (0.1, 1.0, 3.0):
    words = written(20 if FAST else 40, begin, temperature)
    likely[temperature] = to_host(poet.G.log_likelihood(words))[:, 2:].mean()
    text = poet.vocabulary.decode(words[0])
    different = len({tuple(row) for row in words[:, 2:7]})
    line = f"temperature {temperature:<4g}{text[:5]},{text[5:10]}.   log p of a word {likely[temperature]:.1f}"
    print(f"{line}; {different} of {len(words)} first lines differ")
assert likely[0.1] > likely[1.0] > likely[3.0]

# %% [markdown]
# Cold, it repeats what it is surest of; hot, it writes words that nobody would put side by side. At 1 it writes what
# it has learned. More in lesson 15.
#
# ## 6. A clip, and what stays
#
# MoCoGAN's z has two parts (lesson 17): the content stays for all frames, and the motion changes from frame to frame.
# Here the content is the same in all rows.

# %%
film = studio_of["video"]
frames = film.facts["frames"]
clips = to_host(film.G(fixed(draw_noise(film.G, rng(2), 4, frames), "content")))  # (4, T, 32, 32, 3)
figure, panels = plt.subplots(4, 1, figsize=(8, 4.6))
for axes, clip in zip(panels, clips):
    axes.imshow(np.hstack(unscale(clip[::2])))
    axes.axis("off")
panels[0].set_title("One content, four motions; every second frame", loc="left")
figure.tight_layout()


def colour(clips):
    """The mean colour of what is not black, of each clip: (n, 3), in levels of 0 to 255."""
    x = unscale(clips).astype(float)
    bright = x.max(axis=-1, keepdims=True) > 60
    return (x * bright).sum(axis=(1, 2, 3)) / np.maximum(bright.sum(axis=(1, 2, 3)), 1)


spread = lambda c: np.linalg.norm(c - c.mean(axis=0), axis=1).mean()
many = 8 if FAST else 16
within = spread(colour(to_host(film.G(fixed(draw_noise(film.G, rng(2), many, frames), "content")))))
between = spread(colour(to_host(film.G(draw_noise(film.G, rng(2), many, frames)))))
print(f"colours lie {within:.0f} from their mean with one content, and {between:.0f} with a content of their own")
assert within < 0.6 * between

# %% [markdown]
# ## 7. The sheet
#
# `minigan studio -o sheet` does all of this at once. It writes every item as a file that other programs open (PNG,
# MIDI and WAV, text, GIF), and a page, `sheet.html`, that holds all of them. Here it is as a picture, with its poem
# below.

# %%
folder = Path(tempfile.mkdtemp()) / "sheet"
made = studio.make(folder, seed=1, face="laugh", prompt="明月")
figure, axes = plt.subplots(figsize=(10, 7.8))
axes.imshow(plt.imread(folder / "sheet.png"))
axes.axis("off")
figure.tight_layout(pad=0)
print((folder / "poem.txt").read_text(encoding="utf-8"))
print(", ".join(path.name for path in made))

# %% [markdown]
# ## 8. Where it came from
#
# Whoever finds one of these files can ask it. Each holds its record: the model, the checkpoint's sha256, the seed,
# what else was asked. A record is a note and no proof: anyone can write another one. But it can be *followed*. Take
# the generator of that sha256, draw with that seed, and compare, bit for bit.

# %%
print(inspect.getsource(sampling.sign))
for path in made:
    if path.name.startswith("sheet"):
        continue  # the sheet itself is put together, not drawn
    where = find(provenance.read(path).run)
    again = lambda record, where=where, path=path: sampling.again(record, where, path.suffix, load=None)
    verdict = provenance.verify(path, again)
    print(f"{path.name:<12}{verdict.state:<12}{provenance.read(path).model:<13}seed {provenance.read(path).seed}")
    assert verdict.state == "made again" and provenance.sha256_of(where.checkpoint) == verdict.record.checkpoint

# %% [markdown]
# And a file that was changed? One pixel of the face, by a single level of 255, its record left as it is:

# %%
with Image.open(folder / "face.png") as image:
    pixels, note = np.array(image), PngInfo()
    note.add_text("minigan", image.text["minigan"])
pixels[100, 100, 0] ^= 1
Image.fromarray(pixels).save(folder / "touched.png", pnginfo=note)
verdict = provenance.verify(folder / "touched.png")
print(verdict.state, "-", str(verdict.text).replace(str(folder), "sheet"))
assert verdict.state == "changed"

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In section 2, round with one scale for the whole matrix instead of one for each column. Which of DCGAN's layers
#    suffers most, and why?
# 2. In section 3, give `faces.G` a label halfway between two: mix the rows of its embedding,
#    `faces.G.embedding.params["W"]`. Is half a smile and half a frown calm?
# 3. In section 4, hand `compose` the chords backwards. What happens to the share in its own chord?
# 4. In section 5, let `next_word` always take the likeliest word, and write ten poems with the prompt. What do they
#    have in common?
# 5. In section 8, save `touched.png` as a JPEG and verify that. What is lost besides a few pixels?
#
# ## What you have now

# %%
assert check("21.rounded", rounded) and check("21.next_word", next_word)
kinds = {path.suffix for path in made}
print("On the sheet:", ", ".join(item.heading.lower() for item in studio.ITEMS) + ";", len(kinds), "kinds of files")
assert {".png", ".mid", ".wav", ".txt", ".gif", ".html"} <= kinds

# %% [markdown]
# ## What to read next
#
# - The sources of minigan: its layers need NumPy alone, and every file can be read in a
#   sitting. Start with `minigan/steps.py`.
# - A. Radford, L. Metz and S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
#   Adversarial Networks", *ICLR* 2016.
# - T. Miyato and M. Koyama, "cGANs with Projection Discriminator", *ICLR* 2018.
# - L. Yu, W. Zhang, J. Wang and Y. Yu, "SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient", *AAAI*
#   2017.
# - L.-C. Yang, S.-Y. Chou and Y.-H. Yang, "MidiNet: A Convolutional Generative Adversarial Network for
#   Symbolic-Domain Music Generation", *ISMIR* 2017.
# - S. Tulyakov, M.-Y. Liu, X. Yang and J. Kautz, "MoCoGAN: Decomposing Motion and Content for Video Generation",
#   *CVPR* 2018.
# - The Coalition for Content Provenance and Authenticity (C2PA) specifies records that are signed, which ours are
#   not.
