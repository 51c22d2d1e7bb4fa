# %% [markdown]
# # 19. From NumPy to CuPy
#
# Your GAN trains on the CPU. A GPU could be much faster, and CuPy has NumPy's functions for GPUs: one might write
# `import cupy as np` and be done. Often the program then gives the right numbers and is no faster, and nothing says
# why. What must change, and what must not?
#
# **You need** NumPy, and lesson 05 (the game). No GPU. **Time** about 55 minutes. **You will write** when host and
# device are done, a stopwatch that is not fooled, and a training loop without hidden transfers. **After it** you can
# move a program to a GPU, find what makes it wait on a machine that has none, and say when the move pays.

# %%
import inspect
import math
import os
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from minigan import backend, tripwire
from minigan.backend import BackendError, backend_name, rng, to_device, to_host, use, xp
from minigan.exercises import check
from minigan.layers import Dense
from minigan.losses import non_saturating
from minigan.models import dcgan, mlp, mlp_linear
from minigan.optim import SGD, Adam
from minigan.steps import d_step, g_step
from minigan.tripwire import Leak

FAST = os.environ.get("MINIGAN_FAST") == "1"  # fewer points, for a quick run
BLUE, ORANGE, INK = "#0072B2", "#D55E00", "#333333"
plt.rcParams.update({"figure.figsize": (8, 3.4), "figure.dpi": 80, "font.size": 10, "legend.frameon": False})
use("numpy")  # whatever the environment says

# %% [markdown]
# ## Predict first
#
# A GAN trains on a GPU. A student times one round: the clock is read, the round runs, the clock is read again, and
# says 1 ms. Then 1,000 rounds take 4 s. (An example, not a measurement.) Where do the other 3 s come from?
#
# 1. The first rounds are slow.
# 2. The data travel to the GPU and back.
# 3. A round always took 4 ms, and the clock measured something else.
#
# And a line `if loss > 0:` in the round, which needs one number of 4 bytes: can it matter? Write both answers down.
#
# <details><summary>The answer</summary>
#
# 3. The clock measured how long it takes to *ask* for a round. The GPU computes behind the program's back. And the
# line can matter: it fetches 4 bytes, which is nothing, but it must wait for them. Sections 2 to 4 say how much.
#
# </details>

# %% [markdown]
# ## 1. One source, two memories
#
# The CPU with its memory is the **host**. The GPU with its own memory is the **device**. NumPy's arrays lie on the
# host and CuPy's on the device, and between the two memories is a bus. All of minigan is written with `xp` instead
# of `np`: a name that looks up NumPy's functions or CuPy's, whichever is in use.

# %%
print(inspect.getsource(backend._Namespace))
print(inspect.getsource(backend.use))

# %% [markdown]
# There are five names to know: `xp`; `use`, which switches; `to_device` and `to_host`, the only two doors; and `rng`,
# whose numbers are drawn where they are needed. (From one seed CuPy's generator draws other numbers than NumPy's.)
#
# A third backend needs no GPU. The **tripwire** is NumPy dressed as one: its arrays say their shape and dtype, and
# give their values through `to_host` alone. Whatever else needs a value on the host is an error, `tripwire.Leak`.
# This is what one of its arrays lets stand beside it in a sum:

# %%
print(inspect.getsource(tripwire.operand))

try:
    use("cupy")
    GPU = True
except BackendError:  # no CuPy, or no GPU
    GPU = False
print("A GPU can be used here." if GPU else "There is no GPU to use here; only one cell, in section 8, would use it.")

numbers = np.float32([-1, 2, -3, 4])
for name in ("numpy", tripwire.BACKEND, *(["cupy"] if GPU else [])):
    use(name)
    x = to_device(numbers.copy())
    y = to_host(xp.maximum(x, 0.25 * x))  # LeakyReLU, from one source
    given = np.zeros(3)
    there = to_device(given)
    there -= 1
    print(
        f"{backend_name():<9} {type(x).__name__:<10} {y.tolist()}   written there, seen here: {bool(given[0] == -1)}"
    )
    assert isinstance(x, xp.ndarray) and np.array_equal(y, [-0.25, 2, -0.75, 4])
    assert (given[0] == -1) == (backend_name() == "numpy")
use("numpy")

# %% [markdown]
# The last column is a trap of the door itself. NumPy's `to_device` has nowhere to go and gives the array that it got;
# CuPy's copies it. A function that writes into what it was handed changes the caller's array on one of the two. Say
# `w = w - lr * dw` there, not `w -= lr * dw`.
#
# What should lie where? Here is a DCGAN for digits in training, batches of 64, with all that the library allocates.

# %%
BATCH, LOOK_EVERY = 64, 100  # samples; rounds between two looks at the losses
big = dcgan(rng(0))
outputs = 0  # numbers that all layers put out for one sample
for net, shape in ((big.G, (big.noise,)), (big.D, big.image_shape)):
    for layer in net.layers:
        shape = layer.output_shape(shape)
        outputs += math.prod(shape)
