"""Analysis of H&E images: tissue, stain, quality and texture. Functions take and return arrays."""

from stsr.imaging.cues import ink_mask
from stsr.imaging.quality import background_colour, image_quality
from stsr.imaging.raster import Raster
from stsr.imaging.stain import STAINS, Macenko, Reinhard, Stain, StainError, estimate_stain
from stsr.imaging.texture import TEXTURE_NAMES, texture_features
from stsr.imaging.tissue import BY_SPOTS, SURE, TISSUE_MPP, Evidence, Tissue, find_tissue, tissue_mask

__all__ = [
    "BY_SPOTS",
    "STAINS",
    "SURE",
    "TEXTURE_NAMES",
    "TISSUE_MPP",
    "Evidence",
    "Macenko",
    "Raster",
    "Reinhard",
    "Stain",
    "StainError",
    "Tissue",
    "background_colour",
    "estimate_stain",
    "find_tissue",
    "image_quality",
    "ink_mask",
    "texture_features",
    "tissue_mask",
]
