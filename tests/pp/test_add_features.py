"""Features of the user's own: where they must lie, what is kept of them, and that models take them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from spatialdata.models import Image2DModel

import stsr
from stsr.pp.provenance import checked, made_of
from stsr.spatial import labels_to_grid, record, transformations

GRID, KEY = "grid_032um", "features_mine_032um"


@pytest.fixture(scope="module")
def section():
    """A section with a grid of 32 µm and one of 16 µm, in memory."""
    sdata = stsr.datasets.synthetic_section(size=(620, 600), n_genes=6, seed=0)
    stsr.pp.calibrate_image(sdata, target_mpp=2, stain=None)
    for bin_size in (16, 32):
        stsr.pp.make_grid(sdata, bin_size=bin_size)
    return sdata


@pytest.fixture
def values(section):
    """(7, rows, cols) of the grid."""
    return np.random.default_rng(0).normal(size=(7, *section[GRID].shape))


def add(section, values, **options):
    return stsr.pp.add_features(section, values, **{"name": "mine", "grid": GRID, "overwrite": True, **options})


@pytest.mark.parametrize("form", ["first", "last", "list", "dask", "xarray", "float16", "whole"])
def test_an_array_on_the_grid_is_taken_whatever_its_form(section, values, form):
    import xarray as xr

    given = {
        "first": lambda: values,
        "last": lambda: np.moveaxis(values, 0, 2),
        "list": lambda: values.tolist(),
        "dask": lambda: da.from_array(values, chunks=5),
        "xarray": lambda: xr.DataArray(values, dims=("c", "y", "x"), coords={"c": [f"f{n}" for n in range(7)]}),
        "float16": lambda: values.astype(np.float16),
        "whole": lambda: (values * 10).astype(np.int16),
    }[form]()
    assert add(section, given) == KEY
    element, mask = section[KEY], labels_to_grid(section, GRID).mask
    wanted = np.trunc(values * 10) if form == "whole" else values
    np.testing.assert_array_equal(element.data.compute()[:, mask], wanted.astype(np.float16)[:, mask])
    assert not element.data.compute()[:, ~mask].any()
    if form == "xarray":
        assert list(element.c.values) == [f"f{n}" for n in range(7)]


def test_an_image_element_is_taken_where_it_lies_on_the_grid(section, values):
    grid, facts = labels_to_grid(section, GRID), record(section)
    for name, shift in (("raster", 0.0), ("elsewhere", 40.0)):
        affine = grid.affine.copy()
        affine[0, 2] += shift
        section[name] = Image2DModel.parse(values, dims=("c", "y", "x"), transformations=transformations(affine, facts))
    assert add(section, "raster") == KEY
    np.testing.assert_array_equal(section[KEY].data.compute()[:, grid.mask], values.astype(np.float16)[:, grid.mask])
    with pytest.raises(
        ValueError, match="features='elsewhere' are .* pixels of 32 µm, which are not the cells of grid"
    ):
        add(section, "elsewhere")
    with pytest.raises(ValueError, match="features='raster' .* are not the cells of grid='grid_016um'"):
        add(section, "raster", grid="grid_016um")
    with pytest.raises(KeyError, match="features='nothing' not found; sdata holds the images"):
        add(section, "nothing")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda v: v[:, 1:], {}, r"grid='grid_032um' has \d+ rows and \d+ columns of 32 µm; pass"),
        (lambda v: v[0], {}, "pass .features"),
        (lambda v: v[:0], {}, "holds 0 features"),
        (lambda v: np.where(v > 1, np.nan, v), {}, "NaN or infinite in cells inside tissue; fill them"),
        (lambda v: v.astype(complex), {}, "of type complex128"),
        (lambda v: v, {"name": ""}, "name='' is no name"),
        (lambda v: v, {"name": 5}, "name=5 is no name"),
        (lambda v: v, {"identity": 5}, "identity=5 is no text"),
        (lambda v: v, {"key_added": "a b"}, "is no element name"),
        (lambda v: v, {"overwrite": False}, "exists already; pass overwrite=True"),
    ],
)
def test_what_cannot_be_features_is_refused(section, values, change, options, message):
    add(section, values)
    before = section[KEY].data.compute()
    with pytest.raises(ValueError, match=message):
        add(section, change(values), **options)
    np.testing.assert_array_equal(section[KEY].data.compute(), before)


def test_what_lies_outside_tissue_does_not_matter(section, values):
    values[:, ~labels_to_grid(section, GRID).mask] = np.nan
    assert np.isfinite(section[add(section, values)].data.compute()).all()


def test_a_model_takes_features_of_the_same_name_and_identity(section, values):
    key = add(section, values, identity="v1")
    options = {"progress": False, "overwrite": True}
    model = stsr.tl.fit_super_resolution(section, method="ridge", genes=4, grid=GRID, features=key, **options)
    assert (model.encoder.name, model.encoder.weights, model.n_features) == ("mine", "own", 7)
    assert stsr.tl.predict(section, model, features=key, **options) == "sr_032um"
    assert stsr.tl.predict(section, model, **options) == "sr_032um"  # found by the name that they have by default
    add(section, values, identity="v2")
    with pytest.raises(ValueError, match="were made by encoder 'mine', your own .* the model was fitted on 'mine'"):
        stsr.tl.predict(section, model, **options)
    del section[KEY]
    with pytest.raises(ValueError, match="features='features_mine_032um' of the model's encoder 'mine'.* are missing"):
        stsr.tl.predict(section, model, **options)


def test_rasters_that_stsr_did_not_make_or_of_another_grid_say_what_to_do(section, values):
    section["foreign"] = Image2DModel.parse(values, dims=("c", "y", "x"))
    with pytest.raises(
        ValueError, match="features='foreign' were not made by stsr; add them with stsr.pp.add_features"
    ):
        made_of(section, "foreign")
    key = add(section, values)
    with pytest.raises(
        ValueError, match="were made for cells of 32 µm, grid='grid_016um' has cells of 16 µm; pass the"
    ):
        checked(section, key, "grid_016um")
    with pytest.raises(KeyError, match="features='nothing' not found; sdata holds the features .*features_mine_032um"):
        made_of(section, "nothing")
    with pytest.raises(ValueError, match="features='he' have no record of what they were made of"):
        made_of(section, "he")
