"""Every transcript counts once, where it is: against numpy, for any partition, and what is refused."""

import logging

import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from hypothesis import given
from hypothesis import strategies as st
from spatialdata.models import PointsModel, get_table_keys
from spatialdata.transformations import set_transformation
from toys.spatial import toy_record
from toys.xenium import CONTROLS, GENES, MPP, affine, alignment, molecules, points

import stsr.spatial.points
from stsr.geometry import Grid
from stsr.pp.bin_transcripts import _count, bin_transcripts
from stsr.spatial import grid_to_labels, open_store, put, set_record
from stsr.spatial.points import Piece

COLS, ROWS = np.arange(16, 361, 8.0), np.arange(24, 281, 8.0)
"""Edges of the grid in µm; some transcripts lie outside."""


def square_grid(mask=True):
    place = np.array([[8.0, 0, 16], [0, 8, 24], [0, 0, 1]])
    return Grid(place, np.full((len(ROWS) - 1, len(COLS) - 1), True) & mask)


def toy(found, *, grid=None, matrix=None, **options):
    """A section with the transcripts in the vendor's rotated and flipped pixels, and a grid."""
    matrix = alignment() if matrix is None else matrix
    sdata = sd.SpatialData(points={"transcripts": points(found, matrix, **options)})
    set_transformation(sdata["transcripts"], affine(np.linalg.inv(matrix)), "toy")
    set_record(sdata, toy_record(mpp=MPP))
    put(sdata, "grid", grid_to_labels(grid or square_grid(), toy_record(mpp=MPP)))
    return sdata


def expected(found, *, genes=GENES, min_qv=20):
    """(cells, genes) by numpy."""
    return np.column_stack([found.histogram(gene, COLS, ROWS, min_qv=min_qv).ravel() for gene in genes])


def test_counts_are_numpys(caplog):
    found = molecules()
    sdata = toy(found)
    with caplog.at_level(logging.INFO, "stsr"):
        key = bin_transcripts(sdata, "grid")
    table = sdata[key]
    assert key == "square_008um"
    assert list(table.var_names) == GENES
    np.testing.assert_array_equal(table.X.toarray(), expected(found))
    note = table.uns["transcripts"]
    assert note["counted"] == expected(found).sum() == table.X.sum()
    assert note["other"] == np.isin(found.names, CONTROLS).sum()
    assert note["low_quality"] == (np.isin(found.names, GENES) & (found.qv < 20)).sum()
    assert note["counted"] + note["other"] + note["low_quality"] + note["outside"] == len(found.xy)
    assert note["outside"] > 0
    assert (
        f"left out are {note['other']} of controls and other features, {note['low_quality']} of low quality, "
        in caplog.text
    )


def test_table_annotates_the_grid():
    sdata = toy(molecules(500))
    table = sdata[bin_transcripts(sdata, "grid")]
    grid = square_grid()
    assert get_table_keys(table) == ("grid", "region", "bin_id")
    np.testing.assert_array_equal(table.obs["bin_id"], np.arange(1, grid.n_cells + 1))
    np.testing.assert_array_equal(table.obs[["array_row", "array_col"]], grid.rowcol)
    np.testing.assert_allclose(table.obsm["spatial"], grid.xy / MPP)


def test_only_cells_of_the_mask_count():
    found = molecules(2000)
    mask = np.random.default_rng(3).random((len(ROWS) - 1, len(COLS) - 1)) < 0.5
    sdata = toy(found, grid=square_grid(mask))
    table = sdata[bin_transcripts(sdata, "grid")]
    np.testing.assert_array_equal(table.X.toarray(), expected(found)[mask.ravel()])


@pytest.mark.parametrize("npartitions", [3, 11])
def test_partitions_and_pieces_make_no_difference(npartitions, monkeypatch):
    found = molecules()
    monkeypatch.setattr(stsr.spatial.points, "ROWS", 257)
    sdata = toy(found, npartitions=npartitions)
    assert sdata["transcripts"].npartitions == npartitions
    np.testing.assert_array_equal(sdata[bin_transcripts(sdata, "grid")].X.toarray(), expected(found))


