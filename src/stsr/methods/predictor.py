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
from stsr.nn.cores import side_by_side
from stsr.nn.cross_attention import CrossAttentionNet
from stsr.nn.discs import summed
from stsr.nn.histology import HistologyNet
from stsr.nn.patch import Patch

PATCH = 64
"""Cells of a patch."""

BATCH_VALUES = 2**21
"""Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

GENES = 64
"""Genes spread and balanced at a time."""

CPU = torch.device("cpu")

SIDE = 64
"""Side in cells of the tiles in which discs are summed."""

NEAR, FAR = 1.0, 3.0
"""Pitches from the nearest spot: within the first, spots tell what they told in training; beyond the second, nothing."""


class BandPredictor:
    """Trained networks, and the spots that correct them.

    Parameters
    ----------
    tissue
        The section.
    seeing, blind
        Networks that look at the spots around, and that do not. The rates of the first are averaged, and the logarithms
        of the second's, of which one that overshoots far from any spot must not rule the mean. With none that see, the
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
        blind: Sequence[HistologyNet],
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

        @torch.inference_mode()
        def add(group: NDArray[np.int64]) -> None:
            tile = everywhere.tile(group)
            rates, _ = self.expect(tile.features, self.tokens(tile.features, tile.pixels), tile.patch)
            sums[everywhere.patches.anchor[group]] = summed(tile.patch.weight, rates).cpu().numpy()

        side_by_side(add, everywhere.groups(), device=tissue.device)
        return sums

    def tokens(self, features: Tensor, pixels: Tensor) -> list[Tensor]:
        """A map of tokens of a window from every network that sees."""
        return [net.tokens(features, pixels) for net in self.seeing]

    def expect(self, features: Tensor, maps: Sequence[Tensor], patch: Patch) -> tuple[Tensor, Tensor]:
        """(n, p, genes) rates that the networks expect together, and (n, p, dimensions) latents.

        The latents are those of the networks that see, side by side; with none, that of the first of the blind.
        """
        mean, own = self.tissue.mean, patch.of(features)
        told = [net(own) for net in self.blind]
        blind = (mean * (sum(log_ratio for log_ratio, _ in told) / len(told)).exp())[..., :-1]
        if not self.seeing:
            return blind, told[0][1]
        seen = [net(tokens, own, patch, mean) for net, tokens in zip(self.seeing, maps, strict=True)]
        away = (patch.distance.amin(dim=-1, keepdim=True) / self.pitch - NEAR) / (FAR - NEAR)
        share = self.share + (1 - self.share) * away.clamp(0, 1)
        rates = torch.lerp(sum(rates for rates, _, _ in seen) / len(seen), blind, share)
        return rates, torch.cat([latent for _, _, latent in seen], dim=-1)

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
        held, around = self.balance.weights(grid.xy[inner])
        mean = np.empty((inner.stop - inner.start, self.n_genes), dtype=np.float32)
        sd = np.empty_like(mean)

        def finish(first: int) -> None:
            genes = slice(first, first + GENES)
            spread = self.diffusion(rates[:, genes], grid.mask[wide])[kept]
            mean[:, genes] = spread * self.balance.factor(held, around, genes)
            sd[:, genes] = self.deviation(mean[:, genes], held, genes)

        side_by_side(finish, range(0, self.n_genes, GENES), device=CPU)
        return Prediction(mean, sd=sd, latent=latent[kept])

    def deviation(self, mean: NDArray[np.float32], held: sp.csr_array, genes: slice) -> NDArray[np.float32]:
        """(cells, genes) standard deviation of counts: Poisson noise around a rate that is not known exactly.

        The rate of a gene is taken to be gamma distributed around its prediction. Where a spot is near, the spot's
        counts have sharpened it.
        """
        free = 1 - held.sum(axis=1, dtype=np.float32)[:, None]
        unknown = free * self.dispersion[genes] + held @ self.dispersion_under[:, genes]
        return np.sqrt(mean * (1 + mean * unknown))

    def rates(self, rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(cells, genes) rates and (cells, dimensions) latents, as :meth:`expect` gives them."""
        tissue, grid = self.tissue, self.tissue.section.grid
        cells = grid.cells(rows)
        mean = np.zeros((cells.stop - cells.start, self.n_genes), dtype=np.float32)
        dimensions = sum(net.rank for net in self.seeing) or self.blind[0].rank
        latent = np.zeros((len(mean), dimensions), dtype=np.float32)
        if not len(mean):
            return mean, latent
        window = tissue.window_around((rows.start, 0), (rows.stop, grid.shape[1]))
        patches = around_spots(grid, cells, tissue.tree, size=PATCH)
        batch = max(1, BATCH_VALUES // (PATCH * self.n_genes))
        with torch.inference_mode():
            features, pixels = tissue.window(window)
            maps = self.tokens(features, pixels)

        @torch.inference_mode()
        def fill(first: int) -> None:
            part = patches[first : first + batch]
            rates, hidden = self.expect(features, maps, tissue.patch(part, window, self.near))
            real = part.weight > 0
            place = part.cells[real] - cells.start
            mean[place] = rates.cpu().numpy()[real]
            latent[place] = hidden.cpu().numpy()[real]

        side_by_side(fill, range(0, len(patches), batch), device=tissue.device)
        return mean, latent
