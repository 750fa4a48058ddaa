"""The spread of transcripts: nothing leaves the tissue, and spots see it the same way as cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import ndimage
from toys.section import toy_section

from stsr.methods.cross_attention.diffusion import Diffusion

SECTION = toy_section(shape=(30, 34), n_genes=3).section


def test_a_constant_stays_a_constant():
    flat = np.ones((SECTION.grid.n_cells, 2), dtype=np.float32)
    np.testing.assert_allclose(Diffusion(1.3)(flat, SECTION.grid.mask), 1, rtol=1e-5)


def test_in_the_middle_it_is_a_gaussian():
    mask = np.ones((41, 41), dtype=bool)
    point = np.zeros((41 * 41, 1), dtype=np.float32)
    point[20 * 41 + 20] = 1
    spread = Diffusion(2.0)(point, mask).reshape(41, 41)
    bell = np.exp(-(np.arange(-4, 5) ** 2) / 8)  # cut off at two standard deviations
    bell /= bell.sum()
    np.testing.assert_allclose(spread[16:25, 16:25], np.outer(bell, bell), rtol=1e-4)
    assert spread.sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("sigma", [0.0, 0.6, 1.0, 2.3])
def test_spread_footprint_sums_what_was_not_spread_yet(sigma):
    diffusion = Diffusion(sigma)
    values = np.random.default_rng(0).gamma(1.0, size=(SECTION.grid.n_cells, 4)).astype(np.float32)
    soft = diffusion.footprint(SECTION.footprint, SECTION.grid)
    np.testing.assert_allclose(
        soft @ values, SECTION.footprint @ diffusion(values, SECTION.grid.mask), rtol=2e-4, atol=1e-3
    )


def test_a_spot_without_cells_stays_without():
    sharp = sp.csr_array(sp.vstack([SECTION.footprint[[0]], 0 * SECTION.footprint[[1]], SECTION.footprint[[2]]]))
    sharp.eliminate_zeros()
    soft = Diffusion(1.0).footprint(sharp, SECTION.grid)
    assert np.diff(soft.indptr).tolist()[1] == 0
    assert (np.diff(soft.indptr)[[0, 2]] > np.diff(sharp.indptr)[[0, 2]]).all()


def test_spreading_is_a_masked_gaussian_blur():
    rng = np.random.default_rng(0)
    mask = rng.random((14, 17)) < 0.8
    values = rng.random((mask.sum(), 70), dtype=np.float32)
    blurred = Diffusion(1.2)(values, mask)
    for gene in (0, 69):
        raster = np.zeros(mask.shape)
        raster[mask] = values[:, gene]
        above, below = (
            ndimage.gaussian_filter(a, 1.2, mode="constant", radius=3) for a in (raster, mask.astype(float))
        )
        np.testing.assert_allclose(blurred[:, gene], (above / below)[mask], rtol=1e-4)
    np.testing.assert_allclose(Diffusion(1.2)(np.ones_like(values), mask), 1, rtol=1e-5)
