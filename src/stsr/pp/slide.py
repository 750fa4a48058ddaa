"""A slide of printed spots, laid over the bins of a finer section."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.arguments import ANGLE, SEED, SHARE
from stsr.constants import ARRAY_COL, ARRAY_ROW, SPATIAL
from stsr.geometry import Disc, Grid
from stsr.geometry.lattice_fit import LAYOUTS
from stsr.geometry.spots import catch, lay_spots, spot_of
from stsr.metrics import thin
from stsr.options import Choice, Number, Options

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

EFFICIENCY = "efficiency"
"""``obs`` column with the efficiency of each spot, where they differ."""


@dataclass(frozen=True)
class Slide(Options):
    """A slide of printed spots and how it catches molecules; parameters as in :func:`stsr.pp.simulate_spots`."""

    diameter: Annotated[float, Number(1, 10_000)] = 55.0
    pitch: Annotated[float, Number(1, 10_000)] = 100.0
    layout: Annotated[str, Choice(tuple(LAYOUTS))] = "hexagonal"
    angle: Annotated[float, ANGLE] = 0.0
    jitter: Annotated[float, Number(0, 10_000)] = 0.0
    split: Annotated[float | None, replace(SHARE, optional=True)] = None
    efficiency: Annotated[float, Number(1e-12, 1)] = 1.0
    efficiency_sd: Annotated[float, Number(0, 3)] = 0.0
    diffusion: Annotated[float, Number(0, 10_000)] = 0.0
    min_coverage: Annotated[float, Number(1e-12, 1)] = 0.5
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pitch < self.diameter:
            raise ValueError(
                f"pitch={self.pitch:g} µm is less than diameter={self.diameter:g} µm, so spots would overlap and a molecule "
                "could be in two; choose a wider pitch or smaller spots."
            )

    def parts(self, counts: sp.csr_array) -> tuple[sp.csr_array, sp.csr_array]:
        """(bins, genes) molecules that it may catch, and those that are the truth: all of them both, or by ``split``."""
        if self.split is None:
            return counts, counts
        _, _, coin = self._draws()
        caught, truth = thin(counts, share=self.split, seed=coin)
        return caught, truth

    def spots(
        self, counts: sp.csr_array, grid: Grid, cells: NDArray[np.int64], var: pd.DataFrame, mpp: float
    ) -> AnnData:
        """The table of its spots over the bins of a grid: counts, place on the array, centres in pixels.

        Parameters
        ----------
        counts
            (bins, genes) whole numbers.
        grid, cells
            Grid of the bins, and the (bins,) cell of each.
        var
            What is known of the genes.
        mpp
            µm per pixel.
        """
        import pandas as pd
        from anndata import AnnData

        rng, of_efficiency, _ = self._draws()
        rows, cols = grid.shape
        corners = grid.to_um([[0, 0], [cols, 0], [0, rows], [cols, rows]])
        rowcol, centres = lay_spots(
            corners, pitch=self.pitch, diameter=self.diameter, layout=self.layout, angle=self.angle
        )
        centres = centres + rng.normal(scale=self.jitter, size=centres.shape)
        bins = grid.xy[cells]
        covered = self._coverage(bins, centres, grid.bin_size) >= self.min_coverage
        if not covered.any():
            raise ValueError(
                f"No spot of diameter={self.diameter:g} µm at a pitch of {self.pitch:g} µm lies on bins with "
                f"min_coverage={self.min_coverage} of its area; choose other spots, or lower min_coverage."
            )
        rowcol, centres = rowcol[covered], centres[covered]
        efficiency = self._efficiency(len(centres), of_efficiency)
        caught = catch(
            counts,
            bins,
            centres,
            self.diameter,
            diffusion=self.diffusion,
            efficiency=efficiency,
            rng=rng,
        )
        obs = pd.DataFrame(
            {"in_tissue": 1, ARRAY_ROW: rowcol[:, 0], ARRAY_COL: rowcol[:, 1]},
            index=[f"SPOT{row:03d}x{col:03d}-1" for row, col in rowcol],
        )
        if self.efficiency_sd > 0:
            obs[EFFICIENCY] = efficiency
        return AnnData(sp.csr_matrix(caught), obs=obs, var=var.copy(), obsm={SPATIAL: centres / mpp})

    def _draws(self) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
        """What draws places and catches, what draws efficiencies, and what splits: none changes what another draws."""
        rng = np.random.default_rng(self.seed)
        of_efficiency, of_split = rng.spawn(2)
        return rng, of_efficiency, of_split

    def _efficiency(self, n_spots: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """(spots,) efficiencies."""
        drawn = np.exp(self.efficiency_sd * rng.standard_normal(n_spots))
        # Where the mean asked for would take the best spots above 1, all are lowered: cut off, they would differ less.
        highest = drawn / drawn.max()
        return highest * min(self.efficiency / highest.mean(), 1)

    def _coverage(
        self, bins: NDArray[np.float64], centres: NDArray[np.float64], bin_size: float
    ) -> NDArray[np.float64]:
        """(spots,) share of each disc that bins (bins, 2) cover."""
        if len(centres) == 0:
            return np.zeros(0)
        spot = spot_of(bins, centres, self.diameter)
        under = np.bincount(spot[spot >= 0], minlength=len(centres)).astype(np.float64)
        return under * bin_size**2 / Disc(self.diameter).area
