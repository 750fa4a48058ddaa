"""Training with exemplars: the loss of EGN, and the spots among which exemplars are."""

from __future__ import annotations

from torch import Tensor, nn

from stsr.nn.layers.losses import correlation_loss
from stsr.nn.training.recipe import Recipe
from stsr.nn.training.regression import Regression


class ExemplarLoss(Regression):
    """Squared error and ``correlation · (1 - Pearson's correlation over the spots of a batch)``.

    Parameters
    ----------
    net
        A network that is called with its inputs, the (n, k) positions of exemplars, and the two arrays below.
    features, expression
        (spots, width) and (spots, genes) of the spots among which exemplars are.
    recipe
        How it is trained.
    correlation
        Weight of the second term.

    References
    ----------
    Yang et al. 2023, WACV, arXiv 2210.16721, "Objective".
    """

    features: Tensor
    expression: Tensor

    def __init__(
        self, net: nn.Module, features: Tensor, expression: Tensor, *, recipe: Recipe, correlation: float = 0.5
    ) -> None:
        super().__init__(net, recipe=recipe)
        self.correlation = correlation
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("expression", expression, persistent=False)

    def loss(self, batch: list[Tensor]) -> Tensor:
        """A batch is the network's inputs, the (n, k) positions of exemplars and the (n, genes) targets."""
        *inputs, index, target = batch
        predicted = self.net(*inputs, index, self.features, self.expression)
        return self.error(predicted, target) + self.correlation * correlation_loss(predicted.float(), target)
