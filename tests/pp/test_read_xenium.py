"""Reading Xenium folders: exact squares in the frame of the H&E, on to the verbs after it, and what is refused."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
import squidpy as sq
import tifffile
from spatialdata.transformations import get_transformation
from toys.spatial import toy_image
from toys.xenium import CONTROLS, GENES, MPP, PIXEL, alignment, molecules, toy_xenium

import stsr
from stsr.pp.read_xenium import read_xenium
from stsr.spatial import labels_to_grid, open_store, read_raster, record

COLS, ROWS = np.arange(0, 401, 16.0), np.arange(0, 321, 16.0)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "kidney"
    toy_xenium(folder)
    return folder


@pytest.fixture(scope="module")
def store(vendor):
    """A section that tests only read."""
    return read_xenium(vendor, store=vendor.parent / "shared.zarr").path


@pytest.fixture
def sdata(store):
    return sd.read_zarr(store)


@pytest.fixture
def folder(vendor, tmp_path):
    """A folder to spoil."""
    return Path(shutil.copytree(vendor, tmp_path / "kidney"))


def read(folder, **options):
    return read_xenium(folder, **({"store": folder.parent / "a.zarr"} | options))


def test_squares_are_numpys_histogram(sdata):
    found, grid = molecules(), labels_to_grid(sdata, "kidney_square_016um")
    table = sdata["square_016um"]
    col, row = (grid.xy / 16).astype(int).T
    assert list(table.var_names) == GENES
    for gene in GENES:
        counts = found.histogram(gene, COLS, ROWS)
        np.testing.assert_array_equal(table[:, gene].X.toarray().ravel(), counts[row, col])
    assert table.X.sum() == found.counted.sum()
    assert table.uns["transcripts"]["other"] == np.isin(found.names, CONTROLS).sum()
    assert table.uns["transcripts"]["outside"] == 0


def test_record(sdata):
    facts = record(sdata)
    assert facts.technology == "xenium"
    assert facts.dataset_id == facts.coordinate_system == "kidney"
    assert facts.mpp == pytest.approx(MPP)
    assert (facts.mpp_source, facts.spot_size) == ("alignment", 16.0)
    assert (facts.image, facts.spots, facts.table) == ("kidney_full_image", "kidney_square_016um", "square_016um")


def test_all_elements_lie_on_the_he(sdata):
    found = molecules()
    names = {"kidney_full_image", "kidney_square_016um", "transcripts", "cell_circles", "cells", "square_016um"}
    assert {name for _, name, _ in sdata.gen_elements()} == names
    for _, name, element in sdata.gen_spatial_elements():
        systems = get_transformation(element, get_all=True)
        assert systems["global"] == systems["kidney"], name
    there = sd.transform(sdata["transcripts"], to_coordinate_system="kidney")
    np.testing.assert_allclose(there[["x", "y"]].compute().to_numpy() * MPP, found.xy, atol=1e-3)
    window = read_raster(sdata, "kidney_full_image").read(np.diag([MPP, MPP, 1]), (30, 40))
    np.testing.assert_array_equal(window, toy_image(800, 1000)[:30, :40])


def test_cells_keep_the_vendors_counts(sdata):
    cells = sdata["cells"]
    assert cells.uns["spatialdata_attrs"]["region"] == "cell_circles"
    assert cells.X.sum() == cells.obs["transcript_counts"].sum() > 0
    joined, _ = sd.join_spatialelement_table(sdata=sdata, spatial_element_names=["cell_circles"], table_name="cells")
    there = sd.transform(joined["cell_circles"], to_coordinate_system="kidney").geometry
    np.testing.assert_allclose(np.column_stack([there.x, there.y]), cells.obsm["spatial"], atol=1e-6)
    assert (cells.obsm["spatial"] * MPP > 19).all()
    assert (cells.obsm["spatial"] * MPP < 301).all()


@pytest.mark.parametrize(
    ("method", "options"),
    [("idw", {}), ("cross_attention", {"steps": 4, "image_steps": 4})],
)
def test_super_resolution_of_the_squares(sdata, tmp_path, method, options):
    sdata.write(tmp_path / "copy.zarr")
    sdata = sd.read_zarr(tmp_path / "copy.zarr")
    stsr.tl.fit_super_resolution(sdata, method=method, genes="all", options=options, device="cpu", progress=False)
    fine = sdata["sr_008um"]
    assert list(fine.var_names) == GENES
    truth = sdata["square_016um"].X.sum(axis=0)
    np.testing.assert_allclose(np.asarray(fine.X).sum(axis=0), np.asarray(truth).ravel(), rtol=0.35)
    key = stsr.pp.bin_transcripts(sdata, "grid_008um")
    scores = stsr.tl.evaluate(sdata, "sr_008um", truth=sdata[key], scales=(16,))
    assert scores["pearson"].mean() > 0.2


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("neighbours", ["spatial_neighbors", "spatial_neighbors_grid"])
def test_squidpy_on_the_squares(sdata, neighbours):
    if not hasattr(sq.gr, neighbours):
        pytest.skip(f"this squidpy has no {neighbours}")
    table = sdata["square_016um"]
    options = {"coord_type": "grid"} if neighbours == "spatial_neighbors" else {}
    getattr(sq.gr, neighbours)(table, n_neighs=4, **options)
    mask = labels_to_grid(sdata, "kidney_square_016um").mask
    pairs = (mask[1:] & mask[:-1]).sum() + (mask[:, 1:] & mask[:, :-1]).sum()
    assert table.obsp["spatial_connectivities"].nnz == 2 * pairs


def test_other_bin_size_and_no_threshold(folder):
    found = molecules()
    sdata = read(folder, bin_size=20, min_qv=None, dataset_id="left")
    assert record(sdata).spots == "left_square_020um"
    assert sdata["square_020um"].X.sum() == np.isin(found.names, GENES).sum()


def test_files_named_by_the_user(folder, monkeypatch):
    elsewhere = folder.parent / "scan"
    elsewhere.mkdir()
    (folder / "toy_he_image.ome.tif").rename(elsewhere / "he.tif")
    (folder / "toy_he_imagealignment.csv").rename(folder / "matrix.csv")
    monkeypatch.chdir(folder.parent)
    sdata = read(folder, fullres_image="scan/he.tif", alignment="matrix.csv")
    assert sdata["square_016um"].X.sum() == molecules().counted.sum()
    expected = record(sdata)
    again = read(folder, fullres_image="scan/he.tif", alignment=alignment(), overwrite=True)
    assert record(again) == expected


def test_features_of_other_kinds_are_no_genes(folder, caplog):
    """The vendor's matrix says what is a gene, whatever the others are called."""
    rows = pd.read_parquet(folder / "transcripts.parquet")
    rows.loc[:9, "feature_name"] = "NewKindOfControl_1"
    rows.to_parquet(folder / "transcripts.parquet", index=False)
    with caplog.at_level(logging.INFO, "stsr"):
        sdata = read(folder)
    assert list(sdata["square_016um"].var_names) == GENES
    others = (~rows["feature_name"].isin(GENES)).sum()
    assert f"left out are {others} of controls and other features" in caplog.text


