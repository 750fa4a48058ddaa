"""Spots that are sums of the truth are given other molecules than these; spots that are not stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import stsr
from stsr.bench.jobs.measure import arrange
from stsr.bench.protocol.molecules import under
from stsr.bench.protocol.settings import SETTINGS
from stsr.spatial import spot_positions, spots_record


@pytest.fixture
def sdata():
    """A section of 30 genes, whose spots are sums of its true bins."""
    return stsr.datasets.synthetic_section(size=(800, 800), n_genes=30, depth=2000, seed=3)


def beneath(sdata, bins):
    """Sums of bins under each spot of a section of 1 µm per pixel."""
    facts = spots_record(sdata)
    places = spot_positions(sdata, sdata["table"], facts)
    return under(sp.csr_array(bins.X), bins.obsm["spatial"] * facts.mpp, places, facts.spot_size).toarray()


@pytest.mark.parametrize(("name", "share"), [("truth", 0.5), ("truth_80", 0.8), ("shuffled_image", 0.5)])
def test_every_molecule_is_in_the_spots_or_in_the_truth(sdata, name, share):
    spots, bins = sdata["table"].X.toarray(), sdata["truth_008um"].copy()
    measured, parts, truth = arrange(sdata, SETTINGS[name], bins, seed=0)
    given = sdata["table"].X.toarray()
    assert parts is None
    np.testing.assert_array_equal(given + beneath(sdata, truth), spots)
    np.testing.assert_array_equal(measured.X.toarray(), spots)
    assert (truth.X.toarray() <= bins.X.toarray()).all()
    assert given.sum() / spots.sum() == pytest.approx(share, abs=0.01)
    assert truth.X.sum() / bins.X.sum() == pytest.approx(1 - share, abs=0.01)


def test_the_split_is_that_of_the_seed(sdata):
    bins, before = sdata["truth_008um"].copy(), sdata["table"].copy()

    def truth(seed):
        sdata.tables["table"] = before.copy()
        return arrange(sdata, SETTINGS["truth"], bins, seed=seed)[2].X.toarray()

    np.testing.assert_array_equal(truth(1), truth(1))
    assert (truth(1) != truth(2)).any()


def test_noise_of_spots_and_truth_is_independent(sdata):
    bins = sdata["truth_008um"].copy()
    _, _, truth = arrange(sdata, SETTINGS["truth"], bins, seed=0)
    given, other = sdata["table"].X.toarray(), beneath(sdata, truth)
    assert np.median(stsr.metrics.noise_ratio(given, other)[0]) == pytest.approx(1, abs=0.1)


def test_published_scores_are_of_the_same_molecules(sdata):
    spots, bins = sdata["table"].X.toarray(), sdata["truth_008um"].copy()
    _, _, truth = arrange(sdata, SETTINGS["shared_noise"], bins, seed=0)
    np.testing.assert_array_equal(sdata["table"].X.toarray(), spots)
    np.testing.assert_array_equal(beneath(sdata, truth), spots)


def test_spots_that_were_measured_apart_stay_as_they_are(sdata):
    """Spots of one half of the molecules and a truth of the other share none."""
    _, _, truth = arrange(sdata, SETTINGS["truth"], sdata["truth_008um"].copy(), seed=0)
    spots = sdata["table"].X.toarray()
    _, _, again = arrange(sdata, SETTINGS["truth"], truth, seed=1)
    np.testing.assert_array_equal(sdata["table"].X.toarray(), spots)
    assert (again.X != truth.X).nnz == 0
    with pytest.raises(ValueError, match="measured apart from the truth.*use the setting truth"):
        arrange(sdata, SETTINGS["truth_80"], truth, seed=1)


def test_genes_that_are_not_scored_keep_their_share(sdata):
    before, chosen = sdata["table"].copy(), list(sdata["truth_008um"].var_names[[3, 1]])
    _, _, truth = arrange(sdata, SETTINGS["truth_80"], sdata["truth_008um"][:, chosen].copy(), seed=0)
    after = sdata["table"]
    assert list(after.var_names) == list(before.var_names)
    np.testing.assert_array_equal(after[:, chosen].X.toarray() + beneath(sdata, truth), before[:, chosen].X.toarray())
    assert (after.X.toarray() <= before.X.toarray()).all()
    shares = after.X.sum(axis=0) / before.X.sum(axis=0)
    np.testing.assert_allclose(np.asarray(shares).ravel(), 0.8, atol=0.1)
