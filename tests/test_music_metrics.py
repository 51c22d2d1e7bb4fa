"""Music's numbers against muspy's tested values, closed forms and plain loops; and all that a piano roll draws."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from minigan.metrics import music
from minigan.viz.figures import BLUE, ORANGE
from minigan.viz.roll import _colours, piano_roll, save_piano_roll

# The piece of muspy's tests (tests/data/test.json at commit bff6625, muspy 0.5.0): the opening of "For Elise", nine
# sixteenths, 24 steps a quarter and 3/8, so 36 steps a bar: six notes in the first bar and three in the second.
ELISE = np.append(np.repeat([76, 75, 76, 75, 76, 71, 74, 72, 69], 6), np.zeros(18, int)).reshape(2, 36)


def chord(root, minor=0):
    one = np.zeros(13, dtype=int)
    one[root], one[12] = 1, minor
    return one


def some_tunes(seed=0, shape=(5, 8, 16)):
    rng = np.random.default_rng(seed)
    melody = rng.choice([0, 60, 62, 64, 65, 67, 69, 70, 71, 72, 77], shape)
    melody[0, 3:5] = 0
    roots, minor = rng.integers(0, 12, shape[:-1]), rng.integers(0, 2, shape[:-1])
    chords = np.array([[chord(r, m) for r, m in zip(*row)] for row in zip(roots, minor)])
    chords[1, 2] = 0
    return melody, chords


@pytest.fixture(autouse=True)
def no_warnings():
    """0/0 is meant where it is NaN, and then nothing warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


# muspy


def test_muspys_tested_values():
    assert music.pitches_used(ELISE) == 6
    assert music.pitch_classes_used(ELISE) == 6
    assert music.pitch_range(ELISE) == 7
    assert music.in_key(ELISE, 0) == 7 / 9
    assert music.scale_consistency(ELISE) == 7 / 9
    assert music.groove_consistency(ELISE) == 11 / 12
    assert music.pitch_entropy(ELISE) == pytest.approx(2.4193819456463714, rel=1e-15)
    assert music.pitch_class_entropy(ELISE) == pytest.approx(2.4193819456463714, rel=1e-15)
    assert music.empty_bars(ELISE) == 0
    assert music.empty_bars(ELISE.reshape(-1)[:54].reshape(-1, 18)) == 0
    assert music.note_count(ELISE) == 4.5


# by hand


def test_by_hand():
    """C held over the bar line, a run, an octave's leap, and a silent bar."""
    melody = np.array([[60] * 16, [60] * 8 + [62, 64, 65, 67] + [79] * 4, [0] * 16])
    assert music.empty_bars(melody) == 1 / 3
    assert music.note_count(melody) == 2  # C, D, E, F, G and G above
    assert music.qualified_notes(melody) == 2 / 6
    assert music.qualified_notes(melody, 5) == 1 / 6
    assert music.pitch_classes_per_bar(melody) == (1 + 5) / 2
    assert music.pitches_used(melody) == 6 and music.pitch_classes_used(melody) == 5
    assert music.pitch_range(melody) == 19
    assert music.pitch_entropy(melody) == pytest.approx(np.log2(6))
    assert music.pitch_class_entropy(melody) == pytest.approx(4 / 6 * np.log2(6) + 2 / 6 * np.log2(3))
    assert music.in_key(melody, 0) == 1 and music.scale_consistency(melody) == 1
    assert music.in_key(melody, 5) == 1  # no B flat is missed
    assert music.in_key(melody, 2) == pytest.approx(7 / 32)  # D major: D 1, E 1, G 5, not C and F
    assert music.in_key(melody, 0, minor=True) == pytest.approx(31 / 32)  # all but E
    onsets = np.zeros((3, 16), bool)
    onsets[0, 0] = onsets[1, [8, 9, 10, 11, 12]] = True
    np.testing.assert_array_equal(music.onsets(melody), onsets)
    assert music.groove_consistency(melody) == pytest.approx(1 - (6 + 5) / 32)


