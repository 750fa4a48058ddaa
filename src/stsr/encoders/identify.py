"""Checksums that identify an encoder by its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def state_checksum(state: Mapping[str, Any], *, kind: str = "") -> str:
    """SHA-256 of named tensors or arrays, whatever device they are on and file they came from.

    Parameters
    ----------
    state
        What ``state_dict()`` gives.
    kind
        Text that is hashed too, such as the class of the model.
    """
    digest = hashlib.sha256(kind.encode())
    for name in sorted(state):
        value = state[name]
        if hasattr(value, "detach"):
            import torch

            value = value.detach().cpu().contiguous()
            digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
        else:
            value = np.asarray(value, order="C")
            digest.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
            digest.update(repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes())
    return digest.hexdigest()


def object_checksum(encoder: Any) -> str | None:
    """Checksum of an encoder object: of its class, and its ``identity`` or its weights.

    None for an object with neither, since its name alone does not identify it.
    """
    kind = type(encoder).__qualname__
    if isinstance(known := getattr(encoder, "identity", None), str) and known:
        return hashlib.sha256(f"{kind} {known}".encode()).hexdigest()
    state = encoder.state_dict() if callable(getattr(encoder, "state_dict", None)) else {}
    return state_checksum(state, kind=kind) if state else None
