# %% [markdown]
# # 00. What does a GAN do?
#
# A **GAN**, a generative adversarial network, is a game of two networks. One makes things, here points in the
# plane. The other one judges them. Both learn by playing. In this lesson you play it by hand, one move at a time,
# and say beforehand what each move will do.
#
# **You need** Python and NumPy arrays. No mathematics. **Time** about 40 minutes. **You will write** how often the
# judge is right, which way it sends each point, and one round of the game. **After it** you know who moves when,
# what each player gets to see, and why the game stops working when one of them stops learning.

# %%
import inspect
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from minigan import losses, viz
from minigan.backend import rng
from minigan.board import Board, small_networks
from minigan.data.toy import Mixture
from minigan.exercises import check
from minigan.layers.activations import sigmoid
from minigan.metrics.modes import energy_distance
from minigan.optim import Adam
from minigan.steps import d_gradients, d_step, g_step

FAST = os.environ.get("MINIGAN_FAST") == "1"  # a shorter game, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# The players:
#
# - **G**, the **generator**, turns noise into points. These points are called **fakes**.
# - **D**, the **discriminator**, gives each point a **verdict** from 0, "a fake", to 1, "real".
#
# D is shown real points and fakes, and is told which is which. G is never shown a real point. All that it ever
# learns is which way each of its own fakes would have to go for D to find it more real.
#
# They move in turn some thousands of times. Where do the fakes lie then?
#
# 1. Where they lay before. Who has never seen the real thing cannot imitate it.
# 2. Where D happens to be fooled most easily, which has little to do with the real points.
# 3. Nearly on the real points.
#
# Write your answer down. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3, as section 6 measures. But 2 is what happens as soon as D stops learning: sections 4 and 7. G knows the real
# points through D only.
#
# </details>

# %% [markdown]
# ## 1. The table
#
# The real points lie on three small islands. G and D are small networks, whose numbers, their **weights**, are
# drawn at random: they know nothing yet. (What is inside them is the business of lessons 02 to 05.)
#
# `Board` is the library's board for this game. `board.step("D")` is one move of D, `board.step("G")` one of G.
# `board.goto(t)` goes back to the moment after t moves, and `board.fork(...)` begins another game from there.

# %%
ISLANDS = Mixture(np.array([[2.0, 0.2], [1.2, 1.6], [2.6, 1.6]]), sd=0.12, weights=np.full(3, 1 / 3))
REAL = ISLANDS.sample(512, np.random.default_rng(1))  # (N, 2): 512 real points to look at
NOISE = np.random.default_rng(2).standard_normal((512, 2)).astype(np.float32)  # (N, 2): and noise for 512 fakes

VIEW = (-2.2, 6.2, -3.0, 5.4)  # the part of the plane in the pictures
xs, ys = np.linspace(*VIEW[:2], 90), np.linspace(*VIEW[2:], 90)
PLACES = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(np.float32)  # (8100, 2)
COLOURS = LinearSegmentedColormap.from_list("verdict", ["#F2C4A0", "#FFFFFF", "#A3CBE6"])


def verdicts(board, x):
    """What the board's D says of points x (N, 2): (N,), from 0, a fake, to 1, real."""
    says = board.D(x)[:, 0]  # D's own number; sigmoid squeezes any number into 0 to 1
    return (
        says.clip(0, 1) if board.loss is losses.least_squares else sigmoid(says)
    )  # that rule aims at 0 and 1 itself


def fakes(board):
    """What the board's G makes of the 512 fixed noises: (N, 2)."""
    return board.G(NOISE)


def show(axes, board, title, start=None, arrows=None):
    """Real points and fakes over D's verdict on every place. arrows (N, 2) are drawn from the points start."""
    says = verdicts(board, PLACES).reshape(90, 90)
    axes.contourf(xs, ys, says, np.linspace(0, 1, 11), cmap=COLOURS, antialiased=False)
    if says.min() < 0.5 < says.max():
        axes.contour(xs, ys, says, [0.5], colors=INK, linewidths=1)
    axes.scatter(*REAL[:200].T, s=26, facecolors="none", edgecolors=BLUE, linewidths=0.7)
    axes.scatter(*(fakes(board) if start is None else start)[:200].T, s=14, marker="x", color=ORANGE, linewidths=0.9)
    if arrows is not None:
        style = {"angles": "xy", "scale_units": "xy", "scale": 1, "color": INK, "width": 0.006, "zorder": 5}
        axes.quiver(*start[:40].T, *arrows[:40].T, **style)
    axes.set(xlim=VIEW[:2], ylim=VIEW[2:], aspect="equal", xlabel="x", ylabel="y")
    axes.set_title(title, loc="left", fontsize=10)


