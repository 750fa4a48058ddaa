"""Preprocessing: read a section, calibrate its image, lay a grid, extract features, choose genes."""

from stsr.pp.calibrate_image import calibrate_image
from stsr.pp.make_grid import make_grid
from stsr.pp.read_visium import read_visium

__all__ = ["calibrate_image", "make_grid", "read_visium"]
