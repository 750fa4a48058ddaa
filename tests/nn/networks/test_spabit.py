"""The network of SpaBiT: its published size, who tells whom, and its losses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stsr.nn.networks.spabit import FusionNet, GraphNet, Hidden, Minibatch, Reconstruction, SpaBitNet
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


def graph_of(spots: int, points: int, k: int = 3) -> torch.Tensor:
    """(spots + points, 1 + k): itself, then spots other than itself."""
    rows = [[i, *[j for j in torch.randperm(spots).tolist() if j != i][:k]] for i in range(spots + points)]
    return torch.tensor(rows)


def small() -> SpaBitNet:
    return SpaBitNet(5, 4, hidden=6, width=16)


def test_size_and_shapes_with_uni_features_and_300_genes():
    net, width, genes = SpaBitNet(1024, 300), 1024, 300
    first = genes * 6 * 650 + 3 * 6 * 650
    second = 6 * 650 * width + 3 * width
    assert count(net.graph) == first + second + linear(width, genes)
    attention = 4 * linear(width, width)
    block = attention + linear(width, 2 * width) + linear(2 * width, width) + 2 * 2 * width
    head = linear(width, 2048) + 2 * 2048 + linear(2048, genes)
    fusion = 2 * linear(width, width) + 2 * attention + linear(2 * width, width) + 4 * block + head
    assert count(net.fusion) == fusion
    assert count(net) == count(net.graph) + fusion == 54_397_532
    near = graph_of(9, 3, k=6)
    told, graph = net(torch.rand(9, genes), torch.randn(12, 1024), near)
    assert told.shape == graph.shape == (12, genes)
    assert told.min() >= 0
    assert net.fusion(torch.randn(2, 128, width), torch.randn(2, 128, 1024)).shape == (2, 128, genes)


def test_points_start_from_the_mean_of_the_spots_they_are_joined_to():
    net, near = GraphNet(4, hidden=6, width=16), graph_of(9, 2)
    expression = torch.rand(9, 4)
    filled = torch.cat([expression, expression[near[9:, 1:]].mean(dim=1)])
    everyone = net(filled, near)  # as if the points had been measured so
    torch.testing.assert_close(net(expression, near), everyone)


def test_nobody_hears_of_a_point():
    net, near = small(), graph_of(9, 3)
    expression, vectors = torch.rand(9, 4), torch.randn(12, 5)
    alone, _ = net(expression, vectors[:10], near[:10])
    changed = vectors.clone()
    changed[10:] = 0
    together, _ = net(expression, changed, near)
    torch.testing.assert_close(alone, together[:10], rtol=1e-4, atol=1e-5)


def test_expression_reaches_a_point_through_the_spots_it_is_joined_to_and_so_does_the_image():
    net, near = small(), graph_of(9, 1)
    expression, vectors = torch.rand(9, 4, requires_grad=True), torch.randn(10, 5, requires_grad=True)
    net(expression, vectors, near)[0][9].sum().backward()
    assert expression.grad[near[9, 1:]].abs().sum(dim=1).min() > 0
    assert vectors.grad[near[9]].abs().sum(dim=1).min() > 0


def test_a_hidden_spots_own_counts_are_only_its_target():
    spots, genes = 12, 4
    expression, vectors = torch.rand(spots, genes), torch.randn(spots, 5)
    hidden = torch.tensor([7, 2, 5])
    seen = torch.tensor([i for i in range(spots) if i not in hidden.tolist()])
    near = graph_of(len(seen), len(hidden))
    net, asked = small(), []

    def around(spots):
        asked.append(spots)
        return torch.cat([seen, hidden]), near

    target = torch.rand(3, genes)
    losses = []
    for change in (0.0, 100.0):
        given = expression.clone()
        given[hidden] += change
        losses.append(Hidden(net, given, vectors, around, recipe=Recipe()).loss([hidden, target]))
    torch.testing.assert_close(losses[0], losses[1])
    assert asked[0] is hidden
    told, graph = net(expression[seen], vectors[torch.cat([seen, hidden])], near)
    expected = ((told[9:] - target) ** 2).mean() + ((graph[9:] - target) ** 2).mean()
    torch.testing.assert_close(losses[0], expected)


def test_the_published_losses():
    graph, near = GraphNet(4, hidden=6, width=16), graph_of(9, 0)
    expression = torch.rand(9, 4)
    loss = Reconstruction(graph, expression, near, recipe=Recipe()).loss([torch.arange(9), expression])
    torch.testing.assert_close(loss, ((graph.decode(graph(expression, near)) - expression) ** 2).mean())
    fusion = FusionNet(16, 5, 16, 4)
    states, vectors = torch.randn(9, 16), torch.randn(9, 5)
    loss = Minibatch(fusion, recipe=Recipe()).loss([states, vectors, expression])
    torch.testing.assert_close(loss, ((fusion(states[None], vectors[None])[0] - expression) ** 2).mean())
