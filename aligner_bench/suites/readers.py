"""Streaming readers: one row at a time, each with its line or record number."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from aligner_bench.core.errors import UsageError
from aligner_bench.core.textsafe import one_line
from aligner_bench.suites.spec import SUFFIXES, Format

ErrorSink = Callable[[UsageError], None]
_BATCH_ROWS = 1024
# A CSV field may hold a whole conversation; the default limit of the csv module is 128 KiB.
_CSV_FIELD_LIMIT = 1 << 27


class Row(NamedTuple):
    """One record of a data file. `line` counts from 1; for Parquet it is the record number."""

    line: int
    data: dict[str, Any]


def raise_error(error: UsageError) -> None:
    """Raise the first error: the default error sink."""
    raise error


def format_of(path: Path, declared: Format | None = None) -> Format:
    """Return the declared format, else the format of the file's suffix."""
    if declared is not None:
        return declared
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path}: unknown kind of data file; expected {', '.join(SUFFIXES)}") from None


def read_rows(path: Path, declared: Format | None = None, on_error: ErrorSink = raise_error) -> Iterator[Row]:
    """Yield the rows of a JSONL, JSON (one array), CSV or Parquet file, in file order.

    Errors go to `on_error`; if it returns, reading continues with the next row (reading stops at an error in
    JSON or Parquet files and at invalid CSV quoting).
    """
    kind = format_of(path, declared)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; expected a {kind} file")
    try:
        if path.stat().st_size == 0:
            raise UsageError(f"{path}: is empty; expected {kind} rows")
        yield from _READERS[kind](path, on_error)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None


def _text_lines(path: Path, on_error: ErrorSink) -> Iterator[tuple[int, str]]:
    """Yield decoded lines with their numbers, line ends included; only LF ends a line, as in JSONL."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if b"\0" in raw:
                raise UsageError(f"{path}:{number}: is a binary file; expected text")
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                on_error(
                    UsageError(
                        f"{path}:{number}: not UTF-8: byte 0x{raw[error.start]:02x} at {error.start + 1}"
                    )
                )


def _object(path: Path, line: int, value: object, on_error: ErrorSink) -> Iterator[Row]:
    if isinstance(value, dict):
        yield Row(line, value)
    else:
        on_error(UsageError(f"{path}:{line}: expected a JSON object, not {type(value).__name__}"))


def _jsonl(path: Path, on_error: ErrorSink) -> Iterator[Row]:
    for number, text in _text_lines(path, on_error):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            on_error(UsageError(f"{path}:{number}: not valid JSON: {_brief(error)}"))
            continue
        yield from _object(path, number, value, on_error)


def _brief(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return str(error)


def _json(path: Path, on_error: ErrorSink) -> Iterator[Row]:
    """Yield the objects of one array, decoded one at a time; only the file's text is held in memory."""
    text = "".join(line for _, line in _text_lines(path, raise_error))
    decoder = json.JSONDecoder()
    at = _skip_space(text, 0)
    if text[at : at + 1] != "[":
        raise UsageError(f"{path}:1: expected a JSON array of objects")
    at, line, counted = _skip_space(text, at + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{line}: not valid JSON: {getattr(error, 'msg', error)}") from None
        yield from _object(path, line, value, on_error)
        at = _skip_space(text, at)
        if text[at : at + 1] not in (",", "]"):
            line += text.count("\n", counted, at)
            raise UsageError(f"{path}:{line}: not valid JSON: expected ',' or ']' after a record")
        at = _skip_space(text, at + 1) if text[at] == "," else at


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _csv(path: Path, on_error: ErrorSink) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_FIELD_LIMIT))
    reader = csv.reader((text for _, text in _text_lines(path, on_error)), strict=True)
    try:
        header = next(reader, None)
        if not header or not any(header):
            raise UsageError(f"{path}:1: expected a header line with column names")
        if len(set(header)) < len(header):
            raise UsageError(f"{path}:1: duplicate column name in the header: {one_line(', '.join(header))}")
        line = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(header):
                on_error(UsageError(f"{path}:{line}: {len(cells)} cells; the header has {len(header)}"))
            elif cells:
                yield Row(line, dict(zip(header, cells, strict=True)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None


def _parquet(path: Path, on_error: ErrorSink) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for record in batch.to_pylist():
                    number += 1
                    yield Row(number, record)
    except (pa.ArrowException, ValueError) as error:
        on_error(UsageError(f"{path}: not a valid Parquet file: {one_line(str(error))[:160]}"))


_READERS: dict[Format, Callable[[Path, ErrorSink], Iterator[Row]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
}
