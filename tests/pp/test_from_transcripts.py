"""Sections of single transcripts from any instrument: frames, squares, and alignments that cannot be."""

import logging

import dask
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
import tifffile
from PIL import Image
from spatialdata.models import Image2DModel, Labels2DModel, PointsModel, ShapesModel
from spatialdata.transformations import get_transformation
from toys.spatial import toy_image
from toys.xenium import GENES, MPP, PIXEL, affine, alignment, molecules, points, section, to_vendor

from stsr.pp.from_transcripts import from_transcripts
from stsr.spatial import labels_to_grid, record, spot_positions

COLS, ROWS = np.arange(0, 401, 16.0), np.arange(0, 321, 16.0)


@pytest.fixture(scope="module")
def he(tmp_path_factory):
    """An H&E of 400 x 320 µm."""
    path = tmp_path_factory.mktemp("he") / "he.png"
    Image.fromarray(toy_image(800, 1000)).save(path, compress_level=1)
    return path


@pytest.fixture
def read(he, tmp_path):
    def run(sdata, **options):
        defaults = {"fullres_image": he, "alignment": alignment(), "pixel_size": PIXEL, "dataset_id": "toy"}
        return from_transcripts(sdata, **(defaults | {"store": tmp_path / "a.zarr"} | options))

    return run


def total(found, *, min_qv=None):
    """(rows, cols, genes) by numpy, over the whole H&E."""
    return np.stack([found.histogram(gene, COLS, ROWS, min_qv=min_qv) for gene in GENES], axis=-1)


def on_the_he(sdata):
    """(rows, cols, genes) of the table, back in the places on the H&E."""
    table, grid = sdata["square_016um"], labels_to_grid(sdata, "toy_square_016um")
    col, row = (grid.xy / 16).astype(int).T
    dense = np.zeros((len(ROWS) - 1, len(COLS) - 1, table.n_vars), dtype=int)
    dense[row, col] = table.X.toarray()
    return dense


def test_squares_hold_every_transcript(read):
    found = molecules()
    sdata = read(section(found, alignment()), min_qv=20)
    facts = record(sdata)
    assert facts.mpp == pytest.approx(MPP)
    assert (facts.mpp_source, facts.spot_size, facts.technology) == ("alignment", 16.0, "transcripts")
    assert (facts.spots, facts.table) == ("toy_square_016um", "square_016um")
    np.testing.assert_array_equal(on_the_he(sdata), total(found, min_qv=20))
    assert list(sdata["square_016um"].var_names) == GENES
    np.testing.assert_allclose(
        spot_positions(sdata, sdata["square_016um"], facts), sdata["square_016um"].obsm["spatial"] * MPP
    )


