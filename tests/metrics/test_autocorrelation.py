"""Moran's I against squidpy."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from stsr.metrics import morans_i, morans_preservation, rook_neighbours

RNG = np.random.default_rng(0)
ROWCOL = np.argwhere(np.add.outer(np.arange(20), np.arange(16)) < 28)
NEIGHBOURS = rook_neighbours(ROWCOL)
SMOOTH = np.column_stack([np.sin(ROWCOL[:, 0] / 3), ROWCOL.sum(axis=1), ROWCOL[:, 1] % 3])
NOISY = SMOOTH + RNG.normal(0, 1, SMOOTH.shape)


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_squidpy(by_row, dtype):
    import squidpy as sq

    weights = NEIGHBOURS.astype(np.float64)
    adata = ad.AnnData(NOISY.astype(dtype), obsp={"spatial_connectivities": sp.csr_matrix(weights)})
    table = sq.gr.spatial_autocorr(adata, mode="moran", transformation=by_row, copy=True, show_progress_bar=False)
    if by_row:
        weights = weights.multiply(1 / weights.sum(axis=1)[:, None])
    expected = table["I"].reindex(adata.var_names)
    np.testing.assert_allclose(morans_i(NOISY.astype(dtype), weights), expected, rtol=1e-5)


@given(
    rows=st.integers(1, 8),
    cols=st.integers(1, 8),
    low=st.tuples(st.integers(-5, 5), st.integers(0, 9)),
    seed=st.integers(0, 99),
)
def test_rook_neighbours_are_one_step_apart(rows, cols, low, seed):
    rng = np.random.default_rng(seed)
    rowcol = rng.permutation(np.argwhere(np.ones((rows, cols))) + low)
    rowcol = rowcol[rng.random(len(rowcol)) < 0.8]
    apart = np.abs(rowcol[:, None] - rowcol[None]).sum(axis=2)
    np.testing.assert_array_equal(rook_neighbours(rowcol).toarray(), apart == 1)


def test_two_cells_at_one_place_are_refused():
    with pytest.raises(ValueError, match="rowcol has 1 cells at the place of another"):
        rook_neighbours([[0, 0], [0, 1], [0, 0]])


@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_unit_sign_and_order_of_the_cells_do_not_matter(factor, shift, seed):
    expected = morans_i(NOISY, NEIGHBOURS)
    np.testing.assert_allclose(morans_i(shift - factor * NOISY, NEIGHBOURS), expected, rtol=1e-8)
    np.testing.assert_allclose(morans_i(NOISY, factor * NEIGHBOURS), expected, rtol=1e-5)
    order = np.random.default_rng(seed).permutation(len(ROWCOL))
    np.testing.assert_allclose(morans_i(NOISY[order], rook_neighbours(ROWCOL[order])), expected, rtol=1e-8)


def test_shuffled_cells_have_none():
    shuffled = np.column_stack([RNG.permutation(SMOOTH[:, 0]) for _ in range(500)])
    np.testing.assert_allclose(morans_i(shuffled, NEIGHBOURS).mean(), -1 / (len(ROWCOL) - 1), atol=0.006)


def test_preservation_tells_smoother_from_rougher():
    np.testing.assert_array_equal(morans_preservation(NOISY, 3 * NOISY + 1, NEIGHBOURS).round(12), 0)
    assert (morans_preservation(NOISY, SMOOTH, NEIGHBOURS)[:2] > 0.02).all()
    np.testing.assert_allclose(
        morans_preservation(NOISY, SMOOTH, NEIGHBOURS), -morans_preservation(SMOOTH, NOISY, NEIGHBOURS)
    )


def test_constant_genes_and_lonely_cells_have_none():
    flat = NOISY.copy()
    flat[:, 1] = 3
    np.testing.assert_array_equal(np.isnan(morans_i(flat, NEIGHBOURS)), [False, True, False])
    np.testing.assert_array_equal(np.isnan(morans_preservation(NOISY, flat, NEIGHBOURS)), [False, True, False])
    assert np.isnan(morans_i(NOISY, sp.csr_array(NEIGHBOURS.shape))).all()


def test_the_neighbours_must_be_of_the_cells():
    with pytest.raises(ValueError, match=r"neighbours \(3, 3\) must be a \(cells, cells\) matrix of the 292 cells"):
        morans_i(NOISY, sp.csr_array((3, 3)))
