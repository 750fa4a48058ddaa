"""Commit a bench: ``python benchmarks/publish.py [bench_output]``; see README.md beside it.

Copies the small tables of a finished ``stsr bench`` to ``benchmarks/results`` and writes ``docs/benchmarks.md`` from
them. Without a folder, the page is written again from the tables that are committed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from stsr.bench.report import render
from stsr.bench.tables import COSTS, FACTS, GENES, SUMMARY

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Copy the tables of the folder that is named, if one is, and write the page."""
    for folder in sys.argv[1:]:
        RESULTS.mkdir(exist_ok=True)
        for name in (SUMMARY, COSTS, GENES, FACTS):
            shutil.copyfile(Path(folder, name), RESULTS / name)
    PAGE.write_text(render(RESULTS), encoding="utf-8")


if __name__ == "__main__":
    main()