def test_only_the_columns_needed_are_read(monkeypatch):
    sdata = toy(molecules(100), cell_id=["a"] * 100)
    seen = []
    piece = stsr.spatial.points.Transcripts._piece
    monkeypatch.setattr(
        stsr.spatial.points.Transcripts,
        "_piece",
        lambda self, rows, *rest: seen.append(list(rows)) or piece(self, rows, *rest),
    )
    bin_transcripts(sdata, "grid", min_qv=None)
    assert seen == [["x", "y", "gene"]]


@given(
    st.lists(
        st.tuples(*[st.integers(-20, 120)] * 2, st.sampled_from([-1, 0, 1]), st.booleans(), st.integers(0, 3)),
        max_size=60,
    ),
    st.integers(1, 2**24 - 1),
    st.sampled_from([0, 30, 90, 201]),
    st.booleans(),
)
def test_any_transcripts_on_any_grid(rows, bits, angle, flip):
    """Each transcript by itself with plain arithmetic, against pieces of any size on a rotated and flipped grid."""
    x, y, gene, good, part = np.array(rows, dtype=int).reshape(-1, 5).T
    xy, good = np.column_stack([x, y]) + 0.37, good.astype(bool)
    mask = (bits >> np.arange(24) & 1).astype(bool).reshape(4, 6)
    place = alignment(angle, flip=flip, scale=20.0, shift=(50, 40))
    pieces = [Piece(xy[part == number], gene[part == number], good[part == number]) for number in range(4)]
    counts, tally = _count(iter(pieces), Grid(place, mask), n_genes=2)

    numbers = np.cumsum(mask.ravel()).reshape(mask.shape) - 1
    wanted, outside = np.zeros((mask.sum(), 2), dtype=int), 0
    for point, column in zip(xy[good & (gene >= 0)], gene[good & (gene >= 0)], strict=True):
        col, row = np.floor(np.linalg.solve(place, [*point, 1])[:2]).astype(int)
        if 0 <= row < 4 and 0 <= col < 6 and mask[row, col]:
            wanted[numbers[row, col], column] += 1
        else:
            outside += 1
    np.testing.assert_array_equal(counts.toarray(), wanted)
    assert tally["outside"] == outside
    assert sum(tally.values()) == len(rows)


def test_no_threshold_counts_all():
    found = molecules()
    sdata = toy(found)
    bin_transcripts(sdata, "grid", min_qv=None, key_added="all")
    np.testing.assert_array_equal(sdata["all"].X.toarray(), expected(found, min_qv=None))
    assert "min_qv" not in sdata["all"].uns["transcripts"]


def test_genes_asked_for_in_their_order():
    found = molecules()
    sdata = toy(found)
    genes = ["UMOD", "BLANK_0003"]
    table = sdata[bin_transcripts(sdata, "grid", genes=genes)]
    assert list(table.var_names) == genes
    np.testing.assert_array_equal(table.X.toarray(), expected(found, genes=genes))


def test_genes_default_to_those_of_the_sections_own_bins():
    sdata = toy(molecules())
    set_record(sdata, toy_record(mpp=MPP, table="coarse"))
    bin_transcripts(sdata, "grid", genes=["UMOD", "AQP2"], key_added="coarse")
    assert list(sdata[bin_transcripts(sdata, "grid")].var_names) == ["UMOD", "AQP2"]


def test_several_elements_with_places_of_their_own():
    """As CosMx leaves them: a points element for each field of view, in its own pixels, without quality."""
    found = molecules()
    left = found.xy[:, 0] < 200
    sdata = toy(found)
    del sdata.points["transcripts"]
    for number, (own, shift) in enumerate([(left, 0), (~left, 500)], start=1):
        rows = pd.DataFrame(found.xy[own] / MPP - (shift, 0), columns=["x", "y"]).assign(target=found.names[own])
        move = affine(np.array([[1, 0, shift], [0, 1, 0], [0, 0, 1]]))
        sdata[f"{number}_points"] = PointsModel.parse(rows, feature_key="target", transformations={"toy": move})
    sdata["anchors"] = PointsModel.parse(np.zeros((3, 2)), transformations={"toy": affine(np.eye(3))})
    table = sdata[bin_transcripts(sdata, "grid", min_qv=None)]
    np.testing.assert_array_equal(table.X.toarray(), expected(found, min_qv=None))
    assert list(table.uns["transcripts"]["points"]) == ["1_points", "2_points"]
    one = sdata[bin_transcripts(sdata, "grid", min_qv=None, points="1_points", key_added="one")]
    assert one.X.sum() == expected(found, min_qv=None).reshape(len(ROWS) - 1, -1, 4)[:, :23].sum()


