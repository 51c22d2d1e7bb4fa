"""Sound is held to what can be computed of it: length, pitch by FFT, loudness, and that it never jumps."""

import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.sound import CHORD, FADES, HARMONICS, MELODY, frequency, notes, render, save_wav, triads

RATE = 22050


def chord(root, minor=0):
    one = np.zeros(13, dtype=int)
    one[root], one[12] = 1, minor
    return one


def held(pitch, bars=2):
    return np.full((bars, 16), pitch)


def peak(sound, low=0.0, high=RATE / 2):
    """The loudest frequency between low and high, in Hz, and a bin's width."""
    spectrum, hertz = np.abs(np.fft.rfft(sound)), np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hertz < low) | (hertz > high)] = 0
    return hertz[spectrum.argmax()], hertz[1]


# notes and chords


def test_notes_by_hand():
    """Held over a bar line, repeated after a rest, silent at both ends, and nothing held into the next tune."""
    tunes = np.array([[[0, 60, 60, 62], [62, 0, 62, 64]], [[64, 64, 0, 0], [0, 0, 0, 5]]])
    found = notes(tunes)
    assert found.tune.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.start.tolist() == [1, 3, 6, 7, 0, 7]
    assert found.length.tolist() == [2, 2, 1, 1, 2, 1]
    assert found.pitch.tolist() == [60, 62, 62, 64, 64, 5]
    assert all(len(column) == 0 for column in notes(np.zeros((3, 16), int)))


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_notes_lay_the_melody_out_again(seed, tunes, bars):
    melody = np.random.default_rng(seed).integers(0, 3, (tunes, bars, 16))
    again = np.zeros((tunes, bars * 16), dtype=int)
    for tune, start, length, pitch in zip(*notes(melody)):
        assert not again[tune, start : start + length].any() and length > 0
        assert start == 0 or again[tune, start - 1] != pitch  # or it would be one note
        again[tune, start : start + length] = pitch
    np.testing.assert_array_equal(again.reshape(melody.shape), melody)


def test_triads():
    tones = triads(np.stack([chord(0), chord(9, 1), chord(11), np.zeros(13, int)]))
    assert [np.flatnonzero(row).tolist() for row in tones] == [[0, 4, 7], [0, 4, 9], [3, 6, 11], []]


# frequency


def test_equal_temperament():
    assert frequency(69) == 440 and frequency(57) == 220
    assert frequency(60) == pytest.approx(261.6256, abs=1e-4)  # C4
    assert frequency(76) / frequency(75) == pytest.approx(2 ** (1 / 12))


@pytest.mark.parametrize("pitch", [57, 60, 69, 81])
def test_the_fundamental_is_in_its_bin(pitch):
    found, width = peak(render(held(pitch)))
    assert abs(found - frequency(pitch)) <= width


