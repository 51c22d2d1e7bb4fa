"""MoCoGAN: a clip is one content and a motion; a critic for single frames, and one for whole clips.

G draws every frame with the same network, from a code that has two parts. The first, content, is drawn once
for the clip: what is seen. The second, motion, comes from a recurrent cell, a new one for each frame: what it does.
Two critics judge: one sees a single frame of each clip, the other the clip whole. (Tulyakov et al. 2018. An older,
simpler form is in `minigan.models.vgan`.)

N clips, T frames each, frames (H, W, C) with pixels in [-1, 1]; Z numbers of content, M of motion; `base` channels
next to the picture, twice as many with each halving.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from minigan.backend import Array, xp
from minigan.layers import (
    LSTM,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    Noise,
    ReLU,
    Reshape,
    ShapeError,
    SpectralNorm,
    Tanh,
)
from minigan.layers import dcgan as normal
from minigan.layers.base import batch_of
from minigan.layers.init import he
from minigan.losses import Loss, non_saturating
from minigan.network import Cache, Network, Sequential, check_cache
from minigan.optim import Optimizer

# ---- noise --------------------------------------------------------------------------------------------------------


class ClipNoise(NamedTuple):
    """What a MoCoGenerator draws from, and, given back by its backward, the gradients on it."""

    content: Array  # (N, Z): what is seen
    motion: Array  # (N, T, M): fresh noise for each frame
    start: Array  # (N, M): the recurrent cell's first hidden state


def clip_noise(rng: Any, n: int, frames: int = 16, content: int = 50, motion: int = 10) -> ClipNoise:
    """The noise of n clips, all from N(0, I), float32, drawn on the device."""
    shapes = (n, content), (n, frames, motion), (n, motion)
    return ClipNoise(*(rng.standard_normal(shape, dtype="float32") for shape in shapes))


def fixed(noise: ClipNoise, what: str) -> ClipNoise:
    """The same noise, but every clip has the first one's "content" or "motion".

    With one content and many motions the same shape moves in different ways; with one motion and many contents,
    different shapes move alike. Raises ValueError for another word.
    """
    first = lambda a: xp.broadcast_to(a[:1], a.shape)
    if what == "content":
        return noise._replace(content=first(noise.content))
    if what == "motion":
        return noise._replace(motion=first(noise.motion), start=first(noise.start))
    raise ValueError(f'What can be fixed is "content" or "motion", not "{what}".')


def draw_frames(rng: Any, n: int, frames: int) -> Array:
    """For each of n clips the index of one frame, uniformly drawn on the device: (n,) int64."""
    return xp.minimum((rng.random(n, dtype="float32") * frames).astype("int64"), frames - 1)


def frames_at(clips: Array, at: Array) -> Array:
    """One frame of each clip: (N, T, ...), at (N,) -> (N, ...)."""
    return clips[xp.arange(len(clips)), at]


# ---- the generators -----------------------------------------------------------------------------------------------


def unfolding(
    rng: Any,
    n_in: int,
    places: tuple[int, ...],
    doublings: int,
    channels: int,
    base: int,
    bias: bool = False,
    init: Callable[..., Array] = normal,
) -> list[Layer]:
    """The layers from a code (N, n_in) to (N, places 2^doublings, channels), in two dimensions or three.

    A transposed convolution of a single place is a Dense; those after it have kernel 4 and stride 2 everywhere.
    bias: of the last one. The others stand before a batch norm, which would take it away again.
    """
    kernel, weights, wide = (4,) * len(places), {"rng": rng, "init": init}, base * 2 ** (doublings - 1)
    layers = [Dense(n_in, math.prod(places) * wide, bias=False, **weights), Reshape((*places, wide))]
    layers += [BatchNorm(wide), ReLU()]
    while wide > base:
        layers += [ConvTranspose(wide, wide // 2, kernel, 2, 1, bias=False, **weights)]
        wide //= 2
        layers += [BatchNorm(wide), ReLU()]
    return [*layers, ConvTranspose(base, channels, kernel, 2, 1, bias=bias, **weights)]


class WhatAndWhere(Layer):
    """y_nhw = c_n Wc + (m_n Wm)_hw        codes [c, m] (N, Z + M)   y (N, *places, O)   Wc (Z, O)   Wm (M, places O)

    Motion draws a map of places, and content adds the same to all of them: it can say what is seen, but not where.

        dWc = c^T d,  dc = d Wc^T,  d = sum of dy over the places          dWm = m^T dy,  dm = dy Wm^T
    """

    def __init__(
        self, content: int, motion: int, places: tuple[int, ...], n_out: int, *, rng: Any, init: Callable[..., Array]
    ) -> None:
        super().__init__()
        self.content, self.motion, self.places = content, motion, places
        self.add_param("Wc", init(rng, (content, n_out)))
        self.add_param("Wm", init(rng, (motion, math.prod(places) * n_out)))

    def forward(self, x, train=True):
        what = x[:, : self.content] @ self.params["Wc"]  # (N, O)
        where = x[:, self.content :] @ self.params["Wm"]  # (N, places O)
        y = where.reshape(len(x), -1, what.shape[1]) + what[:, None]
        return y.reshape(len(x), *self.places, -1), x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        d_where = dy.reshape(len(dy), -1)  # (N, places O)
        d_what = dy.reshape(len(dy), -1, dy.shape[-1]).sum(axis=1)  # (N, O)
        if param_grads:
            self.grads["Wc"] += cache[:, : self.content].T @ d_what
            self.grads["Wm"] += cache[:, self.content :].T @ d_where
        if not input_grad:
            return None
        return xp.concatenate([d_what @ self.params["Wc"].T, d_where @ self.params["Wm"].T], axis=1)

    def output_shape(self, shape):
        if shape is not None and tuple(shape) != (self.content + self.motion,):
            raise ShapeError(f"{self!r} takes (N, {self.content + self.motion}), not {batch_of(shape)}.")
        return *self.places, self.params["Wc"].shape[1]

    def __repr__(self) -> str:
        return f"WhatAndWhere({self.content}, {self.motion}, {self.places}, {self.params['Wc'].shape[1]})"


def he_doubling(rng: Any, shape: tuple[int, ...]) -> Array:
    """He's N(0, 2 / fan_in) for a transposed convolution of stride 2, of whose taps one in 2^d meets an output."""
    return he(rng, shape) * 2 ** ((len(shape) - 2) / 2)  # of a Dense, d = 0, all


