"""SeqGAN: the writer's likelihood, gradient and sampling; the reader; REINFORCE against exact enumeration."""

import itertools

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.layers import ShapeError
from minigan.models.seqgan import (
    PAPER_FILTERS,
    Reader,
    Writer,
    oracle,
    oracle_from,
    probability_real,
    read_step,
    rewards,
    write_step,
)
from minigan.optim import SGD, Adam


def writer(vocabulary=5, hidden=4, scale=1.0, seed=0):
    return Writer(
        vocabulary, 3, hidden, rng=rng(seed), init=lambda r, s: scale * r.standard_normal(s, dtype="float32")
    )


def test_the_probabilities_of_all_sequences_sum_to_one(backend):
    net = writer(3).astype("float64")
    words = np.array(list(itertools.product(range(3), repeat=4)))
    p = np.exp(to_host(net.log_likelihood(words)).sum(axis=1))
    assert p.sum() == pytest.approx(1, abs=1e-12) and p.std() > 1e-3


def test_likelihood_by_blocks_is_that_of_the_logits():
    net = writer().astype("float64")
    words = np.random.default_rng(0).integers(0, 5, (90, 7))  # 630 rows: three blocks
    logits, _ = net.forward(words)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = np.take_along_axis(log_p, words[..., None], -1)[..., 0]
    np.testing.assert_allclose(net.log_likelihood(words), expected, rtol=1e-10)
    w = np.random.default_rng(1).standard_normal(words.shape)
    assert float(net.learn(words, w)) == pytest.approx(-(w * expected).mean(), rel=1e-12)
    assert float(net.learn(words)) == pytest.approx(-expected.mean(), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_learn_differentiates_what_it_returns(weighted, backend):
    net = writer().astype("float64")
    r = np.random.default_rng(0)
    words = r.integers(0, 5, (6, 4))
    w = to_device(r.standard_normal(words.shape)) if weighted else None
    net.zero_grad()
    net.learn(words, w)
    grad, theta = to_host(net.grad).copy(), to_host(net.theta).copy()
    for _ in range(4):
        way, ends = r.standard_normal(theta.shape), []
        for sign in (1, -1):
            net.theta = to_device(theta + sign * 1e-6 * way)
            ends.append(float(to_host(net.learn(words, w))))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(grad @ way, rel=1e-6)


def test_the_plain_backward_is_the_one_by_blocks():
    net = writer().astype("float64")
    words = np.random.default_rng(0).integers(0, 5, (100, 6))
    net.zero_grad()
    net.learn(words)
    expected = net.grad.copy()
    net.zero_grad()
    logits, cache = net.forward(words)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.put_along_axis(p, words[..., None], np.take_along_axis(p, words[..., None], -1) - 1, -1)
    net.backward(p / words.size, cache)
    np.testing.assert_allclose(net.grad, expected, rtol=1e-9, atol=1e-14)


def test_writing_follows_the_probabilities():
    """100,000 sequences of two words against the exact shares, by chi-square; and at another temperature."""
    net = writer(3)
    words = np.array(list(itertools.product(range(3), repeat=2)))
    for temperature in (1.0, 0.5):
        logits = [net.forward(words)[0][:, t] / temperature for t in range(2)]
        p = np.ones(9)
        for t in range(2):
            softmax = np.exp(logits[t]) / np.exp(logits[t]).sum(axis=1, keepdims=True)
            p *= softmax[np.arange(9), words[:, t]]
        drawn = net.write(np.random.default_rng(0), 100_000, 2, temperature=temperature)
        counts = np.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=9)
        assert ((counts - 100_000 * p) ** 2 / (100_000 * p)).sum() < 26.1  # 8 degrees of freedom, p = 0.001


