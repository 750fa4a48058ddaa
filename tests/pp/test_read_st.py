"""Legacy Spatial Transcriptomics: the real sections, and the sentence for each thing that can be wrong."""

from __future__ import annotations

import gzip
import logging
from functools import cache

import numpy as np
import pandas as pd
import pytest
import squidpy as sq
from PIL import Image
from toys.spatial import toy_image

import stsr
from stsr.geometry import Disc, nearest_pitch
from stsr.spatial import open_store, read_section, record

MPP, GENES = 4.0, ["ERBB2", "ACTB", "HLA-A"]


@pytest.fixture
def folder(tmp_path):
    """Section B4 with 7 x 6 spots found up to 10 µm beside their place on the array; the last gene is repeated."""
    write(tmp_path)
    return tmp_path


def write(folder, *, jitter: float = 10.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y, x = np.divmod(np.arange(42), 7)
    array = np.column_stack([x, y]) + 3
    found = array + rng.uniform(-jitter, jitter, array.shape) / 200
    pixel = found * 200 / MPP - 80
    places = pd.DataFrame(
        np.column_stack([array, found, pixel]), columns=["x", "y", "new_x", "new_y", "pixel_x", "pixel_y"]
    ).astype({"x": int, "y": int})
    places["selected"] = 1
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    counts = pd.DataFrame(rng.poisson(3, (42, 4)), columns=[*GENES, "ACTB"], index=[f"{a}x{b}" for a, b in array])
    counts[::-1].to_csv(folder / "B4.tsv.gz", sep="\t")
    Image.fromarray(toy_image(400, 450)).save(folder / "B4.jpg", quality=95)
    return counts


def read(folder, **options):
    return stsr.pp.read_st(folder, **({"section": "B4", "store": folder / "a.zarr"} | options))


def test_places_between_whole_ones_are_rounded(folder):
    expected = read(folder)["table"]
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places[["x", "y"]] -= 0.03
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    table = read(folder, store=folder / "b.zarr")["table"]
    np.testing.assert_array_equal(table.X.toarray(), expected.X.toarray())
    np.testing.assert_allclose(table.obsm["spatial"], expected.obsm["spatial"])


def test_spots_know_their_section_and_place(folder):
    sdata = read(folder)
    stsr.pp.make_grid(sdata, bin_size=100.0)
    section = read_section(sdata, genes=GENES[:2], grid="grid_100um")
    assert set(section.spot_section) == {"B4"}
    named = [f"{col}x{row}" for row, col in section.array_rowcol]
    np.testing.assert_array_equal(named, sdata["table"].obs_names)


@pytest.fixture(scope="module")
def real(data_dir, tmp_path_factory):
    """Read a real section, once."""
    return cache(
        lambda section: stsr.pp.read_st(
            data_dir / "her2st", section=section, store=tmp_path_factory.mktemp(section) / "a.zarr"
        )
    )


@pytest.mark.parametrize(
    ("section", "spots", "umi"), [("B4", 283, 648), ("C2", 187, 8508), ("C3", 180, 9549), ("C4", 184, 10190)]
)
def test_real_sections(real, data_dir, section, spots, umi):
    sdata = real(section)
    facts, table = record(sdata), sdata["table"]
    assert facts.dataset_id == section
    assert table.n_obs == spots
    assert np.median(table.X.toarray().sum(axis=1)) == pytest.approx(umi, abs=1)
    assert 0.687 < facts.mpp < 0.689
    with gzip.open(data_dir / "her2st" / f"{section}.tsv.gz", "rt") as file:
        header, *lines = file.read().splitlines()
    assert list(table.var_names) == header.split("\t")[1:]
    values = np.array([line.split("\t")[1:] for line in lines], dtype=np.float32)
    np.testing.assert_array_equal(table.X.toarray(), values)


def test_a_real_section_goes_through_the_methods_and_squidpy(real):
    sdata = real("C2")
    stsr.pp.calibrate_image(sdata, target_mpp=4.0)
    stsr.pp.make_grid(sdata, bin_size=32)
    stsr.tl.fit_super_resolution(sdata, method="idw", genes=["ERBB2", "ACTB"], grid="grid_032um", progress=False)
    section = read_section(sdata, genes=["ERBB2", "ACTB"], grid="grid_032um")
    assert section.footprint.sum(axis=1).mean() == pytest.approx(section.spot_cells, rel=0.1)
    discs = section.footprint @ sdata["sr_032um"].X
    assert np.corrcoef(discs[:, 0], section.counts.toarray()[:, 0])[0, 1] > 0.9
    sq.gr.spatial_neighbors(sdata["table"], n_neighs=4, coord_type="generic")
    assert sdata["table"].obsp["spatial_connectivities"].nnz >= 4 * 187


def test_everything_is_read_back_from_the_store(folder):
    counts = write(folder)
    sdata = open_store(read(folder).path)
    table = sdata["table"]
    np.testing.assert_array_equal(table.X.toarray(), counts.loc[table.obs_names].to_numpy())
    assert [f"{x}x{y}" for x, y in table.obs[["array_col", "array_row"]].to_numpy()] == list(table.obs_names)
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places.index = [f"{a}x{b}" for a, b in zip(places.x, places.y, strict=True)]
    np.testing.assert_allclose(table.obsm["spatial"], places.loc[table.obs_names, ["pixel_x", "pixel_y"]])
    facts = record(sdata)
    assert (facts.technology, facts.dataset_id, facts.spot_size) == ("spatial_transcriptomics", "B4", 100)
    stsr.pp.make_grid(sdata, bin_size=40)
    section = read_section(sdata, genes=["ERBB2"], grid="grid_040um")
    assert section.aperture == Disc(100)
    np.testing.assert_allclose(section.spots, table.obsm["spatial"] * facts.mpp)


def test_scale_comes_from_the_array_not_from_the_neighbours(folder):
    write(folder, jitter=30)
    sdata = read(folder)
    assert record(sdata).mpp == pytest.approx(MPP, rel=1e-6)
    assert 200 / nearest_pitch(sdata["table"].obsm["spatial"]) > 1.05 * MPP
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t").drop(columns=["new_x", "new_y"])
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    assert record(read(folder, overwrite=True)).mpp == pytest.approx(MPP, rel=0.02)


def test_repeated_genes_are_told_apart(folder, caplog):
    assert list(read(folder)["table"].var_names) == [*GENES, "ACTB-1"]
    assert "1 gene symbols occur more than once (ACTB" in caplog.text


def test_spots_of_one_file_only_are_dropped_and_counted(folder, caplog):
    caplog.set_level(logging.INFO, "stsr")
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places.loc[[0, 1], "selected"] = 0
    places.drop(index=2).to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    counts = pd.read_csv(folder / "B4.tsv.gz", sep="\t", index_col=0)
    counts.drop(index="9x8").to_csv(folder / "B4.tsv.gz", sep="\t")
    assert read(folder)["table"].n_obs == 38
    assert "Dropped 3 spots without a place and 1 without counts; 38 are left." in caplog.text


def test_files_that_lie_elsewhere_and_have_other_names(folder):
    (folder / "cnts").mkdir()
    (folder / "B4.tsv.gz").rename(folder / "cnts" / "a.tsv.gz")
    (folder / "B4_selection.tsv").rename(folder / "spots.tsv")
    Image.open(folder / "B4.jpg").save(folder / "he.tif")
    (folder / "B4.jpg").unlink()
    sdata = read(folder, section="B/4", counts="cnts/a.tsv.gz", selection=folder / "spots.tsv", fullres_image="he.tif")
    assert record(sdata).dataset_id == "4"


@pytest.mark.parametrize(
    ("file", "looked_for"),
    [
        ("B4.tsv.gz", r"no counts: looked for .*B4.tsv.gz, .*B4.tsv; check path and section, or pass counts="),
        ("B4_selection.tsv", r"no selection: looked for .*B4_selection.tsv, "),
        ("B4.jpg", r"no fullres_image: looked for .*B4.jpg, .*B4.png, .*B4.tif, "),
    ],
)
def test_missing_files_are_named(folder, file, looked_for):
    (folder / file).rename(folder / "renamed")
    with pytest.raises(FileNotFoundError, match=r"section='B4' has " + looked_for):
        read(folder)
    assert not (folder / "a.zarr").exists()


def test_tables_that_do_not_belong_together_are_refused(folder):
    counts = pd.read_csv(folder / "B4.tsv.gz", sep="\t", index_col=0)
    counts.set_axis([f"spot{n}" for n in range(42)]).to_csv(folder / "B4.tsv.gz", sep="\t")
    with pytest.raises(
        ValueError, match="counts and selection share no spot: one names them like spot0, spot1, the other"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts.assign(ACTB="much"), r"holds words under 'ACTB'; pass tab-separated counts"),
        (lambda counts: counts / 3, r"table 'B4.tsv.gz' holds non-integer values"),
        (lambda counts: counts.replace(0, np.nan), r"table 'B4.tsv.gz' holds NaN or infinite values"),
        (lambda counts: pd.concat([counts, counts[:1]]), r"has two rows for spot 9x8; keep one"),
    ],
)
def test_counts_that_are_none_are_refused(folder, change, message):
    counts = pd.read_csv(folder / "B4.tsv.gz", sep="\t", index_col=0)
    change(counts).to_csv(folder / "B4.tsv.gz", sep="\t")
    with pytest.raises(ValueError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.drop(columns=["pixel_x", "y"]), r"lacks the columns y, pixel_x; it has x, new_x, new_y"),
        (lambda places: pd.concat([places, places[:1]]), r"has two rows for spot 3x3; keep one"),
        (
            lambda places: places.assign(pixel_x=places.pixel_x + 300),
            r"450 x 400 pixels, but \d+ of 42 spots lie outside",
        ),
    ],
)
def test_selections_that_are_none_are_refused(folder, change, message):
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    change(places).to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mpp": 1.0}, r"mpp=1.0 contradicts the spot pitch, which gives 4 µm per pixel"),
        ({"pitch": 2000.0}, r"mpp=40 from the spot pitch is outside 0.05 to 5"),
        ({"pitch": 90.0}, r"spot_diameter=100 µm does not fit pitch=90 µm; spots must not overlap"),
        ({"dataset_id": "a b"}, r"dataset_id='a b' cannot name elements"),
    ],
)
def test_options_that_contradict_the_section_are_refused(folder, wrong, message):
    with pytest.raises(ValueError, match=message):
        read(folder, **wrong)


