"""Compute the gap between the final answer and the best intermediate text of a corrector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from aligner_bench.results.measures import traces as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.results.traced import Sample, TracedAnswer, TracedSystem
from aligner_bench.store.traces import Scores


class Oracle(Published):
    """What could be gained by answering with the best intermediate text instead of the last one."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    end_lowest: Annotated[Number, m.ORACLE_END]
    best_lowest: Annotated[Number, m.ORACLE_BEST]
    gap: Annotated[Number, m.ORACLE_GAP]
    end_right: Annotated[Number | None, m.ORACLE_END_RIGHT]
    best_right: Annotated[Number | None, m.ORACLE_BEST_RIGHT]
    right_gap: Annotated[Number | None, m.ORACLE_RIGHT_GAP]


def oracles(system: TracedSystem) -> Iterator[Oracle]:
    """Compute the gap of one system; over answers whose texts were all scored by the first inspectors."""
    end, best, gap = Sample(), Sample(), Sample()
    for answer in system.answers:
        names = set(answer.trace.scores)
        values = [min(s[n] for n in names) for _, s in _texts(answer) if names and names <= s.keys()]
        if answer.failed or not values or not names <= answer.trace.moves[-1].after.keys():
            continue
        end.add(values[-1], answer.family)
        best.add(max(values), answer.family)
        gap.add(max(values) - values[-1], answer.family)
    rights = _rights(system)
    if end.values or rights["end_right"] is not None:
        yield Oracle(
            **system.keys,
            end_lowest=end.number(m.ORACLE_END),
            best_lowest=best.number(m.ORACLE_BEST),
            gap=gap.number(m.ORACLE_GAP),
            **rights,
        )


def _texts(answer: TracedAnswer) -> Iterator[tuple[str, Scores]]:
    """Every intermediate text with its scores; the final answer comes last."""
    yield answer.trace.start or "", answer.trace.scores
    for move in answer.trace.moves:
        if move.offered is not None:
            yield move.offered, move.offered_scores
        yield move.text, move.after


def _rights(system: TracedSystem) -> dict[str, Number | None]:
    """The same by the references; a failed answer is not right."""
    from aligner_bench.texts.match import matches

    end, best, gap = Sample(), Sample(), Sample()
    for answer in system.answers:
        if answer.references:
            final = float(not answer.failed and matches(answer.text, answer.references))
            texts = {text for text, _ in _texts(answer)}
            any_right = float(bool(final) or any(matches(text, answer.references) for text in texts))
            for sample, value in ((end, final), (best, any_right), (gap, any_right - final)):
                sample.add(value, answer.family)
    known = bool(end.values)
    return {
        "end_right": end.number(m.ORACLE_END_RIGHT) if known else None,
        "best_right": best.number(m.ORACLE_BEST_RIGHT) if known else None,
        "right_gap": gap.number(m.ORACLE_RIGHT_GAP) if known else None,
    }
