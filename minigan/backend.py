"""One source for NumPy and CuPy: the only file that names CuPy.

`from minigan.backend import xp` and the maths reads as NumPy. `use("cupy")` switches, in a live notebook too;
the environment variable MINIGAN_BACKEND does it from outside. Arrays cross between host and device only where
a line says `to_device` or `to_host`.
"""

from __future__ import annotations

import copy
import os
from types import SimpleNamespace
from typing import Any

import numpy as np

Array = Any  # an array of the backend in use: numpy.ndarray or cupy.ndarray


class BackendError(RuntimeError):
    """The backend that was asked for cannot be used here; the message says what to install."""


class _Namespace:
    """The array functions of the backend in use, as `xp.exp`, `xp.zeros`, ...: looked up once, then remembered."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(_backend.module, name)
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        return f"<array functions of {_backend.name}>"


xp: Any = _Namespace()


def use(name: str | Any) -> None:
    """Compute with "numpy" (the CPU) or "cupy" (an NVIDIA GPU) from here on.

    Networks and arrays made before stay where they are: build them again, or load a checkpoint. Any object with the
    attributes `name`, `module`, `to_device`, `to_host`, `rng`, `get_state` and `set_state` is a backend too.

    Raises BackendError when there is no such backend, or no CuPy or GPU on this machine.
    """
    global _backend
    if isinstance(name, str):
        makers = {"numpy": _numpy, "cupy": _cupy}
        if name not in makers:
            raise BackendError(f'There is no backend "{name}"; choose "numpy" or "cupy".')
        _backend = makers[name]()
    else:
        _backend = name
    xp.__dict__.clear()


def backend_name() -> str:
    """The backend in use: "numpy" or "cupy"."""
    return _backend.name


def to_device(a: Any) -> Array:
    """A host array (or an array that is there already) as an array of the backend in use."""
    return _backend.to_device(a)


def to_host(a: Array) -> np.ndarray:
    """An array of the backend in use as a NumPy array."""
    return _backend.to_host(a)


def rng(seed: int | tuple[int, ...]) -> Any:
    """A random generator that draws on the device: `.standard_normal(shape, dtype=)`, `.random(shape, dtype=)`."""
    return _backend.rng(seed)


def rng_state(generator: Any) -> Any:
    """All that a generator remembers, JSON-able: with `set_rng_state`, the same numbers follow again."""
    return _backend.get_state(generator)


def set_rng_state(generator: Any, state: Any) -> None:
    """Put a generator back to where `rng_state` was taken."""
    _backend.set_state(generator, state)


def copy_rng(generator: Any) -> Any:
    """A generator of its own that will draw the same numbers. (CuPy's hold a lock, and `deepcopy` refuses them.)"""
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator)
    twin = rng(0)
    set_rng_state(twin, rng_state(generator))
    return twin


def on_host() -> bool:
    """True where arrays lie in the CPU's memory, and it pays to work in pieces that fit its cache."""
    return _backend.name != "cupy"


# ---------------------------------------------------------------------------------------------------------------
# The two backends


def _numpy() -> SimpleNamespace:
    def set_state(generator, state):
        generator.bit_generator.state = state

    return SimpleNamespace(
        name="numpy",
        module=np,
        to_device=np.asarray,
        to_host=np.asarray,
        rng=np.random.default_rng,
        get_state=lambda generator: generator.bit_generator.state,
        set_state=set_state,
    )


def _cupy() -> SimpleNamespace:
    advice = 'install it with pip install "minigan[cupy13]" (CUDA 13) or "minigan[cupy12]" (CUDA 12)'
    try:
        import cupy
    except ImportError:
        raise BackendError(f'The backend "cupy" needs CuPy, which is not here: {advice}.') from None
    try:
        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1)
    except Exception as error:  # CuPy raises a class of its own for each of the ways a driver can be missing
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BackendError(
            f'CuPy is installed but finds no usable NVIDIA GPU ({reason}); use the backend "numpy".'
        ) from None

    # Philox with 4,096 streams: plenty for noise, and a quarter of a megabyte of state to keep in a checkpoint.
    def rng(seed):
        return cupy.random.Generator(cupy.random.Philox4x3210(seed, size=4096))

    def get_state(generator):
        return cupy.asnumpy(generator.bit_generator._state).tobytes().hex()

    def set_state(generator, state):
        host = np.frombuffer(bytes.fromhex(state), np.int8)
        generator.bit_generator._state[...] = cupy.asarray(host)

    return SimpleNamespace(
        name="cupy",
        module=cupy,
        to_device=cupy.asarray,
        to_host=cupy.asnumpy,
        rng=rng,
        get_state=get_state,
        set_state=set_state,
    )


_backend = _numpy()
if os.environ.get("MINIGAN_BACKEND"):
    use(os.environ["MINIGAN_BACKEND"])
