"""Sections from AnnData objects: what is kept, where µm per pixel comes from, and what is refused."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import squidpy as sq
from PIL import Image
from spatial_toys import GENES, hex_spots, toy_counts, toy_image

import stsr
from stsr.geometry import Disc
from stsr.spatial import open_store, read_section, record

MPP = 2.0


@pytest.fixture
def adata():
    """48 spots of a Visium lattice on an image of 700 x 800 pixels."""
    xy, rowcol = hex_spots(8, 6, 100 / MPP, (100, 80))
    obs = pd.DataFrame({"array_row": rowcol[:, 0], "array_col": rowcol[:, 1], "n_counts": 1.5}, index=names(len(xy)))
    adata = ad.AnnData(toy_counts(len(xy), 5).astype(float), obs=obs, var=pd.DataFrame({"id": range(5)}, index=GENES))
    adata.obsm["spatial"] = xy
    adata.obsm["X_pca"] = np.zeros((len(xy), 2))
    adata.uns["spatial"] = {"lib 1": {"images": {}}}
    return adata


def names(number: int) -> list[str]:
    return [f"AAAC-{spot}" for spot in range(number)]


@pytest.fixture
def take(adata, tmp_path):
    """Make a section of the AnnData object and the image."""
    Image.fromarray(toy_image(700, 800)).save(tmp_path / "he.png")

    def run(adata=adata, **options):
        usual = {"fullres_image": tmp_path / "he.png", "store": tmp_path / "a.zarr", "dataset_id": "toy"}
        return stsr.pp.from_anndata(adata, **(usual | ({"pitch": 100} if "mpp" not in options else {}) | options))

    return run


def test_counts_obs_and_var_are_kept_and_nothing_else(adata, take):
    before = adata.copy()
    sdata = open_store(take().path)
    table = sdata["table"]
    np.testing.assert_array_equal(table.X.toarray(), adata.X)
    assert sp.issparse(table.X)
    assert table.X.dtype == np.float32
    pd.testing.assert_frame_equal(table.obs[adata.obs.columns], adata.obs, check_names=False)
    pd.testing.assert_frame_equal(table.var, adata.var, check_names=False)
    np.testing.assert_array_equal(table.obsm["spatial"], adata.obsm["spatial"])
    assert set(table.obsm) == {"spatial"}
    assert set(table.uns) == {"spatialdata_attrs"}
    assert adata.obs.equals(before.obs)
    assert set(adata.obsm) == set(before.obsm)
    np.testing.assert_array_equal(
        sdata["toy_full_image"]["scale0"]["image"].data, toy_image(700, 800).transpose(2, 0, 1)
    )


def test_it_is_a_section_like_any_other(adata, take):
    sdata = take(spot_diameter=60)
    facts = record(sdata)
    assert (facts.technology, facts.spots, facts.table, facts.spot_size) == ("anndata", "toy", "table", 60)
    stsr.pp.make_grid(sdata, bin_size=20)
    section = read_section(sdata, genes=GENES, grid="grid_020um")
    np.testing.assert_allclose(section.spots, adata.obsm["spatial"] * MPP)
    assert section.aperture == Disc(60)
    np.testing.assert_allclose(sdata["toy"].radius, 30 / MPP)
    stsr.tl.fit_super_resolution(sdata, method="idw", genes=GENES, grid="grid_020um", progress=False)
    assert np.isfinite(sdata["sr_020um"].X).all()
    sq.gr.spatial_neighbors(sdata["table"], n_neighs=6, coord_type="grid")
    assert sdata["table"].obsp["spatial_connectivities"].sum(axis=1).max() == 6


def test_scale_from_the_pitch_from_the_user_or_from_both(take):
    assert record(take()).mpp == pytest.approx(MPP)
    told = record(take(mpp=1.7, overwrite=True))
    assert (told.mpp, told.mpp_source) == (1.7, "user")
    both = record(take(mpp=1.95, pitch=100, overwrite=True))
    assert (both.mpp, both.mpp_source) == (1.95, "user")


def test_counts_in_a_layer_and_centres_under_another_key(adata, take):
    adata.layers["counts"] = sp.csc_matrix(adata.X)
    adata.X = np.log1p(adata.X)
    adata.obsm["pixels"] = np.column_stack([adata.obsm.pop("spatial"), np.zeros(48)])
    table = take(layer="counts", spatial_key="pixels")["table"]
    np.testing.assert_array_equal(table.X.toarray(), adata.layers["counts"].toarray())
    assert table.obsm["spatial"].shape == (48, 2)


def test_names_that_a_store_cannot_carry_are_changed_and_told(adata, take, caplog):
    adata.obs["leiden (0.5)"] = "a"
    adata.obs["Region"] = "cortex"
    adata.var_names = ["UMOD", "NPHS2", "UMOD", "AQP2", "UMOD"]
    table = take()["table"]
    assert (table.obs["Region_before"] == "cortex").all()
    assert (table.obs["leiden__0.5_"] == "a").all()
    assert list(table.var_names) == ["UMOD", "NPHS2", "UMOD-1", "AQP2", "UMOD-2"]
    assert "leiden (0.5) to leiden__0.5_" in caplog.text
    assert "Region to Region_before" in caplog.text
    assert "1 gene symbols occur more than once (UMOD" in caplog.text
    assert list(adata.var_names) == ["UMOD", "NPHS2", "UMOD", "AQP2", "UMOD"]


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"pitch": None}, ValueError, r"mpp and pitch are both None; pass mpp, .*\(100 for Visium\)"),
        ({"mpp": 1.0, "pitch": 100}, ValueError, r"mpp=1.0 contradicts the spot pitch, which gives 2 µm per pixel"),
        ({"mpp": 20.0}, ValueError, r"mpp=20.0 µm per pixel is outside 0.05 to 5"),
        ({"spot_diameter": 150}, ValueError, r"spot_diameter=150 µm does not fit spots that are 100 µm apart"),
        ({"spot_diameter": 0}, ValueError, r"spot_diameter=0 µm does not fit"),
        ({"layer": "raw"}, KeyError, r"layer='raw' not found; adata.layers holds nothing"),
        ({"spatial_key": "xy"}, KeyError, r"spatial_key='xy' not found; adata.obsm holds spatial, X_pca"),
        ({"fullres_image": "no.tif"}, FileNotFoundError, r"fullres_image='no.tif' is not in the working directory"),
        ({"dataset_id": "a/b"}, ValueError, r"dataset_id='a/b' cannot name elements"),
    ],
)
def test_what_cannot_be_a_section_is_refused(take, tmp_path, wrong, error, message):
    with pytest.raises(error, match=message):
        take(**wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["he.png"]


def test_normalised_counts_lost_centres_and_another_image_are_refused(adata, take):
    adata.layers["log"] = np.log1p(adata.X)
    with pytest.raises(ValueError, match="table 'log' holds non-integer values"):
        take(layer="log")
    adata.obsm["spatial"] = adata.obsm["spatial"] * 10
    with pytest.raises(ValueError, match="800 x 700 pixels, but 48 of 48 spots lie outside"):
        take(pitch=1000)
    adata.obsm["spatial"][3] = np.nan
    with pytest.raises(ValueError, match=r"adata.obsm\['spatial'\] must hold finite \(x, y\)"):
        take()


def test_a_store_that_is_there_is_replaced_only_when_asked(take, caplog):
    caplog.set_level(logging.INFO, "stsr")
    take()
    with pytest.raises(ValueError, match="store=.*exists already; pass overwrite=True"):
        take()
    take(overwrite=True)
    assert "Read toy: 48 spots x 5 genes, 2 µm per pixel (from the pitch)" in caplog.text