board = Board(ISLANDS, *small_networks(rng(0)), lr=1e-3)
figure, axes = plt.subplots(figsize=(4.6, 4.2))
show(axes, board, "Before the first move")
figure.tight_layout()
assert board.t == 0

# %% [markdown]
# Blue rings are real points, orange crosses are fakes. The ground shows what D would say of a point at each place:
# blue "real", orange "a fake", white "I cannot tell". On the black line it says exactly 1/2. D knows nothing yet,
# and its ground is an accident: it says "a fake" where all the real points lie.

# %% [markdown]
# ## 2. The move of D
#
# How good is D? Count how often it is right. A verdict on a real point is right if it is above 1/2, a verdict on a
# fake is right if it is below 1/2. Return right verdicts over all verdicts.


# %% exercise="00.share_right"
def share_right(real_verdicts, fake_verdicts):
    """The share of D's verdicts that are right, from 0 to 1. Both arrays hold N verdicts, (N,)."""
    ### BEGIN SOLUTION
    right = (real_verdicts > 0.5).sum() + (fake_verdicts < 0.5).sum()
    return right / (len(real_verdicts) + len(fake_verdicts))
    ### END SOLUTION


# %% check="00.share_right"
check("00.share_right", share_right).raise_if_wrong()

# %% [markdown]
# Who throws a coin is right half of the time. Our D does worse, by accident:

# %%
untaught = share_right(verdicts(board, REAL), verdicts(board, fakes(board)))
print(f"D before its first move: {untaught:.2f} of its verdicts are right, a coin has 0.50")
assert untaught < 0.5

# %% [markdown]
# In one move, D is shown 256 real points and 256 fakes, and each of its weights is changed a little, so that its
# verdicts on these become a little better.
#
# **Predict.** You press D sixty times, and G not once. Which of these change: the real points, the fakes, the
# ground?
#
# <details><summary>The answer</summary>
#
# The ground alone. D's move changes D. The fakes stay exactly where they are, to the last bit.
#
# </details>

# %%
before = fakes(board)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True)
show(left, board, "Before D's first move")
for _ in range(60):
    board.step("D")
show(right, board, "D has moved 60 times: blue on the islands")
right.set_ylabel("")
figure.tight_layout()

taught = share_right(verdicts(board, REAL), verdicts(board, fakes(board)))
print("the fakes are where they were, bit for bit:", np.array_equal(fakes(board), before))
print(f"D after 60 moves: {taught:.2f} of its verdicts are right")
assert np.array_equal(fakes(board), before)
assert taught > 0.85

# %% [markdown]
# ## 3. The move of G
#
# Now G. In one move, it makes 256 fakes from new noise, and its weights are changed a little, so that D would find
# these fakes a little more real.
#
# **Predict.** Look at the right picture. You press G once. Which way do the fakes go on average? Write two signs
# into `my_guess`: across, -1 for left and +1 for right; then upright, -1 for down and +1 for up. And does the
# ground change?

# %%
SIDES = {(0, 0): "nowhere", (-1, -1): "left and down", (-1, 1): "left and up"}
SIDES |= {(1, -1): "right and down", (1, 1): "right and up"}


def tell(guess, moved):
    """Hold a guess against how the fakes moved, moved (N, 2): prints both, returns the two signs of the mean."""
    signs = tuple(int(sign) for sign in np.sign(moved.mean(axis=0)))
    right = sum(mine == sign for mine, sign in zip(guess, signs))
    print(
        f"The fakes went {SIDES[signs]}.", "You made no guess." if guess == (0, 0) else f"Right signs: {right} of 2."
    )
    return signs


my_guess = (0, 0)  # your two signs

