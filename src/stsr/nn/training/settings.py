"""Training settings that all methods share; without torch, so that importing them is cheap."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """Training settings that all methods share.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress
        Show a progress bar.
    """

    device: str = "auto"
    progress: bool = True
