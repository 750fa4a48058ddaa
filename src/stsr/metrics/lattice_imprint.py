"""How far the lattice of spots shows in a map that was made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import cKDTree

from stsr.arguments import LENGTH, SEED
from stsr.metrics._columns import constant, matrices
from stsr.options import Whole

BAND_CELLS, BAND_UM = 1.5, 12.0
"""Width of a band at either side of an edge: so many cells, and no less than so many µm."""

WHOLE = 0.95
"""Share of the area out to the outer band's rim that must be cells."""

LEAST = 3
"""Cells on either side of an edge: of discs hardly wider than a cell there is no inside to be seen."""

FEWEST = 5
"""Spots below which a mean over them says nothing."""

CLEAR, REACH = 0.3, 0.75
"""Pitches from the nearest spot to which a lattice is displaced: where it no longer sees what the spots left, and no farther
than places between spots are, .71 on a square lattice and .58 on a hexagonal one."""

BLOCK = 3.0
"""Side in pitches of the squares of tissue that count as independent of each other."""

CAUTION = 2.0
"""Factor on standard errors over blocks, which come out too small where a few spots hold most of a gene. With it, of the
p-values of log-normal random fields, of any smoothness and without imprint, at most 3 % are below 0.05 where their logarithm
has a standard deviation of 0.7, and 9 % where it has 1.4."""

DISPLACED = Whole(1, 10_000)
"""Lattices."""


@dataclass(frozen=True, eq=False)
class SpotEdges:
    """Where to look for spots in a map: at their edges, and at those of the same spots displaced.

    Parameters
    ----------
    steps
        For the true lattice, then for each displaced one, a sparse (spots, cells) matrix, whose product with values per cell
        is the step at the edge of each spot. Rows of spots that cannot be looked at are empty.
    blocks
        (blocks, spots) sparse matrix of ones that sums over the spots of a block of tissue.
    """

    steps: tuple[sp.csr_array, ...]
    blocks: sp.csr_array


@dataclass(frozen=True, eq=False)
class LatticeImprint:
    """How far spots show, for each gene and for all.

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
        """(genes,) two-sided p-values of an imprint that is 1."""
        return _p_values(*self._contrasts())

    @property
    def p_all(self) -> float:
        """The same for the mean of all genes."""
        whole, without = self._contrasts()
        known = np.isfinite(whole) & np.isfinite(without).all(axis=0)
        if not known.any():
            return np.nan
        return float(_p_values(whole[known].mean(keepdims=True), without[:, known].mean(axis=1, keepdims=True))[0])

    def _contrasts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(genes,) difference of the squares as a share of their sum, and (blocks, genes) the same without each block."""
        total = self.true.sum(axis=0), self.displaced.sum(axis=0)
        return _contrast(*total), _contrast(total[0] - self.true, total[1] - self.displaced)

    @classmethod
    def join(cls, parts: Sequence[LatticeImprint]) -> LatticeImprint:
        """One of all genes, from batches of them that were looked at with the same edges."""
        fields = ("true", "displaced", "step")
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in fields))


def spot_edges(
    xy: ArrayLike,
    spots: ArrayLike,
    *,
    diameter: float,
    pitch: float,
    bin_size: float,
    n_displaced: int = 39,
    seed: int = 0,
) -> SpotEdges:
    """Bands of cells at the edges of spots, and of the same spots displaced.

    The step of a spot is the mean of the cells just inside its edge less that of the cells just outside, both on one slope:
    a plane with a jump at the edge is fitted to them by least squares. Without the slope, cells that do not lie quite
    evenly around a spot would pass the tissue's own gradients off as steps. The bands on either side are 1.5 cells wide,
    at least 12 µm; a cell belongs to the spot nearest to it. Spots are left out that do not lie wholly on cells, with the
    outer band, and those with fewer than 3 cells on either side, as where cells are as wide as spots.

    Lattices are displaced as a whole, by the way from the nearest spot to a place drawn at random on the tissue, at least
    0.3 pitches from it.

    Parameters
    ----------
    xy
        (cells, 2) centres of the cells in µm.
    spots
        (spots, 2) centres of the spots in µm: those that the map was made from.
    diameter
        Of a spot, in µm.
    pitch
        µm from a spot to the next.
    bin_size
        Side of a cell in µm.
    n_displaced
        How many displaced lattices.
    seed
        Seed of the displacements.

    Returns
    -------
    What :func:`lattice_imprint` looks at: spots that are not left out on the true lattice, nor on half of the displaced
    ones.

    Raises
    ------
    ValueError
        When a length or number is not allowed, or no cell is 0.3 to 0.75 pitches from a spot.

    Examples
    --------
    >>> import numpy as np, stsr
    >>> cells, spots = (np.argwhere(np.ones((n, n))) * side for n, side in ((100, 8.0), (8, 100.0)))
    >>> edges = stsr.metrics.spot_edges(cells, spots, diameter=55, pitch=100, bin_size=8)
    >>> len(edges.steps), edges.steps[0].shape
    (40, (64, 10000))
    """
    for name, length in (("diameter", diameter), ("pitch", pitch), ("bin_size", bin_size)):
        LENGTH(name, length)
    n_displaced, seed = DISPLACED("n_displaced", n_displaced), SEED("seed", seed)
    xy, spots = (np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in (xy, spots))
    moves = _displacements(xy, spots, pitch, bin_size, n_displaced, np.random.default_rng(seed))
    cells = cKDTree(xy)
    steps = tuple(_steps(cells, spots + move, diameter / 2, bin_size) for move in (np.zeros(2), *moves))
    block = np.floor((spots - spots.min(axis=0)) / (BLOCK * pitch)).astype(np.int64)
    _, home = np.unique(block, axis=0, return_inverse=True)
    place = home.ravel(), np.arange(len(spots))
    return SpotEdges(steps, sp.csr_array((np.ones(len(spots)), place), shape=(home.max() + 1, len(spots))))


