"""Learned embeddings of positions on the array of spots."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Places(nn.Module):
    """Learned positional embeddings along x and along y, interpolated linearly between whole positions.

    Positions beyond the last embedding take the last one, and those below 0 the first.

    Parameters
    ----------
    width
        Of an embedding.
    slots
        Embeddings along x, and as many along y.
    blank
        Initialise with zeros instead of random numbers, so that a position without spots contributes nothing.

    Examples
    --------
    >>> Places(8, slots=64)(torch.tensor([[3.0, 4.0], [3.5, 4.0]])).shape
    torch.Size([2, 8])
    """

    def __init__(self, width: int, slots: int, *, blank: bool = False) -> None:
        super().__init__()
        self.slots = slots
        self.x, self.y = nn.Embedding(slots, width), nn.Embedding(slots, width)
        if blank:
            nn.init.zeros_(self.x.weight)
            nn.init.zeros_(self.y.weight)

    def axes(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings along x and along y, each (..., width), from positions (..., 2), counted in embeddings."""
        place = place.clamp(0, self.slots - 1)
        low = place.long()
        high, share = (low + 1).clamp(max=self.slots - 1), (place - low)[..., None]
        (x0, y0), (x1, y1) = ((self.x(slot[..., 0]), self.y(slot[..., 1])) for slot in (low, high))
        return torch.lerp(x0, x1, share[..., 0, :]), torch.lerp(y0, y1, share[..., 1, :])

    def forward(self, place: Tensor) -> Tensor:
        """(..., width), their sum."""
        x, y = self.axes(place)
        return x + y
