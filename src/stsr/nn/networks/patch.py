"""What networks are told of patches of cells: where these lie, and what was measured around them.

Shapes: ``n`` patches (a spot and some cells), ``p`` cells a patch, ``k`` neighbouring spots, ``g`` genes. Where ``g + 1``
is written, the last column is the library size: all genes together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

FADE = 0.3
"""Weight of nothing in a mean over spots, as against 1 of a spot at no distance: further than two pitches from any spot,
where none weighs more than a few thousandths, the mean is nothing."""


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
    """What a network needs to predict some patches of cells in a window; ``k`` is 0 where no spot is to be seen.

    Parameters
    ----------
    rowcol
        (n, p, 2) place of the cells in the window.
    distance
        (n, p, k) from cells to neighbouring spots, µm.
    near
        The neighbouring spots.
    weight
        (n, p) share of each cell, 0 for padding.
    context
        (n, p, directions) what the spots around measured beyond what their own features say, from :func:`context`.
    """

    rowcol: Tensor
    distance: Tensor
    near: Neighbours
    weight: Tensor
    context: Tensor

    def of(self, window: Tensor) -> Tensor:
        """(n, p, d) what an (h, w, d) map of the window holds at the cells."""
        return window[self.rowcol[..., 0], self.rowcol[..., 1]]

    def only(self, cells: slice, weight: Tensor) -> Patch:
        """Some of the cells, with (n, q) weights of their own."""
        return replace(
            self,
            rowcol=self.rowcol[:, cells],
            distance=self.distance[:, cells],
            weight=weight,
            context=self.context[:, cells],
        )


def context(distance: Tensor, residuals: Tensor, length: float) -> Tensor:
    """(n, p, directions) Gaussian mean of the (n, k, directions) residuals of spots at (n, p, k) distances; 0 far away.

    ``length`` is the standard deviation, in the unit of the distances.
    """
    weight = torch.exp(-0.5 * (distance / length) ** 2)
    return weight @ residuals / (weight.sum(dim=-1, keepdim=True) + FADE)
