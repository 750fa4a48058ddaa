"""Features of the user's own, for every grid cell."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import features_key
from stsr.encoders import EncoderInfo
from stsr.geometry import Grid
from stsr.identity import LONGEST, OWN, Identity
from stsr.pp._feature_raster import write_features
from stsr.pp.provenance import Made, cells_checksum
from stsr.spatial import labels_to_grid, record, um_affine

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

APART = 0.05
"""How far, in cells, the corners of a raster may lie from those of the grid."""

VERSION = 1
"""Raised whenever the same raster gives other features than before."""


def add_features(
    sdata: SpatialData,
    features: Any,
    *,
    name: str,
    grid: str | None = None,
    bin_size: float = 8.0,
    identity: str | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
) -> str:
    """Add features of your own for every cell of a grid, to fit and predict with.

    For features that no encoder of stsr makes: of another program, another stain, or measured by hand. They are kept as
    :func:`stsr.pp.extract_features` keeps its own: float16, 0 outside tissue, clipped at ±65504. stsr checks that
    they lie on the grid, but cannot check that they show the image as it is calibrated now.

    Parameters
    ----------
    sdata
        A section read by stsr.
    features
        Name of an image element of ``sdata`` that lies on the grid, cell by cell; or an array (features, rows, cols) or
        (rows, cols, features) with the rows and columns of the grid, of numpy, dask, zarr or xarray.
    name
        Name of what made them. A model fitted on them takes features of the same name and ``identity`` only.
    grid
        Labels element with the grid; by default that of ``bin_size``, made when missing.
    bin_size
        Side of a cell in µm, when ``grid`` is not given.
    identity
        A text that distinguishes them from others of that name, such as a version, or a checksum of the weights.
    key_added
        Name of the element; ``"features_{name}_008um"`` for cells of 8 µm.
    overwrite
        Replace an element of that name.

    Returns
    -------
    The element's name, to pass as ``features=``.

    Raises
    ------
    KeyError
        When ``grid`` or the image element is not in ``sdata``; the message lists those that are.
    ValueError
        When the features do not lie on the grid, hold values inside tissue that are not finite, or the name is taken.

    Examples
    --------
    >>> import numpy as np
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> grid = stsr.pp.make_grid(sdata, bin_size=16)
    >>> mine = np.random.default_rng(0).random((*sdata[grid].shape, 12))
    >>> stsr.pp.add_features(sdata, mine, name="mine", grid=grid)
    'features_mine_016um'
    >>> model = stsr.tl.fit_super_resolution(
    ...     sdata, method="ridge", genes=5, grid=grid, features="features_mine_016um", progress=False
    ... )
    """
    from stsr.pp.make_grid import default_grid

    if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
        raise ValueError(f"name={name!r} is no name; pass a text, such as 'my-encoder'.")
    if identity is not None and not isinstance(identity, str):
        raise ValueError(f"identity={identity!r} is no text; pass one, such as a version, or None.")
    if grid is not None:
        labels_to_grid(sdata, grid)
    grid = default_grid(sdata, grid, bin_size)
    cells = labels_to_grid(sdata, grid)
    if isinstance(features, str):
        given, features = repr(features), _element(sdata, features, grid, cells)
    else:
        given = "an array"
    own = _Own.of(features, name, grid, cells, given)
    key = key_added or features_key(name, grid)
    mark = None if identity is None else hashlib.sha256(identity.encode()).hexdigest()
    who = Identity(name, OWN, mark, own.info.dim, VERSION)
    made = Made(who, None, grid, cells.bin_size, cells_checksum(cells), None)
    write_features(sdata, key, own, None, cells, made=made, overwrite=overwrite, progress=False)
    logger.info("%s: %d features of %d cells, as given.", key, own.info.dim, cells.n_cells)
    return key


@dataclass(eq=False)
class _Own:
    """An array on the grid, with the interface of an encoder.

    Parameters
    ----------
    info
        Its description.
    values
        The array.
    last
        Whether its features come last, after rows and columns.
    names
        Names of the features, where the array has them.
    """

    info: EncoderInfo
    values: Any
    last: bool
    names: list[str] | None

    @classmethod
    def of(cls, values: Any, name: str, grid: str, cells: Grid, given: str) -> _Own:
        """Find the axis of features by the grid's rows and columns; it is the first where both fit."""
        names = list(map(str, values.coords["c"].values)) if "c" in getattr(values, "coords", ()) else None
        values = values.data if hasattr(values, "coords") else values
        if not hasattr(values, "shape") or not isinstance(getattr(values, "dtype", None), np.dtype):
            values = np.asarray(values)
        shape, rows, cols = tuple(values.shape), *cells.shape
        first, last = shape[1:] == (rows, cols), shape[:2] == (rows, cols)
        if len(shape) != 3 or not (first or last):
            raise ValueError(
                f"features={given} is {shape}, grid={grid!r} has {rows} rows and {cols} columns of {cells.bin_size:.4g} µm; "
                f"pass (features, {rows}, {cols}) or ({rows}, {cols}, features), or the grid that they lie on."
            )
        dim = shape[0] if first else shape[2]
        if dim < 1 or values.dtype.kind not in "fiub":
            raise ValueError(
                f"features={given} holds {dim} features of type {values.dtype}; pass one number or more a cell."
            )
        known = names if names is not None and len(set(names)) == dim else None
        return cls(EncoderInfo(name, name, dim), values, not first, known)

    def encode_rows(self, raster: Any, grid: Grid, rows: slice) -> NDArray[np.float32]:
        """(features, rows, cols) of a band of grid rows."""
        band = np.moveaxis(np.asarray(self.values[rows]), 2, 0) if self.last else np.asarray(self.values[:, rows])
        band = np.array(band, dtype=np.float32)
        if not np.isfinite(band[:, grid.mask[rows]]).all():
            raise ValueError(
                f"features of name={self.info.name!r} are NaN or infinite in cells inside tissue; fill them, for instance "
                "with numpy.nan_to_num, or pass a grid of the cells that have some."
            )
        return band


def _element(sdata: SpatialData, features: str, grid: str, cells: Grid) -> Any:
    """An image element that must lie on the grid, at its finest."""
    from xarray import DataTree

    if features not in sdata.images:
        raise KeyError(f"features={features!r} not found; sdata holds the images {', '.join(sdata.images) or 'none'}.")
    element = sdata.images[features]
    to_um = um_affine(element, record(sdata), name=features)
    finest = next(iter(element.values()))["image"] if isinstance(element, DataTree) else element
    height, width = finest.sizes["y"], finest.sizes["x"]
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], dtype=float)
    apart = np.abs(corners @ (to_um - cells.affine).T)[:, :2].max() / cells.bin_size
    if (height, width) != cells.shape or apart > APART:
        side = float(np.sqrt(abs(np.linalg.det(to_um[:2, :2]))))
        raise ValueError(
            f"features={features!r} are {height} x {width} pixels of {side:.4g} µm, which are not the cells of "
            f"grid={grid!r}, {cells.shape[0]} x {cells.shape[1]} of {cells.bin_size:.4g} µm; resample them to that grid, or "
            "make a grid of their pixels."
        )
    return finest.transpose("c", "y", "x")
