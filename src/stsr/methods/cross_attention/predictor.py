"""Trained networks bound to a section: bands of rows predicted, averaged, spread and corrected, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from stsr.methods.base import Prediction
from stsr.methods.cross_attention.correction import Correction, correction
from stsr.methods.cross_attention.diffusion import Diffusion
from stsr.methods.cross_attention.row_cache import RowCache
from stsr.methods.cross_attention.section_tensors import Tissue
from stsr.methods.shared.spot_cells import Patches, around_spots
from stsr.methods.shared.spot_sums import BAND_VALUES
from stsr.nn.networks.cross_attention import CrossAttentionNet, Tokens
from stsr.nn.networks.image_only import HistologyMean, HistologyNet
from stsr.nn.networks.patch import Patch
from stsr.nn.training.parallel import side_by_side

PATCH = 160
"""Cells of a patch at most: more than the 135 of 8 µm that are nearest to a spot of a 100 µm lattice."""

BATCH_VALUES = 2**20
"""Rates (cells x genes) computed at a time: they stay in cache, and memory stays flat."""

GENES = 64
"""Genes spread and corrected at a time."""

CPU = torch.device("cpu")

NEAR, FAR = 1.0, 3.0
"""Pitches from the nearest spot, within which cells have spots as near as in training, and beyond which none counts."""


class BandPredictor:
    """Trained networks, and the spots that correct them.

    Before the first band, the counts of every spot are compared with what is predicted for it and around it, on every
    second cell. Then the rates of every cell are computed once, as bands follow each other.

    Parameters
    ----------
    tissue
        The section.
    attention, image
        Attention networks, whose rates are averaged, and image networks, whose logarithms are: one that overshoots far from
        any spot must not dominate the mean. Without attention networks, the image networks predict alone.
    image_weight
        Ensemble weight of the image networks near spots. The attention networks were trained with spots a pitch away, so
        it rises with the distance from the nearest spot, to 1 at three pitches.
    pitch
        That of the spots learned from, in µm.
    diffusion
        Lateral spread of transcripts in µm, by which rates are blurred.
    balance
        How spots correct what is predicted; see :func:`~stsr.methods.cross_attention.correction.correction`.
    dispersion
        (genes,) variance of a rate over its square, where no spot is near.
    """

    def __init__(
        self,
        tissue: Tissue,
        attention: Sequence[CrossAttentionNet],
        image: Sequence[HistologyNet],
        *,
        image_weight: float,
        pitch: float,
        diffusion: float,
        balance: str,
        dispersion: NDArray[np.float32],
    ) -> None:
        self.tissue, self.attention, self.image_weight = tissue, attention, image_weight
        self.pitch, self.balance = pitch, balance
        self.image = HistologyMean(image)
        section = tissue.section
        self.n_genes = len(section.genes)
        self.diffusion = Diffusion(diffusion / section.grid.bin_size)
        measured = section.counts.toarray()
        self.dispersion = dispersion
        self.dispersion_under = dispersion / (1 + dispersion * measured * section.covered[:, None])
        self.cache = RowCache(section.grid, self.rates)

    @cached_property
    def correction(self) -> Correction | None:
        """How spots correct the cells around them."""
        section = self.tissue.section
        if self.balance == "none" or not self.tissue.tree.n:
            return None
        return correction(self.balance, section, self.tissue.tree, self.pitch, self.diffusion, self.sums)

    @property
    def balance_facts(self) -> dict[str, str | float]:
        """How spots correct what is predicted, and how far the sum under one is from what it measured, in the median."""
        deviation = {"deviation": round(self.correction.deviation, 4)} if self.correction else {}
        return {"kind": self.balance, **deviation}

    def sums(self, weights: sp.csr_array) -> NDArray[np.float32]:
        """(rows, genes) sums of the rates of cells before they are spread, with (rows, cells) weights."""
        grid, under = self.tissue.section.grid, np.unique(weights.indices)
        sums = np.zeros((weights.shape[0], self.n_genes), dtype=np.float32)
        for rows in grid.bands(BAND_VALUES // self.n_genes) if len(under) else ():
            band = grid.cells(rows)
            cells = under[np.searchsorted(under, band.start) : np.searchsorted(under, band.stop)]
            if len(cells):
                sums += weights[:, cells] @ self.rates_of(rows, cells)[0]
        return sums

    def tokens(self, features: Tensor, pixels: Tensor) -> list[Tokens]:
        """Tokens of a window from every network that attends."""
        return [net.tokens(features, pixels) for net in self.attention]

    def expect(self, features: Tensor, maps: Sequence[Tokens], patch: Patch) -> tuple[Tensor, Tensor]:
        """(n, p, genes) rates that the networks expect together, and (n, p, dimensions) latents.

        The latents are those of the networks that attend, side by side; with none, those of the others.
        """
        mean, own = self.tissue.mean, patch.of(features)
        by_image, latent = self.image(own, patch.context, mean)
        if not self.attention:
            return by_image, latent
        by_attention = [net(tokens, own, patch, mean) for net, tokens in zip(self.attention, maps, strict=True)]
        away = (patch.distance.amin(dim=-1, keepdim=True) / self.pitch - NEAR) / (FAR - NEAR)
        weight = self.image_weight + (1 - self.image_weight) * away.clamp(0, 1)
        rates = by_attention[0][0]
        for more, _, _ in by_attention[1:]:
            rates += more
        rates /= len(by_attention)
        return rates.lerp_(by_image, weight), torch.cat([latent for _, _, latent in by_attention], dim=-1)

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows."""
        grid = self.tissue.section.grid
        start, stop, _ = rows.indices(grid.shape[0])
        reach = self.diffusion.reach
        wide = slice(max(0, start - reach), min(grid.shape[0], stop + reach))
        inner, outer = grid.cells(rows), grid.cells(wide)
        kept = slice(inner.start - outer.start, inner.stop - outer.start)
        rates, latent = self.cache(wide)
        at_cells = self.correction.at(grid.xy[inner]) if self.correction else None
        mean = np.empty((inner.stop - inner.start, self.n_genes), dtype=np.float32)
        sd = np.empty_like(mean)

        def finish(first: int) -> None:
            genes = slice(first, first + GENES)
            mean[:, genes] = self.diffusion(rates[:, genes], grid.mask[wide])[kept]
            if at_cells:
                mean[:, genes] *= at_cells.factor(genes)
            sd[:, genes] = self.deviation(mean[:, genes], at_cells.known if at_cells else None, genes)

        side_by_side(finish, range(0, self.n_genes, GENES), device=CPU)
        return Prediction(mean, sd=sd, latent=latent[kept])

    def deviation(self, mean: NDArray[np.float32], known: sp.csr_array | None, genes: slice) -> NDArray[np.float32]:
        """(cells, genes) standard deviation of counts: Poisson noise around a rate that is not known exactly.

        The rate of a gene is taken to be gamma distributed around its prediction. Where a spot is near, the spot's
        counts have lessened its variance by a (cells, spots) share, ``known``.
        """
        variance = np.broadcast_to(self.dispersion[genes], mean.shape).astype(np.float32)
        if known is not None:
            variance *= 1 - known.sum(axis=1, dtype=np.float32)[:, None]
            variance += known @ self.dispersion_under[:, genes]
        variance *= mean
        variance += 1
        variance *= mean
        return np.sqrt(variance, out=variance)

    def rates(self, rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(cells, genes) rates and (cells, dimensions) latents of all cells of a band, as :meth:`expect` gives them."""
        band = self.tissue.section.grid.cells(rows)
        return self.rates_of(rows, np.arange(band.start, band.stop))

    def rates_of(self, rows: slice, cells: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same of some cells (n,) of a band, in their order."""
        tissue, grid = self.tissue, self.tissue.section.grid
        mean = torch.zeros(len(cells), self.n_genes)
        latent = torch.zeros(len(mean), sum(net.rank for net in self.attention) or self.image.rank)
        if not len(mean):
            return mean.numpy(), latent.numpy()
        window = tissue.window_around((rows.start, 0), (rows.stop, grid.shape[1]))
        patches = around_spots(grid, cells, tissue.tree, size=PATCH, batch=BATCH_VALUES // self.n_genes)
        with torch.inference_mode():
            features, pixels = tissue.window(window)
            maps = self.tokens(features, pixels)

        @torch.inference_mode()
        def fill(part: Patches) -> None:
            predicted = self.expect(features, maps, tissue.patch(part, window))
            # Padding repeats a cell of the patch: it is written twice with the same values.
            place = torch.as_tensor(np.searchsorted(cells, part.cells.ravel()))
            for values, array in zip(predicted, (mean, latent), strict=True):
                array.index_copy_(0, place, values.flatten(0, 1).cpu())

        side_by_side(fill, list(patches), device=tissue.device)
        return mean.numpy(), latent.numpy()
