"""Run a plan, each run in its own process: finished runs are skipped, and failures recorded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stsr.bench.files import LOG, PREPARED, RUN, STORE, read_json, run_folder, section_folder, write_json
from stsr.bench.jobs.measure import MeasureJob
from stsr.bench.jobs.prepare import PrepareJob
from stsr.bench.protocol.plan import PREPARE, SHUFFLED, Plan, Run
from stsr.bench.source_code import code_digest, run_code

WORK = ".work-"
"""Prefix of the folder in which the run in progress works."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A run and its result.

    Parameters
    ----------
    run
        The run.
    facts
        ``seconds``, ``peak_gb`` and, where spots were hidden, their numbers; empty when there is no result.
    error
        Why there is no result: the error of the run, or that it was not run; None when there is a result.
    """

    run: Run
    facts: dict[str, Any]
    error: str | None = None


def execute(plan: Plan, out: Path, *, tell: Tell = print) -> None:
    """Run what is missing.

    Results with the same fingerprint are kept. Those with another one, and failed runs, are run again. A bench that is
    stopped loses only the run in progress.

    Parameters
    ----------
    plan
        What to run.
    out
        Folder of the bench.
    tell
        Called with one line of text for every run.

    Raises
    ------
    RuntimeError
        When stsr's code changes during the bench.
    """
    unprepared: dict[Path, str] = {}
    for number, run in enumerate(plan.runs, 1):
        name = f"[{number}/{len(plan.runs)}] {run.section} {run.setting} {run.entry.label} seed {run.seed}"
        known = outcome(plan, out, run).error is None
        if not known:
            _execute_run(plan, out, run, tell, unprepared)
        result = outcome(plan, out, run)
        cost = result.error or f"{result.facts['seconds']:.0f} s, {result.facts['peak_gb']:.1f} GB"
        tell(f"{name}: {'there already, ' if known else ''}{cost}")


def outcome(plan: Plan, out: Path, run: Run) -> Outcome:
    """Result of a run; one with another fingerprint counts as not run."""
    facts = read_json(run_folder(out, run.key) / RUN)
    if facts is None or facts["fingerprint"] != plan.fingerprint(run):
        return Outcome(run, {}, "not run")
    return Outcome(run, facts, facts.get("error"))


def _execute_run(plan: Plan, out: Path, run: Run, tell: Tell, unprepared: dict[Path, str]) -> None:
    """Prepare a run's section and those it is trained on, then run it.

    ``unprepared`` keeps the error of each section that could not be prepared.
    """
    folder = run_folder(out, run.key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepared, *training = (section_folder(out, name, run.image) for name in (run.section, *run.trained_on))
    error = None
    for name, place in zip((run.section, *run.trained_on), (prepared, *training), strict=True):
        error = error or unprepared.get(place) or _prepare(plan, name, run.image, place, tell)
        if error is not None:
            unprepared.setdefault(place, error)
            break
    if error is None:
        with tempfile.TemporaryDirectory(prefix=WORK, dir=out) as work:
            shutil.copytree(prepared / STORE, Path(work, STORE))
            job = MeasureJob(
                method=run.entry.method,
                options=run.entry.options,
                seed=run.seed,
                setting=run.setting,
                genes=plan.genes_of(run.section),
                training=[str(other) for other in training],
                encoder=plan.encoder,
                device=plan.device,
                prepared=str(prepared),
                store=str(Path(work, STORE)),
                fingerprint=plan.fingerprint(run),
                folder=str(folder),
            )
            error = spawn("stsr.bench.jobs.measure", job.content(), folder / LOG)
        _check_code(plan.code[run.entry.method], run_code(run.entry.method), folder)
    if error is not None:
        write_json(folder / RUN, {"fingerprint": plan.fingerprint(run), "error": error})


def _prepare(plan: Plan, section: str, image: str, folder: Path, tell: Tell) -> str | None:
    """Prepare a section unless it is prepared; returns the error, if any."""
    fingerprint = plan.prepared_fingerprint(section, image)
    if (known := read_json(folder / PREPARED)) and known["fingerprint"] == fingerprint:
        return None
    tell(f"preparing {section}, {image} image ...")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = PrepareJob(
        argument=plan.all_sources[section].argument,
        section=section,
        genes=plan.genes_of(section),
        shuffled=image == SHUFFLED,
        encoder=plan.encoder,
        device=plan.device,
        fingerprint=fingerprint,
        folder=str(folder),
    )
    error = spawn("stsr.bench.jobs.prepare", job.content(), folder / LOG)
    _check_code(plan.code[PREPARE], code_digest("stsr.bench.jobs.prepare"), folder)
    return error


def _check_code(planned: str, now: str, folder: Path) -> None:
    """Stop when the code differs from the planned one: the child may have imported either."""
    if now != planned:
        shutil.rmtree(folder)
        raise RuntimeError("The code of stsr was changed while the bench ran: its last step is undone; start it again.")


def spawn(module: str, job: dict[str, Any], log: Path) -> str | None:
    """Run a module on a job in a child process, which ends with this one; returns its last line of output when it fails."""
    job_file = log.with_name("job.json")
    write_json(job_file, job)
    with log.open("w", encoding="utf-8") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", "stsr.bench.jobs.child", module, str(job_file)],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )
        try:
            code = child.wait()
        finally:
            child.kill()  # also when this process is interrupted
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
    if code == 0:
        return None
    if code < 0:
        return f"killed by signal {-code}; 9 is often a lack of memory."
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else f"ended with code {code}."
