"""Predictions of a section, made, checked and written one band of the grid at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import LATENT, SD
from stsr.methods import Prediction, Predictor
from stsr.methods.shared.spot_sums import BAND_VALUES
from stsr.spatial.columns import layer_names
from stsr.spatial.tables import CHUNKS

if TYPE_CHECKING:
    from anndata import AnnData

    from stsr.section import Section

ROUNDING = 1e-5
"""Largest negative value that counts as a rounding error, as a share of the largest count; such values become 0."""

NOTHING_WRITTEN = "nothing was written; fit the model again, with other options, or check the features and counts."


def write_bands(
    open_: Any, predictor: Predictor, section: Section, table: AnnData, progress: bool, method: str
) -> None:
    """Predict one band after another, check the values, and write whole chunks."""
    from tqdm.auto import tqdm

    target = {"X": "mean", f"obsm/{LATENT}": "latent", f"layers/{SD}": "sd"}
    arrays = {
        field: open_(path)
        for path, field in target.items()
        if path == "X" or path.split("/")[1] in {*table.obsm, *layer_names(table)}
    }
    bands = section.grid.bands(max(CHUNKS[0], BAND_VALUES // max(table.n_vars, section.n_features)))
    bar = tqdm(bands, desc="predict", unit="band", disable=not progress)
    predictions = (proper(predictor(rows), method, section.genes) for rows in bar)
    runs = in_runs(predictions, list(arrays), CHUNKS[0])

    def write(run: dict[str, Any], start: int) -> None:
        for field, array in arrays.items():
            array[start : start + len(run[field])] = run[field]

    start = 0
    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(lambda: None)
        for run in runs:
            # One run is written while the next is predicted; more would fill memory.
            written.result()
            written = writer.submit(write, run, start)
            start += len(run["mean"])
        written.result()


def proper(prediction: Prediction, method: str, genes: Sequence[str]) -> Prediction:
    """Check that all values of a prediction are finite, and that no count or standard deviation is negative.

    Negative values within rounding error become 0.

    Raises
    ------
    ValueError
        For a prediction that fails; the message names the method and the first gene concerned.
    """
    mean = _counts(prediction.mean, method, genes)
    sd = None if prediction.sd is None else _counts(prediction.sd, method, genes)
    if prediction.latent is not None and not np.isfinite(prediction.latent).all():
        raise ValueError(f"method={method!r} gives a latent that is not finite; {NOTHING_WRITTEN}")
    return replace(prediction, mean=mean, sd=sd)


def _counts(values: NDArray[np.float32], method: str, genes: Sequence[str]) -> NDArray[np.float32]:
    if not values.size:
        return values
    # minimum and maximum need no copy, and one of them is not finite when any value is not
    low, high = float(values.min()), float(values.max())
    if np.isfinite(low) and np.isfinite(high) and low >= 0:
        return values
    wrong = ~np.isfinite(values) | (values < -ROUNDING * max(1.0, high if np.isfinite(high) else 0.0))
    if not wrong.any():
        return np.maximum(values, 0)
    row, column = np.argwhere(wrong)[0]
    raise ValueError(
        f"method={method!r} predicts {float(values[row, column])} of gene {genes[column]!r}, which is no count, in "
        f"{int(wrong[:, column].sum())} cells of a band; {NOTHING_WRITTEN}"
    )


def in_runs(predictions: Iterator[Prediction], fields: list[str], chunk: int) -> Iterator[dict[str, Any]]:
    """Regroup predictions into runs of whole chunks, so that no chunk on disk is written twice."""
    rest: dict[str, Any] = {}
    for prediction in predictions:
        new = {field: getattr(prediction, field) for field in fields}
        run = {field: np.concatenate([rest[field], new[field]]) for field in fields} if rest else new
        whole = len(run[fields[0]]) // chunk * chunk
        if whole:
            yield {field: values[:whole] for field, values in run.items()}
        rest = {field: values[whole:] for field, values in run.items()}
    if rest and len(rest[fields[0]]):
        yield rest
