"""``stsr evaluate``: score a super-resolved table against the truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.cli.arguments import argument, path
from stsr.cli.output import say
from stsr.cli.steps import check_vacant
from stsr.options import Number

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr evaluate``."""
    command = commands.add_parser(
        "evaluate", parents=[common], help="score a result against high-resolution truth", description=evaluate.__doc__
    )
    command.add_argument("section", metavar="SECTION.zarr", type=path, help="store with the result")
    command.add_argument("--truth", required=True, metavar="TABLE|H5AD", help="a table of the same store, or an .h5ad")
    command.add_argument("--table", default="sr_008um", help="the table to score (default: %(default)s)")
    command.add_argument(
        "--scales",
        type=argument(Number(0.001, 1e6)),
        nargs="+",
        metavar="UM",
        help="sides of the blocks in µm (default: those of 8 16 32 56 that are multiples of the bin)",
    )
    command.add_argument("--out", metavar="CSV", type=path, help="also write the score of every gene")
    command.add_argument("--overwrite", action="store_true", help="replace what --out names")
    command.set_defaults(handler=evaluate)


def evaluate(args: argparse.Namespace) -> None:
    """Print the mean over genes of every score, by scale, for all cells, cells under spots and cells between them."""
    from stsr import tl
    from stsr.spatial import open_store

    check_vacant("--out", args.out, args.overwrite)
    sdata = open_store(args.section)
    truth = find_truth(sdata, args.truth)
    scores = tl.evaluate(sdata, args.table, truth=truth, scales=args.scales)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        scores.to_csv(args.out, index=False)
    if not args.quiet:
        say(summary(scores))


def find_truth(sdata: SpatialData, truth: str) -> AnnData:
    """``--truth``: a table of the store, or an .h5ad file."""
    if truth in sdata.tables:
        return sdata.tables[truth]
    if not Path(truth).is_file():
        raise KeyError(
            f"--truth {truth} is neither a file nor a table of the store, which holds {', '.join(sdata.tables) or 'none'}."
        )
    import anndata

    try:
        return anndata.read_h5ad(truth)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"--truth {truth} cannot be read as an .h5ad file; pass one that anndata wrote.") from error


def summary(scores: pd.DataFrame) -> str:
    """Mean over genes of every score, one line per scale and place."""
    genes = scores["gene"].nunique()
    means = scores.drop(columns="gene").groupby(["scale_um", "where"], sort=False).mean()
    text = means.reset_index().to_string(index=False, float_format="%.3f", formatters={"scale_um": "{:g}".format})
    return f"mean over {genes} genes\n{text}"
