"""What keeps a store from being written or read is said in one sentence that names it."""

import errno
import json
import os
import shutil
import tempfile

import pytest
import spatialdata as sd
from toys.spatial import toy_labels, toy_sdata

from stsr.spatial import create_store, image_pyramid, note, open_store, put
from stsr.spatial.errors import write_errors
from stsr.spatial.store import check_vacant

REASONS = {
    errno.ENOSPC: "does not fit on the disk of store=",
    errno.EDQUOT: "does not fit on the disk of store=",
    errno.EROFS: "is on a read-only file system",
    errno.EACCES: "no permission to write store=",
    errno.EPERM: "no permission to write store=",
    errno.ENAMETOOLONG: "a name is too long",
    errno.EXDEV: "parts of it lie on another file system",
    errno.ENOLCK: "has no file locks",
    errno.ENOTSUP: "has no file locks",
    errno.EIO: "does not answer",
    errno.ESTALE: "does not answer",
    errno.ENOENT: "was moved or removed meanwhile",
    errno.EMFILE: "cannot be written to store=",
}


@pytest.fixture
def stored(tmp_path):
    return create_store(toy_sdata(), tmp_path / "a.zarr")


@pytest.mark.parametrize("code", REASONS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["put", "note", "create_store"])
def test_errors_of_the_file_system(stored, monkeypatch, code, call):
    path = stored.path

    def fail(*, prefix, dir):
        raise OSError(code, os.strerror(code), f"{dir}/{prefix}12345678")

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    calls = {
        "put": (lambda: put(stored, "x", toy_labels()), "key_added='x'"),
        "note": (lambda: note(stored, x=1), "the record of the section"),
        "create_store": (lambda: create_store(toy_sdata(), path, overwrite=True), "the section"),
    }
    work, what = calls[call]
    with pytest.raises(OSError, match=REASONS[code]) as error:
        work()
    text = str(error.value)
    assert error.value.errno == code
    assert f"{what} " in text
    assert f"store={str(path)!r}" in text
    assert ".stsr-" not in text
    assert "\n" not in text
    monkeypatch.undo()
    put(open_store(path), "x", toy_labels())


def test_a_folder_that_is_closed_to_writing_is_named(stored, monkeypatch):
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != stored.path.parent)
    closed = PermissionError(errno.EACCES, "Permission denied", str(stored.path.parent / ".a.zarr.stsr-1"))
    message = r"the folder '.*' of store='.*a\.zarr' is closed to writing"
    with pytest.raises(PermissionError, match=message), write_errors(stored.path, "key_added='x'"):
        raise closed


def test_errors_that_are_not_the_store_s_pass(stored):
    missing = FileNotFoundError(errno.ENOENT, "No such file", "/scan/image.tif")
    beside = FileNotFoundError(errno.ENOENT, "No such file", str(stored.path.parent / "image.tif"))
    for error in (missing, beside, ConnectionError("no network"), KeyError("x")):

        def fill(open_array, error=error):
            raise error

        with pytest.raises(type(error)) as raised:
            put(stored, "x", toy_labels(), fill=fill)
        assert raised.value is error


@pytest.mark.parametrize("path", ["s3://bucket/a.zarr", "https://host/a.zarr", "gs://b/a.zarr", "", "a\0b", "/"])
@pytest.mark.parametrize("call", [open_store, check_vacant, lambda path, *_: create_store(toy_sdata(), path)])
def test_paths_that_lead_to_no_disk(path, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"store=.* (is not on a local disk; copy|is no path; pass|is the root of a disk; pass)"
    ):
        call(path, False) if call is check_vacant else call(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "root", ["[]", "nonsense", "", "null", '{"attributes": []}', '{"attributes": {}}', "[" * 100000]
)
def test_what_is_no_store(tmp_path, root):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(root)
    _refused(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    "what", ["a file", "an empty folder", "a folder for zarr.json", "zarr 2", "a broken link", "binary"]
)
def test_other_things_at_the_path(tmp_path, what):
    path = tmp_path / "a.zarr"
    if what == "a file":
        path.write_text("x")
    elif what == "a broken link":
        path.symlink_to(tmp_path / "nothing")
        with pytest.raises(FileNotFoundError, match="does not exist"):
            open_store(path)
        return
    else:
        path.mkdir()
        if what == "a folder for zarr.json":
            (path / "zarr.json").mkdir()
        elif what == "zarr 2":
            (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
        elif what == "binary":
            (path / "zarr.json").write_bytes(b"\xff\xfe\0")
    _refused(path)


def _refused(path):
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' is not a SpatialData store in zarr 3 format"):
        open_store(path)
    for overwrite in (True, False):
        with pytest.raises(ValueError, match=r"store='.*a\.zarr' exists and is not a SpatialData store"):
            create_store(toy_sdata(), path, overwrite=overwrite)
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "notes").write_text("x")
    with pytest.raises(OSError, match=r"the section cannot be written: part of the path of store=.* is a file"):
        create_store(toy_sdata(), tmp_path / "notes" / "a.zarr")
    with pytest.raises(FileNotFoundError, match=r"store='.*a\.zarr' does not exist"):
        open_store(tmp_path / "notes" / "a.zarr")


