"""Stable hashes of plain data: the same content gives the same digest on every machine and Python version."""

from __future__ import annotations

import hashlib
import json


def canonical_json(obj: object) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces, text not escaped, floats via `repr`.

    ValueError for NaN and infinities, which JSON cannot represent.
    """
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes, as 64 hexadecimal digits.

    Lone surrogates, which occur in model output and in damaged files, are encoded with `surrogatepass`.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(obj: object) -> str:
    """Return the SHA-256 of the canonical JSON of `obj`, as 64 hexadecimal digits."""
    return sha256_text(canonical_json(obj))
