"""Time and peak memory on large synthetic sections.

``python benchmarks/scale.py fit`` trains on 5,000 spots x 1,000 genes; ``predict`` predicts and writes a million cells x
1,000 genes with a model fitted to some of the spots. What is measured runs in a process of its own.
"""

from __future__ import annotations

import argparse
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import stsr
from stsr.constants import features_key, grid_key
from stsr.methods import Method, Training, create
from stsr.pp.provenance import checked
from stsr.section import Section
from stsr.spatial import open_store, read_section

SIDES = {"fit": 6940.0, "predict": 8360.0}
"""µm, of sections with as many spots, or cells of 8 µm, as said above."""

GRID = grid_key(8.0)
FEATURES = features_key("texture", GRID)

SOME = 300
"""Spots that are enough to have a model that predicts as one of many spots does."""

GIGABYTE = 1024**2  # of ru_maxrss, which counts kilobytes


def prepare(folder: Path, *, side: float, genes: int) -> None:
    """Leave a section with grid and features in ``folder``."""
    sdata = stsr.datasets.synthetic_section(
        size=(side, side), n_genes=genes, truth_bin=20, mpp=2, store=folder / "section.zarr"
    )
    stsr.pp.make_grid(sdata)
    stsr.pp.extract_features(sdata)


def section_for(method: Method, folder: Path) -> Section:
    """The section as a method reads it."""
    sdata = open_store(folder / "section.zarr")
    return read_section(
        sdata, genes=sdata["table"].var_names, grid=GRID, features=FEATURES, need_image="image" in method.info.needs
    )


def fit(folder: Path, name: str) -> str:
    """Read and train; says on what."""
    method = create(name)
    section = section_for(method, folder)
    method.fit(section, seed=0, training=Training(progress=False))
    return f"{len(section.spots):,} spots x {len(section.genes)} genes, {section.grid.n_cells:,} cells"


def prepare_model(folder: Path, name: str) -> None:
    """Leave a model in ``folder``."""
    method = create(name, {"steps": 40} if name == "cross_attention" else {})
    section = section_for(method, folder)
    method.fit(section.subset(np.arange(SOME)), seed=0, training=Training(progress=False))
    store = open_store(folder / "section.zarr")
    encoder = checked(store, FEATURES, GRID).encoder if "features" in method.info.needs else None
    stsr.tl.Model(method, section.genes, 8.0, encoder, seed=0).save(folder / "model.safetensors")


def predict(folder: Path) -> str:
    """Read, predict and write; says what."""
    sdata = open_store(folder / "section.zarr")
    key = stsr.tl.predict(sdata, stsr.tl.Model.load(folder / "model.safetensors"), progress=False)
    return f"{sdata[key].n_obs:,} cells x {sdata[key].n_vars} genes"


def main() -> None:
    """Prepare here, measure in a child process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=SIDES)
    parser.add_argument("--side", type=float, help="side of the section in µm; usual: " + str(SIDES))
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--method", default="cross_attention")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if args.measure:
        start = time.perf_counter()
        done = fit(args.measure, args.method) if args.what == "fit" else predict(args.measure)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
        print(f"{done}: {time.perf_counter() - start:.0f} s, peak {peak:.2f} GB")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, side=args.side or SIDES[args.what], genes=args.genes)
        if args.what == "predict":
            prepare_model(folder, args.method)
        subprocess.run([sys.executable, __file__, args.what, "--method", args.method, "--measure", folder], check=True)


if __name__ == "__main__":
    main()
