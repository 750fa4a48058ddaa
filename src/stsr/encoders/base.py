"""What an image encoder is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import at_home
from stsr.geometry import Grid
from stsr.imaging.raster import Raster


@dataclass(frozen=True)
class EncoderInfo:
    """What the registry, the docs and the command line tell about an encoder.

    Parameters
    ----------
    name, title
        Key in the registry, and one line that says what it is.
    dim
        Number of features of a cell.
    mpp
        µm per pixel at which the encoder looks at the image.
    tile
        Side in pixels of the tiles it takes; 0 when it does not work on tiles.
    patch
        Side in pixels of the patch behind one token.
    mean, std
        Per channel, of pixels scaled to 0..1.
    prefix
        Tokens before those of the patches: class and register tokens.
    centre
        Distance in pixels from a tile's edge to the middle of its first token; half a patch when None. A network that
        pads its strided convolutions on both sides looks at 0.5.
    licence
        Licence of the weights.
    gated
        Whether the weights are only given out on request.
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

    An encoder whose features mean something each has their ``names`` too; they are kept with the raster. One with weights
    has their ``checksum``.
    """

    info: EncoderInfo

    def encode_rows(self, raster: Raster, grid: Grid, rows: slice) -> NDArray[np.float32]:
        """(dim, rows, cols) features of a band of grid rows, the same whatever the band.

        Only the cells inside tissue matter; the values of the others mean nothing.
        """
        ...


def plain_name(encoder: Any) -> str:
    """Name of an encoder without the optional ``timm:`` prefix; of an object, its ``name`` or that of its class."""
    if isinstance(encoder, str):
        return encoder.removeprefix("timm:")
    return str(getattr(encoder, "name", None) or type(encoder).__name__)


def weights_file(weights: str | Path) -> Path:
    """The one file with weights at a path, safetensors before pickled formats.

    Raises
    ------
    ValueError
        When there is none, or more than one to choose from.
    """
    path = at_home(weights)
    if path.is_file():
        return path
    for pattern in ("*.safetensors", "*.bin", "*.pth"):
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise ValueError(f"weights={str(path)!r} holds {len(found)} {pattern} files; name the one to load.")
        if found:
            return found[0]
    raise ValueError(
        f"weights={str(path)!r} is neither a file nor a folder with a .safetensors, .bin or .pth file; check the path."
    )
