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
    workers
        Processes that read training data from disk; 0 reads it in this one. Results are the same.
    """

    device: str = "auto"
    progress: bool = True
    workers: int = 0
