"""The shipped chorales are what they claim to be, chords and keys are right, and MIDI comes back as it went out."""

import hashlib
import subprocess
import sys

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.data import midi, music
from minigan.data.midi import load_midi, read_midi, write_midi
from minigan.data.music import (
    Melodies,
    all_keys,
    chorale_names,
    chords,
    key_of,
    load_chorales,
    pitches,
    rolls,
    stretches,
    transposed,
)

C, D, E, F, G, A, B = 0, 2, 4, 5, 7, 9, 11


def one_sentence(error, *parts):
    message = str(error.value)
    assert "\n" not in message and message.endswith(".")
    assert not [part for part in parts if str(part) not in message], message


def chord(root, minor=0):
    return np.concatenate([np.eye(12)[root], [minor]]).astype(np.float32)


def scores():
    """Number, voices (4, T), metre and upbeat of each shipped chorale."""
    with np.load(music.SHIPPED) as shipped:
        cuts = shipped["lengths"].astype(int).cumsum()[:-1]
        voices = np.split(shipped["voices"], cuts, axis=1)
        yield from zip(range(len(voices)), voices, shipped["metre"], shipped["upbeat"].tolist(), shipped["regular"])


def lower_voices():
    """Alto, tenor and bass of all bars used, (M, 3, 16), in the order of load_chorales."""
    for _, voices, metre, upbeat, regular in scores():
        if metre == "4/4" and regular:
            for t in range(upbeat, voices.shape[1] - 15, 16):
                yield voices[1:, t : t + 16]


# The shipped chorales


def test_the_shipped_file():
    assert music.SHIPPED.stat().st_size < 80_000
    with np.load(music.SHIPPED) as shipped:
        voices, metres, regular = shipped["voices"], shipped["metre"].tolist(), shipped["regular"]
        assert voices.shape == (4, 79_484) and voices.dtype == np.uint8 and shipped["lengths"].sum() == 79_484
    assert [(row[row > 0].min(), row.max()) for row in voices] == [(57, 81), (53, 74), (48, 69), (36, 64)]
    assert {m: metres.count(m) for m in metres} == {"4/4": 326, "3/4": 36, "3/2": 1, "4/4 3/4": 2}
    assert len(metres) - regular.sum() == 8
    names = chorale_names()
    assert len(set(names)) == 365
    sources = music.SHIPPED.with_name("SOURCES.md").read_text(encoding="utf-8")
    assert hashlib.sha256(np.ascontiguousarray(voices).tobytes()).hexdigest() in sources
    for name, right in zip(names, regular):
        assert right or name in sources


@pytest.mark.parametrize("split, bars, tunes", [("train", 3590, 288), ("test", 388, 32), ("all", 3978, 320)])
def test_sizes_and_kinds(split, bars, tunes):
    m = load_chorales(split)
    assert [a.shape for a in m] == [(bars, 16), (bars, 16), (bars, 13), (bars,), (bars, 2)]
    assert [a.dtype for a in m] == [np.uint8, np.uint8, np.float32, np.int64, np.uint8]
    assert len(np.unique(m.tune)) == tunes and (np.diff(m.tune) >= 0).all()
    assert (m.chord[:, :12].sum(axis=1) == 1).all() and np.isin(m.chord, (0, 1)).all()
    assert m.melody.any(axis=1).all()  # no empty bar
    assert "M is 3,590 of 288" in load_chorales.__doc__ and '388 of 32 ("test")' in load_chorales.__doc__
    m.melody[:] = 0  # and the next caller has his own
    assert load_chorales(split).melody.any()


def test_previous_is_the_bar_before_of_the_same_tune():
    m = load_chorales("all")
    first = np.concatenate([[True], np.diff(m.tune) > 0])
    assert first.sum() == 320 and not m.previous[first].any()
    assert (m.previous[1:][~first[1:]] == m.melody[:-1][~first[1:]]).all()


