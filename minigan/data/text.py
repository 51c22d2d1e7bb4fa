"""Text as whole numbers: a vocabulary, 16,774 Chinese quatrains that ship with the package, and your own file.

A generator of text chooses one token after another from a fixed list, so a text is a row of ids into that list.
The quatrains (five-character lines, four a poem) are all 20 characters long; SeqGAN's paper learnt from such poems
(Yu et al. 2017, section 4.3). Source and licence: SOURCES.md, here.

M samples, T tokens in each, V tokens in the vocabulary; ids are int64 (M, T) in [0, V).
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from minigan.files import write_whole

# Special tokens are one character each, so that a decoded sample of characters has one character a token.
START, UNKNOWN, END = "\u2402", "\ufffd", "\u2403"  # ␂, � and ␃
SPECIAL = {START: "the start token", UNKNOWN: "the unknown token", END: "the end token"}
UNITS = ("characters", "words")

SHIPPED = Path(__file__).with_name("quatrains.txt.gz")
SPLITS = ("train", "test", "all")
DYNASTIES = ("tang", "song")
HELD_OUT = 2000  # poems in the test split
RELATED = 10  # equal characters, of 20 in the same places, from which on two poems count as versions of one


class Vocabulary:
    """A list of tokens and its inverse: `tokens[i]` is written i. Tokens are characters (code points) or words.

    Id 0 is the start token: what a generator is fed before the first real one. `start`, `unknown` and `end` are the
    ids of the special tokens; the last two are None where the vocabulary has none. `unit` is "characters" or "words".
    Raises ValueError unless the tokens begin with START, differ, and are each of the unit.
    """

    def __init__(self, tokens: Iterable[str], unit: str = "characters") -> None:
        _check_unit(unit)
        self.tokens, self.unit = tuple(tokens), unit
        self._ids: dict[str, int] = {}
        for i, token in enumerate(self.tokens):
            if token in self._ids:
                raise ValueError(f"Token {i} is {_shown(token)}, and so is token {self._ids[token]}: remove one.")
            if not token or {"\n", "\r"} & {*token} or _split(token, unit) != [token]:
                raise ValueError(f"Token {i} must be one of the {unit}, without a line break, but it is {token!r}.")
            self._ids[token] = i
        if self._ids.get(START) != 0:
            raise ValueError(f"Token 0 must be {_shown(START)}, the start token.")
        self.start, self.unknown, self.end = 0, self._ids.get(UNKNOWN), self._ids.get(END)

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        unit: str = "characters",
        minimum_count: int = 1,
        unknown: bool = False,
        end: bool = False,
    ) -> Vocabulary:
        """The vocabulary of these texts: special tokens first, then the most frequent; equal ones by code point.

        Tokens that occur less than `minimum_count` times are left out; where that is above 1 there is an unknown
        token to stand for them, asked for or not. Raises ValueError if no token is left, or if the texts hold a
        special token or a line break.
        """
        _check_unit(unit)
        _check_whole("minimum_count", minimum_count)
        counts = Counter(token for text in texts for token in _split(text, unit))
        for token in sorted({*SPECIAL, "\n", "\r"} & {*counts}):
            role = f"here it is {SPECIAL[token]}" if token in SPECIAL else "a line break separates samples"
            raise ValueError(f"The texts hold {_shown(token)}, but {role}: take it out.")
        kept = [token for token, count in counts.items() if count >= minimum_count]
        if not counts:
            raise ValueError("The texts are empty: there is nothing to build a vocabulary of.")
        if not kept:
            raise ValueError(
                f"None of the {unit} occurs minimum_count={minimum_count} times: take {max(counts.values())} or less."
            )
        special = [START] + [UNKNOWN] * (unknown or minimum_count > 1) + [END] * end
        return cls(special + sorted(kept, key=lambda token: (-counts[token], token)), unit)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text's tokens, int64 (T,); special tokens in it are written like any other.

        Raises ValueError naming the first token that the vocabulary lacks, unless it has an unknown token.
        """
        tokens = _split(text, self.unit)
        ids = [self._ids.get(token, self.unknown) for token in tokens]
        if None in ids:
            place = ids.index(None)
            raise ValueError(
                f"{self.unit.capitalize()[:-1]} {place + 1} of the text, {_shown(tokens[place])}, is not in the"
                f" vocabulary of {len(self):,}: replace it, or build the vocabulary with unknown=True."
            )
        return np.array(ids, dtype=np.int64)

    def decode(self, ids: np.ndarray | Sequence[int]) -> str:
        """The text of one sample, ids (T,): it stops before the first end token, and other special tokens show.

        Raises ValueError for another number of axes, TypeError for other than integers, IndexError outside [0, V).
        """
        ids = np.asarray(ids)
        if ids.ndim != 1:
            raise ValueError(f"decode takes the ids of one sample, (T,), but these are {ids.shape}: decode each row.")
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f"Ids are integers, but got {ids.dtype}.")
        outside = np.flatnonzero((ids < 0) | (ids >= len(self)))
        if outside.size:
            raise IndexError(
                f"Id {ids[outside[0]]}, number {outside[0] + 1} of {len(ids)}, lies outside the vocabulary of"
                f" {len(self):,}: ids run from 0 to {len(self) - 1}."
            )
        tokens = [self.tokens[int(i)] for i in ids]
        if END in tokens:
            tokens = tokens[: tokens.index(END)]
        return ("" if self.unit == "characters" else " ").join(tokens)

    def save(self, path: str | Path) -> None:
        """Write a UTF-8 file to read: "vocabulary of characters" (or words), then one token a line, id 0 first."""
        text = "\n".join([f"vocabulary of {self.unit}", *self.tokens, ""])
        write_whole(path, text.encode("utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """The vocabulary that `save` wrote. Raises FileNotFoundError, or ValueError saying what is wrong in it."""
        lines = _read_lines(path)
        units = [unit for unit in UNITS if lines[:1] == [f"vocabulary of {unit}"]]
        if not units:
            raise ValueError(
                f'{path} is not a vocabulary: its first line must be "vocabulary of characters" or "... of words".'
            )
        try:
            return cls(lines[1:], units[0])
        except ValueError as error:
            raise ValueError(f"{path}, with token 0 on line 2: {error}") from error

    def __repr__(self) -> str:
        return f"<Vocabulary of {len(self):,} {self.unit}>"


# ---- the shipped quatrains -----------------------------------------------------------------------------------------


def load_quatrains(split: str = "train", dynasty: str | None = None) -> tuple[np.ndarray, Vocabulary]:
    """The shipped quatrains: ids int64 (M, 20), Tang before Song, and their vocabulary.

    M is 14,774 ("train"), 2,000 ("test") or 16,774 ("all"), or what `dynasty`, "tang" or "song", has of them. The
    vocabulary is that of all the poems, whichever are asked for: the start token and 6,072 characters.
    The test poems are spread evenly over all that share fewer than 10 of their 20 characters, in the same places,
    with every other poem: old poems come in versions, and one of them must not be trained on while another tests.
    Raises ValueError for any other split or dynasty.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be "train", "test" or "all", but it is {split!r}.')
    if dynasty not in (None, *DYNASTIES):
        raise ValueError(f'dynasty must be "tang", "song" or None for both, but it is {dynasty!r}.')
    dynasties, splits, ids, vocabulary = _shipped()
    return ids[((split == "all") | (splits == split)) & ((dynasty is None) | (dynasties == dynasty))], vocabulary


def as_lines(poem: str) -> str:
    """A quatrain's 20 characters as four lines of five, each with its mark: ，after odd and 。after even lines.

    (So are they printed today; the poems themselves had no marks.) Raises ValueError for any other length.
    """
    if len(poem) != 20:
        raise ValueError(f"A quatrain has 20 characters, but this text has {len(poem)}: {poem[:30]!r}.")
    return "\n".join(poem[i : i + 5] + mark for i, mark in zip(range(0, 20, 5), "，。，。"))


@cache
def _shipped() -> tuple[np.ndarray, np.ndarray, np.ndarray, Vocabulary]:
    """The shipped file: dynasties (M,), splits (M,), ids (M, 20) and the vocabulary."""
    lines = gzip.decompress(SHIPPED.read_bytes()).decode("utf-8").splitlines()
    dynasties, splits, poems = zip(*(line.split() for line in lines))
    vocabulary = Vocabulary.build(poems)
    return np.array(dynasties), np.array(splits), vocabulary.encode("".join(poems)).reshape(-1, 20), vocabulary


def build_shipped(folder: str | Path, path: str | Path = SHIPPED, held_out: int = HELD_OUT) -> None:
    """Write the shipped file at `path`: how quatrains.txt.gz was made. One line a poem: dynasty, split, poem.

    `folder` is dist/quantangshi of the npm package chinese-poetry 2.0.1. Taken are the poems of four lines with five
    characters of U+4E00 to U+9FFF in each, in the order of the files, and of equal ones the first. The same input
    gives the same text. Raises ValueError if fewer than `held_out` of them are unrelated to all others.
    """
    dynasty_of: dict[str, str] = {}
    for dynasty in DYNASTIES:
        files = sorted(Path(folder).glob(f"poet.{dynasty}.*.json"), key=lambda file: int(file.name.split(".")[2]))
        for file in files:
            for entry in json.loads(file.read_text(encoding="utf-8")):
                lines = re.findall("[^，。！？；、：]+", "".join(entry["paragraphs"]))
                if len(lines) == 4 and all(re.fullmatch("[\u4e00-\u9fff]{5}", line) for line in lines):
                    dynasty_of.setdefault("".join(lines), dynasty)
    codes = np.array([[ord(character) for character in poem] for poem in dynasty_of], np.uint16).reshape(-1, 20)
    # every poem has one relative at least, itself
    relatives = np.array([np.count_nonzero((codes == code).sum(axis=1) >= RELATED) for code in codes])
    alone = np.flatnonzero(relatives == 1)
    if len(alone) < held_out:
        raise ValueError(f"{folder} has {len(alone)} quatrains unlike all others where {held_out} are needed.")
    test = {*alone[np.linspace(0, len(alone) - 1, held_out).round().astype(int)].tolist()}
    rows = enumerate(dynasty_of.items())
    text = "".join(f"{dynasty} {'test' if i in test else 'train'} {poem}\n" for i, (poem, dynasty) in rows)
    Path(path).write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


# ---- your own file -------------------------------------------------------------------------------------------------


def load_text(
    path: str | Path, unit: str = "characters", length: int | None = None, minimum_count: int = 1
) -> tuple[np.ndarray, Vocabulary]:
    """Any UTF-8 text file, one sample a line: ids int64 (M, T) and the vocabulary of the file.

    A generator that makes all tokens of a batch together, and a discriminator that reads them so, need one length T.
    Without `length` all lines must have the same. With it T is `length`, and shorter lines are filled up with an end
    token, so that the generator learns where to stop too; longer ones are refused, for to cut them is to invent
    samples that end in the middle. Tokens that occur less than `minimum_count` times become the unknown token.
    Empty lines and the blank space at a line's ends are dropped; byte order mark and Windows line ends do no harm.
    Raises FileNotFoundError, or ValueError saying what is wrong, and in which line.
    """
    _check_unit(unit)
    if length is not None:
        _check_whole("length", length)
    numbered = [(number, line.strip()) for number, line in enumerate(_read_lines(path), start=1)]
    samples = [(number, line, len(_split(line, unit))) for number, line in numbered if line]
    if not samples:
        raise ValueError(f"{path} holds no text: write one sample on each line.")
    first, _, T = samples[0]
    longest = max(count for _, _, count in samples)
    if length is None:
        for number, _, count in samples:
            if count != T:
                raise ValueError(
                    f"Line {number} of {path} has {_counted(count, unit)} and line {first} has {T}: make all lines"
                    f" equally long, or give length={longest} to fill shorter ones with an end token."
                )
    else:
        T = int(length)
        for number, _, count in samples:
            if count > T:
                raise ValueError(
                    f"Line {number} of {path} has {_counted(count, unit)}, but length is {T}: shorten every line to"
                    f" that, or give length={longest}, which is enough for all."
                )
    lines, end = [line for _, line, _ in samples], any(count < T for _, _, count in samples)
    try:
        vocabulary = Vocabulary.build(lines, unit, minimum_count, end=end)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    ids = np.full((len(samples), T), vocabulary.end or 0, np.int64)
    for row, (_, line, count) in zip(ids, samples):
        row[:count] = vocabulary.encode(line)
    return ids, vocabulary


def text_statistics(ids: np.ndarray, vocabulary: Vocabulary, top: int = 10) -> dict:
    """What a data card says of ids (M, T): their sizes, and how unevenly the vocabulary is used.

    "samples" M, "length" T, "vocabulary" V; "used" and "once": how many tokens occur at all, and a single time;
    "most frequent": the `top` (token, share) pairs, shares of all places in [0, 1]. Special tokens count in V alone.
    """
    counts = np.bincount(ids.ravel(), minlength=len(vocabulary))
    counts[[i for i in (vocabulary.start, vocabulary.unknown, vocabulary.end) if i is not None]] = 0
    order = [int(i) for i in np.argsort(-counts, kind="stable")[:top] if counts[i]]
    return {
        "samples": ids.shape[0],
        "length": ids.shape[1],
        "vocabulary": len(vocabulary),
        "used": int((counts > 0).sum()),
        "once": int((counts == 1).sum()),
        "most frequent": [(vocabulary.tokens[i], float(counts[i] / counts.sum())) for i in order],
    }


def _read_lines(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file, with line ends of any system and with or without a byte order mark."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name.")
    lines = []
    # bytes split at \n, \r\n and \r alone; str.splitlines would split at eight other characters too
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            column = len(line[: error.start].decode("utf-8")) + 1
            raise ValueError(
                f"Line {number} of {path} is not UTF-8 (byte 0x{line[error.start]:02x} at column {column}):"
                " save the file as UTF-8."
            ) from error
    return lines


def _split(text: str, unit: str) -> list[str]:
    return list(text) if unit == "characters" else text.split()


def _shown(token: str) -> str:
    """A token for messages; a single character with its code point, for many look alike or cannot be seen."""
    if len(token) > 1:
        return f'"{token}"'
    return f'"{token}" (U+{ord(token):04X})' if token.isprintable() else f"the character U+{ord(token):04X}"


def _counted(count: int, unit: str) -> str:
    return f"1 {unit[:-1]}" if count == 1 else f"{count} {unit}"


def _check_unit(unit: str) -> None:
    if unit not in UNITS:
        raise ValueError(f'unit must be "characters" or "words", but it is {unit!r}.')


def _check_whole(name: str, value: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, but it is {value!r}.")
