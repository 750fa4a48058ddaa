"""Reading Visium HD folders: every bin in its place, every molecule, and the sentence for each thing that can be wrong."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import squidpy as sq
import tifffile
from PIL import Image
from spatialdata.transformations import get_transformation
from toys.spatial import GENES, toy_folder, toy_image
from toys.visium_hd import MPP, hd_bins, hd_counts, hd_folder, hd_pixels, hd_sums

import stsr
from stsr.geometry import Square
from stsr.pp import read_visium_hd
from stsr.pp._hd_bins import _grid, read_bins
from stsr.spatial import labels_to_grid, open_store, read_section, record


@pytest.fixture
def folder(tmp_path):
    """A vendor folder called kidney."""
    hd_folder(tmp_path / "kidney")
    return tmp_path / "kidney"


def read(folder, **options):
    return read_visium_hd(folder, **({"store": folder.parent / "a.zarr"} | options))


def square(folder, size: int = 8) -> Path:
    return folder / "binned_outputs" / f"square_{size:03d}um"


@pytest.mark.parametrize(("space_ranger", "flipped"), [(3, False), (3, True), (4, True)])
def test_bins_of_every_size_are_where_they_were(tmp_path, space_ranger, flipped):
    folder = tmp_path / "kidney"
    hd_folder(folder, space_ranger=space_ranger, flipped=flipped)
    sdata = read(folder, bin_size=(16, 2))
    facts = record(sdata)
    assert (facts.technology, facts.dataset_id, facts.coordinate_system) == ("visium_hd", "kidney", "kidney")
    assert (facts.spots, facts.table, facts.spot_size) == ("kidney_square_016um", "square_016um", 16)
    assert facts.mpp == pytest.approx(MPP)
    assert facts.mpp_source == "bin"
    assert set(sdata.tables) == {"square_016um", "square_002um"}
    assert set(sdata.labels) == {"kidney_square_016um", "kidney_square_002um"}
    assert not sdata.shapes

    for size in (16, 2):
        table, (rowcol, sums) = sdata[f"square_{size:03d}um"], hd_sums(size // 2)
        grid = labels_to_grid(sdata, f"kidney_square_{size:03d}um")
        assert grid.bin_size == pytest.approx(size)
        np.testing.assert_allclose(grid.xy, hd_pixels(rowcol, size, flipped=flipped) * MPP)
        np.testing.assert_allclose(table.obsm["spatial"], hd_pixels(rowcol, size, flipped=flipped))
        np.testing.assert_array_equal(table.obs[["array_row", "array_col"]], rowcol)
        np.testing.assert_array_equal(table.obs["bin_id"], np.arange(1, len(rowcol) + 1))
        np.testing.assert_array_equal(table.X.toarray(), sums)
        assert table.obs_names[0] == "s_{:03d}um_{:05d}_{:05d}-1".format(size, *rowcol[0])
        assert table.var_names.tolist() == GENES

    np.testing.assert_array_equal(sdata["kidney_full_image"].data, toy_image(320, 420).transpose(2, 0, 1))
    for _, name, element in sdata.gen_spatial_elements():
        systems = get_transformation(element, get_all=True)
        assert systems["global"] == systems["kidney"], name
    assert open_store(sdata.path).attrs == sdata.attrs


def test_a_coarser_size_is_the_exact_sum_of_a_finer_one(tmp_path):
    folder = tmp_path / "kidney"
    hd_folder(folder, bin_sizes=(2, 16))
    sdata = read(folder, bin_size=(8, 24))
    hd_folder(folder, bin_sizes=(2, 8, 24))
    vendor = read(folder, bin_size=(8, 24), overwrite=True)
    for name in ("square_008um", "square_024um"):
        assert (sdata[name].X != vendor[name].X).nnz == 0
        assert sdata[name].X.sum() == hd_counts(len(hd_bins())).sum()
        pd.testing.assert_frame_equal(sdata[name].obs, vendor[name].obs)
        np.testing.assert_allclose(sdata[name].obsm["spatial"], vendor[name].obsm["spatial"])
        np.testing.assert_array_equal(sdata[f"kidney_{name}"].data, vendor[f"kidney_{name}"].data)


def test_the_section_sees_bins_as_squares(folder):
    sdata = read(folder, bin_size=[16, 8])
    section = read_section(sdata, genes=["AQP2", "UMOD"], grid="kidney_square_008um")
    rowcol, sums = hd_sums(8)
    assert isinstance(section.aperture, Square)
    assert section.aperture.side == pytest.approx(16)
    assert section.spot_cells == pytest.approx(4)
    np.testing.assert_allclose(section.spots, hd_pixels(rowcol, 16) * MPP)
    np.testing.assert_array_equal(section.counts.toarray(), sums[:, [3, 0]])
    np.testing.assert_array_equal(section.library, sums.sum(axis=1))
    np.testing.assert_allclose(section.footprint @ sdata["square_008um"].X.toarray(), sums)


def test_bins_go_through_the_main_verb_and_squidpy(folder):
    sdata = read(folder, bin_size=(16, 8, 2))
    table = sdata["square_008um"]
    sq.gr.spatial_neighbors_grid(table, n_neighs=4)
    sq.gr.spatial_autocorr(table, mode="moran", genes=["UMOD"])
    assert np.isfinite(table.uns["moranI"]["I"]).all()

    stsr.tl.fit_super_resolution(sdata, method="idw", genes=GENES, bin_size=4, progress=False)
    grid = labels_to_grid(sdata, "grid_004um")
    spots = labels_to_grid(sdata, "kidney_square_016um")
    assert grid.n_cells == 16 * spots.n_cells
    assert np.isfinite(sdata["sr_004um"].X).all()
    scores = stsr.tl.evaluate(sdata, "sr_004um", truth=table, scales=(8, 16), ceiling=False)
    assert scores.loc[scores["scale_um"] == 16, "pearson"].min() > 0.5

    stsr.tl.fit_super_resolution(
        sdata, method="nearest", genes=GENES, grid="kidney_square_002um", key_added="fine", progress=False
    )
    assert sdata["fine"].n_obs == len(hd_bins())


def test_the_default_method_learns_from_the_finest_bins(folder):
    sdata = read(folder, bin_size=2)
    options = {"steps": 2, "image_steps": 2, "attention_networks": 1, "tile": 50.0}
    stsr.tl.fit_super_resolution(
        sdata, genes=GENES, grid="kidney_square_002um", key_added="sr", options=options, progress=False
    )
    assert sdata["sr"].X.sum() == pytest.approx(hd_counts(len(hd_bins())).sum(), rel=0.1)


def test_repeated_gene_symbols_are_made_unique_and_told_once(tmp_path, caplog):
    folder = tmp_path / "kidney"
    hd_folder(folder, genes=["TBCE", "UMOD", "TBCE", "AQP2", "UMOD"], gene_ids=["E1", "E2", "E3", "E4", "E5"])
    with caplog.at_level(logging.WARNING, "stsr"):
        sdata = read(folder, bin_size=(8, 16))
    for table in sdata.tables.values():
        assert table.var_names.tolist() == ["TBCE", "UMOD", "TBCE-1", "AQP2", "UMOD-1"]
        assert table.var["gene_ids"].tolist() == ["E1", "E2", "E3", "E4", "E5"]
    assert caplog.text.count("2 gene symbols occur more than once") == 1


def test_only_what_is_asked_for_is_read(folder):
    (square(folder, 2) / "filtered_feature_bc_matrix.h5").write_text("not a matrix")
    (folder / "feature_slice.h5").unlink()
    assert set(read(folder).tables) == {"square_008um"}


def test_reader_is_quiet(folder, recwarn):
    read(folder)
    told = {str(warning.message).splitlines()[0] for warning in recwarn if issubclass(warning.category, UserWarning)}
    assert told == set()


def test_mpp_user_and_contradictions(folder):
    assert record(read(folder, mpp=0.52)).mpp_source == "user"
    with pytest.raises(ValueError, match=r"mpp=1\.0 contradicts the bin pitch, which gives 0\.5 µm per pixel"):
        read(folder, mpp=1.0, overwrite=True)
    tifffile.imwrite(
        folder / "he.tif", toy_image(320, 420), photometric="rgb", resolution=(1e4, 1e4), resolutionunit="CENTIMETER"
    )
    with pytest.raises(ValueError, match=r"fullres_image states 1 µm per pixel but the bin pitch gives 0\.5;"):
        read(folder, fullres_image="he.tif", overwrite=True)


def restate(folder, **factors):
    path = square(folder) / "spatial" / "scalefactors_json.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | factors))


def test_scale_factors_of_another_run(folder):
    restate(folder, microns_per_pixel=0.25)
    with pytest.raises(ValueError, match=r"states 0\.25 µm per pixel, but bins of 8 µm are 16 pixels apart"):
        read(folder)
    restate(folder, microns_per_pixel=0.5, bin_size_um=16.0)
    with pytest.raises(ValueError, match=r"scalefactors_json\.json' is of 16 µm bins; give the folder its name back"):
        read(folder)


@pytest.mark.parametrize("bin_size", [10, (8, 3.5), 0, -8, [8, 7]])
def test_bin_size_that_cannot_be_had(tmp_path, bin_size):
    hd_folder(tmp_path / "kidney", bin_sizes=(8, 16))
    with pytest.raises(ValueError, match=r"bin_size=\S+ µm is neither on disk nor .* holds 8, 16 µm\."):
        read(tmp_path / "kidney", bin_size=bin_size)
    with pytest.raises(ValueError, match=r"bin_size is empty; .* holds 8, 16 µm\."):
        read(tmp_path / "kidney", bin_size=())


def test_path_of_another_platform(folder, tmp_path):
    toy_folder(tmp_path / "visium")
    with pytest.raises(
        ValueError, match=r"path='.*visium' holds a Visium section; read it with stsr\.pp\.read_visium\."
    ):
        read(tmp_path / "visium")
    for hd in (folder, square(folder)):
        with pytest.raises(ValueError, match=r"holds a Visium HD section; read it with stsr\.pp\.read_visium_hd\."):
            stsr.pp.read_visium(hd, fullres_image="he.tif", store=tmp_path / "b.zarr")
    with pytest.raises(
        FileNotFoundError, match=r"path='.*nowhere' holds no binned_outputs/square_\*um; pass the folder"
    ):
        read(tmp_path / "nowhere")


def test_image_that_is_reduced(folder):
    (folder / "spatial").mkdir(exist_ok=True)
    small = Image.fromarray(toy_image(300, 300))
    small.save(folder / "spatial" / "tissue_hires_image.png")
    factors = square(folder) / "spatial" / "scalefactors_json.json"
    factors.write_text(json.dumps(json.loads(factors.read_text()) | {"tissue_hires_scalef": 0.5}))
    with pytest.raises(
        ValueError, match=r"is as small as spatial/tissue_hires_image\.png .* was given with --image\.$"
    ):
        read(folder, fullres_image="spatial/tissue_hires_image.png")


def test_scale_factors_that_are_not_there(folder):
    expected = record(read(folder))
    (square(folder) / "spatial" / "scalefactors_json.json").unlink()
    assert record(read(folder, overwrite=True)) == expected


@pytest.mark.parametrize("name", ["filtered_feature_bc_matrix.h5", "spatial/tissue_positions.parquet"])
def test_path_lacks_a_file(folder, name):
    (square(folder) / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"path: '.*square_008um' holds no {name}; pass the folder"):
        read(folder)


def test_path_in_an_unknown_layout(folder, caplog):
    with h5py.File(folder / "feature_slice.h5", "r+") as file:
        metadata = json.loads(file.attrs["metadata_json"])
        metadata["hd_layout_json"] = json.dumps({"file_format": "2.0"})
        file.attrs["metadata_json"] = json.dumps(metadata)
    with caplog.at_level(logging.WARNING, "stsr"):
        read(folder)
    assert "feature_slice.h5 states layout 2.0; known is 1" in caplog.text

    positions = square(folder) / "spatial" / "tissue_positions.parquet"
    pd.read_parquet(positions).rename(columns={"in_tissue": "tissue"}).to_parquet(positions)
    with pytest.raises(
        ValueError, match=r"positions\.parquet' is in an unknown layout; the columns in_tissue were looked"
    ):
        read(folder, overwrite=True)
    with h5py.File(square(folder) / "filtered_feature_bc_matrix.h5", "r+") as file:
        file.move("matrix", "matrices")
    with pytest.raises(ValueError, match=r"matrix\.h5' is in an unknown layout; matrix/barcodes was looked for in it"):
        read(folder, overwrite=True)


def test_path_with_positions_of_another_run(folder):
    path = square(folder) / "spatial" / "tissue_positions.parquet"
    positions = pd.read_parquet(path)
    outside = positions.index[positions["in_tissue"] == 1][:3]
    positions.loc[outside, "in_tissue"] = 0
    positions.to_parquet(path)
    with pytest.raises(
        ValueError, match=r"has 3 of \d+ bins that spatial/tissue_positions\.parquet does not list as in"
    ):
        read(folder)
    positions["in_tissue"], positions["array_col"] = 1, positions["array_col"] % 5
    positions.to_parquet(path)
    with pytest.raises(
        ValueError, match=r"does not describe a grid of squares: array_row and array_col name \d+ bins tw"
    ):
        read(folder)


def test_path_with_an_empty_table(folder):
    with h5py.File(square(folder) / "filtered_feature_bc_matrix.h5", "r+") as file:
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = np.array([], dtype="S21")
    with pytest.raises(ValueError, match=r"matrix\.h5' holds no bins with counts; choose another bin_size"):
        read(folder)


def test_path_with_values_that_are_no_counts(folder):
    with h5py.File(square(folder) / "filtered_feature_bc_matrix.h5", "r+") as file:
        values = file["matrix/data"][:].astype(np.float32)
        values[7] = 0.5
        del file["matrix/data"]
        file["matrix/data"] = values
    with pytest.raises(ValueError, match=r"table 'square_008um' holds non-integer values in X; raw UMI counts"):
        read(folder)
    assert not (folder.parent / "a.zarr").exists()


def test_image_by_default_and_by_name(folder):
    image = folder / "microscope_image" / "he.tif"
    tifffile.imwrite(folder / "microscope_image" / "other.tif", toy_image(320, 420), photometric="rgb")
    with pytest.raises(
        ValueError, match=r"fullres_image is None, but microscope_image in .* holds he\.tif, other\.tif;"
    ):
        read(folder)
    assert record(read(folder, fullres_image="microscope_image/he.tif")).mpp == pytest.approx(MPP)
    for path in (image, image.with_name("other.tif")):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no image in microscope_image; pass fullres_image, the H&E"):
        read(folder, overwrite=True)
    with pytest.raises(FileNotFoundError, match=r"fullres_image='scan\.tif' is neither in the working directory nor"):
        read(folder, fullres_image="scan.tif", overwrite=True)


def test_image_that_does_not_hold_the_bins(folder):
    tifffile.imwrite(folder / "small.tif", toy_image(160, 210), photometric="rgb")
    with pytest.raises(ValueError, match=r"has 210 x 160 pixels, but \d+ of \d+ spots lie outside"):
        read(folder, fullres_image="small.tif")


def test_existing_store_is_told_before_anything_is_read(folder):
    read(folder)
    (square(folder) / "filtered_feature_bc_matrix.h5").write_text("not a matrix")
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' exists already; pass overwrite=True"):
        read(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.assign(in_tissue=p["in_tissue"] == 1),
        lambda p: p.assign(in_tissue=p["in_tissue"].astype(str)),
        lambda p: p.set_index("barcode"),
        lambda p: p.set_index("barcode").rename_axis(None),
        lambda p: p.assign(barcode=p["barcode"].astype("category"), in_tissue=p["in_tissue"].astype(float)),
    ],
    ids=["bool", "text", "index", "index without name", "categories"],
)
def test_positions_in_other_types(folder, change):
    path = square(folder) / "spatial" / "tissue_positions.parquet"
    expected = read_bins(folder / "binned_outputs", 8)
    change(pd.read_parquet(path)).to_parquet(path)
    bins = read_bins(folder / "binned_outputs", 8)
    np.testing.assert_array_equal(bins.rowcol, expected.rowcol)
    np.testing.assert_array_equal(bins.barcodes, expected.barcodes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.assign(pxl_row_in_fullres=np.nan), r"gives \d+ bins in tissue no number"),
        (lambda p: pd.concat([p, p]), r"names \d+ barcodes twice"),
        (lambda p: p.assign(in_tissue=7), r"holds '7' as in_tissue"),
        (lambda p: p.reset_index(drop=True).drop(columns="barcode"), r"the columns barcode were looked for"),
        (lambda p: p.assign(array_row="a"), r"cannot be read as a table of positions"),
    ],
)
def test_positions_that_are_none(folder, change, message):
    path = square(folder) / "spatial" / "tissue_positions.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(ValueError, match=message):
        read_bins(folder / "binned_outputs", 8)


@pytest.mark.parametrize("file", ["filtered_feature_bc_matrix.h5", "spatial/tissue_positions.parquet", "spatial/scalefactors_json.json"])  # fmt: skip
def test_damaged_files(folder, file):
    path = square(folder) / file
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=rf"path: '.*{path.name}' cannot be read as .*: it is damaged"):
        read_bins(folder / "binned_outputs", 8)


def test_bins_on_one_line_lie_on_the_grid_of_all_listed_ones(folder):
    whole = read_bins(folder / "binned_outputs", 8)
    path = square(folder) / "spatial" / "tissue_positions.parquet"
    positions = pd.read_parquet(path)
    for chosen in (whole.rowcol[:, 0] == whole.rowcol[5, 0], np.arange(len(whole.rowcol)) == 7):
        subset = whole.subset(chosen)
        np.testing.assert_allclose(subset.grid.xy, whole.grid.xy[chosen])
        at = positions.set_index("barcode").loc[whole.barcodes[chosen]]
        grid, cell = _grid(path, whole.rowcol[chosen], at[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy())
        np.testing.assert_allclose(grid.xy[cell], whole.grid.xy[chosen], atol=1e-6)
        assert grid.shape == subset.grid.shape


def test_few_bins_beside_the_image_are_left_out(folder, caplog):
    x = read_bins(folder / "binned_outputs", 8).grid.xy[:, 0]
    width = int(np.sort(x)[-3])
    tifffile.imwrite(folder / "cut.tif", toy_image(320, width), photometric="rgb")
    sdata = read(folder, fullres_image="cut.tif", bin_size=(8, 16))
    left = int((x > width).sum())
    assert 0 < left <= 3
    assert sdata["square_008um"].n_obs == len(x) - left
    assert sdata["square_008um"].obsm["spatial"][:, 0].max() <= width
    assert labels_to_grid(sdata, "kidney_square_008um").n_cells == len(x) - left
    assert f"Left out {left} of {len(x)} spots that lie outside the image (s_008um_" in caplog.text


@pytest.mark.parametrize("bin_size", ["8", ["8"], True, None, {8: 1}, float("nan"), [[8]]])
def test_bin_sizes_that_are_none(folder, bin_size):
    with pytest.raises(ValueError, match="bin_size="):
        read(folder, bin_size=bin_size)


def test_what_file_managers_leave_is_no_data(folder, caplog):
    for name in ("._feature_slice.h5", "microscope_image/Thumbs.db", "microscope_image/._he.tif", "microscope_image/he.tif~",
                 "binned_outputs/._square_008um", "binned_outputs/square_004um"):  # fmt: skip
        (folder / name).write_bytes(b"x")
    (folder / "feature_slice.h5").write_bytes(b"damaged, and not needed")
    assert record(read(folder)).mpp == pytest.approx(MPP)
    assert "feature_slice.h5' cannot be read as a feature slice" in caplog.text


CHILD = """
import json, sys
from pathlib import Path

import stsr

stsr.pp.read_visium_hd(sys.argv[1], store=sys.argv[2], bin_size=json.loads(sys.argv[3]), dataset_id="kidney")
# Not ru_maxrss, which a process inherits from the one that started it.
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""


def test_real_kidney(data_dir, tmp_path):
    folder, store = data_dir / "kidney" / "visium_hd", tmp_path / "kidney.zarr"
    told = subprocess.run([sys.executable, "-c", CHILD, folder, store, "[8, 16]"], capture_output=True, check=True)
    assert int(told.stdout.splitlines()[-1]) / 2**20 < 3  # GB at its peak
    with h5py.File(folder / "binned_outputs/square_008um/filtered_feature_bc_matrix.h5") as file:
        total = int(file["matrix/data"][:].sum(dtype=np.int64))
    sdata = open_store(store)
    for name, bins in (("square_008um", 381_896), ("square_016um", 95_620)):
        assert sdata[name].shape == (bins, 18_084)
        assert int(sdata[name].X.sum(dtype=np.float64)) == total
        assert labels_to_grid(sdata, f"kidney_{name}").n_cells == bins
    assert record(sdata).mpp == pytest.approx(2.0081149, abs=1e-6)
