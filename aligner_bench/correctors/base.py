"""The contract of a corrector, and the count of its work per answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field

from aligner_bench.core.registry import Kind, Registry
from aligner_bench.core.types import Answer, Services
from aligner_bench.correctors.answers import Item, start
from aligner_bench.correctors.registry import CORRECTORS

_STAGES = ("score", "complete", "judge")


class Work(NamedTuple):
    """Items of one model, inspector or judge per answer; ``at_most`` where scores decide."""

    stage: str
    name: str
    items: int
    at_most: bool


class CorrectorSpec(Kind):
    """Rewrite answers. A subclass declares its fields and implements ``apply``.

    Fields of type ``ModelName``, ``InspectorName`` and ``CorrectorSpec`` name the models, inspectors and
    correctors that it uses; the base class finds them from these types.
    """

    registry: ClassVar[Registry] = CORRECTORS

    kind: str = Field(description="the kind of corrector")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return corrected answers in the order of the items; append steps to their traces.

        An answer with status error is returned unchanged. A failed correction is an error too, never the
        upstream's answer under the corrector's name.
        """
        raise TypeError(f"{type(self).__name__} does not implement apply")

    def work(self) -> Iterator[Work]:
        """Yield the work per answer: by default one completion of each model and the work of all parts."""
        for use in super().uses():
            if use.what == "model" and len(use.at) == 1:
                yield Work("complete", use.name, 1, False)
        for part in self.parts():
            yield from part.work()

    def parts(self) -> tuple[CorrectorSpec, ...]:
        """Return the correctors directly contained in this one."""
        values = [getattr(self, name) for name in type(self).model_fields]
        inner = [
            item
            for value in values
            for item in (
                value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
            )
        ]
        return tuple(item for item in inner if isinstance(item, CorrectorSpec))

    def reads_whole_suites(self) -> bool:
        """Return whether an answer depends on others of its suite."""
        return any(part.reads_whole_suites() for part in self.parts())


def correct(spec: CorrectorSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    """Return corrected answers in the order of the items; each trace begins with the upstream's answer."""
    return spec.apply([item._replace(answer=start(item)) for item in items], services)


def workload(spec: CorrectorSpec) -> list[Work]:
    """Return the corrector's work per answer, scores first, one entry per stage and name."""
    return totals(spec.work())


def totals(works: Iterable[Work]) -> list[Work]:
    """Return work summed by stage and name, scores first."""
    items: Counter[tuple[str, str]] = Counter()
    bounded: set[tuple[str, str]] = set()
    for work in works:
        items[work.stage, work.name] += work.items
        if work.at_most:
            bounded.add((work.stage, work.name))
    ordered = sorted(items, key=lambda key: (_STAGES.index(key[0]), key[1]))
    return [Work(*key, items[key], key in bounded) for key in ordered]


def most(parts: Sequence[CorrectorSpec]) -> Iterator[Work]:
    """Return the upper bound of alternative parts: the largest count of each name."""
    largest: dict[tuple[str, str], int] = {}
    for part in parts:
        for work in workload(part):
            key = (work.stage, work.name)
            largest[key] = max(largest.get(key, 0), work.items)
    for (stage, name), items in largest.items():
        yield Work(stage, name, items, True)
