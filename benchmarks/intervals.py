"""Whether intervals hold what they promise: ``python benchmarks/intervals.py --out FOLDER``; see README.md beside it.

Hides 15 % of a section's spots at random, fits the default to the others, and tells how many of the hidden counts lie in
its central intervals of 80 and 95 %. Spots of the kidney have half of their molecules, as in the setting ``truth`` of
``stsr bench``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata
import numpy as np
import pandas as pd

from stsr.bench.files import GENES, GRID, RESULT, STORE, TRUTH
from stsr.bench.jobs.measure import arrange
from stsr.bench.jobs.prepare import PrepareJob, prepare
from stsr.bench.protocol.settings import SETTINGS
from stsr.bench.sources.base import Genes
from stsr.bench.sources.find import find_sources
from stsr.cli.bench import parse_seeds
from stsr.cli.run import parse_genes, parse_options
from stsr.constants import SD
from stsr.metrics import coverage
from stsr.spatial import gene_positions, open_store, raw_counts, read_columns, spots_record
from stsr.tl import aggregate, fit_super_resolution
from stsr.tl.aggregate import COVERED

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

METHOD = "cross_attention"

SECTIONS = ("kidney", "breast", "her2st/C2", "her2st/C3", "her2st/C4")

LEVELS = (0.8, 0.95)
"""Probabilities that intervals promise."""

SHARE = 0.15
"""Of the spots that are hidden."""

WHOLE = 0.99
"""Share of a hidden spot's area that must lie on the grid: of what lies beside it nothing is predicted."""

THIRDS = ("low", "middle", "high")
"""Of the genes, by their mean count per spot."""

SUMS = "sr_spots"


def runs(
    sections: Sequence[str], seeds: Sequence[int], genes: Genes | None, options: Mapping[str, Any], *, out: Path
) -> Iterator[pd.DataFrame]:
    """The coverage of every gene, a table for each section and seed; stores are in a folder of ``out`` that goes away."""
    sources = [source for argument in sections for source in find_sources(argument)]
    for source in sources:
        with tempfile.TemporaryDirectory(dir=out) as work:
            job = PrepareJob(
                argument=source.argument,
                section=source.name,
                genes=source.genes if genes is None else genes,
                shuffled=False,
                encoder="texture",
                device="auto",
                fingerprint="",
                folder=work,
            )
            prepare(job)
            for seed in seeds:
                yield run(Path(work), seed, options).assign(section=source.name, seed=seed)


def run(prepared: Path, seed: int, options: Mapping[str, Any]) -> pd.DataFrame:
    """Hide spots of a section that was prepared, fit and predict, and compare."""
    sdata = open_store(prepared / STORE)
    truth = anndata.read_h5ad(prepared / TRUTH) if (prepared / TRUTH).is_file() else None
    genes = (prepared / GENES).read_text(encoding="utf-8").splitlines()
    measured = hide(sdata, truth, seed)
    fit_super_resolution(
        sdata,
        method=METHOD,
        genes=genes,
        grid=GRID,
        options=options,
        key_added=RESULT,
        seed=seed,
        progress=False,
        overwrite=True,
    )
    return coverage_of_genes(sdata, measured)


def hide(sdata: SpatialData, truth: AnnData | None, seed: int) -> AnnData:
    """Leave in ``sdata``, in memory, the spots that are given; returns the table of all.

    Where the true bins are those that the spots are sums of, all spots have half of their molecules.
    """
    arrange(sdata, SETTINGS["truth"], truth, seed)
    facts = spots_record(sdata)
    measured = sdata.tables[facts.table]
    hidden = np.random.default_rng(seed).permutation(measured.n_obs) < round(SHARE * measured.n_obs)
    sdata.tables[facts.table] = measured[~hidden].copy()
    return measured


def coverage_of_genes(sdata: SpatialData, measured: AnnData) -> pd.DataFrame:
    """Compare the counts of hidden spots with the sums of what is predicted under them.

    Parameters
    ----------
    sdata
        The section, with the spots that were given and the table ``RESULT``.
    measured
        Table of all spots.

    Returns
    -------
    A row for each gene: ``gene``; ``mean_count`` per spot, of all; its ``third`` of the genes by that; ``hidden``, the spots
    that are compared; and ``coverage_80`` and ``coverage_95``.
    """
    from spatialdata.models import get_table_keys

    facts = spots_record(sdata)
    aggregate(sdata, RESULT, by=facts.spots, key_added=SUMS, overwrite=True)
    sums = sdata.tables[SUMS]
    genes = list(sums.var_names)
    names = pd.Index(measured.obs[get_table_keys(measured)[2]].astype(str))
    row = sums.obs_names.get_indexer(names)
    on_grid = sums.obs[COVERED].to_numpy()[row] > WHOLE
    chosen = on_grid & ~measured.obs_names.isin(sdata.tables[facts.table].obs_names)
    counts = raw_counts(measured, name=facts.table)[
        :, gene_positions(measured.var_names, genes, where="spots")
    ].toarray()
    mean, sd = (read_columns(sdata, SUMS, genes, layer=layer)[row[chosen]] for layer in (None, SD))
    mean_count = counts.mean(axis=0)
    return pd.DataFrame(
        {
            "gene": genes,
            "mean_count": mean_count,
            "third": pd.qcut(mean_count.argsort().argsort(), 3, labels=THIRDS),
            "hidden": int(chosen.sum()),
            **{column(level): coverage(counts[chosen], mean, sd, level=level) for level in LEVELS},
        }
    )


def column(level: float) -> str:
    """The column of a level."""
    return f"coverage_{100 * level:g}"


def told(table: pd.DataFrame) -> str:
    """Means over genes and seeds as text: of all genes, and of the thirds by their mean count."""
    groups = pd.concat([table.assign(genes="all"), table.assign(genes=table["third"].astype(str))])
    columns = ["mean_count", "hidden", *map(column, LEVELS)]
    means = groups.groupby(["section", "genes"], sort=False)[columns].mean()
    means["hidden"] = means["hidden"].round().astype(int)
    order = [(section, genes) for section in table["section"].unique() for genes in ("all", *THIRDS)]
    return means.loc[order].to_string(float_format="{:.3f}".format)


def main() -> None:
    """Run, print and write the table, which has what is done so far when it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "sections", nargs="*", default=SECTIONS, metavar="SECTION", help=f"(default: {' '.join(SECTIONS)})"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", default="0,1,2", metavar="0,1,2", help="(default: %(default)s)")
    parser.add_argument("--genes", type=parse_genes, metavar="FILE|N", help="(default: those of stsr bench)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the default, to try this"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    options, done = parse_options(args.option, METHOD), []
    for table in runs(args.sections, parse_seeds(args.seeds), args.genes, options, out=args.out):
        done.append(table)
        whole = pd.concat(done, ignore_index=True)
        whole.to_csv(args.out / "intervals.csv", index=False, float_format="%.5g")
        shares = ", ".join(f"{table[column(level)].mean():.3f} of {100 * level:g} %" for level in LEVELS)
        print(f"{table['section'].iloc[0]} seed {table['seed'].iloc[0]}: {shares}", flush=True)
    print(f"\n{told(whole)}")


if __name__ == "__main__":
    main()
