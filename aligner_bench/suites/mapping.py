"""Map rows of a data file to prompts, by the columns that the definition declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import sha256_text
from aligner_bench.core.textsafe import one_line
from aligner_bench.suites.readers import ErrorSink, Row, raise_error
from aligner_bench.suites.spec import Column, Columns, Match, Source, SuiteSpec
from aligner_bench.suites.types import Message, Prompt

TEXT_HASH_DIGITS = 12
# Default column names, tried in this order if the definition declares none.
GUESSES = {
    "prompt_id": ("prompt_id", "id"),
    "text": ("text", "prompt", "instruction", "question", "input"),
    "category": ("category",),
    "criterion": ("criterion",),
    "family": ("family",),
    "references": ("references",),
    "incorrect": ("incorrect",),
    "history": ("history",),
}
_PLACEHOLDER = re.compile(r"\{(?P<name>[^{}:]+)(?::(?P<width>0?\d+)d)?\}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def text_hash(text: str) -> str:
    """Return the value of `{text_hash}` in templates: 12 hexadecimal digits of the SHA-256 of `text`."""
    return sha256_text(text)[:TEXT_HASH_DIGITS]


class _FieldError(Exception):
    """An error in one field of a row; the caller adds file and line."""


class RowMapper:
    """Convert the rows of one file to prompts: resolve columns, fill templates, check every value."""

    def __init__(self, spec: SuiteSpec, source: Source, columns: Columns, label: str) -> None:
        self._spec = spec
        self._source = source
        self._columns = columns
        self._label = label
        self._categories = spec.category_names()
        self._resolved: dict[str, list[Column]] | None = None
        self._where = {
            name: re.compile(want.matches) if isinstance(want, Match) else str(want)
            for name, want in source.where.items()
        }

    def prompts(self, rows: Iterator[Row], on_error: ErrorSink = raise_error) -> Iterator[tuple[int, Prompt]]:
        """Yield the line and prompt of each row. Errors name file, line and field."""
        kept = 0
        for line, data in rows:
            try:
                if self._resolved is None:
                    self._resolved = self._resolve(data)
                if self._wanted(data):
                    kept += 1
                    yield line, self._prompt(data, kept - 1)
            except _FieldError as error:
                on_error(UsageError(f"{self._label}:{line}: {one_line(str(error))}"))

    def _resolve(self, first: Mapping[str, Any]) -> dict[str, list[Column]]:
        """Return the columns of each field: the declared ones, else defaults found in the first row."""
        resolved: dict[str, list[Column]] = {}
        for field, guesses in GUESSES.items():
            declared = getattr(self._columns, field)
            if declared is None:
                name = next((guess for guess in guesses if guess in first), None)
                resolved[field] = [Column(column=name, optional=True)] if name else []
            else:
                resolved[field] = declared if isinstance(declared, list) else [declared]
        if not resolved["text"]:
            found = one_line(", ".join(map(str, first)))
            raise UsageError(f"{self._label}: text: no column {' or '.join(GUESSES['text'])}; found: {found}")
        return resolved

    def _wanted(self, data: Mapping[str, Any]) -> bool:
        for name, want in self._where.items():
            value = str(_cell(data, name))
            if not (want.search(value) if isinstance(want, re.Pattern) else value == want):
                return False
        return True

    def _prompt(self, data: Mapping[str, Any], row: int) -> Prompt:
        text = self._one("text", data, row, "")
        if not text:
            raise _FieldError("text: is missing or empty")
        prompt_id = self._one("prompt_id", data, row, text) if self._has("prompt_id") else text_hash(text)
        if not prompt_id:
            raise _FieldError("prompt_id: is missing or empty")
        return Prompt(
            prompt_id=prompt_id,
            text=text,
            category=self._category(self._one("category", data, row, text)),
            criterion=self._one("criterion", data, row, text) or self._spec.criterion,
            family=self._one("family", data, row, text),
            references=self._many("references", data, row, text),
            incorrect=self._many("incorrect", data, row, text),
            history=_history(self._raw("history", data)),
        )

    def _has(self, field: str) -> bool:
        return bool(self._resolved and self._resolved[field])

    def _raw(self, field: str, data: Mapping[str, Any]) -> object:
        columns = self._resolved[field] if self._resolved else []
        return _lookup(columns[0], data) if columns else None

    def _one(self, field: str, data: Mapping[str, Any], row: int, text: str) -> str | None:
        """Return the field's text, or None if it has no column or an empty optional one."""
        if not self._has(field) or self._resolved is None:
            return None
        column = self._resolved[field][0]
        return _checked(field, _replaced(column, _scalar(field, _value(column, data, row, text))))

    def _many(self, field: str, data: Mapping[str, Any], row: int, text: str) -> tuple[str, ...]:
        """Return all values of the field's columns without blank and repeated ones."""
        found: list[str | None] = []
        for column in (self._resolved or {}).get(field, []):
            for value in _listed(column, _value(column, data, row, text)):
                found.append(_checked(field, _replaced(column, _scalar(field, value))))
        return tuple(dict.fromkeys(value for value in found if value))

    def _category(self, value: str | None) -> str:
        if value is None:
            if self._categories:
                raise _FieldError("category: is missing, and the suite declares categories")
            return "all"
        if self._categories and value not in self._categories:
            raise _FieldError(f"category: unknown category {value!r}; {nearest(value, self._categories)}")
        return self._categories.get(value, value)


