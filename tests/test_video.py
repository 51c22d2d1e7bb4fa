"""Video GANs: every gradient whole, how both critics' gradients meet in the frames, and PyTorch's losses."""

import numpy as np
import pytest

from minigan import steps
from minigan.backend import rng, to_device, to_host, xp
from minigan.gradcheck import check_layer, check_network
from minigan.layers import BatchNorm, Conv, ConvTranspose, Noise, ShapeError, SpectralNorm
from minigan.losses import non_saturating
from minigan.models import vgan
from minigan.models.vgan import VideoGenerator3d, masked_g_step
from minigan.models.video import (
    ClipCritic,
    ClipNoise,
    FrameCritic,
    MoCoGenerator,
    WhatAndWhere,
    clip_noise,
    d_step,
    draw_frames,
    fixed,
    frames_at,
    g_step,
    he_doubling,
)
from minigan.network import Cache, Network, check_cache
from minigan.optim import SGD, Adam

T, Z, M = 13, 3, 2  # the fewest frames that ClipCritic takes at 32x32


class Still:
    """An optimizer that leaves theta where it is: the step's gradient stays to be looked at."""

    def step(self):
        pass


def small(dtype="float64", channels=1, seed=0):
    """G and both critics with one channel next to the picture, stirred away from their first weights."""
    r = np.random.default_rng(seed)
    nets = (
        MoCoGenerator(32, channels, 1, Z, M, rng=rng(seed)),
        FrameCritic(32, channels, 1, rng=rng(seed)),
        ClipCritic(T, 32, channels, 1, rng=rng(seed)),
    )
    return [stirred(net.astype(dtype), r) for net in nets]


def stirred(net, r):
    """Every parameter drawn from N(0, 0.3^2), gamma around 1, in theta's order."""
    for name, p in net.params.items():
        p[...] = to_device((0.3 * r.standard_normal(p.shape) + name.endswith("gamma")).astype(p.dtype))
    net.changed()
    return net


def noise_of(r, n, dtype="float64", steps=T):
    shapes = (n, Z), (n, steps, M), (n, M)
    return ClipNoise(*(to_device(r.standard_normal(shape).astype(dtype)) for shape in shapes))


def along(value, net, way, h=1e-7):
    """The central difference of value() as theta moves along `way`."""
    theta, ends = to_host(net.theta).copy(), []
    for sign in (1, -1):
        net.theta = to_device(theta + sign * h * way)
        ends.append(float(to_host(value())))
    net.theta = to_device(theta)
    return (ends[0] - ends[1]) / (2 * h)


