"""Lesson 15, "GANs for words: why REINFORCE?": its exercises.

N sentences of T words, V words in the vocabulary. The lesson's writer is a table, theta (V, V): row v has the logits
of the word that comes after word v, and what stands before the first word is word 0.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw


def before(words):
    """The word that stands before each word, (N, T): 0 before the first."""
    return np.concatenate([np.zeros_like(words[:, :1]), words[:, :-1]], axis=1)


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ---- 15.policy_gradient ---------------------------------------------------------------------------------------


def make_written(rng, N):
    """A table, sentences with a pair of words that occurs twice in each, and rewards as D gives them, in (0, 1)."""
    V, T = sizes(rng, N, 2)
    T += 4
    words = rng.integers(0, V, (N, T))
    words[:, 2:4] = words[:, :2]
    return {"theta": draw(rng, (V, V)), "words": words, "reward": 0.1 + 0.8 * rng.random((N, T))}


def _written(theta, words, reward, rows=before, minus=softmax):
    """The sum over all words of reward (one-hot - p), added up in theta's rows, over N."""
    given = rows(words)
    score = -minus(theta[given])
    np.put_along_axis(score, words[..., None], np.take_along_axis(score, words[..., None], -1) + 1, -1)
    gradient = np.zeros_like(theta)
    np.add.at(gradient, given, reward[..., None] * score)
    return gradient / len(words)


def policy_gradient(theta, words, reward):
    return _written(theta, words, reward)


def _last_one_counts(theta, words, reward):
    given, one_hot = before(words), np.eye(len(theta), dtype=theta.dtype)
    gradient = np.zeros_like(theta)
    gradient[given] += reward[..., None] * (one_hot[words] - softmax(theta[given]))
    return gradient / len(words)


POLICY_GRADIENT = Exercise(
    name="15.policy_gradient",
    asked="the estimate (V, V) of the gradient of E[R] on theta (V, V), from words (N, T) and their reward (N, T)",
    make=make_written,
    solution=policy_gradient,
    returns=("the gradient",),
    wrong=(
        Wrong(
            lambda theta, words, reward: _written(theta, words, reward, minus=np.zeros_like),
            "p is missing",
            "p is missing: d log p(w) / d s_i is [i = w] - p_i, for whoever makes one word more probable makes all "
            "others less so",
        ),
        Wrong(lambda theta, words, reward: -policy_gradient(theta, words, reward), "opposite sign"),
        Wrong(
            lambda theta, words, reward: _written(theta, words, reward, rows=lambda words: words),
            "the row of the word itself",
            "each word's share went to the row of the word itself; its logits came from the row of the word before",
        ),
        Wrong(
            _last_one_counts,
            "keeps one of several",
            "gradient[given] += ... keeps one of several equal rows and drops the rest: np.add.at adds them all up",
        ),
        Wrong(
            lambda theta, words, reward: policy_gradient(theta, words, reward) / words.shape[1],
            "divided by N T",
            "this is divided by N T: log p of a sentence is the sum over its words, so take the mean over the N "
            "sentences alone",
        ),
        Wrong(
            lambda theta, words, reward: policy_gradient(theta, words, np.ones_like(reward)),
            "the reward is missing",
            "the reward is missing: this is the gradient of the mean log p of G's own words, whose mean is zero",
        ),
    ),
)


# ---- 15.leave_one_out -----------------------------------------------------------------------------------------


def make_rewards(rng, N):
    """Rewards in (0, 1): some sentences are better than others, and late words are worth less."""
    T = sizes(rng, N, 1)[0]
    return {"reward": 0.3 * rng.random((N, 1)) + 0.4 * rng.random((N, T)) + np.linspace(0.3, 0, T)}


def leave_one_out(reward):
    others = (reward.sum(axis=0) - reward) / (len(reward) - 1)
    return reward - others


