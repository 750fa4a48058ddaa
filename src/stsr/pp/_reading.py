"""What all readers share: names, the H&E, the check that spots lie on it, and the store they write."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import at_home
from stsr.constants import SPATIAL
from stsr.pp._folder import contents
from stsr.spatial.assemble import complete, disc_spots
from stsr.spatial.fullres import FullRes, fullres_of, open_fullres
from stsr.spatial.names import LONGEST, RESERVED, check_dataset_id
from stsr.spatial.record import Record
from stsr.spatial.store import create_store

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)


FEW_OUTSIDE = (3, 0.05)
"""Spots that may lie beside the image: a few, or a share of all."""


def name_section(folder: Path, dataset_id: str | None) -> str:
    """The user's ``dataset_id``, or the folder's name (its parent's for ``outs``) in letters that elements may carry.

    Raises
    ------
    ValueError
        When ``dataset_id`` cannot name elements.
    """
    if dataset_id is None:
        folder = folder.absolute()
        name = folder.parent.name if folder.name == "outs" else folder.name
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:LONGEST] or "section"
        return f"{name}_section" if RESERVED.fullmatch(name) else name
    return check_dataset_id(dataset_id)


def find_fullres(folder: Path | None, fullres_image: str | os.PathLike[str] | FullRes | Any) -> FullRes:
    """Open the H&E: a file, relative to the working directory or to the section's folder where it has one, or an array.

    Raises
    ------
    FileNotFoundError
        When the file is in neither.
    ValueError
        When it is not named, a folder, or no H&E.
    """
    if isinstance(fullres_image, FullRes):
        return fullres_image
    if fullres_image is None or (isinstance(fullres_image, str) and not fullres_image):
        raise ValueError("fullres_image is empty; pass the full-resolution H&E that the spot positions belong to.")
    if not isinstance(fullres_image, str | os.PathLike):
        return fullres_of(fullres_image)
    named = at_home(fullres_image)
    candidates = [named] + ([folder / named] if folder else [])
    for candidate in candidates:
        if candidate.is_file():
            return open_fullres(candidate)
    for candidate in candidates:
        if candidate.is_dir():
            raise ValueError(
                f"fullres_image={str(fullres_image)!r} is a folder; pass the file of the full-resolution H&E. "
                f"{contents(candidate)}"
            )
    places = f"neither in the working directory nor in {str(folder)!r}" if folder else "not in the working directory"
    raise FileNotFoundError(
        f"fullres_image={str(fullres_image)!r} is {places}; pass the full-resolution H&E that the spot positions belong "
        "to."
    )


def image_size(image: FullRes) -> tuple[int, int]:
    """Width and height of the H&E in pixels."""
    _, height, width = image.pixels.shape
    return width, height


def on_image(
    spots: NDArray[np.float64], names: Iterable[str], image: FullRes, *, few: bool = True
) -> NDArray[np.bool_]:
    """(spots,) which of the spots (spots, 2), as (x, y) in its pixels, the image holds; the log says which it does not.

    With ``few=False`` any number may lie outside, for bins beside those that the section learns from.

    Raises
    ------
    ValueError
        When more than a few lie outside: then the image is not the one they belong to.
    """
    width, height = image_size(image)
    inside: NDArray[np.bool_] = np.all((spots >= 0) & (spots <= (width, height)), axis=1)
    outside = int((~inside).sum())
    number, share = FEW_OUTSIDE
    if few and (outside > max(number, share * len(spots)) or 4 * outside > len(spots)):
        (x0, y0), (x1, y1) = spots.min(axis=0), spots.max(axis=0)
        raise ValueError(
            f"fullres_image={str(image.path)!r} has {width} x {height} pixels, but {outside} of {len(spots)} spots lie "
            f"outside (x={x0:.0f} to {x1:.0f}, y={y0:.0f} to {y1:.0f}); pass the full-resolution H&E that the spot "
            "positions belong to."
        )
    if outside:
        logger.warning(
            "Left out %d of %d spots that lie outside the image (%s%s).",
            outside,
            len(spots),
            ", ".join(map(str, np.asarray(list(names))[~inside][:3])),
            ", ..." * (outside > 3),
        )
    return inside


def log_repeated_symbols(symbols: Iterable[str]) -> None:
    """Log which gene symbols will be made unique."""
    repeated = [symbol for symbol, times in Counter(symbols).items() if times > 1]
    if repeated:
        logger.warning(
            "%d gene symbols occur more than once (%s, ...); all but the first get -1, -2, ... at their end.",
            len(repeated),
            ", ".join(repeated[:3]),
        )


def unique_symbols(symbols: Iterable[str], *, source: str) -> pd.Index:
    """The symbols, with ``-1``, ``-2``, ... at the end of those that were there before; the log says which.

    Raises
    ------
    ValueError
        When a gene has none; the message begins with ``source``, where the symbols come from.
    """
    import pandas as pd
    from anndata.utils import make_index_unique

    index = pd.Index(symbols)
    blank = index.isna() | (index.astype(str).str.strip() == "")
    if blank.any():
        raise ValueError(
            f"{source} has {int(blank.sum())} genes without a name (the first in column {int(blank.argmax())}); give them "
            "their identifiers as names, or leave them out."
        )
    log_repeated_symbols(index)
    return make_index_unique(index.astype(str))


def write_discs(
    table: AnnData,
    image: FullRes,
    *,
    technology: str,
    dataset_id: str,
    mpp: float,
    mpp_source: str,
    diameter: float,
    store: str | os.PathLike[str],
    overwrite: bool,
) -> SpatialData:
    """:func:`write_section` for spots that are discs of ``diameter`` µm around ``obsm["spatial"]``, known from a table."""
    table = table[on_image(table.obsm[SPATIAL], table.obs_names, image)].copy()
    return write_section(
        disc_spots(table, dataset_id, radius=diameter / mpp / 2),
        image,
        technology=technology,
        dataset_id=dataset_id,
        mpp=mpp,
        mpp_source=mpp_source,
        spot_size=diameter,
        spots=dataset_id,
        table="table",
        store=store,
        overwrite=overwrite,
    )


def write_section(
    sdata: SpatialData,
    image: FullRes,
    *,
    technology: str,
    dataset_id: str,
    mpp: float,
    mpp_source: str,
    spot_size: float | None = None,
    spots: str | None = None,
    table: str | None = None,
    store: str | os.PathLike[str],
    overwrite: bool,
) -> SpatialData:
    """Add the H&E and the record to what a reader found, write it all to a store and open it from there.

    The elements of ``sdata`` are registered in the coordinate system ``dataset_id``, pixels of ``image``. A section of
    which only the image is known has no spots.
    """
    facts = Record(
        technology=technology,
        dataset_id=dataset_id,
        coordinate_system=dataset_id,
        mpp=mpp,
        mpp_source=mpp_source,
        spot_size=spot_size,
        image=f"{dataset_id}_full_image",
        spots=spots,
        table=table,
    )
    complete(sdata, image.pixels, facts)
    n_spots, n_genes = (0, 0) if table is None else sdata[table].shape
    logger.info(
        "Read %s: %d spots x %d genes, %.4g µm per pixel (from the %s).", dataset_id, n_spots, n_genes, mpp, mpp_source
    )
    return create_store(sdata, store, overwrite=overwrite)
