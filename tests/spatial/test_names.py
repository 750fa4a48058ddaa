"""What a section may be called."""

from __future__ import annotations

import pytest

from stsr.spatial.names import check_dataset_id


@pytest.mark.parametrize("name", ["C2", "sample-1_left.b", "9", "tables", "grid_old", "a" * 100])
def test_names_that_elements_can_carry(name):
    assert check_dataset_id(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "_a", "größe", "a" * 101, None, 3])
def test_names_that_they_cannot(name):
    with pytest.raises(ValueError, match="cannot name elements; use letters, digits"):
        check_dataset_id(name)


@pytest.mark.parametrize(
    "name", ["table", "he", "HE", "global", "grid_008um", "sr_008um_nuclei_2um", "features_x_016um"]
)
def test_names_of_elements_that_stsr_writes(name):
    with pytest.raises(ValueError, match="stsr gives this name to an element of its own; choose another"):
        check_dataset_id(name)
