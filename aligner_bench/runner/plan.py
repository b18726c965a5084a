"""Plan a run: items per model, their order, and the detectable effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligner_bench.core.types import Decoding, Pair
from aligner_bench.correctors.base import Work, totals
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.experiment.profiles import FAIR, PROFILES, Profile
from aligner_bench.inspectors.base import PACKAGED, packaged_pairs
from aligner_bench.judges.base import Judge
from aligner_bench.judges.canary_trials import canary_pairs
from aligner_bench.papers.spec import cells
from aligner_bench.raters.labelled_answers import labelled_answers
from aligner_bench.runner import estimate
from aligner_bench.runner.estimate import NOTHING, Expected
from aligner_bench.suites.types import Suite
from aligner_bench.suites.use import SuiteUse


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """Items of one model or judge; ``at_most`` marks an upper bound where scores decide who acts."""

    stage: str
    name: str
    items: int
    at_most: bool
    what: str
    expected: Expected = NOTHING


@dataclass(frozen=True, slots=True)
class Plan:
    """The suites, and the stages in execution order.

    ``cells`` is the number of win rates that the run yields: one per comparison, judge and suite (per
    category where the published table that is repeated has one per category).
    """

    suites: tuple[Suite, ...]
    decoding: dict[str, Decoding]
    stages: tuple[PlannedStage, ...]
    detectable: dict[str, float]
    profile: Profile = FAIR
    cells: int = 0


def _decoding(experiment: Experiment, use: SuiteUse) -> Decoding:
    """Return the decoding profile of a suite: the experiment's, with the suite's token limit."""
    if use.max_new_tokens is None:
        return experiment.decoding
    return experiment.decoding.model_copy(update={"max_new_tokens": use.max_new_tokens})


def make_plan(
    experiment: Experiment, data_dir: Path | None = None, suites: tuple[Suite, ...] | None = None
) -> Plan:
    """Count all items of a run without loading a model or writing a file.

    ``suites`` are the experiment's suites where they are already loaded. The detectable effect is for a
    difference from 0.5 at 80 % power and a standard deviation of 0.5, the largest that preferences can
    have.
    """
    from aligner_bench.stats.power import mde

    suites = experiment.load_suites(data_dir) if suites is None else suites
    uses = zip(suites, experiment.suites, strict=True)
    decoding = {suite.name: _decoding(experiment, use) for suite, use in uses}
    stages = [
        *_upstream_stages(experiment, suites, decoding),
        *_corrector_stages(experiment, suites, decoding),
        *_judge_stages(experiment, suites, decoding),
        *_rater_stages(experiment, suites, decoding),
    ]
    detectable = {suite.name: mde(len(suite), 0.5) for suite in suites}
    profile = PROFILES[experiment.profile]
    return Plan(suites, decoding, tuple(stages), detectable, profile, _cells(experiment, suites))


def _cells(experiment: Experiment, suites: Sequence[Suite]) -> int:
    """Return the number of win rates: cells of the published table, else comparisons x judges x suites."""
    if experiment.paper is not None:
        return len(cells(experiment.paper, experiment.pairs(), [suite.name for suite in suites]))
    return sum(
        len(comparison.baselines)
        for judge in experiment.judges
        for comparison in experiment.comparisons
        for suite in suites
        if judges_suite(experiment, judge, comparison.judges, suite)
    )


def _upstream_stages(
    experiment: Experiment, suites: Sequence[Suite], decoding: Mapping[str, Decoding]
) -> list[PlannedStage]:
    n, prices = sum(map(len, suites)), experiment.known_prices()
    wanted: dict[str, set[tuple[int, int]]] = {}
    for system in experiment.systems.values():
        wanted.setdefault(system.upstream, set()).update(system.samples(experiment.seed))
    return [
        PlannedStage(
            "complete",
            model,
            n * len(samples),
            False,
            f"{len(samples)} answers to {n} prompts",
            estimate.answers(prices, model, suites, decoding, len(samples)),
        )
        for model, samples in wanted.items()
    ]


def _corrector_stages(
    experiment: Experiment, suites: Sequence[Suite], decoding: Mapping[str, Decoding]
) -> list[PlannedStage]:
    stages = []
    n, prices = sum(map(len, suites)), experiment.known_prices()

    def expected(work: Work) -> Expected:
        if work.stage != "complete":
            return NOTHING
        return estimate.corrections(prices, work.name, suites, decoding, work.items)

    for name, system in experiment.systems.items():
        stages += [
            PlannedStage(work.stage, work.name, n * work.items, work.at_most, name, expected(work))
            for work in totals(system.work())
        ]
    return stages


def _judge_stages(
    experiment: Experiment, suites: Sequence[Suite], decoding: Mapping[str, Decoding]
) -> list[PlannedStage]:
    stages, prices = [], experiment.known_prices()
    for name, judge in experiment.make_judges().items():
        compared = [
            (suite, len(comparison.baselines))
            for comparison in experiment.comparisons
            for suite in suites
            if judges_suite(experiment, name, comparison.judges, suite)
        ]
        expected = estimate.verdicts(prices, judge, compared, decoding)
        expected += estimate.audits(prices, judge, audit_pairs(judge))
        if experiment.canaries:
            expected += estimate.audits(prices, judge, [pair for _, pair in canary_pairs(judge)])
        pairs = sum(len(suite) * baselines for suite, baselines in compared)
        stages.append(PlannedStage("judge", name, pairs, True, judge.description, expected))
    return stages


def _rater_stages(
    experiment: Experiment, suites: Sequence[Suite], decoding: Mapping[str, Decoding]
) -> list[PlannedStage]:
    """Yield one stage per rater: every answer, and the upstream's before each correction.

    Equal texts are rated once.
    """
    stages, prices = [], experiment.known_prices()
    corrected = sum(system.corrects is not None for system in experiment.systems.values())
    each = len(experiment.systems) + corrected
    raters = {name: spec.make() for name, spec in experiment.raters.items()}
    for name, rater in raters.items():
        rated = [(suite, each) for suite in suites if not rater.suites or suite.name in rater.suites]
        expected = estimate.verdicts(prices, rater, rated, decoding)
        known = [Pair(k.item_id, k.prompt, k.answer, "") for k in labelled_answers(rater.audit_items)]
        expected += estimate.audits(prices, rater, known)
        answers = sum(len(suite) * times for suite, times in rated)
        stages.append(PlannedStage("rate", name, answers, True, rater.description, expected))
    return stages


def audit_pairs(judge: Judge) -> list[Pair]:
    """Return the packaged pairs with a known winner that a judge is audited on.

    The candidate is the better answer.
    """
    share = -(-judge.audit_pairs // len(PACKAGED))
    known = [pair for criterion in PACKAGED for pair in packaged_pairs(criterion, "held_out")[:share]]
    return [Pair(p.pair_id, p.prompt, p.better, p.worse) for p in known[: judge.audit_pairs]]


def judges_suite(experiment: Experiment, judge: str, named: Sequence[str], suite: Suite) -> bool:
    """Return whether a judge judges a suite in a comparison that names ``named`` judges (empty: all).

    An ensemble judges the suites that all its members can judge; a member judges where its ensemble does.
    """
    spec = experiment.judges[judge]
    if spec.members():
        able = all(judges_suite(experiment, member, (), suite) for member in spec.members())
    else:
        able = not spec.needs_references or any(prompt.references for prompt in suite.prompts)
    if not able or (spec.suites and suite.name not in spec.suites):
        return False
    return not named or any(name in named for name in (judge, *_ensembles_of(experiment, judge, suite)))


def _ensembles_of(experiment: Experiment, judge: str, suite: Suite) -> list[str]:
    """Return the ensembles that have the judge as a member and judge this suite."""
    return [
        name
        for name, spec in experiment.judges.items()
        if judge in spec.members() and judges_suite(experiment, name, (), suite)
    ]
