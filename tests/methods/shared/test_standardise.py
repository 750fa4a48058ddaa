"""Features as networks read them."""

from __future__ import annotations

import numpy as np
import pytest
from toys.section import toy_section

from stsr.methods.shared.standardise import Scaling


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
