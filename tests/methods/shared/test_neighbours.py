"""Nearest spots, against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from stsr.methods.shared.neighbours import all_neighbours, nearest_spots, neighbours, point_neighbours, with_nearest


@pytest.mark.parametrize("count", [1, 4, 99])
def test_the_nearest_come_first_and_there_are_no_more_than_spots(count):
    rng = np.random.default_rng(0)
    spots, points = rng.random((30, 2)), rng.random((7, 2))
    distance, index = nearest_spots(cKDTree(spots), points, count)
    away = cdist(points, spots)
    assert index.shape == distance.shape == (7, min(count, 30))
    np.testing.assert_array_equal(index, away.argsort(axis=1)[:, :count])
    np.testing.assert_allclose(distance, np.sort(away, axis=1)[:, :count])


def test_of_equally_near_spots_the_same_come_first_each_time():
    spots = np.argwhere(np.ones((9, 9))) * 10.0
    points = spots + 5.0
    first, parts = (nearest_spots(cKDTree(spots), points, 3)[1] for _ in range(2)), []
    one, two = first
    np.testing.assert_array_equal(one, two)
    parts = [nearest_spots(cKDTree(spots), points[some], 3)[1] for some in np.split(np.arange(81), [5, 30])]
    np.testing.assert_array_equal(np.concatenate(parts), one)


def test_everyone_sees_itself_then_the_nearest_spots():
    rng = np.random.default_rng(0)
    spots, points = rng.random((30, 2)), rng.random((7, 2))
    tree = cKDTree(spots)
    among, near = with_nearest(tree, 6), point_neighbours(tree, points, 6)
    assert among[:, 0].tolist() == list(range(30))
    assert near[:, 0].tolist() == list(range(30, 37))
    away = np.linalg.norm(spots[:, None] - spots, axis=-1)
    np.testing.assert_array_equal(among[:, 1:], away.argsort(axis=1)[:, 1:7])
    away = np.linalg.norm(points[:, None] - spots, axis=-1)
    np.testing.assert_array_equal(near[:, 1:], away.argsort(axis=1)[:, :6])
    np.testing.assert_array_equal(all_neighbours(tree, points, 6), np.vstack([among, near]))
    assert with_nearest(tree, 99).shape == (30, 30)
    assert point_neighbours(tree, points, 99).shape == (7, 30)


def test_one_spot_has_nothing_between():
    with pytest.raises(ValueError, match="spots=1 are too few to predict between them.*method='nearest'"):
        point_neighbours(cKDTree([[0.0, 0]]), np.zeros((2, 2)), 3)


def test_neighbours_hide_or_lead_with_the_spot_itself():
    spots = np.random.default_rng(0).uniform(0, 100, (30, 2))
    tree = cKDTree(spots)
    seen, hidden = neighbours(tree, 5, hide_self=False), neighbours(tree, 5, hide_self=True)
    np.testing.assert_array_equal(seen[:, 0], np.arange(30))
    np.testing.assert_array_equal(seen[:, 1:], hidden[:, :4])


@pytest.mark.parametrize("copies", [2, 9])
def test_a_spot_is_hidden_among_coincident_ones(copies):
    spots = np.concatenate([np.zeros((copies, 2)), np.random.default_rng(0).uniform(50, 100, (10, 2))])
    near = neighbours(cKDTree(spots), 4, hide_self=True)
    assert near.shape == (len(spots), 4)
    assert not (near == np.arange(len(spots))[:, None]).any()


def test_few_spots_give_as_many_neighbours_as_there_are():
    tree = cKDTree([[0.0, 0], [1, 0], [0, 1]])
    assert neighbours(tree, 12, hide_self=True).shape == (3, 2)
