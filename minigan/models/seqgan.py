"""SeqGAN: a network that writes words one after another, and one that reads the whole and says real or not.

A word is chosen, not computed: no gradient passes from D through the choice into G. What replaces it is REINFORCE:
every chosen word's log-probability is pushed by the reward that D gives to what came of it (Yu et al. 2017).

N sequences, T words each, V words in the vocabulary, E features of a word, H hidden units of the LSTM.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.backend import Array, to_device, xp
from minigan.layers import LSTM, Conv, Dense, Dropout, Embedding, GlobalMaxPool, Highway, ReLU
from minigan.layers.activations import sigmoid
from minigan.layers.embedding import checked
from minigan.losses import Loss, softmax_cross_entropy
from minigan.network import Cache, Network, Sequential, check_cache
from minigan.optim import Optimizer

ROWS = 256  # of the logits (N T, V) that exist at once: they are softmax, gradient and gone while still in the cache
State = tuple[Array, Array]


class Writer(Network):
    """G: the logits of each word, given those before it        words (N, T) integers   logits (N, T, V)

    What the LSTM reads is the start word 0, then every word but the last; logits = h W + b.
    init(rng, shape) draws all weights: N(0, 0.1^2) as in the paper's code, or N(0, 1) for its oracle.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int = 32,
        hidden: int = 32,
        *,
        rng: Any,
        init: Callable[..., Array] | None = None,
    ) -> None:
        init = init or (lambda rng, shape: 0.1 * rng.standard_normal(shape, dtype="float32"))
        self.embedding = Embedding(vocabulary, features, rng=rng)
        self.lstm = LSTM(features, hidden, rng=rng)
        self.out = Dense(hidden, vocabulary, rng=rng)
        for layer in (self.embedding, self.lstm, self.out):
            for p in layer.params.values():
                p[...] = init(rng, p.shape)
        self.vocabulary = vocabulary
        super().__init__(self.embedding, self.lstm, self.out)

    # ---- reading: the probability of given words

    def hidden(self, words: Array, state: State | None = None, given: Array | None = None) -> tuple[Array, Cache]:
        """h (N, T, H), the state before each word is chosen, and the cache. given: what is read, if not the words."""
        words = self.on_device(words)
        if given is None:
            given = xp.concatenate([xp.zeros_like(words[:, :1]), words[:, :-1]], axis=1)
        e, e_cache = self.embedding.forward(given)  # (N, T, E)
        h, h_cache = self.lstm.forward(e, state=state)
        return h, Cache(self, [e_cache, h_cache])

    def on_device(self, words: Array) -> Array:
        """Words given on the host are checked and brought to the device, once; others are there already."""
        return to_device(checked(words, self.vocabulary)) if isinstance(words, np.ndarray) else words

    def hidden_backward(self, dh: Array, cache: Cache) -> None:
        check_cache(self, cache)
        e_cache, h_cache = cache.layers
        self.embedding.backward(self.lstm.backward(dh, h_cache), e_cache)

    def forward(self, words: Array, train: bool = True) -> tuple[Array, Cache]:
        """logits (N, T, V), all at once: for looking. `learn` needs a fraction of the memory."""
        h, cache = self.hidden(words)
        rows, out_cache = self.out.forward(h.reshape(-1, h.shape[-1]))
        return rows.reshape(*h.shape[:2], -1), Cache(self, [*cache.layers, out_cache])

    def backward(self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = False) -> None:
        """Adds the parameters' gradients. Words have no gradient."""
        check_cache(self, cache)
        e_cache, h_cache, out_cache = cache.layers
        dh = self.out.backward(dy.reshape(-1, dy.shape[-1]), out_cache)
        self.hidden_backward(dh.reshape(*dy.shape[:2], -1), Cache(self, [e_cache, h_cache]))

    def learn(self, words: Array, weights: Array | None = None, given: Array | None = None) -> Array:
        """Adds the gradient of mean(-w log p(word)) over all N T words, and returns it, 0-d. w (N, T), or 1.

        w = 1 is maximum likelihood, w a reward is REINFORCE. The logits are made, used and dropped by blocks of rows.
        """
        words = self.on_device(words)
        h, cache = self.hidden(words, given=given)
        rows, ids = h.reshape(-1, h.shape[-1]), words.reshape(-1)  # (N T, H), (N T,)
        dh, value = xp.empty_like(rows), xp.zeros((), dtype=rows.dtype)
        w = xp.ones(len(rows), dtype=rows.dtype) if weights is None else weights.reshape(-1)
        for start in range(0, len(rows), ROWS):
            block = slice(start, start + ROWS)
            logits, out_cache = self.out.forward(rows[block])
            share = len(logits) / len(rows)  # of the mean over all words
            loss, dlogits = softmax_cross_entropy(logits, ids[block], share * w[block])
            value = value + loss
            dh[block] = self.out.backward(dlogits, out_cache)
        self.hidden_backward(dh.reshape(h.shape), cache)
        return value

    def log_likelihood(self, words: Array) -> Array:
        """log p of each word, (N, T)."""
        words = self.on_device(words)
        h, _ = self.hidden(words)
        rows, ids = h.reshape(-1, h.shape[-1]), words.reshape(-1)
        found = []
        for start in range(0, len(rows), ROWS):
            logits = self.out.forward(rows[start : start + ROWS])[0]
            logits = logits - logits.max(axis=1, keepdims=True)
            right = logits[xp.arange(len(logits)), ids[start : start + ROWS]]
            found.append(right - xp.log(xp.exp(logits).sum(axis=1)))
        return xp.concatenate(found).reshape(words.shape)

    # ---- writing

    def write(
        self,
        rng: Any,
        n: int,
        length: int,
        prompt: Array | None = None,
        temperature: float = 1.0,
        state: State | None = None,
    ) -> Array:
        """n sequences of `length` words, (n, length), that begin with the prompt (n, P).

        state: the LSTM's (h, c) after all words of the prompt but the last: what was read is not read again. Each
        word is drawn from softmax(logits / temperature) by the Gumbel-max trick (`gumbel`).
        Raises ValueError for a temperature that is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"The temperature is a positive number, but got {temperature}.")
        words = xp.zeros((n, length), dtype="int64")
        begin = 0 if prompt is None else prompt.shape[1]
        if begin:
            words[:, :begin] = prompt
        table = self.lstm.project(self.embedding.params["W"])  # x Wx + b of every word
        for t in range(length):
            if state is None or t >= begin:
                last = words[:, t - 1] if t else xp.zeros(n, dtype="int64")
                state = self.lstm.advance(xp.take(table, last, axis=0), state)
            if t >= begin:
                logits = self.out.forward(state[0])[0] / temperature
                words[:, t] = (logits + gumbel(rng, logits.shape)).argmax(axis=1)
        return words


def gumbel(rng: Any, shape: tuple[int, ...]) -> Array:
    """Gumbel noise, float32: -log E, E exponentially distributed. The argmax of s + it is drawn from softmax(s)."""
    return -xp.log(-xp.log(xp.maximum(rng.random(shape, dtype="float32"), 1e-30)) + 1e-30)


PAPER_FILTERS = dict(
    zip((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20), (100, *4 * (200,), *5 * (100,), 160, 160))
)  # width: how many


class Reader(Network):
    """D: one logit for a whole sequence        words (N, T) integers   logits (N, 1)

        e = embedding(words)                          (N, T, E)
        f_k = max over time of relu(conv_k(e))        for each width k: do such phrases occur, no matter where
        logit = out(dropout(highway([f_1, f_2, ...])))

    filters: {width: how many}. dropout: the share dropped in training. (Yu et al. 2017, after Kim 2014.)
    Raises ShapeError for sequences shorter than the widest filter.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int = 64,
        filters: dict[int, int] | None = None,
        dropout: float = 0.25,
        *,
        rng: Any,
    ) -> None:
        filters = {2: 50, 3: 50, 4: 50} if filters is None else filters
        total = sum(filters.values())
        self.embedding = Embedding(vocabulary, features, rng=rng)
        self.embedding.params["W"][...] = 2 * rng.random((vocabulary, features), dtype="float32") - 1
        self.convs = [
            Sequential(Conv(features, count, (width,), padding="valid", rng=rng), ReLU(), GlobalMaxPool())
            for width, count in filters.items()
        ]
        self.counts = list(filters.values())
        self.top = Sequential(Highway(total, rng=rng), Dropout(dropout, rng=rng), Dense(total, 1, rng=rng))
        super().__init__(self.embedding, *self.convs, self.top)

    def forward(self, words: Array, train: bool = True) -> tuple[Array, Cache]:
        e, e_cache = self.embedding.forward(words)
        logits, cache = self.forward_features(e, train)
        return logits, Cache(self, [e_cache, cache])

    def forward_features(self, e: Array, train: bool = True) -> tuple[Array, Any]:
        """What comes after the embedding: e (N, T, E) -> logits (N, 1), and what its backward needs."""
        features, caches = zip(*(conv.forward(e, train) for conv in self.convs))  # (N, filters) of each width
        logits, top_cache = self.top.forward(xp.concatenate(features, axis=1), train)
        return logits, (caches, top_cache)

    def backward(self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = False) -> None:
        """Adds the parameters' gradients. Words have no gradient: this is where a GAN for text breaks."""
        check_cache(self, cache)
        e_cache, after = cache.layers
        self.embedding.backward(self.backward_features(dy, after, param_grads), e_cache, param_grads)

    def backward_features(self, dy: Array, cache: Any, param_grads: bool = True) -> Array:
        """de (N, T, E), the gradient on every word's features."""
        caches, top_cache = cache
        d_features, de, start = self.top.backward(dy, top_cache, param_grads), 0, 0
        for conv, count, its_cache in zip(self.convs, self.counts, caches):
            de = de + conv.backward(d_features[:, start : start + count], its_cache, param_grads)
            start += count
        return de


