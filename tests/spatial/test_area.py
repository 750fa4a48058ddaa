"""A mask of the user's own, in every form."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from spatialdata.models import Labels2DModel, ShapesModel
from spatialdata.transformations import Identity, Scale
from toys.spatial import MPP, toy_sdata

from stsr.spatial.area import given_area

HEIGHT, WIDTH = 1000, 900
"""Of the toy's image in pixels."""

SQUARE = box(200, 300, 500, 700)
HERE = {"toy": Identity()}


def labels(step: int, dtype: type = np.uint8) -> np.ndarray:
    """The square as labels of ``step`` pixels."""
    rows, cols = (np.arange(size // step) * step + step / 2 for size in (HEIGHT, WIDTH))
    inside = ((rows > 300) & (rows < 700))[:, None] & ((cols > 200) & (cols < 500))
    return inside.astype(dtype)


def forms() -> dict[str, object]:
    ring = np.array(SQUARE.exterior.coords)
    return {
        "array at the image's scale": labels(1),
        "array of truth values, coarser": labels(10, bool),
        "array of floats": labels(20, float) * 3.0,
        "array cut short": labels(7),
        "polygon": SQUARE,
        "list of polygons": [box(200, 300, 350, 700), box(350, 300, 500, 700)],
        "multipolygon": MultiPolygon([box(200, 300, 350, 700), box(350, 300, 500, 700)]),
        "frame": gpd.GeoDataFrame(geometry=[SQUARE]),
        "series": gpd.GeoSeries([SQUARE]),
        "polygon drawn twice over": Polygon(np.concatenate([ring, ring])),
        "labels": "own",
        "shapes": "drawn",
    }


@pytest.fixture
def sdata():
    sdata = toy_sdata()
    sdata["own"] = Labels2DModel.parse(
        labels(10), dims=("y", "x"), transformations={"toy": Scale([10, 10], ("x", "y"))}
    )
    sdata["drawn"] = ShapesModel.parse(gpd.GeoDataFrame(geometry=[SQUARE]), transformations=HERE)
    return sdata


@pytest.mark.parametrize("form", forms())
def test_every_form_says_the_same(sdata, form):
    area = given_area(sdata, forms()[form])
    pixels = np.array([(210, 310), (490, 690), (350, 500), (180, 500), (520, 500), (350, 280), (350, 720), (880, 990)])
    np.testing.assert_array_equal(area.inside(pixels * MPP), [True] * 3 + [False] * 5)
    np.testing.assert_allclose(area.corners.min(axis=0), np.array([200, 300]) * MPP, atol=8 * MPP)
    np.testing.assert_allclose(area.corners.max(axis=0), np.array([500, 700]) * MPP, atol=8 * MPP)


def test_labels_of_several_scales_are_read(sdata):
    sdata["deep"] = Labels2DModel.parse(
        labels(5), dims=("y", "x"), scale_factors=[2], transformations={"toy": Scale([5, 5], ("x", "y"))}
    )
    assert given_area(sdata, "deep").inside(np.array([[350, 500], [180, 500]]) * MPP).tolist() == [True, False]


def test_circles_have_their_radius(sdata):
    frame = gpd.GeoDataFrame({"radius": [40.0]}, geometry=[Point(300, 300)])
    assert given_area(sdata, frame).inside(np.array([[330, 300], [345, 300]]) * MPP).tolist() == [True, False]
    assert given_area(sdata, "toy").inside(np.array([[150, 150]]) * MPP).all()


def test_a_bow_tie_is_mended(sdata):
    bow = Polygon([(100, 100), (300, 300), (300, 100), (100, 300)])
    found = given_area(sdata, bow).inside(np.array([[120, 200], [280, 200], [200, 120]]) * MPP)
    assert found.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ("gland", KeyError, "tissue='gland' is no labels or shapes element; sdata holds"),
        (np.zeros((100, 90)), ValueError, "is empty; pass a mask with tissue in it"),
        (np.ones((90, 100)), ValueError, "does not have the proportions .* 1000 x 900 pixels"),
        (np.ones((0, 0)), ValueError, "does not have the proportions"),
        (np.ones((100, 90, 3)), ValueError, "must hold numbers or truth values as"),
        (np.full((100, 90), np.nan), ValueError, "must hold numbers or truth values as"),
        (np.full((100, 90), "a"), ValueError, "must hold numbers or truth values as"),
        (LineString([(0, 0), (5, 5)]), ValueError, "has no area; pass polygons"),
        (Polygon(), ValueError, "has no area; pass polygons"),
        ([], ValueError, "tissue of type list is no mask"),
        (5, ValueError, "tissue of type int is no mask; pass the name of a labels or shapes element"),
        ({"a": 1}, ValueError, "tissue of type dict is no mask"),
        ([SQUARE, 3], ValueError, "tissue of type list is no mask"),
    ],
)
def test_what_is_no_mask(sdata, mask, error, message):
    with pytest.raises(error, match=message):
        given_area(sdata, mask)
