"""Pictures are checked where they can be wrong: pixel by pixel, byte by byte, and for what a figure draws."""

import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from minigan import viz


def gif_frames(path):
    """The frames of a GIF, uint8 (K, H, W, 3), and their durations in ms."""
    with Image.open(path) as file:
        frames, durations = [], []
        for k in range(file.n_frames):
            file.seek(k)
            frames.append(np.asarray(file.convert("RGB")))
            durations.append(file.info["duration"])
        assert file.info["loop"] == 0
    return np.stack(frames), durations


def noise_frames(K, size=40, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (K, size, size), dtype=np.uint8))


def a_log(T=400, seed=0):
    rng = np.random.default_rng(seed)
    names = ("d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm")
    return {"step": 10 * np.arange(1, T + 1)} | {name: rng.uniform(0.1, 0.9, T) for name in names}


def lines(axes, label):
    return [line for line in axes.get_lines() if line.get_label() == label]


# grid


def test_the_module_needs_numpy_alone():
    code = "import sys, minigan.viz; print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_grid_puts_every_pixel_in_its_place():
    images = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3) + 100
    picture = viz.grid(images, columns=3, pad=1)
    s = viz.SEPARATOR
    assert picture.dtype == np.uint8
    assert picture.tolist() == [
        [s] * 13,
        [s, 100, 101, 102, s, 106, 107, 108, s, 112, 113, 114, s],
        [s, 103, 104, 105, s, 109, 110, 111, s, 115, 116, 117, s],
        [s] * 13,
        [s, 118, 119, 120, s, 124, 125, 126, s, s, s, s, s],
        [s, 121, 122, 123, s, 127, 128, 129, s, s, s, s, s],
        [s] * 13,
    ]


