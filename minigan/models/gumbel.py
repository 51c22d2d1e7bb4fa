"""Two other ways to teach a writer: to read its own words while it learns, and to give the choice of a word a slope.

Maximum likelihood shows G nothing but real beginnings, and REINFORCE is all noise. Scheduled sampling mixes G's own
words into what it reads. Gumbel-softmax lets D's gradient through the choice of a word, at the price of a bias.
Beside `minigan.models.seqgan`, whose letters these are: N sequences, T words, V words in all, E features, H hidden.
"""

from __future__ import annotations

from typing import Any

from minigan.backend import Array, xp
from minigan.losses import Loss
from minigan.models.seqgan import Reader, Writer, gumbel
from minigan.optim import Optimizer


def mixed(G: Writer, rng: Any, words: Array, own: float) -> Array:
    """What G reads in scheduled sampling, (N, T): a real text's words, each with probability `own` replaced by G's.

    G's is drawn from what it says after all that it has read so far, its own words included. `G.learn(words,
    given=mixed(...))` is the step: the words to be said stay the real ones, and no gradient goes through the choices.
    Training lets `own` grow from 0. (Bengio et al. 2015, section 2.4. The objective is improper, and its optimum is
    not the truth: Huszar 2015. Here to be compared, as in SeqGAN's table 1.)
    """
    n, length = words.shape
    given, last, state = xp.zeros_like(words), xp.zeros(n, dtype=words.dtype), None
    table = G.lstm.project(G.embedding.params["W"])
    for t in range(length):
        given[:, t] = last
        state = G.lstm.advance(xp.take(table, last, axis=0), state)
        logits = G.out.forward(state[0])[0]
        drawn = (logits + gumbel(rng, logits.shape)).argmax(axis=1)
        last = xp.where(rng.random(n, dtype="float32") < own, drawn, words[:, t])
    return given


def soft_write_step(
    G: Writer,
    D: Reader,
    optimizer: Optimizer,
    loss: Loss,
    noise: Array,
    temperature: float = 1.0,
    hard: bool = True,
) -> Array:
    """G writes so that D takes it for real, with a gradient through every choice. Returns G's loss, 0-d.

        p_t = softmax((logits_t + noise_t) / temperature)       noise (N, T, V): `gumbel(rng, shape)`
        y_t = the one-hot word at p_t's largest (hard), or p_t itself
        D reads y_t E_D; G reads y_t E_G at the step after

    Backward takes dy/dp for 1, whatever y is: the straight-through estimator. With hard=False nothing is pretended,
    the gradient is exact, and a test proves it against differences; but D then reads blends of words that no text
    has. dy_t has two sources, D's and the step after's, so the way back is walked word by word.
    (Jang et al. 2017; Maddison et al. 2017; for text: Kusner and Hernandez-Lobato 2016.)
    """
    n, length, _ = noise.shape
    E_G, E_D = G.embedding.params["W"], D.embedding.params["W"]
    state, x = None, xp.take(E_G, xp.zeros((n, 1), dtype="int64"), axis=0)  # (N, 1, E): the start word
    p, y, steps = [], [], []
    for t in range(length):
        h, h_cache = G.lstm.forward(x, state=state)
        logits, out_cache = G.out.forward(h[:, 0])
        p.append(softmax((logits + noise[:, t]) / temperature))
        y.append((p[t] == p[t].max(axis=1, keepdims=True)).astype(p[t].dtype) if hard else p[t])  # (N, V)
        steps.append((h_cache, out_cache))
        state, x = G.lstm.final(h_cache), (y[t] @ E_G)[:, None]

    logits, d_cache = D.forward_features(xp.stack([each @ E_D for each in y], axis=1))
    value, d_fake = loss.generator(logits)
    de = D.backward_features(d_fake, d_cache, param_grads=False)  # (N, T, E of D)

    G.zero_grad()
    dx, dstate = None, None
    for t in reversed(range(length)):
        h_cache, out_cache = steps[t]
        dy = de[:, t] @ E_D.T  # (N, V)
        if dx is not None:  # y_t was read by the step after, too
            dy = dy + dx @ E_G.T
            G.embedding.grads["W"] += y[t].T @ dx
        dlogits = p[t] * (dy - (p[t] * dy).sum(axis=1, keepdims=True)) / temperature  # through the softmax
        dh = G.out.backward(dlogits, out_cache)
        dx, dstate = G.lstm.backward_state(dh[:, None], h_cache, dstate)
        dx = dx[:, 0]
    G.embedding.grads["W"][0] += dx.sum(axis=0)  # the start word
    optimizer.step()
    return value


def softmax(s: Array) -> Array:
    """exp(s) / sum exp(s), over the last axis."""
    e = xp.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
