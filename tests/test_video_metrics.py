"""What is measured of clips whose truth is known, closed forms, and clips made to fail in one way each."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.data.clips import moving_shapes
from minigan.metrics.video import (
    Found,
    average_content_distance,
    follow,
    measures,
    motion_axis,
    motion_control_score,
    roughness,
    same_colour,
    same_path,
    shuffled,
    speed,
    table,
    track,
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module", params=[32, 64])
def real(request):
    shapes = moving_shapes({32: 40, 64: 16}[request.param], request.param, seed=1)
    return shapes, follow(shapes.clips)


def squares(places, colours, size=20, side=6):
    """Clips (N, T, size, size, 3) of a square with its corner at places (N, T, 2), in colours (N, T, 3)."""
    N, T = np.shape(places)[:2]
    clips = np.zeros((N, T, size, size, 3), np.uint8)
    for n in range(N):
        for t in range(T):
            y, x = places[n][t]
            clips[n, t, y : y + side, x : x + side] = colours[n][t]
    return clips


def on_path(path):
    """What would be found in clips of this path (N, T, 2)."""
    path = np.asarray(path, dtype=float)
    return Found(path, np.ones((*path.shape[:2], 3)), np.ones(path.shape[:2]))


# the truth is found


def test_colour_path_and_area_are_found(real):
    shapes, found = real
    np.testing.assert_allclose(found.path, shapes.path, rtol=0, atol=0.04)  # pixels
    np.testing.assert_array_equal(found.colour, np.broadcast_to(shapes.colour[:, None], found.colour.shape))
    np.testing.assert_array_equal(track(shapes.clips), found.path)
    cover = shapes.clips.sum(axis=(2, 3, 4)) / shapes.colour.sum(axis=1, dtype=float)[:, None]
    assert (found.area > 0.9 * cover).all() and (found.area < 1.6 * cover).all()  # pixels that it touches


def test_real_clips_score_as_they_should(real):
    shapes, found = real
    assert (average_content_distance(found) == 0).all()
    np.testing.assert_array_equal(motion_axis(found), shapes.axis)
    assert motion_control_score(found, shapes.axis) == 1 == motion_control_score(found)
    assert motion_control_score(found, 1 - shapes.axis) == 0
    length = abs(shapes.path[:, -1] - shapes.path[:, 0]).sum(axis=1) / 15  # it never turns
    np.testing.assert_allclose(speed(found), length, atol=0.01)
    assert roughness(found).max() < 0.25


def test_noise_does_not_mislead():
    shapes = moving_shapes(40, seed=1)
    noisy = np.clip(20 + shapes.clips * 0.9 + rng().normal(0, 6, shapes.clips.shape), 0, 255)  # a grey ground too
    found = follow(noisy)
    assert not found.blank.any()
    assert np.sqrt(((found.path - shapes.path) ** 2).mean()) < 0.1
    truth = np.minimum(20 + 0.9 * shapes.colour[:, None], 255)
    assert np.linalg.norm(found.colour - truth, axis=2).mean() < 4
    assert 0.3 < average_content_distance(found).mean() < 4
    assert motion_control_score(found, shapes.axis) == 1


def test_floats_and_bytes_and_blocks_are_one(monkeypatch):
    clips = moving_shapes(7, seed=2).clips
    whole = follow(clips)
    monkeypatch.setattr("minigan.metrics.video.BLOCK", clips[:2].size)
    for a, b in zip(whole, follow(clips.astype(np.float64))):
        np.testing.assert_array_equal(a, b)
    grey = follow(clips.max(axis=4, keepdims=True))  # one channel
    assert grey.colour.shape == (7, 16, 1)
    np.testing.assert_allclose(grey.path, whole.path, atol=1e-9)


def test_a_small_shape_without_a_core_has_a_colour():
    found = follow(squares([[(3, 4), (3, 5)]], [[(90, 10, 200)] * 2], side=2))
    assert (found.colour == (90, 10, 200)).all() and (found.area == 4).all()
    np.testing.assert_allclose(found.path, [[(3.5, 4.5), (3.5, 5.5)]])


def test_the_threshold_is_what_it_says():
    clips = 100 + squares([[(3, 4), (3, 5)]], [[(0, 41, 0)] * 2])
    assert (follow(clips).area == 36).all()
    assert follow(clips - np.uint8(1) * (clips == 141)).blank.all()  # 40 brighter is not over 40
    assert (follow(clips - np.uint8(1) * (clips == 141), threshold=39).area == 36).all()
    assert (follow(255 - clips).area == 0).all()  # darker than the ground


# content


def test_content_distance_of_two_colours_in_turn():
    """|a - b| times the share of pairs of unlike frames, (T/2)^2 / (T (T - 1) / 2) = T / (2 (T - 1))."""
    a, b, T = np.array([200, 30, 10]), np.array([60, 130, 90]), 8
    clips = squares([[(t, 3) for t in range(T)]] * 2, [[a, b] * 4, [a] * T])
    truth = np.linalg.norm(a - b) * T / (2 * (T - 1))
    np.testing.assert_allclose(average_content_distance(clips), [truth, 0], rtol=1e-12)


@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 9))
def test_content_distance_by_the_plain_loop(T, N, seed):
    colour = rng(seed).uniform(0, 255, (N, T, 3))
    found = Found(np.zeros((N, T, 2)), colour, np.ones((N, T)))
    truth = [np.mean([math.dist(colour[n, s], colour[n, t]) for s in range(T) for t in range(s)]) for n in range(N)]
    np.testing.assert_allclose(average_content_distance(found), truth, rtol=1e-12)


# motion


def test_uniform_motion_to_and_fro_and_a_circle():
    t = np.arange(12)
    straight = np.stack([2 * t, 0.5 * t], axis=1)
    fro = np.stack([t % 2 * 3.0, 0 * t], axis=1)
    turn = 2 * np.pi * t / 12
    circle = 10 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    found = on_path([straight, fro, circle])
    # on a circle each step is the last one turned by 2 pi / 12: |difference| / |step| = 2 sin(pi / 12)
    np.testing.assert_allclose(roughness(found), [0, 2, 2 * math.sin(math.pi / 12)], atol=1e-12)
    np.testing.assert_allclose(speed(found), [math.sqrt(4.25), 3, 20 * math.sin(math.pi / 12)])
    assert motion_control_score(found) == pytest.approx(2 / 3)  # straight just so
    assert motion_axis(found).tolist()[:2] == [0, 0]


def test_independent_places_are_rough_by_sqrt_3():
    found = on_path(rng().normal(0, 5, (2000, 16, 2)))
    assert roughness(found).mean() == pytest.approx(math.sqrt(3), rel=0.01)


def test_the_axis_is_that_of_the_larger_extent():
    t = np.linspace(0, 1, 9)
    paths = [
        np.stack([a * t, b * t], axis=1) for a, b in ((8, 2), (-2, 9), (8, 2.1), (-7, 7.5), (0.9, 0.5), (0, 1.1))
    ]
    found = on_path(paths)
    assert motion_axis(found).tolist() == [0, 1, 0, 1, -1, 1]
    assert found.still.tolist() == [False] * 4 + [True, False]
    assert motion_control_score(found) == pytest.approx(3 / 6)  # the first two and the last are straight
    assert motion_control_score(found, np.array([0, 1, 1, 1, 0, 0])) == pytest.approx(3 / 6)
    assert np.isnan(roughness(found)).tolist() == [False] * 4 + [True, False]  # a still shape is not smooth


def test_shuffled_frames_look_the_same_and_move_far_worse(real):
    shapes, found = real
    mixed = follow(shuffled(shapes.clips, seed=3))
    np.testing.assert_array_equal(mixed.path, shuffled(found.path, seed=3))  # frames are searched one by one
    np.testing.assert_allclose(average_content_distance(mixed), average_content_distance(found), atol=1e-9)
    np.testing.assert_array_equal(motion_axis(mixed), motion_axis(found))
    assert roughness(mixed).min() > 1 and roughness(mixed).mean() > 1.6 and roughness(found).mean() < 0.15
    assert speed(mixed).mean() > 4 * speed(found).mean()


@pytest.mark.parametrize("T", [2, 3, 16])
def test_every_clip_has_its_own_other_order(T):
    frames = np.tile(np.arange(T), (300, 1))
    mixed = shuffled(frames, seed=1)
    assert (np.sort(mixed, axis=1) == frames).all()
    assert (mixed != frames).any(axis=1).all()  # also for T = 2, where half of all orders are the first
    assert len(np.unique(mixed, axis=0)) == {2: 1, 3: 5}.get(T, 300)
    np.testing.assert_array_equal(mixed, shuffled(frames, seed=1))
    assert T == 2 or (mixed != shuffled(frames, seed=2)).any()


# blank clips


def test_blank_clips_are_counted_and_never_good():
    shapes = moving_shapes(6, seed=3)
    clips = shapes.clips.copy()
    clips[1] = 0  # nothing at all
    clips[2, 5] = 0  # one frame
    clips[4] = 90  # grey all over
    clips[4, :, 3, 3] = 255  # and a speck
    found = follow(clips)
    lost = [1, 2, 4]
    assert np.flatnonzero(found.blank).tolist() == lost and not found.still.any()
    assert np.isnan(found.path[2, 5]).all() and not np.isnan(found.path[2, 4]).any()
    for measure in (average_content_distance, speed, roughness):
        assert np.flatnonzero(np.isnan(measure(found))).tolist() == lost
    assert motion_axis(found)[lost].tolist() == [-1] * 3
    assert motion_control_score(found) == 0.5 == motion_control_score(found, shapes.axis)
    some, rest = measures(clips), measures(np.delete(clips, lost, axis=0))
    assert some["blank clips"] == 0.5 and rest["blank clips"] == 0
    for name in ("content distance, RGB", "spread of colours, RGB", "speed, pixels a frame", "roughness"):
        assert some[name] == pytest.approx(rest[name], rel=1e-12)


def test_nothing_but_blank_clips():
    found = measures(np.zeros((3, 16, 8, 8, 3)))
    assert found["blank clips"] == 1 and found["along one axis"] == 0 and found["still clips"] == 0
    assert math.isnan(found["content distance, RGB"]) and math.isnan(found["roughness"])
    spread = same_colour(np.zeros((2, 2, 4, 8, 8, 3)))
    assert spread.blank == 1 and math.isnan(spread.within) and math.isnan(spread.ratio)


def test_one_still_shape_is_not_taken_for_a_good_generator():
    found = measures(squares([[(4, 4)] * 8] * 5, [[(200, 0, 0)] * 8] * 5))
    assert found["content distance, RGB"] == 0 and found["spread of colours, RGB"] == 0
    assert found["still clips"] == 1 and found["along one axis"] == 0 and math.isnan(found["roughness"])


# grids with a code fixed


def crossed():
    """Clips [i, j] with colour i and path j, (3, 4, T, H, W, 3)."""
    colours = [(200, 0, 0), (0, 200, 0), (60, 60, 250)]
    paths = [[(t, 2) for t in range(8)], [(2, t) for t in range(8)], [(9, t) for t in range(8)], [(3, 3)] * 8]
    grid = squares([p for _ in colours for p in paths], [[c] * 8 for c in colours for _ in paths])
    return grid.reshape(3, 4, *grid.shape[1:]), np.array(colours, float), np.array(paths, float)


def test_colour_is_shared_where_content_is_fixed():
    clips, colours, _ = crossed()
    found = same_colour(clips)
    truth = np.mean([math.dist(colours[i], colours[j]) for i, j in ((0, 1), (0, 2), (1, 2))])
    assert found.within == 0 and found.blank == 0 and found.ratio == 0
    assert found.between == pytest.approx(truth)
    assert same_colour(clips.swapaxes(0, 1)).ratio > 1  # in the columns every colour is there once


def test_path_is_shared_where_motion_is_fixed():
    clips, _, paths = crossed()
    found = same_path(clips.swapaxes(0, 1))
    pairs = [(i, j) for i in range(4) for j in range(i)]
    truth = np.mean([np.hypot(*(paths[i] - paths[j]).T).mean() for i, j in pairs])
    assert found.within == pytest.approx(0, abs=1e-12) and found.between == pytest.approx(truth)
    assert same_path(clips).ratio > 1


def test_a_code_without_effect_has_ratio_1():
    clips = moving_shapes(120, 16, 4, seed=5).clips
    groups = clips.reshape(30, 4, *clips.shape[1:])
    assert same_colour(groups).ratio == pytest.approx(1, abs=0.1)
    assert same_path(groups).ratio == pytest.approx(1, abs=0.1)


def test_blank_clips_are_in_no_pair():
    clips, _, _ = crossed()
    clips[0, 1] = 0
    found, whole = same_colour(clips), same_colour(crossed()[0])
    assert found.blank == pytest.approx(1 / 12) and found.within == 0
    assert found.between != whole.between and not math.isnan(found.between)


# table, and what is refused


def test_the_table_stands_in_columns():
    text = table(
        {"real": {"roughness": 0.1, "blank clips": 0.0}, "VGAN's form": {"roughness": 1.23456, "blank clips": np.nan}}
    )
    assert text.splitlines() == [
        "             real  VGAN's form",
        "roughness     0.1        1.235",
        "blank clips     0          nan",
    ]
    shapes = moving_shapes(4, seed=1)
    lines = table({"real": measures(shapes.clips, shapes.axis)}).splitlines()
    assert len(lines) == 11 and lines[-1].split() == ["the", "axis", "asked", "for", "1"]
    with pytest.raises(ValueError, match=r"\['b'\] of y stand alone"):
        table({"x": {"a": 1.0}, "y": {"a": 1.0, "b": 2.0}})


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: follow(np.zeros((4, 8, 8, 3))), r"its shape is \(4, 8, 8, 3\)"),
        (lambda: follow(np.zeros((0, 4, 8, 8, 3))), "not empty"),
        (lambda: follow(np.full((1, 4, 8, 8, 3), np.nan)), "no NaN"),
        (lambda: follow(np.full((1, 4, 8, 8, 3), -1.0)), r"no floats from -1 to 1 \(unscale them\)"),
        (lambda: average_content_distance(np.zeros((1, 1, 8, 8, 3))), "at least 2 frames"),
        (lambda: roughness(np.zeros((1, 2, 8, 8, 3))), "at least 3 frames"),
        (lambda: shuffled(np.zeros((5, 1, 8, 8, 3))), "at least 2 frames"),
        (lambda: motion_control_score(on_path(np.zeros((3, 4, 2))), np.array([0, 1])), "3 numbers 0 or 1"),
        (lambda: motion_control_score(on_path(np.zeros((2, 4, 2))), np.array([0, 2])), "2 numbers 0 or 1"),
        (lambda: same_colour(np.zeros((4, 4, 8, 8, 3))), r"its shape is \(4, 4, 8, 8, 3\)"),
        (lambda: same_path(np.zeros((1, 4, 4, 8, 8, 3))), "G and M at least 2"),
    ],
)
def test_what_makes_no_sense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
