"""A run: the folder that one experiment file produced, and the way to it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from aligner_bench.cache import cache_dir
from aligner_bench.errors import UsageError
from aligner_bench.experiment import Experiment, steering
from aligner_bench.hardware import hardware
from aligner_bench.results import Facts, compute
from aligner_bench.schema import Results
from aligner_bench.seal import sealed
from aligner_bench.tables import (
    COLUMNS,
    DERIVED,
    Draft,
    Row,
    Table,
    columns_of,
    open_table,
    read_table,
    write_table,
    write_text,
)
from aligner_bench.traces import trajectory_rows

if TYPE_CHECKING:
    import pandas as pd

    from aligner_bench.judges.specs import AlpacaEvalSpec, JudgeSpec, LogprobSpec
    from aligner_bench.runner.plan import Plan
    from aligner_bench.runner.workbench import Progress, Workbench

_PACKAGES = ("aligner-bench", "torch", "transformers", "numpy", "scipy", "pyarrow")


class Run:
    """A finished run, read from its folder."""

    def __init__(self, path: str | Path, nothing_to_do: bool = False) -> None:
        self.path = Path(path)
        self.nothing_to_do = nothing_to_do  # it was asked for again and stands as it was
        self._results: Results | None = None
        self._tables: Mapping[str, Table] | None = None
        file = self.path / "manifest.json"
        if not file.is_file():
            raise UsageError(f"{self.path}: is not a run folder (no manifest.json in it)")
        try:
            self.manifest: dict[str, Any] = json.loads(file.read_text("utf-8"))
            self._facts = _facts_from(self.manifest["facts"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UsageError(f"{file}: is not a run's manifest ({error})") from error

    def rows(self, table: str) -> list[Row]:
        """One table as plain rows: prompts, responses, verdicts, audits, inspectors or judges."""
        return read_table(table, self.path / f"{table}.parquet")

    def tables(self) -> Mapping[str, Table]:
        """All tables, their rows made only as they are looked at."""
        if self._tables is None:
            self._tables = {name: open_table(name, self.path / f"{name}.parquet") for name in COLUMNS}
        return self._tables

    @property
    def facts(self) -> Facts:
        """What the results need beside the rows."""
        return self._facts

    def results(self) -> Results:
        """Every published number, computed from the rows."""
        if self._results is None and self.nothing_to_do:  # the file was just found to be as it was written
            text = (self.path / "leaderboard.json").read_text("utf-8")
            self._results = Results.model_validate_json(text)
        if self._results is None:
            self._results = compute(self.tables(), self._facts)
        return self._results

    def responses(self) -> pd.DataFrame:
        """One row a prompt and system."""
        return self._frame("responses")

    def verdicts(self) -> pd.DataFrame:
        """One row a judged pair and order."""
        return self._frame("verdicts")

    def trajectories(self) -> pd.DataFrame:
        """One row a step of a corrector: who acted or skipped, scores and text hashes before and after."""
        return self._frame("trajectories")

    def leaderboard(self) -> pd.DataFrame:
        """One row a comparison, judge and suite, with all rates and their intervals."""
        import pandas as pd

        from aligner_bench.views.leaderboard import flat_rows

        return pd.DataFrame(flat_rows(self.results()))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the self-contained HTML report; its path."""
        from aligner_bench.views.answers import answers
        from aligner_bench.views.report import write_report

        target = Path(path) if path else self.path / "report.html"
        if not target.parent.is_dir():
            raise UsageError(f"{target.parent}: no such folder; expected a place for the report")
        write_report(self.results(), answers(self.tables()), self.manifest, target)
        return target

    def _frame(self, table: str) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.rows(table), columns=list(columns_of(table)))


