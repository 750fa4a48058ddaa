"""Figures of a bench: scores by scale, every gene against its ceiling, time and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stsr.bench.files import MAPS, run_folder
from stsr.bench.report.tables import Tables
from stsr.pl import scores as draw_scores
from stsr.pl.figure import figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stsr.bench.protocol.plan import Plan

DPI = 130


def draw(plan: Plan, tables: Tables, out: Path) -> dict[str, str]:
    """Write all figures; returns the caption of each by its path, relative to ``out``."""
    import matplotlib.pyplot as plt

    found: dict[str, str] = {}

    def keep(figure: Figure, name: str, caption: str) -> None:
        path = f"{name.replace('/', '_')}.png"
        figure.savefig(out / path, dpi=DPI, bbox_inches="tight")
        plt.close(figure)
        found[path] = caption

    for (section, setting), chosen in tables.scores.groupby(["section", "setting"], sort=False):
        name, where = f"{section}_{setting}", "hidden" if "hidden" in set(chosen["where"]) else "all"
        methods = {str(method): table for method, table in chosen.groupby("method", sort=False)}
        if where == "all":
            keep(draw_scores(methods), f"{name}_scales", f"{section}, {setting}: mean correlation by scale")
        if chosen["ceiling"].notna().any():
            keep(
                against_ceiling(methods, where),
                f"{name}_genes",
                f"{section}, {setting}: every gene against its ceiling",
            )
    if tables.costs["seconds"].notna().any():
        keep(cost_bars(tables.costs), "costs", "Time and peak memory of fitting and predicting, means over runs")
    for run in plan.runs:
        if run.seed == plan.runs[0].seed and (run_folder(out, run.key) / MAPS).is_file():
            path = (run_folder(out, run.key) / MAPS).relative_to(out).as_posix()
            found[path] = f"{run.section}, {run.setting}, {run.entry.label}: genes predicted best and worst"
    return found


def against_ceiling(methods: dict[str, pd.DataFrame], where: str) -> Figure:
    """A panel for each method: correlation of every gene at the finest scale, mean over seeds, over its ceiling."""
    cols = min(4, len(methods))
    rows = -(-len(methods) // cols)
    figure, axes = figure_of(rows, cols, width=2.4 * cols, height=2.6 * rows)
    for empty in axes.flat[len(methods) :]:
        empty.set_visible(False)
    for panel, (method, table) in zip(axes.flat, methods.items(), strict=False):
        finest = table[(table["where"] == where) & (table["scale_um"] == table["scale_um"].min())]
        genes = finest.groupby("gene")[["ceiling", "pearson"]].mean()
        panel.plot([0, 1], [0, 1], "--", color="0.6", lw=0.8)
        panel.scatter(genes["ceiling"], genes["pearson"], s=5, lw=0, alpha=0.6)
        panel.set(xlim=(0, 1), ylim=(min(0, np.nanmin([0, *genes["pearson"]])), 1))
        panel.set_title(f"{method}: mean {genes['pearson'].mean():.3f}", fontsize="small")
        panel.tick_params(labelsize="x-small")
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("noise ceiling", fontsize="small")
    figure.supylabel("Pearson correlation", fontsize="small")
    return figure


def cost_bars(costs: pd.DataFrame) -> Figure:
    """Seconds, on a logarithmic scale, and gigabytes of every method."""
    means = costs.groupby("method", sort=False)[["seconds", "peak_gb"]].mean().dropna()[::-1]
    figure, [[left, right]] = figure_of(1, 2, width=7.5, height=1 + 0.28 * len(means))
    left.barh(means.index, means["seconds"], color="C0")
    left.set(xscale="log", xlim=(means["seconds"].min() / 3, None), xlabel="fit + predict (s)")
    left.xaxis.set_major_formatter("{x:g}")
    left.minorticks_off()
    right.barh(means.index, means["peak_gb"], color="C1")
    right.set(xlabel="peak memory (GB)", yticklabels=[])
    for panel in (left, right):
        panel.tick_params(labelsize="small")
        panel.spines[["top", "right"]].set_visible(False)
    return figure