in_bytes = {
    "images": 4 * 60_000 * math.prod(big.image_shape),  # as many as MNIST has
    "G: θ, gradient, Adam's m and v": 4 * big.G.theta.nbytes,
    "D: the same": 4 * big.D.theta.nbytes,
    "outputs of all layers": 4 * BATCH * outputs,
    "noise z, drawn here": 4 * BATCH * big.noise,
    "a loss": 4,
}
size = lambda n: f"{n / 1e6:.0f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB" if n >= 1e3 else f"{n} B"

figure, axes = plt.subplots(figsize=(9, 3.4))
lists = (
    (0.1, 3.4, BLUE, "host: Python and NumPy", ["the file of images", "losses to plot", "checkpoints, pictures"]),
    (7.4, 4.5, ORANGE, "device: CuPy", [f"{name}, {size(n)}" for name, n in in_bytes.items()]),
)
for left, width, colour, head, rows in lists:
    axes.add_patch(plt.Rectangle((left, 0.1), width, 6.3, facecolor="none", edgecolor=colour, linewidth=1.5))
    for k, row in enumerate([head, *rows]):
        look = {"color": colour, "weight": "bold"} if k == 0 else {"fontsize": 9}
        axes.text(left + 0.2, 5.7 - 0.85 * k, row, **look)
for height, style, line, text in (
    (5.0, "->", "-", f"to_device: {size(in_bytes['images'])}, once"),
    (3.4, "<-", "-", f"to_host: {4 * LOOK_EVERY} B, every {LOOK_EVERY} rounds"),
    (1.2, "<-", ":", "float(loss): 4 B in each\nround, and a wait"),
):
    axes.annotate("", (7.3, height), (3.6, height), arrowprops={"arrowstyle": style, "color": INK, "linestyle": line})
    axes.text(5.45, height + 0.1, text, ha="center", va="bottom", fontsize=9)
axes.set(xlim=(0, 12), ylim=(0, 6.6))
axes.set_title("What lies where: all that a round touches lies on the device", loc="left")
axes.axis("off")
figure.tight_layout()

print(f"on the device: {size(sum(in_bytes.values()))}, most of it images and what the layers put out")
assert in_bytes["images"] > in_bytes["outputs of all layers"] > in_bytes["noise z, drawn here"]

# %% [markdown]
# ## 2. The queue: your first hole
#
# `y = xp.exp(x)` on a GPU does not compute y. It puts the order "exp" at the end of a queue and returns at once, with
# an array whose shape and dtype are known and whose numbers will be there later. That is a **launch**. Meanwhile the
# device works the queue off in order. Python and the GPU run side by side, as long as nobody on the host asks for
# a number.
#
# Let operation i take l_i to launch (the host's time) and w_i to compute (the device's). The host begins its launch
# when it is free, at h_{i-1}, and has launched at c_i. The device computes it when it has been launched *and* the
# one before is done, and is done at d_i:
#
# $$c_i = h_{i-1} + l_i \qquad d_i = \max(d_{i-1}, c_i) + w_i \qquad h_i = \begin{cases} d_i & \text{if the host
# waits for the value} \\ c_i & \text{otherwise} \end{cases}$$
#
# Everything starts at 0. Return h and d.


# %% exercise="19.timeline"
def timeline(launch, compute, waits):
    """When the host is free after each operation, and when the device is done with it: two arrays (T,).

    launch, compute (T,): times.  waits (T,): True where the host needs the value before it goes on.
    """
    ### BEGIN SOLUTION
    host, device = np.zeros_like(launch), np.zeros_like(launch)
    free, done = 0.0, 0.0
    for i in range(len(launch)):
        called = free + launch[i]
        done = max(done, called) + compute[i]
        free = done if waits[i] else called
        host[i], device[i] = free, done
    return host, device
    ### END SOLUTION


# %% check="19.timeline"
check("19.timeline", timeline).raise_if_wrong()

# %% [markdown]
# Take T equal operations. Without waiting, the slower of the two decides, and the other one shows once. If the host
# waits after each, as it always does with NumPy, nothing overlaps:
#
# $$T_{\text{queue}} = \min(l, w) + T \max(l, w) \qquad T_{\text{wait}} = T\,(l + w)$$

# %%
T = 50
for launch, compute in ((10.0, 30.0), (10.0, 10.0), (10.0, 2.0)):  # µs; examples, as all times in this lesson
    queue, wait = (timeline(np.full(T, launch), np.full(T, compute), np.full(T, w))[1][-1] for w in (False, True))
    print(f"launch {launch:.0f} µs, compute {compute:>2.0f} µs: queue {queue:>4.0f} µs, wait {wait:.0f} µs")
    assert queue == min(launch, compute) + T * max(launch, compute) and wait == T * (launch + compute)
    assert wait < 2 * queue, "waiting costs less than a factor of 2"

