"""Files that cannot be read: one sentence of ours, the library's error as its cause."""

from __future__ import annotations

import gzip
import json

import h5py
import pandas as pd
import pyarrow.parquet as pq
import pytest

from stsr.spatial.unreadable import read_json, read_text, reading


def library_errors(file):
    yield lambda: h5py.File(file)
    yield lambda: pq.read_table(file)
    yield lambda: json.loads(file.read_text())
    yield lambda: gzip.decompress(file.read_bytes())
    yield lambda: pd.read_csv(file, usecols=["a"])
    yield lambda: {}["key"]
    yield lambda: "text".no_such_attribute


@pytest.mark.parametrize("number", range(7))
def test_what_libraries_raise_is_told_in_one_sentence(tmp_path, number):
    file = tmp_path / "x"
    file.write_bytes(b"\x89\xff damaged")
    fails = list(library_errors(file))[number]
    message = r"^counts: '.*x' cannot be read as a matrix: it is damaged"
    with pytest.raises(ValueError, match=message) as told, reading(file, "a matrix", parameter="counts"):
        fails()
    assert told.value.__cause__ is not None


def test_a_file_that_is_gone_or_closed_to_the_user(tmp_path):
    with pytest.raises(FileNotFoundError, match="path: '.*nowhere' is not there"):
        read_text(tmp_path / "nowhere", "a table")
    with pytest.raises(PermissionError, match="path: 'secret' may not be read"), reading("secret", "a table"):
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_in_any_wrapping(tmp_path, encoding, pack):
    (tmp_path / "x").write_bytes(pack("µm,1\n".encode(encoding)))
    assert read_text(tmp_path / "x", "a table") == "µm,1\n"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"null", b'"a"', b"\xff\xfe\x00\xd8", gzip.compress(b"{}", mtime=0)[:-9], b"a\0b"]
)
def test_json_that_is_none(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as scale factors"):
        read_json(tmp_path / "x", "scale factors")
