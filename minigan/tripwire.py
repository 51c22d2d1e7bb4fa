"""The tripwire backend: NumPy dressed as a GPU, where each step that would make one wait raises `Leak`.

A GPU computes behind the program's back. A line that needs a value at once (`if loss > 0`, `float(x)`, a NumPy
function, a plain array in a sum) still gives the right number there, and makes every step slow; no test of numbers
finds it. Here such a line is an error, on a machine without a GPU. `use(BACKEND)` switches to it.

Where CuPy and this file differ, this file is the stricter: CuPy lets NumPy's functions, lists as indices and NumPy's
scalars pass, and `print` and boolean masks too, at the price of a wait.
"""

from __future__ import annotations

import functools
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class Leak(AssertionError):
    """A value went from device to host, or a plain array to the device, where no line says so."""


NUMBERS = bool | int | float | complex
HOST = np.ndarray | np.generic  # np.float64 is a float too, so this is asked first


class TripArray:
    """An array as `cupy.ndarray` is one: its shape and dtype are known, its values only through `to_host`."""

    def __init__(self, array: HOST) -> None:
        self._array = np.asarray(array)  # what is 0-d stays an array: CuPy has no scalars

    def __repr__(self) -> str:
        return f"TripArray({self.dtype}, {self.shape})"

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, key: Any) -> TripArray:
        parts = index(key)
        if any(isinstance(part, np.ndarray) and part.dtype == bool for part in parts):
            raise Leak(f"{self!r} read with a boolean mask: the host must count it to know the result's shape")
        if not any(part is ... for part in parts):
            parts = (*parts, ...)  # so that a[0] is a 0-d view, as in CuPy, and not a NumPy scalar
        return TripArray(self._array[parts])

    def __setitem__(self, key: Any, value: Any) -> None:
        value = operand(value)
        if value is NotImplemented:
            raise Leak(f"{self!r} was assigned something that is neither an array of its kind nor a number")
        self._array[index(key)] = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> None:
        raise Leak(f"np.{ufunc.__name__}, or an operator beside a plain array, took {self!r}")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> None:
        raise Leak(f"np.{function.__name__} took {self!r}")


def operand(value: Any) -> Any:
    """The other side of an operator: an array of the device or a Python number, nothing else."""
    if isinstance(value, TripArray):
        return value._array
    if isinstance(value, HOST):
        raise Leak(f"a plain {type(value).__name__} {value.shape} beside an array of the device: say to_device")
    return value if isinstance(value, NUMBERS) else NotImplemented


def index(key: Any) -> tuple[Any, ...]:
    """The parts of an index: numbers, slices, None, `...` and arrays of the device."""
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if not (part is None or part is ... or isinstance(part, int | slice | TripArray)):
            raise Leak(f"an array of the device was indexed with a plain {type(part).__name__}")
    return tuple(part._array if isinstance(part, TripArray) else part for part in parts)


def unwrap(value: Any) -> Any:
    """NumPy's arrays for those of the device, in lists and tuples too."""
    if isinstance(value, TripArray | HOST):
        return operand(value)
    if type(value) in (list, tuple):
        kinds = {isinstance(part, TripArray) for part in value if isinstance(part, TripArray | NUMBERS)}
        if len(kinds) > 1:
            raise Leak("an array of the device stands among Python numbers, in a shape or a list of them")
        return type(value)(map(unwrap, value))
    return value


def wrap(value: Any) -> Any:
    """The other way round; a number that a function computed is a 0-d array."""
    if isinstance(value, HOST | NUMBERS):
        return TripArray(value)
    if isinstance(value, list | tuple):
        return [wrap(part) for part in value]
    return value


# ---- what an array refuses, has and does -----------------------------------------------------------------------

REFUSED = {
    "__float__": "float()",
    "__int__": "int()",
    "__complex__": "complex()",
    "__index__": "an index or a count",
    "__bool__": "a branch (if, while, and, or, not, bool())",
    "__round__": "round()",
    "__iter__": "a loop",
    "__contains__": "`in`",
    "__array__": "a conversion to a NumPy array",
    "__str__": "str() or print()",
    "__format__": "an f-string or format()",
    "item": ".item()",
    "tolist": ".tolist()",
    "tobytes": ".tobytes()",
    "tofile": ".tofile()",
    "get": ".get()",
}
ATTRIBUTES = ("shape", "dtype", "size", "ndim", "nbytes", "itemsize", "strides", "flags", "T", "real", "imag")
UNARY = ("__neg__", "__pos__", "__abs__", "__invert__")
BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
COMPARISONS = ("__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__")
METHODS = (
    "all any argmax argmin argsort astype clip conj copy cumprod cumsum diagonal dot fill flatten max mean min "
    "prod ravel repeat reshape round sort squeeze std sum swapaxes take trace transpose var view"
).split()
TAKE_ARRAYS = ("clip", "dot", "take")  # the other methods' arguments are sizes, axes and dtypes


def _refuse(name: str, what: str) -> None:
    def refuse(self, *args, **kwargs):
        raise Leak(f"{what} needs the values of {self!r}: they come to the host through to_host alone")

    setattr(TripArray, name, refuse)


def _attribute(name: str) -> None:
    def attribute(self):
        value = getattr(self._array, name)
        return TripArray(value) if isinstance(value, np.ndarray) else value

    setattr(TripArray, name, property(attribute))


def _operator(name: str, in_place: bool = False) -> None:
    numpys = getattr(np.ndarray, name)

    def operator(self, *others):
        others = [operand(other) for other in others]
        if any(other is NotImplemented for other in others):
            return NotImplemented
        result = numpys(self._array, *others)
        return self if in_place else TripArray(result)

    setattr(TripArray, name, operator)


