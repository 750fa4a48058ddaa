"""A section as tensors: windows of it, the measured spots around patches, and tiles to train on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from stsr.methods.cross_attention.expression_scale import Typical, counts_and_library
from stsr.methods.cross_attention.residuals import Residuals
from stsr.methods.shared.neighbours import neighbours
from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.spot_cells import Patches, under_spots
from stsr.methods.shared.spot_sums import disc_means
from stsr.methods.shared.standardise import Scaling
from stsr.nn.networks.cross_attention import View
from stsr.nn.networks.patch import Neighbours, Patch, context
from stsr.section import Section

WHITE, CONTRAST = 0.8, 0.2
"""H&E pixels are shown as (value - WHITE) / CONTRAST with values in [0, 1]."""

Window = tuple[slice, slice]
"""Rows and columns of the grid, whole blocks, possibly reaching past its border."""


class Tissue:
    """Tensors of a section, on one device.

    Parameters
    ----------
    section
        The section, with features and image.
    scaling, typical, residuals
        How its features and its expression are standardised, and its spots with a regression on their features.
    near
        Spots that a cell can look at.
    length
        Standard deviation in µm of the Gaussian by which context vectors average spots.
    view
        How windows of it are looked at.
    training
        Hide each spot from itself, and hold features and image of the whole grid in memory, about 430 bytes a cell:
        training looks at the same windows over and over.
    """

    def __init__(
        self,
        section: Section,
        scaling: Scaling,
        typical: Typical,
        residuals: Residuals,
        *,
        near: int,
        length: float,
        view: View,
        device: torch.device,
        training: bool = False,
    ) -> None:
        self.section, self.scaling, self.length, self.view, self.device = section, scaling, length, view, device
        self.tree = cKDTree(section.spots)
        self.near = neighbours(self.tree, near, hide_self=training)
        counts = counts_and_library(section)
        self.counts = self._tensor(counts)
        self.density = self._tensor(counts / section.spot_cells)
        self.profile = self._tensor(typical.profile(section))
        self.mean = self._tensor(typical.density_in(section))
        self.patches = self._discs()
        features = disc_means(section, scaling)
        self.disc_features, self.residuals = self._tensor(features), self._tensor(residuals.of(section, features))
        self.whole = self._load() if training else None

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=self.device)

    def _discs(self) -> Patches:
        """The cells of the spots that lie on them as a whole: they stand for all that their spot covers."""
        patches = under_spots(self.section.footprint)
        patches = patches[whole_spots(self.section)[patches.anchor]]
        weight = patches.weight / self.section.covered[patches.anchor, None]
        return Patches(patches.anchor, patches.cells, weight)

    def _load(self) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        """Features (rows, cols, width) and pixels (rows k, cols k, 3) of the whole grid and its halo."""
        whole, halo = self.window_around((0, 0), self.section.grid.shape), self.view.halo
        low, high = np.full(2, -halo), np.array([part.stop for part in whole]) + halo
        k, step = self.view.pixels, 64
        features = np.zeros((*(high - low), self.scaling.matrix.shape[1]), dtype=np.float16)
        pixels = np.zeros((*((high - low) * k), 3), dtype=np.uint8)
        for top in range(low[0], high[0], step):
            box = np.array([top, low[1]]), np.array([min(top + step, high[0]), high[1]])
            band = slice(top - low[0], box[1][0] - low[0])
            features[band] = self._features(*box)
            pixels[band.start * k : band.stop * k] = self._pixels(*box)
        return features, pixels

    def _features(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.float32]:
        """Standardised features (rows, cols, width) of a box of cells; 0 off the tissue."""
        grid = self.section.grid
        a, b = np.clip(low, 0, grid.shape), np.clip(high, 0, grid.shape)
        features = np.zeros((*(high - low), self.scaling.matrix.shape[1]), dtype=np.float32)
        if (a < b).all():
            raw = self.section.feature_window(slice(a[0], b[0]), slice(a[1], b[1]))
            inside = self.scaling(np.moveaxis(raw, 0, -1).astype(np.float32))
            inside[~grid.mask[a[0] : b[0], a[1] : b[1]]] = 0
            features[a[0] - low[0] : b[0] - low[0], a[1] - low[1] : b[1] - low[1]] = inside
        return features

    def _pixels(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels (rows k, cols k, 3) of a box of cells; glass off the image."""
        k = self.view.pixels
        to_um = self.section.grid.affine @ np.array([[1 / k, 0, low[1]], [0, 1 / k, low[0]], [0, 0, 1]])
        height, width = ((high - low) * k).tolist()
        return self.section.raster.read(to_um, (height, width))

    def window_around(self, low: ArrayLike, high: ArrayLike) -> Window:
        """The smallest window that holds the cells from ``low`` (row, col) up to, but not, ``high``."""
        block = self.view.block
        (r0, c0), (r1, c1) = np.asarray(low) // block * block, -(-np.asarray(high) // block) * block
        return slice(int(r0), int(r1)), slice(int(c0), int(c1))

    def window(self, window: Window) -> tuple[Tensor, Tensor]:
        """Standardised features (h, w, width) of a window and its reach, and pixels (3, rows k, cols k) of it and its halo."""
        low, high = np.array([[part.start, part.stop] for part in window]).T
        halo, reach = self.view.halo, self.view.reach
        features: NDArray
        if self.whole is None:
            features, pixels = self._features(low - reach, high + reach), self._pixels(low - halo, high + halo)
        else:
            (r0, c0), (r1, c1) = low + halo - reach, high + halo + reach
            features = self.whole[0][r0:r1, c0:c1]
            (r0, c0), (r1, c1) = low * self.view.pixels, (high + 2 * halo) * self.view.pixels
            pixels = self.whole[1][r0:r1, c0:c1]
        shown = (pixels.astype(np.float32) / 255 - WHITE) / CONTRAST
        return self._tensor(features), self._tensor(np.moveaxis(shown, -1, 0))

    def features_of(self, cells: NDArray[np.int64]) -> NDArray[np.float16]:
        """(..., width) standardised features of cells, in training."""
        if self.whole is None:
            raise ValueError("features of single cells are at hand in training only.")
        row, col = np.moveaxis(self.section.grid.rowcol[cells], -1, 0) + self.view.halo
        return self.whole[0][row, col]

    def patch(self, patches: Patches, window: Window) -> Patch:
        """Place patches in a window."""
        rowcol = self.section.grid.rowcol[patches.cells] - [part.start - self.view.reach for part in window]
        distance, index = self.around(patches)
        return Patch(
            rowcol=torch.as_tensor(rowcol, device=self.device),
            distance=distance,
            near=Neighbours(self.disc_features[index], self.density[index], self.profile[index]),
            weight=self._tensor(patches.weight),
            context=self.context(distance, index),
        )

    def around(self, patches: Patches) -> tuple[Tensor, Tensor]:
        """(n, p, k) distances in µm from cells to the neighbours of their spot, and (n, k) which these are."""
        spots = self.near[patches.anchor]
        away = self.section.grid.xy[patches.cells][:, :, None] - self.section.spots[spots][:, None]
        return self._tensor(np.sqrt((away**2).sum(axis=-1))), torch.as_tensor(spots, device=self.device)

    def context(self, distance: Tensor, index: Tensor) -> Tensor:
        """(n, p, directions) context vectors of cells, from the spots :meth:`around` patches."""
        return context(distance, self.residuals[index], self.length)
