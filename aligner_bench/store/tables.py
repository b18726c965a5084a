"""The tables of a run on disk: Parquet files with fixed columns, written atomically."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import atomic_path

Row = dict[str, Any]
_TEXT, _INT, _REAL, _BOOL, _TEXTS = "string", "int64", "double", "bool", "list<string>"
_SPENT = {**dict.fromkeys(("calls", "prompt_tokens", "completion_tokens"), _INT), "cost": _REAL}
_NOTHING_SPENT = dict.fromkeys(_SPENT, 0)
_PART = 4096  # rows per write
_FAILED = ("error", "missing")
_ONE_PIECE = 1 << 30
_SMALL_GROUP = 50  # groups with fewer rows on average are returned as lists
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
    "canaries": {
        **dict.fromkeys(("judge", "canary", "pair_id", "order", "status"), _TEXT),
        "preference": _REAL,
        "detail": _TEXT,
        **_SPENT,
    },
    "ratings": {
        **dict.fromkeys(("suite", "prompt_id", "system", "side", "rater", "label", "status"), _TEXT),
        **dict.fromkeys(("category", "detail"), _TEXT),
        "cut_tokens": _INT,
        **_SPENT,
    },
    "rater_audits": {
        **dict.fromkeys(("rater", "item_id", "label", "status", "category", "detail"), _TEXT),
        "harmful": _BOOL,
        "cut_tokens": _INT,
        **_SPENT,
    },
    "raters": dict.fromkeys(("rater", "kind", "identity", "description"), _TEXT),
}
LATER = ("canaries", "ratings", "rater_audits", "raters")
"""Tables that runs of older versions lack; a missing one is read as empty."""
DERIVED: Mapping[str, Mapping[str, str]] = {
    "trajectories": {
        **dict.fromkeys(("suite", "prompt_id", "system"), _TEXT),
        "step": _INT,
        **dict.fromkeys(("actor", "action", "inspector"), _TEXT),
        "threshold": _REAL,
        "order": _TEXTS,
        "batch": _TEXT,
        **dict.fromkeys(("scores_before", "scores_after", "hash_before", "hash_after"), _TEXT),
        **dict.fromkeys(("scores_offered", "hash_offered"), _TEXT),
    },
}
"""Tables derived from the others, for use with other tools."""


def columns_of(name: str) -> Mapping[str, str]:
    """Return column -> type of a table, derived tables included."""
    return COLUMNS[name] if name in COLUMNS else DERIVED[name]


def storable(value: Any) -> Any:
    """Replace lone surrogates, which UTF-8 files cannot hold, by U+FFFD in text and lists of text."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [storable(item) for item in value]
    return value


def _schema(name: str) -> Any:
    import pyarrow as pa

    types = {
        _TEXT: pa.string(),
        _INT: pa.int64(),
        _REAL: pa.float64(),
        _BOOL: pa.bool_(),
        _TEXTS: pa.list_(pa.string()),
    }
    return pa.schema([(column, types[kind]) for column, kind in columns_of(name).items()])


def _arrow(name: str, rows: Sequence[Row]) -> Any:
    """Return rows as an Arrow table. KeyError for a row without one of the columns, except cost columns."""
    import pyarrow as pa

    whole = [_NOTHING_SPENT | row for row in rows]
    clean = [{column: storable(row[column]) for column in columns_of(name)} for row in whole]
    return pa.Table.from_pylist(clean, _schema(name))


def write_table(name: str, rows: Iterable[Row], path: Path) -> None:
    """Write rows as Parquet in parts. KeyError for a row without one of the columns, except cost columns."""
    import pyarrow.parquet as pq

    left = iter(rows)
    with atomic_path(path) as draft, pq.ParquetWriter(draft, _schema(name), compression="zstd") as writer:
        while part := list(islice(left, _PART)):
            writer.write_table(_arrow(name, part))


