"""Makes the notebooks from their sources.

lessons/src/NN_name.py        the source, in py:percent: it runs as a plain script, and it alone is edited
lessons/NN_name.ipynb         the teacher's notebook: the source, executed, with its pictures
lessons/student/NN_name.ipynb the student's: the same cells with holes, and no outputs
lessons/pictures/             what markdown cells show, as ![what it is](pictures/NN_name.gif); under 600 kB each

    python lessons/build.py             make all           python lessons/build.py 01     make lesson 01
    python lessons/build.py --check     say which notebooks are not what their source says; executes nothing
    python lessons/build.py --times     how long each source takes as a script, in full and in quick form

A hole is written in the source as nbgrader writes it, one in a cell, and the cell names its exercise; the cell that
follows checks it:

    # %% exercise="01.relative_error"
    def relative_error(a, b, floor):
        \"\"\"The docstring stays: it says what is asked.\"\"\"
        ### BEGIN SOLUTION
        ...
        ### END SOLUTION

    # %% check="01.relative_error"
    check("01.relative_error", relative_error).raise_if_wrong()

What lies between the two marks becomes `raise NotImplementedError(...)`; pasted back, it gives the teacher's notebook
again. Both notebooks carry nbgrader's cell metadata, so a school can release and mark them with it. Nothing in a
notebook depends on when or where it was built: no times, no memory addresses, no warnings, and cell ids that are
hashes of file and position. On one machine two builds give the same bytes; another one may draw its pictures with
other fonts, and --check looks at the cells only.

Needs pip install "minigan[lessons]".
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LESSONS = Path(__file__).parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LARGEST = 1_000_000  # bytes of a notebook: code-hosting pages show no larger ones
BUDGET = {"full": 90, "quick": 10}  # seconds on two cores

HOLE = re.compile(r"^(?P<indent> *)### BEGIN SOLUTION\n(?P<solution>.*?)^ *### END SOLUTION$", re.M | re.S)
DUG = re.compile(r"^ *# YOUR CODE HERE\n *raise NotImplementedError\(.*\)$", re.M)


class BuildError(Exception):
    """A lesson cannot be built; the message says which cell and why."""


def sources(names: list[str] | None = None) -> list[Path]:
    """The sources whose names start so ("01"), in order; all without names."""
    found = sorted((LESSONS / "src").glob("[0-9][0-9]_*.py"))
    for name in names or []:
        if not any(path.name.startswith(name) for path in found):
            raise BuildError(f'No source in lessons/src starts with "{name}".')
    return [path for path in found if not names or path.name.startswith(tuple(names))]


# ---- cells ----------------------------------------------------------------------------------------------------


def teacher(source: Path) -> Any:
    """The teacher's notebook, not executed: a cell for each of the source, with id, tags and nbgrader's metadata."""
    import jupytext
    import nbformat

    notebook = jupytext.read(source, fmt="py:percent")
    cells = []
    for index, cell in enumerate(notebook.cells):
        exercise, checks = cell.metadata.pop("exercise", None), cell.metadata.pop("check", None)
        marks = len(HOLE.findall(cell.source)) if cell.cell_type == "code" else 0
        if marks != (exercise is not None) or cell.source.count("### BEGIN") != marks:
            raise BuildError(
                f"{source.name}, cell {index + 1}: a cell with exercise= holds one ### BEGIN SOLUTION and its "
                f"### END SOLUTION, and other cells hold none."
            )
        metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        if exercise:
            metadata |= {"nbgrader": nbgrader(exercise, solution=True), "tags": ["exercise"]}
        if checks:
            metadata |= {"nbgrader": nbgrader(f"check-{checks}", points=1), "tags": ["check"]}
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        identity = hashlib.sha256(f"{source.stem}:{index}".encode()).hexdigest()[:12]
        cells.append(make(cell.source.strip("\n"), id=identity, metadata=metadata))
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def nbgrader(name: str, solution: bool = False, points: int | None = None) -> dict[str, Any]:
    """nbgrader's metadata, schema 3: of a cell that students write, or of one that is marked and locked."""
    metadata = {
        "grade": points is not None,
        "grade_id": re.sub(r"[^\w-]", "-", name),
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    return metadata | ({} if points is None else {"points": points})


def student(notebook: Any) -> Any:
    """The same notebook with holes and without outputs."""
    notebook = bare(notebook)
    for cell in notebook["cells"]:
        exercise = cell["metadata"].get("nbgrader", {}).get("grade_id", "").replace("-", ".", 1)
        hole = r"\g<indent># YOUR CODE HERE" + "\n" + rf'\g<indent>raise NotImplementedError("exercise {exercise}")'
        cell["source"] = HOLE.sub(hole, cell["source"])
        if cell["cell_type"] == "markdown":  # it lies one folder deeper
            cell["source"] = cell["source"].replace("](pictures/", "](../pictures/")
    return notebook


def solutions(notebook: Any) -> list[str]:
    """What the teacher's notebook has where the student's has holes, in order, with the marks."""
    return [hole.group() for cell in notebook["cells"] for hole in HOLE.finditer(cell["source"])]


def fill(notebook: Any, solutions: list[str]) -> Any:
    """A student's notebook with these solutions pasted into its holes, from the first on, as the teacher has it."""
    notebook, left = copy.deepcopy(notebook), list(solutions)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = cell["source"].replace("](../pictures/", "](pictures/")
        if left and DUG.search(cell["source"]):
            solution = left.pop(0)
            cell["source"] = DUG.sub(lambda _, text=solution: text, cell["source"])
    return notebook


def bare(notebook: Any) -> Any:
    """The same notebook without what execution adds."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


# ---- execution and files --------------------------------------------------------------------------------------


def execute(notebook: Any, name: str) -> Any:
    """The notebook with its outputs, run in a process of its own in full length, without a student's seed."""
    import nbformat
    from nbclient import NotebookClient

    environment = {k: v for k, v in os.environ.items() if not k.startswith("MINIGAN_") and k != "MPLBACKEND"}
    environment |= {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    notebook = copy.deepcopy(notebook)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False, coalesce_streams=True)
    client.execute(cwd=str(LESSONS), env=environment)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})  # and not the version of Python that ran it
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            if output.get("name") == "stderr":
                raise BuildError(
                    f"{name}, cell {index + 1} writes to stderr, which differs by machine: {text.strip()}"
                )
            if re.search(r"0x[0-9a-f]{6,}", text):
                raise BuildError(
                    f"{name}, cell {index + 1} prints a memory address, which differs by run: {text.strip()}"
                )
    return notebook


