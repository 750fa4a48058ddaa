"""Trials keep counts from a method, and never show it what it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from helpers import toy_section
from scipy.spatial import cKDTree

from stsr.methods.baselines import holdout_experiments as module
from stsr.methods.baselines.holdout_experiments import KEPT_BACK, mean_distance, scattered, thinned, trials

SECTION = toy_section(shape=(90, 96)).section


def rng():
    return np.random.default_rng(0)


def test_what_is_asked_for_was_not_seen():
    thin, *folds = trials(SECTION, 4, rng())
    assert len(folds) == 4
    counts = SECTION.counts.toarray()
    back = thin.counts * KEPT_BACK / (1 - KEPT_BACK)
    np.testing.assert_allclose(thin.seen.counts.toarray()[thin.spots] + back, counts[thin.spots], atol=1e-3)
    for fold in folds:
        np.testing.assert_array_equal(fold.counts, counts[fold.spots])
        assert not set(map(tuple, fold.seen.spots)) & set(map(tuple, SECTION.spots[fold.spots]))
    asked = np.concatenate([fold.spots for fold in folds])
    np.testing.assert_array_equal(np.sort(asked), thin.spots)


def test_all_trials_together_are_worth_what_was_measured():
    thin, *folds = trials(SECTION, 5, rng())
    worth = thin.weight * thin.counts.sum() + sum(fold.weight * fold.counts.sum() for fold in folds)
    assert worth == pytest.approx(SECTION.counts[thin.spots].sum(), rel=0.02)


def test_folds_are_of_equal_size_and_their_spots_apart():
    fold = scattered(SECTION, 7, rng())
    sizes = np.bincount(fold[fold >= 0])
    assert len(sizes) == 7
    assert sizes.max() - sizes.min() <= 7

    def beside(fold):
        pairs = cKDTree(SECTION.spots).query_pairs(1.2 * SECTION.pitch, output_type="ndarray")
        return (fold[pairs[:, 0]] == fold[pairs[:, 1]]).mean()

    assert beside(fold) < 0.5 * beside(rng().permutation(fold))


def test_of_many_spots_only_some_are_asked_for(monkeypatch):
    monkeypatch.setattr(module, "MOST", 30)
    fold = scattered(SECTION, 3, rng())
    assert (fold >= 0).sum() == 30
    assert all(len(trial.spots) <= 30 for trial in trials(SECTION, 3, rng()))


def test_cells_lie_about_a_third_of_a_pitch_from_a_spot():
    assert 0.3 < mean_distance(SECTION) < 0.45
    assert mean_distance(SECTION.subset(np.arange(2))) == 1


def test_thinning_takes_a_share_of_every_umi():
    seen, back = thinned(SECTION, rng())
    assert back.sum() / SECTION.counts.sum() == pytest.approx(KEPT_BACK, rel=0.02)
    assert seen.library.sum() / SECTION.library.sum() == pytest.approx(1 - KEPT_BACK, rel=0.01)
    assert (seen.counts.toarray() >= 0).all()
    assert (seen.library >= seen.counts.sum(axis=1)).all()


def test_counts_of_sections_joined_are_rounded_at_random():
    half = replace(SECTION, counts=SECTION.counts * np.float32(0.3), library=SECTION.library * 0.3)
    seen, back = thinned(half, rng())
    whole = (seen.counts + back).toarray()
    np.testing.assert_array_equal(whole, np.rint(whole))
    assert whole.sum() / half.counts.sum() == pytest.approx(1, rel=0.01)


def test_spots_in_one_place_are_hidden_in_different_folds():
    section = toy_section().section
    twice = replace(
        section,
        spots=np.repeat(section.spots, 2, axis=0),
        counts=sp.csr_array(sp.vstack([section.counts[[i, i]] for i in range(len(section.spots))])),
        library=np.repeat(section.library, 2),
    )
    fold = scattered(twice, 5, np.random.default_rng(0))
    assert (fold[::2] != fold[1::2])[fold[::2] >= 0].all()
