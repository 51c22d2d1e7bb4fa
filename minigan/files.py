"""Files that are either whole or not there: written beside their place, synced to the disk, then renamed.

And tables in such files: CSV, a row for each of some steps of a training.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Write data to path so that a stop at any moment, or a full disk, leaves the old file or the new one.

    Raises OSError when the folder cannot be written to; then no temporary file is left behind.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points to them
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # and the name is on the disk too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_rows(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Mapping[str, float]]) -> None:
    """Write rows of numbers, one of them the step, as CSV with nine digits. Raises OSError as `write_whole`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: row[name] if name == "step" else f"{row[name]:.9g}" for name in columns} for row in rows)
    write_whole(path, text.getvalue().encode())


def read_rows(path: str | os.PathLike) -> list[dict[str, float]]:
    """The rows of such a file, none where there is no file; from a line on that was cut short, they are left out."""
    if not Path(path).exists():
        return []
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({name: int(value) if name == "step" else float(value) for name, value in row.items()})
            except (TypeError, ValueError):
                break
    return rows
