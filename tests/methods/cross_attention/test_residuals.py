"""What spots measured beyond what their features say: left-out errors, and that far spots tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from toys.section import toy_section

from stsr.methods.cross_attention.residuals import PENALTIES, Residuals, left_out
from stsr.methods.shared.spot_sums import disc_means
from stsr.nn.networks.patch import context


@pytest.fixture(scope="module")
def toy():
    return toy_section().section


@pytest.mark.parametrize("features", [4, 40])
def test_errors_of_left_out_rows_are_those_of_fits_without_them(features):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(30, features)), rng.normal(size=(30, 2))
    y = np.column_stack([x[:, 0], np.zeros(30)]) * 5 + noise + 3
    missed = left_out(y, x)
    for column in range(2):
        fits = [
            y[:, column] - cross_val_predict(Ridge(penalty), x, y[:, column], cv=LeaveOneOut()) for penalty in PENALTIES
        ]
        best = min(fits, key=lambda error: (error**2).sum())
        np.testing.assert_allclose(missed[:, column], best, rtol=1e-6, atol=1e-9)


def test_directions_are_those_of_most_variance(toy):
    residuals = Residuals.learn(toy, directions=3)
    assert residuals.axes.shape == (len(toy.genes), 3)
    told = residuals.of(toy, disc_means(toy))
    assert told.shape == (len(toy.spots), 4)
    # With features that say nothing, what is left is the expression itself.
    bare = residuals.of(toy, np.zeros((len(toy.spots), 2), dtype=np.float32))
    assert bare[:, 0].std() == pytest.approx(1, rel=0.05)
    assert bare[:, 3].std() == pytest.approx(1, rel=0.05)
    np.testing.assert_allclose(np.corrcoef(bare[:, :3].T), np.eye(3), atol=0.01)
    assert told[:, 0].std() < 0.5 * bare[:, 0].std()


def test_more_directions_than_genes_or_spots_are_as_many_as_there_are(toy):
    assert Residuals.learn(toy, directions=1000).axes.shape[1] == min(len(toy.genes), len(toy.spots))


def test_too_few_spots_tell_nothing(toy):
    few = toy.subset(np.arange(12))
    residuals = Residuals.learn(toy, directions=3)
    np.testing.assert_array_equal(residuals.of(few, disc_means(few)), np.zeros((12, 4)))
    none = toy.subset(np.arange(0))
    assert residuals.of(none, disc_means(none)).shape == (0, 4)


def test_near_spots_are_averaged_and_far_ones_tell_nothing():
    residuals = torch.tensor([[[1.0], [-1.0], [4.0]]])
    even = context(torch.tensor([[[60.0, 60.0, 900.0]]]), residuals, 60.0)
    torch.testing.assert_close(even, torch.zeros(1, 1, 1))
    near = context(torch.tensor([[[0.0, 500.0, 900.0]]]), residuals, 60.0)
    torch.testing.assert_close(near, torch.full((1, 1, 1), 1 / 1.3), rtol=1e-3, atol=0)
    assert context(torch.full((1, 1, 3), 300.0), residuals, 60.0).abs().max() < 1e-4
    assert context(torch.zeros(2, 5, 0), torch.zeros(2, 0, 7), 60.0).shape == (2, 5, 7)
