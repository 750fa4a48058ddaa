"""Fingerprint of all that a result depends on. It is kept beside the result, which is valid as long as it is the same."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = (
    "anndata",
    "lightning",
    "numpy",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "spatialdata",
    "timm",
    "torch",
    "torch-geometric",
    "torchstain",
    "torchvision",
)
"""Libraries that results depend on."""


def digest(*parts: Any) -> str:
    """Digest of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def digest_of_files(files: Iterable[Path]) -> str:
    """Digest of the names and contents of files."""
    found = []
    for file in files:
        with file.open("rb") as stream:
            found.append((file.name, hashlib.file_digest(stream, "sha256").hexdigest()))
    return digest(*found)


def versions() -> dict[str, str]:
    """Versions of Python, stsr and the libraries that results depend on."""
    return {
        "python": platform.python_version(),
        "stsr": version("stsr"),
        **{name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
