"""A whole bench: execute the missing runs, and write tables, figures and the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from stsr.bench.jobs.execute import WORK, Tell, execute
from stsr.bench.report.figures import draw
from stsr.bench.report.page import render
from stsr.bench.report.tables import collect, write_tables

if TYPE_CHECKING:
    from stsr.bench.protocol.plan import Plan


def run_bench(plan: Plan, out: Path, *, command: str, tell: Tell = print) -> int:
    """Execute a plan and report on it, also when it is interrupted.

    Parameters
    ----------
    plan
        What to run.
    out
        Folder of the bench. Besides the runs it gets ``scores.parquet`` and ``.csv``, ``summary.csv``, ``costs.csv``,
        ``genes.csv``, ``bench.json``, figures, and ``report.md``. They hold the results of this plan, for the
        present code and data only.
    command
        The command that makes this bench, shown in the report.
    tell
        Called with one line of text for every run.

    Returns
    -------
    How many runs have no result.

    Raises
    ------
    RuntimeError
        When another bench runs in ``out``, or stsr's code changes during the bench.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        try:
            execute(plan, out, tell=tell)
        finally:
            tables = collect(plan, out, command)
            write_tables(tables, out)
            figures = draw(plan, tables, out)
            (out / "report.md").write_text(render(out, title="Bench", figures=figures), encoding="utf-8")
        return int(tables.costs["error"].notna().sum())


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other benches out of the folder, and clear up after one that was killed."""
    try:
        with FileLock(out / ".lock", timeout=0):
            for left in out.glob(f"{WORK}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except Timeout as error:
        raise RuntimeError(
            f"out={str(out)!r} is in use by another bench; wait for it or name another folder."
        ) from error
