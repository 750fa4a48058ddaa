"""How many spots are enough: ``python benchmarks/few_spots.py --out FOLDER``; see README.md beside it.

Cuts square boxes with about so many spots out of a section whose true bins are known, and runs the default and the three
methods that are hardest to beat on each, every run a process of its own. Spots and truth share no molecule, as in the
setting ``truth`` of ``stsr bench``. Give the command again after it was stopped, and it goes on.
"""

from __future__ import annotations

import argparse
import tempfile
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stsr.bench.jobs.execute import execute
from stsr.bench.protocol.plan import Entry, Plan, make_plan
from stsr.bench.report.summary import summarise
from stsr.bench.report.tables import collect
from stsr.bench.sources.boxes import BOX, FACTS, Corners, WholeSection, within
from stsr.bench.sources.find import find_sources
from stsr.cli.arguments import argument
from stsr.cli.bench import parse_seeds
from stsr.cli.run import parse_options
from stsr.methods.shared.requirements import FEWEST
from stsr.options import Items, Whole

OURS, OTHERS = "cross_attention", ("idw", "kriging", "ridge")
"""The default, and the methods that it is held against: two interpolations and a linear model of the image."""

SPOTS = "50,100,200,400,700,1500"
KEYS = ["spots", "place", "measured", "seed", "scale_um"]


def box_around(
    xy: NDArray[np.float64], centre: NDArray[np.float64], spots: int, *, diameter: float, pixel: float
) -> Corners:
    """The smallest square box around a place with so many spots wholly inside.

    Parameters
    ----------
    xy
        (all spots, 2) centres in µm.
    centre
        (2,) the place in µm. Near the edge of the section the box is moved inwards.
    spots
        How many; a row of them may come in at once, and there are a few more.
    diameter
        Of a spot, in µm.
    pixel
        µm per pixel of the image; the corners lie between pixels, so that the box shows them as they are.

    Raises
    ------
    ValueError
        When no square box holds so many.
    """
    reach = diameter / 2
    first, last = np.floor((xy.min(axis=0) - reach) / pixel), np.ceil((xy.max(axis=0) + reach) / pixel)

    def corners(side: int) -> NDArray[np.float64]:
        low = np.clip(np.floor(centre / pixel - side / 2 + 0.5), first, last - side)
        return np.array([low, low + side]) * pixel

    def held(side: int) -> int:
        low, high = corners(side)
        return int(within(xy, low + reach, high - reach).sum())

    largest = int((last - first).min())
    side = bisect_left(range(largest + 1), spots, key=held)
    if side > largest:
        raise ValueError(f"spots={spots} lie in no square box of this section; pass {held(largest)} or fewer.")
    left, top, right, bottom = corners(side).ravel().tolist()
    return left, top, right, bottom


def write_boxes(section: str, out: Path, spots: Sequence[int], places: int, genes: int) -> dict[Path, tuple[int, int]]:
    """Write the boxes that are missing below ``out``; returns the spots asked for and the place of each folder.

    The places are spots drawn at random, always the same: the first is that of ``places=1`` too.
    """
    (source,) = find_sources(section)
    if not source.has_truth or source.relative:
        raise ValueError(f"section={section!r} has no true bins of the same tissue; pass one with both, as kidney.")
    out = out / f"{source.dataset_id}_{genes}_genes"
    boxes = {out / f"{number}_spots_{place}": (number, place) for number in spots for place in range(places)}
    missing = {folder: box for folder, box in boxes.items() if not (folder / FACTS).is_file()}
    if missing:
        with tempfile.TemporaryDirectory() as work:
            whole = WholeSection.read(source, Path(work, "section.zarr"), genes=genes)
            centres = np.random.default_rng(0).permutation(whole.xy)
            if places > len(centres):
                raise ValueError(f"places={places} is more than the section has spots; pass {len(centres)} or fewer.")
            for folder, (number, place) in missing.items():
                box = box_around(whole.xy, centres[place], number, diameter=whole.diameter, pixel=whole.pixel)
                whole.write(folder, name=folder.name, box=box)
    return boxes


