"""What each detector sees, and what it does not mind."""

from __future__ import annotations

import numpy as np
import pytest
from toys.imaging import tissue_image

from stsr.imaging.cues import ink_mask, measure_cues, optical_density
from stsr.imaging.detectors import BOUNDS, detect, threshold, without_specks

MPP = 8.0


def masks(image: np.ndarray, mpp: float = MPP) -> dict[str, np.ndarray]:
    return detect(measure_cues(image, mpp), mpp, min_piece=20_000, max_hole=50_000)


def slide(colour: tuple[int, int, int], *, uneven: float = 0.0) -> np.ndarray:
    """Glass with a square of tissue of one colour, and as uneven as asked for."""
    image = np.full((100, 100, 3), 240.0)
    noise = np.random.default_rng(0).normal(0, 1, (60, 60, 1))
    image[20:80, 20:80] = np.array(colour) * np.exp(uneven * noise)
    return np.clip(image, 0, 255).astype(np.uint8)


def test_optical_density():
    np.testing.assert_allclose(optical_density(np.array([255, 127, 0], dtype=np.uint8)), np.log([1, 2, 256]), rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        (slide((150, 150, 150)), {"density"}),
        (slide((150, 150, 150), uneven=0.3), {"contrast", "density"}),
        (slide((235, 190, 225)), {"density", "colour"}),
        (slide((236, 236, 236), uneven=0.06), {"contrast"}),
    ],
)
def test_each_sees_its_own(image, seen):
    found = {name for name, mask in masks(image).items() if mask[30:70, 30:70].mean() > 0.9}
    assert found & set(BOUNDS) == seen
    assert ("contrast or density" in found) == bool(seen & {"contrast", "density"})
    for name in found:
        assert not masks(image)[name][:12].any()


def test_a_gradient_of_light_changes_density_only():
    image = tissue_image(150, 150, mpp=MPP, margin=320)
    dim = (image * np.linspace(1, 0.6, 150)[:, None, None]).astype(np.uint8)
    before, after = measure_cues(image, MPP).values, measure_cues(dim, MPP).values
    off = {name: np.abs(before[name] - after[name]).mean() / before[name].mean() for name in before}
    assert off["contrast"] < 0.1
    assert off["colour"] < 0.1
    assert off["density"] > 0.5


@pytest.mark.parametrize("name", BOUNDS)
def test_thresholds_stay_within_their_bounds(name):
    low, high = BOUNDS[name]
    rng = np.random.default_rng(0)
    for values in (np.zeros(100), np.ones(100), rng.random(100) * low / 2, 5 * high + rng.random(100)):
        assert low <= threshold(name, values.astype(np.float32)) <= high


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (12, 12)])
@pytest.mark.parametrize("value", [0, 120, 255])
def test_small_images_are_looked_at(shape, value):
    found = masks(np.full((*shape, 3), value, dtype=np.uint8))
    assert all(mask.shape == shape for mask in found.values())


def test_pieces_of_a_small_image_are_no_specks():
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:, :] = True
    np.testing.assert_array_equal(without_specks(mask, MPP, 20_000), mask)
    large = np.pad(mask, 90)
    assert not without_specks(large, MPP, 20_000).any()


@pytest.mark.parametrize("mpp", [2.0, 20.0, 60.0])
def test_any_resolution_will_do(mpp):
    side = int(1600 / mpp)
    image = tissue_image(side, side, mpp=mpp, margin=400)
    found = masks(image, mpp)["density"]
    true = np.zeros((side, side), dtype=bool)
    edge = round(400 / mpp)
    true[edge : side - edge, edge : side - edge] = True
    assert (found & true).sum() / (found | true).sum() > 0.8


@pytest.mark.parametrize("grey", [0, 60, 128])
def test_an_even_grey_margin_is_ink_and_glass_and_smooth_grey_tissue_are_not(grey):
    image = tissue_image(200, 200, mpp=8.0, margin=160)
    image[60:100, 60:100] = 120
    padded = np.pad(image, ((0, 0), (40, 0), (0, 0)), constant_values=grey)
    ink = ink_mask(padded, 8.0)
    assert ink[:, :38].all()
    assert not ink[:, 46:].any()
    np.testing.assert_array_equal(ink, measure_cues(padded, 8.0).ink)
