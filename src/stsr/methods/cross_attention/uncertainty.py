"""Spots held out of training: which ones, and the error of predictions on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.metrics import deviance

if TYPE_CHECKING:
    import torch

    from stsr.nn.training.trainer import Task

STRENGTH = 50.0
"""UMI counts; the weight of the mean over genes when a gene's own dispersion is estimated."""


def by_tile(rowcol: NDArray[np.int64], side: int) -> list[NDArray[np.int64]]:
    """Positions of what lies at ``rowcol`` (n, 2), grouped by squares of ``side`` cells."""
    _, tile = np.unique(rowcol // side, axis=0, return_inverse=True)
    order = np.argsort(tile, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(tile[order])) + 1)


def hold_out(rowcol: NDArray[np.int64], side: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(spots,) mask of about a ``share`` of the spots at ``rowcol`` (spots, 2), in whole squares of ``side`` cells.

    Few windows are then needed to check on them. A section that is little more than one square gives up single spots.
    """
    held_out = np.zeros(len(rowcol), dtype=bool)
    groups = by_tile(rowcol, side)
    rng.shuffle(groups)
    for group in groups:
        if held_out.sum() >= share * len(held_out):
            break
        if held_out.sum() + len(group) <= len(held_out) / 2:
            held_out[group] = True
    if not held_out.any():
        held_out[rng.permutation(len(held_out))[: max(1, round(share * len(held_out)))]] = True
    return held_out


def unseen(task: Task, device: torch.device) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(spots, genes) counts of the spots that were held out, and what the network expects of them."""
    import torch

    module = task.module.to(device)
    with torch.inference_mode():
        pairs = [module.spots(module.transfer_batch_to_device(batch, device, 0)) for batch in task.held_out]
    counts, expected = (torch.cat(parts)[:, :-1].cpu().numpy() for parts in zip(*pairs, strict=True))
    return counts, expected


def all_unseen(tasks: Sequence[Task], device: torch.device) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(spots, genes) counts, and what is expected of them, of the spots held out of each of several networks."""
    counts, expected = (np.concatenate(parts) for parts in zip(*(unseen(task, device) for task in tasks), strict=True))
    return counts, expected


def explained(constant: NDArray[np.floating], counts: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Share of the Poisson deviance of counts from a (genes,) constant, all genes together, that is less from ``expected``."""
    unexplained, whole = (
        deviance(counts, rates).sum() for rates in (expected, np.broadcast_to(constant, counts.shape))
    )
    return float(1 - unexplained / whole)


def dispersion(counts: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """(genes,) variance of the rates over their squares, from what was expected of spots that were held out.

    The moment estimate of a gene is shrunk towards that of all genes, by its Poisson information.
    """
    excess, square = (counts - expected) ** 2 - expected, expected**2
    common = max(excess.sum() / square.sum(), 1e-3)
    # Weights: Poisson information of the gene, Σ μ² / mean(μ), against that of STRENGTH counts.
    information = square.sum(axis=0) / np.maximum(expected.mean(axis=0), 1e-6)
    own = excess.sum(axis=0) / np.maximum(square.sum(axis=0), 1e-6)
    return np.maximum((information * own + STRENGTH * common) / (information + STRENGTH), 0.1 * common).astype(
        np.float32
    )
