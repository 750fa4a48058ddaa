"""Several sections as one slide, so that a method learns from all of them without knowing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Aperture, Grid, Square
from stsr.section import Section
from stsr.section_names import unique_names

SAME = 0.01
"""Relative difference between two sizes in µm that is none."""

GAP_CELLS, GAP_PITCHES = 64, 8
"""Least distance between two sections, in cells and in pitches: the spots nearest to a cell are those of its section."""


def join(sections: Sequence[Section]) -> Section:
    r"""The sections on one grid, below one another.

    What a method compares stays as it was: a spot keeps its place among its cells, a cell its features and the picture
    around it, and sections are so far apart that none has neighbours in another. Rotation and flips of the grids are
    undone. The cells come section by section.

    A section that was sequenced deeper does not look richer: the counts and the library of each are multiplied by
    :math:`\bar L / L`, with :math:`L` its median library and :math:`\bar L` the geometric mean of those of all. What is
    learned is on that common scale, and counts are no longer whole numbers.

    Every spot keeps the names of its section and patient and its place on the array; names of sections are made unique by
    ``stsr.section_names.unique_names``.

    Parameters
    ----------
    sections
        With the same genes and features, what their spots cover, and cells of one size. One alone is given back.

    Raises
    ------
    ValueError
        When a section has no spots, or differs from the first; the message says which and in what.
    """
    first = sections[0]
    if len(sections) == 1:
        return first
    for number, section in enumerate(sections, 1):
        _check(section, first, number)
    bin_size = first.grid.bin_size
    gap = max(GAP_CELLS, int(np.ceil(GAP_PITCHES * max(section.pitch for section in sections) / bin_size)))
    places, rows = [], 0
    for section in sections:
        places.append(_Place.below(rows, section, gap))
        rows = places[-1].stop
    grid = Grid(np.diag([bin_size, bin_size, 1.0]), _mask(places, rows - gap))
    common = np.exp(np.mean([np.log(section.depth) for section in sections]))
    even = [section.scaled(common / section.depth) for section in sections]
    return Section(
        genes=first.genes,
        spots=np.vstack([grid.to_um(place.index(place.section.spots)) for place in places]),
        aperture=_turned(first.aperture, first.grid),
        counts=sp.csr_array(sp.vstack([section.counts for section in even], format="csr")),
        library=np.concatenate([section.library for section in even]),
        grid=grid,
        features=None
        if first.features is None
        else _Features(tuple(places), (first.n_features, *grid.shape), first.features.dtype),
        image=None if first.image is None else _Pictures(tuple(places), grid),
        section_name=np.concatenate(unique_names(sections)),
        patient=np.concatenate([section.spot_patient for section in sections]),
        array_rowcol=_arrays(sections),
    )


def _arrays(sections: Sequence[Section]) -> NDArray[np.int64] | None:
    """(spots, 2) row and column on the arrays; None unless all sections have them."""
    arrays = [section.array_rowcol for section in sections if section.array_rowcol is not None]
    return np.concatenate(arrays) if len(arrays) == len(sections) else None


@dataclass(frozen=True, eq=False)
class _Place:
    """A section whose grid begins at row ``top`` of the joined one; from row ``stop`` on there is room for the next."""

    section: Section
    top: int
    stop: int

    @classmethod
    def below(cls, row: int, section: Section, gap: int) -> _Place:
        """From ``row`` on, as many as its grid and its spots take, and the gap after them."""
        spots = section.grid.to_index(section.spots)[:, 1]
        above = max(0, -int(np.floor(spots.min())))
        height = max(section.grid.shape[0], int(np.ceil(spots.max())))
        return cls(section, row + above, row + above + height + gap)

    @property
    def rows(self) -> slice:
        """The rows of its grid."""
        return slice(self.top, self.top + self.section.grid.shape[0])

    def index(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2) in µm of the section to (col, row) of the joined grid."""
        return self.section.grid.to_index(xy) + (0, self.top)

    def within(self, rows: slice) -> tuple[slice, slice]:
        """Which rows of a band lie on its grid, counted in the band, and on the grid."""
        low, high = max(rows.start, self.rows.start), min(rows.stop, self.rows.stop)
        high = max(low, high)
        return slice(low - rows.start, high - rows.start), slice(low - self.top, high - self.top)


@dataclass(frozen=True, eq=False)
class _Features:
    """Features of all sections as one raster (features, rows, cols), read a window at a time; 0 between sections."""

    places: tuple[_Place, ...]
    shape: tuple[int, int, int]
    dtype: np.dtype

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        features, rows, cols = (slice(*part.indices(size)[:2]) for part, size in zip(key, self.shape, strict=True))
        window = np.zeros([max(0, part.stop - part.start) for part in (features, rows, cols)], dtype=self.dtype)
        for place in self.places:
            here, own = place.within(rows)
            if own.start < own.stop:
                part = place.section.feature_window(own, cols)[features]
                window[:, here, : part.shape[2]] = part
        return window


