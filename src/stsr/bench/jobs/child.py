"""A child process of the bench that never outlives its parent, however that ends."""

from __future__ import annotations

import os
import runpy
import sys
import threading

GONE = 1
"""Exit code of a child whose parent is gone."""


def end_with(pipe: int) -> None:
    """End this process when ``pipe``, the file descriptor of a pipe that the parent holds open, ends.

    The system closes the pipe when the parent is gone, also after a SIGKILL.
    """

    def wait() -> None:
        # Not through sys.stdin, whose lock this thread would still hold when Python shuts down.
        while os.read(pipe, 1024):
            pass
        os._exit(GONE)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Run the module that the first argument names, with the other arguments."""
    end_with(sys.stdin.fileno())
    _, module, *sys.argv[1:] = sys.argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
