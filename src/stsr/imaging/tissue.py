"""Where the tissue lies on the glass, by the image and by the spots that were measured on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stsr.imaging.detectors import BOUNDS, DETECTORS, EITHER, Cues, detect, measure_cues, optical_density, without_holes

TISSUE_MPP = 8.0
"""µm per pixel at which tissue is looked for."""

MIN_PIECE, MAX_HOLE = 20_000.0, 50_000.0
"""Areas in µm²: smaller pieces of tissue are dropped, smaller holes filled."""

SPOTS_MARGIN, IMAGE_MARGIN = 0.05, 0.05
"""How much better another detector must be to be taken instead of the first: relative, by the agreement with the
spots; absolute, by the separation of the cues and the agreement with other detectors."""

SURE = 0.8
"""Confidence from which a mask made from the image alone is taken as it is."""

FEWEST = 0.01
"""Share of the image that must lie on either side of a mask for it to separate anything."""

SAMPLED = 100_000
"""Pixels on which masks are compared with cues."""

NEUTRAL = (0.15, 0.25)
"""Difference of optical density between the channels of what is taken for glass: up to the first, a lamp has that colour;
from the second on, it is tissue."""

COLOURED = 30
"""Grey levels between the brightest and the darkest channel of a pixel that shows a stain."""

BY_SPOTS = "spots"
"""What stands for the detector where the image shows no tissue and the spots alone tell."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Where a section was measured, in pixels of the image in which tissue is looked for.

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
        µm around spots within which the section's own tissue lies or borders.
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
        How well the detector's mask separates tissue from glass in all cues: 1 when every pixel inside has more of each
        than every pixel outside, 0 when inside and outside are alike, or when the image is green, as an inverted one
        is. Less where what is taken for glass is coloured, and by the share of ink between the tissue.
    agreement
        Mean overlap (intersection over union) of the detector's mask with those of the others.
    left_out
        Share of the spots that lie off the mask that the image alone would have given, and off the detector's own; None
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
    """Tell tissue from glass by the image alone.

    Stained tissue is uneven where glass, shadows and diffuse stain are smooth: the local standard deviation of the
    green light's optical density, in which both stains show, has two separate modes, and Otsu's threshold on its
    logarithm parts them. Where the mask that comes of it is at odds with how dense or how coloured the tissue is, as
    with smooth tissue, a mask made by these is taken. Ink is left out by its colour, tubes and vessels are filled,
    specks are dropped.

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
    """Tell tissue from glass by the image, and by the spots where there are any.

    Several detectors make a mask each. Without spots, the one is taken that separates inside from outside best in all
    cues and agrees best with the others. With spots, it is the one that agrees best with them by Lee and Liu's criterion
    for learning from positive and unlabelled examples, :math:`r^2 / p`: a mask that holds the share :math:`r` of the
    measured area, and the share :math:`p` of all the area within reach of spots, or, where spots off tissue are known, of
    all spots. What was measured is tissue in any case, and so are the gaps between neighbouring spots. Pieces beyond the
    reach of every spot are another section's.

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
        # of two masks that both part the cues well but hardly overlap, one is wrong
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
    """Whether the image has no more contrast than bare glass anywhere that is not ink."""
    contrast = cues.values["contrast"][~cues.ink]
    return not contrast.size or float(np.quantile(contrast, 1 - FEWEST)) <= BOUNDS["contrast"][0]


def _confidence(image: NDArray[np.uint8], cues: Cues, mask: NDArray[np.bool_], agreement: float) -> float:
    """How far a mask is to be trusted by the image alone: not at all where its colours are inverted ones.

    A mask without an outside is trusted by its agreement with others.
    """
    if _green(image):
        return 0.0
    parted = separation(cues, mask)
    if parted is None:
        return agreement
    outside = optical_density(np.median(image[~mask & ~cues.ink], axis=0).astype(np.uint8))
    pale, coloured = NEUTRAL
    neutral = float(np.clip((coloured - np.ptp(outside)) / (coloured - pale), 0, 1))
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return min(parted, neutral) * float(1 - cues.ink[box].mean())


def _green(image: NDArray[np.uint8]) -> bool:
    """Whether most of what is coloured is green, as no H&E is: both of its stains take out green the most."""
    coloured = np.ptp(image, axis=-1) > COLOURED
    return bool(coloured.mean() > FEWEST and (image[coloured].argmax(axis=-1) == 1).mean() > 0.5)


def separation(cues: Cues, mask: NDArray[np.bool_]) -> float | None:
    """How well a mask parts high from low values of the cues: the mean of Somers' D, which is 1 when none overlap.

    Ink does not count, nor does a cue that is the same everywhere. None when the mask leaves next to nothing on one
    side.
    """
    from scipy.stats import rankdata

    step = max(1, int(np.sqrt(mask.size / SAMPLED)))
    seen = ~cues.ink[::step, ::step]
    inside = mask[::step, ::step][seen]
    if not seen.any() or not FEWEST <= inside.mean() <= 1 - FEWEST:
        return None
    several = []
    for values in (cue[::step, ::step][seen] for cue in cues.values.values()):
        if np.ptp(values) > 0:
            n, m = int(inside.sum()), int((~inside).sum())
            area = (rankdata(values)[inside].sum() - n * (n + 1) / 2) / (n * m)
            several.append(2 * area - 1)
    return float(max(np.mean(several), 0)) if several else None


def _agreement(name: str, masks: dict[str, NDArray[np.bool_]]) -> float:
    """Mean overlap of a mask with those of other cues; of a mask of two cues, with the third where there is one."""
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
    """The detector that agrees best with the spots; None where none holds any of them."""
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
