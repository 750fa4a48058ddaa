"""Texture features: their maths, their invariances, and bands without seams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.special import expit
from skimage.color import rgb2hed
from toys.imaging import as_raster, tissue_image

from stsr.encoders.texture import TextureEncoder
from stsr.geometry import Grid
from stsr.imaging import TEXTURE_NAMES, texture_features
from stsr.imaging.texture import pixels_per_cell, texture_halo

IMAGE = tissue_image(160, 160)
ENCODER = TextureEncoder()


def feature(features: np.ndarray, name: str) -> np.ndarray:
    return features[TEXTURE_NAMES.index(name)]


def grid(rows: int, cols: int, bin_size: float = 8.0, angle: float = 0.0) -> Grid:
    c, s = bin_size * np.cos(np.radians(angle)), bin_size * np.sin(np.radians(angle))
    return Grid(np.array([[c, -s, 20], [s, c, 10], [0, 0, 1]]), np.ones((rows, cols), dtype=bool))


def test_shape_names_and_range():
    features = texture_features(IMAGE, 2.0, cell=4)
    assert features.shape == (len(TEXTURE_NAMES), 40, 40)
    assert features.dtype == np.float32
    assert len(set(TEXTURE_NAMES)) == len(TEXTURE_NAMES) == ENCODER.info.dim
    assert np.isfinite(features).all()
    for name in ("lumen_8um", "red", "coherence_16um"):
        assert 0 <= feature(features, name).min() <= feature(features, name).max() <= 1


def test_stains_are_scikit_images():
    features = texture_features(IMAGE, 2.0, cell=1)
    theirs = rgb2hed((IMAGE + 1.0) / 256)[..., 0] * np.log(1e6)
    ours = feature(features, "haematoxylin_8um")
    sigma = np.sqrt((8**2 - 2**2) / 12) / 2
    smooth = ndimage.gaussian_filter(theirs, sigma, truncate=3, mode="nearest")
    assert np.corrcoef(ours.ravel(), smooth.ravel())[0, 1] > 0.999


def test_mean_and_spread_over_a_cell_are_numpys():
    features = texture_features(IMAGE, 2.0, cell=4)
    red = IMAGE[..., 0].reshape(40, 4, 40, 4)
    np.testing.assert_allclose(feature(features, "red"), red.mean(axis=(1, 3)) / 255, rtol=1e-5)
    lumen = np.exp(np.log((IMAGE + 1.0) / 256).sum(axis=-1) / 0.6).reshape(40, 4, 40, 4)
    np.testing.assert_allclose(feature(features, "lumen_8um"), lumen.mean(axis=(1, 3)), rtol=1e-3)
    np.testing.assert_allclose(feature(features, "lumen_sd_8um"), lumen.std(axis=(1, 3)), atol=2e-3)


def test_histograms_count_pixels_over_a_level():
    """Soft counts of pixels, from nearly all over the lowest level to nearly none over the highest."""
    features = texture_features(IMAGE, 2.0, cell=4)
    density = -np.log((IMAGE[..., 0] + 1.0) / 256).reshape(40, 4, 40, 4)
    shares = np.stack([feature(features, f"red_over_{step}_8um") for step in range(8)])
    for step, level in enumerate(np.linspace(0.05, 0.61, 8)):
        np.testing.assert_allclose(shares[step], expit((density - level) / 0.04).mean(axis=(1, 3)), atol=1e-4)
    assert (np.diff(shares, axis=0) <= 0).all()


def test_top_hats_tell_the_width_of_details():
    """A dark stripe of 10 µm is a peak of optical density to windows wider than it; a bright one of 10 µm a pit."""
    for name, values in {"peaks": (220, 90), "pits": (90, 220)}.items():
        image = np.full((160, 160, 3), values[0], dtype=np.uint8)
        image[:, 80:85] = values[1]
        features = texture_features(image, 2.0, cell=1)
        narrow, wide = (feature(features, f"red_density_{name}_{width}_8um")[80, 82] for width in (6, 14))
        assert narrow == pytest.approx(0, abs=1e-6)
        assert wide > 0.3
        other = {"peaks": "pits", "pits": "peaks"}[name]
        assert feature(features, f"red_density_{other}_14_8um")[80, 82] == pytest.approx(0, abs=1e-6)


def test_nuclei_answer_to_dark_discs_of_their_size():
    rows, cols = np.mgrid[0:160, 0:160]
    answers = {}
    for radius in (2, 4, 12):  # µm
        image = np.full((160, 160, 3), 235, dtype=np.uint8)
        image[np.hypot(rows - 80, cols - 80) * 2 <= radius] = (80, 60, 140)
        answers[radius] = feature(texture_features(image, 2.0, cell=1), "nuclei_8um")[80, 80]
    assert answers[4] == max(answers.values())


def test_coherence_tells_stripes_from_noise():
    stripes = np.broadcast_to(np.where(np.arange(160) // 4 % 2, 90, 220)[None, :, None], (160, 160, 3)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(90, 220, (160, 160, 1), dtype=np.uint8).repeat(3, axis=2)
    aligned, random = (
        feature(texture_features(image, 2.0, cell=4), "coherence_80um")[20, 20] for image in (stripes, noise)
    )
    assert aligned > 0.95
    assert random < 0.3


@pytest.mark.parametrize("turn", [lambda a: np.rot90(a), lambda a: a[::-1], lambda a: a[:, ::-1]])
def test_turning_or_mirroring_the_tissue_changes_nothing(turn):
    straight = texture_features(IMAGE, 2.0, cell=4)
    turned = texture_features(np.ascontiguousarray(turn(IMAGE)), 2.0, cell=4)
    expected = np.stack([turn(values) for values in straight])
    np.testing.assert_allclose(turned, expected, atol=2e-4)


def test_threads_do_not_change_the_result():
    one = texture_features(IMAGE, 2.0, cell=4, threads=1)
    np.testing.assert_array_equal(one, texture_features(IMAGE, 2.0, cell=4, threads=5))


@settings(max_examples=8)
@given(
    bin_size=st.sampled_from([4.0, 8.0, 20.0]),
    angle=st.sampled_from([0.0, 0.26, 30.0]),
    cut=st.integers(1, 7),
)
def test_bands_have_no_seams(bin_size, angle, cut):
    raster, cells = as_raster(IMAGE, 2.0), grid(8, 7, bin_size, angle)
    whole = ENCODER.encode_rows(raster, cells, slice(None))
    bands = [ENCODER.encode_rows(raster, cells, rows) for rows in (slice(0, cut), slice(cut, 8))]
    np.testing.assert_array_equal(np.concatenate(bands, axis=1), whole)


def test_resolution_of_the_image_hardly_matters():
    fine = tissue_image(640, 640, mpp=0.5)
    coarse = np.rint(fine.reshape(160, 4, 160, 4, 3).mean(axis=(1, 3))).astype(np.uint8)
    cells = grid(30, 30)
    a, b = (ENCODER.encode_rows(as_raster(i, m), cells, slice(None)) for i, m in ((fine, 0.5), (coarse, 2.0)))
    spread = a.std(axis=(1, 2))
    assert (np.abs(a - b).mean(axis=(1, 2)) < 0.05 * spread + 3e-4).all()


def test_pixels_per_cell_and_halo():
    assert [pixels_per_cell(8, mpp) for mpp in (0.25, 2.008, 4.1)] == [4, 4, 2]
    assert pixels_per_cell(2, 0.25) == pixels_per_cell(2, 5.0) == 1
    assert texture_halo(8.0) * 8 < 200
    assert texture_halo(100.0) >= 1


@pytest.mark.parametrize(
    ("window", "cell", "message"),
    [
        (np.zeros((8, 8), np.uint8), 1, "must be \\(height, width, 3\\) uint8"),
        (np.zeros((8, 8, 3), np.float32), 1, "must be \\(height, width, 3\\) uint8"),
        (np.zeros((8, 9, 3), np.uint8), 4, "cell=4 does not divide"),
    ],
)
def test_bad_windows(window, cell, message):
    with pytest.raises(ValueError, match=message):
        texture_features(window, 2.0, cell=cell)