def few_spots_plan(folders: Sequence[Path], seeds: Sequence[int], **options: Any) -> Plan:
    """All methods on boxes; the options are the default's."""
    sources = [source for folder in folders for source in find_sources(f"{BOX}{folder}")]
    entries = [*(Entry(other, other) for other in OTHERS), Entry(OURS, OURS, options)]
    return make_plan(sources, entries, settings=["truth"], seeds=seeds)


def few_spots_table(plan: Plan, out: Path, boxes: Mapping[Path, tuple[int, int]]) -> pd.DataFrame:
    """A row for each box, seed and scale, of the boxes from :func:`write_boxes`.

    Returns
    -------
    ``spots`` and ``place``; ``measured``, the spots that the box has; ``seed``; ``scale_um``; ``ceiling`` and a column for
    each method, mean correlations over genes (NaN where a run failed); and ``gain``, the default's over the best of the others.
    """
    tables = collect(plan, out, "")
    scores = tables.scores[tables.scores["where"] == "all"]
    known, asked = tables.facts["sections"], {folder.name: box for folder, box in boxes.items()}
    rows: list[dict[str, Any]] = []
    for seed, of_seed in scores.groupby("seed"):
        for (section, scale), means in summarise(of_seed).groupby(["section", "scale_um"], sort=False):
            spots, place = asked[str(section)]
            score = means.set_index("method")["pearson"].reindex([*OTHERS, OURS])
            row = {"spots": spots, "place": place, "measured": known[section]["spots"], "seed": seed, "scale_um": scale}
            rows.append({**row, "ceiling": means["ceiling"].mean(), **score})
    return with_gain(pd.DataFrame(rows, columns=[*KEYS, "ceiling", *OTHERS, OURS]).sort_values(KEYS, ignore_index=True))


def with_gain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the default's gain over the best of the others; NaN where a run failed."""
    return table.assign(gain=table[OURS] - table[list(OTHERS)].max(axis=1, skipna=False))


def told(table: pd.DataFrame) -> str:
    """Means over places and seeds as text, and whether the default is ever below the best of the others.

    That is asked of each box and scale, of scores that are means over seeds.
    """
    columns = ["measured", "ceiling", *OTHERS, OURS, "gain"]
    means = table.groupby(["spots", "scale_um"])[columns].mean().round({"measured": 0}).astype({"measured": int})
    boxes = table.groupby(["spots", "place", "scale_um"])[["gain"]].mean().dropna()
    below = boxes[boxes["gain"] < 0]
    verdict = f"{OURS} is below the best of {', '.join(OTHERS)} in {len(below)} of {len(boxes)} boxes and scales"
    if len(below):
        spots, place, scale = below["gain"].idxmin()
        verdict += f", by {-below['gain'].min():.3f} at most ({spots} spots, place {place}, {scale:g} µm)"
    return f"{means.to_string(float_format='{:.3f}'.format)}\n\n{verdict}."


def main() -> None:
    """Run what is missing, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "section", nargs="?", default="kidney", help="with true bins, as of stsr bench (default: kidney)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    spots = argument(Items(Whole(FEWEST, 1_000_000)))
    parser.add_argument("--spots", type=spots, default=SPOTS, metavar="N,N", help=f"(default: {SPOTS})")
    parser.add_argument("--places", type=argument(Whole(1, 100)), default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--seeds", default="0", metavar="0,1,2", help="(default: 0)")
    parser.add_argument("--genes", type=argument(Whole(1, 100_000)), default=300, metavar="N", help="(default: 300)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the default, to try this"
    )
    args = parser.parse_args()
    out = args.out.resolve()
    boxes = write_boxes(args.section, out / "boxes", args.spots, args.places, args.genes)
    plan = few_spots_plan(list(boxes), parse_seeds(args.seeds), **parse_options(args.option, OURS))
    try:
        execute(plan, out)
    finally:
        table = few_spots_table(plan, out, boxes)
        table.to_csv(out / "few_spots.csv", index=False, float_format="%.5g")
        print(told(table))


if __name__ == "__main__":
    main()
