# %% [markdown]
# # 01. How do I know that my gradient is right?
#
# A GAN is two networks that learn by gradients. In this course you write every gradient by hand, and a wrong one
# seldom crashes. The loss still falls a little, the pictures are a little worse, and you look for the fault
# everywhere else. So before the first gradient we need an instrument that says "right" or "wrong".
#
# **You need** Python, NumPy, and what a derivative is. **Time** about 50 minutes. **You will write** a numeric
# gradient, an error measure, and a judge that tells right backward passes from wrong ones. **After it** you can
# check any backward pass you write, and you know four ways in which such a check passes although the gradient is
# wrong.

# %%
import inspect
import os

import matplotlib.pyplot as plt
import numpy as np

from minigan import gradcheck
from minigan.exercises import check
from minigan.gradcheck import problems
from minigan.gradcheck.compare import _relative
from minigan.layers import Layer, Softmax

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer points, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# The derivative of f at x is the limit of (f(x + h) - f(x)) / h as h goes to 0. Take f = exp and x = 1, and
# compute this quotient on a computer with h = 0.1, 0.01, 0.001, and so on down to 1e-16. What does its error do?
#
# 1. It falls all the way.
# 2. It falls to about 1e-16, the precision of a float64, and stays there.
# 3. It falls, and then it rises again.
#
# Write your answer down, with the h at which you think the error is smallest. Then unfold.
#
# <details><summary>The answer</summary>
#
# 3. It falls until h is about 1e-8, where the error is about 1e-8, and then it rises until nothing is left: at h
#    = 1e-16, x + h rounds to x, and the quotient is 0. The next two sections say why, and how to do better.
#
# </details>

# %% [markdown]
# ## 1. Two differences, and what they leave out
#
# Taylor's formula gives f at x + h from the derivatives at x. Put it into the quotient:
#
# $$\frac{f(x+h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \ldots$$
#
# The error falls like h. A tenth of the step is a tenth of the error. For f = exp every derivative is exp, so we
# know the right side exactly. The cell below divides the measured error by h f''/2: it should be nearly 1.

# %%
f, x0 = np.exp, 1.0
slope = np.exp(1.0)  # f'(1), and f''(1), and f'''(1)

for h in (1e-2, 1e-3):
    error = (f(x0 + h) - f(x0)) / h - slope
    print(f"h = {h:g}   error {error:.3e}   over h f''/2: {error / (h / 2 * slope):.4f}")
    assert abs(error / (h / 2 * slope) - 1) < h

# %% [markdown]
# Step to both sides instead. The terms with h^2 are then the same in f(x + h) and in f(x - h), and cancel:
#
# $$\frac{f(x+h) - f(x-h)}{2h} = f'(x) + \frac{h^2}{6} f'''(x) + \ldots$$
#
# This is the **central difference**. A tenth of the step is a hundredth of the error.

# %%
for h in (1e-1, 1e-2):
    error = (f(x0 + h) - f(x0 - h)) / (2 * h) - slope
    print(f"h = {h:g}   error {error:.3e}   over h^2 f'''/6: {error / (h**2 / 6 * slope):.4f}")
    assert abs(error / (h**2 / 6 * slope) - 1) < h**2

# %% [markdown]
# ## 2. Why smaller is not better
#
# A float64 keeps 53 binary digits, so each of the two values of f is off by up to |f| ε/2, with ε = 2^-52. Their
# difference is off by up to |f| ε, and division by 2h makes that large. The two errors together:
#
# $$E(h) \approx \frac{h^2}{6} |f'''(x)| + \frac{\varepsilon}{2h} |f(x)|$$
#
# The first term falls with h and the second one rises. (The rounding of x + h itself is of the same size and left
# out.)

# %%
EPS = np.finfo(np.float64).eps


def predicted(h, eps=EPS):
    return h**2 / 6 * slope + eps / (2 * h) * slope


for h in (1e-2, 1e-5, 1e-10):
    nearby = h * np.linspace(0.99, 1.01, 200)  # rounding scatters: take the worst of many steps near h
    worst = np.abs((f(x0 + nearby) - f(x0 - nearby)) / (2 * nearby) - slope).max()
    print(f"h = {h:g}   predicted {predicted(h):.0e}   measured, over predicted: {worst / predicted(h):.1f}")
    assert 0.6 < worst / predicted(h) < 2

