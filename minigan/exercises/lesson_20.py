"""Lesson 20, "Bugs found in the wild": its exercises. Two of them ask for the check, one for the mend.

N samples in a batch, M features; K bins.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw
from minigan.layers import Dense, Tanh
from minigan.losses import non_saturating
from minigan.network import Sequential
from minigan.steps import d_gradients

# ---- 20.layer_verdicts ----------------------------------------------------------------------------------------


class Squash:
    """y = tanh(x)"""

    def forward(self, x, train):
        y = np.tanh(x)
        return y, y

    def backward(self, dy, cache):
        return dy * (1 - cache**2)


class OneSlot(Squash):
    """Its cache is one slot on itself, which the next forward overwrites."""

    def forward(self, x, train):
        self.y = np.tanh(x)
        return self.y, None

    def backward(self, dy, cache):
        return dy * (1 - self.y**2)


class Softmax:
    """Rows that sum to 1; times: what backward is multiplied by."""

    def __init__(self, times):
        self.times = times

    def forward(self, x, train):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        return y, y

    def backward(self, dy, cache):
        return self.times * cache * (dy - (dy * cache).sum(axis=1, keepdims=True))


class Norm:
    """Batch norm without gamma and beta. In inference its statistics are constants."""

    def forward(self, x, train):
        mean, scale = (x.mean(axis=0), 1 / x.std(axis=0)) if train else (0.3, 1.4)
        xhat = (x - mean) * scale
        return xhat, (xhat, scale, train)

    def backward(self, dy, cache):
        xhat, scale, train = cache
        return scale * (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0)) if train else scale * dy


class HalfFrozen(Norm):
    """Goes forward by its mode, and back as in training."""

    def backward(self, dy, cache):
        xhat, scale, _ = cache
        return scale * (dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0))


def make_patients(rng, N):
    """Six layers in random order, and two batches that differ."""
    layers = [Squash(), OneSlot(), Softmax(1), Softmax(2), Norm(), HalfFrozen()]
    shape = (N, sizes(rng, N, 1)[0] + 1)
    return {
        "layers": [layers[k] for k in rng.permutation(len(layers))],
        "x1": draw(rng, shape),
        "x2": draw(rng, shape),
        "rng": np.random.default_rng(int(rng.integers(99))),
    }


def numeric(f, x, h=1e-5):
    steps = h * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(f(x + e) - f(x - e)) / (2 * h) for e in steps]).reshape(x.shape)


def judged(layers, x1, x2, dys, modes=(True, False), in_flight=True, numeric_mode=None):
    """Is each layer's backward right at both batches, in these modes? in_flight: both forwards come first."""
    verdicts = []
    for layer in layers:
        right = True
        for train in modes:
            how = train if numeric_mode is None else numeric_mode
            caches = [layer.forward(x, train)[1] for x in (x1, x2)]
            for x, dy, cache in zip((x1, x2), dys, caches):
                if not in_flight:
                    cache = layer.forward(x, train)[1]
                dx = layer.backward(dy, cache)
                true = numeric(lambda v, dy=dy, layer=layer, how=how: (layer.forward(v, how)[0] * dy).sum(), x.copy())
                right &= bool(np.abs(dx - true).max() < 1e-5)
                if in_flight:  # the differences have run forward as well
                    layer.forward(x2, train)
        verdicts.append(right)
    return verdicts


def drawn(rng, x1, x2):
    return [rng.standard_normal(x.shape) for x in (x1, x2)]


def layer_verdicts(layers, x1, x2, rng):
    return judged(layers, x1, x2, drawn(rng, x1, x2))


