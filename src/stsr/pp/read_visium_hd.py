"""Read a Visium HD section as Space Ranger leaves it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.constants import microns
from stsr.options import Items, Number
from stsr.pp._folder import Found, as_folder, contents, entries, find
from stsr.pp._hd_bins import FACTORS, read_bins, sources
from stsr.pp._reading import find_fullres, name_section, on_image, unique_symbols, write_section
from stsr.pp._reduced_images import refuse_reduced
from stsr.pp._scale_factors import read_factors
from stsr.spatial.scale import check_mpp, resolve_mpp
from stsr.spatial.store import check_vacant
from stsr.spatial.unreadable import reading

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

BINNED, MICROSCOPE, FEATURE_SLICE = "binned_outputs", "microscope_image", r"feature_slice\.h5"
"""What lies in the folder of a section."""

LAYOUT = "1"
"""Major version of the layout that Space Ranger 3 and 4 write."""


def read_visium_hd(
    path: str | os.PathLike[str],
    *,
    fullres_image: str | os.PathLike[str] | Any | None = None,
    bin_size: float | Sequence[float] = 8,
    store: str | os.PathLike[str],
    dataset_id: str | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
) -> SpatialData:
    """Read a Visium HD section with its full-resolution H&E and keep it in a zarr store.

    Only the bin sizes asked for are read. Each becomes a grid (labels, exactly where the bins are, rotated and flipped as
    they are) and a table with the raw counts that annotates it; no polygons are made. A size that is not in the folder
    but is a whole multiple of one that is gets the exact sums of the finer bins, cut where Space Ranger cuts them.

    µm per pixel comes from the bins: their size over their pitch in full-resolution pixels. It is held against the
    vendor's scale factors and against the resolution that the image file states. Gene symbols that occur twice get
    ``-1``, ``-2``, ... at their end, and ``var["gene_ids"]`` tells them apart. Segmented cells of Space Ranger 4 are left
    out.

    Parameters
    ----------
    path
        Folder with ``binned_outputs/``, usually Space Ranger's ``outs``.
    fullres_image
        The H&E image that Space Ranger was given: TIFF (any kind), PNG or JPEG, relative to the working directory or to
        ``path``; or an array, as of :func:`stsr.pp.from_image`. The one file in ``microscope_image/`` when None.
    bin_size
        Sides of the bins to read in µm. The first are the section's spots, from which methods learn; the others are
        there to predict on (``grid="{dataset_id}_square_002um"``) and as truth.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system; the folder's name when None (its parent's for ``outs``).
    mpp
        µm per pixel of ``fullres_image``, to overrule the derived value; must agree with the bins to 10 %.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store: the image ``{dataset_id}_full_image`` (a pyramid), for each size the labels
    ``{dataset_id}_square_008um`` and the table ``square_008um``, and the record ``attrs["stsr"]``.

    Raises
    ------
    FileNotFoundError
        When ``path`` lacks a file, or ``fullres_image`` is not there.
    ValueError
        When ``path`` is of another platform or in an unknown layout; for a bin size that cannot be had; when a table has
        no bins or no raw counts; when ``fullres_image`` is a reduced image, no H&E, or does not hold the bins; when µm per pixel is
        implausible or its sources contradict each other; when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import stsr
    >>> folder = tempfile.TemporaryDirectory()
    >>> tiff = stsr.datasets.write_visium_hd_folder(
    ...     folder.name,
    ...     counts=np.ones((32 * 32, 2), dtype=int),
    ...     genes=["UMOD", "NPHS2"],
    ...     array_rowcol=np.argwhere(np.ones((32, 32))),
    ...     image=np.full((200, 200, 3), 230, dtype=np.uint8),
    ...     mpp=0.5,
    ...     angle=1.0,
    ... )
    >>> sdata = stsr.pp.read_visium_hd(folder.name, bin_size=(16, 2), store=f"{folder.name}/kidney.zarr")
    >>> {name: table.shape for name, table in sdata.tables.items()}
    {'square_002um': (1024, 2), 'square_016um': (16, 2)}
    >>> sdata.attrs["stsr"]["table"]
    'square_016um'
    """
    from spatialdata import SpatialData

    check_mpp(mpp)
    sizes = _sizes(bin_size)
    folder = as_folder(path)
    binned = _find_bins(folder)
    taken = sources(binned, sizes)
    check_vacant(store, overwrite)
    _tell_layout(folder)
    image = find_fullres(folder, _microscope_image(folder) if fullres_image is None else fullres_image)
    dataset_id = name_section(folder, dataset_id)
    factors = read_factors(binned / f"square_{microns(min(taken.values()))}" / FACTORS)
    refuse_reduced(Found(folder, ""), image, factors, discs=False)

    on_disk = {source: read_bins(binned, source) for source in set(taken.values())}
    bins = [on_disk[source] if size == source else on_disk[source].pooled(size) for size, source in taken.items()]
    unique_symbols(bins[0].genes.index, source=f"path={str(path)!r}")
    bins = [each.subset(on_image(each.grid.xy, each.barcodes, image, few=each is bins[0])) for each in bins]
    spots = bins[0]
    resolved, origin = resolve_mpp(spots.size / spots.grid.bin_size, stated=image.mpp, user=mpp, source="bin")

    regions = {f"{dataset_id}_{each.name}": each for each in bins}
    return write_section(
        SpatialData(
            labels={region: each.labels(dataset_id) for region, each in regions.items()},
            tables={each.name: each.table(region) for region, each in regions.items()},
        ),
        image,
        technology="visium_hd",
        dataset_id=dataset_id,
        mpp=resolved,
        mpp_source=origin,
        spot_size=float(spots.size),
        spots=f"{dataset_id}_{spots.name}",
        table=spots.name,
        store=store,
        overwrite=overwrite,
    )


def _sizes(bin_size: float | Sequence[float]) -> tuple[float, ...]:
    """The sizes asked for; text is none, though it may look like a number."""
    if isinstance(bin_size, Real):
        return (Number()("bin_size", bin_size),)
    return Items(Number(), least=0)("bin_size", bin_size)


def _find_bins(folder: Path) -> Path:
    if any(path.is_dir() for path in folder.glob(f"{BINNED}/square_*um")):
        return folder / BINNED
    if find(folder / "spatial", r"tissue_positions(_list)?\.csv"):
        raise ValueError(f"path={str(folder)!r} holds a Visium section; read it with stsr.pp.read_visium.")
    above = [each for each in (folder.parent, folder.parent.parent) if any(each.glob(f"{BINNED}/square_*um"))]
    hint = f"pass {str(above[0])!r}" if above else "pass the folder that Space Ranger made, usually called outs"
    raise FileNotFoundError(f"path={str(folder)!r} holds no {BINNED}/square_*um; {hint}. {contents(folder)}")


def _microscope_image(folder: Path) -> Path:
    """The one image that Space Ranger was given."""
    images = [path for path in entries(folder / MICROSCOPE) if path.is_file()]
    if not images:
        raise FileNotFoundError(
            f"path={str(folder)!r} holds no image in {MICROSCOPE}; pass fullres_image, the H&E that Space Ranger was given."
        )
    if len(images) > 1:
        names = ", ".join(path.name for path in images)
        raise ValueError(f"fullres_image is None, but {MICROSCOPE} in {str(folder)!r} holds {names}; pass one of them.")
    return images[0]


def _tell_layout(folder: Path) -> None:
    """Say when the folder states a layout that is newer than any known: whether it can be read will show."""
    for found in find(folder, FEATURE_SLICE):
        try:
            layout = _layout(found.path)
        except (ValueError, OSError) as error:
            logger.warning("Passed over, since nothing else is needed of it: %s", error)
            continue
        if layout.split(".")[0] != LAYOUT:
            logger.warning(
                "%s states layout %s; known is %s, as Space Ranger 3 and 4 write it.", found.path.name, layout, LAYOUT
            )


def _layout(file: Path) -> str:
    """The version that the file states."""
    import h5py

    with reading(file, "a feature slice"), h5py.File(file) as opened:
        metadata = json.loads(opened.attrs.get("metadata_json", "{}"))
        return str(json.loads(metadata.get("hd_layout_json", "{}")).get("file_format", LAYOUT))
