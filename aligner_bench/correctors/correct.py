"""Correctors at work: batches of (prompt, answer) in, answers with their traces out."""

from __future__ import annotations

from collections.abc import Sequence

from aligner_bench.correctors.item import Item, noted, rewritten, start
from aligner_bench.correctors.specs import AlignerSpec, CorrectorSpec, IdentitySpec, SquadSpec
from aligner_bench.correctors.templates import get_template
from aligner_bench.types import Answer, Request, Services, Step

__all__ = ["Item", "aligner_request", "apply", "correct"]


def correct(spec: CorrectorSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    """Corrected answers in the order of the items.

    An upstream answer with status error stays an error: there is nothing to correct. A correction that
    failed is an error too, never the upstream's answer in disguise.
    """
    return apply(spec, [item._replace(answer=start(item)) for item in items], services)


def apply(spec: CorrectorSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    """As ``correct``, on answers whose traces have begun: steps are added to them."""
    if isinstance(spec, SquadSpec):
        from aligner_bench.correctors.squad import run_squad

        return run_squad(spec, items, services)
    if isinstance(spec, IdentitySpec):
        return [_copied(item.answer) for item in items]
    if isinstance(spec, AlignerSpec):
        return _aligned(spec, items, services)
    from aligner_bench.correctors.compose import composed

    return composed(spec, items, services)


def _copied(answer: Answer) -> Answer:
    return noted(answer, Step(0, "identity", "copy", answer.text, answer.trace[-1].scores))


def _aligned(spec: AlignerSpec, items: Sequence[Item], services: Services) -> list[Answer]:
    answers = [item.answer for item in items]
    live = [i for i, answer in enumerate(answers) if answer.status != "error"]
    requests = [aligner_request(spec, items[i], answers[i].text) for i in live]
    if not live:
        return answers
    for i, completion in zip(live, services.complete(spec.model, requests), strict=True):
        answers[i] = rewritten(answers[i], completion, Step(0, spec.model, "correct", ""))
    return answers


def aligner_request(spec: AlignerSpec, item: Item, text: str) -> Request:
    """What asks an aligner to rewrite ``text``, the current answer, which need not be the upstream's."""
    template = get_template(spec.template)
    before, after = template.fill(item.prompt)
    limits = spec.decoding or item.decoding.model_copy(update={"temperature": 0.0, "top_p": 1.0, "top_k": 0})
    stops = tuple(dict.fromkeys((*limits.stop, *template.stop)))
    decoding = limits.model_copy(update={"stop": stops})
    return Request(before, text, after, chat=template.chat, decoding=decoding, item=item.prompt_id)
