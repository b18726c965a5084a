"""Verify a run: recompute every published number from the rows, and check every file against its seal.

A consistent rewrite of rows, digests, leaderboard and report is not detected; for that, compare the manifest
digest, which ``verify`` prints, with an independent copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.experiment.experiment import experiment_hash
from aligner_bench.results.claims import Claim, claims, differing, leaves, short
from aligner_bench.results.compute import compute
from aligner_bench.results.schema import SCHEMA_VERSION, Results
from aligner_bench.runs import Run
from aligner_bench.store.seal import SEAL, manifest_digest, suite_hashes, table_digest
from aligner_bench.store.tables import COLUMNS, Row
from aligner_bench.verify.order import restored
from aligner_bench.verify.rows import row_faults
from aligner_bench.verify.trajectories import trajectory_faults

_INVALID = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    StopIteration,
)


@dataclass(slots=True)
class Verification:
    """The result of a verification.

    ``differences`` are faults, one line each; ``notes`` list checks that were skipped, with the reason;
    ``claims`` are the published values recomputed from the rows; ``checked`` counts the compared values by
    file.
    """

    run: str
    digest: str = ""
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no difference was found."""
        return not self.differences


def verify(path: str | Path, *, report: Path | None = None, baseline: Path | None = None) -> Verification:
    """Check a run folder: seal, rows, ``leaderboard.json``, report, and a gate's baseline made from the run.

    ``report`` is the report to check (default: ``report.html`` of the folder); ``baseline`` a file written by
    ``gate --save-baseline`` from this run. UsageError for a folder that is not a run, and for missing files.
    """
    folder = Path(path)
    if not (folder / "manifest.json").is_file():
        raise UsageError(f"{folder}: is not a run folder (no manifest.json in it)")
    for named in (report, baseline):
        if named is not None and not named.is_file():
            raise UsageError(f"{named}: no such file")
    found = Verification(str(folder))
    try:
        run = Run(folder)
    except UsageError as error:
        found.differences.append(str(error))
        return found
    seal = run.manifest.get(SEAL)
    found.digest = str(seal.get("manifest", "")) if isinstance(seal, dict) else ""
    found.differences += _seal_faults(run)
    tables = _tables(run, found)
    if tables is not None:
        _check_tables(run, tables, found)
        _check_numbers(run, tables, report or folder / "report.html", baseline, found)
    return found


def _check_numbers(
    run: Run, tables: Mapping[str, Sequence[Row]], page: Path, baseline: Path | None, found: Verification
) -> None:
    """Compare leaderboard, page and baseline with the numbers recomputed from the rows, in display order."""
    from aligner_bench.verify.page import prompts_shown

    board = _board(run, found)
    tables = restored(tables, board, prompts_shown(page), run.facts.comparisons)
    results = _recomputed(run, tables, found)
    if results is None:
        return
    found.claims = claims(results)
    if board and board.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        found.differences.append(_outdated(run, board["schema_version"]))
        return
    if board:
        found.checked["leaderboard.json"] = len(found.claims)
        found.differences += differing("leaderboard.json", dict(leaves(board)), found.claims)
    _check_report(run, tables, results, page, found)
    if baseline is not None:
        _check_baseline(run, baseline, found)


def _outdated(run: Run, version: object) -> str:
    return short(
        f"leaderboard.json: has schema version {version!r}, this version publishes {SCHEMA_VERSION}; only "
        f"rows and seal were checked; recompute its numbers: aligner-bench report {run.path} --recompute"
    )


def _seal_faults(run: Run) -> Iterator[str]:
    """Check the manifest against its digest, and its experiment against its hash."""
    seal = run.manifest.get(SEAL)
    if not isinstance(seal, dict):
        yield "manifest.json: has no digests (no 'seal'): saved by an older version, or removed"
        return
    if manifest_digest(run.manifest) != seal.get("manifest"):
        yield "manifest.json: was changed after the run (its digest does not match)"
    facts, experiment = run.manifest["facts"], run.manifest.get("experiment")
    if not isinstance(experiment, dict) or not {"systems", "models"} <= experiment.keys():
        return
    if experiment_hash(experiment, facts["scale"]) != facts["experiment_hash"]:
        yield "manifest.json: facts.experiment_hash is not the hash of the experiment in it"


def _tables(run: Run, found: Verification) -> dict[str, list[Row]] | None:
    tables = {}
    for name in COLUMNS:
        try:
            tables[name] = run.rows(name)
        except (UsageError, OSError, *_INVALID) as error:
            found.differences.append(short(f"{name}.parquet: cannot be read: {error}"))
    return tables if len(tables) == len(COLUMNS) else None


