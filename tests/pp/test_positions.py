"""Tables of positions as vendors, spreadsheets and repositories keep them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from toys.spatial import hex_spots

from stsr.pp._positions import COLUMNS, in_tissue, lattice_of, read_positions


def table() -> pd.DataFrame:
    xy, rowcol = hex_spots(4, 3, 50.5, (100, 80))
    columns = [[f"AC{n}-1" for n in range(12)], np.arange(12) % 4 > 0, *rowcol.T, xy[:, 1], xy[:, 0]]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))).astype({"in_tissue": int})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"header": False},
        {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"},
        {"sep": ";", "header": False},
        {"sep": "\t", "lineterminator": "\r\n"},
        {"encoding": "utf-16"},
        {"index": True},
        {"quoting": 1},
        {"compression": "gzip"},
    ],
)
def test_every_way_to_write_it_is_read_alike(tmp_path, options):
    table().to_csv(tmp_path / "p.csv", **({"index": False} | options))
    read = read_positions(tmp_path / "p.csv")
    expected = table().set_index("barcode")
    assert list(read.index) == list(expected.index)
    np.testing.assert_allclose(read[COLUMNS[2:]], expected[COLUMNS[2:]])
    np.testing.assert_array_equal(read["in_tissue"], expected["in_tissue"] == 1)


def test_columns_in_another_order_and_barcodes_without_a_name(tmp_path):
    table()[COLUMNS[::-1]].to_csv(tmp_path / "p.csv", index=False)
    read = read_positions(tmp_path / "p.csv")
    table().rename(columns={"barcode": ""}).to_csv(tmp_path / "q.csv", index=False)
    pd.testing.assert_frame_equal(read[COLUMNS[2:]], read_positions(tmp_path / "q.csv")[COLUMNS[2:]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="array_row"), r"lacks the columns array_row; it must hold barcode, in_tissue"),
        (lambda t: pd.concat([t, t[:2]]), r"names 2 barcodes twice \(AC0-1"),
        (lambda t: t.assign(array_col=t["array_col"].where(t.index != 5)), r"gives 1 spots in tissue no number"),
        (lambda t: t.assign(in_tissue="perhaps"), r"holds 'perhaps' as in_tissue; put 1 for spots in tissue"),
        (lambda t: t.assign(in_tissue=np.nan), r"holds 'nan' as in_tissue"),
    ],
)
def test_what_is_no_table_of_positions(tmp_path, change, message):
    change(table()).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(ValueError, match=message):
        read_positions(tmp_path / "p.csv")


def test_a_place_off_tissue_needs_no_position(tmp_path):
    places = table()
    places.loc[0, "pxl_row_in_fullres"] = np.nan
    places.to_csv(tmp_path / "p.csv", index=False)
    assert len(read_positions(tmp_path / "p.csv")) == 11


@pytest.mark.parametrize(
    "values",
    [[1, 0], [True, False], [1.0, 0.0], ["1", "0"], ["True", " FALSE"], pd.Categorical(["1.0", "0.0"]),
     pd.array([1, 0], dtype="Int64"), np.array([1, 0], dtype=np.int8), [b"1".decode(), 0]],
)  # fmt: skip
def test_tissue_is_said_in_many_ways(values):
    np.testing.assert_array_equal(in_tissue(values, "obs"), [True, False])


def test_lattice_is_that_of_the_places_that_can_be_trusted():
    places = table()
    rowcol, xy, inside = places[COLUMNS[2:4]].to_numpy(), places[COLUMNS[:3:-1]].to_numpy(), places["in_tissue"] == 1
    size, inside = (400, 400), inside.to_numpy()
    assert lattice_of(rowcol, xy, inside, size, layout="hexagonal").pitch == pytest.approx(50.5)
    for wrong in ({0: (0.0, 0.0), 4: (350.0, 350.0)}, {5: (-900.0, 50.0)}, {0: (9.0, 9.0), 5: (99.0, 9e5)}):
        moved = xy.copy()
        for spot, place in wrong.items():
            moved[spot] = place
        assert lattice_of(rowcol, moved, inside, size, layout="hexagonal").pitch == pytest.approx(50.5)
    moved[6] = (390.0, 20.0)
    with pytest.raises(ValueError, match="pitches beside it"):
        lattice_of(rowcol, moved, inside, size, layout="hexagonal")
