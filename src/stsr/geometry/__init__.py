"""Grids, lattices and footprints: plain arrays in one micrometre frame."""

from stsr.geometry.aperture import Aperture, Disc, Square
from stsr.geometry.bins import grid_of_bins
from stsr.geometry.footprint import cell_lookup, covered_share, footprint
from stsr.geometry.grid import Grid
from stsr.geometry.lattice import fit_affine, nearest_pitch

__all__ = [
    "Aperture",
    "Disc",
    "Grid",
    "Square",
    "cell_lookup",
    "covered_share",
    "fit_affine",
    "footprint",
    "grid_of_bins",
    "nearest_pitch",
]
