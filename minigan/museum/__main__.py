"""python -m minigan.museum: every bug, its mend, and the check between them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from minigan.files import write_whole
from minigan.museum import EXHIBITS, catalogue, examine


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m minigan.museum", description="Bugs, and the checks that see them."
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="with what each check says of its bug")
    parser.add_argument("--board", metavar="FILE.png", help="draw the board")
    parser.add_argument("--pages", metavar="FOLDER", help="write the catalogue, README.md, and board.png beside it")
    options = parser.parse_args(arguments)
    findings = [examine(exhibit) for exhibit in EXHIBITS]
    print(catalogue.table(findings, options.verbose))
    try:
        if options.board:
            catalogue.board(findings, options.board)
        if options.pages:
            folder = Path(options.pages)
            folder.mkdir(parents=True, exist_ok=True)
            catalogue.board(findings, folder / "board.png")
            write_whole(folder / "README.md", catalogue.page(findings).encode())
    except (OSError, ValueError) as error:
        print(f"museum: {error}", file=sys.stderr)
        return 1
    return 0 if all(finding.behaves for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