def test_in_chord_by_hand():
    melody = np.array([[60] * 8 + [64] * 4 + [65] * 4, [57] * 4 + [0] * 8 + [61] * 4, [66] * 16])
    chords = np.stack([chord(0), chord(9, 1), np.zeros(13, int)])
    assert music.in_chord(melody, chords) == (12 + 4) / (16 + 8)  # the bar without a chord is left out
    chords[1, 12] = 0  # A major has C sharp
    assert music.in_chord(melody, chords) == 20 / 24


def test_keys_can_be_one_a_tune():
    melody, _ = some_tunes()
    tonic, minor = np.array([0, 3, 7, 11, 5]), np.array([0, 1, 1, 0, 0])
    together = music.in_key(melody, tonic, minor)
    alone = [music.in_key(tune, t, m) for tune, t, m in zip(melody, tonic, minor)]
    np.testing.assert_array_equal(together, alone)
    assert music.in_key(melody[2], 7, 1) == music.in_key(melody[2], 10)  # G minor has B flat major's tones


# Harte's circles


def test_tonal_centroid_is_the_papers_sum():
    weights = np.random.default_rng(0).random(12)
    radius, step = (1, 1, 0.5), (7 * np.pi / 6, 3 * np.pi / 2, 2 * np.pi / 3)
    truth = [
        r * sum(w * f(l * a) for l, w in enumerate(weights)) / weights.sum()  # noqa: E741
        for r, a in zip(radius, step)
        for f in (np.sin, np.cos)
    ]
    np.testing.assert_allclose(music.tonal_centroid(weights), truth, atol=1e-14)
    assert np.abs(music.tonal_centroid(np.ones(12))).max() < 1e-14  # all twelve lie around the middle
    assert np.isnan(music.tonal_centroid(np.zeros(12))).all()


@pytest.mark.parametrize("semitones", range(12))
def test_distance_of_two_tones_is_chords_of_circles(semitones):
    """Between C and a tone k semitones up: a chord 2 r sin(angle / 2) on each circle."""
    tones = np.eye(12)
    apart = np.linalg.norm(music.tonal_centroid(tones[0]) - music.tonal_centroid(tones[semitones]))
    angles = semitones * np.array([7 / 6, 3 / 2, 2 / 3]) * np.pi
    assert apart == pytest.approx(np.linalg.norm(2 * np.array([1, 1, 0.5]) * np.sin(angles / 2)))
    if semitones == 7:  # a fifth
        assert apart == pytest.approx(np.sqrt(4.75 - np.sqrt(3)))  # 1.7372


def test_tonal_distance():
    triad = np.tile(np.repeat([60, 64, 67, 0], [1, 1, 1, 1]), (2, 4))  # C, E, G and a rest in each beat
    assert music.tonal_distance(triad, np.stack([chord(0)] * 2)) == pytest.approx(0, abs=1e-15)
    assert music.tonal_distance(triad, np.stack([chord(9, 1)] * 2)) < music.tonal_distance(
        triad, np.stack([chord(6)] * 2)
    )  # A minor is nearer to C than F sharp
    # a silent beat and a bar without a chord are left out, not zeros and not NaN
    melody, chords = np.array([[60] * 4 + [0] * 12, [61] * 16]), np.stack([chord(0), np.zeros(13, int)])
    alone = np.linalg.norm(music.tonal_centroid(np.eye(12)[0]) - music.tonal_centroid(np.eye(12)[[0, 4, 7]].sum(0)))
    assert music.tonal_distance(melody, chords) == pytest.approx(alone)
    # beats are taken one by one: two tones in a beat are in the middle between both
    two = np.array([[60, 60, 67, 67] + [0] * 12])
    middle = music.tonal_centroid(np.eye(12)[[0, 7]].sum(0)) - music.tonal_centroid(np.eye(12)[[0, 4, 7]].sum(0))
    assert music.tonal_distance(two, chord(0)[None]) == pytest.approx(np.linalg.norm(middle))
    ends = [music.tonal_distance(two, chord(0)[None], beat=b) for b in (2, 16)]
    assert ends[1] == pytest.approx(np.linalg.norm(middle)) and ends[0] > ends[1]


