"""The measure of benchmarks/efficiency.py finds how much spots differ in efficiency, on sections where that is known."""

from __future__ import annotations

import numpy as np
import pytest
from toys.bench import load_script
from toys.section import hex_lattice


@pytest.fixture(scope="module")
def efficiency():
    return load_script("efficiency")


def section(sd, depth=3000.0):
    """Total counts and centres of 1,000 spots over a smooth field of density."""
    rng = np.random.default_rng(1)
    xy = hex_lattice(3200, 2800, 100.0)
    field = 0.5 * np.sin(xy[:, 0] / 250) * np.cos(xy[:, 1] / 300)
    return rng.poisson(depth * np.exp(field + sd * rng.standard_normal(len(xy)))), xy


@pytest.mark.parametrize("sd", [0.0, 0.15, 0.4])
@pytest.mark.parametrize("depth", [60.0, 3000.0])
def test_the_nugget_is_the_spread_of_efficiencies(efficiency, sd, depth):
    found = np.sqrt(efficiency.nugget(*efficiency.variogram(*section(sd, depth))))
    assert found == pytest.approx(sd, abs=0.04)


def test_spots_without_counts_and_the_unit_of_places_do_not_matter(efficiency):
    totals, xy = section(0.3)
    distance, gamma, pairs = efficiency.variogram(totals, xy)
    again = efficiency.variogram(np.append(totals, 0), np.append(xy, [[150.0, 60]], axis=0) * 3)
    np.testing.assert_allclose(again, (distance, gamma, pairs))
    assert distance[0] == pytest.approx(1)
    assert distance.max() < efficiency.REACH + 0.26


def test_a_few_spots_in_a_tear_do_not_rule(efficiency):
    totals, xy = section(0.2)
    totals[:10] = 3
    assert np.sqrt(efficiency.nugget(*efficiency.variogram(totals, xy))) == pytest.approx(0.2, abs=0.08)
