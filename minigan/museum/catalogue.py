"""The museum for visitors: the board as a table and as a picture, and the catalogue as a page."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minigan.museum import FAMILIES, Finding
from minigan.viz.figures import FAINT, INK, _figure, _finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RED, GREEN = "#D55E00", "#007A5A"  # vermilion and a dark bluish green: apart for every kind of colour vision
COLUMNS = {"exhibit": 0.055, "noticed": 0.5, "exposed by": 0.63, "bug": 0.905, "mend": 0.975}  # places on the board


def table(findings: Sequence[Finding], verbose: bool = False) -> str:
    """A line for each exhibit, and the sum; with what the checks say where `verbose`."""
    line = "{:>3}  {:<26} {:<8} {:<36} {:<8} {}".format
    lines = [line("", "exhibit", "noticed", "exposed by", "bug", "mend")]
    for number, f in enumerate(findings, 1):
        marks = "red" if f.bug_says else "GREEN?", "green" if not f.mend_says else "RED?"
        heard = "loud" if f.bug_raises else "silent"
        lines.append(line(number, f.exhibit.name, heard, f.exhibit.which, *marks))
        if verbose:
            lines.append(f"     {f.bug_says or 'The check passes the bug, and should not.'}")
        lines += [f"     It does not behave: {reason}" for reason in faults(f)]
    return "\n".join([*lines, "", total(findings)])


def faults(f: Finding) -> list[str]:
    """Why a finding is not what its exhibit promises, a sentence each."""
    found = [] if f.bug_says else ["the check passes the bug."]
    found += [f"the check refuses the mend: {f.mend_says}"] if f.mend_says else []
    if bool(f.bug_raises) == f.exhibit.silent:
        found.append(f"the bug is {f'loud, it raises {f.bug_raises}' if f.bug_raises else 'silent'}.")
    return found + ([f"the mend raises {f.mend_raises}."] if f.mend_raises else [])


def total(findings: Sequence[Finding]) -> str:
    """The moral of the museum, counted."""
    n, loud = len(findings), sum(bool(f.bug_raises) for f in findings)
    red, green = sum(bool(f.bug_says) for f in findings), sum(not f.mend_says for f in findings)
    return (
        f"{n} exhibits: {n - loud} are silent and {loud} loud; checks are red on {red} bugs, green on {green} mends."
    )


# ---- the board as a picture ---------------------------------------------------------------------------------------


def board(findings: Sequence[Finding], path: str | os.PathLike | None = None, figure: Figure | None = None) -> Figure:
    """A row for each exhibit, by families: number, title, silent or loud, the check, a cross and a tick.

    Returns the figure, a new one if none is given; writes a PNG where a path is given.
    """
    names = [exhibit.name for exhibits in FAMILIES.values() for exhibit in exhibits]
    number = {name: i + 1 for i, name in enumerate(names)}
    rows: list[Finding | str] = []
    for family, exhibits in FAMILIES.items():
        here = [f for f in findings if f.exhibit in exhibits]
        rows += [family, *here] if here else []
    figure = _figure(9.6, 0.9 + 0.235 * len(rows)) if figure is None else figure
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(len(rows) + 0.2, -1.6))
    axes.axis("off")
    for head, x in COLUMNS.items():
        axes.text(
            x, -0.9, head, fontsize=9, color=INK, ha="center" if x > 0.9 else "left", va="center", weight="bold"
        )
    axes.axhline(-0.4, color=INK, linewidth=0.9)
    for y, row in enumerate(rows, 0):
        if isinstance(row, str):
            axes.text(0.0, y + 0.12, row, fontsize=9, color=INK, va="center", weight="bold")
            continue
        words = {"fontsize": 9, "color": INK, "va": "center"}
        heard = "loud" if row.bug_raises else "silent"
        axes.text(0.04, y, number[row.exhibit.name], ha="right", **words)
        axes.text(COLUMNS["exhibit"], y, row.exhibit.title, **words)
        axes.plot(COLUMNS["noticed"] + 0.005, y, "o" if heard == "silent" else "^", color=INK, markersize=5,
                  fillstyle="none" if heard == "silent" else "full")  # fmt: skip
        axes.text(COLUMNS["noticed"] + 0.022, y, heard, **words)
        axes.text(COLUMNS["exposed by"], y, row.exhibit.which, **words)
        for column, passes in (("bug", not row.bug_says), ("mend", not row.mend_says)):
            mark(axes, COLUMNS[column], y, passes)
        axes.axhline(y + 0.5, color=FAINT, linewidth=0.3)
    axes.set_title("Every check is red on the bug and green on its mend", loc="left", fontsize=11, color=INK)
    axes.text(1, -1.9, total(findings).split(";")[0], fontsize=9, color=INK, ha="right", va="bottom")
    return _finish(figure, path)


def mark(axes, x: float, y: float, passes: bool) -> None:
    """A green tick where a check passes, and a red cross where it fails."""
    if passes:
        axes.plot([x - 0.009, x - 0.003, x + 0.01], [y, y + 0.24, y - 0.3], color=GREEN, linewidth=2.2)
    else:
        axes.plot(x, y, "x", color=RED, markersize=7, markeredgewidth=2.2)


# ---- the catalogue ------------------------------------------------------------------------------------------------

HEAD = """# The museum of bugs

Mistakes seen in real code for GANs. Each is told again in about ten lines of our own: the bug, its mend, and what
the check says that tells them apart. Lesson 20 goes through some of them, and `python -m minigan.museum` runs all.

Nobody is to be laughed at here. These bugs were found in code that people wrote for others to learn from, often by
its readers, and most of them are **silent**: the program runs, its numbers are finite, and its losses look like
losses. That is why each stands beside a check: care alone does not find them.

![The board: for each exhibit its title, silent or loud, the check that exposes it, a cross for the bug and a tick for
the mend](board.png)

This page is made by `python -m minigan.museum --pages lessons/museum`.
"""


def page(findings: Sequence[Finding]) -> str:
    """The catalogue in Markdown: what is wrong, where it was seen, both sources, and what the check says."""
    parts, by_name, number = [HEAD, total(findings)], {f.exhibit.name: f for f in findings}, 0
    for family, exhibits in FAMILIES.items():
        parts.append(f"## {family}")
        for exhibit in exhibits:
            number += 1
            parts.append(entry(number, by_name[exhibit.name]))
    return "\n\n".join(parts) + "\n"


def entry(number: int, f: Finding) -> str:
    e = f.exhibit
    heard = f"Loud: `{f.bug_raises}`." if f.bug_raises else "Silent."
    sources = "\n\n\n".join(inspect.getsource(thing).rstrip() for thing in (e.bug, e.mend))
    return (
        f"### {number}. {e.title}\n\n"
        f"`{e.name}`, lesson {e.lesson:02}. {heard} Exposed by: {e.which}.\n\n"
        f"{e.wrong}\n\n"
        f"*What one sees.* {e.symptom} *Where.* {e.seen_in[0].upper()}{e.seen_in[1:]}.\n\n"
        f"```python\n{sources}\n```\n\n"
        f"> The check: {f.bug_says}"
    )
