"""Gene maps, looked at as pictures."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import scanpy as sc
from spatialdata.transformations import Identity
from toys.picture import Picture
from toys.result import add_grid, add_result
from toys.spatial import toy_sdata

import stsr
from stsr.geometry import Grid
from stsr.spatial import image_pyramid
from stsr.spatial.totals import set_totals

ANGLE = 0.4
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
CELL = 8.0


def turned_grid(shape=(40, 30)):
    """A grid that is rotated and flipped against the image, with a corner missing."""
    axes = CELL * TURN @ np.diag([-1, 1])
    affine = np.eye(3)
    affine[:2, :2], affine[:2, 2] = axes, (330, 60)
    mask = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) > 6
    return Grid(affine, mask)


@pytest.fixture
def sdata():
    """White glass with a blue square at 100 to 140 µm, and a turned grid over it."""
    sdata = toy_sdata()
    image = np.full((3, 1000, 900), 255, dtype=np.uint8)
    image[:2, 200:280, 200:280] = 0
    here = {"toy": Identity(), "global": Identity()}
    sdata.images["toy_full_image"] = image_pyramid(da.from_array(image, chunks=(3, 300, 300)), here)
    add_grid(sdata, turned_grid())
    return sdata


def blob(grid, row, col):
    """(cells, 1) values that are high in the 5 x 5 cells around a cell."""
    return (np.abs(grid.rowcol - (row, col)).max(axis=1, keepdims=True) <= 2).astype(np.float32) * 3


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title() == title)


@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("cell", [(30, 5), (8, 25)])
def test_a_hot_spot_is_drawn_where_it_lies_on_a_turned_and_flipped_grid(sdata, image, cell):
    grid = turned_grid()
    add_result(sdata, blob(grid, *cell), ["A"])
    figure = stsr.pl.gene_map(sdata, "A", image=image, size=6)
    axes, picture = panel(figure, "A"), Picture(figure)
    middle = np.array(cell[::-1]) + 0.5
    for step in ((0, 0), (2.2, 0), (-2.2, 0), (0, 2.2), (0, -2.2), (2.2, 2.2), (-2.2, 2.2), (2.2, -2.2), (-2.2, -2.2)):
        assert picture.darkness(axes, grid.to_um(middle + step)) > 0.8
    for step in ((2.8, 0), (-2.8, 0), (0, 2.8), (0, -2.8)):
        assert picture.darkness(axes, grid.to_um(middle + step)) < 0.2


def test_the_image_lies_where_it_should_in_its_own_panel_and_faded_under_the_gene(sdata):
    grid = turned_grid()
    add_result(sdata, blob(grid, 35, 15), ["A"])
    figure = stsr.pl.gene_map(sdata, ["A"])
    he, gene, picture = panel(figure, "H&E"), panel(figure, "A"), Picture(figure)
    for inside in ((104, 104), (136, 104), (104, 136), (136, 136)):
        np.testing.assert_allclose(picture.colour(he, inside), (0, 0, 1), atol=0.02)
    for outside in ((96, 120), (144, 120), (120, 96), (120, 144)):
        np.testing.assert_allclose(picture.colour(he, outside), 1, atol=0.02)
    red, green, blue = picture.colour(gene, (120, 120))
    assert red == green == blue
    assert 0.6 < red < 0.9


def test_up_and_left_are_those_of_the_image(sdata):
    add_result(sdata, blob(turned_grid(), 35, 15), ["A"])
    figure = stsr.pl.gene_map(sdata, "A")
    axes, picture = panel(figure, "A"), Picture(figure)
    assert picture.place(axes, (100, 100))[0] < picture.place(axes, (100, 200))[0]
    assert picture.place(axes, (100, 100))[1] < picture.place(axes, (200, 100))[1]


def test_the_scale_bar_is_as_long_as_it_says(sdata):
    add_result(sdata, blob(turned_grid(), 35, 15), ["A"])
    figure = stsr.pl.gene_map(sdata, "A", image=False)
    axes = panel(figure, "A")
    text = next(t.get_text() for t in axes.texts)
    assert text == "50 µm"
    left, right = axes.get_xlim()
    picture = Picture(figure)
    per_um = (picture.place(axes, (right, 0))[1] - picture.place(axes, (left, 0))[1]) / (right - left)
    line = next(line for line in axes.lines if line.get_gid() == "scale bar")
    x, y = line.get_xydata().mean(axis=0)
    row, col = picture.place(axes, (x, y))
    black = picture.pixels[row].mean(axis=-1) < 0.3
    run = np.flatnonzero(np.diff(np.r_[0, black[: col + 200], 0]))
    starts, ends = run[::2], run[1::2]
    length = (ends - starts)[(starts <= col) & (ends > col)]
    assert length == pytest.approx(50 * per_um, abs=2)


def test_the_outline_follows_the_edge_of_the_tissue(sdata):
    grid = add_grid(sdata, Grid(turned_grid((80, 60)).affine, np.ones((80, 60), dtype=bool)))
    add_result(sdata, np.zeros((grid.n_cells, 1), dtype=np.float32), ["A"])
    figure = stsr.pl.gene_map(sdata, "A", image=False)
    axes, picture = panel(figure, "A"), Picture(figure)
    for edge, inward in (((0, 40), (10, 0)), ((60, 40), (-10, 0)), ((30, 0), (0, 10)), ((30, 80), (0, -10))):
        assert picture.around(axes, grid.to_um(edge), reach=3).mean(axis=-1).min() < 0.6
        assert picture.around(axes, grid.to_um(np.add(edge, inward)), reach=3).mean(axis=-1).min() > 0.85


def test_the_colour_bar_says_what_it_shows(sdata):
    grid = turned_grid()
    values = np.linspace(0, 4, grid.n_cells, dtype=np.float32)[:, None]
    add_result(sdata, np.hstack([values, values * 0]), ["A", "B"])
    sdata["sr_008um"].layers["sd"] = np.hstack([values / 2, values / 2])
    figure = stsr.pl.gene_map(sdata, ["A", "B"], vmax="p50")
    bars = [axes for axes in figure.axes if axes.get_ylabel()]
    assert [bar.get_ylabel() for bar in bars] == ["UMI per 8 µm bin"] * 2
    assert bars[0].get_ylim()[1] == pytest.approx(2, abs=0.01)
    assert bars[1].get_ylim()[1] == 1
    spread = stsr.pl.gene_map(sdata, "A", layer="sd", vmax="p100", log1p=True)
    bar = next(axes for axes in spread.axes if axes.get_ylabel())
    assert bar.get_ylabel() == "sd of UMI per 8 µm bin"
    assert bar.get_ylim()[1] == pytest.approx(2)


def test_a_crop_shows_that_part_and_sets_its_own_colours(sdata):
    grid = turned_grid()
    values = blob(grid, 30, 5) + 10 * blob(grid, 8, 25)
    add_result(sdata, values, ["A"])
    x, y = grid.to_um((5.5, 30.5))
    figure = stsr.pl.gene_map(sdata, "A", crop=(x - 60, y - 40, x + 60, y + 40), vmax="p100")
    axes = panel(figure, "A")
    assert axes.get_xlim() == pytest.approx((x - 60, x + 60))
    assert axes.get_ylim() == pytest.approx((y + 40, y - 40))
    assert Picture(figure).darkness(axes, (x, y)) > 0.8


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ((0, 0, 10), "crop=.* is not allowed; pass a list of 4 items, each a number"),
        ((50, 0, 10, 90), "must be left"),
        ((0, 900, 9, 999), "no cell"),
    ],
)
def test_an_unfit_crop_is_refused(sdata, crop, message):
    add_result(sdata, blob(turned_grid(), 8, 25), ["A"])
    with pytest.raises(ValueError, match=message):
        stsr.pl.gene_map(sdata, "A", crop=crop)


def test_cells_without_a_row_are_left_out(sdata):
    grid = turned_grid()
    add_result(sdata, np.full((grid.n_cells, 1), 2, dtype=np.float32), ["A"])
    upper = grid.rowcol[:, 0] < 20
    sdata.tables["sr_008um"] = sdata["sr_008um"][upper].copy()
    figure = stsr.pl.gene_map(sdata, "A", image=False)
    axes, picture = panel(figure, "A"), Picture(figure)
    assert picture.darkness(axes, grid.to_um((15, 10))) > 0.8
    assert picture.darkness(axes, grid.to_um((15, 30))) < 0.05


class Counted:
    """An array that keeps note of what is read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.ndim, self.read = array, array.shape, array.dtype, 2, 0

    def __getitem__(self, index):
        part = self.array[index]
        self.read += part.size
        return part


