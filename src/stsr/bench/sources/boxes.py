"""Boxes of sections: image, spots and true bins of a part of a section, in a folder of their own that the bench reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.bench.files import read_json, write_json
from stsr.bench.sources.base import Genes, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from stsr.imaging.raster import Raster

BOX = "box:"
"""Prefix of the argument of a box."""

IMAGE, SPOTS, TRUE_BINS, GENES, FACTS = "he.tif", "spots.h5ad", "truth.h5ad", "genes.txt", "facts.json"
"""Files of a box. The last is written last."""

MPP = 2.0
"""µm per pixel of its image, or those of the section where these are coarser."""

Corners = tuple[float, float, float, float]
"""(left, top, right, bottom) in µm."""


@dataclass(frozen=True)
class Box(Source):
    """A section, or a part of one, as :meth:`WholeSection.write` leaves it.

    Parameters
    ----------
    folder
        Where it lies.
    """

    folder: Path

    @classmethod
    def find(cls, argument: str) -> Box:
        """The section behind ``box:FOLDER``."""
        folder = Path(argument.removeprefix(BOX))
        if (facts := read_json(folder / FACTS)) is None:
            raise ValueError(
                f"section={argument!r} must be {BOX}FOLDER with a folder that stsr.bench.sources.boxes wrote."
            )
        return cls(facts["name"], argument, folder)

    @property
    def has_truth(self) -> bool:  # type: ignore[override]
        """Whether there are true bins."""
        return (self.folder / TRUE_BINS).is_file()

    @property
    def bin_size(self) -> float:  # type: ignore[override]
        """That of the section it was made of."""
        return float(self._facts["bin_size"])

    @property
    def scales(self) -> tuple[float, ...]:  # type: ignore[override]
        """Those of the section it was made of."""
        return tuple(self._facts["scales"])

    @property
    def files(self) -> list[Path]:
        """All of the folder."""
        return sorted(file for file in self.folder.iterdir() if file.is_file())

    @property
    def genes(self) -> Genes:
        """Those of the folder."""
        return (self.folder / GENES).read_text(encoding="utf-8").split()

    @property
    def mpp(self) -> float:
        """µm per pixel of its image."""
        return float(self._facts["mpp"])

    @property
    def _facts(self) -> dict[str, Any]:
        return read_json(self.folder / FACTS)

    def picture(self) -> NDArray[np.uint8]:
        """(height, width, 3) its image."""
        from PIL import Image

        with Image.open(self.folder / IMAGE) as picture:
            return np.asarray(picture.convert("RGB"))

    def read(self, store: Path) -> SpatialData:
        """Read the spots and the image."""
        import anndata

        from stsr.pp.from_anndata import from_anndata

        return from_anndata(
            anndata.read_h5ad(self.folder / SPOTS),
            fullres_image=self.picture(),
            store=store,
            dataset_id=self.dataset_id,
            mpp=self.mpp,
            spot_diameter=self._facts["diameter"],
            overwrite=True,
        )

    def bins(self, sdata: SpatialData) -> AnnData | None:
        """Rows, columns and centroids of the true bins."""
        import anndata

        if not self.has_truth:
            return None
        truth = anndata.read_h5ad(self.folder / TRUE_BINS)
        return anndata.AnnData(obs=truth.obs, obsm=dict(truth.obsm))

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData | None:
        """The true bins with their counts."""
        import anndata

        return anndata.read_h5ad(self.folder / TRUE_BINS)[:, genes].copy() if self.has_truth else None


@dataclass(frozen=True, eq=False)
class WholeSection:
    """A section in memory, read once however many boxes are written of it.

    Parameters
    ----------
    source
        The section.
    raster
        Its image.
    spots
        Table of the spots, with raw counts as ``X``.
    xy
        (spots, 2) centres in µm.
    diameter
        Of a spot, in µm.
    genes
        The genes to score.
    truth
        Counts of these in the true bins; None without truth.
    mpp
        µm per pixel of the bins' centres.
    """

    source: Source
    raster: Raster
    spots: AnnData
    xy: NDArray[np.float64]
    diameter: float
    genes: list[str]
    truth: AnnData | None
    mpp: float

    @classmethod
    def read(cls, source: Source, store: Path, *, genes: int) -> WholeSection:
        """Read a section.

        Parameters
        ----------
        source
            The section.
        store
            Where its store is made; it must stay until the last box is written.
        genes
            How many, at most: every n-th of the source's own list, or the most variable.
        """
        from stsr.pp.select_genes import select_genes
        from stsr.spatial import raw_counts, read_raster, spot_positions, spots_record

        sdata = source.read(store)
        facts = spots_record(sdata)
        table = sdata.tables[facts.table]
        names = select_genes(sdata, source.genes)
        names = names[:: max(1, len(names) // genes)][:genes]
        spots = table.copy()
        spots.X = raw_counts(table, name=facts.table)
        return cls(
            source=source,
            raster=read_raster(sdata, facts.image),
            spots=spots,
            xy=spot_positions(sdata, table, facts),
            diameter=facts.spot_size,
            genes=names,
            truth=source.truth(sdata, names) if source.has_truth else None,
            mpp=facts.mpp,
        )

    @property
    def pixel(self) -> float:
        """µm per pixel of the images of boxes."""
        return max(MPP, self.raster.mpp)

    def write(self, folder: Path, *, name: str, box: Corners | None = None) -> None:
        """Write the section or a part of it, as :class:`Box` reads it.

        Parameters
        ----------
        folder
            Where to write.
        name
            What tables call it.
        box
            What to take; all when None. Spots count that lie wholly inside.
        """
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        size = np.array(self.raster.levels[0][0].shape[:0:-1]) * self.raster.mpp
        low, high = (np.zeros(2), size) if box is None else np.array(box, dtype=float).reshape(2, 2)
        mpp, reach = self.pixel, self.diameter / 2
        frame = np.array([[mpp, 0, low[0]], [0, mpp, low[1]], [0, 0, 1]])
        width, height = np.floor((high - low) / mpp + 1e-6).astype(int).tolist()
        Image.fromarray(self.raster.read(frame, (height, width))).save(folder / IMAGE)
        (folder / GENES).write_text("\n".join(self.genes) + "\n", encoding="utf-8")
        high = low + np.array([width, height]) * mpp
        inside = within(self.xy, low + reach, high - reach)
        _write(self.spots[inside], (self.xy[inside] - low) / mpp, folder / SPOTS)
        if self.truth is not None:
            place = self.truth.obsm["spatial"] * self.mpp
            kept = within(place, low, high)
            _write(self.truth[kept], (place[kept] - low) / mpp, folder / TRUE_BINS)
        facts = {
            "name": name,
            "mpp": mpp,
            "diameter": self.diameter,
            "bin_size": self.source.bin_size,
            "scales": self.source.scales,
        }
        write_json(folder / FACTS, facts)


def write_section(source: Source, folder: Path, *, box: Corners | None = None, genes: int = 60) -> None:
    """Write a section, or a box of it, as :class:`Box` reads it, unless it is there.

    Parameters
    ----------
    source
        The section.
    folder
        Where to write; what is there stays.
    box
        What to take; all when None.
    genes
        How many, at most: every n-th of the source's own list, or the most variable.
    """
    import tempfile

    if (folder / FACTS).is_file():
        return
    with tempfile.TemporaryDirectory() as work:
        whole = WholeSection.read(source, Path(work, "section.zarr"), genes=genes)
        whole.write(folder, name=source.name.replace("/", "_"), box=box)


def within(xy: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) those of (n, 2) places that lie between two corners or on them."""
    return np.asarray(((xy >= low) & (xy <= high)).all(axis=1))


def _write(table: AnnData, pixels: NDArray[np.float64], path: Path) -> None:
    """Counts, rows and columns, and places of a table, and nothing else."""
    import scipy.sparse as sp
    from anndata import AnnData

    bare = AnnData(sp.csr_matrix(table.X, dtype=np.float32), obs=table.obs[["array_row", "array_col"]].astype(int))
    bare.var_names = table.var_names
    bare.obsm["spatial"] = pixels
    bare.write_h5ad(path)
