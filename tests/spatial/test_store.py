"""Adding and replacing elements, in memory and on disk, with full disks and failing methods."""

import errno
import hashlib
import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import spatialdata as sd
import zarr.storage._local
from spatialdata.models import Image2DModel, ShapesModel
from toys.spatial import toy_image, toy_labels, toy_sdata, toy_table

from stsr.spatial import create_store, image_pyramid, made, note, open_store, put, record, store


@pytest.fixture(params=["memory", "disk"])
def sdata(request, tmp_path):
    sdata = toy_sdata()
    if request.param == "disk":
        sdata = create_store(sdata, tmp_path / "a.zarr")
    return sdata


@pytest.fixture
def stored(tmp_path):
    sdata = create_store(toy_sdata(), tmp_path / "a.zarr")
    put(sdata, "grid", toy_labels(1))
    return sdata


def contents(path: Path) -> dict[str, str]:
    """Every file of a store by its hash."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_elements_of_all_kinds(sdata):
    pixels = da.from_array(toy_image(600, 500).transpose(2, 0, 1), chunks=(3, 200, 200))
    features = np.random.default_rng(0).random((4, 3, 4)).astype(np.float16)
    put(sdata, "grid", toy_labels())
    put(sdata, "he", image_pyramid(pixels, {"global": sd.transformations.Identity()}))
    put(sdata, "features_texture_008um", Image2DModel.parse(features, dims=("c", "y", "x")))
    put(sdata, "outline", ShapesModel.parse(np.array([[1.0, 2], [3, 4]]), geometry=0, radius=1.0))
    put(sdata, "sr", toy_table(), fill=lambda open_array: open_array("X").__setitem__(slice(2, 4), 3))

    again = sd.read_zarr(sdata.path) if sdata.is_backed() else sdata
    for there in (sdata, again):
        np.testing.assert_array_equal(there["grid"].data, toy_labels().data)
        np.testing.assert_array_equal(there["he"]["scale0"]["image"].data, pixels)
        np.testing.assert_array_equal(there["features_texture_008um"].data, features)
        assert there["features_texture_008um"].dtype == np.float16
        assert there["outline"].geometry.x.tolist() == [1, 3]
        assert there["sr"].X.sum() == 2 * 5 * 3
        assert there["sr"].layers["sd"].sum() == 0
    assert all(made(sdata, name) == {} for name in ("features_texture_008um", "grid", "he", "outline", "sr"))
    assert made(sdata, "toy") is None
    if sdata.is_backed():
        assert again.has_consolidated_metadata()
        assert again.attrs == sdata.attrs
        assert not sdata._symmetric_difference_with_zarr_store()[0]
        assert all(sdata.elements_are_self_contained().values())


@pytest.mark.parametrize("scales", [None, [2, 2]])
def test_image_is_filled_block_by_block(sdata, scales):
    skeleton = Image2DModel.parse(
        da.zeros((3, 32, 48), dtype=np.uint8, chunks=(3, 16, 16)), dims=("c", "y", "x"), scale_factors=scales
    )

    def fill(open_array):
        for row in range(0, 32, 16):
            open_array("0")[:, row : row + 16] = row + 1
        if scales:
            open_array("2")[:] = 9

    put(sdata, "he", skeleton, fill=fill)
    fine = sdata["he"]["scale0"]["image"] if scales else sdata["he"]
    np.testing.assert_array_equal(fine.data[1, :, 5], [1] * 16 + [17] * 16)
    if scales:
        assert sdata["he"]["scale2"]["image"].data.min().compute() == 9
    assert "global" in sd.transformations.get_transformation(sdata["he"], get_all=True)


def test_replacing(sdata):
    put(sdata, "grid", toy_labels(1))
    with pytest.raises(ValueError, match=r"key_added='grid' exists already; pass overwrite=True"):
        put(sdata, "grid", toy_labels(2))
    put(sdata, "grid", toy_labels(2), overwrite=True)
    assert np.asarray(sdata["grid"].data)[0, 0] == 2


def test_an_element_may_be_made_from_its_former_self(stored):
    doubled = stored["grid"].copy(data=stored["grid"].data * 2)
    put(stored, "grid", doubled, overwrite=True)
    np.testing.assert_array_equal(sd.read_zarr(stored.path)["grid"].data, toy_labels().data * 2)


@pytest.mark.parametrize("name", ["table", "toy", "toy_full_image"])
def test_elements_of_others_are_never_replaced(sdata, name):
    before = sdata[name]
    with pytest.raises(ValueError, match=rf"key_added='{name}' is the name of another element, which stsr did not"):
        put(sdata, name, toy_labels(), overwrite=True)
    assert sdata[name] is before


def test_element_of_another_session_is_seen(stored):
    """An element that is in the store but not in this object is not written over either."""
    other = open_store(stored.path)
    other["theirs"] = toy_labels()
    other.write_element("theirs")
    with pytest.raises(ValueError, match=r"key_added='theirs' is the name of another element"):
        put(stored, "theirs", toy_labels(), overwrite=True)


@pytest.mark.parametrize("name", ["GRID", "grid"])
def test_names_that_would_make_the_store_unreadable(stored, name):
    with pytest.raises(ValueError, match=rf"key_added='{name}' is the name of another element"):
        put(stored, name, toy_table(), overwrite=True)
    assert "grid" in sd.read_zarr(stored.path).labels


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".hidden", "naïve"])
def test_names_that_are_not_allowed(sdata, name):
    with pytest.raises(ValueError, match=r"is no element name; use letters, digits"):
        put(sdata, name, toy_labels())


def test_failing_fill_leaves_the_store_as_it_was(stored):
    before = contents(stored.path)

    def fill(open_array):
        open_array("X")[:3] = 1
        raise RuntimeError("the method failed")

    with pytest.raises(RuntimeError, match="the method failed"):
        put(stored, "sr", toy_table(), fill=fill)
    assert contents(stored.path) == before
    assert [path.name for path in stored.path.parent.iterdir()] == ["a.zarr"]
    assert "sr" not in stored
    put(stored, "sr", toy_table(), fill=lambda open_array: None)


@pytest.mark.parametrize("room", [0, 5, 40])
def test_full_disk_while_writing(stored, monkeypatch, room):
    before = contents(stored.path)
    _fill_the_disk(monkeypatch, room)
    with pytest.raises(OSError, match=r"'sr' does not fit on the disk of store='.*a\.zarr'; free space") as error:
        put(stored, "sr", toy_table(), fill=lambda open_array: open_array("X").__setitem__(slice(None), 1))
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert contents(stored.path) == before
    assert [path.name for path in stored.path.parent.iterdir()] == ["a.zarr"]
    sd.read_zarr(stored.path)


def test_full_disk_after_the_swap(stored, monkeypatch):
    """The new element is in place but the store's own list of elements could not be written: the next run does it."""
    monkeypatch.setattr("stsr.spatial.transaction.publish", _no_space)
    with pytest.raises(OSError, match="does not fit on the disk"):
        put(stored, "tissue", toy_labels())
    monkeypatch.undo()
    assert "grid" in sd.read_zarr(stored.path)
    np.testing.assert_array_equal(open_store(stored.path)["tissue"].data, toy_labels().data)
    assert "tissue" in sd.read_zarr(stored.path)
    assert [path.name for path in stored.path.parent.iterdir()] == ["a.zarr"]


