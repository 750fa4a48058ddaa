"""Whether a table still holds counts: what was written is remembered by its sums, which move with its rows and columns.

Expected counts are no whole numbers, so they cannot be told from normalised or logged values by looking at them. A table
of predictions therefore carries the sum of each row in ``obsm`` and of each column in ``varm``. Taking some cells or some
genes leaves it counts; scaling, logging or smoothing it in place does not, and then the sums disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stsr.constants import ATTRS, TOTAL

if TYPE_CHECKING:
    from anndata import AnnData

State = Literal["counts", "changed", "unknown"]
"""Counts for all that is known; changed since they were written; or values of which nothing is known."""

AGREE = 0.01
"""Relative difference between two sums that is none: half precision, or zeros for tiny values, leave counts counts."""

ROWS, GENES = 64, 16
"""How many rows and genes are looked at."""


class Tally:
    """A writable matrix that adds up what is written to it, each value once."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.rows, self.columns = (np.zeros(size) for size in array.shape)

    def __setitem__(self, key: Any, values: Any) -> None:
        self.array[key] = values
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        self.rows[rows] += values.sum(axis=1, dtype=np.float64)
        self.columns[columns] += values.sum(axis=0, dtype=np.float64)


def expect_totals(table: AnnData) -> None:
    """Make room in a table for the sums of an ``X`` that is yet to be written; see :func:`with_totals`."""
    import dask.array as da

    _describe(table, da.zeros((table.n_obs, 1), dtype=np.float32), da.zeros((table.n_vars, 1), dtype=np.float64))


def with_totals(fill: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same ``fill`` for :func:`stsr.spatial.put`, which also writes the sums of the ``X`` that it writes."""

    def counted(open_: Any) -> None:
        tally = Tally(open_("X"))
        fill(lambda path: tally if path == "X" else open_(path))
        open_(f"obsm/{TOTAL}")[:] = tally.rows[:, None].astype(np.float32)
        open_(f"varm/{TOTAL}")[:] = tally.columns[:, None]

    return counted


def set_totals(table: AnnData) -> None:
    """Remember the sums of a table whose ``X`` is there."""
    rows, columns = (np.asarray(table.X.sum(axis=axis, dtype=np.float64)).reshape(-1, 1) for axis in (1, 0))
    _describe(table, rows.astype(np.float32), columns)


def _describe(table: AnnData, rows: Any, columns: Any) -> None:
    table.obsm[TOTAL], table.varm[TOTAL] = rows, columns
    table.uns[ATTRS] = {**table.uns.get(ATTRS, {}), "n_cells": table.n_obs, "n_genes": table.n_vars}


def state(table: AnnData, layer: str | None = None) -> State:
    """What is known of the values of a table, or of one of its layers."""
    values = table.X if layer is None else table.layers[layer]
    if values is None or 0 in table.shape:
        return "unknown"
    middle = max(0, (table.n_obs - ROWS) // 2)
    rows = slice(middle, middle + ROWS)
    sample = _dense(values[rows])
    if not np.isfinite(sample).all() or (sample < 0).any():
        return "changed"
    facts = table.uns.get(ATTRS, {})
    if TOTAL in table.obsm and TOTAL in table.varm and "n_cells" in facts and "n_genes" in facts:
        return "counts" if _agrees(table, values, rows, sample, facts) else "changed"
    if layer is None and "log1p" in table.uns:
        return "changed"
    written = layer is None and ("method" in facts or "aggregated" in facts)
    return "counts" if written or not (sample % 1).any() else "unknown"


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
        raise KeyError(f"layer={layer!r} not found in {name!r}; it has {', '.join(table.layers) or 'none'}.")
    found = state(table, layer)
    if found == "changed":
        kept = [other for other in table.layers if other != layer and state(table, other) == "counts"]
        where = "X" if layer is None else f"layer {layer!r}"
        remedy = f"pass layer={kept[0]!r}, which still does" if kept else "make the table again with overwrite=True"
        raise ValueError(
            f"table={name!r} does not hold counts in {where} any more: it was normalised, logged or changed otherwise; "
            f"{remedy}, and normalise a copy."
        )
    return found


def _agrees(table: AnnData, values: Any, rows: slice, sample: NDArray[Any], facts: Any) -> bool:
    """Whether the sums of some rows and columns are what they were when the table was written."""
    genes = slice(0, GENES)
    ours = sample.sum(axis=1, dtype=np.float64), _dense(values[:, genes]).sum(axis=0, dtype=np.float64)
    then = np.asarray(table.obsm[TOTAL])[rows, 0], np.asarray(table.varm[TOTAL])[genes, 0]
    whole = table.n_vars == facts["n_genes"], table.n_obs == facts["n_cells"]
    if not any(whole):  # of fewer cells and fewer genes, no sum can have grown
        return "log1p" not in table.uns and all(
            (now <= before * (1 + AGREE) + 1e-6).all() for now, before in zip(ours, then, strict=True)
        )
    return all(
        np.allclose(now, before, rtol=AGREE, atol=1e-6)
        for now, before, complete in zip(ours, then, whole, strict=True)
        if complete
    )


def _dense(values: Any) -> NDArray[Any]:
    if hasattr(values, "compute"):
        values = values.compute()
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)
