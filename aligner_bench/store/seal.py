"""Digests in a run's manifest that reveal later edits of its files.

A seal is not a signature: a consistent rewrite of rows, digests, leaderboard and report passes verification.
It detects edits of single files, and shows whether two copies of a run hold the same rows.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aligner_bench.core.hashing import canonical_json, digest
from aligner_bench.store.tables import Row, group
from aligner_bench.suites.types import Message, Prompt, content_hash

SEAL = "seal"


def table_digest(rows: Iterable[Row]) -> str:
    """Return the SHA-256 over the sorted digests of the rows; it depends on their number, not their order."""
    return hashlib.sha256(b"".join(sorted(_row_digest(row) for row in rows))).hexdigest()


def _row_digest(row: Row) -> bytes:
    plain = {name: _spelled(value) for name, value in row.items()}
    return hashlib.sha256(canonical_json(plain).encode("utf-8", "surrogatepass")).digest()


def _spelled(value: Any) -> Any:
    """Return NaN and infinities, which JSON cannot represent, as text; other values unchanged."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def sealed(manifest: Mapping[str, Any], tables: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Return the manifest as plain JSON data, with the digests of the tables and of itself.

    ``tables`` must have been read back from disk, since storing changes types (1 becomes 1.0).
    """
    plain: dict[str, Any] = json.loads(json.dumps(manifest, default=str))
    hashes = {suite["name"]: suite["content_hash"] for suite in plain["facts"]["suites"]}
    found = suite_hashes(tables["prompts"])
    plain[SEAL] = {
        "tables": {name: {"rows": len(rows), "sha256": table_digest(rows)} for name, rows in tables.items()},
        "judges": {row["judge"]: row["identity"] for row in tables["judges"]},
        # A hash that includes hidden fields or unstorable text cannot be recomputed from the rows.
        "suites_from_rows": sorted(name for name, known in hashes.items() if found.get(name) == known),
    }
    plain[SEAL]["manifest"] = manifest_digest(plain)
    return plain


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the manifest's canonical JSON without this digest."""
    seal = {key: value for key, value in manifest.get(SEAL, {}).items() if key != "manifest"}
    return digest({**manifest, SEAL: seal})


def suite_hashes(prompts: Sequence[Row]) -> dict[str, str]:
    """Return suite -> content hash computed from its rows (without incorrect references)."""
    return {
        name: content_hash(_prompt(row).content_digest() for row in rows)
        for (name,), rows in group(prompts, "suite").items()
    }


def _prompt(row: Row) -> Prompt:
    return Prompt(
        row["prompt_id"],
        row["prompt"],
        row["category"],
        row["criterion"],
        row["family"],
        tuple(row["references"] or ()),
        (),
        tuple(Message(**turn) for turn in json.loads(row["history"] or "[]")),
    )
