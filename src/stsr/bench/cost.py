"""Time and memory of a process, and the machine it ran on."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

GIGABYTE = 2**30


class Clock:
    """Wall-clock seconds since it was made, and the peak memory of this process."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def read(self) -> dict[str, float]:
        """``seconds`` and ``peak_gb``."""
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIGABYTE
        return {"seconds": round(time.perf_counter() - self.start, 2), "peak_gb": round(peak, 3)}


def as_published(seconds: float, history: Mapping[str, Sequence[float]], config: Any) -> float | None:
    """Seconds of a run, extrapolated to the published number of epochs and networks at the time per epoch of this run.

    None for a method without published numbers, or without training.

    Parameters
    ----------
    seconds, history
        Time of the run, and its losses by epoch.
    config
        Its settings.
    """
    published = getattr(config, "published", None)
    epochs = sum(len(losses) for name, losses in history.items() if name.startswith("train"))
    if published is None or not epochs:
        return None
    total = published["epochs"] * published["states"]
    if "train graph" in history:  # one network, trained once before the others
        total += published["graph_epochs"]
    return round(seconds * total / epochs)


def machine() -> dict[str, str | int | float]:
    """Processor, cores that this process may use, memory and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return {"system": platform.system(), "processor": platform.machine(), "cores": cores, "memory_gb": round(memory)}
