"""Is generated text like real text, is it varied, and is it copied? Numbers to hold against those of real text.

No one number will do. A generator that writes one good sentence over and over has a high BLEU; its self-BLEU is 1 and
its share of distinct n-grams near 0. One that learned the training set by heart passes both; the shares of copies
tell. And real text has no BLEU of 1 against other real text, nor a self-BLEU of 0: so score real text that was held
out of training, as many sequences as there are samples, and put it beside (`table`).

    bleu                   how much of each sample occurs in real text?
    self_bleu, distinct    do the samples repeat one another?
    copies, copied_lines   are they the training set's?
    perplexity             how well does the generator foresee real text?

Sequences are an integer array (M, T), or a list of M integer sequences, which may differ in length and be empty. A
token's number is only its name. Padding counts as a token like any other: give a list without it.

M sequences, S tokens in all, V different ones; k-grams (k tokens in a row), k = 1..n; P_k of them, G different ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

EPSILON = 0.1  # stands for the matches of a k where there are none: nltk's method 1, so that log p exists

Sequences = np.ndarray | Sequence[Sequence[int]]
Scores = dict[int, float] | dict[int, np.ndarray]  # by n: the means, or each sample's (M,)


# ---- n-grams shared with real text, or with each other -------------------------------------------------------------


def bleu(samples: Sequences, references: Sequences, n: int = 4, each: bool = False) -> Scores:
    """BLEU-1 to BLEU-n of each sample against all references at once, 0 to 1: the mean, or `each` sample's (M,).

    BLEU-n = min(1, exp(1 - r/c)) (p_1 p_2 ... p_n)^(1/n)         c the sample's length

    p_k is the share of the sample's k-grams that the references have too; one that occurs several times counts at
    most as often as in the one reference that has it most. r is the length of the reference nearest in length (of
    two, the shorter), so that a short sample gains nothing. Where no k-gram matches, 0.1 stands for the matches, also
    where the sample has no k-gram at all (p_k = 0.1); but without a match of a single token BLEU is 0.

    BLEU rises with the number of references: compare only numbers against the same ones.
    (Papineni et al. 2002; smoothing: Chen and Cherry 2014, method 1. It is nltk's `sentence_bleu(references, sample,
    (1/n,) * n, SmoothingFunction().method1)`.)  Raises ValueError for what are no sequences, and n below 1.
    """
    (tokens, lengths), (others, other_lengths) = _flat("samples", samples), _flat("references", references)
    M, tokens, both = len(lengths), np.concatenate([tokens, others]), np.concatenate([lengths, other_lengths])
    matches = np.empty((M, _check_n(n)))
    for k, (gram, owner) in enumerate(_ngrams(tokens, both, n)):
        gram, owner, count = _count(gram, owner, len(both))
        ours = owner < M
        most = np.zeros(len(gram), dtype=np.int64)  # (at least G,): in any one reference
        np.maximum.at(most, gram[~ours], count[~ours])
        clipped = np.minimum(count[ours], most[gram[ours]])
        matches[:, k] = np.bincount(owner[ours], clipped, minlength=M)
    return _scores(matches, lengths, _closest(lengths, other_lengths), each)


def self_bleu(
    samples: Sequences,
    n: int = 4,
    each: bool = False,
    subset: int | None = None,
    rng: np.random.Generator | None = None,
) -> Scores:
    """`bleu` of each sample against all the other samples: near 1 where they repeat one another.

    It rises with the number of samples, as they are the references: compare only sets of one size. With `subset`, so
    many are drawn by `rng` without replacement and scored against each other, in the order in which they stand.
    (Zhu et al. 2018, "Texygen".)  Raises ValueError as `bleu` does, for fewer than two samples, for a subset that is
    not between two and all of them, and for one without rng.
    """
    if subset is not None:
        if not isinstance(subset, (int, np.integer)) or not 2 <= subset <= len(samples) or rng is None:
            raise ValueError(
                f"A subset is two to all {len(samples)} of the samples, drawn by an rng, "
                f"but subset is {subset} and rng {rng}."
            )
        samples = [samples[i] for i in np.sort(rng.permutation(len(samples))[:subset])]
    tokens, lengths = _flat("samples", samples)
    M = len(lengths)
    if M < 2:
        raise ValueError("Self-BLEU holds each sample against the others, so it needs at least two, but got one.")
    matches = np.empty((M, _check_n(n)))
    for k, (gram, owner) in enumerate(_ngrams(tokens, lengths, n)):
        gram, owner, count = _count(gram, owner, M)
        most, holder, second = _two_largest(gram, owner, count)
        others_most = np.where(holder[gram] == owner, second[gram], most[gram])  # in any one of the other samples
        matches[:, k] = np.bincount(owner, np.minimum(count, others_most), minlength=M)
    return _scores(matches, lengths, _closest(lengths, None), each)


def distinct(samples: Sequences, n: int = 2) -> float:
    """Different n-grams over all n-grams of all samples together: 1 where none occurs twice, near 0 where few do.

    It falls with the number of samples: compare only sets of one size. (Li et al. 2016, "A diversity-promoting
    objective function", who divide by the number of tokens.)  Raises ValueError where no sample has n tokens.
    """
    *_, (gram, _) = _ngrams(*_flat("samples", samples), _check_n(n))
    if not len(gram):
        raise ValueError(f"All samples are shorter than {n} tokens, so there is no {n}-gram to count: lower n.")
    return (int(gram.max()) + 1) / len(gram)


def _scores(matches: np.ndarray, lengths: np.ndarray, closest: np.ndarray, each: bool) -> Scores:
    """BLEU-1..n from the clipped matches (M, n), the samples' lengths and the nearest references' lengths (M,)."""
    k = np.arange(1, matches.shape[1] + 1)
    p = np.where(matches == 0, EPSILON, matches) / np.maximum(lengths[:, None] - k + 1, 1)  # (M, n)
    brevity = np.exp(np.minimum(1 - closest / np.maximum(lengths, 1), 0))  # (M,)
    scores = brevity[:, None] * np.exp(np.log(p).cumsum(axis=1) / k)
    scores[matches[:, 0] == 0] = 0
    return {int(i): scores[:, i - 1] if each else float(scores[:, i - 1].mean()) for i in k}


def _closest(lengths: np.ndarray, references: np.ndarray | None) -> np.ndarray:
    """The reference length nearest to each length, of two the shorter, (M,). None: the other samples' lengths."""
    ours, where = np.unique(lengths, return_inverse=True)
    theirs, counts = np.unique(lengths if references is None else references, return_counts=True)  # rising
    apart = np.abs(ours[:, None] - theirs).astype(np.float64)
    if references is None:
        apart[np.diag(counts == 1)] = np.inf  # the only one of its length is the sample itself
    return theirs[apart.argmin(axis=1)][where]  # argmin takes the first, the shorter


def _ngrams(tokens: np.ndarray, lengths: np.ndarray, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For k = 1..n: each k-gram's number, 0 to G - 1, and which sequence it is in, both (P_k,).

    A k-gram is a (k-1)-gram and one more token. Numbered anew at every k, both are below S, so their pair is one
    integer below S^2 whatever V^k may be.
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)  # (S,)
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(tokens))  # tokens from here to the sequence's end
    names, letter = np.unique(tokens, return_inverse=True)  # (V,), (S,)
    start, gram = np.arange(len(tokens)), letter
    yield gram, owner
    for k in range(2, n + 1):
        longer = left[start] >= k
        start = start[longer]
        gram = np.unique(gram[longer] * len(names) + letter[start + k - 1], return_inverse=True)[1]
        yield gram, owner[start]


def _count(gram: np.ndarray, owner: np.ndarray, M: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each sequence has each of its k-grams: gram, owner and count, sorted by gram and then owner."""
    pairs, count = np.unique(gram * M + owner, return_counts=True)
    return pairs // M, pairs % M, count


def _two_largest(gram: np.ndarray, owner: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each k-gram the largest count in one sequence, whose it is, and the largest in any other one: (G,) each."""
    order = np.lexsort((-count, gram))  # by gram, the largest count first
    gram, owner, count = gram[order], owner[order], count[order]
    first = np.flatnonzero(np.diff(gram, prepend=-1))  # (G,)
    has_second = np.append(gram, -1)[first + 1] == gram[first]
    return count[first], owner[first], np.append(count, 0)[first + 1] * has_second


# ---- learned by heart ----------------------------------------------------------------------------------------------


class Copied(NamedTuple):
    """The share of the samples' lines that are the training set's, and of held-out real text's, if it was given."""

    share: float
    held_out: float | None


def copies(samples: Sequences, training: Sequences) -> float:
    """The share of samples that are, token for token, a sequence of the training set: 0 to 1."""
    known = set(_pieces("training", training))
    found = [piece in known for piece in _pieces("samples", samples)]
    return sum(found) / len(found)


def copied_lines(
    samples: Sequences, training: Sequences, length: int = 5, held_out: Sequences | None = None
) -> Copied:
    """The share of the samples' lines that are a line of the training set, at any place in it.

    A line is `length` tokens, and every sequence some whole lines: a quatrain of 20 characters has four of 5. Short
    lines recur in real text too, so `held_out`, real sequences that are not in the training set, says how much of it
    is no copying. Raises ValueError for a sequence that is not whole lines.
    """
    _check_n(length, "length")
    known = set(_pieces("training", training, length))

    def share(name, sequences):
        found = [line in known for line in _pieces(name, sequences, length)]
        if not found:
            raise ValueError(f"{name} has only empty sequences, and no line to look for.")
        return sum(found) / len(found)

    return Copied(share("samples", samples), None if held_out is None else share("held_out", held_out))


def _pieces(name: str, sequences: Sequences, length: int | None = None) -> list[bytes]:
    """Each sequence, or each line of `length` tokens, as bytes: equal where all tokens are, and good for a set."""
    tokens, lengths = _flat(name, sequences)
    if length is None:
        return [piece.tobytes() for piece in np.split(tokens, lengths.cumsum()[:-1])]
    if (lengths % length).any():
        i = int((lengths % length).argmax())
        raise ValueError(f"{name}[{i}] has {lengths[i]} tokens, which are no whole lines of {length}.")
    return [line.tobytes() for line in tokens.reshape(-1, length)]


# ---- likelihood, and the numbers together --------------------------------------------------------------------------


def perplexity(nll_per_token: float | np.ndarray) -> float:
    """exp(mean of -log p), p the probability given to each token, in nats: V for a generator that knows nothing.

    nll_per_token: their mean, or all of them in any shape. Sequences of unequal length do not weigh alike: take the
    mean over tokens. Raises ValueError for NaN, none at all, or numbers below 0, which are log p and not -log p.
    """
    nll = np.asarray(nll_per_token, dtype=np.float64)
    if not nll.size or not (nll >= -1e-3).all():  # a softmax in float32 may round p to a little over 1
        raise ValueError("nll_per_token must be -log p of at least one token: no NaN, and none below 0.")
    with np.errstate(over="ignore"):
        return float(np.exp(nll.mean()))


def table(found: Mapping[str, float], held_out: Mapping[str, float]) -> str:
    """Each number of the samples beside held-out real text's, to print; both by name ({"BLEU-2": 0.739, ...}).

    Raises ValueError where the two do not have the same names.
    """
    if set(found) != set(held_out):
        raise ValueError(f"Both need the same numbers, but {sorted(set(found) ^ set(held_out))} stand on one side.")
    rows = [("", "samples", "held-out text")]
    rows += [(name, f"{value:.4g}", f"{held_out[name]:.4g}") for name, value in found.items()]
    width = max(len(name) for name, *_ in rows)
    return "\n".join(f"{name:<{width}}  {ours:>10}  {theirs:>13}" for name, ours, theirs in rows)


# ---- input that makes no sense -------------------------------------------------------------------------------------


def _flat(name: str, sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """All tokens in a row, (S,), and the length of each sequence, (M,): both int64."""
    if not len(sequences):
        raise ValueError(f"{name} must hold at least one sequence, but there is none.")
    if isinstance(sequences, np.ndarray) and sequences.ndim == 2 and sequences.dtype.kind in "iu":
        M, T = sequences.shape
        return sequences.ravel().astype(np.int64), np.full(M, T)
    rows = [np.asarray(row) for row in sequences]
    for i, row in enumerate(rows):
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise ValueError(
                f"{name} must be an integer array (M, T) or a list of integer sequences, "
                f"but {name}[{i}] has shape {row.shape} and type {row.dtype}."
            )
    return np.concatenate(rows).astype(np.int64), np.array([len(row) for row in rows])


def _check_n(n: int, name: str = "n") -> int:
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but it is {n}.")
    return n
