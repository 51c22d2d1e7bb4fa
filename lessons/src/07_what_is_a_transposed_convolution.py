# %% [markdown]
# # 07. What is a transposed convolution?
#
# A generator of images starts with a few numbers and has to end with many pixels. The layer that makes more pixels
# out of fewer is the **transposed convolution**. It also goes by "deconvolution", "up-convolution" and "fractionally
# strided convolution", and each name suggests something that is not quite so. Its meaning is simple. A convolution
# is multiplication by a matrix A, and this layer multiplies by A^T.
#
# **You need** lesson 02: what a backward pass is, and the one of a dense layer. What a convolution is, you learn
# here. **Time** about 55 minutes. **You will write** the sizes of a convolution, the fold that adds overlapping
# windows up, and the transposed convolution. **After it** you can say what size comes out of either layer, you have
# seen that the one's matrix is the transpose of the other's, and you know where the checkerboards in generated
# images come from.

# %%
import inspect
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from minigan.data import load_digits
from minigan.exercises import check
from minigan.gradcheck import check_layer
from minigan.layers import Conv, ConvTranspose, Upsample
from minigan.layers.conv import Windows, correlate, spread

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer cases, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})

# %% [markdown]
# ## Predict first
#
# Take a handwritten digit of 28 x 28 pixels. A convolution of stride 2, with one channel in and one out, makes
# 14 x 14 numbers of it. Then a transposed convolution with the same kernel and stride makes 28 x 28 pixels again.
# What do you get?
#
# 1. The digit, pixel by pixel. That is why the layer is called deconvolution.
# 2. The digit, pixel by pixel, if the kernel is well chosen, and something blurred otherwise.
# 3. Never the digit. At best a blurred likeness of it, whatever the kernel is.
#
# <details><summary>The answer</summary>
#
# 3. The 14 x 14 numbers in the middle are 196, and a digit has 784. Three quarters of the directions in which images
# differ are gone, and no linear layer brings them back. The transposed convolution undoes only the change of
# *size*. Section 8 shows it with a number, and shows also what a deconvolution really is.
#
# </details>

# %% [markdown]
# ## 1. Six loops
#
# A convolution looks at an image through a small window at many places, and takes the same weighted sums at each.
# All arrays in this course have their channels last:
#
# | array | shape | what it is |
# |---|---|---|
# | x | (N, h, w, I) | N images of h x w pixels, with I channels |
# | W | (kh, kw, I, O) | the kernel: a weight for each pixel of the window, channel in, channel out |
# | b | (O,) | the bias |
# | y | (N, oh, ow, O) | for each place of the window, O numbers |
#
# The window moves by the **stride** s, in pixels, and around x there are p rows and columns of zeros, the
# **padding**. For one image, at the place in row r and column c of y, and for the output channel j:
#
# $$y_{r,c,j} = b_j + \sum_{u,v,i} x_{\,sr+u-p,\; sc+v-p,\; i}\; W_{u,v,i,j}$$
#
# where x is 0 outside of the image. These are six loops, over r, c, j, u, v and i. With a batch there is a seventh.


# %%
def conv_loops(x, W, b, stride, padding):
    """The definition, for one image: x (h, w, I) -> y (oh, ow, O)."""
    (h, w, n_in), (kh, kw, _, n_out) = x.shape, W.shape
    oh = len(range(0, h + 2 * padding - kh + 1, stride))  # places where a whole window fits, counted one by one
    ow = len(range(0, w + 2 * padding - kw + 1, stride))
    y = np.zeros((oh, ow, n_out))
    for r, c, j in itertools.product(range(oh), range(ow), range(n_out)):
        y[r, c, j] = b[j]
        for u, v, i in itertools.product(range(kh), range(kw), range(n_in)):
            row, column = stride * r + u - padding, stride * c + v - padding
            if 0 <= row < h and 0 <= column < w:
                y[r, c, j] += x[row, column, i] * W[u, v, i, j]
    return y


rng = np.random.default_rng(7)
x = rng.standard_normal((2, 7, 6, 3))  # (N, h, w, I): 2 images of 7 x 6 pixels, 3 channels
layer = Conv(3, 4, (3, 3), stride=2, padding=1, rng=rng).astype("float64")
layer.params["b"][...] = rng.standard_normal(4)
W, b = layer.params["W"], layer.params["b"]
y, cache = layer.forward(x)
print(f"x {x.shape}   W {W.shape}   b {b.shape}   y {y.shape}")
print("six loops = the library's layer:", np.allclose([conv_loops(one, W, b, 2, 1) for one in x], y, rtol=1e-12))
assert np.allclose([conv_loops(one, W, b, 2, 1) for one in x], y, rtol=1e-12)

# %% [markdown]
# Mathematicians call this a correlation. In their convolution the kernel is turned by 180 degrees, u where -u stands.
# For a network that learns its kernel this makes no difference, and nearly all libraries do as we do. Keep it in
# mind: in section 7 a turned kernel comes up, and it is often put where it does not belong.
#
# ## 2. How large is y?
#
# In one direction x has n pixels, with its zeros n + 2p. The first window takes k of them, and each step moves on by
# s. So n + 2p - k pixels are left for steps. Divide with a remainder:
#
# $$n + 2p - k = s\,(o - 1) + \text{rest}, \qquad 0 \le \text{rest} < s$$
#
# o - 1 is the number of steps, o the number of places. The **rest** are rows (or columns) at the end of the padded
# image that no window reaches. Write both down, in both directions. The results are whole numbers: `//` and `%`.


