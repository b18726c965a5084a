"""Runs that need not be done again: the same work, with nothing failed, in a folder left as it was.

The ledger notes what a finished run was made of and the digests of its files. The same command then compares
those instead of asking the ledger for every item and counting everything anew.
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
    """SHA-256 of everything that decides a run's files: experiment, suites, models, judges, and this code."""
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
    """SHA-256 of this package's files: other code may count or draw differently."""
    package = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def remember(ledger: Ledger, work: str, target: Path) -> None:
    """Note that this folder holds this work, finished."""
    files = sorted(path.name for path in target.iterdir() if path.is_file())
    ledger.set_note(_key(work, target), _digests(target, files))


def is_finished(ledger: Ledger, work: str, target: Path) -> bool:
    """Does the folder hold this very work, every file as it was written?"""
    noted: Mapping[str, str] | None = ledger.note(_key(work, target))
    return noted is not None and _digests(target, noted) == noted


def _key(work: str, target: Path) -> str:
    return digest(["finished run", work, str(target.resolve())])


def _digests(target: Path, files: Iterable[str]) -> dict[str, str]:
    return {name: file_digest(target / name) for name in files if (target / name).is_file()}
