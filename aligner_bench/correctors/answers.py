"""What a corrector is given, and the two ways in which its trace grows."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from aligner_bench.core.types import Answer, Completion, Decoding, Step


class Item(NamedTuple):
    """One answer to be corrected, with the decoding limits of its suite."""

    prompt_id: str
    prompt: str
    answer: Answer
    decoding: Decoding
    suite: str = ""
    category: str = ""
    history: tuple[tuple[str, str], ...] = ()
    """Earlier turns of the conversation: (role, content)."""


def start(item: Item) -> Answer:
    """The upstream's answer with the first step of a trace."""
    return replace(item.answer, trace=(Step(0, "upstream", "start", item.answer.text),))


def noted(answer: Answer, step: Step) -> Answer:
    """The answer with one more step, which is given the next number."""
    return replace(answer, trace=(*answer.trace, replace(step, step=len(answer.trace))))


def rewritten(answer: Answer, completion: Completion, step: Step) -> Answer:
    """``answer`` after one more model call: its new text, its cost added up, and a step appended."""
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
    """The answer from before, at the cost of what was tried after it; the trace is the longer one."""
    return replace(
        before,
        calls=after.calls,
        prompt_tokens=after.prompt_tokens,
        completion_tokens=after.completion_tokens,
        seconds=after.seconds,
        cost=after.cost,
        trace=after.trace,
    )