def doublings_to(size: int) -> int:
    """How often 4x4 is doubled to come to size x size. Raises ShapeError for other sizes than 32 and 64."""
    if size not in (32, 64):
        raise ShapeError(f"Video models draw frames of 32x32 or 64x64, not {size}x{size}.")
    return {32: 3, 64: 4}[size]


class MoCoGenerator(Network):
    """clips = picture([content, m_t]) for every t,  m = lstm(motion, from start)        clips (N, T, H, W, C)

        m (N, T, M) = h_1, ..., h_T of the cell         the motion code, frame by frame
        codes (N T, Z + M)                              the same content in all T rows of a clip, beside its m_t
        picture: 4x4 -> 8x8 -> ... -> size x size       one network for all frames, kernel 4, BN and ReLU, then tanh

    T is that of the noise: a trained generator draws longer clips, too. Batch norm sees all N T frames at once.

    The paper's cell is a GRU: its one state h starts at N(0, I), and each step keeps a part of it. Here it is an
    LSTM, whose state is h and a memory c. `start` is h alone, and c begins at zero; as an LSTM makes h anew at every
    step, `start` acts through the first step's gates only. And there is no code for categories of motion.
    apart: the code's two parts meet in a `WhatAndWhere` in place of a Dense, so that content cannot say where.
    (Tulyakov et al. 2018, section 3; the shapes and the init, N(0, 0.02^2), are those of their code.)
    Raises ShapeError for a size other than 32 or 64, and for noise that does not fit.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        base: int = 16,
        content: int = 50,
        motion: int = 10,
        init: Callable[..., Array] = normal,
        apart: bool = False,
        *,
        rng: Any,
    ) -> None:
        doublings = doublings_to(size)
        self.size, self.channels, self.content, self.motion = size, channels, content, motion
        self.lstm = LSTM(motion, motion, rng=rng)
        layers = unfolding(rng, content + motion, (4, 4), doublings, channels, base, init=init)
        if apart:
            wide = base * 2 ** (doublings - 1)
            layers[:2] = [WhatAndWhere(content, motion, (4, 4), wide, rng=rng, init=init)]  # for Dense and Reshape
        self.picture = Sequential(*layers, Tanh())
        super().__init__(self.lstm, self.picture)

    def forward(self, noise: ClipNoise, train: bool = True) -> tuple[Array, Cache]:
        content, motion, start = noise
        self._check(content, motion, start)
        n, steps = motion.shape[:2]
        m, m_cache = self.lstm.forward(motion, state=(start, None))  # (N, T, M)
        still = xp.broadcast_to(content[:, None], (n, steps, self.content))
        codes = xp.concatenate([still, m], axis=-1)  # (N, T, Z + M)
        x, x_cache = self.picture.forward(codes.reshape(n * steps, -1), train)  # (N T, H, W, C)
        return x.reshape(n, steps, *x.shape[1:]), Cache(self, [m_cache, x_cache])

    def backward(
        self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = True
    ) -> ClipNoise | None:
        """From dclips (N, T, H, W, C) the gradients on content, motion and start.

        All frames show the same content, so its gradient is the sum of theirs; motion's goes back through time.
        """
        check_cache(self, cache)
        m_cache, x_cache = cache.layers
        dx = dy.reshape(-1, *dy.shape[2:])  # (N T, H, W, C)
        d_codes = self.picture.backward(dx, x_cache, param_grads)
        d_codes = d_codes.reshape(*dy.shape[:2], -1)  # (N, T, Z + M)
        dm = d_codes[..., self.content :]
        d_motion, (d_start, _) = self.lstm.backward_state(dm, m_cache, None, param_grads, input_grad)
        d_content = d_codes[..., : self.content].sum(axis=1)
        return ClipNoise(d_content, d_motion, d_start) if input_grad else None

    def codes(self, noise: ClipNoise, at: Array) -> Array:
        """What `picture` draws one frame of each clip from, the frames at (N,): (N, Z + M). It has no backward."""
        m, _ = self.lstm.forward(noise.motion, state=(noise.start, None))
        return xp.concatenate([noise.content, frames_at(m, at)], axis=-1)

    def output_shape(self, shape: Any = None) -> tuple[int | None, ...]:
        """Of one clip: (T, H, W, C), T as in the noise."""
        return None, self.size, self.size, self.channels

    def _check(self, *noise: Array) -> None:
        n, steps = (*noise[1].shape, 0, 0)[:2]
        wanted = (n, self.content), (n, steps, self.motion), (n, self.motion)
        given = tuple(tuple(a.shape) for a in noise)
        if given != wanted or not steps:
            raise ShapeError(
                f"MoCoGenerator takes content (N, {self.content}), motion (N, T, {self.motion}) and start "
                f"(N, {self.motion}), but got {given[0]}, {given[1]} and {given[2]}."
            )


# ---- the critics --------------------------------------------------------------------------------------------------


class Critic(Sequential):
    """A Sequential that takes samples of one shape, `takes`, and refuses others that its layers would let pass."""

    def __init__(self, takes: tuple[int, ...], *layers: Layer) -> None:
        super().__init__(*layers)
        self.takes = takes
        self.output_shape(takes)

    def forward(self, x: Array, train: bool = True, upto: int | None = None) -> tuple[Array, Cache]:
        if tuple(x.shape[1:]) != self.takes:
            name = type(self).__name__
            raise ShapeError(f"This {name} takes {batch_of(self.takes)}, but got {batch_of(x.shape[1:])}.")
        return super().forward(x, train, upto)


def folding(rng: Any, dims: int, widths: list[int], spectral: bool, noise_sd: float, **windows: Any) -> list[Layer]:
    """Convolutions with kernel 4 from widths[0] to widths[-1] channels: no bias, and BN after all but the first.

    spectral: instead, each is divided by its largest singular value, and has a bias.
    """
    layers: list[Layer] = []
    for i, (narrow, wide) in enumerate(zip(widths, widths[1:])):
        layers += [Noise(noise_sd, rng=rng)] if noise_sd else []
        layers += [judging(rng, narrow, wide, (4,) * dims, spectral, **windows)]
        layers += [BatchNorm(wide)] if i and not spectral else []
        layers += [LeakyReLU(0.2)]
    return layers


def judging(rng: Any, narrow: int, wide: int, kernel: tuple[int, ...], spectral: bool, **windows: Any) -> Layer:
    """A critic's convolution."""
    if spectral:
        return SpectralNorm(Conv(narrow, wide, kernel, bias=False, rng=rng, **windows), rng=rng)
    return Conv(narrow, wide, kernel, bias=False, rng=rng, init=normal, **windows)


