"""The report: Markdown, made from the written tables alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.report.tables import COSTS, SUMMARY, read_facts, read_summary
from stsr.methods import METHODS

INTERPOLATIONS = tuple(name for name, method in METHODS.items() if method.info.needs == {"spots"})
"""Methods that use no image."""

HOW_TO_READ = """\
All methods are given the same spots, genes, image features and seed. The score is each gene's correlation with measured
counts; numbers are means over genes, and over seeds with their standard deviation where there are several. The **noise
ceiling** is the correlation that a perfect prediction would have with counts this noisy; percentages are shares of it.
RMSE and SSIM are those of values scaled to 0 to 1; MSE, MAE and the Poisson deviance are those of counts. Time and peak
memory are those of a process that fits and predicts with one method; preparing the section is the same for all. *As
published* is that time extrapolated to the epochs and networks of the publication, at the time per epoch measured here.
"""

IMPRINT = """\
**Imprint** measures how strongly spots show in a map as discs: how much cells just inside their edges differ from those
just outside, relative to the same spots moved to random places. 1 means no imprint. Above 1, discs show. Below 1, the map is
flatter at the edges than elsewhere, as with the plateaus of `nearest`. With a p-value above 0.05 it does not differ
significantly from 1.
"""


def render(
    *folders: Path, title: str = "Benchmarks", opening: str = "", figures: Mapping[str, str] | None = None
) -> str:
    """Write the report of one or several benches as Markdown.

    Parameters
    ----------
    folders
        One for each bench, with its ``summary.csv``, ``costs.csv`` and ``bench.json``.
    title
        The heading.
    opening
        What comes right below the heading.
    figures
        Pictures to show at the end: their captions by path.

    Returns
    -------
    The text. It depends on these files and the arguments alone.
    """
    # Tables of earlier benches have no imprint.
    imprint = [IMPRINT] if any("imprint" in pd.read_csv(folder / SUMMARY, nrows=0) for folder in folders) else []
    parts = [
        f"# {title}\n",
        *([opening] if opening else []),
        HOW_TO_READ,
        *imprint,
        *(part for folder in folders for part in _bench(folder)),
    ]
    parts += [f"![{caption}]({path})\n\n{caption}.\n" for path, caption in (figures or {}).items()]
    return "\n".join(parts)


def _bench(folder: Path) -> Iterator[str]:
    """How a bench was made, then its sections and settings."""
    summary = read_summary(folder)
    costs = pd.read_csv(folder / COSTS, dtype={"section": str, "method": str, "error": str})
    facts = read_facts(folder)
    yield _how_it_was_made(facts)
    for section, known in facts["sections"].items():
        yield f"## {escaped(section)}\n\n{_section(known)}\n"
        for setting, what in facts["settings"].items():
            chosen = [
                table[(table["section"] == section) & (table["setting"] == setting)] for table in (summary, costs)
            ]
            if len(chosen[1]):
                need_spots = facts.get("blind", []) if SETTINGS[setting].transfer else []
                left_out = (
                    f" Not applicable to {escaped(', '.join(need_spots))}, which need spots where they predict."
                    if need_spots
                    else ""
                )
                tables = _setting(*chosen, relative=bool(known.get("relative")))
                yield f"### {setting}\n\n{what[0].upper()}{what[1:]}.{left_out}\n\n{tables}"


def _how_it_was_made(facts: Mapping[str, Any]) -> str:
    machine, versions = facts["machine"], facts["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    fence = max(re.findall("`{3,}", facts["command"]), key=len, default="``") + "`"  # longer than any in the command
    return (
        f"Made by\n\n{fence}bash\n{facts['command']}\n{fence}\n\non {machine['cores']} cores ({machine['processor']}, "
        f"{machine['system']}) with {machine['memory_gb']} GB of memory; image features: {escaped(facts['encoder'])}; {names}.\n"
    )


def _section(known: Mapping[str, Any]) -> str:
    truth = known.get("imprint")
    imprint = f" The imprint of the truth is {truth['mean']:.2f} ({_p(truth['p'])})." if truth else ""
    return (
        f"{known['spots']:,} spots, {known['cells']:,} cells of {known['bin_size']:g} µm, {known['genes']} genes, image of "
        f"{known['mpp']:.3g} µm/px. Reading, calibrating, grid and features took {known['seconds']:.0f} s and "
        f"{known['peak_gb']:.1f} GB.{imprint}"
    )


def _setting(summary: pd.DataFrame, costs: pd.DataFrame, *, relative: bool) -> str:
    """Tables of one section and setting, with notes on constant genes and failed runs."""
    on_bins = "hidden" not in set(summary["where"])
    tables = [_against_interpolation if relative else _by_scale, _at_finest] if on_bins else [_on_spots]
    parts = [table(summary, costs) for table in tables] if len(summary) else []
    return "\n".join([*parts, *_notes(summary, costs, "all" if on_bins else "hidden")])


def _by_scale(summary: pd.DataFrame, costs: pd.DataFrame) -> str:
    """Mean correlation and deviance at every scale."""
    everywhere = summary[summary["where"] == "all"]
    scales = list(dict.fromkeys(everywhere["scale_um"]))
    best = everywhere.groupby("scale_um")["ceiling"].mean()
    correlations, deviances = [["noise ceiling", *(f"{best[scale]:.3f}" for scale in scales)]], []
    for method, group in everywhere.groupby("method", sort=False):
        at = [group[group["scale_um"] == scale].iloc[0] for scale in scales]
        correlations.append([str(method), *(_share(row) for row in at)])
        deviances.append([str(method), *(with_spread(row, "deviance", digits=4) for row in at)])
    head = [f"{scale:g} µm" for scale in scales]
    return f"{markdown(['mean Pearson', *head], correlations)}\n{markdown(['mean deviance', *head], deviances)}"


def _against_interpolation(summary: pd.DataFrame, costs: pd.DataFrame) -> str:
    """Mean correlations at every scale, and their gain over those of the best interpolation."""
    everywhere = summary[summary["where"] == "all"]
    scales = list(dict.fromkeys(everywhere["scale_um"]))
    head = [f"{scale:g} µm" for scale in scales]
    parts = [
        "The truth was measured by another platform on the adjacent section: scores compare methods, and are no absolute measure. "
        f"Gains are over the best of {', '.join(INTERPOLATIONS)} that was run.\n"
    ]
    for score, title in (("pearson", "mean Pearson"), ("spearman", "mean Spearman")):
        wide = everywhere.pivot_table(index="method", columns="scale_um", values=score, sort=False)[scales]
        best = wide[wide.index.isin(INTERPOLATIONS)].max()
        rows = [
            [str(method), *(f"{row[scale]:.3f}{_gain(row[scale], best[scale])}" for scale in scales)]
            for method, row in wide.iterrows()
        ]
        parts.append(markdown([title, *head], rows))
    return "\n".join(parts)


def _gain(score: float, best: float) -> str:
    """Gain of a score over that of the best interpolation; empty where none was run."""
    return f" ({score / best - 1:+.0%})" if best > 0 else ""


def _at_finest(summary: pd.DataFrame, costs: pd.DataFrame) -> str:
    """All other scores at the finest scale, time and memory."""
    finest = summary[summary["scale_um"] == summary["scale_um"].min()]
    columns: dict[str, Callable[[pd.DataFrame], str]] = {
        "median Pearson": lambda at: _value(at, "all", "pearson_median"),
        "Spearman": lambda at: _value(at, "all", "spearman"),
        "under spots": lambda at: _value(at, "under", "pearson"),
        "between spots": lambda at: _value(at, "between", "pearson"),
    }
    for title, score in (("RMSE", "rmse"), ("SSIM", "ssim")):
        # Not computed for true bins of another platform.
        if score in summary and summary[score].notna().any():
            columns[title] = lambda at, score=score: _value(at, "all", score)  # type: ignore[misc]
    columns |= _imprint(summary, "all")
    return _wide(f"at {finest['scale_um'].iloc[0]:g} µm", columns, finest, costs)


def _on_spots(summary: pd.DataFrame, costs: pd.DataFrame) -> str:
    """Scores on hidden spots, time and memory."""
    columns: dict[str, Callable[[pd.DataFrame], str]] = {
        "Pearson": lambda at: _share(at.loc["hidden"]),
        "median": lambda at: _value(at, "hidden", "pearson_median"),
        "Spearman": lambda at: _value(at, "hidden", "spearman"),
        "MSE": lambda at: _value(at, "hidden", "mse"),
        "MAE": lambda at: _value(at, "hidden", "mae"),
        "deviance": lambda at: _value(at, "hidden", "deviance"),
    }
    if "all" in set(summary["where"]):
        columns["Pearson, all spots"] = lambda at: _value(at, "all", "pearson")
    columns |= _imprint(summary, "hidden")
    ceiling = summary.loc[summary["where"] == "hidden", "ceiling"].mean()
    given, hidden = (round(costs[name].mean()) for name in ("given", "hidden"))
    text = f"{given:,} spots given, {hidden:,} hidden; noise ceiling {ceiling:.3f}.\n"
    return f"{text}\n{_wide('on hidden spots', columns, summary, costs)}"


def _imprint(summary: pd.DataFrame, where: str) -> dict[str, Callable[[pd.DataFrame], str]]:
    """The column of the lattice imprint, where it was measured."""
    if "imprint" not in summary or summary["imprint"].isna().all():
        return {}

    def shown(at: pd.DataFrame) -> str:
        value = _value(at, where, "imprint")
        return value if value == "–" else f"{value} ({_p(float(at['imprint_p'][where]))})"

    return {"imprint": shown}


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _wide(
    head: str, columns: Mapping[str, Callable[[pd.DataFrame], str]], scores: pd.DataFrame, costs: pd.DataFrame
) -> str:
    """A row for each method: its scores, time and memory."""
    rows = []
    for method, group in scores.groupby("method", sort=False):
        at = group.set_index("where")
        took = costs[costs["method"] == method][["seconds", "published_seconds", "peak_gb"]].astype(float).mean()
        values = [column(at) for column in columns.values()]
        published = "–" if pd.isna(took["published_seconds"]) else f"≈ {_duration(took['published_seconds'])}"
        rows.append([str(method), *values, _duration(took["seconds"]), published, f"{took['peak_gb']:.1f} GB"])
    return markdown([head, *columns, "fit + predict", "as published", "peak memory"], rows)


def _notes(summary: pd.DataFrame, costs: pd.DataFrame, where: str) -> list[str]:
    """Genes whose truth or prediction is constant, and runs that have no result."""
    notes, here = [], summary[summary["where"] == where]
    for scale, group in here[here["flat_truth"] > 0].groupby("scale_um", sort=False):
        lost = f"{group['flat_truth'].max()} of {group['genes'].max()} genes are constant in the truth"
        notes.append(f"- {lost} at {scale:g} µm: they have no correlation and are in no mean.")
    methods_by_note: dict[str, list[str]] = {}
    for method, group in here[here["flat_prediction"] > 0].groupby("method", sort=False):
        numbers = zip(group["flat_prediction"], group["genes"], group["scale_um"], strict=True)
        note = ", ".join(f"{flat} of {genes} genes at {scale:g} µm" for flat, genes, scale in numbers)
        methods_by_note.setdefault(note, []).append(escaped(method))
    for note, methods in methods_by_note.items():
        notes.append(f"- Predicted constant by {', '.join(methods)}: {note}. They count as a correlation of 0.")
    for method, group in costs[costs["error"].notna()].groupby("method", sort=False):
        for error, runs in group.groupby("error", sort=False):
            seeds = ", ".join(str(seed) for seed in runs["seed"])
            notes.append(f"- {escaped(method)} (seed {seeds}): {escaped(error)}")
    return [*notes, ""] if notes else []


def _share(row: Any) -> str:
    """Mean correlation, its spread over seeds and its share of the ceiling."""
    share = f" ({row['pearson'] / row['ceiling']:.0%})" if row["ceiling"] > 0 else ""
    return f"{row['pearson']:.3f}{_spread(row['pearson_sd'], 3)}{share}"


def _value(at: pd.DataFrame, where: str, name: str) -> str:
    """A score on one kind of place, with its spread over seeds."""
    return with_spread(at.loc[where], name) if where in at.index else "–"


def with_spread(row: Any, name: str, digits: int = 3) -> str:
    """A score and its spread over seeds."""
    return "–" if pd.isna(row[name]) else f"{row[name]:.{digits}f}{_spread(row[f'{name}_sd'], digits)}"


def _spread(sd: float, digits: int) -> str:
    return "" if pd.isna(sd) else f" ± {sd:.{digits}f}"


def _duration(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its first column aligned left and the others right.

    Examples
    --------
    >>> print(markdown(["method", "score"], [["idw", "0.175"]]))
    | method | score |
    | --- | ---: |
    | idw | 0.175 |
    <BLANKLINE>
    """
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [list(map(escaped, head)), rule, *(list(map(escaped, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(text: object) -> str:
    r"""Text in one line, with Markdown and HTML escaped.

    Examples
    --------
    >>> escaped("a|b <img>\n*c*")
    'a\\|b &lt;img&gt; \\*c\\*'
    """
    return re.sub(r"([\\`*|\[\]])", r"\\\1", html.escape(" ".join(str(text).split()), quote=False))
