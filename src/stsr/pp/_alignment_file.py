"""The numbers of an alignment in a text file, as Xenium Explorer, a spreadsheet or Python wrote them."""

from __future__ import annotations

import codecs
from pathlib import Path


def find_matrix(file: Path, folder: Path | None) -> Path:
    """The file as it is named, or of this name in ``folder``."""
    for candidate in [file] + ([folder / file] if folder else []):
        if candidate.is_file():
            return candidate
        if candidate.is_dir():
            raise ValueError(
                f"alignment={str(file)!r} is a folder; pass the file with the matrix, or the matrix itself."
            )
    places = f"neither in the working directory nor in {str(folder)!r}" if folder else "not in the working directory"
    raise FileNotFoundError(
        f"alignment={str(file)!r} is {places}; pass the file with the matrix, or the matrix itself."
    )


def load_matrix(file: Path, name: str) -> list[list[float]]:
    """The numbers of a text file, whatever separates them; a first line of words is passed over."""
    try:
        rows = [row for line in _text(file).splitlines() if (row := _cells(line))]
        if len(rows) > 2 and not any(map(_is_number, rows[0])):
            rows = rows[1:]
        return [[float(cell) for cell in row] for row in rows]
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} is not a table of numbers; it must hold a 3 x 3 matrix, as Xenium Explorer exports it (not the "
            "landmarks)."
        ) from error


def _text(file: Path) -> str:
    data = file.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig")


def _cells(line: str) -> list[str]:
    """The cells of a line; beside semicolons and tabs, a comma is a decimal point."""
    for separator in (";", "\t"):
        if separator in line:
            return [cell.strip().strip('"').replace(",", ".") for cell in line.split(separator)]
    return [cell.strip('"') for cell in line.replace(",", " ").split()]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
