"""Stain estimates against known stains and torchstain; refusals with their reason."""

from __future__ import annotations

import numpy as np
import pytest
import torchstain
from skimage.color import rgb2lab
from toys.imaging import EOSIN, GLASS, HAEMATOXYLIN, tissue_image

from stsr.imaging import Reinhard, StainError, estimate_stain
from stsr.imaging.stain import REFERENCE_LAB, REFERENCE_STAINS, REFERENCE_STRENGTHS, stained_density

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
    with pytest.raises(StainError, match="almost no colour contrast"):
        estimate_stain(sample, "reinhard")


def paled(image: np.ndarray, share: float) -> np.ndarray:
    """The image with optical densities times ``share``."""
    return np.rint((GLASS + 1) * ((image + 1.0) / (GLASS + 1)) ** share - 1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("share", [0.5, 0.25, 0.12])
@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_a_pale_slide_is_measured_by_its_own_densities(method, share):
    """By absolute thresholds hardly a pixel of the palest is stained."""
    whole, pale = (estimate_stain(paled(SAMPLE, each), method, background=(GLASS,) * 3) for each in (1, share))
    if method == "macenko":
        assert np.degrees(np.arccos((whole.stains * pale.stains).sum(axis=0).clip(-1, 1))).max() < 10
        np.testing.assert_allclose(pale.strengths, share * whole.strengths, rtol=0.25)
    after = pale(paled(IMAGE, share)).astype(float)
    # as dark as the slide that is not pale, and in the same places
    assert after.mean() == pytest.approx(whole(IMAGE).mean(), abs=20)
    assert np.corrcoef(after.ravel(), whole(IMAGE).ravel())[0, 1] > 0.9


def test_a_slide_of_usual_strength_is_measured_as_published():
    assert stained_density(np.linspace(0, 1, 100_000)) == 0.15
    assert estimate_stain(SAMPLE, "reinhard").stained == 0.15


def test_noise_on_glass_is_no_stain():
    noise = np.random.default_rng(0).normal(240, 1.5, (50_000, 3)).clip(0, 255).astype(np.uint8)
    for method in ("macenko", "reinhard"):
        with pytest.raises(StainError, match="only .* of 50000 sampled pixels are stained"):
            estimate_stain(noise, method)


def test_macenko_refuses_stains_that_would_bleach_the_slide():
    rng = np.random.default_rng(0)
    pink = rng.gamma(4, 0.06, (60_000, 1)) * np.array([0.0, 0.99, 0.3])
    blue = rng.gamma(4, 0.04, (12_000, 1)) * np.array([0.65, 0.6, 0.5])
    pixels = 241 * np.exp(-np.concatenate([pink, blue]) + rng.normal(0, 0.01, (72_000, 3))) - 1
    with pytest.raises(StainError, match="% of the stained pixels would turn white"):
        estimate_stain(np.rint(pixels).clip(0, 255).astype(np.uint8), "macenko")


def test_reinhard_of_colours_that_no_light_has_says_nothing(recwarn):
    stain = Reinhard(np.array([80.0, 20, -30]), np.array([10.0, 10, 4]), np.full(3, 240.0))
    levels = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1)
    assert stain(levels[0]).dtype == stain(levels).dtype == np.uint8
    assert not recwarn
