"""Encoders built with timm: the published ones of the catalogue, and any other model by its name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.encoders.base import EncoderInfo
from stsr.encoders.catalogue import Published
from stsr.encoders.identify import state_checksum
from stsr.encoders.tiles import TileEncoder
from stsr.nn.backbones import Network, create_backbone, import_timm

if TYPE_CHECKING:
    import torch

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

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_backbone(
            source, weights=weights, options=options, role="encoder", title=info.name, gated=info.gated
        )


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
