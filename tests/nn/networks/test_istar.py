"""The network of iStar has the published size and sees a cell at a time."""

from __future__ import annotations

import torch

from stsr.nn.networks.istar import IstarDiscs, IstarNet
from stsr.nn.training.recipe import Recipe


def test_it_has_the_published_number_of_parameters():
    net = IstarNet(192 + 384 + 3, genes=785)
    assert sum(parameter.numel() for parameter in net.parameters()) == 547_601


def test_shapes():
    net = IstarNet(579, genes=30)
    assert net.hidden(torch.randn(2, 37, 579)).shape == (2, 37, 256)
    assert net(torch.randn(2, 37, 579)).shape == (2, 37, 30)


def test_a_cell_is_predicted_from_itself_alone():
    net, tokens = IstarNet(12, genes=5), torch.randn(3, 8, 12)
    other = torch.cat([tokens[:, :1], torch.randn(3, 7, 12)], dim=1)
    torch.testing.assert_close(net(tokens)[:, 0], net(other)[:, 0])


def test_half_precision_tokens_are_trained_on_in_full():
    module, tokens = IstarDiscs(IstarNet(12, genes=5), recipe=Recipe()), torch.randn(3, 8, 12)
    cells = module.cells(tokens.half())
    assert cells.dtype == torch.float32
    torch.testing.assert_close(cells, module.net(tokens), rtol=1e-2, atol=1e-2)
