"""How long training and prediction on image patches take, told before they do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.methods.shared.image_patches import PatchDataset

logger = logging.getLogger(__name__)

LONG = 300.0
"""Seconds above which an estimate is logged."""

TIMED = 8
"""Patches whose time is taken."""

BACKWARD = 2
"""A backward pass takes the time of about two forward passes: it computes gradients of inputs and of weights."""


@dataclass
class Estimate:
    """Estimates how long a prediction takes, from the first points predicted, and says so once if it is long.

    Parameters
    ----------
    what
        What takes the time, as the message names it.
    points
        How many are predicted in all.
    """

    what: str
    points: int
    told: bool = False

    def timed(
        self, predict: Callable[[NDArray[Any]], NDArray[np.float32]], points: NDArray[Any]
    ) -> NDArray[np.float32]:
        """The prediction of some points."""
        start = time.perf_counter()
        values = predict(points)
        if not self.told:
            self.tell(self.what, (time.perf_counter() - start) * self.points / len(points))
            self.told = True
        return values

    @staticmethod
    def tell(what: str, seconds: float) -> None:
        """Log an estimate of more than five minutes."""
        if seconds > LONG:
            logger.warning("%s takes about %d min on this machine; a GPU is faster.", what, seconds / 60)


def training_seconds(net: Any, data: PatchDataset, held_out: int, epochs: int, device: str) -> float:
    """Estimated seconds of training, from a forward pass of a few patches; the network's weights stay as they are.

    Parameters
    ----------
    net, data
        The network, which is moved to the device and left in training mode, and what it is trained on.
    held_out, epochs
        Validation patches, and the number of epochs.
    device
        Where it is trained.
    """
    import torch

    from stsr.nn.training.device import pick_device

    chosen, few = pick_device(device), min(TIMED, len(data))
    net.to(chosen).eval()
    seconds = 0.0
    for _ in range(2):  # the first pass also prepares kernels
        start = time.perf_counter()
        *inputs, _ = zip(*(data[item] for item in range(few)), strict=True)
        with torch.inference_mode():
            net(*(torch.as_tensor(np.stack(values), device=chosen) for values in inputs)).cpu()
        seconds = time.perf_counter() - start
    net.train()
    return epochs * ((1 + BACKWARD) * len(data) + held_out) * seconds / few
