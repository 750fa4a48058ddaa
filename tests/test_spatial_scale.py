"""µm per pixel: who decides, and what is a contradiction."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.spatial.scale import resolve_mpp


@given(st.floats(0.05, 5), st.floats(0.96, 1.04))
def test_pitch_decides_when_nothing_contradicts(measured, off):
    assert resolve_mpp(measured, stated=None, user=None) == (measured, "pitch")
    assert resolve_mpp(measured, stated=min(5, max(0.05, measured * off)), user=None) == (measured, "pitch")


def test_user_overrules_the_file():
    assert resolve_mpp(0.5, stated=0.25, user=0.52) == (0.52, "user")


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_defaults_of_image_programs_are_passed_over(dpi, caplog):
    with caplog.at_level(logging.INFO, "stsr"):
        assert resolve_mpp(0.5, stated=25400 / dpi, user=None) == (0.5, "pitch")
    assert "no microscope has" in caplog.text


def test_contradictions_name_both_values():
    with pytest.raises(ValueError, match=r"fullres_image states 0\.25 .* spot pitch gives 0\.5; pass mpp=0\.5"):
        resolve_mpp(0.5, stated=0.25, user=None)
    with pytest.raises(ValueError, match=r"mpp=0\.25 contradicts the spot pitch, which gives 0\.5"):
        resolve_mpp(0.5, stated=None, user=0.25)


def test_implausible_values():
    with pytest.raises(ValueError, match=r"mpp=12\.5 from the spot pitch is outside 0\.05 to 5"):
        resolve_mpp(12.5, stated=None, user=None)
    with pytest.raises(ValueError, match=r"mpp=50 µm per pixel is outside"):
        resolve_mpp(0.5, stated=None, user=50)