def test_writing_goes_on_from_a_prompt_and_from_its_state():
    net = writer(5)
    prompt = np.array([[1, 2, 3], [4, 4, 0]])
    from_words = net.write(np.random.default_rng(3), 2, 6, prompt)
    np.testing.assert_array_equal(from_words[:, :3], prompt)
    _, cache = net.hidden(prompt)
    state = net.lstm.final(cache.layers[1])  # has read the start word, 1 and 2 (4 and 4): all but the last
    from_state = net.write(np.random.default_rng(3), 2, 6, prompt, state=state)
    np.testing.assert_array_equal(from_state, from_words)
    with pytest.raises(ValueError, match="temperature is a positive number, but got 0"):
        net.write(np.random.default_rng(0), 1, 2, temperature=0)
    with pytest.raises(IndexError, match="outside the vocabulary of 5"):
        net.learn(np.array([[1, 5]]))


def test_maximum_likelihood_learns_a_language():
    """Words that follow one another in a circle: after some steps the next is nearly certain."""
    net = writer(6, hidden=12, scale=0.3)
    r = np.random.default_rng(0)
    words = (r.integers(0, 6, (64, 1)) + np.arange(8)) % 6
    optimizer = SGD(net, 2.0)
    for _ in range(300):
        net.zero_grad()
        net.learn(words)
        optimizer.step()
    p = np.exp(net.log_likelihood(words))
    assert p[:, 1:].min() > 0.9 and abs(p[:, 0] - 1 / 6).max() < 0.1


# ---- the reader and the rewards


def reader(dropout=0.0):
    return Reader(5, 3, {1: 2, 2: 3, 4: 2}, dropout, rng=rng(1))


def test_the_reader_s_gradients_against_central_differences(backend):
    net = reader().astype("float64")
    r = np.random.default_rng(0)
    words, dy = r.integers(0, 5, (6, 4)), to_device(r.standard_normal((6, 1)))
    _, cache = net.forward(words)
    net.backward(dy, cache)
    grad, theta = to_host(net.grad).copy(), to_host(net.theta).copy()
    assert all(np.abs(to_host(g)).max() > 0 for g in net.grads.values())
    for _ in range(4):
        way, ends = r.standard_normal(theta.shape), []
        for sign in (1, -1):
            net.theta = to_device(theta + sign * 1e-6 * way)
            ends.append(float(to_host((net.forward(words)[0] * dy).sum())))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(grad @ way, rel=1e-6)
    with pytest.raises(ShapeError):
        net.forward(words[:, :3])  # shorter than the widest filter


def test_the_papers_filters():
    assert len(PAPER_FILTERS) == 12 and sum(PAPER_FILTERS.values()) == 1720
    assert PAPER_FILTERS[1] == PAPER_FILTERS[10] == 100 and PAPER_FILTERS[5] == 200 and PAPER_FILTERS[20] == 160


def test_the_reader_learns_to_tell_two_languages_apart():
    net, r = reader(0.2), np.random.default_rng(0)
    real = (r.integers(0, 5, (200, 1)) + np.arange(6)) % 5
    fake = r.integers(0, 5, (200, 6))
    optimizer = Adam(net, 0.01, 0.9)
    values = [float(read_step(net, optimizer, losses.non_saturating, real, fake, l2=0.01)) for _ in range(60)]
    judge = probability_real(net, batch=64)
    assert values[-1] < 0.5 * values[0] and judge(real).mean() > 0.8 and judge(fake).mean() < 0.2
    np.testing.assert_array_equal(judge(real), judge(real))  # dropout is off


def worth(words):
    """A verdict that is no network: the share of 2s, more at the end, and a bonus for 2, 1."""
    words = to_host(words)
    bonus = ((words[:, :-1] == 2) & (words[:, 1:] == 1)).sum(axis=1)
    return to_device(((words == 2) * np.arange(1, words.shape[1] + 1)).sum(axis=1) / 4 + bonus)


