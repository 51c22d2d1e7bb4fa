"""Words have no neighbours: where a gradient into the generator of a text is lost, and where the reward is.

    REINFORCE    d/ds E[R] = E[R(w) d/ds log p(w)],    d/ds_j log p(w) = [j = w] - p_j

s (N, V) logits of a word, p = softmax(s), w the word that is drawn, R its reward.  (Williams 1992.)
"""

from __future__ import annotations

import numpy as np

from minigan.layers import Dense
from minigan.losses import softmax_cross_entropy
from minigan.museum.exhibit import Exhibit, need, numeric

V = 5  # words in the vocabulary


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logits(seed: int = 0, n: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, V))


# ---- argmax between G and D ---------------------------------------------------------------------------------------


def chosen_by_argmax(s):
    return np.eye(V)[s.argmax(axis=1)]


def relaxed(s, temperature=0.5):
    gumbel = -np.log(-np.log(np.random.default_rng(7).random(s.shape)))
    return softmax((s + gumbel) / temperature)  # Gumbel-softmax: a draw that has a slope


def d_pulls_at_the_logits(words):
    D = Dense(V, 1, rng=np.random.default_rng(1)).astype(np.float64)
    slope = numeric(lambda s: float(D.forward(words(s))[0].mean()), logits())
    largest = np.abs(slope).max()
    need(largest > 1e-3, f"No logit of G moves D's verdict: the largest slope is {largest:.1f}.")


ARGMAX = Exhibit(
    name="argmax-between",
    title="An argmax stands between G and D",
    wrong="argmax is constant around almost every s, so dD/ds = 0 almost everywhere. No gradient crosses it; a "
    "relaxed draw has one, and REINFORCE needs none.",
    symptom="G's loss stays where it was. Where the framework notices, it says that no gradient is provided.",
    seen_in="seen in first GANs for words, and asked about at Keras-GAN (issue 61) and CharacterGAN (issue 4)",
    lesson=15,
    silent=True,
    which="differences by G's logits",
    bug=chosen_by_argmax,
    mend=relaxed,
    check=d_pulls_at_the_logits,
    use=lambda words: words(logits()),
)


# ---- a softmax row for word ids -----------------------------------------------------------------------------------


def rows_as_ids(p, rng):
    return p.astype(int).ravel()  # what a lookup makes of 0.3 is word 0


def drawn_from_rows(p, rng):
    return (p.cumsum(axis=1) < rng.random((len(p), 1))).sum(axis=1)


def ids_follow_the_rows(ids):
    p = np.tile(softmax(logits(n=1)), (4000, 1))
    read = ids(p, np.random.default_rng(2))
    share = np.bincount(read, minlength=V) / len(read)
    j = int(np.abs(share - p[0]).argmax())
    need(
        abs(share[j] - p[0, j]) < 0.05,
        f"D reads word {j} in {100 * share[j]:.0f} percent of the places, where G's softmax says "
        f"{100 * p[0, j]:.0f} percent.",
    )


AS_IDS = Exhibit(
    name="softmax-row-as-ids",
    title="A row of probabilities is looked up as if it were ids",
    wrong="An embedding takes whole numbers. Given p = (0.3, 0.7, ...) it rounds down and looks up word 0, always. "
    "And there is no gradient through a lookup: a SeqGAN draws w from p and learns by REINFORCE.",
    symptom="D reads the same text, whatever G writes, and tells it from news with no trouble.",
    seen_in="seen in a tutorial on news by a SeqGAN, in Keras",
    lesson=15,
    silent=True,
    which="D reads what G writes",
    bug=rows_as_ids,
    mend=drawn_from_rows,
    check=ids_follow_the_rows,
    use=lambda ids: ids(softmax(logits()), np.random.default_rng(2)),
)


# ---- a reward without effect --------------------------------------------------------------------------------------


def imitates_itself(s, words, reward):
    value, ds = softmax_cross_entropy(s, words)
    return value * reward.mean(), ds  # the reward is in what is printed


def learns_from_reward(s, words, reward):
    return softmax_cross_entropy(s, words, weights=reward)


def reward_makes_a_difference(step):
    """Every word once, each counted by its probability: the mean over all draws, without drawing."""
    s, words = logits(n=1), np.arange(V)
    p, mean = softmax(s)[0], {}
    for name, reward in (("constant", np.ones(V)), ("last word", np.eye(V)[-1])):
        one = [step(s, words[w : w + 1], reward[w : w + 1])[1][0] for w in words]
        mean[name] = -sum(p[w] * one[w] for w in words)  # uphill
    right = p[-1] * (np.eye(V)[-1] - p)  # d/ds of E[R] = p(last word)
    apart = np.abs(mean["last word"] - mean["constant"]).max()
    need(
        np.abs(mean["last word"] - right).max() < 1e-9,
        f"The mean gradient differs by {apart:.3f} between a reward for the last word and a constant one, where "
        f"{np.abs(right).max():.3f} is due.",
    )


NO_REWARD = Exhibit(
    name="reward-without-effect",
    title="The reward is handed in and not used",
    wrong="d E[R] / ds = E[R d log p / ds]. Without the factor R it is E[d log p / ds] = 0: G is pushed towards "
    "whatever it has just written, in all directions alike.",
    symptom="The loss moves and the texts change, at random. A reward of 1 for everything gives the same curve.",
    seen_in="asked about at SeqGAN (issue 21)",
    lesson=15,
    silent=True,
    which="control: a constant reward",
    bug=imitates_itself,
    mend=learns_from_reward,
    check=reward_makes_a_difference,
    use=lambda step: step(logits(), np.arange(4), np.array([0.1, 0.9, 0.5, 0.3]))[0],
)

EXHIBITS = (ARGMAX, AS_IDS, NO_REWARD)
