"""Clips are held against the truth they come with, pixel by pixel; folders of clips against what a user may have."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minigan.data import load_digits
from minigan.data.clips import CIRCLE, HORIZONTAL, SQUARE, VERTICAL, _bezier, load_clips, moving_digits, moving_shapes


@pytest.fixture(scope="module", params=[32, 64])
def shapes(request):
    return moving_shapes(60, request.param, seed=1)


def test_the_data_needs_numpy_alone():
    code = "import sys, minigan.data.clips; print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# shapes


def test_shapes_have_the_promised_form(shapes):
    size = shapes.clips.shape[2]
    assert shapes.clips.shape == (60, 16, size, size, 3) and shapes.clips.dtype == np.uint8
    assert shapes.colour.shape == (60, 3) and shapes.colour.dtype == np.uint8
    assert shapes.path.shape == (60, 16, 2) and shapes.axis.dtype == shapes.shape.dtype == np.int64
    for kind in (shapes.axis, shapes.shape):
        assert set(kind) == {0, 1} and 15 < kind.sum() < 45
    assert (shapes.colour.max(axis=1) >= 160).all() and len(np.unique(shapes.colour, axis=0)) == 60


def test_a_shape_is_one_flat_colour_on_black(shapes):
    """Each pixel is a share, the same in all channels, of the true colour, and most are none or all of it."""
    clips, colour = shapes.clips[::4], shapes.colour[::4, None, None, None].astype(np.float32)
    share = clips.max(axis=4, keepdims=True) / colour.max(axis=4, keepdims=True)
    assert abs(clips - share * colour).max() <= 1.01  # both are rounded
    assert (clips == colour).all(axis=4).any(axis=(2, 3)).all()
    assert (share == 0).mean() > 0.85
    assert ((share > 0) & (share < 1)).any(axis=(1, 2, 3, 4)).all()  # antialiased


def test_the_truth_about_a_path_is_where_the_shape_is(shapes):
    size = shapes.clips.shape[2]
    mass = shapes.clips.sum(axis=4, dtype=float)
    rows = mass.sum(axis=3) @ np.arange(size) / mass.sum(axis=(2, 3))
    columns = mass.sum(axis=2) @ np.arange(size) / mass.sum(axis=(2, 3))
    np.testing.assert_allclose(np.stack([rows, columns], axis=2), shapes.path, rtol=0, atol=0.03)  # of a pixel


def test_a_path_goes_one_way_along_its_axis(shapes):
    size = shapes.clips.shape[2]
    steps = np.diff(shapes.path, axis=1)  # (n, T - 1, 2)
    along = np.take_along_axis(steps, shapes.axis[:, None, None], axis=2)[..., 0]
    across = np.take_along_axis(steps, 1 - shapes.axis[:, None, None], axis=2)[..., 0]
    assert (across == 0).all()
    sense = np.sign(along.sum(axis=1))
    assert set(sense) == {-1, 1} and (along * sense[:, None] > 0).all()
    assert (abs(along.sum(axis=1)) > 0.3 * size).all()  # half of its room at least
    assert (abs(np.diff(along, axis=1)) < 0.02 * size).all()  # smooth
    assert VERTICAL == 0 and HORIZONTAL == 1


def test_a_bezier_curve_in_closed_form():
    t = np.linspace(0, 1, 9)
    control = [[0.0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 2, 3], [0, 0, 0, 1]]
    truth = [t * t * (3 - 2 * t), np.ones(9), 3 * t, t**3]
    np.testing.assert_allclose(_bezier(np.array(control), 9), truth, atol=1e-15)


def test_squares_are_square_and_circles_round(shapes):
    """The area, from the pixels, over the square of the width in rows: 1 and pi / 4. Wholly in the frame."""
    peak = shapes.colour.max(axis=1)[:, None]
    middle = shapes.clips[:, 8].max(axis=3) / peak[:, :, None]  # (n, H, W), 0 to 1
    area = middle.sum(axis=(1, 2))
    width = middle.sum(axis=1).max(axis=1)  # the tallest column
    size = middle.shape[1]
    square = shapes.shape == SQUARE
    np.testing.assert_allclose((area / width**2)[square], 1, atol=0.03)
    np.testing.assert_allclose((area / width**2)[~square & (shapes.shape == CIRCLE)], np.pi / 4, atol=0.05)
    u = np.random.default_rng(1).random((60, 13))[:, 6]
    np.testing.assert_allclose(width[square], ((0.22 + 0.12 * u) * size)[square], atol=0.05)  # pixels
    areas = shapes.clips.sum(axis=(2, 3, 4)) / shapes.clips.sum(axis=(2, 3, 4)).max(axis=1, keepdims=True)
    assert areas.min() > 0.96  # nothing leaves the frame


def test_a_square_covers_the_share_of_each_pixel(shapes):
    """Exact at the edges: row sums of a square fall by its place between two pixels."""
    i = np.flatnonzero((shapes.shape == SQUARE) & (shapes.axis == VERTICAL))[0]
    profile = shapes.clips[i].max(axis=(2, 3)) / shapes.colour[i].max()  # (T, H): the share of each row covered
    half = np.sqrt(profile.sum(axis=1)[0] ** 2) / 2
    low, high = shapes.path[i, :, :1] - half, shapes.path[i, :, :1] + half  # (T, 1)
    rows = np.arange(profile.shape[1])
    truth = np.clip(np.minimum(high, rows + 0.5) - np.maximum(low, rows - 0.5), 0, 1)
    np.testing.assert_allclose(profile, truth, atol=0.02)


def test_shapes_repeat_by_seed_and_prefix():
    few, many, others = moving_shapes(3, seed=4), moving_shapes(150, seed=4), moving_shapes(3, seed=5)
    for a, b in zip(few, many):
        np.testing.assert_array_equal(a, b[:3])
    assert not (few.path == others.path).any()
    longer = moving_shapes(3, frames=31, seed=4)
    np.testing.assert_allclose(longer.path[:, ::2], few.path)  # the same curve at twice as many times
    np.testing.assert_allclose((moving_shapes(3, 64, seed=4).path + 0.5) / 2, few.path + 0.5)


# digits


@pytest.mark.parametrize("size, D", [(32, 1), (64, 2), (64, 1), (32, 2)])
def test_digits_are_where_they_are_said_to_be(size, D):
    found = moving_digits(6, size, seed=2, digits=D)
    side = 28 * size // 64
    assert found.clips.shape == (6, 16, size, size, 1) and found.clips.dtype == np.uint8
    assert found.label.shape == (6, D) and found.path.shape == (6, 16, D, 2)
    images, labels = load_digits()
    images = images[..., 0].reshape(-1, side, 28 // side, side, 28 // side).mean(axis=(2, 4))
    u = np.random.default_rng(2).random((6, D, 4))
    for n in range(6):
        which = (u[n, :, 0] * len(images)).astype(int)
        np.testing.assert_array_equal(found.label[n], labels[which])
        for t in (0, 7, 15):  # the plain way: each pixel of a digit is shared out over four of the frame
            frame = np.zeros((size + 1, size + 1))
            for d in range(D):
                top, left = found.path[n, t, d] - (side - 1) / 2
                y, x, fy, fx = int(top), int(left), top % 1, left % 1
                for dy, dx, weight in (
                    (0, 0, (1 - fy) * (1 - fx)),
                    (0, 1, (1 - fy) * fx),
                    (1, 0, fy * (1 - fx)),
                    (1, 1, fy * fx),
                ):
                    frame[y + dy : y + dy + side, x + dx : x + dx + side] += weight * images[which[d]]
            truth = np.minimum(frame[:size, :size], 255)
            np.testing.assert_allclose(found.clips[n, t, :, :, 0], truth, rtol=0, atol=0.51)


def test_digits_fly_straight_and_bounce():
    found = moving_digits(50, 64, frames=40, seed=3)
    low, high = 13.5, 63 - 13.5
    assert found.path.min() >= low and found.path.max() <= high
    steps = np.diff(found.path, axis=1)  # (n, T - 1, D, 2)
    start = np.median(abs(steps), axis=1)  # no bounce in most frames
    np.testing.assert_allclose(np.hypot(start[..., 0], start[..., 1]), 3.6, rtol=1e-9)  # a tenth of 36 pixels
    assert (np.hypot(steps[..., 0], steps[..., 1]) < 3.6 + 1e-9).all()  # a bounce is no jump
    away = (found.path[:, :-1] - 3.6 > low) & (found.path[:, :-1] + 3.6 < high)
    np.testing.assert_allclose(abs(steps)[away], np.broadcast_to(start[:, None], steps.shape)[away])
    turns = np.sign(steps[:, 1:]) != np.sign(steps[:, :-1])
    near = (found.path[:, 1:-1] < low + 3.6) | (found.path[:, 1:-1] > high - 3.6)
    assert turns.any() and not (turns & ~near).any()  # they turn at the edges only


def test_digits_default_and_prefix():
    assert moving_digits(1, 32).label.shape == (1, 1) and moving_digits(1).label.shape == (1, 2)
    for a, b in zip(moving_digits(2, 32, 3, seed=6), moving_digits(800, 32, 3, seed=6)):
        np.testing.assert_array_equal(a, b[:2])  # of several blocks
    assert set(moving_digits(200, 32, 2).label.ravel()) == set(range(10))


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: moving_shapes(0), "n must be a whole number of at least 1, but it is 0"),
        (lambda: moving_shapes(2, size=8), "size must be a whole number of at least 16, but it is 8"),
        (lambda: moving_shapes(2, frames=1), "frames must be a whole number of at least 2, but it is 1"),
        (lambda: moving_digits(2, 48), "size must be 32 or 64 for moving digits, but it is 48"),
        (lambda: moving_digits(2, 32, digits=3), "1 or 2, but it is 3"),
        (lambda: moving_digits(2, frames=1.5), "frames must be a whole number"),
    ],
)
def test_what_cannot_be_made_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# your own


def animation(path, frames, mode="RGB"):
    """A GIF of the given frames, uint8 (K, H, W, 3)."""
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100, loop=0)


def flat(values, height=16, width=16):
    """Frames of one grey each: no palette or resampling can change them."""
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), height, width, 3)).copy()


def test_animations_and_folders_of_frames(tmp_path):
    animation(tmp_path / "b.GIF", flat(range(0, 180, 10)))
    (tmp_path / "a").mkdir()
    for k in range(12):  # 10.png comes after 9.png
        Image.fromarray(flat([20 * k])[0]).save(tmp_path / "a" / f"frame {k}.png")
    (tmp_path / "a" / "notes.txt").write_text("no frame")
    (tmp_path / "notes.txt").write_text("no clip")
    clips, skipped = load_clips(str(tmp_path), frames=8, size=4)
    assert clips.shape == (3, 8, 4, 4, 3) and clips.dtype == np.uint8 and skipped == []
    truth = [np.arange(0, 160, 20), np.arange(0, 80, 10), np.arange(80, 160, 10)]  # of 18 frames the last 2 are left
    assert abs(clips.astype(int) - np.array(truth)[:, :, None, None, None]).max() <= 1


def test_frames_are_cropped_in_the_middle_and_resized(tmp_path):
    wide = np.repeat(np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8), 20, axis=0)[None].repeat(20, axis=0)
    moving = np.stack([wide, wide // 2])  # (2, 20, 60, 3)
    animation(tmp_path / "wide.gif", moving)
    animation(tmp_path / "tall.gif", moving.transpose(0, 2, 1, 3).copy())
    clips, _ = load_clips(tmp_path, frames=2, size=10)
    assert (clips[:, 0] == (0, 255, 0)).all() and (clips[:, 1] == (0, 127, 0)).all()


def test_what_cannot_be_read_is_named(tmp_path):
    animation(tmp_path / "good.gif", flat([0, 50, 100, 150]))
    animation(tmp_path / "one.gif", flat([7]))
    noise = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
    animation(tmp_path / "whole.gif", noise)
    content = (tmp_path / "whole.gif").read_bytes()
    (tmp_path / "whole.gif").unlink()
    (tmp_path / "cut.gif").write_bytes(content[: int(len(content) * 0.6)])
    (tmp_path / "text.gif").write_text("this is no picture at all")
    (tmp_path / "void.gif").write_bytes(b"")
    (tmp_path / "bare").mkdir()
    (tmp_path / "torn").mkdir()
    for k in range(4):
        Image.fromarray(noise[k]).save(tmp_path / "torn" / f"{k}.png")
    whole = (tmp_path / "torn" / "2.png").read_bytes()
    (tmp_path / "torn" / "2.png").write_bytes(whole[: len(whole) // 2])
    clips, skipped = load_clips(tmp_path, frames=4, size=8)
    assert len(clips) == 1 and (clips[0, :, 0, 0, 0] == [0, 50, 100, 150]).all()
    why = {path.name: reason for path, reason in skipped}
    assert why.keys() == {"one.gif", "cut.gif", "text.gif", "void.gif", "bare", "torn"}
    assert why["one.gif"] == "has 1 frame, but a clip needs 4"
    assert why["bare"] == "has 0 frames, but a clip needs 4"
    assert why["void.gif"] == "is empty"
    assert why["text.gif"].startswith("is not a picture, or damaged at its start")
    assert why["torn"].startswith("holds 2.png, which is cut short or damaged")
    assert why["cut.gif"] == "has 2 frames, but a clip needs 4" or why["cut.gif"].startswith(
        "is cut short or damaged"
    )


def sentence(error):
    """The message, if it is one sentence."""
    message = str(error.value)
    assert message.endswith(".") and ". " not in message and "\n" not in message
    return message


def test_one_clear_sentence_where_there_is_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_clips(tmp_path / "nowhere")
    assert "no folder" in str(error.value) and "nowhere" in str(error.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError) as error:
        load_clips(empty)
    assert str(empty) in sentence(error)
    Image.fromarray(flat([1])[0]).save(empty / "1.png")
    with pytest.raises(ValueError) as error:
        load_clips(empty)
    assert "put the frames of each clip into a folder of its own" in sentence(error)
    animation(empty / "still.gif", flat([9]))
    with pytest.raises(ValueError) as error:
        load_clips(empty)
    assert "the first of 1, still.gif, has 1 frame, but a clip needs 16." in sentence(error)
    with pytest.raises(ValueError, match="frames must be a whole number of at least 2"):
        load_clips(empty, frames=1)
