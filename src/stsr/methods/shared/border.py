"""Counts of spots that lie beside the tissue of the grid and so belong to no cell."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from stsr.section import Section

logger = logging.getLogger(__name__)

WARN_SHARE = 0.02
"""Share of all counts that belong to no cell above which this is a warning."""


@dataclass(frozen=True)
class Unplaced:
    """Spots that lie only in part, or not at all, on cells.

    Parameters
    ----------
    spots_cut, spots_off
        Number of spots that lie on cells in part, and of those on no cell.
    share
        Share of all counts that belong to no cell if the counts of a spot are spread evenly over its area. An upper bound:
        bare glass has no counts.
    """

    spots_cut: int
    spots_off: int
    share: float

    @classmethod
    def of(cls, section: Section) -> Unplaced:
        """Those of a section.

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
        """Log them, if there are any."""
        if not (self.spots_cut or self.spots_off):
            return
        logger.log(
            logging.WARNING if self.share > WARN_SHARE else logging.INFO,
            "%d spots lie on the grid in part and %d beside it: up to %.2g %% of all counts cannot be placed. If the "
            "image shows tissue there, pass a mask that covers the spots to stsr.pp.make_grid(tissue=...).",
            self.spots_cut,
            self.spots_off,
            100 * self.share,
        )
