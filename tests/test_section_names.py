"""Names of sections: kept by parts of one section, and unique for different ones."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from toys.section import toy_section

from stsr.joined import join
from stsr.section_names import unique_names

TOY = toy_section().section
N = len(TOY.spots)
PLACES = np.column_stack(np.divmod(np.arange(N), 7))
SECTION = replace(TOY, section_name="C2", patient="C", array_rowcol=PLACES)
COUNTS = TOY.counts.toarray()
OTHER = replace(SECTION, counts=sp.csr_array(COUNTS + np.eye(N, COUNTS.shape[1], -9, dtype=np.float32)))


def names(*sections):
    """The names of each section."""
    return [sorted(set(spots.tolist())) for spots in unique_names(sections)]


def test_a_section_without_a_name_gets_its_place():
    assert names(TOY, SECTION, TOY) == [["section 1"], ["C2"], ["section 3"]]
    half = replace(TOY, section_name=np.where(np.arange(N) < 9, "B4", ""))
    assert names(half) == [["B4", "section 1"]]
    assert unique_names([half])[0][:10].tolist() == ["B4"] * 9 + ["section 1"]


def test_parts_of_a_section_share_its_name(caplog):
    left, right = SECTION.subset(slice(0, 20)), SECTION.subset(slice(15, N))
    assert names(left, right, SECTION, SECTION) == [["C2"]] * 4
    assert not caplog.messages


def test_other_counts_at_a_place_of_the_array_are_another_section(caplog):
    with caplog.at_level(logging.WARNING):
        assert names(SECTION, TOY, OTHER) == [["C2"], ["section 2"], ["C2 (3)"]]
    assert (
        "Two sections are named 'C2' but counted differently at row 1, column 2 of the array: the later one is called "
        in (caplog.text)
    )
    assert "'C2 (3)' here; read it again with another dataset_id" in caplog.text
    assert set(join([SECTION, OTHER]).spot_section) == {"C2", "C2 (2)"}


def test_a_part_joins_the_section_that_it_is_of(caplog):
    assert names(SECTION, OTHER, OTHER.subset(slice(5, 30)), SECTION) == [["C2"], ["C2 (2)"], ["C2 (2)"], ["C2"]]
    assert len(caplog.messages) == 1
    crop = SECTION.subset(slice(30, N))  # knows nothing of the place at which the others differ
    assert names(crop, SECTION, OTHER) == [["C2"], ["C2"], ["C2 (3)"]]


def test_other_patients_are_other_sections(caplog):
    bare = replace(SECTION, array_rowcol=None)
    assert names(bare, replace(bare, patient="D")) == [["C2"], ["C2 (2)"]]
    assert "but are of the patients C and D: the later" in caplog.text
    assert names(bare, replace(bare, patient="")) == [["C2"], ["C2"]]


def test_what_shows_no_difference_is_one_section():
    assert names(SECTION, replace(OTHER, array_rowcol=None)) == [["C2"], ["C2"]]
    assert names(SECTION, replace(OTHER, array_rowcol=PLACES + 1000)) == [["C2"], ["C2"]]
    assert names(SECTION, replace(OTHER, section_name="C3")) == [["C2"], ["C3"]]


def test_names_within_joined_sections_are_compared_too():
    both = join([SECTION, replace(OTHER, section_name="C4")])
    assert names(both, SECTION, replace(SECTION, section_name="C4")) == [["C2", "C4"], ["C2"], ["C4 (3)"]]