def written(notebook: Any) -> bytes:
    """The notebook as its file's bytes."""
    import nbformat

    nbformat.validate(notebook)
    return (nbformat.writes(notebook, indent=1).rstrip("\n") + "\n").encode()


def build(source: Path) -> None:
    """Write both notebooks of a source."""
    plain = teacher(source)
    for path, notebook in ((taught(source), execute(plain, source.name)), (handed_out(source), student(plain))):
        content = written(notebook)
        if len(content) > LARGEST:
            raise BuildError(
                f"{path.name} has {len(content)} bytes, and {LARGEST} is the limit: save smaller pictures."
            )
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        print(f"{path.relative_to(LESSONS.parent)}  {len(content) / 1000:.0f} kB")


def stale(source: Path) -> list[Path]:
    """Those of a source's two notebooks whose cells are not what the source says."""
    import nbformat

    plain, found = teacher(source), []
    for path, wanted in ((taught(source), plain), (handed_out(source), student(plain))):
        read = bare(nbformat.read(path, as_version=4)) if path.exists() else None
        if read is None or written(read) != written(wanted):
            found.append(path)
    return found


def times(chosen: list[Path]) -> bool:
    """Prints how long each source takes on this machine; is each within its budget?"""
    print(f"{'seconds':<40}{'full':>6}{'quick':>7}")
    within = True
    for source in chosen:
        seconds = {}
        for form in BUDGET:
            environment = os.environ | {"MPLBACKEND": "Agg", "MINIGAN_FAST": "1" if form == "quick" else "0"}
            began = time.perf_counter()
            subprocess.run([sys.executable, source], check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds[form] = time.perf_counter() - began
        print(f"{source.stem:<40}{seconds['full']:>6.1f}{seconds['quick']:>7.1f}", flush=True)
        within &= all(seconds[form] <= most for form, most in BUDGET.items())
    print(f"Each is to stay within {BUDGET['full']} s in full and {BUDGET['quick']} s in quick form.")
    return within


def taught(source: Path) -> Path:
    return LESSONS / f"{source.stem}.ipynb"


def handed_out(source: Path) -> Path:
    return LESSONS / "student" / f"{source.stem}.ipynb"


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the notebooks of the lessons from their sources.")
    parser.add_argument("names", nargs="*", help='the lessons, as "01"; all without names')
    parser.add_argument("--check", action="store_true", help="make nothing; say which notebooks are out of date")
    parser.add_argument("--times", action="store_true", help="make nothing; say how long each source runs")
    options = parser.parse_args()
    try:
        chosen = sources(options.names)
        if options.times:
            return 0 if times(chosen) else 1
        if options.check:
            old = [path for source in chosen for path in stale(source)]
            print("\n".join(f"out of date: {path}" for path in old) or "All notebooks are up to date.")
            return bool(old)
        for source in chosen:
            build(source)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
