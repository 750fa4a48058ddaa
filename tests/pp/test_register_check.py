"""Sections whose image is moved by a known amount."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from spatialdata import SpatialData
from spatialdata.transformations import Affine, set_transformation
from toys.spatial import toy_sdata

import stsr
from stsr.pp import register_check
from stsr.spatial import record

SHIFT, ROTATION = np.array([30.0, -20.0]), 1.0


def move_image(sdata: SpatialData, shift, rotation: float) -> None:
    """Move the image by µm, and turn it by degrees around its middle."""
    facts = record(sdata)
    element = sdata.images[facts.image]
    height, width = element["scale0"]["image"].shape[1:]
    turn, middle = np.deg2rad(rotation), np.array([width, height]) / 2
    affine = np.eye(3)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:2, 2] = middle - affine[:2, :2] @ middle + np.asarray(shift) / facts.mpp
    place = Affine(affine, input_axes=("x", "y"), output_axes=("x", "y"))
    set_transformation(element, place, facts.coordinate_system)


@pytest.fixture(scope="module")
def sdata():
    return stsr.datasets.synthetic_section(size=(1600, 1600), n_genes=20, depth=4000)


def test_a_section_that_fits(sdata, caplog):
    move_image(sdata, (0, 0), 0)
    with caplog.at_level(logging.INFO, logger="stsr"):
        check = register_check(sdata, table="truth_008um")
    assert check.reliable
    assert check.largest_um < 2
    assert check.correlation > 0.2
    assert check.radius_um == pytest.approx(8 / np.sqrt(2))
    assert "truth_008um fits the image best when moved by" in caplog.text
    assert "WARNING" not in caplog.text
    assert list(check.blocks) == ["x", "y", "points", "dx", "dy", "error", "correlation", "clear"]
    assert check.surface.max() == check.surface[30, 30]


def test_an_image_that_is_off_is_found_and_warned_of(sdata, caplog):
    move_image(sdata, SHIFT, ROTATION)
    check = register_check(sdata, table="truth_008um")
    assert check.reliable
    assert check.rotation == pytest.approx(ROTATION, abs=0.15)
    assert check.scale == pytest.approx(1, abs=0.003)
    middle = np.array([[800.0, 800.0]])
    np.testing.assert_allclose(check.displacement(middle), [SHIFT], atol=2)
    corner = np.array([[100.0, 100.0]])
    turned = SHIFT + np.deg2rad(ROTATION) * np.array([700.0, -700.0])
    np.testing.assert_allclose(check.displacement(corner), [turned], atol=3)
    assert "truth_008um does not fit the image: it is off by up to" in caplog.text


def test_fine_bins_are_joined(caplog):
    sdata = stsr.datasets.synthetic_section(size=(1200, 1200), n_genes=20, truth_bin=2, depth=4000)
    move_image(sdata, (16, 8), 0)
    check = register_check(sdata, table="truth_002um", window=600)
    np.testing.assert_allclose(check.shift_um, (16, 8), atol=2)
    assert check.radius_um == pytest.approx(8 / np.sqrt(2))


def test_too_little_structure_is_said(sdata, caplog):
    table = sdata["truth_008um"].copy()
    shuffled = np.random.default_rng(0).permutation(table.n_obs)
    table.X = table.X[shuffled]
    sdata["shuffled"] = table
    check = register_check(sdata, table="shuffled")
    del sdata.tables["shuffled"]
    assert not check.reliable
    assert "Whether shuffled fits the image cannot be decided: " in caplog.text


def test_the_same_seed_gives_the_same_answer(sdata):
    one, two = (register_check(sdata, table="truth_008um", seed=3) for _ in range(2))
    assert one.shift_um == two.shift_um
    assert one.error_um == two.error_um


def test_faults_are_told(sdata):
    with pytest.raises(KeyError, match="table='sr' not found; sdata holds the tables table, truth_008um"):
        register_check(sdata, table="sr")
    with pytest.raises(ValueError, match="reach=3 is not allowed; pass a number from 8 to 1000"):
        register_check(sdata, reach=3)
    for options in (
        {"reach": "far"},
        {"reach": np.nan},
        {"window": np.inf},
        {"window": True},
        {"seed": -1},
        {"seed": 0.5},
    ):
        with pytest.raises(ValueError, match=rf"{next(iter(options))}=.* is not allowed; pass a"):
            register_check(sdata, **options)
    with pytest.raises(ValueError, match="window=20 µm is no wider than a spot, 55 µm"):
        register_check(sdata, window=20)
    with pytest.raises(ValueError, match="window=700 µm holds 20 spots of different counts on tissue nowhere"):
        register_check(toy_sdata(), window=700)
    sdata["normalised"] = sdata["truth_008um"].copy()
    sdata["normalised"].X = sdata["normalised"].X / 3
    with pytest.raises(ValueError, match="table 'normalised' holds non-integer values in X; raw UMI counts are needed"):
        register_check(sdata, table="normalised")
    del sdata.tables["normalised"]


@pytest.fixture(scope="module")
def kidney(data_dir, tmp_path_factory):
    visium = data_dir / "kidney" / "visium"
    store = tmp_path_factory.mktemp("kidney") / "kidney.zarr"
    return stsr.pp.read_visium(visium, fullres_image=visium / "kidney_he.tif", store=store)


def test_the_kidneys_spots_fit_their_image(kidney):
    check = register_check(kidney)
    assert check.reliable
    assert check.largest_um < 10
    assert check.correlation > 0.5


def test_the_kidneys_spots_shifted_by_40_micrometres_are_found(kidney, caplog):
    facts = record(kidney)
    moved = Affine([[1, 0, 40 / facts.mpp], [0, 1, 0], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    set_transformation(kidney.shapes[facts.spots], moved, facts.coordinate_system)
    check = register_check(kidney)
    assert check.reliable
    np.testing.assert_allclose(check.shift_um, (-40, 0), atol=6)
    assert "does not fit the image" in caplog.text
