"""Inputs of networks for patches of cells: positions, neighbouring spots and context vectors.

Shapes: ``n`` patches (a spot and some cells), ``p`` cells a patch, ``k`` neighbouring spots, ``g`` genes. Where ``g + 1``
is written, the last column is the library size: all genes together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

ZERO_WEIGHT = 0.3
"""Weight of a residual of 0 in the mean over spots; a spot at distance 0 has weight 1. So the mean shrinks to 0 further than
two pitches from any spot, where spots have weights of a few thousandths."""


@dataclass(frozen=True)
class Neighbours:
    """The measured spots around each patch.

    Parameters
    ----------
    features
        (n, k, features) image features averaged over each spot's disc.
    density
        (n, k, g + 1) measured counts per cell area.
    profile
        (n, k, g) standardised log expression.
    """

    features: Tensor
    density: Tensor
    profile: Tensor


@dataclass(frozen=True)
class Patch:
    """Inputs of a network for patches of cells in a window; ``k`` is 0 in a section without spots.

    Parameters
    ----------
    rowcol
        (n, p, 2) row and column of the cells in the window.
    distance
        (n, p, k) from cells to neighbouring spots, µm.
    near
        The neighbouring spots.
    weight
        (n, p) weight of each cell in the spot's sum, 0 for padding.
    context
        (n, p, directions) context vectors, from :func:`context`.
    """

    rowcol: Tensor
    distance: Tensor
    near: Neighbours
    weight: Tensor
    context: Tensor

    def of(self, window: Tensor) -> Tensor:
        """(n, p, d) values at the cells of an (h, w, d) map of the window."""
        return window[self.rowcol[..., 0], self.rowcol[..., 1]]

    def only(self, cells: slice, weight: Tensor) -> Patch:
        """A subset of the cells, with new (n, q) weights."""
        return replace(
            self,
            rowcol=self.rowcol[:, cells],
            distance=self.distance[:, cells],
            weight=weight,
            context=self.context[:, cells],
        )


def context(distance: Tensor, residuals: Tensor, length: float) -> Tensor:
    """(n, p, directions) context vectors: Gaussian means of residuals of spots (n, k, directions); 0 far from any spot.

    ``Σ_k w_k r_k / (Σ_k w_k + ZERO_WEIGHT)`` with ``w = exp(-d² / (2 length²))`` of the (n, p, k) distances d, which have
    the unit of ``length``: the estimator of Nadaraya (1964) and Watson (1964), shrunk to zero.
    """
    weight = torch.exp(-0.5 * (distance / length) ** 2)
    return weight @ residuals / (weight.sum(dim=-1, keepdim=True) + ZERO_WEIGHT)
