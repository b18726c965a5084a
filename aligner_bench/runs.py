"""Runs: read and write the folder that one experiment produces."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import write_text
from aligner_bench.results.compute import compute
from aligner_bench.results.facts import Facts
from aligner_bench.results.schema import Results
from aligner_bench.store.folder import RunFolder
from aligner_bench.store.seal import sealed
from aligner_bench.store.tables import (
    COLUMNS,
    DERIVED,
    Draft,
    Row,
    columns_of,
    open_table,
    write_table,
)
from aligner_bench.store.traces import trajectory_rows

if TYPE_CHECKING:
    import pandas as pd


class Run(RunFolder):
    """A finished run, read from its folder."""

    def __init__(self, path: str | Path, nothing_to_do: bool = False) -> None:
        super().__init__(path)
        self.nothing_to_do = nothing_to_do  # the same run was requested again and is complete
        self._results: Results | None = None
        try:
            self._facts = _facts_from(self.manifest["facts"])
        except (KeyError, TypeError) as error:
            raise UsageError(f"{self.path / 'manifest.json'}: is not a run's manifest ({error})") from error

    @property
    def facts(self) -> Facts:
        """The inputs of the results other than the rows."""
        return self._facts

    def results(self) -> Results:
        """Return every published number, computed from the rows."""
        if self._results is None and self.nothing_to_do:  # the file was just verified
            text = (self.path / "leaderboard.json").read_text("utf-8")
            self._results = Results.model_validate_json(text)
        if self._results is None:
            self._results = compute(self.tables(), self._facts)
        return self._results

    def responses(self) -> pd.DataFrame:
        """Return one row per prompt and system."""
        return self._frame("responses")

    def verdicts(self) -> pd.DataFrame:
        """Return one row per judged pair and order."""
        return self._frame("verdicts")

    def trajectories(self) -> pd.DataFrame:
        """Return one row per corrector step: actor, action, scores and text hashes before and after."""
        return self._frame("trajectories")

    def leaderboard(self) -> pd.DataFrame:
        """Return one row per comparison, judge and suite, with all rates and their intervals."""
        import pandas as pd

        from aligner_bench.views.leaderboard import flat_rows

        return pd.DataFrame(flat_rows(self.results()))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the self-contained HTML report (default: RUN/report.html) and return its path."""
        from aligner_bench.views.answers import answers
        from aligner_bench.views.report import write_report

        target = Path(path) if path else self.path / "report.html"
        if not target.parent.is_dir():
            raise UsageError(f"{target.parent}: no such folder; expected a folder for the report")
        write_report(self.results(), answers(self.tables()), self.manifest, target)
        return target

    def publish(self) -> Path:
        """Write leaderboard.json and report.html, computed from the rows; return the report's path."""
        write_text(self.path / "leaderboard.json", self.results().model_dump_json(indent=1) + "\n")
        return self.report()

    def _frame(self, table: str) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.rows(table), columns=list(columns_of(table)))


def save(target: Path, tables: Mapping[str, Sequence[Row]], manifest: dict[str, Any]) -> None:
    """Write a run folder: tables, then the manifest that seals them, then leaderboard and report."""
    with Draft(target) as draft:
        for name, rows in tables.items():
            draft.add(name, rows)
        draft.finish()
    finish(target, manifest)


def finish(target: Path, manifest: dict[str, Any]) -> Run:
    """Write the manifest that seals the tables, then leaderboard and report; return the run."""
    stored = {name: open_table(name, target / f"{name}.parquet") for name in COLUMNS}
    write_table("trajectories", trajectory_rows(stored["responses"]), target / "trajectories.parquet")
    write_text(target / "manifest.json", json.dumps(sealed(manifest, stored), indent=1))
    run = Run(target)
    run.keep(stored)
    run.publish()
    return run


def check_target(target: Path, experiment_hash: str, overwrite: bool) -> None:
    """Raise UsageError if writing a run to ``target`` would destroy anything but the same run."""
    if target.is_file():
        raise UsageError(f"{target}: is a file; expected a folder for the run")
    # Only tables: a run interrupted before its manifest was written.
    tables = {f"{name}.parquet" for name in (*COLUMNS, *DERIVED)}
    if not target.exists() or {file.name for file in target.iterdir()} <= tables:
        return
    if not (target / "manifest.json").is_file():
        raise UsageError(f"{target}: contains files but no run; choose an empty or new folder with --out")
    held = Run(target).manifest["facts"]["experiment_hash"]
    if held != experiment_hash and not overwrite:
        raise UsageError(
            f"{target}: contains the run of a different experiment or limit; "
            "choose another folder with --out, or replace it with --overwrite"
        )


def _facts_from(stored: dict[str, Any]) -> Facts:
    return Facts(**{**stored, "comparisons": [tuple(pair) for pair in stored["comparisons"]]})


def merged(runs: Sequence[Run]) -> Results:
    """Merge the results of several runs.

    UsageError if one judge name has different identities, whose numbers must not share a table.
    """
    results = [run.results() for run in runs]
    identities: dict[str, str] = {}
    for one, run in zip(results, runs, strict=True):
        for judge in one.judges:
            if identities.setdefault(judge.judge, judge.identity) != judge.identity:
                raise UsageError(
                    f"{run.path}: judge {judge.judge!r} has another identity than in the runs before it "
                    f"({judge.identity[:12]}, not {identities[judge.judge][:12]}); "
                    "numbers of different judges must not share a table"
                )
    first = results[0]
    tables = (
        "suites",
        "judges",
        "inspectors",
        "systems",
        "rows",
        "trajectories",
        "copies",
        "refusals",
        "costs",
        "raters",
        "harm",
        "canaries",
        "papers",
        "trends",
        "effects",
        "actors",
        "gains",
        "orders",
        "oracles",
        "examples",
        "anatomy",
        "edit_bins",
        "crossings",
        "changes",
    )
    joined = {
        name: [item for one in results for item in getattr(one, name)]
        for name in (*tables, "headline", "warnings")
    }
    joined["judges"] = list({judge.judge: judge for judge in joined["judges"]}.values())
    name = ", ".join(dict.fromkeys(one.experiment for one in results))
    return first.model_copy(update={**joined, "experiment": name})
