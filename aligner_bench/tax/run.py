"""Compute the tax: paired differences of task scores between a system and its upstream alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Answer, Completion, Request, Services
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.base import CorrectorSpec, correct
from aligner_bench.correctors.system import SystemSpec
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.results.number import Number
from aligner_bench.tax.lm import Question, check_installed, make_lm
from aligner_bench.tax.shape import TaxReport, TaxRow, TaxSample, TaxTask
from aligner_bench.tax.tasks import SUITE, load_tasks


class Score(NamedTuple):
    """One question's score, whether higher is better, and the question's family."""

    value: float
    up: bool
    family: str | None


class Scores(NamedTuple):
    """(task, metric) -> question -> score, and the identities of the tasks."""

    by_metric: dict[tuple[str, str], dict[str, Score]]
    tasks: list[TaxTask]


def tax(
    experiment: Experiment,
    services: Services,
    tasks: Sequence[str],
    systems: Sequence[str] = (),
    *,
    limit: int | None = None,
    margin: float | None = None,
    data_dir: Path | None = None,
) -> TaxReport:
    """Compute the tax of corrected systems (default: all); ``margin`` in percentage points.

    UsageError for unknown systems and tasks, and for systems without a corrector.
    """
    version = check_installed()
    chosen = _chosen(experiment, systems)
    found, manager = load_tasks(list(tasks), data_dir, experiment.decoding.max_new_tokens)
    alone: dict[str, Scores] = {}
    rows: list[TaxRow] = []
    samples: list[TaxSample] = []
    for name, system in chosen.items():
        if system.upstream not in alone:
            plain = _answerer(system.upstream, None, experiment, services)
            alone[system.upstream] = _scores(plain, found, manager, limit)
        after = _scores(
            _answerer(system.upstream, system.corrects, experiment, services), found, manager, limit
        ).by_metric
        for key, without in alone[system.upstream].by_metric.items():
            pairs = {doc: (without[doc], after[key][doc]) for doc in without if doc in after[key]}
            rows.append(_row(name, key, pairs, margin))
            samples += [_sample(name, key, doc, *pair) for doc, pair in pairs.items()]
    return TaxReport(
        experiment=experiment.name,
        experiment_hash=experiment.hash(),
        lm_eval=version,
        margin=None if margin is None else margin / 100,
        tasks=next(iter(alone.values())).tasks,
        rows=rows,
        samples=samples,
        outcome=_overall(rows),
    )


def _sample(system: str, key: tuple[str, str], doc: str, without: Score, after: Score) -> TaxSample:
    return TaxSample(
        task=key[0],
        metric=key[1],
        system=system,
        doc_id=doc,
        family=without.family,
        without=without.value,
        **{"with": after.value},
    )


def _chosen(experiment: Experiment, names: Sequence[str]) -> dict[str, SystemSpec]:
    corrected = {name: system for name, system in experiment.systems.items() if system.corrects is not None}
    for name in names:
        if name not in corrected:
            raise UsageError(f"tax: no corrected system {name!r}; {nearest(name, corrected)}")
    if not corrected:
        raise UsageError("tax: the experiment has no system with a corrector")
    return {name: corrected[name] for name in (names or corrected)}


def _answerer(
    upstream: str, corrector: CorrectorSpec | None, experiment: Experiment, services: Services
) -> Callable[[Sequence[Question]], list[str]]:
    """Return a function that answers questions by upstream and corrector, if any; failures are empty."""

    def answer(questions: Sequence[Question]) -> list[str]:
        requests = [
            Request(q.text, decoding=q.decoding, seed=experiment.seed, item=q.item) for q in questions
        ]
        answers = [_answer(done) for done in services.complete(upstream, requests)]
        if corrector is not None:
            items = [
                Item(q.item, q.text, first, q.decoding) for q, first in zip(questions, answers, strict=True)
            ]
            answers = correct(corrector, items, services)
        return ["" if done.status == "error" else done.text for done in answers]

    return answer


def _answer(done: Completion) -> Answer:
    return Answer(done.text, done.status, done.finish_reason, 1, error=done.error, cost=done.cost)


def _scores(answer: Any, tasks: Sequence[Any], manager: Any, limit: int | None) -> Scores:
    """Return lm-eval's scores of the answers, per question."""
    import logging

    from lm_eval import simple_evaluate

    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it logs every unset setting
    found = simple_evaluate(
        model=make_lm(answer),
        tasks=list(tasks),
        limit=limit,
        task_manager=manager,
        log_samples=True,
        bootstrap_iters=0,
    )
    better: Mapping[str, Mapping[str, bool]] = found["higher_is_better"]
    scores: dict[tuple[str, str], dict[str, Score]] = {}
    for task, logged in found["samples"].items():
        for sample in logged:
            for metric in sample["metrics"]:
                if isinstance(sample[metric], int | float):
                    up = bool(better.get(task, {}).get(metric, True))
                    family = sample["doc"].get("family") if task.startswith(SUITE) else None
                    score = Score(float(sample[metric]), up, family)
                    scores.setdefault((task, metric), {})[_doc_id(sample)] = score
    tasks = [_task(task, found["versions"], logged) for task, logged in found["samples"].items()]
    return Scores(scores, tasks)


