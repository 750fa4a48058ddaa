"""Any object that gives dense image features, such as the models of LazySlide, as an encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stsr.encoders.base import EncoderInfo, plain_name
from stsr.encoders.identify import object_checksum
from stsr.encoders.tiles import TileEncoder
from stsr.encoders.timm import TILE, half_precision

NEEDS = ("encode_image_dense", "grid_size", "get_transform")


class DenseEncoder(TileEncoder):
    """Adapts an object that takes images (n, 3, h, w) to patch tokens (n, rows x cols, dim) on its ``grid_size``.

    The tokens are what ``encode_image_dense`` returns, or the ``patch_tokens`` of it. The image has 0.5 µm/px.
    An object is identified by its ``identity``, a text, or else by the weights in its ``state_dict()``.

    Raises
    ------
    ValueError
        When the object lacks one of ``NEEDS``, or its tokens do not fill its ``grid_size``.
    """

    def __init__(self, model: Any, *, device: str, batch_size: int) -> None:
        from stsr.nn.training.device import pick_device

        if missing := [name for name in NEEDS if not hasattr(model, name)]:
            raise ValueError(
                f"encoder={plain_name(model)!r} lacks {', '.join(missing)}; pass a name, or an object with "
                f"{', '.join(NEEDS)}."
            )
        self.device = pick_device(device)
        self.batch_size = batch_size
        self._model = model.to(self.device) if hasattr(model, "to") else model
        self._transform = model.get_transform()
        self._grid = tuple(model.grid_size)
        tile = int(self._transform(np.zeros((TILE, TILE, 3), dtype=np.uint8)).shape[-1])
        dim = self._encode(np.zeros((1, tile, tile, 3), dtype=np.uint8)).shape[-1]
        self.info = EncoderInfo(plain_name(model), type(model).__name__, dim, tile=tile, patch=tile // self._grid[0])

    @property
    def checksum(self) -> str | None:
        """Checksum that identifies the object; None when it cannot be identified."""
        return object_checksum(self._model)

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Take RGB tiles (n, tile, tile, 3) to their tokens (n, rows, cols, dim)."""
        return self._encode(tiles)

    def _encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), half_precision(self.device):
            images = torch.stack([self._transform(tile) for tile in tiles]).to(self.device)
            tokens = self._model.encode_image_dense(images)
        tokens = getattr(tokens, "patch_tokens", tokens)
        if tokens.ndim != 3 or tokens.shape[1] != np.prod(self._grid) or len(set(self._grid)) > 1:
            raise ValueError(
                f"encoder={plain_name(self._model)!r} gives tokens of shape {tuple(tokens.shape)}, which do not fill a "
                f"square grid_size={self._grid} as (images, rows x cols, dim)."
            )
        return tokens.unflatten(1, self._grid).float().cpu().numpy()
