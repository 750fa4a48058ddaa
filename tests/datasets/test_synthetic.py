"""The synthetic section: exact spot sums, real stains, and an image that tells much but not all."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import ndimage
from skimage.color import separate_stains

import stsr
from stsr.datasets import _expression, _histology, _tissue
from stsr.geometry import Disc, nearest_pitch
from stsr.spatial import labels_to_grid, open_store, read_raster, read_section, record

SMALL = {"size": (640.0, 600.0), "n_genes": 30}


@pytest.fixture(scope="module")
def small():
    return stsr.datasets.synthetic_section(**SMALL)


@pytest.fixture(scope="module")
def large():
    return stsr.datasets.synthetic_section(size=(1400, 1400), n_genes=40, seed=3)


def pixels(sdata) -> np.ndarray:
    """(height, width, 3) of the full-resolution image."""
    image = sdata[record(sdata).image]["scale0"]["image"]
    return np.asarray(image.data).transpose(1, 2, 0)


def per_bin(sdata, values: np.ndarray) -> np.ndarray:
    """Mean of an image-sized array over every truth bin, at 1 µm per pixel."""
    truth = sdata["truth_008um"]
    rows, cols = values.shape[0] // 8, values.shape[1] // 8
    means = values[: rows * 8, : cols * 8].reshape(rows, 8, cols, 8).mean(axis=(1, 3))
    return means[truth.obs["array_row"], truth.obs["array_col"]]


def haematoxylin(image: np.ndarray) -> np.ndarray:
    """(height, width) concentration by scikit-image's colour deconvolution with the true stains."""
    stains = np.stack([_histology.HAEMATOXYLIN, _histology.EOSIN])
    stains = np.vstack([stains, np.cross(*stains)])
    return separate_stains(image / _histology.GLASS_LIGHT, np.linalg.inv(stains))[..., 0]


@pytest.mark.parametrize("truth_bin", [8.0, 5.0, 2.0])
def test_spot_counts_are_exact_sums_of_the_bins_whose_centre_lies_in_the_disc(truth_bin):
    sdata = stsr.datasets.synthetic_section(**SMALL, truth_bin=truth_bin, mpp=0.5)
    spots, truth = sdata["table"], sdata[f"truth_{truth_bin:03.0f}um"]
    distance = np.linalg.norm(spots.obsm["spatial"][:, None] - truth.obsm["spatial"][None], axis=-1) * 0.5
    under = sp.csr_array((distance <= 27.5).astype(np.float64))
    np.testing.assert_array_equal((under @ sp.csr_array(truth.X)).toarray(), spots.X.toarray())


def test_counts_are_raw_sparse_and_of_the_depth_asked_for(large):
    for name in ("table", "truth_008um"):
        counts = large[name].X
        assert sp.issparse(counts)
        assert counts.dtype == np.float32
        assert (counts.data == np.rint(counts.data)).all()
        assert counts.data.min() >= 0
    discs = np.pi * 55**2 / 4 / 64
    assert large["truth_008um"].X.sum(axis=1).mean() * discs == pytest.approx(1500, rel=0.1)
    assert np.median(np.asarray(large["table"].X.sum(axis=1))) == pytest.approx(1500, rel=0.25)


def test_same_seed_same_section_and_the_pixel_size_changes_only_the_image(small):
    again = stsr.datasets.synthetic_section(**SMALL)
    np.testing.assert_array_equal(pixels(small), pixels(again))
    np.testing.assert_array_equal(small["truth_008um"].X.toarray(), again["truth_008um"].X.toarray())
    fine = stsr.datasets.synthetic_section(**SMALL, mpp=0.5)
    assert pixels(fine).shape == (1200, 1280, 3)
    np.testing.assert_array_equal(small["truth_008um"].X.toarray(), fine["truth_008um"].X.toarray())
    np.testing.assert_allclose(fine["table"].obsm["spatial"], 2 * small["table"].obsm["spatial"])
    other = stsr.datasets.synthetic_section(**SMALL, seed=1)
    assert not np.array_equal(pixels(small), pixels(other))


def test_the_section_reads_like_one_from_the_readers(small):
    section = read_section(small, genes=small["table"].var_names[:4], grid="truth_grid_008um")
    assert nearest_pitch(section.spots) == pytest.approx(100)
    assert section.aperture == Disc(55)
    assert read_raster(small, record(small).image).mpp == 1.0
    truth = small["truth_008um"]
    np.testing.assert_allclose(section.grid.xy, truth.obsm["spatial"])
    np.testing.assert_array_equal(section.grid.rowcol, truth.obs[["array_row", "array_col"]])
    spots = small["table"].obs
    assert ((spots["array_row"] + spots["array_col"]) % 2 == 0).all()