start, ground = fakes(board), verdicts(board, PLACES)
found_real = verdicts(board, start).mean()
board.step("G")
moved = fakes(board) - start
recorded = tell(my_guess, moved)

print("all 512 of them:", bool((np.sign(moved) == recorded).all()))
print("D's ground is what it was, bit for bit:", np.array_equal(verdicts(board, PLACES), ground))
print(f"D's mean verdict on the fakes: {found_real:.2f} before, {verdicts(board, fakes(board)).mean():.2f} after")
assert recorded == (1, 1)
assert np.array_equal(verdicts(board, PLACES), ground)
assert verdicts(board, fakes(board)).mean() > found_real

# %% [markdown]
# Right and up: that is where the islands lie, so it looks as if G knew. It does not. Go back to the very beginning,
# where D's ground was an accident, and press G there.
#
# **Predict.** Look at the first picture. Which way now?

# %%
my_guess = (0, 0)  # your two signs

early = board.goto(0).fork()
early_start = fakes(early)
early.step("G")
early_moved = fakes(early) - early_start
early_recorded = tell(my_guess, early_moved)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True)
show(left, early, "G's move (x 6) under an untaught D", early_start, 6 * early_moved)
show(right, board.goto(61), "G's move (x 6) under a taught D", start, 6 * moved)
right.set_ylabel("")
figure.tight_layout()

assert early_recorded == (-1, -1), "away from the islands"

# %% [markdown]
# Left and down, away from the islands. The same G, the same noise, another D: the opposite way. In both pictures
# the fakes go from orange ground to bluer ground, wherever that may lie.

# %% [markdown]
# ## 4. How G knows the way
#
# Say it as a rule that predicts. For each fake, ask D for its verdict a small step h to the right, and a small step
# h to the left. If the right one is higher, then the fake is more real farther right: +1. If it is lower: -1. And
# the same for up and down. `np.sign` turns a number into its sign.
#
# (In the lessons to come, this becomes the *gradient* of D's verdict. That is all the calculus that G's move needs.)


# %% exercise="00.which_way"
def which_way(D, x, h):
    """For each of the points x (N, 2), the way in which D's verdict rises: an array (N, 2) of signs.

    Column 0: +1 right, -1 left. Column 1: +1 up, -1 down. D takes points (N, 2) and gives verdicts (N,).
    """
    ### BEGIN SOLUTION
    signs = np.zeros_like(x)
    for axis in (0, 1):
        step = np.zeros(2)
        step[axis] = h
        signs[:, axis] = np.sign(D(x + step) - D(x - step))
    return signs
    ### END SOLUTION


# %% check="00.which_way"
check("00.which_way", which_way).raise_if_wrong()

# %% [markdown]
# Hold your rule against the two moves that we recorded. Your rule looks at D alone. It knows neither the real
# points nor G.

# %%
for name, ground_of, points, went in (
    ("untaught D", board.goto(0).fork(), early_start, early_moved),
    ("taught D", board.goto(60).fork(), start, moved),
):
    way = which_way(lambda x, of=ground_of: verdicts(of, x), points, 0.01)
    agree = (way == np.sign(went)).mean()
    same_mean = np.array_equal(np.sign(way.mean(axis=0)), np.sign(went.mean(axis=0)))
    print(f"{name}: {agree:.0%} of the single signs agree, and the crowd's way does: {same_mean}")
    assert agree > 0.85 and same_mean

# %% [markdown]
# Nearly all, and under the untaught D not quite all. Each fake would like to go its own way, but they are all made
# by one and the same G. A change of G's weights moves them all at once, and a few against their wish.
#
# Many texts say that G learns from the real data, or even that it copies them. Here is what the library's move of
# G takes as arguments. No real point is among them:

# %%
print("D's move takes", list(inspect.signature(d_step).parameters)[:6])
print("G's move takes", list(inspect.signature(g_step).parameters)[:5])
assert "x_real" in inspect.signature(d_step).parameters
assert "x_real" not in inspect.signature(g_step).parameters