def _method(name: str) -> None:
    def method(self, *args, **kwargs):
        if name not in TAKE_ARRAYS and any(isinstance(arg, TripArray) for arg in args):
            raise Leak(f".{name} takes numbers of the host, not an array of the device")
        return call(getattr(self._array, name), *args, **kwargs)

    setattr(TripArray, name, method)


for _name, _what in REFUSED.items():
    _refuse(_name, _what)
for _name in ATTRIBUTES:
    _attribute(_name)
for _name in (*UNARY, *COMPARISONS, *(f"__{side}{op}__" for op in BINARY for side in ("", "r"))):
    _operator(_name)
for _name in (f"__i{op}__" for op in BINARY):
    _operator(_name, in_place=True)
for _name in METHODS:
    _method(_name)


# ---- the functions ----------------------------------------------------------------------------------------------


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """A NumPy function on arrays of the device."""
    result = function(*map(unwrap, args), **{name: unwrap(arg) for name, arg in kwargs.items()})
    out = kwargs.get("out")
    return result if result is None else out if isinstance(out, TripArray) else wrap(result)


# NumPy has these; CuPy does not, or not before 14 (from the lists of names in the wheels of 13.0, 13.6 and 14.2).
NOT_IN_CUPY = set(
    """
    acos acosh apply_over_axes asin asinh asmatrix astype atan atan2 atanh bitwise_count block bmat bool char concat
    cumulative_prod cumulative_sum einsum_path emath errstate float128 frompyfunc geomspace geterr
    histogram_bin_edges insert isdtype long longdouble ma matrix matrix_transpose matvec memmap nanpercentile
    nanquantile ndenumerate nditer permute_dims polyder polydiv polyint pow put_along_axis rec seterr spacing strings
    trapezoid ulong unique_all unique_counts unique_inverse unique_values unstack vecdot vecmat False_ True_
    """.split()
)
# How large the result is depends on values, so the host waits for them.
SIZED_BY_VALUES = {"argwhere", "bincount", "compress", "extract", "flatnonzero", "nonzero", "unique"}
# These make arrays out of numbers of the host, which no array of the device can be.
FROM_NUMBERS = {"arange", "empty", "eye", "identity", "indices", "linspace", "logspace", "ones", "tri", "zeros"}
# These answer from shapes and dtypes alone.
ABOUT_ARRAYS = (
    "broadcast_shapes can_cast iscomplexobj isrealobj isscalar issubdtype may_share_memory "
    "min_scalar_type ndim promote_types result_type shape shares_memory size"
).split()


class Functions:
    """NumPy's functions as those of the device; constants and dtypes as they are."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name == "ndarray":
            return TripArray
        value = getattr(self._module, name)
        if name in NOT_IN_CUPY or (
            isinstance(value, ModuleType) and name not in ("linalg", "fft", "lib", "stride_tricks")
        ):
            raise AttributeError(f"CuPy has no {name}, or minigan does without it: it would fail on a GPU")
        if isinstance(value, ModuleType):
            return Functions(value)
        return device_function(name, value) if callable(value) and not isinstance(value, type) else value


def device_function(name: str, function: Any) -> Any:
    """`function` on arrays of the device; a ufunc with its `at`, `reduce`, `accumulate` and `outer`."""

    @functools.wraps(function, updated=())
    def on_device(*args, **kwargs):
        if name in SIZED_BY_VALUES or (name == "where" and len(args) == 1):
            raise Leak(f"xp.{name}: the host must count values to know the result's shape")
        if name in FROM_NUMBERS and any(isinstance(arg, TripArray) for arg in args):
            raise Leak(f"xp.{name} takes numbers of the host, not an array of the device")
        if name in ABOUT_ARRAYS:
            return function(*map(unwrap, args), **kwargs)
        return call(function, *args, **kwargs)

    if isinstance(function, np.ufunc):
        for method in ("at", "reduce", "accumulate", "outer"):
            setattr(on_device, method, device_function(f"{name}.{method}", getattr(function, method)))
    return on_device


class Generator:
    """A random generator with the draws that `cupy.random.Generator` has, and no more."""

    DRAWS = (
        "beta binomial chisquare dirichlet exponential f gamma geometric hypergeometric integers logseries poisson "
        "power random standard_exponential standard_gamma standard_normal uniform"
    ).split()

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def __reduce_ex__(self, protocol: int) -> None:
        raise TypeError("CuPy's random generators hold a lock and can be neither copied nor pickled: use rng_state")

    def __getattr__(self, name: str) -> Any:
        if name not in self.DRAWS:
            raise AttributeError(f"CuPy's random generator has no {name}; it has {', '.join(self.DRAWS)}")
        return device_function(name, getattr(self._generator, name))


def to_device(a: Any) -> TripArray:
    return a if isinstance(a, TripArray) else TripArray(np.array(a))  # a copy, as on the way to a GPU


def to_host(a: Any) -> np.ndarray:
    return a._array.copy() if isinstance(a, TripArray) else np.asarray(a)


def get_state(generator: Generator) -> Any:
    return generator._generator.bit_generator.state


def set_state(generator: Generator, state: Any) -> None:
    generator._generator.bit_generator.state = state


BACKEND = SimpleNamespace(
    name="tripwire",
    module=Functions(np),
    to_device=to_device,
    to_host=to_host,
    rng=Generator,
    get_state=get_state,
    set_state=set_state,
)
