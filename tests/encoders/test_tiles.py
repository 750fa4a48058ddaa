"""Tiles to cells: no seams, no shifts, the same whatever the band."""

from __future__ import annotations

import logging

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import integrate

from stsr.encoders.base import EncoderInfo
from stsr.encoders.lattice import Axis, _hat_mean
from stsr.encoders.tiles import TileEncoder
from stsr.geometry import Grid
from stsr.imaging.raster import Raster


class MeanColour(TileEncoder):
    """A token is the mean colour of its patch, so features can be told beforehand."""

    batch_size = 4

    def __init__(self, patch: int = 16, per_tile: int = 6, mpp: float = 0.5):
        self.info = EncoderInfo("mean-colour", "", dim=3, mpp=mpp, tile=patch * per_tile, patch=patch)
        self.tiles = 0

    def encode(self, tiles):
        """Mean colour of every patch."""
        self.tiles += len(tiles)
        n, side = len(tiles), self.info.tile // self.info.patch
        return tiles.reshape(n, side, self.info.patch, side, self.info.patch, 3).mean(axis=(2, 4), dtype=np.float32)


class FirstPixel(TileEncoder):
    """A token is its patch's first pixel: it looks at half a pixel from the patch's edge, as in a ResNet."""

    batch_size = 4
    info = EncoderInfo("first-pixel", "", dim=3, tile=128, patch=32, centre=0.5)

    def encode(self, tiles):
        """First pixel of every patch."""
        return tiles[:, ::32, ::32].astype(np.float32)


def ramp(height: int = 700, width: int = 800) -> Raster:
    """Red rises along x and green along y, by 0.25 a pixel; blue is flat. 0.5 µm/px."""
    rows, cols = np.mgrid[0:height, 0:width]
    image = np.stack([cols * 0.25, rows * 0.25, np.full(rows.shape, 77.0)]) + 20
    return Raster(((np.rint(image).astype(np.uint8), np.diag([0.5, 0.5, 1])),))


def ramp_at(xy):
    """Colours of :func:`ramp` at points (..., 2) in µm."""
    x, y = np.moveaxis(np.asarray(xy), -1, 0)
    return np.stack([(x / 0.5 - 0.5) * 0.25 + 20, (y / 0.5 - 0.5) * 0.25 + 20, np.full(x.shape, 97.0)])


def noise(seed: int = 0) -> Raster:
    rng = np.random.default_rng(seed)
    return Raster(((rng.integers(0, 255, (3, 640, 720), dtype=np.uint8), np.diag([0.5, 0.5, 1])),))


def make_grid(bin_size: float, rows: int, cols: int, *, origin=(60.0, 70.0), angle: float = 0.0, flip=1) -> Grid:
    cos, sin = bin_size * np.cos(angle), bin_size * np.sin(angle)
    affine = np.array([[cos, -sin * flip, origin[0]], [sin, cos * flip, origin[1]], [0, 0, 1]])
    return Grid(affine, np.ones((rows, cols), dtype=bool))


@pytest.mark.parametrize("bin_size", [2.0, 5.0, 8.0, 11.0, 16.0, 25.0])
@pytest.mark.parametrize("patch", [14, 16, 32])
@pytest.mark.parametrize(("angle", "flip"), [(0.0, 1), (0.3, 1), (-0.2, -1)])
def test_a_ramp_comes_back_as_a_ramp(bin_size, patch, angle, flip):
    side = int(120 / bin_size)
    grid = make_grid(bin_size, side, side + 2, origin=(100, 120 if flip > 0 else 260), angle=angle, flip=flip)
    features = MeanColour(patch).encode_rows(ramp(), grid, slice(None))
    assert features.dtype == np.float32
    truth = ramp_at(grid.xy).reshape(features.shape)
    # pixels are whole numbers: rounding leaves up to half a grey level, less after averaging a patch
    np.testing.assert_allclose(features, truth, atol=0.3)


@pytest.mark.parametrize("bin_size", [5.0, 16.0, 30.0])
def test_tokens_that_do_not_look_at_the_middle_of_their_patch_are_not_shifted(bin_size):
    grid = make_grid(bin_size, 5, 6, origin=(100, 120))
    features = FirstPixel().encode_rows(ramp(), grid, slice(None))
    np.testing.assert_allclose(features, ramp_at(grid.xy).reshape(features.shape), atol=0.6)


def test_cells_that_are_tokens_get_exactly_their_own_mean_colour():
    raster, grid = noise(), make_grid(8.0, 30, 33, origin=(16, 24))
    features = MeanColour(16).encode_rows(raster, grid, slice(None))
    pixels = raster.levels[0][0][:, 48 : 48 + 480, 32 : 32 + 528].astype(float)
    np.testing.assert_allclose(features, pixels.reshape(3, 30, 16, 33, 16).mean(axis=(2, 4)), atol=1e-3)


