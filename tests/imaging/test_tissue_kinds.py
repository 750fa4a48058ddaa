"""The mask on every kind of tissue under every distortion, with spots and without."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

import stsr
from stsr.datasets._tissue import TISSUES
from stsr.datasets.distortions import DISTORTIONS, SEVERITIES
from stsr.geometry import Disc
from stsr.imaging import SURE, TISSUE_MPP, Evidence, find_tissue
from stsr.pp._evidence import joined_discs, touched
from stsr.spatial import labels_to_grid, read_raster, record

MPP, GLASS = 4.0, 240.0
"""Of the images, and width of the bare glass that is put around them, both in µm."""

ON_GLASS = ("second_section", "no_glass", "pen", "fold")
"""Distortions that put on glass what looks like tissue, or like a stain."""


DISTORTED = [(name, severity) for name in DISTORTIONS for severity in SEVERITIES]

CASES = {
    tissue: [each for place, each in enumerate(DISTORTED) if (place + number) % 3 == 0]
    for number, tissue in enumerate(TISSUES)
}
"""A third of all combinations: every tissue under a third of the distorted images, each of these on two tissues or more."""


@cache
def section(tissue: str) -> tuple[np.ndarray, np.ndarray, Evidence]:
    """Image at :data:`MPP`, and at the resolution of masks where tissue truly is and what spots say."""
    sdata = stsr.datasets.synthetic_section(size=(880, 800), n_genes=2, mpp=2, tissue=tissue, seed=1)
    image = read_raster(sdata, record(sdata).image).read(np.diag([MPP, MPP, 1]), (200, 220))
    true = labels_to_grid(sdata, "truth_grid_008um").mask
    pad = 0 if tissue == "crop" else round(GLASS / TISSUE_MPP)
    canvas = np.random.default_rng(0).normal(244, 1, [side + 2 * pad * 2 for side in image.shape[:2]] + [3])
    canvas[2 * pad : len(canvas) - 2 * pad, 2 * pad : canvas.shape[1] - 2 * pad] = image
    true = np.pad(true, pad)
    place = sdata["table"].obsm["spatial"] * 2 / TISSUE_MPP + pad
    measured = touched(place, Disc(55), TISSUE_MPP, true.shape)
    joined = joined_discs(measured, (100 / np.sqrt(2) - 27.5) / TISSUE_MPP)
    spots = Evidence(np.floor(place).astype(int)[:, ::-1], measured, joined, np.zeros_like(measured), 200)
    return np.rint(canvas).clip(0, 255).astype(np.uint8), true, spots


@cache
def overview(tissue: str, name: str, severity: str) -> np.ndarray:
    """The distorted image at the resolution of masks."""
    image, true, _ = section(tissue)
    changed = DISTORTIONS[name](image, MPP, severity, 0)
    return changed.reshape(len(true), 2, -1, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(
    ("tissue", "name", "severity"), [(tissue, *each) for tissue, cases in CASES.items() for each in cases]
)
def test_with_spots_all_that_was_measured_is_tissue_and_glass_far_away_is_not(tissue, name, severity):
    _, true, spots = section(tissue)
    found = find_tissue(overview(tissue, name, severity), TISSUE_MPP, spots)
    assert found.mask[spots.joined].all()
    glass = ndimage.distance_transform_edt(~true) * TISSUE_MPP > 120
    if name not in ON_GLASS and glass.any():
        assert found.mask[glass].mean() < 0.05
        assert overlap(found.mask, true) > 0.75


@pytest.mark.parametrize("tissue", TISSUES)
def test_without_spots_the_confidence_tells_good_from_bad(tissue):
    _, true, _ = section(tissue)
    good, wrong = [], []
    for name, severity in CASES[tissue]:
        # what a margin hides, and what else lies on the glass, is not what the mask of this section is
        if name in (*ON_GLASS, "black_margin", "white_margin"):
            continue
        found = find_tissue(overview(tissue, name, severity), TISSUE_MPP)
        share = overlap(found.mask, true)
        if not 0.6 < share < 0.7:
            (good if share > 0.7 else wrong).append((found.confidence, name, severity))
    assert not [each for each in wrong if each[0] >= SURE]
    assert np.mean([confidence >= SURE for confidence, *_ in good]) > 0.7
