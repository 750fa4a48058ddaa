"""Training data of methods that predict from image features alone: spots and the mean features under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.spot_sums import disc_means
from stsr.methods.shared.standardise import feature_moments, standardised
from stsr.methods.shared.targets import gene_factor
from stsr.section import Section


@dataclass(frozen=True, eq=False)
class LearnedSpots:
    """Training spots, with features: those whose whole disc is on tissue.

    Parameters
    ----------
    used
        (spots,) which spots of the section are training spots.
    mean, sd
        (features,) mean and standard deviation of the features over cells.
    z
        (n, features) standardised features, averaged over the area of each spot.
    density
        (n, genes) counts of a spot over the cells of a whole spot.
    """

    used: NDArray[np.bool_]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    z: NDArray[np.float64]
    density: NDArray[np.float32]

    @classmethod
    def of(cls, section: Section) -> Self:
        """Those of ``section``."""
        mean, sd = feature_moments(section)
        used = whole_spots(section)
        z = standardised(disc_means(section)[used], mean, sd)
        return cls(used, mean, sd, z, section.counts[used].toarray() / np.float32(section.spot_cells))

    def mass_factor(self, section: Section, predicted: NDArray[np.floating]) -> NDArray[np.floating]:
        """(genes,) factors that make ``predicted`` (genes,), the sums over training spots, equal to the measured ones."""
        measured = section.covered[self.used] @ section.counts[self.used]
        return gene_factor(measured, predicted)
