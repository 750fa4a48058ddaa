"""µm per pixel: who decides, and what is a contradiction."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.spatial.scale import check_mpp, resolve_mpp


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


def test_file_and_user_outvote_a_guess_but_not_a_fit(caplog):
    assert resolve_mpp(0.25, stated=0.51, user=0.5, sure=False) == (0.5, "user")
    assert "taken is mpp=0.5, with which the image file agrees" in caplog.text
    for sure, stated in ((True, 0.5), (False, None), (False, 0.4), (False, 88.0)):
        with pytest.raises(ValueError, match=r"mpp=0\.5 contradicts the spot pitch, which gives 0\.25"):
            resolve_mpp(0.25, stated=stated, user=0.5, sure=sure)


def test_what_a_message_says_to_pass_is_accepted():
    with pytest.raises(ValueError, match=r"pass mpp=0\.5 if the file is right, or mpp=0\.25 if neighbours are one pit"):
        resolve_mpp(0.25, stated=0.5, user=None, sure=False)
    assert resolve_mpp(0.25, stated=0.5, user=0.5, sure=False) == (0.5, "user")
    assert resolve_mpp(0.25, stated=0.5, user=0.25, sure=False) == (0.25, "user")


@pytest.mark.parametrize("mpp", ["0.5", True, float("nan"), float("inf"), -0.5, 0, [0.5], 30])
def test_user_values_that_are_none(mpp):
    with pytest.raises(ValueError, match="mpp="):
        check_mpp(mpp)
    assert check_mpp(None) is None
