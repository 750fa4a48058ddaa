"""Where colours start and end."""

from __future__ import annotations

import numpy as np
import pytest

from stsr.pl._limits import check_limits, colour_scale

VALUES = np.r_[np.nan, np.arange(101.0)]


@pytest.mark.parametrize(
    ("vmin", "vmax", "ends"), [(0, "p99", (0, 99)), ("p5", "p90", (5, 90)), (2, 3.5, (2, 3.5)), (-1, "p0.5", (-1, 0.5))]
)
def test_numbers_and_percentiles(vmin, vmax, ends):
    scale = colour_scale(vmin, vmax, VALUES)
    assert (scale.vmin, scale.vmax) == pytest.approx(ends)


def test_a_scale_that_two_kinds_of_values_share_holds_both():
    scale = colour_scale("p10", "p90", VALUES, 2 * VALUES)
    assert (scale.vmin, scale.vmax) == pytest.approx((10, 180))


def test_a_gene_that_few_cells_express_is_seen():
    rare = np.zeros(1000)
    rare[3] = 7
    assert colour_scale(0, "p99", rare).vmax == 7


@pytest.mark.parametrize("values", [np.zeros(5), np.full(5, np.nan), np.zeros(0)])
def test_nothing_to_show_still_has_a_scale(values):
    scale = colour_scale(0, "p99", values)
    assert scale.vmin == 0
    assert scale.vmax > 0


def test_log1p_spaces_the_colours():
    assert colour_scale(0, 3, VALUES, log1p=True)(1.0) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="log1p=False"):
        colour_scale(-1, 3, VALUES, log1p=True)


@pytest.mark.parametrize("limit", ["p101", "99", "p", "", "p-1", None, True, np.nan, [1]])
def test_what_is_no_limit_is_refused(limit):
    with pytest.raises(ValueError, match="vmax=.* is no limit of colours"):
        check_limits(0, limit)


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="vmin=3 is not below vmax=2"):
        check_limits(3, 2)
