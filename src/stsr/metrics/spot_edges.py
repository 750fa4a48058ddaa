"""Bands of cells at the edges of spots, where a map made from them may have steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from stsr.arguments import LENGTH, SEED
from stsr.options import Whole

BAND_CELLS, BAND_UM = 1.5, 12.0
"""Width of a band at either side of an edge: so many cells, and no less than so many µm."""

WHOLE = 0.95
"""Share of the area within the outer rim of the outer band that must be cells."""

MIN_CELLS = 3
"""Cells on either side of an edge, at least: discs hardly wider than a cell have no inside to measure."""

CLEAR, REACH = 0.3, 0.75
"""Length in pitches of a displacement: far enough for the spots' own edges not to be measured, and no farther than points
between spots are from the nearest one, 0.71 on a square lattice and 0.58 on a hexagonal one."""

BLOCK = 3.0
"""Side in pitches of the squares of tissue that count as independent of each other."""

DISPLACED = Whole(1, 10_000)
"""Rule for the number of displaced lattices."""


@dataclass(frozen=True, eq=False)
class SpotEdges:
    """Where to measure the imprint of spots: at their edges, and at those of the same spots displaced.

    Parameters
    ----------
    steps
        For the true lattice, then for each displaced one, a sparse (spots, cells) matrix, whose product with values per cell
        is the step at the edge of each spot. Rows of spots that cannot be measured are empty.
    blocks
        (blocks, spots) sparse matrix of ones that sums over the spots of a block of tissue.
    """

    steps: tuple[sp.csr_array, ...]
    blocks: sp.csr_array


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

    The step of a spot is the mean of the cells just inside its edge less that of the cells just outside, corrected for
    gradients of the tissue: a plane with a jump at the edge is fitted to them by least squares. Without the plane, cells
    that do not lie evenly around a spot would make a gradient look like a step. The bands on either side are 1.5 cells wide,
    at least 12 µm; a cell belongs to the spot nearest to it. Spots are left out that do not lie wholly on cells, with the
    outer band, and those with fewer than 3 cells on either side, as where cells are as wide as spots.

    Lattices are displaced as a whole, by the vector from the nearest spot to a random place on the tissue, at least 0.3
    pitches from it.

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
    Input of :func:`lattice_imprint`, which uses spots that are not left out on the true lattice, nor on more than half of
    the displaced ones.

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


def _displacements(
    xy: NDArray[np.float64],
    spots: NDArray[np.float64],
    pitch: float,
    bin_size: float,
    number: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(number, 2) vectors in µm from the nearest spot to random places on cells."""
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
    """(spots, cells) weights of the step at the edge of each spot; none for spots that cannot be measured."""
    band = max(BAND_CELLS * bin_size, BAND_UM)
    rim = radius + band
    pairs: Any = cells.sparse_distance_matrix(cKDTree(spots), rim, output_type="ndarray")
    cell, spot, distance = pairs["i"], pairs["j"], pairs["v"]
    # A circle with a radius of r cells holds πr² centres of cells, with an error of up to about 2√r.
    full = np.pi * (rim / bin_size) ** 2
    least = min(WHOLE * full, full - 2 * np.sqrt(rim / bin_size))
    within = np.bincount(spot, minlength=len(spots)) >= least
    order = np.lexsort((distance, cell))  # so that a cell's nearest spot comes first
    own = np.zeros(len(cell), dtype=bool)
    own[order[np.append(True, np.diff(cell[order]) > 0)[: len(order)]]] = True
    in_band, inside = own & (distance > radius - band), distance <= radius
    for side in (inside, ~inside):
        within &= np.bincount(spot[in_band & side], minlength=len(spots)) >= MIN_CELLS
    in_band &= within[spot]
    cell, spot, inside = cell[in_band], spot[in_band], inside[in_band]
    offset = (cells.data[cell] - spots[spot]) / rim
    design = np.column_stack([inside, np.ones(len(cell)), offset])
    # Least squares: with the design X of a spot's cells, the weights of the step are the first row of (XᵀX)⁻¹Xᵀ.
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