def test_only_the_genes_asked_for_are_read(sdata):
    grid = turned_grid()
    add_result(sdata, np.zeros((grid.n_cells, 40), dtype=np.float32), [f"G{n}" for n in range(40)])
    stored = Counted(np.ones((grid.n_cells, 40), dtype=np.float32))
    sdata["sr_008um"].X = da.from_array(stored, chunks=(500, 4), asarray=False)
    stored.read = 0
    stsr.pl.gene_map(sdata, ["G0", "G3"])
    assert stored.read == 4 * grid.n_cells


def test_which_table_is_asked_when_it_is_not_plain(sdata):
    with pytest.raises(ValueError, match=r"not exactly one result: run stsr\.tl\.fit_super_resolution"):
        stsr.pl.gene_map(sdata, "A")
    for key in ("sr_008um", "sr_idw"):
        add_result(sdata, blob(turned_grid(), 8, 25), ["A"], key=key)
    with pytest.raises(ValueError, match="sdata holds sr_008um, sr_idw; name one"):
        stsr.pl.gene_map(sdata, "A")
    with pytest.raises(KeyError, match="table='other' not found; sdata holds the tables"):
        stsr.pl.gene_map(sdata, "A", table="other")
    with pytest.raises(ValueError, match="genes='B' not found"):
        stsr.pl.gene_map(sdata, "B", table="sr_idw")
    with pytest.raises(ValueError, match=r"genes=\[\] is not allowed; pass a list of 1 to 1000 items"):
        stsr.pl.gene_map(sdata, [], table="sr_idw")