def _cell(data: Mapping[str, Any], name: str) -> object:
    try:
        return data[name]
    except KeyError:
        raise _FieldError(f"{name}: no such column; {nearest(name, data)}") from None


def _lookup(column: Column, data: Mapping[str, Any]) -> object:
    if column.column is None:
        return column.const
    return data.get(column.column) if column.optional else _cell(data, column.column)


def _value(column: Column, data: Mapping[str, Any], row: int, text: str) -> object:
    if column.template is None:
        return _lookup(column, data)
    builtin: dict[str, Any] = {"row": row, "text_hash": text_hash(text)}

    def fill(match: re.Match[str]) -> str:
        name, width = match["name"], match["width"]
        value = builtin[name] if name in builtin else _cell(data, name)
        try:
            return format(int(str(value)), f"{width}d") if width else str(value)
        except (TypeError, ValueError):
            raise _FieldError(f"{name}: expected a whole number, not {value!r}") from None

    return _PLACEHOLDER.sub(fill, column.template)


def _scalar(field: str, value: object) -> str | None:
    """Return text unchanged and integers as text (not for `text`); raise _FieldError otherwise."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and field != "text":
        return str(value)
    raise _FieldError(f"{field}: expected text, not {type(value).__name__}")


def _replaced(column: Column, value: str | None) -> str | None:
    for old, new in column.replace.items() if value else ():
        value = value.replace(old, new) if value else value
    return value


def _checked(field: str, value: str | None) -> str | None:
    """Return None for blank text; raise _FieldError for lone surrogates, which are not valid Unicode."""
    if value is None or not value.strip():
        return None
    if _SURROGATE.search(value):
        raise _FieldError(f"{field}: has a lone surrogate, which is not valid Unicode")
    return value


def _listed(column: Column, value: object) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return list(value)
    if column.split and isinstance(value, str):
        return [part.strip() for part in value.split(column.split)]
    return [value]


def _history(value: object) -> tuple[Message, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _FieldError(f"history: expected a list of turns, not {type(value).__name__}")
    return tuple(_turn(turn) for turn in value)


def _turn(turn: object) -> Message:
    if isinstance(turn, dict) and set(turn) == {"role", "content"}:
        role, content = turn["role"], turn["content"]
        if isinstance(role, str) and isinstance(content, str):
            return Message(role, _checked("history", content) or "")
    raise _FieldError("history: each turn needs role and content, both text")
