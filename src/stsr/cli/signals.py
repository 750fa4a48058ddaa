"""Signals that end a command: each raises an exception, and is recorded in case a library catches that."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C; what ``kill``, a job scheduler or a container sends; and a terminal that was closed."""

_received: list[int] = []


class Stopped(KeyboardInterrupt):
    """A signal asks the command to end; libraries treat it as Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """In this context the signals raise :class:`Stopped`; signals that the caller ignores, as ``nohup`` does, stay ignored."""
    _received.clear()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in STOPPING:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check() -> None:
    """Raise :class:`Stopped` if a signal was received whose exception was swallowed, as some libraries do on import."""
    if _received:
        raise Stopped(_received[0])


def received() -> int | None:
    """The signal that was received, if any."""
    return _received[0] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise Stopped(number)
