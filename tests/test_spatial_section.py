"""From SpatialData to arrays: values, order, frames, and what is refused."""

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from spatial_toys import GENES, MPP, hex_spots, toy_counts, toy_image, toy_record, toy_sdata
from spatialdata.models import Image2DModel
from spatialdata.transformations import Identity, Scale, set_transformation

from stsr.geometry import Disc, Grid
from stsr.spatial import grid_to_labels, read_section, transformations

GRID = Grid(np.array([[8.0, 0, 40], [0, 8.0, 50], [0, 0, 1]]), np.ones((40, 30), dtype=bool))


@pytest.fixture
def sdata():
    sdata = toy_sdata()
    sdata["grid_008um"] = grid_to_labels(GRID, toy_record())
    return sdata


def read(sdata, genes=("UMOD", "AQP2"), **options):
    return read_section(sdata, genes=genes, grid="grid_008um", **options)


def test_arrays_of_a_section(sdata):
    section = read(sdata, genes=["AQP2", "UMOD"])
    counts = toy_counts(12, 5)
    assert section.genes == ("AQP2", "UMOD")
    assert section.counts.dtype == np.float32
    np.testing.assert_array_equal(section.counts.toarray(), counts[:, [3, 0]])
    np.testing.assert_array_equal(section.library, counts.sum(axis=1))
    xy, _ = hex_spots(4, 3, 100 / MPP, (150, 150))
    np.testing.assert_allclose(section.spots, xy * MPP)
    assert section.aperture == Disc(55)
    np.testing.assert_array_equal(section.grid.mask, GRID.mask)
    assert section.features is None
    assert section.image is None


def test_spots_come_in_the_order_of_the_table(sdata):
    order = np.array([7, 2, 9])
    table = sdata["table"][order].copy()
    del sdata.tables["table"]
    sdata["table"] = table
    section = read(sdata)
    xy, _ = hex_spots(4, 3, 100 / MPP, (150, 150))
    np.testing.assert_allclose(section.spots, xy[order] * MPP)
    np.testing.assert_array_equal(section.counts.toarray(), toy_counts(12, 5)[order][:, [0, 3]])


def test_transformation_of_the_spots_counts(sdata):
    set_transformation(sdata["toy"], Scale([2, 2], axes=("x", "y")), "toy")
    xy, _ = hex_spots(4, 3, 100 / MPP, (150, 150))
    np.testing.assert_allclose(read(sdata).spots, xy * 2 * MPP)


def test_features_and_image(sdata):
    here = transformations(GRID.affine, toy_record())
    values = np.random.default_rng(0).random((6, 40, 30)).astype(np.float16)
    sdata["features"] = Image2DModel.parse(values, dims=("c", "y", "x"), transformations=here)
    sdata["he"] = Image2DModel.parse(
        toy_image(1000, 900).transpose(2, 0, 1), dims=("c", "y", "x"), transformations={"toy": Identity()}
    )
    section = read(sdata, features="features", need_image=True)
    np.testing.assert_array_equal(section.cell_features(slice(3, 4)), values[:, 3].T.astype(np.float32))
    window = section.window(16, slice(0, 2), slice(0, 3))
    np.testing.assert_array_equal(window, toy_image(1000, 900)[100:132, 80:128])


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "NaN or infinite"), (-1, "negative"), (0.5, "non-integer"), (np.inf, "NaN or infinite")],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_values_that_are_no_counts(sdata, value, fault, sparse):
    counts = toy_counts(12, 5).astype(float)
    counts[3, 2] = value
    sdata["table"].X = sp.csr_matrix(counts) if sparse else counts
    with pytest.raises(ValueError, match=rf"table 'table' holds {fault} values in X; raw UMI counts are needed"):
        read(sdata)


def test_genes_that_cannot_be_told(sdata):
    with pytest.raises(ValueError, match=r"genes='UMODL' not found in sdata\['table'\]; did you mean UMOD"):
        read(sdata, genes=["UMODL"])
    with pytest.raises(ValueError, match=r"genes='qqqq' and 1 more not found .*; see sdata\['table'\]\.var_names"):
        read(sdata, genes=["qqqq", "zzzz"])
    with pytest.raises(ValueError, match=r"genes lists UMOD more than once"):
        read(sdata, genes=["UMOD", "AQP2", "UMOD"])
    sdata["table"].var_names = ["UMOD", "UMOD", *GENES[2:]]
    with pytest.raises(ValueError, match=r"genes='UMOD' names 2 columns .*; call var_names_make_unique"):
        read(sdata, genes=["UMOD"])
    assert read(sdata, genes=["AQP2"]).genes == ("AQP2",)


def test_elements_that_are_missing(sdata):
    with pytest.raises(KeyError, match=r"grid='grid_4' not found; sdata holds the labels grid_008um"):
        read_section(sdata, genes=["UMOD"], grid="grid_4")
    with pytest.raises(KeyError, match=r"features='uni' not found; sdata holds the images toy_full_image"):
        read(sdata, features="uni")
    with pytest.raises(ValueError, match=r"features='toy_full_image' has several scales"):
        read(sdata, features="toy_full_image")
    with pytest.raises(KeyError, match=r"image='he' not found"):
        read(sdata, need_image=True)
    shapes = sdata["toy"].iloc[:10]
    del sdata.shapes["toy"]
    sdata["toy"] = shapes
    with pytest.raises(ValueError, match=r"table 'table' has 2 spots that are not in the shapes 'toy'"):
        read(sdata)
    del sdata.tables["table"]
    with pytest.raises(KeyError, match=r"table='table' not found; sdata holds the tables none"):
        read(sdata)


def test_counts_stay_sparse(sdata):
    sdata["table"].X = sp.csc_matrix(toy_counts(12, 5))
    assert isinstance(read(sdata).counts, sp.csr_array)
    assert isinstance(sdata["table"], ad.AnnData)
