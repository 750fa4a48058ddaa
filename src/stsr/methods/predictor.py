"""Trained networks bound to a section: bands of rows predicted, averaged, spread, balanced, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from stsr.methods.balance import Balance
from stsr.methods.base import Prediction
from stsr.methods.diffusion import Diffusion
from stsr.methods.patches import around_spots, neighbours, under_spots
from stsr.methods.tissue import Tiles, Tissue
from stsr.nn.cross_attention import CrossAttentionNet, Patch

PATCH = 64
"""Cells of a patch."""

BATCH_VALUES = 2**21
"""Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

SIDE = 64
"""Side in cells of the tiles in which discs are summed."""

NEAR, FAR = 1.0, 3.0
"""Pitches from the nearest spot: within the first, spots tell what they told in training; beyond the second, nothing."""


class BandPredictor:
    """Networks of one architecture, and the spots that correct them.

    Parameters
    ----------
    tissue
        The section.
    seeing, blind
        Networks trained with spots in sight, and without: the rates of each kind are averaged. With none that see, the
        image alone predicts.
    share
        Weight of the blind between the spots of a section. Those that see learned from spots a pitch away: further off
        it rises, to 1 at three pitches.
    pitch
        That of the spots learned from, in µm.
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
        seeing: Sequence[CrossAttentionNet],
        blind: Sequence[CrossAttentionNet],
        *,
        share: float,
        pitch: float,
        spots: int,
        diffusion: float,
        edge: float,
        length: float,
        dispersion: NDArray[np.float32],
    ) -> None:
        self.tissue, self.seeing, self.blind, self.share, self.pitch = tissue, seeing, blind, share, pitch
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
                rates, _ = self.expect(self.tokens(tile.features, tile.pixels), tile.patch)
                discs = torch.einsum("np,npg->ng", tile.patch.weight, rates)
                sums[everywhere.patches.anchor[group]] = discs.cpu().numpy()
        return sums

    def tokens(self, features: Tensor, pixels: Tensor) -> list[Tensor]:
        """A map of tokens from every network, those that see first."""
        return [net.tokens(features, pixels) for net in (*self.seeing, *self.blind)]

    def expect(self, maps: Sequence[Tensor], patch: Patch) -> tuple[Tensor, Tensor]:
        """(n, p, genes) rates that the networks expect together, and (n, p, dimensions) their latents side by side."""
        views = [patch] * len(self.seeing) + [patch.blind] * len(self.blind)
        nets = zip((*self.seeing, *self.blind), maps, views, strict=True)
        rates, _, latents = zip(*(net(tokens, view, self.tissue.mean) for net, tokens, view in nets), strict=True)
        seen, blind = rates[: len(self.seeing)], rates[len(self.seeing) :]
        mean = sum(blind) / len(blind)
        if seen:
            away = (patch.distance.amin(dim=-1, keepdim=True) / self.pitch - NEAR) / (FAR - NEAR)
            mean = torch.lerp(sum(seen) / len(seen), mean, self.share + (1 - self.share) * away.clamp(0, 1))
        return mean, torch.cat(latents, dim=-1)

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
        rank = self.blind[0].rank
        mean = np.zeros((cells.stop - cells.start, self.n_genes), dtype=np.float32)
        latent = np.zeros((len(mean), rank * (len(self.seeing) + len(self.blind))), dtype=np.float32)
        if not len(mean):
            return mean, latent
        window = tissue.window_around((rows.start, 0), (rows.stop, grid.shape[1]))
        patches = around_spots(grid, cells, tissue.tree, size=PATCH)
        batch = max(1, BATCH_VALUES // (PATCH * self.n_genes))
        with torch.inference_mode():
            maps = self.tokens(*tissue.window(window))
            for first in range(0, len(patches), batch):
                part = patches[first : first + batch]
                rates, hidden = self.expect(maps, tissue.patch(part, window, self.near))
                real = part.weight > 0
                place = part.cells[real] - cells.start
                mean[place] = rates.cpu().numpy()[real]
                latent[place] = hidden.cpu().numpy()[real]
        return mean, latent
