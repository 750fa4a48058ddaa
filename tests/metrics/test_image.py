"""RMSE and SSIM of scaled pictures against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from stsr.metrics import rmse, ssim

RNG = np.random.default_rng(0)
MASK = np.add.outer(np.arange(20), np.arange(16)) < 28
ROWCOL = np.argwhere(MASK)
TRUTH = RNG.random((len(ROWCOL), 3))
PREDICTION = TRUTH + RNG.normal(0, 0.2, TRUTH.shape)


def unit(column):
    return (column - column.min()) / (column.max() - column.min())


def picture(column):
    raster = np.zeros(MASK.shape)
    raster[MASK] = unit(column)
    return raster


def test_ssim_is_that_of_the_scaled_pictures_on_black():
    expected = [
        structural_similarity(picture(TRUTH[:, g]), picture(PREDICTION[:, g]), data_range=1.0) for g in range(3)
    ]
    np.testing.assert_allclose(ssim(TRUTH, PREDICTION, ROWCOL), expected)
    np.testing.assert_allclose(ssim(TRUTH, PREDICTION, ROWCOL + (500, 30)), expected)


def test_rmse_is_that_of_the_scaled_values():
    expected = [np.sqrt(np.mean((unit(TRUTH[:, g]) - unit(PREDICTION[:, g])) ** 2)) for g in range(3)]
    np.testing.assert_allclose(rmse(TRUTH, PREDICTION), expected)


def test_both_are_blind_to_scale_and_offset():
    np.testing.assert_allclose(rmse(TRUTH, 7 * TRUTH + 2), 0, atol=1e-12)
    np.testing.assert_allclose(ssim(TRUTH, 7 * TRUTH + 2, ROWCOL), 1)


def test_the_order_of_the_cells_does_not_matter():
    order = RNG.permutation(len(ROWCOL))
    np.testing.assert_allclose(
        ssim(TRUTH[order], PREDICTION[order], ROWCOL[order]), ssim(TRUTH, PREDICTION, ROWCOL), rtol=1e-12
    )


@pytest.mark.parametrize("score", [rmse, lambda a, b: ssim(a, b, ROWCOL)])
def test_constant_genes_have_no_score(score):
    flat = PREDICTION.copy()
    flat[:, 1] = 3
    for first, second in ((TRUTH, flat), (flat, TRUTH)):
        np.testing.assert_array_equal(np.isnan(score(first, second)), [False, True, False])


def test_a_raster_smaller_than_the_window_has_no_ssim():
    narrow = ROWCOL[:, 1] < 6
    assert np.isnan(ssim(TRUTH[narrow], PREDICTION[narrow], ROWCOL[narrow])).all()
