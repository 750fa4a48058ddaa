"""How to train, whatever the method: settings without torch, so that anyone can name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """How to train, whatever the method.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show a progress bar.
    """

    device: str = "auto"
    progress: bool = True
