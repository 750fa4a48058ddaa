"""Features of discs."""

from __future__ import annotations

import numpy as np
from toys.section import toy_section

from stsr.methods.shared.spot_sums import disc_means


def test_disc_means_average_by_area():
    section = toy_section().section
    weight = section.footprint.toarray()
    expected = weight @ section.cell_features(slice(None)) / weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(disc_means(section), expected, rtol=1e-4, atol=1e-4)
