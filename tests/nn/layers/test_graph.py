"""Graphs of spots against scipy's trees, and against the order of spots."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from stsr.nn.layers import graph
from stsr.nn.layers.graph import nearest_edges, with_loops


def pairs(edges):
    return set(zip(*edges.tolist(), strict=True))


def test_neighbours_are_scipys(monkeypatch):
    monkeypatch.setattr(graph, "BLOCK", 16)
    place = np.random.default_rng(0).random((50, 2))
    _, near = cKDTree(place).query(place, k=5)
    edges = nearest_edges(torch.tensor(place), 4)
    assert pairs(edges) == {(int(other), spot) for spot in range(50) for other in near[spot, 1:]}
    distance, _ = cKDTree(place).query(place, k=5)
    close = nearest_edges(torch.tensor(place), 4, within=0.1)
    assert pairs(close) == {
        (int(near[spot, i]), spot) for spot in range(50) for i in range(1, 5) if distance[spot, i] <= 0.1
    }
    assert 0 < close.shape[1] < 200


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20, unique=True), st.randoms())
def test_edges_do_not_depend_on_the_order_of_spots(places, random):
    order = random.sample(range(len(places)), len(places))
    place = torch.tensor(places).float()
    edges, shuffled = nearest_edges(place, 4, within=2), nearest_edges(place[order], 4, within=2)
    assert pairs(torch.tensor(order)[shuffled]) == pairs(edges)
    assert (edges[0] != edges[1]).all()
    assert torch.bincount(edges[1], minlength=len(places)).max() <= 4


def test_small_sections_have_fewer_neighbours():
    assert nearest_edges(torch.zeros(1, 2), 4).shape == (2, 0)
    assert nearest_edges(torch.zeros(3, 2), 4).shape == (2, 6)


def test_loops_are_added_once():
    edges = nearest_edges(torch.rand(6, 2), 2)
    looped = with_loops(edges, 6)
    assert pairs(looped) == pairs(edges) | {(spot, spot) for spot in range(6)}
