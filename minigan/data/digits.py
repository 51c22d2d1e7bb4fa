"""Handwritten digits: 12,000 of MNIST's ship with the package, the other 58,000 are one call away.

A newcomer needs no network: `load_digits` opens the small balanced copy beside this file. `load_mnist` reads the
whole set from a folder of IDX files and `fetch_mnist` fills such a folder. Source and licence: SOURCES.md, here.

N images, H rows, W columns; images are uint8 (N, H, W, 1) with ink 255 on paper 0, labels int64 (N,).
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

# What each file must be: sha256 of the .gz on the mirrors, and of what is inside it. The second is the one that
# counts for files already here: the same digits packed again by another gzip are still the same digits.
MNIST_FILES = {
    "train-images-idx3-ubyte": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
PREFIX = {"train": "train", "test": "t10k"}  # MNIST's own name of each split
SHIPPED = Path(__file__).with_name("digits.npz")
PER_CLASS = {"train": 1000, "test": 200}  # shipped digits of each class


def load_digits(split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """The shipped digits: images uint8 (N, 28, 28, 1), labels int64 (N,); N is 10,000 ("train") or 2,000 ("test").

    Every class has the same number of images. Raises ValueError for any other split.
    """
    _check_split(split)
    with np.load(SHIPPED) as arrays:
        return arrays[f"{split}_images"][..., None], arrays[f"{split}_labels"].astype(np.int64)


def scale(images: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """uint8 images of any shape to float32: 0 becomes `low`, 255 becomes `high` (-1 and 1 suit a tanh generator).

    Raises ValueError if the images are not uint8 (they may be scaled already), or if low >= high.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise ValueError(f"scale takes uint8 images (0 to 255), but these are {images.dtype}.")
    _check_range(low, high)
    return images / np.float32(255) * np.float32(high - low) + np.float32(low)  # in this order 255 is `high` exactly


