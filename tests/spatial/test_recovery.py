"""What lies beside a store is tidied only where a killed run of ours left it, and never keeps anybody from reading."""

import os
import stat
import sys

import numpy as np
import pytest
import spatialdata as sd
from filelock import FileLock
from toys.spatial import toy_labels

from stsr.spatial import open_store, put, recover
from stsr.spatial.transaction import locked, transaction

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of Unix")


@pytest.fixture
def path(tmp_path):
    """A store in a folder of its own; what must not change lies beside that folder."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("dear")
    path = tmp_path / "here" / "a.zarr"
    sd.SpatialData().write(path)
    put(sd.read_zarr(path), "grid", toy_labels(1))
    return path


def leftover(path, commit=None, old=("zarr.json",), name="x"):
    work = path.with_name(f".a.zarr.stsr-{name}")
    work.mkdir()
    if old:
        (work / "old").mkdir()
        for file in old:
            (work / "old" / file).write_text("{}")
    if commit is not None:
        (work / "commit").write_text(commit)
    return work


def tree(folder):
    return sorted(
        (str(file.relative_to(folder)), file.read_bytes() if file.is_file() else b"") for file in folder.rglob("*")
    )


def check(path, before, gone=None):
    """The store opens, and nothing has changed but the leftover."""
    np.testing.assert_array_equal(open_store(path)["grid"].data, toy_labels(1).data)
    outside = path.parent.parent / "outside"
    assert tree(outside) == before[0]
    assert tree(path) == before[1]
    if gone is not None:
        assert not os.path.lexists(gone)


@pytest.fixture
def before(path):
    return tree(path.parent.parent / "outside"), tree(path)


TARGETS = [
    "../outside/new", "../../outside/new", "..", "../a.zarr", "/tmp/stsr-planted", "images/../../outside/new", "images/..",
    "labels/../../x", "images//x", "./images/x", "zarr.json", "nonsense/x", "images/x/y", "images/.hidden", "labels/a b",
    "labels/x\n", "labels/x\0", "C:\\x", "~/x", "", " ", "labels/" + "x" * 2000, "\ud800".encode("utf-8", "surrogatepass"),
]  # fmt: skip


@pytest.mark.parametrize("commit", TARGETS, ids=range(len(TARGETS)))
def test_nothing_is_moved_to_where_a_store_has_no_elements(path, before, commit):
    work = leftover(path)
    (work / "commit").write_bytes(commit if isinstance(commit, bytes) else commit.encode())
    check(path, before, gone=work)
    assert sorted(other.name for other in path.parent.parent.iterdir()) == ["here", "outside"]
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]
    assert not os.path.lexists("/tmp/stsr-planted")


def test_an_element_that_was_set_aside_is_put_back(path):
    work = leftover(path, "labels/grid", old=())
    (path / "labels" / "grid").replace(work / "old")
    np.testing.assert_array_equal(open_store(path)["grid"].data, toy_labels(1).data)
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]


def test_what_is_no_element_is_not_put_into_the_store(path, before):
    check(path, before, gone=leftover(path, "labels/planted", old=("mark",)))


@pytest.mark.parametrize("what", ["work", "lock", "commit", "old", "target", "target's group"])
def test_no_link_is_followed(path, what):
    outside = path.parent.parent / "outside"
    (outside / "zarr.json").write_text("{}")
    work = leftover(path, "shapes/x", old=("zarr.json",) if what != "old" else ())
    if what == "work":
        moved = work.rename(outside / "work")
        work.symlink_to(moved)
    elif what == "lock":
        (work / "lock").symlink_to(outside / "precious")
    elif what == "commit":
        (work / "commit").replace(outside / "commit")
        (work / "commit").symlink_to(outside / "commit")
    elif what == "old":
        (work / "old").symlink_to(outside)
    elif what == "target":
        (path / "shapes").mkdir()
        (path / "shapes" / "x").symlink_to(outside / "nothing")
    else:
        (path / "shapes").symlink_to(outside)
    before = tree(outside)
    assert "grid" in open_store(path)
    assert tree(outside) == before
    assert (outside / "precious").read_text() == "dear"


def test_links_inside_are_removed_not_followed(path, before):
    work = leftover(path)
    (work / "new.zarr").mkdir()
    (work / "new.zarr" / "link").symlink_to(path.parent.parent / "outside")
    (work / "old" / "link").symlink_to(path.parent.parent / "outside" / "precious")
    check(path, before, gone=work)


@pytest.mark.parametrize(
    "what", ["pipe for a lock", "folder for a lock", "pipe for a commit", "a file", "a pipe", "lock"]
)
def test_no_leftover_keeps_anybody_waiting_or_from_reading(path, before, what):
    work = leftover(path)
    if what == "pipe for a lock":
        os.mkfifo(work / "lock")
    elif what == "folder for a lock":
        (work / "lock").mkdir()
    elif what == "pipe for a commit":
        os.mkfifo(work / "commit")
    elif what == "a file":
        path.with_name(".a.zarr.stsr-file").write_text("mine")
    elif what == "a pipe":
        os.mkfifo(path.with_name(".a.zarr.stsr-pipe"))
    else:
        path.with_name(".a.zarr.stsr.lock").mkdir()
    check(path, before)
    if what != "lock":
        put(open_store(path), "tissue", toy_labels())


def test_leftovers_of_other_users_stay(path, before, monkeypatch, caplog):
    work = leftover(path, "../outside/new")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with caplog.at_level("INFO", logger="stsr"):
        check(path, before)
    assert work.exists()
    assert "belongs to another user" in caplog.text


@pytest.mark.parametrize(
    "error", [PermissionError(13, "denied"), OSError(30, "Read-only file system"), OSError(5, "I/O")]
)
def test_a_store_that_cannot_be_written_is_read(path, before, monkeypatch, error):
    work = leftover(path, "labels/grid")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(FileLock, "acquire", fail)
    check(path, before)
    assert work.exists()


def test_a_lock_left_behind_is_removed_and_one_that_is_held_is_not(path):
    lock = path.with_name(".a.zarr.stsr.lock")
    lock.touch()
    recover(path)
    assert not lock.exists()
    with locked(path):
        assert stat.S_ISREG(lock.lstat().st_mode)
        recover(path)
        assert lock.exists()
        message = r"store='.*a\.zarr' is being changed by another process for 0 s now"
        with pytest.raises(TimeoutError, match=message), locked(path, patience=0):
            pass
    assert not lock.exists()


def test_a_scratch_directory_taken_for_a_leftover_is_made_again(path, monkeypatch):
    made, real = [], FileLock.acquire

    def acquire(self, *args, **kwargs):
        if not made:
            made.append(self)
            recover(path)  # another process is quicker
        return real(self, *args, **kwargs)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with transaction(path) as work:
        assert work.exists()
    assert [other.name for other in path.parent.iterdir()] == ["a.zarr"]


def test_no_file_of_a_store_is_seen_half_written(path):
    """Zarr writes a file under another name in the same folder, where a kill leaves it."""
    opened = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" and recording else None)
    recording = [True]
    put(sd.read_zarr(path), "tissue", toy_labels())
    recording.clear()
    written = [name for name in opened if name.startswith(str(path)) and name.endswith(".partial")]
    assert any(name.endswith(".partial") for name in opened)
    assert not written
