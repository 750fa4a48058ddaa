"""Which genes cannot be correlated, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stsr.metrics import auc, mutual_information, mutual_information_null, pearson, spearman, undefined

RNG = np.random.default_rng(0)
TRUTH = RNG.poisson(1.0, (50, 4)).astype(float)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_constants_and_values_that_are_no_numbers_are_told(bad):
    prediction = RNG.random((50, 4))
    prediction[:, 1] = 0.1
    prediction[7, 3] = bad
    for first, second in ((TRUTH, prediction), (prediction, TRUTH)):
        np.testing.assert_array_equal(undefined(first, second), [False, True, False, True])


@pytest.mark.parametrize("score", [auc, mutual_information, lambda *pair: mutual_information_null(*pair).p])
def test_ranks_do_not_take_what_is_no_number_for_the_largest(score):
    prediction = RNG.random((50, 4))
    prediction[7, 3] = np.nan
    np.testing.assert_array_equal(np.isnan(score(TRUTH, prediction)), [False, False, False, True])


@given(arrays(np.float64, (4, 3), elements=st.integers(0, 2)), arrays(np.float64, (4, 3), elements=st.integers(0, 2)))
def test_they_are_the_genes_without_a_correlation(truth, prediction):
    told = undefined(truth, prediction)
    np.testing.assert_array_equal(told, np.isnan(pearson(truth, prediction)))
    np.testing.assert_array_equal(told, np.isnan(spearman(truth, prediction)))


@pytest.mark.parametrize(("truth", "prediction"), [(TRUTH, TRUTH[:, 0]), (TRUTH[:0], TRUTH[:0]), (TRUTH[0], TRUTH[0])])
def test_only_matrices_of_one_shape_are_taken(truth, prediction):
    with pytest.raises(ValueError, match=r"truth .* and prediction .* must be \(cells, genes\)"):
        undefined(truth, prediction)