# %% [markdown]
# **Predict.** So go on pressing G, 119 times more, and D not once. The fakes come nearer to the islands. And then?
#
# 1. They stop at the islands.
# 2. They go on, past the islands.
#
# We need a number for "near". The **energy distance** of two crowds of points is twice the mean distance between a
# point of one and a point of the other, minus the mean distances within each of the two. It is about 0 for two
# crowds of one kind, and grows with their distance, here in the plane's own unit.
#
# <details><summary>The answer</summary>
#
# 2. D's ground grows bluer and bluer to the upper right. D was never shown a fake there, so it was never told that
# this is wrong. G follows the colour, not the islands.
#
# </details>

# %%
board.goto(61)
presses, centre, distance, belief, shots = [], [], [], [], {}
for press in range(1, 121):
    if press > 1:
        board.step("G")
    points = fakes(board)
    centre.append(points.mean(axis=0))
    if press in (1, 30, 80, 120):
        shots[press] = points
    if press % (6 if FAST else 2) == 0 or press == 1:
        presses.append(press)
        distance.append(energy_distance(points, REAL))
        belief.append(verdicts(board, points).mean())

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.9), width_ratios=(4.2, 3, 3))
show(left, board, "G alone: the crowd passes the islands", shots[30])
left.plot(*np.array(centre).T, color=INK, linewidth=1.5)
for press in (1, 30, 80, 120):
    left.plot(*centre[press - 1], "o", color=INK, markersize=5)
    label = {"textcoords": "offset points", "bbox": {"color": "white", "pad": 0.5, "alpha": 0.8}}
    left.annotate(f"{press}", centre[press - 1], (9, -10), **label)
middle.plot(presses, distance, "o-", color=ORANGE, markersize=3)
middle.set(xlabel="moves of G", ylabel="energy distance (plane's unit)", ylim=0)
middle.set_title("Fakes and islands: near, then far", loc="left", fontsize=10)
right.plot(presses, belief, "s-", color=BLUE, markersize=3)
right.set(xlabel="moves of G", ylabel="D's mean verdict on fakes", ylim=(0, 1.03))
right.set_title("D is more and more pleased", loc="left", fontsize=10)
figure.tight_layout()

nearest = presses[int(np.argmin(distance))]
lost = share_right(verdicts(board, REAL), verdicts(board, fakes(board)))
print(f"energy distance, first, least and last: {distance[0]:.1f}, {min(distance):.1f}, {distance[-1]:.1f}")
print(f"D's mean verdict on the fakes, first and last: {belief[0]:.2f}, {belief[-1]:.2f}")
print(f"D is right in {lost:.2f} of all cases at the end")
assert 10 < nearest < 60
assert min(distance) < distance[0] / 4 and distance[-1] > distance[0]
assert belief[-1] > 0.95 and abs(lost - 0.5) < 0.02

# %% [markdown]
# The line in the left picture is the path of the crowd's centre, with the number of G's moves; the crosses are the
# fakes after 30 of them. The crowd runs past the islands and away, and D likes it better all the time.
#
# So two numbers that many texts read as success are none. *D finds the fakes real*: here with 0.99, and they have
# never been farther off. *D is right in half of all cases, like a coin*: here it is, since it is right on all real
# points and wrong on all fakes. D's verdicts say how the game stands, not how good the fakes are.

# %% [markdown]
# ## 5. Your turn, D
#
# Rewind to G's 80th move. The crowd is past the islands, on ground that D takes for real. Press D sixty times: now
# it is shown fakes that lie there, and is told what they are. Then press G once.
#
# **Predict.** The islands lie to the left of the crowd's centre, and below. Which way do the fakes go? Decide
# before you run the cell.

# %%
my_guess = (0, 0)  # your two signs

figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True)
board.goto(60 + 80)
show(left, board, "After G's 80th move in a row")
for _ in range(60):
    board.step("D")
start = fakes(board)
way = which_way(lambda x: verdicts(board, x), start, 0.01)
board.step("G")
moved = fakes(board) - start
show(right, board, "60 moves of D later, and G's next (x 2)", start, 2 * moved)
right.set_ylabel("")
figure.tight_layout()