# ---- the steps of the game: D's reads, G's is rewarded -------------------------------------------------------------


def read_step(D: Reader, optimizer: Optimizer, loss: Loss, real: Array, fake: Array, l2: float = 0.0) -> Array:
    """D learns to tell real words (N, T) from written ones. Returns its loss, 0-d, with l2 / 2 |out's W, b|^2."""
    real_logits, real_cache = D.forward(real)
    fake_logits, fake_cache = D.forward(fake)
    value, d_real, d_fake = loss.discriminator(real_logits, fake_logits)
    D.zero_grad()
    D.backward(d_real, real_cache)
    D.backward(d_fake, fake_cache)
    out = D.top.layers[-1]
    for name, p in out.params.items():
        out.grads[name] += l2 * p
        value = value + l2 / 2 * (p * p).sum()
    optimizer.step()
    return value


def rewards(G: Writer, judge: Callable[[Array], Array], rng: Any, words: Array, copies: int = 16) -> Array:
    """What each word of a sequence is worth, (N, T): the judge's mean verdict on what comes of it.

    After word t, `copies` sequences are written to the end by the present G (rollouts), from the LSTM's state at t;
    all copies of the batch are one batch. After the last word there is nothing to write: the verdict is on the words
    themselves. judge: words (M, T) -> (M,), such as `probability_real(D)`. (Yu et al. 2017, equation 4.)
    """
    n, length = words.shape
    _, cache = G.hidden(words)
    states = cache.layers[1]  # of the LSTM: h[t], c[t] after it has read the start and all words before the t-th
    found = []
    for t in range(1, length):
        state = tuple(xp.repeat(s[t], copies, axis=0) for s in (states.h, states.c))
        written = G.write(rng, n * copies, length, xp.repeat(words[:, :t], copies, axis=0), state=state)
        found.append(judge(written).reshape(n, copies).mean(axis=1))
    return xp.stack([*found, judge(words)], axis=1)


