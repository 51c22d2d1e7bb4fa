"""Running a learner's function on an exercise's cases, and saying in a sentence what is wrong and where.

An answer is held against the reference solution: its form first (signature, exceptions, shapes, dtypes, inputs left
alone), then its numbers. Where these are wrong, the usual mistakes are tried against them, the exercise's own
(`Wrong.says`) and then those of `minigan.gradcheck`, and the one that fits is named.

N: the batch size.  "yours": what the learner's function returned.
"""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from minigan.exercises.exercise import Exercise
from minigan.gradcheck.diagnosis import explain, explain_exception, explain_shape

OF_GRADIENTS = ": a term of the derivation is missing or too many"  # the end of what gradcheck says at its wits' end
TOLERANCES = {np.float64: 1e-6, np.float32: 1e-3}  # of the largest number of the right answer


class Case(NamedTuple):
    """How the inputs of one call are made."""

    N: int
    dtype: type
    strided: bool = False


CASES = (Case(5, np.float64), Case(4, np.float64, strided=True), Case(1, np.float64), Case(6, np.float32))


class Problem(Exception):
    """What is wrong with an answer, as a sentence."""


def examine(exercise: Exercise, answer: Any, seed: int) -> str:
    """What is wrong with this answer, or "" when it is right."""
    try:
        asked = list(inspect.signature(exercise.solution).parameters)
        check_signature(answer, asked)
        for k, case in enumerate(cases_of(exercise)):
            inputs = drawn(exercise, asked, case, np.random.default_rng((seed, k)))
            check_case(exercise, answer, asked, case, inputs)
    except Problem as problem:
        return str(problem)
    return ""


def cases_of(exercise: Exercise) -> list[Case]:
    """The cases that are fair for this exercise."""
    return [c for c in CASES if (exercise.single or c.N > 1) and (exercise.float32 or c.dtype == np.float64)]


def drawn(exercise: Exercise, asked: list[str], case: Case, rng: np.random.Generator) -> dict[str, Any]:
    """The inputs of one case by name, arrays in its dtype; those that are not asked for only serve the diagnosis."""
    made = exercise.make(rng, case.N)
    inputs = {n: v.astype(case.dtype) if is_floats(v) else v for n, v in made.items()}
    return {name: inputs[name] for name in [*asked, *(n for n in inputs if n not in asked)]}


