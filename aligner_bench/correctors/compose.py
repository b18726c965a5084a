"""Composed correctors: chains, repeats, gates and routes; ``parallel`` holds parallel ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from aligner_bench.core.spec import InspectorName, Use
from aligner_bench.core.types import Answer, Services, Step
from aligner_bench.correctors.answers import Item, noted
from aligner_bench.correctors.base import CorrectorSpec, Work, most
from aligner_bench.correctors.scoring import current, scored


class ChainSpec(CorrectorSpec):
    """Apply correctors in sequence, each to the answer of the previous one."""

    correctors: tuple[CorrectorSpec, ...] = Field(min_length=1, description="correctors, in order")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the answers of the last corrector."""
        return _in_turn(self.correctors, items, services)


class RepeatSpec(CorrectorSpec):
    """Apply one corrector several times."""

    corrector: CorrectorSpec = Field(description="the corrector that is applied")
    times: int = Field(ge=1, description="how often it is applied")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the answers after the last application."""
        return _in_turn((self.corrector,) * self.times, items, services)

    def work(self) -> Iterator[Work]:
        """Yield the corrector's work, once per application."""
        for _ in range(self.times):
            yield from self.corrector.work()


class GatedSpec(CorrectorSpec):
    """Apply a corrector only where an inspector's score is below the threshold (a safety layer)."""

    inspector: InspectorName = Field(description="the inspector that scores the answer")
    threshold: float = Field(0.5, ge=0, le=1, description="the corrector acts on scores below this")
    corrector: CorrectorSpec = Field(description="the corrector behind the gate")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the answers; those at or above the threshold get a ``skip`` step."""
        answers = [item.answer for item in items]
        scored(items, answers, range(len(items)), [self.inspector], services)
        live = [i for i, answer in enumerate(answers) if answer.status != "error"]
        acting = [i for i in live if current(answers[i])[self.inspector] < self.threshold]
        _put(answers, acting, self.corrector, items, services)
        scored(items, answers, acting, [self.inspector], services)
        for i in set(live) - set(acting):
            answers[i] = _passed(answers[i], f"gate {self.inspector}", self.inspector, self.threshold)
        return answers

    def work(self) -> Iterator[Work]:
        """Yield two scores and, at most, the corrector's work."""
        yield Work("score", self.inspector, 2, True)
        yield from most(self.parts())


class RoutedSpec(CorrectorSpec):
    """Send each answer to one corrector or to the default; without either it is unchanged.

    ``by: category`` routes by the prompt's category; ``by: lowest_score`` has inspectors as routes and
    takes the one with the lowest score, if that is below the threshold (ties in declared order).
    """

    by: Literal["category", "lowest_score"] = Field(description="what chooses the route")
    routes: dict[str, CorrectorSpec] = Field(
        min_length=1, description="category, or inspector with by: lowest_score -> corrector"
    )
    default: CorrectorSpec | None = Field(
        None, description="for answers without a route; left out, they stay as they are"
    )
    threshold: float = Field(1.0, ge=0, le=1, description="scores from here on need no route")

    def uses(self) -> Iterator[Use]:
        """Yield what the routes use, and the inspectors that name them."""
        for name in self._inspectors():
            yield Use(("routes", name), "inspector", name)
        yield from super().uses()

    def _inspectors(self) -> list[str]:
        return list(self.routes) if self.by == "lowest_score" else []

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the answers of the routes; one without a route gets a ``skip`` step."""
        answers = [item.answer for item in items]
        inspectors = self._inspectors()
        scored(items, answers, range(len(items)), inspectors, services)
        routes = [_route(self, items[i], answers[i]) for i in range(len(items))]
        for name in (*self.routes, None):
            corrector = self.routes[name] if name is not None else self.default
            rows = [i for i, route in enumerate(routes) if route == name and answers[i].status != "error"]
            if corrector is not None:
                _put(answers, rows, corrector, items, services, name if name is not None else "default")
                scored(items, answers, rows, inspectors, services)
            else:
                for i in rows:
                    answers[i] = _passed(answers[i], "no route")
        return answers

    def work(self) -> Iterator[Work]:
        """Yield two scores of each inspector and, at most, the work of one route."""
        for inspector in sorted(self._inspectors()):
            yield Work("score", inspector, 2, True)
        yield from most(self.parts())


def _in_turn(links: Sequence[CorrectorSpec], items: Sequence[Item], services: Services) -> list[Answer]:
    for link in links:
        answers = link.apply(items, services)
        items = [item._replace(answer=answer) for item, answer in zip(items, answers, strict=True)]
    return [item.answer for item in items]


def _route(spec: RoutedSpec, item: Item, answer: Answer) -> str | None:
    """Return the name of an answer's route; None for the default."""
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
    """Apply a corrector to some rows in place; prefix its actors with the branch's name, if any."""
    changed = corrector.apply([items[i]._replace(answer=answers[i]) for i in rows], services)
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
