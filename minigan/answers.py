"""Runs one returned notebook and hands back what its functions return: `python -m minigan.answers`.

`minigan.marking` starts it, in a folder and a process group of its own. A job comes on stdin and answers go to
stdout, in lines of JSON; what the notebook prints goes nowhere. No mark is given here: nothing can be believed of a
process in which a student's code has run, so only numbers leave it, and the other process compares them.

There is a guard, which runs nothing of the student's, watches the clock, and kills what is left at the end. Each cell
runs in a fork of the process before, and the fork goes on with the rest. When a cell is endless, ends its process or
eats the memory, the process before it is still there, and goes on with the cell's definitions alone. Then each
function is called in a fork of its own.
"""

from __future__ import annotations

import ast
import base64
import ctypes
import inspect
import json
import linecache
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigan.exercises import EXERCISES, Exercise
from minigan.exercises.checking import Problem, cases_of, check_signature, drawn, parts_of, run

MOST = 100_000  # numbers in one array of an answer; no exercise asks for a tenth of it
PR_SET_CHILD_SUBREAPER = 36
DONE, MEMORY = b"d", b"m"  # what a fork says to the process that waits for it
ENDED = ("crashed", "It ended the process.")
LOST = {MEMORY: ("too much memory", "It used more memory than the limit."), None: ("too slow", "It took too long.")}

Fate = tuple[str, str]  # verdict and message


def main() -> None:
    """The guard: do the job on stdin, and leave nothing running."""
    job = json.load(sys.stdin.buffer)
    out, nowhere = os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)  # input() finds the end of a file
    os.dup2(nowhere, 1)
    if any("matplotlib" in source for source in job["cells"]):
        import matplotlib.pyplot  # noqa: F401, before the clock starts: its first import ever looks at all fonts
    if sys.platform == "linux":  # a process that has left the group becomes the guard's child when its parent ends
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    end = time.monotonic() + job["seconds"]
    child = os.fork()
    if child == 0:
        try:
            limit(job["seconds"], job["memory"])
            answer_all(job, out)
        finally:
            os._exit(0)
    while time.monotonic() < end and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.02)
    fate = LOST[None] if time.monotonic() >= end else ENDED
    for name, _ in job["exercises"]:
        send(out, name, fate)  # the first line of an exercise counts: this one, if there was no other
    kill_all()


def limit(seconds: float, memory: int) -> None:
    """Limit this process and its children: MB of memory, and seconds of CPU for one that nobody watches any more."""
    import resource

    limits = {
        "RLIMIT_AS": memory << 20,
        "RLIMIT_FSIZE": memory << 20,
        "RLIMIT_CPU": int(seconds) + 1,
        "RLIMIT_CORE": 0,
    }
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # macOS knows RLIMIT_AS by name only; the time limit still holds there
            resource.setrlimit(kind, (most, most))


def kill_all() -> None:
    """Kill every process that the notebook has left behind, and then the guard with its group."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (left := children.read_text().split()):
        for child in map(int, left):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)  # its own children are the guard's now
    os.killpg(0, signal.SIGKILL)


# ---- a job ------------------------------------------------------------------------------------------------------


def answer_all(job: dict[str, Any], out: int) -> None:
    """Run the cells in half of the time, then call each exercise's function; none has more than a quarter."""
    main_module = ModuleType("__main__")
    sys.modules["__main__"] = main_module  # where dataclasses and pickle look for what a notebook defines
    namespace = vars(main_module)
    namespace["display"] = lambda *values, **options: None
    turn, half = job["seconds"] / 4, job["seconds"] / 2
    fates = run_cells(job["cells"], namespace, turn, time.monotonic() + half)
    exercises = {exercise.name: exercise for exercise in EXERCISES}
    for name, cell in job["exercises"]:
        function = name.split(".", 1)[1]
        if function not in namespace:
            send(out, name, fates.get(cell, ("missing", f"No cell defines {function}.")))
            continue
        start = time.monotonic()

        def work(name=name, function=function, start=start):
            cases, fate = answers(exercises[name], namespace[function], job["seed"])
            send(out, name, fate, cases, time.monotonic() - start)

        fate = forked(work, min(turn, half / len(job["exercises"])))
        if fate:
            send(out, name, fate, seconds=time.monotonic() - start)


def send(out: int, name: str, fate: Fate, cases: list[Any] | None = None, seconds: float = 0.0) -> None:
    """Write the answer to one exercise. It starts a line, as a fork may have been killed in the middle of its own."""
    verdict, message = fate
    answer = {"exercise": name, "verdict": verdict, "message": message, "cases": cases or [], "seconds": seconds}
    os.write(out, b"\n" + json.dumps(answer).encode())


