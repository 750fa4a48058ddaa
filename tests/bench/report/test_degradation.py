"""The bench of worse images on a small synthetic section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys.bench import TINY, in_this_process

from stsr.bench.jobs import execute
from stsr.bench.report.degradation import HEAD, KEPT, degradation_page, degradation_plan, degradation_table
from stsr.bench.sources.boxes import write_section
from stsr.bench.sources.degraded import NONE, Degraded
from stsr.bench.sources.find import find_sources
from stsr.datasets.distortions import DISTORTIONS
from stsr.spatial import read_raster, record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("sections") / "synthetic"
    write_section(find_sources("synthetic:800")[0], place, box=(60.0, 100.0, 760.0, 800.0), genes=5)
    return place


def test_sections_are_named_by_what_was_done_to_them(folder):
    (source,) = find_sources(f"degraded:fold:hard:{folder}")
    assert isinstance(source, Degraded)
    assert source.name == "synthetic_800/fold_hard"
    assert source.has_truth
    assert (source.bin_size, source.scales) == (8, (8, 16, 32, 56))
    assert len(source.genes) == 5
    assert source.bins(None) is None


@pytest.mark.parametrize(
    "argument", ["degraded:fold", "degraded:melted:hard:{}", "degraded:fold:worst:{}", "degraded:fold:hard:/no"]
)
def test_what_is_no_such_section_is_told_in_one_sentence(folder, argument):
    with pytest.raises(
        ValueError, match="must be degraded:DISTORTION:SEVERITY:FOLDER .* mild or hard, and one of paler"
    ):
        find_sources(argument.format(folder))


def test_the_image_is_worse_and_the_spots_stay(folder, tmp_path):
    as_it_is, paler = (
        find_sources(f"degraded:{way}:{folder}")[0].read(tmp_path / f"{number}.zarr")
        for number, way in enumerate(("none:none", "paler:hard"))
    )
    first, second = (np.asarray(read_raster(sdata, record(sdata).image).levels[0][0]) for sdata in (as_it_is, paler))
    assert second.mean() > first.mean() + 10
    np.testing.assert_array_equal(as_it_is["table"].obsm["spatial"], paler["table"].obsm["spatial"])


def test_a_bench_of_worse_images_gives_the_table_and_its_page(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "spawn", in_this_process)
    monkeypatch.setattr("stsr.bench.jobs.maps.draw_extremes", lambda *args: None)  # the page shows no maps
    plan = degradation_plan([folder], distortions=["paler"], **TINY)
    assert len(plan.runs) == 6
    execute.execute(plan, tmp_path, tell=lambda line: None)
    table = degradation_table(plan, tmp_path)
    assert table[["distortion", "severity"]].to_numpy().tolist() == [[NONE, NONE], ["paler", "mild"], ["paler", "hard"]]
    assert np.isfinite(table[["default", "idw", "kept", "by_image"]].to_numpy()).all()
    assert table["kept"].iloc[0] == 1
    page = degradation_page(table, "make it")
    assert page.startswith(HEAD.format(what="bins of 16 µm of synthetic_800", command="make it"))
    assert "| paler |" in page
    assert "of 1 are no worse than idw" in page


def test_a_run_that_failed_is_told(folder, tmp_path):
    plan = degradation_plan([folder], distortions=["paler"])
    table = degradation_table(plan, tmp_path)
    assert table["default"].isna().all()
    page = degradation_page(table, "make it")
    assert "- paler (mild): not run" in page
    assert "Mild: 0 of 1 keep 90%" in page
    again = degradation_page(pd.read_csv(_written(table, tmp_path), keep_default_na=True, na_values=[""]), "make it")
    assert again == page


def test_the_committed_page_is_that_of_the_committed_table():
    root = Path(__file__).parents[3]
    table = pd.read_csv(root / "benchmarks" / "degradation.csv", keep_default_na=True, na_values=[""])
    page = (root / "docs" / "degradation.md").read_text(encoding="utf-8")
    command = page.split("```bash\n")[1].split("\n```")[0]
    assert page == degradation_page(table, command)
    mild = table[table["severity"] == "mild"]
    assert len(mild) == 2 * len(DISTORTIONS)
    assert (mild["kept"] >= KEPT).all()
    assert (table["default"] >= table["idw"]).all()


def _written(table, folder):
    table.to_csv(folder / "degradation.csv", index=False)
    return folder / "degradation.csv"
