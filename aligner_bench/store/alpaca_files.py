"""Find and read AlpacaEval's result files, with errors that name file and record.

AlpacaEval 2 writes ``results/MODEL/model_outputs.json`` and ``MODEL/ANNOTATOR/annotations.json``, both
JSON lists of flat records.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.textsafe import one_line

OUTPUTS, ANNOTATIONS = "model_outputs.json", "annotations.json"
_SPACE = " \t\r\n"
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Output:
    """One record of ``model_outputs.json``; ``before`` is the answer before correction, if known."""

    instruction: str
    text: str
    generator: str
    category: str
    before: str | None


@dataclass(frozen=True, slots=True)
class Annotation:
    """One record of ``annotations.json``. ``preference`` is in [1, 2] for the second output, or None."""

    instruction: str
    category: str
    baseline: str
    baseline_text: str
    candidate: str
    candidate_text: str
    judge: str
    preference: float | None
    problem: str
    raw: object


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file with its records; ``model`` is the name of its MODEL folder, if it is in one."""

    path: Path
    model: str | None
    outputs: tuple[Output, ...] = ()
    annotations: tuple[Annotation, ...] = ()


def read_results(paths: Sequence[Path]) -> list[ResultFile]:
    """Read all result files under the paths, each once, in order. UsageError for a path without results."""
    found: dict[Path, ResultFile] = {}
    for path in paths:
        for file in _files(path):
            if file.resolve() not in found:
                found[file.resolve()] = _read(file)
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder; expected AlpacaEval results")
    places = (f"{depth}{name}" for depth in ("", "*/", "*/*/") for name in (OUTPUTS, ANNOTATIONS))
    files = sorted((file for place in places for file in path.glob(place)), key=_sort_key)
    if not files:
        raise UsageError(f"{path}: no {OUTPUTS} and no {ANNOTATIONS} in it or up to two folders below")
    return files


def _sort_key(file: Path) -> tuple[str, bool, str]:
    is_annotations = file.name == ANNOTATIONS
    return str(file.parent.parent if is_annotations else file.parent), is_annotations, str(file)


def _read(path: Path) -> ResultFile:
    records = list(_records(path))
    if not records:
        raise UsageError(f"{path}: has no records")
    if path.name == ANNOTATIONS or "preference" in records[0][1]:
        annotations = tuple(_annotation(where, record) for where, record in records)
        return ResultFile(path, _model_of_annotations(path, annotations), annotations=annotations)
    outputs = tuple(_output(where, record) for where, record in records)
    return ResultFile(path, _model_of_outputs(path), outputs=outputs)


def _model_of_outputs(path: Path) -> str | None:
    """Return the name of the MODEL folder, recognised by its annotations; None if there are none."""
    beside = path.name == OUTPUTS and any(path.parent.glob(f"*/{ANNOTATIONS}"))
    return path.resolve().parent.name if beside else None


def _model_of_annotations(path: Path, annotations: Sequence[Annotation]) -> str | None:
    folder = path.resolve().parent
    is_layout = path.name == ANNOTATIONS and (folder.parent / OUTPUTS).is_file()
    return folder.parent.name if is_layout and len({a.candidate for a in annotations}) == 1 else None


def _records(path: Path) -> Iterator[tuple[str, Record]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    if not text.lstrip(_SPACE).startswith("["):
        raise UsageError(f"{path}: expected a JSON list of records, as AlpacaEval writes it")
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _syntax_error(path, text, error) from error
    for number, value in enumerate(values, 1):
        where = f"{path}, record {number}"
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected an object, not {type(value).__name__}")
        yield where, value


def _syntax_error(path: Path, text: str, error: Exception) -> UsageError:
    """Decode record by record up to the error, to find the record that contains it."""
    decoder, at, number = json.JSONDecoder(), text.index("[") + 1, 1
    try:
        while True:
            while text[at : at + 1] in (*_SPACE, ","):
                at += 1
            _, at = decoder.raw_decode(text, at)
            number += 1
    except (json.JSONDecodeError, RecursionError):
        line = f" (line {error.lineno}: {error.msg})" if isinstance(error, json.JSONDecodeError) else ""
        return UsageError(f"{path}, record {number}: not JSON{line}")


def _output(where: str, record: Record) -> Output:
    return Output(
        _text(record, "instruction", where),
        _text(record, "output", where, or_null=True),
        _optional(record, "generator", where),
        _optional(record, "dataset", where),
        _optional(record, "original_output", where) if record.get("original_output") is not None else None,
    )


def _annotation(where: str, record: Record) -> Annotation:
    preference, problem = _preference(record, where)
    return Annotation(
        instruction=_text(record, "instruction", where),
        category=_optional(record, "dataset", where),
        baseline=_text(record, "generator_1", where),
        baseline_text=_text(record, "output_1", where, or_null=True),
        candidate=_text(record, "generator_2", where),
        candidate_text=_text(record, "output_2", where, or_null=True),
        judge=_text(record, "annotator", where),
        preference=preference,
        problem=problem,
        raw=record.get("raw_completion"),
    )


def _preference(record: Record, where: str) -> tuple[float | None, str]:
    """Apply AlpacaEval's rules: 0 is a legacy value for 1.5; values outside [1, 2] are no preference."""
    if "preference" not in record:
        raise UsageError(f"{where}: preference: is missing; found: {one_line(', '.join(record))}")
    value = record["preference"]
    if value is None:
        return None, "no preference"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(
            f"{where}: preference: expected a number from 1 to 2, not {one_line(repr(value))[:60]}"
        )
    if value == 0:
        return 1.5, ""
    if math.isnan(value) or not 1 <= value <= 2:
        return None, f"preference {value:g} is not between 1 and 2"
    return float(value), ""


def _text(record: Record, field: str, where: str, or_null: bool = False) -> str:
    if field not in record:
        raise UsageError(f"{where}: {field}: is missing; found: {one_line(', '.join(record))}")
    value = record[field]
    if value is None and or_null:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{where}: {field}: expected text, not {type(value).__name__}")
    if not value and not or_null:
        raise UsageError(f"{where}: {field}: is empty")
    return value


def _optional(record: Record, field: str, where: str) -> str:
    return _text(record, field, where, or_null=True) if field in record else ""
