"""Bring the H&E image to a known scale and a known stain, and find the tissue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stsr.constants import IMAGE, TISSUE
from stsr.imaging import (
    STAINS,
    TISSUE_MPP,
    Macenko,
    Raster,
    Stain,
    StainError,
    estimate_stain,
    image_quality,
    tissue_mask,
)
from stsr.spatial.frames import transformations, um_affine
from stsr.spatial.raster import TILE, image_pyramid, read_raster
from stsr.spatial.record import Record, made, note, record
from stsr.spatial.store import put

if TYPE_CHECKING:
    from dask.array import Array
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

_SAMPLE_TILES, _SAMPLE_SIDE = 64, 128
"""Windows on tissue, and their side in pixels, from which stain and focus are estimated: a million pixels."""

_BAND = 32
"""Rows of the overview read at a time, so that an image without a pyramid need not fit in memory."""


def calibrate_image(
    sdata: SpatialData,
    *,
    target_mpp: float = 0.5,
    stain: Literal["macenko", "reinhard"] | None = "reinhard",
    key_added: str = IMAGE,
    overwrite: bool = False,
) -> str:
    """Resample the H&E image to a target resolution, normalise its stain and find the tissue.

    Stain and tissue are estimated on the whole section, then the image is resampled, normalised and written tile by
    tile. An image coarser than the target keeps its own resolution. Where the stain cannot be estimated, the log says
    why and the colours stay as they are. Figures on the image's quality go to ``sdata.attrs["stsr"]["image_qc"]``:
    ``mpp``, ``stain`` (the method applied) or ``stain_skipped`` (why none was), ``haematoxylin`` and ``eosin`` (RGB
    optical densities), ``stain_angle`` between them in degrees, ``stain_strengths``, and those of
    :func:`stsr.imaging.image_quality`.

    Parameters
    ----------
    sdata
        A section made by one of stsr's readers.
    target_mpp
        µm per pixel to work at; most image encoders were trained at 0.5.
    stain
        ``"reinhard"`` (mean and spread of each colour channel in LAB), ``"macenko"`` (both stains unmixed) or None to
        keep the colours. Macenko is the stronger and asks for stains that are well apart: on a kidney section whose
        two lie 15° apart it squeezed eosin and cost texture features a twentieth of their correlation with expression.
    key_added
        Name of the calibrated image, an RGB pyramid.
    overwrite
        Replace what an earlier call wrote.

    Returns
    -------
    ``key_added``. The tissue goes to the labels ``"tissue"``: 1 on tissue, 0 elsewhere, 8 µm per pixel. Labels of that
    name that you made yourself are used and kept.

    Raises
    ------
    ValueError
        When ``target_mpp`` or ``stain`` makes no sense, ``key_added`` exists, or there is no tissue.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(seed=0)
    >>> stsr.pp.calibrate_image(sdata, target_mpp=2.0)
    'he'
    >>> sdata.attrs["stsr"]["image_qc"]["stain"]
    'reinhard'
    """
    check_target_mpp(target_mpp)
    if stain is not None and stain not in STAINS:
        raise ValueError(f"stain={stain!r} is not known; choose one of {', '.join(STAINS)} or None.")
    if key_added in sdata and not overwrite:
        raise ValueError(f"key_added={key_added!r} exists already; pass overwrite=True to replace it or another name.")
    facts = record(sdata)
    raster = read_raster(sdata, facts.image)
    mpp = _working_mpp(raster.mpp, target_mpp)

    overview = _overview(raster)
    own = TISSUE in sdata and made(sdata, TISSUE) is None
    tissue = _own_tissue(sdata, facts, raster, overview.shape) if own else tissue_mask(overview, TISSUE_MPP)
    tiles = _sample(raster, tissue, mpp)
    figures: dict[str, Any] = {"mpp": mpp, **image_quality(overview, tissue, tiles)}
    normalise, stain_figures = _stain(tiles, stain, figures["background"])

    pixels = _calibrated(raster, mpp, normalise)
    if not sdata.is_backed():
        pixels = pixels.persist()  # else every later look at the image would compute it again
    # The image last: a run that is stopped before it starts anew, and finds nothing half done.
    note(sdata, image_qc=figures | stain_figures)
    if not own:
        put(sdata, TISSUE, _labels(tissue, _frame(raster, TISSUE_MPP), facts), overwrite=True)
    put(sdata, key_added, image_pyramid(pixels, transformations(_frame(raster, mpp), facts)), overwrite=overwrite)
    logger.info(
        "Wrote %r (%d x %d pixels, %.4g µm/px, stain %s) and %r (%.0f %% of the image).",
        key_added,
        pixels.shape[2],
        pixels.shape[1],
        mpp,
        stain_figures["stain"] or "unchanged",
        TISSUE,
        100 * tissue.mean(),
    )
    return key_added


def check_target_mpp(target_mpp: float) -> None:
    """Refuse a resolution that no microscope works at.

    Raises
    ------
    ValueError
        When it is outside 0.05 to 5 µm/px.
    """
    if not 0.05 <= target_mpp <= 5:
        raise ValueError(f"target_mpp={target_mpp} µm/px is outside 0.05 to 5; most encoders work at 0.5.")


def _working_mpp(source: float, target: float) -> float:
    """Never finer than the source, and the source's own where the two are all but the same."""
    if target < 0.99 * source:
        logger.warning("The image has %.4g µm/px and is not up-sampled to target_mpp=%.4g.", source, target)
    return target if target > 1.01 * source else source


