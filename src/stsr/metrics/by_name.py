"""Scores by the name of their function in :mod:`stsr.metrics`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.metrics.correlation import pearson, spearman
from stsr.metrics.detection import auc
from stsr.metrics.deviance import deviance
from stsr.metrics.divergence import jensen_shannon
from stsr.metrics.error import mae, mse, nrmse
from stsr.metrics.image import rmse, ssim
from stsr.metrics.information import mutual_information

METRICS: dict[str, Callable[[Any, Any], NDArray[np.float64]]] = {
    "pearson": pearson,
    "spearman": spearman,
    "rmse": rmse,
    "deviance": deviance,
    "mse": mse,
    "mae": mae,
    "nrmse": nrmse,
    "jensen_shannon": jensen_shannon,
    "auc": auc,
    "mutual_information": mutual_information,
}
"""Scores of (cells, genes) truth and prediction that need nothing else; ``"ssim"`` also needs the cells' places."""

STANDARD = ("pearson", "spearman", "rmse", "ssim", "deviance", "mae", "nrmse", "jensen_shannon")
"""Default scores."""


def check_metrics(metrics: Sequence[str]) -> None:
    """Check the names of metrics.

    Raises
    ------
    ValueError
        For no name, one twice, or an unknown one; the message lists the valid ones.
    """
    valid = [*METRICS, "ssim"]
    if isinstance(metrics, str) or not isinstance(metrics, Sequence) or not metrics:
        raise ValueError(f"metrics={metrics!r} is no list of scores; pass a list with any of {', '.join(valid)}.")
    if len(set(metrics)) < len(metrics):
        raise ValueError(f"metrics={list(metrics)!r} names a score twice; name each once.")
    if unknown := [name for name in metrics if name not in valid]:
        raise ValueError(f"metrics={unknown[0]!r} is not known; choose any of {', '.join(valid)}.")


def score_columns(
    truth: NDArray, prediction: NDArray, metrics: Sequence[str], *, rowcol: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """(genes,) scores by name, of (cells, genes) truth and prediction; SSIM is NaN without ``rowcol``."""

    def of(name: str) -> Any:
        if name != "ssim":
            return METRICS[name](truth, prediction)
        return np.nan if rowcol is None else ssim(truth, prediction, rowcol)

    return {name: of(name) for name in metrics}
