"""A child process of the bench: read a source into a store, with the image, grid and features that all methods share."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.bench.cost import Clock
from stsr.bench.files import GENES, GRID, PREPARED, STORE, TRUTH, read_json, write_json
from stsr.bench.sources.base import Genes
from stsr.bench.sources.find import find_sources
from stsr.bench.sources.shuffled_image import shuffle_image
from stsr.constants import ATTRS

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

IMAGE_FACTS = ("tissue_detector", "spots_off_tissue_by_image", "spots_off_tissue_by_detector")
"""Facts about the image that are kept with the section."""


@dataclass(frozen=True)
class PrepareJob:
    """Input of the child process, passed as JSON.

    Parameters
    ----------
    argument, section
        What :func:`~stsr.bench.sources.find.find_sources` finds the section by, and its name.
    genes
        Names of the genes to score, how many, or ``"all"``.
    shuffled
        Permute the blocks of the image.
    encoder, device
        Encoder of the features, and where it runs.
    fingerprint
        What the result depends on.
    folder
        Where the result goes.
    """

    argument: str
    section: str
    genes: Genes
    shuffled: bool
    encoder: str
    device: str
    fingerprint: str
    folder: str

    def content(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)


def prepare(job: PrepareJob) -> None:
    """Read, calibrate, make the grid and extract features with time and memory measured, then write the true counts."""
    from stsr.pp.calibrate_image import calibrate_image
    from stsr.pp.extract_features import extract_features
    from stsr.pp.make_grid import make_grid
    from stsr.pp.select_genes import select_genes
    from stsr.spatial import labels_to_grid, spots_record

    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = next(source for source in find_sources(job.argument) if source.name == job.section)
    clock = Clock()
    sdata = source.read(folder / STORE)
    if isinstance(job.genes, list):
        select_genes(sdata, job.genes)  # an unknown gene is an error now, not after minutes
    calibrate_image(sdata)
    if job.shuffled:
        shuffle_image(sdata)
    bins = source.bins(sdata)
    make_grid(sdata, bin_size=source.bin_size, like=bins, key_added=GRID)
    extract_features(sdata, grid=GRID, encoder=job.encoder, device=job.device, progress=False)
    cost = clock.read()

    genes = select_genes(sdata, job.genes)
    (folder / GENES).write_text("\n".join(genes) + "\n", encoding="utf-8")
    facts = spots_record(sdata)
    imprint = None
    if (truth := source.truth(sdata, genes)) is not None:
        truth.uns = {}
        truth.write_h5ad(folder / TRUTH)
        imprint = None if source.relative else truth_imprint(sdata, truth)
    cells = labels_to_grid(sdata, GRID)
    write_json(
        folder / PREPARED,
        {
            "fingerprint": job.fingerprint,
            "spots": sdata.tables[facts.table].n_obs,
            "cells": cells.n_cells,
            "bin_size": round(cells.bin_size, 3),
            "mpp": round(facts.mpp, 4),
            "genes": len(genes),
            "relative": source.relative,
            "scales": source.scales,
            "imprint": imprint,
            "image_qc": {
                name: value for name, value in sdata.attrs[ATTRS].get("image_qc", {}).items() if name in IMAGE_FACTS
            },
            **cost,
        },
    )


def truth_imprint(sdata: SpatialData, truth: AnnData) -> dict[str, float] | None:
    """Lattice imprint of the spots in the true counts, as a reference: these do not depend on where spots lie.

    Returns
    -------
    ``mean`` over genes, and ``p`` of all together; None when there are too few spots.
    """
    import numpy as np

    # stsr.tl is not used: its code imports the methods, and would make the prepared section depend on them.
    from stsr.metrics.lattice_imprint import LatticeImprint, lattice_imprint
    from stsr.spatial import record
    from stsr.spatial.bins import bin_grid
    from stsr.spatial.spot_lattice import section_edges

    bins, position = bin_grid(truth, record(sdata).mpp, name="truth")
    edges = section_edges(sdata, bins.xy[position], bins.bin_size)
    genes = (truth.X[:, [gene]].toarray() for gene in range(truth.n_vars))
    found = LatticeImprint.join([lattice_imprint(counts.astype(np.float32), edges) for counts in genes])
    return {"mean": float(np.nanmean(found.imprint)), "p": found.p_all} if np.isfinite(found.p_all) else None


if __name__ == "__main__":
    prepare(PrepareJob(**read_json(Path(sys.argv[1]))))
