"""A bench on a small synthetic section, with its children in this process where a test is not about processes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from stsr.bench.jobs.measure import MeasureJob, measure
from stsr.bench.jobs.prepare import PrepareJob, prepare
from stsr.bench.protocol.plan import Entry, Plan, make_plan
from stsr.bench.sources.find import find_sources
from stsr.datasets import synthetic_section
from stsr.pp.slide import Slide
from stsr.spatial import raw_counts
from stsr.spatial.bins import table_grid

SECTION = "synthetic:600"
NAME = "synthetic_600"

TINY = {"steps": 6, "image_steps": 6, "dim": 16, "heads": 4, "stem": 8, "attention_networks": 1, "image_networks": 1}
"""Options of the default with which it is fitted in seconds, and predicts next to nothing."""


def load_script(name: str) -> ModuleType:
    """A script of ``benchmarks/`` as a module."""
    file = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small_plan(*methods: str, **more: Any) -> Plan:
    """A plan on the small section with a handful of genes; methods without options."""
    entries = [Entry(method, method) for method in methods or ("nearest", "idw")]
    return make_plan(find_sources(SECTION), entries, **{"genes": 6, **more})


def write_folder(folder: Path, n_sections: int = 3, side: int = 1100) -> Path:
    """A folder of small legacy ST sections with ten genes each: A, B, ...; neighbours in it share all but one gene."""
    for number in range(n_sections):
        sdata = synthetic_section(size=(side, side), n_genes=12, mpp=1.0, seed=number)
        name = "ABCDEFGH"[number]
        slide = Slide(diameter=100.0, pitch=200.0, layout="square")
        grid, cells = table_grid(sdata, "truth_008um")
        truth = sdata["truth_008um"]
        spots = slide.spots(raw_counts(truth, name="truth"), grid, cells, truth.var, 1.0)[:, number:][:, :10]
        array = spots.obs[["array_col", "array_row"]].to_numpy()
        index = [f"{x}x{y}" for x, y in array]
        counts = pd.DataFrame(spots.X.toarray().astype(int), index=index, columns=spots.var_names)
        counts.to_csv(folder / f"{name}.tsv", sep="\t")
        pixels = spots.obsm["spatial"]
        selection = pd.DataFrame(
            {"x": array[:, 0], "y": array[:, 1], "new_x": array[:, 0], "new_y": array[:, 1]}
            | {"pixel_x": pixels[:, 0], "pixel_y": pixels[:, 1], "selected": 1}
        )
        selection.to_csv(folder / f"{name}_selection.tsv", sep="\t", index=False)
        image = np.asarray(sdata["synthetic_full_image"]["scale0"]["image"].data)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{name}.jpg", quality=95)
    return folder


def in_this_process(module: str, job: dict[str, Any], log: Path) -> str | None:
    """What ``stsr.bench.jobs.execute.spawn`` does, without the seconds that a new process takes to import everything."""
    log.write_text("")
    try:
        if module.endswith("prepare"):
            prepare(PrepareJob(**job))
        else:
            measure(MeasureJob(**job))
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return None
