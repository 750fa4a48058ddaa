"""What a method costs, from the committed tables of the benchmark."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@dataclass(frozen=True)
class Cost:
    """Time and memory of the runs of one method on one kind of section.

    Parameters
    ----------
    section
        Name of the bench.
    spots, cells, genes
        Of a section; the median where there are several.
    seconds, published
        Median time of a run, and extrapolated to the epochs and networks of the publication where these are more.
    memory
        Largest memory of a run in GB.
    """

    section: str
    spots: int
    cells: int
    genes: int
    seconds: float
    published: float | None
    memory: float


def costs(method: str, results: Path = RESULTS) -> Iterator[Cost]:
    """The costs of a method with its default options, one for each bench that ran it.

    Only benches that are named like their sections are used: the others are controls on the same sections.
    """
    for folder in sorted(results.iterdir()):
        with (folder / "costs.csv").open(newline="") as file:
            runs = [run for run in csv.DictReader(file) if run["method"] == method and run["seconds"]]
        runs = [run for run in runs if run["section"].split("/")[0] == folder.name]
        if not runs:
            continue
        facts = json.loads((folder / "bench.json").read_text())["sections"].values()
        spots, cells, genes = (int(median(section[key] for section in facts)) for key in ("spots", "cells", "genes"))
        published = [float(run["published_seconds"]) for run in runs if run["published_seconds"]]
        yield Cost(
            folder.name,
            spots,
            cells,
            genes,
            median(float(run["seconds"]) for run in runs),
            median(published) if published else None,
            max(float(run["peak_gb"]) for run in runs),
        )


def duration(seconds: float) -> str:
    """In the largest unit that leaves more than one.

    Examples
    --------
    >>> duration(3.9), duration(250), duration(49_227)
    ('4 s', '4 min', '14 h')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
