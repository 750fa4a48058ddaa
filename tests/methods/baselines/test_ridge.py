"""Ridge regression against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import Ridge
from toys.border import whole_spots
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.baselines.ridge import PENALTIES, choose_penalty

TOY = whole_spots(toy_section())


def fit(section, **options):
    return create("ridge", options).fit(section, seed=0, training=Training())


def test_it_is_ridge_on_disc_means_of_features_standardised_over_cells():
    section = TOY.section
    cells = section.cell_features(slice(None)).astype(float)
    z = (cells - cells.mean(axis=0)) / cells.std(axis=0)
    discs = (section.footprint @ z) / section.footprint.sum(axis=1)[:, None]
    density = section.counts.toarray() / section.footprint.sum(axis=1)[:, None]
    model = Ridge(alpha=30.0).fit(discs, density)
    got = fit(section, penalty=30.0).on(section)(slice(None)).mean
    raw = np.maximum(model.predict(z), 0)
    factor = section.counts.sum(axis=0) / (section.footprint @ raw).sum(axis=0)
    np.testing.assert_allclose(got, raw * factor, rtol=1e-3, atol=1e-4)


def test_discs_add_up_to_what_was_measured():
    discs = TOY.section.footprint @ fit(TOY.section).on(TOY.section)(slice(None)).mean
    np.testing.assert_allclose(discs.sum(axis=0), TOY.section.counts.sum(axis=0), rtol=1e-3)


def test_it_recovers_a_truth_that_is_linear_in_a_feature():
    section = TOY.section
    truth = 20 + 3 * section.cell_features(slice(None))[:, [3]]
    counts = sp.csr_array((section.footprint @ truth).astype(np.float32))
    got = fit(replace(section, genes=("linear",), counts=counts)).on(section)(slice(None)).mean
    assert np.corrcoef(got[:, 0], truth[:, 0])[0, 1] > 0.99


def test_a_larger_penalty_gives_flatter_maps_and_none_is_negative():
    flat, steep = (fit(TOY.section, penalty=p).on(TOY.section)(slice(None)).mean for p in (1e4, 0.01))
    assert (flat.std(axis=0) < steep.std(axis=0)).all()
    assert flat.min() >= 0
    assert steep.min() >= 0


def test_the_penalty_is_large_where_features_say_nothing_and_small_where_they_say_all():
    rng = np.random.default_rng(0)
    z, spots = rng.normal(size=(120, 10)), rng.uniform(0, 1000, (120, 2))
    noise = rng.normal(size=(120, 4)).astype(np.float32)
    signal = (z @ rng.normal(size=(10, 4))).astype(np.float32)
    assert choose_penalty(z, noise, spots, 4) == max(PENALTIES)
    assert choose_penalty(z, signal, spots, 4) == min(PENALTIES)


def test_spots_off_tissue_play_no_part():
    section = TOY.section
    far = replace(
        section,
        spots=np.vstack([section.spots, [[-5000.0, 0]]]),
        counts=sp.csr_array(sp.vstack([section.counts, sp.csr_array(np.full((1, 6), 1e4, np.float32))])),
        library=np.append(section.library, 1e5),
    )
    np.testing.assert_allclose(fit(far).arrays["coefficients"], fit(section).arrays["coefficients"], rtol=1e-5)


def test_a_gene_without_counts_is_predicted_as_zero():
    section = replace(TOY.section, counts=sp.csr_array(TOY.section.counts.toarray() * [1, 0, 1, 1, 1, 1]))
    got = fit(section).on(section)(slice(None)).mean
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:, 1], 0, atol=1e-6)


def test_a_needle_biopsy_has_fewer_blocks_than_folds_usually_are():
    rng = np.random.default_rng(0)
    z, along = rng.normal(size=(40, 3)), np.arange(40.0)
    density = (z @ rng.normal(size=(3, 2)) + 5).astype(np.float32)
    for spots in (
        np.column_stack([along, along]),
        np.column_stack([along, -along]),
        np.column_stack([along, 0 * along]),
    ):
        assert choose_penalty(z, density, 60 * spots, 4) in PENALTIES
        assert choose_penalty(z, density, 60 * spots, 3) in PENALTIES
