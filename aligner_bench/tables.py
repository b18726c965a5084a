"""The tables of a run on disk: Parquet with fixed columns, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aligner_bench.errors import UsageError

Row = dict[str, Any]

_TEXT, _INT, _REAL, _BOOL, _TEXTS = "string", "int64", "double", "bool", "list<string>"
_SPENT = {**dict.fromkeys(("calls", "prompt_tokens", "completion_tokens"), _INT), "cost": _REAL}
_NOTHING_SPENT = dict.fromkeys(_SPENT, 0)
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "prompts": {
        **dict.fromkeys(("suite", "prompt_id", "prompt", "category", "criterion", "family"), _TEXT),
        "references": _TEXTS,
        "history": _TEXT,
    },
    "responses": {
        **dict.fromkeys(
            ("suite", "prompt_id", "system", "kind", "upstream_model", "upstream", "text"), _TEXT
        ),
        **dict.fromkeys(("status", "finish_reason"), _TEXT),
        **dict.fromkeys(("correct", "upstream_correct"), _BOOL),
        **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens", "cut_tokens"), _INT),
        "seconds": _REAL,
        "cost": _REAL,
        "error": _TEXT,
        "trace": _TEXT,
    },
    "verdicts": {
        **dict.fromkeys(("suite", "prompt_id", "judge", "candidate", "baseline", "order", "status"), _TEXT),
        "preference": _REAL,
        "detail": _TEXT,
        **_SPENT,
    },
    "audits": {
        **dict.fromkeys(("judge", "pair_id", "order", "status"), _TEXT),
        "preference": _REAL,
        "detail": _TEXT,
        **_SPENT,
    },
    "inspectors": {
        **dict.fromkeys(("inspector", "identity", "pair_id"), _TEXT),
        **dict.fromkeys(("worse", "better"), _REAL),
        **dict.fromkeys(("worse_length", "better_length"), _INT),
    },
    "judges": {
        **dict.fromkeys(("judge", "kind", "identity", "description"), _TEXT),
        "needs_audit": _BOOL,
    },
}


def storable(value: Any) -> Any:
    """Text without lone surrogates, which UTF-8 files cannot hold; they become U+FFFD, visibly."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def write_table(name: str, rows: Sequence[Row], path: Path) -> None:
    """Rows as Parquet. KeyError for a row without one of the table's columns, save for what it cost."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        _TEXT: pa.string(),
        _INT: pa.int64(),
        _REAL: pa.float64(),
        _BOOL: pa.bool_(),
        _TEXTS: pa.list_(pa.string()),
    }
    columns = COLUMNS[name]
    schema = pa.schema([(column, types[kind]) for column, kind in columns.items()])
    whole = [_NOTHING_SPENT | row for row in rows]
    clean = [{column: storable(row[column]) for column in columns} for row in whole]
    with atomic_path(path) as draft:
        pq.write_table(pa.Table.from_pylist(clean, schema), draft, compression="zstd")


def read_table(name: str, path: Path) -> list[Row]:
    """The rows of a table; UsageError for a missing, broken or differently shaped file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UsageError(f"{path}: is missing; expected the {name} table of a run")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    absent = [column for column in COLUMNS[name] if column not in table.column_names]
    if absent:
        raise UsageError(f"{path}: column {absent[0]!r} is missing; expected the {name} table of a run")
    rows: list[Row] = table.select(list(COLUMNS[name])).to_pylist()
    return rows


class atomic_path:  # noqa: N801 - a context manager, used as a function
    """A draft file that takes the place of ``path`` only if the block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}-")
        os.close(handle)
        self._draft = Path(name)
        return self._draft

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._draft.chmod(0o644)
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def group(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of some columns, groups in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return groups