class FrameCritic(Critic):
    """Is this a real frame? A logit for each patch of it        x (N, H, W, C)   logits (N, (size / 16)^2)

    Four convolutions, kernel 4 and stride 2, to base, 2 base, 4 base and 1 channels: at 64x64 they end in 4x4 logits,
    each of what it sees alone. A loss takes their mean. noise_sd: of the noise before each layer (theirs: 0.2).
    spectral: spectral normalization in place of batch norm. (The published PatchImageDiscriminator, which has batch
    norm; spectral normalization: Miyato et al. 2018.) Raises ShapeError for a size other than 32 or 64.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        base: int = 16,
        noise_sd: float = 0.0,
        spectral: bool = False,
        *,
        rng: Any,
    ) -> None:
        doublings_to(size)
        layers = folding(rng, 2, [channels, base, 2 * base, 4 * base], spectral, noise_sd, stride=2, padding=1)
        layers += [Noise(noise_sd, rng=rng)] if noise_sd else []
        layers += [judging(rng, 4 * base, 1, (4, 4), spectral, stride=2, padding=1), Flatten()]
        super().__init__((size, size, channels), *layers)


class ClipCritic(Critic):
    """Is this a real clip, its frames and how they follow one another?        x (N, T, H, W, C)   logits (N, P)

    3-D convolutions with kernel 4: in space stride 2 until it is 4x4, in time stride 1 and no zeros around, so that
    16 frames become 13, 10, 7 (and 4 at 64x64). The last one takes 4x4x4 to a logit: P = 4 of them for 16 frames at
    32x32, which see 13 frames each, and 1 at 64x64. noise_sd, spectral: as for FrameCritic, but no noise before the
    last layer. halving: stride 2 and one frame of zeros around in time as well, as VGAN's critic has it: 16 frames
    become 8, 4, 2 (and 1), the last layer takes all that is left to one logit, and a step costs half as much.
    (The published VideoDiscriminator, without its outputs for categories.)
    Raises ShapeError for a size other than 32 or 64, and for clips of too few frames: 13 at 32x32, 16 at 64x64; when
    halving, 8 and 16.
    """

    def __init__(
        self,
        frames: int = 16,
        size: int = 32,
        channels: int = 3,
        base: int = 16,
        noise_sd: float = 0.0,
        spectral: bool = False,
        halving: bool = False,
        *,
        rng: Any,
    ) -> None:
        halvings = doublings_to(size)
        least = 2**halvings if halving else 3 * halvings + 4  # each layer takes 3 frames away, and the last sees 4
        if frames < least:
            raise ShapeError(f"ClipCritic at {size}x{size} takes clips of at least {least} frames, but got {frames}.")
        widths = [channels, *(base * 2**i for i in range(halvings))]
        windows = {"stride": 2, "padding": 1} if halving else {"stride": (1, 2, 2), "padding": (0, 1, 1)}
        layers = folding(rng, 3, widths, spectral, noise_sd, **windows)
        left = frames // least if halving else 4
        last = judging(rng, widths[-1], 1, (left, 4, 4), spectral, padding=0)
        super().__init__((frames, size, size, channels), *layers, last, Flatten())


# ---- the steps of the game ----------------------------------------------------------------------------------------

Trace = dict[str, Any]


def d_step(
    G: Network,
    D_image: Network,
    D_clip: Network,
    optimizers: tuple[Optimizer, Optimizer],
    clips: Array,
    noise: ClipNoise,
    at: Array,
    loss: Loss = non_saturating,
    trace: Trace | None = None,
) -> tuple[Array, Array]:
    """Both critics learn to tell clips (N, T, H, W, C) from G's; G does not move. Returns their losses, 0-d each.

    optimizers: of D_image and of D_clip. at: which frame of each clip D_image sees, real and fake, (N,); see
    `draw_frames`. Raises ShapeError where the real clips have another shape than G's.
    (Tulyakov et al. 2018, section 3; the order is their code's.)
    """
    fakes, _ = G.forward(noise)  # no cache kept: nothing flows into G
    if fakes.shape != clips.shape:
        raise ShapeError(f"G draws clips {tuple(fakes.shape)}, but the real ones are {tuple(clips.shape)}.")
    pairs = (frames_at(clips, at), frames_at(fakes, at)), (clips, fakes)
    values = []
    for D, optimizer, (x_real, x_fake) in zip((D_image, D_clip), optimizers, pairs):
        real_logits, real_cache = D.forward(x_real)
        fake_logits, fake_cache = D.forward(x_fake)
        value, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
        D.zero_grad()
        D.backward(d_real, real_cache, input_grad=False)
        D.backward(d_fake, fake_cache, input_grad=False)
        optimizer.step()
        values.append(value)
    if trace is not None:  # logits: of D_clip, which comes last
        trace.update(x_fake=fakes, real_logits=real_logits, fake_logits=fake_logits, d_value=values[0] + values[1])
    return values[0], values[1]


def g_step(
    G: Network,
    D_image: Network,
    D_clip: Network,
    optimizer: Optimizer,
    noise: ClipNoise,
    at: Array,
    loss: Loss = non_saturating,
    trace: Trace | None = None,
) -> Array:
    """G learns to pass at both critics, which do not move. Returns the sum of its two losses, 0-d.

    D_clip's gradient comes to all frames, D_image's to the one it saw. They meet in the frames, and from there one
    backward pass goes through G. at: (N,), as for `d_step`. A dict given as `trace` receives what is in between.
    """
    x_fake, g_cache = G.forward(noise)
    image_logits, image_cache = D_image.forward(frames_at(x_fake, at))
    clip_logits, clip_cache = D_clip.forward(x_fake)
    image_value, d_image = loss.generator(image_logits)
    clip_value, d_clip = loss.generator(clip_logits)
    d_frames = D_image.backward(d_image, image_cache, param_grads=False)  # (N, H, W, C)
    dx_fake = D_clip.backward(d_clip, clip_cache, param_grads=False)  # (N, T, H, W, C)
    dx_fake[xp.arange(len(dx_fake)), at] += d_frames  # one frame a clip: no place comes up twice
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False)
    optimizer.step()
    if trace is not None:
        trace.update(g_x_fake=x_fake, image_value=image_value, clip_value=clip_value)
        trace.update(g_value=image_value + clip_value)
        trace.update(d_frames=d_frames, dx_fake=dx_fake, g_cache=g_cache)
    return image_value + clip_value
