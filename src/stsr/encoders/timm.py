"""Encoders built with timm: the published ones of the catalogue, and any other model by its name."""

from __future__ import annotations

import pickle
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.encoders.base import EncoderInfo, weights_file
from stsr.encoders.catalogue import Published
from stsr.encoders.identify import state_checksum
from stsr.encoders.tiles import TileEncoder

if TYPE_CHECKING:
    import torch

Network = Any
"""A model of timm: a torch module with ``forward_features`` and ``pretrained_cfg``."""

TILE = 224
"""Side in pixels of the tiles of a network that takes any size."""


class TimmEncoder(TileEncoder):
    """The patch tokens of a vision transformer, or the last feature map of a convolutional network.

    On a GPU it computes in half precision.
    """

    def __init__(self, info: EncoderInfo, model: Network, *, device: str, batch_size: int) -> None:
        from stsr.nn.training.device import pick_device

        self.info = info
        self.device = pick_device(device)
        self.batch_size = batch_size
        self._model = model.eval().requires_grad_(False).to(self.device)

    @property
    def checksum(self) -> str:
        """SHA-256 of its weights."""
        return state_checksum(self._model.state_dict())

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Take RGB tiles (n, tile, tile, 3) to their tokens (n, tile / patch, tile / patch, dim)."""
        import torch

        with torch.inference_mode(), half_precision(self.device):
            output = self._model.forward_features(_normalised(tiles, self.info, self.device))
        return _tokens(self._model, output).float().cpu().numpy()


def create_published(published: Published, *, weights: str | Path | None, device: str, batch_size: int) -> TimmEncoder:
    """Make an encoder of the catalogue; see :func:`stsr.encoders.create`."""
    timm = import_timm()
    options = dict(published.options)
    if published.swiglu:
        import torch

        options |= {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    info = published.info
    model = _build(info.source if weights is None else published.network, weights, info, options)
    return TimmEncoder(info, model, device=device, batch_size=batch_size)


def create_any(name: str, *, weights: str | Path | None, device: str, batch_size: int) -> TimmEncoder:
    """Make an encoder of any model of timm; it takes images of 0.5 µm/px."""
    unknown = EncoderInfo(name=name, title=name, dim=0, source=name)
    model = _build(name, weights, unknown, {})
    return TimmEncoder(_describe(name, model), model, device=device, batch_size=batch_size)


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


def half_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in half precision where that is fast and safe: on CUDA."""
    import torch

    if device.type != "cuda":
        return nullcontext()
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.autocast("cuda", dtype=dtype)


