"""The matrix that lays an H&E on a section, as people have it: files of every dialect, and matrices that cannot be."""

import codecs

import numpy as np
import pytest

from stsr.pp._alignment import read_alignment

MATRIX = np.array([[0.5, -1.25, 300.5], [1.25, 0.5, -20.25], [0, 0, 1]])
PLAIN = "0.5,-1.25,300.5\n1.25,0.5,-20.25\n0,0,1\n"
DEEP = [[0.5, -1.25, 0, 300.5], [1.25, 0.5, 0, -20.25], [0, 0, 1, 7], [0, 0, 0, 1]]

FILES = {
    "as Xenium Explorer exports it": PLAIN.encode(),
    "byte order mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "Windows lines": PLAIN.replace("\n", "\r\n").encode(),
    "no line at the end": PLAIN.strip().encode(),
    "empty lines": ("\n" + PLAIN.replace("\n", "\n\n")).encode(),
    "header": ("a,b,c\n" + PLAIN).encode(),
    "header in quotes": ('"","V2","V3"\n' + PLAIN).encode(),
    "semicolons": PLAIN.replace(",", ";").encode(),
    "semicolons and decimal commas": PLAIN.replace(",", ";").replace(".", ",").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "spaces": PLAIN.replace(",", "  ").encode(),
    "commas and spaces": PLAIN.replace(",", ", ").encode(),
    "quotes": PLAIN.replace(",", '","').replace("\n", '"\n"')[:-1].join(['"', ""]).encode(),
    "exponents": b"5e-1,-1.25E0,3.005e+2\n1.25,0.5,-20.25\n0,0,1\n",
    "without the last row": PLAIN.rsplit("0,0,1", 1)[0].encode(),
    "three dimensions": "\n".join(",".join(map(str, row)) for row in DEEP).encode(),
}


@pytest.mark.parametrize("kind", FILES)
def test_files(tmp_path, kind):
    (tmp_path / "al.csv").write_bytes(FILES[kind])
    np.testing.assert_array_equal(read_alignment("al.csv", tmp_path), MATRIX)


@pytest.mark.parametrize(
    "matrix",
    [MATRIX, MATRIX.tolist(), MATRIX.astype(np.float32), MATRIX[:2], np.asfortranarray(MATRIX), DEEP, DEEP[:3]],
    ids=["array", "lists", "float32", "two rows", "Fortran order", "4 x 4", "3 x 4"],
)
def test_arrays(matrix):
    np.testing.assert_array_equal(read_alignment(matrix), MATRIX)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"is 0; it must be the 3 x 3"),
        (b"a,b,c\n1,2,3\n", "is not a table of numbers"),
        (b"fixedX,fixedY,alignmentX,alignmentY\n1,2,3,4\n5,6,7,8\n9,8,7,6\n", "is 3 x 4; it must be the 3 x 3 matrix"),
        (b"1,2,x\n1,2,3\n0,0,1\n", "is not a table of numbers"),
        (b"1,0,5\n0,1\n0,0,1\n", "is no matrix of numbers; pass the 3 x 3 affine as an array or a CSV file"),
        (b"\x93NUMPY\x01\x00v\x00\xff\xfe", "is not a table of numbers"),
        (b'{"matrix": [[1, 0, 0]]}', "is not a table of numbers"),
        (b"1,0,nan\n0,1,0\n0,0,1\n", "is no invertible affine with the last row 0, 0, 1"),
        (PLAIN.replace("0,0,1", "0,0,2").encode(), "is no invertible affine"),
    ],
)
def test_files_that_hold_no_alignment(tmp_path, text, message):
    (tmp_path / "al.csv").write_bytes(text)
    with pytest.raises(ValueError, match=rf"alignment='.*al\.csv' {message}") as told:
        read_alignment(tmp_path / "al.csv")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (None, "alignment is a single number|alignment is no matrix of numbers"),
        (3.0, "alignment is a single number; it must be the 3 x 3 matrix"),
        ([["a", "b"], ["c", "d"]], "alignment is no matrix of numbers"),
        ([[1, 2, 3], [1, 2]], "alignment is no matrix of numbers"),
        ({"a": 1}, "alignment is no matrix of numbers"),
        (np.eye(4)[[0, 2, 1, 3]], "alignment is 4 x 4; it must be the 3 x 3 matrix"),
        (np.ones((2, 3, 3)), "alignment is 2 x 3 x 3"),
        (MATRIX.T, "alignment has its shift in the last row; pass the transposed matrix, with 0, 0, 1 as its last row"),
        (np.zeros((3, 3)), "alignment is no invertible affine"),
        (np.diag([np.inf, 1, 1]), "alignment is no invertible affine"),
    ],
)
def test_matrices_that_cannot_be(matrix, message):
    with pytest.raises(ValueError, match=message):
        read_alignment(matrix)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"alignment='.*' is a folder; pass the file with the matrix"):
        read_alignment(tmp_path)