def test_gene_column_of_plain_strings():
    """As MERSCOPE leaves them: categories that dask does not know."""
    found = molecules()
    sdata = toy(found)
    rows = sdata["transcripts"]
    rows["gene"] = rows["gene"].astype("string").astype("category")
    assert not rows["gene"].cat.known
    np.testing.assert_array_equal(sdata[bin_transcripts(sdata, "grid")].X.toarray(), expected(found))
    named = sdata[bin_transcripts(sdata, "grid", feature_key="gene", key_added="named")]
    np.testing.assert_array_equal(named.X.toarray(), expected(found))


def test_on_disk(tmp_path):
    found = molecules()
    toy(found, npartitions=3).write(tmp_path / "a.zarr")
    sdata = open_store(tmp_path / "a.zarr")
    bin_transcripts(sdata, "grid")
    again = open_store(tmp_path / "a.zarr")["square_008um"]
    np.testing.assert_array_equal(again.X.toarray(), expected(found))
    assert again.uns["transcripts"]["counted"] == expected(found).sum()


def test_existing_table():
    sdata = toy(molecules(100))
    bin_transcripts(sdata, "grid")
    with pytest.raises(ValueError, match=r"key_added='square_008um' exists already; pass overwrite=True"):
        bin_transcripts(sdata, "grid")
    assert bin_transcripts(sdata, "grid", min_qv=None, overwrite=True) == "square_008um"
    assert sdata["square_008um"].uns["transcripts"]["low_quality"] == 0


def test_what_is_refused():
    sdata = toy(molecules(100))
    with pytest.raises(KeyError, match=r"grid='gird' not found; sdata holds the labels grid"):
        bin_transcripts(sdata, "gird")
    with pytest.raises(KeyError, match=r"points='dots' not found; sdata holds the points transcripts"):
        bin_transcripts(sdata, "grid", points="dots")
    with pytest.raises(
        ValueError, match=r"feature_key='target' is no column of points 'transcripts'; .* x, y, gene, qv"
    ):
        bin_transcripts(sdata, "grid", points="transcripts", feature_key="target")
    with pytest.raises(ValueError, match=r"genes='UMODD' is no feature of the transcripts; did you mean UMOD\?"):
        bin_transcripts(sdata, "grid", genes=["UMODD"])
    with pytest.raises(ValueError, match=r"genes lists UMOD more than once"):
        bin_transcripts(sdata, "grid", genes=["UMOD", "UMOD"])
    sdata["transcripts"] = sdata["transcripts"].drop(columns="qv")
    with pytest.raises(
        ValueError, match=r"min_qv=20 needs a column 'qv', which points 'transcripts' lack; pass min_qv=None"
    ):
        bin_transcripts(sdata, "grid")
    del sdata.points["transcripts"]
    with pytest.raises(ValueError, match=r"sdata has no points with a gene column \(points: none\); pass points and"):
        bin_transcripts(sdata, "grid")


def test_transcripts_without_coordinates():
    found = molecules(100)
    found.xy[[3, 50]] = np.nan
    with pytest.raises(ValueError, match=r"points 'transcripts' hold 2 transcripts without coordinates"):
        bin_transcripts(toy(found), "grid")


def test_points_of_another_frame():
    sdata = toy(molecules(100))
    set_transformation(sdata["transcripts"], {"global": affine(np.eye(3))}, set_all=True)
    with pytest.raises(
        ValueError, match=r"element 'transcripts' is not in the coordinate system 'toy', only in global"
    ):
        bin_transcripts(sdata, "grid")
