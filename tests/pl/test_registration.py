from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import stsr


@pytest.fixture(scope="module")
def sdata():
    return stsr.datasets.synthetic_section(size=(1200, 1200), n_genes=20, depth=4000)


@pytest.fixture(scope="module")
def check(sdata):
    return stsr.pp.register_check(sdata, table="truth_008um", window=600)


def arrows(figure):
    """The quivers of the left panel: what blocks say, and the fit."""
    return [each for each in figure.axes[0].collections if type(each).__name__ == "Quiver"]


def test_every_block_has_its_arrow_and_the_shift_its_mark(sdata, check):
    figure = stsr.pl.registration(sdata, check)
    own, fitted = arrows(figure)
    assert own.N == check.blocks["clear"].sum()
    assert fitted.N == len(check.blocks)
    np.testing.assert_allclose(np.column_stack([fitted.U, fitted.V]), check.displacement(fitted.XY))
    (mark,) = figure.axes[1].lines
    np.testing.assert_allclose(mark.get_xydata(), [check.shift_um])
    (painted,) = figure.axes[1].images
    np.testing.assert_array_equal(painted.get_array(), check.surface)
    (circle,) = figure.axes[1].patches
    assert circle.radius == check.radius_um


def test_arrows_point_the_way_of_the_image(sdata, check, tmp_path):
    """Down is down in both."""
    figure = stsr.pl.registration(sdata, check)
    assert figure.axes[0].yaxis_inverted()
    assert figure.axes[1].yaxis_inverted()
    figure.savefig(tmp_path / "registration.png")
    assert (tmp_path / "registration.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"reliable": True, "largest_um": 2.0}, "fits: off by up to 2.0"),
        ({"reliable": True, "largest_um": 40.0}, "does not fit: off by up to 40.0"),
        ({"reliable": False}, "not reliable"),
    ],
)
def test_the_verdict_is_in_the_title(sdata, check, changes, verdict):
    figure = stsr.pl.registration(sdata, replace(check, **changes))
    assert verdict in figure.axes[0].get_title(loc="left")