def test_bars_begin_after_the_upbeat():
    """bwv269, "Aus meines Herzens Grunde", is in 3/4; bwv253 has an upbeat of a quarter."""
    m, names = load_chorales("all"), chorale_names()
    assert names.index("bwv269") not in m.tune
    number = names.index("bwv253")
    _, voices, metre, upbeat, _ = list(scores())[number]
    assert (metre, upbeat) == ("4/4", 4)
    whole = voices[0, 4 : 4 + 16 * ((voices.shape[1] - 4) // 16)]
    assert (m.melody[m.tune == number].ravel() == whole).all()
    used = [s for s in scores() if s[2] == "4/4" and s[4]]
    assert sum(s[3] > 0 for s in used) == 231 and sum((s[1].shape[1] - s[3]) % 16 > 0 for s in used) == 218
    for text in ("in 231 tunes", "in 218", "36 are in 3/4", "one in 3/2"):
        assert text in load_chorales.__doc__


def test_half_notes_begin_on_the_strong_beats():
    """Were the bars shifted by a quarter, they would begin on beats 2 and 4."""
    m = load_chorales("all").melody.astype(int)
    begins = np.diff(m, axis=1) != 0  # a change after step t
    half = [(~begins[:, 4 * beat : 4 * beat + 7]).all(axis=1).sum() for beat in range(3)]
    assert half[2] > 1.5 * half[1] and half[0] > 1.5 * half[1]


def stretches_of(voice):
    """The melody on the 8 beats of every two bars, less the first pitch: written again, step by step."""
    found = set()
    for t in range(0, len(voice) - 31, 16):
        beats = [int(voice[t + 4 * i]) for i in range(8)]
        if all(beats):
            found.add(tuple(b - beats[0] for b in beats))
    return found


def test_no_tune_is_in_both_splits_nor_a_version_of_it():
    train, test = load_chorales("train"), load_chorales("test")
    assert not {*train.tune.tolist()} & {*test.tune.tolist()}
    everything = {i: stretches_of(voices[0, upbeat:]) for i, voices, m, upbeat, r in scores() if m == "4/4" and r}
    related = lambda a, b: 4 * len(a & b) >= min(len(a), len(b))
    alone = [i for i, a in everything.items() if not any(j != i and related(a, b) for j, b in everything.items())]
    assert len(alone) == 110
    chosen = [alone[j] for j in np.linspace(0, 109, 32).round().astype(int)]
    assert chosen == np.unique(test.tune).tolist()


def test_how_often_the_chord_is_ambiguous():
    """Counted again, one bar and one triad at a time."""
    tied = bass_decides = melody_decides = no_third = 0
    covered = total = 0
    m = load_chorales("all")
    for voices, tune, given_chord in zip(lower_voices(), m.melody, m.chord, strict=True):
        time = [int(np.sum((voices % 12 == p) & (voices > 0))) for p in range(12)]
        lowest = np.where(voices > 0, voices, 255).min(axis=0)
        bass = [int(np.sum((lowest % 12 == p) & (lowest < 255))) for p in range(12)]
        sung = [int(np.sum((tune % 12 == p) & (tune > 0))) for p in range(12)]
        triads = {(r, minor): [r, (r + 4 - minor) % 12, (r + 7) % 12] for minor in (0, 1) for r in range(12)}
        weight = {t: sum(time[p] for p in notes) for t, notes in triads.items()}
        best = [t for t in triads if weight[t] == max(weight.values())]
        by_bass = [t for t in best if bass[t[0]] == max(bass[b[0]] for b in best)]
        melody = {t: sum(sung[p] for p in triads[t]) for t in by_bass}
        by_melody = [t for t in by_bass if melody[t] == max(melody.values())]
        root, minor = min(by_melody, key=lambda t: (t[1], t[0]))
        assert (given_chord == chord(root, minor)).all()
        tied += len(best) > 1
        bass_decides += len(best) > 1 and len(by_bass) == 1
        melody_decides += len(by_bass) > 1 and len(by_melody) == 1
        third = time[triads[root, minor][1]]
        no_third += third == 0
        assert third or len(best) > 1  # without its third a triad weighs what its parallel does
        covered, total = covered + weight[root, minor], total + sum(time)
    assert (tied, bass_decides, melody_decides, no_third) == (901, 438, 352, 232)
    assert round(100 * covered / total) == 65 and round(100 * tied / len(m.chord), 1) == 22.6
    for text in ("901 of the 3,978 bars, 22.6 %", "in 232 of them", "decides 438", "melody 352", "last 111", "65 %"):
        assert text in " ".join(load_chorales.__doc__.split()), text


def test_key_against_the_last_bass_note():
    m = load_chorales("all")
    last = {i: int(voices[3][voices[3] > 0][-1]) % 12 for i, voices, *_ in scores()}
    first = np.concatenate([[True], np.diff(m.tune) > 0])
    assert sum(last[i] == tonic for i, (tonic, _) in zip(m.tune[first].tolist(), m.key[first].tolist())) == 210
    assert (m.key[1:][~first[1:]] == m.key[:-1][~first[1:]]).all() and m.key[:, 0].max() < 12


def test_split_is_refused():
    with pytest.raises(ValueError) as error:
        load_chorales("valid")
    one_sentence(error, "train", "valid")


# Chord and key


def others(*voices):
    """Voices of steps to counts (1, 16, 128)."""
    counts = np.zeros((1, 16, 128), int)
    for voice in voices:
        for t, pitch in enumerate(np.broadcast_to(voice, 16)):
            counts[0, t, pitch] += pitch > 0
    return counts


SILENT = np.zeros((1, 16), np.uint8)


@pytest.mark.parametrize(
    "voices, melody, expected",
    [
        ((48, 52, 55), 0, chord(C)),
        ((48, 51, 55), 0, chord(C, 1)),
        ((52, 55, 60), 0, chord(C)),  # inverted: the bass only breaks ties
        ((57, 60, 64), 0, chord(A, 1)),
        ((48, 52), 0, chord(C)),  # C E: C major or A minor; C is in the bass
        ((45, 48, 52, 55), 0, chord(A, 1)),  # A C E G: A minor 7
        ((48, 52, 55, 57), 0, chord(C)),  # the same notes over C: C6
        ((48, 55), 63, chord(C, 1)),  # no third: the melody has it
        ((48, 55), 64, chord(C)),
        ((48, 55), 60, chord(C)),  # nobody has it: major
        ((50, 54, 57, [48] * 4 + [0] * 12), 0, chord(D)),
        ((), [67] * 6 + [71] * 5 + [74] * 5, chord(G)),  # from the melody alone
    ],
)
def test_chord(voices, melody, expected):
    melody = np.broadcast_to(melody, (1, 16)).astype(np.uint8)
    assert chords(melody, others(*voices)).tolist() == [expected.tolist()]


def test_a_silent_bar_keeps_the_chord():
    empty, g = others(), others(43, 47, 50)
    found = chords(np.repeat(SILENT, 4, axis=0), np.concatenate([empty, g, empty, empty]), key=(A, 1))
    assert found.tolist() == [c.tolist() for c in (chord(A, 1), chord(G), chord(G), chord(G))]


def test_key():
    scale = np.zeros(12)
    scale[[C, D, E, F, G, A, B]] = 1
    scale[C] = scale[G] = 2
    assert key_of(scale) == (C, 0) and key_of(np.roll(scale, 7)) == (G, 0)
    relative = np.array([1, 0, 1, 0, 2, 1, 0, 0, 1, 2, 0, 1])  # A minor with its leading note
    assert key_of(relative) == (A, 1) and key_of(np.roll(relative, 5)) == (D, 1)
    assert key_of(np.zeros(12)) == (C, 0)
    # against numpy's own correlation, on weights without a pattern
    for weights in np.random.default_rng(0).random((30, 12)):
        fits = [np.corrcoef(np.roll(p, k), weights)[0, 1] for p in (music.MAJOR, music.MINOR) for k in range(12)]
        assert key_of(weights) == (int(np.argmax(fits)) % 12, int(np.argmax(fits)) // 12)


# Other keys, other forms


def test_transposed():
    m = load_chorales("test")
    up = transposed(m, 3)
    for before, after in ((m.melody, up.melody), (m.previous, up.previous)):
        assert ((before == 0) == (after == 0)).all() and (after[after > 0] == before[before > 0] + 3).all()
        assert after.dtype == np.uint8
    assert (up.chord[:, 12] == m.chord[:, 12]).all()
    assert (up.chord[:, :12].argmax(1) == (m.chord[:, :12].argmax(1) + 3) % 12).all()
    assert (up.key[:, 0] == (m.key[:, 0].astype(int) + 3) % 12).all() and (up.key[:, 1] == m.key[:, 1]).all()
    back = transposed(up, -3)
    assert all((a == b).all() and a.dtype == b.dtype for a, b in zip(m, back))
    for semitones in (60, -60):
        with pytest.raises(ValueError) as error:
            transposed(m, semitones)
        one_sentence(error, semitones)


def test_all_keys():
    m = load_chorales("all")
    every = all_keys(m)
    M = len(m.melody)
    assert len(every.melody) == len(every.key) == 12 * M
    assert all((a[5 * M : 6 * M] == b).all() for a, b in zip(every, m))  # the sixth is the original
    assert {*every.key[::M, 0].tolist()} == set(range(12))
    sounding = every.melody[every.melody > 0]
    assert (sounding.min(), sounding.max()) == (52, 87)
    assert round(100 * float(((sounding < 60) | (sounding > 83)).mean()), 1) == 1.2
    assert "1.2 %" in all_keys.__doc__ and "52 to 87" in all_keys.__doc__


def test_stretches():
    m = load_chorales("test")
    rows = stretches(m, 8)
    assert rows.shape == (34, 8) and (np.diff(rows, axis=1) == 1).all() and len(np.unique(rows)) == rows.size
    assert (m.tune[rows] == m.tune[rows[:, :1]]).all() and (m.previous[rows[:, 1:]] == m.melody[rows[:, :-1]]).all()
    for size in (1, 3, 8):
        expected = sum(int(n) // size for n in np.unique(m.tune, return_counts=True)[1])
        assert len(stretches(m, size)) == expected
    one = Melodies(*(a[m.tune == m.tune[0]] for a in m))
    assert len(stretches(all_keys(one), 4)) == 12 * len(stretches(one, 4))  # no stretch runs from key to key
    assert stretches(one, 100).shape == (0, 100)


@given(st.lists(st.lists(st.integers(0, 127), min_size=16, max_size=16), min_size=1, max_size=4))
def test_rolls_and_back(bars):
    melody = np.array(bars, np.uint8)
    roll = rolls(melody)
    assert roll.shape == (len(bars), 16, 128) and roll.dtype == np.float32
    assert (roll.sum(axis=-1) == (melody > 0)).all()
    back = pitches(roll)
    assert back.dtype == np.uint8 and (back == melody).all()
    assert (pitches(0.1 + 0.5 * roll) == melody).all()


# MIDI: out and back

steps = st.one_of(st.just(0), st.integers(1, 127), st.sampled_from([60, 60, 62, 64]))
bars = st.one_of(st.just([0] * 16), st.lists(steps, min_size=16, max_size=16))
progressions = st.one_of(st.none(), st.tuples(st.integers(0, 11), st.integers(0, 1)))


@settings(max_examples=40)
@given(tune=st.lists(st.tuples(bars, progressions), min_size=1, max_size=5), tempo=st.floats(4, 1000))
def test_round_trip(tmp_path, tune, tempo):
    melody = np.array([bar for bar, _ in tune], np.uint8)
    harmony = np.array([np.zeros(13) if c is None else chord(*c) for _, c in tune], np.float32)
    for given_chords in (harmony, None):
        write_midi(tmp_path / "tune.mid", melody, given_chords, tempo)
        back, back_chords = read_midi(tmp_path / "tune.mid")
        assert back.dtype == np.uint8 and back_chords.dtype == np.float32
        assert back.shape == melody.shape and (back == melody).all()
        assert back_chords.shape == harmony.shape and (back_chords == (0 if given_chords is None else harmony)).all()


def test_what_is_in_the_file(tmp_path):
    melody = np.zeros((3, 16), int)
    melody[0, 12:], melody[1, :8], melody[1, 8:] = 64, 64, 65  # a note over the bar line; bar 2 is silent
    write_midi(tmp_path / "a.mid", melody, [chord(C), chord(B, 1), chord(B, 1)], tempo=120)
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.type == 1 and [track.name for track in file.tracks] == ["melody", "chords"]
    assert file.length == pytest.approx(6)  # 12 quarter notes at 120 a minute
    notes = [[(m.type, m.note, m.time) for m in track if m.type.startswith("note")] for track in file.tracks]
    assert notes[0] == [("note_on", 64, 1440), ("note_off", 64, 1440), ("note_on", 65, 0), ("note_off", 65, 960)]
    assert [m[1] for m in notes[1] if m[0] == "note_on"] == [48, 52, 55, 59, 62, 66, 59, 62, 66]
    assert sum(m[2] for m in notes[1]) == 3 * 1920
    channels = {m.channel for track in file.tracks for m in track if m.type == "note_on"}
    assert channels == {0, 1} and file.tracks[0][1].tempo == 500_000


def test_write_midi_refuses(tmp_path):
    good = np.full((2, 16), 60)
    cases = [
        ((np.full(16, 60),), "(16,)"),
        ((np.zeros((0, 16), int),), "one bar or more"),
        ((rolls(good),), "(2, 16, 128)"),
        ((good / 2,), "whole numbers"),
        ((good + 68,), "127"),
        ((good - 61,), "0 (silent)"),
        ((good, np.zeros((1, 13))), "(1, 13)"),
        ((good, np.full((2, 13), 0.3)), "one root of 12"),
        ((good, np.eye(13)[[12, 3]]), "one root of 12"),
        ((good, None, 1), "tempo"),
        ((good, None, float("nan")), "tempo"),
    ]
    for arguments, part in cases:
        with pytest.raises(ValueError) as error:
            write_midi(tmp_path / "bad.mid", *arguments)
        one_sentence(error, part)
    assert list(tmp_path.iterdir()) == []


def test_read_midi_refuses_what_it_did_not_write(tmp_path):
    save(tmp_path / "waltz.mid", {"melody": [(0, 720, 60)]}, length=1440)
    (tmp_path / "text.mid").write_text("la la la")
    for name, part in (("waltz.mid", "load_midi"), ("text.mid", "not a MIDI file"), ("none.mid", "not a file")):
        with pytest.raises(ValueError) as error:
            read_midi(tmp_path / name)
        one_sentence(error, name, part)


# MIDI: anyone's files


def save(path, tracks, metres=((0, 4, 4),), ticks=480, length=None, kind=1, channels=None):
    """A MIDI file: {track name: [(first tick, last tick, pitch)]}."""
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    for number, (name, notes) in enumerate(tracks.items()):
        track = file.add_track(name)
        events = [
            (a, 2, mido.Message("note_on", note=p, channel=(channels or range(16))[number])) for a, _, p in notes
        ]
        # half of the files in the world end a note by striking it with velocity 0
        events += [
            (b, 1, mido.Message("note_on", note=p, channel=(channels or range(16))[number], velocity=0))
            for _, b, p in notes
        ]
        if number == 0:
            events += [(t, 0, mido.MetaMessage("time_signature", numerator=n, denominator=d)) for t, n, d in metres]
        now = 0
        for time, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=time - now))
            now = time
        if length:
            track.append(mido.MetaMessage("end_of_track", time=max(0, length - now)))
    file.save(path)


def quarters(*notes, at=0, long=480):
    return [(at + i * long, at + (i + 1) * long, p) for i, p in enumerate(notes) if p]


TUNE = quarters(60, 62, 64, 65, 67, 67, 69, 67)
STEPS = np.repeat([[60, 62, 64, 65], [67, 67, 69, 67]], 4, axis=1)
TRIADS = [(0, 1920, 48), (0, 1920, 52), (0, 1920, 55), (1920, 3840, 43), (1920, 3840, 47), (1920, 3840, 50)]


def loaded(folder):
    melodies, skipped = load_midi(folder)
    assert skipped == []
    return melodies


def test_a_file_with_melody_and_chords(tmp_path):
    save(tmp_path / "a.mid", {"Piano": TRIADS, "bass": [(0, 3840, 36)], "flute": TUNE})
    m = loaded(tmp_path)
    assert (m.melody == STEPS).all() and m.melody.dtype == np.uint8
    assert (m.previous == [[0] * 16, STEPS[0]]).all() and m.tune.tolist() == [0, 0]
    assert m.chord.tolist() == [chord(C).tolist(), chord(G).tolist()] and m.key.tolist() == [[C, 0]] * 2


def test_which_track_is_the_melody(tmp_path):
    high = quarters(*[84, 86, 88, 89] * 2)
    cases = {
        "name": {"flute": high, "Lead Melody": TUNE, "chords": TRIADS},
        "highest": {
            "low": [(a, b, p - 24) for a, b, p in TUNE],
            "x": TUNE,
            "high chords": [(a, b, p + 40) for a, b, p in TRIADS],
        },
        "often": {"bell": [(0, 240, 100)], "x": TUNE},
    }
    for tracks in cases.values():
        save(tmp_path / "a.mid", tracks)
        assert (loaded(tmp_path).melody == STEPS).all()
    # drums are never it, nor do they make chords; format 0 has all channels in one track
    save(tmp_path / "a.mid", {"melody": [(a, b, 99) for a, b, _ in TUNE], "x": TUNE}, channels=[9, 0])
    m = loaded(tmp_path)
    assert (m.melody == STEPS).all() and m.chord[0].tolist() == chords(STEPS[:1], others())[0].tolist()
    save(tmp_path / "a.mid", {"x": TUNE, "y": TRIADS})
    two = mido.MidiFile(tmp_path / "a.mid")
    one = mido.MidiFile(type=0, ticks_per_beat=480, tracks=[mido.merge_tracks(two.tracks)])
    one.save(tmp_path / "a.mid")
    m = loaded(tmp_path)
    assert (m.melody == STEPS).all() and m.chord[1].tolist() == chord(G).tolist()


@pytest.mark.parametrize("ticks", [24, 96, 120, 480, 10, 7])
def test_ticks_and_loose_playing(tmp_path, ticks):
    """Notes up to a third of a sixteenth early or late go to their step."""
    shift = np.trunc(np.random.default_rng(0).uniform(-ticks / 12, ticks / 12, (8, 2)))
    shift[0, 0] = 0  # nothing is before the start
    times = (np.array([[i * ticks, (i + 1) * ticks] for i in range(8)]) + shift).astype(int).tolist()
    save(tmp_path / "a.mid", {"x": [(a, b, p) for (a, b), (_, _, p) in zip(times, TUNE)]}, ticks=ticks)
    assert (loaded(tmp_path).melody == STEPS).all()


def test_upbeat_silence_and_overlap(tmp_path):
    late = [(a + 480, b + 480, p) for a, b, p in TUNE]
    save(tmp_path / "a.mid", {"x": [(0, 480, 72), *late]}, metres=((0, 1, 4), (480, 4, 4)))
    assert (loaded(tmp_path).melody == STEPS).all()  # the upbeat, 72, is left out
    # two bars of introduction, one silent bar inside, silence at the end
    gap = [(a + 3840 + 1920 * (a >= 1920), b + 3840 + 1920 * (a >= 1920), p) for a, b, p in TUNE]
    save(tmp_path / "a.mid", {"x": gap, "y": [(0, 1920 * 7, 43)]}, length=1920 * 7)
    m = loaded(tmp_path)
    assert m.melody.shape == (3, 16) and not m.melody[1].any() and (m.melody[[0, 2]] == STEPS).all()
    assert (m.chord[:, :12].argmax(axis=1) == G).all()  # of the accompaniment, in the silent bar too
    # legato: notes that last into the next; and a chord now and then, of which the top counts
    legato = [(a, b + 200, p) for a, b, p in TUNE] + [(0, 480, 48)]
    save(tmp_path / "a.mid", {"melody": legato})
    m = loaded(tmp_path)
    assert (m.melody[0] == STEPS[0]).all() and (m.melody[1] == STEPS[1]).all()


def test_bad_files_are_named_and_skipped(tmp_path):
    save(tmp_path / "good.mid", {"x": TUNE})
    content = (tmp_path / "good.mid").read_bytes()
    (tmp_path / "cut.mid").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.mid").write_text("Alle Voegel sind schon da")
    (tmp_path / "empty.midi").write_bytes(b"")
    (tmp_path / "link.mid").symlink_to(tmp_path / "gone")
    (tmp_path / "smpte.mid").write_bytes(content[:12] + b"\xe7\x28" + content[14:])
    (tmp_path / "format2.mid").write_bytes(content[:9] + b"\x02" + content[10:])
    (tmp_path / "notes.txt").write_text("no business of ours")
    save(tmp_path / "waltz.mid", {"x": TUNE}, metres=((0, 3, 4),))
    save(tmp_path / "change.mid", {"x": TUNE}, metres=((0, 4, 4), (1920, 3, 4)))
    save(tmp_path / "middle.mid", {"x": TUNE}, metres=((0, 4, 4), (960, 4, 4)))
    save(tmp_path / "chords.mid", {"x": TRIADS})
    save(tmp_path / "drums.mid", {"melody": TUNE}, channels=[9])
    save(tmp_path / "long.mid", {"x": [*TUNE, (2**27, 2**27 + 9, 60)]})
    melodies, skipped = load_midi(tmp_path)
    assert (melodies.melody == STEPS).all()
    expected = {
        "change.mid": "is in 3/4",
        "chords.mid": "has no track that plays one note at a time",
        "cut.mid": "is cut short or damaged",
        "drums.mid": "has no notes besides percussion",
        "empty.midi": "is empty",
        "format2.mid": "holds patterns",
        "link.mid": "is not a file",
        "long.mid": "is longer than 2,000 bars",
        "middle.mid": "has a time signature in the middle of a bar",
        "smpte.mid": "counts time in film frames",
        "text.mid": "is not a MIDI file",
        "waltz.mid": "is in 3/4",
    }
    assert [path.name for path, _ in skipped] == list(expected)
    for (_, reason), start in zip(skipped, expected.values()):
        assert reason.startswith(start) and "\n" not in reason


def test_errors_are_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mid").write_text("no")
    cases = [
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "text.mid", "no folder"),
        (tmp_path / "empty", ".mid .midi"),
        (tmp_path, "the first of 1, text.mid, is not a MIDI file"),
    ]
    for folder, part in cases:
        with pytest.raises(ValueError) as error:
            load_midi(folder)
        one_sentence(error, part)
        assert error.value.__cause__ is None


@settings(max_examples=50)
@given(data=st.data())
def test_no_damage_raises_anything_else(tmp_path, data):
    save(tmp_path / "b.mid", {"x": TUNE})
    write_midi(tmp_path / "a.mid", STEPS, [chord(C), chord(G)])
    content = bytearray((tmp_path / "a.mid").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.mid").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    melodies, skipped = load_midi(tmp_path)
    assert len(np.unique(melodies.tune)) + len(skipped) == 2 and (melodies.melody[-2:] == STEPS).all()
    try:
        read_midi(tmp_path / "a.mid")
    except ValueError as error:
        assert str(error).endswith(".") and "\n" not in str(error)


def test_mido_is_imported_late():
    code = "import sys, minigan.data.midi, minigan.data.music; assert 'mido' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert midi.TICKS % 4 == 0
