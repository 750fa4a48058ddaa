"""The register of all encoders, and making one from its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stsr.encoders.base import Encoder, EncoderInfo, plain_name
from stsr.encoders.identify import object_checksum
from stsr.identity import FILE, NONE, OWN, PUBLISHED, RANDOM
from stsr.nn.backbones import UNTRAINED, is_model, model_names, near_names, weights_file

Factory = Callable[..., Encoder]
"""Makes an encoder from the keywords ``weights``, ``device`` and ``batch_size``."""

ENCODERS: dict[str, EncoderInfo] = {}
"""Encoders with a name of their own; every model of timm can be used too."""

_FACTORIES: dict[str, Factory] = {}


def register(info: EncoderInfo, factory: Factory) -> None:
    """Add an encoder to the register under ``info.name``.

    Raises
    ------
    ValueError
        When another encoder has that name.
    """
    if ENCODERS.get(info.name, info) != info:
        raise ValueError(f"encoder={info.name!r} is registered already; choose another name.")
    ENCODERS[info.name] = info
    _FACTORIES[info.name] = factory


def create(encoder: Any, *, weights: str | Path | None = None, device: str = "auto", batch_size: int = 32) -> Encoder:
    """Make an encoder ready to use.

    Parameters
    ----------
    encoder
        A name from :data:`ENCODERS`, the name of any model of timm (``"resnet18"``, ``"timm:resnet18"``,
        ``"hf-hub:user/model"``), or an object with ``encode_image_dense(x)``, ``grid_size`` and ``get_transform()``,
        such as a model of LazySlide. An object without a ``state_dict()`` must have an ``identity``, a
        text that changes whenever its features do.
    weights
        A local ``.safetensors``, ``.pth`` or ``.bin`` file or the folder that holds it; the published weights from the
        hub when None; ``"random"`` for an untrained network, as a control.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    batch_size
        Tiles that go through the network at a time.

    Raises
    ------
    ValueError
        For an unknown name, or weights that are missing, unreadable or of another model.
    PermissionError
        When the weights are gated and access was not granted.
    ConnectionError
        When the weights could not be downloaded.
    RuntimeError
        When timm cannot be imported because torch and torchvision do not match.

    Examples
    --------
    >>> from stsr.encoders import create
    >>> create("texture").info.name
    'texture'
    >>> create("vit_tiny_patch16_224", weights="random", device="cpu").info.dim
    192
    """
    options: dict[str, Any] = {"weights": weights, "device": device, "batch_size": batch_size}
    if not isinstance(encoder, str):
        from stsr.encoders.dense import DenseEncoder

        if weights is not None:
            raise ValueError(f"weights={str(weights)!r} cannot be loaded into an encoder object; load them yourself.")
        return DenseEncoder(encoder, device=device, batch_size=batch_size)
    name = known_name(encoder)
    if name in _FACTORIES:
        return _FACTORIES[name](**options)
    from stsr.encoders.timm import create_any

    return create_any(name, **options)


def known_name(encoder: str) -> str:
    """Plain name of an encoder that can be made by its name.

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    name = plain_name(encoder)
    if name in ENCODERS or ":" in name:
        return name
    if not is_model(name):
        close = near_names(name, [*ENCODERS, *model_names()])
        hint = f"did you mean {', '.join(close)}? Known are " if close else "choose one of "
        raise ValueError(f"encoder={encoder!r} is not known; {hint}{', '.join(ENCODERS)} and any model name of timm.")
    return name


def kind_of_weights(encoder: Any, weights: str | Path | None) -> str:
    """Which of :data:`stsr.identity.WEIGHTS` an encoder is made with."""
    if not isinstance(encoder, str):
        return OWN
    known = ENCODERS.get(plain_name(encoder))
    if known is not None and not known.learned:
        return NONE
    if weights is None:
        return PUBLISHED
    return RANDOM if weights == UNTRAINED else FILE


def is_local(name: str, weights: str | Path | None) -> bool:
    """Whether an encoder can be made without downloads, which a name from an untrusted file must not cause."""
    known = ENCODERS.get(plain_name(name))
    return (known is not None and not known.learned) or (weights is not None and ":" not in plain_name(name))


def source(encoder: Any, weights: str | Path | None) -> str | None:
    """A text that identifies an encoder and its weights without loading it.

    None for an object that cannot be identified; see :func:`~stsr.encoders.identify.object_checksum`.

    Raises
    ------
    ValueError
        For an unknown name, when ``weights`` is no file, or for an encoder that has none.
    """
    if not isinstance(encoder, str):
        known = object_checksum(encoder)
        return None if known is None else f"{plain_name(encoder)} {known}"
    name = known_name(encoder)
    if weights is not None and kind_of_weights(encoder, weights) == NONE:
        raise ValueError(f"weights={str(weights)!r} cannot be used: the encoder {name!r} has none.")
    if weights in (None, UNTRAINED):
        return f"{name} {weights or 'published'}"
    with weights_file(weights).open("rb") as file:
        return f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}"
