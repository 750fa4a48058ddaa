"""Runs are done once, failures are told, and nothing of another version is mixed in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock
from toys.bench import NAME, in_this_process, small_plan

from stsr.bench.files import RUN, SCORES, run_folder
from stsr.bench.jobs import execute as module
from stsr.bench.jobs.execute import execute, outcome, spawn
from stsr.bench.protocol.plan import Entry, Plan
from stsr.bench.report.tables import collect, write_tables
from stsr.bench.run import run_bench


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished bench: two methods, one of which fails in one row, on true bins and on hidden spots."""
    out = tmp_path_factory.mktemp("bench")
    plan = small_plan("nearest", "idw", settings=["truth", "random_half"])
    on_bins, _, on_spots = plan.runs[:3]
    bad = Entry("idw:neighbours=1", "idw", {"neighbours": 1})
    plan = replace(plan, runs=(on_bins, on_spots, replace(on_bins, entry=bad)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "spawn", failing(bad))
        execute(plan, out, tell=lambda line: None)
    return plan, out


def failing(bad):
    def spawned(name, job, log):
        if job.get("options") == bad.options:
            return "ValueError: no such luck."
        return in_this_process(name, job, log)

    return spawned


def again(plan: Plan, out, monkeypatch):
    """Execute once more; returns what was started, and what was told."""
    started, told = [], []

    def note(name, job, log):
        started.append((name.rpartition(".")[2], job.get("method")))
        return in_this_process(name, job, log)

    monkeypatch.setattr(module, "spawn", note)
    execute(plan, out, tell=told.append)
    return started, told


def test_every_run_leaves_scores_and_costs(done):
    plan, out = done
    for run in plan.runs[:-1]:
        result = outcome(plan, out, run)
        assert result.error is None
        assert result.facts["seconds"] > 0
        assert 0 < result.facts["peak_gb"] < 100
        scores = pd.read_parquet(run_folder(out, run.key) / SCORES)
        assert scores["gene"].nunique() == 6
        assert scores["pearson"].notna().any()
    assert set(scores["where"]) == {"hidden", "all"}
    assert result.facts["given"] + result.facts["hidden"] > 20
    assert scores["imprint"].between(0, 10).all()
    assert (run_folder(out, plan.runs[0].key) / "maps.png").stat().st_size > 1000


def test_a_failure_is_recorded_and_others_go_on(done):
    plan, out = done
    assert outcome(plan, out, plan.runs[-1]).error == "ValueError: no such luck."
    tables = collect(plan, out, "stsr bench")
    assert tables.costs["error"].tolist() == [None] * 2 + ["ValueError: no such luck."]
    assert tables.scores.groupby("setting")["method"].unique().explode().to_dict() == {
        "truth": "nearest",
        "random_half": "nearest",
    }


def test_what_is_there_is_not_run_again_and_failures_are(done, monkeypatch):
    plan, out = done
    good = replace(plan, runs=plan.runs[:-1])
    started, told = again(good, out, monkeypatch)
    assert started == []
    assert all("there already" in line for line in told)
    run = plan.runs[-1]
    (run_folder(out, run.key) / RUN).write_text(json.dumps({"fingerprint": plan.fingerprint(run), "error": "x"}))
    monkeypatch.setattr(module, "spawn", lambda *args: "ValueError: once more.")
    execute(plan, out, tell=told.append)
    assert outcome(plan, out, run).error == "ValueError: once more."


def test_a_run_that_was_broken_off_is_done_again_alone(done, monkeypatch):
    plan, out = done
    good = replace(plan, runs=plan.runs[:-1])
    (run_folder(out, plan.runs[1].key) / RUN).unlink()
    started, _ = again(good, out, monkeypatch)
    assert started == [("measure", "nearest")]


def test_results_of_another_version_are_in_no_table(done, tmp_path, monkeypatch):
    plan, out = done
    monkeypatch.setattr("stsr.bench.protocol.plan.run_code", lambda method: f"new {method}")
    newer = replace(plan)
    tables = collect(newer, out, "stsr bench")
    assert tables.scores.empty
    assert tables.costs["error"].eq("not run").all()
    write_tables(tables, tmp_path)
    assert pd.read_csv(tmp_path / "summary.csv").empty


def test_a_change_of_the_code_stops_the_bench(done, tmp_path, monkeypatch):
    plan, _ = done
    monkeypatch.setattr(module, "spawn", in_this_process)
    monkeypatch.setattr(module, "code_digest", lambda name: "changed")
    with pytest.raises(RuntimeError, match="code of stsr was changed while the bench ran"):
        execute(plan, tmp_path, tell=lambda line: None)
    assert not (tmp_path / "sections" / NAME / "own").exists()


def test_two_benches_do_not_share_a_folder(done):
    plan, out = done
    with FileLock(out / ".lock"), pytest.raises(RuntimeError, match="is in use by another bench"):
        run_bench(plan, out, command="stsr bench")
    assert not (out / "report.md").exists()


def test_an_interrupted_bench_reports_what_there_is(done, monkeypatch):
    plan, out = done
    monkeypatch.setattr(module, "spawn", interrupt)
    more = replace(plan, runs=(plan.runs[0], replace(plan.runs[0], seed=9)))
    (out / ".work-left").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_bench(more, out, command="stsr bench", tell=lambda line: None)
    report = (out / "report.md").read_text()
    assert "- nearest (seed 9): not run" in report
    assert "| nearest | 0." in report
    assert not list(out.glob(".work-*"))


def interrupt(*args):
    raise KeyboardInterrupt


def test_a_child_tells_why_it_failed(tmp_path):
    log = tmp_path / "log.txt"
    assert spawn("stsr.bench.files", {}, log) is None
    error = spawn("stsr.bench.jobs.measure", {"spell": 1}, log)
    assert error.startswith("TypeError: MeasureJob.__init__() got an unexpected keyword argument 'spell'")
    assert "Traceback" in log.read_text()


def test_an_interruption_ends_the_child(tmp_path):
    (tmp_path / "sleeper.py").write_text("import pathlib, time\npathlib.Path('began').touch()\ntime.sleep(60)\n")
    code = (
        "import signal\nfrom pathlib import Path\nfrom stsr.bench.jobs.execute import spawn\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "try:\n    spawn('sleeper', {}, Path('log.txt'))\nexcept KeyboardInterrupt:\n    print('stopped')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for _ in range(600):
        if (tmp_path / "began").exists():
            break
        time.sleep(0.1)
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=30)[0] == "stopped\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_does_not_outlive_its_parent(tmp_path, number):
    (tmp_path / "sleeper.py").write_text(
        "import os, pathlib, time\npathlib.Path('began').write_text(str(os.getpid()))\ntime.sleep(60)\n"
    )
    code = (
        "from pathlib import Path\nfrom stsr.bench.jobs.execute import spawn\nspawn('sleeper', {}, Path('log.txt'))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    child = waited_for(lambda: (tmp_path / "began").is_file() and (tmp_path / "began").read_text())
    parent.send_signal(number)
    parent.wait(timeout=30)
    assert waited_for(lambda: not alive(int(child)))


def waited_for(what):
    """What is true within a minute."""
    for _ in range(600):
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("nothing happened")


def alive(process: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_section_that_cannot_be_prepared_is_tried_once(tmp_path, monkeypatch):
    tried = []

    def spawned(name, job, log):
        tried.append(name)
        return "ValueError: genes='X' not found."

    monkeypatch.setattr(module, "spawn", spawned)
    plan = small_plan("nearest", "idw", genes=["X"])
    execute(plan, tmp_path, tell=lambda line: None)
    assert tried == ["stsr.bench.jobs.prepare"]
    assert {outcome(plan, tmp_path, run).error for run in plan.runs} == {"ValueError: genes='X' not found."}