recorded = tell(my_guess, moved)
to_islands = np.sign(REAL.mean(axis=0) - start.mean(axis=0))
print("Towards the islands would be:", SIDES[tuple(int(sign) for sign in to_islands)])
print("Your rule says:", SIDES[tuple(int(sign) for sign in np.sign(way.mean(axis=0)))])
assert recorded == (1, -1) and tuple(to_islands) == (-1, -1)
assert np.array_equal(np.sign(way.mean(axis=0)), recorded)

# %% [markdown]
# Down: D has turned the ground under the fakes orange, and they come back. But to the right, not to the left! D's
# new ground is blue there too, for lack of fakes that would have taught it otherwise. Who guessed "towards the
# islands" has one sign wrong. Your rule, which only looks at the ground, has both.
#
# **The fakes do not go to the data. They go where D's ground rises, and D's ground is as good as the fakes that D
# has seen.** So D has to be shown the new fakes after each move of G, and G has to follow each new ground. That is
# the game.

# %% [markdown]
# ## 6. A round of the game
#
# These are the rules, as Goodfellow and others wrote them down in 2014 (their algorithm 1). In each round:
#
# - draw noise, as much as there are real points, and let G make fakes of it;
# - teach D with the real points and these fakes;
# - draw new noise;
# - teach G with it. G makes its fakes itself, and asks D.
#
# Write a round. `game` gives you `game.noise(N)` (N, 2), `game.G(noise)` (N, 2), `game.teach_D(real, fake)` and
# `game.teach_G(noise)`. `real` is an array (N, 2). The last line, which returns the weights of both players, is
# there already.


# %% exercise="00.play_round"
def play_round(real, game):
    """One round: D is taught once, then G once. Returns D's weights and G's."""
    ### BEGIN SOLUTION
    noise = game.noise(len(real))
    fake = game.G(noise)
    game.teach_D(real, fake)
    noise = game.noise(len(real))
    game.teach_G(noise)
    ### END SOLUTION
    return game.weights()


# %% check="00.play_round"
check("00.play_round", play_round).raise_if_wrong()

# %% [markdown]
# Now play it with the real players. `Game` puts the library's parts behind the four names. Next to it the board
# plays the same rounds, and hands us the real points that it draws. After ten rounds the players must stand where
# the board's do.


# %%
class Game:
    """Two networks and their four buttons, with the same noise as the board."""

    def __init__(self, generator, discriminator, lr):
        self.generator, self.discriminator = generator, discriminator
        self.G_optimizer, self.D_optimizer = Adam(generator, lr), Adam(discriminator, lr)
        self.draws = 0

    def noise(self, N):
        self.draws += 1
        return rng((0, self.draws - 1)).standard_normal((N, 2), dtype="float32")

    def G(self, noise):
        return self.generator(noise)

    def teach_D(self, real, fake):
        d_gradients(self.discriminator, losses.non_saturating, real, fake)
        self.D_optimizer.step()

    def teach_G(self, noise):
        g_step(self.generator, self.discriminator, self.G_optimizer, losses.non_saturating, noise)

    def weights(self):
        return self.discriminator.theta.copy(), self.generator.theta.copy()


game = Game(*small_networks(rng(0)), lr=1e-3)
board = Board(ISLANDS, *small_networks(rng(0)), lr=1e-3, every=50)
for _ in range(10):
    real = board.step("D").trace["x_real"]
    board.step("G")
    D_weights, G_weights = play_round(real, game)

together = np.allclose(D_weights, board.D.theta, atol=1e-5) and np.allclose(G_weights, board.G.theta, atol=1e-5)
print(
    f"{len(D_weights):,} weights of D and {len(G_weights):,} of G, ten rounds: your game is the board's: {together}"
)
assert together

# %% [markdown]
# Let the board play on, thousands of moves, D and G in turn. To judge where the fakes end we need two numbers to
# compare with: the energy distance at the start, and a **floor**, that of two crowds of *real* points. No
# generator can be expected to do better than the floor.

# %%
board.play((1200 if FAST else 3000) - board.t)
history = board.history  # at every 50th moment
first, last = history["energy"][0], np.median(history["energy"][-10:])
draws = np.random.default_rng(3)
pairs = [energy_distance(ISLANDS.sample(512, draws), ISLANDS.sample(512, draws)) for _ in range(20)]
floor = max(pairs)

