"""Settings and fixtures that every test shares."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import stsr

os.environ["MPLBACKEND"] = "Agg"  # no window is opened

# The same examples in every run, and no time limit: a busy machine is not a failure.
hypothesis.settings.register_profile("stsr", derandomize=True, deadline=None)
hypothesis.settings.load_profile("stsr")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets; the test is skipped where there is none."""
    if not os.environ.get("STSR_DATA_DIR"):
        pytest.skip("STSR_DATA_DIR is not set: it names the folder with the real data sets")
    return stsr.datasets.path()


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Pyplot holds on to the figures that a test draws, and warns at the twenty-first."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module", autouse=True)
def restored_logs() -> Iterator[None]:
    """The command line sets levels for its own process; tests, and fixtures of a whole file, share one."""
    loggers = [logging.getLogger(), logging.getLogger("stsr")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
