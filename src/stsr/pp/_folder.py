"""The files of a section in its folder: exactly one of each kind, or a sentence that lists what was found."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stsr.arguments import at_home
from stsr.spatial.unreadable import reading

NOT_DATA = re.compile(r"\..*|~.*|.*~|thumbs\.db|desktop\.ini|ehthumbs\.db", re.IGNORECASE)
"""What file managers, archives and editors leave beside data."""


@dataclass(frozen=True)
class Found:
    """A file or folder, and what stands before the vendor's name for it, such as ``"GSM123_A1_"``."""

    path: Path
    prefix: str


def as_folder(path: str | os.PathLike[str]) -> Path:
    """The folder that the user named.

    Raises
    ------
    ValueError
        When it is no path, or a file.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"path={path!r} is not allowed; pass the folder of the section.")
    folder = at_home(path)
    with reading(folder, "a folder"):
        is_file = folder.exists() and not folder.is_dir()
    if is_file:
        raise ValueError(f"path={str(path)!r} is a file; pass its folder, {str(folder.parent)!r}.")
    return folder


def entries(folder: Path) -> list[Path]:
    """Files and folders in a folder by name, without those that file managers and editors leave; none if it is not there."""
    if not folder.is_dir():
        return []
    with reading(folder, "a folder"):
        return sorted(path for path in folder.iterdir() if not NOT_DATA.fullmatch(path.name))


def find(folder: Path, name: str, *, folders: bool = False) -> list[Found]:
    """Entries of a folder whose names end as the vendor's: ``name`` is a regular expression, before it stands any prefix.

    Parameters
    ----------
    folder
        Where to look, not deeper.
    name
        What the vendor calls it.
    folders
        Look for folders, not for files.
    """
    pattern = re.compile(rf"(?P<prefix>(?:.*[^A-Za-z0-9])?){name}", re.IGNORECASE)
    hits = [(path, pattern.fullmatch(path.name)) for path in entries(folder)]
    return [Found(path, hit["prefix"]) for path, hit in hits if hit and path.is_dir() == folders]


def in_spatial(folder: Path, name: str) -> list[Found]:
    """Files of this name in the folder ``spatial``, which may have a prefix, or beside it."""
    places = [Found(folder, ""), *find(folder, "spatial", folders=True)]
    return [Found(hit.path, each.prefix + hit.prefix) for each in places for hit in find(each.path, name)]


def only(found: list[Found], folder: Path, kind: str) -> Found | None:
    """The one that was found, None when there is none.

    Raises
    ------
    ValueError
        When there are several; the message lists them.
    """
    if len(found) > 1:
        raise ValueError(
            f"path={str(folder)!r} holds {len(found)} files of {kind}: {listed(folder, found)}; keep the files of one "
            "sample in a folder of their own."
        )
    return found[0] if found else None


def listed(folder: Path, found: list[Found]) -> str:
    """Their names within the folder."""
    return ", ".join(str(each.path.relative_to(folder)) for each in found)


def contents(folder: Path) -> str:
    """What a folder holds, for a message that says what it lacks."""
    if not folder.exists():
        return "There is no such folder."
    names = [path.name + "/" * path.is_dir() for path in entries(folder)]
    if not names:
        return "It is empty."
    return f"It holds {', '.join(names[:8])}{' and more' * (len(names) > 8)}."
