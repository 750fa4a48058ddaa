"""The tissue mask on synthetic sections with every nuisance, and on a real one."""

from __future__ import annotations

import numpy as np
import pytest
from imaging_toys import tissue_image
from scipy import ndimage

from stsr.imaging import TISSUE_MPP, tissue_mask
from stsr.imaging.detectors import optical_density


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


def test_optical_density():
    np.testing.assert_allclose(optical_density(np.array([255, 127, 0], dtype=np.uint8)), np.log([1, 2, 256]), rtol=1e-6)


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
