"""The numeric rooms work where the libraries of files and tables are not installed, as on a machine with torch alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = ("anndata", "dask", "geopandas", "scanpy", "spatialdata", "spatialdata_io", "squidpy", "xarray", "zarr")
WITHOUT = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))  # None: as if it were not installed"


def run(code: str) -> str:
    tests = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT}\nsys.path.insert(0, {tests!r})\n{code}"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_are_hidden():
    with pytest.raises(AssertionError, match="ModuleNotFoundError: import of spatialdata"):
        run("import spatialdata")


def test_every_module_of_them_imports():
    out = run(
        """
import importlib, pkgutil, stsr
rooms = ("geometry", "imaging", "joined", "methods", "metrics", "nn", "section")
names = [m.name for m in pkgutil.walk_packages(stsr.__path__, "stsr.") if m.name.split(".")[1] in rooms]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    )
    assert int(out) > 100


def test_methods_are_fitted_and_predict():
    out = run(
        """
import numpy as np
from toys.section import toy_section
from stsr.methods import Training, create
toy = toy_section()
for name, options in (("idw", {}), ("ridge", {}), ("istar", {"epochs": 2, "states": 1})):
    method = create(name, options)
    predict = method.fit(toy.section, seed=0, training=Training(progress=False, device="cpu")).on(toy.section)
    mean = predict(slice(0, toy.section.grid.shape[0])).mean
    assert mean.shape == toy.truth.shape and np.isfinite(mean).all()
    print(name)
"""
    )
    assert out.split() == ["idw", "ridge", "istar"]
