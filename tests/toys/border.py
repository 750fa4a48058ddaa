"""A toy section whose tissue mask is cut through its spots, though they measured all that they cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from toys.section import Toy, toy_section

from stsr.geometry import Grid
from stsr.section import Section


def cut(section: Section, kept: NDArray[np.bool_]) -> Section:
    """A section whose mask holds only some of its cells (cells,); what the spots measured stays."""
    mask = section.grid.mask.copy()
    mask[mask] = kept
    return replace(section, grid=Grid(section.grid.affine, mask))


def whole_spots(toy: Toy) -> Toy:
    """A toy without the spots that the border of its tissue cuts."""
    return Toy(toy.section.subset(toy.section.covered == 1), toy.truth)


def cut_toy(angle: float, at: float, **options: object) -> tuple[Toy, Section]:
    """A toy with whole spots, and its section cut along a line: ``at`` is the share of its cells that is left.

    ``truth`` of the toy is that of the cells left.
    """
    toy = whole_spots(toy_section(**options))
    along = toy.section.grid.xy @ [np.cos(angle), np.sin(angle)]
    kept = along <= np.quantile(along, at)
    section = cut(toy.section, kept)
    near = section.subset(section.covered > 0)
    return Toy(near, toy.truth[kept]), near


def border(grid: Grid, cells: int) -> NDArray[np.bool_]:
    """(cells,) those nearer to the outside than so many cells."""
    padded = np.pad(grid.mask, 1)
    return (ndimage.distance_transform_edt(padded)[1:-1, 1:-1] <= cells)[grid.mask]
