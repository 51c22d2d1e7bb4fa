"""MidiNet: section 5's shapes and counts, both gradients whole, the steps' objectives, tunes made bar by bar."""

import numpy as np
import pytest

from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_network
from minigan.layers import Conv, ConvTranspose, Dense, ShapeError
from minigan.models.midinet import (
    BAR,
    Composer,
    ConvBeside,
    Listener,
    apart,
    beside,
    compose,
    d_step,
    g_step,
    one_hot,
)
from minigan.network import Cache, Network, StaleCacheError, check_cache
from minigan.optim import SGD, Adam


def batch(n, dtype="float64", seed=0):
    """x_real, y, previous, and z for D's step and for G's. Host arrays."""
    r = np.random.default_rng(seed)
    x, previous = (np.eye(128)[r.integers(60, 84, (n, 16))][..., None] for _ in range(2))
    y = np.concatenate([np.eye(12)[r.integers(0, 12, n)], r.integers(0, 2, (n, 1))], axis=1)
    return [a.astype(dtype) for a in (x, y, previous, *r.standard_normal((2, n, 100)))]


def players(dtype="float64", conditions=True):
    r = rng(0)
    return Composer(rng=r, conditions=conditions).astype(dtype), Listener(rng=r, conditions=conditions).astype(dtype)


def stirred(net, size=0.1):
    """The vectors (gamma, beta, b) away from 1 and 0, which hide a missing term."""
    r = np.random.default_rng(5)
    for p in net.params.values():
        if p.ndim == 1:
            p += to_device((size * r.standard_normal(p.shape)).astype(p.dtype))
    net.changed()
    return net


def close(a, b, rel=1e-12):
    np.testing.assert_allclose(to_host(a), to_host(b), rtol=rel, atol=1e-12)


# ---- the sizes of the published networks


@pytest.fixture
def seen(monkeypatch):
    """The shapes of what each convolution and each fully connected layer is given and gives, in their order."""
    shapes = []

    def watch(kind):
        forward = kind.forward

        def watched(self, x, train=True):
            y, cache = forward(self, x, train)
            x = x[0] if isinstance(x, tuple) else x
            shapes.append((type(self).__name__, x.shape[1:], y.shape[1:]))
            return y, cache

        monkeypatch.setattr(kind, "forward", watched)

    for kind in (Dense, Conv, ConvTranspose, ConvBeside):
        watch(kind)
    return shapes


def test_every_shape_of_the_composer(seen):
    G, _ = players("float32")
    x, y, previous, z, _ = batch(3, "float32")
    bar, _ = G.forward((z, y, previous))
    assert bar.shape == x.shape == (3, 16, 128, 1) and bar.dtype == "float32"
    assert bar.min() > 0 and bar.max() < 1  # probabilities, not logits
    assert seen == [
        ("Conv", (16, 128, 1), (16, 1, 16)),
        ("Conv", (16, 1, 16), (8, 1, 16)),
        ("Conv", (8, 1, 16), (4, 1, 16)),
        ("Conv", (4, 1, 16), (2, 1, 16)),
        ("Dense", (113,), (1024,)),
        ("Dense", (1037,), (256,)),
        ("ConvTranspose", (2, 1, 157), (4, 1, 128)),
        ("ConvTranspose", (4, 1, 157), (8, 1, 128)),
        ("ConvTranspose", (8, 1, 157), (16, 1, 128)),
        ("ConvTranspose", (16, 1, 157), (16, 128, 1)),
    ]


def test_every_shape_of_the_listener(seen):
    _, D = players("float32")
    x, y, *_ = batch(3, "float32")
    logits, _ = D.forward((x, y))
    assert logits.shape == (3, 1) and D.features((x, y))[0].shape == (3, 8, 1, 14)
    assert seen[:4] == [
        ("ConvBeside", (16, 128, 1), (8, 1, 14)),  # and the chord, 14 channels
        ("ConvBeside", (8, 1, 14), (3, 1, 77)),  # and the chord, 27
        ("Dense", (244,), (1024,)),  # 231 + 13
        ("Dense", (1037,), (1,)),
    ]
    assert D.params["0.W"].shape == (2, 128, 14, 14) and D.params["2.W"].shape == (4, 1, 27, 77)


