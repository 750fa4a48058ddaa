"""Sections to try things on: synthetic tissue with known truth, fake vendor folders, and where real data lie."""

from __future__ import annotations

from stsr.datasets.paths import path
from stsr.datasets.synthetic import synthetic_section
from stsr.datasets.vendor import write_visium_folder
from stsr.datasets.vendor_hd import write_visium_hd_folder
from stsr.datasets.vendor_xenium import write_xenium_folder

__all__ = ["path", "synthetic_section", "write_visium_folder", "write_visium_hd_folder", "write_xenium_folder"]
