"""Tiles of cells and their tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toys.section import structure, toy_section

from stsr.geometry import Grid, Square
from stsr.methods.shared.cell_tiles import CellTokens, SpotTile, cell_colours, disc_weights, tile_cells, tiling

TOY = toy_section()
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14))


@given(masks, st.integers(1, 8), st.data())
def test_a_tiling_holds_every_cell_of_a_band_exactly_once(mask, side, data):
    grid = Grid(np.diag([8.0, 8, 1]), mask)
    shift = data.draw(st.integers(0, side - 1))
    start = data.draw(st.integers(0, mask.shape[0] - 1))
    rows = slice(start, data.draw(st.integers(start + 1, mask.shape[0])))
    cells = tile_cells(grid, tiling(grid.shape, rows, side, shift), side)
    band = grid.cells(rows)
    here = cells[(cells >= band.start) & (cells < band.stop)]
    np.testing.assert_array_equal(np.sort(here), np.arange(band.start, band.stop))


@given(masks, st.integers(1, 8), st.data())
def test_tiles_of_a_band_are_tiles_of_the_whole_grid(mask, side, data):
    shift = data.draw(st.integers(0, side - 1))
    start = data.draw(st.integers(0, mask.shape[0] - 1))
    whole = {tuple(corner) for corner in tiling(mask.shape, slice(None), side, shift)}
    assert {tuple(corner) for corner in tiling(mask.shape, slice(start, start + 2), side, shift)} <= whole


def test_cells_of_a_tile_are_in_row_major_order_and_minus_one_off_tissue():
    grid = Grid(np.diag([8.0, 8, 1]), np.tri(4, dtype=bool))
    np.testing.assert_array_equal(tile_cells(grid, np.array([[1, 0], [-1, 2]]), 2), [[1, 2, 3, 4], [-1, -1, -1, -1]])


def test_colours_are_those_of_the_image_under_each_cell():
    colours = cell_colours(TOY.section)
    assert colours.shape == (TOY.section.grid.n_cells, 3)
    assert 0 <= colours.min() <= colours.max() <= 1
    assert np.corrcoef(colours[:, 0], structure(TOY.section.grid.xy))[0, 1] < -0.99


def test_tokens_are_standardised_over_cells_and_the_same_in_every_band():
    tokens = CellTokens.learn(TOY.section)
    whole = tokens(slice(None))
    assert whole.shape == (TOY.section.grid.n_cells, 5 + 3)
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(whole.std(axis=0), 1, atol=1e-2)
    bands = [tokens(rows) for rows in TOY.section.grid.bands(400)]
    np.testing.assert_array_equal(np.concatenate(bands), whole)


def test_gathered_tokens_are_those_of_the_cells_and_zero_off_tissue():
    tokens = CellTokens.learn(TOY.section)
    cells = np.array([[0, 700, -1], [2000, 5, 5]])
    got = tokens.gather(cells)
    np.testing.assert_allclose(got[cells >= 0], tokens(slice(None))[cells[cells >= 0]], atol=4e-3)
    assert (got[0, 2] == 0).all()


def test_raw_tokens_are_the_features_and_the_colours():
    tokens = CellTokens.raw(TOY.section)(slice(None))
    np.testing.assert_array_equal(tokens[:, :5], TOY.section.cell_features(slice(None)))
    np.testing.assert_array_equal(tokens[:, 5:], cell_colours(TOY.section))


@pytest.mark.parametrize(("bin_size", "side", "cells"), [(8.0, 7, 37), (16.0, 3, 9), (5.5, 11, 81), (60.0, 1, 1)])
def test_a_spot_of_55_um_covers_whole_cells(bin_size, side, cells):
    tile = SpotTile.of(toy_section(shape=(12, 12), bin_size=bin_size).section)
    assert (tile.side, int(tile.disc.sum())) == (side, cells)
    assert tile.disc.reshape(side, side)[side // 2].all()


@pytest.mark.parametrize(("side", "rows"), [(24.0, ["###", "###", "###"]), (16.0, [".#.", "###", ".#."]), (8.0, ["#"])])
def test_a_bin_is_taken_as_the_disc_of_its_area(side, rows):
    tile = SpotTile.of(replace(TOY.section, aperture=Square(side)))
    np.testing.assert_array_equal(tile.disc, [cell == "#" for row in rows for cell in row])


def test_the_middle_cell_of_a_tile_holds_its_spot():
    section = TOY.section
    tile = SpotTile.of(section)
    middle = section.grid.to_um((tile.corners(section) + tile.side / 2)[:, ::-1])
    assert np.abs(middle - section.spots).max() <= 8 / np.sqrt(2)


def test_a_disc_adds_up_and_is_averaged_when_faithful():
    inside = np.array([[True] * 4, [True, False, True, False]])
    np.testing.assert_allclose(disc_weights(inside, faithful=False), inside / 4)
    np.testing.assert_allclose(disc_weights(inside, faithful=True), [[0.25] * 4, [0.5, 0, 0.5, 0]])