def test_the_parameters_counted_by_hand():
    G, D = players("float32")
    fc = 113 * 1024 + 2 * 1024 + (1024 + 13) * 256 + 2 * 256  # no bias before a batch norm, which has gamma and beta
    grow = 3 * (2 * 1 * 157 * 128 + 2 * 128) + 1 * 128 * 157 * 1 + 1
    conditioner = 1 * 128 * 1 * 16 + 2 * 16 + 3 * (2 * 1 * 16 * 16 + 2 * 16)
    assert G.theta.size == fc + grow + conditioner == 528_897
    convs = 2 * 128 * 14 * 14 + 14 + 4 * 1 * 27 * 77 + 2 * 77
    assert D.theta.size == convs + 244 * 1024 + 2 * 1024 + 1037 + 1 == 311_602
    for net in (G, D):
        for name, p in net.params.items():
            if name.endswith("W"):
                error = 4 * 0.02 / np.sqrt(p.size)  # W is drawn from N(0, 0.02^2)
                assert abs(p.std() - 0.02) < error and abs(p.mean()) < error, name
            else:
                assert (p == (1 if name.endswith("gamma") else 0)).all(), name


# ---- the small parts


def test_beside_puts_y_at_every_place_and_apart_undoes_it(backend):
    r = np.random.default_rng(0)
    h, y, c = r.standard_normal((2, 4, 1, 5)), r.standard_normal((2, 13)), r.standard_normal((2, 4, 1, 3))
    joined = to_host(beside(*map(to_device, (h, y, c))))
    assert joined.shape == (2, 4, 1, 21)
    for n in range(2):
        for t in range(4):
            np.testing.assert_array_equal(joined[n, t, 0], [*h[n, t, 0], *y[n], *c[n, t, 0]])
    for part, whole in zip(apart(to_device(joined), 5), (h, c)):
        np.testing.assert_array_equal(to_host(part), whole)
    assert beside(to_device(h[:, 0, 0]), to_device(y)).shape == (2, 18)


@pytest.mark.parametrize("bias", [True, False])
def test_conv_beside_is_the_convolution_of_the_joined_channels(bias, backend):
    """Its value and all its gradients are those of a plain Conv that is given [x, c] in full."""
    options = {"bias": bias, "rng": rng(0)}
    ours = ConvBeside(2, 13, 5, (3, 2), (2, 1), **options).astype("float64")
    plain = Conv(15, 5, (3, 2), (2, 1), "valid", bias=bias, rng=rng(0)).astype("float64")
    r = np.random.default_rng(0)
    x, c = to_device(r.standard_normal((4, 7, 3, 2))), to_device(r.standard_normal((4, 13)))
    for layer in (ours, plain):
        for p in layer.params.values():
            p[...] = to_device(np.random.default_rng(1).standard_normal(p.shape))
    y, cache = ours.forward((x, c))
    expected, plain_cache = plain.forward(beside(x, c))
    close(y, expected)
    dy = to_device(r.standard_normal(y.shape))
    close(ours.backward(dy, cache), plain.backward(dy, plain_cache)[..., :2])
    assert ours.grads.keys() == plain.grads.keys() and len(ours.grads) == 1 + bias
    for name in ours.grads:
        close(ours.grads[name], plain.grads[name])
    assert ours.output_shape((7, 3, 2)) == tuple(y.shape[1:])
    before = to_host(ours.grads["W"]).copy()
    assert ours.backward(dy, cache, param_grads=False, input_grad=False) is None
    np.testing.assert_array_equal(to_host(ours.grads["W"]), before)


# ---- both networks whole


class Given(Network):
    """A network as a function of its first input alone, the conditions held: what check_network takes."""

    def __init__(self, net, *conditions):
        super().__init__(net)
        self.net, self.conditions = net, conditions

    def forward(self, x, train=True):
        y, cache = self.net.forward((x, *(to_device(a.astype(x.dtype)) for a in self.conditions)), train)
        return y, Cache(self, [cache])

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        check_cache(self, cache)
        return self.net.backward(dy, cache.layers[0], param_grads, input_grad)


@pytest.mark.parametrize("which", ["G", "D"])
def test_gradients_of_every_parameter_and_of_the_input(which, backend):
    """Some entries of each, and all of it in random directions; and the contract, two interleaved forwards in it."""
    G, D = players("float32")
    _, y, previous, _, _ = batch(3)
    net, shape = (Given(G, y, previous), (3, 100)) if which == "G" else (Given(D, y), (3, *BAR))
    report = check_network(net, shape, train=True, entries=2, smooth=False)
    assert report.ok, str(report)
    assert {row.name for row in report.rows} == {"x", *net.params}
    assert not any("zero everywhere" in row.note for row in report.rows), str(report)


def test_what_backward_is_not_asked_for_it_leaves_alone():
    for net, x in zip(players(), (lambda b: (b[3], b[1], b[2]), lambda b: (b[0], b[1]))):
        y, cache = net.forward(x(batch(4)))
        dy = np.ones_like(y)
        dx = net.backward(dy, cache, param_grads=False)
        assert (net.grad == 0).all() and dx.shape == x(batch(4))[0].shape
        assert net.backward(dy, cache, input_grad=False) is None and (net.grad != 0).any()
        SGD(net, 0.1).step()
        with pytest.raises(StaleCacheError, match="older than the last parameter update"):
            net.backward(dy, cache)


