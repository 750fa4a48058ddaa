"""Prediction for sections of another sequencing depth than that of the section learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Prediction, Predictor
from stsr.section import Section


def depth_array(section: Section) -> NDArray[np.float64]:
    """(1,) sequencing depth of a section, as a learned array of methods whose input are counts."""
    return np.array([section.depth])


def at_depth(section: Section, depth: NDArray[np.float64]) -> tuple[Section, float]:
    """A section scaled to the learned sequencing depth (1,), and the factor that scales its counts back."""
    factor = float(depth[0]) / section.depth
    return section.scaled(factor), 1 / factor


def rescaled(predict: Predictor, factor: float) -> Predictor:
    """A predictor of means, without standard deviations, times ``factor``."""
    if factor == 1:
        return predict

    def scaled(rows: slice) -> Prediction:
        prediction = predict(rows)
        return replace(prediction, mean=prediction.mean * np.float32(factor))

    return scaled
