"""MidiNet: a melody made bar by bar, each bar drawn from noise, a chord and the bar before.

Neither network is a chain. Both are told the chord at every layer, and G reads the bar before with a convolutional
network of its own, the conditioner, whose four maps meet G's where they are of equal length. (Yang, Chou and Yang
2017; sizes and weights are those of the authors' code.)

N bars, each 16 steps of 128 pitches, one of them on: (N, 16, 128, 1). z (N, 100), y (N, 13) the chord: twelve roots
and the mode. As the chord is given, nobody asks for its gradient, nor for that of the bar before.
"""

from __future__ import annotations

from typing import Any

from minigan.backend import Array, xp
from minigan.layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    ShapeError,
    Sigmoid,
)
from minigan.layers import dcgan as normal
from minigan.layers.conv import correlate, spread, weight_gradient
from minigan.losses import Loss, non_saturating, smooth
from minigan.network import Cache, Network, Sequential, check_cache
from minigan.optim import Optimizer

NOISE, CHORD, STEPS, PITCHES = 100, 13, 16, 128
BAR = (STEPS, PITCHES, 1)
Trace = dict[str, Any]
GAME = smooth(non_saturating, 0.9)  # D's label for real bars is 0.9


def beside(h: Array, y: Array, *maps: Array) -> Array:
    """[h, y at every place, maps...] on the channel axis: (N, n..., C) -> (N, n..., C + 13 + ...)."""
    one_place = (len(y), *(1 for _ in h.shape[1:-1]), y.shape[-1])
    everywhere = xp.broadcast_to(y.reshape(one_place), (*h.shape[:-1], y.shape[-1]))
    return xp.concatenate([h, everywhere, *maps], axis=-1)


def apart(d: Array, channels: int) -> tuple[Array, Array]:
    """Backward of `beside`: the gradients on h, which has so many channels, and on the maps. y's is dropped."""
    return d[..., :channels], d[..., channels + CHORD :]


class Composer(Network):
    """G: a bar from noise, a chord and the bar before        (z (N, 100), y (N, 13), previous (N, 16, 128, 1))

        h = second([first([z, y]), y])                          (N, 2, 1, 128)
        c16, c8, c4, c2 = conditioner(previous)                 (N, 16, 1, 16), (N, 8, 1, 16), ...
        h = grow([h, y, c]), four times                         2 -> 4 -> 8 -> 16 steps, then 1 -> 128 pitches

    The bar (N, 16, 128, 1) holds the probability of each pitch at each step. conditions=False: the control, the same
    network that is given zeros in place of the chord and the bar before. Raises ShapeError for other sizes.
    """

    def __init__(self, *, rng: Any, conditions: bool = True) -> None:
        new, wide = {"rng": rng, "init": normal}, {"padding": "valid", "rng": rng, "init": normal}
        self.conditions = conditions
        self.first = Sequential(Dense(NOISE + CHORD, 1024, bias=False, **new), BatchNorm(1024), ReLU())
        self.second = Sequential(
            Dense(1024 + CHORD, 256, bias=False, **new), BatchNorm(256), ReLU(), Reshape((2, 1, 128))
        )
        joined = 128 + CHORD + 16  # channels of [h, y, c]
        double = lambda: (ConvTranspose(joined, 128, (2, 1), (2, 1), bias=False, **wide), BatchNorm(128), ReLU())
        # One window spans all pitches. A stride of as many says that windows share no place: they are not added up.
        keys = ConvTranspose(joined, 1, (1, PITCHES), (1, PITCHES), **wide)
        self.grow = [*(Sequential(*double()) for _ in range(3)), Sequential(keys, Sigmoid())]
        read = Conv(1, 16, (1, PITCHES), (1, PITCHES), bias=False, **wide)
        halve = lambda: Conv(16, 16, (2, 1), (2, 1), bias=False, **wide)
        self.conditioner = [
            Sequential(conv, BatchNorm(16), LeakyReLU()) for conv in (read, halve(), halve(), halve())
        ]
        super().__init__(self.first, self.second, *self.grow, *self.conditioner)

    def forward(self, x: tuple[Array, Array, Array], train: bool = True) -> tuple[Array, Cache]:
        z, y, previous = x
        fits("Composer", ("z", z, (NOISE,)), ("chords", y, (CHORD,)), ("previous bars", previous, BAR))
        y, previous = given(self.conditions, z.dtype, y, previous)

        c, maps, c_caches = previous, [], []
        for layer in self.conditioner:
            c, cache = layer.forward(c, train)  # 16, 8, 4, 2 steps
            maps.append(c)
            c_caches.append(cache)

        h, first = self.first.forward(beside(z, y), train)  # (N, 1024)
        h, second = self.second.forward(beside(h, y), train)  # (N, 2, 1, 128)
        h_caches = []
        for layer, c in zip(self.grow, maps[::-1]):  # at 2, 4, 8, 16 steps
            h, cache = layer.forward(beside(h, y, c), train)
            h_caches.append(cache)
        return h, Cache(self, [first, second, h_caches, c_caches])

    def backward(self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = True) -> Array | None:
        """dz (N, 100). The conditioner gets gradients at four places."""
        check_cache(self, cache)
        first, second, h_caches, c_caches = cache.layers
        dh, d_maps = dy, []
        for layer, its_cache in zip(self.grow[::-1], h_caches[::-1]):  # at 16, 8, 4, 2 steps
            dh, dc = apart(layer.backward(dh, its_cache, param_grads), 128)
            d_maps.append(dc)
        dh, _ = apart(self.second.backward(dh, second, param_grads), 1024)
        dz = self.first.backward(dh, first, param_grads, input_grad)
        if param_grads:
            dc = 0  # every map has two readers, G and the conditioner's next layer: their gradients add up
            for layer, its_cache, d_map in zip(self.conditioner[::-1], c_caches[::-1], d_maps[::-1]):
                dc = layer.backward(d_map + dc, its_cache, input_grad=layer is not self.conditioner[0])
        return dz[:, :NOISE] if input_grad else None


