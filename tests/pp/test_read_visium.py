"""Reading Visium folders: what is kept, and the sentence for each thing that can be wrong with them."""

import json
import logging
import shutil
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
import tifffile
from PIL import Image
from spatialdata.transformations import get_transformation
from toys.spatial import hex_spots, toy_counts, toy_folder, toy_image

from stsr.pp.read_visium import read_visium
from stsr.spatial import read_raster, record


@pytest.fixture
def folder(tmp_path):
    """A vendor folder called kidney."""
    path = tmp_path / "kidney"
    toy_folder(path)
    return path


def read(folder, **options):
    return read_visium(folder, **({"fullres_image": "he.tif", "store": folder.parent / "a.zarr"} | options))


def left_behind(folder) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


def test_everything_is_read_back_from_the_store(folder):
    sdata = read(folder)
    facts = record(sdata)
    assert facts.technology == "visium"
    assert facts.dataset_id == facts.coordinate_system == facts.spots == "kidney"
    assert facts.mpp == pytest.approx(2.0)
    assert facts.mpp_source == "pitch"
    assert facts.spot_size == 55

    assert Path(sdata.path) == folder.parent / "a.zarr"
    assert all(sdata.elements_are_self_contained().values())
    shutil.rmtree(folder)  # nothing depends on the vendor's files any more
    pixels = sdata["kidney_full_image"]["scale0"]["image"].data
    assert isinstance(pixels, da.Array)
    np.testing.assert_array_equal(pixels, toy_image(700, 800).transpose(2, 0, 1))
    np.testing.assert_array_equal(sdata["table"].X.toarray(), toy_counts(48, 5))
    xy, rowcol = hex_spots(8, 6, 50, (100, 80))
    np.testing.assert_allclose(np.column_stack([sdata["kidney"].geometry.x, sdata["kidney"].geometry.y]), xy)
    np.testing.assert_array_equal(sdata["table"].obs[["array_row", "array_col"]], rowcol)
    again = sd.read_zarr(sdata.path)
    assert again.attrs == sdata.attrs
    assert left_behind(folder) == ["a.zarr"]


def test_every_element_is_in_the_global_system_too(folder):
    sdata = read(folder)
    for _, name, element in sdata.gen_spatial_elements():
        systems = get_transformation(element, get_all=True)
        assert systems["global"] == systems["kidney"], name
    window = read_raster(sdata, "kidney_full_image").read(np.array([[2.0, 0, 100], [0, 2, 60], [0, 0, 1]]), (20, 30))
    np.testing.assert_array_equal(window, toy_image(700, 800)[30:50, 50:80])


def test_old_space_ranger(tmp_path):
    folder = tmp_path / "old"
    toy_folder(folder, space_ranger=1)
    assert record(read(folder)).mpp == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    ("name", "dataset_id"),
    [("sample 1 (left)", "sample_1_left"), ("outs", "patient"), ("größe", "gr_e"), ("ÄÖ", "section")],
)
def test_name_of_the_section_comes_from_the_folder(tmp_path, name, dataset_id):
    folder = tmp_path / "patient" / name
    toy_folder(folder)
    assert record(read(folder)).dataset_id == dataset_id


def test_name_of_the_section_from_the_user(folder):
    assert "left-1_full_image" in read(folder, dataset_id="left-1")
    with pytest.raises(ValueError, match=r"dataset_id='a b' cannot name elements"):
        read(folder, dataset_id="a b", overwrite=True)


def test_image_path_relative_to_the_working_directory(folder, monkeypatch):
    elsewhere = folder.parent / "images"
    elsewhere.mkdir()
    (folder / "he.tif").rename(elsewhere / "slide.tif")
    monkeypatch.chdir(folder.parent)
    assert record(read(folder, fullres_image="images/slide.tif", store="b.zarr")).mpp == pytest.approx(2.0)
    assert sd.read_zarr(folder.parent / "b.zarr").is_backed()


def test_image_as_png(folder):
    Image.fromarray(toy_image(700, 800)).save(folder / "he.png")
    sdata = read(folder, fullres_image="he.png")
    np.testing.assert_array_equal(
        sdata["kidney_full_image"]["scale0"]["image"].data, toy_image(700, 800).transpose(2, 0, 1)
    )


