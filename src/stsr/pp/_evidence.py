"""Evidence of the spots for the position of a section's tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.geometry import Aperture, Disc, nearest_pitch
from stsr.imaging import Evidence
from stsr.spatial import record, spot_aperture, spot_positions, spots_record, spots_table

if TYPE_CHECKING:
    from spatialdata import SpatialData

IN_TISSUE = "in_tissue"
"""``obs`` column of Space Ranger: whether a spot was called in tissue."""

REACH = 200.0
"""Distance from spots in µm, or two pitches if more; pieces of tissue wholly beyond it belong to another section."""

PAIRS = 2**22
"""Pairs of a spot and a pixel processed at a time."""


def tissue_evidence(sdata: SpatialData, frame: NDArray[np.float64], shape: tuple[int, int]) -> Evidence | None:
    """The spots of a section on an image of ``shape`` whose pixels (col, row) ``frame`` (3, 3) takes to µm.

    None for a section without spots, or without its table or spots in ``sdata``.
    """
    facts = record(sdata)
    if facts.table is None or facts.table not in sdata.tables or facts.spots not in sdata:
        return None
    facts, table = spots_record(sdata), spots_table(sdata)
    aperture = spot_aperture(sdata, facts)
    to_pixel = np.linalg.inv(frame)
    mpp = float(np.sqrt(abs(np.linalg.det(frame[:2, :2]))))
    xy = spot_positions(sdata, table, facts)
    place = xy @ to_pixel[:2, :2].T + to_pixel[:2, 2]
    called = _called(table)
    measured = touched(place[called], aperture, mpp, shape)
    pitch = nearest_pitch(xy) if len(xy) > 1 else 2 * aperture.reach
    joined = (
        joined_discs(measured, (pitch / np.sqrt(2) - aperture.reach) / mpp) if isinstance(aperture, Disc) else measured
    )
    inside = np.floor(place[called]).astype(np.int64)[:, ::-1]
    return Evidence(
        spots=inside.clip(0, np.array(shape) - 1),
        measured=measured,
        joined=joined,
        off=touched(place[~called], aperture, mpp, shape) & ~measured,
        reach=max(REACH, 2 * pitch),
    )


def _called(table: object) -> NDArray[np.bool_]:
    """(spots,) whether a spot was called in tissue; all are where the table has no such column."""
    obs = table.obs  # type: ignore[attr-defined]
    if IN_TISSUE not in obs:
        return np.ones(len(obs), dtype=bool)
    return obs[IN_TISSUE].astype(str).str.lower().isin(["1", "1.0", "true"]).to_numpy()


def touched(place: NDArray[np.float64], aperture: Aperture, mpp: float, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(rows, cols) which pixels of ``mpp`` µm the spots at (spots, 2) pixels (x, y) touch.

    A disc touches all pixels that it overlaps; a bin touches those with their centre in it, or with its centre in them.
    """
    mask = np.zeros(shape, dtype=bool)
    reach = int(np.ceil(aperture.reach / mpp)) + 1
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2), axis=-1).reshape(-1, 2)
    for batch in np.array_split(place, max(1, -(-len(place) * len(offsets) // PAIRS))):
        pixel = np.floor(batch).astype(np.int64)[:, None] + offsets
        apart = pixel + 0.5 - batch[:, None]
        if isinstance(aperture, Disc):
            covered = aperture.covers(np.maximum(np.abs(apart) - 0.5, 0) * mpp)
        else:
            covered = aperture.covers(apart * mpp) | (offsets == 0).all(axis=-1)
        on = covered & (pixel >= 0).all(axis=-1) & (pixel < shape[::-1]).all(axis=-1)
        mask[pixel[on][:, 1], pixel[on][:, 0]] = True
    return mask


def joined_discs(discs: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """The discs and the gaps between neighbours: a morphological closing by ``radius`` pixels.

    A radius of half the diagonal of a square lattice's cell, less the radius of a disc, closes the gaps of square and
    hexagonal lattices, but not the place of a missing spot.
    """
    if radius <= 0 or not discs.any():
        return discs
    radius += 1
    margin = int(np.ceil(radius)) + 1
    far = ndimage.distance_transform_edt(~np.pad(discs, margin)) > radius
    closed = ndimage.distance_transform_edt(~far) > radius
    return closed[margin:-margin, margin:-margin] | discs
