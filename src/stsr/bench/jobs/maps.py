"""Maps of the genes that a run predicted best and worst, beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

from stsr.bench.files import RESULT

EACH = 2
"""Genes drawn from either end of the ranking."""

MIN_CEILING = 0.25
"""Noise ceiling above which the true map of a gene shows more than noise."""


def extremes(scores: pd.DataFrame) -> list[str]:
    """The genes that come nearest to their noise ceiling at the finest scale, and those that stay farthest below it."""
    finest = scores[(scores["where"] == "all") & (scores["scale_um"] == scores["scale_um"].min())]
    clear = finest[finest["ceiling"] > MIN_CEILING]
    clear = finest if clear["pearson"].count() < 2 * EACH else clear
    best = clear["ceiling"] if clear["ceiling"].notna().any() else 1.0
    share = (clear["pearson"] / best).set_axis(clear["gene"]).dropna().sort_values(ascending=False)
    return list(dict.fromkeys([*share.index[:EACH], *share.index[-EACH:]]))


def draw_extremes(sdata: SpatialData, scores: pd.DataFrame, truth: AnnData, path: Path) -> None:
    """Draw spots, prediction and truth of the best and worst genes; nothing when no gene has a score."""
    import matplotlib.pyplot as plt

    from stsr.pl import compare

    if genes := extremes(scores):
        figure = compare(sdata, genes, table=RESULT, truth=truth, size=3.5)
        figure.savefig(path, dpi=110, bbox_inches="tight")
        plt.close(figure)