def lattice_imprint(values: ArrayLike, edges: SpotEdges) -> LatticeImprint:
    r"""How far the spots that a map was made from show in it, as discs.

    .. math:: I_g = \sqrt{\frac{\overline{d_{sg}^2}}{\overline{\overline{d_{sg}^2}}_\text{displaced}}}

    where d is the step at the edge of spot s, from just outside to just inside. The same lattice displaced tells what the
    tissue's own structure makes of discs that are not there.

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
    ``p_all``, for all together, tell whether it can be told from 1: by Student's t of (true - displaced) / (true +
    displaced) of the squares, with the standard error that the jackknife [1]_ over blocks of 3 x 3 pitches gives,
    doubled. ``step`` tells whether discs are brighter than what surrounds them.

    All are NaN for a constant gene or one with a value that is no number, and where fewer than 5 spots can be looked at;
    p-values also where a gene is found in one block alone.

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
    >>> noise = np.exp(rng.normal(0, 0.5, len(spots)))[apart.argmin(axis=1)]  # of each spot, met by the cells under it
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
    times = np.sum([_seen(operator) for operator in displaced], axis=0)
    used = _seen(true) & (times >= len(displaced) / 2)
    if used.sum() < FEWEST:
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


def _seen(steps: sp.csr_array) -> NDArray[np.bool_]:
    """(spots,) those that can be looked at."""
    return np.diff(steps.indptr) > 0


def _ratio(values: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values as shares; NaN of zero."""
    return values / np.where(of == 0, np.nan, of)


def _contrast(true: NDArray[np.float64], displaced: NDArray[np.float64]) -> NDArray[np.float64]:
    """-1 to 1, and 0 where the two are equal."""
    return _ratio(true - displaced, true + displaced)


def _p_values(whole: NDArray[np.float64], without: NDArray[np.float64]) -> NDArray[np.float64]:
    """(genes,) two-sided p-values of contrasts that are 0, from the contrasts without each block."""
    n = len(without)
    if n < 2:
        return np.full(len(whole), np.nan)
    error = CAUTION * np.sqrt((n - 1) / n * np.square(without - without.mean(axis=0)).sum(axis=0))
    return np.asarray(2 * stats.t.sf(np.abs(whole) / np.maximum(error, np.finfo(np.float32).eps), n - 1))


def _displacements(
    xy: NDArray[np.float64],
    spots: NDArray[np.float64],
    pitch: float,
    bin_size: float,
    number: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(number, 2) ways in µm from the nearest spot to places on cells."""
    distance, nearest = cKDTree(spots).query(xy, distance_upper_bound=REACH * pitch)
    between = np.flatnonzero((distance >= CLEAR * pitch) & np.isfinite(distance))
    if not len(between):
        raise ValueError(
            f"spots have no cells {CLEAR:g} to {REACH:g} pitches of {pitch:g} µm from them; pass cells and spots in µm of one "
            "frame."
        )
    drawn = rng.choice(between, number)
    within = rng.uniform(-bin_size / 2, bin_size / 2, (number, 2))
    return xy[drawn] - spots[nearest[drawn]] + within


def _steps(cells: cKDTree, spots: NDArray[np.float64], radius: float, bin_size: float) -> sp.csr_array:
    """(spots, cells) weights of the step at the edge of each spot; none for those that cannot be looked at."""
    band = max(BAND_CELLS * bin_size, BAND_UM)
    rim = radius + band
    pairs: Any = cells.sparse_distance_matrix(cKDTree(spots), rim, output_type="ndarray")
    cell, spot, distance = pairs["i"], pairs["j"], pairs["v"]
    # A circle of radius r holds about πr² centres of cells, give or take twice the root of r.
    full = np.pi * (rim / bin_size) ** 2
    least = min(WHOLE * full, full - 2 * np.sqrt(rim / bin_size))
    within = np.bincount(spot, minlength=len(spots)) >= least
    order = np.lexsort((distance, cell))  # so that a cell's nearest spot comes first
    own = np.zeros(len(cell), dtype=bool)
    own[order[np.append(True, np.diff(cell[order]) > 0)[: len(order)]]] = True
    in_band, inside = own & (distance > radius - band), distance <= radius
    for side in (inside, ~inside):
        within &= np.bincount(spot[in_band & side], minlength=len(spots)) >= LEAST
    in_band &= within[spot]
    cell, spot, inside = cell[in_band], spot[in_band], inside[in_band]
    offset = (cells.data[cell] - spots[spot]) / rim
    design = np.column_stack([inside, np.ones(len(cell)), offset])
    # Least squares of each spot: the first row of its inverse, times the design, are the weights of its step.
    gram = np.zeros((len(spots), 4, 4))
    for a in range(4):
        for b in range(4):
            gram[:, a, b] = np.bincount(spot, design[:, a] * design[:, b], minlength=len(spots))
    seen = np.linalg.matrix_rank(gram, hermitian=True) == 4
    weights = np.zeros((len(spots), 4))
    weights[seen] = np.linalg.inv(gram[seen])[:, 0]
    kept = seen[spot]
    weight = np.einsum("ca,ca->c", weights[spot[kept]], design[kept])
    return sp.csr_array((weight.astype(np.float32), (spot[kept], cell[kept])), shape=(len(spots), cells.n))
