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
    """Seconds since it was made, and the most memory that this process has held."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def read(self) -> dict[str, float]:
        """``seconds`` and ``peak_gb``."""
        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIGABYTE
        return {"seconds": round(time.perf_counter() - self.start, 2), "peak_gb": round(peak, 3)}


def as_published(seconds: float, history: Mapping[str, Sequence[float]], config: Any) -> float | None:
    """Seconds that training for the published number of epochs and networks would take, an epoch as long as here.

    None for a method that has no published ones or was not trained.

    Parameters
    ----------
    seconds, history
        What a run took, and its losses by epoch.
    config
        Its settings.
    """
    published = getattr(config, "published", None)
    epochs = sum(len(losses) for name, losses in history.items() if name.startswith("train"))
    if published is None or not epochs:
        return None
    of_all = published["epochs"] * published["states"]
    if "train graph" in history:  # a network of its own, trained once before the others
        of_all += published["graph_epochs"]
    return round(seconds * of_all / epochs)


def machine() -> dict[str, str | int | float]:
    """Processor, cores that this process may use, memory and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return {"system": platform.system(), "processor": platform.machine(), "cores": cores, "memory_gb": round(memory)}
