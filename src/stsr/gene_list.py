"""Files with names of genes, as people have them."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from pathlib import Path

from stsr.options import shown

HEADERS = frozenset(
    {"gene", "genes", "gene_name", "gene_names", "gene_symbol", "symbol", "symbols", "gene symbol", "gene name"}
)
"""What the column of the genes is called, in small letters."""

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Encodings by the byte order mark that Excel and Windows put before a text."""

SEPARATORS = "\t,;"

LARGEST = 2**26
"""Bytes; a list of all genes of a species takes less than one of 64 parts."""


def read_gene_list(path: Path) -> list[str]:
    r"""Names of genes from a text file, in its order.

    One name a line, or one line of names between commas, or a table with a header of which one column is called ``gene``
    (or ``symbol``). Blank lines, lines that begin with ``#``, quotes and a byte order mark are passed over.

    Raises
    ------
    ValueError
        When the file is no text, holds no name, names one twice, or has several columns of which none is the genes'.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "genes.csv")
    >>> _ = path.write_bytes(b"\xef\xbb\xbfgene,rank\r\nUMOD,1\r\nNPHS2,2\r\n")
    >>> read_gene_list(path)
    ['UMOD', 'NPHS2']
    """
    genes = _names(_rows(_text(path), path), path)
    if not genes:
        raise ValueError(f"genes file {str(path)!r} holds no name; write one gene a line.")
    if twice := [gene for gene, times in Counter(genes).items() if times > 1]:
        raise ValueError(f"genes file {str(path)!r} lists {shown(twice[0])} more than once; name each gene once.")
    return genes


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise ValueError(f"genes file {str(path)!r} is larger than any list of genes; write one gene a line.")
    data = path.read_bytes()
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"genes file {str(path)!r} is no text in UTF-8 or UTF-16; save it as text, one gene a line.")
    return text


def _rows(text: str, path: Path) -> list[list[str]]:
    """Fields of all lines that say something."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    separator = max(SEPARATORS, key=lambda mark: lines[0].count(mark)) if lines else ","
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(f"genes file {str(path)!r} is no table ({error}); write one gene a line.") from error
    return [[field.strip() for field in row] for row in rows]


def _names(rows: list[list[str]], path: Path) -> list[str]:
    """The column of the genes, without its header."""
    if not rows:
        return []
    found = [column for column, name in enumerate(rows[0]) if name.lower() in HEADERS]
    if found:
        return [row[found[0]] for row in rows[1:] if len(row) > found[0] and row[found[0]]]
    filled = [[field for field in row if field] for row in rows]
    if len(rows) == 1 or all(len(row) <= 1 for row in filled):
        return [field for row in filled for field in row]
    raise ValueError(
        f"genes file {str(path)!r} has several columns and none is called 'gene' in its first line; write one gene a line."
    )
