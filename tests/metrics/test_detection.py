"""Area under the ROC curve against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from stsr.metrics import auc

RNG = np.random.default_rng(0)
RATE = RNG.gamma(1.0, 1.0, (300, 4)) * [0.05, 0.3, 1, 3]
COUNTS = RNG.poisson(RATE)


@pytest.mark.parametrize("decimals", [0, 1, 9])  # many ties, some, none
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_agrees_with_scikit_learn(decimals, dtype):
    prediction = RATE.round(decimals).astype(dtype)
    expected = [roc_auc_score(COUNTS[:, g] > 0, prediction[:, g]) for g in range(4)]
    np.testing.assert_allclose(auc(COUNTS, prediction), expected)


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_only_order_matters_and_the_reverse_mirrors_it(factor, seed):
    order = np.random.default_rng(seed).permutation(300)
    expected = auc(COUNTS, RATE)
    np.testing.assert_allclose(auc(7 * COUNTS[order], np.log(factor * RATE[order])), expected)
    np.testing.assert_allclose(auc(COUNTS, -factor * RATE), 1 - expected)


def test_counts_themselves_detect_perfectly_and_a_constant_by_chance():
    np.testing.assert_array_equal(auc(COUNTS, COUNTS), 1)
    np.testing.assert_array_equal(auc(COUNTS, np.ones_like(COUNTS)), 0.5)


def test_a_gene_seen_everywhere_or_nowhere_has_no_area():
    truth = np.column_stack([np.arange(5) + 1, np.zeros(5), np.arange(5)])
    np.testing.assert_array_equal(np.isnan(auc(truth, RNG.random((5, 3)))), [True, True, False])