def is_floats(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def call(function: Callable[..., Any], asked: list[str], case: Case, inputs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """What the function returns for copies of the inputs, and the copies as it left them."""
    given = [deepcopy(inputs[name]) for name in asked]  # a random generator starts at the same place for everyone
    if case.strided:
        given = [strided(value) if is_floats(value) else value for value in given]
    with np.errstate(all="ignore"):  # an overflow or a 0 / 0 is for the verdict to tell, not for a warning
        return function(*given), given


def strided(a: np.ndarray) -> np.ndarray:
    """The same numbers, but not side by side in memory."""
    if a.ndim == 0:
        return a
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


# ---- the form -------------------------------------------------------------------------------------------------


def check_signature(answer: Any, asked: list[str]) -> None:
    want = f"({', '.join(asked)})"
    if not callable(answer):
        raise Problem(f"The answer is to be a function of {want}, but it is of type {type(answer).__name__}.")
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # a function of C tells nothing
        return
    has = list(signature.parameters)
    try:
        signature.bind(*asked)
    except TypeError:
        raise Problem(
            f"It is called with {want}, but your function takes ({', '.join(has)}): give it these arguments."
        ) from None
    if has != asked and sorted(has) == sorted(asked):
        raise Problem(f"It is called with {want} in this order, but your function takes ({', '.join(has)}).")


def run(answer: Any, asked: list[str], case: Case, inputs: dict[str, Any]) -> Any:
    """What the answer returns; Problem for an exception inside it, and for inputs that it leaves changed."""
    try:
        result, given = call(answer, asked, case, inputs)
    except NotImplementedError as error:
        raise Problem(f"Not written yet: {error}." if str(error) else "Not written yet.") from None
    except (Exception, SystemExit) as error:
        message = explain_exception(error, case.N)
        message = message[0].upper() + message[1:]
        raise Problem(f"{message}{line_of(error, answer)}. {where(asked, case, inputs)}") from None
    for name, value in zip(asked, given):
        if is_floats(inputs[name]) and not np.array_equal(value, inputs[name], equal_nan=True):
            raise Problem(f"It leaves its input {name} changed: work on a copy. {where(asked, case, inputs)}")
    return result


def line_of(error: BaseException, answer: Any) -> str:
    """The line of the learner's own code that raised, for the message."""
    code = getattr(answer, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    text = linecache.getline(own[-1].filename, own[-1].lineno or 0).strip() if own else ""
    return f", in the line `{text}`" if text else ""


def parts_of(result: Any, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """What was returned, as arrays by name; Problem where it is not that many arrays of numbers."""
    want = ", ".join(names)
    if result is None:
        raise Problem(
            f"It returns nothing: end it with `return {want}`." if len(names) > 1 else "It returns nothing."
        )
    values = [result] if len(names) == 1 else result
    if len(names) > 1 and not isinstance(values, tuple | list):
        raise Problem(f"It is to return {len(names)} arrays, {want}, but returns one {type(result).__name__}.")
    if len(values) != len(names):
        raise Problem(f"It is to return {len(names)} arrays, {want}, but returns {len(values)}.")
    parts = {}
    for name, value in zip(names, values):
        try:
            parts[name] = np.asarray(value)
        except (ValueError, TypeError):
            raise Problem(f"It returns for {name} something that is no array: rows of unequal length.") from None
        except Exception as error:  # an array of another device says so in its own words
            raise Problem(f"It returns for {name} something that is no array of NumPy's: {error}.") from None
        if parts[name].dtype.kind not in "fiub":
            raise Problem(f"It returns for {name} a {type(value).__name__}, not numbers.")
    return parts


def where(asked: list[str], case: Case, inputs: dict[str, Any]) -> str:
    """The case in words, for the end of a message."""
    arrays = [f"{name} {inputs[name].shape}" for name in asked if is_floats(inputs[name])]
    how = f"{np.dtype(case.dtype).name}{', not contiguous' if case.strided else ''}"
    return f"(Tried with {', '.join([*arrays, how])}.)"


# ---- the numbers ----------------------------------------------------------------------------------------------


def check_case(exercise: Exercise, answer: Any, asked: list[str], case: Case, inputs: dict[str, Any]) -> None:
    yours = parts_of(run(answer, asked, case, inputs), exercise.returns)
    right = parts_of(call(exercise.solution, asked, case, inputs)[0], exercise.returns)
    wrong = [name for name in exercise.returns if not agree(yours[name], right[name], case)]
    if wrong:
        found = [f"{name} is wrong: {diagnose(exercise, name, yours, right, asked, case, inputs)}" for name in wrong]
        fine = [name for name in exercise.returns if name not in wrong]
        rest = [f"{' and '.join(fine)} {'is' if len(fine) == 1 else 'are'} right."] if fine else []
        raise Problem("\n".join([*found, *rest, where(asked, case, inputs)]))
    for name in exercise.returns:
        if case.dtype == np.float32 and yours[name].dtype != right[name].dtype:
            raise Problem(
                f"{name} has the right numbers, but float32 in gives {yours[name].dtype} out: "
                f"make new arrays with zeros_like, or with dtype=. {where(asked, case, inputs)}"
            )


def agree(yours: np.ndarray, right: np.ndarray, case: Case) -> bool:
    """Equal up to rounding, in the same shape; verdicts (True, False) exactly."""
    if yours.shape != right.shape or (right.dtype.kind == "b") != (yours.dtype.kind == "b"):
        return False
    if right.dtype.kind == "b":
        return bool(np.array_equal(yours, right))
    allowed = TOLERANCES[case.dtype] * np.abs(right).max(initial=1e-300)
    return bool(np.isfinite(yours).all() and (np.abs(yours - right) <= allowed).all())


def diagnose(
    exercise: Exercise,
    name: str,
    yours: dict[str, np.ndarray],
    right: dict[str, np.ndarray],
    asked: list[str],
    case: Case,
    inputs: dict[str, Any],
) -> str:
    """The mistake behind one wrong part, and its worst entry."""
    mine, true = yours[name], right[name]
    if true.dtype.kind == "b" and mine.dtype.kind != "b":
        return f"it is to hold True and False, but holds {mine.dtype}."
    planted = known_mistake(exercise, name, mine, true, asked, case, inputs)
    if planted:
        return f"{planted}{worst(mine, true)}"
    if mine.shape != true.shape:
        words = explain_shape(mine, true.shape, true.ravel())
        return (
            words.replace("its gradient has shape", "it has shape").replace("but it has shape", "but should have")
            + "."
        )
    if true.dtype.kind == "b":
        return f"{int((mine != true).sum())} of {true.size} verdicts are wrong{worst(mine, true)}"
    if not np.isfinite(mine).all():
        return f"{int((~np.isfinite(mine)).sum())} of {mine.size} entries are NaN or infinite."
    at = np.atleast_1d(true)
    problem = ForwardProblem(exercise.forward, inputs)
    words = explain(np.atleast_1d(mine), np.arange(at.size), at.ravel(), name.removeprefix("d"), at, problem)
    if not (name.startswith("d") or "gradient" in name):
        words = words.removesuffix(OF_GRADIENTS)
    return f"{words}{worst(mine, true)}"


def known_mistake(
    exercise: Exercise,
    name: str,
    mine: np.ndarray,
    true: np.ndarray,
    asked: list[str],
    case: Case,
    inputs: dict[str, Any],
) -> str:
    """What a planted wrong answer says that gives the same wrong part."""
    for wrong in exercise.wrong:
        if not wrong.says:
            continue
        try:
            planted = parts_of(call(wrong.answer, asked, case, inputs)[0], exercise.returns)[name]
        except Exception:  # a planted answer may be one that crashes
            continue
        if planted.shape != mine.shape or agree(planted, true, case):  # it is right in this part, and mine is not
            continue
        if np.allclose(mine, planted, rtol=1e-4, atol=0, equal_nan=True):
            return wrong.says
    return ""


def worst(mine: np.ndarray, true: np.ndarray) -> str:
    """The entry that is farthest off, both numbers, and their ratio."""
    if mine.shape != true.shape or not np.isfinite(mine).all():
        return "."
    if true.dtype.kind == "b":
        i = int(np.argmax(mine != true))
        return f"; the first is number {i + 1}, yours {mine.flat[i]}, right {true.flat[i]}."
    i = int(np.argmax(np.abs(mine - true)))
    at = ", ".join(str(int(k)) for k in np.unravel_index(i, true.shape))
    ratio = f", ratio {mine.flat[i] / true.flat[i]:.4g}" if true.flat[i] else ""
    place = f" at [{at}]" if at else ""
    return f"; worst{place}: yours {mine.flat[i]:.6g}, right {true.flat[i]:.6g}{ratio}."


class ForwardProblem:
    """L = <forward, dy> as a function of one input at a time, in the form that gradcheck's diagnosis asks of."""

    train, factors = True, {}

    def __init__(self, forward: Callable[..., np.ndarray] | None, inputs: dict[str, Any]) -> None:
        self.layer = self.forward = forward  # None: no backward pass, so only the mistakes that need no forward
        if forward is not None:
            self.x, self.r = inputs["x"], inputs["dy"]
            self.variables = {name: inputs[name] for name in inspect.signature(forward).parameters}
            self.factors = {n: v for n, v in self.variables.items() if is_floats(v) and n != "x"}

    def value(self, name: str, v: np.ndarray, r: np.ndarray | None = None, train: bool | None = None) -> float:
        if train is False:  # there is no other mode to mistake it for
            return np.nan
        return float((self.forward(**{**self.variables, name: v}) * (self.r if r is None else r)).sum())
