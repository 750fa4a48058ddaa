"""What the resolution that a file states proves of the matrix that aligns it."""

from pathlib import Path

import numpy as np
import pytest
from toys.xenium import PIXEL, alignment

from stsr.pp._aligned_mpp import aligned_mpp
from stsr.spatial.fullres import FullRes


def stating(mpp: float | None) -> FullRes:
    return FullRes(Path("he.tif"), None, mpp)


@pytest.mark.parametrize("mpp", [0.12, 0.2738, 0.5, 1.1])
@pytest.mark.parametrize("pixel", [0.2125, 0.108])
def test_matrices_between_other_frames_are_proved_by_the_statedaligned_mpp(pixel, mpp):
    matrix = alignment(scale=mpp / pixel)
    assert aligned_mpp(matrix, pixel, stating(mpp)) == pytest.approx(mpp)
    to_um = np.diag([pixel, pixel, 1])
    remedy = r"np\.diag\(\[1 / pixel_size, 1 / pixel_size, 1\]\) @ "
    for wrong, message in (
        (np.linalg.inv(matrix), r"the wrong way round: .* and he\.tif states .*; pass np\.linalg\.inv\(alignment\)\."),
        (to_um @ matrix, rf"leads to µm, not to pixels of the section: .*; pass {remedy}alignment\."),
        (
            np.linalg.inv(to_um @ matrix),
            rf"leads from µm to pixels of the H&E, .* pass {remedy}np\.linalg\.inv\(alignment",
        ),
    ):
        with pytest.raises(ValueError, match=message) as told:
            aligned_mpp(wrong, pixel, stating(mpp))
        # The remedy works.
        expression = str(told.value).rsplit("; pass ", 1)[1].rstrip(".")
        better = eval(expression, {"np": np, "alignment": wrong, "pixel_size": pixel})
        np.testing.assert_allclose(better, matrix, atol=1e-6)


def test_what_the_file_does_not_state_proves_nothing():
    inverse = np.linalg.inv(alignment(scale=0.2738 / PIXEL))
    for stated in (None, 352.8, 0.01):
        assert aligned_mpp(inverse, PIXEL, stating(stated)) == pytest.approx(PIXEL**2 / 0.2738)
    near = alignment(scale=1.02)  # both ways give the same
    assert aligned_mpp(near, PIXEL, stating(PIXEL)) == pytest.approx(1.02 * PIXEL)