# %% exercise="07.conv_sizes"
def conv_sizes(x, W, stride, padding):
    """The shape of y, (N, oh, ow, O), and the rest, (in rows, in columns); x (N, h, w, I), W (kh, kw, I, O)."""
    ### BEGIN SOLUTION
    N, h, w, _ = x.shape
    kh, kw, _, n_out = W.shape
    left_h, left_w = h + 2 * padding - kh, w + 2 * padding - kw  # pixels left for steps
    return (N, left_h // stride + 1, left_w // stride + 1, n_out), (left_h % stride, left_w % stride)
    ### END SOLUTION


# %% check="07.conv_sizes"
check("07.conv_sizes", conv_sizes).raise_if_wrong()

# %% [markdown]
# The formula for o alone, as you find it in every documentation, with ⌊ ⌋ for rounding down:
#
# $$o = \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# Does it hold for all sizes? We count the windows for each n, k, s, p up to some bound, and ask the library, too.


# %%
def cases(largest):
    """Every n, k, s, p up to a bound for which at least one window fits."""
    for n, k, s, p in itertools.product(range(1, largest + 1), range(1, 6), range(1, 5), range(3)):
        if n + 2 * p >= k:
            yield n, k, s, p


tried = 0
for n, k, s, p in cases(6 if FAST else 12):
    image, kernel = np.zeros((1, n, n + 1, 1)), np.zeros((k, k, 1, 1))
    (_, o, o_wide, _), rest = conv_sizes(image, kernel, s, p)
    assert o == (n + 2 * p - k) // s + 1
    assert o == len([start for start in range(n + 2 * p) if start % s == 0 and start + k <= n + 2 * p])
    assert Conv(1, 1, (k, k), s, p, rng=rng).output_shape((n, n + 1, 1)) == (o, o_wide, 1)
    assert n + 2 * p - k == s * (o - 1) + rest[0]
    tried += 1
print(f"the formula, the count and the library agree in all {tried} cases")

# %% [markdown]
# ## 3. One matrix product
#
# Six loops in Python are far too slow for images. But the inner three are a sum of products, as in a matrix
# product. Copy every window out of the image and lay it flat as a row: kh kw I numbers. The image becomes a matrix U
# with a row for each place of the window, and with W laid flat in the same order, to kh kw I rows and O columns,
#
# $$Y = U\,W + b$$
#
# is a dense layer. To copy the windows is called **im2col** or **unfold**. We copy by taps, not by windows: what
# stands at (u, v) in all the windows is the image from (u, v) on, every s-th pixel. That leaves kh kw copies, nine
# for a 3 x 3 kernel, however large the image. The price is memory: U holds each pixel as often as there are windows
# that see it, about kh kw/s^2 times.


# %%
def unfold(x, W, stride, padding):
    """Every window of x (N, h, w, I) -> columns (N, oh, ow, kh, kw, I). Of W only the sizes matter."""
    (N, _, _, n_in), (kh, kw, _, _) = x.shape, W.shape
    _, oh, ow, _ = (int(size) for size in conv_sizes(x, W, stride, padding)[0])
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    columns = np.empty((N, oh, ow, kh, kw, n_in), x.dtype)
    for u, v in itertools.product(range(kh), range(kw)):
        columns[:, :, :, u, v] = padded[:, u : u + stride * oh : stride, v : v + stride * ow : stride]
    return columns


def conv(x, W, stride, padding):
    """The convolution without its bias: x (N, h, w, I) -> y (N, oh, ow, O)."""
    columns, n_out = unfold(x, W, stride, padding), W.shape[-1]
    U = columns.reshape(-1, W[..., 0].size)  # (N oh ow, kh kw I)
    return (U @ W.reshape(-1, n_out)).reshape(*columns.shape[:3], n_out)


U = unfold(x, W, 2, 1).reshape(-1, 3 * 3 * 3)
print(f"U {U.shape}   W laid flat {W.reshape(-1, 4).shape}   Y {(U @ W.reshape(-1, 4)).shape}")
print("one matrix product = six loops:", np.allclose((U @ W.reshape(-1, 4) + b).reshape(y.shape), y, rtol=1e-12))
assert np.allclose((U @ W.reshape(-1, 4) + b).reshape(y.shape), y, rtol=1e-12)
assert np.allclose(conv(x, W, 2, 1) + b, y, rtol=1e-12)

# %% [markdown]
# ## 4. Backward, and what becomes of the copies
#
# In the long form every line of forward has its line of backward. The one line that matters in the six loops is
# `y += x * W`. By the chain rule, what comes from above, dy, goes to x with the factor W, and to W with the factor x:


# %%
def conv_loops_backward(dy, x, W, stride, padding):
    """dx, dW, db for one image, in the same six loops."""
    dx, dW, db = np.zeros_like(x), np.zeros_like(W), np.zeros(W.shape[-1])
    (h, w, n_in), (kh, kw, _, n_out) = x.shape, W.shape
    for r, c, j in itertools.product(range(dy.shape[0]), range(dy.shape[1]), range(n_out)):
        db[j] += dy[r, c, j]  # y = b
        for u, v, i in itertools.product(range(kh), range(kw), range(n_in)):
            row, column = stride * r + u - padding, stride * c + v - padding
            if 0 <= row < h and 0 <= column < w:
                dx[row, column, i] += dy[r, c, j] * W[u, v, i, j]  # y += x * W, by x
                dW[u, v, i, j] += dy[r, c, j] * x[row, column, i]  # y += x * W, by W
    return dx, dW, db


dy = rng.standard_normal(y.shape)
by_loops = [conv_loops_backward(some_dy, some_x, W, 2, 1) for some_dy, some_x in zip(dy, x)]
looped = (
    np.stack([dx for dx, _, _ in by_loops]),  # each image has its own dx,
    sum(dW for _, dW, _ in by_loops),  # and all share W and b: a sum
    sum(db for _, _, db in by_loops),
)
library_dx = layer.backward(dy, cache)
library = (library_dx, layer.grads["W"], layer.grads["b"])
for name, ours, theirs in zip(("dx", "dW", "db"), looped, library):
    print(f"{name} by loops = the library's:", np.allclose(ours, theirs, rtol=1e-10))
    assert np.allclose(ours, theirs, rtol=1e-10)

# %% [markdown]
# With the matrix product, Y = U W + b is the dense layer of lesson 02, and so is its backward:
#
# $$dW = U^T\,dY \qquad db = \sum_{\text{rows}} dY \qquad dU = dY\,W^T$$

# %%
rows = dy.reshape(-1, 4)  # dY: (N oh ow, O)
on_weights, on_bias = U.T @ rows, rows.sum(axis=0)
on_windows = rows @ W.reshape(-1, 4).T  # dU: (N oh ow, O) (O, kh kw I)
print("dW = the library's:", np.allclose(on_weights.reshape(W.shape), library[1], rtol=1e-10))
print("db = the library's:", np.allclose(on_bias, library[2], rtol=1e-10))
print(f"dU {on_windows.shape}, but x has {x.size} numbers and not {on_windows.size}")
assert np.allclose(on_weights.reshape(W.shape), library[1], rtol=1e-10)
assert np.allclose(on_bias, library[2], rtol=1e-10)

# %% [markdown]
# One step is left, from dU to dx. Forward copied each pixel into several windows. Backward **adds up** what comes
# back from all of its copies. This is **col2im** or **fold**, and its line in the long form is
#
# - forward: `columns[:, :, :, u, v] = padded[:, u : ..., v : ...]`
# - backward: `padded[:, u : ..., v : ...] += columns[:, :, :, u, v]`
#
# and at the end the zeros around x, which are no part of it, are cut off. Write it. If the rest is larger than the
# padding, x has pixels that no window sees. What should they get?


# %% exercise="07.fold"
def fold(columns, x_shape, stride, padding):
    """Add every number to the pixel that it came from: (N, oh, ow, kh, kw, I) -> x, of shape x_shape (N, h, w, I)."""
    ### BEGIN SOLUTION
    N, h, w, n_in = x_shape
    _, oh, ow, kh, kw, _ = columns.shape
    padded = np.zeros((N, h + 2 * padding, w + 2 * padding, n_in), columns.dtype)
    for u, v in itertools.product(range(kh), range(kw)):
        padded[:, u : u + stride * oh : stride, v : v + stride * ow : stride] += columns[:, :, :, u, v]
    return padded[:, padding : padding + h, padding : padding + w]
    ### END SOLUTION


# %% check="07.fold"
check("07.fold", fold).raise_if_wrong()

# %% [markdown]
# Pixels that no window sees get 0: they have no influence on y. With your `fold` the short form of backward is
# complete.

# %%
dx = fold(on_windows.reshape(*dy.shape[:3], *W.shape[:3]), x.shape, 2, 1)  # (N, oh, ow, kh, kw, I) -> (N, h, w, I)
print("dx by fold = the library's:", np.allclose(dx, library_dx, rtol=1e-10))
assert np.allclose(dx, library_dx, rtol=1e-10)
unseen = fold(np.ones((1, 1, 1, 3, 3, 1)), (1, 3, 4, 1), 2, 0)[0, :, 3, 0]  # 4 columns, one window of 3
print("what the unseen pixels get:", *unseen)
assert not unseen.any()
print("and the library's is the derivative:", bool(check_layer(layer, x.shape)))
assert check_layer(layer, x.shape)

# %% [markdown]
# ## 5. A convolution is a matrix
#
# Leave the bias out. Every number of y is then a weighted sum of numbers of x, so the convolution is linear, and a
# linear map is a matrix. Lay x flat to a vector of h w I numbers, and y to one of oh ow O numbers. The formula of
# section 1 can be read off as entries. Pixel (a, b) is tap (a - sr + p, b - sc + p) of the window at (r, c), so
#
# $$A_{(r,c,j),\,(a,b,i)} = \begin{cases} W_{a-sr+p,\; b-sc+p,\; i,\, j} & \text{if there is such a tap} \\
# 0 & \text{otherwise}\end{cases}$$


# %%
def conv_matrix(W, x_shape, stride, padding):
    """A, entry by entry: (oh ow O, h w I)."""
    h, w, n_in = x_shape
    kh, kw, _, n_out = W.shape
    _, oh, ow, _ = (int(size) for size in conv_sizes(np.zeros((1, *x_shape)), W, stride, padding)[0])
    A = np.zeros((oh, ow, n_out, h, w, n_in))
    for r, c, row, column in itertools.product(range(oh), range(ow), range(h), range(w)):
        u, v = row - stride * r + padding, column - stride * c + padding
        if 0 <= u < kh and 0 <= v < kw:
            A[r, c, :, row, column, :] = W[u, v].T  # (O, I)
    return A.reshape(oh * ow * n_out, h * w * n_in)


A = conv_matrix(W, x.shape[1:], 2, 1)
flat = x.reshape(2, -1)  # (N, h w I)
print(f"A is {A.shape[0]} x {A.shape[1]}, and {(A != 0).mean():.0%} of its entries are not zero.")
print("A x = the convolution:", np.allclose((flat @ A.T).reshape(y.shape) + b, y, rtol=1e-10))
assert np.allclose((flat @ A.T).reshape(y.shape) + b, y, rtol=1e-10)

# %% [markdown]
# And for backward we have a second form at no cost. Lesson 01 says dx = J^T dy with J the matrix of all ∂y/∂x. For a
# linear map J is the matrix itself:
#
# $$dx = A^T dy$$

# %%
print("A^T dy = dx of the backward pass:", np.allclose((dy.reshape(2, -1) @ A).reshape(x.shape), dx, rtol=1e-10))
assert np.allclose((dy.reshape(2, -1) @ A).reshape(x.shape), dx, rtol=1e-10)

# %% [markdown]
# So you have already written a program that multiplies by A^T: the product with W^T and the fold. Before we give it
# its name, look at the two matrices. Here x is 5 x 5 pixels, the kernel 3 x 3, the stride 2, the padding 1, and y is
# 3 x 3. The numbers in the cells are the taps of the kernel, 1 to 9 in reading order.

# %%
taps = np.arange(1.0, 10.0).reshape(3, 3, 1, 1)
small = conv_matrix(taps, (5, 5, 1), 2, 1)  # (9, 25)
SHADES = LinearSegmentedColormap.from_list("taps", ["#8fc1e3", "#efe9d6", "#f2a26b"])

figure, panels = plt.subplots(1, 2, figsize=(9.4, 5.4), width_ratios=(25, 11))
for axes, matrix, columns_of, rows_of in (
    (panels[0], small, ("x", 5), ("y", 3)),
    (panels[1], small.T, ("y", 3), ("x", 5)),
):
    axes.imshow(np.where(matrix, matrix, np.nan), cmap=SHADES, vmin=1, vmax=9)
    for (row, column), tap in np.ndenumerate(matrix):
        if tap:
            axes.text(column, row, f"{tap:.0f}", ha="center", va="center", fontsize=8, color=INK)
    for k in range(columns_of[1] + 1):  # a line wherever a new row of the image begins
        axes.axvline(k * columns_of[1] - 0.5, color="#bbbbbb", linewidth=0.8)
    for k in range(rows_of[1] + 1):
        axes.axhline(k * rows_of[1] - 0.5, color="#bbbbbb", linewidth=0.8)
    ticks = [range(0, size**2, size) for _, size in (columns_of, rows_of)]
    axes.set(xticks=ticks[0], yticks=ticks[1])
    axes.set(xlabel=f"number in {columns_of[0]}, laid flat", ylabel=f"number in {rows_of[0]}, laid flat")
panels[0].set_title("A, 9 x 25: nine windows, a row each", loc="left", fontsize=11)
panels[1].set_title("$A^T$, 25 x 9", loc="left", fontsize=11)
figure.tight_layout()

in_a_row, in_a_column = (small != 0).sum(axis=1), (small != 0).sum(axis=0)
print("a window at a corner, an edge, the middle sees so many pixels:", *(int(n) for n in in_a_row[[0, 1, 4]]))
print("a pixel is seen by so many windows, from", in_a_column.min(), "to", in_a_column.max())
assert in_a_row[4] == 9 and in_a_row[0] == 4 and (in_a_column.min(), in_a_column.max()) == (1, 4)

# %% [markdown]
# Read a row of A: the window at one place, and where its taps lie in x. (At an edge some taps fall on the padding,
# and are missing.) The next row is the same, moved by the stride. It is one kernel nine times, and all else is zero:
# that is what "sparse" and "shared weights" mean. Read a *column* of A, which is a row of A^T: it says which windows
# a pixel is seen by. Some pixels are seen by one window and others by four. Remember this for section 9.
#
# ## 6. The transposed convolution
#
# **The transposed convolution is the map y ↦ A^T y.** That is the whole definition. It takes numbers of the shape
# of y to numbers of the shape of x. A matrix and its transpose are *adjoint*, which says for all x and y that
#
# $$\langle A x,\, y \rangle = \langle x,\, A^T y \rangle$$
#
# with ⟨ , ⟩ the sum over all products. The same in letters: put the definition of the convolution into the left side,
# collect all terms in which one pixel of x occurs, and what it is multiplied with is A^T y there:
#
# $$(A^T y)_{a,b,i} = \sum_{sr+u-p=a} \;\; \sum_{sc+v-p=b} \;\; \sum_j W_{u,v,i,j}\; y_{r,c,j}$$
#
# The first sum is over all pairs (r, u) that lead to row a, the second over all (c, v) that lead to column b.

# %%
some_y = rng.standard_normal(y.shape[1:])  # (oh, ow, O)
one_x = rng.standard_normal(x.shape[1:])  # (h, w, I)
collected = np.zeros(x.shape[1:])
for r, c, u, v in itertools.product(range(y.shape[1]), range(y.shape[2]), range(3), range(3)):
    row, column = 2 * r + u - 1, 2 * c + v - 1
    if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
        collected[row, column] += W[u, v] @ some_y[r, c]  # (I, O) (O,)
left = (conv(one_x[None], W, 2, 1) * some_y).sum()
right = (one_x * collected).sum()
print("collected terms = A^T y:", np.allclose(collected.ravel(), A.T @ some_y.ravel(), rtol=1e-10))
print("<A x, y> = <x, A^T y>:", np.isclose(left, right, rtol=1e-10))
assert np.allclose(collected.ravel(), A.T @ some_y.ravel(), rtol=1e-10) and np.isclose(left, right, rtol=1e-10)

# %% [markdown]
# Look at the loop. Each number of y **stamps the kernel** onto x, times itself, at its own place. Stamps lie a
# stride apart, and where they overlap they are added. Here is a y of 2 x 2 numbers, stride 2, and the 3 x 3 kernel
# with 1 in the middle, 1/2 beside it and 1/4 in the corners.

# %%
y_small = np.array([[4.0, 8.0], [12.0, 16.0]])
tent = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])
stamps = np.zeros((4, 5, 5))
for place, (r, c) in enumerate(np.ndindex(2, 2)):
    stamps[place, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3] = y_small[r, c] * tent
