"""Compute what correctors did step by step, from the traces of the responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from aligner_bench.results.effects import actors, effects
from aligner_bench.results.examples import examples, moves_of
from aligner_bench.results.measures import traces as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.results.oracles import oracles
from aligner_bench.results.traced import Sample, Tables, TracedSystem, shared, traced_systems
from aligner_bench.texts.edits import edit_ratio


class Gain(Published):
    """Change of scores in one step, over all answers that came to it; skips count as no change."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    step: Annotated[int, m.STEP]
    n_changed: Annotated[int, m.N_CHANGED]
    lowest: Annotated[Number, m.GAIN_LOWEST]
    mean: Annotated[Number, m.GAIN_MEAN]
    edit_ratio: Annotated[Number, m.STEP_EDIT]


class OrderUse(Published):
    """One order in which members were visited: how common it was, and the scores at the end."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    order: str = Field(description="members, first one first")
    share: Annotated[Number, m.ORDER_SHARE]
    end_lowest: Annotated[Number, m.ORDER_END]


def step_tables(tables: Tables) -> dict[str, list[Any]]:
    """Compute the tables about steps, by their names in the results."""
    makers: dict[str, Callable[[TracedSystem], Iterable[Any]]] = {
        "gains": _gains,
        "orders": _orders,
        "oracles": oracles,
        "examples": examples,
    }
    found: dict[str, list[Any]] = {name: [] for name in ("effects", "actors", *makers)}
    for system in traced_systems(tables):
        matrix = effects(system)
        found["effects"] += matrix
        found["actors"] += actors(system, matrix)
        for name, make in makers.items():
            found[name] += make(system)
    return found


def _gains(system: TracedSystem) -> Iterator[Gain]:
    lines = [(answer, moves_of(answer)) for answer in system.answers]
    for step in range(1, max(len(line) for _, line in lines) + 1):
        lowest, mean, edits, changed = Sample(), Sample(), Sample(), 0
        for answer, line in lines:
            if len(line) < step or (answer.failed and len(line) == step):
                continue  # the scores of a failed rewrite are not known
            move = line[step - 1]
            before = move.text_before or ""
            changed += move.text != before
            edits.add(edit_ratio(before, move.text) if move.text != before else 0.0, answer.family)
            names = shared(move.before, move.after)
            if names:
                old, new = ([scores[name] for name in names] for scores in (move.before, move.after))
                lowest.add(min(new) - min(old), answer.family)
                mean.add((sum(new) - sum(old)) / len(names), answer.family)
        yield Gain(
            **system.keys,
            step=step,
            n_changed=changed,
            lowest=lowest.number(m.GAIN_LOWEST),
            mean=mean.number(m.GAIN_MEAN),
            edit_ratio=edits.number(m.STEP_EDIT),
        )


def _orders(system: TracedSystem) -> Iterator[OrderUse]:
    ends: dict[tuple[str, ...], Sample] = {}
    used: Counter[tuple[str, ...]] = Counter()
    for answer in system.answers:
        order = next((move.order for move in answer.trace.moves if move.order), None)
        if order is None:
            continue
        used[order] += 1
        ends.setdefault(order, Sample())
        if answer.trace.moves[-1].after:
            ends[order].add(min(answer.trace.moves[-1].after.values()), answer.family)
    for order in sorted(used, key=lambda order: (-used[order], order)):
        yield OrderUse(
            **system.keys,
            order=" > ".join(order),
            share=m.ORDER_SHARE.number([1.0] * used[order] + [0.0] * (used.total() - used[order])),
            end_lowest=ends[order].number(m.ORDER_END),
        )
