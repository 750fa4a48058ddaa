"""Sections from AnnData objects: what is kept, where µm per pixel comes from, and what is refused."""

from __future__ import annotations

import logging

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import squidpy as sq
import tifffile
from PIL import Image
from toys.spatial import GENES, hex_spots, toy_counts, toy_image

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


@pytest.mark.parametrize(
    "values",
    [[0] * 9 + [1] * 39, [False] * 9 + [True] * 39, ["0"] * 9 + ["1"] * 39, pd.Categorical(["0.0"] * 9 + ["1.0"] * 39)],
)
def test_spots_off_tissue_are_left_out_as_by_all_readers(adata, take, values):
    adata.obs["in_tissue"] = values
    adata.obsm["spatial"][:9] = np.nan  # some tools give them no place
    sdata = take()
    np.testing.assert_array_equal(sdata["table"].X.toarray(), adata.X[9:])
    assert record(sdata).mpp == pytest.approx(MPP)


@pytest.mark.parametrize("values", [0, "perhaps", [np.nan] + [1] * 47])
def test_in_tissue_that_says_nothing(adata, take, values):
    adata.obs["in_tissue"] = values
    with pytest.raises(ValueError, match=r"adata.obs\['in_tissue'\]"):
        take()


def bare(adata):
    """The same spots without row and column."""
    adata = adata.copy()
    del adata.obs["array_row"], adata.obs["array_col"]
    return adata


ISOLATED = [0, 2, 4, 24, 26, 28]


def test_isolated_spots_tell_the_pitch_by_their_array(adata, take):
    assert record(take(adata[ISOLATED])).mpp == pytest.approx(MPP)
    adata.obs["in_tissue"] = (np.arange(48) == 20).astype(int)
    assert record(take(adata, overwrite=True)).mpp == pytest.approx(MPP)


def test_isolated_spots_without_an_array_need_mpp(adata, take, caplog):
    few = bare(adata[ISOLATED])
    for some in (few, bare(adata[:1])):
        with pytest.raises(ValueError, match=r"pitch=100.* gives no µm per pixel here: .*; pass mpp, the µm per pixel"):
            take(some)
    assert record(take(few, mpp=MPP, pitch=100)).mpp == MPP
    assert "pitch=100 was not compared with mpp=2" in caplog.text


def test_neighbours_do_without_an_array(adata, take):
    assert record(take(bare(adata))).mpp == pytest.approx(MPP)


def test_file_and_user_outvote_a_guess(adata, take, tmp_path):
    adata = bare(adata)
    every_second = np.isin(adata.obs_names, [names(48)[n] for n in range(48)]) & (np.arange(48) // 6 % 2 == 0)
    wide = adata[every_second].copy()
    wide.obsm["spatial"] = wide.obsm["spatial"] * (1, 100 / 86.6025 / 2 / np.sqrt(3) * np.sqrt(3))  # a square lattice
    tifffile.imwrite(
        tmp_path / "he.tif", toy_image(700, 800), photometric="rgb", resolution=(5e3, 5e3), resolutionunit="CENTIMETER"
    )
    with pytest.raises(ValueError, match="fullres_image states 2 µm per pixel but the spot pitch gives 4"):
        take(wide, pitch=200, fullres_image=tmp_path / "he.tif")
    with pytest.raises(ValueError, match="mpp=2 contradicts the spot pitch, which gives 4"):
        take(wide, pitch=200, mpp=2)
    assert record(take(wide, pitch=200, mpp=2, fullres_image=tmp_path / "he.tif")).mpp == 2


def two_libraries(adata):
    other = adata.copy()
    other.obsm["spatial"] = other.obsm["spatial"] + (18.5, 10.5)
    return ad.concat({"A1": adata, "B1": other}, label="library_id", index_unique="-")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda both: both,
            r"spots of 2 sections \(A1, B1\); pass one of them, such as adata\[adata.obs\['library_id'\]",
        ),
        (lambda both: both[:, :].copy(), r"spots of 2 sections"),
        (lambda both: both.obs.drop(columns="library_id", inplace=True), r"48 of 96 spots share row and column"),
        (lambda both: bare(both[:, :]), r"spots of 2 sections"),
        (lambda both: bare(both).obs.drop(columns="library_id"), None),
    ],
)
def test_two_sections_in_one_table(adata, take, change, message):
    both = two_libraries(adata)
    changed = change(both)
    if message is None:
        both = bare(both)
        del both.obs["library_id"]
        message = "gives no µm per pixel here"
    elif changed is not None:
        both = changed
    with pytest.raises(ValueError, match=message):
        take(both)
    assert record(take(two_libraries(adata)[:48].copy(), overwrite=True)).mpp == pytest.approx(MPP)


