"""What methods that look at image features alone learn from: spots, and the mean features under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stsr.methods.shared.requirements import whole_spots
from stsr.methods.shared.spot_sums import disc_means
from stsr.methods.shared.standardise import feature_moments
from stsr.section import Section


@dataclass(frozen=True, eq=False)
class LearnedSpots:
    """The spots that a method which looks at features alone learns from: those that lie on tissue as a whole.

    Parameters
    ----------
    used
        (spots,) which of the section's spots they are.
    mean, sd
        (features,) by which features are standardised, over cells.
    z
        (n, features) standardised features, averaged over what each spot covers.
    density
        (n, genes) counts per cell, of a whole spot.
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
        z = (disc_means(section)[used] - mean) / sd
        return cls(used, mean, sd, z, section.counts[used].toarray() / np.float32(section.spot_cells))

    def mass_factor(self, section: Section, predicted: NDArray[np.floating]) -> NDArray[np.floating]:
        """(genes,) by what rates are multiplied so that these spots, predicted to hold (genes,), hold what was measured."""
        measured = section.covered[self.used] @ section.counts[self.used]
        return measured / np.maximum(predicted, 1e-6)
