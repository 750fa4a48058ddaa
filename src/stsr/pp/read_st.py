"""Read a section of legacy Spatial Transcriptomics: counts and spot positions in two tables, and the H&E."""

from __future__ import annotations

import io
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from stsr.constants import ARRAY_COL, ARRAY_ROW, SPATIAL
from stsr.options import Number
from stsr.pp._folder import as_folder, contents
from stsr.pp._positions import in_tissue, lattice_of
from stsr.pp._reading import find_fullres, image_size, name_section, unique_symbols, write_discs
from stsr.spatial.scale import check_mpp, resolve_mpp
from stsr.spatial.section import raw_counts
from stsr.spatial.store import check_vacant
from stsr.spatial.unreadable import read_text, reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

COUNTS = ("{}.tsv.gz", "{}.tsv")
SELECTION = ("{}_selection.tsv", "{}_selection.tsv.gz")
IMAGE = ("{}.jpg", "{}.jpeg", "{}.png", "{}.tif", "{}.tiff")
"""What the three files of a section are called."""

ARRAY, EXACT, PIXELS = ["x", "y"], ["new_x", "new_y"], ["pixel_x", "pixel_y"]
"""Columns with a spot's place on the array, the same as it was detected, and its place in the image."""

PLACE = re.compile(r"[0-9.]+x[0-9.]+")
"""What spots are called."""


def read_st(
    path: str | os.PathLike[str],
    *,
    section: str,
    store: str | os.PathLike[str],
    counts: str | os.PathLike[str] | None = None,
    selection: str | os.PathLike[str] | None = None,
    fullres_image: str | os.PathLike[str] | Any | None = None,
    pitch: float = 200.0,
    spot_diameter: float = 100.0,
    dataset_id: str | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
) -> SpatialData:
    r"""Read a section of legacy Spatial Transcriptomics with its H&E and keep it in a zarr store.

    µm per pixel comes from the pitch of the array, by the least-squares affine from the spots' place on the array to
    their pixels, over all spots that are listed. The distance between neighbours would not do: spots were found in the
    image one by one and lie about 16 µm off the lattice, so the nearest neighbour is 7 % nearer than the pitch. The
    affine starts from the place that the spot detection wrote (``new_x``, ``new_y``), which is exact, or where there is
    none from the whole ``x`` and ``y``.

    Spots are kept that both tables hold and that are selected; the log counts the others. A few that lie beside the image
    are left out.

    Parameters
    ----------
    path
        Folder of the section.
    section
        Name of the section, such as ``"B4"``: the files are ``B4.tsv.gz``, ``B4_selection.tsv`` and ``B4.jpg`` (or
        ``.png``, ``.tif``) unless it is set.
    store
        Where to write the zarr store.
    counts
        Counts, spots x genes, parted by tabs, commas or semicolons; the spots named ``9x13`` by their column and row on
        the array; relative to ``path``.
    selection
        Spots under tissue, parted alike, with the columns ``x``, ``y``, ``pixel_x``, ``pixel_y``, and as a rule
        ``new_x``, ``new_y`` and ``selected``; relative to ``path``.
    fullres_image
        The H&E image in whose pixels the spots lie: TIFF (any kind), PNG or JPEG, relative to the working directory or to
        ``path``; or an array, as of :func:`stsr.pp.from_image`. ``B4.jpg`` or the like when None.
    pitch
        µm between neighbouring spots of the array.
    spot_diameter
        Of a spot, in µm.
    dataset_id
        Name of the section and of its coordinate system; ``section`` when None.
    mpp
        µm per pixel, to overrule the derived value; must agree with the pitch to 10 %.
    overwrite
        Replace an existing store, once the new one is complete.

    Returns
    -------
    The section, backed by the store, as from :func:`stsr.pp.read_visium`.

    Raises
    ------
    FileNotFoundError
        When a file is missing; the message lists the names that were looked for.
    ValueError
        When there are two files of a kind, when the tables are not what they should be or share no spot, when spots lie
        outside the image, when µm per pixel is implausible or its sources contradict each other, or when ``store``
        exists.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, pandas as pd, stsr
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> x, y = np.divmod(np.arange(12), 4)
    >>> spots = pd.DataFrame({"x": x, "y": y, "pixel_x": 100 * x + 50, "pixel_y": 100 * y + 50})
    >>> spots.to_csv(folder / "B4_selection.tsv", sep="\t", index=False)
    >>> counts = pd.DataFrame({"ERBB2": x, "ACTB": y}, index=[f"{c}x{r}" for c, r in zip(x, y)])
    >>> counts.to_csv(folder / "B4.tsv.gz", sep="\t")
    >>> Image.new("RGB", (300, 400), "pink").save(folder / "B4.jpg")
    >>> sdata = stsr.pp.read_st(folder, section="B4", store=folder / "B4.zarr")
    >>> round(sdata.attrs["stsr"]["mpp"], 3)
    2.0
    """
    check_mpp(mpp)
    pitch, spot_diameter = Number(1, 10_000)("pitch", pitch), Number()("spot_diameter", spot_diameter)
    if not 0 < spot_diameter <= pitch:
        raise ValueError(f"spot_diameter={spot_diameter:g} µm does not fit pitch={pitch:g} µm; spots must not overlap.")
    if not isinstance(section, str) or not section.strip():
        raise ValueError(f"section={section!r} is not allowed; pass the name that the files begin with, such as 'B4'.")
    folder = as_folder(path)
    check_vacant(store, overwrite)
    dataset_id = name_section(Path(section), dataset_id)
    counts_file = _find(folder, section, "counts", COUNTS, counts)
    selection_file = _find(folder, section, "selection", SELECTION, selection)
    if fullres_image is None:
        fullres_image = _find(folder, section, "fullres_image", IMAGE, None).absolute()
    image = find_fullres(folder, fullres_image)
    every = _read_selection(selection_file)
    table = _join(_read_counts(counts_file), every[every["selected"]])
    measured = _microns_per_pixel(every, image_size(image), pitch, mpp, selection_file)
    resolved, source = resolve_mpp(measured, stated=image.mpp, user=mpp)
    return write_discs(
        table,
        image,
        technology="spatial_transcriptomics",
        dataset_id=dataset_id,
        mpp=resolved,
        mpp_source=source,
        diameter=float(spot_diameter),
        store=store,
        overwrite=overwrite,
    )


