"""Commit benches: ``python benchmarks/publish.py [FOLDER ...]``; see README.md beside it.

Copies the small tables of each finished ``stsr bench`` to a folder of the same name in ``benchmarks/results``, and writes
``docs/benchmarks.md`` from all that are there. Without a folder, the page is written again from what is committed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from stsr.bench.report.page import render
from stsr.bench.report.tables import COSTS, FACTS, GENES, SUMMARY

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Copy the tables of the folders that are named, and write the page."""
    for folder in map(Path, sys.argv[1:]):
        kept = RESULTS / folder.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in (SUMMARY, COSTS, GENES, FACTS):
            shutil.copyfile(folder / name, kept / name)
    PAGE.write_text(render(*sorted(RESULTS.iterdir())), encoding="utf-8")


if __name__ == "__main__":
    main()