def run(
    experiment: Experiment,
    out: str | Path | None = None,
    *,
    data_dir: Path | None = None,
    ledger: Path | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
    max_cost: float | None = None,
    memory: float | None = None,
) -> Run:
    """Execute an experiment; finished items come from the ledger, new ones go into it.

    Nothing is written, and no folder made, before suites, models and plan are known to be sound. A run
    folder of another experiment is not replaced unless ``overwrite`` says so. ``max_cost`` (US dollars, else
    the experiment's) ends the run with a BudgetError before it is passed. ``memory`` (GiB) is what loaded
    models may take together, else most of what the device has.
    """
    from aligner_bench.costs import Purse, check_limit
    from aligner_bench.finished import is_finished, remember, work_digest
    from aligner_bench.ledger import Ledger
    from aligner_bench.runner.execute import execute
    from aligner_bench.runner.plan import load_suites, make_plan
    from aligner_bench.runner.schedule import memory_limit, planned_items
    from aligner_bench.runner.workbench import Workbench

    limit = memory_limit(memory)
    target = Path(out) if out else Path("runs") / experiment.name
    check_target(target, experiment.hash(), overwrite)
    purse = Purse(experiment.known_prices(), experiment.max_cost if max_cost is None else max_cost)
    check_limit(purse.prices, purse.limit)
    suites = load_suites(experiment, data_dir)
    _check_models(experiment)
    started = datetime.now(UTC)
    with Ledger(ledger or cache_dir() / "ledger.sqlite") as book:
        bench = Workbench(experiment.anchored_models(), experiment.inspectors, book, progress, purse, limit)
        work = work_digest(experiment, suites, bench)
        if is_finished(book, work, target):
            return Run(target, nothing_to_do=True)
        plan = make_plan(experiment, suites=suites)
        bench.plan(planned_items(plan, experiment))
        with closing(bench), Draft(target) as draft:
            execute(experiment, plan, bench, draft.add)
            draft.finish()
        manifest = _manifest(experiment, _facts(experiment, plan), bench, started)
        del plan, bench, suites  # counting a large run needs the room
        finished = _finish(target, manifest)
        if not draft.failed:
            remember(book, work, target)
    return finished


def save(target: Path, tables: Mapping[str, Sequence[Row]], manifest: dict[str, Any]) -> None:
    """Write a run folder: tables, then the manifest that seals them, then leaderboard and report."""
    with Draft(target) as draft:
        for name, rows in tables.items():
            draft.add(name, rows)
        draft.finish()
    _finish(target, manifest)


def _finish(target: Path, manifest: dict[str, Any]) -> Run:
    """The manifest that seals the tables, then what is computed from them."""
    stored = {name: open_table(name, target / f"{name}.parquet") for name in COLUMNS}
    write_table("trajectories", trajectory_rows(stored["responses"]), target / "trajectories.parquet")
    write_text(target / "manifest.json", json.dumps(sealed(manifest, stored), indent=1))
    finished = Run(target)
    finished._tables = stored
    write_text(target / "leaderboard.json", finished.results().model_dump_json(indent=1) + "\n")
    finished.report()
    return finished


def check_target(target: Path, experiment_hash: str, overwrite: bool) -> None:
    """UsageError where writing a run here would destroy something else than the same run."""
    if target.is_file():
        raise UsageError(f"{target}: is a file; expected a folder for the run")
    # Nothing but tables: a run that was killed between its last row and its manifest.
    tables = {f"{name}.parquet" for name in (*COLUMNS, *DERIVED)}
    if not target.exists() or {file.name for file in target.iterdir()} <= tables:
        return
    if not (target / "manifest.json").is_file():
        raise UsageError(f"{target}: holds files but no run; choose an empty or new folder with --out")
    held = Run(target).manifest["facts"]["experiment_hash"]
    if held != experiment_hash and not overwrite:
        raise UsageError(
            f"{target}: holds the run of another experiment or other limits; "
            "choose another folder with --out, or replace it with --overwrite"
        )


def _check_models(experiment: Experiment) -> None:
    """Every model's identity, before anything is made: a missing file or package ends here."""
    from aligner_bench.engines.base import make_engine
    from aligner_bench.inspectors.base import inspector_identity
    from aligner_bench.judges.pairrm_checkpoint import check_name
    from aligner_bench.judges.specs import PairRMSpec

    engines = {name: make_engine(spec) for name, spec in experiment.anchored_models().items()}
    for engine in engines.values():
        engine.identity()
    for inspector in experiment.inspectors.values():
        inspector_identity(inspector)
    for name, judge in experiment.judges.items():
        if isinstance(judge, PairRMSpec):
            check_name(name, judge)
        if _reads_probabilities(judge) and judge.model in engines:
            reason = getattr(engines[judge.model], "cannot_choose", "")
            if reason:
                raise UsageError(f"judges.{name}: {reason}")