total = stamps.sum(axis=0)

PAPER = LinearSegmentedColormap.from_list("paper", ["#ffffff", "#8fc1e3", "#5a9fd0"])
figure, panels = plt.subplots(1, 5, figsize=(10, 2.7))
names = [f"y[{r}, {c}] = {y_small[r, c]:.0f}" for r, c in np.ndindex(2, 2)] + ["their sum"]
for axes, picture, name in zip(panels, [*stamps, total], names):
    axes.imshow(picture, cmap=PAPER, vmin=0, vmax=16)
    for (row, column), value in np.ndenumerate(picture):
        axes.text(
            column, row, f"{value:.0f}", ha="center", va="center", fontsize=9, color=INK if value else "#bbbbbb"
        )
    axes.set(xticks=range(5), yticks=range(5), xlabel="column, pixels")
    axes.set_title(name, fontsize=10)
panels[0].set_ylabel("row, pixels")
panels[4].add_patch(plt.Rectangle((0.5, 0.5), 3, 3, fill=False, edgecolor=ORANGE, linewidth=2, linestyle="--"))
figure.suptitle(
    "Four stamps a stride of 2 apart, added up; padding 1 keeps what is inside the dashed line", fontsize=11
)
figure.tight_layout()

inside = total[1:4, 1:4]
print("inside the dashed line:", *inside.astype(int).tolist())
assert np.array_equal(inside, [[4, 6, 8], [8, 10, 12], [12, 14, 16]])

