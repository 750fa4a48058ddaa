"""Kriging against scikit-learn's Gaussian process, and what must hold of any kriging."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from toys.section import hex_lattice, toy_section

from stsr.methods import Training, create
from stsr.methods.baselines.kriging import Neighbourhoods

TOY = toy_section()
ALL = 128
"""More neighbours than there are spots."""


def fit(section, **options):
    return create("kriging", options).fit(section, seed=0, training=Training())


def predict(section, **options):
    return fit(section, **options).on(section)(slice(None)).mean


def gaussian_process(spots, values, xy, length, noise):
    """scikit-learn's Gaussian process around the generalised-least-squares mean: ordinary kriging by another way."""
    kernel = Matern(length, nu=1.5)
    precision = np.linalg.inv(kernel(spots) + np.diag(noise))
    mean = precision.sum(axis=0) @ values / precision.sum()
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(spots, values - mean)
    return mean + process.predict(xy).reshape(len(xy), -1)


def test_it_is_scikit_learns_gaussian_process_on_library_size_and_shares():
    section, library = TOY.section, TOY.section.library[:, None]
    shares = gaussian_process(
        section.spots, section.counts / library, section.grid.xy, 90.0, 0.5 * library.mean() / library[:, 0]
    )
    even = np.full(len(library), 0.5)
    depth = gaussian_process(section.spots, library / section.spot_cells, section.grid.xy, 90.0, even)
    got = predict(section, length=90.0, nugget=0.5, neighbours=ALL)
    ratio = got / (shares * depth)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-4)
    np.testing.assert_allclose(ratio[0], 1, atol=0.1)


def test_without_a_nugget_it_gives_back_each_spot_in_its_centre():
    section = TOY.section
    near = Neighbourhoods(section.spots, 12)
    weights = near.weights(80.0, np.zeros(len(section.spots)))(section.spots)
    np.testing.assert_allclose(weights.toarray(), np.eye(len(section.spots)), atol=1e-5)


def test_a_nugget_smooths():
    rough, smooth = (predict(TOY.section, length=80.0, nugget=nugget).std(axis=0) for nugget in (0.0, 3.0))
    assert (smooth < 0.8 * rough).all()


@settings(max_examples=30, deadline=None)
@given(
    xy=npst.arrays(float, (5, 2), elements=st.floats(-500, 900)),
    neighbours=st.integers(2, 40),
    length=st.floats(20, 400),
    nugget=st.floats(0.01, 5),
)
def test_weights_sum_to_one_wherever_the_point(xy, neighbours, length, nugget):
    spots = hex_lattice(400, 400, 70)
    weights = Neighbourhoods(spots, neighbours).weights(length, np.full(len(spots), nugget))(xy)
    assert weights.shape == (5, len(spots))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-4)


def test_weights_of_hidden_spots_are_those_from_a_lattice_without_them():
    spots = hex_lattice(400, 400, 70)
    noise = np.linspace(0.1, 2, len(spots))
    got = Neighbourhoods(spots, ALL).hidden_weights(np.array([7]), 90.0, noise).toarray()[0]
    rest = np.delete(np.arange(len(spots)), 7)
    expected = Neighbourhoods(spots[rest], ALL).weights(90.0, noise[rest])(spots[[7]]).toarray()[0]
    np.testing.assert_allclose(got[rest], expected, atol=1e-5)
    assert got[7] == 0


def field(length, nugget, *, seed=0):
    """The section with counts drawn from 40 smooth fields plus noise of ``nugget`` times their variance."""
    section, rng = TOY.section, np.random.default_rng(seed)
    covariance = Matern(length, nu=1.5)(section.spots) + nugget * np.eye(len(section.spots))
    values = 1000 + 50 * np.linalg.cholesky(covariance) @ rng.normal(size=(len(section.spots), 40))
    genes = tuple(f"G{i}" for i in range(40))
    return replace(section, genes=genes, counts=sp.csr_array(values), library=np.full(len(values), 1e5))


