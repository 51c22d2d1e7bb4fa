"""Films are read back: frame by frame, colour by colour; ffmpeg is a stand-in, as most machines have none."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minigan.data.clips import moving_digits, moving_shapes
from minigan.viz.film import film_strips, save_clips, save_film_strips, save_mp4
from minigan.viz.grids import SEPARATOR, grid


def gif_frames(path):
    """The frames of a GIF, uint8 (T, H, W, 3), and their durations in ms."""
    with Image.open(path) as file:
        frames, durations = [], []
        for k in range(file.n_frames):
            file.seek(k)
            frames.append(np.asarray(file.convert("RGB")))
            durations.append(file.info["duration"])
        assert file.info["loop"] == 0  # for ever
    return np.stack(frames), durations


def test_the_module_needs_numpy_alone():
    code = "import sys, minigan.viz.film; print(sorted({'matplotlib', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# GIF


def test_nine_clips_are_a_small_gif_in_their_colours(tmp_path):
    shapes = moving_shapes(9, seed=3)
    path = tmp_path / "clips.gif"
    save_clips(path, shapes.clips, fps=8)
    assert path.stat().st_size < 100_000
    frames, durations = gif_frames(path)
    assert durations == [120] * 16  # 1 / 8 s in hundredths
    truth = np.stack([grid(shapes.clips[:, t], 3, scale=3) for t in range(16)])
    assert frames.shape == truth.shape == (16, 312, 312, 3)
    error = np.linalg.norm(frames.astype(float) - truth, axis=3)
    assert error.mean() < 0.3 and error.max() < 20
    first = path.read_bytes()
    save_clips(path, shapes.clips, fps=8)
    assert path.read_bytes() == first and list(tmp_path.iterdir()) == [path]


def test_noisy_clips_stay_small_and_keep_their_colours(tmp_path):
    """As a generator's: most pixels are ground, and their noise must not take the palette from the shapes."""
    shapes = moving_shapes(9, seed=3)
    noisy = np.clip(shapes.clips + np.random.default_rng(0).normal(0, 12, shapes.clips.shape), 0, 255).astype(
        np.uint8
    )
    save_clips(tmp_path / "clips.gif", noisy)
    assert (tmp_path / "clips.gif").stat().st_size < 600_000
    frames, _ = gif_frames(tmp_path / "clips.gif")
    truth = np.stack([grid(noisy[:, t], 3, scale=3) for t in range(16)]).astype(float)
    lit = truth.max(axis=3) > 90
    assert np.linalg.norm(frames - truth, axis=3)[lit].mean() < 16


def test_colours_do_not_flicker(tmp_path):
    """A pixel that does not change has one colour in all frames, whatever happens beside it."""
    rng = np.random.default_rng(1)
    still = rng.integers(0, 256, (1, 1, 12, 12, 3), dtype=np.uint8).repeat(10, axis=1)
    wild = rng.integers(0, 256, (1, 10, 12, 12, 3), dtype=np.uint8)
    save_clips(tmp_path / "a.gif", np.concatenate([still, wild]), columns=2, scale=2, pad=1)
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert (frames[:, 2:26, 2:26] == frames[:1, 2:26, 2:26]).all()
    assert (frames[1:, 2:26, 28:52] != frames[:-1, 2:26, 28:52]).any()
    assert (frames[:, 2:26:2, 2:26:2] == frames[:, 3:27:2, 3:27:2]).all()  # pixels are repeated, not blurred


@pytest.mark.parametrize(
    "rows, columns, cells", [(None, None, (2, 3)), (1, None, (1, 5)), (None, 2, (3, 2)), (2, 2, (2, 2))]
)
def test_rows_and_columns(tmp_path, rows, columns, cells):
    values = np.array([50, 100, 150, 200, 250], np.uint8)
    clips = np.broadcast_to(values[:, None, None, None], (5, 2, 4, 4)).copy()
    clips[:, 1] //= 2
    save_clips(tmp_path / "a.gif", clips, rows, columns, scale=1, pad=1)
    frames, _ = gif_frames(tmp_path / "a.gif")
    assert frames.shape == (2, 5 * cells[0] + 1, 5 * cells[1] + 1, 3)
    for t in range(2):
        shown = frames[t, 2::5, 2::5, 0][: cells[0], : cells[1]].ravel()
        truth = [*clips[: cells[0] * cells[1], t, 0, 0], SEPARATOR, SEPARATOR]
        np.testing.assert_array_equal(shown, truth[: len(shown)])


def test_floats_and_grey(tmp_path):
    digits = moving_digits(4, 32, seed=1).clips
    save_clips(tmp_path / "bytes.gif", digits)
    save_clips(tmp_path / "floats.gif", (digits / 127.5 - 1).astype(np.float32))
    assert (tmp_path / "bytes.gif").read_bytes() == (tmp_path / "floats.gif").read_bytes()
    frames, _ = gif_frames(tmp_path / "bytes.gif")
    truth = np.stack([grid(digits[:, t], 2, scale=3) for t in range(16)])
    assert abs(frames.astype(int) - truth[..., None]).max() <= 4 and (np.ptp(frames, axis=3) == 0).all()