def test_spots_outside_tissue_are_left_out(folder):
    positions = pd.read_csv(folder / "spatial" / "tissue_positions.csv")
    positions.loc[[3, 10], "in_tissue"] = 0
    positions.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    sdata = read(folder)
    kept = np.delete(np.arange(48), [3, 10])
    np.testing.assert_array_equal(sdata["table"].X.toarray(), toy_counts(48, 5)[kept])
    assert sdata["kidney"].index.tolist() == sdata["table"].obs["spot_id"].tolist() == kept.tolist()


def test_repeated_gene_symbols_are_made_unique_and_told(tmp_path, caplog):
    folder = tmp_path / "kidney"
    toy_folder(folder, genes=["TBCE", "UMOD", "TBCE", "AQP2", "UMOD"], gene_ids=["E1", "E2", "E3", "E4", "E5"])
    with caplog.at_level(logging.WARNING, "stsr"):
        table = read(folder)["table"]
    assert table.var_names.tolist() == ["TBCE", "UMOD", "TBCE-1", "AQP2", "UMOD-1"]
    assert table.var["gene_ids"].tolist() == ["E1", "E2", "E3", "E4", "E5"]
    assert "2 gene symbols occur more than once (TBCE, UMOD, ...)" in caplog.text


@pytest.mark.parametrize("kept", [[20], [0, 47], [0, 2, 4, 24, 26, 28]], ids=["one", "two", "isolated"])
def test_isolated_spots_tell_the_pitch_by_all_listed_places(folder, kept, caplog):
    positions = pd.read_csv(folder / "spatial" / "tissue_positions.csv")
    positions["in_tissue"] = positions.index.isin(kept).astype(int)
    positions.to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    rewrite(folder, dots=72, unit="INCH")  # states no resolution
    sdata = read(folder)
    assert record(sdata).mpp == pytest.approx(2.0)
    assert sdata["table"].n_obs == len(kept)
    assert f"Left out {48 - len(kept)} spots with counts that lie off tissue" in caplog.text


def test_positions_that_follow_no_slide_are_refused(folder):
    file = folder / "spatial" / "tissue_positions.csv"
    positions = pd.read_csv(file)
    positions.assign(array_row=positions["array_col"], array_col=positions["array_row"]).to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"tissue_positions.csv' describes no slide of spots, .* apart one way and"):
        read(folder)
    positions.loc[7, "pxl_row_in_fullres"] += 120
    positions.to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"describes no slide of spots, .* they lie up to 2.\d pitches beside it"):
        read(folder)
    positions[:1].to_csv(file, index=False)
    with pytest.raises(ValueError, match=r"describes no slide of spots, .*: it lists one place"):
        read(folder)
    assert left_behind(folder) == []


def test_positions_in_pixels_of_the_reduced_image(folder):
    file, factors = folder / "spatial" / "tissue_positions.csv", folder / "spatial" / "scalefactors_json.json"
    positions = pd.read_csv(file)
    positions[["pxl_row_in_fullres", "pxl_col_in_fullres"]] *= 0.5
    positions.to_csv(file, index=False)
    factors.write_text(json.dumps(json.loads(factors.read_text()) | {"tissue_hires_scalef": 0.5}))
    (folder / "spatial" / "tissue_hires_image.png").unlink()
    with pytest.raises(ValueError, match=r"are in pixels of the hires image: spots are 25 apart, .* makes it 50, and"):
        read(folder)


@pytest.mark.parametrize("place", [(-400.0, 200.0), (300.0, 90000.0)])
def test_single_spots_beside_the_image_are_left_out_and_named(folder, caplog, place):
    file = folder / "spatial" / "tissue_positions.csv"
    positions = pd.read_csv(file)
    positions.loc[7, ["pxl_col_in_fullres", "pxl_row_in_fullres"]] = place
    positions.to_csv(file, index=False)
    sdata = read(folder)
    assert record(sdata).mpp == pytest.approx(2.0)
    np.testing.assert_array_equal(sdata["table"].X.toarray(), np.delete(toy_counts(48, 5), 7, axis=0))
    assert f"Left out 1 of 48 spots that lie outside the image ({positions['barcode'][7]})" in caplog.text


