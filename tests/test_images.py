"""Every kind of picture comes out upright, square and uint8, and no damaged file stops the loading."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from minigan.data import load_folder

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def solid(colour, size=(8, 8), mode="RGB"):
    return Image.new(mode, size, colour)


def test_every_format_in_sorted_order(tmp_path):
    colours = {"a.bmp": RED, "b.GIF": GREEN, "c.png": BLUE, "d.PNG": WHITE, "e.webp": RED}
    for name, colour in reversed(colours.items()):
        solid(colour).save(tmp_path / name, **({"lossless": True} if "webp" in name else {}))
    solid(GREEN).save(tmp_path / "f.JPG", quality=100)
    solid(BLUE).save(tmp_path / "g.Jpeg", quality=100)
    (tmp_path / "notes.txt").write_text("not a picture, and not called one")
    (tmp_path / "folder.png").mkdir()
    images, skipped = load_folder(str(tmp_path), 4)
    assert images.shape == (7, 4, 4, 3) and images.dtype == np.uint8 and skipped == []
    expected = np.array([*colours.values(), GREEN, BLUE])[:, None, None]
    assert abs(images.astype(int) - expected).max() <= 2  # JPEG is not exact


def test_grey(tmp_path):
    solid(RED).save(tmp_path / "a.png")
    solid(200, mode="L").save(tmp_path / "b.png")
    images, _ = load_folder(tmp_path, 4, colour=False)
    assert images.shape == (2, 4, 4, 1)
    assert (images[0] == 76).all() and (images[1] == 200).all()  # luma of red: 0.299 * 255
    images, _ = load_folder(tmp_path, 4)
    assert (images[1] == 200).all() and images.shape == (2, 4, 4, 3)


def test_centre_crop(tmp_path):
    wide = np.repeat(np.array([RED, GREEN, BLUE], np.uint8), 10, axis=0)[None].repeat(10, axis=0)  # (10, 30, 3)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2).copy()).save(tmp_path / "tall.png")
    images, _ = load_folder(tmp_path, 10)
    assert (images == GREEN).all()
    images, _ = load_folder(tmp_path, 5)
    assert (images == GREEN).all()


def test_resizing_is_antialiased_and_keeps_places(tmp_path):
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "a.png")
    images, _ = load_folder(tmp_path, 8, colour=False)
    assert abs(images.astype(int) - 127).max() < 12  # picking pixels would give 0 and 255
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (64, 64))
    Image.fromarray(ramp.copy()).save(tmp_path / "a.png")
    images, _ = load_folder(tmp_path, 8, colour=False)
    middle = np.arange(1, 7)
    np.testing.assert_allclose(images[0, 3, 1:7, 0], 4 * (8 * middle + 3.5), atol=1)  # means of 8 columns
    assert (np.ptp(images[0], axis=0) == 0).all()  # rows alike: not transposed


UPRIGHT = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(8, axis=0).repeat(8, axis=1)  # (16, 16, 3)
STORED = {  # how the camera stores it, by the EXIF standard's orientation number
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    picture.save(
        tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {})
    )
    images, _ = load_folder(tmp_path, 16)
    assert abs(images[0].astype(int) - UPRIGHT).max() <= 4


CUT_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\xff\0\0\0\x99"  # Pillow warns of this one


@pytest.mark.parametrize(
    "name, exif", [("a.jpg", b"Exif\0\0garbage"), ("b.jpg", CUT_EXIF), ("a.png", b"garbage"), ("b.png", CUT_EXIF)]
)
def test_damaged_exif_does_not_lose_the_picture(tmp_path, name, exif):
    solid(BLUE).save(tmp_path / name, exif=exif)
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        images, skipped = load_folder(tmp_path, 4)
    assert skipped == [] and abs(images.astype(int) - BLUE).max() <= 2
    assert leaked == []


def palette(transparency=None):
    picture = Image.new("P", (8, 8), 3)
    picture.putpalette([*RED, *GREEN, *BLUE, 10, 20, 30])
    return picture, {} if transparency is None else {"transparency": transparency}


@pytest.mark.parametrize(
    "name, picture, options, expected",
    [
        ("rgba.png", solid((255, 100, 0, 51), mode="RGBA"), {}, (51, 20, 0)),  # 51 / 255 is a fifth
        ("clear.png", solid((255, 255, 255, 0), mode="RGBA"), {}, (0, 0, 0)),
        ("rgba.webp", solid((255, 100, 0, 51), mode="RGBA"), {"lossless": True}, (51, 20, 0)),
        ("la.png", solid((250, 51), mode="LA"), {}, (50, 50, 50)),
        ("keyed.png", solid(RED), {"transparency": RED}, (0, 0, 0)),
        ("palette.png", *palette(), (10, 20, 30)),
        ("palette_clear.png", *palette(3), (0, 0, 0)),
        ("palette_half.png", *palette(bytes([255, 255, 255, 51])), (2, 4, 6)),
        ("palette.gif", *palette(), (10, 20, 30)),
        ("palette_clear.gif", *palette(3), (0, 0, 0)),
        ("bits.png", solid(1, mode="1"), {}, WHITE),
        ("sixteen.png", solid(40_000, mode="I;16"), {}, (156, 156, 156)),  # 40000 / 257 = 155.6
        ("sixteen_white.png", solid(65_535, mode="I;16"), {}, WHITE),
        ("cmyk.jpg", solid((0, 255, 255, 0), mode="CMYK"), {"quality": 100}, RED),
    ],
)
def test_every_kind_of_pixel(tmp_path, name, picture, options, expected):
    picture.save(tmp_path / name, **options)
    images, skipped = load_folder(tmp_path, 4)
    assert skipped == []
    assert abs(images[0].astype(int) - expected).max() <= 1
    grey, _ = load_folder(tmp_path, 4, colour=False)
    assert abs(grey[0].astype(int) - np.dot(expected, [0.299, 0.587, 0.114])).max() <= 2


def test_animation_gives_its_first_frame(tmp_path):
    solid(RED).save(tmp_path / "a.gif", save_all=True, append_images=[solid(BLUE), solid(GREEN)])
    images, _ = load_folder(tmp_path, 4)
    assert images.shape == (1, 4, 4, 3) and (images == RED).all()


def test_bad_files_are_skipped_with_a_reason(tmp_path, monkeypatch):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8))
    for name in ("cut.png", "cut.jpg", "cut.webp", "cut.gif", "cut.bmp"):
        noise.save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("<html>Not found</html>")
    (tmp_path / "program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (tmp_path / "link.png").symlink_to(tmp_path / "gone")
    solid(BLUE, (60, 50)).save(tmp_path / "large.png")
    solid(BLUE, (80, 80)).save(tmp_path / "larger.png")
    solid(RED).save(tmp_path / "good.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2500)  # Pillow warns of large.png and refuses larger.png
    images, skipped = load_folder(tmp_path, 4)
    assert images.shape == (1, 4, 4, 3) and (images == RED).all()
    expected = {
        "cut.bmp": "is cut short or damaged",
        "cut.gif": "is cut short or damaged",
        "cut.jpg": "is cut short or damaged",
        "cut.png": "is cut short or damaged",
        "cut.webp": "is cut short or damaged",
        "empty.png": "is empty",
        "large.png": "is too large to open safely (more than 2,500 pixels)",
        "larger.png": "is too large to open safely",
        "link.png": "is not a file",
        "program.png": "is not a picture",
        "text.jpg": "is not a picture",
    }
    assert [path for path, _ in skipped] == [tmp_path / name for name in expected]
    for (_, reason), start in zip(skipped, expected.values()):
        assert reason.startswith(start) and "\n" not in reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_raises_or_changes_the_shape(tmp_path_factory, suffix, data):
    folder = tmp_path_factory.mktemp("damage")
    solid(RED).save(folder / "good.png")
    path = folder / f"a.{suffix}"
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    images, skipped = load_folder(folder, 4)
    assert len(images) + len(skipped) == 2 and images.shape[1:] == (4, 4, 3) and (images[-1] == RED).all()


def test_errors_are_one_sentence(tmp_path):
    (tmp_path / "text.jpg").write_text("no")
    (tmp_path / "empty").mkdir()
    cases = [
        (lambda: load_folder(tmp_path / "nowhere", 8), FileNotFoundError, "nowhere"),
        (lambda: load_folder(tmp_path / "text.jpg", 8), FileNotFoundError, "no folder"),
        (lambda: load_folder(tmp_path, 8), ValueError, "the first of 1 files, text.jpg, is not a picture"),
        (lambda: load_folder(tmp_path / "empty", 8), ValueError, ".png .jpg"),
        (lambda: load_folder(tmp_path, 0), ValueError, "size"),
        (lambda: load_folder(tmp_path, 2.5), ValueError, "size"),
    ]
    for call, kind, what in cases:
        with pytest.raises(kind) as error:
            call()
        assert what in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)


def test_what_does_not_fit_into_memory_lies_in_a_file(tmp_path):
    for i in range(6):
        solid((40 * i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    here, _ = load_folder(tmp_path, 8)
    there, skipped = load_folder(tmp_path, 8, memory=6 * 8 * 8 * 3)
    assert not isinstance(here, np.memmap) and isinstance(there, np.memmap)
    assert np.array_equal(here, there) and len(there) == 6 and len(skipped) == 1
