from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from stsr.geometry import Grid, polygons
from stsr.geometry.polygons import polygon_footprint


def grid_of(angle: float = 0.0, *, flip: bool = False, side: float = 8.0) -> Grid:
    cos, sin = side * np.cos(angle), side * np.sin(angle)
    affine = np.array([[cos, -sin, 30.0], [sin, cos, -20.0], [0, 0, 1]])
    mask = np.ones((9, 11), dtype=bool)
    mask[4, 5:7] = mask[:2, 0] = False
    return Grid(affine @ np.diag([-1.0 if flip else 1.0, 1.0, 1.0]), mask)


def edges_of(outlines: list[shapely.Geometry]) -> tuple[np.ndarray, np.ndarray]:
    parts, polygon = shapely.get_parts(shapely.orient_polygons(outlines), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    edges = [np.stack([xy[:-1], xy[1:]], axis=1) for xy in map(shapely.get_coordinates, rings)]
    return np.concatenate(edges), np.repeat(polygon[part], [len(each) for each in edges])


def by_shapely(grid: Grid, outlines: list[shapely.Geometry]) -> np.ndarray:
    """(polygons, cells) shares, one intersection after the other."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    cells = shapely.polygons(grid.to_um(grid.rowcol[:, None, ::-1] + corners))
    return shapely.area(shapely.intersection(np.array(outlines)[:, None], cells)) / grid.bin_size**2


def shares(grid: Grid, outlines: list[shapely.Geometry]) -> np.ndarray:
    return polygon_footprint(grid, *edges_of(outlines), n_polygons=len(outlines)).toarray()


def wheel(x: float, y: float, radii: list[float]) -> shapely.Geometry:
    """A star of any outline around a point, with a hole where it is wide enough."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    star = shapely.Polygon(np.column_stack([x + radii * np.cos(angles), y + radii * np.sin(angles)]))
    return star.difference(shapely.Point(x, y).buffer(min(radii) / 2, quad_segs=2))


wheels = st.builds(
    wheel, st.floats(-20, 130), st.floats(-60, 90), st.lists(st.floats(0.5, 60), min_size=3, max_size=12)
)


@settings(max_examples=50)
@given(st.lists(wheels, min_size=1, max_size=4), st.sampled_from([0.0, 0.3, np.pi / 2, 2.5]), st.booleans())
def test_shares_are_those_of_shapely(outlines, angle, flip):
    grid = grid_of(angle, flip=flip)
    np.testing.assert_allclose(shares(grid, outlines), by_shapely(grid, outlines), atol=1e-6)


def test_edges_on_the_lines_of_the_grid():
    grid = grid_of()
    x, y = grid.affine[:2, 2]
    square = shapely.box(x + 16, y + 8, x + 32, y + 24)
    half = shapely.box(x + 20, y + 8, x + 24, y + 16)
    np.testing.assert_allclose(shares(grid, [square, half]), by_shapely(grid, [square, half]), atol=1e-7)
    assert sorted(shares(grid, [square])[0].nonzero()[0]) == sorted(np.flatnonzero(by_shapely(grid, [square])[0]))


def test_a_polygon_far_wider_than_the_grid_holds_every_cell():
    grid = grid_of(0.3)
    np.testing.assert_allclose(shares(grid, [shapely.box(-1e5, -1e5, 1e5, 1e5)]), 1)


def test_parts_and_beside_the_grid():
    grid = grid_of(0.3)
    two = shapely.MultiPolygon([shapely.box(40, 0, 55, 9), shapely.box(70, 20, 90, 41)])
    beside = shapely.box(500, 500, 600, 600)
    np.testing.assert_allclose(shares(grid, [two, beside]), by_shapely(grid, [two, beside]), atol=1e-6)


@pytest.mark.parametrize("edges", [1, 40])
def test_batches_make_no_difference(monkeypatch, edges):
    rng = np.random.default_rng(0)
    outlines = [wheel(*rng.uniform(0, 100, 2), rng.uniform(3, 40, 7)) for _ in range(20)]
    whole = shares(grid_of(0.3), outlines)
    monkeypatch.setattr(polygons, "EDGES", edges)
    np.testing.assert_array_equal(shares(grid_of(0.3), outlines), whole)


def test_no_edges():
    none = polygon_footprint(grid_of(), np.empty((0, 2, 2)), np.empty(0, dtype=np.int64), n_polygons=3)
    assert none.shape == (3, grid_of().n_cells)
    assert none.nnz == 0
