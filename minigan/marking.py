"""Marks a class: runs every returned notebook, and judges what its functions return on cases that nobody has seen.

A notebook runs in processes of its own (`minigan.answers`), with limits on time and memory. Its prints, its own
checks and whatever it has redefined there do not reach this process, which draws the same cases, computes the
solution, and compares. It is no prison: a notebook runs with the rights of whoever marks it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigan.answers import ENDED, unpacked
from minigan.exercises import EXERCISES, Exercise
from minigan.exercises.checking import cases_of, examine
from minigan.files import write_whole

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
FAILED = ("wrong", "not written", "crashed", "too slow", "too much memory", "missing")
GRACE = 60  # seconds that a notebook's guard may take to start and to end, on top of the notebook's own
LARGEST = 64 << 20  # bytes of one notebook's answers
START = "import sys; sys.path.append(sys.argv[1]); from minigan.answers import main; main()"


class Mark(NamedTuple):
    """One row of the table of marks.

    mark: 1 or 0.  verdict: "right", one of FAILED, or "damaged" (a file that is no notebook; it has no exercise).
    message: a sentence.  seconds: how long the function's cases took.
    """

    student: str
    notebook: str
    exercise: str
    mark: int
    verdict: str
    message: str
    seconds: float = 0.0


class Notebook(NamedTuple):
    """A returned notebook: its code cells' texts, and its exercises with the number of the cell that defines each."""

    student: str
    name: str
    cells: list[str]
    exercises: dict[str, int | None]
    damage: str = ""


def mark(
    folder: str | os.PathLike, seed: int, seconds: float = 120, memory: int = 2048, workers: int = 1
) -> list[Mark]:
    """The marks of all notebooks in a folder, by student, notebook and exercise.

    seed: of the cases.  seconds, memory: limits of one notebook; MB.  workers: how many notebooks run at a time.
    Raises ValueError for a folder without notebooks and for limits that leave no room, RuntimeError on Windows.
    """
    from tqdm import tqdm

    if not hasattr(os, "fork"):
        raise RuntimeError("minigan mark needs os.fork, which Windows lacks: run it on Linux or macOS, or in WSL.")
    for value, name, least in ((seed, "--seed", 0), (memory, "--memory", 256), (workers, "--workers", 1)):
        if value < least:
            raise ValueError(f"{name} is a number of at least {least}, but got {value}.")
    if not seconds > 0:
        raise ValueError(f"--timeout is a positive number of seconds, but got {seconds:g}.")
    notebooks = [read(path, folder) for path in find(folder)]  # all, before one of them runs and could change others
    running: set[subprocess.Popen] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            found = pool.map(lambda notebook: answers_of(notebook, seed, seconds, memory, running), notebooks)
            bar = tqdm(zip(notebooks, found), total=len(notebooks), unit="notebook", disable=None)
            return [row for notebook, answers in bar for row in marks_of(notebook, answers, seed)]
        except BaseException:  # Ctrl-C: the notebooks are in groups of their own and have not heard of it
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                kill(process)
            raise


# ---- reading ----------------------------------------------------------------------------------------------------


def find(folder: str | os.PathLike) -> list[Path]:
    """The notebooks FOLDER/*.ipynb and FOLDER/STUDENT/*.ipynb. Raises ValueError when there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        is_file = f"{folder} is a file: name the folder that holds the notebooks."
        raise ValueError(is_file if folder.exists() else f"There is no folder {folder}.")
    paths = sorted([*folder.glob("*.ipynb"), *folder.glob("*/*.ipynb")])
    hidden = lambda path: any(part[0] == "." for part in path.relative_to(folder).parts)
    paths = [path for path in paths if path.is_file() and not hidden(path)]
    if not paths:
        raise ValueError(f"There are no notebooks in {folder}: it is to hold STUDENT.ipynb or STUDENT/NAME.ipynb.")
    return paths


def read(path: Path, folder: str | os.PathLike) -> Notebook:
    """A returned notebook. What is wrong with a file that is none stands in `damage`."""
    student = printable(path.stem if path.parent == Path(folder) else path.parent.name)
    try:
        content = json.loads(path.read_bytes())
        cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
        ids = [str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", "")) for cell in cells]
    except OSError as error:
        return Notebook(student, printable(path.name), [], {}, f"It cannot be read: {error.strerror}.")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Notebook(
            student, printable(path.name), [], {}, "It is no notebook of format 4, or only a part of one."
        )
    names = exercises_of(ids, sources, path.name)
    return Notebook(student, printable(path.name), sources, {name: defining(sources, name) for name in names})


def exercises_of(ids: list[str], sources: list[str], filename: str) -> list[str]:
    """The names of all exercises of the lesson that a notebook is.

    nbgrader's ids in its cells tell the lesson; where an editor has dropped them, the calls of `check` do; then the
    file's name.
    """
    held = {re.sub(r"[^\w-]", "-", name): name for name in BY_NAME}  # as lessons/build.py writes them
    told = (
        [held[i.removeprefix("check-")] for i in ids if i.removeprefix("check-") in held],
        [name for name in BY_NAME if any(name in source for source in sources)],
        [filename],
    )
    lessons = {name[:2] for name in next(names for names in told if names)}
    return [name for name in BY_NAME if name[:2] in lessons]


def defining(sources: list[str], exercise: str) -> int | None:
    """The number of the last cell that defines the exercise's function."""
    function = re.compile(rf"^def {exercise.split('.', 1)[1]}\b", re.M)
    return max((number for number, source in enumerate(sources) if function.search(source)), default=None)


def printable(text: str) -> str:
    """The text on one line, without what a terminal obeys and what UTF-8 cannot write."""
    return "".join(c if c.isprintable() else " " for c in text)