def _check_tables(run: Run, tables: Mapping[str, Sequence[Row]], found: Verification) -> None:
    seal = run.manifest.get(SEAL)
    sealed: Any = seal if isinstance(seal, dict) else {}
    for name, rows in tables.items():
        kept = sealed.get("tables", {}).get(name)
        if kept is not None and kept["sha256"] != table_digest(rows):
            found.differences.append(
                f"{name}.parquet: its {len(rows):,} rows are not the {kept['rows']:,} that were saved"
            )
    found.differences += _suite_faults(run, tables, sealed, found)
    for name, identity in sealed.get("judges", {}).items():
        held = next((row["identity"] for row in tables["judges"] if row["judge"] == name), None)
        if held != identity:
            found.differences.append(
                f"judges.parquet: judge {name!r} is {_brief(held)}, in the manifest {_brief(identity)}"
            )
    if (run.path / "trajectories.parquet").exists():
        try:
            found.differences += trajectory_faults(run.path, tables["responses"])
        except (UsageError, OSError, *_INVALID) as error:
            found.differences.append(short(f"trajectories.parquet: cannot be checked: {error}"))
    else:
        found.notes.append("trajectories.parquet: missing, not checked")
    try:
        found.differences += row_faults(tables, run.manifest)
    except _INVALID as error:
        found.differences.append(short(f"rows cannot be checked: {type(error).__name__} {error}"))


def _suite_faults(
    run: Run, tables: Mapping[str, Sequence[Row]], seal: Mapping[str, Any], found: Verification
) -> list[str]:
    """Check prompts against the content hashes of their suites, if these can be recomputed from the rows."""
    try:
        hashes = suite_hashes(tables["prompts"])
    except _INVALID as error:
        return [short(f"prompts.parquet: {type(error).__name__} {error}")]
    stated = {suite["name"]: suite for suite in run.manifest["facts"]["suites"]}
    faults = [
        f"prompts.parquet: suite {name!r} is not in the manifest" for name in hashes if name not in stated
    ]
    for name, suite in stated.items():
        if name not in hashes:
            faults.append(f"prompts.parquet: suite {name!r} of the manifest has no rows")
        elif name not in seal.get("suites_from_rows", ()):
            found.notes.append(
                f"suite {name}: its content hash cannot be recomputed from rows; only the seal is checked"
            )
        elif hashes[name] != suite["content_hash"]:
            faults.append(
                f"prompts.parquet: suite {name!r} has the content hash {hashes[name][:12]}, "
                f"in the manifest {suite['content_hash'][:12]}"
            )
    return faults


def _recomputed(run: Run, tables: Mapping[str, Sequence[Row]], found: Verification) -> Results | None:
    try:
        return compute(tables, run.facts)
    except (UsageError, *_INVALID) as error:
        found.differences.append(
            short(f"the numbers cannot be computed from these rows: {type(error).__name__} {error}")
        )
        return None


def _board(run: Run, found: Verification) -> dict[str, Any]:
    """Return the parsed ``leaderboard.json``; if invalid, add a difference and return an empty dict."""
    try:
        board = json.loads((run.path / "leaderboard.json").read_text("utf-8"))
        if isinstance(board, dict):
            return board
        found.differences.append("leaderboard.json: is not an object")
    except FileNotFoundError:
        found.differences.append("leaderboard.json: is missing")
    except (OSError, ValueError) as error:
        found.differences.append(short(f"leaderboard.json: is not JSON: {error}"))
    return {}


def _check_report(
    run: Run, tables: Mapping[str, Sequence[Row]], results: Results, page: Path, found: Verification
) -> None:
    from aligner_bench.verify.page import page_faults

    if not page.is_file():
        found.notes.append("report.html: missing, not checked")
        return
    try:
        found.differences += page_faults(
            page, tables, run.manifest, results, found.claims, found.notes.append
        )
        found.checked[page.name] = len(found.claims)
    except (OSError, *_INVALID) as error:
        found.differences.append(short(f"{page.name}: {error}"))


def _check_baseline(run: Run, baseline: Path, found: Verification) -> None:
    """Compare a gate's baseline file with the baseline computed from this run."""
    from aligner_bench.gate.baseline import make_baseline, read_baseline, without_tax

    try:
        written, ours = read_baseline(baseline), make_baseline(run)
    except UsageError as error:
        found.differences.append(str(error))
        return
    if not (run.path / "tax.json").is_file() and without_tax(written) != written:
        found.notes.append(f"{baseline.name}: the run's folder has no tax.json; its tax was not checked")
        written = without_tax(written)
    made = [Claim(path, value, "") for path, value in leaves(ours.model_dump(mode="json"))]
    found.checked[baseline.name] = len(made)
    found.differences += differing(baseline.name, dict(leaves(written.model_dump(mode="json"))), made)


def _brief(identity: str | None) -> str:
    return identity[:12] if identity else "none"
