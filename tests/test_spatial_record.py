"""The facts about a section survive the disk."""

import pytest
import spatialdata as sd
from spatial_toys import toy_record, toy_sdata

from stsr.spatial import note, record, set_record


def test_record_survives_the_disk(tmp_path):
    sdata = toy_sdata()
    sdata.attrs["other"] = {"kept": True}
    sdata.write(tmp_path / "a.zarr")
    changed = toy_record(mpp=0.25, mpp_source="user")
    set_record(sdata, changed)
    note(sdata, image_qc={"focus": 1.5})

    again = sd.read_zarr(tmp_path / "a.zarr")
    assert record(again) == changed
    assert again.attrs["stsr"]["image_qc"] == {"focus": 1.5}
    assert again.attrs["other"] == {"kept": True}


def test_notes_leave_the_record_alone():
    sdata = toy_sdata()
    note(sdata, image_qc={})
    assert record(sdata) == toy_record()


def test_object_of_another_reader():
    with pytest.raises(ValueError, match=r"does not hold technology, .*; read the section with stsr\.pp\.read_visium"):
        record(sd.SpatialData())
