"""``stsr demo``: super-resolve a synthetic section whose truth is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import SEED
from stsr.cli.arguments import argument, path
from stsr.cli.registries import columns
from stsr.cli.steps import Steps, check_vacant

if TYPE_CHECKING:
    import pandas as pd
    from spatialdata import SpatialData

BASELINES = ("nearest", "idw")
METHOD = "cross_attention"
OPTIONS = {METHOD: {"steps": 400, "attention_networks": 1}}
"""A short training, so that the demo ends within three minutes on two cores."""

BIN_SIZE = 8.0

GENES = ("PODO1", "PTUA1", "CDUC1", "IMMU1")
"""Markers to draw: glomeruli, proximal tubules, collecting ducts, immune infiltrates."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr demo``."""
    command = commands.add_parser(
        "demo", parents=[common], help="try it on a synthetic section", description=demo.__doc__
    )
    command.add_argument(
        "--out", metavar="FOLDER", type=path, default=Path("demo_output"), help="(default: %(default)s)"
    )
    command.add_argument("--seed", type=argument(SEED), default=0, help="(default: %(default)s)")
    command.add_argument("--overwrite", action="store_true", help="replace an earlier demo in the same folder")
    command.set_defaults(handler=demo)


def demo(args: argparse.Namespace) -> None:
    """Make a synthetic section, super-resolve it, score it against its truth and draw it."""
    import stsr

    store, checkpoint = args.out / "section.zarr", args.out / "model.safetensors"
    for output in (store, checkpoint):
        check_vacant("--out", output, args.overwrite)

    steps = Steps(quiet=args.quiet)
    with steps("making a 2 x 2 mm section with 100 genes"):
        # Half of the molecules go to the spots, the others to the truth: copying the noise of spots does not raise scores.
        sdata = stsr.pp.simulate_spots(
            stsr.datasets.synthetic_section(seed=args.seed),
            table="truth_008um",
            split=0.5,
            seed=args.seed,
            store=store,
            dataset_id="synthetic",
            overwrite=args.overwrite,
        )
    with steps("calibrating the image, laying the grid, extracting features"):
        stsr.pp.calibrate_image(sdata, target_mpp=1.0)
        grid = stsr.pp.make_grid(sdata, bin_size=BIN_SIZE)
        stsr.pp.extract_features(sdata, grid=grid, progress=steps.bars)

    truth = sdata["truth_008um"]
    scores = {}
    for method in (*BASELINES, METHOD):
        key = stsr.constants.table_key(BIN_SIZE) + ("" if method == METHOD else f"_{method}")
        with steps(f"super-resolving with {method}"):
            model = stsr.tl.fit_super_resolution(
                sdata,
                method=method,
                genes="all",
                bin_size=BIN_SIZE,
                grid=grid,
                options=OPTIONS.get(method),
                key_added=key,
                seed=args.seed,
                progress=steps.bars,
            )
        with steps(f"scoring {method}"):
            scores[method] = stsr.tl.evaluate(sdata, key, truth=truth)
    model.save(checkpoint, overwrite=args.overwrite)

    with steps("drawing"):
        draw(sdata, args.out)
    steps.say(f"\nmean Pearson correlation with the true counts, {sdata['table'].n_vars} genes\n")
    steps.say(score_table(scores))
    steps.say(
        f"\n{args.out}/ holds section.zarr (with the result in the table 'sr_008um'), model.safetensors and the maps "
        f"{', '.join(f'{gene}.png' for gene in GENES)} ({steps.seconds:.0f} s)."
    )


def draw(sdata: SpatialData, folder: Path) -> None:
    """One PNG per gene: spots, prediction and truth side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    import stsr

    for gene in GENES:
        figure = stsr.pl.compare(sdata, gene, table="sr_008um", truth=sdata["truth_008um"])
        figure.savefig(folder / f"{gene}.png", dpi=150, bbox_inches="tight")
        plt.close(figure)


def score_table(scores: dict[str, pd.DataFrame]) -> str:
    """A row for each method and the noise ceiling, a column for each scale."""
    everywhere = {method: frame[frame["where"] == "all"].groupby("scale_um") for method, frame in scores.items()}
    rows = [(method, *(f"{v:.3f}" for v in groups["pearson"].mean())) for method, groups in everywhere.items()]
    ceiling = everywhere[METHOD]["ceiling"].mean()
    rows.append(("noise ceiling", *(f"{v:.3f}" for v in ceiling)))
    return columns(("method", *(f"{scale:g} µm" for scale in ceiling.index)), rows)