def _reads_probabilities(judge: JudgeSpec) -> TypeGuard[LogprobSpec | AlpacaEvalSpec]:
    """Does the judge need probabilities of tokens that its model may not draw?"""
    from aligner_bench.judges.alpaca_eval_configs import load_annotator
    from aligner_bench.judges.specs import AlpacaEvalSpec, LogprobSpec

    if isinstance(judge, AlpacaEvalSpec):
        return load_annotator(judge.annotator).top_logprobs > 0
    return isinstance(judge, LogprobSpec)


def _facts(experiment: Experiment, plan: Plan) -> Facts:
    suites = [
        {
            "name": suite.name,
            "version": suite.version,
            "licence": suite.licence,
            "source": suite.source,
            "content_hash": suite.content_hash,
            "n": len(suite),
            "categories": list(suite.categories) or list(dict.fromkeys(p.category for p in suite.prompts)),
            "relevant": list(suite.relevant),
        }
        for suite in plan.suites
    ]
    return Facts(
        experiment.name,
        experiment.hash(),
        experiment.scale,
        suites,
        experiment.pairs(),
        experiment.headline,
        notes=[*_profile(experiment), *_own_judges(experiment), *_weights(experiment)],
        ensembles=_ensembles(experiment),
        paper=_paper(experiment, plan),
        trends=experiment.trends,
    )


def _ensembles(experiment: Experiment) -> dict[str, list[str]]:
    from aligner_bench.judges.specs import EnsembleSpec

    specs = experiment.judges.items()
    return {name: list(spec.judges) for name, spec in specs if isinstance(spec, EnsembleSpec)}


def _paper(experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """The published table that is repeated, with its cells, so that later editions of it change no result."""
    from aligner_bench.paper_spec import cells

    if experiment.paper is None:
        return None
    found = cells(experiment.paper, experiment.pairs(), [suite.name for suite in plan.suites])
    return {"table": experiment.paper.table, "judge": experiment.paper.judge, "cells": found}


def _profile(experiment: Experiment) -> list[str]:
    """What a profile that is not fair does to the two sides."""
    from aligner_bench.profiles import FAIR, PROFILES

    profile = PROFILES[experiment.profile]
    return [] if profile is FAIR else [f"Profile {experiment.profile}: {profile.words}."]


def _weights(experiment: Experiment) -> list[str]:
    """What engines say of the weights of each model: quantised ones are another model."""
    from aligner_bench.engines.base import make_engine

    said = {
        name: getattr(make_engine(spec), "weights_note", str)()
        for name, spec in experiment.anchored_models().items()
    }
    return [f"{name} {note}" for name, note in said.items() if note]


def _own_judges(experiment: Experiment) -> list[str]:
    """A warning for each judge that scores with the inspectors by which a system was steered."""
    notes = []
    for judge, spec in experiment.judges.items():
        used = set(getattr(spec, "inspectors", ()))
        steered = [name for name, system in experiment.systems.items() if used & steering(system)]
        if steered:
            notes.append(
                f"{judge} scores with the inspectors that steered {', '.join(steered)}: "
                "winning by it shows that steering works, not that the answers are better."
            )
    return notes


def _facts_from(stored: dict[str, Any]) -> Facts:
    return Facts(**{**stored, "comparisons": [tuple(pair) for pair in stored["comparisons"]]})


def _manifest(experiment: Experiment, facts: Facts, bench: Workbench, started: datetime) -> dict[str, Any]:
    return {
        "facts": {name: getattr(facts, name) for name in Facts.__slots__},
        "experiment": experiment.model_dump(mode="json"),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "ledger": {"done": bench.done, "reused": bench.reused},
        "spent": bench.purse.summary(),
        "model_loads": bench.loads,
        "model_unloads": bench.residency.unloads,
        "engines": bench.engine_facts(),
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": hardware(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def merged(runs: Sequence[Run]) -> Results:
    """The results of several runs as one.

    UsageError where one judge's name stands for different identities: such numbers must not share a table.
    """
    results = [run.results() for run in runs]
    identities: dict[str, str] = {}
    for one, run in zip(results, runs, strict=True):
        for judge in one.judges:
            if identities.setdefault(judge.judge, judge.identity) != judge.identity:
                raise UsageError(
                    f"{run.path}: judge {judge.judge!r} is another judge than in the runs before it "
                    f"(identity {judge.identity[:12]}, not {identities[judge.judge][:12]}); "
                    "numbers of different judges do not share a table"
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
