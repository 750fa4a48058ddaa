"""Image patches: squares of the image around points, cut in micrometres, and the eight symmetries of a square.

A patch is what the published methods take as the image of a spot. It is read when it is asked for, so the image is never
whole in memory, and it covers the same tissue whatever the resolution of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import LENGTH
from stsr.nn.training.recipe import SYMMETRIES
from stsr.options import Whole
from stsr.section import Picture

PIXELS = Whole(1, 4096)
"""Side of a patch in pixels."""

_SYMMETRY = Whole(0, SYMMETRIES - 1)


@dataclass(frozen=True, eq=False)
class ImagePatches:
    """The squares of an image around points, as a sequence of (pixels, pixels, 3) uint8 RGB arrays.

    Their sides are parallel to the axes of the frame. Outside the image they are white.

    Parameters
    ----------
    image
        The image, such as ``section.raster``.
    points
        (n, 2) centres of the patches, x and y in µm.
    size
        Side of a patch in µm.
    pixels
        Side of a patch in pixels, 1 to 4096.

    Raises
    ------
    ValueError
        For points that are no (n, 2) finite numbers, or another argument that is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from stsr.imaging import Raster
    >>> pink = np.zeros((3, 100, 100), np.uint8) + np.array([235, 180, 205], np.uint8)[:, None, None]
    >>> patches = ImagePatches(Raster(((pink, np.diag([0.5, 0.5, 1])),)), np.array([[25.0, 25.0]]), size=20, pixels=10)
    >>> patches.mpp, patches[0].shape, patches[0][0, 0]
    (2.0, (10, 10, 3), array([235, 180, 205], dtype=uint8))
    """

    image: Picture
    points: NDArray[np.float64]
    size: float
    pixels: int

    def __post_init__(self) -> None:
        LENGTH("size", self.size)
        PIXELS("pixels", self.pixels)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points of shape {self.points.shape} are not allowed; pass (n, 2), x and y in µm.")
        if not np.isfinite(self.points).all():
            raise ValueError("points that are not finite are not allowed; pass (n, 2) finite numbers, x and y in µm.")

    @property
    def mpp(self) -> float:
        """µm per pixel of a patch."""
        return self.size / self.pixels

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, point: int) -> NDArray[np.uint8]:
        """(pixels, pixels, 3) around a point."""
        x, y = self.points[point] - self.size / 2
        to_um = np.array([[self.mpp, 0, x], [0, self.mpp, y], [0, 0, 1]])
        return self.image.read(to_um, (self.pixels, self.pixels))


@dataclass(frozen=True, eq=False)
class PatchDataset:
    """Patches and what is to be predicted from them: a map-style dataset, as :class:`torch.utils.data.DataLoader` takes it.

    It draws no random numbers and is small when sent to a worker, as long as the image is read from disk. An item is asked
    for by its number, or by its number and that of a symmetry.

    Parameters
    ----------
    patches
        The patches.
    targets
        (n, genes) float32, one row for each patch.

    Raises
    ------
    ValueError
        When there are not as many targets as patches.

    Examples
    --------
    >>> import numpy as np
    >>> patches = [np.zeros((4, 4, 3), np.uint8)]
    >>> patch, target = PatchDataset(patches, np.ones((1, 2), np.float32))[0]
    >>> patch.shape, target
    ((3, 4, 4), array([1., 1.], dtype=float32))
    """

    turns: ClassVar = True  # for recipes with symmetries

    patches: Any
    targets: NDArray[np.float32]

    def __post_init__(self) -> None:
        if len(self.patches) != len(self.targets):
            raise ValueError(
                f"targets={len(self.targets)} rows do not fit {len(self.patches)} patches; pass one row for each patch."
            )

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(3, pixels, pixels) patch, channels first as torch has them, and its (genes,) target."""
        point, turn = item if isinstance(item, tuple) else (item, 0)
        patch = symmetry(self.patches[point], turn)
        return np.ascontiguousarray(np.moveaxis(patch, -1, 0)), self.targets[point]


def symmetry(patch: NDArray[Any], k: int) -> NDArray[Any]:
    """A patch turned by ``k % 4`` quarters anticlockwise and then, from ``k = 4`` on, mirrored left to right.

    These are all symmetries of the square (the dihedral group of order 8); :func:`inverse` undoes them exactly.

    Parameters
    ----------
    patch
        (..., side, side, channels).
    k
        0 to 7; 0 leaves it as it is.

    Returns
    -------
    (..., side, side, channels), a view.

    Raises
    ------
    ValueError
        For a patch that is no square, or another ``k``.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.arange(4).reshape(2, 2, 1)
    >>> symmetry(patch, 1)[..., 0].tolist(), symmetry(patch, 5)[..., 0].tolist()
    ([[1, 3], [0, 2]], [[3, 1], [2, 0]])
    """
    k = _SYMMETRY("k", k)
    if patch.ndim < 3 or patch.shape[-3] != patch.shape[-2]:
        raise ValueError(f"patch of shape {patch.shape} is no square; pass (..., side, side, channels).")
    turned = np.rot90(patch, k % 4, axes=(-3, -2))
    return np.flip(turned, axis=-2) if k >= SYMMETRIES // 2 else turned


def inverse(k: int) -> int:
    """The symmetry that undoes symmetry ``k``; a mirrored one undoes itself.

    Raises
    ------
    ValueError
        When ``k`` is not 0 to 7.

    Examples
    --------
    >>> [inverse(k) for k in range(8)]
    [0, 3, 2, 1, 4, 5, 6, 7]
    """
    k = _SYMMETRY("k", k)
    return k if k >= SYMMETRIES // 2 else -k % 4