LEAVE_ONE_OUT = Exercise(
    name="15.leave_one_out",
    asked="each reward of (N, T) less the mean of what the other N - 1 sentences got at the same place, (N, T)",
    make=make_rewards,
    solution=leave_one_out,
    returns=("the advantage",),
    single=False,  # one sentence has no others
    wrong=(
        Wrong(
            lambda reward: reward - reward.mean(axis=0),
            "own reward is in it",
            "the mean is over all N sentences, so each one's own reward is in it, and the gradient's mean shrinks by "
            "(N - 1) / N: take the mean of the others",
        ),
        Wrong(
            lambda reward: reward - reward.mean(),
            "over all places",
            "this is one mean over all places and all sentences: each place has its own, over the other sentences",
        ),
        Wrong(
            lambda reward: reward - reward.mean(axis=1, keepdims=True),
            "over the sentence's own words",
            "the mean is over the sentence's own words, and these depend on what was chosen: a baseline made of them "
            "biases the gradient; go over the other sentences, at the same place",
        ),
        Wrong(
            lambda reward: leave_one_out(reward) / reward.std(axis=0),
            "divided by their spread",
            "the rewards are divided by their spread: that is another step, which changes the gradient's size",
        ),
        Wrong(
            lambda reward: (reward.sum(axis=0) - reward) / (len(reward) - 1),
            "the baseline itself",
            "this is the baseline itself: return the reward less the baseline",
        ),
        Wrong(lambda reward: -leave_one_out(reward), "opposite sign"),
    ),
)


# ---- 15.rollout_rewards ---------------------------------------------------------------------------------------


def make_unfinished(rng, N):
    """finish and judge are functions of the words alone: whoever asks in another order gets the same answers."""
    V, T = sizes(rng, N, 2)
    T += 1
    weights, salt = draw(rng, (T, V)), int(rng.integers(2**31))

    def finish(beginning, copies):
        beginning = np.asarray(beginning)
        seed = np.random.default_rng([salt, len(beginning), *beginning.tolist()])
        rest = seed.integers(0, V, (copies, T - len(beginning)))
        return np.concatenate([np.tile(beginning, (copies, 1)), rest], axis=1)

    def judge(sentences):
        return 1 / (1 + np.exp(-weights[np.arange(T), sentences].sum(axis=1)))

    return {"words": rng.integers(0, V, (N, T)), "finish": finish, "judge": judge, "copies": 4}


def _each(words, worth):
    """worth(sentence (T,), t) for every word."""
    return np.array([[worth(sentence, t) for t in range(len(sentence))] for sentence in words])


def rollout_rewards(words, finish, judge, copies):
    return _each(words, lambda sentence, t: judge(finish(sentence[: t + 1], copies)).mean())


ROLLOUT_REWARDS = Exercise(
    name="15.rollout_rewards",
    asked="Q (N, T): the judge's mean verdict on `copies` sentences that begin with the words up to the t-th",
    make=make_unfinished,
    solution=rollout_rewards,
    returns=("Q",),
    float32=False,  # words are integers, and the judge's verdicts what the judge makes them
    wrong=(
        Wrong(
            lambda words, finish, judge, copies: _each(
                words, lambda sentence, t: judge(finish(sentence[:t], copies)).mean()
            ),
            "the word itself is not",
            "the word itself is not in the beginning: this says what the words before it are worth, V, whatever is "
            "chosen next; words[n, : t + 1] ends with word t",
        ),
        Wrong(
            lambda words, finish, judge, copies: np.repeat(judge(words)[:, None], words.shape[1], axis=1),
            "the whole sentence's verdict",
            "every word gets the whole sentence's verdict, good words that of the bad ones that came after; finish "
            "each beginning anew",
        ),
        Wrong(
            lambda words, finish, judge, copies: _each(
                words, lambda sentence, t: judge(finish(sentence[: t + 1], 1)).mean()
            ),
            "a single rollout",
            "this is a single rollout for each word: ask finish for all copies in one call, and take their mean",
        ),
        Wrong(
            lambda words, finish, judge, copies: _each(
                words, lambda sentence, t: judge(finish(sentence[: t + 1], copies)).max()
            ),
            "the best of",
            "this is the best of the rollouts, and what G usually makes of the beginning is their mean",
        ),
        Wrong(
            lambda words, finish, judge, copies: _each(
                words, lambda sentence, t: judge(finish(sentence[: t + 1], copies)).sum()
            ),
            "their sum",
            "this is their sum: divide by the number of copies",
        ),
        Wrong(
            lambda words, finish, judge, copies: _each(
                words, lambda sentence, t: judge(np.where(np.arange(len(sentence)) <= t, sentence, 0)[None])[0]
            ),
            "filled up with zeros",
            "the judge was given beginnings that are filled up with zeros, and it only knows whole sentences: let "
            "finish write the rest",
        ),
    ),
)

EXERCISES = (POLICY_GRADIENT, LEAVE_ONE_OUT, ROLLOUT_REWARDS)