# %% [markdown]
# With this kernel the sum interpolates: between 4 and 8 lies 6, and in the middle of all four lies their mean, 10.
# That is bilinear interpolation. A transposed convolution can learn it, and it can learn other things.
#
# **The size.** Solve the formula of section 2 for n:
#
# $$n = s\,(o - 1) - 2p + k + \text{rest}$$
#
# Padding stands there with a minus. In a convolution it adds zeros around x before the windows look. Going back,
# what falls onto these zeros is cut off. The padding of a transposed convolution makes its output *smaller*.
#
# **Predict.** Kernel 3, stride 2, padding 1. A convolution makes 4 numbers of 7 pixels. How many does it make of 8?
# And what does the transposed convolution make of 4?
#
# <details><summary>The answer</summary>
#
# Also 4: 8 + 2 - 3 is 3 steps of 2, and a rest of 1. So 4 numbers can come of 7 pixels or of 8, and the transposed
# convolution has to be told. Without a word it makes 7. The **output padding** is the rest of the convolution that is
# meant: with output padding 1 it makes 8. It adds no zeros. One row less of what was stamped is cut off.
#
# </details>
#
# Now write it: each place's y times W^T gives its stamp, and your `fold` adds the stamps up. W is the kernel of the
# *convolution*, (kh, kw, I, O), so this takes y (N, oh, ow, O) to x (N, h, w, I). The output padding is a pair, for
# rows and columns.


# %% exercise="07.transposed_conv"
def transposed_conv(y, W, stride, padding, output_padding):
    """x (N, h, w, I), the transposed convolution of y (N, oh, ow, O) with W (kh, kw, I, O)."""
    ### BEGIN SOLUTION
    kh, kw, n_in, n_out = W.shape
    N, oh, ow, _ = y.shape
    h = stride * (oh - 1) - 2 * padding + kh + output_padding[0]
    w = stride * (ow - 1) - 2 * padding + kw + output_padding[1]
    columns = y.reshape(-1, n_out) @ W.reshape(-1, n_out).T  # (N oh ow, O) (O, kh kw I)
    return fold(columns.reshape(N, oh, ow, kh, kw, n_in), (N, h, w, n_in), stride, padding)
    ### END SOLUTION