def _no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def _fill_the_disk(monkeypatch, room: int) -> None:
    """Let zarr write ``room`` more files."""
    write, left = zarr.storage._local._put, [room]

    def put_or_fail(*args, **kwargs):
        left[0] -= 1
        return write(*args, **kwargs) if left[0] >= 0 else _no_space()

    monkeypatch.setattr(zarr.storage._local, "_put", put_or_fail)


def test_create_store(tmp_path):
    path = tmp_path / "new" / "a.zarr"
    sdata = create_store(toy_sdata(), path)
    assert Path(sdata.path) == path
    assert record(sdata).mpp == 0.5
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' exists already; pass overwrite=True"):
        create_store(toy_sdata(), path)
    create_store(toy_sdata(mpp=0.25), path, overwrite=True)
    assert record(sd.read_zarr(path)).mpp == 0.25
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]


def test_full_disk_while_a_store_is_replaced(stored, monkeypatch):
    before = contents(stored.path)
    _fill_the_disk(monkeypatch, 30)
    with pytest.raises(OSError, match=r"the section does not fit on the disk"):
        create_store(toy_sdata(mpp=0.25), stored.path, overwrite=True)
    monkeypatch.undo()
    assert contents(stored.path) == before
    assert [path.name for path in stored.path.parent.iterdir()] == ["a.zarr"]


def test_what_is_no_store_is_never_replaced(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("dear")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    for name in ("letters", "other.zarr"):
        with pytest.raises(ValueError, match=rf"store='.*{name}' exists and is not a SpatialData store"):
            create_store(toy_sdata(), tmp_path / name, overwrite=True)
        with pytest.raises(ValueError, match=rf"store='.*{name}' is not a SpatialData store in zarr 3 format"):
            open_store(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"store='.*nowhere' does not exist"):
        open_store(tmp_path / "nowhere")


def test_open_store_reads_what_spatialdata_reads(stored):
    put(stored, "sr", toy_table(), fill=lambda open_array: None)
    note(stored, image_qc={"focus": 1})
    ours, theirs = open_store(stored.path), sd.read_zarr(stored.path)
    assert {name for _, name, _ in ours.gen_elements()} == {name for _, name, _ in theirs.gen_elements()}
    assert ours.attrs == theirs.attrs
    assert ours.path == theirs.path
    assert ours.coordinate_systems == theirs.coordinate_systems
    np.testing.assert_array_equal(np.asarray(ours["table"].X), theirs["table"].X)
    assert ours["table"].obs.equals(theirs["table"].obs)


def test_a_table_that_another_program_began_to_write_is_none(stored):
    put(stored, "sr", toy_table(), fill=lambda _: None)
    path = Path(stored.path)
    for file in (path / "tables" / "sr").iterdir():
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    empty = {"attributes": {}, "zarr_format": 3, "node_type": "group"}
    (path / "tables" / "sr" / "zarr.json").write_text(json.dumps(empty))
    again = open_store(path)
    assert "sr" not in again
    put(again, "sr", toy_table(), fill=lambda _: None)
    assert "sr" in open_store(path)


def test_a_store_that_another_run_replaced_before_it_was_opened_is_told(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    swap_in = store.swap_in

    def swapped_twice(*args):
        swap_in(*args)
        monkeypatch.setattr(store, "swap_in", swap_in)
        create_store(toy_sdata(), path, overwrite=True)

    monkeypatch.setattr(store, "swap_in", swapped_twice)
    monkeypatch.setattr(store, "locked", lambda path: nullcontext())
    with pytest.raises(ValueError, match=r"store=.*a.zarr' was replaced by another run meanwhile; name another path"):
        create_store(toy_sdata(), path)
