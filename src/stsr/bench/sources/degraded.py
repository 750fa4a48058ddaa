"""Sections with a degraded image, to test the whole pipeline on slides of poor quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.bench.files import write_json
from stsr.bench.sources.base import Genes, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

IMAGE, SPOTS, TRUE_BINS, GENES, FACTS = "he.tif", "spots.h5ad", "truth.h5ad", "genes.txt", "facts.json"
"""Files of a section before its image is degraded."""

MPP = 2.0
"""µm per pixel of that image, unless the source image is coarser."""

DEGRADED = "degraded:"
"""Prefix of the argument of such a section."""

NONE = "none"
"""Name of the distortion, and of the severity, of the original image."""


@dataclass(frozen=True)
class Degraded(Source):
    """A section from :func:`write_section`, with one of :data:`stsr.datasets.distortions.DISTORTIONS` on its image.

    Parameters
    ----------
    folder
        Folder with the section.
    distortion, severity
        Name of the distortion of its image, and how strong it is; ``"none"`` for the original image.
    """

    folder: Path
    distortion: str
    severity: str

    @classmethod
    def find(cls, argument: str) -> Degraded:
        """The section behind ``degraded:DISTORTION:SEVERITY:FOLDER``."""
        from stsr.bench.files import read_json
        from stsr.datasets.distortions import DISTORTIONS, SEVERITIES

        _, distortion, severity, place = (argument.split(":", 3) + [""] * 3)[:4]
        known = {(NONE, NONE), *((name, bad) for name in DISTORTIONS for bad in SEVERITIES)}
        facts = read_json(Path(place) / FACTS) if place else None
        if (distortion, severity) not in known or facts is None:
            raise ValueError(
                f"section={argument!r} must be {DEGRADED}DISTORTION:SEVERITY:FOLDER with a folder that "
                f"benchmarks/degradation.py made, {' or '.join(SEVERITIES)}, and one of {', '.join(DISTORTIONS)}."
            )
        return cls(f"{facts['name']}/{distortion}_{severity}", argument, Path(place), distortion, severity)

    @property
    def has_truth(self) -> bool:  # type: ignore[override]
        """Whether there are true bins."""
        return (self.folder / TRUE_BINS).is_file()

    @property
    def bin_size(self) -> float:  # type: ignore[override]
        """Bin size of the section it was made from."""
        return float(self._facts["bin_size"])

    @property
    def scales(self) -> tuple[float, ...]:  # type: ignore[override]
        """Scales of the section it was made from."""
        return tuple(self._facts["scales"])

    @property
    def files(self) -> list[Path]:
        """All files of the folder."""
        return sorted(file for file in self.folder.iterdir() if file.is_file())

    @property
    def genes(self) -> Genes:
        """The gene list of the folder."""
        return (self.folder / GENES).read_text(encoding="utf-8").split()

    @property
    def _facts(self) -> dict:
        from stsr.bench.files import read_json

        return read_json(self.folder / FACTS)

    def read(self, store: Path) -> SpatialData:
        """Distort the image, and read it with the spots."""
        import tempfile

        import anndata
        from PIL import Image

        from stsr.datasets.distortions import DISTORTIONS
        from stsr.pp.from_anndata import from_anndata

        facts = self._facts
        with Image.open(self.folder / IMAGE) as picture:
            image = np.asarray(picture.convert("RGB"))
        if self.distortion != NONE:
            image = DISTORTIONS[self.distortion](image, facts["mpp"], self.severity, 0)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as work:
            Image.fromarray(np.asarray(image)).save(Path(work, IMAGE))
            return from_anndata(
                anndata.read_h5ad(self.folder / SPOTS),
                fullres_image=Path(work, IMAGE),
                store=store,
                dataset_id=self.dataset_id,
                mpp=facts["mpp"],
                spot_diameter=facts["diameter"],
                overwrite=True,
            )

    def truth(self, sdata: SpatialData, genes: list[str]) -> AnnData | None:
        """The true bins of the folder. The grid covers the detected tissue, not these bins."""
        import anndata

        return anndata.read_h5ad(self.folder / TRUE_BINS)[:, genes].copy() if self.has_truth else None


def write_section(
    source: Source, folder: Path, *, box: tuple[float, float, float, float] | None = None, genes: int = 60
) -> None:
    """Write a section, or a box of it, as :class:`Degraded` reads it.

    Parameters
    ----------
    source
        The section.
    folder
        Where to write; what is there stays.
    box
        (left, top, right, bottom) in µm; all when None.
    genes
        How many, at most: every n-th of the source's own list, or the most variable.
    """
    import tempfile

    from PIL import Image

    from stsr.pp.select_genes import select_genes
    from stsr.spatial import raw_counts, read_raster, spot_positions, spots_record

    if (folder / FACTS).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        sdata = source.read(Path(work, "section.zarr"))
        facts = spots_record(sdata)
        raster, table = read_raster(sdata, facts.image), sdata.tables[facts.table]
        size = np.array(raster.levels[0][0].shape[:0:-1]) * raster.mpp
        low, high = (np.zeros(2), size) if box is None else np.array(box, dtype=float).reshape(2, 2)
        mpp = max(MPP, raster.mpp)
        frame = np.array([[mpp, 0, low[0]], [0, mpp, low[1]], [0, 0, 1]])
        width, height = np.floor((high - low) / mpp).astype(int).tolist()
        Image.fromarray(raster.read(frame, (height, width))).save(folder / IMAGE)

        names = select_genes(sdata, source.genes)
        names = names[:: max(1, len(names) // genes)][:genes]
        (folder / GENES).write_text("\n".join(names) + "\n", encoding="utf-8")
        xy, reach = spot_positions(sdata, table, facts), facts.spot_size / 2
        inside = _within(xy, low + reach, low + np.array([width, height]) * mpp - reach)
        _write(table[inside], raw_counts(table, name=facts.table)[inside], (xy[inside] - low) / mpp, folder / SPOTS)
        if source.has_truth and (truth := source.truth(sdata, names)) is not None:
            place = truth.obsm["spatial"] * facts.mpp
            kept = _within(place, low, low + np.array([width, height]) * mpp)
            _write(truth[kept], truth[kept].X, (place[kept] - low) / mpp, folder / TRUE_BINS)
    write_json(
        folder / FACTS,
        {
            "name": source.name.replace("/", "_"),
            "mpp": mpp,
            "diameter": facts.spot_size,
            "bin_size": source.bin_size,
            "scales": source.scales,
        },
    )


def _within(xy: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(((xy >= low) & (xy <= high)).all(axis=1))


def _write(table: AnnData, counts: object, pixels: NDArray[np.float64], path: Path) -> None:
    """Write only counts, rows and columns, and positions of a table."""
    import scipy.sparse as sp
    from anndata import AnnData

    bare = AnnData(sp.csr_matrix(counts, dtype=np.float32), obs=table.obs[["array_row", "array_col"]].astype(int))
    bare.var_names = table.var_names
    bare.obsm["spatial"] = pixels
    bare.write_h5ad(path)
