"""An aligner: one model that rewrites an answer through a prompt template."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from aligner_bench.core.spec import ModelName
from aligner_bench.core.types import Answer, Decoding, Request, Services, Step
from aligner_bench.correctors.answers import Item, rewritten
from aligner_bench.correctors.base import CorrectorSpec
from aligner_bench.correctors.templates import get_template


class AlignerSpec(CorrectorSpec):
    """One model that rewrites, through a prompt template."""

    model: ModelName = Field(description="a model of this experiment")
    template: str = Field("prompted", description="name of a template")
    decoding: Decoding | None = Field(None, description="instead of the experiment's, made greedy")

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """The answers after one call of the model each."""
        answers = [item.answer for item in items]
        live = [i for i, answer in enumerate(answers) if answer.status != "error"]
        requests = [aligner_request(self, items[i], answers[i].text) for i in live]
        if not live:
            return answers
        for i, completion in zip(live, services.complete(self.model, requests), strict=True):
            answers[i] = rewritten(answers[i], completion, Step(0, self.model, "correct", ""))
        return answers


def aligner_request(spec: AlignerSpec, item: Item, text: str) -> Request:
    """The request to rewrite ``text``, the current answer, which need not be the upstream's."""
    template = get_template(spec.template)
    before, after = template.fill(item.prompt)
    limits = spec.decoding or item.decoding.model_copy(update={"temperature": 0.0, "top_p": 1.0, "top_k": 0})
    stops = tuple(dict.fromkeys((*limits.stop, *template.stop)))
    decoding = limits.model_copy(update={"stop": stops})
    return Request(before, text, after, chat=template.chat, decoding=decoding, item=item.prompt_id)