print(f"energy distance to the real points: {first:.1f} at the start, {last:.1g} over the last 500 moves")
print(f"two crowds of real points: {np.mean(pairs):.1g} on average, at most {floor:.1g} in 20 pairs")
print(f"D is right in {np.mean(history['accuracy'][-10:]):.1f} of all cases over the last 500 moves")
assert last < first / 10, "the fakes end much closer to the real points than they began"
assert last > 5 * np.mean(pairs), "and they are not perfect"
assert 0.4 < np.mean(history["accuracy"][-10:]) < 0.7

# %% [markdown]
# So the answer is 3: nearly on the real points, though G has never seen one. Nearly: two crowds of real points are
# still closer to each other. Here is the whole game as a film. Watch the first seconds for what you have met by
# hand: the crowd follows the blue, overshoots, and D turns the ground under it.
#
# ![The fakes wander over D's ground and settle on the three islands](pictures/00_game.gif)

# %%
folder = os.environ.get("MINIGAN_PICTURES")  # the film is drawn anew only where this names a folder to write it to
if folder:
    end, frames = board.t, []
    for t in [*range(0, 200, 10), *range(200, 600, 25), *range(600, end + 1, 100)]:
        film = Figure(figsize=(5.2, 5.0))
        energy = energy_distance(fakes(board.goto(t)), REAL)
        show(film.add_subplot(), board, f"move {t:>4}    energy distance {energy:.2f}")
        film.subplots_adjust(left=0.1, right=0.98, top=0.93, bottom=0.1)
        frames.append(viz.pixels(film, 80))
    viz.save_animation(frames, Path(folder) / "00_game.gif", seconds=9)
    board.goto(end)


# %%
def at_dpi(figure, dpi):
    """The same figure, with so many pixels an inch."""
    figure.set_dpi(dpi)
    return figure


at_dpi(board.draw(), 92)

# %% [markdown]
# This is the library's picture of a moment, in six panels. Four of them you can read today.
#
# - Panel 1 is our own picture. D's ground is pale now, near 1/2 around the islands: there is little left to tell.
# - Panel 3 is your rule. Black is what each fake wants, green what it gets. The mean cosine says how well the two
#   agree: +1 the same way, 0 across, -1 against.
# - Panel 5 has the numbers over time, each beside its floor.
# - Panel 2 shows why the fakes are not perfect. G bends and stretches the plane of noise like a sheet of rubber, and
#   a sheet that is pulled onto three islands leaves some threads between them.

# %% [markdown]
# ## 7. Another game from the same moment
#
# A match cannot be played twice from the same position, a game on the board can. Go back to t = 600, and go on
# from there for 600 moves in five ways:
#
# - **as before**;
# - **large moves**: each move a hundred times as large (the *learning rate* `lr`, 0.1 instead of 0.001);
# - **small moves**: each a hundred times as small;
# - **another rule**: D's verdict is scored by its squared distance from 0 and 1 (the loss `least_squares`; lesson 03
#   is about such rules);
# - **D stops**: from here on only G moves, 300 times.
#
# **Predict.** Which of the four others ends nearer to the islands than it is at t = 600, which stays there, and
# which ends farther off?
#
# <details><summary>The answer</summary>
#
# Large moves end far off: both players jump past each other. Small moves stay. The other rule comes nearer, here
# not as fast. And where D stops, the fakes come no nearer and drift away, as in section 4.
#
# </details>

# %%
fork_point = history["energy"][list(history["t"]).index(600)]
board.goto(600)
ways = {
    "as before": board.fork().play(600),
    "large moves": board.fork(lr=0.1).play(600),
    "small moves": board.fork(lr=1e-5).play(600),
    "another rule": board.fork(loss=losses.least_squares).play(600),
    "D stops": board.fork(),
}
for _ in range(300):
    ways["D stops"].step("G")

