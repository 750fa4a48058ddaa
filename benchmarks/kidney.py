"""Score methods on a section whose truth was measured: ``python benchmarks/kidney.py``; see README.md beside it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from anndata import AnnData

import stsr
from stsr.spatial import open_store

METHODS = ("nearest", "idw", "linear", "ridge", "cross_attention")
HD = Path("visium_hd", "binned_outputs", "square_008um")
COUNTS = "filtered_feature_bc_matrix.h5"
IMAGES = {".tif", ".tiff", ".btf", ".png", ".jpg", ".jpeg"}
GIGABYTE = 1024**2  # of ru_maxrss, which counts kilobytes


def main() -> None:
    """Prepare the section once, then fit and score each method in a process of its own, so that peaks are its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with visium/ and visium_hd/ (default: $STSR_DATA_DIR/kidney)")
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas (default: %(default)s)")
    parser.add_argument("--genes", type=Path, help="one gene a line (default: genes_300.txt in the data folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the section and the scores of every gene here")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.data = args.data or stsr.datasets.path("kidney")
    args.genes = args.genes or args.data / "genes_300.txt"

    if args.step is None:
        with tempfile.TemporaryDirectory() as scratch:
            args.out = args.out or Path(scratch)
            args.out.mkdir(parents=True, exist_ok=True)
            run(args)
    elif args.step == "prepare":
        prepare(args)
    else:
        score(args, args.step)


def run(args: argparse.Namespace) -> None:
    """All steps, then the table."""
    cost = {step: child(args, step) for step in ("prepare", *args.methods.split(","))}
    prepared = cost.pop("prepare")
    print(
        f"{prepared['spots']:,} spots, {prepared['cells']:,} cells of {prepared['bin_size']:g} µm, "
        f"{prepared['genes']} genes, seed {args.seed}, {os.cpu_count()} cores. Reading, calibrating, grid and features: "
        f"{prepared['seconds']:.0f} s, peak {prepared['peak']:.1f} GB.\n"
    )
    scores = {method: pd.read_csv(args.out / f"scores_{method}.csv") for method in cost}
    print(table(scores, cost))
    stsr.pl.scores(scores).savefig(args.out / "scores.png", dpi=150)


def child(args: argparse.Namespace, step: str) -> dict[str, float]:
    """Run one step in a process of its own; it leaves what it took in a file."""
    command = [sys.executable, __file__, "--step", step, "--seed", str(args.seed)]
    for name in ("data", "genes", "out"):
        command += [f"--{name}", str(getattr(args, name))]
    print(f"{step} ...", file=sys.stderr, flush=True)
    subprocess.run(command, check=True)
    return json.loads((args.out / f"cost_{step}.json").read_text())


def prepare(args: argparse.Namespace) -> None:
    """From the vendor's folder to features on the bins of the truth; of the truth, only where its bins lie is used."""
    start = time.perf_counter()
    visium = args.data / "visium"
    image = next(path for path in sorted(visium.iterdir()) if path.suffix in IMAGES)
    sdata = stsr.pp.read_visium(
        visium, fullres_image=image, store=args.out / "section.zarr", dataset_id=args.data.name, overwrite=True
    )
    stsr.pp.calibrate_image(sdata)
    grid = stsr.pp.make_grid(sdata, like=bins(args.data), key_added="grid")
    stsr.pp.extract_features(sdata, grid=grid)
    cells = stsr.spatial.labels_to_grid(sdata, grid)
    facts = {"spots": sdata["table"].n_obs, "genes": len(args.genes.read_text().split())}
    note(args, "prepare", start, cells=cells.n_cells, bin_size=round(cells.bin_size, 3), **facts)


def score(args: argparse.Namespace, method: str) -> None:
    """Fit, predict and write; then, no longer counted, score."""
    start = time.perf_counter()
    sdata = open_store(args.out / "section.zarr")
    key = f"sr_{method}"
    genes = args.genes.read_text().split()
    stsr.tl.fit_super_resolution(
        sdata, method=method, genes=genes, grid="grid", key_added=key, seed=args.seed, overwrite=True
    )
    note(args, method, start)
    scores = stsr.tl.evaluate(sdata, key, truth=truth(args.data, genes), seed=args.seed)
    scores.to_csv(args.out / f"scores_{method}.csv", index=False)


def note(args: argparse.Namespace, step: str, start: float, **facts: float) -> None:
    """Leave the time and the peak memory of this process for the parent."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIGABYTE
    cost = {"seconds": time.perf_counter() - start, "peak": peak, **facts}
    (args.out / f"cost_{step}.json").write_text(json.dumps(cost))


def bins(data: Path) -> AnnData:
    """Where the bins of a Visium HD folder lie, without any counts."""
    positions = pd.read_parquet(data / HD / "spatial" / "tissue_positions.parquet").set_index("barcode")
    positions = positions[positions["in_tissue"] == 1]
    located = AnnData(obs=positions[["array_row", "array_col"]])
    located.obsm["spatial"] = positions[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy()
    return located


def truth(data: Path, genes: list[str]) -> AnnData:
    """Counts of a few genes of a Visium HD folder."""
    import scanpy as sc

    counts = sc.read_10x_h5(data / HD / COUNTS)
    counts.var_names_make_unique()
    counts = counts[:, genes].copy()
    located = bins(data)[counts.obs_names]
    counts.obs, counts.obsm["spatial"] = located.obs, located.obsm["spatial"]
    return counts


def table(scores: dict[str, pd.DataFrame], cost: dict[str, dict[str, float]]) -> str:
    """Markdown: mean Pearson over genes by scale, with the share of the noise ceiling."""
    everywhere = {method: frame[frame["where"] == "all"] for method, frame in scores.items()}
    means = {method: frame.groupby("scale_um").mean(numeric_only=True) for method, frame in everywhere.items()}
    ceiling = next(iter(means.values()))["ceiling"]
    finest = ceiling.index[0]
    columns = [
        *(f"{scale:g} µm" for scale in ceiling.index),
        f"deviance at {finest:g} µm",
        "fit + predict",
        "peak memory",
    ]
    rows = [["mean Pearson over genes", *columns], ["---"] + ["---:"] * len(columns)]
    rows.append(["noise ceiling", *(f"{value:.3f}" for value in ceiling), "", "", ""])
    for method, mean in means.items():
        shares = [f"{r:.3f} ({r / best:.0%})" for r, best in zip(mean["pearson"], ceiling, strict=True)]
        took = f"{cost[method]['seconds']:.0f} s", f"{cost[method]['peak']:.1f} GB"
        rows.append([method, *shares, f"{mean['deviance'][finest]:.4f}", *took])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lost = {
        method: int(frame.groupby("gene")["pearson"].count().lt(len(ceiling)).sum())
        for method, frame in everywhere.items()
    }
    lines += [
        f"\n{method}: {count} genes without a correlation are left out of the means."
        for method, count in lost.items()
        if count
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
