"""The fake Xenium folder is read by the library that reads the real one, all of it but the morphology images."""

import json

import numpy as np
import pandas as pd
import pytest
from spatialdata.transformations import get_transformation
from spatialdata_io import xenium
from toys.spatial import toy_image
from toys.xenium import GENES, MPP, PIXEL, alignment, molecules, to_vendor, toy_xenium


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("xenium")
    toy_xenium(path)
    return path


@pytest.fixture(scope="module")
def sdata(folder):
    return xenium(folder, morphology_mip=False, morphology_focus=False)


def test_transcripts(sdata):
    found = molecules()
    rows = sdata["transcripts"].compute()
    np.testing.assert_allclose(rows[["x", "y"]], to_vendor(found.xy, alignment(), PIXEL), rtol=1e-6)
    assert rows["feature_name"].tolist() == found.names.tolist()
    np.testing.assert_array_equal(rows["qv"], found.qv.astype(np.float32))


def test_image_lies_where_the_alignment_says(sdata):
    np.testing.assert_array_equal(sdata["he_image"]["scale0"]["image"].data, toy_image(800, 1000).transpose(2, 0, 1))
    place = get_transformation(sdata["he_image"], "global").to_affine_matrix(("x", "y"), ("x", "y"))
    np.testing.assert_allclose(place, alignment())


def test_cells_count_the_good_transcripts_of_genes_in_their_discs(sdata):
    found, table = molecules(), sdata["table"]
    assert table.var_names.tolist() == GENES
    place = to_vendor(found.xy, alignment(), PIXEL)[found.counted]
    names = found.names[found.counted]
    distance = np.sqrt(((place[:, None] - table.obsm["spatial"]) ** 2).sum(axis=-1))
    nearest = distance.argmin(axis=1)
    inside = distance.min(axis=1) <= 6
    for number, gene in enumerate(GENES):
        own = np.bincount(nearest[inside & (names == gene)], minlength=table.n_obs)
        np.testing.assert_array_equal(table.X[:, number].toarray().ravel(), own)


def test_labels_and_outlines_are_the_cells(sdata):
    table = sdata["table"]
    labels = np.asarray(sdata["cell_labels"]["scale0"]["image"])
    outlines = sdata["cell_boundaries"].loc[table.obs["cell_id"]]
    centres = np.column_stack([outlines.centroid.x, outlines.centroid.y])
    np.testing.assert_allclose(centres, table.obsm["spatial"], atol=1e-3)
    assert outlines.area.to_numpy() == pytest.approx(np.pi * 36, rel=0.03)
    x, y = (table.obsm["spatial"] / PIXEL).astype(int).T
    hit = labels[y, x] == table.obs["cell_labels"]
    assert hit.mean() > 0.8  # a later cell may lie on an earlier one
    assert sdata["nucleus_boundaries"].area.to_numpy() == pytest.approx(np.pi * 9, rel=0.03)


def test_unassigned_transcripts_and_controls(folder):
    rows = pd.read_parquet(folder / "transcripts.parquet")
    assert 0 < (rows["cell_id"] == "UNASSIGNED").sum() < len(rows)
    assert (rows["is_gene"] == rows["feature_name"].isin(GENES)).all()


def test_specs_and_stated_resolution(folder):
    from stsr.spatial.fullres import open_fullres

    specs = json.loads((folder / "experiment.xenium").read_text())
    assert specs["analysis_sw_version"] == "xenium-3.0.0.15"
    assert specs["pixel_size"] == PIXEL
    assert open_fullres(folder / "toy_he_image.ome.tif").mpp == pytest.approx(MPP)


def test_arrays_that_do_not_belong_together(tmp_path):
    with pytest.raises(
        ValueError, match=r"xy must be \(transcripts, 2\) and quality \(transcripts,\) for 6000 features"
    ):
        toy_xenium(tmp_path, quality=[1.0])
    with pytest.raises(ValueError, match=r"alignment must be \(3, 3\) and cells \(cells, 2\), got \(2, 2\)"):
        toy_xenium(tmp_path, alignment=np.eye(2))