@pytest.mark.parametrize("options", [{"sep": ","}, {"sep": ";", "encoding": "utf-8-sig"}, {"lineterminator": "\r\n"}])
def test_tables_as_spreadsheets_leave_them(folder, options):
    expected = read(folder)["table"].copy()
    pd.read_csv(folder / "B4.tsv.gz", sep="\t", index_col=0).rename(columns={"ACTB.1": "ACTB"}).to_csv(
        folder / "B4.tsv.gz", **({"sep": "\t"} | options)
    )
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places.assign(selected=places["selected"] == 1).to_csv(
        folder / "B4_selection.tsv", **({"sep": "\t", "index": False} | options)
    )
    table = read(folder, overwrite=True)["table"]
    np.testing.assert_array_equal(table.X.toarray(), expected.X.toarray())
    np.testing.assert_allclose(table.obsm["spatial"], expected.obsm["spatial"])
    assert list(table.var_names) == [*GENES, "ACTB-1"]


@pytest.mark.parametrize("chosen", [[20], [0, 41], [0, 2, 4]])
def test_few_selected_spots_tell_the_pitch_by_all_listed(folder, chosen):
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places["selected"] = places.index.isin(chosen).astype(float)
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    sdata = read(folder)
    assert record(sdata).mpp == pytest.approx(MPP, rel=1e-6)
    assert sdata["table"].n_obs == len(chosen)