class ConvBeside(Conv):
    """y = Conv([x, c]), c (N, C) at every place of x, which is not laid out there        x (N, n..., I)

    c's channels hold the same number in every window. So their share of y is the same at all places, one product:

        y = unfold(x) W_x + c (sum of W_c over the taps) + b        W = [W_x, W_c] (k..., I + C, O)

    and what comes to W_c is the same for each tap, c^T (sum of dy over the places). Where the bar meets the chord,
    this spares 13 of 14 numbers. Padding is "valid", as no c stands in a border. The input gradient is x's alone.
    """

    def __init__(self, c_in: int, condition: int, c_out: int, kernel: Any, stride: Any, **options: Any) -> None:
        super().__init__(c_in + condition, c_out, kernel, stride, "valid", **options)
        self.split = c_in

    def forward(self, x, train=True):
        x, c = x
        W, taps, places = self.params["W"], tuple(range(x.ndim - 2)), self.windows.count(x.shape[1:-1])
        share = c @ W[..., self.split :, :].sum(axis=taps)  # (N, C) (C, O) -> (N, O)
        if "b" in self.params:
            share += self.params["b"]
        y = correlate(x, W[..., : self.split, :], self.windows, places)
        y += share.reshape(len(c), *(1 for _ in taps), -1)
        return y, (x, c)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x, c = cache
        if param_grads:
            dW, sums = self.grads["W"], dy.sum(axis=tuple(range(1, x.ndim - 1)))  # (N, O)
            dW[..., : self.split, :] += weight_gradient(x, dy, self.windows)
            dW[..., self.split :, :] += c.T @ sums  # (C, O), to each tap
            if "b" in self.params:
                self.grads["b"] += sums.sum(axis=0)
        W_x = self.params["W"][..., : self.split, :]
        return spread(dy, W_x, self.windows, x.shape[1:-1]) if input_grad else None

    def output_shape(self, shape: Any) -> Any:
        """For the shape of a sample of x, without c."""
        return super().output_shape(None if shape is None else (*shape[:-1], shape[-1] + self.c_in - self.split))


