"""Several open objects on one store: what one writes the others see, and a replaced store is noticed."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import spatialdata as sd
from spatialdata.models import Labels2DModel, ShapesModel
from toys.spatial import toy_labels, toy_record, toy_sdata, toy_table

from stsr.spatial import create_store, made, note, open_store, put, record, set_record
from stsr.spatial.store import unless_made


@pytest.fixture
def path(tmp_path):
    sdata = create_store(toy_sdata(), tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels(1))
    put(sdata, "sr", toy_table(), fill=values(1))
    return sdata.path


def values(value):
    return lambda open_array: open_array("X").__setitem__(slice(None), value)


def points(value):
    return ShapesModel.parse(np.array([[value, 2.0], [3, 4]]), geometry=0, radius=1.0)


@pytest.mark.parametrize("read", [sd.read_zarr, open_store])
@pytest.mark.parametrize("touched", [True, False])
def test_what_another_handle_writes_is_seen(path, read, touched):
    late, early = read(path), read(path)
    if touched:
        record(late)
    put(early, "tissue", toy_labels(50))
    put(early, "grid", Labels2DModel.parse(np.full((7, 9), 8, np.uint32), dims=("y", "x")), overwrite=True)
    put(early, "sr", toy_table(), fill=values(3), overwrite=True)
    put(early, "outline", points(5.0))
    record(late)
    assert late["tissue"].data[0, 0].compute() == 50
    assert late["grid"].shape == (7, 9)
    assert float(late["sr"].X.max()) == 3
    put(early, "outline", points(6.0), overwrite=True)
    assert made(late, "outline") == {}
    assert late["outline"].geometry.x.iloc[0] == 6
    put(late, "grid", toy_labels(2), overwrite=True)
    record(early)
    assert early["grid"].shape == (3, 4)


def test_notes_of_two_handles_are_both_kept(path):
    one, two = open_store(path), sd.read_zarr(path)
    note(one, image_qc={"focus": 1})
    note(two, simulation={"seed": 2})
    set_record(one, toy_record(mpp=0.25))
    note(two, image_qc={"focus": 3})
    for sdata in (one, two, sd.read_zarr(path)):
        assert record(sdata).mpp == 0.25
    attrs = sd.read_zarr(path).attrs["stsr"]
    assert (attrs["image_qc"], attrs["simulation"]) == ({"focus": 3}, {"seed": 2})
    assert attrs["elements"] == ["grid", "sr"]


def test_what_was_assigned_but_not_written_stays(path):
    for touched in (True, False):
        sdata = sd.read_zarr(path)
        if touched:
            record(sdata)
        sdata["sr"].obs["cluster"] = 1
        sdata["grid"] = Labels2DModel.parse(np.ones((3, 4), np.uint32), dims=("y", "x"))
        put(open_store(path), f"other{touched}", toy_labels())
        note(sdata, image_qc={})
        assert "cluster" in sdata["sr"].obs
        assert sdata["grid"].data.max().compute() == 1
        assert made(sdata, "grid") is None


def test_an_object_read_in_part_gets_no_elements_of_others(path):
    sdata = sd.read_zarr(path, selection=("labels",))
    record(sdata)
    assert "table" not in sdata
    assert "toy_full_image" not in sdata


@pytest.mark.parametrize("way", ["overwrite", "deleted", "deleted, by spatialdata"])
def test_a_replaced_store_is_noticed(path, way):
    sdata = open_store(path)
    if way == "overwrite":
        create_store(toy_sdata(mpp=0.25), path, overwrite=True)
    else:
        shutil.rmtree(path)
        other = toy_sdata(mpp=0.25)
        create_store(other, path) if way == "deleted" else other.write(path)
    message = r"store='.*a\.zarr' was replaced by another section since this object was opened; open the store again"
    for call in (lambda: put(sdata, "x", toy_labels()), lambda: note(sdata, a=1), lambda: record(sdata)):
        with pytest.raises(ValueError, match=message):
            call()
    again = sd.read_zarr(path)
    assert record(again).mpp == 0.25
    assert "x" not in again
    assert "a" not in again.attrs["stsr"]


def test_a_store_that_is_replaced_while_an_element_is_computed(path):
    sdata = open_store(path)
    with pytest.raises(ValueError, match="was replaced by another section"):
        put(sdata, "x", toy_table(), fill=lambda _: create_store(toy_sdata(mpp=0.25), path, overwrite=True))
    assert "x" not in sd.read_zarr(path)
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]


def test_a_store_that_is_gone(path):
    sdata = open_store(path)
    shutil.rmtree(path)
    for call in (lambda: put(sdata, "x", toy_labels()), lambda: note(sdata, a=1), lambda: record(sdata)):
        with pytest.raises(FileNotFoundError, match=r"store='.*a\.zarr' does not exist"):
            call()
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("overwrite", [True, False])
def test_of_two_writers_of_one_table_the_second_is_told(path, overwrite):
    one, two = open_store(path), open_store(path)
    name = "sr" if overwrite else "new"

    def fill(open_array):
        values(3)(open_array)
        put(two, name, toy_table(), fill=values(2), overwrite=overwrite)

    with pytest.raises(ValueError, match=rf"key_added='{name}' was written to store=.* by another run while this one"):
        put(one, name, toy_table(), fill=fill, overwrite=overwrite)
    assert float(sd.read_zarr(path)[name].X.max()) == 2
    record(one)
    assert float(one[name].X.max()) == 2
    put(one, name, toy_table(), fill=values(4), overwrite=True)
    assert float(sd.read_zarr(path)[name].X.max()) == 4


def test_two_writers_of_one_name_in_different_kinds(path):
    one, two = open_store(path), open_store(path)
    with pytest.raises(ValueError, match="by another run while this one was at work"):
        put(one, "mine", toy_table(), fill=lambda _: put(two, "Mine", toy_labels()))
    assert "Mine" in sd.read_zarr(path).labels
    assert "mine" not in sd.read_zarr(path).tables


def test_two_writers_of_the_same_raster_agree(path):
    one, two = open_store(path), open_store(path)
    put(one, "tissue", toy_labels(), fill=lambda _: put(two, "tissue", toy_labels(), made={"a": 1}), made={"a": 1})
    assert made(one, "tissue") == {"a": 1}
    with pytest.raises(ValueError, match="by another run while this one"):
        put(one, "mask", toy_labels(), fill=lambda _: put(two, "mask", toy_labels(9), made={"a": 1}), made={"a": 1})


def test_many_writers_at_once_all_land(tmp_path):
    path = tmp_path / "a.zarr"
    sd.SpatialData().write(path)

    def work(number):
        sdata = sd.read_zarr(path)
        put(sdata, f"labels{number}", toy_labels(number))
        note(sdata, **{f"note{number}": number})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    sdata = sd.read_zarr(path)
    assert sorted(sdata.labels) == [f"labels{n}" for n in range(6)]
    assert {f"note{n}" for n in range(6)} <= sdata.attrs["stsr"].keys()
    assert sdata.attrs["stsr"]["elements"] == sorted(sdata.labels)
    assert [other.name for other in tmp_path.iterdir()] == ["a.zarr"]


def test_a_raster_whose_files_were_replaced_by_hand_is_read_again(path):
    one, two = open_store(path), sd.read_zarr(path)
    record(one)
    del two["grid"]
    two.delete_element_from_disk("grid")
    two["grid"] = Labels2DModel.parse(np.full((7, 9), 8, np.uint32), dims=("y", "x"))
    two.write_element("grid")
    record(one)
    assert one["grid"].shape == (7, 9)
    assert made(one, "grid") is None
    assert int(one["grid"].data.sum().compute()) == 8 * 63


def test_a_step_that_another_run_made_meanwhile_is_taken(path):
    one, two = open_store(path), sd.read_zarr(path)

    def make():
        put(two, "tissue", toy_labels(50))
        put(one, "tissue", toy_labels(7))

    unless_made(one, make)
    assert int(one["tissue"].data[0, 0].compute()) == 50
    with pytest.raises(ValueError, match="a fault of the step itself"):
        unless_made(one, lambda: (_ for _ in ()).throw(ValueError("a fault of the step itself")))
