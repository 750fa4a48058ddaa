"""Virtual spots complete the lattice at half its pitch, on tissue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.spatial import cKDTree
from spatialdata.transformations import get_transformation
from toys.result import add_grid
from toys.section import hex_lattice
from toys.spatial import MPP, toy_record

import stsr
from stsr.geometry import Grid
from stsr.spatial import create_store, open_store, set_record
from stsr.spatial.assemble import disc_spots

PITCH = 100.0
SQUARE = np.stack(np.meshgrid(*[np.arange(6) * PITCH + 50] * 2), axis=-1).reshape(-1, 2)
HEXAGONAL = hex_lattice(600, 600, PITCH)


def section(xy, *, tissue=None):
    """A section with spots at ``xy`` (spots, 2) µm and a grid of 10 µm over everything, or where ``tissue`` says."""
    names = [f"spot{n}" for n in range(len(xy))]
    table = AnnData(np.ones((len(xy), 1), dtype=np.float32), obs=pd.DataFrame(index=names), obsm={"spatial": xy / MPP})
    sdata = disc_spots(table, "toy", radius=65 / 2 / MPP)
    set_record(sdata, toy_record())
    mask = np.ones((80, 80), dtype=bool) if tissue is None else tissue
    add_grid(sdata, Grid(np.array([[10, 0, -50], [0, 10, -50], [0, 0, 1.0]]), mask))
    return sdata


def centres(sdata, name):
    """(circles, 2) in µm."""
    return np.column_stack([sdata[name].geometry.x, sdata[name].geometry.y]) * MPP


@pytest.mark.parametrize("xy", [SQUARE, HEXAGONAL], ids=["square", "hexagonal"])
@pytest.mark.parametrize(("factor", "halvings"), [(4, 1), (16, 2)])
def test_all_spots_together_are_the_lattice_at_a_fraction_of_its_pitch(xy, factor, halvings):
    sdata = section(xy)
    name = stsr.pp.densify_spots(sdata, factor=factor)
    assert name == f"toy_{factor}x"
    every = np.vstack([xy, centres(sdata, name)])
    nearest = cKDTree(every).query(every, k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, PITCH / 2**halvings, rtol=1e-6)
    area = np.pi * 200**2
    density = (np.linalg.norm(every - 300, axis=1) < 200).sum() / area
    cell = PITCH**2 * (1 if xy is SQUARE else np.sqrt(3) / 2)
    assert density == pytest.approx(factor / cell, rel=0.15)


def test_what_it_writes():
    sdata = section(HEXAGONAL)
    name = stsr.pp.densify_spots(sdata, key_added="between")
    circles = sdata[name]
    np.testing.assert_array_equal(circles.index, np.arange(len(circles)))
    np.testing.assert_allclose(circles["radius"], 55 / 2 / MPP)
    assert set(get_transformation(circles, get_all=True)) == {"toy", "global"}
    y = centres(sdata, name)[:, 1]
    assert (np.diff(y) > -1e-6).all()


def test_a_missing_spot_leaves_a_gap():
    inside = np.flatnonzero((np.abs(HEXAGONAL - 300) < 60).all(axis=1))[0]
    gone = HEXAGONAL[inside]
    sdata = section(np.delete(HEXAGONAL, inside, axis=0))
    name = stsr.pp.densify_spots(sdata)
    assert np.linalg.norm(centres(sdata, name) - gone, axis=1).min() > 0.75 * PITCH


def test_only_on_tissue():
    tissue = np.zeros((80, 80), dtype=bool)
    tissue[:, :40] = True
    sdata = section(SQUARE, tissue=tissue)
    xy = centres(sdata, stsr.pp.densify_spots(sdata))
    assert len(xy) > 20
    assert xy[:, 0].max() < 350


def test_it_is_kept_and_replaced_in_a_store(tmp_path):
    sdata = section(SQUARE)
    create_store(sdata, tmp_path / "section.zarr")
    sdata = open_store(tmp_path / "section.zarr")
    name = stsr.pp.densify_spots(sdata)
    with pytest.raises(ValueError, match=name):
        stsr.pp.densify_spots(sdata)
    stsr.pp.densify_spots(sdata, overwrite=True)
    assert len(open_store(tmp_path / "section.zarr")[name]) == len(sdata[name])


def test_one_sentence_for_what_cannot_be():
    sdata = section(SQUARE)
    with pytest.raises(ValueError, match="factor=5 must be one of 4, 16, 64"):
        stsr.pp.densify_spots(sdata, factor=5)
    with pytest.raises(KeyError, match="grid='none'"):
        stsr.pp.densify_spots(sdata, grid="none")
    set_record(sdata, toy_record(spots="grid_008um"))
    with pytest.raises(ValueError, match="spots='grid_008um' are bins, which have no gaps; use stsr.pp.make_grid"):
        stsr.pp.densify_spots(sdata)
