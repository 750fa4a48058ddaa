"""The sections behind an argument of ``stsr bench``: folders whose layout is recognised, and the synthetic one."""

from __future__ import annotations

from pathlib import Path

from stsr.bench.sources.base import Source
from stsr.bench.sources.boxes import BOX, Box
from stsr.bench.sources.degraded import DEGRADED, Degraded
from stsr.bench.sources.legacy import LegacySection
from stsr.bench.sources.spots_and_bins import SpotsAndBins
from stsr.bench.sources.spots_and_cells import SpotsAndCells
from stsr.bench.sources.synthetic import Synthetic
from stsr.datasets.paths import VARIABLE, path
from stsr.options import Number

SYNTHETIC = "synthetic"
"""Argument of the synthetic section; ``synthetic:800`` is one of 800 x 800 µm."""

SIDE = Number(400, 50_000)
"""µm of a synthetic section."""

LAYOUTS = (
    "visium/ and visium_hd/binned_outputs/square_008um/ (spots and true bins), visium_spots.tsv and xenium_cells.tsv.gz "
    "(spots and true cells of the serial section), or X.tsv.gz, X_selection.tsv and X.jpg for every section X (legacy ST)"
)


def find_sources(argument: str) -> list[Source]:
    """The sections behind an argument of ``stsr bench``.

    Parameters
    ----------
    argument
        A folder, relative to the working directory or to ``STSR_DATA_DIR``; one section of a folder of several, as
        ``her2st/B4``; or ``"synthetic"``.

    Raises
    ------
    FileNotFoundError
        When there is no such folder.
    ValueError
        When the folder has no layout that is known.

    Examples
    --------
    >>> find_sources("synthetic")
    [Synthetic(name='synthetic', argument='synthetic', side=2000.0)]
    """
    if argument.startswith(DEGRADED):
        return [Degraded.find(argument)]
    if argument.startswith(BOX):
        return [Box.find(argument)]
    if argument == SYNTHETIC or argument.startswith(f"{SYNTHETIC}:"):
        _, colon, side = argument.partition(":")
        try:
            length = SIDE("side", SIDE.read(side)) if colon else Synthetic.side
        except ValueError as error:
            raise ValueError(
                f"section={argument!r} has no side in µm after the colon, {SIDE.allowed}; write {SYNTHETIC}:800."
            ) from error
        return [Synthetic(argument.replace(":", "_"), argument, length)]
    folder, section = _locate(argument), None
    if not folder.is_dir():
        folder, section = folder.parent, folder.name
    name = folder.resolve().name
    if SpotsAndBins.fits(folder) and section is None:
        return [SpotsAndBins(name, argument, folder)]
    if SpotsAndCells.fits(folder) and section is None:
        return [SpotsAndCells(name, argument, folder)]
    sections = LegacySection.sections(folder)
    if section is not None and section not in sections:
        raise FileNotFoundError(
            f"section={argument!r} is neither a folder, here or in {VARIABLE}, nor a section of {str(folder)!r}, which "
            f"holds {', '.join(sections) or 'none'}."
        )
    if not sections:
        raise ValueError(
            f"section={argument!r} has no layout that the bench knows; give the folder one of these: {LAYOUTS}."
        )
    return [LegacySection(f"{name}/{known}", argument, folder, known) for known in ([section] if section else sections)]


def _locate(argument: str) -> Path:
    """The path here or, when its folder is not here, below the data folder; its last part may name a section."""
    if not argument.strip():
        raise ValueError(f"section={argument!r} names no folder; pass one, or {SYNTHETIC!r}.")
    here = Path(argument)
    if here.is_dir() or (len(here.parts) > 1 and here.parent.is_dir()):
        return here
    try:
        return path(*here.parts[:-1]) / here.name if len(here.parts) > 1 else path(argument)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"section={argument!r} is neither a folder here nor in {VARIABLE}, nor {SYNTHETIC!r}: {error}"
        ) from error
