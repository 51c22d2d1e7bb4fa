"""The course on one page: each lesson, what it builds on, and the library files that it opens.

    python lessons/course_map.py        writes lessons/pictures/map.png

All of it is read from lessons/src: the title, the lessons named after "You need", and the imports; so the map cannot
say what the lessons do not.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as MplPath

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "minigan"
MAP = HERE / "pictures" / "map.png"
EVERYWHERE = ("exercises", "backend", "shipped")  # modules that say little about a lesson
INK, FAINT = "#333333", "#8A8A8A"
TRACKS = {  # name: colour, lessons
    "the calculus": ("#0072B2", "01 02 07 08 12 14"),
    "the game": ("#D55E00", "00 03 04 05 11"),
    "pictures and clips": ("#009E73", "06 09 13 17"),
    "words and music": ("#B8528F", "15 16"),
    "is it right, is it good, is it fast": ("#7A5C00", "10 18 19 20 21"),
}


class Lesson(NamedTuple):
    number: str
    title: str
    needs: frozenset[str]  # numbers of the lessons that it says it needs
    opens: tuple[str, ...]  # modules of minigan, first those that few other lessons open


def lessons() -> dict[str, Lesson]:
    """All lessons by number, in order."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "src").glob("*.py"))]
    each = [imported(text) - {*EVERYWHERE} for text in texts]
    common = Counter(name for names in each for name in names)
    found = {}
    for text, modules in zip(texts, each):
        number, title = re.search(r"^# # (\d\d)\. (.+)$", text, re.M).groups()
        head = " ".join(re.sub(r"(?m)^# ?", "", text.split("# %%")[1]).split())
        needs = needed(re.search(r"\*\*You need\*\*(.*?)\*\*Time\*\*", head).group(1))
        opens = sorted(modules, key=lambda name: (common[name], name))
        found[number] = Lesson(number, title, needs - {number}, tuple(opens))
    return found


def needed(text: str) -> frozenset[str]:
    """The lessons that a sentence names: "01 to 03, and 05"."""
    numbers = set()
    for first, last in re.findall(r"\b(\d\d)(?: to (\d\d))?\b", text):
        numbers |= {f"{k:02}" for k in range(int(first), int(last or first) + 1)}
    return frozenset(numbers)


def imported(text: str) -> set[str]:
    """The modules of minigan that a lesson imports: "losses", "metrics.modes"."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minigan":
            inner = node.module.split(".")[1:]
            each = [".".join([*inner, alias.name]) for alias in node.names]
            modules = {name for name in each if (PACKAGE / f"{name.replace('.', '/')}.py").exists()}
            names |= modules if modules or not inner else {".".join(inner)}
            if not inner:  # a package's folder
                names |= {name for name in each if (PACKAGE / name).is_dir()}
    return names


def direct(course: dict[str, Lesson]) -> list[tuple[str, str]]:
    """What builds on what, without what follows from the rest: (before, after)."""
    above = {}  # all that stands before a lesson
    for number, lesson in course.items():
        above[number] = lesson.needs.union(*(above[k] for k in lesson.needs))
    return [
        (k, number)
        for number, lesson in course.items()
        for k in sorted(lesson.needs)
        if not any(k in above[other] for other in lesson.needs)
    ]


def draw(course: dict[str, Lesson]) -> Figure:
    """The map: a line for each lesson, and on the left an arc from each to those that build on it."""
    row = {number: -k for k, number in enumerate(course)}
    colour = {number: c for c, numbers in TRACKS.values() for number in numbers.split()}
    figure = Figure(figsize=(11.5, 0.42 * len(course) + 1.3), dpi=80, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-5.6, 17.4), ylim=(-len(course) - 0.2, 2.4))
    axes.axis("off")
    for before, after in direct(course):
        top, bottom = row[before], row[after]
        reach = 0.5 + 0.24 * (top - bottom)  # the longer the way, the further out
        arc = MplPath([(0, top), (-reach, top), (-reach, bottom), (0, bottom)], [1, 4, 4, 4])
        look = {"color": colour[before], "linewidth": 1.5, "alpha": 0.75, "arrowstyle": "-|>", "mutation_scale": 11}
        axes.add_patch(FancyArrowPatch(path=arc, shrinkA=0, shrinkB=0, fill=False, **look))
    for number, lesson in course.items():
        y, look = row[number], {"va": "center", "fontsize": 11}
        axes.text(0.15, y, number, color=colour[number], weight="bold", **look)
        axes.text(0.85, y, lesson.title, color=INK, **look)
        files = ", ".join(name.replace(".", "/") for name in lesson.opens[:4])
        axes.text(8.3, y, files, color=FAINT, **look | {"fontsize": 9})
    heads = ((-5.4, "builds on"), (0.15, "lesson"), (8.3, "opens, of minigan"))
    for x, text in heads:
        axes.text(x, 0.95, text, color=INK, fontsize=10, style="italic")
    x = -5.4
    for name, (shade, _) in TRACKS.items():
        axes.text(x, 1.85, name, color=shade, fontsize=11, weight="bold")
        x += 0.235 * len(name) + 1.0
    return figure


if __name__ == "__main__":
    draw(lessons()).savefig(MAP, metadata={"Software": None})
    print(f"{MAP.relative_to(HERE.parent)}  {MAP.stat().st_size // 1000} kB")
