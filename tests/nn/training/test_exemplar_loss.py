"""The loss of networks with exemplars, by its formula."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from stsr.nn.layers.losses import correlation_loss
from stsr.nn.training.exemplar_loss import ExemplarLoss
from stsr.nn.training.recipe import Recipe


class Nearest(nn.Module):
    """Mean expression of the exemplars, scaled."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x, index, features, expression):
        """(n, genes), whatever the input."""
        return self.scale * expression[index].mean(dim=1) + 0 * (x.sum() + features.sum())


def test_it_is_the_squared_error_and_half_of_what_correlation_lacks():
    features, expression = torch.rand(9, 3), torch.rand(9, 4)
    module = ExemplarLoss(Nearest(), features, expression, recipe=Recipe())
    index, target = torch.randint(9, (5, 2)), torch.rand(5, 4)
    predicted = 0.5 * expression[index].mean(dim=1)
    expected = F.mse_loss(predicted, target) + 0.5 * correlation_loss(predicted, target)
    torch.testing.assert_close(module.loss([torch.rand(5, 2), index, target]), expected)


def test_exemplars_are_no_part_of_the_weights():
    module = ExemplarLoss(Nearest(), torch.rand(9, 3), torch.rand(9, 4), recipe=Recipe())
    assert list(module.state_dict()) == ["net.scale"]