# %% [markdown]
# In the last row an operation computes for 2 µs and costs 10 µs all the same: the device waits for the host. Many
# small operations are what a GPU is worst at.
#
# **Predict.** A factor of at most 2, and only if one waits after *each* operation. Then a single `float(loss)` at the
# end of a round of n operations should cost next to nothing. Does it?
#
# <details><summary>The answer</summary>
#
# It costs one launch, one copy, and *all that the host does beside launching*: choosing rows, writing a log, drawing
# a picture. With a queue that work is free while the device is busy. Behind a wait the queue is empty, and the
# device stands still until the host comes back with new orders.
#
# </details>
#
# In a round the host works for H, then launches n operations; at the end perhaps a copy of the loss, which takes r.
# In the long run a round takes, for w ≥ l,
#
# $$t_{\text{queue}} = \max(H + n l,\; n w) \qquad t_{\text{wait}} = H + l + n w + r$$

# %%
H, L, W, N_OPS, COPY = 60.0, 10.0, 30.0, 4, 5.0  # µs, and 4 operations


def rounds(count, wait):
    """The operations of some rounds: launch, compute, waits. The host's own work is a launch without computing."""
    launch = [H, *N_OPS * [L], *([L] if wait else [])]
    compute = [0.0, *N_OPS * [W], *([COPY] if wait else [])]
    waits = [False, *N_OPS * [False], *([True] if wait else [])]
    return np.array(count * launch), np.array(count * compute), np.array(count * waits)


