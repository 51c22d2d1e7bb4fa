"""Scheduled sampling and the Gumbel-softmax step: what is read, and gradients against differences."""

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.models.gumbel import mixed, soft_write_step
from minigan.models.seqgan import Reader, Writer, gumbel
from minigan.optim import SGD, Adam

V, T, N = 5, 4, 3


def writer(scale=1.0, seed=0, vocabulary=V):
    return Writer(vocabulary, 3, 4, rng=rng(seed), init=lambda r, s: scale * r.standard_normal(s, dtype="float32"))


def reader(vocabulary=V):
    return Reader(vocabulary, 3, {1: 4, 2: 3}, dropout=0.0, rng=rng(3))


def test_gumbel_noise_has_its_mean_and_variance():
    noise = gumbel(rng(0), (200_000,))
    assert noise.mean() == pytest.approx(np.euler_gamma, abs=4 * np.pi / np.sqrt(6 * 200_000))
    assert noise.var() == pytest.approx(np.pi**2 / 6, rel=0.02)


def test_scheduled_sampling_reads_the_text_at_first_and_itself_at_last(backend):
    G = writer()
    words = to_device(np.random.default_rng(0).integers(0, V, (2000, T)))
    shifted = np.concatenate([np.zeros((2000, 1), int), to_host(words)[:, :-1]], axis=1)
    assert np.array_equal(to_host(mixed(G, rng(1), words, 0.0)), shifted)
    own = to_host(mixed(G, rng(1), words, 1.0))
    assert (own[:, 0] == 0).all()
    # its own words are distributed as those it writes: compare the first pair's counts
    written = to_host(G.write(rng(2), 2000, T))
    for column, other in ((own[:, 1], written[:, 0]), (own[:, 2], written[:, 1])):
        ours, theirs = np.bincount(column, minlength=V) / 2000, np.bincount(other, minlength=V) / 2000
        assert np.abs(ours - theirs).max() < 4 * np.sqrt(2 * 0.25 / 2000)
    half = to_host(mixed(G, rng(1), words, 0.5))
    same = (half[:, 1:] == shifted[:, 1:]).mean()
    assert (own[:, 1:] == shifted[:, 1:]).mean() + 0.1 < same < 0.9


def test_what_is_read_need_not_be_what_is_to_be_said(backend):
    G = writer().astype("float64")
    words = to_device(np.random.default_rng(0).integers(0, V, (6, T)))
    shifted = np.concatenate([np.zeros((6, 1), int), to_host(words)[:, :-1]], axis=1)
    plain, given = float(to_host(G.learn(words))), float(to_host(G.learn(words, given=to_device(shifted))))
    assert plain == given
    assert float(to_host(G.learn(words, given=to_device(shifted[:, ::-1].copy())))) != plain


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_soft_step_differentiates_what_it_returns(temperature, backend):
    G, D = writer().astype("float64"), reader().astype("float64")
    noise = to_device(to_host(gumbel(rng(1), (N, T, V))).astype("float64"))
    still = SGD(G, 1e-300)
    play = lambda: soft_write_step(G, D, still, losses.non_saturating, noise, temperature, hard=False)
    play()
    grad, theta = to_host(G.grad).copy(), to_host(G.theta).copy()
    r = np.random.default_rng(0)
    for _ in range(5):
        way, ends = r.standard_normal(theta.shape), []
        for sign in (1, -1):
            G.theta[...] = to_device(theta + sign * 1e-6 * way)
            G.changed()
            ends.append(float(to_host(play())))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(grad @ way, rel=1e-5)
    assert (grad != 0).mean() > 0.9


def test_the_hard_step_reads_words_and_leaves_d_alone(backend):
    G, D = writer(), reader()
    noise = gumbel(rng(1), (N, T, V))
    words = G.write(_Noise(noise), N, T)
    expected, _ = losses.non_saturating.generator(D.forward(words)[0])
    before = to_host(D.theta).copy(), to_host(D.grad).copy(), to_host(G.theta).copy()
    value = soft_write_step(G, D, SGD(G, 0.1), losses.non_saturating, noise)
    assert float(to_host(value)) == pytest.approx(float(to_host(expected)), rel=1e-5)
    assert np.array_equal(to_host(D.theta), before[0]) and np.array_equal(to_host(D.grad), before[1])
    assert (to_host(G.theta) != before[2]).mean() > 0.5


def test_the_hard_step_teaches_g_what_d_likes():
    """D's weights are set so that it likes word 2 wherever it stands."""
    G, D = writer(0.1), reader()
    D.theta[...] = 0
    D.embedding.params["W"][2] = 1
    for conv in D.convs:
        conv.layers[0].params["W"][...] = 1
    D.top.layers[-1].params["W"][...] = 1
    D.changed()
    optimizer, random = Adam(G, 0.05, 0.9), rng(0)
    share = lambda: (to_host(G.write(rng(5), 500, T)) == 2).mean()
    first = share()
    for _ in range(60):
        soft_write_step(G, D, optimizer, losses.non_saturating, gumbel(random, (32, T, V)))
    assert first < 0.4 and share() > first + 0.3


class _Noise:
    """A generator whose Gumbel noise is the one given, place by place."""

    def __init__(self, noise):
        self.noise, self.t = noise, -1

    def random(self, shape, dtype):
        from minigan.backend import xp

        self.t += 1
        return xp.exp(-xp.exp(-self.noise[:, self.t])).astype(dtype)
