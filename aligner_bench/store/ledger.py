"""The ledger: a content-addressed store of finished work items, SQLite in WAL mode.

A batch is written in one transaction, so an interruption leaves all of its items or none. Values are JSON;
keys are SHA-256 of canonical JSON made by the caller and never contain secrets.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from aligner_bench.core.errors import UsageError

# Values are stored in insertion order and only the index on the random keys is scattered: with values inside
# that index every insert into a large ledger would touch a separate page.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  stage TEXT NOT NULL,
  value TEXT NOT NULL,
  created REAL NOT NULL,
  writes INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_CACHE_KIB = 64 * 1024
_LOOKUP_CHUNK = 500


class StageCount(NamedTuple):
    """Items of one stage and number of writes; more writes than items means repeated work."""

    stage: str
    items: int
    writes: int


class Ledger:
    """Finished work items by key. Safe for several readers and one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{path}: not a usable ledger ({error}); expected an SQLite file") from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; unfinished transactions are rolled back."""
        self._db.close()

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the stored values of those keys that are in the ledger."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Any] = {}
        for start in range(0, len(wanted), _LOOKUP_CHUNK):
            chunk = wanted[start : start + _LOOKUP_CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._db.execute(f"SELECT key, value FROM items WHERE key IN ({marks})", chunk)  # noqa: S608
            found.update((key, json.loads(value)) for key, value in rows)
        return found

    def put(self, stage: str, values: Mapping[str, Any]) -> None:
        """Store a finished batch in one transaction."""
        now = time.time()
        # ASCII JSON preserves lone surrogates, which SQLite's UTF-8 text rejects.
        rows = [(key, stage, json.dumps(value, sort_keys=True), now) for key, value in values.items()]
        with self._db:
            self._db.executemany(
                "INSERT INTO items(key, stage, value, created) VALUES (?, ?, ?, ?) "
                "ON CONFLICT(key) DO UPDATE SET value = excluded.value, writes = writes + 1",
                rows,
            )

    def note(self, key: str) -> Any:
        """Return the note that an engine stored under a key, or None."""
        row = self._db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def set_note(self, key: str, value: Any) -> None:
        """Store a note immediately; None removes it."""
        with self._db:
            if value is None:
                self._db.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO notes(key, value) VALUES (?, ?)", (key, json.dumps(value))
                )

    def stats(self) -> list[StageCount]:
        """Return the counts by stage."""
        rows: Sequence[tuple[str, int, int]] = self._db.execute(
            "SELECT stage, COUNT(*), SUM(writes) FROM items GROUP BY stage ORDER BY stage"
        ).fetchall()
        return [StageCount(*row) for row in rows]
