"""The shipped digits are what they claim to be, and no damaged file is ever read as if it were good."""

import gzip
import hashlib
import http.server
import io
import logging
import socket
import struct
import subprocess
import sys
import threading

import numpy as np
import pooch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan.data import digits
from minigan.data.digits import (
    build_shipped,
    fetch_mnist,
    load_digits,
    load_mnist,
    read_idx,
    scale,
    unscale,
    verify_mnist,
)

NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def idx(array):
    """The IDX format written down a second time, from its specification."""
    header = struct.pack(">HBB", 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def one_sentence(error, *parts):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    assert not [part for part in parts if str(part) not in text], text


# The shipped digits


@pytest.mark.parametrize(
    "split, n, images_sha, labels_sha, mean",
    [
        (
            "train",
            10_000,
            "4b362a32c07dcfcd3b57c7047cc5a80ea06412b88e9f7e484251004d2636bd5a",
            "c100ecfaa66f600dcffc534c9578360912e1992ec1c5b0882a0469361a19700a",
            33.54,
        ),
        (
            "test",
            2_000,
            "4bb122a3c76d8fc5d2dc4288ce4e8ce032d1f8f1cc16488dc4bb6e30b76f82b3",
            "976ee137d3860f38fc5544e093efe01c15b882d4628c8a2324d5938efc429300",
            34.15,
        ),
    ],
)
def test_shipped_digits(split, n, images_sha, labels_sha, mean):
    images, labels = load_digits(split)
    assert images.shape == (n, 28, 28, 1) and images.dtype == np.uint8
    assert labels.shape == (n,) and labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [n // 10] * 10
    assert sha256(images.tobytes()) == images_sha
    assert sha256(labels.astype("<i8").tobytes()) == labels_sha
    assert images.mean() == pytest.approx(mean, abs=0.01)  # all of MNIST: 33.3 and 33.8
    assert len(np.unique(images.reshape(n, -1), axis=0)) == n
    images[0, 0, 0, 0] = 1  # the arrays are the caller's own


def test_shipped_digits_look_like_digits():
    images, labels = load_digits()
    assert labels[:6].tolist() == [5, 0, 4, 1, 9, 2]  # the first of each class, and MNIST begins so
    ink = images[..., 0].astype(float)
    assert ink[:, :2].mean() < 1 and ink[:, 14, 14].mean() > 80  # a clean border, and drawn in the middle
    ones, zeros = ink[labels == 1].mean(axis=0), ink[labels == 0].mean(axis=0)
    assert (ones > 60).any(axis=1).sum() > 1.5 * (ones > 60).any(axis=0).sum()  # a one is tall, so rows are rows
    assert zeros[14, 14] < 20 < zeros[14, 7]  # and a zero has a hole
    sevens = ink[labels == 7].mean(axis=0)
    assert 6 < sevens.sum(axis=1).argmax() < 12  # the bar of a seven is near the top


def test_shipped_splits_do_not_share_a_digit():
    train, test = ({image.tobytes() for image in load_digits(split)[0]} for split in ("train", "test"))
    assert not train & test


def test_a_nearest_mean_classifier_reads_the_shipped_digits():
    """Labels belong to their images: shuffled ones would give 10 %; the known figure for all of MNIST is 82 %."""
    (x, y), (x_test, y_test) = load_digits("train"), load_digits("test")
    means = np.stack([x[y == k].mean(axis=0).ravel() for k in range(10)])
    scores = x_test.reshape(len(x_test), -1) @ means.T - (means**2).sum(axis=1) / 2
    assert (scores.argmax(axis=1) == y_test).mean() > 0.78


def test_the_shipped_file_is_small():
    assert digits.SHIPPED.stat().st_size < 2_100_000


@pytest.mark.parametrize("call", [load_digits, lambda split: load_mnist("nowhere", split)])
def test_bad_split(call):
    with pytest.raises(ValueError) as error:
        call("validation")
    one_sentence(error, "train", "test", "validation")


def test_importing_the_data_needs_numpy_alone():
    code = "import sys, minigan.data, minigan.data.toy; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"PIL", "pooch", "tqdm", "requests", "matplotlib", "cupy"} & set(loaded)


# Scaling


def test_scale_known_values():
    images = np.array([[0, 51], [204, 255]], dtype=np.uint8)
    np.testing.assert_allclose(scale(images), [[-1, -0.6], [0.6, 1]], atol=1e-7)
    np.testing.assert_allclose(scale(images, 0, 1), [[0, 0.2], [0.8, 1]], atol=1e-7)
    assert scale(images).dtype == np.float32
    assert scale(images).min() == -1 and scale(images).max() == 1  # the ends are exact


@settings(deadline=None)
@given(st.floats(-100, 100), st.floats(1e-3, 100))
def test_unscale_inverts_scale(low, width):
    images = np.arange(256, dtype=np.uint8).reshape(4, 64)
    back = unscale(scale(images, low, low + width).astype(np.float64), low, low + width)
    if width > abs(low) / 1000:  # else float32 itself cannot tell 256 levels apart
        np.testing.assert_array_equal(back, images)
    assert back.dtype == np.uint8 and back.shape == images.shape


def test_unscale_rounds_and_clips():
    x = np.array([-np.inf, -3, -1, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 1, 1.01, np.inf], dtype=np.float32)
    assert unscale(x).tolist() == [0, 0, 0, 0, 1, 255, 255, 255]


def test_scaling_errors():
    for call in (lambda: scale(np.zeros(3, np.uint8), 1, 1), lambda: unscale(np.zeros(3), 2, 1)):
        with pytest.raises(ValueError) as error:
            call()
        one_sentence(error, "low", "high")
    with pytest.raises(ValueError) as error:
        scale(np.zeros(3, np.float32))
    one_sentence(error, "uint8", "float32")
    with pytest.raises(ValueError) as error:
        unscale(np.array([0.0, np.nan]))
    one_sentence(error, "NaN")


# IDX files


@settings(deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)), st.booleans())
def test_idx_round_trip(tmp_path_factory, array, packed):
    path = tmp_path_factory.mktemp("idx") / "array"  # no .gz in the name: the content decides
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    back = read_idx(path)
    assert back.dtype == np.uint8 and back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    back[...] = 0  # writable


SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "content, what",
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file"),
        (b"\0\0\x0d\x01" + struct.pack(">If", 1, 0.5), "type 0x0d"),
        (b"\0\0\x08\x00", "0 dimensions"),
        (b"\0\0\x08\x28" + bytes(300), "40 dimensions"),
        (b"\0\0\x08\x03\0\0\0", "inside its header"),
        (idx(SMALL)[:-1], "promises 24 bytes for shape (2, 3, 4) but holds 23: it is cut short"),
        (idx(SMALL)[:16], "holds 0: it is cut short"),
        (idx(SMALL) + b"\0", "holds 25: there are trailing bytes"),
        (b"\0\0\x08\x04" + b"\xff" * 16 + bytes(9), "cut short"),  # sizes whose product leaves 64 bits
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_corruption(tmp_path, content, what, packed):
    path = tmp_path / "some-idx3-ubyte"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError) as error:
        read_idx(path)
    one_sentence(error, what, path)


def test_every_truncation_of_a_gzip_is_noticed(tmp_path):
    path, content = tmp_path / "some.gz", gzip.compress(idx(SMALL))
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError) as error:
            read_idx(path)
        one_sentence(error, path)


def test_no_flipped_bit_in_a_gzip_gives_other_digits(tmp_path):
    path, content = tmp_path / "some.gz", gzip.compress(idx(SMALL))
    noticed = 0
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_idx(path), SMALL)  # a bit of the header's date, say, does no harm
        except ValueError:
            noticed += 1
    assert noticed > 4 * len(content)


def test_idx_missing_file_or_folder(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(FileNotFoundError) as error:
            read_idx(path)
        one_sentence(error, path)


# Folders of MNIST


def write_mnist(folder, images, labels, suffix=".gz", dotted=False, prefixes=("train", "t10k")):
    folder.mkdir(exist_ok=True)
    for prefix in prefixes:
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            name = f"{prefix}-{kind.replace('-idx', '.idx') if dotted else kind}{suffix}"
            content = idx(array)
            (folder / name).write_bytes(gzip.compress(content, 1) if suffix else content)


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9, 0])


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("split, prefix", [("train", "train"), ("test", "t10k")])
def test_load_mnist(tmp_path, suffix, dotted, split, prefix):
    write_mnist(tmp_path, IMAGES, LABELS, suffix, dotted, [prefix])
    images, labels = load_mnist(str(tmp_path), split)
    assert images.dtype == np.uint8 and labels.dtype == np.int64
    np.testing.assert_array_equal(images, IMAGES[..., None])
    np.testing.assert_array_equal(labels, LABELS)