def test_the_conditions_decide_and_the_control_does_not_hear_them():
    x, y, previous, z, _ = batch(4)
    other = batch(4, seed=1)
    for conditions in (True, False):
        G, D = map(stirred, players(conditions=conditions))
        bar, logits = G.forward((z, y, previous))[0], D.forward((x, y))[0]
        for changed in (G.forward((z, other[1], previous))[0], G.forward((z, y, other[2]))[0]):
            assert (np.abs(changed - bar).max() > 1e-6) == conditions
        assert (np.abs(D.forward((x, other[1]))[0] - logits).max() > 1e-6) == conditions
    zeros = stirred(players()[0]).forward((z, 0 * y, 0 * previous))[0]
    np.testing.assert_array_equal(bar, zeros)  # the control is the same network, fed zeros


# ---- the steps


def softplus(a):
    return np.logaddexp(0, a)


def d_objective(G, D, x, y, previous, z):
    """Cross-entropy with the label 0.9 for real bars and 0 for G's, as section 5 has it."""
    a, b = D.forward((x, y))[0], D.forward((G.forward((z, y, previous))[0], y))[0]
    return (0.9 * softplus(-a) + 0.1 * softplus(a)).mean() + softplus(b).mean()


def g_objective(G, D, x, y, previous, z, feature_weight=0.1, bar_weight=0.01):
    """Cross-entropy with the label 1, and half the squared distances of the batch's means."""
    fake = G.forward((z, y, previous))[0]
    f_fake, f_real = D.features((fake, y))[0], D.features((x, y))[0]
    matched = 0.5 * ((f_real.mean(0) - f_fake.mean(0)) ** 2).sum()
    return (
        softplus(-D.forward((fake, y))[0]).mean()
        + feature_weight * matched
        + bar_weight * 0.5 * ((x.mean(0) - fake.mean(0)) ** 2).sum()
    )


WEIGHTS = [{}, {"feature_weight": 3.0, "bar_weight": 0.0}, {"feature_weight": 0.0, "bar_weight": 0.5}]


@pytest.mark.parametrize("step, weights", [(d_step, {}), *((g_step, w) for w in WEIGHTS)])
def test_a_step_s_value_and_gradient_are_those_of_its_objective(step, weights):
    """On all of theta, by central differences in random directions; and the other player stays bit for bit."""
    G, D = map(stirred, players())
    net, still, objective = (D, G, d_objective) if step is d_step else (G, D, g_objective)
    x, y, previous, z, _ = batch(5)
    theta, other, expected = net.theta.copy(), still.theta.copy(), objective(G, D, x, y, previous, z, **weights)
    still.grad[...] = 7
    value = step(G, D, SGD(net, 0.1), x, y, previous, z, **weights)
    assert value.ndim == 0 and float(value) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(still.theta, other)
    assert (still.grad == 7).all()
    np.testing.assert_allclose(theta - net.theta, 0.1 * net.grad, atol=1e-15)
    assert all(np.abs(g).max() > 0 for g in net.grads.values())
    grad, r = net.grad.copy(), np.random.default_rng(2)
    for _ in range(3):
        way, ends = r.standard_normal(theta.shape), []
        for h in (1e-7, -1e-7):
            net.theta = theta + h * way
            ends.append(objective(G, D, x, y, previous, z, **weights))
        assert (ends[0] - ends[1]) / 2e-7 == pytest.approx(grad @ way, rel=1e-5)


def test_steps_move_the_logits_where_they_should():
    """A D step widens D(real) - D(fake), a G step raises D(G(z)), on the batch that they saw."""
    G, D = players("float32")
    x, y, previous, z, _ = batch(8, "float32")

    def gap():
        fake = G.forward((z, y, previous))[0]
        return D.forward((x, y))[0].mean() - D.forward((fake, y))[0].mean(), D.forward((fake, y))[0].mean()

    before = gap()[0]
    d_step(G, D, Adam(D, 2e-4), x, y, previous, z)
    after, raised = gap()
    assert after > before
    g_step(G, D, Adam(G, 2e-4), x, y, previous, z, feature_weight=0, bar_weight=0)
    assert gap()[1] > raised


# Ten steps of both players with Adam (1e-3, 0.5), N = 8, float64, from PyTorch 2's autograd on the same numbers, its
# networks written from section 5 for images (N, C, H, W).
GOLDEN_D = [1.41200507584, 1.71156795282, 1.72134871749, 1.73407606862, 1.66374369362,
            1.6251951179, 1.72036359206, 1.4917268563, 1.48763894195, 1.60820112961]  # fmt: skip
GOLDEN_G = [3.79379687151, 3.63690760155, 3.26465560201, 3.1596279815, 3.0231391195,
            2.95540099746, 2.75329271254, 2.59312450419, 2.52131813426, 2.39862339404]  # fmt: skip


