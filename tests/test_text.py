"""The shipped poems are what they claim to be, text and ids are inverse, and no bad file is read as if good."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.data import text
from minigan.data.text import (
    END,
    START,
    UNKNOWN,
    Vocabulary,
    as_lines,
    build_shipped,
    load_quatrains,
    load_text,
    text_statistics,
)

SIZES = {  # poems in each split of each dynasty
    ("train", "tang"): 3361,
    ("test", "tang"): 411,
    ("all", "tang"): 3772,
    ("train", "song"): 11_413,
    ("test", "song"): 1589,
    ("all", "song"): 13_002,
    ("train", None): 14_774,
    ("test", None): 2000,
    ("all", None): 16_774,
}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def one_sentence(error, *parts):
    message = str(error.value)
    assert "\n" not in message and message.endswith(".")
    assert not [part for part in parts if str(part) not in message], message


@cache
def poems(split, dynasty=None):
    ids, vocabulary = load_quatrains(split, dynasty)
    return [vocabulary.decode(row) for row in ids]


# The shipped quatrains


def test_the_shipped_file():
    packed = text.SHIPPED.read_bytes()
    assert len(packed) < 700_000
    assert sha256(packed) == "b04b0f0ca086f0023502c08bddc7de30b9d8eff861a7d1e8afc395a783dc25b6"
    assert sha256(gzip.decompress(packed)) == "f6be9e81113e1b3e37b1c02d7dcc65bd7d4b0fe68b5493801fe23ecc3db87589"


@pytest.mark.parametrize(
    "dynasty, sha",
    [
        ("tang", "974434bbb9dc30c987b6295dafa081a3f2a400d720995ff81a57b712f0b1ec00"),
        ("song", "56236a4991a65dbfe9a751b7e99b85ff4d969a58c65464f259e5856dc8e61d25"),
    ],
)
def test_the_poems_are_those_of_the_source_in_its_order(dynasty, sha):
    """The checksums were taken of the poems as somebody else had chosen them, one a line."""
    assert sha256("".join(poem + "\n" for poem in poems("all", dynasty)).encode()) == sha


@pytest.mark.parametrize("split, dynasty", SIZES)
def test_sizes(split, dynasty):
    ids, vocabulary = load_quatrains(split, dynasty)
    assert ids.shape == (SIZES[split, dynasty], 20) and ids.dtype == np.int64
    assert len(vocabulary) == 6073 and (vocabulary.start, vocabulary.unknown, vocabulary.end) == (0, None, None)
    assert ids.min() == 1 and ids.max() < 6073  # never the start token
    ids[0, 0] = 0  # the arrays are the caller's own
    assert load_quatrains(split, dynasty)[0][0, 0] != 0
    assert load_quatrains(split, dynasty)[1].tokens == load_quatrains()[1].tokens


def test_the_splits_share_no_poem_and_leave_none_out():
    whole = poems("all")
    assert len({*whole}) == 16_774 and {len(poem) for poem in whole} == {20}
    assert poems("all", "tang") + poems("all", "song") == whole
    for dynasty in (None, "tang", "song"):
        train, test = {*poems("train", dynasty)}, {*poems("test", dynasty)}
        assert not train & test and train | test == {*poems("all", dynasty)}


def test_no_test_poem_has_a_version_elsewhere():
    """Who shares how many places with a test poem: itself 20, any other at most 9."""
    having = defaultdict(list)
    for number, poem in enumerate(poems("all")):
        for seat in enumerate(poem):
            having[seat].append(number)
    closest = [Counter(n for seat in enumerate(poem) for n in having[seat]).most_common(2) for poem in poems("test")]
    assert {first for (_, first), _ in closest} == {20}
    assert max(second for _, (_, second) in closest) == 9


def test_the_test_poems_are_spread_evenly():
    test = {*poems("test")}
    where = np.array([i for i, poem in enumerate(poems("all")) if poem in test])
    assert np.diff(where).min() >= 7 and np.abs(where - np.linspace(0, 16_773, 2000)).max() < 400


def test_the_vocabulary_counts_and_order():
    """Most frequent first, equal ones by code point: against a count of the file itself."""
    lines = gzip.decompress(text.SHIPPED.read_bytes()).decode().splitlines()
    counts = Counter("".join(line.split()[2] for line in lines))
    tokens = load_quatrains()[1].tokens
    assert tokens[:6] == (START, "不", "人", "一", "無", "山")
    assert {*tokens[1:]} == {*counts} and len(tokens) == 6073
    keys = [(-counts[token], ord(token)) for token in tokens[1:]]
    assert keys == sorted(keys)
    assert sum(count == 1 for count in counts.values()) == 1097


def test_round_trips_over_all_poems():
    ids, vocabulary = load_quatrains("all")
    again = np.stack([vocabulary.encode(vocabulary.decode(row)) for row in ids])
    np.testing.assert_array_equal(again, ids)
    lines = gzip.decompress(text.SHIPPED.read_bytes()).decode().splitlines()
    assert [line.split()[2] for line in lines] == poems("all")
    assert [line.split()[2] for line in lines if line.split()[1] == "test"] == poems("test")


def test_as_lines():
    assert (
        as_lines("松下問童子言師採藥去只在此山中雲深不知處")
        == "松下問童子，\n言師採藥去。\n只在此山中，\n雲深不知處。"
    )
    assert "松下問童子言師採藥去只在此山中雲深不知處" in poems("all", "tang")  # traditional characters, as they were
    with pytest.raises(ValueError) as error:
        as_lines("松下問童子")
    one_sentence(error, "20 characters", "has 5")
    vocabulary = load_quatrains()[1]
    assert START in as_lines(vocabulary.decode([0] * 20))  # what an untrained generator may write is shown


@pytest.mark.parametrize(
    "arguments, parts", [(("validation",), ["split", "train", "test", "all"]), (("all", "qing"), ["dynasty", "qing"])]
)
def test_bad_split_or_dynasty(arguments, parts):
    with pytest.raises(ValueError) as error:
        load_quatrains(*arguments)
    one_sentence(error, *parts)


def write_source(folder, tang, song):
    for dynasty, files in (("tang", tang), ("song", song)):
        for number, entries in files.items():
            content = json.dumps([{"author": "無名", "paragraphs": entry} for entry in entries])
            (folder / f"poet.{dynasty}.{number}.json").write_text(content)


def made_up(n):
    """A quatrain of no meaning that shares no character with that of another n: 20 in a row."""
    characters = [chr(0x4E00 + 20 * n + i) for i in range(20)]
    return "".join(characters), [
        "{}，{}。".format(*("".join(characters[i + k : i + k + 5]) for k in (0, 5))) for i in (0, 10)
    ]


def test_build_shipped(tmp_path):
    made = [made_up(n) for n in range(30)]
    ten = made[3][0][:10] + made[4][0][10:]  # half of 3 and half of 4: they have a version now
    nine = made[5][0][:9] + made[29][0][9:11] + made[6][0][11:]  # 9 places of each: versions of none
    as_entry = lambda poem: [f"{poem[:5]}？{poem[5:10]}！", f"{poem[10:15]}；{poem[15:]}。"]
    bad = [
        made[7][1] + ["一二三四五。"],  # five lines
        [made[7][1][0][:-2] + "。", made[7][1][1]],  # a short one
        [made[7][1][0].replace(made[7][0][2], "A"), made[7][1][1]],  # no Chinese
        made[7][1][:1],
        [],
    ]
    tang = {0: [made[0][1], made[1][1]], 10_000: [made[3][1], made[4][1]], 9000: [made[2][1], *bad]}
    song = {0: [made[0][1], as_entry(ten), as_entry(nine), *(entry for _, entry in made[5:29])]}
    write_source(tmp_path, tang, song)
    build_shipped(tmp_path, tmp_path / "a.gz", held_out=8)
    build_shipped(tmp_path, tmp_path / "b.gz", held_out=8)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    rows = [line.split() for line in gzip.decompress((tmp_path / "a.gz").read_bytes()).decode().splitlines()]
    assert [row[2] for row in rows if row[0] == "tang"] == [made[n][0] for n in range(5)]  # 9000 before 10000
    assert [row[2] for row in rows if row[0] == "song"] == [ten, nine, *(poem for poem, _ in made[5:29])]
    alone = [i for i, row in enumerate(rows) if row[2] not in (made[3][0], made[4][0], ten)]
    test = [alone.index(i) for i, row in enumerate(rows) if row[1] == "test"]
    assert test == [0, 4, 8, 12, 15, 19, 23, 27] and len(alone) == 28  # 27 i / 7, rounded
    with pytest.raises(ValueError) as error:
        build_shipped(tmp_path, tmp_path / "c.gz", held_out=29)
    one_sentence(error, "28 quatrains", "29 are needed", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError) as error:
        build_shipped(tmp_path / "empty", tmp_path / "c.gz")
    one_sentence(error, "0 quatrains")
    assert not (tmp_path / "c.gz").exists()


# Vocabularies


def test_build_orders_and_counts():
    vocabulary = Vocabulary.build(["banana", "cab", "dd"])
    assert vocabulary.tokens == (START, "a", "b", "d", "n", "c") and len(vocabulary) == 6
    assert vocabulary.encode("nab").tolist() == [4, 1, 2] and vocabulary.encode("nab").dtype == np.int64
    assert vocabulary.encode("").shape == (0,) and vocabulary.encode("").dtype == np.int64
    assert Vocabulary.build(["dd", "bac", "ananab"]).tokens == vocabulary.tokens
    rarer = Vocabulary.build(["banana", "cab", "dd"], minimum_count=2)
    assert rarer.tokens == (START, UNKNOWN, "a", "b", "d", "n")
    assert rarer.decode(rarer.encode("can")) == UNKNOWN + "an"
    both = Vocabulary.build(["ab"], unknown=True, end=True)
    assert both.tokens == (START, UNKNOWN, END, "a", "b") and (both.start, both.unknown, both.end) == (0, 1, 2)
    assert Vocabulary.build(["ab"], end=True).end == 1


def test_words():
    vocabulary = Vocabulary.build(["the cat  sat on the mat", "a\tcat"], unit="words")
    assert vocabulary.tokens == (START, "cat", "the", "a", "mat", "on", "sat")
    assert vocabulary.encode(" the mat\n").tolist() == [2, 4]
    assert vocabulary.decode([2, 1, 6]) == "the cat sat"
    assert repr(vocabulary) == "<Vocabulary of 7 words>"


texts = st.lists(
    st.text(st.characters(exclude_characters="\n\r␂␃\ufffd", exclude_categories=["Cs"]), min_size=1), min_size=1
)


@settings(deadline=None, max_examples=30)
@given(texts, st.booleans(), st.booleans())
def test_any_text_and_any_file_come_back(tmp_path_factory, samples, unknown, end):
    path = tmp_path_factory.mktemp("vocabulary") / "tokens.txt"
    vocabulary = Vocabulary.build(samples, unknown=unknown, end=end)
    vocabulary.save(path)
    back = Vocabulary.load(path)
    assert back.tokens == vocabulary.tokens and back.unit == "characters"
    assert (back.unknown, back.end) == (vocabulary.unknown, vocabulary.end)
    for sample in samples:
        assert back.decode(vocabulary.encode(sample)) == sample
    ids = np.array([i for i in range(len(vocabulary)) if i != vocabulary.end])
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(ids)), ids)


def test_decode_stops_at_the_end_token():
    vocabulary = Vocabulary.build(["ab"], end=True)
    assert vocabulary.decode([2, 3, 1, 2, 1]) == "ab" and vocabulary.decode([1, 2]) == ""
    assert vocabulary.decode([0, 3, 0]) == f"{START}b{START}"


def test_a_saved_vocabulary_is_readable(tmp_path):
    path = tmp_path / "words.txt"
    Vocabulary.build(["b b a 山"], unit="words", unknown=True).save(path)
    assert path.read_bytes().decode("utf-8") == "vocabulary of words\n␂\n\ufffd\nb\na\n山\n"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))  # as some editors leave it
    back = Vocabulary.load(str(path))
    assert back.unit == "words" and back.tokens == (START, UNKNOWN, "b", "a", "山")


@pytest.mark.parametrize(
    "content, parts",
    [
        (b"", ["is not a vocabulary"]),
        (b"a\nb\n", ["is not a vocabulary", '"vocabulary of characters"']),
        ("vocabulary of characters\n␂\na\nb\na\n".encode(), ["Token 3", '"a" (U+0061)', "token 1", "line 2"]),
        ("vocabulary of characters\n␂\na\n\n".encode(), ["Token 2", "''"]),
        ("vocabulary of characters\n␂\nab\n".encode(), ["Token 1", "one of the characters", "'ab'"]),
        ("vocabulary of words\n␂\na b\n".encode(), ["Token 1", "one of the words", "'a b'"]),
        ("vocabulary of words\na\n␂\n".encode(), ["Token 0", "the start token"]),
        (b"vocabulary of words\n", ["Token 0", "the start token"]),
        ("vocabulary of words\n␂\n山a".encode() + b"\xff", ["Line 3", "0xff at column 3", "save the file as UTF-8"]),
    ],
)
def test_damaged_vocabularies(tmp_path, content, parts):
    path = tmp_path / "tokens.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        Vocabulary.load(path)
    one_sentence(error, path, *parts)


def test_vocabulary_errors(tmp_path):
    vocabulary = Vocabulary.build(["abc"])
    words = Vocabulary.build(["the cat"], unit="words")
    wrong = [
        (ValueError, lambda: vocabulary.encode("ab山c"), ["Character 3", '"山" (U+5C71)', "of 4"]),
        (ValueError, lambda: vocabulary.encode("\ta"), ["Character 1", "the character U+0009"]),
        (ValueError, lambda: words.encode("the dog"), ["Word 2", '"dog"', "unknown=True"]),
        (IndexError, lambda: vocabulary.decode([1, 4]), ["Id 4", "number 2 of 2", "0 to 3"]),
        (IndexError, lambda: vocabulary.decode([-1, 1]), ["Id -1", "number 1 of 2"]),
        (ValueError, lambda: vocabulary.decode(np.ones((2, 3), int)), ["(2, 3)", "decode each row"]),
        (TypeError, lambda: vocabulary.decode(np.ones(3)), ["integers", "float64"]),
        (ValueError, lambda: Vocabulary.build([]), ["empty"]),
        (ValueError, lambda: Vocabulary.build([" "], unit="words"), ["empty"]),
        (ValueError, lambda: Vocabulary.build(["aab"], minimum_count=3), ["minimum_count=3", "take 2 or less"]),
        (ValueError, lambda: Vocabulary.build(["a"], minimum_count=0), ["minimum_count", "at least 1", "0"]),
        (ValueError, lambda: Vocabulary.build(["a"], unit="bytes"), ["unit", "characters", "words", "bytes"]),
        (ValueError, lambda: Vocabulary.build(["a\nb"]), ["U+000A", "line break"]),
        (ValueError, lambda: Vocabulary.build(["a\rb"]), ["U+000D", "line break"]),
        (ValueError, lambda: Vocabulary.build(["a␂"]), ["U+2402", "start token"]),
        (ValueError, lambda: Vocabulary.build(["a ␃ b"], unit="words"), ["U+2403", "end token"]),
        (ValueError, lambda: Vocabulary.build(["a\ufffd"]), ["U+FFFD", "unknown token"]),
        (ValueError, lambda: Vocabulary([START, "\n"]), ["Token 1", "line break"]),
        (FileNotFoundError, lambda: Vocabulary.load(tmp_path / "none"), [tmp_path / "none"]),
    ]
    for kind, call, parts in wrong:
        with pytest.raises(kind) as error:
            call()
        one_sentence(error, *parts)
    assert vocabulary.decode([]) == ""


# Your own file


def test_a_file_from_windows_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "春眠\r\n\r\n \u3000\r\n 不覺\r\n覺\u2028".encode() + "眠\r\n曉春".encode())
    with pytest.raises(ValueError) as error:
        load_text(path)
    one_sentence(error, "Line 5", "3 characters", "line 1 has 2")  # U+2028 is a character here and ends no line
    path.write_bytes(path.read_bytes().replace("\u2028".encode(), b""))
    ids, vocabulary = load_text(path)
    assert ids.shape == (4, 2) and ids.dtype == np.int64
    assert [vocabulary.decode(row) for row in ids] == ["春眠", "不覺", "覺眠", "曉春"]
    assert vocabulary.tokens == (START, "春", "眠", "覺", "不", "曉")
    assert load_text(path, length=2)[1].tokens == vocabulary.tokens  # nothing to fill, no end token


def test_shorter_lines_are_filled(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_text("abc\na\nbcaa\n")
    ids, vocabulary = load_text(path, length=4)
    assert vocabulary.tokens == (START, END, "a", "b", "c")
    assert ids.tolist() == [[2, 3, 4, 1], [2, 1, 1, 1], [3, 4, 2, 2]]
    assert [vocabulary.decode(row) for row in ids] == ["abc", "a", "bcaa"]
    assert load_text(path, length=6)[0].shape == (3, 6)


def test_words_of_a_file(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("the cat sat\n  the   dog sat \na bird flew\n")
    ids, vocabulary = load_text(str(path), unit="words")
    assert ids.shape == (3, 3) and vocabulary.decode(ids[1]) == "the dog sat"
    ids, vocabulary = load_text(path, unit="words", length=4, minimum_count=2)
    assert vocabulary.tokens == (START, UNKNOWN, END, "sat", "the")
    assert ids.tolist() == [[4, 1, 3, 2], [4, 1, 3, 2], [1, 1, 1, 2]]


@pytest.mark.parametrize(
    "content, arguments, parts",
    [
        (b"", {}, ["holds no text", "one sample on each line"]),
        (b"\xef\xbb\xbf\r\n \n\t\n", {}, ["holds no text"]),
        (b"ab\n\nabc\nabcd\n", {}, ["Line 3", "3 characters", "line 1 has 2", "length=4"]),
        (b"ab\na\n", {}, ["Line 2", "has 1 character and", "length=2"]),
        (b"\nab\nabc\nabcd\n", {"length": 2}, ["Line 3", "3 characters", "length is 2", "length=4"]),
        (b"a b\na\n", {"unit": "words"}, ["Line 2", "has 1 word and"]),
        (b"ab\n", {"length": 0}, ["length", "at least 1"]),
        (b"ab\n", {"length": 2.0}, ["length", "2.0"]),
        (b"ab\n", {"unit": "word"}, ["unit", "'word'"]),
        (b"ab\n", {"minimum_count": 0}, ["minimum_count"]),
        (b"ab\n", {"minimum_count": 5}, ["minimum_count=5"]),
        ("ab\na␂\n".encode(), {}, ["U+2402", "start token"]),
        (b"ab\n" * 16 + b"ab\xff\n", {}, ["Line 17", "not UTF-8 (byte 0xff at column 3): save the file as UTF-8."]),
        ("ab\r\n山a".encode() + b"\xe5\xb1", {}, ["Line 2", "byte 0xe5 at column 3"]),  # cut within a character
        (b"\xef\xbb\xbfab\r\n\xe9t\xe9\r\n", {}, ["Line 2", "byte 0xe9 at column 1"]),  # Latin 1
        (b"\xef\xbb\xbfa\xff", {}, ["Line 1", "column 2"]),
        ("ab".encode("utf-16"), {}, ["Line 1", "byte 0xff at column 1"]),
    ],
)
def test_bad_files(tmp_path, content, arguments, parts):
    path = tmp_path / "poems.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_text(path, **arguments)
    named = {"length", "at least 1", "2.0", "unit", "'word'", "minimum_count"} & {*parts}
    one_sentence(error, *parts, *([] if named else [path]))


def test_missing_file_or_folder(tmp_path):
    for path in (tmp_path / "nothing.txt", tmp_path):
        with pytest.raises(FileNotFoundError) as error:
            load_text(path)
        one_sentence(error, path)


# Numbers for a data card


def test_statistics_of_a_file(tmp_path):
    path = tmp_path / "poems.txt"
    path.write_text("aab\nb\nac\n")
    ids, vocabulary = load_text(path, length=5)
    assert text_statistics(ids, vocabulary, top=2) == {
        "samples": 3,
        "length": 5,
        "vocabulary": 5,
        "used": 3,
        "once": 1,
        "most frequent": [("a", pytest.approx(3 / 6)), ("b", pytest.approx(2 / 6))],  # fillings are no part of it
    }
    assert len(text_statistics(ids, vocabulary, top=10)["most frequent"]) == 3
    assert text_statistics(ids[1:2], vocabulary)["most frequent"] == [("b", 1.0)]


def test_statistics_of_the_quatrains():
    card = text_statistics(*load_quatrains("all"), top=100)
    assert (card["samples"], card["length"], card["vocabulary"]) == (16_774, 20, 6073)
    assert (card["used"], card["once"]) == (6072, 1097)
    assert card["most frequent"][0] == ("不", pytest.approx(4960 / 335_480))
    shares = [share for _, share in card["most frequent"]]
    assert shares == sorted(shares, reverse=True) and len(shares) == 100


def test_text_needs_numpy_alone():
    code = "import sys, minigan.data.text; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    plain = subprocess.run(
        [sys.executable, "-c", code.replace("minigan.data.text", "numpy")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {*loaded} - {*plain} - sys.stdlib_module_names == {"minigan"}