# %% [markdown]
# The best step is where the derivative of E is zero, h |f'''| / 3 = ε |f| / (2 h^2):
#
# $$h^* = \left(\frac{3 \varepsilon |f|}{2 |f'''|}\right)^{1/3}$$

# %%
h_best = (3 * EPS / 2) ** (1 / 3)  # |f| = |f'''| for exp
h_best_32 = (3 * float(np.finfo(np.float32).eps) / 2) ** (1 / 3)
error_32 = predicted(h_best_32, float(np.finfo(np.float32).eps)) / slope
print(f"float64: best step {h_best:.1e}, relative error there {predicted(h_best) / slope:.1e}")
print(f"float32: best step {h_best_32:.1e}, relative error there {error_32:.1e}")
assert predicted(h_best) < min(predicted(h_best * 2), predicted(h_best / 2))

# %% [markdown]
# So h = 1e-5 is a good step for numbers of ordinary size in float64, and some ten digits are right. Many
# tutorials take h = 1e-7 or less, because "smaller is more exact"; for the central difference 1e-7 is forty times
# worse than 1e-5.
#
# Networks are trained in float32. There even the best step leaves five digits, and h = 1e-5 leaves two: a check
# cannot tell a right gradient from one that is wrong by a hundredth. **Train in float32, check in float64.**
#
# Now the picture of your prediction.

# %%
steps = np.logspace(-16, 0, 60 if FAST else 240)
one_sided = np.abs((f(x0 + steps) - f(x0)) / steps - slope) / slope
central = np.abs((f(x0 + steps) - f(x0 - steps)) / (2 * steps) - slope) / slope
x32, steps32 = np.float32(x0), steps.astype(np.float32)
central32 = np.abs((f(x32 + steps32) - f(x32 - steps32)) / (2 * steps32) - np.float32(slope)) / slope

figure, axes = plt.subplots()
axes.loglog(steps, one_sided, ".", color=ORANGE, markersize=3, label="one-sided, float64")
axes.loglog(steps, central, ".", color=BLUE, markersize=3, label="central, float64")
axes.loglog(steps, central32, "x", color="#999999", markersize=3, label="central, float32")
axes.loglog(steps, predicted(steps) / slope, color=INK, linewidth=1, label="E(h) of the formula")
axes.axvline(h_best, color=INK, linewidth=0.8, linestyle=":")
axes.annotate("$h^*$", (h_best, 3), ha="center", annotation_clip=False)
axes.set(xlabel="step h", ylabel="relative error", ylim=(1e-13, 2))
axes.set_title("Smaller is better, until it is worse", loc="left")
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()

falling = (steps > 1e-3) & (steps < 1e-1)
for name, errors, order in (("one-sided", one_sided, 1), ("central", central, 2)):
    fitted = np.polyfit(np.log10(steps[falling]), np.log10(errors[falling]), 1)[0]
    print(f"{name}: the error falls like h to the power {fitted:.2f}")
    assert abs(fitted - order) < 0.05
near, near_8 = (steps > h_best / 3) & (steps < h_best * 3), (steps > 3e-9) & (steps < 3e-8)
print("central at h* beats one-sided at its best:", bool(central[near].max() < 1e-10 < one_sided[near_8].max()))
assert central[near].max() < 1e-10 < one_sided[near_8].max()

# %% [markdown]
# Look at three things. On the right the slopes are 1 and 2: that is Taylor. On the left both curves rise and
# scatter: that is rounding, which has no formula, only a bound. And the bottom of the blue V lies where the
# formula puts it.

# %% [markdown]
# ## 3. Many variables: your first hole
#
# A loss is one number that depends on an array x of many entries. Its gradient is an array of the same shape. Let
# e_i be the array that is 1 in entry i and 0 elsewhere. Then
#
# $$\frac{\partial f}{\partial x_i} \approx \frac{f(x + h\,e_i) - f(x - h\,e_i)}{2h}$$
#
# Write it. `x` may have any number of axes; `np.ndindex(x.shape)` walks through all its indices. Do not write
# into `x`: whoever calls you still needs it.


# %% exercise="01.central_difference"
def central_difference(f, x, h):
    """The gradient of f at x, an array of x's shape. f takes such an array and gives a number."""
    ### BEGIN SOLUTION
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (f(x + e) - f(x - e)) / (2 * h)
    return gradient
    ### END SOLUTION


# %% check="01.central_difference"
check("01.central_difference", central_difference).raise_if_wrong()

# %% [markdown]
# Try it on a function whose gradient you know: f(x) = sum of x^3, with gradient 3 x^2.

