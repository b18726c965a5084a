"""The input of a corrector, and functions that make answers and extend their traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from aligner_bench.core.types import Answer, Completion, Decoding, Step


class Item(NamedTuple):
    """An answer to correct, with its prompt and the decoding limits of its suite."""

    prompt_id: str
    prompt: str
    answer: Answer
    decoding: Decoding
    suite: str = ""
    category: str = ""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns of the conversation: (role, content)."""


def start(item: Item) -> Answer:
    """Return the upstream's answer with the first step of a trace."""
    return replace(item.answer, trace=(Step(0, "upstream", "start", item.answer.text),))


def noted(answer: Answer, step: Step) -> Answer:
    """Return the answer with one more step, numbered next."""
    return replace(answer, trace=(*answer.trace, replace(step, step=len(answer.trace))))


def rewritten(answer: Answer, completion: Completion, step: Step) -> Answer:
    """Return ``answer`` after one more model call: new text, added cost, and one more step."""
    changed = replace(
        answer,
        text=completion.text,
        status=completion.status,
        finish_reason=completion.finish_reason,
        calls=answer.calls + 1,
        prompt_tokens=answer.prompt_tokens + completion.prompt_tokens,
        completion_tokens=answer.completion_tokens + completion.completion_tokens,
        cut_tokens=answer.cut_tokens + completion.cut_tokens,
        seconds=answer.seconds + completion.seconds,
        error=completion.error,
        cost=answer.cost + completion.cost,
    )
    return noted(changed, replace(step, text=completion.text))


def kept(before: Answer, after: Answer) -> Answer:
    """Return the earlier answer, with the cost and trace of the later one."""
    return replace(
        before,
        calls=after.calls,
        prompt_tokens=after.prompt_tokens,
        completion_tokens=after.completion_tokens,
        seconds=after.seconds,
        cost=after.cost,
        trace=after.trace,
    )


def sampled(row: Sequence[Completion], best: int, scores: Sequence[Mapping[str, float]] = ()) -> Answer:
    """Sample ``best`` of the samples of one prompt as an answer, at the cost of all; each is a trace step.

    ``scores`` has the inspector scores of each sample, where they were scored.
    """
    trace = tuple(
        Step(
            k,
            "chosen" if k == best else f"sample {k}",
            "candidate",
            sample.text,
            scores[k] if scores else {},
        )
        for k, sample in enumerate(row)
    )
    return Answer(
        text=row[best].text,
        status=row[best].status,
        finish_reason=row[best].finish_reason,
        calls=len(row),
        prompt_tokens=sum(s.prompt_tokens for s in row),
        completion_tokens=sum(s.completion_tokens for s in row),
        cut_tokens=row[best].cut_tokens,
        seconds=sum(s.seconds for s in row),
        error=row[best].error,
        trace=trace,
        cost=sum(s.cost for s in row),
    )