def test_same_elements_as_a_folder_read_by_read_visium(small, tmp_path):
    spots = small["table"]
    tiff = stsr.datasets.write_visium_folder(
        tmp_path / "outs",
        counts=spots.X,
        genes=list(spots.var_names),
        xy=spots.obsm["spatial"],
        array_rowcol=spots.obs[["array_row", "array_col"]].to_numpy(),
        image=pixels(small),
        mpp=1.0,
    )
    read = stsr.pp.read_visium(tiff.parent, fullres_image=tiff, store=tmp_path / "read.zarr", dataset_id="synthetic")
    facts, ours = record(read), record(small)
    assert (facts.image, facts.spots, facts.table) == (ours.image, ours.spots, ours.table)
    assert facts.mpp == pytest.approx(ours.mpp, rel=1e-6)
    assert set(spots.obs) <= set(read["table"].obs)
    np.testing.assert_array_equal(read["table"].X.toarray(), spots.X.toarray())
    np.testing.assert_allclose(read["synthetic"].radius, small["synthetic"].radius)
    assert {*read.coordinate_systems} >= {*small.coordinate_systems}


def test_markers_mark_their_cell_type(large):
    truth = large["truth_008um"]
    kinds = truth.obs["cell_type"].to_numpy()
    for gene, kind in truth.var["marker_of"].items():
        if kind:
            counts = np.asarray(truth[:, gene].X.todense()).ravel()
            assert counts[kinds == kind].mean() > 4 * counts[kinds != kind].mean(), gene


def test_the_image_is_made_of_the_two_stains_on_clear_glass(small):
    image = pixels(small)
    mask = labels_to_grid(small, "truth_grid_008um").mask
    glass = ndimage.binary_erosion(~np.kron(mask, np.ones((8, 8), bool)), iterations=24)[: len(image)]
    assert np.median(image[glass]) == pytest.approx(_histology.GLASS_LIGHT, abs=1)
    density = -np.log10(np.maximum(image, 1) / _histology.GLASS_LIGHT)
    plane = np.stack([_histology.HAEMATOXYLIN, _histology.EOSIN])
    tissue = density[density.sum(axis=-1) > 0.2]
    fitted = np.linalg.lstsq(plane.T, tissue.T, rcond=None)[0].T
    assert (fitted > -0.05).mean() > 0.99
    residual = np.linalg.norm(tissue - fitted @ plane, axis=1)
    assert np.median(residual) < 0.02


def test_the_image_tells_much_about_expression_but_not_all(large):
    truth = large["truth_008um"]
    dark = per_bin(large, ndimage.gaussian_filter(haematoxylin(pixels(large)), 20))
    kinds = truth.obs["cell_type"].to_numpy()
    podocytes = truth[:, ["PODO1", "PODO2"]].X.sum(axis=1).A1
    assert 0.25 < np.corrcoef(dark, podocytes)[0, 1] < 0.9
    colour = np.column_stack([per_bin(large, channel) for channel in np.moveaxis(pixels(large).astype(float), -1, 0)])
    look = {kind: colour[kinds == kind].mean(axis=0) for kind in _tissue.CELL_TYPES}
    assert np.linalg.norm(look["proximal_a"] - look["proximal_b"]) < 10
    assert np.linalg.norm(look["proximal_a"] - look["immune"]) > 20


def test_hidden_drift_and_depth_leave_no_trace_in_the_markers():
    programs = _expression.make_programs(100, np.random.SeedSequence(0))
    marked = np.array([bool(kind) for kind in programs.marker_of])
    assert marked.sum() == 24
    assert (programs.drift[marked] == 0).all()
    assert 5 < (programs.drift != 0).sum() < 30
    np.testing.assert_allclose(programs.share.sum(axis=1), 1, rtol=1e-5)
    assert len(set(programs.genes)) == 100


def test_few_genes_leave_half_of_them_unmarked():
    programs = _expression.make_programs(5, np.random.SeedSequence(0))
    assert programs.genes == ("PODO1", "ENDO1", "GENE001", "GENE002", "GENE003")
    assert _expression.make_programs(1, np.random.SeedSequence(0)).genes == ("GENE001",)


def test_bin_counts_are_negative_binomial_around_the_programs(monkeypatch):
    tissue = _tissue.Tissue(
        pixel=2.0,
        structure=np.full((400, 400), _tissue.PROXIMAL, dtype=np.uint8),
        owner=np.zeros((400, 400), dtype=np.int32),
        cells=np.array([[400.0, 400.0]]),
        kind=np.array([_tissue.PROXIMAL_A]),
    )
    monkeypatch.setattr(_expression, "smooth_field", lambda rng, shape, pixel, scale: np.zeros(shape))
    programs = _expression.make_programs(4, np.random.SeedSequence(1))
    _, counts, _ = _expression.count_bins(tissue, 4, programs, 40.0, np.random.SeedSequence(2))
    values = counts.toarray().astype(float)
    mean = 40 * programs.share[_tissue.PROXIMAL_A]
    np.testing.assert_allclose(values.mean(axis=0), mean, rtol=0.05)
    np.testing.assert_allclose(values.var(axis=0), mean + _expression.DISPERSION * mean**2, rtol=0.1)