def _doc_id(sample: Mapping[str, Any]) -> str:
    return str(sample["doc"].get("prompt_id") or sample["doc_id"])


def _task(name: str, versions: Mapping[str, Any], logged: Sequence[Mapping[str, Any]]) -> TaxTask:
    asked = sorted({(_doc_id(s), s["prompt_hash"], s["target_hash"]) for s in logged})
    return TaxTask(task=name, version=str(versions.get(name)), content_hash=digest([list(q) for q in asked]))


def _row(
    system: str,
    key: tuple[str, str],
    pairs: Mapping[str, tuple[Score, Score]],
    margin: float | None,
) -> TaxRow:
    from aligner_bench.stats.hypothesis_tests import mcnemar_exact, paired_difference
    from aligner_bench.stats.power import noninferiority

    sign = 1 if all(before.up for before, _ in pairs.values()) else -1
    old, new = ([sign * pair[side].value for pair in pairs.values()] for side in (0, 1))
    gain = paired_difference(new, old, None, level=0.90)
    decision = noninferiority(gain, margin / 100) if margin is not None else None
    lost, gained = (sum(s * (b - a) < 0 for a, b in zip(old, new, strict=True)) for s in (1, -1))
    row = TaxRow(
        task=key[0],
        metric=key[1],
        system=system,
        n=len(pairs),
        higher_is_better=sign > 0,
        without=sign * sum(old) / len(old),
        difference=Number.of(gain),
        n_lost=lost,
        n_gained=gained,
        p_value=mcnemar_exact(lost, gained),
        outcome=decision.outcome if decision else None,
        n_to_decide=decision.n_to_decide if decision else None,
        sentence="",
        **{"with": sign * sum(new) / len(new)},
    )
    row.sentence = _sentence(row)
    return row


def _sentence(row: TaxRow) -> str:
    numbers = row.difference
    ends = [None if x is None else 100 * x for x in (numbers.value, numbers.lower, numbers.upper)]
    shown = ["?" if x is None else f"{x:+.1f}" for x in ends]
    text = f"{row.system} on {row.task} ({row.metric}): {100 * row.without:.1f} without, "
    text += f"{100 * row.with_:.1f} with the corrector; {shown[0]} points (90 % {shown[1]} to {shown[2]}), "
    text += f"n = {row.n}, {row.n_lost} lost, {row.n_gained} gained"
    if row.outcome is None:
        return text + "."
    more = f"; about {row.n_to_decide:,} questions would decide" if row.n_to_decide else ""
    return f"{row.outcome.upper()} {text}{more if row.outcome == 'inconclusive' else ''}."


def _overall(rows: Sequence[TaxRow]) -> Any:
    found = {row.outcome for row in rows}
    if None in found or not found:
        return None
    return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"
