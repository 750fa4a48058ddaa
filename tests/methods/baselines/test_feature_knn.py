"""Nearest spots in feature space against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors
from toys.border import whole_spots
from toys.section import toy_section

from stsr.methods import Training, create
from stsr.methods.baselines import feature_knn
from stsr.methods.baselines.feature_knn import nearest

TOY = whole_spots(toy_section(shape=(54, 60)))


def fit(section, **options):
    return create("feature_knn", options).fit(section, seed=0, training=Training())


def predict(section, **options):
    return fit(section, **options).on(section)(slice(None)).mean


def standardised(section):
    """(cells, features) z, and (spots, features) its mean over the spots."""
    cells = section.cell_features(slice(None)).astype(float)
    z = (cells - cells.mean(axis=0)) / cells.std(axis=0)
    return z, (section.footprint @ z) / section.footprint.sum(axis=1)[:, None]


@pytest.mark.parametrize("neighbours", [1, 7, 4096])
def test_it_is_scikit_learns_up_to_a_factor_for_each_gene(neighbours):
    section = TOY.section
    z, discs = standardised(section)
    density = section.counts.toarray() / section.spot_cells
    model = KNeighborsRegressor(min(neighbours, len(discs))).fit(discs, density)
    raw = model.predict(z)
    factor = section.counts.sum(axis=0) / (section.footprint @ raw).sum(axis=0)
    np.testing.assert_allclose(predict(section, neighbours=neighbours), raw * factor, rtol=1e-3)


def test_the_cells_under_spots_add_up_to_what_was_measured():
    discs = TOY.section.footprint @ predict(TOY.section)
    np.testing.assert_allclose(discs.sum(axis=0), TOY.section.counts.sum(axis=0), rtol=1e-3)


def test_blocks_of_any_size_find_the_same_spots(monkeypatch):
    rng = np.random.default_rng(0)
    cells, spots = rng.normal(size=(300, 8)).astype(np.float32), rng.normal(size=(90, 8)).astype(np.float32)
    expected = np.sort(NearestNeighbors(n_neighbors=5).fit(spots).kneighbors(cells)[1])
    for values in (1, 90 * 70, 2**20):
        monkeypatch.setattr(feature_knn, "DISTANCES", values)
        np.testing.assert_array_equal(np.sort(nearest(cells, spots, 5)), expected)


def test_components_that_hold_all_that_differs_change_nothing():
    section = TOY.section
    first, rng = np.asarray(section.features[:2]), np.random.default_rng(0)
    mixed = np.tensordot(rng.normal(size=(12, 2)), first.astype(np.float32), axes=1)
    section = replace(section, features=mixed)  # twelve features, two dimensions
    np.testing.assert_allclose(predict(section, components=2), predict(section, components=12), rtol=1e-3)
    assert not np.allclose(predict(section, components=1), predict(section, components=12), rtol=0.1)


def test_it_finds_structure_finer_than_a_spot():
    toy = toy_section(depth=2000.0, pitch=40.0, diameter=24.0)
    got = predict(toy.section, neighbours=4)
    assert np.corrcoef(got[:, -1], toy.truth[:, -1])[0, 1] > 0.7


def test_a_section_without_spots_is_predicted_from_its_features():
    section = TOY.section
    method = fit(section)
    bare = section.subset(np.arange(0))
    np.testing.assert_array_equal(method.on(bare)(slice(None)).mean, method.on(section)(slice(None)).mean)


def test_spots_off_tissue_play_no_part():
    section = TOY.section
    far = replace(
        section,
        spots=np.vstack([section.spots, [[-5000.0, 0]]]),
        counts=sp.csr_array(sp.vstack([section.counts, sp.csr_array(np.full((1, 6), 1e4, np.float32))])),
        library=np.append(section.library, 1e5),
    )
    np.testing.assert_allclose(predict(far), predict(section), rtol=1e-5)


def test_one_feature_is_enough_and_a_constant_one_no_trouble():
    section = TOY.section
    alone = replace(section, features=section.features[:1])
    beside = replace(section, features=np.concatenate([section.features[:1], np.ones_like(section.features[:1])]))
    np.testing.assert_allclose(predict(beside), predict(alone), rtol=1e-4)


def test_a_gene_without_counts_is_predicted_as_zero():
    section = replace(TOY.section, counts=sp.csr_array(TOY.section.counts.toarray() * [1, 0, 1, 1, 1, 1]))
    got = predict(section)
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got[:, 1], 0)


def test_too_few_spots_are_refused():
    with pytest.raises(ValueError, match="spots=19 are too few to train method='feature_knn'"):
        fit(TOY.section.subset(np.arange(19)))