@pytest.mark.parametrize("missing", ["tissue_lowres_scalef", "tissue_hires_scalef", "spot_diameter_fullres"])
def test_scale_factors_that_nobody_needs(folder, missing, caplog):
    file = folder / "spatial" / "scalefactors_json.json"
    factors = json.loads(file.read_text())
    for value in (None, "words"):
        file.write_text(
            json.dumps({k: v for k, v in factors.items() if k != missing} | ({missing: value} if value else {}))
        )
        sdata = read(folder, overwrite=True)
        assert sdata["kidney"].radius.iloc[0] == pytest.approx(65 / 2 / 2.0)
        there = {name for name in ("hires", "lowres") if f"kidney_{name}_image" in sdata}
        assert there == {"hires", "lowres"} - {missing.split("_")[1]}
    assert f"state {missing}='words', which is no factor" in caplog.text


def test_damaged_reduced_image_is_left_out(folder, caplog):
    (folder / "spatial" / "tissue_lowres_image.png").write_bytes(b"damaged")
    assert "kidney_lowres_image" not in read(folder)
    assert "tissue_lowres_image.png' cannot be read as an image" in caplog.text


@pytest.mark.parametrize("name", ["table", "Table", "global", "he", "sr_008um", "grid_004um", "x" * 101, 5, None])
def test_names_that_are_taken(folder, name):
    if name is None:
        folder = folder.rename(folder.with_name("table"))
        assert record(read(folder)).dataset_id == "table_section"
        return
    with pytest.raises(ValueError, match="dataset_id=.* cannot name elements"):
        read(folder, dataset_id=name)


def test_existing_store(folder):
    read(folder)
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' exists already; pass overwrite=True"):
        read(folder, dataset_id="other")
    assert record(sd.read_zarr(folder.parent / "a.zarr")).dataset_id == "kidney"
    assert record(read(folder, dataset_id="other", overwrite=True)).dataset_id == "other"
    with pytest.raises(ValueError, match=r"exists and is not a SpatialData store"):
        read(folder, store=folder, overwrite=True)


def test_reader_is_quiet(folder, recwarn):
    read(folder)
    told = {str(warning.message).splitlines()[0] for warning in recwarn if issubclass(warning.category, UserWarning)}
    assert told == set()


def test_mpp_user_overrules_the_pitch(folder):
    facts = record(read(folder, mpp=2.1))
    assert (facts.mpp, facts.mpp_source) == (2.1, "user")


def test_mpp_user_contradicts_the_pitch(folder):
    with pytest.raises(ValueError, match=r"mpp=0\.5 contradicts the spot pitch, which gives 2 µm per pixel"):
        read(folder, mpp=0.5)
    assert left_behind(folder) == []


def test_mpp_file_contradicts_the_pitch(folder):
    rewrite(folder, dots=1e4 / 0.5, unit="CENTIMETER")
    with pytest.raises(ValueError, match=r"fullres_image states 0\.5 µm per pixel but the spot pitch gives 2;"):
        read(folder)
    assert record(read(folder, mpp=2.0)).mpp == 2.0


def test_mpp_default_resolution_of_image_programs(folder):
    rewrite(folder, dots=72, unit="INCH")
    assert record(read(folder)).mpp_source == "pitch"


def test_mpp_implausible(tmp_path):
    folder = tmp_path / "tiny"
    xy, rowcol = hex_spots(8, 6, 10, (100, 80))
    toy_folder(folder, xy=xy, array_rowcol=rowcol)
    with pytest.raises(ValueError, match=r"mpp=10 from the spot pitch is outside 0\.05 to 5\.0 µm per pixel"):
        read(folder)


def rewrite(folder, dots, unit):
    tifffile.imwrite(
        folder / "he.tif", toy_image(700, 800), photometric="rgb", resolution=(dots, dots), resolutionunit=unit
    )


@pytest.mark.parametrize("reduced", ["hires", "lowres"])
def test_image_reduced_image(tmp_path, reduced):
    folder = tmp_path / "large"
    toy_folder(folder, height=400, width=2500)
    with pytest.raises(ValueError, match=rf"fullres_image='.*' is as small as spatial/tissue_{reduced}_image\.png"):
        read(folder, fullres_image=f"spatial/tissue_{reduced}_image.png")
    with Image.open(folder / "spatial" / f"tissue_{reduced}_image.png") as image:
        tifffile.imwrite(folder / "he.tif", np.asarray(image), photometric="rgb")
    with pytest.raises(ValueError, match=r"fullres_image='.*he\.tif' is as small as"):
        read(folder)
    assert left_behind(folder) == []


