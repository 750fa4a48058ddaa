"""The results of a bench as tidy tables, and the files they are kept in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stsr.bench.cost import machine
from stsr.bench.files import PREPARED, SCORES, read_json, run_folder, section_folder, write_json
from stsr.bench.fingerprint import versions
from stsr.bench.jobs.execute import outcome
from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.report.summary import PLACE, RUN, by_gene, summarise

if TYPE_CHECKING:
    from stsr.bench.protocol.plan import Plan


KNOWN = ("seconds", "published_seconds", "peak_gb", "given", "hidden")
"""Facts that a run records; see :class:`Tables`."""

SUMMARY, COSTS, GENES, FACTS = "summary.csv", "costs.csv", "genes.csv", "bench.json"
"""Files: the report is made of ``SUMMARY``, ``COSTS`` and ``FACTS``; ``GENES`` has every gene's correlation by method."""


@dataclass(frozen=True)
class Tables:
    """Results of a bench.

    Parameters
    ----------
    scores
        A row for each run, gene, scale and place.
    costs
        A row for each run: ``seconds``; ``published_seconds``, extrapolated to the published number of epochs and networks;
        ``peak_gb``; numbers of spots ``given`` and ``hidden``; and the ``error``.
    facts
        Command, machine, versions, sections and settings.
    """

    scores: pd.DataFrame
    costs: pd.DataFrame
    facts: dict[str, Any]


def collect(plan: Plan, out: Path, command: str) -> Tables:
    """Gather the results of a plan's runs, in its order; those of another fingerprint are left out."""
    scores, costs = [], []
    for run in plan.runs:
        named: dict[str, Any] = {
            "section": run.section,
            "setting": run.setting,
            "method": run.entry.label,
            "seed": run.seed,
        }
        result = outcome(plan, out, run)
        known = {name: result.facts.get(name) for name in KNOWN}
        costs.append({**named, **known, "error": result.error})
        if result.error is None:
            scores.append(pd.read_parquet(run_folder(out, run.key) / SCORES).assign(**named))
    table = pd.concat(scores, ignore_index=True) if scores else pd.DataFrame(columns=[*RUN, "gene", *PLACE])
    first = [*RUN, "gene", *PLACE]
    table = table[[*first, *(column for column in table.columns if column not in first)]]
    return Tables(table, pd.DataFrame(costs), _facts(plan, out, command))


def _facts(plan: Plan, out: Path, command: str) -> dict[str, Any]:
    prepared = {
        run.section: read_json(section_folder(out, run.section, run.image) / PREPARED)
        for run in reversed(plan.runs)  # so that a section's first setting comes last and counts
    }
    return {
        "command": command,
        "machine": machine(),
        "versions": versions(),
        "encoder": plan.encoder,
        "sections": {section: prepared[section] for section in plan.sources if prepared.get(section)},
        "settings": {name: SETTINGS[name].title for name in dict.fromkeys(run.setting for run in plan.runs)},
        "blind": list(plan.need_spots),
    }


def write_tables(tables: Tables, out: Path) -> None:
    """Write all tables and facts to a folder."""
    tables.scores.to_parquet(out / "scores.parquet", index=False)
    tables.scores.to_csv(out / "scores.csv", index=False, float_format="%.5g")
    summarise(tables.scores).to_csv(out / SUMMARY, index=False, float_format="%.5g")
    tables.costs.to_csv(out / COSTS, index=False)
    by_gene(tables.scores).to_csv(out / GENES, index=False, float_format="%.4f")
    write_json(out / FACTS, tables.facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts that :func:`write_tables` wrote."""
    return json.loads((folder / FACTS).read_text(encoding="utf-8"))


def read_summary(folder: Path) -> pd.DataFrame:
    """What :func:`write_tables` wrote of :func:`summarise`."""
    # Labels are kept as written: "1" might name a section.
    return pd.read_csv(folder / SUMMARY, dtype={"section": str, "setting": str, "method": str})
