"""The facts about a section survive the disk."""

from dataclasses import asdict

import pytest
import spatialdata as sd
from toys.spatial import toy_record, toy_sdata

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


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("mpp", "one"),
        ("mpp", None),
        ("mpp", -1.0),
        ("mpp", float("nan")),
        ("spot_size", "wide"),
        ("table", 3),
        ("spots", ["a"]),
        ("dataset_id", None),
        ("image", ""),
        ("patient", 7),
    ],
)
def test_a_record_that_someone_damaged_is_told(entry, value):
    facts = {**asdict(toy_record()), entry: value}
    sdata = sd.SpatialData()
    sdata.attrs["stsr"] = facts
    with pytest.raises(ValueError, match=rf"sdata.attrs\['stsr'\]\['{entry}'\]=.* is not allowed; pass "):
        record(sdata)


@pytest.mark.parametrize("kept", [None, [], "hello", 3])
def test_what_is_no_record_is_told(kept):
    sdata = sd.SpatialData()
    sdata.attrs["stsr"] = kept
    with pytest.raises(ValueError, match=r"sdata.attrs\['stsr'\] is damaged; read the section anew"):
        record(sdata)