def test_one_listed_spot_needs_mpp(folder):
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t")
    places[:1].to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match=r"lists one spot, which gives no pitch; pass mpp"):
        read(folder)
    assert record(read(folder, mpp=4.0)).mpp == 4.0


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("B4.tsv.gz", b"", r"counts: '.*B4.tsv.gz' cannot be read as a table of counts"),
        ("B4.tsv.gz", b"\x1f\x8b damaged", r"counts: '.*B4.tsv.gz' cannot be read as a table of counts"),
        ("B4.tsv.gz", b"\tA\tB\n1x1\t1\t2\t3\t4\t5\n", r"has 3 names above 5 columns of 1 spots"),
        ("B4.tsv.gz", b"\t1x1\t1x2\nACTB\t1\t2\n", r"is genes x spots; transpose it"),
        ("B4.tsv.gz", b"\tACTB\t\n1x1\t1\t2\n", r"has 1 genes without a name"),
        ("B4_selection.tsv", b"", r"selection: '.*' cannot be read as a table of spots"),
        ("B4_selection.tsv", b"\xff\x00\x01", r"selection: '.*' cannot be read as a table of spots"),
        ("B4_selection.tsv", b"x\ty\tpixel_x\tpixel_y\n3\t3\ta\tb\n", r"gives 1 selected spots no number in x, y"),
    ],
)
def test_damaged_tables(folder, file, content, message):
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(folder)


def test_two_files_of_a_kind(folder):
    Image.open(folder / "B4.jpg").save(folder / "B4.png")
    with pytest.raises(
        ValueError, match="has 2 files of fullres_image: B4.jpg, B4.png; pass the right one as fullres_im"
    ):
        read(folder)
    read(folder, fullres_image="B4.png")


def test_array_that_positions_do_not_follow(folder):
    places = pd.read_csv(folder / "B4_selection.tsv", sep="\t").drop(columns=["new_x", "new_y"])
    places["pixel_x"] = places["pixel_x"].sample(frac=1, random_state=0).to_numpy()
    places.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match="describes no array of spots: "):
        read(folder)