def test_ten_golden_losses():
    G, D = players()
    optimizers, d_values, g_values = (Adam(G, 1e-3), Adam(D, 1e-3)), [], []
    for k in range(10):
        x, y, previous, z_d, z_g = batch(8, seed=k)
        d_values.append(float(d_step(G, D, optimizers[1], x, y, previous, z_d)))
        g_values.append(float(g_step(G, D, optimizers[0], x, y, previous, z_g)))
    np.testing.assert_allclose(d_values, GOLDEN_D, rtol=1e-8)
    np.testing.assert_allclose(g_values, GOLDEN_G, rtol=1e-8)


def test_the_steps_and_a_tune_cross_to_the_host_nowhere(backend):
    """Real bars, chords and previous bars may be bytes; all is computed in G's and D's float32."""
    G, D = players("float32")
    data = [to_device(a.astype("uint8")) for a in batch(4)[:3]]
    z = to_device(batch(4, "float32")[3])
    for value in (d_step(G, D, Adam(D), *data, z), g_step(G, D, Adam(G), *data, z)):
        assert value.ndim == 0 and value.dtype == "float32" and np.isfinite(to_host(value))
    r = np.random.default_rng(0)
    z, chords = r.standard_normal((2, 3, 100)).astype("float32"), r.integers(0, 2, (2, 3, 13)).astype("uint8")
    tune = to_host(compose(G, to_device(z), to_device(chords), data[2][:2]))
    assert tune.shape == (2, 3, 16) and tune.dtype.kind == "i" and tune.min() >= 0 and tune.max() < 128


# ---- a tune


class Scribe:
    """Stands in for G: notes what it is asked, and answers with pitches that are known."""

    def __init__(self, pitches):
        self.pitches, self.asked = pitches, []

    def forward(self, x, train=True):
        self.asked.append((*x, train))
        p = np.full((len(x[0]), *BAR), 0.1)
        np.put_along_axis(p, self.pitches[:, len(self.asked) - 1, :, None, None], 0.2, axis=2)
        return p, None


@pytest.mark.parametrize("first", [None, 1])
def test_each_bar_of_a_tune_follows_the_bar_that_was_made(first):
    r = np.random.default_rng(0)
    pitches = r.integers(0, 128, (2, 4, 16))
    z, chords = r.standard_normal((2, 4, 100)), r.integers(0, 2, (2, 4, 13))
    given = None if first is None else one_hot(pitches[:, 3], "float64")
    G = Scribe(pitches)
    np.testing.assert_array_equal(compose(G, z, chords, given), pitches)
    assert len(G.asked) == 4
    for b, (its_z, y, previous, train) in enumerate(G.asked):
        np.testing.assert_array_equal(its_z, z[:, b])
        np.testing.assert_array_equal(y, chords[:, b])
        expected = (np.zeros((2, *BAR)) if first is None else given) if b == 0 else np.zeros((2, *BAR))
        for n in range(2 if b else 0):
            for t in range(16):
                expected[n, t, pitches[n, b - 1, t], 0] = 1
        np.testing.assert_array_equal(previous, expected)
        assert train is False


def test_a_tune_does_not_depend_on_those_beside_it_and_moves_no_statistics():
    G = stirred(players("float32")[0])
    r = np.random.default_rng(0)
    z, chords = r.standard_normal((3, 2, 100)).astype("float32"), r.integers(0, 2, (3, 2, 13))
    before = {name: a.copy() for name, a in G.statistics.items()}
    tunes = compose(G, z, chords)
    np.testing.assert_array_equal(compose(G, z[:1], chords[:1]), tunes[:1])
    for name, a in G.statistics.items():
        np.testing.assert_array_equal(a, before[name])


def test_other_sizes_are_refused_in_one_sentence():
    G, D = players("float32")
    x, y, previous, z, _ = batch(3, "float32")
    for wrong, message in (
        ((z[:, :99], y, previous), r"Composer takes z \(3, 100\) with 3 z, but got \(3, 99\)"),
        ((z, y[:, :12], previous), r"Composer takes chords \(3, 13\)"),
        ((z, y, previous[:2]), r"Composer takes previous bars \(3, 16, 128, 1\) with 3 z, but got \(2, 16, 128, 1\)"),
    ):
        with pytest.raises(ShapeError, match=message):
            G.forward(wrong)
    with pytest.raises(
        ShapeError, match=r"Listener takes bars \(3, 16, 128, 1\) with 3 bars, but got \(3, 16, 128\)"
    ):
        D.forward((x[..., 0], y))
    with pytest.raises(ShapeError, match=r"compose takes chords \(3, 2, 13\) with 3 z, but got \(3, 1, 13\)"):
        compose(G, np.ones((3, 2, 100), "float32"), np.ones((3, 1, 13)))
