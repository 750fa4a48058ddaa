"""TIFF files of every kind: the scan among their images, read piece by piece, upright and in RGB."""

from __future__ import annotations

import logging
import math
import re
import xml.etree.ElementTree as ElementTree
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.spatial.image_errors import Guarded, check_size, reading, refusal
from stsr.spatial.orientation import ORIENTATION, upright
from stsr.spatial.samples import Meaning, Samples
from stsr.spatial.stated_mpp import stated_mpp
from stsr.spatial.tiff_meaning import meaning_of
from stsr.spatial.transmitted import in_rgb

logger = logging.getLogger(__name__)

TILE = 1024
"""Side in pixels that pieces read at a time come close to."""

NOT_THE_SCAN = re.compile(
    r"(?<![a-z])(label|macro|map|thumb(nail)?|overview|preview|localizer)(?![a-z])", re.IGNORECASE
)
"""Names of what scanners keep beside the scan."""

MASK = 4
"""PhotometricInterpretation of an image of what is transparent."""

MUCH_LARGER = 4
"""An image this many times larger than the largest one in RGB is what the file is about."""


def open_tiff(path: Path) -> tuple[Any, float | None]:
    """(3, y, x) uint8 dask array and the µm per pixel that the file states.

    Raises
    ------
    ValueError
        When the file is damaged, or no image in it is an H&E.
    """
    import tifffile

    with ExitStack() as opened:
        with reading(path):
            tiff = opened.enter_context(tifffile.TiffFile(path, _multifile=False))
            _check_entities(tiff, path)
            images = [series for series in tiff.series if {"Y", "X"} <= set(series.axes)]
            scan = _scan(tiff, images, path)
            tag = scan.series.keyframe.tags.valueof(ORIENTATION, default=1)
            pixels = upright(_pixels(tiff, scan.series, scan.meaning, path), tag, path)
            stated = stated_mpp(tiff, scan.series, scan.ome)
        opened.pop_all()  # the pixels are still to be read
        return pixels, stated


def _check_entities(tiff: Any, path: Path) -> None:
    """Refuse metadata that an XML parser could be made to swell: OME metadata declares no types and no entities."""
    if any(mark in tiff.pages.first.description for mark in ("<!DOCTYPE", "<!ENTITY")):
        raise refusal(path, "holds metadata with a document type, which OME-XML has not", "export it again")


@dataclass(frozen=True)
class Candidate:
    """An image in a TIFF.

    Parameters
    ----------
    series
        As tifffile finds it.
    ome
        Its OME metadata.
    meaning
        How to read its samples; of no use when there is a fault.
    fault
        What keeps it from being an H&E; empty when nothing does.
    """

    series: Any
    ome: ElementTree.Element | None
    meaning: Meaning
    fault: str

    @property
    def area(self) -> int:
        """Pixels."""
        return math.prod(self.series.shape[self.series.axes.index(axis)] for axis in "YX")

    @property
    def rank(self) -> int:
        """In colour before grey, unless much smaller: a mask or an image of labels may lie beside the H&E."""
        return self.area * (MUCH_LARGER if self.meaning.coloured else 1)


def _candidate(tiff: Any, series: Any) -> Candidate:
    ome = _ome_pixels(tiff, series)
    meaning = meaning_of(series, ome, imagej=tiff.is_imagej)
    fault = meaning if isinstance(meaning, str) else ""
    return Candidate(series, ome, Meaning(Samples("rgb")) if isinstance(meaning, str) else meaning, fault)


def _scan(tiff: Any, images: list[Any], path: Path) -> Candidate:
    """The largest image that is an H&E."""
    found = [_candidate(tiff, series) for series in images]
    scans = [image for image in found if not NOT_THE_SCAN.search(image.series.name)] or found
    if not scans:
        raise refusal(path, "holds no image")
    able = sorted((image for image in scans if not image.fault), key=lambda image: image.rank, reverse=True)
    unable = max((image for image in scans if image.fault), key=lambda image: image.area, default=None)
    if unable and (not able or unable.area >= MUCH_LARGER * able[0].area):
        raise refusal(path, unable.fault)
    scan, rivals = able[0], [image for image in able[1:] if image.meaning.coloured == able[0].meaning.coloured]
    if rivals and rivals[0].area == scan.area:
        raise refusal(path, f"holds {1 + len(rivals)} images, the largest of one size", "save the one that is the H&E")
    if rivals and 2 * rivals[0].area > scan.area:
        logger.warning(
            "%s holds another image nearly as large, of %s; the one of %s is read.",
            path.name,
            _size(rivals[0].series),
            _size(scan.series),
        )
    elif len(found) > 1:
        logger.info("%s holds %d images; the one of %s is read.", path.name, len(found), _size(scan.series))
    if any(series.keyframe.photometric == MASK for series in images):
        logger.warning("%s holds a transparency mask, which is left out: what it hides is shown.", path.name)
    return scan