def test_hidden_spots_find_the_kernel():
    short, long = (fit(field(length, 0.1)).arrays["length"][0] for length in (45.0, 180.0))
    assert short < 70 < 120 < long
    clean, noisy = (fit(field(120.0, nugget)).arrays["nugget"][0] for nugget in (0.03, 1.0))
    assert clean <= 0.1
    assert noisy >= 0.3


def test_options_overrule_hidden_spots():
    arrays = fit(TOY.section, length=77.0, nugget=0.25).arrays
    assert (arrays["length"][0], arrays["nugget"][0]) == (77.0, 0.25)


def test_depth_that_only_the_spots_know_does_not_blur_shares():
    rng = np.random.default_rng(0)
    section = field(150.0, 0.0)
    depth = rng.uniform(0.2, 1, len(section.spots))
    uneven = replace(section, counts=section.counts * depth[:, None], library=section.library * depth)
    even, got = (predict(s, length=150.0, nugget=0.0) for s in (section, uneven))
    proportion = (even / even[:, [0]], got / got[:, [0]])
    np.testing.assert_allclose(*proportion, rtol=1e-2)


def test_spots_are_expected_to_add_up_to_what_they_measured():
    section = TOY.section
    discs = section.footprint @ predict(section)
    whole = section.footprint.sum(axis=1) > 0.99 * section.spot_cells
    np.testing.assert_allclose(discs[whole].sum(axis=0), section.counts[whole].sum(axis=0), rtol=0.06)


def test_even_tissue_gives_back_its_counts():
    counts = np.full((len(TOY.section.spots), 1), 74.0, dtype=np.float32)
    section = replace(TOY.section, genes=("even",), counts=sp.csr_array(counts), library=np.full(len(counts), 740.0))
    np.testing.assert_allclose(predict(section), 74 / section.spot_cells, rtol=1e-4)


def test_spots_and_genes_without_counts_are_no_trouble():
    counts = TOY.section.counts.toarray()
    counts[:, 1], counts[5] = 0, 0
    section = replace(TOY.section, counts=sp.csr_array(counts), library=counts.sum(axis=1))
    got = predict(section)
    assert np.isfinite(got).all()
    assert got.min() >= 0
    np.testing.assert_array_equal(got[:, 1], 0)


def test_too_few_spots_are_refused():
    with pytest.raises(ValueError, match="spots=19 are too few to train method='kriging'"):
        fit(TOY.section.subset(np.arange(19)))


def twins(section, shift=0.0):
    """The section with each spot twice, the second ``shift`` µm beside the first."""
    return replace(
        section,
        spots=np.repeat(section.spots, 2, axis=0) + np.tile([[0, 0], [shift, 0]], (len(section.spots), 1)),
        counts=sp.csr_array(sp.vstack([section.counts[[i, i]] for i in range(len(section.spots))])),
        library=np.repeat(section.library, 2),
    )


@pytest.mark.parametrize("shift", [0.0, 1e-9, 1e-3])
@pytest.mark.parametrize(
    "options", [{"nugget": 0.0}, {"nugget": 0.0, "length": 1e5}, {"nugget": 0.0, "length": 0.1}, {}]
)
def test_spots_in_one_place_are_kriged(shift, options):
    section = twins(TOY.section, shift)
    got = predict(section, neighbours=16, **options)
    assert np.isfinite(got).all()
    assert got.min() >= 0


def test_a_hidden_spot_has_no_weight_in_its_own_prediction_though_its_twin_comes_first():
    spots = np.repeat(TOY.section.spots[:30], 2, axis=0)
    near = Neighbourhoods(spots, 8)
    np.testing.assert_array_equal(near.near[:, 0], np.arange(60))
    weights = near.hidden_weights(np.arange(60), 80.0, np.full(60, 0.1)).toarray()
    np.testing.assert_array_equal(np.diag(weights), 0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-4)
