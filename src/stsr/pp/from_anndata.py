"""Take a section from an AnnData object and its image, whatever measured it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import REGION, SPATIAL
from stsr.geometry import Lattice, nearest_pitch
from stsr.options import Number
from stsr.pp._anndata_input import INSIDE, check_section, check_table, in_memory, spots_lattice, vendor_facts
from stsr.pp._columns import storable
from stsr.pp._positions import in_tissue
from stsr.pp._reading import find_fullres, image_size, unique_symbols, write_discs
from stsr.pp._scale_factors import refuse_reduced_positions, usable
from stsr.pp.counts import are_genes
from stsr.spatial.assemble import SPOT_ID
from stsr.spatial.columns import layer_names
from stsr.spatial.names import check_dataset_id
from stsr.spatial.scale import check_mpp, resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

XS, YS = ("x", "pxl_col_in_fullres", "imagecol"), ("y", "pxl_row_in_fullres", "imagerow")
"""What columns of a data frame with centres are called, by the vendor and by programs in R."""


def from_anndata(
    adata: AnnData,
    *,
    fullres_image: str | os.PathLike[str] | Any,
    store: str | os.PathLike[str],
    dataset_id: str,
    mpp: float | None = None,
    pitch: float | None = None,
    spot_diameter: float = 55.0,
    layer: str | None = None,
    spatial_key: str = SPATIAL,
    overwrite: bool = False,
) -> SpatialData:
    """Make a section of an AnnData object with spots and of their full-resolution H&E, and keep it in a zarr store.

    Counts of genes, ``obs`` and ``var`` are kept; layers, embeddings and ``uns`` are not. Spots with ``obs["in_tissue"] == 0`` are
    left out, as by all readers, and so are a few that lie beside the image. Column names and values that a store cannot
    carry are changed, repeated gene symbols get ``-1``, ``-2``, ... at their end, and the log says so.

    Parameters
    ----------
    adata
        Spots x genes of one section, with raw counts, in memory, backed or behind dask. It is not changed.
    fullres_image
        The H&E image in whose pixels the spots lie: TIFF (any kind), PNG or JPEG, or an array, as of
        :func:`stsr.pp.from_image`.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system.
    mpp
        µm per pixel of ``fullres_image``. With ``pitch`` too, both must agree to 10 %.
    pitch
        µm between the centres of neighbouring spots, 100 for Visium: gives µm per pixel where ``mpp`` is not known. The
        pitch in pixels is fitted to ``obs["array_row"]`` and ``obs["array_col"]``, with which isolated spots will do;
        without them it is the distance between neighbours, which must be one.
    spot_diameter
        Of a spot, in µm.
    layer
        Layer with the raw counts; ``X`` when None.
    spatial_key
        Key in ``obsm`` of the centres, (spots, 2) as (x, y) in pixels of ``fullres_image``. Columns of a data frame may be
        in any order where their names say which is which, as ``pxl_row_in_fullres`` and ``pxl_col_in_fullres`` do.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store, as from :func:`stsr.pp.read_visium`.

    Raises
    ------
    FileNotFoundError
        When ``fullres_image`` is not there.
    KeyError
        When ``layer`` or ``spatial_key`` is not in ``adata``; the message lists what is.
    ValueError
        When neither ``mpp`` nor ``pitch`` is given or they contradict each other, when spots are of several sections,
        follow no lattice, overlap or do not lie on the image, when their positions are those of a reduced image by
        ``uns["spatial"]``, when the counts are not raw, or when ``store`` exists.

    Examples
    --------
    >>> import tempfile
    >>> import anndata, numpy as np, stsr
    >>> from PIL import Image
    >>> folder = tempfile.TemporaryDirectory()
    >>> Image.new("RGB", (400, 300), "pink").save(f"{folder.name}/he.png")
    >>> adata = anndata.AnnData(np.ones((12, 2)))
    >>> adata.var_names = ["UMOD", "NPHS2"]
    >>> adata.obsm["spatial"] = np.argwhere(np.ones((4, 3))) * 80 + 50
    >>> sdata = stsr.pp.from_anndata(
    ...     adata, fullres_image=f"{folder.name}/he.png", store=f"{folder.name}/a.zarr", dataset_id="kidney", pitch=100
    ... )
    >>> sdata.attrs["stsr"]["mpp"]
    1.25
    """
    check_mpp(mpp)
    pitch = Number(0.1, 10_000, optional=True)("pitch", pitch)
    spot_diameter = Number()("spot_diameter", spot_diameter)
    if mpp is None and pitch is None:
        raise ValueError(
            "mpp and pitch are both None; pass mpp, the µm per pixel of fullres_image, or pitch, the µm between "
            "neighbouring spots (100 for Visium)."
        )
    dataset_id = check_dataset_id(dataset_id)
    check_table(adata, layer, spatial_key)
    check_vacant(store, overwrite)
    inside = _inside(adata)
    check_section(adata, inside)
    xy = _centres(adata, spatial_key, inside)
    image = find_fullres(None, fullres_image)
    lattice, sure = spots_lattice(adata, xy, inside, image_size(image))
    if lattice is not None and lattice.layout == "hexagonal":
        factors, reduced = vendor_facts(adata, inside, image_size(image))
        refuse_reduced_positions(
            lattice.pitch,
            usable(factors),
            where=f"adata.obsm[{spatial_key!r}]",
            remedy="divide them by it, or delete adata.uns['spatial'] if fullres_image is that image.",
            image=reduced,
        )
    table = _bare(adata, xy, layer, inside)
    measured = _measured(lattice, mpp, pitch, image.mpp)
    resolved, source = resolve_mpp(measured, stated=image.mpp, user=mpp, sure=sure)
    _check_diameter(spot_diameter, xy[inside], lattice, resolved)
    return write_discs(
        table,
        image,
        technology="anndata",
        dataset_id=dataset_id,
        mpp=resolved,
        mpp_source=source,
        diameter=float(spot_diameter),
        store=store,
        overwrite=overwrite,
    )


def _inside(adata: AnnData) -> NDArray[np.bool_]:
    """(rows,) the spots that are not said to lie off tissue."""
    if INSIDE not in adata.obs:
        return np.ones(adata.n_obs, dtype=bool)
    inside = in_tissue(adata.obs[INSIDE], f"adata.obs[{INSIDE!r}]")
    if not inside.any():
        raise ValueError(f"adata.obs[{INSIDE!r}] says that no spot lies on tissue; correct it, or delete the column.")
    if not inside.all():
        logger.info("Left out %d of %d spots that lie off tissue.", int((~inside).sum()), len(inside))
    return inside


def _centres(adata: AnnData, key: str, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(rows, 2) centres (x, y) in pixels, of all rows; finite for those inside."""
    wanted = f"adata.obsm[{key!r}] must hold finite (x, y) in pixels for every spot"
    try:
        xy = np.asarray(_ordered(adata.obsm[key]), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}, but it holds words or is no array; convert it to numbers.") from error
    if xy.ndim != 2 or xy.shape[1] < 2 or not np.isfinite(xy[inside, :2]).all():
        raise ValueError(f"{wanted}; drop those without.")
    return xy[:, :2]


