"""Printing: control characters from files are escaped, and a closed pipe is no error."""

from __future__ import annotations

import os
import sys

from stsr.cli import signals


def say(text: str, end: str = "\n", *, checked: bool = True) -> None:
    """Print a text. When the pipe is closed, as ``head`` does, this and all later texts are dropped.

    Parameters
    ----------
    text, end
        As for ``print``.
    checked
        Whether to check for signals received since.

    Raises
    ------
    OSError
        When the text cannot be written, as on a full disk.
    Stopped
        When a signal was received since.
    """
    if checked:
        signals.check()
    if sys.stdout is None:  # closed by the caller
        return
    try:
        print(printable(text), end=end, flush=True)
    except OSError as error:
        _discard_output()
        if not isinstance(error, BrokenPipeError):
            raise OSError(f"standard output cannot be written ({error.strerror}); send it elsewhere.") from error


def printable(text: str) -> str:
    r"""The text with control characters escaped, so that a name in a file cannot move the cursor.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def prepare_streams() -> None:
    """Escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Flush what libraries printed, such as the help of argparse; a closed pipe is no error."""
    if sys.stdout is None or sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Discard standard output from now on, with what is still to be flushed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
