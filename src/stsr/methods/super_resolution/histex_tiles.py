"""Inputs of HISTEX's networks for the tiles of a section, and the prediction tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.geometry.densified import Densified
from stsr.methods.base import Arrays, Prediction
from stsr.methods.shared.cell_tiles import CellTokens, SpotTile, disc_weights, tile_cells, tiling
from stsr.methods.shared.standardise import standardised
from stsr.methods.shared.targets import MinMax
from stsr.section import Section

if TYPE_CHECKING:
    from stsr.nn.networks.histex import HistexNet

POINTS = 5
"""Nearest points of the densified lattice that a tile attends to."""

HALF = 0.5
"""Share of a disc that must be on tissue for its spot to be used in training."""

BATCH = 256
"""Tiles predicted at a time."""


class Surroundings:
    """The inputs of a network for the tiles of a section.

    Parameters
    ----------
    section
        The section.
    scale
        The arrays of a :class:`~stsr.methods.shared.targets.MinMax`, and ``centre`` and ``spread``, (genes,) each, which
        standardise the scaled counts that are inputs.
    faithful
        See :class:`~stsr.methods.super_resolution.histex.HistexConfig`.
    """

    def __init__(self, section: Section, scale: Arrays, *, faithful: bool) -> None:
        self.section, self.faithful = section, faithful
        self.tile, self.scale = SpotTile.of(section), MinMax.of(scale)
        self.lattice = Densified.of(section.spots)
        known = standardised(self.scale.scaled(section), scale["centre"], scale["spread"])
        self.values = self.lattice.values(known.astype(np.float32))
        self.index = section.grid.to_index(self.lattice.xy)[:, ::-1]

    def image(self, tokens: NDArray[Any], corners: NDArray[np.int64]) -> NDArray[Any]:
        """(n, side², features + 5): tokens (n, side², features + 3) and the cells' positions."""
        centres = corners[:, None, :] + self.tile.offsets + 0.5
        place = self._position(centres, corners)
        return np.concatenate([tokens, place.astype(tokens.dtype)], axis=-1)

    def expression(self, near: NDArray[np.int64], corners: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, points, genes + 2): standardised counts and positions of the points ``near`` (n, points)."""
        return np.concatenate([self.values[near], self._position(self.index[near], corners)], axis=-1)

    def around(self, corners: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, points, genes + 2) of the points nearest to the centre of each tile."""
        middle = self.section.grid.to_um(corners[:, ::-1] + self.tile.side / 2)
        return self.expression(self.lattice.nearest(middle, POINTS), corners)

    def spots(self, tokens: CellTokens) -> tuple[NDArray[Any], ...]:
        """Training data: one tile around each spot that has more than half of its disc on tissue.

        Returns
        -------
        (n, side², features + 5) image tokens, (n, points, genes + 2) expression tokens, (n, side²) whether a cell is
        on tissue, (n, cells of a disc) their weights, (n, genes) scaled counts.
        """
        spots = self.section.spots
        corners = self.tile.corners(self.section)
        cells = tile_cells(self.section.grid, corners, self.tile.side)
        if self.faithful:
            near = self.lattice.nearest(self.lattice.xy[: len(spots)], POINTS)
        else:
            near = self.lattice.nearest(spots, POINTS, hidden=np.arange(len(spots)))
        on = (cells[:, self.tile.disc] >= 0).mean(axis=1) > HALF
        corners, cells, near = corners[on], cells[on], near[on]
        image, inside = self.image(tokens.gather(cells), corners), cells >= 0
        weights = disc_weights(inside[:, self.tile.disc], faithful=self.faithful)
        return image, self.expression(near, corners), inside, weights, self.scale.scaled(self.section)[on]

    def _position(self, rowcol: NDArray[Any], corners: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, m, 2) positions in tile sides from the tile's centre; when faithful, shares of the grid's extent."""
        if self.faithful:
            return (rowcol / self.section.grid.shape).astype(np.float32)
        return ((rowcol - corners[:, None, :]) / self.tile.side - 0.5).astype(np.float32)


class TilePredictor:
    """Trained networks bound to a section. Two overlapping tilings are blended with weights that fall from a tile's centre."""

    def __init__(self, tokens: CellTokens, surroundings: Surroundings, nets: list[HistexNet]) -> None:
        self.tokens, self.surroundings, self.nets = tokens, surroundings, nets
        tile = surroundings.tile
        # 1 at the centre of a tile, falling linearly along rows and columns (bilinear hat)
        distance = np.abs(tile.offsets - tile.reach) / (tile.reach + 1)
        self.shares = np.prod(1 - distance, axis=1, dtype=np.float32)
        self.shifts = {0} if surroundings.faithful else {0, tile.reach}

    def __call__(self, rows: slice) -> Prediction:
        """Predict a band of rows: the median of the networks, on the scale of counts per cell.

        Tiles that touch the band are computed whole, so predictions do not depend on the division into bands.
        """
        around = self.surroundings
        grid, side = around.section.grid, around.tile.side
        start, stop, _ = rows.indices(grid.shape[0])
        band = grid.cells(rows)
        wider = slice(max(start - side, 0), stop + side)
        table = self.tokens(wider)
        table = np.vstack([table, np.zeros_like(table, shape=(1, table.shape[1]))])  # row -1 is for cells off tissue

        number, genes = band.stop - band.start, len(around.section.genes)
        scaled = np.zeros((len(self.nets), number, genes), dtype=np.float32)
        latent = np.zeros((number, self.nets[0].width), dtype=np.float32)
        weight = np.zeros((number, 1), dtype=np.float32)
        for shift in self.shifts:
            corners = tiling(grid.shape, rows, side, shift)
            for first in range(0, len(corners), BATCH):
                part = corners[first : first + BATCH]
                cells = tile_cells(grid, part, side)
                wanted = (cells >= band.start) & (cells < band.stop)
                touching = wanted.any(axis=1)
                part, cells, wanted = part[touching], cells[touching], wanted[touching]
                place = cells[wanted] - band.start
                share = np.broadcast_to(self.shares, cells.shape)[wanted][:, None]
                image = around.image(table[np.where(cells < 0, -1, cells - grid.cells(wider).start)], part)
                for state, (rates, hidden) in enumerate(self._run(wanted, image, around.around(part), cells >= 0)):
                    scaled[state, place] += share * rates
                    if state == 0:
                        latent[place] += share * hidden
                weight[place] += share
        median = np.median(scaled / weight, axis=0)
        return Prediction(around.scale.counts(median), latent=(latent / weight).astype(np.float32))

    def _run(self, wanted: NDArray[np.bool_], *tile: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """For each network, scaled expression (m, genes) and latent (m, width) of the m ``wanted`` cells of tiles.

        ``tile`` holds the image tokens, the expression tokens and the mask of cells on tissue.
        """
        import torch

        device = next(self.nets[0].parameters()).device
        with torch.inference_mode():
            mask, image, expression, inside = (torch.as_tensor(a, device=device) for a in (wanted, *tile))
            for net in self.nets:
                latent = net.latent(image, expression, inside)[mask]
                yield net(latent, image[mask]).cpu().numpy(), latent.cpu().numpy()
