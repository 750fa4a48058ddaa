"""Tables on disk: large matrices in chunks that suit one gene as well as a band of cells, and read lazily."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from stsr.spatial.columns import layer_names
from stsr.spatial.stored import lazy

if TYPE_CHECKING:
    from anndata import AnnData

LAZY_BYTES = 2**30
"""Dense matrices of a table above this size stay on disk and are read through dask."""

CHUNKS = (16384, 32)
"""Cells and genes of a chunk: 2 MB of float32. One gene of 2 M cells touches 122 chunks."""


LAZY = ("X", "layers", "obsm")
"""Where the matrices of a table lie that are large."""


def lazy_arrays(table: AnnData) -> dict[str, Any]:
    """The dense dask arrays of a table by their path in its zarr group, such as ``"X"`` or ``"layers/sd"``."""
    import dask.array as da

    arrays = {"X": table.X}
    arrays |= {f"layers/{name}": table.layers[name] for name in layer_names(table)}
    arrays |= {f"obsm/{key}": value for key, value in table.obsm.items()}
    arrays |= {f"varm/{key}": value for key, value in table.varm.items()}
    return {
        path: value for path, value in arrays.items() if isinstance(value, da.Array) and not sp.issparse(value._meta)
    }


def without(table: AnnData, paths: Iterable[str]) -> AnnData:
    """A shallow copy of a table that lacks the arrays at ``paths``."""
    light = table.copy()
    for path in paths:
        slot, _, key = path.partition("/")
        if key:
            del getattr(light, slot)[key]
        else:
            light.X = None
    return light


def create_array(group: Any, path: str, like: Any) -> Any:
    """An array of zeros in a table's zarr group that anndata reads as one of its own; nothing is written yet.

    Predictions have noise in their last bits. Shuffled by bit they take a tenth less space than with the compression zarr
    chooses by itself, and less time to write and to read.
    """
    from zarr.codecs import BloscCodec

    return group.create_array(
        path,
        shape=like.shape,
        dtype=like.dtype,
        chunks=tuple(map(min, like.shape, CHUNKS)),
        compressors=BloscCodec(cname="lz4", shuffle="bitshuffle"),
        attributes={"encoding-type": "array", "encoding-version": "0.2.0"},
        overwrite=True,
    )


def read_table(path: Path, *, lazy_bytes: int | None = None) -> AnnData:
    """Read a table of a SpatialData store; dense arrays above ``lazy_bytes`` (``LAZY_BYTES``) stay behind dask."""
    import zarr
    from anndata.experimental import read_dispatched

    limit = LAZY_BYTES if lazy_bytes is None else lazy_bytes

    def read(load: Any, _name: str, stored: Any, iospec: Any) -> Any:
        slot, _, _ = stored.path.partition("/")
        if iospec.encoding_type == "array" and slot in LAZY and stored.ndim > 1 and stored.nbytes > limit:
            return lazy(stored, Path(path, stored.path))
        return load(stored)

    table = read_dispatched(zarr.open_group(path, mode="r", use_consolidated=False), read)
    if (attrs := table.uns.get("spatialdata_attrs")) is not None:
        # What SpatialData keeps there comes back changed: None is left out, and a list is an array.
        attrs |= {key: attrs.get(key) for key in ("region", "region_key", "instance_key")}
        if isinstance(attrs["region"], np.ndarray):
            attrs["region"] = attrs["region"].tolist()
    return table