figure, axes = plt.subplots(2, 3, figsize=(9.6, 6.6))
curves = axes[1, 2]
ends = {}
for number, ((name, way), place, colour) in enumerate(
    zip(ways.items(), axes.flat, (BLUE, ORANGE, "#777777", "#56B4E9", INK)), start=1
):
    moments, energy = way.history["t"], way.history["energy"]
    ends[name] = np.median(energy[moments > (600 + moments[-1]) // 2])  # over the second half of what follows
    show(place, way, f"{number}  {name}: {ends[name] / fork_point:.1g} times")
    after = moments >= 600
    curves.semilogy(moments[after] - 600, energy[after], color=colour)
    curves.annotate(f"{number}", (moments[-1] - 600, energy[-1]), (4, -4), textcoords="offset points", color=colour)
curves.axhline(floor, color=INK, linewidth=0.8, linestyle=":")
curves.annotate("two crowds of real points", (0, floor), (0, 4), textcoords="offset points", fontsize=9)
curves.set(xlabel="moves after t = 600", ylabel="energy distance (plane's unit)", ylim=(floor / 2, 5), xlim=(0, 680))
curves.set_title("Five games from one moment", loc="left", fontsize=10)
curves.set_box_aspect(1)
figure.tight_layout()

print("energy distance over the second half of what follows, over that at t = 600:")
for name, end in ends.items():
    print(f"  {name:<15}{end / fork_point:.1g}")
assert ends["as before"] < fork_point / 2
assert ends["large moves"] > 2 * fork_point
assert 0.5 < ends["small moves"] / fork_point < 1.5
assert ends["another rule"] < fork_point
assert ends["D stops"] > 2 * ends["as before"]

# %% [markdown]
# The number in a title is the energy distance over the second half, as a multiple of that at t = 600. Two lessons
# lie in this picture. The players must move at a pace at which the other one can follow: much of the craft of
# training GANs is about that. And a G without a D that learns is lost.
#
# ## 8. How the library does it
#
# Here are the two moves that you have pressed all the time. Read their first lines, not every word: `forward` is
# "what does the network say", `backward` is "which way should it change", `optimizer.step()` is the move. Look for
# the rules: D's move ends with a step of D's optimizer, G's with a step of G's, and only D's has `x_real`.

# %%
print(inspect.getsource(d_step))
print(inspect.getsource(g_step))

# %% [markdown]
# In lesson 05 you will have written every line of them.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In section 2, press D 600 times instead of 60. Does G's first move, in section 3, still go right and up? How
#    far do the fakes go?
# 2. In section 6, exchange the two arguments of `game.teach_D`. What does the check say? Without the check, play a
#    hundred such rounds, and look at `game.G(NOISE)`.
# 3. In section 6, make the board with `d_steps=5`, five moves of D for each of G. Is the end nearer to the floor?
#    (A move of the board is a move of one player: give it three times as many.)
# 4. Take other weights to begin with: `small_networks(rng(1))`. Which of the recorded signs change, and does the
#    game of section 6 still end near the islands? Find a start where it ends worst.
# 5. In section 7, fork with `loss=losses.wasserstein`. It is a famous rule, and it needs a leash on D, which is
#    missing here. Lesson 11 says which.
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("00.share_right", share_right)
assert check("00.which_way", which_way)
assert check("00.play_round", play_round)
assert early_recorded == (-1, -1) and recorded == (1, -1)
assert last < first / 10
print("The rules of the game: D learns to tell, G follows D's ground, and each needs the other to go on learning.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 01**, where you build the instrument that tells a right gradient from a wrong one: the first step to
#   writing `backward` yourself.
# - I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville and Y. Bengio,
#   "Generative adversarial nets", *Advances in Neural Information Processing Systems* 27, 2014: the game.
#   Algorithm 1 is your `play_round`.
# - I. Goodfellow, "NIPS 2016 tutorial: generative adversarial networks", arXiv:1701.00160, 2016: the questions that
#   one asks next, answered in prose.
# - M. Kahng, N. Thorat, D. H. Chau, F. Viégas and M. Wattenberg, "GAN Lab: understanding complex deep generative
#   models using interactive visual experimentation", *IEEE Transactions on Visualization and Computer Graphics*
#   25(1), 2019: the game in a browser. Our board owes it the picture of points over D's ground.
# - G. Székely and M. Rizzo, "Energy statistics: a class of statistics based on distances", *Journal of Statistical
#   Planning and Inference* 143(8), 2013: the energy distance.