# ---- running ----------------------------------------------------------------------------------------------------


def answers_of(
    notebook: Notebook, seed: int, seconds: float, memory: int, running: set[subprocess.Popen]
) -> dict[str, Any]:
    """What the notebook's functions return, by exercise, as `minigan.answers` sends it."""
    if not notebook.exercises:
        return {}
    limits = {"seed": seed, "seconds": seconds, "memory": memory}
    job = {"cells": notebook.cells, "exercises": list(notebook.exercises.items()), **limits}
    with (
        tempfile.TemporaryDirectory(prefix="minigan-mark-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as task,
        tempfile.TemporaryFile() as answers,  # a file without a name: it never fills up and stops, as a pipe does
    ):
        task.write(json.dumps(job).encode())
        task.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(Path(__file__).parent.parent)],
            stdin=task,
            stdout=answers,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment(notebook.student, folder),
            start_new_session=True,
        )
        running.add(process)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds + GRACE)
        kill(process)
        process.wait()
        running.discard(process)
        answers.seek(0)
        return dict(lines(answers.read(LARGEST)))


def environment(student: str, folder: str) -> dict[str, str]:
    """The environment of one notebook: the student's numbers, short runs, no windows, one thread."""
    own = {"MINIGAN_STUDENT": student, "MINIGAN_FAST": "1", "MPLBACKEND": "Agg", "TMPDIR": folder}
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in os.environ.items() if not name.startswith("MINIGAN_")} | own | threads


def kill(process: subprocess.Popen) -> None:
    """Kill a notebook's whole process group."""
    with suppress(ProcessLookupError, PermissionError):  # all gone; macOS says the second of those that are ending
        os.killpg(process.pid, signal.SIGKILL)


def lines(data: bytes) -> Iterator[tuple[str, Any]]:
    """The answers by exercise, the first of each last: in a dict that one stays."""
    for line in reversed(data.split(b"\n")):
        try:
            answer = json.loads(line)
            answer["seconds"] = round(float(answer["seconds"]), 1)
            yield str(answer["exercise"]), answer
        except Exception:  # half a line, or what a student wrote there: no answer, whatever it is
            continue


# ---- judging ----------------------------------------------------------------------------------------------------


class NoMore(BaseException):
    """The function gave no further answer. No Exception: `examine` would take that for one of the student's."""


def marks_of(notebook: Notebook, answers: dict[str, Any], seed: int) -> list[Mark]:
    """A notebook's rows."""
    who = notebook.student, notebook.name
    if notebook.damage:
        return [Mark(*who, "", 0, "damaged", notebook.damage)]
    if not notebook.exercises:
        return [Mark(*who, "", 0, "missing", "It holds no exercise of a lesson.")]
    rows = []
    for name in notebook.exercises:
        answer = answers.get(name, {})
        verdict, message = judge(BY_NAME[name], answer, seed)
        if verdict == "right" and any(re.search(r"\blesson_\d\d|\bEXERCISES\b", source) for source in notebook.cells):
            message = "Right, but a cell names the module in which the solutions stand: read it."
        rows.append(Mark(*who, name, int(verdict == "right"), verdict, message, answer.get("seconds", 0.0)))
    return rows


def judge(exercise: Exercise, answer: dict[str, Any], seed: int) -> tuple[str, str]:
    """The verdict on an answer, and the first sentence about it.

    What a notebook says of itself is taken from it only where it says that it failed.
    """
    try:
        cases = iter([[unpacked(part) for part in case] for case in answer["cases"]])
        told, message = str(answer["verdict"]), str(answer["message"])
    except Exception:  # see `lines`
        return ENDED

    def replay(*inputs):
        parts = next(cases, None)
        if parts is None:
            raise NoMore
        return parts if len(exercise.returns) > 1 else parts[0]

    try:
        with np.errstate(all="ignore"):
            wrong = examine(exercise, replay, seed)
    except NoMore:
        return (told, first_sentence(message)) if told in FAILED else ENDED
    except Exception:  # one strange array shall not end the marking of a class
        return "wrong", "It returns something that the checker cannot judge."
    return ("wrong", first_sentence(wrong)) if wrong else ("right", f"Right on {len(cases_of(exercise))} cases.")


def first_sentence(text: str) -> str:
    """Up to the first full stop that a space or the end follows, on one line, 300 characters at most."""
    line = printable(text.split("\n", 1)[0])
    return re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0][:300]


# ---- showing ----------------------------------------------------------------------------------------------------


def write(path: str | os.PathLike, marks: list[Mark]) -> None:
    """Write the rows to a CSV file with a header line, in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([Mark._fields, *marks])
    write_whole(path, text.getvalue().encode())


def table(marks: list[Mark]) -> str:
    """A row for each student, a column for each exercise, and how many are right."""
    exercises = sorted({row.exercise for row in marks if row.exercise})
    rows = [["student", *exercises, "right"]]
    for student in dict.fromkeys(row.student for row in marks):
        own = sorted((row for row in marks if row.student == student), key=lambda row: row.mark)
        verdicts = {row.exercise: row.verdict for row in own if row.exercise}  # of one returned twice, the better
        total = [f"{list(verdicts.values()).count('right')} of {len(verdicts)}"] if verdicts else []
        total += [row.verdict for row in own if not row.exercise]
        rows.append([student, *(verdicts.get(name, "-") for name in exercises), ", ".join(total)])
    widths = [max(map(columns, column)) for column in zip(*rows)]
    return "\n".join("  ".join(t + " " * (w - columns(t)) for t, w in zip(row, widths)).rstrip() for row in rows)


def columns(text: str) -> int:
    """How wide a text is on a terminal: a Chinese character takes two columns."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