def test_smooth_field_is_standard_and_the_same_on_every_raster():
    draws = [_tissue.smooth_field(np.random.default_rng(i), (60, 50), 4.0, 40.0) for i in range(200)]
    assert np.mean(draws) == pytest.approx(0, abs=0.05)
    assert np.std(draws, axis=0).mean() == pytest.approx(1, abs=0.05)
    fine = _tissue.smooth_field(np.random.default_rng(0), (240, 200), 1.0, 40.0)
    pooled = fine.reshape(60, 4, 50, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(pooled, draws[0], atol=0.02)


def test_every_cell_owns_tissue_only_and_round_it(large):
    tissue = _tissue.make_tissue((600, 600), 2.0, np.random.SeedSequence(0))
    owned = tissue.owner >= 0
    assert not np.isin(tissue.structure[owned], (_tissue.GLASS, _tissue.LUMEN)).any()
    rows, cols = np.nonzero(owned)
    centres = (np.column_stack([cols, rows]) + 0.5) * 2.0
    distance = np.linalg.norm(centres - tissue.cells[tissue.owner[owned]], axis=1)
    assert distance.max() < _tissue.REACH + 3
    assert set(np.unique(tissue.structure)) >= {_tissue.TUFT, _tissue.PROXIMAL, _tissue.DISTAL, _tissue.DUCT}


def test_store_is_written_and_replaced_only_when_asked(small, tmp_path):
    store = tmp_path / "section.zarr"
    backed = stsr.datasets.synthetic_section(**SMALL, store=store)
    assert backed.is_backed()
    again = open_store(store)
    assert record(again) == record(small)
    np.testing.assert_array_equal(again["table"].X.toarray(), small["table"].X.toarray())
    np.testing.assert_array_equal(pixels(again), pixels(small))
    with pytest.raises(ValueError, match=r"store=.*exists already; pass overwrite=True"):
        stsr.datasets.synthetic_section(**SMALL, store=store)
    other = stsr.datasets.synthetic_section(**SMALL, seed=5, store=store, overwrite=True)
    assert not np.array_equal(pixels(other), pixels(small))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"size": (300, 600)},
            r"size=\(300, 600\) is not allowed; pass a list of 2 items, each a number from 400 to 50000",
        ),
        ({"n_genes": 0}, "n_genes=0 is not allowed; pass a whole number from 1 to 50000"),
        ({"truth_bin": 1}, "truth_bin=1 is not allowed; pass a number from 2 to 20"),
        ({"mpp": 0.1}, "mpp=0.1 is not allowed; pass a number from 0.25 to 2"),
        ({"depth": float("nan")}, "depth=nan is not allowed"),
        ({"seed": -1}, "seed=-1 is not allowed"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        stsr.datasets.synthetic_section(**{**SMALL, **wrong})


@pytest.mark.parametrize("tissue", _tissue.TISSUES)
def test_every_tissue_has_an_image_spots_and_a_truth(tissue):
    sdata = stsr.datasets.synthetic_section(size=(800, 800), n_genes=4, mpp=2, tissue=tissue)
    assert pixels(sdata).shape == (400, 400, 3)
    assert sdata["table"].n_obs > 10
    assert np.asarray(sdata["table"].X.sum(axis=1)).min() > 0
    mask = np.asarray(sdata["truth_grid_008um"]) > 0
    assert mask.all() == (tissue == "crop")
    assert (ndimage.label(mask)[1] > 1) == (tissue == "cores")


def test_hard_tissues_are_what_they_are_called(small):
    def look(tissue: str) -> tuple[float, float]:
        """Density of the green light, and share of bright pixels, in the middle of the tissue."""
        image = pixels(stsr.datasets.synthetic_section(**SMALL, tissue=tissue))[150:450, 150:450, 1]
        return float(-np.log((image + 1) / 245).mean()), float((image > 225).mean())

    kidney, fat, stroma, brain, necrosis = (look(name) for name in ("kidney", "fat", "stroma", "brain", "necrosis"))
    assert fat[1] > 0.4 > 0.2 > kidney[1]
    assert brain[0] < stroma[0] < 0.6 * kidney[0]
    assert max(stroma[1], necrosis[1]) < 0.3
    np.testing.assert_array_equal(pixels(small), pixels(stsr.datasets.synthetic_section(**SMALL, tissue="kidney")))


def test_an_unknown_tissue_is_refused():
    with pytest.raises(ValueError, match="tissue='lung' is not allowed; pass one of 'kidney', 'crop', 'cores'"):
        stsr.datasets.synthetic_section(tissue="lung")
