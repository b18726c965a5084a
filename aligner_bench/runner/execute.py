"""Execute an experiment: upstream answers, corrections, verdicts, ratings and audits as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aligner_bench.core.hashing import digest
from aligner_bench.core.registry import from_plugin
from aligner_bench.core.types import Answer, Completion, Pair, Request, Verdict
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.system import SystemSpec
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.inspectors.base import PACKAGED, packaged_pairs
from aligner_bench.judges.base import Judge
from aligner_bench.judges.canary_trials import canary_rows
from aligner_bench.raters.base import Rater
from aligner_bench.raters.table import audit_rows, rater_row, ratings_of_block
from aligner_bench.runner.plan import Plan, audit_pairs, judges_suite
from aligner_bench.runner.workbench import Workbench
from aligner_bench.suites.types import Prompt, Suite
from aligner_bench.texts.match import matches

Row = dict[str, Any]
Place = tuple[Suite, Prompt]
Store = Callable[[str, Sequence[Row]], None]
"""Receives rows of the named table as they are produced."""
BLOCK = 8192
"""Prompts per block; bounds peak memory."""


def execute(experiment: Experiment, plan: Plan, bench: Workbench, store: Store) -> None:
    """Run all stages block by block; look items up in the ledger, pass rows to ``store``."""
    judges = experiment.make_judges()
    raters = {name: spec.make() for name, spec in experiment.raters.items()}
    blocks = _blocks(experiment, plan)
    bench.expect(len(blocks) * _phases(experiment) + 2)
    for places in blocks:
        _run_block(experiment, plan, places, judges, raters, bench, store)
    bench.phase("judge and rater audits")
    if experiment.canaries:
        store("canaries", [row for name, judge in judges.items() for row in canary_rows(name, judge, bench)])
    store("rater_audits", [row for name, rater in raters.items() for row in audit_rows(name, rater, bench)])
    specs = experiment.raters
    store("raters", [rater_row(name, r, bench, from_plugin(specs[name])) for name, r in raters.items()])
    store("audits", [row for name, judge in judges.items() for row in _audit(name, judge, bench)])
    bench.phase("inspector audits")
    store("inspectors", [row for name in experiment.inspectors for row in _held_out(experiment, name, bench)])
    store("judges", [_judge_row(experiment, name, judge, bench) for name, judge in judges.items()])


def _phases(experiment: Experiment) -> int:
    """Return the number of progress steps of one block: upstream answers, systems, judges, raters."""
    systems = sum(system.does_more for system in experiment.systems.values())
    return 1 + systems + len(experiment.judges) + len(experiment.raters)


def _blocks(experiment: Experiment, plan: Plan) -> list[list[Place]]:
    """Return all prompts in blocks; a single block where an answer depends on others of its suite."""
    places = [(suite, prompt) for suite in plan.suites for prompt in suite.prompts]
    whole = any(system.reads_whole_suites() for system in experiment.systems.values())
    size = len(places) if whole else BLOCK
    return [places[begin : begin + size] for begin in range(0, len(places), size)]


def _run_block(
    experiment: Experiment,
    plan: Plan,
    places: Sequence[Place],
    judges: dict[str, Judge],
    raters: dict[str, Rater],
    bench: Workbench,
    store: Store,
) -> None:
    bench.phase("upstream answers")
    upstream = _upstream_answers(experiment, plan, places, bench)
    answers: dict[str, list[Answer]] = {}
    for name in _by_model(experiment.systems, bench):
        system = experiment.systems[name]
        if system.does_more:
            bench.phase(f"system {name}")
        answers[name] = _system_answers(experiment, plan, system, places, upstream, bench)
    answers = {name: answers[name] for name in experiment.systems}
    base = {
        name: [upstream[system.upstream, experiment.seed, 0, i] for i in range(len(places))]
        for name, system in experiment.systems.items()
        if system.corrects is not None
    }
    store("prompts", [_prompt_row(suite, prompt) for suite, prompt in places])
    for name, column in answers.items():
        before = [done.text for done in base[name]] if name in base else [None] * len(places)
        rows = zip(places, column, before, strict=True)
        store("responses", [_response_row(experiment, name, *row) for row in rows])
    store("verdicts", _verdicts(experiment, judges, places, answers, bench))
    for name, rater in raters.items():
        bench.phase(f"rater {name}")
        upstreams = {system: [_as_answer(done) for done in column] for system, column in base.items()}
        store("ratings", ratings_of_block(name, rater, places, answers, upstreams, bench))


def _judge_row(experiment: Experiment, name: str, judge: Judge, bench: Workbench) -> Row:
    spec = experiment.judges[name]
    members = {m: from_plugin(experiment.judges[m]) for m in spec.members()}
    held = {member: plugin for member, plugin in members.items() if plugin}
    identity = judge.identity(bench) | from_plugin(spec) | ({"members_of_plugins": held} if held else {})
    return {
        "judge": name,
        "kind": identity["kind"],
        "identity": digest(identity),
        "description": judge.description,
        # Recorded verdicts of a judge that was never audited show nothing about its power.
        "needs_audit": getattr(judge, "needs_audit", judge.audit_pairs > 0),
    }


def _by_model(systems: Mapping[str, SystemSpec], bench: Workbench) -> list[str]:
    """Return the system names, ordered so that systems with the same weights are adjacent.

    Systems that use an upstream's weights come first, the last loaded upstream's before the others.
    """
    used = {name: sorted(s.corrects.used("model")) if s.corrects else [] for name, s in systems.items()}
    upstreams = dict.fromkeys(system.upstream for system in systems.values())
    in_turn = [*reversed(upstreams), *(model for models in used.values() for model in models)]
    rank = {key: i for i, key in enumerate(dict.fromkeys(map(bench.place, in_turn)))}
    return sorted(systems, key=lambda name: sorted(rank[bench.place(model)] for model in used[name]))


Upstream = dict[tuple[str, int, int, int], Completion]


def _upstream_answers(
    experiment: Experiment, plan: Plan, places: Sequence[Place], bench: Workbench
) -> Upstream:
    """Return completions by (model, seed, sample, place); one call per model for all suites and systems."""
    wanted: dict[str, dict[tuple[int, int], None]] = {}
    for system in experiment.systems.values():
        wanted.setdefault(system.upstream, {}).update(dict.fromkeys(system.samples(experiment.seed)))
    found: Upstream = {}
    for model, samples in wanted.items():
        keys = [(model, seed, k, i) for seed, k in samples for i in range(len(places))]
        requests = [_question(plan, places[i], seed, k) for _, seed, k, i in keys]
        found.update(zip(keys, bench.complete(model, requests), strict=True))
    return found


def _question(plan: Plan, place: Place, seed: int, sample: int) -> Request:
    suite, prompt = place
    return Request(
        plan.profile.fill(prompt.text),
        history=_history(prompt),
        chat=plan.profile.chat,
        decoding=plan.decoding[suite.name],
        sample=sample,
        seed=seed,
        item=prompt.prompt_id,
    )


def _history(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((turn.role, turn.content) for turn in prompt.history)


def _as_answer(completion: Completion) -> Answer:
    return Answer(
        completion.text,
        completion.status,
        completion.finish_reason,
        1,
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.cut_tokens,
        completion.seconds,
        completion.error,
        cost=completion.cost,
    )


def _system_answers(
    experiment: Experiment,
    plan: Plan,
    system: SystemSpec,
    places: Sequence[Place],
    upstream: Upstream,
    bench: Workbench,
) -> list[Answer]:
    keys = system.samples(experiment.seed)
    table = [[upstream[system.upstream, seed, k, i] for seed, k in keys] for i in range(len(places))]
    items = [
        Item(
            prompt.prompt_id,
            prompt.text,
            _as_answer(samples[0]),
            plan.decoding[suite.name],
            suite.name,
            prompt.category,
            _history(prompt),
        )
        for (suite, prompt), samples in zip(places, table, strict=True)
    ]
    return system.answer(items, table, bench)


def _prompt_row(suite: Suite, prompt: Prompt) -> Row:
    return {
        "suite": suite.name,
        "prompt_id": prompt.prompt_id,
        "prompt": prompt.text,
        "category": prompt.category,
        "criterion": prompt.criterion,
        "family": prompt.family,
        "references": list(prompt.references),
        "history": json.dumps([asdict(turn) for turn in prompt.history]),
    }


def _response_row(experiment: Experiment, name: str, place: Place, answer: Answer, before: str | None) -> Row:
    suite, prompt = place
    system = experiment.systems[name]

    def right(text: str | None) -> bool | None:
        return matches(text, prompt.references) if prompt.references and text is not None else None

    failed = answer.status == "error"
    return {
        "suite": suite.name,
        "prompt_id": prompt.prompt_id,
        "system": name,
        "kind": system.shown_kind,
        "upstream_model": system.upstream,
        "upstream": before,
        "text": answer.text,
        "status": answer.status,
        "finish_reason": answer.finish_reason,
        "correct": None if failed else right(answer.text),
        "upstream_correct": right(before),
        "calls": answer.calls,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cut_tokens": answer.cut_tokens,
        "seconds": answer.seconds,
        "cost": answer.cost,
        "error": answer.error,
        "trace": json.dumps([step.to_dict() for step in answer.trace]),
    }


def _verdicts(
    experiment: Experiment,
    judges: dict[str, Judge],
    places: Sequence[Place],
    answers: dict[str, list[Answer]],
    bench: Workbench,
) -> list[Row]:
    """Return the verdicts of every comparison by every judge; each judge gets all its pairs in one call."""
    rows: list[Row] = []
    for judge_name, judge in judges.items():
        bench.phase(f"judge {judge_name}")
        jobs = [
            (comparison.candidate, baseline, i)
            for comparison in experiment.comparisons
            for baseline in comparison.baselines
            for i, (suite, _) in enumerate(places)
            if judges_suite(experiment, judge_name, comparison.judges, suite)
        ]
        jobs = list(dict.fromkeys(jobs))
        sound = [job for job in jobs if _judgeable(answers, job)]
        pairs = [_pair(places[i][1], answers[a][i], answers[b][i]) for a, b, i in sound]
        judged = dict(zip(sound, judge.compare(pairs, bench), strict=True))
        missing = [Verdict("none", "missing", None, "an answer is missing")]
        for job in jobs:
            rows += [_verdict_row(judge_name, job, places, v) for v in judged.get(job, missing)]
    return rows


def _judgeable(answers: dict[str, list[Answer]], job: tuple[str, str, int]) -> bool:
    candidate, baseline, i = job
    return "error" not in (answers[candidate][i].status, answers[baseline][i].status)


def _pair(prompt: Prompt, candidate: Answer, baseline: Answer) -> Pair:
    return Pair(prompt.prompt_id, prompt.text, candidate.text, baseline.text, prompt.references)


def _verdict_row(judge: str, job: tuple[str, str, int], places: Sequence[Place], verdict: Verdict) -> Row:
    candidate, baseline, i = job
    suite, prompt = places[i]
    return {
        "suite": suite.name,
        "prompt_id": prompt.prompt_id,
        "judge": judge,
        "candidate": candidate,
        "baseline": baseline,
        **asdict(verdict),
    }


def _audit(name: str, judge: Judge, bench: Workbench) -> list[Row]:
    """Return the judge's verdicts on packaged pairs with a known winner.

    ``candidate`` is the better answer.
    """
    if judge.audit_pairs == 0:
        return []
    pairs = audit_pairs(judge)
    return [
        {"judge": name, "pair_id": pair.prompt_id, **asdict(verdict)}
        for pair, verdicts in zip(pairs, judge.compare(pairs, bench), strict=True)
        for verdict in verdicts
    ]


def _held_out(experiment: Experiment, name: str, bench: Workbench) -> list[Row]:
    """Return an inspector's scores of held-out pairs.

    A packaged inspector is tested on its own criterion, a model of the user's on all criteria.
    """
    own = experiment.inspectors[name].criterion
    pairs = [pair for c in ([own] if own else PACKAGED) for pair in packaged_pairs(c, "held_out")]
    scores = bench.score(name, [(p.prompt, text) for p in pairs for text in (p.worse, p.better)])
    return [
        {
            "inspector": name,
            "identity": digest(bench.identity(name)),
            "pair_id": pair.pair_id,
            "worse": scores[2 * i].value,
            "better": scores[2 * i + 1].value,
            "worse_length": len(pair.worse),
            "better_length": len(pair.better),
        }
        for i, pair in enumerate(pairs)
    ]
