"""Sections of one name: parts of one section, or different ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from toys.section import toy_section

from stsr.joined import join
from stsr.section_names import check_names

TOY = toy_section().section
N = len(TOY.spots)
PLACES = np.column_stack(np.divmod(np.arange(N), 7))
SECTION = replace(TOY, section_name="C2", patient="C", array_rowcol=PLACES)
COUNTS = TOY.counts.toarray()
OTHER = replace(SECTION, counts=sp.csr_array(COUNTS + np.eye(N, COUNTS.shape[1], -9, dtype=np.float32)))


def test_parts_of_a_section_share_its_name():
    left, right = SECTION.subset(slice(0, 20)), SECTION.subset(slice(15, N))
    check_names([left, right])
    assert set(join([left, right]).spot_section) == {"C2"}
    check_names([SECTION, SECTION])


def test_other_counts_at_a_place_of_the_array_are_another_section():
    with pytest.raises(ValueError, match=r"1 and 3 are both named 'C2' but .* row 1, column 2 .*dataset_id='C2_3'"):
        check_names([SECTION, TOY, OTHER])
    with pytest.raises(ValueError, match="both named 'C2'"):
        join([SECTION, OTHER])


def test_other_patients_are_other_sections():
    bare = replace(SECTION, array_rowcol=None)
    with pytest.raises(ValueError, match=r"are both named 'C2' but are of the patients C and D;"):
        check_names([bare, replace(bare, patient="D")])
    check_names([bare, replace(bare, patient="")])


def test_what_shows_no_difference_passes():
    check_names([SECTION, replace(OTHER, section_name="C3")])
    check_names([replace(SECTION, section_name=""), replace(OTHER, section_name="")])
    check_names([SECTION, replace(OTHER, array_rowcol=None)])
    check_names([SECTION, replace(OTHER, array_rowcol=PLACES + 1000)])


def test_names_within_joined_sections_are_compared_too():
    both = join([SECTION, replace(OTHER, section_name="C4")])
    check_names([both, SECTION])
    with pytest.raises(ValueError, match="1 and 2 are both named 'C4'"):
        check_names([replace(SECTION, section_name="C4"), both])
