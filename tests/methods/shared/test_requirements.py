"""Too few spots are refused, few are warned of."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from toys.section import toy_section

from stsr.geometry import Grid
from stsr.methods import METHODS, Training, create
from stsr.methods.shared.requirements import require_spots, spots_on_tissue, warned
from stsr.section import Section

QUIET = Training(device="cpu", progress=False)

SECTION = toy_section(shape=(120, 130)).section


def warnings_of(caplog, spots):
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="stsr"):
        require_spots(SECTION.subset(np.arange(spots)), "ridge")
    return [record.getMessage() for record in caplog.records]


def test_fewer_than_200_spots_are_warned_of_with_what_to_expect(caplog):
    assert warnings_of(caplog, 200) == []
    (message,) = warnings_of(caplog, 199)
    assert message.startswith("199 spots are few to train method='ridge', which wants 200: expect it to miss")
    assert "method='idw'" in message


def test_fewer_than_20_are_refused_or_than_a_method_says():
    with pytest.raises(ValueError, match="spots=19 are too few to train method='ridge', which needs 20"):
        require_spots(SECTION.subset(np.arange(19)), "ridge")
    with pytest.raises(ValueError, match="spots=24 are too few to train method='stack', which needs 25"):
        require_spots(SECTION.subset(np.arange(24)), "stack", fewest=25)


def test_who_was_warned_is_not_warned_again(caplog):
    with warned():
        assert warnings_of(caplog, 30) == []
        with pytest.raises(ValueError, match="too few"):
            require_spots(SECTION.subset(np.arange(19)), "ridge")
    assert len(warnings_of(caplog, 30)) == 1


def beside(left: int) -> Section:
    """The section with all but some of its spots moved off the tissue."""
    spots = SECTION.spots.copy()
    spots[left:, 0] -= 5000
    return replace(SECTION, spots=spots)


def test_spots_beside_the_tissue_do_not_count():
    with pytest.raises(
        ValueError,
        match=f"spots=3 are too few .* which needs 20; {len(SECTION.spots) - 3} more lie beside the grid's tissue",
    ):
        require_spots(beside(3), "ridge")


@pytest.mark.parametrize("left", [0, 3, 19])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_that_trains_counts_the_spots_it_would_learn_from(name, left):
    section = beside(left)
    interpolates = name in ("idw", "linear", "nearest")
    if interpolates and left:
        method = create(name).fit(section, seed=0, training=QUIET)
        assert np.isfinite(method.on(section, device="cpu")(slice(None)).mean).all()
        return
    with pytest.raises(ValueError, match="check that the tissue covers the spots"):
        create(name).fit(section, seed=0, training=QUIET)


def test_a_small_region_between_spots_can_be_interpolated():
    section = SECTION.subset(~spots_on_tissue(beside(0)))
    far = np.linalg.norm(section.grid.xy - section.spots[0], axis=1) < 20
    mask = section.grid.mask.copy()
    mask[mask] = far
    region = replace(section, grid=Grid(section.grid.affine, mask), spots=section.spots + [60.0, 0])
    assert np.isfinite(create("idw").fit(region, seed=0, training=QUIET).on(region)(slice(None)).mean).all()
