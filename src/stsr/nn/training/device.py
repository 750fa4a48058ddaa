"""The device that torch computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stsr.arguments import Device

if TYPE_CHECKING:
    import torch

DEVICE = Device()


def check_device(name: str) -> str:
    """Refuse a device that is not available, before any work; torch is imported only if a GPU is named.

    Raises
    ------
    ValueError
        When the name is not that of a device, or the device is not available.

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
    """The named device; ``"auto"`` is the best that is available.

    Raises
    ------
    ValueError
        When the name is not that of a device, or the device is not available.
    """
    import torch

    name = DEVICE("device", name)
    available = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if name == "auto":
        name = next(kind for kind, number in available.items() if number)
    kind, _, number = name.partition(":")
    if int(number or 0) >= available[kind]:
        found = [kind if have == 1 else f"{kind}:0 to {kind}:{have - 1}" for kind, have in available.items() if have]
        raise ValueError(f"device={name!r} is not available; choose 'auto' or one of {', '.join(found)}.")
    return torch.device(name)
