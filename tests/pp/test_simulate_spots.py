"""Simulated spots: exact on real tissue, with the truth beside them, and a section like any other."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import squidpy as sq
from scipy.stats import kstest, norm

import stsr
from stsr.geometry import Disc, nearest_pitch
from stsr.geometry.spots import catch
from stsr.pp.slide import Slide
from stsr.spatial import labels_to_grid, note, open_store, raw_counts, read_raster, read_section, record


@pytest.fixture(scope="module")
def fine():
    """A section with counts in bins of 8 µm."""
    section = stsr.datasets.synthetic_section(size=(700, 600), n_genes=12, mpp=2.0, seed=4)
    note(section, patient="C")
    return section


@pytest.fixture
def simulate(fine, tmp_path):
    """Simulate into a new store."""

    def run(**options):
        return stsr.pp.simulate_spots(
            fine, **({"table": "truth_008um", "store": tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"} | options)
        )

    return run


def test_real_spots_are_the_sums_of_the_real_bins_to_the_molecule(data_dir):
    spots, spot_pixels = vendor_matrix(data_dir / "kidney" / "visium", pd.read_csv)
    bins, bin_pixels = vendor_matrix(data_dir / "kidney/visium_hd/binned_outputs/square_008um", pd.read_parquet)
    mpp = 100 / nearest_pitch(spot_pixels)
    caught = catch(bins, bin_pixels * mpp, spot_pixels * mpp, 55.0, rng=np.random.default_rng(0))
    assert caught.shape == spots.shape
    assert (caught != spots).nnz == 0


def vendor_matrix(folder: Path, read) -> tuple[sp.csr_array, np.ndarray]:
    """(spots or bins, genes) counts and their centres in pixels."""
    with h5py.File(folder / "filtered_feature_bc_matrix.h5") as file:
        matrix = file["matrix"]
        parts = [matrix[name][:] for name in ("data", "indices", "indptr")]
        counts = sp.csr_array((parts[0].astype(np.float32), *parts[1:]), shape=tuple(matrix["shape"][:])[::-1])
        barcodes = matrix["barcodes"].asstr()[:]
    places = read(next((folder / "spatial").glob("tissue_positions.*"))).set_index("barcode").loc[barcodes]
    return counts, places[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(dtype=float)


def test_visium_simulated_from_the_truth_is_the_visium_there_was(fine, simulate, caplog):
    caplog.set_level(logging.INFO, "stsr")
    again = simulate()
    assert (again["table"].X != fine["table"].X).nnz == 0
    np.testing.assert_array_equal(again["table"].obsm["spatial"], fine["table"].obsm["spatial"])
    caught, molecules = int(fine["table"].X.sum()), int(fine["truth_008um"].X.sum())
    assert f"caught {caught} of the {molecules} molecules of truth_008um" in caplog.text


def test_the_section_has_image_and_frame_of_the_other_and_the_truth_beside(fine, simulate):
    sdata = open_store(simulate(diameter=80, pitch=120).path)
    facts = record(sdata)
    assert (facts.dataset_id, facts.technology, facts.spot_size) == ("synthetic_spots", "simulated", 80)
    assert facts.patient == "C"
    assert facts.mpp == record(fine).mpp
    before, after = (read_raster(each, record(each).image).levels[0] for each in (fine, sdata))
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    truth = sdata["truth_008um"]
    assert (truth.X != fine["truth_008um"].X).nnz == 0
    np.testing.assert_array_equal(truth.obs["cell_type"], fine["truth_008um"].obs["cell_type"])
    grid = labels_to_grid(sdata, "truth_grid_008um")
    np.testing.assert_allclose(grid.xy, labels_to_grid(fine, "truth_grid_008um").xy)
    section = read_section(sdata, genes=truth.var_names[:3], grid="truth_grid_008um")
    assert section.aperture == Disc(80)
    assert nearest_pitch(section.spots) == pytest.approx(120)
    assert sdata.attrs["stsr"]["simulation"]["pitch"] == 120
    assert sdata.attrs["stsr"]["simulation"]["dataset_id"] == "synthetic"
    pd.testing.assert_frame_equal(sdata["table"].var, fine["table"].var)


def test_the_section_goes_through_the_methods_and_squidpy(simulate):
    sdata = simulate(layout="square", pitch=80, diffusion=4, efficiency=0.8, dataset_id="coarse")
    stsr.tl.fit_super_resolution(sdata, method="idw", genes=12, progress=False)
    scores = stsr.tl.evaluate(sdata, truth=sdata["truth_008um"], scales=(8, 32), ceiling=False)
    assert scores.query("scale_um == 32 and where == 'all'")["pearson"].mean() > 0.3
    sq.gr.spatial_neighbors(sdata["table"], n_neighs=4, coord_type="grid")
    assert sdata["table"].obsp["spatial_connectivities"].sum(axis=1).max() == 4


def test_jitter_moves_the_spots_and_what_they_count(fine, simulate):
    moved, straight = simulate(jitter=6.0, min_coverage=1e-9), simulate(min_coverage=1e-9)
    shared = moved["table"].obs_names.intersection(straight["table"].obs_names)
    assert len(shared) > 30
    by = (moved["table"][shared].obsm["spatial"] - straight["table"][shared].obsm["spatial"]) * 2.0  # µm per pixel
    assert by.std() == pytest.approx(6, rel=0.25)
    truth = fine["truth_008um"]
    under = np.linalg.norm(moved["table"].obsm["spatial"][:, None] - truth.obsm["spatial"], axis=-1) * 2.0 <= 27.5
    np.testing.assert_array_equal(under @ raw_counts(truth, name="truth").toarray(), moved["table"].X.toarray())


def test_the_seed_decides(simulate):
    first, same, other = (simulate(diffusion=5, efficiency=0.5, seed=seed)["table"].X.toarray() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_what_a_seed_draws_stays_what_it_was(simulate):
    """As it was drawn before there were ``split`` and ``efficiency_sd``."""
    table = simulate(efficiency=0.5, diffusion=5, jitter=3, seed=3)["table"]
    assert table.shape == (29, 12)
    assert "efficiency" not in table.obs
    np.testing.assert_array_equal(table.X[10].toarray()[0], [105, 80, 9, 2, 8, 4, 52, 34, 116, 82, 136, 25])
    assert table.X.sum() == 22138


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_split_sends_every_molecule_to_the_slide_or_to_the_truth(fine, simulate, share):
    sdata = open_store(simulate(split=share).path)
    every = raw_counts(fine["truth_008um"], name="truth").toarray()
    truth = raw_counts(sdata["truth_008um"], name="truth").toarray()
    offered = every - truth
    assert (offered >= 0).all()
    assert offered.sum() / every.sum() == pytest.approx(share, abs=0.01)
    rest = ((offered - share * every) ** 2).sum() / (share * (1 - share) * every.sum())  # of a binomial, 1
    assert rest == pytest.approx(1, abs=0.05)
    centres = sdata["table"].obsm["spatial"]
    under = np.linalg.norm(centres[:, None] - sdata["truth_008um"].obsm["spatial"], axis=-1) * 2.0 <= 27.5
    np.testing.assert_array_equal(under @ offered, sdata["table"].X.toarray())
    assert sdata.attrs["stsr"]["simulation"]["split"] == share


def test_the_log_tells_what_was_split_off(fine, simulate, caplog):
    caplog.set_level(logging.INFO, "stsr")
    sdata = simulate(split=0.5)
    truth, every = int(sdata["truth_008um"].X.sum()), int(fine["truth_008um"].X.sum())
    assert f"of the {every} molecules of truth_008um" in caplog.text
    assert f"{truth} are the truth, the others are lost" in caplog.text


def test_a_split_truth_is_a_truth_of_that_grid_and_holds_nothing_of_all_molecules(fine, simulate):
    bins = fine["truth_008um"].copy()
    bins.layers["all"], bins.obsm["X_pca"], bins.raw = bins.X.copy(), np.ones((bins.n_obs, 2)), bins.copy()
    fine["full"] = bins
    sdata = simulate(table="full", split=0.5)
    del fine.tables["full"]
    truth = open_store(sdata.path)["truth_008um"]
    assert (list(truth.layers), list(truth.obsm), truth.raw) == ([], ["spatial"], None)
    pd.testing.assert_frame_equal(truth.var, bins.var)
    np.testing.assert_array_equal(truth.obs["cell_type"], bins.obs["cell_type"])
    np.testing.assert_array_equal(truth.obsm["spatial"], bins.obsm["spatial"])
    stsr.pp.make_grid(sdata, like="truth_008um")


def test_the_truth_is_the_same_wherever_the_spots_lie(simulate):
    first, other = (
        simulate(split=0.5, **slide)["truth_008um"].X.toarray()
        for slide in ({}, {"pitch": 150, "jitter": 4, "diffusion": 3, "efficiency_sd": 0.2, "efficiency": 0.4})
    )
    np.testing.assert_array_equal(first, other)
    assert (first != simulate(split=0.5, seed=1)["truth_008um"].X.toarray()).any()


def test_spots_differ_in_efficiency_by_what_was_asked(fine):
    """On thousands of small spots, so that the law shows."""
    bins = fine["truth_008um"]
    grid = labels_to_grid(fine, "truth_grid_008um")
    slide = Slide(diameter=6, pitch=6, layout="square", efficiency=0.2, efficiency_sd=0.3, min_coverage=1e-9)
    table = slide.spots(raw_counts(bins, name="truth"), grid, np.arange(grid.n_cells), bins.var, 2.0)
    efficiency = table.obs["efficiency"]
    assert len(efficiency) > 1500
    assert efficiency.mean() == pytest.approx(0.2)
    assert np.log(efficiency).std() == pytest.approx(0.3, abs=0.02)  # standard error .005
    assert kstest(np.log(efficiency), norm(np.log(efficiency).mean(), 0.3).cdf).pvalue > 1e-3
    assert efficiency.max() <= 1


def test_the_efficiency_of_each_spot_is_kept_and_is_that_of_all_its_genes(simulate):
    whole = simulate(split=0.5)["table"].X.toarray()
    table = open_store(simulate(split=0.5, efficiency=0.4, efficiency_sd=0.3).path)["table"]
    efficiency = table.obs["efficiency"].to_numpy()
    assert efficiency.mean() == pytest.approx(0.4)
    expected = whole * efficiency[:, None]
    chi2 = ((table.X.toarray() - expected) ** 2).sum() / (expected * (1 - efficiency[:, None])).sum()
    assert chi2 == pytest.approx(1, abs=0.2)
    assert (table.X.toarray() <= whole).all()


def test_spots_lie_where_they_did_whatever_their_efficiency(simulate):
    some, same = (simulate(jitter=3, efficiency=0.4, efficiency_sd=sd)["table"].obsm["spatial"] for sd in (0.0, 0.5))
    np.testing.assert_array_equal(some, same)


def test_a_mean_that_cannot_be_is_lowered_and_told(simulate, caplog):
    table = simulate(efficiency_sd=0.5)["table"]
    efficiency = table.obs["efficiency"]
    assert efficiency.max() == pytest.approx(1)
    assert np.log(efficiency).std() == pytest.approx(0.5, abs=0.2)
    assert "efficiency=1 cannot be the mean of spots that differ by efficiency_sd=0.5" in caplog.text
    assert f"it is {efficiency.mean():.3g}" in caplog.text
    caplog.clear()
    simulate(efficiency_sd=0.1, efficiency=0.3)
    assert not caplog.records


def test_min_coverage_decides_about_the_rim(simulate):
    few, many = (simulate(min_coverage=share)["table"].n_obs for share in (0.95, 0.05))
    assert few < many


def test_bins_may_be_fewer_than_the_cells_of_their_grid(fine, simulate):
    half = fine["truth_008um"][::2].copy()
    fine["half"] = half
    sdata = simulate(table="half", min_coverage=0.3)
    del fine.tables["half"]
    assert len(sdata["truth_008um"]) == len(half)
    assert 0 < sdata["table"].X.sum() < fine["table"].X.sum()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"table": None}, r"table='table' annotates 'synthetic', which is no grid of sdata; pass one of truth_008um"),
        ({"layout": "round"}, r"layout='round' is not allowed; pass one of 'hexagonal', 'square'"),
        ({"pitch": 50}, r"pitch=50 µm is less than diameter=55 µm, so spots would overlap"),
        ({"diameter": 0}, "diameter=0 is not allowed"),
        ({"efficiency": 0}, "efficiency=0 is not allowed; pass a number from 1e-12 to 1"),
        ({"efficiency": 1.1}, "efficiency=1.1 is not allowed"),
        ({"efficiency_sd": -0.1}, "efficiency_sd=-0.1 is not allowed; pass a number from 0 to 3"),
        ({"split": 0}, "split=0 is not allowed; pass a number from 1e-06 to 0.999999 or None"),
        ({"split": 1}, "split=1 is not allowed"),
        ({"split": "half"}, "split='half' is not allowed"),
        ({"min_coverage": 0}, "min_coverage=0 is not allowed"),
        ({"diffusion": -1}, "diffusion=-1 is not allowed"),
        ({"diffusion": float("nan")}, "diffusion=nan is not allowed"),
        ({"angle": 1e300}, r"angle=1e\+300 is not allowed"),
        ({"seed": -1}, "seed=-1 is not allowed"),
        ({"diameter": 900, "pitch": 900}, r"No spot of diameter=900 µm at a pitch of 900 µm lies on bins"),
        ({"efficiency": 1e-12}, r"No spot caught any of the \d+ molecules of table='truth_008um'"),
        ({"dataset_id": "a b"}, r"dataset_id='a b' cannot name elements"),
    ],
)
def test_what_cannot_be_simulated_is_refused(simulate, tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate(**wrong)
    assert not list(tmp_path.iterdir())


def test_unknown_tables_and_stores_that_are_there(simulate, tmp_path):
    with pytest.raises(KeyError, match="table='hd' not found; sdata holds the tables table, truth_008um"):
        simulate(table="hd")
    simulate(store=tmp_path / "a.zarr")
    with pytest.raises(ValueError, match="store=.*exists already; pass overwrite=True"):
        simulate(store=tmp_path / "a.zarr")
    assert simulate(store=tmp_path / "a.zarr", pitch=150, overwrite=True)["table"].n_obs < 30


@pytest.mark.parametrize(
    "name",
    ["diameter", "pitch", "angle", "jitter", "efficiency", "efficiency_sd", "diffusion", "min_coverage", "seed"],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", True, None])
def test_slides_of_no_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r} is not allowed; pass a"):
        Slide(**{name: value})
