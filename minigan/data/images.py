"""Your own pictures: a folder of image files in, one uint8 array out.

Real folders are untidy (phone photographs lying on their side, a half-finished download, a text file named .png),
so nothing that a file holds can stop the loading: what cannot be read is skipped, and the reason handed back.

N pictures, each size x size; C is 3 in colour and 1 in grey.
"""

import contextlib
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np

MEMORY = 2**30  # bytes of pictures kept in memory: 87,000 of 64x64 in colour
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".webp": "WEBP", ".gif": "GIF"}


def load_folder(
    folder: str | Path, size: int, colour: bool = True, memory: int = MEMORY
) -> tuple[np.ndarray, list[tuple[Path, str]]]:
    """Every picture directly in `folder`, sorted by name: images uint8 (N, size, size, C), and the skipped files.

    Each picture is turned upright (EXIF), cropped to the square in its middle and resized with antialiasing.
    Transparent parts become black, and of an animation the first frame is taken. `skipped` holds (path, reason)
    pairs. Files with other suffixes than those of FORMATS are passed over. Where the array would take more than
    `memory` bytes, it lies in a temporary file (np.memmap), of which the system holds in memory what it has room for;
    the file goes when the array goes.
    Raises FileNotFoundError without such a folder, ValueError if size < 1 or if no picture could be read.
    """
    folder = Path(folder)
    if not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"size must be a whole number of pixels, at least 1, but it is {size}.")
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}: check its name.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in FORMATS and not p.is_dir())
    images, skipped = _room(len(paths), (size, size, 3 if colour else 1), memory), []
    count = 0
    for path in paths:
        try:
            images[count] = _read(path, size, colour)
            count += 1
        except Exception as error:  # a damaged file makes Pillow raise nearly anything, from EOFError to SyntaxError
            skipped.append((path, _reason(path, error)))
    if not count:
        first = f": the first of {len(skipped)} files, {skipped[0][0].name}, {skipped[0][1]}" if skipped else ""
        raise ValueError(f"No picture ({' '.join(FORMATS)}) in {folder} could be read{first}.")
    return images[:count], skipped


def _room(n: int, shape: tuple[int, int, int], memory: int) -> np.ndarray:
    """An array (n, *shape) uint8, in memory or in a file without a name."""
    if n * math.prod(shape) <= memory:
        return np.empty((n, *shape), np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.uint8, "w+", shape=(n, *shape))


def _read(path: Path, size: int, colour: bool) -> np.ndarray:
    """One picture, uint8 (size, size, C)."""
    from PIL import Image, ImageOps  # here, so that importing minigan.data needs numpy alone

    if not path.is_file():  # opening a pipe would wait for ever
        raise FileNotFoundError(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # oddities in metadata; the pixels are what counts
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # `formats` keeps a renamed file away from parsers that run other programs
        with Image.open(path, formats=sorted(set(FORMATS.values()))) as image:
            image.load()
            upright = image
            with contextlib.suppress(Exception):  # damaged metadata is no reason to lose a good picture
                upright = ImageOps.exif_transpose(image)
            picture = _flatten(upright).convert("RGB" if colour else "L")
    side = min(picture.size)
    left, top = ((n - side) // 2 for n in picture.size)
    square = picture.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square).reshape(size, size, 3 if colour else 1)


def _flatten(image):
    """A Pillow image without the two things that convert() gets wrong: 16 bits a pixel, and transparency."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey: convert() would clip at 255 where it should divide
        return Image.fromarray(((np.asarray(image).astype(np.int64) + 128) // 257).astype(np.uint8))
    if image.mode.endswith("A") or "transparency" in image.info:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image.convert("RGBA"))
    return image


def _reason(path: Path, error: Exception) -> str:
    """Why a file was skipped, to be read after its name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"is too large to open safely (more than {Image.MAX_IMAGE_PIXELS:,} pixels)"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if not path.is_file():
        return "is not a file (a broken link, perhaps)"
    if path.stat().st_size == 0:
        return "is empty"
    if isinstance(error, UnidentifiedImageError):
        return f"is not a picture, or damaged at its start (known are {', '.join(sorted(set(FORMATS.values())))})"
    if isinstance(error, MemoryError):
        return "does not fit in memory"
    return f"is cut short or damaged ({error})"
