"""Grid: frames, ids, bands and cropping, for any rotation, flip and mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stsr.geometry import Grid

angles = st.floats(-np.pi, np.pi)
sizes = st.floats(2, 100)
shifts = st.floats(-1e5, 1e5)
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


@st.composite
def affines(draw):
    """A similarity from grid index space to µm: rotation, perhaps a flip, one scale, a shift."""
    angle, size = draw(angles), draw(sizes)
    cos, sin, flip = np.cos(angle) * size, np.sin(angle) * size, draw(st.sampled_from([1, -1]))
    return np.array([[cos, -sin * flip, draw(shifts)], [sin, cos * flip, draw(shifts)], [0, 0, 1]])


@st.composite
def grids(draw):
    return Grid(draw(affines()), draw(masks))


@given(grids(), hnp.arrays(float, (7, 2), elements=st.floats(-1e3, 1e3)))
def test_to_um_and_to_index_are_inverse(grid, colrow):
    np.testing.assert_allclose(grid.to_index(grid.to_um(colrow)), colrow, atol=1e-6)


@given(grids())
def test_bin_size_is_the_distance_between_neighbouring_cells(grid):
    step = np.linalg.norm(grid.to_um([[1, 0], [0, 1]]) - grid.to_um([0, 0]), axis=1)
    np.testing.assert_allclose(step, grid.bin_size, rtol=1e-6)


@given(grids())
def test_ids_run_in_row_major_order_and_agree_with_rowcol_and_centroids(grid):
    rows, cols = grid.rowcol.T
    np.testing.assert_array_equal(grid.labels[rows, cols], np.arange(1, grid.n_cells + 1))
    assert (grid.labels[~grid.mask] == 0).all()
    np.testing.assert_allclose(grid.to_index(grid.xy), grid.rowcol[:, ::-1] + 0.5, atol=1e-6)


@given(grids(), st.integers(1, 40))
def test_bands_cover_every_row_once_and_hold_no_more_cells_than_asked(grid, most):
    bands = grid.bands(most)
    assert [row for band in bands for row in range(band.start, band.stop)] == list(range(grid.shape[0]))
    for band in bands:
        cells = grid.cells(band)
        assert cells.stop - cells.start == grid.mask[band].sum()
        assert cells.stop - cells.start <= most or band.stop - band.start == 1
    joined = np.concatenate([np.arange(grid.n_cells)[grid.cells(band)] for band in bands])
    np.testing.assert_array_equal(joined, np.arange(grid.n_cells))


@given(grids(), st.integers(0, 12), st.integers(0, 12))
def test_cells_of_any_band_are_those_of_its_rows(grid, start, length):
    rows = slice(start, start + length)
    np.testing.assert_array_equal(grid.rowcol[grid.cells(rows)], np.argwhere(grid.mask[rows]) + [start, 0])


@given(grids())
def test_cropping_keeps_ids_and_places_and_leaves_no_empty_border(grid):
    if not grid.n_cells:
        with pytest.raises(ValueError, match="mask holds no cell"):
            grid.cropped()
        return
    small = grid.cropped()
    np.testing.assert_allclose(small.xy, grid.xy, rtol=1e-9, atol=1e-6)
    for edge in (small.mask[0], small.mask[-1], small.mask[:, 0], small.mask[:, -1]):
        assert edge.any()


@given(grids(), st.integers(1, 4))
def test_dividing_cuts_every_cell_and_pooling_puts_it_together_again(grid, times):
    fine = grid.divided(times)
    assert fine.n_cells == grid.n_cells * times**2
    np.testing.assert_allclose(fine.bin_size * times, grid.bin_size)
    np.testing.assert_allclose(grid.to_index(fine.xy), (fine.rowcol[:, ::-1] + 0.5) / times, atol=1e-6)
    assert grid.mask[tuple((fine.rowcol // times).T)].all()
    again = fine.pooled(times)
    np.testing.assert_allclose(again.affine, grid.affine, atol=1e-9)
    np.testing.assert_array_equal(again.mask, grid.mask)


@given(grids(), st.integers(1, 5), st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_pooled_cells_are_those_that_hold_a_cell_and_begin_at_multiples(grid, times, first):
    coarse = grid.pooled(times, first=first)
    np.testing.assert_allclose(coarse.bin_size, grid.bin_size * times)
    numbers = (grid.rowcol + first) // times
    np.testing.assert_array_equal(np.unique(numbers, axis=0) - np.array(first) // times, coarse.rowcol)
    np.testing.assert_array_equal(np.floor(coarse.to_index(grid.xy))[:, ::-1], numbers - np.array(first) // times)


@given(grids(), st.integers(1, 5), st.integers(0, 3), st.data())
def test_pixel_frame_puts_whole_pixels_into_cells(grid, k, halo, data):
    row, col = (data.draw(st.integers(0, n - 1)) for n in grid.shape)
    affine, (height, width) = grid.pixel_frame(k, slice(row, None), slice(col, col + 1), halo=halo)
    assert (height, width) == ((grid.shape[0] - row) * k + 2 * halo, k + 2 * halo)
    corner = (np.array([halo, halo, 1]) @ affine.T)[:2]
    np.testing.assert_allclose(corner, grid.to_um([col, row]), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(abs(np.linalg.det(affine[:2, :2]))), grid.bin_size / k)


@pytest.mark.parametrize(
    "affine",
    [
        np.zeros((3, 3)),
        np.eye(2),
        np.diag([8, 9, 1.0]),
        np.array([[8, 2, 0], [0, 8, 0], [0, 0, 1.0]]),
        np.diag([8, 8, 2.0]),
        np.diag([np.nan, 8, 1.0]),
    ],
    ids=["singular", "2x2", "stretched", "sheared", "last row", "nan"],
)
def test_affines_that_are_no_similarity_are_refused(affine):
    with pytest.raises(ValueError, match="^affine must"):
        Grid(affine, np.ones((2, 2), bool))


def test_a_mask_of_wrong_dimension_is_refused():
    with pytest.raises(ValueError, match=r"mask must have two dimensions \(rows, cols\), got shape \(4,\)"):
        Grid(np.eye(3), np.ones(4, bool))
