"""The lessons: their sources run, their notebooks are what the sources say, their holes can be filled."""

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minigan.exercises import EXERCISES

LESSONS = Path(__file__).parent.parent / "lessons"
SOURCES = sorted((LESSONS / "src").glob("*.py"))

spec = importlib.util.spec_from_file_location("lessons_build", LESSONS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)

each_lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def read(path):
    """A notebook from its JSON, each cell's text in one piece."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@each_lesson
def test_the_source_runs_as_a_plain_script(source):
    environment = {**os.environ, "MINIGAN_FAST": "1", "MPLBACKEND": "Agg"}
    run = subprocess.run([sys.executable, source], capture_output=True, text=True, env=environment, timeout=600)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


@each_lesson
def test_every_formula_is_evaluated_in_the_cell_below_it(source):
    cells = read(build.taught(source))["cells"]
    for cell, after in zip(cells, [*cells[1:], None]):
        if cell["cell_type"] == "markdown" and "$$" in cell["source"]:
            assert after is not None and after["cell_type"] == "code", cell["source"]
            assert cell["source"].count("$$") <= 4, "two formulas and one cell: which one does it evaluate?"


@each_lesson
def test_a_lesson_has_what_every_lesson_has(source):
    teacher = read(build.taught(source))
    prose = "\n".join(cell["source"] for cell in teacher["cells"] if cell["cell_type"] == "markdown")
    for part in ("## Predict first", "<details>", "## Break it", "## What to read next"):
        assert part in prose, f"{source.name} lacks {part}"
    assert prose.count("<details>") == prose.count("</details>")
    text = "\n".join(cell["source"] for cell in code(teacher))
    assert "inspect.getsource(" in text and "assert " in text
    lesson = source.name[:2]
    asked = [cell["metadata"]["nbgrader"]["grade_id"] for cell in code(teacher) if "nbgrader" in cell["metadata"]]
    exercises = [e.name.replace(".", "-") for e in EXERCISES if e.name.startswith(lesson)]
    assert asked == [name for exercise in exercises for name in (exercise, f"check-{exercise}")]
    assert 1 <= len(exercises) <= 3


@each_lesson
def test_the_teachers_notebook_was_executed_and_is_small(source):
    path = build.taught(source)
    assert path.stat().st_size < build.LARGEST
    cells = code(read(path))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert any("image/png" in output.get("data", {}) for output in outputs), "no picture"
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert len(cells) - len(build.solutions(read(path))) - sum(bool(c["outputs"]) for c in cells) <= 2, "silent cells"


@each_lesson
def test_the_students_notebook_gives_nothing_away(source):
    student = read(build.handed_out(source))
    assert build.handed_out(source).stat().st_size < build.LARGEST
    for cell in code(student):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        assert "SOLUTION" not in cell["source"]


@each_lesson
def test_solutions_pasted_into_the_holes_give_the_teachers_notebook(source):
    teacher, student = read(build.taught(source)), read(build.handed_out(source))
    solutions = build.solutions(teacher)
    assert solutions
    assert build.fill(student, solutions) == build.bare(teacher)
    assert build.fill(student, solutions[:-1]) != build.bare(teacher)


@each_lesson
def test_a_students_notebook_fails_at_its_first_hole_and_nowhere_else(source, monkeypatch):
    """Run it cell by cell; where it fails, the cell must be the check of the next hole. Fill that hole, and go on."""
    import matplotlib

    monkeypatch.setenv("MINIGAN_FAST", "1")
    student = read(build.handed_out(source))
    left = build.solutions(read(build.taught(source)))
    namespace, hole = {"__name__": "__main__"}, None
    with matplotlib.rc_context({"backend": "Agg"}), contextlib.redirect_stdout(io.StringIO()):
        for cell in code(student):
            if "exercise" in cell["metadata"].get("tags", []):
                hole = cell
            try:
                exec(cell["source"], namespace)
            except Exception as error:
                name = hole["metadata"]["nbgrader"]["grade_id"]
                assert cell["metadata"].get("tags") == ["check"], f"fails outside a check: {cell['source']}"
                assert cell["metadata"]["nbgrader"]["grade_id"] == f"check-{name}"
                assert f"Not written yet: exercise {name.replace('-', '.', 1)}" in str(error)
                filled = build.fill({"cells": [hole]}, [left.pop(0)])["cells"][0]
                exec(filled["source"], namespace)
                exec(cell["source"], namespace)  # now it passes
        import matplotlib.pyplot as plt

        plt.close("all")
    assert left == [], "every hole made its check fail"


@each_lesson
def test_the_notebooks_are_up_to_date(source):
    pytest.importorskip("jupytext", reason='needs jupytext: pip install "minigan[lessons]"')
    assert build.stale(source) == [], f"run python lessons/build.py {source.name[:2]}"


def test_cells_out_of_order_with_their_holes_are_refused(tmp_path):
    pytest.importorskip("jupytext", reason='needs jupytext: pip install "minigan[lessons]"')
    hole = "    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"
    for header, body in (
        ("# %%", hole),
        ('# %% exercise="01.f"', "    return 1\n"),
        ('# %% exercise="01.f"', hole * 2),
    ):
        path = tmp_path / "01_f.py"
        path.write_text(f"{header}\ndef f():\n{body}")
        with pytest.raises(build.BuildError, match=r"cell 1: a cell with exercise= holds one"):
            build.teacher(path)


def test_a_hole_keeps_its_indentation_and_its_neighbours():
    text = (
        "def f(x):\n    a = 1\n    ### BEGIN SOLUTION\n    if x:\n        a = 2\n    ### END SOLUTION\n    return a"
    )
    metadata = {"nbgrader": {"grade_id": "01-f"}}
    teacher = {"cells": [{"cell_type": "code", "source": text, "metadata": metadata}]}
    (cell,) = build.student(teacher)["cells"]
    assert cell["source"].splitlines() == [
        "def f(x):",
        "    a = 1",
        "    # YOUR CODE HERE",
        '    raise NotImplementedError("exercise 01.f")',
        "    return a",
    ]
    assert build.fill({"cells": [cell]}, build.solutions(teacher))["cells"][0]["source"] == text


def test_an_unknown_lesson_is_a_sentence():
    with pytest.raises(build.BuildError, match=re.escape('No source in lessons/src starts with "77".')):
        build.sources(["77"])


def test_the_times_of_a_source_are_told_and_held_against_the_budget(tmp_path, capsys, monkeypatch):
    path = tmp_path / "01_f.py"
    path.write_text("import os\nassert os.environ['MINIGAN_FAST'] in ('0', '1')\n")
    assert build.times([path])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and said[1].startswith("01_f ") and len(said[1].split()) == 3
    monkeypatch.setitem(build.BUDGET, "quick", 0)
    assert not build.times([path])


# ---- the pages about the lessons -----------------------------------------------------------------------------------


def load_map():
    spec = importlib.util.spec_from_file_location("course_map", LESSONS / "course_map.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["course_map"] = module  # where NamedTuple looks for its annotations
    spec.loader.exec_module(module)
    return module


def test_the_map_shows_every_lesson_and_what_it_needs():
    course_map = load_map()
    course = course_map.lessons()
    assert list(course) == [source.name[:2] for source in SOURCES]
    tracks = " ".join(numbers for _, numbers in course_map.TRACKS.values()).split()
    assert sorted(tracks) == sorted(course)
    for number, lesson in course.items():
        assert lesson.needs <= course.keys() and number not in lesson.needs
        assert all(needed < number for needed in lesson.needs), f"{number} needs a later lesson"
    arrows = course_map.direct(course)
    assert ("01", "02") in arrows and ("05", "06") in arrows
    assert ("01", "03") not in arrows  # by way of 02
    course_map.draw(course)
    assert course_map.MAP.stat().st_size < 300_000


def test_a_sentence_about_what_is_needed_is_read():
    needed = load_map().needed
    assert needed("lessons 01 to 03, and of lesson 14 the idea; NumPy") == {"01", "02", "03", "14"}
    assert needed("no mathematics, and no GPU of 2026") == set()


@each_lesson
def test_the_teachers_page_and_the_readme_list_it(source):
    number, title = re.search(r"^# # (\d\d)\. (.+)$", source.read_text(encoding="utf-8"), re.M).groups()
    page = (LESSONS / "README.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| {number} |"))
    asked = [e.name.partition(".")[2] for e in EXERCISES if e.name.startswith(f"{number}.")]
    assert title.lower() in row.lower() and re.findall(r"`(\w+)`", row) == asked
    readme = (LESSONS.parent / "README.md").read_text(encoding="utf-8")
    assert f"| [{number}](lessons/{build.taught(source).name}) |" in readme
