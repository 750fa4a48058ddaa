"""Trained networks bound to a section: bands of rows predicted, averaged, spread, balanced, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from stsr.methods.balance import Balance
from stsr.methods.base import Prediction
from stsr.methods.diffusion import Diffusion
from stsr.methods.patches import around_spots, neighbours, under_spots
from stsr.methods.tissue import Tiles, Tissue
from stsr.nn.cross_attention import CrossAttentionNet

PATCH = 64
"""Cells of a patch."""

BATCH_VALUES = 2**21
"""Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

SIDE = 128
"""Side in cells of the tiles in which discs are summed."""


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
    edge, length
        See :class:`~stsr.methods.balance.Balance`, in µm.
    dispersion
        (genes,) variance of a rate over its square, where no spot is near.
    """

    def __init__(
        self,
        tissue: Tissue,
        nets: Sequence[CrossAttentionNet],
        *,
        spots: int,
        diffusion: float,
        edge: float,
        length: float,
        dispersion: NDArray[np.float32],
    ) -> None:
        self.tissue, self.nets = tissue, nets
        self.near = neighbours(tissue.tree, spots, hide_self=False)
        section = tissue.section
        self.n_genes = len(section.genes)
        self.diffusion = Diffusion(diffusion / section.grid.bin_size)
        measured = section.counts.toarray()
        self.balance = Balance.learn(
            tissue.tree,
            section.aperture,
            measured,
            self.disc_sums(),
            edge=edge,
            length=length,
        )
        self.dispersion = dispersion
        self.dispersion_under = dispersion / (1 + dispersion * measured)

    def disc_sums(self) -> NDArray[np.float32]:
        """(spots, genes) predicted counts under each spot, spread but not balanced."""
        tissue, section = self.tissue, self.tissue.section
        sums = np.zeros(section.counts.shape, dtype=np.float32)
        if not len(sums):
            return sums
        patches = under_spots(self.diffusion.footprint(section.footprint, section.grid))
        everywhere = Tiles(tissue, patches, self.near, side=SIDE, rng=None)
        with torch.inference_mode():
            for group in everywhere.groups():
                tile = everywhere.tile(group)
                for net in self.nets:
                    rates, _ = net(net.tokens(tile.features, tile.pixels), tile.patch, tissue.mean)
                    discs = torch.einsum("np,npg->ng", tile.patch.weight, rates[..., :-1]) / len(self.nets)
                    sums[everywhere.patches.anchor[group]] += discs.cpu().numpy()
        return sums

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows."""
        grid = self.tissue.section.grid
        start, stop, _ = rows.indices(grid.shape[0])
        reach = self.diffusion.reach
        wide = slice(max(0, start - reach), min(grid.shape[0], stop + reach))
        rates, latent = self.rates(wide)
        inner, outer = grid.cells(rows), grid.cells(wide)
        if inner.start == inner.stop:
            return Prediction(rates[:0], sd=rates[:0], latent=latent[:0])
        kept = slice(inner.start - outer.start, inner.stop - outer.start)
        mean = self.diffusion(rates, grid.mask[wide])[kept]
        held, around = self.balance.weights(grid.xy[inner])
        mean *= self.balance.factor(held, around)
        return Prediction(mean, sd=self.deviation(mean, held), latent=latent[kept])

    def deviation(self, mean: NDArray[np.float32], held: sp.csr_array) -> NDArray[np.float32]:
        """(cells, genes) standard deviation of counts: Poisson noise around a rate that is not known exactly.

        The rate of a gene is taken to be gamma distributed around its prediction. Where a spot is near, the spot's
        counts have sharpened it.
        """
        free = 1 - held.sum(axis=1, dtype=np.float32)[:, None]
        return np.sqrt(mean * (1 + mean * (free * self.dispersion + held @ self.dispersion_under)))

    def rates(self, rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(cells, genes) rates averaged over the networks, and (cells, dimensions) latents side by side."""
        tissue, grid = self.tissue, self.tissue.section.grid
        cells = grid.cells(rows)
        rank = self.nets[0].correct.in_features
        mean = np.zeros((cells.stop - cells.start, self.n_genes), dtype=np.float32)
        latent = np.zeros((len(mean), rank * len(self.nets)), dtype=np.float32)
        if not len(mean):
            return mean, latent
        window = tissue.window_around((rows.start, 0), (rows.stop, grid.shape[1]))
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
                    mean[place] += rates.cpu().numpy()[real, :-1] / len(self.nets)
                    latent[place, member * rank : (member + 1) * rank] = hidden.cpu().numpy()[real]
        return mean, latent
