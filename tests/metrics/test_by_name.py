"""Scores by name."""

from __future__ import annotations

import numpy as np
import pytest

from stsr import metrics
from stsr.metrics.by_name import METRICS, STANDARD, check_metrics, score_columns

RNG = np.random.default_rng(0)
TRUTH, PREDICTION = RNG.poisson(3.0, (40, 2)).astype(float), RNG.gamma(2.0, 1.0, (40, 2))
PLACES = np.column_stack(np.divmod(np.arange(40), 8))


@pytest.mark.parametrize("name", [*METRICS, "ssim"])
def test_each_is_the_function_of_its_name(name):
    (column,) = score_columns(TRUTH, PREDICTION, [name], rowcol=PLACES).values()
    function = getattr(metrics, name)
    expected = function(TRUTH, PREDICTION, PLACES) if name == "ssim" else function(TRUTH, PREDICTION)
    np.testing.assert_array_equal(column, expected)


def test_standard_scores_come_in_their_order_and_without_places_ssim_has_no_value():
    columns = score_columns(TRUTH, PREDICTION, STANDARD)
    assert tuple(columns) == STANDARD
    assert np.isnan(columns["ssim"])
    check_metrics(STANDARD)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"metrics=\[\] is no list of scores"),
        ("rmse", "metrics='rmse' is no list of scores"),
        (["rmse", "rmse"], "names a score twice"),
        (["r2"], "metrics='r2' is not known; choose any of pearson"),
    ],
)
def test_other_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        check_metrics(names)
