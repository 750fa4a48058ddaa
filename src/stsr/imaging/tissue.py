"""Tissue detection from the image, and from the spots measured on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.imaging.cues import Cues, measure_cues, optical_density
from stsr.imaging.detectors import BOUNDS, DETECTORS, EITHER, detect, without_holes

TISSUE_MPP = 8.0
"""µm per pixel of the image for tissue detection."""

MIN_PIECE, MAX_HOLE = 20_000.0, 50_000.0
"""Areas in µm²: smaller pieces of tissue are dropped, smaller holes filled."""

SPOTS_MARGIN, IMAGE_MARGIN = 0.05, 0.05
"""Margin by which another detector must be better to replace the first: relative, for the agreement with the spots;
absolute, for the mean of confidence and agreement with other detectors."""

SURE = 0.8
"""Confidence from which on a mask made from the image alone is used without a warning."""

MIN_SHARE = 0.01
"""Share of the image that must be inside a mask, and outside, for a separation to be measured."""

SAMPLED = 100_000
"""Pixels on which the separation is measured, about."""

NEUTRAL = (0.15, 0.25)
"""Difference of optical density between the channels of presumed glass: up to the first it may be the colour of the lamp;
from the second on, it is tissue."""

COLOURED = 30
"""Difference in grey levels between the brightest and the darkest channel above which a pixel is coloured."""

BY_SPOTS = "spots"
"""Name of the detector where the image shows no tissue and the mask is made from the spots alone."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Measured places of a section, in pixels of the image for tissue detection.

    Parameters
    ----------
    spots
        (spots, 2) pixel (row, col) in which each spot that was called in tissue has its centre.
    measured
        (rows, cols) bool, pixels that these spots touch: whole discs or bins.
    joined
        ``measured``, and the gaps between neighbours.
    off
        (rows, cols) bool, pixels that spots called off tissue touch.
    reach
        Distance from spots in µm; pieces of tissue that lie wholly beyond it belong to another section.
    """

    spots: NDArray[np.int64]
    measured: NDArray[np.bool_]
    joined: NDArray[np.bool_]
    off: NDArray[np.bool_]
    reach: float


@dataclass(frozen=True, eq=False)
class Tissue:
    """A tissue mask, and how it was made.

    Parameters
    ----------
    mask
        (rows, cols) bool.
    detector
        Name of the detector it was made by, one of :data:`~stsr.imaging.detectors.DETECTORS`, or :data:`BY_SPOTS`.
    confidence
        How well the detector's mask separates tissue from glass in all cues: 1 when all pixels inside have higher values
        than all outside, 0 when inside and outside do not differ, or when the image is green, as an inverted one is. It
        is lower where presumed glass is coloured, and by the share of ink in the bounding box of the tissue.
    agreement
        Mean overlap (intersection over union) of the detector's mask with those of the others.
    left_out
        Share of the spots that lie off the mask made from the image alone, and off the chosen detector's mask; None
        without spots.
    dropped
        Area in µm² of pieces far from every spot that were left out.
    """

    mask: NDArray[np.bool_]
    detector: str
    confidence: float
    agreement: float
    left_out: tuple[float, float] | None = None
    dropped: float = 0.0


def tissue_mask(
    image: NDArray[np.uint8], mpp: float, *, min_piece: float = MIN_PIECE, max_hole: float = MAX_HOLE
) -> NDArray[np.bool_]:
    """Separate tissue from glass by the image alone.

    Stained tissue is uneven where glass, shadows and diffuse stain are smooth: the local standard deviation of the
    green light's optical density, in which both stains show, has two separate modes, and Otsu's threshold on its
    logarithm separates them. Where optical density or colour give a clearly better mask, as for smooth tissue, that mask
    is used. Ink is left out by its colour, tubes and vessels are filled, and specks are dropped.

    Parameters
    ----------
    image
        (rows, cols, 3) uint8 H&E, best near :data:`TISSUE_MPP`.
    mpp
        µm per pixel of ``image``.
    min_piece, max_hole
        Areas in µm²: smaller pieces of tissue are dropped, smaller holes filled.

    Returns
    -------
    (rows, cols) bool.

    Raises
    ------
    ValueError
        When there is no tissue.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.full((100, 100, 3), 245, dtype=np.uint8)
    >>> image[20:80, 20:80] = np.random.default_rng(0).integers(90, 200, (60, 60, 3))
    >>> mask = tissue_mask(image, 8.0)
    >>> bool(mask[50, 50]), bool(mask[5, 5])
    (True, False)
    """
    return find_tissue(image, mpp, min_piece=min_piece, max_hole=max_hole).mask


def find_tissue(
    image: NDArray[np.uint8],
    mpp: float,
    evidence: Evidence | None = None,
    *,
    min_piece: float = MIN_PIECE,
    max_hole: float = MAX_HOLE,
) -> Tissue:
    """Separate tissue from glass by the image, and by the spots where there are any.

    Each detector makes a mask. Without spots, the chosen one separates inside from outside best in all cues and agrees
    best with the others. With spots, it agrees best with these by Lee and Liu's criterion for learning from positive and
    unlabelled examples, :math:`r^2 / p`, where the mask holds the share :math:`r` of the measured area, and the share
    :math:`p` of all area within reach of spots or, where spots off tissue are known, of all spots. Measured area and the
    gaps between neighbouring spots are always tissue. Pieces beyond the reach of every spot belong to another section.

    Raises
    ------
    ValueError
        When the image shows no tissue.

    References
    ----------
    W. S. Lee and B. Liu, ICML 2003, 448-455.
    """
    cues = measure_cues(image, mpp)
    masks = {
        name: mask for name, mask in detect(cues, mpp, min_piece=min_piece, max_hole=max_hole).items() if mask.any()
    }
    spots = evidence if evidence is not None and evidence.measured.any() else None
    if not masks:
        if spots is not None and not _blank(cues):
            return Tissue(spots.joined, BY_SPOTS, 0.0, 0.0, (1.0, 1.0))
        raise ValueError(
            f"image of {image.shape[1]} x {image.shape[0]} pixels at {mpp:g} µm/px shows no tissue; check that it is "
            "the H&E and not a blank or inverted image, or pass your own mask as tissue=."
        )
    agreements = {name: _agreement(name, masks) for name in masks}
    confidences = {name: _confidence(image, cues, mask, agreements[name]) for name, mask in masks.items()}
    alone = _choose({name: (confidences[name] + agreements[name]) / 2 for name in masks}, IMAGE_MARGIN)
    if spots is None:
        # of two masks that both separate the cues well but hardly overlap, one is wrong
        rival = masks[max(confidences, key=confidences.__getitem__)]
        trust = min(confidences[alone], 2 * _overlap(masks[alone], rival))
        return Tissue(masks[alone], alone, trust, agreements[alone])

    within = ndimage.distance_transform_edt(~spots.measured) * mpp <= spots.reach
    chosen = _by_spots(masks, spots, within) or alone
    mask = without_holes(masks[chosen] | spots.joined, mpp, max_hole)
    near = _touching(mask, within)
    rows, cols = spots.spots.T
    left_out = tuple(float(1 - masks[name][rows, cols].mean()) for name in (alone, chosen))
    dropped = float((mask & ~near).sum() * mpp**2)
    return Tissue(near, chosen, confidences[chosen], agreements[chosen], (left_out[0], left_out[1]), dropped)


def _blank(cues: Cues) -> bool:
    """Whether the image outside ink has no more contrast than bare glass."""
    contrast = cues.values["contrast"][~cues.ink]
    return not contrast.size or float(np.quantile(contrast, 1 - MIN_SHARE)) <= BOUNDS["contrast"][0]


def _confidence(image: NDArray[np.uint8], cues: Cues, mask: NDArray[np.bool_], agreement: float) -> float:
    """Confidence in a mask by the image alone; 0 where colours are inverted.

    For a mask without an outside it is the agreement with others.
    """
    if _green(image):
        return 0.0
    separated = separation(cues, mask)
    if separated is None:
        return agreement
    outside = optical_density(np.median(image[~mask & ~cues.ink], axis=0).astype(np.uint8))
    pale, coloured = NEUTRAL
    neutral = float(np.clip((coloured - np.ptp(outside)) / (coloured - pale), 0, 1))
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return min(separated, neutral) * float(1 - cues.ink[box].mean())


def _green(image: NDArray[np.uint8]) -> bool:
    """Whether most coloured pixels are green, as in no H&E: both of its stains absorb green the most."""
    coloured = np.ptp(image, axis=-1) > COLOURED
    return bool(coloured.mean() > MIN_SHARE and (image[coloured].argmax(axis=-1) == 1).mean() > 0.5)


def separation(cues: Cues, mask: NDArray[np.bool_]) -> float | None:
    """How well a mask separates high from low values of the cues: the mean of Somers' D, which is 1 without overlap.

    Somers' D is 2 AUC - 1, with AUC from the rank sum (Mann-Whitney). Ink and constant cues are left out. None when the
    mask has almost no inside or outside.
    """
    from scipy.stats import rankdata

    step = max(1, int(np.sqrt(mask.size / SAMPLED)))
    seen = ~cues.ink[::step, ::step]
    inside = mask[::step, ::step][seen]
    if not seen.any() or not MIN_SHARE <= inside.mean() <= 1 - MIN_SHARE:
        return None
    several = []
    for values in (cue[::step, ::step][seen] for cue in cues.values.values()):
        if np.ptp(values) > 0:
            n, m = int(inside.sum()), int((~inside).sum())
            area = (rankdata(values)[inside].sum() - n * (n + 1) / 2) / (n * m)
            several.append(2 * area - 1)
    return float(max(np.mean(several), 0)) if several else None


def _agreement(name: str, masks: dict[str, NDArray[np.bool_]]) -> float:
    """Mean overlap of a mask with those of other cues; a mask of two cues is compared with that of the third, if any."""
    singles = [other for other in masks if other not in (name, EITHER)]
    apart = [other for other in singles if name != EITHER or other not in EITHER]
    mine, others = masks[name], [masks[other] for other in apart or singles]
    return float(np.mean([_overlap(mine, mask) for mask in others])) if others else 0.0


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def _choose(values: dict[str, float], margin: float) -> str:
    """The detector with the finest outline, unless the best is more than ``margin`` above it."""
    best = max(values, key=values.__getitem__)
    return DETECTORS[0] if values.get(DETECTORS[0], -np.inf) >= values[best] - margin else best


def _by_spots(masks: dict[str, NDArray[np.bool_]], evidence: Evidence, within: NDArray[np.bool_]) -> str | None:
    """The detector that agrees best with the spots; None where no mask holds any of them."""
    known = evidence.measured | evidence.off if evidence.off.any() else within
    scores = {}
    for name, mask in masks.items():
        held = float(mask[evidence.measured].mean())
        scores[name] = held**2 / float(mask[known].mean()) if held else 0.0
    best = max(scores.values())
    return _choose(scores, SPOTS_MARGIN * best) if best else None


def _touching(mask: NDArray[np.bool_], where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pieces of a mask that reach into ``where``."""
    pieces, _ = ndimage.label(mask)
    kept = np.unique(pieces[where & mask])
    return np.isin(pieces, kept) & mask
