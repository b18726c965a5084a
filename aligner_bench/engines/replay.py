"""Recorded outputs: JSONL, JSON or Parquet rows, found by ``prompt_id`` or else by prompt text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import file_digest
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.base import ModelSpec

_PROMPT_FIELDS = ("prompt", "instruction", "input", "question")
_OUTPUT_FIELDS = ("output", "response", "answer", "text")


class ReplayEngine:
    """Answers from a file; outputs of a repeated prompt are its samples 0, 1, … in file order."""

    def __init__(self, spec: ReplayModel) -> None:
        if not spec.path.is_file():
            raise UsageError(f"engine replay: no such file: {spec.path}")
        self._path = spec.path
        self._outputs: dict[str, list[Completion]] = {}

    def identity(self) -> dict[str, Any]:
        """Return the file's content hash: other recordings are another model."""
        return {"engine": "replay", "sha256": file_digest(self._path)}

    def load(self) -> None:
        """Read the file. Raises UsageError that names the invalid row."""
        for where, row in _rows(self._path):
            prompt = _field(row, ("prompt_id", *_PROMPT_FIELDS), where)
            output = _field(row, _OUTPUT_FIELDS, where)
            reason = "error" if row.get("error") else "replay"
            self._outputs.setdefault(prompt, []).append(
                Completion(
                    text=output,
                    finish_reason=reason,  # type: ignore[arg-type]
                    prompt_tokens=int(row.get("prompt_tokens") or 0),
                    completion_tokens=int(row.get("completion_tokens") or 0),
                    error=row.get("error"),
                )
            )

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the recorded outputs; a prompt without one gives status error."""
        return [self._find(request) for request in requests]

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Raise UsageError: recordings hold no probabilities."""
        raise UsageError("engine replay holds texts, not probabilities; a logprob judge needs a live engine")

    def _find(self, request: Request) -> Completion:
        text = request.prefix + request.answer + request.suffix
        recorded = self._outputs.get(request.item) or self._outputs.get(text, [])
        if request.sample < len(recorded):
            return recorded[request.sample]
        missing = f"no recorded output for this prompt (sample {request.sample}) in {self._path.name}"
        return Completion(text="", finish_reason="error", error=missing)


def read_outputs(path: Path) -> dict[str, str]:
    """Return outputs by prompt_id (or prompt) from a recording; the first of repeated prompts.

    Raises UsageError for a missing file or an invalid row.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    outputs: dict[str, str] = {}
    for where, row in _rows(path):
        prompt = _field(row, ("prompt_id", *_PROMPT_FIELDS), where)
        outputs.setdefault(prompt, _field(row, _OUTPUT_FIELDS, where))
    return outputs


def _field(row: dict[str, Any], names: Sequence[str], where: str) -> str:
    for name in names:
        if isinstance(row.get(name), str):
            return str(row[name])
    raise UsageError(
        f"{where}: expected a text in one of {', '.join(names)}; found {', '.join(map(str, row))}"
    )


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(f"{path}: not a readable Parquet file ({error})") from error
        for number, row in enumerate(table.to_pylist(), 1):
            yield f"{path}, row {number}", row
        return
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start})") from error
    yield from _json_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
        numbered = [(f"{path}, record {number}", row) for number, row in enumerate(rows, 1)]
    else:
        numbered = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    numbered.append((f"{path}, line {number}", json.loads(line)))
                except json.JSONDecodeError as error:
                    raise UsageError(f"{path}, line {number}: not JSON ({error.msg})") from error
    for where, row in numbered:
        if not isinstance(row, dict):
            raise UsageError(f"{where}: expected an object, found {type(row).__name__}")
        yield where, row


class ReplayModel(ModelSpec):
    """Recorded outputs of a model that is not called."""

    live: ClassVar[bool] = False
    holds_weights: ClassVar[bool] = False

    path: Path = Field(description="the file with recorded outputs: JSONL, JSON or Parquet")

    def make(self) -> ReplayEngine:
        """Return the engine; ``load`` reads the file."""
        return ReplayEngine(self)

    def stand_in(self) -> ModelSpec:
        """Return the spec itself: recordings need no stand-in."""
        return self
