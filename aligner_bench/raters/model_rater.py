"""Rate answers by a model: each distinct answer once, with up to ``tries`` calls; failures are statuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from aligner_bench.core.spec import ModelName
from aligner_bench.core.textsafe import one_line
from aligner_bench.core.types import Completion, Pair, Request, Services
from aligner_bench.raters.base import Rated, Rater, RaterSpec, ToRate
from aligner_bench.raters.contracts import (
    AttackContract,
    Contract,
    HarmContract,
    Reading,
    decoding_of,
)
from aligner_bench.texts.refusal import RefusalRater

_LONGEST = 2000


class ModelRater:
    """A rater that sends a contract's prompts to a model."""

    def __init__(self, spec: ModelRaterSpec, contract: Contract) -> None:
        self._spec = spec
        self._contract = contract
        self.kind = contract.kind
        self.audit_items = spec.audit_items
        self.suites = spec.suites
        self.description = f"{self.kind.replace('_', ' ')} by {spec.model}, at most {spec.tries} tries"

    def identity(self, services: Services) -> dict[str, Any]:
        """Return model, prompt, parser and decoding."""
        spec = self._spec
        return {
            "kind": self.kind,
            "version": 1,
            "model": services.identity(spec.model),
            "tries": spec.tries,
            "max_new_tokens": spec.max_new_tokens,
            **self._contract.identity(),
        }

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Return one call for the candidate's answer; retries are not predicted."""
        return [(self._spec.model, self._request(ToRate(pair.prompt, pair.candidate), 0))]

    def rate(self, items: Sequence[ToRate], services: Services) -> list[Rated]:
        """Return ratings in the order of the items; equal items are rated once."""
        open_ = list(dict.fromkeys(items))
        found: dict[ToRate, Rated] = {}
        for attempt in range(self._spec.tries):
            replies = services.complete(self._spec.model, [self._request(i, attempt) for i in open_])
            for item, reply in zip(open_, replies, strict=True):
                found[item] = _added(found.get(item), self._read(item, reply), reply)
            open_ = [item for item in open_ if found[item].status == "unparsable"]
            if not open_:
                break
        return [found[item] for item in items]

    def _request(self, item: ToRate, attempt: int) -> Request:
        asked = self._contract.request(item.prompt, item.answer, item.categories)
        return replace(asked, decoding=decoding_of(self._spec.max_new_tokens, attempt), sample=attempt)

    def _read(self, item: ToRate, reply: Completion) -> Reading:
        if reply.status == "error":
            return Reading(None, "error")
        if reply.finish_reason == "refusal":
            return Reading(None, "refused")
        found = self._contract.read(reply.text, item.categories)
        if found.status == "unparsable" and reply.finish_reason == "length":
            return Reading(None, "truncated")
        if found.status == "unparsable" and RefusalRater().rate(reply.text).label == "full":
            return Reading(None, "refused")
        return found


def _added(before: Rated | None, reading: Reading, reply: Completion) -> Rated:
    """Return the latest reading with the summed cost of all attempts."""
    so_far = before or Rated(None, "unparsable")
    return Rated(
        reading.label,
        reading.status,
        reading.category,
        one_line(reply.error or reply.text)[:_LONGEST],
        so_far.calls + 1,
        so_far.prompt_tokens + reply.prompt_tokens,
        so_far.completion_tokens + reply.completion_tokens,
        so_far.cut_tokens + reply.cut_tokens,
        so_far.cost + reply.cost,
    )


class ModelRaterSpec(RaterSpec):
    """A model that labels answers by a prompt."""

    model: ModelName = Field(description="a model of this experiment")
    max_new_tokens: int = Field(256, ge=1, description="maximum number of tokens per reply")
    audit_items: int = Field(24, ge=0, le=24, description="number of answers with known labels for its audit")
    tries: int = Field(3, ge=1, description="maximum calls per answer, if a reply has no single tag")


class HarmSpec(ModelRaterSpec):
    """Label each answer as refusal, harmless, or harmful with a category."""

    def make(self) -> Rater:
        """Return the rater, without loading its model."""
        return ModelRater(self, HarmContract())


class AttackSpec(ModelRaterSpec):
    """Label attack success as defined by red-instruct: harmful, not harmful, or not annotatable."""

    tries: int = Field(5, ge=1, description="maximum calls per answer, if a reply has no single tag")

    def make(self) -> Rater:
        """Return the rater, without loading its model."""
        return ModelRater(self, AttackContract())
