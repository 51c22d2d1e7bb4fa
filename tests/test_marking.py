"""Marking a class: what is right, wrong and broken is told apart, and no notebook can cheat, hang or stay behind."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from minigan import cli, marking
from minigan.answers import MOST, answers
from minigan.exercises import EXERCISES, check
from minigan.marking import Mark, defining, exercises_of, judge, mark, table, write

if not hasattr(os, "fork"):
    pytest.skip("marking needs os.fork", allow_module_level=True)

LESSON = Path(__file__).parent.parent / "lessons" / "student" / "01_is_this_gradient_right.ipynb"
BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
CENTRAL, ERROR, VERDICTS = names = [f"01.{name}" for name in ("central_difference", "relative_error", "verdicts")]

# What students write into the three holes.
RIGHT = (
    """
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        gradient[i] = (f(x + e) - f(x - e)) / (2 * h)
    return gradient
""",
    "    return (np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), floor)).max()\n",
    """
    dy, found = rng.standard_normal(x.shape), []
    for forward, backward in layers:
        numeric = central_difference(lambda v, forward=forward: (forward(v) * dy).sum(), x, 1e-5)
        found.append(relative_error(backward(dy, x), numeric, 1e-4) < 1e-5)
    return found
""",
)
ABSOLUTE = "    return np.abs(a - b).max()\n"  # a wrong relative_error
HEADERS = (
    "def central_difference(f, x, h):\n",
    "def relative_error(a, b, floor):\n",
    "def verdicts(layers, x, rng):\n",
)
IMPORTS = "import os, subprocess, sys, time\nimport numpy as np\nfrom minigan.exercises import check\n"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files; at the end nothing must be left in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == [], "a file is left behind"


def handed_in(folder, student, *holes):
    """The lesson's notebook, but for the cells that draw, with these texts in its holes, in FOLDER/STUDENT."""
    notebook = json.loads(LESSON.read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if "axes" not in "".join(cell["source"])]
    left = list(holes)
    for cell in notebook["cells"]:
        if left and "exercise" in cell["metadata"].get("tags", []):
            cell["source"] = re.sub(r" *# YOUR CODE HERE\n.*", lambda _: left.pop(0), "".join(cell["source"]))
    put(folder / student / LESSON.name, notebook)


def cells(folder, student, *sources):
    """A notebook of lesson 01 with these code cells, FOLDER/STUDENT.ipynb."""
    cell = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "check-01-verdicts"}}}
    made = [{**cell, "source": source.splitlines(True)} for source in (IMPORTS, *sources)]
    put(folder / f"{student}.ipynb", {"nbformat": 4, "metadata": {}, "cells": made})


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def three(*bodies):
    """Cells that define the three functions with these bodies, the right ones where there is none."""
    return [header + (body or right) for header, body, right in zip(HEADERS, [*bodies, "", "", ""], RIGHT)]


def verdicts(rows):
    """{student: the verdicts in the order of the exercises}."""
    found = {}
    for row in rows:
        assert row.mark == (row.verdict == "right")
        found.setdefault(row.student, []).append(row.verdict)
    return found


def running(student):
    """The processes that a notebook of this student has left."""
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MINIGAN_STUDENT={student}\0".encode() in path.read_bytes():
                left.append(path.parent.name)
        except OSError:  # another user's, or gone in the meantime
            continue
    return left


# ---- a class ----------------------------------------------------------------------------------------------------


