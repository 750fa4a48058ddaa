"""Time and memory of a process, and the machine it ran on."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time

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


def machine() -> dict[str, str | int | float]:
    """Processor, cores that this process may use, memory and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return {"system": platform.system(), "processor": platform.machine(), "cores": cores, "memory_gb": round(memory)}
