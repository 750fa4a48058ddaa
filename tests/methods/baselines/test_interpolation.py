"""Nearest spot, inverse distance and linear interpolation against scipy and against their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import Delaunay
from scipy.spatial.distance import cdist
from toys.section import hex_lattice, toy_section

from stsr.methods import Training, create

TOY = toy_section()
INTERPOLATIONS = ("nearest", "idw", "linear")


def predict(name, section, **options):
    method = create(name, options).fit(section, seed=0, training=Training())
    return method.on(section)(slice(None)).mean


def measure(section, field):
    """The section with the (spots, 1) counts ``field`` of its spots."""
    values = np.asarray(field(section.spots), dtype=np.float32)[:, None]
    return replace(section, genes=("field",), counts=sp.csr_array(values))


def density(section):
    return section.counts.toarray() / section.spot_cells


def test_nearest_is_scipys_nearest():
    section = TOY.section
    expected = NearestNDInterpolator(section.spots, density(section))(section.grid.xy)
    np.testing.assert_allclose(predict("nearest", section), expected, rtol=1e-6)


def test_linear_is_scipys_linear_inside_the_hull_and_the_nearest_spot_outside():
    section = TOY.section
    inside = Delaunay(section.spots).find_simplex(section.grid.xy) >= 0
    assert 0.5 < inside.mean() < 0.95
    got = predict("linear", section)
    linear = LinearNDInterpolator(section.spots, density(section))(section.grid.xy[inside])
    np.testing.assert_allclose(got[inside], linear, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got[~inside], predict("nearest", section)[~inside])


def test_linear_reproduces_a_plane_inside_the_hull():
    section = measure(TOY.section, lambda xy: 500 + xy @ [0.7, -0.4])
    inside = Delaunay(section.spots).find_simplex(section.grid.xy) >= 0
    plane = (500 + section.grid.xy @ [0.7, -0.4]) / section.spot_cells
    np.testing.assert_allclose(predict("linear", section)[inside, 0], plane[inside], rtol=1e-5)


@pytest.mark.parametrize(("neighbours", "power"), [(8, 2.0), (3, 1.0), (1000, 2.0)])
def test_idw_is_its_formula(neighbours, power):
    section = TOY.section
    weights = cdist(section.grid.xy, section.spots) ** -power
    weakest = np.sort(weights, axis=1)[:, -min(neighbours, len(section.spots)), None]
    weights = np.where(weights >= weakest, weights, 0)
    expected = weights @ density(section) / weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict("idw", section, neighbours=neighbours, power=power), expected, rtol=1e-5)


def test_idw_takes_a_spots_own_value_where_a_cell_lies_on_it():
    section = replace(
        TOY.section, spots=TOY.section.grid.xy[:: TOY.section.grid.n_cells // 40][: len(TOY.section.spots)]
    )
    section = section.subset(np.arange(len(section.spots)))
    on = [int(np.flatnonzero((section.grid.xy == spot).all(axis=1))[0]) for spot in section.spots]
    np.testing.assert_allclose(predict("idw", section)[on], density(section), rtol=1e-4)


def test_idw_with_one_neighbour_is_the_nearest_spot():
    np.testing.assert_array_equal(predict("idw", TOY.section, neighbours=1), predict("nearest", TOY.section))


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_cells_stay_within_the_range_of_the_spots(name):
    got, spots = predict(name, TOY.section), density(TOY.section)
    assert (got >= spots.min(axis=0) - 1e-5).all()
    assert (got <= spots.max(axis=0) + 1e-5).all()


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_even_tissue_gives_back_its_counts_under_every_whole_disc(name):
    section = measure(TOY.section, lambda xy: np.full(len(xy), 74.0))
    discs = section.footprint @ predict(name, section)
    whole = section.footprint.sum(axis=1) > 0.99 * section.spot_cells
    assert whole.sum() > 20
    np.testing.assert_allclose(discs[whole], 74.0, rtol=0.02)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_one_gene_or_a_thousand_the_values_are_the_same(name):
    section = replace(TOY.section, genes=TOY.section.genes[2:3], counts=sp.csr_array(TOY.section.counts[:, [2]]))
    np.testing.assert_array_equal(predict(name, section)[:, 0], predict(name, TOY.section)[:, 2])


@pytest.mark.parametrize(
    "spots", [hex_lattice(300, 300, 62)[:2], np.arange(5.0)[:, None] * [60, 60]], ids=["two", "line"]
)
def test_spots_that_span_no_triangle_are_refused_by_linear_only(spots):
    section = replace(TOY.section, spots=spots, counts=TOY.section.counts[: len(spots)], library=np.ones(len(spots)))
    with pytest.raises(ValueError, match=f"spots={len(spots)} span no triangle.*method='nearest'"):
        predict("linear", section)
    assert np.isfinite(predict("idw", section)).all()