def _find(
    folder: Path, section: str, parameter: str, usual: tuple[str, ...], given: str | os.PathLike[str] | None
) -> Path:
    """The file that the user named, or the one that is there of those the section usually has."""
    wanted = [folder / name.format(section) for name in usual] if given is None else [folder / given]
    there = [file for file in wanted if file.is_file()]
    if len(there) > 1:
        raise ValueError(
            f"section={section!r} has {len(there)} files of {parameter}: {', '.join(file.name for file in there)}; pass the "
            f"right one as {parameter}=."
        )
    if there:
        return there[0]
    raise FileNotFoundError(
        f"section={section!r} has no {parameter}: looked for {', '.join(map(str, wanted))}; check path and section, or "
        f"pass {parameter}=. {contents(folder)}"
    )


def _read_counts(file: Path) -> AnnData:
    """Counts with the names of spots and genes as in the file."""
    import pandas as pd
    from anndata import AnnData

    text = read_text(file, "a table of counts", parameter="counts")
    first = text[: text.find("\n")]
    mark = max("\t,;", key=first.count)
    genes = [gene.strip().strip("\"'") for gene in first.rstrip("\r").split(mark)]  # as a header, repeats are renamed
    with reading(file, "a table of counts", parameter="counts"):
        values = pd.read_csv(io.StringIO(text), sep=mark, header=None, skiprows=1, index_col=0, low_memory=False)
    spots = values.index.astype(str).str.strip().rename(None)
    if not values.size or not 0 <= len(genes) - values.shape[1] <= 1:
        raise ValueError(
            f"counts={str(file)!r} has {len(genes)} names above {values.shape[1]} columns of {len(values)} spots; pass a "
            "table of counts, spots x genes."
        )
    genes = genes[-values.shape[1] :]
    if len(words := np.flatnonzero([column.dtype.kind not in "biuf" for _, column in values.items()])):
        raise ValueError(
            f"counts={str(file)!r} holds words under {genes[words[0]]!r}; pass tab-separated counts, spots x genes."
        )
    if all(PLACE.fullmatch(name) for name in genes) and not any(PLACE.fullmatch(name) for name in spots):
        raise ValueError(f"counts={str(file)!r} is genes x spots; transpose it, so that each spot has a line.")
    if spots.has_duplicates:
        raise ValueError(f"counts={str(file)!r} has two rows for spot {spots[spots.duplicated()][0]}; keep one.")
    table = AnnData(
        sp.csr_matrix(values.to_numpy(dtype=np.float32)),
        obs=pd.DataFrame(index=spots),
        var=pd.DataFrame(index=unique_symbols(genes, source=f"counts={str(file)!r}")),
    )
    raw_counts(table, name=file.name)
    return table


