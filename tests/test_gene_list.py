"""Lists of genes are read as people have them, or refused in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsr.gene_list import read_gene_list

NAMES = ["PODO1", "PTUA1", "HLA-DRA"]


@pytest.mark.parametrize(
    "data",
    [
        b"PODO1\nPTUA1\nHLA-DRA\n",
        b"PODO1\r\nPTUA1\r\nHLA-DRA",
        b"PODO1\rPTUA1\rHLA-DRA\r",
        b"\n  PODO1 \n\n\tPTUA1\nHLA-DRA\n \n",
        b"\xef\xbb\xbfPODO1\r\nPTUA1\r\nHLA-DRA\r\n",
        "PODO1\r\nPTUA1\r\nHLA-DRA\r\n".encode("utf-16"),
        "\ufeffPODO1\nPTUA1\nHLA-DRA\n".encode("utf-16-be"),
        b"# markers of the kidney\nPODO1\n#PODO2\nPTUA1\nHLA-DRA\n",
        b"gene\nPODO1\nPTUA1\nHLA-DRA\n",
        b'"x"\n"PODO1"\n"PTUA1"\n"HLA-DRA"\n'.replace(b'"x"', b'"Gene"'),
        b"PODO1,PTUA1,HLA-DRA\n",
        b"PODO1, PTUA1, HLA-DRA",
        b"PODO1;PTUA1;HLA-DRA\n",
        b"PODO1,\nPTUA1,\nHLA-DRA,\n",
        b",gene,rank\n0,PODO1,1\n1,PTUA1,2\n2,HLA-DRA,3\n",
        b"rank\tSymbol\n1\tPODO1\n2\tPTUA1\n3\tHLA-DRA\n",
        b'gene;note\nPODO1;"a; b"\nPTUA1;\nHLA-DRA\n',
    ],
)
def test_the_same_names_however_they_are_written(tmp_path, data):
    (tmp_path / "genes.csv").write_bytes(data)
    assert read_gene_list(tmp_path / "genes.csv") == NAMES


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no name"),
        (b"\n \r\n# PODO1\n", "holds no name"),
        (b"\xef\xbb\xbf", "holds no name"),
        (b"gene\n", "holds no name"),
        (b"PODO1\nPTUA1\nPODO1\n", "lists 'PODO1' more than once"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08", "is no text in UTF-8 or UTF-16"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "is no text in UTF-8 or UTF-16"),
        (b"\x1f\x8b\x08\x00\x00", "is no text in UTF-8 or UTF-16"),
        ("Pod\u00f61\n".encode("latin-1"), "is no text in UTF-8 or UTF-16"),
        ("PODO1\n".encode("utf-16-le"), "is no text in UTF-8 or UTF-16"),
        (b"\xff\xfeP", "is no text in UTF-8 or UTF-16"),
        (b"ENSG01\tPODO1\tGene Expression\nENSG02\tPTUA1\tGene Expression\n", "has several columns and none is called"),
        (b"1,PODO1\n2,PTUA1\n", "has several columns and none is called"),
    ],
)
def test_what_is_no_list_is_refused_with_the_file(tmp_path, data, message):
    (tmp_path / "genes.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        read_gene_list(tmp_path / "genes.csv")
    assert "genes.csv" in str(error.value)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=64))
def test_any_bytes_are_names_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    try:
        genes = read_gene_list(path)
    except ValueError as error:
        assert "any.txt" in str(error)
    else:
        assert genes
        assert len(set(genes)) == len(genes)
        assert all(gene == gene.strip() != "" for gene in genes)