def test_barcodes_give_two_sections_away(adata, take):
    letters = ["".join("ACGT"[n // 4**p % 4] for p in range(16)) for n in range(24)]
    adata.obs_names = [f"{each}-{run}" for run in (1, 2) for each in letters]
    with pytest.raises(ValueError, match="adata holds 24 barcodes more than once"):
        take()
    adata.obs_names = ["a"] * 48
    with pytest.raises(ValueError, match=r"adata.obs_names holds 'a' twice; .* adata.obs_names_make_unique\(\)"):
        take()
    adata.obs_names_make_unique()
    take()


@pytest.mark.parametrize("with_array", [True, False])
@pytest.mark.parametrize("name", ["hires", "lowres"])
def test_positions_of_a_reduced_image_beside_uns(adata, take, name, with_array):
    scale = {"hires": 0.4, "lowres": 0.15}[name]
    factors = {"spot_diameter_fullres": 65 / MPP, "tissue_hires_scalef": 0.4, "tissue_lowres_scalef": 0.15}
    adata.uns["spatial"] = {"lib": {"scalefactors": factors}}
    adata = adata if with_array else bare(adata)
    take(adata)
    adata.obsm["spatial"] = adata.obsm["spatial"] * scale
    with pytest.raises(ValueError, match=rf"are in pixels of the {name} image: .* the ratio is tissue_{name}_scalef"):
        take(adata, overwrite=True)
    adata.obsm["spatial"] /= scale
    take(adata, overwrite=True)


def test_reduced_image_that_is_all_there_is(adata, take):
    factors = {"spot_diameter_fullres": 65 / MPP / 0.4, "tissue_hires_scalef": 0.4}
    adata.uns["spatial"] = {"lib": {"scalefactors": factors, "images": {"hires": np.zeros((700, 800, 3))}}}
    assert record(take(adata)).mpp == pytest.approx(MPP)  # positions of the very image
    adata.obsm["spatial"] = adata.obsm["spatial"] / 0.4
    with pytest.raises(
        ValueError, match=r"are in pixels of the full-resolution image, but .* by tissue_hires_scalef=0\.4"
    ):
        take(adata, overwrite=True)
    adata.obsm["spatial"] = adata.obsm["spatial"] * 0.4
    take(adata, overwrite=True)


@pytest.mark.parametrize("names", [("pxl_row_in_fullres", "pxl_col_in_fullres"), ("imagerow", "imagecol"), ("Y", "X")])
def test_columns_of_the_centres_that_say_which_they_are(adata, take, names):
    xy = adata.obsm["spatial"]
    adata.obsm["spatial"] = pd.DataFrame(xy[:, ::-1], columns=names, index=adata.obs_names)
    np.testing.assert_allclose(take(adata)["table"].obsm["spatial"], xy)


def test_image_in_memory(adata, take):
    pixels = toy_image(700, 800)
    whole = take(adata, fullres_image=pixels)["toy_full_image"]["scale0"]["image"]
    np.testing.assert_array_equal(np.moveaxis(whole.to_numpy(), 0, -1), pixels)


def test_features_that_are_no_genes(adata, take, caplog):
    adata.var["feature_types"] = "Gene Expression"
    adata.var.loc[GENES[1], "feature_types"] = "Antibody Capture"
    table = take(adata)["table"]
    assert list(table.var_names) == [gene for gene in GENES if gene != GENES[1]]
    np.testing.assert_array_equal(table.X.toarray(), adata[:, table.var_names].X)
    assert "adata: left out features that are no genes (1 Antibody Capture)" in caplog.text
    adata.var["feature_types"] = "mRNA"
    assert take(adata, overwrite=True)["table"].n_vars == len(GENES)


def test_raw_counts_that_are_elsewhere(adata, take):
    adata.layers["counts"], adata.raw = adata.X.copy(), adata.copy()
    adata.X = np.log1p(adata.X)
    with pytest.raises(ValueError, match=r"before normalisation; try layer='counts' or adata\.raw\.to_adata\(\)\.$"):
        take(adata)
    take(adata, layer="counts")


@pytest.mark.parametrize("uns", [5, {}, {"a": 3}, {"a": {"scalefactors": [1]}}, {"a": {}, "b": {}}])
def test_uns_of_any_kind_does_no_harm(adata, take, uns):
    adata.uns["spatial"] = uns
    take()


def test_array_that_positions_do_not_follow(adata, take):
    adata.obs["array_row"] = np.random.default_rng(0).permutation(adata.obs["array_row"])
    adata.obs["array_col"] = np.arange(48)
    with pytest.raises(
        ValueError, match=r"delete obs\['array_row'\] and obs\['array_col'\] if they are not row and col"
    ):
        take()
    take(bare(adata))


def stored(adata, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    return ad.read_h5ad(tmp_path / "a.h5ad", backed="r")


def with_counts(adata, values):
    adata.X = values
    return adata


@pytest.mark.parametrize(
    "keep",
    [
        lambda adata, folder: with_counts(adata, sp.csr_matrix(adata.X)),
        lambda adata, folder: with_counts(adata, sp.csc_array(adata.X)),
        lambda adata, folder: with_counts(adata, da.from_array(adata.X, chunks=(7, 2))),
        lambda adata, folder: with_counts(adata, da.from_array(sp.csr_matrix(adata.X), chunks=(7, 5), asarray=False)),
        lambda adata, folder: stored(adata, folder),
        lambda adata, folder: stored(with_counts(adata, sp.csr_matrix(adata.X)), folder),
        lambda adata, folder: with_counts(adata, adata.X.astype(object)),
    ],
)
def test_counts_wherever_they_are(adata, take, tmp_path, keep):
    (tmp_path / "kept").mkdir()
    np.testing.assert_array_equal(take(keep(adata.copy(), tmp_path / "kept"))["table"].X.toarray(), adata.X)


def test_counts_that_are_not_there(adata, take):
    adata.layers["counts"] = adata.X.copy()
    adata.X = None
    with pytest.raises(ValueError, match=r"adata.X is None; pass layer= one of counts"):
        take()
    take(layer="counts")
    with pytest.raises(ValueError, match="adata is of type str; pass an AnnData object"):
        take("a.h5ad")
    with pytest.raises(ValueError, match="adata holds 0 spots x 5 genes"):
        take(adata[:0])
    adata.layers["words"] = np.full(adata.shape, "a", dtype=object)
    with pytest.raises(ValueError, match=r"adata.layers\['words'\] cannot be read as a matrix of numbers"):
        take(layer="words", overwrite=True)


@pytest.mark.parametrize("names", [["A", np.nan, "C", "D", "E"], ["A", None, "C", "D", "E"], ["A", " ", "C", "D", "E"]])
def test_genes_without_a_name(adata, take, names):
    adata.var.index = names
    with pytest.raises(ValueError, match=r"adata.var_names has 1 genes without a name \(the first in column 1\)"):
        take()


@pytest.mark.parametrize("place", [(-200.0, 300.0), (9e5, 300.0)])
def test_single_spots_beside_the_image(adata, take, caplog, place):
    adata.obsm["spatial"][7] = place
    for each in (adata, bare(adata)):
        sdata = take(each, overwrite=True)
        assert record(sdata).mpp == pytest.approx(MPP)
        np.testing.assert_array_equal(sdata["table"].X.toarray(), np.delete(adata.X, 7, axis=0))
        assert list(sdata["toy"].index) == list(sdata["table"].obs["spot_id"])
    assert "Left out 1 of 48 spots that lie outside the image (AAAC-7)" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [{"pitch": "100"}, {"pitch": np.nan}, {"pitch": -100}, {"spot_diameter": "55"}, {"spot_diameter": None}, {"mpp": "2"},
     {"mpp": True}, {"dataset_id": "table"}, {"dataset_id": 5}, {"spatial_key": "X_pca"}],
)  # fmt: skip
def test_options_are_checked_before_work(adata, take, wrong):
    adata.obsm["X_pca"] = np.full((48, 2), "a", dtype=object)
    with pytest.raises(ValueError, match=next(iter(wrong)) if "spatial_key" not in wrong else "holds words"):
        take(**wrong)
