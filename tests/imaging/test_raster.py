"""Windows of an image: places, averages, and no dependence on where they are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import downscale_local_mean
from toys.imaging import as_raster, tissue_image

from stsr.imaging import Raster

IMAGE = tissue_image(60, 80, mpp=1.0)


def frame(mpp: float, x: float = 0.0, y: float = 0.0, angle: float = 0.0) -> np.ndarray:
    """Pixels of ``mpp`` µm whose first corner lies at pixel (x, y) of a frame turned by ``angle`` degrees."""
    c, s = mpp * np.cos(np.radians(angle)), mpp * np.sin(np.radians(angle))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def test_own_pixels_come_back_unchanged():
    raster = as_raster(IMAGE, 1.0)
    assert raster.mpp == pytest.approx(1.0)
    np.testing.assert_array_equal(raster.read(frame(1.0), IMAGE.shape[:2]), IMAGE)
    np.testing.assert_array_equal(raster.read(frame(1.0, 7, 5), (20, 30)), IMAGE[5:25, 7:37])


def test_coarser_pixels_are_averages():
    window = as_raster(IMAGE, 1.0).read(frame(4.0), (15, 20))
    expected = downscale_local_mean(IMAGE.astype(float), (4, 4, 1))
    np.testing.assert_allclose(window, expected, atol=0.51)


def test_outside_is_white():
    window = as_raster(IMAGE, 1.0).read(frame(1.0, -10, -10), (20, 20))
    assert (window[:9, :9] == 255).all()
    assert (as_raster(IMAGE, 1.0).read(frame(1.0, 500, 500), (4, 4)) == 255).all()


def test_the_coarsest_level_that_is_fine_enough_is_read():
    levels = [
        (np.full((3, 64 // s, 64 // s), value, np.uint8), np.diag([s, s, 1.0])) for s, value in ((1, 10), (4, 20))
    ]
    raster = Raster(tuple(levels))
    assert raster.read(frame(2.0), (8, 8)).max() == 10
    assert raster.read(frame(4.0), (8, 8)).min() == 20


@given(
    mpp=st.floats(0.7, 5),
    angle=st.floats(-180, 180),
    x=st.integers(-12, 20),
    y=st.integers(-12, 20),
)
def test_a_window_is_the_same_wherever_it_is_cut(mpp, angle, x, y):
    raster = as_raster(IMAGE, 1.0)
    whole = raster.read(frame(mpp, -12, -12, angle), (50, 50))
    part = raster.read(frame(mpp, x, y, angle), (14, 17))
    np.testing.assert_array_equal(part, whole[y + 12 : y + 26, x + 12 : x + 29])
