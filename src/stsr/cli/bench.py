"""``stsr bench``: score methods on sections, and write a report."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.arguments import SEED, Device
from stsr.cli.arguments import argument, between_commas, path
from stsr.cli.errors import DONE, INCOMPLETE
from stsr.cli.run import parse_genes, parse_options
from stsr.cli.steps import Steps, check_vacant
from stsr.options import Items

if TYPE_CHECKING:
    from stsr.bench.protocol.plan import Entry


SEEDS = Items(SEED, most=1000)
"""Rule for the seeds of a bench."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr bench``."""
    command = commands.add_parser(
        "bench", parents=[common], help="score methods on sections and write a report", description=bench.__doc__
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
        help="see 'stsr methods'; A:KEY=VALUE is a row of its own with that option, A:KEY=[1,2] with a list "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--settings",
        metavar="A,B",
        help="truth, truth_80, shared_noise, random_half, alternate, blocked, shuffled_image, shuffled_labels, transfer, or "
        "all (default: truth where there is one, else random_half,blocked and, in a folder of several sections, transfer)",
    )
    command.add_argument("--seeds", default="0", metavar="0,1,2", help="(default: %(default)s)")
    command.add_argument(
        "--genes",
        metavar="FILE|N",
        help="genes, one a line; or how many; or 'all' (default: genes_*.txt of the section, else 300)",
    )
    command.add_argument("--encoder", default="texture", help="see 'stsr encoders' (default: %(default)s)")
    command.add_argument(
        "--device",
        type=argument(Device()),
        default="auto",
        help="auto, cpu, cuda, cuda:1 or mps (default: %(default)s)",
    )
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
        type=path,
        default=Path("bench_output"),
        help="results and report; what is there already is not run again (default: %(default)s)",
    )
    command.set_defaults(handler=bench)


def bench(args: argparse.Namespace) -> int:
    """Fit and score methods on sections, each in a process of its own, and write tables, figures and a report.

    A bench that was stopped goes on when the same command is given again.
    """
    from stsr.bench.protocol.plan import make_plan
    from stsr.bench.protocol.settings import SETTINGS
    from stsr.bench.run import run_bench
    from stsr.bench.sources.find import find_sources

    settings = None if args.settings is None else parse_settings(args.settings, SETTINGS)
    plan = make_plan(
        [source for argument in args.sections for source in find_sources(argument)],
        parse_methods(args.methods, args.option),
        settings=settings,
        seeds=parse_seeds(args.seeds),
        genes=None if args.genes is None else parse_genes(args.genes),
        encoder=args.encoder,
        device=args.device,
    )
    check_vacant("--out", args.out / "report.md", overwrite=True)
    steps = Steps(quiet=args.quiet)
    missing = run_bench(plan, args.out, command=command_line(args), tell=steps.say)
    lack = f"; {missing} of {len(plan.runs)} runs have no result" if missing else ""
    steps.say(f"The report is {args.out / 'report.md'}{lack} ({steps.seconds:.0f} s).")
    return INCOMPLETE if missing else DONE


def parse_methods(text: str, options: Sequence[str]) -> list[Entry]:
    """``--methods`` and ``--option``: names, each with options of its own after colons, or ``"all"``."""
    from stsr.bench.protocol.plan import Entry
    from stsr.methods import METHODS

    shared: dict[str, list[str]] = {}
    for option in options:
        method, dot, pair = option.partition(".")
        if not dot or "=" not in pair:
            raise ValueError(f"--option {option} is not of the form METHOD.KEY=VALUE.")
        shared.setdefault(method, []).append(pair)
    entries = []
    for label in list(METHODS) if text == "all" else between_commas(text):
        method, *pairs = label.split(":")
        options_of = [parse_options(given, method) for given in (shared.get(method, []), pairs)]
        entries.append(Entry(label, method, {**options_of[0], **options_of[1]}))
    if not entries:
        raise ValueError(f"--methods {text!r} names no method; choose from {', '.join(METHODS)}, or 'all'.")
    if unused := set(shared) - {entry.method for entry in entries}:
        raise ValueError(f"--option {min(unused)}.… sets an option of a method that is not in --methods {text}.")
    return entries


def parse_seeds(text: str) -> list[int]:
    """``--seeds``: whole numbers from 0 up, each once."""
    seeds = list(SEEDS("--seeds", SEEDS.read(text)))
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"--seeds {text} lists a seed twice; list each once, as in 0,1,2.")
    return seeds


def parse_settings(text: str, known: Iterable[str]) -> list[str]:
    """``--settings``: names between commas, or ``"all"``."""
    names = list(known) if text == "all" else between_commas(text)
    if not names:
        raise ValueError(f"--settings {text!r} names no setting; choose from {', '.join(known)}, or 'all'.")
    return names


def command_line(args: argparse.Namespace) -> str:
    """The command that makes the same report, without ``--quiet``, ``--verbose`` and ``--out``."""
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
