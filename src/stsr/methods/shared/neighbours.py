"""Nearest spots: of points, of one another, and as the neighbour index of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def nearest_spots(spots: cKDTree, xy: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances in µm and indices, (points, k) each, of the spots nearest to points (points, 2), the nearest first.

    k is ``count``, or the number of spots where there are fewer. Of spots at one distance the tree decides which comes
    first: always the same for the same spots.

    Examples
    --------
    >>> nearest_spots(cKDTree([[0.0, 0.0], [50.0, 0.0]]), np.array([[20.0, 0.0]]), 5)
    (array([[20., 30.]]), array([[0, 1]]))
    """
    # A list of ranks, unlike a number, gives two axes for a single neighbour too, and no infinite distances.
    return spots.query(xy, k=range(1, min(count, spots.n) + 1), workers=-1)


def neighbours(spots: cKDTree, count: int, *, hide_self: bool) -> NDArray[np.int64]:
    """(spots, k) nearest spots of each spot, with or without itself; shape (1, 0) for a section without spots."""
    count = min(count, spots.n - hide_self)
    if count < 1:
        return np.zeros((max(spots.n, 1), 0), dtype=np.int64)
    _, near = nearest_spots(spots, spots.data, count + hide_self)
    if not hide_self:
        return near
    # Of coincident spots, another one can come first, so the spot itself is searched for.
    own = near == np.arange(spots.n)[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(spots.n, count)


def with_nearest(spots: cKDTree, count: int) -> NDArray[np.int64]:
    """(spots, 1 + k) each spot itself, then the ``count`` others nearest to it, or all there are."""
    return np.hstack([np.arange(spots.n)[:, None], neighbours(spots, count, hide_self=True)])


def point_neighbours(tree: cKDTree, xy: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(points, 1 + count) neighbour index of points (points, 2): each point itself, then the nearest spots.

    Points are numbered after the spots. They are nobody's neighbours, so each is predicted independently of the others.

    Raises
    ------
    ValueError
        For a single spot.
    """
    if tree.n < 2:
        raise ValueError(f"spots={tree.n} are too few to predict between them, which takes 2; use method='nearest'.")
    _, near = nearest_spots(tree, xy, min(count, tree.n - 1))
    return np.hstack([tree.n + np.arange(len(xy))[:, None], near])


def all_neighbours(tree: cKDTree, xy: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(spots + points, 1 + count) neighbour index of the spots of a tree, then of points (points, 2)."""
    return np.vstack([with_nearest(tree, count), point_neighbours(tree, xy, count)])
