"""Read a run folder: its manifest and its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.store.tables import COLUMNS, Row, Table, open_table, read_table


class RunFolder:
    """A run folder on disk. UsageError for a path without a readable manifest."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened: Mapping[str, Table] | None = None
        file = self.path / "manifest.json"
        if not file.is_file():
            raise UsageError(f"{self.path}: is not a run folder (no manifest.json in it)")
        try:
            self.manifest: dict[str, Any] = json.loads(file.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise UsageError(f"{file}: is not a run's manifest ({error})") from error

    def rows(self, table: str) -> list[Row]:
        """Return one table as plain rows, such as prompts, responses, verdicts or judges."""
        return read_table(table, self.path / f"{table}.parquet")

    def tables(self) -> Mapping[str, Table]:
        """Return all tables; rows are converted on access."""
        if self._opened is None:
            self._opened = {name: open_table(name, self.path / f"{name}.parquet") for name in COLUMNS}
        return self._opened

    def keep(self, tables: Mapping[str, Table]) -> None:
        """Use tables of this folder that are already open."""
        self._opened = tables