@pytest.mark.parametrize("name", ["x" * 250 + ".zarr", "ü" * 130 + ".zarr", "x" * 300])
def test_a_store_with_too_long_a_name(tmp_path, name):
    for call in (open_store, lambda path: create_store(toy_sdata(), path)):
        with pytest.raises(ValueError, match=r"store='.*\.\.\.' has too long a name"):
            call(tmp_path / name)


def test_a_folder_with_too_long_a_name(tmp_path):
    path = tmp_path / ("x" * 300) / "a.zarr"
    with pytest.raises(OSError, match=r"a name is too long for the file system of store="):
        create_store(toy_sdata(), path)
    with pytest.raises((FileNotFoundError, ValueError), match="store="):
        open_store(path)


def test_an_element_with_too_long_a_name(stored):
    with pytest.raises(ValueError, match=r"key_added='x{40}\.\.\.' has 256 letters; use at most 255"):
        put(stored, "x" * 256, toy_labels())
    put(stored, "x" * 255, toy_labels())
    assert "x" * 255 in sd.read_zarr(stored.path)


@pytest.mark.parametrize(
    "name", ["Dünn Darm.zarr", "a [1] (2)*?.zarr", "100% #1 {x}.zarr", "切片.zarr", "-a.zarr", "a"]
)
def test_unusual_names_of_stores(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create_store(toy_sdata(), name)
    put(sd.read_zarr(tmp_path / name), "x", toy_labels())
    put(open_store(name), "x", toy_labels(3), overwrite=True)
    assert open_store(f"./{name}")["x"].data[0, 0].compute() == 3
    assert [other.name for other in tmp_path.iterdir()] == [name]


def test_a_relative_path_after_the_folder_has_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create_store(toy_sdata(), "a.zarr")
    ours, theirs = open_store("a.zarr"), sd.read_zarr("a.zarr")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    put(ours, "x", toy_labels())
    assert "x" in sd.read_zarr(tmp_path / "a.zarr")
    with pytest.raises(FileNotFoundError, match=r"store='.*elsewhere/a\.zarr' does not exist"):
        put(theirs, "y", toy_labels())
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "damage", ["images/toy_full_image/zarr.json", "tables/table/zarr.json", "shapes/toy/zarr.json"]
)
def test_a_damaged_element_is_told(stored, damage):
    (stored.path / damage).write_text("{")
    with pytest.raises(ValueError, match=r"store='.*a\.zarr' is damaged: ") as error:
        open_store(stored.path)
    assert "\n" not in str(error.value)


def test_a_store_on_two_file_systems(stored, tmp_path, monkeypatch):
    """A group of elements that is a link to another disk."""
    shutil.move(stored.path / "images", tmp_path / "images")
    (stored.path / "images").symlink_to(tmp_path / "images")
    replace = type(tmp_path).replace

    def across(self, target):
        if "new.zarr" in str(self) and "images" in str(target):
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(self))
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", across)
    he = image_pyramid(stored["toy_full_image"]["scale0"]["image"].data, {"global": sd.transformations.Identity()})
    with pytest.raises(OSError, match=r"key_added='he' cannot be moved into store=.*: parts of it lie on another file"):
        put(stored, "he", he)
    monkeypatch.undo()
    assert "he" not in open_store(stored.path)
    assert sorted(other.name for other in tmp_path.iterdir()) == ["a.zarr", "images"]
