"""Graphs of the spots of a section: which are beside one another."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 1024
"""Spots whose distances to all others are in memory at a time."""


def nearest_edges(place: Tensor, k: int, *, within: float | None = None) -> Tensor:
    """Edges to every spot from its nearest neighbours, as torch_geometric takes them.

    They do not depend on the order of the spots: of several at one distance, those with the lowest coordinates come first. A
    spot is no neighbour of itself.

    Parameters
    ----------
    place
        (n, d) places of the spots of one section, or features of what else is to be connected.
    k
        Neighbours of a spot, at most; there are fewer in a section of ``k`` spots or less.
    within
        Largest distance of a neighbour, in the unit of ``place``; None for any.

    Returns
    -------
    (2, edges) int64, neighbours above and the spots that they belong to below.

    Examples
    --------
    >>> nearest_edges(torch.tensor([[0.0], [1.0], [5.0]]), 1)
    tensor([[1, 0, 1],
            [0, 1, 2]])
    >>> nearest_edges(torch.tensor([[0.0], [1.0], [5.0]]), 1, within=2)
    tensor([[1, 0],
            [0, 1]])
    """
    place = place.detach().double() if place.device.type != "mps" else place.detach()
    order = torch.arange(len(place), device=place.device)
    for axis in reversed(place.unbind(dim=1)):
        order = order[torch.argsort(axis[order], stable=True)]
    sorted_place = place[order]
    sources, targets = [], []
    for start in range(0, len(place), BLOCK):
        block = sorted_place[start : start + BLOCK]
        # without products of matrices, whose rounding would break ties
        distance = torch.cdist(block, sorted_place, compute_mode="donot_use_mm_for_euclid_dist")
        rows = torch.arange(len(block), device=place.device)
        distance[rows, rows + start] = torch.inf
        nearest, neighbour = distance.sort(dim=1, stable=True)
        nearest, neighbour = nearest[:, :k], neighbour[:, :k]
        near = nearest.isfinite() if within is None else nearest <= within
        sources.append(neighbour[near])
        targets.append((rows + start)[:, None].expand_as(near)[near])
    edges = torch.stack([order[torch.cat(sources)], order[torch.cat(targets)]])
    return edges[:, torch.argsort(edges[1], stable=True)]


def with_loops(edges: Tensor, n: int) -> Tensor:
    """The edges, and one from each of the ``n`` spots to itself.

    Examples
    --------
    >>> with_loops(torch.tensor([[1, 0], [0, 1]]), 2)
    tensor([[1, 0, 0, 1],
            [0, 1, 0, 1]])
    """
    own = torch.arange(n, device=edges.device)
    return torch.cat([edges, own.expand(2, n)], dim=1)