def test_holes_between_transcripts_are_squares_too(read):
    found = molecules(9000)
    col, row = (found.xy // 16).astype(int).T
    kept = ~((col >= 5) & (col < 8) & (row >= 5) & (row < 9)) & ~((col < 3) & (row < 3))
    found = type(found)(found.xy[kept], found.names[kept], found.qv[kept])
    grid = labels_to_grid(read(section(found, alignment())), "toy_square_016um")
    assert grid.mask[5:9, 5:8].all()
    assert not grid.mask[:3, :3].any()


def test_squares_beside_the_he_are_left_out(read, caplog):
    found = molecules()
    moved = type(found)(found.xy + (200, 0), found.names, found.qv)
    with caplog.at_level(logging.WARNING, "stsr"):
        sdata = read(section(moved, alignment()))
    outside = (found.xy[np.isin(found.names, GENES), 0] > 200).sum()
    told = f"{outside} of {np.isin(found.names, GENES).sum()} transcripts"
    assert any(line.startswith(told) and "beside the H&E and are left out" in line for line in caplog.messages)
    np.testing.assert_array_equal(on_the_he(sdata), total(moved))
    assert sdata["square_016um"].uns["transcripts"]["outside"] == outside


def test_everything_moves_to_the_pixels_of_the_he_and_the_input_stays(read):
    found, matrix = molecules(500), alignment()
    sdata = section(found, matrix)
    sdata["discs"] = ShapesModel.parse(to_vendor(found.xy[:5], matrix), geometry=0, radius=3)
    sdata["labels"] = Labels2DModel.parse(np.ones((4, 5), dtype=np.uint32))
    sdata["pyramid"] = Image2DModel.parse(np.ones((3, 40, 50), dtype=np.uint8), scale_factors=[2])
    sdata["stray"] = ShapesModel.parse(
        np.ones((2, 2)), geometry=0, radius=1, transformations={"other": affine(np.eye(3))}
    )
    new = read(sdata)
    assert "stray" not in new
    for name in ("transcripts", "discs", "labels", "pyramid"):
        assert set(get_transformation(sdata[name], get_all=True)) == {"global"}, name
        placed = get_transformation(new[name], get_all=True)
        assert set(placed) == {"toy", "global"}, name
        np.testing.assert_allclose(placed["toy"].to_affine_matrix(("x", "y"), ("x", "y")), np.linalg.inv(matrix))
    there = sd.transform(new["discs"], to_coordinate_system="toy").geometry
    np.testing.assert_allclose(np.column_stack([there.x, there.y]) * MPP, found.xy[:5])
    assert "stsr" not in sdata.attrs


def test_cosmx(read):
    """As spatialdata-io reads it: a points element for each field of view, affines to ``"global"``, the column target."""
    found, matrix = molecules(), alignment(0, flip=True, scale=MPP / 0.12, shift=(0, 3000))
    upper = found.xy[:, 1] < 150
    sdata = sd.SpatialData(attrs={"spatialdata_io_reader": "cosmx"})
    for fov, own in (("1", upper), ("2", ~upper)):
        corner = (400.0, 100.0 * int(fov))
        rows = pd.DataFrame(to_vendor(found.xy[own], matrix) - corner, columns=["x", "y"])
        rows = rows.assign(target=found.names[own], cell_ID=1)
        move = affine(np.array([[1, 0, corner[0]], [0, 1, corner[1]], [0, 0, 1]]))
        sdata[f"{fov}_points"] = PointsModel.parse(
            rows, feature_key="target", instance_key="cell_ID", transformations={fov: affine(np.eye(3)), "global": move}
        )
    new = read(sdata, alignment=matrix, pixel_size=0.12)
    assert record(new).technology == "cosmx"
    assert record(new).mpp == pytest.approx(MPP)
    np.testing.assert_array_equal(on_the_he(new), total(found))


def test_merscope(read):
    """As spatialdata-io reads it: one element in µm with z, an affine to the mosaic's pixels, categories unknown."""
    found, matrix = molecules(), alignment(3, flip=False, scale=MPP / 0.108, shift=(100, 900))
    to_mosaic = np.array([[1 / 0.108, 0, 250.0], [0, 1 / 0.108, 400], [0, 0, 1]])
    xy = (np.column_stack([to_vendor(found.xy, matrix), np.ones(len(found.xy))]) @ np.linalg.inv(to_mosaic).T)[:, :2]
    rows = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "z": 1.0, "gene": found.names})
    element = PointsModel.parse(rows, feature_key="gene", npartitions=3, transformations={"global": affine(to_mosaic)})
    element["gene"] = element["gene"].astype("string").astype("category")
    new = read(sd.SpatialData(points={"slide_region_transcripts": element}), alignment=matrix, pixel_size=0.108)
    assert record(new).mpp == pytest.approx(MPP)
    np.testing.assert_array_equal(on_the_he(new), total(found))