def test_every_chord_tone_sounds_and_no_other_below_the_melody():
    """A minor: A2 in the bass, C3, E3 and A3 above it, and nothing of them where there is no chord."""
    chords = np.stack([chord(9, 1), np.zeros(13, int)])
    sound = render(np.zeros((2, 16), int), chords)
    first, second = sound[: len(sound) // 2], sound[len(sound) // 2 :]
    assert not second.any()
    for pitch in (45, 48, 52, 57):
        found, width = peak(first, frequency(pitch - 0.5), frequency(pitch + 0.5))
        assert abs(found - frequency(pitch)) <= width
    spectrum, hertz = np.abs(np.fft.rfft(first)), np.fft.rfftfreq(len(first), 1 / RATE)
    loud = [spectrum[np.abs(hertz - frequency(p)) < 3].max() for p in range(43, 58)]
    assert {43 + i for i in np.argsort(loud)[-4:]} == {45, 48, 52, 57}


def test_harmonics_above_half_the_rate_are_left_out():
    """E9 is 10,548 Hz: its second harmonic would be heard at 22,050 - 21,096 = 954 Hz."""
    sound = render(held(124))
    found, width = peak(sound)
    assert abs(found - frequency(124)) <= width
    spectrum = np.abs(np.fft.rfft(sound))
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    assert spectrum[hertz < 5000].max() < 1e-3 * spectrum.max()


# length, loudness, no clicks


@pytest.mark.parametrize("bars, tempo, rate", [(1, 90, 22050), (8, 90, 22050), (3, 131.7, 8000), (2, 60, 44100)])
def test_the_length_is_exact(bars, tempo, rate):
    sound = render(held(60, bars), tempo=tempo, rate=rate)
    assert sound.dtype == np.float32 and sound.shape == (round(bars * 4 * 60 / tempo * rate),)


def test_the_loudest_chord_stays_below_one():
    assert MELODY + 4 * CHORD < 1
    sound = render(held(69, 2), np.stack([chord(9), chord(9, 1)]))
    assert 0.2 < np.abs(sound).max() < 1


def test_chords_are_softer_than_the_melody():
    alone = render(held(69)).std()
    assert 0 < render(held(0), np.stack([chord(9)] * 2)).std() < 0.7 * alone


def test_a_note_fades_and_the_high_harmonics_first():
    sound = render(held(60, 1), tempo=60)  # four seconds
    one = lambda a, b: sound[int(a * RATE) : int(b * RATE)]
    early, late = one(0.1, 0.6), one(3.1, 3.6)
    f = frequency(60)
    for k, fade in ((1, FADES[0]), (3, FADES[2])):
        at = lambda x, k=k: np.abs(x @ np.exp(-2j * np.pi * k * f * np.arange(len(x)) / RATE))
        assert np.log(at(early) / at(late)) / 3 == pytest.approx(fade, rel=0.05)


def test_no_click_is_heard():
    """No two samples are further apart than the steepest a note's own wave can be; and notes meet in silence."""
    rng = np.random.default_rng(0)
    melody = rng.choice([0, 57, 62, 69, 74, 76], (4, 16))
    sound = render(melody)
    steepest = 2 * np.pi * frequency(76) / RATE * (HARMONICS * np.arange(1, 7)).sum() / HARMONICS.sum()
    swell = np.pi / 2 / (0.008 * RATE)  # of the attack
    assert np.abs(np.diff(sound)).max() < MELODY * (steepest + swell)
    edges = np.rint(np.arange(1, 64) * 15 / 90 * RATE).astype(int)
    between = edges[np.diff(melody.reshape(-1)) != 0]
    assert len(between) > 20
    assert np.abs(sound[between]).max() < 1e-6 and np.abs(sound[between - 1]).max() < 1e-3
    assert sound[0] == 0 and abs(sound[-1]) < 1e-3
    # a note swells: half a cosine has come to 4 % after an eighth of the attack, when the wave has been at its top
    first = render(held(69, 1))[: round(0.001 * RATE)]
    assert 0 < np.abs(first).max() < 0.04 * MELODY
    # a held note is not struck again: no step inside it is silent
    sound = render(held(69, 1), tempo=90)
    inside = [np.abs(sound[e - 100 : e + 100]).max() for e in edges[1:14]]
    assert min(inside) > 0.02


def test_very_short_notes_swell_and_fade_too():
    sound = render(np.array([[60, 62] * 8]), tempo=2000, rate=8000)  # 7.5 ms a step
    assert 0.01 < np.abs(sound).max() < 1
    assert np.abs(sound[np.rint(np.arange(1, 16) * 60).astype(int)]).max() < 1e-6


def test_melody_and_chords_add_up():
    melody, chords = held(72), np.stack([chord(5), chord(2, 1)])
    both = render(melody, chords)
    np.testing.assert_allclose(both, render(melody) + render(held(0), chords), atol=1e-6)


# the file


def test_a_wav_reads_back(tmp_path):
    sound = render(held(69, 1), np.stack([chord(9, 1)]))
    save_wav(tmp_path / "tune.wav", sound, RATE)
    with wave.open(str(tmp_path / "tune.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        assert file.getnframes() == len(sound)
        again = np.frombuffer(file.readframes(len(sound)), dtype="<i2") / 32767
    np.testing.assert_allclose(again, sound, atol=0.51 / 32767)
    save_wav(tmp_path / "ends.wav", np.array([1.0, -1.0, 0.0]))
    with wave.open(str(tmp_path / "ends.wav")) as file:
        assert np.frombuffer(file.readframes(3), dtype="<i2").tolist() == [32767, -32767, 0]


@pytest.mark.parametrize("samples", [np.zeros((2, 5)), np.array([0, 1.1]), np.array([0, np.nan])])
def test_sound_that_is_none_is_refused(tmp_path, samples):
    with pytest.raises(ValueError, match="between -1 and 1"):
        save_wav(tmp_path / "a.wav", samples)
    assert not list(tmp_path.iterdir())


def test_bad_input_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"\.wav; 'a\.mp3'"):
        save_wav(tmp_path / "a.mp3", np.zeros(3))
    with pytest.raises(ValueError, match="whole numbers"):
        render(np.zeros((2, 16)))
    with pytest.raises(ValueError, match="0 to 127, but the melody has 0 to 128"):
        render(np.array([[0, 128]]))
    with pytest.raises(ValueError, match="One tune at a time"):
        render(np.zeros((2, 2, 16), int))
    with pytest.raises(ValueError, match="tempo"):
        render(held(60), tempo=0)
    with pytest.raises(ValueError, match="2 bars need 2 chords"):
        render(held(60), np.stack([chord(0)] * 3))
    for bad in (np.ones((2, 13)), np.zeros((2, 12)), np.full((2, 13), 0.5)):
        with pytest.raises(ValueError, match="A chord is 13 numbers"):
            render(held(60), bad)
