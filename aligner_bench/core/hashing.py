"""Stable hashes of plain data: the same content gives the same digest on every machine and Python version."""

from __future__ import annotations

import hashlib
import json


def canonical_json(obj: object) -> str:
    """One spelling for one value: keys sorted, no spaces, text kept as it is, floats via `repr`.

    NaN and infinities are refused (ValueError): they have no JSON spelling and never equal themselves.
    """
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, as 64 hexadecimal digits.

    Half surrogate pairs occur in model output and in broken files; they are hashed as they stand.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest(obj: object) -> str:
    """SHA-256 of the canonical JSON of `obj`."""
    return sha256_text(canonical_json(obj))
