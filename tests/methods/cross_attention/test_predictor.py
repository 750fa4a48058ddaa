"""The default method, fitted once: it has learned, and predicts counts per cell, however a section is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys.attention import QUIET, SMALL, fitted_toy, spot_coverage, whole
from toys.border import cut, whole_spots
from toys.section import toy_section

from stsr.methods import create
from stsr.methods.cross_attention.predictor import BandPredictor
from stsr.metrics import pearson


@pytest.fixture(scope="module")
def toy():
    return toy_section()


@pytest.fixture(scope="module")
def fitted(toy):
    return fitted_toy(toy)


def test_the_loss_falls_and_the_map_beats_interpolation(toy, fitted):
    assert fitted.history["held_out"][-1] < fitted.history["held_out"][0]
    idw = whole(create("idw").fit(toy.section, seed=0, training=QUIET), toy.section)
    ours, theirs = (np.nanmean(pearson(p.mean, toy.truth)) for p in (whole(fitted, toy.section), idw))
    assert ours > theirs + 0.1


def test_arrays_are_all_it_needs(toy, fitted):
    copy = create("cross_attention", SMALL)
    copy.arrays = dict(fitted.arrays)
    np.testing.assert_array_equal(whole(copy, toy.section).mean, whole(fitted, toy.section).mean)


def test_values_are_counts_per_cell(toy, fitted):
    prediction = whole(fitted, toy.section)
    assert prediction.mean.dtype == np.float32
    assert (prediction.mean >= 0).all()
    discs = toy.section.footprint @ prediction.mean
    measured = toy.section.counts.toarray()
    np.testing.assert_allclose(discs.sum(axis=0), measured.sum(axis=0), rtol=0.04)
    assert prediction.latent.shape == (toy.section.grid.n_cells, 2 * 32)


def balanced(method, balance):
    """The same networks, corrected otherwise."""
    return replace(method, config=replace(method.config, balance=balance))


def test_cells_under_spots_add_up_where_that_is_asked_for(toy, fitted):
    exact, plain, usual = (
        toy.section.footprint @ whole(balanced(fitted, balance), toy.section).mean
        for balance in ("exact", "none", "signal")
    )
    measured = toy.section.counts.toarray()
    many = (measured > 20) & (toy.section.covered == 1)[:, None]
    np.testing.assert_allclose(exact[many] / measured[many], 1, atol=0.01)
    off, off_usual = (np.abs(np.log(discs[many] / measured[many])).mean() for discs in (plain, usual))
    assert 0.02 < off_usual < 1.02 * off


def test_it_is_told_how_far_sums_are_from_what_spots_measured(toy, fitted):
    discs = (toy.section.footprint @ whole(fitted, toy.section).mean)[toy.section.covered == 1].sum(axis=1)
    measured = toy.section.counts[toy.section.covered == 1].toarray().sum(axis=1)
    told = fitted.on(toy.section, device="cpu").balance_facts
    assert told["kind"] == "signal"
    assert told["deviation"] == pytest.approx(np.median(np.abs(discs / measured - 1)), abs=0.02)
    assert balanced(fitted, "exact").on(toy.section, device="cpu").balance_facts == {"kind": "exact", "deviation": 0}
    assert balanced(fitted, "none").on(toy.section, device="cpu").balance_facts == {"kind": "none"}


def test_cuts_leave_no_trace(toy, fitted):
    predict = fitted.on(toy.section, device="cpu")
    bands = [predict(rows) for rows in (slice(0, 7), slice(7, 8), slice(8, 30), slice(30, None))]
    once = whole(fitted, toy.section)
    np.testing.assert_allclose(np.concatenate([b.mean for b in bands]), once.mean, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([b.latent for b in bands]), once.latent, rtol=1e-3, atol=1e-4)


def test_bands_are_the_same_in_any_order(toy, fitted):
    once = whole(fitted, toy.section)
    predict = fitted.on(toy.section, device="cpu")
    for rows in (slice(40, 60), slice(9, 21), slice(20, 33), slice(0, 9)):
        cells = toy.section.grid.cells(rows)
        np.testing.assert_allclose(predict(rows).mean, once.mean[cells], rtol=1e-3, atol=1e-5)


def test_rates_of_a_cell_are_computed_once_as_bands_go_down(toy, fitted, monkeypatch):
    computed = []
    rates = BandPredictor.rates

    def noted(self, rows):
        computed.append(rows)
        return rates(self, rows)

    monkeypatch.setattr(BandPredictor, "rates", noted)
    predict, rows = fitted.on(toy.section, device="cpu"), toy.section.grid.shape[0]
    for start in range(0, rows, 11):
        predict(slice(start, start + 11))
    assert sorted(row for part in computed for row in range(part.start, part.stop)) == list(range(rows))


def test_an_empty_band_is_empty(toy, fitted):
    bare = replace(toy.section, grid=type(toy.section.grid)(toy.section.grid.affine, toy.section.grid.mask.copy()))
    bare.grid.mask[5:9] = False
    prediction = fitted.on(bare, device="cpu")(slice(5, 9))
    assert prediction.mean.shape == (0, len(bare.genes))


def test_a_section_without_spots_is_predicted_from_its_image(toy, fitted):
    alone = whole(fitted, toy.section.subset(np.zeros(len(toy.section.spots), dtype=bool)))
    assert np.nanmean(pearson(alone.mean, toy.truth)) > 0.3
    assert alone.sd.dtype == np.float32
    assert 0.65 < spot_coverage(toy.section, alone, np.arange(len(toy.section.spots)), level=0.8) < 0.95


@pytest.mark.parametrize("spots", [1, 2, 5])
def test_a_few_spots_are_used_where_they_are(toy, fitted, spots):
    few = whole_spots(toy).section.subset(np.arange(spots))
    assert np.isfinite(whole(fitted, few).mean).all()
    prediction = whole(balanced(fitted, "exact"), few)
    measured = few.counts.toarray()
    many = measured > 20
    np.testing.assert_allclose((few.footprint @ prediction.mean)[many] / measured[many], 1, atol=0.01)


def test_spots_beside_the_tissue_do_not_count_as_around(toy, fitted):
    """Of 24 spots 12 are left on tissue: too few to be attended to."""
    few = whole_spots(toy).section.subset(np.arange(24))
    section = cut(few, few.footprint[:12].sum(axis=0) > 0)
    predictor = fitted.on(section, device="cpu")
    assert predictor.attention == []
    assert not predictor.tissue.residuals.any()
    assert fitted.on(few, device="cpu").attention
