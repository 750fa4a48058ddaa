"""Shared by long commands: progress messages, and checks of output paths."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stsr.cli import output
from stsr.cli.signals import check


class Steps:
    """Prints one line per step with its time, and nothing when quiet.

    Parameters
    ----------
    quiet
        Print nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Time since the command began."""
        return time.perf_counter() - self.start

    @property
    def bars(self) -> bool:
        """Whether progress bars make sense: not into a file, not when quiet."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()

    @contextmanager
    def __call__(self, text: str) -> Iterator[None]:
        """Time what happens inside a ``with`` block."""
        check()
        begin = time.perf_counter()
        self.say(f"{text} ...", end="\n" if self.bars else " ")
        try:
            yield
        except BaseException:
            if not self.quiet:
                output.say("failed", checked=False)
            raise
        check()
        self.say(f"{'  done in ' if self.bars else ''}{time.perf_counter() - begin:.1f} s")

    def say(self, text: str, end: str = "\n") -> None:
        """Print, unless quiet."""
        if not self.quiet:
            output.say(text, end=end)


def check_vacant(option: str, path: Path | None, overwrite: bool) -> None:
    """Check that an output can be written, and that it does not exist unless it may be replaced."""
    if path is None:
        return
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(f"{option} {path} exists; pass --overwrite to replace it, or name another path.")
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise NotADirectoryError(f"{option} {path} cannot be written: {above} is no folder; name another path.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{option} {path} cannot be written: you may not write to {above}; name another path.")
