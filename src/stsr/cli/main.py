"""The parser, and what every command shares: messages, logs and errors."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Sequence
from typing import Any

from stsr.cli import bench, demo, evaluate, info, registries, run
from stsr.cli.errors import Ending
from stsr.cli.info import installed
from stsr.cli.output import prepare_streams, say
from stsr.cli.signals import check, stoppable


class _Version(argparse.Action):
    """Prints the version, which is only looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        say(f"stsr {installed('stsr')}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; every command sets ``handler``, a function of the parsed arguments.

    It returns nothing, or the exit code.
    """
    common = argparse.ArgumentParser(add_help=False)
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print errors only")
    loudness.add_argument("--verbose", action="store_true", help="print the log of every step, and tracebacks")

    top = argparse.ArgumentParser(
        prog="stsr", description="Super-resolve spatial transcriptomics with the section's H&E image."
    )
    top.add_argument("--version", nargs=0, action=_Version, help="print the version")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, run, evaluate, bench, registries, info):
        command.add(commands, common)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        The arguments after ``stsr``; those of the process when None.

    Returns
    -------
    Exit code: 0; 1 after a fault of stsr; 2 after a wrong argument or bad input, with one sentence on stderr; 3 when some
    runs of a bench have no result; 130 when interrupted, 143 after SIGTERM.

    Examples
    --------
    >>> from stsr.cli import main
    >>> main(["evaluate", "missing.zarr", "--truth", "truth_008um"])
    2
    """
    prepare_streams()
    with stoppable(), Ending() as ending, warnings.catch_warnings():
        args = parser().parse_args(argv)
        if not args.verbose:
            warnings.simplefilter("ignore")
        _set_up_logs(args)
        ending.code = args.handler(args) or ending.code
        check()
    return ending.code


def _set_up_logs(args: argparse.Namespace) -> None:
    """Send stsr's log to stderr, and keep other libraries quiet unless ``--verbose``."""
    logging.basicConfig(format="%(name)s: %(levelname)s: %(message)s", level=logging.ERROR)
    logging.getLogger().setLevel(logging.INFO if args.verbose else logging.ERROR)
    level = logging.DEBUG if args.verbose else logging.ERROR if args.quiet else logging.WARNING
    logging.getLogger("stsr").setLevel(level)