def test_resegmented_folder_and_first_version(folder):
    specs = json.loads((folder / "experiment.xenium").read_text())
    specs |= {"analysis_sw_version": "xenium-1.6.0.7", "xenium_ranger": {"version": "xenium-3.0.1.1"}}
    (folder / "experiment.xenium").write_text(json.dumps(specs))
    assert "cells" in read(folder)


@pytest.mark.parametrize(
    "missing", ["experiment.xenium", "transcripts.parquet", "cells.parquet", "cells.zarr.zip", "cell_feature_matrix.h5"]
)
def test_folder_missing_file(folder, missing):
    (folder / missing).rename(folder / f"{missing}.old")
    looked = "looked for experiment.xenium, transcripts.parquet, cells.parquet, cells.zarr.zip, cell_feature_matrix.h5"
    with pytest.raises(FileNotFoundError, match=rf"path='.*kidney' lacks {missing}; {looked}"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "pattern", "name"),
    [
        ("toy_he_image.ome.tif", r"\*he_image\.ome\.tif", "fullres_image"),
        ("toy_he_imagealignment.csv", r"\*he_imagealignment\.csv", "alignment"),
    ],
)
def test_folder_without_he_or_with_two(folder, file, pattern, name):
    shutil.copy(folder / file, folder / f"second_{file}")
    with pytest.raises(
        ValueError, match=rf"holds several {pattern}: second_{file}, {file}; pass one of them as {name}"
    ):
        read(folder)
    (folder / file).unlink()
    (folder / f"second_{file}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"path='.*kidney' holds no {pattern}; pass {name}"):
        read(folder)


def test_files_named_by_the_user_that_are_not_there(folder):
    with pytest.raises(FileNotFoundError, match=r"fullres_image='no\.tif' is neither in the working directory nor in"):
        read(folder, fullres_image="no.tif")
    with pytest.raises(FileNotFoundError, match=r"alignment='no\.csv' is neither in the working directory nor in"):
        read(folder, alignment="no.csv")


@pytest.mark.parametrize("version", ["xenium-5.0.0.1", "XOA 3", ""])
def test_folder_of_unknown_version(folder, version):
    specs = json.loads((folder / "experiment.xenium").read_text()) | {"analysis_sw_version": version}
    (folder / "experiment.xenium").write_text(json.dumps(specs))
    with pytest.raises(ValueError, match=rf"is of the unknown version '{version}'; versions 1 to 4 are read"):
        read(folder)


def test_folder_without_pixel_size(folder):
    (folder / "experiment.xenium").write_text('{"analysis_sw_version": "xenium-3.0.0.15"}')
    with pytest.raises(ValueError, match=r"experiment\.xenium in path='.*kidney' has no pixel_size; it holds analysis"):
        read(folder)


def test_transcripts_without_coordinates(folder):
    rows = pd.read_parquet(folder / "transcripts.parquet")
    rows.rename(columns={"x_location": "x"}).to_parquet(folder / "transcripts.parquet", index=False)
    with pytest.raises(
        ValueError, match=r"transcripts\.parquet in path='.*' has no x_location; it holds transcript_id,"
    ):
        read(folder)
    rows.loc[:4, "y_location"] = np.nan
    rows.to_parquet(folder / "transcripts.parquet", index=False)
    with pytest.raises(ValueError, match=r"points 'transcripts' hold 5 transcripts without coordinates"):
        read(folder)
    rows.drop(columns="qv").to_parquet(folder / "transcripts.parquet", index=False)
    with pytest.raises(ValueError, match=r"min_qv=20 needs a column 'qv', which points 'transcripts' lack"):
        read(folder)
    assert not (folder.parent / "a.zarr").exists()


def test_alignment_of_another_section(folder):
    with pytest.raises(ValueError, match=r"alignment maps the H&E off the section: 0% of \d+ transcripts"):
        read(folder, alignment=alignment(shift=(-9000, 300)))


def test_existing_store(folder):
    read(folder)
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' exists already; pass overwrite=True"):
        read(folder)


def test_reader_is_quiet(folder, recwarn):
    read(folder)
    told = {str(warning.message).splitlines()[0] for warning in recwarn if issubclass(warning.category, UserWarning)}
    assert told == set()


def test_a_gene_of_the_panel_without_transcripts_keeps_its_column(tmp_path):
    panel = ["SPARE", *GENES]
    toy_xenium(tmp_path / "kidney", molecules(400), genes=panel)
    sdata = open_store(read(tmp_path / "kidney").path)
    table = sdata["square_016um"]
    assert list(table.var_names) == list(sdata["cells"].var_names) == panel
    assert table[:, "SPARE"].X.sum() == 0
    assert table[:, "UMOD"].X.sum() > 0
    key = stsr.pp.bin_transcripts(sdata, stsr.pp.make_grid(sdata, bin_size=8, tissue="kidney_square_016um"))
    assert list(sdata[key].var_names) == panel


def test_an_inverted_alignment_is_refused_where_the_image_proves_it(folder):
    with pytest.raises(
        ValueError, match=r"alignment leads from the section's pixels to those of the H&E, the wrong way"
    ):
        read(folder, alignment=np.linalg.inv(alignment()))
    with pytest.raises(ValueError, match=r"alignment leads to µm, not to pixels of the section"):
        read(folder, alignment=np.diag([PIXEL, PIXEL, 1]) @ alignment())
    assert not (folder.parent / "a.zarr").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no JSON text; copy the folder once more"),
        (b"{", "is no JSON text"),
        (b"\xff\xfe\x00", "is no JSON text"),
        (b"\xef\xbb\xbf{}", "is no JSON text"),
        (b"[1, 2]", "holds no names and values"),
        (b'{"analysis_sw_version": 3, "pixel_size": 0.2}', "is of the unknown version '3'"),
        (b'{"analysis_sw_version": "R&D", "pixel_size": 0.2}', "is of the unknown version 'R&D'; versions 1 to 4 are"),
        (b'{"xenium_ranger": "x", "analysis_sw_version": "xenium-9.0.0.1"}', "is of the unknown version 'xenium-9"),
        (b'{"analysis_sw_version": "xenium-3.0.0.15", "pixel_size": 0}', r"pixel_size of experiment\.xenium=0 is not"),
        (b'{"analysis_sw_version": "xenium-3.0.0.15", "pixel_size": "a"}', r"experiment\.xenium='a' is not allowed"),
        (b'{"analysis_sw_version": "xenium-3.0.0.15", "pixel_size": NaN}', r"experiment\.xenium=nan is not allowed"),
    ],
)
def test_what_the_instrument_says_of_the_run_is_checked(folder, text, message):
    (folder / "experiment.xenium").write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read(folder)


