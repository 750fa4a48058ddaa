"""What is written are counts, or nothing is written."""

from __future__ import annotations

import numpy as np
import pytest

from stsr.methods import Prediction
from stsr.tl._bands import proper

GENES = ("A", "B")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5])
@pytest.mark.parametrize("field", ["mean", "sd"])
def test_a_value_that_is_no_count_is_refused_by_its_gene(value, field):
    values = {name: np.ones((4, 2), dtype=np.float32) for name in ("mean", "sd")}
    values[field][2:, 1] = value
    with pytest.raises(ValueError, match=f"method='idw' predicts {value} of gene 'B', .* in 2 cells .* nothing was"):
        proper(Prediction(**values), "idw", GENES)


def test_a_latent_is_finite_and_may_be_negative():
    mean, latent = np.ones((4, 2), dtype=np.float32), -np.ones((4, 3), dtype=np.float32)
    assert proper(Prediction(mean, latent=latent), "idw", GENES).latent is latent
    latent[0, 0] = np.nan
    with pytest.raises(ValueError, match="latent that is not finite"):
        proper(Prediction(mean, latent=latent), "idw", GENES)


def test_rounding_below_zero_is_zero_and_what_is_right_is_not_copied():
    mean = np.array([[-1e-7, 3.0], [1.0, 2.0]], dtype=np.float32)
    np.testing.assert_array_equal(proper(Prediction(mean), "linear", GENES).mean, [[0, 3], [1, 2]])
    right = np.ones((3, 2), dtype=np.float32)
    assert proper(Prediction(right), "linear", GENES).mean is right
    assert proper(Prediction(right[:0]), "linear", GENES).mean.shape == (0, 2)
