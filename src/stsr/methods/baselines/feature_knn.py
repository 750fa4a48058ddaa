"""Nearest spots in feature space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.methods.base import Method, MethodInfo, Prediction, Predictor, Training, register
from stsr.methods.expected import Array, Expected, Facts
from stsr.methods.shared.learned_spots import LearnedSpots
from stsr.methods.shared.requirements import require_spots
from stsr.methods.shared.spot_sums import bands
from stsr.methods.shared.spot_weights import sparse_weights
from stsr.options import Options, Whole
from stsr.section import Section

DISTANCES = 2**22
"""Distances from cells to spots computed at a time: 16 MB as float32."""


@dataclass(frozen=True)
class FeatureKnnConfig(Options):
    """Options of the nearest spots in feature space.

    Parameters
    ----------
    neighbours
        Number of nearest spots, of which a cell gets the mean.
    components
        Principal components of the features in which distances are measured; a section with fewer features keeps all.
    """

    neighbours: Annotated[int, Whole(1, 4096)] = 32
    components: Annotated[int, Whole(1, 4096)] = 32


@register
class FeatureKnn(Method):
    """Each cell is the mean of the spots whose image features are most like its own, wherever these spots lie.

    It is nearest-neighbour regression in the leading principal components of the features.

    Formula
    -------
    ::

        λ_g(b) = m_g (1/k) Σ_s y_sg / a

    - λ_g(b): expected count of gene g in cell b
    - y_sg: count of gene g in s, one of the k = ``neighbours`` spots whose z̄_s is nearest to z(b)
    - z(b): features of the cell, standardised over cells; z̄_s: their mean over the disc of a spot
    - a: cells in the disc of a spot
    - m_g: makes the cells under all spots add up to the measured counts

    Distances are Euclidean in the first ``components`` principal components of the z̄_s.

    Source
    ------
    The rule of Cover and Hart, for regression: the mean of the neighbours in place of their vote. Ours is the factor
    m.

    Use
    ---
    To predict from the image alone without any assumption of linearity, and to see what the features alone
    distinguish.
    """

    info: ClassVar = MethodInfo(
        name="feature_knn",
        title="Mean of the spots that look most alike (nearest neighbours in feature space)",
        paper="Cover & Hart, IEEE Trans. Inf. Theory 13",
        year=1967,
        references=("cover1967",),
        needs=frozenset({"features"}),
    )
    Config: ClassVar = FeatureKnnConfig

    def fit(self, section: Section, *, seed: int, training: Training) -> Self:
        """Keep ``places`` (spots, components), ``density`` (spots, genes) times m, and the ``projection`` of features."""
        require_spots(section, self.info.name)
        spots = LearnedSpots.of(section)
        _, axes = np.linalg.eigh(np.atleast_2d(np.cov(spots.z.T)))
        leading = axes[:, ::-1][:, : self.config.components]
        self.arrays = {
            "mean": spots.mean.astype(np.float32),
            "projection": (leading / spots.sd[:, None]).astype(np.float32),
            "places": (spots.z @ leading).astype(np.float32),
        }
        covered, use = section.footprint[spots.used].sum(axis=0), np.zeros(len(spots.z))
        for rows in bands(section, section.n_features):
            cells = covered[section.grid.cells(rows)]
            use += cells[cells > 0] @ self.weights(section.cell_features(rows)[cells > 0])
        factor = spots.mass_factor(section, use @ spots.density)
        self.arrays["density"] = (spots.density * factor).astype(np.float32)
        return self

    def expected(self, facts: Facts) -> Expected:
        """As :meth:`fit` keeps them."""
        yield "mean", Array((facts.features,))
        yield "projection", Array((facts.features, "components"))
        yield "places", Array(("spots", "components"))
        yield "density", Array(("spots", facts.genes), low=0)

    def on(self, section: Section, *, device: str = "auto") -> Predictor:
        """Compare the cells of ``section`` with the spots learned from; its own spots are not used."""

        def predict(rows: slice) -> Prediction:
            return Prediction(mean=self.weights(section.cell_features(rows)) @ self.arrays["density"])

        return predict

    def weights(self, features: NDArray[np.float32]) -> sp.csr_array:
        """(cells, spots) equal weights of the nearest spots, for cells with raw ``features`` (cells, features)."""
        cells = (features - self.arrays["mean"]) @ self.arrays["projection"]
        near = nearest(cells, self.arrays["places"], self.config.neighbours)
        return sparse_weights(near, np.full(near.shape, 1 / near.shape[1]), len(self.arrays["places"]))


def nearest(cells: NDArray[np.float32], spots: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """(cells, count) indices of the spots nearest to each cell, in no order; all spots where there are fewer."""
    count = min(count, len(spots))
    found = np.empty((len(cells), count), dtype=np.int64)
    half_squares = (spots**2).sum(axis=1) / 2
    step = max(1, DISTANCES // len(spots))
    for first in range(0, len(cells), step):
        part = slice(first, first + step)
        # (|cell - spot|² - |cell|²) / 2 = |spot|² / 2 - cell·spot ranks the spots of a cell as their distance does
        rank = half_squares - cells[part] @ spots.T
        found[part] = np.argpartition(rank, count - 1, axis=1)[:, :count]
    return found
