"""A fitted method with all that is needed to use it again: one ``.safetensors`` file."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stsr.methods.base import Method, create

FORMAT = 2
"""Version of the checkpoint's header; raised when a reader of another version could misread a file."""


@dataclass(frozen=True)
class Model:
    """A fitted super-resolution model.

    Parameters
    ----------
    method
        The fitted method.
    genes
        Names of the genes it predicts.
    bin_size
        Side in µm of the cells it was fitted on.
    encoder
        Encoder of the features it was fitted on; None for a method that looks at none.
    n_features
        Features of a cell; 0 without an encoder.
    seed
        Seed it was fitted with.
    """

    method: Method
    genes: tuple[str, ...]
    bin_size: float
    encoder: str | None
    n_features: int
    seed: int

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.info.name

    @property
    def history(self) -> dict[str, list[float]]:
        """Losses by epoch: ``"train"`` and ``"held_out"``; empty for methods that are solved in one go."""
        return self.method.history

    @property
    def options(self) -> dict[str, Any]:
        """The method's config as plain numbers, strings and lists."""
        return {
            key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self.method.config).items()
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model to one ``.safetensors`` file.

        The file is written beside ``path`` and moved into place, so a kill leaves either the old file or the new one.

        Raises
        ------
        ValueError
            When the file exists and ``overwrite`` is not set.
        """
        from safetensors.numpy import save

        path = Path(path)
        if path.exists() and not overwrite:
            raise ValueError(f"path={str(path)!r} exists already; pass overwrite=True to replace it or another path.")
        header = {
            "format": FORMAT,
            "method": self.name,
            "options": self.options,
            "genes": list(self.genes),
            "bin_size": self.bin_size,
            "encoder": self.encoder,
            "n_features": self.n_features,
            "seed": self.seed,
            "history": self.history,
        }
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            scratch.write_bytes(save(self.method.arrays, metadata={"stsr": json.dumps(header)}))
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model from a file that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When the file is damaged, is no stsr model, or comes from a newer stsr or one that is too old.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"path={str(path)!r} does not exist; pass a file written by Model.save.")
        try:
            with safe_open(path, framework="numpy") as file:
                header = (file.metadata() or {}).get("stsr")
                arrays = {name: file.get_tensor(name) for name in file.keys()} if header else {}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"path={str(path)!r} is damaged or no .safetensors file; save the model again.") from error
        if header is None:
            raise ValueError(f"path={str(path)!r} was not written by stsr; pass a file written by Model.save.")
        facts = json.loads(header)
        if facts["format"] != FORMAT:
            remedy = "update stsr" if facts["format"] > FORMAT else "fit the model again"
            raise ValueError(f"path={str(path)!r} has format {facts['format']}, this stsr reads {FORMAT}; {remedy}.")
        options = {key: tuple(v) if isinstance(v, list) else v for key, v in facts["options"].items()}
        method = create(facts["method"], options)
        method.arrays, method.history = arrays, facts["history"]
        known = {key: facts[key] for key in ("bin_size", "encoder", "n_features", "seed")}
        return cls(method, tuple(facts["genes"]), **known)