@pytest.mark.parametrize("drawn", ["aligned_fiducials.jpg", "detected_tissue_image.jpg"])
def test_image_of_the_size_of_what_is_drawn_on_a_reduced_one(tmp_path, drawn):
    folder = tmp_path / "large"
    toy_folder(folder, height=400, width=2500)
    hires = folder / "spatial" / "tissue_hires_image.png"
    jpeg = folder / "spatial" / drawn
    Image.open(hires).save(jpeg)
    hires.unlink()
    with pytest.raises(
        ValueError, match=rf"is as small as spatial/{drawn} .* or where that is lost this one to stsr\.pp\."
    ):
        read(folder, fullres_image=jpeg)


def test_image_is_a_folder(folder):
    with pytest.raises(
        ValueError, match=r"fullres_image='spatial' is a folder; pass the file of the .* It holds scalef"
    ):
        read(folder, fullres_image="spatial")


def test_image_in_memory(folder):
    pixels = np.asarray(Image.open(folder / "he.tif"))
    whole = read(folder, fullres_image=pixels)["kidney_full_image"]["scale0"]["image"]
    np.testing.assert_array_equal(np.moveaxis(whole.to_numpy(), 0, -1), pixels)


def test_scale_factors_that_are_not_there(folder):
    expected = read(folder)
    (folder / "spatial" / "scalefactors_json.json").unlink()
    sdata = read(folder, store=folder / "without.zarr")
    assert record(sdata) == record(expected)
    assert "kidney_hires_image" not in sdata
    np.testing.assert_allclose(sdata["kidney"].radius, expected["kidney"].radius)


def test_image_small_slide_whose_hires_image_is_not_reduced(folder):
    assert json.loads((folder / "spatial" / "scalefactors_json.json").read_text())["tissue_hires_scalef"] == 1
    assert record(read(folder, fullres_image="spatial/tissue_hires_image.png")).mpp == pytest.approx(2.0)


def test_image_spots_outside(folder):
    tifffile.imwrite(folder / "he.tif", toy_image(300, 350), photometric="rgb")
    with pytest.raises(
        ValueError, match=r"has 350 x 300 pixels, but \d+ of 48 spots lie outside \(x=100 to 375, y=80 to 383"
    ):
        read(folder)
    assert left_behind(folder) == []


def test_image_missing(folder):
    with pytest.raises(FileNotFoundError, match=r"fullres_image='scan\.tif' is neither in the working directory nor"):
        read(folder, fullres_image="scan.tif")
    for nothing in (None, ""):
        with pytest.raises(ValueError, match=r"fullres_image is empty; pass the full-resolution H&E"):
            read(folder, fullres_image=nothing)
    with pytest.raises(ValueError, match=r"fullres_image=5 is neither a path nor an image"):
        read(folder, fullres_image=5)
    with pytest.raises(TypeError, match="fullres_image"):
        read_visium(folder, store=folder.parent / "a.zarr")


def test_image_fluorescence(folder):
    tifffile.imwrite(folder / "he.tif", np.zeros((2, 700, 800), np.uint16))
    with pytest.raises(ValueError, match=r"fullres_image='.*' holds 2 images one behind another, .*; save the H&E as"):
        read(folder)


@pytest.mark.parametrize("missing", ["filtered_feature_bc_matrix.h5", "spatial/tissue_positions.csv"])
def test_folder_missing_file(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(FileNotFoundError, match=rf"path='.*kidney' holds no {missing}; pass the folder that"):
        read(folder)


def test_folder_positions_of_another_run(folder):
    positions = pd.read_csv(folder / "spatial" / "tissue_positions.csv")
    positions.iloc[5:].to_csv(folder / "spatial" / "tissue_positions.csv", index=False)
    with pytest.raises(ValueError, match=r"has 5 barcodes without a position in spatial/tissue_positions"):
        read(folder)


@pytest.mark.parametrize(("value", "fault"), [(np.nan, "NaN or infinite"), (-3.0, "negative"), (0.25, "non-integer")])
def test_folder_values_that_are_no_counts(folder, value, fault):
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "r+") as file:
        values = file["matrix/data"][:].astype(np.float32)
        values[7] = value
        del file["matrix/data"]
        file["matrix/data"] = values
    with pytest.raises(ValueError, match=rf"table 'table' holds {fault} values in X; raw UMI counts are needed"):
        read(folder)
    assert left_behind(folder) == []