# %%
rng = np.random.default_rng(0)
X = rng.standard_normal((4, 3))
numeric = central_difference(lambda v: (v**3).sum(), X, 1e-5)
print("largest difference below 1e-9:", bool(np.abs(numeric - 3 * X**2).max() < 1e-9))
assert np.abs(numeric - 3 * X**2).max() < 1e-9

# %% [markdown]
# ## 4. How much may two gradients differ?
#
# **Predict.** Yours and the numeric gradient differ by at most 1e-4. Is yours right?
#
# <details><summary>The answer</summary>
#
# Nobody can say. If the gradient's entries are about 1000, they agree in seven digits. If they are about 1e-4,
# yours may have the wrong sign. A difference means something only next to the size of what is compared.
#
# </details>
#
# So we divide by the size, entry by entry, and take the worst entry:
#
# $$\text{error}(a, b) = \max_i \frac{|a_i - b_i|}{\max(|a_i|, |b_i|, \text{floor})}$$
#
# Why a floor? Section 2 says that a numeric gradient carries a rounding error of about ε|f|/(2h), here some 1e-11 to
# 1e-10. Where the true gradient is 0, a perfect answer 0 stands against 1e-11, and 1e-11/1e-11 = 1 would mean "wrong
# by 100 %". Below, an error of 1e-5 shall pass. For rounding to pass even when it is 1e-9, take the floor
# 1e-9/1e-5 = 1e-4.


# %% exercise="01.relative_error"
def relative_error(a, b, floor):
    """The largest |a - b| / max(|a|, |b|, floor) over the entries of two arrays of one shape: a number."""
    ### BEGIN SOLUTION
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)
    return (np.abs(a - b) / size).max()
    ### END SOLUTION


# %% check="01.relative_error"
check("01.relative_error", relative_error).raise_if_wrong()

# %% [markdown]
# What to expect in float64 with h = 1e-5:
#
# | error | what it means |
# |---|---|
# | below 1e-6 | right |
# | 1e-6 to 1e-4 | look again: a kink, a very curved function, or numbers far from ordinary size |
# | above 1e-4 | wrong |
#
# The next cell takes four claims about the gradient of sum(x^3) and measures each.

# %%
FLOOR = 1e-4
one_off = 3 * X**2
one_off[2, 1] *= 1.01
claims = {"3 x^2": 3 * X**2, "3 x^2, one entry off by 1 %": one_off, "x^2": X**2, "-3 x^2": -3 * X**2}
for claim, gradient in claims.items():
    error = relative_error(gradient, numeric, FLOOR)
    verdict = "right" if error < 1e-5 else f"wrong, error {error:.3f}"
    print(f"{claim:<30}{verdict}")
assert relative_error(3 * X**2, numeric, FLOOR) < 1e-6
assert relative_error(-3 * X**2, numeric, FLOOR) > 1.9  # an opposite sign always has error 2

# %% [markdown]
# ## 5. A layer has many outputs
#
# A layer takes an array x to an array y, and we have no single f to differentiate. What a backward pass computes
# is this. Somewhere behind the layer there is a loss L. Backward is handed dy = ∂L/∂y and returns dx = ∂L/∂x. By
# the chain rule, with J the matrix of all ∂y_i/∂x_j:
#
# $$dx_j = \sum_i \frac{\partial y_i}{\partial x_j} \, dy_i \qquad\text{that is}\qquad dx = J^T dy$$
#
# Take softmax on one row, y_i = e^{x_i} / Σ_k e^{x_k}. Its matrix is J_ij = y_i (δ_ij - y_j), with δ_ij = 1 where
# i = j and 0 elsewhere. The cell builds J column by column from central differences, compares, and then evaluates
# dx = J^T dy.

# %%
row, dy_row = rng.standard_normal(4), rng.standard_normal(4)


def softmax_row(v):
    return np.exp(v) / np.exp(v).sum()


J = np.stack([(softmax_row(row + 1e-5 * e) - softmax_row(row - 1e-5 * e)) / 2e-5 for e in np.eye(4)], axis=1)
y_row = softmax_row(row)
assert relative_error(np.diag(y_row) - np.outer(y_row, y_row), J, FLOOR) < 1e-6
print("J, rows i, columns j:")
print(np.round(J, 3))
print("dx = J^T dy:", np.round(J.T @ dy_row, 3))
assert np.allclose(J.T @ dy_row, [sum(J[i, j] * dy_row[i] for i in range(4)) for j in range(4)])

