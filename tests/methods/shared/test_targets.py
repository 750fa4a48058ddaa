"""Counts between 0 and 1 and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from toys.section import toy_section

from stsr.methods.shared.targets import MinMax

SECTION = toy_section().section
COUNTS = SECTION.counts.toarray()


def test_faithful_is_scikit_learns():
    from sklearn.preprocessing import MinMaxScaler

    scale = MinMax.learn(SECTION, faithful=True)
    np.testing.assert_allclose(scale.scaled(SECTION), MinMaxScaler().fit_transform(COUNTS), atol=1e-6)


def test_by_default_zero_stays_zero():
    scale = MinMax.learn(SECTION, faithful=False)
    np.testing.assert_allclose(scale.scaled(SECTION), COUNTS / COUNTS.max(axis=0), rtol=1e-6)


def test_the_cells_of_a_disc_add_up_to_the_spot():
    for faithful in (False, True):
        scale = MinMax.learn(SECTION, faithful=faithful)
        cells = scale.counts(scale.scaled(SECTION))
        assert cells.dtype == np.float32
        np.testing.assert_allclose(cells * SECTION.spot_cells, COUNTS, rtol=1e-4, atol=1e-3)


def test_a_gene_without_counts_scales_to_zero():
    empty = replace(SECTION, counts=sp.csr_array(np.zeros_like(COUNTS)))
    assert (MinMax.learn(empty, faithful=True).scaled(empty) == 0).all()


def test_it_is_kept_as_arrays():
    scale = MinMax.learn(SECTION, faithful=True)
    again = MinMax.of(scale.arrays)
    np.testing.assert_array_equal(again.counts(scale.scaled(SECTION)), scale.counts(scale.scaled(SECTION)))