class Listener(Network):
    """D: one logit for a bar and its chord        (x (N, 16, 128, 1), y (N, 13))   logits (N, 1)

        f = first([x, y])           (N, 8, 1, 14)       the features that G shall match
        h = second([f, y])          (N, 231)            3 places of 77 channels
        h = third([h, y])           (N, 1024)
        logit = last([h, y])        (N, 1)

    conditions=False: zeros in place of the chord. Raises ShapeError for other sizes.
    """

    def __init__(self, *, rng: Any, conditions: bool = True) -> None:
        new = {"rng": rng, "init": normal}
        self.conditions = conditions
        self.first = Sequential(ConvBeside(1, CHORD, 14, (2, PITCHES), (2, PITCHES), **new), LeakyReLU())
        self.second = Sequential(
            ConvBeside(14, CHORD, 77, (4, 1), (2, 1), bias=False, **new), BatchNorm(77), LeakyReLU(), Flatten()
        )
        self.third = Sequential(Dense(231 + CHORD, 1024, bias=False, **new), BatchNorm(1024), LeakyReLU())
        self.last = Dense(1024 + CHORD, 1, **new)
        super().__init__(self.first, self.second, self.third, self.last)

    def features(self, x: tuple[Array, Array], train: bool = True) -> tuple[Array, Cache]:
        """f (N, 8, 1, 14), the first layer's values; its cache goes to no `backward` but `first`'s own."""
        x, y = x
        fits("Listener", ("bars", x, BAR), ("chords", y, (CHORD,)))
        (y,) = given(self.conditions, self.theta.dtype, y)
        return self.first.forward((x.astype(self.theta.dtype, copy=False), y), train)

    def forward(self, x: tuple[Array, Array], train: bool = True) -> tuple[Array, Cache]:
        """The logits, and a cache that begins with the features."""
        f, first = self.features(x, train)
        (y,) = given(self.conditions, f.dtype, x[1])
        h, second = self.second.forward((f, y), train)
        h, third = self.third.forward(beside(h, y), train)
        logits, last = self.last.forward(beside(h, y))
        return logits, Cache(self, [f, first, second, third, last])

    def backward(
        self,
        dy: Array,
        cache: Cache,
        param_grads: bool = True,
        input_grad: bool = True,
        d_features: Array | None = None,
    ) -> Array | None:
        """dx, for the bar alone. d_features (N, 8, 1, 14): what a loss on the features adds to their gradient."""
        check_cache(self, cache)
        _, first, second, third, last = cache.layers
        dh, _ = apart(self.last.backward(dy, last, param_grads), 1024)
        dh, _ = apart(self.third.backward(dh, third, param_grads), 231)
        df = self.second.backward(dh, second, param_grads)
        if d_features is not None:
            df = df + d_features
        return self.first.backward(df, first, param_grads, input_grad)


def given(conditions: bool, dtype: Any, *arrays: Array) -> list[Array]:
    """The conditions as numbers of the network's kind; zeros for the control."""
    return [a.astype(dtype, copy=False) if conditions else xp.zeros(a.shape, dtype=dtype) for a in arrays]


def fits(who: str, *arrays: tuple[str, Array, tuple[int, ...]]) -> None:
    """Raises ShapeError unless each array (name, array, shape of one sample) has its shape, and all one N."""
    n = len(arrays[0][1])
    for name, array, shape in arrays:
        if tuple(array.shape) != (n, *shape):
            raise ShapeError(
                f"{who} takes {name} {(n, *shape)} with {n} {arrays[0][0]}, but got {tuple(array.shape)}."
            )


# ---- the steps of the game ---------------------------------------------------------------------------------------


