"""The network of HisToSGE: its published size, its places, and its two ways of seeing other points."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stsr.nn.networks.histosge import Chunks, HistoSgeNet, Neighbourhoods
from stsr.nn.training.recipe import Recipe


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def linear(a, b):
    return a * b + b


def test_size_and_shapes_with_uni_features_and_1000_genes():
    net, width, genes = HistoSgeNet(1024, 1000), 1024, 1000
    attention = linear(width, 4 * 64) + linear(width, 2 * 4 * 64) + linear(4 * 64, width)
    block = attention + linear(width, 2 * width) + linear(2 * width, width) + 2 * 2 * width
    head = linear(width, 2048) + 2 * 2048 + linear(2048, genes)
    assert count(net.places) == 2 * 512 * width
    assert count(net.block) == block
    assert count(net) == 2 * 512 * width + block + head == 10_452_712
    assert net(torch.randn(2, 50, width), torch.zeros(2, 50, 2)).shape == (2, 50, genes)
    near = torch.randint(0, 60, (7, 19))
    assert net(torch.randn(60, 1, width), torch.zeros(60, 1, 2), near).shape == (7, 1, genes)


def test_losses_are_squared_errors_of_what_sees_what():
    net = HistoSgeNet(6, genes=4)
    vectors, place, target = torch.randn(9, 6), torch.rand(9, 2) * 5, torch.rand(9, 4)
    chunk = Chunks(net, recipe=Recipe()).loss([vectors, place, target])
    torch.testing.assert_close(chunk, ((net(vectors[None], place[None])[0] - target) ** 2).mean())
    everyone = torch.stack([torch.arange(9).roll(-i) for i in range(9)])
    listed = Neighbourhoods(net, vectors, place, recipe=Recipe()).loss([everyone, target])
    torch.testing.assert_close(listed, chunk, rtol=1e-4, atol=1e-6)