def test_cells_of_two_tokens_get_exactly_their_own_mean_colour():
    raster, grid = noise(), make_grid(16.0, 14, 15, origin=(16, 24))
    features = MeanColour(16).encode_rows(raster, grid, slice(None))
    pixels = raster.levels[0][0][:, 48 : 48 + 448, 32 : 32 + 480].astype(float)
    np.testing.assert_allclose(features, pixels.reshape(3, 14, 32, 15, 32).mean(axis=(2, 4)), atol=1e-3)


@pytest.mark.parametrize("bin_size", [4.0, 8.0, 20.0])
def test_bands_give_what_the_whole_gives_bit_by_bit(bin_size):
    raster, grid = noise(), make_grid(bin_size, int(200 / bin_size), int(240 / bin_size), angle=0.1)
    whole = MeanColour().encode_rows(raster, grid, slice(None))
    encoder, step = MeanColour(), 3
    parts = [encoder.encode_rows(raster, grid, slice(r, r + step)) for r in range(0, grid.shape[0], step)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    alone = MeanColour().encode_rows(raster, grid, slice(5, 8))
    np.testing.assert_array_equal(alone, whole[:, 5:8])


def test_bands_encode_no_tile_twice():
    raster, grid = noise(), make_grid(8.0, 30, 33)
    whole, banded = MeanColour(), MeanColour()
    whole.encode_rows(raster, grid, slice(None))
    for row in range(grid.shape[0]):
        banded.encode_rows(raster, grid, slice(row, row + 1))
    assert banded.tiles == whole.tiles > 0


def test_tiles_without_tissue_are_not_encoded_and_change_nothing():
    raster, full = noise(), make_grid(8.0, 30, 33)
    mask = np.zeros(full.shape, dtype=bool)
    mask[2:7, 3:9] = mask[25, 30] = True
    some, every = MeanColour(), MeanColour()
    features = some.encode_rows(raster, Grid(full.affine, mask), slice(None))
    np.testing.assert_array_equal(features[:, mask], every.encode_rows(raster, full, slice(None))[:, mask])
    assert 0 < some.tiles < every.tiles


def test_another_image_is_not_taken_for_the_last_one():
    grid, encoder = make_grid(8.0, 8, 8), MeanColour()
    first = encoder.encode_rows(noise(0), grid, slice(None))
    assert np.abs(encoder.encode_rows(noise(1), grid, slice(None)) - first).max() > 1


def test_a_coarse_image_is_enlarged_and_the_log_says_so_once(caplog):
    rows, cols = np.mgrid[0:140, 0:160]
    image = np.stack([cols, rows, cols * 0 + 9]).astype(np.uint8)
    raster = Raster(((image, np.diag([2.0, 2.0, 1])),))
    grid, encoder = make_grid(8.0, 12, 12, origin=(64, 80)), MeanColour()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        features = np.concatenate([encoder.encode_rows(raster, grid, slice(r, r + 6)) for r in (0, 6)], axis=1)
    np.testing.assert_allclose(features[0].ravel(), grid.xy[:, 0] / 2 - 0.5, atol=0.3)
    assert [record.message for record in caplog.records] == [
        "The image has 2.00 µm/px, encoder mean-colour takes 0.50 µm/px: the image is enlarged for it."
    ]


@given(
    cells=st.integers(1, 60),
    bin_size=st.floats(2, 100),
    token=st.sampled_from([4.0, 7.0, 8.0, 16.0]),
    centre=st.floats(0, 1),
    per_tile=st.integers(2, 37),
)
def test_every_axis_is_covered_once_and_keeps_lines_straight(cells, bin_size, token, centre, per_tile):
    axis = Axis(cells, bin_size, token, centre * token, per_tile)
    cover = np.zeros(axis.tokens)
    for tile in range(len(axis.tiles)):
        here, there = axis.inside(tile)
        cover[here] += axis.taper[there]
    np.testing.assert_allclose(cover, 1, atol=1e-6)

    np.testing.assert_allclose(axis.weights.sum(axis=1), 1, atol=1e-5)
    middles = (axis.first + np.arange(axis.tokens)) * token + axis.centre
    np.testing.assert_allclose(axis.weights @ middles, (np.arange(cells) + 0.5) * bin_size, rtol=1e-5, atol=1e-3)


@given(x=st.floats(-4, 4), spread=st.floats(0.01, 3))
def test_the_mean_of_the_hat_is_its_integral(x, spread):
    corners = sorted(c for c in (-1, 0, 1) if x - spread < c < x + spread)
    area, _ = integrate.quad(lambda u: max(0, 1 - abs(u)), x - spread, x + spread, points=corners or None)
    np.testing.assert_allclose(_hat_mean(x, spread), area / (2 * spread), atol=1e-7)
