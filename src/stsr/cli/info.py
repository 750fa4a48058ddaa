"""``stsr info``: versions and device, or what a store holds."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from typing import Any

from stsr.cli.arguments import path
from stsr.cli.output import say
from stsr.cli.registries import columns

PACKAGES = (
    "stsr",
    "numpy",
    "scipy",
    "anndata",
    "zarr",
    "dask",
    "spatialdata",
    "spatialdata-io",
    "spatialdata-plot",
    "scanpy",
    "squidpy",
    "torch",
    "lightning",
    "timm",
    "torchstain",
)

LONGEST = 40
"""Characters from which on an entry of ``uns`` is left out."""


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add ``stsr info``."""
    command = commands.add_parser(
        "info", parents=[common], help="versions and device, or what a store holds", description=info.__doc__
    )
    command.add_argument("section", metavar="SECTION.zarr", type=path, nargs="?", help="a store to describe")
    command.set_defaults(handler=info)


def info(args: argparse.Namespace) -> None:
    """Print the versions that matter in a bug report, or what a section's store holds."""
    say(versions() if args.section is None else contents(args.section))


def versions() -> str:
    """Versions of stsr and the libraries it uses, the system and the device."""
    rows = [("python", platform.python_version()), ("system", f"{platform.platform()}, {os.cpu_count()} cores")]
    rows += [(name, installed(name)) for name in PACKAGES]
    return columns(("package", "version"), [*rows, ("device", _device())])


def contents(store: Path) -> str:
    """The record of a section, and each of its elements; with results, how they were made."""
    from stsr.constants import ATTRS
    from stsr.spatial import open_store, record

    sdata = open_store(store)
    facts = record(sdata)
    lines = [
        f"{store}: {facts.technology} section {facts.dataset_id!r}, {facts.mpp:.4g} µm/px ({facts.mpp_source}), "
        + ("no spots" if facts.spot_size is None else f"spots of {facts.spot_size:g} µm")
    ]
    rows = [(kind, name, _size(element)) for kind, name, element in sdata.gen_elements()]
    lines.append(columns(("kind", "element", "size"), rows))
    for name, table in sdata.tables.items():
        if ATTRS in table.uns:
            made = {key: _short(value) for key, value in sorted(table.uns[ATTRS].items())}
            lines.append(f"{name}: " + ", ".join(f"{key} {text}" for key, text in made.items() if text))
    return "\n".join(lines)


def installed(package: str) -> str:
    """The version of a package that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device() -> str:
    from stsr.nn.training.device import pick_device

    return str(pick_device("auto"))


def _size(element: Any) -> str:
    """Rows and columns of a table, pixels of a raster, number of shapes."""
    if hasattr(element, "children") and "scale0" in element.children:
        element = next(iter(element["scale0"].values()))
    return " x ".join(f"{n:,}" for n in getattr(element, "shape", ())[:3])


def _short(value: Any) -> str:
    """An entry of ``uns`` as a short text; empty when it is longer."""
    if not isinstance(value, str | int | float):
        return ""
    text = value if isinstance(value, str) else f"{value:g}"
    return text if len(text) < LONGEST else ""