def _size(series: Any) -> str:
    return " x ".join(str(series.shape[series.axes.index(axis)]) for axis in "XY") + " pixels"


def _ome_pixels(tiff: Any, series: Any) -> ElementTree.Element | None:
    """The element ``Pixels`` of OME metadata that describes an image of this size."""
    if not tiff.is_ome or not tiff.ome_metadata:
        return None
    size = tuple(str(series.shape[series.axes.index(axis)]) for axis in "XY")
    try:
        ome = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None  # the tags still say what the samples are
    for pixels in ome.iterfind(".//{*}Pixels"):
        if (pixels.get("SizeX"), pixels.get("SizeY")) == size:
            return pixels
    return None


def _pixels(tiff: Any, series: Any, meaning: Meaning, path: Path) -> Any:
    """(3, y, x) uint8 dask array of the finest level, as stored, in chunks that are whole tiles or strips."""
    import dask.array as da
    import zarr

    y, x = (series.axes.index(axis) for axis in "YX")
    _check_complete(tiff, series, path)
    if series.dataoffset is not None:
        # Uncompressed and in one run: any part can be read by itself, however the strips were cut.
        check_size(path, series.shape[x], series.shape[y], at_once=0)
        stored: Any = np.memmap(path, tiff.byteorder + series.dtype.char, "r", series.dataoffset, series.shape)
        pieces = tuple(min(size, 1) if place == y else size for place, size in enumerate(series.shape))
    else:
        # A tile that a file leaves out is empty: as white as glass.
        store = series.aszarr(level=0, fillvalue=meaning.blank)
        stored = zarr.open_array(store, mode="r")
        pieces = stored.chunks
        check_size(path, series.shape[x], series.shape[y], at_once=pieces[y] * pieces[x])
    file = Guarded(stored, path)
    chunks = list(pieces)
    chunks[x] = min(stored.shape[x], pieces[x] * max(1, TILE // pieces[x]))
    chunks[y] = min(stored.shape[y], pieces[y] * max(1, min(TILE, 2 * TILE**2 // chunks[x]) // pieces[y]))
    order = [*(place for place in range(stored.ndim) if place not in (y, x)), y, x]
    lazy = da.from_array(file, chunks=tuple(chunks), name=False, asarray=False).transpose(order)

    def window(rows: slice, columns: slice) -> NDArray[Any]:
        key = [slice(None)] * stored.ndim
        key[y], key[x] = rows, columns
        part = np.asarray(file[tuple(key)]).transpose(order)
        return part.reshape(-1, *part.shape[-2:])

    samples = lazy.reshape(-1, *lazy.shape[-2:])
    return in_rgb(samples, meaning, path, pieces=(pieces[y], pieces[x]), window=window)


def _check_complete(tiff: Any, series: Any, path: Path) -> None:
    """Refuse a file whose pixels lie beyond its end, or that lacks the places of some."""
    end = tiff.filehandle.size
    for page in series.levels[0].pages:
        if page is None:
            raise refusal(path, "keeps a part of its pixels in other files", "save it as a single file")
        offsets, counts = np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64)
        tiles = math.prod(series.keyframe.chunked)
        if len(offsets) < tiles and not (series.dataoffset is not None or len(offsets) == 1):
            raise refusal(path, f"has places for {len(offsets)} of {tiles} tiles or strips", "copy it once more")
        if len(offsets) and (offsets + counts).max() > end:
            raise refusal(path, f"is cut off: pixels lie beyond its end at {end} bytes", "copy it once more")
        if not counts.any():
            raise refusal(path, "holds no pixels", "export it again")
