"""Patches of a picture that is known pixel by pixel, and the symmetries of a square."""

from __future__ import annotations

import itertools

import dask.array
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.utils.data import DataLoader
from toys.section import toy_section

from stsr.imaging import Raster
from stsr.methods.shared.image_patches import ImagePatches, PatchDataset, inverse, symmetry
from stsr.nn.training.recipe import SYMMETRIES

MPP = 0.5


class Watched:
    """An image that notes the largest window that was read of it."""

    def __init__(self, pixels):
        self.pixels, self.shape, self.largest = pixels, pixels.shape, 0

    def __getitem__(self, window):
        part = self.pixels[window]
        self.largest = max(self.largest, part.shape[1] * part.shape[2])
        return part


@pytest.fixture(scope="module")
def pixels():
    """(3, 60, 80) of noise."""
    return np.random.default_rng(0).integers(0, 255, (3, 60, 80), dtype=np.uint8)


def raster(pixels, mpp=MPP):
    return Raster(((pixels, np.diag([mpp, mpp, 1.0])),))


def test_a_patch_is_the_pixels_around_its_point(pixels):
    patches = ImagePatches(raster(pixels), np.array([[10.0, 15.0], [30.0, 20.0]]), size=8.0, pixels=16)
    assert (len(patches), patches.mpp) == (2, MPP)
    assert patches[0].dtype == np.uint8
    np.testing.assert_array_equal(patches[0], np.moveaxis(pixels[:, 22:38, 12:28], 0, -1))
    np.testing.assert_array_equal(patches[1], np.moveaxis(pixels[:, 32:48, 52:68], 0, -1))


def test_outside_of_the_image_it_is_white(pixels):
    corner, beyond = ImagePatches(raster(pixels), np.array([[0.0, 0.0], [400.0, 15.0]]), size=8.0, pixels=16)
    np.testing.assert_array_equal(corner[8:, 8:], np.moveaxis(pixels[:, :8, :8], 0, -1))
    assert (corner[:8] == 255).all()
    assert (corner[:, :8] == 255).all()
    assert (beyond == 255).all()


def test_coarser_pixels_are_means_of_those_of_the_image(pixels):
    (patch,) = ImagePatches(raster(pixels), np.array([[16.0, 16.0]]), size=16.0, pixels=8)
    blocks = pixels[:, 16:48, 16:48].reshape(3, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.abs(patch - np.moveaxis(blocks, 0, -1)).max() <= 0.5


def test_finer_pixels_lie_between_those_of_the_image():
    ramp = np.broadcast_to(np.arange(80, dtype=np.uint8) * 3, (3, 60, 80))
    (patch,) = ImagePatches(raster(ramp), np.array([[20.0, 15.0]]), size=8.0, pixels=64)
    x = 16 + (np.arange(64) + 0.5) * 8.0 / 64  # µm
    expected = 3 * (x / MPP - 0.5)
    assert np.abs(patch - expected[None, :, None]).max() <= 0.51


def test_one_size_in_um_shows_the_same_tissue_at_any_resolution():
    """Sections A of HER2+ were scanned at .99 µm/px, the others at .72: in pixels their patches would differ."""
    rows, cols = np.mgrid[0:240, 0:240] + 0.5

    def waves(mpp):
        wave = 128 + 100 * np.sin(cols * mpp / 9) * np.cos(rows * mpp / 7)
        return raster(np.broadcast_to(np.rint(wave).astype(np.uint8), (3, 240, 240)), mpp)

    points = np.array([[60.0, 55.0], [80.0, 40.0]])
    for one, other in zip(*(ImagePatches(waves(mpp), points, 40.0, 32) for mpp in (0.5, 0.7)), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 4


def test_only_the_patch_is_read(pixels):
    image = Watched(np.tile(pixels, (1, 10, 10)))
    patches = ImagePatches(raster(image), np.array([[100.0, 100.0]]), size=8.0, pixels=4)
    assert image.largest == 0
    patches[0]
    assert image.largest <= 30**2


def test_a_section_gives_patches_of_its_spots():
    section = toy_section(shape=(20, 24)).section
    patches = ImagePatches(section.raster, section.spots, size=55.0, pixels=32)
    assert len(patches) == len(section.spots)
    assert patches[0].std() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": np.zeros((3, 3))}, r"points of shape \(3, 3\) are not allowed; pass \(n, 2\)"),
        ({"points": np.array([[0, np.nan]])}, "points that are not finite are not allowed"),
        ({"size": 0}, "size=0 is not allowed; pass a number from 0.001"),
        ({"pixels": 1.5}, "pixels=1.5 is not allowed; pass a whole number from 1 to 4096"),
    ],
)
def test_what_is_no_patch_is_refused(pixels, change, message):
    with pytest.raises(ValueError, match=message):
        ImagePatches(**({"image": raster(pixels), "points": np.zeros((1, 2)), "size": 8.0, "pixels": 4} | change))


