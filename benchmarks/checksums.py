"""Whether a change of the code changed what methods predict: ``python benchmarks/checksums.py FILE``; see README.md beside it.

Fits every method with its defaults and one seed on her2st/C3 and on 2 x 2 mm of the kidney, and writes a checksum of each
table to FILE. If FILE is there already, tables are compared with it, nothing is written, and the exit code is 1 if one
differs. Sums of floating-point numbers depend on the number of threads: give ``OMP_NUM_THREADS=1`` both times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import stsr
from stsr.bench.sources.base import Source
from stsr.bench.sources.boxes import write_section
from stsr.bench.sources.degraded import Degraded
from stsr.bench.sources.find import find_sources
from stsr.methods import METHODS

BOXES = {"kidney": (400.0, 3400.0, 2400.0, 5400.0), "her2st/C3": None}
"""The sections, and the part that is taken, (left, top, right, bottom) in µm."""


def checksums(source: Source, folder: Path, methods: list[str]) -> Iterator[tuple[str, str]]:
    """Names and checksums of the tables of a section."""
    sdata = source.read(folder / "section.zarr")
    stsr.pp.calibrate_image(sdata)
    stsr.pp.make_grid(sdata, bin_size=source.bin_size)
    stsr.pp.extract_features(sdata, progress=False)
    for method in methods:
        stsr.tl.fit_super_resolution(sdata, genes=source.genes, method=method, key_added=method, progress=False)
        table = sdata.tables[method]
        arrays = [
            table.X,
            *(table.layers[name] for name in sorted(table.layers)),
            *(table.obsm[name] for name in sorted(table.obsm)),
        ]
        digest = hashlib.sha256()
        for array in arrays:
            dense = array.toarray() if sp.issparse(array) else np.asarray(array)
            digest.update(np.ascontiguousarray(dense).tobytes())
        yield method, digest.hexdigest()[:16]


def main() -> None:
    """Write checksums, or compare with those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--methods", default=",".join(METHODS), metavar="A,B", help="(default: all)")
    args = parser.parse_args()
    before = json.loads(args.file.read_text()) if args.file.is_file() else None
    found = {}
    for name, box in BOXES.items():
        with tempfile.TemporaryDirectory() as work:
            write_section(find_sources(name)[0], Path(work, "own"), box=box)
            source = Degraded.find(f"degraded:none:none:{Path(work, 'own')}")
            for method, digest in checksums(source, Path(work), args.methods.split(",")):
                key = f"{name} {method}"
                found[key] = digest
                same = "" if before is None else " as before" if before.get(key) == digest else " DIFFERS"
                print(f"{key}: {digest}{same}", flush=True)
    if before is None:
        args.file.write_text(json.dumps(found, indent=1) + "\n")
    elif any(before.get(key) != digest for key, digest in found.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
