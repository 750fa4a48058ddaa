"""Paths in the folder of a bench, and atomic writes: a process that is killed leaves the old file or the new one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

STORE, GENES, TRUTH, PREPARED = "section.zarr", "genes.txt", "truth.h5ad", "prepared.json"
"""Files of a prepared section: store, genes to score, counts of the true bins, and facts. The facts come last and mark it as
complete."""

SCORES, MAPS, LOG, RUN = "scores.parquet", "maps.png", "log.txt", "run.json"
"""Files of a run: scores of every gene, maps of the best and worst, log, and facts. The facts come last and mark it as
complete."""

GRID, RESULT = "grid", "sr"
"""Names of the grid to predict on, and of the table with the prediction."""


def section_folder(out: Path, section: str, image: str) -> Path:
    """Folder of a prepared section."""
    return out / "sections" / section / image


def run_folder(out: Path, key: str) -> Path:
    """Folder of a run."""
    return out / "runs" / key


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(content, indent=1), encoding="utf-8")
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote; None when there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
