"""Where the cells of a cropped grid lie.

``bounding_box_query`` and ``polygon_query`` of SpatialData keep the pixels whose centre lies in the box, and then count
the first of them as the box's edge rounded up. Where that edge lies in the first half of a pixel, the crop ends up one
pixel off along that axis: nothing for an image, but 8 µm for a grid of such cells. Tables have
the positions of their cells, which give the number of cells it is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import SPATIAL
from stsr.geometry import Grid

if TYPE_CHECKING:
    from spatialdata import SpatialData

CLOSE = 0.1
"""Share of a cell by which its place in a table and on its grid may differ."""


def crops(element: Any, coordinate_system: str) -> int:
    """How many times an element was cropped, by its transformation."""
    return len(cuts(element, coordinate_system))


def cuts(element: Any, coordinate_system: str | None = None) -> list[tuple[int, int]]:
    """Row and column at which an element was cropped, each time: a whole translation then comes first.

    Read from the transformation to a coordinate system, any when None.
    """
    from spatialdata.transformations import Sequence, Translation, get_transformation

    steps = get_transformation(element, get_all=True)
    step = next(iter(steps.values()), None) if coordinate_system is None else steps.get(coordinate_system)
    found = []
    while isinstance(step, Sequence) and step.transformations:
        first, *rest = step.transformations
        if isinstance(first, Translation) and np.array_equal(first.translation, np.rint(first.translation)):
            places = dict(zip(first.axes, first.translation, strict=True))
            found.append((int(places.get("y", 0)), int(places.get("x", 0))))
            step = rest[0] if len(rest) == 1 else Sequence(rest)
        else:
            step = first
    return found


def moved_by(sdata: SpatialData, key: str, grid: Grid, times: int, mpp: float) -> NDArray[np.float64] | None:
    """(3, 3) matrix that moves a grid in µm to where the tables that annotate it say its cells are; None without any.

    Tables are believed when they move it by whole cells, by no more than it was cropped times. Otherwise they are older
    than the grid's transformation, which then holds.
    """
    for table in sdata.tables.values():
        attrs = table.uns.get("spatialdata_attrs", {})
        regions = attrs.get("region")
        if SPATIAL not in table.obsm or key not in ([regions] if isinstance(regions, str) else list(regions or [])):
            continue
        rows = np.flatnonzero((table.obs[attrs["region_key"]] == key).to_numpy())
        ids = table.obs[attrs["instance_key"]].to_numpy()[rows]
        if not np.issubdtype(ids.dtype, np.integer):
            continue
        cell = np.searchsorted(grid.known_as, ids).clip(max=grid.n_cells - 1)
        here = grid.known_as[cell] == ids
        if not here.any():
            continue
        stated = np.asarray(table.obsm[SPATIAL], dtype=np.float64)[rows[here], :2] * mpp
        shift = grid.to_index(stated) - (grid.rowcol[cell[here], ::-1] + 0.5)
        whole = np.rint(np.median(shift, axis=0))
        move = np.eye(3)
        if np.abs(shift - whole).max() <= CLOSE and (np.abs(whole) <= times).all():
            move[:2, 2] = grid.affine[:2, :2] @ whole
        return move
    return None
