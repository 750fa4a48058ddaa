"""The device that computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stsr.arguments import Device

if TYPE_CHECKING:
    import torch

DEVICE = Device()


def check_device(name: str) -> str:
    """Refuse a device that is not there, before any work; torch is only loaded to look for a GPU that is named.

    Raises
    ------
    ValueError
        For what is no name of a device, and when there is no such device.

    Examples
    --------
    >>> check_device("cpu")
    'cpu'
    """
    name = DEVICE("device", name)
    if name not in ("auto", "cpu"):
        pick_device(name)
    return name


def pick_device(name: str) -> torch.device:
    """The device asked for; with ``"auto"`` the best there is.

    Raises
    ------
    ValueError
        For what is no name of a device, and when there is no such device.
    """
    import torch

    name = DEVICE("device", name)
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, number in there.items() if number)
    kind, _, number = name.partition(":")
    if int(number or 0) >= there[kind]:
        found = [kind if have == 1 else f"{kind}:0 to {kind}:{have - 1}" for kind, have in there.items() if have]
        raise ValueError(f"device={name!r} is not there; choose 'auto' or one of {', '.join(found)}.")
    return torch.device(name)
