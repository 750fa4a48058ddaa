"""The arrays-only view of one tissue section: the one door between SpatialData and the numeric rooms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.geometry import Aperture, Grid, covered_share, footprint, nearest_pitch


class Picture(Protocol):
    """An RGB image that is read window by window in µm, as :class:`stsr.imaging.raster.Raster` is."""

    @property
    def mpp(self) -> float:
        """µm per pixel at its finest."""
        ...

    def read(self, affine: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
        """(height, width, 3) of a window, whose (3, 3) affine goes from its pixel corners (col, row) to µm."""
        ...


@dataclass(frozen=True, eq=False)
class Section:
    """What a method gets to see of a section.

    Parameters
    ----------
    genes
        Names of the genes, in the order of the columns of ``counts``.
    spots
        (spots, 2) spot centres in µm, the frame of ``grid``; none where nothing was measured and all is to be predicted.
    aperture
        What each spot measures around its centre: the disc of a printed spot, or the square of a bin.
    counts
        (spots, genes) raw UMI counts, sparse float32.
    library
        (spots,) UMI counts of each spot over all genes measured, chosen or not.
    grid
        The cells to predict.
    features
        (features, rows, cols) raster on the grid, sliceable (numpy, zarr or dask); None when no encoder was run.
    image
        The calibrated H&E; None when the section has none.
    section_name
        Name of the section that the spots are from: one for all, or (spots,) where several sections were joined; ``""`` when
        it is not known.
    patient
        Name of the patient that the spots are from, likewise.
    array_rowcol
        (spots, 2) row and column of each spot on the array that it was printed on; None when the platform has none.

    Raises
    ------
    ValueError
        When the arrays do not have an entry for each spot, or features not one for each cell.

    Examples
    --------
    >>> from stsr.geometry import Disc
    >>> grid = Grid(np.diag([8.0, 8.0, 1.0]), np.ones((10, 10), dtype=bool))
    >>> centres, counts = np.array([[20.0, 20.0], [60.0, 20.0]]), sp.csr_array([[3.0], [5.0]], dtype=np.float32)
    >>> names = np.array(["P1", "P2"])
    >>> section = Section(("ERBB2",), centres, Disc(30.0), counts, np.array([3.0, 5.0]), grid, patient=names)
    >>> section.subset(section.spot_patient == "P2").counts.toarray()
    array([[5.]], dtype=float32)
    """

    genes: tuple[str, ...]
    spots: NDArray[np.float64]
    aperture: Aperture
    counts: sp.csr_array
    library: NDArray[np.float64]
    grid: Grid
    features: Any | None = None
    image: Picture | None = None
    section_name: str | NDArray[np.str_] = ""
    patient: str | NDArray[np.str_] = ""
    array_rowcol: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.counts.shape != (len(self.spots), len(self.genes)):
            raise ValueError(
                f"counts must be (spots, genes) = {(len(self.spots), len(self.genes))}, got {self.counts.shape}."
            )
        if self.features is not None and self.features.shape[1:] != self.grid.shape:
            raise ValueError(f"features lie on {self.features.shape[1:]} cells, the grid has {self.grid.shape}.")
        for name in ("section_name", "patient"):
            names = getattr(self, name)
            if not isinstance(names, str) and np.shape(names) != (len(self.spots),):
                raise ValueError(
                    f"{name} must be one name or one for each of {len(self.spots)} spots, got shape {np.shape(names)}."
                )
        if self.array_rowcol is not None and self.array_rowcol.shape != (len(self.spots), 2):
            raise ValueError(
                f"array_rowcol must be (spots, 2) = {(len(self.spots), 2)}, got {self.array_rowcol.shape}."
            )

    @cached_property
    def spot_section(self) -> NDArray[np.str_]:
        """(spots,) name of the section that each spot is from; ``""`` when it is not known."""
        return np.broadcast_to(np.asarray(self.section_name, dtype=np.str_), len(self.spots))

    @cached_property
    def spot_patient(self) -> NDArray[np.str_]:
        """(spots,) name of the patient that each spot is from; ``""`` when it is not known."""
        return np.broadcast_to(np.asarray(self.patient, dtype=np.str_), len(self.spots))

    @cached_property
    def footprint(self) -> sp.csr_array:
        """(spots, cells) share of each cell under each spot: ``footprint @ cells`` sums a spot."""
        return footprint(self.grid, self.spots, self.aperture)

    @cached_property
    def covered(self) -> NDArray[np.float32]:
        """(spots,) share of what each spot covers that lies on cells: 1 but at the border of the tissue."""
        return covered_share(self.grid, self.spots, self.aperture, self.footprint)

    @cached_property
    def spot_cells(self) -> float:
        """Number of cells in a whole spot: its area over theirs."""
        return self.aperture.area / self.grid.bin_size**2

    @cached_property
    def pitch(self) -> float:
        """Distance in µm between neighbouring spots."""
        return nearest_pitch(self.spots)

    @cached_property
    def depth(self) -> float:
        """Median library of the spots, 1 at least, and where there are none."""
        return max(1.0, float(np.median(self.library))) if len(self.spots) else 1.0

    @property
    def n_features(self) -> int:
        """Number of features of a cell."""
        return 0 if self.features is None else self.features.shape[0]

    @property
    def raster(self) -> Picture:
        """The H&E; a section without one is refused."""
        if self.image is None:
            raise ValueError("image is missing from this section; run stsr.pp.calibrate_image first.")
        return self.image

    def cell_features(self, rows: slice) -> NDArray[np.float32]:
        """(cells, features) of a band of rows, in id order."""
        return self.feature_window(rows, slice(None))[:, self.grid.mask[rows]].T.astype(np.float32)

    def feature_window(self, rows: slice, cols: slice) -> NDArray[np.float16]:
        """(features, rows, cols) of a part of the raster."""
        if self.features is None:
            raise ValueError("features are missing from this section; run stsr.pp.extract_features first.")
        return np.asarray(self.features[:, rows, cols])

    def window(
        self, pixels_per_cell: int, rows: slice, cols: slice = slice(None), *, halo: int = 0
    ) -> NDArray[np.uint8]:
        """(height, width, 3) H&E on the grid, ``pixels_per_cell`` pixels to a cell's side."""
        return self.raster.read(*self.grid.pixel_frame(pixels_per_cell, rows, cols, halo=halo))

    def scaled(self, factor: float) -> Section:
        """The same section as if sequenced ``factor`` times as deep: counts are then no whole numbers."""
        return replace(self, counts=sp.csr_array(self.counts * np.float32(factor)), library=self.library * factor)

    def subset(self, spots: NDArray[Any]) -> Section:
        """The same section with only some of its spots (boolean mask or positions)."""
        return replace(
            self,
            spots=self.spots[spots],
            counts=sp.csr_array(self.counts[spots]),
            library=self.library[spots],
            section_name=self.section_name if isinstance(self.section_name, str) else self.section_name[spots],
            patient=self.patient if isinstance(self.patient, str) else self.patient[spots],
            array_rowcol=None if self.array_rowcol is None else self.array_rowcol[spots],
        )
