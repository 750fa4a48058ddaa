"""Which files of a folder are taken, and the sentence for those that cannot be."""

from __future__ import annotations

import gzip
import io
import shutil

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from toys.spatial import GENES, toy_counts, toy_folder

from stsr.pp._visium_files import find_visium
from stsr.pp.counts import TextMatrix, read_counts

H5, POSITIONS, FACTORS = (
    "filtered_feature_bc_matrix.h5",
    "spatial/tissue_positions.csv",
    "spatial/scalefactors_json.json",
)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    path = tmp_path_factory.mktemp("vendor") / "outs"
    toy_folder(path)
    return path


@pytest.fixture
def folder(vendor, tmp_path):
    return shutil.copytree(vendor, tmp_path / "outs")


def text_matrix(folder, prefix="", *, gzipped=True, features="features"):
    """Replace the HDF5 matrix by three text files."""
    (folder / H5).unlink(missing_ok=True)
    folder.mkdir(exist_ok=True)
    matrix = io.BytesIO()
    scipy.io.mmwrite(matrix, sp.coo_matrix(toy_counts(48, 5).T))
    kind = "\tGene Expression" * (features == "features")
    files = {
        "matrix.mtx": matrix.getvalue(),
        f"{features}.tsv": "".join(f"E{n}\t{gene}{kind}\n" for n, gene in enumerate(GENES)).encode(),
        "barcodes.tsv": "".join(f"A{n}-1\n" for n in range(48)).encode(),
    }
    for name, content in files.items():
        path = folder / f"{prefix}{name}{'.gz' * gzipped}"
        path.write_bytes(gzip.compress(content) if gzipped else content)


@pytest.mark.parametrize(
    ("place", "prefix", "options"),
    [
        ("filtered_feature_bc_matrix", "", {}),
        ("filtered_feature_bc_matrix", "", {"gzipped": False}),
        ("A1_filtered_feature_bc_matrix", "", {"gzipped": False, "features": "genes"}),
        (".", "GSM1_A1_", {}),
    ],
)
def test_three_text_files_are_a_matrix(folder, place, prefix, options):
    (folder / H5).unlink()
    text_matrix(folder / place, prefix, **options)
    table = read_counts(find_visium(folder).counts)
    np.testing.assert_array_equal(table.X.toarray(), toy_counts(48, 5))
    assert list(table.var_names) == GENES
    assert table.var["gene_ids"].tolist() == [f"E{n}" for n in range(5)]
    assert table.obs_names[7] == "A7-1"


def test_prefixes_gzip_and_flat_folders(folder):
    (folder / H5).rename(folder / f"GSM1_A-{H5}")
    content = (folder / FACTORS).read_bytes()
    (folder / FACTORS).unlink()
    (folder / "GSM1_A-scalefactors_json.json.gz").write_bytes(gzip.compress(content))
    (folder / POSITIONS).rename(folder / "GSM1_A-tissue_positions.csv")
    files = find_visium(folder)
    assert files.counts.name == f"GSM1_A-{H5}"
    assert files.positions.parent == folder


def test_what_file_managers_leave_is_no_data(folder):
    expected = find_visium(folder)
    for name in (f"._{H5}", f"~{H5}", f"{H5}~", "Thumbs.db", ".DS_Store", "spatial/._tissue_positions.csv",
                 "spatial/.tissue_positions_list.csv", "spatial/._scalefactors_json.json", "spatial/thumbs.db"):  # fmt: skip
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    assert find_visium(folder) == expected


def test_both_forms_of_one_matrix(folder):
    text_matrix(folder / "filtered_feature_bc_matrix")
    assert find_visium(folder).counts.name == H5


def test_old_and_new_positions_beside_each_other(folder):
    lines = (folder / POSITIONS).read_text().splitlines(keepends=True)
    (folder / "spatial" / "tissue_positions_list.csv").write_text("".join(lines[1:]))
    assert find_visium(folder).positions.parent == folder / "spatial"
    (folder / "spatial" / "tissue_positions_list.csv").write_text("".join(lines[2:]))
    with pytest.raises(
        ValueError, match=r"2 files of positions: spatial/tissue_positions.csv, spatial/tissue_positions_l"
    ):
        find_visium(folder)


