"""Files of models that somebody, or a disk, has changed: bytes at random, or fields and arrays under a new checksum."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from stsr.methods import METHODS, model_file

JUNK = (
    *(None, True, False, 0, -1, 1, 2.5, 7, 10**6, 10**30, 1e30, 1e308, -1e9),
    *("", "x", "\ud800", "a" * 5000, "hf-hub:somebody/model", "none", "published"),
    *([], {}, [1], ["x"], [None], [[]], [1] * 70, {"a": 1}),
)
"""Values that a field may be changed to."""

TEXTS = (
    *("", "{}", "[]", "null", "3", '"x"', "{", "\x00", "[" * 50_000, '{"a":' * 50_000 + "1" + "}" * 50_000),
    *('{"format": 3}', '{"format": "3"}', '{"format": 1e999}', '{"format": ' + "9" * 5000 + "}", '{"format": true}'),
    *('{"format": 3, "format": 3}', '{"format": NaN}', '{"format": 2}', '{"format": 99}', '{"format": -Infinity}'),
)
"""Headers that are none."""


def mutants(path: Path, rng: np.random.Generator, number: int) -> Iterator[tuple[str, bytes]]:
    """``number`` mutants of a model's file, and what was done to each."""
    data = path.read_bytes()
    text, arrays, _ = model_file.read(path)
    kinds = (_bytes, _bytes, _field, _option, _array, _array, _text)
    for index in range(number):
        kind = kinds[index % len(kinds)]
        yield kind(data, rng) if kind is _bytes else kind(json.loads(text), dict(arrays), rng)


def sealed(facts: dict[str, Any] | str, arrays: dict[str, np.ndarray]) -> bytes:
    """A file of a header and arrays with the checksum that they have."""
    text = facts if isinstance(facts, str) else json.dumps(facts)
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    text = text.encode("utf-8", "replace").decode()
    return save(arrays, metadata={model_file.TEXT: text, model_file.CHECKSUM: model_file.checksum(text, arrays)})


def _pick(rng: np.random.Generator, values: Any) -> Any:
    values = list(values)
    return copy.deepcopy(values[int(rng.integers(len(values)))])


def _bytes(data: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    raw = bytearray(data)
    head = 8 + int.from_bytes(data[:8], "little")
    what = _pick(rng, ("bit", "bit in the header", "bit in the length", "cut", "longer", "zeros", "length", "noise"))
    if what.startswith("bit"):
        limit = {"bit": len(raw), "bit in the header": head, "bit in the length": 8}[what]
        raw[int(rng.integers(limit))] ^= 1 << int(rng.integers(8))
    elif what == "cut":
        raw = raw[: int(rng.integers(len(raw)))]
    elif what == "longer":
        raw += rng.bytes(int(rng.integers(1, 100)))
    elif what == "zeros":
        start = int(rng.integers(len(raw)))
        raw[start : start + 64] = bytes(len(raw[start : start + 64]))
    elif what == "length":
        raw[:8] = int(_pick(rng, (0, 1, 2, len(raw), 2**31, 2**40, 2**63, 2**64 - 1))).to_bytes(8, "little")
    else:
        raw = bytearray(rng.bytes(int(rng.integers(4096))))
    return what, bytes(raw)


def _field(facts: dict[str, Any], arrays: dict[str, Any], rng: np.random.Generator) -> tuple[str, bytes]:
    what = _pick(rng, ("drop", "add", "swap", "junk", "junk", "method", "genes", "encoder"))
    name, other = _pick(rng, facts), _pick(rng, facts)
    if what == "drop":
        del facts[name]
    elif what == "add":
        facts[f"more {name}"] = facts[name]
    elif what == "swap":
        facts[name], facts[other] = facts[other], facts[name]
    elif what == "junk":
        facts[name] = _pick(rng, JUNK)
    elif what == "method":
        facts["method"] = _pick(rng, METHODS)
    elif what == "genes":
        genes = facts["genes"]
        facts["genes"] = _pick(rng, (genes[1:], genes * 2, [*genes, "X"], [*genes[1:], ""], [*genes[1:], 5], genes[:1]))
    elif facts["encoder"] is not None:
        key = _pick(rng, facts["encoder"])
        facts["encoder"][key] = _pick(rng, JUNK)
    return f"{what} {name} {other}", sealed(facts, arrays)


def _option(facts: dict[str, Any], arrays: dict[str, Any], rng: np.random.Generator) -> tuple[str, bytes]:
    name = _pick(rng, facts["options"] or ["x"])
    facts["options"][name] = _pick(rng, JUNK)
    return f"option {name}={facts['options'][name]!r:.50}", sealed(facts, arrays)


def _array(facts: dict[str, Any], arrays: dict[str, Any], rng: np.random.Generator) -> tuple[str, bytes]:
    if not arrays:
        arrays["extra"] = np.ones(3, dtype=np.float32)
        return "an array too many", sealed(facts, arrays)
    name = _pick(rng, arrays)
    old = arrays[name]
    changes = {
        "nan": lambda: old * np.float32(np.nan),
        "inf": lambda: old.astype(np.float32) + np.float32(np.inf),
        "large": lambda: np.full_like(old, 1e30 if old.dtype.kind == "f" else 100),
        "all large": lambda: old,
        "negative": lambda: -old,
        "zero": lambda: np.zeros_like(old),
        "tiny": lambda: old * np.asarray(1e-30, dtype=old.dtype),
        "flat": lambda: old.reshape(-1)[None],
        "transposed": lambda: old.T,
        "cut": lambda: old[..., :-1],
        "empty": lambda: old[..., :0],
        "repeated": lambda: np.concatenate([old, old]) if old.ndim else old[None],
        "whole": lambda: old.astype(np.int64),
        "short": lambda: old.astype(np.float16),
        "bits": lambda: old != 0,
    }
    what = _pick(rng, (*changes, "drop", "rename"))
    if what == "drop":
        del arrays[name]
    elif what == "rename":
        arrays[name + "x"] = arrays.pop(name)
    elif what == "all large":
        arrays = {key: a * a.dtype.type(1e30) if a.dtype == np.float32 else a for key, a in arrays.items()}
    else:
        with np.errstate(all="ignore"):
            arrays[name] = changes[what]()
    return f"{what} {name}", sealed(facts, arrays)


def _text(facts: dict[str, Any], arrays: dict[str, Any], rng: np.random.Generator) -> tuple[str, bytes]:
    text = _pick(rng, TEXTS)
    if rng.random() < 0.5:
        whole = json.dumps(facts)
        name = _pick(rng, facts)
        text = (
            whole[:-1] + f', "{name}": 1}}'
            if rng.random() < 0.5
            else whole.replace(f'"{name}":', f'"{name}": NaN, "y":')
        )
    return f"text {text[:20]!r}", sealed(text, arrays)
