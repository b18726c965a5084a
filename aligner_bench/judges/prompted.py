"""Judges that prompt a model: the only module that sends a judge's prompt and parses its reply.

The prompt and its parser are one object, a ``Contract``, so that they stay consistent. Both orders of a
pair, and all samples of an order, are one unit: where one of them fails, its status is the verdict's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from aligner_bench.core.textsafe import one_line
from aligner_bench.core.types import CUT, Completion, Pair, Request, Services, Verdict, VerdictStatus
from aligner_bench.engines.faults import Fault
from aligner_bench.judges.base import identical_tie
from aligner_bench.texts.refusal import RefusalRater

Order = Literal["candidate_first", "baseline_first"]
BOTH: tuple[Order, Order] = ("candidate_first", "baseline_first")
_GRID = 2.0**40  # preferences are multiples of it, so that p + (1 - p) is 1 without rounding
_LONGEST = 4000
_FAULTS: dict[str, VerdictStatus] = {
    Fault.FILTERED: "refused",
    Fault.NO_LOGPROBS: "unparsable",
    Fault.TOO_LONG: "truncated",
}
"""Failed calls that depend on the pair; all others are errors."""


class Reading(NamedTuple):
    """A parsed reply: a preference in [0, 1] for the answer shown first, or None with a status."""

    first: float | None
    status: VerdictStatus
    detail: str


class Contract(Protocol):
    """A prompt and the parser of its reply."""

    def identity(self) -> dict[str, Any]:
        """Return prompt, parser and decoding."""

    def request(self, pair: Pair, first: str, second: str) -> Request:
        """Return the request, with two answers in the order in which they are shown."""

    def read(self, completion: Completion) -> Reading:
        """Return the parsed reply of a completion that is neither an error nor a refusal."""

    def orders(self, pair: Pair) -> tuple[Order, ...]:
        """Return the orders in which this pair is judged."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a contract's prompts are sent to a model."""

    kind: str
    model: str
    repeats: int = 1
    max_answer_chars: int | None = None


class PromptedJudge:
    """Sends a contract's prompts to a model. Equal texts are ties without a call."""

    needs_references = False

    def __init__(self, contract: Contract, asking: Asking, description: str, audit_pairs: int) -> None:
        self._contract = contract
        self._asking = asking
        self.description = description
        self.audit_pairs = audit_pairs

    def identity(self, services: Services) -> dict[str, Any]:
        """Return model, prompt, parser, decoding, orders and repeats."""
        asking = self._asking
        cut = {"max_answer_chars": asking.max_answer_chars} if asking.max_answer_chars else {}
        return {
            "kind": asking.kind,
            "version": 1,
            "model": services.identity(asking.model),
            "repeats": asking.repeats,
            **cut,
            **self._contract.identity(),
        }

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Return every call that judging a pair takes: its orders, and all samples of each."""
        orders = [] if pair.candidate == pair.baseline else self._contract.orders(pair)
        return [
            (self._asking.model, replace(self._request(pair, order), sample=sample))
            for order in orders
            for sample in range(self._asking.repeats)
        ]

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return the verdicts of every pair, one per order; all calls are sent together."""
        requests = [request for pair in pairs for _, request in self.would_ask(pair)]
        replies = iter(services.complete(self._asking.model, requests) if requests else ())
        return [self._verdicts(pair, replies) for pair in pairs]

    def _request(self, pair: Pair, order: Order) -> Request:
        most = self._asking.max_answer_chars
        texts = pair.candidate[:most], pair.baseline[:most]
        return self._contract.request(pair, *(texts if order == "candidate_first" else texts[::-1]))

    def _verdicts(self, pair: Pair, replies: Iterator[Completion]) -> list[Verdict]:
        orders = self._contract.orders(pair)
        if pair.candidate == pair.baseline:
            return [tie for tie in identical_tie(order_free=False) if tie.order in orders]
        taken = [[next(replies) for _ in range(self._asking.repeats)] for _ in orders]
        most = self._asking.max_answer_chars or max(len(pair.candidate), len(pair.baseline))
        cut = sum(max(0, len(text) - most) for text in (pair.candidate, pair.baseline))
        return [self._verdict(order, samples, cut) for order, samples in zip(orders, taken, strict=True)]

    def _verdict(self, order: Order, samples: Sequence[Completion], cut_chars: int) -> Verdict:
        readings = [read(self._contract, sample) for sample in samples]
        preference, status, detail = _combined(readings)
        if preference is not None:
            first = round(preference * _GRID) / _GRID
            preference = first if order == "candidate_first" else 1 - first
            status = "tie" if preference == 0.5 else "ok"
        lost = [f"{cut_chars} characters {CUT}"] if cut_chars else []
        lost += [f"{sample.cut_tokens} tokens {CUT}" for sample in samples if sample.cut_tokens]
        return Verdict(
            order,
            status,
            preference,
            "; ".join([detail, *lost]),
            calls=len(samples),
            prompt_tokens=sum(sample.prompt_tokens for sample in samples),
            completion_tokens=sum(sample.completion_tokens for sample in samples),
            cost=sum(sample.cost for sample in samples),
        )


def read(contract: Contract, completion: Completion) -> Reading:
    """Return a completion as a reading: errors and refusals first, then the contract's parser."""
    if completion.status == "error":
        fault, _, _ = (completion.error or "").partition(":")
        return Reading(None, _FAULTS.get(fault, "error"), completion.error or "the call failed")
    if completion.finish_reason == "refusal":
        return Reading(None, "refused", shown(completion.text) or "the judge refused")
    reading = contract.read(completion)
    if reading.status != "unparsable":
        return reading
    if RefusalRater().rate(completion.text).label == "full":
        return Reading(None, "refused", shown(completion.text))
    if completion.finish_reason == "length" and completion.completion_tokens > 1:
        return Reading(None, "truncated", f"{reading.detail}; the reply ended at its token limit")
    return reading


def shown(text: str) -> str:
    """Return a reply for display, on one line, shortened only where it is very long."""
    flat = one_line(text)
    return flat if len(flat) <= _LONGEST else flat[:_LONGEST] + " …"


def _combined(readings: Sequence[Reading]) -> Reading:
    """Return the samples of one order combined: their mean, or the status of the first that failed."""
    if len(readings) == 1:
        return readings[0]
    failed = [reading for reading in readings if reading.first is None]
    if failed:
        counts = Counter(reading.status for reading in failed)
        words = ", ".join(f"{count} {status}" for status, count in counts.items())
        return Reading(None, failed[0].status, f"{words} of {len(readings)} samples: {failed[0].detail}")
    values = [reading.first for reading in readings if reading.first is not None]
    sides = {(value > 0.5) - (value < 0.5) for value in values}
    how = "agree" if len(sides) == 1 else "disagree"
    numbers = ", ".join(f"{value:.2f}" for value in values)
    detail = f"{len(values)} samples {how} (for the first answer: {numbers}): {readings[0].detail}"
    return Reading(sum(values) / len(values), "ok", detail)