def two_samples(folder):
    shutil.copy(folder / H5, folder / f"B_{H5}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_samples, rf"holds 2 files of counts: B_{H5}, {H5}; keep the files of one sample in a folder"),
        (lambda f: [text_matrix(f, p) for p in ("A_", "B_")], "2 files of counts: A_matrix.mtx.gz, B_matrix.mtx.gz"),
        (lambda f: ((f / H5).rename(f / f"A_{H5}"), text_matrix(f, "B_")), "2 files of counts"),
        (lambda f: shutil.copytree(f / "spatial", f / "B_spatial"), "2 files of positions: B_spatial/.*, spatial/"),
        (
            lambda f: ((f / H5).rename(f / f"A_{H5}"), (f / POSITIONS).rename(f / "B_tissue_positions.csv")),
            "counts of 'A_' and positions of 'B_'",
        ),
    ],
)
def test_files_of_two_samples_are_refused(folder, change, message):
    change(folder)
    with pytest.raises(ValueError, match=message):
        find_visium(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raw_feature_bc_matrix.h5", r"raw_feature_bc_matrix.h5 also counts what lies off tissue; put the filtered"),
        (f"{H5}.gz", rf"unpack {H5}.gz first"),
        ("filtered_feature_bc_matrix.tar.gz", r"unpack filtered_feature_bc_matrix.tar.gz first"),
        ("kidney.h5ad", r"read kidney.h5ad as an AnnData object and pass it to stsr.pp.from_anndata"),
        ("counts.csv", r"pass the folder that Space Ranger made, .* It holds counts.csv, he.tif, spatial/"),
    ],
)
def test_a_matrix_in_another_form_is_named(folder, name, message):
    (folder / H5).rename(folder / name)
    with pytest.raises(FileNotFoundError, match=rf"holds no {H5}; {message}"):
        find_visium(folder)


@pytest.mark.parametrize("path", [None, 5, "", True])
def test_what_is_no_path(path):
    with pytest.raises(ValueError, match="path=.* is not allowed; pass the folder"):
        find_visium(path)


def test_a_file_in_place_of_its_folder(folder):
    with pytest.raises(ValueError, match=r"is a file; pass its folder, '.*outs'"):
        find_visium(folder / H5)
    with pytest.raises(FileNotFoundError, match="There is no such folder"):
        find_visium(folder / "nowhere")


def test_text_files_that_do_not_fit_together(folder):
    (folder / H5).unlink()
    text_matrix(folder / "filtered_feature_bc_matrix")
    files = find_visium(folder).counts
    assert isinstance(files, TextMatrix)
    files.features.write_bytes(gzip.compress(b"E1\tUMOD\tGene Expression\n"))
    with pytest.raises(ValueError, match=r"matrix.mtx.gz' is 5 x 48, but features.tsv.gz names 1 features"):
        read_counts(files)
    files.matrix.write_bytes(files.matrix.read_bytes()[:-30])
    with pytest.raises(ValueError, match="cannot be read as a Matrix Market file"):
        read_counts(files)
    files.barcodes.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no barcodes.tsv.gz; matrix.mtx.gz needs it"):
        find_visium(folder)


def test_positions_that_are_still_packed(folder):
    shutil.rmtree(folder / "spatial")
    (folder / "GSM1_A_spatial.tar.gz").write_bytes(b"packed")
    with pytest.raises(FileNotFoundError, match=rf"holds no {POSITIONS}; unpack GSM1_A_spatial.tar.gz first"):
        find_visium(folder)


def test_a_matrix_of_another_name(folder):
    (folder / "molecule_info.h5").write_bytes(b"")
    (folder / H5).rename(folder / "filtered_feature_bc_matrix (1).h5")
    with pytest.raises(
        FileNotFoundError, match=rf"holds no {H5}; if filtered_feature_bc_matrix \(1\).h5 is that matrix"
    ):
        find_visium(folder)
