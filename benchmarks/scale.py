"""Predict and write 2 million cells x 500 genes: ``python benchmarks/scale.py``; prints time and peak memory.

A synthetic section of 11.9 x 11.9 mm is made and a model fitted to some of its spots in one process; prediction, which
is what is measured, runs in a process of its own.
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
from stsr.methods import Training, create
from stsr.spatial import open_store, read_section

GIGABYTE = 1024**2  # of ru_maxrss, which counts kilobytes


def prepare(folder: Path, *, side: float, genes: int, method: str) -> None:
    """Leave a section with grid and features, and a model, in ``folder``."""
    sdata = stsr.datasets.synthetic_section(
        size=(side, side), n_genes=genes, truth_bin=20, mpp=2, store=folder / "section.zarr"
    )
    options = {"steps": 40} if method == "cross_attention" else {}
    fitted = create(method, options)
    grid = stsr.pp.make_grid(sdata)
    features = stsr.pp.extract_features(sdata)
    section = read_section(
        sdata, genes=sdata["table"].var_names, grid=grid, features=features, need_image="image" in fitted.info.needs
    )
    # What is measured is prediction: a few hundred spots are enough to have a model.
    fitted.fit(section.subset(np.arange(300)), seed=0, training=Training(progress=False))
    encoder = "texture" if "features" in fitted.info.needs else None
    stsr.tl.Model(fitted, section.genes, 8.0, encoder, section.n_features, seed=0).save(folder / "model.safetensors")


def measure(folder: Path) -> None:
    """Predict, write, and print what it took."""
    start = time.perf_counter()
    sdata = open_store(folder / "section.zarr")
    key = stsr.tl.predict(sdata, stsr.tl.Model.load(folder / "model.safetensors"), progress=False)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    cells, genes = sdata[key].shape
    print(f"{cells:,} cells x {genes} genes: {seconds:.0f} s, peak {peak:.2f} GB")


def main() -> None:
    """Prepare here, measure in a child process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=float, default=11_900.0, help="side of the section in µm")
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--method", default="cross_attention")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    if args.measure:
        measure(args.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), side=args.side, genes=args.genes, method=args.method)
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


if __name__ == "__main__":
    main()