# %% check="07.transposed_conv"
check("07.transposed_conv", transposed_conv).raise_if_wrong()

# %% [markdown]
# Is it the transpose? Do not take it from the derivation. The matrix of *any* linear map has as its columns what the
# map makes of the unit vectors. We take this matrix of your two functions, the convolution and the transposed
# convolution, each from outside and without looking into them, and demand
#
# $$\text{matrix of the transposed convolution} = (\text{matrix of the convolution})^T$$
#
# entry by entry, exactly, for sizes, kernels, strides and paddings at random. In the same loop, the adjoint identity
# for random x and y.


# %%
def matrix_of(linear, shape):
    """The matrix of a linear map of one sample of this shape: its columns are the images of the unit vectors."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return linear(units).reshape(len(units), -1).T


def random_case(draws):
    """x, W, stride and padding, of random sizes that fit."""
    while True:
        h, w, kh, kw, n_in, n_out, s, p = (int(n) for n in draws.integers([1] * 7 + [0], [9, 9, 6, 6, 4, 4, 4, 3]))
        if h + 2 * p >= kh and w + 2 * p >= kw:
            return draws.standard_normal((2, h, w, n_in)), draws.standard_normal((kh, kw, n_in, n_out)), s, p


draws = np.random.default_rng(70)
transposes, adjoints, how_many = 0, 0, 40 if FAST else 200
for _ in range(how_many):
    image, kernel, s, p = random_case(draws)
    shape, rest = (tuple(int(n) for n in sizes) for sizes in conv_sizes(image, kernel, s, p))
    forth = lambda v, W=kernel, s=s, p=p: conv(v, W, s, p)
    back = lambda v, W=kernel, s=s, p=p, rest=rest: transposed_conv(v, W, s, p, rest)
    M, T = matrix_of(forth, image.shape[1:]), matrix_of(back, shape[1:])
    assert np.array_equal(M, conv_matrix(kernel, image.shape[1:], s, p))
    assert np.array_equal(T, M.T), "the matrix of the transposed convolution is the transpose of the convolution's"
    transposes += 1

    y_case = draws.standard_normal(shape)
    left, right = (forth(image) * y_case).sum(), (image * back(y_case)).sum()
    size = np.abs(image).sum() * np.abs(kernel).sum() * np.abs(y_case).max()
    assert abs(left - right) <= 1e-12 * size, "<A x, y> = <x, A^T y>"
    adjoints += 1
print("T = A^T exactly, in every case:", transposes == how_many)
print("<A x, y> = <x, A^T y>, in every case:", adjoints == how_many)

# %% [markdown]
# That is what the name says. And as section 5 showed that a convolution's dx is A^T dy: **a transposed convolution
# is the backward pass of a convolution, used as a forward pass.** Its own backward is then a convolution, for
# (A^T)^T = A. A generator that draws and a discriminator that looks do the same two things in opposite order.
#
# The library's layer is called `ConvTranspose`, and names its channels by its own direction: its W is (kh, kw, its
# input channels, its output channels). What is O for the convolution is *input* here, so W's last two axes are
# exchanged. Both layers, over all the sizes of section 2:

# %%
for n, k, s, p in cases(6 if FAST else 12):
    _, (rest, _) = conv_sizes(np.zeros((1, n, n, 1)), np.zeros((k, k, 1, 1)), s, p)
    o = (n + 2 * p - k) // s + 1
    there = ConvTranspose(1, 1, (k, k), s, p, output_padding=rest, rng=rng).output_shape((o, o, 1))
    assert there == (s * (o - 1) - 2 * p + k + rest,) * 2 + (1,) == (n, n, 1)
print("n -> o -> n: the two formulas undo each other, with the rest as output padding")

up = ConvTranspose(4, 3, (3, 3), stride=2, padding=1, output_padding=(0, 1), rng=rng).astype("float64")
up.params["W"][...] = W.swapaxes(-1, -2)  # (kh, kw, I, O) -> (kh, kw, O, I)
theirs, up_cache = up.forward(y)
print("x, W, y:", x.shape, W.shape, y.shape)
print("yours = ConvTranspose:", np.allclose(transposed_conv(y, W, 2, 1, (0, 1)), theirs, rtol=1e-10))
print("the backward of ConvTranspose = conv:", np.allclose(up.backward(x, up_cache), conv(x, W, 2, 1), rtol=1e-10))
assert theirs.shape == x.shape and np.allclose(transposed_conv(y, W, 2, 1, (0, 1)), theirs, rtol=1e-10)
assert np.allclose(up.backward(x, up_cache), conv(x, W, 2, 1), rtol=1e-10)

# %% [markdown]
# ## 7. The same with zeros in between
#
# Many texts explain the layer in another way, and it gives the same numbers. Put s - 1 zeros between the numbers of
# y, put k - 1 - p zeros around, and after them as many more as the output padding says; call this z. Then convolve z
# with stride 1 and with the kernel **turned by 180 degrees**:
#
# $$x_{a,b,i} = \sum_{u,v,j} z_{a+u,\; b+v,\; j}\; W_{k-1-u,\; k-1-v,\; i,\, j}$$
#
# The window walks one pixel of x at a time, which is half a step of y for s = 2: hence "fractionally strided
# convolution".

# %%
k, s, p, extra = 3, 2, 1, (0, 1)
N, oh, ow, _ = y.shape
z = np.zeros((N, s * (oh - 1) + 1, s * (ow - 1) + 1, 4))
z[:, ::s, ::s] = y
z = np.pad(z, ((0, 0), *((k - 1 - p, k - 1 - p + more) for more in extra), (0, 0)))
turned = W[::-1, ::-1].swapaxes(-1, -2)  # (kh, kw, O, I), turned by 180 degrees
print("zeros in between, then a turned kernel = stamps:", np.allclose(conv(z, turned, 1, 0), theirs, rtol=1e-10))
assert np.allclose(conv(z, turned, 1, 0), theirs, rtol=1e-10)
unturned = conv(z, W.swapaxes(-1, -2), 1, 0)
print("without turning it, the same:", np.allclose(unturned, theirs, rtol=1e-3))
assert not np.allclose(unturned, theirs, rtol=1e-3)

from_zeros = (unfold(z, turned, 1, 0) == 0).mean()
print(f"products with a zero: {from_zeros:.0%}")
assert from_zeros > 0.7

# %% [markdown]
# So the sentence "a transposed convolution turns the kernel" is true of this way of computing and of no other. Stamps
# are not turned, and neither is W in your function. This way also multiplies by zeros three times out of four at
# stride 2 (more, with the zeros around), so it is an explanation and not a program.
#
# ## 8. "Deconvolution" is no inverse
#
# To deconvolve is an old word of signal processing: from y = A x find x again. That is A^-1, or something near it,
# and the transposed convolution is A^T. A^T undoes A only if the columns of A are orthonormal, A^T A = 1, and no one
# asks a network's kernels for that.
#
# Two convolutions of a digit. One blurs with stride 1, kernel (1, 2, 1)/4 in both directions, 784 pixels to 784. The
# other has stride 2 and the kernel (1, 3, 3, 1)/8, 784 pixels to 196. We take A^T y, with the best constant factor,
# and beside it the true deconvolution. It solves A x = y, and where there are many solutions it takes the smallest:
#
# $$\hat x = A^T (A A^T)^{-1}\, y$$

# %%
images, labels = load_digits("test")
digit = images[np.flatnonzero(labels == 3)[4]].astype(np.float64)[..., 0] / 255  # (28, 28), ink 1 on paper 0


def relative_distance(guess):
    """|guess - digit| / |digit|, with the guess times the factor that makes it smallest."""
    factor = (guess * digit).sum() / (guess**2).sum()
    return float(np.linalg.norm(factor * guess - digit) / np.linalg.norm(digit)), factor


rows_of_pictures, found = [], {}
for name, row, s in (("stride 1", np.array([1, 2, 1]) / 4, 1), ("stride 2", np.array([1, 3, 3, 1]) / 8, 2)):
    kernel = np.outer(row, row)[..., None, None]
    blur = lambda v, kernel=kernel, s=s: conv(v, kernel, s, 1)
    M = matrix_of(blur, (28, 28, 1))
    seen = M @ digit.ravel()
    transposed = (M.T @ seen).reshape(28, 28)
    solved = (M.T @ np.linalg.solve(M @ M.T, seen)).reshape(28, 28)
    side = int(len(seen) ** 0.5)
    assert np.allclose(transposed_conv(seen.reshape(1, side, side, 1), kernel, s, 1, (0, 0))[0, ..., 0], transposed)
    (off_transposed, factor), (off_solved, _) = relative_distance(transposed), relative_distance(solved)
    found[s] = (off_transposed, off_solved)
    rows_of_pictures.append((digit, seen.reshape(side, side), factor * transposed, solved))
    misses = np.linalg.norm(M @ (factor * transposed).ravel() - seen) / np.linalg.norm(seen)
    print(f"{name}: A is {M.shape[0]} x {M.shape[1]}, of rank {np.linalg.matrix_rank(M)}")
    print(f"   A^T y:  {off_transposed:.0%} off the digit; convolved again, {misses:.0%} off y")
    explains = np.allclose(M @ solved.ravel(), seen)
    print(f"   solved: {off_solved:.0%} off the digit; convolved again, it is y: {explains}")
    assert explains and misses > 0.1

figure, panels = plt.subplots(2, 4, figsize=(8.4, 5))
for axes_row, pictures, name in zip(panels, rows_of_pictures, ("stride 1", "stride 2")):
    off = [f"\n{v:.0%} off x" for v in found[int(name[-1])]]
    titles = ("x", "y = A x", f"$A^T y$, best factor{off[0]}", f"solved for x{off[1]}")
    for axes, picture, title in zip(axes_row, pictures, titles):
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=10)
        axes.set(xticks=[0, len(picture) - 1], yticks=[0, len(picture) - 1])
    axes_row[0].set_ylabel(f"{name}\nrow, pixels")
for axes in panels[1]:
    axes.set_xlabel("column, pixels")
figure.suptitle("$A^T$ blurs once more; solving finds x only where nothing was lost", fontsize=11)
figure.tight_layout()

assert found[1][0] > 0.3 and found[1][1] < 1e-3, "stride 1: the inverse exists, and A^T is not it"
assert found[2][0] > found[2][1] > 0.1, "stride 2: there is no inverse at all"

# %% [markdown]
# In the upper row the digit is hidden in the blur, and an inverse finds every pixel of it. A^T blurs a second time.
# In the lower row 196 equations cannot settle 784 unknowns: the solution explains y to the last digit, and it is not
# the image. This is the answer to the prediction. (With four channels or more, a convolution of stride 2 may lose
# nothing, and a network can learn to undo it. But the layer that undoes it has weights of its own, not the same W.)
#
# What a generator wants is not an inverse anyway. It wants a linear map from few pixels to many, with weights that
# it can learn, local and the same everywhere. A^T is one.
#
# ## 9. The checkerboard
#
# **Predict.** Kernel 5, stride 2. Stamp a kernel of ones for each y = 1. How often is each pixel hit, away from the
# edges: everywhere the same, or not?
#
# <details><summary>The answer</summary>
#
# Not. In one direction the stamps are 5 wide and begin at every second pixel. An even pixel lies under 3 of them, an
# odd one under 2. In the image these multiply: 9, 6, 6 or 4 times, in a checkerboard.
#
# </details>
#
# In one direction pixel a is hit by tap u if a + p - u is a multiple of the stride, and there is a y at that place:
#
# $$\text{hits}(a) = \#\left\{\,u \,:\, 0 \le u < k, \;\; \tfrac{a+p-u}{s} \in \{0, 1, \ldots, o-1\}\right\}$$
#
# Among k taps in a row, every s-th counts. So away from the edges this is k/s where s divides k, and otherwise it
# changes between ⌊k/s⌋ and ⌈k/s⌉ from pixel to pixel. In two directions the numbers multiply.


# %%
def hits_in_a_row(o, k, s, p, n):
    """How many stamps hit each of n pixels, by the formula."""
    return np.array([sum((a + p - u) % s == 0 and 0 <= (a + p - u) // s < o for u in range(k)) for a in range(n)])


def hits(o, k, s, p, extra):
    """The same in the image, by stamping ones: (n, n)."""
    return transposed_conv(np.ones((1, o, o, 1)), np.ones((k, k, 1, 1)), s, p, (extra, extra))[0, :, :, 0]


DOUBLING = {3: (1, 1), 4: (1, 0), 5: (2, 1), 6: (2, 0)}  # kernel: padding and output padding that make o into 2 o
for k, (p, extra) in DOUBLING.items():
    in_a_row = hits_in_a_row(8, k, 2, p, 16)
    assert np.array_equal(hits(8, k, 2, p, extra), np.outer(in_a_row, in_a_row))
    middle = in_a_row[5:7]
    assert set(middle) == {k // 2, -(-k // 2)}
    times = sorted({int(n) for n in np.outer(middle, middle).ravel()})
    print(
        f"kernel {k}, stride 2: neighbours in a row are hit {middle[0]} and {middle[1]} times, in the image {times}"
    )

# %% [markdown]
# Why does it matter? At the start of training the weights are drawn at random, with mean 0 and variance σ^2. Feed the
# layer with y = 1 everywhere. Then each pixel is a sum of as many weights as hit it, for each of the O channels, and
#
# $$\mathrm{E}\left[x_{a,b}^2\right] = \sigma^2\, O \cdot \text{hits}(a, b)$$
#
# The pixels that are hit more often vary more, and it is the same pixels in every channel, at every position, in
# every network. We draw some thousand kernels and measure. The second number compares neighbours: the size of
# their difference, over the size of the pixels themselves. We put a rival beside the two kernels: first make every
# pixel into 2 x 2 equal ones (`Upsample`), then an ordinary convolution of stride 1.

# %%
MANY, WITHIN = (500, 0.3) if FAST else (4000, 0.1)  # kernels, and how near their mean must come
INSIDE = slice(4, 8)  # rows and columns away from the edges


def drawn(k, many, seed):
    """x (12, 12, many) of y = 1 on 6 x 6 places, O = 2, for random kernels of variance 1; k: size or "resize"."""
    draws = np.random.default_rng(seed)
    ones = np.ones((1, 6, 6, 2))
    if k == "resize":
        big, _ = Upsample(2).forward(ones)
        return conv(big, draws.standard_normal((3, 3, 2, many)), 1, 1)[0]
    p, extra = DOUBLING[k]
    return transposed_conv(ones, draws.standard_normal((k, k, many, 2)), 2, p, (extra, extra))[0]


unequal, rough = {}, {}
for k in (5, 4, "resize"):
    field = drawn(k, MANY, 9)[INSIDE, INSIDE]  # (4, 4, many)
    power = (field**2).mean(axis=-1)
    if k != "resize":
        expected = 2 * hits(6, k, 2, *DOUBLING[k])[INSIDE, INSIDE]
        agrees = np.abs(power / expected - 1).max() < WITHIN
        print(
            f"kernel {k}: O hits {np.unique(expected).astype(int)}, and so is E[x^2], within {WITHIN:.0%}: {agrees}"
        )
        assert agrees
    unequal[k] = power.max() / power.min()
    rough[k] = float(np.sqrt((np.diff(field, axis=1) ** 2).mean() / (field**2).mean()))
print(f"{'':<12}{'favourite / least':<20}neighbours differ, over their size")
for k in (5, 4, "resize"):
    print(f"{k if k == 'resize' else f'kernel {k}':<12}{unequal[k]:<20.1f}{rough[k]:.1f}")
assert unequal[5] > 1.8 and unequal[4] < 1.4 and unequal["resize"] < 1.0001
assert rough[5] > 1.2 and rough[4] > 1.2 and rough["resize"] < 1e-6

# %%
figure, panels = plt.subplots(2, 3, figsize=(8.6, 6), sharex=True, sharey=True)
p5, p4 = (hits(6, k, 2, *DOUBLING[k]) for k in (5, 4))
p3 = conv(np.ones((1, 12, 12, 1)), np.ones((3, 3, 1, 1)), 1, 1)[0, :, :, 0]
columns = (("kernel 5, stride 2", p5, 5), ("kernel 4, stride 2", p4, 4), ("resize, then kernel 3", p3, "resize"))
SIGNED = LinearSegmentedColormap.from_list("signed", [ORANGE, "#ffffff", BLUE])
for (above, below), (name, counts, k) in zip(panels.T, columns):
    above.imshow(counts, cmap=PAPER, vmin=0, vmax=11)
    for (row, column), count in np.ndenumerate(counts):
        above.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=INK)
    above.set_title(f"{name}\nhow often a pixel is hit", fontsize=10)
    one = drawn(k, 1, 3)[:, :, 0]
    below.imshow(one, cmap=SIGNED, vmin=-np.abs(one).max(), vmax=np.abs(one).max())
    below.set_title("one random kernel, y = 1", fontsize=10)
    below.set_xlabel("column, pixels")
    for axes in (above, below):
        axes.set(xticks=(0, 4, 8), yticks=(0, 4, 8))
for axes in panels[:, 0]:
    axes.set_ylabel("row, pixels")
figure.suptitle("Kernel 5 has favourites. Kernel 4 has none, yet draws a pattern. Resizing draws none.", fontsize=11)
figure.tight_layout()
print("counts inside differ for kernel 5, 4, resize:", *(bool(np.ptp(c[INSIDE, INSIDE])) for _, c, _ in columns))
assert np.ptp(p5[INSIDE, INSIDE]) == 5 and np.ptp(p4[INSIDE, INSIDE]) == 0 == np.ptp(p3[INSIDE, INSIDE])

# %% [markdown]
# Read the upper row first. Kernel 5 has favourites: they get 9/4 of the power. Kernel 4 has none (the 1.1 above is
# chance), and this is the first remedy: **a kernel that is a multiple of the stride**.
#
# Now the lower row, blue above zero and orange below. Many tutorials stop after the first remedy and say that the
# checkerboard is gone. But kernel 4 draws one here just the same, and neighbours differ by 1.4 of their size with
# either kernel. Even and odd pixels are made with *different* weights: a 4 x 4 kernel of stride 2 is four independent
# kernels of 2 x 2, one for each kind of pixel. What kernel 4 takes away is the prejudice, not the checkerboard.
#
# The second remedy goes further: **resize, then convolve**. It is itself a transposed convolution of kernel 4,
# stride 2 and padding 1, with tied weights. A number of y becomes 2 x 2 pixels, (d, e) with d and e 0 or 1, and the
# 3 x 3 kernel W looks at all of them. Count which taps lead where (W is 0 outside of its nine):
#
# $$K_{m,n} = \sum_{d,e \in \{0,1\}} W_{2+d-m,\; 2+e-n}$$
#
# Each of the four kinds of pixel then has weights with the same sum, that of all nine. So a constant y gives a
# constant x away from the edges, whatever the weights are. The price is freedom: of 16 weights only 9 can be chosen.

# %%
three = rng.standard_normal((3, 3, 1, 1))
tied = np.zeros((4, 4, 1, 1))
for m, n, d, e in itertools.product(range(4), range(4), range(2), range(2)):
    if 0 <= 2 + d - m < 3 and 0 <= 2 + e - n < 3:
        tied[m, n] += three[2 + d - m, 2 + e - n]
y_any = rng.standard_normal((1, 5, 7, 1))
resized = conv(Upsample(2).forward(y_any)[0], three, 1, 1)
same = np.allclose(resized, transposed_conv(y_any, tied, 2, 1, (0, 0)), rtol=1e-10)
print("resize and convolve = a transposed convolution with tied weights:", same)
sums = [tied[even::2, across::2].sum() for even in (0, 1) for across in (0, 1)]
print("the four kinds of pixel have weights of equal sum:", np.allclose(sums, three.sum()))
assert same and np.allclose(sums, three.sum())

# %% [markdown]
# Nor are kernels 3 and 5 a verdict. Section 6 had kernel 3 with stride 2, pixels hit 1, 2 or 4 times, and it
# interpolated without a trace of a checkerboard: the weights made up for the hits. A network can learn that. It has
# to, though, where with resizing it need not.

# %%
p, extra = DOUBLING[3]
smooth = transposed_conv(np.ones((1, 6, 6, 1)), tent[..., None, None], 2, p, (extra, extra))[0, INSIDE, INSIDE, 0]
print("the interpolating kernel 3 makes of y = 1 inside:", *np.unique(smooth))
assert np.array_equal(smooth, np.ones((4, 4))) and np.ptp(hits(6, 3, 2, 1, 1)[INSIDE, INSIDE]) == 3

# %% [markdown]
# One place is easily overlooked. The backward pass of a convolution is a transposed convolution. So a
# **discriminator** with kernel 5 and stride 2 hands a checkerboard to the generator, as a gradient, whatever layers
# the generator has. With all weights 1 and dy = 1:
#
# $$dx_{a,b} = \text{hits}(a, b)$$

# %%
for k, (p, extra) in ((5, DOUBLING[5]), (4, DOUBLING[4])):
    judge = Conv(1, 1, (k, k), 2, p, rng=rng).astype("float64")
    judge.params["W"][...] = 1
    seen, judge_cache = judge.forward(np.zeros((1, 12, 12, 1)))
    to_the_image = judge.backward(np.ones_like(seen), judge_cache)[0, :, :, 0]
    print(f"kernel {k}: gradient on the image, inside: from {to_the_image[INSIDE, INSIDE].min():.0f} ", end="")
    print(f"to {to_the_image[INSIDE, INSIDE].max():.0f}")
    assert np.array_equal(to_the_image, hits(6, k, 2, p, extra))

# %% [markdown]
# ## 10. How the library does it
#
# `minigan.layers.conv` is this lesson in one, two and three dimensions. All of it rests on `unfold` and `fold`; here
# is the second. It walks through the windows instead of the taps: windows far enough apart never share a pixel and
# can be added at once, so it takes every m-th.

# %%
print(inspect.getsource(Windows.fold))

# %% [markdown]
# And the two maps, the matrix A and its transpose, each for a batch in parts that fit into the processor's cache. The
# layers `Conv` and `ConvTranspose` call these two, the one forward and the other backward, and the reverse.

# %%
for function in (correlate, spread):
    print(inspect.getsource(function))

windows = Windows((3, 3), 2, 1)
columns = rng.standard_normal((2, 4, 3, 3, 3, 3))
print(
    "your fold = the library's:", np.allclose(fold(columns, x.shape, 2, 1), windows.fold(columns, (7, 6)), rtol=1e-12)
)
assert np.allclose(fold(columns, x.shape, 2, 1), windows.fold(columns, (7, 6)), rtol=1e-12)
assert np.allclose(conv(x, W, 2, 1), correlate(x, W, windows, (4, 3)), rtol=1e-10)
assert np.allclose(transposed_conv(y, W, 2, 1, (0, 1)), spread(y, W, windows, (7, 6)), rtol=1e-10)

# %% [markdown]
# Besides a number, the library's `padding` may be "same": as many zeros as make o = n/s (rounded up), and in the
# transposed layer n = s o. That is what a generator wants, 7 -> 14 -> 28, and no output padding has to be worked out.
#
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In `fold`, write `=` where `+=` stands. Which assertions fail first? And with a kernel of 2 and stride 2, would
#    you have noticed?
# 2. In `transposed_conv`, turn the kernel: `W[::-1, ::-1]`. The check fails. Does it also fail for the kernel `tent`?
#    Why is a symmetric kernel a bad test?
# 3. In the loop that demands T = A^T, take `rest = (0, 0)`. Which cases fail, and with what sizes?
# 4. Two layers of kernel 5 and stride 2 behind each other: feed the `hits` of one as y to a transposed convolution
#    with a kernel of ones. How large is the ratio between favourites and others now? Is it the square of 9/4?
# 5. Which blurs can be undone? Look at `np.linalg.eigvalsh(conv_matrix(np.ones((3, 3, 1, 1)), (n, n, 1), 1, 1))` for
#    n = 4 and for n = 5.
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("07.conv_sizes", conv_sizes)
assert check("07.fold", fold)
assert check("07.transposed_conv", transposed_conv)
assert transposes == how_many, "the transposed convolution's matrix is the transpose of the convolution's"
print("A convolution, its backward, and its transpose, whose matrix is the transposed matrix, exactly.")

# %% [markdown]
# ## What to read next
#
# - V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285, 2016: all the
#   sizes, each with a drawing.
# - A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", *Distill*, 2016: the checkerboard
#   in trained generators and in gradients, and resizing as the remedy.
# - M. Zeiler, D. Krishnan, G. Taylor and R. Fergus, "Deconvolutional networks", *CVPR* 2010: where the name comes
#   from. There it is a true deconvolution, solved step by step for each image.
# - J. Long, E. Shelhamer and T. Darrell, "Fully convolutional networks for semantic segmentation", *CVPR* 2015: a
#   transposed convolution that starts as bilinear interpolation and learns from there.
# - K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document processing",
#   *International Workshop on Frontiers in Handwriting Recognition* 2006: the convolution as a matrix product.
# - W. Shi, J. Caballero, L. Theis, F. Huszár, A. Aitken, C. Ledig and Z. Wang, "Is the deconvolution layer the same
#   as a convolutional layer?", arXiv:1609.07009, 2016: the s x s small kernels inside a transposed convolution.
# - A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep convolutional generative
#   adversarial networks", *ICLR* 2016: the generator made of these layers. It is the subject of **lesson 09**.
