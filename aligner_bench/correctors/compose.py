"""Correctors made of correctors: chains, repeats, gates and routes. Parallel ones are in ``parallel``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aligner_bench.correctors.correct import apply
from aligner_bench.correctors.item import Item, noted
from aligner_bench.correctors.scoring import current, scored
from aligner_bench.correctors.specs import (
    ChainSpec,
    CorrectorSpec,
    GatedSpec,
    ParallelSpec,
    RepeatSpec,
    RoutedSpec,
)
from aligner_bench.types import Answer, Services, Step

Composition = ChainSpec | RepeatSpec | GatedSpec | RoutedSpec | ParallelSpec


def composed(spec: Composition, items: Sequence[Item], services: Services) -> list[Answer]:
    """The composition's answers, in the order of the items, whose traces have begun."""
    if isinstance(spec, ParallelSpec):
        from aligner_bench.correctors.parallel import parallel

        return parallel(spec, items, services)
    if isinstance(spec, GatedSpec):
        return _gated(spec, items, services)
    if isinstance(spec, RoutedSpec):
        return _routed(spec, items, services)
    links = spec.correctors if isinstance(spec, ChainSpec) else (spec.corrector,) * spec.times
    for link in links:
        answers = apply(link, items, services)
        items = [item._replace(answer=answer) for item, answer in zip(items, answers, strict=True)]
    return [item.answer for item in items]


def _gated(spec: GatedSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    answers = [item.answer for item in items]
    scored(items, answers, range(len(items)), [spec.inspector], services)
    live = [i for i, answer in enumerate(answers) if answer.status != "error"]
    acting = [i for i in live if current(answers[i])[spec.inspector] < spec.threshold]
    _put(answers, acting, spec.corrector, items, services)
    scored(items, answers, acting, [spec.inspector], services)
    for i in set(live) - set(acting):
        answers[i] = _passed(answers[i], f"gate {spec.inspector}", spec.inspector, spec.threshold)
    return answers


def _routed(spec: RoutedSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    answers = [item.answer for item in items]
    inspectors = list(spec.routes) if spec.by == "lowest_score" else []
    scored(items, answers, range(len(items)), inspectors, services)
    routes = [_route(spec, items[i], answers[i]) for i in range(len(items))]
    for name in (*spec.routes, None):
        corrector = spec.routes[name] if name is not None else spec.default
        rows = [i for i, route in enumerate(routes) if route == name and answers[i].status != "error"]
        if corrector is not None:
            _put(answers, rows, corrector, items, services, name if name is not None else "default")
            scored(items, answers, rows, inspectors, services)
        else:
            for i in rows:
                answers[i] = _passed(answers[i], "no route")
    return answers


def _route(spec: RoutedSpec, item: Item, answer: Answer) -> str | None:
    """The name of an answer's route; None for the default."""
    if answer.status == "error":
        return None
    if spec.by == "category":
        return item.category if item.category in spec.routes else None
    scores = current(answer)
    lowest = min(spec.routes, key=lambda name: scores[name])
    return lowest if scores[lowest] < spec.threshold else None


def _put(
    answers: list[Answer],
    rows: Sequence[int],
    corrector: CorrectorSpec,
    items: Sequence[Item],
    services: Services,
    branch: str = "",
) -> None:
    """Apply a corrector to some rows, in place; the actors of a named branch bear its name."""
    changed = apply(corrector, [items[i]._replace(answer=answers[i]) for i in rows], services)
    for i, answer in zip(rows, changed, strict=True):
        answers[i] = _named(answer, len(answers[i].trace), branch)


def _named(answer: Answer, since: int, branch: str) -> Answer:
    if not branch:
        return answer
    fresh = [replace(step, actor=f"{branch}/{step.actor}") for step in answer.trace[since:]]
    return replace(answer, trace=(*answer.trace[:since], *fresh))


def _passed(answer: Answer, actor: str, inspector: str = "", threshold: float | None = None) -> Answer:
    step = Step(0, actor, "skip", answer.text, current(answer), inspector=inspector, threshold=threshold)
    return noted(answer, step)