@pytest.mark.parametrize("name", ["transcripts.parquet", "cells.parquet", "cells.zarr.zip", "cell_feature_matrix.h5"])
@pytest.mark.parametrize("damage", ["empty", "text", "cut off"])
def test_damaged_files_are_named(folder, name, damage):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes({"empty": b"", "text": b"not found", "cut off": whole[: len(whole) // 2]}[damage])
    with pytest.raises(
        ValueError, match=rf"path='.*kidney'.*{name}.* damaged|{name} in path='.*kidney' is damaged"
    ) as told:
        read(folder)
    assert "\n" not in str(told.value)
    assert told.value.__cause__ is not None


def test_files_of_another_format_are_named(folder):
    (folder / "transcripts.parquet").rename(folder / "transcripts.csv.gz")
    with pytest.raises(
        FileNotFoundError, match=r"lacks transcripts\.parquet; .*\(there are transcripts\.csv\.gz, which do"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_qv": -1}, r"min_qv=-1 is not allowed; pass a number from 0 to 1000 or None"),
        ({"min_qv": "all"}, r"min_qv='all' is not allowed"),
        ({"bin_size": 0}, r"bin_size=0"),
        ({"bin_size": np.nan}, r"bin_size=nan"),
    ],
)
def test_options_are_checked_before_anything_is_read(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "nowhere", **options)


def test_copies_by_macos_are_no_second_file(folder):
    for name in ("toy_he_image.ome.tif", "toy_he_imagealignment.csv"):
        (folder / f"._{name}").write_bytes(b"Mac OS X")
    assert "cells" in read(folder)


def test_paths_that_are_no_folder_of_a_run(folder):
    with pytest.raises(ValueError, match=r"path=None is not allowed; pass the folder"):
        read_xenium(None, store=folder.parent / "a.zarr")
    with pytest.raises(ValueError, match=r"path='.*experiment\.xenium' is a file; pass its folder"):
        read(folder / "experiment.xenium", store=folder.parent / "a.zarr")
    (folder / "transcripts.parquet").rename(folder / "Run_transcripts.parquet")
    with pytest.raises(FileNotFoundError, match=r"lacks transcripts\.parquet; .* It holds .*Run_transcripts\.parquet"):
        read(folder)


def test_files_of_another_version_than_stated(folder):
    specs = json.loads((folder / "experiment.xenium").read_text())
    (folder / "experiment.xenium").write_text(json.dumps(specs | {"analysis_sw_version": "xenium-1.0.1"}))
    with pytest.raises(ValueError, match=r"path='.*' cannot be read: cells\.parquet, .* are damaged or not of one run"):
        read(folder)


def test_image_in_memory(folder):
    pixels = tifffile.imread(next(folder.glob("*he_image.ome.tif")))
    whole, _ = read_raster(read(folder, fullres_image=pixels), "kidney_full_image").levels[0]
    np.testing.assert_array_equal(np.moveaxis(np.asarray(whole), 0, -1), pixels)
