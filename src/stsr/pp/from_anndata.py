"""Take a section from an AnnData object and its image, whatever measured it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from stsr.constants import REGION, SPATIAL
from stsr.geometry import nearest_pitch
from stsr.pp._reading import check_dataset_id, find_fullres, unique_symbols, write_discs
from stsr.spatial.assemble import SPOT_ID
from stsr.spatial.scale import resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import check_vacant

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)


def from_anndata(
    adata: AnnData,
    *,
    fullres_image: str | os.PathLike[str],
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

    Counts, ``obs`` and ``var`` are kept; layers, embeddings and ``uns`` are not. Column names that a store cannot carry
    are changed, repeated gene symbols get ``-1``, ``-2``, ... at their end, and the log says so.

    Parameters
    ----------
    adata
        Spots x genes, with raw counts. It is not changed.
    fullres_image
        The H&E image in whose pixels the spots lie: 8-bit RGB, TIFF (any kind), PNG or JPEG.
    store
        Where to write the zarr store.
    dataset_id
        Name of the section and of its coordinate system.
    mpp
        µm per pixel of ``fullres_image``. With ``pitch`` too, both must agree to 10 %.
    pitch
        µm between the centres of neighbouring spots, 100 for Visium: gives µm per pixel where ``mpp`` is not known. The
        lattice must be regular, since the median distance to the nearest neighbour is taken for the pitch.
    spot_diameter
        Of a spot, in µm.
    layer
        Layer with the raw counts; ``X`` when None.
    spatial_key
        Key in ``obsm`` of the centres, (spots, 2) as (x, y) in pixels of ``fullres_image``.
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
        When neither ``mpp`` nor ``pitch`` is given or they contradict each other, when spots overlap or do not lie on
        the image, when the counts are not raw, or when ``store`` exists.

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
    check_vacant(store, overwrite)
    dataset_id = check_dataset_id(dataset_id)
    xy = _centres(adata, spatial_key)
    apart = nearest_pitch(xy)
    measured = mpp if pitch is None else pitch / apart
    if measured is None:
        raise ValueError(
            "mpp and pitch are both None; pass mpp, the µm per pixel of fullres_image, or pitch, the µm between "
            "neighbouring spots (100 for Visium)."
        )
    table = _bare(adata, xy, layer)
    image = find_fullres(None, fullres_image)
    resolved, source = resolve_mpp(measured, stated=image.mpp, user=mpp)
    if not 0 < spot_diameter <= apart * resolved * 1.001:
        raise ValueError(
            f"spot_diameter={spot_diameter} µm does not fit spots that are {apart * resolved:.4g} µm apart; give it, and "
            "mpp or pitch, in µm."
        )
    return write_discs(
        table,
        image,
        technology="anndata",
        dataset_id=dataset_id,
        mpp=resolved,
        mpp_source=source,
        diameter=spot_diameter,
        store=store,
        overwrite=overwrite,
    )


def _centres(adata: AnnData, key: str) -> NDArray[np.float64]:
    """(spots, 2) centres (x, y) in pixels."""
    if key not in adata.obsm:
        raise KeyError(f"spatial_key={key!r} not found; adata.obsm holds {', '.join(adata.obsm) or 'nothing'}.")
    xy = np.asarray(adata.obsm[key], dtype=np.float64)
    if xy.shape[1] < 2 or not np.isfinite(xy).all():
        raise ValueError(f"adata.obsm[{key!r}] must hold finite (x, y) in pixels for every spot; drop those without.")
    return xy[:, :2]


def _bare(adata: AnnData, xy: NDArray[np.float64], layer: str | None) -> AnnData:
    """A copy with nothing but counts, obs, var and centres, under names that a store can carry."""
    from anndata import AnnData
    from spatialdata import sanitize_table

    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer={layer!r} not found; adata.layers holds {', '.join(adata.layers) or 'nothing'}.")
    table = AnnData(
        sp.csr_matrix(adata.X if layer is None else adata.layers[layer], dtype=np.float32),
        obs=adata.obs.rename(
            columns={name: f"{name}_before" for name in adata.obs if name.lower() in (REGION, SPOT_ID)}
        ),
        var=adata.var.set_axis(unique_symbols(adata.var_names, source='adata.var_names')),
        obsm={SPATIAL: xy},
    )
    raw_counts(table, name="adata" if layer is None else layer)
    sanitize_table(table)
    for kind, old, new in (("obs", adata.obs, table.obs), ("var", adata.var, table.var)):
        if changed := [f"{a} to {b}" for a, b in zip(old, new, strict=True) if a != b]:
            logger.warning("Renamed columns of %s: %s.", kind, ", ".join(changed))
    return table
