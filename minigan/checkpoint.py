"""Checkpoints: all that a run needs to go on as if it had never stopped, in one safetensors file.

The file opens in PyTorch and elsewhere: "G.1.W" is the weight of layer 1 of G, "G_optimizer.m" a moment of theta.
The counters, the random state and a sha256 over the arrays are JSON in its metadata. A checkpoint that is only to be
drawn from may be `rounded` to a quarter of its size; `load` gives floats again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigan.files import write_whole

FORMAT = 1
SCALE = "/scale"  # ends the names of a rounded array's scales
LEVELS = 127  # whole numbers on either side of zero
SMALL = 4096  # numbers in an array that is not worth rounding


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, or belongs to something else; the message says which."""


def save(path: str | os.PathLike, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> str:
    """Write arrays and JSON-able facts to path, whole or not at all; returns the arrays' sha256.

    Equal contents give equal bytes. Raises OSError where the disk is full or the folder read-only.
    """
    from safetensors.numpy import save as to_bytes

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    digest = sha256(arrays)
    facts = {"format": FORMAT, "sha256": digest, **facts}
    # one metadata entry: the library writes several in an order that changes from run to run
    write_whole(path, to_bytes(arrays, metadata={"minigan": json.dumps(facts, sort_keys=True)}))
    return digest


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and facts of a checkpoint. Raises CheckpointError, in one sentence, when it cannot be trusted."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint ({_first_line(error)}).") from None
    if "minigan" not in metadata:
        raise CheckpointError(f"{path} is a safetensors file, but minigan did not write it.")
    try:
        facts = json.loads(metadata["minigan"])
        version, digest = facts["format"], facts["sha256"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{path} is damaged: its metadata cannot be read.") from None
    if version != FORMAT:
        raise CheckpointError(f"{path} is of format {version}, and this minigan reads format {FORMAT}: update it.")
    if digest != sha256(arrays):
        raise CheckpointError(f"{path} is damaged: its numbers are not those that were saved (sha256 differs).")
    return unrounded(arrays), facts


def rounded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Large arrays as int8, whole multiples of a scale for each place on their last axis; others as they are.

    a ~ q s,  s = max|a| / 127 over the other axes,  q = round(a / s), off by s / 2 at most. The scales of "G.1.W" are
    "G.1.W/scale". No array of the arrays may be of int8 before.
    """
    made = {}
    for name, a in arrays.items():
        if a.ndim < 2 or a.size < SMALL or a.dtype != np.float32:
            made[name] = a
            continue
        s = np.abs(a).max(axis=tuple(range(a.ndim - 1))) / LEVELS
        s[s == 0] = 1
        made |= {name: np.rint(a / s).astype(np.int8), name + SCALE: s.astype(np.float32)}
    return made


def unrounded(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The floats of rounded arrays."""
    return {
        name: a * arrays[name + SCALE] if a.dtype == np.int8 else a
        for name, a in arrays.items()
        if not name.endswith(SCALE)
    }


def sha256(arrays: dict[str, np.ndarray]) -> str:
    """One fingerprint for arrays under names: over each name, dtype, shape and bytes, in the names' order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