# %% [markdown]
# No layer ever builds J: for 64 images of 32 x 32 x 3 it would have 4 x 10^10 entries. In the **long form**,
# backward undoes forward line by line, one line back for each line forward.

# %%
x = rng.standard_normal((5, 4))  # (N, C): 5 samples, 4 classes
dy = rng.standard_normal((5, 4))  # (N, C): the upstream gradient

# forward
e = np.exp(x)  # (N, C)
s = e.sum(axis=1, keepdims=True)  # (N, 1)
y = e / s  # (N, C)

# backward, from the last line to the first
de = dy / s  # y = e / s, by e
ds = -(dy * e / s**2).sum(axis=1, keepdims=True)  # y = e / s, by s, which all of a row share
de += ds  # s = sum of e: ds goes to every entry of the row, on top of what is there
dx = de * e  # e = exp(x), and exp' = exp

# %% [markdown]
# Put the lines into each other and most of it cancels. The **short form** is
#
# $$dx_j = y_j \left(dy_j - \sum_i y_i\, dy_i\right)$$

# %%
short = y * (dy - (y * dy).sum(axis=1, keepdims=True))
layer = Softmax()
library_y, cache = layer.forward(x)
library_dx = layer.backward(dy, cache)
print("long form = short form:", np.allclose(dx, short, rtol=1e-12))
print("short form = the library's:", np.allclose(short, library_dx, rtol=1e-12))
assert np.allclose(dx, short, rtol=1e-12) and np.allclose(short, library_dx, rtol=1e-12)

# %% [markdown]
# And how is it checked without J? Choose any dy, and define the number
#
# $$L(x) = \sum_{n,i} y_{n,i}(x)\, dy_{n,i}$$
#
# Then ∂L/∂y is dy, and ∂L/∂x is what backward returns. L is one number, so `central_difference` does the rest.


# %%
def L(v):
    return (Softmax().forward(v)[0] * dy).sum()


error = relative_error(library_dx, central_difference(L, x, 1e-5), FLOOR)
print("softmax's backward:", "right" if error < 1e-6 else "wrong")
assert error < 1e-6

# %% [markdown]
# ## 6. Checks that prove nothing
#
# **Predict.** The upstream gradient was random. Many tutorials take ones, that is L = sum of y, to keep it
# simple. You check a softmax whose backward is twice too large, with dy = 1. Does the check see it?
#
# <details><summary>The answer</summary>
#
# No. A row of softmax sums to 1 whatever x is. So L is the number of rows, a constant, and its gradient is zero.
# Twice zero is zero, and the check passes. So does minus a hundred times.
#
# </details>
#
# In the formula: with dy_i = 1 for all i,
#
# $$dx_j = y_j \left(1 - \sum_i y_i\right) = 0$$


# %%
def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, x):
    y = softmax(x)
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))


ones = np.ones_like(x)
print("with dy = 1, dx is zero up to rounding:", bool(np.abs(softmax_backward(ones, x)).max() < 1e-15))
assert np.abs(softmax_backward(ones, x)).max() < 1e-15

# %% [markdown]
# Batch norm does the same to ones, and has a trap of its own. It takes from each feature its mean over the N
# samples, and divides by the standard deviation. (Lesson 08 derives its backward; here it only serves as a
# patient.) With a single sample, x minus its mean is 0 whatever x is. The output is constant, and the gradient is
# zero again.
#
# Now we hand the check a right backward and garbage, minus seven times the right one, for batches of 1 to 8; and
# beside it softmax, right and doubled, with both kinds of dy.


