"""The exercises of the lessons: `check("02.dense_backward", my_function)` says whether it is right, or what is wrong.

A learner's function runs on several random inputs: unequal sizes, memory that is not contiguous, a batch of one,
float32. They are seeded by the exercise and by the environment variable MINIGAN_STUDENT, so every student has
numbers of their own, the same at every run. The answer is in the words of `minigan.gradcheck`. There is a small
module for each lesson; `python -m minigan.exercises` prints which planted wrong answers the checker catches.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigan.exercises.checking import cases_of, examine
from minigan.exercises.exercise import Exercise, Wrong

__all__ = ["EXERCISES", "Exercise", "Verdict", "Wrong", "WrongAnswer", "check", "mutation_table"]

LESSONS = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("lesson_"))
EXERCISES: tuple[Exercise, ...] = tuple(
    exercise for name in LESSONS for exercise in importlib.import_module(f"minigan.exercises.{name}").EXERCISES
)


class WrongAnswer(AssertionError):
    """An exercise is not solved; the message is the verdict. A notebook shows the message and no traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        return str(self).splitlines()


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: true when the answer is right, and prints as the sentences that say so or why not.

    name: the exercise's.  wrong: what is wrong, "" when nothing is.  cases: how many inputs were tried.
    """

    name: str
    wrong: str
    cases: int = 0

    def __bool__(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        if self.wrong:
            return f"{self.name}: not right yet.\n{self.wrong}"
        return f"{self.name}: right, on {self.cases} random cases."

    __repr__ = __str__

    def raise_if_wrong(self) -> Verdict:
        """Raises WrongAnswer with the verdict as its message; returns the verdict when the answer is right."""
        if self.wrong:
            raise WrongAnswer(str(self))
        return self


def check(name: str, function: Callable[..., Any], seed: int | None = None) -> Verdict:
    """Is this function a right answer to the exercise of this name ("02.dense_backward")?

    seed: other cases than the student's own, for marking a class by cases that nobody has seen.

    Whatever the function does (raise, write into its inputs, return nothing), the verdict says so; nothing is raised
    until `raise_if_wrong()`. Only a loop without end is not noticed: interrupt it.
    """
    exercise = next((exercise for exercise in EXERCISES if exercise.name == name), None)
    if exercise is None:
        names = [exercise.name for exercise in EXERCISES]
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.3)
        advice = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(names)}."
        return Verdict(str(name), f"There is no exercise of this name; {advice}")
    student = os.environ.get("MINIGAN_STUDENT", "")
    seed = zlib.crc32(f"{student}:{name}".encode()) if seed is None else seed
    return Verdict(name, examine(exercise, function, seed), len(cases_of(exercise)))


def mutation_table(exercises: tuple[Exercise, ...] = EXERCISES) -> str:
    """Does the checker do its work? For each exercise: solution passes, wrong answers caught, mistakes named."""
    lines = [f"{'exercise':<26}{'solution passes':<18}{'wrong answers':<16}{'caught':<9}named"]
    for exercise in exercises:
        passes = "yes" if check(exercise.name, exercise.solution) else "NO"
        verdicts = [(wrong, check(exercise.name, wrong.answer)) for wrong in exercise.wrong]
        caught = sum(not verdict for _, verdict in verdicts)
        named = sum(wrong.words in verdict.wrong for wrong, verdict in verdicts)
        lines.append(f"{exercise.name:<26}{passes:<18}{len(verdicts):<16}{caught:<9}{named}")
    return "\n".join(lines)
