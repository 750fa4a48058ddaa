"""What lies where in the folder of a bench, and writing it so that a kill leaves the old or the new."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

STORE, GENES, TRUTH, PREPARED = "section.zarr", "genes.txt", "truth.h5ad", "prepared.json"
"""Of a prepared section: its store, the genes to score, the counts of the true bins, and the mark that all is there."""

SCORES, MAPS, LOG, RUN = "scores.parquet", "maps.png", "log.txt", "run.json"
"""Of a run: the scores of every gene, maps of the best and worst, what it printed, and the mark that all is there."""

GRID, RESULT = "grid", "sr"
"""Names of the grid that is predicted, and of the table with the prediction."""


def section_folder(out: Path, section: str, image: str) -> Path:
    """Folder of a prepared section."""
    return out / "sections" / section / image


def run_folder(out: Path, key: str) -> Path:
    """Folder of a run."""
    return out / "runs" / key


def write_json(path: Path, content: Any) -> None:
    """Write JSON in one step."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(content, indent=1), encoding="utf-8")
    scratch.replace(path)


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote; None when there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