# %%
def batch_norm(x, eps=1e-5):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def batch_norm_backward(dy, x, eps=1e-5):
    x_hat = batch_norm(x, eps)
    return (dy - dy.mean(axis=0) - x_hat * (dy * x_hat).mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def times(factor, backward):
    return lambda dy, x: factor * backward(dy, x)


def measured(forward, backward, x, dy):
    """The relative error of a backward pass at x (N, C) with the upstream gradient dy (N, C)."""
    numeric = central_difference(lambda v: (forward(v) * dy).sum(), x, 1e-5)
    return relative_error(backward(dy, x), numeric, FLOOR)


batches = list(range(1, 9))
right, garbage, gradient_size = [], [], []
for N in batches:
    draws = np.random.default_rng(N)
    some_x, some_dy = draws.standard_normal((N, 3)), draws.standard_normal((N, 3))
    right.append(measured(batch_norm, batch_norm_backward, some_x, some_dy))
    garbage.append(measured(batch_norm, times(-7, batch_norm_backward), some_x, some_dy))
    gradient_size.append(np.abs(batch_norm_backward(some_dy, some_x)).max())

doubled = [measured(softmax, times(2, softmax_backward), x, upstream) for upstream in (ones, dy)]
correct = [measured(softmax, softmax_backward, x, upstream) for upstream in (ones, dy)]

LOWEST = 1e-12  # an error of exactly 0 has no place on a logarithmic axis: it is drawn here
figure, (left, right_axes) = plt.subplots(1, 2, width_ratios=(3, 2), sharey=True)
for axes, where, good, bad in ((left, batches, right, garbage), (right_axes, [0, 1], correct, doubled)):
    axes.plot(where, np.maximum(good, LOWEST), "o", color=BLUE, label="right backward")
    axes.plot(where, np.maximum(bad, LOWEST), "x", color=ORANGE, markersize=8, label="garbage")
    axes.axhline(1e-5, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
left.set(xlabel="samples in the batch", ylabel="relative error", title="batch norm, garbage = -7 x right")
left.text(8.3, 1.6e-5, "below: passes", ha="right", fontsize=9)
left.legend(loc="center right", bbox_to_anchor=(1, 0.76))
right_axes.set(
    xticks=[0, 1], xticklabels=["dy = 1", "dy random"], xlim=(-0.5, 1.5), title="softmax, garbage = 2 x right"
)
figure.tight_layout()

assert garbage[0] == 0, "a batch of one: the garbage passes"
assert min(garbage[1:]) > 0.01, "every larger batch: it is caught"
assert doubled[0] < 1e-5 < 0.1 < doubled[1], "ones let the doubled softmax pass, random numbers do not"
for N in (1, 2, 8):
    print(f"batch norm's largest dx with N = {N}: {gradient_size[N - 1]:.0e}")
assert gradient_size[1] < 1e-2 * gradient_size[7]

# %% [markdown]
# Where the cross lies below the dotted line, the check calls garbage right. Both times the reason is the same:
# **the right gradient was zero**, and a multiple of zero is zero. Two samples are nearly as bad for batch norm:
# its outputs are then almost exactly +1 and -1 whatever x is, and the gradient is nearly nothing. Hence the
# rules: *a random upstream gradient, a batch of at least four, and a look at whether the gradient is zero.*
#
# ## 7. Kinks
#
# ReLU is max(0, x). At 0 it has a kink and no derivative. If x is nearer to 0 than h, the two sides of the
# central difference stand on different pieces. For |x| < h,
#
# $$\frac{\text{relu}(x+h) - \text{relu}(x-h)}{2h} = \frac{x + h}{2h}$$
#
# which is neither 0 nor 1. A right backward then fails.

# %%
h = 1e-5
for at, true in ((-2e-6, 0), (5e-6, 1), (0.3, 1)):
    numeric = (max(0, at + h) - max(0, at - h)) / (2 * h)
    by_formula = f"{(at + h) / (2 * h):.2f}" if abs(at) < h else "does not apply"
    print(f"x = {at:<8g}derivative {true}   central difference {numeric:.2f}   formula {by_formula}")
    assert abs(at) >= h or abs(numeric - (at + h) / (2 * h)) < 1e-9

# %% [markdown]
# So draw x away from kinks: for instance a random sign times a number between 0.1 and 1.1. That is what
# `gradcheck.draw` does.
#
# ## 8. Your judge: the third hole
#
# You get six layers, each a pair (forward, backward): `forward(x)` gives y of x's shape (N, M), `backward(dy, x)`
# gives dx. Some backwards are right and some are wrong; their order is your own. x lies away from kinks, and
# `rng` is a random generator (`rng.standard_normal(shape)`). Return a list: True for each right one. Use what you
# have written, with the floor FLOOR.


# %% exercise="01.verdicts"
def verdicts(layers, x, rng):
    """For each (forward, backward) of layers: is its backward right at x (N, M)? A list of True and False."""
    ### BEGIN SOLUTION
    dy = rng.standard_normal(x.shape)  # random: ones would let a softmax pass
    found = []
    for forward, backward in layers:
        numeric = central_difference(lambda v, forward=forward: (forward(v) * dy).sum(), x, 1e-5)
        found.append(relative_error(backward(dy, x), numeric, FLOOR) < 1e-5)
    return found
    ### END SOLUTION


# %% check="01.verdicts"
check("01.verdicts", verdicts).raise_if_wrong()

# %% [markdown]
# ## 9. A million variables
#
# Central differences of n variables cost 2n evaluations of L. For a network of a million weights that is out of
# the question. But a gradient also gives the slope along *any* direction v, and that costs two:
#
# $$\sum_i \frac{\partial L}{\partial x_i} v_i \approx \frac{L(x + h v) - L(x - h v)}{2h}$$
#
# With a random v a wrong gradient has no chance to hide: a fault d goes unseen only if d and v are perpendicular.

# %%
million = rng.standard_normal(100_000 if FAST else 1_000_000)
v = rng.standard_normal(million.shape)
v /= np.linalg.norm(v)


def big_loss(x):
    return np.sin(x).sum()


along_v = (big_loss(million + 1e-3 * v) - big_loss(million - 1e-3 * v)) / 2e-3
gradient = np.cos(million)
half_turned = np.where(np.arange(len(v)) < len(v) // 2, gradient, -gradient)
print("right gradient agrees:", bool(abs(gradient @ v - along_v) < 1e-6))
print("one with the signs of its last half turned agrees:", bool(abs(half_turned @ v - along_v) < 1e-6))
assert abs(gradient @ v - along_v) < 1e-6 < abs(half_turned @ v - along_v)

# %% [markdown]
# ## 10. How the library does it
#
# `minigan.gradcheck` is this lesson and some more. Its difference, its relative error with the floor, and the
# numbers that it draws:

# %%
for function in (problems.slope, _relative, gradcheck.draw):
    print(inspect.getsource(function))

# %% [markdown]
# Yours and the library's difference agree to the last digits:

# %%
problem = problems.LossProblem(lambda x: ((x**3).sum(), 3 * x**2), {"x": X})
theirs = problems.numeric_gradient(problem, "x", X, np.arange(X.size)).reshape(X.shape)
ours = central_difference(lambda v: (v**3).sum(), X, problems.H)
print("the same:", bool(np.abs(ours - theirs).max() < 1e-9))
assert np.abs(ours - theirs).max() < 1e-9

# %% [markdown]
# What it has more: it tries the usual mistakes against a wrong gradient and names the one that fits. Here is a
# mistake seen in teaching code: a softmax that takes each output to depend on its own input alone, dx = dy y (1 -
# y).


# %%
class DiagonalSoftmax(Layer):
    def forward(self, x, train=True):
        y = softmax(x)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return dy * y * (1 - y)

    def __repr__(self):
        return "DiagonalSoftmax()"


report = gradcheck.check_layer(DiagonalSoftmax(), (5, 4))
print(report.diagnoses[0])
assert not report and "only the diagonal of the Jacobian" in report.diagnoses[0]
assert gradcheck.check_layer(Softmax(), (5, 4)), "and the right one passes"

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `verdicts`, take `dy = np.ones_like(x)`. Which of the six slips through, and what does the check say?
# 2. In `verdicts`, take a step of 1e-12. Which of the six are called wrong now? Look at the left of the first
#    picture.
# 3. Check `np.abs` (backward: dy times the sign of x) at an x that contains an exact 0. What is the numeric slope
#    there, and why does it look right?
# 4. Multiply a right backward by 1.001, and then by 1 + 1e-7. What is the smallest fault that your judge can see?
#    Why does nobody need to see a smaller one?
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("01.central_difference", central_difference)
assert check("01.relative_error", relative_error)
assert check("01.verdicts", verdicts)
print("A judge that tells right backwards from wrong ones, in float64, with a random upstream gradient.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 02**, where you write your first backward passes and hold them against this check.
# - J. Nocedal and S. Wright, *Numerical Optimization*, 2nd edition, Springer 2006, section 8.1: the two
#   differences and their best steps.
# - The notes of Stanford's course CS231n, "Neural Networks Part 3", section "Gradient checks": relative errors,
#   kinks, and advice from practice.
# - W. Squire and G. Trapp, "Using complex variables to estimate derivatives of real functions", *SIAM Review*
#   40(1), 1998: f(x + ih) gives a derivative without a difference, so without its rounding. Two pages.
# - A. G. Baydin, B. Pearlmutter, A. Radul and J. Siskind, "Automatic differentiation in machine learning: a
#   survey", *Journal of Machine Learning Research* 18(153), 2018: what frameworks do instead of what we do by
#   hand.
