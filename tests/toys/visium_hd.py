"""A small Visium HD folder whose bins, counts and places are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from toys.spatial import GENES, toy_image

from stsr.datasets import write_visium_hd_folder

MPP, ANGLE, CENTRE = 0.5, 3.0, (210.0, 160.0)
SHAPE = (64, 50)
"""Rows and columns of the array of 2 µm bins."""


def hd_bins() -> np.ndarray:
    """(bins, 2) rows and columns of the 2 µm bins on tissue: the array's first 5 rows and 3 columns are bare, with holes."""
    on = np.random.default_rng(3).random(SHAPE) < 0.9
    on[:5] = on[:, :3] = False
    on[20:36, 16:32] = False
    return np.argwhere(on)


def hd_counts(bins: int, genes: int = len(GENES)) -> np.ndarray:
    return np.random.default_rng(4).poisson(0.7, (bins, genes))


def hd_pixels(rowcol: np.ndarray, size: float, *, flipped: bool = False) -> np.ndarray:
    """(bins, 2) centres (x, y) in pixels of bins of ``size`` µm: turned about the array's middle."""
    turn = np.deg2rad(ANGLE)
    from_middle = (rowcol[:, ::-1] + 0.5) * size - np.array(SHAPE[::-1]) * 2 / 2
    from_middle[:, 0] *= -1 if flipped else 1
    x = np.cos(turn) * from_middle[:, 0] - np.sin(turn) * from_middle[:, 1]
    y = np.sin(turn) * from_middle[:, 0] + np.cos(turn) * from_middle[:, 1]
    return np.column_stack([x, y]) / MPP + CENTRE


def hd_folder(folder: Path, **changes: Any) -> Path:
    """Write the folder; returns the path of its full-resolution image."""
    rowcol = hd_bins()
    arrays = {
        "counts": hd_counts(len(rowcol)),
        "genes": GENES,
        "array_rowcol": rowcol,
        "image": toy_image(320, 420),
        "mpp": MPP,
        "angle": ANGLE,
        "centre": CENTRE,
    }
    return write_visium_hd_folder(folder, **(arrays | changes))


def hd_sums(times: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of bins ``times`` as wide, row by row, and their counts."""
    fine = hd_bins()
    rowcol, member = np.unique(fine // times, axis=0, return_inverse=True)
    sums = np.zeros((len(rowcol), len(GENES)), dtype=int)
    np.add.at(sums, member, hd_counts(len(fine)))
    return rowcol, sums
