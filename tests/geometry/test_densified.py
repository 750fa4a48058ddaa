"""The densified spot lattice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from toys.section import hex_lattice

from stsr.geometry import nearest_pitch
from stsr.geometry.densified import Densified

SQUARE = np.argwhere(np.ones((9, 9)))[:, ::-1] * 200.0


@pytest.mark.parametrize(
    ("spots", "pitch"), [(hex_lattice(1000, 1000, 100), 100), (SQUARE, 200)], ids=["hex", "square"]
)
def test_it_is_the_lattice_at_half_its_pitch(spots, pitch):
    lattice = Densified.of(spots)
    assert nearest_pitch(lattice.xy) == pytest.approx(pitch / 2, rel=1e-3)
    assert cKDTree(lattice.xy).query(spots)[0].max() == 0
    middle = spots[np.abs(spots - spots.mean(axis=0)).max(axis=1) < 2.2 * pitch]
    box = np.abs(lattice.xy - spots.mean(axis=0)).max(axis=1) < 2.2 * pitch
    assert box.sum() / len(middle) == pytest.approx(4, rel=0.25)


def test_points_lie_half_way_between_their_ends_in_reading_order():
    spots = hex_lattice(600, 500, 100)
    lattice = Densified.of(spots)
    np.testing.assert_allclose(lattice.xy, (spots[lattice.ends[:, 0]] + spots[lattice.ends[:, 1]]) / 2)
    order = np.lexsort((lattice.xy[:, 0], lattice.xy[:, 1]))
    np.testing.assert_array_equal(order, np.arange(len(order)))


def test_values_of_a_plane_are_exact():
    spots = hex_lattice(600, 500, 100)
    lattice = Densified.of(spots)
    plane = (spots @ [[0.5, 2.0], [1.0, -3.0]]).astype(np.float32)
    np.testing.assert_allclose(lattice.values(plane), lattice.xy @ [[0.5, 2.0], [1.0, -3.0]], rtol=1e-4, atol=1e-2)


def test_spots_across_a_gap_are_not_joined():
    spots = np.vstack([hex_lattice(500, 500, 100), hex_lattice(500, 500, 100) + [2000, 0]])
    lattice = Densified.of(spots)
    assert not ((lattice.xy[:, 0] > 600) & (lattice.xy[:, 0] < 1900)).any()


def test_nearest_points_are_the_nearest():
    lattice = Densified.of(hex_lattice(600, 500, 100))
    places = np.random.default_rng(0).uniform(0, 500, (20, 2))
    expected = np.sort(cdist(places, lattice.xy), axis=1)[:, :5]
    got = np.linalg.norm(lattice.xy[lattice.nearest(places, 5)] - places[:, None], axis=2)
    np.testing.assert_allclose(got, expected)


def test_a_hidden_spot_shows_through_none_of_its_points():
    spots = hex_lattice(600, 500, 100)
    lattice = Densified.of(spots)
    near = lattice.nearest(spots, 5, hidden=np.arange(len(spots)))
    assert near.shape == (len(spots), 5)
    assert not (lattice.ends[near] == np.arange(len(spots))[:, None, None]).any()
    distance = cdist(spots, lattice.xy)
    for spot in range(len(spots)):
        allowed = ~(lattice.ends == spot).any(axis=1)
        np.testing.assert_allclose(distance[spot, near[spot]], np.sort(distance[spot, allowed])[:5])
