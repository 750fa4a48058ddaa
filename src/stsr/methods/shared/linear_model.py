"""A linear model of image features: learned from the mean features of discs, applied to every cell."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.base import Method, Prediction, Predictor, Training
from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.shared.learned_spots import LearnedSpots
from stsr.methods.shared.requirements import require_spots
from stsr.methods.shared.spot_sums import bands
from stsr.section import Section


class LinearModel(Method):
    """λ(b) = m · max(0, c + z(b)·B), z being the features standardised by their mean and sd over cells.

    A subclass solves for B and c. m, one number a gene, makes the cells under all spots add up to what these measured.
    """

    @abstractmethod
    def solve(self, spots: LearnedSpots, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(features, genes) coefficients B and (genes,) intercepts c, from spots at ``xy`` (n, 2) in µm."""

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Solve for B and c, kept for raw features: ``coefficients`` (features, genes), ``intercept``; m is in both."""
        require_spots(section, self.info.name)
        spots = LearnedSpots.of(section)
        coefficients, intercept = self.solve(spots, section.spots[spots.used])
        coefficients = coefficients / spots.sd[:, None]
        intercept = intercept - spots.mean @ coefficients
        covered, predicted = section.footprint[spots.used].sum(axis=0), np.zeros(len(section.genes))
        for rows in bands(section, max(section.n_features, len(section.genes))):
            rates = np.maximum(section.cell_features(rows) @ coefficients + intercept, 0)
            predicted += covered[section.grid.cells(rows)] @ rates
        factor = spots.mass_factor(section, predicted)
        self.arrays = {
            "coefficients": (coefficients * factor).astype(np.float32),
            "intercept": (intercept * factor).astype(np.float32),
        }
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "coefficients", Array((facts.features, facts.genes))
        yield "intercept", Array((facts.genes,))

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Apply B to the features of ``section``; its spots play no part."""
        coefficients, intercept = self.arrays["coefficients"], self.arrays["intercept"]

        def predict(rows: slice) -> Prediction:
            return Prediction(mean=np.maximum(section.cell_features(rows) @ coefficients + intercept, 0))

        return predict
