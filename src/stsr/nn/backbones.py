"""Networks of timm: made by their name, with published weights, those of a local file, or none.

torch and timm are imported by the functions, because names and files are checked where no network is made.
"""

from __future__ import annotations

import difflib
import os
import pickle
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stsr.arguments import at_home
from stsr.options import Text, Whole, shown

if TYPE_CHECKING:
    import torch

UNTRAINED = "random"
"""What ``weights`` is for a network that has learned nothing."""

NETWORK = Text(200)
NUM_CLASSES = Whole(0, 1_000_000)

Network = Any
"""A model of timm: a torch module with ``forward_features``, ``num_features`` and ``pretrained_cfg``."""


def create_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    num_classes: int = 0,
    options: Mapping[str, Any] | None = None,
    device: str | None = None,
    role: str = "backbone",
    title: str | None = None,
    gated: bool = False,
) -> Network:
    """Make a network of timm.

    Inside ``with torch.device("meta")`` only shapes are made, without memory: weights are neither downloaded nor read, for
    a network whose weights are checked or loaded later. Whatever is not loaded is drawn from torch's generator.

    Parameters
    ----------
    name
        Name of a network of timm, with the name of its weights or not (``"densenet121"``, ``"densenet121.tv_in1k"``), or
        of a page of the hub (``"hf-hub:user/model"``).
    weights
        A local ``.safetensors``, ``.pth`` or ``.bin`` file or the folder that holds it; the published weights from the
        hub, or from its cache on this machine, when None; ``"random"`` for an untrained network.
    num_classes
        Outputs of an untrained linear layer on the features; 0 gives the features, (n, ``num_features``).
    options
        Further arguments of :func:`timm.create_model`.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; where torch makes networks when None.
    role, title
        How messages name the network: by the option that it was asked for with, and by its name there.
    gated
        Whether access to the published weights must be requested.

    Returns
    -------
    The network, in training mode. It takes (n, 3, height, width) images that are scaled as its ``pretrained_cfg`` says.

    Raises
    ------
    ValueError
        For an unknown name, or weights that are missing, unreadable or of another network.
    PermissionError
        When the published weights are gated and access was not granted.
    ConnectionError
        When the published weights could not be downloaded.
    RuntimeError
        When timm cannot be imported because torch and torchvision do not match.

    References
    ----------
    Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models.

    Examples
    --------
    >>> import torch
    >>> network = create_backbone("resnet18", weights="random", num_classes=5)
    >>> network(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 5])
    """
    name, num_classes = NETWORK(role, name), NUM_CLASSES("num_classes", num_classes)
    import_timm()
    import torch

    title = name if title is None else title
    asked = f"{role}={title!r}"
    on_meta = torch.get_default_device().type == "meta"
    if ":" not in name:
        _check_name(name, asked)
    elif on_meta:
        raise ValueError(
            f"{asked} would be looked up on the hub, although weights are loaded later; name a network of timm."
        )

    if on_meta or weights == UNTRAINED:
        model = _make(name, False, options, asked)
    elif weights is None:
        model = _download(name, options, asked, gated)
    else:
        file = weights_file(weights)
        state = _read(file)
        with torch.device("meta"):  # a file of another network is refused before memory is taken for this one
            _check_shapes(state, _make(name, False, options, asked), file, f"{role} {title!r}")
        model = _make(name, False, options, asked)
        model.load_state_dict(_without_classifier(state, model))
    if num_classes:
        model.reset_classifier(num_classes)
    if device is None or on_meta:
        return model
    from stsr.nn.training.device import pick_device

    return model.to(pick_device(device))


def load_weights(network: torch.nn.Module, weights: str | Path, *, title: str) -> None:
    """Load a file of weights into a network that is not of timm.

    Parameters
    ----------
    network
        The network.
    weights
        As in :func:`create_backbone`: a file, or the folder that holds it.
    title
        How messages name the network.

    Raises
    ------
    ValueError
        For weights that are missing, unreadable or of another network.
    """
    file = weights_file(weights)
    state = _read(file)
    _check_same(state, network.state_dict(), file, title)
    network.load_state_dict(state)


def import_timm() -> ModuleType:
    """Import timm, with a clear error when torchvision does not match torch.

    Raises
    ------
    RuntimeError
        When torchvision does not fit torch.
    """
    try:
        import timm
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        raise RuntimeError(
            "timm cannot be imported because torchvision was built for another torch than the one installed; "
            "install both again, together and from one index."
        ) from error
    return timm


