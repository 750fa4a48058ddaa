"""Squared, absolute and relative errors against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, root_mean_squared_error

from stsr.metrics import mae, mse, nrmse, rmse

RNG = np.random.default_rng(0)
TRUTH = RNG.poisson(2.0, (300, 4)).astype(float)
PREDICTION = TRUTH + RNG.normal(0, 1, TRUTH.shape)


@pytest.mark.parametrize(("score", "reference"), [(mse, mean_squared_error), (mae, mean_absolute_error)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scikit_learn(score, reference, dtype):
    expected = [reference(TRUTH[:, g], PREDICTION[:, g]) for g in range(4)]
    np.testing.assert_allclose(score(TRUTH.astype(dtype), PREDICTION.astype(dtype)), expected, rtol=1e-6)


def test_nrmse_is_the_root_error_over_the_range_of_the_truth():
    expected = [root_mean_squared_error(TRUTH[:, g], PREDICTION[:, g]) / np.ptp(TRUTH[:, g]) for g in range(4)]
    np.testing.assert_allclose(nrmse(TRUTH, PREDICTION), expected)


@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_a_change_of_unit_changes_the_errors_alone(factor, shift):
    truth, prediction = factor * TRUTH + shift, factor * PREDICTION + shift
    np.testing.assert_allclose(mse(truth, prediction), factor**2 * mse(TRUTH, PREDICTION), rtol=1e-6)
    np.testing.assert_allclose(mae(truth, prediction), factor * mae(TRUTH, PREDICTION), rtol=1e-6)
    np.testing.assert_allclose(nrmse(truth, prediction), nrmse(TRUTH, PREDICTION), rtol=1e-6)


def test_nrmse_sees_a_wrong_scale_where_rmse_does_not():
    np.testing.assert_allclose(rmse(TRUTH, 2 * TRUTH), 0, atol=1e-12)
    assert (nrmse(TRUTH, 2 * TRUTH) > 0.1).all()


def test_constant_predictions_have_an_error_and_constant_truths_no_range():
    flat = np.full_like(TRUTH, 2.0)
    np.testing.assert_allclose(nrmse(TRUTH, flat), np.sqrt(mse(TRUTH, flat)) / np.ptp(TRUTH, axis=0))
    assert np.isnan(nrmse(flat, TRUTH)).all()
    assert np.isfinite(mse(flat, TRUTH)).all()


@pytest.mark.parametrize("score", [mse, mae, nrmse])
def test_the_order_of_the_cells_does_not_matter(score):
    order = RNG.permutation(300)
    np.testing.assert_allclose(score(TRUTH[order], PREDICTION[order]), score(TRUTH, PREDICTION))
