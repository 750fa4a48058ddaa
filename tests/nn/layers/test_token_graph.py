"""The graph of tokens: CensNet against its equation in numpy, and which tokens are connected."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stsr.nn.layers.token_graph import CensNetLayer, TokenGraph


def incidence_of(edges, nodes):
    incidence = torch.zeros(1, nodes, len(edges))
    for number, ends in enumerate(edges):
        incidence[0, list(ends), number] = 1
    return incidence


def by_equation(layer, x, others, incidence):
    """σ((T diag(H p) Tᵀ ⊙ Ã) X W), entry by entry."""
    x, others, incidence = (each[0].double().numpy() for each in (x, others, incidence))
    nodes = len(x)
    weight = others @ layer.weigh.weight.detach().double().numpy()[0]
    joined = np.array([[bool(incidence[i] @ incidence[j] > 0) or i == j for j in range(nodes)] for i in range(nodes)])
    degree = joined.sum(axis=1)
    linear = x @ layer.linear.weight.detach().double().numpy().T + layer.linear.bias.detach().double().numpy()
    out = np.zeros_like(linear)
    for i in range(nodes):
        for j in range(nodes):
            if joined[i, j]:
                shared = (weight * incidence[i] * incidence[j]).sum()
                out[i] += shared / np.sqrt(degree[i] * degree[j]) * linear[j]
    return np.maximum(out, 0)


@pytest.mark.parametrize("swapped", [False, True])
def test_convolution_of_nodes_and_of_edges_follows_its_equation(swapped):
    torch.manual_seed(0)
    incidence = incidence_of([(0, 1), (1, 2), (0, 3), (3, 4)], 6)  # node 5 has no edge
    nodes, edges = torch.randn(1, 6, 5), torch.randn(1, 4, 3)
    x, others, incidence = (edges, nodes, incidence.mT) if swapped else (nodes, edges, incidence)
    layer = CensNetLayer(x.shape[-1], 7, others.shape[-1])
    got = layer(x, others, incidence)[0].detach().numpy()
    np.testing.assert_allclose(got, by_equation(layer, x, others, incidence), atol=1e-5)


def test_the_pairs_of_highest_mutual_attention_are_connected():
    torch.manual_seed(1)
    graph = TokenGraph(8, 5)
    tokens = 3 * torch.randn(2, 25, 8)
    ends, facts = graph.connect(tokens)
    assert ends.shape == (2, 2, 100)
    assert facts.shape == (2, 100, 4)
    scores = graph.query(tokens[0]) @ graph.key(tokens[0]).mT / 8**0.5
    attention = torch.softmax(scores, dim=-1).detach().numpy()
    mutual = (attention + attention.T) / 2
    pairs = sorted(((mutual[i, j], i, j) for i in range(25) for j in range(i + 1, 25)), reverse=True)[:100]
    assert {(i, j) for _, i, j in pairs} == {tuple(pair) for pair in ends[0].mT.tolist()}
    i, j = ends[0, :, 7].tolist()
    one, other = tokens[0, i].numpy(), tokens[0, j].numpy()
    expected = [
        mutual[i, j],
        np.linalg.norm(one - other) / 8**0.5,
        one @ other / np.linalg.norm(one) / np.linalg.norm(other),
        np.hypot(i // 5 - j // 5, i % 5 - j % 5) / 5,
    ]
    np.testing.assert_allclose(facts[0, 7].detach().numpy(), expected, rtol=1e-4)


def test_a_map_keeps_its_shape_and_every_parameter_learns():
    torch.manual_seed(2)
    graph = TokenGraph(8, 3)
    out = graph(torch.randn(2, 8, 3, 3))
    assert out.shape == (2, 8, 3, 3)
    out.square().sum().backward()
    assert all((parameter.grad != 0).any() for parameter in graph.parameters())


def test_of_few_tokens_all_pairs_are_connected():
    ends, _ = TokenGraph(8, 2).connect(torch.randn(1, 4, 8))
    assert {tuple(pair) for pair in ends[0].mT.tolist()} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