def exact_gradient(net, length):
    """d E[worth] / dtheta over all sequences: sum p (worth) d log p."""
    words = np.array(list(itertools.product(range(net.vocabulary), repeat=length)))
    p = np.exp(net.log_likelihood(words).sum(axis=1))
    net.zero_grad()
    net.learn(words, np.broadcast_to((p * worth(words))[:, None], words.shape))
    return -net.grad.copy() * words.size


def estimates(net, baseline, times, n=8, copies=2):
    r = np.random.default_rng(4)

    class Still:
        def step(self):
            pass

    for _ in range(times):
        words = net.write(r, n, 4)
        write_step(net, Still(), words, rewards(net, worth, r, words, copies), baseline)
        yield -net.grad.copy() * 4  # learn's mean is over N T words


def test_reinforce_is_unbiased_and_a_baseline_lowers_its_variance():
    """V = 3, T = 4: 1,500 estimates against exact enumeration, in six random directions, within 4 standard errors."""
    net = writer(3, hidden=3, scale=0.5).astype("float64")
    exact = exact_gradient(net, 4)
    ways = np.random.default_rng(2).standard_normal((6, len(exact)))
    spread = {}
    for baseline in (False, True):
        along = np.array([ways @ g for g in estimates(net, baseline, 1500)])  # (1500, 6)
        error = along.std(axis=0, ddof=1) / np.sqrt(len(along))
        assert (abs(along.mean(axis=0) - ways @ exact) < 4 * error).all()
        assert (error < 0.2 * np.abs(ways @ exact).max()).all()  # or the test would see nothing
        spread[baseline] = along.var(axis=0).sum()
    assert spread[True] < 0.7 * spread[False]


def test_rollouts_give_the_expected_worth_of_every_prefix():
    """Against enumeration of all ends, 4,000 copies each."""
    net = writer(3, hidden=3).astype("float64")
    words = np.array([[2, 1, 0, 2]])
    found = rewards(net, worth, np.random.default_rng(0), words, copies=4000)[0]
    for t in range(1, 5):
        ends = np.array(list(itertools.product(range(3), repeat=4 - t)), dtype=int)
        whole = np.concatenate([np.repeat(words[:, :t], len(ends), axis=0), ends], axis=1)
        p = np.exp(net.log_likelihood(whole)[:, t:].sum(axis=1))
        mean = (p * worth(whole)).sum()
        sd = np.sqrt((p * worth(whole) ** 2).sum() - mean**2)
        assert abs(found[t - 1] - mean) <= 4.5 * sd / np.sqrt(4000) + 1e-12
    assert found.std() > 0.05


def test_an_oracle_from_its_files_arrays():
    """i, f, o and c side by side as the layer has them: against a step written out."""
    r = np.random.default_rng(0)
    sizes = {"W": (3, 4), "U": (4, 4), "b": (4,)}
    arrays = {kind + gate: r.standard_normal(size) for kind, size in sizes.items() for gate in "ifoc"}
    arrays |= {"embedding": r.standard_normal((6, 3)), "V": r.standard_normal((4, 6)), "c": r.standard_normal(6)}
    net = oracle_from({name: a.astype("float32") for name, a in arrays.items()})
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    h, c, x = np.zeros(4), np.zeros(4), arrays["embedding"][0]
    for word in (4, 1):
        a = {gate: x @ arrays[f"W{gate}"] + h @ arrays[f"U{gate}"] + arrays[f"b{gate}"] for gate in "ifoc"}
        c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["c"])
        h = sigmoid(a["o"]) * np.tanh(c)
        x = arrays["embedding"][word]
    logits = h @ arrays["V"] + arrays["c"]
    np.testing.assert_allclose(net.forward(np.array([[4, 1]]))[0][0, 1], logits, rtol=1e-4)
    with pytest.raises(ValueError, match="no oracle of SeqGAN: Uf is missing"):
        oracle_from({name: a for name, a in arrays.items() if name != "Uf"})
    assert abs(oracle(rng(0), 50).theta.std() - 1) < 0.05
