"""The network of iStar: a perceptron from the image tokens of one cell to its expression."""

from __future__ import annotations

from torch import Tensor

from stsr.nn.layers.heads import EluHead
from stsr.nn.training.disc_loss import DiscLoss

HIDDEN = (256,) * 4


class IstarNet(EluHead):
    """Scaled expression of a cell from its image tokens.

    Parameters
    ----------
    tokens
        Width of a cell's tokens: features and colour.
    genes
        How many.
    """

    width = HIDDEN[-1]

    def __init__(self, tokens: int, genes: int) -> None:
        super().__init__(tokens, HIDDEN, genes)


class IstarDiscs(DiscLoss):
    """Train :class:`IstarNet` on discs of cells; a batch is their (n, p, tokens), weights and the scaled counts."""

    def cells(self, *tokens: Tensor) -> Tensor:
        """(n, p, g) from (n, p, tokens)."""
        return self.net(tokens[0].float())