def _read_selection(file: Path) -> pd.DataFrame:
    """The listed spots by the name that they have among the counts; ``selected`` says which lie on tissue."""
    import pandas as pd

    text = read_text(file, "a table of spots", parameter="selection")
    mark = max("\t,;", key=text[: text.find("\n")].count)
    with reading(file, "a table of spots", parameter="selection"):
        places = pd.read_csv(io.StringIO(text), sep=mark, skipinitialspace=True)
    places.columns = places.columns.astype(str).str.strip()
    if missing := [column for column in (*ARRAY, *PIXELS) if column not in places]:
        raise ValueError(
            f"selection={str(file)!r} lacks the columns {', '.join(missing)}; it has {', '.join(places.columns)}."
        )
    where = f"selection={str(file)!r}"
    places["selected"] = in_tissue(places["selected"], where, "selected") if "selected" in places else True
    numbers = places[[*ARRAY, *PIXELS]].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    known = np.isfinite(numbers.to_numpy()).all(axis=1)
    if lost := int((places["selected"] & ~known).sum()):
        raise ValueError(f"{where} gives {lost} selected spots no number in {', '.join((*ARRAY, *PIXELS))}; drop them.")
    places[numbers.columns] = numbers
    places = places[known]
    places[ARRAY] = places[ARRAY].round().astype(int)
    names = [f"{x}x{y}" for x, y in places[ARRAY].to_numpy()]
    places = places.set_index(pd.Index(names))
    chosen = places.index[places["selected"]]
    if chosen.has_duplicates:
        raise ValueError(f"{where} has two rows for spot {chosen[chosen.duplicated()][0]}; keep one.")
    return places


def _join(counts: AnnData, places: pd.DataFrame) -> AnnData:
    """The counts of the spots that have a place, with it."""
    shared = counts.obs_names[counts.obs_names.isin(places.index)]
    if len(shared) == 0:
        raise ValueError(
            f"counts and selection share no spot: one names them like {', '.join(counts.obs_names[:2])}, the other like "
            f"{', '.join(places.index[:2])}; pass the two tables of one section."
        )
    if (without_place := counts.n_obs - len(shared)) or len(places) > len(shared):
        logger.info(
            "Dropped %d spots without a place and %d without counts; %d are left.",
            without_place,
            len(places) - len(shared),
            len(shared),
        )
    table = counts[shared].copy()
    places = places.loc[shared]
    table.obs[ARRAY_ROW], table.obs[ARRAY_COL] = places["y"], places["x"]
    table.obsm[SPATIAL] = places[["pixel_x", "pixel_y"]].to_numpy(dtype=np.float64)
    return table


def _microns_per_pixel(
    places: pd.DataFrame, size: tuple[int, int], pitch: float, mpp: float | None, file: Path
) -> float:
    """From the spots' place on the array, whose unit is the pitch, to their pixels; ``mpp`` where one spot is listed."""
    columns = EXACT if {*EXACT} <= {*places.columns} else ARRAY
    try:
        lattice = lattice_of(
            places[columns[::-1]], places[PIXELS], places["selected"].to_numpy(), size, layout="square"
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"selection={str(file)!r} describes no array of spots: {error}") from error
    if lattice is None and mpp is None:
        raise ValueError(f"selection={str(file)!r} lists one spot, which gives no pitch; pass mpp.")
    return float(mpp or 0) if lattice is None else pitch / lattice.pitch
