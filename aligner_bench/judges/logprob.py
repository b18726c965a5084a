"""The ``logprob`` judge: a model names the better of two answers with one letter, in both orders.

The prompt has the form of AlpacaEval 2's (two outputs with identifiers m and M, one letter expected), in
shorter words. The preference is P(letter of the candidate) / (P(m) + P(M)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from aligner_bench.core.hashing import sha256_text
from aligner_bench.core.spec import ModelName
from aligner_bench.core.types import Decoding, Pair, Request, Services, Verdict
from aligner_bench.judges.base import Judge, JudgeContext, JudgeSpec, identical_tie

_LETTERS = ("m", "M")
_DIGITS = 6
_LEAST_MASS = 1e-4
_HEAD = (
    "Two models answered the same instruction. Decide which answer a careful person would prefer.\n\n"
    "Instruction: {question}\n\n"
)
_TAIL = "\n\nReply with the identifier of the better answer only: m or M.\nBest answer:"
_MAX_CHARS = 400


class LogprobJudge:
    """Judges every pair in both orders; equal texts are ties without a call."""

    needs_references = False

    def __init__(self, spec: LogprobSpec) -> None:
        self._model = spec.model
        self.audit_pairs = spec.audit_pairs
        self.description = f"one letter from {spec.model}, both orders"

    def identity(self, services: Services) -> dict[str, Any]:
        """Return model, prompt hash, letters and the length to which answers are shown."""
        return {
            "kind": "logprob",
            "version": 1,
            "model": services.identity(self._model),
            "prompt": sha256_text(_HEAD + _TAIL),
            "letters": list(_LETTERS),
            "max_chars": _MAX_CHARS,
        }

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return two verdicts per pair; ``unparsable`` where both letters have negligible probability."""
        asked = [pair for pair in pairs if pair.candidate != pair.baseline]
        requests = [self._request(p, p.candidate, p.baseline) for p in asked]
        requests += [self._request(p, p.baseline, p.candidate) for p in asked]
        answers = iter(services.choose(self._model, requests, _LETTERS))
        first = [next(answers) for _ in asked]
        judged = iter(zip(first, answers, strict=True))
        return [
            identical_tie(order_free=False)
            if pair.candidate == pair.baseline
            else _both(*next(judged), cut=len(pair.candidate) > _MAX_CHARS or len(pair.baseline) > _MAX_CHARS)
            for pair in pairs
        ]

    def would_ask(self, pair: Pair) -> list[tuple[str, Request]]:
        """Return both orders, one token each."""
        orders = ((pair.candidate, pair.baseline), (pair.baseline, pair.candidate))
        one = Decoding(max_new_tokens=1)
        return [(self._model, replace(self._request(pair, *texts), decoding=one)) for texts in orders]

    @staticmethod
    def _request(pair: Pair, first: str, second: str) -> Request:
        head, _, tail = _HEAD.partition("{question}")
        shown = f"Answer m: {first[:_MAX_CHARS]}\n\nAnswer M: {second[:_MAX_CHARS]}"
        return Request(head + pair.prompt + tail + shown + _TAIL)


def _both(forward: dict[str, float], backward: dict[str, float], cut: bool) -> list[Verdict]:
    return [
        _verdict("candidate_first", forward, "m", cut),
        _verdict("baseline_first", backward, "M", cut),
    ]


def _verdict(order: Any, probabilities: dict[str, float], candidate: str, cut: bool) -> Verdict:
    """Return one call's verdict; its cost is estimated, since probabilities come without token counts."""
    read = _read(order, probabilities, candidate, cut)
    return replace(read, calls=1, cost=getattr(probabilities, "cost", 0.0))


def _read(order: Any, probabilities: dict[str, float], candidate: str, cut: bool) -> Verdict:
    if not probabilities:
        return Verdict(order, "error", None, "the model gave no probabilities")
    mass = sum(probabilities.values())
    if mass < _LEAST_MASS:
        return Verdict(order, "unparsable", None, f"P(m) + P(M) = {mass:.2g}")
    preference = round(probabilities[candidate] / mass, _DIGITS)
    detail = f"P(m) = {probabilities['m']:.3f}, P(M) = {probabilities['M']:.3f}"
    if cut:
        detail += f"; answers shown up to {_MAX_CHARS} characters"
    return Verdict(order, "tie" if preference == 0.5 else "ok", preference, detail)


class LogprobSpec(JudgeSpec):
    """Compare two answers by the probabilities of one letter from a model, in both orders."""

    model: ModelName = Field(description="a model of this experiment")
    audit_pairs: int = Field(24, ge=0, description="pairs with a known winner to test it on")

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge."""
        return LogprobJudge(self)

    def reads_probabilities(self) -> bool:
        """Return true: it reads the probabilities of both letters."""
        return True
