"""Vectors of points, and predicting in batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys.section import toy_section

from stsr.geometry import Disc, Square
from stsr.methods.shared.points import (
    Crops,
    PointPredictor,
    gene_factors,
    in_chunks,
    library_size,
)
from stsr.methods.shared.requirements import spots_on_tissue
from stsr.methods.shared.spot_sums import disc_means


@pytest.fixture(scope="module")
def section():
    return toy_section(shape=(26, 28)).section


def raw(section, crop):
    width = section.n_features
    return Crops(section, crop, np.zeros(width, np.float32), np.ones(width, np.float32))


@pytest.mark.parametrize("crop", [Disc(55.0), Square(37.0), Disc(4.0)], ids=["disc", "square", "smaller than a cell"])
def test_a_vector_is_the_mean_over_the_cells_whose_centre_the_crop_covers(section, crop):
    means = raw(section, crop).cells(slice(100, 140))
    xy, features = section.grid.xy, section.cell_features(slice(None))
    for cell, mean in zip(range(100, 140), means, strict=True):
        covered = crop.covers(xy - xy[cell])
        np.testing.assert_allclose(mean, np.clip(features[covered].mean(axis=0), -10, 10), rtol=1e-3, atol=1e-3)


def test_a_spot_looks_like_the_cell_it_lies_in(section):
    crops = raw(section, section.aperture)
    at = {tuple(place): cell for cell, place in enumerate(section.grid.rowcol.tolist())}
    cells = crops.cells(slice(None))
    np.testing.assert_allclose(crops.spots, cells[[at[tuple(home)] for home in crops.home.tolist()]], rtol=1e-5)
    exact = disc_means(section)[:, 3]  # the features' slow one: half a cell does not matter to it
    assert np.corrcoef(exact, crops.means(crops.home)[0][:, 3])[0, 1] > 0.99


def test_vectors_are_standardised_over_spots_and_empty_crops_are_average(section):
    crops = Crops.learn(section, section.aperture)
    np.testing.assert_allclose(crops.spots.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(crops.spots.std(axis=0), 1, rtol=1e-2)
    off = section.subset(np.arange(3))
    off = replace(off, spots=off.spots + 10_000)
    assert not Crops(off, crops.crop, crops.mean, crops.sd).spots.any()


def test_spots_on_tissue_have_more_than_half_of_their_area_there(section):
    edge = section.grid.to_um([[0.0, 10.0]])
    inward = edge + 8.0 * np.array([[1.0, 0.0]])
    outward = edge - 8.0 * np.array([[1.0, 0.0]])
    moved = replace(section.subset([0, 1]), spots=np.vstack([inward, outward]))
    assert spots_on_tissue(moved).tolist() == [True, False]


def test_depth_is_the_library_at_a_spot_and_between_libraries_elsewhere(section):
    at = library_size(section)
    np.testing.assert_allclose(at(section.spots), section.library, rtol=1e-4)
    between = at(section.grid.xy)
    assert section.library.min() <= between.min() < between.max() <= section.library.max() * 1.001


def test_gene_factors_make_the_spots_add_up(section):
    predicted = section.counts.toarray() * np.linspace(0.5, 2, len(section.genes), dtype=np.float32)
    factors = gene_factors(section, predicted)
    np.testing.assert_allclose((predicted * factors).sum(axis=0), section.counts.sum(axis=0), rtol=1e-4)
    assert gene_factors(section, predicted * 0).max() == 10


@pytest.mark.parametrize("length", [0, 3, 4, 11])
def test_chunks_hold_everything_in_order(length):
    a, b = np.arange(length), np.arange(2 * length).reshape(length, 2)
    chunks = list(in_chunks(4, a, b))
    assert [x.shape for x, _ in chunks] == ([(length // 4, 4)] if length > 3 else []) + (
        [(1, length % 4)] if length % 4 else []
    )
    assert np.concatenate([x.ravel() for x, _ in chunks] or [a]).tolist() == a.tolist()
    assert np.concatenate([y.reshape(-1, 2) for _, y in chunks] or [b]).tolist() == b.tolist()


def test_batches_are_cut_between_chunks_wherever_the_bands_are(section):
    genes, seen = len(section.genes), []

    def rank_in_chunk(xy, vectors):
        seen.append(len(xy))
        parts = in_chunks(7, np.arange(len(xy)), xy)
        rank = np.concatenate([np.argsort(np.argsort(x.sum(axis=2), axis=1), axis=1).ravel() for _, x in parts])
        return np.repeat(rank[:, None], genes, axis=1).astype(np.float32)

    predictor = PointPredictor(raw(section, section.aperture), rank_in_chunk, chunk=7, batch=100)
    whole = predictor(slice(None)).mean
    assert max(seen) == 98
    assert whole.shape == (section.grid.n_cells, genes)
    for most in (1, 40, 300):
        bands = [predictor(rows).mean for rows in section.grid.bands(most)]
        np.testing.assert_array_equal(np.concatenate(bands), whole)
    np.testing.assert_allclose(whole.max(), 6 / section.spot_cells, rtol=1e-6)
