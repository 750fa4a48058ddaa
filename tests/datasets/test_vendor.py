"""The fake vendor folder is read by the libraries that read the real one."""

import json

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
import tifffile
from PIL import Image
from spatialdata_io import visium
from toys.spatial import GENES, hex_spots, toy_counts, toy_folder, toy_image

XY, ROWCOL = hex_spots(8, 6, 50, (100, 80))


def test_matrix_is_read_by_scanpy(tmp_path):
    toy_folder(tmp_path, gene_ids=[f"ENSG{n}" for n in range(5)])
    table = sc.read_10x_h5(tmp_path / "filtered_feature_bc_matrix.h5")
    np.testing.assert_array_equal(table.X.toarray(), toy_counts(48, 5))
    assert table.var_names.tolist() == GENES
    assert table.var["gene_ids"].tolist() == ["ENSG0", "ENSG1", "ENSG2", "ENSG3", "ENSG4"]
    assert table.obs_names.is_unique
    assert table.obs_names.str.fullmatch(r"[ACGT]{16}-1").all()


@pytest.mark.parametrize("space_ranger", [1, 2])
def test_folder_is_read_by_spatialdata_io(tmp_path, space_ranger):
    toy_folder(tmp_path, space_ranger=space_ranger)
    sdata = visium(tmp_path, dataset_id="toy", fullres_image_file="he.tif")
    expected = np.rint(XY) if space_ranger == 1 else XY
    np.testing.assert_allclose(sdata["table"].obsm["spatial"], expected)
    np.testing.assert_array_equal(sdata["table"].obs[["array_row", "array_col"]], ROWCOL)
    np.testing.assert_array_equal(
        sdata["toy_full_image"]["scale0"]["image"].data, toy_image(700, 800).transpose(2, 0, 1)
    )
    assert sdata["toy"].radius.iloc[0] == pytest.approx(65 / 2 / 2.0)


def test_old_positions_have_no_header(tmp_path):
    toy_folder(tmp_path, space_ranger=1)
    positions = pd.read_csv(tmp_path / "spatial" / "tissue_positions_list.csv", header=None)
    assert positions.shape == (48, 6)
    assert not (tmp_path / "spatial" / "tissue_positions.csv").exists()


def test_spots_outside_tissue_are_listed_but_not_counted(tmp_path):
    inside = np.arange(48) % 3 > 0
    toy_folder(tmp_path, in_tissue=inside, counts=sp.csc_matrix(toy_counts(48, 5)))
    table = sc.read_10x_h5(tmp_path / "filtered_feature_bc_matrix.h5")
    positions = pd.read_csv(tmp_path / "spatial" / "tissue_positions.csv")
    assert len(positions) == 48
    assert positions.barcode[positions.in_tissue == 1].tolist() == table.obs_names.tolist()
    np.testing.assert_array_equal(table.X.toarray(), toy_counts(48, 5)[inside])


def test_images_and_scale_factors_agree(tmp_path):
    tiff = toy_folder(tmp_path, height=1000, width=2500)
    factors = json.loads((tmp_path / "spatial" / "scalefactors_json.json").read_text())
    for name, size in (("hires", (2000, 800)), ("lowres", (600, 240))):
        with Image.open(tmp_path / "spatial" / f"tissue_{name}_image.png") as image:
            assert image.size == size
        assert factors[f"tissue_{name}_scalef"] == pytest.approx(size[0] / 2500)
    with tifffile.TiffFile(tiff) as file:
        assert 1e4 / file.pages[0].resolution[0] == pytest.approx(2.0)
        np.testing.assert_array_equal(file.asarray(), toy_image(1000, 2500))


def test_arrays_that_do_not_belong_together(tmp_path):
    with pytest.raises(ValueError, match=r"counts must be \(spots, genes\) = \(48, 5\), got \(47, 5\)"):
        toy_folder(tmp_path, counts=toy_counts(47, 5))
    with pytest.raises(ValueError, match=r"array_rowcol and in_tissue must have one row per spot"):
        toy_folder(tmp_path, in_tissue=[True, False])
