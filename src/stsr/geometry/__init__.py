"""Grids, lattices and footprints: plain arrays in one micrometre frame."""

from stsr.geometry.aperture import Aperture, Disc, Square
from stsr.geometry.bins import grid_of_bins
from stsr.geometry.footprint import cell_lookup, covered_share, footprint
from stsr.geometry.grid import Grid
from stsr.geometry.lattice import Lattice, nearest_pitch, regular_lattice
from stsr.geometry.lattice_fit import fit_affine, fit_lattice

__all__ = [
    "Aperture",
    "Disc",
    "Grid",
    "Lattice",
    "Square",
    "cell_lookup",
    "covered_share",
    "fit_affine",
    "fit_lattice",
    "footprint",
    "grid_of_bins",
    "nearest_pitch",
    "regular_lattice",
]
