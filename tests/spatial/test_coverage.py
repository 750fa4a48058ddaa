"""Regions of every kind on a grid that is turned against the image."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
import spatialdata as sd
from spatialdata.models import Labels2DModel, ShapesModel
from spatialdata.transformations import Affine, Identity, Scale
from toys.spatial import MPP, toy_sdata

from stsr.geometry import Disc, Grid, footprint
from stsr.geometry.resample import resample
from stsr.spatial import coverage, grid_to_labels, labels_to_grid, record
from stsr.spatial.coverage import read_regions

COS, SIN = 8 * np.cos(0.1), 8 * np.sin(0.1)
GRID = Grid(np.array([[COS, -SIN, 120], [SIN, COS, 60], [0, 0, 1]]), np.add.outer(np.arange(20), np.arange(24)) > 2)


@pytest.fixture
def sdata():
    return toy_sdata()


def add(sdata: sd.SpatialData, outlines: list, name: str = "cells", scale: float = 1.0, **columns) -> None:
    """Shapes whose own unit is ``scale`` pixels."""
    frame = gpd.GeoDataFrame({"geometry": outlines, **columns}, index=[f"c{n}" for n in range(len(outlines))])
    sdata[name] = ShapesModel.parse(frame, transformations={"toy": Scale([scale, scale], axes=("x", "y"))})


def add_labels(sdata: sd.SpatialData, labels: np.ndarray, mpp: float, origin=(0.0, 0.0), **options) -> None:
    pixel, (x, y) = mpp / MPP, np.array(origin) / MPP
    place = Affine([[pixel, 0, x], [0, pixel, y], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    sdata["cells"] = Labels2DModel.parse(labels, dims=("y", "x"), transformations={"toy": place}, **options)


def test_polygons_in_a_frame_of_their_own(sdata):
    um = [shapely.Point(200, 130).buffer(30), shapely.box(150, 100, 158, 124), shapely.box(-500, 0, -480, 10)]
    add(sdata, [shapely.affinity.scale(each, 1 / 4, 1 / 4, origin=(0, 0)) for each in um], scale=4 / MPP)
    regions = read_regions(sdata, "cells", GRID)
    assert list(regions.ids) == ["c0", "c1", "c2"]
    np.testing.assert_allclose(regions.xy, [[200, 130], [154, 112], [-490, 5]], atol=1e-6)
    np.testing.assert_allclose(regions.area, [each.area for each in um])
    np.testing.assert_allclose(regions.shares.sum(axis=1) * 64, [um[0].area, um[1].area, 0], rtol=1e-5)
    assert regions.shares.dtype == np.float32


def test_circles_have_their_own_radius(sdata):
    add(sdata, [shapely.Point(400, 260), shapely.Point(420, 260)], radius=[30.0, 60.0])
    regions = read_regions(sdata, "cells", GRID)
    np.testing.assert_allclose(regions.area, np.pi * (np.array([30, 60]) * MPP) ** 2, rtol=2e-3)
    np.testing.assert_allclose(regions.shares.sum(axis=1) * 64, regions.area, rtol=1e-5)


def test_the_sections_spots_are_discs_of_their_printed_size(sdata):
    regions = read_regions(sdata, "toy", GRID)
    xy = shapely.get_coordinates(sdata["toy"].geometry) * MPP
    assert (regions.shares != footprint(GRID, xy, Disc(55.0))).nnz == 0
    np.testing.assert_allclose(regions.area, np.pi * 27.5**2)
    np.testing.assert_allclose(regions.xy, xy)


@pytest.mark.parametrize("scale_factors", [None, [2]])
def test_labels_of_one_or_several_scales(sdata, scale_factors, monkeypatch):
    monkeypatch.setattr(coverage, "VALUES", 2000)  # several bands of the raster and of the grid
    labels = np.zeros((500, 600), dtype=np.uint32)
    labels[150:210, 300:350], labels[300:301, 400:500], labels[0, 0] = 7, 90000, 3
    add_labels(sdata, labels, mpp=0.5, scale_factors=scale_factors)
    regions = read_regions(sdata, "cells", GRID)
    assert regions.ids.tolist() == [3, 7, 90000]
    np.testing.assert_allclose(regions.area, [0.25, 30 * 25, 25])
    np.testing.assert_allclose(regions.xy, [[0.25, 0.25], [162.5, 90], [225, 150.25]])
    np.testing.assert_allclose(regions.shares[[1]].sum() * 64, 30 * 25, rtol=0.01)

    add(sdata, [shapely.box(300, 150, 350, 210)], name="outline")
    exact = read_regions(sdata, "outline", GRID).shares.toarray()[0]
    np.testing.assert_allclose(regions.shares.toarray()[1], exact, atol=0.05)


@pytest.mark.parametrize("cells", [2, 4])
def test_labels_in_step_with_the_cells_are_exact(sdata, cells):
    """Labels of 2 and 4 µm in cells of 8 µm, as nuclei on bins of Visium HD are."""
    level = Grid(np.diag([8.0, 8.0, 1.0]), np.ones((6, 5), dtype=bool))
    labels = np.random.default_rng(0).integers(0, 4, (6 * cells, 5 * cells)).astype(np.uint32)
    add_labels(sdata, labels, mpp=8 / cells)
    shares = read_regions(sdata, "cells", level).shares.toarray()
    within = labels.reshape(6, cells, 5, cells).transpose(0, 2, 1, 3).reshape(30, -1)
    np.testing.assert_allclose(shares, [(within == label).mean(axis=1) for label in (1, 2, 3)], atol=1e-7)


def test_labels_of_coarse_pixels_share_cells_out_completely(sdata):
    coarse = Grid(np.diag([20.0, 20.0, 1.0]) + np.array([[0, 0, 40], [0, 0, 40], [0, 0, 0]]), np.ones((20, 20), bool))
    sdata["coarse"] = grid_to_labels(coarse, record(sdata))
    shares = read_regions(sdata, "coarse", GRID).shares
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-6)
    exact = resample(GRID, labels_to_grid(sdata, "coarse")).toarray()
    np.testing.assert_allclose(shares.toarray(), exact, atol=0.15)


def test_unknown_elements_are_refused(sdata):
    with pytest.raises(KeyError, match="by='nuclei' is no shapes or labels element; sdata holds toy"):
        read_regions(sdata, "nuclei", GRID)


def test_elements_elsewhere_are_refused(sdata):
    frame = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)])
    sdata["cells"] = ShapesModel.parse(frame, transformations={"other": Identity()})
    with pytest.raises(ValueError, match="element 'cells' is not in the coordinate system 'toy', only in other"):
        read_regions(sdata, "cells", GRID)


def test_invalid_polygons_are_counted_and_can_be_mended_as_told(sdata):
    add(sdata, [shapely.box(300, 200, 340, 240), shapely.Polygon([(300, 200), (340, 240), (340, 200), (300, 240)])])
    with pytest.raises(
        ValueError, match=r"by='cells' has 1 invalid polygons of 2.*Self-intersection.*make_valid"
    ) as told:
        read_regions(sdata, "cells", GRID)
    exec(str(told.value).split("mend them with ")[1].removesuffix("."), {"sdata": sdata})
    np.testing.assert_allclose(read_regions(sdata, "cells", GRID).area, [400, 200])


def test_labels_without_regions_are_refused(sdata):
    add_labels(sdata, np.zeros((5, 5), dtype=np.uint8), mpp=1.0)
    with pytest.raises(ValueError, match="by='cells' is empty"):
        read_regions(sdata, "cells", GRID)
