"""YAML files whose errors name the file, the line and the field."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from aligner_bench.core.errors import FileFaultsError, UsageError
from aligner_bench.core.textsafe import one_line

_MAX_BYTES = 4_000_000
# Aliases can make a small file unfold into billions of parts.
_MAX_PARTS = 200_000
Location = tuple[Hashable, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
_MAX_FAULTS = 20
_SAYS_WHAT_WAS_GIVEN = ("unknown_field", "kind", "template")


def _field(at: Sequence[Any]) -> str:
    return ".".join(str(step) for step in at) or "the file"


class YamlDocument:
    """The plain data of a YAML file, and the line on which each part of it begins."""

    def __init__(self, path: Path, data: object, lines: dict[Location, int]) -> None:
        self.path = path
        self.data = data
        self._lines = lines

    def line_of(self, location: Location) -> int:
        """The line (from 1) of the innermost part of `location` that stands in the file.

        Components that are no part of the document (pydantic's names of union members) are skipped.
        """
        known: Location = ()
        for step in location:
            if (*known, step) in self._lines:
                known = (*known, step)
        return self._lines.get(known, 1)

    def error(self, faults: Iterable[tuple[Sequence[Any], str]]) -> UsageError:
        """An error with a line ``file:line: field: problem`` for each (location, problem), 20 at most.

        They are in the order of the file's lines.
        """
        found = sorted(
            ((self.line_of(tuple(at)), f"{_field(at)}: {problem}") for at, problem in faults),
            key=lambda fault: fault[0],
        )
        lines = [f"{self.path}:{line}: {one_line(problem)}" for line, problem in found[:_MAX_FAULTS]]
        if len(found) > _MAX_FAULTS:
            lines.append(f"{self.path}: {len(found) - _MAX_FAULTS} further faults")
        return FileFaultsError(lines)


def read_text_file(path: Path, what: str) -> str:
    """The text of a small UTF-8 file; UsageError for a folder, a missing, empty, binary or huge file."""
    raw = _read_bytes(path, what)
    if b"\0" in raw[:8192]:
        raise UsageError(f"{path}: is a binary file; expected {what} in YAML")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: is not UTF-8 text; expected {what} in YAML") from None
    if not text.strip():
        raise UsageError(f"{path}: is empty; expected {what} in YAML")
    return text


def _read_bytes(path: Path, what: str) -> bytes:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; expected {what} (a YAML file)")
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise UsageError(f"{path}: {size:,} bytes is too large for {what}; at most {_MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected {what}") from None


def read_yaml(path: Path, what: str) -> YamlDocument:
    """Parse a YAML mapping. `what` names the kind of file in errors, as in "a suite definition"."""
    text = read_text_file(path, what)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UsageError(f"{path}:1: expected {what}: keys and values, such as 'name: ...'")
        lines: dict[Location, int] = {}
        _collect_lines(path, node, (), lines)
        return YamlDocument(path, loader.construct_document(node), lines)
    except yaml.YAMLError as error:
        raise UsageError(_yaml_message(path, error)) from None
    except (ValueError, RecursionError) as error:  # a date that is none, nesting without end
        raise UsageError(f"{path}: not valid YAML: {one_line(str(error))}") from None
    finally:
        loader.dispose()


def _yaml_message(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
    problem = getattr(error, "problem", None) or str(error)
    return f"{where}: not valid YAML: {one_line(str(problem))}"


def _collect_lines(path: Path, node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    if len(lines) > _MAX_PARTS:
        raise UsageError(f"{path}: has more than {_MAX_PARTS:,} parts once its aliases are unfolded")
    if at and at in lines:
        raise UsageError(f"{path}:{node.start_mark.line + 1}: the key {at[-1]!r} stands here a second time")
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _collect_lines(path, value, (*at, _plain_key(key)), lines)
            lines[*at, _plain_key(key)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(path, value, (*at, index), lines)


def _plain_key(key: yaml.Node) -> Hashable:
    text = str(key.value)
    return int(text) if key.tag == "tag:yaml.org,2002:int" and text.isdecimal() else text


def validated(model: type[ModelT], document: YamlDocument) -> ModelT:
    """`document` as a `model`; its faults become one UsageError with file, line and field for each.

    Validators find the file's folder under ``folder`` in their context.
    """
    try:
        return model.model_validate(document.data, context={"folder": document.path.parent})
    except ValidationError as error:
        faults = _without_echoes([dict(fault) for fault in error.errors(include_url=False)])
        raise document.error((fault["loc"], _message(fault)) for fault in faults) from None


def _without_echoes(faults: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faults without those that say a list is too short because its only item is faulty."""
    others = [fault["loc"] for fault in faults if fault["type"] != "too_short"]

    def echoes(at: Location) -> bool:
        return any(other[: len(at)] == at for other in others)

    return [fault for fault in faults if fault["type"] != "too_short" or not echoes(fault["loc"])]


def _message(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        return "is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in _SAYS_WHAT_WAS_GIVEN:
        return message
    given = fault.get("input")
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool | None) else ""
    return f"{message[0].lower()}{message[1:]}{shown[:60]}"
