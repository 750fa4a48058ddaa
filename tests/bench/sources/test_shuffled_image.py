"""The control image has the same blocks in other places."""

from __future__ import annotations

import dask.array as da
import numpy as np

import stsr
from stsr.bench.sources.shuffled_image import BLOCK, _moved, permuted_blocks, shuffle_image
from stsr.spatial import read_raster


def test_only_blocks_on_tissue_change_places():
    tissue = np.random.default_rng(0).random((7, 9)) < 0.6
    home = permuted_blocks(tissue, seed=1)
    number = np.arange(home.size).reshape(home.shape)
    assert np.array_equal(home[~tissue], number[~tissue])
    assert np.array_equal(np.sort(home[tissue]), number[tissue])
    assert (home != number)[tissue].mean() > 0.8
    assert np.array_equal(home, permuted_blocks(tissue, seed=1))


def test_every_block_arrives_whole_and_the_edge_stays():
    source = np.random.default_rng(0).integers(0, 255, (3, 95, 64), dtype=np.uint8)
    home = permuted_blocks(np.ones((9, 6), dtype=bool), seed=0)
    moved = _moved(da.from_array(source, chunks=(3, 50, 50)), home, 10).compute()
    for row in range(9):
        for col in range(6):
            r, c = divmod(home[row, col], 6)
            np.testing.assert_array_equal(
                moved[:, row * 10 : row * 10 + 10, col * 10 : col * 10 + 10],
                source[:, r * 10 : r * 10 + 10, c * 10 : c * 10 + 10],
            )
    np.testing.assert_array_equal(moved[:, 90:], source[:, 90:])
    np.testing.assert_array_equal(moved[:, :, 60:], source[:, :, 60:])


def test_features_of_a_cell_no_longer_fit_its_place():
    sdata = stsr.datasets.synthetic_section(size=(600, 600), n_genes=2)
    stsr.pp.calibrate_image(sdata, target_mpp=2.0)
    before = read_raster(sdata, "he")
    pixels = np.asarray(before.levels[0][0])
    shuffle_image(sdata)
    after = read_raster(sdata, "he")
    moved = np.asarray(after.levels[0][0])
    np.testing.assert_array_equal(after.levels[0][1], before.levels[0][1])
    assert moved.shape == pixels.shape
    whole = tuple(int(size * 2 // BLOCK) * int(BLOCK / 2) for size in pixels.shape[1:])
    inner = (slice(None), slice(whole[0]), slice(whole[1]))
    assert np.array_equal(np.sort(moved[inner], axis=None), np.sort(pixels[inner], axis=None))
    assert abs(np.corrcoef(moved[inner].ravel(), pixels[inner].ravel())[0, 1]) < 0.6
