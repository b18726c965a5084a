"""Compute the effects of aligners on inspectors' scores (Ngweta et al. 2024, sections 3 and 4, Fig. 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aligner_bench.results.measures import traces as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.results.traced import Sample, TracedSystem, shared
from aligner_bench.store.traces import REWRITES

EffectVerdict = Literal["raises", "lowers", "no_effect", "undecided"]
ActorVerdict = Literal["synergy", "conflict", "independent", "undecided", "alone"]
SMALL = 0.05
"""Half the width of the band around 0 in which an effect on a score, from 0 to 1, is called none."""
_ALPHA = 0.05


class Effect(Published):
    """Effect of one actor's rewrites on one inspector's score: a cell of the effect matrix.

    All rewrites count, also those that an accept rule rejected: leaving them out would select by the outcome.
    An actor acts where its own score is low, so part of its rise is regression to the mean.
    """

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    actor: str
    inspector: str
    own: bool = Field(description="whether the actor acts on this inspector's score")
    change: Annotated[Number, m.EFFECT]
    p_value: Annotated[float, m.EFFECT_P]
    p_holm: Annotated[float, m.EFFECT_P_HOLM]
    verdict: EffectVerdict = Field(
        description="raises or lowers: interval beyond 0 and p_holm < 0.05; no_effect: interval within ± 0.05"
    )


class Actor(Published):
    """How often one aligner of a corrector acted, and its effect on the other inspectors' scores."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    actor: str
    inspector: str = Field(description="the inspector on whose score it acts; empty without one")
    n_prompts: Annotated[int, m.N_TRACED]
    n_acted: Annotated[int, m.N_ACTED]
    n_skipped: Annotated[int, m.N_SKIPPED]
    n_rejected: Annotated[int, m.N_REJECTED]
    n_offered: Annotated[int, m.N_OFFERED]
    n_picked: Annotated[int, m.N_PICKED]
    touched: Annotated[Number, m.TOUCHED]
    verdict: ActorVerdict = Field(
        description="on the other inspectors' scores: synergy raises some and lowers none, conflict lowers "
        "some, independent has no effect on any; alone: no other inspector saw its rewrites"
    )


def effects(system: TracedSystem) -> list[Effect]:
    """Compute the effect matrix: rows by actor, columns by inspector, in order of first appearance."""
    cells: dict[tuple[str, str], Sample] = {}
    own: set[tuple[str, str]] = set()
    for answer in system.answers:
        for move in answer.trace.moves:
            if move.action not in REWRITES:
                continue
            own.add((move.actor, move.inspector))
            for name in shared(move.before, move.written_scores):
                change = move.written_scores[name] - move.before[name]
                cells.setdefault((move.actor, name), Sample()).add(change, answer.family)
    keys = sorted(cells)
    raw = [m.EFFECT_P(cells[key].values, cells[key].families) for key in keys]
    return [
        _effect(system, key, cells[key].number(m.EFFECT), p, q, key in own)
        for key, p, q in zip(keys, raw, m.EFFECT_P_HOLM(raw), strict=True)
    ]


def _effect(
    system: TracedSystem, key: tuple[str, str], change: Number, p: float, p_holm: float, own: bool
) -> Effect:
    return Effect(
        **system.keys,
        actor=key[0],
        inspector=key[1],
        own=own,
        change=change,
        p_value=p,
        p_holm=p_holm,
        verdict=_verdict(change, p_holm),
    )


def _verdict(change: Number, p_holm: float) -> EffectVerdict:
    if change.lower is None or change.upper is None:
        return "undecided"
    if p_holm < _ALPHA and change.lower > 0:
        return "raises"
    if p_holm < _ALPHA and change.upper < 0:
        return "lowers"
    return "no_effect" if change.lower >= -SMALL and change.upper <= SMALL else "undecided"


def actors(system: TracedSystem, effects: Sequence[Effect]) -> list[Actor]:
    """Compute one row per actor, by name; ``effects`` are the system's effect matrix."""
    actions: Counter[tuple[str, str]] = Counter()
    touched: dict[str, set[str]] = {}
    inspectors: dict[str, str] = {}
    for answer in system.answers:
        for move in answer.trace.moves:
            actions[move.actor, move.action] += 1
            inspectors.setdefault(move.actor, move.inspector)
            if move.action in REWRITES:
                touched.setdefault(move.actor, set()).add(answer.prompt_id)
    names = sorted(inspectors)
    return [
        _actor(system, name, actions, len(touched.get(name, ())), inspectors[name], effects) for name in names
    ]


def _actor(
    system: TracedSystem,
    name: str,
    actions: Mapping[tuple[str, str], int],
    touched: int,
    inspector: str,
    effects: Sequence[Effect],
) -> Actor:
    def count(action: str) -> int:
        return actions.get((name, action), 0)

    return Actor(
        **system.keys,
        actor=name,
        inspector=inspector,
        n_prompts=len(system.answers),
        n_acted=count("correct"),
        n_skipped=count("skip"),
        n_rejected=count("reject"),
        n_offered=count("candidate"),
        n_picked=count("pick"),
        touched=m.TOUCHED.number([1.0] * touched + [0.0] * (len(system.answers) - touched)),
        verdict=_on_others([cell.verdict for cell in effects if cell.actor == name and not cell.own]),
    )


def _on_others(verdicts: Sequence[str]) -> ActorVerdict:
    if not verdicts:
        return "alone"
    if "lowers" in verdicts:
        return "conflict"
    if "raises" in verdicts:
        return "synergy"
    return "independent" if set(verdicts) == {"no_effect"} else "undecided"
