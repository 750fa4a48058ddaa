"""Jensen-Shannon divergence against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon

from stsr.metrics import jensen_shannon

RNG = np.random.default_rng(0)
EXPECTED = RNG.gamma(1.0, 2.0, (300, 4))
COUNTS = RNG.poisson(EXPECTED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_gene_is_the_square_of_scipys_distance_to_base_2(dtype):
    prediction = EXPECTED.astype(dtype)
    expected = [jensenshannon(COUNTS[:, g], prediction[:, g], base=2) ** 2 for g in range(4)]
    np.testing.assert_allclose(jensen_shannon(COUNTS, prediction), expected, rtol=1e-6)


@given(factor=st.floats(0.001, 1000))
def test_abundance_does_not_matter_and_neither_comes_first(factor):
    np.testing.assert_allclose(jensen_shannon(COUNTS, factor * EXPECTED), jensen_shannon(COUNTS, EXPECTED))
    np.testing.assert_allclose(jensen_shannon(EXPECTED, COUNTS), jensen_shannon(COUNTS, EXPECTED))
    np.testing.assert_allclose(jensen_shannon(EXPECTED, factor * EXPECTED), 0, atol=1e-12)


@given(arrays(np.float64, (6, 2), elements=st.floats(0, 100)))
def test_it_lies_between_0_and_1(values):
    divergence = jensen_shannon(values[:, :1], values[:, 1:])
    assert np.isnan(divergence) if (values.sum(axis=0) == 0).any() else -1e-12 < divergence < 1 + 1e-12


def test_maps_without_a_common_cell_are_1_apart():
    np.testing.assert_allclose(jensen_shannon([[3.0], [1], [0]], [[0.0], [0], [7]]), 1)


def test_values_below_0_are_refused_by_name():
    with pytest.raises(ValueError, match="prediction has values below 0, down to -0.5"):
        jensen_shannon([[1.0], [2.0]], [[1.0], [-0.5]])
