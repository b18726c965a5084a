"""Execute an experiment and write its run folder."""

from __future__ import annotations

import platform
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aligner_bench.core.cache import cache_dir
from aligner_bench.core.errors import UsageError
from aligner_bench.core.hardware import hardware
from aligner_bench.core.registry import plugins_in
from aligner_bench.engines.base import make_engine
from aligner_bench.engines.costs import Spending, check_limit
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.experiment.profiles import FAIR, PROFILES
from aligner_bench.inspectors.base import inspector_identity
from aligner_bench.papers.spec import cells
from aligner_bench.results.facts import Facts
from aligner_bench.runner.completed import is_completed, record_completed, work_digest
from aligner_bench.runner.execute import execute
from aligner_bench.runner.plan import Plan, make_plan
from aligner_bench.runner.progress import Progress
from aligner_bench.runner.schedule import memory_limit, planned_items
from aligner_bench.runner.workbench import Workbench
from aligner_bench.runs import Run, check_target, finish
from aligner_bench.store.ledger import Ledger
from aligner_bench.store.tables import Draft

_PACKAGES = ("aligner-bench", "torch", "transformers", "numpy", "scipy", "pyarrow")


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
    """Execute an experiment; reuse the ledger's items and store new ones in it.

    Nothing is written before suites, models and plan have been checked. The run folder of another
    experiment is not replaced unless ``overwrite`` is true. ``max_cost`` (US dollars; default: the
    experiment's) ends the run with a BudgetError before it is exceeded. ``memory`` (GiB) limits what loaded
    models may take together (default: most of the device's memory).
    """
    limit = memory_limit(memory)
    target = Path(out) if out else Path("runs") / experiment.name
    check_target(target, experiment.hash(), overwrite)
    spending = Spending(experiment.known_prices(), experiment.max_cost if max_cost is None else max_cost)
    check_limit(spending.prices, spending.limit)
    suites = experiment.load_suites(data_dir)
    _check_models(experiment)
    started = datetime.now(UTC)
    with Ledger(ledger or cache_dir() / "ledger.sqlite") as book:
        bench = Workbench(
            experiment.anchored_models(), experiment.inspectors, book, progress, spending, limit
        )
        work = work_digest(experiment, suites, bench)
        if is_completed(book, work, target):
            return Run(target, nothing_to_do=True)
        plan = make_plan(experiment, suites=suites)
        bench.plan(planned_items(plan, experiment))
        with closing(bench), Draft(target) as draft:
            execute(experiment, plan, bench, draft.add)
            draft.finish()
        manifest = _manifest(experiment, _facts(experiment, plan), bench, started)
        del plan, bench, suites  # release memory before large results are computed
        finished = finish(target, manifest)
        if not draft.failed:
            record_completed(book, work, target)
    return finished


def _check_models(experiment: Experiment) -> None:
    """Find every model's identity before work starts. Raises UsageError for a missing file or package."""
    engines = {name: make_engine(spec) for name, spec in experiment.anchored_models().items()}
    for engine in engines.values():
        engine.identity()
    for inspector in experiment.inspectors.values():
        inspector_identity(inspector)
    for name, judge in experiment.judges.items():
        judge.check_weights(name)
        models = [model for model in (*judge.used("model"), *judge.own_models()) if model in engines]
        if judge.reads_probabilities():
            for reason in (getattr(engines[model], "cannot_choose", "") for model in models):
                if reason:
                    raise UsageError(f"judges.{name}: {reason}")


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
    return {name: list(spec.members()) for name, spec in experiment.judges.items() if spec.members()}


def _paper(experiment: Experiment, plan: Plan) -> dict[str, Any] | None:
    """Return the published table that is repeated.

    The run stores its cells, so that later editions of the table change no result.
    """
    if experiment.paper is None:
        return None
    found = cells(experiment.paper, experiment.pairs(), [suite.name for suite in plan.suites])
    return {"table": experiment.paper.table, "judge": experiment.paper.judge, "cells": found}


def _profile(experiment: Experiment) -> list[str]:
    """Return the sentence on a profile other than ``fair``: how it treats the two sides."""
    profile = PROFILES[experiment.profile]
    return [] if profile is FAIR else [f"Profile {experiment.profile}: {profile.words}."]


def _weights(experiment: Experiment) -> list[str]:
    """Return what engines report on each model's weights, such as quantisation."""
    said = {
        name: getattr(make_engine(spec), "weights_note", str)()
        for name, spec in experiment.anchored_models().items()
    }
    return [f"{name} {note}" for name, note in said.items() if note]


def _own_judges(experiment: Experiment) -> list[str]:
    """Return a warning for each judge that uses the inspectors which steered a system."""
    notes = []
    for judge, spec in experiment.judges.items():
        used = set(spec.inspects())
        steered = [name for name, system in experiment.systems.items() if used & system.used("inspector")]
        if steered:
            notes.append(
                f"{judge} scores with the inspectors that steered {', '.join(steered)}: "
                "winning by it shows that steering works, not that the answers are better."
            )
    return notes


def _manifest(experiment: Experiment, facts: Facts, bench: Workbench, started: datetime) -> dict[str, Any]:
    return {
        "facts": {name: getattr(facts, name) for name in Facts.__slots__},
        "experiment": experiment.model_dump(mode="json"),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "ledger": {"done": bench.computed, "reused": bench.reused},
        "spent": bench.spending.summary(),
        "model_loads": bench.loads,
        "model_unloads": bench.residency.unloads,
        "engines": bench.engine_facts(),
        "plugins": plugins_in(experiment),
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