for wait, formula in ((False, max(H + N_OPS * L, N_OPS * W)), (True, H + L + N_OPS * W + COPY)):
    done = timeline(*rounds(40, wait))[1]
    long_run = (done[-1] - done[len(done) // 2 - 1]) / 20  # of the last 20 rounds
    print(f"{'float(loss)' if wait else 'no wait':<12}{long_run:.0f} µs a round, by the formula {formula:.0f}")
    assert abs(long_run - formula) < 1e-9

# %% [markdown]
# Four such rounds as a picture, drawn from *your* `timeline`:

# %%
figure, panels = plt.subplots(2, 1, figsize=(9, 4.2), sharex=True)
LOOK = {"host's own work": "#9FC6E0", "launches": BLUE, "waits": "#E0E0E0", "computes": ORANGE, "copies": INK}


def bar(axes, row, begin, end, kind):
    axes.broken_barh([(begin, end - begin)], (row + 0.1, 0.8), facecolor=LOOK[kind], edgecolor="white")


LABEL = {
    "ha": "center",
    "va": "center",
    "fontsize": 9,
    "color": "white",
    "bbox": {"fc": ORANGE, "ec": "none", "pad": 1},
}
ends = []
for axes, wait in zip(panels, (False, True)):
    launch, compute, waits = rounds(4, wait)
    host, device = timeline(launch, compute, waits)
    called = np.concatenate([[0], host[:-1]]) + launch
    for i in range(len(launch)):
        bar(axes, 1, called[i] - launch[i], called[i], "host's own work" if compute[i] == 0 else "launches")
        bar(axes, 1, called[i], host[i], "waits")
        bar(axes, 0, device[i] - compute[i], device[i], "copies" if waits[i] else "computes")
    for k, first in enumerate(range(1, len(launch), len(launch) // 4)):
        at = (device[first] - W + device[first + N_OPS - 1]) / 2, 0.5
        axes.text(*at, f"round {k + 1}", **LABEL)
    axes.set(yticks=[0.5, 1.5], yticklabels=["device", "host"], ylim=(0, 2.1))
    ends.append(device[-1])
panels[0].set_title("No wait: the host runs ahead, and the device never stands still", loc="left")
panels[1].set_title("float(loss) in each round: the host waits, and then the device does", loc="left")
panels[1].set_xlabel("time (µs; an example, not a measurement)")
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in LOOK.values()]
panels[0].legend(handles, LOOK, loc="center right", fontsize=9)
figure.tight_layout()

print(f"4 rounds: {ends[0]:.0f} µs without waits, {ends[1]:.0f} µs with one in each; ratio {ends[1] / ends[0]:.2f}")
assert 1.3 < ends[1] / ends[0] < 1.6

# %% [markdown]
# In the lower panel the device has gaps, each as long as the host's own work and a launch. The four bytes are the
# thin dark lines.
#
# ## 3. What the clock sees: your second hole
#
# Read the clock, run a round, read the clock. If nothing in the round waits, the host's clock sees the launches and
# nothing else. For n operations with w ≥ l,
#
# $$t_{\text{seen}} = n\,l \qquad t_{\text{true}} = l + n\,w$$
#
# The cell has a machine to be timed, a simulated one: `step()` launches, `wait()` waits until the device is done, and
# `now()` reads the machine's own clock, in seconds. As on a real GPU the first step is slow, because CuPy compiles
# its kernels when they are first used; and something from before may still be in the queue.


# %%
class Simulated:
    """A step is n operations, each launched in `launch` seconds and computed in `compute`."""

    def __init__(self, n, launch, compute):
        self.n, self.launch, self.compute, self.first = n, launch, compute, 0.2
        self.host, self.device = 10.0, 10.3  # busy with something else for 0.3 s

    def step(self):
        self.host, self.first = self.host + self.first, 0.0
        for _ in range(self.n):
            self.host += self.launch
            self.device = max(self.device, self.host) + self.compute

    def wait(self):
        self.host = max(self.host, self.device)

    def now(self):
        return self.host


machine = Simulated(100, 10e-6, 40e-6)
machine.step()  # the slow one
machine.wait()
began = machine.now()
machine.step()
seen = machine.now() - began
machine.wait()
true = machine.now() - began
print(f"the clock sees {1000 * seen:.2f} ms, and n l is {100 * 0.010:.2f} ms")
print(f"with a wait before the second look {1000 * true:.2f} ms, and l + n w is {0.010 + 100 * 0.040:.2f} ms")
assert abs(seen - 100 * 10e-6) < 1e-9 and abs(true - (10e-6 + 100 * 40e-6)) < 1e-9

# %% [markdown]
# Write the stopwatch. Four things are to be right: one first step that does not count; an empty queue when the clock
# is started; an empty queue when it is stopped; and no waiting in between, because a training will not wait either.


# %% exercise="19.step_time"
def step_time(machine, repeats):
    """Milliseconds that one machine.step() takes, from `repeats` of them in a row. machine.now() is in seconds."""
    ### BEGIN SOLUTION
    machine.step()
    machine.wait()
    began = machine.now()
    for _ in range(repeats):
        machine.step()
    machine.wait()
    return 1000 * (machine.now() - began) / repeats
    ### END SOLUTION


# %% check="19.step_time"
check("19.step_time", step_time).raise_if_wrong()

# %% [markdown]
# On CuPy, `wait` is `xp.cuda.runtime.deviceSynchronize()`, as in `minigan.bench`. CuPy's own stopwatch is
# `cupyx.profiler.benchmark`. In section 8 yours times a real training.
#
# ## 4. Lines that make a GPU wait
#
# Each row of the cell has a line as one writes it by mistake, and the same line mended. With NumPy both give the same
# numbers and nothing is amiss; no test of numbers finds the mistake. On the tripwire the first one raises.

# %%
BIAS = np.float32([0.5, -1, 2, 0])  # a plain array
draw = lambda generator, x: generator.standard_normal(x.shape, dtype="float32")
LINES = {
    "np on a device array": (lambda x: np.tanh(x), lambda x: xp.tanh(x)),
    "float(loss)": (lambda x: float((x * x).mean()), lambda x: (x * x).mean()),
    "if loss > 1": (lambda x: x / 2 if x.max() > 1 else x, lambda x: xp.where(x.max() > 1, x / 2, x)),
    "x[x > 0]": (lambda x: x[x > 0].sum(), lambda x: (x * (x > 0)).sum()),
    "a plain array in a sum": (lambda x: x + BIAS, lambda x: x + to_device(BIAS)),
    "a NumPy number": (lambda x: x * np.sqrt(2), lambda x: x * math.sqrt(2)),
    "noise from the host": (lambda x: x + draw(np.random.default_rng(0), x), lambda x: x + draw(rng(0), x)),
}
host_x = np.random.default_rng(1).standard_normal((3, 4)).astype("float32")
for name, (mistake, mended_line) in LINES.items():
    use("numpy")
    numbers = mistake(host_x)
    assert np.allclose(numbers, mended_line(host_x), rtol=1e-6), "both right on NumPy"
    use(tripwire.BACKEND)
    x, found = to_device(host_x), None
    assert np.allclose(to_host(mended_line(x)), numbers, rtol=1e-6), "the mended one is clean, and right"
    try:
        mistake(x)
    except Leak as leak:
        found = str(leak)
    assert found, f"{name}: the tripwire found nothing"
    print(f"{name:<24}{found[:84]}")
use("numpy")

# %% [markdown]
# What does CuPy itself do with the lines on the left? Not the same with all:
#
# | line | CuPy |
# |---|---|
# | `float(loss)`, `if loss > 1`, `x[x > 0]`, `print(loss)`, `loss.item()` | the right number, after a silent wait |
# | `x + BIAS`, `np.array([x.min()])`, `np.asarray(x)` | TypeError, perhaps hours later, in a line for the log |
# | `np.tanh(x)` | is handed on to `cupy.tanh`; so with most functions, and not with all |
#
# It is often said that NumPy's functions copy a CuPy array to the host. Of `np.tanh` that is not true. Yet
# `xp.tanh` is right everywhere, so the tripwire insists on it. And noise from the host is no error once `to_device`
# stands around it: it is said aloud. But the host then draws, and the bus carries, in every round. Section 7 counts
# what crosses.
#
# ## 5. A training round that leaks, and its mend
#
# Here is a round as one writes it, with a generator that one has at hand. It has two leaks. Find them before you run
# the cell.


# %%
def players(make, optimizer=Adam, lr=1e-3):
    """G, D and their optimizers, on the backend in use."""
    gan = make(rng(0))
    return SimpleNamespace(G=gan.G, D=gan.D, noise=gan.noise, opt_G=optimizer(gan.G, lr), opt_D=optimizer(gan.D, lr))


def leaky_round(p, x_real, generator, history):
    z = generator.standard_normal((len(x_real), p.noise), dtype="float32")
    d_step(p.G, p.D, p.opt_D, non_saturating, x_real, z)
    loss = g_step(p.G, p.D, p.opt_G, non_saturating, z)
    history.append(float(loss))


def mended_round(p, x_real, generator, history):
    z = generator.standard_normal((len(x_real), p.noise), dtype="float32")
    d_step(p.G, p.D, p.opt_D, non_saturating, x_real, z)
    loss = g_step(p.G, p.D, p.opt_G, non_saturating, z)
    history.append(loss)  # 0-d, and still on the device


small = lambda generator: mlp_linear(generator, (8, 8, 1), noise=16)  # images of 8 x 8 pixels
use(tripwire.BACKEND)
x_real = to_device(np.random.default_rng(2).uniform(-1, 1, (6, 8, 8, 1)).astype("float32"))
found = []
for one_round, generator in (
    (leaky_round, np.random.default_rng(3)),
    (leaky_round, rng(3)),
    (mended_round, rng(3)),
):
    p, history = players(small), []
    try:
        for _ in range(10):
            one_round(p, x_real, generator, history)
        losses = to_host(xp.stack(history))  # once, after the rounds
        found.append(f"clean; {len(losses)} losses in one transfer of {losses.nbytes} bytes")
    except Leak as leak:
        found.append(str(leak))
    print(f"{one_round.__name__:<14}{found[-1][:98]}")
use("numpy")
assert "plain" in found[0] and "float()" in found[1] and found[2].startswith("clean")

# %% [markdown]
# A tripwire stops at the first leak; one mends and runs again until it is silent. Both leaks look like nothing.
#
# ## 6. Mend a loop: your third hole
#
# The next loop is a discriminator alone, s = x w, with real samples (y = 1) and fake ones (y = 0). It has the loss of
# lesson 03 and its gradient in the long form, a line back for each line forward:
#
# $$s = x w \qquad L = \frac{1}{N} \sum_n \log(1 + e^{s_n}) - y_n s_n \qquad
# ds_n = \frac{\sigma(s_n) - y_n}{N} \qquad dw = x^T ds$$
#
# A gradient whose largest number is above 1 is scaled down so that it is 1.


# %%
def leaky_fit(x, y, w, steps, lr, backend):
    """`steps` steps of gradient descent for w (I,), from x (N, I) and y (N,). Returns the losses (steps,) and w."""
    xp, to_device, to_host = backend.module, backend.to_device, backend.to_host
    w, losses = to_device(w), []
    for _ in range(steps):
        here_x, here_y = to_device(x), to_device(y)  # (N, I), (N,)
        # forward
        s = here_x @ w  # (N,)
        loss = (xp.logaddexp(0, s) - here_y * s).mean()  # log(1 + e^s) without overflow
        # backward, from the last line to the first
        ds = (1 / (1 + np.exp(-s)) - here_y) / len(y)  # (N,)
        dw = here_x.T @ ds  # (I,)
        largest = xp.abs(dw).max()
        if largest > 1:
            dw = dw / largest
        w = w - lr * dw
        losses.append(float(loss))
    return np.array(losses), to_host(w)


host = SimpleNamespace(module=np, to_device=np.asarray, to_host=np.asarray)  # NumPy as a backend
numbers, y = np.random.default_rng(4), np.arange(8) % 2 + 0.0
w = numbers.standard_normal(5)
x = 2 * numbers.standard_normal((8, 5)) - 2 * np.outer(2 * y - 1, w)  # w begins on the wrong side
losses, fitted = leaky_fit(x, y, w, 12, 0.5, host)

loss = lambda v: (np.logaddexp(0, x @ v) - y * (x @ v)).mean()
numeric = [(loss(w + 1e-5 * e) - loss(w - 1e-5 * e)) / 2e-5 for e in np.eye(5)]
ds = (1 / (1 + np.exp(-(x @ w))) - y) / 8
dw = x.T @ ds
layer = Dense(5, 1, rng=rng(0), bias=False).astype("float64")
layer.backward(ds[:, None], layer.forward(x)[1])
print("dw is the numeric gradient:", np.allclose(dw, numeric, atol=1e-8))
print("dw is that of the library's Dense:", np.allclose(dw, layer.grads["W"][:, 0], rtol=1e-12))
print("the first gradient is clipped, and the loss falls:", bool(np.abs(dw).max() > 1 and losses[-1] < losses[0] / 2))
assert np.allclose(dw, numeric, atol=1e-8) and np.allclose(dw, layer.grads["W"][:, 0], rtol=1e-12)
assert np.abs(dw).max() > 1 and losses[-1] < losses[0] / 2

# %% [markdown]
# On NumPy it works. Write it so that nothing crosses inside the loop. Two hints. A branch on a value becomes
# arithmetic: divide by `xp.maximum(1, largest)`, always. And a list of 0-d arrays becomes one array by `xp.stack`. In
# all, `to_device` and `to_host` may be called six times. (Inside the function `xp` and the two doors are those of the
# backend that it is given. The check gives it a tripwire.)


# %% exercise="19.mended"
def mended(x, y, w, steps, lr, backend):
    """The same as leaky_fit, with no transfer inside the loop."""
    xp, to_device, to_host = backend.module, backend.to_device, backend.to_host
    ### BEGIN SOLUTION
    x, y, w, losses = to_device(x), to_device(y), to_device(w), []
    for _ in range(steps):
        s = x @ w
        losses.append((xp.logaddexp(0, s) - y * s).mean())
        ds = (1 / (1 + xp.exp(-s)) - y) / len(y)
        dw = x.T @ ds
        w = w - lr * (dw / xp.maximum(1, xp.abs(dw).max()))
    losses, w = to_host(xp.stack(losses)), to_host(w)
    ### END SOLUTION
    return np.asarray(losses), np.asarray(w)


# %% check="19.mended"
check("19.mended", mended).raise_if_wrong()

# %%
use(tripwire.BACKEND)
here = SimpleNamespace(module=xp, to_device=to_device, to_host=to_host)
for fit in (leaky_fit, mended):
    try:
        again, refitted = fit(x, y, w, 12, 0.5, here)
        print(f"{fit.__name__}: clean, with the losses and w of NumPy:", np.allclose(again, losses))
    except Leak as leak:
        print(f"{fit.__name__}: {str(leak)[:90]}")
use("numpy")
assert np.allclose(again, losses, rtol=1e-12) and np.allclose(refitted, fitted, rtol=1e-12)

# %% [markdown]
# ## 7. Is the library clean?
#
# Three rounds of minigan's own `d_step` and `g_step` from given data, on NumPy and on the tripwire, for an MLP and
# for a small DCGAN with convolutions and batch norm. Any object with a backend's attributes is a backend, so here is
# the tripwire with two doors that count.


# %%
def counting():
    """The tripwire, with the bytes of each transfer in its list `crossed`."""
    crossed = []
    door = lambda way: lambda a: (crossed.append(a.nbytes), way(a))[1]
    doors = {"to_device": door(tripwire.to_device), "to_host": door(tripwire.to_host)}
    return SimpleNamespace(**{**vars(tripwire.BACKEND), **doors, "crossed": crossed})


def played(where, make, optimizer=Adam, count=3):
    """Weights, gradients and losses after some rounds on a backend, on the host; and the dtypes seen in the steps."""
    use("numpy")
    first = players(make)  # NumPy's first weights for all: another backend would draw others
    use(where)
    p, data, values, trace = players(make, optimizer), np.random.default_rng(5), [], {}
    p.G.theta, p.D.theta = to_device(first.G.theta), to_device(first.D.theta)
    for _ in range(count):
        drawn = data.uniform(-1, 1, (6, *p.G.output_shape((p.noise,)))), *data.standard_normal((2, 6, p.noise))
        x_real, z_D, z_G = (to_device(a.astype("float32")) for a in drawn)
        values.append(d_step(p.G, p.D, p.opt_D, non_saturating, x_real, z_D, trace))
        values.append(g_step(p.G, p.D, p.opt_G, non_saturating, z_G, trace))
    dtypes = {str(a.dtype) for a in (p.G.theta, p.D.theta, *values, *trace.values()) if hasattr(a, "dtype")}
    results = [to_host(a) for a in (p.G.theta, p.D.theta, p.G.grad, p.D.grad, xp.stack(values))]
    use("numpy")
    return results, dtypes


MODELS = {"MLP": small, "DCGAN": lambda generator: dcgan(generator, noise=16, width=4)}
for name, make in MODELS.items():
    watched = counting()
    on_numpy, dtypes = played("numpy", make)
    on_tripwire, _ = played(watched, make)
    same = all(np.array_equal(a, b) for a, b in zip(on_numpy, on_tripwire))
    print(f"{name:<6} no leak; NumPy's bits: {same}; transfers: {len(watched.crossed)}; dtypes: {', '.join(dtypes)}")
    assert same and dtypes == {"float32"}
    assert len(watched.crossed) == 2 + 3 * 3 + 5, "2 weights, 3 batches a round, 5 results: the steps none"

# %% [markdown]
# "Bit for bit" is possible only because the tripwire computes with NumPy. A GPU adds in another order; there the
# library's tests allow 1e-4 of an array's largest number.
#
# All was **float32**. In float64 every array has twice the bytes, and many GPUs made for games compute it at 1/32 or
# 1/64 of the rate of float32 (NVIDIA's programming guide has the table). On a CPU the factor is about 2, and nobody
# notices that float64 has crept in.
#
# **Predict.** `f` is a float32 array. Which are float64? `f * 2.0`, `f * math.sqrt(2)`, `f * np.sqrt(2)`,
# `f + np.arange(3)`, `f * (f > 0)`, `f * f.mean()`, `f + xp.zeros(3)`.
#
# <details><summary>The answer</summary>
#
# The third, the fourth and the last. A Python number is weak and takes the array's dtype. What comes from `np` has a
# dtype of its own: `np.sqrt(2)` is a np.float64, and `np.arange(3)` is int64, which float32 cannot hold.
#
# </details>

# %%
f = np.float32([0.5, -1.0, 2.0])
RESULTS = {
    "f * 2.0": (f * 2.0, "float32"),
    "f * math.sqrt(2)": (f * math.sqrt(2), "float32"),
    "f * np.sqrt(2)": (f * np.sqrt(2), "float64"),
    "f + np.arange(3)": (f + np.arange(3), "float64"),
    "f * (f > 0)": (f * (f > 0), "float32"),
    "f * f.mean()": (f * f.mean(), "float32"),
    "f + xp.zeros(3)": (f + xp.zeros(3), "float64"),
    "G(z), z of float64": (small(rng(0)).G(rng(1).standard_normal((4, 16))), "float64"),  # dtype= was forgotten
}
for line, (result, dtype) in RESULTS.items():
    print(f"{line:<20}{result.dtype}")
    assert result.dtype == dtype

use(tripwire.BACKEND)
passed = to_device(f) + xp.zeros(3)
print("the tripwire lets f + xp.zeros(3) pass, in", passed.dtype)
assert passed.dtype == "float64"
use("numpy")

# %% [markdown]
# These are the rules of NumPy 2 (NEP 50). NumPy 1 had others, and so may an older CuPy. The network in the last row
# does not mend it: its weights are float32, and its images are not. Nor does the tripwire, which looks for transfers.
# So test for it as `played` does: collect the dtypes of all that a step leaves in its `trace`, and assert that there
# is one.
#
# ## 8. When does it pay?
#
# A round with a batch of B samples takes a + b B: b is a sample's arithmetic, and a is what a round costs before the
# first sample, n launches on a GPU or n calls of NumPy on a CPU. (n does not depend on B: one launch serves a batch
# of any size.) So a is larger on the GPU, b is larger on the CPU, and the two lines meet:
#
# $$t(B) = a + b\,B \qquad B^* = \frac{a_{\text{GPU}} - a_{\text{CPU}}}{b_{\text{CPU}} - b_{\text{GPU}}}$$
#
# For a picture we need numbers, and take round ones, *an example and not a measurement*: n = 200 operations a round;
# a launch costs 10 µs, a call of NumPy 1 µs; the CPU does 1e11 floating-point operations a second and the GPU 1e13.
# How many a sample needs follows from the layers.
#
# But a + b B adds what a queue overlaps. By section 2, without a wait the larger of a and b B decides. Your
# `timeline` draws that, for n operations that share the arithmetic evenly.


# %%
def flop(gan):
    """Floating-point operations of d_step and g_step for one sample: the products of dense layers."""
    g, d = ([layer.params["W"].size for layer in net.layers if "W" in layer.params] for net in (gan.G, gan.D))
    of_d = sum(g) + 2 * (3 * sum(d) - d[0])  # G forward; for real and fake: D forward, dW and dx, but no first dx
    of_g = 3 * sum(g) - g[0] + 2 * sum(d)  # G forward, dW and dx; D forward and dx
    return 2 * (of_d + of_g)  # a multiplication and an addition each


batches = 2.0 ** np.arange(0, 17, 2 if FAST else 1)
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
crossovers = {}
for axes, make in zip(panels, (mlp_linear, mlp)):
    work, n = flop(make(rng(0))), 200
    (a_cpu, b_cpu), (a_gpu, b_gpu) = (n * 1e-6, work / 1e11), (n * 10e-6, work / 1e13)  # s, s a sample
    B = crossovers[make.__name__] = (a_gpu - a_cpu) / (b_cpu - b_gpu)
    meet = a_cpu + b_cpu * B
    assert abs(meet / (a_gpu + b_gpu * B) - 1) < 1e-12

    queued = []  # a round in the long run: the last 2 of 4
    for size_of_batch in batches:
        times = np.full(4 * n, a_gpu / n), np.full(4 * n, b_gpu * size_of_batch / n)
        done = timeline(*times, np.zeros(4 * n, bool))[1]
        queued.append((done[-1] - done[2 * n - 1]) / 2)
    assert np.allclose(queued, np.maximum(a_gpu, b_gpu * batches), rtol=1e-6)

    axes.loglog(batches, 1000 * (a_cpu + b_cpu * batches), color=BLUE, label="CPU: a + b B")
    axes.loglog(batches, 1000 * (a_gpu + b_gpu * batches), color=ORANGE, label="GPU: a + b B")
    axes.loglog(batches, 1000 * np.array(queued), "s", color=ORANGE, fillstyle="none", label="GPU, your timeline")
    axes.plot([B], [1000 * meet], "o", color=INK)
    axes.annotate(f"B* = {B:.0f}", (B, 1000 * meet), (6, -14), textcoords="offset points")
    axes.set(xlabel="batch size B (samples)", title=f"{make.__name__}, {work / 1e6:.1f} million operations a sample")
    axes.title.set_fontsize(10)
    print(f"{make.__name__:<11}B* = {B:.1f}; on the GPU a batch of {a_gpu / b_gpu:.0f} takes as long as one of 1")
panels[0].set_ylabel("time of a round (ms)")
panels[0].legend(loc="upper left", fontsize=9)
figure.suptitle("Left of B* the CPU is faster (example values, not a measurement)", x=0.02, ha="left")
figure.tight_layout()
assert crossovers["mlp"] < crossovers["mlp_linear"] / 5

# %% [markdown]
# The larger the network, the sooner a GPU pays. Where the squares lie level, it is paid for launching: larger batches
# are free there, and a wider network is too; fewer operations would help, and a faster GPU would not.
#
# Now the machine that you have. Your `step_time` takes anything with `step`, `wait` and `now`. A CPU, too, pays its
# calls once for a batch. Times are not printed, because they differ from run to run, and none is asserted: a busy
# machine is no bug. With a GPU the cell prints what it measures, and whether the numbers of both agree.


# %%
class Training:
    """minigan's round on the backend in use, as something to be timed."""

    now = staticmethod(time.perf_counter)

    def __init__(self, make, B):
        self.p, self.rng = players(make), rng(1)
        shape = (B, *self.p.G.output_shape((self.p.noise,)))
        self.x_real = to_device(np.random.default_rng(6).uniform(-1, 1, shape).astype("float32"))

    def step(self):
        mended_round(self.p, self.x_real, self.rng, [])

    def wait(self):
        if backend_name() == "cupy":
            xp.cuda.runtime.deviceSynchronize()


def fastest(where, make, B, tries):
    """Milliseconds, the least of some tries: what disturbs a measurement only ever adds to it."""
    use(where)
    machine = Training(make, B)
    ms = min(step_time(machine, 3) for _ in range(tries))
    use("numpy")
    return ms


cheaper = fastest("numpy", small, 12, tries=20) < 6 * fastest("numpy", small, 1, tries=20)
print("CPU: a round with 12 samples takes less than half of 12 rounds with one:", bool(cheaper))

if GPU:
    for name, make, B in (("MLP", mlp, 16), ("MLP", mlp, 256), ("DCGAN", dcgan, 16), ("DCGAN", dcgan, 64)):
        cpu, gpu = (fastest(where, make, B, tries=3) for where in ("numpy", "cupy"))
        print(f"{name:<6}B = {B:<4} CPU {cpu:.2f} ms, GPU {gpu:.2f} ms a round, measured here and now")
    for name, make in MODELS.items():
        (on_cpu, _), (on_gpu, _) = (played(where, make, SGD, count=1) for where in ("numpy", "cupy"))
        apart = max(np.abs(a - b).max() / max(np.abs(a).max(), 1e-2) for a, b in zip(on_cpu, on_gpu))
        print(f"{name:<6}weights, gradients and losses of both agree to 1e-4: {bool(apart < 1e-4)}")
        assert apart < 1e-4
else:
    print("GPU: there is none to use here, so nothing was measured on one.")

# %% [markdown]
# ## Break it
#
# Change one thing, predict what happens, run, put it back.
#
# 1. In section 2, set `H = 20.0`. What does the wait cost now? And with `H = 200.0`? For which H is the ratio worst?
# 2. In section 5, end `mended_round` with `float(history[0])`, the loss of the *first* round, which must be there by
#    now. The tripwire objects all the same. Is it right? (The copy joins the end of the same queue.)
# 3. In section 6, replace `xp.maximum(1, largest)` by `max(1, largest)`. NumPy is content. Why is the tripwire not?
# 4. In section 5, give `players` the default `lr=np.float32(1e-3)`. It is a number, and no float64. Who objects, why?
# 5. In section 8, let a launch cost 2 µs, `n * 2e-6`. (Fused kernels and CUDA graphs make launches fewer.)
#
# ## What you have now
#
# The outcome of this lesson, asserted:

# %%
assert check("19.timeline", timeline)
assert check("19.step_time", step_time)
assert check("19.mended", mended)
use("numpy")
assert backend_name() == "numpy" and xp.zeros is np.zeros
print("A queue, a stopwatch and a loop without hidden transfers; and the backend is", backend_name(), "again.")

# %% [markdown]
# ## What to read next
#
# - **Lesson 20**, bugs found in the wild.
# - R. Okuta, Y. Unno, D. Nishino, S. Hido and C. Loomis, "CuPy: A NumPy-Compatible Library for NVIDIA GPU
#   Calculations", *Workshop on Machine Learning Systems (LearningSys) at NIPS* 2017.
# - CuPy's user guide, the pages "Differences between CuPy and NumPy", "Interoperability" and "Performance Best
#   Practices".
# - S. Berg, "NEP 50: Promotion rules for Python scalars", numpy.org, 2021.
# - NVIDIA, *CUDA C++ Programming Guide*, "Asynchronous Concurrent Execution" and "Arithmetic Instructions".
# - A. Paszke et al., "PyTorch: An Imperative Style, High-Performance Deep Learning Library", *NeurIPS* 2019, section
#   5.2: the same queue in PyTorch.
