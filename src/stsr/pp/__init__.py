"""Preprocessing: read a section, calibrate its image, lay a grid, extract features, choose genes."""

from stsr.pp.calibrate_image import calibrate_image
from stsr.pp.extract_features import extract_features
from stsr.pp.make_grid import make_grid
from stsr.pp.read_visium import read_visium
from stsr.pp.select_genes import select_genes

__all__ = ["calibrate_image", "extract_features", "make_grid", "read_visium", "select_genes"]
