"""Several sections as one: every spot, cell, feature and pixel keeps its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from toys.section import toy_section

from stsr.geometry import Disc, Grid, Square
from stsr.joined import join
from stsr.section import Section

FIRST = toy_section(seed=1).section
SECOND = toy_section(shape=(40, 60), angle=-0.4, depth=20, seed=2).section


def places(section: Section) -> np.ndarray:
    """(spots, 2) a row and column for each spot."""
    return np.column_stack(np.divmod(np.arange(len(section.spots)), 5))


def bare(angle: float, flip: bool, shape: tuple[int, int], square: bool, seed: int) -> Section:
    """Spots on a grid, with no image and no features; some of them beside it."""
    rng = np.random.default_rng(seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = 8 * turn @ np.diag([1, -1 if flip else 1]), rng.uniform(-500, 500, 2)
    grid = Grid(affine, rng.random(shape) < 0.8)
    spots = grid.to_um(rng.uniform(-3, max(shape) + 3, (9, 2)))
    if square:
        spots = grid.to_um(np.floor(grid.to_index(spots)) + 0.5)
    aperture = replace(Square.of(grid), side=24.0) if square else Disc(40.0)
    counts = sp.csr_array(rng.poisson(3, (9, 2)).astype(np.float32))
    return Section(("A", "B"), spots, aperture, counts, rng.uniform(50, 100, 9), grid)


def test_one_section_is_itself():
    assert join([FIRST]) is FIRST


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-3.2, 3.2), st.booleans(), st.integers(0, 99)), min_size=2, max_size=3),
    st.booleans(),
)
def test_the_footprint_is_that_of_the_parts(parts, square):
    sections = [bare(angle, flip, (12 + seed % 7, 9 + seed % 5), square, seed) for angle, flip, seed in parts]
    joined = join(sections)
    apart = sp.block_diag([section.footprint for section in sections])
    assert joined.footprint.shape == apart.shape
    # A point of a cell that lies on the very rim of a disc may fall to either side of it.
    difference = abs(joined.footprint - apart)
    assert difference.max() <= (1e-6 if square else 0.041)
    assert difference.sum() <= 0.001 * apart.sum()


def test_distances_within_a_section_are_kept_and_others_are_far():
    joined = join([FIRST, SECOND])
    n = len(FIRST.spots)
    for spots, part in ((joined.spots[:n], FIRST), (joined.spots[n:], SECOND)):
        there, here = (np.linalg.norm(xy[:, None] - xy, axis=-1) for xy in (spots, part.spots))
        np.testing.assert_allclose(there, here, atol=1e-6)
    home = np.repeat([0, 1], [FIRST.grid.n_cells, SECOND.grid.n_cells])
    _, nearest = cKDTree(joined.spots).query(joined.grid.xy, k=range(1, 13))
    assert ((nearest >= n) == home[:, None]).all()


def test_cells_come_section_by_section_with_their_features():
    joined = join([FIRST, SECOND])
    assert joined.grid.n_cells == FIRST.grid.n_cells + SECOND.grid.n_cells
    expected = np.vstack([section.cell_features(slice(None)) for section in (FIRST, SECOND)])
    np.testing.assert_array_equal(joined.cell_features(slice(None)), expected)
    bands = [joined.cell_features(rows) for rows in joined.grid.bands(700)]
    np.testing.assert_array_equal(np.vstack(bands), expected)
    assert joined.n_features == FIRST.n_features
    gap = joined.feature_window(slice(FIRST.grid.shape[0] + 5, FIRST.grid.shape[0] + 20), slice(3, 30))
    assert (gap == 0).all()


def test_windows_show_each_section_as_if_it_were_alone():
    joined = join([FIRST, SECOND])
    top = int(joined.grid.rowcol[FIRST.grid.n_cells, 0] - SECOND.grid.rowcol[0, 0])
    for section, start in ((FIRST, 0), (SECOND, top)):
        alone = section.window(2, slice(10, 30), slice(5, 40), halo=6)
        here = joined.window(2, slice(start + 10, start + 30), slice(5, 40), halo=6)
        assert np.abs(alone.astype(int) - here).max() <= 1
    assert joined.raster.mpp == 2.0
    whole = joined.window(1, slice(None))
    assert whole.shape == (*joined.grid.shape, 3)
    np.testing.assert_array_equal(joined.window(1, slice(40, top + 5)), whole[40 : top + 5])
    middle = (FIRST.grid.shape[0] + top) // 2
    assert (whole[middle - 3 : middle + 3] == 255).all()


def test_depth_is_brought_to_the_geometric_mean():
    joined = join([FIRST, SECOND])
    n, medians = len(FIRST.spots), [np.median(section.library) for section in (FIRST, SECOND)]
    common = np.sqrt(medians[0] * medians[1])
    np.testing.assert_allclose([np.median(joined.library[:n]), np.median(joined.library[n:])], common)
    np.testing.assert_allclose(joined.counts[n:].toarray(), SECOND.counts.toarray() * common / medians[1], rtol=1e-6)


def test_every_spot_keeps_its_section_patient_and_place():
    first, second = (
        replace(part, section_name=name, patient=patient, array_rowcol=places(part))
        for part, name, patient in ((FIRST, "B4", "B"), (SECOND, "C2-left", "C"))
    )
    joined, n = join([first, second]), len(first.spots)
    assert joined.spot_section.tolist() == ["B4"] * n + ["C2-left"] * len(second.spots)
    assert joined.spot_patient.tolist() == ["B"] * n + ["C"] * len(second.spots)
    np.testing.assert_array_equal(joined.array_rowcol, np.vstack([places(FIRST), places(SECOND)]))
    back = joined.subset(joined.spot_section == "C2-left")
    np.testing.assert_array_equal(back.array_rowcol, second.array_rowcol)
    np.testing.assert_allclose(
        back.counts.sum(axis=0) / back.depth, second.counts.sum(axis=0) / second.depth, rtol=1e-5
    )


def test_sections_without_names_are_told_apart():
    joined, n = join([FIRST, replace(SECOND, array_rowcol=places(SECOND))]), len(FIRST.spots)
    assert joined.spot_section.tolist() == ["section 1"] * n + ["section 2"] * len(SECOND.spots)
    assert set(joined.spot_patient) == {""}
    assert joined.array_rowcol is None


def test_a_method_learns_from_the_joined_section():
    from stsr.methods import Training, create

    training = Training(device="cpu", progress=False)
    alone = create("ridge", {"penalty": 10.0}).fit(FIRST, seed=0, training=training)
    twice = create("ridge", {"penalty": 20.0}).fit(join([FIRST, FIRST]), seed=0, training=training)
    for name, learned in alone.arrays.items():
        np.testing.assert_allclose(twice.arrays[name], learned, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(SECOND, genes=tuple("abcdef")), "section 2 has other genes than the first"),
        (replace(SECOND, features=None), "section 2 has other features than the first"),
        (replace(SECOND, features=SECOND.features[:3]), "section 2 has other features than the first"),
        (replace(SECOND, image=None), "section 2 has no image, unlike the first"),
        (replace(SECOND, aperture=Disc(100)), "section 2 has spots of 100 µm discs, the first of 55 µm discs"),
        (replace(SECOND, aperture=Square(48.7)), "section 2 has spots of 48.7 µm squares"),
        (toy_section(bin_size=16.0, shape=(24, 27)).section, "section 2 has cells of 16 µm, the first of 8 µm"),
        (SECOND.subset(np.zeros(0, dtype=int)), "section 2 has no spots to learn from"),
    ],
)
def test_what_differs_is_named(other, message):
    with pytest.raises(ValueError, match=message):
        join([FIRST, other, FIRST])


def test_bins_at_another_angle_to_their_grid_are_refused():
    first, second = (bare(0.1, False, (12, 12), True, seed) for seed in (1, 2))
    with pytest.raises(ValueError, match="section 2 has bins at another angle"):
        join([first, replace(second, aperture=Square(24.0, 0.4))])