# plain loops, and what does not change


def plain(tune, chords, tonic):
    """Every measure of one tune (B, 16), a step and a note at a time."""
    B, S = tune.shape
    steps, row, found = tune.ravel().tolist(), [], {}
    for i, pitch in enumerate(steps):
        if pitch and (i == 0 or steps[i - 1] != pitch):
            row.append([i, 0, pitch])
        if pitch:
            row[-1][1] += 1
    major, minor = {0, 2, 4, 5, 7, 9, 11}, {0, 2, 3, 5, 7, 8, 10}
    found["empty_bars"] = sum(not any(bar) for bar in tune) / B
    found["note_count"] = len(row) / B
    found["qualified_notes"] = sum(n >= 2 for _, n, _ in row) / len(row)
    classes = [len({p % 12 for p in bar if p}) for bar in tune.tolist()]
    found["pitch_classes_per_bar"] = sum(classes) / sum(c > 0 for c in classes)
    found["pitch_range"] = max(p for *_, p in row) - min(p for *_, p in row)
    for name, fold in (("pitch_entropy", 128), ("pitch_class_entropy", 12)):
        shares = [sum(p % fold == c for *_, p in row) / len(row) for c in range(fold)]
        found[name] = -sum(s * np.log2(s) for s in shares if s)
    found["scale_consistency"] = max(
        sum((p - t) % 12 in scale for *_, p in row) / len(row) for t in range(12) for scale in (major, minor)
    )
    starts = {i for i, *_ in row}
    differ = [((b * S + s) in starts) != (((b + 1) * S + s) in starts) for b in range(B - 1) for s in range(S)]
    found["groove_consistency"] = 1 - sum(differ) / len(differ)
    sounding = [p for p in steps if p]
    found["in_key"] = sum((p - tonic) % 12 in major for p in sounding) / len(sounding)
    inside = total = 0
    distances = []
    for bar, one in zip(tune.tolist(), chords):
        if not one.any():
            continue
        root = int(one[:12].argmax())
        tones = {root, (root + (3 if one[12] else 4)) % 12, (root + 7) % 12}
        inside += sum(p % 12 in tones for p in bar if p)
        total += sum(p > 0 for p in bar)
        for beat in (bar[i : i + 4] for i in range(0, S, 4)):
            if any(beat):
                chroma = [sum(p % 12 == c for p in beat if p) for c in range(12)]
                theirs = [float(c in tones) for c in range(12)]
                distances.append(np.linalg.norm(music.tonal_centroid(chroma) - music.tonal_centroid(theirs)))
    return found | {"in_chord": inside / total, "tonal_distance": sum(distances) / len(distances)}


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_all_measures_by_the_plain_loop(seed):
    melody, chords = some_tunes(seed, (3, 5, 16))
    found = music.measures(melody, chords, tonic=5)
    truth = [plain(tune, its, 5) for tune, its in zip(melody, chords)]
    assert set(found) == set(truth[0]) == set(music.COLUMNS)
    for name, value in found.items():
        assert value == pytest.approx(np.mean([each[name] for each in truth]), abs=1e-12), name


ONE_A_TUNE = [
    music.empty_bars,
    music.note_count,
    music.qualified_notes,
    music.pitch_classes_per_bar,
    music.pitches_used,
    music.pitch_classes_used,
    music.pitch_range,
    music.pitch_entropy,
    music.pitch_class_entropy,
    music.scale_consistency,
    music.groove_consistency,
]


