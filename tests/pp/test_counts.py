"""The vendor's HDF5 matrix: what is left out, and what is damaged."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest
from toys.spatial import GENES, toy_counts, toy_folder

from stsr.pp.counts import DATASETS, read_counts

H5 = "filtered_feature_bc_matrix.h5"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    path = tmp_path_factory.mktemp("vendor")
    toy_folder(path)
    return path / H5


@pytest.fixture
def file(vendor, tmp_path):
    return shutil.copy(vendor, tmp_path / H5)


def rewrite(file, **datasets):
    with h5py.File(file, "r+") as opened:
        for name, change in datasets.items():
            key = f"matrix/{name.replace('__', '/')}"
            values = change(opened[key][:])
            del opened[key]
            opened[key] = values


def test_features_that_are_no_genes_are_left_out_and_told(file, caplog):
    kinds = np.array([b"Gene Expression"] * 3 + [b"Antibody Capture"] * 2)
    rewrite(file, features__feature_type=lambda _: kinds, features__name=lambda names: names[[0, 1, 2, 2, 2]])
    table = read_counts(file)
    assert list(table.var_names) == GENES[:3]
    np.testing.assert_array_equal(table.X.toarray(), toy_counts(48, 5)[:, :3])
    assert "left out features that are no genes (2 Antibody Capture)" in caplog.text
    rewrite(file, features__feature_type=lambda _: np.array([b"Antibody Capture"] * 5))
    with pytest.raises(ValueError, match="holds no Gene Expression, only Antibody Capture"):
        read_counts(file)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_missing_dataset_is_named(file, dataset):
    with h5py.File(file, "r+") as opened:
        del opened[f"matrix/{dataset}"]
    with pytest.raises(ValueError, match=f"unknown layout; matrix/{dataset} was looked for in it"):
        read_counts(file)


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"barcodes": lambda v: v[:-3]}, "matrix/barcodes has 45 entries, not 48"),
        ({"features__name": lambda v: v[:-1]}, "matrix/features/name has 4 entries, not 5"),
        ({"indptr": lambda v: v[:-1]}, "matrix/indptr has 48 entries, not 49"),
        ({"indices": lambda v: v + 3}, "cannot be read as the vendor's HDF5 matrix"),
        ({"indptr": lambda v: v[::-1].copy()}, "cannot be read as the vendor's HDF5 matrix"),
        ({"shape": lambda v: v[:1]}, "cannot be read as the vendor's HDF5 matrix"),
        ({"barcodes": lambda v: v[[0] * 48]}, "names 47 barcodes twice"),
        ({"data": lambda v: v[:0], "indices": lambda v: v[:0]}, "holds no bins with counts"),
    ],
)
def test_damaged_datasets(file, datasets, message):
    rewrite(file, **datasets)
    with pytest.raises(ValueError, match=message):
        read_counts(file)


@pytest.mark.parametrize("content", [b"", b"no matrix", slice(3000)])
def test_damaged_files(file, content):
    file.write_bytes(file.read_bytes()[content] if isinstance(content, slice) else content)
    with pytest.raises(ValueError, match="path: '.*h5' cannot be read as the vendor's HDF5 matrix"):
        read_counts(file)