SQUARES = st.integers(1, 5).flatmap(lambda side: arrays(np.uint8, (side, side, 2)))
TURNS = st.integers(0, SYMMETRIES - 1)


@given(patch=SQUARES, k=TURNS)
def test_a_symmetry_is_undone_exactly(patch, k):
    np.testing.assert_array_equal(symmetry(symmetry(patch, k), inverse(k)), patch)


def test_symmetries_are_the_group_of_the_square():
    square = np.arange(9).reshape(3, 3, 1)
    shapes = [symmetry(square, k).tobytes() for k in range(SYMMETRIES)]
    assert len(set(shapes)) == 8
    for a, b in itertools.product(range(SYMMETRIES), repeat=2):
        assert symmetry(symmetry(square, a), b).tobytes() in shapes
    np.testing.assert_array_equal(symmetry(square, 0), square)
    assert sum(np.array_equal(symmetry(symmetry(square, k), k), square) for k in range(SYMMETRIES)) == 6


@given(patch=SQUARES, k=TURNS)
def test_a_stack_is_turned_patch_by_patch(patch, k):
    np.testing.assert_array_equal(symmetry(np.stack([patch, patch + 1]), k)[1], symmetry(patch + 1, k))


def test_what_has_no_such_symmetry_is_refused():
    with pytest.raises(ValueError, match="k=8 is not allowed; pass a whole number from 0 to 7"):
        symmetry(np.zeros((2, 2, 3)), 8)
    with pytest.raises(ValueError, match=r"patch of shape \(2, 3, 3\) is no square"):
        symmetry(np.zeros((2, 3, 3)), 1)
    with pytest.raises(ValueError, match="k=-1 is not allowed"):
        inverse(-1)


@pytest.fixture(scope="module")
def dataset(pixels, tmp_path_factory):
    """Patches of an image on disk, as those of a section are."""
    folder = tmp_path_factory.mktemp("image")
    dask.array.from_array(pixels, chunks=(3, 32, 32)).to_zarr(folder / "image.zarr")
    image = dask.array.from_zarr(folder / "image.zarr")
    points = np.stack([np.arange(5, 35, 3), np.arange(5, 25, 2)], axis=1).astype(float)
    targets = np.random.default_rng(1).random((10, 4), dtype=np.float32)
    return PatchDataset(ImagePatches(raster(image), points, size=8.0, pixels=8), targets)


def test_an_item_is_a_patch_with_channels_first_and_its_target(dataset):
    patch, target = dataset[3]
    np.testing.assert_array_equal(np.moveaxis(patch, 0, -1), dataset.patches[3])
    np.testing.assert_array_equal(target, dataset.targets[3])


def test_an_item_can_be_asked_for_turned(dataset):
    patch, target = dataset[3, 5]
    np.testing.assert_array_equal(np.moveaxis(patch, 0, -1), symmetry(dataset.patches[3], 5))
    np.testing.assert_array_equal(target, dataset.targets[3])


def test_two_workers_give_what_one_process_gives(dataset):
    alone = list(DataLoader(dataset, batch_size=4))
    workers = list(DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context="forkserver"))
    assert [len(patch) for patch, _ in workers] == [4, 4, 2]
    assert alone[0][0].shape == (4, 3, 8, 8)
    for one, other in zip(alone, workers, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_every_patch_has_a_target(dataset):
    with pytest.raises(ValueError, match=r"targets=9 rows do not fit 10 patches; pass one row for each patch"):
        PatchDataset(dataset.patches, dataset.targets[:9])
