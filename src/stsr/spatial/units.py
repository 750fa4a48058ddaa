"""Whether a table still holds counts: checked by sums that are stored with its rows and columns.

Expected counts are not whole numbers, so their values alone do not distinguish them from normalised or logged ones. A
table of predictions therefore carries the sum of each row in ``obsm`` and of each column in ``varm``. A subset of cells or
genes still holds counts. After scaling, logging or smoothing in place, the sums disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ATTRS, SD, TOTAL
from stsr.spatial.columns import layer_names

if TYPE_CHECKING:
    from anndata import AnnData

State = Literal["counts", "changed", "unknown"]
"""Counts, as far as known; changed since they were written; or unknown values."""

AGREE = 0.01
"""Relative difference up to which two sums agree, to allow for half precision and for tiny values set to 0."""

ROWS, GENES = 64, 16
"""Numbers of rows and genes that are checked."""


def state(table: AnnData, layer: str | None = None) -> State:
    """What is known of the values of a table, or of one of its layers."""
    values = table.X if layer is None else table.layers[layer]
    if values is None or 0 in table.shape:
        return "unknown"
    middle = max(0, (table.n_obs - ROWS) // 2)
    rows, genes = slice(middle, middle + ROWS), np.arange(min(GENES, table.n_vars))
    across = _dense(values[rows])
    if _carries(table):
        return _compared(table, rows, across, genes, _dense(values[:, genes]), layer)
    return _guessed(table, across, layer)


def columns_state(table: AnnData, genes: NDArray[Any], values: NDArray[Any], *, layer: str | None = None) -> State:
    """As :func:`state`, from the (rows, genes) values of some columns alone: nothing more is read."""
    if _carries(table):
        return _compared(table, slice(0), np.empty((0, table.n_vars)), genes, values, layer)
    return _guessed(table, values, layer)


def check_counts(table: AnnData, name: str, *, layer: str | None = None) -> State:
    """Refuse a table whose counts were changed.

    Raises
    ------
    KeyError
        When there is no such layer.
    ValueError
        When the counts were normalised, logged or changed otherwise; the message says where they still are.
    """
    if layer is not None and layer not in table.layers:
        raise KeyError(f"layer={layer!r} not found in {name!r}; it has {', '.join(layer_names(table)) or 'none'}.")
    if table.X is None and layer is None:
        raise ValueError(
            f"table={name!r} has no X; put the counts there, or pass layer= (it has {', '.join(layer_names(table)) or 'none'})."
        )
    return _refused(table, name, state(table, layer), layer)


def check_columns(
    table: AnnData, name: str, genes: Sequence[str], values: NDArray[Any], *, layer: str | None = None
) -> State:
    """As :func:`check_counts`, from the (rows, genes) values of some columns alone: nothing more is read."""
    found = columns_state(table, table.var_names.get_indexer(list(genes)), values, layer=layer)
    return _refused(table, name, found, layer)


def _refused(table: AnnData, name: str, found: State, layer: str | None) -> State:
    if found != "changed":
        return found
    kept = [other for other in layer_names(table) if other not in (layer, SD) and state(table, other) == "counts"]
    where = "X" if layer is None else f"layer {layer!r}"
    remedy = f"pass layer={kept[0]!r}, which still does" if kept else "make the table again with overwrite=True"
    raise ValueError(
        f"table={name!r} does not hold counts in {where} any more: it was normalised, logged or changed otherwise; "
        f"{remedy}, and normalise a copy."
    )


def _carries(table: AnnData) -> bool:
    """Whether a table carries the sums of what was written."""
    facts = table.uns.get(ATTRS, {})
    return TOTAL in table.obsm and TOTAL in table.varm and "n_cells" in facts and "n_genes" in facts


def _guessed(table: AnnData, sample: NDArray[Any], layer: str | None) -> State:
    """The state of a table that carries no sums."""
    if not np.isfinite(sample).all() or (sample < 0).any() or (layer is None and "log1p" in table.uns):
        return "changed"
    facts = table.uns.get(ATTRS, {})
    written = layer is None and ("method" in facts or "aggregated" in facts)
    return "counts" if written or not (sample % 1).any() else "unknown"


def _compared(
    table: AnnData, rows: slice, across: NDArray[Any], genes: NDArray[Any], down: NDArray[Any], layer: str | None
) -> State:
    """The state of a table, from all genes of some rows, and from all rows of some genes."""
    if any(not np.isfinite(values).all() or (values < 0).any() for values in (across, down)):
        return "changed"
    facts = table.uns[ATTRS]
    now = across.sum(axis=1, dtype=np.float64), down.sum(axis=0, dtype=np.float64)
    then = np.asarray(table.obsm[TOTAL])[rows, 0], np.asarray(table.varm[TOTAL])[genes, 0]
    whole = table.n_vars == facts["n_genes"], table.n_obs == facts["n_cells"]
    equal = [sums for *sums, complete in zip(now, then, whole, strict=True) if complete and len(sums[0])]
    if equal:
        same = all(np.allclose(ours, before, rtol=AGREE, atol=1e-6) for ours, before in equal)
    else:  # of fewer cells and fewer genes, no sum can have grown
        same = (layer is not None or "log1p" not in table.uns) and all(
            (ours <= before * (1 + AGREE) + 1e-6).all() for ours, before in zip(now, then, strict=True)
        )
    return "counts" if same else "changed"


def _dense(values: Any) -> NDArray[Any]:
    if hasattr(values, "compute"):
        values = values.compute()
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
