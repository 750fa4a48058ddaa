"""``stsr bench``: put methods to the test on sections, and write a report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.cli.run import parse_genes, parse_options
from stsr.cli.steps import Steps

if TYPE_CHECKING:
    from stsr.bench.plan import Entry


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr bench``."""
    command = commands.add_parser(
        "bench", parents=[common], help="put methods to the test and write a report", description=bench.__doc__
    )
    command.add_argument(
        "sections",
        metavar="SECTION",
        nargs="+",
        help="folder, here or in STSR_DATA_DIR, with visium/ and visium_hd/ or of legacy ST sections (one of them: "
        "FOLDER/NAME); or 'synthetic'",
    )
    command.add_argument(
        "--methods",
        default="all",
        metavar="A,B",
        help="see 'stsr methods'; A:KEY=VALUE is a row of its own with that option (default: %(default)s)",
    )
    command.add_argument(
        "--settings",
        metavar="A,B",
        help="truth, random_half, alternate, blocked, shuffled_image, shuffled_labels, transfer, or all (default: truth "
        "where there is one, else random_half,blocked and, in a folder of several sections, transfer)",
    )
    command.add_argument("--seeds", default="0", metavar="0,1,2", help="(default: %(default)s)")
    command.add_argument(
        "--genes",
        metavar="FILE|N",
        help="genes, one a line; or how many; or 'all' (default: genes_*.txt of the section, else 300)",
    )
    command.add_argument("--encoder", default="texture", help="see 'stsr encoders' (default: %(default)s)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")
    command.add_argument(
        "--option",
        metavar="METHOD.KEY=VALUE",
        action="append",
        default=[],
        help="an option of a method, in all its rows; may be repeated",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=Path("bench_output"),
        help="results and report; what is there already is not run again (default: %(default)s)",
    )
    command.set_defaults(handler=bench)


def bench(args: argparse.Namespace) -> None:
    """Fit and score methods on sections, each in a process of its own, and write tables, figures and a report.

    A bench that was stopped takes up where it was when the same command is given again.
    """
    from stsr.bench.plan import make_plan
    from stsr.bench.run import run_bench
    from stsr.bench.settings import SETTINGS
    from stsr.bench.sources import find_sources

    settings = None if args.settings is None else list(SETTINGS) if args.settings == "all" else _list(args.settings)
    plan = make_plan(
        [source for argument in args.sections for source in find_sources(argument)],
        parse_methods(args.methods, args.option),
        settings=settings,
        seeds=parse_seeds(args.seeds),
        genes=None if args.genes is None else parse_genes(args.genes),
        encoder=args.encoder,
        device=args.device,
    )
    steps = Steps(quiet=args.quiet)
    run_bench(plan, args.out, command=command_line(args), tell=steps.say)
    steps.say(f"{args.out / 'report.md'} sums it up ({steps.seconds:.0f} s).")


def parse_methods(text: str, options: Sequence[str]) -> list[Entry]:
    """``--methods`` and ``--option``: names, each with options of its own after colons, or ``"all"``."""
    from stsr.bench.plan import Entry
    from stsr.methods import METHODS

    shared: dict[str, dict[str, Any]] = {}
    for option in options:
        method, dot, pair = option.partition(".")
        if not dot or "=" not in pair:
            raise ValueError(f"--option {option} is not of the form METHOD.KEY=VALUE.")
        shared.setdefault(method, {}).update(parse_options([pair]))
    entries = []
    for label in list(METHODS) if text == "all" else _list(text):
        method, *pairs = label.split(":")
        entries.append(Entry(label, method, {**shared.get(method, {}), **parse_options(pairs)}))
    if unused := set(shared) - {entry.method for entry in entries}:
        raise ValueError(f"--option {min(unused)}.… sets an option of a method that is not in --methods {text}.")
    return entries


def parse_seeds(text: str) -> list[int]:
    """``--seeds``: whole numbers from 0 up, each once."""
    seeds = _list(text)
    if not seeds or not all(seed.isdigit() for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds {text} must be different whole numbers separated by commas, such as 0,1,2.")
    return [int(seed) for seed in seeds]


def command_line(args: argparse.Namespace) -> str:
    """The command that makes the same report, without what it prints and where it writes."""
    words = ["stsr", "bench", *args.sections, "--methods", args.methods]
    for name in ("settings", "seeds", "genes"):
        if (value := getattr(args, name)) is not None:
            words += [f"--{name}", value]
    for name, usual in (("encoder", "texture"), ("device", "auto")):
        if (value := getattr(args, name)) != usual:
            words += [f"--{name}", value]
    for option in args.option:
        words += ["--option", option]
    return shlex.join(words)


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]
