"""Slides of spots: where they lie, and that molecules are neither lost nor made."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.stats import ncx2

from stsr.geometry import spots as module
from stsr.geometry.spots import catch, lay_spots, spot_of


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_counts(bins: int, genes: int = 4, seed: int = 0) -> sp.csr_array:
    return sp.csr_array(rng(seed).poisson(1.5, (bins, genes)).astype(np.float32))


def box(width: float, height: float) -> np.ndarray:
    return np.array([[0, 0], [width, 0], [0, height], [width, height]])


@given(st.sampled_from([("hexagonal", 6), ("square", 4)]), st.floats(20, 300), st.floats(-180, 180))
def test_neighbours_are_a_pitch_apart_at_any_angle(layout, pitch, angle):
    kind, neighbours = layout
    _, xy = lay_spots(box(9 * pitch, 8 * pitch), pitch=pitch, diameter=pitch / 2, layout=kind, angle=angle)
    distance, _ = cKDTree(xy).query(xy, k=neighbours + 2)
    inner = np.linalg.norm(xy - xy.mean(axis=0), axis=1) < 2 * pitch
    np.testing.assert_allclose(distance[inner, 1 : neighbours + 1], pitch, rtol=1e-9)
    assert (distance[:, neighbours + 1] > 1.2 * pitch).all()


@given(st.sampled_from(["hexagonal", "square"]), st.floats(150, 900), st.floats(150, 900))
def test_whole_discs_fill_the_box_from_its_middle(layout, width, height):
    _, xy = lay_spots(box(width, height) + 40, pitch=100, diameter=55, layout=layout)
    low, high = xy.min(axis=0) - 27.5 - 40, np.array([width, height]) + 40 - xy.max(axis=0) - 27.5
    assert (np.stack([low, high]) > -1e-9).all()
    assert (low + high < 100 + 1e-9).all()  # no more rows or columns would fit


def test_rows_and_columns_are_numbered_as_on_slides():
    rowcol, xy = lay_spots(box(600, 500), pitch=100, diameter=55, layout="hexagonal")
    assert (rowcol.sum(axis=1) % 2 == 0).all()
    np.testing.assert_allclose(np.ptp(xy - rowcol[:, ::-1] * [50, 50 * np.sqrt(3)], axis=0), 0, atol=1e-9)
    rowcol, xy = lay_spots(box(600, 500), pitch=200, diameter=100, layout="square")
    np.testing.assert_array_equal(rowcol.max(axis=0), [2, 2])
    np.testing.assert_allclose(xy, rowcol[:, ::-1] * 200 + [100, 50])


def test_the_angle_is_clockwise_as_seen_in_the_image():
    rowcol, xy = lay_spots(box(900, 900), pitch=100, diameter=55, layout="square", angle=10)
    a, b = (xy[(rowcol == place).all(axis=1)][0] for place in ([3, 3], [3, 4]))
    np.testing.assert_allclose(b - a, 100 * np.array([np.cos(np.pi / 18), np.sin(np.pi / 18)]))


def test_no_spot_where_none_fits():
    rowcol, xy = lay_spots(box(600, 40), pitch=100, diameter=55, layout="hexagonal")
    assert rowcol.shape == xy.shape == (0, 2)


@given(st.integers(0, 1000), st.floats(5, 60))
def test_every_molecule_is_counted_once_or_lost_between_the_spots(seed, diameter):
    bins = rng(seed).uniform(0, 300, (200, 2))
    spots = lay_spots(box(300, 300), pitch=60, diameter=diameter, layout="hexagonal")[1]
    counts = some_counts(200, seed=seed)
    caught = catch(counts, bins, spots, diameter, rng=rng())
    under = np.linalg.norm(spots[:, None] - bins, axis=-1) <= diameter / 2
    assert (under.sum(axis=0) <= 1).all()
    np.testing.assert_array_equal(caught.toarray(), under @ counts.toarray())
    np.testing.assert_array_equal(caught.sum(axis=0), counts[under.any(axis=0)].sum(axis=0))


@given(st.integers(0, 1000), st.floats(0.1, 200))
def test_diffusion_keeps_every_molecule_of_every_gene(seed, diffusion):
    counts = some_counts(50, seed=seed)
    everywhere = catch(
        counts, rng(seed).uniform(0, 100, (50, 2)), np.zeros((1, 2)), 1e6, diffusion=diffusion, rng=rng()
    )
    np.testing.assert_array_equal(everywhere.toarray()[0], counts.sum(axis=0))


def test_of_two_spots_that_overlap_the_nearer_takes_the_molecule():
    np.testing.assert_array_equal(
        spot_of([[4, 0], [6, 0], [-5, 0], [16, 0]], np.array([[0.0, 0], [10, 0]]), 11), [0, 1, 0, -1]
    )


def test_molecules_spread_by_a_gaussian():
    """The share a disc gets, near and far, is what the noncentral chi-squared law of the squared distance says."""
    sigma, molecules = 12.0, 400_000
    spots = np.array([[0.0, 0], [30, 0], [0, -45]])
    counts = sp.csr_array(np.array([[molecules]], dtype=np.float32))
    caught = catch(counts, np.zeros((1, 2)), spots, 20.0, diffusion=sigma, rng=rng(1)).toarray().ravel()
    share = ncx2.cdf((10 / sigma) ** 2, df=2, nc=(np.linalg.norm(spots, axis=1) / sigma) ** 2)
    np.testing.assert_allclose(caught, molecules * share, atol=4 * np.sqrt(molecules * share.max()))
    assert caught[2] > 0


def test_runs_of_bins_do_not_show(monkeypatch):
    bins = rng().uniform(0, 300, (300, 2))
    spots = lay_spots(box(300, 300), pitch=60, diameter=50, layout="square")[1]
    counts = sp.csr_array(some_counts(300).toarray() * (np.arange(300) >= 40)[:, None])
    whole = catch(counts, bins, spots, 50, diffusion=5, rng=rng(2))
    monkeypatch.setattr(module, "MOLECULES", 7)
    np.testing.assert_array_equal(whole.toarray(), catch(counts, bins, spots, 50, diffusion=5, rng=rng(2)).toarray())


def test_no_molecules_are_none_anywhere():
    nothing = catch(
        sp.csr_array((5, 2), dtype=np.float32), np.zeros((5, 2)), np.zeros((1, 2)), 9, diffusion=1, rng=rng()
    )
    assert nothing.shape == (1, 2)
    assert nothing.nnz == 0


@pytest.mark.parametrize("diffusion", [0.0, 4.0])
def test_half_the_efficiency_counts_half_the_molecules(diffusion):
    bins = rng().uniform(0, 300, (3000, 2))
    spots = lay_spots(box(300, 300), pitch=60, diameter=50, layout="square")[1]
    counts = some_counts(3000)
    whole, half = (
        catch(counts, bins, spots, 50, diffusion=diffusion, efficiency=share, rng=rng()).toarray() for share in (1, 0.5)
    )
    assert (half <= whole).all()
    assert half.dtype == np.float32
    assert half.sum() == pytest.approx(whole.sum() / 2, abs=2 * float(whole.sum()) ** 0.5)
    chi2 = ((half - whole / 2) ** 2 / (whole / 4)).mean()  # of a binomial, 1
    assert chi2 == pytest.approx(1, abs=0.5)


def test_each_spot_has_its_own_efficiency():
    counts = sp.csr_array(np.array([[40_000, 0, 20_000], [40_000, 10_000, 0], [7, 7, 7]], dtype=np.float32))
    places = np.array([[0.0, 0], [100, 0], [200, 0]])
    caught = catch(counts, places, places, 10, efficiency=np.array([0.2, 0.7, 1.0]), rng=rng()).toarray()
    expected = counts.toarray() * [[0.2], [0.7], [1.0]]
    np.testing.assert_allclose(caught, expected, atol=5 * 100)  # the largest standard error is 92
    np.testing.assert_array_equal(caught[2], 7)


@pytest.mark.parametrize("diffusion", [0.0, 4.0])
def test_one_efficiency_for_all_draws_what_a_number_does(diffusion):
    bins, spots = rng().uniform(0, 300, (500, 2)), lay_spots(box(300, 300), pitch=60, diameter=50, layout="square")[1]
    number, each = (
        catch(some_counts(500), bins, spots, 50, diffusion=diffusion, efficiency=share, rng=rng(3)).toarray()
        for share in (0.3, np.full(len(spots), 0.3))
    )
    np.testing.assert_array_equal(number, each)
