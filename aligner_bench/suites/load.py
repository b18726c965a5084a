"""Load a suite: read its definition and the first available source, and check row count and hash."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.packaged import packaged_dir
from aligner_bench.core.yamlfile import read_yaml, validated
from aligner_bench.suites.mapping import RowMapper
from aligner_bench.suites.readers import ErrorSink, raise_error
from aligner_bench.suites.sources import OpenSource, Place, UnavailableError, open_source, resolve_data_dir
from aligner_bench.suites.spec import SUFFIXES, Sample, Source, Subset, SuiteSpec
from aligner_bench.suites.types import Prompt, Suite, content_hash

NO_SOURCE = "no source is available"
_WHAT = "a suite definition"


class SourceMissingError(UsageError):
    """None of a suite's sources is available; the message lists what was tried."""


def suite_names() -> list[str]:
    """Return the sorted names of the packaged suites."""
    return sorted(path.stem for path in packaged_dir("suites").glob("*.yaml"))


def definition_path(name_or_path: str) -> Path:
    """Return the YAML file of a packaged suite or of a path; UsageError with the nearest valid name."""
    packaged = packaged_dir("suites") / f"{name_or_path}.yaml"
    if name_or_path in suite_names():
        return packaged
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.exists() or len(path.parts) > 1:
        return path
    raise UsageError(f"unknown suite {name_or_path!r}; {nearest(name_or_path, suite_names())}")


def read_spec(path: Path) -> SuiteSpec:
    """Return the validated definition at `path`."""
    if path.suffix.lower() in SUFFIXES:
        raise UsageError(f"{path}: is a data file; expected {_WHAT} (YAML) that names it as a source")
    return validated(SuiteSpec, read_yaml(path, _WHAT))


def load_suite(
    name_or_path: str, *, data_dir: Path | None = None, subset: str | None = None, hub: bool = True
) -> Suite:
    """Load a packaged suite by name, or any suite by the path of its YAML file.

    `NAME:SUBSET` is equivalent to `subset=SUBSET`. Local sources are read from `data_dir`, else from the
    folder ALIGNER_BENCH_DATA. `hub=False` skips hub sources. Raises UsageError for an invalid definition or
    row, for a count or hash other than the declared one, and if no source is available.
    """
    if subset is None and ":" in name_or_path and not Path(name_or_path).exists():
        name_or_path, _, subset = name_or_path.rpartition(":")
    path = definition_path(name_or_path)
    spec = read_spec(path)
    chosen = _chosen_subset(path, spec, subset)
    place = Place(spec.name, path.resolve().parent, resolve_data_dir(data_dir))
    suite = _load_all(spec, [s for s in spec.sources if hub or s.kind != "hub"], place)
    return suite if chosen is None else _narrowed(path, spec, suite, str(subset), chosen)


def _chosen_subset(path: Path, spec: SuiteSpec, subset: str | None) -> Subset | None:
    if subset is not None and subset not in spec.subsets:
        raise UsageError(f"{path}: unknown subset {subset!r}; {nearest(subset, spec.subsets)}")
    return None if subset is None else spec.subsets[subset]


def _load_all(spec: SuiteSpec, sources: list[Source], place: Place) -> Suite:
    tried: list[str] = []
    for source in sources:
        try:
            readings = open_source(source, place)
        except UnavailableError as reason:
            tried.append(str(reason))
            continue
        return _first_good(spec, source, readings)
    raise SourceMissingError(f"suite {spec.name}: {NO_SOURCE}; tried: " + "; ".join(tried))


def _first_good(spec: SuiteSpec, source: Source, readings: list[OpenSource]) -> Suite:
    """Return the first reading without errors; if all have errors, raise the error of the last."""
    for reading in readings[:-1]:
        try:
            return _read(spec, source, reading)
        except UsageError:
            continue
    return _read(spec, source, readings[-1])


