"""Image quality figures: glass, focus, exposure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import laplace
from toys.imaging import GLASS, tissue_image

from stsr.imaging import background_colour, image_quality
from stsr.imaging.quality import focus


def test_background_is_the_colour_of_glass():
    image = tissue_image(100, 100, margin=40)
    tissue = np.zeros((100, 100), dtype=bool)
    tissue[18:82, 18:82] = True
    image[:3] = 10  # a black edge
    np.testing.assert_allclose(background_colour(image, tissue), GLASS, atol=1.5)


def test_background_without_glass_is_the_brightest_of_the_tissue():
    image = tissue_image(100, 100)
    colour = background_colour(image, np.ones((100, 100), dtype=bool))
    assert (colour > np.percentile(image.reshape(-1, 3), 90, axis=0)).all()


def test_focus_falls_with_blur_and_is_the_variance_of_the_laplacian():
    tiles = np.stack([tissue_image(64, 64, seed=seed) for seed in range(3)])
    blurred = [focus(ndimage.gaussian_filter(tiles, (0, sigma, sigma, 0))) for sigma in (0, 1, 2)]
    assert blurred[0] > 2 * blurred[1] > 4 * blurred[2]
    brightness = tiles @ np.array([0.2126, 0.7152, 0.0722])
    expected = np.median([laplace(tile, ksize=3)[1:-1, 1:-1].var() for tile in brightness])
    assert blurred[0] == pytest.approx(expected, rel=1e-4)


def test_figures_are_json():
    tissue = np.ones((20, 20), dtype=bool)
    tissue[:, :5] = False
    tiles = np.full((1, 8, 8, 3), 100, dtype=np.uint8)
    tiles[0, 0, :4] = 255
    tiles[0, 1, :2, 1] = 0
    figures = image_quality(np.full((20, 20, 3), 240, dtype=np.uint8), tissue, tiles)
    assert json.loads(json.dumps(figures)) == figures
    assert figures["tissue_fraction"] == 0.75
    assert figures["background"] == [240, 240, 240]
    assert figures["overexposed"] == 4 / 64
    assert figures["underexposed"] == 2 / 64


@pytest.mark.parametrize("width", [10, 30])
def test_black_beyond_the_scan_is_not_glass(width):
    image = tissue_image(100, 100, margin=70)
    tissue = np.zeros((100, 100), dtype=bool)
    tissue[37:63, 37:63] = True
    image[:width] = image[-width:] = 0
    np.testing.assert_allclose(background_colour(image, tissue), GLASS, atol=1.5)


def test_without_glass_dark_tissue_is_not_taken_for_it():
    dark = np.full((50, 50, 3), (150, 60, 120), dtype=np.uint8)
    np.testing.assert_array_equal(background_colour(dark, np.ones((50, 50), dtype=bool)), [180, 180, 180])


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("tissue", [True, False])
def test_one_pixel_and_one_colour_have_a_background(value, tissue):
    image = np.full((1, 1, 3), value, dtype=np.uint8)
    colour = background_colour(image, np.full((1, 1), tissue))
    assert np.isfinite(colour).all()
    assert colour.shape == (3,)


@pytest.mark.parametrize("grey", [60, 128, 211])
def test_a_grey_margin_around_the_image_is_not_glass(grey):
    image = tissue_image(100, 100)
    image[35:65, 35:65] = GLASS  # a lumen
    tissue = np.pad(np.ones((100, 100), dtype=bool), 60)
    padded = np.pad(image, ((60, 60), (60, 60), (0, 0)), constant_values=grey)
    np.testing.assert_allclose(background_colour(padded, tissue), GLASS, atol=6)