@cache
def model_names() -> tuple[str, ...]:
    """Names of timm's models, without those of their published weights."""
    return tuple(import_timm().list_models())


def is_model(name: str) -> bool:
    """Whether timm has a network of this name, which may end in that of its weights."""
    return name.partition(".")[0] in model_names()


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that look like this one, the most alike first.

    Examples
    --------
    >>> near_names("resnt18", ["resnet18", "vgg16"])
    ['resnet18']
    """
    return difflib.get_close_matches(name, list(known), n=3)


def weights_file(weights: str | Path) -> Path:
    """The file with weights at a path, a file or a folder; safetensors are preferred to pickled formats.

    Raises
    ------
    ValueError
        When there is none, or more than one to choose from.
    """
    if not isinstance(weights, str | os.PathLike):
        raise ValueError(
            f"weights={shown(weights)} is not allowed; pass a path, None for the published weights, or {UNTRAINED!r}."
        )
    path = at_home(weights)
    if path.is_file():
        return path
    for pattern in ("*.safetensors", "*.bin", "*.pth"):
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise ValueError(f"weights={str(path)!r} holds {len(found)} {pattern} files; name the one to load.")
        if found:
            return found[0]
    raise ValueError(
        f"weights={str(path)!r} is neither a file nor a folder with a .safetensors, .bin or .pth file; check the path."
    )


def _check_name(name: str, asked: str) -> None:
    """Refuse a name that timm does not have."""
    if not is_model(name):
        close = near_names(name, model_names())
        hint = f"did you mean {', '.join(close)}?" if close else "pass one of timm.list_models()."
        raise ValueError(f"{asked} is no network of timm; {hint}")


def _make(name: str, pretrained: bool, options: Mapping[str, Any] | None, asked: str) -> Network:
    """The network by timm, without a classifier."""
    import timm

    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **(options or {}))
    except RuntimeError as error:
        raise ValueError(f"{asked} cannot be made by timm: {error}") from error


def _download(name: str, options: Mapping[str, Any] | None, asked: str, gated: bool) -> Network:
    """The network with its published weights, from the hub or from its cache on this machine."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return _make(name, True, options, asked)
    except OSError as error:
        if gated or isinstance(error, (GatedRepoError, RepositoryNotFoundError)):
            raise PermissionError(
                f"{asked} could not be downloaded ({type(error).__name__}): ask for access on the page of {name}, then "
                "run `hf auth login` (`huggingface-cli login` in older versions) or set HF_TOKEN, or pass a local file "
                "as weights=."
            ) from error
        raise ConnectionError(
            f"{asked} could not be downloaded from {name} ({type(error).__name__}); check the connection, or pass a "
            "local file as weights=."
        ) from error


def _read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file with weights."""
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    try:
        # weights_only: no code in the file is run
        return load_state_dict(str(file), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"weights={str(file)!r} cannot be read as plain tensors ({type(error).__name__}); pass a whole "
            ".safetensors file or a state dict saved by torch."
        ) from error


def _without_classifier(state: dict[str, torch.Tensor], model: Network) -> dict[str, torch.Tensor]:
    """The tensors of a file but those of the published classifier."""
    classifier = model.pretrained_cfg.get("classifier") or "head"
    for name in (classifier,) if isinstance(classifier, str) else classifier:
        state = {key: value for key, value in state.items() if not key.startswith(f"{name}.")}
    return state


def _check_shapes(state: dict[str, torch.Tensor], model: Network, file: Path, who: str) -> None:
    """Refuse tensors that are not exactly those of a network of timm."""
    _check_same(_without_classifier(state, model), model.state_dict(), file, who)


def _check_same(given: dict[str, torch.Tensor], own: dict[str, torch.Tensor], file: Path, who: str) -> None:
    """Refuse tensors that do not have exactly the names and shapes of a network's own."""
    shapes = ({(key, tuple(value.shape)) for key, value in tensors.items()} for tensors in (own, given))
    misfits = sorted({key for key, _ in next(shapes) ^ next(shapes)})
    if misfits:
        raise ValueError(
            f"weights={str(file)!r} are not of {who}: {len(misfits)} tensors are missing, left over or of another shape, "
            f"such as {misfits[0]!r}."
        )