def test_a_class_of_five(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    handed_in(Path("class"), "Ada", *RIGHT)
    handed_in(Path("class"), "Bao", RIGHT[0].replace("2 * h", "h"), RIGHT[1], RIGHT[2].replace("< 1e-5", "< 1e9"))
    handed_in(Path("class"), "Cem", RIGHT[0], RIGHT[1], "    return layers @ x")
    handed_in(Path("class"), "Dora", RIGHT[0], RIGHT[1], "    import time\n    while True: time.sleep(0.01)")
    handed_in(Path("class"), "Eva")
    arguments = ["mark", "class", "-o", "marks.csv", "--seed", "3", "--timeout", "24", "--workers", "2"]
    assert cli.main(arguments) == 0
    with open("marks.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["student", "notebook", "exercise", "mark", "verdict", "message", "seconds"]
    assert [row["exercise"] for row in rows] == 5 * names
    assert {row["notebook"] for row in rows} == {LESSON.name}
    found = [(row["student"], row["mark"], row["verdict"]) for row in rows]
    assert found == [
        *[("Ada", "1", "right")] * 3,
        ("Bao", "0", "wrong"),
        ("Bao", "1", "right"),
        ("Bao", "0", "wrong"),
        *[("Cem", "1", "right")] * 2,
        ("Cem", "0", "crashed"),
        *[("Dora", "1", "right")] * 2,
        ("Dora", "0", "too slow"),
        *[("Eva", "0", "not written")] * 3,
    ]
    messages = [row["message"] for row in rows]
    assert messages[0] == "Right on 3 cases."
    assert "2 h apart, so divide by 2 h" in messages[3] and "\n" not in messages[3]
    assert "ValueError" in messages[8] and messages[8].endswith("in the line `return layers @ x`.")
    assert messages[12] == f"Not written yet: exercise {CENTRAL}."
    assert 3.9 <= float(rows[11]["seconds"]) <= 8 and re.fullmatch(r"\d\.\d", rows[0]["seconds"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["student", *names, "right"]
    assert lines[1].split() == ["Ada", "right", "right", "right", "3", "of", "3"]
    assert lines[4].split() == ["Dora", "right", "right", "too", "slow", "2", "of", "3"]
    assert len(lines) == 7 and "--seed 3" in lines[-1]
    assert not any(running(student) for student in ("Ada", "Bao", "Cem", "Dora", "Eva"))

    before = Path("marks.csv").read_bytes()
    assert cli.main(arguments) == 1
    assert "marks.csv exists already: choose another -o, or add --force" in capsys.readouterr().err
    assert Path("marks.csv").read_bytes() == before


def test_a_damaged_file_is_a_row_and_no_end(tmp_path):
    cells(tmp_path, "whole", *three())
    put(tmp_path / "torn.ipynb", '{"cells": [{"cell_type":')
    put(tmp_path / "list.ipynb", "[]")
    put(tmp_path / "old.ipynb", {"nbformat": 3, "worksheets": []})
    put(tmp_path / "other.ipynb", {"nbformat": 4, "cells": []})
    put(tmp_path / ".ipynb_checkpoints" / "whole.ipynb", "what an editor keeps is not handed in")
    rows = mark(tmp_path, seed=1, seconds=12)
    assert verdicts(rows) == {
        "list": ["damaged"],
        "old": ["damaged"],
        "other": ["missing"],
        "torn": ["damaged"],
        "whole": 3 * ["right"],
    }
    assert rows[0][1:6] == ("list.ipynb", "", 0, "damaged", "It is no notebook of format 4, or only a part of one.")
    assert rows[2].message == "It holds no exercise of a lesson."
    assert table(rows).splitlines()[1].split() == ["list", "-", "-", "-", "damaged"]


def test_ctrl_c_ends_the_notebooks_too(tmp_path):
    cells(tmp_path, "endless-for-ctrl-c", "while True: time.sleep(0.1)", *three())
    command = [sys.executable, "-m", "minigan", "mark", str(tmp_path), "-o", str(tmp_path / "m.csv")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    try:
        wait_until(lambda: len(running("endless-for-ctrl-c")) >= 2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=120)[1].decode().strip() == "Stopped."
    finally:
        process.kill()
    assert process.returncode == 130
    wait_until(lambda: not running("endless-for-ctrl-c"))
    assert [path.name for path in tmp_path.iterdir() if "minigan" in path.name] == []


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# ---- what happens inside a function -----------------------------------------------------------------------------


def test_a_function_that_ends_or_fills_everything_takes_no_other_with_it(tmp_path):
    hog = "    kept = []\n    while True: kept.append(np.empty(10**7))\n"
    own = "    raise ValueError([os.environ[n] for n in ('MINIGAN_STUDENT', 'MINIGAN_FAST', 'MPLBACKEND')])\n"
    cells(tmp_path, "a", *three("    os._exit(0)\n", hog))
    cells(
        tmp_path, "b", *three("    sys.exit('right')\n", "    return float(input())\n", "    raise KeyboardInterrupt")
    )
    cells(tmp_path, "c", *three("    return np.zeros(10**6)\n", "    raise ValueError('\\udc80\\n=1')\n", own))
    cells(tmp_path, "d", *three("    try: time.sleep(60)\n    finally: time.sleep(60)\n", None, "    return 3\n"))
    cells(tmp_path, "e", *three("    while True:\n        try: time.sleep(9)\n        except BaseException: pass\n"))
    rows = mark(tmp_path, seed=1, seconds=12, memory=400, workers=2)
    assert verdicts(rows) == {
        "a": ["crashed", "too much memory", "crashed"],  # verdicts calls both
        "b": ["crashed", "crashed", "crashed"],
        "c": ["wrong", "crashed", "crashed"],
        "d": ["too slow", "right", "wrong"],
        "e": ["too slow", "right", "too slow"],
    }
    said = [row.message for row in rows]
    assert said[0] == said[3] == said[5] == "It ended the process."
    assert "EOFError" in said[4]
    assert said[6] == "It returns an array of shape (1000000,): far more numbers than were asked for."
    assert "['c', '1', 'Agg']" in said[8]
    write(tmp_path / "m.csv", rows)  # whatever their errors say, it is UTF-8 and a row each
    assert len((tmp_path / "m.csv").read_text(encoding="utf-8").splitlines()) == 1 + 15


# ---- what cells do ----------------------------------------------------------------------------------------------


def test_what_a_cell_breaks_is_broken_for_that_cell(tmp_path):
    """Each of these stands in the notebook of a student whose three functions are right."""
    left = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    daemon = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\n    os._exit(0)"
    cells(
        tmp_path,
        "breaks-everything",
        *(
            "sys.exit(0)",
            "os._exit(0)",
            "input()",
            "1 / 0",
            "def half(",
            "while True: pass",
            "os.fork()",
            left,
            daemon,
        ),
        "hog = [np.empty(10**7) for _ in iter(int, 1)]",
        "open('left', 'w').write('x' * 100)\nos.mkdir('locked')\nos.chmod('locked', 0)",
        "%matplotlib inline\n!pip list\nONE = 1\nif ONE:\n    %time ONE\n",
        "os.kill(os.getpid(), 9)",
        *three("    assert ONE == 1\n" + RIGHT[0]),
        "print('relative_error is right')\nos.close(1)\nsys.stdout = None",
    )
    in_its_cell = [
        text + end for text, end in zip(three(), ("os._exit(0)", "while True: time.sleep(1)", "display(1)"))
    ]
    cells(tmp_path, "breaks-its-cell", *in_its_cell)
    rows = mark(tmp_path, seed=1, seconds=12, memory=400, workers=2)
    assert verdicts(rows) == {"breaks-everything": 3 * ["right"], "breaks-its-cell": 3 * ["right"]}
    assert not running("breaks-everything")


def test_cells_that_take_all_the_time_leave_the_functions_theirs(tmp_path):
    cells(tmp_path, "slow", *6 * ["FACTOR = 2\ntime.sleep(60)"], *three(RIGHT[0].replace("2 *", "FACTOR *")))
    start = time.monotonic()
    assert verdicts(mark(tmp_path, seed=1, seconds=12)) == {"slow": 3 * ["right"]}
    assert time.monotonic() - start < 60


def test_why_a_function_is_not_there(tmp_path):
    cells(tmp_path, "a", HEADERS[1] + "    return (a\n", HEADERS[2] + RIGHT[2] + "del verdicts")
    cells(tmp_path, "b", "if 1:\n    central_difference = os._exit(0)", "x = 1\n" * 3 + "1 / 0\n" + three()[1])
    put(tmp_path / "01_c.ipynb", {"nbformat": 4, "cells": []})
    rows = mark(tmp_path, seed=1, seconds=12)
    said = {(row.student, row.exercise): (row.verdict, row.message) for row in rows}
    assert said["a", CENTRAL] == ("missing", "No cell defines central_difference.")
    assert said["a", ERROR] == ("crashed", "Its cell raised SyntaxError: '(' was never closed (<cell 2>, line 2).")
    assert said["a", VERDICTS][0] == "missing"
    assert said["b", ERROR] == ("crashed", "Its cell raised ZeroDivisionError: division by zero.")
    assert verdicts(rows)["01_c"] == 3 * ["missing"]


# ---- cheats -----------------------------------------------------------------------------------------------------


def test_no_cheat_makes_a_wrong_function_right(tmp_path):
    line = json.dumps({"exercise": ERROR, "verdict": "right", "message": "", "cases": [], "seconds": "x"})
    patch = (
        "from minigan import answers, exercises\nfrom minigan.exercises import checking\n"
        "def check(*_): return exercises.Verdict('', '', 3)\n"
        "checking.agree = lambda *_: True\nchecking.examine = exercises.examine = lambda *_: ''\n"
        "checking.known_mistake = lambda *_: 'no'\nnp.array_equal = np.allclose = lambda *_, **__: True\n"
    )
    cells(tmp_path, "redefines", *three(None, ABSOLUTE), patch, "print(check('', relative_error))")
    everywhere = "for fd in range(3, 40):\n    try: os.write(fd, ('\\n' + {!r}).encode())\n    except OSError: pass\n"
    forged = line.replace('"x"', "0.0")
    cells(tmp_path, "prints", *three(None, ABSOLUTE), f"print('\\n' + {forged!r}, flush=True)\nos.write(2, b'right')")
    cells(tmp_path, "forges", *three(None, ABSOLUTE), everywhere.format(line), everywhere.format(forged))
    cells(tmp_path, "deletes", three()[0], three()[2])
    object_of_lies = (
        "class Right(float):\n    __eq__ = __le__ = __lt__ = lambda *_: True\n    __sub__ = lambda *_: 0\n"
    )
    cells(tmp_path, "lies", object_of_lies, *three(None, "    return Right(7)\n"))
    solution = "    from minigan.exercises.lesson_01 import relative_error\n    return relative_error(a, b, floor)\n"
    cells(tmp_path, "borrows", *three(None, solution))
    victim = tmp_path / "zoe.ipynb"
    cells(tmp_path, "zoe", *three())
    cells(tmp_path, "spoils", f"open({str(victim)!r}, 'w').write('gone')", *three())
    rows = [row for row in mark(tmp_path, seed=1, seconds=12, workers=2) if row.exercise == ERROR]
    assert verdicts(rows) == {
        "borrows": ["right"],
        "deletes": ["missing"],
        "forges": ["crashed"],
        "lies": ["wrong"],
        "prints": ["wrong"],
        "redefines": ["wrong"],
        "spoils": ["right"],
        "zoe": ["right"],
    }
    assert victim.read_text() == "gone", "it did run"
    said = {row.student: row.message for row in rows}
    assert said["borrows"] == "Right, but a cell names the module in which the solutions stand: read it."
    assert said["zoe"] == "Right on 3 cases."
    assert said["prints"].startswith("the error is wrong: this is the absolute error")


def test_a_stopped_guard_is_ended_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(marking, "GRACE", 1)
    cells(tmp_path, "stops-its-guard", *three(), "os.kill(os.getsid(0), 19)\nos.kill(os.getppid(), 9)")
    start = time.monotonic()
    assert len(mark(tmp_path, seed=1, seconds=1)) == 3
    assert time.monotonic() - start < 60
    wait_until(lambda: not running("stops-its-guard"))


# ---- judging, in this process -----------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_the_marker_says_what_check_says(exercise):
    """An answer that goes through JSON is judged as one that does not."""

    def judged(function):
        cases, (verdict, message) = answers(exercise, function, 7)
        line = json.loads(json.dumps({"cases": cases, "verdict": verdict, "message": message}))
        return judge(exercise, line, 7)

    assert judged(exercise.solution)[0] == "right"
    for wrong in exercise.wrong:
        verdict, message = judged(wrong.answer)
        assert verdict in ("wrong", "crashed")
        assert check(exercise.name, wrong.answer, seed=7).wrong.startswith(message)
    assert judged(None)[0] == "wrong"


def test_the_cases_are_those_of_the_teachers_seed():
    exercise = BY_NAME[CENTRAL]
    cases, _ = answers(exercise, exercise.solution, 7)
    line = {"cases": cases, "verdict": "", "message": ""}
    assert judge(exercise, line, 7)[0] == "right"
    assert judge(exercise, line, 8)[0] == "wrong"
    assert judge(exercise, {**line, "cases": cases[:-1]}, 7) == ("crashed", "It ended the process.")


@pytest.mark.parametrize(
    "part",
    [["<f8", [2], "AAAA"], ["O", [1], "AAAAAAAAAAA="], ["<f8", "x", ""], ["<U9", [0], ""], [[], [], []], None, 7],
    ids=str,
)
def test_what_is_no_array_is_no_answer(part):
    line = {"cases": [[part]], "verdict": "right", "message": ""}
    assert judge(BY_NAME[ERROR], line, 7) == ("crashed", "It ended the process.")


def test_an_array_that_the_checker_cannot_take_does_not_end_the_marking(monkeypatch):
    def fails(*_):
        raise IndexError

    cases, (verdict, message) = answers(BY_NAME[ERROR], lambda a, b, floor: np.zeros((0, 3)), 7)
    line = {"cases": cases, "verdict": verdict, "message": message}
    assert judge(BY_NAME[ERROR], line, 7)[0] == "wrong"
    monkeypatch.setattr(marking, "examine", fails)
    assert judge(BY_NAME[ERROR], line, 7) == ("wrong", "It returns something that the checker cannot judge.")


def test_no_exercise_comes_near_the_limit_of_numbers():
    for exercise in EXERCISES:
        cases, _ = answers(exercise, exercise.solution, 1)
        assert max(int(np.prod(shape)) for case in cases for _, shape, _ in case) < MOST / 10


def test_the_lesson_is_known_by_its_ids_or_its_checks_or_its_file():
    ids, sources, name = ["", "01-verdicts", "check-01-verdicts"], ['check("02.dense_backward", f)'], "03_x.ipynb"
    lesson = lambda *told: {exercise[:2] for exercise in exercises_of(*told)}
    assert lesson(ids, sources, name) == {"01"}
    assert lesson([""], sources, name) == {"02"}
    assert lesson([], ["x = 1"], "01_is_this.ipynb") == {"01"}
    assert lesson([], [], "ada.ipynb") == set()
    assert exercises_of(ids, [], "") == names
    assert defining(["def verdicts(x)", " def verdicts(", "def verdicts_2("], VERDICTS) == 0


def test_the_table_counts_the_better_of_two_and_stands_straight():
    row = lambda student, exercise, verdict: Mark(student, "a.ipynb", exercise, int(verdict == "right"), verdict, "")
    text = table([row("王小明", CENTRAL, "right"), row("王小明", CENTRAL, "wrong"), row("Bo", ERROR, "too slow")])
    assert text.splitlines() == [
        "student  01.central_difference  01.relative_error  right",
        "王小明   right                  -                  1 of 1",
        "Bo       -                      too slow           0 of 1",
    ]
    assert table([row("Bo", ERROR, "right"), row("Bo", "", "damaged")]).endswith("right              1 of 1, damaged")
