"""Boxes of sections: what is written of them, and what is read back."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
from PIL import Image

from stsr.bench.sources.boxes import FACTS, IMAGE, SPOTS, TRUE_BINS, Box, WholeSection, write_section
from stsr.bench.sources.find import find_sources
from stsr.spatial import labels_to_grid, read_raster, record, spot_positions, spots_record

CORNERS = (60.0, 100.0, 760.0, 800.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    store = tmp_path_factory.mktemp("whole") / "section.zarr"
    return WholeSection.read(find_sources("synthetic:800")[0], store, genes=5)


@pytest.fixture(scope="module")
def folder(whole, tmp_path_factory):
    place = tmp_path_factory.mktemp("boxes") / "part"
    whole.write(place, name="a/part", box=CORNERS)
    return place


def test_a_box_keeps_what_lies_in_it(whole, folder):
    with Image.open(folder / IMAGE) as picture:
        assert picture.size == (350, 350)
    spots, truth = (anndata.read_h5ad(folder / name) for name in (SPOTS, TRUE_BINS))
    reach = whole.diameter / 2
    inside = ((whole.xy >= np.array(CORNERS[:2]) + reach) & (whole.xy <= np.array(CORNERS[2:]) - reach)).all(axis=1)
    assert 20 < inside.sum() < len(inside)
    np.testing.assert_allclose(spots.obsm["spatial"] * 2 + CORNERS[:2], whole.xy[inside])
    np.testing.assert_array_equal(spots.X.toarray(), whole.spots.X.toarray()[inside])
    assert 0 <= truth.obsm["spatial"].min() < 4
    assert 346 < truth.obsm["spatial"].max() <= 350
    assert list(truth.var_names) == whole.genes
    assert truth.n_vars == 5


def test_it_is_read_as_a_section_with_its_true_bins(whole, folder, tmp_path):
    (source,) = find_sources(f"box:{folder}")
    assert source == Box("a/part", f"box:{folder}", folder)
    assert source.has_truth
    assert (source.bin_size, source.scales, source.genes) == (8, (8, 16, 32, 56), whole.genes)
    sdata = source.read(tmp_path / "part.zarr")
    facts = spots_record(sdata)
    assert facts.spot_size == whole.diameter
    spots = anndata.read_h5ad(folder / SPOTS)
    np.testing.assert_allclose(spot_positions(sdata, sdata[facts.table], facts), spots.obsm["spatial"] * 2)
    with Image.open(folder / IMAGE) as picture:
        levels = read_raster(sdata, record(sdata).image).levels
        np.testing.assert_array_equal(np.moveaxis(np.asarray(levels[0][0]), 0, 2), np.asarray(picture))
    truth, bins = source.truth(sdata, whole.genes[:2]), source.bins(sdata)
    assert list(truth.var_names) == whole.genes[:2]
    assert bins.n_vars == 0
    np.testing.assert_array_equal(bins.obsm["spatial"], truth.obsm["spatial"])


def test_the_grid_of_the_bench_lies_on_the_true_bins(folder, tmp_path):
    from stsr.pp import make_grid

    (source,) = find_sources(f"box:{folder}")
    sdata = source.read(tmp_path / "part.zarr")
    bins = source.bins(sdata)
    make_grid(sdata, like=bins, key_added="grid")
    centres = bins.obsm["spatial"] * 2
    np.testing.assert_allclose(np.sort(labels_to_grid(sdata, "grid").xy, axis=0), np.sort(centres, axis=0), atol=0.01)


def test_a_section_that_is_there_stays(folder):
    before = (folder / FACTS).stat().st_mtime_ns
    write_section(find_sources("synthetic:800")[0], folder)
    assert (folder / FACTS).stat().st_mtime_ns == before


def test_what_is_no_box_is_told_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"section='box:.*' must be box:FOLDER with a folder that .* wrote\.$"):
        find_sources(f"box:{tmp_path}")
