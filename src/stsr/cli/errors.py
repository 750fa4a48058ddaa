"""The end of a command: exit code, and errors as one sentence on stderr."""

from __future__ import annotations

import logging
import signal
import sys
from types import TracebackType

from stsr.cli import signals
from stsr.cli.output import printable, settle

log = logging.getLogger(__name__)

DONE, FAULT, REFUSED, INCOMPLETE = 0, 1, 2, 3
"""Exit codes: success; a fault of stsr; invalid arguments or input; a bench with runs that have no result. A command that a
signal ended has 128 + its number: 130 for Ctrl-C, 143 for SIGTERM."""

EXPECTED = (ValueError, KeyError, OSError, ImportError, RuntimeError, MemoryError)
"""Errors that the user can correct; all others are faults of stsr."""


class Ending:
    """Turns the end of a ``with`` block, an error or signal included, into an exit code, ``code``."""

    def __init__(self) -> None:
        self.code = DONE

    def __enter__(self) -> Ending:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Print an error; ``SystemExit`` and other exceptions that are no ``Exception`` are raised further."""
        settle()
        number = signals.received()
        if number is None and isinstance(error, KeyboardInterrupt):
            number = signal.SIGINT
        if number is not None:
            # Any other error is a consequence of the signal.
            self._print("interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}")
            self.code = 128 + number
            return True
        if error is None or not isinstance(error, Exception):
            return False
        log.debug("traceback:", exc_info=error)
        if isinstance(error, EXPECTED):
            self._print(f"error: {sentence(error)}")
            self.code = REFUSED
        else:
            self._print(
                f"fault: {type(error).__name__}: {sentence(error)} - this is a fault of stsr; please report it "
                "with what the same command prints with --verbose, and 'stsr info'."
            )
            self.code = FAULT
        return True

    def _print(self, text: str) -> None:
        if sys.stderr is None:
            return
        try:
            print(f"stsr: {text}", file=sys.stderr, flush=True)
        except OSError:
            log.debug("stderr cannot be written")


def sentence(error: BaseException) -> str:
    """The message of an error on one line; ``str`` of a KeyError would put it in quotes."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the package {error.name!r} is not installed; install it, or reinstall stsr with its dependencies."
    if isinstance(error, OSError) and str(error.strerror or "").endswith("."):
        return _one_line(str(error.strerror))  # a message of stsr, without the system's error number
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return _one_line(text) or type(error).__name__


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
