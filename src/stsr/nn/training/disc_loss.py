"""Training on spots: the squared error of the weighted sum over the cells of a spot.

Shapes: ``n`` spots, ``p`` cells a spot, ``g`` genes.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from stsr.nn.layers.spot_sums import summed
from stsr.nn.training.regression import Regression


class DiscLoss(Regression):
    """Squared error between the scaled counts of a spot and the weighted sum over the cells of its disc.

    A subclass predicts the cells.
    """

    @abstractmethod
    def cells(self, *tokens: Tensor) -> Tensor:
        """(n, p, g) scaled expression of the cells of discs."""

    def loss(self, batch: list[Tensor]) -> Tensor:
        """Mean over spots and genes; a batch is tokens, the (n, p) weights of the cells and the (n, g) scaled counts."""
        *tokens, weight, target = batch
        return self.error(summed(weight, self.cells(*tokens)), target)