@pytest.mark.parametrize("measure", ONE_A_TUNE, ids=lambda f: f.__name__)
def test_one_number_a_tune_whatever_the_key(measure):
    melody, _ = some_tunes()
    values = measure(melody)
    assert values.shape == (5,) and np.ndim(measure(melody[0])) == 0
    np.testing.assert_array_equal(values, [measure(tune) for tune in melody])
    np.testing.assert_array_equal(measure(melody.reshape(5, 1, 8, 16)), values[:, None])
    higher = np.where(melody > 0, melody + 5, 0)
    np.testing.assert_allclose(measure(higher), values, atol=1e-14)
    np.testing.assert_array_equal(measure(melody.astype(np.uint8)), values)


def test_harmony_moves_with_the_key():
    melody, chords = some_tunes()
    higher, moved = np.where(melody > 0, melody + 5, 0), chords.copy()
    moved[..., :12] = np.roll(chords[..., :12], 5, axis=-1)
    for measure in (music.in_chord, music.tonal_distance):
        np.testing.assert_allclose(measure(higher, moved), measure(melody, chords), atol=1e-14)
        assert np.abs(measure(higher, chords) - measure(melody, chords)).max() > 0.01
    np.testing.assert_allclose(music.in_key(higher, 5), music.in_key(melody, 0), atol=1e-14)


def test_random_pitches_have_the_shares_that_the_table_states():
    melody = np.random.default_rng(0).integers(48, 84, (300, 8, 16))
    chords = np.tile(np.stack([chord(r, r % 2) for r in range(8)]), (300, 1, 1))
    assert music.in_key(melody, 3, True).mean() == pytest.approx(7 / 12, abs=0.01)
    assert music.in_chord(melody, chords).mean() == pytest.approx(1 / 4, abs=0.01)


def test_silence_means_nothing():
    silence, chords = np.zeros((2, 16), int), np.stack([chord(0)] * 2)
    found = music.measures(silence, chords, tonic=0)
    assert found["empty_bars"] == 1 and found["note_count"] == 0 and found["groove_consistency"] == 1
    nothing = set(found) - {"empty_bars", "note_count", "groove_consistency"}
    assert all(np.isnan(found[name]) for name in nothing)
    assert np.isnan(music.groove_consistency(silence[:1]))  # one bar has no neighbour
    # and a silent tune does not pull the mean of the others
    both = music.measures(np.stack([silence, np.full((2, 16), 60)]))
    assert both["pitch_range"] == 0 and both["empty_bars"] == 0.5 and both["scale_consistency"] == 1


# the table


def test_table():
    melody, chords = some_tunes()
    rows = {"chorales": music.measures(melody, chords, 0), "G": music.measures(melody[:2], chords[:2], 0)}
    lines = music.table(rows).split("\n")
    assert len({len(line) for line in lines[:3]}) == 1 and lines[3] == ""
    assert len(lines[0]) <= 118 and len(lines) == 4 + len(music.COLUMNS)
    for heading in (column.heading for column in music.COLUMNS.values()):
        assert heading in lines[0] and sum(line.startswith(heading + " ") for line in lines[4:]) == 1
    assert f"{rows['chorales']['in_chord']:.1%}" in lines[1] and f"{rows['G']['note_count']:.2f}" in lines[2]
    plain_rows = {"chorales": music.measures(melody)}
    assert "in chord" not in music.table(plain_rows)
    for bad in ({}, rows | plain_rows, {"a": {"nonsense": 1.0}}):
        with pytest.raises(ValueError, match=r"at least one row|same measures"):
            music.table(bad)


def test_bad_input_is_a_sentence():
    melody, chords = some_tunes()
    with pytest.raises(ValueError, match="whole numbers"):
        music.pitch_range(melody.astype(float))
    with pytest.raises(ValueError, match="whole numbers"):
        music.empty_bars(melody[0, 0])
    with pytest.raises(ValueError, match="0 to 127"):
        music.measures(melody - 1)
    for tonic in (12, -1, 1.5):
        with pytest.raises(ValueError, match="A tonic is a pitch class"):
            music.in_key(melody, tonic)
    with pytest.raises(ValueError, match="Every bar needs a chord"):
        music.in_chord(melody, chords[:, :-1])
    with pytest.raises(ValueError, match="A chord is 13 numbers"):
        music.tonal_distance(melody, chords[..., :12])
    with pytest.raises(ValueError, match="no whole number of beats"):
        music.tonal_distance(melody, chords, beat=5)


