"""A bench on a small synthetic section, with its children in this process where a test is not about processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stsr.bench.measure import MeasureJob, measure
from stsr.bench.plan import Entry, Plan, make_plan
from stsr.bench.prepare import PrepareJob, prepare
from stsr.bench.sources import find_sources

SECTION = "synthetic:600"
NAME = "synthetic_600"


def small_plan(*methods: str, **more: Any) -> Plan:
    """A plan on the small section with a handful of genes; methods without options."""
    entries = [Entry(method, method) for method in methods or ("nearest", "idw")]
    return make_plan(find_sources(SECTION), entries, **{"genes": 6, **more})


def in_this_process(module: str, job: dict[str, Any], log: Path) -> str | None:
    """What ``stsr.bench.execute.spawn`` does, without the seconds that a new process takes to import everything."""
    log.write_text("")
    try:
        if module.endswith("prepare"):
            prepare(PrepareJob(**job))
        else:
            measure(MeasureJob(**job))
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return None
