"""What is printed: no control characters of others' files, and no error when nobody reads any more."""

from __future__ import annotations

import os
import sys

from stsr.cli import signals


def say(text: str, end: str = "\n", *, checked: bool = True) -> None:
    """Print a text; when the reader has gone, as ``head`` does, this and all later ones go nowhere.

    Parameters
    ----------
    text, end
        As of ``print``.
    checked
        Whether to look for signals that came meanwhile.

    Raises
    ------
    OSError
        When the text cannot be written, as on a full disk.
    Stopped
        When a signal came meanwhile.
    """
    if checked:
        signals.check()
    if sys.stdout is None:  # closed by the caller
        return
    try:
        print(printable(text), end=end, flush=True)
    except OSError as error:
        _forget()
        if not isinstance(error, BrokenPipeError):
            raise OSError(f"standard output cannot be written ({error.strerror}); send it elsewhere.") from error


def printable(text: str) -> str:
    r"""The text with control characters written out, so that a name in a file cannot move the cursor.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def prepare_streams() -> None:
    """Have letters that the terminal's encoding lacks written out instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Write out what others printed, as argparse does its help; a reader that has gone is no error."""
    if sys.stdout is None or sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except OSError:
        _forget()


def _forget() -> None:
    """Send standard output nowhere from now on, what is still to be flushed too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