def test_panels_fill_rows(sdata):
    grid = turned_grid()
    add_result(sdata, np.repeat(blob(grid, 8, 25), 3, axis=1), ["A", "B", "C"])
    figure = stsr.pl.gene_map(sdata, ["A", "B", "C"], ncols=2, size=2)
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_title()]
    assert shown == ["H&E", "A", "B", "C"]


def label(figure):
    return next(axes.get_ylabel() for axes in figure.axes if axes.get_ylabel())


@pytest.mark.parametrize("change", [sc.pp.log1p, sc.pp.normalize_total, sc.pp.scale])
@pytest.mark.parametrize("sums", [True, False])
def test_what_are_no_counts_any_more_is_not_called_so(sdata, change, sums):
    grid = turned_grid()
    add_result(sdata, np.random.default_rng(0).gamma(1, 1, (grid.n_cells, 3)).astype(np.float32), ["A", "B", "C"])
    table = sdata["sr_008um"]
    if sums:
        set_totals(table)
    assert label(stsr.pl.gene_map(sdata, "B", image=False)) == "UMI per 8 µm bin"
    table.layers["counts"] = table.X.copy()
    change(table)
    if sums or change is not sc.pp.normalize_total:
        assert label(stsr.pl.gene_map(sdata, "B", image=False)) == "X (not counts) per 8 µm bin"
    if sums:
        assert label(stsr.pl.gene_map(sdata, "B", image=False, layer="counts")) == "UMI per 8 µm bin"
    sdata.tables["sr_008um"] = table[50:400].copy()
    if change is not sc.pp.normalize_total:
        assert label(stsr.pl.gene_map(sdata, "B", image=False)) == "X (not counts) per 8 µm bin"


def test_a_map_is_drawn_into_given_axes(sdata):
    import matplotlib.pyplot as plt

    add_result(sdata, np.repeat(blob(turned_grid(), 35, 15), 2, axis=1), ["A", "B"])
    figure, (left, right) = plt.subplots(1, 2)
    for gene, axes in (("A", left), ("B", right)):
        assert stsr.pl.gene_map(sdata, gene, ax=axes) is figure
    assert (left.get_title(), right.get_title()) == ("A", "B")
    where = turned_grid().to_um((15.5, 35.5))
    assert Picture(figure).darkness(right, where) > 0.8
    with pytest.raises(ValueError, match="ax takes the map of one gene, genes names 2"):
        stsr.pl.gene_map(sdata, ["A", "B"], ax=left)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ncols": 0}, "ncols=0 is not allowed"),
        ({"size": float("nan")}, "size=nan is not allowed"),
        ({"image": "no"}, "image='no' is not allowed"),
        ({"cmap": "nope"}, "cmap='nope' is no colour map"),
        ({"log1p": 3}, "log1p=3 is not allowed"),
    ],
)
def test_unfit_options_are_refused(sdata, options, message):
    add_result(sdata, blob(turned_grid(), 8, 25), ["A"])
    with pytest.raises(ValueError, match=message):
        stsr.pl.gene_map(sdata, "A", **options)


def test_what_is_no_section(sdata):
    add_result(sdata, blob(turned_grid(), 8, 25), ["A"])
    with pytest.raises(ValueError, match="sdata is of type AnnData, not a SpatialData object"):
        stsr.pl.gene_map(sdata["sr_008um"], "A")
