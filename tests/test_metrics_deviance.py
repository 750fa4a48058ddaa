"""Poisson deviance against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_poisson_deviance

from stsr.metrics import deviance
from stsr.metrics.deviance import FLOOR

RNG = np.random.default_rng(0)
EXPECTED = RNG.gamma(1.0, 2.0, (300, 4))
COUNTS = RNG.poisson(EXPECTED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scikit_learn(dtype):
    reference = [mean_poisson_deviance(COUNTS[:, g], np.maximum(EXPECTED[:, g], FLOOR)) for g in range(4)]
    np.testing.assert_allclose(deviance(COUNTS, EXPECTED.astype(dtype)), reference, rtol=1e-5)


def test_the_counts_themselves_are_perfect_but_for_the_floor_of_the_zeros():
    zeros = (COUNTS == 0).mean(axis=0)
    np.testing.assert_allclose(deviance(COUNTS, COUNTS), 2 * FLOOR * zeros, rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_the_right_scale_is_best(factor):
    assert (deviance(COUNTS, EXPECTED * factor) > deviance(COUNTS, EXPECTED)).all()


def test_a_count_where_none_was_expected_costs_the_floor():
    np.testing.assert_allclose(deviance([[1.0]], [[0.0]]), 2 * (np.log(1 / FLOOR) - 1 + FLOOR))