class Draft:
    """The tables of an unfinished run, in a temporary folder beside the run folder.

    ``finish`` moves them into the run folder, which therefore holds complete tables or none. Without it they
    are deleted; an interrupted run has its finished work in the ledger.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = target.parent / f".{target.name}.draft"
        self._writers: dict[str, Any] = {}
        self.failed = False  # whether any row has a status that the next run should retry

    def __enter__(self) -> Draft:
        shutil.rmtree(self._folder, ignore_errors=True)  # of a run that was killed
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for writer in self._writers.values():
            writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, name: str, rows: Sequence[Row]) -> None:
        """Add rows to a table."""
        if rows:
            self._writer(name).write_table(_arrow(name, rows))
            self.failed = self.failed or any(row.get("status") in _FAILED for row in rows)

    def finish(self) -> None:
        """Close all tables, including empty ones, and move them into the run folder."""
        for name in COLUMNS:
            self._writer(name).close()
        self._target.mkdir(parents=True, exist_ok=True)
        for name in COLUMNS:
            (self._folder / name).replace(self._target / f"{name}.parquet")

    def _writer(self, name: str) -> Any:
        import pyarrow.parquet as pq

        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self._folder / name, _schema(name), compression="zstd")
        return self._writers[name]


class Table(Sequence[Row]):
    """Rows of an Arrow table, converted to dicts on access to bound memory."""

    _CHUNK = 1024

    def __init__(self, data: Any, places: Any = None) -> None:
        self._data = data
        self._places = places  # row numbers of ``data``, in order; None: all

    def __len__(self) -> int:
        return int(self._data.num_rows if self._places is None else len(self._places))

    def __iter__(self) -> Iterator[Row]:
        for begin in range(0, len(self), self._CHUNK):
            yield from self._rows(begin, begin + self._CHUNK)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            begin, end, step = at.indices(len(self))
            return self._rows(begin, end)[::step] if step > 0 else list(self)[at]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._rows(place, place + 1)[0]

    def grouped(self, *columns: str) -> dict[tuple[Any, ...], Sequence[Row]]:
        """Group as ``group``: large groups as tables of their own, many small ones as lists of rows."""
        import numpy as np

        parts = self._data if self._places is None else self._data.take(self._places)
        keys = zip(*(parts.column(column).to_pylist() for column in columns), strict=True)
        found: dict[tuple[Any, ...], list[int]] = {}
        for place, key in enumerate(keys):
            found.setdefault(key, []).append(place)
        if len(found) * _SMALL_GROUP > len(self):
            rows = list(self)
            return {key: [rows[place] for place in places] for key, places in found.items()}
        held = np.arange(len(self)) if self._places is None else self._places
        return {key: Table(self._data, held[places]) for key, places in found.items()}

    def _rows(self, begin: int, end: int) -> list[Row]:
        if self._places is None:
            rows: list[Row] = self._data.slice(begin, end - begin).to_pylist()
            return rows
        places = self._places[begin:end]
        side_by_side = places.size and places[-1] - places[0] == places.size - 1
        part = self._data.slice(int(places[0]), places.size) if side_by_side else self._data.take(places)
        found: list[Row] = part.to_pylist()
        return found


def open_table(name: str, path: Path) -> Table:
    """Open a stored table; UsageError for a missing or unreadable file or a missing column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file() and name in LATER:
        return Table(_schema(name).empty_table())
    if not path.is_file():
        raise UsageError(f"{path}: is missing; expected the {name} table of a run")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    absent = [column for column in columns_of(name) if column not in table.column_names]
    if absent:
        raise UsageError(f"{path}: column {absent[0]!r} is missing; expected the {name} table of a run")
    wanted = table.select(list(columns_of(name)))
    # Access is faster in one chunk, but a text column of more than 2 GiB does not fit in one.
    return Table(wanted.combine_chunks() if wanted.nbytes < _ONE_PIECE else wanted)


def read_table(name: str, path: Path) -> list[Row]:
    """Read all rows of a stored table; errors as in ``open_table``."""
    return list(open_table(name, path))


def group(rows: Iterable[Row], *columns: str) -> dict[tuple[Any, ...], Sequence[Row]]:
    """Group rows by the values of some columns, groups in order of first appearance."""
    if isinstance(rows, Table):
        return rows.grouped(*columns)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in columns), []).append(row)
    return dict(groups)


Tables = Mapping[str, Sequence[Row]]
