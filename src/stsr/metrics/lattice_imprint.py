"""How strongly the lattice of spots shows in a map that was made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from stsr.metrics._columns import constant, matrices
from stsr.metrics.spot_edges import SpotEdges

MIN_SPOTS = 5
"""Spots that a mean needs, at least."""

CAUTION = 2.0
"""Factor on standard errors over blocks, which are too small where a few spots hold most counts of a gene. With it, of the
p-values of simulated log-normal random fields without imprint and of any smoothness, at most 3 % are below 0.05 where their
logarithm has a standard deviation of 0.7, and 9 % where it has 1.4."""


@dataclass(frozen=True, eq=False)
class LatticeImprint:
    """How strongly spots show, for each gene and for all together.

    Parameters
    ----------
    true, displaced
        (blocks, genes) squared steps at the edges of the spots of each block of tissue, summed, on the true lattice and in
        the mean of the displaced ones.
    step
        (genes,) mean step at the edges of the true lattice, as a share of the gene's mean; above 0 where spots are
        brighter than what surrounds them.
    """

    true: NDArray[np.float64]
    displaced: NDArray[np.float64]
    step: NDArray[np.float64]

    @property
    def imprint(self) -> NDArray[np.float64]:
        """(genes,) root mean square of the steps, over that on the displaced lattices."""
        return np.sqrt(_ratio(self.true.sum(axis=0), self.displaced.sum(axis=0)))

    @property
    def p(self) -> NDArray[np.float64]:
        """(genes,) two-sided p-values of the hypothesis that the imprint is 1."""
        return _p_values(*self._contrasts())

    @property
    def p_all(self) -> float:
        """P-value of the mean over all genes."""
        whole, without = self._contrasts()
        known = np.isfinite(whole) & np.isfinite(without).all(axis=0)
        if not known.any():
            return np.nan
        return float(_p_values(whole[known].mean(keepdims=True), without[:, known].mean(axis=1, keepdims=True))[0])

    def _contrasts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(genes,) difference of the squares as a share of their sum, and (blocks, genes) the same leaving out each block."""
        total = self.true.sum(axis=0), self.displaced.sum(axis=0)
        return _contrast(*total), _contrast(total[0] - self.true, total[1] - self.displaced)

    @classmethod
    def join(cls, parts: Sequence[LatticeImprint]) -> LatticeImprint:
        """Join results for batches of genes that were measured with the same edges."""
        fields = ("true", "displaced", "step")
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in fields))


def lattice_imprint(values: ArrayLike, edges: SpotEdges) -> LatticeImprint:
    r"""How strongly the spots that a map was made from show in it, as discs.

    .. math:: I_g = \sqrt{\frac{\overline{d_{sg}^2}}{\overline{\overline{d_{sg}^2}}_\text{displaced}}}

    where d is the step at the edge of spot s, from just outside to just inside. The displaced lattice gives the steps
    that the tissue's own structure makes.

    Parameters
    ----------
    values
        (cells, genes) values.
    edges
        From :func:`spot_edges`.

    Returns
    -------
    Its ``imprint`` is 1 where nothing shows, above 1 where there are discs, and below 1 where a map is flatter at the
    edges of spots than elsewhere, as are the plateaus of nearest-neighbour interpolation. ``p``, for each gene, and
    ``p_all``, for all together, are for a difference from 1: by Student's t of (true - displaced) / (true + displaced) of
    the squares, with twice the standard error of the jackknife [1]_ over blocks of 3 x 3 pitches. ``step`` is above 0
    where discs are brighter than their surroundings.

    All are NaN for a constant gene or one with a value that is not finite, and where fewer than 5 spots can be used;
    p-values also where a gene is found in one block only.

    Raises
    ------
    ValueError
        When ``values`` is no matrix, or ``edges`` are not of its cells.

    References
    ----------
    .. [1] Kunsch (1989), The jackknife and the bootstrap for general stationary observations. Annals of Statistics
       17:1217-1241.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> from scipy.ndimage import gaussian_filter
    >>> rng = np.random.default_rng(0)
    >>> cells, spots = (np.argwhere(np.ones((n, n))) * side for n, side in ((150, 8.0), (12, 101.0)))
    >>> edges = stsr.metrics.spot_edges(cells, spots, diameter=55, pitch=101, bin_size=8)
    >>> tissue = np.exp(9 * gaussian_filter(rng.normal(size=(150, 150)), 5).ravel())
    >>> apart = np.linalg.norm(cells[:, None] - spots, axis=2)
    >>> noise = np.exp(rng.normal(0, 0.5, len(spots)))[
    ...     apart.argmin(axis=1)
    ... ]  # of each spot, shared by the cells under it
    >>> discs = tissue * np.where(apart.min(axis=1) < 27.5, noise, 1)
    >>> found = stsr.metrics.lattice_imprint(np.column_stack([tissue, discs]), edges)
    >>> found.imprint.round(1), found.p.round(2)
    (array([1. , 6.3]), array([0.87, 0.  ]))
    """
    (values,) = matrices(values=values)
    true, *displaced = edges.steps
    if len(values) != true.shape[1]:
        raise ValueError(f"values {values.shape} must be of the {true.shape[1]} cells of the edges.")
    unknown = constant(values) | ~np.isfinite(values).all(axis=0)
    if unknown.any():
        values = np.where(unknown, np.nan, values)
    times = np.sum([_usable(operator) for operator in displaced], axis=0)
    used = _usable(true) & (times >= len(displaced) / 2)
    if used.sum() < MIN_SPOTS:
        nothing = np.full((1, len(unknown)), np.nan)
        return LatticeImprint(nothing, nothing, nothing[0])
    steps = (true @ values)[used].astype(np.float64)
    others = np.zeros((len(used), len(unknown)))
    for operator in displaced:
        others += np.square(operator @ values)
    by_block = edges.blocks[:, used]
    by_block = by_block[by_block.sum(axis=1) > 0]
    return LatticeImprint(
        by_block @ np.square(steps),
        by_block @ (others[used] / times[used, None]),
        _ratio(steps.mean(axis=0), values.mean(axis=0, dtype=np.float64)),
    )


def _usable(steps: sp.csr_array) -> NDArray[np.bool_]:
    """(spots,) whether the step of a spot can be measured."""
    return np.diff(steps.indptr) > 0


def _ratio(values: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratio; NaN where the divisor is 0."""
    return values / np.where(of == 0, np.nan, of)


def _contrast(true: NDArray[np.float64], displaced: NDArray[np.float64]) -> NDArray[np.float64]:
    """Difference over sum: -1 to 1, and 0 where the two are equal."""
    return _ratio(true - displaced, true + displaced)


def _p_values(whole: NDArray[np.float64], without: NDArray[np.float64]) -> NDArray[np.float64]:
    """(genes,) two-sided p-values of the hypothesis that a contrast is 0, by the jackknife over blocks."""
    n = len(without)
    if n < 2:
        return np.full(len(whole), np.nan)
    error = CAUTION * np.sqrt((n - 1) / n * np.square(without - without.mean(axis=0)).sum(axis=0))
    return np.asarray(2 * stats.t.sf(np.abs(whole) / np.maximum(error, np.finfo(np.float32).eps), n - 1))
