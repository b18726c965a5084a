"""A rating model at work: each distinct answer once, up to ``tries`` calls, every failure a status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aligner_bench.raters.contracts import (
    AttackContract,
    Contract,
    HarmContract,
    Label,
    Reading,
    Status,
    decoding_of,
)
from aligner_bench.raters.refusal import RefusalRater
from aligner_bench.raters.specs import AttackSpec, RaterSpec
from aligner_bench.textsafe import one_line
from aligner_bench.types import Completion, Pair, Request, Services

_LONGEST = 2000


class ToRate(NamedTuple):
    """One answer, with the categories of its suite."""

    prompt: str
    answer: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """What became of one answer, and what that took."""

    label: Label | None
    status: Status
    category: str | None = None
    detail: str = ""
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut_tokens: int = 0
    cost: float = 0.0


class ModelRater:
    """A contract put to a model."""

    def __init__(self, spec: RaterSpec) -> None:
        self._spec = spec
        self._contract: Contract = AttackContract() if isinstance(spec, AttackSpec) else HarmContract()
        self.kind = self._contract.kind
        self.audit_items = spec.audit_items
        self.suites = spec.suites
        self.description = f"{self.kind.replace('_', ' ')} by {spec.model}, at most {spec.tries} tries"

    def identity(self, services: Services) -> dict[str, Any]:
        """Model, demand, parser and decoding."""
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
        """One call for the candidate's answer; tries after a bad reply are not foreseen."""
        return [(self._spec.model, self._request(ToRate(pair.prompt, pair.candidate), 0))]

    def rate(self, items: Sequence[ToRate], services: Services) -> list[Rated]:
        """Ratings in the order of the items; equal items are asked once and share the answer."""
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
        if found.status == "unparsable" and RefusalRater().rate("", reply.text).label == "full":
            return Reading(None, "refused")
        return found


def _added(before: Rated | None, reading: Reading, reply: Completion) -> Rated:
    """The latest reading, and the cost of all tries."""
    sofar = before or Rated(None, "unparsable")
    return Rated(
        reading.label,
        reading.status,
        reading.category,
        one_line(reply.error or reply.text)[:_LONGEST],
        sofar.calls + 1,
        sofar.prompt_tokens + reply.prompt_tokens,
        sofar.completion_tokens + reply.completion_tokens,
        sofar.cut_tokens + reply.cut_tokens,
        sofar.cost + reply.cost,
    )
