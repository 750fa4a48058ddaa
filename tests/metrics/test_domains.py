"""Agreement of domains by any name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from stsr.metrics import domain_agreement

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 4, 300)
FOUND = np.where(RNG.random(300) < 0.7, TRUTH, RNG.integers(0, 6, 300))


def test_both_are_scikit_learns():
    agreement = domain_agreement(TRUTH, FOUND)
    assert agreement == (adjusted_rand_score(TRUTH, FOUND), normalized_mutual_info_score(TRUTH, FOUND))


@given(st.permutations(range(6)), st.integers(0, 99))
def test_names_and_the_order_of_cells_do_not_matter(names, seed):
    order = np.random.default_rng(seed).permutation(300)
    renamed = pd.Categorical([f"domain {names[d]}" for d in FOUND[order]])
    np.testing.assert_allclose(domain_agreement(TRUTH[order], renamed), domain_agreement(TRUTH, FOUND))


def test_chance_has_no_ari_but_some_nmi():
    agreement = domain_agreement(TRUTH, RNG.permutation(np.arange(300) // 3))
    assert abs(agreement.ari) < 0.01
    assert agreement.nmi > 0.2


def test_the_cells_must_be_the_same():
    with pytest.raises(ValueError, match=r"truth_labels \(300,\) and predicted_labels \(299,\) must be \(cells,\)"):
        domain_agreement(TRUTH, FOUND[1:])
