"""Partial least squares against scikit-learn."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.shared.learned_spots import LearnedSpots


def test_it_is_pls_on_the_mean_features_of_discs_up_to_a_factor_a_gene():
    section = toy_section().section
    spots = LearnedSpots.of(section)
    model = PLSRegression(3).fit(spots.z, spots.density)
    cells = np.maximum(model.predict((section.cell_features(slice(None)) - spots.mean) / spots.sd), 0)
    fitted = create("pls", {"components": 3}).fit(section, seed=0, training=Training())
    ratio = fitted.on(section)(slice(None)).mean.sum(axis=0) / cells.sum(axis=0)
    np.testing.assert_allclose(fitted.on(section)(slice(None)).mean, cells * ratio, rtol=1e-3, atol=1e-4)
