"""What a table says of itself survives a file that older programs read."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np

from stsr.spatial.uns import plain_uns

ABOUT = {
    "stain": None,
    "options": {"widths": (64, 64), "penalty": None, "names": ["a", "b"], "mixed": [1, "a", None], "no": []},
    "history": {"train": [1.0, float("nan")], "a/b": [1]},
    "flag": True,
    "text": "x",
}


def test_there_is_no_null_in_a_file_of_it(tmp_path):
    plain = plain_uns(ABOUT)
    assert "stain" not in plain
    assert list(plain["options"]["widths"]) == [64, 64]
    assert plain["options"]["mixed"] == '[1, "a", null]'
    table = ad.AnnData(np.ones((2, 2), dtype=np.float32), uns={"stsr": plain})
    table.write_h5ad(tmp_path / "x.h5ad")
    kinds = []
    with h5py.File(tmp_path / "x.h5ad") as file:
        file.visititems(lambda name, item: kinds.append(item.attrs.get("encoding-type")))
    assert "null" not in kinds
    back = ad.read_h5ad(tmp_path / "x.h5ad").uns["stsr"]
    assert set(back) == {"options", "history", "flag", "text"}
    assert set(back["history"]) == {"train", "a_b"}
    table.write_zarr(tmp_path / "x.zarr")
    assert list(ad.read_zarr(tmp_path / "x.zarr").uns["stsr"]["options"]["names"]) == ["a", "b"]