@dataclass(frozen=True, eq=False)
class _Pictures:
    """The H&E of all sections as one: each shows its own rows, and half of the gaps around, as if it were alone."""

    places: tuple[_Place, ...]
    grid: Grid

    @property
    def mpp(self) -> float:
        """That of the finest."""
        return min(place.section.raster.mpp for place in self.places)

    def read(self, affine: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """A window along the axes of the joined grid; see :meth:`stsr.imaging.raster.Raster.read`."""
        to_index = np.linalg.inv(self.grid.affine) @ affine
        row = to_index[1, 1] * (np.arange(shape[0]) + 0.5) + to_index[1, 2]
        middles = [
            (before.rows.stop + after.rows.start) / 2
            for before, after in zip(self.places, self.places[1:], strict=False)
        ]
        owner = np.searchsorted(middles, row, side="right")
        window = np.empty((*shape, 3), dtype=np.uint8)
        for number in np.unique(owner):
            owned = np.flatnonzero(owner == number)
            first, last = int(owned[0]), int(owned[-1])
            place = self.places[number]
            shift = np.array([[1, 0, 0], [0, 1, -place.top], [0, 0, 1.0]]) @ to_index
            down = np.array([[1, 0, 0], [0, 1, first], [0, 0, 1.0]])
            own = place.section.grid.affine @ shift @ down
            window[first : last + 1] = place.section.raster.read(own, (last + 1 - first, shape[1]))
        return window


def _mask(places: Sequence[_Place], rows: int) -> NDArray[np.bool_]:
    """(rows, cols) all cells on tissue."""
    mask = np.zeros((rows, max(place.section.grid.shape[1] for place in places)), dtype=bool)
    for place in places:
        own = place.section.grid.mask
        mask[place.rows, : own.shape[1]] = own
    return mask


def _turned(aperture: Aperture, grid: Grid) -> Aperture:
    """What a spot covers in index space of a grid, still in µm."""
    if not isinstance(aperture, Square):
        return aperture
    side = np.array([np.cos(aperture.angle), np.sin(aperture.angle)])
    x, y = np.linalg.inv(grid.affine[:2, :2]) @ side
    return replace(aperture, angle=_least_turn(float(np.arctan2(y, x))))


def _least_turn(angle: float) -> float:
    """The smallest angle by which a square is turned in the same way: a quarter turn changes nothing."""
    return angle - np.pi / 2 * round(angle / (np.pi / 2))


def _check(section: Section, first: Section, number: int) -> None:
    """Refuse a section that cannot be joined to the first."""

    def same(size: Callable[[Section], float]) -> bool:
        return abs(size(section) / size(first) - 1) <= SAME

    def shape(one: Section) -> tuple[type, float]:
        aperture = _turned(one.aperture, one.grid)
        return type(aperture), aperture.angle if isinstance(aperture, Square) else 0.0

    if not len(section.spots):
        raise ValueError(f"section {number} has no spots to learn from; leave it out and predict it afterwards.")
    if section.genes != first.genes:
        raise ValueError(f"section {number} has other genes than the first; read all sections with the same genes.")
    if not same(lambda s: s.grid.bin_size):
        raise ValueError(
            f"section {number} has cells of {section.grid.bin_size:.4g} µm, the first of {first.grid.bin_size:.4g} µm; "
            "make their grids with the same bin_size."
        )
    if shape(section)[0] is not shape(first)[0] or not same(lambda s: s.aperture.area):
        raise ValueError(
            f"section {number} has spots of {_told(section.aperture)}, the first of {_told(first.aperture)}; join sections "
            "of one platform."
        )
    turn = shape(section)[1] - shape(first)[1]
    if abs(_least_turn(turn)) > SAME:
        raise ValueError(
            f"section {number} has bins at another angle to its grid than the first; lay it like the bins."
        )
    if (section.features is None) != (first.features is None) or (
        section.features is not None and section.n_features != first.n_features
    ):
        raise ValueError(f"section {number} has other features than the first; extract them with the same encoder.")
    if (section.image is None) != (first.image is None):
        raise ValueError(f"section {number} has {'no' if section.image is None else 'an'} image, unlike the first.")


def _told(aperture: Aperture) -> str:
    return f"{aperture.side:.4g} µm squares" if isinstance(aperture, Square) else f"{aperture.diameter:.4g} µm discs"
