"""Virtual spots between the measured ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from stsr.constants import densified_key
from stsr.geometry import cell_lookup, nearest_pitch
from stsr.pp.make_grid import default_grid
from stsr.spatial import labels_to_grid, put, spot_positions, spots_record, spots_table

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger(__name__)

FACTORS = (4, 16, 64)
"""Each time the pitch is halved there are four times as many spots."""


def densify_spots(
    sdata: SpatialData,
    *,
    factor: int = 4,
    grid: str | None = None,
    key_added: str | None = None,
    overwrite: bool = False,
) -> str:
    """Add virtual spots half way between neighbouring spots, as circles, for expression to be predicted there.

    The measured and the virtual spots together are the lattice at half its pitch, whether it is hexagonal or square;
    spots that are missing from the lattice leave a gap. To fill the new spots, sum a super-resolved table into them with
    :func:`stsr.tl.aggregate`. HisToSGE [1]_ calls this generation.

    Parameters
    ----------
    sdata
        A section read by stsr, with printed spots.
    factor
        How many times as dense: 4 halves the pitch once, 16 twice, 64 three times.
    grid
        Labels element whose cells are tissue: a virtual spot is kept when its centre lies on one. By default that of
        8 µm, made when missing.
    key_added
        Name of the element; that of the spots and the factor, such as ``"kidney_4x"``, when None.
    overwrite
        Replace an element of that name.

    Returns
    -------
    The element's name. It holds virtual spots only, of the diameter of the measured ones, numbered from 0 in reading
    order.

    Raises
    ------
    ValueError
        For a factor that does not halve the pitch, spots on one line, a section of bins, which have no gaps, or one
        without spots.
    KeyError
        When ``grid`` is not there; the message lists what is.

    References
    ----------
    .. [1] Shi et al. (2024), High-resolution spatial transcriptomics from histology images using HisToSGE.
       arXiv:2407.20518: expression is generated at four times the density of the spots.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(900, 900), seed=0)
    >>> stsr.pp.densify_spots(sdata)
    'synthetic_4x'
    >>> len(sdata["synthetic"]), len(sdata["synthetic_4x"])
    (66, 168)
    """
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    from stsr.geometry.densified import Densified

    facts = spots_record(sdata)
    if isinstance(factor, bool) or factor not in list(FACTORS):
        raise ValueError(f"factor={factor!r} must be one of {', '.join(map(str, FACTORS))}: the pitch is halved.")
    if facts.spots not in sdata.shapes:
        raise ValueError(
            f"spots={facts.spots!r} are bins, which have no gaps; use stsr.pp.make_grid with like={facts.spots!r} and a "
            "bin_size that divides theirs."
        )
    spots = spot_positions(sdata, spots_table(sdata), facts)
    points = spots
    for _ in range(FACTORS.index(factor) + 1):
        points = Densified.of(points).xy
    away, _ = cKDTree(spots).query(points)
    points = points[away > 0.1 * nearest_pitch(points)]
    points = points[cell_lookup(labels_to_grid(sdata, default_grid(sdata, grid, 8.0)), points) >= 0]

    here = Identity()
    circles = ShapesModel.parse(
        points / facts.mpp,
        geometry=0,
        radius=facts.spot_size / 2 / facts.mpp,
        index=np.arange(len(points)),
        transformations={facts.coordinate_system: here, "global": here},
    )
    key = key_added or densified_key(facts.spots, factor)
    put(sdata, key, circles, overwrite=overwrite)
    logger.info("%s: %d virtual spots between %d measured ones.", key, len(points), len(spots))
    return key