# the piano roll


def bars(axes, colour):
    """(x, y, width, height) of every bar of a colour."""
    found = []
    for collection in axes.collections:
        if to_hex(collection.get_facecolor()[0]) == to_hex(colour):
            for path in collection.get_paths():
                box = path.get_extents()
                found.append((box.x0, box.y0, box.width, box.height))
    return found


def test_every_note_rest_and_chord_is_drawn():
    melody = np.array([[60] * 16, [60] * 4 + [0] * 4 + [66] * 8])
    chords = np.stack([chord(0), chord(9, 1)])
    (axes,) = piano_roll(melody, chords, key=(0, False)).axes
    ((x, y, width, height),) = bars(axes, BLUE)  # one note over the bar line
    assert x == 0 and 19.5 < width < 20 and 60 <= y < y + height <= 61
    ((x, y, width, _),) = bars(axes, ORANGE)  # F sharp, outside C major
    assert x == 24 and 66 <= y < 67 and 7.5 < width < 8
    assert sorted(x for x, *_ in bars(axes, "#999999")) == [20, 21, 22, 23]
    assert [text.get_text() for text in axes.texts] == ["C", "Am"]
    assert axes.get_xlim()[1] > 32 and axes.get_ylim()[0] < 58 and axes.get_ylim()[1] > 69
    tinted = {(x, y) for root, minor in ((0, False), (9, True)) for x, y, *_ in bars(axes, _colours(root, minor)[1])}
    assert tinted == {(0, 60), (0, 64), (0, 67), (16, 60), (16, 64)}  # A3 and A4 lie outside the rows shown
    assert len([line for line in axes.lines if line.get_linewidth() == 0.8]) == 3  # bar lines


def test_pitch_names_stand_in_their_rows():
    (axes,) = piano_roll(np.array([[60] * 8 + [72] * 8])).axes
    names = dict(zip((label.get_text() for label in axes.get_yticklabels()), axes.get_yticks()))
    assert names["C4"] == 60.5 and names["C5"] == 72.5 and names["A4"] == 69.5
    assert min(names.values()) > 57 and max(names.values()) < 76


def test_chords_are_told_apart():
    colours = [_colours(root, minor)[0] for root in range(12) for minor in (False, True)]
    apart = [np.abs(np.subtract(a, b)).max() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(apart) > 0.04
    assert np.argmax(to_rgb(_colours(9, True)[0])) == np.argmax(to_rgb(_colours(0, False)[0]))  # Am has C's hue


def test_tunes_are_stacked_and_written(tmp_path):
    melody, chords = some_tunes()
    figure = piano_roll(melody[:3], chords[:3], title=["a", "b", "c"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c"]
    for axes, tune in zip(figure.axes, melody):
        assert len(bars(axes, BLUE)) == music.onsets(tune).sum() and not bars(axes, ORANGE)
    save_piano_roll(tmp_path / "tune.png", np.zeros((1, 16), int))  # silence, too
    with Image.open(tmp_path / "tune.png") as picture:
        assert picture.format == "PNG" and picture.size[0] > 300
    assert [path.name for path in tmp_path.iterdir()] == ["tune.png"]
    with pytest.raises(ValueError, match="written as .png"):
        save_piano_roll(tmp_path / "tune.gif", melody[0])
    with pytest.raises(ValueError, match="Every bar needs a chord"):
        piano_roll(melody[0], chords[0, :3])
    with pytest.raises(ValueError, match="3 tunes need 3 titles"):
        piano_roll(melody[:3], title=["a"])
    with pytest.raises(ValueError, match="one tune"):
        piano_roll(melody[None])