def _frame(raster: Raster, mpp: float) -> NDArray[np.float64]:
    """(3, 3) affine from pixels of ``mpp`` µm, along the image's own axes, to µm."""
    return raster.levels[0][1] @ np.diag([mpp / raster.mpp, mpp / raster.mpp, 1.0])


def _size(raster: Raster, mpp: float) -> tuple[int, int]:
    """Height and width of the image in whole pixels of ``mpp`` µm."""
    height, width = (int(side * raster.mpp / mpp + 1e-6) for side in raster.levels[0][0].shape[1:])
    return height, width


def _overview(raster: Raster) -> NDArray[np.uint8]:
    """(rows, cols, 3) of the whole image at the resolution at which tissue is looked for."""
    frame, (height, width) = _frame(raster, TISSUE_MPP), _size(raster, TISSUE_MPP)
    bands = range(0, height, _BAND)
    return np.concatenate([raster.read(_shifted(frame, 0, row), (min(_BAND, height - row), width)) for row in bands])


def _shifted(frame: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """The same frame with its origin at pixel (x, y)."""
    return frame @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def _own_tissue(sdata: SpatialData, facts: Record, raster: Raster, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The user's tissue labels on the pixels of the overview."""
    if TISSUE not in sdata.labels:
        raise ValueError(f"{TISSUE!r} is the name of an element that is no labels element; give it another name.")
    labels = sdata.labels[TISSUE]
    to_labels = np.linalg.inv(um_affine(labels, facts, name=TISSUE)) @ _frame(raster, TISSUE_MPP)
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    x, y = (np.floor(to_labels[axis, 0] * cols + to_labels[axis, 1] * rows + to_labels[axis, 2]) for axis in (0, 1))
    inside = (x >= 0) & (x < labels.shape[1]) & (y >= 0) & (y < labels.shape[0])
    mask = np.zeros(shape[:2], dtype=bool)
    mask[inside] = np.asarray(labels)[y[inside].astype(int), x[inside].astype(int)] > 0
    if not mask.any():
        raise ValueError(f"labels {TISSUE!r} mark no tissue on the image; check their transformation, or remove them.")
    return mask


def _sample(raster: Raster, tissue: NDArray[np.bool_], mpp: float) -> NDArray[np.uint8]:
    """(tiles, side, side, 3) windows of ``mpp`` µm/px, spread evenly over the tissue."""
    places = np.argwhere(tissue)
    places = places[np.linspace(0, len(places) - 1, _SAMPLE_TILES).astype(int)]
    corners = (places + 0.5) * TISSUE_MPP / mpp - _SAMPLE_SIDE / 2
    frame = _frame(raster, mpp)
    return np.stack([raster.read(_shifted(frame, x, y), (_SAMPLE_SIDE, _SAMPLE_SIDE)) for y, x in corners])


def _stain(
    tiles: NDArray[np.uint8], method: str | None, background: list[float]
) -> tuple[Stain | None, dict[str, Any]]:
    """The normaliser, None when there is none, and the figures on stain."""
    sample = tiles.reshape(-1, 3)
    figures: dict[str, Any] = {"stain": None}
    chosen: Stain | None = None
    for name in ("macenko", method) if method == "reinhard" else ("macenko",):
        try:
            fitted = estimate_stain(sample, name, background=background)
        except StainError as error:
            if name == method:
                figures["stain_skipped"] = str(error)
                logger.warning("stain=%r is skipped, the colours stay as they are: %s.", method, error)
            continue
        if isinstance(fitted, Macenko):
            figures |= {
                "haematoxylin": fitted.stains[:, 0].tolist(),
                "eosin": fitted.stains[:, 1].tolist(),
                "stain_angle": fitted.angle,
                "stain_strengths": fitted.strengths.tolist(),
            }
        if name == method:
            chosen, figures["stain"] = fitted, name
    return chosen, figures


def _calibrated(raster: Raster, mpp: float, normalise: Stain | None) -> Array:
    """(3, y, x) uint8 dask array of the image at ``mpp`` µm/px, each tile computed on its own."""
    import dask.array as da

    frame, (height, width) = _frame(raster, mpp), _size(raster, mpp)

    def tile(block_info: Any) -> NDArray[np.uint8]:
        (_, _), (top, bottom), (left, right) = block_info[None]["array-location"]
        window = raster.read(_shifted(frame, left, top), (bottom - top, right - left))
        return np.moveaxis(window if normalise is None else normalise(window), -1, 0)

    chunks = ((3,), *(da.core.normalize_chunks(TILE, (side,))[0] for side in (height, width)))
    return da.map_blocks(tile, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))


def _labels(tissue: NDArray[np.bool_], to_um: NDArray[np.float64], facts: Record) -> Any:
    from spatialdata.models import Labels2DModel

    return Labels2DModel.parse(tissue.astype(np.uint8), dims=("y", "x"), transformations=transformations(to_um, facts))
