"""Inspector scores of current answers, computed at most once per text and kept in the trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from aligner_bench.core.types import Answer, Services
from aligner_bench.correctors.answers import Item


def scored(
    items: Sequence[Item],
    answers: list[Answer],
    rows: Iterable[int],
    inspectors: Iterable[str],
    services: Services,
) -> None:
    """Add these inspectors' scores to the last step of every answer in ``rows``, in place.

    Only missing scores are computed, all rows of one inspector at once. Failed answers have no scores.
    """
    live = sorted(i for i in rows if answers[i].status != "error")
    for inspector in dict.fromkeys(inspectors):
        unknown = [i for i in live if inspector not in answers[i].trace[-1].scores]
        if unknown:
            values = services.score(inspector, [(items[i].prompt, answers[i].text) for i in unknown])
            for i, score in zip(unknown, values, strict=True):
                answers[i] = with_scores(answers[i], {inspector: score.value})


def with_scores(answer: Answer, scores: Mapping[str, float]) -> Answer:
    """Return the answer with more scores in its last step."""
    last = answer.trace[-1]
    return replace(answer, trace=(*answer.trace[:-1], replace(last, scores={**last.scores, **scores})))


def current(answer: Answer) -> Mapping[str, float]:
    """Return the known scores of the current answer."""
    return answer.trace[-1].scores
