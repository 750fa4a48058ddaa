"""Points whose place on an image is known, moved away and found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2hed
from toys.imaging import as_raster, tissue_image

from stsr.imaging.registration import STEP, BlockMaps, block_maps, correlations, haematoxylin
from stsr.imaging.similarity import Similarity, fit_similarity

POINT = np.ones((1, 1))


@pytest.fixture(scope="module")
def image():
    return tissue_image(450, 500, mpp=4.0, seed=1)


def points(image: np.ndarray, n: int = 4000, *, seed: int = 0, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) places in µm, well inside, and values that follow the haematoxylin there."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform([200, 200], [1800, 1600], (n, 2))
    density = ndimage.map_coordinates(haematoxylin(image), (xy / STEP - 0.5).T[::-1], order=1)
    return xy, density / density.std() + rng.normal(0, noise, n)


def test_haematoxylin_is_that_of_scikit_image(image):
    np.testing.assert_array_equal(haematoxylin(image), rgb2hed(image)[..., 0])


def test_correlations_are_those_of_every_shift(image):
    rng = np.random.default_rng(0)
    density = rng.normal(size=(46, 52))
    place = rng.integers(1, [39, 33], (90, 2)) + 0.5  # in the middle of pixels
    values = rng.normal(size=90)
    found, independent = correlations(density, place, values, (34, 40))
    assert found.shape == (13, 13)
    for dy, dx in ((0, 0), (-6, 6), (3, -2)):
        col, row = (place - 0.5).astype(int).T + 6
        seen = density[row + dy, col + dx]
        assert found[6 + dy, 6 + dx] == pytest.approx(np.corrcoef(seen, values)[0, 1], abs=1e-9)
    assert 45 < independent <= 90  # white noise, but for chance


def test_points_between_pixels_are_shared_out():
    ramp = np.add.outer(np.zeros(40), np.arange(44.0))
    place = np.random.default_rng(0).uniform(1, 33, (50, 2))
    found, _ = correlations(ramp, place, place[:, 0], (34, 38))
    np.testing.assert_allclose(found, 1, atol=2e-3)


def test_like_neighbours_are_not_independent():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(80, 80)), 4)
    row, col = np.mgrid[1:59, 1:59].reshape(2, -1)
    place, values = np.column_stack([col, row]) + 0.5, smooth.T[::-1][row, col]
    _, independent = correlations(smooth, place, values, (60, 60))
    assert 3 < independent < 60**2 / 20


def test_a_flat_image_has_no_correlation():
    found, independent = correlations(np.zeros((30, 30)), np.full((30, 2), 9.5), np.arange(30.0), (20, 20))
    assert not found.any()
    assert independent == 0


def test_blocks_find_the_shift(image):
    xy, values = points(image)
    blocks = block_maps(as_raster(image, 4.0), xy + [16, -24], values, POINT, window=500, reach=60)
    shift, error, correlation = blocks.alone()
    assert len(shift) == 12
    assert blocks.maps.shape[1:] == (31, 31)
    assert blocks.points.sum() == len(xy)
    np.testing.assert_allclose(shift, [[-16, 24]] * 12, atol=2)
    assert (error < 8).all()
    assert (correlation > 0.6).all()
    np.testing.assert_allclose(blocks.at(np.rint(shift / STEP) * STEP), correlation, atol=1e-6)


def test_a_spot_sees_the_mean_of_what_it_covers(image):
    disc = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4
    mean = ndimage.convolve(haematoxylin(image), disc / disc.sum())
    rng = np.random.default_rng(0)
    pixel = rng.integers([60, 60], [440, 390], (400, 2))
    values = mean[pixel[:, 1], pixel[:, 0]]
    blocks = block_maps(as_raster(image, 4.0), (pixel + 0.5) * STEP, values, disc, window=2000, reach=40)
    assert blocks.at(np.zeros((1, 2)))[0] > 0.995


def test_small_and_uniform_blocks_are_left_out(image):
    xy, values = points(image, n=300)
    few = block_maps(as_raster(image, 4.0), xy, values, POINT, window=300, reach=40)
    assert (few.points >= 20).all()
    uniform = block_maps(as_raster(image, 4.0), xy, np.ones(300), POINT, window=800, reach=40)
    blank = block_maps(as_raster(np.full_like(image, 200), 4.0), xy, values, POINT, window=800, reach=40)
    assert uniform.maps.shape == blank.maps.shape == (0, 21, 21)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_fit_undoes_a_similarity(image, sign):
    xy, values = points(image)
    moved = xy + Similarity((20.0, -12.0), 1.006, np.deg2rad(1.0), (900.0, 900.0)).displacement(xy)
    blocks = block_maps(as_raster(image, 4.0), moved, sign * values, POINT, window=400, reach=60)
    assert blocks.sign == sign
    fit, error = fit_similarity(blocks)
    assert np.hypot(*(moved + fit.displacement(moved) - xy).T).max() < 3
    assert np.rad2deg(fit.rotation) == pytest.approx(-1, abs=0.1)
    assert fit.scale == pytest.approx(1 / 1.006, abs=0.002)
    assert error < 2


def test_where_there_is_nothing_to_find_the_error_says_so(image):
    xy, values = points(image, n=800)
    shuffled = np.random.default_rng(1).permutation(values)
    blocks = block_maps(as_raster(image, 4.0), xy, shuffled, POINT, window=400, reach=60)
    assert fit_similarity(blocks)[1] > 15
    assert np.median(blocks.alone()[1]) > 30


def test_one_block_says_nothing_on_rotation_and_scale(image):
    xy, values = points(image)
    near = (np.abs(xy - 900) < 150).all(axis=1)
    blocks = block_maps(as_raster(image, 4.0), xy[near] + [8, 0], values[near], POINT, window=800, reach=40)
    fit, _ = fit_similarity(blocks)
    assert fit.shift == pytest.approx((-8, 0), abs=2)
    assert fit.rotation == pytest.approx(0, abs=np.deg2rad(0.1))
    assert fit.scale == pytest.approx(1, abs=1e-3)


def test_displacement_turns_clockwise_and_scales():
    turn = Similarity((1.0, 2.0), 2.0, np.pi / 2, (10.0, 10.0))
    point = np.array([[11.0, 10.0]])  # to the right of the centre, and after a turn by 90° below it
    np.testing.assert_allclose(point + turn.displacement(point), [[11, 14]])


def test_a_wrong_block_is_outvoted():
    away = (np.arange(21) - 10) ** 2 * 1.0
    hill = 0.8 * np.exp(-np.add.outer(away, away) / 8)
    maps = np.stack([hill] * 8 + [np.roll(hill, 7, axis=1)])
    xy = np.array([(x, y) for x in range(3) for y in range(3)]) * 1000.0
    fit, _ = fit_similarity(BlockMaps(xy, np.full(9, 50), np.full(9, 50.0), maps))
    assert fit.shift == pytest.approx((0, 0), abs=1)
    assert np.abs(fit.displacement(xy)).max() < 2
