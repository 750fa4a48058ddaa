"""The tissue mask of a section: found, or given by the user; what is known of it; and its labels."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.constants import TISSUE
from stsr.imaging import BY_SPOTS, SURE, TISSUE_MPP, Raster, find_tissue
from stsr.pp._evidence import tissue_evidence
from stsr.spatial import made, put, read_raster, record, transformations
from stsr.spatial.area import TissueLike, given_area

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

MOST_LEFT_OUT = 0.02
"""Share of the spots off a mask above which there is a warning."""

BAND = 32
"""Rows of the overview read at a time, so that an image without a pyramid need not fit in memory."""

MOST_OFF = 0.5
"""Share of the spots off the chosen mask from which on image and spots may not belong together."""

REMEDY = (
    "Look at stsr.pl.tissue(sdata), and if the mask is wrong pass your own: "
    "stsr.pp.calibrate_image(sdata, tissue=..., overwrite=True)."
)
"""What to do about a mask that may be wrong."""

GIVEN = "given"
"""Name of the detector for a mask that the user made."""


@dataclass(frozen=True, eq=False)
class SectionTissue:
    """The tissue of a section.

    Parameters
    ----------
    overview
        (rows, cols, 3) uint8 of the whole image.
    mask
        (rows, cols) bool.
    mpp
        µm per pixel of both.
    figures
        What is known of the mask, as JSON entries.
    kept
        Whether the mask is an element of the user's own that stays as it is.
    """

    overview: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    mpp: float
    figures: dict[str, Any]
    kept: bool


def section_tissue(sdata: SpatialData, raster: Raster, tissue: TissueLike | None) -> SectionTissue:
    """Find the tissue, or use the user's mask: ``tissue``, or their own element ``"tissue"``.

    Raises
    ------
    KeyError, ValueError
        When there is no tissue, or what is given is no mask.
    """
    own = TISSUE in sdata and made(sdata, TISSUE) is None
    if own and tissue is not None and not (isinstance(tissue, str) and tissue == TISSUE):
        raise ValueError(
            f"tissue is given, and sdata holds an element {TISSUE!r} of your own, which is not replaced; leave out "
            f"tissue=, or give the element another name."
        )
    mpp = mask_mpp(raster)
    overview = read_overview(raster, mpp)
    if own or tissue is not None:
        mask, figures = _given(
            sdata, pixel_frame(raster, mpp), overview.shape[:2], TISSUE if tissue is None else tissue
        )
    else:
        mask, figures = _found(sdata, pixel_frame(raster, mpp), mpp, overview)
    return SectionTissue(overview, mask, mpp, figures, own)


def add_tissue(sdata: SpatialData) -> None:
    """Find the tissue of a section that has none yet, and write it."""
    raster = read_raster(sdata, record(sdata).image)
    put_tissue(sdata, raster, section_tissue(sdata, raster, None))


def put_tissue(sdata: SpatialData, raster: Raster, tissue: SectionTissue) -> None:
    """Write the labels ``"tissue"``, unless they are the user's own."""
    from spatialdata.models import Labels2DModel

    if tissue.kept:
        return
    place = transformations(pixel_frame(raster, tissue.mpp), record(sdata))
    labels = Labels2DModel.parse(tissue.mask.astype(np.uint8), dims=("y", "x"), transformations=place)
    put(sdata, TISSUE, labels, overwrite=True, made=tissue.figures)


def mask_mpp(raster: Raster) -> float:
    """µm per pixel for tissue detection; finer where the image is smaller than such a pixel."""
    return min(TISSUE_MPP, min(raster.levels[0][0].shape[1:]) * raster.mpp)


def read_overview(raster: Raster, mpp: float) -> NDArray[np.uint8]:
    """(rows, cols, 3) of the whole image at ``mpp`` µm per pixel."""
    frame, (height, width) = pixel_frame(raster, mpp), pixel_size(raster, mpp)
    bands = range(0, height, BAND)
    return np.concatenate([raster.read(shifted(frame, 0, row), (min(BAND, height - row), width)) for row in bands])


def pixel_frame(raster: Raster, mpp: float) -> NDArray[np.float64]:
    """(3, 3) affine from pixels of ``mpp`` µm, along the image's own axes, to µm."""
    return raster.levels[0][1] @ np.diag([mpp / raster.mpp, mpp / raster.mpp, 1.0])


def pixel_size(raster: Raster, mpp: float) -> tuple[int, int]:
    """Height and width of the image in whole pixels of ``mpp`` µm, one at least."""
    height, width = (max(1, int(side * raster.mpp / mpp + 1e-6)) for side in raster.levels[0][0].shape[1:])
    return height, width


def shifted(frame: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """The same frame with its origin at pixel (x, y)."""
    return frame @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def _given(
    sdata: SpatialData, frame: NDArray[np.float64], shape: tuple[int, int], tissue: TissueLike
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    rows, cols = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    centres = np.column_stack([cols.ravel(), rows.ravel()]) @ frame[:2, :2].T + frame[:2, 2]
    mask = given_area(sdata, tissue).inside(centres).reshape(shape)
    if not mask.any():
        what = f"labels or shapes {tissue!r} mark" if isinstance(tissue, str) else "the mask given as tissue marks"
        raise ValueError(f"{what} no tissue on the image; check where it lies (polygons are in pixels of the image).")
    figures: dict[str, Any] = {"tissue_detector": GIVEN}
    evidence = tissue_evidence(sdata, frame, shape)
    if evidence is not None and len(evidence.spots):
        rows, cols = evidence.spots.T
        figures["spots_off_tissue"] = off = float(1 - mask[rows, cols].mean())
        if off > MOST_LEFT_OUT:
            logger.warning(
                "%.1f %% of the spots lie off the tissue that was given, and what they measured is left out. Look at "
                "stsr.pl.tissue(sdata), and widen the mask if that is not meant.",
                100 * off,
            )
    return mask, figures


def _found(
    sdata: SpatialData, frame: NDArray[np.float64], mpp: float, overview: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    evidence = tissue_evidence(sdata, frame, overview.shape[:2])
    found = find_tissue(overview, mpp, evidence)
    figures: dict[str, Any] = {
        "tissue_detector": found.detector,
        "tissue_confidence": found.confidence,
        "tissue_agreement": found.agreement,
    }
    if found.left_out is not None:
        alone, chosen = found.left_out
        figures |= {"spots_off_tissue_by_image": alone, "spots_off_tissue_by_detector": chosen}
        if alone > MOST_LEFT_OUT:
            logger.warning("%s", _spots_left_out(found.detector, alone, chosen))
    elif found.confidence < SURE:
        logger.warning(
            "The tissue mask is uncertain (found by %s, confidence %.2f of 1), and there are no spots to confirm "
            "it. %s",
            found.detector,
            found.confidence,
            REMEDY,
        )
    if found.dropped:
        logger.info("%.2f mm² of tissue far from every spot were left out.", found.dropped / 1e6)
    return found.mask, figures


def _spots_left_out(detector: str, alone: float, chosen: float) -> str:
    """The warning about spots where the image alone shows no tissue."""
    text = f"{100 * alone:.1f} % of the spots called in tissue lie where the image alone shows none"
    if detector == BY_SPOTS:
        text += ". It shows none at all, and the mask is their discs and the gaps between. "
    else:
        text += f". The mask was found by {detector}, which agrees best with the spots"
        text += (
            f" but leaves out {100 * chosen:.1f} %; their discs and the gaps between were added. " if chosen else ". "
        )
    if chosen > MOST_OFF:
        text += "Check that the image is of this section, and how the spots lie on it (stsr.pp.register_check). "
    return text + REMEDY
