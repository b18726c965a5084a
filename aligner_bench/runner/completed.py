"""Detect completed runs, which need no recomputation.

The ledger records what a completed run consisted of and the digests of its files. The same command compares
these digests instead of looking up every item in the ledger and recomputing every result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aligner_bench.core.files import file_digest
from aligner_bench.core.hashing import digest
from aligner_bench.core.registry import plugin_sources, plugins_in
from aligner_bench.core.types import Services
from aligner_bench.store.ledger import Ledger


def work_digest(experiment: Any, suites: Sequence[Any], services: Services) -> str:
    """Return the SHA-256 of everything that decides a run's files.

    Covers the experiment, suites, models, judges, and the code of this package.
    """
    names = [*experiment.models, *experiment.inspectors]
    return digest(
        [
            experiment.hash(),
            [experiment.name, experiment.description],
            [[suite.name, suite.content_hash, [p.prompt_id for p in suite.prompts]] for suite in suites],
            {name: services.identity(name) for name in names},
            {name: judge.identity(services) for name, judge in experiment.make_judges().items()},
            _code(),
            [plugins_in(experiment), plugin_sources(experiment)],
        ]
    )


@cache
def _code() -> str:
    """Return the SHA-256 of this package's files: other code may compute or render differently."""
    package = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def record_completed(ledger: Ledger, work: str, target: Path) -> None:
    """Record that ``target`` holds the completed run of ``work`` (a ``work_digest``)."""
    files = sorted(path.name for path in target.iterdir() if path.is_file())
    ledger.set_note(_key(work, target), _digests(target, files))


def is_completed(ledger: Ledger, work: str, target: Path) -> bool:
    """Return whether ``target`` holds the completed run of ``work``, with every file unchanged."""
    noted: Mapping[str, str] | None = ledger.note(_key(work, target))
    return noted is not None and _digests(target, noted) == noted


def _key(work: str, target: Path) -> str:
    return digest(["finished run", work, str(target.resolve())])


def _digests(target: Path, files: Iterable[str]) -> dict[str, str]:
    return {name: file_digest(target / name) for name in files if (target / name).is_file()}
