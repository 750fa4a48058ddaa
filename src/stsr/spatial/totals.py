"""Sums of a table's rows and columns, kept beside it so that it is known later whether it still holds counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import ATTRS, TOTAL

if TYPE_CHECKING:
    from anndata import AnnData


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
