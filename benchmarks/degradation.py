"""What a worse image costs: ``python benchmarks/degradation.py kidney her2st/C2 --out FOLDER``; see README.md beside it.

Runs the default and ``idw`` on each section with its image as it is and made worse in every way that
``stsr.datasets.distortions`` knows, mildly and badly; each run is a process of its own. Give the command again after it was
stopped, and it goes on. With ``--publish`` the table is kept as ``benchmarks/degradation.csv`` and ``docs/degradation.md``
is written from it.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd

from stsr.bench.jobs.execute import execute
from stsr.bench.report.degradation import degradation_page, degradation_plan, degradation_table
from stsr.bench.sources.boxes import write_section
from stsr.bench.sources.find import find_sources

HERE = Path(__file__).parent
KEPT = HERE / "degradation.csv"
PAGE = HERE.parent / "docs" / "degradation.md"

BOXES = {"kidney": (400.0, 4000.0, 1800.0, 5400.0)}
"""The part of a large section that is taken, (left, top, right, bottom) in µm: here one with the tissue's edge."""


def main() -> None:
    """Run what is missing, and write the table and its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+", metavar="SECTION", help="as of stsr bench")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--distortions", metavar="A,B", help="(default: all)")
    parser.add_argument("--publish", action="store_true", help="write docs/degradation.md")
    args = parser.parse_args()
    folders = []
    for argument in args.sections:
        for source in find_sources(argument):
            folders.append(args.out / "as_it_is" / source.name.replace("/", "_"))
            write_section(source, folders[-1].resolve(), box=BOXES.get(source.name))
    names = args.distortions.split(",") if args.distortions else None
    plan = degradation_plan([folder.resolve() for folder in folders], distortions=names)
    out = args.out / "bench"
    out.mkdir(parents=True, exist_ok=True)
    some = f" --distortions {args.distortions}" if args.distortions else ""
    command = f"python benchmarks/degradation.py {' '.join(args.sections)}{some} --out FOLDER --publish"
    try:
        execute(plan, out)
    finally:
        table = degradation_table(plan, out)
        table.to_csv(args.out / KEPT.name, index=False, float_format="%.5g")
        page = degradation_page(pd.read_csv(args.out / KEPT.name, keep_default_na=True, na_values=[""]), command)
        (args.out / PAGE.name).write_text(page, encoding="utf-8")
    if args.publish:
        shutil.copyfile(args.out / KEPT.name, KEPT)
        shutil.copyfile(args.out / PAGE.name, PAGE)


if __name__ == "__main__":
    main()
