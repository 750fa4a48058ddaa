"""The tissue mask, looked at as a picture."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from shapely.geometry import box
from spatialdata.models import Labels2DModel, TableModel
from spatialdata.transformations import Identity, Scale
from toys.picture import Picture
from toys.spatial import toy_sdata

import stsr
from stsr.pl.tissue import EDGE, OFF, ON
from stsr.pp._evidence import tissue_evidence
from stsr.spatial import image_pyramid, record, spot_positions, spots_record

HERE = {"toy": Identity(), "global": Identity()}


@pytest.fixture
def sdata():
    """Grey glass, and a mask of the left half."""
    sdata = toy_sdata()
    sdata.images["toy_full_image"] = image_pyramid(da.full((3, 1000, 900), 200, dtype=np.uint8), HERE)
    mask = np.zeros((100, 90), dtype=np.uint8)
    mask[10:90, 10:45] = 1
    to_pixel = Scale([10, 10], axes=("x", "y"))
    sdata["tissue"] = Labels2DModel.parse(mask, dims=("y", "x"), transformations={"toy": to_pixel, "global": to_pixel})
    return sdata


def drawn(picture: Picture, axes, xy, colour: str, reach: int = 6) -> bool:
    """Whether a colour is seen near a point in µm."""
    return bool((np.abs(picture.around(axes, xy, reach) - to_rgb(colour)).sum(axis=-1) < 0.35).any())


def test_the_edge_is_drawn_where_the_mask_ends(sdata):
    figure = stsr.pl.tissue(sdata)
    axes, picture, mpp = figure.axes[0], Picture(figure), record(sdata).mpp
    for x, y in ((100, 500), (450, 500), (300, 100), (300, 900)):
        assert drawn(picture, axes, (x * mpp, y * mpp), EDGE)
    for x, y in ((20, 20), (700, 700), (880, 500)):
        assert not drawn(picture, axes, (x * mpp, y * mpp), EDGE)
        assert picture.colour(axes, (x * mpp, y * mpp)) == pytest.approx([200 / 255] * 3, abs=0.02)


def test_spots_on_and_off_have_their_colours_and_the_title_counts_them(sdata):
    facts = spots_record(sdata)
    xy = spot_positions(sdata, sdata[facts.table], facts)
    middle = xy[:, 0].mean()
    area = box(0, 0, middle / facts.mpp, 2000)
    figure = stsr.pl.tissue(sdata, tissue=area)
    axes, picture = figure.axes[0], Picture(figure)
    off = xy[:, 0] > middle
    assert 0 < off.sum() < len(off)
    for place, colour in ((xy[off][-1], OFF), (xy[~off][0], ON)):
        assert drawn(picture, axes, place + (facts.spot_size / 2, 0), colour)
        assert not drawn(picture, axes, place + (facts.spot_size / 2, 0), {OFF: ON, ON: OFF}[colour])
    assert f"{len(xy)} spots, {off.sum()} off it" in axes.get_title(loc="left")


def test_the_title_says_how_much_is_tissue(sdata):
    assert "tissue: 31 % of the image" in stsr.pl.tissue(sdata).axes[0].get_title(loc="left")
    mpp = record(sdata).mpp
    title = stsr.pl.tissue(sdata, crop=[100 * mpp, 100 * mpp, 450 * mpp, 900 * mpp]).axes[0].get_title(loc="left")
    assert "tissue: 100 % of the part shown" in title


def test_a_section_without_spots_is_drawn(sdata):
    for name in ("table", "toy"):
        del sdata[name]
    stsr.spatial.note(sdata, spots=None, table=None, spot_size=None)
    assert stsr.pl.tissue(sdata).axes[0].get_title(loc="left") == "tissue: 31 % of the image"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tissue": "gland"}, KeyError, "tissue='gland' is no labels or shapes element; sdata holds"),
        ({"crop": (0, 0, 5)}, ValueError, "crop=.* is not allowed; pass a list of 4 items, each a number"),
        ({"crop": (9e4, 0, 9e5, 5)}, ValueError, "crop=.* shows nothing of the image"),
        ({"tissue": box(5e4, 5e4, 5e4, 6e4)}, ValueError, "has no area"),
    ],
)
def test_what_cannot_be_drawn(sdata, options, error, message):
    with pytest.raises(error, match=message):
        stsr.pl.tissue(sdata, **options)


def test_of_a_table_that_sections_share_the_own_spots_are_drawn(sdata, tmp_path):
    table = sdata["table"].copy()
    other = table.copy()
    other.obs["region"] = "other"
    both = ad.concat([table, other], index_unique="-")
    both.obs["region"] = both.obs["region"].astype("category")
    del sdata.tables["table"]
    keys = {"region": ["toy", "other"], "region_key": "region", "instance_key": "spot_id"}
    sdata["table"] = TableModel.parse(both, **keys)
    figure = stsr.pl.tissue(sdata, save=tmp_path / "tissue.png")
    assert "; 12 spots" in figure.axes[0].get_title(loc="left")
    assert (tmp_path / "tissue.png").stat().st_size > 1000
    assert plt.get_fignums() == []
    assert len(tissue_evidence(sdata, np.diag([8.0, 8.0, 1.0]), (62, 56)).spots) == 12
    with pytest.raises(ValueError, match="save='a.nope' has no ending of a picture"):
        stsr.pl.tissue(sdata, save="a.nope")
