"""Means of scores over genes and seeds, and the scores of each gene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from stsr.bench.protocol.settings import SETTINGS

if TYPE_CHECKING:
    pass


RUN = ["section", "setting", "method", "seed"]
"""Columns that name a run."""

PLACE = ["scale_um", "where"]
"""Columns that name the scale and the kind of place of a score."""


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over genes of every score, then over seeds, with the standard deviation over seeds where there are several.

    A gene that is predicted constant counts as a correlation of 0: leaving it out would favour the method. A gene whose
    truth is constant has no correlation, whatever the method, and is left out.

    ``pearson_median`` is the median over genes. ``flat_truth`` and ``flat_prediction`` are the largest numbers of such
    genes of a seed.
    """
    if scores.empty:
        return pd.DataFrame(columns=[*RUN[:-1], *PLACE, "genes", "flat_truth", "flat_prediction"])
    keys = [*RUN, *PLACE]
    varies = scores["nrmse"].notna()  # it divides by the truth's range, so it is NaN only where that is 0
    flat = scores["pearson"].isna()
    correlations = scores[["pearson", "spearman"]].mask(flat & varies, 0.0)
    counted = scores.drop(columns="gene").assign(**correlations)
    genes = counted.groupby(keys, sort=False)
    by_seed = genes.mean()
    by_seed["pearson_median"] = genes["pearson"].median()
    flags = counted[keys].assign(genes=1, flat_truth=~varies, flat_prediction=flat & varies)
    keys.remove("seed")
    seeds = by_seed.groupby(keys, sort=False)
    numbers = flags.groupby([*keys, "seed"], sort=False).sum().groupby(keys, sort=False).max()
    columns: list[Any] = [seeds.size().rename("seeds"), numbers, seeds.mean(), seeds.std().add_suffix("_sd")]
    return pd.concat(columns, axis=1).reset_index()


def by_gene(scores: pd.DataFrame) -> pd.DataFrame:
    """Correlation of every gene on true bins at every scale, mean over seeds: a column for each method."""
    on_truth = [name for name, setting in SETTINGS.items() if setting.on_truth]
    chosen = scores[scores["setting"].isin(on_truth) & (scores["where"] == "all")]
    keys = ["section", "setting", "gene", "scale_um"]
    ceiling = chosen.groupby(keys, sort=False)["ceiling"].mean() if len(chosen) else pd.Series(name="ceiling")
    methods = {
        method: rows.groupby(keys, sort=False)["pearson"].mean()
        for method, rows in chosen.groupby("method", sort=False)
    }
    return pd.DataFrame({"ceiling": ceiling, **methods}).rename_axis(keys if len(chosen) else None).reset_index()
