"""Piecewise linear interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stsr.geometry.triangulation import triangulate
from stsr.methods.base import MethodInfo, register
from stsr.methods.shared.neighbours import nearest_spots
from stsr.methods.shared.spot_weights import Interpolation, Weights, sparse_weights
from stsr.options import Options


@dataclass(frozen=True)
class LinearConfig(Options):
    """Linear interpolation has no options."""


@register
class Linear(Interpolation):
    """Each cell is interpolated linearly between the three spots of the Delaunay triangle around it.

    Beyond the outermost spots, a cell takes the nearest spot.

    Formula
    -------
    ::

        λ_g(b) = Σ_s w_s(b) y_sg / a,    Σ_s w_s(b) = 1

    - λ_g(b): expected count of gene g in cell b
    - y_sg: count of gene g in spot s, a corner of the triangle
    - w_s(b): barycentric coordinates of the centre of b in the triangle
    - a: cells in the disc of a spot

    Source
    ------
    The triangulation that Lawson's algorithm builds, and the plane through three corners; his smooth surface is left
    out.

    Use
    ---
    As a baseline of interpolation without options. It needs at least three spots that lie on no line.
    """

    info: ClassVar = MethodInfo(
        name="linear",
        title="Linear interpolation on Delaunay triangles",
        paper="Lawson, Math. Software III",
        year=1977,
        references=("lawson1977",),
        needs=frozenset({"spots"}),
        fit_spots=1,
        predict_spots=3,
    )
    Config: ClassVar = LinearConfig

    def weights(self, spots: NDArray[np.float64]) -> Weights:
        """Barycentric coordinates of the three corners, adding up to 1."""
        triangles = triangulate(spots)
        tree = cKDTree(spots)

        def weigh(xy):
            triangle = triangles.find_simplex(xy)
            outside = triangle < 0
            corners = triangles.simplices[triangle].astype(np.int64)
            to_barycentric, origin = triangles.transform[triangle, :2], triangles.transform[triangle, 2]
            # SciPy keeps the affine map to the first two barycentric coordinates; the three add up to 1.
            first_two = np.einsum("nij,nj->ni", to_barycentric, xy - origin)
            shares = np.column_stack([first_two, 1 - first_two.sum(axis=1)])
            corners[outside] = nearest_spots(tree, xy[outside], 1)[1]
            shares[outside] = (1, 0, 0)
            return sparse_weights(corners, shares, len(spots))

        return weigh
