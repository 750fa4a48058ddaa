"""Sections sequenced to another depth than the one learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Prediction, Predictor
from stsr.section import Section


def kept_depth(section: Section) -> NDArray[np.float64]:
    """(1,) the depth of a section, for a method that looks at counts to keep."""
    return np.array([section.depth])


def at_depth(section: Section, depth: NDArray[np.float64]) -> tuple[Section, float]:
    """A section as if sequenced to a depth (1,) that was kept, and what brings its counts back to its own."""
    factor = float(depth[0]) / section.depth
    return section.scaled(factor), 1 / factor


def times(predict: Predictor, factor: float) -> Predictor:
    """A predictor of means without standard deviations, multiplied; itself when there is nothing to do."""
    if factor == 1:
        return predict

    def scaled(rows: slice) -> Prediction:
        prediction = predict(rows)
        return replace(prediction, mean=prediction.mean * np.float32(factor))

    return scaled