LAYER_VERDICTS = Exercise(
    name="20.layer_verdicts",
    asked="of each layer, is its backward right in both modes, with two batches in flight? A list of True and False",
    make=make_patients,
    solution=layer_verdicts,
    returns=("the list",),
    single=False,  # batch norm of one sample is zero, whatever backward says
    float32=False,
    wrong=(
        Wrong(
            lambda layers, x1, x2, rng: judged(layers, x1, x2, drawn(rng, x1, x2), in_flight=False),
            "each batch goes forward and right back",
            "each batch goes forward and right back, so a layer with one slot for its cache passes: run both "
            "forwards, keep both caches, then run both backwards",
        ),
        Wrong(
            lambda layers, x1, x2, rng: judged(layers, x1, x2, drawn(rng, x1, x2), modes=(True,)),
            "tried in training alone",
            "the layers are tried in training alone, so one that goes back as in training in both modes passes: try "
            "train=True and train=False",
        ),
        Wrong(
            lambda layers, x1, x2, rng: judged(layers, x1, x2, [np.ones_like(x1), np.ones_like(x2)]),
            "upstream gradient of ones",
            "this is what comes of an upstream gradient of ones: softmax's gradient is then zero, and twice zero "
            "passes; draw dy at random",
        ),
        Wrong(
            lambda layers, x1, x2, rng: judged(layers, x1, x2, drawn(rng, x1, x2), numeric_mode=True),
            "the differences run forward in training",
            "the differences run forward in training where backward is tried in inference: give both the same mode",
        ),
        Wrong(
            lambda layers, x1, x2, rng: [True] * len(layers),
            "everything passes",
            "everything passes: a check that never fails proves nothing",
        ),
        Wrong(
            lambda layers, x1, x2, rng: [not right for right in layer_verdicts(layers, x1, x2, rng)],
            "the other way round",
            "it is the other way round: True stands for a right backward",
        ),
    ),
)


# ---- 20.step_verdicts -----------------------------------------------------------------------------------------


def stepping(lr_D, lr_G):
    """D's step that goes down L_D with so much of D and of G; what it should be has lr_G = 0."""

    def step(G, D, x_real, z):
        x_fake, cache = G.forward(z)
        dx = d_gradients(D, non_saturating, x_real, x_fake)
        G.zero_grad()
        G.backward(dx, cache)
        D.theta -= lr_D * D.grad
        G.theta -= lr_G * G.grad

    return step


STEPS = (stepping(0.1, 0), stepping(1e-10, 0), stepping(0.1, 0.1), stepping(0.1, 1e-10), stepping(0, 0))
STEPS = (*STEPS, stepping(0, 0.1))  # the first two are right


def make_steps(rng, N):
    """Six steps of D in random order, the players, and a batch for them."""
    n_noise, n_G, n_in, n_D = sizes(rng, N, 4)
    draws = np.random.default_rng(int(rng.integers(2**31)))
    G = Sequential(Dense(n_noise, n_G, rng=draws), Tanh(), Dense(n_G, n_in, rng=draws)).astype(np.float64)
    D = Sequential(Dense(n_in, n_D, rng=draws), Tanh(), Dense(n_D, 1, rng=draws)).astype(np.float64)
    steps = [STEPS[k] for k in rng.permutation(len(STEPS))]
    return {"steps": steps, "G": G, "D": D, "x_real": draw(rng, (N, n_in)), "z": draw(rng, (N, n_noise))}


def looked_at(steps, G, D, x_real, z, right):
    """right(G before, G after, D before, D after) of each step, each from where the players stand."""
    verdicts = []
    for step in steps:
        g, d = G.copy(), D.copy()
        step(g, d, x_real, z)
        verdicts.append(bool(right(G.theta, g.theta, D.theta, d.theta)))
    return verdicts


def step_verdicts(steps, G, D, x_real, z):
    same = np.array_equal
    return looked_at(steps, G, D, x_real, z, lambda g0, g1, d0, d1: same(g0, g1) and not same(d0, d1))


def _views(steps, G, D, x_real, z):
    verdicts = []
    for step in steps:
        before_G, before_D = G.theta, D.theta
        step(G, D, x_real, z)
        verdicts.append(np.array_equal(before_G, G.theta) and not np.array_equal(before_D, D.theta))
    return verdicts


def _close(steps, G, D, x_real, z):
    near = np.allclose
    return looked_at(steps, G, D, x_real, z, lambda g0, g1, d0, d1: near(g0, g1) and not near(d0, d1))


