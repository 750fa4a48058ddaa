"""Provenance of a feature raster: kept with it, and checked before the features are used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.arguments import LENGTH
from stsr.constants import IMAGE, features_key
from stsr.geometry import Grid
from stsr.identity import NONE, OWN, Identity
from stsr.imaging.raster import Raster
from stsr.spatial import labels_to_grid, made, read_raster

if TYPE_CHECKING:
    from spatialdata import SpatialData

KEYS = ("encoder", "source", "grid", "bin_size", "cells", "image")


@dataclass(frozen=True)
class Made:
    """Provenance of a feature raster.

    Parameters
    ----------
    encoder
        Identity of the encoder.
    source
        A text that identifies the encoder before it is loaded; None when it cannot be identified.
    grid, bin_size
        Name of the grid, and the side of its cells in µm.
    cells
        Checksum of the grid.
    image
        Checksum of the image; None for features that were not made by stsr.
    """

    encoder: Identity
    source: str | None
    grid: str
    bin_size: float
    cells: str
    image: str | None

    @property
    def content(self) -> dict[str, Any]:
        """As JSON carries it."""
        return {key: getattr(self, key) for key in KEYS} | {"encoder": self.encoder.content}

    def lies_on(self, other: Made) -> bool:
        """Whether both are of the same image and grid."""
        return (self.cells, self.image) == (other.cells, other.image)


def made_of(sdata: SpatialData, features: str) -> Made:
    """Provenance of an image element with features.

    Raises
    ------
    KeyError
        When there is no such image; the message lists the features there are.
    ValueError
        When it holds no features that stsr knows of.
    """
    if features not in sdata.images:
        known = [name for name in sdata.images if "encoder" in (made(sdata, name) or {})]
        raise KeyError(f"features={features!r} not found; sdata holds the features {', '.join(known) or 'none'}.")
    content = made(sdata, features)
    if content is None:
        raise ValueError(
            f"features={features!r} were not made by stsr; add them with stsr.pp.add_features(sdata, {features!r}, "
            "name='...'), which checks where they lie."
        )
    if not set(KEYS) <= set(content):
        raise ValueError(
            f"features={features!r} have no record of what they were made of, being from an older stsr or no features; run "
            "stsr.pp.extract_features with overwrite=True, or pass others."
        )
    encoder, bin_size = Identity.of(content["encoder"]), LENGTH("bin_size", content["bin_size"])
    return Made(**{key: content[key] for key in KEYS} | {"encoder": encoder, "bin_size": bin_size})


def checked(sdata: SpatialData, features: str, grid: str) -> Made:
    """Provenance of features that still belong to a grid and to the present image.

    Raises
    ------
    KeyError
        For an element that is not there.
    ValueError
        When the image or the grid has changed, it is another grid's, or the raster was cut; the message says what to do.
    """
    known = made_of(sdata, features)
    cells = labels_to_grid(sdata, grid)
    elsewhere = features_key(known.encoder.name, grid)
    if abs(cells.bin_size / known.bin_size - 1) > 1e-3:
        raise ValueError(
            f"features={features!r} were made for cells of {known.bin_size:.4g} µm, grid={grid!r} has cells of "
            f"{cells.bin_size:.4g} µm; pass the grid {known.grid!r}, or {remedy(known.encoder, elsewhere, grid)}."
        )
    if known.cells != cells_checksum(cells):
        same = known.grid == grid
        what = f"grid={grid!r} as it was before it was made anew" if same else f"grid={known.grid!r}, not grid={grid!r}"
        raise ValueError(
            f"features={features!r} were made for {what}; "
            f"{remedy(known.encoder, features if same else elsewhere, grid)}."
        )
    if known.image is not None and IMAGE in sdata.images and known.image != image_checksum(read_raster(sdata, IMAGE)):
        raise ValueError(
            f"features={features!r} show another image than {IMAGE!r}, which was calibrated anew since; "
            f"{remedy(known.encoder, features, grid)}."
        )
    channels = sdata.images[features].sizes["c"] if hasattr(sdata.images[features], "sizes") else None
    if channels != known.encoder.dim:
        raise ValueError(
            f"features={features!r} are {channels} a cell and were {known.encoder.dim} when they were made; "
            f"{remedy(known.encoder, features, grid)}."
        )
    return known


def remedy(encoder: Identity, features: str, grid: str) -> str:
    """How features of an encoder are made for a grid under a name."""
    named = "" if features == features_key(encoder.name, grid) else f", key_added={features!r}"
    if encoder.weights == OWN:
        return (
            f"make them again for grid={grid!r}, with overwrite=True, by stsr.pp.extract_features(sdata, encoder=<your "
            f"own>{named}, ...) or stsr.pp.add_features(sdata, <your own>, name={encoder.name!r}{named}, ...)"
        )
    weights = {NONE: "", "published": "", "random": ", weights='random'"}.get(encoder.weights, ", weights=<your file>")
    return (
        f"run stsr.pp.extract_features(sdata, encoder={encoder.name!r}, grid={grid!r}{weights}{named}, overwrite=True)"
    )


def cells_checksum(grid: Grid) -> str:
    """Checksum of where the cells of a grid lie."""
    digest = hashlib.sha256(json.dumps([grid.shape, grid.affine.tolist()]).encode())
    digest.update(np.packbits(grid.mask).tobytes())
    return digest.hexdigest()


def image_checksum(raster: Raster) -> str:
    """Checksum of an image: of its coarsest level and the places of all."""
    places = [[pixels.shape, affine.tolist()] for pixels, affine in raster.levels]
    digest = hashlib.sha256(json.dumps(places).encode())
    digest.update(np.ascontiguousarray(raster.levels[-1][0]).tobytes())
    return digest.hexdigest()
