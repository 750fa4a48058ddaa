"""Features as networks read them."""

from __future__ import annotations

import numpy as np
import pytest
from toys.section import toy_section

from stsr.methods.shared.standardise import Scaling, feature_moments, moments, standardised


def test_scaling_standardises_and_reduces():
    section = toy_section().section
    cells = section.cell_features(slice(None))
    z = Scaling.learn(section, width=64)(cells)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=0.02)
    assert np.abs(Scaling.learn(section, width=64)(100 * cells)).max() == Scaling.limit
    components = Scaling.learn(section, width=2)(cells)
    assert components.shape == (len(cells), 2)
    np.testing.assert_allclose(np.corrcoef(components.T), np.eye(2), atol=0.05)
    assert components.var(axis=0).mean() == pytest.approx(1, abs=0.05)
    variance = np.linalg.eigvalsh(np.corrcoef(cells.T))[::-1][:2]
    ratio = np.sqrt(variance[0] / variance[1])
    assert components.var(axis=0)[0] / components.var(axis=0)[1] == pytest.approx(ratio, rel=0.05)


def test_it_is_scikit_learns_scaler():
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(0).normal([3, -2, 5], [1, 4, 0], (50, 3))
    mean, sd = moments(x)
    np.testing.assert_allclose(standardised(x, mean, sd), StandardScaler().fit_transform(x), atol=1e-12)
    assert sd[2] == 1
    assert np.abs(standardised(x, mean, sd, limit=0.5)).max() == 0.5
    np.testing.assert_array_equal(moments(x, least=2.5)[1], np.maximum(x.std(axis=0), 2.5))


def test_values_are_not_changed_in_place_and_keep_their_precision():
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    before = x.copy()
    assert standardised(x, *moments(x), limit=1.0).dtype == np.float32
    np.testing.assert_array_equal(x, before)


def test_moments_of_features_are_those_of_all_cells_at_once():
    section = toy_section().section
    cells = section.cell_features(slice(None)).astype(np.float64)
    for got, expected in zip(feature_moments(section), moments(cells), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)
