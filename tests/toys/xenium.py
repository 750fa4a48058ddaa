"""Transcripts with known places on the H&E, as vendors leave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import spatialdata as sd
from spatialdata.models import PointsModel
from spatialdata.transformations import Affine
from toys.spatial import toy_image

from stsr.datasets.vendor_xenium import write_xenium_folder

MPP, PIXEL = 0.4, 0.2125
"""µm per pixel of the H&E and of the morphology image."""

GENES = ["AQP2", "GPX3", "NPHS2", "UMOD"]
CONTROLS = ["BLANK_0003", "NegControlProbe_00042", "UnassignedCodeword_0001"]


@dataclass(frozen=True)
class Molecules:
    """Transcripts: (n, 2) µm on the H&E, names, and qualities."""

    xy: np.ndarray
    names: np.ndarray
    qv: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """Which are good ones of genes."""
        return np.isin(self.names, GENES) & (self.qv >= 20)

    def histogram(self, gene: str, cols: np.ndarray, rows: np.ndarray, *, min_qv: float | None = 20) -> np.ndarray:
        """(rows, cols) counts of a gene between these edges in µm."""
        own = (self.names == gene) & ((self.qv >= min_qv) if min_qv is not None else True)
        return np.histogram2d(self.xy[own, 1], self.xy[own, 0], bins=(rows, cols))[0]


def molecules(n: int = 6000, *, width: int = 380, height: int = 300, origin: int = 10, seed: int = 0) -> Molecules:
    """Transcripts that keep .2 µm away from whole µm, so that rounding cannot move them into another bin."""
    rng = np.random.default_rng(seed)
    xy = rng.integers(origin, (width, height), (n, 2)) + 0.5 + rng.uniform(-0.3, 0.3, (n, 2))
    names = rng.choice(GENES + CONTROLS, n, p=[0.4, 0.2, 0.2, 0.1, 0.04, 0.03, 0.03])
    return Molecules(xy, names, rng.choice([5.0, 19.9, 20.0, 40.0], n, p=[0.1, 0.1, 0.3, 0.5]))


def alignment(angle: float = 97.0, *, flip: bool = True, scale: float = MPP / PIXEL, shift=(2500, 300)) -> np.ndarray:
    """(3, 3) matrix from pixels of the H&E to pixels of the morphology image."""
    turn = np.deg2rad(angle)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ np.diag(
        [scale, -scale if flip else scale]
    )
    matrix[:2, 2] = shift
    return matrix


def to_vendor(xy: np.ndarray, matrix: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """(n, 2) µm on the H&E to the vendor's coordinates, ``unit`` to a pixel of the morphology image."""
    return (np.column_stack([xy / MPP, np.ones(len(xy))]) @ matrix.T)[:, :2] * unit


def points(found: Molecules, matrix: np.ndarray, *, npartitions: int = 1, **columns: Any):
    """The transcripts as points in the vendor's own pixels, in the system ``"global"``."""
    place = to_vendor(found.xy, matrix)
    rows = pd.DataFrame(
        {"x": place[:, 0], "y": place[:, 1], "gene": pd.Categorical(found.names), "qv": found.qv} | columns
    )
    return PointsModel.parse(rows, feature_key="gene", npartitions=npartitions)


def section(found: Molecules, matrix: np.ndarray) -> sd.SpatialData:
    return sd.SpatialData(points={"transcripts": points(found, matrix)})


def affine(matrix: np.ndarray) -> Affine:
    return Affine(matrix, input_axes=("x", "y"), output_axes=("x", "y"))


def toy_xenium(folder: Path, found: Molecules | None = None, matrix: np.ndarray | None = None, **changes: Any) -> Path:
    """A vendor folder of 400 x 320 µm with some cells; returns the path of its H&E."""
    found = molecules() if found is None else found
    matrix = alignment() if matrix is None else matrix
    rng = np.random.default_rng(1)
    cells = to_vendor(rng.uniform(20, 300, (40, 2)), matrix, PIXEL)
    arrays = {
        "xy": to_vendor(found.xy, matrix, PIXEL),
        "features": found.names,
        "quality": found.qv,
        "genes": GENES,
        "cells": cells,
        "image": toy_image(800, 1000),
        "alignment": matrix,
    }
    return write_xenium_folder(folder, **(arrays | changes))
