"""Correctors at work: batches of (prompt, answer) in, answers with their traces out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from aligner_bench.correctors.specs import AlignerSpec, CorrectorSpec, IdentitySpec, SquadSpec
from aligner_bench.correctors.templates import get_template
from aligner_bench.types import Answer, Completion, Decoding, Request, Services, Step


class Item(NamedTuple):
    """One answer to be corrected, with the decoding limits of its suite."""

    prompt_id: str
    prompt: str
    answer: Answer
    decoding: Decoding


def correct(spec: CorrectorSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    """Corrected answers in the order of the items.

    An upstream answer with status error stays an error: there is nothing to correct. A correction that
    failed is an error too, never the upstream's answer in disguise.
    """
    if isinstance(spec, SquadSpec):
        from aligner_bench.correctors.squad import run_squad

        return run_squad(spec, items, services)
    answers = [start(item) for item in items]
    if isinstance(spec, IdentitySpec):
        return [_copied(answer) for answer in answers]
    live = [i for i, item in enumerate(items) if item.answer.status != "error"]
    requests = [aligner_request(spec, items[i], items[i].answer.text) for i in live]
    completions = services.complete(spec.model, requests)
    for i, completion in zip(live, completions, strict=True):
        answers[i] = rewritten(answers[i], completion, spec.model)
    return answers


def start(item: Item) -> Answer:
    """The upstream's answer with the first step of a trace."""
    first = Step(0, "upstream", "start", item.answer.text)
    return replace(item.answer, trace=(first,))


def _copied(answer: Answer) -> Answer:
    step = Step(1, "identity", "copy", answer.text)
    return replace(answer, trace=(*answer.trace, step))


def aligner_request(spec: AlignerSpec, item: Item, text: str) -> Request:
    """What asks an aligner to rewrite ``text``, the current answer, which need not be the upstream's."""
    template = get_template(spec.template)
    before, after = template.fill(item.prompt)
    limits = spec.decoding or item.decoding.model_copy(update={"temperature": 0.0, "top_p": 1.0, "top_k": 0})
    stops = tuple(dict.fromkeys((*limits.stop, *template.stop)))
    decoding = limits.model_copy(update={"stop": stops})
    return Request(before, text, after, chat=template.chat, decoding=decoding, item=item.prompt_id)


def rewritten(
    answer: Answer, completion: Completion, actor: str, scores: dict[str, float] | None = None
) -> Answer:
    """``answer`` after one more model call, its cost added up and a step appended."""
    step = Step(len(answer.trace), actor, "correct", completion.text, scores or {})
    return replace(
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
        trace=(*answer.trace, step),
    )
