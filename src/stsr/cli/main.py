"""The parser, and what every command shares: messages, logs and errors."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence

from stsr.cli import bench, demo, evaluate, info, registries, run

log = logging.getLogger(__name__)

EXPECTED = (ValueError, KeyError, OSError, ImportError, RuntimeError)
"""Errors that tell the user what to change; anything else is a fault of ours and keeps its traceback."""


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; every command sets ``handler``, a function of the parsed arguments."""
    common = argparse.ArgumentParser(add_help=False)
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("--quiet", action="store_true", help="print errors only")
    loudness.add_argument("--verbose", action="store_true", help="print the log of every step, and tracebacks")

    top = argparse.ArgumentParser(
        prog="stsr", description="Super-resolve spatial transcriptomics with the section's H&E image."
    )
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
    Exit code: 0; 2 after a wrong argument or bad input, told in one sentence on stderr; 130 when interrupted.

    Examples
    --------
    >>> from stsr.cli import main
    >>> main(["evaluate", "missing.zarr", "--truth", "truth_008um"])
    2
    """
    args = parser().parse_args(argv)
    with warnings.catch_warnings():
        if not args.verbose:
            warnings.simplefilter("ignore")
        _set_up_logs(args)
        try:
            args.handler(args)
        except EXPECTED as error:
            log.debug("what led to it:", exc_info=True)
            print(f"stsr: error: {_sentence(error)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stsr: interrupted", file=sys.stderr)
            return 130
    return 0


def _set_up_logs(args: argparse.Namespace) -> None:
    """Send stsr's log to stderr, and keep other libraries quiet unless ``--verbose``."""
    logging.basicConfig(format="%(name)s: %(levelname)s: %(message)s", level=logging.ERROR)
    logging.getLogger().setLevel(logging.INFO if args.verbose else logging.ERROR)
    level = logging.DEBUG if args.verbose else logging.ERROR if args.quiet else logging.WARNING
    logging.getLogger("stsr").setLevel(level)


def _sentence(error: BaseException) -> str:
    """The message of an error on one line; a KeyError would quote it."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return " ".join(text.split()) or type(error).__name__