def probability_real(D: Reader, batch: int = 1024) -> Callable[[Array], Array]:
    """D's verdict on words (M, T), in (0, 1), dropout off: (M,)."""

    def judge(words):
        parts = [D.forward(words[i : i + batch], train=False)[0][:, 0] for i in range(0, len(words), batch)]
        return sigmoid(xp.concatenate(parts))

    return judge


def write_step(
    G: Writer,
    optimizer: Optimizer,
    words: Array,
    reward: Array,
    baseline: bool = False,
) -> Array:
    """REINFORCE: G makes its words (N, T) as much more probable as their reward (N, T) says. Returns its loss, 0-d.

    The mean of reward times the gradient of log p is that of the expected reward, for any reward that does not
    depend on theta itself. baseline: what the other sequences got at the same place is taken off; words do not make
    it, so the mean stays, and the variance falls. (Williams 1992; leave-one-out: Kool et al. 2019.)
    """
    if baseline:
        n = len(reward)
        reward = (reward - reward.mean(axis=0)) * (n / (n - 1))  # r_n - mean of the others
    G.zero_grad()
    value = G.learn(words, reward)
    optimizer.step()
    return value


def oracle(rng: Any, vocabulary: int = 5000, features: int = 32, hidden: int = 32) -> Writer:
    """The synthetic benchmark's truth: a Writer whose parameters are all drawn from N(0, 1) (Yu et al. 2017)."""
    return Writer(
        vocabulary, features, hidden, rng=rng, init=lambda rng, shape: rng.standard_normal(shape, dtype="float32")
    )


def oracle_from(arrays: dict[str, np.ndarray]) -> Writer:
    """An oracle from a file's arrays: embedding, Wi, Ui, bi, Wf, Uf, bf, Wo, Uo, bo, Wc, Uc, bc, V, c.

    So does the paper's code name them; W, U, b of the gates i, f, o and of the candidate c, V and c of the output.
    Raises ValueError where one is missing or its shape does not fit.
    """
    gates = "ifco"  # theirs, in the order of ours: i, f, g, o
    names = ["embedding", "V", "c", *(f"{kind}{gate}" for kind in "WUb" for gate in gates)]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"These arrays are no oracle of SeqGAN: {', '.join(missing)} is missing.")
    vocabulary, features = arrays["embedding"].shape
    net = Writer(vocabulary, features, arrays["V"].shape[0], rng=np.random.default_rng(0))
    joined = {kind: np.concatenate([arrays[f"{kind}{gate}"] for gate in gates], axis=-1) for kind in "WUb"}
    found = {
        "0.W": arrays["embedding"],
        "1.Wx": joined["W"],
        "1.Wh": joined["U"],
        "1.b": joined["b"],
        "2.W": arrays["V"],
        "2.b": arrays["c"],
    }
    for name, p in net.params.items():
        if found[name].shape != p.shape:
            raise ValueError(f"These arrays are no oracle of SeqGAN: {name} has {found[name].shape}, not {p.shape}.")
        p[...] = to_device(found[name])
    net.changed()
    return net
