"""What an H&E image tells: tissue, stain, quality and texture; arrays in, arrays out."""

from stsr.imaging.quality import background_colour, image_quality
from stsr.imaging.raster import Raster
from stsr.imaging.stain import STAINS, Macenko, Reinhard, Stain, StainError, estimate_stain
from stsr.imaging.texture import TEXTURE_NAMES, texture_features
from stsr.imaging.tissue import TISSUE_MPP, tissue_mask

__all__ = [
    "STAINS",
    "TEXTURE_NAMES",
    "TISSUE_MPP",
    "Macenko",
    "Raster",
    "Reinhard",
    "Stain",
    "StainError",
    "background_colour",
    "estimate_stain",
    "image_quality",
    "texture_features",
    "tissue_mask",
]