@settings(deadline=None, max_examples=40)
@given(
    N=st.integers(1, 12),
    h=st.integers(1, 5),
    w=st.integers(1, 5),
    C=st.sampled_from([0, 1, 3]),
    columns=st.none() | st.integers(1, 14),
    pad=st.integers(0, 3),
    scale=st.integers(1, 3),
)
def test_grid_has_the_size_of_the_formula_and_holds_every_image(N, h, w, C, columns, pad, scale):
    images = np.random.default_rng(N).integers(0, 256, (N, h, w, C)[: 4 if C else 3], dtype=np.uint8)
    picture = viz.grid(images, columns, pad, scale)
    across = columns or math.ceil(math.sqrt(N))
    size = (scale * (math.ceil(N / across) * (h + pad) + pad), scale * (across * (w + pad) + pad))
    assert picture.shape == (size + (3,) if C == 3 else size)
    for n in range(N):
        top, left = scale * (pad + n // across * (h + pad)), scale * (pad + n % across * (w + pad))
        cell = picture[top : top + scale * h, left : left + scale * w]
        expected = images[n] if C != 1 else images[n][..., 0]
        np.testing.assert_array_equal(cell, expected.repeat(scale, 0).repeat(scale, 1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_mapped_and_clipped(dtype):
    images = np.array([-np.inf, -7, -1, 0, 1, 7, np.inf], dtype).reshape(1, 1, 7)
    assert viz.grid(images, pad=0)[0].tolist() == [0, 0, 0, 128, 255, 255, 255]
    assert viz.grid(images, pad=0, value_range=(0, 5))[0].tolist() == [0, 0, 0, 0, 51, 255, 255]


def test_bytes_survive_the_way_through_floats():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    back = viz.grid(every.astype(np.float32) / 127.5 - 1, pad=0)
    np.testing.assert_array_equal(back, every[0])


def test_grid_refuses_in_a_sentence():
    images = np.zeros((4, 3, 3))
    images[2, 0, 0] = images[3, 1, 1] = np.nan
    with pytest.raises(ValueError, match=r"2 of 4 images hold NaN \(the first is number 2\)"):
        viz.grid(images)
    with pytest.raises(ValueError, match=r"not \(2, 3, 3, 2\)"):
        viz.grid(np.zeros((2, 3, 3, 2)))
    with pytest.raises(ValueError, match=r"not \(28, 28\)"):
        viz.grid(np.zeros((28, 28)))
    with pytest.raises(ValueError, match=r"not \(0, 3, 3, 1\)"):
        viz.grid(np.zeros((0, 3, 3)))
    with pytest.raises(TypeError, match="uint8 or floats, not int64"):
        viz.grid(np.zeros((1, 3, 3), np.int64))
    with pytest.raises(ValueError, match="from low to high"):
        viz.grid(np.zeros((1, 3, 3)), value_range=(1, -1))
    for wrong in ({"columns": 0}, {"pad": -1}, {"scale": 0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            viz.grid(np.zeros((1, 3, 3)), **wrong)


# save_grid


@pytest.mark.parametrize("C", [1, 3])
def test_save_grid_writes_the_grid_and_its_text(tmp_path, C):
    images = np.random.default_rng(0).uniform(-1, 1, (5, 4, 6, C)).astype(np.float32)
    path = tmp_path / "a.png"
    viz.save_grid(images, path, columns=2, pad=3, scale=2, text={"step": "1500", "who": "Zoë, 生成"})
    first = path.read_bytes()
    with Image.open(path) as file:
        assert file.text == {"step": "1500", "who": "Zoë, 生成"}
        np.testing.assert_array_equal(np.asarray(file), viz.grid(images, columns=2, pad=3, scale=2))
    viz.save_grid(images, path, columns=2, pad=3, scale=2, text={"step": "1500", "who": "Zoë, 生成"})
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["os.replace", "os.fsync"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_stop_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch, where, error):
    path = tmp_path / "a.png"
    path.write_bytes(b"the old one")

    def stop(*arguments):
        raise error("the disk is full")

    monkeypatch.setattr(where, stop)
    with pytest.raises(error, match="the disk is full"):
        viz.save_grid(np.zeros((1, 3, 3)), path)
    monkeypatch.undo()
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_in_the_same_folder(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("os.replace", lambda a, b: seen.append((Path(a).parent, b)))
    viz.save_grid(np.zeros((1, 3, 3)), str(tmp_path / "a.png"))
    assert seen == [(tmp_path, tmp_path / "a.png")]


def test_a_file_name_must_not_promise_another_format(tmp_path):
    with pytest.raises(ValueError, match=r"written as \.png; 'a\.jpg'"):
        viz.save_grid(np.zeros((1, 3, 3)), tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"written as \.gif; 'a\.png'"):
        viz.save_animation(noise_frames(2), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


# save_animation


def test_animation_keeps_pixels_within_half_a_level_and_holds_the_last_frame(tmp_path):
    frames = noise_frames(5)
    viz.save_animation(frames, tmp_path / "a.gif", seconds=2.0)
    shown, durations = gif_frames(tmp_path / "a.gif")
    assert durations == [400, 400, 400, 400, 2400]
    assert shown.shape == (5, 40, 40, 3)
    off = np.abs(shown.astype(int) - np.stack(frames)[..., None])
    assert off.max() <= 5  # 32 levels lie 8.2 apart; the half, and the rounding of a level
    assert (shown[..., 0] == shown[..., 1]).all() and (shown[..., 0] == shown[..., 2]).all()


def test_black_and_white_stay_exact(tmp_path):
    frames = [np.full((8, 8), value, np.uint8) for value in (0, 255)]
    viz.save_animation(frames, tmp_path / "a.gif")
    shown, _ = gif_frames(tmp_path / "a.gif")
    assert shown[0].max() == 0 and shown[1].min() == 255


def test_animation_is_thinned_until_it_fits(tmp_path):
    frames = noise_frames(30)
    for k, frame in enumerate(frames):
        frame[0, :] = 8 * k  # the number of the frame, so that it can be read back
    whole, small = tmp_path / "whole.gif", tmp_path / "small.gif"
    viz.save_animation(frames, whole)
    viz.save_animation(frames, small, max_bytes=whole.stat().st_size // 3)
    assert small.stat().st_size <= whole.stat().st_size // 3
    shown, durations = gif_frames(small)
    kept = np.rint(shown[:, 0, 0, 0] / 8).astype(int)
    assert kept[0] == 0 and kept[-1] == 29
    assert 8 <= len(kept) <= 10  # not thinned further than needed
    assert set(np.diff(kept)) <= {3, 4}  # evenly
    assert sum(durations) == pytest.approx(8000, abs=50)  # fewer frames, the same time


def test_the_smallest_animation_has_two_frames(tmp_path):
    path = tmp_path / "a.gif"
    with pytest.raises(ValueError, match="first and last frame alone take .* max_bytes is 500"):
        viz.save_animation(noise_frames(9), path, max_bytes=500)
    assert not path.exists()
    viz.save_animation(noise_frames(2), path)
    viz.save_animation(noise_frames(9), path, max_bytes=path.stat().st_size + 200)
    assert len(gif_frames(path)[0]) == 2


def test_more_frames_than_a_browser_shows_are_thinned(tmp_path):
    frames = [np.full((4, 4), 8 * (k % 31), np.uint8) for k in range(100)]
    viz.save_animation(frames, tmp_path / "a.gif", seconds=1.0)
    _, durations = gif_frames(tmp_path / "a.gif")
    assert sum(durations) == 3000 and min(durations) >= 20


@pytest.mark.parametrize("colour", [False, True])
def test_the_same_frames_give_the_same_bytes(tmp_path, colour):
    frames = noise_frames(4)
    if colour:
        frames = [np.stack([frame, frame // 2, 255 - frame], axis=-1) for frame in frames]
    for name in ("a.gif", "b.gif"):
        viz.save_animation(frames, tmp_path / name, [f"step {k}" for k in range(4)])
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_colours_stay_recognisable(tmp_path):
    frames = [np.zeros((9, 9, 3), np.uint8) for _ in range(3)]
    for k, frame in enumerate(frames):
        frame[2:7, 2:7, k] = 255
    viz.save_animation(frames, tmp_path / "a.gif")
    shown, _ = gif_frames(tmp_path / "a.gif")
    np.testing.assert_allclose(shown, np.stack(frames), atol=8)


@pytest.mark.parametrize("shape", [(40, 90), (40, 90, 3)])
def test_captions_are_a_strip_below_that_fits(tmp_path, shape):
    frames = [np.full(shape, value, np.uint8) for value in (0, 255)]
    captions = ["step 1", "a caption far too long for a picture this narrow, " * 2]
    viz.save_animation(frames, tmp_path / "long.gif", captions)
    viz.save_animation(frames, tmp_path / "short.gif", ["step 1", "step 2"])
    shown, _ = gif_frames(tmp_path / "short.gif")
    assert shown.shape == (2, 60, 90, 3)  # 10-pixel letters on a strip of 20
    assert shown[0, :40].max() == 0 and shown[1, :40].min() == 255
    strip = shown[:, 40:]
    assert np.abs(strip[:, 0].astype(int) - viz.SEPARATOR).max() <= 5
    assert strip[0].max() > 180 and strip[1].max() > 180 and (strip[0] != strip[1]).any()
    narrow, _ = gif_frames(tmp_path / "long.gif")
    assert narrow.shape[1] < 60  # smaller letters for every frame


def test_animation_refuses_in_a_sentence(tmp_path):
    path = tmp_path / "a.gif"
    with pytest.raises(ValueError, match=r"of one size, not \[\]"):
        viz.save_animation([], path)
    with pytest.raises(ValueError, match=r"of one size, not \[\(3, 3\), \(3, 4\)\]"):
        viz.save_animation([np.zeros((3, 4), np.uint8), np.zeros((3, 3), np.uint8)], path)
    with pytest.raises(ValueError, match=r"not \(3, 4, 2\)"):
        viz.save_animation([np.zeros((3, 4, 2), np.uint8)], path)
    with pytest.raises(TypeError, match=r"make them with grid\(\)"):
        viz.save_animation([np.zeros((3, 4))], path)
    with pytest.raises(ValueError, match="2 frames need 2 captions, not 1"):
        viz.save_animation(noise_frames(2), path, ["step 1"])


# curves


def test_moving_average_is_honest_at_the_ends():
    values = np.array([1.0, 2.0, 6.0, 3.0, 8.0])
    np.testing.assert_allclose(viz._moving_average(values, 1), [1.5, 3.0, 11 / 3, 17 / 3, 5.5])
    np.testing.assert_allclose(viz._moving_average(np.full(50, 3.0), 7), 3.0)
    np.testing.assert_array_equal(viz._moving_average(values, 0), values)
    np.testing.assert_allclose(viz._moving_average(np.array([1.0, 100.0]), 1, geometric=True), [10, 10])


def test_moving_average_leaves_a_gap_and_no_trace_of_what_is_not_finite():
    values = np.array([1.0, np.nan, 3.0, np.inf, 5.0])
    np.testing.assert_allclose(viz._moving_average(values, 1), [1, np.nan, 3, np.nan, 5])
    values = np.array([1.0, 0.0, 100.0])  # a gradient of zero has no place on a log axis
    np.testing.assert_allclose(viz._moving_average(values, 2, geometric=True), [10, np.nan, 10])


def test_curves_draw_the_log(tmp_path):
    log = a_log() | {"seconds": np.arange(3)}  # a column that is not looked at may have any length
    figure = viz.curves(log, tmp_path / "a.png")
    loss, verdict, gradient = figure.axes
    for axes, columns in zip(
        figure.axes, (("d_loss", "g_loss"), ("d_real", "d_fake"), ("d_grad_norm", "g_grad_norm"))
    ):
        raw = [line for line in axes.get_lines() if line.get_alpha() == 0.25]
        for line, column in zip(raw, columns, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), np.stack([log["step"], log[column]], axis=1))
        styles = {
            (line.get_color(), line.get_linestyle()) for line in axes.get_lines() if line.get_linewidth() == 1.6
        }
        assert styles == {(viz.BLUE, "-"), (viz.ORANGE, "--")}  # neither colour nor style alone tells them apart
    np.testing.assert_allclose(lines(loss, "generator")[0].get_ydata(), viz._moving_average(log["g_loss"], 5))
    assert [text.get_text() for text in loss.texts] == ["log 4"]
    assert any(np.allclose(line.get_ydata(), math.log(4)) for line in loss.get_lines())
    assert any(np.allclose(line.get_ydata(), 0.5) for line in verdict.get_lines())
    assert verdict.get_ylim() == (-0.03, 1.03) and gradient.get_yscale() == "log"
    assert all(axes.get_shared_x_axes().joined(loss, axes) for axes in figure.axes)
    with Image.open(tmp_path / "a.png") as file:
        assert file.size == (864, 720)


def test_a_legend_never_covers_data():
    figure = viz.curves(a_log())
    figure.savefig(io.BytesIO())  # places everything
    for axes in figure.axes:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1 - 1
        title = axes._left_title.get_window_extent()
        assert axes.get_legend().get_window_extent().x0 > title.x1


def test_curves_take_what_there_is():
    log = a_log()
    for name in ("step", "d_real", "d_fake", "g_grad_norm"):
        del log[name]
    log["g_loss"] = np.full(400, np.nan)
    loss, gradient = viz.curves(log, reference=None).axes
    assert list(loss.texts) == [] and gradient.get_xlabel() == "entry of the log"
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["discriminator"]
    assert lines(loss, "discriminator")[0].get_xdata()[[0, -1]].tolist() == [1, 400]
    assert [text.get_text() for text in viz.curves(log, reference=2.5).axes[0].texts] == ["2.5"]


@pytest.mark.parametrize("T", [1, 2, 200])
def test_curves_of_any_length_and_of_a_run_that_broke(T):
    log = a_log(T)
    log["g_grad_norm"][:] = 0
    log["d_loss"][T // 2 + 1 :] = np.inf
    log["d_real"][:] = -np.inf
    assert len(viz.curves(log)._repr_png_()) > 5_000
    log["d_grad_norm"][:] = 0  # nothing at all that a log axis could show
    assert len(viz.curves(log)._repr_png_()) > 5_000


def test_curves_refuse_in_a_sentence():
    with pytest.raises(ValueError, match=r"equally long, not step \(400,\), d_loss \(3,\)"):
        viz.curves({"step": a_log()["step"], "d_loss": np.ones(3)})
    for log in ({}, {"step": np.arange(3)}, {"d_loss": []}, {"d_loss": [np.nan]}, {"seconds": [1.0]}):
        with pytest.raises(ValueError, match="nothing to draw: the log has no finite value under d_loss"):
            viz.curves(log)


# density_2d


def test_density_lies_where_it_is(tmp_path):
    def density(points):  # a blob at (2, -1)
        return np.exp(-((points - [2, -1]) ** 2).sum(axis=1) / 0.1)

    samples = np.array([[2.0, -1.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
    figure = viz.density_2d(density, samples, tmp_path / "a.png", extent=(0, 4, -2, 2), title="one blob")
    (axes,) = figure.axes
    drawn = axes.images[0].get_array()
    assert drawn.shape == (300, 300) and axes.images[0].origin == "lower"
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert column in (149, 150) and row in (74, 75)  # x = 2 of 0..4, y = -1 of -2..2
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), samples[:2])
    assert axes.get_title("left") == "one blob" and axes.get_aspect() == 1
    figure = viz.density_2d(np.arange(6).reshape(2, 3), samples, extent=(0, 3, 0, 2))
    assert figure.axes[0].images[0].get_extent() == [0, 3, 0, 2]


def test_density_of_a_function_is_drawn_around_the_samples():
    calls = []
    density = lambda points: calls.append(points) or np.ones(len(points))
    viz.density_2d(density, np.array([[0.0, 0.0], [10.0, 2.0]]))
    np.testing.assert_allclose(calls[0].min(axis=0), [-0.98, -4.98])  # 12 wide, centred on (5, 1)
    np.testing.assert_allclose(calls[0].max(axis=0), [10.98, 6.98])


def test_density_refuses_in_a_sentence():
    with pytest.raises(ValueError, match=r"\(M, 2\), not \(5, 3\)"):
        viz.density_2d(np.ones((2, 2)), np.ones((5, 3)))
    with pytest.raises(ValueError, match="say where the density lies"):
        viz.density_2d(np.ones((2, 2)), np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"\(H, W\), not \(4,\)"):
        viz.density_2d(np.ones(4), np.ones((5, 2)), extent=(0, 1, 0, 1))


# error_maps


def test_error_maps_show_the_worst_entry(tmp_path):
    error = np.full((5, 3, 1, 2), 1e-9)
    error[3, 2, 0, 1] = 0.25  # column 5 of row 3
    figure = viz.error_maps([("W", error, True), ("b", np.zeros(7), False)], tmp_path / "a.png")
    W, b, bar = figure.axes
    assert [axes.images[0].get_array().shape for axes in (W, b)] == [(5, 6), (1, 7)]
    assert W.lines[0].get_xydata().tolist() == [[5, 3]]
    assert W.get_xlabel() == "worst 0.2 at [3, 2, 0, 1]" and b.get_xlabel() == "worst 0 at [0]"
    assert W.title is not W._left_title and to_rgb(W._left_title.get_color()) == to_rgb(viz.RED)
    assert to_rgb(b._left_title.get_color()) == to_rgb(viz.INK)
    assert bar.get_ylabel() == "relative error" and bar.get_ylim() == pytest.approx((1e-12, 1))
    assert {axes.images[0].get_clim() for axes in (W, b)} == {(1e-12, 1)}


def test_error_maps_keep_nan_grey_and_an_infinity_red():
    figure = viz.error_maps([("W", np.array([[np.nan, np.inf], [1e-9, 0]]), True), ("b", np.full(3, np.nan), False)])
    image, none = figure.axes[0].images[0], figure.axes[1]
    colours = image.to_rgba(np.ma.masked_invalid(image.get_array()))[..., :3]
    grey, red, _, blue = colours.reshape(4, 3)
    assert np.ptp(grey) == 0 and red[0] > 2 * red[2] and blue[2] > 2 * blue[0]
    assert figure.axes[0].get_xlabel() == "worst inf at [0, 1]"
    assert none.get_xlabel() == "not checked" and len(none.lines) == 0
    assert len(figure._repr_png_()) > 5_000


def test_one_wrong_entry_of_many_is_never_lost():
    error = np.full((1000, 777), 1e-9)
    error[:, :30] = np.nan
    error[613, 401] = 0.5
    error[612, 402] = np.nan  # in the same block
    (axes, _) = viz.error_maps([("W", error, True)]).axes
    blocks = axes.images[0].get_array()
    assert blocks.shape == (200, 200)
    assert blocks.max() == 0.5 and (blocks == 0.5).sum() == 1
    assert blocks[613 * 200 // 1000, 401 * 200 // 777] == 0.5
    assert axes.lines[0].get_xydata().tolist() == [[401, 613]]


def test_error_maps_of_many_shapes_have_one_scale_and_no_empty_axes():
    shapes = [(), (1,), (4,), (3, 2), (2, 3, 4), (1, 1, 3, 3), (500, 2)]
    figure = viz.error_maps([(str(shape), np.full(shape, 1e-7), False) for shape in shapes])
    assert len(figure.axes) == len(shapes) + 1
    assert len(figure._repr_png_()) > 5_000


def test_error_maps_refuse_in_a_sentence():
    with pytest.raises(ValueError, match="at least one panel"):
        viz.error_maps([])
    with pytest.raises(ValueError, match=r"W: errors are numbers from 0 up \(not their logarithms\)"):
        viz.error_maps([("W", np.array([-9.0, np.nan]), False)])
    with pytest.raises(ValueError, match="b: errors are .* at least one"):
        viz.error_maps([("b", np.zeros(0), False)])


# every figure


def test_figures_need_no_pyplot_and_show_in_a_notebook():
    code = """if True:
        import sys, numpy as np
        from minigan import viz
        figures = [viz.curves({"d_loss": [1.0, 2.0]}), viz.error_maps([("W", np.zeros((2, 2)), False)]),
                   viz.density_2d(np.ones((2, 2)), np.zeros((1, 2)), extent=(0, 1, 0, 1))]
        assert all(figure._repr_png_().startswith(b"\\x89PNG") for figure in figures)
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_figure_gives_the_same_bytes_and_survives_a_failing_save(tmp_path, monkeypatch):
    log = {name: a_log()[name] for name in ("d_loss", "g_loss")}  # one panel is quicker than three
    for name in ("a.png", "b.png"):
        viz.curves(log, tmp_path / name)
    old = (tmp_path / "a.png").read_bytes()
    assert old == (tmp_path / "b.png").read_bytes()

    def stop(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(OSError, match="the disk is full"):
        viz.curves({"d_loss": log["g_loss"]}, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_word_curves_show_the_phases_and_leave_out_what_is_not_there():
    steps = np.arange(10, 110, 10)
    phase = np.repeat([0.0, 1.0, 2.0], [5, 2, 3])
    log = {name: np.linspace(2, 1, 10) for name in ("nll", "nll_test", "d_loss", "reward")}
    log |= {"step": steps, "phase": phase, "nll_oracle": np.zeros(10)}
    figure = viz.word_curves(log)
    assert len(figure.axes) == 3
    batch, held_out, *parts = figure.axes[0].lines
    assert batch.get_xdata().tolist() == steps[:5].tolist() and len(held_out.get_xdata()) == 10
    assert [line.get_xdata()[0] for line in parts] == [60, 80]  # where D alone begins, and the game
    assert figure.axes[2].lines[0].get_xdata().tolist() == steps[7:].tolist()
    assert len(viz.word_curves(log | {"nll_oracle": np.ones(10)}).axes) == 4
    assert len(viz.word_curves({name: a[:5] for name, a in log.items()} | {"d_loss": np.zeros(5)}).axes) == 1
