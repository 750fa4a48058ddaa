"""Hold-out experiments: methods are never fitted to the counts that they are compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial import cKDTree
from toys.section import toy_section

from stsr.methods.baselines import holdout_experiments as module
from stsr.methods.baselines.holdout_experiments import (
    THINNED_SHARE,
    holdout_experiments,
    mean_distance,
    scattered_folds,
    thinned,
)

SECTION = toy_section(shape=(90, 96)).section


def rng():
    return np.random.default_rng(0)


def test_held_out_counts_are_not_visible():
    thin, *folds = holdout_experiments(SECTION, 4, rng())
    assert len(folds) == 4
    counts = SECTION.counts.toarray()
    back = thin.counts * THINNED_SHARE / (1 - THINNED_SHARE)
    np.testing.assert_allclose(thin.visible.counts.toarray()[thin.spots] + back, counts[thin.spots], atol=1e-3)
    for fold in folds:
        np.testing.assert_array_equal(fold.counts, counts[fold.spots])
        assert not set(map(tuple, fold.visible.spots)) & set(map(tuple, SECTION.spots[fold.spots]))
    hidden = np.concatenate([fold.spots for fold in folds])
    np.testing.assert_array_equal(np.sort(hidden), thin.spots)


def test_weighted_counts_of_all_experiments_add_up_to_what_was_measured():
    thin, *folds = holdout_experiments(SECTION, 5, rng())
    weighted = thin.weight * thin.counts.sum() + sum(fold.weight * fold.counts.sum() for fold in folds)
    assert weighted == pytest.approx(SECTION.counts[thin.spots].sum(), rel=0.02)


def test_folds_are_of_equal_size_and_their_spots_apart():
    fold = scattered_folds(SECTION, 7, rng())
    sizes = np.bincount(fold[fold >= 0])
    assert len(sizes) == 7
    assert sizes.max() - sizes.min() <= 7

    def beside(fold):
        pairs = cKDTree(SECTION.spots).query_pairs(1.2 * SECTION.pitch, output_type="ndarray")
        return (fold[pairs[:, 0]] == fold[pairs[:, 1]]).mean()

    assert beside(fold) < 0.5 * beside(rng().permutation(fold))


def test_of_many_spots_only_some_have_held_out_counts(monkeypatch):
    monkeypatch.setattr(module, "MOST_SPOTS", 30)
    fold = scattered_folds(SECTION, 3, rng())
    assert (fold >= 0).sum() == 30
    assert all(len(experiment.spots) <= 30 for experiment in holdout_experiments(SECTION, 3, rng()))


def test_cells_lie_about_a_third_of_a_pitch_from_a_spot():
    assert 0.3 < mean_distance(SECTION) < 0.45
    assert mean_distance(SECTION.subset(np.arange(2))) == 1


def test_thinning_takes_a_share_of_every_umi():
    visible, back = thinned(SECTION, rng())
    assert back.sum() / SECTION.counts.sum() == pytest.approx(THINNED_SHARE, rel=0.02)
    assert visible.library.sum() / SECTION.library.sum() == pytest.approx(1 - THINNED_SHARE, rel=0.01)
    assert (visible.counts.toarray() >= 0).all()
    assert (visible.library >= visible.counts.sum(axis=1)).all()


def test_counts_of_sections_joined_are_rounded_at_random():
    half = replace(SECTION, counts=SECTION.counts * np.float32(0.3), library=SECTION.library * 0.3)
    visible, back = thinned(half, rng())
    whole = (visible.counts + back).toarray()
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
    fold = scattered_folds(twice, 5, np.random.default_rng(0))
    assert (fold[::2] != fold[1::2])[fold[::2] >= 0].all()
