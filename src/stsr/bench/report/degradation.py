"""Loss of score on degraded images: the default method against its own score and against interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from stsr.bench.files import PREPARED, read_json, section_folder
from stsr.bench.protocol.plan import OWN, Entry, Plan, make_plan
from stsr.bench.report.page import markdown
from stsr.bench.report.summary import summarise
from stsr.bench.report.tables import collect
from stsr.bench.sources.degraded import NONE, Degraded
from stsr.datasets.distortions import DISTORTIONS, SEVERITIES

OURS, THEIRS = "cross_attention", "idw"
"""The default method, and the interpolation that it is compared with."""

SETTING = {True: "shared_noise", False: "random_half"}
"""Setting of sections with true bins, and without. Scores are only compared with one another here."""

SCALE = 16.0
"""Side in µm of the true bins whose score is shown."""

KEPT = 0.9
"""Share of its score that the default is to keep on mildly degraded images."""

HEAD = """\
# Degraded images

The whole pipeline (tissue mask, stain, features, fit, prediction) on sections whose image was degraded in one way each:
mildly, as slides often are, and badly. The spots stay as they are. Scores are mean correlations over genes, on
{what}. Only compare them with one another: where there are true bins, the spots are sums of them and share their noise.

*Kept* is the default's score as a share of its score on the original image. On mildly degraded images it is to keep nine
tenths, and on no image to fall below `idw`, which uses no image. *By image* is the share of the spots in tissue that a
mask made from the image alone covers; the mask that is used covers them all.

```bash
{command}
```
"""


def degradation_plan(folders: Sequence[Path], *, distortions: Sequence[str] | None = None, **options: object) -> Plan:
    """Default and interpolation on sections from :func:`~stsr.bench.sources.boxes.write_section`, in every way made worse.

    Parameters
    ----------
    folders
        The sections.
    distortions
        Names of the distortions; all when None.
    **options
        Options of the default.

    Raises
    ------
    ValueError
        For an unknown distortion or option.
    """
    ways = [(NONE, NONE), *((name, bad) for bad in SEVERITIES for name in (distortions or DISTORTIONS))]
    sources = [Degraded.find(f"degraded:{name}:{bad}:{folder}") for folder in folders for name, bad in ways]
    settings = sorted({SETTING[source.has_truth] for source in sources})
    plan = make_plan(sources, [Entry(THEIRS, THEIRS), Entry(OURS, OURS, options)], settings=settings)
    # Sections with true bins are scored on these alone.
    runs = tuple(run for run in plan.runs if run.setting == SETTING[plan.sources[run.section].has_truth])
    return Plan(sources=plan.sources, runs=runs, encoder=plan.encoder, device=plan.device)


def degradation_table(plan: Plan, out: Path) -> pd.DataFrame:
    """A row for each section, distortion and severity.

    Returns
    -------
    Columns ``section``, ``distortion``, ``severity``, ``default`` and ``idw`` (mean correlations; NaN where a run failed),
    ``kept`` (share of the default's score on the original image), ``by_image`` (share of the spots that the mask made from
    the image alone covers), and ``error``.
    """
    tables = collect(plan, out, "")
    means = summarise(tables.scores)
    means = means[(means["where"] == "hidden") | ((means["where"] == "all") & (means["scale_um"] == SCALE))]
    score = means.set_index(["section", "method"])["pearson"] if len(means) else pd.Series(dtype=float)
    errors = tables.costs.dropna(subset="error").groupby("section")["error"].first()
    rows = []
    for name, source in plan.sources.items():
        section, _, way = name.rpartition("/")
        known = read_json(section_folder(out, name, OWN) / PREPARED) or {}
        off = known.get("image_qc", {}).get("spots_off_tissue_by_image")
        rows.append(
            {
                "section": section,
                "distortion": way.rpartition("_")[0],
                "severity": way.rpartition("_")[2],
                "where": f"bins of {SCALE:g} µm" if source.has_truth else "hidden spots",
                "default": score.get((name, OURS)),
                "idw": score.get((name, THEIRS)),
                "by_image": None if off is None else 1 - off,
                "error": errors.get(name),
            }
        )
    table = pd.DataFrame(rows)
    original = table[table["distortion"] == NONE].set_index("section")["default"]
    numbers = table[["default", "idw", "by_image"]].astype(float)
    table[numbers.columns] = numbers
    table.insert(6, "kept", table["default"] / table["section"].map(original.astype(float)))
    return table


def degradation_page(table: pd.DataFrame, command: str) -> str:
    """The page of the documentation, from :func:`degradation_table` alone."""
    sections = [(str(name), rows) for name, rows in table.groupby("section", sort=False)]
    what = ", ".join(f"{rows['where'].iloc[0]} of {name}" for name, rows in sections)
    return "\n".join(
        [HEAD.format(what=what, command=command), *(part for name, rows in sections for part in _section(name, rows))]
    )


def _section(name: str, rows: pd.DataFrame) -> Iterator[str]:
    original = rows[rows["distortion"] == NONE].iloc[0]
    worse = rows[rows["distortion"] != NONE]
    yield f"## {name}\n\nThe original image: default {_number(original['default'])}, idw {_number(original['idw'])}.\n"
    by_way = {way: group.set_index("severity") for way, group in worse.groupby("distortion", sort=False)}
    severities = list(dict.fromkeys(worse["severity"]))
    head = [f"{bad}: {what}" for bad in severities for what in ("default", "kept", "idw", "by image")]
    lines = []
    for way, group in by_way.items():
        cells: list[str] = []
        for bad in severities:
            row = group.loc[bad]
            cells += [_number(row["default"]), _share(row["kept"]), _number(row["idw"]), _share(row["by_image"])]
        lines.append([str(way).replace("_", " "), *cells])
    yield markdown(["", *head], lines)
    mild, hard = (worse[worse["severity"] == bad] for bad in SEVERITIES)
    yield (
        f"Mild: {int((mild['kept'] >= KEPT).sum())} of {len(mild)} keep {KEPT:.0%} of the score, the least {_share(mild['kept'].min())}. "
        f"Hard: {int((hard['default'] >= hard['idw']).sum())} of {len(hard)} are no worse than idw.\n"
    )
    for _, row in rows[rows["error"].notna()].iterrows():
        yield f"- {row['distortion']} ({row['severity']}): {row['error']}\n"


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.3f}"


def _share(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.0%}"
