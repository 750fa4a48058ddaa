"""What spots measured beside the cells, where it cannot be placed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from stsr.section import Section

logger = logging.getLogger(__name__)

TOLD = 0.02
"""Share of the counts from which on it is worth a warning that they cannot be placed."""


@dataclass(frozen=True)
class Unplaced:
    """Spots that do not lie on cells as a whole.

    Parameters
    ----------
    spots_cut, spots_off
        How many lie on cells in part, and how many on none.
    share
        Share of all counts that cannot be placed, if what a spot measured is spread evenly over what it covers. It is
        less where the rest is bare glass.
    """

    spots_cut: int
    spots_off: int
    share: float

    @classmethod
    def of(cls, section: Section) -> Unplaced:
        """Count them in a section.

        Examples
        --------
        >>> from stsr.geometry import Disc, Grid
        >>> import scipy.sparse as sp
        >>> grid = Grid(np.diag([8.0, 8, 1]), np.ones((10, 10), dtype=bool))
        >>> counts = sp.csr_array(np.ones((2, 1), dtype=np.float32))
        >>> Unplaced.of(Section(("A",), np.array([[40.0, 40], [0, 40]]), Disc(55.0), counts, np.ones(2), grid))
        Unplaced(spots_cut=1, spots_off=0, share=0.25)
        """
        covered = section.covered
        counts = np.asarray(section.counts.sum(axis=1, dtype=np.float64))
        beside = float((1 - covered.astype(np.float64)) @ counts / max(counts.sum(), 1))
        return cls(int(((covered > 0) & (covered < 1)).sum()), int((covered == 0).sum()), round(beside, 6))

    def tell(self) -> None:
        """Say it in the log, where there is anything to say."""
        if not (self.spots_cut or self.spots_off):
            return
        logger.log(
            logging.WARNING if self.share > TOLD else logging.INFO,
            "%d spots lie on the grid in part and %d beside it: up to %.2g %% of all counts cannot be placed. If the "
            "image shows tissue there, pass a mask that covers the spots to stsr.pp.make_grid(tissue=...).",
            self.spots_cut,
            self.spots_off,
            100 * self.share,
        )
