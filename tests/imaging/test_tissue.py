"""The tissue mask on synthetic sections with every nuisance, and on a real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from toys.imaging import tissue_image

from stsr.imaging import BY_SPOTS, SURE, TISSUE_MPP, Evidence, find_tissue, tissue_mask


def section(seed: int = 0) -> np.ndarray:
    """960 x 960 µm of tissue in the middle of 1600 x 1600 µm, seen at 8 µm per pixel."""
    return tissue_image(200, 200, mpp=TISSUE_MPP, margin=320, seed=seed)


def true_mask() -> np.ndarray:
    mask = np.zeros((200, 200), dtype=bool)
    mask[40:160, 40:160] = True
    return mask


def test_tissue_is_found_to_within_two_pixels():
    mask, true = tissue_mask(section(), TISSUE_MPP), true_mask()
    assert mask[true].all()
    assert ndimage.distance_transform_edt(~true)[mask].max() <= 2


def test_lumina_are_tissue_and_lakes_are_not():
    image = section()
    image[60:75, 60:75] = 240  # 120 µm: a tube
    image[100:140, 100:140] = 240  # 320 µm: no tissue
    mask = tissue_mask(image, TISSUE_MPP)
    assert mask[60:75, 60:75].all()
    assert not mask[110:130, 110:130].any()


def test_specks_are_dropped():
    image = section()
    image[10:14, 10:14] = 90
    assert not tissue_mask(image, TISSUE_MPP)[:30, :30].any()


@pytest.mark.parametrize("ink", [(30, 60, 200), (20, 140, 60), (15, 15, 15)])
def test_ink_is_not_tissue(ink):
    image = section()
    image[5:25, 20:180] = ink
    mask = tissue_mask(image, TISSUE_MPP)
    assert not mask[:30].any()
    assert mask[60:140, 60:140].all()


def test_shade_and_diffuse_stain_are_not_tissue():
    image = section().astype(float)
    cols = np.linspace(0, 1, 200)[None, :, None]
    image *= 1 - 0.25 * cols * np.array([0.2, 1.0, 0.3])
    mask = tissue_mask(image.astype(np.uint8), TISSUE_MPP)
    assert ndimage.distance_transform_edt(~true_mask())[mask].max() <= 2


def test_tissue_may_fill_the_image():
    assert tissue_mask(tissue_image(100, 120, mpp=TISSUE_MPP), TISSUE_MPP).mean() > 0.99


@pytest.mark.parametrize("value", [0, 200, 255])
def test_an_even_image_has_no_tissue(value):
    noise = np.random.default_rng(0).integers(-2, 3, (100, 100, 3))
    image = np.clip(value + noise, 0, 255).astype(np.uint8)
    with pytest.raises(ValueError, match="shows no tissue"):
        tissue_mask(image if value else np.zeros_like(image), TISSUE_MPP)


def test_kidney(data_dir):
    import pandas as pd
    import tifffile

    from stsr.imaging import Raster

    mpp = 2.0081149
    pixels = np.moveaxis(tifffile.imread(data_dir / "kidney/visium/kidney_he.tif"), -1, 0)
    raster = Raster(((pixels, np.diag([mpp, mpp, 1.0])),))
    mask = tissue_mask(raster.read(np.diag([8.0, 8.0, 1.0]), (868, 530)), 8.0)
    bins = pd.read_parquet(
        data_dir / "kidney/visium_hd/binned_outputs/square_008um/spatial/tissue_positions.parquet",
        filters=[("in_tissue", "==", 1)],
    )
    col, row = (bins[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy() * mpp // 8).astype(int).T
    assert mask[row, col].mean() > 0.999
    assert not mask[700:, :50].any()  # bare glass, lower left


def evidence(on: np.ndarray, *, off: np.ndarray | None = None, reach: float = 200) -> Evidence:
    """Spots of 5 x 5 pixels every 12 pixels of the mask ``on``, and off tissue every 12 pixels of ``off``."""
    lattice = np.zeros(on.shape, dtype=bool)
    lattice[6:-6:12, 6:-6:12] = True
    measured, unmeasured = (
        ndimage.binary_dilation(lattice & mask, np.ones((5, 5)))
        for mask in (on, np.zeros_like(on) if off is None else off)
    )
    joined = ndimage.binary_closing(measured, np.ones((9, 9)))
    return Evidence(np.argwhere(lattice & on), measured, joined, unmeasured, reach)


def test_without_spots_nothing_changes():
    none = evidence(np.zeros((200, 200), dtype=bool))
    np.testing.assert_array_equal(find_tissue(section(), TISSUE_MPP, none).mask, tissue_mask(section(), TISSUE_MPP))
    assert find_tissue(section(), TISSUE_MPP, none).left_out is None


def test_spots_beyond_the_image_say_nothing():
    beyond = replace(evidence(np.zeros((200, 200), dtype=bool)), spots=np.array([[0, 199], [0, 0]]))
    np.testing.assert_array_equal(find_tissue(section(), TISSUE_MPP, beyond).mask, tissue_mask(section(), TISSUE_MPP))


def test_spots_that_the_image_shows_change_nothing():
    found = find_tissue(section(), TISSUE_MPP, evidence(true_mask()))
    np.testing.assert_array_equal(found.mask, tissue_mask(section(), TISSUE_MPP))
    assert found.detector == "contrast"
    assert found.left_out == (0, 0)


def smooth_beside_uneven() -> np.ndarray:
    """Glass, and tissue of which one half is even and the other uneven, as muscle beside a wound."""
    image = section()
    image[40:160, 100:160] = np.random.default_rng(1).normal((190, 130, 170), 1.5, (120, 60, 3)).clip(0, 255)
    return image


def test_the_detector_is_taken_that_agrees_with_the_spots():
    found = find_tissue(smooth_beside_uneven(), TISSUE_MPP, evidence(true_mask()))
    assert found.detector in ("density", "colour")
    assert (found.mask & true_mask()).sum() / (found.mask | true_mask()).sum() > 0.9


def test_spots_off_tissue_speak_against_a_mask():
    """A stain on glass beside the tissue, on which spots were called off tissue, is told from pale tissue."""
    image = section()
    image[40:160, 165:195] = (235, 190, 225)
    beside = np.zeros((200, 200), dtype=bool)
    beside[40:160, 165:195] = True
    told = find_tissue(image, TISSUE_MPP, evidence(true_mask(), off=beside))
    assert told.mask[beside].mean() < 0.1
    also = find_tissue(image, TISSUE_MPP, evidence(true_mask() | beside))
    assert also.mask[beside].mean() > 0.9


def test_measured_discs_and_what_lies_between_them_are_tissue_whatever_the_image_shows():
    on = np.zeros((200, 200), dtype=bool)
    on[40:160, 20:160] = True
    spots = evidence(on)
    found = find_tissue(section(), TISSUE_MPP, spots)
    assert found.mask[spots.joined].all()
    assert 0.05 < found.left_out[0] < 0.2


def test_pieces_far_from_every_spot_are_another_section():
    image = section()
    image[60:100, 182:198] = tissue_image(40, 16, mpp=TISSUE_MPP)
    alone = find_tissue(image, TISSUE_MPP)
    near = np.zeros((200, 200), dtype=bool)
    near[40:160, 40:120] = True
    found = find_tissue(image, TISSUE_MPP, evidence(near))
    assert alone.mask[70:90, 185:195].all()
    assert not found.mask[:, 175:].any()
    assert found.dropped == pytest.approx(40 * 16 * 64, rel=0.3)
    assert found.mask[60:140, 130:150].all()  # the same piece as the spots, though far from them


def test_where_the_image_shows_no_tissue_the_spots_tell_unless_it_is_blank():
    pale = np.full((100, 100, 3), 240, dtype=np.uint8)
    pale[5::14, 5::14] = 130  # nuclei, each a speck
    on = np.zeros((100, 100), dtype=bool)
    on[20:80, 20:80] = True
    with pytest.raises(ValueError, match="shows no tissue"):
        find_tissue(pale, TISSUE_MPP)
    found = find_tissue(pale, TISSUE_MPP, evidence(on))
    np.testing.assert_array_equal(found.mask, evidence(on).joined)
    assert (found.detector, found.left_out) == (BY_SPOTS, (1, 1))
    for blank in (np.full_like(pale, 240), np.zeros_like(pale)):
        with pytest.raises(ValueError, match="shows no tissue.*or pass your own mask as tissue="):
            find_tissue(blank, TISSUE_MPP, evidence(on))


def test_one_pixel_has_no_tissue_or_is_tissue():
    with pytest.raises(ValueError, match="image of 1 x 1 pixels at 8 µm/px shows no tissue"):
        tissue_mask(np.full((1, 1, 3), 250, dtype=np.uint8), TISSUE_MPP)
    assert tissue_mask(np.full((1, 1, 3), (150, 60, 120), dtype=np.uint8), TISSUE_MPP).all()


@pytest.mark.parametrize("light", [0.7, 0.8])
def test_an_inverted_image_is_not_trusted(light):
    image = (light * tissue_image(300, 300, mpp=8.0, margin=400)).astype(np.uint8)
    assert find_tissue(image, 8.0).confidence > SURE
    assert find_tissue(255 - image, 8.0).confidence == 0
