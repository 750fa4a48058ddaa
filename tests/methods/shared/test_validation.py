"""What is held out: patients, sections or spots, never a part of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.section import toy_section

from stsr.methods.shared.validation import validation_split

SECTION = toy_section(shape=(26, 28), bin_size=16.0).section
SPOTS = len(SECTION.spots)


def split(section, share=0.2, seed=0):
    return validation_split(section, share, np.random.default_rng(seed))


@given(share=st.floats(0.01, 0.9), seed=st.integers(0, 99), sections=st.integers(1, 5), patients=st.integers(0, 5))
def test_every_spot_is_in_one_part_and_no_group_in_both(share, seed, sections, patients):
    names = np.array([f"S{i % sections}" for i in range(SPOTS)])
    patient = np.array([f"P{i % sections % patients}" if patients else "" for i in range(SPOTS)])
    section = replace(SECTION, section_name=names, patient=patient)
    learned, held_out = split(section, share, seed)
    assert sorted([*learned, *held_out]) == list(range(SPOTS))
    assert len(learned) > 0
    assert len(held_out) > 0
    group = patient if len(set(patient)) > 1 else names if sections > 1 else np.arange(SPOTS)
    assert not set(group[learned]) & set(group[held_out])


def test_of_one_section_the_share_of_spots_is_held_out():
    assert len(split(SECTION, 0.25)[1]) == pytest.approx(0.25 * SPOTS, abs=1)


def test_sections_are_held_out_until_they_are_enough():
    names = np.array(["A"] * 10 + ["B"] * 10 + ["C"] * (SPOTS - 20))
    section = replace(SECTION, section_name=names)
    for seed in range(9):
        held_out = set(names[split(section, 15 / SPOTS, seed)[1]])
        assert held_out in ({"C"}, {"A", "B"}, {"A", "C"}, {"B", "C"})


def test_patients_that_are_not_all_named_are_not_told_apart():
    names = np.array(["A", "B"] * SPOTS)[:SPOTS]
    patient = np.where(np.arange(SPOTS) < 4, "", "P")
    learned, held_out = split(replace(SECTION, section_name=names, patient=patient))
    assert {len(set(names[learned])), len(set(names[held_out]))} == {1}


def test_the_generator_decides():
    assert np.array_equal(split(SECTION)[0], split(SECTION)[0])
    assert not np.array_equal(split(SECTION)[1], split(SECTION, seed=1)[1])
