"""The affine that lays an H&E on the coordinates of another instrument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTORTION = 0.02
"""How much more a registration may stretch the image one way than the other: sections shrink, but not as much."""


def read_alignment(alignment: Any, folder: Path | None = None) -> NDArray[np.float64]:
    """(3, 3) matrix from an array or from a CSV file without a header, in the working directory or the section's folder.

    Raises
    ------
    FileNotFoundError
        When the file is in neither.
    ValueError
        When it is no 3 x 3 matrix of numbers, no invertible affine, or distorts the image by more than 2 %.
    """
    name = "alignment"
    if isinstance(alignment, str | os.PathLike):
        name = f"alignment={str(alignment)!r}"
        alignment = _load(_find(Path(alignment), folder), name)
    matrix = np.asarray(alignment, dtype=np.float64)
    if matrix.shape != (3, 3):
        shape = " x ".join(map(str, matrix.shape))
        raise ValueError(
            f"{name} is {shape}; it must be the 3 x 3 matrix that takes pixels of the H&E to the section's."
        )
    linear = matrix[:2, :2]
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


def _find(file: Path, folder: Path | None) -> Path:
    for candidate in [file] + ([folder / file] if folder else []):
        if candidate.is_file():
            return candidate
    places = f"neither in the working directory nor in {str(folder)!r}" if folder else "not in the working directory"
    raise FileNotFoundError(
        f"alignment={str(file)!r} is {places}; pass the file with the matrix, or the matrix itself."
    )


def _load(file: Path, name: str) -> NDArray[np.float64]:
    try:
        return np.loadtxt(file, delimiter=",", encoding="utf-8-sig", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{name} is not a table of numbers; it must hold a 3 x 3 matrix, without header.") from error


def scale_of(matrix: NDArray[np.float64]) -> float:
    """How many units of the section's coordinates a pixel of the H&E is wide."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def apply(matrix: NDArray[np.floating], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(points, 2) taken through an affine."""
    return xy @ matrix[:2, :2].T + matrix[:2, 2]
