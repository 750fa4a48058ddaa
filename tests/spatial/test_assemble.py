"""A section put together in memory reads like one from a store."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
from spatialdata.models import get_table_keys
from spatialdata.transformations import get_transformation
from toys.spatial import GENES, MPP, toy_counts, toy_image, toy_record

from stsr.spatial import raw_counts, record, spot_positions
from stsr.spatial.assemble import annotate, complete, disc_spots


def toy_table() -> ad.AnnData:
    table = ad.AnnData(toy_counts(12, 5).astype(np.float32), var=pd.DataFrame(index=GENES))
    table.obs_names = [f"spot{n}" for n in range(12)]
    table.obsm["spatial"] = np.argwhere(np.ones((4, 3))) * 200.0 + 100
    return table


def test_spots_image_and_record_make_a_section():
    sdata = disc_spots(toy_table(), "toy", radius=27.5 / MPP)
    pixels = da.from_array(toy_image(900, 700).transpose(2, 0, 1))
    complete(sdata, pixels, toy_record())
    assert record(sdata) == toy_record()
    np.testing.assert_array_equal(sdata["toy_full_image"]["scale0"]["image"].data, pixels)
    np.testing.assert_allclose(spot_positions(sdata, sdata["table"], toy_record()), toy_table().obsm["spatial"] * MPP)
    np.testing.assert_allclose(sdata["toy"].radius, 27.5 / MPP)
    np.testing.assert_array_equal(raw_counts(sdata["table"], name="table").toarray(), toy_counts(12, 5))
    for _, name, element in sdata.gen_spatial_elements():
        systems = get_transformation(element, get_all=True)
        assert systems["global"] == systems["toy"], name


def test_a_table_can_annotate_another_element():
    table = disc_spots(toy_table(), "toy", radius=50.0)["table"]
    again = annotate(table.copy(), "elsewhere", "spot_id")
    assert get_table_keys(table) == ("toy", "region", "spot_id")
    assert get_table_keys(again) == ("elsewhere", "region", "spot_id")
    assert (again.obs["region"] == "elsewhere").all()
