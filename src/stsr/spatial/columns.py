"""Genes of a table by their names, read from disk a few at a time."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def layer_names(table: AnnData) -> list[str]:
    """Names of a table's layers. From anndata 0.13 on, ``layers`` also lists ``X``, under the key None."""
    return [name for name in table.layers if name is not None]


def gene_positions(names: Sequence[str], genes: Sequence[str], *, where: str) -> NDArray[np.int64]:
    """Positions of ``genes`` among ``names``.

    Raises
    ------
    ValueError
        For a gene that is listed twice, unknown (close matches are suggested) or carried by several columns.
    """
    genes = list(genes)
    if repeated := [gene for gene, times in Counter(genes).items() if times > 1]:
        raise ValueError(f"genes lists {', '.join(repeated[:5])} more than once; name each gene once.")
    place: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        place.setdefault(name, []).append(position)
    if unknown := [gene for gene in genes if gene not in place]:
        close = difflib.get_close_matches(unknown[0], place, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"see {where}.var_names."
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ValueError(f"genes={unknown[0]!r}{more} not found in {where}; {hint}")
    if shared := [gene for gene in genes if len(place[gene]) > 1]:
        raise ValueError(
            f"genes={shared[0]!r} names {len(place[shared[0]])} columns of {where}; call var_names_make_unique() on it."
        )
    return np.array([place[gene][0] for gene in genes], dtype=np.int64)


def read_columns(sdata: SpatialData, table: str, genes: Sequence[str], *, layer: str | None = None) -> NDArray[Any]:
    """Values of a few genes of a table, (cells, genes), without reading the others of a matrix that is on disk.

    Parameters
    ----------
    sdata
        The object that holds the table.
    table
        Its name.
    genes
        Names of the genes.
    layer
        A layer of the table; its ``X`` when None.

    Raises
    ------
    ValueError
        For an unknown gene or a gene named twice.
    KeyError
        For an unknown table or layer; the message lists the valid ones.
    """
    if table not in sdata.tables:
        raise KeyError(f"table={table!r} not found; sdata holds the tables {', '.join(sdata.tables) or 'none'}.")
    adata = sdata.tables[table]
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer={layer!r} not found in {table!r}; it has {', '.join(layer_names(adata)) or 'none'}.")
    values = adata.X if layer is None else adata.layers[layer]
    if values is None:
        raise ValueError(f"table={table!r} has no X; pass a layer among {', '.join(layer_names(adata)) or 'none'}.")
    values = values[:, gene_positions(adata.var_names, genes, where=f"sdata[{table!r}]")]
    if hasattr(values, "compute"):
        values = values.compute()
    return values.toarray() if sp.issparse(values) else np.asarray(values)
