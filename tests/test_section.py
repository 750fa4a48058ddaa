"""The arrays-only view of a section."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toys.section import structure, toy_section

TOY = toy_section()


def test_counts_add_up_over_the_cells_of_each_disc():
    expected = TOY.section.footprint @ TOY.truth
    z = (TOY.section.counts.toarray() - expected) / np.sqrt(expected)
    assert abs(z.mean()) < 0.2
    assert z.std() == pytest.approx(1, abs=0.15)


def test_spot_cells_is_what_a_disc_in_the_middle_of_tissue_covers():
    assert TOY.section.spot_cells == pytest.approx(np.pi * 55**2 / 4 / 64)
    covered = TOY.section.footprint.sum(axis=1)
    assert np.median(covered) == pytest.approx(TOY.section.spot_cells, rel=0.01)


def test_cell_features_follow_the_ids():
    section = TOY.section
    features = section.cell_features(slice(None))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:, 0], structure(section.grid.xy), atol=2e-3)
    bands = [section.cell_features(rows) for rows in section.grid.bands(300)]
    np.testing.assert_array_equal(np.concatenate(bands), features)


def test_window_lies_on_the_grid():
    section = TOY.section
    window = section.window(4, slice(5, 15), slice(10, 20)).astype(float)
    assert window.shape == (40, 40, 3)
    red = window.reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))[..., 0].ravel()
    rows, cols = np.mgrid[5:15, 10:20] + 0.5
    dark = structure(section.grid.to_um(np.stack([cols, rows], axis=-1))).ravel()
    assert np.corrcoef(red, dark)[0, 1] < -0.99


def test_window_does_not_depend_on_where_it_is_cut():
    section = TOY.section
    whole = section.window(2, slice(None))
    np.testing.assert_array_equal(section.window(2, slice(20, 30)), whole[40:60])
    np.testing.assert_array_equal(section.window(2, slice(20, 30), halo=4)[:, 4:-4], whole[36:64])


def test_subset_keeps_counts_beside_their_spots():
    some = TOY.section.subset(np.arange(len(TOY.section.spots)) % 3 == 0)
    np.testing.assert_array_equal(some.spots, TOY.section.spots[::3])
    np.testing.assert_array_equal(some.counts.toarray(), TOY.section.counts.toarray()[::3])
    np.testing.assert_array_equal(some.library, TOY.section.library[::3])
    assert some.footprint.shape == (len(some.spots), some.grid.n_cells)


def test_spots_without_names_have_empty_ones_and_one_name_stands_for_all():
    assert (TOY.section.spot_section == "").all()
    assert (TOY.section.spot_patient == "").all()
    assert TOY.section.array_rowcol is None
    named = replace(TOY.section, section_name="C2")
    assert named.spot_section.tolist() == ["C2"] * len(TOY.section.spots)


def test_subset_keeps_names_and_places_beside_their_spots():
    n = len(TOY.section.spots)
    patients, places = np.array([f"P{i}" for i in range(n)]), np.arange(2 * n).reshape(n, 2)
    section = replace(TOY.section, section_name="C2", patient=patients, array_rowcol=places)
    for some in (np.arange(n) % 3 == 1, np.array([5, 2])):
        part = section.subset(some)
        assert part.spot_section.tolist() == ["C2"] * len(part.spots)
        np.testing.assert_array_equal(part.spot_patient, patients[some])
        np.testing.assert_array_equal(part.array_rowcol, places[some])
    assert section.scaled(2.0).spot_patient[3] == "P3"


def test_a_section_scaled_is_one_sequenced_deeper():
    deeper = TOY.section.scaled(2.5)
    assert deeper.depth == pytest.approx(2.5 * np.median(TOY.section.library))
    np.testing.assert_array_equal(deeper.counts.toarray(), TOY.section.counts.toarray() * np.float32(2.5))
    assert replace(TOY.section, library=np.zeros(len(TOY.section.spots))).depth == 1


def test_what_is_missing_is_named_with_the_step_that_makes_it():
    bare = replace(TOY.section, features=None, image=None)
    with pytest.raises(ValueError, match="features are missing.*stsr.pp.extract_features"):
        bare.cell_features(slice(None))
    with pytest.raises(ValueError, match="image is missing.*stsr.pp.calibrate_image"):
        bare.window(1, slice(None))


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"counts must be \(spots, genes\)"):
        replace(TOY.section, genes=("only one",))
    with pytest.raises(ValueError, match="features lie on"):
        replace(TOY.section, features=np.zeros((2, 3, 4), np.float16))
    with pytest.raises(ValueError, match=r"patient must be one name or one for each of \d+ spots, got .*\(2,\)"):
        replace(TOY.section, patient=np.array(["A", "B"]))
    with pytest.raises(ValueError, match=r"array_rowcol must be \(spots, 2\)"):
        replace(TOY.section, array_rowcol=np.zeros((3, 2), dtype=int))
