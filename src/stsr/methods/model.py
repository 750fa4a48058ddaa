"""A fitted model: a method with all that is needed to use it again, in one ``.safetensors`` file."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stsr.identity import Identity
from stsr.methods import model_file
from stsr.methods.base import Method
from stsr.methods.expected import Checklist, Facts
from stsr.methods.header import Header
from stsr.methods.shared.learned_arrays import settled


@dataclass(frozen=True)
class Model:
    """A fitted super-resolution model.

    Parameters
    ----------
    method
        The fitted method. Its arrays are made row-major, as in files, so that a model predicts the same values before
        and after saving.
    genes
        Names of the genes it predicts.
    bin_size
        Side in µm of the cells it was fitted with.
    encoder
        The encoder of its features: name, source and checksum of the weights, and number of features. None for a method
        without features.
    seed
        Random seed of the fit.

    Raises
    ------
    ValueError
        When a learned array holds values that are not finite.
    """

    method: Method
    genes: tuple[str, ...]
    bin_size: float
    encoder: Identity | None
    seed: int

    def __post_init__(self) -> None:
        try:
            self.method.arrays = settled(self.method.arrays)
        except ValueError as error:
            raise ValueError(
                f"method={self.name!r} could not be fitted: {str(error).rstrip('.')}; check features and counts, "
                "or fit with a lower learning rate."
            ) from error

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.info.name

    @property
    def n_features(self) -> int:
        """Features of a cell; 0 without an encoder."""
        return 0 if self.encoder is None else self.encoder.dim

    @property
    def history(self) -> dict[str, list[float]]:
        """Losses by epoch: ``"train"`` and ``"held_out"``; empty for methods without iterative training."""
        return self.method.history

    @property
    def options(self) -> dict[str, Any]:
        """The method's config as plain numbers, strings and lists."""
        return {
            key: list(v) if isinstance(v, tuple) else v for key, v in dataclasses.asdict(self.method.config).items()
        }

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the model to one ``.safetensors`` file; missing folders are made.

        The file is written beside ``path`` and then renamed, so a killed process leaves the old file or the new one.

        Raises
        ------
        ValueError
            When the file exists and ``overwrite`` is not set, or ``path`` is a folder.
        OSError
            When the file cannot be written: a :class:`PermissionError` where that is not allowed.
        """
        path = model_file.check_vacant(path, overwrite)
        header = Header(self.name, self.options, self.genes, self.bin_size, self.encoder, self.seed, self.history)
        Header.read(header.text)  # refuse to write what could not be read back
        model_file.write(path, header.text, self.method.arrays)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model from a file that :meth:`save` wrote.

        The whole content is checked before use. No code from the file is run, and nothing is downloaded.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        PermissionError
            When it may not be read.
        ValueError
            When the file is damaged, is not a model of stsr, or is from a newer stsr or one that is too old.
        """
        text, arrays, sealed = model_file.read(path)
        try:
            header = Header.read(text)
            if not sealed:
                raise ValueError("its checksum is missing")
            method = header.create()
            method.arrays = settled(arrays)
            n_features = 0 if header.encoder is None else header.encoder.dim
            expected = method.expected(Facts(len(header.genes), n_features, header.bin_size))
            if expected is not None:
                Checklist(method.arrays).check(expected)
        except ValueError as error:
            raise ValueError(f"path={str(path)!r} holds no valid model: {str(error).rstrip('.')}.") from error
        method.history = {name: list(losses) for name, losses in header.history.items()}
        return cls(method, header.genes, header.bin_size, header.encoder, header.seed)
