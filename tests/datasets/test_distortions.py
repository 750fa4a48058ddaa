"""Every distortion changes the image, in shape and place, more where it is hard, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from toys.imaging import tissue_image

from stsr.datasets.distortions import DISTORTIONS, SEVERITIES

MPP = 4.0
IMAGE = tissue_image(260, 301, mpp=MPP, margin=160)
CHECKERED = np.kron(np.indices((26, 30)).sum(axis=0) % 2, np.ones((10, 10)))[..., None] * np.full(3, 120) + 100
STAINS = ("paler", "darker", "bluer", "low_contrast", "grey", "noise", "uneven_light", "stitched", "jpeg", "coarse")


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", DISTORTIONS)
def test_same_shape_another_image_and_the_source_is_left_alone(name, severity):
    source = IMAGE.copy()
    changed = DISTORTIONS[name](source, MPP, severity, 3)
    np.testing.assert_array_equal(source, IMAGE)
    assert changed.shape == IMAGE.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, IMAGE)
    np.testing.assert_array_equal(changed, DISTORTIONS[name](source, MPP, severity, 3))


@pytest.mark.parametrize("name", DISTORTIONS)
def test_hard_is_harder_than_mild(name):
    off = [np.abs(DISTORTIONS[name](IMAGE, MPP, severity, 3) - IMAGE.astype(float)).mean() for severity in SEVERITIES]
    assert off[1] > off[0] > 0


@pytest.mark.parametrize("name", STAINS)
def test_everything_stays_in_its_place(name):
    image = CHECKERED.astype(np.uint8)
    changed = DISTORTIONS[name](image, MPP, "mild", 0).mean(axis=-1)
    moved = [np.corrcoef(np.roll(changed, step, axis=1).ravel(), image[..., 0].ravel())[0, 1] for step in (-3, 0, 3)]
    assert np.argmax(moved) == 1
    assert moved[1] > 0.8


@pytest.mark.parametrize("name", ["second_section", "no_glass"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_what_comes_in_covers_glass_only(name, severity):
    changed = (DISTORTIONS[name](IMAGE, MPP, severity, 0) != IMAGE).any(axis=-1)
    assert changed.any()
    assert not changed[44:-44, 44:-44].any()


@pytest.mark.parametrize("name", DISTORTIONS)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_image_of_one_colour_is_no_obstacle(name, value):
    image = np.full((40, 30, 3), value, dtype=np.uint8)
    assert DISTORTIONS[name](image, 8.0, "hard", 0).shape == image.shape


def test_an_unknown_severity_is_refused():
    for function in DISTORTIONS.values():
        with pytest.raises(ValueError, match="severity='awful' is not known; choose one of mild, hard"):
            function(IMAGE, MPP, "awful", 0)
