"""Commit benches: ``python benchmarks/publish.py [FOLDER ...]``; see README.md beside it.

Copies the small tables of each finished ``stsr bench`` to a folder of the same name in ``benchmarks/results``, and writes
``docs/benchmarks.md`` and the overview in ``README.md`` from all that are there. Without a folder, both are written again
from what is committed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from stsr.bench.report.overview import opening, overview, read_summaries
from stsr.bench.report.page import render
from stsr.bench.report.tables import COSTS, FACTS, GENES, SUMMARY

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- benchmarks/publish.py writes from here -->\n", "<!-- to here -->\n"


def page(folders: Sequence[Path]) -> str:
    """The page of the documentation."""
    return render(*folders, opening=opening(*folders))


def readme(text: str, folders: Sequence[Path]) -> str:
    """A text with the overview anew between its two marks.

    Raises
    ------
    ValueError
        When it has not both marks once, in this order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ValueError(f"README.md has not the lines {BEGIN!r} and {END!r} once and in this order; put them back.")
    return f"{before}{begin}\n{overview(read_summaries(*folders))}\n{end}{after}"


def main() -> None:
    """Copy the tables of the folders that are named, and write page and README."""
    for folder in map(Path, sys.argv[1:]):
        kept = RESULTS / folder.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY, COSTS, GENES, FACTS):
            shutil.copyfile(folder / name, kept / name)
    folders = sorted(RESULTS.iterdir())
    PAGE.write_text(page(folders), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8"), folders), encoding="utf-8")


if __name__ == "__main__":
    main()
