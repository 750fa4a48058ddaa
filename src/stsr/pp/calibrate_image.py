"""Bring the H&E image to a known scale and a known stain, and find the tissue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stsr.arguments import TARGET_MPP
from stsr.constants import IMAGE, TISSUE
from stsr.imaging import STAINS, Macenko, Raster, Stain, StainError, estimate_stain, image_quality, ink_mask
from stsr.pp._tissue import SectionTissue, pixel_frame, pixel_size, put_tissue, section_tissue, shifted
from stsr.spatial.area import TissueLike
from stsr.spatial.frames import transformations
from stsr.spatial.raster import TILE, image_pyramid, read_raster
from stsr.spatial.record import note, record
from stsr.spatial.store import check_name, put

if TYPE_CHECKING:
    from dask.array import Array
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

_SAMPLE_TILES, _SAMPLE_SIDE = 64, 128
"""Windows on tissue, and their side in pixels, from which stain and focus are estimated: a million pixels."""


def calibrate_image(
    sdata: SpatialData,
    *,
    target_mpp: float = 0.5,
    stain: Literal["macenko", "reinhard"] | None = "reinhard",
    tissue: TissueLike | None = None,
    key_added: str = IMAGE,
    overwrite: bool = False,
) -> str:
    """Resample the H&E image to a target resolution, normalise its stain and find the tissue.

    Stain and tissue are estimated on the whole section, then the image is resampled, normalised and written tile by
    tile. An image coarser than the target keeps its own resolution. Where the stain cannot be estimated, the log says
    why and the colours stay as they are.

    Several detectors look for tissue: by how uneven the image is, by how much light it takes, by its colour. Spots are
    evidence: of the masks, the one is taken that agrees best with where spots were called in tissue. Their whole discs
    (or bins) are tissue in any case, and so are the gaps between neighbours; pieces far from every spot are left out.
    Without spots, the mask is taken that separates all three cues best, and a warning says when it is unsure.
    :func:`stsr.pl.tissue` draws it.

    Figures on the image go to ``sdata.attrs["stsr"]["image_qc"]``: ``mpp``, ``stain`` (the method applied) or
    ``stain_skipped`` (why none was), ``haematoxylin`` and ``eosin`` (RGB optical densities), ``stain_angle`` between them
    in degrees, ``stain_strengths``, those of :func:`stsr.imaging.image_quality`, and on the tissue: ``tissue_detector``
    (``"given"`` for a mask of your own), ``tissue_confidence`` and ``tissue_agreement`` between detectors, both 0 to 1,
    and the shares of the spots called in tissue that the image alone (``spots_off_tissue_by_image``; above 2 % a
    warning), the detector taken (``spots_off_tissue_by_detector``), or your mask (``spots_off_tissue``) leave out.

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
    tissue
        Your own mask, which is taken as it is: the name of a labels element (anything but 0) or of a shapes element
        (inside any polygon) of ``sdata``, an array of labels (rows, cols) that covers the full-resolution image at any
        scale, or polygons in its pixels (GeoDataFrame or shapely). None finds the tissue.
    key_added
        Name of the calibrated image, an RGB pyramid.
    overwrite
        Replace what an earlier call wrote.

    Returns
    -------
    ``key_added``. The tissue goes to the labels ``"tissue"``: 1 on tissue, 0 elsewhere, 8 µm per pixel. Labels or shapes
    of that name that you made yourself are used and kept.

    Raises
    ------
    KeyError
        When ``tissue`` is no element of ``sdata``; the message lists those there are.
    ValueError
        When ``target_mpp``, ``stain`` or ``tissue`` makes no sense, ``key_added`` exists, or there is no tissue.

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
    if stain is not None and stain not in list(STAINS):
        raise ValueError(f"stain={stain!r} is not known; choose one of {', '.join(STAINS)} or None.")
    if key_added.lower() == TISSUE:
        raise ValueError(f"key_added={key_added!r} is the name of the tissue mask; choose another for the image.")
    check_name(sdata, "images", key_added, overwrite)
    facts = record(sdata)
    raster = read_raster(sdata, facts.image)
    mpp = _working_mpp(raster.mpp, target_mpp)

    found = section_tissue(sdata, raster, tissue)
    tiles, clean = _sample(raster, found, mpp)
    figures: dict[str, Any] = {"mpp": mpp, **image_quality(found.overview, found.mask, tiles), **found.figures}
    normalise, stain_figures = _stain(tiles[clean], stain, figures["background"])
    figures |= stain_figures

    pixels = _calibrated(raster, mpp, normalise)
    if not sdata.is_backed():
        pixels = pixels.persist()  # else every later look at the image would compute it again
    # the image last: a run that is killed in between is made good by the same call
    put_tissue(sdata, raster, found)
    image = image_pyramid(pixels, transformations(pixel_frame(raster, mpp), facts))
    note(sdata, image_qc=figures)
    put(sdata, key_added, image, overwrite=overwrite, made={"image_qc": figures})
    logger.info(
        "Wrote %r (%d x %d pixels, %.4g µm/px, stain %s) and %r (%.0f %% of the image).",
        key_added,
        pixels.shape[2],
        pixels.shape[1],
        mpp,
        figures["stain"] or "unchanged",
        TISSUE,
        100 * found.mask.mean(),
    )
    return key_added


def check_target_mpp(target_mpp: float) -> None:
    """Refuse a resolution that no microscope works at.

    Raises
    ------
    ValueError
        When it is outside 0.05 to 5 µm/px.
    """
    target_mpp = TARGET_MPP("target_mpp", target_mpp)


def _working_mpp(source: float, target: float) -> float:
    """Never finer than the source, and the source's own where the two are all but the same."""
    if target < 0.99 * source:
        logger.warning("The image has %.4g µm/px and is not up-sampled to target_mpp=%.4g.", source, target)
    return target if target > 1.01 * source else source


def _sample(raster: Raster, tissue: SectionTissue, mpp: float) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(tiles, side, side, 3) windows of ``mpp`` µm/px, spread evenly over the tissue, and which pixels show neither ink nor margin."""
    places = np.argwhere(tissue.mask)
    places = places[np.linspace(0, len(places) - 1, _SAMPLE_TILES).astype(int)]
    corners = (places + 0.5) * tissue.mpp / mpp - _SAMPLE_SIDE / 2
    frame = pixel_frame(raster, mpp)
    tiles = np.stack([raster.read(shifted(frame, x, y), (_SAMPLE_SIDE, _SAMPLE_SIDE)) for y, x in corners])
    ink = ink_mask(tissue.overview, tissue.mpp)
    along = ((corners[:, None] + np.arange(_SAMPLE_SIDE)[:, None] + 0.5) * mpp / tissue.mpp).astype(int)
    rows, cols = (np.clip(along[..., axis], 0, ink.shape[axis] - 1) for axis in (0, 1))
    clean = ~ink[rows[:, :, None], cols[:, None, :]]
    return tiles, clean if clean.any() else ~clean


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

    frame, (height, width) = pixel_frame(raster, mpp), pixel_size(raster, mpp)

    def tile(block_info: Any) -> NDArray[np.uint8]:
        (_, _), (top, bottom), (left, right) = block_info[None]["array-location"]
        window = raster.read(shifted(frame, left, top), (bottom - top, right - left))
        return np.moveaxis(window if normalise is None else normalise(window), -1, 0)

    chunks = ((3,), *(da.core.normalize_chunks(TILE, (side,))[0] for side in (height, width)))
    return da.map_blocks(tile, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), dtype=np.uint8))
