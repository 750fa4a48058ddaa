"""Spots, prediction and truth side by side, looked at as pictures."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp
from toys.picture import Picture
from toys.result import add_grid, add_result

import stsr
from stsr.geometry import Grid
from stsr.spatial import record, spot_positions
from stsr.spatial.totals import set_totals


@pytest.fixture(scope="module")
def section():
    """Spots of 38 UMI in the left half and none in the right, on white glass."""
    sdata = stsr.datasets.synthetic_section(size=(800, 800), n_genes=2, depth=2000)
    facts = record(sdata)
    x = spot_positions(sdata, sdata["table"], facts)[:, 0]
    counts = np.where(x < 400, 38, 0)[:, None] * np.array([[1, 2]])
    sdata["table"].X = sp.csr_matrix(counts.astype(np.float32))
    sdata["table"].var_names = ["HLA-DRA", "my_gene"]
    add_grid(sdata, Grid(np.diag([16.0, 16, 1]), np.ones((50, 50), dtype=bool)), "grid_016um")
    return sdata


@pytest.fixture
def sdata(section):
    """A prediction on 16 µm cells and a truth on 8 µm bins of the same density as the spots."""
    density = 38 / (np.pi * 55**2 / 4)  # UMI per µm²
    genes = ["HLA-DRA", "my_gene"]
    left = stsr.spatial.labels_to_grid(section, "grid_016um").xy[:, :1] < 400
    add_result(
        section, (left * [256 * density, 512 * density]).astype(np.float32), genes, grid="grid_016um", key="sr_016um"
    )
    truth = section["truth_008um"]
    x = truth.obsm["spatial"][:, :1] * record(section).mpp
    truth.X = ((x < 400) * [64 * density, 128 * density]).astype(np.float32)
    truth.var_names = genes
    return section


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title() == title)


def spot_near(sdata, x, y):
    spots = spot_positions(sdata, sdata["table"], record(sdata))
    return spots[np.argmin(((spots - (x, y)) ** 2).sum(axis=1))]


def test_equal_densities_have_one_colour_in_all_panels(sdata):
    figure = stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", truth=sdata["truth_008um"])
    here, bare = spot_near(sdata, 250, 300), spot_near(sdata, 600, 300)
    picture, drawn = Picture(figure), [panel(figure, title) for title in ("spots", "prediction", "truth")]
    colours = [picture.colour(axes, here) for axes in drawn]
    assert 1 - colours[0].mean() > 0.8
    np.testing.assert_allclose(colours[1:], [colours[0]] * 2, atol=0.03)
    assert all(picture.darkness(axes, bare) < 0.5 for axes in drawn)


def test_spots_are_discs_of_their_true_size(sdata):
    figure = stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", crop=(150, 200, 350, 400))
    axes, picture = panel(figure, "spots"), Picture(figure)
    centre = spot_near(sdata, 250, 300)
    for turn in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        way = np.array([np.cos(turn), np.sin(turn)])
        assert picture.darkness(axes, centre + 26 * way) > 0.8
        assert picture.darkness(axes, centre + 29.5 * way) < 0.5


def test_the_colours_end_at_the_higher_of_spots_and_prediction(sdata):
    sdata["table"].X = sdata["table"].X * 3
    try:
        figure = stsr.pl.compare(sdata, ["HLA-DRA"], table="sr_016um", vmax="p100")
    finally:
        sdata["table"].X = sdata["table"].X / 3
    bar = next(axes for axes in figure.axes if axes.get_ylabel().startswith("UMI"))
    assert bar.get_ylabel() == "UMI per 16 µm bin"
    assert bar.get_ylim()[1] == pytest.approx(3 * 256 * 38 / (np.pi * 55**2 / 4), rel=1e-4)


def test_rows_are_genes_with_any_name(sdata):
    figure = stsr.pl.compare(sdata, ["HLA-DRA", "my_gene"], table="sr_016um")
    labels = [
        axes.get_ylabel() for axes in figure.axes if axes.get_ylabel() and not axes.get_ylabel().startswith("UMI")
    ]
    assert labels == ["HLA-DRA", "my_gene"]
    assert not any(axes.get_title() == "truth" for axes in figure.axes)
    figure.canvas.draw()


def test_what_is_not_there_is_named(sdata):
    with pytest.raises(ValueError, match="genes='XYZ' not found"):
        stsr.pl.compare(sdata, "XYZ", table="sr_016um")
    with pytest.raises(KeyError, match="table='sr' not found"):
        stsr.pl.compare(sdata, "HLA-DRA", table="sr")
    truth = sdata["truth_008um"].copy()
    del truth.obs["array_row"]
    with pytest.raises(ValueError, match=r"truth lacks obs\['array_row'\]"):
        stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", truth=truth)


def test_what_are_no_counts_is_not_compared(sdata):
    table = sdata["sr_016um"]
    set_totals(table)
    table.layers["counts"] = table.X.copy()
    sc.pp.log1p(table)
    with pytest.raises(ValueError, match="table='sr_016um' does not hold counts in X any more.*pass layer='counts'"):
        stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um")
    assert stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", layer="counts")
    spots = sdata["table"].X.copy()
    sc.pp.normalize_total(sdata["table"], target_sum=7)
    with pytest.raises(ValueError, match="table 'table' holds non-integer values in X; raw UMI counts are needed"):
        stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", layer="counts")
    sdata["table"].X = spots


def test_spots_of_another_section_are_not_drawn(sdata):
    import anndata as ad
    from spatialdata.models import TableModel

    own = sdata["table"]
    foreign = own[:3].copy()
    foreign.obs["region"] = "other"
    both = ad.concat([own, foreign], index_unique="-", keys=["a", "b"])
    both.obs["region"] = both.obs["region"].astype("category")
    sdata.tables["table"] = TableModel.parse(
        both, region=["other", "synthetic"], region_key="region", instance_key="spot_id", overwrite_metadata=True
    )
    try:
        figure = stsr.pl.compare(sdata, "HLA-DRA", table="sr_016um", crop=(0, 0, 800, 800))
        assert len(panel(figure, "spots").collections[0].get_offsets()) == own.n_obs
    finally:
        sdata.tables["table"] = own
