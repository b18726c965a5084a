"""Open the sources of a suite: next to the definition, under the data folder, or on the hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.suites.readers import ErrorSink, Row, read_rows
from aligner_bench.suites.spec import COMMIT, PARQUET_REF, Columns, Part, Source

DATA_DIR_VARIABLE = "ALIGNER_BENCH_DATA"
REVISION_VARIABLE = "ALIGNER_BENCH_REVISION_"


class UnavailableError(Exception):
    """A source is not available; the message says what was tried and how to provide it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The folders to search: that of the definition and the data folder, if any."""

    suite: str
    definition_dir: Path
    data_dir: Path | None


@dataclass(frozen=True, slots=True)
class OpenPart:
    """One file or hub split: its label in errors, its columns, and its rows (readable repeatedly)."""

    label: str
    columns: Columns
    rows: Callable[[ErrorSink], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class OpenSource:
    """The parts that make up the suite. `title` names the source without machine-specific folders."""

    title: str
    parts: tuple[OpenPart, ...]


def resolve_data_dir(given: Path | None) -> Path | None:
    """Return the data folder: as given, else from ALIGNER_BENCH_DATA; UsageError if it is not a folder."""
    from_environment = os.environ.get(DATA_DIR_VARIABLE)
    folder = given if given is not None else Path(from_environment) if from_environment else None
    if folder is not None and not folder.is_dir():
        origin = "--data-dir" if given is not None else DATA_DIR_VARIABLE
        raise UsageError(f"{folder}: no such folder (from {origin}); expected the folder of local data sets")
    return folder


def open_source(source: Source, place: Place) -> list[OpenSource]:
    """Return the readings of one source; several if a local path is a pattern that matches several files.

    Raises UnavailableError if there is none.
    """
    if source.kind == "hub":
        return [_open_hub(source, place)]
    folder = place.definition_dir if source.kind == "packaged" else place.data_dir
    if folder is None:
        names = ", ".join(str(part.path) for part in source.all_parts())
        raise UnavailableError(f"local {names} (no data folder: give --data-dir or set {DATA_DIR_VARIABLE})")
    if source.parts:
        found = [_one_file(source, part, folder) for part in source.all_parts()]
        title = f"{source.kind} " + ", ".join(str(part.path) for part in source.parts)
        return [OpenSource(title, tuple(found))]
    files = _matching(source, source, folder)
    return [
        OpenSource(f"{source.kind} {path.relative_to(folder)}", (_file_part(source, source, path),))
        if path.is_relative_to(folder)
        else OpenSource(f"{source.kind} {path.name}", (_file_part(source, source, path),))
        for path in files
    ]


def _matching(source: Source, part: Part, folder: Path) -> list[Path]:
    pattern = part.path or ""
    if any(sign in pattern for sign in "*?["):
        files = sorted(folder.glob(pattern))
    else:
        files = [folder / pattern] if (folder / pattern).exists() else []
    if not files:
        raise UnavailableError(f"{source.kind} {folder / pattern} (no such file)")
    return files


def _one_file(source: Source, part: Part, folder: Path) -> OpenPart:
    return _file_part(source, part, _matching(source, part, folder)[0])


def _file_part(source: Source, part: Part, path: Path) -> OpenPart:
    return OpenPart(str(path), part.columns, lambda on_error: read_rows(path, source.format, on_error))


def _pinned_revision(source: Source, place: Place) -> str:
    """Return the commit to read: from the definition, else from the environment; never a branch."""
    if source.revision is not None:
        return source.revision
    variable = REVISION_VARIABLE + "".join(c if c.isalnum() else "_" for c in place.suite.upper())
    given = os.environ.get(variable, "")
    if given == PARQUET_REF or COMMIT.fullmatch(given):
        return given
    if given:
        raise UsageError(f"{variable}={given}: expected a commit of 40 hexadecimal digits")
    raise UnavailableError(
        f"hub {source.dataset} (no revision is pinned: set {variable} to a commit of the data set)"
    )


def _open_hub(source: Source, place: Place) -> OpenSource:
    revision = _pinned_revision(source, place)
    title = f"hub {source.dataset}@{revision}"
    parts = tuple(_hub_part(source, part, revision, title) for part in source.all_parts())
    return OpenSource(title, parts)


def _hub_part(source: Source, part: Part, revision: str, title: str) -> OpenPart:
    try:
        import datasets
        import huggingface_hub
    except ImportError:
        hint = MissingExtraError("datasets", "hub", "reading a data set from the hub")
        raise UnavailableError(f"{title} ({hint})") from None
    dataset = str(source.dataset)
    # The client warns at every retry; the error below reports the reason once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        if part.path is not None:
            path = huggingface_hub.hf_hub_download(dataset, part.path, repo_type="dataset", revision=revision)
            return _file_part(source, part, Path(path))
        loaded = datasets.load_dataset(dataset, part.config, split=part.split, revision=revision)
    except Exception as error:  # the hub's client raises dozens of kinds: network, access, names, formats
        reason = " ".join(str(error).split())
        short = reason if len(reason) <= 160 else reason[:160] + "…"
        raise UnavailableError(f"{title} ({type(error).__name__}: {short})") from None
    return OpenPart(f"{title} {part.split}", part.columns, lambda _: _hub_rows(loaded))


def _hub_rows(loaded: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, record in enumerate(loaded, start=1):
        yield Row(number, dict(record))
