"""The museum of bugs: mistakes seen in real code for GANs, each with the check that exposes it.

An exhibit is a bug in about ten lines of our own, its mend, and a check that the mend passes and the bug does not.
Most bugs here are silent: the program runs, and its losses look like losses. Whoever shows code to learners deserves
thanks; each of these has happened to people who know more than we do, and a check is what catches it.

    python -m minigan.museum                     the board as a table; status 1 if an exhibit does not behave
    python -m minigan.museum -v                  with what each check says of its bug
    python -m minigan.museum --board FILE.png    the board as a picture
    python -m minigan.museum --pages FOLDER      the catalogue, README.md, and the board beside it

The files, in the order of the board: backward, losses, penalties, g_steps, rounds, words, systems, measures.
"""

from __future__ import annotations

from minigan.museum import backward, g_steps, losses, measures, penalties, rounds, systems, words
from minigan.museum.exhibit import Exhibit, Finding, examine

FAMILIES: dict[str, tuple[Exhibit, ...]] = {
    "Backward passes": backward.EXHIBITS,
    "Losses": losses.EXHIBITS,
    "Gradient penalties": penalties.EXHIBITS,
    "Steps of G": g_steps.EXHIBITS,
    "Rounds of the game": rounds.EXHIBITS,
    "Words": words.EXHIBITS,
    "Shapes and systems": systems.EXHIBITS,
    "Checks and measures": measures.EXHIBITS,
}
EXHIBITS: tuple[Exhibit, ...] = tuple(exhibit for family in FAMILIES.values() for exhibit in family)

__all__ = ["EXHIBITS", "FAMILIES", "Exhibit", "Finding", "examine", "exhibit_named"]


def exhibit_named(name: str) -> Exhibit:
    """The exhibit of this name. Raises KeyError, saying which there are, for another."""
    found = {exhibit.name: exhibit for exhibit in EXHIBITS}
    if name not in found:
        raise KeyError(f"The museum has no exhibit {name!r}; it has {', '.join(found)}.")
    return found[name]