def _ordered(places: Any) -> Any:
    """The centres, x first where the columns of a data frame say which that is."""
    columns = {str(name).lower(): name for name in getattr(places, "columns", ())}
    found = [[columns[name] for name in names if name in columns] for names in (XS, YS)]
    return places[[found[0][0], found[1][0]]] if all(found) else places


def _measured(lattice: Lattice | None, mpp: float | None, pitch: float | None, stated: float | None) -> float:
    """µm per pixel by the lattice of the spots; by the user where there is none or its pitch is not known."""
    if lattice is not None and pitch is not None:
        return pitch / lattice.pitch
    if mpp is None:
        hint = "" if stated is None else f", {stated:.4g} by what the file states"
        raise ValueError(
            f"pitch={pitch} gives no µm per pixel here: the spots have no array_row and array_col that form a lattice, and "
            f"neighbours are not one distance apart; pass mpp, the µm per pixel of fullres_image{hint}."
        )
    if pitch is not None:
        logger.warning("pitch=%g was not compared with mpp=%g: the spots form no lattice.", pitch, mpp)
    return mpp


def _check_diameter(diameter: float, xy: NDArray[np.float64], lattice: Lattice | None, mpp: float) -> None:
    """Refuse spots that would overlap."""
    apart = np.inf if len(xy) < 2 else nearest_pitch(xy) if lattice is None else lattice.pitch
    if not 0 < diameter <= apart * mpp * 1.001:
        raise ValueError(
            f"spot_diameter={diameter:g} µm does not fit spots that are {apart * mpp:.4g} µm apart; give it, and mpp or "
            "pitch, in µm."
        )


def _check_raw(table: AnnData, adata: AnnData, layer: str | None) -> None:
    """Refuse counts that are not raw, and say where else in the object they may be."""
    try:
        raw_counts(table, name="adata" if layer is None else layer)
    except ValueError as error:
        elsewhere = [f"layer={name!r}" for name in layer_names(adata) if name != layer]
        elsewhere += ["adata.raw.to_adata()"] * (adata.raw is not None)
        if not elsewhere:
            raise
        raise ValueError(f"{str(error).removesuffix('.')}; try {' or '.join(elsewhere)}.") from error


def _bare(adata: AnnData, xy: NDArray[np.float64], layer: str | None, inside: NDArray[np.bool_]) -> AnnData:
    """A copy with nothing but counts, obs, var and centres of the spots inside, under names that a store can carry."""
    from anndata import AnnData
    from spatialdata import sanitize_table

    genes = are_genes(adata.var, "adata")
    genes = genes if genes.any() else ~genes  # words of its own
    obs, var = storable(adata.obs[inside], "obs"), storable(adata.var[genes], "var")
    table = AnnData(
        in_memory(adata, layer)[np.flatnonzero(inside)][:, np.flatnonzero(genes)],
        obs=obs.rename(
            columns={name: f"{name}_before" for name in map(str, obs) if name.lower() in (REGION, SPOT_ID)}
        ).set_axis(adata.obs_names[inside].astype(str)),
        var=var.set_axis(unique_symbols(adata.var_names[genes], source="adata.var_names")),
        obsm={SPATIAL: xy[inside]},
    )
    _check_raw(table, adata, layer)
    sanitize_table(table)
    for kind, old, new in (("obs", obs, table.obs), ("var", var, table.var)):
        if changed := [f"{a} to {b}" for a, b in zip(old, new, strict=True) if a != b]:
            logger.warning("Renamed columns of %s: %s.", kind, ", ".join(changed))
    return table
