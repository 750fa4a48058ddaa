"""Preprocessing: read a section, calibrate its image, lay a grid, extract features, choose genes."""

from stsr.pp.add_features import add_features
from stsr.pp.bin_transcripts import bin_transcripts
from stsr.pp.calibrate_image import calibrate_image
from stsr.pp.densify_spots import densify_spots
from stsr.pp.extract_features import extract_features
from stsr.pp.from_anndata import from_anndata
from stsr.pp.from_image import from_image
from stsr.pp.from_transcripts import from_transcripts
from stsr.pp.make_grid import make_grid
from stsr.pp.read_st import read_st
from stsr.pp.read_visium import read_visium
from stsr.pp.read_visium_hd import read_visium_hd
from stsr.pp.read_xenium import read_xenium
from stsr.pp.register_check import register_check
from stsr.pp.registration import Registration
from stsr.pp.select_genes import select_genes
from stsr.pp.simulate_spots import simulate_spots

__all__ = [
    "Registration",
    "add_features",
    "bin_transcripts",
    "calibrate_image",
    "densify_spots",
    "extract_features",
    "from_anndata",
    "from_image",
    "from_transcripts",
    "make_grid",
    "read_st",
    "read_visium",
    "read_visium_hd",
    "read_xenium",
    "register_check",
    "select_genes",
    "simulate_spots",
]