def test_alignment_as_a_file(read, tmp_path):
    found = molecules(300)
    (tmp_path / "al.csv").write_text("\ufeff" + "\n".join(",".join(map(repr, map(float, row))) for row in alignment()))
    sdata = read(section(found, alignment()), alignment=tmp_path / "al.csv")
    assert on_the_he(sdata).sum() == np.isin(found.names, GENES).sum()


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(2), r"alignment is 2 x 2; it must be the 3 x 3 matrix"),
        (np.ones((3, 3)), r"alignment is no invertible affine with the last row 0, 0, 1"),
        (np.array([[2, 4, 0], [1, 2, 0], [0, 0, 1]]), r"alignment is no invertible affine"),
        (np.array([[2, 0, np.nan], [0, 2, 0], [0, 0, 1]]), r"alignment is no invertible affine"),
        (
            alignment() @ np.diag([1.04, 1, 1]),
            r"alignment stretches the H&E by 4\.0% more one way than the other, at most 2%",
        ),
        (alignment() @ [[1, 0.03, 0], [0, 1, 0], [0, 0, 1]], r"alignment stretches the H&E by 3\.0% more one way"),
        (np.diag([0.1, 0.1, 1]), r"alignment and pixel_size=0\.2125 give 0\.02125 µm per pixel, outside 0\.05 to 5\.0"),
        (
            alignment(shift=(90_000, 300)),
            r"alignment maps the H&E off the section: 0% of 2.. transcripts lie on its 1000 x 800",
        ),
    ],
)
def test_alignment_that_cannot_be(read, matrix, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(section(molecules(300), alignment()), alignment=matrix)
    assert list(tmp_path.iterdir()) == []


def test_alignment_of_small_distortion_is_taken(read):
    found = molecules(300)
    matrix = alignment() @ np.diag([1.005, 1 / 1.005, 1])
    sdata = read(section(found, matrix), alignment=matrix)
    np.testing.assert_array_equal(on_the_he(sdata), total(found))


def test_alignment_file_that_is_no_matrix(read, tmp_path):
    (tmp_path / "al.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(
        ValueError, match=r"alignment='.*al\.csv' is not a table of numbers; it must hold a 3 x 3 matrix"
    ):
        read(section(molecules(50), alignment()), alignment=tmp_path / "al.csv")
    (tmp_path / "al.csv").write_text("1,2\n1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"alignment='.*al\.csv' is 3 x 2; it must be the 3 x 3 matrix"):
        read(section(molecules(50), alignment()), alignment=tmp_path / "al.csv")


def test_resolution_that_the_file_contradicts_is_told(read, tmp_path, caplog):
    tiff = tmp_path / "he.ome.tif"
    tifffile.imwrite(tiff, toy_image(800, 1000), photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5})
    with caplog.at_level(logging.WARNING, "stsr"):
        read(section(molecules(300), alignment()), fullres_image=tiff)
    assert "The alignment gives 0.4 µm per pixel, but he.ome.tif states 0.5" in caplog.text


def test_what_is_refused(read, tmp_path):
    sdata = section(molecules(100), alignment())
    with pytest.raises(ValueError, match=r"coordinate_system='microns' is not one of sdata's: global"):
        read(sdata, coordinate_system="microns")
    with pytest.raises(ValueError, match="bin_size=1 is not allowed; pass a number from 2 to 100"):
        read(sdata, bin_size=1)
    with pytest.raises(ValueError, match=r"no transcript of a gene reaches min_qv; lower it"):
        read(sdata, min_qv=99)
    with pytest.raises(ValueError, match=r"genes='UMODD' is no feature of the transcripts; did you mean UMOD\?"):
        read(sdata, genes=["UMODD"])
    with pytest.raises(ValueError, match=r"dataset_id='a b' cannot name elements"):
        read(sdata, dataset_id="a b")
    with pytest.raises(FileNotFoundError, match=r"fullres_image='no\.tif' is not in the working directory"):
        read(sdata, fullres_image="no.tif")
    with pytest.raises(FileNotFoundError, match=r"alignment='no\.csv' is not in the working directory; pass the file"):
        read(sdata, alignment="no.csv")
    plain = sd.SpatialData(points={"t": points(molecules(100), alignment()).drop(columns="qv")})
    with pytest.raises(ValueError, match=r"min_qv=20 needs a column 'qv', which points 't' lack"):
        read(plain, min_qv=20)
    assert list(tmp_path.iterdir()) == []


def test_most_transcripts_must_lie_on_the_he(read):
    found = molecules()
    far = type(found)(found.xy + (290, 0), found.names, found.qv)
    with pytest.raises(
        ValueError, match=r"alignment maps the H&E off the section: \d\d?% of \d+ transcripts lie on its"
    ):
        read(section(far, alignment()))
    negative = type(found)(found.xy - (60, 0), found.names, found.qv)
    assert on_the_he(read(section(negative, alignment()))).sum() == total(negative).sum()


def test_names_of_genes_of_every_type(read):
    found, matrix = molecules(400), alignment()
    for kind in ("object", "string", "category", "bytes"):
        rows = points(found, matrix).compute()[["x", "y", "gene", "qv"]]
        rows["gene"] = [name.encode() for name in found.names] if kind == "bytes" else rows["gene"].astype(kind)
        with dask.config.set({"dataframe.convert-string": False}):
            element = PointsModel.parse(rows, feature_key="gene", npartitions=2)
            sdata = read(sd.SpatialData(points={"t": element}), overwrite=True)
        assert list(sdata["square_016um"].var_names) == GENES, kind
        assert on_the_he(sdata).sum() == np.isin(found.names, GENES).sum()


def test_partitions_without_rows(read):
    element = points(molecules(400), alignment(), npartitions=4)
    mine = element[element["x"] > element["x"].quantile(0.5).compute()]
    attrs, sdata = element.attrs, section(molecules(400), alignment())
    mine.attrs = attrs
    sdata["transcripts"] = mine
    assert read(sdata)["square_016um"].X.sum() > 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_size": 0}, r"pixel_size=0 is not allowed; pass a number from 0\.001 to 1000"),
        ({"pixel_size": np.nan}, r"pixel_size=nan is not allowed"),
        ({"pixel_size": "0.2"}, r"pixel_size='0\.2' is not allowed"),
        ({"pixel_size": True}, r"pixel_size=True is not allowed"),
        ({"min_qv": "20"}, r"min_qv='20' is not allowed; pass a number from 0 to 1000 or None"),
        ({"min_qv": np.nan}, r"min_qv=nan is not allowed"),
        ({"genes": "UMOD"}, r"genes='UMOD' is a single name; pass a list of names"),
        ({"genes": []}, r"genes is empty; pass names, or None for all"),
        ({"points": []}, r"points is empty; pass names, or None for all"),
        ({"coordinate_system": None}, r"coordinate_system=None is no name of one"),
        ({"bin_size": np.nan}, r"bin_size=nan"),
    ],
)
def test_options_that_make_no_sense(read, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(section(molecules(100), alignment()), **options)
    assert list(tmp_path.iterdir()) == []


def test_something_else_than_a_section(read):
    with pytest.raises(ValueError, match=r"sdata is a str; pass a SpatialData object with transcripts as points"):
        read("section.zarr")
