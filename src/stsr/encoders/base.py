"""The interface of image encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Grid
from stsr.imaging.raster import Raster


@dataclass(frozen=True)
class EncoderInfo:
    """Description of an encoder, for the registry, the docs and the command line.

    Parameters
    ----------
    name, title
        Key in the registry, and a description in one line.
    dim
        Number of features of a cell.
    mpp
        µm per pixel of the image that the encoder takes.
    tile
        Side in pixels of the tiles it takes; 0 when it does not work on tiles.
    patch
        Side in pixels of the patch behind one token.
    mean, std
        Mean and standard deviation per channel, of pixels scaled to 0..1, for normalisation.
    prefix
        Number of tokens before those of the patches: class and register tokens.
    centre
        Distance in pixels from a tile's edge to the centre of its first token; half a patch when None. It is 0.5 for a
        network that pads its strided convolutions on both sides.
    licence
        Licence of the weights.
    gated
        Whether access to the weights must be requested.
    source
        Where the weights come from, such as ``"hf-hub:MahmoodLab/uni"``.
    learned
        Whether it has weights at all.
    """

    name: str
    title: str
    dim: int
    mpp: float = 0.5
    tile: int = 0
    patch: int = 0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    prefix: int = 0
    centre: float | None = None
    licence: str = ""
    gated: bool = False
    source: str = ""
    learned: bool = True


class Encoder(Protocol):
    """Turns the image under a grid into features of its cells.

    An encoder with interpretable features also has their ``names``, which are kept with the raster. One with weights has
    their ``checksum``.
    """

    info: EncoderInfo

    def encode_rows(self, raster: Raster, grid: Grid, rows: slice) -> NDArray[np.float32]:
        """(dim, rows, cols) features of a band of grid rows, the same whatever the band.

        Values of cells outside tissue are undefined.
        """
        ...


def plain_name(encoder: Any) -> str:
    """Name of an encoder without the optional ``timm:`` prefix; of an object, its ``name`` or that of its class."""
    if isinstance(encoder, str):
        return encoder.removeprefix("timm:")
    return str(getattr(encoder, "name", None) or type(encoder).__name__)
