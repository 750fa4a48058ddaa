"""Section, patient and place on the array of the spots that are read."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from toys.spatial import GENES, hex_spots, toy_folder, toy_record, toy_sdata

import stsr
from stsr.geometry import Grid
from stsr.spatial import grid_to_labels, note, open_store, read_section
from stsr.spatial.spot_names import array_places, spot_patients

GRID = Grid(np.array([[8.0, 0, 40], [0, 8.0, 50], [0, 0, 1]]), np.ones((40, 30), dtype=bool))


def table(**obs) -> ad.AnnData:
    return ad.AnnData(np.ones((3, 1)), obs=pd.DataFrame(obs, index=["a", "b", "c"]))


def test_a_visium_folder(tmp_path):
    image = toy_folder(tmp_path / "C2")
    sdata = stsr.pp.read_visium(tmp_path / "C2", fullres_image=image, store=tmp_path / "a.zarr")
    sdata["table"].obs["patient"] = "C"
    sdata["grid"] = grid_to_labels(GRID, stsr.spatial.record(sdata))
    section = read_section(sdata, genes=GENES[:2], grid="grid")
    assert set(section.spot_section) == {"C2"}
    assert set(section.spot_patient) == {"C"}
    _, rowcol = hex_spots(8, 6, 50, (100, 80))
    assert section.array_rowcol.dtype == np.int64
    np.testing.assert_array_equal(section.array_rowcol, rowcol)


def test_the_record_of_a_store_names_the_patient(tmp_path):
    image = toy_folder(tmp_path / "C2")
    note(stsr.pp.read_visium(tmp_path / "C2", fullres_image=image, store=tmp_path / "a.zarr"), patient="C")
    sdata = open_store(tmp_path / "a.zarr")
    sdata["grid"] = grid_to_labels(GRID, stsr.spatial.record(sdata))
    assert set(read_section(sdata, genes=GENES[:2], grid="grid").spot_patient) == {"C"}


def test_a_section_that_says_nothing():
    sdata = toy_sdata()
    del sdata.attrs["stsr"]["patient"]  # as an older store
    sdata["grid"] = grid_to_labels(GRID, toy_record())
    section = read_section(sdata, genes=GENES, grid="grid")
    assert set(section.spot_section) == {"toy"}
    assert set(section.spot_patient) == {""}
    assert section.array_rowcol is None  # the toy has rows without columns
    empty = read_section(sdata, genes=GENES, grid="grid", with_spots=False)
    assert empty.spot_section.shape == empty.spot_patient.shape == (0,)


@pytest.mark.parametrize("kind", [object, "category"])
def test_the_table_comes_before_the_record(kind):
    patients = spot_patients(table(patient=pd.Series(["A", None, "B"], index=list("abc"), dtype=kind)), toy_record())
    assert patients.tolist() == ["A", "", "B"]
    numbers = spot_patients(table(patient=[3, 12, 3]), toy_record(patient="C"))
    assert numbers.tolist() == ["3", "12", "3"]


@pytest.mark.parametrize("row", [[0.5, 1, 2], [np.nan, 1, 2], [np.inf, 1, 2], ["1", "2", "x"]])
def test_rows_that_are_no_whole_numbers_are_no_array(row):
    assert array_places(table(array_row=row, array_col=[1, 2, 3])) is None
    np.testing.assert_array_equal(array_places(table(array_row=[4.0, 5, 6], array_col=[1, 2, 3]))[:, 0], [4, 5, 6])
