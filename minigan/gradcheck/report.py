"""What a gradient check found: a table to read, a picture, an exception with the same text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


class GradientError(AssertionError):
    """A gradient is wrong; the message is the report's table."""


@dataclass
class Row:
    """One variable's verdict. `yours`, `numeric` and `error` are arrays of its shape, NaN where not looked at."""

    name: str
    mode: str
    yours: np.ndarray | None = None
    numeric: np.ndarray | None = None
    error: np.ndarray | None = None
    worst: tuple[int, ...] | None = None
    relative_error: float = np.nan
    order: str = ""
    diagnosis: str = ""  # empty when right
    note: str = ""

    @property
    def wrong(self) -> bool:
        return bool(self.diagnosis)


@dataclass
class Report:
    """The outcome of a check: prints as a table, is true when all is right, plots, and raises.

    rows: a Row for each variable and mode. contract: name -> what is wrong, "" when right.
    """

    title: str
    rows: list[Row] = field(default_factory=list)
    contract: dict[str, str] = field(default_factory=dict)

    @property
    def diagnoses(self) -> list[str]:
        """What is wrong, a sentence each; empty when all is right."""
        found = [f"{row.name} ({row.mode}): {row.diagnosis}" for row in self.rows if row.wrong]
        found += [f"{name}: {message}" for name, message in self.contract.items() if message]
        if not found and self.rows and all(row.note.startswith("zero everywhere") for row in self.rows):
            found.append("every gradient is zero, so this check proves nothing: take other inputs or a larger batch")
        return found

    @property
    def ok(self) -> bool:
        return not self.diagnoses

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        cells = [("variable", "mode", "worst entry", "yours", "numeric", "rel. error", "order", "verdict")]
        for row in self.rows:
            at = row.worst
            values = ("", "") if at is None else (f"{row.yours[at]:.6g}", f"{row.numeric[at]:.6g}")
            where = "" if at is None else "[" + ", ".join(map(str, at)) + "]"
            error = "" if np.isnan(row.relative_error) else f"{row.relative_error:.0e}"
            verdict = f"WRONG: {row.diagnosis}" if row.wrong else "right" + (f" ({row.note})" if row.note else "")
            cells.append((row.name, row.mode, where, *values, error, row.order, verdict))
        widths = [max(len(line[k]) for line in cells) for k in range(7)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(line, widths)), line[7]]).rstrip() for line in cells]
        kept = [name for name, message in self.contract.items() if not message]
        broken = [f"WRONG: {name}: {message}" for name, message in self.contract.items() if message]
        end = [f"also right: {', '.join(kept)}"] if kept else []
        empty = self.diagnoses[-1:] if not self.ok and not any(r.wrong for r in self.rows) and not broken else []
        return "\n".join([self.title, *lines, *broken, *end, *empty])

    __repr__ = __str__

    def raise_if_wrong(self) -> Report:
        """Raises GradientError with the report's table as its message; returns the report when all is right."""
        if not self.ok:
            raise GradientError(f"\n{self}")
        return self

    def plot(self, path: str | None = None) -> Any:
        """Heat maps of the relative error, a panel for each variable; returns the matplotlib Figure."""
        from minigan import viz

        panels = [(f"{row.name} ({row.mode})", row.error, row.wrong) for row in self.rows if row.error is not None]
        return viz.error_maps(panels, path)
