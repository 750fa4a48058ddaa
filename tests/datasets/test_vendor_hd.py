"""The fake Visium HD folder is read by the libraries that read the real one."""

import json

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import tifffile
from spatialdata_io import visium_hd
from toys.spatial import GENES, toy_image
from toys.visium_hd import MPP, SHAPE, hd_bins, hd_counts, hd_folder, hd_pixels, hd_sums


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("space_ranger", "flipped"), [(3, False), (4, True)])
def test_folder_is_read_by_spatialdata_io(tmp_path, space_ranger, flipped):
    hd_folder(tmp_path, space_ranger=space_ranger, flipped=flipped)
    sdata = visium_hd(tmp_path, dataset_id="toy", load_segmentations_only=False)
    np.testing.assert_array_equal(
        sdata["toy_full_image"]["scale0"]["image"].data, toy_image(320, 420).transpose(2, 0, 1)
    )
    for size in (2, 8, 16):
        table = sdata[f"square_{size:03d}um"]
        place = np.lexsort((table.obs["array_col"], table.obs["array_row"]))
        rowcol, sums = hd_sums(size // 2)
        np.testing.assert_array_equal(table.obs[["array_row", "array_col"]].to_numpy()[place], rowcol)
        np.testing.assert_array_equal(table.X.toarray()[place], sums)
        np.testing.assert_allclose(table.obsm["spatial"][place], hd_pixels(rowcol, size, flipped=flipped))
        first = sdata[f"toy_square_{size:03d}um"].geometry.iloc[0]
        assert first.area == pytest.approx((size / MPP) ** 2)
    assert ("cell_segmentations" in sdata.tables) == (space_ranger == 4)


def test_cells_of_space_ranger_4_are_where_their_counts_are(tmp_path):
    hd_folder(tmp_path, space_ranger=4, bin_sizes=(2, 16))
    folder = tmp_path / "segmented_outputs"
    cells = sc.read_10x_h5(folder / "filtered_feature_cell_matrix.h5")
    bins = sc.read_10x_h5(tmp_path / "binned_outputs" / "square_016um" / "filtered_feature_bc_matrix.h5")
    np.testing.assert_array_equal(cells.X.toarray(), bins.X.toarray())
    outlines = json.loads((folder / "cell_segmentations.geojson").read_text())["features"]
    centres = [np.mean(cell["geometry"]["coordinates"][0][:4], axis=0) for cell in outlines]
    rowcol = bins.obs_names.str.extract(r"s_016um_(\d{5})_(\d{5})-1").to_numpy(dtype=int)
    np.testing.assert_allclose(centres, hd_pixels(rowcol, 16))


def test_positions_list_the_whole_array(tmp_path):
    hd_folder(tmp_path, bin_sizes=(2,))
    positions = pd.read_parquet(tmp_path / "binned_outputs/square_002um/spatial/tissue_positions.parquet")
    assert len(positions) == SHAPE[0] * SHAPE[1]
    inside = positions[positions["in_tissue"] == 1]
    np.testing.assert_array_equal(inside[["array_row", "array_col"]], hd_bins())
    assert inside["barcode"].iloc[0] == "s_002um_{:05d}_{:05d}-1".format(*hd_bins()[0])


def test_image_and_scale_factors_agree(tmp_path):
    tiff = hd_folder(tmp_path)
    assert tiff == tmp_path / "microscope_image" / "he.tif"
    with tifffile.TiffFile(tiff) as file:
        assert 1e4 / file.pages[0].resolution[0] == pytest.approx(MPP)
    factors = json.loads((tmp_path / "binned_outputs/square_008um/spatial/scalefactors_json.json").read_text())
    assert factors["bin_size_um"] == 8
    assert factors["microns_per_pixel"] == MPP
    assert factors["spot_diameter_fullres"] == 16


def test_default_place_is_the_middle_of_the_image(tmp_path):
    hd_folder(tmp_path, centre=None, bin_sizes=(2,))
    positions = pd.read_parquet(tmp_path / "binned_outputs/square_002um/spatial/tissue_positions.parquet")
    np.testing.assert_allclose(positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].mean(), (210, 160))


def test_arrays_that_do_not_belong_together(tmp_path):
    bins = len(hd_bins())
    with pytest.raises(ValueError, match=rf"counts must be \(bins, genes\) = \({bins}, 5\), got \({bins - 1}, 5\)"):
        hd_folder(tmp_path, counts=hd_counts(bins - 1))
    with pytest.raises(ValueError, match=r"gene_ids must have one entry per gene, 5, got 2"):
        hd_folder(tmp_path, gene_ids=GENES[:2])
    with pytest.raises(ValueError, match=r"bin_sizes=\(2, 5\) must be multiples of the finest, 2 µm"):
        hd_folder(tmp_path, bin_sizes=(2, 5))
    with pytest.raises(ValueError, match=r"space_ranger=2 is unknown; choose 3 or 4"):
        hd_folder(tmp_path, space_ranger=2)
    assert not list(tmp_path.iterdir())
