"""What spots say of tissue: every pixel a disc touches, the gaps between neighbours, and spots called off tissue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.spatial import hex_spots, toy_sdata

import stsr
from stsr.geometry import Disc, Square
from stsr.pp._evidence import joined_discs, tissue_evidence, touched
from stsr.spatial import note

FRAME = np.diag([8.0, 8.0, 1.0])


@given(x=st.floats(2, 18), y=st.floats(2, 18), diameter=st.floats(3, 60))
def test_every_point_of_a_disc_lies_on_its_pixels(x, y, diameter):
    mask = touched(np.array([[x, y]]), Disc(diameter), 8.0, (20, 20))
    turn = np.linspace(0, 2 * np.pi, 60)
    edge = np.floor(np.column_stack([x + diameter / 16.001 * np.cos(turn), y + diameter / 16.001 * np.sin(turn)]))
    edge = edge[((edge >= 0) & (edge < 20)).all(axis=1)].astype(int)
    assert mask[edge[:, 1], edge[:, 0]].all()
    assert mask[int(y), int(x)]
    col, row = np.meshgrid(*[np.arange(20) + 0.5] * 2)
    assert not mask[np.hypot(col - x, row - y) * 8 > diameter / 2 + 5.7].any()


def test_bins_are_their_squares():
    place = np.array([[5.5, 5.5], [6.5, 5.5]])
    assert touched(place, Square(8.0), 8.0, (12, 12)).sum() == 2
    assert touched(place, Square(2.0), 8.0, (12, 12)).sum() == 2
    assert touched(np.array([[6.0, 6.0]]), Square(32.0), 8.0, (12, 12)).sum() == 16


def test_discs_beyond_the_image_do_no_harm():
    mask = touched(np.array([[-1.0, 3.0], [30.0, 3.0], [0.2, 0.2]]), Disc(30.0), 8.0, (6, 6))
    assert mask[3, 0]
    assert mask[0, 0]
    assert not mask[:, 4:].any()
    assert not touched(np.empty((0, 2)), Disc(30.0), 8.0, (6, 6)).any()


@pytest.mark.parametrize("pitch", [100.0, 110.0])
def test_the_middle_of_a_hexagonal_lattice_is_joined_and_a_missing_spot_is_not_bridged(pitch):
    xy, _ = hex_spots(9, 5, pitch / 8, (10, 10))
    middle = np.argmin(np.linalg.norm(xy - xy.mean(axis=0), axis=1))
    for kept, whole in ((xy, True), (np.delete(xy, middle, axis=0), False)):
        discs = touched(kept, Disc(55), 8.0, (140, 110))
        joined = joined_discs(discs, (pitch / np.sqrt(2) - 27.5) / 8)
        assert joined[discs].all()
        low, high = np.floor(xy.min(axis=0) + 7).astype(int), np.floor(xy.max(axis=0) - 7).astype(int)
        assert joined[low[1] : high[1], low[0] : high[0]].all() == whole
        assert joined[int(xy[middle][1]), int(xy[middle][0])] == whole
        assert not joined[120:].any()


def test_the_middle_of_a_square_lattice_is_joined():
    xy = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2) * 25.0 + 12
    joined = joined_discs(touched(xy, Disc(100), 8.0, (110, 130)), (200 / np.sqrt(2) - 50) / 8)
    assert joined[12:85, 12:110].all()
    assert not joined[100:].any()


def test_two_spots_far_apart_stay_apart():
    xy = np.array([[10.0, 10.0], [35.0, 10.0]])  # two pitches
    joined = joined_discs(touched(xy, Disc(55), 8.0, (20, 45)), (100 / np.sqrt(2) - 27.5) / 8)
    assert not joined[:, 18:27].any()


def test_spots_called_off_tissue_are_told_from_those_on_it():
    sdata = toy_sdata()
    called = np.arange(12) % 3 > 0
    for values in (called, called.astype(int), called.astype(str), called.astype(float)):
        sdata["table"].obs["in_tissue"] = values
        found = tissue_evidence(sdata, FRAME, (62, 56))
        assert len(found.spots) == called.sum()
        assert found.off.any()
        assert not (found.off & found.measured).any()
    del sdata["table"].obs["in_tissue"]
    found = tissue_evidence(sdata, FRAME, (62, 56))
    assert len(found.spots) == 12
    assert not found.off.any()
    assert found.reach == pytest.approx(200)


def test_bins_are_evidence_too():
    sdata = stsr.datasets.synthetic_section(size=(400, 400), n_genes=4)
    note(sdata, spots="truth_grid_008um", table="truth_008um", spot_size=8.0)
    found = tissue_evidence(sdata, FRAME, (50, 50))
    np.testing.assert_array_equal(found.measured, np.asarray(sdata["truth_grid_008um"]) > 0)
    np.testing.assert_array_equal(found.joined, found.measured)


def test_a_section_without_spots_has_no_evidence():
    sdata = toy_sdata()
    del sdata["table"]
    assert tissue_evidence(sdata, FRAME, (62, 56)) is None
    sdata = toy_sdata(spots=None, table=None, spot_size=None)
    assert tissue_evidence(sdata, FRAME, (62, 56)) is None
