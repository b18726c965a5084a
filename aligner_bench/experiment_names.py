"""Every name that an experiment file uses, where it uses it, and what must have defined it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from aligner_bench.correctors.templates import get_template
from aligner_bench.engines.base import engine_names
from aligner_bench.errors import UsageError, nearest
from aligner_bench.judges.references import references
from aligner_bench.paper_spec import cells
from aligner_bench.suites.yamlfile import YamlDocument

if TYPE_CHECKING:
    from aligner_bench.experiment import Experiment

Location = tuple[str | int, ...]


class Use(NamedTuple):
    """One name, the names that would do, what they are, and the field."""

    name: str
    defined: Collection[str]
    what: str
    at: Location


def check_names(experiment: Experiment, document: YamlDocument) -> None:
    """UsageError for the first name that is not defined; it names file, line and field."""

    def where(at: Location) -> str:
        return f"{document.path}:{document.line_of(at)}: {'.'.join(map(str, at))}"

    for use in _uses(experiment):
        if use.name not in use.defined:
            known = nearest(use.name, use.defined)
            raise UsageError(f"{where(use.at)}: unknown {use.what} {use.name!r}; {known}")
    for name in experiment.raters:
        if name in experiment.judges:
            raise UsageError(
                f"{where(('raters', name))}: a judge has this name; a rater needs one of its own"
            )
    if experiment.paper is not None:
        cells(experiment.paper, experiment.pairs(), suite_names(experiment))


def suite_names(experiment: Experiment) -> list[str]:
    """The suites as tables name them: a subset is ``NAME:SUBSET``."""
    return [f"{use.name}:{use.subset}" if use.subset else use.name for use in experiment.suites]


def _uses(experiment: Experiment) -> Iterator[Use]:
    for name, model in experiment.models.items():
        yield Use(model.engine, engine_names(), "engine", ("models", name, "engine"))
    yield from _in_systems(experiment)
    yield from _in_raters(experiment)
    for name in experiment.prices:
        yield Use(name, experiment.models, "model", ("prices", name))
    yield from _in_judges(experiment)
    yield from _in_comparisons(experiment)
    for name, sizes in experiment.trends.items():
        for system in sizes:
            yield Use(system, experiment.systems, "system", ("trends", name, system))
    if experiment.paper is not None:
        yield Use(experiment.paper.judge, experiment.judges, "judge", ("paper", "judge"))
        for name in experiment.paper.labels:
            yield Use(name, experiment.systems, "system", ("paper", "labels", name))


def _in_systems(experiment: Experiment) -> Iterator[Use]:
    for name, system in experiment.systems.items():
        at: Location = ("systems", name)
        yield Use(system.upstream, experiment.models, "model", (*at, "upstream"))
        for inspector in getattr(system, "inspectors", ()):
            yield Use(inspector, experiment.inspectors, "inspector", (*at, "inspectors"))
        corrector = getattr(system, "corrector", None)
        if corrector is not None:
            for model in corrector.models():
                yield Use(model, experiment.models, "model", (*at, "corrector"))
            for inspector in corrector.inspectors():
                yield Use(inspector, experiment.inspectors, "inspector", (*at, "corrector"))
            for aligner in corrector.aligners():
                get_template(aligner.template)


def _in_raters(experiment: Experiment) -> Iterator[Use]:
    for name, rater in experiment.raters.items():
        yield Use(rater.model, experiment.models, "model", ("raters", name, "model"))
        for suite in rater.suites:
            yield Use(suite, suite_names(experiment), "suite", ("raters", name, "suites"))


def _in_judges(experiment: Experiment) -> Iterator[Use]:
    places = ((("stand_ins", "judges"), experiment.stand_ins.judges), (("judges",), experiment.judges))
    for at, judges in places:
        for name, judge in judges.items():
            for field, what, used in references(judge):
                yield Use(used, getattr(experiment, f"{what}s"), what, (*at, name, field))
    for name, judge in experiment.judges.items():
        for suite in judge.suites:
            yield Use(suite, suite_names(experiment), "suite", ("judges", name, "suites"))


def _in_comparisons(experiment: Experiment) -> Iterator[Use]:
    for i, comparison in enumerate(experiment.comparisons):
        at: Location = ("comparisons", i)
        yield Use(comparison.candidate, experiment.systems, "system", (*at, "candidate"))
        for baseline in comparison.baselines:
            yield Use(baseline, experiment.systems, "system", (*at, "baselines"))
        for judge in comparison.judges:
            yield Use(judge, experiment.judges, "judge", (*at, "judges"))
    if experiment.headline is not None:
        yield Use(experiment.headline, experiment.judges, "judge", ("headline",))
