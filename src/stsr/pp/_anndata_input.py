"""What an AnnData object must be to be one section: its type, its counts, its array, its libraries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import ARRAY_COL, ARRAY_ROW, SPATIAL
from stsr.geometry import Lattice, regular_lattice
from stsr.pp._positions import INSIDE, lattice_of
from stsr.pp._scale_factors import REDUCED
from stsr.spatial.columns import layer_names
from stsr.spatial.unreadable import FOREIGN

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["INSIDE", "check_section", "check_table", "in_memory", "spots_lattice", "vendor_facts"]

LIBRARY = "library_id"
"""``obs`` column that names the library of a spot, as scanpy and squidpy call it."""

BARCODE = re.compile(r"(?:^|[^A-Za-z])([ACGT]{14,24})(?=$|[^A-Za-z])")
"""The letters of a barcode in the name of a spot, whatever was put before or behind them."""


def check_table(adata: AnnData, layer: str | None, spatial_key: str) -> None:
    """Refuse what is no AnnData object with spots, genes, centres and counts.

    Raises
    ------
    KeyError
        When ``layer`` or ``spatial_key`` is not in it; the message lists what is.
    ValueError
        For anything else.
    """
    from anndata import AnnData

    if not isinstance(adata, AnnData):
        raise ValueError(
            f"adata is of type {type(adata).__name__}; pass an AnnData object, such as one table of it or "
            "anndata.read_h5ad(file)."
        )
    if not adata.n_obs or not adata.n_vars:
        raise ValueError(f"adata holds {adata.n_obs} spots x {adata.n_vars} genes; pass an object with some of both.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer={layer!r} not found; adata.layers holds {', '.join(layer_names(adata)) or 'nothing'}.")
    if spatial_key not in adata.obsm:
        raise KeyError(f"spatial_key={spatial_key!r} not found; adata.obsm holds {', '.join(adata.obsm) or 'nothing'}.")


def check_section(adata: AnnData, inside: NDArray[np.bool_]) -> None:
    """Refuse spots of several libraries in one table: each has an image and an array of its own.

    Raises
    ------
    ValueError
        When ``obs["library_id"]``, repeated names or repeated barcodes say so.
    """
    if LIBRARY in adata.obs:
        libraries = sorted(set(adata.obs[LIBRARY][inside].dropna().astype(str)))
        if len(libraries) > 1:
            raise ValueError(
                f"adata holds spots of {len(libraries)} sections ({', '.join(libraries[:4])}); pass one of them, such as "
                f"adata[adata.obs['{LIBRARY}'] == {libraries[0]!r}]."
            )
    names = adata.obs_names[inside].astype(str)
    if names.has_duplicates:
        raise ValueError(
            f"adata.obs_names holds {names[names.duplicated()][0]!r} twice; pass one section, or if it is one call "
            "adata.obs_names_make_unique()."
        )
    barcodes = [found.group(1) for found in map(BARCODE.search, names) if found]
    if twice := len(barcodes) - len(set(barcodes)):
        raise ValueError(
            f"adata holds {twice} barcodes more than once, under names like {names[0]!r}: spots of several sections; pass "
            "one of them."
        )


def in_memory(adata: AnnData, layer: str | None) -> sp.csr_matrix:
    """(spots, genes) counts, sparse float32, wherever they are kept.

    Raises
    ------
    ValueError
        When there are none, or no numbers, or their file can no longer be read.
    """
    name = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    damaged = (
        f"{name} cannot be read as a matrix of numbers; pass an object whose counts are numbers, in memory as from "
        "adata.to_memory()."
    )
    try:
        values: Any = adata.X if layer is None else adata.layers[layer]
    except FOREIGN as error:
        raise ValueError(damaged) from error
    if values is None:
        layers = layer_names(adata)
        there = f"layer= one of {', '.join(layers)}" if layers else "an object with counts"
        raise ValueError(f"{name} is None; pass {there}.")
    try:
        if hasattr(values, "compute"):
            values = values.compute()
        if hasattr(values, "to_memory"):
            values = values.to_memory()
        return sp.csr_matrix(values if sp.issparse(values) else np.asarray(values), dtype=np.float32)
    except FOREIGN as error:
        raise ValueError(damaged) from error


def spots_lattice(
    adata: AnnData, xy: NDArray[np.float64], inside: NDArray[np.bool_], size: tuple[int, int]
) -> tuple[Lattice | None, bool]:
    """The lattice of the spots, None when they form none; and whether it was fitted to row and column of the array.

    ``xy`` (rows, 2) are pixels of an image of ``size`` (width, height), ``inside`` (rows,) marks those on tissue.

    Raises
    ------
    ValueError
        When two spots share a place on the array, or positions do not follow it.
    """
    import pandas as pd

    if ARRAY_ROW in adata.obs and ARRAY_COL in adata.obs:
        columns = [pd.to_numeric(adata.obs[name].astype(object), errors="coerce") for name in (ARRAY_ROW, ARRAY_COL)]
        rowcol = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
        try:
            lattice = lattice_of(rowcol, xy, inside, size)
        except ValueError as error:
            raise ValueError(
                f"adata: {str(error).removesuffix('.')}; pass the spots of one section with their own positions, or "
                f"delete obs['{ARRAY_ROW}'] and obs['{ARRAY_COL}'] if they are not row and column on the slide."
            ) from error
        if lattice is not None:
            return lattice, True
    on = ((xy >= 0) & (xy <= size)).all(axis=1)
    return regular_lattice(xy[inside & on]), False


def vendor_facts(
    adata: AnnData, inside: NDArray[np.bool_], size: tuple[int, int]
) -> tuple[Mapping[str, Any], str | None]:
    """The vendor's scale factors, and which of his reduced images has the ``size`` (width, height) of the H&E.

    Both come from ``uns["spatial"]``; nothing where it is not clear which section's.
    """
    libraries = adata.uns.get(SPATIAL)
    if not isinstance(libraries, Mapping):
        return {}, None
    names = list(libraries)
    if LIBRARY in adata.obs:
        names = [name for name in names if name in set(adata.obs[LIBRARY][inside].astype(str))] or names
    library = libraries[names[0]] if len(names) == 1 else {}
    factors, images = (_entries(library, key) for key in ("scalefactors", "images"))
    matching = [name for name in REDUCED if tuple(getattr(images.get(name), "shape", ())[:2]) == size[::-1]]
    return factors, matching[0] if matching else None


def _entries(holder: Any, key: str) -> Mapping[str, Any]:
    """The mapping under a key; empty where there is none."""
    found = holder.get(key) if isinstance(holder, Mapping) else None
    return found if isinstance(found, Mapping) else {}