def _build(source: str, weights: str | Path | None, info: EncoderInfo, options: dict[str, Any]) -> Network:
    """The network with the given weights; random ones have a fixed seed."""
    import_timm()
    import torch

    file = None if weights in (None, "random") else weights_file(weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _create(source, weights is None, info, options)
    if file is not None:
        _load(model, file, info)
    return model


def _create(source: str, pretrained: bool, info: EncoderInfo, options: dict[str, Any]) -> Network:
    """The network by timm; pretrained weights come from the hub, or from its cache on this machine."""
    import timm
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return timm.create_model(source, pretrained=pretrained, num_classes=0, **options)
    except OSError as error:
        if info.gated or isinstance(error, (GatedRepoError, RepositoryNotFoundError)):
            raise PermissionError(
                f"encoder={info.name!r} could not be downloaded ({type(error).__name__}): ask for access on the page of "
                f"{source}, then run `hf auth login` (`huggingface-cli login` in older versions) or set HF_TOKEN, or "
                "pass a local file as weights=."
            ) from error
        raise ConnectionError(
            f"encoder={info.name!r} could not be downloaded from {source} ({type(error).__name__}); check the "
            "connection, or pass a local file as weights=."
        ) from error
    except RuntimeError as error:
        raise ValueError(f"encoder={info.name!r} cannot be made by timm: {error}") from error


def _load(model: Network, file: Path, info: EncoderInfo) -> None:
    """Load weights from a file, without those of a classifier, which the network does not have."""
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    try:
        # weights_only: no code in the file is run
        state = load_state_dict(str(file), weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"weights={str(file)!r} cannot be read as plain tensors ({type(error).__name__}); pass a whole "
            ".safetensors file or a state dict saved by torch."
        ) from error
    classifier = model.pretrained_cfg.get("classifier") or "head"
    for name in (classifier,) if isinstance(classifier, str) else classifier:
        state = {key: value for key, value in state.items() if not key.startswith(f"{name}.")}
    own = model.state_dict()
    shapes = [{key: tuple(value.shape) for key, value in tensors.items()} for tensors in (own, state)]
    misfits = sorted(key for key, _ in shapes[0].items() ^ shapes[1].items())
    if misfits:
        raise ValueError(
            f"weights={str(file)!r} are not of encoder {info.name!r}: {len(misfits)} tensors are missing, "
            f"left over or of another shape, such as {misfits[0]!r}."
        )
    model.load_state_dict(state)


def _describe(name: str, model: Network) -> EncoderInfo:
    """Description of a model of timm, from its config and from its output for one tile of noise."""
    import timm
    import torch

    notes = model.pretrained_cfg
    config = timm.data.resolve_model_data_config(model)
    tile = config["input_size"][1] if notes.get("fixed_input_size") else TILE
    noise = torch.rand(1, 3, tile, tile, generator=torch.Generator().manual_seed(0)).sub(0.5).mul(4).requires_grad_()
    output = model.eval().forward_features(noise)
    tokens = _tokens(model, output)
    _, height, width, dim = tokens.shape
    if height != width or height < 2 or tile % height:
        raise ValueError(f"encoder={name!r} makes {height} x {width} tokens of {tile} px, which do not lie on a grid.")
    patch = tile // height
    return EncoderInfo(
        name=name,
        title=f"{notes.get('architecture', name)} of timm",
        dim=dim,
        tile=tile,
        patch=patch,
        mean=config["mean"],
        std=config["std"],
        prefix=getattr(model, "num_prefix_tokens", 0),
        centre=None if output.ndim == 3 else _centre(noise, tokens, patch),
        licence=notes.get("license") or "",
        source=notes.get("hf_hub_id") or name,
    )


def _centre(noise: torch.Tensor, tokens: torch.Tensor, patch: int) -> float:
    """Centre of the receptive field of a feature map's first token, in pixels from the edge.

    It is 0.5, patch / 2 or patch - 0.5, by how a network pads its strided convolutions. It is measured on a central
    token as the centroid of its squared gradient, to within a pixel or two, and rounded to the nearest of the three.
    """
    import torch

    k = tokens.shape[1] // 2
    (gradient,) = torch.autograd.grad(tokens[:, k, k].square().sum(), noise)
    energy = gradient.square().sum((0, 1))
    middle = [float((energy.sum(axis) * (torch.arange(len(energy)) + 0.5)).sum() / energy.sum()) for axis in (0, 1)]
    return min((0.5, patch / 2, patch - 0.5), key=lambda place: abs(place - (np.mean(middle) - k * patch)))


def _tokens(model: Network, output: torch.Tensor) -> torch.Tensor:
    """(n, rows, cols, dim) tokens from the output of ``forward_features``, for any kind of network."""
    if output.ndim == 3:
        patches = output[:, getattr(model, "num_prefix_tokens", 0) :]
        side = round(patches.shape[1] ** 0.5)
        return patches.unflatten(1, (side, -1))
    return output if getattr(model, "output_fmt", "NCHW") == "NHWC" else output.permute(0, 2, 3, 1)


def _normalised(tiles: NDArray[np.uint8], info: EncoderInfo, device: torch.device) -> torch.Tensor:
    """(n, 3, tile, tile) float32 on the device, scaled as the network was trained."""
    import torch

    pixels = torch.from_numpy(tiles).to(device).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (info.mean, info.std))
    return (pixels - mean) / std
