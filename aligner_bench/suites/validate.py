"""Validate a suite or a data file of any size: every error with its line, in bounded memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from aligner_bench.core.errors import UsageError
from aligner_bench.suites.load import NO_SOURCE, check_expected, duplicate_error, read_spec, stream
from aligner_bench.suites.readers import read_rows
from aligner_bench.suites.sources import (
    OpenPart,
    OpenSource,
    Place,
    UnavailableError,
    open_source,
    resolve_data_dir,
)
from aligner_bench.suites.spec import SUFFIXES, Columns, Source, SuiteSpec
from aligner_bench.suites.types import Prompt

MAX_ERRORS = 20
_DIGEST_BYTES = 32


@dataclass(slots=True)
class SourceCheck:
    """The result of checking one source: counts, content hash, and the first errors with their lines."""

    source: str
    rows: int = 0
    characters: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    content_hash: str = ""
    errors: list[str] = field(default_factory=list)
    more_errors: int = 0
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether no error was found; a source that is not available is unchecked, not an error."""
        return not self.errors

    @property
    def mean_characters(self) -> float:
        """Mean length of the prompts' texts, in characters."""
        return self.characters / self.rows if self.rows else 0.0

    def report(self, error: UsageError) -> None:
        """Add an error; keep the first `MAX_ERRORS`, count the rest."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(str(error))
        else:
            self.more_errors += 1


def validate(path: Path, *, data_dir: Path | None = None) -> list[SourceCheck]:
    """Check a suite definition with all its packaged and local sources, or a data file without definition.

    Memory is about 40 bytes per row (the text of a JSON array is held in full). Errors of rows are collected
    in the result; a definition that cannot be read raises UsageError.
    """
    if path.suffix.lower() in SUFFIXES:
        return [_check(*_bare(path))]
    spec = read_spec(path)
    place = Place(spec.name, path.resolve().parent, resolve_data_dir(data_dir))
    checks = [check for source in spec.sources for check in _check_source(spec, source, place)]
    if all(check.skipped for check in checks) and any(source.kind != "hub" for source in spec.sources):
        tried = "; ".join(check.skipped for check in checks)
        raise UsageError(f"{path}: {NO_SOURCE}; tried: {tried}")
    return checks


def _bare(path: Path) -> tuple[SuiteSpec, Source, OpenSource]:
    """Return a data file wrapped in a definition without column names."""
    source = Source(kind="packaged", path=path.name)
    spec = SuiteSpec(name="data", version="0", licence="unknown", sources=[source])
    part = OpenPart(str(path), Columns(), lambda on_error: read_rows(path, None, on_error))
    return spec, source, OpenSource(str(path), (part,))


def _check_source(spec: SuiteSpec, source: Source, place: Place) -> Iterator[SourceCheck]:
    if source.kind == "hub":
        yield SourceCheck(
            f"hub {source.dataset}", skipped=f"hub {source.dataset} (validate skips hub sources)"
        )
        return
    try:
        readings = open_source(source, place)
    except UnavailableError as reason:
        names = ", ".join(str(part.path) for part in source.all_parts())
        yield SourceCheck(f"{source.kind} {names}", skipped=str(reason))
        return
    checks = (_check(spec, source, reading) for reading in readings)
    yield next((check for check in checks if check.ok), None) or _check(spec, source, readings[-1])


def _check(spec: SuiteSpec, source: Source, reading: OpenSource) -> SourceCheck:
    check = SourceCheck(reading.title)
    hashes, digests = array("Q"), bytearray()
    try:
        for _, prompt in stream(spec, source, reading, check.report):
            check.rows += 1
            check.characters += len(prompt.text)
            check.categories[prompt.category] += 1
            hashes.append(_id_hash(prompt))
            digests += prompt.content_digest()
        check.content_hash = _content_hash(digests)
        _report_duplicates(spec, source, reading, hashes, check)
        check_expected(spec, source, reading, check.rows, check.content_hash)
    except UsageError as error:
        check.report(error)
    return check


def _id_hash(prompt: Prompt) -> int:
    return int.from_bytes(blake2b(prompt.prompt_id.encode(), digest_size=8).digest(), "little")


def _content_hash(digests: bytearray) -> str:
    """Compute `types.content_hash` over concatenated digests, sorted in place instead of as objects."""
    from hashlib import sha256

    import numpy as np

    rows = np.frombuffer(digests, dtype=f"S{_DIGEST_BYTES}").copy()
    rows.sort()
    return sha256(rows.tobytes()).hexdigest()


def _report_duplicates(
    spec: SuiteSpec, source: Source, reading: OpenSource, hashes: array[int], check: SourceCheck
) -> None:
    """Report duplicate ids. Rows are read again, for their lines, only if id hashes collide."""
    import numpy as np

    ordered = np.sort(np.frombuffer(hashes, dtype=np.uint64)) if hashes else np.empty(0, np.uint64)
    repeated = {int(value) for value in ordered[1:][ordered[1:] == ordered[:-1]]}
    if not repeated:
        return
    first_seen: dict[str, str] = {}
    for where, prompt in stream(spec, source, reading, lambda _: None):
        if _id_hash(prompt) in repeated:
            first = first_seen.setdefault(prompt.prompt_id, where)
            if first != where:
                check.report(duplicate_error(where, prompt.prompt_id, first))
