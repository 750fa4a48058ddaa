"""The device that computes."""

from __future__ import annotations

import torch


def pick_device(name: str) -> torch.device:
    """The device asked for; with ``"auto"`` the best there is.

    Raises
    ------
    ValueError
        When there is no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, found in there.items() if found)
    if not there.get(name.partition(":")[0], False):
        found = ", ".join(kind for kind, usable in there.items() if usable)
        raise ValueError(f"device={name!r} is not there; choose 'auto' or one of {found}.")
    return torch.device(name)