def test_load_mnist_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_mnist(tmp_path / "no such folder")
    one_sentence(error, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "no such folder")
    write_mnist(tmp_path, IMAGES, LABELS)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError) as error:
        load_mnist(tmp_path, "test")
    one_sentence(error, "t10k-labels-idx1-ubyte")
    assert "images" not in str(error.value)


@pytest.mark.parametrize(
    "images, labels, what",
    [
        (IMAGES, LABELS[:-1], "(6,), but there are 7 images"),
        (IMAGES, LABELS[:, None], "(7, 1)"),
        (IMAGES, np.where(LABELS == 9, 10, LABELS), "label 10"),
        (IMAGES[:, :27], LABELS, "(7, 27, 28)"),
        (LABELS, LABELS, "(7,) where"),
    ],
)
def test_load_mnist_wrong_files(tmp_path, images, labels, what):
    write_mnist(tmp_path, images, labels)
    with pytest.raises(ValueError) as error:
        load_mnist(tmp_path)
    one_sentence(error, what, tmp_path)


def test_build_shipped(tmp_path):
    """Each image carries its own number in its first pixels, so the choice can be read off the result."""
    n = 13_000
    labels = np.random.default_rng(1).permutation(np.arange(n) % 10)
    images = np.zeros((n, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(n) // 256, np.arange(n) % 256
    write_mnist(tmp_path, images, labels)
    build_shipped(tmp_path, tmp_path / "a.npz")
    build_shipped(tmp_path, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as arrays:
        for split, count in (("train", 1000), ("test", 200)):
            number = arrays[f"{split}_images"][:, 0, :2].astype(int) @ [256, 1]
            assert (np.diff(number) > 0).all()  # in the file's order, none twice
            np.testing.assert_array_equal(arrays[f"{split}_labels"], labels[number])
            for digit in range(10):
                rank = np.flatnonzero(np.isin(np.flatnonzero(labels == digit), number))
                assert len(rank) == count and rank[0] == 0 and rank[-1] == n // 10 - 1
                assert np.ptp(np.diff(rank)) <= 1  # evenly spaced


def test_build_shipped_needs_enough_digits(tmp_path):
    write_mnist(tmp_path, IMAGES, LABELS)
    with pytest.raises(ValueError) as error:
        build_shipped(tmp_path, tmp_path / "a.npz")
    one_sentence(error, "1 images of 0 in train where 1000")
    assert not (tmp_path / "a.npz").exists()


# Fetching, from a server on this machine


CONTENT = {name: f"what is inside {name}".encode() for name in NAMES}
PACKED = {name: gzip.compress(content, mtime=0) for name, content in CONTENT.items()}


@pytest.fixture
def tiny_mnist(monkeypatch):
    """Four made-up files in the place of MNIST's."""
    monkeypatch.setattr(digits, "MNIST_FILES", {n: (sha256(PACKED[n]), sha256(CONTENT[n])) for n in NAMES})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def serve(tmp_path):
    """serve(name, files) starts a mirror and returns its address and the list of paths it was asked for."""
    servers = []

    def start(name, files):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / f"{file}.gz").write_bytes(content)
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=folder)

            def log_message(self, *args):
                asked.append(self.path) if args[0].startswith('"') else None

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def dead():
    """The address of a mirror that refuses every connection: the port is bound here, but nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_the_real_registry():
    assert list(digits.MNIST_FILES) == NAMES
    hashes = [value for pair in digits.MNIST_FILES.values() for value in pair]
    assert len({*hashes}) == 8 and all(len(value) == 64 and int(value, 16) for value in hashes)
    assert all(mirror.startswith("https://") for mirror in digits.MIRRORS)


def test_fetch(tiny_mnist, serve, tmp_path, capfd):
    mirror, asked = serve("mirror", PACKED)
    folder = fetch_mnist(tmp_path / "deep" / "mnist", progress=False, mirrors=(mirror,))
    assert folder == tmp_path / "deep" / "mnist"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {f"{n}.gz": PACKED[n] for n in NAMES}
    assert len(asked) == 4 and verify_mnist(folder) == []
    assert capfd.readouterr() == ("", "")
    fetch_mnist(folder, mirrors=(mirror,))
    fetch_mnist(folder, mirrors=())
    assert len(asked) == 4  # complete: the network is not touched


def test_fetch_shows_its_progress_and_nothing_else(tiny_mnist, serve, tmp_path, capfd):
    mirror, _ = serve("mirror", PACKED)
    logger, said = pooch.get_logger(), io.StringIO()
    logger.setLevel("INFO")  # as pooch leaves it
    handler = logging.StreamHandler(said)
    logger.addHandler(handler)
    fetch_mnist(tmp_path / "mnist", mirrors=(mirror,))
    logger.removeHandler(handler)
    shown = capfd.readouterr()
    assert "100%" in shown.err and shown.out == "" and said.getvalue() == ""


def test_fetch_default_folder(tiny_mnist, serve, tmp_path, monkeypatch):
    mirror, _ = serve("mirror", PACKED)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    assert fetch_mnist(progress=False, mirrors=(mirror,)) == tmp_path / "cache" / "minigan" / "mnist"


def test_fetch_knows_the_home_folder(tiny_mnist, serve, tmp_path, monkeypatch):
    mirror, _ = serve("mirror", PACKED)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert fetch_mnist("~/mnist", progress=False, mirrors=(mirror,)) == tmp_path / "mnist"
    assert verify_mnist("~/mnist") == []


def test_fetch_goes_on_to_the_next_mirror(tiny_mnist, serve, dead, tmp_path):
    wrong, _ = serve("wrong", PACKED | {NAMES[0]: gzip.compress(b"other digits")})
    partial, _ = serve("partial", {NAMES[0]: PACKED[NAMES[0]]})
    folder = fetch_mnist(tmp_path / "mnist", progress=False, mirrors=(dead, wrong, partial))
    assert verify_mnist(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.gz" for name in NAMES)


def test_fetch_all_mirrors_fail(tiny_mnist, serve, dead, tmp_path):
    wrong, _ = serve("wrong", PACKED | {NAMES[1]: b"<html>Please log in</html>"})
    lacking, _ = serve("lacking", {NAMES[0]: PACKED[NAMES[0]]})
    folder = tmp_path / "mnist"
    with pytest.raises(ConnectionError) as error:
        fetch_mnist(folder, progress=False, mirrors=(dead, wrong, lacking))
    one_sentence(error, f"{NAMES[1]}.gz", "minigan data mnist --from FOLDER")
    one_sentence(error, f"{dead}: cannot be reached", f"{wrong}: sent a file with the wrong sha256")
    one_sentence(error, f"{lacking}: HTTP status 404")
    assert NAMES[0] not in str(error.value)
    assert [path.name for path in folder.iterdir()] == [f"{NAMES[0]}.gz"]  # and nothing of the wrong download


def test_fetch_replaces_what_is_damaged_and_keeps_what_is_good(tiny_mnist, serve, tmp_path):
    mirror, asked = serve("mirror", PACKED)
    folder = tmp_path / "mnist"
    folder.mkdir()
    repacked = gzip.compress(CONTENT[NAMES[0]], 1, mtime=99)
    assert repacked != PACKED[NAMES[0]]
    (folder / f"{NAMES[0]}.gz").write_bytes(repacked)
    (folder / NAMES[1].replace("-idx", ".idx")).write_bytes(CONTENT[NAMES[1]])
    (folder / f"{NAMES[2]}.gz").write_bytes(PACKED[NAMES[2]][:-3])
    (folder / NAMES[3]).write_bytes(b"other labels")
    problems = verify_mnist(folder)
    assert len(problems) == 2 and all(problem.endswith(".") for problem in problems)
    assert "damaged gzip" in problems[0] and NAMES[2] in problems[0]
    assert "sha256 differs" in problems[1] and NAMES[3] in problems[1]
    fetch_mnist(folder, progress=False, mirrors=(mirror,))
    assert verify_mnist(folder) == [] and len(asked) == 2
    assert (folder / f"{NAMES[0]}.gz").read_bytes() == repacked


def test_verify_an_empty_folder(tmp_path):
    problems = verify_mnist(tmp_path)
    assert [problem.split()[0] for problem in problems] == NAMES