def stream(
    spec: SuiteSpec, source: Source, reading: OpenSource, on_error: ErrorSink = raise_error
) -> Iterator[tuple[str, Prompt]]:
    """Yield every prompt of a reading with its origin `file:line`, in order."""
    for part in reading.parts:
        mapper = RowMapper(spec, source, part.columns, part.label)
        for line, prompt in mapper.prompts(part.rows(on_error), on_error):
            yield f"{part.label}:{line}", prompt


def _read(spec: SuiteSpec, source: Source, reading: OpenSource) -> Suite:
    prompts: list[Prompt] = []
    places: dict[str, str] = {}
    for where, prompt in stream(spec, source, reading):
        if prompt.prompt_id in places:
            raise duplicate_error(where, prompt.prompt_id, places[prompt.prompt_id])
        places[prompt.prompt_id] = where
        prompts.append(prompt)
    found_hash = content_hash(prompt.content_digest() for prompt in prompts)
    check_expected(spec, source, reading, len(prompts), found_hash)
    present = sorted({prompt.category for prompt in prompts})
    names = spec.category_names()
    return Suite(
        name=spec.name,
        version=spec.version,
        licence=spec.licence,
        source=reading.title,
        content_hash=found_hash,
        prompts=tuple(prompts),
        categories=spec.category_order() or tuple(present),
        relevant=tuple(names[str(name)] for name in spec.relevant),
        description=spec.description,
    )


def duplicate_error(where: str, prompt_id: str, first: str) -> UsageError:
    """Return the error for a `prompt_id` that occurs at `where` and, before it, at `first` (`file:line`)."""
    return UsageError(f"{where}: prompt_id: duplicate {prompt_id!r}; first at {first}")


def check_expected(spec: SuiteSpec, source: Source, reading: OpenSource, rows: int, found_hash: str) -> None:
    """Raise UsageError with source and finding if the row count or the hash is not the declared one."""
    where = f"suite {spec.name}, source {reading.title}"
    if rows == 0:
        raise UsageError(f"{where}: has no rows")
    if source.expected_rows is not None and rows != source.expected_rows:
        raise UsageError(f"{where}: expected_rows: expected {source.expected_rows:,} rows, found {rows:,}")
    if source.content_hash is not None and found_hash != source.content_hash:
        raise UsageError(
            f"{where}: content_hash: expected {source.content_hash}, found {found_hash}; the data changed"
        )


def _narrowed(path: Path, spec: SuiteSpec, suite: Suite, name: str, subset: Subset) -> Suite:
    names = spec.category_names()
    categories = {names[str(category)] for category in subset.categories or []}
    ids = set(subset.ids or [])
    unknown = ids - {prompt.prompt_id for prompt in suite.prompts}
    if unknown:
        raise UsageError(f"{path}: subset {name!r}: ids: no prompt has the id {min(unknown)!r}")
    kept = [
        prompt.prompt_id
        for prompt in suite.prompts
        if (not ids or prompt.prompt_id in ids)
        and (not categories or prompt.category in categories)
        and (not subset.criteria or prompt.criterion in subset.criteria)
    ]
    if subset.sample is not None:
        kept = _sampled(path, name, kept, subset.sample)
    if not kept or subset.expected_rows not in (None, len(kept)):
        raise UsageError(f"{path}: subset {name!r}: expected {subset.expected_rows} rows, found {len(kept)}")
    narrowed = suite.narrowed(kept)
    return replace(narrowed, subset=name, approximate=subset.approximate, note=subset.note)


def _sampled(path: Path, name: str, ids: list[str], sample: Sample) -> list[str]:
    """Return `random.seed(seed); random.sample(ids, n)` over the sorted ids."""
    if sample.n > len(ids):
        raise UsageError(f"{path}: subset {name!r}: sample: n is {sample.n}, but there are {len(ids)} rows")
    return random.Random(sample.seed).sample(sorted(ids), sample.n)
