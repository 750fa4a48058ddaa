"""The affine that lays an H&E on the coordinates of another instrument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import at_home
from stsr.pp._alignment_file import find_matrix, load_matrix

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
        alignment = load_matrix(find_matrix(at_home(alignment), folder), name)
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


def scale_of(matrix: NDArray[np.float64]) -> float:
    """How many units of the section's coordinates a pixel of the H&E is wide."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def apply(matrix: NDArray[np.floating], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(points, 2) taken through an affine."""
    return xy @ matrix[:2, :2].T + matrix[:2, 2]
