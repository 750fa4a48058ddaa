"""The affine that lays an H&E on the coordinates of another instrument."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import at_home

DISTORTION = 0.02
"""How much more a registration may stretch the image one way than the other: sections shrink, but not as much."""


def read_alignment(alignment: Any, folder: Path | None = None) -> NDArray[np.float64]:
    """(3, 3) matrix from an array or from a text file, in the working directory or the section's folder.

    The last row may be missing, and a matrix of three dimensions may leave z as it is.

    Raises
    ------
    FileNotFoundError
        When the file is in neither.
    ValueError
        When it is a folder, no 3 x 3 matrix of numbers, no invertible affine, or distorts the image by more than 2 %.
    """
    name = "alignment"
    if isinstance(alignment, str | os.PathLike):
        name = f"alignment={str(alignment)!r}"
        alignment = _load(_find(at_home(alignment), folder), name)
    try:
        matrix = _plane(np.asarray(alignment, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no matrix of numbers; pass the 3 x 3 affine as an array or a CSV file.") from error
    if matrix.shape != (3, 3):
        shape = " x ".join(map(str, matrix.shape)) or "a single number"
        raise ValueError(
            f"{name} is {shape}; it must be the 3 x 3 matrix that takes pixels of the H&E to the section's."
        )
    linear = matrix[:2, :2]
    if np.isfinite(matrix).all() and np.allclose(matrix[:, 2], (0, 0, 1)) and not np.allclose(matrix[2], (0, 0, 1)):
        raise ValueError(
            f"{name} has its shift in the last row; pass the transposed matrix, with 0, 0, 1 as its last row."
        )
    usable = np.isfinite(matrix).all() and np.allclose(matrix[2], (0, 0, 1)) and np.linalg.matrix_rank(linear) == 2
    if not usable:
        raise ValueError(
            f"{name} is no invertible affine with the last row 0, 0, 1: {matrix.tolist()}; export it once more."
        )
    longer, shorter = np.linalg.svd(linear, compute_uv=False)
    if longer > (1 + DISTORTION) * shorter:
        raise ValueError(
            f"{name} stretches the H&E by {longer / shorter - 1:.1%} more one way than the other, at most {DISTORTION:.0%} "
            "is rotation and scale with the usual error; check the landmarks it was made from."
        )
    return matrix


def _plane(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine of x and y: z taken out where it stays as it is, and the last row put in where it is missing."""
    if matrix.shape in ((4, 4), (3, 4)) and _flat(matrix):
        matrix = np.delete(np.delete(matrix, 2, axis=0), 2, axis=1)
    return np.vstack([matrix, (0, 0, 1)]) if matrix.shape == (2, 3) else matrix


def _flat(matrix: NDArray[np.float64]) -> bool:
    """Whether a matrix of three dimensions keeps x and y apart from z."""
    return not matrix[:2, 2].any() and not matrix[2, :2].any()


def _find(file: Path, folder: Path | None) -> Path:
    for candidate in [file] + ([folder / file] if folder else []):
        if candidate.is_file():
            return candidate
        if candidate.is_dir():
            raise ValueError(
                f"alignment={str(file)!r} is a folder; pass the file with the matrix, or the matrix itself."
            )
    places = f"neither in the working directory nor in {str(folder)!r}" if folder else "not in the working directory"
    raise FileNotFoundError(
        f"alignment={str(file)!r} is {places}; pass the file with the matrix, or the matrix itself."
    )


def _load(file: Path, name: str) -> list[list[float]]:
    """The numbers of a text file, whatever separates them; a first line of words is passed over."""
    try:
        rows = [row for line in _text(file).splitlines() if (row := _cells(line))]
        if len(rows) > 2 and not any(map(_is_number, rows[0])):
            rows = rows[1:]
        return [[float(cell) for cell in row] for row in rows]
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} is not a table of numbers; it must hold a 3 x 3 matrix, as Xenium Explorer exports it (not the "
            "landmarks)."
        ) from error


def _text(file: Path) -> str:
    data = file.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig")


def _cells(line: str) -> list[str]:
    """The cells of a line; beside semicolons and tabs, a comma is a decimal point."""
    for separator in (";", "\t"):
        if separator in line:
            return [cell.strip().strip('"').replace(",", ".") for cell in line.split(separator)]
    return [cell.strip('"') for cell in line.replace(",", " ").split()]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def scale_of(matrix: NDArray[np.float64]) -> float:
    """How many units of the section's coordinates a pixel of the H&E is wide."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def apply(matrix: NDArray[np.floating], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(points, 2) taken through an affine."""
    return xy @ matrix[:2, :2].T + matrix[:2, 2]
