"""Patches cover what they should, once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from toys.section import toy_section

from stsr.methods.shared.spot_cells import around_spots, under_spots


def test_under_spots_holds_the_footprint():
    section = toy_section().section
    patches = under_spots(section.footprint)
    back = np.zeros(section.footprint.shape, dtype=np.float32)
    for anchor, cells, weight in zip(patches.anchor, patches.cells, patches.weight, strict=True):
        np.add.at(back[anchor], cells, weight)
    np.testing.assert_allclose(back, section.footprint.toarray())


def test_spots_without_cells_have_no_patch():
    section = toy_section().section
    footprint = section.footprint.tolil()
    footprint[3] = 0
    patches = under_spots(footprint.tocsr())
    assert 3 not in patches.anchor
    assert len(patches) == footprint.shape[0] - 1


@given(st.integers(1, 80), st.integers(1, 500), st.integers(0, 40), st.integers(1, 8), st.integers(1, 3))
def test_around_spots_visits_every_cell_once(size, batch, start, height, step):
    section = toy_section().section
    rows = section.grid.cells(slice(start, start + height))
    cells = np.arange(rows.start, rows.stop)[::step]
    tree = cKDTree(section.spots)
    seen = []
    for patches in around_spots(section.grid, cells, tree, size=size, batch=batch):
        real = patches.weight > 0
        assert patches.cells.shape[1] <= size
        assert len(patches) == 1 or patches.cells.size <= batch
        assert real.all(axis=1).any()  # no wider than the longest of them
        owner = np.repeat(patches.anchor[:, None], patches.cells.shape[1], axis=1)
        np.testing.assert_array_equal(owner[real], tree.query(section.grid.xy[patches.cells[real]])[1])
        seen.extend(patches.cells[real])
    assert sorted(seen) == cells.tolist()
