"""Columns that a store cannot keep as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from anndata import AnnData
from spatialdata.models import TableModel

from stsr.pp._columns import storable

KEPT = {
    "float": [1.5, np.nan],
    "bool": [True, False],
    "text": ["a", "b"],
    "categories": pd.Categorical(["a", None]),
    "numbers": pd.Categorical([3, 1]),
    "nullable": pd.array([1, None], dtype="Int64"),
}
TOLD = {
    "date": pd.to_datetime(["2026-01-02", None]),
    "span": pd.to_timedelta(["1d", "2d"]),
    "lists": [[1, 2], [3]],
    "mixed": [1, "a"],
    "complex": [1j, 2j],
    "bins": pd.cut([1, 9], 2),
    "days": pd.Categorical(pd.to_datetime(["2026-01-02", "2026-01-03"])),
    "bool or none": [True, None],
}
SILENT = {"text or none": ["a", None], "string": pd.array(["a", pd.NA], dtype="string"), "none": [None, None]}


def test_what_a_store_cannot_keep_becomes_text(tmp_path, caplog):
    frame = pd.DataFrame(KEPT | TOLD | SILENT, index=["s1", "s2"])
    before = frame.copy()
    kept = storable(frame, "obs")
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(kept[list(KEPT)], frame[list(KEPT)])
    assert f"Kept as text in obs: {', '.join(TOLD)}." in caplog.text
    assert kept["date"].tolist()[0].startswith("2026-01-02")
    assert kept["date"].isna().tolist() == kept["text or none"].isna().tolist() == [False, True]
    assert kept["lists"].tolist() == ["[1, 2]", "[3]"]

    kept.columns = [name.replace(" ", "_") for name in kept]
    table = TableModel.parse(AnnData(np.ones((2, 1), dtype=np.float32), obs=kept))
    sd.SpatialData(tables={"table": table}).write(tmp_path / "a.zarr")
    again = sd.read_zarr(tmp_path / "a.zarr")["table"].obs
    assert again["mixed"].tolist() == ["1", "a"]
    assert again["text_or_none"].isna().tolist() == [False, True]


def test_names_of_columns():
    assert list(storable(pd.DataFrame([[1, 2]], columns=[7, ""]), "obs")) == ["7", "unnamed"]
    with pytest.raises(ValueError, match="adata.var has two columns called 'a'"):
        storable(pd.DataFrame([[1, 2]], columns=["a", "a"]), "var")
