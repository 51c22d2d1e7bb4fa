"""What an exercise is: one record, with its reference solution and the mistakes that learners make.

The planted wrong answers serve twice. The tests hand each to the checker, which must refuse it in the words given
here; and an answer that gives the same wrong numbers as one of them is told so.

N: the batch size, or the number of entries where there is no batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Wrong:
    """One planted wrong answer.

    answer  a function with the solution's arguments
    words   what the checker's message about it must contain
    says    the message where a learner's numbers are this answer's; "" where gradcheck's own words will do
    """

    answer: Callable[..., Any]
    words: str
    says: str = ""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what a learner's function is given, what it shall return, and how it usually goes wrong.

    name      lesson and function: "02.dense_backward"
    asked     what is asked, in a sentence
    make      make(rng, N) draws the inputs by name; the function gets those that the solution's signature names
    solution  the reference
    wrong     three to six planted wrong answers
    returns   the names of what is returned; a gradient on x is called "dx"
    forward   of a backward pass, the forward it belongs to, by the same input names: with it the usual mistakes are
              tried against numeric gradients; its upstream gradient is the input "dy", its batch the input "x"
    single    is a batch of one a fair case? (Not where the right answer would then be zero.)
    float32   shall the function keep float32, too?
    """

    name: str
    asked: str
    make: Callable[[np.random.Generator, int], dict[str, Any]]
    solution: Callable[..., Any]
    wrong: tuple[Wrong, ...]
    returns: tuple[str, ...] = ("the result",)
    forward: Callable[..., np.ndarray] | None = None
    single: bool = True
    float32: bool = True


def sizes(rng: np.random.Generator, N: int, how_many: int) -> list[int]:
    """So many sizes, unequal to each other and to N: then a wrong axis cannot hide behind a right shape."""
    return [int(n) for n in rng.choice([n for n in range(2, 9) if n != N], how_many, replace=False)]