def d_step(
    G: Composer,
    D: Listener,
    optimizer: Optimizer,
    x_real: Array,
    y: Array,
    previous: Array,
    z: Array,
    loss: Loss = GAME,
    trace: Trace | None = None,
) -> Array:
    """D learns to tell the bars x_real (N, 16, 128, 1) from G's over the same chords. Returns D's loss, 0-d.

    The label of real bars is 0.9, that of G's 0 (one-sided label smoothing: Salimans et al. 2016, section 3.4).
    A dict given as `trace` receives what is in between.
    """
    x_fake, _ = G.forward((z, y, previous))  # no cache kept: nothing flows into G
    real_logits, real_cache = D.forward((x_real, y))
    fake_logits, fake_cache = D.forward((x_fake, y))
    value, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    D.zero_grad()
    D.backward(d_real, real_cache, input_grad=False)
    D.backward(d_fake, fake_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(x_fake=x_fake, real_logits=real_logits, fake_logits=fake_logits, d_value=value)
    return value


def g_step(
    G: Composer,
    D: Listener,
    optimizer: Optimizer,
    x_real: Array,
    y: Array,
    previous: Array,
    z: Array,
    feature_weight: float = 0.1,
    bar_weight: float = 0.01,
    loss: Loss = GAME,
    trace: Trace | None = None,
) -> Array:
    """G learns to pass for real at D, with bars whose mean, and whose features' mean, are those of real ones.

        L = mean(-log D(x_fake)) + feature_weight / 2 |mean f(x_fake) - mean f(x_real)|^2
                                 + bar_weight / 2     |mean x_fake - mean x_real|^2

    Means over the batch, f D's first layer. The three gradients meet on the way down: that of the logits with that of
    the features in D, what comes of both with that of the bars in x_fake. Returns L, 0-d. (Feature matching: Salimans
    et al. 2016, section 3.1. MidiNet's G takes two such steps for each of D's.)
    """
    x_fake, g_cache = G.forward((z, y, previous))
    fake_logits, d_cache = D.forward((x_fake, y))
    f_fake = d_cache.layers[0]
    f_real, _ = D.features((x_real, y))
    n = len(x_fake)

    value, d_fake = loss.generator(fake_logits)
    f_gap = f_fake.mean(axis=0) - f_real.mean(axis=0)  # (8, 1, 14)
    x_gap = x_fake.mean(axis=0) - x_real.astype(x_fake.dtype, copy=False).mean(axis=0)  # (16, 128, 1)
    if optimizer.workers is not None:  # the means are over the whole batch, of which each worker has a share
        f_gap, x_gap = map(optimizer.workers.mean, (f_gap, x_gap))
    value = value + feature_weight / 2 * (f_gap * f_gap).sum() + bar_weight / 2 * (x_gap * x_gap).sum()

    dx_fake = D.backward(d_fake, d_cache, param_grads=False, d_features=feature_weight / n * f_gap)
    dx_fake = dx_fake + bar_weight / n * x_gap  # each of the n bars moves the mean by a share 1 / n
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(g_x_fake=x_fake, g_logits=fake_logits, dx_fake=dx_fake, g_value=value)
    return value


# ---- a tune ------------------------------------------------------------------------------------------------------


def compose(G: Composer, z: Array, chords: Array, previous: Array | None = None) -> Array:
    """The pitches of N tunes of B bars, (N, B, 16) integers        z (N, B, 100), chords (N, B, 13)

    Each bar is G's answer to its z, its chord and the bar made before, where the most probable pitch of each step is
    on. The first follows `previous` (N, 16, 128, 1), or silence: zeros. Batch norm takes its running statistics, so
    that a tune does not depend on those made beside it. Raises ShapeError where chords are not as many as z.
    """
    bars = z.shape[1:2]
    fits("compose", ("z", z, (*bars, NOISE)), ("chords", chords, (*bars, CHORD)))
    bar = xp.zeros((len(z), *BAR), dtype=z.dtype) if previous is None else previous
    tune = []
    for b in range(z.shape[1]):
        probability, _ = G.forward((z[:, b], chords[:, b], bar), train=False)
        pitches = probability[..., 0].argmax(axis=2)  # (N, 16)
        bar = bar_before(pitches, z.dtype)
        tune.append(pitches)
    return xp.stack(tune, axis=1)


def one_hot(pitches: Array, dtype: Any = "float32") -> Array:
    """Pitches (N, 16) as bars (N, 16, 128, 1). The place of pitch 0 stands for silence, so that argmax can say it."""
    return (pitches[..., None] == xp.arange(PITCHES)).astype(dtype)[..., None]


def bar_before(pitches: Array, dtype: Any = "float32") -> Array:
    """Pitches (N, 16) as the bars before, (N, 16, 128, 1): all zeros where none sounds, as before a tune's first."""
    return one_hot(pitches, dtype) * (pitches > 0).any(axis=1).astype(dtype)[:, None, None, None]
