"""Image encoders: numeric features of the image in each grid cell."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from stsr.encoders.base import Encoder, EncoderInfo, plain_name
from stsr.encoders.catalogue import PUBLISHED, Published
from stsr.encoders.registry import ENCODERS, create, is_local, kind_of_weights, known_name, register, source
from stsr.encoders.texture import TextureEncoder


def _texture(*, weights: str | Path | None, device: str, batch_size: int) -> Encoder:
    if weights is not None:
        raise ValueError(f"weights={str(weights)!r} cannot be used: the encoder 'texture' has none.")
    return TextureEncoder()


def _published(published: Published, **options: Any) -> Encoder:
    from stsr.encoders.timm import create_published

    return create_published(published, **options)


register(TextureEncoder.info, _texture)
for _entry in PUBLISHED:
    register(_entry.info, partial(_published, _entry))

__all__ = [
    "ENCODERS",
    "Encoder",
    "EncoderInfo",
    "create",
    "is_local",
    "kind_of_weights",
    "known_name",
    "plain_name",
    "register",
    "source",
]