# ---- shapes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, channels", [(32, 3), (64, 1)])
def test_shapes(size, channels):
    r = rng(0)
    G, noise = MoCoGenerator(size, channels, 2, rng=r), clip_noise(r, 2)
    assert [a.shape for a in noise] == [(2, 50), (2, 16, 10), (2, 10)] and noise.motion.dtype == np.float32
    clips, _ = G.forward(noise)
    assert clips.shape == (2, 16, size, size, channels) and clips.shape[2:] == G.output_shape()[1:]
    assert clips.dtype == np.float32 and np.abs(clips).max() <= 1
    frames = FrameCritic(size, channels, 2, rng=r)
    assert frames(clips[:, 0]).shape == (2, (size // 16) ** 2)
    critic = ClipCritic(16, size, channels, 2, rng=r)
    times, x = [], clips
    for layer in critic.layers[:-1]:
        x, _ = layer.forward(x)
        times.append(x.shape[1])
    assert list(dict.fromkeys(times)) == {32: [13, 10, 7, 4], 64: [13, 10, 7, 4, 1]}[size]
    assert critic(clips).shape == {32: (2, 4), 64: (2, 1)}[size]
    vgan = VideoGenerator3d(16, size, channels, 2, rng=r)
    z = r.standard_normal((2, 100), dtype="float32")
    assert vgan(z).shape == (2, *vgan.output_shape()) == clips.shape


def test_the_published_networks():
    """512, 256, 128, 64 and 3 channels; batch norm in all but the first and last layers; VGAN's 32 frames."""
    G = MoCoGenerator(64, 3, 64, rng=rng(0))
    W = [p.shape for name, p in G.params.items() if name.endswith(".W")]
    assert W == [(60, 16 * 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 64), (4, 4, 64, 3)]
    assert not any(name.endswith(".b") for name in G.picture.params)
    D = FrameCritic(64, 3, 64, noise_sd=0.2, rng=rng(0))
    assert [p.shape[-2:] for name, p in D.params.items() if name.endswith("W")] == [
        (3, 64), (64, 128), (128, 256), (256, 1)
    ]  # fmt: skip
    assert sum(isinstance(layer, BatchNorm) for layer in D.layers) == 2
    assert sum(isinstance(layer, Noise) for layer in D.layers) == 4
    V = VideoGenerator3d(32, 64, 3, 16, rng=rng(0))
    assert V.moving.layers[1].shape == (2, 4, 4, 128) and V.output_shape() == (32, 64, 64, 3)
    assert [layer.c_out for layer in V.moving.layers if isinstance(layer, ConvTranspose)] == [64, 32, 16, 4]


# ---- gradients -----------------------------------------------------------------------------------------------------


class Packed(Network):
    """MoCoGenerator with its noise side by side in rows (N, Z + T M + M): what check_network can draw."""

    def __init__(self, G, steps):
        super().__init__(G)
        self.G, self.steps = G, steps

    def forward(self, x, train=True):
        end = Z + self.steps * M
        noise = ClipNoise(x[:, :Z], x[:, Z:end].reshape(len(x), self.steps, M), x[:, end:])
        y, cache = self.G.forward(noise, train)
        return y, Cache(self, [cache])

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        check_cache(self, cache)
        d = self.G.backward(dy, cache.layers[0], param_grads, input_grad)
        if not input_grad:
            return d
        return xp.concatenate([d.content, d.motion.reshape(len(dy), -1), d.start], axis=1)


@pytest.mark.parametrize("apart", [False, True])
def test_moco_generator_whole(apart, backend):
    """Every parameter, and content, motion and start: none of their entries goes without a gradient."""
    net = Packed(MoCoGenerator(32, 1, 1, Z, M, apart=apart, rng=rng(0)), 3)
    report = check_network(net, (2, Z + 3 * M + M), entries=6, train=True)
    report.raise_if_wrong()
    assert np.abs(report.rows[0].yours).min() > 1e-6


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("make", [FrameCritic, ClipCritic])
def test_critics_whole(make, spectral, backend):
    takes = (32, 32, 2) if make is FrameCritic else (T, 32, 32, 2)
    halving = {"halving": spectral} if make is ClipCritic else {}
    net = make(*takes[: len(takes) - 2], 2, 1, spectral=spectral, **halving, rng=rng(0))
    for layer in net.layers:
        if isinstance(layer, SpectralNorm):
            layer.iterations = 200  # u and v follow W at once; else sigma is that of some forwards ago
    check_network(net, (2, *takes), entries=3, train=True).raise_if_wrong()


def test_spectral_critics_know_their_largest_singular_values_and_mix_no_samples():
    r = rng(0)
    critics = FrameCritic(base=2, spectral=True, rng=r), ClipCritic(base=2, spectral=True, halving=True, rng=r)
    for D, shape in zip(critics, ((4, 32, 32, 3), (4, 16, 32, 32, 3))):
        convolutions = [layer for layer in D.layers if isinstance(layer, SpectralNorm)]
        assert len(convolutions) == 4 and not D.mixes_samples
        assert not any(isinstance(layer, Conv | BatchNorm) for layer in D.layers)
        x = r.standard_normal(shape, dtype="float32")
        for _ in range(50):  # of the power iteration
            D.forward(x)
        for layer in convolutions:
            W, u, v = layer.params["W"], layer.statistics["u"], layer.statistics["v"]
            W = W.reshape(len(u), len(v))
            assert np.linalg.norm(W, 2) == pytest.approx(u @ W @ v, rel=1e-3)
    assert critics[1].forward(x)[0].shape == (4, 1)


@pytest.mark.parametrize("frames, size, left", [(8, 32, 1), (16, 32, 2), (17, 32, 2), (16, 64, 1), (32, 64, 2)])
def test_a_clip_critic_that_halves_the_time(frames, size, left):
    D = ClipCritic(frames, size, base=1, halving=True, rng=rng(0))
    assert D.layers[-2].params["W"].shape[:3] == (left, 4, 4)
    assert D(np.zeros((2, frames, size, size, 3), "float32")).shape == (2, 1)
    with pytest.raises(ShapeError, match=f"takes clips of at least {size // 4} frames, but got {size // 4 - 1}"):
        ClipCritic(size // 4 - 1, size, halving=True, rng=rng(0))


def test_content_says_what_and_motion_where(backend):
    layer = WhatAndWhere(3, 2, (4, 4), 5, rng=rng(0), init=he_doubling)
    check_layer(layer, (6, 5)).raise_if_wrong()
    x = np.random.default_rng(0).standard_normal((2, 5)).astype("float32")
    x[1, 3:] = x[0, 3:]  # another content, the same motion
    y = to_host(layer.forward(to_device(x))[0])
    assert y.shape == (2, *layer.output_shape((5,))) == (2, 4, 4, 5)
    np.testing.assert_allclose(y[1] - y[0], np.broadcast_to((y[1] - y[0])[0, 0], (4, 4, 5)), atol=1e-6)
    assert np.ptp(y[0], axis=(0, 1)).min() > 0.1
    with pytest.raises(ShapeError, match=r"WhatAndWhere\(3, 2, \(4, 4\), 5\) takes \(N, 5\), not \(N, 7\)"):
        layer.output_shape((7,))


def test_codes_are_what_the_picture_sees():
    G = small()[0]
    noise, at = noise_of(np.random.default_rng(1), 4), np.array([0, 3, 12, 3])
    clips, _ = G.forward(noise, train=False)
    drawn = G.picture.forward(G.codes(noise, at), train=False)[0]
    np.testing.assert_allclose(drawn, frames_at(clips, at), rtol=1e-12)


def test_first_weights_keep_the_variance_through_doublings():
    """He's rule for what meets an output: of 4 x 4 taps with stride 2, a quarter."""
    layer = ConvTranspose(64, 64, (4, 4), 2, 1, bias=False, rng=rng(0), init=he_doubling)
    x = np.maximum(np.random.default_rng(0).standard_normal((4, 12, 12, 64)), 0).astype("float32")  # E[x^2] = 1/2
    y = layer.forward(x)[0][:, 2:-2, 2:-2]
    assert np.var(y) == pytest.approx(1, rel=0.1)


def test_vgan_generator_whole(monkeypatch):
    """One doubling fewer than for 32x32, 4 frames of 16x16: an eighth of the work. The losses below have all."""
    monkeypatch.setattr(vgan, "doublings_to", lambda size: 2)
    net = VideoGenerator3d(4, 16, 2, 1, 2, rng=rng(0))
    assert net.forward(np.zeros((1, 2), "float32"))[0].shape == (1, 4, 16, 16, 2)
    check_network(net, (2, 2), entries=6, train=True).raise_if_wrong()


def test_contents_gradient_is_the_sum_over_the_frames():
    G, _, _ = small()
    r = np.random.default_rng(1)
    x, cache = G.forward(noise_of(r, 2))
    dy = r.standard_normal(x.shape)
    whole = G.backward(dy, cache, param_grads=False)
    assert (G.grad == 0).all()
    parts = [G.backward(dy * (np.arange(T) == t).reshape(T, 1, 1, 1), cache, param_grads=False) for t in range(T)]
    contents = np.array([part.content for part in parts])  # (T, N, Z): each frame has something to say
    assert np.abs(contents).max(axis=(1, 2)).min() > 1e-3 * np.abs(whole.content).max()
    np.testing.assert_allclose(contents.sum(axis=0), whole.content, rtol=1e-9)
    np.testing.assert_allclose(sum(part.motion for part in parts), whole.motion, rtol=1e-8, atol=1e-9)


def test_the_picture_is_shared_and_time_runs_forward():
    """In inference a longer clip begins as the shorter one, and each frame is the picture of its own code."""
    G, _, _ = small()
    noise = noise_of(np.random.default_rng(0), 2, steps=20)
    long = G(noise)
    np.testing.assert_allclose(G(noise._replace(motion=noise.motion[:, :7])), long[:, :7], rtol=1e-10)
    m, _ = G.lstm.forward(noise.motion, state=(noise.start, None))
    code = np.concatenate([noise.content, m[:, 11]], axis=1)
    np.testing.assert_allclose(G.picture(code), long[:, 11], rtol=1e-10)
    other = noise._replace(start=-noise.start)
    assert np.abs(G(other)[:, 0] - long[:, 0]).max() > 1e-3


# ---- the steps -----------------------------------------------------------------------------------------------------


def test_both_critics_gradients_meet_in_the_frames(backend):
    """g_step's gradient against differences of the sum of the two losses; each critic alone gives another."""
    G, D_image, D_clip = small()
    r = np.random.default_rng(2)
    noise, at = noise_of(r, 3), to_device(np.array([0, 7, 7]))

    def value(image=True, clip=True):
        x, _ = G.forward(noise)
        L_image = non_saturating.generator(D_image.forward(frames_at(x, at))[0])[0]
        return image * L_image + clip * non_saturating.generator(D_clip.forward(x)[0])[0]

    trace = {}
    L = g_step(G, D_image, D_clip, Still(), noise, at, trace=trace)
    assert float(to_host(L)) == pytest.approx(float(to_host(value())), rel=1e-12)
    grad = to_host(G.grad).copy()
    for _ in range(3):
        way = r.standard_normal(grad.shape)
        assert along(value, G, way) == pytest.approx(grad @ way, rel=1e-5)
        alone = along(lambda: value(1, 0), G, way), along(lambda: value(0, 1), G, way)
        assert min(abs(part) for part in alone) > 1e-3 * abs(grad @ way)
    x, _ = G.forward(noise)  # what D_image adds, it adds at the drawn frames alone
    logits, cache = D_clip.forward(x)
    added = to_host(trace["dx_fake"] - D_clip.backward(non_saturating.generator(logits)[1], cache))
    seen = np.zeros((3, T), dtype=bool)
    seen[range(3), [0, 7, 7]] = True
    np.testing.assert_allclose(added[seen], to_host(trace["d_frames"]), rtol=1e-9, atol=1e-12)
    assert (added[~seen] == 0).all()


def test_who_moves_and_where_to(backend):
    """A d_step leaves G bit-identical and widens both gaps; a g_step leaves the critics so and raises G's logits."""
    nets = G, D_image, D_clip = small("float32", channels=3)
    r = np.random.default_rng(3)
    clips = to_device(r.uniform(-1, 1, (4, T, 32, 32, 3)).astype("float32"))
    noise, at = noise_of(r, 4, "float32"), to_device(np.array([0, 3, 12, 3]))

    def logits():
        x, _ = G.forward(noise)
        seen = (D_image, frames_at(x, at)), (D_clip, x), (D_image, frames_at(clips, at)), (D_clip, clips)
        return [float(to_host(D.forward(v)[0].mean())) for D, v in seen]

    def state():
        return [to_host(net.theta).copy() for net in nets], [to_host(net.grad).copy() for net in nets]

    (before, _), was = state(), logits()
    values = d_step(G, D_image, D_clip, (SGD(D_image, 1e-3), SGD(D_clip, 1e-3)), clips, noise, at)
    (after, grads), now = state(), logits()
    assert [value.shape for value in values] == [(), ()]
    assert np.array_equal(after[0], before[0]) and (grads[0] == 0).all()
    assert all((after[k] != before[k]).mean() > 0.9 for k in (1, 2))
    assert all(now[k + 2] - now[k] > was[k + 2] - was[k] for k in (0, 1))

    value = g_step(G, D_image, D_clip, SGD(G, 1e-3), noise, at)
    (last, last_grads), later = state(), logits()
    assert value.shape == () and value.dtype == np.float32
    for k in (1, 2):
        assert np.array_equal(last[k], after[k]) and np.array_equal(last_grads[k], grads[k])
    assert (last[0] != after[0]).mean() > 0.9 and later[0] + later[1] > now[0] + now[1]


def test_the_mask_is_penalised(backend):
    """The value and the gradient of loss + weight mean|mask|; without the penalty's gradient the test would fail."""
    r = np.random.default_rng(4)
    G = stirred(VideoGenerator3d(16, 32, 1, 1, 3, rng=rng(0)).astype("float64"), r)
    D = stirred(ClipCritic(16, 32, 1, 1, rng=rng(0)).astype("float64"), r)
    z = to_device(r.standard_normal((2, 3)))
    D_before = to_host(D.theta).copy()

    def value(weight):
        x, cache = G.forward(z)
        mask = G.mask(cache)
        assert mask.shape == (2, 16, 32, 32, 1)
        return non_saturating.generator(D.forward(x)[0])[0] + weight * abs(mask).mean()

    L = masked_g_step(G, D, Still(), z, weight=3.0)
    assert float(to_host(L)) == pytest.approx(float(to_host(value(3.0))), rel=1e-12)
    grad = to_host(G.grad).copy()
    for _ in range(3):
        way = r.standard_normal(grad.shape)
        assert along(lambda: value(3.0), G, way) == pytest.approx(grad @ way, rel=1e-5)
        assert abs(along(lambda: value(0.0), G, way) - grad @ way) > 1e-3 * abs(grad @ way)
    assert np.array_equal(to_host(D.theta), D_before) and (to_host(D.grad) == 0).all()


# Ten steps of all players as PyTorch 2.13.0 makes them in float64: the losses of D_image, D_clip and G, each step.
# Its first layers are transposed convolutions of a single place, and VGAN's f and mask come from one each.
MOCO = [
    (1.966587256779, 2.689041858713, 1.913387818508),
    (1.699314188966, 7.112386245329, 2.611434414745),
    (1.309666961343, 1.114479722872, 1.032858726941),
    (1.562216505966, 1.369781695283, 1.229134500454),
    (2.002371919548, 2.544387284101, 2.567212289006),
    (1.463257025779, 3.389793450002, 1.909659333234),
    (1.505599883726, 2.629702449983, 0.619480620933),
    (1.486060797472, 2.529336846666, 1.085308011834),
    (1.730670761923, 3.044004241367, 3.724470932979),
    (1.451365438111, 5.745733896406, 0.935110119985),
]
VGAN = [
    (1.389477509459, 3.273840242584),
    (1.841770879245, 1.793050818227),
    (1.669780353377, 1.263415142478),
    (1.864729972665, 0.647654947537),
    (1.914784282312, 1.370791697920),
    (1.609260199032, 2.216587075690),
    (1.154158355757, 1.386668670740),
    (3.173207845232, 1.689048545437),
    (2.190435432998, 1.204535475020),
    (1.823439051120, 0.604097542272),
]


def adam(net):
    return Adam(net, lr=2e-3, beta1=0.5, beta2=0.999, eps=1e-8)


def test_ten_golden_losses_of_mocogan():
    r = np.random.default_rng(6)
    G = stirred(MoCoGenerator(32, 1, 1, Z, M, rng=rng(0)).astype("float64"), r)
    D_image = stirred(FrameCritic(32, 1, 1, rng=rng(0)).astype("float64"), r)
    D_clip = stirred(ClipCritic(T, 32, 1, 1, rng=rng(0)).astype("float64"), r)
    G_optimizer, optimizers, losses = adam(G), (adam(D_image), adam(D_clip)), []
    for _ in MOCO:
        clips = r.uniform(-1, 1, (3, T, 32, 32, 1))
        noise, at = noise_of(r, 3), r.integers(0, T, 3)
        d_values = d_step(G, D_image, D_clip, optimizers, clips, noise, at)
        noise, at = noise_of(r, 3), r.integers(0, T, 3)
        losses.append([*d_values, g_step(G, D_image, D_clip, G_optimizer, noise, at)])
    np.testing.assert_allclose(losses, MOCO, rtol=1e-10)


def test_ten_golden_losses_of_vgan():
    r = np.random.default_rng(7)
    G = stirred(VideoGenerator3d(16, 32, 1, 1, 3, rng=rng(0)).astype("float64"), r)
    D = stirred(ClipCritic(16, 32, 1, 1, rng=rng(0)).astype("float64"), r)
    G_optimizer, D_optimizer, losses = adam(G), adam(D), []
    for _ in VGAN:
        clips, z_d, z_g = r.uniform(-1, 1, (3, 16, 32, 32, 1)), r.standard_normal((3, 3)), r.standard_normal((3, 3))
        d_value = steps.d_step(G, D, D_optimizer, non_saturating, clips, z_d)
        losses.append([d_value, masked_g_step(G, D, G_optimizer, z_g)])
    np.testing.assert_allclose(losses, VGAN, rtol=1e-10)


# ---- noise ---------------------------------------------------------------------------------------------------------


def test_content_or_motion_held_fixed(backend):
    G = small("float32")[0]
    noise = clip_noise(rng(5), 3, T, Z, M)
    same_content, same_motion = fixed(noise, "content"), fixed(noise, "motion")
    first = lambda a: np.broadcast_to(to_host(a)[:1], a.shape)
    for given, content, motion in ((same_content, first, to_host), (same_motion, to_host, first)):
        np.testing.assert_array_equal(to_host(given.content), content(noise.content))
        np.testing.assert_array_equal(to_host(given.motion), motion(noise.motion))
        np.testing.assert_array_equal(to_host(given.start), motion(noise.start))
        clips = to_host(G(given))
        assert np.abs(clips[0] - clips[1]).max() > 1e-3
    clips = to_host(G(fixed(same_content, "motion")))
    np.testing.assert_allclose(clips, np.broadcast_to(clips[:1], clips.shape), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match='"content" or "motion", not "colour"'):
        fixed(noise, "colour")


def test_frames_are_drawn_evenly(backend):
    at = to_host(draw_frames(rng(0), 8000, 16))
    assert at.dtype == np.int64 and at.min() == 0 and at.max() == 15
    assert ((np.bincount(at) - 500) ** 2 / 500).sum() < 37.7  # chi-square, 15 degrees of freedom, p = 0.001
    clips = np.arange(24.0).reshape(2, 3, 2, 2, 1)
    np.testing.assert_array_equal(
        to_host(frames_at(to_device(clips), to_device(np.array([2, 0])))), [clips[0, 2], clips[1, 0]]
    )


def test_bad_input_gets_one_sentence():
    G, D_image, D_clip = small("float32")
    r = np.random.default_rng(0)
    noise, at = noise_of(r, 2, "float32"), np.array([0, 1])
    optimizers = SGD(D_image, 0.1), SGD(D_clip, 0.1)
    with pytest.raises(ShapeError, match=r"takes clips of at least 13 frames, but got 1\."):
        ClipCritic(1, rng=rng(0))
    with pytest.raises(ShapeError, match=r"at 64x64 takes clips of at least 16 frames, but got 13\."):
        ClipCritic(13, 64, rng=rng(0))
    with pytest.raises(
        ShapeError, match=r"This ClipCritic takes \(N, 13, 32, 32, 1\), but got \(N, 1, 32, 32, 1\)\."
    ):
        D_clip.forward(np.zeros((2, 1, 32, 32, 1), "float32"))
    with pytest.raises(ShapeError, match=r"This FrameCritic takes \(N, 32, 32, 1\), but got \(N, 64, 64, 1\)\."):
        D_image.forward(np.zeros((2, 64, 64, 1), "float32"))
    for shape in ((2, 1, 32, 32, 1), (2, T, 64, 64, 1), (3, T, 32, 32, 1)):
        with pytest.raises(ShapeError, match=r"G draws clips \(2, 13, 32, 32, 1\), but the real ones are \("):
            d_step(G, D_image, D_clip, optimizers, np.zeros(shape, "float32"), noise, at)
    for make in (MoCoGenerator, FrameCritic):
        with pytest.raises(ShapeError, match="frames of 32x32 or 64x64, not 28x28"):
            make(28, rng=rng(0))
    with pytest.raises(ShapeError, match="number of frames is a multiple of 8, but got 1"):
        VideoGenerator3d(1, rng=rng(0))
    for wrong in (noise._replace(start=noise.start[:1]), noise._replace(motion=noise.motion[:, 0])):
        with pytest.raises(ShapeError, match=r"takes content \(N, 3\), motion \(N, T, 2\) and start \(N, 2\), but"):
            G.forward(wrong)
