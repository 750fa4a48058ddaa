"""A job that is killed can be started again; all moments are tried by ``python tests/job_kill.py``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_killed_job_ends_as_it_should_when_it_is_started_again(tmp_path):
    script = Path(__file__).parents[1] / "job_kill.py"
    few = ["--steps", "calibrate,grid,features", "--moved", "2", "--inside", "1", "--random", "1"]
    run = subprocess.run(
        [sys.executable, script, tmp_path / "trials", *few], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout.splitlines()[-1])
    assert results.keys() == {"calibrate", "grid", "features", "short_job"}
    assert [result["failed"] for result in results.values()] == [[]] * 4
    assert results["features"]["killed"] == 3
    assert results["features"]["changes"] > 50
