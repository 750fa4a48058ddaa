"""Trained networks bound to a section: bands of rows predicted, averaged, spread and balanced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from stsr.methods.balance import Balance
from stsr.methods.base import Prediction
from stsr.methods.patches import around_spots, neighbours
from stsr.methods.tissue import Tiles, Tissue
from stsr.nn.cross_attention import CrossAttentionNet

PATCH = 64
"""Cells of a patch."""

BATCH_VALUES = 2**21
"""Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

SIDE = 128
"""Side in cells of the tiles in which discs are summed."""

GENES = 64
"""Genes spread at a time."""


class BandPredictor:
    """Networks of one architecture, and the spots that correct them.

    Parameters
    ----------
    tissue
        The section.
    nets
        Trained networks, whose rates are averaged.
    spots
        Spots that a cell can look at.
    diffusion
        Lateral spread of transcripts in µm, by which rates are blurred.
    balance_length, balance_pseudo_count
        See :class:`~stsr.methods.balance.Balance`.
    """

    def __init__(
        self,
        tissue: Tissue,
        nets: Sequence[CrossAttentionNet],
        *,
        spots: int,
        diffusion: float,
        balance_length: float,
        balance_pseudo_count: float,
    ) -> None:
        self.tissue, self.nets = tissue, nets
        self.near = neighbours(tissue.tree, spots, hide_self=False)
        self.sigma = diffusion / tissue.section.grid.bin_size
        self.reach = int(np.ceil(2.5 * self.sigma))
        self.balance = Balance.learn(
            tissue.tree,
            tissue.section.counts.toarray(),
            self.disc_sums(),
            length=balance_length,
            pseudo_count=balance_pseudo_count,
        )

    def disc_sums(self) -> NDArray[np.float32]:
        """(spots, genes) predicted counts under each spot, before balance."""
        tissue = self.tissue
        sums = np.zeros(tissue.counts.shape, dtype=np.float32)
        everywhere = Tiles(tissue, np.ones(len(sums), dtype=bool), self.near, side=SIDE, rng=None)
        with torch.inference_mode():
            for group in everywhere.groups():
                tile = everywhere.tile(group)
                for net in self.nets:
                    rates, _ = net(net.tokens(tile.features, tile.pixels), tile.patch, tissue.mean)
                    discs = torch.einsum("np,npg->ng", tile.patch.weight, rates) / len(self.nets)
                    sums[everywhere.patches.anchor[group]] += discs.cpu().numpy()
        return sums

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows."""
        grid = self.tissue.section.grid
        start, stop, _ = rows.indices(grid.shape[0])
        wide = slice(max(0, start - self.reach), min(grid.shape[0], stop + self.reach))
        rates, latent = self.rates(wide)
        inner, outer = grid.cells(rows), grid.cells(wide)
        if inner.start == inner.stop:
            return Prediction(rates[:0], latent=latent[:0])
        kept = slice(inner.start - outer.start, inner.stop - outer.start)
        mean = spread(rates, grid.mask[wide], self.sigma, self.reach)[kept] if self.reach else rates
        mean *= self.balance(grid.xy[inner])
        return Prediction(mean, latent=latent[kept])

    def rates(self, rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(cells, genes) rates averaged over the networks, and (cells, dimensions) latents side by side."""
        tissue, grid = self.tissue, self.tissue.section.grid
        cells = grid.cells(rows)
        rank = self.nets[0].correct.in_features
        mean = np.zeros((cells.stop - cells.start, tissue.counts.shape[1]), dtype=np.float32)
        latent = np.zeros((len(mean), rank * len(self.nets)), dtype=np.float32)
        if not len(mean):
            return mean, latent
        window = (rows, slice(0, grid.shape[1]))
        patches = around_spots(grid, cells, tissue.tree, size=PATCH)
        batch = max(1, BATCH_VALUES // (PATCH * mean.shape[1]))
        with torch.inference_mode():
            features, pixels = tissue.window(window)
            maps = [net.tokens(features, pixels) for net in self.nets]
            for first in range(0, len(patches), batch):
                part = patches[first : first + batch]
                patch, real = tissue.patch(part, window, self.near), part.weight > 0
                place = part.cells[real] - cells.start
                for member, (net, tokens) in enumerate(zip(self.nets, maps, strict=True)):
                    rates, hidden = net(tokens, patch, tissue.mean)
                    mean[place] += rates.cpu().numpy()[real] / len(self.nets)
                    latent[place, member * rank : (member + 1) * rank] = hidden.cpu().numpy()[real]
        return mean, latent


def spread(values: NDArray[np.float32], mask: NDArray[np.bool_], sigma: float, radius: int) -> NDArray[np.float32]:
    """Blur (cells, genes) by a Gaussian of ``sigma`` cells cut off at ``radius``, inside the (rows, cols) mask only."""

    def blur(raster: NDArray[np.float32]) -> NDArray[np.float32]:
        for axis in (0, 1):
            raster = ndimage.gaussian_filter1d(raster, sigma, axis=axis, mode="constant", radius=radius)
        return raster

    weight = blur(mask.astype(np.float32))[mask][:, None]
    result = np.empty_like(values)
    for first in range(0, values.shape[1], GENES):
        part = slice(first, first + GENES)
        raster = np.zeros((*mask.shape, values[:, part].shape[1]), dtype=np.float32)
        raster[mask] = values[:, part]
        result[:, part] = blur(raster)[mask] / weight
    return result
