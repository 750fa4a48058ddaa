"""Read a Xenium section as the instrument leaves it."""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike

from stsr.arguments import MIN_QV
from stsr.options import Number
from stsr.pp._alignment import apply, read_alignment
from stsr.pp._folder import as_folder, contents
from stsr.pp._reading import find_fullres, name_section
from stsr.pp.from_transcripts import from_transcripts
from stsr.pp.make_grid import check_bin_size
from stsr.spatial.store import check_vacant
from stsr.spatial.unreadable import FOREIGN

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

SPECS, MOLECULES = "experiment.xenium", "transcripts.parquet"
FILES = (SPECS, MOLECULES, "cells.parquet", "cells.zarr.zip", "cell_feature_matrix.h5")
IMAGE, ALIGNMENT = "*he_image.ome.tif", "*he_imagealignment.csv"
COLUMNS = ("x_location", "y_location", "z_location", "feature_name", "cell_id")

VERSIONS = range(1, 5)
"""Major versions of the instrument's software whose folders the reader knows."""


PIXEL_SIZE = Number(0.01, 10)
"""µm per pixel that a morphology image can have."""


def read_xenium(
    path: str | os.PathLike[str],
    *,
    fullres_image: str | os.PathLike[str] | Any | None = None,
    alignment: str | os.PathLike[str] | ArrayLike | None = None,
    bin_size: float = 16.0,
    min_qv: float | None = 20,
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Read a Xenium section with its H&E, bin its transcripts into squares, and keep it in a zarr store.

    The H&E is brought in by the alignment file, which also gives its µm per pixel; all elements are registered in
    pixels of the H&E. The squares are the section's spots, counted from single transcripts and not from segmented
    cells; see :func:`stsr.pp.from_transcripts` for what they cover. Control probes and codewords are in the transcripts
    but not in the counts. The morphology images and the outlines of cells and nuclei are left out.

    Parameters
    ----------
    path
        The folder with ``experiment.xenium``.
    fullres_image
        The H&E: TIFF (any kind), PNG or JPEG, relative to the working directory or to ``path``; or an array, as of
        :func:`stsr.pp.from_image`. The folder's ``*he_image.ome.tif`` when None.
    alignment
        (3, 3) affine from pixels of the H&E to pixels of the morphology image, or a CSV file that holds it, as Xenium
        Explorer exports it; relative to the working directory or to ``path``. The folder's ``*he_imagealignment.csv``
        when None.
    bin_size
        Side of the squares in µm, 2 to 100.
    min_qv
        Least quality of a transcript; 20 is the vendor's own threshold. None counts every transcript.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system; the folder's name when None (its parent's for ``outs``).
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store: the image ``{dataset_id}_full_image`` (a pyramid), the squares
    ``{dataset_id}_square_016um`` and their counts ``square_016um``; the points ``transcripts``; the discs
    ``cell_circles`` and the vendor's counts ``cells`` that annotate them; and the record ``attrs["stsr"]``.

    Raises
    ------
    FileNotFoundError
        When ``path`` lacks a file; the message lists what was looked for.
    ValueError
        When the version of the software is unknown, when transcripts have no coordinates or no quality, when
        ``alignment`` is no affine, distorts, or does not lay the H&E on the section, or when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import stsr
    >>> folder = tempfile.TemporaryDirectory()
    >>> image = stsr.datasets.write_xenium_folder(
    ...     folder.name,
    ...     xy=np.random.default_rng(0).uniform(0, 100, (500, 2)),
    ...     features=["UMOD", "NegControlProbe_00042"] * 250,
    ...     genes=["UMOD"],
    ...     cells=[[30, 40], [70, 60]],
    ...     image=np.full((224, 224, 3), 230, dtype=np.uint8),
    ...     alignment=np.diag([0.5 / 0.2125, 0.5 / 0.2125, 1]),
    ... )
    >>> sdata = stsr.pp.read_xenium(folder.name, store=f"{folder.name}/section.zarr", dataset_id="toy")
    >>> sorted(sdata.tables)
    ['cells', 'square_016um']
    >>> int(sdata["square_016um"].X.sum())
    250
    """
    bin_size = check_bin_size(bin_size)
    min_qv = MIN_QV("min_qv", min_qv)
    folder = as_folder(path)
    pixel_size = _check_folder(folder)
    image = find_fullres(folder, _the_one(folder, IMAGE, "fullres_image") if fullres_image is None else fullres_image)
    to_morphology = read_alignment(_the_one(folder, ALIGNMENT, "alignment") if alignment is None else alignment, folder)
    check_vacant(store, overwrite)
    sdata = _read_vendor(folder)
    cells = sdata["cells"]
    cells.obsm["spatial"] = apply(np.linalg.inv(to_morphology), cells.obsm["spatial"] / pixel_size)
    _know_all_genes(sdata)
    return from_transcripts(
        sdata,
        fullres_image=image,
        alignment=to_morphology,
        pixel_size=pixel_size,
        points="transcripts",
        genes=list(cells.var_names),
        bin_size=bin_size,
        min_qv=min_qv,
        store=store,
        dataset_id=name_section(folder, dataset_id),
        overwrite=overwrite,
    )


def _check_folder(folder: Path) -> float:
    """Refuse a folder that is incomplete or of an unknown version; returns µm per pixel of the morphology image."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        others = sorted(path.name for name in missing for path in folder.glob(f"{name.split('.')[0]}.*"))
        there = f" (there are {', '.join(others)}, which do not stand for them)" if others else ""
        raise FileNotFoundError(
            f"path={str(folder)!r} lacks {', '.join(missing)}; looked for {', '.join(FILES)}, as the instrument names "
            f"them{there}. {contents(folder)}"
        )
    specs = _specs(folder)
    version = _version(specs)
    major = re.match(r"[xX]enium-(\d+)\.\d+\.\d+", version)
    if major is None or int(major[1]) not in VERSIONS:
        raise ValueError(
            f"path={str(folder)!r} is of the unknown version {version!r}; versions {VERSIONS[0]} to {VERSIONS[-1]} are "
            f"read, which {SPECS} states like 'xenium-3.0.0.15'."
        )
    if "pixel_size" not in specs:
        raise ValueError(f"{SPECS} in path={str(folder)!r} has no pixel_size; it holds {', '.join(specs)}.")
    columns = _columns(folder)
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(
            f"{MOLECULES} in path={str(folder)!r} has no {', '.join(missing)}; it holds {', '.join(columns)}."
        )
    return PIXEL_SIZE(f"pixel_size of {SPECS}", specs["pixel_size"])


def _specs(folder: Path) -> dict[str, Any]:
    """The instrument's facts about the run."""
    try:
        specs = json.loads((folder / SPECS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{SPECS} in path={str(folder)!r} is no JSON text; copy the folder once more.") from error
    if not isinstance(specs, dict):
        raise ValueError(f"{SPECS} in path={str(folder)!r} holds no names and values; copy the folder once more.")
    return specs


def _columns(folder: Path) -> list[str]:
    """Of the transcripts."""
    from dask.dataframe import read_parquet

    try:
        return list(read_parquet(folder / MOLECULES).columns)
    except (OSError, ValueError) as error:
        raise ValueError(f"{MOLECULES} in path={str(folder)!r} is damaged; copy the folder once more.") from error


def _version(specs: dict[str, Any]) -> str:
    """What wrote the folder: the instrument, or the program that segmented its cells anew."""
    ranger = specs.get("xenium_ranger")
    version = ranger.get("version") if isinstance(ranger, dict) else None
    return str(version or specs.get("analysis_sw_version", ""))


def _the_one(folder: Path, pattern: str, name: str) -> Path:
    """The only file of that pattern in the folder."""
    found = sorted(file for file in folder.glob(pattern) if not file.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"path={str(folder)!r} holds no {pattern}; pass {name}, the file that stands for it.")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ValueError(f"path={str(folder)!r} holds several {pattern}: {names}; pass one of them as {name}.")
    return found[0]


def _read_vendor(folder: Path) -> SpatialData:
    """Transcripts, and cells as discs with their counts."""
    from spatialdata_io import xenium

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        try:
            sdata = xenium(
                folder,
                cells_as_circles=True,
                cells_boundaries=False,
                nucleus_boundaries=False,
                cells_labels=False,
                nucleus_labels=False,
                morphology_mip=False,
                morphology_focus=False,
                aligned_images=False,
            )
        except (*FOREIGN, BadZipFile) as error:
            raise ValueError(
                f"path={str(folder)!r} cannot be read: {', '.join(FILES[2:])} are damaged or not of one run; copy the "
                "folder once more."
            ) from error
    cells = sdata.tables["table"]
    del sdata.tables["table"]
    sdata["cells"] = cells
    return sdata


def _know_all_genes(sdata: SpatialData) -> None:
    """Add the genes of the panel to those that transcripts can be of: one without any was looked for all the same."""
    features = sdata["transcripts"]["feature_name"]
    known = set(features.cat.categories)
    without = [gene for gene in sdata["cells"].var_names if gene not in known]
    if without:
        sdata["transcripts"]["feature_name"] = features.cat.add_categories(without)
        logger.info("%d genes of the panel have no transcript: %s, ...", len(without), ", ".join(without[:3]))