def unscale(x: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """The inverse of `scale`: floats of any shape to uint8, rounded, and clipped where they leave [low, high].

    Raises ValueError if x holds NaN (a run that diverged must not look like a black picture), or if low >= high.
    """
    x = np.asarray(x)
    _check_range(low, high)
    if np.isnan(x).any():
        raise ValueError("x holds NaN, so it is no picture: look for the step at which the run diverged.")
    return np.rint((np.clip(x, low, high) - low) * (255 / (high - low))).astype(np.uint8)


def read_idx(path: str | Path) -> np.ndarray:
    """One IDX file of bytes, plain or gzipped (told by its first bytes, not by its name), as a uint8 array.

    The format: two zero bytes, the type (0x08 is uint8), the number of dimensions, each dimension as a big-endian
    32-bit number, then the bytes in C order (LeCun, Cortes and Burges, "The MNIST database").
    Raises FileNotFoundError, or ValueError saying what is wrong with the file.
    """
    path = Path(path)
    content = _read(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{path} is not an IDX file (it must begin with two zero bytes): choose another file.")
    kind, ndim = content[2], content[3]
    if kind != 0x08:
        raise ValueError(f"{path} holds IDX type 0x{kind:02x}, but only uint8 (0x08) is read: convert it first.")
    if not 1 <= ndim <= 4:
        raise ValueError(f"{path} claims {ndim} dimensions instead of 1 to 4: it is damaged, fetch it again.")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise ValueError(f"{path} ends inside its header: it is cut short, fetch it again.")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", ndim, offset=4))
    expected, found = math.prod(shape), len(content) - start
    if found != expected:
        trouble = "it is cut short" if found < expected else "there are trailing bytes"
        raise ValueError(
            f"{path} promises {expected} bytes for shape {shape} but holds {found}: {trouble}, fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()  # a copy may be written to


def load_mnist(folder: str | Path, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """All of MNIST from a folder of IDX files: images uint8 (N, 28, 28, 1), labels int64 (N,); N is 60,000 or 10,000.

    The files may be plain or .gz, and named train-images-idx3-ubyte or train-images.idx3-ubyte.
    Raises FileNotFoundError naming the missing files, ValueError if one is damaged or the two do not belong together.
    """
    _check_split(split)
    names = [f"{PREFIX[split]}-images-idx3-ubyte", f"{PREFIX[split]}-labels-idx1-ubyte"]
    paths = [_find(folder, name) for name in names]
    missing = [name for name, path in zip(names, paths) if path is None]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {' and '.join(missing)} (plain or .gz): `minigan data mnist` downloads MNIST."
        )
    images, labels = read_idx(paths[0]), read_idx(paths[1])
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(f"{paths[0]} has shape {images.shape} where MNIST has (N, 28, 28): it is another file.")
    if labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(
            f"{paths[1]} has shape {labels.shape}, but there are {len(images)} images: the two files do not match."
        )
    if (labels > 9).any():
        raise ValueError(f"{paths[1]} holds the label {labels.max()}, but digits end at 9: it is another file.")
    return images[..., None], labels.astype(np.int64)


def verify_mnist(folder: str | Path) -> list[str]:
    """What is wrong with the four MNIST files in `folder`, one sentence a file; an empty list if they are all good.

    Compares the sha256 of their uncompressed content, so that it does not matter who packed them, or whether.
    """
    problems = (_problem(folder, name) for name in MNIST_FILES)
    return [problem for problem in problems if problem]


def mnist_folder() -> Path:
    """Where `fetch_mnist` puts the files unless told otherwise: in the cache folder of this user."""
    import pooch

    return Path(pooch.os_cache("minigan")) / "mnist"


def fetch_mnist(folder: str | Path | None = None, progress: bool = True, mirrors: tuple[str, ...] = MIRRORS) -> Path:
    """Download what `folder` lacks of MNIST (11 MB in four files) and return the folder.

    Mirrors are tried in turn, a download whose sha256 is wrong is thrown away, and good files are left alone: where
    all four are good the network is not touched. Without `folder` it is the cache folder of this user.
    Raises ConnectionError if a file cannot be had from any mirror.
    """
    import pooch  # here, so that the rest of the module needs numpy alone

    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    folder = Path(folder or mnist_folder()).expanduser()
    for name, (packed_sha, _) in MNIST_FILES.items():
        if _problem(folder, name) is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)  # not in the try: this is no mirror's fault
        failures = []
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{name}.gz"
            try:
                # pooch downloads beside the target and moves it there only once the sha256 is right
                pooch.retrieve(url, f"sha256:{packed_sha}", f"{name}.gz", folder, progressbar=progress)
                break
            except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong sha256 is a ValueError
                failures.append(f"{mirror}: {_brief(error)}")
        else:
            raise ConnectionError(
                f"{name}.gz could not be downloaded ({'; '.join(failures) or 'no mirror was given'}), but"
                " `minigan data mnist --from FOLDER` reads files that you already have."
            )
    return folder


def build_shipped(folder: str | Path, path: str | Path = SHIPPED) -> None:
    """Write the shipped npz at `path` from the whole of MNIST in `folder`: how digits.npz was made.

    From each class it takes images evenly spaced through the file, since the first half of MNIST's test set is
    the easier one (its writers were census clerks), and keeps them in the file's order. The same input gives the
    same bytes. Raises ValueError if a class has too few images.
    """
    arrays = {}
    for split, count in PER_CLASS.items():
        images, labels = load_mnist(folder, split)
        chosen = []
        for digit in range(10):
            where = np.flatnonzero(labels == digit)
            if len(where) < count:
                raise ValueError(f"{folder} has {len(where)} images of {digit} in {split} where {count} are needed.")
            chosen.append(where[np.linspace(0, len(where) - 1, count).round().astype(int)])
        order = np.sort(np.concatenate(chosen))
        arrays[f"{split}_images"] = images[order, :, :, 0]
        arrays[f"{split}_labels"] = labels[order].astype(np.uint8)
    np.savez_compressed(path, **arrays)


def _check_split(split: str) -> None:
    if split not in PREFIX:
        raise ValueError(f'split must be "train" or "test", but it is {split!r}.')


def _check_range(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low must be less than high, but low is {low} and high is {high}.")


def _read(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzipped."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check its name, or `minigan data mnist` downloads MNIST.")
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":  # gzip's magic bytes
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): fetch it again.") from error


def _find(folder: str | Path, name: str) -> Path | None:
    """The file of this name in the folder in any of its usual spellings, .gz first since that is what we fetch."""
    dotted = name.replace("-idx", ".idx")
    candidates = [Path(folder).expanduser() / each for each in (f"{name}.gz", name, f"{dotted}.gz", dotted)]
    return next((path for path in candidates if path.is_file()), None)


def _problem(folder: str | Path, name: str) -> str | None:
    """What is wrong with one of the MNIST files, or None if it is good."""
    path = _find(folder, name)
    if path is None:
        return f"{name} is not in {folder}, plain or .gz."
    try:
        content = _read(path)
    except ValueError as error:
        return str(error)
    if hashlib.sha256(content).hexdigest() != MNIST_FILES[name][1]:
        return f"{path} is not the MNIST file of this name: its sha256 differs."
    return None


def _brief(error: Exception) -> str:
    """A download's failure in a few words; requests' own text runs over several lines."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if isinstance(error, ValueError) and "hash" in str(error):
        return "sent a file with the wrong sha256"
    if "Timeout" in type(error).__name__:
        return "did not answer in time"
    if "ConnectionError" in type(error).__name__:
        return "cannot be reached"
    return f"{type(error).__name__}, {str(error)[:80]}"