def forked(work: Callable[[], Any], seconds: float, go_on: bool = False) -> Fate | None:
    """Do `work()` in a fork, for so many seconds; returns what became of it, None when it was done.

    With go_on it is the fork that returns from a work done, with all that this has changed; the process waits for
    the fork's end and ends too.
    """
    heard, say = os.pipe()
    child = os.fork()
    if child == 0:
        own = os.getpid()
        try:
            work()
            word = DONE
        except MemoryError:
            word = MEMORY
        except BaseException:
            word = b""
        if os.getpid() != own or not word:  # the student's code has forked too, and this is its child
            os._exit(0)
        os.write(say, word)
        if word != DONE or not go_on:
            os._exit(0)
        os.close(heard)
        os.close(say)
        return None

    os.close(say)
    poll = select.poll()
    poll.register(heard)
    word, alive, end = None, True, time.monotonic() + seconds
    while word is None and time.monotonic() < end:
        if poll.poll(20):
            word = os.read(heard, 1)
        elif os.waitpid(child, os.WNOHANG)[0]:  # ended, although a child of its own keeps the pipe open
            word, alive = b"", False
    os.close(heard)
    if word == DONE and go_on:
        os.waitpid(child, 0)
        os._exit(0)
    if alive:
        if word != DONE:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return None if word == DONE else LOST.get(word, ENDED)


# ---- cells ------------------------------------------------------------------------------------------------------


def run_cells(cells: list[str], namespace: dict[str, Any], turn: float, end: float) -> dict[int, Fate]:
    """Run the cells until `end`, each for at most `turn` seconds; returns what became of those that failed.

    Of a cell that is lost, or that there is no time for, only the definitions are run.
    """
    fates: dict[int, Fate] = {}
    for number, source in enumerate(cells):
        seconds = min(turn, end - time.monotonic())
        run = lambda number=number, source=source: execute(number, source, namespace, fates)
        define = lambda number=number, source=source: execute(number, source, namespace, fates, whole=False)
        fate = LOST[None] if seconds <= 0 else forked(run, seconds, go_on=True)
        if fate:
            fates[number] = fate
            forked(define, turn, go_on=True)
    return fates


def execute(number: int, source: str, namespace: dict[str, Any], fates: dict[int, Fate], whole: bool = True) -> None:
    """Run one cell, or its definitions; an exception is noted, except MemoryError, after which nothing can go on."""
    name = f"<cell {number + 1}>"
    try:
        source, tree = parsed(source, name)
        tree.body = [statement for statement in tree.body if whole or is_definition(statement)]
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for line_of
        exec(compile(tree, name, "exec"), namespace)
    except MemoryError:
        raise
    except SystemExit:
        fates[number] = ENDED
    except BaseException as error:
        fates[number] = ("crashed", f"Its cell raised {type(error).__name__}: {error}.")


def parsed(source: str, name: str) -> tuple[str, ast.Module]:
    """The cell's text and its syntax tree, without the lines that only IPython understands (%time, !pip, ?help)."""
    try:
        return source, ast.parse(source, name)
    except SyntaxError:
        source = re.sub(r"^(\s*)[%!?].*$", r"\1pass", source, flags=re.M)
        return source, ast.parse(source, name)


def is_definition(statement: ast.stmt) -> bool:
    """Import, function, class, or a constant: what a lost cell can be left with."""
    if isinstance(statement, ast.Assign):
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            return False
        return True
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


# ---- an exercise ------------------------------------------------------------------------------------------------


def answers(exercise: Exercise, function: Any, seed: int) -> tuple[list[Any], Fate]:
    """What the function returns on each case, packed, and what ended the cases: ("", "") when nothing did."""
    asked = list(inspect.signature(exercise.solution).parameters)
    cases: list[Any] = []
    verdict = "wrong"
    try:
        check_signature(function, asked)
        for k, case in enumerate(cases_of(exercise)):
            inputs = drawn(exercise, asked, case, np.random.default_rng((seed, k)))
            try:
                result = run(function, asked, case, inputs)
            except Problem as problem:
                raised = problem.__context__  # the sentence is made of this exception
                if isinstance(raised, SystemExit):
                    return cases, ENDED
                kinds = {NotImplementedError: "not written", MemoryError: "too much memory", BaseException: "crashed"}
                verdict = next((kinds[kind] for kind in kinds if isinstance(raised, kind)), "wrong")
                raise
            cases.append([packed(part) for part in parts_of(result, exercise.returns).values()])
    except Problem as problem:
        return cases, (verdict, str(problem))
    return cases, ("", "")


def packed(part: np.ndarray) -> list[Any]:
    """An array for JSON: dtype, shape, bytes. Raises Problem for one that is far too large."""
    if part.size > MOST:
        raise Problem(f"It returns an array of shape {part.shape}: far more numbers than were asked for.")
    return [part.dtype.str, part.shape, base64.b64encode(part.tobytes()).decode()]


def unpacked(part: list[Any]) -> np.ndarray:
    """The array again. Raises ValueError or TypeError for what is none."""
    dtype, shape, data = part
    if np.dtype(dtype).kind not in "fiub":
        raise ValueError(f"An answer holds numbers, but this one is of {dtype}.")
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape)


if __name__ == "__main__":
    main()
