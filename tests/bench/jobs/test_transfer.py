"""A section predicted from the others of its folder: prepared once, resumed, and blind to its own spots."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest
from toys.bench import in_this_process, write_folder

from stsr.bench.files import SCORES, STORE, run_folder, section_folder
from stsr.bench.jobs import execute as module
from stsr.bench.jobs.execute import execute, outcome
from stsr.bench.jobs.measure import transferred_genes
from stsr.bench.protocol.plan import Entry, make_plan
from stsr.bench.report.page import render
from stsr.bench.report.tables import collect, write_tables
from stsr.bench.sources.find import find_sources
from stsr.spatial import open_store, spots_record


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Section B predicted by ridge from A and C."""
    folder = write_folder(tmp_path_factory.mktemp("st"))
    out = tmp_path_factory.mktemp("bench")
    entries = [Entry("idw", "idw"), Entry("ridge", "ridge")]
    plan = make_plan(find_sources(str(folder / "B")), entries, settings=["transfer"], genes=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "spawn", in_this_process)
        execute(plan, out, tell=lambda line: None)
    return plan, out


def stores(plan, out):
    (run,) = plan.runs
    names = (run.section, *run.trained_on)
    return [open_store(section_folder(out, name, run.image) / STORE) for name in names]


def test_all_spots_of_the_target_are_scored(done):
    plan, out = done
    (run,) = plan.runs
    result = outcome(plan, out, run)
    assert result.error is None
    target, *others = (sdata["table"].n_obs for sdata in stores(plan, out))
    assert (result.facts["given"], result.facts["hidden"]) == (sum(others), target)
    scores = pd.read_parquet(run_folder(out, run.key) / SCORES)
    assert set(scores["where"]) == {"hidden"}
    assert scores["pearson"].mean() > 0.1


def test_genes_are_those_of_all_chosen_by_the_others(done):
    plan, out = done
    (run,) = plan.runs
    target, *others = stores(plan, out)
    shared = set(target["table"].var_names).intersection(*(other["table"].var_names for other in others))
    scores = pd.read_parquet(run_folder(out, run.key) / SCORES)
    assert len(scores) == 6
    assert set(scores["gene"]) <= shared
    names = ["none", *list(target["table"].var_names)]
    assert set(transferred_genes(names, others, target["table"])) == shared
    with pytest.raises(ValueError, match=r"genes=\['none'\] are in no table of all sections"):
        transferred_genes(["none"], others, target["table"])


def test_sections_that_were_prepared_serve_again_unchanged(done, tmp_path, monkeypatch):
    plan, out = done
    assert all(spots_record(sdata).table == "table" and "sr" not in sdata.tables for sdata in stores(plan, out))
    monkeypatch.setattr(module, "spawn", lambda *args: pytest.fail("done again"))
    told: list[str] = []
    execute(plan, out, tell=told.append)
    assert "there already" in told[0]
    folder = run_folder(out, plan.runs[0].key)
    kept = folder.rename(tmp_path / "kept")
    started: list[str] = []
    monkeypatch.setattr(module, "spawn", lambda name, job, log: started.append(name) or "ValueError: no luck.")
    execute(plan, out, tell=told.append)
    assert started == ["stsr.bench.jobs.measure"]
    write_tables(collect(plan, out, "stsr bench"), tmp_path)
    assert "- ridge (seed 0): ValueError: no luck." in render(tmp_path)
    shutil.rmtree(folder)
    kept.rename(folder)


def test_the_report_says_who_is_left_out(done, tmp_path):
    plan, out = done
    write_tables(collect(plan, out, "stsr bench st/B --settings transfer"), tmp_path)
    text = render(tmp_path)
    assert "Not applicable to idw, which need spots where they predict." in text
    assert "Trained on the other sections of its folder" in text
