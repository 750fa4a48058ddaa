"""The command line: ``stsr demo | run | evaluate | bench | methods | encoders | info``."""

from __future__ import annotations

from stsr.cli.main import main

__all__ = ["main"]