STEP_VERDICTS = Exercise(
    name="20.step_verdicts",
    asked="of each step(G, D, x_real, z), does it move D and leave all of G as it was? A list of True and False",
    make=make_steps,
    solution=step_verdicts,
    returns=("the list",),
    float32=False,
    wrong=(
        Wrong(
            _views,
            "theta is changed in place",
            "before and after are the same array, so nothing ever seems to move: theta is changed in place, and what "
            "is kept of it must be a copy, G.theta.copy()",
        ),
        Wrong(
            _close,
            "nearly equal",
            "nearly equal is called equal: np.allclose lets a small step of G pass, and overlooks a small one of D; "
            "what must not move must be equal bit for bit, np.array_equal",
        ),
        Wrong(
            lambda steps, G, D, x_real, z: looked_at(
                steps, G, D, x_real, z, lambda g0, g1, d0, d1: np.array_equal(g0, g1)
            ),
            "only G is looked at",
            "only G is looked at, so a step that moves nothing passes: D must have moved",
        ),
        Wrong(
            lambda steps, G, D, x_real, z: looked_at(
                steps, G, D, x_real, z, lambda g0, g1, d0, d1: not np.array_equal(d0, d1)
            ),
            "only D is looked at",
            "only D is looked at, so a step that moves G as well passes: G must be as it was",
        ),
        Wrong(
            lambda steps, G, D, x_real, z: [not right for right in step_verdicts(steps, G, D, x_real, z)],
            "the other way round",
            "it is the other way round: True stands for a step that moves D and leaves G alone",
        ),
    ),
)


# ---- 20.grid_kl -----------------------------------------------------------------------------------------------


def make_points(rng, N):
    """Real and fake numbers on N + 2 bins; in one of the bins there is no fake."""
    K = N + 2
    edges = np.cumsum(np.r_[-1.0, 0.3 + rng.random(K)])
    where = {"real": rng.integers(0, K, 40 + 4 * K), "fake": rng.integers(0, K - 1, 20 + 3 * K)}
    where["fake"] = (where["fake"] + rng.integers(1, K)) % K
    where["real"][:K] = np.arange(K)
    return {**{name: edges[k] + np.diff(edges)[k] * rng.random(len(k)) for name, k in where.items()}, "edges": edges}


def shares(x, edges, add=0.5):
    counts = np.histogram(x, edges)[0] + add
    return counts / counts.sum()


def bits(p, q, log=np.log2):
    return (p * log(p / q)).sum()


def grid_kl(real, fake, edges):
    return bits(shares(real, edges), shares(fake, edges))


def _third(real, fake, edges):
    counted = np.histogram(real[: len(real) // 3 + 1], edges)[0] + 0.5
    return bits(counted / (len(real) + len(counted) / 2), shares(fake, edges))


def _by_one_total(real, fake, edges):
    total = len(real) + (len(edges) - 1) / 2
    return bits(*((np.histogram(x, edges)[0] + 0.5) / total for x in (real, fake)))


GRID_KL = Exercise(
    name="20.grid_kl",
    asked="KL(p || q) in bits of the shares p of real (n,) and q of fake (m,) on the bins, 1/2 added to every count",
    make=make_points,
    solution=grid_kl,
    returns=("the divergence",),
    float32=False,
    wrong=(
        Wrong(
            _third,
            "a third of the points",
            "the shares sum to about 1/3: only a third of the points are counted, and all of them divided by",
        ),
        Wrong(
            lambda real, fake, edges: grid_kl(fake, real, edges),
            "exchanged",
            "real and fake are exchanged: KL(p || q) is not KL(q || p), and p is the shares of real",
        ),
        Wrong(
            lambda real, fake, edges: bits(shares(real, edges), shares(fake, edges), np.log),
            "in nats",
            "this is in nats, by the natural logarithm; bits have log2",
        ),
        Wrong(
            lambda real, fake, edges: bits(shares(real, edges, 0), shares(fake, edges, 0)),
            "an empty bin",
            "it is infinite, from an empty bin of the fakes: add 1/2 to every count",
        ),
        Wrong(
            lambda real, fake, edges: bits(shares(real, edges, 0) + 0.5, shares(fake, edges, 0) + 0.5),
            "added to the shares",
            "the 1/2 is added to the shares, which then no longer sum to 1: add it to the counts, and divide after",
        ),
        Wrong(
            _by_one_total,
            "one total for both",
            "there is one total for both, so the shares of fake do not sum to 1: divide each by its own",
        ),
    ),
)

EXERCISES = (LAYER_VERDICTS, STEP_VERDICTS, GRID_KL)
