"""How much work a corrector makes for one answer, before anything is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aligner_bench.correctors.specs import (
    AlignerSpec,
    CorrectorSpec,
    GatedSpec,
    JudgePick,
    ParallelSpec,
    RepeatSpec,
    RoutedSpec,
    ScorePick,
    SquadSpec,
)


class Work(NamedTuple):
    """Items of one model, inspector or judge for one answer; ``at_most`` where scores decide."""

    stage: str
    name: str
    items: int
    at_most: bool


def workload(spec: CorrectorSpec) -> list[Work]:
    """The corrector's work for one answer, scores first, one entry a stage and name."""
    totals: Counter[tuple[str, str]] = Counter()
    bounded: set[tuple[str, str]] = set()
    for work in _work(spec, False):
        totals[work.stage, work.name] += work.items
        if work.at_most:
            bounded.add((work.stage, work.name))
    stages = ("score", "complete", "judge")
    ordered = sorted(totals, key=lambda key: (stages.index(key[0]), key[1]))
    return [Work(*key, totals[key], key in bounded) for key in ordered]


def _work(spec: CorrectorSpec, maybe: bool) -> Iterator[Work]:
    if isinstance(spec, AlignerSpec):
        yield Work("complete", spec.model, 1, maybe)
    elif isinstance(spec, SquadSpec):
        yield from _squad(spec)
    elif isinstance(spec, GatedSpec | RoutedSpec):
        for inspector in sorted(spec._own_inspectors()):
            yield Work("score", inspector, 2, True)
        yield from _most(spec.parts())
    else:
        times = spec.times if isinstance(spec, RepeatSpec) else 1
        for part in spec.parts() * times:
            yield from _work(part, maybe)
        if isinstance(spec, ParallelSpec):
            yield from _pick(spec)


def _most(parts: Sequence[CorrectorSpec]) -> Iterator[Work]:
    """One of the parts acts at most, so the largest count of each model bounds them all."""
    most: dict[tuple[str, str], int] = {}
    for part in parts:
        for work in workload(part):
            key = (work.stage, work.name)
            most[key] = max(most.get(key, 0), work.items)
    for (stage, name), items in most.items():
        yield Work(stage, name, items, True)


def _squad(spec: SquadSpec) -> Iterator[Work]:
    """A loop may give all its steps to one model; in passes each member acts once at most."""
    steps = spec.max_steps if spec.order == "loop" else len(spec.members) * spec.max_rounds
    for inspector in sorted(spec.inspectors()):
        yield Work("score", inspector, 1 + steps, True)
    shares = Counter(member.aligner.model for member in spec.members.values())
    for model, members in shares.items():
        yield Work("complete", model, steps if spec.order == "loop" else members * spec.max_rounds, True)


def _pick(spec: ParallelSpec) -> Iterator[Work]:
    candidates = len(spec.correctors) + spec.keep
    if isinstance(spec.pick, ScorePick):
        for inspector in spec.pick.inspectors:
            yield Work("score", inspector, candidates, True)
    elif isinstance(spec.pick, JudgePick):
        yield Work("judge", f"pick by {spec.pick.judge.kind}", candidates - 1, True)
