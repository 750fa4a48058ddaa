"""What tells the features of one image encoder from those of any other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stsr.options import Choice, Whole

NONE, PUBLISHED, RANDOM, FILE, OWN = "none", "published", "random", "file", "own"
WEIGHTS = (NONE, PUBLISHED, RANDOM, FILE, OWN)
"""Where weights come from: there are none, the hub, nowhere, a local file, or the user's own object or raster."""

LONGEST = 300
"""Characters of a name at most."""

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Identity:
    """What features were made by; equal identities give equal features of one image.

    Parameters
    ----------
    name
        Name of the encoder, or of the user's own features.
    weights
        One of :data:`WEIGHTS`.
    checksum
        SHA-256 of the weights as the network holds them, whatever file they came from; None where there are none, or
        where nobody knows.
    dim
        Number of features of a cell.
    version
        Version of how the encoder's answers become features.
    """

    name: str
    weights: str
    checksum: str | None
    dim: int
    version: int

    def same(self, other: Identity) -> bool:
        """Whether features of the two may be used for one another; where the weights come from does not matter."""
        return (self.name, self.checksum, self.dim, self.version) == (
            other.name,
            other.checksum,
            other.dim,
            other.version,
        )

    @property
    def told(self) -> str:
        """As messages say it."""
        of = {
            NONE: "",
            PUBLISHED: " with its published weights",
            RANDOM: " with random weights",
            FILE: " with weights from a file",
            OWN: ", your own",
        }[self.weights]
        mark = f", checksum {self.checksum[:8]}" if self.checksum else ""
        return f"{self.name!r}{of} ({self.dim} features{mark}, version {self.version})"

    @property
    def content(self) -> dict[str, Any]:
        """As JSON carries it."""
        return asdict(self)

    @classmethod
    def of(cls, content: Any) -> Identity:
        """From JSON.

        Raises
        ------
        ValueError
            When it is not what :attr:`content` gives.
        """
        if not isinstance(content, Mapping) or set(content) != set(cls.__dataclass_fields__):
            raise ValueError("encoder is not described by its name, weights, checksum, dim and version")
        name, checksum = content["name"], content["checksum"]
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST or not name.isprintable():
            raise ValueError("encoder has no proper name")
        if checksum is not None and not (isinstance(checksum, str) and SHA256.fullmatch(checksum)):
            raise ValueError("encoder has no proper checksum")
        return cls(
            name,
            Choice(WEIGHTS)("weights", content["weights"]),
            checksum,
            Whole(1, 2**20)("dim", content["dim"]),
            Whole(1, 10**6)("version", content["version"]),
        )
