"""Counts that lie beside the cells are counted and told."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from toys.border import border, cut_toy, whole_spots
from toys.section import toy_section

from stsr.methods import METHODS, Training, create
from stsr.methods.shared.border import Unplaced
from stsr.methods.shared.learned_spots import LearnedSpots
from stsr.methods.shared.requirements import FEWEST, WHOLE
from stsr.methods.shared.requirements import whole_spots as learned

QUIET = Training(device="cpu", progress=False)


def test_a_section_whose_spots_lie_on_cells_has_nothing_to_tell(caplog):
    unplaced = Unplaced.of(whole_spots(toy_section()).section)
    assert unplaced == Unplaced(0, 0, 0.0)
    with caplog.at_level(logging.INFO):
        unplaced.tell()
    assert not caplog.records


def test_half_a_section_off_the_grid_is_a_warning(caplog):
    section = whole_spots(toy_section()).section
    away = np.arange(len(section.spots)) % 2 == 0
    off = replace(section, spots=np.where(away[:, None], section.spots - 5000, section.spots))
    counts = section.counts.sum(axis=1)
    unplaced = Unplaced.of(off)
    assert (unplaced.spots_cut, unplaced.spots_off) == (0, away.sum())
    assert unplaced.share == pytest.approx(counts[away].sum() / counts.sum(), abs=1e-5)
    unplaced.tell()
    assert "up to 5" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


def test_counts_of_cut_spots_are_unplaced_by_the_share_beside_the_cells():
    _, section = cut_toy(0.3, 0.55)
    unplaced = Unplaced.of(section)
    assert unplaced.spots_cut == (section.covered < 1).sum() > 2
    beside = (1 - section.covered) @ section.counts.toarray()
    assert unplaced.share == pytest.approx(beside.sum() / section.counts.sum(), rel=1e-3)


def test_a_section_without_spots_has_nothing_unplaced():
    assert Unplaced.of(toy_section().section.subset(np.arange(0))) == Unplaced(0, 0, 0.0)


def test_few_whole_discs_are_joined_by_halves():
    _, section = cut_toy(0.3, 0.7)
    many = learned(section)
    assert many.sum() >= FEWEST
    np.testing.assert_array_equal(many, section.covered >= WHOLE)
    some = section.subset(np.r_[np.flatnonzero(many)[:10], np.flatnonzero(~many)])
    np.testing.assert_array_equal(learned(some), some.covered > 0.5)


def test_the_density_of_a_cut_spot_is_that_of_a_whole_one():
    toy, section = cut_toy(0.3, 0.55, noise=False, depth=1e4)
    spots = LearnedSpots.of(section)
    np.testing.assert_allclose(spots.density, section.counts.toarray()[spots.used] / section.spot_cells, rtol=1e-5)


UNTRAINED = sorted(name for name, kind in METHODS.items() if "history" not in kind.info.gives)
"""Methods without iterative training, whose quick options are as good as any."""


@pytest.mark.parametrize("method", [*UNTRAINED, "istar"])
def test_no_rim_where_the_mask_cuts_spots(method):
    """Cells at the border are to those inside as they are in truth."""
    toy, section = cut_toy(0.7, 0.6, shape=(60, 66), noise=False, depth=2000.0)
    options = {"epochs": 8, "states": 1, "batch": 8} if method == "istar" else METHODS[method].info.quick
    mean = create(method, options).fit(section, seed=0, training=QUIET).on(section, device="cpu")(slice(None)).mean
    rim = border(section.grid, 3) & (section.footprint[section.covered < 1].sum(axis=0) > 0)
    inside = ~border(section.grid, 8)
    ratio = mean.sum(axis=1) / toy.truth.sum(axis=1)
    assert np.mean(ratio[rim]) / np.mean(ratio[inside]) == pytest.approx(1, abs=0.15)


def test_no_rim_in_what_the_default_learns_and_balances():
    toy, section = cut_toy(0.7, 0.6, shape=(60, 66), noise=False, depth=2000.0)
    small = {
        "steps": 60,
        "image_steps": 120,
        "dim": 16,
        "heads": 4,
        "stem": 8,
        "attention_networks": 1,
        "image_networks": 1,
    }
    rates = {
        "learning_rate": 1e-2,
        "image_learning_rate": 1e-2,
        "image_batch": 8,
        "image_widths": (64,),
        "read": (64,),
    }
    fitted = create("cross_attention", {**small, **rates}).fit(section, seed=0, training=QUIET)
    mean = fitted.on(section, device="cpu")(slice(None)).mean
    rim = border(section.grid, 3) & (section.footprint[section.covered < 1].sum(axis=0) > 0)
    ratio = mean.sum(axis=1) / toy.truth.sum(axis=1)
    assert np.mean(ratio[rim]) / np.mean(ratio[~border(section.grid, 8)]) == pytest.approx(1, abs=0.15)