# film strips


def test_a_film_strip_is_one_clip_a_row(tmp_path):
    clips = moving_shapes(3, seed=2).clips
    picture = film_strips(clips, pad=1)
    assert picture.shape == (3 * 33 + 1, 16 * 33 + 1, 3)
    for n in (0, 2):
        for t in (0, 7, 15):
            top, left = 1 + 33 * n, 1 + 33 * t
            np.testing.assert_array_equal(picture[top : top + 32, left : left + 32], clips[n, t])
    save_film_strips(tmp_path / "a.png", clips, scale=2)
    with Image.open(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(np.asarray(file), film_strips(clips, scale=2))
    assert film_strips(clips[..., 0] / 127.5 - 1).shape == (100, 529)


# MP4


def stand_in(folder, code):
    """A program named ffmpeg in folder: `code` in Python, with argv and the piped frames as `data`."""
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable}\nimport sys\nargv, data = sys.argv, sys.stdin.buffer.read()\n{code}\n")
    path.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
def test_ffmpeg_gets_the_raw_frames(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    stand_in(tmp_path, "open(argv[-1], 'wb').write(' '.join(argv[1:-1]).encode() + b'|' + data)")
    clips = moving_shapes(2, 17, frames=5, seed=1).clips
    path = tmp_path / "a.mp4"
    save_mp4(path, clips, columns=2, scale=1, fps=12.5, pad=1, times=3)
    said, data = path.read_bytes().split(b"|", 1)
    assert b"-f rawvideo -pix_fmt rgb24 -s 38x20 -r 12.5 -i -" in said and b"yuv420p" in said
    frames = np.frombuffer(data, np.uint8).reshape(3, 5, 20, 38, 3)  # 37 x 19 has odd sides
    for t in range(5):
        np.testing.assert_array_equal(frames[:, t, :19, :37], np.stack([grid(clips[:, t], 2, pad=1)] * 3))
    assert (frames[:, :, 19] == frames[:, :, 18]).all() and (frames[..., 37, :] == frames[..., 36, :]).all()
    save_mp4(path, clips[..., 0], scale=2, times=1)  # grey
    assert len(path.read_bytes().split(b"|", 1)[1]) == 5 * 42 * 80 * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "ffmpeg"]


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a script")
@pytest.mark.parametrize(
    "code, says",
    [
        ("sys.exit('first line\\nUnknown encoder')", r"could not write .*a.mp4 \(Unknown encoder\): write a .gif"),
        ("pass", "it gave no reason"),
    ],
)
def test_a_failing_ffmpeg_says_why_and_leaves_the_old_film(tmp_path, monkeypatch, code, says):
    monkeypatch.setenv("PATH", str(tmp_path))
    stand_in(tmp_path, code)
    (tmp_path / "a.mp4").write_bytes(b"the old one")
    with pytest.raises(RuntimeError, match=says):
        save_mp4(tmp_path / "a.mp4", moving_shapes(1, 16, 2).clips)
    assert (tmp_path / "a.mp4").read_bytes() == b"the old one"


def test_without_ffmpeg_one_sentence_tells_to_write_a_gif(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError) as error:
        save_mp4(tmp_path / "a.mp4", moving_shapes(1, 16, 2).clips)
    assert "a.mp4 needs ffmpeg" in str(error.value) and "name it .gif instead." in str(error.value)
    assert list(tmp_path.iterdir()) == []


# what is refused


@pytest.mark.parametrize(
    "call, error, says",
    [
        (lambda p, x: save_clips(p / "a.mp4", x), ValueError, "written as .gif"),
        (lambda p, x: save_mp4(p / "a.gif", x), ValueError, "written as .mp4"),
        (lambda p, x: save_film_strips(p / "a.gif", x), ValueError, "written as .png"),
        (lambda p, x: save_clips(p / "a.gif", x[0, 0]), ValueError, r"not \(16, 16, 3\)"),
        (lambda p, x: save_clips(p / "a.gif", x[:0]), ValueError, r"not \(0, 2, 16, 16, 3\)"),
        (lambda p, x: save_clips(p / "a.gif", x.astype(int)), TypeError, "uint8 or floats"),
        (lambda p, x: save_clips(p / "a.gif", x * np.nan), ValueError, "NaN"),
        (lambda p, x: save_clips(p / "a.gif", x, fps=60), ValueError, "1 to 50 frames a second, not at 60"),
        (lambda p, x: save_clips(p / "a.gif", x, rows=0), ValueError, "rows 0 and columns None must be at least 1"),
        (lambda p, x: save_clips(p / "a.gif", x, scale=0), ValueError, "scale must be at least 1"),
        (lambda p, x: save_mp4(p / "a.mp4", x, times=0), ValueError, "times at least 1"),
        (lambda p, x: film_strips(x[..., :2]), ValueError, r"not \(2, 2, 16, 16, 2\)"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, call, error, says):
    with pytest.raises(error, match=says):
        call(tmp_path, moving_shapes(2, 16, 2).clips)
    assert list(tmp_path.iterdir()) == []
