"""From SpatialData to arrays: values, order, frames, and what is refused."""

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from spatialdata.models import Image2DModel, TableModel
from spatialdata.transformations import Identity, Scale, set_transformation
from toys.spatial import GENES, MPP, hex_spots, toy_counts, toy_image, toy_record, toy_sdata

from stsr.geometry import Disc, Grid
from stsr.pp.select_genes import rank_genes, select_genes
from stsr.spatial import grid_to_labels, read_section, spot_positions, spots_record, spots_table, transformations
from stsr.spatial.grid_table import grid_table

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


def shared_table(sdata, *, other="other", first=False):
    """The table of ``sdata`` with the rows of another section in it, which has the same spot ids."""
    import anndata as ad

    own = sdata["table"].copy()
    foreign = own[:7].copy()
    foreign.X = foreign.X + 100
    foreign.obs["region"] = other
    rows = ad.concat([foreign, own] if first else [own, foreign], index_unique="-", keys=["a", "b"])
    rows.obs["region"] = rows.obs["region"].astype("category")
    del sdata.tables["table"]
    sdata["table"] = TableModel.parse(
        rows, region=sorted({"toy", other}), region_key="region", instance_key="spot_id", overwrite_metadata=True
    )
    return sdata


@pytest.mark.parametrize("first", [False, True])
def test_rows_of_another_section_are_not_read(sdata, first):
    shared = shared_table(sdata, first=first)
    section = read(shared)
    np.testing.assert_array_equal(section.counts.toarray(), toy_counts(12, 5)[:, [0, 3]])
    np.testing.assert_array_equal(section.library, toy_counts(12, 5).sum(axis=1))
    assert len(spots_table(shared)) == 12
    assert select_genes(shared, 3) == select_genes(toy_sdata(), 3)
    assert rank_genes(shared, "svg") == rank_genes(toy_sdata(), "svg")


def test_rows_of_other_bins_are_not_read():
    sdata = toy_sdata(spots="grid_008um", spot_size=8.0)
    sdata["grid_008um"] = sdata["other"] = grid_to_labels(GRID, toy_record())
    bins = grid_table(np.arange(GRID.n_cells)[:, None] % 7, ["UMOD"], GRID, region="grid_008um", mpp=MPP)
    more = grid_table(np.full((GRID.n_cells, 1), 9), ["UMOD"], GRID, region="other", mpp=MPP)
    both = ad.concat([more, bins], index_unique="-", keys=["a", "b"])
    both.obs["region"] = both.obs["region"].astype("category")
    del sdata.tables["table"]
    sdata["table"] = TableModel.parse(
        both, region=["grid_008um", "other"], region_key="region", instance_key="bin_id", overwrite_metadata=True
    )
    section = read(sdata, genes=["UMOD"])
    np.testing.assert_array_equal(section.counts.toarray()[:, 0], np.arange(GRID.n_cells) % 7)
    np.testing.assert_allclose(section.spots, GRID.xy)


def test_a_table_of_other_spots_is_refused(sdata):
    sdata["renamed"] = sdata["toy"]
    del sdata.shapes["toy"]
    with pytest.raises(KeyError, match=r"spots='toy' not found; sdata holds the shapes renamed"):
        read(sdata)
    sdata = toy_sdata()
    sdata["table"].obs["region"] = "renamed"
    with pytest.raises(ValueError, match=r"table 'table' annotates renamed, not the spots 'toy' of section 'toy'"):
        spots_table(sdata)
    del sdata["table"].uns["spatialdata_attrs"]
    with pytest.raises(ValueError, match=r"table 'table' does not say which spots its rows are"):
        spots_table(sdata)


def test_categories_without_rows_do_no_harm(sdata):
    sdata["table"].obs["region"] = sdata["table"].obs["region"].cat.add_categories(["another"])
    assert len(read(sdata).spots) == 12


def test_spots_that_cannot_be_told(sdata):
    sdata["table"].obs["spot_id"] = sdata["table"].obs["spot_id"].astype(str)
    with pytest.raises(
        ValueError, match=r"table 'table' names its spots by str, the shapes 'toy' by int.*; write (.*)\."
    ) as e:
        read(sdata)
    exec(str(e.value).split("write ")[1].rstrip("."), {"sdata": sdata})
    assert len(read(sdata).spots) == 12
    sdata["table"].obs["spot_id"] = [0, 0, *range(2, 12)]
    with pytest.raises(ValueError, match=r"table 'table' has 1 spots more than once in obs\['spot_id'\], such as 0"):
        read(sdata)
    sdata = toy_sdata()
    sdata["toy"].index = [0, 0, *range(2, 12)]
    with pytest.raises(ValueError, match=r"spots='toy' has 1 names more than once, such as 0"):
        spot_positions(sdata, sdata["table"], spots_record(sdata))


def test_extra_shapes_and_rows_in_another_order_are_fine(sdata):
    order = np.array([7, 2, 9, 0])
    table = sdata["table"][order].copy()
    del sdata.tables["table"]
    sdata["table"] = table
    xy, _ = hex_spots(4, 3, 100 / MPP, (150, 150))
    np.testing.assert_allclose(read(sdata).spots, xy[order] * MPP)


@pytest.mark.parametrize("kind", ["none", "dask"])
def test_matrices_of_other_kinds(sdata, kind):
    if kind == "none":
        sdata["table"].X = None
        with pytest.raises(ValueError, match="table 'table' has no X; put the raw UMI counts there"):
            read(sdata)
    else:
        import dask.array as da

        sdata["table"].X = da.from_array(toy_counts(12, 5))
        np.testing.assert_array_equal(read(sdata).counts.toarray(), toy_counts(12, 5)[:, [0, 3]])


def test_what_is_no_section(sdata):
    with pytest.raises(ValueError, match="sdata is of type AnnData, not a SpatialData object"):
        read_section(sdata["table"], genes=["UMOD"], grid="grid_008um")
    sdata.attrs.clear()
    with pytest.raises(ValueError, match="does not hold technology.*pass several sections as a list"):
        spots_table(sdata)
