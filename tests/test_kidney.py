"""The main job on real tissue, with quick methods: what holds on a toy must hold on a slide."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import tifffile

import stsr
from stsr.metrics import pearson
from stsr.spatial import labels_to_grid, open_store, read_section

MARKERS = ["NPHS2", "UMOD", "AQP2", "ALDOB"]


@pytest.fixture(scope="module")
def visium(data_dir):
    return data_dir / "kidney" / "visium"


@pytest.fixture(scope="module")
def kidney(visium, tmp_path_factory):
    """The kidney section, super-resolved by two baselines."""
    store = tmp_path_factory.mktemp("kidney") / "kidney.zarr"
    sdata = stsr.pp.read_visium(visium, fullres_image="kidney_he.tif", store=store, dataset_id="kidney")
    for method in ("idw", "ridge"):
        stsr.tl.fit_super_resolution(sdata, method=method, genes=MARKERS, key_added=f"sr_{method}", progress=False)
    return sdata


def test_every_molecule_and_pixel_is_read(kidney, visium):
    raw = sc.read_10x_h5(visium / "filtered_feature_bc_matrix.h5")
    assert kidney["table"].shape == raw.shape == (2769, 18084)
    assert kidney["table"].obs_names.equals(raw.obs_names)
    assert (kidney["table"].X != raw.X).nnz == 0
    pixels = kidney["kidney_full_image"]["scale0"]["image"]
    assert pixels.shape == (3, 3460, 2115)
    np.testing.assert_array_equal(
        pixels.data[:, 1000:1100, 500:600],
        tifffile.imread(visium / "kidney_he.tif")[1000:1100, 500:600].transpose(2, 0, 1),
    )


def test_the_scale_comes_from_the_pitch(kidney):
    assert kidney.attrs["stsr"]["mpp"] == pytest.approx(2.008, abs=5e-4)
    assert kidney.attrs["stsr"]["mpp_source"] == "pitch"


def test_spots_lie_on_the_tissue(kidney):
    section = read_section(kidney, genes=MARKERS, grid="grid_008um")
    covered = section.footprint.sum(axis=1) / section.spot_cells
    assert (covered > 0.9).mean() > 0.98


def test_predictions_keep_the_spots_counts(kidney):
    section = read_section(kidney, genes=MARKERS, grid="grid_008um")
    measured = section.counts.toarray()
    for method, share in (("idw", 0.9), ("ridge", 0.5)):
        discs = section.footprint @ kidney[f"sr_{method}"].X
        assert np.nanmean(pearson(discs, measured)) > share
        np.testing.assert_allclose(discs.sum(axis=0), measured.sum(axis=0), rtol=0.15)


def test_one_map_is_drawn_from_the_store(kidney, tmp_path):
    sdata = open_store(kidney.path)
    stsr.pl.gene_map(sdata, "NPHS2", table="sr_ridge").savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000
    assert labels_to_grid(sdata, "grid_008um").n_cells == sdata["sr_ridge"].n_obs
