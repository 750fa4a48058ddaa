"""Run a plan: each run in a process of its own, those that are there already skipped, those that fail recorded."""

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
from stsr.bench.fingerprint import code_digest, run_code
from stsr.bench.jobs.measure import MeasureJob
from stsr.bench.jobs.prepare import PrepareJob
from stsr.bench.protocol.plan import PREPARE, SHUFFLED, Plan, Run

WORK = ".work-"
"""Prefix of the folder in which the run in progress works."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A run and what came of it.

    Parameters
    ----------
    run
        The run.
    facts
        ``seconds``, ``peak_gb`` and, where spots were hidden, their numbers; empty when there is no result.
    error
        Why there is no result: what the run failed with, or that it has not been run; None when there is one.
    """

    run: Run
    facts: dict[str, Any]
    error: str | None = None


def execute(plan: Plan, out: Path, *, tell: Tell = print) -> None:
    """Run what is missing.

    Results of the same fingerprint stay; those of another, and runs that failed, are done again. What was running when
    the bench was stopped is lost, nothing else.

    Parameters
    ----------
    plan
        What to run.
    out
        Folder of the bench.
    tell
        Takes a line for every run.

    Raises
    ------
    RuntimeError
        When stsr's code is changed meanwhile.
    """
    unfit: dict[Path, str] = {}
    for number, run in enumerate(plan.runs, 1):
        name = f"[{number}/{len(plan.runs)}] {run.section} {run.setting} {run.entry.label} seed {run.seed}"
        known = outcome(plan, out, run).error is None
        if not known:
            _do(plan, out, run, tell, unfit)
        result = outcome(plan, out, run)
        cost = result.error or f"{result.facts['seconds']:.0f} s, {result.facts['peak_gb']:.1f} GB"
        tell(f"{name}: {'there already, ' if known else ''}{cost}")


def outcome(plan: Plan, out: Path, run: Run) -> Outcome:
    """What is known of a run; results of another fingerprint count as none."""
    facts = read_json(run_folder(out, run.key) / RUN)
    if facts is None or facts["fingerprint"] != plan.fingerprint(run):
        return Outcome(run, {}, "not run")
    return Outcome(run, facts, facts.get("error"))


def _do(plan: Plan, out: Path, run: Run, tell: Tell, unfit: dict[Path, str]) -> None:
    """One run, after its section, and those it is trained on, were prepared; ``unfit`` keeps why one could not be."""
    folder = run_folder(out, run.key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepared, *training = (section_folder(out, name, run.image) for name in (run.section, *run.trained_on))
    error = None
    for name, place in zip((run.section, *run.trained_on), (prepared, *training), strict=True):
        error = error or unfit.get(place) or _prepare(plan, name, run.image, place, tell)
        if error is not None:
            unfit.setdefault(place, error)
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
    """Prepare a section unless it is there; returns why it could not be."""
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
    """Stop when the code is no longer what was planned: nobody knows which of the two a child has imported."""
    if now != planned:
        shutil.rmtree(folder)
        raise RuntimeError("The code of stsr was changed while the bench ran: its last step is undone; start it again.")


def spawn(module: str, job: dict[str, Any], log: Path) -> str | None:
    """Run a module on a job in a child process, which ends with this one; returns the last line it printed when it fails."""
    order = log.with_name("job.json")
    write_json(order, job)
    with log.open("w", encoding="utf-8") as stream:
        child = subprocess.Popen(
            [sys.executable, "-m", "stsr.bench.jobs.child", module, str(order)],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )
        try:
            code = child.wait()
        finally:
            child.kill()  # when this process is told to stop
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
    if code == 0:
        return None
    if code < 0:
        return f"killed by signal {-code}; 9 is often a lack of memory."
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else f"ended with code {code}."
