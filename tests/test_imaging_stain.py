"""Stain estimates against known stains and torchstain; refusals with their reason."""

from __future__ import annotations

import numpy as np
import pytest
import torchstain
from imaging_toys import EOSIN, GLASS, HAEMATOXYLIN, tissue_image
from skimage.color import rgb2lab

from stsr.imaging import StainError, estimate_stain
from stsr.imaging.stain import REFERENCE_LAB, REFERENCE_STAINS, REFERENCE_STRENGTHS

IMAGE = tissue_image(200, 200)
SAMPLE = IMAGE.reshape(-1, 3)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_macenko_finds_the_stains_of_a_synthetic_slide():
    stain = estimate_stain(SAMPLE, "macenko", background=(GLASS,) * 3)
    for found, true in zip(stain.stains.T, (HAEMATOXYLIN, EOSIN), strict=True):
        assert np.degrees(np.arccos(unit(found) @ unit(true))) < 8


def test_macenko_is_torchstain_with_the_estimate_kept():
    theirs = torchstain.normalizers.MacenkoNormalizer(backend="numpy").normalize(IMAGE, stains=False)[0]
    ours = estimate_stain(SAMPLE, "macenko", background=(240, 240, 240))(IMAGE)
    # the same optical densities, with bare glass at 255 where torchstain leaves it at 240
    unclipped = (theirs < 225) & (theirs > 20)
    density = -np.log((theirs + 0.5) / 240) + np.log((ours + 1.0) / 256)
    assert np.abs(density[unclipped]).max() < 0.05


def test_macenko_brings_another_slide_to_the_reference():
    again = estimate_stain(
        estimate_stain(SAMPLE, "macenko", background=(GLASS,) * 3)(SAMPLE), "macenko", background=(255,) * 3
    )
    np.testing.assert_allclose(again.stains, REFERENCE_STAINS, atol=0.08)
    np.testing.assert_allclose(again.strengths, REFERENCE_STRENGTHS, rtol=0.1)


def test_reinhard_brings_means_and_spreads_to_the_reference():
    stain = estimate_stain(SAMPLE, "reinhard", background=(GLASS,) * 3)
    lab = rgb2lab(SAMPLE)
    np.testing.assert_allclose(stain.mean, lab.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(stain.sd, lab.std(axis=0), atol=0.3)
    after = rgb2lab(stain(SAMPLE))
    np.testing.assert_allclose(after.mean(axis=0), REFERENCE_LAB[0], atol=0.5)
    np.testing.assert_allclose(after.std(axis=0), REFERENCE_LAB[1], rtol=0.05)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_glass_becomes_white_and_pixels_depend_on_themselves_only(method):
    stain = estimate_stain(SAMPLE, method, background=(GLASS,) * 3)
    assert (stain(np.full((2, 3, 3), GLASS, dtype=np.uint8)) == 255).all()
    whole = stain(IMAGE)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(stain(IMAGE[50:70, 30:60]), whole[50:70, 30:60])


def test_unknown_method():
    with pytest.raises(ValueError, match="stain='vahadane' is not known; choose one of macenko, reinhard"):
        estimate_stain(SAMPLE, "vahadane")


def grey(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(rng.integers(20, 200, (20_000, 1)), 3, axis=1)


def one_stain(rng: np.random.Generator) -> np.ndarray:
    return 241 * np.exp(-rng.gamma(2, 0.5, (20_000, 1)) * (EOSIN + 0.2)) - 1


def brown(rng: np.random.Generator) -> np.ndarray:
    amounts = rng.gamma(1.5, 0.5, (20_000, 2))
    return 241 * np.exp(-amounts @ np.stack([HAEMATOXYLIN, [0.27, 0.57, 0.78]])) - 1


@pytest.mark.parametrize(
    ("colours", "why"),
    [(grey, "degrees apart|not those"), (one_stain, "degrees apart"), (brown, "not those of haematoxylin and eosin")],
)
def test_macenko_says_why_it_cannot(colours, why):
    sample = np.clip(colours(np.random.default_rng(0)), 0, 255).astype(np.uint8)
    with pytest.raises(StainError, match=why):
        estimate_stain(sample, "macenko")


def test_too_little_tissue():
    sample = np.full((50_000, 3), 240, dtype=np.uint8)
    sample[:9_000] = SAMPLE[:9_000]
    for method in ("macenko", "reinhard"):
        with pytest.raises(StainError, match="only .* of 50000 sampled pixels are stained, 10000 are needed"):
            estimate_stain(sample, method)


def test_reinhard_needs_colour():
    sample = np.repeat(np.random.default_rng(0).integers(20, 200, (20_000, 1), dtype=np.uint8), 3, axis=1)
    with pytest.raises(StainError, match="next to no colour contrast"):
        estimate_stain(sample, "reinhard")
