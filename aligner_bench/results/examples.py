"""Choose a few answers, by rule, to show how they moved through a corrector."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from aligner_bench.results.measures import traces as m
from aligner_bench.results.number import Origin, Published
from aligner_bench.results.traced import TracedAnswer, TracedSystem, shared
from aligner_bench.store.traces import REWRITES, Move


class Point(Published):
    """One moment of one answer: what happened, and all scores after it."""

    actor: str
    action: str
    scores: Annotated[dict[str, float], m.SCORE]


class Example(Published):
    """How one answer, chosen by rule, moved through a corrector."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    prompt_id: str
    reason: str = Field(description="the rule: by the change of its lowest score, then by prompt_id")
    thresholds: Annotated[
        dict[str, float], m.THRESHOLD, Field(description="inspector -> score below which its member acts")
    ]
    points: list[Point]


def examples(system: TracedSystem) -> list[Example]:
    """Choose at most five answers by the change of their lowest score."""
    gains = {}
    for answer in system.answers:
        end = answer.trace.moves[-1].after
        names = shared(answer.trace.scores, end)
        if names and not answer.failed:
            gains[answer.prompt_id] = min(end[n] for n in names) - min(answer.trace.scores[n] for n in names)
    if not gains:
        return []
    answers = {answer.prompt_id: answer for answer in system.answers if answer.prompt_id in gains}
    ranked = sorted(gains, key=lambda key: (-gains[key], key))
    busiest = min(
        answers, key=lambda key: (-sum(m.action in REWRITES for m in answers[key].trace.moves), key)
    )
    chosen: dict[str, str] = {}
    for key, reason in (
        (ranked[0], "the largest rise"),
        (ranked[len(ranked) // 2], "the middle one"),
        (ranked[-1], "the largest fall" if gains[ranked[-1]] < 0 else "the least rise"),
        (busiest, "the most rewrites"),
    ):
        chosen.setdefault(key, reason)
    return [_example(system, answers[key], reason) for key, reason in chosen.items()]


def _example(system: TracedSystem, answer: TracedAnswer, reason: str) -> Example:
    points = [Point(actor="upstream", action="start", scores=dict(answer.trace.scores))]
    points += [Point(actor=m.actor, action=m.action, scores=dict(m.after)) for m in moves_of(answer)]
    bounds = {m.inspector: m.threshold for m in answer.trace.moves if m.inspector and m.threshold is not None}
    return Example(**system.keys, prompt_id=answer.prompt_id, reason=reason, thresholds=bounds, points=points)


def moves_of(answer: TracedAnswer) -> list[Move]:
    """List the moves that lead to the answer, without the candidates of a choice."""
    return [move for move in answer.trace.moves if move.action != "candidate"]
