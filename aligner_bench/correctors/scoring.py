"""Inspector scores of answers as they stand, asked for at most once a text and kept in the trace."""

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
    """See that the last step of every answer in ``rows`` holds these inspectors' scores, in place.

    Only what is not known is asked for, all rows of one inspector at once. Answers that failed have no score.
    """
    live = sorted(i for i in rows if answers[i].status != "error")
    for inspector in dict.fromkeys(inspectors):
        unknown = [i for i in live if inspector not in answers[i].trace[-1].scores]
        if unknown:
            values = services.score(inspector, [(items[i].prompt, answers[i].text) for i in unknown])
            for i, score in zip(unknown, values, strict=True):
                answers[i] = with_scores(answers[i], {inspector: score.value})


def with_scores(answer: Answer, scores: Mapping[str, float]) -> Answer:
    """The answer with more scores in its last step."""
    last = answer.trace[-1]
    return replace(answer, trace=(*answer.trace[:-1], replace(last, scores={**last.scores, **scores})))


def current(answer: Answer) -> Mapping[str, float]:
    """The scores that are known of the answer as it stands."""
    return answer.trace[-1].scores
